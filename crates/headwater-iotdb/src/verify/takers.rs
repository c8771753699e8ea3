//! What rows are read for: sums of all of them, or the contents of a few places.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use headwater_core::dead_letters;

use super::content::{Held, Place, PlaceId, Places, SourceRow};
use super::grid::{BucketId, Buckets, Grid, Scope, Side, digest};
use super::source::{Found, Taker};

fn device_number(device: &str) -> u128 {
    digest(&[device.as_bytes()])
}

/// The sum of the digests of a row's points, and how many they are.
fn sum<'a>(device: u128, time: i64, values: impl Iterator<Item = Option<&'a [u8]>>) -> (u128, u32) {
    let (device, time) = (device.to_be_bytes(), time.to_be_bytes());
    let mut all = (0u128, 0);
    for (at, value) in values.enumerate() {
        if let Some(value) = value {
            let point = digest(&[&device, &time, &at.to_be_bytes(), value]);
            all = (all.0.wrapping_add(point), all.1 + 1);
        }
    }
    all
}

/// Sums by bucket.
#[derive(Debug)]
pub(super) struct Sums {
    scope: Scope,
    buckets: Mutex<Buckets>,
}

impl Sums {
    pub(super) fn new(scope: Scope, buckets_max: usize) -> Self {
        Self {
            scope,
            buckets: Mutex::new(Buckets::new(scope.first_grid(), buckets_max)),
        }
    }

    pub(super) fn into_buckets(self) -> Buckets {
        self.buckets
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn add<'a>(
        &self,
        side: Side,
        device: &str,
        time: i64,
        values: impl Iterator<Item = Option<&'a [u8]>>,
    ) {
        let device = device_number(device);
        if !self.scope.has(device, time) {
            return;
        }
        let (digest, points) = sum(device, time, values);
        if points > 0 {
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            buckets.add(side, device, time, digest, points);
        }
    }
}

impl Taker for Sums {
    fn source(&self, row: &Found<'_>) {
        if let Some(values) = &row.values {
            self.add(Side::Source, row.device, row.time, values.iter().copied());
        }
    }

    fn target(&self, device: &str, time: i64, values: &[Option<Vec<u8>>]) {
        let values = values.iter().map(|value| value.as_deref());
        self.add(Side::Target, device, time, values);
    }
}

/// Which places are held.
#[derive(Debug)]
pub(super) enum Chosen {
    Buckets(Grid, HashSet<BucketId>),
    Places(HashSet<PlaceId>),
}

/// The contents of places.
#[derive(Debug)]
pub(super) struct Contents {
    chosen: Chosen,
    places: Mutex<Places>,
}

impl Contents {
    pub(super) fn new(chosen: Chosen) -> Self {
        Self {
            chosen,
            places: Mutex::default(),
        }
    }

    pub(super) fn into_places(self) -> Places {
        self.places
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, device: &str, time: i64, add: impl FnOnce(&mut Place)) {
        let is_chosen = match &self.chosen {
            Chosen::Buckets(grid, buckets) => {
                buckets.contains(&grid.bucket(device_number(device), time))
            }
            Chosen::Places(places) => places.contains(&(device.to_owned(), time)),
        };
        if is_chosen {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            add(places.entry((device.to_owned(), time)).or_default());
        }
    }
}

impl Taker for Contents {
    fn source(&self, row: &Found<'_>) {
        self.at(row.device, row.time, |place| {
            let key = dead_letters::key(row.image);
            match &row.values {
                None => place.refused = Some(key),
                Some(values) => place.add_row(SourceRow {
                    key,
                    values: values.iter().map(|value| value.map(Held::new)).collect(),
                }),
            }
        });
    }

    fn target(&self, device: &str, time: i64, values: &[Option<Vec<u8>>]) {
        self.at(device, time, |place| {
            place.points = values
                .iter()
                .map(|value| value.as_deref().map(Held::new))
                .collect();
        });
    }
}
