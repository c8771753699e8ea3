//! JSON: MySQL's binary form (in the log) and its text form (in results), both to one compact text.
//!
//! The compact text is the server's own `SELECT` text without the space after `:` and `,`. Sources: the comment at the
//! head of the server's `sql/json_binary.h`, `Json_wrapper::to_string` in `sql/json_dom.cc`, `my_gcvt` in
//! `strings/dtoa.cc`.

#![allow(
    clippy::cast_possible_truncation,
    reason = "values are masked or reduced by a remainder before they are narrowed"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use headwater_core::Result;
use headwater_core::value::{Date, DateTime};

use super::decimal::PackedDecimal;
use super::event::wire_type as ty;
use super::reader::Reader;
use super::{malformed, temporal};

/// The deepest nesting that the server accepts.
const DEPTH_MAX: u32 = 100;

/// Appends a binary JSON document as compact text. No bytes at all are `null`, as for the server.
///
/// # Errors
/// `Malformed` if the bytes are no document.
pub fn write(bytes: &[u8], out: &mut String) -> Result<()> {
    let Some((&kind, body)) = bytes.split_first() else {
        out.push_str("null");
        return Ok(());
    };
    Writer {
        out,
        budget: bytes.len(),
    }
    .value(kind, body, 0)
}

struct Writer<'a> {
    out: &'a mut String,
    /// Bytes of the document that may still be used: each is used once at most, so that crafted offsets cannot make a
    /// small document large.
    budget: usize,
}

mod kind {
    pub(super) const SMALL_OBJECT: u8 = 0x0;
    pub(super) const LARGE_OBJECT: u8 = 0x1;
    pub(super) const SMALL_ARRAY: u8 = 0x2;
    pub(super) const LARGE_ARRAY: u8 = 0x3;
    pub(super) const LITERAL: u8 = 0x4;
    pub(super) const INT16: u8 = 0x5;
    pub(super) const UINT16: u8 = 0x6;
    pub(super) const INT32: u8 = 0x7;
    pub(super) const UINT32: u8 = 0x8;
    pub(super) const INT64: u8 = 0x9;
    pub(super) const UINT64: u8 = 0xA;
    pub(super) const DOUBLE: u8 = 0xB;
    pub(super) const STRING: u8 = 0xC;
    pub(super) const OPAQUE: u8 = 0xF;
}

/// An object's or array's frame.
#[derive(Clone, Copy)]
struct Container<'a> {
    body: &'a [u8],
    /// Two bytes an offset, or four.
    wide: bool,
    count: usize,
    is_object: bool,
}

impl<'a> Container<'a> {
    fn parse(body: &'a [u8], wide: bool, is_object: bool) -> Result<Self> {
        let width = if wide { 4 } else { 2 };
        let mut reader = Reader::new(body);
        let count = reader.uint(width)? as usize;
        let size = reader.uint(width)? as usize;
        let body = body
            .get(..size)
            .ok_or_else(|| malformed("a JSON container is torn"))?;
        let entry = 1 + width + if is_object { width + 2 } else { 0 };
        if count.saturating_mul(entry) > body.len() {
            return Err(malformed("a JSON container has more members than room"));
        }
        Ok(Self {
            body,
            wide,
            count,
            is_object,
        })
    }

    fn width(&self) -> usize {
        if self.wide { 4 } else { 2 }
    }

    fn at(&self, offset: usize) -> Result<Reader<'a>> {
        let rest = self.body.get(offset..);
        rest.map(Reader::new)
            .ok_or_else(|| malformed("a JSON offset points outside"))
    }

    fn key(&self, index: usize) -> Result<&'a [u8]> {
        let mut entry = self.at(2 * self.width() + index * (self.width() + 2))?;
        let offset = entry.uint(self.width())? as usize;
        let length = usize::from(entry.u16()?);
        self.at(offset)?.take(length)
    }

    /// The kind of a member, and its bytes: inline or elsewhere.
    fn member(&self, index: usize) -> Result<(u8, &'a [u8])> {
        let keys = if self.is_object {
            self.count * (self.width() + 2)
        } else {
            0
        };
        let mut entry = self.at(2 * self.width() + keys + index * (1 + self.width()))?;
        let kind = entry.u8()?;
        let inline = matches!(kind, kind::LITERAL | kind::INT16 | kind::UINT16)
            || (self.wide && matches!(kind, kind::INT32 | kind::UINT32));
        if inline {
            return Ok((kind, entry.take(self.width())?));
        }
        let offset = entry.uint(self.width())? as usize;
        Ok((kind, self.at(offset)?.rest()))
    }
}

impl Writer<'_> {
    fn spend(&mut self, bytes: usize) -> Result<()> {
        match self.budget.checked_sub(bytes) {
            Some(rest) => {
                self.budget = rest;
                Ok(())
            }
            None => Err(malformed("a JSON document uses its bytes twice")),
        }
    }

    fn value(&mut self, kind: u8, body: &[u8], depth: u32) -> Result<()> {
        self.spend(1)?;
        let mut reader = Reader::new(body);
        match kind {
            kind::SMALL_OBJECT | kind::LARGE_OBJECT | kind::SMALL_ARRAY | kind::LARGE_ARRAY => {
                if depth >= DEPTH_MAX {
                    return Err(malformed("a JSON document is nested too deeply"));
                }
                let wide = matches!(kind, kind::LARGE_OBJECT | kind::LARGE_ARRAY);
                let is_object = matches!(kind, kind::SMALL_OBJECT | kind::LARGE_OBJECT);
                self.container(Container::parse(body, wide, is_object)?, depth)?;
            }
            kind::LITERAL => self.out.push_str(match reader.u8()? {
                0 => "null",
                1 => "true",
                2 => "false",
                _ => return Err(malformed("a JSON literal is unknown")),
            }),
            kind::INT16 => self.int(i64::from(reader.u16()?.cast_signed())),
            kind::UINT16 => self.uint(u64::from(reader.u16()?)),
            kind::INT32 => self.int(i64::from(reader.u32()?.cast_signed())),
            kind::UINT32 => self.uint(u64::from(reader.u32()?)),
            kind::INT64 => self.int(reader.u64()?.cast_signed()),
            kind::UINT64 => self.uint(reader.u64()?),
            kind::DOUBLE => write_double(f64::from_bits(reader.u64()?), self.out),
            kind::STRING => {
                let length = varlen(&mut reader)?;
                let bytes = reader.take(length)?;
                self.spend(length)?;
                write_string(bytes, self.out);
            }
            kind::OPAQUE => {
                let native = reader.u8()?;
                let length = varlen(&mut reader)?;
                let bytes = reader.take(length)?;
                self.spend(length)?;
                write_opaque(native, bytes, self.out)?;
            }
            _ => return Err(malformed("a JSON value has an unknown kind").with("kind", kind)),
        }
        Ok(())
    }

    fn container(&mut self, container: Container<'_>, depth: u32) -> Result<()> {
        self.out.push(if container.is_object { '{' } else { '[' });
        for index in 0..container.count {
            if index > 0 {
                self.out.push(',');
            }
            if container.is_object {
                let key = container.key(index)?;
                self.spend(key.len())?;
                write_string(key, self.out);
                self.out.push(':');
            }
            let (kind, body) = container.member(index)?;
            self.value(kind, body, depth + 1)?;
        }
        self.out.push(if container.is_object { '}' } else { ']' });
        Ok(())
    }

    fn int(&mut self, value: i64) {
        self.out.push_str(itoa::Buffer::new().format(value));
    }

    fn uint(&mut self, value: u64) {
        self.out.push_str(itoa::Buffer::new().format(value));
    }
}

/// A length of seven bits a byte, lowest first; the high bit says that more follow.
fn varlen(reader: &mut Reader<'_>) -> Result<usize> {
    let mut length: usize = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = reader.u8()?;
        length |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(malformed("a JSON length is too long"))
}

/// Appends a string in quotes, escaped as the server does (`double_quote` in `json_dom.cc`).
pub(crate) fn write_string(bytes: &[u8], out: &mut String) {
    out.push('"');
    match std::str::from_utf8(bytes) {
        Ok(text) => escape(text, out),
        Err(_) => escape(&String::from_utf8_lossy(bytes), out),
    }
    out.push('"');
}

fn escape(text: &str, out: &mut String) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\'))
    {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\t') => out.push_str("\\t"),
            Some('\n') => out.push_str("\\n"),
            Some('\u{C}') => out.push_str("\\f"),
            Some('\r') => out.push_str("\\r"),
            Some(control) => {
                out.push_str("\\u00");
                let code = u32::from(control) as usize;
                out.extend(DIGITS.get(code >> 4 & 0xF));
                out.extend(DIGITS.get(code & 0xF));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// A value of one of the server's own types within a document.
fn write_opaque(native: u8, bytes: &[u8], out: &mut String) -> Result<()> {
    let mut reader = Reader::new(bytes);
    let mut text = Vec::with_capacity(32);
    match native {
        ty::NEWDECIMAL | ty::DECIMAL => {
            let [precision, scale] = reader.array()?;
            let packed = PackedDecimal::new(precision, scale)
                .ok_or_else(|| malformed("a JSON decimal has an impossible precision"))?;
            return packed.write(reader.rest(), out);
        }
        ty::DATE | ty::NEWDATE => unpack_datetime(reader.u64()?).date.write(&mut text),
        ty::DATETIME | ty::TIMESTAMP | ty::DATETIME2 | ty::TIMESTAMP2 => {
            unpack_datetime(reader.u64()?).write(&mut text)
        }
        ty::TIME | ty::TIME2 => {
            let bits = reader.u64()?.cast_signed();
            let size = bits.unsigned_abs();
            temporal::split_time(bits < 0, size >> 24, (size & 0xFF_FFFF) as u32, 6)
                .write(&mut text);
        }
        native => {
            out.push_str("\"base64:type");
            out.push_str(itoa::Buffer::new().format(native));
            out.push(':');
            // The server's encoder breaks lines after 76 characters; in the JSON string the break is escaped.
            for (index, line) in bytes.chunks(57).enumerate() {
                if index > 0 {
                    out.push_str("\\n");
                }
                BASE64.encode_string(line, out);
            }
            out.push('"');
            return Ok(());
        }
    }
    out.push('"');
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
    out.push('"');
    Ok(())
}

/// A date and time packed into eight bytes: 24 bits of microseconds, then as in the log.
fn unpack_datetime(bits: u64) -> DateTime {
    let mut value = temporal::split_datetime(bits >> 24, (bits & 0xFF_FFFF) as u32, 6);
    value.date = Date {
        year: value.date.year % 10_000,
        ..value.date
    };
    value
}

/// Appends a double as the server prints it in JSON: the shortest digits that give it back; plain from 1e-15 up to
/// 1e15, else with an exponent; with `.0` where neither point nor exponent would show that it is no integer.
pub(crate) fn write_double(value: f64, out: &mut String) {
    if !value.is_finite() {
        // The server refuses them in a document.
        out.push_str("null");
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(value);
    let (sign, shortest) = match shortest.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", shortest),
    };
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = String::with_capacity(24);
    digits.push_str(whole);
    digits.push_str(fraction);
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // The value is 0.DIGITS times ten to the power of `point`.
    let mut point = exponent + i32::try_from(whole.len()).unwrap_or(0);
    let significant = digits.trim_start_matches('0');
    point -= i32::try_from(digits.len() - significant.len()).unwrap_or(0);
    let significant = significant.trim_end_matches('0');
    out.push_str(sign);
    if significant.is_empty() {
        out.push_str("0.0");
        return;
    }
    let length = i32::try_from(significant.len()).unwrap_or(0);
    if point < -14 || (point > 15 && length <= point) {
        write_exponent(significant, point - 1, out);
    } else {
        write_plain(significant, point, out);
    }
}

fn write_exponent(digits: &str, exponent: i32, out: &mut String) {
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    out.push_str(first);
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out.push('e');
    out.push_str(itoa::Buffer::new().format(exponent));
}

fn write_plain(digits: &str, point: i32, out: &mut String) {
    let Ok(before) = usize::try_from(point) else {
        out.push_str("0.");
        out.extend((point..0).map(|_| '0'));
        out.push_str(digits);
        return;
    };
    match digits.split_at_checked(before) {
        Some(("", fraction)) => {
            out.push_str("0.");
            out.push_str(fraction);
        }
        Some((whole, "")) => {
            out.push_str(whole);
            out.push_str(".0");
        }
        Some((whole, fraction)) => {
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        }
        None => {
            out.push_str(digits);
            out.extend((digits.len()..before).map(|_| '0'));
            out.push_str(".0");
        }
    }
}

/// Appends the server's JSON text without the space after `:` and `,`.
///
/// # Errors
/// `Malformed` if the text is no UTF-8.
pub fn compact(text: &[u8], out: &mut String) -> Result<()> {
    let text = std::str::from_utf8(text).map_err(|_| malformed("a JSON text is no UTF-8"))?;
    out.reserve(text.len());
    let mut rest = text;
    // Outside a string: copy up to the next quote or space. A space stands nowhere but where it is to go.
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b' ')) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        if let Some(after) = tail.strip_prefix(' ') {
            rest = after;
            continue;
        }
        let end = string_end(tail);
        let (string, after) = tail.split_at_checked(end).unwrap_or((tail, ""));
        out.push_str(string);
        rest = after;
    }
    out.push_str(rest);
    Ok(())
}

/// The length of the string in quotes that `text` begins with.
fn string_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(value: f64) -> String {
        let mut out = String::new();
        write_double(value, &mut out);
        out
    }

    #[test]
    fn doubles_look_as_mysql_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (123_456_789_012_345_680.0, "1.2345678901234568e17"),
            (1e20, "1e20"),
            (1e-5, "0.00001"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (1.5e-300, "1.5e-300"),
        ] {
            assert_eq!(double(value), text);
        }
    }

    #[test]
    fn a_document_is_written_compactly() {
        // {"a": [1, "x"], "b": null}: keys, then values, offsets from the container's start.
        let array = [2, 0, 12, 0, 5, 1, 0, 12, 10, 0, 1, b'x'];
        let mut body = vec![
            2, 0, 32, 0, 18, 0, 1, 0, 19, 0, 1, 0, 2, 20, 0, 4, 0, 0, b'a', b'b',
        ];
        body.extend_from_slice(&array);
        let mut document = vec![0];
        document.extend_from_slice(&body);
        let mut out = String::new();
        write(&document, &mut out).unwrap();
        assert_eq!(out, r#"{"a":[1,"x"],"b":null}"#);
    }

    #[test]
    fn compaction_leaves_strings_alone() {
        let mut out = String::new();
        compact(br#"{"a": [1, "x, \" : y"], "b c": {}}"#, &mut out).unwrap();
        assert_eq!(out, r#"{"a":[1,"x, \" : y"],"b c":{}}"#);
    }

    #[test]
    fn a_document_that_points_into_itself_ends() {
        // Arrays whose two members both are the array at the same place.
        let mut document = vec![2];
        for _ in 0..60 {
            document.extend_from_slice(&[2, 0, 10, 0, 2, 0, 0, 2, 0, 0]);
        }
        assert!(write(&document, &mut String::new()).is_err());
    }

    proptest! {
        #[test]
        fn doubles_read_back_as_themselves(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            prop_assert_eq!(double(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            _ = write(&bytes, &mut String::new());
            _ = compact(&bytes, &mut String::new());
        }
    }
}
