//! Topics of a test's own, rows to write, and a consumer that reads everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use headwater_core::batch::{Batch, ChangeKind, RowHead, Transaction};
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use headwater_core::sink::{Durability, Receipt, Sink};
use headwater_core::{Error, Result};
use headwater_format::maxwell::topic::Template;
use headwater_format::maxwell::{Encoder, Options};
use headwater_kafka::{KafkaOptions, KafkaSink, MissingTopics};
use headwater_servers::kafka;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

/// A name that nobody else has.
pub(crate) fn fresh(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    format!(
        "{prefix}-{}-{}-{count}",
        std::process::id(),
        since.as_millis()
    )
}

pub(crate) fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

/// Options for a topic of its own, with so many partitions, on the shared Kafka.
pub(crate) fn options(topic: &str, partitions: u16) -> KafkaOptions {
    on(&kafka::shared().unwrap(), topic, partitions)
}

pub(crate) fn on(bootstrap: &str, topic: &str, partitions: u16) -> KafkaOptions {
    KafkaOptions {
        missing_topics: MissingTopics::Create {
            partitions: Some(partitions),
            replicas: None,
        },
        ..KafkaOptions::new(bootstrap, template(topic))
    }
}

pub(crate) fn sink(options: KafkaOptions) -> KafkaSink {
    KafkaSink::new(options, Encoder::new(Options::default())).unwrap()
}

/// `shop.orders` with `id` (the key) and `note`.
pub(crate) fn orders() -> Arc<TableSchema> {
    table("orders")
}

pub(crate) fn table(name: &str) -> Arc<TableSchema> {
    let id = DataType::Integer {
        bits: 64,
        unsigned: false,
    };
    let column = |name: &str, data_type| Column {
        name: name.into(),
        data_type,
        nullable: true,
    };
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("shop", name),
        columns: vec![column("id", id), column("note", DataType::Text)],
        primary_key: vec![0],
        key: vec![0],
        key_order: KeyOrder::Client,
    })
}

type Image<'a> = Option<(i64, &'a str)>;

/// Adds a row.
pub(crate) fn push(
    batch: &mut Batch,
    schema: &Arc<TableSchema>,
    kind: ChangeKind,
    before: Image<'_>,
    after: Image<'_>,
) {
    let schema = batch.add_schema(schema);
    let transaction = batch.add_transaction(Transaction {
        xid: Some(7),
        ..Transaction::default()
    });
    let image = |batch: &mut Batch, image: Image<'_>| {
        image.map(|(id, note)| {
            let mark = batch.mark();
            batch.push_int(id);
            batch.push_text(note);
            mark
        })
    };
    let (before, after) = (image(batch, before), image(batch, after));
    batch.push_row(RowHead {
        kind,
        schema,
        transaction: Some(transaction),
        before,
        after,
        timestamp_s: 1_700_000_000,
        offset: 0,
        last: true,
    });
}

/// Inserts with these ids.
pub(crate) fn inserts(schema: &Arc<TableSchema>, ids: std::ops::Range<i64>) -> Batch {
    let mut batch = Batch::new();
    for id in ids {
        push(
            &mut batch,
            schema,
            ChangeKind::Insert,
            None,
            Some((id, "something")),
        );
    }
    batch
}

pub(crate) async fn accept(sink: &mut KafkaSink, batch: &Batch) -> Result<()> {
    sink.write(batch, Durability::Accepted).await.map(drop)
}

pub(crate) async fn barrier(sink: &mut KafkaSink) -> Result<Value> {
    match sink.write(&Batch::new(), Durability::Durable).await? {
        Receipt::Durable(mark) => Ok(mark),
        Receipt::Accepted => panic!("a barrier was answered with accepted"),
    }
}

/// A record as it stands in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Read {
    /// The value of `id` in its event.
    pub(crate) fn id(&self) -> i64 {
        let value: Value = serde_json::from_str(self.value.as_ref().unwrap()).unwrap();
        value["data"]["id"].as_i64().unwrap()
    }
}

/// Everything in a topic that a read-committed consumer sees, by partition.
pub(crate) fn read(bootstrap: &str, topic: &str) -> Vec<Read> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    read_with(&config, topic)
}

pub(crate) fn read_with(config: &ClientConfig, topic: &str) -> Vec<Read> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "tests")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .create()
        .unwrap();
    let wait = Duration::from_secs(120);
    let metadata = consumer.fetch_metadata(None, wait).unwrap();
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions = found.map_or(0, |found| found.partitions().len());
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).unwrap() {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut ended, mut all) = (0, Vec::new());
    let end = Instant::now() + Duration::from_secs(180);
    while ended < partitions {
        assert!(Instant::now() < end, "{topic} cannot be read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => all.push(Read {
                partition: message.partition(),
                key: text(message.key()).unwrap_or_default(),
                value: text(message.payload()),
                headers: message.headers().map_or(Vec::new(), |headers| {
                    headers
                        .iter()
                        .map(|header| {
                            (
                                header.key.to_owned(),
                                text(header.value).unwrap_or_default(),
                            )
                        })
                        .collect()
                }),
            }),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(_)) | None => {}
        }
    }
    all.sort_by_key(|read| read.partition);
    all
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

/// The whole of an error as an operator reads it.
pub(crate) fn told(error: &Error) -> String {
    format!("{error:?}")
}

/// The bytes of memory that this process holds.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024
}
