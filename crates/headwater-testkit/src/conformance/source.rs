//! What every source must keep.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use headwater_core::batch::{Batch, Verdict};
use headwater_core::error::Result;
use headwater_core::key::{Key, KeyRange};
use headwater_core::position::Position;
use headwater_core::schema::TableName;
use headwater_core::source::{
    CutRequest, Cuts, LiveSource, LiveStep, LogPoint, ScanStep, SnapshotReader, Source, Split,
    TableInfo,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::oracle::{Event, History, Image, Keys, Oracle};
use crate::render;

/// A source with a few tables of some rows (each with a key, at least one of them with several hundred rows), and a way to
/// change it.
pub trait SourceHarness: Sync {
    /// The source.
    type Source: Source;

    /// The source.
    fn source(&self) -> &Self::Source;

    /// Commits `count` random transactions; a few of them with at least 100 rows.
    fn change(&self, count: u64) -> impl Future<Output = ()> + Send;

    /// The rows of every table now, as [`render::image`] shows them. Nothing changes meanwhile.
    fn contents(&self) -> impl Future<Output = BTreeMap<String, Vec<Image>>> + Send;

    /// The columns of each table's key.
    fn keys(&self) -> Keys;
}

type PositionOf<H> = <<H as SourceHarness>::Source as Source>::Position;

async fn open<H: SourceHarness>(harness: &H) -> Cuts<<H::Source as Source>::Reader> {
    let request = CutRequest {
        at_least: None,
        readers: 1,
    };
    harness.source().open_cuts(request).await.expect("a cut")
}

async fn read<R: SnapshotReader>(reader: &mut R, table: &TableInfo, range: KeyRange) -> Vec<Event> {
    let split = Split {
        table: table.schema.name.clone(),
        range,
    };
    reader.begin(&split).await.expect("a split begins");
    let mut events = Vec::new();
    loop {
        let mut batch = Batch::new();
        let step = reader.read(&mut batch).await.expect("rows");
        events.extend(render::events(&batch));
        if step == ScanStep::Done {
            return events;
        }
    }
}

/// Follows the log from `point` to `target`. Gives the rows, and where each batch ended.
async fn follow<H: SourceHarness>(
    harness: &H,
    point: &LogPoint<PositionOf<H>>,
    definitions: &Value,
    target: &PositionOf<H>,
) -> Result<Vec<(Vec<Event>, LogPoint<PositionOf<H>>)>> {
    let mut live = harness.source().open_live(point, definitions).await?;
    live.set_target(Some(target.clone()));
    let mut batches = Vec::new();
    loop {
        let mut batch = Batch::new();
        let step = live.next(&mut batch).await?;
        let (LiveStep::Rows(point) | LiveStep::Idle(point) | LiveStep::Reached(point)) = &step;
        batches.push((render::events(&batch), point.clone()));
        if matches!(step, LiveStep::Reached(_)) {
            live.close().await;
            return Ok(batches);
        }
    }
}

fn flat<P>(batches: Vec<(Vec<Event>, LogPoint<P>)>) -> Vec<Event> {
    batches.into_iter().flat_map(|(events, _)| events).collect()
}

fn at<P>(position: P) -> LogPoint<P> {
    LogPoint::at(position)
}

/// The rows of a cut and the log after it are the tables.
///
/// For sources that know their cut's position from the start; a cut by marks is exact only once the engine has merged it.
pub async fn a_cut_is_exact<H: SourceHarness>(harness: &H) {
    harness.change(20).await;
    let Cuts {
        readers,
        tables,
        definitions,
    } = open(harness).await;
    harness.change(20).await;
    let mut events = Vec::new();
    let mut cut = None;
    for (number, mut reader) in readers.into_iter().enumerate() {
        if number > 0 {
            reader.close().await;
            continue;
        }
        for table in &tables {
            events.extend(read(&mut reader, table, KeyRange::default()).await);
            harness.change(5).await;
        }
        cut = reader.cut().cloned();
        let finished = reader.finish().await.expect("the cut ends");
        assert_eq!(
            Some(&finished),
            cut.as_ref(),
            "a cut that was known changed"
        );
        reader.close().await;
    }
    let cut = cut.expect("a cut that is known from the start");
    let (end, _) = harness
        .source()
        .current()
        .await
        .expect("the end of the log");
    let changes = follow(harness, &at(cut), &definitions, &end)
        .await
        .expect("the log");
    events.extend(flat(changes));
    let mut history = History::new(harness.keys());
    history.initial = harness.contents().await;
    let oracle = Oracle::new(history);
    let began = crate::oracle::Began::WithCopy;
    oracle
        .check_final(&events, began)
        .expect("the cut and the log after it are the tables");
}

/// Splits planned one after the other hold every row once.
pub async fn planned_splits_hold_every_row_once<H: SourceHarness>(harness: &H) {
    let Cuts {
        readers, tables, ..
    } = open(harness).await;
    let mut readers = readers.into_iter();
    let mut reader = readers.next().expect("a reader");
    for other in readers {
        other.close().await;
    }
    for table in tables.iter().filter(|table| table.schema.can_split()) {
        let name: &TableName = &table.schema.name;
        let whole = read(&mut reader, table, KeyRange::default()).await;
        for rows in [1, 7, 100] {
            let mut events = Vec::new();
            let mut rest = KeyRange::default();
            while let Some(bound) = reader.plan(name, &rest, rows).await.expect("a plan") {
                assert_ne!(
                    rest.after.as_ref(),
                    Some(&bound),
                    "{name}: the plan stands still"
                );
                let split = KeyRange {
                    after: rest.after.replace(bound.clone()),
                    up_to: Some(bound),
                };
                let read = read(&mut reader, table, split).await;
                let most = usize::try_from(rows)
                    .unwrap_or(usize::MAX)
                    .saturating_mul(4);
                assert!(
                    read.len() <= most,
                    "{name}: {} rows in a split of {rows}",
                    read.len()
                );
                events.extend(read);
                if rows == 1 && events.len() >= 50 {
                    break;
                }
            }
            events.extend(read(&mut reader, table, rest).await);
            assert_eq!(events, whole, "{name} in splits of {rows} rows");
        }
    }
    reader.close().await;
}

/// A split goes on behind the key that a batch ended at, and misses nothing.
pub async fn a_split_goes_on_from_its_cursor<H: SourceHarness>(harness: &H) {
    let Cuts {
        readers, tables, ..
    } = open(harness).await;
    let mut readers = readers.into_iter();
    let mut reader = readers.next().expect("a reader");
    for other in readers {
        other.close().await;
    }
    for table in tables.iter().filter(|table| table.schema.can_split()) {
        let whole = read(&mut reader, table, KeyRange::default()).await;
        let mut events = Vec::new();
        let mut range = KeyRange::default();
        loop {
            let split = Split {
                table: table.schema.name.clone(),
                range: range.clone(),
            };
            reader.begin(&split).await.expect("a split begins");
            let mut batch = Batch::new();
            let step = reader.read(&mut batch).await.expect("rows");
            events.extend(render::events(&batch));
            match step {
                ScanStep::Rows(Some(cursor)) => range.after = Some(cursor),
                ScanStep::Rows(None) => panic!("a table with a key has a cursor"),
                ScanStep::Done => break,
            }
        }
        assert_eq!(events, whole, "{}", table.schema.name);
    }
    reader.close().await;
}

/// Rows that are asked for by their keys are those that splits hold.
pub async fn keys_are_read_as_splits_are<H: SourceHarness>(harness: &H) {
    let Cuts {
        readers, tables, ..
    } = open(harness).await;
    let mut readers = readers.into_iter();
    let mut reader = readers.next().expect("a reader");
    for other in readers {
        other.close().await;
    }
    harness.change(20).await;
    for table in tables.iter().filter(|table| table.schema.can_split()) {
        let name: &TableName = &table.schema.name;
        let split = Split {
            table: name.clone(),
            range: KeyRange::default(),
        };
        reader.begin(&split).await.expect("a split begins");
        let mut whole = Batch::new();
        while reader.read(&mut whole).await.expect("rows") != ScanStep::Done {}
        let chosen = |index: &usize| index.is_multiple_of(3);
        let rows = (0..whole.len()).filter(chosen);
        let rows = rows.filter_map(|index| whole.row(index)?.after());
        let keys: Vec<Key> = rows.filter_map(|image| Key::of(&image)).collect();
        let (mut met, mut unmet) = (Batch::new(), Batch::new());
        let read = reader.read_keys(name, &keys, &mut met, &mut unmet).await;
        read.expect("rows by their keys");
        let verdicts: Vec<Verdict> = (0..whole.len())
            .map(|index| match chosen(&index) {
                true => Verdict::Keep,
                false => Verdict::Drop,
            })
            .collect();
        whole.retain(&verdicts);
        let sorted = |batch: &Batch| {
            let mut rows: Vec<_> = render::events(batch)
                .into_iter()
                .map(|event| event.after)
                .collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(&met), sorted(&whole), "{name}");
        assert!(unmet.is_empty(), "{name} has no condition");
    }
    reader.close().await;
}

/// The log stops exactly at its target: what came by two targets is what comes by one.
pub async fn the_log_stops_at_its_target<H: SourceHarness>(harness: &H) {
    let source = harness.source();
    let (start, definitions) = source.current().await.expect("the end of the log");
    let before = harness.contents().await;
    harness.change(20).await;
    let (middle, _) = source.current().await.expect("the end of the log");
    let contents = harness.contents().await;
    harness.change(20).await;
    let (end, _) = source.current().await.expect("the end of the log");
    let first = follow(harness, &at(start.clone()), &definitions, &middle)
        .await
        .expect("the log");
    let reached = first
        .last()
        .map(|(_, point)| point.clone())
        .expect("a last step");
    assert_eq!(reached.rows_done, 0, "a target is between two transactions");
    assert!(reached.position.includes(&middle) && middle.includes(&reached.position));
    let mut history = History::new(harness.keys());
    history.initial = before;
    for (number, event) in (1..).zip(flat(first.clone())) {
        history.push(number, event);
    }
    Oracle::new(history)
        .check_tables(&contents)
        .expect("the tables at the target");
    let mut both = flat(first);
    let rest = follow(harness, &reached, &definitions, &end)
        .await
        .expect("the log");
    both.extend(flat(rest));
    let whole = follow(harness, &at(start), &definitions, &end)
        .await
        .expect("the log");
    assert_eq!(both, flat(whole));
}

/// From every point that a batch ended at, the log goes on with what came after it: also within a transaction.
pub async fn the_log_goes_on_from_every_point<H: SourceHarness>(harness: &H) {
    let source = harness.source();
    let (start, definitions) = source.current().await.expect("the end of the log");
    harness.change(15).await;
    let (end, _) = source.current().await.expect("the end of the log");
    let batches = follow(harness, &at(start), &definitions, &end)
        .await
        .expect("the log");
    let whole = flat(batches.clone());
    let mut out = 0;
    for (events, point) in batches {
        out += events.len();
        let rest = follow(harness, &point, &definitions, &end)
            .await
            .expect("the log");
        assert_eq!(
            flat(rest),
            whole.get(out..).unwrap_or_default(),
            "from {point:?}"
        );
    }
}

/// Nothing is lost or repeated when a call for the next rows is given up at any of its waits.
pub async fn a_call_given_up_loses_nothing<H: SourceHarness>(harness: &H, seed: u64) {
    let source = harness.source();
    let (start, definitions) = source.current().await.expect("the end of the log");
    harness.change(40).await;
    let (end, _) = source.current().await.expect("the end of the log");
    let whole = follow(harness, &at(start.clone()), &definitions, &end)
        .await
        .expect("the log");
    let mut random = StdRng::seed_from_u64(seed);
    let mut live = source
        .open_live(&at(start), &definitions)
        .await
        .expect("the log opens");
    live.set_target(Some(end));
    let mut events = Vec::new();
    loop {
        let mut batch = Batch::new();
        let patience = random.random_range(0..4);
        let step = poll_at_most(live.next(&mut batch), patience).await;
        let Some(step) = step else { continue };
        events.extend(render::events(&batch));
        if matches!(step.expect("a step"), LiveStep::Reached(_)) {
            break;
        }
        // So that a call which needs many waits ends some time.
        let mut batch = Batch::new();
        let step = live.next(&mut batch).await.expect("a step");
        events.extend(render::events(&batch));
        if matches!(step, LiveStep::Reached(_)) {
            break;
        }
    }
    live.close().await;
    assert_eq!(events, flat(whole));
}

/// Waits for `future` through at most `times` wake-ups, then gives it up.
async fn poll_at_most<F: Future>(future: F, times: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
