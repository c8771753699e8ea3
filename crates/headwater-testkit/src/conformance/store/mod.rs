//! What every state store of folds must keep.
//!
//! [`crate::state_store_suite`] makes a test of each promise. `model.rs` is what a store is held to: deltas that show each fault
//! of a store in the bytes, and a store in memory that is right because it is simple.

mod generations;
mod model;
mod monoids;
mod places;
mod steps;

use headwater_fold::store::StateStore;

pub use generations::*;
pub use monoids::*;
pub use places::*;
pub use steps::*;

/// A place for aggregates, empty at first.
pub trait StoreHarness: Send + Sync {
    /// The store.
    type Store: StateStore;

    /// The store of a new process, at the same place.
    fn store(&self) -> Self::Store;

    /// Whether a newcomer fences off who is there. Otherwise it is refused for as long as that one has the store open.
    fn fences(&self) -> bool;
}

/// A test of each promise of a state store. The argument makes an empty place: an expression that is a new [`StoreHarness`] each
/// time it is evaluated.
///
/// ```ignore
/// mod embedded {
///     headwater_testkit::state_store_suite!(Folder::new());
/// }
/// ```
#[macro_export]
macro_rules! state_store_suite {
    ($harness:expr) => {
        $crate::state_store_suite! { $harness =>
            a_new_store_holds_and_serves_nothing,
            aggregates_and_progress_are_committed_together,
            what_is_not_committed_is_seen_by_nobody_and_gone,
            a_merge_finds_what_was_merged_before_it,
            a_merge_that_fails_leaves_nothing,
            progress_comes_back_as_it_was,
            a_commit_that_was_given_up_was_made_or_not,
            a_newcomer_fences_off_or_is_refused,
            a_large_step_is_one_step,
            a_random_history_is_what_a_model_says,
            places_come_in_order_and_by_range,
            old_buckets_are_dropped_and_no_others,
            what_a_query_refuses_ends_its_scan,
            a_generation_is_built_beside_the_one_that_is_served,
            a_build_goes_on_and_is_given_up_for_other_folds,
            what_is_served_can_be_gone_on_with,
            an_answer_of_a_generation_that_has_gone_is_cancelled,
            answers_beside_the_writer_are_of_one_commit,
            aggregates_of_every_monoid_come_back,
        }
    };
    ($harness:expr => $($promise:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::conformance::store::$promise(&$harness).await;
            }
        )+
    };
}
