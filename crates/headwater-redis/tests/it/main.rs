//! Redis and Valkey as a state store, held to the contract of all.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests: a helper that fails fails its test"
)]

mod cached;
mod kills;
mod suite;
mod ways;
