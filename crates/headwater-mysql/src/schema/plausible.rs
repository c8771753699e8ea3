//! Whether a definition can be the one that rows were logged by. A table map has types and sizes but no names, so a
//! definition that passes is not proven; one that fails is refuted.

use std::fmt;

use super::definition::{ColumnType, TableDefinition};
use crate::decode::event::{WireColumn, wire_type as ty};

/// Why a definition does not fit a table map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Implausible {
    /// The table map has another number of columns.
    Count {
        /// Columns of the definition.
        defined: usize,
        /// Columns of the table map.
        logged: usize,
    },
    /// A column of the table map has another type, or another size.
    Column {
        /// Its position.
        index: usize,
        /// Its name in the definition.
        name: std::sync::Arc<str>,
        /// Its type in the table map.
        wire_type: u8,
        /// Its parameter in the table map.
        parameter: u16,
    },
}

impl fmt::Display for Implausible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { defined, logged } => {
                write!(
                    f,
                    "the definition has {defined} columns, the log has {logged}"
                )
            }
            Self::Column {
                index,
                name,
                wire_type,
                parameter,
            } => write!(
                f,
                "column {} ({name}) is logged as type {wire_type} with parameter {parameter}",
                index + 1
            ),
        }
    }
}

/// Compares a definition with the columns of a table map.
///
/// # Errors
/// The first thing that does not fit.
pub fn plausible(table: &TableDefinition, logged: &[WireColumn]) -> Result<(), Implausible> {
    if table.columns.len() != logged.len() {
        return Err(Implausible::Count {
            defined: table.columns.len(),
            logged: logged.len(),
        });
    }
    for (index, (column, wire)) in table.columns.iter().zip(logged).enumerate() {
        if !fits(&column.column_type, wire) || column.nullable != wire.nullable {
            return Err(Implausible::Column {
                index,
                name: column.name.clone(),
                wire_type: wire.wire_type,
                parameter: wire.parameter,
            });
        }
    }
    Ok(())
}

fn fits(column_type: &ColumnType, wire: &WireColumn) -> bool {
    let WireColumn {
        wire_type,
        parameter,
        ..
    } = *wire;
    let digits = |old: u8, new: u8, digits: u8| {
        wire_type == old || (wire_type == new && parameter == u16::from(digits))
    };
    match column_type {
        ColumnType::Integer { bits, .. } => {
            let expected = match bits {
                8 => ty::TINY,
                16 => ty::SHORT,
                24 => ty::INT24,
                32 => ty::LONG,
                _ => ty::LONGLONG,
            };
            wire_type == expected
        }
        ColumnType::Bit { bits } => wire_type == ty::BIT && parameter == u16::from(*bits),
        ColumnType::Year => wire_type == ty::YEAR,
        ColumnType::Float => wire_type == ty::FLOAT,
        ColumnType::Double => wire_type == ty::DOUBLE,
        ColumnType::Decimal { precision, scale } => {
            wire_type == ty::NEWDECIMAL
                && parameter == u16::from(*precision) * 256 + u16::from(*scale)
        }
        ColumnType::Date => matches!(wire_type, ty::DATE | ty::NEWDATE),
        ColumnType::Time { digits: n } => digits(ty::TIME, ty::TIME2, *n),
        ColumnType::DateTime { digits: n } => digits(ty::DATETIME, ty::DATETIME2, *n),
        ColumnType::Timestamp { digits: n } => digits(ty::TIMESTAMP, ty::TIMESTAMP2, *n),
        ColumnType::Text { charset, .. } => is_blob(wire_type) || fits_text(charset, wire),
        ColumnType::JsonText => is_blob(wire_type) || is_string(wire_type),
        ColumnType::Binary { length } => wire_type == ty::STRING && u32::from(parameter) == *length,
        ColumnType::VarBinary => is_blob(wire_type) || is_string(wire_type),
        ColumnType::Enum { labels } => {
            wire_type == ty::ENUM && parameter == if labels.len() < 256 { 1 } else { 2 }
        }
        ColumnType::Set { labels } => {
            let bytes = match labels.len().div_ceil(8) {
                bytes @ 0..=4 => bytes.max(1),
                _ => 8,
            };
            wire_type == ty::SET && usize::from(parameter) == bytes
        }
        ColumnType::Json => wire_type == ty::JSON,
        ColumnType::Geometry => wire_type == ty::GEOMETRY || is_blob(wire_type),
        ColumnType::Vector => wire_type == ty::VECTOR || is_string(wire_type) || is_blob(wire_type),
        ColumnType::Uuid | ColumnType::Inet6 => wire_type == ty::STRING && parameter == 16,
        ColumnType::Inet4 => wire_type == ty::STRING && parameter == 4,
        ColumnType::Unknown { .. } => true,
    }
}

fn is_blob(wire_type: u8) -> bool {
    matches!(
        wire_type,
        ty::BLOB | ty::TINY_BLOB | ty::MEDIUM_BLOB | ty::LONG_BLOB | ty::BLOB_COMPRESSED
    )
}

fn is_string(wire_type: u8) -> bool {
    matches!(
        wire_type,
        ty::STRING | ty::VARCHAR | ty::VAR_STRING | ty::VARCHAR_COMPRESSED
    )
}

/// A text's size in the log is in bytes, so it is a multiple of its character set's longest character.
fn fits_text(charset: &str, wire: &WireColumn) -> bool {
    let longest: u16 = match charset {
        "utf8mb4" | "utf16" | "utf16le" | "utf32" | "gb18030" => 4,
        "utf8mb3" | "ujis" | "eucjpms" => 3,
        "ucs2" | "big5" | "cp932" | "gb2312" | "gbk" | "sjis" | "euckr" => 2,
        _ => 1,
    };
    // COMPRESSED adds a byte of header.
    is_string(wire.wire_type)
        && (wire.parameter.is_multiple_of(longest) || wire.wire_type == ty::VARCHAR_COMPRESSED)
}
