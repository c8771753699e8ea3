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
    /// At least what they take: what grows is not measured with each event.
    size_bytes: usize,
    /// The most that the value of one event alone has taken so far.
    event_bytes: usize,
}

impl<M: Monoid> Gathered<M> {
    /// None yet.
    pub fn new(monoid: Arc<M>) -> Self {
        Self {
            monoid,
            values: FxHashMap::default(),
            size_bytes: 0,
            event_bytes: 0,
        }
    }

    /// Changes the delta at a place by an event that brings `input_bytes` of its own; what is refused leaves it as it was.
    ///
    /// # Errors
    /// What `change` refuses.
    pub fn change(
        &mut self,
        place: &[u8],
        input_bytes: usize,
        change: impl FnOnce(&M, &mut M::Value) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        if let Some(value) = self.values.get_mut(place) {
            // To measure a set for each of its members would take the square of their number.
            self.size_bytes += self.event_bytes + input_bytes;
            return change(&self.monoid, value);
        }
        let mut value = self.monoid.identity();
        change(&self.monoid, &mut value)?;
        let Some(place) = Place::from_bytes(place) else {
            return Err(Refused::unsuitable("a place without a bucket"));
        };
        let value_bytes = self.monoid.size_bytes(&value);
        self.event_bytes = self.event_bytes.max(value_bytes);
        self.size_bytes += size_bytes(&place, value_bytes);
        self.values.insert(place, value);
        Ok(())
    }

    /// Bytes in memory, at most, about: events at one place count as if each made its value grow. [`Gathered::measure`] looks.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Bytes in memory, about, by a look at each value.
    pub fn measure(&mut self) -> usize {
        let sizes = self.values.iter();
        let sizes = sizes.map(|(place, value)| size_bytes(place, self.monoid.size_bytes(value)));
        self.size_bytes = sizes.sum();
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

fn size_bytes(place: &Place, value_bytes: usize) -> usize {
    place.as_bytes().len() + PLACE_BYTES + value_bytes
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;
    use crate::monoid::{Count, Dynamic, Item as _, Moment, Scalar};
    use headwater_core::schema::DataType;

    fn add(gathered: &mut Gathered<Dynamic>, key: u8, value: &Scalar) {
        let place = Place::new(0, &[key]);
        let values = std::slice::from_ref(value);
        let added = gathered.change(place.as_bytes(), value.heap_bytes(), |monoid, into| {
            monoid.add(into, values, Moment::default())
        });
        added.unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_more_is_held_than_is_said(
            name in prop::sample::select(vec!["set", "hll", "bloom", "last", "top", "count"]),
            events in prop::collection::vec((0u8..4, "[a-z]{0,200}"), 1..200),
        ) {
            let mut parameters = Map::new();
            if name == "top" {
                parameters.insert("k".to_owned(), json!(10));
            }
            let types = if name == "count" { vec![] } else { vec![DataType::Text] };
            let monoid = Dynamic::parse(name, &parameters, &types).unwrap();
            let mut gathered = Gathered::new(Arc::new(monoid));
            for (key, text) in events {
                add(&mut gathered, key, &Scalar::Text(text));
            }
            let said = gathered.size_bytes();
            prop_assert!(gathered.measure() <= said);
            prop_assert!(gathered.size_bytes() <= said);
        }
    }

    #[test]
    fn what_does_not_grow_is_found_small_once_it_is_measured() {
        let mut gathered = Gathered::new(Arc::new(Count));
        let place = Place::new(0, b"hot");
        for _ in 0..100_000 {
            let at = Moment::default();
            let add = |monoid: &Count, into: &mut _| monoid.add(into, &(), at);
            gathered.change(place.as_bytes(), 0, add).unwrap();
        }
        assert!(gathered.size_bytes() > 100_000);
        assert!(gathered.measure() < 200);
    }
}
