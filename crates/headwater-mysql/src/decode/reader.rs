//! A cursor over borrowed bytes: every read is checked, none panics.

use headwater_core::{Error, Result};

use super::malformed;

/// A cursor over bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

macro_rules! integers {
    ($($(#[$doc:meta])* $name:ident $from:ident $type:ident $bytes:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// `Malformed` if too few bytes are left.
        #[inline]
        pub fn $name(&mut self) -> Result<$type> {
            Ok($type::$from(self.array::<$bytes>()?))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A cursor at the beginning of `bytes`.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes have not been read yet.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether all has been read.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// `Malformed` if fewer are left.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(length) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(torn(length, self.rest.len())),
        }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// `Malformed` if fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(*head)
            }
            None => Err(torn(N, self.rest.len())),
        }
    }

    integers! {
        /// One byte.
        u8 from_le_bytes u8 1;
        /// Two bytes, little-endian.
        u16 from_le_bytes u16 2;
        /// Four bytes, little-endian.
        u32 from_le_bytes u32 4;
        /// Eight bytes, little-endian.
        u64 from_le_bytes u64 8;
        /// Two bytes, big-endian.
        u16_be from_be_bytes u16 2;
        /// Four bytes, big-endian.
        u32_be from_be_bytes u32 4;
    }

    /// Three bytes, little-endian.
    ///
    /// # Errors
    /// `Malformed` if too few bytes are left.
    #[inline]
    pub fn u24(&mut self) -> Result<u32> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// Three bytes, big-endian.
    ///
    /// # Errors
    /// `Malformed` if too few bytes are left.
    #[inline]
    pub fn u24_be(&mut self) -> Result<u32> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// `width` bytes (at most 8), little-endian.
    ///
    /// # Errors
    /// `Malformed` if too few bytes are left.
    #[inline]
    pub fn uint(&mut self, width: usize) -> Result<u64> {
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// `width` bytes (at most 8), big-endian.
    ///
    /// # Errors
    /// `Malformed` if too few bytes are left.
    #[inline]
    pub fn uint_be(&mut self, width: usize) -> Result<u64> {
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// A length-encoded integer (`Protocol::LengthEncodedInteger`).
    ///
    /// # Errors
    /// `Malformed` for a torn one, or one of the two first bytes that mean something else.
    #[inline]
    pub fn lenenc(&mut self) -> Result<u64> {
        let first = self.u8()?;
        if first < 0xFB {
            return Ok(u64::from(first));
        }
        self.lenenc_long(first)
    }

    fn lenenc_long(&mut self, first: u8) -> Result<u64> {
        match first {
            0xFC => self.u16().map(u64::from),
            0xFD => self.u24().map(u64::from),
            0xFE => self.u64(),
            _ => Err(malformed("a length begins with a byte that is no length")),
        }
    }

    /// Bytes behind their length-encoded length.
    ///
    /// # Errors
    /// `Malformed` if fewer are left.
    #[inline]
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.lenenc()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Bytes behind their length of `width` bytes, little-endian.
    ///
    /// # Errors
    /// `Malformed` if fewer are left.
    #[inline]
    pub fn prefixed(&mut self, width: u8) -> Result<&'a [u8]> {
        let length = match width {
            1 => usize::from(self.u8()?),
            2 => usize::from(self.u16()?),
            width => usize::try_from(self.uint(usize::from(width))?).unwrap_or(usize::MAX),
        };
        self.take(length)
    }
}

#[cold]
fn torn(wanted: usize, left: usize) -> Error {
    malformed("the bytes end too early")
        .with("wanted", wanted)
        .with("left", left)
}
