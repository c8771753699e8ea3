//! Bootstraps as people read them.

use std::fmt::Write as _;

use headwater_core::clock;
use indicatif::{HumanBytes, HumanCount};

use crate::control::view::{BootstrapView, Limits, State};
use crate::terminal::{duration, rate};

/// The heads of the columns.
const HEADS: [&str; 8] = [
    "ID", "STATE", "DONE", "ROWS", "RATE", "LEFT", "LIMIT", "TABLES",
];
/// So many tables are named.
const NAMED_MAX: usize = 3;

/// One line each, with what went wrong below.
pub(crate) fn table(bootstraps: &[BootstrapView]) -> String {
    table_at(bootstraps, clock::now_s())
}

fn table_at(bootstraps: &[BootstrapView], now_s: u64) -> String {
    let mut lines = vec![HEADS.map(str::to_owned)];
    lines.extend(bootstraps.iter().map(cells));
    let width = |column: usize| {
        let widths = lines.iter().map(|cells| cells[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut out = String::new();
    for (index, cells) in lines.iter().enumerate() {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
        let Some(bootstrap) = index.checked_sub(1).and_then(|index| bootstraps.get(index)) else {
            continue;
        };
        for remark in remarks(bootstrap, now_s) {
            let _ = writeln!(out, "{:width$}  {remark}", "", width = widths[0]);
        }
    }
    out
}

fn cells(view: &BootstrapView) -> [String; 8] {
    let is_running = view.state == State::Running;
    [
        view.id.to_string(),
        view.state.name().to_owned(),
        format!("{}%", view.percent),
        rows(view),
        if is_running {
            rate(view.rows_per_second)
        } else {
            String::new()
        },
        view.seconds_left.map(duration).unwrap_or_default(),
        limits(view.limits),
        tables(view),
    ]
}

fn remarks(view: &BootstrapView, now_s: u64) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(wait) = view.not_before_s.and_then(|at_s| at_s.checked_sub(now_s))
        && !view.state.is_over()
        && wait > 0
    {
        remarks.push(format!("begins in {}", duration(wait)));
    }
    if let Some(waits) = &view.waits {
        remarks.push(format!("waits: {waits}"));
    }
    if let Some(condition) = &view.condition {
        remarks.push(format!("where {condition}"));
    }
    if let Some(comment) = &view.comment {
        remarks.push(format!("comment: {comment}"));
    }
    let failed = view.failed_tables();
    let failed: Vec<String> = failed
        .map(|(table, reason)| format!("{table}: {reason}"))
        .collect();
    if failed.is_empty() {
        remarks.extend(view.reason.clone());
    }
    remarks.extend(failed);
    remarks
}

/// `4,500 of about 10,000`, or `10,000`.
pub(super) fn rows(view: &BootstrapView) -> String {
    let rows = HumanCount(view.rows);
    if view.state == State::Done {
        rows.to_string()
    } else {
        format!("{rows} of about {}", HumanCount(view.rows_estimated))
    }
}

/// The names of the tables, or how many there are.
pub(super) fn tables(view: &BootstrapView) -> String {
    match view.tables.len() {
        0 => view.asked_for.join(" "),
        count if count <= NAMED_MAX => {
            let names: Vec<&str> = view.tables.iter().map(|one| one.table.as_str()).collect();
            names.join(" ")
        }
        count => format!("{count} tables ({})", view.asked_for.join(" ")),
    }
}

fn limits(limits: Limits) -> String {
    let rows = limits
        .rows_per_s
        .map(|rows| format!("{} rows/s", HumanCount(rows)));
    let bytes = limits
        .bytes_per_s
        .map(|bytes| format!("{}/s", HumanBytes(bytes)));
    let load = limits.load.map(|load| {
        let all = [
            (load.threads_running, "threads=", ""),
            (load.history_length, "history=", ""),
            (load.replica_lag_s, "lag=", "s"),
        ];
        let given = all
            .into_iter()
            .filter_map(|(limit, name, unit)| limit.map(|limit| format!("{name}{limit}{unit}")));
        let given: Vec<String> = given.collect();
        if given.is_empty() {
            "any load".to_owned()
        } else {
            given.join(", ")
        }
    });
    let all: Vec<String> = rows.into_iter().chain(bytes).chain(load).collect();
    all.join(", ")
}

/// What one is now, in a sentence.
pub(super) fn sentence(view: &BootstrapView) -> String {
    let mut out = format!(
        "bootstrap {} is {}: {}, {} rows",
        view.id,
        view.state.name(),
        tables(view),
        rows(view),
    );
    let limits = limits(view.limits);
    if !limits.is_empty() && !view.state.is_over() {
        let _ = write!(out, ", at most {limits}");
    }
    if let Some(waits) = &view.waits {
        let _ = write!(out, "; it waits: {waits}");
    }
    if let Some(reason) = &view.reason
        && view.failed_tables().next().is_none()
    {
        let _ = write!(out, ": {reason}");
    }
    out
}

/// How long it took, or has taken.
pub(super) fn taken(view: &BootstrapView) -> String {
    let end = view.ended_at_s.unwrap_or_else(clock::now_s);
    let begin = view.began_at_s.unwrap_or(view.asked_at_s);
    duration(end.saturating_sub(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(json: serde_json::Value) -> BootstrapView {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_list_has_a_line_for_each_and_says_what_went_wrong() {
        let running = view(serde_json::json!({
            "id": 3, "state": "running", "asked_for": ["shop.*"], "where": "status = 'open'",
            "limits": {"rows_per_s": 20_000, "bytes_per_s": 5_242_880}, "asked_at_s": 1, "began_at_s": 2,
            "waits": "threads running 42, limit 20",
            "rows": 4500, "rows_estimated": 10_000, "percent": 45, "rows_per_second": 1999.6, "seconds_left": 3,
            "tables": [{"table": "shop.orders", "rows": 4500, "rows_estimated": 10_000, "percent": 45, "done": false}],
        }));
        let failed = view(serde_json::json!({
            "id": 12, "state": "failed", "reason": "the condition is not SQL", "asked_for": ["shop.users"],
            "limits": {}, "asked_at_s": 1, "rows": 0, "rows_estimated": 0, "percent": 0, "rows_per_second": 0.0,
            "tables": [{"table": "shop.users", "rows": 0, "rows_estimated": 0, "percent": 0, "done": false, "failed": "no such column"}],
        }));
        let later = view(serde_json::json!({
            "id": 13, "state": "waiting", "asked_for": ["shop.users"], "limits": {"load": {"threads_running": 20, "replica_lag_s": 5}}, "asked_at_s": 1, "not_before_s": 4700,
            "rows": 0, "rows_estimated": 20, "percent": 0, "rows_per_second": 0.0,
            "tables": [{"table": "shop.users", "rows": 0, "rows_estimated": 20, "percent": 0, "done": false}],
        }));
        assert!(!table_at(std::slice::from_ref(&later), 4_700).contains("begins"));
        insta::assert_snapshot!(table_at(&[running.clone(), failed, later], 1_075), @r"
        ID  STATE    DONE  ROWS                   RATE     LEFT  LIMIT                      TABLES
        3   running  45%   4,500 of about 10,000  2,000/s  3 s   20,000 rows/s, 5.00 MiB/s  shop.orders
            waits: threads running 42, limit 20
            where status = 'open'
        12  failed   0%    0 of about 0                                                     shop.users
            shop.users: no such column
        13  waiting  0%    0 of about 20                         threads=20, lag=5s         shop.users
            begins in 1 h 0 min
        ");
        insta::assert_snapshot!(sentence(&running), @"bootstrap 3 is running: shop.orders, 4,500 of about 10,000 rows, at most 20,000 rows/s, 5.00 MiB/s; it waits: threads running 42, limit 20");
    }
}
