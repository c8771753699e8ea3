//! Appending small pieces quickly. A copy of constant size is a few instructions where one of unknown size is a call,
//! so short pieces are copied with what stands behind them, and the buffer is cut back.

/// Appends the first `length` bytes of `text`.
#[inline]
pub(crate) fn push_front<const N: usize>(out: &mut Vec<u8>, text: &[u8; N], length: usize) {
    let start = out.len();
    out.extend_from_slice(text);
    out.truncate(start + length);
}

/// Up to sixteen bytes as a number, the first in the lowest byte and zeros behind the last: read from both ends, with an
/// overlap in the middle. Nothing, if there are more.
#[inline]
pub(crate) fn load_short(bytes: &[u8]) -> Option<u128> {
    let length = bytes.len();
    if length > 16 {
        return None;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        return Some(u128::from(first) | u128::from(last) << ((length - 8) * 8));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return Some(u128::from(
            u64::from(first) | u64::from(last) << ((length - 4) * 8),
        ));
    }
    let byte = |index: usize| {
        bytes
            .get(index)
            .map_or(0, |byte| u64::from(*byte) << (index * 8))
    };
    Some(u128::from(byte(0) | byte(1) | byte(2)))
}

/// Appends what is most often short.
#[inline]
pub(crate) fn push_short(out: &mut Vec<u8>, bytes: &[u8]) {
    match load_short(bytes) {
        Some(short) => push_front(out, &short.to_le_bytes(), bytes.len()),
        None => out.extend_from_slice(bytes),
    }
}

/// A piece that is appended often: its first `N` bytes, and what does not fit in there.
#[derive(Debug)]
pub(crate) struct Piece<const N: usize> {
    front: [u8; N],
    length: usize,
    rest: Box<[u8]>,
}

impl<const N: usize> Piece<N> {
    pub(crate) fn new(text: &[u8]) -> Self {
        let (short, rest) = text.split_at(text.len().min(N));
        let mut front = [0; N];
        front[..short.len()].copy_from_slice(short);
        Self {
            front,
            length: short.len(),
            rest: rest.into(),
        }
    }

    #[inline]
    pub(crate) fn push(&self, out: &mut Vec<u8>) {
        push_front(out, &self.front, self.length);
        if !self.rest.is_empty() {
            out.extend_from_slice(&self.rest);
        }
    }
}

/// Appends a number in decimal.
#[inline]
pub(crate) fn push_int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_uint(out, value.unsigned_abs());
}

/// Appends a number in decimal, eight digits at a time.
#[inline]
pub(crate) fn push_uint(out: &mut Vec<u8>, value: u64) {
    const EIGHT: u64 = 100_000_000;
    if value < EIGHT {
        push_up_to_eight(out, value);
    } else if value < EIGHT * EIGHT {
        push_up_to_eight(out, value / EIGHT);
        out.extend_from_slice(&eight_digits(value % EIGHT).to_le_bytes());
    } else {
        push_up_to_eight(out, value / EIGHT / EIGHT);
        out.extend_from_slice(&eight_digits(value / EIGHT % EIGHT).to_le_bytes());
        out.extend_from_slice(&eight_digits(value % EIGHT).to_le_bytes());
    }
}

#[inline]
fn push_up_to_eight(out: &mut Vec<u8>, value: u64) {
    let digits = eight_digits(value);
    // Leading zeros are the low bytes; the last digit stays even if it is one.
    let zeros = (digits & 0x000f_0f0f_0f0f_0f0f | 1u64 << 56).trailing_zeros() / 8;
    let shown = digits >> (zeros * 8);
    push_front(out, &shown.to_le_bytes(), 8 - zeros as usize);
}

/// The eight digits of a number below 10⁸, the first in the lowest byte: halves, quarters and digits are split off by
/// multiplication in parallel (Paul Khuong, "How to print integers really fast").
#[inline]
pub(crate) const fn eight_digits(value: u64) -> u64 {
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | (twos - 10 * tens) << 8) | 0x3030_3030_3030_3030
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = b"x".to_vec();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_at_every_width_are_written_right() {
        let mut power = 1u64;
        loop {
            for value in [power - 1, power, power + 1, power / 7 * 9] {
                assert_eq!(text(|out| push_uint(out, value)), format!("x{value}"));
            }
            let Some(next) = power.checked_mul(10) else {
                break;
            };
            power = next;
        }
        for value in [i64::MIN, i64::MAX, -1, 0] {
            assert_eq!(text(|out| push_int(out, value)), format!("x{value}"));
        }
        assert_eq!(
            text(|out| push_uint(out, u64::MAX)),
            format!("x{}", u64::MAX)
        );
    }

    #[test]
    fn short_text_of_any_length_is_appended_whole() {
        for length in 0..40 {
            let whole: String = ('a'..='z').cycle().take(length).collect();
            assert_eq!(
                text(|out| push_short(out, whole.as_bytes())),
                format!("x{whole}")
            );
        }
    }

    #[test]
    fn a_piece_of_any_length_is_appended_whole() {
        for length in [0, 1, 31, 32, 33, 100] {
            let whole = "é".repeat(length);
            assert_eq!(
                text(|out| Piece::<32>::new(whole.as_bytes()).push(out)),
                format!("x{whole}")
            );
        }
    }

    proptest! {
        #[test]
        fn any_number_is_written_right(value: u64, shift in 0..64u32) {
            let value = value >> shift;
            prop_assert_eq!(text(|out| push_uint(out, value)), format!("x{value}"));
        }
    }
}
