//! The promises of the sinks and of the checkpoint file, each kept on real files.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's helpers fail as the test does"
)]

mod checkpoint;
mod conformance;
mod crash;
mod disk;
mod file;
mod refusals;
mod streams;
mod support;
mod syncs;
