//! Folds as a sink of the engine: rows and changes become deltas, and a commit is one step of the state store.
//!
//! The store keeps the checkpoint ([`Capabilities::keeps_checkpoint`]): aggregates and progress are stored together or not at all, so each
//! change counts once, whatever is killed when. A change's images are looked at by themselves: what was is taken back from where it
//! counted, what is is added where it counts now; so a row that leaves a filter, a key or a bucket is taken back there.

mod counts;
mod letters;
mod row;

use std::path::PathBuf;
use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, Row};
use headwater_core::schema::{SchemaId, TableSchema};
use headwater_core::sink::{Capabilities, Durability, Receipt, Sink};
use headwater_core::{Error, ErrorKind, Result, checkpoint, clock, failpoint};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

pub use counts::{Counted, Counts};

use crate::fold::{Plan, Typed, WindowText};
use crate::gathered::Gathered;
use crate::monoid::{Dynamic, Scalar};
use crate::store::{FoldInfo, StateStore, Step};
use crate::window::Window;
use counts::Of;
use letters::Letters;
use row::Folding;

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
}

impl Default for FoldOptions {
    fn default() -> Self {
        Self {
            pending_bytes_max: 64 * 1024 * 1024,
            dead_letters: None,
            anew: false,
        }
    }
}

/// A fold with its monoid.
#[derive(Debug)]
struct Running {
    typed: Typed,
    window: Option<Window>,
    gathered: Gathered<Dynamic>,
    /// The bucket before which nothing is kept.
    keep_from_s: Option<i64>,
}

/// Folds rows into a state store. See [the module](self).
#[derive(Debug)]
pub struct FoldSink<S> {
    store: S,
    options: FoldOptions,
    infos: Vec<FoldInfo>,
    folds: Vec<Running>,
    counts: Arc<Counts>,
    letters: Option<Letters>,
    /// For each definition, the folds over it.
    plans: FxHashMap<SchemaId, Arc<[(usize, Plan)]>>,
    /// Transactions so far: what orders events.
    ordinal: u64,
    /// What is written to is not what is served.
    is_building: bool,
    scratch: Scratch,
}

/// Memory that is used again for each row.
#[derive(Debug, Default)]
struct Scratch {
    place: Vec<u8>,
    values: Vec<Scalar>,
}

impl<S: StateStore> FoldSink<S> {
    /// A sink of these folds, which have names of their own.
    ///
    /// # Errors
    /// `Configuration`.
    pub fn new(folds: Vec<Typed>, store: S, options: FoldOptions) -> Result<Self> {
        let mut infos = Vec::new();
        let mut running: Vec<Running> = Vec::new();
        for typed in folds {
            let fold = &typed.fold;
            fold.validate()?;
            if running
                .iter()
                .any(|other| other.typed.fold.name == fold.name)
            {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!("two folds are called `{}`", fold.name),
                )
                .hint("give them two names"));
            }
            infos.push(typed.info()?);
            let window = fold.window.as_ref();
            running.push(Running {
                window: window.map(WindowText::window).transpose()?,
                gathered: Gathered::new(Arc::new(typed.monoid.clone())),
                keep_from_s: None,
                typed,
            });
        }
        Ok(Self {
            store,
            options,
            infos,
            folds: running,
            counts: Arc::default(),
            letters: None,
            plans: FxHashMap::default(),
            ordinal: 0,
            is_building: false,
            scratch: Scratch::default(),
        })
    }

    /// The counters, which go on while the sink runs.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// The folds over a definition.
    fn plans(&mut self, schema: &TableSchema) -> Result<Arc<[(usize, Plan)]>> {
        if let Some(plans) = self.plans.get(&schema.id) {
            return Ok(plans.clone());
        }
        let mut plans = Vec::new();
        for (number, running) in self.folds.iter().enumerate() {
            if running.typed.fold.table == schema.name {
                plans.push((number, running.typed.bind(schema)?));
            }
        }
        let plans: Arc<[(usize, Plan)]> = plans.into();
        self.plans.insert(schema.id, plans.clone());
        Ok(plans)
    }

    fn fold(&mut self, row: &Row<'_>) -> Result<()> {
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
            let mut folding = Folding {
                running: &mut self.folds[*number],
                plan,
                counts: &self.counts,
                scratch: &mut self.scratch,
                order: (self.ordinal, row.offset()),
            };
            if let Err(refused) = folding.row(row)? {
                self.counts.add(Of::Refused, 1);
                let fold = &self.folds[*number].typed.fold;
                match &mut self.letters {
                    Some(letters) => letters.about_row(&fold.name, row, &refused)?,
                    None => return Err(letters::stop(fold, row, &refused)),
                }
            }
        }
        Ok(())
    }

    /// A table was emptied without a word about its rows.
    fn emptied(&self, row: &Row<'_>, plans: &[(usize, Plan)]) -> Error {
        let names: Vec<&str> = plans
            .iter()
            .map(|(number, _)| self.folds[*number].typed.fold.name.as_str())
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
        let gathered = self.folds.iter().map(|fold| fold.gathered.size_bytes());
        if gathered.sum::<usize>() <= most {
            return false;
        }
        let measured = self.folds.iter_mut().map(|fold| fold.gathered.measure());
        measured.sum::<usize>() > most / 2
    }

    /// Merges everything gathered into the store's step.
    async fn merge(&mut self) -> Result<()> {
        for (number, running) in self.folds.iter_mut().enumerate() {
            if running.gathered.is_empty() {
                continue;
            }
            let mut deltas = running.gathered.take();
            self.store.merge(number, &deltas).await?;
            for (place, _, refused) in deltas.refused() {
                self.counts.add(Of::Refused, 1);
                match &mut self.letters {
                    Some(letters) => letters.about_place(&running.typed.fold, &place, &refused)?,
                    None => return Err(letters::stop_at(&running.typed.fold, &place, &refused)),
                }
            }
        }
        Ok(())
    }

    fn forget_old(&mut self) -> Result<()> {
        let now_s = i64::try_from(clock::now_s()).unwrap_or(i64::MAX);
        let mut folds = self.folds.iter_mut();
        folds.try_for_each(|running| running.forget_old(now_s))
    }

    fn forget(&mut self) {
        for running in &mut self.folds {
            running.gathered.clear();
        }
        self.plans.clear();
    }
}

impl<S: StateStore> Sink for FoldSink<S> {
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
        self.letters = Letters::open(self.name(), self.options.dead_letters.as_deref())?;
        let taken = self.store.take_over(&self.infos, self.options.anew).await?;
        // Whoever comes back goes on with what was begun.
        self.options.anew = false;
        self.is_building = taken.is_building;
        let Some(mut progress) = taken.progress else {
            self.ordinal = 0;
            return Ok(None);
        };
        self.ordinal = progress["transactions"].as_u64().unwrap_or(0);
        Ok(Some(progress["checkpoint"].take()))
    }

    async fn open(&mut self, _mark: Option<&Value>) -> Result<()> {
        self.forget_old()
    }

    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        for row in batch.rows() {
            self.fold(&row)?;
            // Whatever table its last row is of.
            if row.is_last() && row.transaction().is_some() {
                self.ordinal += 1;
            }
        }
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
        if let Some(letters) = &mut self.letters {
            letters.sync()?;
        }
        failpoint::hit("fold.merged")?;
        let serve = self.is_building && checkpoint::is_copied(document)?;
        let progress = json!({ "checkpoint": document, "transactions": self.ordinal });
        self.forget_old()?;
        let keep_from_s: Vec<Option<i64>> =
            self.folds.iter().map(|fold| fold.keep_from_s).collect();
        let step = Step {
            progress: &progress,
            serve,
            keep_from_s: &keep_from_s,
        };
        self.store.commit(step).await?;
        failpoint::hit("fold.committed")?;
        if serve {
            self.is_building = false;
            tracing::info!("the folds are complete, and answer queries");
        }
        Ok(())
    }
}

impl Running {
    /// Looks at the clock: buckets that are over for long enough are not kept any more.
    fn forget_old(&mut self, now_s: i64) -> Result<()> {
        let window = self.window.as_ref();
        let keep_from_s = window.map(|window| window.keep_from_s(now_s)).transpose()?;
        self.keep_from_s = keep_from_s.flatten();
        Ok(())
    }
}
