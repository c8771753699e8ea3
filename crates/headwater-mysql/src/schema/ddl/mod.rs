//! DDL as it stands in the log: recognised, never judged. No statement is an error. What is not understood with
//! certainty is [`Reading::Unknown`] for the tables it names, or [`Effect::Unparsable`].
//!
//! Sources: MySQL reference manual, "Data Definition Statements"; MariaDB, "Data Definition".

mod alter;
mod apply;
mod change;
mod column;
mod create;
mod cursor;
mod statement;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use headwater_core::schema::TableName;

pub use apply::{Unclear, apply, resolve};
pub(crate) use apply::{extend_keys, version_column, with_json_check};
pub use change::{
    Change, Charset, ColumnDraft, Effect, Place, Reading, TableDraft, TypeDraft, UniqueDraft,
};
pub(crate) use cursor::Cursor;

use super::column_type::TypeRules;
use super::lexer::{Lexer, Token};
use super::selection::folded;
use super::sql_mode::SqlMode;

/// What a statement means depends on where it ran.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The session's current database; empty for none.
    pub database: Arc<str>,
    /// The session's `sql_mode`.
    pub mode: SqlMode,
    /// Whether the server is a MariaDB.
    pub mariadb: bool,
    /// Whether the server keeps the names of tables and databases in lower case (`lower_case_table_names` is 1).
    pub lower_case_names: bool,
    /// Whether a TIMESTAMP is NOT NULL unless it says otherwise (`explicit_defaults_for_timestamp=OFF`).
    pub timestamps_not_null: bool,
}

impl Rules {
    /// The usual ones.
    pub fn new(database: impl Into<Arc<str>>, mode: SqlMode, mariadb: bool) -> Self {
        Self {
            database: database.into(),
            mode,
            mariadb,
            lower_case_names: false,
            timestamps_not_null: false,
        }
    }

    fn types(&self) -> TypeRules {
        TypeRules {
            mariadb: self.mariadb,
            mode: self.mode,
        }
    }

    fn fold(&self, name: &str) -> Arc<str> {
        if self.lower_case_names {
            folded(name)
        } else {
            name.into()
        }
    }

    /// Takes a table's name, with or without its database.
    fn table(&self, cursor: &mut Cursor<'_>) -> Option<TableName> {
        cursor.symbol('.');
        let first = cursor.identifier()?;
        if !cursor.symbol('.') {
            return Some(TableName::new(self.fold(&self.database), self.fold(first)));
        }
        let table = cursor.identifier()?;
        Some(TableName::new(self.fold(first), self.fold(table)))
    }
}

/// What a statement does. Never fails, never panics, whatever the text. At least one effect is given.
#[must_use]
pub fn parse(sql: &str, rules: &Rules) -> Vec<Effect> {
    let mut lexer = Lexer::new(sql, rules.mode, rules.mariadb);
    let Some(first) = lexer.next() else {
        return vec![Effect::Irrelevant];
    };
    // Most of a mixed log is no DDL, and some of it is long: its first word is enough.
    if let Some(effect) = statement::by_first_word(&first) {
        return vec![effect];
    }
    let mut tokens = vec![first];
    tokens.extend(lexer);
    statement::parse(&tokens, rules)
}

/// How deep parentheses around a check are looked into.
const CHECK_DEPTH_MAX: usize = 8;

/// The column of a check that is `json_valid(column)` and nothing else.
fn json_check_column(inner: &Cursor<'_>) -> Option<Arc<str>> {
    let mut inner = inner.clone();
    for _ in 0..CHECK_DEPTH_MAX {
        if inner.peek() != Some(&Token::Symbol('(')) {
            break;
        }
        let within = inner.parentheses()?;
        inner.at_end().then_some(())?;
        inner = within;
    }
    inner.word("JSON_VALID").then_some(())?;
    let mut argument = inner.parentheses()?;
    let column = argument.identifier()?;
    (argument.at_end() && inner.at_end()).then(|| column.into())
}

fn is_json_check(inner: &Cursor<'_>, column: &str) -> bool {
    json_check_column(inner).is_some_and(|found| same_name(&found, column))
}

/// The character set that a statement names, itself or by a collation.
pub(crate) fn charset_of(charset: &Charset) -> Option<Arc<str>> {
    charset
        .resolve(&Charset::default())
        .map(|(charset, _)| charset)
}

/// Whether two names of columns or indexes are one: their case does not matter.
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}
