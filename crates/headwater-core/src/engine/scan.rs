//! Reading the rows of opened cuts: readers take splits from one plan, side by side, and hand batches to the writer. A
//! split that loses its reader goes back to the plan; a table whose definition changed is left for the next cut.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::note::Note;
use super::writer::WriterHandle;
use crate::batch::{Batch, ChangeKind};
use crate::checkpoint::TableCopy;
use crate::clock;
use crate::coverage::CutId;
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeyRange;
use crate::position::Position;
use crate::progress::{Progress, TableProgress};
use crate::schema::TableSchema;
use crate::source::{ScanStep, SnapshotReader, Split};

/// A table's part in the plan.
#[derive(Debug)]
pub(super) struct TablePlan {
    pub(super) schema: Arc<TableSchema>,
    pub(super) progress: Arc<TableProgress>,
    /// Ranges that no reader has yet; each may be cut into splits.
    pub(super) unread: VecDeque<KeyRange>,
    pub(super) split_rows: u64,
    pub(super) announced: bool,
    /// Splits being read.
    pub(super) reading: usize,
    /// Left for the next cut: its definition changed, or it has gone.
    pub(super) postponed: Option<Error>,
}

impl TablePlan {
    fn is_open(&self) -> bool {
        self.postponed.is_none() && !self.unread.is_empty()
    }
}

/// What all readers share.
#[derive(Debug)]
pub(super) struct Scan<P> {
    tables: Mutex<Vec<TablePlan>>,
    /// What the notes sent so far make true.
    copy: std::sync::Mutex<Vec<TableCopy>>,
    writer: WriterHandle<P>,
    progress: Arc<Progress>,
    stop: CancellationToken,
}

/// Why a reader ended early.
enum Failure {
    /// It lost its view; what it did not read goes to the others.
    Lost(Error),
    /// The attempt cannot go on.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.kind() == ErrorKind::Connection {
            Self::Lost(error)
        } else {
            Self::Fatal(error)
        }
    }
}

impl<P: Position> Scan<P> {
    /// Hands a batch on, with what is true once it is out.
    async fn send(&self, batch: Batch, note: Note<P>) -> Result<()> {
        note.clone()
            .apply_to(&mut self.copy.lock().unwrap_or_else(PoisonError::into_inner))?;
        self.writer.send(batch, note).await
    }

    async fn send_note(&self, note: Note<P>) -> Result<()> {
        self.send(self.writer.pool.take(), note).await
    }
}

/// A split in a reader's hands.
struct Assigned {
    table: usize,
    split: Split,
    schema: Arc<TableSchema>,
    progress: Arc<TableProgress>,
}

/// What was read, and what was not.
#[derive(Debug)]
pub(super) struct Scanned {
    /// Every table's record, as the checkpoint has it once all batches are out.
    pub(super) copy: Vec<TableCopy>,
    /// Why a table was left for the next cut, if one was.
    pub(super) postponed: Option<Error>,
}

/// Reads everything in `tables` with `readers`. Something is left where readers were lost, tables postponed, or the run was
/// stopped.
pub(super) async fn scan<R: SnapshotReader>(
    tables: Vec<TablePlan>,
    copy: Vec<TableCopy>,
    readers: Vec<(R, CutId)>,
    writer: WriterHandle<R::Position>,
    progress: Arc<Progress>,
    stop: CancellationToken,
) -> Result<Scanned> {
    let (tables, copy) = (Mutex::new(tables), std::sync::Mutex::new(copy));
    let scan = Arc::new(Scan {
        tables,
        copy,
        writer,
        progress,
        stop,
    });
    let mut workers = JoinSet::new();
    for (reader, cut) in readers {
        let scan = Arc::clone(&scan);
        workers.spawn(async move { work(&scan, reader, cut).await });
    }
    let mut fatal = None;
    while let Some(ended) = workers.join_next().await {
        let ended = ended.unwrap_or_else(|cause| {
            let error = Error::new(ErrorKind::Internal, "a reader was interrupted");
            Err(Failure::Fatal(error.caused_by(cause)))
        });
        match ended {
            Ok(()) => {}
            Err(Failure::Lost(error)) => {
                tracing::warn!("a reader was lost, its splits go to the others: {error}");
            }
            Err(Failure::Fatal(error)) => {
                fatal.get_or_insert(error);
                scan.stop.cancel();
            }
        }
    }
    if let Some(error) = fatal {
        return Err(error);
    }
    let copy = std::mem::take(&mut *scan.copy.lock().unwrap_or_else(PoisonError::into_inner));
    let mut tables = scan.tables.lock().await;
    let postponed = tables.iter_mut().find_map(|plan| plan.postponed.take());
    Ok(Scanned { copy, postponed })
}

async fn work<R: SnapshotReader>(
    scan: &Scan<R::Position>,
    mut reader: R,
    cut: CutId,
) -> Result<(), Failure> {
    let result = read_splits(scan, &mut reader, cut).await;
    reader.close().await;
    result
}

async fn read_splits<R: SnapshotReader>(
    scan: &Scan<R::Position>,
    reader: &mut R,
    cut: CutId,
) -> Result<(), Failure> {
    while !scan.stop.is_cancelled() {
        let Some(assigned) = assign(scan, reader).await? else {
            break;
        };
        let mut range = assigned.split.range.clone();
        let begun = reader.begin(&assigned.split).await;
        let is_begun = begun.is_ok();
        let result = match begun {
            Ok(()) => read_split(scan, reader, cut, &assigned, &mut range).await,
            Err(error) => Err(error),
        };
        let whole = result.as_ref().is_ok_and(|whole| *whole);
        let mut tables = scan.tables.lock().await;
        let Some(plan) = tables.get_mut(assigned.table) else {
            break;
        };
        plan.reading -= 1;
        if !whole {
            plan.unread.push_front(range);
        }
        let splittable = plan.schema.can_split();
        match result {
            Ok(_) => {
                if plan.unread.is_empty() && plan.reading == 0 && plan.postponed.is_none() {
                    complete(scan, plan).await?;
                }
            }
            // Part of a table in one piece is out, and no checkpoint knows it: only a rewind can take it back.
            Err(error) if !splittable && is_begun && (error.is_temporary() || is_left(&error)) => {
                return Err(Failure::Fatal(
                    Error::new(
                        ErrorKind::SchemaChanged,
                        "a table that is read in one piece was interrupted",
                    )
                    .with("table", &assigned.split.table)
                    .caused_by(error),
                ));
            }
            Err(error) if is_left(&error) => {
                scan.progress.notice(format!(
                    "{}: left for the next cut: {error}",
                    assigned.split.table
                ));
                plan.postponed = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether the table can be read at another cut, but not at this one.
fn is_left(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::SchemaChanged | ErrorKind::NotFound)
}

/// The next split for a reader: of tables in ranges first, in their order; then of those in one piece, one at a time.
async fn assign<R: SnapshotReader>(
    scan: &Scan<R::Position>,
    reader: &mut R,
) -> Result<Option<Assigned>> {
    let mut tables = scan.tables.lock().await;
    let in_ranges = |plan: &&TablePlan| plan.is_open() && plan.schema.can_split();
    let mut found = tables.iter().position(|plan| in_ranges(&plan));
    if found.is_none() && tables.iter().all(|plan| plan.reading == 0) {
        found = tables.iter().position(TablePlan::is_open);
    }
    let Some(index) = found else { return Ok(None) };
    let plan = &mut tables[index];
    announce(scan, plan).await?;
    let Some(mut range) = plan.unread.pop_front() else {
        return Ok(None);
    };
    let table = plan.schema.name.clone();
    if plan.schema.can_split() {
        let bound = match reader.plan(&table, &range, plan.split_rows).await {
            Ok(bound) => bound,
            Err(error) => {
                plan.unread.push_front(range);
                if is_left(&error) {
                    plan.postponed = Some(error);
                    drop(tables);
                    return Box::pin(assign(scan, reader)).await;
                }
                return Err(error);
            }
        };
        if let Some(bound) = bound {
            let rest = KeyRange {
                after: Some(bound.clone()),
                up_to: range.up_to.take(),
            };
            range.up_to = Some(bound);
            plan.unread.push_front(rest);
            let note = Note::Planned {
                table: table.clone(),
                range: range.clone(),
            };
            scan.send_note(note).await?;
        }
    }
    plan.reading += 1;
    Ok(Some(Assigned {
        table: index,
        split: Split { table, range },
        schema: Arc::clone(&plan.schema),
        progress: Arc::clone(&plan.progress),
    }))
}

async fn announce<P: Position>(scan: &Scan<P>, plan: &mut TablePlan) -> Result<()> {
    if plan.announced {
        return Ok(());
    }
    plan.announced = true;
    let mut batch = scan.writer.pool.take();
    batch.push_table_mark(
        ChangeKind::BootstrapStart,
        &plan.schema,
        clock::now_event_s(),
    );
    scan.send(batch, Note::Announced(plan.schema.name.clone()))
        .await
}

async fn complete<P: Position>(scan: &Scan<P>, plan: &TablePlan) -> Result<()> {
    plan.progress.set_done();
    let mut batch = scan.writer.pool.take();
    batch.push_table_mark(
        ChangeKind::BootstrapComplete,
        &plan.schema,
        clock::now_event_s(),
    );
    let name = plan.schema.name.clone();
    scan.send(batch, Note::Completed(name)).await
}

/// Reads one split, which was begun, to its end. `range` is moved on to what is left of it; says whether nothing is.
async fn read_split<R: SnapshotReader>(
    scan: &Scan<R::Position>,
    reader: &mut R,
    cut: CutId,
    assigned: &Assigned,
    range: &mut KeyRange,
) -> Result<bool> {
    let table = &assigned.split.table;
    let splittable = assigned.schema.can_split();
    if !splittable {
        // What is out so far is saved: from here on nothing can be, until the table is whole.
        scan.writer.save(Note::Hold).await?;
    }
    let mut unsplit_rows = 0;
    loop {
        if scan.stop.is_cancelled() {
            return Ok(false);
        }
        let mut batch: Batch = scan.writer.pool.take();
        let step = reader.read(&mut batch).await?;
        let rows = batch.len() as u64;
        let (note, done) = match step {
            ScanStep::Rows(Some(cursor)) if splittable => {
                let read = KeyRange {
                    after: range.after.replace(cursor.clone()),
                    up_to: Some(cursor),
                };
                let note = Note::Scanned {
                    table: table.clone(),
                    range: read,
                    cut,
                    rows,
                    whole: false,
                };
                (note, false)
            }
            ScanStep::Rows(_) => {
                unsplit_rows += rows;
                (Note::Nothing, false)
            }
            ScanStep::Done => {
                let (rows, whole) = (rows + unsplit_rows, !splittable);
                let read = range.clone();
                (
                    Note::Scanned {
                        table: table.clone(),
                        range: read,
                        cut,
                        rows,
                        whole,
                    },
                    true,
                )
            }
        };
        scan.send(batch, note).await?;
        assigned.progress.add_rows(rows);
        scan.progress.add_snapshot(rows);
        if done {
            return Ok(true);
        }
    }
}
