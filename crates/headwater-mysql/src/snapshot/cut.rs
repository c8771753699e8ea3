//! How a cut is taken: the position of the log, together with views of exactly that position. Which way depends on the
//! server and on what the user may do:
//!
//! | server | way |
//! |---|---|
//! | MariaDB, one reader | a consistent snapshot knows its own position: no lock |
//! | MariaDB, several readers | the views are opened together under a global read lock of milliseconds; without the privilege each has a cut of its own |
//! | MySQL with RELOAD | the same, the position read under the lock |
//! | MySQL with LOCK TABLES | read locks on the tables, held by one connection meanwhile |
//! | MySQL with GTID, no lock | marks: see [`headwater_core::engine`] |

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::position::Position;
use headwater_core::schema::TableName;
use headwater_core::source::{CutRequest, Cuts, TableInfo};
use headwater_core::{Error, ErrorKind, Result};

use super::chunk;
use super::control::Control;
use super::reader::{ReadTable, Reader};
use super::sql::{KeySql, quoted_table};
use crate::client::Connection;
use crate::decode::plan::RowPlan;
use crate::position::BinlogPosition;
use crate::source::{Definitions, MysqlSource, catalog_to_value};

/// Seconds to wait for a lock before it is given up.
const LOCK_WAIT_S: u32 = 5;
/// Tries for a lock that others hold.
const LOCK_TRIES: u32 = 4;
/// Tries for a cut that is not before the stream, and for definitions that stand still around it.
const CUT_TRIES: u32 = 200;
const CUT_RETRY: Duration = Duration::from_millis(25);

/// Opens views for the readers that `request` asks for.
pub(crate) async fn open(
    source: &MysqlSource,
    request: CutRequest<'_, BinlogPosition>,
) -> Result<Cuts<Reader>> {
    let mut control = Control::connect(&source.settings.connect).await?;
    let mut connections = Vec::new();
    for _ in 0..request.readers.max(1) {
        connections.push(session(source).await?);
    }
    let before = source.definitions(&mut control).await?;
    let scope = Scope::Copy(source);
    let (cuts, definitions) = steady(
        scope,
        &mut control,
        &mut connections,
        before,
        request.at_least,
    )
    .await?;
    let rules = control.rules;
    let condition = |table: &TableName| source.settings.condition(table, &rules);
    finish(
        condition,
        &mut Some(control),
        connections,
        cuts,
        &definitions,
    )
}

/// What views are opened for.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// A copy of all tables chosen.
    Copy(&'a MysqlSource),
    /// A chunk of one table, without a lock that others would wait for.
    Chunk(&'a TableName),
}

impl Scope<'_> {
    async fn definitions(self, control: &mut Control) -> Result<Definitions> {
        match self {
            Self::Copy(source) => source.definitions(control).await,
            Self::Chunk(table) => chunk::definition(control, table).await,
        }
    }

    async fn take(
        self,
        control: &mut Control,
        connections: &mut Vec<Connection>,
        definitions: &Definitions,
        at_least: Option<&BinlogPosition>,
    ) -> Result<Vec<Option<BinlogPosition>>> {
        match self {
            Self::Copy(_) => take(control, connections, definitions, at_least).await,
            Self::Chunk(_) if control.is_mariadb() => own_cuts(control, connections).await,
            Self::Chunk(_) => by_marks(control, connections, at_least).await,
        }
    }
}

/// Opens views until they are not before `at_least`, and the definitions are the same after they were opened as before, so
/// that they are those of the views. `before` may be of any earlier time: what has not changed since has not changed around the
/// views either.
pub(super) async fn steady(
    scope: Scope<'_>,
    control: &mut Control,
    connections: &mut Vec<Connection>,
    mut before: Definitions,
    at_least: Option<&BinlogPosition>,
) -> Result<(Vec<Option<BinlogPosition>>, Definitions)> {
    for attempt in 0..CUT_TRIES {
        let cuts = scope.take(control, connections, &before, at_least).await?;
        let after = scope.definitions(control).await?;
        let steady = before.is_same(&after);
        before = after;
        let late_enough = cuts
            .iter()
            .flatten()
            .all(|cut| at_least.is_none_or(|at_least| cut.includes(at_least)));
        if steady && late_enough {
            return Ok((cuts, before));
        }
        tracing::debug!(attempt, steady, late_enough, "the cut is taken again");
        for connection in connections.iter_mut() {
            connection.execute("ROLLBACK").await?;
        }
        tokio::time::sleep(CUT_RETRY).await;
    }
    Err(none_could_be_taken())
}

fn none_could_be_taken() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "no cut could be taken: definitions change, or the stream is ahead of every view",
    )
    .hint("it is tried again; if it goes on, look for DDL that runs in a loop")
}

/// A connection set up to read: everything a value depends on is fixed.
pub(super) async fn session(source: &MysqlSource) -> Result<Connection> {
    let mut connection = Connection::connect(&source.settings.connect).await?;
    let timeout = if connection.server().is_mariadb() {
        "max_statement_time = 0"
    } else {
        "max_execution_time = 0"
    };
    connection
        .execute(&format!(
            "SET SESSION time_zone = '+00:00', sql_mode = '', character_set_results = NULL, \
             net_write_timeout = 3600, net_read_timeout = 3600, wait_timeout = 86400, \
             lock_wait_timeout = {LOCK_WAIT_S}, {timeout}"
        ))
        .await?;
    connection
        .execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .await?;
    Ok(connection)
}

/// Opens a view on every connection. Gives each one's cut, none for cuts by marks. Connections that are more than the cuts
/// allow are dropped.
async fn take(
    control: &mut Control,
    connections: &mut Vec<Connection>,
    definitions: &Definitions,
    at_least: Option<&BinlogPosition>,
) -> Result<Vec<Option<BinlogPosition>>> {
    if control.is_mariadb() && connections.len() == 1 {
        return own_cuts(control, connections).await;
    }
    match lock(control, definitions).await {
        Ok(()) => {
            let cuts = under_lock(control, connections).await;
            let unlocked = control.connection.execute("UNLOCK TABLES").await;
            let cuts = cuts?;
            unlocked?;
            Ok(cuts)
        }
        Err(error) if control.is_mariadb() => {
            tracing::info!("each reader takes a cut of its own, because there is no global lock: {error}");
            own_cuts(control, connections).await
        }
        Err(error) if matches!(error.kind(), ErrorKind::Privilege) && control.gtid_mode => {
            tracing::info!("cuts are taken by marks, because there is no lock: {error}");
            by_marks(control, connections, at_least).await
        }
        Err(error) if matches!(error.kind(), ErrorKind::Privilege) => {
            Err(Error::new(ErrorKind::Privilege, "an exact copy needs a lock or GTIDs, and there is neither")
                .hint("GRANT RELOAD ON *.* TO the user (or GRANT LOCK TABLES ON the database), or turn on gtid_mode and enforce_gtid_consistency")
                .caused_by(error))
        }
        Err(error) => Err(error),
    }
}

/// The global read lock, or read locks on the tables. Bounded, given up, tried again.
async fn lock(control: &mut Control, definitions: &Definitions) -> Result<()> {
    control
        .connection
        .execute(&format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_S}"))
        .await?;
    let mut tries = 0;
    let global = loop {
        match control
            .connection
            .execute("FLUSH TABLES WITH READ LOCK")
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::LockTimeout && tries < LOCK_TRIES => {
                tries += 1;
                tracing::warn!(
                    tries,
                    "the global read lock was given up after {LOCK_WAIT_S} s, because long statements hold it up; it is tried again"
                );
                tokio::time::sleep(Duration::from_secs(1 << tries.min(4))).await;
            }
            Err(error) => break error,
        }
    };
    if control.is_mariadb() || definitions.tables.is_empty() {
        return Err(global);
    }
    let tables: Vec<String> = definitions
        .tables
        .iter()
        .map(|(definition, _)| format!("{} READ", quoted_table(&definition.name)))
        .collect();
    match control
        .connection
        .execute(&format!("LOCK TABLES {}", tables.join(", ")))
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::LockTimeout => Err(error),
        Err(error) => Err(Error::new(
            ErrorKind::Privilege,
            "neither FLUSH TABLES WITH READ LOCK nor LOCK TABLES is allowed",
        )
        .caused_by(error)),
    }
}

pub(super) const OPEN_VIEW: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";

/// Views under a lock, all at the position that is then the log's end.
async fn under_lock(
    control: &mut Control,
    connections: &mut [Connection],
) -> Result<Vec<Option<BinlogPosition>>> {
    for connection in connections.iter_mut() {
        connection.execute(OPEN_VIEW).await?;
    }
    let position = control.current_position().await?;
    Ok(vec![Some(position); connections.len()])
}

/// MariaDB: each view says its own position.
async fn own_cuts(
    control: &mut Control,
    connections: &mut [Connection],
) -> Result<Vec<Option<BinlogPosition>>> {
    let mut cuts = Vec::new();
    for connection in connections.iter_mut() {
        connection.execute(OPEN_VIEW).await?;
        let status = connection
            .query("SHOW STATUS LIKE 'binlog_snapshot_%'")
            .await?;
        let value = |name: &str| {
            let is_it = |row: &&crate::client::TextRow| {
                row.as_str(0)
                    .is_some_and(|found| found.eq_ignore_ascii_case(name))
            };
            status
                .rows
                .iter()
                .find(is_it)
                .and_then(|row| row.as_str(1))
                .unwrap_or_default()
        };
        let mut position = BinlogPosition {
            file: value("binlog_snapshot_file").to_owned(),
            offset: value("binlog_snapshot_position").parse().unwrap_or(0),
            gtid_set: None,
            gtid: None,
        };
        if position.file.is_empty() || position.offset == 0 {
            return Err(Error::new(
                ErrorKind::Prerequisite,
                "the server does not say the position of a consistent snapshot",
            )
            .hint(
                "it needs the binary log: start the server with --log-bin and --binlog-format=ROW",
            ));
        }
        control.add_domains(&mut position).await?;
        cuts.push(Some(position));
    }
    Ok(cuts)
}

/// One view whose position is between two marks. The low mark is MySQL's executed set, which lags visibility: once it holds
/// what the stream has emitted, a view opened then shows all of it.
async fn by_marks(
    control: &mut Control,
    connections: &mut Vec<Connection>,
    at_least: Option<&BinlogPosition>,
) -> Result<Vec<Option<BinlogPosition>>> {
    let ordered = control
        .connection
        .query_scalar("SELECT @@global.binlog_order_commits")
        .await?;
    if ordered.as_deref() != Some("1") {
        return Err(Error::new(
            ErrorKind::Prerequisite,
            "without a lock, commits must be ordered as the log is",
        )
        .hint("SET GLOBAL binlog_order_commits = ON, or GRANT RELOAD ON *.* TO the user"));
    }
    connections.truncate(1);
    if let Some(set) = at_least.and_then(|position| position.gtid_set.as_ref()) {
        let sql = format!("SELECT GTID_SUBSET('{set}', @@global.gtid_executed)");
        let mut tries = 0;
        while control.connection.query_scalar(&sql).await?.as_deref() != Some("1") {
            tries += 1;
            if tries == CUT_TRIES {
                return Err(none_could_be_taken());
            }
            tokio::time::sleep(CUT_RETRY).await;
        }
    }
    for connection in connections.iter_mut() {
        connection.execute(OPEN_VIEW).await?;
    }
    Ok(vec![None; connections.len()])
}

pub(super) fn finish(
    condition: impl Fn(&TableName) -> Option<String>,
    control: &mut Option<Control>,
    connections: Vec<Connection>,
    cuts: Vec<Option<BinlogPosition>>,
    definitions: &Definitions,
) -> Result<Cuts<Reader>> {
    let mut read = HashMap::new();
    let mut infos = Vec::new();
    for (definition, facts) in &definitions.tables {
        if !facts.transactional {
            return Err(Error::new(ErrorKind::Prerequisite, "a table's storage engine has no read view, so its rows cannot be read as of a position")
                .with("table", &definition.name)
                .with("engine", &facts.engine)
                .hint(format!("ALTER TABLE {} ENGINE = InnoDB, or leave the table out", quoted_table(&definition.name))));
        }
        let plan = RowPlan::new(Arc::clone(definition));
        let condition = condition(&definition.name);
        infos.push(TableInfo {
            schema: Arc::clone(plan.schema()),
            estimated_rows: facts.estimated_rows,
            is_bounded: condition.is_some(),
        });
        let table = ReadTable {
            key: KeySql::new(definition),
            condition,
            estimated_rows: facts.estimated_rows,
            plan,
        };
        read.insert(definition.name.clone(), Arc::new(table));
    }
    let read = Arc::new(read);
    let readers = connections
        .into_iter()
        .zip(cuts)
        .map(|(connection, cut)| {
            let control = if cut.is_none() { control.take() } else { None };
            Reader::new(connection, Arc::clone(&read), cut, control)
        })
        .collect();
    Ok(Cuts {
        readers,
        tables: infos,
        definitions: catalog_to_value(&definitions.catalog)?,
    })
}
