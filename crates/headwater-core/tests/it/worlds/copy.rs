//! First copies without a crash.

use headwater_core::engine::{Mode, Until};
use headwater_core::position::SourceIdentity;
use headwater_testkit::memory::{At, Cuts, Ddl, Options, meets};
use headwater_testkit::oracle::{Delivery, Oracle};

use super::driver::{End, Plan, Run, hold, seeds};

fn world(cuts: Cuts) -> Options {
    Options {
        cuts,
        unsplittable: cuts != Cuts::Marks,
        ..Options::default()
    }
}

#[test]
fn a_copy_at_one_cut_and_the_log_after_it_are_what_happened() {
    hold(&Plan::new(world(Cuts::Shared)));
}

#[test]
fn the_rows_of_one_cut_are_the_tables_as_of_one_position() {
    seeds(|seed| {
        let mut run = Run::new(seed, Plan::new(world(Cuts::Shared)));
        let events = run.whole();
        let oracle = Oracle::new(run.world.history());
        if let Err(violation) = oracle.check_global_cut(&events) {
            panic!("{violation}");
        }
    });
}

#[test]
fn readers_with_cuts_of_their_own_make_one_stream() {
    hold(&Plan::new(world(Cuts::PerReader)));
}

#[test]
fn cuts_by_marks_are_exact_though_the_log_is_ahead_of_views() {
    hold(&Plan::new(world(Cuts::Marks)));
}

#[test]
fn a_backfill_hands_its_token_to_the_log() {
    for cuts in [Cuts::Shared, Cuts::PerReader, Cuts::Marks] {
        hold(&Plan {
            by_token: true,
            ..Plan::new(world(cuts))
        });
    }
}

#[test]
fn columns_and_tables_may_be_added_meanwhile() {
    for cuts in [Cuts::Shared, Cuts::PerReader, Cuts::Marks] {
        let world = Options {
            ddl: Ddl::Additive,
            ..world(cuts)
        };
        hold(&Plan::new(world));
    }
}

/// A world that a condition bounds. Every change of a row may make it meet the condition, or cease to.
fn bounded(cuts: Cuts) -> Options {
    Options {
        cuts,
        bounded: true,
        unsplittable: false,
        rows: 100,
        ..Options::default()
    }
}

#[test]
fn a_condition_bounds_the_rows_of_a_cut_and_not_the_log() {
    for cuts in [Cuts::Shared, Cuts::PerReader, Cuts::Marks] {
        hold(&Plan::new(bounded(cuts)));
    }
}

#[test]
fn a_condition_holds_for_a_key_that_no_window_finds_at_rest() {
    seeds(|seed| {
        let world = Options {
            transactions: 1_000_000,
            transactions_per_step: 8,
            batch_rows: 500,
            hot: true,
            ..bounded(Cuts::Marks)
        };
        let mut run = Run::new(seed, Plan::new(world));
        let options = run.options(Mode::Backfill, Until::Forever);
        let End::Returned(result) = run.process(options) else {
            panic!("nothing should die here");
        };
        let token = result.unwrap().token.expect("a complete copy has a token");
        assert!(!run.world.is_done(), "the writers never rest");
        let identity = SourceIdentity {
            kind: "memory".into(),
            id: "world".into(),
        };
        let At(position) = token.position_for(&identity).unwrap();
        let oracle = Oracle::new(run.world.history().until(position)).bounded(meets);
        if let Err(violation) = oracle.check(&run.target.events(), Delivery::Exact) {
            panic!("{violation}");
        }
    });
}
