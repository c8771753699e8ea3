//! Where a shared server lives: how it is started once, left running, found again by other processes, and ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cache;
use crate::error::{Context, Error, Result};
use crate::launch::{Kind, launch};
use crate::process::{Signal, runs_in, send_signal, wait_until};

/// A shared server that runs.
#[derive(Debug, Clone)]
pub struct SharedService {
    /// Where clients find it, in the form that the environment variable has.
    pub address: String,
    /// Its process; none if its address came from the environment.
    pub pid: Option<u32>,
    /// Whether it has just been started.
    pub started: bool,
}

/// What tells one shared server from the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Home {
    /// The name for people.
    pub(crate) name: &'static str,
    /// The name of its folder and its lock.
    pub(crate) slug: &'static str,
    /// The environment variable that holds the address of a server to use instead.
    pub(crate) variable: &'static str,
    /// The folders of its processes inside its own, in the order in which they start; the last one is the one that clients
    /// speak to. An empty path where there is only one process, in the folder itself.
    pub(crate) processes: &'static [&'static str],
    /// Its address, from its port.
    pub(crate) address: fn(u16) -> String,
}

impl Home {
    /// The running server: the one whose address stands in the environment, else the one that [`Self::up`] has started.
    pub(crate) fn find(&self) -> Result<Option<SharedService>> {
        let given = std::env::var(self.variable).ok();
        if let Some(address) = given.filter(|address| !address.is_empty()) {
            return Ok(Some(SharedService {
                address,
                pid: None,
                started: false,
            }));
        }
        let folder = self.folder()?;
        let pids: Option<Vec<u32>> = self.folders(&folder).map(|part| running(&part)).collect();
        let pid = pids.and_then(|pids| pids.last().copied());
        let (Some(pid), Some(port)) = (pid, number(&folder.join("port"))) else {
            return Ok(None);
        };
        Ok(Some(SharedService {
            address: (self.address)(port),
            pid: Some(pid),
            started: false,
        }))
    }

    /// The address of the running server; if none runs, the error says how to start it.
    pub(crate) fn shared(&self) -> Result<String> {
        match self.find()? {
            Some(service) => Ok(service.address),
            None => Err(self.none_runs()),
        }
    }

    /// That none runs, and how to start it.
    pub(crate) fn none_runs(&self) -> Error {
        Error::new(format!("no {} runs for tests", self.name))
            .hint("start it with `cargo xtask services up`, or run `cargo xtask test`")
    }

    /// Has the server started in its folder by `start`, which answers the port, if it does not run yet.
    pub(crate) fn up(&self, start: impl FnOnce(&Path) -> Result<u16>) -> Result<SharedService> {
        let _lock = self.lock()?;
        if let Some(service) = self.find()? {
            return Ok(service);
        }
        let folder = self.folder()?;
        // A start that was cut short leaves processes that nobody finds.
        self.end(&folder)?;
        let port = start(&folder)?;
        fs::write(folder.join("port"), port.to_string()).context(|| "write a state file".into())?;
        let process = self.folders(&folder).last();
        Ok(SharedService {
            address: (self.address)(port),
            pid: process.and_then(|folder| running(&folder)),
            started: true,
        })
    }

    /// Ends the server and removes its data; says whether there was one. One whose address came from the environment is left
    /// alone.
    pub(crate) fn down(&self) -> Result<bool> {
        let _lock = self.lock()?;
        let folder = self.folder()?;
        let did_run = self.end(&folder)?;
        fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
        Ok(did_run)
    }

    /// Like [`launch`], for a server that stays when this process ends; its data may be old.
    pub(crate) fn launch(
        &self,
        kind: Kind,
        folder: &Path,
        command: Command,
        serves: impl FnMut() -> bool,
    ) -> Result<()> {
        let whole = self.folder()?;
        let damaged = || format!("if its data is damaged, remove {}", whole.display());
        launch(kind, folder, command, serves)
            .map(drop)
            .map_err(|error| error.hint(damaged()))
    }

    fn folder(&self) -> Result<PathBuf> {
        cache::subfolder(&format!("services/{}", self.slug))
    }

    fn lock(&self) -> Result<fs::File> {
        cache::lock(&format!("service-{}", self.slug))
    }

    fn folders(&self, folder: &Path) -> impl DoubleEndedIterator<Item = PathBuf> {
        // Joined with an empty path, a folder would end with a slash, and no command line says it so.
        let of = move |part: &&str| match part.is_empty() {
            true => folder.to_path_buf(),
            false => folder.join(part),
        };
        self.processes.iter().map(of)
    }

    /// Ends what runs, last started first; says whether anything did.
    fn end(&self, folder: &Path) -> Result<bool> {
        let mut did_run = false;
        for folder in self.folders(folder).rev() {
            if let Some(pid) = running(&folder) {
                did_run = true;
                end(pid, &folder)?;
            }
        }
        Ok(did_run)
    }
}

/// Makes the folder `data` in `folder` if it is not there.
pub(crate) fn create_data(folder: &Path, create: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let data = folder.join("data");
    if data.is_dir() {
        return Ok(());
    }
    // In two steps, so that a copy cut short is not taken for a data folder.
    let part = folder.join("data.part");
    let _ = fs::remove_dir_all(&part);
    create(&part)?;
    fs::rename(&part, data).context(|| "put new data in place".into())
}

/// The number that stands in a file.
pub(crate) fn number(path: &Path) -> Option<u16> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The process of a folder, if it runs.
fn running(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join("pid")).ok()?;
    let pid = text.trim().parse().ok()?;
    runs_in(pid, folder).then_some(pid)
}

fn end(pid: u32, folder: &Path) -> Result<()> {
    for signal in [Signal::Terminate, Signal::Kill] {
        // It may end by itself in between.
        let _ = send_signal(pid, signal);
        if wait_until(Duration::from_secs(30), || !runs_in(pid, folder)) {
            return Ok(());
        }
    }
    Err(Error::new(format!("process {pid} does not end")))
}
