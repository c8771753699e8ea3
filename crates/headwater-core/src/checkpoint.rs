//! The durable record of progress: what was read of each table and at which cut, how far the log is out, and what the
//! sink wants to remember. One JSON document that a person can read; where it is kept is a
//! [`CheckpointStore`](crate::sink::CheckpointStore)'s business.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bootstrap::Bootstrap;
use crate::coverage::{CutId, TableCoverage};
use crate::error::{Error, ErrorKind, Result};
use crate::position::{HandoffToken, Position, SourceIdentity};
use crate::schema::{TableName, TableSchema};
use crate::source::LogPoint;

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "P: Position")]
pub struct Checkpoint<P> {
    /// A name for this copy, new with every first copy.
    pub run: String,
    /// The source it belongs to.
    pub source: SourceIdentity,
    /// What was configured: tables, conditions, sink, format. A changed one is refused by name; but for the tables, where
    /// `selection` says which they were.
    pub configuration: Value,
    /// Which tables the log was read of up to `log`, as the source writes it ([`Source::selection`]).
    ///
    /// [`Source::selection`]: crate::source::Source::selection
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub selection: Value,
    /// Seconds since 1970 when it was written.
    pub written_at_s: u64,
    /// How far the log is out; none before the first cut was taken.
    pub log: Option<LogPoint<P>>,
    /// Rows of the transaction that `log` stands in which the filter did not let out: the others are numbered without them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows_filtered: u64,
    /// Cuts whose rows are (partly) out, but which the log has not reached yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts_ahead: Vec<CutAhead<P>>,
    /// The number of the next cut.
    pub next_cut: u32,
    /// The tables of the first copy; none where the run follows the log only.
    pub copy: Option<Vec<TableCopy>>,
    /// Bootstraps asked for of the running stream, oldest first: open ones, and the last that were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bootstraps: Vec<Bootstrap>,
    /// What the sink wants to find again.
    pub sink: Value,
    /// Table definitions valid at `log`, where the log does not carry its own.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub definitions: Value,
}

/// A cut that the log has yet to reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "P: Position")]
pub struct CutAhead<P> {
    /// Its number, as coverage names it.
    pub id: CutId,
    /// Where it was taken.
    pub position: P,
}

/// The first copy of one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableCopy {
    /// The table.
    pub name: TableName,
    /// The names of the key's columns: ranges mean nothing once they are others.
    pub key_columns: Vec<String>,
    /// Rows that are out.
    pub rows: u64,
    /// Roughly how many there are.
    pub estimated_rows: u64,
    /// Whether the start of the copy was announced (`bootstrap-start`).
    #[serde(default)]
    pub announced: bool,
    /// Whether its end was announced (`bootstrap-complete`).
    #[serde(default)]
    pub completed: bool,
    /// Whether it was no longer there when the last cut was taken: what is unread stays unread, and the log still says what
    /// became of the rest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// Whether it came into a stream that was running: it is read in chunks beside the log, which flows on meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
    /// Which of its keys were read, and at which cut.
    pub coverage: TableCoverage,
}

impl TableCopy {
    /// A table of which nothing was read yet.
    #[must_use]
    pub fn unread(schema: &TableSchema, estimated_rows: u64) -> Self {
        let names = schema
            .key
            .iter()
            .map(|&column| &schema.columns[column].name);
        Self {
            name: schema.name.clone(),
            key_columns: names.map(ToString::to_string).collect(),
            rows: 0,
            estimated_rows,
            announced: false,
            completed: false,
            gone: false,
            beside: false,
            coverage: TableCoverage::unread(),
        }
    }

    /// A table of which everything is out, or will be by the log: nothing is left to be read.
    #[must_use]
    pub fn covered(schema: &TableSchema) -> Self {
        Self {
            announced: true,
            completed: true,
            coverage: TableCoverage::read_at(CutId::PASSED),
            ..Self::unread(schema, 0)
        }
    }

    /// Whether every row was read, at whatever cut. Of one that went before anything of it was read, the log may still speak.
    fn is_read(&self) -> bool {
        self.coverage.is_complete() || self.gone && !self.coverage.is_untouched()
    }

    /// Whether nothing more comes of its copy.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_read() && (self.gone || self.completed)
    }

    /// Whether its key has the columns that `schema` gives it, so that its ranges mean something there.
    #[must_use]
    pub fn has_key_of(&self, schema: &TableSchema) -> bool {
        let names = schema
            .key
            .iter()
            .map(|&column| &*schema.columns[column].name);
        self.key_columns.iter().map(String::as_str).eq(names)
    }
}

impl<P: Position> Checkpoint<P> {
    /// A checkpoint with nothing done yet.
    #[must_use]
    pub fn new(run: String, source: SourceIdentity, configuration: Value) -> Self {
        Self {
            run,
            source,
            configuration,
            selection: Value::Null,
            written_at_s: 0,
            log: None,
            rows_filtered: 0,
            cuts_ahead: Vec::new(),
            next_cut: 1,
            copy: None,
            bootstraps: Vec::new(),
            sink: Value::Null,
            definitions: Value::Null,
        }
    }

    /// Reads a stored document, for this source and configuration, and for a run that streams the tables of `selection`.
    ///
    /// # Errors
    /// `CheckpointForeign` if it belongs to another source or another configuration, or cannot be read.
    pub fn from_document(
        document: Value,
        source: &SourceIdentity,
        configuration: &Value,
        selection: &Value,
    ) -> Result<Self> {
        let read: Self = serde_json::from_value(document).map_err(|cause| {
            Error::new(
                ErrorKind::CheckpointForeign,
                "the checkpoint is not one that this source can read",
            )
            .hint("give another --checkpoint file, or remove this one to copy from the beginning")
            .caused_by(cause)
        })?;
        if read.source != *source {
            return Err(Error::new(ErrorKind::CheckpointForeign, "the checkpoint belongs to another server")
                .with("checkpoint of", format!("{} {}", read.source.kind, read.source.id))
                .with("server is", format!("{} {}", source.kind, source.id))
                .hint("connect to the server it was made on, or give another --checkpoint file; if the server's log was reset, its old positions mean nothing: remove the checkpoint and copy again"));
        }
        let left_out: &[&str] = if read.selection.is_null() || read.selection == *selection {
            &[]
        } else {
            &OF_TABLES
        };
        match first_difference(&read.configuration, configuration, left_out) {
            Some((key, was, is)) => Err(other_configuration(key, was, is)),
            None => Ok(read),
        }
    }

    /// Whether all that is left of the first copy is to be read in chunks beside the log.
    #[must_use]
    pub fn rest_is_beside(&self) -> bool {
        let mut tables = self.copy.iter().flatten();
        self.cuts_ahead.is_empty()
            && self.log.is_some()
            && tables.all(|table| table.beside || table.is_over())
    }

    /// Whether the first copy, if there is one, has read everything and said so, and the log has passed every cut.
    #[must_use]
    pub fn copy_is_complete(&self) -> bool {
        let mut tables = self.copy.iter().flatten();
        self.cuts_ahead.is_empty() && self.log.is_some() && tables.all(TableCopy::is_over)
    }

    /// Whether every row was read, at whatever cut.
    #[must_use]
    pub fn all_is_read(&self) -> bool {
        self.copy.iter().flatten().all(TableCopy::is_read)
    }

    /// Whether every change of the log goes out, whatever its key: nothing is left to be read, and of tables that have gone
    /// the log has told so.
    #[must_use]
    pub fn everything_is_covered(&self) -> bool {
        let mut tables = self.copy.iter().flatten();
        self.copy_is_complete() && tables.all(|table| table.coverage.is_complete())
    }

    /// The copy of a table.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&TableCopy> {
        self.copy.iter().flatten().find(|copy| copy.name == *name)
    }

    /// The token from which a live stream goes on where this checkpoint stands.
    ///
    /// # Errors
    /// `Internal` if the position cannot be written; none before there is one.
    pub fn token(&self) -> Result<Option<HandoffToken>> {
        let Some(log) = &self.log else {
            return Ok(None);
        };
        HandoffToken::new(self.source.clone(), &log.position, self.definitions.clone()).map(Some)
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference over"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Members of a configuration that are about single tables: what became of them is asked of the source, where they changed.
const OF_TABLES: [&str; 2] = ["tables", CONDITIONS];
/// The member that holds the condition of each table that has one.
const CONDITIONS: &str = "where";

/// Fails unless the condition of `table` is the same in both configurations.
///
/// # Errors
/// `CheckpointForeign`.
pub(crate) fn same_condition(was: &Value, is: &Value, table: &TableName) -> Result<()> {
    let of = |configuration: &Value| {
        let found = configuration.get(CONDITIONS)?.get(table.to_string());
        found.cloned()
    };
    let (was, is) = (of(was), of(is));
    if was == is {
        return Ok(());
    }
    let text = |value: Option<Value>| value.unwrap_or_default().to_string();
    let setting = format!("{CONDITIONS} of {table}");
    Err(other_configuration(setting, text(was), text(is)))
}

fn other_configuration(setting: String, was: String, is: String) -> Error {
    Error::new(
        ErrorKind::CheckpointForeign,
        "the checkpoint was made with another configuration",
    )
    .with("setting", setting)
    .with("then", was)
    .with("now", is)
    .hint("run with the settings it was made with, or give another --checkpoint file")
}

/// The first member in which two configurations differ, with both values.
fn first_difference(
    was: &Value,
    is: &Value,
    left_out: &[&str],
) -> Option<(String, String, String)> {
    if was == is {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (was, is) else {
        return Some(("all".into(), was.to_string(), is.to_string()));
    };
    let keys = old
        .keys()
        .chain(new.keys().filter(|key| !old.contains_key(*key)));
    for key in keys.filter(|key| !left_out.contains(&key.as_str())) {
        let (a, b) = (
            old.get(key).unwrap_or(&Value::Null),
            new.get(key).unwrap_or(&Value::Null),
        );
        if a != b {
            return Some((key.clone(), a.to_string(), b.to_string()));
        }
    }
    None
}

/// What a document must say of the first copy, whatever its positions look like.
#[derive(Deserialize)]
struct Copied {
    log: Option<IgnoredAny>,
    #[serde(default)]
    cuts_ahead: Vec<IgnoredAny>,
    copy: Option<Vec<TableCopy>>,
}

/// Whether the first copy of a checkpoint, as the document that a sink is given to keep, is complete: what the sink holds with it is
/// the whole of the source. As [`Checkpoint::copy_is_complete`] says it.
///
/// # Errors
/// `CheckpointDamaged` for a document that is no checkpoint.
pub fn is_copied(document: &Value) -> Result<bool> {
    let copied = Copied::deserialize(document).map_err(|cause| {
        Error::new(ErrorKind::CheckpointDamaged, "a checkpoint cannot be read").caused_by(cause)
    })?;
    let mut tables = copied.copy.iter().flatten();
    Ok(copied.cuts_ahead.is_empty() && copied.log.is_some() && tables.all(TableCopy::is_over))
}
