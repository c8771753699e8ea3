//! Kafka keys in Maxwell's two formats (`kafka_key_format`). They have the primary key of the row as it is now (of a
//! deleted row, as it was), with values as they stand in `data`. The key that a row had before an update can be had too:
//! in a compacted topic it needs a tombstone, if it is another ([`is_changed`]).

use headwater_core::batch::{ChangeKind, Image, Row};
use headwater_core::value::Cell;

use super::value;
use crate::escape;

/// The format of keys (`kafka_key_format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyFormat {
    /// A JSON object ([`push_hash`]).
    #[default]
    Hash,
    /// A JSON array ([`push_array`]).
    Array,
}

/// Which of a row's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The one it has now; of a deleted row, the one it had.
    Row,
    /// The one it had before.
    Before,
}

/// Appends the key of `row` in a format.
pub fn push(
    out: &mut Vec<u8>,
    row: Row<'_>,
    format: KeyFormat,
    of: Of,
    random: impl FnOnce() -> u128,
) {
    match format {
        KeyFormat::Hash => push_hash_of(out, row, of, random),
        KeyFormat::Array => push_array_of(out, row, of, random),
    }
}

/// Whether `row` is an update that gave it another primary key.
#[must_use]
pub fn is_changed(row: Row<'_>) -> bool {
    let (Some(before), Some(after)) = (row.before(), row.after()) else {
        return false;
    };
    let mut key = row.schema().primary_key.iter();
    key.any(|&index| {
        // A partial after-image has no columns but those that changed.
        !matches!(after.cell(index), Cell::Absent) && !after.same_cell(&before, index)
    })
}

/// Appends `{"database":"shop","table":"orders","pk.id":1,"pk.part2":"x"}`, names of key columns in lower case. Without
/// a primary key, and for the end of a bootstrap, a random `_uuid` stands in its place; for TRUNCATE and DDL it is the
/// whole key, without quotes. `random` gives its 128 bits.
pub fn push_hash(out: &mut Vec<u8>, row: Row<'_>, random: impl FnOnce() -> u128) {
    push_hash_of(out, row, Of::Row, random);
}

fn push_hash_of(out: &mut Vec<u8>, row: Row<'_>, of: Of, random: impl FnOnce() -> u128) {
    if has_no_table_key(row.kind()) {
        push_uuid(out, random());
        return;
    }
    let schema = row.schema();
    out.extend_from_slice(b"{\"database\":");
    escape::push_string(out, &schema.name.database);
    out.extend_from_slice(b",\"table\":");
    escape::push_string(out, &schema.name.table);
    if schema.primary_key.is_empty() || row.kind() == ChangeKind::BootstrapComplete {
        out.extend_from_slice(b",\"_uuid\":\"");
        push_uuid(out, random());
        out.push(b'"');
    } else {
        for_each_key_cell(row, of, |name, cell| {
            out.extend_from_slice(b",\"pk.");
            push_name(out, name);
            out.extend_from_slice(b"\":");
            value::push(out, &cell);
        });
    }
    out.push(b'}');
}

/// Appends `["shop","orders",[{"id":1},{"part2":"x"}]]`, with an empty list where there is no primary key; for TRUNCATE
/// and DDL a random UUID without quotes, of which `random` gives the 128 bits.
pub fn push_array(out: &mut Vec<u8>, row: Row<'_>, random: impl FnOnce() -> u128) {
    push_array_of(out, row, Of::Row, random);
}

fn push_array_of(out: &mut Vec<u8>, row: Row<'_>, of: Of, random: impl FnOnce() -> u128) {
    if has_no_table_key(row.kind()) {
        push_uuid(out, random());
        return;
    }
    let schema = row.schema();
    out.push(b'[');
    escape::push_string(out, &schema.name.database);
    out.push(b',');
    escape::push_string(out, &schema.name.table);
    out.extend_from_slice(b",[");
    if row.kind() != ChangeKind::BootstrapComplete {
        let mut is_first = true;
        for_each_key_cell(row, of, |name, cell| {
            out.extend_from_slice(if is_first { b"{\"" } else { b",{\"" });
            is_first = false;
            push_name(out, name);
            out.extend_from_slice(b"\":");
            value::push(out, &cell);
            out.push(b'}');
        });
    }
    out.extend_from_slice(b"]]");
}

fn has_no_table_key(kind: ChangeKind) -> bool {
    matches!(kind, ChangeKind::Truncate | ChangeKind::Ddl)
}

/// Calls `each` with the name and the value of every key column. A column that a partial after-image lacks is
/// unchanged, so its value is taken from before; without images it is null.
pub(super) fn for_each_key_cell<'a>(row: Row<'a>, of: Of, mut each: impl FnMut(&str, Cell<'a>)) {
    let before = row.before();
    let after = match of {
        Of::Row => row.after(),
        Of::Before => None,
    };
    let cell = |image: &Option<Image<'a>>, index| {
        image
            .as_ref()
            .map_or(Cell::Absent, |image| image.cell(index))
    };
    for &index in &row.schema().primary_key {
        let Some(column) = row.schema().columns.get(index) else {
            continue;
        };
        let value = match cell(&after, index) {
            Cell::Absent => cell(&before, index),
            present => present,
        };
        each(&column.name, value);
    }
}

/// Appends a column's name in lower case.
fn push_name(out: &mut Vec<u8>, name: &str) {
    let mut place = [0; 4];
    for lower in name.chars().flat_map(char::to_lowercase) {
        escape::push_escaped(out, lower.encode_utf8(&mut place));
    }
}

/// Appends 128 random bits as a UUID of version 4 (RFC 9562, section 5.4).
fn push_uuid(out: &mut Vec<u8>, random: u128) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let versioned = random & !(0xf << 76) | 0x4 << 76;
    let uuid = versioned & !(0x3 << 62) | 0x2 << 62;
    for (index, byte) in uuid.to_be_bytes().into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
    }
}
