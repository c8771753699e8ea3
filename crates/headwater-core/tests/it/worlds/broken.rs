//! Sources that break their contract: the oracle must find out, or its content would mean nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use headwater_testkit::memory::{Broken, Cuts, Options};

use super::driver::{Plan, Run};

/// Worlds tried; each fault shows in many of them.
const WORLDS: u64 = 40;

fn is_caught(cuts: Cuts, broken: Broken, lost_connections: f64) {
    is_caught_in(&Options {
        cuts,
        broken,
        unsplittable: cuts != Cuts::Marks,
        rows: 30,
        transactions: if lost_connections > 0.0 { 2000 } else { 400 },
        transactions_per_step: 3,
        lost_connections,
        ..Options::default()
    });
}

/// The same where a condition bounds the copy.
fn is_caught_with_a_condition(broken: Broken) {
    is_caught_in(&Options {
        cuts: Cuts::Marks,
        broken,
        bounded: true,
        unsplittable: false,
        rows: 100,
        transactions: 400,
        transactions_per_step: 3,
        ..Options::default()
    });
}

fn is_caught_in(world: &Options) {
    is_caught_by(&Plan::new(world.clone()));
}

fn is_caught_by(plan: &Plan) {
    let broken = plan.world.broken;
    let caught = (0..WORLDS).any(|seed| {
        let mut run = Run::new(seed, plan.clone());
        let events = catch_unwind(AssertUnwindSafe(|| run.whole()));
        events.is_ok_and(|events| run.judge(&events).is_err())
    });
    assert!(
        caught,
        "{broken:?} was not caught in any of {WORLDS} worlds"
    );
}

#[test]
fn a_position_read_before_the_view_is_caught() {
    is_caught(Cuts::Shared, Broken::PositionBeforeView, 0.0);
    is_caught(Cuts::PerReader, Broken::PositionBeforeView, 0.0);
}

#[test]
fn a_position_read_after_the_view_is_caught() {
    is_caught(Cuts::Shared, Broken::PositionAfterView, 0.0);
    is_caught(Cuts::PerReader, Broken::PositionAfterView, 0.0);
}

#[test]
fn a_view_that_lacks_what_was_emitted_is_caught() {
    is_caught(Cuts::Marks, Broken::ViewBeforeLowMark, 0.0);
    is_caught_with_a_condition(Broken::ViewBeforeLowMark);
}

#[test]
fn a_high_mark_taken_too_early_is_caught() {
    is_caught(Cuts::Marks, Broken::HighMarkTooEarly, 0.0);
    is_caught_with_a_condition(Broken::HighMarkTooEarly);
}

#[test]
fn keys_read_again_without_the_condition_are_caught() {
    is_caught_with_a_condition(Broken::KeysReadWithoutCondition);
}

#[test]
fn coverage_by_the_wrong_order_of_keys_is_caught() {
    is_caught(Cuts::Marks, Broken::LocatesByBytes, 0.0);
    is_caught(Cuts::PerReader, Broken::LocatesByBytes, 0.0);
}

#[test]
fn a_log_that_goes_on_after_its_target_is_caught() {
    is_caught(Cuts::Shared, Broken::OvershootsTarget, 0.05);
}

#[test]
fn a_log_read_of_tables_before_they_are_streamed_is_caught() {
    let world = Options {
        broken: Broken::ReadsAddedTablesTooEarly,
        transactions: 600,
        transactions_per_step: 1,
        ..Options::default()
    };
    is_caught_by(&Plan {
        grows: true,
        ..Plan::new(world)
    });
}

#[test]
fn a_reconnect_that_repeats_rows_is_caught() {
    is_caught(Cuts::Shared, Broken::ForgetsRowsDone, 0.0);
}
