//! What can be set of a run, and what becomes of records that are refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headwater_core::dead_letters;
use headwater_core::engine::{Ended, Until};
use headwater_core::position::HandoffToken;
use headwater_core::{Error, ErrorKind};
use headwater_fold::bootstrap;
use headwater_fold::fold::TakeBack;
use headwater_fold::jiff::{Timestamp, civil, tz::TimeZone};
use headwater_fold::live::{self, LiveFrom as _};
use headwater_fold::monoid::{Count, Max};
use headwater_fold::pipeline::{Each, Options, Pipeline, fallible};
use headwater_fold::recorder::{InMemory, Operation};
use headwater_fold::store::Embedded;
use headwater_fold::window::{Every, Window};
use headwater_testkit::memory::{self, Source, World};

use super::{Record, record, versions};

/// A world in which nothing happens by itself.
fn still() -> World {
    let options = memory::Options {
        transactions: 0,
        ..memory::Options::default()
    };
    World::new(7, options)
}

fn rows(world: &World) -> usize {
    world.contents().values().map(Vec::len).sum()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> Embedded {
        Embedded::new(&self.0.path().join("folds.redb"))
    }

    fn letters(&self) -> PathBuf {
        self.0.path().join("letters.jsonl")
    }

    fn options(&self) -> Options {
        Options {
            dead_letters: Some(self.letters()),
            batch_tick: Duration::ZERO,
            retry_backoff: (Duration::from_millis(1), Duration::from_millis(2)),
            until: Until::Now,
            ..Options::default()
        }
    }
}

/// How many rows there are, by a key that may be refused.
type Counting = Pipeline<Record, (), Count, Embedded>;

fn counting(
    store: Embedded,
    key: impl Fn(&Record) -> headwater_core::Result<u8> + Send + Sync + 'static,
) -> Counting {
    Pipeline::named("counted")
        .records(record)
        .key(fallible(key))
        .value(|_: &Record| ())
        .monoid(Count)
        .store(store)
}

async fn count(pipeline: &Counting) -> i64 {
    pipeline.answers().unwrap().get(&0u8).await.unwrap().value
}

fn away() -> Error {
    Error::new(ErrorKind::Connection, "the service of keys is away")
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_counts_once() {
    let (world, place) = (still(), Place::new());
    let calls = Arc::new(AtomicU64::new(0));
    let heard = Arc::new(InMemory::default());
    let counter = calls.clone();
    let pipeline = counting(place.store(), move |_| {
        // Each row fails twice, and is read at the third attempt.
        let call = counter.fetch_add(1, Ordering::Relaxed);
        if call % 3 == 2 { Ok(0) } else { Err(away()) }
    });
    let options = Options {
        metrics: Some(heard.clone()),
        ..place.options()
    };
    bootstrap::run(&pipeline, &Source::new(&world), options)
        .await
        .unwrap();
    let rows = rows(&world);
    assert!(rows > 10);
    assert_eq!(count(&pipeline).await, rows as i64);
    assert_eq!(calls.load(Ordering::Relaxed), 3 * rows as u64);
    let heard = heard.heard("counted");
    assert_eq!(
        (heard.counted.added, heard.counted.retried),
        (rows as u64, 2 * rows as u64)
    );
    assert_eq!((heard.counted.refused, heard.batches), (0, 1));
    assert!(heard.errors[0].contains("the service of keys is away"));
    assert!(heard.quantile(Operation::Commit, 0.99).is_some());
    assert!(!place.letters().exists(), "made with the first letter");
}

#[tokio::test]
async fn attempts_that_are_used_up_go_to_the_dead_letters_and_the_run_goes_on() {
    let (world, place) = (still(), Place::new());
    let calls = Arc::new(AtomicU64::new(0));
    let counter = calls.clone();
    let pipeline = counting(place.store(), move |record| {
        if record.table != "pairs" {
            return Ok(0);
        }
        counter.fetch_add(1, Ordering::Relaxed);
        Err(away())
    });
    let options = Options {
        max_attempts: 2,
        ..place.options()
    };
    bootstrap::run(&pipeline, &Source::new(&world), options)
        .await
        .unwrap();
    let pairs = world.contents()["shop.pairs"].len();
    assert_eq!(calls.load(Ordering::Relaxed), 2 * pairs as u64);
    assert_eq!(count(&pipeline).await, (rows(&world) - pairs) as i64);
    let letters = dead_letters::read(&place.letters()).unwrap();
    assert_eq!(letters.len(), pairs);
    assert!(
        letters[0].reason.contains("the service of keys is away"),
        "{:?}",
        letters[0]
    );
    assert!(
        letters[0].data.contains_key("version"),
        "the payload is there: {:?}",
        letters[0]
    );
}

#[tokio::test]
async fn an_error_that_is_about_the_record_is_not_tried_again() {
    let (world, place) = (still(), Place::new());
    let calls = Arc::new(AtomicU64::new(0));
    let counter = calls.clone();
    let pipeline = counting(place.store(), move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Err(Error::new(ErrorKind::Malformed, "no key"))
    });
    bootstrap::run(&pipeline, &Source::new(&world), place.options())
        .await
        .unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), rows(&world) as u64);
    assert_eq!(count(&pipeline).await, 0);
    assert_eq!(
        dead_letters::read(&place.letters()).unwrap().len(),
        rows(&world)
    );
}

#[tokio::test]
async fn the_first_refusal_ends_a_run_that_fails_on_errors_and_nothing_is_served() {
    let (world, place) = (still(), Place::new());
    let pipeline = counting(place.store(), |record| match record.version % 5 {
        4 => Err(Error::new(ErrorKind::Malformed, "no key")),
        _ => Ok(0),
    });
    let strict = Options {
        fail_on_error: true,
        ..place.options()
    };
    let error = bootstrap::run(&pipeline, &Source::new(&world), strict)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected);
    assert!(error.to_string().contains("no key"), "{error}");
    assert!(!place.letters().exists());
    let answered = pipeline.answers().unwrap().get(&0u8).await;
    assert_eq!(answered.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_panic_of_an_extractor_is_about_its_record() {
    let (world, place) = (still(), Place::new());
    let pipeline = counting(place.store(), |record| {
        assert_ne!(record.table, "pairs", "no pairs please");
        Ok(0)
    });
    bootstrap::run(&pipeline, &Source::new(&world), place.options())
        .await
        .unwrap();
    let pairs = world.contents()["shop.pairs"].len();
    let letters = dead_letters::read(&place.letters()).unwrap();
    assert_eq!(letters.len(), pairs);
    assert!(
        letters[0].reason.contains("no pairs please"),
        "{}",
        letters[0].reason
    );
    assert_eq!(count(&pipeline).await, (rows(&world) - pairs) as i64);
}

#[tokio::test]
async fn a_record_counts_at_each_of_its_keys() {
    let (world, place) = (still(), Place::new());
    let pipeline = Pipeline::named("rolled_up")
        .records(record)
        .key(|record: &Record| Each(vec!["all".to_owned(), record.table.clone()]))
        .value(|_: &Record| ())
        .monoid(Count)
        .store(place.store());
    bootstrap::run(&pipeline, &Source::new(&world), place.options())
        .await
        .unwrap();
    let held = pipeline
        .answers()
        .unwrap()
        .get_many(&["all", "pairs"])
        .await
        .unwrap();
    let pairs = world.contents()["shop.pairs"].len();
    assert_eq!(
        (held[0].value, held[1].value),
        (rows(&world) as i64, pairs as i64)
    );
    assert_eq!(held[0].includes, held[1].includes);
}

fn latest(store: Embedded, take_back: TakeBack) -> Pipeline<Record, i64, Max<i64>, Embedded> {
    Pipeline::named("latest")
        .records(record)
        .key(|_: &Record| ())
        .value(|record: &Record| record.version as i64)
        .monoid(Max::default())
        .store(store)
        .take_back(take_back)
}

#[tokio::test]
async fn what_cannot_be_taken_back_ends_the_run_or_stays() {
    let (world, place) = (still(), Place::new());
    let source = Source::new(&world);
    let refusing = latest(place.store(), TakeBack::Refuse);
    let token = bootstrap::run(&refusing, &source, place.options())
        .await
        .unwrap();
    world.write(200);
    let live = source.live_from(token.clone()).unwrap();
    let error = live::run(&refusing, live, place.options())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected);
    assert!(error.hint_text().is_some());
    let ignoring = latest(place.store(), TakeBack::Ignore);
    let live = source.live_from(token).unwrap();
    live::run(&ignoring, live, place.options()).await.unwrap();
    let held = ignoring.answers().unwrap().get(&()).await.unwrap();
    let versions = world.contents();
    let versions = versions.values().flatten();
    let most = versions
        .map(|row| row["version"].as_ref().unwrap().parse::<i64>().unwrap())
        .max();
    assert!(held.value >= most, "{held:?} {most:?}");
}

#[tokio::test]
async fn a_run_that_is_cancelled_says_so_and_the_next_one_goes_on() {
    let (world, place) = (still(), Place::new());
    let pipeline = versions(place.store());
    let cancelled = place.options();
    cancelled.cancel.cancel();
    let error = bootstrap::run(&pipeline, &Source::new(&world), cancelled)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let token = bootstrap::run(&pipeline, &Source::new(&world), place.options())
        .await
        .unwrap();
    // Complete: nothing is read again.
    let heard = Arc::new(InMemory::default());
    let again = Options {
        metrics: Some(heard.clone()),
        ..place.options()
    };
    let same = bootstrap::run(&pipeline, &Source::new(&world), again)
        .await
        .unwrap();
    assert_eq!(same, token);
    assert_eq!(heard.heard("versions").counted.added, 0);
}

#[tokio::test]
async fn a_live_run_needs_a_bootstrap_of_the_same_source_and_store() {
    let (world, place) = (still(), Place::new());
    let source = Source::new(&world);
    let pipeline = versions(place.store());
    let token = bootstrap::run(&pipeline, &source, place.options())
        .await
        .unwrap();
    let elsewhere = Place::new();
    let live = source.live_from(token.clone()).unwrap();
    let error = live::run(&versions(elsewhere.store()), live, place.options())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint_text().unwrap().contains("bootstrap"));
    let mut foreign = token.clone();
    foreign.source.id = "another".into();
    let live = source.live_from(foreign).unwrap();
    let error = live::run(&pipeline, live, place.options())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ForeignPosition);
    let no_position = HandoffToken {
        position: serde_json::json!({ "shards": [] }),
        ..token
    };
    assert_eq!(
        source.live_from(no_position).unwrap_err().kind(),
        ErrorKind::ForeignPosition
    );
}

#[tokio::test]
async fn a_run_from_now_on_counts_what_comes_and_goes_on_where_it_stood() {
    let (world, place) = (still(), Place::new());
    let source = Source::new(&world);
    let pipeline = counting(place.store(), |_| Ok(0));
    let before = rows(&world) as i64;
    let ended = live::run(&pipeline, source.live(), place.options())
        .await
        .unwrap();
    assert_eq!(ended.ended, Ended::Complete);
    world.write(50);
    live::run(&pipeline, source.live(), place.options())
        .await
        .unwrap();
    world.write(50);
    live::run(&pipeline, source.live(), place.options())
        .await
        .unwrap();
    assert_eq!(count(&pipeline).await, rows(&world) as i64 - before);
}

#[tokio::test]
async fn another_version_and_a_fresh_generation_are_folded_anew() {
    let (world, place) = (still(), Place::new());
    let source = Source::new(&world);
    let pipeline = counting(place.store(), |_| Ok(0));
    bootstrap::run(&pipeline, &source, place.options())
        .await
        .unwrap();
    let first = count(&pipeline).await;
    world.write(100);
    // Folded again on purpose: each row once, not twice.
    let anew = Options {
        anew: true,
        ..place.options()
    };
    bootstrap::run(&pipeline, &source, anew).await.unwrap();
    let now = rows(&world) as i64;
    assert_ne!(first, now);
    assert_eq!(count(&pipeline).await, now);
    let doubled = counting(place.store(), |_| Ok(0)).version(2);
    let error = doubled.answers().unwrap().get(&0u8).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    bootstrap::run(&doubled, &source, place.options())
        .await
        .unwrap();
    assert_eq!(count(&doubled).await, now);
}

#[tokio::test]
async fn a_store_is_written_by_one_run_of_a_process() {
    let (world, place) = (still(), Place::new());
    let source = Source::new(&world);
    let pipeline = versions(place.store());
    bootstrap::run(&pipeline, &source, place.options())
        .await
        .unwrap();
    let forever = Options {
        until: Until::Forever,
        ..place.options()
    };
    let stop = forever.cancel.clone();
    let beside = pipeline.clone();
    let running = tokio::spawn({
        let source = source.clone();
        async move {
            let live = source.live();
            live::run(&beside, live, forever).await
        }
    });
    // Answers come beside the run.
    while pipeline.answers().unwrap().size().await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    world.quiet().await;
    let error = live::run(&pipeline, source.live(), place.options())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    stop.cancel();
    running.await.unwrap().unwrap();
    live::run(&pipeline, source.live(), place.options())
        .await
        .unwrap();
}

#[tokio::test]
async fn windows_are_of_event_time_and_a_time_that_no_calendar_knows_is_refused() {
    let (world, place) = (still(), Place::new());
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let day = |number: i128| {
        civil::date(2026, 3, 28).saturating_add(jiff::Span::new().days(number as i64))
    };
    let pipeline = Pipeline::named("by_day")
        .records(record)
        .key(|_: &Record| ())
        .value(|_: &Record| ())
        .monoid(Count)
        .store(place.store())
        .window(
            Window::new(Every::Day, zone, None),
            move |record: &Record| {
                (record.table != "pairs").then(|| day(record.version % 3).at(23, 30, 0, 0))
            },
        );
    bootstrap::run(&pipeline, &Source::new(&world), place.options())
        .await
        .unwrap();
    let contents = world.contents();
    let pairs = contents["shop.pairs"].len();
    assert_eq!(dead_letters::read(&place.letters()).unwrap().len(), pairs);
    let of_day = |number: i64| {
        let rows = contents.iter().filter(|(table, _)| *table != "shop.pairs");
        let rows = rows.flat_map(|(_, rows)| rows);
        let version = |row: &&headwater_testkit::oracle::Image| {
            row["version"].as_ref().unwrap().parse::<i64>().unwrap() % 3 == number
        };
        rows.filter(version).count() as i64
    };
    let answers = pipeline.answers().unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    // The 29th has 23 hours.
    let ends = [
        "2026-03-27T23:00:00Z",
        "2026-03-28T23:00:00Z",
        "2026-03-29T22:00:00Z",
        "2026-03-30T22:00:00Z",
    ];
    for (number, days) in ends.windows(2).enumerate() {
        let held = answers
            .between(&[()], at(days[0]), at(days[1]))
            .await
            .unwrap();
        assert_eq!(held[0].value, of_day(number as i64), "{days:?}");
    }
    let held = answers
        .between(&[()], at(ends[0]), at(ends[3]))
        .await
        .unwrap();
    assert_eq!(held[0].value, (rows(&world) - pairs) as i64);
    assert_eq!(
        answers.get(&()).await.unwrap_err().kind(),
        ErrorKind::Configuration
    );
}

#[tokio::test]
async fn a_name_and_a_folder_that_cannot_be_are_refused_before_anything_runs() {
    let (world, place) = (still(), Place::new());
    let named = Pipeline::named("no/name")
        .records(record)
        .key(|_: &Record| ())
        .value(|_: &Record| ())
        .monoid(Count)
        .store(place.store());
    let error = bootstrap::run(&named, &Source::new(&world), place.options())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let nowhere = Options {
        dead_letters: Some(Path::new("/nowhere/at/all.jsonl").to_owned()),
        ..place.options()
    };
    let error = bootstrap::run(&versions(place.store()), &Source::new(&world), nowhere)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
}
