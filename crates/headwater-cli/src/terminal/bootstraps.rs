//! Bootstraps in the words of the run that does them: a log line when one changes its state, and now and then between.

use std::collections::HashMap;
use std::time::Instant;

use headwater_core::bootstrap::{Bootstrap, BootstrapId, BootstrapState};
use headwater_core::progress::Progress;

use super::bars::{percent, seconds_left};
use super::pace::{Pace, tenths};

/// What was said of each.
#[derive(Debug, Default)]
pub(super) struct Bootstraps {
    said: HashMap<BootstrapId, BootstrapState>,
    paces: HashMap<BootstrapId, Pace>,
}

impl Bootstraps {
    /// Says what has changed.
    pub(super) fn changes(&mut self, progress: &Progress) {
        let all = progress.bootstraps();
        let started_at_s = progress.counters().started_at_s();
        self.said
            .retain(|id, _| all.iter().any(|one| one.id == *id));
        self.paces
            .retain(|id, _| all.iter().any(|one| one.id == *id));
        for one in all.iter() {
            let known = self.said.insert(one.id, one.state.clone());
            // One that an earlier run has ended is no news.
            let is_old = one.ended_at_s.is_some_and(|at| at < started_at_s);
            if known.as_ref() != Some(&one.state) && !(known.is_none() && is_old) {
                say(one);
            }
        }
    }

    /// Says how far those are that are being read.
    pub(super) fn report(&mut self, progress: &Progress, now: Instant) {
        for one in running(&progress.bootstraps()) {
            let (rows, estimate) = (one.rows(), one.estimated_rows());
            let pace = self.paces.entry(one.id).or_default();
            let rate = pace.sample(now, rows);
            tracing::info!(
                id = one.id,
                rows,
                rows_estimated = estimate,
                percent = percent(rows, estimate, false),
                rows_per_second = tenths(rate),
                seconds_left = seconds_left(rows, estimate, rate),
                "bootstrap running"
            );
        }
    }
}

fn say(one: &Bootstrap) {
    let (id, rows, tables) = (one.id, one.rows(), one.tables.len());
    match &one.state {
        BootstrapState::Failed { reason } => {
            tracing::warn!(id, rows, tables, "bootstrap failed: {reason}");
        }
        // That it was asked for is told where it is taken.
        BootstrapState::Waiting => {}
        state => tracing::info!(id, rows, tables, "bootstrap {}", state.name()),
    }
}

fn running(all: &[Bootstrap]) -> impl Iterator<Item = &Bootstrap> {
    all.iter()
        .filter(|one| one.state == BootstrapState::Running)
}

/// For the status line: `bootstrap 3 45%`.
pub(super) fn words(progress: &Progress) -> String {
    let mut out = String::new();
    for one in running(&progress.bootstraps()) {
        let share = percent(one.rows(), one.estimated_rows(), false);
        out.push_str(&format!(" · bootstrap {} {share}%", one.id));
    }
    out
}
