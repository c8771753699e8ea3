//! The sections `iotdb` and `connections.iotdb`: the migration job's own keys, and those beside them; and the sink's options
//! made of both.

use std::path::PathBuf;
use std::time::Duration;

use headwater_core::Result;
use headwater_core::schema::TableName;
use headwater_iotdb::IotdbOptions;
use headwater_iotdb::config as sink;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::connection::read_password_file;
use super::file::{File, Secret};
use super::names;
use super::{Lookup, misused};

/// The variable that holds the password.
pub(crate) const PASSWORD_VARIABLE: &str = "HEADWATER_IOTDB_PASSWORD";

/// How to reach an IoTDB server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IotdbConnection {
    /// Its name or address.
    #[schemars(length(min = 1))]
    pub(crate) host: String,
    /// Its port. 6667 if not given.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Option<u16>,
    /// Further nodes of the cluster, `HOST` or `HOST:PORT`: asked where the first does not answer, and gone to for devices that they lead.
    pub(crate) nodes: Option<Vec<String>>,
    /// The account. `root` if not given.
    pub(crate) user: Option<String>,
    /// The account's password. Better from a variable (`${NAME}`), `password_file` or `HEADWATER_IOTDB_PASSWORD`. `root` if
    /// none is given.
    pub(crate) password: Option<Secret>,
    /// A file that holds the password, in place of `password`.
    #[schemars(length(min = 1))]
    pub(crate) password_file: Option<PathBuf>,
    /// TLS, where the server has `enable_thrift_ssl`.
    pub(crate) tls: Option<IotdbTls>,
}

/// TLS with an IoTDB server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IotdbTls {
    /// A PEM file with the authorities that are trusted. The system's if not given.
    pub(crate) ca: Option<PathBuf>,
}

/// What is written to IoTDB. With mappings, and no other `sink`, this is where rows go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Iotdb {
    /// The databases (storage groups) to create where they are missing; tree model only.
    pub(crate) storage_groups: Option<Vec<String>>,
    /// Which table becomes which devices.
    pub(crate) mappings: Option<Vec<Mapping>>,
    /// `tree` if not given.
    pub(crate) model: Option<Model>,
    /// The database of the table model.
    #[schemars(length(min = 1))]
    pub(crate) database: Option<String>,
    /// Whether a device's series share one column of times; a device stays as it was made. Tree model only; false if not given,
    /// as the migration job has it.
    pub(crate) aligned: Option<bool>,
    /// How dates and times are understood.
    pub(crate) time: Option<Time>,
    /// What becomes of updates and deletes.
    pub(crate) policy: Option<Policy>,
    /// What becomes of a row that cannot be written. `stop` if not given; `dead_letters` with `dead_letters`.
    pub(crate) on_error: Option<OnError>,
    /// The file of refused rows, with payload and reason.
    #[schemars(length(min = 1))]
    pub(crate) dead_letters: Option<PathBuf>,
    /// Connections that write side by side; a device's rows go over one of them. 4 if not given.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) writers: Option<u16>,
    /// Milliseconds that rows of the log wait for company. 20 if not given.
    #[schemars(range(min = 0, max = 60000))]
    pub(crate) linger_ms: Option<u32>,
    /// Bytes of a call at most: a call above the queue of the server's log is never answered. 1048576 if not given.
    #[schemars(range(min = 1024, max = 67108864))]
    pub(crate) tablet_bytes_max: Option<u32>,
    /// Bytes that wait for the server at most. 33554432 if not given.
    #[schemars(range(min = 65536, max = 4294967295u32))]
    pub(crate) pending_bytes_max: Option<u32>,
    /// Seconds that a call may take. 60 if not given.
    #[schemars(range(min = 1, max = 86400))]
    pub(crate) call_timeout_s: Option<u32>,
    /// Seconds that IoTDB may be away before the run begins again at the last durable point. 120 if not given.
    #[schemars(range(min = 1, max = 86400))]
    pub(crate) unavailable_for_max_s: Option<u32>,
    /// Whether IoTDB flushes before a checkpoint counts, so that a kill of IoTDB loses nothing, whatever its log does. false if not
    /// given.
    pub(crate) flush_at_checkpoint: Option<bool>,
}

/// How rows are laid out in IoTDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Model {
    /// Devices are paths.
    Tree,
    /// Tables with tags and fields.
    Table,
}

/// How a table's rows become points.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mapping {
    /// The table; one of `mysql.tables`.
    #[schemars(length(min = 1))]
    pub(crate) table: String,
    /// The column that tells the device.
    #[schemars(length(min = 1))]
    pub(crate) device_field: Option<String>,
    /// The column that tells the time.
    #[schemars(length(min = 1))]
    pub(crate) timestamp_field: String,
    /// The unit of a time that is an integer. `ms` if not given.
    pub(crate) timestamp_unit: Option<TimeUnit>,
    /// The device's path, with columns in it: `root.plant.pump_{pumpId}`, or `root.plant.${pumpId}`. Tree model.
    #[schemars(length(min = 1))]
    pub(crate) device_template: Option<String>,
    /// The table that is written to. The source's own name if not given. Table model.
    #[schemars(length(min = 1))]
    pub(crate) target: Option<String>,
    /// The columns that are tags. `device_field` if not given. Table model.
    pub(crate) tags: Option<Vec<String>>,
    /// The columns that are attributes. Table model.
    pub(crate) attributes: Option<Vec<String>>,
    /// The columns that are written. All the others if not given, with the types that fit them.
    pub(crate) measurements: Option<Vec<Measurement>>,
    /// What holds of rows of one device and one time. `refuse` if not given.
    pub(crate) duplicates: Option<Duplicates>,
}

/// What holds of rows of one device and one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Duplicates {
    /// There are none; `headwater check` fails where it finds any.
    Refuse,
    /// The last by the source's order wins: one reader reads by the key, and nothing of the table is ever deleted in IoTDB.
    Last,
}

/// One measurement of a device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measurement {
    /// Its name.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) data_type: IotdbType,
    /// The column it is taken from. The one of its own name if not given.
    pub(crate) field: Option<String>,
}

/// A type of IoTDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum IotdbType {
    Boolean,
    Int32,
    Int64,
    Float,
    Double,
    Text,
    String,
    Blob,
    Date,
    Timestamp,
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TimeUnit {
    S,
    Ms,
    Us,
    Ns,
}

/// How dates and times are understood.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Time {
    /// The zone of DATE and DATETIME, which have none: an IANA name, or `+08:00`. `UTC` if not given, as the migration job has
    /// it. TIMESTAMP is a point in time already.
    #[schemars(length(min = 1))]
    pub(crate) zone: Option<String>,
    /// What becomes of digits that IoTDB's precision has no room for. `refuse` if not given.
    pub(crate) extra_digits: Option<ExtraDigits>,
    /// What becomes of a local time that a clock set forward never showed. `refuse` if not given.
    pub(crate) gap: Option<Gap>,
    /// What becomes of a zero date in a measurement. `refuse` if not given.
    pub(crate) zero_dates: Option<ZeroDates>,
}

/// What becomes of digits without room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExtraDigits {
    /// The mapping is refused.
    Refuse,
    /// They are cut off.
    Truncate,
    /// They are rounded.
    Round,
}

/// What becomes of a local time that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Gap {
    /// Its row is refused.
    Refuse,
    /// It is taken as if the clock had not been set forward.
    Shift,
}

/// What becomes of a zero date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ZeroDates {
    /// Its row is refused.
    Refuse,
    /// It is no value.
    Null,
}

/// What becomes of updates and deletes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// `overwrite` if not given.
    pub(crate) update: Option<UpdatePolicy>,
    /// `ignore` if not given.
    pub(crate) delete: Option<DeletePolicy>,
}

/// What becomes of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UpdatePolicy {
    /// They overwrite; points of columns that became NULL are deleted; a row with another device or time is moved.
    Overwrite,
    /// They are counted and left alone.
    Ignore,
}

/// What becomes of deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeletePolicy {
    /// They are counted and left alone.
    Ignore,
    /// The row's points are deleted, and no others.
    Delete,
}

/// What becomes of a row that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnError {
    /// The run ends.
    Stop,
    /// It goes to the file of dead letters, and the run goes on.
    DeadLetters,
}

/// Whether a file says that rows go to IoTDB.
pub(crate) fn is_mapped(file: &File) -> bool {
    let mappings = file
        .iotdb
        .as_ref()
        .and_then(|iotdb| iotdb.mappings.as_ref());
    mappings.is_some_and(|mappings| !mappings.is_empty())
}

/// The names of the mapped tables.
pub(crate) fn tables(file: &File) -> impl Iterator<Item = &str> {
    let mappings = file.iotdb.iter().flat_map(|iotdb| &iotdb.mappings);
    mappings.flatten().map(|mapping| mapping.table.as_str())
}

/// The sink's options. `database` is that of tables named without one.
pub(crate) fn options(
    file: &File,
    database: Option<&str>,
    lookup: Lookup<'_>,
) -> Result<IotdbOptions> {
    let connection = file.connections.as_ref().and_then(|all| all.iotdb.as_ref());
    let (Some(connection), Some(iotdb)) = (connection, &file.iotdb) else {
        return Err(misused(
            "the configuration does not say where IoTDB is",
            "add connections.iotdb.host, and iotdb.mappings",
        ));
    };
    let mut mappings = Vec::new();
    for mapping in iotdb.mappings.iter().flatten() {
        let table = names::table(&mapping.table, database)?;
        mappings.push(self::mapping(mapping, table, iotdb)?);
    }
    let mut options = IotdbOptions::new(nodes(connection)?, mappings);
    if let Some(user) = &connection.user {
        options.user.clone_from(user);
    }
    if let Some(password) = password(connection, lookup)? {
        options.password = password;
    }
    let tls = connection.tls.as_ref();
    options.tls = tls.map(|tls| sink::TlsOptions { ca: tls.ca.clone() });
    options.model = model(iotdb)?;
    options.databases = iotdb.storage_groups.clone().unwrap_or_default();
    options.time = time(iotdb.time.as_ref());
    options.policy = policy(iotdb.policy.as_ref());
    options.on_error = on_error(iotdb)?;
    set(&mut options.connections, iotdb.writers.map(usize::from));
    let ms = |value: u32| Duration::from_millis(value.into());
    let seconds = |value: u32| Duration::from_secs(value.into());
    set(&mut options.linger, iotdb.linger_ms.map(ms));
    let bytes = |value: u32| value as usize;
    set(
        &mut options.tablet_bytes_max,
        iotdb.tablet_bytes_max.map(bytes),
    );
    set(
        &mut options.pending_bytes_max,
        iotdb.pending_bytes_max.map(bytes),
    );
    set(&mut options.call_timeout, iotdb.call_timeout_s.map(seconds));
    set(
        &mut options.unavailable_for_max,
        iotdb.unavailable_for_max_s.map(seconds),
    );
    set(&mut options.flush_at_checkpoint, iotdb.flush_at_checkpoint);
    options.validate()?;
    Ok(options)
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn nodes(connection: &IotdbConnection) -> Result<Vec<sink::Address>> {
    let mut nodes = vec![sink::Address {
        host: connection.host.clone(),
        port: connection.port.unwrap_or(sink::Address::PORT),
    }];
    for text in connection.nodes.iter().flatten() {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                let port = port.parse().map_err(|_| {
                    misused(format!("`{text}` is no node"), "write HOST or HOST:PORT")
                })?;
                (host, port)
            }
            None => (text.as_str(), sink::Address::PORT),
        };
        nodes.push(sink::Address {
            host: host.to_owned(),
            port,
        });
    }
    Ok(nodes)
}

fn password(connection: &IotdbConnection, lookup: Lookup<'_>) -> Result<Option<SecretString>> {
    if let Some(path) = &connection.password_file {
        return read_password_file(path).map(Some);
    }
    if let Some(text) = lookup(PASSWORD_VARIABLE) {
        return Ok(Some(SecretString::from(text)));
    }
    Ok(connection
        .password
        .as_ref()
        .map(|password| password.0.clone()))
}

fn model(iotdb: &Iotdb) -> Result<sink::Model> {
    match (iotdb.model, &iotdb.database) {
        (Some(Model::Tree) | None, _) => Ok(sink::Model::Tree {
            is_aligned: iotdb.aligned.unwrap_or(false),
        }),
        (Some(Model::Table), Some(database)) => Ok(sink::Model::Table {
            database: database.clone(),
        }),
        (Some(Model::Table), None) => Err(misused(
            "the table model does not say which database",
            "add iotdb.database: NAME",
        )),
    }
}

fn mapping(mapping: &Mapping, table: TableName, iotdb: &Iotdb) -> Result<sink::Mapping> {
    let is_tree = iotdb.model != Some(Model::Table);
    let device_field = mapping.device_field.iter().cloned().collect();
    let (target, device_fields) = match (is_tree, &mapping.device_template) {
        (true, Some(template)) => (template.clone(), device_field),
        (true, None) => {
            return Err(misused(
                format!("the mapping of {table} has no device_template"),
                "add one, such as root.plant.pump_{pumpId}",
            ));
        }
        (false, _) => {
            let target = mapping.target.clone();
            let tags = mapping.tags.clone().unwrap_or(device_field);
            (target.unwrap_or_else(|| table.table.to_string()), tags)
        }
    };
    let measurements = mapping.measurements.iter().flatten();
    Ok(sink::Mapping {
        table,
        target,
        device_fields,
        attribute_fields: mapping.attributes.clone().unwrap_or_default(),
        timestamp_field: mapping.timestamp_field.clone(),
        timestamp_unit: mapping.timestamp_unit.map(unit),
        measurements: measurements
            .map(|measurement| sink::Measurement {
                name: measurement.name.clone(),
                series_type: series_type(measurement.data_type),
                field: measurement
                    .field
                    .clone()
                    .unwrap_or_else(|| measurement.name.clone()),
            })
            .collect(),
        duplicates: match mapping.duplicates {
            Some(Duplicates::Last) => sink::Duplicates::Last,
            Some(Duplicates::Refuse) | None => sink::Duplicates::Refuse,
        },
    })
}

const fn unit(unit: TimeUnit) -> sink::TimeUnit {
    match unit {
        TimeUnit::S => sink::TimeUnit::Second,
        TimeUnit::Ms => sink::TimeUnit::Millisecond,
        TimeUnit::Us => sink::TimeUnit::Microsecond,
        TimeUnit::Ns => sink::TimeUnit::Nanosecond,
    }
}

pub(super) const fn series_type(kind: IotdbType) -> sink::SeriesType {
    match kind {
        IotdbType::Boolean => sink::SeriesType::Boolean,
        IotdbType::Int32 => sink::SeriesType::Int32,
        IotdbType::Int64 => sink::SeriesType::Int64,
        IotdbType::Float => sink::SeriesType::Float,
        IotdbType::Double => sink::SeriesType::Double,
        IotdbType::Text => sink::SeriesType::Text,
        IotdbType::String => sink::SeriesType::String,
        IotdbType::Blob => sink::SeriesType::Blob,
        IotdbType::Date => sink::SeriesType::Date,
        IotdbType::Timestamp => sink::SeriesType::Timestamp,
    }
}

fn time(time: Option<&Time>) -> sink::TimeOptions {
    let mut options = sink::TimeOptions::default();
    let Some(time) = time else {
        return options;
    };
    set(&mut options.zone, time.zone.clone());
    if let Some(choice) = time.extra_digits {
        options.extra_digits = match choice {
            ExtraDigits::Refuse => sink::ExtraDigits::Refuse,
            ExtraDigits::Truncate => sink::ExtraDigits::Truncate,
            ExtraDigits::Round => sink::ExtraDigits::Round,
        };
    }
    if let Some(choice) = time.gap {
        options.gap = match choice {
            Gap::Refuse => sink::Gap::Refuse,
            Gap::Shift => sink::Gap::Shift,
        };
    }
    options.zero_is_null = time.zero_dates == Some(ZeroDates::Null);
    options
}

fn policy(policy: Option<&Policy>) -> sink::Policy {
    let update = policy.and_then(|policy| policy.update);
    let delete = policy.and_then(|policy| policy.delete);
    sink::Policy {
        update: match update {
            Some(UpdatePolicy::Ignore) => sink::UpdatePolicy::Ignore,
            Some(UpdatePolicy::Overwrite) | None => sink::UpdatePolicy::Overwrite,
        },
        delete: match delete {
            Some(DeletePolicy::Delete) => sink::DeletePolicy::Delete,
            Some(DeletePolicy::Ignore) | None => sink::DeletePolicy::Ignore,
        },
    }
}

fn on_error(iotdb: &Iotdb) -> Result<sink::OnError> {
    match (iotdb.on_error, &iotdb.dead_letters) {
        (Some(OnError::DeadLetters) | None, Some(path)) => {
            Ok(sink::OnError::DeadLetters(path.clone()))
        }
        (Some(OnError::Stop) | None, _) => Ok(sink::OnError::Stop),
        (Some(OnError::DeadLetters), None) => Err(misused(
            "`on_error: dead_letters` does not say where dead letters go",
            "add `dead_letters: FILE` to the section `iotdb`",
        )),
    }
}
