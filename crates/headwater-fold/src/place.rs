//! Where an aggregate stands: which key, in which bucket of time.

use std::borrow::Borrow;
use std::fmt;

/// The bucket of folds without a window.
pub const ALL_TIME: i64 = i64::MIN;

const BUCKET: usize = 8;

/// A key in a bucket, as bytes: the bucket, big-endian with its sign flipped, and the key. So their order is that of buckets, then of
/// the keys' bytes, here and in a store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Box<[u8]>);

impl Place {
    /// A place. `bucket_s` is when the bucket begins, in seconds since 1970, UTC; [`ALL_TIME`] without a window.
    #[must_use]
    pub fn new(bucket_s: i64, key: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(BUCKET + key.len());
        begin(&mut bytes, bucket_s);
        bytes.extend_from_slice(key);
        Self(bytes.into())
    }

    /// What [`Place::as_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= BUCKET).then(|| Self(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// When the bucket begins.
    #[must_use]
    pub fn bucket_s(&self) -> i64 {
        let bytes = self.0.first_chunk().copied().unwrap_or_default();
        (u64::from_be_bytes(bytes) ^ SIGN).cast_signed()
    }

    /// The key, as [`crate::key`] writes it.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.0.get(BUCKET..).unwrap_or_default()
    }
}

const SIGN: u64 = 1 << 63;

/// Begins a place: its key follows.
pub fn begin(bytes: &mut Vec<u8>, bucket_s: i64) {
    bytes.clear();
    bytes.extend_from_slice(&(bucket_s.cast_unsigned() ^ SIGN).to_be_bytes());
}

impl Borrow<[u8]> for Place {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = String::from_utf8_lossy(self.key());
        match self.bucket_s() {
            ALL_TIME => write!(f, "{key}"),
            bucket_s => write!(f, "{key}@{bucket_s}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ordered_by_bucket_and_then_by_key() {
        let order = [
            Place::new(ALL_TIME, b"z"),
            Place::new(-60, b"b"),
            Place::new(0, b"a"),
            Place::new(0, b"b"),
            Place::new(60, b"a"),
        ];
        assert!(order.is_sorted());
        for place in order {
            let again = Place::from_bytes(place.as_bytes()).unwrap();
            assert_eq!(
                (again.bucket_s(), again.key()),
                (place.bucket_s(), place.key())
            );
        }
        assert_eq!(Place::from_bytes(&[0; 7]), None);
    }
}
