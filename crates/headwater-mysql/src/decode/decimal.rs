//! DECIMAL in the log: digits packed by nines into four bytes, big-endian, the sign in the first bit (flipped), all
//! bits flipped if negative. Source: the comment on `decimal2bin` in the server's `strings/decimal.cc`.

#![allow(
    clippy::cast_possible_truncation,
    reason = "values are masked or reduced by a remainder before they are narrowed"
)]

use headwater_core::Result;

use super::malformed;

/// Bytes that hold this many digits of a group.
const BYTES: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

const TENS: [u32; 10] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut tens = 0;
    while tens < 10 {
        let mut ones = 0;
        while ones < 10 {
            pairs[tens as usize * 10 + ones as usize] = [b'0' + tens, b'0' + ones];
            ones += 1;
        }
        tens += 1;
    }
    pairs
};

/// How a DECIMAL(precision, scale) is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedDecimal {
    /// Digits of the first, incomplete group before the point.
    lead: u8,
    /// Whole groups of nine before the point.
    whole: u8,
    /// Whole groups of nine after the point.
    fraction: u8,
    /// Digits of the last, incomplete group after the point.
    tail: u8,
    bytes: u8,
}

/// Room for 65 digits, a sign, a zero before the point and the point.
struct Digits {
    buffer: [u8; 96],
    length: usize,
}

impl Digits {
    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.buffer.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    /// Exactly `width` digits of `value`.
    #[inline]
    fn put(&mut self, mut value: u32, width: usize) {
        let end = self.length + width;
        let Some(room) = self.buffer.get_mut(self.length..end) else {
            return;
        };
        let (first, pairs) = room.split_at_mut(width % 2);
        for pair in pairs.as_chunks_mut::<2>().0.iter_mut().rev() {
            *pair = PAIRS
                .get((value % 100) as usize)
                .copied()
                .unwrap_or_default();
            value /= 100;
        }
        if let [one] = first {
            *one = b'0' + (value % 10) as u8;
        }
        self.length = end;
    }
}

#[inline]
fn width_of(value: u32) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

impl PackedDecimal {
    /// The packing of DECIMAL(`precision`, `scale`); `None` where MySQL has no such type.
    #[must_use]
    pub fn new(precision: u8, scale: u8) -> Option<Self> {
        if precision > 65 || scale > precision {
            return None;
        }
        let (lead, whole) = ((precision - scale) % 9, (precision - scale) / 9);
        let (tail, fraction) = (scale % 9, scale / 9);
        let edges = BYTES.get(usize::from(lead))? + BYTES.get(usize::from(tail))?;
        Some(Self {
            lead,
            whole,
            fraction,
            tail,
            bytes: (whole + fraction) * 4 + edges,
        })
    }

    /// How many bytes a value takes.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        usize::from(self.bytes)
    }

    /// Appends the plain digits of a value: sign, at least one digit, and exactly the scale after the point.
    ///
    /// # Errors
    /// `Malformed` for bytes of another length, or groups that are no digits.
    #[inline]
    pub fn write(&self, packed: &[u8], out: &mut String) -> Result<()> {
        let mut digits = Digits {
            buffer: [0; 96],
            length: 0,
        };
        let Some(&first) = packed.first() else {
            return Err(malformed("a DECIMAL is empty"));
        };
        if packed.len() != self.bytes() {
            return Err(malformed("a DECIMAL has another length than its type"));
        }
        let mask = if first & 0x80 == 0 { u32::MAX } else { 0 };
        if mask != 0 {
            digits.push(b'-');
        }
        let mut rest = packed;
        // The sign's bit is flipped once more than the others.
        let mut sign = 0x80;
        let mut group = |count: u8| -> Result<u32> {
            let bytes = BYTES.get(usize::from(count)).copied().unwrap_or(0);
            let (head, tail) = rest
                .split_at_checked(usize::from(bytes))
                .unwrap_or((rest, &[]));
            rest = tail;
            let mut value: u32 = 0;
            for &byte in head {
                value = value << 8 | u32::from(byte ^ sign ^ (mask & 0xFF) as u8);
                sign = 0;
            }
            if value >= TENS.get(usize::from(count)).copied().unwrap_or(0) {
                return Err(malformed("a DECIMAL holds a group that is no digits"));
            }
            Ok(value)
        };
        let mut begun = false;
        if self.lead > 0 {
            let value = group(self.lead)?;
            if value > 0 {
                digits.put(value, width_of(value));
                begun = true;
            }
        }
        for _ in 0..self.whole {
            let value = group(9)?;
            if begun {
                digits.put(value, 9);
            } else if value > 0 {
                digits.put(value, width_of(value));
                begun = true;
            }
        }
        if !begun {
            digits.push(b'0');
        }
        if self.fraction > 0 || self.tail > 0 {
            digits.push(b'.');
            for _ in 0..self.fraction {
                digits.put(group(9)?, 9);
            }
            if self.tail > 0 {
                digits.put(group(self.tail)?, usize::from(self.tail));
            }
        }
        let text = digits.buffer.get(..digits.length).unwrap_or_default();
        out.push_str(std::str::from_utf8(text).unwrap_or_default());
        Ok(())
    }
}

/// Appends the plain digits of a decimal's text form in a result: without the zeros that ZEROFILL shows in front.
///
/// # Errors
/// `Malformed` for text that is no decimal.
#[inline]
pub fn write_text(text: &[u8], out: &mut String) -> Result<()> {
    let trimmed = match text {
        [b'0', b'0'..=b'9', ..] => unfilled(text),
        _ => text,
    };
    let is_plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    if trimmed.is_empty() || !trimmed.iter().all(is_plain) {
        return Err(malformed("a DECIMAL's text is no number"));
    }
    out.push_str(std::str::from_utf8(trimmed).unwrap_or_default());
    Ok(())
}

fn unfilled(text: &[u8]) -> &[u8] {
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    let whole = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // One zero stays if there is nothing else before the point.
    text.get(zeros.min(whole.saturating_sub(1))..)
        .unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packs plain digits as the server does: what the decoder is held against.
    pub(crate) fn pack(text: &str, precision: u8, scale: u8) -> Vec<u8> {
        let negative = text.starts_with('-');
        let (whole, fraction) = text
            .trim_start_matches('-')
            .split_once('.')
            .unwrap_or((text.trim_start_matches('-'), ""));
        let whole = format!("{whole:0>width$}", width = usize::from(precision - scale));
        let whole = whole
            .split_at(whole.len() - usize::from(precision - scale))
            .1;
        let fraction = format!("{fraction:0<width$}", width = usize::from(scale));
        let mut out = Vec::new();
        let mut put = |digits: &str| {
            let bytes = usize::from(BYTES[digits.len()]);
            let value: u32 = digits.parse().unwrap_or(0);
            out.extend_from_slice(&value.to_be_bytes()[4 - bytes..]);
        };
        let (lead, groups) = whole.split_at(whole.len() % 9);
        put(lead);
        groups
            .as_bytes()
            .chunks(9)
            .for_each(|group| put(std::str::from_utf8(group).unwrap()));
        fraction
            .as_bytes()
            .chunks(9)
            .for_each(|group| put(std::str::from_utf8(group).unwrap()));
        if negative {
            out.iter_mut().for_each(|byte| *byte ^= 0xFF);
        }
        out[0] ^= 0x80;
        out
    }

    fn unpack(bytes: &[u8], precision: u8, scale: u8) -> Result<String> {
        let mut out = String::new();
        PackedDecimal::new(precision, scale)
            .unwrap()
            .write(bytes, &mut out)?;
        Ok(out)
    }

    #[test]
    fn the_servers_own_example_decodes() {
        // From the comment on decimal2bin: 1234567890.1234 as DECIMAL(14,4).
        let positive = [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2];
        assert_eq!(unpack(&positive, 14, 4).unwrap(), "1234567890.1234");
        let negative = positive.map(|byte| !byte);
        assert_eq!(unpack(&negative, 14, 4).unwrap(), "-1234567890.1234");
    }

    #[test]
    fn zeros_keep_the_columns_scale() {
        assert_eq!(unpack(&pack("0", 12, 2), 12, 2).unwrap(), "0.00");
        assert_eq!(
            unpack(&pack("0.0000001", 10, 10), 10, 10).unwrap(),
            "0.0000001000"
        );
        assert_eq!(unpack(&pack("7", 65, 0), 65, 0).unwrap(), "7");
    }

    #[test]
    fn zerofill_is_a_matter_of_display() {
        for (text, plain) in [
            ("0000000003.20", "3.20"),
            ("0.00", "0.00"),
            ("-5", "-5"),
            ("000", "0"),
        ] {
            let mut out = String::new();
            write_text(text.as_bytes(), &mut out).unwrap();
            assert_eq!(out, plain);
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            precision in 1..=65_u8, scale in 0..=38_u8, negative: bool, seed in proptest::collection::vec(0..10_u8, 65),
        ) {
            let scale = scale.min(precision);
            let digits: String = seed[..usize::from(precision)].iter().map(|digit| char::from(b'0' + digit)).collect();
            let (whole, fraction) = digits.split_at(usize::from(precision - scale));
            let whole = whole.trim_start_matches('0');
            let whole = if whole.is_empty() { "0" } else { whole };
            let plain = if scale > 0 { format!("{whole}.{fraction}") } else { whole.to_owned() };
            let plain = if negative { format!("-{plain}") } else { plain };
            prop_assert_eq!(unpack(&pack(&plain, precision, scale), precision, scale).unwrap(), plain);
        }

        #[test]
        fn any_bytes_are_survived(
            precision in 1..=65_u8, scale in 0..=65_u8, bytes in proptest::collection::vec(any::<u8>(), 0..34),
        ) {
            let scale = scale.min(precision);
            _ = unpack(&bytes, precision, scale);
        }
    }
}
