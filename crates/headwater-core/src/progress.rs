//! What a run is doing right now, for people: counters that the engine moves and a terminal or status page reads.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bootstrap::{Bootstrap, BootstrapId};
use crate::counters::Counters;
use crate::load::Measured;
use crate::schema::TableName;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connecting, checking, reading the checkpoint.
    Starting,
    /// Reading rows at a cut.
    Copying,
    /// Reading the log up to the next cut.
    CatchingUp,
    /// Following the log.
    Streaming,
    /// Waiting to try again after a failure that may pass.
    Waiting,
    /// Over.
    Ended,
}

/// The phases, in the order of their numbers.
pub const PHASES: [Phase; 6] = [
    Phase::Starting,
    Phase::Copying,
    Phase::CatchingUp,
    Phase::Streaming,
    Phase::Waiting,
    Phase::Ended,
];

impl Phase {
    /// Its name in metrics, status pages and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Copying => "copying",
            Self::CatchingUp => "catching_up",
            Self::Streaming => "streaming",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
        }
    }

    /// Whether rows or changes flow: the sink is open, and the source was reached.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Copying | Self::CatchingUp | Self::Streaming)
    }
}

/// One table's first copy.
#[derive(Debug)]
pub struct TableProgress {
    /// The table.
    pub name: TableName,
    /// Roughly how many rows it has.
    pub estimated_rows: u64,
    rows: AtomicU64,
    done: AtomicBool,
}

impl TableProgress {
    /// Rows read so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Whether all are read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    pub(crate) fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn set_done(&self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// A bootstrap, or the first copies beside the stream, that the load of the source holds back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadWait {
    /// The bootstrap; none: tables that are copied beside the stream.
    pub id: Option<BootstrapId>,
    /// What is above which limit.
    pub why: String,
}

/// Where a run stands, and its counters. Shared; reading never waits for the engine.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    rows_live: AtomicU64,
    rows_snapshot: AtomicU64,
    last_change_s: AtomicU64,
    tables: Mutex<Arc<Vec<Arc<TableProgress>>>>,
    position: Mutex<String>,
    bootstraps: Mutex<Arc<Vec<Bootstrap>>>,
    load: Mutex<Arc<Vec<Measured>>>,
    load_waits: Mutex<Arc<Vec<LoadWait>>>,
    counters: Counters,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress {
    /// What the run is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Ordering::Relaxed)).min(PHASES.len() - 1)]
    }

    /// The tables of the first copy.
    #[must_use]
    pub fn tables(&self) -> Arc<Vec<Arc<TableProgress>>> {
        Arc::clone(&locked(&self.tables))
    }

    /// Changes of the log that went out.
    #[must_use]
    pub fn rows_live(&self) -> u64 {
        self.rows_live.load(Ordering::Relaxed)
    }

    /// Snapshot rows that went out.
    #[must_use]
    pub fn rows_snapshot(&self) -> u64 {
        self.rows_snapshot.load(Ordering::Relaxed)
    }

    /// Seconds since 1970 of the last change that went out; 0 before the first.
    #[must_use]
    pub fn last_change_s(&self) -> u64 {
        self.last_change_s.load(Ordering::Relaxed)
    }

    /// How far the log is out, as its source writes it.
    #[must_use]
    pub fn position(&self) -> String {
        locked(&self.position).clone()
    }

    /// The bootstraps that were asked for, oldest first: those that are open, and the last that were.
    #[must_use]
    pub fn bootstraps(&self) -> Arc<Vec<Bootstrap>> {
        Arc::clone(&locked(&self.bootstraps))
    }

    /// The load of the source as it was measured last; empty where nothing waits for it.
    #[must_use]
    pub fn load(&self) -> Arc<Vec<Measured>> {
        Arc::clone(&locked(&self.load))
    }

    /// What the load of the source holds back now.
    #[must_use]
    pub fn load_waits(&self) -> Arc<Vec<LoadWait>> {
        Arc::clone(&locked(&self.load_waits))
    }

    /// What was done so far, in numbers.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Says something to the operator: a warning in the log, which is counted.
    pub fn notice(&self, text: impl AsRef<str>) {
        tracing::warn!("{}", text.as_ref());
        self.counters.noticed();
    }

    /// Says what the run is doing: for whoever drives one.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn set_tables(&self, tables: Vec<Arc<TableProgress>>) {
        *locked(&self.tables) = Arc::new(tables);
    }

    /// Says which bootstraps there are: for whoever drives a run.
    pub fn set_bootstraps(&self, bootstraps: Vec<Bootstrap>) {
        *locked(&self.bootstraps) = Arc::new(bootstraps);
    }

    pub(crate) fn set_load(&self, measured: Vec<Measured>) {
        *locked(&self.load) = Arc::new(measured);
    }

    /// Says what the load of the source holds back: for whoever drives a run.
    pub fn set_load_waits(&self, waits: Vec<LoadWait>) {
        *locked(&self.load_waits) = Arc::new(waits);
    }

    pub(crate) fn set_position(&self, position: String) {
        *locked(&self.position) = position;
    }

    pub(crate) fn add_live(&self, rows: u64, last_change_s: u32) {
        self.rows_live.fetch_add(rows, Ordering::Relaxed);
        self.last_change_s
            .store(u64::from(last_change_s), Ordering::Relaxed);
    }

    pub(crate) fn add_snapshot(&self, rows: u64) {
        self.rows_snapshot.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn table(
        name: TableName,
        rows: u64,
        estimated_rows: u64,
        done: bool,
    ) -> Arc<TableProgress> {
        Arc::new(TableProgress {
            name,
            estimated_rows,
            rows: AtomicU64::new(rows),
            done: AtomicBool::new(done),
        })
    }
}
