//! A step under way: what was merged and is not committed.

use std::collections::BTreeMap;

use headwater_fold::place::Place;
use redis::ScriptInvocation;

use crate::keys::{Keys, bucket};

/// About what a place takes beside its bytes.
const PLACE_BYTES: usize = 96;

/// What became of a place: its bytes, or none where it is gone.
type Became = Option<Vec<u8>>;

/// A fold's number, a bucket of it, and what became of the places there.
type Bucket<'a> = (usize, i64, Vec<(&'a Place, &'a Became)>);

/// For each fold, what became of its places.
#[derive(Debug, Default)]
pub(crate) struct Merging {
    folds: Vec<BTreeMap<Place, Became>>,
    pub(crate) size_bytes: usize,
}

impl Merging {
    pub(crate) fn get(&self, fold: usize, place: &Place) -> Option<&Became> {
        self.folds.get(fold)?.get(place)
    }

    pub(crate) fn put(&mut self, fold: usize, place: &Place, became: Became) {
        if self.folds.len() <= fold {
            self.folds.resize_with(fold + 1, BTreeMap::new);
        }
        let of = |became: &Became| became.as_ref().map_or(0, Vec::len);
        self.size_bytes += of(&became);
        match self.folds[fold].insert(place.clone(), became) {
            Some(before) => self.size_bytes -= of(&before),
            None => self.size_bytes += place.as_bytes().len() + PLACE_BYTES,
        }
    }

    /// The buckets that were touched, in order.
    fn buckets(&self) -> Vec<Bucket<'_>> {
        let mut buckets: Vec<Bucket<'_>> = Vec::new();
        for (fold, places) in self.folds.iter().enumerate() {
            for (place, became) in places {
                match buckets.last_mut() {
                    Some((of, bucket_s, all)) if (*of, *bucket_s) == (fold, place.bucket_s()) => {
                        all.push((place, became));
                    }
                    _ => buckets.push((fold, place.bucket_s(), vec![(place, became)])),
                }
            }
        }
        buckets
    }

    /// The arguments of `stage.lua`.
    pub(crate) fn stage(&self, script: &mut ScriptInvocation<'_>, keys: &Keys, generation: u32) {
        for (fold, bucket_s, places) in self.buckets() {
            let index = keys.index(generation, fold);
            script.arg(format!("{index}:{}:staged", bucket(bucket_s)));
            script.arg(2 * places.len());
            for (place, became) in places {
                let value = match became {
                    Some(bytes) => [b"+", bytes.as_slice()].concat(),
                    None => b"-".to_vec(),
                };
                script.arg(place.key()).arg(value);
            }
        }
    }

    /// The arguments of `commit.lua` about buckets.
    pub(crate) fn commit(&self, script: &mut ScriptInvocation<'_>, keys: &Keys, generation: u32) {
        let buckets = self.buckets();
        script.arg(buckets.len());
        for (fold, bucket_s, places) in buckets {
            let put = places.iter().filter(|(_, became)| became.is_some()).count();
            script
                .arg(keys.index(generation, fold))
                .arg(bucket(bucket_s))
                .arg(2 * put)
                .arg(places.len() - put);
            for (place, became) in &places {
                if let Some(bytes) = became {
                    script.arg(place.key()).arg(bytes.as_slice());
                }
            }
            for (place, _) in places.iter().filter(|(_, became)| became.is_none()) {
                script.arg(place.key());
            }
        }
    }
}
