//! First copies without a crash.

use headwater_testkit::memory::{Cuts, Ddl, Options};
use headwater_testkit::oracle::Oracle;

use crate::driver::{Plan, Run, hold, seeds};

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
