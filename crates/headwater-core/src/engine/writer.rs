//! The writer: the one task that owns the sink and the checkpoint. Batches reach it in order, each with a note of what is
//! done once the batch is; progress is saved only after the sink has said that everything before it is durable, or by the sink
//! itself in one step with the rows. While a checkpoint is on its way to the disk, the next batches are written.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::note::Note;
use super::patience::Patience;
use super::sieve::Sieve;
use crate::batch::Batch;
use crate::checkpoint::Checkpoint;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use crate::progress::Progress;
use crate::sink::{CheckpointStore, Durability, Receipt, Sink};
use crate::source::LogPoint;

/// Batches on their way to the sink: the bound of the queue.
const QUEUE_BATCHES: usize = 4;
/// Batches kept for their memory.
const POOL_BATCHES: usize = 8;

/// A batch with what is done once it is out, and who waits for it to be durable.
struct Work<P> {
    batch: Batch,
    note: Note<P>,
    saved: Option<oneshot::Sender<()>>,
}

/// Empty batches with their memory, for reuse.
#[derive(Debug, Default, Clone)]
pub(super) struct Pool(Arc<Mutex<Vec<Batch>>>);

impl Pool {
    pub(super) fn take(&self) -> Batch {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    pub(super) fn give(&self, mut batch: Batch) {
        batch.clear();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < POOL_BATCHES {
            kept.push(batch);
        }
    }
}

/// The way to the writer. Cheap to clone; every reader has one.
#[derive(Debug)]
pub(super) struct WriterHandle<P> {
    work: mpsc::Sender<Work<P>>,
    pub(super) pool: Pool,
    pub(super) durable: watch::Receiver<Option<LogPoint<P>>>,
    progress: Arc<Progress>,
}

impl<P> Clone for WriterHandle<P> {
    fn clone(&self) -> Self {
        Self {
            work: self.work.clone(),
            pool: self.pool.clone(),
            durable: self.durable.clone(),
            progress: Arc::clone(&self.progress),
        }
    }
}

impl<P: Position> WriterHandle<P> {
    /// Hands a batch on. Waits while the queue is full: this is the back-pressure of the whole engine.
    pub(super) async fn send(&self, batch: Batch, note: Note<P>) -> Result<()> {
        let work = Work {
            batch,
            note,
            saved: None,
        };
        self.put(work).await
    }

    /// Hands a note on and waits until it is in the checkpoint.
    pub(super) async fn save(&self, note: Note<P>) -> Result<()> {
        let (saved, wait) = oneshot::channel();
        let work = Work {
            batch: self.pool.take(),
            note,
            saved: Some(saved),
        };
        self.put(work).await?;
        wait.await.map_err(|_| writer_gone())
    }

    async fn put(&self, work: Work<P>) -> Result<()> {
        let place = self.work.reserve().await.map_err(|_| writer_gone())?;
        self.progress.counters().queued(work.batch.size_bytes());
        place.send(work);
        Ok(())
    }

    /// Resolves when nothing waits to be written. Cancel-safe.
    pub(super) async fn idle(&self) -> Result<()> {
        let places = self.work.reserve_many(QUEUE_BATCHES).await;
        places.map(drop).map_err(|_| writer_gone())
    }

    /// Resolves when the writer has ended, which it does by itself only after a failure, or where it lost its patience.
    pub(super) async fn gone(&self) {
        self.work.closed().await;
    }
}

/// What a sender gets when the writer has failed; the writer's own error is the one that is reported.
pub(super) fn writer_gone() -> Error {
    Error::new(ErrorKind::Cancelled, "the writer has ended")
}

/// The writer's side.
pub(super) struct Writer<P, K> {
    work: mpsc::Receiver<Work<P>>,
    pool: Pool,
    durable: watch::Sender<Option<LogPoint<P>>>,
    sink: K,
    store: Arc<dyn CheckpointStore>,
    checkpoint: Checkpoint<P>,
    interval: Duration,
    progress: Arc<Progress>,
    /// How long the sink may take once the run was told to stop.
    patience: Patience,
    /// Rows or notes since the last save.
    dirty: bool,
    /// Something is going out that cannot be taken up in the middle: nothing may be saved until it is whole.
    held: bool,
    /// Lets the filter's rows through; none without a filter.
    sieve: Option<Sieve<P>>,
    /// The checkpoint that is being stored, while rows go out behind it.
    storing: Option<Storing<P>>,
}

/// A checkpoint on its way to its store.
struct Storing<P> {
    stored: JoinHandle<Result<()>>,
    log: Option<LogPoint<P>>,
    written_at_s: u64,
}

/// The writer with the way to it.
pub(super) fn writer<P: Position, K: Sink>(
    sink: K,
    store: Arc<dyn CheckpointStore>,
    checkpoint: Checkpoint<P>,
    options: &Options,
    progress: Arc<Progress>,
    stop: CancellationToken,
) -> (Writer<P, K>, WriterHandle<P>) {
    let (send, receive) = mpsc::channel(QUEUE_BATCHES);
    let (durable, watch) = watch::channel(None);
    let pool = Pool::default();
    let handle = WriterHandle {
        work: send,
        pool: pool.clone(),
        durable: watch,
        progress: Arc::clone(&progress),
    };
    let rows = options.rows.as_ref();
    let sieve = rows.map(|rows| Sieve::new(rows.clone(), checkpoint.rows_filtered));
    let writer = Writer {
        work: receive,
        pool,
        durable,
        sink,
        store,
        checkpoint,
        interval: options.checkpoint_interval,
        progress,
        patience: Patience::new(stop, options.stop_within),
        dirty: false,
        held: false,
        sieve,
        storing: None,
    };
    (writer, handle)
}

impl<P: Position, K: Sink> Writer<P, K> {
    /// Writes until every handle is dropped, then makes everything durable. Gives the sink back, with how it went.
    pub(super) async fn run(mut self) -> (K, Result<()>) {
        let written = self.write_all().await;
        // After a failure, too: whoever begins again must not be overtaken by it.
        let stored = self.stored().await;
        (self.sink, written.and(stored))
    }

    async fn write_all(&mut self) -> Result<()> {
        let mut saved_at = Instant::now();
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        loop {
            if !self.dirty && self.storing.is_none() {
                for saved in waiting.drain(..) {
                    // A waiter that has given up meanwhile needs no answer.
                    let _ = saved.send(());
                }
            }
            let due = saved_at + self.interval;
            let work = tokio::select! {
                biased;
                stored = Self::storing(&mut self.storing) => {
                    self.note_stored(stored)?;
                    continue;
                }
                work = self.work.recv() => work,
                () = tokio::time::sleep_until(due), if self.dirty && !self.held => {
                    self.save().await?;
                    saved_at = Instant::now();
                    continue;
                }
            };
            let Some(work) = work else { break };
            self.progress.counters().unqueued(work.batch.size_bytes());
            // What is out before a hold is saved with it.
            let was_held = self.held;
            self.sift(work.batch, work.note).await?;
            waiting.extend(work.saved);
            let due = saved_at.elapsed() >= self.interval && self.dirty && !self.held;
            let is_waited_for = !(waiting.is_empty() || was_held && self.held);
            if due || is_waited_for {
                self.save().await?;
                saved_at = Instant::now();
            }
            if is_waited_for {
                self.stored().await?;
            }
        }
        if self.held || !self.dirty {
            // What is held is void: the checkpoint stays where it was.
            return Ok(());
        }
        self.save().await
    }

    /// Hands on what the filter lets through.
    async fn sift(&mut self, batch: Batch, note: Note<P>) -> Result<()> {
        let Some(sieve) = &mut self.sieve else {
            return self.take(batch, note).await;
        };
        for sifted in sieve.sift(batch, note) {
            self.take(sifted.batch, sifted.note).await?;
            self.checkpoint.rows_filtered = sifted.rows_filtered;
        }
        Ok(())
    }

    async fn take(&mut self, batch: Batch, note: Note<P>) -> Result<()> {
        if !batch.is_empty() {
            let written = self.sink.write(&batch, Durability::Accepted);
            self.patience.wait(written).await?;
            self.progress.counters().wrote(&batch);
        }
        self.pool.give(batch);
        match note {
            Note::Hold => self.held = true,
            Note::Nothing => {}
            note => {
                if note.ends_hold() {
                    self.held = false;
                }
                note.apply(&mut self.checkpoint)?;
            }
        }
        self.dirty = true;
        Ok(())
    }

    /// Makes everything durable, then stores what is then true; or both at once, where the sink keeps the checkpoint. It may
    /// still be on its way to the store when this returns.
    async fn save(&mut self) -> Result<()> {
        self.stored().await?;
        let keeps_checkpoint = self.sink.capabilities().keeps_checkpoint;
        if !keeps_checkpoint {
            self.checkpoint.sink = self.barrier().await?;
        }
        self.checkpoint.written_at_s = clock::now_s();
        let document: Value = serde_json::to_value(&self.checkpoint).map_err(|cause| {
            Error::new(
                ErrorKind::Internal,
                "the checkpoint cannot be written as JSON",
            )
            .caused_by(cause)
        })?;
        if keeps_checkpoint {
            self.patience.wait(self.sink.commit(&document)).await?;
        }
        self.dirty = false;
        let (log, written_at_s) = (self.checkpoint.log.clone(), self.checkpoint.written_at_s);
        // Where the sink has kept it, this is a copy.
        if !self.store.blocks() {
            self.store.save(&document)?;
            self.note_durable(log, written_at_s);
            return Ok(());
        }
        let store = Arc::clone(&self.store);
        self.storing = Some(Storing {
            stored: tokio::task::spawn_blocking(move || store.save(&document)),
            log,
            written_at_s,
        });
        Ok(())
    }

    /// Waits until the checkpoint that is being stored is.
    async fn stored(&mut self) -> Result<()> {
        if self.storing.is_none() {
            return Ok(());
        }
        let stored = Self::storing(&mut self.storing).await;
        self.note_stored(stored)
    }

    /// Resolves when the checkpoint that is being stored is; never, if none is. May be dropped and asked for again.
    async fn storing(storing: &mut Option<Storing<P>>) -> Result<()> {
        let Some(storing) = storing else {
            return std::future::pending().await;
        };
        (&mut storing.stored).await.map_err(|cause| {
            Error::new(ErrorKind::Internal, "saving the checkpoint was interrupted")
                .caused_by(cause)
        })?
    }

    fn note_stored(&mut self, stored: Result<()>) -> Result<()> {
        let storing = self.storing.take();
        stored?;
        if let Some(storing) = storing {
            self.note_durable(storing.log, storing.written_at_s);
        }
        Ok(())
    }

    fn note_durable(&self, log: Option<LogPoint<P>>, written_at_s: u64) {
        self.progress.counters().saved(written_at_s);
        self.durable.send_replace(log);
    }

    /// Waits until everything written is durable; says the sink's mark.
    async fn barrier(&mut self) -> Result<Value> {
        let nothing = Batch::new();
        let written = self.sink.write(&nothing, Durability::Durable);
        let Receipt::Durable(mark) = self.patience.wait(written).await? else {
            return Err(Error::new(
                ErrorKind::Internal,
                "the sink answered a barrier with `accepted`",
            )
            .with("sink", self.sink.name()));
        };
        Ok(mark)
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
