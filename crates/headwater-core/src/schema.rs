//! Schemas: what a table's columns are, as sinks need to know it. Nothing here knows a driver.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// The full name of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The database (MySQL calls it schema too).
    pub database: Arc<str>,
    /// The table within it.
    pub table: Arc<str>,
}

impl TableName {
    /// A table's name from its parts.
    pub fn new(database: impl Into<Arc<str>>, table: impl Into<Arc<str>>) -> Self {
        Self {
            database: database.into(),
            table: table.into(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// An integer of 8, 16, 24, 32 or 64 bits.
    Integer {
        /// Width in bits.
        bits: u8,
        /// Whether it has no sign.
        unsigned: bool,
    },
    /// A bit field of 1 to 64 bits, as an unsigned integer.
    Bit,
    /// A year.
    Year,
    /// Four-byte floating point.
    Float,
    /// Eight-byte floating point.
    Double,
    /// A decimal of `precision` digits, `scale` of them after the point.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// Text of any length.
    Text,
    /// Bytes of any length.
    Bytes,
    /// A date.
    Date,
    /// A signed duration with this many fraction digits.
    Time(u8),
    /// A date and time without a zone, with this many fraction digits.
    DateTime(u8),
    /// A point in time with this many fraction digits.
    Timestamp(u8),
    /// One label out of these; cells are text.
    Enum(Arc<[Arc<str>]>),
    /// Any of these labels.
    Set(Arc<[Arc<str>]>),
    /// A JSON document.
    Json,
    /// A geometry (SRID and WKB).
    Geometry,
    /// A vector of four-byte floats.
    Vector,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, in its original letter case.
    pub name: Arc<str>,
    /// What it holds.
    pub data_type: DataType,
    /// Whether it can be NULL.
    pub nullable: bool,
}

/// How the values of a table's key can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOrder {
    /// In the client, by [`crate::key::Key`]'s own order: integers, temporal, decimal and binary columns.
    Client,
    /// By the server only (collated text).
    Server,
    /// Not usable for ranges (floating point, ENUM, SET): the table is read in one piece, though it has an identity.
    None,
}

/// A table's definition, as of some place in the log. Shared by all rows it describes.
#[derive(Debug, Clone)]
pub struct TableSchema {
    /// Unique within the process: two definitions of one table have two ids. Sinks key their caches by it.
    pub id: SchemaId,
    /// The table.
    pub name: TableName,
    /// The columns in table order.
    pub columns: Vec<Column>,
    /// Columns of the primary key, in key order; empty without one. Maxwell's key field.
    pub primary_key: Vec<usize>,
    /// Columns that identify a row for splits and merging: the primary key, else the first unique index over NOT NULL
    /// columns, else none.
    pub key: Vec<usize>,
    /// How that key compares.
    pub key_order: KeyOrder,
}

/// The process-wide number of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(u64);

impl SchemaId {
    /// A number that no other definition in this process has.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl TableSchema {
    /// Whether a row can be told from every other by its key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// Whether the table can be read in key ranges.
    #[must_use]
    pub fn can_split(&self) -> bool {
        self.has_key() && self.key_order != KeyOrder::None
    }

    /// Whether both have the same table, columns and keys, whatever their ids.
    #[must_use]
    pub fn same_shape(&self, other: &Self) -> bool {
        self.name == other.name
            && self.columns == other.columns
            && self.primary_key == other.primary_key
            && self.key == other.key
    }
}
