//! Views of a table that stand at no known place of the log: for comparing what is there with what a sink holds, not for copying.
//! They need no lock and no privilege but that of reading.

use std::future::Future;
use std::sync::Arc;

use crate::error::Result;
use crate::key::KeyValue;
use crate::schema::TableName;
use crate::source::{Cuts, SnapshotReader};

/// Rows whose value of a column lies in one of these ranges, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// The column.
    pub column: Arc<str>,
    /// The ranges.
    pub ranges: Vec<(KeyValue, KeyValue)>,
}

/// A source whose tables can be looked at.
pub trait Views: Send + Sync {
    /// Its readers. Each has a view of its own, of about the same moment as the others'; none has a cut.
    type Reader: SnapshotReader;

    /// Opens views of one table: of all rows that a first copy would read, or of those among them that lie within.
    /// [`TableInfo::is_bounded`](crate::source::TableInfo::is_bounded) says whether a condition of the user's or `within` bounds
    /// them.
    ///
    /// Errors: `NotFound` when the table has gone, `SchemaChanged` when its definition does not stand still.
    fn open_views(
        &self,
        table: &TableName,
        within: Option<&Within>,
        readers: usize,
    ) -> impl Future<Output = Result<Cuts<Self::Reader>>> + Send;
}
