//! Floating point as Java's `toString` writes it, since JDK 19: the shortest digits that read back as the same number,
//! plain from 10⁻³ up to 10⁷ (`0.001`, `100.0`), else in scientific form (`1.0E7`, `9.99E-4`), always with a digit after
//! the point. A shortest form of one digit gives way to the nearest one of two, which differs only for the smallest
//! subnormal numbers (`4.9E-324`). See `java.lang.Double.toString(double)`.

use crate::append;

/// Appends an eight-byte number; JSON has no infinity and no NaN, so those, which no column can hold, become `null`.
#[inline]
pub fn push_double(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if is_plain(value) {
        out.extend_from_slice(text.as_bytes());
    } else if value.is_subnormal() && has_one_digit(text) {
        push_scientific(out, &format!("{value:.1e}"));
    } else {
        push_scientific(out, text);
    }
}

/// Appends a four-byte number, by its own shortest digits.
#[inline]
pub fn push_float(out: &mut Vec<u8>, value: f32) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if is_plain(f64::from(value)) {
        out.extend_from_slice(text.as_bytes());
    } else if value.is_subnormal() && has_one_digit(text) {
        push_scientific(out, &format!("{value:.1e}"));
    } else {
        push_scientific(out, text);
    }
}

/// Whether the number is in Java's plain range, where zmij writes the same text.
#[inline]
fn is_plain(value: f64) -> bool {
    let size = value.abs();
    (1e-3..1e7).contains(&size) || size == 0.0
}

/// Whether a number below every normal one (so in scientific form) has a single digit.
fn has_one_digit(text: &str) -> bool {
    text.trim_start_matches('-').find('e') == Some(1)
}

/// Lays `text`, a number other than zero in either form, out in Java's scientific form.
fn push_scientific(out: &mut Vec<u8>, text: &str) {
    let (number, exponent) = match text.split_once('e') {
        Some((number, exponent)) => (number, exponent.parse::<i32>().unwrap_or_default()),
        None => (text, 0),
    };
    let mut number = number.as_bytes();
    if let Some(rest) = number.strip_prefix(b"-") {
        out.push(b'-');
        number = rest;
    }
    // Digits from the first that is not zero, and how many of them stand before the point (or, below zero, how many
    // zeros between the point and them).
    let (mut digits, mut count, mut before_point, mut point_seen) = ([b'0'; 24], 0, 0, false);
    for &byte in number {
        if byte == b'.' {
            point_seen = true;
        } else if count > 0 || byte != b'0' {
            if let Some(place) = digits.get_mut(count) {
                *place = byte;
                count += 1;
            }
            before_point += i32::from(!point_seen);
        } else if point_seen {
            before_point -= 1;
        }
    }
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    out.extend_from_slice(&[digits[0], b'.']);
    out.extend_from_slice(&digits[1..count.max(2)]);
    out.push(b'E');
    let exponent = exponent + before_point - 1;
    append::push_int(out, i64::from(exponent));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        push_double(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn float(value: f32) -> String {
        let mut out = Vec::new();
        push_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    /// Java's rule applied to as many digits as Rust's own shortest form has; of those, Java takes the nearest, and of
    /// two equally near the even one, which is Rust's rule for a given number of digits.
    fn java(scientific: &str, size: f64) -> String {
        let (mantissa, exponent) = scientific.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        let (sign, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", mantissa),
        };
        let digits = mantissa.replace('.', "");
        if size == 0.0 {
            return format!("{sign}0.0");
        }
        if !(1e-3..1e7).contains(&size) {
            let (first, rest) = digits.split_at(1);
            let rest = if rest.is_empty() { "0" } else { rest };
            return format!("{sign}{first}.{rest}E{exponent}");
        }
        if exponent < 0 {
            let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap());
            return format!("{sign}0.{zeros}{digits}");
        }
        let point = usize::try_from(exponent).unwrap() + 1;
        let padded = format!("{digits:0<point$}");
        let (whole, fraction) = padded.split_at(point);
        let fraction = if fraction.is_empty() { "0" } else { fraction };
        format!("{sign}{whole}.{fraction}")
    }

    fn nearest(value: impl std::fmt::LowerExp) -> String {
        let shortest = format!("{value:e}");
        let mantissa = shortest.split('e').next().unwrap();
        let fraction = mantissa.split('.').nth(1).map_or(0, str::len);
        format!("{value:.fraction$e}")
    }

    #[test]
    fn doubles_have_javas_form() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-100.0, "-100.0"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (1e20, "1.0E20"),
            (2e23, "2.0E23"),
            (-1.5e-7, "-1.5E-7"),
            (1e-5, "1.0E-5"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (5e-324, "4.9E-324"),
            (-1e-323, "-9.9E-324"),
            (2e-323, "2.0E-323"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ];
        for (value, text) in cases {
            assert_eq!(double(value), text);
        }
    }

    #[test]
    fn floats_have_their_own_shortest_digits() {
        let cases = [
            (0.1, "0.1"),
            (123_456_789.0, "1.2345679E8"),
            (16_777_216.0, "1.6777216E7"),
            (3.4e38, "3.4E38"),
            (1e-45, "1.4E-45"),
            (1e-44, "9.8E-45"),
            (0.000_999, "9.99E-4"),
            (0.001, "0.001"),
            (f32::NEG_INFINITY, "null"),
        ];
        for (value, text) in cases {
            assert_eq!(float(value), text);
        }
    }

    proptest! {
        #[test]
        fn a_double_reads_back_as_itself_and_follows_javas_rule(bits in any::<u64>(), near in -12i32..12) {
            for value in [f64::from_bits(bits), f64::from_bits(bits) % 1e4, (bits % 100_000) as f64 * 10f64.powi(near)] {
                if !value.is_finite() { continue; }
                let text = double(value);
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
                if !value.is_subnormal() {
                    prop_assert_eq!(text, java(&nearest(value), value.abs()));
                }
            }
        }

        #[test]
        fn a_float_reads_back_as_itself_and_follows_javas_rule(bits in any::<u32>(), near in -12i32..12) {
            for value in [f32::from_bits(bits), f32::from_bits(bits) % 1e4, (bits % 10_000) as f32 * 10f32.powi(near)] {
                if !value.is_finite() { continue; }
                let text = float(value);
                prop_assert_eq!(text.parse::<f32>().unwrap().to_bits(), value.to_bits());
                if !value.is_subnormal() {
                    prop_assert_eq!(text, java(&nearest(value), f64::from(value.abs())));
                }
            }
        }
    }
}
