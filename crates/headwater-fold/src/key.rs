//! Keys of aggregates: the values of a row's columns as text, so that a person can write one in a query.
//!
//! `42`, `eu/42`: the parts are joined by `/`. Within a part `/` and `\` are written `\/` and `\\`; NULL is `\N`. Bytes are in
//! hexadecimal, after `0x`.

use std::io::Write as _;

use headwater_core::value::Cell;

/// Appends a part of a key.
pub fn push_part(key: &mut Vec<u8>, is_first: bool, cell: Cell<'_>) {
    if !is_first {
        key.push(b'/');
    }
    match cell {
        Cell::Absent | Cell::Null => key.extend_from_slice(b"\\N"),
        Cell::Int(value) => show(key, value),
        Cell::UInt(value) => show(key, value),
        Cell::Float(value) => show(key, value),
        Cell::Double(value) => show(key, value),
        Cell::Decimal(text) | Cell::Text(text) | Cell::Json(text) | Cell::Set(text) => {
            push_text(key, text);
        }
        Cell::Bytes(bytes) | Cell::Geometry(bytes) | Cell::Vector(bytes) => {
            key.extend_from_slice(b"0x");
            for byte in bytes {
                show(key, format_args!("{byte:02x}"));
            }
        }
        Cell::Date(value) => value.write(key),
        Cell::Time(value) => value.write(key),
        Cell::DateTime(value) | Cell::Timestamp(value) => value.write(key),
    }
}

fn show(key: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a Vec cannot fail.
    let _ = write!(key, "{value}");
}

/// Appends text that may hold what parts keys.
pub fn push_text(key: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        if matches!(byte, b'/' | b'\\') {
            key.push(b'\\');
        }
        key.push(byte);
    }
}

/// What a key, or a part of one, is made of.
///
/// Parts are written as those of columns are, so that an aggregate is found by the same key, whatever made it.
pub trait AsKey {
    /// Appends it.
    fn push(&self, key: &mut Vec<u8>);
}

macro_rules! shown {
    ($($type:ty),*) => {$(
        impl AsKey for $type {
            fn push(&self, key: &mut Vec<u8>) {
                show(key, self);
            }
        }
    )*};
}
shown!(i8, i16, i32, i64, i128, u8, u16, u32, u64, u128);

impl AsKey for bool {
    fn push(&self, key: &mut Vec<u8>) {
        show(key, u8::from(*self));
    }
}

impl AsKey for str {
    fn push(&self, key: &mut Vec<u8>) {
        push_text(key, self);
    }
}

impl AsKey for String {
    fn push(&self, key: &mut Vec<u8>) {
        push_text(key, self);
    }
}

impl AsKey for [u8] {
    fn push(&self, key: &mut Vec<u8>) {
        push_part(key, true, Cell::Bytes(self));
    }
}

impl AsKey for Vec<u8> {
    fn push(&self, key: &mut Vec<u8>) {
        self.as_slice().push(key);
    }
}

impl<K: AsKey + ?Sized> AsKey for &K {
    fn push(&self, key: &mut Vec<u8>) {
        (**self).push(key);
    }
}

impl<K: AsKey> AsKey for Option<K> {
    fn push(&self, key: &mut Vec<u8>) {
        match self {
            Some(part) => part.push(key),
            None => push_part(key, true, Cell::Null),
        }
    }
}

/// The one aggregate of all records.
impl AsKey for () {
    fn push(&self, _key: &mut Vec<u8>) {}
}

macro_rules! parts {
    ($($part:ident $at:tt),*) => {
        impl<A: AsKey, $($part: AsKey),*> AsKey for (A, $($part),*) {
            fn push(&self, key: &mut Vec<u8>) {
                self.0.push(key);
                $(
                    key.push(b'/');
                    self.$at.push(key);
                )*
            }
        }
    };
}
parts!(B 1);
parts!(B 1, C 2);
parts!(B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(cells: &[Cell<'_>]) -> String {
        let mut key = Vec::new();
        for (at, cell) in cells.iter().enumerate() {
            push_part(&mut key, at == 0, *cell);
        }
        String::from_utf8(key).unwrap()
    }

    #[test]
    fn keys_read_as_people_write_them_and_no_two_are_one() {
        assert_eq!(key(&[Cell::Int(-42)]), "-42");
        assert_eq!(key(&[Cell::Text("eu"), Cell::UInt(7)]), "eu/7");
        assert_eq!(key(&[Cell::Text("a/b"), Cell::Text("c")]), "a\\/b/c");
        assert_eq!(key(&[Cell::Text("a"), Cell::Text("b/c")]), "a/b\\/c");
        assert_eq!(key(&[Cell::Text("\\N")]), "\\\\N");
        assert_eq!(key(&[Cell::Null]), "\\N");
        assert_eq!(key(&[Cell::Bytes(&[0, 255])]), "0x00ff");
        assert_eq!(key(&[Cell::Decimal("1.50")]), "1.50");
    }

    #[test]
    fn keys_of_a_program_are_those_of_columns() {
        fn of(part: impl AsKey) -> String {
            let mut key = Vec::new();
            part.push(&mut key);
            String::from_utf8(key).unwrap()
        }
        assert_eq!(of(-42), key(&[Cell::Int(-42)]));
        assert_eq!(of(true), key(&[Cell::Int(1)]));
        let columns = [Cell::Text("a/b"), Cell::UInt(7), Cell::Null];
        assert_eq!(of(("a/b", 7u64, None::<i32>)), key(&columns));
        assert_eq!(of("x".to_owned()), key(&[Cell::Text("x")]));
        assert_eq!(of(vec![0u8, 255]), key(&[Cell::Bytes(&[0, 255])]));
        assert_eq!(of(()), "");
    }
}
