//! Rows that go together, against the same rows one by one: the bytes that would go over the wire are the same.

use std::path::Path;
use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, Mark, RowHead};
use headwater_core::dead_letters;
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use headwater_core::value::DateTime;
use proptest::prelude::*;
use rustc_hash::FxHashMap;

use super::{date_time, options_at};
use crate::config::{
    DeletePolicy, IotdbOptions, Measurement, Model, OnError, SeriesType, TimeUnit,
};
use crate::convert::Conversion;
use crate::mapping::Plan;
use crate::sink::counts::{Counted, Counts};
use crate::sink::devices::Devices;
use crate::sink::keys;
use crate::sink::letters::Letters;
use crate::sink::pending::{Device, Pending};
use crate::sink::places::Places;
use crate::sink::rows::Rows;
use crate::sink::runs::Runs;
use crate::sink::{IotdbSink, Open};
use crate::time::Clock;

/// The measurements: their columns' types, and those of their series. Each column takes some value that its series refuses, or
/// that is not the usual one.
fn measured() -> Vec<(DataType, SeriesType)> {
    let integer = |bits| DataType::Integer {
        bits,
        unsigned: false,
    };
    vec![
        (integer(64), SeriesType::Int64),
        (integer(64), SeriesType::Int32),
        (integer(8), SeriesType::Boolean),
        (DataType::Float, SeriesType::Float),
        (DataType::Double, SeriesType::Double),
        (DataType::Double, SeriesType::Text),
        (DataType::Text, SeriesType::Text),
        (DataType::Text, SeriesType::Blob),
        (DataType::Date, SeriesType::Date),
        (DataType::DateTime(3), SeriesType::Timestamp),
    ]
}

fn schema() -> Arc<TableSchema> {
    let column = |name: String, data_type| Column {
        name: name.into(),
        data_type,
        nullable: true,
    };
    let integer = DataType::Integer {
        bits: 32,
        unsigned: false,
    };
    let mut columns = vec![
        column("id".to_owned(), integer.clone()),
        column("name".to_owned(), DataType::Text),
        column("a".to_owned(), integer.clone()),
        column("b".to_owned(), integer),
        column("at".to_owned(), DataType::DateTime(3)),
    ];
    let measured = measured().into_iter().enumerate();
    columns.extend(measured.map(|(at, (data_type, _))| column(format!("m{at}"), data_type)));
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("plant", "readings"),
        columns,
        primary_key: vec![0, 1],
        key: vec![0, 1],
        key_order: KeyOrder::Client,
    })
}

#[derive(Debug, Clone)]
struct Given {
    kind: ChangeKind,
    device: (Option<i64>, i64),
    minute: Option<u32>,
    /// For each measurement a value, or none.
    values: Vec<Option<i64>>,
}

/// Rows of which few are refused, and that are mostly new: as they stand in batches, so that there are runs.
fn given() -> impl Strategy<Value = Vec<Given>> {
    // 77 is refused by BOOLEAN, and beyond by INT32; a date with month 0 is refused by DATE.
    let value = prop_oneof![20 => (0i64..2).prop_map(Some), 8 => Just(None), 1 => Just(Some(77))];
    let usual = prop::collection::vec(value, measured().len());
    let values = prop_oneof![
        12 => usual,
        1 => Just(vec![None; measured().len()]),
        8 => prop::collection::vec((0i64..2).prop_map(Some), measured().len()),
    ];
    // (1, 11) and (11, 1) are one device, by two pairs of values.
    let device = (
        prop::sample::select(vec![1i64, 11, 2]),
        prop::sample::select(vec![1i64, 11]),
        prop::bool::weighted(0.01),
    );
    let row = (
        prop::bool::weighted(0.03),
        device,
        prop::option::weighted(0.99, 0u32..40),
        values,
    );
    let row = row.prop_map(|(is_delete, (a, b, is_null), minute, values)| Given {
        kind: if is_delete {
            ChangeKind::Delete
        } else {
            ChangeKind::Bootstrap
        },
        device: ((!is_null).then_some(a), b),
        minute,
        values,
    });
    prop::collection::vec(row, 1..250)
}

fn cells(batch: &mut Batch, id: usize, given: &Given) -> Mark {
    let mark = batch.mark();
    batch.push_int(i64::try_from(id).unwrap());
    batch.push_text(&format!("n\"{id}"));
    match given.device.0 {
        Some(a) => batch.push_int(a),
        None => batch.push_null(),
    }
    batch.push_int(given.device.1);
    match given.minute {
        Some(minute) => batch.push_datetime(date_time(minute)),
        None => batch.push_null(),
    }
    for ((data_type, series_type), value) in measured().iter().zip(&given.values) {
        let Some(value) = *value else {
            batch.push_null();
            continue;
        };
        let odd = value == 77;
        #[allow(clippy::cast_precision_loss, reason = "small")]
        match (data_type, series_type) {
            (DataType::Integer { .. }, SeriesType::Int32) if odd => batch.push_int(i64::MAX),
            (DataType::Integer { .. }, SeriesType::Int64) if odd => batch.push_uint(77),
            (DataType::Integer { .. }, _) => batch.push_int(value),
            (DataType::Float, _) if odd => batch.push_decimal("1.5"),
            (DataType::Float, _) => batch.push_float(value as f32 / 3.0),
            (DataType::Double, _) if odd => batch.push_float(0.1),
            (DataType::Double, _) => batch.push_double(value as f64 / 3.0),
            (DataType::Text, _) if odd => batch.push_json("{\"é\":1}"),
            (DataType::Text, _) => batch.push_text(&"東x".repeat(usize::try_from(value).unwrap())),
            (DataType::Date, _) => {
                let mut date = date_time(5).date;
                date.month = if odd { 0 } else { 3 };
                batch.push_date(date);
            }
            _ if odd => batch.push_datetime(DateTime {
                micros: 1,
                ..date_time(7)
            }),
            _ => batch.push_datetime(date_time(7)),
        }
    }
    mark
}

fn batches(rows: &[Given], size: usize) -> Vec<Batch> {
    let schema = schema();
    let mut all = Vec::new();
    for (number, rows) in rows.chunks(size).enumerate() {
        let mut batch = Batch::new();
        for (at, row) in rows.iter().enumerate() {
            let schema = batch.add_schema(&schema);
            let mark = cells(&mut batch, number * size + at, row);
            let is_delete = row.kind == ChangeKind::Delete;
            batch.push_row(RowHead {
                kind: row.kind,
                schema,
                transaction: None,
                before: is_delete.then_some(mark),
                after: (!is_delete).then_some(mark),
                timestamp_s: 0,
                offset: 0,
                last: true,
            });
        }
        all.push(batch);
    }
    all
}

fn options(letters: &Path) -> IotdbOptions {
    let model = Model::Tree { is_aligned: false };
    let mut options = options_at("127.0.0.1:1", &model, "runs");
    options.on_error = OnError::DeadLetters(letters.to_owned());
    options.policy.delete = DeletePolicy::Delete;
    let mapping = &mut options.mappings[0];
    mapping.table = TableName::new("plant", "readings");
    mapping.target = "root.runs.d_${a}${b}".to_owned();
    mapping.timestamp_field = "at".to_owned();
    let measured = measured().into_iter().enumerate();
    mapping.measurements = measured
        .map(|(at, (_, series_type))| Measurement {
            name: format!("m{at}"),
            series_type,
            field: format!("m{at}"),
        })
        .collect();
    options
}

/// A tablet as it goes out, and the keys of its rows.
type Bytes = (String, Vec<u8>, Vec<u8>, Vec<String>);

/// What rows have come to.
#[derive(Debug, PartialEq)]
struct Outcome {
    lanes: Vec<(Vec<Bytes>, usize, usize)>,
    counted: Counted,
    nulls: u64,
    letters: Vec<String>,
}

/// What a lane would send: its tablets, the number of its deletes, and the bytes that it counts.
fn sent(pending: &mut Pending, plan: &Plan) -> (Vec<Bytes>, usize, usize) {
    let load = pending.take();
    let tablets = load.slots.into_iter().map(|mut slot| {
        slot.tablet.finish();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        slot.tablet.write_times(&mut times);
        slot.tablet.write_values(&mut values);
        let key = |row| format!("{:?}", keys::read(plan, slot.tablet.key(row)));
        let keys = (0..slot.tablet.len()).map(key).collect();
        (slot.tablet.target.to_string(), times, values, keys)
    });
    // One whose every row was refused goes out with nothing; which of them came first is nobody's business.
    let mut tablets: Vec<Bytes> = tablets
        .filter(|(_, times, _, _)| !times.is_empty())
        .collect();
    tablets.sort_unstable();
    (tablets, load.deletes.len(), load.size_bytes)
}

fn outcome(batches: &[Batch], is_together: bool) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let options = options(&path);
    let open = Open {
        lanes: Vec::new(),
        letters: Arc::new(Letters::open("iotdb:test".to_owned(), &options.on_error).unwrap()),
        conversion: Conversion {
            clock: Clock::new(&options.time, TimeUnit::Millisecond).unwrap(),
            zero_is_null: false,
        },
    };
    let counts = Counts::default();
    let mut gathered: Vec<Pending> = (0..2).map(|_| Pending::default()).collect();
    let mut plans = FxHashMap::default();
    let mut rows = Rows {
        options: &options,
        counts: &counts,
        open: &open,
        gathered: &mut gathered,
        devices: &mut Devices::default(),
        device: &mut Device::default(),
        key: &mut Vec::new(),
        places: &mut Places::default(),
        runs: &mut Runs::default(),
        nulls: 0,
    };
    for batch in batches {
        if is_together {
            rows.apply(batch, &mut plans).unwrap();
            continue;
        }
        for row in batch.rows() {
            let plan = IotdbSink::plan(&mut plans, &options, &open.conversion, row.schema());
            rows.one(&row, &plan.unwrap().unwrap()).unwrap();
        }
    }
    let nulls = rows.nulls;
    let plan = plans.values().flatten().next().cloned();
    let plan = plan.as_deref().unwrap();
    let lanes = gathered.iter_mut().map(|pending| sent(pending, plan));
    let lanes = lanes.collect();
    open.letters.sync().unwrap();
    let letters = dead_letters::read(&path).unwrap();
    let mut letters: Vec<String> = letters
        .iter()
        .map(|letter| format!("{:?} {} {:?}", letter.key, letter.reason, letter.data))
        .collect();
    // Of rows that go together, those of each device are refused in their order.
    letters.sort_unstable();
    Outcome {
        lanes,
        counted: counts.counted(),
        nulls,
        letters,
    }
}

proptest! {
    #[test]
    fn rows_that_go_together_are_what_they_are_one_by_one(rows in given(), size in 1usize..250) {
        let batches = batches(&rows, size);
        prop_assert_eq!(outcome(&batches, true), outcome(&batches, false));
    }
}
