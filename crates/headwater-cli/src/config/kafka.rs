//! The section `kafka`, which is the flags of the same names too, and the sink's options made of both.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::Result;
use headwater_format::maxwell::key;
use headwater_format::maxwell::partition;
use headwater_format::maxwell::topic::Template;
use headwater_kafka::{ExactlyOnce, Header, KafkaOptions, MissingTopics, TooLarge};
use schemars::JsonSchema;
use serde::Deserialize;

use super::file::Secret;
use super::misused;

/// The topic if none is named: Maxwell's.
const TOPIC: &str = "maxwell";

/// What is written to Kafka, with `sink: kafka`. Where Maxwell has such an option, it has its name and its default.
#[derive(Debug, Default, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Kafka (the options are Maxwell's; more of them in the file)")]
pub(crate) struct Kafka {
    /// The brokers, `HOST:PORT` separated by commas; or in the sink, `kafka:HOST:PORT`.
    #[schemars(length(min = 1))]
    #[arg(skip)]
    pub(crate) bootstrap_servers: Option<String>,
    /// The topic of rows; `%{database}`, `%{table}` and `%{type}` are replaced. `maxwell` if not given.
    #[schemars(length(min = 1))]
    #[arg(long, alias = "kafka_topic", value_name = "TOPIC")]
    pub(crate) kafka_topic: Option<String>,
    /// The topic of changes of definitions. That of rows if not given.
    #[schemars(length(min = 1))]
    #[arg(skip)]
    pub(crate) ddl_kafka_topic: Option<String>,
    /// The topic of snapshot rows. That of rows if not given.
    #[schemars(length(min = 1))]
    #[arg(skip)]
    pub(crate) bootstrap_kafka_topic: Option<String>,
    /// The form of keys. `hash` if not given.
    #[arg(long, alias = "kafka_key_format", value_name = "FORM")]
    pub(crate) kafka_key_format: Option<KeyFormat>,
    /// What goes to the same partition. `database` if not given.
    #[arg(long, alias = "producer_partition_by", value_name = "WHAT")]
    pub(crate) producer_partition_by: Option<PartitionBy>,
    /// The columns, for `producer_partition_by: column`.
    #[arg(skip)]
    pub(crate) producer_partition_columns: Option<Vec<String>>,
    /// What a row without any of these columns goes by.
    #[arg(skip)]
    pub(crate) producer_partition_by_fallback: Option<Fallback>,
    /// The hash that picks the partition: `default` is Java's. `default` if not given.
    #[arg(long, alias = "kafka_partition_hash", value_name = "HASH")]
    pub(crate) kafka_partition_hash: Option<Hash>,
    /// Whether a deleted row's key gets a record without a value, and so does the old key of a row whose key has changed: a
    /// compacted topic then forgets them. false if not given.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) tombstones: Option<bool>,
    /// What each record has as headers, too. None if not given.
    #[arg(skip)]
    pub(crate) headers: Option<Vec<HeaderName>>,
    /// What becomes of an event that is larger than its topic takes. `stop` if not given.
    #[arg(skip)]
    pub(crate) record_too_large: Option<RecordTooLarge>,
    /// The topic of dead letters, for `record_too_large: dead_letter`.
    #[schemars(length(min = 1))]
    #[arg(skip)]
    pub(crate) dead_letter_topic: Option<String>,
    /// Whether topics that are not there are created. true if not given.
    #[arg(skip)]
    pub(crate) create_topics: Option<bool>,
    /// Partitions of a topic that is created. The broker's default if not given.
    #[schemars(range(min = 1, max = 10000))]
    #[arg(skip)]
    pub(crate) topic_partitions: Option<u16>,
    /// Replicas of a topic that is created. The broker's default if not given.
    #[schemars(range(min = 1, max = 100))]
    #[arg(skip)]
    pub(crate) topic_replicas: Option<u16>,
    /// Events and checkpoint in one transaction: a read-committed consumer sees each event once, whatever happens. The
    /// checkpoint is then kept in Kafka. false if not given.
    #[arg(long, alias = "exactly_once", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) exactly_once: Option<bool>,
    /// The run's name in Kafka, for `exactly_once`. A second run with the same name fences the first one off.
    #[schemars(length(min = 1))]
    #[arg(long, alias = "transactional_id", value_name = "NAME")]
    pub(crate) transactional_id: Option<String>,
    /// The topic of the checkpoint, for `exactly_once`. `headwater.checkpoint.` and the name if not given.
    #[schemars(length(min = 1))]
    #[arg(skip)]
    pub(crate) checkpoint_topic: Option<String>,
    /// Seconds that a transaction may last, for `exactly_once`. More than a table without a key takes to be read. 60 if not
    /// given.
    #[schemars(range(min = 2, max = 86400))]
    #[arg(skip)]
    pub(crate) transaction_timeout_s: Option<u32>,
    /// Seconds without any acknowledgement after which the run begins again at the last durable point. 120 if not given.
    #[schemars(range(min = 1, max = 86400))]
    #[arg(skip)]
    pub(crate) acknowledge_within_s: Option<u32>,
    /// Bytes of events that wait for the broker at most. 33554432 if not given.
    #[schemars(range(min = 65536, max = 1073741824))]
    #[arg(skip)]
    pub(crate) buffer_bytes_max: Option<u32>,
    /// Properties of the client, by librdkafka's names: `security.protocol`, `sasl.username`, `compression.type`, … (what
    /// Maxwell has as `kafka.*`).
    #[arg(skip)]
    pub(crate) properties: Option<BTreeMap<String, Secret>>,
}

/// The form of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyFormat {
    /// A JSON object.
    Hash,
    /// A JSON array.
    Array,
}

/// What goes to the same partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum PartitionBy {
    /// A database.
    Database,
    /// A table.
    Table,
    /// A row, by its key.
    PrimaryKey,
    /// A transaction.
    TransactionId,
    /// What one connection did.
    ThreadId,
    /// Rows with the same values in some columns.
    Column,
    /// Nothing.
    Random,
}

/// What a row without any of the columns goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fallback {
    /// Its database.
    Database,
    /// Its table.
    Table,
    /// Its key.
    PrimaryKey,
    /// Its transaction.
    TransactionId,
}

/// The hash that picks the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hash {
    /// Java's `String.hashCode`.
    Default,
    /// MurmurHash3 with Maxwell's seed.
    Murmur3,
}

/// What becomes of an event that is larger than its topic takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordTooLarge {
    /// The run ends and names the row.
    Stop,
    /// Table and key go to `dead_letter_topic`, and the run goes on.
    DeadLetter,
}

/// A header's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HeaderName {
    /// The database.
    Database,
    /// The table.
    Table,
    /// The event's type.
    Type,
    /// The event's time in seconds.
    Ts,
    /// The transaction's number.
    Xid,
    /// The transaction's global id.
    Gtid,
}

/// The sink's options: what the sink's own text says, then the flags, then the file.
pub(crate) fn options(
    brokers: Option<&str>,
    topic: Option<&str>,
    flags: &Kafka,
    file: Option<&Kafka>,
) -> Result<KafkaOptions> {
    let none = Kafka::default();
    let file = file.unwrap_or(&none);
    let brokers = brokers.or(file.bootstrap_servers.as_deref());
    let named = [
        topic,
        flags.kafka_topic.as_deref(),
        file.kafka_topic.as_deref(),
    ];
    let topic = named.into_iter().flatten().next().unwrap_or(TOPIC);
    let mut options = KafkaOptions::new(
        brokers.unwrap_or_default(),
        template("kafka_topic", Some(topic))?.ok_or_else(|| misused("no topic", TOPIC))?,
    );
    options.ddl_topic = template("ddl_kafka_topic", file.ddl_kafka_topic.as_deref())?;
    options.bootstrap_topic = template(
        "bootstrap_kafka_topic",
        file.bootstrap_kafka_topic.as_deref(),
    )?;
    options.partition_by = partition_by(flags, file)?;
    options.partition_hash = match flags.kafka_partition_hash.or(file.kafka_partition_hash) {
        Some(Hash::Default) | None => partition::Hash::Default,
        Some(Hash::Murmur3) => partition::Hash::Murmur3,
    };
    options.key_format = match flags.kafka_key_format.or(file.kafka_key_format) {
        Some(KeyFormat::Hash) | None => key::KeyFormat::Hash,
        Some(KeyFormat::Array) => key::KeyFormat::Array,
    };
    options.tombstones = flags.tombstones.or(file.tombstones).unwrap_or(false);
    options.headers = file.headers.iter().flatten().map(header).collect();
    options.too_large = too_large(file)?;
    options.missing_topics = if file.create_topics.unwrap_or(true) {
        MissingTopics::Create {
            partitions: file.topic_partitions,
            replicas: file.topic_replicas,
        }
    } else {
        MissingTopics::Refuse
    };
    options.exactly_once = exactly_once(flags, file);
    if let Some(seconds) = file.acknowledge_within_s {
        options.acknowledge_within = Duration::from_secs(seconds.into());
    }
    if let Some(bytes) = file.buffer_bytes_max {
        options.buffer_bytes_max = bytes as usize;
    }
    let properties = file.properties.iter().flatten();
    options.properties = properties
        .map(|(name, value)| (name.clone(), value.0.clone()))
        .collect();
    options.validate()?;
    Ok(options)
}

fn template(key: &str, text: Option<&str>) -> Result<Option<Template>> {
    let read = text.map(Template::parse).transpose();
    read.map_err(|bad| {
        misused(
            format!("`{key}`: {bad}"),
            "write a topic's name, with %{database}, %{table} and %{type} where they are to be replaced",
        )
    })
}

fn partition_by(flags: &Kafka, file: &Kafka) -> Result<partition::PartitionBy> {
    let by = flags.producer_partition_by.or(file.producer_partition_by);
    Ok(match by {
        Some(PartitionBy::Database) | None => partition::PartitionBy::Database,
        Some(PartitionBy::Table) => partition::PartitionBy::Table,
        Some(PartitionBy::PrimaryKey) => partition::PartitionBy::PrimaryKey,
        Some(PartitionBy::TransactionId) => partition::PartitionBy::TransactionId,
        Some(PartitionBy::ThreadId) => partition::PartitionBy::ThreadId,
        Some(PartitionBy::Random) => partition::PartitionBy::Random,
        Some(PartitionBy::Column) => {
            let names = file.producer_partition_columns.clone().unwrap_or_default();
            let (false, Some(fallback)) = (names.is_empty(), file.producer_partition_by_fallback)
            else {
                return Err(misused(
                    "`producer_partition_by: column` does not say which columns, and what else",
                    "add `producer_partition_columns: [NAME]` and `producer_partition_by_fallback: table` to the section `kafka`",
                ));
            };
            let fallback = match fallback {
                Fallback::Database => partition::Fallback::Database,
                Fallback::Table => partition::Fallback::Table,
                Fallback::PrimaryKey => partition::Fallback::PrimaryKey,
                Fallback::TransactionId => partition::Fallback::TransactionId,
            };
            partition::PartitionBy::Columns { names, fallback }
        }
    })
}

fn header(name: &HeaderName) -> Header {
    match name {
        HeaderName::Database => Header::Database,
        HeaderName::Table => Header::Table,
        HeaderName::Type => Header::Type,
        HeaderName::Ts => Header::Ts,
        HeaderName::Xid => Header::Xid,
        HeaderName::Gtid => Header::Gtid,
    }
}

fn too_large(file: &Kafka) -> Result<TooLarge> {
    let topic = template("dead_letter_topic", file.dead_letter_topic.as_deref())?;
    match (file.record_too_large, topic) {
        // With a topic for dead letters, that is what it is for.
        (Some(RecordTooLarge::DeadLetter) | None, Some(topic)) => Ok(TooLarge::DeadLetter(topic)),
        (Some(RecordTooLarge::Stop) | None, _) => Ok(TooLarge::Stop),
        (Some(RecordTooLarge::DeadLetter), None) => Err(misused(
            "`record_too_large: dead_letter` does not say where dead letters go",
            "add `dead_letter_topic: NAME`",
        )),
    }
}

fn exactly_once(flags: &Kafka, file: &Kafka) -> Option<ExactlyOnce> {
    if !flags.exactly_once.or(file.exactly_once).unwrap_or(false) {
        return None;
    }
    let id = flags
        .transactional_id
        .as_ref()
        .or(file.transactional_id.as_ref());
    let mut settings = ExactlyOnce::new(id.cloned().unwrap_or_default());
    settings.checkpoint_topic.clone_from(&file.checkpoint_topic);
    if let Some(seconds) = file.transaction_timeout_s {
        settings.transaction_timeout = Duration::from_secs(seconds.into());
    }
    Some(settings)
}
