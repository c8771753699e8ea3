//! Several aggregates of the same events, side by side.

use std::borrow::Cow;

use super::codec::{Reader, put_bytes};
use super::{Laws, Moment, Monoid, Refused};

const VERSION: u8 = 1;

impl Laws {
    /// What holds of two monoids side by side.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            commutative: self.commutative && other.commutative,
            idempotent: self.idempotent && other.idempotent,
            invertible: self.invertible && other.invertible,
            exact: self.exact && other.exact,
        }
    }
}

/// Monoids side by side are one: each takes its own input.
///
/// Their laws are what holds of all. Byte form, version 1: the bytes of each, behind their length.
macro_rules! tuple {
    ($last_index:tt $last:ident; $($index:tt $member:ident),+) => {
        impl<$($member: Monoid,)+ $last: Monoid> Monoid for ($($member,)+ $last,)
        where
            $($member::Input: Sized,)+
            $last::Input: Sized,
        {
            type Value = ($($member::Value,)+ $last::Value,);
            type Input = ($($member::Input,)+ $last::Input,);

            fn name(&self) -> Cow<'static, str> {
                let names = [$(self.$index.name(),)+ self.$last_index.name()];
                Cow::Owned(format!("({})", names.join(", ")))
            }

            fn laws(&self) -> Laws {
                self.$last_index.laws()$(.and(self.$index.laws()))+
            }

            fn identity(&self) -> Self::Value {
                ($(self.$index.identity(),)+ self.$last_index.identity(),)
            }

            fn add(&self, into: &mut Self::Value, input: &Self::Input, at: Moment) -> Result<(), Refused> {
                // What one refuses must not have changed the others.
                $(self.$index.would_add(&into.$index, &input.$index, at)?;)+
                self.$last_index.add(&mut into.$last_index, &input.$last_index, at)?;
                $(self.$index.add(&mut into.$index, &input.$index, at)?;)+
                Ok(())
            }

            fn would_add(&self, into: &Self::Value, input: &Self::Input, at: Moment) -> Result<(), Refused> {
                $(self.$index.would_add(&into.$index, &input.$index, at)?;)+
                self.$last_index.would_add(&into.$last_index, &input.$last_index, at)
            }

            fn combine(&self, into: &mut Self::Value, other: &Self::Value) -> Result<(), Refused> {
                let mut next = into.clone();
                $(self.$index.combine(&mut next.$index, &other.$index)?;)+
                self.$last_index.combine(&mut next.$last_index, &other.$last_index)?;
                *into = next;
                Ok(())
            }

            fn take_back(&self, from: &mut Self::Value, input: &Self::Input, at: Moment) -> Result<(), Refused> {
                let mut next = from.clone();
                $(self.$index.take_back(&mut next.$index, &input.$index, at)?;)+
                self.$last_index.take_back(&mut next.$last_index, &input.$last_index, at)?;
                *from = next;
                Ok(())
            }

            fn combine_inverse(&self, from: &mut Self::Value, other: &Self::Value) -> Result<(), Refused> {
                let mut next = from.clone();
                $(self.$index.combine_inverse(&mut next.$index, &other.$index)?;)+
                self.$last_index.combine_inverse(&mut next.$last_index, &other.$last_index)?;
                *from = next;
                Ok(())
            }

            fn is_identity(&self, value: &Self::Value) -> bool {
                $(self.$index.is_identity(&value.$index) &&)+
                self.$last_index.is_identity(&value.$last_index)
            }

            fn size_bytes(&self, value: &Self::Value) -> usize {
                $(self.$index.size_bytes(&value.$index) +)+
                self.$last_index.size_bytes(&value.$last_index)
            }

            fn encode(&self, value: &Self::Value, out: &mut Vec<u8>) {
                out.push(VERSION);
                $(put_member(out, |bytes| self.$index.encode(&value.$index, bytes));)+
                put_member(out, |bytes| self.$last_index.encode(&value.$last_index, bytes));
            }

            fn decode(&self, bytes: &[u8]) -> Result<Self::Value, Refused> {
                let mut reader = Reader::new(bytes, VERSION)?;
                let value = (
                    $(self.$index.decode(reader.bytes()?)?,)+
                    self.$last_index.decode(reader.bytes()?)?,
                );
                reader.end()?;
                Ok(value)
            }
        }
    };
}

tuple!(1 B; 0 A);
tuple!(2 C; 0 A, 1 B);
tuple!(3 D; 0 A, 1 B, 2 C);

/// Appends a member's bytes behind their length.
pub(super) fn put_member(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    put_bytes(out, &bytes);
}
