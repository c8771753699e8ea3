//! The pieces that packets are made of (MySQL internals manual, "Protocol Basics"): integers, length-encoded
//! integers and strings, and the generic answers OK, EOF and ERR.

use headwater_core::{Error, ErrorKind, Result};

use crate::error::ServerError;

/// The payload of a packet whose continuation follows: all ones.
pub(crate) const MAX_FRAGMENT_BYTES: usize = 0xFF_FFFF;
/// Bytes of the header before each fragment: three of length, one of sequence.
pub(crate) const HEADER_BYTES: usize = 4;

/// Another result follows this one.
pub(crate) const SERVER_MORE_RESULTS_EXISTS: u16 = 0x0008;

/// A packet that is shorter than it says, or is none that was expected.
pub(crate) fn malformed(what: &'static str) -> Error {
    Error::new(ErrorKind::Malformed, what)
        .during("reading the server's answer")
        .hint("is this a MySQL or MariaDB server, and nothing between that changes bytes?")
}

/// A reading position in a packet. Every getter fails, rather than panics, on a packet that is too short.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| malformed("a packet ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| malformed("a packet ends early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A length-encoded integer: one byte up to 250, else a marker (0xFC, 0xFD, 0xFE) and 2, 3 or 8 bytes.
    pub(crate) fn lenenc(&mut self) -> Result<u64> {
        match self.u8()? {
            small @ 0..=0xFA => Ok(u64::from(small)),
            0xFC => Ok(u64::from(self.u16()?)),
            0xFD => {
                let [a, b, c] = self.array()?;
                Ok(u64::from(u32::from_le_bytes([a, b, c, 0])))
            }
            0xFE => Ok(u64::from_le_bytes(self.array()?)),
            0xFB | 0xFF => Err(malformed(
                "a length-encoded integer begins with 0xFB or 0xFF",
            )),
        }
    }

    /// A length-encoded string.
    pub(crate) fn lenenc_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.lenenc()?;
        self.bytes(usize::try_from(length).map_err(|_| malformed("a packet ends early"))?)
    }

    /// A cell of a text row: a length-encoded string, or NULL (0xFB).
    pub(crate) fn cell(&mut self) -> Result<Option<&'a [u8]>> {
        if self.rest.first() == Some(&0xFB) {
            self.u8()?;
            return Ok(None);
        }
        self.lenenc_bytes().map(Some)
    }

    /// A string up to a zero byte, which is skipped; up to the packet's end if there is none.
    pub(crate) fn until_zero(&mut self) -> &'a [u8] {
        if let Some(at) = self.rest.iter().position(|byte| *byte == 0) {
            let (taken, rest) = self.rest.split_at(at);
            self.rest = rest.get(1..).unwrap_or_default();
            taken
        } else {
            std::mem::take(&mut self.rest)
        }
    }
}

/// Appends a length-encoded integer.
pub(crate) fn put_lenenc(into: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    let (marker, count) = match value {
        0..=0xFA => (None, 1),
        0xFB..=0xFFFF => (Some(0xFC), 2),
        0x1_0000..=0xFF_FFFF => (Some(0xFD), 3),
        _ => (Some(0xFE), 8),
    };
    into.extend(marker);
    into.extend(bytes.iter().take(count));
}

/// Appends a length-encoded string.
pub(crate) fn put_lenenc_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// What a statement without rows did, or how a result ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OkInfo {
    /// Rows changed.
    pub affected_rows: u64,
    /// The first key made by AUTO_INCREMENT, or 0.
    pub last_insert_id: u64,
    /// Warnings that `SHOW WARNINGS` would list.
    pub warnings: u16,
    /// The server's status flags (`SERVER_STATUS_…`).
    pub status: u16,
}

impl OkInfo {
    pub(crate) fn more_results(self) -> bool {
        self.status & SERVER_MORE_RESULTS_EXISTS != 0
    }
}

/// Reads an OK packet, or an OK packet in the place of EOF (0xFE), whose shape is the same.
pub(crate) fn parse_ok(payload: &[u8]) -> Result<OkInfo> {
    let mut cursor = Cursor::new(payload);
    cursor.u8()?;
    let affected_rows = cursor.lenenc()?;
    let last_insert_id = cursor.lenenc()?;
    let status = cursor.u16()?;
    let warnings = cursor.u16()?;
    Ok(OkInfo {
        affected_rows,
        last_insert_id,
        warnings,
        status,
    })
}

/// Reads the end of a result: an EOF packet (0xFE, warnings, status), or an OK packet in its place.
pub(crate) fn parse_end(payload: &[u8]) -> Result<OkInfo> {
    if payload.len() >= 7 {
        return parse_ok(payload);
    }
    let mut cursor = Cursor::new(payload);
    cursor.u8()?;
    let (warnings, status) = if cursor.is_empty() {
        (0, 0)
    } else {
        (cursor.u16()?, cursor.u16()?)
    };
    Ok(OkInfo {
        warnings,
        status,
        ..OkInfo::default()
    })
}

/// Whether a packet at a row's place ends the result. A row can begin with 0xFE only if it is 16 MiB or longer.
pub(crate) fn is_end(payload: &[u8]) -> bool {
    payload.first() == Some(&0xFE) && payload.len() < MAX_FRAGMENT_BYTES
}

/// Reads an ERR packet. Before the handshake is over it has no SQLSTATE.
pub(crate) fn parse_err(payload: &[u8]) -> Result<ServerError> {
    let mut cursor = Cursor::new(payload);
    cursor.u8()?;
    let code = cursor.u16()?;
    let mut sql_state = *b"HY000";
    if cursor.rest().first() == Some(&b'#') {
        cursor.u8()?;
        sql_state = cursor.array()?;
    }
    Ok(ServerError::new(
        code,
        sql_state,
        &String::from_utf8_lossy(cursor.rest()),
    ))
}

/// A column of a result, as the server describes it (`Protocol::ColumnDefinition41`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// The table's database.
    pub schema: String,
    /// The table, or its alias in the statement.
    pub table: String,
    /// The column, or its alias in the statement.
    pub name: String,
    /// The column's own name; empty for an expression.
    pub org_name: String,
    /// The collation's number; 63 is binary. A property of what the server sends, not of the column.
    pub collation: u16,
    /// The most bytes a value can have, in the result's character set.
    pub length: u32,
    /// The type on the wire (`MYSQL_TYPE_…`).
    pub column_type: u8,
    /// Flags (`NOT_NULL_FLAG` 1, `UNSIGNED_FLAG` 32, …).
    pub flags: u16,
    /// Digits after the point; 31 where there is no fixed number.
    pub decimals: u8,
}

impl ColumnDefinition {
    /// Whether the column is unsigned.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        self.flags & 0x20 != 0
    }
}

pub(crate) fn parse_column(payload: &[u8]) -> Result<ColumnDefinition> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut cursor = Cursor::new(payload);
    cursor.lenenc_bytes()?; // the catalog, always "def"
    let schema = text(cursor.lenenc_bytes()?);
    let table = text(cursor.lenenc_bytes()?);
    cursor.lenenc_bytes()?; // the table's own name
    let name = text(cursor.lenenc_bytes()?);
    let org_name = text(cursor.lenenc_bytes()?);
    let mut fixed = Cursor::new(cursor.lenenc_bytes()?);
    Ok(ColumnDefinition {
        schema,
        table,
        name,
        org_name,
        collation: fixed.u16()?,
        length: fixed.u32()?,
        column_type: fixed.u8()?,
        flags: fixed.u16()?,
        decimals: fixed.u8()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_length_encoded_integer_reads_back_as_written(value: u64, shift in 0..64u32, tail: Vec<u8>) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_lenenc(&mut bytes, value);
            bytes.extend_from_slice(&tail);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.lenenc().unwrap(), value);
            prop_assert_eq!(cursor.rest(), &tail[..]);
        }

        #[test]
        fn a_cell_reads_back_as_written(cells: Vec<Option<Vec<u8>>>) {
            let mut bytes = Vec::new();
            for cell in &cells {
                match cell {
                    Some(cell) => put_lenenc_bytes(&mut bytes, cell),
                    None => bytes.push(0xFB),
                }
            }
            let mut cursor = Cursor::new(&bytes);
            for cell in &cells {
                prop_assert_eq!(cursor.cell().unwrap(), cell.as_deref());
            }
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn no_bytes_make_a_parser_panic(bytes: Vec<u8>) {
            _ = parse_ok(&bytes);
            _ = parse_end(&bytes);
            _ = parse_err(&bytes);
            _ = parse_column(&bytes);
            let mut cursor = Cursor::new(&bytes);
            while cursor.cell().is_ok() && !cursor.is_empty() {}
        }
    }
}
