//! Cuts by marks, for a server on which no lock is to be had: chunk by chunk, each read between a low and a high mark while
//! emission is held, and mended with the log's changes between the two. See [`super::window`].

use super::Attempt;
use super::note::{CutOpened, Note};
use super::options::Ended;
use super::window::Window;
use crate::batch::{Batch, ChangeKind};
use crate::checkpoint::TableCopy;
use crate::clock;
use crate::coverage::CutId;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::key::KeyRange;
use crate::progress::{Phase, Progress, TableProgress};
use crate::schema::TableName;
use crate::source::{CutRequest, LogPoint, ScanStep, SnapshotReader, Source, Split, TableInfo};

/// Bytes of a chunk: it is held in memory.
const CHUNK_BYTES_MAX: usize = 16 << 20;

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
                let rows_done = 0;
                (
                    LogPoint {
                        position,
                        rows_done,
                    },
                    definitions,
                )
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
                Err(error)
                    if matches!(error.kind(), ErrorKind::SchemaChanged | ErrorKind::NotFound) =>
                {
                    return Ok((Ended::Complete, Some(error)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((Ended::Complete, None))
    }

    async fn copy_table(&mut self, table: &TableInfo, counter: &TableProgress) -> Result<Ended> {
        let name = &table.schema.name;
        while let Some(range) = self.first_unread(name) {
            if self.shared.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            self.announce(table).await?;
            let Some((window, high)) = self.read_chunk(table, range).await? else {
                continue;
            };
            let rows = self.emit_chunk(window, high).await?;
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
        let ranges = self.state.table(name)?.coverage.unread_ranges();
        ranges.into_iter().next()
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
        let note = Note::Announced(name.clone());
        note.clone().apply(&mut self.state)?;
        self.writer.send(batch, note).await
    }

    /// Reads the first chunk of `range` under a view of its own, while emission stands at the log point. Gives the window and
    /// its high mark.
    async fn read_chunk(
        &mut self,
        table: &TableInfo,
        mut range: KeyRange,
    ) -> Result<Option<(Window, S::Position)>> {
        let name = &table.schema.name;
        let held = self.log_point().map(|log| log.position.clone());
        let request = CutRequest {
            at_least: held.as_ref(),
            readers: 1,
        };
        let mut readers = self.shared.source.open_cuts(request).await?.readers;
        let Some(mut reader) = readers.pop() else {
            return Err(Error::new(
                ErrorKind::Internal,
                "the source opened no reader",
            ));
        };
        failpoint::hit("cut.open")?;
        let read = fill(
            &mut reader,
            name,
            &mut range,
            self.shared.options.chunk_rows,
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
        Ok(Some((
            Window::new(name.clone(), range, segment, rows),
            high,
        )))
    }

    /// Emits the log up to the high mark, then the chunk as it is there. Gives the number of its rows; none if stopped.
    async fn emit_chunk(&mut self, mut window: Window, high: S::Position) -> Result<Option<u64>> {
        // Nothing may be saved within a window: its changes are in memory, and what of the log goes out meanwhile is past
        // the point that the checkpoint knows.
        self.writer
            .send(self.writer.pool.take(), Note::Hold)
            .await?;
        if self.advance(Some(high), Some(&mut window)).await? == Ended::Stopped {
            return Ok(None);
        }
        let table = window.table.clone();
        let (range, [untouched, changed]) = window.close();
        let rows = (untouched.len() + changed.len()) as u64;
        self.writer.send(untouched, Note::Nothing).await?;
        if let Some(point) = self.log_point().cloned() {
            let note = Note::Log {
                point,
                definitions: None,
                tables: Vec::new(),
            };
            self.writer.send(changed, note).await?;
        }
        self.note(Note::Scanned {
            table,
            range,
            cut: CutId::PASSED,
            rows,
            whole: true,
        })
        .await?;
        Ok(Some(rows))
    }
}

/// Reads the first chunk of `range` between its marks: its rows, and the high mark. `range` becomes the chunk's.
async fn fill<R: SnapshotReader>(
    reader: &mut R,
    table: &TableName,
    range: &mut KeyRange,
    chunk_rows: u64,
) -> Result<(Batch, R::Position)> {
    if let Some(bound) = reader.plan(table, range, chunk_rows).await? {
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
