//! The command line's words and flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Events, FilterUpdates, Kafka, LogFormat, LogLevel, TriggerFlags};
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
    /// Bring in rows that are there already, while a run streams; and look after what was asked for.
    #[command(
        override_usage = "headwater bootstrap [OPTIONS] <TABLE>...\n       headwater bootstrap [OPTIONS] <COMMAND>"
    )]
    Bootstrap(Bootstrap),
    /// Show the rows that a sink refused, and bring them in again once their cause is mended.
    #[command(override_usage = "headwater dead-letters <COMMAND> --config <FILE>")]
    DeadLetters(DeadLetters),
    /// Compare the source with Apache IoTDB, and list the rows that differ. Nothing is written to either.
    #[command(override_usage = "headwater verify [OPTIONS] --config <FILE>")]
    Verify(Verify),
    /// Ask what folds hold: of a key or several, in a range of time, or the keys with the most.
    #[command(
        override_usage = "headwater query [OPTIONS] <FOLD> --config <FILE>\n       headwater query [OPTIONS] <FOLD> --store <FILE>"
    )]
    Query(Query),
    /// Say where a checkpoint stands, and what the process that uses it is doing.
    #[command(
        override_usage = "headwater status [OPTIONS] --checkpoint <FILE>\n       headwater status [OPTIONS] --config <FILE>\n       headwater status [OPTIONS] --sink <SINK> --exactly-once --transactional-id <NAME>"
    )]
    Status(Status),
    /// Print Maxwell's configuration as one of Headwater's, and say what became of each option.
    FromMaxwell(FromMaxwell),
    /// Print what is generated: the JSON schema of the configuration file, the description of HTTP, the page of metrics, the page of
    /// Maxwell's settings.
    Schema(Schema),
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
    /// Which tables and rows, by Maxwell's rules; the last that matches wins: 'exclude: *.*, include: shop./^orders/,
    /// exclude: shop.orders.state=draft'.
    #[arg(long, value_name = "RULES")]
    pub(crate) filter: Option<String>,
    /// What a rule with a column judges an update by [default: split].
    #[arg(long, alias = "filter_updates", value_name = "HOW")]
    pub(crate) filter_updates: Option<FilterUpdates>,
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
    /// Where events go: stdout, file:PATH, kafka:HOST:PORT/TOPIC, or null, which drops them [default: stdout].
    #[arg(long, value_name = "SINK")]
    pub(crate) sink: Option<String>,
    /// The file that keeps the progress. Without it nothing is kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) http: HttpFlags,
    #[command(flatten)]
    pub(crate) events: Events,
    #[command(flatten)]
    pub(crate) kafka: Kafka,
    #[command(flatten)]
    pub(crate) trigger: TriggerFlags,
}

/// HTTP to the run.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "HTTP (status, metrics, bootstraps)")]
pub(crate) struct HttpFlags {
    /// Listen for HTTP at HOST:PORT, or at a port of the loopback address. Wants a token: HEADWATER_HTTP_TOKEN, or
    /// --http-token-file.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<String>,
    /// A file that holds the token.
    #[arg(long, value_name = "FILE")]
    pub(crate) http_token_file: Option<PathBuf>,
    /// The certificate for TLS, PEM. Required where others than this machine can reach the address.
    #[arg(long, value_name = "FILE")]
    pub(crate) http_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) http_key: Option<PathBuf>,
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
    #[command(flatten)]
    pub(crate) target: Target,
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
    /// Build the folds anew, from the rows that are there, beside those that answer until then.
    #[arg(long)]
    pub(crate) rebuild_folds: bool,
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
#[command(arg_required_else_help = true)]
pub(crate) struct Bootstrap {
    #[command(subcommand)]
    pub(crate) action: Option<BootstrapAction>,
    #[command(flatten)]
    pub(crate) request: Request,
    #[command(flatten)]
    pub(crate) process: Process,
    /// Answer with JSON on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What is asked for.
#[derive(Debug, Default, Args)]
pub(crate) struct Request {
    /// Tables, as the run streams them: `shop.orders`, or `shop.*` (in quotes) for a whole database.
    #[arg(value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Bounds each table's rows: "status = 'open'".
    #[arg(long = "where", value_name = "SQL")]
    pub(crate) condition: Option<String>,
    /// How fast it may go: 20000rows/s, 5MB/s; and above which load of the source it waits: threads=20, lag=10s,
    /// history=100000, or load=any. With commas between them [default: as fast as it can, under the load of the
    /// configuration].
    #[arg(long, value_name = "RATE", value_delimiter = ',')]
    pub(crate) rate: Vec<String>,
    /// A remark that goes into every event of it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Not before: 2026-11-22T03:00:00Z (or +01:00 and the like in place of Z), or in a while: +90s, +30m, +2h.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Do not wait for the end: print its number, and return.
    #[arg(long)]
    pub(crate) detach: bool,
}

/// Which running process is meant.
#[derive(Debug, Default, Args)]
pub(crate) struct Process {
    /// The checkpoint of the running process [default: the only one in this folder that is in use].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// The configuration file of the running process, which names its checkpoint.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        conflicts_with = "checkpoint"
    )]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BootstrapAction {
    /// Show the bootstraps that are open, and the last that were.
    List,
    /// Show the progress of one until it is over.
    Watch(Numbered),
    /// Let one stand still after the chunk being read.
    Pause(Numbered),
    /// Let one go on.
    Resume(Numbered),
    /// End one. What is out stays out.
    Abort(Numbered),
    /// Change how fast one may go, and above which load of the source it waits.
    Throttle(Throttle),
}

/// One bootstrap.
#[derive(Debug, Args)]
pub(crate) struct Numbered {
    /// Its number, as `headwater bootstrap list` shows it.
    #[arg(value_name = "ID")]
    pub(crate) id: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Throttle {
    #[command(flatten)]
    pub(crate) which: Numbered,
    /// 20000rows/s, 5MB/s, threads=20, lag=10s, history=100000, with commas between them; `load=any` lifts the limits of
    /// the configuration, `none` every one. It takes the place of what was said before.
    #[arg(value_name = "RATE", required = true, value_delimiter = ',')]
    pub(crate) rate: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    pub(crate) action: DeadLettersAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersAction {
    /// Show the letters that are open, each with its reason.
    List(ListLetters),
    /// Read the rows of the open letters again, at their place in the stream: by the run that uses the checkpoint, or, where none
    /// does, by this process, which goes on as a run would until that is done. Letters whose rows are written are settled.
    Replay(ReplayLetters),
}

#[derive(Debug, Args)]
pub(crate) struct ListLetters {
    /// The configuration file of the run.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The whole letters, one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayLetters {
    /// The configuration file of the run.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Read a table whole where its letters' rows cannot be found by a key.
    #[arg(long)]
    pub(crate) whole_tables: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FromMaxwell {
    /// Maxwell's config.properties.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Which of them.
    #[arg(value_name = "WHAT", default_value = "configuration")]
    pub(crate) what: Generated,
}

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generated {
    /// The JSON schema of the configuration file.
    Configuration,
    /// The HTTP interface, as OpenAPI describes one.
    Openapi,
    /// The page of metrics.
    Metrics,
    /// The page of Maxwell's settings.
    Maxwell,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Compare this mapped table only. May be given several times.
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// How many differences of each table are listed; ranges beyond are not looked at closely.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Seconds for which neither side of a row may change before it counts as different: more than a running stream lags.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub(crate) settle: u32,
    /// How many connections read the source side by side [default: 2].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) readers: Option<u16>,
    /// Take what a policy leaves behind (points of deleted rows) for differences, too.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Lines for people, or one JSON object a line.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) output: Output,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The command line of the run, whose flags say where its checkpoint is.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) target: Target,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What folds are asked.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Query {
    /// The fold.
    pub(crate) fold: String,
    /// A key; several parts as `eu/42`. More than one may be given. None for a fold without a key.
    #[arg(long = "key", value_name = "KEY", conflicts_with = "top")]
    pub(crate) keys: Vec<String>,
    /// So many keys with the greatest values.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(usize))]
    pub(crate) top: Option<usize>,
    /// From when: a day, a time of the fold's zone (2026-11-21T12:00:00), or an instant (…Z).
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// To when: a day, inclusive; a time or an instant, exclusive. Now if not given.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Say each bucket of time, too.
    #[arg(long)]
    pub(crate) windows: bool,
    /// The run's configuration, whose folds are asked.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The store of the folds: a file, or redis://HOST:PORT/DATABASE?name=NAME (its password: HEADWATER_REDIS_PASSWORD).
    #[arg(long, value_name = "STORE", conflicts_with = "config")]
    pub(crate) store: Option<String>,
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
            Self::Status(status) => Some(&status.source),
            Self::Verify(verify) => Some(&verify.source),
            Self::Bootstrap(_)
            | Self::DeadLetters(_)
            | Self::FromMaxwell(_)
            | Self::Query(_)
            | Self::Schema(_) => None,
        }
    }
}
