//! A regular file under a lock: opening it, refusing what is not ours, cutting it back, syncing it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use headwater_core::failpoint::Failpoints;
use headwater_core::{Error, ErrorKind, Result};
use rustix::fs::{Advice, fadvise};

use super::mark::{Identity, Mark};
use crate::error::storage;
use crate::lock::lock;
use crate::writer::write_all;

const START_OVER: &str = "to start over, remove the checkpoint and the file; else put back the file that the checkpoint was \
     made with";

/// Written bytes are handed to the disk in windows of this size.
const WINDOW_BYTES: u64 = 8 << 20;

/// A file that is open and locked. Its lock ends with it.
#[derive(Debug)]
pub(super) struct Regular {
    path: PathBuf,
    file: File,
    identity: Identity,
    /// Its length, as far as this process wrote it.
    offset: u64,
    /// Up to here the disk has been asked to take what was written.
    released: u64,
    /// Its length when this process opened it.
    first_offset: u64,
    sync: bool,
    failpoints: Failpoints,
}

impl Regular {
    /// Opens the file for a first start (it must be empty or absent) or after a mark.
    pub(super) fn open(
        path: &Path,
        mark: Option<&Mark>,
        sync: bool,
        failpoints: Failpoints,
    ) -> Result<Self> {
        let is_there =
            fs::exists(path).map_err(|error| storage("opening the output", path, error))?;
        if mark.is_some() && !is_there {
            return Err(
                refused(path, "the file that the checkpoint tells of is not there")
                    .hint(START_OVER),
            );
        }
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(mark.is_none())
            .open(path)
            .map_err(|error| storage("opening the output", path, error))?;
        lock(&file).map_err(|error| match error {
            TryLockError::WouldBlock => locked(path),
            TryLockError::Error(error) => storage("locking the output", path, error),
        })?;
        let metadata =
            (file.metadata()).map_err(|error| storage("opening the output", path, error))?;
        let mut regular = Self {
            path: path.to_owned(),
            identity: Identity::of(&metadata),
            file,
            offset: 0,
            released: 0,
            first_offset: 0,
            sync,
            failpoints,
        };
        match mark {
            Some(mark) => regular.rewind(mark)?,
            None => regular.begin(metadata.len())?,
        }
        regular.first_offset = regular.offset;
        Ok(regular)
    }

    fn begin(&mut self, length: u64) -> Result<()> {
        if length > 0 {
            let message =
                format!("the file holds {length} bytes already, and no checkpoint tells of them");
            return Err(refused(&self.path, message).hint(
                "give --checkpoint to go on where an earlier run ended, or name another file, or remove this one",
            ));
        }
        self.check_in_place()?;
        if self.sync {
            self.file
                .sync_all()
                .and_then(|()| sync_folder(&self.path))
                .map_err(|error| storage("creating the output", &self.path, error))?;
        }
        Ok(())
    }

    /// Cuts the file back, again, to where it stood at `mark`; none: to where this process began with an empty file.
    pub(super) fn reopen(&mut self, mark: Option<&Mark>) -> Result<()> {
        match mark {
            Some(mark) => self.rewind(mark),
            None if self.first_offset == 0 => {
                self.check_in_place()?;
                self.cut(0)
            }
            None => self.begin(self.offset),
        }
    }

    /// Takes back everything after the mark, if this is the file that the mark tells of.
    fn rewind(&mut self, mark: &Mark) -> Result<()> {
        let path = &self.path;
        if mark.identity() != self.identity {
            let message = "the file was replaced: it is not the one that the checkpoint tells of";
            return Err(refused(path, message).hint(START_OVER));
        }
        self.check_in_place()?;
        let length = self.length()?;
        if length < mark.offset {
            let offset = mark.offset;
            let message = format!(
                "the file has {length} bytes, but {offset} were written when the checkpoint was made"
            );
            return Err(refused(path, message).hint(START_OVER));
        }
        let found = Mark::of(&self.file, self.identity, mark.offset)
            .map_err(|error| storage("reading the output's end", path, error))?;
        if found != *mark {
            let message = "the file was changed before the place that the checkpoint tells of";
            return Err(refused(path, message)
                .with("offset", mark.offset)
                .hint(START_OVER));
        }
        self.cut(mark.offset)
    }

    fn cut(&mut self, offset: u64) -> Result<()> {
        let length = self.length()?;
        if length > offset {
            let file = self.path.display();
            tracing::info!(%file, length, offset, "cutting the output back to its checkpoint");
            (self.file.set_len(offset))
                .and_then(|()| self.file.sync_all())
                .map_err(|error| {
                    storage(
                        "cutting the output back to its checkpoint",
                        &self.path,
                        error,
                    )
                })?;
        }
        self.offset = offset;
        self.released = offset - offset % WINDOW_BYTES;
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        write_all(&mut self.file, bytes).map_err(|error| {
            storage("writing events", &self.path, error).with("offset", self.offset)
        })?;
        self.offset += bytes.len() as u64;
        self.release();
        Ok(())
    }

    /// Asks for the last whole window to be written to the disk, and for the pages of the one before it, which has been by
    /// now, to be let go: a copy of a terabyte must not push everything else out of the machine's memory, nor leave
    /// gigabytes to the next sync. It is advice: nothing depends on it.
    fn release(&mut self) {
        while self.offset >= self.released + WINDOW_BYTES {
            for start in [
                self.released,
                self.released.saturating_sub(2 * WINDOW_BYTES),
            ] {
                let _ = fadvise(
                    &self.file,
                    start,
                    NonZeroU64::new(WINDOW_BYTES),
                    Advice::DontNeed,
                );
            }
            self.released += WINDOW_BYTES;
        }
    }

    /// Syncs what was written, if asked for, and says the mark.
    pub(super) fn make_durable(&mut self) -> Result<Mark> {
        self.failpoints.hit("sink.written")?;
        if self.sync {
            (self.file.sync_data())
                .map_err(|error| storage("syncing events", &self.path, error))?;
        }
        self.check_in_place()?;
        let length = self.length()?;
        if length != self.offset {
            let offset = self.offset;
            let message = format!(
                "somebody else wrote to the file: it has {length} bytes, {offset} were written"
            );
            return Err(refused(&self.path, message).hint(
                "leave the file to Headwater while it runs (no rotation in place); copy what is needed from it",
            ));
        }
        Mark::of(&self.file, self.identity, length)
            .map_err(|error| storage("reading the output's end", &self.path, error))
    }

    fn length(&self) -> Result<u64> {
        let metadata = self.file.metadata();
        Ok(metadata
            .map_err(|error| storage("looking at the output", &self.path, error))?
            .len())
    }

    /// Whether the path still leads to this file: what is written to a file that was moved away is lost to who waits for it.
    fn check_in_place(&self) -> Result<()> {
        match fs::metadata(&self.path) {
            Ok(metadata) if Identity::of(&metadata) == self.identity => Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(storage("looking at the output", &self.path, error))
            }
            _ => Err(refused(
                &self.path,
                "the file was moved or removed while it was open",
            )
            .hint("put it back; do not move or rotate it while Headwater runs")),
        }
    }
}

fn refused(path: &Path, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::SinkRejected, message).with("file", path.display())
}

fn locked(path: &Path) -> Error {
    Error::new(ErrorKind::Locked, "another process writes to the file")
        .with("file", path.display())
        .hint("end the other process (`fuser FILE` names it), or name another file")
}

/// Makes the file's name in its folder durable.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// The folder that `path` lies in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
