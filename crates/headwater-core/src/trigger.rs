//! Bootstraps that are asked for in the source itself: by a row in a table of requests, read from the log like any other.
//! Nothing is written back. How the table's columns are called is the source's business
//! ([`LiveSource::watched`](crate::source::LiveSource::watched) says which table it is); what they mean is here.

use crate::batch::{ChangeKind, Image, Row};
use crate::bootstrap::{BootstrapRequest, Limits};
use crate::value::{Cell, DateTime};

/// How rows ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// What the columns are called.
    pub columns: TriggerColumns,
    /// Whom a row must address; a table without such a column addresses everybody.
    pub client: String,
}

/// The columns of a table of requests, by name in any letter case. One that is not there says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggerColumns {
    /// The request's number.
    pub id: &'static str,
    /// The database of the table that is wanted; required.
    pub database: &'static str,
    /// The table that is wanted; required.
    pub table: &'static str,
    /// A condition.
    pub condition: &'static str,
    /// A remark.
    pub comment: &'static str,
    /// Whom the request addresses.
    pub client: &'static str,
    /// A local time of the source before which it is not begun.
    pub not_before: &'static str,
    /// Whether it is over already.
    pub is_over: &'static str,
}

/// What a row of the table says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// A bootstrap is wanted, not before a local time of the source's.
    Ask(Box<BootstrapRequest>, Option<DateTime>),
    /// What the rows with this beginning of an origin asked for is not wanted any more.
    Withdraw(String),
    /// Nothing, and why that should be known.
    Nonsense(&'static str),
}

impl Trigger {
    /// Reads a row. None where there is nothing to do: another client's, one that is over, a change of a row (whoever does the
    /// work writes down how far it is).
    pub(crate) fn read(&self, row: &Row<'_>) -> Option<Said> {
        let table = &row.schema().name;
        match row.kind() {
            ChangeKind::Insert => self.ask(row, &row.after()?),
            ChangeKind::Delete => {
                let image = row.before()?;
                self.is_ours(&image)
                    .then(|| Said::Withdraw(format!("{table} row {} ", self.id(&image))))
            }
            ChangeKind::Truncate => Some(Said::Withdraw(format!("{table} row "))),
            ChangeKind::Bootstrap
            | ChangeKind::Update
            | ChangeKind::Ddl
            | ChangeKind::BootstrapStart
            | ChangeKind::BootstrapComplete => None,
        }
    }

    fn ask(&self, row: &Row<'_>, image: &Image<'_>) -> Option<Said> {
        if !self.is_ours(image) || is_true(cell(image, self.columns.is_over)) {
            return None;
        }
        let part = |name| text(cell(image, name)).filter(|text| !text.is_empty());
        let (Some(database), Some(table)) = (part(self.columns.database), part(self.columns.table))
        else {
            return Some(Said::Nonsense("it names no table"));
        };
        // The same row read again is the same request; the same number after the table was emptied is another.
        let xid = row.transaction().and_then(|transaction| transaction.xid);
        let origin = format!(
            "{} row {} of {}.{}",
            row.schema().name,
            self.id(image),
            row.timestamp_s(),
            xid.unwrap_or(0)
        );
        let not_before = match cell(image, self.columns.not_before) {
            Some(Cell::DateTime(time)) if time.date.year > 0 => Some(time),
            _ => None,
        };
        let request = BootstrapRequest {
            tables: vec![format!("{database}.{table}")],
            condition: part(self.columns.condition),
            at_once: false,
            comment: part(self.columns.comment),
            limits: Limits::default(),
            origin: Some(origin),
            not_before_s: None,
        };
        Some(Said::Ask(Box::new(request), not_before))
    }

    fn is_ours(&self, image: &Image<'_>) -> bool {
        text(cell(image, self.columns.client)).is_none_or(|client| client == self.client)
    }

    fn id(&self, image: &Image<'_>) -> String {
        match cell(image, self.columns.id) {
            Some(Cell::Int(id)) => id.to_string(),
            Some(Cell::UInt(id)) => id.to_string(),
            other => text(other).unwrap_or_default(),
        }
    }
}

fn cell<'a>(image: &Image<'a>, name: &str) -> Option<Cell<'a>> {
    let mut columns = image.schema().columns.iter();
    let at = columns.position(|column| column.name.eq_ignore_ascii_case(name))?;
    Some(image.cell(at))
}

fn text(cell: Option<Cell<'_>>) -> Option<String> {
    match cell? {
        Cell::Text(text) => Some(text.to_owned()),
        Cell::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

fn is_true(cell: Option<Cell<'_>>) -> bool {
    matches!(cell, Some(Cell::Int(n)) if n != 0) || matches!(cell, Some(Cell::UInt(n)) if n != 0)
}
