//! A run of a pipeline: the engine with a sink of one fold, and what is recorded of it.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_core::engine::{self, Mode, Start, Summary};
use headwater_core::progress::Progress;
use headwater_core::sink::{MemoryCheckpoint, Sink};
use headwater_core::source::Source;
use headwater_core::{Error, ErrorKind, Result, bootstrap};
use serde_json::json;

use super::piped::Piped;
use super::{Options, Pipeline};
use crate::monoid::Monoid;
use crate::recorder::{Doing, Recorder};
use crate::sink::{Counted, Counts, FoldSink};
use crate::store::StateStore;

/// Runs a pipeline. `start` is of a live run: none, and the store has to hold where it goes on.
pub(crate) async fn drive<T, V, M, S, O>(
    pipeline: &Pipeline<T, V, M, S>,
    source: &O,
    options: &Options,
    doing: Doing,
    start: Option<Start>,
) -> Result<Summary>
where
    T: 'static,
    V: Borrow<M::Input> + PartialEq + Send + 'static,
    M: Monoid,
    S: StateStore + Clone,
    O: Source,
{
    let goes_on = doing == Doing::Live && start.is_none();
    let sink = sink(pipeline, options, goes_on)?;
    let mut reports = Reports {
        pipeline: &pipeline.name,
        doing,
        recorder: options.metrics.clone(),
        counts: sink.counts(),
        last: Counted::default(),
        since: Instant::now(),
    };
    let engine_options = engine::Options {
        mode: match doing {
            Doing::Bootstrap => Mode::Backfill,
            Doing::Live => Mode::Cdc,
        },
        start: start.unwrap_or(Start::Now),
        until: options.until,
        readers: options.readers,
        checkpoint_interval: options.commit_interval,
        configuration: json!({ "pipeline": pipeline.name }),
        run_name: pipeline.name.clone(),
        retry: options.outage,
        ..engine::Options::default()
    };
    // Nobody asks for bootstraps of the running stream: each row would count twice.
    let (_control, commands) = bootstrap::control();
    let run = engine::run(
        source,
        sink,
        Arc::new(MemoryCheckpoint::default()),
        engine_options,
        Arc::new(Progress::default()),
        options.cancel.clone(),
        commands,
    );
    let mut run = Box::pin(run);
    loop {
        tokio::select! {
            ended = &mut run => {
                reports.report();
                return ended;
            }
            () = tick(options.batch_tick) => reports.report(),
        }
    }
}

fn sink<T, V, M, S>(
    pipeline: &Pipeline<T, V, M, S>,
    options: &Options,
    goes_on: bool,
) -> Result<FoldSink<S, Piped<T, V, M>>>
where
    T: 'static,
    V: Borrow<M::Input> + PartialEq + Send + 'static,
    M: Monoid,
    S: StateStore + Clone,
{
    if options.dedup.is_some() && pipeline.event_id.is_none() {
        return Err(Error::new(
            ErrorKind::Configuration,
            "events are to count once, and the pipeline does not say what tells one from another",
        )
        .with("pipeline", &pipeline.name)
        .hint("give it an id: .event_id(|record: &Record| record.id)"));
    }
    let folding = options.of_sink(&pipeline.name, goes_on);
    FoldSink::of([Piped::of(pipeline)], pipeline.store.clone(), folding)
}

impl<T, V, M, S> Pipeline<T, V, M, S>
where
    T: 'static,
    V: Borrow<M::Input> + PartialEq + Send + 'static,
    M: Monoid,
    S: StateStore + Clone,
{
    /// The pipeline as a sink, for a program that runs the engine itself.
    ///
    /// # Errors
    /// `Configuration`.
    pub fn sink(&self, options: &Options) -> Result<impl Sink + use<T, V, M, S>> {
        sink(self, options, false)
    }
}

async fn tick(every: Duration) {
    if every.is_zero() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(every).await;
}

/// What is recorded at each tick.
struct Reports<'a> {
    pipeline: &'a str,
    doing: Doing,
    recorder: Option<Arc<dyn Recorder>>,
    counts: Arc<Counts>,
    last: Counted,
    since: Instant,
}

impl Reports<'_> {
    fn report(&mut self) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let counted = self.counts.counted();
        let took = self.since.elapsed();
        recorder.batch(self.pipeline, self.doing, counted.since(self.last), took);
        self.last = counted;
        self.since = Instant::now();
    }
}
