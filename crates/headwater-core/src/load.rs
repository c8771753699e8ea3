//! The load of a source: what of it can be measured, and the thresholds above which bootstraps of the running stream wait.
//! The rules are those of gh-ost (`max-load`, `max-lag-millis`) and pt-online-schema-change: measured every so often while a
//! bootstrap is open, above a threshold nothing of it is read, and what cannot be measured counts as above.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A measure of a source's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gauge {
    /// Statements that run at once (MySQL's `Threads_running`).
    ThreadsRunning,
    /// Versions of rows that are kept for open views (InnoDB's history list length), in undo logs.
    HistoryLength,
    /// How far a replica of the source is behind it, in seconds.
    ReplicaLag,
}

/// The gauges.
pub const GAUGES: [Gauge; 3] = [
    Gauge::ThreadsRunning,
    Gauge::HistoryLength,
    Gauge::ReplicaLag,
];

impl Gauge {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ThreadsRunning => "threads_running",
            Self::HistoryLength => "history_length",
            Self::ReplicaLag => "replica_lag_seconds",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::ThreadsRunning | Self::HistoryLength => "",
            Self::ReplicaLag => " s",
        }
    }
}

/// Above which load a bootstrap waits. None of a gauge: whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadLimits {
    /// Statements that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads_running: Option<u64>,
    /// Length of the history list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_length: Option<u64>,
    /// Seconds that a replica is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_lag_s: Option<u64>,
}

impl LoadLimits {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The limit of a gauge.
    #[must_use]
    pub const fn of(&self, gauge: Gauge) -> Option<u64> {
        match gauge {
            Gauge::ThreadsRunning => self.threads_running,
            Gauge::HistoryLength => self.history_length,
            Gauge::ReplicaLag => self.replica_lag_s,
        }
    }

    /// Every gauge that either has a limit for. The limits themselves mean nothing then.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            threads_running: self.threads_running.or(other.threads_running),
            history_length: self.history_length.or(other.history_length),
            replica_lag_s: self.replica_lag_s.or(other.replica_lag_s),
        }
    }

    /// What of a load is too much, in words; none if nothing is.
    #[must_use]
    pub fn exceeded_by(&self, load: &[Measured]) -> Option<String> {
        let over = load.iter().filter_map(|measured| {
            let limit = self.of(measured.gauge)?;
            match measured.value {
                Ok(value) if value <= limit => None,
                Ok(_) => Some(format!(
                    "{measured}, limit {limit}{}",
                    measured.gauge.unit()
                )),
                Err(_) => Some(measured.to_string()),
            }
        });
        let over: Vec<String> = over.collect();
        (!over.is_empty()).then(|| over.join("; "))
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Which gauge.
    pub gauge: Gauge,
    /// The server, where it is not the source itself.
    pub of: Option<String>,
    /// The value, or why it is not known.
    pub value: Result<u64, String>,
}

impl Measured {
    /// What it is of, without its value.
    #[must_use]
    pub fn what(&self) -> String {
        let of = self.of.as_deref().unwrap_or("the source");
        match self.gauge {
            Gauge::ThreadsRunning => "threads running".to_owned(),
            Gauge::HistoryLength => "history list length".to_owned(),
            Gauge::ReplicaLag => format!("lag of the replica {of}"),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Ok(value) => write!(f, "{} {value}{}", self.what(), self.gauge.unit()),
            Err(why) => write!(f, "{} not known ({why})", self.what()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(gauge: Gauge, value: Result<u64, &str>) -> Measured {
        Measured {
            gauge,
            of: (gauge == Gauge::ReplicaLag).then(|| "db2:3306".to_owned()),
            value: value.map_err(str::to_owned),
        }
    }

    #[test]
    fn a_load_is_too_much_above_a_limit_or_where_it_is_not_known() {
        let limits = LoadLimits {
            threads_running: Some(20),
            history_length: None,
            replica_lag_s: Some(10),
        };
        let [threads, history, lag] = GAUGES;
        let load = [
            measured(threads, Ok(20)),
            measured(history, Ok(u64::MAX)),
            measured(lag, Ok(10)),
        ];
        assert_eq!(limits.exceeded_by(&load), None);
        let load = [measured(threads, Ok(42)), measured(lag, Ok(11))];
        assert_eq!(
            limits.exceeded_by(&load).unwrap(),
            "threads running 42, limit 20; lag of the replica db2:3306 11 s, limit 10 s"
        );
        let load = [
            measured(history, Err("no PROCESS")),
            measured(lag, Err("away")),
        ];
        assert_eq!(
            limits.exceeded_by(&load).unwrap(),
            "lag of the replica db2:3306 not known (away)"
        );
    }
}
