//! Progress as log lines: at each change of phase, at the end of each table, and every few seconds in between.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use headwater_core::clock;
use headwater_core::progress::{Phase, Progress, TableProgress};

use super::bootstraps::Bootstraps;
use super::pace::{Pace, tenths};

const EVERY: Duration = Duration::from_secs(5);
/// From so many tables on, the end of each is only told on request (`--log-level debug`).
const TABLES_MAX: usize = 30;

/// What was said, and when.
#[derive(Debug)]
pub(super) struct Lines {
    /// Whether to say more than changes: without bars.
    is_periodic: bool,
    phase: Phase,
    phase_since: Instant,
    last: Instant,
    done: HashSet<String>,
    copied: Pace,
    live: Pace,
    bootstraps: Bootstraps,
}

impl Lines {
    pub(super) fn new(is_periodic: bool) -> Self {
        let now = Instant::now();
        Self {
            is_periodic,
            phase: Phase::Starting,
            phase_since: now,
            last: now,
            done: HashSet::new(),
            copied: Pace::default(),
            live: Pace::default(),
            bootstraps: Bootstraps::default(),
        }
    }

    pub(super) fn tick(&mut self, progress: &Progress) {
        let now = Instant::now();
        let phase = progress.phase();
        self.ended_tables(&progress.tables());
        self.bootstraps.changes(progress);
        if phase != self.phase {
            self.change(phase, progress);
            self.phase = phase;
            self.phase_since = now;
            self.last = now;
        } else if self.is_periodic && now.duration_since(self.last) >= EVERY {
            self.last = now;
            self.report(phase, progress, now);
        }
    }

    fn ended_tables(&mut self, tables: &[std::sync::Arc<TableProgress>]) {
        for table in tables.iter().filter(|table| table.is_done()) {
            let name = table.name.to_string();
            if self.done.contains(&name) {
                continue;
            }
            if tables.len() <= TABLES_MAX {
                tracing::info!(table = %name, rows = table.rows(), "table copied");
            } else {
                tracing::debug!(table = %name, rows = table.rows(), "table copied");
            }
            self.done.insert(name);
        }
    }

    fn change(&self, phase: Phase, progress: &Progress) {
        let position = progress.position();
        match phase {
            Phase::Starting => tracing::info!("starting"),
            Phase::Copying => {
                let tables = progress.tables();
                let left = tables.iter().filter(|table| !table.is_done()).count();
                let estimate: u64 = tables.iter().map(|table| table.estimated_rows).sum();
                tracing::info!(
                    tables = tables.len(),
                    left,
                    rows_estimated = estimate,
                    "copying the rows that are there"
                );
            }
            Phase::CatchingUp => tracing::info!(position, "catching up with the log"),
            Phase::Streaming => {
                let rows = progress.rows_snapshot();
                tracing::info!(rows_copied = rows, position, "following the log");
            }
            Phase::Waiting => tracing::info!(
                position,
                retries = progress.counters().retries().values().sum::<u64>(),
                "waiting to try again"
            ),
            Phase::Ended => tracing::debug!(position, "ended"),
        }
    }

    fn report(&mut self, phase: Phase, progress: &Progress, now: Instant) {
        self.bootstraps.report(progress, now);
        match phase {
            Phase::Copying => {
                let tables = progress.tables();
                let rows: u64 = tables.iter().map(|table| table.rows()).sum();
                let estimate: u64 = tables.iter().map(|table| table.estimated_rows).sum();
                let done = tables.iter().filter(|table| table.is_done()).count();
                let rate = self.copied.sample(now, rows);
                let share = super::bars::percent(rows, estimate, false);
                let left_s = super::bars::seconds_left(rows, estimate, rate).unwrap_or(0);
                tracing::info!(
                    tables_done = done,
                    tables = tables.len(),
                    rows,
                    rows_estimated = estimate,
                    percent = share,
                    rows_per_second = tenths(rate),
                    seconds_left = left_s,
                    "copying"
                );
            }
            Phase::Streaming | Phase::CatchingUp => {
                let rows = progress.rows_live();
                let rate = self.live.sample(now, rows);
                let (counters, now_s) = (progress.counters(), clock::now_s());
                tracing::info!(
                    changes = rows,
                    changes_per_second = tenths(rate),
                    lag_seconds = counters.lag_s(now_s),
                    lag_bytes = counters.lag_bytes(),
                    checkpoint_age_seconds = counters.checkpoint_age_s(now_s),
                    queue_batches = counters.queue().0,
                    position = progress.position(),
                    "following the log"
                );
            }
            Phase::Starting | Phase::Waiting => {
                let since_s = self.phase_since.elapsed().as_secs();
                tracing::info!(seconds = since_s, "still waiting for the server");
            }
            Phase::Ended => {}
        }
    }
}
