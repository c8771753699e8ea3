//! `cargo xtask bench`: Headwater beside the stock dump and *the wire* (a program that reads the same bytes and drops
//! them), on servers of its own, in one run. `bench/README.md` says what is measured and what came out.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to people"
)]

mod bootstrap;
mod count;
mod fold;
mod iotdb;
mod kafka;
mod latency;
mod live;
mod measure;
mod peers;
mod processors;
mod report;
mod side;
mod stage;
mod subject;
mod turns;
mod wire;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use headwater_servers::{Error, Flavor, Result};

/// Compares Headwater with the stock dump and with the wire itself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads what a server sends, and drops it: the limit the others are measured against.
    #[command(hide = true)]
    Wire(wire::Wire),
    /// Compares Headwater with Maxwell and Debezium.
    Peers(peers::Peers),
    /// Measures the way of a change to Kafka.
    Latency(latency::Latency),
    /// Measures the Kafka sink beside a bare producer.
    Kafka(kafka::Throughput),
    /// Sends the records of a file to Kafka: the limit of the sink.
    #[command(hide = true)]
    Produce(kafka::Produce),
    /// Measures rows of MySQL on their way into Apache IoTDB.
    Iotdb(iotdb::Iotdb),
    /// Says recorded calls to an IoTDB again: the limit of the sink.
    #[command(hide = true)]
    Tablets(iotdb::wire::Tablets),
    /// Writes rows that are in memory to an IoTDB: the sink by itself.
    #[command(hide = true)]
    Rows(iotdb::memory::Rows),
    /// Measures a bootstrap of a large table beside a stream.
    Bootstrap(bootstrap::Bootstrap),
    /// Measures folds into the embedded store.
    Fold(fold::Fold),
    /// Puts keys into a file of the embedded store's kind: its limit.
    #[command(hide = true)]
    Puts(fold::puts::Puts),
}

/// What is measured, on what, and how often.
#[derive(Debug, Clone, clap::Args)]
struct Bench {
    /// Rows in the table, and changes in each log.
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(300..))]
    rows: u64,
    /// Turns; the medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// One part only.
    #[arg(long)]
    only: Option<Part>,
    /// One server only.
    #[arg(long)]
    server: Option<Server>,
    /// A file for the result, besides standard output.
    #[arg(long, value_name = "FILE.md")]
    out: Option<PathBuf>,
    /// The headwater to measure; else the one that was built beside this program.
    #[arg(long, value_name = "FILE")]
    headwater: Option<PathBuf>,
    /// After each part, keep its server until a line is read from standard input: to profile on it.
    #[arg(long)]
    hold: bool,
}

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The rows of a table.
    Snapshot,
    /// The log of large and middling transactions on one table.
    Log,
    /// The log of transactions of 3 rows over 20 tables.
    LogSmall,
}

impl Part {
    const ALL: [Self; 3] = [Self::Snapshot, Self::Log, Self::LogSmall];

    fn title(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Log => "log",
            Self::LogSmall => "log of small transactions",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Mariadb,
    Mysql,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Wire(wire)) => wire::run(wire).map(|()| true),
        Some(Command::Peers(wanted)) => peers::run(wanted),
        Some(Command::Latency(wanted)) => latency::run(wanted).map(|()| true),
        Some(Command::Kafka(wanted)) => kafka::run(wanted),
        Some(Command::Produce(wanted)) => kafka::produce(wanted).map(|()| true),
        Some(Command::Iotdb(wanted)) => iotdb::run(wanted),
        Some(Command::Tablets(wanted)) => iotdb::wire::replay(wanted).map(|()| true),
        Some(Command::Rows(wanted)) => iotdb::memory::write(wanted).map(|()| true),
        Some(Command::Bootstrap(wanted)) => bootstrap::run(wanted).map(|()| true),
        Some(Command::Fold(wanted)) => fold::run(wanted),
        Some(Command::Puts(wanted)) => fold::puts::put(wanted).map(|()| true),
        None => bench(&arguments.bench),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything that was asked for; whether nothing failed. A goal that is missed is no failure.
fn bench(wanted: &Bench) -> Result<bool> {
    let flavors = flavors(wanted.server);
    let machine = report::Machine::look();
    let mut results = Vec::new();
    for flavor in flavors {
        results.extend(turns::run(flavor, wanted)?);
    }
    let text = report::markdown(&machine, wanted, &results);
    print!("{text}");
    if let Some(path) = &wanted.out {
        std::fs::write(path, &text)
            .map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(results
        .iter()
        .all(|result| result.failures().next().is_none()))
}

/// What every other command takes, too.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// One server only.
    #[arg(long)]
    server: Option<Server>,
    /// A file for the result, besides standard output.
    #[arg(long, value_name = "FILE.md")]
    out: Option<PathBuf>,
    /// The headwater to measure; else the one that was built beside this program.
    #[arg(long, value_name = "FILE")]
    headwater: Option<PathBuf>,
}

impl Common {
    /// Writes the result, if that is wanted.
    fn write(&self, text: &str) -> Result<()> {
        let Some(path) = &self.out else { return Ok(()) };
        std::fs::write(path, text)
            .map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))
    }
}

fn flavors(server: Option<Server>) -> Vec<Flavor> {
    match server {
        Some(Server::Mariadb) => vec![Flavor::MariaDb1011],
        Some(Server::Mysql) => vec![Flavor::MySql97],
        None => vec![Flavor::MariaDb1011, Flavor::MySql97],
    }
}

/// The program to measure: one that is named, or the one beside this.
fn headwater(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return std::path::absolute(path)
            .map_err(|error| Error::new(format!("cannot find {}: {error}", path.display())));
    }
    let own = std::env::current_exe()
        .map_err(|error| Error::new(format!("cannot find this program's own folder: {error}")))?;
    let path = own.with_file_name("headwater");
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::new(format!("{} is not there", path.display()))
        .hint("run it as `cargo xtask bench`, which builds it first"))
}
