//! Kafka as a person uses it from the command line.

use std::fs;
use std::time::{Duration, Instant};

use headwater_servers::kafka;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::command::run_in;
use super::server::{server, shop};

/// Keys and values of a topic's first partitions, in order.
pub(super) fn read(bootstrap: &str, topic: &str, partitions: i32) -> Vec<(String, String)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "cli")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    let (mut ended, mut found) = (0, Vec::new());
    let end = Instant::now() + Duration::from_secs(180);
    while ended < partitions {
        assert!(Instant::now() < end, "{topic} cannot be read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => found.push((text(message.key()), text(message.payload()))),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(_)) | None => {}
        }
    }
    found
}

#[test]
fn a_shop_goes_to_topics_of_its_tables_and_on_from_the_checkpoint() {
    let url = shop("to_kafka");
    let bootstrap = kafka::shared().unwrap();
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "sink: kafka\ncheckpoint: c\nkafka:\n  bootstrap_servers: {bootstrap}\n  \
         kafka_topic: 'shop{since}.%{{table}}'\n  topic_partitions: 2\n  kafka_key_format: array\n"
    );
    fs::write(folder.path().join("k.yaml"), yaml).unwrap();
    let words = |command: &'static str| [command, &url, "--config", "k.yaml"];
    let check = run_in(folder.path(), &words("check"));
    assert_eq!(check.code, 0, "{check:?}");
    assert!(check.out.contains("can be created"), "{check:?}");
    let run = || {
        let said = run_in(
            folder.path(),
            &[&words("run")[..], &["--until", "now"]].concat(),
        );
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.out.is_empty(), "{said:?}");
    };
    run();
    server()
        .sql("UPDATE to_kafka.users SET name='Ada L.' WHERE id=1")
        .unwrap();
    run();
    let topic = |table: &str| read(&bootstrap, &format!("shop{since}.{table}"), 2);
    assert_eq!(topic("orders").len(), 3);
    let users = topic("users");
    assert_eq!(users.len(), 3, "{users:?}");
    assert_eq!(users[0].0, r#"["to_kafka","users",[{"id":1}]]"#);
    assert!(users[2].1.contains(r#""old":{"name":"Ada"}"#), "{users:?}");
}

#[test]
fn exactly_once_goes_on_from_what_kafka_holds_and_needs_no_file() {
    let url = shop("once");
    let bootstrap = kafka::shared().unwrap();
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let (sink, id) = (
        format!("kafka:{bootstrap}/once{since}"),
        format!("once{since}"),
    );
    let run = |more: &[&str]| {
        // Another folder each time: nothing is kept in it.
        let folder = tempfile::tempdir().unwrap();
        let words = [
            "run",
            &url,
            "--until",
            "now",
            "--sink",
            &sink,
            "--exactly-once",
            "--transactional-id",
            &id,
        ];
        let said = run_in(folder.path(), &[&words[..], more].concat());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        said
    };
    assert_eq!(run(&[]).code, 0);
    server()
        .sql("INSERT INTO once.users VALUES (3, 'Mary')")
        .unwrap();
    let second = run(&[]);
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(read(&bootstrap, &format!("once{since}"), 3).len(), 6);
    // Other partitions for the same keys would tear their events apart.
    let other = run(&["--producer-partition-by", "primary_key"]);
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.err.contains("producer_partition_by"), "{other:?}");
}

#[test]
fn a_broker_that_is_not_there_is_told_by_the_check() {
    let url = shop("no_broker");
    let folder = tempfile::tempdir().unwrap();
    let check = run_in(
        folder.path(),
        &["check", &url, "--sink", "kafka:127.0.0.1:1"],
    );
    assert_eq!(check.code, 1, "{check:?}");
    assert!(
        check.out.contains("FAILED") && check.out.contains("kafka"),
        "{check:?}"
    );
}
