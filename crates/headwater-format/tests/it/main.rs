//! Events of whole rows.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod events;
mod options;
mod routes;
mod shape;
mod support;
