//! Bootstraps of the running stream: the list of them, and the commands that change it. The list is kept in the checkpoint
//! by the same changes, each sent behind the rows that it speaks of.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::note::Note;
use super::writer::WriterHandle;
use crate::bootstrap::{
    Action, Bootstrap, BootstrapId, BootstrapRequest, BootstrapState, Command, Commands,
    TableBootstrap, matches,
};
use crate::checkpoint::TableCopy;
use crate::clock;
use crate::coverage::CutId;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::key::KeyRange;
use crate::position::Position;
use crate::progress::Progress;
use crate::schema::TableName;
use crate::sink::Capabilities;
use crate::source::{Source, TableInfo};

/// Bootstraps that are over and still listed.
const OVER_MAX: usize = 100;

/// What is kept of the condition of one that is over and was read at once.
const LIST_CHARS_MAX: usize = 200;

/// What becomes of a bootstrap. Changes of different bootstraps and tables commute.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// It was asked for.
    Asked(Box<Bootstrap>),
    /// Somebody did something to it.
    Acted {
        id: BootstrapId,
        action: Action,
        at_s: u64,
    },
    /// The start of a table was announced.
    Announced {
        id: BootstrapId,
        table: TableName,
        at_s: u64,
    },
    /// Rows of a table are out.
    Read {
        id: BootstrapId,
        table: TableName,
        range: KeyRange,
        rows: u64,
    },
    /// A table's key is another: it is read from the beginning.
    Restarted { id: BootstrapId, copy: TableCopy },
    /// A table is all out, and that was announced.
    Completed {
        id: BootstrapId,
        table: TableName,
        at_s: u64,
    },
    /// A table cannot be read to its end.
    Failed {
        id: BootstrapId,
        table: TableName,
        reason: String,
        at_s: u64,
    },
}

impl Change {
    /// Makes it true in `list`.
    pub(super) fn apply(self, list: &mut Vec<Bootstrap>) {
        match self {
            Self::Asked(bootstrap) => {
                list.push(*bootstrap);
                forget_oldest(list);
            }
            Self::Acted { id, action, at_s } => {
                if let Some(bootstrap) = open(list, id) {
                    act(bootstrap, action, at_s);
                }
            }
            Self::Announced { id, table, at_s } => {
                if let Some(bootstrap) = open(list, id) {
                    bootstrap.began_at_s.get_or_insert(at_s);
                    if bootstrap.state == BootstrapState::Waiting {
                        bootstrap.state = BootstrapState::Running;
                    }
                    if let Some(found) = part(bootstrap, &table) {
                        found.copy.announced = true;
                    }
                }
            }
            Self::Read {
                id,
                table,
                range,
                rows,
            } => {
                if let Some(found) = open(list, id).and_then(|found| part(found, &table)) {
                    found.copy.rows += rows;
                    found.copy.coverage.mark(&range, CutId::PASSED);
                }
            }
            Self::Restarted { id, copy } => {
                let name = copy.name.clone();
                if let Some(found) = open(list, id).and_then(|found| part(found, &name)) {
                    found.copy = copy;
                }
            }
            Self::Completed { id, table, at_s } => {
                if let Some(bootstrap) = open(list, id) {
                    if let Some(found) = part(bootstrap, &table) {
                        found.copy.completed = true;
                    }
                    conclude(bootstrap, at_s);
                }
            }
            Self::Failed {
                id,
                table,
                reason,
                at_s,
            } => {
                if let Some(bootstrap) = open(list, id) {
                    if let Some(found) = part(bootstrap, &table) {
                        found.failed = Some(reason);
                    }
                    conclude(bootstrap, at_s);
                }
            }
        }
    }
}

/// The bootstrap of this number, unless it is over.
fn open(list: &mut [Bootstrap], id: BootstrapId) -> Option<&mut Bootstrap> {
    let mut open = list.iter_mut().filter(|found| !found.state.is_over());
    open.find(|found| found.id == id)
}

fn part<'a>(bootstrap: &'a mut Bootstrap, name: &TableName) -> Option<&'a mut TableBootstrap> {
    let mut tables = bootstrap.tables.iter_mut();
    tables.find(|table| table.copy.name == *name)
}

fn act(bootstrap: &mut Bootstrap, action: Action, at_s: u64) {
    let has_begun = bootstrap.began_at_s.is_some();
    match action {
        Action::Pause => bootstrap.state = BootstrapState::Paused,
        Action::Resume if bootstrap.state == BootstrapState::Paused => {
            bootstrap.state = if has_begun {
                BootstrapState::Running
            } else {
                BootstrapState::Waiting
            };
        }
        Action::Resume => {}
        Action::Abort => {
            bootstrap.state = BootstrapState::Aborted;
            bootstrap.ended_at_s = Some(at_s);
        }
        Action::Limit(limits) => bootstrap.request.limits = limits,
    }
}

/// Once every table is over, so is the bootstrap.
fn conclude(bootstrap: &mut Bootstrap, at_s: u64) {
    if !bootstrap.tables.iter().all(TableBootstrap::is_over) {
        return;
    }
    let failures: Vec<String> = bootstrap
        .tables
        .iter()
        .filter_map(|table| Some(format!("{}: {}", table.copy.name, table.failed.as_ref()?)))
        .collect();
    bootstrap.ended_at_s = Some(at_s);
    if bootstrap.request.at_once
        && let Some(condition) = &mut bootstrap.request.condition
        && let Some((end, _)) = condition.char_indices().nth(LIST_CHARS_MAX)
    {
        // A list of keys need not stand in every checkpoint from now on.
        condition.truncate(end);
        condition.push('…');
    }
    bootstrap.state = if failures.is_empty() {
        BootstrapState::Done
    } else {
        BootstrapState::Failed {
            reason: failures.join("; "),
        }
    };
}

/// The last one stays: the next number is counted from it.
fn forget_oldest(list: &mut Vec<Bootstrap>) {
    let over = |list: &[Bootstrap]| list.iter().filter(|found| found.state.is_over()).count();
    while over(list) > OVER_MAX {
        let Some(at) = list.iter().position(|found| found.state.is_over()) else {
            return;
        };
        list.remove(at);
    }
}

/// The list, as it will be once everything sent to the writer is durable.
#[derive(Debug, Clone)]
pub(super) struct Bootstraps {
    list: Arc<Mutex<Vec<Bootstrap>>>,
    progress: Arc<Progress>,
    /// The sink counts rows: none may be asked for again.
    counts_rows: bool,
    /// Wakes the stream: there may be something to read.
    pub(super) woken: Arc<Notify>,
}

impl Bootstraps {
    pub(super) fn new(list: &[Bootstrap], progress: &Arc<Progress>, can: Capabilities) -> Self {
        progress.set_bootstraps(list.to_vec());
        Self {
            list: Arc::new(Mutex::new(list.to_vec())),
            progress: Arc::clone(progress),
            counts_rows: can.counts_rows,
            woken: Arc::default(),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Bootstrap>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change true here. It has to be sent to the writer, too, behind its rows.
    pub(super) fn apply(&self, change: Change) {
        let mut list = self.locked();
        change.apply(&mut list);
        self.progress.set_bootstraps(list.clone());
        drop(list);
        self.woken.notify_one();
    }

    /// What `look` finds.
    pub(super) fn look<T>(&self, look: impl FnOnce(&[Bootstrap]) -> T) -> T {
        look(&self.locked())
    }

    /// Whether all rows of a table are out.
    pub(super) fn is_read(&self, id: BootstrapId, table: &TableName) -> bool {
        self.look(|list| {
            let found = list.iter().find(|found| found.id == id);
            let tables = found.map_or(&[][..], |found| found.tables.as_slice());
            let part = tables.iter().find(|part| part.copy.name == *table);
            part.is_some_and(|part| part.copy.coverage.is_complete())
        })
    }

    /// Takes commands for as long as it is polled.
    pub(super) async fn serve<S: Source>(
        &self,
        source: &S,
        filter: Option<&Filter>,
        commands: &tokio::sync::Mutex<Commands>,
        writer: WriterHandle<S::Position>,
    ) -> Infallible {
        let mut commands = commands.lock().await;
        while let Some(command) = commands.0.recv().await {
            // Whoever asked may have gone; what was asked for stands.
            match command {
                Command::Ask(request, answer) => {
                    let _ = answer.send(self.ask(source, filter, request, &writer).await);
                }
                Command::Act(id, action, answer) => {
                    let _ = answer.send(self.act(source, id, action, &writer).await);
                }
            }
        }
        // Nobody is left to ask.
        std::future::pending().await
    }

    async fn save<P: Position>(&self, change: Change, writer: &WriterHandle<P>) -> Result<()> {
        self.apply(change.clone());
        writer.save(Note::Bootstrap(change)).await
    }

    fn get(&self, id: BootstrapId) -> Result<Bootstrap> {
        let found = self.look(|list| list.iter().find(|found| found.id == id).cloned());
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such bootstrap")
                .with("id", id)
                .hint("`headwater bootstrap list` shows those that there are")
        })
    }

    async fn act<S: Source>(
        &self,
        source: &S,
        id: BootstrapId,
        action: Action,
        writer: &WriterHandle<S::Position>,
    ) -> Result<Bootstrap> {
        let found = self.get(id)?;
        if found.state.is_over() {
            return Err(
                Error::new(ErrorKind::Configuration, "the bootstrap is over already")
                    .with("id", id)
                    .with("state", &found.state)
                    .hint("ask for a new one"),
            );
        }
        if let Action::Limit(limits) = &action {
            source.can_measure(&limits.load.unwrap_or_default())?;
        }
        let at_s = clock::now_s();
        self.save(Change::Acted { id, action, at_s }, writer)
            .await?;
        self.get(id)
    }

    /// Takes a request. Of one origin only the first counts.
    pub(super) async fn ask<S: Source>(
        &self,
        source: &S,
        filter: Option<&Filter>,
        request: BootstrapRequest,
        writer: &WriterHandle<S::Position>,
    ) -> Result<Bootstrap> {
        if let Some(origin) = &request.origin
            && self.look(|list| of_origin(list, origin)).is_some()
        {
            // What is answered is in the checkpoint: behind it lies all that was sent to the writer before.
            writer.save(Note::Nothing).await?;
            let known = self.look(|list| of_origin(list, origin));
            return known.ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "the bootstrap is forgotten by now")
                    .with("origin", origin)
            });
        }
        if self.counts_rows {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "rows of a bootstrap would be counted twice where these go",
            )
            .hint("to have folds built anew beside those that answer, run with --rebuild-folds"));
        }
        source.can_measure(&request.limits.load.unwrap_or_default())?;
        let tables = chosen(&request, &source.tables().await?, filter)?;
        let bootstrap = self.numbered(request, tables, BootstrapState::Waiting);
        let id = bootstrap.id;
        tracing::info!(id, tables = ?bootstrap.request.tables, "a bootstrap was asked for");
        self.save(Change::Asked(Box::new(bootstrap)), writer)
            .await?;
        self.get(id)
    }

    /// Takes a request for which nobody waits: one that cannot be done is kept as failed. Of one origin only the first counts.
    pub(super) async fn take<S: Source>(
        &self,
        source: &S,
        filter: Option<&Filter>,
        request: BootstrapRequest,
        writer: &WriterHandle<S::Position>,
    ) -> Result<()> {
        let origin = request.origin.as_deref().unwrap_or_default();
        if self.look(|list| of_origin(list, origin)).is_some() {
            return Ok(());
        }
        let found = match source.tables().await {
            Err(error) if error.is_temporary() => return Err(error),
            found => found.and_then(|known| chosen(&request, &known, filter)),
        };
        let (tables, state) = match found {
            Ok(tables) => (tables, BootstrapState::Waiting),
            Err(error) => {
                let reason = error.in_one_line();
                (Vec::new(), BootstrapState::Failed { reason })
            }
        };
        let mut bootstrap = self.numbered(request, tables, state);
        let (id, origin) = (bootstrap.id, &bootstrap.request.origin);
        match &bootstrap.state {
            BootstrapState::Failed { reason } => {
                bootstrap.ended_at_s = Some(bootstrap.asked_at_s);
                let origin = origin.as_deref().unwrap_or_default();
                self.progress.notice(format!(
                    "bootstrap {id}, asked for by {origin}, is given up: {reason}"
                ));
            }
            _ => {
                tracing::info!(id, origin, tables = ?bootstrap.request.tables, "a bootstrap was asked for");
            }
        }
        self.send(Change::Asked(Box::new(bootstrap)), writer).await
    }

    /// Ends what was asked for by origins with this beginning.
    pub(super) async fn withdraw<P: Position>(
        &self,
        origin: &str,
        writer: &WriterHandle<P>,
    ) -> Result<()> {
        let is_meant = |found: &&Bootstrap| {
            let by = found.request.origin.as_deref();
            !found.state.is_over() && by.is_some_and(|by| by.starts_with(origin))
        };
        let ids: Vec<BootstrapId> = self.look(|list| {
            let meant = list.iter().filter(is_meant);
            meant.map(|found| found.id).collect()
        });
        for id in ids {
            let (action, at_s) = (Action::Abort, clock::now_s());
            tracing::info!(id, "the request of a bootstrap was withdrawn");
            self.send(Change::Acted { id, action, at_s }, writer)
                .await?;
        }
        Ok(())
    }

    /// Makes a change true here and sends it on its way to the checkpoint, ahead of everything sent later.
    async fn send<P: Position>(&self, change: Change, writer: &WriterHandle<P>) -> Result<()> {
        self.apply(change.clone());
        let nothing = writer.pool.take();
        writer.send(nothing, Note::Bootstrap(change)).await
    }

    /// A bootstrap with the next number.
    fn numbered(
        &self,
        request: BootstrapRequest,
        tables: Vec<TableBootstrap>,
        state: BootstrapState,
    ) -> Bootstrap {
        let id = self.look(|list| list.iter().map(|found| found.id).max().unwrap_or(0) + 1);
        Bootstrap {
            id,
            request,
            state,
            asked_at_s: clock::now_s(),
            began_at_s: None,
            ended_at_s: None,
            tables,
        }
    }
}

fn of_origin(list: &[Bootstrap], origin: &str) -> Option<Bootstrap> {
    let of = |found: &&Bootstrap| found.request.origin.as_deref() == Some(origin);
    list.iter().find(of).cloned()
}

/// The tables that a request means.
fn chosen(
    request: &BootstrapRequest,
    known: &[TableInfo],
    filter: Option<&Filter>,
) -> Result<Vec<TableBootstrap>> {
    let mut chosen: Vec<TableBootstrap> = Vec::new();
    for pattern in &request.tables {
        let mut found = false;
        for info in known {
            let name = &info.schema.name;
            if !matches(pattern, name) {
                continue;
            }
            found = true;
            if chosen.iter().any(|table| table.copy.name == *name) {
                continue;
            }
            chosen.push(TableBootstrap {
                copy: TableCopy::unread(&info.schema, info.estimated_rows),
                failed: None,
            });
        }
        if !found && filter.is_some_and(|filter| excludes(filter, pattern)) {
            return Err(Error::new(ErrorKind::NotFound, "the filter of the stream excludes this table")
                .with("name", pattern)
                .hint("only tables that are streamed can be bootstrapped; change the filter, or name a table that it includes"));
        }
        if !found {
            return Err(Error::new(ErrorKind::NotFound, "no table of the stream has this name")
                .with("name", pattern)
                .hint("write it as DATABASE.TABLE, with * for any characters; only tables that are streamed can be bootstrapped"));
        }
    }
    if chosen.is_empty() {
        return Err(Error::new(
            ErrorKind::Configuration,
            "a bootstrap needs at least one table",
        )
        .hint("name one as DATABASE.TABLE"));
    }
    Ok(chosen)
}

/// Whether the filter lets nothing pass of the one table that is named.
fn excludes(filter: &Filter, name: &str) -> bool {
    let table = name.split_once('.').filter(|_| !name.contains('*'));
    table.is_some_and(|(database, table)| !filter.may_pass(&TableName::new(database, table)))
}
