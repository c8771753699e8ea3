//! What can be set on the Kafka sink.

use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use headwater_format::maxwell::key::KeyFormat;
use headwater_format::maxwell::partition::{Hash, PartitionBy};
use headwater_format::maxwell::topic::Template;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use secrecy::{ExposeSecret, SecretString};

use crate::error;

/// Where records go, and how.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// `HOST:PORT`, separated by commas.
    pub bootstrap_servers: String,
    /// The topic of rows (`kafka_topic`).
    pub topic: Template,
    /// The topic of changes of definitions (`ddl_kafka_topic`); none: that of rows.
    pub ddl_topic: Option<Template>,
    /// The topic of snapshot rows; none: that of rows.
    pub bootstrap_topic: Option<Template>,
    /// What goes to the same partition (`producer_partition_by`).
    pub partition_by: PartitionBy,
    /// The hash that picks the partition (`kafka_partition_hash`).
    pub partition_hash: Hash,
    /// The form of keys (`kafka_key_format`).
    pub key_format: KeyFormat,
    /// Whether a deleted row's key, and the old key of a row that has another now, gets a record without a value, so that a
    /// compacted topic forgets it.
    pub tombstones: bool,
    /// What each record has as headers.
    pub headers: Vec<Header>,
    /// What becomes of an event that is larger than its topic takes.
    pub too_large: TooLarge,
    /// What becomes of a topic that is not there.
    pub missing_topics: MissingTopics,
    /// Events and checkpoint in one transaction; none: at least once.
    pub exactly_once: Option<ExactlyOnce>,
    /// Bytes that wait for the broker at most. As much again as two batches are encoded or on their way to there.
    pub buffer_bytes_max: usize,
    /// How long nothing may be acknowledged before a write fails, and is tried again from the last durable point.
    pub acknowledge_within: Duration,
    /// Properties of the client as librdkafka has them, over everything set here (`kafka.*`).
    pub properties: Vec<(String, SecretString)>,
}

/// A header of a record. Its name is the same as in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// `database`.
    Database,
    /// `table`.
    Table,
    /// `type`.
    Type,
    /// `ts`, in seconds.
    Ts,
    /// `xid`, of rows that have one.
    Xid,
    /// `gtid`, of rows that have one.
    Gtid,
}

/// What becomes of an event that is larger than its topic takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TooLarge {
    /// The run ends with an error that names the row.
    Stop,
    /// Maxwell's fallback record (table, key, reason) goes to this topic (`dead_letter_topic`), and the run goes on.
    DeadLetter(Template),
}

/// What becomes of a topic that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingTopics {
    /// It is created. None: as many as the broker's default.
    Create {
        /// Partitions.
        partitions: Option<u16>,
        /// Replicas of each.
        replicas: Option<u16>,
    },
    /// The run ends with an error that names it.
    Refuse,
}

/// Events and checkpoint in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactlyOnce {
    /// The name under which a newcomer fences off whoever wrote before it; also the checkpoint's key.
    pub transactional_id: String,
    /// The topic of the checkpoint: one partition, compacted. `headwater.checkpoint.ID` if not given.
    pub checkpoint_topic: Option<String>,
    /// How long a transaction may last before the broker aborts it. More than a table that is read in one piece takes.
    pub transaction_timeout: Duration,
}

impl ExactlyOnce {
    /// The default time-out.
    pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

    /// With an id, and defaults.
    #[must_use]
    pub fn new(transactional_id: impl Into<String>) -> Self {
        Self {
            transactional_id: transactional_id.into(),
            checkpoint_topic: None,
            transaction_timeout: Self::TRANSACTION_TIMEOUT,
        }
    }

    /// The topic of the checkpoint.
    #[must_use]
    pub fn topic(&self) -> String {
        self.checkpoint_topic.clone().unwrap_or_else(|| {
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let id = self.transactional_id.chars();
            let id: String = id.map(|c| if legal(c) { c } else { '_' }).collect();
            format!("headwater.checkpoint.{id}")
        })
    }
}

impl KafkaOptions {
    /// With Maxwell's defaults.
    #[must_use]
    pub fn new(bootstrap_servers: impl Into<String>, topic: Template) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            topic,
            ddl_topic: None,
            bootstrap_topic: None,
            partition_by: PartitionBy::default(),
            partition_hash: Hash::default(),
            key_format: KeyFormat::default(),
            tombstones: false,
            headers: Vec::new(),
            too_large: TooLarge::Stop,
            missing_topics: MissingTopics::Create {
                partitions: None,
                replicas: None,
            },
            exactly_once: None,
            buffer_bytes_max: 32 * 1024 * 1024,
            acknowledge_within: Duration::from_secs(120),
            properties: Vec::new(),
        }
    }

    /// Looks at everything that can be looked at without a broker.
    ///
    /// # Errors
    /// `Configuration`, with what to write instead.
    pub fn validate(&self) -> Result<()> {
        if self.bootstrap_servers.trim().is_empty() {
            return Err(refused(
                "no broker is named",
                "write kafka:HOST:PORT, or `bootstrap_servers` in the section `kafka`",
            ));
        }
        if self.bootstrap_servers.contains('@') {
            return Err(refused(
                "a broker's address has no user and no password in it",
                "write HOST:PORT, and `sasl.username` and `sasl.password` among the `properties` of the section `kafka`",
            ));
        }
        for (name, value) in &self.properties {
            check_property(name, value.expose_secret())?;
        }
        if let Some(exactly_once) = &self.exactly_once
            && exactly_once.transactional_id.is_empty()
        {
            return Err(refused(
                "`exactly_once` needs a `transactional_id`",
                "give a name that no other run has; the same one after each restart",
            ));
        }
        let config = self.producer();
        let native = config.create_native_config();
        native.map(drop).map_err(|cause| error::property(&cause))
    }

    /// Settings of every client.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "headwater")
            // A topic comes into being by choice, never because somebody asked for it.
            .set("allow.auto.create.topics", "false")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    fn with_properties(&self, mut config: ClientConfig, producer_only: bool) -> ClientConfig {
        for (name, value) in &self.properties {
            if producer_only || !is_producer_only(name) {
                config.set(name, value.expose_secret());
            }
        }
        config
    }

    /// Settings of the client that looks at topics and makes them.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.with_properties(self.client(), false)
    }

    /// Settings of the client that reads the checkpoint.
    pub(crate) fn consumer(&self, isolation: &str) -> ClientConfig {
        let mut config = self.with_properties(self.client(), false);
        config
            // Never joined: partitions are assigned by hand. The client wants a name all the same.
            .set("group.id", "headwater")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            // The end of the topic is told by an empty answer: it need not be waited for.
            .set("fetch.wait.max.ms", "20")
            .set("isolation.level", isolation);
        config
    }

    /// Settings of the producer. Order of each partition is kept through retries (idempotence), every in-sync replica
    /// acknowledges, and nothing is given up by the client itself.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("compression.type", "lz4")
            // A change waits no longer for others; under load, batches fill by themselves while requests are on their way.
            .set("linger.ms", "2")
            .set("batch.num.messages", "100000")
            .set("queue.buffering.max.messages", "1000000");
        config = self.with_properties(config, true);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Each topic's own limit is looked at before a record is handed over.
            .set("message.max.bytes", "1000000000")
            .set(
                "queue.buffering.max.kbytes",
                (self.buffer_bytes_max / 1024).max(1).to_string(),
            );
        match &self.exactly_once {
            None => {
                config.set("message.timeout.ms", "0");
            }
            Some(exactly_once) => {
                let timeout = exactly_once.transaction_timeout.as_millis().to_string();
                config
                    .set("transactional.id", &exactly_once.transactional_id)
                    .set("transaction.timeout.ms", &timeout)
                    .set("message.timeout.ms", &timeout);
            }
        }
        config
    }
}

/// Properties that only a producer knows: another client would complain about them.
fn is_producer_only(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "batch.num.messages",
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "linger.ms",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "message.send.max.retries",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "request.required.acks",
        "request.timeout.ms",
        "retries",
    ];
    NAMES.contains(&name)
}

/// Refuses properties of a client that are set elsewhere, or that only Java's client has.
///
/// # Errors
/// `Configuration`, with what to write instead.
pub fn check_property(name: &str, value: &str) -> Result<()> {
    let instead = match name {
        "bootstrap.servers" | "metadata.broker.list" => "write it as `bootstrap_servers`",
        "transactional.id" => "write it as `transactional_id`, with `exactly_once: true`",
        "transaction.timeout.ms" => "write it as `transaction_timeout_s`",
        "message.timeout.ms" | "delivery.timeout.ms" => "write it as `acknowledge_within_s`",
        "queue.buffering.max.kbytes" | "buffer.memory" => "write it as `buffer_bytes_max`",
        "message.max.bytes" | "max.request.size" => {
            "leave it out: each topic's own limit (`max.message.bytes`) is asked for and kept to"
        }
        "acks" | "request.required.acks" if value == "all" || value == "-1" => return Ok(()),
        "acks" | "request.required.acks" => {
            "leave it out: an event counts as written only when all in-sync replicas have it"
        }
        "enable.idempotence" if value == "true" => return Ok(()),
        "enable.idempotence" => {
            "leave it out: without it, a retry changes the order of a key's events"
        }
        "key.serializer" | "value.serializer" | "partitioner.class" | "partitioner" => {
            "leave it out: keys and partitions have settings of their own"
        }
        "sasl.jaas.config" => {
            "that is for Java's client: write `sasl.username` and `sasl.password` instead"
        }
        "ssl.truststore.location" | "ssl.truststore.password" | "ssl.truststore.type" => {
            "that is for Java's client: write `ssl.ca.location` with a PEM file instead"
        }
        "ssl.keystore.type" => {
            "that is for Java's client: write `ssl.certificate.location` and `ssl.key.location` with PEM files instead"
        }
        _ => return Ok(()),
    };
    Err(refused(
        format!("the Kafka property `{name}` cannot be set to this"),
        instead,
    ))
}

fn refused(message: impl Into<String>, hint: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, message.into()).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(properties: &[(&str, &str)]) -> KafkaOptions {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).into());
        KafkaOptions {
            properties: properties.iter().map(owned).collect(),
            ..KafkaOptions::new("h:1", Template::parse("maxwell").unwrap())
        }
    }

    #[test]
    fn properties_of_the_client_are_passed_through() {
        let options = options(&[("compression.type", "zstd"), ("client.id", "mine")]);
        options.validate().unwrap();
        let config = options.producer();
        assert_eq!(config.get("compression.type"), Some("zstd"));
        assert_eq!(config.get("client.id"), Some("mine"));
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(options.admin().get("compression.type"), None);
    }

    #[test]
    fn what_would_break_the_promise_is_refused_with_what_to_write_instead() {
        for property in [
            ("acks", "1"),
            ("enable.idempotence", "false"),
            ("transactional.id", "x"),
            ("sasl.jaas.config", "x"),
            ("ssl.truststore.location", "x.jks"),
            ("max.request.size", "1"),
        ] {
            let error = options(&[property]).validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.hint_text().is_some(), "{error:?}");
        }
        for property in [("acks", "all"), ("enable.idempotence", "true")] {
            options(&[property]).validate().unwrap();
        }
    }

    #[test]
    fn a_property_that_nobody_knows_is_refused_without_its_value() {
        let error = options(&[("sasl.pasword", "hunter2")])
            .validate()
            .unwrap_err();
        let told = format!("{error:?}");
        assert!(
            told.contains("sasl.pasword") && !told.contains("hunter2"),
            "{told}"
        );
        let error = options(&[("compression.type", "brotli")])
            .validate()
            .unwrap_err();
        assert!(
            format!("{error:?}").contains("compression.type"),
            "{error:?}"
        );
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let options = KafkaOptions::new("cdc:hunter2@h:1", Template::parse("x").unwrap());
        let told = format!("{:?}", options.validate().unwrap_err());
        assert!(
            told.contains("sasl.password") && !told.contains("hunter2"),
            "{told}"
        );
    }

    #[test]
    fn the_checkpoint_s_topic_has_a_legal_name() {
        let topic = ExactlyOnce::new("shop/orders 1").topic();
        assert_eq!(topic, "headwater.checkpoint.shop_orders_1");
    }
}
