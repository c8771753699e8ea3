//! What people see: log lines, progress bars, the live status. All of it goes to standard error through one [`Console`], so
//! that bars, lines and events on the same terminal do not write over each other.

mod bars;
mod bootstraps;
pub(crate) mod console;
mod events;
mod lines;
mod pace;

pub(crate) use bars::{Bar, percent, seconds_left};
pub(crate) use console::{Console, Form, Wishes};
pub(crate) use events::EventStream;
pub(crate) use pace::{Pace, duration, rate};

use std::sync::Arc;
use std::time::Duration;

use headwater_core::progress::Progress;
use tokio_util::sync::CancellationToken;

/// How often the counters are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Shows a run's progress until `ended`: bars on a terminal, lines elsewhere, nothing if it is to be quiet.
pub(crate) async fn show(console: Arc<Console>, progress: Arc<Progress>, ended: CancellationToken) {
    let form = console.form();
    let mut bars = (form == Form::Bars).then(|| bars::Bars::new(&console));
    let mut lines = lines::Lines::new(form != Form::Bars);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended.cancelled() => break,
            _ = tick.tick() => {}
        }
        if form == Form::Quiet {
            continue;
        }
        lines.tick(&progress);
        if let Some(bars) = &mut bars {
            bars.tick(&progress);
        }
    }
    if let Some(bars) = bars {
        bars.clear();
    }
    if form != Form::Quiet {
        lines.tick(&progress);
    }
}
