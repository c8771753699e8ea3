//! The sum of doubles, exact.

use std::borrow::Cow;

use super::codec::{Reader, put_signed, put_unsigned};
use super::{GROUP, Laws, Moment, Monoid, Refused};

const VERSION: u8 = 1;
/// More than the 40 parts of 53 bits that cover a double's range of 2,098 bits.
const PARTS_MAX: usize = 64;

/// Adds doubles without any rounding, so that the order of addition does not matter and what was added can be taken back to the
/// last bit.
///
/// The sum is kept as an unevaluated sum of doubles: the sum rounded to the nearest double, what is left rounded, and so on. Two of
/// them (106 bits, a double-double) are enough for almost any column and are held inline; more are kept where they are needed
/// (J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997; the rounding at the end as in Python's `math.fsum`).
/// NaN and the infinities are counted apart, so that they can be taken back, too.
///
/// Commutative, invertible, exact; a sum beyond the largest double is refused. Byte form, version 1: how many NaN, +∞ and −∞
/// (signed), how many parts, the parts as eight bytes each, little-endian, the largest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SumFloat;

/// The sum of [`SumFloat`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FloatSum {
    /// The sum, rounded.
    high: f64,
    /// What is left, rounded.
    low: f64,
    /// Only what is neither zero nor empty is kept in a box.
    more: Option<Box<More>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct More {
    parts: Vec<f64>,
    nan: i64,
    up: i64,
    down: i64,
}

impl FloatSum {
    /// The sum, rounded once. NaN where NaN or both infinities were added.
    #[must_use]
    pub fn value(&self) -> f64 {
        let (nan, up, down) = self.special();
        match (nan != 0, up != 0, down != 0) {
            (false, false, false) => self.high,
            (false, true, false) => f64::INFINITY,
            (false, false, true) => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    /// The parts that add up to the sum of what is finite, the largest first.
    pub fn parts(&self) -> impl Iterator<Item = f64> {
        let rest = self.more.iter().flat_map(|more| more.parts.iter().copied());
        [self.high, self.low]
            .into_iter()
            .chain(rest)
            .filter(|&part| part != 0.0)
    }

    /// How many NaN, +∞ and −∞.
    fn special(&self) -> (i64, i64, i64) {
        (self.more.as_deref()).map_or((0, 0, 0), |more| (more.nan, more.up, more.down))
    }

    fn add(&mut self, value: f64, minus: bool) -> Result<(), Refused> {
        if !value.is_finite() {
            let one = if minus { -1 } else { 1 };
            return match value {
                value if value.is_nan() => self.add_special(one, 0, 0),
                f64::INFINITY => self.add_special(0, one, 0),
                _ => self.add_special(0, 0, one),
            };
        }
        self.add_finite(if minus { -value } else { value })
    }

    fn add_finite(&mut self, value: f64) -> Result<(), Refused> {
        if self
            .more
            .as_deref()
            .is_none_or(|more| more.parts.is_empty())
        {
            let (sum, error) = two_sum(self.high, value);
            let (error, left) = two_sum(self.low, error);
            if left == 0.0 {
                let (high, low) = two_sum(sum, error);
                if !high.is_finite() {
                    return Err(beyond());
                }
                (self.high, self.low) = (high + 0.0, low + 0.0);
                return Ok(());
            }
        }
        let mut parts: Vec<f64> = self.parts().collect();
        parts.reverse();
        grow(&mut parts, value);
        self.set_parts(canonical(parts)?);
        Ok(())
    }

    fn add_special(&mut self, nan: i64, up: i64, down: i64) -> Result<(), Refused> {
        if (nan, up, down) == (0, 0, 0) {
            return Ok(());
        }
        let before = self.special();
        let sum = |one: i64, two: i64| one.checked_add(two).ok_or_else(beyond);
        let (nan, up, down) = (
            sum(before.0, nan)?,
            sum(before.1, up)?,
            sum(before.2, down)?,
        );
        let more = self.more.get_or_insert_default();
        (more.nan, more.up, more.down) = (nan, up, down);
        self.tidy();
        Ok(())
    }

    fn set_parts(&mut self, parts: Vec<f64>) {
        let mut parts = parts.into_iter();
        (self.high, self.low) = (parts.next().unwrap_or(0.0), parts.next().unwrap_or(0.0));
        let rest: Vec<f64> = parts.collect();
        if self.more.is_some() || !rest.is_empty() {
            self.more.get_or_insert_default().parts = rest;
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        if self.more.as_deref() == Some(&More::default()) {
            self.more = None;
        }
    }

    fn merged(&self, other: &Self, minus: bool) -> Result<Self, Refused> {
        let mut sum = self.clone();
        for part in other.parts() {
            sum.add(part, minus)?;
        }
        let sign = if minus { -1 } else { 1 };
        let (nan, up, down) = other.special();
        let signed = |count: i64| count.checked_mul(sign).ok_or_else(beyond);
        sum.add_special(signed(nan)?, signed(up)?, signed(down)?)?;
        Ok(sum)
    }
}

/// The sum, rounded, and exactly what the rounding left out (Knuth, TAOCP vol. 2, 4.2.2, theorem B).
fn two_sum(one: f64, two: f64) -> (f64, f64) {
    let sum = one + two;
    let of_two = sum - one;
    let of_one = sum - of_two;
    (sum, (one - of_one) + (two - of_two))
}

/// Adds a number to parts that do not overlap, the smallest first (Shewchuk's Grow-Expansion, zeros left out).
fn grow(parts: &mut Vec<f64>, value: f64) {
    let mut carry = value;
    let mut kept = 0;
    for index in 0..parts.len() {
        let (sum, error) = two_sum(carry, parts[index]);
        if error != 0.0 {
            parts[kept] = error;
            kept += 1;
        }
        carry = sum;
    }
    parts.truncate(kept);
    if carry != 0.0 {
        parts.push(carry);
    }
}

/// The one way to write a sum: its nearest double, the nearest of what is left, and so on.
fn canonical(mut parts: Vec<f64>) -> Result<Vec<f64>, Refused> {
    let mut result = Vec::new();
    while !parts.is_empty() {
        let nearest = rounded(&parts);
        if !nearest.is_finite() {
            return Err(beyond());
        }
        result.push(nearest);
        grow(&mut parts, -nearest);
    }
    Ok(result)
}

/// The double nearest to the sum of parts that do not overlap, the smallest first; ties to even.
fn rounded(parts: &[f64]) -> f64 {
    let Some((last, mut rest)) = parts.split_last() else {
        return 0.0;
    };
    let (mut sum, mut error) = (*last, 0.0);
    while let Some((next, before)) = rest.split_last() {
        (sum, error) = two_sum(sum, *next);
        rest = before;
        if error != 0.0 {
            break;
        }
    }
    // What lies below may decide a tie, and then only in the direction of the error.
    if let Some(below) = rest.last()
        && (error < 0.0) == (*below < 0.0)
        && error != 0.0
    {
        let twice = error * 2.0;
        let other = sum + twice;
        if other - sum == twice {
            sum = other;
        }
    }
    sum
}

impl Monoid for SumFloat {
    type Value = FloatSum;
    type Input = f64;

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("sum(float)")
    }

    fn laws(&self) -> Laws {
        GROUP
    }

    fn identity(&self) -> FloatSum {
        FloatSum::default()
    }

    fn add(&self, into: &mut FloatSum, input: &f64, _at: Moment) -> Result<(), Refused> {
        into.add(*input, false)
    }

    fn combine(&self, into: &mut FloatSum, other: &FloatSum) -> Result<(), Refused> {
        *into = into.merged(other, false)?;
        Ok(())
    }

    fn take_back(&self, from: &mut FloatSum, input: &f64, _at: Moment) -> Result<(), Refused> {
        from.add(*input, true)
    }

    fn combine_inverse(&self, from: &mut FloatSum, other: &FloatSum) -> Result<(), Refused> {
        *from = from.merged(other, true)?;
        Ok(())
    }

    fn is_identity(&self, value: &FloatSum) -> bool {
        value.high == 0.0 && value.more.is_none()
    }

    fn size_bytes(&self, value: &FloatSum) -> usize {
        let more =
            (value.more.as_deref()).map_or(0, |more| size_of::<More>() + 8 * more.parts.capacity());
        size_of::<FloatSum>() + more
    }

    fn encode(&self, value: &FloatSum, out: &mut Vec<u8>) {
        out.push(VERSION);
        let (nan, up, down) = value.special();
        for count in [nan, up, down] {
            put_signed(out, count);
        }
        put_unsigned(out, value.parts().count() as u64);
        for part in value.parts() {
            out.extend_from_slice(&part.to_le_bytes());
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<FloatSum, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let (nan, up, down) = (reader.signed()?, reader.signed()?, reader.signed()?);
        let count = reader.count(8)?;
        let mut parts = Vec::new();
        let mut grown = Vec::new();
        for _ in 0..count.min(PARTS_MAX) {
            let part = reader.double()?;
            parts.push(part);
            grow(&mut grown, part);
        }
        reader.end()?;
        // Bits, not numbers, so that neither NaN nor −0 passes.
        let is_canonical = parts.iter().all(|part| part.is_finite())
            && canonical(grown).is_ok_and(|sum| {
                sum.len() == parts.len()
                    && sum
                        .iter()
                        .zip(&parts)
                        .all(|(one, two)| one.to_bits() == two.to_bits())
            });
        if !is_canonical {
            return Err(Refused::damaged(
                "parts of a sum that do not follow from it",
            ));
        }
        let mut value = FloatSum::default();
        value.set_parts(parts);
        value.add_special(nan, up, down)?;
        Ok(value)
    }
}

fn beyond() -> Refused {
    Refused::overflow("a sum of doubles beyond the largest of them")
}
