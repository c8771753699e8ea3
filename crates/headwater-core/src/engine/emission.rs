//! A chunk that was read beside the stream goes out, with what is true of its bootstrap or first copy then.

use std::sync::Arc;

use super::Attempt;
use super::bootstraps::Change;
use super::chunk::{Chunk, Closed, Of, Wanted};
use super::follow::Pace;
use super::marks::interrupted;
use super::note::Note;
use super::options::Ended;
use crate::batch::{Batch, ChangeKind};
use crate::bootstrap::Limits;
use crate::clock;
use crate::coverage::CutId;
use crate::error::{ErrorKind, Result};
use crate::schema::{TableName, TableSchema};
use crate::source::Source;

/// What there is to know of the table that a chunk is of.
struct Part {
    limits: Limits,
    announced: bool,
    comment: Option<Arc<str>>,
}

impl<'a, S: Source> Attempt<'a, S> {
    /// A chunk goes out: where the stream stands, its rows are the contents of its range.
    pub(super) async fn emit(
        &mut self,
        chunk: Chunk<'a, S::Position>,
        pace: &mut Pace,
    ) -> Result<Ended> {
        let wanted = chunk.wanted.clone();
        let (of, table) = (wanted.of, &wanted.table);
        let mut closed = match chunk.close(self.shared.source).await {
            Ok(closed) => closed,
            // Of a table that was dropped the log is about to tell.
            Err(error) if error.is_temporary() || error.kind() == ErrorKind::NotFound => {
                pace.fail();
                self.shared.progress.counters().retried(&error);
                tracing::warn!(%of, %table, "a chunk could not be used and is read again: {error}");
                return Ok(Ended::Complete);
            }
            Err(error) => return Err(error),
        };
        let Some(part) = self.part(of, table) else {
            return Ok(Ended::Complete);
        };
        self.comment = part.comment;
        if !part.announced {
            self.announce_start(of, &closed.schema).await?;
        }
        if let Some(comment) = &self.comment {
            closed.untouched.set_comment(comment);
            closed.changed.set_comment(comment);
        }
        let bytes = (closed.untouched.size_bytes() + closed.changed.size_bytes()) as u64;
        let (took, schema) = (closed.took, Arc::clone(&closed.schema));
        let Some(rows) = self.send_chunk(&wanted, closed).await? else {
            return Ok(Ended::Stopped);
        };
        self.count(of, table, rows);
        let rows_max = self.shared.options.chunk_rows;
        pace.count(rows, bytes, part.limits, took, rows_max);
        if self.is_read(of, table) {
            self.announce_end(of, &schema).await?;
        }
        self.comment = None;
        Ok(Ended::Complete)
    }

    /// Sends the rows of a chunk, those that have to be read again, and what is true then. Gives their number; none if
    /// stopped.
    async fn send_chunk(
        &mut self,
        wanted: &Wanted<S::Position>,
        closed: Closed,
    ) -> Result<Option<u64>> {
        let Closed {
            untouched,
            changed,
            pending,
            range,
            schema,
            ..
        } = closed;
        let rows = (untouched.len() + changed.len()) as u64;
        // They are saved with what says that they are out, and with the last of the keys that have cuts of their own.
        let hold = self.writer.pool.take();
        self.writer.send(hold, Note::Hold).await?;
        self.writer.send(untouched, Note::Nothing).await?;
        self.writer.send(changed, Note::Nothing).await?;
        let (table, again) = (&wanted.table, wanted.again(&schema));
        if wanted.of == Of::FirstCopy {
            self.note(Note::Scanned {
                table: table.clone(),
                range: range.clone(),
                cut: CutId::PASSED,
                rows,
                whole: pending.is_empty(),
            })
            .await?;
        }
        let placed = self.read_again(table, pending, &again).await;
        let Some(placed) = placed.map_err(|error| interrupted(table, error))? else {
            return Ok(None);
        };
        let rows = rows + placed;
        if let Of::Bootstrap(id) = wanted.of {
            let table = table.clone();
            self.change(Change::Read {
                id,
                table,
                range,
                rows,
            })
            .await?;
        }
        Ok(Some(rows))
    }

    fn part(&self, of: Of, table: &TableName) -> Option<Part> {
        match of {
            Of::FirstCopy => self.state.table(table).map(|copy| Part {
                limits: Limits::default(),
                announced: copy.announced,
                comment: None,
            }),
            Of::Bootstrap(id) => self.bootstraps.look(|list| {
                let found = list.iter().find(|found| found.id == id)?;
                let mut tables = found.tables.iter();
                let part = tables.find(|part| part.copy.name == *table)?;
                Some(Part {
                    limits: found.request.limits,
                    announced: part.copy.announced,
                    comment: found.request.comment.as_deref().map(Arc::<str>::from),
                })
            }),
        }
    }

    fn count(&self, of: Of, table: &TableName, rows: u64) {
        let progress = self.shared.progress;
        progress.add_snapshot(rows);
        let tables = progress.tables();
        let counter = tables.iter().find(|counter| counter.name == *table);
        if let Some(counter) = counter.filter(|_| of == Of::FirstCopy) {
            counter.add_rows(rows);
            if self.is_read(of, table) {
                counter.set_done();
            }
        }
    }

    /// Whether all rows of a table are out.
    fn is_read(&self, of: Of, table: &TableName) -> bool {
        match of {
            Of::FirstCopy => {
                let copy = self.state.table(table);
                copy.is_some_and(|copy| copy.coverage.is_complete())
            }
            Of::Bootstrap(id) => self.bootstraps.is_read(id, table),
        }
    }

    pub(super) async fn announce_start(&mut self, of: Of, schema: &Arc<TableSchema>) -> Result<()> {
        let table = schema.name.clone();
        let batch = self.table_mark(ChangeKind::BootstrapStart, schema);
        match of {
            Of::FirstCopy => self.note_behind(batch, Note::Announced(table)).await,
            Of::Bootstrap(id) => {
                let at_s = clock::now_s();
                let change = Change::Announced { id, table, at_s };
                self.send_change(batch, change).await
            }
        }
    }

    async fn announce_end(&mut self, of: Of, schema: &Arc<TableSchema>) -> Result<()> {
        let Of::Bootstrap(id) = of else {
            return self.announce_complete(schema).await;
        };
        let batch = self.table_mark(ChangeKind::BootstrapComplete, schema);
        let (table, at_s) = (schema.name.clone(), clock::now_s());
        let change = Change::Completed { id, table, at_s };
        self.send_change(batch, change).await
    }

    fn table_mark(&self, kind: ChangeKind, schema: &Arc<TableSchema>) -> Batch {
        let mut batch = self.writer.pool.take();
        batch.push_table_mark(kind, schema, clock::now_event_s());
        if let Some(comment) = &self.comment {
            batch.set_comment(comment);
        }
        batch
    }

    pub(super) async fn change(&mut self, change: Change) -> Result<()> {
        self.send_change(self.writer.pool.take(), change).await
    }

    /// Sends rows with what is true once they are out.
    async fn send_change(&mut self, batch: Batch, change: Change) -> Result<()> {
        self.writer
            .send(batch, Note::Bootstrap(change.clone()))
            .await?;
        self.bootstraps.apply(change);
        Ok(())
    }
}
