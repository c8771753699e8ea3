//! Folds of a run: their store, and what reads it.

use std::path::Path;
use std::sync::Arc;

use headwater_core::{ErrorKind, Result, clock};
use headwater_fold::fold::Typed;
use headwater_fold::query::{self, Answer, Question};
use headwater_fold::store::{Embedded, EmbeddedReader, StateStore};
use headwater_mysql::MysqlSource;

use crate::config::{FoldSettings, StoreChoice};

/// Reads aggregates of whatever store.
#[derive(Debug, Clone)]
pub(crate) enum Reader {
    Embedded(Arc<EmbeddedReader>),
}

impl Reader {
    /// Of a store that no process has open.
    ///
    /// # Errors
    /// `NotFound`, `Locked`.
    pub(crate) fn open(store: &StoreChoice) -> Result<Self> {
        let StoreChoice::Embedded(path) = store;
        Ok(Self::Embedded(Arc::new(EmbeddedReader::open(path)?)))
    }

    /// Answers.
    ///
    /// # Errors
    /// See [`query::answer`].
    pub(crate) async fn answer(&self, question: &Question) -> Result<Answer> {
        let now_s = i64::try_from(clock::now_s()).unwrap_or(i64::MAX);
        match self {
            Self::Embedded(reader) => query::answer(&**reader, question, now_s).await,
        }
    }
}

/// A store that is opened for this run, and what reads it beside the run.
///
/// # Errors
/// `Locked` if another process has it open, `Storage`.
pub(crate) fn open(path: &Path) -> Result<(Embedded, Reader)> {
    let store = Embedded::new(path);
    let reader = Reader::Embedded(Arc::new(store.reader()?));
    Ok((store, reader))
}

/// The folds with the types that their columns have now.
///
/// # Errors
/// `NotFound` for tables and columns that are not there, `Configuration` for types that a monoid cannot fold; the source's.
pub(crate) async fn typed(settings: &FoldSettings, source: &MysqlSource) -> Result<Vec<Typed>> {
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
        typed.push(fold.clone().over(&found.to_schema())?);
    }
    Ok(typed)
}
