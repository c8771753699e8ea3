//! Rows of a result by the binary protocol (`ProtocolBinary::ResultsetRow`), as the snapshot reads them.
//!
//! The statement selects every column of the table by its name, none wrapped in an expression; the session has
//! `character_set_results = NULL` and `time_zone = '+00:00'`. Text is decoded from the character set that the result's
//! columns name, so that another `character_set_results` would only cost the server's conversion.

use std::collections::HashMap;
use std::sync::Arc;

use headwater_core::batch::{Batch, Mark, Written};
use headwater_core::{Error, ErrorKind, Result};

use super::event::wire_type as ty;
use super::plan::Losses;
use super::reader::Reader;
use super::{decimal, json, malformed, temporal};
use crate::charset::Charset;
use crate::client::ColumnDefinition as ResultColumn;
use crate::schema::{ColumnDefinition, ColumnType, TableDefinition};

/// How to decode the rows of one result.
#[derive(Debug)]
pub struct ResultPlan {
    columns: Vec<Decoder>,
    losses: Losses,
    table: String,
}

#[derive(Debug)]
enum Decoder {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    Float,
    Double,
    Bit,
    Decimal,
    Date,
    Time(u8),
    DateTime(u8),
    Timestamp(u8),
    Text(Charset),
    Bytes,
    /// BINARY(n): results have all its bytes; padded all the same, so that both sides agree by construction.
    Binary(u32),
    Enum(Box<Labels>),
    Set(Charset),
    /// JSON text with a space after `:` and `,`.
    Json,
    /// JSON text as it was written.
    JsonText(Charset),
    Geometry,
    Vector,
}

/// Finds the number of an ENUM's label.
#[derive(Debug)]
struct Labels {
    column: u32,
    charset: Charset,
    labels: Arc<[Arc<str>]>,
    /// For long lists only.
    numbers: HashMap<Box<[u8]>, u32>,
}

impl Labels {
    fn new(column: usize, charset: Charset, labels: &Arc<[Arc<str>]>) -> Self {
        let mut numbers = HashMap::new();
        if labels.len() > 16 {
            for (label, number) in labels.iter().zip(1..) {
                numbers.entry(label.as_bytes().into()).or_insert(number);
            }
        }
        Self {
            column: u32::try_from(column).unwrap_or(u32::MAX),
            charset,
            labels: Arc::clone(labels),
            numbers,
        }
    }

    #[inline]
    fn find(&self, label: &[u8]) -> Option<u32> {
        if !self.numbers.is_empty() {
            return self.numbers.get(label).copied();
        }
        let mut labels = self.labels.iter().zip(1..);
        labels.find_map(|(known, number)| (known.as_bytes() == label).then_some(number))
    }

    #[inline]
    fn push(&self, bytes: &[u8], batch: &mut Batch, losses: &Losses) {
        if self.charset == Charset::UTF8MB4
            && let Some(number) = self.find(bytes)
        {
            return batch.push_label(self.column, number);
        }
        let mut text = String::new();
        losses.add(self.charset.decode(bytes, &mut text));
        match self.find(text.as_bytes()) {
            Some(number) => batch.push_label(self.column, number),
            // The invalid value; or a label that the definition does not have.
            None => batch.push_text(&text),
        }
    }
}

impl ResultPlan {
    pub(super) fn new(
        definition: &TableDefinition,
        result: &[ResultColumn],
        losses: Losses,
    ) -> Result<Self> {
        let table = definition.name.to_string();
        if definition.columns.len() != result.len() {
            return Err(changed(
                "the result has another number of columns than the table's definition",
            )
            .with("table", table)
            .with("expected", definition.columns.len())
            .with("found", result.len()));
        }
        let pairs = definition.columns.iter().zip(result).enumerate();
        let columns = pairs.map(|(index, (column, result))| {
            Decoder::new(index, column, result).ok_or_else(|| {
                changed("a column of the result has another type than in the table's definition")
                    .with("table", &table)
                    .with("column", &column.name)
                    .with("wire-type", result.column_type)
            })
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self {
            columns,
            losses,
            table,
        })
    }

    /// Pushes one image: a cell for each column. `payload` begins with the NULL bitmap, as
    /// [`crate::client::RowStream::next_buffered`] hands it out.
    ///
    /// # Errors
    /// `Malformed` if the bytes break the protocol; the batch then is as it was.
    #[inline]
    pub fn decode(&self, payload: &[u8], batch: &mut Batch) -> Result<Mark> {
        let mark = batch.mark();
        match self.fill(payload, batch) {
            Ok(()) => Ok(mark),
            Err(error) => {
                batch.rewind(mark);
                Err(error
                    .during("decoding a row of a result")
                    .with("table", &self.table))
            }
        }
    }

    #[inline]
    fn fill(&self, payload: &[u8], batch: &mut Batch) -> Result<()> {
        let mut reader = Reader::new(payload);
        let nulls = reader.take((self.columns.len() + 9) / 8)?;
        batch.reserve_cells(self.columns.len());
        for (column, bit) in self.columns.iter().zip(2_usize..) {
            let is_null = nulls
                .get(bit / 8)
                .is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
            if is_null {
                batch.push_null();
            } else {
                column.push(&mut reader, batch, &self.losses)?;
            }
        }
        if !reader.is_empty() {
            return Err(malformed("a row is longer than its columns").with("left", reader.len()));
        }
        Ok(())
    }
}

#[cold]
fn changed(message: &'static str) -> Error {
    Error::new(ErrorKind::SchemaChanged, message).during("reading rows")
}

impl Decoder {
    /// The decoder for a column as the result has it; `None` if that cannot be the defined column.
    fn new(index: usize, column: &ColumnDefinition, result: &ResultColumn) -> Option<Self> {
        let wire = result.column_type;
        let stringy = matches!(wire, ty::VARCHAR | ty::TYPED_ARRAY..);
        let charset = |own: &str| -> Option<Charset> {
            if result.collation == BINARY_COLLATION {
                return Charset::by_name(own);
            }
            Charset::by_collation_id(result.collation).or_else(|| Charset::by_name(own))
        };
        let as_utf8 = |decoder: fn(Charset) -> Self| charset("utf8mb4").map(decoder);
        Some(match &column.column_type {
            ColumnType::Integer { bits, unsigned } => {
                if *unsigned != result.is_unsigned() {
                    return None;
                }
                match (wire, bits, unsigned) {
                    (ty::TINY, 8, false) => Self::I8,
                    (ty::TINY, 8, true) => Self::U8,
                    (ty::SHORT, 16, false) => Self::I16,
                    (ty::SHORT, 16, true) => Self::U16,
                    (ty::INT24, 24, false) | (ty::LONG, 32, false) => Self::I32,
                    (ty::INT24, 24, true) | (ty::LONG, 32, true) => Self::U32,
                    (ty::LONGLONG, 64, false) => Self::I64,
                    (ty::LONGLONG, 64, true) => Self::U64,
                    _ => return None,
                }
            }
            ColumnType::Year if wire == ty::YEAR => Self::U16,
            ColumnType::Bit { .. } if wire == ty::BIT => Self::Bit,
            ColumnType::Float if wire == ty::FLOAT => Self::Float,
            ColumnType::Double if wire == ty::DOUBLE => Self::Double,
            ColumnType::Decimal { .. } if matches!(wire, ty::NEWDECIMAL | ty::DECIMAL) => {
                Self::Decimal
            }
            ColumnType::Date if matches!(wire, ty::DATE | ty::NEWDATE) => Self::Date,
            ColumnType::Time { digits } if matches!(wire, ty::TIME | ty::TIME2) => {
                Self::Time(*digits)
            }
            ColumnType::DateTime { digits } if matches!(wire, ty::DATETIME | ty::DATETIME2) => {
                Self::DateTime(*digits)
            }
            ColumnType::Timestamp { digits } if matches!(wire, ty::TIMESTAMP | ty::TIMESTAMP2) => {
                Self::Timestamp(*digits)
            }
            _ if !stringy => return None,
            ColumnType::Text { charset: own, .. } => Self::Text(charset(own)?),
            ColumnType::Uuid | ColumnType::Inet6 | ColumnType::Inet4 => as_utf8(Self::Text)?,
            ColumnType::Binary { length } => Self::Binary(*length),
            ColumnType::VarBinary | ColumnType::Unknown { .. } => Self::Bytes,
            ColumnType::Enum { labels } => {
                Self::Enum(Box::new(Labels::new(index, charset("utf8mb4")?, labels)))
            }
            ColumnType::Set { .. } => as_utf8(Self::Set)?,
            ColumnType::Json => Self::Json,
            ColumnType::JsonText => as_utf8(Self::JsonText)?,
            ColumnType::Geometry => Self::Geometry,
            ColumnType::Vector => Self::Vector,
            _ => return None,
        })
    }

    #[inline]
    fn push(&self, reader: &mut Reader<'_>, batch: &mut Batch, losses: &Losses) -> Result<()> {
        match self {
            Self::I8 => batch.push_int(i64::from(reader.u8()?.cast_signed())),
            Self::U8 => batch.push_uint(u64::from(reader.u8()?)),
            Self::I16 => batch.push_int(i64::from(reader.u16()?.cast_signed())),
            Self::U16 => batch.push_uint(u64::from(reader.u16()?)),
            Self::I32 => batch.push_int(i64::from(reader.u32()?.cast_signed())),
            Self::U32 => batch.push_uint(u64::from(reader.u32()?)),
            Self::I64 => batch.push_int(reader.u64()?.cast_signed()),
            Self::U64 => batch.push_uint(reader.u64()?),
            Self::Float => batch.push_float(f32::from_bits(reader.u32()?)),
            Self::Double => batch.push_double(f64::from_bits(reader.u64()?)),
            Self::Date => batch.push_date(temporal::binary_datetime(reader, 0)?.date),
            Self::Time(digits) => batch.push_time(temporal::binary_time(reader, *digits)?),
            Self::DateTime(digits) => {
                batch.push_datetime(temporal::binary_datetime(reader, *digits)?)
            }
            Self::Timestamp(digits) => {
                batch.push_timestamp(temporal::binary_datetime(reader, *digits)?)
            }
            Self::Text(charset) => push_text(
                batch,
                losses,
                *charset,
                Written::Text,
                reader.lenenc_bytes()?,
            ),
            Self::Decimal => {
                let text = reader.lenenc_bytes()?;
                batch.push_written(Written::Decimal, |out| decimal::write_text(text, out))?;
            }
            Self::Bit => {
                let bytes = reader.lenenc_bytes()?;
                if bytes.len() > 8 {
                    return Err(malformed("a BIT is longer than 64 bits"));
                }
                batch.push_uint(Reader::new(bytes).uint_be(bytes.len())?);
            }
            Self::Bytes => batch.push_bytes(reader.lenenc_bytes()?),
            Self::Binary(length) => {
                batch.push_bytes_padded(reader.lenenc_bytes()?, *length as usize)
            }
            Self::Enum(labels) => labels.push(reader.lenenc_bytes()?, batch, losses),
            Self::Set(charset) => push_text(
                batch,
                losses,
                *charset,
                Written::Set,
                reader.lenenc_bytes()?,
            ),
            Self::Json => {
                let text = reader.lenenc_bytes()?;
                batch.push_written(Written::Json, |out| json::compact(text, out))?;
            }
            Self::JsonText(charset) => push_text(
                batch,
                losses,
                *charset,
                Written::Json,
                reader.lenenc_bytes()?,
            ),
            Self::Geometry => batch.push_geometry(reader.lenenc_bytes()?),
            Self::Vector => batch.push_vector(reader.lenenc_bytes()?),
        }
        Ok(())
    }
}

/// The number of the collation `binary`.
pub(super) const BINARY_COLLATION: u16 = 63;

/// Decodes text straight into the batch.
#[inline]
pub(super) fn push_text(
    batch: &mut Batch,
    losses: &Losses,
    charset: Charset,
    kind: Written,
    bytes: &[u8],
) {
    let written = batch.push_written(kind, |out| {
        losses.add(charset.decode(bytes, out));
        Ok::<(), std::convert::Infallible>(())
    });
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
}
