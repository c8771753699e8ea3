//! The JSON of the control plane. These types are its documentation too: `docs/openapi.json` is made from them.

use std::collections::BTreeMap;

use headwater_core::bootstrap::{self, Bootstrap, BootstrapRequest, BootstrapState};
use headwater_core::load::LoadLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::terminal::{percent, seconds_left};

/// A bootstrap that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBootstrap {
    /// Tables by name: `shop.orders`, `shop.*`, `*.*`. A star stands for any run of characters.
    #[schemars(length(min = 1))]
    pub(crate) tables: Vec<String>,
    /// An SQL condition that bounds each table's rows.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<String>,
    /// Whether each table is read in one piece, and not range by range: for a condition that few rows meet and an index finds,
    /// such as a list of keys. False if not given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) at_once: bool,
    /// A remark that goes into every event of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    /// How fast it may go, and under which load of the source. Not given: as fast as it can, under that of the run's
    /// configuration.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub(crate) limits: Limits,
    /// A name of your own for this request: a second request of the same origin is answered with the first one's bootstrap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
    /// Seconds since 1970 before which it is not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_before_s: Option<u64>,
}

/// What is to be changed of a bootstrap. At least one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBootstrap {
    /// Whether it stands still or goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<WantedState>,
    /// How fast it may go from now on, and under which load; `{}` lifts every limit but those of the run's configuration,
    /// `{"load": {}}` those, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<Limits>,
}

/// A state that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WantedState {
    /// Stand still after the chunk being read.
    Paused,
    /// Go on.
    Running,
}

/// How fast rows may be read, and under which load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Rows a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) rows_per_s: Option<u64>,
    /// Bytes a second, as rows are held in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) bytes_per_s: Option<u64>,
    /// The load of the source above which nothing is read. Not given: that of the run's configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) load: Option<Load>,
}

/// A load of the source; what is not given may be anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Load {
    /// Statements that run at once (`Threads_running`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threads_running: Option<u64>,
    /// The length of InnoDB's history list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) history_length: Option<u64>,
    /// How many seconds any of the replicas that the configuration names is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replica_lag_s: Option<u64>,
}

impl From<LoadLimits> for Load {
    fn from(limits: LoadLimits) -> Self {
        Self {
            threads_running: limits.threads_running,
            history_length: limits.history_length,
            replica_lag_s: limits.replica_lag_s,
        }
    }
}

impl From<Load> for LoadLimits {
    fn from(load: Load) -> Self {
        Self {
            threads_running: load.threads_running,
            history_length: load.history_length,
            replica_lag_s: load.replica_lag_s,
        }
    }
}

impl Limits {
    /// Whether there is none.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl From<bootstrap::Limits> for Limits {
    fn from(limits: bootstrap::Limits) -> Self {
        Self {
            rows_per_s: limits.rows_per_s,
            bytes_per_s: limits.bytes_per_s,
            load: limits.load.map(Load::from),
        }
    }
}

impl From<Limits> for bootstrap::Limits {
    fn from(limits: Limits) -> Self {
        Self {
            rows_per_s: limits.rows_per_s,
            bytes_per_s: limits.bytes_per_s,
            load: limits.load.map(LoadLimits::from),
        }
    }
}

impl From<NewBootstrap> for BootstrapRequest {
    fn from(new: NewBootstrap) -> Self {
        Self {
            tables: new.tables,
            condition: new.condition,
            comment: new.comment,
            limits: new.limits.into(),
            at_once: new.at_once,
            origin: new.origin,
            not_before_s: new.not_before_s,
        }
    }
}

/// Where a bootstrap, or one table of it, stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It has not begun.
    Waiting,
    /// It is being read.
    Running,
    /// It stands still until it is resumed.
    Paused,
    /// All its rows are out.
    Done,
    /// It was told to end before it was done.
    Aborted,
    /// It could not go on; the stream does.
    Failed,
}

impl State {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more comes of it.
    pub(crate) const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Aborted | Self::Failed)
    }
}

/// A bootstrap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BootstrapView {
    /// Its number.
    pub(crate) id: u64,
    /// Where it stands.
    pub(crate) state: State,
    /// Why it failed, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The tables as they were asked for.
    pub(crate) asked_for: Vec<String>,
    /// The condition that bounds each table's rows.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<String>,
    /// The remark in its events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    /// How fast it may go.
    pub(crate) limits: Limits,
    /// When it was asked for, in seconds since 1970.
    pub(crate) asked_at_s: u64,
    /// The time before which it is not begun, in seconds since 1970, where its request names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_before_s: Option<u64>,
    /// What of the source's load it waits for, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits: Option<String>,
    /// When its first row was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) began_at_s: Option<u64>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at_s: Option<u64>,
    /// Rows that are out.
    pub(crate) rows: u64,
    /// Roughly how many there are.
    pub(crate) rows_estimated: u64,
    /// The share that is out: 100 only once all is.
    pub(crate) percent: u64,
    /// How fast it goes now.
    pub(crate) rows_per_second: f64,
    /// How long it will take at that rate, where that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_left: Option<u64>,
    /// Its tables, in the order in which they are read.
    pub(crate) tables: Vec<TableView>,
}

/// A table that is being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TableView {
    /// Its name: `shop.orders`.
    pub(crate) table: String,
    /// Rows that are out.
    pub(crate) rows: u64,
    /// Roughly how many there are.
    pub(crate) rows_estimated: u64,
    /// The share that is out: 100 only once all is.
    pub(crate) percent: u64,
    /// Whether all are out.
    pub(crate) done: bool,
    /// Why it could not be read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}

impl BootstrapView {
    /// A bootstrap that now goes at this many rows a second.
    pub(crate) fn of(bootstrap: &Bootstrap, rows_per_second: f64) -> Self {
        let (rows, rows_estimated) = (bootstrap.rows(), bootstrap.estimated_rows());
        let (state, reason) = match &bootstrap.state {
            BootstrapState::Waiting => (State::Waiting, None),
            BootstrapState::Running => (State::Running, None),
            BootstrapState::Paused => (State::Paused, None),
            BootstrapState::Done => (State::Done, None),
            BootstrapState::Aborted => (State::Aborted, None),
            BootstrapState::Failed { reason } => (State::Failed, Some(reason.clone())),
        };
        let is_running = state == State::Running;
        let rows_per_second = if is_running { rows_per_second } else { 0.0 };
        let request = &bootstrap.request;
        Self {
            id: bootstrap.id,
            state,
            reason,
            asked_for: request.tables.clone(),
            condition: request.condition.clone(),
            comment: request.comment.clone(),
            limits: request.limits.into(),
            asked_at_s: bootstrap.asked_at_s,
            not_before_s: request.not_before_s,
            waits: None,
            began_at_s: bootstrap.began_at_s,
            ended_at_s: bootstrap.ended_at_s,
            rows,
            rows_estimated,
            percent: percent(rows, rows_estimated, state == State::Done),
            rows_per_second: (rows_per_second * 10.0).round() / 10.0,
            seconds_left: seconds_left(rows, rows_estimated, rows_per_second),
            tables: bootstrap.tables.iter().map(TableView::of).collect(),
        }
    }

    /// The tables that could not be read to their end, each with the reason.
    pub(crate) fn failed_tables(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.tables.iter())
            .filter_map(|table| Some((table.table.as_str(), table.failed.as_deref()?)))
    }
}

impl TableView {
    fn of(table: &bootstrap::TableBootstrap) -> Self {
        let copy = &table.copy;
        Self {
            table: copy.name.to_string(),
            rows: copy.rows,
            rows_estimated: copy.estimated_rows.max(copy.rows),
            percent: percent(copy.rows, copy.estimated_rows, copy.completed),
            done: copy.completed,
            failed: table.failed.clone(),
        }
    }
}

/// The bootstraps that are open, and the last that were; oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BootstrapList {
    /// The bootstraps.
    pub(crate) bootstraps: Vec<BootstrapView>,
}

/// The process lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Health {
    /// Always true.
    pub(crate) alive: bool,
}

/// Whether rows or changes flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Readiness {
    /// Whether they do: the source was reached and the sink is open.
    pub(crate) ready: bool,
    /// What the run is doing: `starting`, `copying`, `catching_up`, `streaming`, `waiting`, `ended`.
    pub(crate) phase: String,
    /// Why they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// A run: what it is, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StatusView {
    /// The version of Headwater.
    pub(crate) version: String,
    /// The number of the process.
    pub(crate) pid: u32,
    /// The configuration's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<String>,
    /// What it does: `backfill`, `cdc`, or `both`.
    pub(crate) mode: String,
    /// The server it reads, without a password.
    pub(crate) server: String,
    /// Where events go.
    pub(crate) sink: String,
    /// Where the progress is kept: a file, or the store of folds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<String>,
    /// When it began, in seconds since 1970.
    pub(crate) started_at_s: u64,
    /// Whether rows or changes flow.
    #[serde(flatten)]
    pub(crate) readiness: Readiness,
    /// How far the log is out, as its source writes it.
    pub(crate) position: String,
    /// Snapshot rows that went out.
    pub(crate) rows_copied: u64,
    /// Changes that went out.
    pub(crate) changes: u64,
    /// When the last change that went out was made, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_change_s: Option<u64>,
    /// How far what goes out is behind the source. None before the log is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lag_seconds: Option<u64>,
    /// How much of the source's log is still to be read, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lag_bytes: Option<u64>,
    /// How old the last checkpoint is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint_age_seconds: Option<u64>,
    /// Checkpoints that were saved.
    pub(crate) checkpoints: u64,
    /// Batches that wait for the sink.
    pub(crate) queue_batches: u64,
    /// Their bytes.
    pub(crate) queue_bytes: u64,
    /// Messages for the operator, each of which is in the log as a warning.
    pub(crate) notices: u64,
    /// Failures that were waited out and tried again, by kind of error.
    pub(crate) retries: BTreeMap<String, u64>,
    /// What became of rows, as the sink counts it by itself: IoTDB's says `points`, `nulls`, `refused` and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sink_counts: BTreeMap<String, u64>,
    /// The last failure that was waited out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<FailureView>,
    /// The tables of the first copy.
    pub(crate) tables: Vec<TableView>,
    /// What went out since the start, by table and kind.
    pub(crate) flow: Vec<FlowView>,
    /// The bootstraps that are open, and the last that were; oldest first.
    pub(crate) bootstraps: Vec<BootstrapView>,
}

/// A failure that was waited out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FailureView {
    /// When, in seconds since 1970.
    pub(crate) at_s: u64,
    /// The kind of error.
    pub(crate) kind: String,
    /// What went wrong.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// What went out of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FlowView {
    /// Its name.
    pub(crate) table: String,
    /// What happened to the rows: `bootstrap`, `insert`, `update`, `delete`, `truncate`, `ddl`.
    pub(crate) kind: String,
    /// Rows.
    pub(crate) rows: u64,
    /// Their bytes, as they are held in memory.
    pub(crate) bytes: u64,
}

/// A request that was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErrorBody {
    /// Why.
    pub(crate) error: ErrorView,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErrorView {
    /// The kind of error, as the page of exit codes lists them.
    pub(crate) kind: String,
    /// What it is.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}
