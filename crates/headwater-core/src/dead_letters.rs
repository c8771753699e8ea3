//! Rows that a sink refused for good: kept with their payload and the reason in a file, one JSON object a line, so that the run
//! can go on without losing them.
//!
//! A row counts as acknowledged only once its letter is on the disk ([`DeadLetters::sync`]). After a crash the same row may be
//! refused again and stand there twice.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::Image;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::TableName;
use crate::value::Cell;

/// A row that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Seconds since 1970.
    pub at_s: u64,
    /// The sink that refused it.
    pub sink: String,
    /// The table.
    pub table: TableName,
    /// `bootstrap`, `insert`, `update` or `delete`.
    pub kind: String,
    /// The row's key in the source, by column; empty where the table has none.
    pub key: Map<String, Value>,
    /// Why.
    pub reason: String,
    /// The row, or what it had become when it was refused.
    pub data: Map<String, Value>,
}

/// The file of dead letters, open for writing.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    file: File,
    waiting: Vec<u8>,
    is_dirty: bool,
}

impl DeadLetters {
    /// Opens the file, or makes it. What stands there stays; a line that a crash cut short is ended.
    ///
    /// # Errors
    /// `Storage`.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |cause| storage(path, "opening the dead letters", cause);
        let mut file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed)?;
        if !ends_a_line(&mut file).map_err(failed)? {
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            waiting: Vec::new(),
            is_dirty: false,
        })
    }

    /// Keeps a letter; it is on the disk after the next [`DeadLetters::sync`].
    ///
    /// # Errors
    /// `Storage`.
    pub fn push(&mut self, letter: &Letter) -> Result<()> {
        serde_json::to_writer(&mut self.waiting, letter).map_err(|cause| {
            Error::new(ErrorKind::Internal, "a dead letter cannot be written down").caused_by(cause)
        })?;
        self.waiting.push(b'\n');
        self.is_dirty = true;
        match self.waiting.len() {
            0..65_536 => Ok(()),
            _ => self.write(),
        }
    }

    fn write(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.waiting);
        self.waiting.clear();
        written.map_err(|cause| storage(&self.path, "writing dead letters", cause))
    }

    /// Everything kept so far is on the disk when this returns.
    ///
    /// # Errors
    /// `Storage`.
    pub fn sync(&mut self) -> Result<()> {
        if !self.is_dirty {
            return Ok(());
        }
        self.write()?;
        let synced = self.file.sync_data();
        synced.map_err(|cause| storage(&self.path, "syncing dead letters", cause))?;
        self.is_dirty = false;
        Ok(())
    }
}

/// Reads all letters of a file.
///
/// # Errors
/// `NotFound`, `Storage`, `Malformed` with the line.
pub fn read(path: &Path) -> Result<Vec<Letter>> {
    let text = std::fs::read_to_string(path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, "there is no such file of dead letters")
                .with("file", path.display())
        }
        _ => storage(path, "reading dead letters", cause),
    })?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|cause| {
                Error::new(ErrorKind::Malformed, "a line is no dead letter")
                    .with("file", path.display())
                    .with("line", at + 1)
                    .hint("a crash may have cut it short: remove the line; its row is refused again after the restart")
                    .caused_by(cause)
            })
        })
        .collect()
}

impl Letter {
    /// A letter about a row of which the image is at hand.
    #[must_use]
    pub fn about(sink: &str, kind: &str, image: &Image<'_>, reason: String) -> Self {
        let schema = image.schema();
        let columns = schema.columns.iter().zip(image.cells());
        Self {
            at_s: clock::now_s(),
            sink: sink.to_owned(),
            table: schema.name.clone(),
            kind: kind.to_owned(),
            key: key(image),
            reason,
            data: columns
                .filter(|(_, cell)| !matches!(cell, Cell::Absent))
                .map(|(column, cell)| (column.name.to_string(), json(cell)))
                .collect(),
        }
    }
}

/// A row's key, by column.
#[must_use]
pub fn key(image: &Image<'_>) -> Map<String, Value> {
    let schema = image.schema();
    let columns = schema.key.iter();
    columns
        .map(|&at| (schema.columns[at].name.to_string(), json(image.cell(at))))
        .collect()
}

/// A value for people and for SQL: numbers that JSON holds exactly as numbers, bytes as `0x…`, all else as text.
#[must_use]
pub fn json(cell: Cell<'_>) -> Value {
    let mut text = Vec::new();
    match cell {
        Cell::Null | Cell::Absent => return Value::Null,
        Cell::Int(value) => return value.into(),
        Cell::UInt(value) => return value.into(),
        Cell::Float(value) => return f64::from(value).into(),
        Cell::Double(value) => return value.into(),
        Cell::Decimal(value) | Cell::Text(value) | Cell::Set(value) | Cell::Json(value) => {
            return value.into();
        }
        Cell::Date(value) => value.write(&mut text),
        Cell::Time(value) => value.write(&mut text),
        Cell::DateTime(value) | Cell::Timestamp(value) => value.write(&mut text),
        Cell::Bytes(bytes) | Cell::Geometry(bytes) | Cell::Vector(bytes) => {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            text.extend(b"0x");
            for byte in bytes {
                text.push(DIGITS[usize::from(byte >> 4)]);
                text.push(DIGITS[usize::from(byte & 15)]);
            }
        }
    }
    String::from_utf8_lossy(&text).into()
}

fn ends_a_line(file: &mut File) -> std::io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn storage(path: &Path, operation: &'static str, cause: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Storage,
        "the file of dead letters cannot be used",
    )
    .during(operation)
    .with("file", path.display())
    .hint("is there room, and may this user write there?")
    .caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(number: u64) -> Letter {
        Letter {
            at_s: number,
            sink: "iotdb".to_owned(),
            table: TableName::new("shop", "orders"),
            kind: "insert".to_owned(),
            key: Map::from_iter([("id".to_owned(), number.into())]),
            reason: "no".to_owned(),
            data: Map::new(),
        }
    }

    #[test]
    fn letters_are_read_back_and_a_torn_line_is_told() {
        let folder = std::env::temp_dir().join(format!("dead-letters-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("letters.jsonl");
        for number in 0..2 {
            let mut letters = DeadLetters::open(&path).unwrap();
            letters.push(&letter(number)).unwrap();
            letters.sync().unwrap();
        }
        assert_eq!(read(&path).unwrap(), [letter(0), letter(1)]);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.truncate(text.len() - 5);
        std::fs::write(&path, text).unwrap();
        let mut letters = DeadLetters::open(&path).unwrap();
        letters.push(&letter(2)).unwrap();
        letters.sync().unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("line"), "{error}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
