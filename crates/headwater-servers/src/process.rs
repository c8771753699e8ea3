//! Signals and the life of processes, through the shell's own tools (this crate has no unsafe code).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Result};

/// A signal that [`send_signal`] can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// What Ctrl-C sends: end cleanly.
    Interrupt,
    /// End cleanly.
    Terminate,
    /// End at once, with no say in it.
    Kill,
    /// Stand still until [`Signal::Continue`].
    Stop,
    /// Go on.
    Continue,
}

/// Sends a signal to a process.
///
/// # Errors
/// There is no such process, or it belongs to someone else.
pub fn send_signal(pid: u32, signal: Signal) -> Result<()> {
    send(&pid.to_string(), signal)
}

/// Sends a signal to all processes of a group (of a child started with `process_group(0)`).
///
/// # Errors
/// There is no such group, or it belongs to someone else.
pub fn send_signal_to_group(leader: u32, signal: Signal) -> Result<()> {
    send(&format!("-{leader}"), signal)
}

fn send(target: &str, signal: Signal) -> Result<()> {
    let name = match signal {
        Signal::Interrupt => "INT",
        Signal::Terminate => "TERM",
        Signal::Kill => "KILL",
        Signal::Stop => "STOP",
        Signal::Continue => "CONT",
    };
    // `kill` is built into every shell; the program of that name is not on every machine.
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", name, target])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context(|| format!("send SIG{name} to process {target}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new(format!(
            "cannot send SIG{name} to process {target}: it is not there"
        ))),
    }
}

/// Whether the process `pid` is running and names `folder` on its command line: process ids are used
/// again, so the id alone would not do.
pub(crate) fn runs_in(pid: u32, folder: &Path) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy())
}

/// Looks again and again, with short pauses, until `done` or until `limit` is over; says which.
pub(crate) fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
