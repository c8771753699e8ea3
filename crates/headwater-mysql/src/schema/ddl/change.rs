//! What a statement does, in words that need no grammar.

use std::sync::Arc;

use headwater_core::schema::TableName;

pub use crate::schema::charset::Charset;
pub use crate::schema::column_type::TypeDraft;
use crate::schema::native::Native;

/// Something that could be read, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    /// It was understood, all of it.
    Known(T),
    /// Some of it was not. The definition has to come from elsewhere.
    Unknown,
}

/// What a statement does to tables and databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// `CREATE TABLE`, with columns.
    CreateTable {
        /// The new table.
        name: TableName,
        /// Whether a table of this name is left alone.
        if_not_exists: bool,
        /// Whether a table of this name is dropped first.
        or_replace: bool,
        /// What it looks like.
        definition: Reading<TableDraft>,
    },
    /// `CREATE TABLE … LIKE`.
    CreateLike {
        /// The new table.
        name: TableName,
        /// Whether a table of this name is left alone.
        if_not_exists: bool,
        /// Whether a table of this name is dropped first.
        or_replace: bool,
        /// The table that it looks like.
        source: TableName,
    },
    /// `CREATE SEQUENCE`: MariaDB logs rows under its name, which are no table's.
    CreateSequence {
        /// The sequence.
        name: TableName,
    },
    /// `ALTER TABLE`, and the index statements that change a key.
    AlterTable {
        /// The table, by its old name.
        name: TableName,
        /// What changes.
        changes: Reading<Vec<Change>>,
        /// Its new name, if it gets one.
        rename_to: Option<TableName>,
    },
    /// Renamed one after the other: a swap passes through a third name.
    RenameTables {
        /// Old and new names.
        pairs: Vec<(TableName, TableName)>,
        /// Whether a table that is not there is passed over.
        if_exists: bool,
    },
    /// `DROP TABLE` and `DROP SEQUENCE`.
    DropTables(Vec<TableName>),
    /// `TRUNCATE`: all rows go, and the log names none.
    Truncate(TableName),
    /// `ALTER TABLE … PARTITION`.
    AlterPartition {
        /// The table.
        name: TableName,
        /// Whether rows may have come or gone that the log does not name.
        moves_rows: bool,
    },
    /// `CREATE DATABASE`.
    CreateDatabase {
        /// The database.
        name: Arc<str>,
        /// Its default character set, if it was given one.
        charset: Charset,
    },
    /// `ALTER DATABASE`.
    AlterDatabase {
        /// The database.
        name: Arc<str>,
        /// Its default character set, if it was given one.
        charset: Charset,
    },
    /// `DROP DATABASE`: its tables go too.
    DropDatabase(Arc<str>),
    /// Changes neither a table's definition nor its rows.
    Irrelevant,
    /// `BEGIN`, `COMMIT`, `ROLLBACK`, savepoints, XA.
    TransactionControl,
    /// Rows changed by a statement instead of by row events: the log cannot be followed.
    StatementRows,
    /// Not understood at all: what it touches is unknown from here on.
    Unparsable {
        /// The tables it seems to touch; if empty, everything in `database` is suspect.
        tables: Vec<TableName>,
        /// The database it ran in.
        database: Arc<str>,
    },
}

/// A table as `CREATE TABLE` describes it: an empty table, and what is added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableDraft {
    /// The table's default character set, as far as it was given.
    pub charset: Charset,
    /// Columns and keys.
    pub changes: Vec<Change>,
}

/// One change of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `ADD COLUMN`.
    AddColumn {
        /// The column.
        column: ColumnDraft,
        /// Where it goes; at the end without one.
        place: Option<Place>,
        /// Whether a column of this name is left alone.
        if_not_exists: bool,
    },
    /// `DROP COLUMN`.
    DropColumn {
        /// The column.
        name: Arc<str>,
        /// Whether it need not be there.
        if_exists: bool,
    },
    /// `MODIFY` and `CHANGE`.
    ModifyColumn {
        /// Its name until now.
        name: Arc<str>,
        /// The column.
        column: ColumnDraft,
        /// Where it goes; it stays without one.
        place: Option<Place>,
        /// Whether it need not be there.
        if_exists: bool,
    },
    /// `RENAME COLUMN`.
    RenameColumn {
        /// Its name until now.
        from: Arc<str>,
        /// Its new name.
        to: Arc<str>,
        /// Whether it need not be there.
        if_exists: bool,
    },
    /// `ALTER COLUMN … SET INVISIBLE | VISIBLE`.
    SetInvisible {
        /// The column.
        name: Arc<str>,
        /// Whether `SELECT *` leaves it out.
        invisible: bool,
    },
    /// `ADD PRIMARY KEY`.
    AddPrimaryKey {
        /// Its columns.
        columns: Vec<Arc<str>>,
        /// Whether a primary key that is there is left alone.
        if_not_exists: bool,
    },
    /// `ADD UNIQUE`.
    AddUnique(UniqueDraft),
    /// Any other index. It matters for the names that the server chooses.
    AddIndex {
        /// Its name.
        name: Option<Arc<str>>,
        /// Its first column.
        first: Option<Arc<str>>,
    },
    /// `DROP PRIMARY KEY`.
    DropPrimaryKey {
        /// Whether it need not be there.
        if_exists: bool,
    },
    /// `DROP INDEX`, `DROP KEY`.
    DropIndex(Arc<str>),
    /// `DROP CONSTRAINT`: an index, a foreign key, or a check.
    DropConstraint(Arc<str>),
    /// `RENAME INDEX`.
    RenameIndex {
        /// Its name until now.
        from: Arc<str>,
        /// Its new name.
        to: Arc<str>,
    },
    /// `CHECK (json_valid(column))` on a table of MariaDB.
    CheckJson(Arc<str>),
    /// `PERIOD FOR`: its columns cannot be NULL.
    NotNull(Arc<str>),
    /// `CONVERT TO CHARACTER SET`.
    Convert(Charset),
    /// `DEFAULT CHARACTER SET`.
    DefaultCharset(Charset),
    /// MariaDB: `WITH SYSTEM VERSIONING`, with columns of its own or with invisible ones.
    AddVersioning {
        /// The name of the column that holds a row's end, where the table declares it.
        row_end: Option<Arc<str>>,
    },
}

/// A column as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDraft {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub column_type: TypeDraft,
    /// Whether it can be NULL, primary key or not.
    pub nullable: bool,
    /// Whether it is generated.
    pub generated: bool,
    /// Whether `SELECT *` leaves it out.
    pub invisible: bool,
    /// MariaDB: whether it has the check that makes text JSON.
    pub json_check: bool,
    /// Whether an index on it may be one on a prefix only, without saying so: TEXT, BLOB and their kin.
    pub large: bool,
    /// What its type is called.
    pub native: Native,
}

/// Where a column goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Before all others.
    First,
    /// Behind this one.
    After(Arc<str>),
}

/// A unique index as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueDraft {
    /// Its name; the server chooses one without.
    pub name: Option<Arc<str>>,
    /// Its columns; `None` for an expression.
    pub parts: Vec<(Option<Arc<str>>, bool)>,
    /// Whether an index of this name is left alone.
    pub if_not_exists: bool,
    /// Whether an index of this name is dropped first.
    pub or_replace: bool,
}
