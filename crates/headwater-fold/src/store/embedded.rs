//! The embedded store: one file, by redb.
//!
//! Why redb: a step of merges is one write transaction of it, which spills to the file when it grows, is dropped by a crash, and is
//! seen by readers, beside the writer, only once it is committed. That is the contract of a state store as it stands; a store of
//! logs (LSM) writes faster at random, and would need all of this on top. Keys are laid out so that a batch, sorted by place,
//! touches neighbouring pages.
//!
//! ```text
//! state  generation u32 BE · fold u16 BE · place  →  the monoid's bytes
//! meta   "store" → {format, served, writing, generations: {number: {folds, progress}}}
//! ```

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use serde_json::Value;

use super::catalog::Catalog;
use super::{Deltas, Entry, FoldInfo, Merged, Served, StateReader, StateStore, Step, Taken};
use crate::place::Place;

const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const STORE: &str = "store";

/// The version of the layout above.
const FORMAT: u32 = 1;

/// How long a run waits for a file that is looked at.
const WRITER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a look waits: a run that has the file answers by itself.
const READER_PATIENCE: Duration = Duration::from_secs(1);

/// Memory for pages by default.
const CACHE_BYTES: usize = 256 * 1024 * 1024;

/// A state store in one file of this process. There may be several handles of one file; one of them writes at a time.
pub struct Embedded {
    // Before the database, which is dropped after it: closing waits for the step under way, and would wait for ever.
    step: Option<WriteTransaction>,
    // After the step: whoever writes next is not to wait for it.
    lease: Option<Lease>,
    path: PathBuf,
    shared: Arc<Shared>,
    meta: Catalog,
    out: Vec<u8>,
}

/// What the handles of a file have in common.
#[derive(Default)]
struct Shared {
    database: Mutex<Option<Arc<Database>>>,
    is_written: AtomicBool,
}

/// The files that are open in this process, or about to be: one cannot be opened twice.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<Shared>>> = Mutex::new(BTreeMap::new());

impl Shared {
    /// What the handles of this file have in common.
    fn of(path: &Path) -> Arc<Self> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, shared| shared.strong_count() > 0);
        if let Some(shared) = open.get(&path).and_then(Weak::upgrade) {
            return shared;
        }
        let shared = Arc::default();
        open.insert(path, Arc::downgrade(&shared));
        shared
    }
}

/// The right to write, as long as it lives.
struct Lease(Arc<Shared>);

impl Lease {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let was_written = shared.is_written.swap(true, Ordering::AcqRel);
        (!was_written).then(|| Self(shared.clone()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.is_written.store(false, Ordering::Release);
    }
}

impl Clone for Embedded {
    fn clone(&self) -> Self {
        Self {
            step: None,
            lease: None,
            path: self.path.clone(),
            shared: self.shared.clone(),
            meta: Catalog::default(),
            out: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Embedded {
    /// A store in this file, which is made when it is taken over.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            step: None,
            lease: None,
            path: path.to_owned(),
            shared: Shared::of(path),
            meta: Catalog::default(),
            out: Vec::new(),
        }
    }

    fn failed(&self, what: &'static str, cause: impl Into<redb::Error>) -> Error {
        failed(&self.path, what, cause.into())
    }

    fn database(&self) -> Result<Arc<Database>> {
        let shared = self.shared.database.lock();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*shared {
            return Ok(database.clone());
        }
        let opened = patiently(WRITER_PATIENCE, || {
            Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create(&self.path)
        });
        let database = Arc::new(opened.map_err(|cause| self.failed("opening the store", cause))?);
        *shared = Some(database.clone());
        Ok(database)
    }

    /// The transaction of the step under way.
    fn begin(&mut self) -> Result<WriteTransaction> {
        if let Some(step) = self.step.take() {
            return Ok(step);
        }
        let mut step = self
            .database()?
            .begin_write()
            .map_err(|cause| self.failed("beginning a step", cause))?;
        step.set_durability(Durability::Immediate)
            .map_err(|cause| self.failed("beginning a step", cause))?;
        Ok(step)
    }

    fn put_meta(&self, step: &WriteTransaction) -> Result<()> {
        let bytes = serde_json::to_vec(&self.meta).map_err(|cause| {
            Error::new(ErrorKind::Internal, "the progress cannot be written down").caused_by(cause)
        })?;
        let mut meta = step
            .open_table(META)
            .map_err(|cause| self.failed("opening the store", cause))?;
        meta.insert(STORE, bytes.as_slice())
            .map_err(|cause| self.failed("writing the progress", cause))?;
        Ok(())
    }

    fn drop_where(&self, step: &WriteTransaction, from: &[u8], to: &[u8]) -> Result<()> {
        let mut state = step
            .open_table(STATE)
            .map_err(|cause| self.failed("opening the store", cause))?;
        let range = (Bound::Included(from), Bound::Excluded(to));
        state
            .retain_in::<&[u8], _>(range, |_, _| false)
            .map_err(|cause| self.failed("dropping what is old", cause))
    }

    fn read_meta(&self, step: &WriteTransaction) -> Result<Catalog> {
        let table = step
            .open_table(META)
            .map_err(|cause| self.failed("opening the store", cause))?;
        let found = table
            .get(STORE)
            .map_err(|cause| self.failed("reading the store", cause))?;
        match found {
            Some(bytes) => meta_of(&self.path, bytes.value()),
            None => Ok(Catalog {
                format: FORMAT,
                ..Catalog::default()
            }),
        }
    }
}

/// Opens a file, and waits while another process has it: a query or `headwater status` does, for a moment, and must not keep a run
/// from starting.
fn patiently<D>(
    patience: Duration,
    open: impl Fn() -> Result<D, redb::DatabaseError>,
) -> Result<D, redb::DatabaseError> {
    const LOOK: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        match open() {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) if waited < patience => {
                std::thread::sleep(LOOK);
                waited += LOOK;
            }
            opened => return opened,
        }
    }
}

fn written_by_another(path: &Path) -> Error {
    Error::new(
        ErrorKind::Locked,
        "another run of this process writes the store of folds",
    )
    .with("file", path.display())
    .hint("let that one end first; each pipeline has a store of its own")
}

fn failed(path: &Path, what: &'static str, cause: redb::Error) -> Error {
    let (kind, hint) = match &cause {
        redb::Error::DatabaseAlreadyOpen => (
            ErrorKind::Locked,
            "another process has it open: stop that one first; a running headwater answers `query` itself",
        ),
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => (
            ErrorKind::CheckpointDamaged,
            "it is no store of this version, or it is damaged: bring back a copy, or name another file, and the folds are built anew",
        ),
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => (
            ErrorKind::CheckpointForeign,
            "this file is no store of folds: name another one",
        ),
        _ => (
            ErrorKind::Storage,
            "look at the disk: whether there is room, and whether the file may be written",
        ),
    };
    Error::new(kind, "the store of folds cannot be used")
        .during(what)
        .with("file", path.display())
        .hint(hint)
        .caused_by(cause)
}

fn meta_of(path: &Path, bytes: &[u8]) -> Result<Catalog> {
    let foreign = |what: &'static str| {
        Error::new(ErrorKind::CheckpointForeign, what)
            .with("file", path.display())
            .hint(
                "use the version that wrote it, or name another file, and the folds are built anew",
            )
    };
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|cause| foreign("the store does not say what it holds").caused_by(cause))?;
    if value["format"] != FORMAT {
        return Err(
            foreign("the store was written by another version").with("format", &value["format"])
        );
    }
    serde_json::from_value(value)
        .map_err(|cause| foreign("the store does not say what it holds").caused_by(cause))
}

/// Generation and fold stand before a place.
const PREFIX: usize = 4 + 2;

fn prefix(generation: u32, fold: usize) -> [u8; PREFIX] {
    let fold = u16::try_from(fold).unwrap_or(u16::MAX);
    let mut bytes = [0; PREFIX];
    bytes[..4].copy_from_slice(&generation.to_be_bytes());
    bytes[4..].copy_from_slice(&fold.to_be_bytes());
    bytes
}

fn write_key(key: &mut Vec<u8>, generation: u32, fold: usize, place: &Place) {
    key.clear();
    key.extend_from_slice(&prefix(generation, fold));
    key.extend_from_slice(place.as_bytes());
}

/// Where a bucket of a fold begins.
fn bucket(generation: u32, fold: usize, bucket_s: i64) -> Vec<u8> {
    let mut key = Vec::new();
    write_key(&mut key, generation, fold, &Place::new(bucket_s, &[]));
    key
}

impl StateStore for Embedded {
    type Reader = EmbeddedReader;

    fn name(&self) -> String {
        format!("embedded:{}", self.path.display())
    }

    async fn take_over(&mut self, folds: &[FoldInfo], anew: bool) -> Result<Taken> {
        if let Some(step) = self.step.take() {
            step.abort()
                .map_err(|cause| self.failed("dropping a step", cause))?;
        }
        if self.lease.is_none() {
            let lease = Lease::take(&self.shared);
            self.lease = Some(lease.ok_or_else(|| written_by_another(&self.path))?);
        }
        let step = self.begin()?;
        self.meta = self.read_meta(&step)?;
        if let Some((dropped, _)) = self.meta.choose(folds, anew) {
            let (from, to) = (dropped.to_be_bytes(), (dropped + 1).to_be_bytes());
            self.drop_where(&step, &from, &to)?;
        }
        // The tables exist from now on, so that readers find them.
        drop(
            step.open_table(STATE)
                .map_err(|cause| self.failed("opening the store", cause))?,
        );
        self.put_meta(&step)?;
        step.commit()
            .map_err(|cause| self.failed("taking the store over", cause))?;
        let writing = self.meta.writing;
        Ok(Taken {
            progress: self.meta.generations[&writing].progress.clone(),
            is_building: self.meta.served != Some(writing),
        })
    }

    async fn merge(&mut self, fold: usize, deltas: &dyn Deltas) -> Result<()> {
        let step = self.begin()?;
        let mut out = std::mem::take(&mut self.out);
        let generation = self.meta.writing;
        let mut merging = || -> Result<()> {
            let mut state = step
                .open_table(STATE)
                .map_err(|cause| self.failed("opening the store", cause))?;
            let mut key = Vec::new();
            for at in 0..deltas.len() {
                let place = deltas.place(at);
                write_key(&mut key, generation, fold, place);
                out.clear();
                let merged = {
                    let stored = state
                        .get(key.as_slice())
                        .map_err(|cause| self.failed("reading an aggregate", cause))?;
                    let stored = stored.as_ref().map(redb::AccessGuard::value);
                    deltas.merge(at, stored, &mut out)?
                };
                match merged {
                    Merged::Put => drop(
                        state
                            .insert(key.as_slice(), out.as_slice())
                            .map_err(|cause| self.failed("writing an aggregate", cause))?,
                    ),
                    Merged::Gone => drop(
                        state
                            .remove(key.as_slice())
                            .map_err(|cause| self.failed("dropping an aggregate", cause))?,
                    ),
                    Merged::Kept => {}
                }
            }
            Ok(())
        };
        let merged = merging();
        self.out = out;
        self.step = Some(step);
        merged
    }

    async fn commit(&mut self, commit: Step<'_>) -> Result<()> {
        let step = self.begin()?;
        let writing = self.meta.writing;
        for (fold, keep_from_s) in commit.keep_from_s.iter().enumerate() {
            if let Some(keep_from_s) = keep_from_s {
                // What is of all time stays.
                let from = bucket(writing, fold, i64::MIN + 1);
                self.drop_where(&step, &from, &bucket(writing, fold, *keep_from_s))?;
            }
        }
        for (old, _) in self.meta.commit(commit.progress, commit.serve) {
            self.drop_where(&step, &old.to_be_bytes(), &(old + 1).to_be_bytes())?;
        }
        self.put_meta(&step)?;
        let path = self.path.clone();
        let committed = tokio::task::spawn_blocking(move || step.commit()).await;
        let committed = committed.map_err(|cause| {
            Error::new(ErrorKind::Internal, "a commit was interrupted").caused_by(cause)
        })?;
        committed.map_err(|cause| failed(&path, "committing", cause.into()))
    }

    fn reader(&self) -> Result<EmbeddedReader> {
        Ok(EmbeddedReader {
            path: self.path.clone(),
            database: self.database()?,
        })
    }
}

/// Answers queries from the file.
pub struct EmbeddedReader {
    path: PathBuf,
    database: Arc<Database>,
}

impl std::fmt::Debug for EmbeddedReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedReader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl EmbeddedReader {
    /// Opens a store that no process has open.
    ///
    /// # Errors
    /// `NotFound`, `Locked`, `Storage`, `CheckpointForeign`.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(
                Error::new(ErrorKind::NotFound, "there is no store of folds here")
                    .with("file", path.display())
                    .hint("look at folds.store of the configuration; `headwater run` makes it"),
            );
        }
        let opened = patiently(READER_PATIENCE, || Database::open(path));
        let database = opened.map_err(|cause| failed(path, "opening the store", cause.into()))?;
        Ok(Self {
            path: path.to_owned(),
            database: Arc::new(database),
        })
    }

    fn view(&self) -> Result<(redb::ReadTransaction, Catalog)> {
        let failed = |cause: redb::Error| failed(&self.path, "reading the store", cause);
        let view = self
            .database
            .begin_read()
            .map_err(|cause| failed(cause.into()))?;
        let table = match view.open_table(META) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok((view, Catalog::default())),
            Err(cause) => return Err(failed(cause.into())),
        };
        let found = table.get(STORE).map_err(|cause| failed(cause.into()))?;
        let meta = match found {
            Some(bytes) => meta_of(&self.path, bytes.value())?,
            None => Catalog::default(),
        };
        Ok((view, meta))
    }

    /// A view in which `served` still is what is served, and its progress.
    fn view_of(&self, served: &Served) -> Result<(redb::ReadTransaction, Value)> {
        let (view, meta) = self.view()?;
        Ok((view, meta.into_progress_of(served)?))
    }
}

impl StateReader for EmbeddedReader {
    async fn served(&self) -> Result<Option<Served>> {
        Ok(self.view()?.1.into_served())
    }

    async fn written(&self) -> Result<Option<Value>> {
        Ok(self.view()?.1.into_written())
    }

    async fn get_many(
        &self,
        served: &Served,
        fold: usize,
        places: &[Place],
    ) -> Result<(Value, Vec<Option<Vec<u8>>>)> {
        let failed = |cause: redb::Error| failed(&self.path, "reading aggregates", cause);
        let (view, progress) = self.view_of(served)?;
        let state = view
            .open_table(STATE)
            .map_err(|cause| failed(cause.into()))?;
        let mut found = Vec::with_capacity(places.len());
        let mut key = Vec::new();
        for place in places {
            write_key(&mut key, served.generation, fold, place);
            let stored = state
                .get(key.as_slice())
                .map_err(|cause| failed(cause.into()))?;
            found.push(stored.map(|stored| stored.value().to_vec()));
        }
        Ok((progress, found))
    }

    async fn scan(
        &self,
        served: &Served,
        fold: usize,
        buckets_s: (Option<i64>, Option<i64>),
        each: &mut (dyn FnMut(Entry) -> Result<()> + Send),
    ) -> Result<Value> {
        let failed = |cause: redb::Error| failed(&self.path, "reading aggregates", cause);
        let (view, progress) = self.view_of(served)?;
        let state = view
            .open_table(STATE)
            .map_err(|cause| failed(cause.into()))?;
        let from = bucket(served.generation, fold, buckets_s.0.unwrap_or(i64::MIN));
        let to = match buckets_s.1 {
            Some(to_s) => bucket(served.generation, fold, to_s),
            None => prefix(served.generation, fold + 1).to_vec(),
        };
        let found = state
            .range::<&[u8]>((
                Bound::Included(from.as_slice()),
                Bound::Excluded(to.as_slice()),
            ))
            .map_err(|cause| failed(cause.into()))?;
        for entry in found {
            let (key, value) = entry.map_err(|cause| failed(cause.into()))?;
            let place = key.value().get(PREFIX..).and_then(Place::from_bytes);
            let Some(place) = place else {
                continue;
            };
            let bytes = value.value().to_vec();
            each(Entry { place, bytes })?;
        }
        Ok(progress)
    }
}
