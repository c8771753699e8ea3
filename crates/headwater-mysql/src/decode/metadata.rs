//! A table map with FULL metadata (`binlog_row_metadata=FULL`), as a definition.
//!
//! The log does not tell everything. MariaDB's UUID, INET6 and INET4 stand there as BINARY(16) and BINARY(4), its JSON
//! as LONGTEXT, its VECTOR as VARBINARY, and its own temporal layouts without their digits; unique keys and generated
//! columns are not there at all. [`refine`] takes those from a known definition of the same columns.

use std::sync::Arc;

use headwater_core::schema::TableName;
use headwater_core::{Error, ErrorKind, Result};

use super::event::table_map::{OptionalMetadata, WireColumn, bit_from_high};
use super::event::{TableMap, wire_type as ty};
use super::malformed;
use super::reader::Reader;
use super::result_row::BINARY_COLLATION;
use crate::charset::{Charset, collation};
use crate::schema::{ColumnDefinition, ColumnType, Native, TableDefinition};

/// The definition that a table map with FULL metadata tells; `None` if the metadata is not FULL (no column names).
///
/// `charset` of the table is that of its first text column (`utf8mb4` without one): the log does not have the table's
/// own.
///
/// # Errors
/// `Malformed` if the metadata contradicts itself; `Unsupported` for a type that no supported server writes.
pub fn definition(map: &TableMap<'_>) -> Result<Option<TableDefinition>> {
    let wire = map.columns()?;
    let optional = map.optional()?;
    let Some(names) = optional.names()? else {
        return Ok(None);
    };
    if names.len() != wire.len() {
        return Err(malformed(
            "a table map names another number of columns than it has",
        ));
    }
    let unsigned = optional.unsigned(&wire).unwrap_or_default();
    let collations = optional.collations(&wire)?;
    let mut labels = Labels::new(&optional);
    let mut columns = Vec::with_capacity(wire.len());
    for (index, (name, column)) in names.into_iter().zip(&wire).enumerate() {
        let unsigned = unsigned.get(index).copied().unwrap_or(false);
        let collation = collations.get(index).copied().flatten();
        columns.push(ColumnDefinition {
            name: name.into(),
            column_type: column_type(column, unsigned, collation, &mut labels)?,
            nullable: column.nullable,
            generated: false,
            invisible: optional
                .visibility
                .is_some_and(|bits| !bit_from_high(bits, index)),
            native: Native::of_wire(column.wire_type, column.parameter),
        });
    }
    let (primary_key, _) = optional.key()?;
    if primary_key.iter().any(|&column| column >= columns.len()) {
        return Err(malformed(
            "a table map's primary key has a column that the table lacks",
        ));
    }
    let charset = columns.iter().find_map(|column| match &column.column_type {
        ColumnType::Text { charset, .. } => Some(Arc::clone(charset)),
        _ => None,
    });
    Ok(Some(TableDefinition {
        name: TableName::new(map.database, map.table),
        charset: charset.unwrap_or_else(|| "utf8mb4".into()),
        columns,
        primary_key,
        unique_keys: Vec::new(),
        row_end: None,
    }))
}

/// Whether a table map with FULL metadata has other labels of ENUM and SET than `known`, whose columns it has.
///
/// # Errors
/// As [`definition`].
pub fn has_other_labels(map: &TableMap<'_>, known: &TableDefinition) -> Result<bool> {
    let labels = |column: &ColumnDefinition| match &column.column_type {
        ColumnType::Enum { labels } | ColumnType::Set { labels } => Some(Arc::clone(labels)),
        _ => None,
    };
    if known.columns.iter().all(|column| labels(column).is_none()) {
        return Ok(false);
    }
    let Some(logged) = definition(map)? else {
        return Ok(false);
    };
    let mut pairs = logged.columns.iter().zip(&known.columns);
    Ok(pairs.any(|(logged, known)| labels(logged) != labels(known)))
}

/// The labels of ENUM and SET columns, in the order of those columns.
struct Labels<'a> {
    enums: Reader<'a>,
    sets: Reader<'a>,
}

impl<'a> Labels<'a> {
    fn new(optional: &OptionalMetadata<'a>) -> Self {
        Self {
            enums: Reader::new(optional.enum_labels.unwrap_or_default()),
            sets: Reader::new(optional.set_labels.unwrap_or_default()),
        }
    }

    fn read(reader: &mut Reader<'a>, collation: Option<u16>) -> Result<Arc<[Arc<str>]>> {
        let charset = collation
            .and_then(Charset::by_collation_id)
            .unwrap_or(Charset::UTF8MB4);
        let count = reader.lenenc()?;
        let mut labels = Vec::new();
        for _ in 0..count {
            let mut label = String::new();
            charset.decode(reader.lenenc_bytes()?, &mut label);
            labels.push(label.into());
        }
        Ok(labels.into())
    }
}

fn column_type(
    wire: &WireColumn,
    unsigned: bool,
    collation: Option<u16>,
    labels: &mut Labels<'_>,
) -> Result<ColumnType> {
    let integer = |bits| ColumnType::Integer { bits, unsigned };
    let [high, low] = wire.parameter.to_be_bytes();
    Ok(match wire.wire_type {
        ty::TINY => integer(8),
        ty::SHORT => integer(16),
        ty::INT24 => integer(24),
        ty::LONG => integer(32),
        ty::LONGLONG => integer(64),
        ty::FLOAT => ColumnType::Float,
        ty::DOUBLE => ColumnType::Double,
        ty::NEWDECIMAL => ColumnType::Decimal {
            precision: high,
            scale: low,
        },
        ty::BIT => ColumnType::Bit { bits: low },
        ty::YEAR => ColumnType::Year,
        ty::DATE | ty::NEWDATE => ColumnType::Date,
        ty::TIME | ty::TIME2 => ColumnType::Time { digits: low },
        ty::DATETIME | ty::DATETIME2 => ColumnType::DateTime { digits: low },
        ty::TIMESTAMP | ty::TIMESTAMP2 => ColumnType::Timestamp { digits: low },
        ty::ENUM => ColumnType::Enum {
            labels: Labels::read(&mut labels.enums, collation)?,
        },
        ty::SET => ColumnType::Set {
            labels: Labels::read(&mut labels.sets, collation)?,
        },
        ty::JSON => ColumnType::Json,
        ty::GEOMETRY => ColumnType::Geometry,
        ty::VECTOR => ColumnType::Vector,
        ty::STRING if is_bytes(collation) => ColumnType::Binary {
            length: u32::from(wire.parameter),
        },
        ty::STRING
        | ty::VARCHAR
        | ty::VAR_STRING
        | ty::VARCHAR_COMPRESSED
        | ty::BLOB_COMPRESSED
        | ty::TINY_BLOB
        | ty::MEDIUM_BLOB
        | ty::LONG_BLOB
        | ty::BLOB => text(collation),
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the log has a column of an unknown type",
            )
            .with("wire-type", other));
        }
    })
}

fn is_bytes(id: Option<u16>) -> bool {
    id.is_none_or(|id| id == BINARY_COLLATION)
}

fn text(id: Option<u16>) -> ColumnType {
    match id.and_then(collation) {
        Some(found) if !is_bytes(id) => ColumnType::Text {
            charset: found.charset.into(),
            collation: found.name.into(),
        },
        _ => ColumnType::VarBinary,
    }
}

/// Puts into `logged` what the log does not tell, from `known`: a definition of the same table from elsewhere, such as
/// information_schema or an earlier state. It serves if it has the same columns by number and name; per column only if
/// the log's layout does not contradict it. Says whether it served: otherwise a UUID is decoded as sixteen bytes, which
/// a snapshot does not do, so the caller should read the definition anew.
pub fn refine(logged: &mut TableDefinition, known: &TableDefinition) -> bool {
    let same = logged.columns.len() == known.columns.len()
        && logged
            .columns
            .iter()
            .zip(&known.columns)
            .all(|(logged, known)| logged.name == known.name);
    // By its name, wherever it stands: no column becomes that of a row's end later.
    logged.row_end = known.row_end.and_then(|end| {
        let end = known.columns.get(end)?;
        logged
            .columns
            .iter()
            .position(|column| is_version(column) && column.name == end.name)
    });
    if !same {
        return false;
    }
    for (logged, known) in logged.columns.iter_mut().zip(&known.columns) {
        if refines(&logged.column_type, &known.column_type) {
            logged.column_type = known.column_type.clone();
        }
        logged.native = known.native.clone();
        logged.generated = known.generated;
        logged.invisible |= known.invisible;
    }
    logged.charset = Arc::clone(&known.charset);
    logged.unique_keys.clone_from(&known.unique_keys);
    true
}

/// Whether the log's definition of a table can be one with system versioning, which the log does not tell.
#[must_use]
pub fn may_have_versions(logged: &TableDefinition) -> bool {
    logged
        .columns
        .iter()
        .filter(|column| is_version(column))
        .count()
        >= 2
}

/// Whether a column of the log can be a row's start or end.
fn is_version(column: &ColumnDefinition) -> bool {
    // MariaDB's own layout of temporal values does not tell its digits.
    let digits = matches!(column.column_type, ColumnType::Timestamp { digits: 0 | 6 });
    digits && !column.nullable
}

/// Whether a column that the log shows as `logged` can be the more exact `known`.
fn refines(logged: &ColumnType, known: &ColumnType) -> bool {
    match (logged, known) {
        (ColumnType::Binary { length: 16 }, ColumnType::Uuid | ColumnType::Inet6)
        | (ColumnType::Binary { length: 4 }, ColumnType::Inet4)
        | (
            ColumnType::VarBinary | ColumnType::Binary { .. },
            ColumnType::Vector | ColumnType::Unknown { .. },
        )
        | (ColumnType::VarBinary, ColumnType::Geometry) => true,
        (ColumnType::Text { charset, .. }, ColumnType::JsonText) => &**charset == "utf8mb4",
        (ColumnType::Time { digits: 0 }, ColumnType::Time { .. })
        | (ColumnType::DateTime { digits: 0 }, ColumnType::DateTime { .. })
        | (ColumnType::Timestamp { digits: 0 }, ColumnType::Timestamp { .. }) => true,
        _ => false,
    }
}
