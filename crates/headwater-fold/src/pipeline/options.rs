//! What can be set of a run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::engine::Until;
use headwater_core::retry::Backoff;
use tokio_util::sync::CancellationToken;

use crate::recorder::Recorder;
use crate::sink::FoldOptions;

/// How a pipeline runs, in a bootstrap and live.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often what was counted is recorded; zero: once, at the end. Default: 1 s.
    pub batch_tick: Duration,
    /// How often what was folded is committed, together with the progress that includes it. Default: 1 s.
    pub commit_interval: Duration,
    /// Whether an event counts once, by the id that [`Pipeline::event_id`](super::Pipeline::event_id) takes of its record, and for how long
    /// an id is kept. An id is stored with the effect, in one step, never before it; each pipeline has its own. Default: no: a source's
    /// places in its log tell what was counted. It is for events that may come again at another place: of a producer that
    /// repeats itself, of a source without such places. With it, a record that is deleted takes back what its id counted.
    pub dedup: Option<Duration>,
    /// Whether the first record that is refused ends the run, with an error. Otherwise it is counted, recorded with its payload in
    /// the dead letters, and the run goes on. Default: it goes on.
    pub fail_on_error: bool,
    /// Tries of a record that an extractor could not read for now, the first included; at least 1. Default: 3.
    pub max_attempts: u32,
    /// The waits between those tries: the first bound, and the longest. They double, with full jitter: uniform in zero to the
    /// bound. Default: 50 ms to 5 s.
    pub retry_backoff: (Duration, Duration),
    /// Who hears what the run does. Default: nobody.
    pub metrics: Option<Arc<dyn Recorder>>,
    /// Where records go that are refused. Default: `NAME.dead-letters.jsonl` in the working directory, made with the first.
    pub dead_letters: Option<PathBuf>,
    /// Waits while the source or the store is away, without a record losing an attempt. Default: doubling from 50 ms to 15 s, until
    /// the run is cancelled.
    pub outage: Backoff,
    /// Bytes of deltas in memory at most; beyond, they are merged into the store's step. Default: 64 MiB.
    pub pending_bytes_max: usize,
    /// Readers of a bootstrap, side by side. Default: 2.
    pub readers: usize,
    /// Fold anew, into a fresh generation that is served in place of the old one once it is complete. Default: no.
    pub anew: bool,
    /// When a live run ends. Default: when it is cancelled.
    pub until: Until,
    /// Ends the run: what was folded is committed first. A bootstrap that was cancelled goes on when it is run again.
    pub cancel: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        let fold = FoldOptions::default();
        Self {
            batch_tick: Duration::from_secs(1),
            commit_interval: Duration::from_secs(1),
            dedup: None,
            fail_on_error: false,
            max_attempts: 3,
            retry_backoff: (fold.retry.first, fold.retry.longest),
            metrics: None,
            dead_letters: None,
            outage: Backoff::default(),
            pending_bytes_max: fold.pending_bytes_max,
            readers: 2,
            anew: false,
            until: Until::Forever,
            cancel: CancellationToken::new(),
        }
    }
}

impl Options {
    /// The same as the sink has it.
    pub(super) fn of_sink(&self, name: &str, goes_on: bool) -> FoldOptions {
        let letters = self.dead_letters.clone();
        let letters = letters.unwrap_or_else(|| format!("{name}.dead-letters.jsonl").into());
        FoldOptions {
            pending_bytes_max: self.pending_bytes_max,
            dead_letters: (!self.fail_on_error).then_some(letters),
            anew: self.anew,
            retry: Backoff {
                first: self.retry_backoff.0,
                longest: self.retry_backoff.1,
                attempts_max: Some(self.max_attempts.max(1) - 1),
            },
            dedup: self.dedup,
            recorder: self.metrics.clone(),
            goes_on,
            // Records are read by a program: nothing tells which columns their keys are of.
            rows: None,
        }
    }
}
