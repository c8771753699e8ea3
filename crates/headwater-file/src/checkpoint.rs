//! The checkpoint file: one JSON document that a person can read, replaced as a whole.
//!
//! ```json
//! {
//!   "format": "headwater checkpoint",
//!   "version": 1,
//!   "crc32": "8c0ff29a",
//!   "checkpoint": { "…": "…" }
//! }
//! ```
//!
//! The checksum is the CRC-32 (as in zlib) of the text of `checkpoint` without the white space between its tokens, so the file may
//! be indented anew, but nothing in it can change unnoticed. It is taken from the text and not from parsed values, for a number
//! may parse to a neighbour of what was written.
//!
//! A new document goes to `NAME.tmp`, is synced, renamed, and the folder synced. `NAME.lock` is locked while the store lives and
//! stays; removing it by hand lets a second process in, so [`CheckpointFile::save`] looks for it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use headwater_core::failpoint::{self, Failpoints};
use headwater_core::sink::CheckpointStore;
use headwater_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::storage;
use crate::lock::lock;
use crate::sink::{folder, sync_folder};

const FORMAT: &str = "headwater checkpoint";
const VERSION: u64 = 1;

/// No checkpoint comes near it; it bounds what is read of a file that is none.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

const RESTORE: &str = "restore it from a backup; or remove it, together with the output, to start over: everything is then \
     copied again from the beginning";

/// The checkpoint in a file, under a lock.
#[derive(Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    temporary: PathBuf,
    lock_path: PathBuf,
    lock: File,
    /// Whether what the file holds may be replaced: it was absent, or read and found whole. Also keeps saves apart.
    is_known: Mutex<bool>,
    failpoints: Failpoints,
}

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<D> {
    format: String,
    version: u64,
    crc32: String,
    checkpoint: D,
}

impl CheckpointFile {
    /// Takes the lock beside `path` and clears away what a crash left. The checkpoint itself is neither read nor created.
    ///
    /// # Errors
    /// `Locked` if another process has it; `Storage` if its folder cannot be written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = resolve(path.as_ref())?;
        let lock_path = beside(&path, ".lock");
        let lock = take_lock(&path, &lock_path)?;
        let temporary = beside(&path, ".tmp");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(storage(
                    "clearing away an unfinished checkpoint",
                    &temporary,
                    error,
                ));
            }
            _ => {}
        }
        Ok(Self {
            path,
            temporary,
            lock_path,
            lock,
            is_known: Mutex::new(false),
            failpoints: failpoint::installed(),
        })
    }

    /// With failpoints of its own instead of the process's.
    #[must_use]
    pub fn with_failpoints(self, failpoints: Failpoints) -> Self {
        Self { failpoints, ..self }
    }

    /// Reads the checkpoint at `path` without its lock, to look at it while a process uses it. None if there is none.
    ///
    /// # Errors
    /// `CheckpointDamaged`, `CheckpointForeign`, `Storage`.
    pub fn read(path: impl AsRef<Path>) -> Result<Option<Value>> {
        let path = path.as_ref();
        read_bytes(path)?
            .map(|bytes| decode(path, &bytes))
            .transpose()
    }

    /// Whether the lock is still the one that a second process would ask for.
    fn check_lock(&self) -> Result<()> {
        let mine = self.lock.metadata();
        let there = fs::metadata(&self.lock_path);
        match mine.and_then(|mine| there.map(|there| (mine, there))) {
            Ok((mine, there)) if (mine.dev(), mine.ino()) == (there.dev(), there.ino()) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(storage("looking at the checkpoint's lock", &self.lock_path, error))
            }
            _ => Err(Error::new(
                ErrorKind::Locked,
                "the checkpoint's lock file was removed, another process may be using the checkpoint",
            )
            .with("file", self.lock_path.display())
            .hint("see that no other process uses the checkpoint, start again, and leave the lock file where it is")),
        }
    }

    fn replace(&self, bytes: &[u8]) -> Result<()> {
        write_synced(&self.temporary, bytes)
            .map_err(|error| storage("writing the checkpoint", &self.path, error))?;
        self.failpoints.hit("checkpoint.temporary")?;
        fs::rename(&self.temporary, &self.path)
            .map_err(|error| storage("replacing the checkpoint", &self.path, error))?;
        self.failpoints.hit("checkpoint.renamed")?;
        sync_folder(&self.path)
            .map_err(|error| storage("syncing the checkpoint's folder", &self.path, error))
    }
}

impl CheckpointStore for CheckpointFile {
    fn load(&self) -> Result<Option<Value>> {
        let mut is_known = self.is_known.lock().unwrap_or_else(PoisonError::into_inner);
        let document = Self::read(&self.path)?;
        *is_known = true;
        Ok(document)
    }

    fn save(&self, document: &Value) -> Result<()> {
        let mut is_known = self.is_known.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_known {
            Self::read(&self.path)?;
            *is_known = true;
        }
        let bytes = encode(document)?;
        self.check_lock()?;
        let saved = self.replace(&bytes);
        if saved.is_err() {
            // It may lie in the way of nothing, and hold the space that the next save needs. The next save, or the next open,
            // clears it away if this cannot.
            drop(fs::remove_file(&self.temporary));
        }
        saved
    }
}

/// The file that `path` leads to: renaming onto a symbolic link would replace the link.
fn resolve(path: &Path) -> Result<PathBuf> {
    let refused = |message| {
        Error::new(ErrorKind::Storage, message)
            .during("opening the checkpoint")
            .with("file", path.display())
            .hint("name a file, in a folder that exists and can be written")
    };
    if path.file_name().is_none() {
        return Err(refused("this names no file"));
    }
    match fs::canonicalize(path) {
        Ok(real) if real.is_file() => Ok(real),
        Ok(_) => Err(refused("this is no regular file")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(storage("opening the checkpoint", path, error))
        }
        Err(_) if path.is_symlink() => Err(refused("this is a link that leads nowhere")),
        Err(_) => match folder(path).metadata() {
            Ok(folder) if folder.is_dir() => Ok(path.to_owned()),
            Ok(_) => Err(refused("its folder is no folder")),
            Err(error) => Err(storage("opening the checkpoint", path, error)),
        },
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn take_lock(path: &Path, lock_path: &Path) -> Result<File> {
    let failed = |error| storage("locking the checkpoint", lock_path, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock_path)
        .map_err(failed)?;
    match lock(&file) {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message: another process's number, or nothing.
            drop((&file).take(32).read_to_string(&mut holder));
            let holder = holder.trim();
            let error = Error::new(ErrorKind::Locked, "another process uses the checkpoint")
                .with("file", path.display())
                .hint("end the other process, or name another checkpoint");
            return Err(if holder.is_empty() {
                error
            } else {
                error.with("process", holder)
            });
        }
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |error| storage("reading the checkpoint", path, error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(damaged(path, "it is larger than any checkpoint"));
    }
    Ok(Some(bytes))
}

fn encode(document: &Value) -> Result<Vec<u8>> {
    let failed = |error| {
        Error::new(
            ErrorKind::Internal,
            "a checkpoint cannot be written as JSON",
        )
        .caused_by(error)
    };
    let compact = serde_json::to_vec(document).map_err(failed)?;
    let mut bytes = serde_json::to_vec_pretty(&Document {
        format: FORMAT.to_owned(),
        version: VERSION,
        crc32: checksum(&compact),
        checkpoint: document,
    })
    .map_err(failed)?;
    bytes.push(b'\n');
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Internal,
            "a checkpoint is larger than any should be",
        ));
    }
    Ok(bytes)
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Value> {
    if bytes.is_empty() {
        return Err(damaged(path, "it is empty"));
    }
    let not_json = |error| damaged(path, "it is no whole checkpoint").caused_by(error);
    let head: Head = serde_json::from_slice(bytes).map_err(not_json)?;
    if head.format != FORMAT {
        return Err(damaged(path, "its format is not a checkpoint's"));
    }
    if head.version > VERSION {
        return Err(newer(path, head.version));
    }
    let document: Document<&RawValue> = serde_json::from_slice(bytes).map_err(not_json)?;
    if document.version != VERSION {
        return Err(damaged(path, "its version was never written"));
    }
    let text = document.checkpoint.get();
    if document.crc32 != checksum(&without_white_space(text)) {
        return Err(damaged(path, "its checksum does not fit"));
    }
    serde_json::from_str(text).map_err(not_json)
}

fn checksum(compact: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(compact))
}

/// The bytes of a JSON text without the white space between its tokens.
fn without_white_space(text: &str) -> Vec<u8> {
    let mut is_in_string = false;
    let mut is_escaped = false;
    text.bytes()
        .filter(|byte| {
            if is_in_string {
                is_in_string = is_escaped || *byte != b'"';
                is_escaped = !is_escaped && *byte == b'\\';
                return true;
            }
            is_in_string = *byte == b'"';
            !matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
        })
        .collect()
}

fn damaged(path: &Path, what: &'static str) -> Error {
    Error::new(
        ErrorKind::CheckpointDamaged,
        format!("the checkpoint is damaged: {what}"),
    )
    .with("file", path.display())
    .hint(RESTORE)
}

fn newer(path: &Path, version: u64) -> Error {
    Error::new(
        ErrorKind::CheckpointForeign,
        "the checkpoint was written by a newer Headwater",
    )
    .with("file", path.display())
    .with("version", version)
    .with("known", VERSION)
    .hint(
        "start the newer Headwater; or remove the checkpoint, together with the output, to start over: everything is then \
         copied again from the beginning",
    )
}
