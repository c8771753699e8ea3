//! MySQL and MariaDB as a source: snapshot, binlog, schema tracking.
//!
//! [`MysqlSource`] is the source; [`source::Settings`] say what to read. Behind it: a wire client ([`client`]) that hands
//! out bytes, decoders ([`decode`]) that turn them into cells without a value on the heap, cuts and readers
//! ([`snapshot`]), the log ([`live`]), and table definitions ([`schema`]) that follow DDL.

pub mod charset;
pub mod check;
pub mod client;
pub mod config;
pub mod decode;
pub mod error;
pub mod gtid;
pub mod keys;
pub mod live;
mod load;
pub mod position;
pub mod schema;
pub mod snapshot;
pub mod source;
pub mod trigger;

pub use source::{MysqlSource, Settings};
