//! Rows of keys, read from the source again: what `take_back: refold` asks for.
//!
//! A monoid that cannot take back (a maximum, a set) is brought right again after a change took a row out of an aggregate: the rows
//! that the source has of its key are read, and their aggregate takes the old one's place. The source's view may be ahead of the log.
//! What the log then says once more is in the aggregate already, which changes nothing where the monoid is idempotent; and what it says
//! was taken out meanwhile has the key read again. So an aggregate is exact once the log has passed the view (what [`SourceRows::read`] answers).

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use headwater_core::batch::Batch;
use headwater_core::key::{Key, KeyRange};
use headwater_core::position::Position as _;
use headwater_core::schema::{TableName, TableSchema};
use headwater_core::source::{
    ChunkRequest, ChunkRows, LogPoint, ScanStep, SnapshotReader, Source, Split,
};
use headwater_core::{Error, ErrorKind, Result};
use serde_json::Value;

/// What is read.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The table.
    pub table: &'a TableName,
    /// The columns of the key; none: all rows.
    pub columns: &'a [String],
    /// The keys.
    pub keys: &'a [Key],
    /// What the view must show: what [`SourceRows::boundary`] said.
    pub at_least: &'a Value,
}

/// What gets the rows, as they come: the definition that they have, and some of them.
pub type Each<'a> = dyn FnMut(&Arc<TableSchema>, &Batch) -> Result<()> + Send + 'a;

/// A future of an answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A source whose rows can be read again beside its log. Positions are as checkpoints write them.
pub trait SourceRows: Debug + Send + Sync + 'static {
    /// The place up to which everything is out at a point of the log, and nothing behind it; none amid a transaction.
    ///
    /// # Errors
    /// `CheckpointDamaged`.
    fn boundary(&self, log: &Value) -> Result<Option<Value>>;

    /// Whether everything at or before `seen` is out at a point of the log.
    ///
    /// # Errors
    /// `CheckpointDamaged`.
    fn has_passed(&self, log: &Value, seen: &Value) -> Result<bool>;

    /// Hands over the rows of keys, and perhaps others. All that they could show lies at or before the place that is answered.
    ///
    /// Errors: the source's; what `each` answers.
    fn read<'a>(&'a self, asked: Asked<'a>, each: &'a mut Each<'a>) -> Answer<'a, Value>;
}

/// The rows of a source of the engine.
#[derive(Debug)]
pub struct RowsOf<S>(S);

impl<S: Source + Debug> RowsOf<S> {
    /// Of this source, which is the one that the run follows.
    pub fn new(source: S) -> Self {
        Self(source)
    }

    async fn read_rows(&self, asked: Asked<'_>, each: &mut Each<'_>) -> Result<Value> {
        let at_least: S::Position = of_json(asked.at_least)?;
        let (columns, keys) = (asked.columns, asked.keys);
        let request = ChunkRequest {
            table: asked.table,
            rows: ChunkRows::Among { columns, keys },
            at_least: &at_least,
        };
        let mut cuts = self.0.open_chunk(request).await?;
        let (Some(mut reader), Some(info)) = (cuts.readers.pop(), cuts.tables.pop()) else {
            return Err(Error::new(
                ErrorKind::Internal,
                "the source opened no reader",
            ));
        };
        let read = read_whole(&mut reader, asked.table, &info.schema, each).await;
        reader.close().await;
        serde_json::to_value(read?).map_err(|cause| {
            Error::new(ErrorKind::Internal, "a position cannot be written").caused_by(cause)
        })
    }
}

async fn read_whole<R: SnapshotReader>(
    reader: &mut R,
    table: &TableName,
    schema: &Arc<TableSchema>,
    each: &mut Each<'_>,
) -> Result<R::Position> {
    let split = Split {
        table: table.clone(),
        range: KeyRange::default(),
    };
    reader.begin(&split).await?;
    let mut rows = Batch::new();
    loop {
        let step = reader.read(&mut rows).await?;
        each(schema, &rows)?;
        if step == ScanStep::Done {
            return reader.finish().await;
        }
        rows.clear();
    }
}

fn of_json<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T> {
    serde_json::from_value(value.clone()).map_err(|cause| {
        Error::new(ErrorKind::CheckpointDamaged, "a place in the log cannot be read")
            .hint("bring back a copy of the store, or have the folds built anew: headwater run --rebuild-folds")
            .caused_by(cause)
    })
}

impl<S: Source + Debug> SourceRows for RowsOf<S> {
    fn boundary(&self, log: &Value) -> Result<Option<Value>> {
        let point: LogPoint<S::Position> = of_json(log)?;
        let boundary = point.boundary().map(serde_json::to_value);
        boundary.transpose().map_err(|cause| {
            Error::new(ErrorKind::Internal, "a position cannot be written").caused_by(cause)
        })
    }

    fn has_passed(&self, log: &Value, seen: &Value) -> Result<bool> {
        let point: LogPoint<S::Position> = of_json(log)?;
        let seen: S::Position = of_json(seen)?;
        Ok(point.boundary().unwrap_or(&point.position).includes(&seen))
    }

    fn read<'a>(&'a self, asked: Asked<'a>, each: &'a mut Each<'a>) -> Answer<'a, Value> {
        Box::pin(self.read_rows(asked, each))
    }
}
