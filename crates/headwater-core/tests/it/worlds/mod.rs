//! The engine on a source, sink and checkpoint store in memory, judged by the oracle.
//!
//! Hundreds of seeds; without `HEADWATER_SOAK=1` a tenth of them. A failure names its seed; `HEADWATER_SEED=n` runs that one
//! alone. Nothing here waits for real time.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by a panic, and says its seed"
)]

mod bootstrap;
mod broken;
mod conditions;
mod copy;
mod crash;
mod driver;
mod edges;
mod filtered;
mod load;
mod operator;
mod selection;
