//! The section `folds`: rows folded into a state store.

use std::path::{Path, PathBuf};

use headwater_core::{Error, Result};
use headwater_fold::fold::{Fold, TakeBack, WindowText};
use headwater_fold::sink::FoldOptions;
use headwater_redis::RedisOptions;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::connection::read_password_file;
use super::file::{File, Secret};
use super::{Lookup, misused, names};

/// The environment variable that holds the password of the Redis.
pub(crate) const PASSWORD_VARIABLE: &str = "HEADWATER_REDIS_PASSWORD";

/// Rows folded by key into aggregates, and where these are kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Folds {
    /// The store: the path of a file (`embedded:PATH`), or a Redis or Valkey, `redis://USER:PASSWORD@HOST:PORT/DATABASE?name=NAME`
    /// (`rediss://` with TLS), where the name is this pipeline's own and user, password and database may be left out.
    #[schemars(length(min = 1))]
    pub(crate) store: String,
    /// The password of that Redis. Better from a variable (`${NAME}`), `password_file` or `HEADWATER_REDIS_PASSWORD`.
    pub(crate) password: Option<Secret>,
    /// A file that holds the password, in place of `password`.
    #[schemars(length(min = 1))]
    pub(crate) password_file: Option<PathBuf>,
    /// The folds.
    #[schemars(length(min = 1))]
    pub(crate) pipelines: Vec<Pipeline>,
    /// The file of rows that cannot be folded. The run ends at the first if not given.
    #[schemars(length(min = 1))]
    pub(crate) dead_letters: Option<PathBuf>,
    /// Bytes of aggregates that are kept in memory between steps, so that those that were touched last are not read back from the
    /// Redis. 0 if not given: none. The store in a file has a cache of its own.
    #[schemars(range(min = 0, max = 4294967295u32))]
    pub(crate) cache_bytes_max: Option<u32>,
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
    /// What becomes of updates and deletes where the monoid cannot take back: `refuse` (if not given), `ignore`, or
    /// `refold`: the key's rows are read from the source again (min, max, set, distinct, bloom, and tuples and maps of these).
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
    pub(crate) cache_bytes_max: usize,
    pub(crate) folds: Vec<Fold>,
    pub(crate) options: FoldOptions,
}

/// Where aggregates are kept.
#[derive(Debug, Clone)]
pub(crate) enum StoreChoice {
    /// In a file of this machine.
    Embedded(PathBuf),
    /// In a Redis or a Valkey.
    Redis(Box<RedisOptions>),
}

/// Where a password may stand, but for the store's URL and the environment.
#[derive(Debug, Default)]
pub(crate) struct Passwords {
    pub(crate) file: Option<PathBuf>,
    pub(crate) password: Option<SecretString>,
}

impl StoreChoice {
    /// Reads `embedded:PATH`, a path, or the URL of a Redis.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        const REDIS: [&str; 4] = ["redis://", "rediss://", "valkey://", "valkeys://"];
        if REDIS.iter().any(|scheme| text.starts_with(scheme)) {
            let mut options = RedisOptions::from_url(text)?;
            options.refuses_others = true;
            return Ok(Self::Redis(Box::new(options)));
        }
        let path = text.strip_prefix("embedded:").unwrap_or(text);
        let is_url = path.contains("://");
        if path.is_empty() || is_url {
            return Err(misused(
                format!("`{}` is no store of folds", super::mask::urls(text)),
                "write the path of a file, folds.redb, or a Redis, redis://HOST:6379/0?name=NAME",
            ));
        }
        Ok(Self::Embedded(path.into()))
    }

    /// Whether there may be a password that its own text does not have.
    pub(crate) fn wants_password(&self) -> bool {
        matches!(self, Self::Redis(options) if !options.has_password())
    }

    /// With the password of the environment, of a file, or of the configuration, in this order; that of its URL goes before.
    pub(crate) fn with_password(self, passwords: &Passwords, lookup: Lookup<'_>) -> Result<Self> {
        let Self::Redis(options) = self else {
            return Ok(self);
        };
        if options.has_password() {
            return Ok(Self::Redis(options));
        }
        let given = lookup(PASSWORD_VARIABLE).filter(|password| !password.is_empty());
        let password = match (given, &passwords.file) {
            (Some(password), _) => Some(SecretString::from(password)),
            (None, Some(path)) => Some(read_password_file(path)?),
            (None, None) => passwords.password.clone(),
        };
        Ok(Self::Redis(match password {
            Some(password) => Box::new(options.with_password(password.expose_secret())),
            None => options,
        }))
    }

    /// The file beside which the run is found; none of a store that is not on this machine.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Embedded(path) => Some(path),
            Self::Redis(_) => None,
        }
    }

    /// For people: never a secret.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Embedded(path) => path.display().to_string(),
            Self::Redis(options) => format!("redis:{}", options.shown()),
        }
    }

    /// What a run that goes on with it must agree with: a Redis may move, with what it holds.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        match self {
            Self::Embedded(_) => None,
            Self::Redis(options) => Some(format!("folds:redis:{}", options.name)),
        }
    }
}

impl Folds {
    /// What contradicts itself, each with the key below `folds`.
    pub(crate) fn problems(&self) -> Vec<(&'static str, Error)> {
        let mut problems = Vec::new();
        let store = match StoreChoice::parse(&self.store) {
            Ok(store) => store,
            Err(error) => return vec![("store", error)],
        };
        if self.cache_bytes_max.is_some() && matches!(store, StoreChoice::Embedded(_)) {
            let what = "a cache is asked for, and the store is a file, which has one of its own";
            problems.push(("cache_bytes_max", misused(what, "leave it out")));
        }
        let given = match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => {
                let twice = "both `password` and `password_file` are given";
                problems.push(("password_file", misused(twice, "keep one of them")));
                "password_file"
            }
            (Some(_), None) => "password",
            (None, Some(_)) => "password_file",
            (None, None) => return problems,
        };
        match &store {
            StoreChoice::Embedded(_) => {
                let what = "a password is given, and the store is a file";
                problems.push((given, misused(what, "leave it out")));
            }
            StoreChoice::Redis(options) if options.has_password() => {
                let what = "the password is given twice: the store's URL has one, too";
                problems.push((given, misused(what, "leave it out of the URL")));
            }
            StoreChoice::Redis(_) => {}
        }
        problems
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
pub(crate) fn settings(
    file: &File,
    database: Option<&str>,
    lookup: Lookup<'_>,
) -> Result<FoldSettings> {
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
    let passwords = Passwords {
        file: section.password_file.clone(),
        password: section.password.as_ref().map(|secret| secret.0.clone()),
    };
    Ok(FoldSettings {
        store: StoreChoice::parse(&section.store)?.with_password(&passwords, lookup)?,
        cache_bytes_max: section.cache_bytes_max.unwrap_or(0) as usize,
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
