//! Cuts by marks, for a server on which no lock is to be had: chunk by chunk, each read between a low and a high mark while
//! emission is held, and mended with the log's changes between the two. See [`super::window`]; where a condition bounds the
//! table, keys that changed between the marks are read again: [`super::bounded`].

use super::Attempt;
use super::bounded::Bounded;
use super::note::{CutOpened, Note};
use super::options::Ended;
use super::window::{Chunk, Closed, Window};
use crate::batch::{Batch, ChangeKind};
use crate::checkpoint::TableCopy;
use crate::clock;
use crate::coverage::CutId;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::key::{Key, KeyRange};
use crate::progress::{Phase, Progress, TableProgress};
use crate::schema::{TableName, TableSchema};
use crate::source::{
    ChunkRequest, ChunkRows, CutRequest, LogPoint, ScanStep, SnapshotReader, Source, Split,
    TableInfo,
};

/// Bytes of a chunk: it is held in memory.
const CHUNK_BYTES_MAX: usize = 16 << 20;
/// Keys that are read again in one window: their rows are held in memory, met or not.
const KEYS_AGAIN_MAX: usize = 1_000;
/// Windows in a row that may leave as many keys pending as there were, before the attempt is given up. The log's images of a
/// key hold what a view shows of it, so that one is enough; more are needed only while the definition changes.
const IDLE_WINDOWS_MAX: u32 = 10;

/// Why the copy of a table ended early.
enum Failure {
    /// Its rest is read in the next round.
    Later(Error),
    /// The attempt cannot go on.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::SchemaChanged | ErrorKind::NotFound => Self::Later(error),
            _ => Self::Fatal(error),
        }
    }
}

impl<S: Source> Attempt<'_, S> {
    /// Copies what is left, chunk by chunk. `readers` are the first chunk's.
    pub(super) async fn copy_by_marks(
        &mut self,
        readers: Vec<S::Reader>,
        tables: Vec<TableInfo>,
        copy: Vec<TableCopy>,
    ) -> Result<(Ended, Option<Error>)> {
        for reader in readers {
            reader.close().await;
        }
        let is_left = |table: &&TableInfo| {
            let known = copy.iter().find(|copy| copy.name == table.schema.name);
            !table.schema.can_split() && known.is_some_and(|copy| !copy.coverage.is_complete())
        };
        if let Some(table) = tables.iter().find(is_left) {
            return Err(Error::new(ErrorKind::Prerequisite, "a table without a usable key cannot be copied without a lock")
                .with("table", &table.schema.name)
                .hint("GRANT RELOAD ON *.* TO the user (or LOCK TABLES on the database), give the table a primary key, or leave it out"));
        }
        let (log, definitions) = match self.log_point() {
            Some(log) => (log.clone(), self.state.definitions.clone()),
            None => {
                let (position, definitions) = self.shared.source.current().await?;
                (LogPoint::at(position), definitions)
            }
        };
        let opened = CutOpened {
            log,
            definitions,
            cuts_ahead: Vec::new(),
            next_cut: self.state.next_cut,
            copy,
        };
        self.note_saved(Note::Cut(Box::new(opened))).await?;
        self.shared.progress.set_phase(Phase::Copying);
        let counters: Vec<_> = tables
            .iter()
            .map(|table| {
                let name = table.schema.name.clone();
                let rows = self.state.table(&name).map_or(0, |copy| copy.rows);
                Progress::table(name, rows, table.estimated_rows, false)
            })
            .collect();
        self.shared.progress.set_tables(counters.clone());
        for (table, counter) in tables.iter().zip(&counters) {
            match self.copy_table(table, counter).await {
                Ok(Ended::Complete) => {}
                Ok(ended) => return Ok((ended, None)),
                Err(Failure::Later(error)) => return Ok((Ended::Complete, Some(error))),
                Err(Failure::Fatal(error)) => return Err(error),
            }
        }
        Ok((Ended::Complete, None))
    }

    async fn copy_table(
        &mut self,
        table: &TableInfo,
        counter: &TableProgress,
    ) -> Result<Ended, Failure> {
        let name = &table.schema.name;
        while let Some(range) = self.first_unread(name) {
            if self.shared.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            self.announce(table).await?;
            let Some((window, range, high)) = self.read_chunk(table, range).await? else {
                continue;
            };
            let emitted = self.emit_chunk(window, range, high).await;
            let rows = match emitted {
                // Some of its rows may be out already, at cuts of their own: only a rewind can take them back.
                Err(error) if table.is_bounded => {
                    return Err(Failure::Fatal(interrupted(name, error)));
                }
                emitted => emitted?,
            };
            let Some(rows) = rows else {
                return Ok(Ended::Stopped);
            };
            counter.add_rows(rows);
            self.shared.progress.add_snapshot(rows);
        }
        counter.set_done();
        self.announce_complete(&table.schema).await?;
        Ok(Ended::Complete)
    }

    fn first_unread(&self, name: &TableName) -> Option<KeyRange> {
        self.state.table(name)?.coverage.first_unread()
    }

    async fn announce(&mut self, table: &TableInfo) -> Result<()> {
        let name = &table.schema.name;
        if self.state.table(name).is_none_or(|copy| copy.announced) {
            return Ok(());
        }
        let mut batch = self.writer.pool.take();
        batch.push_table_mark(
            ChangeKind::BootstrapStart,
            &table.schema,
            clock::now_event_s(),
        );
        self.note_behind(batch, Note::Announced(name.clone())).await
    }

    /// A view that holds everything emitted.
    async fn open_reader(&mut self) -> Result<S::Reader> {
        let held = self.boundary();
        let request = CutRequest {
            at_least: held.as_ref(),
            readers: 1,
        };
        let mut readers = self.shared.source.open_cuts(request).await?.readers;
        let reader = readers
            .pop()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the source opened no reader"))?;
        failpoint::hit("cut.open")?;
        Ok(reader)
    }

    /// Reads the first chunk of `range` under a view of its own, while emission stands at the log point. Gives the window,
    /// the chunk's range, and its high mark.
    async fn read_chunk(
        &mut self,
        table: &TableInfo,
        mut range: KeyRange,
    ) -> Result<Option<(Window, KeyRange, S::Position)>> {
        let name = &table.schema.name;
        let mut reader = self.open_reader().await?;
        let read = fill(
            &mut reader,
            name,
            &mut range,
            Some(self.shared.options.chunk_rows),
        )
        .await;
        reader.close().await;
        let (rows, high) = read?;
        self.note(Note::Planned {
            table: name.clone(),
            range: range.clone(),
        })
        .await?;
        let bounds = self
            .state
            .table(name)
            .map_or(&[][..], |copy| copy.coverage.bounds());
        let segment = match &range.after {
            None => Some(0),
            Some(after) => bounds
                .iter()
                .position(|bound| bound == after)
                .map(|at| at + 1),
        };
        let Some(segment) = segment else {
            return Ok(None);
        };
        let window = if table.is_bounded {
            Window::Bounded(Bounded::chunk(name.clone(), segment, rows))
        } else {
            Window::Chunk(Chunk::new(name.clone(), segment, rows))
        };
        Ok(Some((window, range, high)))
    }

    /// Emits the log up to the high mark, then the chunk as it is there. Gives the number of its rows; none if stopped.
    async fn emit_chunk(
        &mut self,
        window: Window,
        range: KeyRange,
        high: S::Position,
    ) -> Result<Option<u64>> {
        // Nothing may be saved within a window: its changes are in memory, and what of the log goes out meanwhile is past
        // the point that the checkpoint knows.
        self.writer
            .send(self.writer.pool.take(), Note::Hold)
            .await?;
        let table = window.table().clone();
        let Some((rows, pending)) = self.emit_window(window, high).await? else {
            return Ok(None);
        };
        self.note(Note::Scanned {
            table: table.clone(),
            range,
            cut: CutId::PASSED,
            rows,
            whole: pending.is_empty(),
        })
        .await?;
        let again = self.read_again(&table, pending, &Again::Cuts).await?;
        Ok(again.map(|again| rows + again))
    }

    /// Reads keys again, a few at a time, each time in a window of their own, until none is pending. Gives the number of
    /// their rows; none if stopped.
    pub(super) async fn read_again(
        &mut self,
        table: &TableName,
        mut pending: Vec<Key>,
        again: &Again<'_>,
    ) -> Result<Option<u64>> {
        let (mut rows_all, mut idle) = (0, 0);
        while !pending.is_empty() {
            if self.shared.stop.is_cancelled() {
                return Ok(None);
            }
            let before = pending.len();
            let asked = before.min(KEYS_AGAIN_MAX);
            let (mut met, mut unmet) = (Batch::new(), Batch::new());
            let mut reader = self.reader_again(table, again).await?;
            let read = read_keys(&mut reader, table, &pending[..asked], &mut met, &mut unmet).await;
            reader.close().await;
            let high = read?;
            let mut window = Bounded::again(table.clone(), pending, asked, met, unmet);
            if let Again::Bootstrap { schema, .. } = again {
                window = window.of_bootstrap(schema);
            }
            let emitted = self.emit_window(Window::Bounded(window), high).await?;
            let Some((rows, left)) = emitted else {
                return Ok(None);
            };
            idle = if left.len() < before { 0 } else { idle + 1 };
            if idle >= IDLE_WINDOWS_MAX {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    "keys could not be read again: the log shows none of them as they were read",
                )
                .with("table", table)
                .with("keys", left.len())
                .hint("it is tried again; if it goes on, copy the table without a condition, or grant a lock"));
            }
            rows_all += rows;
            // A bootstrap's rows are counted once all of its chunk is out.
            if !matches!(again, Again::Bootstrap { .. }) {
                self.note(Note::ReadAgain {
                    table: table.clone(),
                    rows,
                    whole: left.is_empty(),
                })
                .await?;
            }
            pending = left;
        }
        Ok(Some(rows_all))
    }

    /// A view to read keys again.
    async fn reader_again(&mut self, table: &TableName, again: &Again<'_>) -> Result<S::Reader> {
        let rows = match again {
            Again::Cuts => return self.open_reader().await,
            Again::FirstCopy => ChunkRows::OfFirstCopy,
            Again::Bootstrap { rows, .. } => *rows,
        };
        let at_least = self.boundary().ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "keys are read again amid a transaction",
            )
        })?;
        let request = ChunkRequest {
            table,
            rows,
            at_least: &at_least,
        };
        let (reader, _) = super::chunk::open(self.shared.source, request).await?;
        Ok(reader)
    }

    /// Emits the log up to a window's high mark, then the rows that are due there. Gives their number, with those that went
    /// out on the way, and the keys that are pending; none if stopped.
    async fn emit_window(
        &mut self,
        mut window: Window,
        high: S::Position,
    ) -> Result<Option<(u64, Vec<Key>)>> {
        if self.advance(Some(high), Some(&mut window)).await? == Ended::Stopped {
            return Ok(None);
        }
        let Closed {
            rows,
            rows_placed,
            pending,
        } = window.close();
        let count: usize = rows.iter().map(Batch::len).sum();
        for mut batch in rows {
            if let Some(comment) = &self.comment {
                batch.set_comment(comment);
            }
            self.writer.send(batch, Note::Nothing).await?;
        }
        Ok(Some((count as u64 + rows_placed, pending)))
    }
}

/// For what keys are read again, and how.
pub(super) enum Again<'a> {
    /// A first copy by marks: as its chunks are.
    Cuts,
    /// A first copy beside the stream.
    FirstCopy,
    /// A bootstrap of the running stream.
    Bootstrap {
        rows: ChunkRows<'a>,
        schema: &'a TableSchema,
    },
}

/// The rows of `keys`, and the high mark.
async fn read_keys<R: SnapshotReader>(
    reader: &mut R,
    table: &TableName,
    keys: &[Key],
    met: &mut Batch,
    unmet: &mut Batch,
) -> Result<R::Position> {
    reader.read_keys(table, keys, met, unmet).await?;
    reader.finish().await
}

/// What ends an attempt though it would otherwise be left for the next round.
pub(super) fn interrupted(table: &TableName, error: Error) -> Error {
    match error.kind() {
        ErrorKind::SchemaChanged | ErrorKind::NotFound => Error::new(
            ErrorKind::SchemaChanged,
            "a table changed its definition while a chunk of it was read",
        )
        .with("table", table)
        .caused_by(error),
        _ => error,
    }
}

/// Reads the first chunk of `range` between its marks: its rows, and the high mark. `range` becomes the chunk's.
pub(super) async fn fill<R: SnapshotReader>(
    reader: &mut R,
    table: &TableName,
    range: &mut KeyRange,
    chunk_rows: Option<u64>,
) -> Result<(Batch, R::Position)> {
    if let Some(rows) = chunk_rows
        && let Some(bound) = reader.plan(table, range, rows).await?
    {
        range.up_to = Some(bound);
    }
    let split = Split {
        table: table.clone(),
        range: range.clone(),
    };
    reader.begin(&split).await?;
    let mut rows = Batch::new();
    loop {
        match reader.read(&mut rows).await? {
            ScanStep::Done => break,
            ScanStep::Rows(Some(cursor)) if rows.size_bytes() >= CHUNK_BYTES_MAX => {
                range.up_to = Some(cursor);
                break;
            }
            ScanStep::Rows(_) => {}
        }
    }
    Ok((rows, reader.finish().await?))
}
