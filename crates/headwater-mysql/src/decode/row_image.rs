//! Row images of the log: one row before or after a change, in the layout that the table map tells.
//! Source: the class comment of `Rows_event` in the server's `libs/mysql/binlog/event/rows_event.h`, and the `pack`
//! functions of its `sql/field.cc`.

use std::sync::Arc;

use headwater_core::batch::{Batch, Mark, Written};
use headwater_core::{Error, ErrorKind, Result};

use super::decimal::PackedDecimal;
use super::event::table_map::{WireColumn, bit};
use super::event::{TableMap, wire_type as ty};
use super::plan::Losses;
use super::reader::Reader;
use super::result_row::{BINARY_COLLATION, push_text};
use super::{json, malformed, mariadb, mismatch, temporal};
use crate::charset::Charset;
use crate::schema::{ColumnDefinition, ColumnType, TableDefinition};

/// How to decode the images of one table map.
#[derive(Debug)]
pub struct ImagePlan {
    columns: Vec<Decoder>,
    types: Box<[u8]>,
    metadata: Box<[u8]>,
    optional: Box<[u8]>,
    losses: Losses,
    table: String,
}

#[derive(Debug)]
enum Decoder {
    I8,
    U8,
    I16,
    U16,
    I24,
    U24,
    I32,
    U32,
    I64,
    U64,
    Year,
    Float,
    Double,
    /// Bytes.
    Bit(u8),
    Decimal(PackedDecimal),
    Date,
    Time(u8),
    DateTime(u8),
    Timestamp(u8),
    OldTime,
    OldDateTime,
    OldTimestamp,
    /// MariaDB's own, with `mysql56_temporal_format=OFF`.
    HiresTime(u8),
    HiresDateTime(u8),
    HiresTimestamp(u8),
    /// Bytes of the length; character set.
    Text(u8, Charset),
    /// Bytes of the length; length of the value.
    Binary(u8, u16),
    /// Bytes of the length.
    Bytes(u8),
    CompressedText(u8, Charset),
    CompressedBytes(u8),
    /// Bytes of the value; number of labels; place of the column.
    Enum(u8, u32, u32),
    /// Bytes of the value; labels.
    Set(u8, Arc<[Arc<str>]>),
    /// Bytes of the length.
    Json(u8),
    JsonText(u8, Charset),
    CompressedJsonText(u8, Charset),
    Geometry(u8),
    Vector(u8),
    /// Bytes of the length: MariaDB's UUID.
    Uuid(u8),
    Inet6(u8),
    Inet4(u8),
}

impl ImagePlan {
    pub(super) fn new(
        definition: &TableDefinition,
        map: &TableMap<'_>,
        losses: Losses,
    ) -> Result<Self> {
        Self::bind(definition, map, losses).map_err(|error| {
            error
                .during("reading a table map")
                .with("table", &definition.name)
        })
    }

    fn bind(definition: &TableDefinition, map: &TableMap<'_>, losses: Losses) -> Result<Self> {
        let wire = map.columns()?;
        let optional = map.optional()?;
        if wire.len() != definition.columns.len() {
            return Err(mismatch(
                "the log has another number of columns than the table's definition",
            )
            .with("expected", definition.columns.len())
            .with("found", wire.len()));
        }
        let names = optional.names()?;
        let names = names.iter().flatten();
        if let Some((column, found)) = definition
            .columns
            .iter()
            .zip(names)
            .find(|(column, found)| *column.name != ***found)
        {
            return Err(mismatch(
                "a column of the log has another name than in the table's definition",
            )
            .with("expected", &column.name)
            .with("found", found));
        }
        let unsigned = optional.unsigned(&wire);
        let collations = optional.collations(&wire)?;
        let mut columns = Vec::with_capacity(wire.len());
        for (index, ((column, wire), collation)) in definition
            .columns
            .iter()
            .zip(&wire)
            .zip(collations)
            .enumerate()
        {
            let sign = unsigned.as_ref().and_then(|all| all.get(index)).copied();
            let decoder = Decoder::new(index, column, wire, sign, collation)?;
            columns.push(decoder.ok_or_else(|| {
                mismatch("a column of the log has another type than in the table's definition")
                    .with("column", &column.name)
                    .with("wire-type", wire.wire_type)
            })?);
        }
        Ok(Self {
            columns,
            types: map.types.into(),
            metadata: map.metadata.into(),
            optional: map.optional.into(),
            losses,
            table: definition.name.to_string(),
        })
    }

    /// Whether the plan serves this table map too: one of the same table, with the same columns.
    #[must_use]
    #[inline]
    pub fn fits(&self, map: &TableMap<'_>) -> bool {
        *self.types == *map.types
            && *self.metadata == *map.metadata
            && *self.optional == *map.optional
    }

    /// The number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether the table has no column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Pushes one image: a cell for each column of the table, `Absent` for those that `present` says the image does not
    /// hold.
    ///
    /// # Errors
    /// `Malformed` or `SchemaMismatch` if the bytes do not fit; the batch then is as it was.
    #[inline]
    pub fn decode(
        &self,
        present: &Present<'_>,
        reader: &mut Reader<'_>,
        batch: &mut Batch,
    ) -> Result<Mark> {
        let mark = batch.mark();
        let filled = if present.count == self.columns.len() {
            self.fill_whole(reader, batch)
        } else {
            self.fill_partial(present, reader, batch)
        };
        match filled {
            Ok(()) => Ok(mark),
            Err(error) => {
                batch.rewind(mark);
                Err(error
                    .during("decoding a row of the log")
                    .with("table", &self.table))
            }
        }
    }

    #[inline]
    fn fill_whole(&self, reader: &mut Reader<'_>, batch: &mut Batch) -> Result<()> {
        let nulls = reader.take(self.columns.len().div_ceil(8))?;
        batch.reserve_cells(self.columns.len());
        for (columns, nulls) in self.columns.chunks(8).zip(nulls) {
            let mut nulls = *nulls;
            for column in columns {
                if nulls & 1 == 1 {
                    batch.push_null();
                } else {
                    column.push(reader, batch, &self.losses)?;
                }
                nulls >>= 1;
            }
        }
        Ok(())
    }

    fn fill_partial(
        &self,
        present: &Present<'_>,
        reader: &mut Reader<'_>,
        batch: &mut Batch,
    ) -> Result<()> {
        if present.columns != self.columns.len() {
            return Err(mismatch(
                "a rows event has another number of columns than its table map",
            ));
        }
        let nulls = reader.take(present.count.div_ceil(8))?;
        batch.reserve_cells(self.columns.len());
        let mut place = 0;
        for (index, column) in self.columns.iter().enumerate() {
            if !bit(present.bits, index) {
                batch.push_absent();
                continue;
            }
            if bit(nulls, place) {
                batch.push_null();
            } else {
                column.push(reader, batch, &self.losses)?;
            }
            place += 1;
        }
        Ok(())
    }
}

/// Which columns the images of a rows event hold.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    bits: &'a [u8],
    columns: usize,
    count: usize,
}

impl<'a> Present<'a> {
    /// A bitmap over this many columns, lowest bit first.
    #[must_use]
    pub fn new(bits: &'a [u8], columns: usize) -> Self {
        let count = (0..columns).filter(|&index| bit(bits, index)).count();
        Self {
            bits,
            columns,
            count,
        }
    }

    /// How many columns the images hold.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the images hold this column.
    #[must_use]
    pub fn has(&self, column: usize) -> bool {
        bit(self.bits, column)
    }

    /// Whether the images hold every column.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == self.columns
    }
}

/// The character set of a text column: the log's own word before the definition's.
fn text_charset(own: &str, collation: Option<u16>) -> Result<Charset> {
    let logged = collation
        .filter(|id| *id != BINARY_COLLATION)
        .and_then(Charset::by_collation_id);
    logged.or_else(|| Charset::by_name(own)).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "a character set is not known").with("charset", own)
    })
}

/// Bytes of the length that stands before a string of at most `most` bytes.
fn prefix(most: u16) -> u8 {
    if most > 255 { 2 } else { 1 }
}

/// How a value of variable length is laid out: bytes of its length, and whether it is compressed.
fn string(wire: &WireColumn) -> Option<(u8, bool)> {
    match wire.wire_type {
        ty::VARCHAR | ty::VAR_STRING | ty::STRING => Some((prefix(wire.parameter), false)),
        ty::VARCHAR_COMPRESSED => Some((prefix(wire.parameter), true)),
        ty::TINY_BLOB
        | ty::MEDIUM_BLOB
        | ty::LONG_BLOB
        | ty::BLOB
        | ty::VECTOR
        | ty::JSON
        | ty::GEOMETRY
        | ty::BLOB_COMPRESSED => {
            let width = u8::try_from(wire.parameter)
                .ok()
                .filter(|width| (1..=4).contains(width))?;
            Some((width, wire.wire_type == ty::BLOB_COMPRESSED))
        }
        _ => None,
    }
}

impl Decoder {
    /// The decoder for a column as the log has it; `None` if that cannot be the defined column.
    fn new(
        index: usize,
        column: &ColumnDefinition,
        wire: &WireColumn,
        unsigned_in_log: Option<bool>,
        collation: Option<u16>,
    ) -> Result<Option<Self>> {
        if let ColumnType::Integer { bits, unsigned } = &column.column_type {
            let same_sign = unsigned_in_log.is_none_or(|logged| logged == *unsigned);
            return Ok(if same_sign {
                Self::integer(wire.wire_type, *bits, *unsigned)
            } else {
                None
            });
        }
        if let Some(decoder) = Self::fixed(&column.column_type, wire) {
            return Ok(Some(decoder));
        }
        Self::variable(index, &column.column_type, wire, collation)
    }

    fn integer(wire_type: u8, bits: u8, unsigned: bool) -> Option<Self> {
        Some(match (wire_type, bits, unsigned) {
            (ty::TINY, 8, false) => Self::I8,
            (ty::TINY, 8, true) => Self::U8,
            (ty::SHORT, 16, false) => Self::I16,
            (ty::SHORT, 16, true) => Self::U16,
            (ty::INT24, 24, false) => Self::I24,
            (ty::INT24, 24, true) => Self::U24,
            (ty::LONG, 32, false) => Self::I32,
            (ty::LONG, 32, true) => Self::U32,
            (ty::LONGLONG, 64, false) => Self::I64,
            (ty::LONGLONG, 64, true) => Self::U64,
            _ => return None,
        })
    }

    fn fixed(column: &ColumnType, wire: &WireColumn) -> Option<Self> {
        let digits_fit = |digits: u8| u16::from(digits) == wire.parameter;
        Some(match (column, wire.wire_type) {
            (ColumnType::Year, ty::YEAR) => Self::Year,
            (ColumnType::Float, ty::FLOAT) => Self::Float,
            (ColumnType::Double, ty::DOUBLE) => Self::Double,
            (ColumnType::Bit { bits }, ty::BIT) if u16::from(*bits) == wire.parameter => {
                Self::Bit(bits.div_ceil(8))
            }
            (ColumnType::Decimal { precision, scale }, ty::NEWDECIMAL)
                if wire.parameter == u16::from_be_bytes([*precision, *scale]) =>
            {
                Self::Decimal(PackedDecimal::new(*precision, *scale)?)
            }
            (ColumnType::Date, ty::DATE | ty::NEWDATE) => Self::Date,
            (ColumnType::Time { digits }, ty::TIME2) if digits_fit(*digits) => Self::Time(*digits),
            (ColumnType::DateTime { digits }, ty::DATETIME2) if digits_fit(*digits) => {
                Self::DateTime(*digits)
            }
            (ColumnType::Timestamp { digits }, ty::TIMESTAMP2) if digits_fit(*digits) => {
                Self::Timestamp(*digits)
            }
            (ColumnType::Time { digits: 0 }, ty::TIME) => Self::OldTime,
            (ColumnType::DateTime { digits: 0 }, ty::DATETIME) => Self::OldDateTime,
            (ColumnType::Timestamp { digits: 0 }, ty::TIMESTAMP) => Self::OldTimestamp,
            (ColumnType::Time { digits }, ty::TIME) => Self::HiresTime(*digits),
            (ColumnType::DateTime { digits }, ty::DATETIME) => Self::HiresDateTime(*digits),
            (ColumnType::Timestamp { digits }, ty::TIMESTAMP) => Self::HiresTimestamp(*digits),
            _ => return None,
        })
    }

    fn variable(
        index: usize,
        column: &ColumnType,
        wire: &WireColumn,
        collation: Option<u16>,
    ) -> Result<Option<Self>> {
        if let ColumnType::Enum { labels } | ColumnType::Set { labels } = column {
            return Ok(Self::labelled(index, column, labels, wire));
        }
        let Some((width, compressed)) = string(wire) else {
            return Ok(None);
        };
        let is_bytes = collation == Some(BINARY_COLLATION);
        let plain = matches!(
            wire.wire_type,
            ty::VARCHAR
                | ty::VAR_STRING
                | ty::STRING
                | ty::TINY_BLOB
                | ty::MEDIUM_BLOB
                | ty::LONG_BLOB
                | ty::BLOB
        );
        let sixteen = wire.wire_type == ty::STRING && wire.parameter == 16;
        let four = wire.wire_type == ty::STRING && wire.parameter == 4;
        Ok(Some(match column {
            ColumnType::Text { charset, .. } if (plain || compressed) && !is_bytes => {
                let charset = text_charset(charset, collation)?;
                if compressed {
                    Self::CompressedText(width, charset)
                } else {
                    Self::Text(width, charset)
                }
            }
            ColumnType::JsonText if (plain || compressed) && !is_bytes => {
                let charset = text_charset("utf8mb4", collation)?;
                if compressed {
                    Self::CompressedJsonText(width, charset)
                } else {
                    Self::JsonText(width, charset)
                }
            }
            ColumnType::Binary { length }
                if wire.wire_type == ty::STRING && *length == u32::from(wire.parameter) =>
            {
                Self::Binary(width, wire.parameter)
            }
            ColumnType::VarBinary if compressed => Self::CompressedBytes(width),
            ColumnType::VarBinary
                if plain && wire.wire_type != ty::STRING && collation.is_none_or(|_| is_bytes) =>
            {
                Self::Bytes(width)
            }
            ColumnType::Json if wire.wire_type == ty::JSON => Self::Json(width),
            ColumnType::Geometry if matches!(wire.wire_type, ty::GEOMETRY | ty::BLOB) => {
                Self::Geometry(width)
            }
            ColumnType::Vector if matches!(wire.wire_type, ty::VECTOR | ty::VARCHAR) => {
                Self::Vector(width)
            }
            ColumnType::Uuid if sixteen => Self::Uuid(width),
            ColumnType::Inet6 if sixteen => Self::Inet6(width),
            ColumnType::Inet4 if four => Self::Inet4(width),
            ColumnType::Unknown { .. } if wire.wire_type == ty::STRING => {
                Self::Binary(width, wire.parameter)
            }
            ColumnType::Unknown { .. } => Self::Bytes(width),
            _ => return Ok(None),
        }))
    }

    fn labelled(
        index: usize,
        column: &ColumnType,
        labels: &Arc<[Arc<str>]>,
        wire: &WireColumn,
    ) -> Option<Self> {
        let bytes = u8::try_from(wire.parameter).ok()?;
        let index = u32::try_from(index).ok()?;
        match (column, wire.wire_type) {
            (ColumnType::Enum { .. }, ty::ENUM) if matches!(bytes, 1 | 2) => {
                Some(Self::Enum(bytes, u32::try_from(labels.len()).ok()?, index))
            }
            (ColumnType::Set { .. }, ty::SET) if matches!(bytes, 1..=8) => {
                Some(Self::Set(bytes, Arc::clone(labels)))
            }
            _ => None,
        }
    }

    #[inline]
    fn push(&self, reader: &mut Reader<'_>, batch: &mut Batch, losses: &Losses) -> Result<()> {
        match self {
            Self::I8 => batch.push_int(i64::from(reader.u8()?.cast_signed())),
            Self::U8 => batch.push_uint(u64::from(reader.u8()?)),
            Self::I16 => batch.push_int(i64::from(reader.u16()?.cast_signed())),
            Self::U16 => batch.push_uint(u64::from(reader.u16()?)),
            Self::I24 => batch.push_int(i64::from((reader.u24()? << 8).cast_signed() >> 8)),
            Self::U24 => batch.push_uint(u64::from(reader.u24()?)),
            Self::I32 => batch.push_int(i64::from(reader.u32()?.cast_signed())),
            Self::U32 => batch.push_uint(u64::from(reader.u32()?)),
            Self::I64 => batch.push_int(reader.u64()?.cast_signed()),
            Self::U64 => batch.push_uint(reader.u64()?),
            Self::Float => batch.push_float(f32::from_bits(reader.u32()?)),
            Self::Double => batch.push_double(f64::from_bits(reader.u64()?)),
            Self::DateTime(digits) => batch.push_datetime(temporal::datetime(reader, *digits)?),
            Self::Timestamp(digits) => batch.push_timestamp(temporal::timestamp(reader, *digits)?),
            Self::Date => batch.push_date(temporal::date(reader)?),
            Self::Text(width, charset) => {
                push_text(
                    batch,
                    losses,
                    *charset,
                    Written::Text,
                    reader.prefixed(*width)?,
                );
            }
            Self::Bytes(width) => batch.push_bytes(reader.prefixed(*width)?),
            Self::Decimal(packed) => {
                let bytes = reader.take(packed.bytes())?;
                batch.push_written(Written::Decimal, |out| packed.write(bytes, out))?;
            }
            Self::Bit(bytes) => batch.push_uint(reader.uint_be(usize::from(*bytes))?),
            Self::Enum(bytes, labels, column) => {
                let number = if *bytes == 1 {
                    u32::from(reader.u8()?)
                } else {
                    u32::from(reader.u16()?)
                };
                if number > *labels {
                    return Err(
                        mismatch("an ENUM has a number beyond its labels").with("number", number)
                    );
                }
                batch.push_label(*column, number);
            }
            _ => self.push_rare(reader, batch, losses)?,
        }
        Ok(())
    }

    fn push_rare(&self, reader: &mut Reader<'_>, batch: &mut Batch, losses: &Losses) -> Result<()> {
        match self {
            Self::Year => {
                let years = u64::from(reader.u8()?);
                batch.push_uint(if years == 0 { 0 } else { 1900 + years });
            }
            Self::Time(digits) => batch.push_time(temporal::time(reader, *digits)?),
            Self::OldTime => batch.push_time(temporal::old_time(reader)?),
            Self::OldDateTime => batch.push_datetime(temporal::old_datetime(reader)?),
            Self::OldTimestamp => batch.push_timestamp(temporal::old_timestamp(reader)?),
            Self::HiresTime(digits) => batch.push_time(temporal::hires_time(reader, *digits)?),
            Self::HiresDateTime(digits) => {
                batch.push_datetime(temporal::hires_datetime(reader, *digits)?)
            }
            Self::HiresTimestamp(digits) => {
                batch.push_timestamp(temporal::hires_timestamp(reader, *digits)?)
            }
            Self::Binary(width, length) => {
                batch.push_bytes_padded(reader.prefixed(*width)?, usize::from(*length))
            }
            Self::CompressedText(width, charset) => {
                let text = mariadb::uncompress(reader.prefixed(*width)?)?;
                push_text(batch, losses, *charset, Written::Text, &text);
            }
            Self::CompressedJsonText(width, charset) => {
                let text = mariadb::uncompress(reader.prefixed(*width)?)?;
                push_text(batch, losses, *charset, Written::Json, &text);
            }
            Self::CompressedBytes(width) => {
                batch.push_bytes(&mariadb::uncompress(reader.prefixed(*width)?)?)
            }
            Self::Set(bytes, labels) => {
                let bits = reader.uint(usize::from(*bytes))?;
                batch.push_written(Written::Set, |out| write_set(bits, labels, out))?;
            }
            Self::Json(width) => {
                let bytes = reader.prefixed(*width)?;
                batch.push_written(Written::Json, |out| json::write(bytes, out))?;
            }
            Self::JsonText(width, charset) => {
                push_text(
                    batch,
                    losses,
                    *charset,
                    Written::Json,
                    reader.prefixed(*width)?,
                );
            }
            Self::Geometry(width) => batch.push_geometry(reader.prefixed(*width)?),
            Self::Vector(width) => batch.push_vector(reader.prefixed(*width)?),
            Self::Uuid(width) => {
                let bytes = reader.prefixed(*width)?;
                batch.push_written(Written::Text, |out| mariadb::write_uuid(bytes, out))?;
            }
            Self::Inet6(width) => {
                let bytes = reader.prefixed(*width)?;
                batch.push_written(Written::Text, |out| mariadb::write_inet6(bytes, out))?;
            }
            Self::Inet4(width) => {
                let bytes = reader.prefixed(*width)?;
                batch.push_written(Written::Text, |out| mariadb::write_inet4(bytes, out))?;
            }
            _ => return Err(malformed("a column's type has no decoder")),
        }
        Ok(())
    }
}

/// The labels of the set bits, joined by commas.
fn write_set(mut bits: u64, labels: &[Arc<str>], out: &mut String) -> Result<()> {
    let mut first = true;
    while bits != 0 {
        let place = bits.trailing_zeros() as usize;
        let Some(label) = labels.get(place) else {
            return Err(mismatch("a SET has a bit beyond its labels").with("bit", place));
        };
        if !first {
            out.push(',');
        }
        out.push_str(label);
        first = false;
        bits &= bits - 1;
    }
    Ok(())
}
