//! What a store is held to.

use std::collections::BTreeMap;

use headwater_core::{Error, ErrorKind, Result};
use headwater_fold::place::{ALL_TIME, Place};
use headwater_fold::store::{
    Deltas, Entry, FoldInfo, Merged, Served, StateReader, StateStore, Step, Taken,
};
use serde_json::{Value, json};

/// What a fold holds.
pub(super) type Held = BTreeMap<Place, Vec<u8>>;

/// What becomes of an aggregate.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// These bytes are appended: so a delta that counts twice, is lost or comes in another order is seen.
    Append(Vec<u8>),
    /// It goes.
    Gone,
    /// It stays, though something was written.
    Kept,
    /// The merge fails.
    Fails,
}

/// Deltas of one fold.
#[derive(Debug, Clone)]
pub(super) struct Changes(Vec<(Place, Change)>);

impl Changes {
    pub(super) fn new(changes: impl IntoIterator<Item = (Place, Change)>) -> Self {
        let ordered: BTreeMap<Place, Change> = changes.into_iter().collect();
        Self(ordered.into_iter().collect())
    }

    /// Appends the same text at each of these keys, over all time.
    pub(super) fn append(keys: &[&str], text: &str) -> Self {
        let of = |key: &&str| (all_time(key), Change::Append(text.into()));
        Self::new(keys.iter().map(of))
    }
}

impl Deltas for Changes {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn place(&self, at: usize) -> &Place {
        &self.0[at].0
    }

    fn merge(&self, at: usize, stored: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Merged> {
        assert!(out.is_empty(), "`out` held something");
        match &self.0[at].1 {
            Change::Append(bytes) => {
                out.extend_from_slice(stored.unwrap_or_default());
                out.extend_from_slice(bytes);
                Ok(Merged::Put)
            }
            Change::Gone => Ok(Merged::Gone),
            Change::Kept => {
                out.extend_from_slice(b"nobody is to see this");
                Ok(Merged::Kept)
            }
            Change::Fails => Err(Error::new(ErrorKind::SinkRejected, "a merge that fails")),
        }
    }
}

pub(super) fn all_time(key: &str) -> Place {
    Place::new(ALL_TIME, key.as_bytes())
}

pub(super) fn fold(name: &str) -> FoldInfo {
    FoldInfo {
        name: name.to_owned(),
        definition: json!({ "monoid": "concat", "of": name, "nested": [1, null, { "é": 0.5 }] }),
    }
}

/// Merges deltas as a store is to.
pub(super) fn merge(held: &mut Held, deltas: &dyn Deltas) {
    for at in 0..deltas.len() {
        let place = deltas.place(at);
        let mut out = Vec::new();
        let merged = deltas.merge(at, held.get(place).map(Vec::as_slice), &mut out);
        match merged.expect("deltas that merge") {
            Merged::Put => drop(held.insert(place.clone(), out)),
            Merged::Gone => drop(held.remove(place)),
            Merged::Kept => {}
        }
    }
}

/// Takes a store over, which must work.
pub(super) async fn take<S: StateStore>(store: &mut S, folds: &[FoldInfo]) -> Taken {
    store
        .take_over(folds, false)
        .await
        .expect("the store is taken over")
}

pub(super) async fn add<S: StateStore>(store: &mut S, fold: usize, deltas: &dyn Deltas) {
    store
        .merge(fold, deltas)
        .await
        .expect("deltas that can be merged");
}

pub(super) async fn commit<S: StateStore>(store: &mut S, progress: &Value, serve: bool) {
    try_commit(store, progress, serve).await.expect("a commit");
}

pub(super) async fn try_commit<S: StateStore>(
    store: &mut S,
    progress: &Value,
    serve: bool,
) -> Result<()> {
    let step = Step {
        progress,
        serve,
        keep_from_s: &[],
    };
    store.commit(step).await
}

pub(super) async fn served(reader: &impl StateReader) -> Served {
    let served = reader.served().await.expect("the store can be read");
    served.expect("something is served")
}

/// Everything a fold holds, in the order in which it was handed over; and the progress it includes.
pub(super) async fn scan(
    reader: &impl StateReader,
    served: &Served,
    fold: usize,
    buckets_s: (Option<i64>, Option<i64>),
) -> Result<(Value, Vec<Entry>)> {
    let mut entries = Vec::new();
    let mut each = |entry| {
        entries.push(entry);
        Ok(())
    };
    let progress = reader.scan(served, fold, buckets_s, &mut each).await?;
    Ok((progress, entries))
}

/// Holds what is served to `expected`, by a scan and place by place.
pub(super) async fn check<S: StateStore>(
    store: &S,
    fold: usize,
    expected: &Held,
    progress: &Value,
) {
    let reader = store.reader().expect("a reader");
    let served = served(&reader).await;
    let (found, entries) = scan(&reader, &served, fold, (None, None))
        .await
        .expect("a scan");
    assert_eq!(&found, progress, "the progress of a scan");
    let wanted = expected.iter().map(|(place, bytes)| Entry {
        place: place.clone(),
        bytes: bytes.clone(),
    });
    same(&entries, &wanted.collect::<Vec<_>>());
    // Asked for in another order, twice, and with one that is not there.
    let mut places: Vec<Place> = expected.keys().rev().take(2_000).cloned().collect();
    places.extend(expected.keys().next().cloned());
    places.push(Place::new(77, b"there is no such key"));
    let (found, values) = reader
        .get_many(&served, fold, &places)
        .await
        .expect("answers");
    assert_eq!(&found, progress, "the progress of answers");
    assert_eq!(values.len(), places.len());
    for (place, value) in places.iter().zip(values) {
        assert_eq!(value.as_ref(), expected.get(place), "at {place:?}");
    }
}

/// Compares, and shows the first difference only.
pub(super) fn same(found: &[Entry], expected: &[Entry]) {
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "entry {at}");
    }
    assert_eq!(found.len(), expected.len(), "how many there are");
}
