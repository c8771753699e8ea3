//! Any of the monoids, chosen by its name in a configuration file.

mod parse;
mod show;

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::codec::{Reader, put_unsigned};
use super::map::Entries;
use super::tuple::put_member;
use super::{
    Average, Averaged, Bits, Bloom, Count, Counters, DecayedSum, Decaying, Decimal, First,
    FloatSum, HyperLogLog, Last, Laws, MapMerge, Max, Min, Moment, Monoid, Quantiles, Refused,
    Registers, Scalar, Set, Sketch, Stamped, SumDecimal, SumFloat, SumInteger, Top, Wide,
};

const VERSION: u8 = 1;

/// A monoid that is known by its name only, over the cells of its columns.
///
/// Its input is one [`Scalar`] for each column it takes ([`Dynamic::columns`]): none for a count, one for most, for a map that of the
/// key and then those of its inner monoid, for a tuple those of each member in turn. NULL contributes nothing, as in SQL; a count is of
/// rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Dynamic {
    kind: Kind,
}

/// The aggregate of a [`Dynamic`]: small and inline for numbers, in a box where it is large.
#[derive(Debug, Clone, PartialEq)]
pub enum Aggregate {
    /// Of `count`.
    Count(i64),
    /// Of `sum` over integers.
    SumInteger(Wide),
    /// Of `sum` over decimals.
    SumDecimal(Decimal),
    /// Of `sum` over floats.
    SumFloat(FloatSum),
    /// Of `average` over integers.
    AverageInteger(Averaged<Wide>),
    /// Of `average` over decimals.
    AverageDecimal(Box<Averaged<Decimal>>),
    /// Of `average` over floats.
    AverageFloat(Box<Averaged<FloatSum>>),
    /// Of `min` and `max`.
    Extreme(Option<Scalar>),
    /// Of `first` and `last`.
    Stamped(Box<Option<Stamped<Scalar>>>),
    /// Of `set`.
    Set(BTreeSet<Scalar>),
    /// Of `distinct`.
    Distinct(Registers),
    /// Of `bloom`.
    Bloom(Bits),
    /// Of `top`.
    Top(Box<Counters>),
    /// Of `quantiles`.
    Quantiles(Box<Sketch>),
    /// Of `decayed`.
    Decayed(Decaying),
    /// Of `tuple`.
    Tuple(Box<[Aggregate]>),
    /// Of `map`.
    Map(Box<Entries<Aggregate>>),
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Count(Count),
    SumInteger(SumInteger),
    SumDecimal(SumDecimal, Shown),
    SumFloat(SumFloat),
    AverageInteger(Average<SumInteger>),
    AverageDecimal(Average<SumDecimal>, Shown),
    AverageFloat(Average<SumFloat>),
    Min(Min<Scalar>),
    Max(Max<Scalar>),
    First(First<Scalar>),
    Last(Last<Scalar>),
    Set(Set<Scalar>),
    Distinct(HyperLogLog),
    Bloom(Bloom),
    Top(Top, Shown),
    Quantiles(Quantiles, Vec<f64>),
    Decayed(DecayedSum),
    Tuple(Vec<Member>),
    Map(Box<MapMerge<Dynamic>>),
}

/// How many there are of what is shown: digits after the point, places in a list.
type Shown = u16;

/// A member of a tuple, with the name it is shown under.
#[derive(Debug, Clone, PartialEq)]
struct Member {
    name: String,
    of: Dynamic,
}

/// Does the same with every kind that is one monoid with one value; the rest is up to the arms that follow.
macro_rules! each {
    ($kind:expr, $value:expr, $monoid:ident, $held:ident => $same:expr; $($pattern:pat => $other:expr,)+) => {
        match (&$kind, $value) {
            (Kind::Count($monoid), Aggregate::Count($held)) => $same,
            (Kind::SumInteger($monoid), Aggregate::SumInteger($held)) => $same,
            (Kind::SumDecimal($monoid, _), Aggregate::SumDecimal($held)) => $same,
            (Kind::SumFloat($monoid), Aggregate::SumFloat($held)) => $same,
            (Kind::AverageInteger($monoid), Aggregate::AverageInteger($held)) => $same,
            (Kind::AverageDecimal($monoid, _), Aggregate::AverageDecimal($held)) => $same,
            (Kind::AverageFloat($monoid), Aggregate::AverageFloat($held)) => $same,
            (Kind::Min($monoid), Aggregate::Extreme($held)) => $same,
            (Kind::Max($monoid), Aggregate::Extreme($held)) => $same,
            (Kind::First($monoid), Aggregate::Stamped($held)) => $same,
            (Kind::Last($monoid), Aggregate::Stamped($held)) => $same,
            (Kind::Set($monoid), Aggregate::Set($held)) => $same,
            (Kind::Distinct($monoid), Aggregate::Distinct($held)) => $same,
            (Kind::Bloom($monoid), Aggregate::Bloom($held)) => $same,
            (Kind::Top($monoid, _), Aggregate::Top($held)) => $same,
            (Kind::Quantiles($monoid, _), Aggregate::Quantiles($held)) => $same,
            (Kind::Decayed($monoid), Aggregate::Decayed($held)) => $same,
            (Kind::Map($monoid), Aggregate::Map($held)) => $same,
            $($pattern => $other,)+
        }
    };
}

/// The same with two values.
macro_rules! each_pair {
    ($kind:expr, $into:expr, $from:expr, $monoid:ident.$method:ident; $($pattern:pat => $other:expr,)+) => {
        match (&$kind, $into, $from) {
            (Kind::Count(m), Aggregate::Count(a), Aggregate::Count(b)) => m.$method(a, b),
            (Kind::SumInteger(m), Aggregate::SumInteger(a), Aggregate::SumInteger(b)) => m.$method(a, b),
            (Kind::SumDecimal(m, _), Aggregate::SumDecimal(a), Aggregate::SumDecimal(b)) => m.$method(a, b),
            (Kind::SumFloat(m), Aggregate::SumFloat(a), Aggregate::SumFloat(b)) => m.$method(a, b),
            (Kind::AverageInteger(m), Aggregate::AverageInteger(a), Aggregate::AverageInteger(b)) => m.$method(a, b),
            (Kind::AverageDecimal(m, _), Aggregate::AverageDecimal(a), Aggregate::AverageDecimal(b)) => m.$method(a, b),
            (Kind::AverageFloat(m), Aggregate::AverageFloat(a), Aggregate::AverageFloat(b)) => m.$method(a, b),
            (Kind::Min(m), Aggregate::Extreme(a), Aggregate::Extreme(b)) => m.$method(a, b),
            (Kind::Max(m), Aggregate::Extreme(a), Aggregate::Extreme(b)) => m.$method(a, b),
            (Kind::First(m), Aggregate::Stamped(a), Aggregate::Stamped(b)) => m.$method(a, b),
            (Kind::Last(m), Aggregate::Stamped(a), Aggregate::Stamped(b)) => m.$method(a, b),
            (Kind::Set(m), Aggregate::Set(a), Aggregate::Set(b)) => m.$method(a, b),
            (Kind::Distinct(m), Aggregate::Distinct(a), Aggregate::Distinct(b)) => m.$method(a, b),
            (Kind::Bloom(m), Aggregate::Bloom(a), Aggregate::Bloom(b)) => m.$method(a, b),
            (Kind::Top(m, _), Aggregate::Top(a), Aggregate::Top(b)) => m.$method(a, b),
            (Kind::Quantiles(m, _), Aggregate::Quantiles(a), Aggregate::Quantiles(b)) => m.$method(a, b),
            (Kind::Decayed(m), Aggregate::Decayed(a), Aggregate::Decayed(b)) => m.$method(a, b),
            (Kind::Map(m), Aggregate::Map(a), Aggregate::Map(b)) => m.$method(a, b),
            $($pattern => $other,)+
        }
    };
}

fn another() -> Refused {
    Refused::differs("an aggregate of another monoid")
}

impl Dynamic {
    fn of(kind: Kind) -> Self {
        Self { kind }
    }

    /// How many columns it takes.
    #[must_use]
    pub fn columns(&self) -> usize {
        match &self.kind {
            Kind::Count(_) => 0,
            Kind::Tuple(members) => members.iter().map(|member| member.of.columns()).sum(),
            Kind::Map(map) => 1 + map.inner().columns(),
            _ => 1,
        }
    }

    /// Whether a value may be among those of a `bloom`, or is one of those of a `set`; nothing of other monoids.
    #[must_use]
    pub fn contains(&self, value: &Aggregate, item: &Scalar) -> Option<bool> {
        match (&self.kind, value) {
            (Kind::Bloom(bloom), Aggregate::Bloom(bits)) => {
                Some(bloom.contains_hash(bits, item.hash()))
            }
            (Kind::Set(_), Aggregate::Set(members)) => Some(members.contains(item)),
            _ => None,
        }
    }

    fn change(
        &self,
        into: &mut Aggregate,
        input: &[Scalar],
        at: Moment,
        minus: bool,
    ) -> Result<(), Refused> {
        match (&self.kind, &mut *into) {
            (Kind::Count(monoid), Aggregate::Count(count)) => one(monoid, count, &(), at, minus),
            (Kind::Tuple(members), Aggregate::Tuple(_)) if minus => {
                let mut next = into.clone();
                if let Aggregate::Tuple(values) = &mut next {
                    self.change_members(members, values, input, at, minus)?;
                }
                *into = next;
                Ok(())
            }
            (Kind::Tuple(members), Aggregate::Tuple(values)) => {
                // What one refuses must not have changed the others.
                let mut rest = input;
                for (member, value) in members.iter().zip(values.iter()) {
                    let (own, others) = member.of.own(rest)?;
                    member.of.would_add(value, own, at)?;
                    rest = others;
                }
                self.change_members(members, values, input, at, minus)
            }
            (Kind::Map(map), Aggregate::Map(entries)) => {
                let (key, rest) = input.split_first().ok_or_else(too_few)?;
                if key.is_null() {
                    return Ok(());
                }
                key.with_bytes(|key| {
                    map.change(entries, key, |value| {
                        map.inner().change(value, rest, at, minus)
                    })
                })
            }
            (_, value) => {
                let scalar = input.first().ok_or_else(too_few)?;
                match scalar.is_null() {
                    true => Ok(()),
                    false => self.change_one(value, scalar, at, minus),
                }
            }
        }
    }

    fn change_members(
        &self,
        members: &[Member],
        values: &mut [Aggregate],
        input: &[Scalar],
        at: Moment,
        minus: bool,
    ) -> Result<(), Refused> {
        let mut rest = input;
        for (member, value) in members.iter().zip(values) {
            let (own, others) = member.of.own(rest)?;
            member.of.change(value, own, at, minus)?;
            rest = others;
        }
        Ok(())
    }

    /// The columns that are this monoid's, and those that follow.
    fn own<'a>(&self, input: &'a [Scalar]) -> Result<(&'a [Scalar], &'a [Scalar]), Refused> {
        input.split_at_checked(self.columns()).ok_or_else(too_few)
    }

    /// Adds what is not NULL, of one column, or takes it back.
    fn change_one(
        &self,
        into: &mut Aggregate,
        scalar: &Scalar,
        at: Moment,
        minus: bool,
    ) -> Result<(), Refused> {
        match (&self.kind, into) {
            (Kind::SumInteger(monoid), Aggregate::SumInteger(value)) => {
                one(monoid, value, &scalar.integer()?, at, minus)
            }
            (Kind::SumDecimal(monoid, _), Aggregate::SumDecimal(value)) => {
                one(monoid, value, &scalar.decimal()?, at, minus)
            }
            (Kind::SumFloat(monoid), Aggregate::SumFloat(value)) => {
                one(monoid, value, &scalar.double()?, at, minus)
            }
            (Kind::AverageInteger(monoid), Aggregate::AverageInteger(value)) => {
                one(monoid, value, &scalar.integer()?, at, minus)
            }
            (Kind::AverageDecimal(monoid, _), Aggregate::AverageDecimal(value)) => {
                one(monoid, value, &scalar.decimal()?, at, minus)
            }
            (Kind::AverageFloat(monoid), Aggregate::AverageFloat(value)) => {
                one(monoid, value, &scalar.double()?, at, minus)
            }
            (Kind::Min(monoid), Aggregate::Extreme(value)) => one(monoid, value, scalar, at, minus),
            (Kind::Max(monoid), Aggregate::Extreme(value)) => one(monoid, value, scalar, at, minus),
            (Kind::First(monoid), Aggregate::Stamped(value)) => {
                one(monoid, value, scalar, at, minus)
            }
            (Kind::Last(monoid), Aggregate::Stamped(value)) => {
                one(monoid, value, scalar, at, minus)
            }
            (Kind::Set(monoid), Aggregate::Set(value)) => one(monoid, value, scalar, at, minus),
            (Kind::Distinct(monoid), Aggregate::Distinct(value)) if !minus => {
                monoid.add_hash(value, scalar.hash());
                Ok(())
            }
            (Kind::Bloom(monoid), Aggregate::Bloom(value)) if !minus => {
                monoid.add_hash(value, scalar.hash());
                Ok(())
            }
            (Kind::Top(monoid, _), Aggregate::Top(value)) => {
                scalar.with_bytes(|item| one(monoid, value, item, at, minus))
            }
            (Kind::Quantiles(monoid, _), Aggregate::Quantiles(value)) => {
                one(monoid, value, &scalar.double()?, at, minus)
            }
            (Kind::Decayed(monoid), Aggregate::Decayed(value)) => {
                one(monoid, value, &scalar.double()?, at, minus)
            }
            _ if minus && !self.laws().invertible => Err(Refused::not_invertible(self.name())),
            _ => Err(another()),
        }
    }
}

/// Adds, or takes back.
fn one<M: Monoid>(
    monoid: &M,
    value: &mut M::Value,
    input: &M::Input,
    at: Moment,
    minus: bool,
) -> Result<(), Refused> {
    match minus {
        false => monoid.add(value, input, at),
        true => monoid.take_back(value, input, at),
    }
}

fn too_few() -> Refused {
    Refused::unsuitable("fewer columns than the fold takes")
}

impl Dynamic {
    /// Whether the rows of a key are all there is to its aggregate: in any order, and each as often as it may come.
    #[must_use]
    pub fn is_of_rows(&self) -> bool {
        match &self.kind {
            Kind::First(_) | Kind::Last(_) => false,
            Kind::Map(map) => map.inner().is_of_rows(),
            Kind::Tuple(members) => members.iter().all(|member| member.of.is_of_rows()),
            _ => self.laws().idempotent && self.laws().commutative,
        }
    }
}

impl Monoid for Dynamic {
    type Value = Aggregate;
    type Input = [Scalar];

    fn name(&self) -> Cow<'static, str> {
        match &self.kind {
            Kind::Count(monoid) => monoid.name(),
            Kind::SumInteger(monoid) => monoid.name(),
            Kind::SumDecimal(monoid, _) => monoid.name(),
            Kind::SumFloat(monoid) => monoid.name(),
            Kind::AverageInteger(monoid) => monoid.name(),
            Kind::AverageDecimal(monoid, _) => monoid.name(),
            Kind::AverageFloat(monoid) => monoid.name(),
            Kind::Min(monoid) => monoid.name(),
            Kind::Max(monoid) => monoid.name(),
            Kind::First(monoid) => monoid.name(),
            Kind::Last(monoid) => monoid.name(),
            Kind::Set(monoid) => monoid.name(),
            Kind::Distinct(monoid) => monoid.name(),
            Kind::Bloom(monoid) => monoid.name(),
            Kind::Top(monoid, _) => monoid.name(),
            Kind::Quantiles(monoid, _) => monoid.name(),
            Kind::Decayed(monoid) => monoid.name(),
            Kind::Map(monoid) => monoid.name(),
            Kind::Tuple(members) => {
                let names: Vec<_> = members.iter().map(|member| member.of.name()).collect();
                Cow::Owned(format!("({})", names.join(", ")))
            }
        }
    }

    fn laws(&self) -> Laws {
        match &self.kind {
            Kind::Count(monoid) => monoid.laws(),
            Kind::SumInteger(monoid) => monoid.laws(),
            Kind::SumDecimal(monoid, _) => monoid.laws(),
            Kind::SumFloat(monoid) => monoid.laws(),
            Kind::AverageInteger(monoid) => monoid.laws(),
            Kind::AverageDecimal(monoid, _) => monoid.laws(),
            Kind::AverageFloat(monoid) => monoid.laws(),
            Kind::Min(monoid) => monoid.laws(),
            Kind::Max(monoid) => monoid.laws(),
            Kind::First(monoid) => monoid.laws(),
            Kind::Last(monoid) => monoid.laws(),
            Kind::Set(monoid) => monoid.laws(),
            Kind::Distinct(monoid) => monoid.laws(),
            Kind::Bloom(monoid) => monoid.laws(),
            Kind::Top(monoid, _) => monoid.laws(),
            Kind::Quantiles(monoid, _) => monoid.laws(),
            Kind::Decayed(monoid) => monoid.laws(),
            Kind::Map(monoid) => monoid.laws(),
            Kind::Tuple(members) => members.iter().fold(
                Laws {
                    commutative: true,
                    idempotent: true,
                    invertible: true,
                    exact: true,
                },
                |laws, member| laws.and(member.of.laws()),
            ),
        }
    }

    fn identity(&self) -> Aggregate {
        match &self.kind {
            Kind::Count(monoid) => Aggregate::Count(monoid.identity()),
            Kind::SumInteger(monoid) => Aggregate::SumInteger(monoid.identity()),
            Kind::SumDecimal(monoid, _) => Aggregate::SumDecimal(monoid.identity()),
            Kind::SumFloat(monoid) => Aggregate::SumFloat(monoid.identity()),
            Kind::AverageInteger(monoid) => Aggregate::AverageInteger(monoid.identity()),
            Kind::AverageDecimal(monoid, _) => {
                Aggregate::AverageDecimal(Box::new(monoid.identity()))
            }
            Kind::AverageFloat(monoid) => Aggregate::AverageFloat(Box::new(monoid.identity())),
            Kind::Min(_) | Kind::Max(_) => Aggregate::Extreme(None),
            Kind::First(_) | Kind::Last(_) => Aggregate::Stamped(Box::new(None)),
            Kind::Set(monoid) => Aggregate::Set(monoid.identity()),
            Kind::Distinct(monoid) => Aggregate::Distinct(monoid.identity()),
            Kind::Bloom(monoid) => Aggregate::Bloom(monoid.identity()),
            Kind::Top(monoid, _) => Aggregate::Top(Box::new(monoid.identity())),
            Kind::Quantiles(monoid, _) => Aggregate::Quantiles(Box::new(monoid.identity())),
            Kind::Decayed(monoid) => Aggregate::Decayed(monoid.identity()),
            Kind::Map(monoid) => Aggregate::Map(Box::new(monoid.identity())),
            Kind::Tuple(members) => {
                Aggregate::Tuple(members.iter().map(|member| member.of.identity()).collect())
            }
        }
    }

    fn add(&self, into: &mut Aggregate, input: &[Scalar], at: Moment) -> Result<(), Refused> {
        self.change(into, input, at, false)
    }

    fn take_back(&self, from: &mut Aggregate, input: &[Scalar], at: Moment) -> Result<(), Refused> {
        if !self.laws().invertible {
            return Err(Refused::not_invertible(self.name()));
        }
        self.change(from, input, at, true)
    }

    fn would_add(&self, into: &Aggregate, input: &[Scalar], at: Moment) -> Result<(), Refused> {
        let first = input.first();
        match (&self.kind, into) {
            (Kind::Tuple(members), Aggregate::Tuple(values)) => {
                let mut rest = input;
                for (member, value) in members.iter().zip(values) {
                    let (own, others) = member.of.own(rest)?;
                    member.of.would_add(value, own, at)?;
                    rest = others;
                }
                Ok(())
            }
            (Kind::Count(_), _) => self.add(&mut into.clone(), input, at),
            _ if first.ok_or_else(too_few)?.is_null() => Ok(()),
            (Kind::Map(map), Aggregate::Map(entries)) => {
                let (key, rest) = input.split_first().ok_or_else(too_few)?;
                key.with_bytes(|key| match entries.get(key) {
                    Some(value) => map.inner().would_add(value, rest, at),
                    None => {
                        map.room(entries.len(), key)?;
                        map.inner().would_add(&map.inner().identity(), rest, at)
                    }
                })
            }
            (Kind::Set(monoid), Aggregate::Set(value)) => match first {
                Some(scalar) => monoid.would_add(value, scalar, at),
                None => Err(too_few()),
            },
            (Kind::Top(monoid, _), Aggregate::Top(value)) => match first {
                Some(scalar) => scalar.with_bytes(|item| monoid.would_add(value, item, at)),
                None => Err(too_few()),
            },
            (Kind::Quantiles(monoid, _), Aggregate::Quantiles(value)) => match first {
                Some(scalar) => monoid.would_add(value, &scalar.double()?, at),
                None => Err(too_few()),
            },
            (Kind::Distinct(_), Aggregate::Distinct(_)) | (Kind::Bloom(_), Aggregate::Bloom(_)) => {
                Ok(())
            }
            _ => self.add(&mut into.clone(), input, at),
        }
    }

    fn combine(&self, into: &mut Aggregate, other: &Aggregate) -> Result<(), Refused> {
        each_pair!(self.kind, &mut *into, other, m.combine;
            (Kind::Tuple(members), Aggregate::Tuple(values), Aggregate::Tuple(others)) => {
                let mut next = values.clone();
                for ((member, value), other) in members.iter().zip(&mut next).zip(others) {
                    member.of.combine(value, other)?;
                }
                *into = Aggregate::Tuple(next);
                Ok(())
            },
            _ => Err(another()),
        )
    }

    fn combine_inverse(&self, from: &mut Aggregate, other: &Aggregate) -> Result<(), Refused> {
        if !self.laws().invertible {
            return Err(Refused::not_invertible(self.name()));
        }
        each_pair!(self.kind, &mut *from, other, m.combine_inverse;
            (Kind::Tuple(members), Aggregate::Tuple(values), Aggregate::Tuple(others)) => {
                let mut next = values.clone();
                for ((member, value), other) in members.iter().zip(&mut next).zip(others) {
                    member.of.combine_inverse(value, other)?;
                }
                *from = Aggregate::Tuple(next);
                Ok(())
            },
            _ => Err(another()),
        )
    }

    fn is_identity(&self, value: &Aggregate) -> bool {
        each!(self.kind, value, monoid, held => monoid.is_identity(held);
            (Kind::Tuple(members), Aggregate::Tuple(values)) => {
                members.iter().zip(values).all(|(member, value)| member.of.is_identity(value))
            },
            _ => false,
        )
    }

    fn size_bytes(&self, value: &Aggregate) -> usize {
        let beyond = each!(self.kind, value, monoid, held => {
                let inline = size_of_val(held);
                monoid.size_bytes(held).saturating_sub(inline)
            };
            (Kind::Tuple(members), Aggregate::Tuple(values)) => {
                members.iter().zip(values).map(|(member, value)| member.of.size_bytes(value)).sum()
            },
            _ => 0,
        );
        size_of::<Aggregate>() + beyond
    }

    fn encode(&self, value: &Aggregate, out: &mut Vec<u8>) {
        each!(self.kind, value, monoid, held => monoid.encode(held, out);
            (Kind::Tuple(members), Aggregate::Tuple(values)) => {
                out.push(VERSION);
                put_unsigned(out, members.len() as u64);
                for (member, value) in members.iter().zip(values) {
                    put_member(out, |bytes| member.of.encode(value, bytes));
                }
            },
            // An aggregate of another monoid has no bytes here, and nothing reads them.
            _ => {},
        );
    }

    fn decode(&self, bytes: &[u8]) -> Result<Aggregate, Refused> {
        Ok(match &self.kind {
            Kind::Count(monoid) => Aggregate::Count(monoid.decode(bytes)?),
            Kind::SumInteger(monoid) => Aggregate::SumInteger(monoid.decode(bytes)?),
            Kind::SumDecimal(monoid, _) => Aggregate::SumDecimal(monoid.decode(bytes)?),
            Kind::SumFloat(monoid) => Aggregate::SumFloat(monoid.decode(bytes)?),
            Kind::AverageInteger(monoid) => Aggregate::AverageInteger(monoid.decode(bytes)?),
            Kind::AverageDecimal(monoid, _) => {
                Aggregate::AverageDecimal(Box::new(monoid.decode(bytes)?))
            }
            Kind::AverageFloat(monoid) => Aggregate::AverageFloat(Box::new(monoid.decode(bytes)?)),
            Kind::Min(monoid) => Aggregate::Extreme(monoid.decode(bytes)?),
            Kind::Max(monoid) => Aggregate::Extreme(monoid.decode(bytes)?),
            Kind::First(monoid) => Aggregate::Stamped(Box::new(monoid.decode(bytes)?)),
            Kind::Last(monoid) => Aggregate::Stamped(Box::new(monoid.decode(bytes)?)),
            Kind::Set(monoid) => Aggregate::Set(monoid.decode(bytes)?),
            Kind::Distinct(monoid) => Aggregate::Distinct(monoid.decode(bytes)?),
            Kind::Bloom(monoid) => Aggregate::Bloom(monoid.decode(bytes)?),
            Kind::Top(monoid, _) => Aggregate::Top(Box::new(monoid.decode(bytes)?)),
            Kind::Quantiles(monoid, _) => Aggregate::Quantiles(Box::new(monoid.decode(bytes)?)),
            Kind::Decayed(monoid) => Aggregate::Decayed(monoid.decode(bytes)?),
            Kind::Map(monoid) => Aggregate::Map(Box::new(monoid.decode(bytes)?)),
            Kind::Tuple(members) => {
                let mut reader = Reader::new(bytes, VERSION)?;
                if reader.unsigned()? != members.len() as u64 {
                    return Err(Refused::differs("a tuple of another number of members"));
                }
                let mut values = Vec::with_capacity(members.len());
                for member in members {
                    values.push(member.of.decode(reader.bytes()?)?);
                }
                reader.end()?;
                Aggregate::Tuple(values.into())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_is_small_itself() {
        assert!(size_of::<Aggregate>() <= 32, "{}", size_of::<Aggregate>());
    }
}
