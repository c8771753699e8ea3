//! Apache IoTDB, as a private server ([`Iotdb`]) and as the shared one ([`shared`], [`up`], [`down`]).
//!
//! A ConfigNode and a DataNode (a private one: or several) without replicas, with heaps of 192 and 768 MB; user and password are `root`. It is started from
//! a distribution where there is one, else from libraries got through Maven ([`install()`]).

mod install;
mod instance;
mod settings;
mod tls;

use std::fs;
use std::path::Path;

pub use install::{IotdbInstall, VERSION, install, installed};
pub use instance::{Iotdb, IotdbOptions};

use crate::error::{Context, Result};
use crate::home::{self, Home, SharedService};
use crate::launch::log_says;
use instance::Role;

/// The environment variable that holds the `HOST:PORT` of an IoTDB to use instead of the shared one.
pub const VARIABLE: &str = "HEADWATER_TEST_IOTDB";

/// The port that the shared IoTDB asks for first.
pub const SHARED_PORT: u16 = 39667;

/// The password of the store with a private server's certificate; it protects nothing.
const KEY_STORE_PASSWORD: &str = "headwater";

const HOME: Home = Home {
    name: "IoTDB",
    slug: "iotdb",
    variable: VARIABLE,
    processes: &[ROLES[0].1, ROLES[1].1],
    address: |port| format!("127.0.0.1:{port}"),
};

/// The nodes in the order in which they start, with their folders.
const ROLES: [(Role, &str); 2] = [(Role::Config, "config"), (Role::Data, "data")];

/// The running shared IoTDB: the one whose `HOST:PORT` stands in the environment, else the one that [`up`] has started.
///
/// # Errors
/// The cache folder cannot be used.
pub fn find() -> Result<Option<SharedService>> {
    HOME.find()
}

/// Where the shared IoTDB is: `HOST:PORT`. Many tests use it at once, so each has databases of its own.
///
/// # Errors
/// None runs; the error says how to start it.
pub fn shared() -> Result<String> {
    HOME.shared()
}

/// Starts the shared IoTDB if it does not run yet, on its old data if there is any; it stays when this process ends.
///
/// # Errors
/// It cannot be had here, or does not start.
pub fn up() -> Result<SharedService> {
    HOME.up(start)
}

fn start(folder: &Path) -> Result<u16> {
    let install = install()?;
    // The nodes remember each other's ports, so the same ones are asked for again.
    let known = home::number(&folder.join("port"));
    if known.is_none() {
        for (_, name) in ROLES {
            let _ = fs::remove_dir_all(folder.join(name));
        }
    }
    // The locks on the ports end with this process, but the server then listens on them.
    let ports = instance::reserve(Some(known.unwrap_or(SHARED_PORT)))?;
    let numbers = match known_ports(folder) {
        Some(numbers) => numbers,
        None => instance::numbers(&ports),
    };
    let text = numbers.map(|number| number.to_string()).join(" ");
    fs::write(folder.join("ports"), text).context(|| "write a state file".into())?;
    for (role, name) in ROLES {
        let node = folder.join(name);
        let options = IotdbOptions::default();
        let command = instance::node_command(role, &node, &install, numbers, &options)?;
        let serves = log_says(&node, role.ready());
        HOME.launch(role.kind(), &node, command, serves)?;
    }
    Ok(numbers[0])
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
    HOME.down()
}
