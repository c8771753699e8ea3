//! Sums of points by device and time: equal sums on both sides need no second look. Memory is bounded by the number of buckets:
//! when there are too many, each takes twice as long a time, and at last several devices together.

use std::hash::Hasher;

use rustc_hash::FxHashMap;

/// How wide buckets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    /// Two to the power of it: the units of time of a bucket.
    pub(super) time_bits: u32,
    /// The leading bits of a device's number that tell buckets apart.
    pub(super) device_bits: u32,
}

/// A bucket: the leading bits of its devices, and its place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BucketId {
    pub(super) slot: i64,
    pub(super) device: u64,
}

/// What is looked at: the whole, or one bucket of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) grid: Grid,
    /// None: everything.
    pub(super) bucket: Option<BucketId>,
}

impl Grid {
    /// The bucket of a device and a time.
    pub(super) fn bucket(self, device: u128, time: i64) -> BucketId {
        BucketId {
            slot: time >> self.time_bits.min(63),
            device: leading(device, self.device_bits),
        }
    }

    /// The first and last time of a bucket.
    pub(super) fn times(self, bucket: BucketId) -> (i64, i64) {
        let bits = self.time_bits.min(63);
        let first = bucket.slot << bits;
        (first, first | ((1i64 << bits).wrapping_sub(1)))
    }

    /// The next wider one; none if there is none.
    fn wider(self) -> Option<Self> {
        match self {
            Self { time_bits, .. } if time_bits < 63 => Some(Self {
                time_bits: time_bits + 1,
                ..self
            }),
            Self { device_bits, .. } if device_bits > 0 => Some(Self {
                device_bits: device_bits - 1,
                ..self
            }),
            _ => None,
        }
    }
}

fn leading(device: u128, bits: u32) -> u64 {
    match bits {
        0 => 0,
        #[allow(clippy::cast_possible_truncation, reason = "64 bits at most are left")]
        bits => (device >> (128 - bits.min(64))) as u64,
    }
}

impl Scope {
    pub(super) const ALL: Self = Self {
        grid: Grid {
            time_bits: 63,
            device_bits: 0,
        },
        bucket: None,
    };

    pub(super) fn has(&self, device: u128, time: i64) -> bool {
        self.bucket
            .is_none_or(|bucket| self.grid.bucket(device, time) == bucket)
    }

    pub(super) fn has_device(&self, device: u128) -> bool {
        let bits = self.grid.device_bits;
        self.bucket
            .is_none_or(|bucket| leading(device, bits) == bucket.device)
    }

    /// The first and last time of it; none: all times.
    pub(super) fn times(&self) -> Option<(i64, i64)> {
        self.bucket.map(|bucket| self.grid.times(bucket))
    }

    /// Buckets to begin with: about a quarter of an hour in milliseconds, and always finer than the scope itself.
    pub(super) fn first_grid(&self) -> Grid {
        Grid {
            time_bits: self.grid.time_bits.saturating_sub(10).min(20),
            device_bits: 64,
        }
    }
}

/// A side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Target,
}

/// What a bucket holds: of both sides the rows, and the sum of the source's points less that of the target's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    digest: u128,
    points: i64,
    pub(super) source_rows: u32,
    pub(super) target_rows: u32,
}

impl Sum {
    pub(super) fn is_equal(&self) -> bool {
        self.digest == 0 && self.points == 0
    }

    /// Rows that a close look has to hold.
    pub(super) fn rows(&self) -> usize {
        self.source_rows as usize + self.target_rows as usize
    }

    fn add(&mut self, other: &Self) {
        self.digest = self.digest.wrapping_add(other.digest);
        self.points += other.points;
        self.source_rows = self.source_rows.saturating_add(other.source_rows);
        self.target_rows = self.target_rows.saturating_add(other.target_rows);
    }
}

/// All buckets of a scope.
#[derive(Debug)]
pub(super) struct Buckets {
    pub(super) grid: Grid,
    sums: FxHashMap<BucketId, Sum>,
    buckets_max: usize,
}

impl Buckets {
    pub(super) fn new(grid: Grid, buckets_max: usize) -> Self {
        Self {
            grid,
            sums: FxHashMap::default(),
            buckets_max: buckets_max.max(4),
        }
    }

    /// Adds a row: the sum of its points' digests, and how many they are.
    pub(super) fn add(&mut self, side: Side, device: u128, time: i64, digest: u128, points: u32) {
        let row = match side {
            Side::Source => Sum {
                digest,
                points: points.into(),
                source_rows: 1,
                target_rows: 0,
            },
            Side::Target => Sum {
                digest: digest.wrapping_neg(),
                points: -i64::from(points),
                source_rows: 0,
                target_rows: 1,
            },
        };
        let bucket = self.grid.bucket(device, time);
        self.sums.entry(bucket).or_default().add(&row);
        while self.sums.len() > self.buckets_max && self.widen() {}
    }

    fn widen(&mut self) -> bool {
        let Some(wider) = self.grid.wider() else {
            return false;
        };
        let is_longer = wider.time_bits != self.grid.time_bits;
        let mut sums: FxHashMap<BucketId, Sum> = FxHashMap::default();
        for (id, sum) in self.sums.drain() {
            let id = match is_longer {
                true => BucketId {
                    slot: id.slot >> 1,
                    ..id
                },
                false => BucketId {
                    device: id.device >> 1,
                    ..id
                },
            };
            sums.entry(id).or_default().add(&sum);
        }
        (self.sums, self.grid) = (sums, wider);
        true
    }

    /// Those that are not equal, in the order of time.
    pub(super) fn differing(&self) -> Vec<(BucketId, Sum)> {
        let sums = self.sums.iter().filter(|(_, sum)| !sum.is_equal());
        let mut found: Vec<(BucketId, Sum)> = sums.map(|(id, sum)| (*id, *sum)).collect();
        found.sort_unstable_by_key(|(id, _)| *id);
        found
    }
}

/// 128 bits of a hash: SipHash of the standard library, twice, from different beginnings.
pub(super) fn digest(parts: &[&[u8]]) -> u128 {
    // Its keys are the same throughout the process.
    #[allow(
        clippy::disallowed_types,
        reason = "the same values within one process are all that is needed"
    )]
    let half = |beginning: u8| {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u8(beginning);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(device: u128, time: i64, value: u8) -> u128 {
        digest(&[&device.to_be_bytes(), &time.to_be_bytes(), &[value]])
    }

    proptest! {
        /// In whatever order rows come, and however few buckets there may be: what is on both sides is equal, and what is not is
        /// in a bucket that differs.
        #[test]
        fn only_what_differs_is_found(
            rows in prop::collection::btree_map((0u8..20, -5_000_000i64..5_000_000), 0u8..4, 1..200),
            changed in 0usize..200,
            buckets_max in 4usize..64,
        ) {
            let device = |number: u8| digest(&[&[number]]);
            let mut buckets = Buckets::new(Scope::ALL.first_grid(), buckets_max);
            for ((number, time), value) in &rows {
                buckets.add(Side::Source, device(*number), *time, point(device(*number), *time, *value), 1);
            }
            for ((number, time), value) in rows.iter().rev() {
                buckets.add(Side::Target, device(*number), *time, point(device(*number), *time, *value), 1);
            }
            prop_assert!(buckets.differing().is_empty());
            prop_assert!(buckets.sums.len() <= buckets_max);
            let ((number, time), value) = rows.iter().nth(changed % rows.len()).unwrap();
            let id = device(*number);
            buckets.add(Side::Target, id, *time, point(id, *time, 9).wrapping_sub(point(id, *time, *value)), 0);
            let differing = buckets.differing();
            prop_assert_eq!(differing.len(), 1);
            let scope = Scope { grid: buckets.grid, bucket: Some(differing[0].0) };
            prop_assert!(scope.has(id, *time) && scope.has_device(id));
            let (first, last) = scope.times().unwrap();
            prop_assert!((first..=last).contains(time));
        }

        /// A bucket that is looked at by itself is parted further, down to one time of one device.
        #[test]
        fn a_scope_can_be_parted_until_it_is_one_place(time in any::<i64>()) {
            let mut scope = Scope::ALL;
            let device = digest(&[b"d"]);
            for _ in 0..8 {
                let grid = scope.first_grid();
                prop_assert!(grid.time_bits < scope.grid.time_bits || grid.time_bits == 0);
                scope = Scope { grid, bucket: Some(grid.bucket(device, time)) };
            }
            prop_assert_eq!(scope.times(), Some((time, time)));
        }
    }
}
