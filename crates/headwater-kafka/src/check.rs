//! What a run needs of Kafka, looked at before it starts. Nothing is written, and nobody is fenced off.

use headwater_core::finding::Finding;
use headwater_core::{Error, ErrorKind, Result};
use headwater_format::maxwell::topic::Template;
use rdkafka::admin::{NewTopic, TopicReplication};

use crate::client::{self, Admin, Producer};
use crate::config::{KafkaOptions, MissingTopics, TooLarge};

/// Looks at brokers, topics and the right to make them.
///
/// # Errors
/// Only when Kafka cannot be talked to at all; everything else is a finding.
pub async fn check(options: &KafkaOptions) -> Result<Vec<Finding>> {
    options.validate()?;
    let options = options.clone();
    // The client's calls block.
    let looked = tokio::task::spawn_blocking(move || look(&options));
    looked.await.map_err(|cause| {
        Error::new(ErrorKind::Internal, "the check was interrupted").caused_by(cause)
    })?
}

fn look(options: &KafkaOptions) -> Result<Vec<Finding>> {
    let producer = client::producer(options, None)?;
    let brokers = client::brokers(&producer)?;
    let admin = Admin::new(options)?;
    let mut findings = vec![Finding::ok("kafka", brokers.join(", "))];
    let mut wanted: Vec<(&str, &Template)> = vec![("kafka topic", &options.topic)];
    let others = [
        ("kafka topic of DDL", options.ddl_topic.as_ref()),
        (
            "kafka topic of snapshot rows",
            options.bootstrap_topic.as_ref(),
        ),
    ];
    wanted.extend(
        others
            .into_iter()
            .filter_map(|(name, topic)| Some((name, topic?))),
    );
    if let TooLarge::DeadLetter(topic) = &options.too_large {
        wanted.push(("kafka topic of dead letters", topic));
    }
    for (name, template) in wanted {
        findings.push(match template.fixed() {
            Some(topic) => look_at_topic(name, topic, options, &producer, &admin)?,
            None => look_at_template(name, template, options, &admin),
        });
    }
    if let Some(exactly_once) = &options.exactly_once {
        let topic = exactly_once.topic();
        let mut finding = look_at_topic(
            "kafka topic of checkpoints",
            &topic,
            options,
            &producer,
            &admin,
        )?;
        let settings = admin.settings(&topic);
        if let Some(policy) = settings.get("cleanup.policy")
            && !policy.contains("compact")
        {
            finding = Finding::failed("kafka topic of checkpoints", policy)
                .expected("it must be compacted, or Kafka deletes the checkpoint one day")
                .mend(format!(
                    "kafka-configs.sh --alter --topic {topic} --add-config cleanup.policy=compact"
                ));
        }
        findings.push(finding);
    }
    Ok(findings)
}

fn look_at_topic(
    name: &str,
    topic: &str,
    options: &KafkaOptions,
    producer: &Producer,
    admin: &Admin,
) -> Result<Finding> {
    let known = client::topics(producer)?;
    let Some(partitions) = known.get(topic) else {
        return Ok(missing(name, topic, options, admin));
    };
    let settings = admin.settings(topic);
    let setting = |key: &str| settings.get(key).map_or("?", String::as_str);
    let found = format!(
        "{topic}: {partitions} partitions, min.insync.replicas {}, max.message.bytes {}",
        setting("min.insync.replicas"),
        setting("max.message.bytes"),
    );
    let is_compacted = setting("cleanup.policy").contains("compact");
    if is_compacted && !options.tombstones && name == "kafka topic" {
        return Ok(Finding::warning(name, found).expected(
            "it is compacted, and without `tombstones: true` a deleted row's last event stays in it",
        ));
    }
    Ok(Finding::ok(name, found))
}

/// Whether a topic that is not there could be made.
fn missing(name: &str, topic: &str, options: &KafkaOptions, admin: &Admin) -> Finding {
    let MissingTopics::Create {
        partitions,
        replicas,
    } = options.missing_topics
    else {
        return Finding::failed(name, format!("{topic} is not there"))
            .expected("it must be there, for topics are not to be created")
            .mend(format!("kafka-topics.sh --create --topic {topic}"));
    };
    let count = |number: Option<u16>| number.map_or(-1, i32::from);
    let new = NewTopic::new(
        topic,
        count(partitions),
        TopicReplication::Fixed(count(replicas)),
    );
    match admin.create(&new, true) {
        Ok(()) => Finding::ok(
            name,
            format!("{topic} is not there yet, and can be created"),
        ),
        Err(error) => Finding::failed(name, format!("{topic} is not there, and cannot be created"))
            .expected(error.to_string())
            .mend(error.hint_text().unwrap_or_default()),
    }
}

fn look_at_template(
    name: &str,
    template: &Template,
    options: &KafkaOptions,
    admin: &Admin,
) -> Finding {
    let example = template.name("headwater", "check", "insert");
    match options.missing_topics {
        MissingTopics::Refuse => Finding::warning(name, template.as_str()).expected(
            "topics are not to be created: one for each table has to be there beforehand",
        ),
        MissingTopics::Create { .. } => {
            let mut finding = missing(name, &example, options, admin);
            finding.found = format!("{}, such as {}", template.as_str(), finding.found);
            finding
        }
    }
}
