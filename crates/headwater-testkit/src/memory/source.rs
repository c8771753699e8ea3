//! The source in memory.

use std::fmt;
use std::sync::Arc;

use headwater_core::error::{Error, ErrorKind, Result};
use headwater_core::key::Key;
use headwater_core::load::{GAUGES, LoadLimits, Measured};
use headwater_core::position::{Position, SourceIdentity};
use headwater_core::schema::TableName;
use headwater_core::source::{self, ChunkRequest, ChunkRows, CutRequest, LogPoint, TableInfo};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::database::{Table, Tables, definitions, place_of_key};
use super::live::Live;
use super::reader::Reader;
use super::world::{Broken, Cuts, Load, World};
use super::writers::IGNORED;

/// A place in the log: after this many transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct At(pub u64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Position for At {
    fn includes(&self, other: &Self) -> bool {
        self >= other
    }
}

/// The world as a source.
#[derive(Debug, Clone)]
pub struct Source {
    world: World,
    streamed: Streamed,
}

/// The tables that are streamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Streamed {
    /// All but the one that no run copies.
    All,
    /// Those of which the name has one of these letters.
    WithLetter(Vec<char>),
}

impl Streamed {
    pub(super) fn has(&self, table: &TableName) -> bool {
        match self {
            Self::All => &*table.table != IGNORED,
            Self::WithLetter(letters) => {
                Self::All.has(table) && table.table.contains(letters.as_slice())
            }
        }
    }
}

impl Source {
    /// The source that `world` is.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            streamed: Streamed::All,
        }
    }

    /// The same, of some of its tables.
    #[must_use]
    pub fn streaming(self, streamed: Streamed) -> Self {
        Self { streamed, ..self }
    }

    fn cuts(&self) -> Cuts {
        self.world.lock().options.cuts
    }

    /// The tables that are streamed.
    fn infos(&self, tables: &Tables, is_bounded: bool) -> Vec<TableInfo> {
        let streamed = (tables.values()).filter(|table| self.streamed.has(&table.schema.name));
        let info = |table: &Arc<Table>| TableInfo {
            schema: Arc::clone(&table.schema),
            estimated_rows: table.rows.len() as u64,
            is_bounded,
        };
        streamed.map(info).collect()
    }

    async fn reader(&self, at_least: Option<At>) -> Reader {
        self.world.step().await;
        let broken = self.world.lock().options.broken;
        if self.cuts() == Cuts::Marks {
            let low = at_least.unwrap_or(At(0));
            while broken != Broken::ViewBeforeLowMark
                && self.world.lock().database.executed_at < low.0
            {
                self.world.step().await;
            }
            let view = Arc::clone(&self.world.lock().database.visible);
            return Reader::new(&self.world, view, None);
        }
        let before = self.world.lock().database.end();
        if broken == Broken::PositionBeforeView {
            self.world.step().await;
        }
        let (view, at) = {
            let inner = self.world.lock();
            (Arc::clone(&inner.database.latest), inner.database.end())
        };
        if broken == Broken::PositionAfterView {
            self.world.step().await;
        }
        let cut = match broken {
            Broken::PositionBeforeView => before,
            Broken::PositionAfterView => self.world.lock().database.end(),
            _ => at,
        };
        Reader::new(&self.world, view, Some(At(cut)))
    }
}

impl source::Source for Source {
    type Position = At;
    type Reader = Reader;
    type Live = Live;

    fn selection(&self) -> Value {
        json!(self.streamed)
    }

    fn with_selection(&self, selection: &Value) -> Result<Self> {
        let streamed = serde_json::from_value(selection.clone()).map_err(|cause| {
            Error::new(ErrorKind::CheckpointForeign, "no such selection").caused_by(cause)
        })?;
        if self.world.lock().options.broken == Broken::ReadsAddedTablesTooEarly {
            return Ok(self.clone());
        }
        Ok(self.clone().streaming(streamed))
    }

    async fn selects(&self, tables: &[TableName]) -> Result<Vec<bool>> {
        self.world.step().await;
        Ok(tables
            .iter()
            .map(|table| self.streamed.has(table))
            .collect())
    }

    async fn identity(&self) -> Result<SourceIdentity> {
        self.world.step().await;
        Ok(SourceIdentity {
            kind: "memory".into(),
            id: "world".into(),
        })
    }

    async fn current(&self) -> Result<(At, Value)> {
        self.world.step().await;
        self.world.lose_connection()?;
        let inner = self.world.lock();
        Ok((
            At(inner.database.end()),
            definitions(&inner.database.latest),
        ))
    }

    async fn check_available(&self, position: &At) -> Result<()> {
        self.world.step().await;
        available(&self.world, *position)
    }

    async fn open_cuts(&self, request: CutRequest<'_, At>) -> Result<source::Cuts<Reader>> {
        self.world.lose_connection()?;
        let cuts = self.cuts();
        let mut readers = vec![self.reader(request.at_least.copied()).await];
        let wanted = if cuts == Cuts::Marks {
            1
        } else {
            request.readers
        };
        while readers.len() < wanted {
            let reader = match cuts {
                Cuts::Shared => readers[0].beside(),
                Cuts::PerReader | Cuts::Marks => self.reader(request.at_least.copied()).await,
            };
            readers.push(reader);
        }
        let definitions = readers.first().map_or(Value::Null, Reader::definitions);
        self.world.step().await;
        let inner = self.world.lock();
        let tables = self.infos(&inner.database.latest, inner.options.bounded);
        drop(inner);
        Ok(source::Cuts {
            readers,
            tables,
            definitions,
        })
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        self.world.step().await;
        self.world.lose_connection()?;
        Ok(self.infos(&self.world.lock().database.latest, false))
    }

    async fn load(&self, asked: &LoadLimits) -> Result<Vec<Measured>> {
        self.world.step().await;
        self.world.lose_connection()?;
        let load = self.world.lock().options.load;
        let value = match load {
            Load::ByChance => Ok(self.world.random(100)),
            Load::Is(value) => Ok(value),
            Load::Unknown => Err("it is not said".to_owned()),
            Load::Hangs => std::future::pending().await,
        };
        let gauges = GAUGES.iter().filter(|gauge| asked.of(**gauge).is_some());
        let measured = gauges.map(|&gauge| Measured {
            gauge,
            of: None,
            value: value.clone(),
        });
        Ok(measured.collect())
    }

    fn can_measure(&self, _asked: &LoadLimits) -> Result<()> {
        Ok(())
    }

    async fn open_chunk(&self, request: ChunkRequest<'_, At>) -> Result<source::Cuts<Reader>> {
        self.world.lose_connection()?;
        // The world knows one condition only, whoever asks for it.
        let is_bounded = match request.rows {
            ChunkRows::All | ChunkRows::Among { .. } => false,
            ChunkRows::Where(_) => true,
            ChunkRows::OfFirstCopy => self.world.lock().options.bounded,
        };
        let reader = self
            .reader(Some(*request.at_least))
            .await
            .bounded(is_bounded);
        self.world.step().await;
        let mut tables = self.infos(&self.world.lock().database.latest, is_bounded);
        tables.retain(|info| info.schema.name == *request.table);
        if tables.is_empty() {
            let gone = Error::new(ErrorKind::NotFound, "no such table");
            return Err(gone.with("table", request.table));
        }
        Ok(source::Cuts {
            readers: vec![reader],
            tables,
            definitions: Value::Null,
        })
    }

    async fn locate(&self, table: &TableName, bounds: &[Key], keys: &[Key]) -> Result<Vec<usize>> {
        self.world.step().await;
        self.world.lose_connection()?;
        let inner = self.world.lock();
        if inner.options.broken == Broken::LocatesByBytes {
            let below = |key: &Key| bounds.iter().filter(|bound| *bound < key).count();
            return Ok(keys.iter().map(below).collect());
        }
        let found = inner.database.latest.get(table);
        let Some(table) = found else {
            return Err(Error::new(ErrorKind::NotFound, "no such table").with("table", table));
        };
        let place = |key: &Key| place_of_key(&table.schema, key);
        let bounds: Vec<_> = bounds.iter().map(place).collect();
        assert!(
            bounds.is_sorted(),
            "bounds are not in the server's order: {bounds:?}"
        );
        let below = |key: &Key| bounds.iter().filter(|bound| **bound < place(key)).count();
        Ok(keys.iter().map(below).collect())
    }

    async fn open_live(&self, point: &LogPoint<At>, definitions: &Value) -> Result<Live> {
        self.world.step().await;
        self.world.lose_connection()?;
        available(&self.world, point.position)?;
        let valid = self.world.lock().database.definitions_at(point.position.0);
        if *definitions != valid {
            let what = "the definitions are not those valid where the log is opened";
            return Err(Error::new(ErrorKind::Internal, what)
                .with("position", point.position)
                .with("given", definitions)
                .with("valid", valid));
        }
        Ok(Live::new(&self.world, point.clone(), self.streamed.clone()))
    }
}

pub(super) fn available(world: &World, position: At) -> Result<()> {
    let purged = world.lock().database.purged;
    if position.0 < purged {
        return Err(
            Error::new(ErrorKind::ExpiredPosition, "the log no longer reaches back")
                .with("position", position)
                .hint("copy again"),
        );
    }
    Ok(())
}
