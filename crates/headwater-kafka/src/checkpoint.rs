//! The checkpoint in Kafka: the last record of its key in a compacted topic, written in the same transaction as the events
//! that it stands for. Beside it stands who owns it, written before anybody is fenced off, so that one who was fenced off
//! knows whether somebody else took over, or only its own time was over.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use headwater_core::{Error, ErrorKind, Result};
use rand::Rng;
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{self, Admin, CALL_TIMEOUT, Producer};
use crate::config::{ExactlyOnce, KafkaOptions, MissingTopics};
use crate::error;
use crate::worker::{Patience, commit_transaction, drain};

/// The checkpoint of a transactional id as it was last committed; none if a run has taken it over and committed nothing yet.
/// Nothing is written, and nobody is fenced off: a run may go on meanwhile.
///
/// # Errors
/// `NotFound` if no run has used the id, `Configuration` without `exactly_once`, `SinkUnavailable`, `CheckpointDamaged`,
/// `CheckpointForeign`.
pub async fn read_checkpoint(options: &KafkaOptions) -> Result<Option<Value>> {
    options.validate()?;
    let settings = options.exactly_once.clone().ok_or_else(|| {
        Error::new(
            ErrorKind::Configuration,
            "the checkpoint is kept in Kafka only with `exactly_once`",
        )
        .hint("name the checkpoint's file")
    })?;
    let options = options.clone();
    // The client's calls block.
    let looked = tokio::task::spawn_blocking(move || Keeper::new(settings).look(&options));
    looked.await.map_err(|cause| {
        Error::new(
            ErrorKind::Internal,
            "reading the checkpoint was interrupted",
        )
        .caused_by(cause)
    })?
}

const FORMAT: &str = "headwater checkpoint";
const VERSION: u64 = 1;

/// The topic has one partition.
const PARTITION: i32 = 0;

/// Records from the topic's end that are looked at first; then twice as many, up to all.
const LOOK_BACK: i64 = 256;

/// The largest checkpoint.
const DOCUMENT_BYTES_MAX: &str = "67108864";

/// What stands in the topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    format: String,
    version: u64,
    checkpoint: Option<Value>,
}

/// What stands beside it: the process that came last.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claim {
    owner: String,
}

/// Keeps the checkpoint of one transactional id.
#[derive(Debug)]
pub(crate) struct Keeper {
    settings: ExactlyOnce,
    topic: String,
    /// This process.
    owner: String,
    has_claimed: bool,
}

impl Keeper {
    pub(crate) fn new(settings: ExactlyOnce) -> Self {
        let number: u128 = rand::rng().random();
        Self {
            topic: settings.topic(),
            settings,
            owner: format!("{number:032x}"),
            has_claimed: false,
        }
    }

    /// What was last committed, as it is now.
    fn look(&self, options: &KafkaOptions) -> Result<Option<Value>> {
        // A producer that has not asked for its epoch: it only knows the topics.
        let known = client::topics(&client::producer(options, None)?)?;
        let found = match known.contains_key(&self.topic) {
            true => self.read(options, Isolation::CommittedByNow, &self.key())?,
            false => None,
        };
        let found = found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no checkpoint")
                .with("topic", &self.topic)
                .with("transactional id", &self.settings.transactional_id)
                .hint("check the `transactional_id`; a run writes it when it begins")
        })?;
        Ok(self.decode(&found)?.checkpoint)
    }

    fn key(&self) -> String {
        self.settings.transactional_id.clone()
    }

    fn claim_key(&self) -> String {
        format!("{}/owner", self.settings.transactional_id)
    }

    /// Whether this process may take over again: not if somebody else has come meanwhile.
    pub(crate) fn check_owner(&self, options: &KafkaOptions) -> Result<()> {
        if !self.has_claimed {
            return Ok(());
        }
        // A claim belongs to no transaction. (One of our own may still be open.)
        let found = self.read(options, Isolation::Uncommitted, &self.claim_key())?;
        let claim = found.map(|bytes| self.parse::<Claim>(&bytes)).transpose()?;
        match claim {
            Some(claim) if claim.owner != self.owner => {
                Err(error::fenced(&self.settings.transactional_id))
            }
            _ => Ok(()),
        }
    }

    /// Writes down that this process owns the checkpoint from now on. Whoever owned it finds that when the broker refuses its
    /// next write, so this comes before it is fenced off: found too late, it would take over again from the newcomer.
    pub(crate) fn claim(&mut self, options: &KafkaOptions, is_given_up: &AtomicBool) -> Result<()> {
        if self.has_claimed {
            return Ok(());
        }
        let plain = KafkaOptions {
            exactly_once: None,
            ..options.clone()
        };
        let producer = client::producer(&plain, None)?;
        let claim = Claim {
            owner: self.owner.clone(),
        };
        self.send(&producer, &self.claim_key(), &claim)?;
        let patience = Patience::new(&producer, CALL_TIMEOUT, is_given_up);
        drain(&producer, patience)?;
        self.has_claimed = true;
        Ok(())
    }

    /// Makes the topic, if it is not there and may be; refuses one that would lose the checkpoint.
    pub(crate) fn prepare_topic(
        &self,
        producer: &Producer,
        admin: &Admin,
        missing: MissingTopics,
    ) -> Result<()> {
        let topic = self.topic.as_str();
        if !client::topics(producer)?.contains_key(topic) {
            let MissingTopics::Create { replicas, .. } = missing else {
                return Err(error::missing_topic(topic)
                    .hint("create it with one partition and cleanup.policy=compact"));
            };
            let replicas = TopicReplication::Fixed(replicas.map_or(-1, i32::from));
            let new = NewTopic::new(topic, 1, replicas)
                .set("cleanup.policy", "compact")
                .set("max.message.bytes", DOCUMENT_BYTES_MAX)
                .set("segment.bytes", "16777216")
                .set("min.cleanable.dirty.ratio", "0.1");
            admin.create(&new, false)?;
            client::appeared(producer, topic)?;
        }
        match admin.settings(topic).get("cleanup.policy") {
            Some(policy) if !policy.contains("compact") => Err(Error::new(
                ErrorKind::SinkRejected,
                "the checkpoint's topic is not compacted: Kafka would delete the checkpoint one day",
            )
            .with("topic", topic)
            .with("cleanup.policy", policy)
            .hint("set its cleanup.policy to compact, or name another `checkpoint_topic`")),
            _ => Ok(()),
        }
    }

    /// Reads the checkpoint, and writes it again: a first transaction, which shows that one can be made. The producer has the
    /// transactional id by now, so that nothing of anybody before is open.
    pub(crate) fn take_over(
        &self,
        producer: &Producer,
        options: &KafkaOptions,
    ) -> Result<Option<Value>> {
        let found = self.read(options, Isolation::Committed, &self.key())?;
        let stored = found.map(|bytes| self.decode(&bytes)).transpose()?;
        let document = stored.and_then(|stored| stored.checkpoint);
        producer
            .begin_transaction()
            .map_err(|cause| error::call("beginning a transaction", &cause))?;
        self.put_stored(producer, document.clone())?;
        commit_transaction(producer, CALL_TIMEOUT)?;
        Ok(document)
    }

    /// Adds the checkpoint to the transaction.
    pub(crate) fn put(&self, producer: &Producer, document: Value) -> Result<()> {
        self.put_stored(producer, Some(document))
    }

    fn put_stored(&self, producer: &Producer, checkpoint: Option<Value>) -> Result<()> {
        let stored = Stored {
            format: FORMAT.to_owned(),
            version: VERSION,
            checkpoint,
        };
        self.send(producer, &self.key(), &stored)
    }

    fn send(&self, producer: &Producer, key: &str, what: &impl Serialize) -> Result<()> {
        let value = serde_json::to_vec(what).map_err(|cause| {
            Error::new(
                ErrorKind::Internal,
                "a checkpoint cannot be written as JSON",
            )
            .caused_by(cause)
        })?;
        loop {
            let record = BaseRecord::to(&self.topic)
                .partition(PARTITION)
                .key(key)
                .payload(&value);
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), _))
                    if producer.in_flight_count() > 0 =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                    producer.poll(Duration::ZERO);
                    if let Some(failure) = producer.context().failure() {
                        return Err(failure.error());
                    }
                }
                Err((cause, _)) => return Err(error::call("writing the checkpoint", &cause)),
            }
        }
    }

    /// The last record of the key.
    fn read(
        &self,
        options: &KafkaOptions,
        isolation: Isolation,
        key: &str,
    ) -> Result<Option<Vec<u8>>> {
        let client_of = |isolation| -> Result<BaseConsumer> {
            BaseConsumer::from_config(&options.consumer(isolation))
                .map_err(|cause| error::creation(&cause))
        };
        let end = Instant::now() + CALL_TIMEOUT + self.settings.transaction_timeout;
        let mut consumer = client_of("read_uncommitted")?;
        let (low, mut high) = watermarks(&consumer, &self.topic)?;
        if isolation != Isolation::Uncommitted {
            consumer = client_of("read_committed")?;
        }
        if isolation == Isolation::CommittedByNow {
            high = watermarks(&consumer, &self.topic)?.1;
        }
        if isolation == Isolation::Committed {
            // Somebody else's open transaction in the same topic would hide what lies behind it.
            while watermarks(&consumer, &self.topic)?.1 < high {
                if Instant::now() >= end {
                    return Err(unreadable(
                        "a transaction in the checkpoint's topic does not end",
                    ));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        let mut look_back = LOOK_BACK;
        loop {
            let from = (high - look_back).max(low);
            let found = self.last_from(&consumer, from, end, key)?;
            if found.is_some() || from == low {
                return Ok(found);
            }
            look_back = look_back.saturating_mul(2);
        }
    }

    /// The last record of the key from an offset to the end.
    fn last_from(
        &self,
        consumer: &BaseConsumer,
        from: i64,
        end: Instant,
        key: &str,
    ) -> Result<Option<Vec<u8>>> {
        let operation = "reading the checkpoint";
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, PARTITION, Offset::Offset(from))
            .and_then(|()| consumer.assign(&list))
            .map_err(|cause| error::call(operation, &cause))?;
        let key = key.as_bytes();
        let mut last = None;
        loop {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.key() == Some(key) => {
                    last = message.payload().map(<[u8]>::to_vec);
                }
                Some(Ok(_)) => {}
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(last),
                Some(Err(cause)) => {
                    let error = error::call(operation, &cause);
                    if !error.is_temporary() || Instant::now() >= end {
                        return Err(error);
                    }
                }
                None if Instant::now() >= end => {
                    return Err(unreadable("the checkpoint's topic cannot be read"));
                }
                None => {}
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Stored> {
        let stored: Stored = self.parse(bytes)?;
        if stored.format == FORMAT && stored.version == VERSION {
            return Ok(stored);
        }
        Err(self.damaged(Error::new(
            ErrorKind::CheckpointForeign,
            "the checkpoint was written by a newer Headwater",
        )))
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|cause| {
            self.damaged(
                Error::new(
                    ErrorKind::CheckpointDamaged,
                    "what stands in the checkpoint's topic is no checkpoint",
                )
                .caused_by(cause),
            )
        })
    }

    fn damaged(&self, error: Error) -> Error {
        error.with("topic", &self.topic).hint(
            "give another `transactional_id` (everything is copied again), or another `checkpoint_topic`",
        )
    }
}

/// Which records are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isolation {
    /// All that is committed, once no transaction is open.
    Committed,
    /// What lies before the first transaction that is open.
    CommittedByNow,
    /// All.
    Uncommitted,
}

/// The partition's first offset and the one after its last, as far as the consumer may see it.
fn watermarks(consumer: &BaseConsumer, topic: &str) -> Result<(i64, i64)> {
    let end = Instant::now() + CALL_TIMEOUT;
    loop {
        match consumer.fetch_watermarks(topic, PARTITION, CALL_TIMEOUT / 4) {
            Ok(marks) => return Ok(marks),
            Err(cause) => {
                let error = error::call("reading the checkpoint", &cause);
                if !error.is_temporary() || Instant::now() >= end {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn unreadable(message: &'static str) -> Error {
    Error::new(ErrorKind::SinkUnavailable, message)
        .hint("see that the brokers run; it is tried again")
}
