//! Folds of a run: their store, and what reads it.

use std::sync::Arc;

use headwater_core::sink::AnySink;
use headwater_core::{ErrorKind, Result, clock};
use headwater_fold::fold::Typed;
use headwater_fold::query::{self, Answer, Question};
use headwater_fold::sink::{Counts, FoldOptions, FoldSink};
use headwater_fold::store::{Cached, Embedded, EmbeddedReader, StateReader, StateStore};
use headwater_mysql::MysqlSource;
use headwater_redis::{RedisReader, RedisStore};
use serde_json::Value;

use crate::config::{Condition, FoldSettings, SourceSettings, StoreChoice};

/// Reads aggregates of whatever store.
#[derive(Debug, Clone)]
pub(crate) enum Reader {
    Embedded(Arc<EmbeddedReader>),
    Redis(Arc<RedisReader>),
}

impl Reader {
    /// Of a store: one in a file, which no process has open; or a Redis, which is asked with the first question.
    ///
    /// # Errors
    /// `NotFound`, `Locked`, `Configuration`.
    pub(crate) fn open(store: &StoreChoice) -> Result<Self> {
        Ok(match store {
            StoreChoice::Embedded(path) => Self::Embedded(Arc::new(EmbeddedReader::open(path)?)),
            StoreChoice::Redis(options) => Self::Redis(Arc::new(RedisReader::new(options)?)),
        })
    }

    /// Answers.
    ///
    /// # Errors
    /// See [`query::answer`].
    pub(crate) async fn answer(&self, question: &Question) -> Result<Answer> {
        let now_s = i64::try_from(clock::now_s()).unwrap_or(i64::MAX);
        match self {
            Self::Embedded(reader) => query::answer(&**reader, question, now_s).await,
            Self::Redis(reader) => query::answer(&**reader, question, now_s).await,
        }
    }

    /// The checkpoint of the run that writes the store; none before it began.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn checkpoint(&self) -> Result<Option<Value>> {
        let progress = match self {
            Self::Embedded(reader) => reader.written().await?,
            Self::Redis(reader) => reader.written().await?,
        };
        Ok(progress.map(|mut progress| progress["checkpoint"].take()))
    }
}

/// The sink of folds for this run, what it counts, and what reads its store beside it.
///
/// # Errors
/// `Locked` if another process has the store's file open, `Storage`, `Configuration`.
pub(crate) fn open(
    settings: &FoldSettings,
    typed: Vec<Typed>,
    options: FoldOptions,
) -> Result<(AnySink, Arc<Counts>, Reader)> {
    match &settings.store {
        StoreChoice::Embedded(path) => {
            let store = Embedded::new(path);
            let reader = Reader::Embedded(Arc::new(store.reader()?));
            let sink = FoldSink::new(typed, store, options)?;
            let counts = sink.counts();
            Ok((AnySink::new(sink), counts, reader))
        }
        StoreChoice::Redis(redis) => {
            let store = RedisStore::new((**redis).clone())?;
            let store = Cached::new(store, settings.cache_bytes_max);
            let reader = Reader::Redis(Arc::new(store.reader()?));
            let sink = FoldSink::new(typed, store, options)?;
            let counts = sink.counts();
            Ok((AnySink::new(sink), counts, reader))
        }
    }
}

/// The folds with the types that their columns have now.
///
/// # Errors
/// `NotFound` for tables and columns that are not there, `Configuration` for types that a monoid cannot fold; the source's.
pub(crate) async fn typed(
    settings: &FoldSettings,
    source: &MysqlSource,
    read: &SourceSettings,
) -> Result<Vec<Typed>> {
    let tables = source.tables().await?;
    let mut typed = Vec::new();
    for fold in &settings.folds {
        let found = tables.iter().find(|table| table.name == fold.table);
        let found = found.ok_or_else(|| {
            headwater_core::Error::new(
                ErrorKind::NotFound,
                "a fold's table is not there, or not read",
            )
            .with("fold", &fold.name)
            .with("table", &fold.table)
            .hint("look at its name, and at `mysql.tables` and the filter, which must leave it in")
        })?;
        let fold = fold.clone().over(&found.to_schema())?;
        check_refold(&fold, read)?;
        typed.push(fold);
    }
    Ok(typed)
}

/// Rows of a key are read as they are in the table: nothing else may choose among them but the fold's own filter.
fn check_refold(typed: &Typed, read: &SourceSettings) -> Result<()> {
    let is_bounded = |condition: &Condition| condition.table == typed.fold.table;
    let chosen_by = match read.conditions.iter().any(is_bounded) {
        true => "a condition on the table's rows (`where`)",
        false if read.filter.looks_at_rows() => "a filter that looks at rows",
        false => return Ok(()),
    };
    if !typed.refolds() {
        return Ok(());
    }
    let error = headwater_core::Error::new(
        ErrorKind::Configuration,
        "a fold is to be refolded (`take_back: refold`), and not all rows of its table go into it",
    );
    Err(error
        .with("fold", &typed.fold.name)
        .with("chosen by", chosen_by)
        .hint("choose rows by the fold's own `filter`, or say `take_back: ignore` or `refuse`"))
}
