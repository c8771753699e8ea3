//! What a fold gathers between two commits: a delta for each place that was touched, so that a hot key costs one write a batch.

use std::sync::{Arc, Mutex, PoisonError};

use headwater_core::{Error, ErrorKind, Result};
use rustc_hash::FxHashMap;

use crate::monoid::{Monoid, Refusal, Refused};
use crate::place::Place;
use crate::store::{Deltas, Merged};

/// About what a place takes beside its bytes and its value.
const PLACE_BYTES: usize = 48;

/// Deltas under way.
#[derive(Debug)]
pub struct Gathered<M: Monoid> {
    monoid: Arc<M>,
    values: FxHashMap<Place, M::Value>,
    size_bytes: usize,
}

impl<M: Monoid> Gathered<M> {
    /// None yet.
    pub fn new(monoid: Arc<M>) -> Self {
        Self {
            monoid,
            values: FxHashMap::default(),
            size_bytes: 0,
        }
    }

    /// Changes the delta at a place; what is refused leaves it as it was.
    ///
    /// # Errors
    /// What `change` refuses.
    pub fn change(
        &mut self,
        place: &[u8],
        change: impl FnOnce(&M, &mut M::Value) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        if let Some(value) = self.values.get_mut(place) {
            // Numbers stay as large as they are: only of what grows is the size looked at.
            let before = self.monoid.size_bytes(value);
            let changed = change(&self.monoid, value);
            let after = self.monoid.size_bytes(value);
            self.size_bytes = (self.size_bytes + after).saturating_sub(before);
            return changed;
        }
        let mut value = self.monoid.identity();
        change(&self.monoid, &mut value)?;
        let Some(place) = Place::from_bytes(place) else {
            return Err(Refused::unsuitable("a place without a bucket"));
        };
        self.size_bytes += place.as_bytes().len() + PLACE_BYTES + self.monoid.size_bytes(&value);
        self.values.insert(place, value);
        Ok(())
    }

    /// Bytes in memory, about.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Whether nothing was gathered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.values.clear();
        self.size_bytes = 0;
    }

    /// Everything gathered so far, in the order of places; then there is nothing.
    pub fn take(&mut self) -> Sorted<M> {
        let mut values: Vec<(Place, M::Value)> = self.values.drain().collect();
        self.size_bytes = 0;
        values.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Sorted {
            monoid: self.monoid.clone(),
            values,
            refused: Mutex::default(),
        }
    }
}

/// Deltas in order, for a store.
#[derive(Debug)]
pub struct Sorted<M: Monoid> {
    monoid: Arc<M>,
    values: Vec<(Place, M::Value)>,
    refused: Mutex<Vec<(usize, Refused)>>,
}

impl<M: Monoid> Sorted<M> {
    /// Deltas that the aggregates at their places could not take: these stay as they were.
    pub fn refused(&mut self) -> Vec<(Place, M::Value, Refused)> {
        let refused = self
            .refused
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let refused = std::mem::take(refused).into_iter();
        let of = |(at, refused): (usize, Refused)| {
            let (place, value) = &self.values[at];
            (place.clone(), value.clone(), refused)
        };
        refused.map(of).collect()
    }
}

impl<M: Monoid> Deltas for Sorted<M> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn place(&self, at: usize) -> &Place {
        &self.values[at].0
    }

    fn merge(&self, at: usize, stored: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Merged> {
        let (place, delta) = &self.values[at];
        let Some(stored) = stored else {
            if self.monoid.is_identity(delta) {
                return Ok(Merged::Gone);
            }
            self.monoid.encode(delta, out);
            return Ok(Merged::Put);
        };
        let mut value = self.monoid.decode(stored).map_err(|refused| {
            Error::new(ErrorKind::CheckpointDamaged, "an aggregate in the store cannot be read")
                .with("place", format!("{place:?}"))
                .with("monoid", self.monoid.name())
                .hint("bring back a copy of the store, or have the folds built anew: headwater run --rebuild-folds")
                .caused_by(Error::from(refused))
        })?;
        match self.monoid.combine(&mut value, delta) {
            Ok(()) if self.monoid.is_identity(&value) => Ok(Merged::Gone),
            Ok(()) => {
                self.monoid.encode(&value, out);
                Ok(Merged::Put)
            }
            Err(refused) if refused.kind() == Refusal::Damaged => Err(refused.into()),
            Err(refused) => {
                let mut all = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                all.push((at, refused));
                Ok(Merged::Kept)
            }
        }
    }
}
