//! Kafka, as a private server ([`Kafka`]) and as the shared one ([`shared`], [`up`], [`down`]).
//!
//! One node in KRaft mode that is broker and controller, on loopback only, with a heap of 256 MB. It is started from a
//! distribution where there is one, else from libraries got through Maven ([`install()`]).

mod install;
mod instance;
mod settings;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

pub use install::{KafkaInstall, VERSION, install, installed};
pub use instance::{Kafka, KafkaOptions};

use crate::cache;
use crate::error::{Context, Error, Result};
use crate::process::runs_in;
use instance::Ports;

/// The environment variable that holds the `HOST:PORT` of a Kafka to use instead of the shared one.
pub const VARIABLE: &str = "HEADWATER_TEST_KAFKA";

/// The port that the shared Kafka asks for first.
pub const SHARED_PORT: u16 = 39092;

/// A shared Kafka that runs.
#[derive(Debug, Clone)]
pub struct KafkaService {
    /// Where it is, as `bootstrap.servers` wants it.
    pub bootstrap: String,
    /// Its process; none if its address came from the environment.
    pub pid: Option<u32>,
    /// Whether [`up`] has just started it.
    pub started: bool,
}

/// The running shared Kafka: the one whose address stands in the environment, else the one that [`up`] has started.
///
/// # Errors
/// The cache folder cannot be used.
pub fn find() -> Result<Option<KafkaService>> {
    let given = std::env::var(VARIABLE).ok();
    if let Some(bootstrap) = given.filter(|address| !address.is_empty()) {
        return Ok(Some(KafkaService {
            bootstrap,
            pid: None,
            started: false,
        }));
    }
    let folder = folder()?;
    let number = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let (Some(pid), Some(port)) = (number("pid"), number("port")) else {
        return Ok(None);
    };
    Ok(runs_in(pid, &folder).then(|| KafkaService {
        bootstrap: format!("127.0.0.1:{port}"),
        pid: Some(pid),
        started: false,
    }))
}

/// Where the shared Kafka is, as `bootstrap.servers` wants it. Many tests use it at once, so each has topics of its own.
///
/// # Errors
/// None runs; the error says how to start it.
pub fn shared() -> Result<String> {
    match find()? {
        Some(service) => Ok(service.bootstrap),
        None => Err(Error::new("no Kafka runs for tests")
            .hint("start it with `cargo xtask services up`, or run `cargo xtask test`")),
    }
}

fn folder() -> Result<PathBuf> {
    cache::subfolder("services/kafka")
}

/// Starts the shared Kafka if it does not run yet, on its old data if there is any; it stays when this process ends.
///
/// # Errors
/// It cannot be had here, or does not start.
pub fn up() -> Result<KafkaService> {
    let _lock = cache::lock("service-kafka")?;
    if let Some(service) = find()? {
        return Ok(service);
    }
    let install = install()?;
    let folder = folder()?;
    if !folder.join("data").is_dir() {
        // In two steps, so that a copy cut short is not taken for a data folder.
        let part = folder.join("data.part");
        let _ = fs::remove_dir_all(&part);
        instance::create_data(&install, &part)?;
        fs::rename(&part, folder.join("data")).context(|| "put new data in place".into())?;
    }
    // The locks on the ports end with this process, but the server then listens on them.
    let ports = Ports::reserve(Some(SHARED_PORT))?;
    let mut command =
        instance::server_command(&install, &folder, &ports, &KafkaOptions::default())?;
    let from = fs::metadata(folder.join("log")).map_or(0, |log| log.len());
    let mut child = command
        .process_group(0)
        .spawn()
        .context(|| "start Kafka".into())?;
    instance::wait_until_it_serves(&mut child, &folder, from).map_err(|error| {
        error.hint(format!(
            "if its data is damaged, remove {}",
            folder.display()
        ))
    })?;
    let port = ports.clients.number;
    fs::write(folder.join("port"), port.to_string()).context(|| "write a state file".into())?;
    Ok(KafkaService {
        bootstrap: format!("127.0.0.1:{port}"),
        pid: Some(child.id()),
        started: true,
    })
}

/// Ends the shared Kafka and removes its data; says whether there was one. A server whose address came from the environment
/// is left alone.
///
/// # Errors
/// It cannot be ended.
pub fn down() -> Result<bool> {
    let _lock = cache::lock("service-kafka")?;
    let folder = folder()?;
    let pid = fs::read_to_string(folder.join("pid")).ok();
    let pid = pid.and_then(|text| text.trim().parse().ok());
    let running = pid.filter(|&pid| runs_in(pid, &folder));
    if let Some(pid) = running {
        crate::services::end(pid, &folder)?;
    }
    fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
    Ok(running.is_some())
}
