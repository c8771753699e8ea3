//! How an answer is shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value, json};

use super::{Aggregate, Dynamic, Kind, Shown};
use crate::monoid::codec::Reader;
use crate::monoid::{Decimal, Frequent, Item, Monoid, Quantiles, Scalar, Sketch, Wide};

impl Dynamic {
    /// The answer as JSON, `null` where there is none (the least of nothing).
    ///
    /// Integers are numbers where they fit 64 bits, else strings; decimals are strings of exactly their digits. An estimate comes with
    /// its error: `distinct` as `{estimate, error}` (the relative standard error), `bloom` as `{estimate, false_positives}`, `top` as a list of `{item, count,
    /// error}` (there at least `count` and at most `count + error` times), `quantiles` as `{count, error, p50, …}` (a value that has no bound as
    /// `{value, bounded: false}`), `decayed` as `{value, at_us}` (as of the latest event).
    #[must_use]
    pub fn show(&self, value: &Aggregate) -> Value {
        match (&self.kind, value) {
            (Kind::Count(_), Aggregate::Count(count)) => json!(count),
            (Kind::SumInteger(_), Aggregate::SumInteger(sum)) => integer(*sum),
            (Kind::SumDecimal(_, scale), Aggregate::SumDecimal(sum)) => decimal(sum, *scale),
            (Kind::SumFloat(_), Aggregate::SumFloat(sum)) => double(sum.value()),
            (_, Aggregate::AverageInteger(average)) => {
                average.mean().map_or(Value::Null, |mean| decimal(&mean, 0))
            }
            (Kind::AverageDecimal(_, scale), Aggregate::AverageDecimal(average)) => {
                let scale = u8::try_from(*scale).unwrap_or(u8::MAX);
                let mut average = (**average).clone();
                average.sum = average.sum.at_scale(scale);
                average.mean().map_or(Value::Null, |mean| decimal(&mean, 0))
            }
            (_, Aggregate::AverageFloat(average)) => average.mean().map_or(Value::Null, double),
            (_, Aggregate::Extreme(held)) => held.as_ref().map_or(Value::Null, scalar),
            (_, Aggregate::Stamped(held)) => (**held)
                .as_ref()
                .map_or(Value::Null, |held| scalar(&held.item)),
            (_, Aggregate::Set(members)) => members.iter().map(scalar).collect(),
            (Kind::Distinct(monoid), Aggregate::Distinct(registers)) => json!({
                "estimate": whole(monoid.estimate(registers)),
                "error": double(monoid.error()),
            }),
            (Kind::Bloom(monoid), Aggregate::Bloom(bits)) => json!({
                "estimate": whole(monoid.estimate(bits)),
                "false_positives": double(monoid.false_positives(bits)),
            }),
            (Kind::Top(_, k), Aggregate::Top(counters)) => counters
                .most(usize::from(*k))
                .iter()
                .map(frequent)
                .collect(),
            (Kind::Quantiles(monoid, at), Aggregate::Quantiles(sketch)) => {
                quantiles(monoid, at, sketch)
            }
            (Kind::Decayed(monoid), Aggregate::Decayed(value)) => match monoid.is_identity(value) {
                true => json!({"value": 0.0, "at_us": null}),
                false => json!({"value": double(value.sum()), "at_us": value.at_us()}),
            },
            (Kind::Tuple(members), Aggregate::Tuple(values)) => {
                let shown = members.iter().zip(values);
                let shown =
                    shown.map(|(member, value)| (member.name.clone(), member.of.show(value)));
                Value::Object(shown.collect())
            }
            (Kind::Map(map), Aggregate::Map(entries)) => {
                let shown = entries.iter();
                let shown = shown.map(|(key, value)| (text(&item(key)), map.inner().show(value)));
                Value::Object(shown.collect())
            }
            // An aggregate of another monoid says nothing here.
            _ => Value::Null,
        }
    }

    /// As [`Dynamic::show`], with what decays as of a time.
    #[must_use]
    pub fn show_at(&self, value: &Aggregate, time_us: i64) -> Value {
        match (&self.kind, value) {
            (Kind::Decayed(monoid), Aggregate::Decayed(value)) => {
                json!({"value": double(monoid.value_at(value, time_us)), "at_us": time_us})
            }
            (Kind::Tuple(members), Aggregate::Tuple(values)) => {
                let shown = members.iter().zip(values);
                let shown = shown.map(|(member, value)| {
                    (member.name.clone(), member.of.show_at(value, time_us))
                });
                Value::Object(shown.collect())
            }
            (Kind::Map(map), Aggregate::Map(entries)) => {
                let shown = entries.iter();
                let shown = shown
                    .map(|(key, value)| (text(&item(key)), map.inner().show_at(value, time_us)));
                Value::Object(shown.collect())
            }
            _ => self.show(value),
        }
    }
}

fn integer(value: Wide) -> Value {
    let value = i128::from(value);
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => json!(value),
        (_, Ok(value)) => json!(value),
        _ => Value::String(value.to_string()),
    }
}

fn decimal(value: &Decimal, scale: Shown) -> Value {
    let scale = u8::try_from(scale).unwrap_or(u8::MAX);
    Value::String(value.at_scale(scale).to_string())
}

/// A double as a number, or by its name where JSON has none for it.
fn double(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
}

/// An estimate of a number of things.
#[allow(
    clippy::cast_sign_loss,
    reason = "an estimate is not negative, and a cast saturates"
)]
fn whole(value: f64) -> Value {
    match value.is_finite() {
        true => json!(value.round() as u64),
        false => Value::Null,
    }
}

fn scalar(value: &Scalar) -> Value {
    match value {
        Scalar::Null => Value::Null,
        Scalar::Int(value) => json!(value),
        Scalar::UInt(value) => json!(value),
        // By its own digits: 0.1, not what is nearest to it among doubles.
        Scalar::Float(value) => value.to_string().parse().map_or(Value::Null, double),
        Scalar::Double(value) => double(*value),
        Scalar::Decimal(value) => Value::String(value.to_string()),
        Scalar::Text(value) => Value::String(value.clone()),
        Scalar::Bytes(value) => Value::String(STANDARD.encode(value)),
        Scalar::Date(value) => Value::String(value.to_string()),
        Scalar::Time(value) => Value::String(value.to_string()),
        Scalar::DateTime(value) => Value::String(value.to_string()),
    }
}

/// The name of a member of an object.
fn text(value: &Scalar) -> String {
    match scalar(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The value of which these are the bytes.
fn item(bytes: &[u8]) -> Scalar {
    Scalar::read(&mut Reader::without_version(bytes)).unwrap_or_default()
}

fn frequent(found: &Frequent<'_>) -> Value {
    json!({"item": scalar(&item(found.item)), "count": found.count, "error": found.error})
}

fn quantiles(monoid: &Quantiles, at: &[f64], sketch: &Sketch) -> Value {
    let mut shown = Map::new();
    shown.insert("count".to_owned(), json!(sketch.count()));
    shown.insert("error".to_owned(), double(monoid.accuracy()));
    for q in at {
        let found = match monoid.quantile(sketch, *q) {
            None => Value::Null,
            Some(found) if found.is_bounded => double(found.value),
            Some(found) => json!({"value": double(found.value), "bounded": false}),
        };
        // 0.999 is p99.9; the product has digits of its own far behind.
        let percent = (q * 1e8).round() / 1e6;
        shown.insert(format!("p{percent}"), found);
    }
    Value::Object(shown)
}
