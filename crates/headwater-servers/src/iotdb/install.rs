//! Finds IoTDB's libraries and a Java to run them, or gets the libraries.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::cache;
use crate::error::{Error, Result};
use crate::java;
use crate::maven::{self, Libraries};

/// The version that is got: the newest of which all parts can be had through Maven.
pub const VERSION: &str = "2.0.1-beta";

const LIBRARIES: Libraries<'_> = Libraries {
    name: "Apache IoTDB 2.0.1-beta",
    wanted: &[
        ["org.apache.iotdb", "iotdb-server", VERSION],
        ["org.apache.iotdb", "iotdb-confignode", VERSION],
    ],
    // A second logger beside logback.
    without: &[
        ["org.slf4j", "slf4j-reload4j"],
        ["ch.qos.reload4j", "reload4j"],
    ],
    sums: include_str!("libs.sha256"),
};

/// IoTDB's libraries with a Java.
#[derive(Debug, Clone)]
pub struct IotdbInstall {
    /// The Java program.
    pub java: PathBuf,
    /// The folder with the jars.
    pub libraries: PathBuf,
}

/// IoTDB: the distribution in `IOTDB_HOME`, or the libraries through Maven (a download of 105 MB, once).
///
/// # Errors
/// There is no Java, or neither a distribution nor a Maven; the error says what to do.
pub fn install() -> Result<IotdbInstall> {
    static FOUND: Mutex<Option<IotdbInstall>> = Mutex::new(None);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(install) = &*found {
        return Ok(install.clone());
    }
    let java = java::find("IoTDB")?;
    let libraries = match present() {
        Some(libraries) => libraries,
        None => fetch()?,
    };
    Ok(found.insert(IotdbInstall { java, libraries }).clone())
}

/// IoTDB if the machine or the cache folder has it; downloads nothing.
pub fn installed() -> Option<IotdbInstall> {
    let java = java::find("IoTDB").ok()?;
    let libraries = present()?;
    Some(IotdbInstall { java, libraries })
}

fn present() -> Option<PathBuf> {
    let home = std::env::var_os("IOTDB_HOME").filter(|home| !home.is_empty());
    let distribution = home.map(|home| PathBuf::from(home).join("lib"));
    let folders = [distribution, Some(libraries_folder())];
    folders.into_iter().flatten().find(|folder| folder.is_dir())
}

fn libraries_folder() -> PathBuf {
    cache::cache_folder().join(format!("servers/iotdb-{}", VERSION.replace('.', "_")))
}

fn fetch() -> Result<PathBuf> {
    let _lock = cache::lock("install-iotdb")?;
    let libraries = libraries_folder();
    cache::subfolder("servers")?;
    // Another process may have fetched it while this one waited for the lock.
    if !libraries.is_dir() {
        maven::fetch(&LIBRARIES, &libraries).map_err(|error| no_iotdb(&error))?;
    }
    Ok(libraries)
}

fn no_iotdb(cause: &Error) -> Error {
    Error::new(format!(
        "Apache IoTDB {VERSION} cannot be had here: {}",
        cause.inline()
    ))
    .hint(
        "any one of these will do:\n  \
         - unpack a distribution of IoTDB 2 and export IOTDB_HOME=its folder;\n  \
         - with Java and Maven (apt-get install default-jdk-headless maven), nothing more is needed than \
         a reachable repository;\n  \
         - with a container engine: docker run -d -p 6667:6667 apache/iotdb:2.0.5-standalone\n    \
         and then: export HEADWATER_TEST_IOTDB=127.0.0.1:6667\n    \
         (tests that start private servers of their own still need one of the first two)",
    )
}
