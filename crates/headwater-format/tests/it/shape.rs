use headwater_core::batch::{Batch, ChangeKind, RowHead};
use headwater_core::schema::DataType;
use headwater_core::value::{Date, DateTime, Time};
use headwater_format::maxwell::{Options, key};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{lines, schema, transaction};

/// A cell of any kind, as something that can be printed when a case fails.
#[derive(Debug, Clone)]
enum Any {
    Absent,
    Null,
    Int(i64),
    UInt(u64),
    Float(f32),
    Double(f64),
    Decimal(i64, u8),
    Text(String),
    Bytes(Vec<u8>),
    Date(u16, u8, u8),
    Time(bool, u16, u32),
    DateTime(u16, u32),
    Json(Vec<i32>),
    Set(Vec<String>),
    Geometry(Vec<u8>),
    Vector(Vec<u8>),
}

fn any_cell() -> impl Strategy<Value = Any> {
    prop_oneof![
        Just(Any::Absent),
        Just(Any::Null),
        any::<i64>().prop_map(Any::Int),
        any::<u64>().prop_map(Any::UInt),
        any::<u32>().prop_map(|bits| Any::Float(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Any::Double(f64::from_bits(bits))),
        (any::<i64>(), 0..9u8).prop_map(|(digits, scale)| Any::Decimal(digits, scale)),
        any::<String>().prop_map(Any::Text),
        any::<Vec<u8>>().prop_map(Any::Bytes),
        (0..=9999u16, 0..=12u8, 0..=31u8).prop_map(|(y, m, d)| Any::Date(y, m, d)),
        (any::<bool>(), 0..=838u16, 0..1_000_000u32).prop_map(|(n, h, f)| Any::Time(n, h, f)),
        (0..=9999u16, 0..1_000_000u32).prop_map(|(y, f)| Any::DateTime(y, f)),
        any::<Vec<i32>>().prop_map(Any::Json),
        prop::collection::vec("[^,]{1,5}", 0..4).prop_map(Any::Set),
        any::<Vec<u8>>().prop_map(Any::Geometry),
        any::<Vec<u8>>().prop_map(Any::Vector),
    ]
}

fn push(batch: &mut Batch, cell: &Any) {
    match cell {
        Any::Absent => batch.push_absent(),
        Any::Null => batch.push_null(),
        Any::Int(value) => batch.push_int(*value),
        Any::UInt(value) => batch.push_uint(*value),
        Any::Float(value) => batch.push_float(*value),
        Any::Double(value) => batch.push_double(*value),
        Any::Decimal(value, 0) => batch.push_decimal(&value.to_string()),
        Any::Decimal(value, scale) => {
            let fraction = format!("{:0>width$}", scale, width = usize::from(*scale));
            batch.push_decimal(&format!("{value}.{fraction}"));
        }
        Any::Text(text) => batch.push_text(text),
        Any::Bytes(bytes) => batch.push_bytes(bytes),
        Any::Date(year, month, day) => {
            batch.push_date(Date {
                year: *year,
                month: *month,
                day: *day,
            });
        }
        Any::Time(negative, hours, micros) => batch.push_time(Time {
            negative: *negative,
            hours: *hours,
            micros: *micros,
            digits: 6,
            ..Time::default()
        }),
        Any::DateTime(year, micros) => batch.push_datetime(DateTime {
            date: Date {
                year: *year,
                month: 1,
                day: 2,
            },
            micros: *micros,
            digits: 4,
            ..DateTime::default()
        }),
        Any::Json(numbers) => batch.push_json(&serde_json::to_string(numbers).expect("JSON")),
        Any::Set(labels) => batch.push_set(&labels.join(",")),
        Any::Geometry(bytes) => batch.push_geometry(bytes),
        Any::Vector(bytes) => batch.push_vector(bytes),
    }
}

const ORDER: [&str; 13] = [
    "database",
    "table",
    "query",
    "type",
    "ts",
    "xid",
    "xoffset",
    "commit",
    "gtid",
    "server_id",
    "thread_id",
    "primary_key",
    "primary_key_columns",
];

fn kind() -> impl Strategy<Value = ChangeKind> {
    prop::sample::select(vec![
        ChangeKind::Insert,
        ChangeKind::Update,
        ChangeKind::Delete,
        ChangeKind::Bootstrap,
    ])
}

fn options() -> impl Strategy<Value = Options> {
    any::<[bool; 10]>().prop_map(|on| Options {
        output_commit_info: on[0],
        output_xoffset: on[1],
        output_nulls: on[2],
        output_row_query: on[3],
        output_server_id: on[4],
        output_thread_id: on[5],
        output_gtid_position: on[6],
        output_primary_keys: on[7],
        output_primary_key_columns: on[8],
        output_null_zerodates: on[9],
        ..Options::default()
    })
}

proptest! {
    #[test]
    fn every_row_is_one_line_of_json_with_its_fields_in_order(
        cells in prop::collection::vec((any_cell(), any_cell(), "\\PC{0,12}"), 1..6),
        kind in kind(), options in options(), last: bool,
    ) {
        let columns: Vec<_> = cells.iter().enumerate()
            .map(|(index, (.., name))| (format!("{index}{name}"), DataType::Text)).collect();
        let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), kind.clone())).collect();
        let table = schema(&columns, &[0]);
        let mut batch = Batch::new();
        let number = batch.add_schema(&table);
        let transaction = Some(batch.add_transaction(transaction()));
        let before = batch.mark();
        cells.iter().for_each(|(cell, ..)| push(&mut batch, cell));
        let after = batch.mark();
        cells.iter().for_each(|(_, cell, _)| push(&mut batch, cell));
        batch.push_row(RowHead {
            kind,
            schema: number,
            transaction,
            before: matches!(kind, ChangeKind::Update | ChangeKind::Delete).then_some(before),
            after: (kind != ChangeKind::Delete).then_some(after),
            timestamp_s: 1,
            offset: 2,
            last,
        });
        let line = lines(&options, &batch);
        let line = line.strip_suffix('\n').expect("a line");
        prop_assert!(!line.contains('\n'));
        let event: Value = serde_json::from_str(line).expect(line);
        let mut order = ORDER.iter().chain(&["data", "old"]);
        for field in event.as_object().expect("an object").keys() {
            prop_assert!(order.any(|known| known == field), "{field} in {line}");
        }
        for object in [&event["data"], &event["old"]] {
            let mut names = columns.iter();
            for member in object.as_object().into_iter().flat_map(serde_json::Map::keys) {
                prop_assert!(names.any(|(name, _)| name == member), "{member} in {line}");
            }
        }
        prop_assert!(kind == ChangeKind::Update || event.get("old").is_none());

        let row = batch.row(0).expect("a row");
        for push in [key::push_hash, key::push_array] {
            let mut out = Vec::new();
            push(&mut out, row, || 0);
            prop_assert!(serde_json::from_slice::<Value>(&out).is_ok());
        }
    }
}
