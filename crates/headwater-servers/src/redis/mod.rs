//! Redis and Valkey, as private servers ([`Redis`]) and as shared ones ([`shared`], [`up`], [`down`]).
//!
//! One node on loopback, which writes each command to its append-only file before it answers, so that what was answered outlives a
//! kill. It is what stands on `PATH`, else it is unpacked from Debian's packages ([`install()`]).

mod install;
mod instance;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

pub use install::{install, installed};
pub use instance::{Redis, RedisOptions};

use crate::cache;
use crate::error::{Context, Error, Result};
use crate::port;
use crate::process::runs_in;

/// A server that speaks Redis' protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RedisFlavor {
    /// Redis 7, from Debian 12.
    Redis,
    /// Valkey 8, from Debian 13.
    Valkey,
}

impl RedisFlavor {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Redis, Self::Valkey];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Valkey => "Valkey",
        }
    }

    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        }
    }

    /// The environment variable that holds the `redis://` URL of a server to use instead of the shared one.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Redis => "HEADWATER_TEST_REDIS",
            Self::Valkey => "HEADWATER_TEST_VALKEY",
        }
    }

    /// The port that the shared server asks for first.
    pub const fn shared_port(self) -> u16 {
        match self {
            Self::Redis => 36379,
            Self::Valkey => 36479,
        }
    }
}

/// A shared server that runs.
#[derive(Debug, Clone)]
pub struct RedisService {
    /// Where it is: `redis://127.0.0.1:36379`.
    pub url: String,
    /// Its process; none if its address came from the environment.
    pub pid: Option<u32>,
    /// Whether [`up`] has just started it.
    pub started: bool,
}

/// The running shared server: the one whose address stands in the environment, else the one that [`up`] has started.
///
/// # Errors
/// The cache folder cannot be used.
pub fn find(flavor: RedisFlavor) -> Result<Option<RedisService>> {
    let given = std::env::var(flavor.variable()).ok();
    if let Some(url) = given.filter(|url| !url.is_empty()) {
        return Ok(Some(RedisService {
            url,
            pid: None,
            started: false,
        }));
    }
    let folder = folder(flavor)?;
    let number = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let (Some(pid), Some(port)) = (number("pid"), number("port")) else {
        return Ok(None);
    };
    Ok(runs_in(pid, &folder).then(|| RedisService {
        url: format!("redis://127.0.0.1:{port}"),
        pid: Some(pid),
        started: false,
    }))
}

/// The URL of the shared server. Many tests use it at once, so each has keys of its own.
///
/// # Errors
/// None runs; the error says how to start it.
pub fn shared(flavor: RedisFlavor) -> Result<String> {
    match find(flavor)? {
        Some(service) => Ok(service.url),
        None => Err(Error::new(format!("no {} runs for tests", flavor.name()))
            .hint("start it with `cargo xtask services up`, or run `cargo xtask test`")),
    }
}

fn folder(flavor: RedisFlavor) -> Result<PathBuf> {
    cache::subfolder(&format!("services/{}", flavor.slug()))
}

/// Starts the shared server if it does not run yet, on its old data if there is any; it stays when this process ends.
///
/// # Errors
/// It cannot be had here, or does not start.
pub fn up(flavor: RedisFlavor) -> Result<RedisService> {
    let _lock = cache::lock(&format!("service-{}", flavor.slug()))?;
    if let Some(service) = find(flavor)? {
        return Ok(service);
    }
    let program = install(flavor)?;
    let folder = folder(flavor)?;
    // Held until the server listens.
    let reserved = port::reserve(Some(flavor.shared_port()))?;
    let port = reserved.number;
    let mut command = instance::server_command(&program, &folder, port, &RedisOptions::default())?;
    let name = flavor.name();
    let mut child = command
        .process_group(0)
        .spawn()
        .context(|| format!("start {name}"))?;
    instance::wait_until_it_serves(flavor, &mut child, &folder, port).map_err(|error| {
        error.hint(format!(
            "if its data is damaged, remove {}",
            folder.display()
        ))
    })?;
    fs::write(folder.join("port"), port.to_string()).context(|| "write a state file".into())?;
    Ok(RedisService {
        url: format!("redis://127.0.0.1:{port}"),
        pid: Some(child.id()),
        started: true,
    })
}

/// Ends the shared server and removes its data; says whether there was one. A server whose address came from the environment is
/// left alone.
///
/// # Errors
/// It cannot be ended.
pub fn down(flavor: RedisFlavor) -> Result<bool> {
    let _lock = cache::lock(&format!("service-{}", flavor.slug()))?;
    let folder = folder(flavor)?;
    let pid = fs::read_to_string(folder.join("pid")).ok();
    let pid = pid.and_then(|text| text.trim().parse().ok());
    let running = pid.filter(|&pid| runs_in(pid, &folder));
    if let Some(pid) = running {
        crate::services::end(pid, &folder)?;
    }
    fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
    Ok(running.is_some())
}
