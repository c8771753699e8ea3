//! `take_back: refold` in worlds made from seeds: while writers write, processes die anywhere, in the first copy and after it, amid
//! transactions, too. In the end each maximum and each set is what the rows give.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::engine::{self, Mode, Until};
use headwater_core::progress::Progress;
use headwater_core::sink::MemoryCheckpoint;
use headwater_core::{ErrorKind, bootstrap};
use headwater_fold::fold::{Fold, Typed};
use headwater_fold::query::{Question, answer};
use headwater_fold::refold::RowsOf;
use headwater_fold::sink::{Counted, FoldOptions, FoldSink};
use headwater_fold::store::{Embedded, StateStore as _};
use headwater_testkit::memory::{self, Broken, Cuts, Source, World, numbers_schema};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::seeded::{Running, folder, seeds, world};

/// Seeds of a test in a soak; a tenth of it otherwise.
const SEEDS: u64 = 120;
/// Most steps before a process dies.
const LIFE_STEPS: u64 = 600;
/// Virtual time after which a run is taken for stuck.
const STUCK: Duration = Duration::from_secs(30 * 24 * 3600);

/// Name, key and monoid. A note is on many rows, and read again often; a row is changed seldom, so that what is wrong of it stays.
const FOLDS: [(&str, &str, &str); 3] = [
    ("highest", "note", "max"),
    ("versions", "note", "set"),
    ("lowest", "id", "min"),
];

fn fold((name, key, monoid): (&str, &str, &str)) -> Typed {
    let fold = json!({
        "name": name, "table": { "database": "shop", "table": "numbers" }, "key": [key], "value": ["version"], "monoid": monoid,
        "take_back": "refold",
    });
    let fold: Fold = serde_json::from_value(fold).unwrap();
    fold.over(&numbers_schema()).unwrap()
}

struct Run<'a> {
    world: World,
    store: &'a Path,
    random: StdRng,
    refolded: u64,
}

impl Run<'_> {
    /// One process, until it is told to stop, dies, gives up for what may pass, or is at the end: only that is said.
    fn process(&mut self, until: Until) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let random = &mut self.random;
        let options = engine::Options {
            mode: Mode::Both,
            until,
            readers: random.random_range(1..=3),
            checkpoint_interval: Duration::from_millis(
                [1, 20, 100, 500][random.random_range(0..4)],
            ),
            ..engine::Options::default()
        };
        let folding = FoldOptions {
            pending_bytes_max: [1, 1000, 1 << 20][random.random_range(0..3)],
            rows: Some(Arc::new(RowsOf::new(Source::new(&self.world)))),
            ..FoldOptions::default()
        };
        let folds = FOLDS.map(fold).to_vec();
        let sink = FoldSink::new(folds, Embedded::new(self.store), folding).unwrap();
        let counts = sink.counts();
        let world = self.world.clone();
        let stop = CancellationToken::new();
        let (_control, commands) = bootstrap::control();
        let is_at_end = runtime.block_on(async {
            let stopping = async {
                world.quiet().await;
                stop.cancel();
                std::future::pending::<()>().await;
            };
            let source = Source::new(&world);
            let run = engine::run(
                &source,
                sink,
                Arc::new(MemoryCheckpoint::default()),
                options,
                Arc::new(Progress::default()),
                stop.clone(),
                commands,
            );
            tokio::select! {
                biased;
                () = world.died() => false,
                () = tokio::time::sleep(STUCK) => panic!("the run is stuck"),
                () = stopping => false,
                ended = run => match ended {
                    Ok(_) => true,
                    Err(error) => {
                        let may_pass = error.is_temporary() || error.kind() == ErrorKind::Cancelled;
                        assert!(may_pass, "{error:?}");
                        false
                    }
                },
            }
        });
        drop(runtime);
        let Counted { refolded, .. } = counts.counted();
        self.refolded += refolded;
        self.world.revive();
        is_at_end
    }

    fn whole(&mut self) {
        for _ in 0..6 {
            let life = self.random.random_range(1..LIFE_STEPS);
            self.world.crash_after(life);
            self.process(Until::Forever);
        }
        self.world.finish();
        let is_at_end = (0..100).any(|_| self.process(Until::Now));
        assert!(is_at_end, "it never comes to the end");
    }

    fn answers(&self, fold: &str) -> BTreeMap<String, BTreeSet<i64>> {
        let reader = Embedded::new(self.store).reader().unwrap();
        let question = Question {
            fold: fold.to_owned(),
            top: Some(10_000),
            ..Question::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let answer = runtime.block_on(answer(&reader, &question, 0)).unwrap();
        let answers = answer.answers.into_iter();
        answers.map(|one| (one.key, numbers(&one.value))).collect()
    }

    /// What is folded, and what it should be.
    fn judge(&self) {
        let contents = self.world.contents();
        let rows = || contents.get("shop.numbers").into_iter().flatten();
        assert!(rows().next().is_some(), "nothing is compared");
        for (fold, key, monoid) in FOLDS {
            let mut expected: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
            for row in rows() {
                let key = row.get(key).cloned().flatten();
                let key = key.unwrap_or_else(|| "\\N".to_owned());
                let version = row["version"].as_ref().unwrap().parse().unwrap();
                expected.entry(key).or_default().insert(version);
            }
            for versions in expected.values_mut() {
                let one = match monoid {
                    "max" => versions.last().copied(),
                    "min" => versions.first().copied(),
                    _ => continue,
                };
                *versions = one.into_iter().collect();
            }
            assert_eq!(self.answers(fold), expected, "{fold}");
        }
    }
}

fn numbers(value: &Value) -> BTreeSet<i64> {
    let list = value.as_array().cloned();
    let list = list.unwrap_or_else(|| vec![value.clone()]);
    let number = |one: &Value| one.to_string().trim_matches('"').parse().unwrap();
    list.iter().map(number).collect()
}

fn hold(options: &memory::Options) {
    let seeds = seeds(SEEDS);
    let mut refolded = 0;
    for seed in 0..seeds {
        let folder = folder();
        let mut run = Run {
            world: World::new(seed, options.clone()),
            store: &folder.path().join("folds.redb"),
            random: StdRng::seed_from_u64(seed ^ 0x5eed),
            refolded: 0,
        };
        let running = Running(seed);
        run.whole();
        run.judge();
        refolded += run.refolded;
        std::mem::forget(running);
    }
    assert!(refolded > seeds, "nothing was refolded");
}

/// Its connections are lost now and then, too.
fn faulty(cuts: Cuts) -> memory::Options {
    memory::Options {
        lost_connections: 0.002,
        ..world(cuts)
    }
}

#[test]
fn what_is_refolded_is_what_the_rows_give_wherever_processes_die() {
    for cuts in [Cuts::Shared, Cuts::PerReader, Cuts::Marks] {
        hold(&faulty(cuts));
    }
}

#[test]
#[should_panic(expected = "assertion")]
fn rows_that_are_read_again_before_they_show_what_the_log_told_are_found() {
    hold(&memory::Options {
        broken: Broken::ViewBeforeLowMark,
        ..faulty(Cuts::Marks)
    });
}
