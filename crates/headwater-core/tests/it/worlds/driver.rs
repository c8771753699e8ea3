//! Runs of the engine in worlds made from seeds: each process in a runtime of its own, which is dropped where it dies.

use std::sync::Arc;
use std::time::Duration;

use super::operator::{Operator, load_limits};
use headwater_core::bootstrap::control;
use headwater_core::engine::{self, Ended, Mode, Options, RowFilter, Start, Summary, Until};
use headwater_core::filter::Updates;
use headwater_core::position::HandoffToken;
use headwater_core::progress::Progress;
use headwater_core::retry::Backoff;
use headwater_core::value::Cell;
use headwater_core::{ErrorKind, Result};
use headwater_testkit::fault::{Faults, Faulty};
use headwater_testkit::memory::{self, Keeps, Sink, Source, Store, Streamed, Target, World, meets};
use headwater_testkit::oracle::{Delivery, Event, Oracle, Violation};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;

/// Seeds of a test in a soak; a tenth of it otherwise.
const SEEDS: u64 = 200;
/// Virtual time after which a run is taken for stuck.
const STUCK: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most steps before a process dies.
const LIFE_STEPS: u64 = 700;

/// What a test varies.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) world: memory::Options,
    pub(crate) keeps: Keeps,
    pub(crate) faults: Faults,
    pub(crate) store_failures: f64,
    /// Processes that die before one lives to the end.
    pub(crate) crashes: u32,
    /// A backfill, then the log from its token; else both in one.
    pub(crate) by_token: bool,
    /// Somebody asks for bootstraps of the running stream.
    pub(crate) operated: bool,
    /// Only rows that meet the world's condition go out.
    pub(crate) filtered: bool,
    /// The first processes stream a part of the tables, and each a larger one.
    pub(crate) grows: bool,
}

impl Plan {
    pub(crate) fn new(world: memory::Options) -> Self {
        Self {
            world,
            keeps: Keeps::Mark,
            faults: Faults::NONE,
            store_failures: 0.0,
            crashes: 0,
            by_token: false,
            operated: false,
            filtered: false,
            grows: false,
        }
    }
}

/// Lets rows through that meet the world's condition ([`meets`]).
fn rows_that_meet() -> RowFilter {
    RowFilter {
        filter: "exclude: *.*, include: *.*.VERSION=/[0369]$/"
            .parse()
            .expect("rules"),
        updates: Updates::Split,
        text_of: |out, cell| match cell {
            Cell::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Cell::Text(text) => out.extend_from_slice(text.as_bytes()),
            other => panic!("the world has no such value: {other:?}"),
        },
    }
}

/// Runs `test` for each seed.
pub(crate) fn seeds(mut test: impl FnMut(u64)) {
    let one = std::env::var("HEADWATER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let count = if std::env::var_os("HEADWATER_SOAK").is_some() {
        SEEDS
    } else {
        SEEDS / 10
    };
    let seeds = one.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        let running = Running(seed);
        test(seed);
        std::mem::forget(running);
    }
}

/// Says which seed it was when a test panics.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        eprintln!(
            "seed {0} failed: run it alone with HEADWATER_SEED={0}",
            self.0
        );
    }
}

/// How a process ended.
#[derive(Debug)]
pub(crate) enum End {
    Died,
    Returned(Box<Result<Summary>>),
}

/// A world with what outlives processes.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) world: World,
    pub(crate) target: Target,
    pub(crate) store: Store,
    pub(crate) plan: Plan,
    operator: Option<Operator>,
    pub(crate) streamed: Streamed,
    random: StdRng,
}

impl Run {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        let world = World::new(seed, plan.world.clone());
        Self {
            target: Target::new(plan.keeps),
            store: Store::new(&world),
            world,
            plan,
            operator: None,
            streamed: Streamed::All,
            random: StdRng::seed_from_u64(seed ^ 0x5eed),
        }
    }

    /// Settings of the next process, drawn by chance.
    pub(crate) fn options(&mut self, mode: Mode, until: Until) -> Options {
        let random = &mut self.random;
        let intervals_ms = [0, 30, 500, 5_000, 10_000_000];
        Options {
            mode,
            until,
            readers: random.random_range(1..=4),
            split_rows: Some(random.random_range(2..30)),
            chunk_rows: random.random_range(2..25),
            bootstrap_tables: random.random_range(1..=3),
            bootstrap_load: load_limits(random).unwrap_or_default(),
            checkpoint_interval: Duration::from_millis(
                intervals_ms[random.random_range(0..intervals_ms.len())],
            ),
            retry: Backoff {
                first: Duration::from_millis(5),
                ..Backoff::default()
            },
            rows: self.plan.filtered.then(rows_that_meet),
            ..Options::default()
        }
    }

    /// One process, from its start to its return or death. It is told to stop when the writers are done and the log is at its
    /// end.
    pub(crate) fn process(&mut self, options: Options) -> End {
        self.process_with(options, CancellationToken::new())
    }

    fn live(&mut self, options: Options) -> End {
        if self.plan.operated && options.until == Until::Forever {
            self.operated(options)
        } else {
            self.process(options)
        }
    }

    /// One process that was told to stop before it had begun.
    pub(crate) fn stopped(&mut self, options: Options) -> End {
        let stop = CancellationToken::new();
        stop.cancel();
        self.process_with(options, stop)
    }

    /// One process, with somebody who asks for bootstraps while the writers write and until all of them are over.
    pub(crate) fn operated(&mut self, options: Options) -> End {
        let operator = Operator::Busy {
            seed: self.random.random(),
            // How often rows without a key came is not known where a sink keeps what comes twice.
            wants_whole: self.plan.keeps != Keeps::Everything,
        };
        self.operated_by(operator, options)
    }

    pub(crate) fn operated_by(&mut self, operator: Operator, options: Options) -> End {
        self.operator = Some(operator);
        let end = self.process_with(options, CancellationToken::new());
        self.operator = None;
        end
    }

    fn process_with(&mut self, options: Options, stop: CancellationToken) -> End {
        let (operator, streamed) = (self.operator.clone(), self.streamed.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let world = self.world.clone();
        let faults = self.random.random();
        let sink = Faulty::new(Sink::new(&self.target, &world), self.plan.faults, faults);
        let store = Arc::new(self.store.failing(self.plan.store_failures));
        let end = runtime.block_on(async move {
            let source = Source::new(&world).streaming(streamed);
            let progress = Arc::new(Progress::default());
            let ends_by_itself = options.until == Until::Now || options.mode == Mode::Backfill;
            let (control, commands) = control();
            let running = engine::run(
                &source,
                sink,
                store,
                options,
                Arc::clone(&progress),
                stop.clone(),
                commands,
            );
            let stopping = async {
                match operator {
                    Some(operator) => operator.work(&control, &progress, &world).await,
                    None => world.quiet().await,
                }
                if !ends_by_itself {
                    stop.cancel();
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = world.died() => End::Died,
                () = tokio::time::sleep(STUCK) => panic!("the engine is stuck"),
                () = stopping => End::Died,
                result = running => End::Returned(Box::new(result)),
            }
        });
        drop(runtime);
        if matches!(end, End::Died) {
            self.target.crash(&self.world);
            self.world.revive();
        }
        end
    }

    /// Processes that die, until one of them comes to the end or all have died.
    fn dying(&mut self, mode: Mode, start: &Start) -> Option<Summary> {
        for _ in 0..self.plan.crashes {
            let options = Options {
                start: start.clone(),
                ..self.options(mode, Until::Forever)
            };
            let life = self.random.random_range(1..LIFE_STEPS);
            self.world.crash_after(life);
            match self.live(options) {
                End::Died => {}
                End::Returned(result) => match *result {
                    Ok(summary) if summary.ended == Ended::Complete => return Some(summary),
                    Ok(_) => {}
                    Err(error) => self.expect_allowed(&error),
                },
            }
        }
        None
    }

    /// A process that lives while the writers write, until they are done; or as many as faults need. Then one that ends by
    /// itself.
    pub(crate) fn following(&mut self, mode: Mode, start: &Start) {
        // A fault that strikes after the stop is not waited out.
        let ended = self.living(mode, start, Until::Forever).ended;
        if matches!(ended, Ended::Stopped | Ended::Abandoned) {
            self.world.finish();
            let summary = self.living(mode, start, Until::Now);
            assert_eq!(summary.ended, Ended::Complete);
        }
    }

    fn living(&mut self, mode: Mode, start: &Start, until: Until) -> Summary {
        self.world.revive();
        for _ in 0..100 {
            let options = Options {
                start: start.clone(),
                ..self.options(mode, until)
            };
            match self.live(options) {
                End::Died => panic!("nothing should die here"),
                End::Returned(result) => match *result {
                    Ok(summary) => return summary,
                    Err(error) => self.expect_allowed(&error),
                },
            }
        }
        panic!("a hundred processes failed");
    }

    fn expect_allowed(&self, error: &headwater_core::Error) {
        let allowed = match error.kind() {
            ErrorKind::Storage => self.plan.store_failures > 0.0,
            ErrorKind::Connection => self.plan.world.lost_connections > 0.0,
            // A process that is told to stop does not wait for its sink to come back.
            ErrorKind::SinkUnavailable => self.plan.faults != Faults::NONE,
            _ => false,
        };
        assert!(allowed, "{error:?}");
    }

    /// A run as planned, to the end of the history. Gives the events.
    pub(crate) fn whole(&mut self) -> Vec<Event> {
        if self.plan.by_token {
            return self.by_token();
        }
        if self.plan.grows {
            self.growing();
        }
        self.dying(Mode::Both, &Start::Now);
        self.following(Mode::Both, &Start::Now);
        self.target.events()
    }

    /// Processes that stream more and more of the tables, and die or come to an end; at last all are streamed.
    fn growing(&mut self) {
        let mut letters = ['u', 'm', 'p', 'v', 'l', 'w'];
        letters.shuffle(&mut self.random);
        for count in [1, 3] {
            self.streamed = Streamed::WithLetter(letters[..count].to_vec());
            let options = self.options(Mode::Both, Until::Forever);
            let life = self.random.random_range(1..LIFE_STEPS);
            self.world.crash_after(life);
            if let End::Returned(result) = self.live(options)
                && let Err(error) = *result
            {
                self.expect_allowed(&error);
            }
            self.world.revive();
        }
        self.streamed = Streamed::All;
    }

    fn by_token(&mut self) -> Vec<Event> {
        let copied = self.dying(Mode::Backfill, &Start::Now);
        let summary =
            copied.unwrap_or_else(|| self.living(Mode::Backfill, &Start::Now, Until::Forever));
        assert_eq!(summary.ended, Ended::Complete);
        let token = summary.token.expect("a complete copy has a token");
        let token: HandoffToken = token
            .to_string()
            .parse()
            .expect("a token survives print and parse");
        let mut events = self.target.events();
        self.target = Target::new(self.plan.keeps);
        self.store = Store::new(&self.world);
        let start = Start::Token(token);
        self.dying(Mode::Cdc, &start);
        self.following(Mode::Cdc, &start);
        events.extend(self.target.events());
        events
    }

    /// What the oracle says of `events`.
    pub(crate) fn judge(&self, events: &[Event]) -> Result<(), Violation> {
        let delivery = match self.plan.keeps {
            Keeps::Mark | Keeps::Checkpoint if self.plan.operated => Delivery::Rebootstrapped,
            Keeps::Mark | Keeps::Checkpoint => Delivery::Exact,
            Keeps::Everything => Delivery::AtLeastOnce,
        };
        let mut history = self.world.history();
        if self.plan.filtered {
            history = history.filtered(meets);
        }
        let oracle = Oracle::new(history);
        let oracle = if self.plan.world.bounded {
            oracle.bounded(meets)
        } else {
            oracle
        };
        oracle.check(events, delivery)
    }
}

/// Runs a plan for each seed; the oracle must be content with every one.
pub(crate) fn hold(plan: &Plan) {
    seeds(|seed| {
        let mut run = Run::new(seed, plan.clone());
        let events = run.whole();
        if let Err(violation) = run.judge(&events) {
            panic!("{violation}");
        }
    });
}
