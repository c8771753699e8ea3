//! A run's numbers as text, in Prometheus' exposition format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::names::{self, Metric};
use crate::bootstrap::Bootstrap;
use crate::counters::{Counters, Histogram, KINDS};
use crate::progress::{PHASES, Progress};

/// The states of a bootstrap, by name.
const STATES: [&str; 6] = ["waiting", "running", "paused", "done", "aborted", "failed"];

/// All that is known of a run. `now_s` is seconds since 1970; `version` is that of the program.
#[must_use]
pub fn render(progress: &Progress, now_s: u64, version: &str) -> String {
    let mut page = Page::default();
    let counters = progress.counters();
    page.begin(&names::BUILD_INFO).sample(&[version], 1);
    page.begin(&names::START_TIME)
        .sample(&[], counters.started_at_s());
    let phase = progress.phase();
    page.begin(&names::PHASE);
    for one in PHASES {
        page.sample(&[one.name()], u64::from(one == phase));
    }
    page.one(&names::LAG_SECONDS, counters.lag_s(now_s));
    page.one(&names::LAG_BYTES, counters.lag_bytes());
    let last_change = Some(progress.last_change_s()).filter(|at| *at > 0);
    page.one(&names::LAST_CHANGE, last_change);
    flow(&mut page, counters);
    sink(&mut page, counters);
    health(&mut page, counters, now_s);
    copy(&mut page, progress);
    bootstraps(&mut page, &progress.bootstraps());
    load(&mut page, progress);
    page.out
}

fn flow(page: &mut Page, counters: &Counters) {
    let tables = counters.tables();
    for (metric, is_rows) in [(&names::ROWS, true), (&names::BYTES, false)] {
        page.begin(metric);
        for (name, amounts) in &tables {
            for ((_, kind), amount) in KINDS.iter().zip(amounts) {
                if amount.rows > 0 {
                    let value = if is_rows { amount.rows } else { amount.bytes };
                    page.sample(&[&name.database, &name.table, kind], value);
                }
            }
        }
    }
    page.histogram(&names::BATCH_ROWS, counters.batch_rows());
    page.histogram(&names::BATCH_BYTES, counters.batch_bytes());
    let (batches, bytes) = counters.queue();
    page.begin(&names::QUEUE_BATCHES).sample(&[], batches);
    page.begin(&names::QUEUE_BYTES).sample(&[], bytes);
}

fn sink(page: &mut Page, counters: &Counters) {
    page.begin(&names::SINK);
    for (what, count) in counters.sink() {
        page.sample(&[what], count);
    }
}

fn health(page: &mut Page, counters: &Counters, now_s: u64) {
    page.begin(&names::RETRIES);
    for (kind, count) in counters.retries() {
        page.sample(&[kind], count);
    }
    page.begin(&names::NOTICES).sample(&[], counters.notices());
    page.begin(&names::CHECKPOINTS)
        .sample(&[], counters.checkpoints());
    page.one(&names::CHECKPOINT_AGE, counters.checkpoint_age_s(now_s));
}

fn copy(page: &mut Page, progress: &Progress) {
    let tables = progress.tables();
    let done = tables.iter().filter(|table| table.is_done()).count() as u64;
    page.begin(&names::COPY_TABLES)
        .sample(&["left"], tables.len() as u64 - done)
        .sample(&["done"], done);
    page.begin(&names::COPY_ROWS);
    for table in tables.iter() {
        let name = &table.name;
        page.sample(&[&name.database, &name.table], table.rows());
    }
    page.begin(&names::COPY_ROWS_ESTIMATED);
    for table in tables.iter() {
        let name = &table.name;
        page.sample(&[&name.database, &name.table], table.estimated_rows);
    }
}

fn bootstraps(page: &mut Page, all: &[Bootstrap]) {
    let mut states: BTreeMap<&str, u64> = STATES.iter().map(|state| (*state, 0)).collect();
    for bootstrap in all {
        *states.entry(bootstrap.state.name()).or_default() += 1;
    }
    page.begin(&names::BOOTSTRAPS);
    for (state, count) in states {
        page.sample(&[state], count);
    }
    page.begin(&names::BOOTSTRAP_ROWS);
    for bootstrap in all {
        page.sample(&[&bootstrap.id.to_string()], bootstrap.rows());
    }
    page.begin(&names::BOOTSTRAP_ROWS_ESTIMATED);
    for bootstrap in all {
        page.sample(&[&bootstrap.id.to_string()], bootstrap.estimated_rows());
    }
    page.begin(&names::BOOTSTRAP_TABLES);
    for bootstrap in all {
        let id = bootstrap.id.to_string();
        let failed = bootstrap
            .tables
            .iter()
            .filter(|table| table.failed.is_some());
        let failed = failed.count() as u64;
        let over = bootstrap.tables.iter().filter(|table| table.is_over());
        let over = over.count() as u64;
        page.sample(&[&id, "left"], bootstrap.tables.len() as u64 - over);
        page.sample(&[&id, "done"], over - failed);
        page.sample(&[&id, "failed"], failed);
    }
}

fn load(page: &mut Page, progress: &Progress) {
    page.begin(&names::BOOTSTRAP_WAITS);
    for wait in progress.load_waits().iter() {
        let id = wait.id.map_or("first copy".to_owned(), |id| id.to_string());
        page.sample(&[&id], 1);
    }
    page.begin(&names::SOURCE_LOAD);
    for measured in progress.load().iter() {
        if let Ok(value) = &measured.value {
            let of = measured.of.as_deref().unwrap_or_default();
            page.sample(&[measured.gauge.name(), of], *value);
        }
    }
}

#[derive(Default)]
struct Page {
    out: String,
    metric: Option<&'static Metric>,
}

impl Page {
    fn begin(&mut self, metric: &'static Metric) -> &mut Self {
        let Metric {
            name, kind, help, ..
        } = metric;
        let _ = writeln!(self.out, "# HELP {name} {help}");
        let _ = writeln!(self.out, "# TYPE {name} {}", kind.name());
        self.metric = Some(metric);
        self
    }

    /// A metric without labels, left out if its number is not known.
    fn one(&mut self, metric: &'static Metric, value: Option<u64>) {
        if let Some(value) = value {
            self.begin(metric).sample(&[], value);
        }
    }

    fn sample(&mut self, values: &[&str], value: u64) -> &mut Self {
        let Some(metric) = self.metric else {
            return self;
        };
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        self.out.push_str(metric.name);
        for (index, (label, text)) in metric.labels.iter().zip(values).enumerate() {
            let lead = if index == 0 { '{' } else { ',' };
            let _ = write!(self.out, "{lead}{label}=\"{}\"", escaped(text));
        }
        let end = if metric.labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.out, "{end} {value}");
        self
    }

    fn histogram<const N: usize>(&mut self, metric: &'static Metric, histogram: &Histogram<N>) {
        self.begin(metric);
        let name = metric.name;
        // Counted once: what is observed meanwhile is in the next answer.
        let count = histogram.count();
        for (bound, below) in histogram.cumulative() {
            let _ = writeln!(
                self.out,
                "{name}_bucket{{le=\"{bound}\"}} {}",
                below.min(count)
            );
        }
        let _ = writeln!(self.out, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(self.out, "{name}_sum {}", histogram.sum());
        let _ = writeln!(self.out, "{name}_count {count}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::{Batch, ChangeKind, RowHead};
    use crate::metrics::ALL;
    use crate::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};

    fn batch() -> Batch {
        let mut batch = Batch::new();
        let schema = TableSchema {
            id: SchemaId::fresh(),
            name: TableName::new("shop", "odd\"name"),
            columns: vec![Column {
                name: "id".into(),
                data_type: DataType::Bit,
                nullable: false,
            }],
            primary_key: vec![0],
            key: vec![0],
            key_order: KeyOrder::Client,
        };
        let number = batch.add_schema(&Arc::new(schema));
        for kind in [ChangeKind::Insert, ChangeKind::Insert, ChangeKind::Delete] {
            let mark = batch.mark();
            batch.push_uint(7);
            let (before, after) = match kind {
                ChangeKind::Delete => (Some(mark), None),
                _ => (None, Some(mark)),
            };
            batch.push_row(RowHead {
                kind,
                schema: number,
                transaction: None,
                before,
                after,
                timestamp_s: 1,
                offset: 0,
                last: true,
            });
        }
        batch
    }

    #[test]
    fn rows_are_counted_by_table_and_kind() {
        let progress = Progress::default();
        let batch = batch();
        progress.counters().wrote(&batch);
        let text = render(&progress, 100, "1.2.3");
        for line in [
            r#"headwater_build_info{version="1.2.3"} 1"#,
            r#"headwater_rows_total{database="shop",table="odd\"name",kind="insert"} 2"#,
            r#"headwater_rows_total{database="shop",table="odd\"name",kind="delete"} 1"#,
            r#"headwater_batch_rows_bucket{le="1"} 0"#,
            r#"headwater_batch_rows_bucket{le="10"} 1"#,
            "headwater_batch_rows_sum 3",
            r#"headwater_phase{phase="starting"} 1"#,
            r#"headwater_bootstraps{state="running"} 0"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        let bytes: u64 = (text.lines())
            .filter(|line| line.starts_with("headwater_bytes_total{"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        let whole = batch.size_bytes() as u64;
        assert!((whole - 2..=whole).contains(&bytes), "{bytes} of {whole}");
    }

    #[test]
    fn every_sample_is_of_a_metric_that_is_listed_and_announced() {
        let progress = Progress::default();
        progress.counters().wrote(&batch());
        progress.counters().saved(90);
        progress.counters().read_up_to(None);
        progress.counters().set_lag_bytes(Some(5));
        let text = render(&progress, 100, "1");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let is_listed = ALL.iter().any(|metric| {
                let rest = name.strip_prefix(metric.name);
                rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
            });
            assert!(is_listed, "{line}");
        }
        for metric in ALL.iter().filter(|metric| **metric != names::LAST_CHANGE) {
            assert!(
                text.contains(&format!("# TYPE {} ", metric.name)),
                "{}",
                metric.name
            );
        }
    }
}
