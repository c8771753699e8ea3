//! JSON strings, escaped as Jackson's UTF-8 generator does it, which is what Maxwell's consumers know: `\"`, `\\`,
//! `\b`, `\t`, `\n`, `\f`, `\r`; other control characters as `\u001F` with upper-case digits; characters beyond the
//! basic plane as two surrogate escapes; everything else (`/`, DEL, U+2028, é) as it is.

use crate::append;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `text` as a JSON string with its quotes.
#[inline]
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    if let Some(short) = append::load_short(text.as_bytes())
        && is_clean(short, text.len())
    {
        out.push(b'"');
        append::push_front(out, &short.to_le_bytes(), text.len());
    } else {
        out.push(b'"');
        push_escaped(out, text);
    }
    out.push(b'"');
}

/// Whether none of the first `length` bytes of `short` needs an escape.
#[inline]
#[allow(
    clippy::cast_possible_truncation,
    reason = "each half is taken by itself"
)]
fn is_clean(short: u128, length: usize) -> bool {
    let padded = if length < 16 {
        short | SPACES << (length * 8)
    } else {
        short
    };
    dirty(padded as u64) | dirty((padded >> 64) as u64) == 0
}

/// Appends `text` as the inside of a JSON string.
#[inline]
pub fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let clean = clean_length(bytes);
    if clean == bytes.len() {
        out.extend_from_slice(bytes);
    } else {
        push_from(out, text, clean);
    }
}

/// Appends `text`, whose bytes before `clean` need no escape and whose byte there does.
#[cold]
#[inline(never)]
fn push_from(out: &mut Vec<u8>, text: &str, clean: usize) {
    let mut rest = text.as_bytes();
    let mut clean = clean;
    loop {
        let (run, tail) = rest.split_at(clean);
        out.extend_from_slice(run);
        let Some(&byte) = tail.first() else { return };
        let taken = if byte < 0x80 {
            push_short(out, byte);
            1
        } else {
            push_surrogates(out, tail);
            4
        };
        rest = tail.get(taken..).unwrap_or_default();
        clean = clean_length(rest);
    }
}

fn push_short(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 0xf)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends the four-byte character that `bytes` begins with as two escapes.
fn push_surrogates(out: &mut Vec<u8>, bytes: &[u8]) {
    let part = |index: usize| u32::from(bytes.get(index).copied().unwrap_or_default());
    let code = (part(0) & 0x7) << 18 | (part(1) & 0x3f) << 12 | (part(2) & 0x3f) << 6;
    let above = (code | part(3) & 0x3f).wrapping_sub(0x1_0000);
    for unit in [0xd800 | above >> 10 & 0x3ff, 0xdc00 | above & 0x3ff] {
        out.extend_from_slice(b"\\u");
        for shift in [12, 8, 4, 0] {
            out.push(HEX[(unit >> shift & 0xf) as usize]);
        }
    }
}

const SPACES: u128 = (LOW as u128 | (LOW as u128) << 64) * 0x20;
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A set high bit for each of eight bytes that needs an escape. Exact up to the lowest set bit, which is all that is
/// asked of it: a borrow can only reach upwards.
#[inline]
const fn dirty(word: u64) -> u64 {
    const fn zero_bytes(word: u64) -> u64 {
        word.wrapping_sub(LOW) & !word
    }
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    let quote = zero_bytes(word ^ (LOW * 0x22));
    let backslash = zero_bytes(word ^ (LOW * 0x5c));
    let beyond_bmp = word & word << 1 & word << 2 & word << 3;
    (control | quote | backslash | beyond_bmp) & HIGH
}

/// How many bytes at the beginning need no escape. Whole blocks first, in which the processor looks at many bytes at
/// once; then eight bytes at a time, the last eight once more with an overlap.
#[inline]
fn clean_length(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<32>();
    let is_dirty = |block: &[u8; 32]| {
        let (words, _) = block.as_chunks::<8>();
        words
            .iter()
            .fold(0, |all, word| all | dirty(u64::from_le_bytes(*word)))
            != 0
    };
    let before = blocks.iter().position(is_dirty).unwrap_or(blocks.len()) * 32;
    let (words, tail) = bytes.split_at(before).1.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let dirty = dirty(u64::from_le_bytes(*word));
        if dirty != 0 {
            return before + index * 8 + dirty.trailing_zeros() as usize / 8;
        }
    }
    if tail.is_empty() {
        return bytes.len();
    }
    if let Some(last) = bytes.last_chunk::<8>() {
        let dirty = dirty(u64::from_le_bytes(*last));
        return if dirty == 0 {
            bytes.len()
        } else {
            bytes.len() - 8 + dirty.trailing_zeros() as usize / 8
        };
    }
    let special = tail.iter().position(|byte| needs_escape(*byte));
    special.unwrap_or(bytes.len())
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0xf0
}

/// Appends a JSON document on one line. Compact JSON has no control character and is copied; MariaDB keeps a
/// document's text as it was written, line breaks included, and those between its tokens are dropped.
pub fn push_json_document(out: &mut Vec<u8>, json: &str) {
    let bytes = json.as_bytes();
    if json.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    if bytes
        .iter()
        .fold(true, |clean, byte| clean & (*byte >= 0x20))
    {
        out.extend_from_slice(bytes);
        return;
    }
    let (mut in_string, mut after_backslash) = (false, false);
    for &byte in bytes {
        if byte < 0x20 {
            if in_string {
                push_short(out, byte);
            }
            after_backslash = false;
            continue;
        }
        out.push(byte);
        if after_backslash {
            after_backslash = false;
        } else if byte == b'\\' {
            after_backslash = in_string;
        } else if byte == b'"' {
            in_string = !in_string;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Jackson does, character by character, without any cleverness.
    fn slow(text: &str) -> String {
        let mut out = String::from("\"");
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\u{8}' => out.push_str("\\b"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\u{c}' => out.push_str("\\f"),
                '\r' => out.push_str("\\r"),
                c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04X}", u32::from(c))),
                c if u32::from(c) > 0xffff => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04X}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
        out
    }

    fn fast(text: &str) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    fn document(json: &str) -> String {
        let mut out = Vec::new();
        push_json_document(&mut out, json);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind_of_escape_has_jacksons_form() {
        assert_eq!(
            fast("a\"b\\c/d\u{7f}\u{2028}"),
            "\"a\\\"b\\\\c/d\u{7f}\u{2028}\""
        );
        assert_eq!(
            fast("\u{8}\t\n\u{c}\r\u{0}\u{1f}"),
            r#""\b\t\n\f\r\u0000\u001F""#
        );
        assert_eq!(fast("é東京😀"), r#""é東京\uD83D\uDE00""#);
        assert_eq!(fast("\u{10ffff}\u{10000}"), r#""\uDBFF\uDFFF\uD800\uDC00""#);
    }

    #[test]
    fn every_byte_is_judged_alike_by_word_and_alone_at_each_place() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut word = [b'a'; 8];
                word[place] = byte;
                let found = dirty(u64::from_le_bytes(word));
                assert_eq!(found != 0, needs_escape(byte), "byte {byte:#x} at {place}");
                if found != 0 {
                    assert_eq!(found.trailing_zeros() as usize / 8, place);
                }
            }
        }
    }

    #[test]
    fn a_document_stays_on_one_line() {
        assert_eq!(document("{\"a\":1}"), "{\"a\":1}");
        assert_eq!(document("{\n\t\"a\\\"\n\": \r\n1}"), "{\"a\\\"\\n\": 1}");
        assert_eq!(document(""), "null");
    }

    proptest! {
        #[test]
        fn any_string_equals_the_slow_encoder_and_parses_back(
            text in "[a-zé\"\\\\\\x00-\\x1f東😀 ]{0,40}|\\PC{0,80}"
        ) {
            let encoded = fast(&text);
            prop_assert_eq!(&encoded, &slow(&text));
            prop_assert_eq!(serde_json::from_str::<String>(&encoded).unwrap(), text);
        }
    }
}
