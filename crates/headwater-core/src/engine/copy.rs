//! The first copy: rounds of cuts until everything is read. The first round reads all there is at one cut; more are needed
//! only after a crash, a lost reader, or a definition that changed under a view. Between rounds the log is emitted up to the
//! next cut, so that every row stands at its cut's own place.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Attempt;
use super::filter::Unread;
use super::note::{CutOpened, Note};
use super::options::Ended;
use super::scan::{TablePlan, scan};
use crate::batch::ChangeKind;
use crate::checkpoint::{CutAhead, TableCopy};
use crate::clock;
use crate::coverage::CutId;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::position::Position;
use crate::progress::{Phase, Progress};
use crate::schema::TableSchema;
use crate::source::{CutRequest, Cuts, LogPoint, SnapshotReader, Source, TableInfo};

/// Rounds without a single row read before the copy is given up.
const IDLE_ROUNDS_MAX: u32 = 10;
/// Splits a reader gets of a table, unless the settings say how long they are.
const SPLITS_PER_READER: u64 = 4;
/// Bounds of a split's length in rows.
const SPLIT_ROWS: std::ops::RangeInclusive<u64> = 20_000..=500_000;

impl<S: Source> Attempt<'_, S> {
    /// Reads everything that is not covered yet.
    pub(super) async fn copy(&mut self) -> Result<Ended> {
        let mut idle_rounds = 0;
        let mut tables = self.state.copy.iter().flatten();
        let is_untouched = tables.all(|table| table.coverage.is_untouched());
        if is_untouched && self.unread == Unread::IsAbsent {
            // Nothing is out yet: a new cut is as good, and nothing before it matters.
            self.state.log = None;
            self.state.cuts_ahead.clear();
        }
        loop {
            if self.pass_cuts_ahead().await? == Ended::Stopped {
                return Ok(Ended::Stopped);
            }
            if self.state.copy.is_some() && self.state.copy_is_complete() {
                self.close_live().await;
                return Ok(Ended::Complete);
            }
            let before = self.shared.progress.rows_snapshot();
            let (ended, postponed) = self.round().await?;
            if ended == Ended::Stopped || self.shared.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            let idle = self.shared.progress.rows_snapshot() == before && !self.state.all_is_read();
            idle_rounds = if idle { idle_rounds + 1 } else { 0 };
            if idle_rounds >= IDLE_ROUNDS_MAX {
                return Err(postponed.unwrap_or_else(|| {
                    Error::new(ErrorKind::Connection, "no reader could read on")
                }));
            }
            if idle {
                tokio::select! {
                    biased;
                    () = self.shared.stop.cancelled() => return Ok(Ended::Stopped),
                    () = tokio::time::sleep(self.shared.options.retry.bound(idle_rounds)) => {}
                }
            }
        }
    }

    /// One round: the log up to a new cut, then the rest of the rows as of that cut.
    async fn round(&mut self) -> Result<(Ended, Option<Error>)> {
        if self.catch_up().await? == Ended::Stopped {
            return Ok((Ended::Stopped, None));
        }
        let source = self.shared.source;
        let held = self.boundary();
        let request = CutRequest {
            at_least: held.as_ref(),
            readers: self.shared.options.readers,
        };
        let Cuts {
            readers,
            tables,
            definitions,
        } = source.open_cuts(request).await?;
        failpoint::hit("cut.open")?;
        if readers.iter().any(|reader| reader.cut().is_none()) {
            let copy = self.reconcile(&tables);
            return self.copy_by_marks(readers, tables, copy).await;
        }
        let cuts = distinct_cuts(&readers);
        let Some(first) = cuts.first().cloned() else {
            return Err(Error::new(
                ErrorKind::Internal,
                "the source opened no reader",
            ));
        };
        if held.is_some_and(|held| !first.includes(&held)) {
            return Err(Error::new(
                ErrorKind::Internal,
                "the source opened a cut before what was emitted already",
            )
            .with("cut", first));
        }
        if self.state.log.is_some()
            && self.advance(Some(first.clone()), None).await? == Ended::Stopped
        {
            return Ok((Ended::Stopped, None));
        }
        self.close_live().await;
        let copy = self.reconcile(&tables);
        let ids = self.number_cuts(cuts.len());
        let ahead = cuts.iter().zip(&ids).skip(1);
        let next_cut = self.state.next_cut + u32::try_from(cuts.len()).unwrap_or(1) - 1;
        // What was covered when the stream got here stays; the log's own definitions are newer than the cut's only where
        // the stream has passed DDL, which it has not beyond `first`. A transaction that is prepared and open has to be read
        // again from before the cut, for its rows are in no view.
        let (log, definitions) = match &self.state.log {
            Some(log) if log.out.is_some() => (log.clone(), self.state.definitions.clone()),
            _ => (LogPoint::at(first), definitions),
        };
        let opened = CutOpened {
            log,
            definitions,
            cuts_ahead: ahead
                .map(|(position, id)| CutAhead {
                    id: *id,
                    position: position.clone(),
                })
                .collect(),
            next_cut,
            copy: copy.clone(),
        };
        self.note_saved(Note::Cut(Box::new(opened))).await?;
        self.read(numbered(readers, &cuts, &ids), &tables, &copy)
            .await
    }

    /// Numbers for `count` cuts in order: the first is where the log stands, so it is passed already.
    fn number_cuts(&self, count: usize) -> Vec<CutId> {
        let ahead = (self.state.next_cut..).map(CutId);
        std::iter::once(CutId::PASSED)
            .chain(ahead)
            .take(count)
            .collect()
    }

    async fn read(
        &mut self,
        readers: Vec<(S::Reader, CutId)>,
        tables: &[TableInfo],
        copy: &[TableCopy],
    ) -> Result<(Ended, Option<Error>)> {
        self.shared.progress.set_phase(Phase::Copying);
        let plans = plans(
            tables,
            copy,
            readers.len(),
            self.shared.options.split_rows,
            self.shared.progress,
        );
        let stop = self.shared.stop.child_token();
        let progress = Arc::clone(self.shared.progress);
        let scanning = scan(
            plans,
            copy.to_vec(),
            readers,
            self.writer.clone(),
            progress,
            stop.clone(),
        );
        let scanned = scanning.await?;
        self.state.copy = Some(scanned.copy);
        self.announce_completed(tables).await?;
        Ok((Ended::Complete, scanned.postponed))
    }

    /// Emits the log up to each cut that it has not reached yet, in order.
    pub(super) async fn pass_cuts_ahead(&mut self) -> Result<Ended> {
        while let Some(ahead) = self.state.cuts_ahead.first().cloned() {
            self.shared.progress.set_phase(Phase::CatchingUp);
            if self.advance(Some(ahead.position), None).await? == Ended::Stopped {
                return Ok(Ended::Stopped);
            }
            self.note(Note::Passed(ahead.id)).await?;
        }
        Ok(Ended::Complete)
    }

    /// After a crash: emits what happened to covered rows, up to now, so that the next cut is close.
    async fn catch_up(&mut self) -> Result<Ended> {
        if self.state.log.is_none() {
            return Ok(Ended::Complete);
        }
        self.shared.progress.set_phase(Phase::CatchingUp);
        let (now, _) = self.shared.source.current().await?;
        if self
            .boundary()
            .is_some_and(|boundary| boundary.includes(&now))
        {
            return Ok(Ended::Complete);
        }
        self.advance(Some(now), None).await
    }

    /// Says of each table that is all read that it is: of one whose last rows came just before a crash, too.
    async fn announce_completed(&mut self, tables: &[TableInfo]) -> Result<()> {
        for table in tables {
            let copy = self.state.table(&table.schema.name);
            if copy.is_some_and(|copy| copy.coverage.is_complete()) {
                self.announce_complete(&table.schema).await?;
            }
        }
        Ok(())
    }

    /// Says that the table is all read, unless that was said.
    pub(super) async fn announce_complete(&mut self, schema: &Arc<TableSchema>) -> Result<()> {
        if self
            .state
            .table(&schema.name)
            .is_none_or(|copy| copy.completed)
        {
            return Ok(());
        }
        let mut batch = self.writer.pool.take();
        let kind = ChangeKind::BootstrapComplete;
        batch.push_table_mark(kind, schema, clock::now_event_s());
        self.note_behind(batch, Note::Completed(schema.name.clone()))
            .await
    }

    /// The tables to copy as they are now, with what was read of them; after them those that have gone, which the
    /// log may still speak of. A table whose key is another starts again.
    fn reconcile(&self, tables: &[TableInfo]) -> Vec<TableCopy> {
        let (progress, known) = (self.shared.progress, self.state.copy.as_deref());
        let listed = tables.iter().map(|table| {
            let name = &table.schema.name;
            let unread = || TableCopy::unread(&table.schema, table.estimated_rows);
            match self.state.table(name) {
                None => unread(),
                Some(copy) if copy.has_key_of(&table.schema) => TableCopy {
                    gone: false,
                    ..copy.clone()
                },
                Some(_) => {
                    progress.notice(format!(
                        "{name}: its key is another now, so it is copied again from the beginning"
                    ));
                    unread()
                }
            }
        });
        let is_listed =
            |copy: &TableCopy| tables.iter().any(|table| table.schema.name == copy.name);
        let left = known.unwrap_or_default().iter();
        // Of a table that was gone a round before, the log has nothing more: it was caught up since.
        let is_over = |copy: &TableCopy| copy.gone && copy.coverage.is_untouched();
        let left = left.filter(|copy| !is_listed(copy) && !is_over(copy));
        let gone = left.map(|copy| {
            if !copy.gone && !copy.coverage.is_untouched() {
                progress.notice(format!(
                    "{} has gone; what was copied of it stays copied",
                    copy.name
                ));
            }
            TableCopy {
                gone: true,
                ..copy.clone()
            }
        });
        listed.chain(gone).collect()
    }
}

/// Each reader with the number of its cut.
fn numbered<R: SnapshotReader>(
    readers: Vec<R>,
    cuts: &[R::Position],
    ids: &[CutId],
) -> Vec<(R, CutId)> {
    let number = |reader: &R| {
        let cut = reader.cut()?;
        let at = cuts.iter().position(|known| known == cut)?;
        ids.get(at).copied()
    };
    let numbered = readers.into_iter().map(|reader| {
        let id = number(&reader).unwrap_or(CutId::PASSED);
        (reader, id)
    });
    numbered.collect()
}

/// The cuts of `readers`, earliest first.
fn distinct_cuts<R: SnapshotReader>(readers: &[R]) -> Vec<R::Position> {
    let mut cuts: Vec<R::Position> = Vec::new();
    for cut in readers.iter().filter_map(SnapshotReader::cut) {
        if !cuts.contains(cut) {
            cuts.push(cut.clone());
        }
    }
    // Positions of one server at one time: each includes those before it, so the latest includes the most.
    let all = cuts.clone();
    cuts.sort_by_cached_key(|cut| all.iter().filter(|other| cut.includes(other)).count());
    cuts
}

/// The plan of what is left to read, and the counters that show it.
fn plans(
    tables: &[TableInfo],
    copy: &[TableCopy],
    readers: usize,
    split_rows: Option<u64>,
    progress: &Progress,
) -> Vec<TablePlan> {
    let mut counters = Vec::new();
    let mut plans = Vec::new();
    for (table, copy) in tables.iter().zip(copy) {
        let done = copy.coverage.is_complete();
        let counter = Progress::table(copy.name.clone(), copy.rows, table.estimated_rows, done);
        counters.push(Arc::clone(&counter));
        if done {
            continue;
        }
        let even = table.estimated_rows / (readers.max(1) as u64 * SPLITS_PER_READER);
        plans.push(TablePlan {
            schema: Arc::clone(&table.schema),
            progress: counter,
            unread: VecDeque::from(copy.coverage.unread_ranges()),
            split_rows: split_rows.unwrap_or(even.clamp(*SPLIT_ROWS.start(), *SPLIT_ROWS.end())),
            announced: copy.announced,
            reading: 0,
            postponed: None,
        });
    }
    progress.set_tables(counters);
    plans
}
