//! The shared servers: started once, left running, found again by other processes.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::Address;
use crate::cache;
use crate::data;
use crate::error::{Context, Error, Result};
use crate::flavor::Flavor;
use crate::install::install;
use crate::instance::{answers, log_tail, server_command};
use crate::port;
use crate::process::{Signal, runs_in, send_signal, wait_until};

/// A shared server that runs.
#[derive(Debug, Clone)]
pub struct Service {
    /// Which server this is.
    pub flavor: Flavor,
    /// Where it is, as administrator.
    pub address: Address,
    /// Its process; none if its address came from the environment.
    pub pid: Option<u32>,
    /// Whether [`up`] has just started it.
    pub started: bool,
}

/// The running shared server of a flavor: the one whose address stands in the environment, else the
/// one that [`up`] has started.
///
/// # Errors
/// The address in the environment is no address.
pub fn find(flavor: Flavor) -> Result<Option<Service>> {
    if let Some(url) = std::env::var(flavor.variable())
        .ok()
        .filter(|url| !url.is_empty())
    {
        let address = Address::parse(&url)
            .map_err(|error| Error::new(format!("{}: {error}", flavor.variable())))?;
        return Ok(Some(Service {
            flavor,
            address,
            pid: None,
            started: false,
        }));
    }
    let folder = folder(flavor)?;
    let number = |name: &str| {
        fs::read_to_string(folder.join(name))
            .ok()?
            .trim()
            .parse::<u32>()
            .ok()
    };
    let (Some(pid), Some(port)) = (number("pid"), number("port")) else {
        return Ok(None);
    };
    let Ok(port) = u16::try_from(port) else {
        return Ok(None);
    };
    if !runs_in(pid, &folder) {
        return Ok(None);
    }
    let address = Address::local(port);
    Ok(Some(Service {
        flavor,
        address,
        pid: Some(pid),
        started: false,
    }))
}

fn folder(flavor: Flavor) -> Result<PathBuf> {
    cache::subfolder(&format!("services/{}", flavor.slug()))
}

/// Starts the shared server of a flavor if it does not run yet, on its old data if there is any; it
/// stays when this process ends.
///
/// # Errors
/// The server cannot be had here, or does not start.
pub fn up(flavor: Flavor) -> Result<Service> {
    let _lock = cache::lock(&format!("service-{}", flavor.slug()))?;
    if let Some(service) = find(flavor)? {
        return Ok(service);
    }
    let install = install(flavor)?;
    let folder = folder(flavor)?;
    if !folder.join("data").is_dir() {
        // In two steps, so that a copy cut short is not taken for a data folder.
        let part = folder.join("data.part");
        let _ = fs::remove_dir_all(&part);
        data::create(&install, &part, &[])?;
        fs::rename(&part, folder.join("data")).context(|| "put new data in place".into())?;
    }
    // The lock on the port ends with this process, but the server then listens on it.
    let reserved = port::reserve(Some(flavor.shared_port()))?;
    let port = reserved.number;
    let mut command = server_command(&install, &folder, port, &[])?;
    let name = flavor.name();
    let mut child = command
        .process_group(0)
        .spawn()
        .context(|| format!("start {name}"))?;
    let mut ended = None;
    let up = wait_until(Duration::from_secs(90), || {
        ended = child.try_wait().ok().flatten();
        ended.is_some() || answers(port)
    });
    if ended.is_some() || !up {
        let _ = child.kill().and_then(|()| child.wait());
        return Err(Error::new(format!(
            "{name} does not start; its log ends:\n{}",
            log_tail(&folder)
        ))
        .hint(format!(
            "if its data is damaged, remove {}",
            folder.display()
        )));
    }
    fs::write(folder.join("port"), port.to_string()).context(|| "write a state file".into())?;
    let address = Address::local(port);
    Ok(Service {
        flavor,
        address,
        pid: Some(child.id()),
        started: true,
    })
}

/// Ends the shared server of a flavor and removes its data; says whether there was one. A server
/// whose address came from the environment is left alone.
///
/// # Errors
/// It cannot be ended.
pub fn down(flavor: Flavor) -> Result<bool> {
    let _lock = cache::lock(&format!("service-{}", flavor.slug()))?;
    let folder = folder(flavor)?;
    let pid = fs::read_to_string(folder.join("pid"))
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let running = pid.filter(|&pid| runs_in(pid, &folder));
    if let Some(pid) = running {
        end(pid, &folder)?;
    }
    fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
    Ok(running.is_some())
}

pub(crate) fn end(pid: u32, folder: &Path) -> Result<()> {
    for signal in [Signal::Terminate, Signal::Kill] {
        // It may end by itself in between.
        let _ = send_signal(pid, signal);
        if wait_until(Duration::from_secs(30), || !runs_in(pid, folder)) {
            return Ok(());
        }
    }
    Err(Error::new(format!("process {pid} does not end")))
}
