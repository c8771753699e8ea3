//! Rows of a bootstrap beside a stream leave room for the stream's changes; those of a first copy fill the client's queue.

use std::time::Duration;

use headwater_core::Result;
use headwater_core::batch::{Batch, ChangeKind};
use headwater_core::sink::Sink as _;
use headwater_kafka::{KafkaOptions, KafkaSink};
use headwater_servers::Signal;
use headwater_servers::kafka::{Kafka, KafkaOptions as ServerOptions};

use super::support::{accept, barrier, fresh, inserts, on, orders, push, sink};

/// Rows of a batch, and how many of these: eight megabytes, a quarter of the client's queue.
const ROWS: i64 = 1_000;
const BATCHES: i64 = 8;

fn bootstraps(ids: std::ops::Range<i64>) -> Batch {
    let (mut batch, note) = (Batch::new(), "x".repeat(1_000));
    for id in ids {
        let row = Some((id, note.as_str()));
        push(&mut batch, &orders(), ChangeKind::Bootstrap, None, row);
    }
    batch
}

/// Hands over bootstrap rows; the last batch only says that those before it were taken by the client.
async fn copy(sink: &mut KafkaSink) -> Result<()> {
    for number in 0..BATCHES {
        accept(sink, &bootstraps(number * ROWS..(number + 1) * ROWS)).await?;
    }
    accept(sink, &bootstraps(0..1)).await
}

/// A broker that stands still acknowledges nothing: how much the sink takes then does not depend on how fast anything is.
#[tokio::test(flavor = "multi_thread")]
async fn rows_beside_a_stream_wait_where_those_of_a_first_copy_do_not() {
    let server = Kafka::start(&ServerOptions::default()).unwrap();
    let options = |topic: &str| KafkaOptions {
        acknowledge_within: Duration::from_secs(6),
        ..on(&server.bootstrap(), topic, 1)
    };
    let (mut copying, mut streaming) = (
        sink(options(&fresh("copying"))),
        sink(options(&fresh("streaming"))),
    );
    open_with(&mut copying, &bootstraps(0..1)).await;
    open_with(&mut streaming, &inserts(&orders(), 0..1)).await;
    server.signal(Signal::Stop).unwrap();
    let (copied, beside) = (copy(&mut copying).await, copy(&mut streaming).await);
    server.signal(Signal::Continue).unwrap();
    copied.expect("the client's queue has room for a first copy");
    let waited = beside.expect_err("all of it was taken at once");
    assert!(waited.is_temporary(), "{waited}");
}

/// Opens it and writes one batch that is acknowledged: the topic is there, and whether it streams is known.
async fn open_with(sink: &mut KafkaSink, batch: &Batch) {
    sink.open(None).await.unwrap();
    accept(sink, batch).await.unwrap();
    barrier(sink).await.unwrap();
}
