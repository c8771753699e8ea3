//! The sink on a real Kafka.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod conformance;
mod exactly_once;
mod outages;
mod records;
mod refusals;
mod room;
mod secure;
mod soak;
mod support;
