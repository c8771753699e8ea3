//! The contract of a sink, and its one erased form.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::batch::Batch;
use crate::error::{Error, ErrorKind, Result};

/// What a write must have achieved when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The rows are on their way, in order; they may be lost in a crash.
    Accepted,
    /// These rows and all before them survive a crash of this process and its machine, as far as the sink promises it.
    Durable,
}

/// What a write achieved.
#[derive(Debug, Clone, PartialEq)]
pub enum Receipt {
    /// Taken. Progress must not move past it yet.
    Accepted,
    /// This and everything before is durable. The value is what the sink wants to find in the checkpoint when it is opened
    /// again (a file: its length); null if nothing.
    Durable(Value),
}

/// What a sink can do; the engine and the checks go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Writing a row again changes nothing.
    pub idempotent: bool,
    /// [`Sink::open`] takes back everything after the checkpoint's mark, so that a crash leaves no duplicate.
    pub rewinds: bool,
    /// A row takes the place of whatever the target holds of its key. False where its place follows from its values, or a NULL
    /// overwrites nothing: there the change of a row that a process which died may have written is needed to take back what
    /// it left.
    pub replaces_by_key: bool,
    /// It keeps the checkpoint itself, in one atomic step with the rows ([`Sink::recover`], [`Sink::commit`]). It rewinds, too.
    pub keeps_checkpoint: bool,
    /// Each row counts, so that one which came again would count twice: bootstraps of the running stream are refused.
    pub counts_rows: bool,
    /// The largest batch it takes, in bytes.
    pub batch_bytes_max: usize,
}

/// Where batches go.
///
/// Batches arrive in order, from one task. Order is kept for each key. No method is cancel-safe: the engine lets a
/// write end, within the sink's own deadlines. Only a run that was told to stop loses its patience
/// ([`Options::stop_within`](crate::engine::Options::stop_within)): it drops the write and then the sink, which must not outlive
/// that by much.
///
/// A sink that keeps the checkpoint ([`Capabilities::keeps_checkpoint`]) is used a little differently. The engine calls
/// [`Sink::recover`] and goes on from the checkpoint it gives back; then [`Sink::open`], without a mark; then [`Sink::write`]
/// with [`Durability::Accepted`] only; and [`Sink::commit`] in place of a barrier and a checkpoint store. Readers of the target
/// see the rows of a commit all at once, or never.
pub trait Sink: Send + 'static {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// A name for logs and for the checkpoint's fingerprint: `file:events.jsonl`, `stdout`. Never a secret.
    fn name(&self) -> String;

    /// Of a sink that keeps the checkpoint: takes it over and gives it back, as it was last committed; none before the first
    /// commit. Whoever wrote to the target before, in this process or another, is fenced off: nothing of theirs that is not
    /// committed by now ever will be. Called at the start of every attempt, so after any failure: what became of a commit whose
    /// answer was lost is told by what is given back.
    ///
    /// Errors: `SinkUnavailable` (temporary), `Locked` if somebody else took over since this process did, `CheckpointDamaged`,
    /// `CheckpointForeign`.
    fn recover(&mut self) -> impl Future<Output = Result<Option<Value>>> + Send {
        std::future::ready(Err(keeps_none()))
    }

    /// Of a sink that keeps the checkpoint: makes all rows written since the last commit durable together with `document`, which
    /// takes the last one's place, or neither. An error leaves open which; [`Sink::recover`] then tells.
    ///
    /// Errors: as [`Sink::write`].
    fn commit(&mut self, document: &Value) -> impl Future<Output = Result<()>> + Send {
        let _ = document;
        std::future::ready(Err(keeps_none()))
    }

    /// Gets ready to write after `mark`, the value of the last durable receipt (none: a first start, for which a target that
    /// already holds something unknown is refused). Called again after a failure, to rewind.
    ///
    /// Errors: `Locked`, `Storage`, `SinkRejected` with what to do; nothing is overwritten.
    fn open(&mut self, mark: Option<&Value>) -> impl Future<Output = Result<()>> + Send;

    /// Writes the rows of `batch`. An empty batch that must be durable is a barrier.
    ///
    /// Errors: `SinkUnavailable` (temporary: the engine rewinds and tries again), `SinkRejected`, `SinkClosed`, `Storage`.
    fn write(
        &mut self,
        batch: &Batch,
        durability: Durability,
    ) -> impl Future<Output = Result<Receipt>> + Send;
}

fn keeps_none() -> Error {
    Error::new(ErrorKind::Internal, "this sink keeps no checkpoint")
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

trait Erased: Send + 'static {
    fn capabilities(&self) -> Capabilities;
    fn name(&self) -> String;
    fn recover(&mut self) -> Answer<'_, Option<Value>>;
    fn commit<'a>(&'a mut self, document: &'a Value) -> Answer<'a, ()>;
    fn open<'a>(&'a mut self, mark: Option<&'a Value>) -> Answer<'a, ()>;
    fn write<'a>(&'a mut self, batch: &'a Batch, durability: Durability) -> Answer<'a, Receipt>;
}

impl<S: Sink> Erased for S {
    fn capabilities(&self) -> Capabilities {
        Sink::capabilities(self)
    }
    fn name(&self) -> String {
        Sink::name(self)
    }
    fn recover(&mut self) -> Answer<'_, Option<Value>> {
        Box::pin(Sink::recover(self))
    }
    fn commit<'a>(&'a mut self, document: &'a Value) -> Answer<'a, ()> {
        Box::pin(Sink::commit(self, document))
    }
    fn open<'a>(&'a mut self, mark: Option<&'a Value>) -> Answer<'a, ()> {
        Box::pin(Sink::open(self, mark))
    }
    fn write<'a>(&'a mut self, batch: &'a Batch, durability: Durability) -> Answer<'a, Receipt> {
        Box::pin(Sink::write(self, batch, durability))
    }
}

/// Any sink: what a command line picks at run time. One allocation a batch.
pub struct AnySink(Box<dyn Erased>);

impl AnySink {
    /// Erases a sink's type.
    pub fn new(sink: impl Sink) -> Self {
        Self(Box::new(sink))
    }
}

impl std::fmt::Debug for AnySink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AnySink").field(&self.0.name()).finish()
    }
}

impl Sink for AnySink {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn name(&self) -> String {
        self.0.name()
    }
    async fn recover(&mut self) -> Result<Option<Value>> {
        self.0.recover().await
    }
    async fn commit(&mut self, document: &Value) -> Result<()> {
        self.0.commit(document).await
    }
    async fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        self.0.open(mark).await
    }
    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        self.0.write(batch, durability).await
    }
}

/// Where checkpoints are kept: one document, replaced as a whole. Beside a sink that keeps the checkpoint itself it gets a copy
/// of what was committed, and is not read.
pub trait CheckpointStore: Send + Sync + 'static {
    /// The last document saved, if any.
    ///
    /// # Errors
    /// `CheckpointDamaged`, `CheckpointForeign` (a newer version), `Storage`, `Locked`. The store is left as it is.
    fn load(&self) -> Result<Option<Value>>;

    /// Replaces the document, atomically and durably: after a crash the old or the new one is found, whole. Blocking.
    ///
    /// # Errors
    /// `Storage`; the old document is then still there.
    fn save(&self, document: &Value) -> Result<()>;

    /// Whether [`CheckpointStore::save`] waits for anything outside, so that it needs a thread of its own.
    fn blocks(&self) -> bool {
        true
    }
}

/// A store that forgets with the process: for runs without a checkpoint, which still can rewind while they run.
#[derive(Debug, Default, Clone)]
pub struct MemoryCheckpoint(Arc<std::sync::Mutex<Option<Value>>>);

impl MemoryCheckpoint {
    fn document(&self) -> std::sync::MutexGuard<'_, Option<Value>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl CheckpointStore for MemoryCheckpoint {
    fn load(&self) -> Result<Option<Value>> {
        Ok(self.document().clone())
    }

    fn save(&self, document: &Value) -> Result<()> {
        *self.document() = Some(document.clone());
        Ok(())
    }

    fn blocks(&self) -> bool {
        false
    }
}

impl<C: CheckpointStore + ?Sized> CheckpointStore for Arc<C> {
    fn load(&self) -> Result<Option<Value>> {
        (**self).load()
    }
    fn save(&self, document: &Value) -> Result<()> {
        (**self).save(document)
    }
    fn blocks(&self) -> bool {
        (**self).blocks()
    }
}
