//! Every monoid keeps the laws it declares.

use std::borrow::Borrow;
use std::fmt::Debug;

use headwater_fold::monoid::{Average, Averaged, Count, Monoid, SumFloat, SumInteger};

use crate::cases::{self, Visit};
use crate::suite::{Case, hold};

#[derive(Default)]
struct Hold {
    cases: usize,
    broken: Vec<String>,
}

impl Visit for Hold {
    fn case<M, I>(&mut self, case: Case<M, I>)
    where
        M: Monoid,
        I: Borrow<M::Input> + Clone + Debug + 'static,
    {
        self.cases += 1;
        self.broken.extend(hold(&case).err());
    }
}

/// Holds a part of the list to its laws.
fn holds(part: fn(&mut Hold), cases_min: usize) {
    let mut all = Hold::default();
    part(&mut all);
    assert!(all.cases >= cases_min, "{} cases", all.cases);
    assert!(all.broken.is_empty(), "{}", all.broken.join("\n\n"));
}

#[test]
fn sums_counts_and_averages_keep_the_laws_they_declare() {
    holds(cases::numbers, 8);
}

#[test]
fn extremes_sets_maps_and_tuples_keep_the_laws_they_declare() {
    holds(cases::values, 9);
}

#[test]
fn sketches_keep_the_laws_they_declare() {
    holds(cases::sketches, 9);
}

#[test]
fn monoids_by_name_keep_the_laws_they_declare() {
    holds(cases::by_name, 18);
}

#[test]
fn a_count_at_its_limit_is_refused_and_stays() {
    let (mut count, at) = (i64::MAX, Default::default());
    assert!(Count.add(&mut count, &(), at).is_err());
    assert_eq!(count, i64::MAX);
    let mut count = i64::MIN;
    assert!(Count.take_back(&mut count, &(), at).is_err());
    assert!(Count.combine_inverse(&mut count, &1).is_err());
    assert_eq!(count, i64::MIN);
    let mut average = Averaged {
        sum: 7.into(),
        count: i64::MAX,
    };
    assert!(Average(SumInteger).add(&mut average, &1, at).is_err());
    assert_eq!(average.sum, 7.into());
}

#[test]
fn sums_of_floats_do_not_depend_on_the_order() {
    let terms = [1e16, 1.0, -1e16, 1e-300, 0.1, 0.2, -0.3, 1e300, -1e300, 1.0];
    let mut sum = SumFloat.identity();
    for term in terms {
        SumFloat.add(&mut sum, &term, Default::default()).unwrap();
    }
    let mut backwards = SumFloat.identity();
    for term in terms.iter().rev() {
        SumFloat
            .add(&mut backwards, term, Default::default())
            .unwrap();
    }
    assert_eq!(sum, backwards);
    // 0.1 + 0.2 − 0.3 is not nothing in doubles: exactly 2⁻⁵⁵.
    assert!(sum.parts().eq([2.0, 2f64.powi(-55), 1e-300]), "{sum:?}");
    assert_eq!(sum.value(), 2.0);
    for term in terms {
        SumFloat
            .take_back(&mut sum, &term, Default::default())
            .unwrap();
    }
    assert!(SumFloat.is_identity(&sum));
}
