//! How many events there were.

use std::borrow::Cow;

use super::{GROUP, Laws, Moment, Monoid, Refused};

/// Counts events, checked: beyond 64 bits it refuses.
///
/// Commutative, invertible, exact. A count is signed: a delta that takes back more than it adds is negative until it is merged.
///
/// Byte form, version 1: the count as eight bytes, little-endian.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count;

const VERSION: u8 = 1;

impl Monoid for Count {
    type Value = i64;
    type Input = ();

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("count")
    }

    fn laws(&self) -> Laws {
        GROUP
    }

    fn identity(&self) -> i64 {
        0
    }

    fn add(&self, into: &mut i64, (): &(), _at: Moment) -> Result<(), Refused> {
        self.combine(into, &1)
    }

    fn combine(&self, into: &mut i64, other: &i64) -> Result<(), Refused> {
        *into = into.checked_add(*other).ok_or_else(beyond)?;
        Ok(())
    }

    fn take_back(&self, from: &mut i64, (): &(), _at: Moment) -> Result<(), Refused> {
        self.combine_inverse(from, &1)
    }

    fn combine_inverse(&self, from: &mut i64, other: &i64) -> Result<(), Refused> {
        *from = from.checked_sub(*other).ok_or_else(beyond)?;
        Ok(())
    }

    fn is_identity(&self, value: &i64) -> bool {
        *value == 0
    }

    fn size_bytes(&self, _value: &i64) -> usize {
        size_of::<i64>()
    }

    fn encode(&self, value: &i64, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&value.to_le_bytes());
    }

    fn decode(&self, bytes: &[u8]) -> Result<i64, Refused> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => rest
                .try_into()
                .map(i64::from_le_bytes)
                .map_err(|_| Refused::damaged("a count is eight bytes")),
            _ => Err(Refused::damaged("a count of an unknown version")),
        }
    }
}

fn beyond() -> Refused {
    Refused::overflow("a count beyond 64 bits")
}
