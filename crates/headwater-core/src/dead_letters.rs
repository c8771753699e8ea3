//! Rows that a sink refused for good: kept with their payload and the reason in a file, one JSON object a line, so that the run
//! can go on without losing them.
//!
//! A row counts as acknowledged only once its letter is on the disk ([`DeadLetters::sync`]). After a crash the same row may be
//! refused again and stand there twice.
//!
//! A letter is *settled* once its row was read again and written. Nothing is taken out of the file for it, to which a run may be
//! appending: which letters are settled stands in a journal beside it ([`Settled`]).

mod settled;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::Image;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::TableName;
use crate::value::Cell;

pub use settled::{Place, Settled};

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
    /// Opens the file, or makes it. What stands there stays; a line that a crash cut short is taken out: its row was not
    /// acknowledged, and is refused again.
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
        end_at_a_line(&mut file).map_err(failed)?;
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

/// A letter, and the line that it stands on.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Which line that is.
    pub place: Place,
    /// Its number, from 1.
    pub line: u64,
    /// The letter.
    pub letter: Letter,
}

/// Gives all letters of a file to `visit`, in the order in which they were written, and says where the last of them ends. A last
/// line without an end is passed over: its row does not count as acknowledged yet, so it comes again.
///
/// # Errors
/// `NotFound`, `Storage`, `Malformed` with the line; and those of `visit`.
pub fn walk(path: &Path, mut visit: impl FnMut(Kept) -> Result<()>) -> Result<u64> {
    let failed = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, "there is no such file of dead letters")
                .with("file", path.display())
        }
        _ => storage(path, "reading dead letters", cause),
    };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let (mut offset, mut line) = (0, 0);
    let mut text = Vec::new();
    loop {
        text.clear();
        let bytes = file.read_until(b'\n', &mut text).map_err(failed)? as u64;
        if text.pop() != Some(b'\n') {
            return Ok(offset);
        }
        line += 1;
        if !text.is_empty() {
            let letter = serde_json::from_slice(&text).map_err(|cause| {
                Error::new(ErrorKind::Malformed, "a line is no dead letter")
                    .with("file", path.display())
                    .with("line", line)
                    .hint("mend the line from a copy of the file, or remove it, and with it what is known of its row; letters behind it that were settled then count as open again")
                    .caused_by(cause)
            })?;
            let place = Place::of(offset, &text);
            visit(Kept {
                place,
                line,
                letter,
            })?;
        }
        offset += bytes;
    }
}

/// Reads all letters of a file, settled or not.
///
/// # Errors
/// As those of [`walk`].
pub fn read(path: &Path) -> Result<Vec<Letter>> {
    let mut letters = Vec::new();
    walk(path, |kept| {
        letters.push(kept.letter);
        Ok(())
    })?;
    Ok(letters)
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

/// Lets the file end with a whole line. What else stands at its end is cut off, but for a letter that only lacks the line's end.
fn end_at_a_line(file: &mut File) -> std::io::Result<()> {
    const STEP: u64 = 64 * 1024;
    let end = file.seek(SeekFrom::End(0))?;
    let mut tail = Vec::new();
    let mut from = end;
    while from > 0 && !tail.contains(&b'\n') {
        let start = from.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        let mut piece = Vec::new();
        Read::by_ref(file)
            .take(from - start)
            .read_to_end(&mut piece)?;
        piece.append(&mut tail);
        tail = piece;
        from = start;
    }
    let whole = tail.iter().rposition(|byte| *byte == b'\n');
    let torn = &tail[whole.map_or(0, |at| at + 1)..];
    if torn.is_empty() {
        return Ok(());
    }
    if serde_json::from_slice::<Letter>(torn).is_ok() {
        file.seek(SeekFrom::End(0))?;
        return file.write_all(b"\n");
    }
    file.set_len(end - torn.len() as u64)
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
    fn letters_are_read_back_and_damage_is_told() {
        let folder = std::env::temp_dir().join(format!("dead-letters-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("letters.jsonl");
        for number in 0..2 {
            let mut letters = DeadLetters::open(&path).unwrap();
            letters.push(&letter(number)).unwrap();
            letters.sync().unwrap();
        }
        assert_eq!(read(&path).unwrap(), [letter(0), letter(1)]);
        // A crash in the middle of a line: the letter was not acknowledged, and comes again.
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.truncate(text.len() - 5);
        std::fs::write(&path, &text).unwrap();
        assert_eq!(read(&path).unwrap(), [letter(0)]);
        let mut letters = DeadLetters::open(&path).unwrap();
        letters.push(&letter(2)).unwrap();
        letters.sync().unwrap();
        assert_eq!(read(&path).unwrap(), [letter(0), letter(2)]);
        // One that lacks its line's end only is kept.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.trim_end()).unwrap();
        drop(DeadLetters::open(&path).unwrap());
        assert_eq!(read(&path).unwrap(), [letter(0), letter(2)]);
        // Damage anywhere else is told, with its line.
        std::fs::write(&path, text.replacen("iotdb", "io\"tdb", 1)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
