//! The sink with a real IoTDB: random rows under each policy and in each model, rows that are refused, and servers that go.

mod checks;
mod clusters;
mod delays;
mod devices;
mod duplicates;
mod nodes;
mod outages;
mod policies;
mod refusals;
mod runs;

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead};
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use headwater_core::sink::{Durability, Receipt, Sink};
use headwater_core::value::{Date, DateTime};
use rand::Rng;
use rand::rngs::StdRng;

use super::{IotdbSink, any_session};
use crate::client::{Rows, Value};
use crate::config::{
    Address, DeletePolicy, Duplicates, IotdbOptions, Mapping, Measurement, Model, Policy,
    SeriesType, TimeUnit, UpdatePolicy,
};
use crate::convert::Conversion;
use crate::mapping::Plan;
use crate::time::Clock;

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

fn push(
    batch: &mut Batch,
    schema: &Arc<TableSchema>,
    before: Option<&Reading>,
    after: Option<&Reading>,
) {
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
    options_at(&headwater_servers::iotdb::shared().unwrap(), model, name)
}

fn options_at(address: &str, model: &Model, name: &str) -> IotdbOptions {
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
        duplicates: Duplicates::Refuse,
        table: TableName::new("plant", "readings"),
        target: if is_tree {
            format!("root.{name}.${{pump}}")
        } else {
            "readings".to_owned()
        },
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

/// What the rows of [`schema`] come to.
pub(super) fn plan() -> Arc<Plan> {
    let options = options_at("127.0.0.1:1", &Model::Tree { is_aligned: true }, "plan");
    let conversion = Conversion {
        clock: Clock::new(&options.time, TimeUnit::Millisecond).unwrap(),
        zero_is_null: false,
    };
    let mapping = (0, &options.mappings[0]);
    Arc::new(Plan::new(mapping, &schema("readings"), &options.model, &conversion).unwrap())
}

async fn clean(options: &IotdbOptions, name: &str) {
    let mut session = any_session(options).await.unwrap();
    match &options.model {
        Model::Tree { .. } => {
            let _ = session
                .execute(&format!("DELETE DATABASE root.{name}"))
                .await
                .unwrap();
        }
        Model::Table { .. } => {
            for statement in [
                format!("DROP DATABASE IF EXISTS {name}"),
                format!("CREATE DATABASE {name}"),
                format!("USE {name}"),
                "CREATE TABLE readings (pump STRING TAG, flow DOUBLE FIELD, note TEXT FIELD)"
                    .to_owned(),
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
    super::query(options, statement).await.unwrap()
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
            let rows = query(
                options,
                &format!("SELECT flow, note FROM root.{name}.** ALIGN BY DEVICE"),
            )
            .await;
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
                let Value::Int64(time) = row[0] else {
                    panic!("no time")
                };
                add(&row[1].text().unwrap(), time, &row[2..]);
            }
        }
    }
    points
}

/// What the policy says should be there.
fn apply(
    points: &mut Points,
    policy: Policy,
    is_table: bool,
    before: Option<&Reading>,
    after: Option<&Reading>,
) {
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
        (Some(before), Some(after))
            if (&before.pump, before.minute) != (&after.pump, after.minute) =>
        {
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
        if !rows
            .iter()
            .any(|row| (&row.pump, row.minute) == (&pump, minute))
        {
            return (pump, minute);
        }
    };
    let flow = |random: &mut StdRng| {
        let value = f64::from(random.random_range(-1_000..1_000)) / 8.0;
        random.random_bool(0.8).then_some(value)
    };
    let note = |random: &mut StdRng| {
        let value = format!(
            "n{},'\"\\é{}",
            random.random_range(0..99),
            random.random_range(0..9)
        );
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

/// Opens a sink; a server that is away is waited for, as the engine does.
async fn open(sink: &mut IotdbSink) {
    while let Err(error) = sink.open(None).await {
        assert!(error.is_temporary(), "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Writes a history in random batches; after some of them the sink is opened again, and goes on from the last durable point.
async fn replay(
    sink: &mut IotdbSink,
    random: &mut StdRng,
    history: &[(Option<Reading>, Option<Reading>)],
) {
    let steps = replay_until(sink, random, history, || false).await;
    assert_eq!(steps, history.len());
}

/// The same, to its end or until it is enough; says how much of it was written.
async fn replay_until(
    sink: &mut IotdbSink,
    random: &mut StdRng,
    history: &[(Option<Reading>, Option<Reading>)],
    is_enough: impl Fn() -> bool,
) -> usize {
    let schema = schema("readings");
    let mut at = 0;
    let mut durable = 0;
    let mut rewinds = 0;
    let mut reached = 0;
    // What was written once has to be written again after a rewind, so the end is a durable one.
    while at < history.len() && !(is_enough() && at >= reached) || durable < at {
        let end = (at + random.random_range(1..40)).min(history.len());
        let mut batch = Batch::new();
        for (before, after) in &history[at..end] {
            push(&mut batch, &schema, before.as_ref(), after.as_ref());
        }
        at = end;
        reached = reached.max(at);
        let is_end = at == history.len();
        let durability = match is_end || random.random_bool(0.2) {
            true => Durability::Durable,
            false => Durability::Accepted,
        };
        match sink.write(&batch, durability).await {
            Ok(Receipt::Durable(_)) => durable = at,
            Ok(Receipt::Accepted) => {}
            Err(error) if error.is_temporary() => {
                open(sink).await;
                at = durable;
            }
            Err(error) => panic!("{error}"),
        }
        if random.random_bool(0.1) && rewinds < 5 {
            rewinds += 1;
            open(sink).await;
            at = durable;
        }
    }
    at
}

/// What the policy says should be there after all of a history.
fn expected(
    history: &[(Option<Reading>, Option<Reading>)],
    policy: Policy,
    model: &Model,
) -> Points {
    let is_table = matches!(model, Model::Table { .. });
    let mut points = Points::new();
    for (before, after) in history {
        apply(
            &mut points,
            policy,
            is_table,
            before.as_ref(),
            after.as_ref(),
        );
    }
    points
}

fn compare(found: &Points, expected: &Points, what: &str) {
    let differ = |from: &Points, to: &Points| -> Vec<String> {
        let others = from.iter().filter(|(at, value)| to.get(*at) != Some(value));
        others.map(|other| format!("{other:?}")).take(5).collect()
    };
    let (missing, stale) = (differ(expected, found), differ(found, expected));
    assert!(
        missing.is_empty() && stale.is_empty(),
        "{what}: {} points expected; missing {missing:?}, stale {stale:?}",
        expected.len()
    );
}
