//! Monoids that are wrong on purpose: each breaks one law, and the suite has to find it. What it cannot find, it does not prove.

use std::borrow::Cow;

use headwater_fold::monoid::{Laws, Moment, Monoid, Refused};
use proptest::prelude::*;

use crate::suite::{Case, Event, hold};
use crate::truth::{self, Told};

type Numbers = Vec<i64>;

/// A sum of integers in one place of a list, right in every respect; each function may be replaced by a wrong one.
#[derive(Debug, Clone)]
struct Toy {
    laws: Laws,
    identity: fn() -> Numbers,
    add: fn(&mut Numbers, i64, Moment) -> Result<(), Refused>,
    combine: fn(&mut Numbers, &Numbers) -> Result<(), Refused>,
    inverse: fn(&mut Numbers, &Numbers) -> Result<(), Refused>,
    encode: fn(&Numbers, &mut Vec<u8>),
    decode: fn(&[u8]) -> Result<Numbers, Refused>,
}

fn plus(into: &mut Numbers, by: i64) -> Result<(), Refused> {
    into[0] = into[0]
        .checked_add(by)
        .ok_or_else(|| Refused::overflow("a sum"))?;
    Ok(())
}

const GROUP: Laws = Laws {
    commutative: true,
    idempotent: false,
    invertible: true,
    exact: true,
};

const MONOID: Laws = Laws {
    invertible: false,
    ..GROUP
};

const SEMILATTICE: Laws = Laws {
    idempotent: true,
    ..MONOID
};

fn right() -> Toy {
    Toy {
        laws: GROUP,
        identity: || vec![0],
        add: |into, by, _| plus(into, by),
        combine: |into, other| plus(into, other[0]),
        inverse: |from, other| {
            let minus = other[0]
                .checked_neg()
                .ok_or_else(|| Refused::overflow("a sum"))?;
            plus(from, minus)
        },
        encode: |value, out| {
            out.push(1);
            out.extend(value.iter().flat_map(|number| number.to_le_bytes()));
        },
        decode: |bytes| match bytes.split_first() {
            Some((1, rest)) if rest.len() == 8 => {
                let number = rest.try_into().map(i64::from_le_bytes);
                number
                    .map(|number| vec![number])
                    .map_err(|_| Refused::damaged("a sum"))
            }
            _ => Err(Refused::damaged("a sum")),
        },
    }
}

/// A maximum, as right as the sum.
fn greatest() -> Toy {
    Toy {
        laws: SEMILATTICE,
        identity: || vec![i64::MIN],
        add: |into, by, _| {
            into[0] = into[0].max(by);
            Ok(())
        },
        combine: |into, other| {
            into[0] = into[0].max(other[0]);
            Ok(())
        },
        ..right()
    }
}

impl Monoid for Toy {
    type Value = Numbers;
    type Input = i64;

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("toy")
    }

    fn laws(&self) -> Laws {
        self.laws
    }

    fn identity(&self) -> Numbers {
        (self.identity)()
    }

    fn add(&self, into: &mut Numbers, input: &i64, at: Moment) -> Result<(), Refused> {
        (self.add)(into, *input, at)
    }

    fn combine(&self, into: &mut Numbers, other: &Numbers) -> Result<(), Refused> {
        (self.combine)(into, other)
    }

    fn take_back(&self, from: &mut Numbers, input: &i64, _at: Moment) -> Result<(), Refused> {
        if !self.laws.invertible {
            return Err(Refused::not_invertible(self.name()));
        }
        (self.inverse)(from, &vec![*input])
    }

    fn combine_inverse(&self, from: &mut Numbers, other: &Numbers) -> Result<(), Refused> {
        if !self.laws.invertible {
            return Err(Refused::not_invertible(self.name()));
        }
        (self.inverse)(from, other)
    }

    fn is_identity(&self, value: &Numbers) -> bool {
        *value == self.identity()
    }

    fn size_bytes(&self, value: &Numbers) -> usize {
        8 * value.len()
    }

    fn encode(&self, value: &Numbers, out: &mut Vec<u8>) {
        (self.encode)(value, out);
    }

    fn decode(&self, bytes: &[u8]) -> Result<Numbers, Refused> {
        (self.decode)(bytes)
    }
}

fn sum(_: &Toy, value: &Numbers, events: &[&Event<i64>]) -> Told {
    let signed = events
        .iter()
        .map(|event| i128::from(event.input) * if event.minus { -1 } else { 1 });
    truth::equal(&i128::from(value[0]), &signed.sum::<i128>())
}

fn maximum(_: &Toy, value: &Numbers, events: &[&Event<i64>]) -> Told {
    let truth = events.iter().map(|event| event.input).max();
    truth::equal(&value[0], &truth.unwrap_or(value[0]))
}

fn anything(_: &Toy, _: &Numbers, _: &[&Event<i64>]) -> Told {
    Ok(())
}

fn inputs() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -9i64..9, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

/// What the suite says of a toy.
fn verdict(toy: Toy, judge: fn(&Toy, &Numbers, &[&Event<i64>]) -> Told) -> Result<(), String> {
    hold(&Case::new(toy, inputs(), judge))
}

fn rejected(toy: Toy, law: &str) {
    let said = verdict(toy, anything).expect_err(law);
    assert!(said.contains(law), "it should have been {law}: {said}");
}

#[test]
fn what_is_right_is_accepted() {
    assert_eq!(verdict(right(), sum), Ok(()));
    assert_eq!(verdict(greatest(), maximum), Ok(()));
}

#[test]
fn a_sum_that_wraps_around_is_rejected() {
    let toy = Toy {
        add: |into, by, _| {
            into[0] = into[0].wrapping_add(by);
            Ok(())
        },
        combine: |into, other| {
            into[0] = into[0].wrapping_add(other[0]);
            Ok(())
        },
        inverse: |from, other| {
            from[0] = from[0].wrapping_sub(other[0]);
            Ok(())
        },
        ..right()
    };
    // A group it is: only the truth tells.
    let said = verdict(toy, sum).unwrap_err();
    assert!(said.contains("truth"), "{said}");
}

#[test]
fn a_mean_of_means_is_not_associative() {
    let mean = |into: &mut Numbers, other: &Numbers| {
        into[0] = match (into[0], other[0]) {
            (0, other) => other,
            (own, 0) => own,
            (own, other) => own / 2 + other / 2,
        };
        Ok(())
    };
    let toy = Toy {
        laws: MONOID,
        add: |into, by, _| {
            into[0] = if into[0] == 0 {
                by
            } else if by == 0 {
                into[0]
            } else {
                into[0] / 2 + by / 2
            };
            Ok(())
        },
        combine: mean,
        ..right()
    };
    rejected(toy, "associativity");
}

#[test]
fn the_last_by_arrival_is_not_commutative() {
    let toy = Toy {
        laws: SEMILATTICE,
        identity: Vec::new,
        add: |into, by, _| {
            *into = vec![by];
            Ok(())
        },
        combine: |into, other| {
            if !other.is_empty() {
                into.clone_from(other);
            }
            Ok(())
        },
        decode: decode_list,
        ..right()
    };
    rejected(toy, "commutativity");
}

fn decode_list(bytes: &[u8]) -> Result<Numbers, Refused> {
    match bytes.split_first() {
        Some((1, rest)) if rest.len() % 8 == 0 => Ok(rest
            .chunks(8)
            .map(|number| i64::from_le_bytes(number.try_into().unwrap()))
            .collect()),
        _ => Err(Refused::damaged("a list")),
    }
}

/// The k most frequent by counts, the rest dropped without a trace: what the suite's judge of `Top` and the law of associativity both see.
#[test]
fn a_naive_top_k_is_not_associative() {
    fn trim(list: &mut Numbers) {
        // Pairs of item and count, by item; two are kept.
        let mut pairs: Vec<_> = list.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        pairs.sort_by_key(|pair| (-pair.1, pair.0));
        pairs.truncate(2);
        pairs.sort();
        *list = pairs
            .into_iter()
            .flat_map(|(item, count)| [item, count])
            .collect();
    }
    fn merge(into: &mut Numbers, other: &Numbers) -> Result<(), Refused> {
        for pair in other.chunks(2) {
            match into.chunks_mut(2).find(|held| held[0] == pair[0]) {
                Some(held) => held[1] += pair[1],
                None => into.extend(pair),
            }
        }
        trim(into);
        Ok(())
    }
    let toy = Toy {
        laws: MONOID,
        identity: Vec::new,
        add: |into, item, _| merge(into, &vec![item, 1]),
        combine: merge,
        decode: decode_list,
        ..right()
    };
    let case = Case::new(toy, -3i64..3, anything);
    let said = hold(&case).unwrap_err();
    assert!(said.contains("associativity"), "{said}");
}

#[test]
fn a_wrong_identity_is_rejected() {
    let toy = Toy {
        // The greatest of nothing is not 0.
        identity: || vec![0],
        ..greatest()
    };
    let said = verdict(toy, maximum).unwrap_err();
    assert!(said.contains("truth"), "{said}");
    let toy = Toy {
        identity: || vec![1],
        ..right()
    };
    rejected(toy, "identity");
}

#[test]
fn laws_that_are_declared_and_do_not_hold_are_rejected() {
    let idempotent = Laws {
        idempotent: true,
        ..GROUP
    };
    rejected(
        Toy {
            laws: idempotent,
            ..right()
        },
        "idempotence",
    );
    let toy = Toy {
        // A maximum cannot take back; it says it can, and does nothing.
        inverse: |_, _| Ok(()),
        laws: idempotent,
        ..greatest()
    };
    rejected(toy, "inverse");
}

#[test]
fn laws_that_hold_and_are_not_declared_are_found() {
    let toy = Toy {
        laws: MONOID,
        ..greatest()
    };
    rejected(toy, "it seems to be idempotent");
}

#[test]
fn what_changes_a_value_and_then_refuses_is_rejected() {
    let toy = Toy {
        add: |into, by, _| {
            into[0] = into[0].wrapping_add(by);
            plus(&mut vec![i64::MAX], by.clamp(0, 1))
        },
        ..right()
    };
    rejected(toy, "a refused operation changes nothing");
}

#[test]
fn adding_that_differs_from_combining_is_rejected() {
    let toy = Toy {
        add: |into, by, at| {
            plus(
                into,
                by.saturating_add(i64::from(at.order.0 == 3 && into[0] == 4)),
            )
        },
        ..right()
    };
    rejected(toy, "adding is combining with one");
}

#[test]
fn bytes_that_are_not_canonical_are_rejected() {
    // In the order of arrival: equal sets with different bytes.
    fn insert(into: &mut Numbers, other: &Numbers) -> Result<(), Refused> {
        for number in other {
            if !into.contains(number) {
                into.push(*number);
            }
        }
        Ok(())
    }
    let toy = Toy {
        laws: SEMILATTICE,
        identity: Vec::new,
        add: |into, by, _| insert(into, &vec![by]),
        combine: insert,
        decode: decode_list,
        ..right()
    };
    rejected(toy, "commutativity");
}

#[test]
fn decoders_that_are_too_trusting_are_rejected() {
    let panics = Toy {
        decode: |bytes| match bytes.first() {
            Some(1) => Ok(vec![i64::from_le_bytes(bytes[1..9].try_into().unwrap())]),
            _ => Err(Refused::damaged("a sum")),
        },
        ..right()
    };
    rejected(panics, "panics");
    let ignores_the_rest = Toy {
        decode: |bytes| match bytes {
            [1, rest @ ..] if rest.len() >= 8 => {
                Ok(vec![i64::from_le_bytes(rest[..8].try_into().unwrap())])
            }
            _ => Err(Refused::damaged("a sum")),
        },
        ..right()
    };
    rejected(ignores_the_rest, "whose bytes are others");
    let any_version = Toy {
        decode: |bytes| match bytes {
            [_, rest @ ..] if rest.len() == 8 => {
                Ok(vec![i64::from_le_bytes(rest.try_into().unwrap())])
            }
            _ => Err(Refused::damaged("a sum")),
        },
        ..right()
    };
    rejected(any_version, "another version");
    let forgets = Toy {
        encode: |value, out| {
            out.push(1);
            out.extend((value[0] & !1).to_le_bytes());
        },
        ..right()
    };
    rejected(forgets, "bytes come back");
}
