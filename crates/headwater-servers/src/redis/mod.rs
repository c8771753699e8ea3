//! Redis and Valkey, as private servers ([`Redis`]) and as shared ones ([`shared`], [`up`], [`down`]).
//!
//! One node on loopback, which writes each command to its append-only file before it answers, so that what was answered outlives a
//! kill. It is what stands on `PATH`, else it is unpacked from Debian's packages ([`install()`]).

mod install;
mod instance;

pub use install::{install, installed};
pub use instance::{Redis, RedisOptions};

use crate::error::Result;
use crate::home::{Home, SharedService};
use crate::port;

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

fn home(flavor: RedisFlavor) -> Home {
    Home {
        name: flavor.name(),
        slug: flavor.slug(),
        variable: flavor.variable(),
        processes: &[""],
        address: |port| format!("redis://127.0.0.1:{port}"),
    }
}

/// The running shared server: the one whose `redis://` URL stands in the environment, else the one that [`up`] has started.
///
/// # Errors
/// The cache folder cannot be used.
pub fn find(flavor: RedisFlavor) -> Result<Option<SharedService>> {
    home(flavor).find()
}

/// The URL of the shared server. Many tests use it at once, so each has keys of its own.
///
/// # Errors
/// None runs; the error says how to start it.
pub fn shared(flavor: RedisFlavor) -> Result<String> {
    home(flavor).shared()
}

/// Starts the shared server if it does not run yet, on its old data if there is any; it stays when this process ends.
///
/// # Errors
/// It cannot be had here, or does not start.
pub fn up(flavor: RedisFlavor) -> Result<SharedService> {
    let home = home(flavor);
    home.up(|folder| {
        let program = install(flavor)?;
        // Held until the server listens.
        let reserved = port::reserve(Some(flavor.shared_port()))?;
        let port = reserved.number;
        let options = RedisOptions::default();
        let command = instance::server_command(&program, folder, port, &options)?;
        let kind = instance::kind(flavor);
        home.launch(kind, folder, command, || instance::answers(port))?;
        Ok(port)
    })
}

/// Ends the shared server and removes its data; says whether there was one. A server whose address came from the environment is
/// left alone.
///
/// # Errors
/// It cannot be ended.
pub fn down(flavor: RedisFlavor) -> Result<bool> {
    home(flavor).down()
}
