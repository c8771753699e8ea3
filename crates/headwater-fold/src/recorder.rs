//! Where a program hears what its pipelines do: counts, errors, latencies.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use headwater_core::Error;

use crate::sink::Counted;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// [`bootstrap::run`](crate::bootstrap::run).
    Bootstrap,
    /// [`live::run`](crate::live::run).
    Live,
}

/// What a store was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// To take deltas.
    Merge,
    /// To make a step durable.
    Commit,
}

/// Hears of a pipeline. Called on the run's own task: it returns at once.
pub trait Recorder: Debug + Send + Sync + 'static {
    /// What was counted since the last call, at each batch tick and at the end.
    fn batch(&self, pipeline: &str, doing: Doing, counted: Counted, took: Duration) {
        let _ = (pipeline, doing, counted, took);
    }

    /// A record that was refused, or that is tried again.
    fn error(&self, pipeline: &str, error: &Error) {
        let _ = (pipeline, error);
    }

    /// How long the store took.
    fn latency(&self, pipeline: &str, operation: Operation, took: Duration) {
        let _ = (pipeline, operation, took);
    }
}

/// Keeps what it hears, for tests and for a look.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<BTreeMap<String, Heard>>);

/// Latencies and errors that are kept of a pipeline: the last ones.
const KEPT: usize = 4096;

/// What was heard of a pipeline.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Everything counted.
    pub counted: Counted,
    /// Batch ticks.
    pub batches: u64,
    /// Errors, by their text; the last 4,096.
    pub errors: Vec<String>,
    /// Latencies by operation; the last 4,096 of each.
    pub latencies: BTreeMap<Operation, Vec<Duration>>,
}

impl Heard {
    /// The latency that a share of the calls did not exceed: 0.99 for the 99th percentile.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank among 4,096"
    )]
    pub fn quantile(&self, operation: Operation, share: f64) -> Option<Duration> {
        let mut latencies = self.latencies.get(&operation)?.clone();
        latencies.sort_unstable();
        let rank = (share.clamp(0.0, 1.0) * latencies.len() as f64).ceil() as usize;
        latencies.get(rank.saturating_sub(1)).copied()
    }
}

impl InMemory {
    /// What was heard of a pipeline so far.
    #[must_use]
    pub fn heard(&self, pipeline: &str) -> Heard {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(pipeline).cloned().unwrap_or_default()
    }

    fn hear(&self, pipeline: &str, what: impl FnOnce(&mut Heard)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        what(all.entry(pipeline.to_owned()).or_default());
    }
}

fn keep<T>(list: &mut Vec<T>, one: T) {
    if list.len() == KEPT {
        list.remove(0);
    }
    list.push(one);
}

impl Recorder for InMemory {
    fn batch(&self, pipeline: &str, _doing: Doing, counted: Counted, _took: Duration) {
        self.hear(pipeline, |heard| {
            heard.counted = heard.counted.and(counted);
            heard.batches += 1;
        });
    }

    fn error(&self, pipeline: &str, error: &Error) {
        self.hear(pipeline, |heard| keep(&mut heard.errors, error.to_string()));
    }

    fn latency(&self, pipeline: &str, operation: Operation, took: Duration) {
        self.hear(pipeline, |heard| {
            keep(heard.latencies.entry(operation).or_default(), took);
        });
    }
}
