//! How events combine into an aggregate.
//!
//! A monoid is an operation on aggregates that is associative and has an identity. That is what lets a fold be cut anywhere: by
//! split, by batch, by window, and put together again in a tree of any shape. [`Laws`] says what else holds of one; the law suite
//! of this crate (`tests/it/`) holds each to what it says.
//!
//! | file | what |
//! |---|---|
//! | `count.rs` | how many |
//! | `refused.rs` | why an operation was refused |

mod count;
mod refused;

use std::borrow::Cow;
use std::fmt::Debug;

pub use count::Count;
pub use refused::{Refusal, Refused};

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
    /// Answers are the truth, and the laws hold to the last bit. Otherwise both hold within the bound that the monoid's page states.
    pub exact: bool,
}

/// A way to combine events into an aggregate.
///
/// An operation that is refused leaves the value it was to change as it was.
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
