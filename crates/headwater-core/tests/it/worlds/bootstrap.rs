//! Bootstraps of the running stream: asked for, paused, throttled, aborted and repeated while writers write and processes die.

use headwater_testkit::fault::Faults;
use headwater_testkit::memory::{Cuts, Ddl, Keeps, Options};

use super::driver::{Plan, hold};

const ALL: [Cuts; 3] = [Cuts::Shared, Cuts::PerReader, Cuts::Marks];

fn plan(cuts: Cuts) -> Plan {
    let world = Options {
        cuts,
        unsplittable: cuts != Cuts::Marks,
        transactions: 400,
        transactions_per_step: 1,
        ..Options::default()
    };
    Plan {
        operated: true,
        ..Plan::new(world)
    }
}

#[test]
fn a_row_bootstrapped_again_is_what_it_is_there() {
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
fn a_sink_that_keeps_everything_ends_with_the_right_rows() {
    for cuts in ALL {
        hold(&Plan {
            crashes: 3,
            keeps: Keeps::Everything,
            ..plan(cuts)
        });
    }
}

#[test]
fn definitions_that_change_meanwhile_are_followed() {
    for cuts in ALL {
        for ddl in [Ddl::Additive, Ddl::All] {
            let mut plan = plan(cuts);
            plan.world.ddl = ddl;
            hold(&plan);
        }
    }
}
