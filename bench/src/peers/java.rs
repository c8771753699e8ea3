//! The peers' libraries, and the two small classes of our own that they take.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use headwater_servers::maven::{self, Libraries};
use headwater_servers::{Error, Flavor, Result, cache_folder};

const MAXWELL: Libraries<'_> = Libraries {
    name: "Maxwell 1.22.6",
    wanted: &[["com.zendesk", "maxwell", "1.22.6"]],
    without: &[],
    sums: include_str!("../../peers/maxwell.sha256"),
};

const DEBEZIUM_MYSQL: Libraries<'_> = Libraries {
    name: "Debezium 3.6.1",
    wanted: &[
        ["io.debezium", "debezium-embedded", "3.6.1.Final"],
        ["io.debezium", "debezium-connector-mysql", "3.6.1.Final"],
        ["org.slf4j", "slf4j-simple", "2.0.17"],
    ],
    without: &[],
    sums: include_str!("../../peers/debezium-mysql.sha256"),
};

const DEBEZIUM_MARIADB: Libraries<'_> = Libraries {
    name: "Debezium 3.5.0",
    wanted: &[
        ["io.debezium", "debezium-embedded", "3.5.0.Final"],
        ["io.debezium", "debezium-connector-mariadb", "3.5.0.Final"],
        ["org.slf4j", "slf4j-simple", "2.0.17"],
    ],
    without: &[],
    sums: include_str!("../../peers/debezium-mariadb.sha256"),
};

/// Debezium's embedded engine, counting what comes and writing it to a file.
const EMBEDDED: (&str, &str) = (
    "EmbeddedBench.java",
    include_str!("../../peers/EmbeddedBench.java"),
);
/// What Maxwell 1.22 misses in a Java of today.
const MIRROR: (&str, &str) = (
    "ScriptObjectMirror.java",
    include_str!("../../peers/ScriptObjectMirror.java"),
);

/// A peer that can be run.
#[derive(Debug)]
pub(super) struct Peer {
    /// With its version.
    pub(super) name: &'static str,
    java: PathBuf,
    class_path: String,
}

impl Peer {
    pub(super) fn maxwell(work: &Path) -> Result<Self> {
        Self::get(&MAXWELL, MIRROR, work)
    }

    /// The connector for MariaDB is not to be had in the version of the one for MySQL.
    pub(super) fn debezium(flavor: Flavor, work: &Path) -> Result<Self> {
        let libraries = match flavor.is_mariadb() {
            true => DEBEZIUM_MARIADB,
            false => DEBEZIUM_MYSQL,
        };
        Self::get(&libraries, EMBEDDED, work)
    }

    /// Gets the libraries, once, and compiles the class into `work`.
    fn get(
        libraries: &Libraries<'static>,
        (file, source): (&str, &str),
        work: &Path,
    ) -> Result<Self> {
        let java = headwater_servers::java::find("a benchmark of peers")?;
        let slug = libraries.name.to_lowercase().replace([' ', '.'], "_");
        let folder = cache_folder().join("servers").join(slug);
        let failed = |error: std::io::Error| Error::new(format!("cannot write: {error}"));
        fs::create_dir_all(cache_folder().join("servers")).map_err(failed)?;
        if !folder.is_dir() {
            eprintln!("getting {} (once)", libraries.name);
            maven::fetch(libraries, &folder)?;
        }
        let classes = work.join(file.trim_end_matches(".java"));
        fs::create_dir_all(&classes).map_err(failed)?;
        let path = classes.join(file);
        fs::write(&path, source).map_err(failed)?;
        let jars = format!("{}/*", folder.display());
        let output = Command::new(java.with_file_name("javac"))
            .args(["-cp", &jars, "-d"])
            .arg(&classes)
            .arg(&path)
            .output()
            .map_err(|error| {
                Error::new(format!("cannot run javac: {error}"))
                    .hint("apt-get install default-jdk-headless")
            })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(format!("{file} cannot be compiled:\n{said}")));
        }
        Ok(Self {
            name: libraries.name,
            java,
            class_path: format!("{}:{jars}", classes.display()),
        })
    }

    /// A command that runs a class with a heap of a gigabyte, and says errors only.
    pub(super) fn command(&self, class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command.args(["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]);
        command.args(["-cp", &self.class_path, class]);
        command
    }
}
