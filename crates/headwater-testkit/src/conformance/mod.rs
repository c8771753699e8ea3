//! Suites that every source, sink, checkpoint store and state store must pass: the real ones as well as those in memory.
//!
//! Each suite is a handful of functions, one for each promise of the contract, generic over a harness that says how to change
//! the source, or how to come back to a target. A function panics, with what was found, where the promise is broken. Call
//! each from a test of its own:
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_cut_is_exact() {
//!     source::a_cut_is_exact(&MyHarness::new().await, 7).await;
//! }
//! ```

#![allow(clippy::panic, reason = "a suite fails by a panic")]

pub mod checkpoint_store;
pub mod sink;
pub mod source;
pub mod store;
