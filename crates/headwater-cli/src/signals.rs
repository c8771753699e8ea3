//! SIGINT, SIGTERM and SIGHUP: the first ends the run cleanly, the second at once.

use std::sync::Arc;

use headwater_core::{Error, ErrorKind, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::terminal::Console;

/// The signals that end a run.
#[derive(Debug)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next one: its name and number.
    async fn next(&mut self) -> (&'static str, u8) {
        tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", 2),
            _ = self.terminate.recv() => ("SIGTERM", 15),
            _ = self.hang_up.recv() => ("SIGHUP", 1),
        }
    }
}

/// Cancels `stop` at the first signal and ends the process at the second.
pub(crate) fn watch(console: Arc<Console>, stop: CancellationToken) -> Result<()> {
    let mut signals = Signals::catch().map_err(|cause| {
        Error::new(ErrorKind::Internal, "cannot watch for signals").caused_by(cause)
    })?;
    tokio::spawn(async move {
        let (name, _) = signals.next().await;
        tracing::info!(
            signal = name,
            "stopping: finishing what is on its way; a second signal ends at once"
        );
        stop.cancel();
        let (name, number) = signals.next().await;
        console.say(&format!("ended at once by a second {name}"));
        std::process::exit(i32::from(Exit::Aborted(number).code()));
    });
    Ok(())
}
