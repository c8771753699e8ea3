//! The real binary, as a person uses it: on real servers, and without one.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod bootstrap;
mod command;
mod dead_letters;
mod deploy;
mod events;
mod failures;
mod filters;
mod folds;
mod folds_redis;
mod from_maxwell;
mod iotdb;
mod kafka;
mod kills;
mod kills_folds;
mod kills_iotdb;
mod mappings;
mod processes;
mod requests;
mod scrape;
mod server;
mod stops;
mod streams;
mod verify;
mod verify_shapes;
mod warnings;
