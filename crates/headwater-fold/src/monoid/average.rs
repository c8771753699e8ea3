//! The average: a sum and how many it is of.

use std::borrow::Cow;

use super::codec::{Reader, put_signed};
use super::decimal::Decimal;
use super::sum_float::FloatSum;
use super::sum_integer::Wide;
use super::{Laws, Moment, Monoid, Refused, SumDecimal, SumFloat, SumInteger};

const VERSION: u8 = 1;

/// Averages what the monoid `S` sums up: it keeps the sum and the count, and divides when it is asked.
///
/// It has the laws of `S`. Byte form, version 1: the count (signed), then the bytes of the sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Average<S>(pub S);

/// A sum with the number of its terms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Averaged<V> {
    /// The sum.
    pub sum: V,
    /// How many.
    pub count: i64,
}

impl Averaged<Wide> {
    /// The average, with four digits after the point as MySQL has it; none of nothing.
    #[must_use]
    pub fn mean(&self) -> Option<Decimal> {
        Decimal::new(self.sum.into(), 0).divided_by(self.count, 4)
    }
}

impl Averaged<Decimal> {
    /// The average, with four digits more than the terms have, as MySQL has it; none of nothing.
    #[must_use]
    pub fn mean(&self) -> Option<Decimal> {
        self.sum
            .divided_by(self.count, self.sum.scale().saturating_add(4))
    }
}

impl Averaged<FloatSum> {
    /// The average; none of nothing.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "a count beyond 2^53 is rounded as the sum is"
    )]
    pub fn mean(&self) -> Option<f64> {
        (self.count != 0).then(|| self.sum.value() / self.count as f64)
    }
}

/// What can be averaged.
pub trait Sum: Monoid {}
impl Sum for SumInteger {}
impl Sum for SumDecimal {}
impl Sum for SumFloat {}

impl<S: Sum> Average<S> {
    fn counted(count: i64, by: i64, minus: bool) -> Result<i64, Refused> {
        let sum = if minus {
            count.checked_sub(by)
        } else {
            count.checked_add(by)
        };
        sum.ok_or_else(|| Refused::overflow("an average of more than 2^63 terms"))
    }
}

impl<S: Sum> Monoid for Average<S> {
    type Value = Averaged<S::Value>;
    type Input = S::Input;

    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!("average of {}", self.0.name()))
    }

    fn laws(&self) -> Laws {
        self.0.laws()
    }

    fn identity(&self) -> Self::Value {
        Averaged {
            sum: self.0.identity(),
            count: 0,
        }
    }

    fn add(&self, into: &mut Self::Value, input: &S::Input, at: Moment) -> Result<(), Refused> {
        let count = Self::counted(into.count, 1, false)?;
        self.0.add(&mut into.sum, input, at)?;
        into.count = count;
        Ok(())
    }

    fn combine(&self, into: &mut Self::Value, other: &Self::Value) -> Result<(), Refused> {
        let count = Self::counted(into.count, other.count, false)?;
        self.0.combine(&mut into.sum, &other.sum)?;
        into.count = count;
        Ok(())
    }

    fn take_back(
        &self,
        from: &mut Self::Value,
        input: &S::Input,
        at: Moment,
    ) -> Result<(), Refused> {
        let count = Self::counted(from.count, 1, true)?;
        self.0.take_back(&mut from.sum, input, at)?;
        from.count = count;
        Ok(())
    }

    fn combine_inverse(&self, from: &mut Self::Value, other: &Self::Value) -> Result<(), Refused> {
        let count = Self::counted(from.count, other.count, true)?;
        self.0.combine_inverse(&mut from.sum, &other.sum)?;
        from.count = count;
        Ok(())
    }

    fn is_identity(&self, value: &Self::Value) -> bool {
        value.count == 0 && self.0.is_identity(&value.sum)
    }

    fn size_bytes(&self, value: &Self::Value) -> usize {
        size_of::<i64>() + self.0.size_bytes(&value.sum)
    }

    fn encode(&self, value: &Self::Value, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_signed(out, value.count);
        self.0.encode(&value.sum, out);
    }

    fn decode(&self, bytes: &[u8]) -> Result<Self::Value, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let count = reader.signed()?;
        let sum = self.0.decode(reader.take(reader.left())?)?;
        Ok(Averaged { sum, count })
    }
}
