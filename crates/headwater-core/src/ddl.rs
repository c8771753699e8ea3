//! Changes of definitions, as sinks may tell of them: what a statement made of a table or a database. They travel beside the
//! rows of a batch, in the place of their mark ([`crate::batch::Row::definition_change`]).

use std::sync::Arc;

/// What a statement did to a table or a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionChange {
    /// What.
    pub what: Defined,
    /// The database; of a renamed table, the one it was in.
    pub database: Arc<str>,
    /// The table, by its old name; none where it is about the database.
    pub table: Option<Arc<str>>,
    /// What the table was; none if it was not there, or that is not known.
    pub old: Option<Layout>,
    /// What it is now; none if it is not there, or that is not known yet.
    pub new: Option<Layout>,
    /// The database's default character set, where the statement or the server tells it.
    pub charset: Option<Arc<str>>,
    /// The statement.
    pub sql: Arc<str>,
    /// The place of the statement's event in the log, where that was asked for.
    pub position: Option<Arc<str>>,
    /// The transaction's global id, where that was asked for.
    pub gtid: Option<Arc<str>>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defined {
    /// A database was created.
    DatabaseCreated,
    /// A database's defaults changed.
    DatabaseAltered,
    /// A database was dropped, with its tables.
    DatabaseDropped,
    /// A table was created.
    TableCreated,
    /// A table's definition, or its name, changed.
    TableAltered,
    /// A table was dropped.
    TableDropped,
}

/// A table as a person would describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Its database.
    pub database: Arc<str>,
    /// Its name.
    pub table: Arc<str>,
    /// Its default character set.
    pub charset: Arc<str>,
    /// Its columns in order.
    pub columns: Vec<ColumnLayout>,
    /// Positions of the primary key's columns, in key order.
    pub primary_key: Vec<usize>,
}

/// A column of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnLayout {
    /// Its name.
    pub name: Arc<str>,
    /// Its type, as the server calls it: `int`, `varchar`, `mediumtext`.
    pub native: Arc<str>,
    /// What else its type says.
    pub detail: Detail,
}

/// What a type says beside its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Nothing,
    /// The character set of a text; `binary` for bytes.
    Charset(Arc<str>),
    /// Whether an integer has a sign.
    Signed(bool),
    /// Labels of an ENUM or SET.
    Labels(Arc<[Arc<str>]>),
    /// Fraction digits of a time.
    Digits(u8),
}
