//! Maxwell's own cases (`tests/conformance/maxwell`, whose README tells their format), on the real servers: what Maxwell's
//! authors expect, Headwater emits. Stricter than upstream: the order of live events, no event beyond the expected ones,
//! the order of fields in the raw text, and the same `data` bytes when a table is then read by a snapshot.

use std::collections::BTreeMap;
use std::path::Path;

use headwater_core::bootstrap::BootstrapState;
use headwater_core::engine::Mode;
use headwater_format::maxwell::BootstrapEvents;
use headwater_mysql::schema::Selection;
use headwater_servers::{Flavor, Instance};
use serde_json::Value;

use crate::harness::{Host, Run, data, execute, on_every_server, start, table};

/// Cases that cannot be run yet, and why.
const NOT_SUPPORTED: [(&str, &str); 2] = [
    ("bootstrap-js-filters", "there are no JavaScript filters"),
    (
        "test_javascript_filters_rich_values",
        "there are no JavaScript filters",
    ),
];

/// What is expected upstream, and what we answer instead, on purpose: `docs/differences-from-maxwell.md` says why.
const DEVIATIONS: [(&str, &str, &str); 2] = [
    (
        "test_blob",
        r#"{"id": 1, binary_field: "AAECAw=="}"#,
        r#"{"id": 1, binary_field: "AAECAwAAAAAAAA=="}"#,
    ),
    (
        "test_zero_created_at",
        r#"{"id": 2, "ch": "a", "datecol": "0000-00-00 00:00:00"}"#,
        r#"{"id": 2, "ch": "a", "datecol": "0003-00-00 00:00:01"}"#,
    ),
];

/// Fields that events may have, in their order.
const FIELDS: [&str; 11] = [
    "database", "table", "query", "type", "ts", "xid", "xoffset", "commit", "comment", "data",
    "old",
];

/// A case, read.
struct Case {
    name: String,
    statements: Vec<String>,
    expected: Vec<Value>,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/maxwell");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.contains('.') && name.starts_with(char::is_lowercase) {
            cases.push(read(&name, &std::fs::read_to_string(&path).unwrap()));
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(cases.len(), 17, "the case files");
    cases
}

fn read(name: &str, text: &str) -> Case {
    let mut items: Vec<(bool, String)> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        let event = trimmed
            .strip_prefix("->")
            .map(str::trim_start)
            .filter(|rest| rest.starts_with('{'));
        match (event, items.last_mut()) {
            _ if trimmed.is_empty() => {}
            (Some(event), _) => items.push((true, event.to_owned())),
            (None, Some((_, item))) if line.starts_with(char::is_whitespace) => {
                item.push(' ');
                item.push_str(trimmed);
            }
            _ => items.push((false, trimmed.to_owned())),
        }
    }
    let mut case = Case {
        name: name.to_owned(),
        statements: Vec::new(),
        expected: Vec::new(),
    };
    for (is_event, mut item) in items {
        if !is_event {
            case.statements.push(item);
            continue;
        }
        for (_, theirs, ours) in DEVIATIONS.iter().filter(|(case, _, _)| *case == name) {
            item = item.replace(theirs, ours);
        }
        let json = quote_names(&item);
        let event = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        case.expected.push(event);
    }
    case
}

/// Field names may be bare in the case files.
fn quote_names(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.' {
            word.push(c);
            continue;
        }
        if c == ':' && !word.is_empty() {
            out.push_str(&format!("\"{word}\""));
        } else {
            out.push_str(&word);
        }
        word.clear();
        out.push(c);
        in_string = c == '"';
    }
    out
}

const TABLES: &str = "
    CREATE DATABASE shard_1; CREATE DATABASE shard_2; CREATE DATABASE IF NOT EXISTS test; CREATE DATABASE maxwell;
    CREATE TABLE shard_1.minimal (id BIGINT NOT NULL AUTO_INCREMENT, account_id INT NOT NULL, text_field VARCHAR(96),
        PRIMARY KEY (id, text_field)) ENGINE = InnoDB CHARSET utf8mb3;
    CREATE TABLE maxwell.bootstrap (id BIGINT AUTO_INCREMENT PRIMARY KEY,
        database_name VARCHAR(255) CHARACTER SET utf8mb3 NOT NULL, table_name VARCHAR(255) CHARACTER SET utf8mb3 NOT NULL,
        where_clause TEXT DEFAULT NULL, is_complete TINYINT(1) UNSIGNED NOT NULL DEFAULT 0,
        inserted_rows BIGINT(20) UNSIGNED NOT NULL DEFAULT 0, total_rows BIGINT(20) UNSIGNED NOT NULL DEFAULT 0,
        created_at DATETIME DEFAULT NULL, started_at DATETIME DEFAULT NULL, completed_at DATETIME DEFAULT NULL,
        binlog_file VARCHAR(255) DEFAULT NULL, binlog_position INT UNSIGNED DEFAULT 0,
        client_id VARCHAR(255) CHARACTER SET latin1 NOT NULL DEFAULT 'maxwell',
        comment VARCHAR(255) CHARACTER SET utf8mb3 DEFAULT NULL);
";

fn clean(server: &Instance) {
    let names = server.admin(
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN \
         ('mysql', 'information_schema', 'performance_schema', 'sys')",
    );
    for name in names.lines() {
        server.admin(&format!("DROP DATABASE `{name}`"));
    }
    server.admin(TABLES);
}

/// Runs a case; gives the raw events.
async fn events_of(server: &Instance, case: &Case) -> Vec<String> {
    clean(server);
    let mut run = server.run(Selection::All);
    run.format.bootstrap_events = BootstrapEvents::Maxwell;
    if case.name == "test_row_query_log_is_on" {
        run.settings.with_query = true;
        run.format.output_row_query = true;
    }
    let token = run.token_now().await;
    let mut connection = server.connect("shard_1").await;
    if run.format.output_row_query && !server.flavor().is_mariadb() {
        execute(&mut connection, &["SET binlog_rows_query_log_events = ON"]).await;
    }
    for statement in &case.statements {
        execute(&mut connection, &[statement.trim_end_matches(';')]).await;
    }
    let requests = server.admin("SELECT COUNT(*) FROM maxwell.bootstrap");
    let requests: usize = requests.trim().parse().unwrap();
    let run = run.asked_by("maxwell");
    if requests == 0 {
        let lines = run.afresh().from(&token).go().await.ok();
        compare_with_snapshot(&run, &lines).await;
        return lines;
    }
    // The rows of the request table, read from the log, are what asks.
    let streaming = run.afresh().from(&token).follow();
    for bootstrap in streaming.bootstraps_over(requests).await {
        assert_eq!(
            bootstrap.state,
            BootstrapState::Done,
            "{}: {bootstrap:?}",
            case.name
        );
    }
    streaming.stop().await.ok()
}

/// What was inserted, and neither changed nor deleted, has the same bytes in a snapshot.
async fn compare_with_snapshot(run: &Run, lines: &[String]) {
    let mut live: BTreeMap<String, Option<Vec<&str>>> = BTreeMap::new();
    for line in lines {
        let event: Value = serde_json::from_str(line).unwrap();
        let name = format!("{}.{}", event["database"], event["table"]).replace('"', "");
        let rows = live.entry(name).or_insert_with(|| Some(Vec::new()));
        match rows {
            Some(texts) if event["type"] == "insert" => texts.push(data(line)),
            _ => *rows = None,
        }
    }
    for (name, rows) in live {
        let Some(mut rows) = rows else { continue };
        let (database, name) = name.split_once('.').unwrap();
        let mut run = run.afresh().mode(Mode::Backfill);
        run.settings.selection = table(database, name);
        let snapshot = run.go().await.ok();
        let is_row = |line: &&String| line.contains("\"type\":\"bootstrap-insert\"");
        let mut read: Vec<&str> = snapshot
            .iter()
            .filter(is_row)
            .map(|line| data(line))
            .collect();
        rows.sort_unstable();
        read.sort_unstable();
        assert_eq!(rows, read, "{database}.{name}: the log, and a snapshot");
    }
}

/// The fields of a raw event, in the order in which they stand there.
fn check_fields(line: &str) {
    // Columns may be called as fields are.
    let (head, _) = line.split_once(",\"data\":").unwrap_or((line, ""));
    let places: Vec<usize> = FIELDS
        .iter()
        .filter_map(|field| match *field {
            "database" => line.find("{\"database\":"),
            "data" => Some(head.len()),
            "old" => line.rfind(",\"old\":"),
            field => head.find(&format!(",\"{field}\":")),
        })
        .collect();
    assert!(places.is_sorted(), "fields out of order: {line}");
    let event: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
    for field in event.keys() {
        assert!(
            FIELDS.contains(&field.as_str()),
            "an unknown field {field}: {line}"
        );
    }
    let is_live = !event["type"].as_str().unwrap().starts_with("bootstrap");
    assert!(event["ts"].as_u64().unwrap() > 1_600_000_000, "{line}");
    assert_eq!(event.contains_key("xid"), is_live, "{line}");
    // Every live event of the cases is the last row of its transaction, or has a number in it.
    assert_eq!(
        event.contains_key("commit") || event.contains_key("xoffset"),
        is_live,
        "{line}"
    );
}

/// Every expected event in its turn, and no other for the tables that are spoken of.
fn judge(case: &Case, lines: &[String]) -> Result<(), String> {
    let name_of = |event: &Value| (event["database"].clone(), event["table"].clone());
    let tables: Vec<_> = case.expected.iter().map(name_of).collect();
    let mut produced = Vec::new();
    for line in lines {
        check_fields(line);
        let mut event: Value = serde_json::from_str(line).unwrap();
        let members = event.as_object_mut().unwrap();
        for masked in ["ts", "xid", "xoffset", "commit"] {
            members.remove(masked);
        }
        if tables.contains(&name_of(&event)) {
            produced.push(event);
        }
    }
    let phase = |event: &Value| event["type"].as_str().unwrap().starts_with("bootstrap");
    // The case files of bootstraps list events twice or by table; what is live comes first here.
    let mut expected = case.expected.clone();
    expected.dedup();
    let is_whole = expected
        .iter()
        .any(|event| event["type"] == "bootstrap-start")
        || !expected.iter().any(phase);
    let missing: Vec<_> = expected
        .iter()
        .filter(|event| !produced.contains(event))
        .collect();
    let beyond: Vec<_> = produced
        .iter()
        .filter(|event| {
            let is_spoken_of = is_whole || !phase(event);
            is_spoken_of && !expected.contains(event) && !is_request(case, event)
        })
        .collect();
    if !missing.is_empty() || !beyond.is_empty() {
        return Err(format!(
            "missing: {missing:#?}\nbeyond: {beyond:#?}\nall: {}",
            lines.join("\n")
        ));
    }
    let live = |events: &[Value]| -> Vec<Value> {
        events
            .iter()
            .filter(|event| !phase(event))
            .cloned()
            .collect()
    };
    let wanted = live(&expected);
    let mut turns = live(&produced);
    turns.retain(|event| wanted.contains(event));
    if turns != wanted {
        return Err(format!("live events out of order: {turns:#?}"));
    }
    Ok(())
}

/// Inserts that some bootstrap cases make and do not speak of.
fn is_request(case: &Case, event: &Value) -> bool {
    case.name.starts_with("bootstrap") && event["type"] == "insert"
}

async fn maxwells_cases_pass(flavor: Flavor) {
    let server = start(flavor, &["--server-id=4321"]);
    let mut failed = Vec::new();
    for case in cases() {
        if NOT_SUPPORTED.iter().any(|(name, _)| *name == case.name) {
            continue;
        }
        let lines = events_of(&server, &case).await;
        if let Err(why) = judge(&case, &lines) {
            failed.push(format!("{}: {why}", case.name));
        }
    }
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn every_name_in_the_lists_is_a_case() {
    let names: Vec<_> = cases().into_iter().map(|case| case.name).collect();
    for (name, why) in NOT_SUPPORTED {
        assert!(names.iter().any(|case| case == name), "{name}: {why}");
    }
    for (name, theirs, _) in DEVIATIONS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/maxwell");
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.contains(theirs), "{name} has no {theirs}");
    }
}

on_every_server!(maxwells_cases_pass);
