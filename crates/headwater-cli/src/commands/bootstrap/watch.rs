//! The progress of a bootstrap where it was asked for: a bar on a terminal, a line now and then in a pipe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_core::{Error, ErrorKind, Result};

use super::list::{rows, sentence, tables, taken};
use crate::control::client::Client;
use crate::control::view::{BootstrapView, State};
use crate::exit::Exit;
use crate::terminal::{Bar, Console, Form, duration, rate};

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often a line is written in a pipe.
const EVERY: Duration = Duration::from_secs(5);
/// SIGINT.
const INTERRUPT: u8 = 2;

/// Shows it until it is over, or the one who looks has seen enough.
pub(super) async fn watch(
    client: &Client,
    mut view: BootstrapView,
    is_json: bool,
    console: &Arc<Console>,
) -> Result<Exit> {
    let mut shown = Shown::new(console);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        shown.show(&view);
        if view.state.is_over() {
            shown.clear();
            return Ok(conclude(&view, is_json));
        }
        tokio::select! {
            _ = &mut interrupted => {
                shown.clear();
                leave(view.id);
                return Ok(Exit::Aborted(INTERRUPT));
            }
            () = tokio::time::sleep(TICK) => {}
        }
        match client.get(&super::path(view.id)).await {
            Ok(next) => view = next,
            Err(error) => {
                shown.clear();
                return Err(lost(view.id, error));
            }
        }
    }
}

/// It goes on without being looked at.
fn leave(id: u64) {
    tracing::warn!(
        id,
        "the bootstrap goes on: `headwater bootstrap watch {id}` shows it again, `headwater bootstrap abort {id}` ends it, \
         `headwater bootstrap list` lists all"
    );
}

fn lost(id: u64, error: Error) -> Error {
    if error.kind() != ErrorKind::Connection {
        return error;
    }
    Error::new(
        ErrorKind::Connection,
        "the running headwater ended before the bootstrap did",
    )
    .with("id", id)
    .hint("the bootstrap is in its checkpoint, and goes on when the run is started again")
    .caused_by(error)
}

fn conclude(view: &BootstrapView, is_json: bool) -> Exit {
    let mut exit = Exit::Finished;
    for (table, reason) in view.failed_tables() {
        tracing::error!(id = view.id, table, "the table is not complete: {reason}");
        exit = Exit::Failed;
    }
    let seconds = taken(view);
    match view.state {
        State::Done if exit == Exit::Finished => tracing::info!(
            id = view.id,
            rows = view.rows,
            "bootstrap done in {seconds}: {}",
            tables(view)
        ),
        _ => {
            tracing::error!(id = view.id, rows = view.rows, "{}", sentence(view));
            exit = Exit::Failed;
        }
    }
    if is_json {
        super::print_json(view);
    }
    exit
}

struct Shown {
    bar: Option<Bar>,
    is_quiet: bool,
    state: Option<State>,
    said: Instant,
}

impl Shown {
    fn new(console: &Console) -> Self {
        Self {
            bar: (console.form() == Form::Bars).then(|| Bar::new(console)),
            is_quiet: console.form() == Form::Quiet,
            state: None,
            said: Instant::now(),
        }
    }

    fn show(&mut self, view: &BootstrapView) {
        if let Some(bar) = &self.bar {
            let name = format!("bootstrap {}", view.id);
            bar.show(name, view.rows, view.rows_estimated, words(view));
            return;
        }
        let is_new = self.state != Some(view.state);
        if self.is_quiet || view.state.is_over() || !(is_new || self.said.elapsed() >= EVERY) {
            return;
        }
        (self.state, self.said) = (Some(view.state), Instant::now());
        tracing::info!(
            id = view.id,
            rows = view.rows,
            rows_estimated = view.rows_estimated,
            percent = view.percent,
            rows_per_second = view.rows_per_second,
            seconds_left = view.seconds_left,
            waits = view.waits,
            "bootstrap {}",
            view.state.name()
        );
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.clear();
        }
    }
}

/// What stands behind the bar.
fn words(view: &BootstrapView) -> String {
    match view.state {
        State::Waiting | State::Running if view.waits.is_some() => {
            let waits = view.waits.as_deref().unwrap_or_default();
            format!("{:>3}%  {} rows · waits: {waits}", view.percent, rows(view))
        }
        State::Waiting => "waiting for the stream to be live".to_owned(),
        State::Running => {
            let mut text = format!(
                "{:>3}%  {} rows · {}",
                view.percent,
                rows(view),
                rate(view.rows_per_second)
            );
            if let Some(seconds) = view.seconds_left {
                text.push_str(&format!(" · {} left", duration(seconds)));
            }
            let done = view.tables.iter().filter(|table| table.done).count();
            if view.tables.len() > 1 {
                text.push_str(&format!(" · {done} of {} tables", view.tables.len()));
            }
            text
        }
        State::Paused | State::Done | State::Aborted | State::Failed => {
            format!(
                "{:>3}%  {} rows · {}",
                view.percent,
                rows(view),
                view.state.name()
            )
        }
    }
}
