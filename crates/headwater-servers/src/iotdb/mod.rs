//! Apache IoTDB, as a private server ([`Iotdb`]) and as the shared one ([`shared`], [`up`], [`down`]).
//!
//! A ConfigNode and a DataNode (a private one: or several) without replicas, with heaps of 192 and 768 MB; user and password are `root`. It is started from
//! a distribution where there is one, else from libraries got through Maven ([`install()`]).

mod install;
mod instance;
mod settings;
mod tls;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

pub use install::{IotdbInstall, VERSION, install, installed};
pub use instance::{Iotdb, IotdbOptions};

use crate::cache;
use crate::error::{Context, Error, Result};
use crate::process::runs_in;
use instance::Role;

/// The environment variable that holds the `HOST:PORT` of an IoTDB to use instead of the shared one.
pub const VARIABLE: &str = "HEADWATER_TEST_IOTDB";

/// The port that the shared IoTDB asks for first.
pub const SHARED_PORT: u16 = 39667;

/// The password of the store with a private server's certificate; it protects nothing.
const KEY_STORE_PASSWORD: &str = "headwater";

/// A shared IoTDB that runs.
#[derive(Debug, Clone)]
pub struct IotdbService {
    /// Where clients find it: `HOST:PORT`.
    pub address: String,
    /// The DataNode's process; none if the address came from the environment.
    pub pid: Option<u32>,
    /// Whether [`up`] has just started it.
    pub started: bool,
}

/// The running shared IoTDB: the one whose address stands in the environment, else the one that [`up`] has started.
///
/// # Errors
/// The cache folder cannot be used.
pub fn find() -> Result<Option<IotdbService>> {
    let given = std::env::var(VARIABLE).ok();
    if let Some(address) = given.filter(|address| !address.is_empty()) {
        return Ok(Some(IotdbService {
            address,
            pid: None,
            started: false,
        }));
    }
    let folder = folder()?;
    let port = fs::read_to_string(folder.join("port")).ok();
    let port = port.and_then(|text| text.trim().parse::<u16>().ok());
    let [config, data] = ROLES.map(|(_, name)| running(&folder.join(name)));
    let pid = config.and(data);
    Ok(port.filter(|_| pid.is_some()).map(|port| IotdbService {
        address: format!("127.0.0.1:{port}"),
        pid,
        started: false,
    }))
}

/// The nodes in the order in which they start, with their folders.
const ROLES: [(Role, &str); 2] = [(Role::Config, "config"), (Role::Data, "data")];

fn running(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join("pid")).ok()?;
    let pid = text.trim().parse().ok()?;
    runs_in(pid, folder).then_some(pid)
}

/// Where the shared IoTDB is: `HOST:PORT`. Many tests use it at once, so each has databases of its own.
///
/// # Errors
/// None runs; the error says how to start it.
pub fn shared() -> Result<String> {
    match find()? {
        Some(service) => Ok(service.address),
        None => Err(Error::new("no IoTDB runs for tests")
            .hint("start it with `cargo xtask services up`, or run `cargo xtask test`")),
    }
}

fn folder() -> Result<PathBuf> {
    cache::subfolder("services/iotdb")
}

/// Starts the shared IoTDB if it does not run yet, on its old data if there is any; it stays when this process ends.
///
/// # Errors
/// It cannot be had here, or does not start.
pub fn up() -> Result<IotdbService> {
    let _lock = cache::lock("service-iotdb")?;
    if let Some(service) = find()? {
        return Ok(service);
    }
    let install = install()?;
    let folder = folder()?;
    for (_, name) in ROLES {
        if let Some(pid) = running(&folder.join(name)) {
            crate::services::end(pid, &folder.join(name))?;
        }
    }
    // The nodes remember each other's ports, so the same ones are asked for again.
    let known = fs::read_to_string(folder.join("port")).ok();
    let known = known.and_then(|text| text.trim().parse().ok());
    if known.is_none() {
        for (_, name) in ROLES {
            let _ = fs::remove_dir_all(folder.join(name));
        }
    }
    // The locks on the ports end with this process, but the server then listens on them.
    let ports = instance::reserve(Some(known.unwrap_or(SHARED_PORT)))?;
    let numbers = match known_ports(&folder) {
        Some(numbers) => numbers,
        None => instance::numbers(&ports),
    };
    let text = numbers.map(|number| number.to_string()).join(" ");
    fs::create_dir_all(&folder).context(|| "create a folder".into())?;
    fs::write(folder.join("ports"), text).context(|| "write a state file".into())?;
    for (role, name) in ROLES {
        let home = folder.join(name);
        let options = IotdbOptions::default();
        let mut command = instance::node_command(role, &home, &install, numbers, &options)?;
        let from = fs::metadata(home.join("log")).map_or(0, |log| log.len());
        let mut child = command
            .process_group(0)
            .spawn()
            .context(|| "start IoTDB".into())?;
        instance::wait_until_it_serves(role, &mut child, &home, from).map_err(|error| {
            error.hint(format!(
                "if its data is damaged, remove {}",
                folder.display()
            ))
        })?;
    }
    let port = numbers[0];
    fs::write(folder.join("port"), port.to_string()).context(|| "write a state file".into())?;
    Ok(IotdbService {
        address: format!("127.0.0.1:{port}"),
        pid: running(&folder.join("data")),
        started: true,
    })
}

fn known_ports(folder: &Path) -> Option<[u16; settings::PORTS]> {
    let text = fs::read_to_string(folder.join("ports")).ok()?;
    let numbers = text.split_whitespace().map(|word| word.parse().ok());
    let numbers: Vec<u16> = numbers.collect::<Option<_>>()?;
    // Of a start that did not come to its end nothing is kept.
    let is_whole = folder.join("port").is_file();
    numbers.try_into().ok().filter(|_| is_whole)
}

/// Ends the shared IoTDB and removes its data; says whether there was one. A server whose address came from the environment
/// is left alone.
///
/// # Errors
/// It cannot be ended.
pub fn down() -> Result<bool> {
    let _lock = cache::lock("service-iotdb")?;
    let folder = folder()?;
    let mut was_there = false;
    for (_, name) in ROLES.iter().rev() {
        let home = folder.join(name);
        if let Some(pid) = running(&home) {
            was_there = true;
            crate::services::end(pid, &home)?;
        }
    }
    fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
    Ok(was_there)
}
