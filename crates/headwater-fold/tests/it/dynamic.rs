//! Monoids chosen by name: what they take, what they refuse, what they show.

use headwater_core::ErrorKind;
use headwater_core::schema::DataType;
use headwater_core::value::{Cell, Date};
use headwater_fold::monoid::{Aggregate, Dynamic, Moment, Monoid, Refusal, Scalar};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cases::{DECIMAL, INTEGER, dynamics};

fn parse(name: &str, parameters: Value, columns: &[DataType]) -> headwater_core::Result<Dynamic> {
    Dynamic::parse(name, parameters.as_object().unwrap(), columns)
}

fn row(cells: &[Cell<'_>]) -> Vec<Scalar> {
    cells
        .iter()
        .map(|cell| Scalar::of(*cell).unwrap())
        .collect()
}

fn at(number: u64) -> Moment {
    Moment {
        order: (number, 0),
        time_us: 1_000_000 * number as i64,
    }
}

/// The answer over these rows.
fn shown(name: &str, parameters: Value, columns: &[DataType], rows: &[&[Cell<'_>]]) -> Value {
    let monoid = parse(name, parameters, columns).unwrap();
    let mut value = monoid.identity();
    for (number, cells) in (1..).zip(rows) {
        monoid.add(&mut value, &row(cells), at(number)).unwrap();
    }
    // As it would be read from a store.
    let mut bytes = Vec::new();
    monoid.encode(&value, &mut bytes);
    monoid.show(&monoid.decode(&bytes).unwrap())
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table of answers")]
fn answers_are_shown_as_what_they_are() {
    let ints: [&[Cell<'_>]; 4] = [
        &[Cell::Int(4)],
        &[Cell::Null],
        &[Cell::UInt(u64::MAX)],
        &[Cell::Int(5)],
    ];
    let prices: [&[Cell<'_>]; 2] = [&[Cell::Decimal("12.50")], &[Cell::Decimal("0.50")]];
    let doubles: [&[Cell<'_>]; 2] = [&[Cell::Double(0.5)], &[Cell::Double(-2.0)]];
    let words: [&[Cell<'_>]; 3] = [&[Cell::Text("b")], &[Cell::Text("a")], &[Cell::Text("b")]];
    let floats = [DataType::Double];
    let none = || json!({});
    let cases = [
        (shown("count", none(), &[], &[&[], &[]]), json!(2)),
        (
            shown("sum", none(), &[INTEGER], &ints),
            json!("18446744073709551624"),
        ),
        (shown("sum", none(), &[INTEGER], &ints[..2]), json!(4)),
        (shown("sum", none(), &[DECIMAL], &prices), json!("13.00")),
        (shown("sum", none(), &floats, &doubles), json!(-1.5)),
        (
            shown("average", none(), &[INTEGER], &ints[..2]),
            json!("4.0000"),
        ),
        (
            shown("average", none(), &[DECIMAL], &prices),
            json!("6.500000"),
        ),
        (shown("average", none(), &floats, &doubles), json!(-0.75)),
        (shown("min", none(), &[INTEGER], &ints), json!(4)),
        (shown("max", none(), &[INTEGER], &ints), json!(u64::MAX)),
        (
            shown("min", none(), &[DataType::Float], &[&[Cell::Float(0.1)]]),
            json!(0.1),
        ),
        (shown("min", none(), &[INTEGER], &[]), Value::Null),
        (
            shown("first", none(), &[DataType::Text], &words),
            json!("b"),
        ),
        (
            shown("last", none(), &[DataType::Text], &words[..2]),
            json!("a"),
        ),
        (
            shown("set", none(), &[DataType::Text], &words),
            json!(["a", "b"]),
        ),
        (
            shown("hll", json!({"precision": 18}), &[DataType::Text], &words),
            json!({"estimate": 2, "error": 0.00203125}),
        ),
        (
            shown("distinct", none(), &[DataType::Text], &words),
            json!({"estimate": 2, "error": 0.008125}),
        ),
        (
            shown("top", json!({"k": 1}), &[DataType::Text], &words),
            json!([{"item": "b", "count": 2, "error": 0}]),
        ),
        (
            shown("decayed", json!({"half_life_s": 1}), &floats, &doubles),
            json!({"value": -1.75, "at_us": 2_000_000}),
        ),
        (
            shown(
                "map",
                json!({"of": "sum"}),
                &[DataType::Text, INTEGER],
                &[
                    &[Cell::Text("x"), Cell::Int(2)],
                    &[Cell::Text("x"), Cell::Int(3)],
                    &[Cell::Null, Cell::Int(3)],
                    &[Cell::Text("y"), Cell::Null],
                ],
            ),
            json!({"x": 5}),
        ),
        (
            shown(
                "tuple",
                json!({"of": ["count", {"monoid": "sum", "as": "revenue"}]}),
                &[DECIMAL],
                &[&[Cell::Decimal("1.00")], &[Cell::Null]],
            ),
            json!({"count": 2, "revenue": "1.00"}),
        ),
    ];
    for (shown, wanted) in cases {
        assert_eq!(shown, wanted);
    }
    let answer = shown("quantiles", json!({"at": [0.5, 0.999]}), &floats, &doubles);
    assert_eq!(answer["count"], json!(2));
    assert!(
        (answer["p50"].as_f64().unwrap() + 2.0).abs() <= 0.02,
        "{answer}"
    );
    assert!(
        (answer["p99.9"].as_f64().unwrap() + 2.0).abs() <= 0.02,
        "{answer}"
    );
    let day = Date::parse("2026-11-21").unwrap();
    let answer = shown("max", json!({}), &[DataType::Date], &[&[Cell::Date(day)]]);
    assert_eq!(answer, json!("2026-11-21"));
}

#[test]
fn what_decays_is_shown_as_of_a_time() {
    let monoid = parse("decayed", json!({"half_life_s": 10}), &[DataType::Double]).unwrap();
    let mut value = monoid.identity();
    monoid
        .add(&mut value, &row(&[Cell::Double(8.0)]), at(100))
        .unwrap();
    assert_eq!(monoid.show_at(&value, 120_000_000)["value"], json!(2.0));
}

#[test]
fn membership_is_asked_of_filters_and_sets() {
    for name in ["bloom", "set"] {
        let monoid = parse(name, json!({}), &[DataType::Text]).unwrap();
        let mut value = monoid.identity();
        monoid
            .add(&mut value, &row(&[Cell::Text("here")]), at(1))
            .unwrap();
        let asked = |text| monoid.contains(&value, &Scalar::of(Cell::Text(text)).unwrap());
        assert_eq!((asked("here"), asked("there")), (Some(true), Some(false)));
    }
}

#[test]
fn mistakes_in_a_configuration_are_refused_with_what_to_do() {
    let text = [DataType::Text];
    let mistakes = [
        (parse("summ", json!({}), &text), "it is one of count, sum"),
        (parse("sum", json!({}), &text), "a column of numbers"),
        (parse("sum", json!({"scale": 2}), &[INTEGER]), "scale"),
        (parse("sum", json!({}), &[]), "name the column"),
        (
            parse("count", json!({}), &text),
            "takes 0 columns, and was given 1",
        ),
        (
            parse("distinct", json!({"precision": 30}), &text),
            "4 to 18",
        ),
        (
            parse("top", json!({"k": 10, "counters": 5}), &text),
            "more counters",
        ),
        (parse("quantiles", json!({"at": [99]}), &[INTEGER]), "0.99"),
        (parse("decayed", json!({}), &[INTEGER]), "half_life_s"),
        (
            parse("decayed", json!({"half_life_s": -1}), &[INTEGER]),
            "half_life_s",
        ),
        (parse("tuple", json!({"of": []}), &[]), "a tuple of 0"),
        (
            parse("tuple", json!({"of": ["sum", "sum"]}), &[INTEGER, INTEGER]),
            "`as`",
        ),
        (
            parse(
                "map",
                json!({"of": {"monoid": "set", "members": 3}}),
                &[INTEGER, INTEGER],
            ),
            "members",
        ),
    ];
    for (parsed, says) in mistakes {
        let error = parsed.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(
            error.in_one_line().contains(says),
            "{}",
            error.in_one_line()
        );
        assert!(error.hint_text().is_some(), "{error}");
    }
    let mut deep = json!("count");
    for _ in 0..9 {
        deep = json!({"monoid": "tuple", "of": [deep]});
    }
    let error = parse("tuple", json!({"of": [deep]}), &[]).unwrap_err();
    assert!(error.to_string().contains("deep"), "{error}");
}

#[test]
fn what_cannot_be_taken_back_says_so_before_a_run() {
    for (monoid, columns) in dynamics() {
        let mut value = monoid.identity();
        let input = vec![Scalar::Int(1); columns.len()];
        let refused = monoid
            .take_back(&mut value, &input, at(1))
            .err()
            .map(|error| error.kind());
        let is_refused = refused == Some(Refusal::NotInvertible);
        assert_eq!(is_refused, !monoid.is_invertible(), "{}", monoid.name());
    }
}

#[test]
fn cells_of_another_type_and_missing_ones_are_refused() {
    let monoid = parse("sum", json!({}), &[INTEGER]).unwrap();
    let mut value = monoid.identity();
    for wrong in [row(&[Cell::Text("5")]), vec![]] {
        let refused = monoid.add(&mut value, &wrong, at(1)).unwrap_err();
        assert_eq!(refused.kind(), Refusal::Unsuitable);
    }
    assert_eq!(
        Scalar::of(Cell::Absent).unwrap_err().kind(),
        Refusal::Unsuitable
    );
    assert!(monoid.is_identity(&value));
    let mut other = Aggregate::Count(3);
    assert_eq!(
        monoid.combine(&mut other, &value).unwrap_err().kind(),
        Refusal::Differs
    );
}

#[test]
fn a_scalar_keeps_its_memory() {
    let mut scalar = Scalar::of(Cell::Text("a rather long text")).unwrap();
    let Scalar::Text(text) = &scalar else {
        panic!("{scalar:?}")
    };
    let (place, room) = (text.as_ptr(), text.capacity());
    scalar.set(Cell::Text("short")).unwrap();
    let Scalar::Text(text) = &scalar else {
        panic!("{scalar:?}")
    };
    assert_eq!(
        (text.as_str(), text.as_ptr(), text.capacity()),
        ("short", place, room)
    );
}

proptest! {
    #[test]
    fn showing_what_was_let_in_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        for (monoid, _) in dynamics() {
            for bytes in [bytes.clone(), [&[1], &bytes[..]].concat()] {
                if let Ok(value) = monoid.decode(&bytes) {
                    let _ = (monoid.show(&value), monoid.show_at(&value, i64::MAX));
                }
            }
        }
    }
}
