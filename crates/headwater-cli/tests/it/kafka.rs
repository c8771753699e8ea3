//! Kafka as a person uses it from the command line.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use headwater_servers::{Signal, kafka, send_signal};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use super::command::{headwater, run_in};
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

fn start(folder: &Path, words: &[&str]) -> Child {
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut command = headwater();
    command.args(words).current_dir(folder).stderr(log);
    command.spawn().unwrap()
}

#[test]
fn the_status_of_a_run_is_read_from_kafka_and_the_run_goes_on() {
    let url = shop("told");
    let bootstrap = kafka::shared().unwrap();
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let topic = format!("told{since}");
    let sink = format!("kafka:{bootstrap}/{topic}");
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "sink: kafka\nkafka:\n  bootstrap_servers: {bootstrap}\n  kafka_topic: {topic}\n  \
         exactly_once: true\n  transactional_id: {topic}\n"
    );
    fs::write(folder.path().join("k.yaml"), yaml).unwrap();
    let flags = [
        "--sink",
        &sink,
        "--exactly-once",
        "--transactional-id",
        &topic,
    ];
    let status = |words: &[&str]| run_in(folder.path(), &[&["status"], words].concat());
    let by_file = ["--config", "k.yaml", "--json"];
    let none = status(&by_file);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("there is no checkpoint"), "{none:?}");
    let mut run = start(folder.path(), &[&["run", &url], &flags[..]].concat());
    let end = Instant::now() + Duration::from_secs(180);
    let place = |is_new: &dyn Fn(&Value) -> bool| loop {
        let said = status(&by_file);
        let told: Value = serde_json::from_str(&said.out).unwrap_or_default();
        if told["phase"] == "copied" && is_new(&told["position"]) {
            break told["position"].clone();
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(Instant::now() < end, "{said:?}\n{log}");
    };
    let first = place(&|_| true);
    // Asked for time and again, it still commits: nobody fenced it off.
    for id in 10..14 {
        server()
            .sql(&format!("INSERT INTO told.users VALUES ({id}, 'x')"))
            .unwrap();
        place(&|position| *position != first);
    }
    server()
        .sql("INSERT INTO told.users VALUES (99, 'the last')")
        .unwrap();
    while !(read(&bootstrap, &topic, 3).iter()).any(|(_, event)| event.contains("the last")) {
        assert!(Instant::now() < end, "the run was fenced off");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(run.try_wait().unwrap().is_none());
    // The flags of the run say the same, to people.
    let said = status(&[&[url.as_str()], &flags[..]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    for words in [
        topic.as_str(),
        "the copy is complete",
        "position",
        "told.users",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    send_signal(run.id(), Signal::Terminate).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
}

#[test]
fn a_status_without_a_checkpoint_says_how_to_name_one() {
    let folder = tempfile::tempdir().unwrap();
    let unnamed = run_in(folder.path(), &["status", "--sink", "null"]);
    assert!(
        unnamed.code == 2 && unnamed.err.contains("--checkpoint FILE"),
        "{unnamed:?}"
    );
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
