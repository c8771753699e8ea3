//! The least and the greatest.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::codec::Reader;
use super::item::Item;
use super::{Laws, Moment, Monoid, Refused, SEMILATTICE};

const VERSION: u8 = 1;

macro_rules! extreme {
    ($(#[$doc:meta])* $name:ident, $word:literal, $wins:ident) => {
        $(#[$doc])*
        ///
        /// Commutative, idempotent, exact. It cannot take back: the next one is not known. Byte form, version 1: nothing for no
        /// value, else the bytes of the [`Item`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name<T>(PhantomData<fn() -> T>);

        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self(PhantomData)
            }
        }

        impl<T: Item> Monoid for $name<T> {
            type Value = Option<T>;
            type Input = T;

            fn name(&self) -> Cow<'static, str> {
                Cow::Owned(format!(concat!($word, "({})"), T::NAME))
            }

            fn laws(&self) -> Laws {
                SEMILATTICE
            }

            fn identity(&self) -> Option<T> {
                None
            }

            fn add(&self, into: &mut Option<T>, input: &T, _at: Moment) -> Result<(), Refused> {
                if into.as_ref().is_none_or(|held| input.$wins(held)) {
                    input.check()?;
                    *into = Some(input.clone());
                }
                Ok(())
            }

            fn combine(&self, into: &mut Option<T>, other: &Option<T>) -> Result<(), Refused> {
                match other {
                    Some(other) => self.add(into, other, Moment::default()),
                    None => Ok(()),
                }
            }

            fn is_identity(&self, value: &Option<T>) -> bool {
                value.is_none()
            }

            fn size_bytes(&self, value: &Option<T>) -> usize {
                size_of::<Option<T>>() + value.as_ref().map_or(0, Item::heap_bytes)
            }

            fn encode(&self, value: &Option<T>, out: &mut Vec<u8>) {
                out.push(VERSION);
                if let Some(item) = value {
                    item.put(out);
                }
            }

            fn decode(&self, bytes: &[u8]) -> Result<Option<T>, Refused> {
                let mut reader = Reader::new(bytes, VERSION)?;
                if reader.left() == 0 {
                    return Ok(None);
                }
                let item = T::read(&mut reader)?;
                reader.end()?;
                Ok(Some(item))
            }
        }
    };
}

extreme!(
    /// Keeps the least.
    Min,
    "min",
    lt
);
extreme!(
    /// Keeps the greatest.
    Max,
    "max",
    gt
);
