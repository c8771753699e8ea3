//! How events combine into an aggregate.
//!
//! A monoid is an operation on aggregates that is associative and has an identity. That is what lets a fold be cut anywhere: by
//! split, by batch, by window, and put together again in a tree of any shape. [`Laws`] says what else holds of one; the law suite
//! of this crate (`tests/it/`) holds each to what it says.
//!
//! | file | what |
//! |---|---|
//! | `count.rs` | how many |
//! | `sum_integer.rs`, `sum_decimal.rs`, `sum_float.rs` | sums, all three exact; `decimal.rs` is the number |
//! | `average.rs` | a sum and its count |
//! | `extreme.rs`, `first_last.rs` | least and greatest, first and last |
//! | `set.rs`, `map.rs`, `tuple.rs` | sets; maps of aggregates; aggregates side by side |
//! | `hyperloglog.rs`, `bloom.rs` | distinct values, about; membership, perhaps; `hash.rs` is their hash |
//! | `top.rs` | the most frequent values |
//! | `quantiles/` | quantiles that can be taken back (DDSketch) |
//! | `decayed.rs` | a sum with a half-life |
//! | `dynamic/`, `scalar.rs` | any of these, chosen by name in a configuration file, over cells of any type |
//! | `item.rs`, `codec.rs` | what minima and sets hold; bytes |
//! | `refused.rs` | why an operation was refused |

#![allow(
    clippy::cast_possible_truncation,
    reason = "bytes, buckets and registers are masked or bounded before they are narrowed"
)]

mod average;
mod bloom;
pub mod codec;
mod count;
mod decayed;
mod decimal;
mod dynamic;
mod extreme;
mod first_last;
mod hash;
mod hyperloglog;
mod item;
mod map;
mod quantiles;
mod refused;
mod scalar;
mod set;
mod sum_decimal;
mod sum_float;
mod sum_integer;
mod top;
mod tuple;

use std::borrow::Cow;
use std::fmt::Debug;

pub use average::{Average, Averaged, Sum};
pub use bloom::{Bits, Bloom};
pub use count::Count;
pub use decayed::{DecayedSum, Decaying};
pub use decimal::{Decimal, SCALE_MAX};
pub use dynamic::{Aggregate, Dynamic};
pub use extreme::{Max, Min};
pub use first_last::{First, Last, Stamped};
pub use hash::hash;
pub use hyperloglog::{HyperLogLog, Registers};
pub use item::Item;
pub use map::{Entries, Keyed, MapMerge};
pub use quantiles::{Quantile, Quantiles, Sketch};
pub use refused::{Refusal, Refused};
pub use scalar::Scalar;
pub use set::Set;
pub use sum_decimal::SumDecimal;
pub use sum_float::{FloatSum, SumFloat};
pub use sum_integer::{SumInteger, Wide};
pub use top::{Counters, Frequent, Top};

/// The longest value that sets, maps, lists and minima hold: they are small things by their purpose, and a state store has bounds.
pub const ITEM_BYTES_MAX: usize = 64 << 10;

/// Where and when an event stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment {
    /// Grows with the source's log: the ordinal of the transaction, and the number of the row in it. Rows of a snapshot have the
    /// order of their cut.
    pub order: (u64, u64),
    /// When it happened: microseconds since 1970, UTC.
    pub time_us: i64,
}

/// What holds of a monoid beyond associativity and identity.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Laws {
    /// `a·b = b·a`: splits may be merged in any order.
    pub commutative: bool,
    /// `a·a = a`: what is merged twice counts once.
    pub idempotent: bool,
    /// What was added can be taken back: values form a group, and [`Monoid::take_back`] and [`Monoid::combine_inverse`] work.
    pub invertible: bool,
    /// The laws hold to the last bit: however a fold is cut, and whatever was added and taken back, the same bytes come out. Otherwise
    /// they hold within the bound that the monoid's page states. (Whether an answer is the truth or an estimate is another matter.)
    pub exact: bool,
}

/// The laws of a commutative group, exact.
const GROUP: Laws = Laws {
    commutative: true,
    idempotent: false,
    invertible: true,
    exact: true,
};

/// The laws of a semilattice, exact.
const SEMILATTICE: Laws = Laws {
    commutative: true,
    idempotent: true,
    invertible: false,
    exact: true,
};

/// A way to combine events into an aggregate.
///
/// An operation that is refused leaves the value it was to change as it was.
///
/// One of your own is short: here, which of 64 flags was ever set.
///
/// ```
/// use std::borrow::Cow;
/// use headwater_fold::{Laws, Moment, Monoid, Refused};
///
/// #[derive(Debug)]
/// struct Flags;
///
/// impl Monoid for Flags {
///     type Value = u64;
///     type Input = u64;
///
///     fn name(&self) -> Cow<'static, str> {
///         "flags".into()
///     }
///     fn laws(&self) -> Laws {
///         Laws { commutative: true, idempotent: true, invertible: false, exact: true }
///     }
///     fn identity(&self) -> u64 {
///         0
///     }
///     fn add(&self, into: &mut u64, input: &u64, _at: Moment) -> Result<(), Refused> {
///         *into |= input;
///         Ok(())
///     }
///     fn combine(&self, into: &mut u64, other: &u64) -> Result<(), Refused> {
///         *into |= other;
///         Ok(())
///     }
///     fn is_identity(&self, value: &u64) -> bool {
///         *value == 0
///     }
///     fn size_bytes(&self, _value: &u64) -> usize {
///         8
///     }
///     fn encode(&self, value: &u64, out: &mut Vec<u8>) {
///         out.push(1);
///         out.extend_from_slice(&value.to_le_bytes());
///     }
///     fn decode(&self, bytes: &[u8]) -> Result<u64, Refused> {
///         match bytes {
///             [1, value @ ..] => (value.try_into().map(u64::from_le_bytes))
///                 .map_err(|_| Refused::damaged("flags are eight bytes")),
///             _ => Err(Refused::damaged("flags of an unknown version")),
///         }
///     }
/// }
///
/// let (mut seen, at) = (Flags.identity(), Moment::default());
/// Flags.add(&mut seen, &0b01, at)?;
/// Flags.combine(&mut seen, &0b10)?;
/// assert_eq!(seen, 0b11);
/// assert!(Flags.take_back(&mut seen, &0b10, at).is_err());
/// # Ok::<(), Refused>(())
/// ```
pub trait Monoid: Debug + Send + Sync + 'static {
    /// An aggregate.
    type Value: Clone + PartialEq + Debug + Send + Sync + 'static;

    /// What one event contributes. It is added without a value of its own being built.
    type Input: ?Sized;

    /// The name with everything that decides what the bytes mean: `sum`, `hll(14)`. It is stored beside the state, so that state of
    /// another monoid is refused.
    fn name(&self) -> Cow<'static, str>;

    /// What holds beyond associativity and identity.
    fn laws(&self) -> Laws;

    /// The empty aggregate.
    fn identity(&self) -> Self::Value;

    /// Adds what one event contributes: the same as combining with the aggregate of that event alone.
    ///
    /// # Errors
    ///
    /// What the input is unsuitable for, or what would go over a bound.
    fn add(&self, into: &mut Self::Value, input: &Self::Input, at: Moment) -> Result<(), Refused>;

    /// Whether [`Monoid::add`] would be refused. Where a value is large, it is worth an implementation without a copy.
    ///
    /// # Errors
    ///
    /// What `add` would refuse.
    fn would_add(
        &self,
        into: &Self::Value,
        input: &Self::Input,
        at: Moment,
    ) -> Result<(), Refused> {
        self.add(&mut into.clone(), input, at)
    }

    /// Makes `into` the aggregate of its events and then those of `other`.
    ///
    /// # Errors
    ///
    /// What would go over a bound, and values of other parameters.
    fn combine(&self, into: &mut Self::Value, other: &Self::Value) -> Result<(), Refused>;

    /// Undoes [`Monoid::add`] of the same input at the same moment. A value may be "negative" until it is merged with what was
    /// added before it.
    ///
    /// # Errors
    ///
    /// As `add`; always, where the monoid is not invertible.
    fn take_back(
        &self,
        from: &mut Self::Value,
        input: &Self::Input,
        at: Moment,
    ) -> Result<(), Refused> {
        let _ = (from, input, at);
        Err(Refused::not_invertible(self.name()))
    }

    /// Undoes [`Monoid::combine`] with the same value.
    ///
    /// # Errors
    ///
    /// As `combine`; always, where the monoid is not invertible.
    fn combine_inverse(&self, from: &mut Self::Value, other: &Self::Value) -> Result<(), Refused> {
        let _ = (from, other);
        Err(Refused::not_invertible(self.name()))
    }

    /// Whether the value is that of no event: it need not be stored.
    fn is_identity(&self, value: &Self::Value) -> bool;

    /// About how many bytes the value takes in memory, on the heap and inline. Bounds of memory go by it.
    fn size_bytes(&self, value: &Self::Value) -> usize;

    /// Appends the value's bytes: first the version of their form. Equal values have equal bytes.
    fn encode(&self, value: &Self::Value, out: &mut Vec<u8>);

    /// The value of these bytes, which must be all of them.
    ///
    /// # Errors
    ///
    /// Bytes that [`Monoid::encode`] does not write, of whatever origin: it trusts no length in them, and never panics.
    fn decode(&self, bytes: &[u8]) -> Result<Self::Value, Refused>;
}
