//! Records that serde reads from rows.

use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, Row, RowHead};
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use headwater_core::value::{Date, DateTime, Time};
use headwater_fold::jiff::{Timestamp, civil};
use headwater_fold::monoid::Decimal;
use headwater_fold::pipeline::record;
use serde::Deserialize;

fn schema() -> Arc<TableSchema> {
    let labels: Arc<[Arc<str>]> = Arc::new(["new".into(), "paid".into()]);
    let columns = [
        ("id", DataType::Bit),
        (
            "amount",
            DataType::Decimal {
                precision: 10,
                scale: 2,
            },
        ),
        ("ratio", DataType::Double),
        ("name", DataType::Text),
        ("status", DataType::Enum(labels)),
        ("raw", DataType::Bytes),
        ("day", DataType::Date),
        ("span", DataType::Time(0)),
        ("local", DataType::DateTime(3)),
        ("at", DataType::Timestamp(0)),
        ("extra", DataType::Json),
        ("nothing", DataType::Text),
        (
            "is_open",
            DataType::Integer {
                bits: 8,
                unsigned: false,
            },
        ),
    ];
    let columns = columns.map(|(name, data_type)| Column {
        name: name.into(),
        data_type,
        nullable: true,
    });
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("shop", "orders"),
        columns: columns.into(),
        primary_key: vec![0],
        key: vec![0],
        key_order: KeyOrder::Client,
    })
}

fn with_row(test: impl FnOnce(&Row<'_>)) {
    let mut batch = Batch::new();
    let schema = batch.add_schema(&schema());
    let date = Date {
        year: 2026,
        month: 11,
        day: 21,
    };
    let time = DateTime {
        date,
        hour: 12,
        minute: 30,
        second: 1,
        micros: 500_000,
        digits: 3,
    };
    let after = batch.mark();
    batch.push_uint(u64::MAX);
    batch.push_decimal("-12.50");
    batch.push_double(0.25);
    batch.push_text("Ünal");
    batch.push_label(4, 2);
    batch.push_bytes(&[0, 255]);
    batch.push_date(date);
    batch.push_time(Time {
        negative: true,
        hours: 30,
        ..Time::default()
    });
    batch.push_datetime(time);
    batch.push_timestamp(DateTime {
        micros: 0,
        digits: 0,
        ..time
    });
    batch.push_json(r#"{"tags":["a","b"],"deep":{"n":1}}"#);
    batch.push_null();
    batch.push_int(1);
    batch.push_row(RowHead {
        kind: ChangeKind::Bootstrap,
        schema,
        transaction: None,
        before: None,
        after: Some(after),
        timestamp_s: 0,
        offset: 0,
        last: false,
    });
    test(&batch.row(0).unwrap());
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    New,
    Paid,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Extra {
    tags: Vec<String>,
    deep: serde_json::Value,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Order {
    id: u64,
    amount: Decimal,
    ratio: f64,
    name: String,
    status: Status,
    raw: Vec<u8>,
    day: civil::Date,
    span: String,
    local: civil::DateTime,
    at: Timestamp,
    extra: Extra,
    nothing: Option<String>,
    is_open: bool,
    #[serde(default)]
    added_later: u32,
}

#[test]
fn every_kind_of_column_is_read() {
    with_row(|row| {
        let order: Order = record(&row.after().unwrap()).unwrap();
        let expected = Order {
            id: u64::MAX,
            amount: Decimal::parse("-12.5").unwrap(),
            ratio: 0.25,
            name: "Ünal".to_owned(),
            status: Status::Paid,
            raw: vec![0, 255],
            day: civil::date(2026, 11, 21),
            span: "-30:00:00".to_owned(),
            local: civil::date(2026, 11, 21).at(12, 30, 1, 500_000_000),
            at: "2026-11-21T12:30:01Z".parse().unwrap(),
            extra: Extra {
                tags: vec!["a".to_owned(), "b".to_owned()],
                deep: serde_json::json!({ "n": 1 }),
            },
            nothing: None,
            is_open: true,
            added_later: 0,
        };
        assert_eq!(order, expected);
    });
}

#[test]
fn other_types_of_the_same_columns_are_read_too() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Other {
        amount: f64,
        status: String,
        extra: String,
        is_open: i8,
        name: Option<String>,
    }
    with_row(|row| {
        let other: Other = record(&row.after().unwrap()).unwrap();
        let expected = Other {
            amount: -12.5,
            status: "paid".to_owned(),
            extra: r#"{"tags":["a","b"],"deep":{"n":1}}"#.to_owned(),
            is_open: 1,
            name: Some("Ünal".to_owned()),
        };
        assert_eq!(other, expected);
    });
}

#[test]
fn what_does_not_fit_says_which_column_and_why() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only whether it can be read is of interest")]
    struct Wrong<T> {
        id: T,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only whether it can be read is of interest")]
    struct Missing {
        price: u64,
    }
    with_row(|row| {
        let image = row.after().unwrap();
        let text = record::<Wrong<String>>(&image).unwrap_err().to_string();
        assert!(
            text.contains("column id") && text.contains("expected a string"),
            "{text}"
        );
        let small = record::<Wrong<i32>>(&image).unwrap_err().to_string();
        assert!(small.contains("column id"), "{small}");
        let missing = record::<Missing>(&image).unwrap_err().to_string();
        assert!(missing.contains("missing field `price`"), "{missing}");
    });
}
