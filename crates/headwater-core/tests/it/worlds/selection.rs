//! Tables that come into a running stream: each gets a first copy of its own while the log flows on.

use headwater_testkit::fault::Faults;
use headwater_testkit::memory::{Cuts, Ddl, Keeps, Options};

use super::driver::{Plan, hold};

const ALL: [Cuts; 3] = [Cuts::Shared, Cuts::PerReader, Cuts::Marks];

fn plan(cuts: Cuts) -> Plan {
    let world = Options {
        cuts,
        unsplittable: cuts != Cuts::Marks,
        rows: 30,
        transactions: 300,
        transactions_per_step: 1,
        ..Options::default()
    };
    Plan {
        grows: true,
        ..Plan::new(world)
    }
}

#[test]
fn tables_that_are_added_get_a_first_copy_of_their_own() {
    for cuts in ALL {
        hold(&plan(cuts));
    }
}

#[test]
fn crashes_lose_nothing_and_repeat_nothing() {
    for cuts in ALL {
        hold(&Plan {
            crashes: 4,
            ..plan(cuts)
        });
    }
}

#[test]
fn lost_connections_and_faulty_sinks_lose_nothing() {
    for cuts in ALL {
        let mut plan = Plan {
            crashes: 2,
            faults: Faults::each(0.01),
            store_failures: 0.01,
            ..plan(cuts)
        };
        plan.world.lost_connections = 0.02;
        hold(&plan);
    }
}

#[test]
fn a_sink_that_keeps_everything_or_the_checkpoint_ends_with_the_right_rows() {
    for cuts in ALL {
        for keeps in [Keeps::Everything, Keeps::Checkpoint] {
            hold(&Plan {
                crashes: 3,
                keeps,
                ..plan(cuts)
            });
        }
    }
}

#[test]
fn definitions_that_change_meanwhile_are_followed() {
    for cuts in ALL {
        for ddl in [Ddl::Additive, Ddl::All] {
            let mut plan = plan(cuts);
            plan.world.ddl = ddl;
            hold(&Plan { crashes: 2, ..plan });
        }
    }
}

#[test]
fn bootstraps_may_be_asked_for_meanwhile() {
    for cuts in ALL {
        hold(&Plan {
            crashes: 2,
            operated: true,
            ..plan(cuts)
        });
    }
}

#[test]
fn a_condition_bounds_the_rows_of_tables_that_are_added() {
    for cuts in ALL {
        let mut plan = plan(cuts);
        plan.world.bounded = true;
        plan.world.unsplittable = false;
        plan.world.rows = 60;
        hold(&Plan { crashes: 2, ..plan });
    }
}
