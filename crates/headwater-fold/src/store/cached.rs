//! A cache in front of a store that is slow to read: what was merged last need not be read back for the next step.
//!
//! It holds what the writer itself has merged, as it stands in the store together with the step under way. That is right for as long
//! as nobody else writes and no step is lost; so everything is forgotten when the store is taken over, as it is after anything that
//! failed. The store still finds out, with each merge and each commit, whether its writer is the one.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use headwater_core::Result;
use rustc_hash::FxHashMap;

use super::{Deltas, FoldInfo, Merged, StateStore, Step, Taken};
use crate::place::{ALL_TIME, Place};

/// About what a place takes beside its bytes.
const PLACE_BYTES: usize = 64;

/// Places that are merged at a time: so many may stand in memory beyond the bound.
const PLACES_MAX: usize = 10_000;

/// A store with the aggregates in memory that were touched last.
#[derive(Debug)]
pub struct Cached<S> {
    store: S,
    bytes_max: usize,
    recent: Mutex<Recent>,
}

/// Another handle of the same store, which remembers nothing.
impl<S: Clone> Clone for Cached<S> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            bytes_max: self.bytes_max,
            recent: Mutex::default(),
        }
    }
}

impl<S: StateStore> Cached<S> {
    /// With so many bytes of them at most; none for 0.
    pub fn new(store: S, bytes_max: usize) -> Self {
        Self {
            store,
            bytes_max,
            recent: Mutex::default(),
        }
    }

    fn recent(&mut self) -> &mut Recent {
        self.recent
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn merge_parts(&mut self, fold: usize, deltas: &dyn Deltas) -> Result<()> {
        for start in (0..deltas.len()).step_by(PLACES_MAX) {
            let part = Part {
                deltas,
                range: start..deltas.len().min(start + PLACES_MAX),
                fold,
                recent: &self.recent,
            };
            self.store.merge(fold, &part).await?;
            // Not before: what was said to be known must be there until it is merged.
            let bytes_max = self.bytes_max;
            self.recent().shrink(bytes_max);
        }
        Ok(())
    }
}

impl<S: StateStore> StateStore for Cached<S> {
    type Reader = S::Reader;

    fn name(&self) -> String {
        self.store.name()
    }

    async fn take_over(&mut self, folds: &[FoldInfo], anew: bool) -> Result<Taken> {
        *self.recent() = Recent::default();
        self.store.take_over(folds, anew).await
    }

    async fn merge(&mut self, fold: usize, deltas: &dyn Deltas) -> Result<()> {
        if self.bytes_max == 0 {
            return self.store.merge(fold, deltas).await;
        }
        self.merge_parts(fold, deltas).await
    }

    async fn commit(&mut self, step: Step<'_>) -> Result<()> {
        let keep_from_s = step.keep_from_s.to_vec();
        self.store.commit(step).await?;
        for (fold, keep_from_s) in keep_from_s.into_iter().enumerate() {
            if let Some(keep_from_s) = keep_from_s {
                self.recent().drop_before(fold, keep_from_s);
            }
        }
        Ok(())
    }

    fn reader(&self) -> Result<Self::Reader> {
        self.store.reader()
    }
}

/// Some of the deltas, that know what is in the cache.
struct Part<'a> {
    deltas: &'a dyn Deltas,
    range: Range<usize>,
    fold: usize,
    recent: &'a Mutex<Recent>,
}

impl Deltas for Part<'_> {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn place(&self, at: usize) -> &Place {
        self.deltas.place(self.range.start + at)
    }

    fn is_known(&self, at: usize) -> bool {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.knows(self.fold, self.place(at))
    }

    fn merge(&self, at: usize, stored: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Merged> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.take(self.fold, self.place(at));
        let stored = match &known {
            Some(known) => known.as_deref(),
            None => stored,
        };
        let merged = self.deltas.merge(self.range.start + at, stored, out)?;
        let now = match merged {
            Merged::Put => Some(out.as_slice().into()),
            Merged::Gone => None,
            Merged::Kept => stored.map(Box::from),
        };
        recent.put(self.fold, self.place(at), now);
        Ok(merged)
    }
}

/// What stands at a place: its bytes, or that nothing does.
type Known = Option<Box<[u8]>>;

/// What was touched last, in two halves: once the younger one is half of all, the older one is dropped, and what of it was touched
/// meanwhile has moved to the younger.
#[derive(Debug, Default)]
struct Recent {
    young: Half,
    old: Half,
}

/// By fold and place.
#[derive(Debug, Default)]
struct Half {
    folds: Vec<FxHashMap<Place, Known>>,
    size_bytes: usize,
}

impl Recent {
    fn knows(&self, fold: usize, place: &Place) -> bool {
        let mut halves = [&self.young, &self.old].into_iter();
        halves.any(|half| (half.folds.get(fold)).is_some_and(|all| all.contains_key(place)))
    }

    fn take(&mut self, fold: usize, place: &Place) -> Option<Known> {
        let young = self.young.take(fold, place);
        young.or_else(|| self.old.take(fold, place))
    }

    fn put(&mut self, fold: usize, place: &Place, known: Known) {
        self.young.put(fold, place, known);
    }

    fn shrink(&mut self, bytes_max: usize) {
        if self.young.size_bytes > bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        if self.size_bytes() > bytes_max {
            self.old = Half::default();
        }
    }

    fn size_bytes(&self) -> usize {
        self.young.size_bytes + self.old.size_bytes
    }

    fn drop_before(&mut self, fold: usize, keep_from_s: i64) {
        for half in [&mut self.young, &mut self.old] {
            half.drop_before(fold, keep_from_s);
        }
    }
}

fn size_bytes(place: &Place, known: &Known) -> usize {
    PLACE_BYTES + place.as_bytes().len() + known.as_ref().map_or(0, |bytes| bytes.len())
}

impl Half {
    fn take(&mut self, fold: usize, place: &Place) -> Option<Known> {
        let known = self.folds.get_mut(fold)?.remove(place)?;
        self.size_bytes -= size_bytes(place, &known);
        Some(known)
    }

    /// At a place where nothing is known.
    fn put(&mut self, fold: usize, place: &Place, known: Known) {
        if self.folds.len() <= fold {
            self.folds.resize_with(fold + 1, FxHashMap::default);
        }
        self.size_bytes += size_bytes(place, &known);
        self.folds[fold].insert(place.clone(), known);
    }

    fn drop_before(&mut self, fold: usize, keep_from_s: i64) {
        let Some(all) = self.folds.get_mut(fold) else {
            return;
        };
        let size = &mut self.size_bytes;
        all.retain(|place, known| {
            // What is of all time stays.
            let bucket_s = place.bucket_s();
            let stays = bucket_s == ALL_TIME || bucket_s >= keep_from_s;
            if !stays {
                *size -= size_bytes(place, known);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(recent: &mut Recent, number: u32) {
        let place = Place::new(0, &number.to_be_bytes());
        recent.take(0, &place);
        recent.put(0, &place, Some(vec![0; 100].into()));
        recent.shrink(10_000);
    }

    #[test]
    fn what_was_touched_last_is_known_and_the_bound_is_kept() {
        let mut recent = Recent::default();
        for number in 0..1_000 {
            touch(&mut recent, number);
            // One that is touched again and again.
            touch(&mut recent, 7);
            assert!(recent.size_bytes() <= 10_000);
        }
        let knows = |number: u32| recent.knows(0, &Place::new(0, &number.to_be_bytes()));
        assert!(knows(7) && !knows(8) && !knows(500));
        assert!((975..1_000).all(knows));
        assert!(!recent.knows(1, &Place::new(0, &7u32.to_be_bytes())));
    }

    #[test]
    fn what_is_larger_than_the_bound_is_not_kept() {
        let mut recent = Recent::default();
        let place = Place::new(0, b"large");
        recent.put(0, &place, Some(vec![0; 20_000].into()));
        recent.shrink(10_000);
        assert_eq!(recent.size_bytes(), 0);
        assert!(!recent.knows(0, &place));
    }
}
