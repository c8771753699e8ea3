//! What a sink of folds counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Added,
    TakenBack,
    Unchanged,
    Ignored,
    TooOld,
    Refused,
    Retried,
    Duplicate,
    Refolded,
}

/// Counts, in the order of [`Of`] and of [`NAMES`].
type All = [u64; NAMES.len()];

const NAMES: [&str; 9] = [
    "added",
    "taken_back",
    "unchanged",
    "ignored",
    "too_old",
    "refused",
    "retried",
    "duplicates",
    "refolded",
];

/// Counters of a sink, which go on while it runs.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; NAMES.len()]);

/// What was counted. An image counts once for each fold that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Images added.
    pub added: u64,
    /// Images taken back.
    pub taken_back: u64,
    /// Updates of nothing that a fold looks at.
    pub unchanged: u64,
    /// Images that should have been taken back, and stayed (`take_back: ignore`).
    pub ignored: u64,
    /// Images of buckets that are not kept any more.
    pub too_old: u64,
    /// Rows, and deltas, that could not be folded.
    pub refused: u64,
    /// Times that a row was read again, because it could not be for now.
    pub retried: u64,
    /// Images whose event had been counted, and that were passed over.
    pub duplicates: u64,
    /// Aggregates made anew of the source's rows (`take_back: refold`).
    pub refolded: u64,
}

impl Counts {
    pub(super) fn add(&self, of: Of, number: u64) {
        self.0[of as usize].fetch_add(number, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        Counted::of(std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed)))
    }
}

impl Counted {
    fn of(all: All) -> Self {
        let [
            added,
            taken_back,
            unchanged,
            ignored,
            too_old,
            refused,
            retried,
            duplicates,
            refolded,
        ] = all;
        Self {
            added,
            taken_back,
            unchanged,
            ignored,
            too_old,
            refused,
            retried,
            duplicates,
            refolded,
        }
    }

    fn all(self) -> All {
        [
            self.added,
            self.taken_back,
            self.unchanged,
            self.ignored,
            self.too_old,
            self.refused,
            self.retried,
            self.duplicates,
            self.refolded,
        ]
    }

    fn with(self, other: Self, how: impl Fn(u64, u64) -> u64) -> Self {
        let (mine, others) = (self.all(), other.all());
        Self::of(std::array::from_fn(|at| how(mine[at], others[at])))
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What was counted since it stood at `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    /// Each count by its word, for metrics and status.
    #[must_use]
    pub fn by_word(&self) -> Vec<(&'static str, u64)> {
        NAMES.into_iter().zip(self.all()).collect()
    }
}
