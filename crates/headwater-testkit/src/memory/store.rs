//! The checkpoint store in memory. It survives the process, and can fail.

use std::sync::{Arc, Mutex, PoisonError};

use headwater_core::error::{Error, ErrorKind, Result};
use headwater_core::sink::CheckpointStore;
use serde_json::Value;

use super::world::World;

/// A store; its clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    document: Arc<Mutex<Option<Value>>>,
    world: World,
    failures: f64,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self {
            document: Arc::default(),
            world: world.clone(),
            failures: 0.0,
        }
    }

    /// The same store, with this chance that saving fails: with the old document or the new one left behind.
    #[must_use]
    pub fn failing(&self, chance: f64) -> Self {
        Self {
            failures: chance,
            ..self.clone()
        }
    }

    /// What it holds.
    #[must_use]
    pub fn document(&self) -> Option<Value> {
        self.document
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, document: &Value) {
        *self.document.lock().unwrap_or_else(PoisonError::into_inner) = Some(document.clone());
    }

    fn happens(&self, chance: f64) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "a chance need not be exact")]
        let drawn = self.world.random(1000) as f64 / 1000.0;
        drawn < chance
    }
}

impl CheckpointStore for Store {
    fn load(&self) -> Result<Option<Value>> {
        Ok(self.document())
    }

    fn save(&self, document: &Value) -> Result<()> {
        let failed = || Error::new(ErrorKind::Storage, "saving failed, as asked for");
        if !self.world.step_blocking() {
            return Err(failed());
        }
        if self.happens(self.failures) {
            if self.happens(0.5) {
                self.replace(document);
            }
            return Err(failed());
        }
        self.replace(document);
        if self.world.step_blocking() {
            Ok(())
        } else {
            Err(failed())
        }
    }

    fn blocks(&self) -> bool {
        false
    }
}
