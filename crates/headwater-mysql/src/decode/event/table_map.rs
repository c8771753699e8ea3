//! TABLE_MAP events: which table a number stands for, and how its columns are laid out in the rows that follow.
//! Source: the class comment of `Table_map_event` in the server's `libs/mysql/binlog/event/rows_event.h`.

use headwater_core::Result;

use super::wire_type as ty;
use crate::decode::malformed;
use crate::decode::reader::Reader;

/// A table map. Borrowed; its optional part is parsed by [`TableMap::optional`] only.
#[derive(Debug, Clone, Copy)]
pub struct TableMap<'a> {
    /// The number that row events name the table by, until the end of the statement.
    pub table_id: u64,
    /// Flags of the event.
    pub flags: u16,
    /// The database.
    pub database: &'a str,
    /// The table.
    pub table: &'a str,
    /// One type for each column.
    pub types: &'a [u8],
    /// The types' metadata, one after another.
    pub metadata: &'a [u8],
    /// One bit for each column: whether it can be NULL.
    pub nullable: &'a [u8],
    /// The optional metadata (`binlog_row_metadata`), unparsed.
    pub optional: &'a [u8],
}

/// How a column is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireColumn {
    /// Its type; of ENUM and SET the real one.
    pub wire_type: u8,
    /// By type. Strings: most bytes. Blobs, JSON, geometry, vector: bytes of the length. ENUM, SET: bytes of the value.
    /// DECIMAL: precision × 256 + scale. BIT: bits. Times with a fraction: digits.
    pub parameter: u16,
    /// Whether it can be NULL.
    pub nullable: bool,
}

impl<'a> TableMap<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let table_id = reader.uint(6)?;
        let flags = reader.u16()?;
        let database = name(&mut reader)?;
        let table = name(&mut reader)?;
        let columns = usize::try_from(reader.lenenc()?).unwrap_or(usize::MAX);
        let types = reader.take(columns)?;
        let metadata = reader.lenenc_bytes()?;
        let nullable = reader.take(columns.div_ceil(8))?;
        let optional = reader.rest();
        Ok(Self {
            table_id,
            flags,
            database,
            table,
            types,
            metadata,
            nullable,
            optional,
        })
    }

    /// The number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether the table has no column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The columns' layouts.
    ///
    /// # Errors
    /// `Malformed` if the metadata does not fit the types.
    pub fn columns(&self) -> Result<Vec<WireColumn>> {
        let mut reader = Reader::new(self.metadata);
        let mut columns = Vec::with_capacity(self.types.len());
        for (index, &wire_type) in self.types.iter().enumerate() {
            let mut column = WireColumn {
                wire_type,
                parameter: 0,
                nullable: bit(self.nullable, index),
            };
            match wire_type {
                ty::FLOAT
                | ty::DOUBLE
                | ty::TIMESTAMP2
                | ty::DATETIME2
                | ty::TIME2
                | ty::BLOB_COMPRESSED
                | ty::VECTOR
                | ty::JSON
                | ty::TINY_BLOB
                | ty::MEDIUM_BLOB
                | ty::LONG_BLOB
                | ty::BLOB
                | ty::GEOMETRY => column.parameter = u16::from(reader.u8()?),
                ty::VARCHAR | ty::VAR_STRING | ty::VARCHAR_COMPRESSED => {
                    column.parameter = reader.u16()?
                }
                ty::NEWDECIMAL => column.parameter = reader.u16_be()?,
                ty::BIT => {
                    let [bits, bytes] = reader.array()?;
                    column.parameter = u16::from(bytes) * 8 + u16::from(bits);
                }
                ty::STRING | ty::ENUM | ty::SET => {
                    let [real, length] = reader.array()?;
                    (column.wire_type, column.parameter) = string_layout(real, length);
                }
                ty::TYPED_ARRAY => return Err(malformed("a table map has an array column")),
                _ => {}
            }
            columns.push(column);
        }
        if !reader.is_empty() {
            return Err(malformed(
                "a table map's metadata is longer than its types tell",
            ));
        }
        Ok(columns)
    }

    /// The optional metadata.
    ///
    /// # Errors
    /// `Malformed` if it is torn.
    pub fn optional(&self) -> Result<OptionalMetadata<'a>> {
        OptionalMetadata::parse(self.optional)
    }
}

/// CHAR, BINARY, ENUM and SET share a type; lengths beyond 255 borrow two bits of the real type's byte.
fn string_layout(real: u8, length: u8) -> (u8, u16) {
    match real {
        ty::ENUM | ty::SET => (real, u16::from(length)),
        _ => (
            ty::STRING,
            u16::from(length) | u16::from((real & 0x30) ^ 0x30) << 4,
        ),
    }
}

fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str> {
    let length = reader.lenenc()?;
    let bytes = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    reader.u8()?;
    std::str::from_utf8(bytes).map_err(|_| malformed("a table map's name is no UTF-8"))
}

/// The bit at `index`, lowest first.
#[inline]
pub(crate) fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// The optional metadata's fields, as they stand in the event. Numbers of columns and order are the event's.
#[derive(Debug, Clone, Copy, Default)]
pub struct OptionalMetadata<'a> {
    /// One bit (highest first) for each numeric column: unsigned.
    pub signedness: Option<&'a [u8]>,
    /// Default collation of character columns, then pairs of a column's place among them and its collation.
    pub default_charset: Option<&'a [u8]>,
    /// The collation of each character column.
    pub column_charset: Option<&'a [u8]>,
    /// The names.
    pub column_names: Option<&'a [u8]>,
    /// The labels of each SET column.
    pub set_labels: Option<&'a [u8]>,
    /// The labels of each ENUM column.
    pub enum_labels: Option<&'a [u8]>,
    /// The kind of each geometry column.
    pub geometry_types: Option<&'a [u8]>,
    /// The primary key's columns.
    pub primary_key: Option<&'a [u8]>,
    /// The primary key's columns, each with the length of its prefix (0: whole).
    pub primary_key_prefixes: Option<&'a [u8]>,
    /// As `default_charset`, for ENUM and SET columns.
    pub label_default_charset: Option<&'a [u8]>,
    /// As `column_charset`, for ENUM and SET columns.
    pub label_column_charset: Option<&'a [u8]>,
    /// One bit (highest first) for each column: visible.
    pub visibility: Option<&'a [u8]>,
}

impl<'a> OptionalMetadata<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let mut all = Self::default();
        while !reader.is_empty() {
            let kind = reader.u8()?;
            let value = Some(reader.lenenc_bytes()?);
            match kind {
                1 => all.signedness = value,
                2 => all.default_charset = value,
                3 => all.column_charset = value,
                4 => all.column_names = value,
                5 => all.set_labels = value,
                6 => all.enum_labels = value,
                7 => all.geometry_types = value,
                8 => all.primary_key = value,
                9 => all.primary_key_prefixes = value,
                10 => all.label_default_charset = value,
                11 => all.label_column_charset = value,
                12 => all.visibility = value,
                // 13 is the dimension of vectors; others are yet to come.
                _ => {}
            }
        }
        Ok(all)
    }

    /// Whether each of the columns is unsigned; false for those without a sign.
    #[must_use]
    pub fn unsigned(&self, columns: &[WireColumn]) -> Option<Vec<bool>> {
        let bits = self.signedness?;
        let mut next = 0;
        let mut one = |column: &WireColumn| {
            let numeric = is_numeric(column.wire_type);
            let unsigned = numeric && bit_from_high(bits, next);
            next += usize::from(numeric);
            unsigned
        };
        Some(columns.iter().map(&mut one).collect())
    }

    /// The collation of each column, where it is text (or bytes: 63), ENUM or SET.
    ///
    /// # Errors
    /// `Malformed` if it is torn.
    pub fn collations(&self, columns: &[WireColumn]) -> Result<Vec<Option<u16>>> {
        let mut found = vec![None; columns.len()];
        let kinds = [
            (false, self.default_charset, self.column_charset),
            (true, self.label_default_charset, self.label_column_charset),
        ];
        for (labelled, default, each) in kinds {
            let belongs = |wire_type| {
                if labelled {
                    is_labelled(wire_type)
                } else {
                    is_character(wire_type)
                }
            };
            let places = columns
                .iter()
                .zip(&mut found)
                .filter(|(column, _)| belongs(column.wire_type));
            let mut places: Vec<_> = places.map(|(_, slot)| slot).collect();
            if let Some(bytes) = each {
                let mut reader = Reader::new(bytes);
                for slot in places {
                    *slot = collation(&mut reader)?;
                }
            } else if let Some(bytes) = default {
                let mut reader = Reader::new(bytes);
                let default = collation(&mut reader)?;
                places.iter_mut().for_each(|slot| **slot = default);
                while !reader.is_empty() {
                    let place = usize::try_from(reader.lenenc()?).unwrap_or(usize::MAX);
                    let one = collation(&mut reader)?;
                    if let Some(slot) = places.get_mut(place) {
                        **slot = one;
                    }
                }
            }
        }
        Ok(found)
    }

    /// The columns' names.
    ///
    /// # Errors
    /// `Malformed` if they are torn or no UTF-8.
    pub fn names(&self) -> Result<Option<Vec<&'a str>>> {
        let Some(bytes) = self.column_names else {
            return Ok(None);
        };
        let mut reader = Reader::new(bytes);
        let mut names = Vec::new();
        while !reader.is_empty() {
            let name = std::str::from_utf8(reader.lenenc_bytes()?);
            names.push(name.map_err(|_| malformed("a column's name is no UTF-8"))?);
        }
        Ok(Some(names))
    }

    /// The primary key's columns, and whether one is only covered by a prefix; none without a key.
    ///
    /// # Errors
    /// `Malformed` if they are torn.
    pub fn key(&self) -> Result<(Vec<usize>, bool)> {
        let mut columns = Vec::new();
        let mut prefix = false;
        if let Some(bytes) = self.primary_key {
            let mut reader = Reader::new(bytes);
            while !reader.is_empty() {
                columns.push(usize::try_from(reader.lenenc()?).unwrap_or(usize::MAX));
            }
        } else if let Some(bytes) = self.primary_key_prefixes {
            let mut reader = Reader::new(bytes);
            while !reader.is_empty() {
                columns.push(usize::try_from(reader.lenenc()?).unwrap_or(usize::MAX));
                prefix |= reader.lenenc()? > 0;
            }
        }
        Ok((columns, prefix))
    }
}

fn collation(reader: &mut Reader<'_>) -> Result<Option<u16>> {
    Ok(u16::try_from(reader.lenenc()?).ok())
}

/// The bit at `index`, highest first.
pub(crate) fn bit_from_high(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8)
        .is_some_and(|byte| byte << (index % 8) & 0x80 != 0)
}

/// Types that have a bit of signedness: YEAR too, on MySQL and MariaDB alike.
fn is_numeric(wire_type: u8) -> bool {
    matches!(
        wire_type,
        ty::TINY
            | ty::SHORT
            | ty::INT24
            | ty::LONG
            | ty::LONGLONG
            | ty::NEWDECIMAL
            | ty::FLOAT
            | ty::DOUBLE
            | ty::YEAR
    )
}

fn is_character(wire_type: u8) -> bool {
    matches!(
        wire_type,
        ty::STRING
            | ty::VAR_STRING
            | ty::VARCHAR
            | ty::BLOB
            | ty::BLOB_COMPRESSED
            | ty::VARCHAR_COMPRESSED
    )
}

fn is_labelled(wire_type: u8) -> bool {
    matches!(wire_type, ty::ENUM | ty::SET)
}
