//! Which partition of a topic a row goes to, as Maxwell has it: a text made of the row (`producer_partition_by`), hashed
//! (`kafka_partition_hash`), modulo the number of partitions.

use headwater_core::batch::{ChangeKind, Row};
use headwater_core::value::Cell;

use super::key::{Of, for_each_key_cell};
use super::value;
use crate::append;

/// What rows must have in common to go to the same partition (`producer_partition_by`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PartitionBy {
    /// The database.
    #[default]
    Database,
    /// The table's name, without its database.
    Table,
    /// The values of the primary key; without one, database and table.
    PrimaryKey,
    /// The transaction.
    TransactionId,
    /// The connection that executed the transaction.
    ThreadId,
    /// The values of these columns; where a row has none of them, something else.
    Columns {
        /// Their names (`producer_partition_columns`).
        names: Vec<String>,
        /// What else (`producer_partition_by_fallback`).
        fallback: Fallback,
    },
    /// Nothing: any partition will do.
    Random,
}

/// What goes by when a row has none of the columns (`producer_partition_by_fallback`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The database.
    Database,
    /// The table's name.
    Table,
    /// The values of the primary key.
    PrimaryKey,
    /// The transaction.
    TransactionId,
}

/// The hash function (`kafka_partition_hash`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hash {
    /// Java's `String.hashCode`.
    #[default]
    Default,
    /// MurmurHash3, x86, 32 bits, seed 25342, over the UTF-8 bytes.
    Murmur3,
}

const MURMUR3_SEED: u32 = 25_342;

impl Hash {
    /// The hash of a text.
    #[must_use]
    pub fn of(self, text: &[u8]) -> i32 {
        match self {
            Self::Default => java_hash(text),
            Self::Murmur3 => murmur3(text, MURMUR3_SEED).cast_signed(),
        }
    }
}

/// The partition of a hash: the remainder first, then its absolute value, as `Math.abs(hash % count)`.
#[must_use]
pub fn partition(hash: i32, count: i32) -> i32 {
    hash.checked_rem(count).map_or(0, i32::abs)
}

impl PartitionBy {
    /// Appends the text that is hashed for `row`. Of a row's old key (`Of::Before`) it is made of the row as it was, so that
    /// it leads to where the row's earlier events are.
    pub fn push_text(
        &self,
        out: &mut Vec<u8>,
        row: Row<'_>,
        of: Of,
        random: impl FnOnce() -> u128,
    ) {
        if matches!(row.kind(), ChangeKind::Ddl | ChangeKind::Truncate) && *self != Self::Table {
            return push_database(out, row);
        }
        match self {
            Self::Database => push_database(out, row),
            Self::Table => push_table(out, row),
            Self::PrimaryKey => push_primary_key(out, row, of),
            Self::TransactionId => push_transaction(out, row),
            Self::ThreadId => {
                let thread = row.transaction().and_then(|known| known.thread_id);
                push_number(out, thread.map(u64::from));
            }
            Self::Columns { names, fallback } => {
                let start = out.len();
                push_columns(out, row, of, names);
                if out.len() > start {
                    return;
                }
                match fallback {
                    Fallback::Database => push_database(out, row),
                    Fallback::Table => push_table(out, row),
                    Fallback::PrimaryKey => push_primary_key(out, row, of),
                    Fallback::TransactionId => push_transaction(out, row),
                }
            }
            Self::Random => {
                let mut rest = random();
                for _ in 0..10 {
                    let letter = u8::try_from(rest % 26).unwrap_or(0);
                    out.push(b'a' + letter);
                    rest /= 26;
                }
            }
        }
    }
}

fn push_database(out: &mut Vec<u8>, row: Row<'_>) {
    out.extend_from_slice(row.schema().name.database.as_bytes());
}

fn push_table(out: &mut Vec<u8>, row: Row<'_>) {
    if row.schema().name.table.is_empty() {
        // A change of a database's definition.
        return push_database(out, row);
    }
    out.extend_from_slice(row.schema().name.table.as_bytes());
}

fn push_transaction(out: &mut Vec<u8>, row: Row<'_>) {
    push_number(out, row.transaction().and_then(|known| known.xid));
}

fn push_number(out: &mut Vec<u8>, number: Option<u64>) {
    match number {
        Some(number) => append::push_uint(out, number),
        None => out.extend_from_slice(b"null"),
    }
}

fn push_primary_key(out: &mut Vec<u8>, row: Row<'_>, of: Of) {
    if row.schema().primary_key.is_empty() {
        push_database(out, row);
        return push_table(out, row);
    }
    let start = out.len();
    for_each_key_cell(row, of, |_, cell| push_java_text(out, &cell));
    if out.len() == start {
        out.extend_from_slice(b"None");
    }
}

fn push_columns(out: &mut Vec<u8>, row: Row<'_>, of: Of, names: &[String]) {
    let image = match of {
        Of::Row => row.after().or_else(|| row.before()),
        Of::Before => row.before(),
    };
    let Some(image) = image else { return };
    for name in names {
        let columns = &row.schema().columns;
        let Some(index) = columns.iter().position(|column| *column.name == **name) else {
            continue;
        };
        push_java_text(out, &image.cell(index));
    }
}

/// Appends what Java's `toString` gives for the value that stands in `data`: texts without quotes and escapes, lists as
/// `[a, b]`. NULL gives nothing.
pub fn push_java_text(out: &mut Vec<u8>, cell: &Cell<'_>) {
    match cell {
        Cell::Absent | Cell::Null => {}
        Cell::Text(text) => out.extend_from_slice(text.as_bytes()),
        Cell::Set(labels) => {
            out.push(b'[');
            for (index, label) in labels.split(',').enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(label.as_bytes());
            }
            out.push(b']');
        }
        Cell::Int(_)
        | Cell::UInt(_)
        | Cell::Float(_)
        | Cell::Double(_)
        | Cell::Decimal(_)
        | Cell::Bytes(_)
        | Cell::Date(_)
        | Cell::Time(_)
        | Cell::DateTime(_)
        | Cell::Timestamp(_)
        | Cell::Json(_)
        | Cell::Geometry(_)
        | Cell::Vector(_) => {
            // None of these has anything to escape within its quotes.
            let start = out.len();
            value::push(out, cell);
            if out.get(start) == Some(&b'"') {
                out.remove(start);
                out.pop();
            }
        }
    }
}

/// `java.lang.String.hashCode` of a text in UTF-8: 31-based over its UTF-16 units, modulo 2^32.
fn java_hash(text: &[u8]) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    if text.is_ascii() {
        return text
            .iter()
            .fold(0, |hash, &byte| step(hash, u16::from(byte)));
    }
    String::from_utf8_lossy(text).encode_utf16().fold(0, step)
}

/// MurmurHash3_x86_32 (Austin Appleby, public domain).
fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    fn mix(block: u32) -> u32 {
        block
            .wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    }
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = seed;
    for block in blocks {
        hash ^= mix(u32::from_le_bytes(*block));
        hash = hash
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    let mut last = [0; 4];
    for (place, byte) in last.iter_mut().zip(tail) {
        *place = *byte;
    }
    // A length beyond 4 GiB is no record's.
    hash ^= mix(u32::from_le_bytes(last)) ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, `String.hashCode`, murmur3 with Maxwell's seed, and both as one of seven partitions: all from Java.
    const FROM_JAVA: [(&str, i32, i32, i32, i32); 13] = [
        ("", 0, 213229777, 0, 5),
        ("shop", 3529462, 226172948, 6, 1),
        ("orders", -1008770331, 190045300, 2, 4),
        ("shoporders", -335106725, 1928921033, 2, 4),
        ("None", 2433880, -1571757336, 1, 2),
        ("1", 49, -1155099792, 0, 0),
        ("7abc", 1734859, 160016020, 0, 3),
        ("812", 55385, 1204416906, 1, 0),
        ("null", 3392903, 732941368, 3, 5),
        ("Žluťoučký kůň", 217635678, 661662191, 1, 1),
        ("😀 smile", -1559691765, -2076794812, 2, 1),
        ("polygenelubricants", -2147483648, 65225368, 2, 5),
        ("[a, b]2020-01-01 10:00:003.50", 411795204, 106897942, 2, 4),
    ];

    #[test]
    fn hashes_and_partitions_are_java_s() {
        for (text, hash, murmur, of_hash, of_murmur) in FROM_JAVA {
            let bytes = text.as_bytes();
            assert_eq!(Hash::Default.of(bytes), hash, "{text}");
            assert_eq!(Hash::Murmur3.of(bytes), murmur, "{text}");
            assert_eq!(partition(hash, 7), of_hash, "{text}");
            assert_eq!(partition(murmur, 7), of_murmur, "{text}");
        }
    }

    #[test]
    fn the_absolute_value_is_taken_after_the_remainder() {
        // abs(-2147483648) would still be negative.
        assert_eq!(Hash::Default.of(b"polygenelubricants"), i32::MIN);
        assert_eq!(partition(i32::MIN, 3), 2);
        assert_eq!(partition(i32::MIN, 1), 0);
        assert_eq!(partition(5, 0), 0);
    }

    #[test]
    fn murmur3_has_the_reference_s_values() {
        assert_eq!(murmur3(b"", 0), 0);
        assert_eq!(murmur3(b"", 1), 0x514e_28b7);
        assert_eq!(murmur3(b"hello, world", 0), 0x149b_bb7f);
        let fox = b"The quick brown fox jumps over the lazy dog";
        assert_eq!(murmur3(fox, 0x9747_b28c), 0x2fa8_26cd);
    }
}
