//! Events as the oracle sees them: neutral, whatever sink they come from.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Violation;

/// A row: each column's value as text, none for NULL.
pub type Image = BTreeMap<String, Option<String>>;

/// For each table (`database.table`) the columns of its key, in key order; empty where it has none.
pub type Keys = BTreeMap<String, Vec<String>>;

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A snapshot row, as of its cut.
    Bootstrap,
    /// A new row.
    Insert,
    /// A changed row.
    Update,
    /// A removed row.
    Delete,
    /// All rows of the table removed at once.
    Truncate,
}

/// A change of a sink's stream, or of the true history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `database.table`.
    pub table: String,
    /// What happened.
    pub kind: Kind,
    /// The whole row before: updates and deletes.
    pub before: Option<Image>,
    /// The whole row after: snapshot rows, inserts and updates.
    pub after: Option<Image>,
}

impl Event {
    /// An event of a row.
    #[must_use]
    pub fn new(table: &str, kind: Kind, before: Option<Image>, after: Option<Image>) -> Self {
        Self {
            table: table.to_owned(),
            kind,
            before,
            after,
        }
    }
}

/// The key of `image`, as text that no other key has; the whole row where the table has no key.
#[must_use]
pub fn key_text(columns: &[String], image: &Image) -> String {
    let values: Vec<_> = if columns.is_empty() {
        image
            .iter()
            .flat_map(|(name, value)| [Some(name), value.as_ref()])
            .collect()
    } else {
        columns
            .iter()
            .map(|name| image.get(name).and_then(Option::as_ref))
            .collect()
    };
    format!("{values:?}")
}

#[derive(Deserialize)]
struct Line<'a> {
    database: String,
    table: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: Option<BTreeMap<String, Option<&'a RawValue>>>,
    #[serde(borrow)]
    old: Option<BTreeMap<String, Option<&'a RawValue>>>,
}

/// Reads Maxwell's JSON, one event a line: `bootstrap`, `bootstrap-insert`, `insert`, `update` and `delete`. Other types (table
/// marks, DDL) are passed over, and so are tables that `keys` does not name.
///
/// # Errors
/// A line that is no event, with its number. A torn last line is one too: cut it off first if the sink promises no more.
pub fn from_json_lines(text: &str, keys: &Keys) -> Result<Vec<Event>, Violation> {
    let mut events = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let bad =
            |what: String| Violation::new("", "", format!("line {}: {what}: {line}", number + 1));
        let read: Line<'_> = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        let kind = match read.kind.as_str() {
            "bootstrap" | "bootstrap-insert" => Kind::Bootstrap,
            "insert" => Kind::Insert,
            "update" => Kind::Update,
            "delete" => Kind::Delete,
            _ => continue,
        };
        let table = format!("{}.{}", read.database, read.table);
        if !keys.contains_key(&table) {
            continue;
        }
        let data = read.data.ok_or_else(|| bad("no data".into()))?;
        let data = image(data).map_err(&bad)?;
        let (before, after) = match kind {
            Kind::Delete => (Some(data), None),
            Kind::Update => {
                let old = image(read.old.unwrap_or_default()).map_err(&bad)?;
                let mut before = data.clone();
                before.extend(old);
                (Some(before), Some(data))
            }
            Kind::Bootstrap | Kind::Insert | Kind::Truncate => (None, Some(data)),
        };
        events.push(Event {
            table,
            kind,
            before,
            after,
        });
    }
    Ok(events)
}

fn image(members: BTreeMap<String, Option<&RawValue>>) -> Result<Image, String> {
    let text = |raw: &RawValue| match raw.get() {
        "null" => Ok(None),
        quoted if quoted.starts_with('"') => serde_json::from_str(quoted).map(Some),
        other => Ok(Some(other.to_owned())),
    };
    members
        .into_iter()
        .map(|(name, raw)| {
            let value = raw
                .map_or(Ok(None), text)
                .map_err(|error| error.to_string())?;
            Ok((name, value))
        })
        .collect()
}
