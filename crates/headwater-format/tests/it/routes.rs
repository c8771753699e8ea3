//! Keys, partitions and fallback records of whole rows.

use headwater_core::batch::{Batch, ChangeKind};
use headwater_core::schema::DataType;
use headwater_format::maxwell::fallback;
use headwater_format::maxwell::key::{self, KeyFormat, Of};
use headwater_format::maxwell::partition::{Fallback, PartitionBy};

use crate::support::{one, schema, small, transaction};

fn text(by: &PartitionBy, batch: &Batch, of: Of) -> String {
    let mut out = Vec::new();
    by.push_text(&mut out, batch.row(0).expect("a row"), of, || 26 + 3);
    String::from_utf8(out).expect("UTF-8")
}

fn columns(names: &[&str], fallback: Fallback) -> PartitionBy {
    PartitionBy::Columns {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        fallback,
    }
}

/// `id`, `note`, `tags`, `at`, with `id` and `tags` as the key.
fn update() -> Batch {
    let id = DataType::Integer {
        bits: 64,
        unsigned: false,
    };
    let tags = DataType::Set(["x".into(), "y".into()].as_slice().into());
    let table = schema(
        &[
            ("id", id),
            ("note", DataType::Text),
            ("tags", tags),
            ("raw", DataType::Bytes),
        ],
        &[0, 2],
    );
    let row = |id: i64, note: &'static str| {
        move |batch: &mut Batch| {
            batch.push_int(id);
            batch.push_text(note);
            batch.push_set("x,y");
            batch.push_bytes(&[0xff, 0xfe]);
        }
    };
    one(
        &table,
        ChangeKind::Update,
        Some(transaction()),
        Some(&row(1, "was \"this\"")),
        Some(&row(2, "is é")),
    )
}

#[test]
fn each_way_of_partitioning_has_maxwell_s_text() {
    let row = update();
    for (by, expected) in [
        (PartitionBy::Database, "shop"),
        (PartitionBy::Table, "orders"),
        (PartitionBy::PrimaryKey, "2[x, y]"),
        (PartitionBy::TransactionId, "812"),
        (PartitionBy::ThreadId, "9"),
        (columns(&["note", "raw"], Fallback::Table), "is é//4="),
        (columns(&["nothing"], Fallback::Table), "orders"),
        (columns(&["nothing"], Fallback::Database), "shop"),
        (columns(&["nothing"], Fallback::PrimaryKey), "2[x, y]"),
        (columns(&["nothing"], Fallback::TransactionId), "812"),
        (PartitionBy::Random, "dbaaaaaaaa"),
    ] {
        assert_eq!(text(&by, &row, Of::Row), expected, "{by:?}");
    }
    assert_eq!(text(&PartitionBy::PrimaryKey, &row, Of::Before), "1[x, y]");
    let by_note = columns(&["note"], Fallback::Table);
    assert_eq!(text(&by_note, &row, Of::Before), "was \"this\"");
}

#[test]
fn what_is_missing_has_a_text_too() {
    let nothing = |batch: &mut Batch| {
        batch.push_null();
        batch.push_null();
    };
    let row = one(&small(), ChangeKind::Bootstrap, None, None, Some(&nothing));
    assert_eq!(text(&PartitionBy::PrimaryKey, &row, Of::Row), "None");
    assert_eq!(text(&PartitionBy::TransactionId, &row, Of::Row), "null");
    assert_eq!(text(&PartitionBy::ThreadId, &row, Of::Row), "null");
    let by_note = columns(&["note"], Fallback::Database);
    assert_eq!(text(&by_note, &row, Of::Row), "shop");
    let keyless = schema(&[("a", DataType::Year)], &[]);
    let one_cell = |batch: &mut Batch| batch.push_int(1);
    let row = one(&keyless, ChangeKind::Insert, None, None, Some(&one_cell));
    assert_eq!(text(&PartitionBy::PrimaryKey, &row, Of::Row), "shoporders");
    let ddl = one(&small(), ChangeKind::Ddl, None, None, None);
    assert_eq!(text(&PartitionBy::PrimaryKey, &ddl, Of::Row), "shop");
    assert_eq!(text(&PartitionBy::Table, &ddl, Of::Row), "orders");
}

#[test]
fn an_update_of_the_key_has_the_old_key_too() {
    let batch = update();
    let row = batch.row(0).expect("a row");
    let keys = |of| {
        let mut out = Vec::new();
        key::push(&mut out, row, KeyFormat::Array, of, || 0);
        String::from_utf8(out).expect("UTF-8")
    };
    assert!(key::is_changed(row));
    assert_eq!(
        keys(Of::Row),
        r#"["shop","orders",[{"id":2},{"tags":["x","y"]}]]"#
    );
    assert_eq!(
        keys(Of::Before),
        r#"["shop","orders",[{"id":1},{"tags":["x","y"]}]]"#
    );
    let fill = |note: &'static str| {
        move |batch: &mut Batch| {
            batch.push_int(7);
            batch.push_text(note);
        }
    };
    let (before, after) = (fill("a"), fill("b"));
    let same = one(
        &small(),
        ChangeKind::Update,
        None,
        Some(&before),
        Some(&after),
    );
    assert!(!key::is_changed(same.row(0).expect("a row")));
    let gone = one(&small(), ChangeKind::Delete, None, Some(&before), None);
    assert!(!key::is_changed(gone.row(0).expect("a row")));
}

#[test]
fn a_fallback_record_has_the_key_alone() {
    let batch = update();
    let mut out = Vec::new();
    fallback::push(&mut out, batch.row(0).expect("a row"), fallback::TOO_LARGE);
    assert_eq!(
        String::from_utf8(out).expect("UTF-8"),
        r#"{"database":"shop","table":"orders","type":"insert","reason":"RecordTooLargeException","data":{"id":2,"tags":["x","y"]}}"#
    );
}
