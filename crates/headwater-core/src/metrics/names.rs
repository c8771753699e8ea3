//! Every metric's name, type, unit, labels and meaning.

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only up, from 0 at the start of the process.
    Counter,
    /// Up and down.
    Gauge,
    /// Observations by size.
    Histogram,
}

impl Kind {
    /// Its name as Prometheus writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name: `headwater_`, what it is, its unit, `_total` for a counter.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What one of it is.
    pub unit: &'static str,
    /// What tells its samples apart.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    /// The word for the same number in logs and status pages; empty if there is none.
    pub word: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] in $unit:literal as $word:literal: $help:literal;)+) => {
        $(
            #[doc = $help]
            pub(super) const $constant: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: $help,
                word: $word,
            };
        )+
        /// All of them, in the order in which they are shown.
        pub const ALL: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    BUILD_INFO = Gauge "headwater_build_info" ["version"] in "" as "version": "Always 1; the label is the version that runs.";
    START_TIME = Gauge "headwater_start_time_seconds" [] in "seconds since 1970" as "started_at_s": "When the run began.";
    PHASE = Gauge "headwater_phase" ["phase"] in "" as "phase": "1 for what the run is doing, 0 for everything else.";
    LAG_SECONDS = Gauge "headwater_lag_seconds" [] in "seconds" as "lag_seconds": "How far what goes out is behind the source; 0 at the end of its log. Grows while the source is silent.";
    LAG_BYTES = Gauge "headwater_lag_bytes" [] in "bytes" as "lag_bytes": "How much of the source's log is still to be read.";
    LAST_CHANGE = Gauge "headwater_last_change_timestamp_seconds" [] in "seconds since 1970" as "last_change_s": "When the last change that went out was made.";
    ROWS = Counter "headwater_rows_total" ["database", "table", "kind"] in "rows" as "rows": "Rows that the sink took.";
    BYTES = Counter "headwater_bytes_total" ["database", "table", "kind"] in "bytes" as "bytes": "Their bytes, as they are held in memory.";
    BATCH_ROWS = Histogram "headwater_batch_rows" [] in "rows" as "": "The rows of each batch that the sink took.";
    BATCH_BYTES = Histogram "headwater_batch_bytes" [] in "bytes" as "": "The bytes of each batch that the sink took.";
    QUEUE_BATCHES = Gauge "headwater_queue_batches" [] in "batches" as "queue_batches": "Batches that wait for the sink.";
    QUEUE_BYTES = Gauge "headwater_queue_bytes" [] in "bytes" as "queue_bytes": "The bytes of those batches.";
    SINK = Counter "headwater_sink_total" ["what"] in "" as "sink_counts": "What became of rows at a sink that counts it, as IoTDB's and folds do.";
    RETRIES = Counter "headwater_retries_total" ["error"] in "attempts" as "retries": "Failures that were waited out and tried again, by kind of error.";
    NOTICES = Counter "headwater_notices_total" [] in "messages" as "notices": "Messages for the operator, each of which is in the log as a warning.";
    CHECKPOINTS = Counter "headwater_checkpoints_total" [] in "checkpoints" as "checkpoints": "Checkpoints that were saved.";
    CHECKPOINT_AGE = Gauge "headwater_checkpoint_age_seconds" [] in "seconds" as "checkpoint_age_seconds": "How old the last checkpoint is.";
    COPY_TABLES = Gauge "headwater_copy_tables" ["state"] in "tables" as "tables": "Tables of the first copy.";
    COPY_ROWS = Gauge "headwater_copy_rows" ["database", "table"] in "rows" as "rows": "Rows of the first copy that were read.";
    COPY_ROWS_ESTIMATED = Gauge "headwater_copy_rows_estimated" ["database", "table"] in "rows" as "rows_estimated": "Roughly how many rows of the first copy there are.";
    BOOTSTRAPS = Gauge "headwater_bootstraps" ["state"] in "bootstraps" as "bootstraps": "Bootstraps that are open, and the last that were.";
    BOOTSTRAP_ROWS = Gauge "headwater_bootstrap_rows" ["id"] in "rows" as "rows": "Rows of a bootstrap that are out.";
    BOOTSTRAP_ROWS_ESTIMATED = Gauge "headwater_bootstrap_rows_estimated" ["id"] in "rows" as "rows_estimated": "Roughly how many rows a bootstrap has.";
    BOOTSTRAP_WAITS = Gauge "headwater_bootstrap_waits" ["id"] in "" as "waits": "1 for a bootstrap that waits for the load of the source (`first copy`: tables that are copied beside the stream).";
    SOURCE_LOAD = Gauge "headwater_source_load" ["gauge", "of"] in "threads, versions, or seconds" as "": "The load of the source as it was measured last, while a bootstrap is open that has a limit for it.";
    BOOTSTRAP_TABLES = Gauge "headwater_bootstrap_tables" ["id", "state"] in "tables" as "tables": "Tables of a bootstrap.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_prometheus_would_have_them() {
        let mut known = std::collections::HashSet::new();
        for metric in ALL {
            let Metric {
                name, kind, help, ..
            } = metric;
            assert!(known.insert(name), "{name} is there twice");
            assert!(
                name.starts_with("headwater_")
                    && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{name}"
            );
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
        }
    }
}
