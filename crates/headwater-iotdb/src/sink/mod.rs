//! The sink: rows of mapped tables to tablets, lane by lane.

mod counts;
mod deletes;
mod devices;
mod keys;
mod lane;
mod letters;
mod nodes;
mod pending;
mod places;
mod rows;
mod runs;
mod send;
mod ways;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, Row};
use headwater_core::schema::{SchemaId, TableSchema};
use headwater_core::sink::{Capabilities, Durability, Receipt, Sink};
use headwater_core::{Error, ErrorKind, Result};
use rustc_hash::FxHashMap;
use serde_json::Value;
use tokio::time::Instant;

pub use counts::{Counted, Counts};

use crate::client::{self, Session, SessionOptions};
use crate::config::{Dialect, IotdbOptions, Model, TimeUnit};
use crate::convert::Conversion;
use crate::error;
use crate::mapping::{Plan, node, quoted};
use crate::time::Clock;
use counts::Of;
use devices::Devices;
use lane::Lane;
use letters::Letters;
pub(crate) use nodes::{Abandoned, Connection};
use pending::{Device, Pending};
use places::Places;
use runs::Runs;
use send::{Confirm, Sender};
use ways::Ways;

/// Batches are cut far below this by the engine; it is no bound of IoTDB's.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Writes rows to Apache IoTDB. See [the crate](crate).
#[derive(Debug)]
pub struct IotdbSink {
    options: Arc<IotdbOptions>,
    counts: Arc<Counts>,
    open: Option<Open>,
    /// Calls that lanes which have ended gave up.
    abandoned: Arc<Abandoned>,
    plans: FxHashMap<SchemaId, Option<Arc<Plan>>>,
    devices: Devices,
    device: Device,
    key: Vec<u8>,
    places: Places,
    runs: Runs,
}

#[derive(Debug)]
struct Open {
    lanes: Vec<Lane>,
    letters: Arc<Letters>,
    conversion: Conversion,
}

impl Open {
    /// Where flushes are asked for: one, and then each lane that wrote is asked whether its session is still the same. A server
    /// that was killed in between lost the session, and has not flushed what it had.
    async fn flush(&self) -> Result<()> {
        if !self.lanes.iter().any(Lane::is_unflushed) {
            return Ok(());
        }
        let wrote = self.lanes.iter().filter(|lane| lane.is_unflushed());
        let wrote: Vec<&Lane> = wrote.collect();
        wrote[0].confirm(Confirm::Flush).await?;
        for lane in &wrote[1..] {
            lane.confirm(Confirm::Ping).await?;
        }
        Ok(())
    }
}

impl IotdbSink {
    /// A sink that is not connected yet.
    ///
    /// # Errors
    /// `Configuration`.
    pub fn new(options: IotdbOptions) -> Result<Self> {
        options.validate()?;
        Ok(Self {
            options: Arc::new(options),
            counts: Arc::default(),
            open: None,
            abandoned: Arc::default(),
            plans: FxHashMap::default(),
            devices: Devices::default(),
            device: Device::default(),
            key: Vec::new(),
            places: Places::default(),
            runs: Runs::default(),
        })
    }

    /// The counters, which go on while the sink runs.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Bytes that wait for the server, or are on their way.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        let lanes = self.open.iter().flat_map(|open| &open.lanes);
        lanes.map(Lane::size_bytes).sum()
    }

    async fn connect(&self) -> Result<Open> {
        let letters = Arc::new(Letters::open(self.name(), &self.options.on_error)?);
        let session_options = Arc::new(session_options(&self.options));
        let mut session = any_session(&self.options).await?;
        self.abandoned.settle(self.options.call_timeout).await;
        let properties = session.properties().await?;
        let precision = precision(&properties.precision)?;
        let conversion = Conversion {
            clock: Clock::new(&self.options.time, precision)?,
            zero_is_null: self.options.time.zero_is_null,
        };
        create_databases(&mut session, &self.options).await?;
        session.close().await;
        let lane = |number: usize| {
            Lane::start(Sender {
                ways: Ways::new(
                    &self.options.nodes,
                    number,
                    &session_options,
                    &self.abandoned,
                ),
                options: self.options.clone(),
                counts: self.counts.clone(),
                letters: letters.clone(),
                is_unflushed: Arc::default(),
            })
        };
        Ok(Open {
            lanes: (0..self.options.connections).map(lane).collect(),
            letters,
            conversion,
        })
    }

    fn plan(
        plans: &mut FxHashMap<SchemaId, Option<Arc<Plan>>>,
        options: &IotdbOptions,
        conversion: &Conversion,
        schema: &TableSchema,
    ) -> Result<Option<Arc<Plan>>> {
        if let Some(plan) = plans.get(&schema.id) {
            return Ok(plan.clone());
        }
        let mut mappings = options.mappings.iter().enumerate();
        let found = mappings.find(|(_, mapping)| mapping.table == schema.name);
        let plan = found.map(|found| Plan::new(found, schema, &options.model, conversion));
        let plan = plan.transpose()?.map(Arc::new);
        plans.insert(schema.id, plan.clone());
        Ok(plan)
    }

    /// Adds a batch's rows to their lanes.
    fn add(&mut self, batch: &Batch) -> Result<()> {
        let Some(open) = &self.open else {
            return Err(Error::new(
                ErrorKind::Internal,
                "a sink was written to before it was open",
            ));
        };
        if batch.is_empty() {
            return Ok(());
        }
        let mut gathered: Vec<Pending> = open.lanes.iter().map(Lane::gathered).collect();
        let mut rows = rows::Rows {
            options: &self.options,
            counts: &self.counts,
            open,
            gathered: &mut gathered,
            devices: &mut self.devices,
            device: &mut self.device,
            key: &mut self.key,
            places: &mut self.places,
            runs: &mut self.runs,
            nulls: 0,
        };
        let added = rows.apply(batch, &mut self.plans);
        self.counts.add(Of::Nulls, rows.nulls);
        let is_live = |row: Row<'_>| row.kind() != ChangeKind::Bootstrap;
        let is_live = batch.rows().any(is_live);
        for (lane, gathered) in open.lanes.iter().zip(gathered) {
            lane.give(gathered, is_live);
        }
        added
    }

    /// Waits until there is room for another batch.
    async fn make_room(&self) -> Result<()> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let since = Instant::now();
        loop {
            if let Some(error) = open.lanes.iter().find_map(Lane::failure) {
                return Err(error);
            }
            let fullest = open.lanes.iter().max_by_key(|lane| lane.size_bytes());
            let waiting: usize = open.lanes.iter().map(Lane::size_bytes).sum();
            let Some(fullest) = fullest.filter(|_| waiting >= self.options.pending_bytes_max)
            else {
                return Ok(());
            };
            fullest.hurry();
            // Each lane gives up by itself; this is for one that hangs.
            let limit = self.options.unavailable_for_max * 2 + self.options.call_timeout;
            if tokio::time::timeout_at(since + limit, fullest.sent())
                .await
                .is_err()
            {
                return Err(error::unreachable(&self.options.nodes[0]));
            }
        }
    }
}

impl Sink for IotdbSink {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: true,
            rewinds: false,
            replaces_by_key: false,
            keeps_checkpoint: false,
            counts_rows: false,
            batch_bytes_max: BATCH_BYTES_MAX,
        }
    }

    fn name(&self) -> String {
        let nodes: Vec<String> = self.options.nodes.iter().map(ToString::to_string).collect();
        format!("iotdb:{}", nodes.join(","))
    }

    async fn open(&mut self, _mark: Option<&Value>) -> Result<()> {
        if let Some(open) = self.open.take() {
            for lane in open.lanes {
                lane.stop().await;
            }
        }
        self.open = Some(self.connect().await?);
        // The precision may be another now.
        self.plans.clear();
        // What is written again after a rewind is no duplicate of itself.
        self.places = Places::default();
        Ok(())
    }

    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        self.make_room().await?;
        self.add(batch)?;
        if durability == Durability::Accepted {
            return Ok(Receipt::Accepted);
        }
        let Some(open) = &self.open else {
            return Ok(Receipt::Durable(Value::Null));
        };
        // All at once, rather than one after the other.
        open.lanes.iter().for_each(Lane::hurry);
        for lane in &open.lanes {
            lane.drain().await?;
        }
        open.flush().await?;
        let letters = open.letters.clone();
        tokio::task::spawn_blocking(move || letters.sync())
            .await
            .map_err(|cause| {
                Error::new(ErrorKind::Internal, "syncing the dead letters failed").caused_by(cause)
            })??;
        Ok(Receipt::Durable(Value::Null))
    }
}

pub(crate) fn session_options(options: &IotdbOptions) -> SessionOptions {
    SessionOptions {
        user: options.user.clone(),
        password: options.password.clone(),
        tls: options.tls.clone(),
        dialect: options.dialect(),
        call_timeout: options.call_timeout,
    }
}

/// How sessions are opened that need no database: one of the table model may have to be made first.
pub(crate) fn without_database(options: &IotdbOptions) -> SessionOptions {
    let mut session_options = session_options(options);
    if let Dialect::Table { database } = &mut session_options.dialect {
        *database = None;
    }
    session_options
}

/// A session with the first node that gives one, without a database.
pub(crate) async fn any_session(options: &IotdbOptions) -> Result<Session> {
    let session_options = &without_database(options);
    let mut failure = None;
    for address in &options.nodes {
        match Session::open(address, session_options).await {
            Ok(session) => return Ok(session),
            Err(error) if error.is_temporary() => failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Configuration, "no IoTDB node is named")))
}

/// What IoTDB answers to a query, in the model and database of the options.
///
/// # Errors
/// As those of a sink; a statement that is refused is `SinkRejected`.
pub async fn query(options: &IotdbOptions, statement: &str) -> Result<client::Rows> {
    let mut session = any_session(options).await?;
    if let Model::Table { database } = &options.model {
        let status = session
            .execute(&format!("USE {}", quoted(database)))
            .await?;
        error::check(&status, "choosing the database")?;
    }
    let rows = session.query(statement).await;
    session.close().await;
    rows
}

/// The server's precision of time.
pub(crate) fn precision(name: &str) -> Result<TimeUnit> {
    let units = [
        TimeUnit::Millisecond,
        TimeUnit::Microsecond,
        TimeUnit::Nanosecond,
    ];
    let found = units.into_iter().find(|unit| unit.name() == name);
    found.ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "IoTDB counts time in a unit that is not known",
        )
        .with("timestamp_precision", name)
    })
}

async fn create_databases(session: &mut Session, options: &IotdbOptions) -> Result<()> {
    const EXISTS: [i32; 2] = [501, 506];
    let statements: Vec<String> = match &options.model {
        Model::Tree { .. } => {
            let paths = options.databases.iter();
            paths
                .map(|path| format!("CREATE DATABASE {}", quoted_path(path)))
                .collect()
        }
        Model::Table { database } => {
            vec![format!(
                "CREATE DATABASE IF NOT EXISTS {}",
                quoted(database)
            )]
        }
    };
    for statement in statements {
        let status = session.execute(&statement).await?;
        if !EXISTS.contains(&status.code) {
            error::check(&status, "creating a database")
                .map_err(|error| error.with("statement", &statement))?;
        }
    }
    Ok(())
}

/// A path with its nodes in back-quotes where they need them.
fn quoted_path(path: &str) -> String {
    let nodes: Vec<String> = path.split('.').map(node).collect();
    nodes.join(".")
}
