//! One cell as a JSON value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_core::value::Cell;

use crate::{append, escape, java_float, temporal, wkt};

/// Appends the value of `cell`. A cell that is absent has none; asked for all the same, it is null.
#[inline]
pub(super) fn push(out: &mut Vec<u8>, cell: &Cell<'_>) {
    match *cell {
        Cell::Absent | Cell::Null => out.extend_from_slice(b"null"),
        Cell::Int(value) => append::push_int(out, value),
        Cell::UInt(value) => append::push_uint(out, value),
        Cell::Float(value) => java_float::push_float(out, value),
        Cell::Double(value) => java_float::push_double(out, value),
        Cell::Decimal(digits) => append::push_short(out, digits.as_bytes()),
        Cell::Text(text) => escape::push_string(out, text),
        Cell::Bytes(bytes) => push_base64(out, bytes),
        Cell::Date(value) => temporal::push_date(out, value),
        Cell::Time(value) => temporal::push_time(out, value),
        Cell::DateTime(value) | Cell::Timestamp(value) => temporal::push_datetime(out, value),
        Cell::Json(json) => escape::push_json_document(out, json),
        Cell::Set(labels) => push_set(out, labels),
        Cell::Geometry(geometry) => push_geometry(out, geometry),
        Cell::Vector(floats) => push_vector(out, floats),
    }
}

#[inline(never)]
fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    // The length was made to fit, so there is no error to tell.
    let written = out
        .get_mut(start..)
        .map(|place| STANDARD.encode_slice(bytes, place));
    debug_assert!(matches!(written, Some(Ok(length)) if start + length == out.len()));
    out.push(b'"');
}

#[inline(never)]
fn push_set(out: &mut Vec<u8>, labels: &str) {
    out.push(b'[');
    if !labels.is_empty() {
        for (index, label) in labels.split(',').enumerate() {
            if index > 0 {
                out.push(b',');
            }
            escape::push_string(out, label);
        }
    }
    out.push(b']');
}

#[inline(never)]
fn push_geometry(out: &mut Vec<u8>, geometry: &[u8]) {
    let start = out.len();
    out.push(b'"');
    if wkt::push_wkt(out, geometry).is_some() {
        out.push(b'"');
    } else {
        out.truncate(start);
        push_base64(out, geometry);
    }
}

#[inline(never)]
fn push_vector(out: &mut Vec<u8>, floats: &[u8]) {
    let (numbers, rest) = floats.as_chunks::<4>();
    if !rest.is_empty() {
        push_base64(out, floats);
        return;
    }
    out.push(b'[');
    for (index, bytes) in numbers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        java_float::push_float(out, f32::from_le_bytes(*bytes));
    }
    out.push(b']');
}

/// Whether two cells of one column have the same text. Of floating point that means the same bits: zero has two signs.
#[inline]
pub(super) fn same(a: &Cell<'_>, b: &Cell<'_>) -> bool {
    match (a, b) {
        (Cell::Double(a), Cell::Double(b)) => a.to_bits() == b.to_bits(),
        (Cell::Float(a), Cell::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

/// Whether it is a date without a year, a month or a day.
#[inline]
pub(super) fn is_zero_date(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Date(date) => date.year == 0 || date.month == 0 || date.day == 0,
        Cell::DateTime(value) | Cell::Timestamp(value) => is_zero_date(&Cell::Date(value.date)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_core::value::{Date, DateTime, Time};

    fn text(cell: Cell<'_>) -> String {
        let mut out = Vec::new();
        push(&mut out, &cell);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_keep_every_digit() {
        assert_eq!(text(Cell::Int(i64::MIN)), "-9223372036854775808");
        assert_eq!(text(Cell::UInt(u64::MAX)), "18446744073709551615");
        assert_eq!(text(Cell::Decimal("0.0000000")), "0.0000000");
        assert_eq!(text(Cell::Decimal("-3.1415900000")), "-3.1415900000");
        assert_eq!(text(Cell::Double(1e20)), "1.0E20");
        assert_eq!(text(Cell::Float(0.1)), "0.1");
    }

    #[test]
    fn bytes_are_padded_base64_with_a_binary_columns_zeros() {
        assert_eq!(text(Cell::Bytes(&[])), "\"\"");
        assert_eq!(text(Cell::Bytes(&[0, 1, 2, 3])), "\"AAECAw==\"");
        assert_eq!(
            text(Cell::Bytes(&[0, 1, 2, 3, 0, 0, 0, 0, 0, 0])),
            "\"AAECAwAAAAAAAA==\""
        );
    }

    #[test]
    fn dates_and_times_are_shown_as_they_are_stored() {
        let date = Date {
            year: 3,
            month: 0,
            day: 0,
        };
        let stored = DateTime {
            date,
            second: 1,
            ..DateTime::default()
        };
        assert_eq!(text(Cell::DateTime(stored)), "\"0003-00-00 00:00:01\"");
        assert_eq!(text(Cell::Date(Date::default())), "\"0000-00-00\"");
        let time = Time {
            negative: true,
            hours: 838,
            minute: 59,
            second: 59,
            micros: 0,
            digits: 0,
        };
        assert_eq!(text(Cell::Time(time)), "\"-838:59:59\"");
        assert_eq!(
            text(Cell::Time(Time {
                digits: 3,
                ..Time::default()
            })),
            "\"00:00:00.000\""
        );
    }

    #[test]
    fn a_set_is_an_array_of_its_labels() {
        assert_eq!(text(Cell::Set("")), "[]");
        assert_eq!(text(Cell::Set("a")), r#"["a"]"#);
        assert_eq!(text(Cell::Set("a,\"b\"")), r#"["a","\"b\""]"#);
    }

    #[test]
    fn json_is_inserted_as_it_is() {
        assert_eq!(
            text(Cell::Json(r#"{"a":["😀",1.50]}"#)),
            r#"{"a":["😀",1.50]}"#
        );
    }

    #[test]
    fn a_geometry_is_text_and_a_broken_one_its_bytes() {
        let mut point = vec![0, 0, 0, 0, 1, 1, 0, 0, 0];
        point.extend(30.5f64.to_le_bytes());
        point.extend((-10f64).to_le_bytes());
        assert_eq!(text(Cell::Geometry(&point)), "\"POINT (30.5 -10)\"");
        assert_eq!(text(Cell::Geometry(&[1, 2])), "\"AQI=\"");
    }

    #[test]
    fn a_vector_is_an_array_of_numbers() {
        let bytes = [1f32, -0.5, 1e10].map(f32::to_le_bytes).concat();
        assert_eq!(text(Cell::Vector(&bytes)), "[1.0,-0.5,1.0E10]");
        assert_eq!(text(Cell::Vector(&[])), "[]");
        assert_eq!(text(Cell::Vector(&[1])), "\"AQ==\"");
    }

    #[test]
    fn zeros_of_both_signs_differ_as_their_texts_do() {
        assert!(!same(&Cell::Double(0.0), &Cell::Double(-0.0)));
        assert!(same(&Cell::Double(f64::NAN), &Cell::Double(f64::NAN)));
        assert!(!same(&Cell::Null, &Cell::Text("")));
    }
}
