//! What became of the rows, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($of:ident $field:ident $word:literal: $help:literal;)+) => {
        /// The counters at one moment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Counted {
            $(#[doc = $help] pub $field: u64,)+
        }

        /// What is counted.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Of {
            $($of,)+
        }

        /// How many there are.
        const COUNTS: usize = [$($word),+].len();

        impl Counts {
            /// The numbers now.
            #[must_use]
            pub fn counted(&self) -> Counted {
                let of = |what: Of| self.0[what as usize].load(Ordering::Relaxed);
                Counted {
                    $($field: of(Of::$of),)+
                }
            }
        }

        impl Counted {
            /// All of them, by the words for logs, status pages and metrics.
            #[must_use]
            pub fn by_word(&self) -> Vec<(&'static str, u64)> {
                vec![$(($word, self.$field)),+]
            }
        }
    };
}

/// Counters of a sink, since it was made. Rows that are written again after a failure count again.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; COUNTS]);

counts! {
    Rows rows "rows": "Rows that were written, in whole.";
    Points points "points": "Values that were written.";
    Nulls nulls "nulls": "NULLs, which are no points.";
    Empty empty "without_a_point": "Rows without a value in any measurement, of which nothing is written.";
    Refused refused "refused": "Rows that were refused.";
    Duplicates duplicates "duplicates": "Rows written to a place where another row was, where the mapping lets the last one win.";
    IgnoredUpdates ignored_updates "updates_ignored": "Updates that the policy leaves alone.";
    IgnoredDeletes ignored_deletes "deletes_ignored": "Deletes, and tables emptied, that the policy or the mapping leaves alone.";
    Deleted deleted "deleted": "Rows whose points, or some of them, were deleted.";
    DeleteCalls delete_calls "delete_calls": "Calls that deleted points.";
    Unmapped unmapped "unmapped": "Rows of tables without a mapping.";
    Retries retries "retries": "Calls that were tried again.";
    Redirects redirects "redirects": "Tablets that IoTDB took and named another of its nodes for, which is where their device's next ones go.";
}

impl Counts {
    pub(crate) fn add(&self, what: Of, count: u64) {
        self.0[what as usize].fetch_add(count, Ordering::Relaxed);
    }
}
