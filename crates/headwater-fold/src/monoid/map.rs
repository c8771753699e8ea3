//! A map whose values are aggregates themselves.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::codec::{Reader, put_bytes, put_unsigned};
use super::item::{check_bytes, read_bounded};
use super::{Laws, Moment, Monoid, Refused};

const VERSION: u8 = 1;
/// About what a tree takes for an entry beside its key and value.
const NODE_BYTES: usize = 40;

/// Keeps an aggregate of `M` by key, up to a number of keys; one more is refused. A key whose aggregate is that of no event is dropped.
///
/// It has the laws of `M`. Byte form, version 1: how many entries, then for each, by key, the bytes of the key and those of its aggregate,
/// each behind their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapMerge<M> {
    inner: M,
    entries_max: usize,
}

/// The value of [`MapMerge`].
pub type Entries<V> = BTreeMap<Vec<u8>, V>;

impl<M: Monoid> MapMerge<M> {
    /// A map of so many keys at most.
    #[must_use]
    pub fn new(inner: M, entries_max: usize) -> Self {
        Self { inner, entries_max }
    }

    /// The monoid of its values.
    #[must_use]
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// Adds to one key's aggregate, or takes back from it.
    ///
    /// # Errors
    ///
    /// What the inner monoid refuses; a key that is too long; a key too many.
    pub fn change(
        &self,
        into: &mut Entries<M::Value>,
        key: &[u8],
        change: impl FnOnce(&mut M::Value) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        if let Some(value) = into.get_mut(key) {
            change(value)?;
            if self.inner.is_identity(value) {
                into.remove(key);
            }
            return Ok(());
        }
        self.room(into.len(), key)?;
        let mut value = self.inner.identity();
        change(&mut value)?;
        if !self.inner.is_identity(&value) {
            into.insert(key.to_vec(), value);
        }
        Ok(())
    }

    /// Whether a new key may be added to so many.
    pub(super) fn room(&self, count: usize, key: &[u8]) -> Result<(), Refused> {
        check_bytes(key.len())?;
        if count >= self.entries_max {
            return Err(self.full());
        }
        Ok(())
    }

    fn full(&self) -> Refused {
        let max = self.entries_max;
        Refused::overflow(format!("a map of more than {max} keys"))
    }

    /// Combines entry by entry; nothing is changed before all of it is known to be possible.
    fn merge(
        &self,
        into: &mut Entries<M::Value>,
        other: &Entries<M::Value>,
        merge: impl Fn(&mut M::Value, &M::Value) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut count = into.len();
        let mut merged = Vec::with_capacity(other.len());
        for (key, value) in other {
            let held = into.get(key);
            let mut next = held.cloned().unwrap_or_else(|| self.inner.identity());
            merge(&mut next, value)?;
            let is_kept = !self.inner.is_identity(&next);
            count = count + usize::from(is_kept) - usize::from(held.is_some());
            merged.push((key, is_kept.then_some(next)));
        }
        if count > self.entries_max {
            return Err(self.full());
        }
        for (key, next) in merged {
            match next {
                Some(next) => into.insert(key.clone(), next),
                None => into.remove(key),
            };
        }
        Ok(())
    }
}

/// What is added to the aggregate of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed<I: ?Sized> {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// What the inner monoid takes.
    pub input: I,
}

impl<M: Monoid> Monoid for MapMerge<M> {
    type Value = Entries<M::Value>;
    type Input = Keyed<M::Input>;

    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!("map({}, {})", self.inner.name(), self.entries_max))
    }

    fn laws(&self) -> Laws {
        self.inner.laws()
    }

    fn identity(&self) -> Self::Value {
        BTreeMap::new()
    }

    fn add(&self, into: &mut Self::Value, input: &Self::Input, at: Moment) -> Result<(), Refused> {
        self.change(into, &input.key, |value| {
            self.inner.add(value, &input.input, at)
        })
    }

    fn would_add(
        &self,
        into: &Self::Value,
        input: &Self::Input,
        at: Moment,
    ) -> Result<(), Refused> {
        match into.get(&input.key) {
            Some(value) => self.inner.would_add(value, &input.input, at),
            None => {
                self.room(into.len(), &input.key)?;
                self.inner
                    .would_add(&self.inner.identity(), &input.input, at)
            }
        }
    }

    fn combine(&self, into: &mut Self::Value, other: &Self::Value) -> Result<(), Refused> {
        self.merge(into, other, |value, other| self.inner.combine(value, other))
    }

    fn take_back(
        &self,
        from: &mut Self::Value,
        input: &Self::Input,
        at: Moment,
    ) -> Result<(), Refused> {
        self.change(from, &input.key, |value| {
            self.inner.take_back(value, &input.input, at)
        })
    }

    fn combine_inverse(&self, from: &mut Self::Value, other: &Self::Value) -> Result<(), Refused> {
        self.merge(from, other, |value, other| {
            self.inner.combine_inverse(value, other)
        })
    }

    fn is_identity(&self, value: &Self::Value) -> bool {
        value.is_empty()
    }

    fn size_bytes(&self, value: &Self::Value) -> usize {
        let entry = |(key, value): (&Vec<u8>, _)| {
            NODE_BYTES + key.capacity() + self.inner.size_bytes(value)
        };
        size_of::<Self::Value>() + value.iter().map(entry).sum::<usize>()
    }

    fn encode(&self, value: &Self::Value, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_unsigned(out, value.len() as u64);
        let mut bytes = Vec::new();
        for (key, value) in value {
            put_bytes(out, key);
            bytes.clear();
            self.inner.encode(value, &mut bytes);
            put_bytes(out, &bytes);
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Self::Value, Refused> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let count = reader.count(2)?;
        if count > self.entries_max {
            return Err(Refused::differs(format!(
                "bytes of a map of {count} keys, more than the {} it may have",
                self.entries_max
            )));
        }
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let key = read_bounded(&mut reader)?;
            let value = self.inner.decode(reader.bytes()?)?;
            let follows = (entries.last_key_value())
                .is_none_or(|(last, _): (&Vec<u8>, _)| last.as_slice() < key);
            if !follows || self.inner.is_identity(&value) {
                return Err(Refused::damaged("entries of a map out of order, or empty"));
            }
            entries.insert(key.to_vec(), value);
        }
        reader.end()?;
        Ok(entries)
    }
}
