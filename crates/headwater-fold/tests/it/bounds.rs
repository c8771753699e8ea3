//! Estimates, held to the bounds that their pages state. All inputs are fixed: a run is the same everywhere.

use headwater_fold::monoid::{
    Bloom, Counters, HyperLogLog, Moment, Monoid, Quantiles, Refusal, Top,
};

use crate::suite::Event;
use crate::truth;

/// Numbers that look random (G. Steele and others, SplitMix64).
fn scrambled(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

const AT: Moment = Moment {
    order: (0, 0),
    time_us: 0,
};

#[test]
fn distinct_counts_are_within_four_standard_errors() {
    for precision in [10, 14, 18] {
        let monoid = HyperLogLog::new(precision).unwrap();
        let mut squares = Vec::new();
        for seed in 0..8u64 {
            let mut value = monoid.identity();
            let mut count = 0u64;
            for target in [100, 1_000, 10_000, 100_000] {
                while count < target {
                    let item = (seed << 32 | count).to_le_bytes();
                    monoid.add(&mut value, &item, AT).unwrap();
                    count += 1;
                }
                let off = monoid.estimate(&value) / target as f64 - 1.0;
                assert!(
                    off.abs() < 4.0 * monoid.error(),
                    "{target} distinct at precision {precision}: off by {off}"
                );
                if target == 100_000 {
                    squares.push(off * off);
                }
            }
        }
        // The stated error is that of the estimator, not one that would hide a worse one: the mean square over the seeds.
        let error = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        assert!(
            error < 1.8 * monoid.error(),
            "{error} at precision {precision}"
        );
    }
}

#[test]
fn a_million_distinct_values_are_within_four_standard_errors() {
    let monoid = HyperLogLog::default();
    let mut value = monoid.identity();
    for number in 0..1_000_000u64 {
        monoid.add(&mut value, &number.to_le_bytes(), AT).unwrap();
    }
    let off = monoid.estimate(&value) / 1e6 - 1.0;
    assert!(off.abs() < 4.0 * monoid.error(), "{off}");
    assert!(monoid.size_bytes(&value) < 16_500);
}

#[test]
fn registers_at_their_greatest_value_still_give_an_estimate() {
    let monoid = HyperLogLog::new(4).unwrap();
    let mut value = monoid.identity();
    for register in 0..16u64 {
        // No bit behind the number of the register: the greatest rank there is.
        monoid.add_hash(&mut value, register << 60);
    }
    let mut bytes = Vec::new();
    monoid.encode(&value, &mut bytes);
    assert_eq!(bytes.last(), Some(&61));
    assert!(
        monoid.estimate(&value).is_infinite(),
        "saturated is more than any number"
    );
}

#[test]
fn a_bloom_filter_has_the_false_positives_that_were_asked_for() {
    for (items, part) in [(1_000, 0.01), (10_000, 0.001), (5_000, 0.2)] {
        let monoid = Bloom::new(items, part).unwrap();
        let mut value = monoid.identity();
        for number in 0..items {
            monoid.add(&mut value, &number.to_le_bytes(), AT).unwrap();
        }
        assert!((0..items).all(|number| monoid.contains(&value, &number.to_le_bytes())));
        let others = 100_000u64;
        let wrong = (items..items + others)
            .filter(|number| monoid.contains(&value, &number.to_le_bytes()))
            .count() as f64;
        // Four standard deviations of that many tries above, and no better than it can be either.
        let deviation = (part * others as f64).sqrt();
        assert!(
            wrong < part * others as f64 + 4.0 * deviation,
            "{wrong} of {part}"
        );
        assert!(wrong > 0.3 * part * others as f64, "{wrong} of {part}");
        assert!((monoid.false_positives(&value) / part - 1.0).abs() < 0.3);
        assert!((monoid.estimate(&value) / items as f64 - 1.0).abs() < 0.05);
    }
}

#[test]
fn a_full_bloom_filter_says_so() {
    let monoid = Bloom::new(1, 0.5).unwrap();
    let mut value = monoid.identity();
    for number in 0..10_000u64 {
        monoid.add(&mut value, &number.to_le_bytes(), AT).unwrap();
    }
    assert_eq!(monoid.false_positives(&value), 1.0);
    assert!(monoid.estimate(&value).is_infinite());
}

/// Words of which the n-th is there about 1/n as often as the first.
fn zipf(events: u64) -> Vec<Vec<u8>> {
    (0..events)
        .map(|number| {
            let part = (scrambled(number) >> 11) as f64 / (1u64 << 53) as f64;
            let word = (5_000f64.powf(part)) as u64;
            format!("word {word}").into_bytes()
        })
        .collect()
}

/// Folds parts in a tree of some shape.
fn tree(monoid: &Top, words: &[Vec<u8>], parts: usize) -> Counters {
    match words.len() > 50 && parts > 1 {
        false => {
            let mut value = monoid.identity();
            for word in words {
                monoid.add(&mut value, word, AT).unwrap();
            }
            value
        }
        true => {
            let at = words.len() * parts / (2 * parts + 1);
            let mut value = tree(monoid, &words[..at], parts / 2);
            monoid
                .combine(&mut value, &tree(monoid, &words[at..], parts - 1))
                .unwrap();
            value
        }
    }
}

#[test]
fn the_most_frequent_are_within_their_bound_however_the_fold_is_cut() {
    let words = zipf(60_000);
    let events: Vec<_> = (words.iter())
        .map(|word| Event {
            input: word.clone(),
            at: AT,
            minus: false,
        })
        .collect();
    let events: Vec<_> = events.iter().collect();
    for parts in [1, 2, 7, 40] {
        let monoid = Top::new(100).unwrap();
        let value = tree(&monoid, &words, parts);
        assert!(value.error() > 0, "nothing was dropped");
        truth::top(100)(&value, &events).unwrap();
        let most: Vec<_> = value
            .most(5)
            .iter()
            .map(|found| found.item.to_vec())
            .collect();
        let truth: Vec<_> = (1..6).map(|n| format!("word {n}").into_bytes()).collect();
        assert_eq!(most, truth, "in {parts} parts");
    }
}

#[test]
fn quantiles_are_within_their_error_and_deletes_are_followed() {
    let monoid = Quantiles::new(0.01, 2_048).unwrap();
    let values: Vec<f64> = (0..50_000)
        .map(|number| {
            let part = (scrambled(number) >> 11) as f64 / (1u64 << 53) as f64;
            (part * 30.0 - 8.0).exp() * if number % 7 == 0 { -1.0 } else { 1.0 }
        })
        .collect();
    let mut sketch = monoid.identity();
    let mut few = monoid.identity();
    for (number, value) in values.iter().enumerate() {
        monoid.add(&mut sketch, value, AT).unwrap();
        if number % 10 == 3 {
            monoid.add(&mut few, value, AT).unwrap();
        }
    }
    // Taken back is as if it had never been there.
    for (number, value) in values.iter().enumerate() {
        if number % 10 != 3 {
            monoid.take_back(&mut sketch, value, AT).unwrap();
        }
    }
    assert_eq!(sketch, few);
    let kept = values
        .iter()
        .enumerate()
        .filter(|(number, _)| number % 10 == 3);
    let events: Vec<_> = kept
        .map(|(_, value)| Event {
            input: *value,
            at: AT,
            minus: false,
        })
        .collect();
    truth::quantiles(&monoid, &sketch, &events.iter().collect::<Vec<_>>()).unwrap();
    assert!(monoid.quantile(&sketch, 0.5).unwrap().is_bounded);
}

#[test]
fn parameters_out_of_their_bounds_are_refused() {
    let refusals = [
        HyperLogLog::new(3).map(|_| ()),
        HyperLogLog::new(19).map(|_| ()),
        Bloom::new(0, 0.1).map(|_| ()),
        Bloom::new(10, f64::NAN).map(|_| ()),
        Bloom::new(u64::MAX, 0.1).map(|_| ()),
        Top::new(0).map(|_| ()),
        Quantiles::new(0.0, 100).map(|_| ()),
        Quantiles::new(0.01, 1).map(|_| ()),
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().kind(), Refusal::Unsuitable);
    }
}

#[test]
fn state_of_other_parameters_is_refused() {
    let (twelve, fourteen) = (HyperLogLog::new(12).unwrap(), HyperLogLog::default());
    let mut full = fourteen.identity();
    for number in 0..10_000u64 {
        fourteen.add(&mut full, &number.to_le_bytes(), AT).unwrap();
    }
    let mut bytes = Vec::new();
    fourteen.encode(&full, &mut bytes);
    assert_eq!(twelve.decode(&bytes).unwrap_err().kind(), Refusal::Differs);
    let mut other = twelve.identity();
    assert_eq!(
        twelve.combine(&mut other, &full).unwrap_err().kind(),
        Refusal::Differs
    );
    assert!(twelve.is_identity(&other));

    let (small, large) = (
        Bloom::new(10, 0.1).unwrap(),
        Bloom::new(1_000, 0.1).unwrap(),
    );
    let mut value = large.identity();
    large.add(&mut value, b"x", AT).unwrap();
    bytes.clear();
    large.encode(&value, &mut bytes);
    assert_eq!(small.decode(&bytes).unwrap_err().kind(), Refusal::Differs);
    let mut other = small.identity();
    assert_eq!(
        small.combine(&mut other, &value).unwrap_err().kind(),
        Refusal::Differs
    );
    assert!(small.is_identity(&other));
}
