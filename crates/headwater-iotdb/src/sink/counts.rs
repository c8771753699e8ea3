//! What became of the rows, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a sink, since it was made. Rows that are written again after a failure count again.
#[derive(Debug, Default)]
pub struct Counts {
    rows: AtomicU64,
    points: AtomicU64,
    nulls: AtomicU64,
    empty: AtomicU64,
    refused: AtomicU64,
    ignored_updates: AtomicU64,
    ignored_deletes: AtomicU64,
    deleted: AtomicU64,
    unmapped: AtomicU64,
    retries: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Rows that were written, in whole.
    pub rows: u64,
    /// Values that were written.
    pub points: u64,
    /// NULLs, which are no points.
    pub nulls: u64,
    /// Rows without a value in any measurement, of which nothing is written.
    pub empty: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// Updates that the policy leaves alone.
    pub ignored_updates: u64,
    /// Deletes, and tables emptied, that the policy leaves alone.
    pub ignored_deletes: u64,
    /// Rows whose points, or some of them, were deleted.
    pub deleted: u64,
    /// Rows of tables without a mapping.
    pub unmapped: u64,
    /// Calls that were tried again.
    pub retries: u64,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    Rows,
    Points,
    Nulls,
    Empty,
    Refused,
    IgnoredUpdates,
    IgnoredDeletes,
    Deleted,
    Unmapped,
    Retries,
}

impl Counts {
    pub(crate) fn add(&self, what: Of, count: u64) {
        self.of(what).fetch_add(count, Ordering::Relaxed);
    }

    fn of(&self, what: Of) -> &AtomicU64 {
        match what {
            Of::Rows => &self.rows,
            Of::Points => &self.points,
            Of::Nulls => &self.nulls,
            Of::Empty => &self.empty,
            Of::Refused => &self.refused,
            Of::IgnoredUpdates => &self.ignored_updates,
            Of::IgnoredDeletes => &self.ignored_deletes,
            Of::Deleted => &self.deleted,
            Of::Unmapped => &self.unmapped,
            Of::Retries => &self.retries,
        }
    }

    /// The numbers now.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let of = |what| self.of(what).load(Ordering::Relaxed);
        Counted {
            rows: of(Of::Rows),
            points: of(Of::Points),
            nulls: of(Of::Nulls),
            empty: of(Of::Empty),
            refused: of(Of::Refused),
            ignored_updates: of(Of::IgnoredUpdates),
            ignored_deletes: of(Of::IgnoredDeletes),
            deleted: of(Of::Deleted),
            unmapped: of(Of::Unmapped),
            retries: of(Of::Retries),
        }
    }
}
