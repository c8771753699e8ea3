//! What is wrong, and what is said about it.

use headwater_core::ErrorKind;
use headwater_core::finding::Level;
use headwater_core::sink::Sink as _;
use headwater_kafka::{ExactlyOnce, KafkaOptions, MissingTopics, check};
use headwater_servers::kafka::{self, Kafka, KafkaOptions as ServerOptions};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::json;

use super::support::{
    accept, barrier, fresh, inserts, on, options, orders, read, sink, template, told,
};

async fn create(bootstrap: &str, topic: &NewTopic<'_>) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .unwrap();
    let created = admin.create_topics([topic], &AdminOptions::new()).await;
    created.unwrap().pop().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_refused_where_none_may_be_made_and_does_not_come_into_being()
{
    let topic = fresh("absent");
    let options = KafkaOptions {
        missing_topics: MissingTopics::Refuse,
        ..options(&topic, 1)
    };
    let mut sink = sink(options.clone());
    sink.open(None).await.unwrap();
    let error = accept(&mut sink, &inserts(&orders(), 0..1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(told(&error).contains(&topic), "{error:?}");
    // The shared broker makes topics that somebody asks for: nobody may have asked.
    assert!(read(&kafka::shared().unwrap(), &topic).is_empty());
    let findings = check(&options).await.unwrap();
    let failed = findings
        .iter()
        .find(|finding| finding.level == Level::Failed)
        .unwrap();
    assert!(failed.found.contains(&topic) && failed.mend.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_all_well_and_makes_nothing() {
    let topic = fresh("checked");
    let options = KafkaOptions {
        exactly_once: Some(ExactlyOnce::new(&*topic)),
        ..options(&topic, 3)
    };
    for turn in 0..2 {
        let findings = check(&options).await.unwrap();
        assert!(
            findings.iter().all(|finding| finding.level == Level::Ok),
            "{findings:?}"
        );
        let is_there = !findings[1].found.contains("not there yet");
        assert_eq!(is_there, turn == 1, "{findings:?}");
        let mut sink = sink(options.clone());
        sink.recover().await.unwrap();
        accept(&mut sink, &inserts(&orders(), 0..1)).await.unwrap();
        sink.commit(&json!(1)).await.unwrap();
    }
    let templated = KafkaOptions {
        topic: template("%{table}"),
        ..options
    };
    let findings = check(&templated).await.unwrap();
    assert!(findings[1].found.contains("can be created"), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_topic_that_forgets_is_refused() {
    let (bootstrap, topic) = (kafka::shared().unwrap(), fresh("forgets"));
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    create(&bootstrap, &new).await;
    let options = KafkaOptions {
        exactly_once: Some(ExactlyOnce {
            checkpoint_topic: Some(topic.clone()),
            ..ExactlyOnce::new(&*topic)
        }),
        ..options(&fresh("events"), 1)
    };
    let findings = check(&options).await.unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding.level == Level::Failed),
        "{findings:?}"
    );
    let error = sink(options).recover().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected);
    assert!(told(&error).contains("compact"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_may_come_back() {
    let mut sink = sink(on("127.0.0.1:1", "x", 1));
    let error = sink.open(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkUnavailable, "{error:?}");
    assert!(error.hint_text().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_another_cluster_is_refused() {
    let topic = fresh("cluster");
    let mut sink = sink(options(&topic, 1));
    sink.open(None).await.unwrap();
    let mark = barrier(&mut sink).await.unwrap();
    sink.open(Some(&mark)).await.unwrap();
    let error = sink
        .open(Some(&json!({ "cluster": "another" })))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected);
    assert!(told(&error).contains("another"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_small_batches_gets_small_batches() {
    let (bootstrap, topic) = (kafka::shared().unwrap(), fresh("small"));
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "2000");
    create(&bootstrap, &new).await;
    // Uncompressed, so that a thousand rows in one batch would be far too large.
    let options = KafkaOptions {
        properties: vec![("compression.type".to_owned(), "none".into())],
        ..options(&topic, 1)
    };
    let mut sink = sink(options);
    sink.open(None).await.unwrap();
    accept(&mut sink, &inserts(&orders(), 0..1_000))
        .await
        .unwrap();
    barrier(&mut sink).await.unwrap();
    let ids: Vec<i64> = read(&bootstrap, &topic)
        .iter()
        .map(super::support::Read::id)
        .collect();
    assert_eq!(ids, (0..1_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_does_not_allow_is_told_as_such() {
    let server = Kafka::start(&ServerOptions {
        protocol: "SASL_PLAINTEXT".to_owned(),
        properties: [
            "sasl.enabled.mechanisms=PLAIN",
            "listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
             required user_reader=\"r\";",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
            "allow.everyone.if.no.acl.found=false",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..ServerOptions::default()
    })
    .unwrap();
    let options = KafkaOptions {
        properties: [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "reader"),
            ("sasl.password", "r"),
        ]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .to_vec(),
        ..on(&server.bootstrap(), "forbidden", 1)
    };
    let findings = check(&options).await.unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding.level == Level::Failed),
        "{findings:?}"
    );
    let mut sink = sink(options);
    sink.open(None).await.unwrap();
    let error = accept(&mut sink, &inserts(&orders(), 0..1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Privilege, "{error:?}");
    assert!(told(&error).contains("grant"), "{error:?}");
}
