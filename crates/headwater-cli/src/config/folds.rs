//! The section `folds`: rows folded into a state store.

use std::path::PathBuf;

use headwater_core::Result;
use headwater_fold::fold::{Fold, TakeBack, WindowText};
use headwater_fold::sink::FoldOptions;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::file::File;
use super::{misused, names};

/// Rows folded by key into aggregates, and where these are kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Folds {
    /// The store: the path of a file, `embedded:PATH`.
    #[schemars(length(min = 1))]
    pub(crate) store: String,
    /// The folds.
    #[schemars(length(min = 1))]
    pub(crate) pipelines: Vec<Pipeline>,
    /// The file of rows that cannot be folded. The run ends at the first if not given.
    #[schemars(length(min = 1))]
    pub(crate) dead_letters: Option<PathBuf>,
    /// Bytes of aggregates in memory between two commits. 67108864 if not given.
    #[schemars(range(min = 1048576, max = 4294967295u32))]
    pub(crate) pending_bytes_max: Option<u32>,
}

/// A fold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pipeline {
    /// Its name, for queries: letters, digits, `_` and `-`.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// The table.
    #[schemars(length(min = 1))]
    pub(crate) table: String,
    /// The column that makes the key, or several. One aggregate of all rows if not given.
    pub(crate) key: Option<Columns>,
    /// The column that is folded, or as many as the monoid takes.
    pub(crate) value: Option<Columns>,
    /// The monoid: its name, or its name with what it takes: `sum`, `{quantiles: {error: 0.01}}`.
    #[schemars(extend("x-free" = true))]
    pub(crate) monoid: Value,
    /// Buckets of time. Over all time if not given.
    pub(crate) window: Option<WindowText>,
    /// Which rows count: `status = 'paid' AND amount > 0`.
    pub(crate) filter: Option<String>,
    /// What becomes of updates and deletes where the monoid cannot take back: `refuse` (if not given) or `ignore`.
    pub(crate) take_back: Option<TakeBack>,
}

/// A column, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Columns {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// Folds that were chosen.
#[derive(Debug, Clone)]
pub(crate) struct FoldSettings {
    pub(crate) store: StoreChoice,
    pub(crate) folds: Vec<Fold>,
    pub(crate) options: FoldOptions,
}

/// Where aggregates are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreChoice {
    /// In a file of this machine.
    Embedded(PathBuf),
}

impl StoreChoice {
    /// Reads `embedded:PATH`, or a path.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let path = text.strip_prefix("embedded:").unwrap_or(text);
        let is_url = path.contains("://");
        if path.is_empty() || is_url {
            return Err(misused(
                format!("`{}` is no store of folds", super::mask::urls(text)),
                "write the path of a file: folds.redb",
            ));
        }
        Ok(Self::Embedded(path.into()))
    }

    /// The file beside which the run is found.
    pub(crate) fn path(&self) -> &std::path::Path {
        match self {
            Self::Embedded(path) => path,
        }
    }
}

impl Columns {
    fn list(columns: Option<&Self>) -> Vec<String> {
        match columns {
            None => Vec::new(),
            Some(Self::One(one)) => vec![one.clone()],
            Some(Self::Several(several)) => several.clone(),
        }
    }
}

/// The names of the tables that are folded.
pub(crate) fn tables(file: &File) -> impl Iterator<Item = &str> {
    let folds = file.folds.iter().flat_map(|folds| &folds.pipelines);
    folds.map(|fold| fold.table.as_str())
}

/// The section, resolved. `database` is that of tables named without one.
pub(crate) fn settings(file: &File, database: Option<&str>) -> Result<FoldSettings> {
    let Some(section) = &file.folds else {
        return Err(misused(
            "the configuration has no folds",
            "add the section `folds`, with `store` and `pipelines`",
        ));
    };
    let mut folds = Vec::new();
    for pipeline in &section.pipelines {
        let fold = fold(pipeline, database)?;
        fold.validate()?;
        folds.push(fold);
    }
    let mut options = FoldOptions {
        dead_letters: section.dead_letters.clone(),
        ..FoldOptions::default()
    };
    if let Some(bytes) = section.pending_bytes_max {
        options.pending_bytes_max = bytes as usize;
    }
    Ok(FoldSettings {
        store: StoreChoice::parse(&section.store)?,
        folds,
        options,
    })
}

fn fold(pipeline: &Pipeline, database: Option<&str>) -> Result<Fold> {
    Ok(Fold {
        name: pipeline.name.clone(),
        table: names::table(&pipeline.table, database)?,
        key: Columns::list(pipeline.key.as_ref()),
        value: Columns::list(pipeline.value.as_ref()),
        monoid: pipeline.monoid.clone(),
        window: pipeline.window.clone(),
        filter: pipeline.filter.clone(),
        take_back: pipeline.take_back.unwrap_or_default(),
    })
}
