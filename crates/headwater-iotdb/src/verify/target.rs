//! IoTDB's side: the points of the devices that a mapping may write, read device by device and page by page, so that no query takes
//! long and no answer is large.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use headwater_core::{Error, ErrorKind, Result};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::attributes::Attributes;
use super::content::{Held, bytes_of};
use super::grid::{BucketId, Grid, Scope, digest};
use super::source::{Context, Taker};
use crate::client::{Rows, Value};
use crate::mapping::{Plan, Template, literal, quoted};
use crate::sink::{Connection, session_options};

/// Devices that are listed at once.
const LISTED: usize = 5_000;
/// Devices of one query of the tree model.
const DEVICES: usize = 32;
/// Times that one query names.
const TIMES: usize = 100;
/// Rows of a page, and the bytes that it should have.
const PAGE_ROWS: usize = 10_000;
const PAGE_ROWS_FIRST: usize = 200;
const PAGE_BYTES: usize = 8 << 20;

/// What is read.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Scope(Scope),
    /// These buckets.
    Buckets(Grid, HashMap<u64, (i64, i64)>),
    /// These places, by device.
    Places(BTreeMap<String, Vec<i64>>),
}

impl Wanted {
    pub(super) fn buckets(grid: Grid, buckets: &HashSet<BucketId>) -> Self {
        let mut devices: HashMap<u64, (i64, i64)> = HashMap::new();
        for bucket in buckets {
            let (first, last) = grid.times(*bucket);
            let times = devices.entry(bucket.device).or_insert((first, last));
            *times = (times.0.min(first), times.1.max(last));
        }
        Self::Buckets(grid, devices)
    }

    /// The condition on time for a device; none: it is not wanted.
    fn of_device(&self, device: &str) -> Option<Times> {
        let number = digest(&[device.as_bytes()]);
        match self {
            Self::Scope(scope) => scope.has_device(number).then(|| Times {
                first: scope.times().map_or(i64::MIN, |times| times.0),
                last: scope.times().map_or(i64::MAX, |times| times.1),
                only: Vec::new(),
            }),
            Self::Buckets(grid, devices) => {
                let (first, last) = *devices.get(&grid.bucket(number, 0).device)?;
                Some(Times {
                    first,
                    last,
                    only: Vec::new(),
                })
            }
            Self::Places(_) => None,
        }
    }
}

/// Which times are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Times {
    first: i64,
    last: i64,
    /// These alone; empty: all between.
    only: Vec<i64>,
}

impl Times {
    fn condition(&self, others: &str) -> String {
        let mut parts = Vec::new();
        if !others.is_empty() {
            parts.push(others.to_owned());
        }
        if !self.only.is_empty() {
            let each = self.only.iter().map(|time| format!("time = {time}"));
            parts.push(format!("({})", each.collect::<Vec<_>>().join(" OR ")));
        }
        if self.first > i64::MIN {
            parts.push(format!("time >= {}", self.first));
        }
        if self.last < i64::MAX {
            parts.push(format!("time <= {}", self.last));
        }
        match parts.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", parts.join(" AND ")),
        }
    }
}

/// Devices that are read by one query and those that go on from it.
#[derive(Debug)]
struct Work {
    devices: Vec<String>,
    times: Times,
}

/// Reads what is wanted, and gives each row to `taker`.
pub(super) async fn read<T: Taker>(
    context: &Arc<Context>,
    wanted: Wanted,
    taker: &Arc<T>,
) -> Result<()> {
    let connections = context.options.connections;
    let lister = Arc::new(Mutex::new(Lister::new(wanted)));
    let mut workers = JoinSet::new();
    for number in 0..connections {
        let (context, lister, taker) = (context.clone(), lister.clone(), taker.clone());
        workers.spawn(async move {
            let mut asking = Asking::new(&context, number);
            let done = asking.work(&lister, &*taker).await;
            asking.connection.close().await;
            done
        });
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|cause| {
            Error::new(ErrorKind::Internal, "a reader was interrupted").caused_by(cause)
        })??;
    }
    Ok(())
}

/// Gives out the devices.
struct Lister {
    wanted: Wanted,
    ready: Vec<Work>,
    listed: usize,
    is_over: bool,
}

impl Lister {
    fn new(wanted: Wanted) -> Self {
        let mut ready = Vec::new();
        let is_over = matches!(wanted, Wanted::Places(_));
        if let Wanted::Places(places) = &wanted {
            for (device, times) in places {
                ready.extend(times.chunks(TIMES).map(|times| Work {
                    devices: vec![device.clone()],
                    times: Times {
                        first: i64::MIN,
                        last: i64::MAX,
                        only: times.to_vec(),
                    },
                }));
            }
        }
        Self {
            wanted,
            ready,
            listed: 0,
            is_over,
        }
    }

    async fn next(&mut self, asking: &mut Asking<'_>) -> Result<Option<Work>> {
        while self.ready.is_empty() && !self.is_over {
            let (count, devices) = asking.devices(self.listed).await?;
            self.listed += count;
            self.is_over = count < LISTED;
            let mut work: Vec<Work> = Vec::new();
            let together = if asking.is_tree() { DEVICES } else { 1 };
            for device in devices {
                let Some(times) = self.wanted.of_device(&device) else {
                    continue;
                };
                match work.last_mut() {
                    Some(last) if last.times == times && last.devices.len() < together => {
                        last.devices.push(device);
                    }
                    _ => work.push(Work {
                        devices: vec![device],
                        times,
                    }),
                }
            }
            self.ready = work;
        }
        Ok(self.ready.pop())
    }
}

struct Asking<'a> {
    context: &'a Context,
    connection: Connection,
    page_rows: usize,
}

impl<'a> Asking<'a> {
    fn new(context: &'a Context, number: usize) -> Self {
        let options = Arc::new(session_options(&context.options));
        Self {
            context,
            // Only reads: what is given up changes nothing.
            connection: Connection::new(&context.options.nodes, number, options, Arc::default()),
            page_rows: PAGE_ROWS_FIRST,
        }
    }

    fn is_tree(&self) -> bool {
        self.context.plan.table().is_none()
    }

    async fn work<T: Taker>(&mut self, lister: &Mutex<Lister>, taker: &T) -> Result<()> {
        loop {
            let work = lister.lock().await.next(self).await?;
            match work {
                Some(work) => self.read(work, taker).await?,
                None => return Ok(()),
            }
        }
    }

    /// Reads devices page by page. A full page ends within a device: that one is read on by itself, those that were not seen come
    /// after it.
    async fn read<T: Taker>(&mut self, work: Work, taker: &T) -> Result<()> {
        let mut open = vec![work];
        while let Some(work) = open.pop() {
            let limit = self.page_rows;
            let page = match self.page(&work, limit).await {
                Ok(page) => page,
                // Series of one name may have several types, which cannot stand in one answer.
                Err(error) if error.kind() == ErrorKind::SinkRejected && work.devices.len() > 1 => {
                    open.extend(work.devices.into_iter().map(|device| Work {
                        devices: vec![device],
                        times: work.times.clone(),
                    }));
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (device, time, values) in &page {
                taker.target(device, *time, values);
            }
            self.context.progress.add(page.len() as u64);
            let size: usize = page.iter().map(row_bytes).sum();
            let fitting = limit * PAGE_BYTES / size.max(1);
            self.page_rows = fitting.min(limit * 4).clamp(1, PAGE_ROWS);
            let Some((last, time, _)) = page.last().filter(|_| page.len() >= limit) else {
                continue;
            };
            let seen: HashSet<&str> = page.iter().map(|(device, _, _)| device.as_str()).collect();
            let unseen = work
                .devices
                .iter()
                .filter(|device| !seen.contains(device.as_str()));
            let unseen: Vec<String> = unseen.cloned().collect();
            if !unseen.is_empty() {
                open.push(Work {
                    devices: unseen,
                    times: work.times.clone(),
                });
            }
            if let Some(first) = time.checked_add(1) {
                open.push(Work {
                    devices: vec![last.clone()],
                    times: Times {
                        first,
                        ..work.times
                    },
                });
            }
        }
        Ok(())
    }

    async fn page(&mut self, work: &Work, limit: usize) -> Result<Vec<PageRow>> {
        let (plan, fields) = (&self.context.plan, &self.context.fields);
        let columns = fields.iter().map(|&at| match plan.table() {
            None => plan.layout.columns[at].name.clone(),
            Some(_) => quoted(&plan.layout.columns[at].name),
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let statement = match plan.table() {
            None => format!(
                "SELECT {columns} FROM {}{} LIMIT {limit} ALIGN BY DEVICE",
                work.devices.join(", "),
                work.times.condition("")
            ),
            Some(table) => {
                let device = work.devices.first().map_or("", String::as_str);
                format!(
                    "SELECT time, {columns} FROM {}{} ORDER BY time LIMIT {limit}",
                    quoted(table),
                    work.times.condition(device)
                )
            }
        };
        let rows = self.query(&statement).await?;
        Ok(self.rows(rows, work))
    }

    fn rows(&self, rows: Rows, work: &Work) -> Vec<PageRow> {
        let plan = &self.context.plan;
        let is_tree = self.is_tree();
        let fields: Vec<_> = self
            .context
            .fields
            .iter()
            .map(|&at| {
                let name = &plan.layout.columns[at].name;
                let wanted = bare(name);
                let mut columns = rows.columns.iter().map(|column| bare(column));
                let mut place = columns.position(|column| column == wanted);
                if !is_tree {
                    // The table model makes no difference between letters.
                    place = place.or_else(|| rows.column(&wanted));
                }
                (place, plan.layout.columns[at].series_type)
            })
            .collect();
        let of_row = |(time, values): (i64, Vec<Value>)| {
            let (device, time) = match (is_tree, values.first()) {
                (true, Some(device)) => (own_path(&device.text()?)?, time),
                (false, Some(Value::Int64(time))) => (work.devices.first()?.clone(), *time),
                _ => return None,
            };
            let field = |(place, series_type): &(Option<usize>, _)| {
                bytes_of(values.get((*place)?)?, *series_type)
            };
            Some((device, time, fields.iter().map(field).collect()))
        };
        rows.times
            .into_iter()
            .zip(rows.values)
            .filter_map(of_row)
            .collect()
    }

    /// The devices from the place `from` of IoTDB's list on: how many were listed, and those among them that the mapping may write.
    async fn devices(&mut self, from: usize) -> Result<(usize, Vec<String>)> {
        let context = self.context;
        let plan = &context.plan;
        let mapping = &context.options.mappings[plan.mapping];
        let Some(table) = plan.table() else {
            let template = Template::parse(&mapping.target)?;
            let pattern = template.pattern();
            let statement = format!("SHOW DEVICES {pattern} LIMIT {LISTED} OFFSET {from}");
            let rows = self.query(&statement).await?;
            let at = rows.column("Device").unwrap_or(0);
            let paths = rows
                .values
                .iter()
                .filter_map(|row| row.get(at)?.text())
                .filter(|path| template.matches(path));
            return Ok((
                rows.values.len(),
                paths.filter_map(|path| own_path(&path)).collect(),
            ));
        };
        if plan.device.is_empty() {
            return Ok((0, vec![String::new()]));
        }
        let statement = format!(
            "SHOW DEVICES FROM {} LIMIT {LISTED} OFFSET {from}",
            quoted(table)
        );
        let rows = match self.query(&statement).await {
            Ok(rows) => rows,
            // It is made with its first row.
            Err(error) if error.kind() == ErrorKind::SinkRejected => Rows::default(),
            Err(error) => return Err(error),
        };
        Ok((rows.values.len(), conditions(plan, &rows)))
    }

    /// Devices of a table with their attributes: those that a clause chooses.
    async fn attributes(&mut self, clause: &str) -> Result<(usize, Attributes)> {
        let plan = &self.context.plan;
        let table = quoted(plan.table().map_or("", |table| table));
        let statement = format!("SHOW DEVICES FROM {table}{clause}");
        let rows = match self.query(&statement).await {
            Ok(rows) => rows,
            // It is made with its first row.
            Err(error) if error.kind() == ErrorKind::SinkRejected => Rows::default(),
            Err(error) => return Err(error),
        };
        let columns = self.context.attributes.iter().map(|&at| {
            let place = rows.column(&plan.names[at]);
            (place, plan.layout.columns[at].series_type)
        });
        let columns: Vec<_> = columns.collect();
        let of_row = |row: &Vec<Value>| {
            let value = |(place, series_type): &(Option<usize>, _)| {
                let value = row.get((*place)?)?;
                bytes_of(value, *series_type).map(|bytes| Held::new(&bytes))
            };
            columns.iter().map(value).collect()
        };
        let devices = conditions(plan, &rows).into_iter();
        let devices = devices.zip(rows.values.iter().map(of_row)).collect();
        Ok((rows.values.len(), devices))
    }

    /// Asks, again if it may pass, for as long as the sink would.
    async fn query(&mut self, statement: &str) -> Result<Rows> {
        let since = Instant::now();
        loop {
            let asked = match self.connection.session().await {
                Ok(session) => session.query(statement).await,
                Err(error) => Err(error),
            };
            match asked {
                Ok(rows) => {
                    self.connection.succeeded();
                    return Ok(rows);
                }
                Err(error)
                    if error.is_temporary()
                        && since.elapsed() < self.context.options.unavailable_for_max =>
                {
                    let wait = self.connection.failed();
                    tracing::warn!("IoTDB is asked again: {error}");
                    self.connection.forget();
                    tokio::time::sleep(wait).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Attributes of devices from the place `from` of IoTDB's list on: how many, whether they are the last, and what they have.
pub(super) async fn attributes(
    context: &Context,
    from: usize,
) -> Result<(usize, bool, Attributes)> {
    let clause = format!(" LIMIT {LISTED} OFFSET {from}");
    let mut asking = Asking::new(context, 0);
    let listed = asking.attributes(&clause).await;
    asking.connection.close().await;
    let (count, devices) = listed?;
    Ok((count, count < LISTED, devices))
}

/// The same of these devices.
pub(super) async fn attributes_of(context: &Context, devices: &[&String]) -> Result<Attributes> {
    let mut asking = Asking::new(context, 0);
    let mut found = Attributes::new();
    for devices in devices.chunks(DEVICES) {
        let each = devices.iter().map(|device| match device.is_empty() {
            true => "true".to_owned(),
            false => format!("({device})"),
        });
        let clause = format!(" WHERE {}", each.collect::<Vec<_>>().join(" OR "));
        found.extend(asking.attributes(&clause).await?.1);
    }
    asking.connection.close().await;
    Ok(found)
}

/// For each device that is listed the condition on its tags that is true for it alone.
fn conditions(plan: &Plan, rows: &Rows) -> Vec<String> {
    let tags = plan.device.iter();
    let tags: Vec<(String, Option<usize>)> = tags
        .map(|(name, _)| (quoted(name), rows.column(name)))
        .collect();
    let condition = |row: &Vec<Value>| {
        let each = tags.iter().map(|(name, at)| {
            match at.and_then(|at| row.get(at)).and_then(Value::text) {
                Some(text) => format!("{name}={}", literal(&text)),
                None => format!("{name} IS NULL"),
            }
        });
        each.collect::<Vec<_>>().join(" AND ")
    };
    rows.values.iter().map(condition).collect()
}

/// A row of IoTDB: device, time, and its points by field.
type PageRow = (String, i64, Vec<Option<Vec<u8>>>);

fn row_bytes(row: &PageRow) -> usize {
    let values = row.2.iter().flatten();
    32 + values.map(|bytes| bytes.len() + 24).sum::<usize>()
}

fn bare(name: &str) -> String {
    let inside = name
        .strip_prefix('`')
        .and_then(|name| name.strip_suffix('`'));
    inside.map_or_else(|| name.to_owned(), |name| name.replace("``", "`"))
}

/// A path as we write it, whatever IoTDB puts into back-quotes.
fn own_path(path: &str) -> Option<String> {
    let nodes = crate::mapping::nodes(path)?;
    let nodes: Vec<String> = nodes
        .iter()
        .map(|node| crate::mapping::node(node))
        .collect();
    Some(nodes.join("."))
}
