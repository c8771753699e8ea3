//! Character sets: every one that MySQL and MariaDB offer, decoded to UTF-8 as the server itself converts them.
//!
//! - Single-byte sets: 256-entry tables read off a server (`single_byte`).
//! - Multi-byte sets: flat tables built at first use from `encoding_rs`, with the runs in which the server's mapping
//!   differs laid over them (`differences`). Codes that the server does not map at all, though `encoding_rs` does
//!   (vendor extensions), are decoded rather than lost.
//! - What cannot be decoded becomes U+FFFD and is counted; it is never an error.

mod collations;
mod differences;
mod multi_byte;
mod single_byte;

use std::fmt;

use self::multi_byte::MultiByte;

/// A character set. `Copy`, resolved once for each column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Charset(Kind);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `utf8mb4` and `utf8mb3`.
    Utf8(&'static str),
    /// `binary`: not text. Decoded as UTF-8 where a caller insists.
    Binary,
    Ascii,
    /// The upper 128 bytes; the lower ones are ASCII.
    Single(&'static str, &'static [u16; 128]),
    /// `swe7`, the one set whose lower half is not ASCII.
    Seven(&'static [u16; 256]),
    Multi(MultiByte),
    /// `utf16` and `ucs2`, big-endian.
    Utf16(&'static str),
    Utf16Le,
    Utf32,
}

const SINGLE: [(&str, &[u16; 128]); 23] = {
    use self::single_byte as s;
    [
        ("armscii8", &s::ARMSCII8),
        ("cp1250", &s::CP1250),
        ("cp1251", &s::CP1251),
        ("cp1256", &s::CP1256),
        ("cp1257", &s::CP1257),
        ("cp850", &s::CP850),
        ("cp852", &s::CP852),
        ("cp866", &s::CP866),
        ("dec8", &s::DEC8),
        ("geostd8", &s::GEOSTD8),
        ("greek", &s::GREEK),
        ("hebrew", &s::HEBREW),
        ("hp8", &s::HP8),
        ("keybcs2", &s::KEYBCS2),
        ("koi8r", &s::KOI8R),
        ("koi8u", &s::KOI8U),
        ("latin1", &s::LATIN1),
        ("latin2", &s::LATIN2),
        ("latin5", &s::LATIN5),
        ("latin7", &s::LATIN7),
        ("macce", &s::MACCE),
        ("macroman", &s::MACROMAN),
        ("tis620", &s::TIS620),
    ]
};

impl Charset {
    /// UTF-8 of up to four bytes.
    pub const UTF8MB4: Self = Self(Kind::Utf8("utf8mb4"));
    /// No character set: bytes.
    pub const BINARY: Self = Self(Kind::Binary);

    /// The character set that the server calls `name`, in any letter case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let kind = match name.as_str() {
            "utf8mb4" => Kind::Utf8("utf8mb4"),
            "utf8mb3" | "utf8" => Kind::Utf8("utf8mb3"),
            "binary" => Kind::Binary,
            "ascii" => Kind::Ascii,
            "swe7" => Kind::Seven(&single_byte::SWE7),
            "ucs2" => Kind::Utf16("ucs2"),
            "utf16" => Kind::Utf16("utf16"),
            "utf16le" => Kind::Utf16Le,
            "utf32" => Kind::Utf32,
            name => match SINGLE.iter().find(|(known, _)| *known == name) {
                Some((name, table)) => Kind::Single(name, table),
                None => Kind::Multi(MultiByte::by_name(name)?),
            },
        };
        Some(Self(kind))
    }

    /// The character set of the collation with this number.
    #[must_use]
    pub fn by_collation_id(id: u16) -> Option<Self> {
        Self::by_name(collation(id)?.charset)
    }

    /// The name by which servers know it; `utf8mb3` for what old servers call `utf8`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Utf8(name) | Kind::Single(name, _) | Kind::Utf16(name) => name,
            Kind::Binary => "binary",
            Kind::Ascii => "ascii",
            Kind::Seven(_) => "swe7",
            Kind::Multi(multi) => multi.name(),
            Kind::Utf16Le => "utf16le",
            Kind::Utf32 => "utf32",
        }
    }

    /// Whether this is `binary`: bytes, not text.
    #[must_use]
    pub fn is_binary(self) -> bool {
        self.0 == Kind::Binary
    }

    /// Appends `bytes` to `out` in UTF-8, and says how many places could not be decoded and are U+FFFD there.
    #[inline]
    pub fn decode(self, bytes: &[u8], out: &mut String) -> usize {
        if let Kind::Utf8(_) = self.0
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            out.push_str(text);
            return 0;
        }
        self.decode_other(bytes, out)
    }

    fn decode_other(self, bytes: &[u8], out: &mut String) -> usize {
        match self.0 {
            Kind::Utf8(_) | Kind::Binary => lossy_utf8(bytes, out),
            Kind::Ascii => single(bytes, out, |byte| {
                if byte < 0x80 {
                    char::from(byte)
                } else {
                    char::REPLACEMENT_CHARACTER
                }
            }),
            Kind::Single(_, table) => single(bytes, out, |byte| {
                let code = table.get(usize::from(byte & 0x7F));
                code.map_or(char::REPLACEMENT_CHARACTER, |&code| bmp(code))
            }),
            Kind::Seven(table) => {
                let mut bad = 0;
                for &byte in bytes {
                    let code = table.get(usize::from(byte)).copied();
                    push(out, bmp(code.unwrap_or(0xFFFD)), &mut bad);
                }
                bad
            }
            Kind::Multi(multi) => multi.decode(bytes, out),
            Kind::Utf16(_) => utf16(bytes, out, u16::from_be_bytes),
            Kind::Utf16Le => utf16(bytes, out, u16::from_le_bytes),
            Kind::Utf32 => {
                let (chunks, rest) = bytes.as_chunks::<4>();
                let mut bad = 0;
                for chunk in chunks {
                    let code = char::from_u32(u32::from_be_bytes(*chunk));
                    push(out, code.unwrap_or(char::REPLACEMENT_CHARACTER), &mut bad);
                }
                bad + torn(rest, out)
            }
        }
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charset({})", self.name())
    }
}

/// A collation: an order over a character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collation {
    /// Its number.
    pub id: u16,
    /// Its character set's name.
    pub charset: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// The collation with this number, on MySQL 8.0 to 9.x and MariaDB.
#[must_use]
pub fn collation(id: u16) -> Option<Collation> {
    let index = collations::COLLATIONS
        .binary_search_by_key(&id, |row| row.0)
        .ok()?;
    let &(id, charset, name) = collations::COLLATIONS.get(index)?;
    Some(Collation { id, charset, name })
}

#[inline]
fn bmp(code: u16) -> char {
    char::from_u32(u32::from(code)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[inline]
fn push(out: &mut String, char: char, bad: &mut usize) {
    out.push(char);
    *bad += usize::from(char == char::REPLACEMENT_CHARACTER);
}

/// A set that is ASCII below 0x80: runs of ASCII are copied, the rest mapped byte by byte.
#[inline]
fn single(bytes: &[u8], out: &mut String, map: impl Fn(u8) -> char) -> usize {
    let mut bad = 0;
    let mut rest = bytes;
    loop {
        rest = push_ascii(rest, out);
        let Some((&byte, tail)) = rest.split_first() else {
            return bad;
        };
        push(out, map(byte), &mut bad);
        rest = tail;
    }
}

/// Copies the leading ASCII run of `bytes`, and returns what follows it.
#[inline]
fn push_ascii<'a>(bytes: &'a [u8], out: &mut String) -> &'a [u8] {
    let length = if bytes.is_ascii() {
        bytes.len()
    } else {
        bytes
            .iter()
            .position(|byte| !byte.is_ascii())
            .unwrap_or(bytes.len())
    };
    let (head, tail) = bytes.split_at(length);
    out.push_str(std::str::from_utf8(head).unwrap_or_default());
    tail
}

#[cold]
fn lossy_utf8(bytes: &[u8], out: &mut String) -> usize {
    let mut bad = 0;
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            push(out, char::REPLACEMENT_CHARACTER, &mut bad);
        }
    }
    bad
}

fn utf16(bytes: &[u8], out: &mut String, unit: impl Fn([u8; 2]) -> u16) -> usize {
    let (chunks, rest) = bytes.as_chunks::<2>();
    let mut bad = 0;
    for char in char::decode_utf16(chunks.iter().map(|chunk| unit(*chunk))) {
        push(out, char.unwrap_or(char::REPLACEMENT_CHARACTER), &mut bad);
    }
    bad + torn(rest, out)
}

/// Bytes at the end that do not make a whole code unit.
fn torn(rest: &[u8], out: &mut String) -> usize {
    if rest.is_empty() {
        return 0;
    }
    out.push(char::REPLACEMENT_CHARACTER);
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(charset: &str, bytes: &[u8]) -> (String, usize) {
        let mut out = String::new();
        let bad = Charset::by_name(charset).unwrap().decode(bytes, &mut out);
        (out, bad)
    }

    #[test]
    fn each_collation_names_a_charset_that_is_known() {
        for (id, charset, name) in &collations::COLLATIONS {
            assert!(Charset::by_name(charset).is_some(), "{id} {name}");
            assert_eq!(collation(*id).unwrap().name, *name);
        }
        assert_eq!(Charset::by_collation_id(8).unwrap().name(), "latin1");
        assert_eq!(Charset::by_collation_id(255).unwrap().name(), "utf8mb4");
        assert_eq!(Charset::by_collation_id(2048).unwrap().name(), "utf8mb3");
        assert_eq!(Charset::by_collation_id(0), None);
    }

    #[test]
    fn latin1_is_cp1252_with_five_more_code_points() {
        assert_eq!(decoded("latin1", b"a\x80\x81\x8d\xe9").0, "a€\u{81}\u{8d}é");
    }

    #[test]
    fn multi_byte_sets_follow_the_server() {
        assert_eq!(decoded("gbk", b"\xd6\xd0a\xce\xc4").0, "中a文");
        assert_eq!(decoded("gb2312", b"\xa1\xa4").0, "\u{30FB}");
        assert_eq!(decoded("sjis", b"\x81\x5f\xb1").0, "\\ｱ");
        assert_eq!(decoded("cp932", b"\x81\x5f\x5c").0, "＼\\");
        assert_eq!(decoded("ujis", b"\x8f\xa2\xb7\xa4\xa2\x8e\xb1").0, "~あｱ");
        assert_eq!(decoded("big5", b"\xa4\xa4").0, "中");
        assert_eq!(decoded("euckr", b"\xc7\xd1").0, "한");
        assert_eq!(
            decoded("gb18030", b"\x94\x39\xda\x33\xfe\x59").0,
            "\u{1F4A9}\u{E81E}"
        );
    }

    #[test]
    fn unicode_sets_decode_and_count_what_is_torn() {
        assert_eq!(
            decoded("utf16", b"\xd8\x3d\xde\x00\x00a"),
            ("😀a".to_owned(), 0)
        );
        assert_eq!(
            decoded("utf16le", b"a\x00\x3d\xd8"),
            ("a\u{FFFD}".to_owned(), 1)
        );
        assert_eq!(decoded("ucs2", b"\x00a\x00"), ("a\u{FFFD}".to_owned(), 1));
        assert_eq!(decoded("utf32", b"\x00\x01\xf6\x00"), ("😀".to_owned(), 0));
        assert_eq!(decoded("utf8mb3", b"a\xffb"), ("a\u{FFFD}b".to_owned(), 1));
        assert_eq!(decoded("gbk", b"\x81"), ("\u{FFFD}".to_owned(), 1));
    }

    proptest! {
        #[test]
        fn no_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64), pick in 0..1319_usize) {
            let (_, name, _) = collations::COLLATIONS[pick % collations::COLLATIONS.len()];
            let (text, bad) = decoded(name, &bytes);
            let replaced = text.matches(char::REPLACEMENT_CHARACTER).count();
            prop_assert!(replaced >= bad);
        }
    }
}
