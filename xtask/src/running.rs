//! Running a child so that Ctrl-C ends it cleanly, and nothing stays behind whatever happens here.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headwater_servers::{Error, Guard, Result, Signal, send_signal_to_group};

/// Set when this process was told to end.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C (and SIGTERM, SIGHUP) no longer ends this process, but sets the mark.
    pub(crate) fn catch() -> Result<Self> {
        let mark = Arc::new(AtomicBool::new(false));
        let signals = [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ];
        for signal in signals {
            signal_hook::flag::register(signal, Arc::clone(&mark))
                .map_err(|error| Error::new(format!("cannot listen for signals: {error}")))?;
        }
        Ok(Self(mark))
    }

    /// Whether this process was told to end since the last time this was asked.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    /// Whether this process was told to end.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub(crate) code: u8,
    /// Whether it was asked to end, by Ctrl-C or because its time was over.
    pub(crate) asked: bool,
}

/// How long a child may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a command to its end. Ctrl-C, or the end of `limit`, interrupts it; the second Ctrl-C, or no
/// end within 20 seconds, kills it.
pub(crate) fn run(
    mut command: Command,
    interrupt: &Interrupt,
    limit: Option<Duration>,
) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    // A group of its own: the terminal's Ctrl-C comes here only, and is passed on exactly once.
    let mut child = (command.process_group(0).spawn())
        .map_err(|error| Error::new(format!("cannot run {name}: {error}")))?;
    let (group, guard, begin) = (
        child.id(),
        Guard::process_group(child.id())?,
        Instant::now(),
    );
    let mut asked: Option<Instant> = None;
    let mut killed = false;
    let status = loop {
        let status = child.try_wait();
        if let Some(status) = status.map_err(|error| Error::new(format!("{name}: {error}")))? {
            break status;
        }
        let is_over = limit.is_some_and(|limit| begin.elapsed() >= limit);
        match asked {
            None if interrupt.take() || is_over => {
                asked = Some(Instant::now());
                // It may have ended this very moment, which the next turn finds out.
                let _ = send_signal_to_group(group, Signal::Interrupt);
            }
            Some(since) if !killed && (interrupt.take() || since.elapsed() > PATIENCE) => {
                killed = true;
                let _ = send_signal_to_group(group, Signal::Kill);
            }
            None | Some(_) => {}
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    guard.dismiss();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    let code = u8::try_from(status.code().unwrap_or(128 + signal)).unwrap_or(1);
    Ok(Ended {
        code,
        asked: asked.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_childs_code_is_passed_on() {
        let interrupt = Interrupt(Arc::default());
        let ended = run(sh("exit 7"), &interrupt, None).unwrap();
        assert_eq!(
            ended,
            Ended {
                code: 7,
                asked: false
            }
        );
    }

    #[test]
    fn a_child_whose_time_is_over_is_interrupted_and_may_end_as_it_likes() {
        let interrupt = Interrupt(Arc::default());
        let script = "trap 'exit 3' INT; while :; do sleep 0.05; done";
        let ended = run(sh(script), &interrupt, Some(Duration::from_millis(300))).unwrap();
        assert_eq!(
            ended,
            Ended {
                code: 3,
                asked: true
            }
        );
    }

    #[test]
    fn a_child_that_does_not_listen_is_killed_by_the_second_interrupt() {
        let interrupt = Interrupt(Arc::default());
        let again = interrupt.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(400));
            again.0.store(true, Ordering::Relaxed);
        });
        let script = "trap '' INT; while :; do sleep 0.05; done";
        let ended = run(sh(script), &interrupt, Some(Duration::from_millis(100))).unwrap();
        assert_eq!(
            ended,
            Ended {
                code: 137,
                asked: true
            }
        );
    }
}
