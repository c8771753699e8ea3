//! Compares a source with IoTDB, and tells which rows differ. Nothing is written to either.
//!
//! First both sides are added up by device and time ([`grid`]): what has equal sums is equal. IoTDB is read first, the source
//! after it, so that a running stream leaves little between the two. What has not is read again from both sides, and compared
//! place by place ([`judge`]). A place that differs is then looked at again and again, for what a stream brings late is no
//! difference: it counts once neither side of it has changed for [`VerifyOptions::settle`].

mod attributes;
mod content;
mod grid;
mod judge;
mod settle;
mod source;
mod takers;
mod target;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headwater_core::engine::RowFilter;
use headwater_core::schema::{TableName, TableSchema};
use headwater_core::views::Views;
use headwater_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value as Json};

use crate::check::time_precision;
use crate::config::{Duplicates, IotdbOptions};
use crate::convert::Conversion;
use crate::mapping::{Plan, Template};
use crate::time::Clock;
use content::Places;
use grid::{BucketId, Grid, Scope, Sum};
use judge::{Rules, judge};
use source::{Context, Counted};
use takers::{Chosen, Contents, Sums};
use target::Wanted;

/// Ranges of time that one statement names.
const RANGES_MAX: usize = 64;

/// How to compare.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// The mapped tables that are compared; empty: all.
    pub tables: Vec<TableName>,
    /// Readers of the source.
    pub readers: usize,
    /// Differences that are told. What differs beyond them is not looked at closely.
    pub limit: u64,
    /// For how long neither side of a place may change before it counts as different.
    pub settle: Duration,
    /// Which of the source's rows go out.
    pub rows: Option<RowFilter>,
    /// Buckets that are held: about 100 bytes each.
    pub buckets_max: usize,
    /// Rows that are held.
    pub rows_max: usize,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            readers: 2,
            limit: 100,
            settle: Duration::from_secs(10),
            rows: None,
            buckets_max: 500_000,
            rows_max: 20_000,
        }
    }
}

/// How a place differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A row of the source is in IoTDB with other values.
    Differs,
    /// A row of the source is not in IoTDB.
    Missing,
    /// IoTDB has points that no row of the source has.
    Extra,
}

impl Kind {
    /// Its name in what is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Extra => "extra",
        }
    }
}

/// Why a difference is no failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `policy.delete: ignore` leaves the points of deleted rows.
    DeletesIgnored,
    /// `policy.update: ignore` leaves what was there before.
    UpdatesIgnored,
    /// The row that has this place now is refused; what stands there is from before.
    RowRefused,
    /// A condition or a filter bounds the rows that are compared.
    RowsBounded,
    /// `duplicates: last` leaves what a row wrote that has gone, moved or lost a value: it may be another row's.
    DuplicatesLeft,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::DeletesIgnored,
        Self::UpdatesIgnored,
        Self::RowRefused,
        Self::RowsBounded,
        Self::DuplicatesLeft,
    ];

    /// Its name in what is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeletesIgnored => "deletes_ignored",
            Self::UpdatesIgnored => "updates_ignored",
            Self::RowRefused => "row_refused",
            Self::RowsBounded => "rows_bounded",
            Self::DuplicatesLeft => "duplicates_left",
        }
    }

    /// The same for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::DeletesIgnored => "as policy.delete: ignore leaves them",
            Self::UpdatesIgnored => "as policy.update: ignore leaves them",
            Self::RowRefused => "where the source's row is refused",
            Self::RowsBounded => "which may be of rows that a condition or filter leaves out",
            Self::DuplicatesLeft => "as duplicates: last leaves them",
        }
    }
}

/// A column that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDifference {
    /// The measurement.
    pub name: String,
    /// What the source has, as IoTDB should have it; none: NULL, or no row.
    pub source: Option<Json>,
    /// What IoTDB has; none: no point.
    pub iotdb: Option<Json>,
}

/// A place that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The source's table.
    pub table: TableName,
    /// How.
    pub kind: Kind,
    /// Why it is no failure; none: it is one.
    pub reason: Option<Reason>,
    /// The source's row, if there is one that has a key; of a device's attributes one of its rows.
    pub key: Option<Map<String, Json>>,
    /// The device: its path, or its tags.
    pub device: String,
    /// The time, as IoTDB counts it; none for a device's attributes, which have none.
    pub time: Option<i64>,
    /// What differs.
    pub columns: Vec<ColumnDifference>,
}

/// What a table came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// The source's table.
    pub table: TableName,
    /// Rows of the source.
    pub rows: u64,
    /// Their values that are points.
    pub points: u64,
    /// Rows without a value in any measurement: they have no points.
    pub empty: u64,
    /// Rows that cannot be points: they are not expected in IoTDB.
    pub refused: u64,
    /// Places with other values.
    pub differs: u64,
    /// Places without points.
    pub missing: u64,
    /// Places with points that no row has.
    pub extra: u64,
    /// Differences that are no failure, in the order of [`Reason::ALL`].
    pub explained: [u64; Reason::ALL.len()],
    /// Places that went on changing for as long as they were looked at.
    pub unsettled: u64,
    /// Rows and points in ranges that differ, and were not looked at closely because of the limit.
    pub not_looked_at: u64,
}

impl TableReport {
    /// Whether both sides are the same, as far as the policies want them to be.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.differs + self.missing + self.extra + self.not_looked_at == 0
    }

    /// The differences that are no failure.
    #[must_use]
    pub fn explained(&self) -> u64 {
        self.explained.iter().sum()
    }

    const fn told(&self) -> u64 {
        self.differs + self.missing + self.extra
    }
}

/// How far it is. Reading never waits.
#[derive(Debug, Default)]
pub struct VerifyProgress {
    rows: AtomicU64,
    expected: AtomicU64,
}

impl VerifyProgress {
    /// Rows read so far, on both sides.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// About as many as that are to be read.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    fn add(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    fn expect(&self, rows: u64) {
        self.expected
            .fetch_max(self.rows().saturating_add(rows), Ordering::Relaxed);
    }
}

/// Compares the tables of all mappings, one after the other; `tell` is given each difference as it is found.
///
/// # Errors
/// `Configuration` for a mapping that does not fit its table; those of the source and of IoTDB.
pub async fn verify<V: Views>(
    options: &IotdbOptions,
    views: &V,
    tables: &[Arc<TableSchema>],
    how: &VerifyOptions,
    progress: &Arc<VerifyProgress>,
    mut tell: impl FnMut(Difference) + Send,
) -> Result<Vec<TableReport>> {
    options.validate()?;
    let options = Arc::new(options.clone());
    let conversion = Conversion {
        clock: Clock::new(&options.time, time_precision(&options).await?)?,
        zero_is_null: options.time.zero_is_null,
    };
    let mut reports = Vec::new();
    let mappings = options.mappings.iter().enumerate();
    let is_wanted = |table| how.tables.is_empty() || how.tables.contains(table);
    for (at, mapping) in mappings.filter(|(_, mapping)| is_wanted(&mapping.table)) {
        let mut all = tables.iter();
        let schema = all.find(|schema| schema.name == mapping.table);
        let schema = schema.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "a mapped table is not there")
                .with("table", &mapping.table)
        })?;
        let plan = Plan::new((at, mapping), schema, &options.model, &conversion)?;
        let context = Arc::new(Context::new(
            options.clone(),
            schema.clone(),
            Arc::new(plan),
            conversion.clone(),
            how.rows.clone(),
            progress.clone(),
        ));
        let mut comparing = Comparing {
            context,
            views,
            how,
            tell: &mut tell,
            is_bounded: false,
            report: TableReport {
                table: schema.name.clone(),
                rows: 0,
                points: 0,
                empty: 0,
                refused: 0,
                differs: 0,
                missing: 0,
                extra: 0,
                explained: [0; Reason::ALL.len()],
                unsettled: 0,
                not_looked_at: 0,
            },
        };
        comparing.table().await?;
        reports.push(comparing.report);
    }
    Ok(reports)
}

/// One table being compared.
struct Comparing<'a, V, F> {
    context: Arc<Context>,
    views: &'a V,
    how: &'a VerifyOptions,
    tell: &'a mut F,
    is_bounded: bool,
    report: TableReport,
}

impl<V: Views, F: FnMut(Difference) + Send> Comparing<'_, V, F> {
    async fn table(&mut self) -> Result<()> {
        let mut open = vec![Scope::ALL];
        let mut suspects = Places::new();
        while let Some(scope) = open.pop() {
            let (grid, differing) = self.sums(scope).await?;
            let mut group: Vec<(BucketId, Sum)> = Vec::new();
            let mut rows = 0;
            for (bucket, sum) in differing {
                let is_large = sum.rows() > self.how.rows_max;
                if is_large && (grid.time_bits > 0 || grid.device_bits < 64) {
                    let bucket = Some(bucket);
                    open.push(Scope { grid, bucket });
                    continue;
                }
                if rows + sum.rows() > self.how.rows_max && !group.is_empty() {
                    self.look(grid, &group, &mut suspects).await?;
                    group.clear();
                    rows = 0;
                }
                rows += sum.rows();
                group.push((bucket, sum));
            }
            self.look(grid, &group, &mut suspects).await?;
        }
        self.settle(suspects).await?;
        self.attributes().await
    }

    /// The buckets of a scope that differ.
    async fn sums(&mut self, scope: Scope) -> Result<(Grid, Vec<(BucketId, Sum)>)> {
        if self.is_enough() {
            // What was left for later is told by a number that is not known here: it is one range at least.
            self.report.not_looked_at += 1;
            return Ok((scope.grid, Vec::new()));
        }
        let sums = Arc::new(Sums::new(scope, self.how.buckets_max));
        target::read(&self.context, Wanted::Scope(scope), &sums).await?;
        let within = scope.times().map(|times| {
            let context = &self.context;
            context
                .plan
                .within(&context.schema, &[times], &context.conversion)
        });
        let read = source::read(
            self.views,
            &self.context,
            within.as_ref(),
            self.how.readers,
            &sums,
        )
        .await?;
        if scope == Scope::ALL {
            self.count(read);
        }
        let sums = Arc::try_unwrap(sums)
            .map_err(|_| Error::new(ErrorKind::Internal, "a reader goes on"))?;
        let buckets = sums.into_buckets();
        Ok((buckets.grid, buckets.differing()))
    }

    fn count(&mut self, read: Counted) {
        let report = &mut self.report;
        report.rows = read.rows.into_inner();
        report.points = read.points.into_inner();
        report.empty = read.empty.into_inner();
        report.refused = read.refused.into_inner();
        self.is_bounded = read.is_bounded;
    }

    fn is_enough(&self) -> bool {
        self.report.told() >= self.how.limit
    }

    /// Reads buckets again, and keeps the places that differ. When there are many, they are decided.
    async fn look(
        &mut self,
        grid: Grid,
        group: &[(BucketId, Sum)],
        suspects: &mut Places,
    ) -> Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        if self.is_enough() {
            let rows: usize = group.iter().map(|(_, sum)| sum.rows()).sum();
            self.report.not_looked_at += rows as u64;
            return Ok(());
        }
        let buckets: HashSet<BucketId> = group.iter().map(|(bucket, _)| *bucket).collect();
        let times = group.iter().map(|(bucket, _)| grid.times(*bucket));
        let ranges = merged(times.collect());
        let wanted = Wanted::buckets(grid, &buckets);
        let found = self
            .contents(Chosen::Buckets(grid, buckets), wanted, &ranges)
            .await?;
        suspects.extend(found);
        if suspects.len() >= self.how.rows_max {
            self.settle(std::mem::take(suspects)).await?;
        }
        Ok(())
    }

    /// The places among those chosen that differ.
    async fn contents(
        &self,
        chosen: Chosen,
        wanted: Wanted,
        ranges: &[(i64, i64)],
    ) -> Result<Places> {
        let context = &self.context;
        let contents = Arc::new(Contents::new(chosen));
        target::read(context, wanted, &contents).await?;
        let within = context
            .plan
            .within(&context.schema, ranges, &context.conversion);
        source::read(self.views, context, Some(&within), 1, &contents).await?;
        let contents = Arc::try_unwrap(contents)
            .map_err(|_| Error::new(ErrorKind::Internal, "a reader goes on"))?;
        let mut places = contents.into_places();
        let rules = self.rules();
        let others = self.others()?;
        places.retain(|(device, _), place| {
            let is_others = place.rows.is_empty() && others.iter().any(|other| other.has(device));
            !is_others && judge(place, rules).is_some()
        });
        Ok(places)
    }

    fn rules(&self) -> Rules {
        let (plan, options) = (&self.context.plan, &self.context.options);
        Rules {
            policy: options.policy,
            is_bounded: self.is_bounded,
            has_duplicates: options.mappings[plan.mapping].duplicates == Duplicates::Last,
        }
    }

    /// The other mappings that may write the same points.
    fn others(&self) -> Result<Vec<Other>> {
        let (plan, options) = (&self.context.plan, &self.context.options);
        let own = &options.mappings[plan.mapping];
        let names: HashSet<&str> = plan.names.iter().map(String::as_str).collect();
        let mut others = Vec::new();
        for mapping in options.mappings.iter().filter(|other| *other != own) {
            let mut measurements = mapping.measurements.iter();
            let is_shared = mapping.measurements.is_empty()
                || measurements.any(|measurement| names.contains(measurement.name.as_str()));
            match plan.table() {
                _ if !is_shared => {}
                None => others.push(Other::Devices(Template::parse(&mapping.target)?)),
                Some(table) if **table == *mapping.target => others.push(Other::All),
                Some(_) => {}
            }
        }
        Ok(others)
    }
}

/// What another mapping may write.
enum Other {
    Devices(Template),
    All,
}

impl Other {
    fn has(&self, device: &str) -> bool {
        match self {
            Self::Devices(template) => template.matches(device),
            Self::All => true,
        }
    }
}

/// Ranges that touch become one; too many become one over all.
fn merged(mut ranges: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    ranges.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    match (merged.first(), merged.last()) {
        (Some(first), Some(last)) if merged.len() > RANGES_MAX => vec![(first.0, last.1)],
        _ => merged,
    }
}
