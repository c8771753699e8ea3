//! What stands at a place (a device and a time): rows of the source, points of IoTDB, in one form for both.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::grid::digest;
use crate::client::Value;
use crate::tablet::SeriesType;

/// Bytes of a value that are kept as they are; of longer ones there are the first, and a digest of all.
const BYTES_MAX: usize = 64;
/// Rows that are kept of one place: a place should have one.
const ROWS_MAX: usize = 4;

/// A value, as it goes over the wire. Bounded, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    first: Box<[u8]>,
    length: usize,
    digest: u128,
}

impl Held {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let is_long = bytes.len() > BYTES_MAX;
        Self {
            first: bytes.iter().take(BYTES_MAX).copied().collect(),
            length: bytes.len(),
            digest: if is_long { digest(&[bytes]) } else { 0 },
        }
    }

    /// For people and programs.
    pub(super) fn json(&self, series_type: SeriesType) -> Json {
        fn number<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
            bytes.try_into().ok()
        }
        let real = |value: f64| match value.is_finite() {
            true => Json::from(value),
            false => Json::from(value.to_string()),
        };
        let bytes = &*self.first;
        let shown = match series_type {
            SeriesType::Boolean => (bytes.len() == 1).then(|| Json::Bool(bytes == [1])),
            SeriesType::Int32 | SeriesType::Date => {
                number(bytes).map(|bytes| i32::from_be_bytes(bytes).into())
            }
            SeriesType::Int64 | SeriesType::Timestamp => {
                number(bytes).map(|bytes| i64::from_be_bytes(bytes).into())
            }
            SeriesType::Float => number(bytes).map(|bytes| {
                let digits = f32::from_be_bytes(bytes).to_string();
                digits.parse().map_or_else(|_| digits.into(), real)
            }),
            SeriesType::Double => number(bytes).map(|bytes| real(f64::from_be_bytes(bytes))),
            SeriesType::Text | SeriesType::String => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                return self.cut_short(text).into();
            }
            SeriesType::Blob => None,
        };
        shown.unwrap_or_else(|| {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            self.cut_short(format!("0x{digits}")).into()
        })
    }

    fn cut_short(&self, text: String) -> String {
        match self.length > BYTES_MAX {
            true => format!("{text}… ({} bytes)", self.length),
            false => text,
        }
    }
}

/// A value of IoTDB as the bytes that the mapping's type has for it; a series of a wider type may hold it. What is no value of
/// that type at all keeps its own form, which no value of the source has.
pub(super) fn bytes_of(value: &Value, series_type: SeriesType) -> Option<Vec<u8>> {
    use SeriesType as Series;
    let whole = match value {
        Value::Int32(value) => Some(i64::from(*value)),
        Value::Int64(value) => Some(*value),
        #[allow(clippy::cast_possible_truncation, reason = "looked at")]
        Value::Float(value) => exact(f64::from(*value)),
        Value::Double(value) => exact(*value),
        Value::Null | Value::Bool(_) | Value::Bytes(_) => None,
    };
    let own = match (value, series_type) {
        (Value::Null, _) => return None,
        (Value::Bool(value), Series::Boolean) => Some(vec![u8::from(*value)]),
        (_, Series::Int32 | Series::Date) => whole
            .and_then(|whole| i32::try_from(whole).ok())
            .map(|whole| whole.to_be_bytes().to_vec()),
        (_, Series::Int64 | Series::Timestamp) => whole.map(|whole| whole.to_be_bytes().to_vec()),
        (Value::Float(value), Series::Float) => Some(one_nan(*value).to_be_bytes().to_vec()),
        (Value::Double(value), Series::Float) => narrow(*value),
        (Value::Double(value), Series::Double) => Some(match value.is_nan() {
            true => f64::NAN.to_be_bytes().to_vec(),
            false => value.to_be_bytes().to_vec(),
        }),
        (Value::Bytes(bytes), Series::Text | Series::String | Series::Blob) => Some(bytes.to_vec()),
        _ => None,
    };
    Some(own.unwrap_or_else(|| {
        let mut other = vec![0xff; 9];
        other.extend(format!("{value:?}").into_bytes());
        other
    }))
}

fn one_nan(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value }
}

fn exact(value: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "looked at")]
    let whole = value as i64;
    #[allow(clippy::cast_precision_loss, reason = "looked at")]
    let is_whole = whole as f64 == value && whole != i64::MAX;
    is_whole.then_some(whole)
}

fn narrow(value: f64) -> Option<Vec<u8>> {
    #[allow(clippy::cast_possible_truncation, reason = "looked at")]
    let float = value as f32;
    let is_same = f64::from(float) == value || value.is_nan();
    is_same.then(|| one_nan(float).to_be_bytes().to_vec())
}

/// A row of the source.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SourceRow {
    pub(super) key: Map<String, Json>,
    /// By field; none: NULL.
    pub(super) values: Vec<Option<Held>>,
}

/// Where something stands.
pub(super) type PlaceId = (String, i64);

/// What stands there on both sides.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Place {
    pub(super) rows: Vec<SourceRow>,
    /// Rows beyond those that are kept.
    pub(super) more_rows: u32,
    /// The key of a row that has this place, and is refused.
    pub(super) refused: Option<Map<String, Json>>,
    /// IoTDB's points by field; empty: it has no row here.
    pub(super) points: Vec<Option<Held>>,
}

/// Places, in the order of device and time.
pub(super) type Places = BTreeMap<PlaceId, Place>;

impl Place {
    pub(super) fn add_row(&mut self, row: SourceRow) {
        if self.rows.len() < ROWS_MAX {
            // In whatever order they were read, the same rows are the same place.
            let at = self
                .rows
                .partition_point(|known| format!("{:?}", known.key) < format!("{:?}", row.key));
            self.rows.insert(at, row);
        } else {
            self.more_rows += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_compare_by_their_type_and_bits() {
        let bytes = |value, kind| bytes_of(&value, kind).unwrap();
        use SeriesType as Series;
        assert_eq!(bytes_of(&Value::Null, Series::Double), None);
        assert_eq!(
            bytes(Value::Int32(-7), Series::Int32),
            (-7i32).to_be_bytes()
        );
        // Series of a wider type hold the same value.
        assert_eq!(
            bytes(Value::Int64(-7), Series::Int32),
            (-7i32).to_be_bytes()
        );
        assert_eq!(
            bytes(Value::Double(-7.0), Series::Int32),
            (-7i32).to_be_bytes()
        );
        assert_eq!(
            bytes(Value::Double(0.5), Series::Float),
            0.5f32.to_be_bytes()
        );
        assert_ne!(
            bytes(Value::Double(-7.5), Series::Int32),
            (-7i32).to_be_bytes()
        );
        assert_ne!(
            bytes(Value::Double(0.1), Series::Float),
            0.1f32.to_be_bytes()
        );
        assert_ne!(
            bytes(Value::Int64(i64::from(i32::MAX) + 1), Series::Int32),
            i32::MIN.to_be_bytes()
        );
        // Zero has two signs, and no number has one form.
        assert_ne!(
            bytes(Value::Double(-0.0), Series::Double),
            bytes(Value::Double(0.0), Series::Double)
        );
        let other = f64::from_bits(f64::NAN.to_bits() | 5);
        assert_eq!(
            bytes(Value::Double(other), Series::Double),
            bytes(Value::Double(f64::NAN), Series::Double)
        );
        assert_ne!(bytes(Value::Bool(true), Series::Text), b"true");
        assert_ne!(bytes(Value::Bool(true), Series::Int32), 1i32.to_be_bytes());
    }

    #[test]
    fn long_values_are_told_apart_by_all_their_bytes() {
        let long = |last: u8| {
            let mut bytes = vec![b'a'; 10_000];
            bytes.push(last);
            Held::new(&bytes)
        };
        assert_eq!(long(1), long(1));
        assert_ne!(long(1), long(2));
        assert!(long(1).first.len() <= BYTES_MAX);
        assert_eq!(Held::new(b"short").json(SeriesType::Text), "short");
        assert_eq!(Held::new(&[1, 255]).json(SeriesType::Blob), "0x01ff");
        assert_eq!(
            Held::new(&0.1f32.to_be_bytes()).json(SeriesType::Float),
            0.1
        );
    }
}
