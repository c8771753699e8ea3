//! Outages drawn from a seed, under load: the broker is restarted, killed, or stands still. A few of them in CI, always the
//! same; many in a soak (`cargo xtask soak`). `HEADWATER_SEED` plays one again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_core::Result;
use headwater_core::sink::Sink as _;
use headwater_format::maxwell::partition::PartitionBy;
use headwater_kafka::{ExactlyOnce, KafkaOptions, KafkaSink};
use headwater_servers::Signal;
use headwater_servers::kafka::{Kafka, KafkaOptions as ServerOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::support::{Read, accept, barrier, inserts, on, orders, read, sink};

const TOPIC: &str = "outages";

fn seed() -> u64 {
    let given = std::env::var("HEADWATER_SEED").ok();
    let is_soak = std::env::var_os("HEADWATER_SOAK").is_some();
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| match is_soak {
            true => rand::rng().random(),
            false => 20_261_121,
        })
}

/// Writes ids in order until told to stop, from the last durable point on again after a failure. Says how many.
async fn write_until(sink: &mut KafkaSink, stop: &AtomicBool) -> Result<i64> {
    let mut durable = 0;
    loop {
        match attempt(sink, &mut durable, stop).await {
            Ok(()) => return Ok(durable),
            Err(error) if error.is_temporary() => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn attempt(sink: &mut KafkaSink, durable: &mut i64, stop: &AtomicBool) -> Result<()> {
    let keeps_checkpoint = sink.capabilities().keeps_checkpoint;
    if keeps_checkpoint {
        let found = sink.recover().await?;
        *durable = found.as_ref().and_then(Value::as_i64).unwrap_or(0);
    }
    sink.open(None).await?;
    let schema = orders();
    let mut next = *durable;
    loop {
        for _ in 0..5 {
            accept(sink, &inserts(&schema, next..next + 20)).await?;
            next += 20;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if keeps_checkpoint {
            sink.commit(&json!(next)).await?;
        } else {
            barrier(sink).await?;
        }
        *durable = next;
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

fn outage(server: &mut Kafka, random: &mut StdRng) {
    std::thread::sleep(Duration::from_millis(random.random_range(200..3_000)));
    match random.random_range(0..3) {
        0 => server.restart().unwrap(),
        1 => {
            server.kill().unwrap();
            std::thread::sleep(Duration::from_millis(random.random_range(0..2_000)));
            server.restart().unwrap();
        }
        _ => {
            server.signal(Signal::Stop).unwrap();
            std::thread::sleep(Duration::from_millis(random.random_range(500..12_000)));
            server.signal(Signal::Continue).unwrap();
        }
    }
}

/// Each id is there; in each partition in order, and once unless `repeats`.
fn judge(seed: u64, found: &[Read], end: i64, repeats: bool) {
    let mut by_partition: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for record in found {
        let ids = by_partition.entry(record.partition).or_default();
        ids.push(record.id());
    }
    let mut all = Vec::new();
    for (partition, ids) in &by_partition {
        let mut highest = -1;
        for &id in ids {
            assert!(
                id > highest || repeats,
                "seed {seed}: partition {partition}: {id} after {highest}"
            );
            if id > highest {
                highest = id;
                all.push(id);
            }
        }
        // What was repeated was repeated to the end: nothing old comes last.
        assert_eq!(ids.last(), Some(&highest), "seed {seed}: {partition}");
    }
    all.sort_unstable();
    assert_eq!(all, (0..end).collect::<Vec<_>>(), "seed {seed}");
}

async fn play(outages: u32, exactly_once: bool) {
    let seed = seed();
    let mut server = Kafka::start(&ServerOptions::default()).unwrap();
    let bootstrap = server.bootstrap();
    let options = KafkaOptions {
        partition_by: PartitionBy::PrimaryKey,
        acknowledge_within: Duration::from_secs(5),
        properties: vec![("socket.timeout.ms".to_owned(), "2000".into())],
        exactly_once: exactly_once.then(|| ExactlyOnce {
            transaction_timeout: Duration::from_secs(6),
            ..ExactlyOnce::new("outages")
        }),
        ..on(&bootstrap, TOPIC, 3)
    };
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move { write_until(&mut sink(options), &stop).await }
    });
    let server = tokio::task::spawn_blocking(move || {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..outages {
            outage(&mut server, &mut random);
        }
        server
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    let end = tokio::time::timeout(Duration::from_secs(120), writing)
        .await
        .unwrap_or_else(|_| panic!("seed {seed}: it does not go on"))
        .unwrap()
        .unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    assert!(end > 0);
    judge(seed, &read(&bootstrap, TOPIC), end, !exactly_once);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_lose_and_reorder_nothing() {
    play(3, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_lose_and_repeat_nothing_with_exactly_once() {
    play(3, true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the full number of outages: cargo xtask soak"]
async fn soak_outages() {
    play(30, false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the full number of outages: cargo xtask soak"]
async fn soak_outages_with_exactly_once() {
    play(30, true).await;
}
