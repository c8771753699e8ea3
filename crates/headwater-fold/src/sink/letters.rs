//! What becomes of rows that cannot be folded: dead letters, or the end of the run.

use std::path::{Path, PathBuf};

use headwater_core::batch::{ChangeKind, Row};
use headwater_core::dead_letters::{DeadLetters, Letter};
use headwater_core::schema::TableName;
use headwater_core::{Error, ErrorKind, Result, clock};
use serde_json::{Map, Value};

use crate::monoid::Refused;
use crate::place::Place;

/// The file of dead letters, made with the first of them.
#[derive(Debug)]
pub(super) struct Letters {
    name: String,
    path: PathBuf,
    file: Option<DeadLetters>,
}

impl Letters {
    pub(super) fn new(name: String, path: PathBuf) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if !folder.as_os_str().is_empty() && !folder.is_dir() {
            return Err(Error::new(
                ErrorKind::Storage,
                "the folder of the dead letters is not there",
            )
            .with("folder", folder.display())
            .hint("make it, or name another file"));
        }
        Ok(Self {
            name,
            path,
            file: None,
        })
    }

    fn push(&mut self, letter: &Letter) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            file @ None => file.insert(DeadLetters::open(&self.path)?),
        };
        file.push(letter)
    }

    pub(super) fn about_row(&mut self, fold: &str, row: &Row<'_>, refused: &Refused) -> Result<()> {
        let kind = match row.kind() {
            ChangeKind::Bootstrap => "bootstrap",
            ChangeKind::Update => "update",
            ChangeKind::Delete => "delete",
            _ => "insert",
        };
        let Some(image) = row.after().or(row.before()) else {
            return Ok(());
        };
        let reason = format!("fold {fold}: {refused}");
        let letter = Letter::about(&self.name, kind, &image, reason);
        let key = Value::Object(letter.key.clone());
        tracing::warn!(fold, table = %letter.table, %key, "a row is not folded: {refused}");
        self.push(&letter)
    }

    /// A delta that the aggregate could not take.
    pub(super) fn about_place(
        &mut self,
        fold: &str,
        table: Option<&TableName>,
        place: &Place,
        refused: &Refused,
    ) -> Result<()> {
        tracing::warn!(fold, place = ?place, "an aggregate cannot take what was added: {refused}");
        let mut data = Map::new();
        data.insert("fold".to_owned(), fold.into());
        data.insert("place".to_owned(), format!("{place:?}").into());
        self.push(&Letter {
            at_s: clock::now_s(),
            sink: self.name.clone(),
            table: table.cloned().unwrap_or_else(|| TableName::new("", "")),
            kind: "merge".to_owned(),
            key: Map::new(),
            reason: refused.to_string(),
            data,
        })
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        self.file.as_mut().map_or(Ok(()), DeadLetters::sync)
    }
}

/// The end of the run, for a row.
pub(super) fn stop(fold: &str, row: &Row<'_>, refused: &Refused) -> Error {
    let image = row.after().or(row.before());
    let letter = image.map(|image| Letter::about("", "", &image, String::new()));
    let key = letter
        .map(|letter| Value::Object(letter.key))
        .unwrap_or_default();
    Error::new(ErrorKind::SinkRejected, "a row cannot be folded")
        .with("fold", fold)
        .with("table", &row.schema().name)
        .with("key", key)
        .with("reason", refused)
        .hint("mend the row or the fold, or let such rows go to a file: folds.dead_letters")
}

/// The same, for an aggregate.
pub(super) fn stop_at(fold: &str, place: &Place, refused: &Refused) -> Error {
    Error::new(ErrorKind::SinkRejected, "an aggregate cannot take what was added to it")
        .with("fold", fold)
        .with("place", format!("{place:?}"))
        .with("reason", refused)
        .hint("choose another monoid or larger bounds for the fold, or let such deltas go to a file: folds.dead_letters")
}
