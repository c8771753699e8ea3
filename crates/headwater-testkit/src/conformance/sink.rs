//! What every sink must keep.

use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead, Transaction};
use headwater_core::error::ErrorKind;
use headwater_core::schema::{KeyOrder, TableSchema};
use headwater_core::sink::{Durability, Receipt, Sink};
use serde_json::{Value, json};

use crate::memory::numbers_schema;
use crate::oracle::Event;
use crate::render;

/// A target, empty at first.
pub trait SinkHarness {
    /// The sink.
    type Sink: Sink;

    /// The sink of a new process, on the same target. The one before is dropped by then, with or without a crash.
    fn sink(&self) -> Self::Sink;

    /// The rows in the target, in order, as [`render::event`] shows them (a NULL column may be left out).
    fn events(&self) -> Vec<Event>;
}

/// A table of the rows that these suites write: `shop.numbers` with `id`, `note` and `version`.
fn schema() -> Arc<TableSchema> {
    let schema = numbers_schema();
    debug_assert_eq!(schema.key_order, KeyOrder::Client);
    schema
}

fn batch(schema: &Arc<TableSchema>, ids: std::ops::Range<i64>) -> Batch {
    let mut batch = Batch::new();
    let number = batch.add_schema(schema);
    let transaction = batch.add_transaction(Transaction {
        xid: Some(7),
        ..Transaction::default()
    });
    for (offset, id) in (0..).zip(ids) {
        let after = batch.mark();
        batch.push_int(id);
        batch.push_text(&format!("note {id}"));
        batch.push_int(id * 10);
        batch.push_row(RowHead {
            kind: ChangeKind::Insert,
            schema: number,
            transaction: Some(transaction),
            before: None,
            after: Some(after),
            timestamp_s: 1_700_000_000,
            offset,
            last: false,
        });
    }
    batch.end_transaction();
    batch
}

fn expected(schema: &Arc<TableSchema>, ids: std::ops::Range<i64>) -> Vec<Event> {
    render::events(&batch(schema, ids))
}

async fn barrier(sink: &mut impl Sink) -> Value {
    match sink
        .write(&Batch::new(), Durability::Durable)
        .await
        .expect("a barrier")
    {
        Receipt::Durable(mark) => mark,
        Receipt::Accepted => panic!("a barrier was answered with `accepted`"),
    }
}

async fn accept(sink: &mut impl Sink, batch: &Batch) {
    sink.write(batch, Durability::Accepted)
        .await
        .expect("rows are taken");
}

/// After a barrier all rows before it are in the target, in order, and stay there without a clean end.
pub async fn rows_before_a_barrier_are_durable_and_in_order<H: SinkHarness>(harness: &H) {
    let schema = schema();
    let mut sink = harness.sink();
    sink.open(None).await.expect("an empty target");
    for start in 0..20 {
        accept(&mut sink, &batch(&schema, start * 10..start * 10 + 10)).await;
    }
    barrier(&mut sink).await;
    drop(sink);
    assert_eq!(harness.events(), expected(&schema, 0..200));
}

/// Rows that must be durable at once are.
pub async fn a_durable_write_is_durable<H: SinkHarness>(harness: &H) {
    let schema = schema();
    let mut sink = harness.sink();
    sink.open(None).await.expect("an empty target");
    let receipt = sink
        .write(&batch(&schema, 0..3), Durability::Durable)
        .await
        .expect("rows are taken");
    assert!(matches!(receipt, Receipt::Durable(_)), "{receipt:?}");
    drop(sink);
    assert_eq!(harness.events(), expected(&schema, 0..3));
}

/// A barrier with nothing before it is durable too, again and again, and adds nothing.
pub async fn barriers_add_nothing<H: SinkHarness>(harness: &H) {
    let mut sink = harness.sink();
    sink.open(None).await.expect("an empty target");
    let first = barrier(&mut sink).await;
    assert_eq!(
        barrier(&mut sink).await,
        first,
        "the mark moved without a row"
    );
    drop(sink);
    assert_eq!(harness.events(), []);
}

/// Opened at a mark again, a sink that rewinds has taken back what came after, and goes on there.
pub async fn what_came_after_the_mark_is_taken_back<H: SinkHarness>(harness: &H) {
    let schema = schema();
    let mut sink = harness.sink();
    if !sink.capabilities().rewinds {
        return;
    }
    sink.open(None).await.expect("an empty target");
    accept(&mut sink, &batch(&schema, 0..10)).await;
    let mark = barrier(&mut sink).await;
    accept(&mut sink, &batch(&schema, 50..60)).await;
    barrier(&mut sink).await;
    accept(&mut sink, &batch(&schema, 60..70)).await;
    sink.open(Some(&mark))
        .await
        .expect("the same process rewinds");
    accept(&mut sink, &batch(&schema, 10..20)).await;
    barrier(&mut sink).await;
    drop(sink);
    assert_eq!(
        harness.events(),
        expected(&schema, 0..20),
        "rewound by the same process"
    );
    let mut sink = harness.sink();
    sink.open(Some(&mark))
        .await
        .expect("the next process rewinds");
    assert_eq!(
        harness.events(),
        expected(&schema, 0..10),
        "rewound by the next process"
    );
    accept(&mut sink, &batch(&schema, 10..30)).await;
    barrier(&mut sink).await;
    drop(sink);
    assert_eq!(harness.events(), expected(&schema, 0..30));
}

/// Without a mark, a sink that rewinds refuses a target which already holds something, and leaves it alone.
pub async fn a_target_that_is_not_empty_is_refused_without_a_mark<H: SinkHarness>(harness: &H) {
    let schema = schema();
    let mut sink = harness.sink();
    if !sink.capabilities().rewinds {
        return;
    }
    sink.open(None).await.expect("an empty target");
    accept(&mut sink, &batch(&schema, 0..10)).await;
    barrier(&mut sink).await;
    drop(sink);
    let error = harness
        .sink()
        .open(None)
        .await
        .expect_err("what is there is not ours");
    assert!(!error.is_temporary(), "{error:?}");
    assert!(error.hint_text().is_some(), "says what to do: {error:?}");
    assert_eq!(
        harness.events(),
        expected(&schema, 0..10),
        "a refused target was touched"
    );
}

/// A target that is shorter than its mark is refused, and left alone.
pub async fn a_target_that_lost_rows_is_refused<H: SinkHarness>(harness: &H, empty: &H) {
    let schema = schema();
    let mut sink = harness.sink();
    if !sink.capabilities().rewinds {
        return;
    }
    sink.open(None).await.expect("an empty target");
    accept(&mut sink, &batch(&schema, 0..10)).await;
    let mark = barrier(&mut sink).await;
    drop(sink);
    let error = empty
        .sink()
        .open(Some(&mark))
        .await
        .expect_err("the rows have gone");
    assert!(!error.is_temporary(), "{error:?}");
}

/// Of a sink that keeps the checkpoint: the next process gets back the document of the last commit, and the rows of all
/// commits are there, once and in order.
pub async fn rows_and_checkpoint_are_committed_together<H: SinkHarness>(harness: &H) {
    let schema = schema();
    let mut sink = harness.sink();
    assert!(sink.capabilities().keeps_checkpoint);
    assert_eq!(sink.recover().await.expect("an empty target"), None);
    sink.open(None).await.expect("ready");
    for turn in 0..5 {
        accept(&mut sink, &batch(&schema, turn * 10..turn * 10 + 5)).await;
        accept(&mut sink, &batch(&schema, turn * 10 + 5..turn * 10 + 10)).await;
        sink.commit(&json!({ "turn": turn }))
            .await
            .expect("a commit");
    }
    // Progress without rows.
    sink.commit(&json!({ "turn": "last" }))
        .await
        .expect("a commit");
    drop(sink);
    assert_eq!(harness.events(), expected(&schema, 0..50));
    let found = harness.sink().recover().await.expect("the next process");
    assert_eq!(found, Some(json!({ "turn": "last" })));
    assert_eq!(harness.events(), expected(&schema, 0..50));
}

/// Of a sink that keeps the checkpoint: rows that were not committed are not there, neither after the same process has
/// recovered nor after the next one has.
pub async fn what_is_not_committed_is_never_seen<H: SinkHarness>(harness: &H) {
    let schema = schema();
    let mut sink = harness.sink();
    sink.recover().await.expect("an empty target");
    sink.open(None).await.expect("ready");
    accept(&mut sink, &batch(&schema, 0..10)).await;
    sink.commit(&json!(1)).await.expect("a commit");
    accept(&mut sink, &batch(&schema, 70..80)).await;
    let found = sink.recover().await.expect("the same process recovers");
    assert_eq!(found, Some(json!(1)));
    sink.open(None).await.expect("ready");
    accept(&mut sink, &batch(&schema, 10..20)).await;
    sink.commit(&json!(2)).await.expect("a commit");
    accept(&mut sink, &batch(&schema, 80..90)).await;
    drop(sink);
    let mut sink = harness.sink();
    let found = sink.recover().await.expect("the next process recovers");
    assert_eq!(found, Some(json!(2)));
    sink.open(None).await.expect("ready");
    accept(&mut sink, &batch(&schema, 20..30)).await;
    sink.commit(&json!(3)).await.expect("a commit");
    drop(sink);
    assert_eq!(harness.events(), expected(&schema, 0..30));
}

/// Of a sink that keeps the checkpoint: once a second process has recovered, nothing of the first is ever committed, and the
/// first is told so for good (`Locked`).
pub async fn a_newcomer_fences_off_who_was_there<H: SinkHarness>(harness: &H) {
    let schema = schema();
    let mut first = harness.sink();
    first.recover().await.expect("an empty target");
    first.open(None).await.expect("ready");
    accept(&mut first, &batch(&schema, 0..10)).await;
    first.commit(&json!("first")).await.expect("a commit");
    accept(&mut first, &batch(&schema, 50..60)).await;
    let mut second = harness.sink();
    let found = second.recover().await.expect("a newcomer takes over");
    assert_eq!(found, Some(json!("first")));
    second.open(None).await.expect("ready");
    let written = first
        .write(&batch(&schema, 60..70), Durability::Accepted)
        .await;
    let committed = first.commit(&json!("too late")).await;
    assert!(written.is_err() || committed.is_err(), "both can write");
    let error = first.recover().await.expect_err("it has been replaced");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    assert!(error.hint_text().is_some(), "says what to do: {error:?}");
    accept(&mut second, &batch(&schema, 10..20)).await;
    second.commit(&json!("second")).await.expect("a commit");
    drop((first, second));
    assert_eq!(harness.events(), expected(&schema, 0..20));
}
