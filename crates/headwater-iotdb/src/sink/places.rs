//! The places that were written to lately, and by which row: duplicates are counted by them, where a mapping lets the last of
//! several rows win.

use std::hash::{BuildHasher, Hash};

use rustc_hash::{FxBuildHasher, FxHashMap};

/// Places that are remembered, at least; twice as many at most.
const PLACES: usize = 500_000;

/// Places by their hashes, in two generations, so that memory is bounded.
#[derive(Debug, Default)]
pub(crate) struct Places {
    now: FxHashMap<u64, u64>,
    before: FxHashMap<u64, u64>,
}

impl Places {
    /// Notes that the row of `key` is written to `place`. Says whether another one was there; rows without a key are all
    /// different.
    pub(crate) fn take(&mut self, place: impl Hash, key: &[u8]) -> bool {
        let (place, row) = (FxBuildHasher.hash_one(place), FxBuildHasher.hash_one(key));
        let known = self
            .now
            .insert(place, row)
            .or_else(|| self.before.get(&place).copied());
        if self.now.len() >= PLACES {
            self.before = std::mem::take(&mut self.now);
        }
        known.is_some_and(|known| known != row || key.is_empty())
    }

    /// Notes that the row of `key` has left `place`.
    pub(crate) fn leave(&mut self, place: impl Hash, key: &[u8]) {
        let (place, row) = (FxBuildHasher.hash_one(place), FxBuildHasher.hash_one(key));
        for generation in [&mut self.now, &mut self.before] {
            if generation.get(&place) == Some(&row) {
                generation.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_row_at_a_place_is_told_and_memory_is_bounded() {
        let mut places = Places::default();
        assert!(!places.take(("d", 1), b"{\"id\":1}"));
        assert!(!places.take(("d", 1), b"{\"id\":1}"));
        assert!(places.take(("d", 1), b"{\"id\":2}"));
        places.leave(("d", 1), b"{\"id\":1}");
        assert!(places.take(("d", 1), b"{\"id\":3}"));
        places.leave(("d", 1), b"{\"id\":3}");
        assert!(!places.take(("d", 1), b"{\"id\":4}"));
        assert!(!places.take(("e", 1), b"") && places.take(("e", 1), b""));
        for time in 0..2 * PLACES as u64 + 10 {
            places.take(("f", time), b"{\"id\":1}");
            assert!(places.now.len() + places.before.len() <= 2 * PLACES);
        }
        assert!(places.take(("f", PLACES as u64 + 20), b"{\"id\":2}"));
    }
}
