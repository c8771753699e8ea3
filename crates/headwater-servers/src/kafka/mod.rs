//! Kafka, as a private server ([`Kafka`]) and as the shared one ([`shared`], [`up`], [`down`]).
//!
//! One node in KRaft mode that is broker and controller, on loopback only, with a heap of 256 MB. It is started from a
//! distribution where there is one, else from libraries got through Maven ([`install()`]).

mod install;
mod instance;
mod settings;

pub use install::{KafkaInstall, VERSION, install, installed};
pub use instance::{Kafka, KafkaOptions};

use crate::error::Result;
use crate::home::{self, Home, SharedService};
use crate::launch::log_says;
use instance::Ports;

/// The environment variable that holds the `HOST:PORT` of a Kafka to use instead of the shared one.
pub const VARIABLE: &str = "HEADWATER_TEST_KAFKA";

/// The port that the shared Kafka asks for first.
pub const SHARED_PORT: u16 = 39092;

const HOME: Home = Home {
    name: "Kafka",
    slug: "kafka",
    variable: VARIABLE,
    processes: &[""],
    address: |port| format!("127.0.0.1:{port}"),
};

/// The running shared Kafka: the one whose `HOST:PORT` stands in the environment, else the one that [`up`] has started.
///
/// # Errors
/// The cache folder cannot be used.
pub fn find() -> Result<Option<SharedService>> {
    HOME.find()
}

/// Where the shared Kafka is, as `bootstrap.servers` wants it. Many tests use it at once, so each has topics of its own.
///
/// # Errors
/// None runs; the error says how to start it.
pub fn shared() -> Result<String> {
    HOME.shared()
}

/// Starts the shared Kafka if it does not run yet, on its old data if there is any; it stays when this process ends.
///
/// # Errors
/// It cannot be had here, or does not start.
pub fn up() -> Result<SharedService> {
    HOME.up(|folder| {
        let install = install()?;
        home::create_data(folder, |data| instance::create_data(&install, data))?;
        // The locks on the ports end with this process, but the server then listens on them.
        let ports = Ports::reserve(Some(SHARED_PORT))?;
        let options = KafkaOptions::default();
        let command = instance::server_command(&install, folder, &ports, &options)?;
        let serves = log_says(folder, instance::READY);
        HOME.launch(instance::KIND, folder, command, serves)?;
        Ok(ports.clients.number)
    })
}

/// Ends the shared Kafka and removes its data; says whether there was one. A server whose address came from the environment
/// is left alone.
///
/// # Errors
/// It cannot be ended.
pub fn down() -> Result<bool> {
    HOME.down()
}
