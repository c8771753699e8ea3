//! `take_back: refold` in the sink: places that something was taken out of are made anew of the source's rows, in the step in which the
//! store learns of it. See [`crate::refold`] for why that is right.
//!
//! They wait, and their list is part of the progress, as long as the source cannot be asked: amid a transaction, whose first half a view
//! may not show, and until the first copy is complete, before which the log tells nothing of rows that are not copied.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::batch::Batch;
use headwater_core::key::Key;
use headwater_core::schema::{SchemaId, TableSchema};
use headwater_core::{Error, ErrorKind, Result, checkpoint, failpoint};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::counts::Of;
use super::extract::{Extract, Unread};
use super::{FoldSink, letters};
use crate::monoid::{Monoid, Refused};
use crate::place::Place;
use crate::refold::{Asked, SourceRows};
use crate::store::{Deltas, Merged, StateStore};

/// Keys that are read at a time.
const KEYS_MAX: usize = 500;

/// Places that may wait: their list is written with each step.
const WAITING_MAX: usize = 1_000_000;

/// What a step says of it in its progress.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Said {
    /// Places that are still to be refolded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waiting>,
    /// What was refolded may include changes up to here.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    seen: Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    fold: String,
    bucket_s: i64,
    key: String,
    values: Key,
}

/// Aggregates that take the place of whatever is stored.
#[derive(Debug)]
struct Made<M: Monoid> {
    monoid: Arc<M>,
    values: Vec<(Place, M::Value)>,
}

impl<M: Monoid> Deltas for Made<M> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn place(&self, at: usize) -> &Place {
        &self.values[at].0
    }

    fn is_known(&self, _at: usize) -> bool {
        true
    }

    fn merge(&self, at: usize, _stored: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Merged> {
        let (_, value) = &self.values[at];
        if self.monoid.is_identity(value) {
            return Ok(Merged::Gone);
        }
        self.monoid.encode(value, out);
        Ok(Merged::Put)
    }
}

impl<S: StateStore, E: Extract> FoldSink<S, E> {
    /// Whether folds that read keys again have what they read them from.
    pub(super) fn check_refolds(&self) -> Result<()> {
        let mut folds = self.folds.iter();
        match (folds.find(|fold| fold.refolds), &self.options.rows) {
            (Some(fold), None) => Err(Error::new(
                ErrorKind::Configuration,
                "a fold is to be refolded, and there is nothing that its rows could be read from again",
            )
            .with("fold", &fold.name)
            .hint("give the sink the source's rows (FoldOptions::rows), or say TakeBack::Ignore or TakeBack::Refuse")),
            _ => Ok(()),
        }
    }

    /// What waited when the progress was written waits again.
    pub(super) fn recover_refolds(&mut self, progress: &mut Value) -> Result<()> {
        let said = progress["refold"].take();
        if said.is_null() {
            return Ok(());
        }
        let said: Said = serde_json::from_value(said).map_err(|cause| {
            Error::new(ErrorKind::CheckpointDamaged, "what is to be refolded cannot be read")
                .hint("bring back a copy of the store, or have the folds built anew: headwater run --rebuild-folds")
                .caused_by(cause)
        })?;
        for one in said.waiting {
            let place = Place::new(one.bucket_s, one.key.as_bytes());
            let mut folds = self.folds.iter_mut();
            if let Some(fold) = folds.find(|fold| fold.name == one.fold) {
                fold.waiting.insert(place, one.values);
            }
        }
        self.seen = Some(said.seen).filter(|seen| !seen.is_null());
        Ok(())
    }

    /// What the progress is to say.
    pub(super) fn refolds_said(&self) -> Option<Value> {
        let mut said = Said {
            waiting: Vec::new(),
            seen: self.seen.clone().unwrap_or_default(),
        };
        for fold in &self.folds {
            said.waiting
                .extend(fold.waiting.iter().map(|(place, values)| Waiting {
                    fold: fold.name.clone(),
                    bucket_s: place.bucket_s(),
                    key: String::from_utf8_lossy(place.key()).into_owned(),
                    values: values.clone(),
                }));
        }
        let is_empty = said.waiting.is_empty() && said.seen.is_null();
        (!is_empty).then(|| json!(said))
    }

    /// Makes anew what something was taken out of, in the step that is about to be committed with `document`.
    pub(super) async fn refold(&mut self, document: &Value) -> Result<()> {
        let Some(rows) = self.options.rows.clone() else {
            return Ok(());
        };
        let log = &document["log"];
        let refolds = self.folds.iter().any(|fold| fold.refolds);
        if !refolds || log.is_null() {
            return Ok(());
        }
        if document["copy"].is_null() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "a fold that began without the rows that were there cannot be refolded: they would come in",
            )
            .hint("begin with `headwater run` or `headwater backfill`, or say `take_back: ignore` or `refuse`"));
        }
        if let Some(seen) = &self.seen
            && rows.has_passed(log, seen)?
        {
            self.seen = None;
        }
        let waiting: usize = self.folds.iter().map(|fold| fold.waiting.len()).sum();
        if waiting == 0 {
            return Ok(());
        }
        let at_least = match checkpoint::is_copied(document)? {
            true => rows.boundary(log)?,
            false => None,
        };
        let Some(at_least) = at_least else {
            return check_waiting(waiting);
        };
        for number in 0..self.folds.len() {
            self.refold_fold(number, &*rows, &at_least).await?;
        }
        Ok(())
    }

    async fn refold_fold(
        &mut self,
        number: usize,
        rows: &dyn SourceRows,
        at_least: &Value,
    ) -> Result<()> {
        let waiting = std::mem::take(&mut self.folds[number].waiting);
        let mut by_key: BTreeMap<Key, Vec<Place>> = BTreeMap::new();
        for (place, key) in waiting {
            by_key.entry(key).or_default().push(place);
        }
        let mut by_key = by_key.into_iter().peekable();
        while by_key.peek().is_some() {
            let mut keys = Vec::new();
            let mut values = BTreeMap::new();
            let monoid = self.folds[number].extract.monoid();
            for (key, places) in by_key.by_ref().take(KEYS_MAX) {
                keys.push(key);
                values.extend(places.into_iter().map(|place| (place, monoid.identity())));
            }
            let (values, seen) = self
                .read_again(number, rows, at_least, &keys, values)
                .await?;
            failpoint::hit("fold.refolding")?;
            let values: Vec<_> = values.into_iter().collect();
            self.counts.add(Of::Refolded, values.len() as u64);
            self.store.merge(number, &Made { monoid, values }).await?;
            self.seen = Some(seen);
        }
        Ok(())
    }

    /// The aggregates of these places, of the rows that the source has of their keys now; and what that view may show.
    async fn read_again(
        &mut self,
        number: usize,
        rows: &dyn SourceRows,
        at_least: &Value,
        keys: &[Key],
        mut values: BTreeMap<Place, <E::Monoid as Monoid>::Value>,
    ) -> Result<(BTreeMap<Place, <E::Monoid as Monoid>::Value>, Value)> {
        let stops = self.letters.is_none();
        let (counts, running) = (self.counts.clone(), &mut self.folds[number]);
        let found_by = running.extract.found_by();
        let (table, columns) = found_by
            .map(|(table, columns)| (table.clone(), columns.to_vec()))
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a fold has no rows to read again"))?;
        let (monoid, name) = (running.extract.monoid(), running.name.clone());
        let mut bound: Option<(SchemaId, E::Plan)> = None;
        let mut each = |schema: &Arc<TableSchema>, batch: &Batch| -> Result<()> {
            if bound.as_ref().is_none_or(|(id, _)| *id != schema.id) {
                // Not kept: each view has a definition of its own.
                bound = running.extract.bind(schema)?.map(|plan| (schema.id, plan));
            }
            let Some((_, plan)) = &bound else {
                return Ok(());
            };
            for row in batch.rows() {
                let Some(image) = row.after() else { continue };
                let refused: Refused = match running.refold_row(plan, image, &monoid, &mut values) {
                    Ok(()) => continue,
                    Err(Unread::ForNow(error)) => return Err(error),
                    Err(Unread::Refused(refused)) => refused,
                };
                if stops {
                    return Err(letters::stop(&name, &row, &refused));
                }
                // The log has told, or will tell, of this row, and that is a dead letter.
                counts.add(Of::Refused, 1);
            }
            Ok(())
        };
        let asked = Asked {
            table: &table,
            columns: &columns,
            keys,
            at_least,
        };
        let seen = rows.read(asked, &mut each).await;
        let seen = seen.map_err(|error| error.with("fold", &name))?;
        Ok((values, seen))
    }
}

fn check_waiting(waiting: usize) -> Result<()> {
    if waiting <= WAITING_MAX {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::SinkRejected,
        "too many aggregates wait to be refolded until a transaction, or the first copy, is complete",
    )
    .with("waiting", waiting)
    .with("most", WAITING_MAX)
    .hint("build the folds anew once this is over: headwater run --rebuild-folds; or say `take_back: ignore`"))
}
