//! What a run has done so far, in numbers: moved by the engine at a few places, read by [`crate::metrics`] and by status
//! pages. Nothing here is touched more often than once a batch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::batch::{Batch, ChangeKind};
use crate::clock;
use crate::error::Error;
use crate::schema::TableName;

/// So many tables are counted by name; those after them together, under [`OTHERS`].
const TABLES_MAX: usize = 2_000;
/// Stands for the tables that are not counted by name.
pub const OTHERS: &str = "(others)";
/// A live source says something at least every few seconds. One that has been silent for longer (its server is away, or the
/// sink lets nothing through) falls behind.
const SILENCE_S_MAX: u64 = 10;
/// A number that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Upper bounds of the rows of a batch.
pub const BATCH_ROWS: [u64; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
/// Upper bounds of the bytes of a batch.
pub const BATCH_BYTES: [u64; 6] = [1 << 10, 1 << 13, 1 << 16, 1 << 19, 1 << 22, 1 << 25];

/// The kinds of change that are counted, by the names they are counted under.
pub const KINDS: [(ChangeKind, &str); 6] = [
    (ChangeKind::Bootstrap, "bootstrap"),
    (ChangeKind::Insert, "insert"),
    (ChangeKind::Update, "update"),
    (ChangeKind::Delete, "delete"),
    (ChangeKind::Truncate, "truncate"),
    (ChangeKind::Ddl, "ddl"),
];

/// Rows, and their bytes as they are held in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Bytes. Those of a batch with several tables in it are shared out among them by their cells.
    pub bytes: u64,
}

/// What went out of one table, in the order of [`KINDS`].
pub type TableAmounts = [Amount; KINDS.len()];

/// How many observations were at most as large as each bound, and more.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: [u64; N],
    counts: [AtomicU64; N],
    count: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    fn observe(&self, value: u64) {
        if let Some(at) = self.bounds.iter().position(|bound| value <= *bound) {
            self.counts[at].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Each bound with the number of observations that were not above it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count.load(Ordering::Relaxed);
            Some(*sum)
        });
        self.bounds.into_iter().zip(counts)
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// What they add up to.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

/// The last failure that was waited out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Seconds since 1970.
    pub at_s: u64,
    /// The kind of the error, by its name.
    pub kind: &'static str,
    /// What it said.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The numbers of a run.
#[derive(Debug)]
pub struct Counters {
    started_at_s: u64,
    tables: Mutex<BTreeMap<TableName, TableAmounts>>,
    batch_rows: Histogram<6>,
    batch_bytes: Histogram<6>,
    queue_batches: AtomicU64,
    queue_bytes: AtomicU64,
    retries: Mutex<BTreeMap<&'static str, u64>>,
    failure: Mutex<Option<Failure>>,
    checkpoints: AtomicU64,
    checkpoint_at_s: AtomicU64,
    notices: AtomicU64,
    lag_s: AtomicU64,
    lag_bytes: AtomicU64,
    heard_at_s: AtomicU64,
    sink: OnceLock<SinkCounts>,
}

/// Says what a sink counts by itself, by name: how often since the process began.
pub struct SinkCounts(Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>);

impl SinkCounts {
    /// With what says them.
    pub fn new(say: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) -> Self {
        Self(Box::new(say))
    }
}

impl fmt::Debug for SinkCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries((self.0)()).finish()
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            started_at_s: clock::now_s(),
            tables: Mutex::default(),
            batch_rows: Histogram::new(BATCH_ROWS),
            batch_bytes: Histogram::new(BATCH_BYTES),
            queue_batches: AtomicU64::new(0),
            queue_bytes: AtomicU64::new(0),
            retries: Mutex::default(),
            failure: Mutex::default(),
            checkpoints: AtomicU64::new(0),
            checkpoint_at_s: AtomicU64::new(UNKNOWN),
            notices: AtomicU64::new(0),
            lag_s: AtomicU64::new(UNKNOWN),
            lag_bytes: AtomicU64::new(UNKNOWN),
            heard_at_s: AtomicU64::new(UNKNOWN),
            sink: OnceLock::new(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known(number: &AtomicU64) -> Option<u64> {
    Some(number.load(Ordering::Relaxed)).filter(|value| *value != UNKNOWN)
}

/// What is read.
impl Counters {
    /// When the run began, in seconds since 1970.
    #[must_use]
    pub fn started_at_s(&self) -> u64 {
        self.started_at_s
    }

    /// What went out, by table and kind.
    #[must_use]
    pub fn tables(&self) -> BTreeMap<TableName, TableAmounts> {
        locked(&self.tables).clone()
    }

    /// The rows of each batch that reached the sink.
    #[must_use]
    pub fn batch_rows(&self) -> &Histogram<6> {
        &self.batch_rows
    }

    /// The bytes of each batch that reached the sink.
    #[must_use]
    pub fn batch_bytes(&self) -> &Histogram<6> {
        &self.batch_bytes
    }

    /// What the sink counts by itself; empty if it does not.
    #[must_use]
    pub fn sink(&self) -> Vec<(&'static str, u64)> {
        self.sink.get().map_or_else(Vec::new, |counts| (counts.0)())
    }

    /// The sink counts by itself, from now on. Only the first one that says so is asked.
    pub fn set_sink(&self, counts: SinkCounts) {
        let _ = self.sink.set(counts);
    }

    /// Batches that wait for the sink, and their bytes.
    #[must_use]
    pub fn queue(&self) -> (u64, u64) {
        (
            self.queue_batches.load(Ordering::Relaxed),
            self.queue_bytes.load(Ordering::Relaxed),
        )
    }

    /// How often it was tried again, by kind of error.
    #[must_use]
    pub fn retries(&self) -> BTreeMap<&'static str, u64> {
        locked(&self.retries).clone()
    }

    /// The last failure that was waited out.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        locked(&self.failure).clone()
    }

    /// Checkpoints that were saved.
    #[must_use]
    pub fn checkpoints(&self) -> u64 {
        self.checkpoints.load(Ordering::Relaxed)
    }

    /// Seconds since a checkpoint was last saved, or since the run looked for one that was there.
    #[must_use]
    pub fn checkpoint_age_s(&self, now_s: u64) -> Option<u64> {
        known(&self.checkpoint_at_s).map(|at| now_s.saturating_sub(at))
    }

    /// Messages for the operator.
    #[must_use]
    pub fn notices(&self) -> u64 {
        self.notices.load(Ordering::Relaxed)
    }

    /// How many seconds what goes out is behind the source: 0 at the end of its log. None before the log is read.
    #[must_use]
    pub fn lag_s(&self, now_s: u64) -> Option<u64> {
        let silence = now_s.saturating_sub(known(&self.heard_at_s)?);
        let lag = known(&self.lag_s)?;
        Some(if silence > SILENCE_S_MAX {
            lag + silence
        } else {
            lag
        })
    }

    /// How many bytes of the source's log are still to be read, where the source says it.
    #[must_use]
    pub fn lag_bytes(&self) -> Option<u64> {
        known(&self.lag_bytes)
    }
}

/// What the engine says.
impl Counters {
    /// The sink took a batch.
    pub fn wrote(&self, batch: &Batch) {
        let rows = batch.len() as u64;
        if rows == 0 {
            return;
        }
        let bytes = batch.size_bytes() as u64;
        self.batch_rows.observe(rows);
        self.batch_bytes.observe(bytes);
        let shares = shares(batch);
        let cells: u64 = shares.iter().map(|share| share.cells).sum();
        let mut tables = locked(&self.tables);
        for share in shares {
            let Some(kind) = KINDS.iter().position(|(kind, _)| *kind == share.kind) else {
                continue;
            };
            let part = u128::from(bytes) * u128::from(share.cells) / u128::from(cells.max(1));
            let amount = &mut of_table(&mut tables, share.table)[kind];
            amount.rows += share.rows;
            amount.bytes += u64::try_from(part).unwrap_or(bytes);
        }
    }

    /// A batch was put into the queue to the sink.
    pub fn queued(&self, bytes: usize) {
        self.queue_batches.fetch_add(1, Ordering::Relaxed);
        self.queue_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A batch was taken out of the queue to the sink.
    pub fn unqueued(&self, bytes: usize) {
        let less = |number: &AtomicU64, by| {
            // What was counted in is counted out; a queue that was dropped with what it held was emptied.
            let _ = number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                Some(now.saturating_sub(by))
            });
        };
        less(&self.queue_batches, 1);
        less(&self.queue_bytes, bytes as u64);
    }

    /// A new attempt begins: its queue is empty.
    pub fn queue_emptied(&self) {
        self.queue_batches.store(0, Ordering::Relaxed);
        self.queue_bytes.store(0, Ordering::Relaxed);
    }

    /// An attempt failed and another will be made.
    pub fn retried(&self, error: &Error) {
        let kind = error.kind().name();
        *locked(&self.retries).entry(kind).or_default() += 1;
        *locked(&self.failure) = Some(Failure {
            at_s: clock::now_s(),
            kind,
            message: error.to_string(),
            hint: error.hint_text().map(str::to_owned),
        });
    }

    /// A checkpoint was saved.
    pub fn saved(&self, at_s: u64) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.checkpoint_at_s.store(at_s, Ordering::Relaxed);
    }

    /// A checkpoint was found, of that time.
    pub fn found_checkpoint(&self, written_at_s: u64) {
        self.checkpoint_at_s.store(written_at_s, Ordering::Relaxed);
    }

    /// The log was read up to an event of this time (seconds since 1970), whether it went out or not; none at the log's end.
    pub fn read_up_to(&self, event_s: Option<u64>) {
        let now_s = clock::now_s();
        let lag = event_s.map_or(0, |event_s| now_s.saturating_sub(event_s));
        self.lag_s.store(lag, Ordering::Relaxed);
        self.heard_at_s.store(now_s, Ordering::Relaxed);
    }

    /// So many bytes of the source's log are still to be read.
    pub fn set_lag_bytes(&self, bytes: Option<u64>) {
        self.lag_bytes
            .store(bytes.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    pub(crate) fn noticed(&self) {
        self.notices.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a batch holds of one table and kind.
struct Share<'a> {
    schema: usize,
    table: &'a TableName,
    kind: ChangeKind,
    rows: u64,
    cells: u64,
}

fn shares(batch: &Batch) -> Vec<Share<'_>> {
    let mut shares: Vec<Share<'_>> = Vec::new();
    let mut last = 0;
    for row in batch.rows() {
        let (schema, kind) = (row.schema_index(), row.kind());
        let images = usize::from(row.before().is_some()) + usize::from(row.after().is_some());
        let is_it = |share: &Share<'_>| share.schema == schema && share.kind == kind;
        // Most rows are of the table and kind of the one before.
        if !shares.get(last).is_some_and(is_it) {
            last = shares.iter().position(is_it).unwrap_or(shares.len());
        }
        if last == shares.len() {
            shares.push(Share {
                schema,
                table: &row.schema().name,
                kind,
                rows: 0,
                cells: 0,
            });
        }
        let share = &mut shares[last];
        share.rows += 1;
        // A row without images still has a place.
        share.cells += (row.schema().columns.len() * images).max(1) as u64;
    }
    shares
}

fn of_table<'a>(
    tables: &'a mut BTreeMap<TableName, TableAmounts>,
    name: &TableName,
) -> &'a mut TableAmounts {
    if tables.contains_key(name) || tables.len() < TABLES_MAX {
        return tables.entry(name.clone()).or_default();
    }
    tables.entry(TableName::new(OTHERS, OTHERS)).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_silent_source_falls_behind_and_one_at_its_end_does_not() {
        let counters = Counters::default();
        let now = clock::now_s();
        assert_eq!(counters.lag_s(now), None);
        counters.read_up_to(Some(now - 3));
        assert!((3..=5).contains(&counters.lag_s(now).unwrap()));
        counters.read_up_to(None);
        assert_eq!(counters.lag_s(now + 5), Some(0));
        assert!(counters.lag_s(now + 60).unwrap() >= 59);
    }

    #[test]
    fn retries_are_counted_by_kind_and_the_last_is_told() {
        let counters = Counters::default();
        for kind in [
            ErrorKind::Connection,
            ErrorKind::Timeout,
            ErrorKind::Connection,
        ] {
            counters.retried(&Error::new(kind, "gone").hint("wait"));
        }
        let retries = counters.retries();
        assert_eq!((retries["connection"], retries["timeout"]), (2, 1));
        let failure = counters.failure().unwrap();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            ("connection", "gone")
        );
    }

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let histogram = Histogram::new([1, 10]);
        for value in [1, 2, 10, 11] {
            histogram.observe(value);
        }
        let counts: Vec<_> = histogram.cumulative().collect();
        assert_eq!(counts, [(1, 1), (10, 3)]);
        assert_eq!((histogram.count(), histogram.sum()), (4, 24));
    }
}
