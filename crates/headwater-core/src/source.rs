//! The contract of a source: cuts of what is there, and the log of what changes. The engine ([`crate::engine`]) is
//! generic over it; a connector implements these three traits and nothing else.

use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Key, KeyRange};
use crate::load::{LoadLimits, Measured};
use crate::position::{Position, SourceIdentity};
use crate::schema::{TableName, TableSchema};
use crate::value::DateTime;

/// A place from which the log can be read on: a transaction boundary, and how much of what follows it is out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "P: Position")]
pub struct LogPoint<P> {
    /// The last transaction boundary.
    pub position: P,
    /// Rows after it that were delivered already and are skipped on reading them again. Counted before any filter but the
    /// choice of tables.
    #[serde(default)]
    pub rows_done: u64,
    /// The boundary up to which everything is out, where that is not `position`: reading has to begin before a transaction that
    /// is prepared and still open. None amid a transaction, and as long as rows are skipped.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub out: Option<P>,
}

fn none<P>() -> Option<P> {
    None
}

impl<P> LogPoint<P> {
    /// Where everything up to `position` is out, and nothing after it.
    #[must_use]
    pub const fn at(position: P) -> Self {
        Self {
            position,
            rows_done: 0,
            out: None,
        }
    }

    /// The boundary up to which everything is out, and after which nothing is; none amid a transaction.
    #[must_use]
    pub fn boundary(&self) -> Option<&P> {
        match &self.out {
            Some(out) => Some(out),
            None if self.rows_done == 0 => Some(&self.position),
            None => None,
        }
    }

    /// Whether reading can begin where the stream stands: no transaction is half out, or prepared and open.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.rows_done == 0 && self.out.is_none()
    }
}

/// A table to be copied.
#[derive(Debug, Clone)]
pub struct TableInfo {
    /// Its definition as of the cut.
    pub schema: Arc<TableSchema>,
    /// Roughly how many rows it has: for progress and for the size of splits, never for correctness.
    pub estimated_rows: u64,
    /// Whether a condition bounds what is copied of it: [`SnapshotReader::read`] gives only the rows that meet it. A
    /// condition is about the row alone: two rows with the same contents both meet it, or neither does. The log is not
    /// bounded by it, so every change of a key that was read goes out, whether its row meets the condition or not.
    pub is_bounded: bool,
}

/// What the engine asks for when it wants cuts.
#[derive(Debug)]
pub struct CutRequest<'a, P> {
    /// The cut must include this position: the stream has emitted everything up to it. (`P ≥ H` of the design.)
    pub at_least: Option<&'a P>,
    /// Readers wanted. A source may give fewer.
    pub readers: usize,
}

/// What the engine asks for when it reads a chunk of a bootstrap beside the running stream.
#[derive(Debug)]
pub struct ChunkRequest<'a, P> {
    /// The table.
    pub table: &'a TableName,
    /// Which of its rows.
    pub rows: ChunkRows<'a>,
    /// The view must show everything up to here: the stream has emitted it.
    pub at_least: &'a P,
}

/// Which rows of a table are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkRows<'a> {
    /// All.
    All,
    /// Those that meet a condition in the source's own language.
    Where(&'a str),
    /// Those that a first copy would read ([`TableInfo::is_bounded`]).
    OfFirstCopy,
    /// Those that hold one of `keys` in these columns, in the same order; and perhaps others, such as those that the server takes for
    /// one of them by its collation. Without columns: all.
    Among {
        /// Names of columns of exact types: no floating point, documents or geometries.
        columns: &'a [String],
        /// A value for each column.
        keys: &'a [Key],
    },
}

/// Views opened for reading, and what was valid at them.
#[derive(Debug)]
pub struct Cuts<R> {
    /// The readers. All may share one cut, or each have its own ([`SnapshotReader::cut`]).
    pub readers: Vec<R>,
    /// The tables to be copied, as of the cut (or later: a table that is found but was not there at the cut fails with
    /// `SchemaChanged` when it is read, and is read at the next cut).
    pub tables: Vec<TableInfo>,
    /// Table definitions valid at the earliest of the cuts, for the log to be decoded from there; null where the log
    /// carries its own.
    pub definitions: Value,
}

/// A split: a key range of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The table.
    pub table: TableName,
    /// The range of keys. Whole for a table that cannot be read in ranges.
    pub range: KeyRange,
}

/// Where a reader stands in its split after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanStep {
    /// The batch holds rows up to and including this key (none where the table has no usable key), and more may follow.
    Rows(Option<Key>),
    /// The split is done; the batch may hold its last rows.
    Done,
}

/// A reader with a view of its own. Everything it reads is exactly as of its cut.
pub trait SnapshotReader: Send + 'static {
    /// The position type of its source.
    type Position: Position;

    /// The reader's cut; none for a cut by marks, whose position is known at [`SnapshotReader::finish`].
    fn cut(&self) -> Option<&Self::Position>;

    /// The upper bound of the next split at the beginning of `range` that holds about `rows` rows; none when the range is
    /// short enough to be one split. Reads keys only. Not cancel-safe.
    fn plan(
        &mut self,
        table: &TableName,
        range: &KeyRange,
        rows: u64,
    ) -> impl Future<Output = Result<Option<Key>>> + Send;

    /// Begins to read a split, in key order. Not cancel-safe.
    ///
    /// Errors: `SchemaChanged` when the definition changed since the cut, `NotFound` when the table has gone, `Connection`
    /// when the view is lost with its connection (the split can be given to another reader of the same cut).
    fn begin(&mut self, split: &Split) -> impl Future<Output = Result<()>> + Send;

    /// Appends the split's next rows to `batch`, which is bounded by the source's own batch size. Not cancel-safe.
    fn read(&mut self, batch: &mut Batch) -> impl Future<Output = Result<ScanStep>> + Send;

    /// Reads the rows of `keys` that the view has: those that meet the table's condition (all of them, where it has none)
    /// are appended to `met`, the others to `unmet`. In any order, each once; rows of keys that the server takes for one of
    /// `keys` by its collation may come too. Asked only while no split is being read. Not cancel-safe.
    ///
    /// This is what a condition costs where cuts are taken by marks: the engine knows from the log that a row changed, but
    /// only the server can say whether it meets the condition.
    ///
    /// Errors: as [`SnapshotReader::begin`].
    fn read_keys(
        &mut self,
        table: &TableName,
        keys: &[Key],
        met: &mut Batch,
        unmet: &mut Batch,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Ends a cut by marks after its rows were read: the high mark. Every change that a row read could contain lies at or
    /// before it, and every change at or before the low mark is in the rows. For a cut that was known from the start, the
    /// same cut again.
    fn finish(&mut self) -> impl Future<Output = Result<Self::Position>> + Send;

    /// Ends the view and closes the connection.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// What a live source has delivered.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveStep<P> {
    /// Rows were appended; everything up to this point is out.
    Rows(LogPoint<P>),
    /// Nothing to append for now; the log has moved on to this point (transactions of other tables, heartbeats).
    Idle(LogPoint<P>),
    /// The target ([`LiveSource::set_target`]) is reached: every transaction it includes is out, and none that it does not
    /// include. The batch may hold the last rows.
    Reached(LogPoint<P>),
}

/// A table whose rows ask for bootstraps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The table.
    pub table: TableName,
    /// Whether its rows are events, too: it is among the tables chosen.
    pub is_streamed: bool,
}

/// A log being read.
pub trait LiveSource: Send + 'static {
    /// The position type of its source.
    type Position: Position;

    /// Stop exactly at `target` (deliver nothing after it until the target is changed), or never.
    fn set_target(&mut self, target: Option<Self::Position>);

    /// Appends the log's next rows to `batch`, in order, transactions whole where they fit a batch: those of the tables
    /// chosen, up to the source's own batch size, and no longer than it takes until nothing more is there at once. Waits
    /// until there is something to say; says `Idle` at least every few seconds. Reconnects by itself at the last
    /// transaction boundary, for as long as its retries allow. Cancel-safe: what was not returned is given again.
    ///
    /// Errors: `ExpiredPosition` when the log no longer reaches back, `Connection` when retries are used up.
    fn next(
        &mut self,
        batch: &mut Batch,
    ) -> impl Future<Output = Result<LiveStep<Self::Position>>> + Send;

    /// Table definitions valid at the last point returned, if they changed since this was last asked.
    fn definitions(&mut self) -> Option<Value>;

    /// When the last event that was read of the log happened, whether it was delivered or not, in seconds since 1970; none at
    /// the log's end. For people, never for correctness.
    fn read_up_to(&self) -> Option<u64> {
        None
    }

    /// How many bytes of the log are still to be read, as far as that is known. For people, never for correctness; it never
    /// waits.
    fn bytes_left(&self) -> Option<u64> {
        None
    }

    /// The failures that it has waited out by itself since this was last asked.
    fn waited_out(&mut self) -> Vec<Error> {
        Vec::new()
    }

    /// The table whose rows ask for bootstraps, by the name that its rows have here, if the log is watched for one. Where it
    /// is not among the tables chosen, its rows come all the same, without a number in their transaction: they are neither
    /// counted in [`LogPoint::rows_done`] nor ever passed over because of it.
    fn watched(&self) -> Option<&Watched> {
        None
    }

    /// Everything up to `point` is durable in every sink: it need not be kept any longer.
    fn acknowledge(&mut self, point: &LogPoint<Self::Position>);

    /// Closes the connection.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// A database that can be copied and followed.
pub trait Source: Send + Sync + 'static {
    /// A place in its log.
    type Position: Position;
    /// Its snapshot readers.
    type Reader: SnapshotReader<Position = Self::Position>;
    /// Its log reader.
    type Live: LiveSource<Position = Self::Position>;

    /// Which tables are streamed, as the source writes that down: it is kept in the checkpoint, so that a change is noticed.
    /// Null where it cannot change.
    fn selection(&self) -> Value {
        Value::Null
    }

    /// The same source with an earlier answer of [`Source::selection`]: the log is read so up to where the tables change.
    ///
    /// # Errors
    /// `CheckpointForeign` if it cannot be read.
    fn with_selection(&self, _selection: &Value) -> Result<Self>
    where
        Self: Sized,
    {
        Err(Error::new(
            ErrorKind::CheckpointForeign,
            "the tables of this source cannot be others than those of the checkpoint",
        )
        .hint("give another --checkpoint file"))
    }

    /// Of each of `tables`, whether it is streamed, be it there or not.
    fn selects(&self, tables: &[TableName]) -> impl Future<Output = Result<Vec<bool>>> + Send {
        let all = vec![true; tables.len()];
        async move { Ok(all) }
    }

    /// What tells this source from others. Connects.
    fn identity(&self) -> impl Future<Output = Result<SourceIdentity>> + Send;

    /// The end of the log now, with the definitions valid there (null where the log carries its own): everything committed
    /// before this was called is included.
    fn current(&self) -> impl Future<Output = Result<(Self::Position, Value)>> + Send;

    /// Fails with `ExpiredPosition` if the log no longer reaches back to `position`, and says what to do.
    fn check_available(&self, position: &Self::Position)
    -> impl Future<Output = Result<()>> + Send;

    /// Opens views at one cut or several.
    fn open_cuts(
        &self,
        request: CutRequest<'_, Self::Position>,
    ) -> impl Future<Output = Result<Cuts<Self::Reader>>> + Send;

    /// The tables that are streamed, as they are now.
    fn tables(&self) -> impl Future<Output = Result<Vec<TableInfo>>> + Send;

    /// The seconds since 1970 of a local time of the source's, which has no zone; 0 for one that is before.
    fn seconds_of(&self, time: &DateTime) -> impl Future<Output = Result<u64>> + Send {
        let seconds = time.to_unix();
        async move { Ok(seconds) }
    }

    /// Measures the load: of each gauge that `asked` has a limit for, what is known, or why it is not. Cancel-safe, and never
    /// waited for by the stream.
    ///
    /// Errors: whatever keeps all of it from being known.
    fn load(&self, _asked: &LoadLimits) -> impl Future<Output = Result<Vec<Measured>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Whether all that `asked` has a limit for can be measured here, as far as the configuration tells.
    ///
    /// # Errors
    /// `Unsupported` or `Configuration`, with what to do.
    fn can_measure(&self, asked: &LoadLimits) -> Result<()> {
        if asked.is_none() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "the load of this source cannot be measured",
        )
        .hint("limit the rate in rows or bytes"))
    }

    /// Opens one view of one table for a chunk of it, without holding any lock of the source that others wait for: a cut,
    /// or one by marks.
    ///
    /// Errors: `NotFound` when the table has gone, `Unsupported` or `Prerequisite` when this source cannot, with what to do.
    fn open_chunk(
        &self,
        request: ChunkRequest<'_, Self::Position>,
    ) -> impl Future<Output = Result<Cuts<Self::Reader>>> + Send;

    /// Whether `keys` (of rows of `table`) lie after or at each of `bounds`, by the server's own order: for each key the
    /// number of bounds that are smaller than it. Only asked for tables with [`KeyOrder::Server`](crate::schema::KeyOrder::Server).
    fn locate(
        &self,
        table: &TableName,
        bounds: &[Key],
        keys: &[Key],
    ) -> impl Future<Output = Result<Vec<usize>>> + Send;

    /// Opens the log at `point`, with the definitions valid there.
    fn open_live(
        &self,
        point: &LogPoint<Self::Position>,
        definitions: &Value,
    ) -> impl Future<Output = Result<Self::Live>> + Send;
}
