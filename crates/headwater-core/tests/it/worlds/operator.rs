//! Somebody who asks for bootstraps of the running stream, pauses, throttles and aborts them, by chance.

use std::time::Duration;

use headwater_core::bootstrap::{Action, BootstrapRequest, BootstrapState, Control, Limits};
use headwater_core::progress::{Phase, Progress};
use headwater_testkit::memory::World;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Bootstraps asked for while the writers write.
const ASKED_MAX: u64 = 6;

/// What it does follows from this number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operator {
    pub(crate) seed: u64,
    /// Whether it asks for tables that have no ranges, too.
    pub(crate) wants_whole: bool,
}

impl Operator {
    /// Works until the writers are done and every bootstrap is over.
    pub(crate) async fn work(self, control: &Control, progress: &Progress, world: &World) {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut asked = 0;
        let mut is_quiet = false;
        loop {
            let pause = Duration::from_millis(random.random_range(1..2_000));
            tokio::select! {
                () = world.quiet(), if !is_quiet => is_quiet = true,
                () = tokio::time::sleep(pause) => {}
            }
            if progress.phase() != Phase::Streaming {
                continue;
            }
            let bootstraps = progress.bootstraps();
            let open: Vec<_> = bootstraps
                .iter()
                .filter(|found| !found.state.is_over())
                .collect();
            if is_quiet && open.is_empty() && asked > 0 {
                return;
            }
            if is_quiet || asked == ASKED_MAX {
                // What was paused must not stay so.
                for paused in open
                    .iter()
                    .filter(|found| found.state == BootstrapState::Paused)
                {
                    let _ = control.act(paused.id, Action::Resume).await;
                }
            }
            if asked < ASKED_MAX && (asked == 0 || random.random_bool(0.3)) {
                let tables: [&[&str]; 3] = if self.wants_whole {
                    [&["*.*"], &["shop.*"], &["*.*s"]]
                } else {
                    let ranged: &[&str] = &["*.n*", "*.pairs"];
                    [ranged, ranged, &["*.numbers", "*.names", "*.pairs"]]
                };
                let tables = tables[random.random_range(0..3)].iter();
                let request = BootstrapRequest {
                    tables: tables.map(|&table| table.to_owned()).collect(),
                    ..BootstrapRequest::default()
                };
                asked += u64::from(control.ask(request).await.is_ok());
                continue;
            }
            let Some(one) = open.first().filter(|_| !is_quiet) else {
                continue;
            };
            let limits = Limits {
                rows_per_s: Some(random.random_range(1..50)),
                bytes_per_s: random.random_bool(0.5).then_some(10_000),
            };
            let action = match random.random_range(0..10) {
                0 => Action::Abort,
                1..=3 => Action::Pause,
                4..=6 => Action::Resume,
                _ => Action::Limit(limits),
            };
            let _ = control.act(one.id, action).await;
        }
    }
}
