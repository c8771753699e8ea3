//! The sink in memory. What it holds survives the process: what was durable, and by chance some of what was not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_core::batch::{Batch, ChangeKind};
use headwater_core::error::{Error, ErrorKind, Result};
use headwater_core::sink::{self, Capabilities, Durability, Receipt};
use serde_json::{Value, json};

use super::world::World;
use crate::oracle::Event;
use crate::render;

/// What a target keeps over a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// What is after the checkpoint's mark is taken back, as a file's end is.
    Mark,
    /// What came stays.
    Everything,
    /// What is committed, with its checkpoint; the rest goes.
    Checkpoint,
}

#[derive(Debug, Clone)]
struct Entry {
    table: String,
    kind: ChangeKind,
    event: Option<Event>,
}

#[derive(Debug, Default)]
struct Contents {
    entries: Vec<Entry>,
    durable: usize,
    opened: u64,
    /// The checkpoint of the last commit.
    document: Option<Value>,
    /// The process that may write: each that recovers is the next.
    epoch: u64,
}

/// Where a sink's rows are.
#[derive(Debug, Clone)]
pub struct Target {
    contents: Arc<Mutex<Contents>>,
    keeps: Keeps,
}

impl Target {
    /// An empty target.
    #[must_use]
    pub fn new(keeps: Keeps) -> Self {
        Self {
            contents: Arc::default(),
            keeps,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process has died: of what was not durable only a part is there, its beginning.
    pub fn crash(&self, world: &World) {
        let mut contents = self.lock();
        let spare = match self.keeps {
            Keeps::Checkpoint => 0,
            Keeps::Mark | Keeps::Everything => contents.entries.len() - contents.durable,
        };
        let kept = usize::try_from(world.random(spare as u64 + 1)).unwrap_or(0);
        let length = contents.durable + kept;
        contents.entries.truncate(length);
        contents.durable = length;
    }

    /// The rows, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let contents = self.lock();
        let seen = match self.keeps {
            Keeps::Checkpoint => contents.durable,
            Keeps::Mark | Keeps::Everything => contents.entries.len(),
        };
        let seen = contents.entries.iter().take(seen);
        seen.filter_map(|entry| entry.event.clone()).collect()
    }

    /// The start and complete marks of bootstraps, in order.
    #[must_use]
    pub fn marks(&self) -> Vec<(String, ChangeKind)> {
        let contents = self.lock();
        let is_mark = |kind| {
            matches!(
                kind,
                ChangeKind::BootstrapStart | ChangeKind::BootstrapComplete
            )
        };
        let marks = contents.entries.iter().filter(|entry| is_mark(entry.kind));
        marks
            .map(|entry| (entry.table.clone(), entry.kind))
            .collect()
    }

    /// How often it was opened.
    #[must_use]
    pub fn times_opened(&self) -> u64 {
        self.lock().opened
    }
}

/// A sink that writes to a [`Target`].
#[derive(Debug)]
pub struct Sink {
    target: Target,
    world: World,
    /// Its number among the processes that recovered, once it has.
    epoch: Option<u64>,
}

impl Sink {
    /// A sink of a new process.
    #[must_use]
    pub fn new(target: &Target, world: &World) -> Self {
        Self {
            target: target.clone(),
            world: world.clone(),
            epoch: None,
        }
    }

    /// Refuses if another process has recovered meanwhile.
    fn check_epoch(&self, contents: &Contents) -> Result<()> {
        if self.target.keeps != Keeps::Checkpoint || self.epoch == Some(contents.epoch) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::SinkUnavailable,
            "fenced off, or not recovered",
        ))
    }
}

impl sink::Sink for Sink {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: false,
            rewinds: self.target.keeps != Keeps::Everything,
            replaces_by_key: true,
            keeps_checkpoint: self.target.keeps == Keeps::Checkpoint,
            counts_rows: false,
            batch_bytes_max: usize::MAX,
        }
    }

    fn name(&self) -> String {
        "memory".into()
    }

    async fn recover(&mut self) -> Result<Option<Value>> {
        self.world.step().await;
        let mut contents = self.target.lock();
        if self.epoch.is_some_and(|epoch| epoch != contents.epoch) {
            return Err(
                Error::new(ErrorKind::Locked, "another process has taken over")
                    .hint("end one of the two"),
            );
        }
        contents.epoch += 1;
        self.epoch = Some(contents.epoch);
        let durable = contents.durable;
        contents.entries.truncate(durable);
        Ok(contents.document.clone())
    }

    async fn commit(&mut self, document: &Value) -> Result<()> {
        self.world.step().await;
        {
            let mut contents = self.target.lock();
            self.check_epoch(&contents)?;
            contents.durable = contents.entries.len();
            contents.document = Some(document.clone());
        }
        // It is committed, and the process may die before it knows.
        self.world.step().await;
        Ok(())
    }

    async fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        self.world.step().await;
        let mut contents = self.target.lock();
        contents.opened += 1;
        if self.target.keeps != Keeps::Mark {
            return Ok(());
        }
        let length = match mark {
            None if contents.entries.is_empty() => 0,
            None => {
                return Err(
                    Error::new(ErrorKind::SinkRejected, "the target is not empty")
                        .hint("give the checkpoint it belongs to"),
                );
            }
            Some(mark) => mark["length"]
                .as_u64()
                .and_then(|length| usize::try_from(length).ok())
                .unwrap_or(usize::MAX),
        };
        if length > contents.entries.len() {
            return Err(Error::new(
                ErrorKind::SinkRejected,
                "the target is shorter than its checkpoint",
            ));
        }
        contents.entries.truncate(length);
        contents.durable = length;
        Ok(())
    }

    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        self.world.step().await;
        {
            let mut contents = self.target.lock();
            self.check_epoch(&contents)?;
            contents.entries.extend(batch.rows().map(|row| Entry {
                table: row.schema().name.to_string(),
                kind: row.kind(),
                event: render::event(&row),
            }));
        }
        if durability == Durability::Accepted {
            return Ok(Receipt::Accepted);
        }
        self.world.step().await;
        let length = {
            let mut contents = self.target.lock();
            contents.durable = contents.entries.len();
            contents.durable
        };
        self.world.step().await;
        Ok(Receipt::Durable(json!({ "length": length })))
    }
}
