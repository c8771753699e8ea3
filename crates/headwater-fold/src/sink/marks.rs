//! Event ids that were counted: for records that may come again under another place of the log, or from a source whose places cannot
//! tell. An id is stored in the step that stores its effect, so it is there if and only if the effect is.
//!
//! Ids are kept by when they came, in buckets of a quarter of the retention, and go with their bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::{Result, clock};
use jiff::tz::TimeZone;
use rustc_hash::FxHashMap;
use serde_json::json;

use crate::place::Place;
use crate::store::{Deltas, FoldInfo, Merged};
use crate::window::{Every, Window};
use std::sync::{Mutex, PoisonError};

/// The bytes of a mark.
const MARK: &[u8] = &[1];
/// Buckets that a retention is divided into.
const PARTS: u64 = 4;
/// Buckets of a retention, and the one that began before it.
const BUCKETS_MAX: usize = 16;
/// About what an id takes in memory beside its bytes.
const ID_BYTES: usize = 96;

/// The marks of a fold.
#[derive(Debug)]
pub(super) struct Marks {
    window: Window,
    retention_s: u64,
    /// Of the ids of the batch under way, and of those since: where each is marked; none where it is not.
    known: FxHashMap<Box<[u8]>, Option<Place>>,
    /// What the store's step does not have yet: marks that came, and marks that went.
    pending: BTreeMap<Place, bool>,
    size_bytes: usize,
}

impl Marks {
    pub(super) fn new(retention: Duration) -> Self {
        let retention_s = retention.as_secs().max(PARTS);
        let part_s = u32::try_from(retention_s / PARTS).unwrap_or(u32::MAX);
        Self {
            window: Window::new(Every::Seconds(part_s), TimeZone::UTC, Some(retention_s)),
            retention_s,
            known: FxHashMap::default(),
            pending: BTreeMap::new(),
            size_bytes: 0,
        }
    }

    /// What the store knows the marks of this fold by.
    pub(super) fn info(&self, fold: &str) -> FoldInfo {
        FoldInfo {
            name: format!("{fold}~ids"),
            definition: json!({ "ids_of": fold, "retention_s": self.retention_s }),
        }
    }

    pub(super) fn keep_from_s(&self, now_s: i64) -> Result<Option<i64>> {
        self.window.keep_from_s(now_s)
    }

    /// The places to look at for these ids, but those that are known.
    pub(super) fn probe<'a>(&self, ids: impl Iterator<Item = &'a [u8]>) -> Result<Probe> {
        let now_s = now_s();
        let from_s = self.window.keep_from_s(now_s)?.unwrap_or(i64::MIN);
        let buckets = self.window.buckets_s(from_s, now_s + 1, BUCKETS_MAX)?;
        let unknown = ids.filter(|id| !self.known.contains_key(*id));
        let mut places: Vec<Place> = unknown
            .flat_map(|id| {
                buckets
                    .iter()
                    .map(move |bucket_s| Place::new(*bucket_s, id))
            })
            .collect();
        places.sort_unstable();
        places.dedup();
        Ok(Probe {
            marked: Mutex::new(vec![false; places.len()]),
            places,
        })
    }

    /// Takes note of what the store has.
    pub(super) fn learn(&mut self, probe: Probe) {
        let marked = probe
            .marked
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        for (place, mut is_marked) in probe.places.into_iter().zip(marked) {
            if let Some(put) = self.pending.get(&place) {
                is_marked = *put;
            }
            let known = self.known.entry(place.key().into()).or_default();
            if is_marked {
                *known = Some(place);
            }
        }
    }

    /// Whether the event of this id has been counted.
    pub(super) fn is_marked(&self, id: &[u8]) -> bool {
        self.known.get(id).is_some_and(Option::is_some)
    }

    /// The event counts from now on.
    pub(super) fn mark(&mut self, id: &[u8]) -> Result<()> {
        let bucket_s = self.window.bucket_s(now_s().saturating_mul(1_000_000))?;
        let place = Place::new(bucket_s, id);
        self.size_bytes += id.len() + ID_BYTES;
        self.pending.insert(place.clone(), true);
        self.known.insert(id.into(), Some(place));
        Ok(())
    }

    /// The event does not count any more.
    pub(super) fn unmark(&mut self, id: &[u8]) {
        if let Some(Some(place)) = self.known.insert(id.into(), None) {
            self.size_bytes += id.len() + ID_BYTES;
            self.pending.insert(place, false);
        }
    }

    /// The batch is over: what is known of its ids is not needed any more.
    pub(super) fn end_batch(&mut self) {
        self.known.clear();
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// What the store is to have.
    pub(super) fn take(&mut self) -> MarkDeltas {
        self.size_bytes = 0;
        MarkDeltas(std::mem::take(&mut self.pending).into_iter().collect())
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.pending.clear();
        self.size_bytes = 0;
    }
}

fn now_s() -> i64 {
    i64::try_from(clock::now_s()).unwrap_or(i64::MAX)
}

/// A look at places, which changes nothing of them.
#[derive(Debug)]
pub(super) struct Probe {
    places: Vec<Place>,
    marked: Mutex<Vec<bool>>,
}

impl Deltas for Probe {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn place(&self, at: usize) -> &Place {
        &self.places[at]
    }

    fn merge(&self, at: usize, stored: Option<&[u8]>, _out: &mut Vec<u8>) -> Result<Merged> {
        let mut marked = self.marked.lock().unwrap_or_else(PoisonError::into_inner);
        marked[at] = stored.is_some();
        Ok(Merged::Kept)
    }
}

/// Marks for the store.
#[derive(Debug)]
pub(super) struct MarkDeltas(Vec<(Place, bool)>);

impl Deltas for MarkDeltas {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn place(&self, at: usize) -> &Place {
        &self.0[at].0
    }

    fn merge(&self, at: usize, _stored: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Merged> {
        if !self.0[at].1 {
            return Ok(Merged::Gone);
        }
        out.extend_from_slice(MARK);
        Ok(Merged::Put)
    }
}
