//! Where the events of a run that is killed go, and how they are read back.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use headwater_servers::kafka::{Kafka, KafkaOptions};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const TOPIC: &str = "kills";

/// Partitions of the topic: transactions are over several.
const PARTITIONS: i32 = 3;

/// A target that promises each event once.
pub(super) enum Target {
    /// A file, cut back to its checkpoint.
    File,
    /// Kafka, with events and checkpoint in one transaction.
    Kafka(Box<Kafka>),
}

impl Target {
    pub(super) fn of(to_kafka: bool) -> Self {
        if to_kafka { Self::kafka() } else { Self::File }
    }

    fn kafka() -> Self {
        let options = KafkaOptions::with(&[&format!("num.partitions={PARTITIONS}")]);
        Self::Kafka(Box::new(Kafka::start(&options).unwrap()))
    }

    pub(super) fn arguments(&self, folder: &Path) -> Vec<String> {
        let path = |name: &str| folder.join(name).display().to_string();
        match self {
            Self::File => vec![
                "--sink".to_owned(),
                format!("file:{}", path("events.jsonl")),
                "--checkpoint".to_owned(),
                path("kills.checkpoint"),
            ],
            Self::Kafka(kafka) => vec![
                "--sink".to_owned(),
                format!("kafka:{}/{TOPIC}", kafka.bootstrap()),
                "--exactly-once".to_owned(),
                "--transactional-id=kills".to_owned(),
                // A key that changes stays within its table's partition.
                "--producer-partition-by=table".to_owned(),
            ],
        }
    }

    /// Where the process may be made to die by itself.
    pub(super) fn failpoints(&self) -> &'static [&'static str] {
        match self {
            Self::File => &[
                "sink.written",
                "checkpoint.temporary",
                "checkpoint.renamed",
                "cut.open",
                "chunk.open",
            ],
            // Everything is acknowledged and nothing committed; committed, and nobody knows.
            Self::Kafka(_) => &[
                "kafka.acknowledged",
                "kafka.committed",
                "cut.open",
                "chunk.open",
            ],
        }
    }

    /// How long a process lives at most, in milliseconds: it is to come to its work now and then.
    pub(super) fn life_ms_max(&self) -> u64 {
        match self {
            Self::File => 1_800,
            Self::Kafka(_) => 4_500,
        }
    }

    /// The events, one a line: what a read-committed consumer sees, partition by partition.
    pub(super) fn events(&self, folder: &Path) -> String {
        match self {
            Self::File => fs::read_to_string(folder.join("events.jsonl")).unwrap(),
            Self::Kafka(kafka) => committed(&kafka.bootstrap()).concat(),
        }
    }
}

/// The lines of each partition.
fn committed(bootstrap: &str) -> Vec<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "kills")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut lines = vec![String::new(); usize::try_from(PARTITIONS).unwrap()];
    let (mut ended, end) = (0, Instant::now() + Duration::from_secs(120));
    while ended < PARTITIONS {
        assert!(Instant::now() < end, "the topic cannot be read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let line = std::str::from_utf8(message.payload().unwrap()).unwrap();
                let partition = usize::try_from(message.partition()).unwrap();
                lines[partition].push_str(line);
                lines[partition].push('\n');
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(_)) | None => {}
        }
    }
    lines
}
