//! The configuration file's keys. These types are the file's documentation too: the JSON schema that editors complete from is
//! generated from them, and so are the checks.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// Headwater's configuration: a database, what to copy and follow, and where its events go. Every value may hold
/// `${NAME}`, an environment variable.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Headwater")]
pub(crate) struct File {
    /// Where its values stand; none of what was not read from a file.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) origin: Option<super::Origin>,
    /// A label for this configuration. It is said at start and has no other effect.
    pub(crate) env: Option<String>,
    /// What `headwater run` does: the first copy only, the log only, or (the default) both.
    pub(crate) mode: Option<Mode>,
    /// The servers.
    pub(crate) connections: Option<Connections>,
    /// What is read from MySQL or MariaDB.
    pub(crate) mysql: Option<Mysql>,
    /// Which tables and rows are streamed, by Maxwell's rules: `exclude: *.*, include: shop./^orders/`. The last rule that
    /// matches wins; without one, a row is included. In quotes: it holds colons.
    pub(crate) filter: Option<String>,
    /// What a rule with a column judges an update by. `split` if not given.
    pub(crate) filter_updates: Option<FilterUpdates>,
    /// What is written to Apache IoTDB.
    pub(crate) iotdb: Option<super::iotdb::Iotdb>,
    /// Rows folded by key into aggregates, and where these are kept.
    pub(crate) folds: Option<super::folds::Folds>,
    /// What is written to Kafka, and how.
    pub(crate) kafka: Option<super::Kafka>,
    /// Where events go: `stdout` (the default), `file:PATH`, `kafka` or `kafka:HOST:PORT/TOPIC`, or `null`, which drops them.
    #[schemars(length(min = 1), extend("x-null-is-a-word" = true))]
    pub(crate) sink: Option<String>,
    /// The file that keeps the progress. Without it nothing is kept, and a restart begins again.
    #[schemars(length(min = 1))]
    pub(crate) checkpoint: Option<PathBuf>,
    /// What an event looks like.
    pub(crate) events: Option<super::Events>,
    /// Bootstraps of the running stream: how they are asked for in the source itself, and what they wait for.
    pub(crate) bootstrap: Option<super::trigger::Bootstrap>,
    /// The database of Maxwell's table `bootstrap`. `maxwell` if not given; `bootstrap.table` goes before it.
    #[schemars(length(min = 1))]
    pub(crate) schema_database: Option<String>,
    /// Whom a row of that table must address. `maxwell` if not given.
    #[schemars(length(min = 1))]
    pub(crate) client_id: Option<String>,
    /// How many connections read the snapshot side by side. 2 if not given.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) readers: Option<u16>,
    /// Every so many seconds progress is saved, and what was written before it made durable. 1 if not given.
    #[schemars(range(min = 1, max = 3600))]
    pub(crate) checkpoint_interval_s: Option<u16>,
    /// How many seconds a run that was told to stop waits for its sink. 10 if not given. What is not acknowledged by then comes
    /// again with the next run.
    #[schemars(range(min = 1, max = 3600))]
    pub(crate) stop_within_s: Option<u16>,
    /// What is said about the run, on standard error.
    pub(crate) log: Option<Log>,
    /// HTTP: the run's status and metrics, and bootstraps asked for. Off unless this or `--http` is given.
    pub(crate) http: Option<Http>,
}

/// HTTP to the run. It always wants a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// Where it listens: `HOST:PORT`, or a port alone for the loopback address. `127.0.0.1:8642` if not given.
    #[schemars(length(min = 1))]
    pub(crate) listen: Option<String>,
    /// The token. Better from a variable (`${NAME}`), `token_file` or `HEADWATER_HTTP_TOKEN`.
    pub(crate) token: Option<Secret>,
    /// A file that holds the token, in place of `token`.
    #[schemars(length(min = 1))]
    pub(crate) token_file: Option<PathBuf>,
    /// TLS. Required where others than this machine can reach it.
    pub(crate) tls: Option<HttpTls>,
}

/// The certificate that HTTP shows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpTls {
    /// A PEM file with the certificate and those that lead to its authority.
    pub(crate) cert: PathBuf,
    /// A PEM file with its private key.
    pub(crate) key: PathBuf,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// The rows that are there; then it ends.
    Backfill,
    /// The changes only.
    Cdc,
    /// The rows that are there, then every change.
    Both,
}

/// The servers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connections {
    /// The MySQL or MariaDB server to read from.
    pub(crate) mysql: Option<MysqlConnection>,
    /// The IoTDB server to write to.
    pub(crate) iotdb: Option<super::iotdb::IotdbConnection>,
}

/// How to reach a MySQL or MariaDB server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MysqlConnection {
    /// Its name or address. Required, unless `socket` is given.
    #[schemars(length(min = 1))]
    pub(crate) host: Option<String>,
    /// Its port. 3306 if not given.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Option<u16>,
    /// Its Unix socket, in place of host and port.
    #[schemars(length(min = 1))]
    pub(crate) socket: Option<PathBuf>,
    /// The account.
    #[schemars(length(min = 1))]
    pub(crate) user: String,
    /// The account's password. Better from a variable (`${NAME}`), `password_file` or `HEADWATER_MYSQL_PASSWORD`.
    pub(crate) password: Option<Secret>,
    /// A file that holds the password, in place of `password`.
    #[schemars(length(min = 1))]
    pub(crate) password_file: Option<PathBuf>,
    /// The database of tables that are named without one. Without tables, all of it is copied.
    #[schemars(length(min = 1))]
    pub(crate) database: Option<String>,
    /// TLS.
    pub(crate) tls: Option<Tls>,
}

/// TLS to the server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// How much of it. `preferred` if not given, `verify-ca` with a `ca`.
    pub(crate) mode: Option<TlsMode>,
    /// A PEM file of authorities to trust in place of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// A PEM file with the client's certificate. Only together with `key`.
    pub(crate) cert: Option<PathBuf>,
    /// A PEM file with the client's private key. Only together with `cert`.
    pub(crate) key: Option<PathBuf>,
}

/// How much TLS, in MySQL's own terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsMode {
    /// Never.
    Disabled,
    /// Where the server has it, else in clear.
    Preferred,
    /// Always; the certificate is not checked.
    Required,
    /// Always, and the certificate comes from a trusted authority.
    VerifyCa,
    /// As `verify-ca`, and the certificate names the host.
    VerifyIdentity,
}

/// What is read from MySQL or MariaDB.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mysql {
    /// The tables. None: all of the connection's database, or all databases but the system's.
    pub(crate) tables: Option<Vec<Table>>,
    /// How to cut the snapshot into pieces. Found out from the real key range if not given; never a filter.
    pub(crate) partitioning: Option<Partitioning>,
    /// How the log is followed.
    pub(crate) cdc: Option<Cdc>,
    /// The server id with which this reader joins the replicas of the server; one nobody else has. Chosen if not given.
    #[schemars(range(min = 1, max = 4294967295u32))]
    pub(crate) server_id: Option<u32>,
}

/// A table, or all of a database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// Its name: `orders` (in the connection's database), `shop.orders`, or `shop.*` for all of a database.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// Bounds the snapshot of this table to the rows for which this SQL condition is true.
    #[serde(rename = "where")]
    #[schemars(length(min = 1))]
    pub(crate) condition: Option<String>,
    /// Its columns. They are read from the database; what is written here has no effect.
    pub(crate) columns: Option<Vec<Column>>,
}

/// A column, as the migration describes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "columns are read from the database; checked here")]
pub(crate) struct Column {
    /// Its name.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// Its SQL type.
    #[serde(rename = "type")]
    pub(crate) data_type: Option<String>,
    /// Whether it is (part of) the primary key.
    pub(crate) primary: Option<bool>,
    /// Whether the server numbers it.
    pub(crate) auto_increment: Option<bool>,
}

/// How to cut the snapshot into pieces: of all three numbers, the length of a piece. Rows outside the bounds, and with no value, are copied too.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Partitioning {
    /// The column. Pieces are cut by the table's key; where it is another column, that is said.
    pub(crate) column: Option<String>,
    /// Where the second piece begins.
    pub(crate) lower_bound: Option<i64>,
    /// Where the last piece begins.
    pub(crate) upper_bound: Option<i64>,
    /// How many pieces.
    #[schemars(range(min = 1))]
    pub(crate) num: Option<u64>,
}

/// How the log is followed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cdc {
    /// Where `headwater cdc` starts if there is no checkpoint. `latest` if not given.
    pub(crate) startup_mode: Option<StartupMode>,
    /// The place in the log, for `startup_mode: specific`.
    pub(crate) specific: Option<Specific>,
    /// The time zone in which the server's local times are to be read, by its name: `Europe/Zurich`. Events are in UTC
    /// whatever it is.
    #[schemars(length(min = 1))]
    #[expect(
        dead_code,
        reason = "read by the IoTDB sink of a later version; checked here"
    )]
    pub(crate) server_time_zone: Option<String>,
}

/// Where the log is followed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StartupMode {
    /// From now.
    Latest,
    /// The rows that are there first.
    Initial,
    /// From a place in the log.
    Specific,
}

/// A place in the log.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Specific {
    /// The log file's name.
    #[schemars(length(min = 1))]
    pub(crate) file: String,
    /// The position in it, in bytes.
    #[schemars(extend("type" = ["integer", "string"], "pattern" = "^[0-9]+$", "minimum" = 1))]
    pub(crate) pos: u64,
}

/// What a filter's rule with a column judges an update by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum FilterUpdates {
    /// Both images: a row that leaves what is included goes out as a delete, one that enters it as an insert.
    Split,
    /// The new image only, as Maxwell does it: of a row that leaves nothing goes out.
    NewRow,
}

/// What is said about a run.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// Lines for people, or one JSON object a line. `text` if not given.
    pub(crate) format: Option<LogFormat>,
    /// How much. `info` if not given.
    pub(crate) level: Option<LogLevel>,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// What ended or hurt the run.
    Error,
    /// And what needs attention.
    Warn,
    /// And what the run is doing.
    Info,
    /// And why.
    Debug,
    /// And everything else.
    Trace,
}

/// A text that is never shown.
#[derive(Debug, Clone)]
pub(crate) struct Secret(pub(crate) SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(Self(SecretString::from(String::deserialize(input)?)))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}
