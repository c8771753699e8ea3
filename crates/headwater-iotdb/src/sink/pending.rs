//! Rows of one lane that wait to be sent: a tablet for each device, and deletes. Deletes are sent before tablets; so a delete
//! that comes after a row takes the row out of its tablet, and one order serves all.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

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
    device: Arc<str>,
}

impl Slot {
    /// The device's path, or the condition on its tags.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }
}

/// A device of a row: its path, or the condition on its tags. Its hash is reckoned once, and finds its lane and its tablet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) path: String,
    pub(crate) hash: u64,
    /// That of the device under one plan, if it has one: no other has had it.
    pub(crate) number: Option<u64>,
}

impl Clone for Device {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            ..*self
        }
    }

    /// Keeps the memory of the path: this is done for every row.
    fn clone_from(&mut self, source: &Self) {
        self.path.clone_from(&source.path);
        (self.hash, self.number) = (source.hash, source.number);
    }
}

impl Device {
    /// To be called once the path is whole.
    pub(crate) fn reckon(&mut self) {
        self.hash = FxBuildHasher.hash_one(&*self.path);
    }
}

/// What goes out together.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) deletes: Vec<Delete>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) size_bytes: usize,
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    slots: Vec<Slot>,
    /// Where tablets stand, by the hash of their device: of different definitions, and of devices with the same hash.
    places: FxHashMap<u64, Vec<Place>>,
    /// Where the tablets of numbered devices stand.
    numbered: FxHashMap<u64, usize>,
    deletes: Vec<Delete>,
    size_bytes: usize,
    /// Rows of a tablet of the last load, on average: the next one's are given room for as many.
    rows: usize,
}

/// Where a tablet stands.
#[derive(Debug)]
struct Place {
    device: Arc<str>,
    /// The number of its plan.
    number: u64,
    slot: usize,
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
    pub(crate) fn tablet(&mut self, plan: &Arc<Plan>, device: &Device) -> &mut Tablet {
        let slot = self.slot(plan, device);
        &mut self.slots[slot].tablet
    }

    /// The place of that tablet, which is its until what waits is taken.
    pub(crate) fn slot(&mut self, plan: &Arc<Plan>, device: &Device) -> usize {
        let known = (device.number).and_then(|number| self.numbered.get(&number));
        if let Some(&slot) = known {
            return slot;
        }
        let slot = self.slot_by_path(plan, device);
        self.numbered
            .extend(device.number.map(|number| (number, slot)));
        slot
    }

    /// The tablet at a place.
    pub(crate) fn tablet_at(&mut self, slot: usize) -> &mut Tablet {
        &mut self.slots[slot].tablet
    }

    fn slot_by_path(&mut self, plan: &Arc<Plan>, device: &Device) -> usize {
        let places = self.places.entry(device.hash).or_default();
        let mut known = places.iter();
        let is_it = |place: &&Place| place.number == plan.number && *place.device == *device.path;
        if let Some(place) = known.find(is_it) {
            return place.slot;
        }
        let name: Arc<str> = device.path.as_str().into();
        let target = match plan.table() {
            Some(table) => table.clone(),
            None => name.clone(),
        };
        let tablet = Tablet::with_room(target, plan.layout.clone(), self.rows);
        let slot = self.slots.len();
        places.push(Place {
            device: name.clone(),
            number: plan.number,
            slot,
        });
        self.slots.push(Slot {
            plan: plan.clone(),
            tablet,
            device: name,
        });
        slot
    }

    /// Counts what was appended to a tablet.
    pub(crate) fn grew(&mut self, bytes: usize) {
        self.size_bytes += bytes;
    }

    /// Deletes points, and takes rows that wait at their place out: all of what a row's image says comes after this.
    pub(crate) fn delete(&mut self, device: &Device, delete: Delete) {
        // Of every definition that the table had meanwhile.
        for place in self.places.get(&device.hash).into_iter().flatten() {
            let slot = &mut self.slots[place.slot];
            if place.device == delete.device && slot.plan.mapping == delete.plan.mapping {
                slot.tablet.remove(delete.time);
            }
        }
        self.size_bytes += DELETE_BYTES;
        self.deletes.push(delete);
    }

    /// Everything that waits, with tablets in the order of their first rows.
    pub(crate) fn take(&mut self) -> Load {
        self.places.clear();
        self.numbered.clear();
        let rows: usize = self.slots.iter().map(|slot| slot.tablet.len()).sum();
        self.rows = rows / self.slots.len().max(1);
        Load {
            deletes: std::mem::take(&mut self.deletes),
            slots: std::mem::take(&mut self.slots),
            size_bytes: std::mem::take(&mut self.size_bytes),
        }
    }
}
