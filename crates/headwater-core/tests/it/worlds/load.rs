//! Bootstraps that wait for the load of the source, while the stream flows on.

use headwater_core::engine::{Mode, Options as Settings, Until};
use headwater_testkit::memory::{Cuts, Load, Options};

use super::driver::{End, Plan, Run, seeds};
use super::operator::{LOAD_MAX, Operator, Relief};

/// Holds a bootstrap under `load` until the stream has everything, and then lets it be read.
fn hold(load: Load, relief: Relief) {
    for cuts in [Cuts::Shared, Cuts::Marks] {
        seeds(|seed| {
            let world = Options {
                cuts,
                unsplittable: false,
                transactions: 60,
                transactions_per_step: 1,
                ..Options::default()
            };
            let mut run = Run::new(
                seed,
                Plan {
                    operated: true,
                    ..Plan::new(world)
                },
            );
            let options = Settings {
                // What the run says of loads is what counts only for those that do not say it themselves.
                bootstrap_load: headwater_core::load::LoadLimits::default(),
                ..run.options(Mode::Both, Until::Forever)
            };
            match run.operated_by(Operator::Held(load, relief), options) {
                End::Returned(result) => result.expect("it was stopped"),
                End::Died => panic!("nothing should die here"),
            };
            let rest = run.options(Mode::Both, Until::Now);
            match run.process(rest) {
                End::Returned(result) => result.expect("it comes to the end"),
                End::Died => panic!("nothing should die here"),
            };
            let events = run.target.events();
            run.judge(&events).expect("what happened");
        });
    }
}

#[test]
fn above_a_limit_nothing_is_read_and_at_it_all_is() {
    hold(Load::Is(LOAD_MAX + 1), Relief::Less);
}

#[test]
fn a_limit_that_is_lifted_holds_nothing() {
    hold(Load::Is(90), Relief::Lifted);
}

#[test]
fn a_load_that_is_not_known_is_above_its_limit() {
    hold(Load::Unknown, Relief::Less);
}

#[test]
fn a_source_that_does_not_say_its_load_holds_up_no_change() {
    hold(Load::Hangs, Relief::Less);
}
