//! The run that the control plane looks at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use headwater_core::bootstrap::{Bootstrap, BootstrapId, Control};
use headwater_core::counters::KINDS;
use headwater_core::progress::{Phase, Progress};
use headwater_core::{clock, metrics};

use super::view::{
    BootstrapList, BootstrapView, FailureView, FlowView, Readiness, StatusView, TableView,
};
use crate::config::mask;
use crate::folds::Reader;
use crate::terminal::{Pace, percent};

/// The program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a run is: said once, at its start. Nothing secret.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) env: Option<String>,
    pub(crate) mode: &'static str,
    pub(crate) server: String,
    pub(crate) sink: String,
    pub(crate) checkpoint: Option<String>,
}

/// A run, from outside: what it says of itself, and the way to its engine.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(super) control: Control,
    progress: Arc<Progress>,
    about: About,
    /// What the run folds.
    pub(super) folds: Option<Reader>,
    rates: Mutex<HashMap<BootstrapId, (Pace, f64)>>,
}

impl Watched {
    pub(crate) fn new(control: Control, progress: Arc<Progress>, about: About) -> Self {
        Self {
            control,
            progress,
            about,
            folds: None,
            rates: Mutex::default(),
        }
    }

    /// The same, of a run that folds.
    pub(crate) fn with_folds(self, folds: Option<Reader>) -> Self {
        Self { folds, ..self }
    }

    /// Measures how fast the bootstraps go. Called every second.
    pub(super) fn sample(&self) {
        let now = Instant::now();
        let all = self.progress.bootstraps();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.retain(|id, _| all.iter().any(|one| one.id == *id && !one.state.is_over()));
        for bootstrap in all.iter().filter(|one| !one.state.is_over()) {
            let (pace, rate) = rates.entry(bootstrap.id).or_default();
            *rate = pace.sample(now, bootstrap.rows());
        }
    }

    /// A bootstrap as it is shown.
    pub(super) fn view(&self, bootstrap: &Bootstrap) -> BootstrapView {
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rates.get(&bootstrap.id).map_or(0.0, |(_, rate)| *rate);
        let waits = self.progress.load_waits();
        let wait = waits.iter().find(|wait| wait.id == Some(bootstrap.id));
        BootstrapView {
            waits: wait.map(|wait| wait.why.clone()),
            ..BootstrapView::of(bootstrap, rate)
        }
    }

    /// All bootstraps.
    pub(super) fn bootstraps(&self) -> BootstrapList {
        let all = self.progress.bootstraps();
        BootstrapList {
            bootstraps: all.iter().map(|one| self.view(one)).collect(),
        }
    }

    /// The bootstrap of this number.
    pub(super) fn bootstrap(&self, id: BootstrapId) -> Option<BootstrapView> {
        let all = self.progress.bootstraps();
        all.iter()
            .find(|one| one.id == id)
            .map(|one| self.view(one))
    }

    /// Whether rows or changes flow; nothing that only the operator may know.
    pub(super) fn readiness(&self) -> Readiness {
        let phase = self.progress.phase();
        let reason = match phase {
            Phase::Copying | Phase::CatchingUp | Phase::Streaming => None,
            Phase::Starting => Some("the source is being reached, and the sink opened"),
            Phase::Waiting => Some("after a failure, the next attempt is waited for"),
            Phase::Ended => Some("the run has ended"),
        };
        Readiness {
            ready: phase.is_ready(),
            phase: phase.name().to_owned(),
            reason: reason.map(str::to_owned),
        }
    }

    /// Everything.
    pub(super) fn status(&self) -> StatusView {
        let (progress, about) = (&self.progress, self.about.clone());
        let counters = progress.counters();
        let now_s = clock::now_s();
        let (queue_batches, queue_bytes) = counters.queue();
        StatusView {
            version: VERSION.to_owned(),
            pid: std::process::id(),
            env: about.env,
            mode: about.mode.to_owned(),
            server: about.server,
            sink: about.sink,
            checkpoint: about.checkpoint,
            started_at_s: counters.started_at_s(),
            readiness: self.readiness(),
            position: progress.position(),
            rows_copied: progress.rows_snapshot(),
            changes: progress.rows_live(),
            last_change_s: Some(progress.last_change_s()).filter(|at| *at > 0),
            lag_seconds: counters.lag_s(now_s),
            lag_bytes: counters.lag_bytes(),
            checkpoint_age_seconds: counters.checkpoint_age_s(now_s),
            checkpoints: counters.checkpoints(),
            queue_batches,
            queue_bytes,
            notices: counters.notices(),
            retries: (counters.retries().into_iter())
                .map(|(kind, count)| (kind.to_owned(), count))
                .collect(),
            sink_counts: (counters.sink().into_iter())
                .map(|(what, count)| (what.to_owned(), count))
                .collect(),
            failure: self.failure(),
            tables: self.tables(),
            flow: self.flow(),
            bootstraps: self.bootstraps().bootstraps,
        }
    }

    fn failure(&self) -> Option<FailureView> {
        let failure = self.progress.counters().failure()?;
        Some(FailureView {
            at_s: failure.at_s,
            kind: failure.kind.to_owned(),
            message: mask::urls(&failure.message),
            hint: failure.hint,
        })
    }

    fn tables(&self) -> Vec<TableView> {
        let tables = self.progress.tables();
        let view = tables.iter().map(|table| TableView {
            table: table.name.to_string(),
            rows: table.rows(),
            rows_estimated: table.estimated_rows,
            percent: percent(table.rows(), table.estimated_rows, table.is_done()),
            done: table.is_done(),
            failed: None,
        });
        view.collect()
    }

    fn flow(&self) -> Vec<FlowView> {
        let mut flow = Vec::new();
        for (name, amounts) in self.progress.counters().tables() {
            for ((_, kind), amount) in KINDS.iter().zip(amounts) {
                if amount.rows > 0 {
                    flow.push(FlowView {
                        table: name.to_string(),
                        kind: (*kind).to_owned(),
                        rows: amount.rows,
                        bytes: amount.bytes,
                    });
                }
            }
        }
        flow
    }

    /// The metrics, as Prometheus reads them.
    pub(super) fn metrics(&self) -> String {
        metrics::render(&self.progress, clock::now_s(), VERSION)
    }
}
