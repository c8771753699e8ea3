//! Bootstraps with a condition: each key has a place in the log, between the asking and the end, at which its row came or did
//! not meet the condition.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use headwater_core::engine::{Mode, Until};
use headwater_testkit::memory::{Cuts, Options, meets};
use headwater_testkit::oracle::{Began, Delivery, Event, History, Kind, Oracle, key_text};

use super::driver::{End, Plan, Run, seeds};
use super::operator::{Operator, Span};

fn plan(cuts: Cuts) -> Plan {
    let world = Options {
        cuts,
        unsplittable: false,
        rows: 100,
        transactions: 400,
        transactions_per_step: 2,
        ..Options::default()
    };
    Plan::new(world)
}

/// Fails unless every row that met the condition all the while came, and none that did not.
fn check(history: &History, events: &[Event], span: Span) {
    let came = events.iter().filter(|event| event.kind == Kind::Bootstrap);
    let mut keys = BTreeSet::new();
    for event in came {
        let row = event.after.as_ref().expect("a row");
        assert!(
            meets(row),
            "{} came and does not meet the condition",
            event.table
        );
        let key = key_text(history.key_columns(&event.table), row);
        assert!(
            keys.insert((event.table.clone(), key)),
            "{event:?} came twice"
        );
    }
    let met = |position: u64| {
        let rows = history.until(position).final_contents().into_iter();
        let met = rows.filter(|(_, (row, _))| meets(row));
        met.map(|(place, _)| place).collect::<BTreeSet<_>>()
    };
    let mut always = met(span.from);
    for position in span.from..=span.to {
        let met = met(position);
        always.retain(|place| met.contains(place));
    }
    let lost: Vec<_> = always.difference(&keys).collect();
    assert!(
        lost.is_empty(),
        "met all the while from {span:?}, and never came: {lost:?}"
    );
}

#[test]
fn each_key_that_changes_meanwhile_has_a_place_of_its_own() {
    for cuts in [Cuts::Shared, Cuts::Marks] {
        seeds(|seed| {
            let mut run = Run::new(seed, plan(cuts));
            let options = run.options(Mode::Cdc, Until::Forever);
            run.stopped(options);
            let document = run.store.document().expect("a checkpoint");
            let began = Began::After(document["log"]["position"].as_u64().expect("a number"));
            let span = Arc::new(Mutex::new(None));
            let operator = Operator::Once(seed, Arc::clone(&span));
            let options = run.options(Mode::Cdc, Until::Forever);
            if let End::Returned(result) = run.operated_by(operator, options) {
                result.expect("a run");
            }
            let span = span.lock().expect("no panic").expect("it came to its end");
            run.world.finish();
            let options = run.options(Mode::Cdc, Until::Now);
            if let End::Returned(result) = run.process(options) {
                result.expect("a run");
            }
            let (events, history) = (run.target.events(), run.world.history());
            check(&history, &events, span);
            let oracle = Oracle::new(history);
            let history = oracle.check_history(&events, Delivery::Rebootstrapped, began);
            let rows = history.and_then(|()| oracle.check_final(&events, began));
            if let Err(violation) = rows {
                panic!("{violation}");
            }
        });
    }
}
