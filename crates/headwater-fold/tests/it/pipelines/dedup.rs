//! Events that come again, and count once.

use std::time::Duration;

use headwater_core::batch::Batch;
use headwater_core::schema::TableSchema;
use headwater_core::sink::{Durability, Sink as _};
use headwater_core::{Error, ErrorKind};
use headwater_fold::bootstrap;
use headwater_fold::monoid::Count;
use headwater_fold::pipeline::{Options, Pipeline, fallible};
use headwater_fold::recorder::InMemory;
use headwater_fold::store::{Cached, Embedded, StateStore};
use headwater_testkit::memory::{self, Source, World};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::rows::{insert, table};

#[derive(Deserialize)]
struct Event {
    id: i64,
    value: String,
}

type Counting<S> = Pipeline<Event, (), Count, S>;

fn counting<S: StateStore + Clone>(store: S) -> Counting<S> {
    Pipeline::named("events")
        .rows::<Event>()
        .key(|_: &Event| ())
        .value(|_: &Event| ())
        .monoid(Count)
        .store(store)
        .event_id(fallible(|event: &Event| match event.value.as_str() {
            "no id" => Err(Error::new(ErrorKind::Malformed, "no id")),
            _ => Ok(event.id),
        }))
}

fn options(folder: &std::path::Path) -> Options {
    Options {
        dedup: Some(Duration::from_secs(3600)),
        dead_letters: Some(folder.join("letters.jsonl")),
        ..Options::default()
    }
}

fn batch(table: &Arc<TableSchema>, ids: &[i64]) -> Batch {
    let mut batch = Batch::new();
    for id in ids {
        insert(&mut batch, &[(table, *id, "")]);
    }
    batch
}

/// A process: takes the store over, writes, and commits after the batches that say so; then it is gone.
async fn process<S: StateStore + Clone>(
    pipeline: &Counting<S>,
    options: &Options,
    table: &Arc<TableSchema>,
    batches: &[(Vec<i64>, bool)],
) {
    let mut sink = pipeline.sink(options).unwrap();
    sink.recover().await.unwrap();
    sink.open(None).await.unwrap();
    for (ids, commits) in batches {
        sink.write(&batch(table, ids), Durability::Accepted)
            .await
            .unwrap();
        if *commits {
            let document = json!({ "log": { "position": 1 }, "written_at_s": 1 });
            sink.commit(&document).await.unwrap();
        }
    }
}

async fn count<S: StateStore + Clone>(pipeline: &Counting<S>) -> i64 {
    pipeline.answers().unwrap().get(&()).await.unwrap().value
}

#[tokio::test]
async fn an_event_counts_once_though_its_process_died_before_or_after_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = counting(Embedded::new(&folder.path().join("folds.redb")));
    let (options, table) = (options(folder.path()), table("events"));
    let run = async |batches: &[(Vec<i64>, bool)]| {
        process(&pipeline, &options, &table, batches).await;
    };
    run(&[(vec![1, 2, 2], true), (vec![2, 3], false)]).await;
    assert_eq!(
        count(&pipeline).await,
        2,
        "what was not committed is gone, and its ids too"
    );
    run(&[(vec![2, 3, 3], false), (vec![1, 3, 4], true)]).await;
    assert_eq!(count(&pipeline).await, 4);
    run(&[(vec![1, 2, 3, 4, 5], true)]).await;
    assert_eq!(count(&pipeline).await, 5);
}

#[tokio::test]
async fn an_id_that_cannot_be_read_refuses_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let heard = Arc::new(InMemory::default());
    let pipeline = counting(Embedded::new(&folder.path().join("folds.redb")));
    let (options, table) = (options(folder.path()), table("events"));
    let options = Options {
        metrics: Some(heard.clone()),
        ..options
    };
    let mut sink = pipeline.sink(&options).unwrap();
    sink.recover().await.unwrap();
    let mut batch = Batch::new();
    insert(&mut batch, &[(&table, 1, "no id"), (&table, 2, "")]);
    sink.write(&batch, Durability::Accepted).await.unwrap();
    let document = json!({ "log": { "position": 1 }, "written_at_s": 1 });
    sink.commit(&document).await.unwrap();
    assert_eq!(count(&pipeline).await, 1);
    assert!(heard.heard("events").errors[0].contains("no id"));
    let letters = headwater_core::dead_letters::read(&folder.path().join("letters.jsonl"));
    assert_eq!(letters.unwrap().len(), 1);
}

#[tokio::test]
async fn to_count_events_once_takes_an_id() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(1, memory::Options::default());
    let pipeline = super::versions(Embedded::new(&folder.path().join("folds.redb")));
    let error = bootstrap::run(&pipeline, &Source::new(&world), options(folder.path())).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Configuration);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn however_events_come_again_each_counts_once(
        processes in prop::collection::vec(
            prop::collection::vec((prop::collection::vec(0i64..30, 0..20), any::<bool>()), 0..5),
            1..5,
        ),
        pending_bytes_max in prop::sample::select(vec![1usize, 500, 1 << 20]),
        cache_bytes in prop::sample::select(vec![0usize, 1 << 20]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = Cached::new(Embedded::new(&folder.path().join("folds.redb")), cache_bytes);
        let pipeline = counting(store);
        let options = Options { pending_bytes_max, ..options(folder.path()) };
        let table = table("events");
        let mut counted: BTreeSet<i64> = BTreeSet::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            process(&pipeline, &options, &table, &[(vec![], true)]).await;
            for batches in &processes {
                process(&pipeline, &options, &table, batches).await;
                if let Some(last) = batches.iter().rposition(|(_, commits)| *commits) {
                    counted.extend(batches[..=last].iter().flat_map(|(ids, _)| ids));
                }
                assert_eq!(count(&pipeline).await, i64::try_from(counted.len()).unwrap());
            }
        });
    }
}
