//! Filters that look at rows: the stream is the history of the rows that pass, whatever dies meanwhile.

use headwater_testkit::fault::Faults;
use headwater_testkit::memory::{Cuts, Ddl, Keeps, Options};

use super::driver::{Plan, hold};

const ALL: [Cuts; 3] = [Cuts::Shared, Cuts::PerReader, Cuts::Marks];

fn plan(cuts: Cuts) -> Plan {
    let world = Options {
        cuts,
        unsplittable: cuts != Cuts::Marks,
        transactions: 120,
        transactions_per_step: 1,
        ..Options::default()
    };
    Plan {
        filtered: true,
        crashes: 3,
        ..Plan::new(world)
    }
}

#[test]
fn the_stream_is_the_history_of_the_rows_that_pass() {
    for cuts in ALL {
        hold(&Plan {
            crashes: 0,
            ..plan(cuts)
        });
    }
}

#[test]
fn a_crash_leaves_neither_gap_nor_duplicate_of_the_rows_that_pass() {
    for cuts in ALL {
        hold(&plan(cuts));
    }
}

#[test]
fn a_sink_that_keeps_the_checkpoint_has_each_row_that_passes_once() {
    for cuts in ALL {
        hold(&Plan {
            keeps: Keeps::Checkpoint,
            faults: Faults::each(0.02),
            ..plan(cuts)
        });
    }
}

#[test]
fn columns_may_be_added_meanwhile() {
    for cuts in ALL {
        let mut plan = plan(cuts);
        plan.world.ddl = Ddl::Additive;
        hold(&plan);
    }
}

#[test]
fn bootstraps_bring_the_rows_that_pass() {
    for cuts in [Cuts::Shared, Cuts::Marks] {
        hold(&Plan {
            operated: true,
            ..plan(cuts)
        });
    }
}
