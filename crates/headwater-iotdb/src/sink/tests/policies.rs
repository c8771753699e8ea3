//! Random rows under each policy, in each model, with rewinds.

use headwater_core::batch::Batch;
use headwater_core::sink::{Durability, Sink};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{
    Points, Reading, clean, compare, expected, history, options, points, push, replay, schema,
};
use crate::config::{DeletePolicy, Model, Policy, UpdatePolicy};
use crate::sink::IotdbSink;

async fn every_policy(model: Model, name: &str) {
    let updates = [UpdatePolicy::Overwrite, UpdatePolicy::Ignore];
    let deletes = [DeletePolicy::Ignore, DeletePolicy::Delete];
    let mut seed = 1;
    for update in updates {
        for delete in deletes {
            for _ in 0..2 {
                seed += 1;
                let policy = Policy { update, delete };
                let mut options = options(&model, name);
                options.policy = policy;
                if seed % 2 == 0 {
                    // Few rows in a call, and calls in loads that wait behind each other.
                    options.tablet_bytes_max = 1024;
                    options.pending_bytes_max = 8 * 1024;
                }
                clean(&options, name).await;
                let mut random = StdRng::seed_from_u64(seed);
                let history = history(&mut random, 400);
                let mut sink = IotdbSink::new(options.clone()).unwrap();
                sink.open(None).await.unwrap();
                replay(&mut sink, &mut random, &history).await;
                let expected = expected(&history, policy, &model);
                let what = format!("seed {seed}, {policy:?}");
                compare(&points(&options, name).await, &expected, &what);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aligned_devices_hold_what_the_policy_says() {
    every_policy(Model::Tree { is_aligned: true }, "sink_aligned").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_devices_hold_what_the_policy_says() {
    every_policy(Model::Tree { is_aligned: false }, "sink_plain").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_hold_what_the_policy_says() {
    let database = String::new();
    every_policy(Model::Table { database }, "sink_table").await;
}

async fn deletes_are_gathered(model: Model, name: &str, calls_max: u64) {
    let mut options = options(&model, name);
    options.policy.delete = DeletePolicy::Delete;
    clean(&options, name).await;
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    sink.open(None).await.unwrap();
    let rows: Vec<Reading> = (0..1_000)
        .map(|id: u32| Reading {
            id: id.into(),
            pump: Some(format!("it's pump {}", id % 10)),
            minute: id / 10,
            flow: Some(f64::from(id)),
            note: Some("x".to_owned()),
        })
        .collect();
    let schema = schema("readings");
    let mut batches = [Batch::new(), Batch::new()];
    for row in &rows {
        push(&mut batches[0], &schema, None, Some(row));
        // All but the last hundred.
        if row.minute < 90 {
            push(&mut batches[1], &schema, Some(row), None);
        }
    }
    for batch in &batches {
        sink.write(batch, Durability::Durable).await.unwrap();
    }
    let left: Points = points(&options, name).await;
    assert_eq!(left.len(), 200, "the others' points are there, and no more");
    let counted = sink.counts().counted();
    assert_eq!(counted.deleted, 900);
    assert!(counted.delete_calls <= calls_max, "{counted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_that_wait_together_go_in_few_calls() {
    // One call a time and lane; one call for a hundred rows.
    deletes_are_gathered(Model::Tree { is_aligned: true }, "gathered_tree", 90 * 3).await;
    let database = String::new();
    deletes_are_gathered(Model::Table { database }, "gathered_table", 45).await;
}
