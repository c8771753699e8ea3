//! A monoid out of its name, its parameters and the types of its columns.

use headwater_core::schema::DataType;
use headwater_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Dynamic, Kind, Member, Shown};
use crate::monoid::{
    Average, Bloom, Count, DecayedSum, HyperLogLog, MapMerge, Monoid, Quantiles, Refused, Set,
    SumDecimal, SumFloat, SumInteger, Top,
};

/// The names that [`Dynamic::parse`] knows.
pub(super) const NAMES: [&str; 15] = [
    "count",
    "sum",
    "average",
    "min",
    "max",
    "first",
    "last",
    "set",
    "distinct",
    "bloom",
    "top",
    "quantiles",
    "decayed",
    "tuple",
    "map",
];

/// Members of a tuple at most; and how deep tuples and maps may lie in each other.
const MEMBERS_MAX: usize = 32;
const DEPTH_MAX: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SetOptions {
    members_max: usize,
}

impl Default for SetOptions {
    fn default() -> Self {
        Self {
            members_max: 10_000,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DistinctOptions {
    precision: u8,
}

impl Default for DistinctOptions {
    fn default() -> Self {
        Self { precision: 14 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BloomOptions {
    items: u64,
    false_positives: f64,
}

impl Default for BloomOptions {
    fn default() -> Self {
        Self {
            items: 100_000,
            false_positives: 0.01,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TopOptions {
    k: Shown,
    counters: Option<usize>,
}

impl Default for TopOptions {
    fn default() -> Self {
        Self {
            k: 10,
            counters: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct QuantilesOptions {
    error: f64,
    buckets_max: u32,
    at: Vec<f64>,
}

impl Default for QuantilesOptions {
    fn default() -> Self {
        Self {
            error: 0.01,
            buckets_max: 2_048,
            at: vec![0.5, 0.9, 0.99],
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecayedOptions {
    half_life_s: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TupleOptions {
    of: Vec<Inner>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapOptions {
    of: Inner,
    #[serde(default = "entries_max")]
    entries_max: usize,
}

fn entries_max() -> usize {
    1_000
}

/// A monoid within another: its name alone, or with its parameters.
#[derive(Deserialize)]
#[serde(untagged)]
enum Inner {
    Name(String),
    Whole {
        monoid: String,
        #[serde(rename = "as")]
        shown_as: Option<String>,
        #[serde(flatten)]
        parameters: Map<String, Value>,
    },
}

impl Inner {
    fn parts(self) -> (String, Option<String>, Map<String, Value>) {
        match self {
            Self::Name(name) => (name, None, Map::new()),
            Self::Whole {
                monoid,
                shown_as,
                parameters,
            } => (monoid, shown_as, parameters),
        }
    }
}

impl Dynamic {
    /// The monoid of this name: `count`, `sum`, `average`, `min`, `max`, `first`, `last`, `set`, `distinct` (or `hll`), `bloom`, `top`, `quantiles`,
    /// `decayed`, `tuple`, `map`.
    ///
    /// | name | parameters, with their defaults |
    /// |---|---|
    /// | `set` | `members_max` (10,000): one more is refused |
    /// | `distinct` | `precision` (14): 4 to 18 |
    /// | `bloom` | `items` (100,000), `false_positives` (0.01) |
    /// | `top` | `k` (10): how many are shown; `counters` (ten times k): how many are counted |
    /// | `quantiles` | `error` (0.01), `buckets_max` (2,048), `at` (0.5, 0.9, 0.99) |
    /// | `decayed` | `half_life_s`, which has to be given |
    /// | `tuple` | `of`: a list of monoids, each a name, or a map of `monoid`, its parameters, and `as`, the name it is shown under |
    /// | `map` | `of`: a monoid; `entries_max` (1,000): one more is refused |
    ///
    /// `columns` are the types of the columns it takes, in their order: none for `count`, the key's and then those of the inner monoid for
    /// `map`, those of each member for `tuple`.
    ///
    /// # Errors
    ///
    /// An unknown name or parameter, a parameter out of its bounds, a column of a type that does not fit, too few or too many columns. Each
    /// says what to do.
    pub fn parse(
        name: &str,
        parameters: &Map<String, Value>,
        columns: &[DataType],
    ) -> Result<Self> {
        let mut rest = columns;
        let parsed = parse(name, parameters, &mut rest, 0)?;
        if !rest.is_empty() {
            let (wanted, given) = (parsed.columns(), columns.len());
            let message = format!("{name} takes {wanted} columns, and was given {given}");
            return Err(wrong(message).hint("leave the others out"));
        }
        Ok(parsed)
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

fn out_of_bounds(name: &str) -> impl Fn(Refused) -> Error {
    move |refused| wrong(format!("{name}: {refused}")).hint("change its parameters")
}

fn options<T: DeserializeOwned>(name: &str, parameters: &Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(parameters.clone())).map_err(|error| {
        wrong(format!("parameters of {name}: {error}")).hint("correct them, or leave them out")
    })
}

/// What numbers of a column can be added as.
enum Numbers {
    Integers,
    Decimals(Shown),
    Floats,
}

fn numbers(name: &str, column: &DataType) -> Result<Numbers> {
    match column {
        DataType::Integer { .. } | DataType::Bit | DataType::Year => Ok(Numbers::Integers),
        DataType::Decimal { scale, .. } => Ok(Numbers::Decimals(Shown::from(*scale))),
        DataType::Float | DataType::Double => Ok(Numbers::Floats),
        DataType::Text
        | DataType::Bytes
        | DataType::Date
        | DataType::Time(_)
        | DataType::DateTime(_)
        | DataType::Timestamp(_)
        | DataType::Enum(_)
        | DataType::Set(_)
        | DataType::Json
        | DataType::Geometry
        | DataType::Vector => Err(wrong(format!("{name} of a column that holds no numbers"))
            .hint("name a column of numbers, or a monoid that takes any values")),
    }
}

/// Takes the columns it needs off the front of `columns`.
fn parse(
    name: &str,
    parameters: &Map<String, Value>,
    columns: &mut &[DataType],
    depth: usize,
) -> Result<Dynamic> {
    if depth > DEPTH_MAX {
        return Err(
            wrong(format!("monoids more than {DEPTH_MAX} deep in each other"))
                .hint("take tuples and maps apart into several folds"),
        );
    }
    let kind = match name {
        "count" => options::<Nothing>(name, parameters).map(|_| Kind::Count(Count))?,
        "tuple" => tuple(options(name, parameters)?, columns, depth)?,
        "map" => {
            let options: MapOptions = options(name, parameters)?;
            take(name, columns)?;
            let (inner, _, parameters) = options.of.parts();
            let inner = parse(&inner, &parameters, columns, depth + 1)?;
            Kind::Map(Box::new(MapMerge::new(inner, options.entries_max)))
        }
        _ => of_one_column(name, parameters, columns)?,
    };
    Ok(Dynamic::of(kind))
}

fn take<'a>(name: &str, columns: &mut &'a [DataType]) -> Result<&'a DataType> {
    let Some((first, rest)) = columns.split_first() else {
        return Err(
            wrong(format!("{name} takes a column, and none is left for it"))
                .hint("name the column"),
        );
    };
    *columns = rest;
    Ok(first)
}

fn of_one_column(
    name: &str,
    parameters: &Map<String, Value>,
    columns: &mut &[DataType],
) -> Result<Kind> {
    if !NAMES.contains(&name) && name != "hll" {
        let known = NAMES.join(", ");
        return Err(
            wrong(format!("no monoid has the name {name:?}")).hint(format!("it is one of {known}"))
        );
    }
    let column = take(name, columns)?;
    let bounds = out_of_bounds(name);
    if matches!(name, "sum" | "average" | "min" | "max" | "first" | "last") {
        options::<Nothing>(name, parameters)?;
    }
    Ok(match name {
        "sum" => match numbers(name, column)? {
            Numbers::Integers => Kind::SumInteger(SumInteger),
            Numbers::Decimals(scale) => Kind::SumDecimal(SumDecimal, scale),
            Numbers::Floats => Kind::SumFloat(SumFloat),
        },
        "average" => match numbers(name, column)? {
            Numbers::Integers => Kind::AverageInteger(Average(SumInteger)),
            Numbers::Decimals(scale) => Kind::AverageDecimal(Average(SumDecimal), scale),
            Numbers::Floats => Kind::AverageFloat(Average(SumFloat)),
        },
        "min" => Kind::Min(Default::default()),
        "max" => Kind::Max(Default::default()),
        "first" => Kind::First(Default::default()),
        "last" => Kind::Last(Default::default()),
        "set" => Kind::Set(Set::new(
            options::<SetOptions>(name, parameters)?.members_max,
        )),
        "bloom" => {
            let BloomOptions {
                items,
                false_positives,
            } = options(name, parameters)?;
            Kind::Bloom(Bloom::new(items, false_positives).map_err(bounds)?)
        }
        "top" => {
            let TopOptions { k, counters } = options(name, parameters)?;
            let counters = counters.unwrap_or(10 * usize::from(k));
            if counters < usize::from(k) {
                return Err(
                    wrong(format!("top: {k} are to be shown of {counters} counters")).hint(
                        "give it more counters than it shows: ten times as many are a good start",
                    ),
                );
            }
            Kind::Top(Top::new(counters).map_err(bounds)?, k)
        }
        "quantiles" => quantiles(name, parameters, column)?,
        "decayed" => decayed(name, parameters, column)?,
        // `distinct` and `hll`: all other names are above.
        _ => {
            let DistinctOptions { precision } = options(name, parameters)?;
            Kind::Distinct(HyperLogLog::new(precision).map_err(bounds)?)
        }
    })
}

fn quantiles(name: &str, parameters: &Map<String, Value>, column: &DataType) -> Result<Kind> {
    numbers(name, column)?;
    let options: QuantilesOptions = options(name, parameters)?;
    if options.at.iter().any(|q| !(0.0..=1.0).contains(q)) {
        return Err(
            wrong("quantiles: `at` has a number outside 0 to 1".to_owned())
                .hint("write 0.99 for the 99th percentile"),
        );
    }
    let monoid = Quantiles::new(options.error, options.buckets_max);
    let monoid = monoid.map_err(out_of_bounds(name))?;
    Ok(Kind::Quantiles(monoid, options.at))
}

fn decayed(name: &str, parameters: &Map<String, Value>, column: &DataType) -> Result<Kind> {
    numbers(name, column)?;
    let half_life_us = options::<DecayedOptions>(name, parameters)?.half_life_s * 1e6;
    // A century is enough; and so neither NaN nor a negative number passes.
    if !(1.0..=3.2e15).contains(&half_life_us) {
        let message = "decayed: a half-life below a microsecond or above a century";
        return Err(wrong(message.to_owned()).hint("give half_life_s in seconds"));
    }
    #[allow(clippy::cast_sign_loss, reason = "just checked")]
    let half_life_us = half_life_us.round() as u64;
    let monoid = DecayedSum::new(half_life_us).map_err(out_of_bounds(name))?;
    Ok(Kind::Decayed(monoid))
}

fn tuple(options: TupleOptions, columns: &mut &[DataType], depth: usize) -> Result<Kind> {
    if options.of.is_empty() || options.of.len() > MEMBERS_MAX {
        return Err(wrong(format!("a tuple of {} monoids", options.of.len()))
            .hint(format!("give it 1 to {MEMBERS_MAX}")));
    }
    let mut members: Vec<Member> = Vec::with_capacity(options.of.len());
    for inner in options.of {
        let (monoid, shown_as, parameters) = inner.parts();
        let of = parse(&monoid, &parameters, columns, depth + 1)?;
        let name = shown_as.unwrap_or(monoid);
        if members.iter().any(|member| member.name == name) {
            return Err(
                wrong(format!("two members of a tuple are shown as {name:?}"))
                    .hint("give one of them another name with `as`"),
            );
        }
        members.push(Member { name, of });
    }
    Ok(Kind::Tuple(members))
}

impl Dynamic {
    /// Whether what was added can be taken back: where not, updates and deletes of rows need a policy.
    #[must_use]
    pub fn is_invertible(&self) -> bool {
        self.laws().invertible
    }
}
