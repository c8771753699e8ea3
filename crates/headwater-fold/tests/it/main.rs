//! Monoids, held to their laws and to the truth; the embedded store, held to its contract.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests: a helper that fails fails its test, and numbers are small"
)]

mod bounds;
mod cases;
mod dynamic;
mod embedded;
mod golden;
mod laws;
mod pipelines;
mod refold;
mod rows;
mod seeded;
mod sink;
mod suite;
mod truth;
mod wrong;
