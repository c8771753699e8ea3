//! The source's side: its rows, read by several readers side by side and mapped by the code of the sink.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use headwater_core::batch::{Batch, Image, Verdict};
use headwater_core::engine::RowFilter;
use headwater_core::filter::TableRule;
use headwater_core::key::KeyRange;
use headwater_core::schema::TableSchema;
use headwater_core::source::{ScanStep, SnapshotReader, Split};
use headwater_core::views::{Views, Within};
use headwater_core::{Error, ErrorKind, Result};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::VerifyProgress;
use crate::config::IotdbOptions;
use crate::convert::Conversion;
use crate::mapping::Plan;
use crate::tablet::{Category, Tablet};

/// Rows of a split.
const SPLIT_ROWS: u64 = 100_000;

/// A table and what becomes of it.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) options: Arc<IotdbOptions>,
    pub(super) schema: Arc<TableSchema>,
    pub(super) plan: Arc<Plan>,
    pub(super) conversion: Conversion,
    /// The layout's columns that are measured: in the table model there are tags and attributes beside them.
    pub(super) fields: Vec<usize>,
    /// Those that say something about the device.
    pub(super) attributes: Vec<usize>,
    pub(super) rows: Option<RowFilter>,
    pub(super) progress: Arc<VerifyProgress>,
}

/// A row of the source that has a place.
pub(super) struct Found<'a> {
    pub(super) device: &'a str,
    pub(super) time: i64,
    /// By field; none: the row is refused.
    pub(super) values: Option<Vec<Option<&'a [u8]>>>,
    /// By attribute; none: nothing of the row is written.
    pub(super) attributes: Option<Vec<Option<&'a [u8]>>>,
    pub(super) image: &'a Image<'a>,
}

/// What rows are read for.
pub(super) trait Taker: Send + Sync + 'static {
    /// A row of the source.
    fn source(&self, row: &Found<'_>);
    /// A row of IoTDB: its points, by field.
    fn target(&self, device: &str, time: i64, values: &[Option<Vec<u8>>]);
}

/// What was read, in numbers.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) rows: AtomicU64,
    pub(super) points: AtomicU64,
    pub(super) empty: AtomicU64,
    pub(super) refused: AtomicU64,
    /// Rows are bounded by a condition or a filter: IoTDB may rightly hold others.
    pub(super) is_bounded: bool,
}

impl Context {
    pub(super) fn new(
        options: Arc<IotdbOptions>,
        schema: Arc<TableSchema>,
        plan: Arc<Plan>,
        conversion: Conversion,
        rows: Option<RowFilter>,
        progress: Arc<VerifyProgress>,
    ) -> Self {
        let of = |category: Category| {
            let columns = plan.layout.columns.iter().enumerate();
            let found = columns.filter(|(_, column)| column.category == category);
            found.map(|(at, _)| at).collect()
        };
        Self {
            fields: of(Category::Field),
            attributes: of(Category::Attribute),
            options,
            schema,
            plan,
            conversion,
            rows,
            progress,
        }
    }
}

/// Reads the table, or what of it lies within, and gives each row to `taker`.
pub(super) async fn read<V: Views, T: Taker>(
    views: &V,
    context: &Arc<Context>,
    within: Option<&Within>,
    readers: usize,
    taker: &Arc<T>,
) -> Result<Counted> {
    let table = &context.schema.name;
    let can_split = context.schema.can_split() && within.is_none();
    let readers = if can_split { readers } else { 1 };
    let cuts = views.open_views(table, within, readers).await?;
    let info = cuts.tables.first().ok_or_else(|| changed(context))?;
    if !info.schema.same_shape(&context.schema) {
        return Err(changed(context));
    }
    if within.is_none() {
        context.progress.expect(info.estimated_rows);
    }
    let looks_at_rows = context.rows.as_ref();
    let looks_at_rows = looks_at_rows.is_some_and(|rows| rows.filter.looks_at_rows());
    let counted = Arc::new(Counted {
        is_bounded: (info.is_bounded && within.is_none()) || looks_at_rows,
        ..Counted::default()
    });
    let unread = Arc::new(Mutex::new(VecDeque::from([KeyRange::default()])));
    let mut workers = JoinSet::new();
    for mut reader in cuts.readers {
        let (context, unread) = (context.clone(), unread.clone());
        let (taker, counted) = (taker.clone(), counted.clone());
        workers.spawn(async move {
            let reading = Reading {
                context: &context,
                taker: &*taker,
                counted: &counted,
            };
            let done = reading.splits(&mut reader, &unread, can_split).await;
            reader.close().await;
            done
        });
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|cause| {
            Error::new(ErrorKind::Internal, "a reader was interrupted").caused_by(cause)
        })??;
    }
    Arc::try_unwrap(counted).map_err(|_| Error::new(ErrorKind::Internal, "a reader goes on"))
}

fn changed(context: &Context) -> Error {
    Error::new(
        ErrorKind::SchemaChanged,
        "the table's definition changed while it was compared",
    )
    .with("table", &context.schema.name)
    .hint("start verify again")
}

struct Reading<'a, T> {
    context: &'a Context,
    taker: &'a T,
    counted: &'a Counted,
}

impl<T: Taker> Reading<'_, T> {
    async fn splits<R: SnapshotReader>(
        &self,
        reader: &mut R,
        unread: &Mutex<VecDeque<KeyRange>>,
        can_split: bool,
    ) -> Result<()> {
        let table = &self.context.schema.name;
        let mut batch = Batch::new();
        loop {
            let range = {
                // Held while the next split is planned: whoever comes then finds the rest.
                let mut unread = unread.lock().await;
                let Some(mut range) = unread.pop_front() else {
                    return Ok(());
                };
                if can_split && let Some(bound) = reader.plan(table, &range, SPLIT_ROWS).await? {
                    unread.push_front(KeyRange {
                        after: Some(bound.clone()),
                        up_to: range.up_to.take(),
                    });
                    range.up_to = Some(bound);
                }
                range
            };
            let table = table.clone();
            reader.begin(&Split { table, range }).await?;
            loop {
                batch.clear();
                let step = reader.read(&mut batch).await?;
                self.take(&mut batch);
                if step == ScanStep::Done {
                    break;
                }
            }
        }
    }

    fn take(&self, batch: &mut Batch) {
        let context = self.context;
        self.sift(batch);
        self.context.progress.add(batch.len() as u64);
        let add = |count: &AtomicU64, more: u64| count.fetch_add(more, Ordering::Relaxed);
        let mut tablet = Tablet::new("".into(), context.plan.layout.clone());
        let mut device = String::new();
        add(&self.counted.rows, batch.len() as u64);
        for row in batch.rows() {
            let Some(image) = row.after() else { continue };
            device.clear();
            let placed = context.plan.device(&image, &mut device);
            let placed = placed.and_then(|()| context.plan.time(&image, &context.conversion));
            let Ok(time) = placed else {
                add(&self.counted.refused, 1);
                continue;
            };
            let pushed = context
                .plan
                .push(&mut tablet, time, &[], &image, &context.conversion);
            let values = match &pushed {
                Err(_) => {
                    add(&self.counted.refused, 1);
                    None
                }
                Ok(pushed) if pushed.points == 0 => {
                    add(&self.counted.empty, 1);
                    Some(vec![None; context.fields.len()])
                }
                Ok(pushed) => {
                    add(&self.counted.points, pushed.points.into());
                    let fields = context.fields.iter();
                    Some(
                        fields
                            .map(|&at| tablet.value(tablet.len() - 1, at))
                            .collect(),
                    )
                }
            };
            let is_written = pushed.as_ref().is_ok_and(|pushed| pushed.points > 0);
            let attributes = is_written.then(|| {
                let attributes = context.attributes.iter();
                attributes
                    .map(|&at| tablet.value(tablet.len() - 1, at))
                    .collect()
            });
            self.taker.source(&Found {
                device: &device,
                time,
                values,
                attributes,
                image: &image,
            });
        }
    }

    /// Leaves out the rows that the filter excludes.
    fn sift(&self, batch: &mut Batch) {
        let Some(rows) = &self.context.rows else {
            return;
        };
        let rule = rows.filter.of_table(&self.context.schema);
        if rule == TableRule::All {
            return;
        }
        let mut text = Vec::new();
        let verdicts: Vec<Verdict> = batch
            .rows()
            .map(|row| rule.verdict(&row, rows.updates, rows.text_of, &mut text))
            .collect();
        batch.retain(&verdicts);
    }
}
