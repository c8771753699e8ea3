//! Moving from Maxwell: its `config.properties` as a file of ours, and the page of its options.

mod convert;
mod page;
mod properties;
mod table;
mod yaml;

pub(crate) use page::page;

use std::fmt::Write as _;
use std::path::Path;

use headwater_core::{Error, ErrorKind, Result};

/// A file of ours, and what became of each option.
#[derive(Debug)]
pub(crate) struct Moved {
    /// The file.
    pub(crate) yaml: String,
    /// What became of each option, in the order of the old file.
    fates: Vec<(String, Fate)>,
}

/// What became of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// It has its name and value here.
    Taken(String),
    /// It is something else here.
    Mapped(String),
    /// It is left out, and nothing is missing.
    Ignored(String),
    /// It asks for what is not there.
    Lost(String),
}

impl Moved {
    /// Whether everything that the old file asks for is there.
    pub(crate) fn is_whole(&self) -> bool {
        let lost = |(_, fate): &(String, Fate)| matches!(fate, Fate::Lost(_));
        !self.fates.iter().any(lost)
    }

    /// What became of each option, a line each.
    pub(crate) fn report(&self) -> String {
        let mut out = String::new();
        for (name, fate) in &self.fates {
            let (word, said) = match fate {
                Fate::Taken(said) => ("taken  ", said),
                Fate::Mapped(said) => ("mapped ", said),
                Fate::Ignored(said) => ("ignored", said),
                Fate::Lost(said) => ("CANNOT ", said),
            };
            let _ = writeln!(out, "{word}  {name}: {said}");
        }
        let lost = self
            .fates
            .iter()
            .filter(|(_, fate)| matches!(fate, Fate::Lost(_)));
        let _ = match lost.count() {
            0 => writeln!(
                out,
                "\nEverything that the file asks for is there. Look at the file, then: headwater check --config FILE"
            ),
            1 => writeln!(out, "\n1 option cannot be honoured."),
            count => writeln!(out, "\n{count} options cannot be honoured."),
        };
        out
    }
}

/// Reads a `config.properties`.
///
/// # Errors
/// It cannot be read, or is no properties file.
pub(crate) fn moved(path: &Path) -> Result<Moved> {
    let text = std::fs::read_to_string(path).map_err(|cause| {
        Error::new(
            ErrorKind::Configuration,
            "cannot read Maxwell's configuration",
        )
        .with("file", path.display())
        .hint("give the path of its config.properties, in UTF-8")
        .caused_by(cause)
    })?;
    Ok(convert::convert(&properties::parse(&text)?))
}

#[cfg(test)]
mod tests;
