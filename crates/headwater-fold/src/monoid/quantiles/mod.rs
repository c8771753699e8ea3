//! Quantiles within a relative error.

mod mapping;
mod store;

use std::borrow::Cow;

use self::mapping::Mapping;
use self::store::Store;
use super::codec::{Reader, put_signed};
use super::{Laws, Moment, Monoid, Refused};

const VERSION: u8 = 1;

/// Quantiles of numbers, each within a relative error α (C. Masson, J. E. Rim and H. K. Lee, "DDSketch", 2019): values are counted in buckets
/// whose ends differ by a factor of (1 + α) / (1 − α).
///
/// It is used instead of a t-digest or KLL because its counts can be taken back: an update or a delete of a row is followed
/// exactly, where the others, which keep centroids or samples, cannot forget a value. And counts of the same values are the same, however a fold is cut.
///
/// Each sign has buckets of its own, and at most `buckets_max` of them from the highest in use: what is lower (closer to zero) is then counted
/// in the lowest, for good. With the default of 2,048 and α = 1 % that takes values that differ by a factor of 10¹⁷. Of
/// what was brought together so, the number is still right and can be taken back, but a quantile among it has no bound
/// ([`Quantile::is_bounded`]). That buckets were given up is never
/// forgotten, not even when nothing is counted any more.
///
/// Commutative, invertible; to the last bit until buckets are given up, then for those above the lowest one. NaN and infinities are
/// refused; what is closer to zero than 2.2·10⁻³⁰⁸ counts as zero. Byte form, version 1: the count of zeros; then of the positive and of the negative
/// values: 0, or 1 and the number of the lowest bucket once others were given up; how many buckets; for each the distance of its number from the
/// one before (the first: the number), and its count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    accuracy: f64,
    buckets_max: u32,
    mapping: Mapping,
}

/// The buckets of [`Quantiles`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    positive: Store,
    negative: Store,
    zeros: i64,
}

/// An estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The value, within the relative error.
    pub value: f64,
    /// Whether that is promised: not where buckets had to be given up.
    pub is_bounded: bool,
}

impl Sketch {
    /// How many values.
    #[must_use]
    pub fn count(&self) -> i64 {
        let stores = [&self.positive, &self.negative];
        let counts = stores.into_iter().flat_map(|store| &store.buckets);
        counts.fold(self.zeros, |sum, bucket| sum.saturating_add(bucket.1))
    }
}

impl Quantiles {
    /// With this relative error, and so many buckets for each sign.
    ///
    /// # Errors
    ///
    /// An error that is not within 0.0001 to 0.5; fewer than 2 or more than 65,536 buckets.
    pub fn new(accuracy: f64, buckets_max: u32) -> Result<Self, Refused> {
        if !(0.000_1..=0.5).contains(&accuracy) {
            return Err(Refused::unsuitable(
                "quantiles need a relative error of 0.0001 to 0.5",
            ));
        }
        if !(2..=65_536).contains(&buckets_max) {
            return Err(Refused::unsuitable("quantiles need 2 to 65,536 buckets"));
        }
        Ok(Self {
            accuracy,
            buckets_max,
            mapping: Mapping::new(accuracy),
        })
    }

    /// The relative error.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }

    /// The value of the rank ⌊q · (n − 1)⌋ of n, counted from 0; none of nothing, of a delta that is negative anywhere, and for a q outside 0 to 1.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "a rank beyond 2^53 is off by less than the count"
    )]
    pub fn quantile(&self, value: &Sketch, q: f64) -> Option<Quantile> {
        let count = value.count();
        let stores = [&value.positive, &value.negative];
        let mut buckets = stores.into_iter().flat_map(|store| &store.buckets);
        if count <= 0 || value.zeros < 0 || buckets.any(|bucket| bucket.1 < 0) {
            return None;
        }
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        let mut left = (q * (count - 1) as f64) as i64;
        let of = |store: &Store, index: i32, sign: f64| Quantile {
            value: sign * self.mapping.value(index),
            is_bounded: store.floor.is_none_or(|floor| index > floor),
        };
        for &(index, count) in value.negative.buckets.iter().rev() {
            if left < count {
                return Some(of(&value.negative, index, -1.0));
            }
            left -= count;
        }
        if left < value.zeros {
            return Some(Quantile {
                value: 0.0,
                is_bounded: true,
            });
        }
        left -= value.zeros;
        for &(index, count) in &value.positive.buckets {
            if left < count {
                return Some(of(&value.positive, index, 1.0));
            }
            left -= count;
        }
        None
    }

    fn count(&self, into: &mut Sketch, input: f64, by: i64) -> Result<(), Refused> {
        if !input.is_finite() {
            return Err(Refused::unsuitable(
                "NaN or an infinity among values for quantiles",
            ));
        }
        if input.abs() < f64::MIN_POSITIVE {
            into.zeros = into.zeros.checked_add(by).ok_or_else(beyond)?;
            return Ok(());
        }
        let store = match input > 0.0 {
            true => &mut into.positive,
            false => &mut into.negative,
        };
        store.add(self.mapping.index(input.abs()), by, self.buckets_max)
    }

    fn merge(&self, into: &mut Sketch, other: &Sketch, minus: bool) -> Result<(), Refused> {
        let zeros = match minus {
            true => into.zeros.checked_sub(other.zeros),
            false => into.zeros.checked_add(other.zeros),
        };
        let zeros = zeros.ok_or_else(beyond)?;
        let positive = into
            .positive
            .merged(&other.positive, minus, self.buckets_max)?;
        let negative = into
            .negative
            .merged(&other.negative, minus, self.buckets_max)?;
        *into = Sketch {
            positive,
            negative,
            zeros,
        };
        Ok(())
    }
}

fn beyond() -> Refused {
    Refused::overflow("more than 2^63 values for quantiles")
}

impl Monoid for Quantiles {
    type Value = Sketch;
    type Input = f64;

    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!(
            "quantiles({}, {})",
            self.accuracy, self.buckets_max
        ))
    }

    fn laws(&self) -> Laws {
        Laws {
            commutative: true,
            idempotent: false,
            invertible: true,
            exact: false,
        }
    }

    fn identity(&self) -> Sketch {
        Sketch::default()
    }

    fn add(&self, into: &mut Sketch, input: &f64, _at: Moment) -> Result<(), Refused> {
        self.count(into, *input, 1)
    }

    fn would_add(&self, _into: &Sketch, input: &f64, at: Moment) -> Result<(), Refused> {
        // Counts of 2^63 are not reached one by one.
        self.add(&mut Sketch::default(), input, at)
    }

    fn combine(&self, into: &mut Sketch, other: &Sketch) -> Result<(), Refused> {
        self.merge(into, other, false)
    }

    fn take_back(&self, from: &mut Sketch, input: &f64, _at: Moment) -> Result<(), Refused> {
        self.count(from, *input, -1)
    }

    fn combine_inverse(&self, from: &mut Sketch, other: &Sketch) -> Result<(), Refused> {
        self.merge(from, other, true)
    }

    fn is_identity(&self, value: &Sketch) -> bool {
        value.zeros == 0 && value.positive.is_empty() && value.negative.is_empty()
    }

    fn size_bytes(&self, value: &Sketch) -> usize {
        let buckets = value.positive.buckets.capacity() + value.negative.buckets.capacity();
        size_of::<Sketch>() + buckets * size_of::<(i32, i64)>()
    }

    fn encode(&self, value: &Sketch, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_signed(out, value.zeros);
        value.positive.encode(out);
        value.negative.encode(out);
    }

    fn decode(&self, bytes: &[u8]) -> Result<Sketch, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let zeros = reader.signed()?;
        let positive = Store::decode(&mut reader, self.buckets_max)?;
        let negative = Store::decode(&mut reader, self.buckets_max)?;
        reader.end()?;
        Ok(Sketch {
            positive,
            negative,
            zeros,
        })
    }
}
