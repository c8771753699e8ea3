//! The most frequent values, each with the bound of its error.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::codec::{Reader, put_bytes, put_unsigned};
use super::item::{check_bytes, read_bounded};
use super::{Laws, Moment, Monoid, Refused};

const VERSION: u8 = 1;
/// About what a tree takes for an entry beside its key.
const NODE_BYTES: usize = 48;

/// Counts the most frequent values in a bounded number of counters c (J. Misra and D. Gries, 1982; merged as P. Agarwal and others, "Mergeable
/// Summaries", 2012, section 2.2, show: sum the counters of both; if more than c are left, take the value of the (c+1)-th largest from each,
/// and drop what is then empty).
///
/// However a fold is cut, of N values: what has the counter n was there at least n times and at most n + e times, what has none at most e times,
/// and e ≤ (N − Σn) / (c + 1). The aggregate holds e, so that each answer says its own bound; while no more than c different
/// values came, e is 0 and everything is exact.
///
/// Commutative. Once something was dropped, associative within that bound only (which counters are left depends on how the fold was cut,
/// the promise above does not). It cannot take back. Byte form, version 1: N, e, how many counters, then for each, by value, the bytes of the value
/// behind their length, and n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    counters: usize,
}

/// The counters of [`Top`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    counts: BTreeMap<Vec<u8>, u64>,
    error: u64,
    total: u64,
}

/// One of the most frequent values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frequent<'a> {
    /// The value.
    pub item: &'a [u8],
    /// It was there at least so often.
    pub count: u64,
    /// And at most so many times more.
    pub error: u64,
}

impl Counters {
    /// The `k` most frequent, the most frequent first; of equal ones by their bytes.
    #[must_use]
    pub fn most(&self, k: usize) -> Vec<Frequent<'_>> {
        let mut list: Vec<_> = (self.counts.iter())
            .map(|(item, &count)| Frequent {
                item,
                count,
                error: self.error,
            })
            .collect();
        list.sort_by(|one, two| two.count.cmp(&one.count).then(one.item.cmp(two.item)));
        list.truncate(k);
        list
    }

    /// How often a value was there, at least.
    #[must_use]
    pub fn count(&self, item: &[u8]) -> u64 {
        self.counts.get(item).copied().unwrap_or(0)
    }

    /// How much oftener a value may have been there than it is counted.
    #[must_use]
    pub fn error(&self) -> u64 {
        self.error
    }

    /// How many values there were in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    fn counted(&self) -> u64 {
        self.counts
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Takes this much from every counter and drops those that are empty then.
    fn lower(&mut self, by: u64) {
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(by);
            *count > 0
        });
        self.error += by;
    }
}

impl Top {
    /// With so many counters.
    ///
    /// # Errors
    ///
    /// None at all.
    pub fn new(counters: usize) -> Result<Self, Refused> {
        match counters {
            0 => Err(Refused::unsuitable(
                "a list of the most frequent values without a counter",
            )),
            _ => Ok(Self { counters }),
        }
    }

    /// Adds a value that was there `times` times.
    ///
    /// # Errors
    ///
    /// A value that is too long; more than 2^64 in all.
    pub fn add_times(&self, into: &mut Counters, item: &[u8], times: u64) -> Result<(), Refused> {
        check_bytes(item.len())?;
        let total = into.total.checked_add(times).ok_or_else(beyond)?;
        into.total = total;
        if times == 0 {
            return Ok(());
        }
        if let Some(count) = into.counts.get_mut(item) {
            *count += times;
            return Ok(());
        }
        let mut left = times;
        if into.counts.len() >= self.counters {
            let least = into.counts.values().copied().min().unwrap_or(0).min(times);
            into.lower(least);
            left -= least;
        }
        if left > 0 {
            into.counts.insert(item.to_vec(), left);
        }
        Ok(())
    }
}

impl Monoid for Top {
    type Value = Counters;
    type Input = [u8];

    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!("top({})", self.counters))
    }

    fn laws(&self) -> Laws {
        Laws {
            commutative: true,
            idempotent: false,
            invertible: false,
            exact: false,
        }
    }

    fn identity(&self) -> Counters {
        Counters::default()
    }

    fn add(&self, into: &mut Counters, input: &[u8], _at: Moment) -> Result<(), Refused> {
        self.add_times(into, input, 1)
    }

    fn would_add(&self, into: &Counters, input: &[u8], _at: Moment) -> Result<(), Refused> {
        check_bytes(input.len())?;
        into.total.checked_add(1).map(|_| ()).ok_or_else(beyond)
    }

    fn combine(&self, into: &mut Counters, other: &Counters) -> Result<(), Refused> {
        if into.counts.len().max(other.counts.len()) > self.counters {
            return Err(Refused::differs("most frequent values with more counters"));
        }
        // No counter, and no error, is larger than the total.
        let total = into.total.checked_add(other.total).ok_or_else(beyond)?;
        into.total = total;
        into.error += other.error;
        for (item, count) in &other.counts {
            match into.counts.get_mut(item) {
                Some(held) => *held += count,
                None => {
                    into.counts.insert(item.clone(), *count);
                }
            }
        }
        if into.counts.len() > self.counters {
            let mut counts: Vec<u64> = into.counts.values().copied().collect();
            let (_, first_left_out, _) =
                counts.select_nth_unstable_by(self.counters, |one, two| two.cmp(one));
            let by = *first_left_out;
            into.lower(by);
        }
        Ok(())
    }

    fn is_identity(&self, value: &Counters) -> bool {
        value.total == 0
    }

    fn size_bytes(&self, value: &Counters) -> usize {
        let entries = value.counts.keys().map(|item| NODE_BYTES + item.capacity());
        size_of::<Counters>() + entries.sum::<usize>()
    }

    fn encode(&self, value: &Counters, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_unsigned(out, value.total);
        put_unsigned(out, value.error);
        put_unsigned(out, value.counts.len() as u64);
        for (item, count) in &value.counts {
            put_bytes(out, item);
            put_unsigned(out, *count);
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Counters, Refused> {
        let wrong = || Refused::damaged("counters that no values can have made");
        let mut reader = Reader::new(bytes, VERSION)?;
        let (total, error) = (reader.unsigned()?, reader.unsigned()?);
        let count = reader.count(2)?;
        if count > self.counters {
            return Err(Refused::differs(format!(
                "most frequent values with {count} counters, where {} are asked for",
                self.counters
            )));
        }
        let mut counts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for _ in 0..count {
            let item = read_bounded(&mut reader)?;
            let count = reader.unsigned()?;
            let follows = (counts.last_key_value()).is_none_or(|(last, _)| last.as_slice() < item);
            if !follows || count == 0 {
                return Err(wrong());
            }
            counts.insert(item.to_vec(), count);
        }
        reader.end()?;
        let value = Counters {
            counts,
            error,
            total,
        };
        // The bound that every cut of a fold keeps.
        let dropped = u128::from(error) * (self.counters as u128 + 1);
        if u128::from(value.counted()) + dropped > u128::from(total) {
            return Err(wrong());
        }
        Ok(value)
    }
}

fn beyond() -> Refused {
    Refused::overflow("more than 2^64 values in a list of the most frequent")
}
