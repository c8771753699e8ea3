//! What a row becomes: topic, partition, key, value, headers, tombstones, dead letters.

use headwater_core::ErrorKind;
use headwater_core::batch::{Batch, ChangeKind};
use headwater_core::ddl::{Defined, DefinitionChange};
use headwater_core::sink::Sink as _;
use headwater_format::maxwell::key::KeyFormat;
use headwater_format::maxwell::partition::{Hash, PartitionBy, partition};
use headwater_format::maxwell::{Encoder, Options};
use headwater_kafka::{Header, KafkaOptions, KafkaSink, TooLarge};
use headwater_servers::kafka;

use super::support::{
    accept, barrier, fresh, inserts, options, orders, push, read, sink, table, template, told,
};

/// What a topic holds after `batch` went out.
async fn written(options: KafkaOptions, batch: &Batch, topic: &str) -> Vec<super::support::Read> {
    let mut sink = sink(options);
    sink.open(None).await.unwrap();
    accept(&mut sink, batch).await.unwrap();
    barrier(&mut sink).await.unwrap();
    read(&kafka::shared().unwrap(), topic)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_values_and_partitions_are_maxwell_s() {
    for (hash, format) in [
        (Hash::Default, KeyFormat::Hash),
        (Hash::Murmur3, KeyFormat::Array),
    ] {
        let topic = fresh("records");
        let options = KafkaOptions {
            partition_by: PartitionBy::PrimaryKey,
            partition_hash: hash,
            key_format: format,
            ..options(&topic, 7)
        };
        let found = written(options, &inserts(&orders(), 0..50), &topic).await;
        assert_eq!(found.len(), 50);
        let mut ids: Vec<i64> = found.iter().map(super::support::Read::id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..50).collect::<Vec<_>>());
        for record in &found {
            let id = record.id();
            let expected = partition(hash.of(id.to_string().as_bytes()), 7);
            assert_eq!(record.partition, expected, "{record:?}");
            let key = match format {
                KeyFormat::Hash => {
                    format!(r#"{{"database":"shop","table":"orders","pk.id":{id}}}"#)
                }
                KeyFormat::Array => format!(r#"["shop","orders",[{{"id":{id}}}]]"#),
            };
            assert_eq!(record.key, key);
            assert_eq!(
                record.value.as_deref().unwrap(),
                format!(
                    r#"{{"database":"shop","table":"orders","type":"insert","ts":1700000000,"xid":7,"commit":true,"data":{{"id":{id},"note":"something"}}}}"#
                )
            );
            assert!(record.headers.is_empty());
        }
        assert!(found.iter().any(|record| record.partition != 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_table_goes_to_the_topic_of_its_template_and_snapshots_where_they_are_told_to() {
    let prefix = fresh("templates");
    let options = KafkaOptions {
        bootstrap_topic: Some(template(&format!("{prefix}.snapshot"))),
        ..options(&format!("{prefix}.%{{database}}_%{{table}}"), 1)
    };
    let (one, two, odd) = (table("one"), table("two"), table("ödd $"));
    let mut batch = Batch::new();
    for (schema, id) in [(&one, 1), (&two, 2), (&one, 3), (&odd, 4)] {
        push(
            &mut batch,
            schema,
            ChangeKind::Insert,
            None,
            Some((id, "x")),
        );
    }
    push(
        &mut batch,
        &one,
        ChangeKind::Bootstrap,
        None,
        Some((5, "x")),
    );
    let mut sink = sink(options);
    sink.open(None).await.unwrap();
    accept(&mut sink, &batch).await.unwrap();
    barrier(&mut sink).await.unwrap();
    let ids = |topic: &str| -> Vec<i64> {
        let topic = format!("{prefix}.{topic}");
        let found = read(&kafka::shared().unwrap(), &topic);
        found.iter().map(super::support::Read::id).collect()
    };
    assert_eq!(ids("shop_one"), [1, 3]);
    assert_eq!(ids("shop_two"), [2]);
    assert_eq!(ids("shop__dd__"), [4]);
    assert_eq!(ids("snapshot"), [5]);
}

/// Maxwell's `ddl_kafka_topic` is not expanded, and a template there fails (its issue 1305).
#[tokio::test(flavor = "multi_thread")]
async fn changed_definitions_go_to_their_own_topic_whose_name_may_be_a_template() {
    let prefix = fresh("ddl");
    let options = KafkaOptions {
        ddl_topic: Some(template(&format!("{prefix}.%{{type}}.%{{table}}"))),
        partition_by: PartitionBy::Table,
        ..options(&format!("{prefix}.rows"), 5)
    };
    let change = |what, table: Option<&str>| DefinitionChange {
        what,
        database: "shop".into(),
        table: table.map(Into::into),
        old: None,
        new: None,
        charset: None,
        sql: "DROP \"it\"".into(),
        position: None,
        gtid: None,
    };
    let mut batch = inserts(&orders(), 0..1);
    for what in [Defined::TableCreated, Defined::TableDropped] {
        batch.push_definition_change(&orders(), 1_700_000_000, change(what, Some("orders")));
    }
    let whole = change(Defined::DatabaseDropped, None);
    batch.push_definition_change(&table(""), 1_700_000_000, whole);
    let events = Options {
        output_ddl: true,
        ..Options::default()
    };
    let mut sink = KafkaSink::new(options, Encoder::new(events)).unwrap();
    sink.open(None).await.unwrap();
    accept(&mut sink, &batch).await.unwrap();
    barrier(&mut sink).await.unwrap();
    let one = |topic: &str| {
        let mut found = read(&kafka::shared().unwrap(), &format!("{prefix}.{topic}"));
        assert_eq!(found.len(), 1, "{topic}: {found:?}");
        found.remove(0)
    };
    assert_eq!(one("rows").id(), 0);
    one("table-create.orders");
    let dropped = one("table-drop.orders");
    let value = r#"{"type":"table-drop","database":"shop","table":"orders","ts":1700000000000,"sql":"DROP \"it\""}"#;
    assert_eq!(dropped.value.as_deref(), Some(value));
    assert_eq!(dropped.partition, partition(Hash::Default.of(b"orders"), 5));
    assert_eq!(dropped.key.len(), 36, "{dropped:?}");
    let whole = one("database-drop.");
    assert_eq!(whole.partition, partition(Hash::Default.of(b"shop"), 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_follows_a_delete_and_the_old_key_of_an_update() {
    let schema = orders();
    let mut batch = Batch::new();
    push(
        &mut batch,
        &schema,
        ChangeKind::Insert,
        None,
        Some((1, "a")),
    );
    push(
        &mut batch,
        &schema,
        ChangeKind::Update,
        Some((1, "a")),
        Some((1, "b")),
    );
    push(
        &mut batch,
        &schema,
        ChangeKind::Update,
        Some((1, "b")),
        Some((2, "b")),
    );
    push(
        &mut batch,
        &schema,
        ChangeKind::Delete,
        Some((2, "b")),
        None,
    );
    let key = |id: i64| format!(r#"{{"database":"shop","table":"orders","pk.id":{id}}}"#);
    let shape = |found: Vec<super::support::Read>| -> Vec<(String, bool)> {
        let shape = |read: super::support::Read| (read.key, read.value.is_some());
        found.into_iter().map(shape).collect()
    };
    let topic = fresh("tombstones");
    let with = KafkaOptions {
        tombstones: true,
        ..options(&topic, 1)
    };
    assert_eq!(
        shape(written(with, &batch, &topic).await),
        [
            (key(1), true),
            (key(1), true),
            (key(1), false),
            (key(2), true),
            (key(2), true),
            (key(2), false)
        ]
    );
    let topic = fresh("no-tombstones");
    let without = shape(written(options(&topic, 1), &batch, &topic).await);
    assert_eq!(without.len(), 4);
    assert!(without.iter().all(|(_, has_value)| *has_value));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_those_asked_for() {
    let topic = fresh("headers");
    let options = KafkaOptions {
        headers: vec![Header::Table, Header::Type, Header::Xid, Header::Gtid],
        ..options(&topic, 1)
    };
    let found = written(options, &inserts(&orders(), 1..3), &topic).await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [
        pair("table", "orders"),
        pair("type", "insert"),
        pair("xid", "7"),
    ];
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|read| read.headers == expected));
}

/// Two small rows with one of two megabytes between them.
fn with_a_large_one() -> Batch {
    let schema = orders();
    let large = "x".repeat(2_000_000);
    let mut batch = Batch::new();
    for (id, note) in [(1, "small"), (2, large.as_str()), (3, "small")] {
        push(
            &mut batch,
            &schema,
            ChangeKind::Insert,
            None,
            Some((id, note)),
        );
    }
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_ends_the_run_and_names_its_row() {
    let topic = fresh("too-large");
    let mut sink = sink(options(&topic, 1));
    sink.open(None).await.unwrap();
    let error = accept(&mut sink, &with_a_large_one()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected);
    let told = told(&error);
    for word in [
        "\"data\":{\"id\":2}",
        "max.message.bytes",
        "dead_letter",
        &topic,
    ] {
        assert!(told.contains(word), "no {word} in {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_becomes_a_dead_letter_where_that_is_wanted() {
    let topic = fresh("dead-letters");
    let options = KafkaOptions {
        too_large: TooLarge::DeadLetter(template(&format!("{topic}.dead"))),
        ..options(&topic, 1)
    };
    let found = written(options, &with_a_large_one(), &topic).await;
    let ids: Vec<i64> = found.iter().map(super::support::Read::id).collect();
    assert_eq!(ids, [1, 3]);
    let dead = read(&kafka::shared().unwrap(), &format!("{topic}.dead"));
    assert_eq!(dead.len(), 1);
    assert_eq!(
        dead[0].value.as_deref().unwrap(),
        r#"{"database":"shop","table":"orders","type":"insert","reason":"RecordTooLargeException","data":{"id":2}}"#
    );
    assert_eq!(
        dead[0].key,
        r#"{"database":"shop","table":"orders","pk.id":2}"#
    );
}
