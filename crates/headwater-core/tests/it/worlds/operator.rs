//! Somebody who asks for bootstraps of the running stream, pauses, throttles and aborts them, by chance.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater_core::bootstrap::{Action, BootstrapRequest, BootstrapState, Control, Limits};
use headwater_core::load::LoadLimits;
use headwater_core::progress::{Phase, Progress};
use headwater_testkit::memory::{Load, World};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Bootstraps asked for while the writers write.
const ASKED_MAX: u64 = 6;

/// What it does follows from a number.
#[derive(Debug, Clone)]
pub(crate) enum Operator {
    /// All that an operator does.
    Busy {
        /// What it does follows from this.
        seed: u64,
        /// Whether it asks for tables that have no ranges, too.
        wants_whole: bool,
    },
    /// One bootstrap with a condition, after a while.
    Once(u64, Arc<Mutex<Option<Span>>>),
    /// One bootstrap under a load that lets nothing be read, until the stream has all that the writers write; then relief.
    Held(Load, Relief),
}

/// What ends the wait for the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relief {
    /// The load is at its limit.
    Less,
    /// The limit is lifted.
    Lifted,
}

/// Between which places of the log a bootstrap was asked for and over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The stream had emitted this when it was asked for.
    pub(crate) from: u64,
    /// The log had this when it was over.
    pub(crate) to: u64,
}

impl Operator {
    /// Works until it has nothing more to do.
    pub(crate) async fn work(&self, control: &Control, progress: &Progress, world: &World) {
        match self {
            Self::Busy { seed, wants_whole } => {
                work(*seed, *wants_whole, control, progress, world).await;
            }
            Self::Once(seed, span) => {
                let found = once(*seed, control, progress, world).await;
                *span.lock().expect("no panic") = Some(found);
            }
            Self::Held(load, relief) => held(*load, *relief, control, progress, world).await,
        }
    }
}

/// The only condition that the world knows.
const CONDITION: &str = "meets";

async fn once(seed: u64, control: &Control, progress: &Progress, world: &World) -> Span {
    let mut random = StdRng::seed_from_u64(seed);
    tokio::time::sleep(Duration::from_millis(random.random_range(1..5_000))).await;
    while progress.phase() != Phase::Streaming {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let from = progress.position().parse().expect("a position");
    let request = BootstrapRequest {
        tables: vec!["*.*".to_owned()],
        condition: Some(CONDITION.to_owned()),
        ..BootstrapRequest::default()
    };
    let id = control.ask(request).await.expect("an answer").id;
    let is_over = || {
        let list = progress.bootstraps();
        list.iter()
            .any(|found| found.id == id && found.state.is_over())
    };
    while !is_over() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let to = world
        .history()
        .changes
        .last()
        .map_or(0, |change| change.position);
    Span { from, to }
}

/// The limit of the load that a world is held by.
pub(crate) const LOAD_MAX: u64 = 20;

async fn held(load: Load, relief: Relief, control: &Control, progress: &Progress, world: &World) {
    world.set_load(load);
    until("it streams", || progress.phase() == Phase::Streaming).await;
    let limits = Limits {
        load: Some(LoadLimits {
            threads_running: Some(LOAD_MAX),
            ..LoadLimits::default()
        }),
        ..Limits::default()
    };
    let request = BootstrapRequest {
        tables: vec!["*.*".to_owned()],
        limits,
        ..BootstrapRequest::default()
    };
    let id = control.ask(request).await.expect("an answer").id;
    world.quiet().await;
    let history = world.history();
    let last = history.changes.last().map_or(0, |last| last.position);
    let emitted = || progress.position().parse::<u64>().expect("a position");
    until("the stream has it all", || emitted() >= last).await;
    until("it waits", || !progress.load_waits().is_empty()).await;
    let waits = progress.load_waits();
    let why = match load {
        Load::Is(value) => format!("threads running {value}, limit {LOAD_MAX}"),
        Load::Unknown => "threads running not known (it is not said)".to_owned(),
        Load::Hangs => {
            "threads running not known (the source did not answer within 30 s)".to_owned()
        }
        Load::ByChance => panic!("that would hold nothing"),
    };
    let told: Vec<_> = waits.iter().map(|wait| (wait.id, &wait.why)).collect();
    assert_eq!(told, [(Some(id), &why)]);
    let find = || {
        let list = progress.bootstraps();
        let found = list.iter().find(|found| found.id == id).cloned();
        found.expect("it is listed")
    };
    assert_eq!((find().state, find().rows()), (BootstrapState::Waiting, 0));
    match relief {
        Relief::Less => world.set_load(Load::Is(LOAD_MAX)),
        Relief::Lifted => {
            let limits = Limits {
                load: Some(LoadLimits::default()),
                ..Limits::default()
            };
            let action = Action::Limit(limits);
            control.act(id, action).await.expect("an answer");
        }
    }
    until("it is over", || find().state.is_over()).await;
    assert_eq!(find().state, BootstrapState::Done);
    assert_eq!(*progress.load_waits(), []);
    world.set_load(Load::ByChance);
}

async fn until(what: &str, is_true: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in vain for: {what}");
}

/// Works until the writers are done and every bootstrap is over.
async fn work(seed: u64, wants_whole: bool, control: &Control, progress: &Progress, world: &World) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut asked = 0;
    let mut is_quiet = false;
    loop {
        let pause = Duration::from_millis(random.random_range(1..2_000));
        tokio::select! {
            () = world.quiet(), if !is_quiet => is_quiet = true,
            () = tokio::time::sleep(pause) => {}
        }
        if progress.phase() != Phase::Streaming {
            continue;
        }
        let bootstraps = progress.bootstraps();
        let open: Vec<_> = bootstraps
            .iter()
            .filter(|found| !found.state.is_over())
            .collect();
        if is_quiet && open.is_empty() && asked > 0 {
            return;
        }
        if is_quiet || asked == ASKED_MAX {
            // What was paused must not stay so.
            for paused in open
                .iter()
                .filter(|found| found.state == BootstrapState::Paused)
            {
                let _ = control.act(paused.id, Action::Resume).await;
            }
        }
        if asked < ASKED_MAX && (asked == 0 || random.random_bool(0.3)) {
            let tables: [&[&str]; 3] = if wants_whole {
                [&["*.*"], &["shop.*"], &["*.*s"]]
            } else {
                let ranged: &[&str] = &["*.n*", "*.pairs"];
                [ranged, ranged, &["*.numbers", "*.names", "*.pairs"]]
            };
            let tables = tables[random.random_range(0..3)].iter();
            let conditional = !wants_whole && random.random_bool(0.3);
            let request = BootstrapRequest {
                tables: tables.map(|&table| table.to_owned()).collect(),
                condition: conditional.then(|| CONDITION.to_owned()),
                limits: Limits {
                    load: load_limits(&mut random),
                    ..Limits::default()
                },
                ..BootstrapRequest::default()
            };
            asked += u64::from(control.ask(request).await.is_ok());
            continue;
        }
        let Some(one) = open.first().filter(|_| !is_quiet) else {
            continue;
        };
        let limits = Limits {
            rows_per_s: Some(random.random_range(1..50)),
            bytes_per_s: random.random_bool(0.5).then_some(10_000),
            load: load_limits(&mut random),
        };
        let action = match random.random_range(0..10) {
            0 => Action::Abort,
            1..=3 => Action::Pause,
            4..=6 => Action::Resume,
            _ => Action::Limit(limits),
        };
        let _ = control.act(one.id, action).await;
    }
}

/// A limit that the load of the world is above every now and then, or none.
pub(crate) fn load_limits(random: &mut StdRng) -> Option<LoadLimits> {
    let limit = |random: &mut StdRng| {
        let limit = random.random_range(30..100);
        random.random_bool(0.5).then_some(limit)
    };
    let limits = LoadLimits {
        threads_running: limit(random),
        history_length: limit(random),
        replica_lag_s: limit(random),
    };
    random.random_bool(0.3).then_some(limits)
}
