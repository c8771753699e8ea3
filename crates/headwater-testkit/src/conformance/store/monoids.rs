//! Aggregates of every monoid that a configuration can name.

use std::sync::Arc;

use headwater_core::schema::DataType;
use headwater_core::value::Cell;
use headwater_fold::gathered::Gathered;
use headwater_fold::monoid::{Dynamic, Moment, Monoid, Scalar};
use headwater_fold::place::Place;
use headwater_fold::store::{FoldInfo, StateStore};
use serde_json::{Value, json};

use super::StoreHarness;
use super::model::{Held, add, check, commit, merge, served, take};

const INTEGER: DataType = DataType::Integer {
    bits: 64,
    unsigned: false,
};

/// A column of an event, by its type.
#[derive(Debug, Clone, Copy)]
enum Of {
    Integer,
    Decimal,
    Double,
    Text,
}

impl Of {
    fn data_type(self) -> DataType {
        match self {
            Self::Integer => INTEGER,
            Self::Decimal => DataType::Decimal {
                precision: 12,
                scale: 2,
            },
            Self::Double => DataType::Double,
            Self::Text => DataType::Text,
        }
    }

    fn scalar(self, number: u32) -> Scalar {
        let small = number * 7 % 23;
        let text = format!("word {small}");
        let decimal = format!("{small}.{:02}", number % 100);
        let cell = match self {
            Self::Integer => Cell::Int(i64::from(small) - 5),
            Self::Decimal => Cell::Decimal(&decimal),
            Self::Double => Cell::Double(f64::from(small) / 3.0),
            Self::Text => Cell::Text(&text),
        };
        Scalar::of(cell).expect("a cell")
    }
}

fn monoids() -> Vec<(&'static str, Value, Vec<Of>)> {
    use Of::{Decimal, Double, Integer, Text};
    let none = || json!({});
    vec![
        ("count", none(), vec![]),
        ("sum", none(), vec![Integer]),
        ("sum", none(), vec![Decimal]),
        ("sum", none(), vec![Double]),
        ("average", none(), vec![Integer]),
        ("average", none(), vec![Decimal]),
        ("average", none(), vec![Double]),
        ("min", none(), vec![Text]),
        ("max", none(), vec![Decimal]),
        ("first", none(), vec![Text]),
        ("last", none(), vec![Double]),
        ("set", none(), vec![Text]),
        ("distinct", none(), vec![Text]),
        ("bloom", json!({ "items": 1_000 }), vec![Text]),
        ("top", json!({ "k": 5, "counters": 8 }), vec![Text]),
        ("quantiles", none(), vec![Double]),
        ("decayed", json!({ "half_life_s": 60 }), vec![Double]),
        ("tuple", json!({ "of": ["count", "sum"] }), vec![Integer]),
        ("map", json!({ "of": "sum" }), vec![Text, Decimal]),
    ]
}

/// The bytes of every monoid, merged over several steps, are those that merging in memory gives, and can be shown.
pub async fn aggregates_of_every_monoid_come_back<H: StoreHarness>(harness: &H) {
    let mut folds = Vec::new();
    let mut infos = Vec::new();
    for (number, (name, parameters, columns)) in monoids().into_iter().enumerate() {
        let types: Vec<DataType> = columns.iter().map(|column| column.data_type()).collect();
        let object = parameters.as_object().expect("an object");
        let monoid = Dynamic::parse(name, object, &types).expect("a monoid");
        infos.push(FoldInfo {
            name: format!("{name}_{number}"),
            definition: json!({ "monoid": monoid.name() }),
        });
        folds.push((Arc::new(monoid), columns, Held::new()));
    }
    let mut store = harness.store();
    take(&mut store, &infos).await;
    let mut event = 0;
    for turn in 0..4 {
        for (number, (monoid, columns, held)) in folds.iter_mut().enumerate() {
            let mut gathered = Gathered::new(Arc::clone(monoid));
            for _ in 0..60 {
                event += 1;
                let values: Vec<Scalar> =
                    columns.iter().map(|column| column.scalar(event)).collect();
                let at = Moment {
                    order: (u64::from(event), 0),
                    time_us: i64::from(event) * 1_000_000,
                };
                let place = Place::new(i64::from(event % 2) * 60, &[b'k', (event % 3) as u8]);
                gathered
                    .change(place.as_bytes(), 0, |monoid, value| {
                        monoid.add(value, &values, at)
                    })
                    .expect("an event that suits");
            }
            let deltas = gathered.take();
            add(&mut store, number, &deltas).await;
            merge(held, &deltas);
        }
        commit(&mut store, &json!(turn), turn == 0).await;
    }
    drop(store);
    let mut store = harness.store();
    take(&mut store, &infos).await;
    let reader = store.reader().expect("a reader");
    assert_eq!(served(&reader).await.folds, infos);
    for (number, (monoid, _, held)) in folds.iter().enumerate() {
        assert_eq!(held.len(), 6, "{}", monoid.name());
        check(&store, number, held, &json!(3)).await;
        for bytes in held.values() {
            let value = monoid.decode(bytes).expect("what was encoded");
            assert_ne!(monoid.show(&value), Value::Null, "{}", monoid.name());
        }
    }
}
