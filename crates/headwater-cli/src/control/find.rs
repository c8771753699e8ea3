//! Where the socket of a process is: beside its checkpoint.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use headwater_core::{Error, ErrorKind, Result};

/// What a checkpoint's name is followed by in that of its socket, and of its lock.
const SOCKET: &str = ".sock";
const LOCK: &str = ".lock";

/// The longest path that a socket's address takes on every system.
const PATH_BYTES_MAX: usize = 100;

/// The socket of the process that uses this checkpoint: `shop.checkpoint.sock`.
pub(crate) fn socket_of(checkpoint: &Path) -> PathBuf {
    // Where the checkpoint is a link, what lies beside it lies beside what it leads to.
    let real = fs::canonicalize(checkpoint).unwrap_or_else(|_| checkpoint.to_owned());
    let mut name = real.file_name().unwrap_or_default().to_owned();
    name.push(SOCKET);
    real.with_file_name(name)
}

/// Whether a process answers at a socket.
pub(crate) fn is_alive(socket: &Path) -> bool {
    Short::of(socket)
        .and_then(|short| UnixStream::connect(short.path()))
        .is_ok()
}

/// The socket of the only process whose checkpoint is in `folder`.
///
/// # Errors
/// `Connection` if there is none, `Configuration` if there are several.
pub(crate) fn only_socket_in(folder: &Path) -> Result<PathBuf> {
    let unreadable = |cause: io::Error| {
        Error::new(ErrorKind::Storage, "cannot look for a running headwater")
            .with("folder", folder.display())
            .hint("name its checkpoint with --checkpoint FILE")
            .caused_by(cause)
    };
    let mut alive = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_of_a_checkpoint(&path) && is_alive(&path) {
            alive.push(path);
        }
    }
    alive.sort();
    let mut alive = alive.into_iter();
    match (alive.next(), alive.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Error::new(
            ErrorKind::Connection,
            "no headwater runs with a checkpoint in this folder",
        )
        .hint(
            "say which one with --checkpoint FILE or --config FILE, the one it was started with",
        )),
        (Some(first), Some(second)) => {
            let names: Vec<String> = [first, second]
                .into_iter()
                .chain(alive)
                .map(|path| {
                    let name = path.file_stem().unwrap_or_default();
                    name.to_string_lossy().into_owned()
                })
                .collect();
            Err(Error::new(
                ErrorKind::Configuration,
                "several headwaters run with checkpoints in this folder",
            )
            .with("checkpoints", names.join(", "))
            .hint("say which one with --checkpoint FILE"))
        }
    }
}

/// Whether this is `NAME.sock` with `NAME.lock` beside it.
fn is_of_a_checkpoint(path: &Path) -> bool {
    if path.extension() != Some(std::ffi::OsStr::new("sock")) {
        return false;
    }
    let mut lock: OsString = path.file_stem().unwrap_or_default().to_owned();
    lock.push(LOCK);
    path.with_file_name(lock).is_file()
}

/// A path to a socket that is short enough for an address: where it is not, through the folder's file descriptor, as Linux
/// has it.
#[derive(Debug)]
pub(crate) struct Short {
    path: PathBuf,
    /// The path leads through it.
    _folder: Option<File>,
}

impl Short {
    /// Of this path.
    ///
    /// # Errors
    /// Where there is no such way, or even the name alone is too long.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let folder = File::open(parent.unwrap_or(Path::new(".")))?;
        let short = Path::new("/proc/self/fd")
            .join(folder.as_raw_fd().to_string())
            .join(path.file_name().unwrap_or_default());
        if !cfg!(target_os = "linux") || short.as_os_str().len() > PATH_BYTES_MAX {
            return Err(io::Error::other("the path is too long for a socket"));
        }
        Ok(Self {
            path: short,
            _folder: Some(folder),
        })
    }

    /// What to bind or connect to, while this lives.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_only_living_process_of_a_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let found = || only_socket_in(folder.path());
        assert_eq!(found().unwrap_err().kind(), ErrorKind::Connection);
        // One that is dead, and one that is of something else.
        drop(UnixListener::bind(path("dead.sock")).unwrap());
        fs::write(path("dead.lock"), "").unwrap();
        let _other = UnixListener::bind(path("other.sock")).unwrap();
        assert_eq!(found().unwrap_err().kind(), ErrorKind::Connection);
        let _one = UnixListener::bind(path("one.checkpoint.sock")).unwrap();
        fs::write(path("one.checkpoint.lock"), "").unwrap();
        assert_eq!(found().unwrap(), path("one.checkpoint.sock"));
        let _two = UnixListener::bind(path("two.sock")).unwrap();
        fs::write(path("two.lock"), "").unwrap();
        let error = found().unwrap_err();
        assert!(error.to_string().contains("one.checkpoint, two"), "{error}");
    }

    #[test]
    fn a_socket_in_a_deep_folder_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a".repeat(90)).join("b".repeat(90));
        fs::create_dir_all(&deep).unwrap();
        let path = deep.join("c.sock");
        let short = Short::of(&path).unwrap();
        let _listener = UnixListener::bind(short.path()).unwrap();
        assert!(path.exists() && is_alive(&path));
        assert!(Short::of(&deep.join("c".repeat(100))).is_err());
    }

    #[test]
    fn a_checkpoint_that_is_a_link_has_its_socket_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        fs::write(&real, "").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(socket_of(&link), socket_of(&real));
        assert!(socket_of(&folder.path().join("new")).ends_with("new.sock"));
    }
}
