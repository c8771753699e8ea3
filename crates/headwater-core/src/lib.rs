//! The engine of Headwater: values, batches, positions, cuts, coverage, checkpoints, and the contracts of sources and
//! sinks. It knows no driver, no file format and no command line.

pub mod batch;
pub mod bootstrap;
pub mod checkpoint;
pub mod clock;
pub mod counters;
pub mod coverage;
pub mod ddl;
pub mod dead_letters;
pub mod engine;
pub mod error;
pub mod failpoint;
pub mod filter;
pub mod finding;
pub mod key;
pub mod load;
pub mod metrics;
pub mod position;
pub mod progress;
pub mod retry;
pub mod schema;
pub mod sink;
pub mod source;
pub mod trigger;
pub mod value;
pub mod views;
pub mod zone;

pub use error::{Error, ErrorKind, Result};
