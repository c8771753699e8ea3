//! A sum of which the past counts less and less.

use std::borrow::Cow;

use super::codec::Reader;
use super::{Laws, Moment, Monoid, Refused};

const VERSION: u8 = 1;

/// Adds doubles, each worth half as much after every half-life from the time of its event: Σ x · 2^(−(t − tₓ) / h).
///
/// The sum is held as of the latest event time; another is brought to it before they are added, so that late events count for what is left of
/// them. Commutative and invertible, associative within rounding: of n operations, the sum is true to n · 2⁻⁵⁰ of Σ |x| · 2^(−(t − tₓ) / h).
/// NaN and infinities are refused. Byte form, version 1: the sum (eight bytes of a double), and its time (eight bytes), little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecayedSum {
    half_life_us: u64,
}

/// A sum as of a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decaying {
    sum: f64,
    at_us: i64,
}

/// Nothing, as of the beginning of time.
const NOTHING: Decaying = Decaying {
    sum: 0.0,
    at_us: i64::MIN,
};

impl DecayedSum {
    /// With this half-life in microseconds.
    ///
    /// # Errors
    ///
    /// None at all.
    pub fn new(half_life_us: u64) -> Result<Self, Refused> {
        match half_life_us {
            0 => Err(Refused::unsuitable("a half-life of zero")),
            _ => Ok(Self { half_life_us }),
        }
    }

    /// What the sum is at a time.
    #[must_use]
    pub fn value_at(&self, value: &Decaying, time_us: i64) -> f64 {
        if value.sum == 0.0 {
            return 0.0;
        }
        let left = self.left(value.at_us.abs_diff(time_us));
        match time_us < value.at_us {
            true => value.sum / left,
            false => value.sum * left,
        }
    }

    /// What is left of one after so many microseconds.
    #[allow(
        clippy::cast_precision_loss,
        reason = "of times beyond 2^53 µs nothing is left either way"
    )]
    fn left(&self, elapsed_us: u64) -> f64 {
        (-(elapsed_us as f64 / self.half_life_us as f64)).exp2()
    }

    fn merge(&self, into: &mut Decaying, sum: f64, at_us: i64) -> Result<(), Refused> {
        if sum == 0.0 {
            return Ok(());
        }
        let time = into.at_us.max(at_us);
        let other = Decaying { sum, at_us };
        let sum = self.value_at(into, time) + self.value_at(&other, time);
        if !sum.is_finite() {
            return Err(Refused::overflow("a decayed sum beyond the largest double"));
        }
        *into = match sum {
            0.0 => NOTHING,
            _ => Decaying { sum, at_us: time },
        };
        Ok(())
    }
}

impl Decaying {
    /// The sum as of its own time.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The latest time of its events: microseconds since 1970, UTC.
    #[must_use]
    pub fn at_us(&self) -> i64 {
        self.at_us
    }
}

fn finite(input: f64) -> Result<f64, Refused> {
    match input.is_finite() {
        true => Ok(input),
        false => Err(Refused::unsuitable("NaN or an infinity in a decayed sum")),
    }
}

impl Monoid for DecayedSum {
    type Value = Decaying;
    type Input = f64;

    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!("decayed({} us)", self.half_life_us))
    }

    fn laws(&self) -> Laws {
        Laws {
            commutative: true,
            idempotent: false,
            invertible: true,
            exact: false,
        }
    }

    fn identity(&self) -> Decaying {
        NOTHING
    }

    fn add(&self, into: &mut Decaying, input: &f64, at: Moment) -> Result<(), Refused> {
        self.merge(into, finite(*input)?, at.time_us)
    }

    fn combine(&self, into: &mut Decaying, other: &Decaying) -> Result<(), Refused> {
        self.merge(into, other.sum, other.at_us)
    }

    fn take_back(&self, from: &mut Decaying, input: &f64, at: Moment) -> Result<(), Refused> {
        self.merge(from, -finite(*input)?, at.time_us)
    }

    fn combine_inverse(&self, from: &mut Decaying, other: &Decaying) -> Result<(), Refused> {
        self.merge(from, -other.sum, other.at_us)
    }

    fn is_identity(&self, value: &Decaying) -> bool {
        value.sum == 0.0
    }

    fn size_bytes(&self, _value: &Decaying) -> usize {
        size_of::<Decaying>()
    }

    fn encode(&self, value: &Decaying, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&value.sum.to_le_bytes());
        out.extend_from_slice(&value.at_us.to_le_bytes());
    }

    fn decode(&self, bytes: &[u8]) -> Result<Decaying, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let value = Decaying {
            sum: reader.double()?,
            at_us: i64::from_le_bytes(reader.array()?),
        };
        reader.end()?;
        let is_nothing = value.sum.to_bits() == 0 && value.at_us == NOTHING.at_us;
        if !value.sum.is_finite() || (value.sum == 0.0 && !is_nothing) {
            return Err(Refused::damaged(
                "a decayed sum that no values can have made",
            ));
        }
        Ok(value)
    }
}
