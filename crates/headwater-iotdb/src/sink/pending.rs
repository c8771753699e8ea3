//! Rows of one lane that wait to be sent: a tablet for each device, and deletes. Deletes are sent before tablets; so a delete
//! that comes after a row takes the row out of its tablet, and one order serves all.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::mapping::Plan;
use crate::tablet::Tablet;

/// Points that have to go.
#[derive(Debug, Clone)]
pub(crate) struct Delete {
    pub(crate) plan: Arc<Plan>,
    /// The device's path, or the condition on its tags.
    pub(crate) device: Arc<str>,
    pub(crate) time: i64,
    /// The columns of the layout whose points go; none: the whole row's.
    pub(crate) columns: Option<Vec<usize>>,
}

/// A tablet with the plan that fills it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) plan: Arc<Plan>,
    pub(crate) tablet: Tablet,
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    slots: Vec<Slot>,
    /// Where a device's tablet stands, for each number of a plan.
    places: FxHashMap<Arc<str>, Vec<(u64, usize)>>,
    pub(crate) deletes: Vec<Delete>,
    size_bytes: usize,
}

/// About what a delete takes on the wire.
const DELETE_BYTES: usize = 128;

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.deletes.is_empty()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The tablet of a device; a new one if there is none yet.
    pub(crate) fn tablet(&mut self, plan: &Arc<Plan>, device: &str) -> &mut Tablet {
        let place = match self.place(plan, device) {
            Some(place) => place,
            None => {
                let name: Arc<str> = device.into();
                let target = match plan.table() {
                    Some(table) => table.clone(),
                    None => name.clone(),
                };
                let tablet = Tablet::new(target, plan.layout.clone());
                let plan = plan.clone();
                let place = self.slots.len();
                self.places
                    .entry(name)
                    .or_default()
                    .push((plan.number, place));
                self.slots.push(Slot { plan, tablet });
                place
            }
        };
        &mut self.slots[place].tablet
    }

    fn place(&self, plan: &Plan, device: &str) -> Option<usize> {
        let places = self.places.get(device)?;
        let mut places = places.iter();
        let found = places.find(|(number, _)| *number == plan.number);
        found.map(|(_, place)| *place)
    }

    /// Counts what was appended to a tablet.
    pub(crate) fn grew(&mut self, bytes: usize) {
        self.size_bytes += bytes;
    }

    /// Deletes points, and takes rows that wait at their place out: all of what a row's image says comes after this.
    pub(crate) fn delete(&mut self, delete: Delete) {
        // Of every definition that the table had meanwhile.
        for (_, place) in self.places.get(&delete.device).into_iter().flatten() {
            let slot = &mut self.slots[*place];
            if slot.plan.mapping == delete.plan.mapping {
                slot.tablet.remove(delete.time);
            }
        }
        self.size_bytes += DELETE_BYTES;
        self.deletes.push(delete);
    }

    /// Everything that waits, with tablets in the order of their first rows.
    pub(crate) fn take(&mut self) -> (Vec<Delete>, Vec<Slot>) {
        self.places.clear();
        self.size_bytes = 0;
        (
            std::mem::take(&mut self.deletes),
            std::mem::take(&mut self.slots),
        )
    }
}
