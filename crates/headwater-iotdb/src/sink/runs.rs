//! Runs: rows of one table that are new and follow each other, as those of a snapshot do. They are gathered by their tablets, and
//! appended to each of these column by column. What comes of it is what came of them one by one; a tablet's rows of which one
//! cannot be written so go one by one.

use std::ops::Range;
use std::sync::Arc;

use headwater_core::Result;
use headwater_core::batch::{Batch, ChangeKind, Image, Row};
use rustc_hash::FxHashMap;

use super::keys;
use super::pending::Device;
use super::rows::{Rows, lane};
use crate::mapping::Plan;

/// With fewer rows, gathering costs more than it saves.
const ROWS_MIN: usize = 16;

/// The memory of runs, which is kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The number of the latest.
    number: u64,
    groups: Vec<Group>,
    /// Groups by lane and tablet: of several devices whose rows go into the same one, too.
    by_tablet: FxHashMap<(usize, usize), usize>,
    device: Device,
    times: Vec<i64>,
    key: Vec<u8>,
}

/// Rows of a run that go into the same tablet, in their order.
#[derive(Debug, Default)]
struct Group {
    lane: usize,
    slot: usize,
    /// Their places in the batch.
    rows: Vec<usize>,
}

/// Where the run ends that begins with the row at `from`: rows of the same table, all of them new or none.
pub(super) fn end(batch: &Batch, from: usize) -> usize {
    let is_like = |row: &Row<'_>, first: &Row<'_>| {
        row.schema_index() == first.schema_index() && is_new(row) == is_new(first)
    };
    let Some(first) = batch.row(from) else {
        return from;
    };
    let rows = (from + 1..batch.len()).map_while(|at| batch.row(at));
    from + 1 + rows.take_while(|row| is_like(row, &first)).count()
}

fn is_new(row: &Row<'_>) -> bool {
    matches!(row.kind(), ChangeKind::Bootstrap | ChangeKind::Insert)
}

impl Rows<'_> {
    /// Whether a run's rows may be written in another order than their own, those of a device apart.
    pub(super) fn may_go_together(&self, batch: &Batch, run: &Range<usize>, plan: &Plan) -> bool {
        run.len() >= ROWS_MIN
            && batch.row(run.start).is_some_and(|row| is_new(&row))
            && !self.may_be_shared(plan)
    }

    pub(super) fn together(
        &mut self,
        batch: &Batch,
        run: Range<usize>,
        plan: &Arc<Plan>,
    ) -> Result<()> {
        let mut runs = std::mem::take(self.runs);
        let groups = self.gather(&mut runs, batch, run, plan);
        let done = groups.and_then(|groups| self.write(&mut runs, groups, batch, plan));
        *self.runs = runs;
        done
    }

    /// Gathers the rows by their tablets, and says into how many groups.
    fn gather(
        &mut self,
        runs: &mut Runs,
        batch: &Batch,
        run: Range<usize>,
        plan: &Arc<Plan>,
    ) -> Result<usize> {
        runs.number += 1;
        runs.by_tablet.clear();
        let mut count = 0;
        for (at, row) in run.filter_map(|at| Some((at, batch.row(at)?))) {
            let Some(image) = row.after() else {
                continue;
            };
            if let Some(group) = self.devices.gathered(plan, &image, runs.number) {
                runs.groups[group].rows.push(at);
                continue;
            }
            if (self.devices.place(plan, &image, &mut runs.device)).is_err() {
                // It is refused, and says so itself.
                self.one(&row, plan)?;
                continue;
            }
            let lane = lane(&runs.device, self.gathered.len());
            let slot = self.gathered[lane].slot(plan, &runs.device);
            let group = *runs.by_tablet.entry((lane, slot)).or_insert(count);
            if group == count {
                count += 1;
                runs.groups
                    .resize_with(count.max(runs.groups.len()), Group::default);
                let fresh = &mut runs.groups[group];
                (fresh.lane, fresh.slot) = (lane, slot);
                fresh.rows.clear();
            }
            runs.groups[group].rows.push(at);
            self.devices.gather(plan, &image, runs.number, group);
        }
        Ok(count)
    }

    fn write(
        &mut self,
        runs: &mut Runs,
        groups: usize,
        batch: &Batch,
        plan: &Arc<Plan>,
    ) -> Result<()> {
        let mut images = Vec::new();
        let (times, key) = (&mut runs.times, &mut runs.key);
        for group in &runs.groups[..groups] {
            let rows = group.rows.iter().filter_map(|&at| batch.row(at));
            images.clear();
            images.extend(rows.clone().filter_map(|row| row.after()));
            if !self.write_group(group, plan, &images, times, key) {
                for row in rows {
                    self.one(&row, plan)?;
                }
            }
        }
        Ok(())
    }

    /// Appends a group's rows to its tablet; false if one of them cannot be, and so none was.
    fn write_group(
        &mut self,
        group: &Group,
        plan: &Plan,
        images: &[Image<'_>],
        times: &mut Vec<i64>,
        key: &mut Vec<u8>,
    ) -> bool {
        let conversion = &self.open.conversion;
        times.clear();
        for image in images {
            let Ok(time) = plan.time(image, conversion) else {
                return false;
            };
            times.push(time);
        }
        let pending = &mut self.gathered[group.lane];
        let tablet = pending.tablet_at(group.slot);
        let before = tablet.size_bytes();
        let pushed = plan.push_block(tablet, times, images, conversion, |keys| {
            for image in images {
                key.clear();
                keys::write(plan, image, key);
                keys.push_bytes(key);
            }
        });
        let grown = tablet.size_bytes() - before;
        pending.grew(grown);
        self.nulls += pushed.map_or(0, |pushed| u64::from(pushed.nulls));
        pushed.is_some()
    }
}
