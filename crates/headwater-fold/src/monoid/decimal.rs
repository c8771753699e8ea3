//! Decimal numbers, exact and of any size within a bound.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::{BigInt, Sign};

use super::Refused;
use super::codec::{Reader, put_bytes};

/// Most digits after the point. MySQL has up to 30, MariaDB up to 38.
pub const SCALE_MAX: u8 = 64;
/// Most bytes of the digits as a binary number: beyond 300 digits. A column has at most 65.
const MAGNITUDE_BYTES_MAX: usize = 128;

/// An exact decimal number. Up to 38 digits are held inline, more on the heap. Equality and order are of the number: 1.5 is 1.50.
#[derive(Clone)]
pub struct Decimal(Form);

#[derive(Clone)]
enum Form {
    /// In two halves, so that it is aligned to eight bytes and an aggregate stays small.
    Small {
        high: i64,
        low: u64,
        scale: u8,
    },
    Big(Box<(BigInt, u8)>),
}

impl Default for Decimal {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

/// From plain digits, or an integer.
impl<'de> serde::Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number in plain digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
                let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                Decimal::parse(text).ok_or_else(wrong)
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Decimal, E> {
                Ok(value.into())
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Decimal, E> {
                Ok(Decimal::new(value.into(), 0))
            }
        }
        input.deserialize_any(Digits)
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self::new(i128::from(value), 0)
    }
}

impl Decimal {
    /// `digits` with the point before the last `scale` of them; a scale beyond [`SCALE_MAX`] counts as that.
    #[must_use]
    pub fn new(digits: i128, scale: u8) -> Self {
        let (high, low) = ((digits >> 64) as i64, digits.cast_unsigned() as u64);
        let scale = scale.min(SCALE_MAX);
        Self(Form::Small { high, low, scale })
    }

    /// The number written in plain digits: `-12.50`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut digits = 0i128;
        let (mut scale, mut seen, mut point) = (0usize, 0usize, false);
        for byte in unsigned {
            match byte {
                b'0'..=b'9' => {
                    seen += 1;
                    scale += usize::from(point);
                    let digit = i128::from(byte - b'0');
                    let Some(next) = digits.checked_mul(10).and_then(|d| d.checked_add(digit))
                    else {
                        return Self::parse_big(text);
                    };
                    digits = next;
                }
                b'.' if !point => point = true,
                _ => return None,
            }
        }
        let scale = u8::try_from(scale)
            .ok()
            .filter(|&scale| scale <= SCALE_MAX)?;
        let digits = if negative { -digits } else { digits };
        (seen > 0).then(|| Self::new(digits, scale))
    }

    /// As [`Decimal::parse`], for more digits than 128 bits hold.
    fn parse_big(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let scale = u8::try_from(fraction.len())
            .ok()
            .filter(|&scale| scale <= SCALE_MAX)?;
        let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let is_plain = (unsigned.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit());
        if !is_plain || text.len() > 3 * MAGNITUDE_BYTES_MAX {
            return None;
        }
        let digits: BigInt = format!("{whole}{fraction}").parse().ok()?;
        Self::from_big(digits, scale).ok()
    }

    fn from_big(digits: BigInt, scale: u8) -> Result<Self, Refused> {
        if let Ok(small) = i128::try_from(&digits) {
            return Ok(Self::new(small, scale));
        }
        if digits.bits() > 8 * MAGNITUDE_BYTES_MAX as u64 {
            return Err(Refused::overflow(
                "a decimal number of more than 300 digits",
            ));
        }
        Ok(Self(Form::Big(Box::new((digits, scale)))))
    }

    fn small(&self) -> Option<(i128, u8)> {
        match self.0 {
            Form::Small { high, low, scale } => {
                Some((i128::from(high) << 64 | i128::from(low), scale))
            }
            Form::Big(_) => None,
        }
    }

    fn big(&self) -> (BigInt, u8) {
        match &self.0 {
            Form::Small { .. } => {
                let (digits, scale) = self.small().unwrap_or_default();
                (BigInt::from(digits), scale)
            }
            Form::Big(number) => (**number).clone(),
        }
    }

    /// Whether this is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        matches!(
            self.0,
            Form::Small {
                high: 0,
                low: 0,
                ..
            }
        )
    }

    /// How many digits it shows after the point.
    #[must_use]
    pub fn scale(&self) -> u8 {
        match &self.0 {
            Form::Small { scale, .. } => *scale,
            Form::Big(number) => number.1,
        }
    }

    /// This and another, added or taken away.
    ///
    /// # Errors
    ///
    /// A result of more than 300 digits.
    pub fn plus(&self, other: &Self, minus: bool) -> Result<Self, Refused> {
        if let Some(sum) = self.plus_small(other, minus) {
            return Ok(sum);
        }
        let scale = self.scale().max(other.scale());
        let (one, two) = (self.big_at(scale), other.big_at(scale));
        Self::from_big(if minus { one - two } else { one + two }, scale)
    }

    fn plus_small(&self, other: &Self, minus: bool) -> Option<Self> {
        let (one, two) = (self.small()?, other.small()?);
        let scale = one.1.max(two.1);
        let one = scaled(one, scale)?;
        let two = scaled(two, scale)?;
        let sum = match minus {
            false => one.checked_add(two)?,
            true => one.checked_sub(two)?,
        };
        Some(Self::new(sum, scale))
    }

    fn big_at(&self, scale: u8) -> BigInt {
        let (digits, own) = self.big();
        digits * BigInt::from(10).pow(u32::from(scale.saturating_sub(own)))
    }

    /// The same number without zeros at the end of its fraction.
    #[must_use]
    pub fn shortest(&self) -> Self {
        let (mut digits, mut scale) = self.big();
        let ten = BigInt::from(10);
        while scale > 0 && (&digits % &ten).sign() == Sign::NoSign {
            digits /= &ten;
            scale -= 1;
        }
        Self::from_big(digits, scale).unwrap_or_default()
    }

    /// The same number with at least so many digits after the point.
    #[must_use]
    pub fn at_scale(&self, scale: u8) -> Self {
        self.plus(&Self::new(0, scale), false)
            .unwrap_or_else(|_| self.clone())
    }

    /// The quotient by a whole number with `scale` digits after the point, rounded half away from zero as MySQL does.
    #[must_use]
    pub fn divided_by(&self, divisor: i64, scale: u8) -> Option<Self> {
        let scale = scale.clamp(self.scale(), SCALE_MAX);
        let divisor = BigInt::from(divisor);
        if divisor.sign() == Sign::NoSign {
            return None;
        }
        let dividend: BigInt = self.big_at(scale) * 2;
        let sign: BigInt = match (dividend.sign(), divisor.sign()) {
            (Sign::Minus, Sign::Plus) | (Sign::Plus, Sign::Minus) => BigInt::from(-1),
            _ => BigInt::from(1),
        };
        // (2n ± d) / 2d, cut off, is n / d rounded half away from zero.
        let magnitude = (BigInt::from(dividend.magnitude().clone())
            + BigInt::from(divisor.magnitude().clone()))
            / BigInt::from(divisor.magnitude() * 2u8);
        Self::from_big(sign * magnitude, scale).ok()
    }

    /// The nearest double.
    #[must_use]
    pub fn to_double(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Small { .. } => 0,
            Form::Big(number) => {
                size_of::<(BigInt, u8)>() + usize::try_from(number.0.bits() / 8).unwrap_or(0)
            }
        }
    }

    /// Appends the scale and the digits as a signed binary number in its fewest bytes, little-endian, of the number's shortest form.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let (digits, scale) = self.shortest().big();
        out.push(scale);
        put_bytes(out, &digits.to_signed_bytes_le());
    }

    /// Reads what [`Decimal::put`] writes.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        let scale = reader.byte()?;
        let bytes = reader.bytes()?;
        if scale > SCALE_MAX || bytes.len() > MAGNITUDE_BYTES_MAX + 1 {
            return Err(Refused::damaged("a decimal number of impossible size"));
        }
        let digits = BigInt::from_signed_bytes_le(bytes);
        let is_shortest = digits.to_signed_bytes_le() == bytes;
        let value = Self::from_big(digits, scale)
            .map_err(|_| Refused::damaged("a decimal number of impossible size"))?;
        if !is_shortest || value.shortest().scale() != scale {
            return Err(Refused::damaged(
                "a decimal number that is not in its shortest form",
            ));
        }
        Ok(value)
    }
}

fn scaled((digits, own): (i128, u8), scale: u8) -> Option<i128> {
    match scale.checked_sub(own)? {
        0 => Some(digits),
        more => digits.checked_mul(10i128.checked_pow(u32::from(more))?),
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale().max(other.scale());
        if let (Some(one), Some(two)) = (self.small(), other.small())
            && let (Some(one), Some(two)) = (scaled(one, scale), scaled(two, scale))
        {
            return one.cmp(&two);
        }
        self.big_at(scale).cmp(&other.big_at(scale))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, scale) = self.big();
        let scale = usize::from(scale);
        let magnitude = digits.magnitude().to_string();
        let padded = format!("{magnitude:0>width$}", width = scale + 1);
        let (whole, fraction) = padded
            .split_at_checked(padded.len() - scale)
            .unwrap_or_default();
        if digits.sign() == Sign::Minus {
            f.write_str("-")?;
        }
        f.write_str(whole)?;
        if scale > 0 {
            write!(f, ".{fraction}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_as_they_were_read() {
        let widest = format!("-{}.{}", "9".repeat(35), "9".repeat(30));
        for text in [
            "0",
            "0.00",
            "-0.05",
            "12.50",
            "170141183460469231731687303715884105728",
            &widest,
        ] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "-",
            ".",
            "1e5",
            "1.2.3",
            "1-",
            " 1",
            "١",
            &format!("{}_0", "9".repeat(40)),
        ] {
            assert_eq!(Decimal::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_equal_whatever_zeros_end_them() {
        let (one, two) = (
            Decimal::parse("1.50").unwrap(),
            Decimal::parse("1.5").unwrap(),
        );
        assert_eq!(one, two);
        assert_eq!(one.shortest().scale(), 1);
        assert!(Decimal::parse("-1.51").unwrap() < two);
    }

    #[test]
    fn quotients_are_rounded_half_away_from_zero() {
        let half = |text: &str, by: i64, scale| {
            Decimal::parse(text)
                .unwrap()
                .divided_by(by, scale)
                .unwrap()
                .to_string()
        };
        assert_eq!(half("1.00", 3, 4), "0.3333");
        assert_eq!(half("2.00", 3, 4), "0.6667");
        assert_eq!(half("-0.5", 10, 1), "-0.1");
        assert_eq!(half("1", -8, 3), "-0.125");
        assert_eq!(Decimal::default().divided_by(0, 2), None);
    }
}
