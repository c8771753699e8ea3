//! Attributes of the table model. A device has one value of each, that of whichever row was written last; so IoTDB should have one
//! that a row of the device has. Devices are compared group by group: their attributes are held, and the source is read once for
//! each group.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use headwater_core::dead_letters;
use headwater_core::views::Views;
use headwater_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use super::content::Held;
use super::grid::digest;
use super::settle::{PATIENCE, wait};
use super::source::{self, Found, Taker};
use super::target;
use super::{ColumnDifference, Comparing, Difference, Kind};

/// The attributes of devices, as IoTDB has them.
pub(super) type Attributes = BTreeMap<String, Vec<Option<Held>>>;

/// A row's key and its attributes.
type Row = (Map<String, Json>, Vec<Option<Held>>);

/// A device on both sides.
#[derive(Debug, Clone, PartialEq)]
struct Device {
    iotdb: Vec<Option<Held>>,
    /// By attribute: whether a row has the value that IoTDB has.
    is_right: Vec<bool>,
    /// A row of it; none: the source has none that is written.
    row: Option<Row>,
    /// The sum of the digests of its rows' attributes, whatever the order: it changes when they do.
    sum: u128,
}

impl Device {
    fn new(iotdb: Vec<Option<Held>>) -> Self {
        Self {
            is_right: vec![false; iotdb.len()],
            iotdb,
            row: None,
            sum: 0,
        }
    }

    fn differs(&self) -> bool {
        self.row.is_some() && self.is_right.contains(&false)
    }

    fn add(&mut self, row: &Found<'_>, values: &[Option<&[u8]>]) {
        for (at, value) in values.iter().enumerate() {
            let value = value.map(Held::new);
            self.is_right[at] |= value == self.iotdb[at];
            let number = at.to_be_bytes();
            let part = match &values[at] {
                Some(bytes) => digest(&[&number, &[1], bytes]),
                None => digest(&[&number, &[0]]),
            };
            self.sum = self.sum.wrapping_add(part);
        }
        let key = dead_letters::key(row.image);
        // Whichever reader comes first, the same rows give the same one.
        let is_earlier = |known: &Map<String, Json>| format!("{key:?}") < format!("{known:?}");
        if self.row.as_ref().is_none_or(|(known, _)| is_earlier(known)) {
            let values = values.iter().map(|value| value.map(Held::new));
            self.row = Some((key, values.collect()));
        }
    }
}

/// The devices of a group, while the source is read.
#[derive(Debug)]
struct Group(Mutex<HashMap<String, Device>>);

impl Taker for Group {
    fn source(&self, row: &Found<'_>) {
        let Some(values) = &row.attributes else {
            return;
        };
        let mut devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = devices.get_mut(row.device) {
            device.add(row, values);
        }
    }

    fn target(&self, _: &str, _: i64, _: &[Option<Vec<u8>>]) {}
}

impl<V: Views, F: FnMut(Difference) + Send> Comparing<'_, V, F> {
    /// Compares the attributes of all devices, if the mapping has any.
    pub(super) async fn attributes(&mut self) -> Result<()> {
        if self.context.attributes.is_empty() {
            return Ok(());
        }
        let mut listed = 0;
        loop {
            let mut group = Attributes::new();
            let mut is_over = false;
            while group.len() < self.how.rows_max && !is_over {
                let (count, is_last, devices) = target::attributes(&self.context, listed).await?;
                listed += count;
                is_over = is_last;
                group.extend(devices);
            }
            let differing = self.differing(group).await?;
            self.settle_attributes(differing).await?;
            if is_over {
                return Ok(());
            }
        }
    }

    /// The devices among these whose attributes differ.
    async fn differing(&self, group: Attributes) -> Result<BTreeMap<String, Device>> {
        if group.is_empty() {
            return Ok(BTreeMap::new());
        }
        let devices = group
            .into_iter()
            .map(|(name, iotdb)| (name, Device::new(iotdb)));
        let group = Arc::new(Group(Mutex::new(devices.collect())));
        source::read(self.views, &self.context, None, self.how.readers, &group).await?;
        let group = Arc::try_unwrap(group)
            .map_err(|_| Error::new(ErrorKind::Internal, "a reader goes on"))?;
        let devices = group.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let differing = devices.into_iter().filter(|(_, device)| device.differs());
        Ok(differing.collect())
    }

    /// Looks again until a device is equal, or neither side of it has changed for long enough.
    async fn settle_attributes(&mut self, mut open: BTreeMap<String, Device>) -> Result<()> {
        let begun = Instant::now();
        let settle = self.how.settle;
        let mut since: HashMap<String, Instant> = HashMap::new();
        loop {
            for (name, device) in std::mem::take(&mut open) {
                if since.get(&name).unwrap_or(&begun).elapsed() >= settle {
                    self.decide_attributes(name, &device);
                } else {
                    open.insert(name, device);
                }
            }
            if open.is_empty() {
                return Ok(());
            }
            if begun.elapsed() >= settle * PATIENCE {
                self.report.unsettled += open.len() as u64;
                return Ok(());
            }
            wait(settle).await;
            let names: Vec<&String> = open.keys().collect();
            let again = target::attributes_of(&self.context, &names).await?;
            let mut found = self.differing(again).await?;
            let now = Instant::now();
            open.retain(|name, device| {
                let Some(new) = found.remove(name) else {
                    return false;
                };
                if *device != new {
                    *device = new;
                    since.insert(name.clone(), now);
                }
                true
            });
        }
    }

    fn decide_attributes(&mut self, name: String, device: &Device) {
        // What no row has may be of one that has gone. That a row has one and the device has none is no policy's work.
        let (key, values) = device.row.clone().unwrap_or_default();
        let wrong = device.is_right.iter().enumerate();
        let wrong = wrong.filter(|(_, is_right)| !**is_right).map(|(at, _)| at);
        let is_lost = wrong.clone().any(|at| device.iotdb[at].is_none());
        let kind = if is_lost { Kind::Missing } else { Kind::Extra };
        let reason = self.rules().of_left(kind);
        if let Some(reason) = reason {
            self.explain(reason);
        } else if self.is_enough() {
            self.report.not_looked_at += 1;
            return;
        } else {
            self.report.differs += 1;
        }
        let plan = &self.context.plan;
        let columns = wrong.map(|at| {
            let column = self.context.attributes[at];
            let series_type = plan.layout.columns[column].series_type;
            let shown = |held: &Option<Held>| held.as_ref().map(|held| held.json(series_type));
            ColumnDifference {
                name: plan.names[column].clone(),
                source: values.get(at).and_then(shown),
                iotdb: shown(&device.iotdb[at]),
            }
        });
        (self.tell)(Difference {
            table: self.report.table.clone(),
            kind: Kind::Differs,
            reason,
            key: Some(key).filter(|key| !key.is_empty()),
            device: name,
            time: None,
            columns: columns.collect(),
        });
    }
}
