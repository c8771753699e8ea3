//! What Headwater's tests stand on: a database in memory whose writers never rest, a sink in memory that can crash, faults
//! between engine and sink, suites that every source, sink and store must pass, and the oracle that says whether a
//! stream of events is what truly happened.
//!
//! Everything random comes from a seed, and nothing waits for real time: a run in one thread with tokio's paused clock is
//! the same run each time.

pub mod conformance;
pub mod fault;
pub mod memory;
pub mod oracle;
pub mod render;
