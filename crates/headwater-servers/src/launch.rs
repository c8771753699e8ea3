//! A server's process from its command until it serves, the same for all servers, private or shared.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::data;
use crate::error::{Context, Error, Result};
use crate::process::wait_until;

/// What is to be known of a server in order to start and to end its process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// The name for people.
    pub(crate) name: &'static str,
    /// How long it may take until it serves, on a loaded machine, recovery after a kill included.
    pub(crate) start_limit: Duration,
    /// How long it may take to end cleanly before it is killed.
    pub(crate) stop_limit: Duration,
}

/// The beginning of the command that runs a server in `folder`; the program and its arguments are to follow, and one of them must
/// name the folder: that tells the process from others.
///
/// The process id goes to the file `pid` there before anything else happens, the output to the file `log`.
pub(crate) fn command(folder: &Path) -> Result<Command> {
    let path = folder.join("log");
    let doing = || format!("create {}", path.display());
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context(doing)?;
    let copy = log.try_clone().context(doing)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$ >\"$0/pid\" && exec \"$@\""])
        .arg(folder)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy)
        // Away from the terminal's group: Ctrl-C is for the owner, who then ends the server.
        .process_group(0);
    Ok(command)
}

/// Starts a server in `folder` and waits until it `serves`; one that does not is killed.
pub(crate) fn launch(
    kind: Kind,
    folder: &Path,
    mut command: Command,
    mut serves: impl FnMut() -> bool,
) -> Result<Child> {
    let Kind {
        name, start_limit, ..
    } = kind;
    let mut child = command.spawn().context(|| format!("start {name}"))?;
    let mut ended = None;
    let up = wait_until(start_limit, || {
        ended = child.try_wait().ok().flatten();
        ended.is_some() || serves()
    });
    let said = match ended {
        Some(status) => format!("ended at once ({status})"),
        None if !up => format!("did not start within {} s", start_limit.as_secs()),
        None => return Ok(child),
    };
    let _ = child.kill().and_then(|()| child.wait());
    Err(Error::new(format!(
        "{name} {said}; the end of its log:\n{}",
        log_tail(folder)
    )))
}

/// Whether the log in `folder` says one of `texts` in what is written to it from now on, each time it is asked.
pub(crate) fn log_says(
    folder: &Path,
    texts: &'static [&'static str],
) -> impl FnMut() -> bool + use<> {
    let path = folder.join("log");
    let from = fs::metadata(&path).map_or(0, |log| log.len());
    let from = usize::try_from(from).unwrap_or(0);
    move || {
        let log = fs::read(&path).unwrap_or_default();
        let said = String::from_utf8_lossy(log.get(from..).unwrap_or_default());
        texts.iter().any(|text| said.contains(text))
    }
}

/// The end of the log in `folder`.
pub(crate) fn log_tail(folder: &Path) -> String {
    let bytes = fs::read(folder.join("log")).unwrap_or_default();
    data::tail(&String::from_utf8_lossy(&bytes), 40)
}
