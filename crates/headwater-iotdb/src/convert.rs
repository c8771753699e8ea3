//! From the source's values to those of IoTDB's types: right, or refused with the reason. What fits by type is decided once for
//! a column ([`fits`]); what does not fit by its value is refused with its row.

mod columns;

use std::io::Write as _;

use headwater_core::schema::DataType;
use headwater_core::value::{Cell, DateTime};

use crate::config::SeriesType;
use crate::tablet::Values;
use crate::time::{Clock, date_number, is_zero};

/// The type of a column's series where none is named.
pub(crate) fn natural(data_type: &DataType) -> SeriesType {
    match data_type {
        DataType::Integer { bits, unsigned } if *bits < 32 || (*bits == 32 && !unsigned) => {
            SeriesType::Int32
        }
        DataType::Integer { .. } | DataType::Bit => SeriesType::Int64,
        DataType::Year => SeriesType::Int32,
        DataType::Float => SeriesType::Float,
        DataType::Double | DataType::Decimal { .. } => SeriesType::Double,
        DataType::Text
        | DataType::Time(_)
        | DataType::Enum(_)
        | DataType::Set(_)
        | DataType::Json => SeriesType::Text,
        DataType::Bytes | DataType::Geometry | DataType::Vector => SeriesType::Blob,
        DataType::Date => SeriesType::Date,
        DataType::DateTime(_) | DataType::Timestamp(_) => SeriesType::Timestamp,
    }
}

/// Whether a column's values can be values of the series at all.
///
/// # Errors
/// What would fit.
pub fn fits(data_type: &DataType, series_type: SeriesType) -> Result<(), &'static str> {
    use SeriesType as Series;
    let is_integer = matches!(
        data_type,
        DataType::Integer { .. } | DataType::Bit | DataType::Year
    );
    let is_whole = matches!(data_type, DataType::Decimal { scale: 0, .. });
    let is_bytes = matches!(
        data_type,
        DataType::Bytes | DataType::Geometry | DataType::Vector
    );
    let is_number = is_integer
        || matches!(
            data_type,
            DataType::Float | DataType::Double | DataType::Decimal { .. }
        );
    let is_text = matches!(
        data_type,
        DataType::Text | DataType::Enum(_) | DataType::Set(_) | DataType::Json
    );
    let is_fine = match series_type {
        Series::Boolean | Series::Int32 | Series::Int64 => is_integer || is_whole,
        Series::Float | Series::Double => is_number,
        Series::Text | Series::String => !is_bytes,
        Series::Blob => is_bytes || is_text,
        Series::Date => matches!(data_type, DataType::Date),
        Series::Timestamp => matches!(
            data_type,
            DataType::Date | DataType::DateTime(_) | DataType::Timestamp(_)
        ),
    };
    if is_fine {
        return Ok(());
    }
    Err(match data_type {
        DataType::Float | DataType::Double | DataType::Decimal { .. } => {
            "FLOAT, DOUBLE, TEXT or STRING"
        }
        DataType::Integer { .. } | DataType::Bit | DataType::Year => {
            "BOOLEAN, INT32, INT64, FLOAT, DOUBLE, TEXT or STRING"
        }
        DataType::Date => "DATE, TIMESTAMP, TEXT or STRING",
        DataType::DateTime(_) | DataType::Timestamp(_) => "TIMESTAMP, TEXT or STRING",
        DataType::Bytes | DataType::Geometry | DataType::Vector => "BLOB",
        DataType::Time(_) => "TEXT or STRING",
        DataType::Text | DataType::Enum(_) | DataType::Set(_) | DataType::Json => {
            "TEXT, STRING or BLOB"
        }
    })
}

/// Whether a column can tell a row's time.
#[must_use]
pub const fn is_time(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Integer { .. } | DataType::Date | DataType::DateTime(_) | DataType::Timestamp(_)
    )
}

/// How values are understood.
#[derive(Debug, Clone)]
pub(crate) struct Conversion {
    pub(crate) clock: Clock,
    pub(crate) zero_is_null: bool,
}

impl Conversion {
    /// Whether a cell has no value.
    pub(crate) fn is_null(&self, cell: Cell<'_>) -> bool {
        matches!(cell, Cell::Null | Cell::Absent) || (self.zero_is_null && has_zero_date(cell))
    }

    /// Appends a cell's value to a column of the type. Says whether there was one.
    pub(crate) fn push(
        &self,
        cell: Cell<'_>,
        series_type: SeriesType,
        out: &mut Values,
    ) -> Result<bool, String> {
        // The most usual ones without a detour.
        match (cell, series_type) {
            (Cell::Null, _) => return Ok(false),
            (Cell::Int(value), SeriesType::Int64) => {
                out.push_fixed(value.to_be_bytes());
                return Ok(true);
            }
            (Cell::Int(value), SeriesType::Int32) => {
                if let Ok(value) = i32::try_from(value) {
                    out.push_fixed(value.to_be_bytes());
                    return Ok(true);
                }
            }
            (Cell::Double(value), SeriesType::Double) => {
                out.push_fixed(value.to_be_bytes());
                return Ok(true);
            }
            (Cell::Float(value), SeriesType::Float) => {
                out.push_fixed(value.to_be_bytes());
                return Ok(true);
            }
            _ => {}
        }
        self.push_any(cell, series_type, out)
    }

    fn push_any(
        &self,
        cell: Cell<'_>,
        series_type: SeriesType,
        out: &mut Values,
    ) -> Result<bool, String> {
        if self.is_null(cell) {
            return Ok(false);
        }
        match series_type {
            SeriesType::Boolean => {
                let value = whole(cell)?;
                if !(0..=1).contains(&value) {
                    return Err(format!("{value} is neither 0 nor 1"));
                }
                out.push_fixed([u8::from(value == 1)]);
            }
            SeriesType::Int32 => {
                let value = whole(cell)?;
                let value = i32::try_from(value).map_err(|_| beyond(value, "INT32"))?;
                out.push_fixed(value.to_be_bytes());
            }
            SeriesType::Int64 => {
                let value = whole(cell)?;
                let value = i64::try_from(value).map_err(|_| beyond(value, "INT64"))?;
                out.push_fixed(value.to_be_bytes());
            }
            SeriesType::Float => out.push_fixed(float(cell)?.to_be_bytes()),
            SeriesType::Double => out.push_fixed(double(cell)?.to_be_bytes()),
            SeriesType::Text | SeriesType::String => match cell {
                Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) | Cell::Set(text) => {
                    out.push_bytes(text.as_bytes());
                }
                other => {
                    let mut text = Vec::new();
                    write_text(other, &mut text)?;
                    out.push_bytes(&text);
                }
            },
            SeriesType::Blob => match cell {
                Cell::Bytes(bytes) | Cell::Geometry(bytes) | Cell::Vector(bytes) => {
                    out.push_bytes(bytes);
                }
                Cell::Text(text) | Cell::Json(text) | Cell::Set(text) => {
                    out.push_bytes(text.as_bytes());
                }
                other => return Err(no("BLOB", other)),
            },
            SeriesType::Date => match cell {
                Cell::Date(date) => out.push_fixed(date_number(date)?.to_be_bytes()),
                other => return Err(no("DATE", other)),
            },
            SeriesType::Timestamp => out.push_fixed(self.time(cell)?.to_be_bytes()),
        }
        Ok(true)
    }

    /// A date or time as IoTDB counts it.
    pub(crate) fn time(&self, cell: Cell<'_>) -> Result<i64, String> {
        match cell {
            Cell::DateTime(value) => self.clock.local(value),
            Cell::Timestamp(value) if is_zero(value.date) => Err(zero(value)),
            Cell::Timestamp(value) => self.clock.utc(value),
            Cell::Date(date) => self.clock.midnight(date),
            other => Err(no("time", other)),
        }
    }
}

fn zero(value: DateTime) -> String {
    let mut text = Vec::new();
    value.write(&mut text);
    format!("{} is no time", String::from_utf8_lossy(&text))
}

fn has_zero_date(cell: Cell<'_>) -> bool {
    match cell {
        Cell::Date(date) => is_zero(date),
        Cell::DateTime(value) | Cell::Timestamp(value) => is_zero(value.date),
        _ => false,
    }
}

fn whole(cell: Cell<'_>) -> Result<i128, String> {
    match cell {
        Cell::Int(value) => Ok(value.into()),
        Cell::UInt(value) => Ok(value.into()),
        Cell::Decimal(digits) => digits.parse().map_err(|_| beyond_text(digits, "INT64")),
        other => Err(no("integer", other)),
    }
}

/// The nearest FLOAT. Integers that a FLOAT cannot hold are refused, for they may be names of things.
fn float(cell: Cell<'_>) -> Result<f32, String> {
    match cell {
        Cell::Float(value) => Ok(value),
        #[allow(clippy::cast_possible_truncation, reason = "the nearest is wanted")]
        Cell::Double(value) => finite_float(value as f32, value.is_finite(), cell),
        Cell::Decimal(digits) => {
            let value: f32 = digits.parse().map_err(|_| no("FLOAT", cell))?;
            finite_float(value, true, cell)
        }
        other => {
            let value = whole(other)?;
            #[allow(clippy::cast_precision_loss, reason = "looked at")]
            let float = value as f32;
            #[allow(clippy::cast_possible_truncation, reason = "looked at")]
            if float as i128 != value {
                return Err(format!("{value} has more digits than a FLOAT can hold"));
            }
            Ok(float)
        }
    }
}

fn finite_float(value: f32, was_finite: bool, cell: Cell<'_>) -> Result<f32, String> {
    match value.is_finite() || !was_finite {
        true => Ok(value),
        false => Err(beyond_text(&shown(cell), "FLOAT")),
    }
}

/// The nearest DOUBLE. A FLOAT is taken by the digits that the source shows for it, so that 0.1 stays 0.1.
fn double(cell: Cell<'_>) -> Result<f64, String> {
    match cell {
        Cell::Double(value) => Ok(value),
        Cell::Float(value) if value.is_finite() => {
            let mut buffer = zmij::Buffer::new();
            let digits = buffer.format_finite(value);
            digits.parse().map_err(|_| no("DOUBLE", cell))
        }
        Cell::Float(value) => Ok(value.into()),
        Cell::Decimal(digits) => digits.parse().map_err(|_| no("DOUBLE", cell)),
        other => {
            let value = whole(other)?;
            #[allow(clippy::cast_precision_loss, reason = "looked at")]
            let double = value as f64;
            #[allow(clippy::cast_possible_truncation, reason = "looked at")]
            if double as i128 != value {
                return Err(format!("{value} has more digits than a DOUBLE can hold"));
            }
            Ok(double)
        }
    }
}

/// Appends a value as text: as Maxwell's JSON has it, without quotes.
pub(crate) fn write_text(cell: Cell<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    match cell {
        Cell::Int(value) => write!(out, "{value}"),
        Cell::UInt(value) => write!(out, "{value}"),
        Cell::Float(value) => write!(out, "{}", zmij::Buffer::new().format(value)),
        Cell::Double(value) => write!(out, "{}", zmij::Buffer::new().format(value)),
        Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) | Cell::Set(text) => {
            out.write_all(text.as_bytes())
        }
        Cell::Date(value) => {
            value.write(out);
            Ok(())
        }
        Cell::Time(value) => {
            value.write(out);
            Ok(())
        }
        Cell::DateTime(value) | Cell::Timestamp(value) => {
            value.write(out);
            Ok(())
        }
        Cell::Bytes(_) | Cell::Geometry(_) | Cell::Vector(_) => {
            return Err("bytes are no text; a BLOB would hold them".to_owned());
        }
        Cell::Null | Cell::Absent => return Err("there is no value".to_owned()),
    }
    .map_err(|error| error.to_string())
}

fn shown(cell: Cell<'_>) -> String {
    let mut text = Vec::new();
    match write_text(cell, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => "a value".to_owned(),
    }
}

fn no(what: &str, cell: Cell<'_>) -> String {
    format!("{} is no {what}", shown(cell))
}

fn beyond(value: i128, what: &str) -> String {
    beyond_text(&value.to_string(), what)
}

fn beyond_text(value: &str, what: &str) -> String {
    format!("{value} is beyond {what}")
}
