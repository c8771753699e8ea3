//! The log for good, with bootstraps beside it: a chunk is read while the stream flows, and goes out at the first boundary
//! of the log that lies behind all that its view could see.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Attempt;
use super::bootstraps::Change;
use super::chunk::{Chunk, Closed, Read, Wanted};
use super::note::Note;
use super::options::Ended;
use crate::batch::{Batch, ChangeKind};
use crate::bootstrap::{BootstrapId, BootstrapState, Limits};
use crate::checkpoint::TableCopy;
use crate::clock;
use crate::error::Result;
use crate::position::Position;
use crate::progress::Phase;
use crate::schema::{TableName, TableSchema};
use crate::source::{LiveSource, Source};

/// How long a chunk should take to be read: its rows are counted so.
const CHUNK_TIME: Duration = Duration::from_millis(100);
/// Rows of the first chunk, and of the smallest.
const CHUNK_ROWS_FIRST: u64 = 1_000;
const CHUNK_ROWS_MIN: u64 = 50;
/// Waits between tries of a chunk that could not be read.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Tries to read a table without a key while nothing of it changes: about a minute of them.
const WHOLE_TRIES_MAX: u32 = 9;
const NEVER_STILL: &str = "the table has no key, so it is read whole while nothing of it changes, and it changed each time; \
     give it a primary key, or ask again when it is written to less";

/// When the next chunk is read, and how long it is.
struct Pace {
    not_before: Instant,
    rows: u64,
    failures: u32,
    /// The table whose turn it was.
    last: Option<(BootstrapId, TableName)>,
}

impl Pace {
    fn new() -> Self {
        Self {
            not_before: Instant::now(),
            rows: CHUNK_ROWS_FIRST,
            failures: 0,
            last: None,
        }
    }

    /// A chunk of so many rows and bytes went out under `limits`.
    fn count(&mut self, rows: u64, bytes: u64, limits: Limits, took: Duration, rows_max: u64) {
        self.failures = 0;
        let share = |count: u64, limit: Option<u64>| {
            limit.map_or(Duration::ZERO, |limit| {
                #[allow(clippy::cast_precision_loss, reason = "a pause needs no precision")]
                let seconds = count as f64 / limit.max(1) as f64;
                Duration::try_from_secs_f64(seconds).unwrap_or(RETRY_MAX)
            })
        };
        let pause = share(rows, limits.rows_per_s).max(share(bytes, limits.bytes_per_s));
        // From when it was due, so that a slow chunk is not paid for twice; but never for idle times.
        self.not_before = (self.not_before + pause).max(Instant::now() - CHUNK_TIME);
        if took < CHUNK_TIME / 2 {
            self.rows *= 2;
        } else if took > CHUNK_TIME * 2 {
            self.rows /= 2;
        }
        let rows_max = limits
            .rows_per_s
            .map_or(rows_max, |rows| rows_max.min(rows / 4));
        self.rows = self
            .rows
            .clamp(CHUNK_ROWS_MIN, rows_max.max(CHUNK_ROWS_MIN));
    }

    fn fail(&mut self) {
        let wait = RETRY_FIRST * 2u32.saturating_pow(self.failures.min(10));
        self.failures += 1;
        self.not_before = Instant::now() + wait.min(RETRY_MAX);
        self.rows = (self.rows / 2).max(CHUNK_ROWS_MIN);
    }
}

impl<'a, S: Source> Attempt<'a, S> {
    /// Follows the log to the end of the run.
    pub(super) async fn follow(&mut self) -> Result<Ended> {
        self.shared.progress.set_phase(Phase::Streaming);
        let until = self.shared.until.cloned();
        if let (Some(until), Some(log)) = (&until, &self.state.log)
            && log.position.includes(until)
        {
            return Ok(Ended::Complete);
        }
        self.open_live().await?;
        self.set_target(until.clone());
        let bootstraps = self.bootstraps.clone();
        let mut pace = Pace::new();
        let mut chunk: Option<Chunk<'a, S::Position>> = None;
        loop {
            if chunk.is_none()
                && pace.not_before <= Instant::now()
                && let Some(wanted) = self.next_chunk(&mut pace)
            {
                let source: &'a S = self.shared.source;
                chunk = Some(Chunk::begin(source, wanted));
            }
            let mut batch = self.writer.pool.take();
            let live = super::stream::opened(&mut self.live)?;
            let step = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return Ok(Ended::Stopped),
                () = self.writer.gone() => return Err(super::writer::writer_gone()),
                read = read(&mut chunk) => {
                    self.writer.pool.give(batch);
                    self.take_read(read, &mut chunk, &mut pace).await?;
                    if let Some(filled) = chunk.as_ref().and_then(|chunk| chunk.filled.as_ref()) {
                        let high = filled.high.clone();
                        self.set_target(Some(high));
                    }
                    continue;
                }
                () = bootstraps.woken.notified() => {
                    self.writer.pool.give(batch);
                    self.drop_aborted(&mut chunk, until.as_ref());
                    continue;
                }
                () = tokio::time::sleep_until(pace.not_before),
                    if chunk.is_none() && pace.not_before > Instant::now() => {
                    self.writer.pool.give(batch);
                    continue;
                }
                step = live.next(&mut batch) => step?,
            };
            self.show(&batch, &mut chunk, &mut pace, until.as_ref())
                .await?;
            let reached = self.take_step(step, batch, None).await?;
            if !reached {
                continue;
            }
            if let Some(read) = chunk.take_if(|chunk| chunk.filled.is_some()) {
                self.emit(read, &mut pace).await?;
                self.set_target(until.clone());
            } else if until.is_some() {
                return Ok(Ended::Complete);
            }
        }
    }

    /// Shows the open chunk what the stream is about to emit.
    async fn show(
        &mut self,
        batch: &Batch,
        chunk: &mut Option<Chunk<'a, S::Position>>,
        pace: &mut Pace,
        until: Option<&S::Position>,
    ) -> Result<()> {
        // The table changed its shape, or changes too fast for so long a chunk.
        let Some(lost) = chunk.take_if(|open| !open.note(batch)) else {
            return Ok(());
        };
        pace.fail();
        self.set_target(until.cloned());
        let Wanted {
            id,
            table,
            key_columns,
            ..
        } = lost.wanted;
        if key_columns.is_empty() && pace.failures > WHOLE_TRIES_MAX {
            self.give_up(id, table, NEVER_STILL.to_owned()).await?;
        }
        Ok(())
    }

    fn set_target(&mut self, target: Option<S::Position>) {
        if let Some(live) = &mut self.live {
            live.set_target(target);
        }
    }

    /// The chunk whose turn it is, if there is one and the stream stands at a boundary.
    fn next_chunk(&self, pace: &mut Pace) -> Option<Wanted<S::Position>> {
        let log = self.log_point().filter(|log| log.rows_done == 0)?;
        let open: Vec<Wanted<S::Position>> = self.bootstraps.look(|list| {
            let running = |state: &BootstrapState| {
                matches!(state, BootstrapState::Waiting | BootstrapState::Running)
            };
            let is_due = |at_s: Option<u64>| at_s.is_none_or(|at_s| at_s <= clock::now_s());
            let open = list
                .iter()
                .filter(|found| running(&found.state) && is_due(found.request.not_before_s));
            let tables = open.flat_map(|found| {
                let tables = found.tables.iter().filter(|table| !table.is_over());
                tables.map(move |table| (found, table))
            });
            tables
                .map(|(found, table)| Wanted {
                    id: found.id,
                    table: table.copy.name.clone(),
                    key_columns: table.copy.key_columns.clone(),
                    condition: found.request.condition.clone(),
                    range: table
                        .copy
                        .coverage
                        .unread_ranges()
                        .into_iter()
                        .next()
                        .unwrap_or_default(),
                    rows: pace.rows,
                    at_least: log.position.clone(),
                })
                .collect()
        });
        // In rotation over as many as may be read at once.
        let at_once = self.shared.options.bootstrap_tables.max(1);
        let open = &open[..open.len().min(at_once)];
        let is_last = |wanted: &Wanted<_>| {
            let (id, table) = (&wanted.id, &wanted.table);
            pace.last
                .as_ref()
                .is_some_and(|last| (&last.0, &last.1) == (id, table))
        };
        let after = open.iter().position(is_last).map_or(0, |at| at + 1);
        let next = open.get(after).or_else(|| open.first())?.clone();
        pace.last = Some((next.id, next.table.clone()));
        Some(next)
    }

    /// What was read, or why it could not be.
    async fn take_read(
        &mut self,
        read: Result<Read<S::Position>>,
        chunk: &mut Option<Chunk<'a, S::Position>>,
        pace: &mut Pace,
    ) -> Result<()> {
        let Some(open) = chunk else { return Ok(()) };
        let (id, table) = (open.wanted.id, open.wanted.table.clone());
        match read {
            Ok(Read::Rows(filled)) => {
                open.filled = Some(filled);
                return Ok(());
            }
            Ok(Read::OtherKey(info)) => {
                self.shared.progress.notice(format!(
                    "bootstrap {id}: the key of {table} is another now, so the table is read again from the beginning"
                ));
                let copy = TableCopy::unread(&info.schema, info.estimated_rows);
                self.change(Change::Restarted { id, copy }).await?;
            }
            Err(error) if error.is_temporary() => {
                pace.fail();
                tracing::warn!(bootstrap = id, %table, "a chunk could not be read and is tried again: {error}");
            }
            Err(error) => {
                self.give_up(id, table, error.in_one_line()).await?;
            }
        }
        *chunk = None;
        Ok(())
    }

    async fn give_up(&mut self, id: BootstrapId, table: TableName, reason: String) -> Result<()> {
        self.shared
            .progress
            .notice(format!("bootstrap {id}: {table} is given up: {reason}"));
        let at_s = clock::now_s();
        self.change(Change::Failed {
            id,
            table,
            reason,
            at_s,
        })
        .await
    }

    /// Forgets the chunk of a bootstrap that was aborted meanwhile. One that was paused is let finish its chunk.
    fn drop_aborted(
        &mut self,
        chunk: &mut Option<Chunk<'a, S::Position>>,
        until: Option<&S::Position>,
    ) {
        let is_over = chunk.as_ref().is_some_and(|chunk| {
            let id = chunk.wanted.id;
            self.bootstraps.look(|list| {
                let mut found = list.iter().filter(|found| found.id == id);
                found.all(|found| found.state.is_over())
            })
        });
        if is_over {
            *chunk = None;
            self.set_target(until.cloned());
        }
    }

    async fn change(&mut self, change: Change) -> Result<()> {
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

    /// A chunk goes out: where the stream stands, its rows are the contents of its range.
    async fn emit(&mut self, chunk: Chunk<'a, S::Position>, pace: &mut Pace) -> Result<()> {
        let (id, table) = (chunk.wanted.id, chunk.wanted.table.clone());
        let Closed {
            mut untouched,
            mut changed,
            range,
            schema,
            took,
        } = match chunk.close(self.shared.source).await {
            Ok(closed) => closed,
            Err(error) if error.is_temporary() => {
                pace.fail();
                tracing::warn!(bootstrap = id, %table, "a chunk could not be used and is read again: {error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let known = self.bootstraps.look(|list| {
            let found = list.iter().find(|found| found.id == id)?;
            let mut tables = found.tables.iter();
            let part = tables.find(|part| part.copy.name == table)?;
            let comment = found.request.comment.as_deref().map(Arc::<str>::from);
            Some((found.request.limits, part.copy.announced, comment))
        });
        let Some((limits, announced, comment)) = known else {
            return Ok(());
        };
        let at_s = clock::now_s();
        if !announced {
            let table = table.clone();
            self.mark(
                ChangeKind::BootstrapStart,
                &schema,
                comment.as_ref(),
                Change::Announced { id, table, at_s },
            )
            .await?;
        }
        let rows = (untouched.len() + changed.len()) as u64;
        let bytes = (untouched.size_bytes() + changed.size_bytes()) as u64;
        if let Some(comment) = &comment {
            untouched.set_comment(comment);
            changed.set_comment(comment);
        }
        self.writer.send(untouched, Note::Nothing).await?;
        let read = Change::Read {
            id,
            table: table.clone(),
            range,
            rows,
        };
        self.send_change(changed, read).await?;
        self.shared.progress.add_snapshot(rows);
        pace.count(rows, bytes, limits, took, self.shared.options.chunk_rows);
        if self.bootstraps.is_read(id, &table) {
            self.mark(
                ChangeKind::BootstrapComplete,
                &schema,
                comment.as_ref(),
                Change::Completed { id, table, at_s },
            )
            .await?;
        }
        Ok(())
    }

    async fn mark(
        &mut self,
        kind: ChangeKind,
        schema: &Arc<TableSchema>,
        comment: Option<&Arc<str>>,
        change: Change,
    ) -> Result<()> {
        let mut batch = self.writer.pool.take();
        batch.push_table_mark(kind, schema, clock::now_event_s());
        if let Some(comment) = comment {
            batch.set_comment(comment);
        }
        self.send_change(batch, change).await
    }
}

async fn read<P: Position>(chunk: &mut Option<Chunk<'_, P>>) -> Result<Read<P>> {
    match chunk {
        Some(chunk) => chunk.read().await,
        None => std::future::pending().await,
    }
}
