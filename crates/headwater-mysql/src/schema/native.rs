//! What a column's type is called, for those who tell of definitions: [`ColumnType`] has all that decoding needs, and no
//! more, so that CHAR and MEDIUMTEXT are one to it. The names are the servers' own, aliases resolved as Maxwell resolves them
//! (`ColumnDef.unalias_type`).

use std::sync::Arc;

use headwater_core::ddl::{ColumnLayout, Detail, Layout};
use serde::{Deserialize, Serialize};

use super::ddl::Cursor;
use super::definition::{ColumnDefinition, ColumnType, TableDefinition};
use super::lexer::{Lexer, Token};
use super::sql_mode::SqlMode;
use crate::decode::event::wire_type as ty;

/// The name of a text, of bytes or of a geometry; empty for the usual one, and for types whose name is in their
/// [`ColumnType`]. Two definitions that differ in it alone decode the same, and are the same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Native(Arc<str>);

impl PartialEq for Native {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Native {}

impl Native {
    pub(crate) fn is_unsaid(&self) -> bool {
        self.0.is_empty()
    }

    /// Of a type as `information_schema.COLUMNS` shows it.
    pub(crate) fn read(column_type: &str, mariadb: bool) -> Self {
        let tokens: Vec<Token> = Lexer::new(column_type, SqlMode::default(), mariadb).collect();
        Self::take(&mut Cursor::new(&tokens))
    }

    /// Of a type as it is declared.
    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Self {
        let word = cursor.keyword().unwrap_or_default().to_lowercase();
        cursor.next();
        let varies = ["VARYING", "VARCHAR", "VARCHARACTER"];
        let name = match word.as_str() {
            "char" | "character" | "nchar" if cursor.is_any(&varies) => "varchar",
            "char" | "character" | "nchar" => "char",
            "national" => {
                let is_char = cursor.any(&["CHAR", "CHARACTER"]);
                if is_char && !cursor.is_any(&varies) {
                    "char"
                } else {
                    "varchar"
                }
            }
            "text" | "blob" => {
                let size = cursor.parentheses().and_then(|mut inner| inner.number());
                return Self(sized(size, word == "text").into());
            }
            "long" if cursor.is_word("VARBINARY") => "mediumblob",
            "long" => "mediumtext",
            "geomcollection" => "geometrycollection",
            "tinytext" | "mediumtext" | "longtext" | "tinyblob" | "mediumblob" | "longblob"
            | "varbinary" | "point" | "linestring" | "polygon" | "multipoint"
            | "multilinestring" | "multipolygon" | "geometrycollection" => &word,
            _ => "",
        };
        Self(name.into())
    }

    /// Of a column of the log, which tells a text from bytes elsewhere.
    pub(crate) fn of_wire(wire_type: u8, parameter: u16) -> Self {
        let name = match (wire_type, parameter) {
            (ty::STRING, _) => "char",
            (ty::TINY_BLOB | ty::BLOB, 1) => "tinytext",
            (ty::MEDIUM_BLOB | ty::BLOB, 3) => "mediumtext",
            (ty::LONG_BLOB | ty::BLOB, 4) => "longtext",
            (ty::BLOB, _) => "text",
            _ => "",
        };
        Self(name.into())
    }
}

/// TEXT(n) and BLOB(n) are the smallest kind that holds so many.
fn sized(size: Option<u32>, is_text: bool) -> &'static str {
    let size = size.unwrap_or(1 << 8);
    let index = match size {
        0..0x100 => 0,
        0x100..0x1_0000 => 1,
        0x1_0000..0x100_0000 => 2,
        0x100_0000.. => 3,
    };
    if is_text {
        ["tinytext", "text", "mediumtext", "longtext"][index]
    } else {
        ["tinyblob", "blob", "mediumblob", "longblob"][index]
    }
}

/// The name of a column's type.
fn name(column: &ColumnDefinition) -> Arc<str> {
    let said = &column.native.0;
    let name = match &column.column_type {
        ColumnType::Text { .. } => return text_name(said),
        ColumnType::VarBinary => return bytes_name(said),
        ColumnType::Geometry if !said.is_empty() => return Arc::clone(said),
        ColumnType::Unknown { native } => return Arc::clone(native),
        ColumnType::Integer { bits: 8, .. } => "tinyint",
        ColumnType::Integer { bits: 16, .. } => "smallint",
        ColumnType::Integer { bits: 24, .. } => "mediumint",
        ColumnType::Integer { bits: 32, .. } => "int",
        ColumnType::Integer { .. } => "bigint",
        ColumnType::Bit { .. } => "bit",
        ColumnType::Year => "year",
        ColumnType::Float => "float",
        ColumnType::Double => "double",
        ColumnType::Decimal { .. } => "decimal",
        ColumnType::Date => "date",
        ColumnType::Time { .. } => "time",
        ColumnType::DateTime { .. } => "datetime",
        ColumnType::Timestamp { .. } => "timestamp",
        ColumnType::Binary { .. } => "binary",
        ColumnType::Enum { .. } => "enum",
        ColumnType::Set { .. } => "set",
        ColumnType::Json | ColumnType::JsonText => "json",
        ColumnType::Geometry => "geometry",
        ColumnType::Vector => "vector",
        ColumnType::Uuid => "uuid",
        ColumnType::Inet6 => "inet6",
        ColumnType::Inet4 => "inet4",
    };
    name.into()
}

fn text_name(said: &Arc<str>) -> Arc<str> {
    match &**said {
        "char" | "tinytext" | "text" | "mediumtext" | "longtext" => Arc::clone(said),
        _ => "varchar".into(),
    }
}

/// A text whose character set is `binary` is its kin of bytes.
fn bytes_name(said: &Arc<str>) -> Arc<str> {
    match &**said {
        "tinytext" | "tinyblob" => "tinyblob",
        "text" | "blob" => "blob",
        "mediumtext" | "mediumblob" => "mediumblob",
        "longtext" | "longblob" => "longblob",
        _ => "varbinary",
    }
    .into()
}

/// The table as a person would describe it.
pub(crate) fn layout(table: &TableDefinition) -> Layout {
    let column = |column: &ColumnDefinition| ColumnLayout {
        name: Arc::clone(&column.name),
        native: name(column),
        detail: detail(&column.column_type),
    };
    Layout {
        database: Arc::clone(&table.name.database),
        table: Arc::clone(&table.name.table),
        charset: Arc::clone(&table.charset),
        columns: table.columns.iter().map(column).collect(),
        primary_key: table.primary_key.clone(),
    }
}

fn detail(column_type: &ColumnType) -> Detail {
    match column_type {
        ColumnType::Integer { unsigned, .. } => Detail::Signed(!unsigned),
        ColumnType::Text { charset, .. } => Detail::Charset(Arc::clone(charset)),
        ColumnType::VarBinary | ColumnType::Binary { .. } => Detail::Charset("binary".into()),
        ColumnType::Enum { labels } | ColumnType::Set { labels } => {
            Detail::Labels(Arc::clone(labels))
        }
        ColumnType::Time { digits }
        | ColumnType::DateTime { digits }
        | ColumnType::Timestamp { digits } => Detail::Digits(*digits),
        ColumnType::Bit { .. }
        | ColumnType::Year
        | ColumnType::Float
        | ColumnType::Double
        | ColumnType::Decimal { .. }
        | ColumnType::Date
        | ColumnType::Json
        | ColumnType::JsonText
        | ColumnType::Geometry
        | ColumnType::Vector
        | ColumnType::Uuid
        | ColumnType::Inet6
        | ColumnType::Inet4
        | ColumnType::Unknown { .. } => Detail::Nothing,
    }
}
