use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead, Transaction};
use headwater_core::schema::{DataType, TableName, TableSchema};
use headwater_core::value::{Date, DateTime};
use headwater_format::maxwell::{BootstrapEvents, Counts, Encoder, Options, key};

use crate::support::{lines, one, schema, small, transaction};

/// The table of the samples that were taken from Maxwell itself.
fn orders() -> Arc<TableSchema> {
    let integer = |bits| DataType::Integer {
        bits,
        unsigned: false,
    };
    let labels = ["new", "paid", "packed", "shipped", "returned"].map(Into::into);
    let mut orders = (*schema(
        &[
            ("id", integer(64)),
            ("customer_id", integer(32)),
            ("status", DataType::Enum(Arc::from(labels))),
            (
                "amount",
                DataType::Decimal {
                    precision: 12,
                    scale: 2,
                },
            ),
            ("note", DataType::Text),
            ("created_at", DataType::DateTime(3)),
            ("flags", DataType::Bit),
            ("ratio", DataType::Double),
        ],
        &[0],
    ))
    .clone();
    orders.name = TableName::new("bench", "orders");
    Arc::new(orders)
}

fn order(batch: &mut Batch, status: u32, amount: &str, ratio: f64) {
    batch.push_int(9_000_001);
    batch.push_int(42);
    batch.push_label(2, status);
    batch.push_decimal(amount);
    batch.push_text("naïve \"q\" \\ 東京 / <a>");
    let date = Date {
        year: 2024,
        month: 2,
        day: 29,
    };
    let (micros, digits) = (100_000, 3);
    batch.push_datetime(DateTime {
        date,
        hour: 12,
        minute: 30,
        second: 0,
        micros,
        digits,
    });
    batch.push_uint(129);
    batch.push_double(ratio);
}

fn sample(kind: ChangeKind, timestamp_s: u32, xid: Option<u64>) -> Batch {
    let paid = |batch: &mut Batch| order(batch, 2, "12.50", 1e20);
    let shipped = |batch: &mut Batch| order(batch, 4, "13.00", 0.1);
    let mut batch = Batch::new();
    let schema = batch.add_schema(&orders());
    let transaction = xid.map(|xid| {
        batch.add_transaction(Transaction {
            xid: Some(xid),
            ..Transaction::default()
        })
    });
    let first = batch.mark();
    match kind {
        ChangeKind::Insert | ChangeKind::Update => paid(&mut batch),
        _ => shipped(&mut batch),
    }
    let second = batch.mark();
    if kind == ChangeKind::Update {
        shipped(&mut batch);
    }
    let (before, after) = match kind {
        ChangeKind::Update => (Some(first), Some(second)),
        ChangeKind::Delete => (Some(first), None),
        _ => (None, Some(first)),
    };
    let last = transaction.is_some();
    batch.push_row(RowHead {
        kind,
        schema,
        transaction,
        before,
        after,
        timestamp_s,
        offset: 0,
        last,
    });
    batch
}

#[test]
fn the_samples_taken_from_maxwell_are_met_byte_for_byte() {
    let options = Options {
        bootstrap_events: BootstrapEvents::Maxwell,
        ..Options::default()
    };
    let line = |kind, ts, xid| lines(&options, &sample(kind, ts, xid));
    let samples = include_str!("baseline.jsonl")
        .split_inclusive('\n')
        .collect::<Vec<_>>();
    assert_eq!(
        line(ChangeKind::Insert, 1_795_232_784, Some(7_783_091)),
        samples[0]
    );
    assert_eq!(
        line(ChangeKind::Update, 1_795_232_784, Some(7_783_093)),
        samples[1]
    );
    assert_eq!(line(ChangeKind::Bootstrap, 1_795_232_785, None), samples[2]);
    assert_eq!(
        line(ChangeKind::Delete, 1_795_232_788, Some(7_783_122)),
        samples[3]
    );
}

#[test]
fn a_snapshot_row_says_bootstrap_unless_maxwells_types_are_asked_for() {
    let fill = |batch: &mut Batch| {
        batch.push_int(1);
        batch.push_null();
    };
    let batch = one(&small(), ChangeKind::Bootstrap, None, None, Some(&fill));
    let head = r#"{"database":"shop","table":"orders","type":"#;
    let rest = r#","ts":1700000000,"data":{"id":1,"note":null}}"#;
    assert_eq!(
        lines(&Options::default(), &batch),
        format!("{head}\"bootstrap\"{rest}\n")
    );
    let options = Options {
        bootstrap_events: BootstrapEvents::Maxwell,
        ..Options::default()
    };
    assert_eq!(
        lines(&options, &batch),
        format!("{head}\"bootstrap-insert\"{rest}\n")
    );
}

#[test]
fn a_bootstraps_start_and_end_are_events_in_maxwells_mode_only() {
    let start = one(&small(), ChangeKind::BootstrapStart, None, None, None);
    let complete = one(&small(), ChangeKind::BootstrapComplete, None, None, None);
    assert_eq!(lines(&Options::default(), &start), "");
    assert_eq!(lines(&Options::default(), &complete), "");
    let options = Options {
        bootstrap_events: BootstrapEvents::Maxwell,
        output_primary_keys: true,
        output_primary_key_columns: true,
        output_gtid_position: true,
        output_server_id: true,
        ..Options::default()
    };
    assert_eq!(
        lines(&options, &start),
        concat!(
            r#"{"database":"shop","table":"orders","type":"bootstrap-start","ts":1700000000,"#,
            r#""primary_key":[null],"primary_key_columns":["id"],"data":{}}"#,
            "\n"
        )
    );
    assert_eq!(
        lines(&options, &complete),
        concat!(
            r#"{"database":"shop","table":"orders","type":"bootstrap-complete","ts":1700000000,"#,
            r#""primary_key":[],"primary_key_columns":[],"data":{}}"#,
            "\n"
        )
    );
}

#[test]
fn truncate_and_ddl_have_no_event() {
    for kind in [ChangeKind::Truncate, ChangeKind::Ddl] {
        let batch = one(&small(), kind, Some(transaction()), None, None);
        let mut out = b"before".to_vec();
        let counts = Encoder::new(Options::default()).encode_batch(&batch, &mut out);
        assert_eq!(
            counts,
            Counts {
                events: 0,
                skipped: 1
            }
        );
        assert_eq!(out, b"before");
    }
}

#[test]
fn all_optional_fields_stand_in_maxwells_order() {
    let fill = |batch: &mut Batch| {
        batch.push_int(1);
        batch.push_text("x");
    };
    let batch = one(
        &small(),
        ChangeKind::Insert,
        Some(transaction()),
        None,
        Some(&fill),
    );
    let options = Options {
        output_row_query: true,
        output_server_id: true,
        output_thread_id: true,
        output_gtid_position: true,
        output_primary_keys: true,
        output_primary_key_columns: true,
        ..Options::default()
    };
    assert_eq!(
        lines(&options, &batch),
        concat!(
            r#"{"database":"shop","table":"orders","query":"insert into \"orders\"","type":"insert","#,
            r#""ts":1700000000,"xid":812,"commit":true,"gtid":"0-1-7","server_id":4321,"thread_id":9,"#,
            r#""primary_key":[1],"primary_key_columns":["id"],"data":{"id":1,"note":"x"}}"#,
            "\n"
        )
    );
    let unknown = one(
        &small(),
        ChangeKind::Insert,
        Some(Transaction {
            server_id: 5,
            ..Transaction::default()
        }),
        None,
        Some(&fill),
    );
    assert_eq!(
        lines(&options, &unknown),
        concat!(
            r#"{"database":"shop","table":"orders","type":"insert","#,
            r#""ts":1700000000,"commit":true,"gtid":null,"server_id":5,"#,
            r#""primary_key":[1],"primary_key_columns":["id"],"data":{"id":1,"note":"x"}}"#,
            "\n"
        )
    );
}

#[test]
fn xoffset_is_on_every_row_but_the_one_with_commit() {
    let mut batch = Batch::new();
    let schema = batch.add_schema(&small());
    let transaction = Some(batch.add_transaction(transaction()));
    for offset in 0..3 {
        let after = Some(batch.mark());
        batch.push_int(1);
        batch.push_null();
        batch.push_row(RowHead {
            kind: ChangeKind::Insert,
            schema,
            transaction,
            before: None,
            after,
            timestamp_s: 5,
            offset,
            last: offset == 2,
        });
    }
    let fields = |options: &Options| -> Vec<String> {
        let text = lines(options, &batch);
        let middle = |line: &str| {
            let (_, rest) = line.split_once("\"ts\":5")?;
            Some(rest.split_once(",\"data\"")?.0.to_owned())
        };
        text.lines().filter_map(middle).collect()
    };
    assert_eq!(
        fields(&Options::default()),
        [
            ",\"xid\":812,\"xoffset\":0",
            ",\"xid\":812,\"xoffset\":1",
            ",\"xid\":812,\"commit\":true"
        ]
    );
    let without = Options {
        output_xoffset: false,
        ..Options::default()
    };
    assert_eq!(
        fields(&without),
        [
            ",\"xid\":812",
            ",\"xid\":812",
            ",\"xid\":812,\"commit\":true"
        ]
    );
    let neither = Options {
        output_commit_info: false,
        ..Options::default()
    };
    assert_eq!(fields(&neither), ["", "", ""]);
}

/// `data` and `old` of a line.
fn images(line: &str) -> String {
    let rest = line.split_once("\"data\":").map_or("", |(_, rest)| rest);
    format!("\"data\":{}", rest.trim_end())
}

/// `data` and `old` of an update of `small`.
fn update(options: &Options, before: &dyn Fn(&mut Batch), after: &dyn Fn(&mut Batch)) -> String {
    let batch = one(
        &small(),
        ChangeKind::Update,
        None,
        Some(before),
        Some(after),
    );
    images(&lines(options, &batch))
}

#[test]
fn old_has_the_columns_that_changed_and_is_left_out_when_none_did() {
    let row = |id: i64, note: Option<&'static str>| {
        move |batch: &mut Batch| {
            batch.push_int(id);
            match note {
                Some(note) => batch.push_text(note),
                None => batch.push_null(),
            }
        }
    };
    let all = Options::default();
    assert_eq!(
        update(&all, &row(1, Some("a")), &row(1, None)),
        r#""data":{"id":1,"note":null},"old":{"note":"a"}}"#
    );
    assert_eq!(
        update(&all, &row(1, Some("a")), &row(1, Some("a"))),
        r#""data":{"id":1,"note":"a"}}"#
    );
    assert_eq!(
        update(&all, &row(2, None), &row(1, Some("a"))),
        r#""data":{"id":1,"note":"a"},"old":{"id":2,"note":null}}"#
    );
    let without_nulls = Options {
        output_nulls: false,
        ..Options::default()
    };
    assert_eq!(
        update(&without_nulls, &row(1, None), &row(1, Some("a"))),
        r#""data":{"id":1,"note":"a"},"old":{}}"#
    );
    assert_eq!(
        update(&without_nulls, &row(1, Some("a")), &row(1, None)),
        r#""data":{"id":1},"old":{"note":"a"}}"#
    );
}

#[test]
fn a_partial_image_gives_what_is_known() {
    let key_only = |batch: &mut Batch| {
        batch.push_int(1);
        batch.push_absent();
    };
    let change_only = |batch: &mut Batch| {
        batch.push_absent();
        batch.push_text("new");
    };
    assert_eq!(
        update(&Options::default(), &key_only, &change_only),
        r#""data":{"id":1,"note":"new"}}"#
    );
    let batch = one(&small(), ChangeKind::Insert, None, None, Some(&change_only));
    assert!(lines(&Options::default(), &batch).ends_with("\"data\":{\"note\":\"new\"}}\n"));
    let batch = one(&small(), ChangeKind::Delete, None, Some(&key_only), None);
    assert!(lines(&Options::default(), &batch).ends_with("\"data\":{\"id\":1}}\n"));
}

#[test]
fn zero_dates_become_null_on_request_and_then_do_not_differ() {
    let table = schema(&[("d", DataType::Date)], &[]);
    let date =
        |year, month, day| move |batch: &mut Batch| batch.push_date(Date { year, month, day });
    let nulls = Options {
        output_null_zerodates: true,
        ..Options::default()
    };
    let line = |options, before: &dyn Fn(&mut Batch), after: &dyn Fn(&mut Batch)| {
        images(&lines(
            options,
            &one(&table, ChangeKind::Update, None, Some(before), Some(after)),
        ))
    };
    let (zero, partial) = (date(0, 0, 0), date(2024, 5, 0));
    assert_eq!(line(&nulls, &zero, &partial), r#""data":{"d":null}}"#);
    assert_eq!(
        line(&Options::default(), &zero, &partial),
        r#""data":{"d":"2024-05-00"},"old":{"d":"0000-00-00"}}"#
    );
}

fn keys(batch: &Batch) -> (String, String) {
    let row = batch.row(0).expect("a row");
    let (mut hash, mut array) = (Vec::new(), Vec::new());
    key::push_hash(&mut hash, row, || u128::MAX);
    key::push_array(&mut array, row, || u128::MAX);
    [hash, array]
        .map(|key| String::from_utf8(key).expect("UTF-8"))
        .into()
}

const UUID: &str = "ffffffff-ffff-4fff-bfff-ffffffffffff";

#[test]
fn keys_have_the_primary_key_of_the_row_as_it_is_now() {
    let part = DataType::Set(["x".into(), "y".into()].as_slice().into());
    let id = DataType::Integer {
        bits: 32,
        unsigned: false,
    };
    let table = schema(&[("Part\"2", part), ("ID", id)], &[1, 0]);
    let row = |id| {
        move |batch: &mut Batch| {
            batch.push_set("x,y");
            batch.push_int(id);
        }
    };
    let expected = |id: i64| {
        (
            format!(
                r#"{{"database":"shop","table":"orders","pk.id":{id},"pk.part\"2":["x","y"]}}"#
            ),
            format!(r#"["shop","orders",[{{"id":{id}}},{{"part\"2":["x","y"]}}]]"#),
        )
    };
    let update = one(
        &table,
        ChangeKind::Update,
        None,
        Some(&row(1)),
        Some(&row(2)),
    );
    assert_eq!(keys(&update), expected(2));
    let delete = one(&table, ChangeKind::Delete, None, Some(&row(1)), None);
    assert_eq!(keys(&delete), expected(1));
}

#[test]
fn keys_without_a_primary_key_are_random() {
    let fill = |batch: &mut Batch| batch.push_int(1);
    let table = schema(&[("a", DataType::Year)], &[]);
    let insert = one(&table, ChangeKind::Insert, None, None, Some(&fill));
    assert_eq!(
        keys(&insert),
        (
            format!(r#"{{"database":"shop","table":"orders","_uuid":"{UUID}"}}"#),
            r#"["shop","orders",[]]"#.to_owned()
        )
    );
}

#[test]
fn keys_of_marks_are_maxwells() {
    let mark = |kind| keys(&one(&small(), kind, None, None, None));
    let start = mark(ChangeKind::BootstrapStart);
    assert_eq!(
        start.0,
        r#"{"database":"shop","table":"orders","pk.id":null}"#
    );
    assert_eq!(start.1, r#"["shop","orders",[{"id":null}]]"#);
    let complete = mark(ChangeKind::BootstrapComplete);
    assert_eq!(
        complete.0,
        format!(r#"{{"database":"shop","table":"orders","_uuid":"{UUID}"}}"#)
    );
    assert_eq!(mark(ChangeKind::Ddl), (UUID.to_owned(), UUID.to_owned()));
}
