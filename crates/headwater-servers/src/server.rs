//! The process of a private server, in a folder of its own: what all kinds of servers have in common.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Context, Error, Result};
use crate::guard::Guard;
use crate::launch::{self, Kind};
use crate::process::{Signal, send_signal, wait_until};

/// A process with a folder: dropping it kills the one and removes the other.
///
/// When the process that holds it dies, however it does, they go too.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    folder: PathBuf,
    child: Option<Child>,
    // It removes the folder, so it goes last.
    guard: Option<Guard>,
}

impl Server {
    /// Makes the folder, with `slug` in its name; nothing runs yet.
    pub(crate) fn new(kind: Kind, slug: &str) -> Result<Self> {
        let folder = new_folder(slug)?;
        let guard = Guard::folder(&folder)?;
        Ok(Self {
            kind,
            folder,
            child: None,
            guard: Some(guard),
        })
    }

    /// The folder that goes with the process.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Runs a command made by [`launch::command`] for the folder, and waits until it `serves`.
    pub(crate) fn launch(&mut self, command: Command, serves: impl FnMut() -> bool) -> Result<()> {
        self.child = Some(launch::launch(self.kind, &self.folder, command, serves)?);
        Ok(())
    }

    /// Ends it cleanly. If it takes too long, it is killed, and that is an error.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(child) = self.child.as_mut() else {
            return Ok(());
        };
        send_signal(child.id(), Signal::Terminate)?;
        let has_ended = || matches!(child.try_wait(), Ok(Some(_)));
        if wait_until(self.kind.stop_limit, has_ended) {
            self.child = None;
            return Ok(());
        }
        self.kill()?;
        let name = self.kind.name;
        Err(Error::new(format!("{name} did not end, and was killed")))
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        child
            .kill()
            .and_then(|()| child.wait())
            .context(|| format!("kill {}", self.kind.name))?;
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let name = self.kind.name;
        let pid = self
            .pid()
            .ok_or_else(|| Error::new(format!("{name} does not run")))?;
        send_signal(pid, signal)
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        launch::log_tail(&self.folder)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody is left to tell; the guard makes sure of it.
        let _ = self.kill();
        drop(self.guard.take());
    }
}

/// A new folder for a server. Short, for the socket in it: its path must fit in 107 bytes.
fn new_folder(name: &str) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let doing = |path: &Path| format!("create {}", path.display());
    for _ in 0..1000 {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("headwater-{name}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            done => return done.context(|| doing(&path)).map(|()| path),
        }
    }
    Err(Error::new(format!(
        "no name for a folder is free in {}",
        std::env::temp_dir().display()
    )))
}
