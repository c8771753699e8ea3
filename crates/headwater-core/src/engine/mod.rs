//! The engine: the one algorithm of Headwater. The rows of a cut are emitted at the cut's own place in the log; the log's
//! changes go out where their row is covered by a cut before them.
//!
//! A first copy ([`copy`]) opens cuts and reads them ([`scan`]); where it needs several, the log is emitted up to each new
//! cut in between ([`stream`]), with coverage deciding over each change ([`filter`]). All rows pass one task that owns sink
//! and checkpoint ([`writer`]). A failure that may pass ends the attempt: the next one starts from the last durable
//! checkpoint, in the same process ([`run`]).

mod bootstraps;
mod bounded;
mod chunk;
mod copy;
mod emission;
mod filter;
mod follow;
mod load;
mod marks;
mod note;
mod options;
mod patience;
mod requests;
mod scan;
mod selection;
mod sieve;
mod stream;
mod touched;
mod window;
mod writer;

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use options::{Ended, Mode, Options, RowFilter, Start, Summary, Until};

use crate::batch::Batch;
use crate::bootstrap::Commands;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{HandoffToken, SourceIdentity};
use crate::progress::{Phase, Progress};
use crate::sink::{CheckpointStore, Sink};
use crate::source::{LiveSource, LogPoint, Source};
use bootstraps::Bootstraps;
use filter::{Reading, Unread};
use writer::WriterHandle;

/// Copies and follows `source` into `sink`, from where the checkpoint in `store` stands, until the options' end or `stop`.
///
/// # Errors
/// Whatever is permanent; what may pass is tried again, from the last durable point, until the options' retries are used up or
/// `stop` is cancelled, which ends the run as [`Ended::Abandoned`].
/// Failures before anything was reached at all (a wrong address, say) are returned at once.
pub async fn run<S: Source, K: Sink>(
    source: &S,
    sink: K,
    store: Arc<dyn CheckpointStore>,
    options: Options,
    progress: Arc<Progress>,
    stop: CancellationToken,
    commands: Commands,
) -> Result<Summary> {
    let commands = tokio::sync::Mutex::new(commands);
    let identity = source.identity().await?;
    let until = match options.until {
        Until::Now => Some(source.current().await?.0),
        Until::Forever => None,
    };
    let mut random = StdRng::from_os_rng();
    let mut sink = Some(sink);
    let mut attempt = 0;
    let mut last_written = progress_in(&store);
    loop {
        let shared = Shared {
            source,
            store: &store,
            options: &options,
            progress: &progress,
            stop: &stop,
            identity: &identity,
            until: until.as_ref(),
            commands: &commands,
        };
        let error = match shared.attempt(&mut sink).await {
            Ok(summary) => {
                progress.set_phase(Phase::Ended);
                return Ok(summary);
            }
            Err(error) => error,
        };
        let written = progress_in(&store);
        if written != last_written {
            (attempt, last_written) = (0, written);
        }
        if error.is_temporary() && stop.is_cancelled() {
            return Ok(abandoned(&progress, &error));
        }
        if !error.is_temporary() || options.retry.is_exhausted(attempt) {
            progress.set_phase(Phase::Ended);
            return Err(error);
        }
        progress.counters().retried(&error);
        let wait = options.retry.wait(attempt, &mut random);
        tracing::warn!(
            wait_ms = wait.as_secs_f64() * 1000.0,
            "trying again from the last durable point: {error:?}"
        );
        progress.set_phase(Phase::Waiting);
        attempt += 1;
        tokio::select! {
            () = stop.cancelled() => return Ok(abandoned(&progress, &error)),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The end of a run that was told to stop while it waited for what `error` says.
fn abandoned(progress: &Progress, error: &Error) -> Summary {
    tracing::warn!("stopped without waiting for it to pass: {error}");
    progress.set_phase(Phase::Ended);
    summary(Ended::Abandoned, None, progress)
}

fn summary(ended: Ended, token: Option<HandoffToken>, progress: &Progress) -> Summary {
    Summary {
        ended,
        token,
        rows_snapshot: progress.rows_snapshot(),
        rows_live: progress.rows_live(),
    }
}

/// What the store holds, but for the time of writing: whether an attempt came further than the one before.
fn progress_in(store: &Arc<dyn CheckpointStore>) -> Option<Value> {
    let mut document = store.load().ok().flatten()?;
    if let Some(members) = document.as_object_mut() {
        members.remove("written_at_s");
    }
    Some(document)
}

/// What every part of an attempt looks at.
struct Shared<'a, S: Source> {
    source: &'a S,
    store: &'a Arc<dyn CheckpointStore>,
    options: &'a Options,
    progress: &'a Arc<Progress>,
    stop: &'a CancellationToken,
    identity: &'a SourceIdentity,
    until: Option<&'a S::Position>,
    commands: &'a tokio::sync::Mutex<Commands>,
}

/// One attempt, from the last durable checkpoint.
struct Attempt<'a, S: Source> {
    shared: &'a Shared<'a, S>,
    /// What has been handed to the writer: the checkpoint as it will be once everything in the queue is durable.
    state: Checkpoint<S::Position>,
    writer: WriterHandle<S::Position>,
    live: Option<S::Live>,
    /// Bootstraps of the running stream.
    bootstraps: Bootstraps,
    /// What the sink may hold of ranges that `state` calls unread.
    unread: Unread,
    /// How the log is read just now.
    reading: Reading,
    /// The remark of the bootstrap whose rows are on their way.
    comment: Option<Arc<str>>,
}

impl<S: Source> Shared<'_, S> {
    fn checkpoint(&self, document: Option<Value>) -> Result<Checkpoint<S::Position>> {
        let configuration = &self.options.configuration;
        let selection = self.source.selection();
        let counters = self.progress.counters();
        counters.queue_emptied();
        let mut checkpoint = match document {
            Some(document) => {
                let identity = self.identity;
                let found =
                    Checkpoint::from_document(document, identity, configuration, &selection)?;
                counters.found_checkpoint(found.written_at_s);
                found
            }
            None => Checkpoint::new(
                self.options.run_name.clone(),
                self.identity.clone(),
                configuration.clone(),
            ),
        };
        // As long as nothing is out, the tables may be any. One of an older version had these, or it would have been refused.
        if checkpoint.log.is_none() || checkpoint.selection.is_null() {
            checkpoint.selection = selection;
            checkpoint.configuration = configuration.clone();
        }
        Ok(checkpoint)
    }

    /// Reads the checkpoint, from where it is kept, and makes the sink ready to go on there.
    async fn open<K: Sink>(&self, sink: &mut K) -> Result<Checkpoint<S::Position>> {
        let document = if sink.capabilities().keeps_checkpoint {
            sink.recover().await?
        } else {
            self.store.load()?
        };
        let checkpoint = self.checkpoint(document)?;
        if let Some(log) = &checkpoint.log {
            self.source.check_available(&log.position).await?;
        }
        let mark = (!checkpoint.sink.is_null()).then_some(&checkpoint.sink);
        sink.open(mark).await?;
        Ok(checkpoint)
    }

    async fn attempt<K: Sink>(&self, sink: &mut Option<K>) -> Result<Summary> {
        self.progress.set_phase(Phase::Starting);
        let mut taken = sink.take().ok_or_else(lost_sink)?;
        let checkpoint = match self.open(&mut taken).await {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                *sink = Some(taken);
                return Err(error);
            }
        };
        let can = taken.capabilities();
        let bootstraps = Bootstraps::new(&checkpoint.bootstraps, self.progress, can);
        let unread = if checkpoint.log.is_none() || can.rewinds {
            Unread::IsAbsent
        } else if can.replaces_by_key {
            Unread::MayBeThere
        } else {
            Unread::MayBeElsewhere
        };
        let (writer, handle) = writer::writer(
            taken,
            Arc::clone(self.store),
            checkpoint.clone(),
            self.options,
            Arc::clone(self.progress),
            self.stop.clone(),
        );
        let writing = tokio::spawn(writer.run());
        let serving = bootstraps.clone();
        let filter = self.options.rows.as_ref().map(|rows| &rows.filter);
        let mut attempt = Attempt {
            shared: self,
            state: checkpoint,
            writer: handle.clone(),
            live: None,
            bootstraps,
            unread,
            reading: Reading::ToNextCut,
            comment: None,
        };
        let result = tokio::select! {
            biased;
            result = attempt.go() => result,
            never = serving.serve(self.source, filter, self.commands, handle) => match never {},
        };
        if let Some(live) = attempt.live.take() {
            live.close().await;
        }
        let state = attempt.state.clone();
        drop(attempt);
        let (returned, written) = writing.await.map_err(|cause| {
            Error::new(ErrorKind::Internal, "the writer was interrupted").caused_by(cause)
        })?;
        *sink = Some(returned);
        // The writer's failure is the cause of whatever went wrong after it.
        let ended = match (written, result) {
            (Err(error), _) if error.kind() == ErrorKind::SinkClosed => Ended::SinkClosed,
            (Err(error), _) if error.kind() == ErrorKind::Cancelled && self.stop.is_cancelled() => {
                // Dropped in the middle of a wait, it is not to be used again: the run is over.
                return Ok(summary(Ended::Abandoned, None, self.progress));
            }
            (Err(error), _) | (Ok(()), Err(error)) => return Err(error),
            (Ok(()), Ok(ended)) => ended,
        };
        let token = if state.copy_is_complete() {
            state.token()?
        } else {
            None
        };
        Ok(summary(ended, token, self.progress))
    }
}

fn lost_sink() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the sink was lost with the task that held it",
    )
}

impl<S: Source> Attempt<'_, S> {
    async fn go(&mut self) -> Result<Ended> {
        let mode = self.shared.options.mode;
        let fresh = self.state.log.is_none();
        if fresh && mode == Mode::Cdc {
            self.start_from_log().await?;
        } else if mode == Mode::Cdc && !self.state.copy_is_complete() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the checkpoint holds a copy that is not complete",
            )
            .hint("finish it with `headwater run` or `headwater backfill`, or give another --checkpoint file"));
        }
        if Box::pin(self.take_selection()).await? == Ended::Stopped {
            return Ok(Ended::Stopped);
        }
        loop {
            self.reading = Reading::ToNextCut;
            if self.needs_rounds() && Box::pin(self.copy()).await? == Ended::Stopped {
                return Ok(Ended::Stopped);
            }
            if mode == Mode::Backfill {
                return Ok(Ended::Complete);
            }
            if let Some(ended) = Box::pin(self.follow()).await? {
                return Ok(ended);
            }
        }
    }

    /// Whether something is left of the first copy that is not to be read beside the log.
    fn needs_rounds(&self) -> bool {
        let is_left_beside = self.may_read_beside() && self.state.rest_is_beside();
        !self.state.copy_is_complete() && !is_left_beside
    }

    /// A run without a first copy: from now, a token, or a position.
    async fn start_from_log(&mut self) -> Result<()> {
        let source = self.shared.source;
        let (position, definitions) = match &self.shared.options.start {
            Start::Now => source.current().await?,
            Start::Token(token) => (
                token.position_for(self.shared.identity)?,
                token.definitions.clone(),
            ),
        };
        source.check_available(&position).await?;
        let point = LogPoint::at(position);
        self.note_saved(note::Note::Start { point, definitions })
            .await
    }

    /// Makes a note true here and hands it on without rows.
    async fn note(&mut self, note: note::Note<S::Position>) -> Result<()> {
        self.note_behind(self.writer.pool.take(), note).await
    }

    /// The same behind rows.
    async fn note_behind(&mut self, batch: Batch, note: note::Note<S::Position>) -> Result<()> {
        note.clone().apply(&mut self.state)?;
        self.writer.send(batch, note).await
    }

    /// The same, and waits until it is in the checkpoint.
    async fn note_saved(&mut self, note: note::Note<S::Position>) -> Result<()> {
        note.clone().apply(&mut self.state)?;
        self.writer.save(note).await
    }
}
