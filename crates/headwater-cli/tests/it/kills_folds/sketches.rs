//! Sketches, held to the bounds that their answers state: quantiles of the rows that are there, the different and the most frequent
//! values of a table that only grows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use headwater_servers::Instance;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::{DATABASE, run_in};

pub(super) const TABLE: &str = "CREATE TABLE visits (id BIGINT AUTO_INCREMENT PRIMARY KEY, page INT NOT NULL, visitor INT NOT NULL);";

/// Fewer counters than there are pages, so that `top` has to forget.
pub(super) const FOLDS: [&str; 3] = [
    "{name: spread, table: orders, value: amount, monoid: {quantiles: {at: [0.01, 0.5, 0.9, 0.99]}}}",
    "{name: visitors, table: visits, value: visitor, monoid: distinct}",
    "{name: pages, table: visits, value: page, monoid: {top: {k: 20, counters: 20}}}",
];

/// Some visits: low numbers of pages are frequent.
pub(super) fn visits(random: &mut StdRng) -> String {
    let mut sql = String::from("INSERT INTO visits (page, visitor) VALUES ");
    for number in 0..5 {
        let page = random.random_range(0..50) * random.random_range(0..50) / 50;
        let visitor = random.random_range(0..3_000);
        let comma = if number > 0 { ", " } else { "" };
        let _ = write!(sql, "{comma}({page}, {visitor})");
    }
    sql
}

fn held(folder: &Path, fold: &str) -> Value {
    let said = run_in(
        folder,
        &["query", fold, "--config", "config.yaml", "--json"],
    );
    assert_eq!(said.code, 0, "{}", said.err);
    let mut answer: Value = serde_json::from_str(&said.out).unwrap();
    answer["answers"][0]["value"].take()
}

fn rows(server: &Instance, sql: &str) -> Vec<Vec<f64>> {
    let text = server.sql(&format!("USE {DATABASE}; {sql}")).unwrap();
    let row = |line: &str| line.split('\t').map(|cell| cell.parse().unwrap()).collect();
    text.lines().map(row).collect()
}

/// Each sketch against what the table says.
pub(super) fn judge(server: &Instance, folder: &Path, what: &str) {
    quantiles(server, &held(folder, "spread"), what);
    distinct(server, &held(folder, "visitors"), what);
    top(server, &held(folder, "pages"), what);
}

fn quantiles(server: &Instance, held: &Value, what: &str) {
    let values = rows(server, "SELECT amount FROM orders ORDER BY amount");
    let last = values.len() - 1;
    assert_eq!(held["count"], values.len(), "{what}: {held}");
    let error = held["error"].as_f64().unwrap();
    assert!(error <= 0.01, "{held}");
    for (name, rank) in [
        ("p1", last / 100),
        ("p50", last / 2),
        ("p90", last * 9 / 10),
        ("p99", last * 99 / 100),
    ] {
        // ⌊q · n⌋ in binary may be one off where it is whole in decimal.
        let truths = &values[rank.saturating_sub(1)..=rank];
        let found = held[name].as_f64().unwrap_or(f64::NAN);
        let is_near = |truth: f64| (found - truth).abs() <= truth.abs() * (error + 1e-9);
        assert!(
            truths.iter().any(|truth| is_near(truth[0])),
            "{what}: {name} is {found}, and of {truths:?} none"
        );
    }
}

fn distinct(server: &Instance, held: &Value, what: &str) {
    let truth = rows(server, "SELECT COUNT(DISTINCT visitor) FROM visits")[0][0];
    let estimate = held["estimate"].as_f64().unwrap();
    let error = held["error"].as_f64().unwrap();
    // The standard error is stated; beyond six of them is no chance.
    assert!(
        error < 0.01 && (estimate / truth - 1.0).abs() < 6.0 * error,
        "{what}: {held} of {truth}"
    );
}

fn top(server: &Instance, held: &Value, what: &str) {
    let counts = rows(server, "SELECT page, COUNT(*) FROM visits GROUP BY page");
    let mut counts: BTreeMap<i64, f64> = counts
        .iter()
        .map(|row| (row[0].to_string().parse().unwrap(), row[1]))
        .collect();
    assert!(counts.len() > 20, "{what}: nothing had to be forgotten");
    let list = held.as_array().unwrap();
    let mut error = 0.0;
    for found in list {
        let truth = counts.remove(&found["item"].as_i64().unwrap()).unwrap();
        let least = found["count"].as_f64().unwrap();
        error = found["error"].as_f64().unwrap();
        assert!(
            least <= truth && truth <= least + error,
            "{what}: {found} of {truth}"
        );
    }
    assert!(!list.is_empty() && error > 0.0, "{what}: {held}");
    // All that are not listed are rarer than the error.
    let missing: Vec<_> = counts.iter().filter(|(_, count)| **count > error).collect();
    assert!(missing.is_empty(), "{what}: {missing:?} beside {held}");
}
