//! Real servers, started and ended in every way.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod iotdb;
mod kafka;
mod private;
mod redis;
mod shared;
mod watched;
