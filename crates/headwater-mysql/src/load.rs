//! The load of a server, as bootstraps look at it: `Threads_running`, InnoDB's history list length, and how far its replicas
//! are behind. Asked on connections of their own, which are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_core::load::{Gauge, LoadLimits, Measured};
use headwater_core::{Error, ErrorKind, Result};
use tokio::task::JoinSet;

use crate::check::Finding;
use crate::client::{Connection, TextRow};
use crate::config::ConnectOptions;
use crate::source::MysqlSource;

/// How long a server may take to say one thing of its load: a log-in and a status are nothing, and nobody reads meanwhile.
const SAID_WITHIN: Duration = Duration::from_secs(10);

/// The connections that are kept, by address. Shared by a source and what it measures beside itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probes(Arc<Mutex<HashMap<String, Connection>>>);

impl Probes {
    fn take(&self, options: &ConnectOptions) -> Option<Connection> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&options.address.to_string())
    }

    fn give(&self, options: &ConnectOptions, connection: Connection) {
        if connection.is_usable() {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(options.address.to_string(), connection);
        }
    }
}

/// What a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Of the source: what of it has a limit.
    Source(LoadLimits),
    /// Of a replica.
    Lag,
}

/// Measures what `asked` has limits for. Servers are asked side by side; dropped, it leaves nothing behind.
pub(crate) async fn measure(source: &MysqlSource, asked: &LoadLimits) -> Result<Vec<Measured>> {
    let settings = &source.settings;
    let mut asking = JoinSet::new();
    let mut ask = |options: &ConnectOptions, ask: Ask| {
        let (probes, options) = (source.probes.clone(), options.clone());
        asking.spawn(async move { said(&probes, &options, ask).await });
    };
    if asked.threads_running.is_some() || asked.history_length.is_some() {
        ask(&settings.connect, Ask::Source(*asked));
    }
    if asked.replica_lag_s.is_some() {
        for replica in &settings.replicas {
            ask(replica, Ask::Lag);
        }
    }
    let mut measured = Vec::new();
    while let Some(said) = asking.join_next().await {
        measured.extend(said.map_err(|cause| {
            Error::new(ErrorKind::Internal, "a measurement was interrupted").caused_by(cause)
        })?);
    }
    // In one order, whoever answers first: they are compared with those before, and shown.
    measured
        .sort_by(|one, other| (one.gauge.name(), &one.of).cmp(&(other.gauge.name(), &other.of)));
    Ok(measured)
}

/// What a server says of itself, or why it says nothing.
async fn said(probes: &Probes, options: &ConnectOptions, ask: Ask) -> Vec<Measured> {
    let answered = tokio::time::timeout(SAID_WITHIN, answer(probes, options, ask)).await;
    let error = match answered {
        Ok(Ok(measured)) => return measured,
        Ok(Err(error)) => error,
        Err(_) => Error::new(
            ErrorKind::Timeout,
            format!("no answer within {} s", SAID_WITHIN.as_secs()),
        ),
    };
    let why = error.in_one_line();
    let unknown = |gauge, of| Measured {
        gauge,
        of,
        value: Err(why.clone()),
    };
    match ask {
        Ask::Lag => vec![unknown(
            Gauge::ReplicaLag,
            Some(options.address.to_string()),
        )],
        Ask::Source(asked) => [Gauge::ThreadsRunning, Gauge::HistoryLength]
            .into_iter()
            .filter(|gauge| asked.of(*gauge).is_some())
            .map(|gauge| unknown(gauge, None))
            .collect(),
    }
}

/// On the connection that was kept, or on a new one where that has died.
async fn answer(probes: &Probes, options: &ConnectOptions, ask: Ask) -> Result<Vec<Measured>> {
    let mut kept = probes.take(options);
    if let Some(connection) = &mut kept
        && connection.ping().await.is_err()
    {
        kept = None;
    }
    let mut connection = match kept {
        Some(connection) => connection,
        None => Connection::connect(options).await?,
    };
    let measured = match ask {
        Ask::Source(asked) => of_source(&mut connection, &asked).await?,
        Ask::Lag => vec![Measured {
            gauge: Gauge::ReplicaLag,
            of: Some(options.address.to_string()),
            value: lag(&mut connection).await?,
        }],
    };
    // What is granted counts for new sessions only.
    if measured.iter().all(|one| one.value.is_ok()) {
        probes.give(options, connection);
    }
    Ok(measured)
}

async fn of_source(connection: &mut Connection, asked: &LoadLimits) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    if asked.threads_running.is_some() {
        let value = status(connection, "Threads_running").await?;
        measured.push(Measured {
            gauge: Gauge::ThreadsRunning,
            of: None,
            value: value.ok_or_else(|| "the server has no such status".to_owned()),
        });
    }
    if asked.history_length.is_some() {
        let value = history_length(connection).await;
        measured.push(Measured {
            gauge: Gauge::HistoryLength,
            of: None,
            // The other gauge may be known all the same: the lack of a privilege is no lost connection.
            value: match value {
                Ok(value) => value.ok_or_else(|| "InnoDB does not say it".to_owned()),
                Err(error) if error.is_temporary() => return Err(error),
                Err(error) => Err(error.in_one_line()),
            },
        });
    }
    Ok(measured)
}

async fn status(connection: &mut Connection, name: &str) -> Result<Option<u64>> {
    let row = connection
        .query_one(&format!("SHOW GLOBAL STATUS LIKE '{name}'"))
        .await?;
    Ok(row.and_then(|row| row.u64(1)))
}

/// MariaDB has it among its status, for everybody; MySQL among InnoDB's counters, which are on from the start
/// (`information_schema.INNODB_METRICS`) and for which one needs PROCESS.
async fn history_length(connection: &mut Connection) -> Result<Option<u64>> {
    if connection.server().is_mariadb() {
        return status(connection, "Innodb_history_list_length").await;
    }
    let row = connection
        .query_one("SELECT `COUNT` FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'")
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::Privilege => error.hint(GRANT_PROCESS),
            _ => error,
        })?;
    Ok(row.and_then(|row| row.u64(0)))
}

const GRANT_PROCESS: &str = "GRANT PROCESS ON *.* TO the account";

/// The seconds that a replica is behind, the most of its channels, or why that is not known.
async fn lag(connection: &mut Connection) -> Result<std::result::Result<u64, String>> {
    let server = connection.server();
    let statement = match (server.is_mariadb(), server.version < (8, 0, 22)) {
        (true, _) => "SHOW ALL SLAVES STATUS",
        (false, true) => "SHOW SLAVE STATUS",
        (false, false) => "SHOW REPLICA STATUS",
    };
    let grant = if server.is_mariadb() {
        "GRANT REPLICA MONITOR ON *.* TO the account, on the replica"
    } else {
        "GRANT REPLICATION CLIENT ON *.* TO the account, on the replica"
    };
    let channels = connection.query(statement).await;
    let channels = channels.map_err(|error| match error.kind() {
        ErrorKind::Privilege => error.hint(grant),
        _ => error,
    })?;
    let mut behind = None;
    for channel in &channels.rows {
        let seconds = first(channel, ["Seconds_Behind_Source", "Seconds_Behind_Master"]);
        let Some(seconds) = seconds.and_then(|text| text.parse::<u64>().ok()) else {
            return Ok(Err(standstill(channel)));
        };
        behind = behind.max(Some(seconds));
    }
    Ok(behind.ok_or_else(|| "it replicates from nobody".to_owned()))
}

/// The one of two names that a column has.
fn first<'r>(row: &'r TextRow, names: [&str; 2]) -> Option<&'r str> {
    names.into_iter().find_map(|name| row.get(name))
}

/// Why a channel does not know how far it is behind.
fn standstill(channel: &TextRow) -> String {
    let cell = |names| first(channel, names).unwrap_or_default();
    let io = cell(["Replica_IO_Running", "Slave_IO_Running"]);
    let sql = cell(["Replica_SQL_Running", "Slave_SQL_Running"]);
    let errors = [cell(["Last_IO_Error"; 2]), cell(["Last_SQL_Error"; 2])];
    let error: String = errors
        .into_iter()
        .filter(|error| !error.is_empty())
        .map(|error| format!(": {error}"))
        .collect();
    format!("it does not replicate: IO thread {io}, SQL thread {sql}{error}")
}

/// Looks at whether all that the run has limits for can be measured.
pub(crate) async fn check(source: &MysqlSource, findings: &mut Vec<Finding>) -> Result<()> {
    for measured in measure(source, &source.settings.load).await? {
        let name = measured.what();
        findings.push(match &measured.value {
            Ok(_) => Finding::ok(name, measured.to_string()),
            Err(why) => Finding::warning(name, why).expected(
                "bootstraps with a limit for it wait until it is known: mend this, or take the limit out (bootstrap.load)",
            ),
        });
    }
    Ok(())
}
