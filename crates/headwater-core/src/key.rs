//! Keys: the owned values that identify a row, and ranges between them. They bound splits, are the cursors of
//! checkpoints, and merge a chunk's rows with the log's changes.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::batch::Image;
use crate::schema::TableSchema;
use crate::value::{Cell, Date, DateTime, Time};

/// One value of a key. Equality is identity (canonical bytes): `a` and `A` are two keys, whatever the collation says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyValue {
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A floating point number, by its bits.
    Float(u64),
    /// A decimal in plain digits.
    Decimal(String),
    /// Text, in UTF-8.
    Text(String),
    /// Bytes, in checkpoints as hexadecimal digits.
    #[serde(with = "hex")]
    Bytes(Vec<u8>),
    /// A date.
    Date(Date),
    /// A duration.
    Time(Time),
    /// A date and time.
    DateTime(DateTime),
    /// NULL: only in keys of tables that have none that can be relied on.
    Null,
}

impl KeyValue {
    /// The key value of a cell.
    #[must_use]
    pub fn of(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Absent | Cell::Null => Self::Null,
            Cell::Int(value) => Self::Int(value),
            Cell::UInt(value) => Self::UInt(value),
            Cell::Float(value) => Self::Float(f64::from(value).to_bits()),
            Cell::Double(value) => Self::Float(value.to_bits()),
            Cell::Decimal(value) => Self::Decimal(value.to_owned()),
            Cell::Text(value) | Cell::Json(value) | Cell::Set(value) => {
                Self::Text(value.to_owned())
            }
            Cell::Bytes(value) | Cell::Geometry(value) | Cell::Vector(value) => {
                Self::Bytes(value.to_vec())
            }
            Cell::Date(value) => Self::Date(value),
            Cell::Time(value) => Self::Time(value),
            Cell::DateTime(value) | Cell::Timestamp(value) => Self::DateTime(value),
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::UInt(a), Self::UInt(b)) => a.cmp(b),
            (Self::Int(a), Self::UInt(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (Self::UInt(a), Self::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (Self::Float(a), Self::Float(b)) => f64::from_bits(*a).total_cmp(&f64::from_bits(*b)),
            (Self::Decimal(a), Self::Decimal(b)) => compare_decimals(a, b),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Time(a), Self::Time(b)) => a.cmp(b),
            (Self::DateTime(a), Self::DateTime(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Int(_) | Self::UInt(_) => 1,
            Self::Float(_) => 2,
            Self::Decimal(_) => 3,
            Self::Text(_) => 4,
            Self::Bytes(_) => 5,
            Self::Date(_) => 6,
            Self::Time(_) => 7,
            Self::DateTime(_) => 8,
        }
    }
}

/// Compares two decimals of one column (same scale) in plain digits.
fn compare_decimals(a: &str, b: &str) -> Ordering {
    let (a_negative, a_digits) = a
        .strip_prefix('-')
        .map_or((false, a), |digits| (true, digits));
    let (b_negative, b_digits) = b
        .strip_prefix('-')
        .map_or((false, b), |digits| (true, digits));
    let magnitude = || {
        let whole = |digits: &str| digits.find('.').unwrap_or(digits.len());
        whole(a_digits)
            .cmp(&whole(b_digits))
            .then_with(|| a_digits.cmp(b_digits))
    };
    let zero = |digits: &str| digits.bytes().all(|digit| digit == b'0' || digit == b'.');
    match (a_negative && !zero(a_digits), b_negative && !zero(b_digits)) {
        (false, false) => magnitude(),
        (true, true) => magnitude().reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// The values of a row's key columns, in key order. Its order is the server's for integer, decimal, temporal and binary
/// columns; collated text compares by the server only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Vec<KeyValue>);

impl Key {
    /// The key of a row image; none where the table has no key.
    #[must_use]
    pub fn of(image: &Image<'_>) -> Option<Self> {
        let schema: &TableSchema = image.schema();
        if schema.key.is_empty() {
            return None;
        }
        Some(Self(
            schema
                .key
                .iter()
                .map(|&column| KeyValue::of(image.cell(column)))
                .collect(),
        ))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = self.0.iter().zip(&other.0);
        parts
            .map(|(a, b)| a.compare(b))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, value) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match value {
                KeyValue::Int(value) => write!(f, "{value}")?,
                KeyValue::UInt(value) => write!(f, "{value}")?,
                KeyValue::Float(bits) => write!(f, "{}", f64::from_bits(*bits))?,
                KeyValue::Decimal(value) => f.write_str(value)?,
                KeyValue::Text(value) => write!(f, "{value:?}")?,
                KeyValue::Bytes(value) => write!(f, "x'{}'", hex::encode(value))?,
                KeyValue::Date(value) => write!(f, "{value}")?,
                KeyValue::Time(value) => write!(f, "{value}")?,
                KeyValue::DateTime(value) => write!(f, "{value}")?,
                KeyValue::Null => f.write_str("NULL")?,
            }
        }
        f.write_str(")")
    }
}

/// The keys after one (exclusive) up to another (inclusive); open where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyRange {
    /// Exclusive lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Key>,
    /// Inclusive upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Key>,
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn encode(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let pairs = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        pairs
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect()
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(input)?;
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|digit| {
                digit
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            })
            .collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => Ok(digits
                .chunks(2)
                .map(|pair| pair[0] << 4 | pair[1])
                .collect()),
            _ => Err(D::Error::custom("not hexadecimal digits in pairs")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_compare_by_value() {
        let mut sorted = [
            "-10.50", "-9.99", "-0.01", "0.00", "0.50", "9.99", "10.00", "100.00",
        ];
        sorted.reverse();
        sorted.sort_by(|a, b| compare_decimals(a, b));
        assert_eq!(
            sorted,
            [
                "-10.50", "-9.99", "-0.01", "0.00", "0.50", "9.99", "10.00", "100.00"
            ]
        );
        assert_eq!(compare_decimals("-0.00", "0.00"), Ordering::Equal);
    }

    #[test]
    fn a_key_survives_its_readable_form() {
        let key = Key(vec![
            KeyValue::Int(-5),
            KeyValue::UInt(u64::MAX),
            KeyValue::Bytes(vec![0, 255]),
            KeyValue::Text("Ä".into()),
            KeyValue::DateTime(DateTime::from_unix(1_700_000_000, 120_000, 3)),
            KeyValue::Time(Time {
                negative: true,
                hours: 838,
                micros: 1,
                digits: 6,
                ..Time::default()
            }),
            KeyValue::Date(Date {
                year: 2024,
                month: 2,
                day: 29,
            }),
        ]);
        let text = serde_json::to_string(&key).unwrap();
        assert!(text.contains("\"2023-11-14 22:13:20.120\""), "{text}");
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
    }
}
