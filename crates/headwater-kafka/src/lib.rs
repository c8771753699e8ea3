//! Kafka as a sink: Maxwell's JSON with Maxwell's keys, topics and partitions, at least once or exactly once.
//!
//! - [`KafkaSink`] is the sink. Its producer is idempotent and waits for all in-sync replicas, so that the order of each key is
//!   kept through retries, and durable means what Kafka can mean by it.
//! - With [`ExactlyOnce`], events and checkpoint are written in one transaction, and the checkpoint is read back from Kafka.
//! - [`check()`] looks at brokers, topics and rights without writing anything.
//!
//! Rows are encoded on the caller's task, straight into one buffer for each batch; librdkafka, whose calls block, is spoken
//! with on a thread of the sink's own. Delivery reports are counted, nothing is allocated for one.

mod check;
mod checkpoint;
mod client;
mod config;
mod error;
mod records;
mod sink;
mod worker;

pub use check::check;
pub use checkpoint::read_checkpoint;
pub use config::{ExactlyOnce, Header, KafkaOptions, MissingTopics, TooLarge, check_property};
pub use sink::KafkaSink;
