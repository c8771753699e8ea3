//! Errors of the operating system, with what to do about them.

use std::io::{self, ErrorKind as Io};
use std::path::Path;

use headwater_core::{Error, ErrorKind};

/// A local file that cannot be read or written.
pub(crate) fn storage(operation: &'static str, path: &Path, error: io::Error) -> Error {
    let hint = hint(&error);
    Error::new(ErrorKind::Storage, "the file system refused")
        .during(operation)
        .with("file", path.display())
        .hint(hint)
        .caused_by(error)
}

/// Output that the other side of a pipe, or the disk behind a redirection, did not take.
pub(crate) fn output(name: &str, error: io::Error) -> Error {
    if error.kind() == Io::BrokenPipe {
        return Error::new(ErrorKind::SinkClosed, "the reader of the output has gone")
            .with("output", name.to_owned())
            .hint("nothing to do if that was meant (`| head`)")
            .caused_by(error);
    }
    let hint = hint(&error);
    Error::new(ErrorKind::Storage, "the output cannot be written")
        .during("writing events")
        .with("output", name.to_owned())
        .hint(hint)
        .caused_by(error)
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        Io::StorageFull => {
            "the disk is full: free some space there, or name a file on another disk, then start again; \
             it goes on at the last checkpoint"
        }
        Io::QuotaExceeded => {
            "the user's disk quota is used up: raise it or free some of it, then start again"
        }
        Io::FileTooLarge => {
            "the file may not grow further: see `ulimit -f` and the file system's limit"
        }
        Io::PermissionDenied => {
            "give this user the right to write the file and its folder, or name another one"
        }
        Io::ReadOnlyFilesystem => {
            "the file system is mounted read-only: name a file on another one, or mount it writable"
        }
        Io::NotFound => "create the folder first, or name a file in a folder that exists",
        Io::IsADirectory | Io::NotADirectory => "name a file in a folder that exists",
        Io::Unsupported => {
            "this file system cannot lock files: name a file on a local disk (some network mounts have no locks)"
        }
        _ => {
            "look at the disk and the kernel's log (`dmesg`), then start again; it goes on at the last checkpoint"
        }
    }
}
