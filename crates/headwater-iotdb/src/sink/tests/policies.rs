//! Random rows under each policy, in each model, with rewinds.

use headwater_core::sink::Sink;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{clean, compare, expected, history, options, points, replay};
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
                options.tablet_bytes_max = if seed % 2 == 0 { 1024 } else { 1024 * 1024 };
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
