//! Folds: the rows and changes of a stream combined, by key, into aggregates that are kept in a state store.
//!
//! A [`Monoid`] says how events combine: what an empty aggregate is, how an event is added and taken back, how two
//! aggregates become one, and how an aggregate is written down. Everything else here works with any of them.

pub mod bootstrap;
pub mod condition;
pub mod fold;
pub mod gathered;
pub mod key;
pub mod live;
pub mod monoid;
pub mod pipeline;
pub mod place;
pub mod query;
pub mod recorder;
pub mod refold;
pub mod sink;
pub mod store;
pub mod window;

pub use jiff;
pub use monoid::{Laws, Moment, Monoid, Refusal, Refused};
pub use pipeline::{Options, Pipeline};
