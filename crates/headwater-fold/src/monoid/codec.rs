//! Bytes of aggregates: small integers in few bytes, lengths that are never trusted.
//!
//! Integers of any size are LEB128 in its shortest form, signed ones by zigzag first; a longer form is refused, so that equal
//! values have equal bytes.

use super::Refused;

/// Appends an unsigned integer, seven bits a byte, the lowest first.
pub fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, (value << 1 ^ value >> 63).cast_unsigned());
}

/// Appends a length and that many bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_unsigned(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the functions beside it write. Every read is bounded by the bytes that are there.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader behind the first byte, which must be this version.
    ///
    /// # Errors
    ///
    /// Another version, or no byte at all.
    pub fn new(bytes: &'a [u8], version: u8) -> Result<Self, Refused> {
        match bytes.split_first() {
            Some((found, rest)) if *found == version => Ok(Self { rest }),
            Some((found, _)) => Err(Refused::damaged(format!(
                "bytes of version {found}, where version {version} is known"
            ))),
            None => Err(Refused::damaged("no bytes at all")),
        }
    }

    /// A reader of bytes that have no version of their own.
    #[must_use]
    pub fn without_version(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    ///
    /// Fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Refused> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Refused::damaged("the bytes end too early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes, as many as the array has.
    ///
    /// # Errors
    ///
    /// Fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(Refused::damaged("the bytes end too early"));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    ///
    /// None is left.
    pub fn byte(&mut self) -> Result<u8, Refused> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// An unsigned integer.
    ///
    /// # Errors
    ///
    /// The bytes end too early, are more than 64 bits, or not the shortest form.
    pub fn unsigned(&mut self) -> Result<u64, Refused> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Refused::damaged("an integer of more than 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(Refused::damaged(
                        "an integer that is not in its shortest form",
                    ));
                }
                return Ok(value);
            }
        }
        Err(Refused::damaged("an integer of more than 64 bits"))
    }

    /// A signed integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::unsigned`].
    pub fn signed(&mut self) -> Result<i64, Refused> {
        let value = self.unsigned()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number of things that take at least `least_bytes` each, so that it may be used to reserve memory.
    ///
    /// # Errors
    ///
    /// As [`Reader::unsigned`]; and more things than the bytes that are left can hold.
    pub fn count(&mut self, least_bytes: usize) -> Result<usize, Refused> {
        let count = self.unsigned()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.left() / least_bytes.max(1) => Ok(count),
            _ => Err(Refused::damaged("a length beyond the end of the bytes")),
        }
    }

    /// A length, and that many bytes.
    ///
    /// # Errors
    ///
    /// As [`Reader::count`].
    pub fn bytes(&mut self) -> Result<&'a [u8], Refused> {
        let count = self.count(1)?;
        self.take(count)
    }

    /// Eight bytes as a double.
    ///
    /// # Errors
    ///
    /// Fewer are left.
    pub fn double(&mut self) -> Result<f64, Refused> {
        self.array().map(f64::from_le_bytes)
    }

    /// That nothing is left.
    ///
    /// # Errors
    ///
    /// Something is.
    pub fn end(self) -> Result<(), Refused> {
        match self.rest {
            [] => Ok(()),
            _ => Err(Refused::damaged("more bytes than belong to the value")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_from_their_shortest_form_only() {
        for value in [0, 1, 63, 64, -1, -64, -65, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            let mut reader = Reader::without_version(&out);
            assert_eq!(reader.signed().unwrap(), value);
            assert!(reader.end().is_ok());
        }
        for wrong in [&[0x80, 0][..], &[0xff; 10], &[0x80], &[]] {
            assert!(
                Reader::without_version(wrong).unsigned().is_err(),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_before_anything_is_reserved() {
        let mut out = Vec::new();
        put_unsigned(&mut out, u64::MAX);
        assert!(Reader::without_version(&out).bytes().is_err());
        assert!(Reader::without_version(&[3, 0, 0, 0]).count(2).is_err());
    }
}
