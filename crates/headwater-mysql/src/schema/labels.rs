//! Labels of ENUM and SET that information_schema cannot show. All servers keep a column's type there, and in SHOW CREATE
//! TABLE, in three-byte UTF-8: a character beyond that is a question mark, in every character set of a session.
//!
//! The server knows them all the same, as the texts of its values. Without a row to read, a value is had from a recursive
//! common table expression: its columns have the types of its first SELECT (MySQL reference manual, "Recursive Common
//! Table Expressions"), so that a number which the second one gives becomes the ENUM's or SET's text.

use std::sync::Arc;

use headwater_core::Result;

use super::definition::{ColumnDefinition, ColumnType, TableDefinition};
use crate::client::Connection;
use crate::snapshot::sql::{quoted, quoted_table};

/// Labels asked for in one statement.
const LABELS_PER_STATEMENT: usize = 200;

/// Puts the true labels where information_schema shows question marks. Tables with such labels are rare.
pub(super) async fn complete(
    connection: &mut Connection,
    table: &mut TableDefinition,
) -> Result<()> {
    let TableDefinition { name, columns, .. } = table;
    for column in columns {
        for numbers in doubtful(column).chunks(LABELS_PER_STATEMENT) {
            let sql = statement(&quoted_table(name), &quoted(&column.name), numbers);
            let rows = match connection.query(&sql).await {
                Ok(found) => found.rows,
                Err(error) if !connection.is_usable() => return Err(error),
                Err(_) => Vec::new(),
            };
            let told = rows.iter().filter(|row| {
                let number = row.u64(0).and_then(|number| usize::try_from(number).ok());
                matches!((number, row.as_str(1)), (Some(number), Some(label)) if replace(column, number, label))
            });
            if told.count() < numbers.len() {
                tracing::warn!(table = %name, column = %column.name, "the server does not tell the labels of this column: where one shows a question mark, that can stand for another character");
            }
        }
    }
    Ok(())
}

/// The labels that show a question mark: their numbers from 1, with the number of the value that is the label alone.
fn doubtful(column: &ColumnDefinition) -> Vec<(usize, u64)> {
    let (labels, is_set) = match &column.column_type {
        ColumnType::Enum { labels } => (labels, false),
        ColumnType::Set { labels } => (labels, true),
        _ => return Vec::new(),
    };
    let shows = |(_, label): &(usize, &Arc<str>)| label.contains('?');
    let value = |number: usize| {
        if is_set {
            1 << (number - 1)
        } else {
            number as u64
        }
    };
    (1..)
        .zip(labels.iter())
        .filter(shows)
        .map(|(number, _)| (number, value(number)))
        .collect()
}

fn statement(table: &str, column: &str, numbers: &[(usize, u64)]) -> String {
    let numbers: Vec<String> = numbers
        .iter()
        .map(|(number, value)| format!("SELECT {number} AS n, {value} AS v"))
        .collect();
    format!(
        "WITH RECURSIVE labels (n, v) AS (\
         SELECT 0, typed.{column} FROM (SELECT 1 AS one) AS single \
         LEFT JOIN (SELECT {column} FROM {table} LIMIT 0) AS typed ON TRUE \
         UNION ALL SELECT wanted.n, wanted.v FROM labels JOIN ({}) AS wanted WHERE labels.n = 0) \
         SELECT n, v FROM labels WHERE n > 0",
        numbers.join(" UNION ALL ")
    )
}

/// Puts `label` where the one shown is the same but for question marks. Says whether it is.
fn replace(column: &mut ColumnDefinition, number: usize, label: &str) -> bool {
    let (ColumnType::Enum { labels } | ColumnType::Set { labels }) = &mut column.column_type else {
        return false;
    };
    let three_bytes = |letter: char| if letter.len_utf8() > 3 { '?' } else { letter };
    let mut all: Vec<Arc<str>> = labels.to_vec();
    match number.checked_sub(1).and_then(|index| all.get_mut(index)) {
        Some(shown) if label.chars().map(three_bytes).eq(shown.chars()) => {
            *shown = label.into();
            *labels = all.into();
            true
        }
        _ => false,
    }
}
