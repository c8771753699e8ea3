//! What the answers are, computed in another way from all events.

use std::collections::BTreeMap;

use headwater_fold::monoid::{
    Averaged, Bits, Bloom, Counters, DecayedSum, Decaying, Decimal, Entries, FloatSum, HyperLogLog,
    Keyed, Monoid, Quantiles, Registers, Sketch, Stamped, Top, Wide,
};
use num_bigint::BigInt;

use crate::suite::Event;

pub(crate) type Told = Result<(), String>;

pub(crate) fn that(is: bool, what: impl FnOnce() -> String) -> Told {
    if is { Ok(()) } else { Err(what()) }
}

fn sign<I>(event: &Event<I>) -> i64 {
    if event.minus { -1 } else { 1 }
}

pub(crate) fn count<I>(events: &[&Event<I>]) -> i64 {
    events.iter().map(|event| sign(event)).sum()
}

pub(crate) fn integers(value: Wide, events: &[&Event<i128>]) -> Told {
    let truth: BigInt = events
        .iter()
        .map(|event| BigInt::from(event.input) * sign(event))
        .sum();
    that(BigInt::from(i128::from(value)) == truth, || {
        format!("{value} is not {truth}")
    })
}

/// A decimal in units of 10⁻⁶⁴.
fn units(value: &Decimal) -> BigInt {
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{fraction:0<64}").parse().unwrap()
}

pub(crate) fn decimals(value: &Decimal, events: &[&Event<Decimal>]) -> Told {
    let truth: BigInt = events
        .iter()
        .map(|event| units(&event.input) * sign(event))
        .sum();
    that(units(value) == truth, || {
        format!("{value} is not {truth}e-64")
    })
}

/// A finite double in units of 2⁻¹⁰⁷⁴.
fn bits(value: f64) -> BigInt {
    let raw = value.to_bits();
    let exponent = (raw >> 52 & 0x7ff) as u32;
    let fraction = raw & 0x000f_ffff_ffff_ffff;
    let whole = match exponent {
        0 => BigInt::from(fraction),
        _ => BigInt::from(fraction | 1 << 52) << (exponent - 1),
    };
    if value < 0.0 { -whole } else { whole }
}

pub(crate) fn floats(value: &FloatSum, events: &[&Event<f64>]) -> Told {
    let of = |is: fn(f64) -> bool| {
        let chosen: Vec<_> = events
            .iter()
            .copied()
            .filter(|event| is(event.input))
            .collect();
        count(&chosen) != 0
    };
    let special = (
        of(f64::is_nan),
        of(|x| x == f64::INFINITY),
        of(|x| x == f64::NEG_INFINITY),
    );
    match special {
        (false, false, false) => {}
        (false, true, false) => return that(value.value() == f64::INFINITY, || "not ∞".to_owned()),
        (false, false, true) => {
            return that(value.value() == -f64::INFINITY, || "not −∞".to_owned());
        }
        _ => return that(value.value().is_nan(), || "not NaN".to_owned()),
    }
    let finite = events.iter().filter(|event| event.input.is_finite());
    let truth: BigInt = finite.map(|event| bits(event.input) * sign(event)).sum();
    let held: BigInt = value.parts().map(bits).sum();
    that(held == truth, || format!("{value:?} is not {truth}e2-1074"))?;
    // And the answer is the double that lies nearest.
    let off = |double: f64| BigInt::from((bits(double) - &truth).magnitude().clone());
    let answer = value.value();
    let others = [answer.next_up(), answer.next_down()]
        .into_iter()
        .filter(|x| x.is_finite());
    for other in others {
        that(off(answer) <= off(other), || {
            format!("{answer} is not the nearest: {other} is")
        })?;
    }
    Ok(())
}

pub(crate) fn average<V, I>(
    value: &Averaged<V>,
    events: &[&Event<I>],
    sum: impl FnOnce(&V, &[&Event<I>]) -> Told,
) -> Told {
    that(value.count == count(events), || {
        format!("count {}", value.count)
    })?;
    sum(&value.sum, events)
}

pub(crate) fn equal<V: PartialEq + std::fmt::Debug>(value: &V, truth: &V) -> Told {
    that(value == truth, || format!("{value:?} is not {truth:?}"))
}

/// The first or the last, the slow way.
pub(crate) fn by_order<T: Ord + Clone>(events: &[&Event<T>], last: bool) -> Option<Stamped<T>> {
    let mut all: Vec<_> = events
        .iter()
        .map(|event| (event.at.order, event.input.clone()))
        .collect();
    all.sort();
    let found = if last { all.last() } else { all.first() };
    found.cloned().map(|(order, item)| Stamped { order, item })
}

pub(crate) fn map(value: &Entries<Wide>, events: &[&Event<Keyed<i128>>]) -> Told {
    let mut truth: BTreeMap<Vec<u8>, BigInt> = BTreeMap::new();
    for event in events {
        *truth.entry(event.input.key.clone()).or_default() +=
            BigInt::from(event.input.input) * sign(event);
    }
    truth.retain(|_, sum| *sum != BigInt::ZERO);
    let held = value.iter();
    let held = held
        .map(|(key, sum)| (key.clone(), BigInt::from(i128::from(*sum))))
        .collect();
    equal(&held, &truth)
}

/// The state is a function of the set of values: backwards and twice it is the same.
pub(crate) fn hll(monoid: &HyperLogLog, value: &Registers, events: &[&Event<Vec<u8>>]) -> Told {
    let mut again = monoid.identity();
    for event in events.iter().rev().chain(events) {
        monoid.add(&mut again, &event.input, event.at).unwrap();
    }
    equal(value, &again)?;
    let distinct: std::collections::BTreeSet<_> = events.iter().map(|event| &event.input).collect();
    let (estimate, truth) = (monoid.estimate(value), distinct.len() as f64);
    // Far off only: how near it is, is shown by its own test.
    that(
        truth == 0.0 || (0.2..5.0).contains(&(estimate / truth)),
        || format!("{estimate} for {truth}"),
    )?;
    that(truth > 0.0 || estimate == 0.0, || {
        format!("{estimate} for none")
    })
}

pub(crate) fn bloom(monoid: &Bloom, value: &Bits, events: &[&Event<Vec<u8>>]) -> Told {
    for event in events {
        that(monoid.contains(value, &event.input), || {
            format!("{:?} is lost", event.input)
        })?;
    }
    that(!events.is_empty() || !monoid.contains(value, b"x"), || {
        "full of nothing".to_owned()
    })
}

/// Each count and each missing one within what is promised.
pub(crate) fn top(counters: usize) -> impl Fn(&Counters, &[&Event<Vec<u8>>]) -> Told {
    move |value, events| {
        let mut truth: BTreeMap<&[u8], u64> = BTreeMap::new();
        for event in events {
            *truth.entry(&event.input).or_default() += 1;
        }
        let (error, total) = (value.error(), events.len() as u64);
        equal(&value.total(), &total)?;
        let mut counted = 0;
        for (item, count) in truth {
            let held = value.count(item);
            counted += held;
            that(held <= count && count <= held + error, || {
                format!("{item:?} was there {count} times, and is counted {held} + {error}")
            })?;
        }
        let listed: u64 = value.most(usize::MAX).iter().map(|found| found.count).sum();
        equal(&listed, &counted)?;
        let bound = (total - counted) / (counters as u64 + 1);
        that(error <= bound, || {
            format!("an error of {error}, beyond {bound}")
        })
    }
}

pub(crate) fn top_of(monoid: &Top, value: &Counters, events: &[&Event<Vec<u8>>]) -> Told {
    let name = monoid.name();
    let counters = name
        .trim_start_matches("top(")
        .trim_end_matches(')')
        .parse()
        .unwrap();
    top(counters)(value, events)
}

pub(crate) fn quantiles(monoid: &Quantiles, value: &Sketch, events: &[&Event<f64>]) -> Told {
    equal(&value.count(), &count(events))?;
    let mut net: BTreeMap<u64, (f64, i64)> = BTreeMap::new();
    for event in events {
        net.entry(event.input.to_bits())
            .or_insert((event.input, 0))
            .1 += sign(event);
    }
    if net.values().any(|(_, count)| *count < 0) {
        // A delta: it has no quantiles, and says so, or nothing is negative in any bucket.
        return Ok(());
    }
    let times = |&(value, count): &(f64, i64)| std::iter::repeat_n(value, count as usize);
    let mut all: Vec<f64> = net.values().flat_map(times).collect();
    all.sort_by(f64::total_cmp);
    for q in [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0] {
        let Some(rank) = all.len().checked_sub(1) else {
            equal(&monoid.quantile(value, q).is_none(), &true)?;
            continue;
        };
        let truth = all[(q * rank as f64) as usize];
        let found = monoid.quantile(value, q).ok_or("no quantile")?;
        let bound = monoid.accuracy() * truth.abs() * (1.0 + 1e-9);
        that(
            !found.is_bounded || (found.value - truth).abs() <= bound,
            || format!("quantile {q} is {found:?}, and {truth} in truth"),
        )?;
    }
    Ok(())
}

/// Half-life of the case: one second.
pub(crate) fn decayed(monoid: &DecayedSum, value: &Decaying, events: &[&Event<f64>]) -> Told {
    let time_us = events
        .iter()
        .map(|event| event.at.time_us)
        .max()
        .unwrap_or(0);
    // Events that were taken back may have been later.
    let time_us = time_us.max(value.at_us());
    let weight = |event: &Event<f64>| (-((time_us - event.at.time_us) as f64) / 1e6).exp2();
    let truth: f64 = events
        .iter()
        .map(|event| sign(event) as f64 * event.input * weight(event))
        .sum();
    let all: f64 = events
        .iter()
        .map(|event| event.input.abs() * weight(event))
        .sum();
    // What was added and taken back since counts in the rounding: no more than the largest of the case, each.
    let bound = (events.len() as f64 + 40.0) * (all + 40.0 * 1e6) * 2f64.powi(-50);
    let found = monoid.value_at(value, time_us);
    that((found - truth).abs() <= bound, || {
        format!("{found} is not {truth} to {bound}")
    })
}
