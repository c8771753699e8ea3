//! Brokers that go away, come back, or stand still, without transactions: nothing is lost, each key stays in order, and
//! memory has a bound.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use headwater_core::Result;
use headwater_core::sink::Sink as _;
use headwater_kafka::{KafkaOptions, KafkaSink};
use headwater_servers::Signal;
use headwater_servers::kafka::{Kafka, KafkaOptions as ServerOptions};

use super::support::{
    Read, accept, barrier, fresh, inserts, on, orders, read, resident_bytes, sink,
};

/// As the engine does: a barrier now and then, and from the last one on again after a failure that may pass.
async fn write_to(sink: &mut KafkaSink, end: i64) -> Result<()> {
    let mut durable = 0;
    loop {
        match attempt(sink, &mut durable, end).await {
            Err(error) if error.is_temporary() => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            done => return done,
        }
    }
}

async fn attempt(sink: &mut KafkaSink, durable: &mut i64, end: i64) -> Result<()> {
    sink.open(None).await?;
    let schema = orders();
    let mut next = *durable;
    while next < end {
        accept(sink, &inserts(&schema, next..next + 100)).await?;
        next += 100;
        if next % 1_000 == 0 {
            barrier(sink).await?;
            *durable = next;
        }
    }
    barrier(sink).await.map(drop)
}

/// Every id is there, and in each partition the first occurrences are in order. With `repeats`, runs may come again.
fn judge(found: &[Read], end: i64, repeats: bool) {
    let mut by_partition: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for record in found {
        by_partition
            .entry(record.partition)
            .or_default()
            .push(record.id());
    }
    let mut all = Vec::new();
    for (partition, ids) in by_partition {
        let mut highest = -1;
        for pair in ids.windows(2) {
            let is_next = pair[1] > pair[0];
            assert!(
                is_next || repeats,
                "partition {partition}: {} after {}",
                pair[1],
                pair[0]
            );
        }
        for id in ids {
            if id > highest {
                highest = id;
                all.push(id);
            }
        }
    }
    all.sort_unstable();
    assert_eq!(all, (0..end).collect::<Vec<_>>());
}

fn options(bootstrap: &str, topic: &str) -> KafkaOptions {
    KafkaOptions {
        partition_by: headwater_format::maxwell::partition::PartitionBy::PrimaryKey,
        ..on(bootstrap, topic, 3)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_and_kills_of_the_broker_under_load_lose_repeat_and_reorder_nothing() {
    let mut server = Kafka::start(&ServerOptions::default()).unwrap();
    let (bootstrap, topic) = (server.bootstrap(), fresh("restarts"));
    let options = options(&bootstrap, &topic);
    let end = 300_000;
    let writing = tokio::spawn(async move { write_to(&mut sink(options), end).await });
    let server = tokio::task::spawn_blocking(move || {
        for turn in 0..3 {
            std::thread::sleep(Duration::from_millis(1_500));
            if turn == 1 {
                server.kill().unwrap();
            }
            server.restart().unwrap();
        }
        server
    })
    .await
    .unwrap();
    tokio::time::timeout(Duration::from_secs(180), writing)
        .await
        .expect("it does not go on")
        .unwrap()
        .unwrap();
    // Waited for in place: nothing needed to be written again.
    judge(&read(&bootstrap, &topic), end, false);
    drop(server);
}

/// Makes this test binary play the process whose memory is looked at: other tests take memory, too. It says for how many
/// seconds the broker stands still.
const ROLE: &str = "HEADWATER_KAFKA_TEST_ALONE";

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stands_still_is_waited_for_with_bounded_memory() {
    // Longer than the request's time-out, and than the sink waits before it begins again.
    stands_still_for(
        "a_broker_that_stands_still_is_waited_for_with_bounded_memory",
        "16",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "an hour: cargo xtask soak"]
async fn soak_a_broker_that_stands_still_for_an_hour() {
    stands_still_for("soak_a_broker_that_stands_still_for_an_hour", "3600").await;
}

async fn stands_still_for(test: &str, seconds: &str) {
    if let Ok(seconds) = std::env::var(ROLE) {
        return stand_still(seconds.parse().unwrap()).await;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--include-ignored", "--exact", "--nocapture"])
        .arg(format!("outages::{test}"))
        .env(ROLE, seconds)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

async fn stand_still(seconds: u64) {
    let server = Kafka::start(&ServerOptions::default()).unwrap();
    let (bootstrap, topic) = (server.bootstrap(), fresh("paused"));
    let options = KafkaOptions {
        buffer_bytes_max: 4 * 1024 * 1024,
        acknowledge_within: Duration::from_secs(6),
        // Requests that the broker does not answer time out, and are sent again.
        properties: vec![("socket.timeout.ms".to_owned(), "3000".into())],
        ..options(&bootstrap, &topic)
    };
    let end = 400_000;
    let mut sink = sink(options);
    sink.open(None).await.unwrap();
    accept(&mut sink, &inserts(&orders(), 0..0)).await.unwrap();
    let writing = tokio::spawn(async move { write_to(&mut sink, end).await });
    let (server, grown) = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_secs(1));
        server.signal(Signal::Stop).unwrap();
        let before = resident_bytes();
        let mut highest = before;
        for _ in 0..seconds * 10 {
            std::thread::sleep(Duration::from_millis(100));
            highest = highest.max(resident_bytes());
        }
        server.signal(Signal::Continue).unwrap();
        (server, highest - before)
    })
    .await
    .unwrap();
    tokio::time::timeout(Duration::from_secs(120), writing)
        .await
        .expect("it does not go on")
        .unwrap()
        .unwrap();
    // Four hundred thousand events are sixty megabytes, and as many again in the client.
    assert!(grown < 24 * 1024 * 1024, "grown by {grown} bytes");
    judge(&read(&bootstrap, &topic), end, true);
    drop(server);
}
