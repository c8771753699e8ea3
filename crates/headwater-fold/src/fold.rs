//! A fold as a configuration defines it: which rows, which key, which value, which monoid, which window.

use headwater_core::schema::{DataType, TableName, TableSchema};
use headwater_core::{Error, ErrorKind, Result, zone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::condition::{self, Bound, Condition};
use crate::monoid::{Dynamic, Monoid};
use crate::store::FoldInfo;
use crate::window::{Every, Window, parse_length_s};

/// What becomes of what cannot be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "TakeBackText")]
pub enum TakeBack {
    /// The run ends.
    #[default]
    Refuse,
    /// It stays.
    Ignore,
    /// The key's rows are read from the source again, and the aggregate is made of them: see [`crate::refold`].
    Refold,
}

/// Buckets of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WindowSection")]
pub struct WindowText {
    /// `day`, `hour`, or a length: `15m`.
    pub every: String,
    /// The column that tells when.
    pub of: String,
    /// The zone of days, hours and local times: an IANA name. UTC if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// For how long a bucket is kept after its end: `90d`. For good if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// How much a query without a range covers, up to now: a sliding window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
}

impl WindowText {
    /// The window.
    ///
    /// # Errors
    /// `Configuration`.
    pub fn window(&self) -> Result<Window> {
        let zone = zone::parse(self.zone.as_deref().unwrap_or("UTC"))?;
        let every = match self.every.as_str() {
            "day" => Every::Day,
            "hour" => Every::Hour,
            text => {
                let length = parse_length_s(text)?;
                Every::Seconds(u32::try_from(length).map_err(|cause| {
                    Error::new(
                        ErrorKind::Configuration,
                        format!("a bucket of `{text}` is too long"),
                    )
                    .hint("leave the window out to fold over all time")
                    .caused_by(cause)
                })?)
            }
        };
        let keep_s = self.keep.as_deref().map(parse_length_s).transpose()?;
        self.over.as_deref().map(parse_length_s).transpose()?;
        Ok(Window::new(every, zone, keep_s))
    }
}

/// A fold. Its JSON is what a store keeps beside the aggregates: if it differs, they mean something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// The source's table.
    pub table: TableName,
    /// The columns that make the key; none for one aggregate of all rows.
    #[serde(default)]
    pub key: Vec<String>,
    /// The columns that are folded.
    #[serde(default)]
    pub value: Vec<String>,
    /// The monoid, as [`Dynamic::parse`] reads it.
    pub monoid: Value,
    /// The window; none: over all time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowText>,
    /// Which rows count: a [`Condition`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What becomes of updates and deletes where the monoid cannot take back.
    #[serde(default)]
    pub take_back: TakeBack,
}

/// Whether a fold may be called so.
///
/// # Errors
/// `Configuration`.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if !name.is_empty() && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Configuration,
        format!("`{name}` is no name of a fold"),
    )
    .hint("use letters, digits, _ and -: it stands in addresses"))
}

/// The version of how definitions are understood: with another one, folds are built anew.
const MEANING: u32 = 1;

impl Fold {
    /// Looks at everything that can be looked at without the table.
    ///
    /// # Errors
    /// `Configuration`, with what to write instead.
    pub fn validate(&self) -> Result<()> {
        check_name(&self.name)?;
        self.check().map_err(|error| error.with("fold", &self.name))
    }

    fn check(&self) -> Result<()> {
        if let Some(window) = &self.window {
            window.window()?;
        }
        self.condition()?;
        Ok(())
    }

    fn condition(&self) -> Result<Option<Condition>> {
        self.filter.as_deref().map(str::parse).transpose()
    }

    /// The fold over a table of this definition: now the types of its columns, and so its monoid, are known.
    ///
    /// # Errors
    /// `NotFound` for columns that are not there, `Configuration` for types that do not fit.
    pub fn over(self, schema: &TableSchema) -> Result<Typed> {
        let value = columns_of(schema, &self.value);
        let types = value.map(|value| {
            let type_of = |at: usize| schema.columns[at].data_type.clone();
            value.into_iter().map(type_of).collect()
        });
        let typed = types.and_then(|types| Typed::new(self.clone(), types));
        let typed =
            typed.map_err(|error| error.with("fold", &self.name).with("table", &schema.name))?;
        typed.bind(schema)?;
        Ok(typed)
    }
}

fn columns_of(schema: &TableSchema, names: &[String]) -> Result<Vec<usize>> {
    let names = names.iter();
    names
        .map(|name| condition::column_of(schema, name))
        .collect()
}

/// A fold whose monoid is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    /// The fold.
    pub fold: Fold,
    /// The types of the columns that are folded.
    pub types: Vec<DataType>,
    /// Its monoid.
    pub monoid: Dynamic,
}

/// What a store keeps of it.
#[derive(Serialize, Deserialize)]
struct Definition {
    meaning: u32,
    fold: Fold,
    types: Vec<DataType>,
    monoid: String,
}

impl Typed {
    fn new(fold: Fold, types: Vec<DataType>) -> Result<Self> {
        let (name, parameters) = match &fold.monoid {
            Value::String(name) => (name.as_str(), Map::new()),
            Value::Object(one) if one.len() == 1 => {
                let (name, parameters) = one.iter().next().ok_or_else(no_monoid)?;
                match parameters {
                    Value::Object(parameters) => (name.as_str(), parameters.clone()),
                    Value::Null => (name.as_str(), Map::new()),
                    _ => return Err(no_monoid()),
                }
            }
            _ => return Err(no_monoid()),
        };
        let monoid = Dynamic::parse(name, &parameters, &types)?;
        Ok(Self {
            monoid,
            types,
            fold,
        })
    }

    /// Whether what cannot be taken back is read again.
    #[must_use]
    pub fn refolds(&self) -> bool {
        self.fold.take_back == TakeBack::Refold && !self.monoid.laws().invertible
    }

    /// Whether keys of these types can be refolded, and by this monoid.
    fn check_refold(&self, key: &[usize], schema: &TableSchema) -> Result<()> {
        if !self.refolds() {
            return Ok(());
        }
        if !self.monoid.is_of_rows() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "this monoid cannot be refolded: rows that are read again would count twice, or in another order",
            )
            .with("monoid", self.monoid.name())
            .hint("`take_back: refold` is for min, max, set, distinct, bloom, and tuples and maps of these; say `ignore` or `refuse`"));
        }
        let inexact = |at: &&usize| {
            matches!(
                schema.columns[**at].data_type,
                DataType::Float
                    | DataType::Double
                    | DataType::Json
                    | DataType::Geometry
                    | DataType::Vector
            )
        };
        if let Some(&at) = key.iter().find(inexact) {
            return Err(Error::new(
                ErrorKind::Configuration,
                "a key of this column cannot be refolded: its rows could not be found again by its value",
            )
            .with("column", &schema.columns[at].name)
            .hint("key the fold by columns of exact types, or say `take_back: ignore` or `refuse`"));
        }
        Ok(())
    }

    /// What a store knows it by.
    ///
    /// # Errors
    /// `Internal`.
    pub fn info(&self) -> Result<FoldInfo> {
        let definition = serde_json::to_value(Definition {
            meaning: MEANING,
            fold: self.fold.clone(),
            types: self.types.clone(),
            monoid: self.monoid.name().into_owned(),
        });
        let definition = definition.map_err(|cause| {
            Error::new(ErrorKind::Internal, "a fold cannot be written down").caused_by(cause)
        })?;
        Ok(FoldInfo {
            name: self.fold.name.clone(),
            definition,
        })
    }

    /// The fold that a store knows.
    ///
    /// # Errors
    /// `CheckpointForeign`.
    pub fn of_info(info: &FoldInfo) -> Result<Self> {
        let foreign = || {
            Error::new(
                ErrorKind::CheckpointForeign,
                "the store holds a fold that this version cannot read",
            )
            .with("fold", &info.name)
            .hint("use the version that wrote it, or have the folds built anew: headwater run --rebuild-folds")
        };
        let known = Definition::deserialize(&info.definition)
            .map_err(|cause| foreign().caused_by(cause))?;
        let typed =
            Self::new(known.fold, known.types).map_err(|cause| foreign().caused_by(cause))?;
        if known.meaning != MEANING || typed.monoid.name() != known.monoid {
            return Err(foreign());
        }
        Ok(typed)
    }

    /// Binds it to a definition of its table, which may be a later one than it began with.
    ///
    /// # Errors
    /// `NotFound` for columns that are not there any more, `SinkRejected` where they are now of types that another monoid folds.
    pub fn bind(&self, schema: &TableSchema) -> Result<Plan> {
        let plan = self.plan(schema).map_err(|error| {
            let error = error
                .with("fold", &self.fold.name)
                .with("table", &schema.name);
            error.hint("change the fold's definition, and it is built anew")
        })?;
        let refolds = self.check_refold(&plan.key, schema);
        refolds.map_err(|error| error.with("fold", &self.fold.name))?;
        Ok(plan)
    }

    fn plan(&self, schema: &TableSchema) -> Result<Plan> {
        let fold = &self.fold;
        let value = columns_of(schema, &fold.value)?;
        let types = value.iter().map(|&at| schema.columns[at].data_type.clone());
        let now = Self::new(fold.clone(), types.collect())?;
        if now.monoid.name() != self.monoid.name() {
            return Err(Error::new(
                ErrorKind::SinkRejected,
                "a column that is folded has another type now, and its aggregates another form",
            )
            .with("was", self.monoid.name())
            .with("is", now.monoid.name()));
        }
        let time = fold.window.as_ref();
        let time = time.map(|window| condition::column_of(schema, &window.of));
        let filter = fold.condition()?;
        Ok(Plan {
            key: columns_of(schema, &fold.key)?,
            value,
            time: time.transpose()?,
            filter: filter.map(|filter| filter.bind(schema)).transpose()?,
        })
    }
}

fn no_monoid() -> Error {
    Error::new(ErrorKind::Configuration, "the monoid of a fold cannot be read")
        .hint("write its name (`monoid: sum`), or its name with what it takes (`monoid: {quantiles: {error: 0.01}}`)")
}

/// A fold bound to the columns of a definition.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The columns of the key.
    pub key: Vec<usize>,
    /// The columns that are folded.
    pub value: Vec<usize>,
    /// The column that tells when.
    pub time: Option<usize>,
    /// Which rows count.
    pub filter: Option<Bound>,
}
