//! Errors of the client and the broker, with what to do about them.

use headwater_core::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// A property that the client refuses. Its value may be a secret, so it is not repeated.
pub(crate) fn property(cause: &KafkaError) -> Error {
    let KafkaError::ClientConfig(_, description, name, value) = cause else {
        return Error::new(
            ErrorKind::Configuration,
            "the Kafka client refuses its settings",
        )
        .with("said", cause)
        .hint("see the section `kafka` of the configuration");
    };
    let description = match value.as_str() {
        "" => description.clone(),
        value => description.replace(value, "…"),
    };
    Error::new(
        ErrorKind::Configuration,
        "the Kafka client refuses a property",
    )
    .with("property", name)
    .with("said", description)
    .hint("see librdkafka's list of properties, or leave it out")
}

/// A client that cannot be made.
pub(crate) fn creation(cause: &KafkaError) -> Error {
    if let KafkaError::ClientConfig(..) = cause {
        return property(cause);
    }
    Error::new(ErrorKind::Configuration, "the Kafka client cannot be made")
        .with("said", cause)
        .hint("see the section `kafka` of the configuration: certificates, keys, combinations of properties")
}

/// What a call to the broker ended with.
pub(crate) fn call(operation: &'static str, cause: &KafkaError) -> Error {
    let code = match cause {
        KafkaError::Transaction(error) => Some(error.code()),
        other => other.rdkafka_error_code(),
    };
    match code {
        Some(code) => of_code(code).during(operation),
        None => Error::new(ErrorKind::SinkUnavailable, "the Kafka client failed")
            .with("said", cause)
            .during(operation),
    }
}

/// The kind of an error code, with what to do about it.
pub(crate) fn of_code(code: Code) -> Error {
    let (kind, message, hint) = not_allowed(code).unwrap_or_else(|| explained(code));
    Error::new(kind, message)
        .with("kafka says", code)
        .hint(hint)
}

/// What went wrong, with what to do about it.
type Explained = (ErrorKind, &'static str, &'static str);

/// Of a connection or an operation that is refused because of who asks.
fn not_allowed(code: Code) -> Option<Explained> {
    Some(match code {
        Code::SaslAuthenticationFailed | Code::Authentication => (
            ErrorKind::Authentication,
            "Kafka refused the user or the password",
            "check `sasl.mechanism`, `sasl.username` and `sasl.password`",
        ),
        Code::SSL => (
            ErrorKind::Authentication,
            "no secure connection to Kafka could be made",
            "check `security.protocol`, `ssl.ca.location` and the name in the broker's certificate",
        ),
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => (
            ErrorKind::Privilege,
            "Kafka refused: the user may not do this",
            "grant Write and Describe on the topics, Create where they are made, and with exactly_once Write and Describe \
             on the transactional id and Read on the checkpoint's topic",
        ),
        _ => return None,
    })
}

fn explained(code: Code) -> Explained {
    match code {
        Code::MessageSizeTooLarge => (
            ErrorKind::SinkRejected,
            "Kafka refused a record as too large",
            "raise the topic's `max.message.bytes`, or set `record_too_large: dead_letter`",
        ),
        Code::InvalidTopic => (
            ErrorKind::SinkRejected,
            "Kafka refuses the topic's name",
            "letters, digits, `.`, `_` and `-`, at most 249 of them",
        ),
        Code::InvalidReplicationFactor => (
            ErrorKind::SinkRejected,
            "Kafka has fewer brokers than the topic is to have replicas",
            "lower `topic_replicas`, or create the topic beforehand",
        ),
        Code::PolicyViolation
        | Code::InvalidRecord
        | Code::InvalidConfig
        | Code::InvalidPartitions => (
            ErrorKind::SinkRejected,
            "Kafka refused what it was given",
            "see the broker's policies and the topic's settings",
        ),
        Code::UnsupportedVersion | Code::UnsupportedFeature => (
            ErrorKind::Unsupported,
            "this Kafka is too old",
            "Kafka 2.5 or newer is needed (for exactly_once too)",
        ),
        Code::InvalidTransactionTimeout => (
            ErrorKind::Configuration,
            "the transaction's time-out is longer than the broker allows",
            "lower `transaction_timeout_s`, or raise the broker's `transaction.max.timeout.ms`",
        ),
        Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::InvalidProducerIdMapping
        | Code::InvalidTransactionalState => (
            ErrorKind::SinkUnavailable,
            "the transaction was aborted",
            "its time was over (raise `transaction_timeout_s` above what a table without a key takes to be read), or another \
             process took over; it is tried again from the last commit",
        ),
        _ => (
            ErrorKind::SinkUnavailable,
            "Kafka did not do what it was asked",
            "see that the brokers run and can be reached; it is tried again",
        ),
    }
}

/// A topic that is not there and must not be made.
pub(crate) fn missing_topic(topic: &str) -> Error {
    Error::new(ErrorKind::NotFound, "the topic is not there")
        .with("topic", topic)
        .hint("create it, or let it be created (`create_topics: true`)")
}

/// Another process has taken over.
pub(crate) fn fenced(transactional_id: &str) -> Error {
    Error::new(
        ErrorKind::Locked,
        "another process with the same transactional id has taken over",
    )
    .with("transactional id", transactional_id)
    .hint("nothing to do if that was meant; else give each run a `transactional_id` of its own")
}

/// Nothing was acknowledged for too long.
pub(crate) fn no_answer(waited_s: u64, waiting: i32) -> Error {
    Error::new(
        ErrorKind::SinkUnavailable,
        "Kafka has acknowledged nothing for too long",
    )
    .with("seconds", waited_s)
    .with("records waiting", waiting)
    .hint("see that the brokers run, and that the topics have `min.insync.replicas` in sync; it is tried again")
}

/// The thread that speaks with Kafka has ended.
pub(crate) fn thread_gone() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the thread that writes to Kafka has ended",
    )
}
