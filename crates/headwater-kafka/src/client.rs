//! The clients of librdkafka: the producer, and the one that looks at topics and makes them. All calls block, so they are
//! made on a thread of their own.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use headwater_core::{Error, ErrorKind, Result};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::{Metadata, MetadataBroker, MetadataTopic};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};

use crate::config::{KafkaOptions, MissingTopics};
use crate::error;

/// How long one call to the broker may take.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long one of its turns is, where the client would try for ever by itself.
const METADATA_TURN: Duration = Duration::from_secs(2);

/// What a broker takes unless its topic says otherwise (`max.message.bytes`).
const MESSAGE_BYTES_DEFAULT: usize = 1_048_588;

/// The producer with its counters.
pub(crate) type Producer = BaseProducer<Reports>;

/// What the producer reports: how many records were acknowledged, and the first failure. No allocation for each record.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    pub(crate) acknowledged: AtomicU64,
    failure: Mutex<Option<Failure>>,
    has_failed: AtomicBool,
    pub(crate) connection: Connection,
}

/// The first record that was not delivered.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    topic: String,
}

impl Failure {
    pub(crate) fn error(&self) -> Error {
        error::of_code(self.code).with("topic", &self.topic)
    }
}

impl Reports {
    pub(crate) fn failure(&self) -> Option<Failure> {
        if !self.has_failed.load(Ordering::Acquire) {
            return None;
        }
        self.lock().clone()
    }

    pub(crate) fn forget_failure(&self) {
        *self.lock() = None;
        self.has_failed.store(false, Ordering::Release);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Failure>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.connection.log(level, facility, message);
    }

    fn error(&self, cause: KafkaError, reason: &str) {
        self.connection.error(&cause, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((cause, message)) => {
                use rdkafka::message::Message as _;
                let mut failure = self.lock();
                if failure.is_none() {
                    *failure = Some(Failure {
                        code: cause.rdkafka_error_code().unwrap_or(Code::Fail),
                        topic: message.topic().to_owned(),
                    });
                    self.has_failed.store(true, Ordering::Release);
                }
            }
        }
    }
}

/// What is known of the connection from what the client says by the way.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// The last error that will not pass by waiting, with what the client said: a wrong password, a certificate that does not
    /// fit.
    refusal: Mutex<Option<(Code, String)>>,
    /// What the client said last of a connection.
    said: Mutex<String>,
    is_away: AtomicBool,
}

impl Connection {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "headwater_kafka::client", ?level, facility, "{message}");
    }

    fn error(&self, cause: &KafkaError, reason: &str) {
        reason.clone_into(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner));
        match cause.rdkafka_error_code() {
            Some(code @ (Code::Authentication | Code::SaslAuthenticationFailed)) => {
                *self.lock() = Some((code, reason.to_owned()));
            }
            // Other failures of TLS may be a broker that ends in the middle of it.
            Some(code @ Code::SSL) if reason.contains("verify failed") => {
                *self.lock() = Some((code, reason.to_owned()));
            }
            Some(Code::AllBrokersDown) => {
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!("no Kafka broker can be reached: waiting");
                }
            }
            _ => tracing::debug!(target: "headwater_kafka::client", "{reason}"),
        }
    }

    /// Says that the broker is back, if it was said to be away.
    fn is_back(&self) {
        *self.lock() = None;
        if self.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!("Kafka answers again");
        }
    }

    fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone()
    }

    fn refusal(&self) -> Option<Error> {
        let refusal = self.lock();
        let (code, said) = refusal.as_ref()?;
        Some(error::of_code(*code).with("client", said))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Code, String)>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a producer. Nothing is connected yet.
pub(crate) fn producer(options: &KafkaOptions, batch_bytes_max: Option<usize>) -> Result<Producer> {
    let mut config = options.producer();
    if let Some(bytes) = batch_bytes_max {
        config.set("batch.size", bytes.to_string());
    }
    BaseProducer::from_config_and_context(&config, Reports::default())
        .map_err(|cause| error::creation(&cause))
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicInfo {
    pub(crate) partitions: i32,
    /// The largest batch it takes; a record alone is a batch.
    pub(crate) message_bytes_max: usize,
}

/// The client that makes topics and asks for their settings.
pub(crate) struct Admin {
    client: AdminClient<Silent>,
}

/// What it says by the way, the producer says too.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl Admin {
    pub(crate) fn new(options: &KafkaOptions) -> Result<Self> {
        let client = AdminClient::from_config_and_context(&options.admin(), Silent);
        Ok(Self {
            client: client.map_err(|cause| error::creation(&cause))?,
        })
    }

    /// A topic's settings by name; empty if the user may not see them.
    pub(crate) fn settings(&self, topic: &str) -> HashMap<String, String> {
        let specifier = [ResourceSpecifier::Topic(topic)];
        let asked = self.client.describe_configs(&specifier, &call_options());
        let Some(Ok(answers)) = wait(asked, CALL_TIMEOUT) else {
            return HashMap::new();
        };
        let mut settings = HashMap::new();
        for resource in answers.into_iter().flatten() {
            for entry in resource.entries {
                if let Some(value) = entry.value {
                    settings.insert(entry.name, value);
                }
            }
        }
        settings
    }

    /// The largest batch a topic takes.
    pub(crate) fn message_bytes_max(&self, topic: &str) -> usize {
        let settings = self.settings(topic);
        let limit = settings.get("max.message.bytes");
        limit
            .and_then(|text| text.parse().ok())
            .unwrap_or(MESSAGE_BYTES_DEFAULT)
    }

    /// A topic, made if it is not there and may be.
    pub(crate) fn ensure(
        &self,
        producer: &Producer,
        topic: &str,
        missing: MissingTopics,
    ) -> Result<TopicInfo> {
        let mut known = topics(producer)?;
        if !known.contains_key(topic) {
            let MissingTopics::Create {
                partitions,
                replicas,
            } = missing
            else {
                return Err(error::missing_topic(topic));
            };
            let count = |number: Option<u16>| number.map_or(-1, i32::from);
            let new = NewTopic::new(
                topic,
                count(partitions),
                TopicReplication::Fixed(count(replicas)),
            );
            self.create(&new, false)?;
            tracing::info!(topic, "topic created");
            known = appeared(producer, topic)?;
        }
        Ok(TopicInfo {
            partitions: known.get(topic).copied().unwrap_or(1),
            message_bytes_max: self.message_bytes_max(topic),
        })
    }

    /// Makes a topic, or only asks whether that would do. One that is there already is fine.
    pub(crate) fn create(&self, topic: &NewTopic<'_>, only_ask: bool) -> Result<()> {
        let options = call_options().validate_only(only_ask);
        let asked = self.client.create_topics([topic], &options);
        let operation = "creating a topic";
        let answer = wait(asked, CALL_TIMEOUT).ok_or_else(|| {
            error::of_code(Code::RequestTimedOut)
                .during(operation)
                .with("topic", topic.name)
        })?;
        let answers = answer.map_err(|cause| error::call(operation, &cause))?;
        for answer in answers {
            match answer {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(error::of_code(code).during(operation).with("topic", name));
                }
            }
        }
        Ok(())
    }
}

/// Waits until a topic that was made can be seen.
pub(crate) fn appeared(producer: &Producer, topic: &str) -> Result<HashMap<String, i32>> {
    let end = Instant::now() + CALL_TIMEOUT;
    loop {
        let known = topics(producer)?;
        if known.contains_key(topic) {
            return Ok(known);
        }
        if Instant::now() >= end {
            return Err(Error::new(
                ErrorKind::SinkUnavailable,
                "a topic was created and does not appear",
            )
            .with("topic", topic)
            .hint("may the user describe it? Grant Describe on it"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The topics that there are (and that the user may see), with their partitions. Asks for all of them: asking for one by
/// name would make it, on many a broker.
pub(crate) fn topics(producer: &Producer) -> Result<HashMap<String, i32>> {
    let count = |topic: &MetadataTopic| {
        let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
        (topic.name().to_owned(), partitions)
    };
    let metadata = metadata(producer)?;
    let known = metadata.topics().iter();
    Ok(known
        .filter(|topic| topic.error().is_none() && !topic.partitions().is_empty())
        .map(count)
        .collect())
}

/// The brokers, as they call themselves.
pub(crate) fn brokers(producer: &Producer) -> Result<Vec<String>> {
    let name = |broker: &MetadataBroker| format!("{}:{}", broker.host(), broker.port());
    Ok(metadata(producer)?.brokers().iter().map(name).collect())
}

/// Asks in short turns, so that a wrong password, which the client tries for ever, is noticed soon.
fn metadata(producer: &Producer) -> Result<Metadata> {
    let operation = "asking Kafka for its topics";
    let end = Instant::now() + CALL_TIMEOUT;
    loop {
        let asked = producer.client().fetch_metadata(None, METADATA_TURN);
        // What the client has to say of it; each is a turn of its own.
        producer.poll(Duration::from_millis(20));
        let connection = &producer.context().connection;
        match asked {
            Ok(metadata) => {
                connection.is_back();
                return Ok(metadata);
            }
            Err(cause) => {
                if let Some(refusal) = connection.refusal() {
                    return Err(refusal.during(operation));
                }
                if Instant::now() >= end {
                    return Err(error::call(operation, &cause).with("client", connection.said()));
                }
            }
        }
    }
}

fn call_options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(CALL_TIMEOUT))
        .operation_timeout(Some(CALL_TIMEOUT))
}

/// Waits for a future of librdkafka's on this thread, which is none of a runtime's. None if it takes too long.
fn wait<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    let end = Instant::now() + limit;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = end.checked_duration_since(Instant::now())?;
        std::thread::park_timeout(left);
    }
}
