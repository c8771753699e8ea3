//! Events and checkpoint in one transaction, whatever happens in between.

use std::time::Duration;

use headwater_core::failpoint::Failpoints;
use headwater_core::sink::Sink as _;
use headwater_core::{ErrorKind, Result};
use headwater_format::maxwell::{Encoder, Options};
use headwater_kafka::{ExactlyOnce, KafkaOptions, KafkaSink};
use headwater_servers::Signal;
use headwater_servers::kafka::{self, Kafka, KafkaOptions as ServerOptions};
use serde_json::{Value, json};

use super::support::{accept, fresh, inserts, on, options, orders, read, sink};

fn exactly_once(options: KafkaOptions) -> KafkaOptions {
    KafkaOptions {
        exactly_once: Some(ExactlyOnce::new(fresh("id"))),
        ..options
    }
}

fn ids(bootstrap: &str, topic: &str) -> Vec<i64> {
    let found = read(bootstrap, topic);
    let mut ids: Vec<i64> = found.iter().map(super::support::Read::id).collect();
    ids.sort_unstable();
    ids
}

/// As the engine does: goes on from the checkpoint, again and again, until `end` ids are committed, some at a time.
async fn write_to(sink: &mut KafkaSink, end: i64, step: i64) -> Result<()> {
    let mut attempts = 0;
    loop {
        match attempt(sink, end, step).await {
            Err(error) if error.is_temporary() && attempts < 50 => {
                attempts += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            done => return done,
        }
    }
}

async fn attempt(sink: &mut KafkaSink, end: i64, step: i64) -> Result<()> {
    let found = sink.recover().await?;
    let mut next = found.as_ref().and_then(Value::as_i64).unwrap_or(0);
    sink.open(None).await?;
    while next < end {
        accept(sink, &inserts(&orders(), next..next + step)).await?;
        next += step;
        sink.commit(&json!(next)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten() {
    let topic = fresh("lost-answer");
    let options = exactly_once(options(&topic, 3));
    for points in ["kafka.committed=error@3", "kafka.acknowledged=error@3"] {
        let armed = Failpoints::parse(points, || panic!("died")).unwrap();
        let mut sink = KafkaSink::new(options.clone(), Encoder::new(Options::default()))
            .unwrap()
            .with_failpoints(armed);
        let error = write_to(&mut sink, 1_000, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "the failpoint's");
        // The same process, after the failure.
        attempt(&mut sink, 50, 10).await.unwrap();
    }
    // The next process.
    write_to(&mut sink(options), 100, 10).await.unwrap();
    let bootstrap = kafka::shared().unwrap();
    assert_eq!(ids(&bootstrap, &topic), (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_at_once_the_newcomer_stays() {
    let topic = fresh("two");
    let options = exactly_once(options(&topic, 3));
    let first = tokio::spawn({
        let options = options.clone();
        async move { write_to(&mut sink(options), i64::MAX, 10).await }
    });
    let bootstrap = kafka::shared().unwrap();
    // It writes without a pause, so its topic has no end that could be read to.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut second = sink(options);
    let found = second.recover().await.unwrap().unwrap();
    let error = tokio::time::timeout(Duration::from_secs(180), first)
        .await
        .expect("the first does not notice")
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    let end = found.as_i64().unwrap() + 100;
    write_to(&mut second, end, 10).await.unwrap();
    assert_eq!(ids(&bootstrap, &topic), (0..end).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_time_was_over_is_written_again() {
    // The broker looks for transactions whose time is over every ten seconds unless told otherwise.
    let server = Kafka::start(&ServerOptions::with(&[
        "transaction.abort.timed.out.transaction.cleanup.interval.ms=200",
    ]))
    .unwrap();
    let topic = fresh("expired");
    let options = KafkaOptions {
        exactly_once: Some(ExactlyOnce {
            transaction_timeout: Duration::from_secs(5),
            ..ExactlyOnce::new("expired")
        }),
        ..on(&server.bootstrap(), &topic, 3)
    };
    let mut sink = sink(options);
    attempt(&mut sink, 20, 10).await.unwrap();
    accept(&mut sink, &inserts(&orders(), 20..30))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let late = sink.commit(&json!(30)).await.unwrap_err();
    assert!(late.is_temporary(), "{late:?}");
    write_to(&mut sink, 50, 10).await.unwrap();
    assert_eq!(
        ids(&server.bootstrap(), &topic),
        (0..50).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_one_that_stands_still_lose_and_repeat_nothing() {
    let mut server = Kafka::start(&ServerOptions::default()).unwrap();
    let (bootstrap, topic) = (server.bootstrap(), fresh("killed"));
    let options = KafkaOptions {
        exactly_once: Some(ExactlyOnce {
            transaction_timeout: Duration::from_secs(10),
            ..ExactlyOnce::new("killed")
        }),
        acknowledge_within: Duration::from_secs(8),
        ..on(&bootstrap, &topic, 3)
    };
    let end = 30_000;
    let writing = tokio::spawn(async move { write_to(&mut sink(options), end, 50).await });
    let server = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_secs(2));
        server.kill().unwrap();
        server.restart().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        server.signal(Signal::Stop).unwrap();
        // Longer than a transaction may last.
        std::thread::sleep(Duration::from_secs(14));
        server.signal(Signal::Continue).unwrap();
        server
    })
    .await
    .unwrap();
    tokio::time::timeout(Duration::from_secs(180), writing)
        .await
        .expect("it does not go on")
        .unwrap()
        .unwrap();
    assert_eq!(ids(&bootstrap, &topic), (0..end).collect::<Vec<_>>());
    drop(server);
}
