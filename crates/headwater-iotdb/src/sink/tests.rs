//! The sink with a real IoTDB: random rows under each policy and in each model, and rows that are refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead};
use headwater_core::dead_letters;
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use headwater_core::sink::{Durability, Receipt, Sink};
use headwater_core::value::{Date, DateTime};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{IotdbSink, any_session, session_options};
use crate::client::{Rows, Value};
use crate::config::{
    Address, DeletePolicy, IotdbOptions, Mapping, Measurement, Model, OnError, Policy, SeriesType,
    UpdatePolicy,
};

fn schema(table: &str) -> Arc<TableSchema> {
    let column = |name: &str, data_type, nullable| Column {
        name: name.into(),
        data_type,
        nullable,
    };
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("plant", table),
        columns: vec![
            column(
                "id",
                DataType::Integer {
                    bits: 64,
                    unsigned: false,
                },
                false,
            ),
            column("pump", DataType::Text, true),
            column("at", DataType::DateTime(3), false),
            column("flow", DataType::Double, true),
            column("note", DataType::Text, true),
        ],
        primary_key: vec![0],
        key: vec![0],
        key_order: KeyOrder::Client,
    })
}

#[derive(Debug, Clone, PartialEq)]
struct Reading {
    id: i64,
    pump: Option<String>,
    minute: u32,
    flow: Option<f64>,
    note: Option<String>,
}

/// 2026-03-01 00:00 and so many minutes, in UTC and milliseconds.
fn time(minute: u32) -> i64 {
    1_772_323_200_000 + i64::from(minute) * 60_000
}

fn date_time(minute: u32) -> DateTime {
    DateTime {
        date: Date {
            year: 2026,
            month: 3,
            day: u8::try_from(1 + minute / 1440).unwrap(),
        },
        hour: u8::try_from(minute / 60 % 24).unwrap(),
        minute: u8::try_from(minute % 60).unwrap(),
        digits: 3,
        ..DateTime::default()
    }
}

fn push(batch: &mut Batch, schema: &Arc<TableSchema>, before: Option<&Reading>, after: Option<&Reading>) {
    let number = batch.add_schema(schema);
    let mut image = |row: &Reading| {
        let mark = batch.mark();
        batch.push_int(row.id);
        match &row.pump {
            Some(pump) => batch.push_text(pump),
            None => batch.push_null(),
        }
        batch.push_datetime(date_time(row.minute));
        match row.flow {
            Some(flow) => batch.push_double(flow),
            None => batch.push_null(),
        }
        match &row.note {
            Some(note) => batch.push_text(note),
            None => batch.push_null(),
        }
        mark
    };
    let before_mark = before.map(&mut image);
    let after_mark = after.map(&mut image);
    batch.push_row(RowHead {
        kind: match (before, after) {
            (Some(_), Some(_)) => ChangeKind::Update,
            (Some(_), None) => ChangeKind::Delete,
            _ => ChangeKind::Insert,
        },
        schema: number,
        transaction: None,
        before: before_mark,
        after: after_mark,
        timestamp_s: 0,
        offset: 0,
        last: true,
    });
}

fn options(model: &Model, name: &str) -> IotdbOptions {
    let address = headwater_servers::iotdb::shared().unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    let node = Address {
        host: host.to_owned(),
        port: port.parse().unwrap(),
    };
    let is_tree = matches!(model, Model::Tree { .. });
    let measurement = |name: &str, series_type| Measurement {
        name: name.to_owned(),
        series_type,
        field: name.to_owned(),
    };
    let mapping = Mapping {
        table: TableName::new("plant", "readings"),
        target: if is_tree { format!("root.{name}.${{pump}}") } else { "readings".to_owned() },
        device_fields: vec!["pump".to_owned()],
        attribute_fields: Vec::new(),
        timestamp_field: "at".to_owned(),
        timestamp_unit: None,
        measurements: vec![
            measurement("flow", SeriesType::Double),
            measurement("note", SeriesType::Text),
        ],
    };
    let mut options = IotdbOptions::new(vec![node], vec![mapping]);
    options.model = match model {
        Model::Tree { .. } => model.clone(),
        Model::Table { .. } => Model::Table {
            database: name.to_owned(),
        },
    };
    options.connections = 3;
    options
}

async fn clean(options: &IotdbOptions, name: &str) {
    let mut session = any_session(options, &session_options(options)).await.unwrap();
    match &options.model {
        Model::Tree { .. } => {
            let _ = session.execute(&format!("DELETE DATABASE root.{name}")).await.unwrap();
        }
        Model::Table { .. } => {
            for statement in [
                format!("DROP DATABASE IF EXISTS {name}"),
                format!("CREATE DATABASE {name}"),
                format!("USE {name}"),
                "CREATE TABLE readings (pump STRING TAG, flow DOUBLE FIELD, note TEXT FIELD)".to_owned(),
            ] {
                let status = session.execute(&statement).await.unwrap();
                assert!(status.is_success(), "{statement}: {status:?}");
            }
        }
    }
    session.close().await;
}

type Points = BTreeMap<(String, i64, &'static str), Value>;

async fn query(options: &IotdbOptions, statement: &str) -> Rows {
    let mut session = any_session(options, &session_options(options)).await.unwrap();
    if let Model::Table { database } = &options.model {
        assert!(session.execute(&format!("USE {database}")).await.unwrap().is_success());
    }
    session.query(statement).await.unwrap()
}

async fn points(options: &IotdbOptions, name: &str) -> Points {
    let mut points = Points::new();
    let mut add = |pump: &str, time: i64, values: &[Value]| {
        for (name, value) in ["flow", "note"].into_iter().zip(values) {
            if *value != Value::Null {
                points.insert((pump.to_owned(), time, name), value.clone());
            }
        }
    };
    match &options.model {
        Model::Tree { .. } => {
            let rows = query(options, &format!("SELECT flow, note FROM root.{name}.** ALIGN BY DEVICE")).await;
            for (time, row) in rows.times.iter().zip(&rows.values) {
                let device = row[0].text().unwrap();
                let pump = device.rsplit_once(".`").map_or_else(
                    || device.rsplit_once('.').unwrap().1.to_owned(),
                    |(_, rest)| rest.trim_end_matches('`').replace("``", "`"),
                );
                add(&pump, *time, &row[1..]);
            }
        }
        Model::Table { .. } => {
            let rows = query(options, "SELECT time, pump, flow, note FROM readings").await;
            for row in &rows.values {
                let Value::Int64(time) = row[0] else { panic!("no time") };
                add(&row[1].text().unwrap(), time, &row[2..]);
            }
        }
    }
    points
}

/// What the policy says should be there.
fn apply(points: &mut Points, policy: Policy, is_table: bool, before: Option<&Reading>, after: Option<&Reading>) {
    let forget = |points: &mut Points, row: &Reading, name: Option<&str>| {
        let pump = row.pump.clone().unwrap();
        points.retain(|(device, at, found), _| {
            !(*device == pump && *at == time(row.minute) && name.is_none_or(|name| name == *found))
        });
    };
    if before.is_some() && after.is_some() && policy.update == UpdatePolicy::Ignore {
        return;
    }
    match (before, after) {
        (Some(before), None) => {
            if policy.delete == DeletePolicy::Delete {
                forget(points, before, None);
            }
            return;
        }
        (Some(before), Some(after)) if (&before.pump, before.minute) != (&after.pump, after.minute) => {
            forget(points, before, None);
        }
        (Some(before), Some(after)) => {
            let gone_flow = before.flow.is_some() && after.flow.is_none();
            let gone_note = before.note.is_some() && after.note.is_none();
            if is_table && (gone_flow || gone_note) {
                forget(points, before, None);
            } else {
                if gone_flow {
                    forget(points, before, Some("flow"));
                }
                if gone_note {
                    forget(points, before, Some("note"));
                }
            }
        }
        _ => {}
    }
    let Some(after) = after else { return };
    let place = |name| (after.pump.clone().unwrap(), time(after.minute), name);
    if let Some(flow) = after.flow {
        points.insert(place("flow"), Value::Double(flow));
    }
    if let Some(note) = &after.note {
        points.insert(place("note"), Value::Bytes(note.as_bytes().into()));
    }
}

/// A random history: rows that come, change, move and go; never two at one place at once.
fn history(random: &mut StdRng, steps: usize) -> Vec<(Option<Reading>, Option<Reading>)> {
    let pumps = ["7", "north", "a.b`c d", "水泵", "x,y"];
    let mut rows: Vec<Reading> = Vec::new();
    let mut history = Vec::new();
    let mut next = 0;
    let place = |random: &mut StdRng, rows: &[Reading]| loop {
        let pump = Some(pumps[random.random_range(0..pumps.len())].to_owned());
        let minute = random.random_range(0..40);
        if !rows.iter().any(|row| (&row.pump, row.minute) == (&pump, minute)) {
            return (pump, minute);
        }
    };
    let flow = |random: &mut StdRng| {
        let value = f64::from(random.random_range(-1_000..1_000)) / 8.0;
        random.random_bool(0.8).then_some(value)
    };
    let note = |random: &mut StdRng| {
        let value = format!("n{},'\"\\é{}", random.random_range(0..99), random.random_range(0..9));
        random.random_bool(0.7).then_some(value)
    };
    while history.len() < steps {
        let what = random.random_range(0..10);
        if rows.len() < 5 || (what < 4 && rows.len() < 100) {
            next += 1;
            let (pump, minute) = place(random, &rows);
            let row = Reading {
                id: next,
                pump,
                minute,
                flow: flow(random),
                note: note(random),
            };
            rows.push(row.clone());
            history.push((None, Some(row)));
            continue;
        }
        let at = random.random_range(0..rows.len());
        let before = rows[at].clone();
        if what < 6 {
            rows.swap_remove(at);
            history.push((Some(before), None));
            continue;
        }
        let mut after = before.clone();
        after.flow = flow(random);
        after.note = note(random);
        if what > 7 {
            (after.pump, after.minute) = place(random, &rows);
        }
        rows[at] = after.clone();
        history.push((Some(before), Some(after)));
    }
    history
}

/// Writes a history in random batches; after some of them the sink is opened again, and goes on from the last durable point.
async fn replay(sink: &mut IotdbSink, random: &mut StdRng, history: &[(Option<Reading>, Option<Reading>)]) {
    let schema = schema("readings");
    let mut at = 0;
    let mut durable = 0;
    let mut rewinds = 0;
    while at < history.len() {
        let end = (at + random.random_range(1..40)).min(history.len());
        let mut batch = Batch::new();
        for (before, after) in &history[at..end] {
            push(&mut batch, &schema, before.as_ref(), after.as_ref());
        }
        at = end;
        let durability = match random.random_bool(0.2) {
            true => Durability::Durable,
            false => Durability::Accepted,
        };
        let receipt = sink.write(&batch, durability).await.unwrap();
        if matches!(receipt, Receipt::Durable(_)) {
            durable = at;
        }
        if random.random_bool(0.1) && rewinds < 5 {
            rewinds += 1;
            sink.open(None).await.unwrap();
            at = durable;
        }
    }
    let receipt = sink.write(&Batch::new(), Durability::Durable).await.unwrap();
    assert!(matches!(receipt, Receipt::Durable(_)));
}

async fn every_policy(model: Model, name: &str) {
    let updates = [UpdatePolicy::Overwrite, UpdatePolicy::Ignore];
    let deletes = [DeletePolicy::Ignore, DeletePolicy::Delete];
    let mut seed = 1;
    for update in updates {
        for delete in deletes {
            for _ in 0..2 {
                seed += 1;
                let policy = Policy { update, delete };
                let mut options = options(&model, name);
                options.policy = policy;
                options.tablet_bytes_max = if seed % 2 == 0 { 1024 } else { 1024 * 1024 };
                clean(&options, name).await;
                let mut random = StdRng::seed_from_u64(seed);
                let history = history(&mut random, 400);
                let mut sink = IotdbSink::new(options.clone()).unwrap();
                sink.open(None).await.unwrap();
                replay(&mut sink, &mut random, &history).await;
                let mut expected = Points::new();
                let is_table = matches!(model, Model::Table { .. });
                for (before, after) in &history {
                    apply(&mut expected, policy, is_table, before.as_ref(), after.as_ref());
                }
                let found = points(&options, name).await;
                let missing: Vec<_> = expected.iter().filter(|(at, value)| found.get(*at) != Some(value)).collect();
                let stale: Vec<_> = found.iter().filter(|(at, value)| expected.get(*at) != Some(value)).collect();
                assert!(
                    missing.is_empty() && stale.is_empty(),
                    "seed {seed}, {policy:?}: {} points expected; missing {:?}, stale {:?}",
                    expected.len(),
                    missing.iter().take(5).collect::<Vec<_>>(),
                    stale.iter().take(5).collect::<Vec<_>>(),
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aligned_devices_hold_what_the_policy_says() {
    every_policy(Model::Tree { is_aligned: true }, "sink_aligned").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_devices_hold_what_the_policy_says() {
    every_policy(Model::Tree { is_aligned: false }, "sink_plain").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_hold_what_the_policy_says() {
    let database = String::new();
    every_policy(Model::Table { database }, "sink_table").await;
}

fn reading(id: i64, pump: Option<&str>, minute: u32) -> Reading {
    Reading {
        id,
        pump: pump.map(str::to_owned),
        minute,
        flow: Some(1.5),
        note: Some("x".to_owned()),
    }
}

async fn write(sink: &mut IotdbSink, rows: &[Reading]) -> headwater_core::Result<Receipt> {
    let schema = schema("readings");
    let mut batch = Batch::new();
    for row in rows {
        push(&mut batch, &schema, None, Some(row));
    }
    sink.write(&batch, Durability::Durable).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_rows_go_to_the_dead_letters_and_no_others() {
    let name = "sink_letters";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let mut options = options(&Model::Tree { is_aligned: false }, name);
    options.on_error = OnError::DeadLetters(path.clone());
    clean(&options, name).await;
    // One device has a series of another type.
    let statement = format!("CREATE TIMESERIES root.{name}.odd.flow WITH DATATYPE=BOOLEAN");
    let mut session = any_session(&options, &session_options(&options)).await.unwrap();
    assert!(session.execute(&statement).await.unwrap().is_success());
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    sink.open(None).await.unwrap();
    let mut rows = vec![
        reading(1, None, 0),
        reading(2, Some(""), 0),
        reading(3, Some("good"), 0),
        reading(4, Some("odd"), 0),
        reading(5, Some("odd"), 1),
        reading(6, Some("other"), 0),
    ];
    rows.extend((10..40).map(|id| reading(id, Some("good"), u32::try_from(id).unwrap())));
    write(&mut sink, &rows).await.unwrap();
    let refused: Vec<i64> = letters(&path);
    assert_eq!(refused, [1, 2, 4, 5]);
    let counted = sink.counts().counted();
    assert_eq!((counted.rows, counted.refused), (32, 4));
    for (pump, expected) in [("good", 31), ("other", 1), ("odd", 0)] {
        let statement = format!("SELECT count(flow) FROM root.{name}.{pump}");
        let found = query(&options, &statement).await;
        assert_eq!(found.values, [[Value::Int64(expected)]], "{pump}");
    }
}

fn letters(path: &Path) -> Vec<i64> {
    let letters = dead_letters::read(path).unwrap();
    let mut keys: Vec<i64> = letters
        .iter()
        .map(|letter| {
            assert!(!letter.reason.is_empty() && !letter.data.is_empty(), "{letter:?}");
            letter.key["id"].as_i64().unwrap()
        })
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_older_than_their_time_to_live_are_found_among_the_others() {
    let name = "sink_ttl";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let mut options = options(&Model::Tree { is_aligned: true }, name);
    options.on_error = OnError::DeadLetters(path.clone());
    clean(&options, name).await;
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    sink.open(None).await.unwrap();
    write(&mut sink, &[reading(0, Some("d"), 0)]).await.unwrap();
    // Everything before minute 20 is too old: the limit lies between two rows, whenever this runs.
    let now = i64::try_from(headwater_core::clock::now_s()).unwrap() * 1_000;
    let age = now - time(20) + 30_000;
    let mut session = any_session(&options, &session_options(&options)).await.unwrap();
    let status = session.execute(&format!("SET TTL TO root.{name}.** {age}")).await.unwrap();
    assert!(status.is_success(), "{status:?}");
    let rows: Vec<Reading> = (10..40).map(|id| reading(id, Some("d"), u32::try_from(id).unwrap())).collect();
    write(&mut sink, &rows).await.unwrap();
    let refused = letters(&path);
    assert!(refused.contains(&10) && refused.contains(&18), "{refused:?}");
    assert!(!refused.contains(&39) && !refused.contains(&30), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_dead_letters_a_refused_row_ends_the_run() {
    let name = "sink_stop";
    let options = options(&Model::Tree { is_aligned: true }, name);
    clean(&options, name).await;
    let mut sink = IotdbSink::new(options).unwrap();
    sink.open(None).await.unwrap();
    let error = write(&mut sink, &[reading(7, None, 0)]).await.unwrap_err();
    assert!(!error.is_temporary() && error.to_string().contains("{\"id\":7}"), "{error}");
}
