//! The command line's words and flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Events, LogFormat, LogLevel};
use crate::exit;

/// Turns a MySQL or MariaDB database into a stream: the rows that are there, then every change, without a gap.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, max_term_width = 100, after_help = exit::HELP)]
#[command(
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) said: Said,
}

/// What is said, and how.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Messages (on standard error)")]
pub(crate) struct Said {
    /// Lines for people, or one JSON object a line [default: text].
    #[arg(long, global = true, value_name = "FORM")]
    pub(crate) log_format: Option<LogFormat>,
    /// How much is said [default: info].
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,
    /// No progress; only warnings and errors.
    #[arg(long, short, global = true, conflicts_with = "log_level")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Test everything a run needs, and say the SQL that mends what is missing.
    #[command(override_usage = "headwater check [OPTIONS] <URL> [TABLE]...")]
    Check(Check),
    /// Copy the rows that are there, then follow every change.
    #[command(
        override_usage = "headwater run [OPTIONS] <URL> [TABLE]...\n       headwater run [OPTIONS] --config <FILE>"
    )]
    Run(Run),
    /// Copy the rows that are there, print the handoff token, and end.
    #[command(
        override_usage = "headwater backfill [OPTIONS] <URL> [TABLE]...\n       headwater backfill [OPTIONS] --config <FILE>"
    )]
    Backfill(Backfill),
    /// Follow changes only: from now, or from a token.
    #[command(
        override_usage = "headwater cdc [OPTIONS] <URL> [TABLE]...\n       headwater cdc [OPTIONS] --config <FILE>"
    )]
    Cdc(Cdc),
    /// Say where a checkpoint stands.
    Status(Status),
    /// Print the JSON schema of the configuration file.
    Schema,
}

/// Where from.
#[derive(Debug, Default, Args)]
pub(crate) struct Source {
    /// The server, mysql://USER:PASSWORD@HOST:PORT/DATABASE (or mariadb://…), and the tables: `orders`, `shop.orders`,
    /// or `shop.*` for a whole database. No table: all of the URL's database; no database: all but the system's.
    #[arg(value_name = "URL> [TABLE", num_args = 0..)]
    pub(crate) words: Vec<String>,
    /// A configuration file (YAML); the URL and the flags override it.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A file that holds the password. (HEADWATER_MYSQL_PASSWORD may hold it, too.)
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The server id with which to join the replicas of the server [default: chosen].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) server_id: Option<u32>,
}

impl Source {
    /// The word that is the URL.
    pub(crate) fn url(&self) -> Option<&str> {
        self.words
            .iter()
            .map(String::as_str)
            .find(|word| is_url(word))
    }

    /// The words that are not: tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &str> {
        self.words
            .iter()
            .map(String::as_str)
            .filter(|word| !is_url(word))
    }
}

pub(crate) fn is_url(word: &str) -> bool {
    word.contains("://")
}

/// Where to, and with what kept.
#[derive(Debug, Default, Args)]
pub(crate) struct Target {
    /// Where events go: stdout, file:PATH, or null, which drops them [default: stdout].
    #[arg(long, value_name = "SINK")]
    pub(crate) sink: Option<String>,
    /// The file that keeps the progress. Without it nothing is kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) events: Events,
}

/// How the rows that are there are read.
#[derive(Debug, Default, Args)]
pub(crate) struct Copying {
    /// Bounds a table's snapshot: 'shop.orders:created_at > "2026-01-01"'. Once for each table.
    #[arg(long = "where", value_name = "TABLE:SQL")]
    pub(crate) conditions: Vec<String>,
    /// How many connections read side by side [default: 2].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) readers: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) source: Source,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) copying: Copying,
    /// `now`: end once everything committed before the start has gone out.
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<Until>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Backfill {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) copying: Copying,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Cdc {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Where to start: a handoff token, @FILE for a file that holds one, or a place in the log, BINLOG:POSITION. An
    /// existing checkpoint wins [default: now].
    #[arg(long, value_name = "TOKEN")]
    pub(crate) from: Option<String>,
    /// `now`: end once everything committed before the start has gone out.
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<Until>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The checkpoint file.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: PathBuf,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// When to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// Once everything that was committed before the start has gone out.
    Now,
}

impl Command {
    /// What the command says of its source, if it has one.
    pub(crate) fn source(&self) -> Option<&Source> {
        match self {
            Self::Check(check) => Some(&check.source),
            Self::Run(run) => Some(&run.source),
            Self::Backfill(backfill) => Some(&backfill.source),
            Self::Cdc(cdc) => Some(&cdc.source),
            Self::Status(_) | Self::Schema => None,
        }
    }
}
