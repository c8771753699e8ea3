//! The list of all monoids in four parts, with inputs that reach their limits.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt::Debug;

use headwater_core::schema::DataType;
use headwater_fold::monoid::{
    Average, Bloom, Count, DecayedSum, Decimal, Dynamic, First, HyperLogLog, ITEM_BYTES_MAX, Keyed,
    Last, MapMerge, Max, Min, Monoid, Quantiles, Scalar, Set, SumDecimal, SumFloat, SumInteger,
    Top,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::suite::{Case, Event};
use crate::truth::{self, Told};

/// What is done with each case.
pub(crate) trait Visit {
    fn case<M, I>(&mut self, case: Case<M, I>)
    where
        M: Monoid,
        I: Borrow<M::Input> + Clone + Debug + 'static;
}

fn integers() -> impl Strategy<Value = i128> + Clone {
    prop_oneof![
        6 => -9i128..9,
        2 => any::<i64>().prop_map(i128::from),
        1 => Just(i128::MAX),
        1 => Just(i128::MIN),
    ]
}

fn decimals() -> impl Strategy<Value = Decimal> + Clone {
    let text = prop_oneof![
        6 => "-?[0-9]{1,4}(\\.[0-9]{1,3})?",
        2 => "-?[0-9]{30,35}\\.[0-9]{1,30}",
        2 => "-?1[0-6][0-9]{37}",
        1 => "-?9{306,308}",
    ];
    text.prop_map(|text| Decimal::parse(&text).unwrap_or_default())
}

fn floats() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        6 => (-1000i32..1000).prop_map(|tenths| f64::from(tenths) / 10.0),
        3 => any::<f64>(),
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 5e-324, -0.0,
        ]),
    ]
}

fn words() -> impl Strategy<Value = Vec<u8>> + Clone {
    prop_oneof![
        6 => (b'a'..b'h').prop_map(|letter| vec![letter]),
        2 => vec(any::<u8>(), 0..6),
    ]
}

fn texts() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        8 => "[a-e]{0,2}",
        1 => Just("x".repeat(ITEM_BYTES_MAX + 1)),
    ]
}

fn kept<'a, T>(events: &[&'a Event<T>]) -> impl Iterator<Item = &'a T> {
    events.iter().map(|event| &event.input)
}

fn min(_: &Min<i64>, value: &Option<i64>, events: &[&Event<i64>]) -> Told {
    truth::equal(value, &kept(events).min().copied())
}

fn max(_: &Max<String>, value: &Option<String>, events: &[&Event<String>]) -> Told {
    truth::equal(value, &kept(events).max().cloned())
}

/// A too long value is only refused where it would be kept, so the judge knows only which were taken.
fn set(_: &Set<i64>, value: &BTreeSet<i64>, events: &[&Event<i64>]) -> Told {
    truth::equal(value, &kept(events).copied().collect())
}

fn dynamic(name: &str, parameters: Value, columns: &[DataType]) -> Dynamic {
    let Value::Object(parameters) = parameters else {
        panic!("parameters are an object");
    };
    Dynamic::parse(name, &parameters, columns).unwrap()
}

/// Scalars for a column of these types, NULL among them.
fn rows(columns: &[DataType]) -> BoxedStrategy<Vec<Scalar>> {
    let cells: Vec<BoxedStrategy<Scalar>> = columns
        .iter()
        .map(|column| match column {
            DataType::Integer { .. } => (-5i64..5).prop_map(Scalar::Int).boxed(),
            DataType::Decimal { .. } => decimals().prop_map(Scalar::Decimal).boxed(),
            DataType::Double => (-50i32..50)
                .prop_map(|tenths| Scalar::Double(f64::from(tenths) / 10.0))
                .boxed(),
            _ => "[a-f]{1,2}".prop_map(Scalar::Text).boxed(),
        })
        .map(|cell| prop_oneof![9 => cell, 1 => Just(Scalar::Null)].boxed())
        .collect();
    cells.boxed()
}

pub(crate) const INTEGER: DataType = DataType::Integer {
    bits: 64,
    unsigned: false,
};
pub(crate) const DECIMAL: DataType = DataType::Decimal {
    precision: 12,
    scale: 2,
};

/// All dynamic ones: their judge is the monoid itself, folded in one go (the typed ones are held to the truth).
pub(crate) fn dynamics() -> Vec<(Dynamic, Vec<DataType>)> {
    let one = |name: &str, parameters: Value, column: DataType| {
        (
            dynamic(name, parameters, std::slice::from_ref(&column)),
            vec![column],
        )
    };
    let nothing = || json!({});
    vec![
        (dynamic("count", nothing(), &[]), vec![]),
        one("sum", nothing(), INTEGER),
        one("sum", nothing(), DECIMAL),
        one("sum", nothing(), DataType::Double),
        one("average", nothing(), INTEGER),
        one("average", nothing(), DECIMAL),
        one("average", nothing(), DataType::Double),
        one("min", nothing(), DataType::Text),
        one("max", nothing(), DECIMAL),
        one("first", nothing(), INTEGER),
        one("last", nothing(), DataType::Text),
        one("set", json!({"members_max": 9}), DataType::Text),
        one("distinct", json!({"precision": 4}), DataType::Text),
        one("bloom", json!({"items": 20}), DataType::Text),
        // Fewer words than counters: to the last bit.
        one("top", nothing(), DataType::Text),
        one("quantiles", nothing(), DataType::Double),
        (
            dynamic(
                "map",
                json!({"of": "sum", "entries_max": 12}),
                &[DataType::Text, INTEGER],
            ),
            vec![DataType::Text, INTEGER],
        ),
        (
            dynamic(
                "tuple",
                json!({"of": ["count", "sum", {"monoid": "set", "members_max": 5}]}),
                &[INTEGER, DataType::Text],
            ),
            vec![INTEGER, DataType::Text],
        ),
        (
            dynamic(
                "tuple",
                json!({"of": ["count", "average", "sum"]}),
                &[DECIMAL, INTEGER],
            ),
            vec![DECIMAL, INTEGER],
        ),
    ]
}

fn in_one_go(
    monoid: &Dynamic,
    value: &<Dynamic as Monoid>::Value,
    events: &[&Event<Vec<Scalar>>],
) -> Told {
    let mut whole = monoid.identity();
    for event in events {
        let input = event.input.as_slice();
        let done = match event.minus {
            false => monoid.add(&mut whole, input, event.at),
            true => monoid.take_back(&mut whole, input, event.at),
        };
        if done.is_err() {
            // A bound was met in this order and not in another.
            return Ok(());
        }
    }
    truth::equal(value, &whole)
}

/// Those that are chosen by name.
pub(crate) fn by_name(visitor: &mut impl Visit) {
    for (monoid, columns) in dynamics() {
        visitor.case(Case::new(monoid, rows(&columns), in_one_go));
    }
}

/// Its part of the list of all.
pub(crate) fn numbers(visitor: &mut impl Visit) {
    visitor.case(Case::new(Count, Just(()), |_, value, events| {
        truth::equal(value, &truth::count(events))
    }));
    visitor.case(
        Case::new(SumInteger, integers(), |_, value, events| {
            truth::integers(*value, events)
        })
        .refuses()
        .size_max(16),
    );
    visitor.case(
        Case::new(SumDecimal, decimals(), |_, value, events| {
            truth::decimals(value, events)
        })
        .reach("a sum of more than 128 bits", |value| {
            value.heap_bytes() > 0
        })
        .refuses(),
    );
    visitor.case(
        Case::new(SumFloat, floats(), |_, value, events| {
            truth::floats(value, events)
        })
        .reach("more than a double-double", |value| {
            value.parts().count() > 2
        })
        .reach("NaN", |value| value.value().is_nan())
        .refuses()
        .size_max(1_000),
    );
    visitor.case(
        Case::new(Average(SumInteger), integers(), |_, value, events| {
            truth::average(value, events, |sum, events| truth::integers(*sum, events))
        })
        .refuses(),
    );
    visitor.case(
        Case::new(Average(SumDecimal), decimals(), |_, value, events| {
            truth::average(value, events, truth::decimals)
        })
        .refuses(),
    );
    visitor.case(
        Case::new(Average(SumFloat), floats(), |_, value, events| {
            truth::average(value, events, truth::floats)
        })
        .refuses(),
    );
    let inputs = prop_oneof![5 => -1e6..1e6, 1 => Just(f64::NAN), 1 => Just(0.0)];
    visitor.case(Case::new(DecayedSum::new(1_000_000).unwrap(), inputs, truth::decayed).refuses());
}

/// Its part of the list of all.
pub(crate) fn values(visitor: &mut impl Visit) {
    visitor.case(Case::new(Min::default(), -9i64..9, min));
    visitor.case(Case::new(Max::default(), texts(), max).refuses());
    visitor.case(Case::new(
        First::<i64>::default(),
        -9i64..9,
        |_, value, events| truth::equal(value, &truth::by_order(events, false)),
    ));
    visitor.case(Case::new(
        Last::<Vec<u8>>::default(),
        words(),
        |_, value, events| truth::equal(value, &truth::by_order(events, true)),
    ));
    visitor.case(
        Case::new(Set::new(8), -9i64..9, set)
            .refuses()
            .reach("full", |v| v.len() == 8),
    );
    let keyed = (words(), integers()).prop_map(|(key, input)| Keyed { key, input });
    visitor.case(
        Case::new(MapMerge::new(SumInteger, 9), keyed, |_, value, events| {
            truth::map(value, events)
        })
        .refuses()
        .reach("a full map", |value| value.len() == 9),
    );
    let pair = (integers(), decimals());
    visitor.case(
        Case::new((SumInteger, SumDecimal), pair, |_, value, events| {
            let ones: Vec<_> = events
                .iter()
                .map(|event| with(event, event.input.0))
                .collect();
            let twos = events
                .iter()
                .map(|event| with(event, event.input.1.clone()));
            let twos: Vec<_> = twos.collect();
            truth::integers(value.0, &ones.iter().collect::<Vec<_>>())?;
            truth::decimals(&value.1, &twos.iter().collect::<Vec<_>>())
        })
        .refuses(),
    );
    visitor.case(
        Case::new(
            (
                Max::<i64>::default(),
                Set::<i64>::new(5),
                Min::<i64>::default(),
            ),
            (-9i64..9, -9i64..9, -9i64..9),
            |_, value, events| {
                let set: BTreeSet<i64> = events.iter().map(|event| event.input.1).collect();
                truth::equal(&value.0, &events.iter().map(|event| event.input.0).max())?;
                truth::equal(&value.1, &set)?;
                truth::equal(&value.2, &events.iter().map(|event| event.input.2).min())
            },
        )
        .refuses(),
    );
    visitor.case(Case::new(
        (Count, SumInteger, Count, Average(SumInteger)),
        (Just(()), -9i128..9, Just(()), -9i128..9),
        |_, value, events| {
            truth::equal(&(value.0, value.2), &(truth::count(events), value.3.count))
        },
    ));
}

fn with<I, J>(event: &Event<I>, input: J) -> Event<J> {
    Event {
        input,
        at: event.at,
        minus: event.minus,
    }
}

/// Its part of the list of all.
pub(crate) fn sketches(visitor: &mut impl Visit) {
    visitor.case(
        Case::new(HyperLogLog::new(4).unwrap(), words(), truth::hll)
            .reach("all registers held", |value| {
                format!("{value:?}").contains("Dense")
            })
            .size_max(64),
    );
    visitor.case(
        Case::new(HyperLogLog::default(), vec(any::<u8>(), 0..3), truth::hll).size_max(16_500),
    );
    visitor.case(
        Case::new(Bloom::new(4, 0.1).unwrap(), words(), truth::bloom)
            .events(80)
            .reach("most bits set", |value| {
                format!("{value:?}").contains("1844674")
            }),
    );
    visitor.case(Case::new(
        Bloom::new(1_000, 0.01).unwrap(),
        words(),
        truth::bloom,
    ));
    for counters in [1, 2, 10] {
        visitor.case(
            Case::new(Top::new(counters).unwrap(), words(), truth::top_of)
                .events(40)
                .reach("counters that were dropped", |value| value.error() > 0),
        );
    }
    let near = prop_oneof![4 => -1e3..1e3, 1 => Just(0.0), 1 => Just(f64::NAN), 1 => 1.0..1.1];
    visitor.case(
        Case::new(Quantiles::new(0.01, 2_048).unwrap(), near, truth::quantiles)
            .refuses()
            .exactly(),
    );
    let far = prop_oneof![
        (-30i32..30).prop_map(|power| 1.7f64.powi(power)),
        (-30i32..30).prop_map(|power| -(1.7f64.powi(power))),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
    ];
    visitor.case(
        Case::new(Quantiles::new(0.05, 32).unwrap(), far, truth::quantiles)
            .reach("buckets that were given up", |value| {
                format!("{value:?}").contains("floor: Some")
            })
            .size_max(4_096),
    );
}
