//! What can be set on the IoTDB sink.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use headwater_core::schema::TableName;
use headwater_core::{Error, ErrorKind, Result};
use secrecy::SecretString;

pub use crate::tablet::SeriesType;

/// Where points go, and how.
#[derive(Debug, Clone)]
pub struct IotdbOptions {
    /// The nodes that take clients; the first that answers is used, the others where it does not.
    pub nodes: Vec<Address>,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// TLS; none: without.
    pub tls: Option<TlsOptions>,
    /// The tree model or the table model.
    pub model: Model,
    /// Databases that are created where they are missing (`storage_groups`).
    pub databases: Vec<String>,
    /// What becomes of each table's rows.
    pub mappings: Vec<Mapping>,
    /// How times are understood.
    pub time: TimeOptions,
    /// What becomes of updates and deletes.
    pub policy: Policy,
    /// What becomes of a row that is refused.
    pub on_error: OnError,
    /// Connections, and so tablets on their way at once.
    pub connections: usize,
    /// How long rows of the log may wait for company.
    pub linger: Duration,
    /// Bytes of a call at most. A call above the queue of the server's log is never answered.
    pub tablet_bytes_max: usize,
    /// Bytes that wait for the server at most, over all connections.
    pub pending_bytes_max: usize,
    /// How long a call may take.
    pub call_timeout: Duration,
    /// How long IoTDB may be away before a write fails, and is tried again from the last durable point.
    pub unavailable_for_max: Duration,
    /// Whether what is called durable was flushed to IoTDB's files, and what was not is written again after a connection is
    /// lost. Otherwise what IoTDB acknowledged is as safe from a kill of it as its log is.
    pub flush_at_checkpoint: bool,
}

/// A node's address for clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// Port; 6667 by default.
    pub port: u16,
}

impl Address {
    /// IoTDB's own port for clients.
    pub const PORT: u16 = 6667;
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// TLS with the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The authorities that are trusted, as PEM; none: the system's.
    pub ca: Option<PathBuf>,
}

/// How SQL is understood in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dialect {
    Tree,
    Table { database: Option<String> },
}

/// How rows are laid out in IoTDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Model {
    /// Devices are paths.
    Tree {
        /// Whether a device's series share one column of times. Decided when a device is created.
        is_aligned: bool,
    },
    /// Tables of a database, with tags and fields.
    Table {
        /// The database.
        database: String,
    },
}

/// What becomes of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The source's table.
    pub table: TableName,
    /// The device's path with `{column}` or `${column}` in it; in the table model the table's name, without any.
    pub target: String,
    /// The columns that make the device: the template's in the tree model, the tags in the table model.
    pub device_fields: Vec<String>,
    /// Columns that become attributes; table model only.
    pub attribute_fields: Vec<String>,
    /// The column that tells the time.
    pub timestamp_field: String,
    /// The unit of a time that is an integer.
    pub timestamp_unit: Option<TimeUnit>,
    /// The columns that are written. Empty: all the others, with the types that fit them.
    pub measurements: Vec<Measurement>,
    /// Whether rows may share a device and a time.
    pub duplicates: Duplicates,
}

/// What holds of rows of one device and one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// There are none: whoever checks refuses the table if there are.
    #[default]
    Refuse,
    /// The last by the source's order wins, value by value. One reader reads in the order of the key, and nothing is deleted:
    /// nobody could say whether another row stands at the place.
    Last,
}

impl Mapping {
    /// The columns that tell a row's place in IoTDB: those of its device, and its time.
    #[must_use]
    pub fn place_fields(&self) -> Vec<String> {
        let template = crate::mapping::Template::parse(&self.target);
        let in_template = template.iter().flat_map(|template| template.columns());
        let mut fields: Vec<String> = in_template.cloned().collect();
        if fields.is_empty() {
            fields.clone_from(&self.device_fields);
        }
        fields.push(self.timestamp_field.clone());
        fields
    }
}

/// One measurement of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// Its name.
    pub name: String,
    /// Its type.
    pub series_type: SeriesType,
    /// The column it is taken from.
    pub field: String,
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// Seconds.
    Second,
    /// Milliseconds.
    Millisecond,
    /// Microseconds.
    Microsecond,
    /// Nanoseconds.
    Nanosecond,
}

impl TimeUnit {
    /// How many of it make a second.
    #[must_use]
    pub const fn per_second(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Millisecond => 1_000,
            Self::Microsecond => 1_000_000,
            Self::Nanosecond => 1_000_000_000,
        }
    }

    /// Its name in IoTDB's settings and ours.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Millisecond => "ms",
            Self::Microsecond => "us",
            Self::Nanosecond => "ns",
        }
    }
}

/// How times are understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeOptions {
    /// The zone of dates and times without one: an IANA name.
    pub zone: String,
    /// What becomes of digits that IoTDB's precision has no room for.
    pub extra_digits: ExtraDigits,
    /// What becomes of a local time that a clock set forward never showed.
    pub gap: Gap,
    /// Whether a zero date (`0000-00-00`, or one with a zero month or day) in a measurement is no value. Otherwise its row is refused.
    pub zero_is_null: bool,
}

impl Default for TimeOptions {
    fn default() -> Self {
        Self {
            zone: "UTC".to_owned(),
            extra_digits: ExtraDigits::Refuse,
            gap: Gap::Refuse,
            zero_is_null: false,
        }
    }
}

/// What becomes of digits of a time that IoTDB's precision has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraDigits {
    /// The row is refused; a column that can have them is refused at the start.
    Refuse,
    /// They are cut off.
    Truncate,
    /// They are rounded, half up.
    Round,
}

/// What becomes of a local time that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// The row is refused: moved, it could fall on another row's time.
    Refuse,
    /// It is taken as if the clock had not been set forward.
    Shift,
}

/// What becomes of updates and deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Of updates.
    pub update: UpdatePolicy,
    /// Of deletes.
    pub delete: DeletePolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            update: UpdatePolicy::Overwrite,
            delete: DeletePolicy::Ignore,
        }
    }
}

/// What becomes of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdatePolicy {
    /// They are written over the old points; points of columns that became NULL are deleted; a row with another device or
    /// time is moved.
    Overwrite,
    /// They are counted and left alone.
    Ignore,
}

/// What becomes of deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletePolicy {
    /// They are counted and left alone.
    Ignore,
    /// The row's points are deleted, and no others.
    Delete,
}

/// What becomes of a row that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnError {
    /// The run ends with an error that names it.
    Stop,
    /// It goes to the dead letters, and the run goes on.
    DeadLetters(PathBuf),
}

impl IotdbOptions {
    /// Bytes of a call by default: far below the queue of a server with half a gigabyte.
    pub const TABLET_BYTES_MAX: usize = 1024 * 1024;

    /// With defaults.
    #[must_use]
    pub fn new(nodes: Vec<Address>, mappings: Vec<Mapping>) -> Self {
        Self {
            nodes,
            user: "root".to_owned(),
            password: SecretString::from("root"),
            tls: None,
            model: Model::Tree { is_aligned: true },
            databases: Vec::new(),
            mappings,
            time: TimeOptions::default(),
            policy: Policy::default(),
            on_error: OnError::Stop,
            connections: 4,
            linger: Duration::from_millis(20),
            tablet_bytes_max: Self::TABLET_BYTES_MAX,
            pending_bytes_max: 32 * 1024 * 1024,
            call_timeout: Duration::from_secs(60),
            unavailable_for_max: Duration::from_secs(120),
            flush_at_checkpoint: false,
        }
    }

    /// Looks at everything that can be looked at without a server.
    ///
    /// # Errors
    /// `Configuration`, with what to write instead.
    pub fn validate(&self) -> Result<()> {
        let refuse = |what: String, hint: &'static str| {
            Err(Error::new(ErrorKind::Configuration, what).hint(hint))
        };
        if self.nodes.is_empty() {
            return refuse(
                "no IoTDB node is named".to_owned(),
                "name one: connections.iotdb.host",
            );
        }
        if self.connections == 0 {
            return refuse(
                "no connection to IoTDB is allowed".to_owned(),
                "set iotdb.connections to 1 or more",
            );
        }
        if self.tablet_bytes_max < 1024 {
            return refuse(
                "tablets of less than 1 KiB are asked for".to_owned(),
                "set iotdb.tablet_bytes_max to 1024 or more",
            );
        }
        for mapping in &self.mappings {
            crate::mapping::Template::parse(&mapping.target)
                .map_err(|error| error.with("table", &mapping.table))?;
        }
        crate::time::check_zone(&self.time.zone)?;
        Ok(())
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match &self.model {
            Model::Tree { .. } => Dialect::Tree,
            Model::Table { database } => Dialect::Table {
                database: Some(database.clone()),
            },
        }
    }
}
