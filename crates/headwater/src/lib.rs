//! Headwater turns a database into a stream: first the rows that are already there, then every change, with nothing lost,
//! nothing stale and no gap where the two meet.
//!
//! This crate is the library's front door. It has nothing of its own: it names the crates that a program of yours needs.
//!
//! - [`core`](mod@core): values, batches, positions, the contracts of sources and sinks, and the engine ([`engine`]).
//! - [`mysql`]: MySQL and MariaDB as a source.
//! - [`format`](mod@format): event encodings, Maxwell's JSON among them.
//! - [`file`](mod@file): files and standard output as sinks, and the checkpoint file.
//! - [`fold`](mod@fold): folds of records into state stores: [`fold::Pipeline`], [`fold::bootstrap::run`], [`fold::live::run`].
//! - `redis`, with the feature of that name, which is on unless said otherwise: Redis and Valkey as state stores.
//! - `kafka`, with the feature of that name: Kafka as a sink.
//!
//! # Example
//!
//! Copies two tables and follows them, into a file of Maxwell's JSON, until `stop` is cancelled; started again, it goes on
//! where the checkpoint stands.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use headwater::core::schema::TableName;
//! use headwater::engine::{self, Options, Summary};
//! use headwater::file::{CheckpointFile, FileOptions, FileSink};
//! use headwater::format::maxwell::{self, Encoder};
//! use headwater::mysql::config::ConnectOptions;
//! use headwater::mysql::schema::Selection;
//! use headwater::mysql::{MysqlSource, Settings};
//! use headwater::{CancellationToken, Progress, Result, bootstrap};
//!
//! async fn follow(stop: CancellationToken) -> Result<Summary> {
//!     let server = ConnectOptions::from_url("mysql://cdc@db.internal/shop")?.password("secret");
//!     let tables = ["orders", "users"].map(|table| TableName::new("shop", table));
//!     let source = MysqlSource::new(Settings::new(server, Selection::Tables(tables.into())));
//!
//!     let encoder = Encoder::new(maxwell::Options::default());
//!     let sink = FileSink::new("events.jsonl", encoder, FileOptions::default());
//!     let checkpoint = Arc::new(CheckpointFile::open("shop.checkpoint")?);
//!
//!     let progress = Arc::new(Progress::default());
//!     // `control.ask(…)` bootstraps tables of the running stream.
//!     let (control, commands) = bootstrap::control();
//!     engine::run(&source, sink, checkpoint, Options::default(), progress, stop, commands).await
//! }
//! ```
//!
//! A source, a sink or a checkpoint store of your own is an implementation of [`Source`], [`Sink`] or [`CheckpointStore`].

pub use headwater_core as core;
pub use headwater_core::progress::Progress;
pub use headwater_core::sink::{CheckpointStore, Sink};
pub use headwater_core::source::Source;
pub use headwater_core::{Error, ErrorKind, Result, bootstrap, engine};
pub use headwater_file as file;
pub use headwater_fold as fold;
pub use headwater_format as format;
#[cfg(feature = "kafka")]
pub use headwater_kafka as kafka;
pub use headwater_mysql as mysql;
#[cfg(feature = "redis")]
pub use headwater_redis as redis;
pub use tokio_util::sync::CancellationToken;
