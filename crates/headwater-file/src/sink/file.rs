//! Events in a file.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use headwater_core::batch::Batch;
use headwater_core::failpoint::{self, Failpoints};
use headwater_core::sink::{Capabilities, Durability, Receipt, Sink};
use headwater_core::{Error, ErrorKind, Result};
use serde::Deserialize as _;
use serde_json::Value;

use super::mark::Mark;
use super::regular::Regular;
use crate::config::FileOptions;
use crate::encode::Encode;
use crate::error::{output, storage};
use crate::writer::{Output, Writer, write_all};

/// Appends events to a file of its own.
///
/// - A first start wants the file empty or absent; anything else is refused (`SinkRejected`).
/// - Opened after a mark, it cuts the file back to the mark. A file that is missing, shorter, replaced or changed before the mark is
///   refused, and left as it is.
/// - The file is locked while the sink lives (`Locked`).
/// - An accepted batch can be read from the file within [`FileOptions::linger`] and the time of writing it.
/// - What the writing thread could not write is told by the next write, as `Storage`; nothing is durable after it until the sink is
///   opened again.
/// - A named pipe, a terminal or `/dev/null` is written to as it is: no lock, no mark, nothing taken back.
pub struct FileSink<E> {
    path: PathBuf,
    encoder: E,
    options: FileOptions,
    failpoints: Failpoints,
    writer: Option<Writer>,
}

impl<E: Encode> FileSink<E> {
    /// A sink on the file at `path`, which is not touched before it is opened.
    pub fn new(path: impl Into<PathBuf>, encoder: E, options: FileOptions) -> Self {
        Self {
            path: path.into(),
            encoder,
            options,
            failpoints: failpoint::installed(),
            writer: None,
        }
    }

    /// With failpoints of its own instead of the process's.
    #[must_use]
    pub fn with_failpoints(self, failpoints: Failpoints) -> Self {
        Self { failpoints, ..self }
    }
}

impl<E> fmt::Debug for FileSink<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f.debug_struct("FileSink").field("path", &self.path)).finish_non_exhaustive()
    }
}

impl<E: Encode> Sink for FileSink<E> {
    fn capabilities(&self) -> Capabilities {
        super::capabilities(true)
    }

    fn name(&self) -> String {
        format!("file:{}", self.path.display())
    }

    async fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let output = Target {
                    path: self.path.clone(),
                    sync: self.options.sync,
                    failpoints: self.failpoints.clone(),
                    open: None,
                };
                self.writer.insert(Writer::start(output, self.options)?)
            }
        };
        writer.open(mark).await
    }

    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        let writer = self.writer.as_mut().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the sink is not open")
                .with("file", self.path.display())
        })?;
        super::write(writer, &mut self.encoder, batch, durability).await
    }
}

/// What the path leads to. Lives on the writing thread.
struct Target {
    path: PathBuf,
    sync: bool,
    failpoints: Failpoints,
    open: Option<Open>,
}

enum Open {
    Regular(Regular),
    /// A pipe or a character device.
    Stream(File),
}

impl Output for Target {
    fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        let mark = read_mark(&self.path, mark)?;
        match &mut self.open {
            Some(Open::Regular(file)) => file.reopen(mark.as_ref()),
            Some(Open::Stream(_)) => no_mark(&self.path, mark.as_ref()),
            None if is_stream(&self.path)? => {
                no_mark(&self.path, mark.as_ref())?;
                let file = OpenOptions::new().write(true).open(&self.path);
                let file =
                    file.map_err(|error| storage("opening the output", &self.path, error))?;
                self.open = Some(Open::Stream(file));
                Ok(())
            }
            None => {
                let failpoints = self.failpoints.clone();
                let file = Regular::open(&self.path, mark.as_ref(), self.sync, failpoints)?;
                self.open = Some(Open::Regular(file));
                Ok(())
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.open {
            Some(Open::Regular(file)) => file.write(bytes),
            Some(Open::Stream(file)) => write_all(file, bytes)
                .map_err(|error| output(&self.path.display().to_string(), error)),
            None => Err(not_open(&self.path)),
        }
    }

    fn make_durable(&mut self) -> Result<Value> {
        match &mut self.open {
            Some(Open::Regular(file)) => {
                let mark = file.make_durable()?;
                serde_json::to_value(&mark).map_err(|error| {
                    Error::new(ErrorKind::Internal, "a mark cannot be written as JSON")
                        .caused_by(error)
                })
            }
            Some(Open::Stream(_)) => {
                self.failpoints.hit("sink.written")?;
                Ok(Value::Null)
            }
            None => Err(not_open(&self.path)),
        }
    }
}

fn not_open(path: &Path) -> Error {
    Error::new(ErrorKind::Internal, "the sink is not open").with("file", path.display())
}

fn read_mark(path: &Path, mark: Option<&Value>) -> Result<Option<Mark>> {
    match mark {
        None | Some(Value::Null) => Ok(None),
        Some(value) => Mark::deserialize(value).map(Some).map_err(|error| {
            Error::new(
                ErrorKind::SinkRejected,
                "what the checkpoint says of the output is not what a file sink wrote",
            )
            .with("file", path.display())
            .hint("name the same sink as before, or another checkpoint")
            .caused_by(error)
        }),
    }
}

fn no_mark(path: &Path, mark: Option<&Mark>) -> Result<()> {
    if mark.is_none() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::SinkRejected,
        "the checkpoint was made with a file, but a pipe or a device is there now",
    )
    .with("file", path.display())
    .hint("name the file of the checkpoint, or another checkpoint"))
}

/// Whether the path leads to a pipe or a character device. What can hold no events is refused.
fn is_stream(path: &Path) -> Result<bool> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(storage("opening the output", path, error)),
    };
    let kind = metadata.file_type();
    if kind.is_fifo() || kind.is_char_device() {
        return Ok(true);
    }
    if kind.is_file() {
        return Ok(false);
    }
    Err(Error::new(
        ErrorKind::SinkRejected,
        "this is no file that events can be written to",
    )
    .with("file", path.display())
    .hint("name a file, not a folder, a disk or a socket"))
}
