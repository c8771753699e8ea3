//! A table's definition as the server has it: what decoding needs beyond the core's [`TableSchema`]. It comes from
//! information_schema, from DDL in the log, or from the FULL metadata of a table map event; it is kept in checkpoints
//! and tokens where the log does not carry it.

use std::sync::Arc;

use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use serde::{Deserialize, Serialize};

use super::native::Native;

/// A table's definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDefinition {
    /// The table.
    pub name: TableName,
    /// The table's default character set, which columns added by DDL inherit.
    pub charset: Arc<str>,
    /// The columns in table order, generated and invisible ones included.
    pub columns: Vec<ColumnDefinition>,
    /// Positions of the primary key's columns, in key order.
    pub primary_key: Vec<usize>,
    /// Positions of the columns of each other unique index, in the order of the indexes.
    pub unique_keys: Vec<UniqueKey>,
    /// MariaDB's system versioning: the position of the column that says when a row ceased to be a current one. The log has
    /// the rows of the past too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_end: Option<usize>,
}

/// A unique index that is not the primary key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueKey {
    /// Its name.
    pub name: Arc<str>,
    /// Positions of its columns, in index order.
    pub columns: Vec<usize>,
    /// Whether it covers only a prefix of some column, or an expression: then it cannot serve as the key.
    pub partial: bool,
}

/// A column's definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDefinition {
    /// Its name, in its original letter case.
    pub name: Arc<str>,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether it can be NULL.
    pub nullable: bool,
    /// Whether it is generated (stored or virtual).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
    /// Whether `SELECT *` leaves it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invisible: bool,
    /// What its type is called.
    #[serde(default, skip_serializing_if = "Native::is_unsaid")]
    pub native: Native,
}

/// A column's type, with all that decoding its bytes needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// TINYINT to BIGINT, BOOL.
    Integer {
        /// Width in bits: 8, 16, 24, 32, 64.
        bits: u8,
        /// Whether it has no sign.
        unsigned: bool,
    },
    /// BIT(n).
    Bit {
        /// Number of bits, 1 to 64.
        bits: u8,
    },
    /// YEAR.
    Year,
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// DECIMAL(p,s).
    Decimal {
        /// Digits in all, up to 65.
        precision: u8,
        /// Digits after the point, up to 38.
        scale: u8,
    },
    /// DATE.
    Date,
    /// TIME(n).
    Time {
        /// Fraction digits.
        digits: u8,
    },
    /// DATETIME(n).
    DateTime {
        /// Fraction digits.
        digits: u8,
    },
    /// TIMESTAMP(n).
    Timestamp {
        /// Fraction digits.
        digits: u8,
    },
    /// CHAR, VARCHAR and the TEXT kinds.
    Text {
        /// The column's character set, as the server names it: `utf8mb4`, `latin1`, …
        charset: Arc<str>,
        /// The column's collation, as the server names it; empty where only the character set is known.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        collation: Arc<str>,
    },
    /// BINARY(n): shorter values are padded with zero bytes.
    Binary {
        /// Length in bytes.
        length: u32,
    },
    /// VARBINARY and the BLOB kinds.
    VarBinary,
    /// ENUM.
    Enum {
        /// The labels in order, in UTF-8.
        labels: Arc<[Arc<str>]>,
    },
    /// SET.
    Set {
        /// The labels in order, in UTF-8.
        labels: Arc<[Arc<str>]>,
    },
    /// JSON of MySQL: binary in the log.
    Json,
    /// JSON of MariaDB: text with a `json_valid` check, kept as it was written.
    JsonText,
    /// GEOMETRY and its kin.
    Geometry,
    /// VECTOR of MySQL and MariaDB.
    Vector,
    /// UUID of MariaDB: sixteen bytes, shown in its text form.
    Uuid,
    /// INET6 of MariaDB: sixteen bytes, shown in its text form.
    Inet6,
    /// INET4 of MariaDB: four bytes, shown in its text form.
    Inet4,
    /// A type that this version does not know: its bytes are passed on as they are.
    Unknown {
        /// The type as the server calls it.
        native: Arc<str>,
    },
}

impl ColumnType {
    /// What the column holds, in the core's words.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Integer { bits, unsigned } => DataType::Integer {
                bits: *bits,
                unsigned: *unsigned,
            },
            Self::Bit { .. } => DataType::Bit,
            Self::Year => DataType::Year,
            Self::Float => DataType::Float,
            Self::Double => DataType::Double,
            Self::Decimal { precision, scale } => DataType::Decimal {
                precision: *precision,
                scale: *scale,
            },
            Self::Date => DataType::Date,
            Self::Time { digits } => DataType::Time(*digits),
            Self::DateTime { digits } => DataType::DateTime(*digits),
            Self::Timestamp { digits } => DataType::Timestamp(*digits),
            Self::Text { .. } | Self::Uuid | Self::Inet6 | Self::Inet4 => DataType::Text,
            Self::Binary { .. } | Self::VarBinary | Self::Unknown { .. } => DataType::Bytes,
            Self::Enum { labels } => DataType::Enum(Arc::clone(labels)),
            Self::Set { labels } => DataType::Set(Arc::clone(labels)),
            Self::Json | Self::JsonText => DataType::Json,
            Self::Geometry => DataType::Geometry,
            Self::Vector => DataType::Vector,
        }
    }

    /// How values of this type compare when they are part of a key.
    #[must_use]
    pub fn key_order(&self) -> KeyOrder {
        match self {
            Self::Integer { .. }
            | Self::Year
            | Self::Decimal { .. }
            | Self::Date
            | Self::Time { .. }
            | Self::DateTime { .. }
            | Self::Timestamp { .. }
            | Self::Binary { .. }
            | Self::VarBinary => KeyOrder::Client,
            Self::Text { .. } | Self::Uuid | Self::Inet4 | Self::Inet6 => KeyOrder::Server,
            Self::Bit { .. }
            | Self::Float
            | Self::Double
            | Self::Enum { .. }
            | Self::Set { .. }
            | Self::Json
            | Self::JsonText
            | Self::Geometry
            | Self::Vector
            | Self::Unknown { .. } => KeyOrder::None,
        }
    }
}

impl TableDefinition {
    /// The columns that identify a row: the primary key, else the first unique index over whole NOT NULL columns.
    #[must_use]
    pub fn key(&self) -> Vec<usize> {
        if !self.primary_key.is_empty() {
            return self.primary_key.clone();
        }
        let whole = |key: &&UniqueKey| {
            !key.partial
                && key
                    .columns
                    .iter()
                    .all(|&column| !self.columns[column].nullable)
        };
        self.unique_keys
            .iter()
            .find(whole)
            .map(|key| key.columns.clone())
            .unwrap_or_default()
    }

    /// The definition in the core's words, with a number of its own.
    #[must_use]
    pub fn to_schema(&self) -> TableSchema {
        let key = self.key();
        let orders = key
            .iter()
            .map(|&column| self.columns[column].column_type.key_order());
        let key_order = orders.fold(KeyOrder::Client, |all, one| match (all, one) {
            (KeyOrder::None, _) | (_, KeyOrder::None) => KeyOrder::None,
            (KeyOrder::Server, _) | (_, KeyOrder::Server) => KeyOrder::Server,
            (KeyOrder::Client, KeyOrder::Client) => KeyOrder::Client,
        });
        TableSchema {
            id: SchemaId::fresh(),
            name: self.name.clone(),
            columns: self
                .columns
                .iter()
                .map(|column| Column {
                    name: Arc::clone(&column.name),
                    data_type: column.column_type.data_type(),
                    nullable: column.nullable,
                })
                .collect(),
            primary_key: self.primary_key.clone(),
            key_order: if key.is_empty() {
                KeyOrder::None
            } else {
                key_order
            },
            key,
        }
    }
}
