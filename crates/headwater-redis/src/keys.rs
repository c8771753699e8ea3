//! The names of keys.

use headwater_fold::place::{ALL_TIME, Place};

/// The keys of one store.
#[derive(Debug, Clone)]
pub(crate) struct Keys(String);

impl Keys {
    pub(crate) fn new(name: &str) -> Self {
        Self(format!("{{headwater:{name}}}"))
    }

    /// What the store says of itself.
    pub(crate) fn meta(&self) -> &str {
        &self.0
    }

    /// The names of what is staged.
    pub(crate) fn staged(&self) -> String {
        format!("{}:staged", self.0)
    }

    /// The buckets of a fold.
    pub(crate) fn index(&self, generation: u32, fold: usize) -> String {
        format!("{}:{generation}:{fold}", self.0)
    }
}

/// A bucket's digits, in the order of buckets.
pub(crate) fn bucket(bucket_s: i64) -> String {
    let place = Place::new(bucket_s, &[]);
    let digits = |byte: &u8| format!("{byte:02x}");
    place.as_bytes().iter().map(digits).collect()
}

/// The bucket of these digits.
pub(crate) fn bucket_s(digits: &str) -> Option<i64> {
    let bits = u64::from_str_radix(digits, 16).ok()?;
    Some((bits ^ ALL_TIME.cast_unsigned()).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_the_order_of_buckets_and_read_back() {
        let buckets = [ALL_TIME, -1, 0, 86_400, i64::MAX];
        let digits = buckets.map(bucket);
        assert!(
            digits.is_sorted() && digits[0] == "0000000000000000",
            "{digits:?}"
        );
        assert_eq!(digits.map(|digits| bucket_s(&digits).unwrap()), buckets);
    }
}
