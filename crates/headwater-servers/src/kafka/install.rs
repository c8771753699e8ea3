//! Finds Kafka's libraries and a Java to run them, or gets the libraries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::cache;
use crate::error::{Error, Result};
use crate::install::on_path;
use crate::java;
use crate::maven::{self, Libraries};

/// The version that is got where none is given.
pub const VERSION: &str = "4.3.1";

const LIBRARIES: Libraries<'_> = Libraries {
    name: "Kafka 4.3.1",
    wanted: &[
        ["org.apache.kafka", "kafka_2.13", VERSION],
        ["org.apache.kafka", "kafka-tools", VERSION],
        ["org.slf4j", "slf4j-simple", "1.7.36"],
    ],
    without: &[],
    sums: include_str!("libs.sha256"),
};

/// Kafka's libraries with a Java.
#[derive(Debug, Clone)]
pub struct KafkaInstall {
    /// The Java program.
    pub java: PathBuf,
    /// The folder with the jars.
    pub libraries: PathBuf,
    /// The settings of a distribution's own logging; the libraries got through Maven need none.
    logging: Option<PathBuf>,
}

impl KafkaInstall {
    /// A command that runs a class of Kafka's, with a small heap.
    pub fn command(&self, class: &str) -> Command {
        let mut command = Command::new(&self.java);
        for option in self.java_options() {
            command.arg(option);
        }
        command.arg(class);
        command
    }

    pub(super) fn java_options(&self) -> Vec<String> {
        let mut options: Vec<String> = [
            "-Xms64m",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
        ]
        .map(str::to_owned)
        .to_vec();
        if let Some(logging) = &self.logging {
            options.push(format!("-Dlog4j2.configurationFile={}", logging.display()));
        }
        options.push("-cp".to_owned());
        options.push(format!("{}/*", self.libraries.display()));
        options
    }
}

/// Kafka: the distribution in `KAFKA_HOME`, that of the `kafka-server-start` on `PATH`, or the libraries through Maven (a
/// download of 54 MB, once).
///
/// # Errors
/// There is no Java, or neither a distribution nor a Maven; the error says what to do.
pub fn install() -> Result<KafkaInstall> {
    static FOUND: Mutex<Option<KafkaInstall>> = Mutex::new(None);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(install) = &*found {
        return Ok(install.clone());
    }
    let java = java::find("Kafka")?;
    let install = match installed_with(&java) {
        Some(install) => install,
        None => fetch(java)?,
    };
    Ok(found.insert(install).clone())
}

/// Kafka if the machine or the cache folder has it; downloads nothing.
pub fn installed() -> Option<KafkaInstall> {
    installed_with(&java::find("Kafka").ok()?)
}

fn installed_with(java: &Path) -> Option<KafkaInstall> {
    let java = java.to_path_buf();
    distribution(java.clone()).or_else(|| {
        let libraries = libraries_folder();
        libraries.is_dir().then_some(KafkaInstall {
            java,
            libraries,
            logging: None,
        })
    })
}

fn distribution(java: PathBuf) -> Option<KafkaInstall> {
    let home = std::env::var_os("KAFKA_HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
        .or_else(|| {
            let script = ["kafka-server-start.sh", "kafka-server-start"]
                .into_iter()
                .find_map(on_path)?;
            let script = script.canonicalize().ok()?;
            script.ancestors().nth(2).map(Path::to_path_buf)
        })?;
    let libraries = home.join("libs");
    let logging = ["config/log4j2.yaml", "config/log4j.properties"]
        .map(|name| home.join(name))
        .into_iter()
        .find(|path| path.is_file());
    libraries.is_dir().then_some(KafkaInstall {
        java,
        libraries,
        logging,
    })
}

fn libraries_folder() -> PathBuf {
    cache::cache_folder().join(format!("servers/kafka-{}", VERSION.replace('.', "_")))
}

fn fetch(java: PathBuf) -> Result<KafkaInstall> {
    let _lock = cache::lock("install-kafka")?;
    let libraries = libraries_folder();
    cache::subfolder("servers")?;
    // Another process may have fetched it while this one waited for the lock.
    if !libraries.is_dir() {
        maven::fetch(&LIBRARIES, &libraries).map_err(|error| no_kafka(&error))?;
    }
    Ok(KafkaInstall {
        java,
        libraries,
        logging: None,
    })
}

fn no_kafka(cause: &Error) -> Error {
    Error::new(format!(
        "Kafka {VERSION} cannot be had here: {}",
        cause.inline()
    ))
    .hint(format!(
        "any one of these will do:\n  \
         - unpack a Kafka distribution and export KAFKA_HOME=its folder;\n  \
         - with Java and Maven (apt-get install default-jdk-headless maven), nothing more is needed than \
         a reachable repository;\n  \
         - with a container engine: docker run -d --network host apache/kafka:{VERSION}\n    \
         and then: export HEADWATER_TEST_KAFKA=127.0.0.1:9092\n    \
         (tests that start private servers of their own still need one of the first two)"
    ))
}
