//! Servers that are killed, stand still, or are not there: nothing is lost, nothing stale, and what waits is bounded.

use std::time::Duration;

use headwater_core::batch::Batch;
use headwater_core::sink::{Durability, Sink};
use headwater_servers::Signal;
use headwater_servers::iotdb::{Iotdb, IotdbOptions as ServerOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{
    clean, compare, expected, history, open, options_at, points, push, replay_until, schema,
};
use crate::config::{DeletePolicy, Model, Policy, UpdatePolicy};
use crate::sink::IotdbSink;

/// Kills the server, or lets it stand still, so many times; then it runs.
fn disturb(mut server: Iotdb, seed: u64, times: usize) -> Iotdb {
    let mut random = StdRng::seed_from_u64(seed);
    for time in 0..times {
        std::thread::sleep(Duration::from_millis(random.random_range(50..1_500)));
        if time % 2 == 0 {
            server.kill().unwrap();
            server.restart().unwrap();
        } else {
            server.signal(Signal::Stop).unwrap();
            std::thread::sleep(Duration::from_millis(random.random_range(100..6_000)));
            server.signal(Signal::Continue).unwrap();
        }
    }
    server
}

async fn under_disturbance(seed: u64, times: usize, model: Model, name: &str) {
    let server = tokio::task::spawn_blocking(|| Iotdb::start(&ServerOptions::default()));
    let server = server.await.unwrap().unwrap();
    let mut options = options_at(&server.address(), &model, name);
    // What IoTDB only acknowledged is lost with it: by default it answers before the log of its writes has left the process, and
    // recovering from that log it deletes what was written where something was deleted before.
    options.flush_at_checkpoint = true;
    options.policy = Policy {
        update: UpdatePolicy::Overwrite,
        delete: DeletePolicy::Delete,
    };
    // Shorter than some of the pauses, so that calls are given up and made again.
    options.call_timeout = Duration::from_secs(3);
    options.unavailable_for_max = Duration::from_secs(600);
    options.tablet_bytes_max = 4 * 1024;
    clean(&options, name).await;
    let disturbing = tokio::task::spawn_blocking(move || disturb(server, seed, times));
    let mut random = StdRng::seed_from_u64(seed);
    let history = history(&mut random, 8_000);
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    open(&mut sink).await;
    let steps = replay_until(&mut sink, &mut random, &history, || {
        disturbing.is_finished()
    })
    .await;
    let server = disturbing.await.unwrap();
    let expected = expected(&history[..steps], options.policy, &model);
    options.call_timeout = Duration::from_secs(60);
    compare(
        &points(&options, name).await,
        &expected,
        &format!("seed {seed}"),
    );
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_of_the_server_lose_nothing() {
    under_disturbance(1, 3, Model::Tree { is_aligned: true }, "outages").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by the soak"]
async fn soak_kills_and_pauses_of_the_server() {
    for seed in 2..12 {
        let model = match seed % 2 {
            0 => Model::Tree { is_aligned: false },
            _ => Model::Table {
                database: String::new(),
            },
        };
        under_disturbance(seed, 8, model, "outages").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_for_too_long_is_a_temporary_failure_with_bounded_memory() {
    let mut options = options_at("127.0.0.1:1", &Model::Tree { is_aligned: true }, "away");
    options.unavailable_for_max = Duration::from_millis(500);
    let mut sink = IotdbSink::new(options).unwrap();
    let error = sink.open(None).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");

    let server = tokio::task::spawn_blocking(|| Iotdb::start(&ServerOptions::default()));
    let mut server = server.await.unwrap().unwrap();
    let mut options = options_at(&server.address(), &Model::Tree { is_aligned: true }, "away");
    options.unavailable_for_max = Duration::from_secs(2);
    options.pending_bytes_max = 256 * 1024;
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    sink.open(None).await.unwrap();
    server.kill().unwrap();
    let schema = schema("readings");
    let history = history(&mut StdRng::seed_from_u64(1), 200);
    let mut failure = None;
    for _ in 0..10_000 {
        let mut batch = Batch::new();
        for (before, after) in &history {
            push(&mut batch, &schema, before.as_ref(), after.as_ref());
        }
        if let Err(error) = sink.write(&batch, Durability::Accepted).await {
            failure = Some(error);
            break;
        }
        assert!(
            sink.pending_bytes() < options.pending_bytes_max + 200 * 1024,
            "{} bytes wait",
            sink.pending_bytes()
        );
    }
    let error = failure.expect("a server that is away for good is told");
    assert!(error.is_temporary(), "{error}");
}
