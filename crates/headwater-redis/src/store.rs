//! The store's writer.

use std::sync::LazyLock;

use headwater_core::{Error, ErrorKind, Result};
use headwater_fold::place::Place;
use headwater_fold::store::{
    Catalog, Deltas, FoldInfo, Generation, Merged, StateStore, Step, Taken,
};
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Script, ScriptInvocation};

use crate::client::Server;
use crate::config::RedisOptions;
use crate::habits::{Habits, Keeps};
use crate::keys::{Keys, bucket};
use crate::reader::RedisReader;
use crate::step::Merging;

static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim.lua")));
static SETTLE: LazyLock<Script> = LazyLock::new(|| writer(include_str!("settle.lua")));
static STAGE: LazyLock<Script> = LazyLock::new(|| writer(include_str!("stage.lua")));
static COMMIT: LazyLock<Script> = LazyLock::new(|| writer(include_str!("commit.lua")));

fn writer(script: &str) -> Script {
    Script::new(&format!("{}{script}", include_str!("writer.lua")))
}

/// Places that are read with one question.
const READ_MAX: usize = 10_000;

/// A state store in a Redis or a Valkey. See [the crate](crate).
#[derive(Debug)]
pub struct RedisStore {
    server: Server,
    options: RedisOptions,
    keys: Keys,
    /// Tells this writer from all others.
    token: String,
    /// The last epoch that was this writer's; 0 before the first.
    epoch: u64,
    /// What was taken over; none once something failed.
    held: Option<Held>,
    /// Another one writes: this one is told so from now on.
    is_fenced: bool,
    out: Vec<u8>,
    is_checked: bool,
}

/// Another handle of the same store, which has taken nothing over.
impl Clone for RedisStore {
    fn clone(&self) -> Self {
        Self::at(self.server.clone(), self.options.clone())
    }
}

/// A store that was taken over, and the step under way.
#[derive(Debug)]
struct Held {
    connection: MultiplexedConnection,
    commits: u64,
    staged: u64,
    catalog: Catalog,
    merging: Merging,
}

impl RedisStore {
    /// A store with these options; the server is asked when it is taken over.
    ///
    /// # Errors
    /// `Configuration`.
    pub fn new(options: RedisOptions) -> Result<Self> {
        Ok(Self::at(Server::new(options.clone())?, options))
    }

    fn at(server: Server, options: RedisOptions) -> Self {
        Self {
            server,
            keys: Keys::new(&options.name),
            options,
            token: format!("{:032x}", rand::random::<u128>()),
            epoch: 0,
            held: None,
            is_fenced: false,
            out: Vec::new(),
            is_checked: false,
        }
    }

    /// The words that each script of the writer begins with.
    fn begin<'a>(&self, script: &'a Script, held: &Held) -> ScriptInvocation<'a> {
        let mut script = script.prepare_invoke();
        script.key(self.keys.meta()).key(self.keys.staged());
        script
            .arg(self.epoch)
            .arg(&self.token)
            .arg(held.commits)
            .arg(held.staged);
        script
    }

    async fn run(
        &self,
        what: &'static str,
        script: &ScriptInvocation<'_>,
        held: &mut Held,
    ) -> Result<()> {
        let answer: redis::RedisResult<String> = script.invoke_async(&mut held.connection).await;
        let answer = answer.map_err(|cause| self.server.failed(what, cause))?;
        self.allowed(&answer)
    }

    fn allowed(&self, answer: &str) -> Result<()> {
        match answer {
            "ok" => Ok(()),
            "fenced" => Err(Error::new(
                ErrorKind::Locked,
                "another process has taken the store of folds over",
            )
            .with("store", self.name())
            .hint("let one process write it: that one goes on; give another pipeline another `name`")),
            _ => Err(Error::new(
                ErrorKind::SinkUnavailable,
                "the store of folds went back to what it was before",
            )
            .with("store", self.name())
            .hint("it was restarted or failed over and lost its last commits, and is read for where it stands; use `appendfsync always`")),
        }
    }

    /// What was taken over. Put back only if all goes well: else the step is void.
    fn begin_step(&mut self) -> Result<Held> {
        if self.is_fenced {
            self.allowed("fenced")?;
        }
        self.held.take().ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "a store of folds was written to before it was taken over",
            )
        })
    }

    fn noted<T>(&mut self, done: Result<T>) -> Result<T> {
        let error = done.as_ref().err();
        self.is_fenced = error.is_some_and(|error| error.kind() == ErrorKind::Locked);
        done
    }

    /// The indexes of a generation that goes.
    fn dropped(&self, script: &mut ScriptInvocation<'_>, number: u32, generation: &Generation) {
        for fold in 0..generation.folds.len() {
            script.arg(self.keys.index(number, fold));
        }
    }

    async fn claim(&mut self, folds: &[FoldInfo], anew: bool) -> Result<Taken> {
        self.held = None;
        let mut connection = self.server.connect().await?;
        self.check(&mut connection).await?;
        if self.options.refuses_others && !anew {
            self.look_whose(&mut connection, folds).await?;
        }
        let mut script = CLAIM.prepare_invoke();
        script
            .key(self.keys.meta())
            .arg(&self.token)
            .arg(self.epoch);
        let answer: redis::RedisResult<Vec<Vec<u8>>> = script.invoke_async(&mut connection).await;
        let answer = answer.map_err(|cause| self.server.failed("taking the store over", cause))?;
        let text = |at: usize| answer.get(at).map_or(&[][..], Vec::as_slice);
        let number = |at: usize| std::str::from_utf8(text(at)).ok()?.parse::<u64>().ok();
        self.allowed(&String::from_utf8_lossy(text(0)))?;
        self.epoch = number(1).unwrap_or(0);
        let mut held = Held {
            connection,
            commits: number(2).unwrap_or(0),
            staged: 0,
            catalog: self.server.catalog(text(3))?,
            merging: Merging::default(),
        };
        let given_up = held.catalog.choose(folds, anew);
        let mut script = self.begin(&SETTLE, &held);
        script.arg(document(&held.catalog)?);
        if let Some((number, generation)) = given_up {
            self.dropped(&mut script, number, &generation);
        }
        self.run("taking the store over", &script, &mut held)
            .await?;
        let writing = held.catalog.writing;
        let taken = Taken {
            progress: held.catalog.generations[&writing].progress.clone(),
            is_building: held.catalog.served != Some(writing),
        };
        self.held = Some(held);
        Ok(taken)
    }

    async fn merge_all(&mut self, fold: usize, deltas: &dyn Deltas) -> Result<()> {
        let mut held = self.begin_step()?;
        for start in (0..deltas.len()).step_by(READ_MAX) {
            let range = start..deltas.len().min(start + READ_MAX);
            self.merge_some(&mut held, fold, deltas, range).await?;
            if held.merging.size_bytes > self.options.step_bytes_max {
                self.stage(&mut held).await?;
            }
        }
        self.held = Some(held);
        Ok(())
    }

    async fn commit_step(&mut self, step: Step<'_>) -> Result<()> {
        let mut held = self.begin_step()?;
        let writing = held.catalog.writing;
        let gone = held.catalog.commit(step.progress, step.serve);
        let mut script = self.begin(&COMMIT, &held);
        script.arg(document(&held.catalog)?);
        held.merging.commit(&mut script, &self.keys, writing);
        let old = (0..).zip(step.keep_from_s);
        let old: Vec<(usize, i64)> = old
            .filter_map(|(fold, from_s)| Some((fold, (*from_s)?)))
            .collect();
        script.arg(old.len());
        for (fold, from_s) in old {
            script
                .arg(self.keys.index(writing, fold))
                .arg(bucket(from_s));
        }
        for (number, generation) in &gone {
            self.dropped(&mut script, *number, generation);
        }
        self.run("committing", &script, &mut held).await?;
        held.commits += 1;
        held.staged = 0;
        held.merging = Merging::default();
        self.held = Some(held);
        Ok(())
    }

    /// Reads what is stored at places that the step has not touched, and merges.
    async fn merge_some(
        &mut self,
        held: &mut Held,
        fold: usize,
        deltas: &dyn Deltas,
        range: std::ops::Range<usize>,
    ) -> Result<()> {
        let stored = self.stored(held, fold, deltas, range.clone()).await?;
        for (at, stored) in range.zip(stored) {
            let place = deltas.place(at);
            let now = match held.merging.get(fold, place) {
                Some(became) => became.as_deref(),
                None => stored.as_deref(),
            };
            self.out.clear();
            match deltas.merge(at, now, &mut self.out)? {
                Merged::Put => held.merging.put(fold, place, Some(self.out.clone())),
                Merged::Gone => held.merging.put(fold, place, None),
                Merged::Kept => {}
            }
        }
        Ok(())
    }

    /// What is stored, or staged, at each place; nothing where the step in memory knows, or the deltas do. Asked also where nothing
    /// is read: whether this writer still is the one.
    async fn stored(
        &self,
        held: &mut Held,
        fold: usize,
        deltas: &dyn Deltas,
        range: std::ops::Range<usize>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let wanted: Vec<usize> = range
            .clone()
            .filter(|at| !deltas.is_known(*at))
            .filter(|at| held.merging.get(fold, deltas.place(*at)).is_none())
            .collect();
        let mut asked = redis::pipe();
        asked.atomic();
        asked.cmd("HMGET").arg(self.keys.meta());
        asked.arg(&["epoch", "token", "commits", "staged"]);
        let index = self.keys.index(held.catalog.writing, fold);
        let bucket_of = |at: &usize| deltas.place(*at).bucket_s();
        for places in wanted.chunk_by(|a, b| bucket_of(a) == bucket_of(b)) {
            let state = format!("{index}:{}", bucket(bucket_of(&places[0])));
            let places = places.iter().map(|at| deltas.place(*at));
            if held.staged > 0 {
                ask(&mut asked, &format!("{state}:staged"), places.clone());
            }
            ask(&mut asked, &state, places);
        }
        let answers: redis::RedisResult<Vec<Vec<Option<Vec<u8>>>>> =
            asked.query_async(&mut held.connection).await;
        let answers = answers.map_err(|cause| self.server.failed("reading aggregates", cause))?;
        let mut answers = answers.into_iter();
        self.stands(held, &answers.next().unwrap_or_default())?;
        let mut found = vec![None; range.len()];
        for places in wanted.chunk_by(|a, b| bucket_of(a) == bucket_of(b)) {
            let staged = (held.staged > 0).then(|| answers.next().unwrap_or_default());
            let stored = answers.next().unwrap_or_default();
            for (number, (at, stored)) in places.iter().zip(stored).enumerate() {
                let staged = staged.as_ref().and_then(|staged| staged[number].as_deref());
                found[at - range.start] = match staged {
                    Some([b'+', bytes @ ..]) => Some(bytes.to_vec()),
                    Some(_) => None,
                    None => stored,
                };
            }
        }
        Ok(found)
    }

    /// As `writer.lua` looks.
    fn stands(&self, held: &Held, meta: &[Option<Vec<u8>>]) -> Result<()> {
        let text = |at: usize| meta.get(at).and_then(Option::as_deref).unwrap_or_default();
        let number = |at: usize| std::str::from_utf8(text(at)).ok()?.parse::<u64>().ok();
        let epoch = number(0).unwrap_or(0);
        if epoch != self.epoch || text(1) != self.token.as_bytes() {
            let is_fenced = epoch >= self.epoch;
            return self.allowed(if is_fenced { "fenced" } else { "behind" });
        }
        let is_there = (number(2), number(3)) == (Some(held.commits), Some(held.staged));
        self.allowed(if is_there { "ok" } else { "behind" })
    }

    async fn stage(&mut self, held: &mut Held) -> Result<()> {
        let mut script = self.begin(&STAGE, held);
        held.merging
            .stage(&mut script, &self.keys, held.catalog.writing);
        self.run("staging a step", &script, held).await?;
        held.staged += 1;
        held.merging = Merging::default();
        Ok(())
    }

    /// Looks before anybody is fenced off.
    async fn look_whose(
        &self,
        connection: &mut MultiplexedConnection,
        folds: &[FoldInfo],
    ) -> Result<()> {
        let catalog = self.server.read_catalog(connection, &self.keys).await?;
        let names: Vec<&str> = folds.iter().map(|fold| fold.name.as_str()).collect();
        let fault = self.server.of_others(&catalog, &names);
        fault.map_or(Ok(()), Err)
    }

    /// Looks once at what the server does with data when it ends or is full.
    async fn check(&mut self, connection: &mut MultiplexedConnection) -> Result<()> {
        if self.is_checked {
            return Ok(());
        }
        let habits = Habits::ask(connection).await;
        if habits.drops_now() {
            return Err(Error::new(
                ErrorKind::Prerequisite,
                "this Redis drops keys when it is full: aggregates would go without a word",
            )
            .with("store", self.name())
            .with("maxmemory-policy", habits.policy)
            .hint("set its maxmemory-policy to noeviction"));
        }
        if habits.keeps == Keeps::Nothing {
            tracing::warn!(
                store = self.name(),
                "this Redis keeps nothing when it ends: the folds are then built anew; set `appendonly yes`"
            );
        }
        self.is_checked = true;
        Ok(())
    }
}

fn ask<'a>(asked: &mut Pipeline, key: &str, places: impl Iterator<Item = &'a Place>) {
    asked.cmd("HMGET").arg(key);
    for place in places {
        asked.arg(place.key());
    }
}

impl StateStore for RedisStore {
    type Reader = RedisReader;

    fn name(&self) -> String {
        format!("redis:{}", self.options.shown())
    }

    async fn take_over(&mut self, folds: &[FoldInfo], anew: bool) -> Result<Taken> {
        let taken = self.claim(folds, anew).await;
        self.noted(taken)
    }

    async fn merge(&mut self, fold: usize, deltas: &dyn Deltas) -> Result<()> {
        let merged = self.merge_all(fold, deltas).await;
        self.noted(merged)
    }

    async fn commit(&mut self, step: Step<'_>) -> Result<()> {
        let committed = self.commit_step(step).await;
        self.noted(committed)
    }

    fn reader(&self) -> Result<RedisReader> {
        RedisReader::new(&self.options)
    }
}

fn document(catalog: &Catalog) -> Result<Vec<u8>> {
    serde_json::to_vec(catalog).map_err(|cause| {
        Error::new(ErrorKind::Internal, "the progress cannot be written down").caused_by(cause)
    })
}
