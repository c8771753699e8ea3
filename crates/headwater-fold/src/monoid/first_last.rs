//! The first and the last, by the place of the event in the source's log.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::marker::PhantomData;

use super::codec::{Reader, put_unsigned};
use super::item::Item;
use super::{Laws, Moment, Monoid, Refused, SEMILATTICE};

const VERSION: u8 = 1;

/// A value with the order of its event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamped<T> {
    /// The order of [`Moment`].
    pub order: (u64, u64),
    /// The value.
    pub item: T,
}

macro_rules! by_order {
    ($(#[$doc:meta])* $name:ident, $word:literal, $wins:path) => {
        $(#[$doc])*
        /// Events of one order (rows of one cut, which have none among them) are ordered by their values, so that the answer
        /// is the same however a fold is cut.
        ///
        /// Commutative, idempotent, exact. It cannot take back: the next one is not known. Byte form, version 1: nothing for no
        /// value, else the two numbers of the order, then the bytes of the [`Item`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name<T>(PhantomData<fn() -> T>);

        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self(PhantomData)
            }
        }

        impl<T: Item> $name<T> {
            fn take(into: &mut Option<Stamped<T>>, order: (u64, u64), item: &T) -> Result<(), Refused> {
                let wins = into.as_ref().is_none_or(|held| {
                    order.cmp(&held.order).then_with(|| item.cmp(&held.item)) == $wins
                });
                if wins {
                    item.check()?;
                    *into = Some(Stamped { order, item: item.clone() });
                }
                Ok(())
            }
        }

        impl<T: Item> Monoid for $name<T> {
            type Value = Option<Stamped<T>>;
            type Input = T;

            fn name(&self) -> Cow<'static, str> {
                Cow::Owned(format!(concat!($word, "({})"), T::NAME))
            }

            fn laws(&self) -> Laws {
                SEMILATTICE
            }

            fn identity(&self) -> Self::Value {
                None
            }

            fn add(&self, into: &mut Self::Value, input: &T, at: Moment) -> Result<(), Refused> {
                Self::take(into, at.order, input)
            }

            fn combine(&self, into: &mut Self::Value, other: &Self::Value) -> Result<(), Refused> {
                match other {
                    Some(other) => Self::take(into, other.order, &other.item),
                    None => Ok(()),
                }
            }

            fn is_identity(&self, value: &Self::Value) -> bool {
                value.is_none()
            }

            fn size_bytes(&self, value: &Self::Value) -> usize {
                size_of::<Self::Value>() + value.as_ref().map_or(0, |held| held.item.heap_bytes())
            }

            fn encode(&self, value: &Self::Value, out: &mut Vec<u8>) {
                out.push(VERSION);
                if let Some(held) = value {
                    put_unsigned(out, held.order.0);
                    put_unsigned(out, held.order.1);
                    held.item.put(out);
                }
            }

            fn decode(&self, bytes: &[u8]) -> Result<Self::Value, Refused> {
                let mut reader = Reader::new(bytes, VERSION)?;
                if reader.left() == 0 {
                    return Ok(None);
                }
                let order = (reader.unsigned()?, reader.unsigned()?);
                let item = T::read(&mut reader)?;
                reader.end()?;
                Ok(Some(Stamped { order, item }))
            }
        }
    };
}

by_order!(
    /// Keeps the value of the first event.
    First,
    "first",
    Ordering::Less
);
by_order!(
    /// Keeps the value of the last event.
    Last,
    "last",
    Ordering::Greater
);
