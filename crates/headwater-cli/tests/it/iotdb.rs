//! Rows of a real server into a real IoTDB, from the migration's own file.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use headwater_iotdb::config::{Address, IotdbOptions};
use headwater_iotdb::{Rows, Value, query};
use headwater_servers::{Signal, send_signal};

use super::bootstrap::{TOKEN, ask as bootstrap_ask, free_port};
use super::command::{headwater, run_in};
use super::server::server;

/// The file of the migration, with every key that its job knows; values are this test's.
pub(super) fn config(name: &str, more: &str) -> String {
    let mysql_port = port_of(name);
    let (host, port) = iotdb();
    format!(
        "\
env: plant-demo
connections:
  mysql:
    host: 127.0.0.1
    port: {mysql_port}
    user: root
    password: ''
    database: {name}
  iotdb:
    host: {host}
    port: {port}
    user: root
    password: root
mysql:
  cdc:
    startup_mode: latest
    server_time_zone: Europe/Zurich
  partitioning:
    column: id
    lower_bound: 1
    upper_bound: 50
    num: 4
  tables:
    - name: pump_reading
      columns:
        - {{name: id, type: BIGINT, primary: true, auto_increment: true}}
        - {{name: takenAt, type: DATETIME(3)}}
        - {{name: pumpId, type: INT}}
        - {{name: kind, type: INT}}
        - {{name: pressure, type: FLOAT}}
        - {{name: operator, type: VARCHAR(60)}}
        - {{name: flow, type: 'DECIMAL(10,2)'}}
iotdb:
  storage_groups:
    - root.{name}
  mappings:
    - table: pump_reading
      device_field: pumpId
      timestamp_field: takenAt
      device_template: root.{name}.pump_{{pumpId}}
      measurements:
        - {{name: pressure, type: DOUBLE, field: pressure}}
        - {{name: kind, type: INT32, field: kind}}
        - {{name: operator, type: TEXT, field: operator}}
        - {{name: flow, type: DOUBLE}}
{more}"
    )
}

pub(super) fn port_of(database: &str) -> u16 {
    let url = server().url("root", "", database);
    let (address, _) = url.rsplit_once('/').unwrap();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

pub(super) fn iotdb() -> (String, u16) {
    let address = headwater_servers::iotdb::shared().unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    (host.to_owned(), port.parse().unwrap())
}

pub(super) fn ask(statement: &str) -> Rows {
    let (host, port) = iotdb();
    let options = IotdbOptions::new(vec![Address { host, port }], Vec::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(query(&options, statement)).unwrap()
}

/// Each row as `time pump: pressure kind operator flow`.
pub(super) fn points(name: &str) -> Vec<String> {
    let statement =
        format!("SELECT pressure, kind, operator, flow FROM root.{name}.** ALIGN BY DEVICE");
    let rows = ask(&statement);
    let shown = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::Int32(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Bytes(_) => value.text().unwrap(),
        other => format!("{other:?}"),
    };
    let lines = rows.times.iter().zip(&rows.values).map(|(time, values)| {
        let device = values[0].text().unwrap();
        let values: Vec<String> = values[1..].iter().map(shown).collect();
        format!(
            "{time} {}: {}",
            device.rsplit_once('.').unwrap().1,
            values.join(" ")
        )
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

fn plant(name: &str) {
    ask_if_there(&format!("DELETE DATABASE root.{name}"));
    server()
        .sql(&format!(
            "CREATE DATABASE {name}; USE {name}; \
             CREATE TABLE pump_reading (id BIGINT PRIMARY KEY AUTO_INCREMENT, takenAt DATETIME(3) NOT NULL, pumpId INT NOT NULL, \
               kind INT, pressure FLOAT, operator VARCHAR(60) CHARACTER SET utf8mb4, flow DECIMAL(10,2)); \
             INSERT INTO pump_reading VALUES \
               (-3, '2026-01-01 00:00:00.000', 1, 1, 0.1, 'a, b,', 1.50), \
               (1, '2026-01-01 00:00:01.250', 1, NULL, 2.5, '', NULL), \
               (2, '2026-01-01 00:00:00.000', 2, 3, NULL, 'O''Hara \"é\"', -0.01), \
               (60, '2026-01-01 00:00:02.000', 2, 4, 3.25, NULL, 7), \
               (1000, '2026-01-01 00:00:03.000', 2, NULL, NULL, NULL, NULL);"
        ))
        .unwrap();
}

/// A statement that may find nothing to do.
pub(super) fn ask_if_there(statement: &str) {
    let (host, port) = iotdb();
    let options = IotdbOptions::new(vec![Address { host, port }], Vec::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _ = runtime.block_on(query(&options, statement));
}

fn run(folder: &Path, words: &[&str]) -> (String, String) {
    let said = run_in(folder, words);
    assert_eq!(said.code, 0, "{words:?}: {said:?}");
    (said.out, said.err)
}

#[test]
fn the_migrations_own_file_copies_and_then_follows() {
    let name = "plant_file";
    plant(name);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.yaml"), config(name, "")).unwrap();
    let (found, _) = run(folder.path(), &["check", "--config", "config.yaml"]);
    assert!(
        found.contains("mapping plant_file.pump_reading") && found.contains("Ready"),
        "{found}"
    );

    let (token, said) = run(folder.path(), &["backfill", "--config", "config.yaml"]);
    let expected = [
        "1767225600000 pump_1: 0.1 1 a, b, 1.5",
        "1767225600000 pump_2: - 3 O'Hara \"é\" -0.01",
        "1767225601250 pump_1: 2.5 -  -",
        "1767225602000 pump_2: 3.25 4 - 7",
    ];
    assert_eq!(
        points(name),
        expected,
        "rows outside the bounds are there, and no comma breaks a text"
    );
    for count in ["rows=4", "points=12", "without_a_point=1", "refused=0"] {
        assert!(said.contains(count), "{count}: {said}");
    }
    run(folder.path(), &["backfill", "--config", "config.yaml"]);
    assert_eq!(points(name), expected, "a second copy changes nothing");

    server()
        .sql(&format!(
            "USE {name}; \
             INSERT INTO pump_reading VALUES (61, '2026-01-01 00:00:04.000', 3, 5, 1, 'new', 1); \
             UPDATE pump_reading SET pressure = 9, flow = NULL WHERE id = -3; \
             UPDATE pump_reading SET pumpId = 4 WHERE id = 60; \
             DELETE FROM pump_reading WHERE id = 2;"
        ))
        .unwrap();
    let token = token.trim();
    run(
        folder.path(),
        &[
            "cdc",
            "--config",
            "config.yaml",
            "--from",
            token,
            "--until",
            "now",
        ],
    );
    assert_eq!(
        points(name),
        [
            "1767225600000 pump_1: 9 1 a, b, -",
            "1767225600000 pump_2: - 3 O'Hara \"é\" -0.01",
            "1767225601250 pump_1: 2.5 -  -",
            "1767225602000 pump_4: 3.25 4 - 7",
            "1767225604000 pump_3: 1 5 new 1",
        ],
        "overwritten, emptied, moved, and a delete left alone"
    );
}

/// A plant with two rows of one place, and one whose series is of another type; with its file.
fn counted_plant(name: &str) -> tempfile::TempDir {
    plant(name);
    server()
        .sql(&format!(
            "INSERT INTO {name}.pump_reading VALUES (61, '2026-01-01 00:00:02.000', 2, 5, 1, 'twice', 1), \
               (70, '2026-01-01', 9, 1, 1, 'refused', 1)"
        ))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let more = "  dead_letters: letters.jsonl\n  policy: {delete: delete}\ncheckpoint: c\n";
    let text = config(name, more);
    let text = text.replace(
        "      measurements:",
        "      duplicates: last\n      measurements:",
    );
    fs::write(folder.path().join("config.yaml"), text).unwrap();
    let (found, _) = run(folder.path(), &["check", "--config", "config.yaml"]);
    assert!(
        found.contains("2 rows with") && found.contains("duplicates: last"),
        "{found}"
    );
    // One row is of another type than its series.
    ask_if_there(&format!("CREATE DATABASE root.{name}"));
    ask_if_there(&format!(
        "CREATE TIMESERIES root.{name}.pump_9.pressure WITH DATATYPE=BOOLEAN"
    ));
    folder
}

fn judge_counts(metrics: &str, shown: &serde_json::Value) {
    let sample = |what: &str| -> u64 {
        let name = format!("headwater_sink_total{{what=\"{what}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("{what}: {metrics}"))
            .parse()
            .unwrap()
    };
    let exact = [
        ("without_a_point", 1),
        ("nulls", 8),
        ("refused", 1),
        ("duplicates", 1),
        ("deletes_ignored", 1),
        ("deleted", 0),
    ];
    for (what, count) in exact {
        assert_eq!(sample(what), count, "{what}: {metrics}");
        assert_eq!(shown[what], count, "{what}");
    }
    for what in ["updates_ignored", "delete_calls", "unmapped", "retries"] {
        sample(what);
    }
    assert!(sample("rows") >= 4 && sample("points") >= 12, "{metrics}");
}

#[test]
fn what_becomes_of_rows_is_in_metrics_and_status_and_is_said_at_the_end() {
    let name = "plant_counts";
    let folder = counted_plant(name);
    let port = free_port();
    let mut child = headwater()
        .args(["run", "--config", "config.yaml", "--http"])
        .arg(port.to_string())
        .current_dir(folder.path())
        .env("HEADWATER_HTTP_TOKEN", TOKEN)
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let status = || -> serde_json::Value {
        let said = run_in(
            folder.path(),
            &["status", "--config", "config.yaml", "--json"],
        );
        serde_json::from_str(&said.out).unwrap_or_default()
    };
    let wait = |what: &str, is_so: &dyn Fn(&serde_json::Value) -> bool| {
        let limit = Instant::now() + Duration::from_secs(120);
        while !is_so(&status()["process"]) {
            assert!(Instant::now() < limit, "{what}: {}", status());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    wait("it streams", &|process| process["phase"] == "streaming");
    server()
        .sql(&format!("DELETE FROM {name}.pump_reading WHERE id = 2"))
        .unwrap();
    wait("everything is counted", &|process| {
        let counts = &process["sink_counts"];
        let has = |what: &str, count: u64| counts[what].as_u64() >= Some(count);
        has("deletes_ignored", 1) && has("refused", 1) && has("points", 12)
    });
    let (code, metrics) = bootstrap_ask(port, "GET /metrics", TOKEN, "");
    assert_eq!(code, 200, "{metrics}");
    judge_counts(&metrics, &status()["process"]["sink_counts"]);
    let shown = run_in(folder.path(), &["status", "--config", "config.yaml"]);
    assert!(shown.out.contains("duplicates 1"), "{shown:?}");
    send_signal(child.id(), Signal::Terminate).unwrap();
    assert!(child.wait().unwrap().success());
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    for count in ["refused=1", "duplicates=1", "deletes_ignored=1"] {
        assert!(log.contains(count), "{count}: {log}");
    }
    let place = format!("SELECT pressure FROM root.{name}.pump_2 WHERE time = 1767225602000");
    assert_eq!(
        ask(&place).values,
        [[Value::Double(1.0)]],
        "the last of two rows"
    );
}

#[test]
fn with_connections_and_mappings_alone_the_rest_is_read_from_the_database() {
    let name = "plant_short";
    plant(name);
    let (host, port) = iotdb();
    let folder = tempfile::tempdir().unwrap();
    let file = format!(
        "connections:\n  mysql: {{host: 127.0.0.1, port: {}, user: root, database: {name}}}\n  iotdb: {{host: {host}, port: {port}}}\n\
         iotdb:\n  mappings:\n    - {{table: pump_reading, timestamp_field: takenAt, device_template: 'root.{name}.pump_${{pumpId}}'}}\n  \
         policy: {{delete: delete}}\ncheckpoint: c\n",
        port_of(name)
    );
    fs::write(folder.path().join("short.yaml"), file).unwrap();
    let words = ["run", "--config", "short.yaml", "--until", "now"];
    run(folder.path(), &words);
    let rows = || ask(&format!("SELECT id FROM root.{name}.** ALIGN BY DEVICE"));
    assert_eq!(rows().times.len(), 5);
    server()
        .sql(&format!(
            "DELETE FROM {name}.pump_reading WHERE id IN (1, 2)"
        ))
        .unwrap();
    run(folder.path(), &words);
    let left = rows();
    assert_eq!(left.times.len(), 3, "{left:?}");
}
