//! Finds the programs of a server, or gets them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::apt::{self, Packages};
use crate::cache;
use crate::error::{Error, Result};
use crate::flavor::Flavor;

/// A program and the arguments that always come first.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    first: Vec<OsString>,
}

impl Program {
    /// A program as it is.
    pub(crate) fn plain(path: PathBuf) -> Self {
        Self {
            path,
            first: Vec::new(),
        }
    }

    /// A program of an unpacked tree, run by that tree's own loader with its own libraries: the tree
    /// may need a newer C library than the machine's.
    pub(crate) fn in_tree(tree: &Path, program: &str) -> Option<Self> {
        let binary = ["usr/sbin", "usr/bin"]
            .into_iter()
            .map(|folder| tree.join(folder).join(program))
            .find(|path| path.exists())?;
        let libraries = library_folders(tree);
        let loader = libraries.iter().find_map(|folder| loader_in(folder))?;
        let mut search = OsString::new();
        for folder in &libraries {
            if !search.is_empty() {
                search.push(":");
            }
            search.push(folder);
        }
        let first = vec!["--library-path".into(), search, binary.into_os_string()];
        Some(Self {
            path: loader,
            first,
        })
    }

    /// A command that runs the program; add arguments to it.
    ///
    /// MySQL and MariaDB programs want `--no-defaults` as the very first argument.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.first);
        command
    }

    /// The words of that command.
    pub(crate) fn words(&self) -> impl Iterator<Item = &std::ffi::OsStr> {
        std::iter::once(self.path.as_os_str()).chain(self.first.iter().map(OsString::as_os_str))
    }

    fn version(&self) -> Option<String> {
        let output = (self.command().args(["--no-defaults", "--version"]))
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }
}

/// `usr/lib/TRIPLE` and `lib/TRIPLE` of a tree, whichever there are.
fn library_folders(tree: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for parent in ["usr/lib", "lib"] {
        let entries = fs::read_dir(tree.join(parent)).into_iter().flatten();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() && path.to_string_lossy().ends_with("-linux-gnu") {
                found.push(path);
            }
        }
    }
    found
}

fn loader_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("ld-linux-") && name.contains(".so")
        })
}

/// The programs of one flavor.
#[derive(Debug, Clone)]
pub struct Install {
    /// Which server this is.
    pub flavor: Flavor,
    /// What the server answers to `--version`.
    pub version: String,
    /// The server.
    pub server: Program,
    /// The command-line client (`mariadb` or `mysql`).
    pub client: Program,
    /// The dump program (`mariadb-dump` or `mysqldump`), if there is one.
    pub dump: Option<Program>,
    /// The program that prints the log (`mariadb-binlog` or `mysqlbinlog`), if there is one.
    pub binlog: Option<Program>,
    /// The folder with the SQL scripts and error messages, such as `/usr/share/mariadb`.
    pub(crate) share: PathBuf,
    /// Options that tell the server where its own files are.
    pub(crate) places: Vec<String>,
}

fn program_names(flavor: Flavor) -> [&'static str; 4] {
    match flavor.is_mariadb() {
        true => ["mariadbd", "mariadb", "mariadb-dump", "mariadb-binlog"],
        false => ["mysqld", "mysql", "mysqldump", "mysqlbinlog"],
    }
}

/// The programs of a flavor: those on `PATH` if their version is right, else Debian's packages,
/// unpacked into the cache folder (a download of 20 to 70 MB, once).
///
/// # Errors
/// The machine has neither the server nor Debian's package tools; the error says what to do.
pub fn install(flavor: Flavor) -> Result<Install> {
    // Asking a program for its version takes it a tenth of a second: once a process is enough.
    static FOUND: Mutex<BTreeMap<Flavor, Install>> = Mutex::new(BTreeMap::new());
    let memory = || FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(install) = memory().get(&flavor) {
        return Ok(install.clone());
    }
    // The memory is not locked meanwhile, so that several flavors can be fetched at once.
    let install = find_or_fetch(flavor)?;
    memory().insert(flavor, install.clone());
    Ok(install)
}

fn find_or_fetch(flavor: Flavor) -> Result<Install> {
    if let Some(found) = installed(flavor) {
        return Ok(found);
    }
    let _lock = cache::lock(&format!("install-{}", flavor.slug()))?;
    // Another process may have fetched it while this one waited for the lock.
    if let Some(found) = from_cache(flavor) {
        return Ok(found);
    }
    let target = tree_folder(flavor)?;
    if target.exists() {
        // Complete but of no use, such as one for another processor.
        fs::remove_dir_all(&target)
            .map_err(|error| Error::new(format!("cannot remove {}: {error}", target.display())))?;
    }
    let (suite, whole, bare): (_, &[_], &[_]) = match flavor {
        Flavor::MariaDb1011 => ("bookworm", &MARIADB, &["mariadb-client"]),
        Flavor::MariaDb118 => ("trixie", &MARIADB, &["mariadb-client"]),
        Flavor::MySql97 => ("sid", &["mysql-server-core", "mysql-client-core"], &[]),
    };
    let fetched = apt::unpack(&Packages { suite, whole, bare }, &target);
    let found = from_cache(flavor).or_else(|| from_path(flavor));
    found.ok_or_else(|| {
        let what = format!(
            "what Debian's {suite} unpacked to is not a {}",
            flavor.name()
        );
        no_server(flavor, &fetched.err().unwrap_or_else(|| Error::new(what)))
    })
}

const MARIADB: [&str; 2] = ["mariadb-server-core", "mariadb-client-core"];

/// The programs of a flavor if the machine or the cache folder has all of them; downloads nothing.
pub fn installed(flavor: Flavor) -> Option<Install> {
    // A server without its dump program would do for the tests, but not for the benchmarks.
    let complete = |install: &Install| install.dump.is_some() && install.binlog.is_some();
    from_path(flavor)
        .filter(complete)
        .or_else(|| from_cache(flavor))
}

fn no_server(flavor: Flavor, cause: &Error) -> Error {
    let image = match flavor.is_mariadb() {
        true => format!(
            "-e MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1 mariadb:{} --log-bin --binlog-format=ROW \
             --binlog-row-metadata=FULL --gtid-strict-mode=ON",
            flavor.version()
        ),
        false => "-e MYSQL_ALLOW_EMPTY_PASSWORD=1 mysql:9 --binlog-row-metadata=FULL \
                  --gtid-mode=ON --enforce-gtid-consistency=ON"
            .to_owned(),
    };
    let port = flavor.shared_port();
    Error::new(format!(
        "{} cannot be had here: {}",
        flavor.name(),
        cause.inline()
    ))
    .hint(format!(
        "any one of these will do:\n  \
         - put {} {} on PATH;\n  \
         - on Debian 12 or newer, nothing more is needed than a reachable mirror;\n  \
         - with a container engine: docker run -d -p 127.0.0.1:{port}:3306 {image}\n    \
         and then: export {}=mysql://root@127.0.0.1:{port}\n    \
         (tests that start private servers of their own still need one of the first two)",
        program_names(flavor)[0],
        flavor.version(),
        flavor.variable(),
    ))
}

/// Where a program is: on `PATH`, or in the folders for administrators, which not every `PATH` has.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec"].map(PathBuf::from);
    (std::env::split_paths(&path).chain(extra))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn from_path(flavor: Flavor) -> Option<Install> {
    let [server, client, dump, binlog] = program_names(flavor);
    let server = on_path(server)?;
    let share = (server.ancestors())
        .skip(2)
        .flat_map(|prefix| ["share/mariadb", "share/mysql"].map(|name| prefix.join(name)))
        .find(|folder| folder.join("english").is_dir() || folder.join("charsets").is_dir())?;
    let server = Program::plain(server);
    let version = server.version().filter(|version| flavor.matches(version))?;
    Some(Install {
        flavor,
        version,
        server,
        client: Program::plain(on_path(client)?),
        dump: on_path(dump).map(Program::plain),
        binlog: on_path(binlog).map(Program::plain),
        share,
        places: Vec::new(),
    })
}

fn tree_folder(flavor: Flavor) -> Result<PathBuf> {
    Ok(cache::subfolder("servers")?.join(flavor.slug().replace('.', "_")))
}

fn from_cache(flavor: Flavor) -> Option<Install> {
    let tree = cache::cache_folder()
        .join("servers")
        .join(flavor.slug().replace('.', "_"));
    let [server, client, dump, binlog] = program_names(flavor);
    let server = Program::in_tree(&tree, server)?;
    let version = server.version().filter(|version| flavor.matches(version))?;
    let share = ["usr/share/mariadb", "usr/share/mysql"]
        .into_iter()
        .map(|name| tree.join(name))
        .find(|folder| folder.join("charsets").is_dir())?;
    let plugins = (["usr/lib/mysql/plugin", "usr/lib/mariadb/plugin"].into_iter())
        .map(|name| tree.join(name))
        .find(|folder| folder.is_dir());
    let mut places = vec![
        format!("--basedir={}", tree.join("usr").display()),
        format!("--lc-messages-dir={}", share.display()),
        format!("--character-sets-dir={}", share.join("charsets").display()),
    ];
    places.extend(plugins.map(|folder| format!("--plugin-dir={}", folder.display())));
    Some(Install {
        flavor,
        version,
        server,
        client: Program::in_tree(&tree, client)?,
        dump: Program::in_tree(&tree, dump),
        binlog: Program::in_tree(&tree, binlog),
        share,
        places,
    })
}
