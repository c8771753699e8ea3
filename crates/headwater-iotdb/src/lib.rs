//! Apache IoTDB as a sink: rows become points of time series.
//!
//! Each mapped table's rows are gathered in [tablets](tablet), column by column; a device's tablets go over one connection, in
//! order, so that what is written later is what stays. A row counts as durable only once IoTDB has answered for it. What
//! happens to updates and deletes is [`config::Policy`]; what IoTDB refuses for good is told apart row by row and goes to the
//! dead letters, or ends the run.

mod check;
mod client;
pub mod config;
mod convert;
mod error;
pub(crate) mod mapping;
mod sink;
mod tablet;
mod time;
mod verify;

pub use check::{check, time_precision};
pub use client::{Rows, Value};
pub use config::IotdbOptions;
pub use convert::{fits, is_time};
pub use mapping::{Declared, Problem, check_template, problems};
pub use sink::{Counted, Counts, IotdbSink, query};
pub use time::check_zone;
pub use verify::{
    ColumnDifference, Difference, Kind, Reason, TableReport, VerifyOptions, VerifyProgress, verify,
};
