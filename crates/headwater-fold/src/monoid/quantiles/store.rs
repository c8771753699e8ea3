//! Counts by bucket, of a bounded number of buckets.

use super::super::Refused;
use super::super::codec::{Reader, put_signed, put_unsigned};

/// Counts of the values of one sign. No count is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Store {
    /// Number of the bucket and its count, in order.
    pub(super) buckets: Vec<(i32, i64)>,
    /// What lies lower is counted here, once buckets had to be given up. It is kept when every count is zero again: that may be the
    /// counts of different values, which cannot be told apart any more.
    pub(super) floor: Option<i32>,
}

impl Store {
    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.floor.is_none()
    }

    /// Counts a value; nothing is changed where it is refused.
    pub(super) fn add(&mut self, index: i32, by: i64, span_max: u32) -> Result<(), Refused> {
        let index = self.floor.map_or(index, |floor| floor.max(index));
        match self.buckets.binary_search_by_key(&index, |bucket| bucket.0) {
            Ok(at) => {
                let count = self.buckets[at].1.checked_add(by).ok_or_else(beyond)?;
                if count == 0 {
                    self.buckets.remove(at);
                } else {
                    self.buckets[at].1 = count;
                }
            }
            Err(at) => {
                self.buckets.insert(at, (index, by));
                if self.span() > i64::from(span_max) {
                    let mut next = self.clone();
                    if let Err(refused) = next.collapse(span_max) {
                        self.buckets.remove(at);
                        return Err(refused);
                    }
                    *self = next;
                }
            }
        }
        Ok(())
    }

    /// Adds all counts of another, or takes them away.
    pub(super) fn merged(&self, other: &Self, minus: bool, span_max: u32) -> Result<Self, Refused> {
        let mut sum = self.clone();
        sum.floor = sum.floor.max(other.floor);
        sum.buckets.reserve(other.buckets.len());
        for &(index, count) in &other.buckets {
            let count = if minus {
                count.checked_neg()
            } else {
                Some(count)
            };
            let count = count.ok_or_else(beyond)?;
            match sum.buckets.binary_search_by_key(&index, |bucket| bucket.0) {
                Ok(at) => {
                    sum.buckets[at].1 = sum.buckets[at].1.checked_add(count).ok_or_else(beyond)?;
                }
                Err(at) => sum.buckets.insert(at, (index, count)),
            }
        }
        sum.buckets.retain(|bucket| bucket.1 != 0);
        sum.collapse(span_max)?;
        Ok(sum)
    }

    fn span(&self) -> i64 {
        match (self.buckets.first(), self.buckets.last()) {
            (Some(first), Some(last)) => i64::from(last.0) - i64::from(first.0) + 1,
            _ => 0,
        }
    }

    /// Brings everything below the floor into it, and raises it until no more than `span_max` buckets are needed.
    fn collapse(&mut self, span_max: u32) -> Result<(), Refused> {
        if self.span() > i64::from(span_max)
            && let Some(last) = self.buckets.last()
        {
            let floor = i64::from(last.0) - i64::from(span_max) + 1;
            self.floor = self.floor.max(i32::try_from(floor).ok());
        }
        let Some(floor) = self.floor else {
            return Ok(());
        };
        let below = self.buckets.partition_point(|bucket| bucket.0 <= floor);
        let mut count = 0i64;
        for bucket in &self.buckets[..below] {
            count = count.checked_add(bucket.1).ok_or_else(beyond)?;
        }
        let at_floor = (count != 0).then_some((floor, count));
        self.buckets.splice(..below, at_floor);
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self.floor {
            Some(floor) => {
                out.push(1);
                put_signed(out, i64::from(floor));
            }
            None => out.push(0),
        }
        put_unsigned(out, self.buckets.len() as u64);
        let mut before = None;
        for &(index, count) in &self.buckets {
            match before {
                None => put_signed(out, i64::from(index)),
                Some(before) => {
                    put_unsigned(out, (i64::from(index) - i64::from(before)).unsigned_abs());
                }
            }
            put_signed(out, count);
            before = Some(index);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>, span_max: u32) -> Result<Self, Refused> {
        let wrong = || Refused::damaged("buckets that no values can have made");
        let number = |value: i64| i32::try_from(value).map_err(|_| wrong());
        let floor = match reader.byte()? {
            0 => None,
            1 => Some(number(reader.signed()?)?),
            _ => return Err(wrong()),
        };
        let length = reader.count(2)?;
        let mut buckets: Vec<(i32, i64)> = Vec::with_capacity(length);
        for _ in 0..length {
            let index = match buckets.last() {
                None => number(reader.signed()?)?,
                Some(&(before, _)) => {
                    let step = i32::try_from(reader.unsigned()?).map_err(|_| wrong())?;
                    before
                        .checked_add(step)
                        .filter(|_| step > 0)
                        .ok_or_else(wrong)?
                }
            };
            let count = reader.signed()?;
            if count == 0 || floor.is_some_and(|floor| index < floor) {
                return Err(wrong());
            }
            buckets.push((index, count));
        }
        let store = Self { buckets, floor };
        if store.span() > i64::from(span_max) {
            return Err(wrong());
        }
        Ok(store)
    }
}

fn beyond() -> Refused {
    Refused::overflow("more than 2^63 values in a bucket")
}
