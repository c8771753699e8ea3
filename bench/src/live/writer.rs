//! Sessions that insert rows at a steady rate, whatever comes of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_servers::{Error, Instance, Result};
use tokio::time::MissedTickBehavior;

use super::now_us;

/// The table of the rows whose way is timed.
pub(crate) const TABLE: &str = "create database if not exists bench; drop table if exists bench.latency; \
    create table bench.latency (id bigint auto_increment primary key, at_us bigint not null, \
    note varchar(64) not null default 'a note of about as many bytes as the other table has')";
/// Sessions.
const SESSIONS: u64 = 4;

/// How much is written, and what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Rows a second.
    pub(crate) rows_per_s: u64,
    /// Rows of a transaction.
    pub(crate) rows_per_transaction: u64,
    /// Rows of `bench.orders`, of which each session updates one after each transaction.
    pub(crate) orders: Option<u64>,
}

/// The sessions, on a thread of their own.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<u64>>>,
    rows_per_transaction: u64,
}

impl Writer {
    pub(crate) fn start(server: &Instance, pace: Pace) -> Result<Self> {
        let url = format!("{}?ssl-mode=disabled", server.url("root", "", "bench"));
        let mut options = ConnectOptions::from_url(&url).map_err(said)?;
        options.allow_public_key_retrieval = true;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(format!("cannot start the writers: {error}")))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let mut sessions = Vec::new();
                for number in 0..SESSIONS {
                    let (options, stop) = (options.clone(), Arc::clone(&stopped));
                    sessions.push(tokio::spawn(async move {
                        write(&options, pace, number, &stop).await
                    }));
                }
                let mut all = Vec::new();
                for session in sessions {
                    let took = session.await;
                    all.extend(took.map_err(|error| Error::new(error.to_string()))??);
                }
                Ok(all)
            })
        });
        Ok(Self {
            stop,
            thread,
            rows_per_transaction: pace.rows_per_transaction,
        })
    }

    /// Ends them. Gives the number of rows, and how long each transaction took, in microseconds.
    pub(crate) fn stop(self) -> Result<(u64, Vec<u64>)> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        let took = ended.map_err(|_| Error::new("a writer broke down"))??;
        Ok((took.len() as u64 * self.rows_per_transaction, took))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err wants it")]
fn said(error: impl std::fmt::Display) -> Error {
    Error::new(format!("a writer: {error}"))
}

async fn write(
    options: &ConnectOptions,
    pace: Pace,
    number: u64,
    stop: &AtomicBool,
) -> Result<Vec<u64>> {
    let mut connection = Connection::connect(options).await.map_err(said)?;
    let per_s = (pace.rows_per_s / pace.rows_per_transaction).max(1);
    let mut ticks = tokio::time::interval(
        Duration::from_secs(1) * u32::try_from(SESSIONS).unwrap_or(1)
            / u32::try_from(per_s).unwrap_or(u32::MAX),
    );
    // What could not be written in time is written later: the rate holds.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut took, mut sql) = (Vec::new(), String::new());
    let mut order = number;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        sql.clear();
        sql.push_str("insert into latency (at_us) values ");
        let sent_us = now_us();
        for row in 0..pace.rows_per_transaction {
            let comma = if row > 0 { "," } else { "" };
            let _ = write!(sql, "{comma}({sent_us})");
        }
        connection.execute(&sql).await.map_err(said)?;
        took.push(now_us().saturating_sub(sent_us));
        if let Some(orders) = pace.orders {
            order = (order + 7_919) % orders;
            let id = order + 1;
            let sql =
                format!("update orders set amount = (amount + 0.25) % 1000000 where id = {id}");
            connection.execute(&sql).await.map_err(said)?;
        }
    }
    connection.close().await;
    Ok(took)
}
