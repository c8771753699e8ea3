//! A cell that stands alone: what is folded where types are known from the configuration only.

use std::cell::RefCell;
use std::cmp::Ordering;

use headwater_core::value::{Cell, Date, DateTime, Time};

use super::codec::{Reader, put_bytes, put_signed, put_unsigned};
use super::decimal::Decimal;
use super::hash::hash;
use super::item::{Item, read_bounded, read_text};
use super::{ITEM_BYTES_MAX, Refused};

/// A value of a column, owned. One is filled again and again ([`Scalar::set`]): numbers allocate nothing, text keeps its memory.
///
/// The order is that of numbers, of times, and of text and bytes by their bytes (not by a collation).
#[derive(Debug, Clone, Default)]
pub enum Scalar {
    /// SQL NULL.
    #[default]
    Null,
    /// An integer that fits 64 bits with a sign.
    Int(i64),
    /// A greater one.
    UInt(u64),
    /// Four-byte floating point.
    Float(f32),
    /// Eight-byte floating point.
    Double(f64),
    /// A decimal number.
    Decimal(Decimal),
    /// Text; also a JSON document, and the labels of ENUM and SET.
    Text(String),
    /// Bytes; also a geometry, a vector.
    Bytes(Vec<u8>),
    /// A date.
    Date(Date),
    /// A duration.
    Time(Time),
    /// A date with a time, or a point in time in UTC.
    DateTime(DateTime),
}

thread_local! {
    /// For the bytes of one scalar, so that looking a value up allocates nothing.
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Scalar {
    /// The value of a cell.
    ///
    /// # Errors
    ///
    /// A column that the image does not hold; a decimal that is none.
    pub fn of(cell: Cell<'_>) -> Result<Self, Refused> {
        let mut scalar = Self::Null;
        scalar.set(cell)?;
        Ok(scalar)
    }

    /// Takes the value of a cell, in the memory it has.
    ///
    /// # Errors
    ///
    /// As [`Scalar::of`]; the scalar is as it was.
    pub fn set(&mut self, cell: Cell<'_>) -> Result<(), Refused> {
        *self = match cell {
            Cell::Absent => {
                return Err(Refused::unsuitable(
                    "the image of the row does not hold the column",
                ));
            }
            Cell::Null => Self::Null,
            Cell::Int(value) => Self::Int(value),
            Cell::UInt(value) => i64::try_from(value).map_or(Self::UInt(value), Self::Int),
            // Adding zero turns −0 into 0: they are one value.
            Cell::Float(value) => Self::Float(value + 0.0),
            Cell::Double(value) => Self::Double(value + 0.0),
            Cell::Decimal(text) => match Decimal::parse(text) {
                Some(value) => Self::Decimal(value),
                None => {
                    return Err(Refused::unsuitable(format!(
                        "{text:?} is no decimal number"
                    )));
                }
            },
            Cell::Text(text) | Cell::Json(text) | Cell::Set(text) => {
                return self.set_text(text);
            }
            Cell::Bytes(bytes) | Cell::Geometry(bytes) | Cell::Vector(bytes) => {
                return self.set_bytes(bytes);
            }
            Cell::Date(value) => Self::Date(value),
            Cell::Time(value) => Self::Time(value),
            Cell::DateTime(value) | Cell::Timestamp(value) => Self::DateTime(value),
        };
        Ok(())
    }

    fn set_text(&mut self, text: &str) -> Result<(), Refused> {
        match self {
            Self::Text(held) => {
                held.clear();
                held.push_str(text);
            }
            _ => *self = Self::Text(text.to_owned()),
        }
        Ok(())
    }

    fn set_bytes(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        match self {
            Self::Bytes(held) => {
                held.clear();
                held.extend_from_slice(bytes);
            }
            _ => *self = Self::Bytes(bytes.to_owned()),
        }
        Ok(())
    }

    /// Whether this is NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    fn no_number(&self) -> Refused {
        Refused::unsuitable(format!("{} is no number", self.kind()))
    }

    /// As an integer.
    ///
    /// # Errors
    ///
    /// Anything but an integer.
    pub fn integer(&self) -> Result<i128, Refused> {
        match self {
            Self::Int(value) => Ok(i128::from(*value)),
            Self::UInt(value) => Ok(i128::from(*value)),
            _ => Err(Refused::unsuitable(format!(
                "{} is no integer",
                self.kind()
            ))),
        }
    }

    /// As a decimal number.
    ///
    /// # Errors
    ///
    /// Anything but a decimal or an integer.
    pub fn decimal(&self) -> Result<Decimal, Refused> {
        match self {
            Self::Decimal(value) => Ok(value.clone()),
            _ => self.integer().map(|value| Decimal::new(value, 0)),
        }
    }

    /// As a double, rounded if need be.
    ///
    /// # Errors
    ///
    /// What is no number.
    #[allow(clippy::cast_precision_loss, reason = "a double is what is asked for")]
    pub fn double(&self) -> Result<f64, Refused> {
        match self {
            Self::Int(value) => Ok(*value as f64),
            Self::UInt(value) => Ok(*value as f64),
            Self::Float(value) => Ok(f64::from(*value)),
            Self::Double(value) => Ok(*value),
            Self::Decimal(value) => Ok(value.to_double()),
            _ => Err(self.no_number()),
        }
    }

    /// The hash of the sketches. That of text and bytes is the hash of their bytes; others are told apart by their type.
    #[must_use]
    pub fn hash(&self) -> u64 {
        match self {
            Self::Text(text) => hash(text.as_bytes()),
            Self::Bytes(bytes) => hash(bytes),
            _ => self.with_bytes(hash),
        }
    }

    /// What `f` says to the bytes of this.
    pub(super) fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let mut bytes = BYTES.take();
        bytes.clear();
        self.put(&mut bytes);
        let result = f(&bytes);
        if bytes.capacity() <= ITEM_BYTES_MAX {
            BYTES.replace(bytes);
        }
        result
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Int(_) | Self::UInt(_) => "an integer",
            Self::Float(_) | Self::Double(_) => "a float",
            Self::Decimal(_) => "a decimal",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Date(_) => "a date",
            Self::Time(_) => "a duration",
            Self::DateTime(_) => "a time",
        }
    }

    /// The place of the type in the order of all, and its byte.
    fn tag(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Int(_) => 1,
            Self::UInt(_) => 2,
            Self::Float(_) => 3,
            Self::Double(_) => 4,
            Self::Decimal(_) => 5,
            Self::Text(_) => 6,
            Self::Bytes(_) => 7,
            Self::Date(_) => 8,
            Self::Time(_) => 9,
            Self::DateTime(_) => 10,
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(one), Self::Int(two)) => one.cmp(two),
            (Self::UInt(one), Self::UInt(two)) => one.cmp(two),
            (Self::Float(one), Self::Float(two)) => one.total_cmp(two),
            (Self::Double(one), Self::Double(two)) => one.total_cmp(two),
            (Self::Decimal(one), Self::Decimal(two)) => one.cmp(two),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            (Self::Bytes(one), Self::Bytes(two)) => one.cmp(two),
            (Self::Date(one), Self::Date(two)) => one.cmp(two),
            // 00:00 and −00:00 are one time and two values.
            (Self::Time(one), Self::Time(two)) => one
                .cmp(two)
                .then((two.negative, one.digits).cmp(&(one.negative, two.digits))),
            (Self::DateTime(one), Self::DateTime(two)) => one.cmp(two),
            _ => self.tag().cmp(&other.tag()),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

fn put_date(out: &mut Vec<u8>, date: Date) {
    out.extend_from_slice(&date.year.to_be_bytes());
    out.extend_from_slice(&[date.month, date.day]);
}

fn read_date(reader: &mut Reader<'_>) -> Result<Date, Refused> {
    let year = u16::from_be_bytes(reader.array()?);
    let [month, day] = reader.array()?;
    match year <= 9999 && month <= 12 && day <= 31 {
        true => Ok(Date { year, month, day }),
        false => Err(Refused::damaged("a date that there is not")),
    }
}

/// Minute, second, microseconds and digits of a time.
fn put_clock(out: &mut Vec<u8>, minute: u8, second: u8, micros: u32, digits: u8) {
    out.extend_from_slice(&[minute, second]);
    out.extend_from_slice(&micros.to_be_bytes());
    out.push(digits);
}

fn read_clock(reader: &mut Reader<'_>) -> Result<(u8, u8, u32, u8), Refused> {
    let [minute, second] = reader.array()?;
    let micros = u32::from_be_bytes(reader.array()?);
    let digits = reader.byte()?;
    match minute <= 59 && second <= 59 && micros <= 999_999 && digits <= 6 {
        true => Ok((minute, second, micros, digits)),
        false => Err(Refused::damaged("a time that there is not")),
    }
}

impl Item for Scalar {
    const NAME: &'static str = "scalar";

    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.tag());
        match self {
            Self::Null => {}
            Self::Int(value) => put_signed(out, *value),
            Self::UInt(value) => put_unsigned(out, *value),
            Self::Float(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Double(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Decimal(value) => value.put(out),
            Self::Text(text) => put_bytes(out, text.as_bytes()),
            Self::Bytes(bytes) => put_bytes(out, bytes),
            Self::Date(date) => put_date(out, *date),
            Self::Time(time) => {
                out.push(u8::from(time.negative));
                out.extend_from_slice(&time.hours.to_be_bytes());
                put_clock(out, time.minute, time.second, time.micros, time.digits);
            }
            Self::DateTime(time) => {
                put_date(out, time.date);
                out.push(time.hour);
                put_clock(out, time.minute, time.second, time.micros, time.digits);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        let wrong = || Refused::damaged("a value of an unknown type, or in no form of it");
        Ok(match reader.byte()? {
            0 => Self::Null,
            1 => Self::Int(reader.signed()?),
            2 => match reader.unsigned()? {
                value if i64::try_from(value).is_err() => Self::UInt(value),
                _ => return Err(wrong()),
            },
            3 => Self::Float(f32::from_le_bytes(reader.array()?)),
            4 => Self::Double(reader.double()?),
            5 => Self::Decimal(Decimal::read(reader)?),
            6 => Self::Text(read_text(reader)?),
            7 => Self::Bytes(read_bounded(reader)?.to_vec()),
            8 => Self::Date(read_date(reader)?),
            9 => {
                let negative = match reader.byte()? {
                    sign @ (0 | 1) => sign == 1,
                    _ => return Err(wrong()),
                };
                let hours = u16::from_be_bytes(reader.array()?);
                let (minute, second, micros, digits) = read_clock(reader)?;
                Self::Time(Time {
                    negative,
                    hours,
                    minute,
                    second,
                    micros,
                    digits,
                })
            }
            10 => {
                let date = read_date(reader)?;
                let hour = reader.byte()?;
                let (minute, second, micros, digits) = read_clock(reader)?;
                Self::DateTime(DateTime {
                    date,
                    hour,
                    minute,
                    second,
                    micros,
                    digits,
                })
            }
            _ => return Err(wrong()),
        })
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Decimal(value) => value.heap_bytes(),
            _ => 0,
        }
    }
}
