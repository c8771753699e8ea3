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
        let spare = (contents.entries.len() - contents.durable) as u64;
        let kept = usize::try_from(world.random(spare + 1)).unwrap_or(0);
        let length = contents.durable + kept;
        contents.entries.truncate(length);
        contents.durable = length;
    }

    /// The rows, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock()
            .entries
            .iter()
            .filter_map(|entry| entry.event.clone())
            .collect()
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
}

impl Sink {
    /// A sink of a new process.
    #[must_use]
    pub fn new(target: &Target, world: &World) -> Self {
        Self {
            target: target.clone(),
            world: world.clone(),
        }
    }
}

impl sink::Sink for Sink {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: false,
            rewinds: self.target.keeps == Keeps::Mark,
            batch_bytes_max: usize::MAX,
        }
    }

    fn name(&self) -> String {
        "memory".into()
    }

    async fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        self.world.step().await;
        let mut contents = self.target.lock();
        contents.opened += 1;
        if self.target.keeps == Keeps::Everything {
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
