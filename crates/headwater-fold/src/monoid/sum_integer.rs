//! The sum of integers.

use std::borrow::Cow;
use std::fmt;

use super::codec::Reader;
use super::{GROUP, Laws, Moment, Monoid, Refused};

const VERSION: u8 = 1;

/// An integer of 128 bits in two halves, so that it is aligned to eight bytes and an aggregate stays small.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wide {
    high: i64,
    low: u64,
}

impl From<i128> for Wide {
    fn from(value: i128) -> Self {
        Self {
            high: (value >> 64) as i64,
            low: value.cast_unsigned() as u64,
        }
    }
}

impl From<Wide> for i128 {
    fn from(value: Wide) -> Self {
        Self::from(value.high) << 64 | Self::from(value.low)
    }
}

impl fmt::Debug for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&i128::from(*self), f)
    }
}

/// Adds integers of up to 64 bits, signed or not, in 128: no fewer than 2⁶³ of them can overflow it, and then it refuses and does
/// not wrap around.
///
/// Commutative, invertible, exact. Byte form, version 1: the sum as sixteen bytes, little-endian.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SumInteger;

impl Monoid for SumInteger {
    type Value = Wide;
    type Input = i128;

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("sum(integer)")
    }

    fn laws(&self) -> Laws {
        GROUP
    }

    fn identity(&self) -> Wide {
        Wide::default()
    }

    fn add(&self, into: &mut Wide, input: &i128, _at: Moment) -> Result<(), Refused> {
        let sum = i128::from(*into).checked_add(*input);
        *into = sum.ok_or_else(beyond)?.into();
        Ok(())
    }

    fn combine(&self, into: &mut Wide, other: &Wide) -> Result<(), Refused> {
        self.add(into, &i128::from(*other), Moment::default())
    }

    fn take_back(&self, from: &mut Wide, input: &i128, _at: Moment) -> Result<(), Refused> {
        let sum = i128::from(*from).checked_sub(*input);
        *from = sum.ok_or_else(beyond)?.into();
        Ok(())
    }

    fn combine_inverse(&self, from: &mut Wide, other: &Wide) -> Result<(), Refused> {
        self.take_back(from, &i128::from(*other), Moment::default())
    }

    fn is_identity(&self, value: &Wide) -> bool {
        *value == Wide::default()
    }

    fn size_bytes(&self, _value: &Wide) -> usize {
        size_of::<Wide>()
    }

    fn encode(&self, value: &Wide, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&i128::from(*value).to_le_bytes());
    }

    fn decode(&self, bytes: &[u8]) -> Result<Wide, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let value = i128::from_le_bytes(reader.array()?);
        reader.end()?;
        Ok(value.into())
    }
}

fn beyond() -> Refused {
    Refused::overflow("a sum of integers beyond 128 bits")
}
