//! The metrics: their names in one place, and a run's numbers under them as Prometheus reads them.
//! `docs/metrics.md` is written from [`ALL`] ([`page`]), and log lines and status pages use the same words.

mod names;
mod text;

use std::fmt::Write as _;

pub use names::{ALL, Kind, Metric};
pub use text::render;

/// The page of documentation: `docs/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(HEAD);
    for metric in ALL {
        let labels: Vec<String> = (metric.labels.iter())
            .map(|label| format!("`{label}`"))
            .collect();
        let word = match metric.word {
            "" => String::new(),
            word => format!("`{word}`"),
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {word} |",
            metric.name,
            metric.kind.name(),
            metric.unit,
            labels.join(", "),
            metric.help,
        );
    }
    out.push_str(TAIL);
    out
}

const HEAD: &str = "# Metrics

`GET /metrics` ([HTTP](http.md)) answers with these, as Prometheus reads them.
This page is written by `headwater schema metrics`. [grafana-dashboard.json](grafana-dashboard.json) is a dashboard made for them.

A number that is not known (yet) is left out: there is no lag before the log is read, and no age of a checkpoint before there is one.
The last column is the word for the same number in log lines (`--log-format json`) and in `GET /status`.

| name | type | unit | labels | meaning | word |
|---|---|---|---|---|---|
";

const TAIL: &str = "
## Labels

| label | values |
|---|---|
| `phase` | `starting`, `copying`, `catching_up`, `streaming`, `waiting`, `ended` |
| `kind` | `bootstrap`, `insert`, `update`, `delete`, `truncate`, `ddl` |
| `database`, `table` | a table's; of the tables after the first 2,000, `(others)` |
| `error` | the kind of the error, as [exit codes](exit-codes.md) list them |
| `what` | of IoTDB: `rows` and `points` that were written, `nulls` that are none, rows `without_a_point`, `refused` rows, `duplicates`, `updates_ignored`, `deletes_ignored`, rows `deleted`, `delete_calls`, `unmapped` rows, `retries` of calls, `redirects` to other nodes |
| `state` | of tables: `left`, `done`, and of a bootstrap's `failed`; of bootstraps: `waiting`, `running`, `paused`, `done`, `aborted`, `failed` |
| `id` | the number of a bootstrap, as `headwater bootstrap list` shows it |
| `gauge` | of the source's load: `threads_running`, `history_length`, `replica_lag_seconds` |
| `of` | the replica; empty for the source itself |

## What to watch

| sign | what it says |
|---|---|
| `headwater_phase{phase=\"waiting\"} == 1` for minutes | the source or the sink is away; `headwater_retries_total` says with which error |
| `headwater_lag_seconds` grows | more is written at the source than goes out, or the sink lets nothing through: then `headwater_queue_batches` stays at its bound |
| `headwater_lag_bytes` stays above 0 while `headwater_rows_total` stands still | the log is read, and all of it is of tables that are not followed, or one transaction is very large |
| `headwater_checkpoint_age_seconds` grows while rows go out | a crash now would repeat that much; a table without a key is being copied, or the disk is full |
| `headwater_sink_total{what=\"refused\"}` grows | rows go to the dead letters: `headwater dead-letters list` says why |
| `headwater_bootstraps{state=\"failed\"} > 0` | `headwater bootstrap list` says why |
";

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_of_metrics_is_the_one_of_this_version() {
        let page = include_str!("../../../docs/metrics.md");
        assert!(
            page == super::page(),
            "run `headwater schema metrics > docs/metrics.md`"
        );
    }
    /// The names of metrics that stand in a text.
    fn named_in(text: &str) -> impl Iterator<Item = &str> {
        let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
        text.split(move |c| !is_part(c))
            .filter(|word| word.starts_with("headwater_"))
    }

    #[test]
    fn the_dashboard_shows_every_metric_and_none_that_does_not_exist() {
        let dashboard = include_str!("../../../docs/grafana-dashboard.json");
        let base = |name: &str| {
            let histogram = ["_bucket", "_sum", "_count"];
            let bases = histogram.iter().filter_map(|end| name.strip_suffix(end));
            let mut all = bases.chain([name]);
            all.find_map(|base| super::ALL.iter().find(|metric| metric.name == base))
        };
        for name in named_in(dashboard) {
            assert!(base(name).is_some(), "there is no metric {name}");
        }
        for metric in super::ALL {
            let mut shown = named_in(dashboard).filter_map(base);
            assert!(
                shown.any(|one| one == metric),
                "{} is not shown",
                metric.name
            );
        }
        let document: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        assert!(document["panels"].as_array().unwrap().len() > 10);
    }

    #[test]
    fn the_page_names_no_metric_that_does_not_exist() {
        for name in named_in(&super::page()) {
            let is_listed = super::ALL.iter().any(|metric| metric.name == name);
            assert!(is_listed, "there is no metric {name}");
        }
    }
}
