//! The contract of a state store: where aggregates live, together with the progress that says which changes they include.
//!
//! A store has one writer. Whoever opens it for writing ([`StateStore::take_over`]) fences off whoever did before, and gets the
//! progress that was last committed. It then merges deltas, in steps: what is merged is seen by nobody until [`StateStore::commit`]
//! makes it durable *together with* the progress that includes it, or neither. So nothing needs to be idempotent: after a crash, a
//! lost answer or a rewind, the source is read again from exactly where the aggregates stand, however it is cut into batches then.
//!
//! Aggregates are kept by generation. Queries look at the one that is served; a fold that has to be built anew is built in the next
//! one, beside it, and [`Step::serve`] makes that one the served one in the same step in which it becomes complete.
//!
//! Every store runs the same checks: `headwater_testkit::conformance::store`.

mod cached;
mod catalog;
mod embedded;

use std::future::Future;

use headwater_core::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use cached::Cached;
pub use catalog::{Catalog, Generation};
pub use embedded::{Embedded, EmbeddedReader};

use crate::place::Place;

/// A fold, as a store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldInfo {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// Everything that decides what its bytes mean, and over what: a fold whose definition changed is another one.
    pub definition: Value,
}

/// What a store holds when it is taken over.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Taken {
    /// The progress of the generation that is written to; none before its first commit.
    pub progress: Option<Value>,
    /// Whether that generation is being built beside one that is served.
    pub is_building: bool,
}

/// What becomes of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// It is what was written to `out`.
    Put,
    /// It is that of no event, and not kept.
    Gone,
    /// It stays what it was: the merge was refused, and whoever gave the deltas knows.
    Kept,
}

/// What one fold adds to its aggregates in a step: places in order, each once.
pub trait Deltas: Send + Sync {
    /// How many places.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A place, by number.
    fn place(&self, at: usize) -> &Place;

    /// Whether they know what is stored at a place, so that nobody needs to read it: [`Deltas::merge`] may then be given anything.
    fn is_known(&self, at: usize) -> bool {
        let _ = at;
        false
    }

    /// Merges a delta with what is stored at its place, into `out`, which is empty.
    ///
    /// # Errors
    /// Bytes that no version wrote; a refusal where the run is to end for it.
    fn merge(&self, at: usize, stored: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Merged>;
}

/// What is committed beside the aggregates.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// What includes everything merged so far.
    pub progress: &'a Value,
    /// Whether the generation that is written to is complete, and the one to be served from now on. The one before goes.
    pub serve: bool,
    /// For each fold, the bucket before which everything is dropped.
    pub keep_from_s: &'a [Option<i64>],
}

/// Where aggregates live. See [the module](self).
///
/// One task calls it, one method after the other. No method is cancel-safe: a future that is dropped leaves the step void, and
/// [`StateStore::take_over`] begins anew.
pub trait StateStore: Send + 'static {
    /// What answers queries beside the writer.
    type Reader: StateReader;

    /// For messages and the checkpoint's fingerprint: `embedded:revenue.redb`. Never a secret.
    fn name(&self) -> String;

    /// Fences off whoever wrote before, drops what was merged and not committed, and says what was. Folds of other definitions, or
    /// `anew`, begin a new generation; one that was being built for the same folds goes on.
    ///
    /// A store that was fenced off does not come back: it gets `Locked`, and the process that opened it is to end.
    ///
    /// Errors: `Locked` if another process writes and cannot be fenced off, `SinkUnavailable` (temporary), `Storage`,
    /// `CheckpointForeign` for a store that is none, or a newer version's.
    fn take_over(
        &mut self,
        folds: &[FoldInfo],
        anew: bool,
    ) -> impl Future<Output = Result<Taken>> + Send;

    /// Merges the deltas of the fold with this number.
    ///
    /// Errors: as [`StateStore::take_over`]; `Locked` once fenced off.
    fn merge(
        &mut self,
        fold: usize,
        deltas: &dyn Deltas,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Makes what was merged durable, and visible, all at once, with the step's progress; or nothing.
    ///
    /// Errors: as [`StateStore::merge`]. What became of a commit whose answer was lost is told by [`StateStore::take_over`].
    fn commit(&mut self, step: Step<'_>) -> impl Future<Output = Result<()>> + Send;

    /// Answers queries, at any time, beside the writer.
    ///
    /// # Errors
    /// As [`StateStore::take_over`].
    fn reader(&self) -> Result<Self::Reader>;
}

/// What a fold holds at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub place: Place,
    /// The aggregate's bytes.
    pub bytes: Vec<u8>,
}

/// Answers from the generation that is served. Each answer is of one commit, and says of which: its progress.
pub trait StateReader: Send + Sync + 'static {
    /// The folds, and the progress that what follows includes; none before anything is complete.
    ///
    /// Errors: as [`StateStore::take_over`].
    fn served(&self) -> impl Future<Output = Result<Option<Served>>> + Send;

    /// How far the writer is: the progress of the generation that is written to, whether or not it is served; none before its first
    /// commit.
    ///
    /// Errors: as [`StateStore::take_over`].
    fn written(&self) -> impl Future<Output = Result<Option<Value>>> + Send;

    /// What stands at these places: one answer each, in their order; and the progress that they include.
    ///
    /// Errors: `Cancelled` if another generation is served by now: ask [`StateReader::served`] again.
    fn get_many(
        &self,
        served: &Served,
        fold: usize,
        places: &[Place],
    ) -> impl Future<Output = Result<(Value, Vec<Option<Vec<u8>>>)>> + Send;

    /// Everything in buckets from `from_s` to before `to_s` (both open where none), handed over in order; and the progress that all of it includes.
    ///
    /// Errors: as [`StateReader::get_many`], and what `each` answers.
    fn scan(
        &self,
        served: &Served,
        fold: usize,
        buckets_s: (Option<i64>, Option<i64>),
        each: &mut (dyn FnMut(Entry) -> Result<()> + Send),
    ) -> impl Future<Output = Result<Value>> + Send;
}

/// What is served.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The generation's number.
    pub generation: u32,
    /// Its folds; their places are their numbers.
    pub folds: Vec<FoldInfo>,
}
