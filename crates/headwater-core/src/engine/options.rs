//! What a run is asked to do, and how it ended.

use std::time::Duration;

use serde_json::Value;

use crate::filter::{Filter, TextOf, Updates};
use crate::load::LoadLimits;
use crate::position::HandoffToken;
use crate::retry::Backoff;
use crate::trigger::Trigger;

/// Which parts of the work a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The first copy, then end.
    Backfill,
    /// The log only.
    Cdc,
    /// The first copy, then the log.
    Both,
}

/// Where a run without a first copy starts. A checkpoint that exists wins.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// At the end of the log.
    Now,
    /// Where a token says.
    Token(HandoffToken),
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When it is told to.
    Forever,
    /// Once it has emitted everything that was committed before it was started.
    Now,
}

/// Which rows go out. The source is given the same filter for whole tables.
#[derive(Debug, Clone)]
pub struct RowFilter {
    /// The rules.
    pub filter: Filter,
    /// What an update is judged by.
    pub updates: Updates,
    /// The text of a value, which rules compare.
    pub text_of: TextOf,
}

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which parts of the work.
    pub mode: Mode,
    /// Where to start without a copy and without a checkpoint.
    pub start: Start,
    /// When to end.
    pub until: Until,
    /// Snapshot readers side by side.
    pub readers: usize,
    /// Rows of a split; none: from the table's estimated rows.
    pub split_rows: Option<u64>,
    /// Rows of a chunk, at most, where cuts are taken by marks and in a bootstrap of the running stream: they are held in
    /// memory.
    pub chunk_rows: u64,
    /// Tables of bootstraps that are read in rotation; the others wait.
    pub bootstrap_tables: usize,
    /// The load of the source above which nothing is read of bootstraps that do not say otherwise, nor of tables that are
    /// copied beside the stream.
    pub bootstrap_load: LoadLimits,
    /// How old a measurement of that load may be.
    pub load_interval: Duration,
    /// How the rows of the source's trigger table ([`LiveSource::watched`](crate::source::LiveSource::watched)) ask for
    /// bootstraps; without it they do not.
    pub trigger: Option<Trigger>,
    /// How often progress is saved.
    pub checkpoint_interval: Duration,
    /// How long a run that was told to stop waits for its sink, in all. Then it ends without another checkpoint, and what
    /// was not acknowledged comes again with the next run.
    pub stop_within: Duration,
    /// Which rows go out; none: all.
    pub rows: Option<RowFilter>,
    /// What a checkpoint must agree with: tables, conditions, filter, sink, format.
    pub configuration: Value,
    /// A name for a new copy.
    pub run_name: String,
    /// Waiting between attempts.
    pub retry: Backoff,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Both,
            start: Start::Now,
            until: Until::Forever,
            readers: 2,
            split_rows: None,
            chunk_rows: 10_000,
            bootstrap_tables: 1,
            bootstrap_load: LoadLimits::default(),
            load_interval: Duration::from_secs(1),
            trigger: None,
            checkpoint_interval: Duration::from_secs(1),
            stop_within: Duration::from_secs(10),
            rows: None,
            configuration: Value::Null,
            run_name: "run".into(),
            retry: Backoff::default(),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything asked for is done.
    Complete,
    /// It was told to stop; everything accepted is durable.
    Stopped,
    /// It was told to stop while its sink or source did not answer: what was not acknowledged comes again with the next run.
    Abandoned,
    /// The reader of its output has gone.
    SinkClosed,
}

/// What a run has done.
#[derive(Debug, Clone)]
pub struct Summary {
    /// How it ended.
    pub ended: Ended,
    /// From where a live stream can go on; none while a copy is not complete, nor where it was abandoned.
    pub token: Option<HandoffToken>,
    /// Snapshot rows that went out, in this process.
    pub rows_snapshot: u64,
    /// Changes of the log that went out, in this process.
    pub rows_live: u64,
}
