//! What rows come to: points in the tablets that lanes gather, deletes, dead letters.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::batch::{Batch, ChangeKind, Image, Row};
use headwater_core::schema::SchemaId;
use rustc_hash::FxHashMap;

use super::counts::{Counts, Of};
use super::devices::Devices;
use super::keys;
use super::pending::{Delete, Device, Pending};
use super::places::Places;
use super::runs::{self, Runs};
use super::{IotdbSink, Open};
use crate::config::{DeletePolicy, Duplicates, IotdbOptions, UpdatePolicy};
use crate::mapping::Plan;

/// Rows on their way into what the lanes have gathered.
pub(super) struct Rows<'a> {
    pub(super) options: &'a IotdbOptions,
    pub(super) counts: &'a Counts,
    pub(super) open: &'a Open,
    pub(super) gathered: &'a mut [Pending],
    pub(super) devices: &'a mut Devices,
    pub(super) device: &'a mut Device,
    pub(super) key: &'a mut Vec<u8>,
    pub(super) places: &'a mut Places,
    pub(super) runs: &'a mut Runs,
    pub(super) nulls: u64,
}

impl Rows<'_> {
    pub(super) fn apply(
        &mut self,
        batch: &Batch,
        plans: &mut FxHashMap<SchemaId, Option<Arc<Plan>>>,
    ) -> Result<()> {
        let (mut last, mut plan) = (None, None);
        let mut at = 0;
        while let Some(row) = batch.row(at) {
            // One look for many rows of a table.
            if last != Some(row.schema_id()) {
                last = Some(row.schema_id());
                let conversion = &self.open.conversion;
                plan = IotdbSink::plan(plans, self.options, conversion, row.schema())?;
            }
            let run = at..runs::end(batch, at);
            at = run.end;
            match &plan {
                Some(plan) if self.may_go_together(batch, &run, plan) => {
                    self.together(batch, run, plan)?
                }
                Some(plan) => {
                    for row in run.filter_map(|at| batch.row(at)) {
                        self.one(&row, plan)?;
                    }
                }
                None => self.counts.add(Of::Unmapped, run.len() as u64),
            }
        }
        Ok(())
    }

    /// One row by itself.
    pub(super) fn one(&mut self, row: &Row<'_>, plan: &Arc<Plan>) -> Result<()> {
        Applying { rows: self, plan }.apply(row)
    }

    /// Whether other rows may stand at a row's place, so that nothing may be deleted there.
    pub(super) fn may_be_shared(&self, plan: &Plan) -> bool {
        self.options.mappings[plan.mapping].duplicates == Duplicates::Last
    }
}

/// What one row asks for.
struct Applying<'r, 'a> {
    rows: &'r mut Rows<'a>,
    plan: &'r Arc<Plan>,
}

impl Applying<'_, '_> {
    fn apply(&mut self, row: &Row<'_>) -> Result<()> {
        let refused = match (row.kind(), row.before(), row.after()) {
            (ChangeKind::Bootstrap | ChangeKind::Insert, _, Some(image)) => self.insert(&image),
            (ChangeKind::Update, _, _)
                if self.rows.options.policy.update == UpdatePolicy::Ignore =>
            {
                self.rows.counts.add(Of::IgnoredUpdates, 1);
                return Ok(());
            }
            (ChangeKind::Update, Some(before), Some(after)) => self.update(&before, &after),
            (ChangeKind::Update, None, Some(after)) => self.insert(&after),
            (ChangeKind::Delete | ChangeKind::Truncate, before, _)
                if self.rows.options.policy.delete == DeletePolicy::Ignore
                    || self.may_be_shared() =>
            {
                if let Some(before) = before {
                    self.leave(&before);
                }
                self.rows.counts.add(Of::IgnoredDeletes, 1);
                return Ok(());
            }
            (ChangeKind::Delete, Some(before), _) => {
                self.delete(&before);
                return Ok(());
            }
            (ChangeKind::Truncate, _, _) => {
                self.rows.counts.add(Of::IgnoredDeletes, 1);
                tracing::warn!(
                    table = %row.schema().name,
                    "a table was emptied at once: its points stay in IoTDB, since no row of it was named; delete them there if they should go"
                );
                return Ok(());
            }
            _ => return Ok(()),
        };
        let (Err(reason), Some(image)) = (refused, row.after().or(row.before())) else {
            return Ok(());
        };
        self.rows.counts.add(Of::Refused, 1);
        let kind = match row.kind() {
            ChangeKind::Bootstrap => "bootstrap",
            ChangeKind::Update => "update",
            ChangeKind::Delete => "delete",
            _ => "insert",
        };
        self.rows.open.letters.about_row(kind, &image, reason)
    }

    /// Where the row's points stand: its device is left in `rows.device`.
    fn place(&mut self, image: &Image<'_>) -> Result<i64, String> {
        let rows = &mut *self.rows;
        rows.devices.place(self.plan, image, rows.device)?;
        self.plan.time(image, &self.rows.open.conversion)
    }

    fn insert(&mut self, image: &Image<'_>) -> Result<(), String> {
        let time = self.place(image)?;
        self.write(image, time)
    }

    /// Appends a row at `rows.device`.
    fn write(&mut self, image: &Image<'_>, time: i64) -> Result<(), String> {
        self.rows.key.clear();
        keys::write(self.plan, image, self.rows.key);
        let rows = &mut *self.rows;
        let lanes = &mut *rows.gathered;
        let at = lane(rows.device, lanes.len());
        let pending = &mut lanes[at];
        let tablet = pending.tablet(self.plan, rows.device);
        let before = tablet.size_bytes();
        let pushed = (self.plan).push(tablet, time, rows.key, image, &rows.open.conversion);
        let grown = tablet.size_bytes() - before;
        pending.grew(grown);
        let pushed = pushed.map_err(|refused| match refused.column {
            Some(at) => format!("{}: {}", self.plan.names[at], refused.reason),
            None => refused.reason,
        })?;
        self.rows.nulls += u64::from(pushed.nulls);
        if pushed.points == 0 {
            self.rows.counts.add(Of::Empty, 1);
        } else if self.may_be_shared() {
            let place = (self.plan.mapping, &*self.rows.device.path, time);
            if self.rows.places.take(place, self.rows.key) {
                self.rows.counts.add(Of::Duplicates, 1);
            }
        }
        Ok(())
    }

    fn may_be_shared(&self) -> bool {
        self.rows.may_be_shared(self.plan)
    }

    /// A row is no longer at its place; where rows may share one, its points stay.
    fn leave(&mut self, before: &Image<'_>) {
        if !self.may_be_shared() {
            return;
        }
        if let Ok(time) = self.place(before) {
            self.rows.key.clear();
            keys::write(self.plan, before, self.rows.key);
            let place = (self.plan.mapping, &*self.rows.device.path, time);
            self.rows.places.leave(place, self.rows.key);
        }
    }

    /// Overwrites. What was there and is not any more is deleted: a point whose column became NULL, and the whole row at its
    /// old place if it has another now.
    fn update(&mut self, before: &Image<'_>, after: &Image<'_>) -> Result<(), String> {
        if self.may_be_shared() {
            return self.update_shared(before, after);
        }
        let old = self.place(before).ok();
        let old = old.map(|time| (self.rows.device.clone(), time));
        let time = match self.place(after) {
            Ok(time) => time,
            Err(reason) => {
                // It cannot be where it is now, but it is no longer where it was.
                self.delete(before);
                return Err(reason);
            }
        };
        match old {
            Some((device, old)) if device == *self.rows.device && old == time => {
                let gone = self.gone(before, after);
                if !gone.is_empty() {
                    self.forget(time, Some(gone));
                }
            }
            Some(_) => {
                self.delete(before);
                self.place(after)?;
            }
            // What had no place had no points.
            None => {}
        }
        self.write(after, time)
    }

    /// Overwrites where another row may stand at the old place: what was there stays.
    fn update_shared(&mut self, before: &Image<'_>, after: &Image<'_>) -> Result<(), String> {
        let old = self.place(before).ok();
        let old = old.map(|time| (self.rows.device.clone(), time));
        self.leave(before);
        let time = self.place(after)?;
        let has_moved = old.is_some_and(|(device, old)| device != *self.rows.device || old != time);
        if has_moved || !self.gone(before, after).is_empty() {
            self.rows.counts.add(Of::IgnoredDeletes, 1);
        }
        self.write(after, time)
    }

    /// The layout's columns that had a value and have none now.
    fn gone(&self, before: &Image<'_>, after: &Image<'_>) -> Vec<usize> {
        let has = |image: &Image<'_>, source: usize| {
            let cell = image.cell(source);
            !self.rows.open.conversion.is_null(cell)
        };
        let sources = self.plan.sources.iter().enumerate();
        sources
            .filter(|(_, source)| has(before, **source) && !has(after, **source))
            .map(|(at, _)| at)
            .collect()
    }

    fn delete(&mut self, before: &Image<'_>) {
        // What has no place has no points.
        if let Ok(time) = self.place(before) {
            self.forget(time, None);
        }
    }

    /// Deletes at `rows.device`.
    fn forget(&mut self, time: i64, columns: Option<Vec<usize>>) {
        self.rows.counts.add(Of::Deleted, 1);
        let delete = Delete {
            plan: self.plan.clone(),
            device: self.rows.device.path.as_str().into(),
            time,
            columns,
        };
        let lanes = &mut *self.rows.gathered;
        let at = lane(self.rows.device, lanes.len());
        lanes[at].delete(self.rows.device, delete);
    }
}

/// The lane that a device is always on.
pub(super) fn lane(device: &Device, lanes: usize) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "the remainder is small")]
    let at = (device.hash % lanes as u64) as usize;
    at
}
