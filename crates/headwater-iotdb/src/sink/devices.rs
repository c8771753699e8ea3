//! Devices by the values that make them: a device has many rows, and its path is made of them once.

use std::hash::{Hash, Hasher};

use headwater_core::batch::Image;
use headwater_core::value::Cell;
use rustc_hash::{FxHashMap, FxHasher};

use super::pending::Device;
use crate::mapping::Plan;

/// Devices that are known at once; with one more they are all forgotten.
pub(super) const DEVICES_MAX: usize = 65_536;

/// The devices of the latest rows.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    /// By the hash of plan and values; of two with the same hash the one that came first.
    known: FxHashMap<u64, Known>,
    /// The number of the latest: none is given twice.
    latest: u64,
}

#[derive(Debug)]
struct Known {
    /// The number of the plan.
    plan: u64,
    values: Box<[Value]>,
    device: Device,
    /// Where the device's rows are gathered: the number of the run, and the place within it.
    gathered: (u64, usize),
}

#[derive(Debug)]
enum Value {
    Int(i64),
    Text(Box<str>),
}

impl Devices {
    /// Leaves the device of a row in `device`. Only integers and text are looked for; other values are written anew.
    pub(crate) fn place(
        &mut self,
        plan: &Plan,
        image: &Image<'_>,
        device: &mut Device,
    ) -> Result<(), String> {
        let hash = hash(plan, image);
        if let Some(hash) = hash
            && let Some(known) = self.find(hash, plan, image)
        {
            device.clone_from(&known.device);
            return Ok(());
        }
        device.path.clear();
        plan.device(image, &mut device.path)?;
        device.reckon();
        device.number = None;
        if let Some(hash) = hash {
            self.remember(hash, plan, image, device);
        }
        Ok(())
    }

    /// Where the rows of this one's device are gathered in a run, if that was noted.
    pub(super) fn gathered(&mut self, plan: &Plan, image: &Image<'_>, run: u64) -> Option<usize> {
        let known = self.find(hash(plan, image)?, plan, image)?;
        (known.gathered.0 == run).then_some(known.gathered.1)
    }

    /// Notes where they are gathered. Runs are numbered from 1.
    pub(super) fn gather(&mut self, plan: &Plan, image: &Image<'_>, run: u64, place: usize) {
        let known = hash(plan, image).and_then(|hash| self.find(hash, plan, image));
        if let Some(known) = known {
            known.gathered = (run, place);
        }
    }

    fn find(&mut self, hash: u64, plan: &Plan, image: &Image<'_>) -> Option<&mut Known> {
        let known = self.known.get_mut(&hash)?;
        let is_same =
            |((_, column), value): (&(String, usize), &Value)| match (image.cell(*column), value) {
                (Cell::Int(found), Value::Int(known)) => found == *known,
                (Cell::Text(found), Value::Text(known)) => found == &**known,
                _ => false,
            };
        let is_it = known.plan == plan.number && plan.device.iter().zip(&known.values).all(is_same);
        is_it.then_some(known)
    }

    fn remember(&mut self, hash: u64, plan: &Plan, image: &Image<'_>, device: &mut Device) {
        let value = |(_, column): &(String, usize)| match image.cell(*column) {
            Cell::Int(value) => Some(Value::Int(value)),
            Cell::Text(text) => Some(Value::Text(text.into())),
            _ => None,
        };
        let Some(values) = plan.device.iter().map(value).collect() else {
            return;
        };
        if self.known.len() >= DEVICES_MAX {
            self.known.clear();
        }
        if self.known.contains_key(&hash) {
            return;
        }
        self.latest += 1;
        device.number = Some(self.latest);
        let known = Known {
            plan: plan.number,
            values,
            device: device.clone(),
            gathered: (0, 0),
        };
        self.known.insert(hash, known);
    }
}

/// The hash of a plan and the values of a row's device; none where one of them is neither an integer nor text.
fn hash(plan: &Plan, image: &Image<'_>) -> Option<u64> {
    let mut hasher = FxHasher::default();
    plan.number.hash(&mut hasher);
    for (_, column) in &plan.device {
        match image.cell(*column) {
            Cell::Int(value) => value.hash(&mut hasher),
            Cell::Text(text) => text.hash(&mut hasher),
            _ => return None,
        }
    }
    Some(hasher.finish())
}
