//! Folds, as a person uses them: from the file to a query, on a real server.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use headwater_servers::{Signal, send_signal};
use serde_json::{Value, json};

use super::bootstrap::{TOKEN, ask, free_port};
use super::command::{Said, headwater, run_in};
use super::iotdb::port_of;
use super::server::server;

/// Long against what the test's machine may be busy with.
const PATIENCE: Duration = Duration::from_secs(120);

fn config(name: &str, pipelines: &str, more: &str) -> String {
    config_of(name, "folds.redb", pipelines, more)
}

pub(super) fn config_of(name: &str, store: &str, pipelines: &str, more: &str) -> String {
    format!(
        "connections:\n  mysql: {{host: 127.0.0.1, port: {}, user: root, password: '', database: {name}}}\n\
         folds:\n  store: {store}\n{more}  pipelines:\n{pipelines}",
        port_of(name)
    )
}

pub(super) const REVENUE: &str = "    - name: revenue
      table: orders
      key: customer_id
      value: amount
      monoid: sum
      window: {every: day, of: created_at, zone: Europe/Berlin}
      filter: status = 'paid'
    - name: orders
      table: orders
      monoid: count
";

/// A database with orders of two customers: of 42 there are three in two days of Berlin, one of them open.
pub(super) fn shop(name: &str) {
    server()
        .sql(&format!(
            "CREATE DATABASE {name}; USE {name}; \
             CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT NOT NULL, amount DECIMAL(10,2), status VARCHAR(10), created_at DATETIME); \
             INSERT INTO orders VALUES (1, 42, 10.50, 'paid', '2026-11-01 00:30:00'), (2, 42, 4.50, 'paid', '2026-11-20 23:59:59'), \
             (3, 42, 100, 'open', '2026-11-20 12:00:00'), (4, 7, 1.25, 'paid', '2026-11-20 12:00:00');"
        ))
        .unwrap();
}

pub(super) fn run_to_now(folder: &Path, extra: &[&str]) -> Said {
    let mut words = vec!["run", "--config", "c.yaml", "--until", "now"];
    words.extend(extra);
    run_in(folder, &words)
}

fn query(folder: &Path, words: &[&str]) -> Value {
    let mut all = vec!["query", "--config", "c.yaml", "--json"];
    all.extend(words);
    let said = run_in(folder, &all);
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

pub(super) fn value(folder: &Path, words: &[&str]) -> Value {
    query(folder, words)["answers"][0]["value"].clone()
}

/// A run that goes on until the test ends it.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(folder: &Path, extra: &[&str]) -> Self {
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = headwater()
            .args(["run", "--config", "c.yaml"])
            .args(extra)
            .current_dir(folder)
            .env("HEADWATER_HTTP_TOKEN", TOKEN)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.unwrap())
    }

    pub(super) fn stop(mut self) {
        send_signal(self.0.id(), Signal::Terminate).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn wait(folder: &Path, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(Instant::now() < end, "not in time: {what}\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn from_a_file_to_a_query_and_back_into_a_running_stream() {
    let name = "folds_guide";
    shop(name);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("c.yaml"), config(name, REVENUE, "")).unwrap();
    let said = run_to_now(folder, &[]);
    assert_eq!(said.code, 0, "{}", said.err);

    let november = ["--from", "2026-11-01", "--to", "2026-11-20"];
    let of_42 = |more: &[&str]| {
        let mut words = vec!["revenue", "--key", "42"];
        words.extend(november);
        words.extend(more);
        query(folder, &words)
    };
    assert_eq!(of_42(&[])["answers"][0]["value"], "15.00");
    let windows = of_42(&["--windows"])["answers"][0]["windows"].clone();
    assert_eq!(
        windows,
        json!([
            { "from": "2026-11-01T00:00:00+01:00", "value": "10.50" },
            { "from": "2026-11-20T00:00:00+01:00", "value": "4.50" },
        ])
    );
    assert_eq!(value(folder, &["orders"]), 4);
    let top = query(
        folder,
        &[
            "revenue",
            "--top",
            "1",
            "--from",
            "2026-11-20",
            "--to",
            "2026-11-20",
        ],
    );
    assert_eq!(top["answers"][0]["key"], "42");
    assert!(top["includes"]["position"].is_object(), "{top}");

    live_changes_are_folded_and_asked_for(name, folder);

    // Killed or stopped, the next run goes on, and counts nothing twice.
    assert_eq!(run_to_now(folder, &[]).code, 0);
    assert_eq!(value(folder, &["orders"]), 3);
}

/// What happens while a run follows the log, over its socket and over HTTP.
fn live_changes_are_folded_and_asked_for(name: &str, folder: &Path) {
    // Live: paid becomes refunded and is taken back, an order moves to another customer and another day, one goes.
    let port = free_port();
    let running = Running::start(folder, &["--http", &port.to_string()]);
    wait(folder, "the run takes the store", || {
        folder.join("folds.redb.sock").exists()
    });
    server()
        .sql(&format!(
            "USE {name}; UPDATE orders SET status = 'refunded' WHERE id = 1; \
             UPDATE orders SET customer_id = 7, created_at = '2026-11-21 01:00:00' WHERE id = 2; DELETE FROM orders WHERE id = 3;"
        ))
        .unwrap();
    wait(folder, "the changes are folded", || {
        value(folder, &["orders"]) == 3
    });
    let november = ["--from", "2026-11-01", "--to", "2026-11-20"];
    let of_42 = query(
        folder,
        &[&["revenue", "--key", "42"], &november[..]].concat(),
    );
    assert_eq!(
        of_42["answers"][0],
        json!({ "key": "42", "found": false, "value": "0.00" })
    );
    let path = "GET /folds/revenue/7?from=2026-11-20&to=2026-11-21&windows=true";
    let (code, body) = ask(port, path, TOKEN, "");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (code, &answer["answers"][0]["value"]),
        (200, &json!("5.75")),
        "{body}"
    );
    assert_eq!(
        answer["answers"][0]["windows"][1],
        json!({ "from": "2026-11-21T00:00:00+01:00", "value": "4.50" })
    );
    for (path, expected) in [
        ("GET /folds/none/7", 404),
        ("GET /folds/revenue/7", 400),
        ("GET /folds/orders?from=2026-11-20", 400),
        ("GET /folds/orders?colour=red", 400),
    ] {
        let (code, body) = ask(port, path, TOKEN, "");
        assert_eq!(code, expected, "{path}: {body}");
    }
    assert_eq!(ask(port, "GET /folds/orders", "wrong", "").0, 401);

    // Rows that came again would be counted again.
    let said = run_in(
        folder,
        &[
            "bootstrap",
            "folds_guide.orders",
            "--checkpoint",
            "folds.redb",
        ],
    );
    assert!(
        said.code != 0 && said.err.contains("--rebuild-folds"),
        "{}",
        said.err
    );
    running.stop();
}

#[test]
fn folds_are_built_anew_beside_those_that_answer() {
    let name = "folds_anew";
    shop(name);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("c.yaml"), config(name, REVENUE, "")).unwrap();
    assert_eq!(run_to_now(folder, &[]).code, 0);
    // A table that is emptied at once takes its rows with it, and nobody says which they were.
    server()
        .sql(&format!("USE {name}; TRUNCATE orders; INSERT INTO orders VALUES (9, 1, 5, 'paid', '2026-11-20 12:00:00');"))
        .unwrap();
    let said = run_to_now(folder, &[]);
    assert!(
        said.code != 0 && said.err.contains("--rebuild-folds"),
        "{}",
        said.err
    );
    assert_eq!(
        value(folder, &["orders"]),
        4,
        "what was before still answers"
    );
    let said = run_to_now(folder, &["--rebuild-folds"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(value(folder, &["orders"]), 1);
    // Another definition is another fold.
    let changed = REVENUE.replace(
        "monoid: count",
        "value: amount\n      monoid: {quantiles: {}}",
    );
    fs::write(folder.join("c.yaml"), config(name, &changed, "")).unwrap();
    assert_eq!(
        value(folder, &["orders"]),
        1,
        "the old one answers until the new one is complete"
    );
    assert_eq!(run_to_now(folder, &[]).code, 0);
    assert!(value(folder, &["orders"]).is_object());
}

#[test]
fn what_cannot_be_folded_is_refused_with_what_to_do() {
    let name = "folds_refused";
    shop(name);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refused = |pipelines: &str, more: &str| {
        fs::write(folder.join("c.yaml"), config(name, pipelines, more)).unwrap();
        let said = run_to_now(folder, &[]);
        assert_ne!(said.code, 0, "{pipelines}");
        said.err
    };
    let fold = |rest: &str| format!("    - {{name: f, table: orders, {rest}}}\n");
    for (pipelines, what) in [
        (fold("value: amount, monoid: summ"), "summ"),
        (fold("value: amounts, monoid: sum"), "amounts"),
        (fold("value: status, monoid: sum"), "numbers"),
        (fold("monoid: sum"), "column"),
        (fold("monoid: count, filter: \"status = \""), "condition"),
        (fold("monoid: count, filter: \"state = 'x'\""), "state"),
        (
            fold("monoid: count, window: {every: fortnight, of: created_at}"),
            "fortnight",
        ),
        (
            fold("monoid: count, window: {every: day, of: created_at, zone: Mars/Olympus}"),
            "Mars",
        ),
        (
            fold("monoid: count, window: {every: day, of: made_at}"),
            "made_at",
        ),
        (fold("monoid: count").replace("name: f", "name: a b"), "a b"),
        (
            fold("monoid: count").replace("table: orders", "table: order"),
            "order",
        ),
        (
            format!("{}{}", fold("monoid: count"), fold("monoid: count")),
            "two folds",
        ),
    ] {
        let said = refused(&pipelines, "");
        assert!(said.contains(what), "{pipelines}: {said}");
    }
    let said = run_in(folder, &["query", "f", "--store", "nowhere.redb"]);
    assert!(
        said.code != 0 && said.err.contains("nowhere.redb"),
        "{}",
        said.err
    );
    fs::write(
        folder.join("text"),
        "not a store, but long enough to be looked at",
    )
    .unwrap();
    let said = run_in(folder, &["query", "f", "--store", "text"]);
    assert!(said.code != 0 && said.err.contains("text"), "{}", said.err);
}

#[test]
fn a_row_that_cannot_be_folded_ends_the_run_or_goes_to_the_dead_letters() {
    let name = "folds_letters";
    shop(name);
    server()
        .sql(&format!(
            "USE {name}; UPDATE orders SET created_at = NULL WHERE id = 4"
        ))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("c.yaml"), config(name, REVENUE, "")).unwrap();
    let said = run_to_now(folder, &[]);
    assert!(
        said.code != 0 && said.err.contains("created_at"),
        "{}",
        said.err
    );
    let more = "  dead_letters: letters.jsonl\n";
    fs::write(folder.join("c.yaml"), config(name, REVENUE, more)).unwrap();
    assert_eq!(run_to_now(folder, &[]).code, 0);
    let letters = fs::read_to_string(folder.join("letters.jsonl")).unwrap();
    let letter: Value = serde_json::from_str(letters.lines().last().unwrap()).unwrap();
    assert_eq!(letter["key"], json!({ "id": 4 }), "{letters}");
    assert_eq!(value(folder, &["orders"]), 4, "the other folds have it");
}

#[test]
fn what_a_fold_cannot_take_back_ends_the_run_or_stays_as_was_said() {
    let name = "folds_take_back";
    shop(name);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let highest =
        "    - {name: highest, table: orders, key: customer_id, value: amount, monoid: max}\n";
    fs::write(folder.join("c.yaml"), config(name, highest, "")).unwrap();
    let said = run_in(folder, &["check", "--config", "c.yaml"]);
    assert!(
        said.code == 0 && said.out.contains("cannot take back"),
        "{said:?}"
    );
    let said = run_to_now(folder, &[]);
    assert!(
        said.code == 0 && said.err.contains("take_back: refuse"),
        "{}",
        said.err
    );
    server()
        .sql(&format!("USE {name}; DELETE FROM orders WHERE id = 3"))
        .unwrap();
    let said = run_to_now(folder, &[]);
    assert!(
        said.code != 0 && said.err.contains("take_back: ignore"),
        "{}",
        said.err
    );
    let ignoring = highest.replace("monoid: max", "monoid: max, take_back: ignore");
    fs::write(folder.join("c.yaml"), config(name, &ignoring, "")).unwrap();
    assert_eq!(run_to_now(folder, &[]).code, 0);
    server()
        .sql(&format!("USE {name}; DELETE FROM orders WHERE id = 1; UPDATE orders SET amount = 20 WHERE id = 2"))
        .unwrap();
    assert_eq!(run_to_now(folder, &[]).code, 0);
    assert_eq!(value(folder, &["highest", "--key", "42"]), "20");
}

#[test]
fn keys_that_something_was_taken_out_of_are_read_again() {
    let name = "folds_refold";
    shop(name);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refolded = "    - {name: highest, table: orders, key: customer_id, value: amount, monoid: max, take_back: refold}
    - {name: of_day, table: orders, key: [status, customer_id], value: amount, monoid: {tuple: {of: [min, max]}}, window: {every: day, of: created_at, zone: Europe/Berlin}, take_back: refold}
    - {name: all, table: orders, value: status, monoid: set, take_back: refold}\n"
        .replace("value: amount, monoid: {tuple", "value: [amount, amount], monoid: {tuple");
    fs::write(folder.join("c.yaml"), config(name, &refolded, "")).unwrap();
    let said = run_in(folder, &["check", "--config", "c.yaml"]);
    assert!(
        said.code == 0 && said.out.contains("take_back: refold"),
        "{said:?}"
    );
    let said = run_to_now(folder, &[]);
    assert!(
        said.code == 0 && said.err.contains("take_back: refold"),
        "{}",
        said.err
    );
    assert_eq!(value(folder, &["highest", "--key", "42"]), "100");
    let change = |sql: &str| {
        server().sql(&format!("USE {name}; {sql}")).unwrap();
        let said = run_to_now(folder, &[]);
        assert_eq!(said.code, 0, "{}", said.err);
    };
    let day = |key: &str| {
        let words = [
            "of_day",
            "--key",
            key,
            "--from",
            "2026-11-01",
            "--to",
            "2026-11-30",
        ];
        value(folder, &words)
    };
    change("DELETE FROM orders WHERE id = 3");
    assert_eq!(value(folder, &["highest", "--key", "42"]), "10.5");
    assert_eq!(value(folder, &["all"]), json!(["paid"]));
    assert_eq!(day("paid/42"), json!({"min": "4.5", "max": "10.5"}));
    // To another key, another day, out of one's text and into NULL.
    change(
        "UPDATE orders SET customer_id = 7 WHERE id = 1; UPDATE orders SET status = NULL WHERE id = 2;",
    );
    assert_eq!(value(folder, &["highest", "--key", "42"]), "4.5");
    assert_eq!(value(folder, &["highest", "--key", "7"]), "10.5");
    assert_eq!(day("paid/42"), json!({"min": null, "max": null}));
    assert_eq!(day("paid/7"), json!({"min": "1.25", "max": "10.5"}));
    assert_eq!(day("\\N/42"), json!({"min": "4.5", "max": "4.5"}));
    // Out of a key that is NULL, and out of the fold.
    change("UPDATE orders SET amount = 3 WHERE id = 2");
    assert_eq!(day("\\N/42"), json!({"min": "3", "max": "3"}));
    change("DELETE FROM orders WHERE customer_id = 42");
    let gone = query(folder, &["highest", "--key", "42"]);
    assert_eq!(gone["answers"][0]["found"], false, "{gone}");
}

#[test]
fn what_cannot_be_refolded_is_refused_before_anything_runs() {
    let name = "folds_no_refold";
    shop(name);
    server()
        .sql(&format!(
            "USE {name}; ALTER TABLE orders ADD COLUMN rate DOUBLE"
        ))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fold = |of: &str| format!("    - {{name: f, table: orders, {of}, take_back: refold}}\n");
    let of_rows = "  tables: [{name: orders, where: 'id > 1'}]\n";
    for (of, mysql, words) in [
        ("value: amount, monoid: last", "", "another order"),
        ("value: amount, monoid: {top: {k: 3}}", "", "count twice"),
        ("key: rate, value: amount, monoid: max", "", "exact types"),
        ("value: amount, monoid: max", of_rows, "own `filter`"),
    ] {
        let text = config(name, &fold(of), "");
        let text = match mysql {
            "" => text,
            more => format!("mysql:\n{more}{text}"),
        };
        fs::write(folder.join("c.yaml"), text).unwrap();
        let checked = run_in(folder, &["check", "--config", "c.yaml"]);
        assert!(
            checked.code != 0 && checked.out.contains(words),
            "{of}: {checked:?}"
        );
        let said = run_to_now(folder, &[]);
        assert!(
            said.code != 0 && said.err.contains(words),
            "{of}: {}",
            said.err
        );
    }
    // Rows that were there before are in no fold of what comes from now on.
    let plain = config(name, &fold("value: amount, monoid: max"), "");
    fs::write(folder.join("c.yaml"), plain).unwrap();
    let said = run_in(folder, &["cdc", "--config", "c.yaml", "--until", "now"]);
    assert!(
        said.code != 0 && said.err.contains("began without the rows"),
        "{}",
        said.err
    );
}

#[test]
fn buckets_are_dropped_once_they_are_old_and_late_rows_find_those_that_are_kept() {
    let name = "folds_kept";
    shop(name);
    server()
        .sql(&format!(
            "USE {name}; UPDATE orders SET status = 'paid', created_at = UTC_TIMESTAMP() - INTERVAL 5 DAY; \
             UPDATE orders SET created_at = UTC_TIMESTAMP() - INTERVAL 50 DAY WHERE id = 1;"
        ))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let kept = "    - {name: kept, table: orders, monoid: count, window: {every: day, of: created_at, keep: 30d}}\n";
    fs::write(folder.join("c.yaml"), config(name, kept, "")).unwrap();
    let said = run_to_now(folder, &[]);
    assert!(
        said.code == 0 && said.err.contains("too_old=1"),
        "{}",
        said.err
    );
    assert_eq!(value(folder, &["kept"]), 3, "without a range, what is kept");
    // Late by twenty days, and by fifty.
    server()
        .sql(&format!(
            "USE {name}; INSERT INTO orders VALUES (11, 1, 1, 'paid', UTC_TIMESTAMP() - INTERVAL 20 DAY), (12, 1, 1, 'paid', UTC_TIMESTAMP() - INTERVAL 50 DAY);"
        ))
        .unwrap();
    assert_eq!(run_to_now(folder, &[]).code, 0);
    assert_eq!(value(folder, &["kept"]), 4);
    // Kept for shorter, it is another fold.
    fs::write(
        folder.join("c.yaml"),
        config(name, &kept.replace("30d", "10d"), ""),
    )
    .unwrap();
    assert_eq!(run_to_now(folder, &[]).code, 0);
    assert_eq!(value(folder, &["kept"]), 3);
}

#[test]
fn the_status_of_folds_is_in_their_store_or_said_by_the_process_that_has_it() {
    let name = "folds_status";
    shop(name);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("c.yaml"), config(name, REVENUE, "")).unwrap();
    let status = || run_in(folder, &["status", "--config", "c.yaml", "--json"]);
    let said = status();
    assert!(
        said.code == 1 && said.err.contains("folds.redb"),
        "{said:?}"
    );
    assert_eq!(run_to_now(folder, &[]).code, 0);
    let stored: Value = serde_json::from_str(&status().out).unwrap();
    assert_eq!(stored["phase"], "copied", "{stored}");
    assert!(stored["process"].is_null(), "{stored}");
    let running = Running::start(folder, &[]);
    let mut live = Value::Null;
    wait(folder, "it says so itself", || {
        live = serde_json::from_str(&status().out).unwrap_or_default();
        live["process"]["phase"] == "streaming"
    });
    assert_eq!(live["phase"], "streaming", "{live}");
    assert_eq!(live["process"]["checkpoint"], "folds.redb", "{live}");
    let said = run_in(folder, &["status", "--config", "c.yaml"]);
    assert!(
        said.code == 0 && said.out.contains("in use by this process"),
        "{said:?}"
    );
    running.stop();
}
