//! The table, the page and the conversion agree with each other, and with our own configuration.

use super::convert::convert;
use super::table::{Becomes, SECTIONS};
use super::{Fate, Moved, properties};
use crate::config::{File, read};

const EVERY: &str = include_str!("../../tests/maxwell.properties");

fn moved(text: &str) -> Moved {
    convert(&properties::parse(text).unwrap())
}

fn fate(text: &str) -> Fate {
    let moved = moved(text);
    moved.fates.last().unwrap().1.clone()
}

fn load(yaml: &str) -> File {
    let lookup = |name: &str| Some(format!("value of {name}"));
    match read("moved.yaml", yaml, &lookup) {
        Ok(file) => file,
        Err(refused) => panic!("{}\n{yaml}", refused.render(false)),
    }
}

#[test]
fn the_page_in_the_docs_is_the_one_of_this_version() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/maxwell-settings.md"
    );
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == super::page(),
        "run `headwater schema maxwell > docs/maxwell-settings.md`"
    );
}

#[test]
fn every_option_of_the_page_is_in_the_file_of_all_and_none_beside() {
    let options = properties::parse(EVERY).unwrap();
    for row in SECTIONS.iter().flat_map(|(_, rows)| rows.iter()) {
        assert!(options.iter().any(|(name, _)| row.is(name)), "{}", row.name);
    }
    for (name, _) in &options {
        assert!(super::table::of(name).is_some(), "{name}");
    }
    let mut names: Vec<&str> = SECTIONS
        .iter()
        .flat_map(|(_, rows)| rows.iter().map(|row| row.name))
        .collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "an option has two rows");
}

#[test]
fn a_file_with_every_option_becomes_one_that_loads() {
    let moved = moved(EVERY);
    assert!(!moved.is_whole());
    load(&moved.yaml);
    assert!(!moved.yaml.contains("hunter") && !moved.report().contains("hunter"));
    insta::assert_snapshot!("every_option_yaml", moved.yaml);
    insta::assert_snapshot!("every_option_report", moved.report());
}

#[test]
fn every_key_of_the_table_is_one_of_the_configuration() {
    for row in SECTIONS.iter().flat_map(|(_, rows)| rows.iter()) {
        let Becomes::Key(path, _) = row.becomes else {
            continue;
        };
        let value = match row.default {
            "" | "kafka_topic" => "a",
            default => default,
        };
        let value = match row.name {
            "producer_partition_by_fallback" => "table",
            "kafka.bootstrap.servers" => "h:2",
            _ => value,
        };
        let moved = moved(&format!(
            "producer=kafka\nkafka.bootstrap.servers=h:1\n{}={value}",
            row.name
        ));
        let wanted = path.rsplit('.').next().unwrap();
        assert!(
            moved.yaml.contains(&format!("{wanted}: ")),
            "{}",
            moved.yaml
        );
        load(&moved.yaml);
        assert!(row.here.contains(path), "{}: {}", row.name, row.here);
    }
}

#[test]
fn a_plain_file_is_taken_whole() {
    let moved = moved(
        "log_level=info\nproducer=kafka\nkafka.bootstrap.servers=localhost:9092\nhost=localhost\nuser=maxwell\npassword=maxwell\n",
    );
    assert!(moved.is_whole(), "{}", moved.report());
    load(&moved.yaml);
    insta::assert_snapshot!(moved.yaml, @r#"
    mode: "cdc"
    connections:
      mysql:
        host: "localhost"
        user: "maxwell"
    sink: "kafka"
    checkpoint: "maxwell.checkpoint"
    events:
      bootstrap_events: "maxwell"
    log:
      level: "info"
    kafka:
      bootstrap_servers: "localhost:9092"
    filter: "exclude: maxwell.*"
    "#);
}

#[test]
fn what_is_not_there_is_told_only_where_it_is_asked_for() {
    assert!(matches!(fate("ha=false"), Fate::Ignored(_)));
    assert!(matches!(fate("ha=true"), Fate::Lost(_)));
    assert!(matches!(fate("output_schema_id=true"), Fate::Lost(_)));
    assert!(matches!(fate("redis_host=x"), Fate::Ignored(_)));
    assert!(matches!(
        fate("producer=redis\nredis_host=x"),
        Fate::Lost(_)
    ));
    assert!(matches!(fate("producer=redis"), Fate::Lost(_)));
    assert!(matches!(fate("no_such_thing=1"), Fate::Lost(_)));
    assert!(matches!(fate("filter=include: (a)"), Fate::Lost(_)));
    assert!(matches!(fate("ssl=SOMETIMES"), Fate::Lost(_)));
    assert!(matches!(fate("javascript="), Fate::Ignored(_)));
    assert!(matches!(fate("metrics_type=http"), Fate::Mapped(_)));
    assert!(matches!(fate("host=h\nschema_host=h"), Fate::Ignored(_)));
}

#[test]
fn what_looks_like_a_variable_stays_what_it_is() {
    let file = load(&moved("producer=file\noutput_file=/a/${b}\nuser=a${HOME}").yaml);
    assert_eq!(file.sink.as_deref(), Some("file:/a/${b}"));
    assert_eq!(file.connections.unwrap().mysql.unwrap().user, "a${HOME}");
}
