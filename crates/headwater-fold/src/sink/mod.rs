//! Folds as a sink of the engine: rows and changes become deltas, and a commit is one step of the state store.
//!
//! The store keeps the checkpoint ([`Capabilities::keeps_checkpoint`]): aggregates and progress are stored together or not at all, so each
//! change counts once, whatever is killed when. A change's images are looked at by themselves: what was is taken back from where it
//! counted, what is is added where it counts now; so a row that leaves a filter, a key or a bucket is taken back there.

mod configured;
mod counts;
mod extract;
mod ids;
mod letters;
mod marks;
mod refold;
mod running;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_core::batch::{Batch, ChangeKind, Row};
use headwater_core::retry::Backoff;
use headwater_core::schema::{SchemaId, TableSchema};
use headwater_core::sink::{Capabilities, Durability, Receipt, Sink};
use headwater_core::{Error, ErrorKind, Result, checkpoint, clock, failpoint};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

pub use configured::Configured;
pub use counts::{Counted, Counts};
pub use extract::{Contribution, Extract, Unread};

use crate::fold::Typed;
use crate::monoid::Refused;
use crate::recorder::{Operation, Recorder};
use crate::refold::SourceRows;
use crate::store::{FoldInfo, StateStore, Step};
use counts::Of;
use letters::Letters;
use marks::Marks;
use running::{Folded, Running};

/// Batches are cut far below this by the engine.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What can be set.
#[derive(Debug, Clone)]
pub struct FoldOptions {
    /// Bytes of deltas in memory at most; beyond, they are merged into the store's step.
    pub pending_bytes_max: usize,
    /// Where rows go that cannot be folded; none: the run ends at the first.
    pub dead_letters: Option<PathBuf>,
    /// Begin a new generation, though the one that is served fits.
    pub anew: bool,
    /// How often, and after which waits, a row is read again that could not be read for now. Then it is refused.
    pub retry: Backoff,
    /// Whether an event counts once, by its id ([`Extract::event_id`]), and for how long an id is kept. For sources whose places in the
    /// log cannot tell that an event came before.
    pub dedup: Option<Duration>,
    /// Who hears of errors and of the store's latency.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// The store has to hold where to go on: an empty one is refused.
    pub goes_on: bool,
    /// What keys are read from again, for folds that are refolded ([`TakeBack::Refold`](crate::fold::TakeBack::Refold)).
    pub rows: Option<Arc<dyn SourceRows>>,
}

impl Default for FoldOptions {
    fn default() -> Self {
        Self {
            pending_bytes_max: 64 * 1024 * 1024,
            dead_letters: None,
            anew: false,
            retry: Backoff {
                longest: Duration::from_secs(5),
                attempts_max: Some(2),
                ..Backoff::default()
            },
            dedup: None,
            recorder: None,
            goes_on: false,
            rows: None,
        }
    }
}

/// Folds rows into a state store. See [the module](self).
#[derive(Debug)]
pub struct FoldSink<S, E: Extract = Configured> {
    store: S,
    options: FoldOptions,
    infos: Vec<FoldInfo>,
    folds: Vec<Running<E>>,
    counts: Arc<Counts>,
    letters: Option<Letters>,
    /// For each definition, the folds over it.
    plans: FxHashMap<SchemaId, Plans<E>>,
    /// Transactions so far: what orders events.
    ordinal: u64,
    /// What is written to is not what is served.
    is_building: bool,
    /// What was refolded may include changes up to here, which the log has not reached.
    seen: Option<Value>,
    random: StdRng,
}

/// The folds over a definition, by number.
type Plans<E> = Arc<[(usize, <E as Extract>::Plan)]>;

impl<S: StateStore> FoldSink<S> {
    /// A sink of folds of a configuration, which have names of their own.
    ///
    /// # Errors
    /// `Configuration`.
    pub fn new(folds: Vec<Typed>, store: S, options: FoldOptions) -> Result<Self> {
        Self::of(folds.into_iter().map(Configured::from), store, options)
    }
}

impl<S: StateStore, E: Extract> FoldSink<S, E> {
    /// A sink of these folds, which have names of their own.
    ///
    /// # Errors
    /// `Configuration`.
    pub fn of(folds: impl IntoIterator<Item = E>, store: S, options: FoldOptions) -> Result<Self> {
        let mut infos: Vec<FoldInfo> = Vec::new();
        let mut running = Vec::new();
        for fold in folds {
            let info = fold.info()?;
            if infos.iter().any(|other| other.name == info.name) {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!("two folds are called `{}`", info.name),
                )
                .hint("give them two names"));
            }
            running.push(Running::new(info.name.clone(), fold, options.dedup)?);
            infos.push(info);
        }
        // Behind all folds, so that these keep their numbers.
        for fold in &running {
            infos.extend(fold.marks.as_ref().map(|marks| marks.info(&fold.name)));
        }
        let sink = Self {
            store,
            options,
            infos,
            folds: running,
            counts: Arc::default(),
            letters: None,
            plans: FxHashMap::default(),
            ordinal: 0,
            is_building: false,
            seen: None,
            random: StdRng::from_os_rng(),
        };
        sink.check_refolds()?;
        Ok(sink)
    }

    /// The counters, which go on while the sink runs.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// The folds over a definition.
    fn plans(&mut self, schema: &TableSchema) -> Result<Plans<E>> {
        if let Some(plans) = self.plans.get(&schema.id) {
            return Ok(plans.clone());
        }
        let mut plans = Vec::new();
        for (number, running) in self.folds.iter_mut().enumerate() {
            if let Some(plan) = running.extract.bind(schema)? {
                running.table = Some(schema.name.clone());
                plans.push((number, plan));
            }
        }
        let plans: Plans<E> = plans.into();
        self.plans.insert(schema.id, plans.clone());
        Ok(plans)
    }

    async fn fold(&mut self, index: usize, row: &Row<'_>) -> Result<()> {
        let plans = self.plans(row.schema())?;
        if plans.is_empty() {
            return Ok(());
        }
        match row.kind() {
            ChangeKind::Truncate => return Err(self.emptied(row, &plans)),
            ChangeKind::Bootstrap
            | ChangeKind::Insert
            | ChangeKind::Update
            | ChangeKind::Delete => {}
            ChangeKind::BootstrapStart | ChangeKind::BootstrapComplete | ChangeKind::Ddl => {
                return Ok(());
            }
        }
        for (number, plan) in plans.iter() {
            let mut attempt = 0;
            loop {
                let running = &mut self.folds[*number];
                let at = (index, self.ordinal);
                let refused = match running.fold(plan, row, at, &self.counts)? {
                    Folded::Whole => break,
                    Folded::Refused(refused) => refused,
                    Folded::ForNow(error) if self.options.retry.is_exhausted(attempt) => {
                        Refused::unsuitable(error.to_string())
                    }
                    Folded::ForNow(error) => {
                        self.wait(attempt, *number, &error).await;
                        attempt += 1;
                        continue;
                    }
                };
                self.refuse(*number, row, &refused)?;
                break;
            }
        }
        Ok(())
    }

    async fn wait(&mut self, attempt: u32, fold: usize, error: &Error) {
        let wait = self.options.retry.wait(attempt, &mut self.random);
        let wait_ms = wait.as_secs_f64() * 1000.0;
        self.counts.add(Of::Retried, 1);
        self.heard_error(fold, error);
        tracing::warn!(
            fold = self.folds[fold].name,
            wait_ms,
            "a row is read again: {error}"
        );
        tokio::time::sleep(wait).await;
    }

    /// A row that a fold does not take: to the dead letters, or the run ends.
    fn refuse(&mut self, fold: usize, row: &Row<'_>, refused: &Refused) -> Result<()> {
        self.counts.add(Of::Refused, 1);
        self.heard_error(fold, &refused.clone().into());
        let fold = &self.folds[fold].name;
        match &mut self.letters {
            Some(letters) => letters.about_row(fold, row, refused),
            None => Err(letters::stop(fold, row, refused)),
        }
    }

    /// A table was emptied without a word about its rows.
    fn emptied(&self, row: &Row<'_>, plans: &Plans<E>) -> Error {
        let names: Vec<&str> = plans
            .iter()
            .map(|(number, _)| self.folds[*number].name.as_str())
            .collect();
        Error::new(
            ErrorKind::SinkRejected,
            "a table was emptied at once: its rows are in the folds, and nothing says which they were",
        )
        .with("table", &row.schema().name)
        .with("folds", names.join(", "))
        .hint("build the folds anew: headwater run --rebuild-folds; meanwhile queries answer what was before")
    }

    /// Whether what was gathered takes more memory than it may. It is measured where an upper bound says so, and what is
    /// found to be less than half is let grow: so measuring costs little for each row.
    fn is_full(&mut self) -> bool {
        let most = self.options.pending_bytes_max;
        let marks = self.folds.iter().filter_map(|fold| fold.marks.as_ref());
        let marks: usize = marks.map(Marks::size_bytes).sum();
        let gathered = self.folds.iter().map(|fold| fold.gathered.size_bytes());
        if marks + gathered.sum::<usize>() <= most {
            return false;
        }
        let measured = self.folds.iter_mut().map(|fold| fold.gathered.measure());
        marks + measured.sum::<usize>() > most / 2
    }

    /// An error about a store that holds nothing to go on from.
    fn holds_nothing(&self) -> Error {
        let names: Vec<&str> = self.infos.iter().map(|info| info.name.as_str()).collect();
        Error::new(
            ErrorKind::NotFound,
            "the store holds nothing of these folds to go on from",
        )
        .with("folds", names.join(", "))
        .with("store", self.store.name())
        .hint("bootstrap them first, into this store; or fold only what comes from now on")
    }

    fn heard_error(&self, fold: usize, error: &Error) {
        if let Some(recorder) = &self.options.recorder {
            recorder.error(&self.folds[fold].name, error);
        }
    }

    /// Merges everything gathered into the store's step.
    async fn merge(&mut self) -> Result<()> {
        for (number, running) in self.folds.iter_mut().enumerate() {
            if running.gathered.is_empty() {
                continue;
            }
            let mut deltas = running.gathered.take();
            let began = Instant::now();
            self.store.merge(number, &deltas).await?;
            if let Some(recorder) = &self.options.recorder {
                recorder.latency(&running.name, Operation::Merge, began.elapsed());
            }
            for (place, _, refused) in deltas.refused() {
                self.counts.add(Of::Refused, 1);
                match &mut self.letters {
                    Some(letters) => {
                        letters.about_place(
                            &running.name,
                            running.table.as_ref(),
                            &place,
                            &refused,
                        )?;
                    }
                    None => return Err(letters::stop_at(&running.name, &place, &refused)),
                }
            }
        }
        self.merge_marks().await
    }

    fn forget_old(&mut self) -> Result<()> {
        let now_s = i64::try_from(clock::now_s()).unwrap_or(i64::MAX);
        let mut folds = self.folds.iter_mut();
        folds.try_for_each(|running| running.forget_old(now_s))
    }

    fn forget(&mut self) {
        for running in &mut self.folds {
            running.gathered.clear();
            running.ids.clear();
            if let Some(marks) = &mut running.marks {
                marks.clear();
            }
            running.waiting.clear();
        }
        self.seen = None;
        self.plans.clear();
    }
}

impl<S: StateStore, E: Extract> Sink for FoldSink<S, E> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: false,
            rewinds: true,
            replaces_by_key: true,
            keeps_checkpoint: true,
            counts_rows: true,
            batch_bytes_max: BATCH_BYTES_MAX,
        }
    }

    fn name(&self) -> String {
        format!("folds:{}", self.store.name())
    }

    async fn recover(&mut self) -> Result<Option<Value>> {
        self.forget();
        let letters = self.options.dead_letters.clone();
        let letters = letters.map(|path| Letters::new(self.name(), path));
        self.letters = letters.transpose()?;
        let taken = self.store.take_over(&self.infos, self.options.anew).await?;
        // Whoever comes back goes on with what was begun.
        self.options.anew = false;
        self.is_building = taken.is_building;
        let Some(mut progress) = taken.progress else {
            self.ordinal = 0;
            return if self.options.goes_on {
                Err(self.holds_nothing())
            } else {
                Ok(None)
            };
        };
        self.ordinal = progress["transactions"].as_u64().unwrap_or(0);
        self.recover_refolds(&mut progress)?;
        Ok(Some(progress["checkpoint"].take()))
    }

    async fn open(&mut self, _mark: Option<&Value>) -> Result<()> {
        self.forget_old()
    }

    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        self.look_up_ids(batch).await?;
        for (index, row) in batch.rows().enumerate() {
            self.fold(index, &row).await?;
            // Whatever table its last row is of.
            if row.is_last() && row.transaction().is_some() {
                self.ordinal += 1;
            }
        }
        self.forget_ids();
        if self.is_full() {
            self.merge().await?;
        }
        match durability {
            Durability::Accepted => Ok(Receipt::Accepted),
            Durability::Durable => Err(Error::new(
                ErrorKind::Internal,
                "a sink that keeps the checkpoint was asked for a barrier",
            )),
        }
    }

    async fn commit(&mut self, document: &Value) -> Result<()> {
        self.merge().await?;
        self.refold(document).await?;
        if let Some(letters) = &mut self.letters {
            letters.sync()?;
        }
        failpoint::hit("fold.merged")?;
        let serve = self.is_building && checkpoint::is_copied(document)?;
        let mut progress = json!({ "checkpoint": document, "transactions": self.ordinal });
        if let Some(said) = self.refolds_said() {
            progress["refold"] = said;
        }
        self.forget_old()?;
        let mut keep_from_s: Vec<Option<i64>> =
            self.folds.iter().map(|fold| fold.keep_from_s).collect();
        self.keep_marks_from(&mut keep_from_s)?;
        let step = Step {
            progress: &progress,
            serve,
            keep_from_s: &keep_from_s,
        };
        let began = Instant::now();
        self.store.commit(step).await?;
        if let Some(recorder) = &self.options.recorder {
            for running in &self.folds {
                recorder.latency(&running.name, Operation::Commit, began.elapsed());
            }
        }
        failpoint::hit("fold.committed")?;
        if serve {
            self.is_building = false;
            tracing::info!("the folds are complete, and answer queries");
        }
        Ok(())
    }
}
