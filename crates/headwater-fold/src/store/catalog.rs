//! What a store says of itself: its generations, and which of them is written to and which is served.

use std::collections::BTreeMap;

use headwater_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FoldInfo, Served};

/// A store's generations. Each store keeps it beside the aggregates, as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// The version of the store's layout.
    pub format: u32,
    /// The generation that queries look at.
    pub served: Option<u32>,
    /// The one that is written to.
    pub writing: u32,
    /// All there are, by their numbers.
    pub generations: BTreeMap<u32, Generation>,
}

/// A generation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Generation {
    /// Its folds; their places are their numbers.
    pub folds: Vec<FoldInfo>,
    /// What it includes; none before its first commit.
    pub progress: Option<Value>,
}

impl Catalog {
    /// Decides which generation is written to. Gives back the one that was being built and is not wanted any more.
    pub fn choose(&mut self, folds: &[FoldInfo], anew: bool) -> Option<(u32, Generation)> {
        let fits = |number: &u32| {
            let generation = self.generations.get(number);
            generation.is_some_and(|generation| generation.folds == folds)
        };
        let building = Some(self.writing).filter(|writing| {
            self.served != Some(*writing) && self.generations.contains_key(writing)
        });
        if building.is_some_and(|building| fits(&building)) {
            return None;
        }
        let goes_on = self.served.filter(|served| !anew && fits(served));
        let next = self.generations.keys().last().map_or(0, |last| last + 1);
        self.writing = goes_on.unwrap_or(next);
        self.generations.entry(self.writing).or_insert(Generation {
            folds: folds.to_vec(),
            progress: None,
        });
        building.and_then(|building| self.generations.remove_entry(&building))
    }

    /// The progress of the generation that is written to; none before its first commit.
    #[must_use]
    pub fn into_written(mut self) -> Option<Value> {
        self.generations.remove(&self.writing)?.progress
    }

    /// What is served; none before the first bootstrap is complete.
    #[must_use]
    pub fn into_served(mut self) -> Option<Served> {
        let generation = self.served?;
        let Generation { folds, .. } = self.generations.remove(&generation)?;
        Some(Served { generation, folds })
    }

    /// The progress of `served`, if that still is what is served.
    ///
    /// # Errors
    /// `Cancelled`: another generation is served by now.
    pub fn into_progress_of(mut self, served: &Served) -> Result<Value> {
        if self.served != Some(served.generation) {
            return Err(Error::new(
                ErrorKind::Cancelled,
                "the folds were built anew meanwhile",
            ));
        }
        let generation = self.generations.remove(&served.generation);
        Ok(generation
            .and_then(|found| found.progress)
            .unwrap_or_default())
    }

    /// Takes a step's progress down. Gives back the generations that go with it.
    pub fn commit(&mut self, progress: &Value, serve: bool) -> BTreeMap<u32, Generation> {
        let writing = self.writing;
        if let Some(generation) = self.generations.get_mut(&writing) {
            generation.progress = Some(progress.clone());
        }
        if !serve {
            return BTreeMap::new();
        }
        self.served = Some(writing);
        let (kept, gone) = std::mem::take(&mut self.generations)
            .into_iter()
            .partition(|(number, _)| *number == writing);
        self.generations = kept;
        gone
    }
}
