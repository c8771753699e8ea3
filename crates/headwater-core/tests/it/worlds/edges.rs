//! Places that random worlds seldom come by, and what they cannot see.

use std::collections::BTreeMap;

use headwater_core::ErrorKind;
use headwater_core::batch::ChangeKind;
use headwater_core::engine::{Ended, Mode, Options as Settings, Start, Until};
use headwater_testkit::memory::{Cuts, Options};
use headwater_testkit::oracle::{Began, Delivery, Oracle};

use super::driver::{End, Plan, Run, seeds};

fn plan(cuts: Cuts) -> Plan {
    let world = Options {
        cuts,
        unsplittable: cuts != Cuts::Marks,
        transactions: 300,
        transactions_per_step: 1,
        ..Options::default()
    };
    Plan {
        crashes: 3,
        ..Plan::new(world)
    }
}

const ALL: [Cuts; 3] = [Cuts::Shared, Cuts::PerReader, Cuts::Marks];

fn returned(end: End) -> headwater_core::Result<headwater_core::engine::Summary> {
    match end {
        End::Returned(result) => *result,
        End::Died => panic!("nothing should die here"),
    }
}

#[test]
fn one_seed_is_one_run() {
    for cuts in ALL {
        let run = |seed| {
            let mut run = Run::new(seed, plan(cuts));
            let events = run.whole();
            (events, run.world.steps(), run.target.marks())
        };
        for seed in 0..3 {
            assert_eq!(run(seed), run(seed), "{cuts:?}, seed {seed}");
        }
        assert_ne!(run(0).0, run(1).0);
    }
}

#[test]
fn each_tables_copy_is_announced_once_and_completed_once_whatever_dies() {
    for cuts in ALL {
        seeds(|seed| {
            let mut run = Run::new(seed, plan(cuts));
            run.whole();
            let mut marks: BTreeMap<String, Vec<ChangeKind>> = BTreeMap::new();
            for (table, mark) in run.target.marks() {
                marks.entry(table).or_default().push(mark);
            }
            let both = [ChangeKind::BootstrapStart, ChangeKind::BootstrapComplete];
            for (table, marks) in marks {
                assert_eq!(marks, both, "{cuts:?} {table}");
            }
        });
    }
}

#[test]
fn a_copy_that_was_stopped_has_no_token_and_goes_on() {
    let mut run = Run::new(3, Plan::new(Options::default()));
    run.world.finish();
    let stopped = run.options(Mode::Backfill, Until::Forever);
    let summary = returned(run.stopped(stopped)).unwrap();
    assert_eq!(summary.ended, Ended::Stopped);
    assert!(
        summary.token.is_none(),
        "what is not complete has no handoff"
    );
    let events = run.whole();
    run.judge(&events).unwrap();
}

#[test]
fn a_log_that_no_longer_reaches_back_is_told_plainly() {
    let mut run = Run::new(4, Plan::new(Options::default()));
    let options = run.options(Mode::Both, Until::Now);
    returned(run.process(options)).unwrap();
    run.world.finish();
    run.world.write(5);
    run.world.purge();
    let before = run.target.events();
    let options = run.options(Mode::Both, Until::Now);
    let error = returned(run.process(options)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ExpiredPosition);
    assert_eq!(run.target.events(), before);
}

#[test]
fn another_configuration_is_refused_and_nothing_is_touched() {
    let mut run = Run::new(5, Plan::new(Options::default()));
    let options = run.options(Mode::Both, Until::Now);
    returned(run.process(options)).unwrap();
    let (events, document) = (run.target.events(), run.store.document());
    let options = Settings {
        configuration: serde_json::json!({ "tables": ["shop.other"] }),
        ..run.options(Mode::Both, Until::Now)
    };
    let error = returned(run.process(options)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CheckpointForeign);
    assert_eq!(
        (run.target.events(), run.store.document()),
        (events, document)
    );
}

#[test]
fn the_log_from_now_on_has_what_came_after_and_nothing_else() {
    let world = Options {
        transactions: 0,
        ..Options::default()
    };
    let mut run = Run::new(6, Plan::new(world));
    let options = run.options(Mode::Cdc, Until::Now);
    let summary = returned(run.process(options)).unwrap();
    assert_eq!(summary.ended, Ended::Complete);
    assert_eq!(run.target.events(), []);
    run.world.write(40);
    run.following(Mode::Cdc, &Start::Now);
    let oracle = Oracle::new(run.world.history());
    let events = run.target.events();
    oracle
        .check_history(&events, Delivery::Exact, Began::After(0))
        .unwrap();
    oracle.check_final(&events, Began::After(0)).unwrap();
}

#[test]
fn without_a_lock_a_table_in_one_piece_is_refused_with_what_mends_it() {
    let world = Options {
        cuts: Cuts::Marks,
        unsplittable: true,
        ..Options::default()
    };
    let mut run = Run::new(7, Plan::new(world));
    let options = run.options(Mode::Both, Until::Now);
    let error = returned(run.process(options)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Prerequisite);
    assert!(error.hint_text().is_some());
    assert_eq!(run.target.events(), []);
}
