//! The set of all values.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::marker::PhantomData;

use super::codec::{Reader, put_unsigned};
use super::item::Item;
use super::{Laws, Moment, Monoid, Refused, SEMILATTICE};

const VERSION: u8 = 1;
/// About what a tree takes for a member beside the member itself.
const NODE_BYTES: usize = 16;

/// Keeps every value once, up to a number of members; one more is refused.
///
/// Commutative, idempotent, exact. It cannot take back: how often a value came is not known. Byte form, version 1: how many
/// members, then the bytes of each [`Item`], the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<T> {
    members_max: usize,
    of: PhantomData<fn() -> T>,
}

impl<T> Set<T> {
    /// A set of so many members at most.
    #[must_use]
    pub fn new(members_max: usize) -> Self {
        Self {
            members_max,
            of: PhantomData,
        }
    }

    fn full(&self) -> Refused {
        let max = self.members_max;
        Refused::overflow(format!("a set of more than {max} members"))
    }
}

impl<T: Item> Monoid for Set<T> {
    type Value = BTreeSet<T>;
    type Input = T;

    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!("set({}, {})", T::NAME, self.members_max))
    }

    fn laws(&self) -> Laws {
        SEMILATTICE
    }

    fn identity(&self) -> BTreeSet<T> {
        BTreeSet::new()
    }

    fn add(&self, into: &mut BTreeSet<T>, input: &T, at: Moment) -> Result<(), Refused> {
        if !into.contains(input) {
            self.would_add(into, input, at)?;
            into.insert(input.clone());
        }
        Ok(())
    }

    fn would_add(&self, into: &BTreeSet<T>, input: &T, _at: Moment) -> Result<(), Refused> {
        input.check()?;
        if into.len() >= self.members_max && !into.contains(input) {
            return Err(self.full());
        }
        Ok(())
    }

    fn combine(&self, into: &mut BTreeSet<T>, other: &BTreeSet<T>) -> Result<(), Refused> {
        // What is refused must change nothing, so it is counted first.
        if into.len() + other.len() > self.members_max
            && into.len() + other.iter().filter(|item| !into.contains(item)).count()
                > self.members_max
        {
            return Err(self.full());
        }
        for item in other {
            if !into.contains(item) {
                into.insert(item.clone());
            }
        }
        Ok(())
    }

    fn is_identity(&self, value: &BTreeSet<T>) -> bool {
        value.is_empty()
    }

    fn size_bytes(&self, value: &BTreeSet<T>) -> usize {
        let members = value.len() * (size_of::<T>() + NODE_BYTES);
        size_of::<BTreeSet<T>>() + members + value.iter().map(Item::heap_bytes).sum::<usize>()
    }

    fn encode(&self, value: &BTreeSet<T>, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_unsigned(out, value.len() as u64);
        for item in value {
            item.put(out);
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<BTreeSet<T>, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let count = reader.count(1)?;
        if count > self.members_max {
            return Err(Refused::differs(format!(
                "bytes of a set of {count} members, more than the {} it may have",
                self.members_max
            )));
        }
        let mut value = BTreeSet::new();
        for _ in 0..count {
            let item = T::read(&mut reader)?;
            if value.last().is_some_and(|last| *last >= item) {
                return Err(Refused::damaged("members of a set out of order"));
            }
            value.insert(item);
        }
        reader.end()?;
        Ok(value)
    }
}
