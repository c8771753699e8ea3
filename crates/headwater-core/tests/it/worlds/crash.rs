//! First copies and streams of processes that die anywhere.

use headwater_core::engine::{Mode, Start};
use headwater_testkit::fault::Faults;
use headwater_testkit::memory::{self, Cuts, Ddl, Keeps, Options};
use headwater_testkit::oracle::{Delivery, Oracle};

use super::driver::{Plan, Run, hold, seeds};

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
        crashes: 4,
        ..Plan::new(world)
    }
}

fn with_lost_connections(mut plan: Plan) -> Plan {
    plan.world.lost_connections = 0.02;
    plan
}

#[test]
fn a_crash_at_one_cut_leaves_neither_gap_nor_duplicate() {
    hold(&plan(Cuts::Shared));
}

#[test]
fn a_crash_with_cuts_per_reader_leaves_neither_gap_nor_duplicate() {
    hold(&plan(Cuts::PerReader));
}

#[test]
fn a_crash_with_cuts_by_marks_leaves_neither_gap_nor_duplicate() {
    hold(&plan(Cuts::Marks));
}

#[test]
fn a_crash_before_or_after_the_handoff_leaves_neither_gap_nor_duplicate() {
    for cuts in ALL {
        hold(&Plan {
            by_token: true,
            ..plan(cuts)
        });
    }
}

#[test]
fn lost_connections_leave_neither_gap_nor_duplicate() {
    for cuts in ALL {
        hold(&with_lost_connections(plan(cuts)));
    }
}

#[test]
fn a_faulty_sink_and_a_failing_store_leave_neither_gap_nor_duplicate() {
    for cuts in ALL {
        let faulty = Plan {
            faults: Faults::each(0.02),
            store_failures: 0.02,
            ..plan(cuts)
        };
        hold(&with_lost_connections(faulty));
    }
}

#[test]
fn a_sink_that_keeps_everything_gets_nothing_but_repeats() {
    for cuts in ALL {
        let keeping = Plan {
            keeps: Keeps::Everything,
            faults: Faults::each(0.01),
            ..plan(cuts)
        };
        hold(&with_lost_connections(keeping));
    }
}

#[test]
fn a_sink_that_keeps_the_checkpoint_gets_each_event_once() {
    for cuts in ALL {
        let keeping = Plan {
            keeps: Keeps::Checkpoint,
            ..plan(cuts)
        };
        hold(&keeping);
        hold(&with_lost_connections(Plan {
            faults: Faults::each(0.02),
            store_failures: 0.01,
            ..keeping
        }));
    }
}

#[test]
fn the_checkpoint_that_the_sink_keeps_is_the_one_that_counts() {
    seeds(|seed| {
        let mut run = Run::new(
            seed,
            Plan {
                keeps: Keeps::Checkpoint,
                by_token: false,
                ..plan(Cuts::Shared)
            },
        );
        let events = run.whole();
        assert_eq!(run.judge(&events), Ok(()));
        // What the store holds is a copy, which nobody reads.
        run.store = memory::Store::new(&run.world);
        run.following(Mode::Both, &Start::Now);
        assert_eq!(run.target.events(), events, "it began again");
    });
}

#[test]
fn definitions_that_change_while_processes_die_are_followed() {
    for cuts in ALL {
        let mut plan = with_lost_connections(plan(cuts));
        plan.world.ddl = Ddl::Additive;
        hold(&plan);
    }
}

#[test]
fn tables_may_be_emptied_and_dropped_while_processes_die() {
    for cuts in [Cuts::Shared, Cuts::Marks] {
        let mut plan = plan(cuts);
        plan.world.ddl = Ddl::All;
        hold(&plan);
    }
}

#[test]
fn a_table_emptied_before_a_reader_s_cut_ends_with_the_right_rows() {
    seeds(|seed| {
        let mut plan = plan(Cuts::PerReader);
        plan.world.ddl = Ddl::All;
        let mut run = Run::new(seed, plan);
        let events = run.whole();
        // Rows of a later cut go out before the emptying that they came after, so that they come again.
        let oracle = Oracle::new(run.world.history());
        if let Err(violation) = oracle.check(&events, Delivery::AtLeastOnce) {
            panic!("{violation}");
        }
    });
}

#[test]
fn a_crash_of_a_copy_that_a_condition_bounds_leaves_neither_gap_nor_duplicate() {
    for cuts in ALL {
        let mut plan = with_lost_connections(plan(cuts));
        plan.world.bounded = true;
        plan.world.unsplittable = false;
        hold(&plan);
        hold(&Plan {
            by_token: true,
            ..plan
        });
    }
}

#[test]
fn a_copy_that_a_condition_bounds_follows_definitions_and_emptied_tables_while_processes_die() {
    for (cuts, ddl) in [
        (Cuts::Shared, Ddl::All),
        (Cuts::Marks, Ddl::All),
        (Cuts::PerReader, Ddl::Additive),
    ] {
        let mut plan = with_lost_connections(plan(cuts));
        plan.world.ddl = ddl;
        plan.world.bounded = true;
        plan.world.unsplittable = false;
        hold(&plan);
    }
}
