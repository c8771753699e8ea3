//! The world that source, sink and store share: database, chance, and the process's life.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_core::error::{Error, ErrorKind};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;

use super::database::{Action, Database, Table, image};
use super::writers::{self, IGNORED};
use crate::oracle::{Event, History, Image, Keys, Kind};

/// Steps after which a run is taken for one that never ends.
const STEPS_MAX: u64 = 500_000;

/// How cuts are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cuts {
    /// All readers share one.
    Shared,
    /// Each reader has its own, later than the one before.
    PerReader,
    /// By marks, chunk by chunk: log readers see a transaction before views do.
    Marks,
}

/// Faults of a source that a first copy must not have: the oracle must find them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// None.
    Nothing,
    /// The cut's position is read first, without a lock; what is committed meanwhile is in the view.
    PositionBeforeView,
    /// The position is read after the view: what is committed meanwhile is in neither.
    PositionAfterView,
    /// By marks: the view is opened without waiting until it holds what was emitted.
    ViewBeforeLowMark,
    /// By marks: the high mark is taken before the rows are read.
    HighMarkTooEarly,
    /// By marks: keys that are read again are all taken to meet the condition.
    KeysReadWithoutCondition,
    /// Collated keys are located by their bytes, so that coverage is wrong.
    LocatesByBytes,
    /// The log goes on after its target.
    OvershootsTarget,
    /// The log is read of tables before they are streamed.
    ReadsAddedTablesTooEarly,
    /// A reconnect within a transaction does not skip the rows that are out.
    ForgetsRowsDone,
}

/// Changes of definitions by the writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ddl {
    /// None.
    None,
    /// Columns and tables are added.
    Additive,
    /// Also TRUNCATE, and tables that were added are dropped.
    All,
}

/// What a source says of its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Something below a hundred, by chance.
    ByChance,
    /// This, of every gauge.
    Is(u64),
    /// That it does not know.
    Unknown,
    /// It never answers.
    Hangs,
}

/// What a world is like.
#[derive(Debug, Clone)]
pub struct Options {
    /// How cuts are taken.
    pub cuts: Cuts,
    /// What is wrong with the source.
    pub broken: Broken,
    /// Changes of definitions.
    pub ddl: Ddl,
    /// Whether a condition bounds every table: only rows that [`meets`] it are copied.
    pub bounded: bool,
    /// Whether every transaction changes the row 0 of `numbers`.
    pub hot: bool,
    /// Whether there are tables that can only be read in one piece.
    pub unsplittable: bool,
    /// Most rows of a table at first.
    pub rows: usize,
    /// Most rows of a transaction.
    pub big_transaction_rows: usize,
    /// Most rows of a batch.
    pub batch_rows: usize,
    /// Transactions that the writers commit.
    pub transactions: u64,
    /// Most transactions committed at one step.
    pub transactions_per_step: u64,
    /// The chance that a call loses its connection.
    pub lost_connections: f64,
    /// The load.
    pub load: Load,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cuts: Cuts::Shared,
            broken: Broken::Nothing,
            ddl: Ddl::None,
            bounded: false,
            hot: false,
            unsplittable: true,
            rows: 60,
            big_transaction_rows: 25,
            batch_rows: 7,
            transactions: 150,
            transactions_per_step: 2,
            lost_connections: 0.0,
            load: Load::ByChance,
        }
    }
}

/// Whether a row meets the condition of a bounded world: every change of a row may make it meet it or cease to.
#[must_use]
pub fn meets(row: &Image) -> bool {
    let version = row.get("version").and_then(Option::as_ref);
    version.is_some_and(|version| version.ends_with(['0', '3', '6', '9']))
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) database: Database,
    pub(super) random: StdRng,
    pub(super) options: Options,
    transactions_left: u64,
    steps: u64,
    crash_at: Option<u64>,
    is_dead: bool,
}

/// A world. Cheap to clone; all clones are the same world.
#[derive(Debug, Clone)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
    died: Arc<Notify>,
    quiet: Arc<Notify>,
}

impl World {
    /// A world made from `seed`.
    #[must_use]
    pub fn new(seed: u64, options: Options) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let database = Database::new(writers::first_tables(&options, &mut random));
        let inner = Inner {
            database,
            random,
            transactions_left: options.transactions,
            options,
            steps: 0,
            crash_at: None,
            is_dead: false,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            died: Arc::default(),
            quiet: Arc::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the process die `steps` steps from now.
    pub fn crash_after(&self, steps: u64) {
        let mut inner = self.lock();
        inner.crash_at = Some(inner.steps + steps);
    }

    /// Resolves when the process has died.
    pub async fn died(&self) {
        while !self.lock().is_dead {
            self.died.notified().await;
        }
    }

    /// Resolves when the writers are done and the log was found at its end.
    pub async fn quiet(&self) {
        self.quiet.notified().await;
    }

    /// A new process begins.
    pub fn revive(&self) {
        let mut inner = self.lock();
        inner.is_dead = false;
        inner.crash_at = None;
    }

    /// Steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Whether the writers have nothing left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.lock().transactions_left == 0
    }

    /// Lets the writers do all they have left.
    pub fn finish(&self) {
        let mut inner = self.lock();
        while inner.transactions_left > 0 {
            inner.write_one();
        }
        inner.show();
    }

    /// Lets the writers try `count` transactions more than they had left.
    pub fn write(&self, count: u64) {
        let mut inner = self.lock();
        inner.transactions_left += count;
        for _ in 0..count {
            inner.write_one();
        }
        inner.show();
    }

    /// A random number, from the world's own chance.
    pub fn random(&self, below: u64) -> u64 {
        self.lock().random.random_range(0..below)
    }

    /// Changes the load.
    pub fn set_load(&self, load: Load) {
        self.lock().options.load = load;
    }

    /// Forgets the log up to its end now.
    pub fn purge(&self) {
        let mut inner = self.lock();
        inner.database.purged = inner.database.end();
    }

    /// The rows of every table that a run copies, as they are now.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Vec<Image>> {
        let inner = self.lock();
        let tables = inner.database.latest.values();
        let copied = tables.filter(|table| &*table.schema.name.table != IGNORED);
        let images = |table: &Table| {
            table
                .rows
                .values()
                .map(|row| image(&table.schema, row))
                .collect()
        };
        copied
            .map(|table| (table.schema.name.to_string(), images(table)))
            .collect()
    }

    /// What truly happened, but for the table that no run copies. The position of a change is its transaction's number.
    #[must_use]
    pub fn history(&self) -> History {
        let inner = self.lock();
        let database = &inner.database;
        let mut history = History::new(Keys::new());
        let know = |history: &mut History, schema: &headwater_core::schema::TableSchema| {
            let columns = schema
                .key
                .iter()
                .map(|&column| schema.columns[column].name.to_string());
            history
                .keys
                .insert(schema.name.to_string(), columns.collect());
        };
        for table in database
            .first
            .values()
            .filter(|table| &*table.schema.name.table != IGNORED)
        {
            know(&mut history, &table.schema);
            for row in table.rows.values() {
                history.add_initial(&table.schema.name.to_string(), image(&table.schema, row));
            }
        }
        for (position, transaction) in (1..).zip(&database.log) {
            for change in transaction
                .iter()
                .filter(|change| &*change.schema.name.table != IGNORED)
            {
                know(&mut history, &change.schema);
                let kind = match &change.action {
                    Action::Insert { .. } => Kind::Insert,
                    Action::Update { .. } => Kind::Update,
                    Action::Delete { .. } => Kind::Delete,
                    Action::Truncate | Action::Drop => Kind::Truncate,
                    Action::AddColumn | Action::Create => continue,
                };
                let (before, after) = change.action.images();
                let event = Event {
                    table: change.schema.name.to_string(),
                    kind,
                    before: before.map(|row| image(&change.schema, row)),
                    after: after.map(|row| image(&change.schema, row)),
                };
                history.push(position, event);
            }
        }
        history
    }

    /// Goes one step: writers write, others run, time passes; or the process dies here.
    pub(super) async fn step(&self) {
        let (yields, sleep_ms) = {
            let mut inner = self.lock();
            let inner = &mut *inner;
            if !inner.is_dead {
                inner.count_step();
                inner.go_on();
            }
            if inner.is_dead {
                self.died.notify_one();
                (None, 0)
            } else {
                let sleep_ms = if inner.random.random_bool(0.2) {
                    inner.random.random_range(1..400)
                } else {
                    0
                };
                (Some(inner.random.random_range(0..4)), sleep_ms)
            }
        };
        let Some(yields) = yields else {
            return pending().await;
        };
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        if sleep_ms > 0 {
            tokio::time::sleep(Duration::from_millis(sleep_ms)).await;
        }
        if self.lock().is_dead {
            pending::<()>().await;
        }
    }

    /// A step of something that cannot wait. Says whether the process lives on.
    pub(super) fn step_blocking(&self) -> bool {
        let mut inner = self.lock();
        inner.count_step();
        if inner.is_dead {
            self.died.notify_one();
        }
        !inner.is_dead
    }

    pub(super) fn notice_quiet(&self) {
        if self.is_done() {
            self.quiet.notify_one();
        }
    }

    /// A lost connection, by chance.
    pub(super) fn lose_connection(&self) -> Result<(), Error> {
        let mut inner = self.lock();
        let chance = inner.options.lost_connections;
        if chance > 0.0 && inner.random.random_bool(chance) {
            return Err(Error::new(
                ErrorKind::Connection,
                "the connection was lost, as asked for",
            ));
        }
        Ok(())
    }
}

impl Inner {
    fn count_step(&mut self) {
        self.steps += 1;
        assert!(
            self.steps < STEPS_MAX,
            "no end in sight after {STEPS_MAX} steps"
        );
        if self.crash_at.is_some_and(|at| self.steps >= at) {
            self.is_dead = true;
        }
    }

    /// Writers write, and views may see more.
    fn go_on(&mut self) {
        let most = self.options.transactions_per_step;
        for _ in 0..self.random.random_range(0..=most) {
            self.write_one();
        }
        self.show();
    }

    fn write_one(&mut self) {
        if self.transactions_left > 0 {
            self.transactions_left -= 1;
            writers::write(&mut self.database, &self.options, &mut self.random);
        }
    }

    fn show(&mut self) {
        let end = self.database.end();
        let lags = self.options.cuts == Cuts::Marks;
        if lags && self.random.random_bool(0.7) {
            return;
        }
        let visible = if lags {
            self.random.random_range(self.database.visible_at..=end)
        } else {
            end
        };
        self.database.show(visible);
        let executed = self.database.executed_at;
        self.database.executed_at = if lags {
            self.random.random_range(executed..=visible)
        } else {
            visible
        };
    }
}
