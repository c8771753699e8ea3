//! Which letters of a file are settled: a journal beside it, `FILE.settled`, one JSON object a line.
//!
//! A letter is known by where its line begins and by what stands on it, so that one that says the same again later is another. Where
//! a person has changed the file, what no longer agrees counts as open: rows are then read again, which changes nothing.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::storage;
use crate::error::{Error, ErrorKind, Result};

/// Which line of the file a letter stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Bytes of the file before it.
    pub offset: u64,
    /// The CRC-32 of the line.
    pub crc32: u32,
}

impl Place {
    pub(super) fn of(offset: u64, line: &[u8]) -> Self {
        Self {
            offset,
            crc32: crc32fast::hash(line),
        }
    }
}

/// The settled letters of a file.
#[derive(Debug)]
pub struct Settled {
    path: PathBuf,
    places: HashSet<Place>,
    /// How much of the journal is whole lines.
    end: u64,
}

impl Settled {
    /// Those of the letters in `letters`. A line that a crash cut short says nothing: its letters are open.
    ///
    /// # Errors
    /// `Storage`; `Malformed` with the line.
    pub fn of(letters: &Path) -> Result<Self> {
        let mut name: OsString = letters.file_name().unwrap_or_default().to_owned();
        name.push(".settled");
        let path = letters.with_file_name(name);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(cause) => {
                return Err(storage(
                    &path,
                    "reading which dead letters are settled",
                    cause,
                ));
            }
        };
        let end = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = text[..end].split(|byte| *byte == b'\n').enumerate();
        let places = lines
            .filter(|(_, line)| !line.is_empty())
            .map(|(at, line)| {
                serde_json::from_slice(line).map_err(|cause| {
                    Error::new(ErrorKind::Malformed, "a line of the journal of settled letters cannot be read")
                        .with("file", path.display())
                        .with("line", at + 1)
                        .hint("remove the line, or the file: letters that it called settled then count as open, and their rows are read again")
                        .caused_by(cause)
                })
            })
            .collect::<Result<HashSet<Place>>>()?;
        Ok(Self {
            path,
            places,
            end: end as u64,
        })
    }

    /// Whether a letter is settled.
    #[must_use]
    pub fn contains(&self, place: &Place) -> bool {
        self.places.contains(place)
    }

    /// Calls letters settled; they are on the disk as such when this returns.
    ///
    /// # Errors
    /// `Storage`.
    pub fn add(&mut self, places: &[Place]) -> Result<()> {
        let mut lines = Vec::new();
        for place in places.iter().filter(|place| !self.places.contains(place)) {
            serde_json::to_writer(&mut lines, place).map_err(|cause| {
                Error::new(ErrorKind::Internal, "a place cannot be written down").caused_by(cause)
            })?;
            lines.push(b'\n');
        }
        let write = || -> std::io::Result<u64> {
            let mut file = File::options().append(true).create(true).open(&self.path)?;
            // What a crash cut short is not continued.
            file.set_len(self.end)?;
            file.write_all(&lines)?;
            file.sync_data()?;
            let folder = self
                .path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(self.end + lines.len() as u64)
        };
        self.end = write()
            .map_err(|cause| storage(&self.path, "noting which dead letters are settled", cause))?;
        self.places.extend(places);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_letters_are_known_again_and_a_torn_line_says_nothing() {
        let folder = std::env::temp_dir().join(format!("settled-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let letters = folder.join("letters.jsonl");
        let [one, two, three] =
            [(0, "a"), (2, "a"), (4, "b")].map(|(at, line)| Place::of(at, line.as_bytes()));
        let mut settled = Settled::of(&letters).unwrap();
        settled.add(&[one]).unwrap();
        settled.add(&[one, three]).unwrap();
        let read = Settled::of(&letters).unwrap();
        assert!(read.contains(&one) && read.contains(&three));
        assert!(
            !read.contains(&two),
            "the same words elsewhere are another letter"
        );

        let journal = folder.join("letters.jsonl.settled");
        let mut text = std::fs::read_to_string(&journal).unwrap();
        assert_eq!(text.lines().count(), 2);
        text.truncate(text.len() - 3);
        std::fs::write(&journal, &text).unwrap();
        let mut read = Settled::of(&letters).unwrap();
        assert!(read.contains(&one) && !read.contains(&three));
        read.add(&[two]).unwrap();
        let read = Settled::of(&letters).unwrap();
        assert!(read.contains(&one) && read.contains(&two) && !read.contains(&three));

        std::fs::write(&journal, "what?\n").unwrap();
        let error = Settled::of(&letters).unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
