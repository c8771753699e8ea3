//! The log for good, with bootstraps beside it: a chunk is read while the stream flows, and goes out at a boundary of the log
//! that lies behind all that its view could see: the first at which nothing waits to be written, so that changes go first and
//! wait behind one chunk at most. So are tables copied that came into a running stream.

use std::time::Duration;

use tokio::time::Instant;

use super::Attempt;
use super::bootstraps::Change;
use super::chunk::{Chunk, Of, Read, Wanted};
use super::filter::Reading;
use super::load::{Candidate, LoadWatch};
use super::note::Note;
use super::options::Ended;
use crate::batch::Batch;
use crate::bootstrap::{BootstrapId, BootstrapState, Limits, TableBootstrap};
use crate::checkpoint::TableCopy;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use crate::progress::{Phase, Progress};
use crate::schema::TableName;
use crate::source::{LiveSource, LiveStep, Source, TableInfo};

/// How long a chunk should take to be read: its rows are counted so.
const CHUNK_TIME: Duration = Duration::from_millis(100);
/// Rows of the first chunk, and of the smallest.
const CHUNK_ROWS_FIRST: u64 = 1_000;
const CHUNK_ROWS_MIN: u64 = 50;
/// Rows of a chunk beside the stream, at most: changes wait for no more than one.
const CHUNK_ROWS_BESIDE_MAX: u64 = 5_000;
/// Batches of the log that go past a chunk which may go out, at most: its turn comes, however much is written.
const PASSED_MAX: u32 = 16;
/// Waits between tries of a chunk that could not be read.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Tries to read a table without a key while nothing of it changes: about a minute of them.
const WHOLE_TRIES_MAX: u32 = 9;
const NEVER_STILL: &str = "the table has no key, so it is read whole while nothing of it changes, and it changed each time; \
     give it a primary key, or ask again when it is written to less";

/// When the next chunk is read, and how long it is.
pub(super) struct Pace {
    not_before: Instant,
    rows: u64,
    failures: u32,
    /// The table whose turn it was.
    last: Option<(Of, TableName)>,
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
    pub(super) fn count(
        &mut self,
        rows: u64,
        bytes: u64,
        limits: Limits,
        took: Duration,
        rows_max: u64,
    ) {
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
        let rows_max = rows_max.min(CHUNK_ROWS_BESIDE_MAX);
        let rows_max = limits
            .rows_per_s
            .map_or(rows_max, |rows| rows_max.min(rows / 4));
        self.rows = self
            .rows
            .clamp(CHUNK_ROWS_MIN, rows_max.max(CHUNK_ROWS_MIN));
    }

    pub(super) fn fail(&mut self) {
        let wait = RETRY_FIRST * 2u32.saturating_pow(self.failures.min(10));
        self.failures += 1;
        self.not_before = Instant::now() + wait.min(RETRY_MAX);
        self.rows = (self.rows / 2).max(CHUNK_ROWS_MIN);
    }
}

/// What comes next while the log is followed.
enum Next<P> {
    /// The run is to end.
    Stop,
    /// A chunk was read, or could not be.
    Read(Result<Read<P>>),
    /// Something was done to a bootstrap.
    Command,
    /// What is to be read may be another.
    Again,
    /// The log said something.
    Log(LiveStep<P>, Batch),
    /// A chunk is due, and nothing waits to be written.
    Room,
}

impl<'a, S: Source> Attempt<'a, S> {
    /// Follows the log to the end of the run; none when a table is to be read at a cut of its own first.
    pub(super) async fn follow(&mut self) -> Result<Option<Ended>> {
        self.show_rest().await?;
        self.shared.progress.set_phase(Phase::Streaming);
        self.reading = Reading::ForGood;
        let until = self.shared.until.cloned();
        let is_out = |until| self.boundary().is_some_and(|out| out.includes(until));
        if until.as_ref().is_some_and(is_out) {
            return Ok(Some(Ended::Complete));
        }
        self.open_live().await?;
        self.set_target(until.clone());
        let mut pace = Pace::new();
        let mut load = LoadWatch::new(self.shared.options.load_interval, self.shared.progress);
        let mut chunk: Option<Chunk<'a, S::Position>> = None;
        loop {
            if chunk.is_none() && pace.not_before <= Instant::now() {
                let wanted = self.next_chunk(&mut pace, &mut load);
                chunk = wanted.map(|wanted| Chunk::begin(self.shared.source, wanted));
            }
            let not_before = chunk.is_none().then_some(pace.not_before);
            let (step, batch) = match self.next(&mut chunk, &mut load, not_before).await? {
                Next::Stop => return Ok(Some(Ended::Stopped)),
                Next::Again => continue,
                Next::Read(read) => {
                    if !self.take_read(read, &mut chunk, &mut pace).await? {
                        return Ok(None);
                    }
                    continue;
                }
                Next::Command => {
                    self.drop_aborted(&mut chunk, until.as_ref());
                    continue;
                }
                Next::Room => {
                    if let Some(due) = chunk.take()
                        && self.emit(due, &mut pace).await? == Ended::Stopped
                    {
                        return Ok(Some(Ended::Stopped));
                    }
                    self.set_target(until.clone());
                    continue;
                }
                Next::Log(step, batch) => (step, batch),
            };
            self.show(&batch, &mut chunk, &mut pace, until.as_ref())
                .await?;
            let reached = self.take_step(step, batch, None).await?;
            if !self.goes_on() {
                return Ok(None);
            }
            if self.drop_covered(&mut chunk).await? {
                self.set_target(until.clone());
                continue;
            }
            if let Some(passed) = chunk.as_mut().and_then(|chunk| chunk.due.as_mut()) {
                *passed += 1;
            }
            if !reached {
                continue;
            }
            if let Some(open) = chunk.as_mut().filter(|chunk| chunk.filled.is_some()) {
                open.due.get_or_insert(0);
                self.set_target(until.clone());
            } else if until.is_some() {
                return Ok(Some(Ended::Complete));
            }
        }
    }

    /// Waits for whatever comes next.
    async fn next(
        &mut self,
        chunk: &mut Option<Chunk<'a, S::Position>>,
        load: &mut LoadWatch<'a>,
        not_before: Option<Instant>,
    ) -> Result<Next<S::Position>> {
        let due = (chunk.as_ref())
            .and_then(|chunk| chunk.due)
            .filter(|_| self.boundary().is_some());
        let log_goes_first = due.is_none_or(|passed| passed < PASSED_MAX);
        let mut batch = self.writer.pool.take();
        let live = super::stream::opened(&mut self.live)?;
        let next = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Next::Stop,
            () = self.writer.gone() => return Err(super::writer::writer_gone()),
            read = read(chunk) => Next::Read(read),
            () = self.bootstraps.woken.notified() => Next::Command,
            () = load.changed(not_before) => Next::Again,
            step = live.next(&mut batch), if log_goes_first => return Ok(Next::Log(step?, batch)),
            idle = self.writer.idle(), if due.is_some() => idle.map(|()| Next::Room)?,
        };
        self.writer.pool.give(batch);
        Ok(next)
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
            of,
            table,
            key_columns,
            ..
        } = lost.wanted;
        if key_columns.is_empty()
            && pace.failures > WHOLE_TRIES_MAX
            && let Of::Bootstrap(id) = of
        {
            self.give_up(id, table, NEVER_STILL.to_owned()).await?;
        }
        Ok(())
    }

    /// Shows what is left of first copies, and says of those of which nothing is left that they are complete.
    async fn show_rest(&mut self) -> Result<()> {
        let is_left = |copy: &&TableCopy| copy.beside && !copy.is_over();
        let copies = self.state.copy.iter().flatten().filter(is_left);
        let copies: Vec<TableCopy> = copies.cloned().collect();
        if copies.is_empty() {
            return Ok(());
        }
        let tables = self.shared.source.tables().await?;
        let mut counters = Vec::new();
        for copy in copies {
            let done = copy.coverage.is_complete();
            let table = tables.iter().find(|table| table.schema.name == copy.name);
            let estimated_rows = table.map_or(0, |table| table.estimated_rows);
            counters.push(Progress::table(
                copy.name.clone(),
                copy.rows,
                estimated_rows,
                done,
            ));
            match table {
                Some(table) if done => {
                    if !copy.announced {
                        self.announce_start(Of::FirstCopy, &table.schema).await?;
                    }
                    self.announce_complete(&table.schema).await?;
                }
                // It was dropped: there is nothing to say it of.
                None if done => self.note(Note::Completed(copy.name)).await?,
                _ => {}
            }
        }
        self.shared.progress.set_tables(counters);
        Ok(())
    }

    /// Ends the copy of tables that the log has covered by itself: they were emptied, or dropped. Says whether `chunk` was of
    /// one and is forgotten.
    async fn drop_covered(&mut self, chunk: &mut Option<Chunk<'a, S::Position>>) -> Result<bool> {
        let is_new =
            |copy: &TableCopy| copy.beside && !copy.completed && copy.coverage.is_complete();
        if !self.state.copy.iter().flatten().any(is_new) {
            return Ok(false);
        }
        self.show_rest().await?;
        let is_covered = |chunk: &mut Chunk<'a, S::Position>| {
            chunk.wanted.of == Of::FirstCopy && self.is_covered(&chunk.wanted.table)
        };
        Ok(chunk.take_if(is_covered).is_some())
    }

    fn is_covered(&self, table: &TableName) -> bool {
        let copy = self.state.table(table);
        copy.is_none_or(|copy| copy.coverage.is_complete())
    }

    /// The chunk whose turn it is, if there is one and the stream stands at a boundary.
    fn next_chunk(&self, pace: &mut Pace, load: &mut LoadWatch<'a>) -> Option<Wanted<S::Position>> {
        let at_least = self.boundary()?;
        let load_max = self.shared.options.bootstrap_load;
        let wanted = |of, copy: &TableCopy, condition: Option<&str>| Wanted {
            of,
            table: copy.name.clone(),
            key_columns: copy.key_columns.clone(),
            condition: condition.map(str::to_owned),
            range: copy.coverage.first_unread().unwrap_or_default(),
            rows: Some(pace.rows),
            at_least: at_least.clone(),
        };
        // First copies first: a bootstrap of a table that is not yet covered would be told nothing of its changes.
        let copies = self.state.copy.iter().flatten();
        let copies = copies.filter(|copy| copy.beside && !copy.coverage.is_complete());
        let mut open: Vec<Candidate<S::Position>> = copies
            .map(|copy| Candidate {
                wanted: wanted(Of::FirstCopy, copy, None),
                limits: load_max,
            })
            .collect();
        let bootstraps: Vec<_> = self.bootstraps.look(|list| {
            let running = |state: &BootstrapState| {
                matches!(state, BootstrapState::Waiting | BootstrapState::Running)
            };
            let is_due = |at_s: Option<u64>| at_s.is_none_or(|at_s| at_s <= clock::now_s());
            let open = list
                .iter()
                .filter(|found| running(&found.state) && is_due(found.request.not_before_s));
            let tables = open.flat_map(|found| {
                let is_open =
                    |table: &&TableBootstrap| !table.is_over() && self.is_covered(&table.copy.name);
                let tables = found.tables.iter().filter(is_open);
                tables.map(move |table| (found, table))
            });
            let bootstraps = tables.map(|(found, table)| {
                let condition = found.request.condition.as_deref();
                let mut wanted = wanted(Of::Bootstrap(found.id), &table.copy, condition);
                wanted.rows = wanted.rows.filter(|_| !found.request.at_once);
                Candidate {
                    wanted,
                    limits: found.request.limits.load.unwrap_or(load_max),
                }
            });
            bootstraps.collect()
        });
        open.extend(bootstraps);
        let open = load.let_through(self.shared.source, open);
        // In rotation over as many as may be read at once.
        let at_once = self.shared.options.bootstrap_tables.max(1);
        let open = &open[..open.len().min(at_once)];
        let is_last = |wanted: &Wanted<_>| {
            let last = pace.last.as_ref();
            last.is_some_and(|(of, table)| (*of, table) == (wanted.of, &wanted.table))
        };
        let after = open.iter().position(is_last).map_or(0, |at| at + 1);
        let next = open.get(after).or_else(|| open.first())?.clone();
        pace.last = Some((next.of, next.table.clone()));
        Some(next)
    }

    /// What was read, or why it could not be. Says whether the stream goes on: not where a table is to be read at a cut of its
    /// own first.
    async fn take_read(
        &mut self,
        read: Result<Read<S::Position>>,
        chunk: &mut Option<Chunk<'a, S::Position>>,
        pace: &mut Pace,
    ) -> Result<bool> {
        let Some(open) = chunk else { return Ok(true) };
        let (of, table) = (open.wanted.of, open.wanted.table.clone());
        match read {
            Ok(Read::Rows(filled)) => {
                let high = filled.high.clone();
                open.filled = Some(filled);
                self.set_target(Some(high));
                return Ok(true);
            }
            Ok(Read::OtherKey(info)) => {
                self.shared.progress.notice(format!(
                    "{of}: the key of {table} is another now, so the table is read again from the beginning"
                ));
                let copy = TableCopy::unread(&info.schema, info.estimated_rows);
                match of {
                    Of::Bootstrap(id) => self.change(Change::Restarted { id, copy }).await?,
                    Of::FirstCopy => self.restart(copy, &info).await?,
                }
            }
            Err(error) if error.is_temporary() => {
                pace.fail();
                self.shared.progress.counters().retried(&error);
                tracing::warn!(%of, %table, "a chunk could not be read and is tried again: {error}");
            }
            Err(error) if of == Of::FirstCopy => self.fail_first_copy(table, error, pace).await?,
            Err(error) => {
                let Of::Bootstrap(id) = of else {
                    return Ok(true);
                };
                self.give_up(id, table, error.in_one_line()).await?;
            }
        }
        *chunk = None;
        Ok(self.goes_on())
    }

    /// Whether nothing is to be read at a cut of its own before the stream goes on.
    fn goes_on(&self) -> bool {
        self.state.copy_is_complete() || self.state.rest_is_beside()
    }

    /// The key of a table that is copied is another.
    async fn restart(&mut self, copy: TableCopy, info: &TableInfo) -> Result<()> {
        let copy = TableCopy {
            beside: info.schema.can_split(),
            ..copy
        };
        self.note(Note::Restarted(copy)).await
    }

    /// A first copy cannot be read in chunks.
    async fn fail_first_copy(
        &mut self,
        table: TableName,
        error: Error,
        pace: &mut Pace,
    ) -> Result<()> {
        match error.kind() {
            // The log is about to say what became of it.
            ErrorKind::NotFound => {
                pace.fail();
                tracing::warn!(%table, "a table to be copied is not there: the log will tell: {error}");
                Ok(())
            }
            ErrorKind::Prerequisite | ErrorKind::Unsupported => {
                self.shared.progress.notice(format!(
                    "{table} cannot be copied beside the stream, which stands still until it is copied: {error}"
                ));
                self.note(Note::NotBeside(table)).await
            }
            _ => Err(error),
        }
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
            let Of::Bootstrap(id) = chunk.wanted.of else {
                return false;
            };
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
}

async fn read<P: Position>(chunk: &mut Option<Chunk<'_, P>>) -> Result<Read<P>> {
    match chunk {
        Some(chunk) => chunk.read().await,
        None => std::future::pending().await,
    }
}
