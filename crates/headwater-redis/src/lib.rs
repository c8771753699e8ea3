//! Redis and Valkey as a state store of folds.
//!
//! All keys of a store share a hash tag, so that they lie on one node of a cluster (which is not tested):
//!
//! ```text
//! {headwater:NAME}                 hash   catalog (JSON), epoch and token (who writes), commits, staged
//! {headwater:NAME}:G:F             zset   the buckets of fold F in generation G, as 16 hexadecimal digits in order
//! {headwater:NAME}:G:F:BUCKET      hash   key → the monoid's bytes
//! {headwater:NAME}:G:F:BUCKET:staged      what a step under way has merged and not committed
//! {headwater:NAME}:staged          set    the names of those
//! ```
//!
//! A step is merged in this process: what is stored is read in batches, and written by the one script that commits. What is too
//! large for memory is staged in the server, and moved by that same script. Each script first looks whether its writer is still the
//! one (`epoch`, `token`), and whether the store stands where that one left it (`commits`, `staged`): a server that came back with
//! older data, by a kill or a failover, is noticed, and the source is read again from where the aggregates stand.
//!
//! ```no_run
//! use headwater_fold::store::StateStore as _;
//! use headwater_redis::{RedisOptions, RedisStore};
//!
//! let options = RedisOptions::from_url("redis://:password@localhost:6379/0?name=shop")?;
//! let store = RedisStore::new(options)?;
//! assert_eq!(store.name(), "redis:localhost:6379/0?name=shop");
//! # Ok::<(), headwater_core::Error>(())
//! ```

mod check;
mod client;
mod config;
mod error;
mod habits;
mod keys;
mod reader;
mod step;
mod store;

pub use check::check;
pub use config::RedisOptions;
pub use reader::RedisReader;
pub use store::RedisStore;
