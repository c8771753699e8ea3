//! The MySQL and MariaDB source on real servers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::large_futures,
    reason = "a test ends by panicking, and its helpers with it"
)]

mod bootstrap;
mod bounded;
mod client;
mod conformance;
mod contract;
mod cuts;
mod ddl;
mod decode;
mod definitions;
mod harness;
mod labels;
mod live;
mod load;
mod requests;
mod schema;
mod selection;
mod settings;
mod snapshot;
mod types;
mod versions;
mod visibility;
