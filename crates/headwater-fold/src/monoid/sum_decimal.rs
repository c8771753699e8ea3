//! The sum of decimal numbers.

use std::borrow::Cow;

use super::codec::Reader;
use super::decimal::Decimal;
use super::{GROUP, Laws, Moment, Monoid, Refused};

const VERSION: u8 = 1;

/// Adds decimal numbers exactly: in 128 bits where they fit, in as many as it takes otherwise, to 300 digits; beyond it refuses.
///
/// Commutative, invertible, exact. Byte form, version 1: the number of digits after the point (one byte), then the digits
/// as a signed binary number in its fewest bytes (a length, little-endian), both of the number without zeros at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SumDecimal;

impl Monoid for SumDecimal {
    type Value = Decimal;
    type Input = Decimal;

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("sum(decimal)")
    }

    fn laws(&self) -> Laws {
        GROUP
    }

    fn identity(&self) -> Decimal {
        Decimal::default()
    }

    fn add(&self, into: &mut Decimal, input: &Decimal, _at: Moment) -> Result<(), Refused> {
        self.combine(into, input)
    }

    fn combine(&self, into: &mut Decimal, other: &Decimal) -> Result<(), Refused> {
        *into = into.plus(other, false)?;
        Ok(())
    }

    fn take_back(&self, from: &mut Decimal, input: &Decimal, _at: Moment) -> Result<(), Refused> {
        self.combine_inverse(from, input)
    }

    fn combine_inverse(&self, from: &mut Decimal, other: &Decimal) -> Result<(), Refused> {
        *from = from.plus(other, true)?;
        Ok(())
    }

    fn is_identity(&self, value: &Decimal) -> bool {
        value.is_zero()
    }

    fn size_bytes(&self, value: &Decimal) -> usize {
        size_of::<Decimal>() + value.heap_bytes()
    }

    fn encode(&self, value: &Decimal, out: &mut Vec<u8>) {
        out.push(VERSION);
        value.put(out);
    }

    fn decode(&self, bytes: &[u8]) -> Result<Decimal, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let value = Decimal::read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}
