//! The log, live: events become transactions ([`receive`]), transactions become rows ([`emit`]). Rows wait for their
//! transaction's end ([`transaction`]); a lost connection is opened again at the last boundary ([`dump`]).

mod definitions;
mod dump;
mod emit;
mod end;
mod history;
mod receive;
mod tables;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use headwater_core::batch::Batch;
use headwater_core::position::Position;
use headwater_core::retry::Backoff;
use headwater_core::schema::TableName;
use headwater_core::source::{LiveSource, LiveStep, LogPoint, Watched};
use headwater_core::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::time::Instant;

use self::dump::Dump;
use self::emit::{Emitted, Ready};
use self::end::LogEnd;
use self::receive::State;
use self::tables::{Asked, Tables};
use crate::position::BinlogPosition;
use crate::schema::{Catalog, Selection, read_catalog, read_definitions};
use crate::snapshot::control::Control;
use crate::source::{Settings, catalog_to_value};

/// How long the log may be silent before that is said upwards.
const IDLE: Duration = Duration::from_secs(2);
/// Tries to reach the server again before the failure goes upwards, where it is tried on from the last durable point.
const RECONNECTS_MAX: u32 = 6;

/// The log of a server, being read.
#[derive(Debug)]
pub struct Live {
    settings: Arc<Settings>,
    dump: Option<Dump>,
    state: State,
    /// A transaction that has ended, on its way out.
    ready: Option<Ready>,
    target: Option<BinlogPosition>,
    /// Whether the last boundary lies at or behind the target.
    reached: bool,
    reconnects: u32,
    /// Failures that were waited out, and not told yet.
    waited_out: Vec<Error>,
    end: LogEnd,
    /// When it was last said where the log is out.
    said: Instant,
}

impl Live {
    pub(crate) async fn open(
        settings: Arc<Settings>,
        point: &LogPoint<BinlogPosition>,
        definitions: &Value,
    ) -> Result<Self> {
        let catalog: Catalog = if definitions.is_null() {
            // The token or position carries no definitions: they are then as they are now, or as the log says.
            let mut control = Control::connect(&settings.connect).await?;
            let selection = control.rules.selection(&settings.selection);
            let (catalog, _) = read_catalog(&mut control.connection, &selection).await?;
            control.close().await;
            catalog
        } else {
            serde_json::from_value(definitions.clone()).map_err(|cause| {
                Error::new(
                    ErrorKind::ForeignPosition,
                    "the table definitions of the checkpoint or token cannot be read",
                )
                .hint("it was made by another version of headwater: copy again from the beginning")
                .caused_by(cause)
            })?
        };
        let dump = Dump::open(&settings, &point.position).await?;
        let selection = dump.rules.selection(&settings.selection);
        let mariadb = dump.connection.server().is_mariadb();
        let watched = settings.trigger.as_ref().map(|table| {
            let table = dump.rules.table(table);
            let is_streamed = selection.has(&table);
            Watched { table, is_streamed }
        });
        let tables = Tables::new(selection, catalog, mariadb, watched);
        let state = State::new(Arc::clone(&settings), tables, dump.rules, point);
        let end = LogEnd::ask(settings.connect.clone());
        Ok(Self {
            waited_out: Vec::new(),
            end,
            settings,
            dump: Some(dump),
            state,
            ready: None,
            target: None,
            reached: false,
            reconnects: 0,
            said: Instant::now(),
        })
    }

    fn point(&self) -> LogPoint<BinlogPosition> {
        self.state.point(self.ready.is_some())
    }

    /// Asked for each packet, so the target is compared only when the boundary has moved.
    fn is_reached(&mut self) -> bool {
        if self.ready.is_some() {
            return false;
        }
        if std::mem::take(&mut self.state.moved) {
            let target = self.target.as_ref();
            self.reached = target.is_some_and(|target| self.state.position.includes(target));
        }
        self.reached
    }

    /// Appends what is at hand. `None`: nothing more is, and the connection has to be waited for.
    fn advance(&mut self, batch: &mut Batch) -> Result<Advance> {
        loop {
            // Before the rows: a compressed transaction arrives with its end.
            if !self.state.needs.is_empty() {
                return Ok(Advance::Unknown);
            }
            if let Some(ready) = &mut self.ready {
                match emit::emit(ready, &mut self.state, batch)? {
                    Emitted::Full => return Ok(Advance::Full),
                    Emitted::Done => {
                        if let Some(ready) = self.ready.take() {
                            self.state.finish(ready);
                        }
                    }
                }
            }
            if self.is_reached() {
                return Ok(Advance::Reached);
            }
            if emit::is_full(batch) {
                return Ok(Advance::Full);
            }
            let Some(dump) = &mut self.dump else {
                return Ok(Advance::Empty);
            };
            let Some(packet) = dump.connection.next_packet()? else {
                return Ok(Advance::Empty);
            };
            match packet.split_first() {
                Some((0, bytes)) => {
                    let event = dump.framing.event(bytes)?;
                    self.reconnects = 0;
                    self.ready = self.state.receive(&event, batch)?;
                }
                Some((0xFF, _)) => {
                    let error = crate::client::Connection::server_error(packet);
                    return Err(error
                        .during("reading the binlog")
                        .with("position", &self.state.position));
                }
                _ => {
                    return Err(Error::new(
                        ErrorKind::Connection,
                        "the server ended the log",
                    ));
                }
            }
        }
    }

    /// Reads the definitions of tables that neither DDL nor the log told, and takes them if they fit.
    async fn read_definitions(&mut self) -> Result<()> {
        while let Some((id, table)) = self.state.needs.last().cloned() {
            self.read_definition(id, table).await?;
            self.state.needs.pop();
        }
        Ok(())
    }

    async fn read_definition(&mut self, id: u64, table: TableName) -> Result<()> {
        let mut control = Control::connect(&self.settings.connect).await?;
        let selection = Selection::Tables(vec![table.clone()]);
        let is_silent = self.state.tables.is_silent(&table);
        let found = read_definitions(&mut control.connection, &selection).await;
        control.close().await;
        if let Some((definition, _)) = found.ok().and_then(|found| found.into_iter().next()) {
            if !is_silent {
                tracing::warn!(%table, "the definition was read from the server, because DDL in the log could not be followed");
            }
            self.state.tables.learn(definition);
        }
        if !self.state.tables.bind(id, Asked::Yes)? {
            if is_silent {
                tracing::warn!(%table, position = %self.state.position, "what the rows of this table ask for cannot be read here, because the table has another definition by now: ask again");
                self.state.tables.leave_out(id);
                return Ok(());
            }
            return Err(Error::new(ErrorKind::SchemaMismatch, "a table's definition at this place of the log cannot be known")
                .with("table", table)
                .with("position", &self.state.position)
                .hint("SET GLOBAL binlog_row_metadata = FULL, so that the log carries it; then copy the table again"));
        }
        Ok(())
    }

    /// Opens the log again at the last boundary.
    async fn reconnect(&mut self) -> Result<()> {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            ..Backoff::default()
        };
        loop {
            let wait = backoff.bound(self.reconnects);
            self.reconnects += 1;
            match Dump::open(&self.settings, &self.state.position).await {
                Ok(dump) => {
                    self.state.rules = dump.rules;
                    self.dump = Some(dump);
                    return Ok(());
                }
                Err(error) if error.is_temporary() && self.reconnects < RECONNECTS_MAX => {
                    tracing::warn!(
                        tries = self.reconnects,
                        "the log cannot be reached: {error}"
                    );
                    self.waited_out.push(error);
                    tokio::time::sleep(wait).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The connection broke: what of the open transaction has arrived is void.
    fn lose(&mut self, error: Error) -> Result<()> {
        self.dump = None;
        self.state.void();
        if error.kind() != ErrorKind::Connection || self.reconnects >= RECONNECTS_MAX {
            return Err(error);
        }
        tracing::warn!(position = %self.state.position, "the log is opened again at the last boundary: {error}");
        self.waited_out.push(error);
        Ok(())
    }
}

/// Asks for the log at `position` and waits for its first event, as a stream would.
pub(crate) async fn probe_dump(settings: &Settings, position: &BinlogPosition) -> Result<()> {
    let mut dump = Dump::open(settings, position).await?;
    dump.connection.fill().await?;
    match dump.connection.next_packet()? {
        Some(packet) if packet.first() == Some(&0xFF) => {
            Err(crate::client::Connection::server_error(packet))
        }
        _ => Ok(()),
    }
}

enum Advance {
    /// The batch is as large as it should be.
    Full,
    /// The target is reached.
    Reached,
    /// Everything at hand is out.
    Empty,
    /// A definition has to be read.
    Unknown,
}

impl LiveSource for Live {
    type Position = BinlogPosition;

    fn set_target(&mut self, target: Option<BinlogPosition>) {
        self.target = target;
        self.state.moved = true;
    }

    async fn next(&mut self, batch: &mut Batch) -> Result<LiveStep<BinlogPosition>> {
        let step = self.step(batch).await?;
        self.said = Instant::now();
        Ok(step)
    }

    fn definitions(&mut self) -> Option<Value> {
        if !std::mem::take(&mut self.state.tables.changed) {
            return None;
        }
        catalog_to_value(&self.state.tables.catalog).ok()
    }

    fn read_up_to(&self) -> Option<u64> {
        self.state.read_up_to_s
    }

    fn bytes_left(&self) -> Option<u64> {
        self.end.bytes_after(&self.state.position)
    }

    fn waited_out(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.waited_out)
    }

    fn watched(&self) -> Option<&Watched> {
        self.state.tables.watched.as_ref()
    }

    fn acknowledge(&mut self, _point: &LogPoint<BinlogPosition>) {}

    async fn close(self) {
        if let Some(dump) = self.dump {
            // Amid the log there is no polite end: the socket is closed.
            drop(dump);
        }
    }
}

impl Live {
    async fn step(&mut self, batch: &mut Batch) -> Result<LiveStep<BinlogPosition>> {
        // Every wait below begins with an empty batch, so that a future which is dropped has taken nothing with it.
        loop {
            let advance = match self.advance(batch) {
                Ok(advance) => advance,
                Err(error) => {
                    self.lose(error)?;
                    Advance::Empty
                }
            };
            match advance {
                Advance::Reached => return Ok(LiveStep::Reached(self.point())),
                Advance::Full | Advance::Empty | Advance::Unknown if !batch.is_empty() => {
                    return Ok(LiveStep::Rows(self.point()));
                }
                // Full of rows that were out already, and taken back: their cells go too.
                Advance::Full => batch.clear(),
                Advance::Unknown => self.read_definitions().await?,
                // Others may write to the log without an end, and nothing of it be ours.
                Advance::Empty if self.said.elapsed() > IDLE => {
                    return Ok(LiveStep::Idle(self.point()));
                }
                Advance::Empty => match &mut self.dump {
                    None => self.reconnect().await?,
                    Some(dump) => match tokio::time::timeout(IDLE, dump.connection.fill()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => self.lose(error)?,
                        Err(_) => return Ok(LiveStep::Idle(self.point())),
                    },
                },
            }
        }
    }
}
