use headwater_core::batch::{Batch, ChangeKind, RowHead};
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use headwater_core::value::{Cell, Date, DateTime};
use proptest::prelude::*;
use std::sync::Arc;

use super::{Condition, digits_order};

fn schema() -> Arc<TableSchema> {
    let column = |name: &str, data_type| Column {
        name: name.into(),
        data_type,
        nullable: true,
    };
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("shop", "orders"),
        columns: vec![
            column(
                "id",
                DataType::Integer {
                    bits: 64,
                    unsigned: false,
                },
            ),
            column("Status", DataType::Text),
            column(
                "amount",
                DataType::Decimal {
                    precision: 10,
                    scale: 2,
                },
            ),
            column("ratio", DataType::Double),
            column("at", DataType::DateTime(0)),
        ],
        primary_key: vec![0],
        key: vec![0],
        key_order: KeyOrder::Client,
    })
}

/// Whether a condition holds of: 7, `status`, 10.50, 0.5, 2026-11-21 12:00:00.
fn holds_of(status: Option<&str>, condition: &str) -> bool {
    let schema = schema();
    let mut batch = Batch::new();
    let number = batch.add_schema(&schema);
    let mark = batch.mark();
    batch.push_int(7);
    match status {
        Some(status) => batch.push_text(status),
        None => batch.push_null(),
    }
    batch.push_decimal("10.50");
    batch.push_double(0.5);
    batch.push_datetime(DateTime {
        date: Date {
            year: 2026,
            month: 11,
            day: 21,
        },
        hour: 12,
        ..DateTime::default()
    });
    batch.push_row(RowHead {
        kind: ChangeKind::Bootstrap,
        schema: number,
        transaction: None,
        before: None,
        after: Some(mark),
        timestamp_s: 0,
        offset: 0,
        last: true,
    });
    let image = batch.row(0).unwrap().after().unwrap();
    assert_eq!(image.cell(0), Cell::Int(7));
    let condition: Condition = condition.parse().unwrap();
    condition.bind(&schema).unwrap().holds(&image)
}

#[test]
fn conditions_hold_as_in_sql() {
    for (condition, expected) in [
        ("status = 'paid'", true),
        ("STATUS='paid'", true),
        ("`status` <> 'paid'", false),
        ("status = 'Paid'", false),
        ("status IN ('open', 'paid')", true),
        ("status NOT IN ('open', 'paid')", false),
        ("status IS NULL OR id = 7", true),
        ("NOT (status = 'paid' AND id > 7)", true),
        ("id >= 7 and id <= 7 and id != 8", true),
        ("id > 6.5 AND id < 7.01", true),
        ("amount = 10.5 AND amount > 10 AND amount < 11", true),
        ("amount >= 10.51 OR amount <= -10.5", false),
        ("ratio = 0.5 AND ratio < 1", true),
        (
            "at >= '2026-11-21' AND at < '2026-11-22' AND at = '2026-11-21 12:00:00'",
            true,
        ),
        ("id = TRUE", false),
    ] {
        assert_eq!(holds_of(Some("paid"), condition), expected, "{condition}");
    }
}

#[test]
fn what_is_null_is_neither_equal_nor_different() {
    for (condition, expected) in [
        ("status = 'paid'", false),
        ("status <> 'paid'", false),
        ("NOT (status = 'paid')", false),
        ("status IS NULL", true),
        ("status IS NOT NULL", false),
        ("status = 'paid' OR id = 7", true),
        ("status = 'paid' AND id = 8", false),
        ("NOT (status = 'paid' AND id = 8)", true),
    ] {
        assert_eq!(holds_of(None, condition), expected, "{condition}");
    }
}

#[test]
fn what_is_no_condition_is_refused_with_where_it_goes_wrong() {
    for wrong in [
        "",
        "status",
        "status =",
        "= 'paid'",
        "status = paid",
        "status = 'paid",
        "id IN ()",
        "id IN (1",
        "(id = 1",
        "id = 1)",
        "id = 1 id = 2",
        "id ! 1",
        "id = 1.2.3",
        "id = 1e5",
        "id = 0x1",
        "NOT",
        "id IS 1",
        "id NOT 1",
        "id = 'a' XOR id = 'b'",
        "ä § 1",
    ] {
        let error = wrong.parse::<Condition>().unwrap_err();
        assert!(error.hint_text().is_some(), "{wrong}: {error}");
    }
    let deep = format!("{}id = 1{}", "(".repeat(9_999), ")".repeat(9_999));
    assert!(deep.parse::<Condition>().is_err());
    for (unbound, what) in [
        ("stat = 'paid'", "no column `stat`"),
        ("id = 'seven'", "cannot be compared"),
        ("status = 1", "cannot be compared"),
        ("at = 'yesterday'", "cannot be compared"),
    ] {
        let condition: Condition = unbound.parse().unwrap();
        let error = condition.bind(&schema()).unwrap_err().to_string();
        assert!(error.contains(what), "{unbound}: {error}");
    }
}

proptest! {
    #[test]
    fn digits_are_ordered_as_numbers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, zeros in 0_usize..3) {
        let text = |value: i64| {
            let (sign, value) = (if value < 0 { "-" } else { "" }, value.abs());
            format!("{sign}{}{}.{:03}{}", "0".repeat(zeros), value / 1000, value % 1000, "0".repeat(zeros))
        };
        prop_assert_eq!(digits_order(&text(a), &text(b)), a.cmp(&b));
        prop_assert_eq!(digits_order(&a.to_string(), &text(b)), (a * 1000).cmp(&b));
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,40}") {
        let _ = text.parse::<Condition>();
    }
}
