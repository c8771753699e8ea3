//! `headwater verify`: real servers on both sides, made to differ on purpose.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_iotdb::config::{Address, IotdbOptions, Model};
use headwater_iotdb::{Rows, query};
use headwater_servers::{Flavor, Shared, Signal, send_signal, shared};
use tempfile::TempDir;

use super::command::{Said, headwater, run_in};
use super::iotdb::iotdb;

fn ask_in(model: Model, statement: &str) -> headwater_core::Result<Rows> {
    let (host, port) = iotdb();
    let mut options = IotdbOptions::new(vec![Address { host, port }], Vec::new());
    options.model = model;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(query(&options, statement))
}

/// The layouts in IoTDB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    Tree { aligned: bool },
    Table,
}

/// A database of the source, its like in IoTDB, and a configuration that leads from one to the other.
pub(super) struct World {
    server: Shared,
    pub(super) name: String,
    pub(super) url: String,
    form: Form,
    pub(super) folder: TempDir,
}

impl World {
    pub(super) fn new(flavor: Flavor, form: Form, more: &str) -> Self {
        let server = shared(flavor).unwrap();
        let name = server.fresh_database("verify").unwrap();
        let url = server.database_url(&name);
        let (host, port) = iotdb();
        let folder = tempfile::tempdir().unwrap();
        let (model, device) = match form {
            Form::Tree { aligned } => (
                format!("aligned: {aligned}"),
                format!("device_template: 'root.{name}.${{pump}}'"),
            ),
            Form::Table => (
                format!("model: table\n  database: {name}"),
                "tags: [pump]".to_owned(),
            ),
        };
        let file = format!(
            "connections:\n  iotdb: {{host: {host}, port: {port}}}\nmysql:\n  tables: [{{name: readings}}]\n\
             iotdb:\n  {model}\n  mappings:\n    - table: readings\n      {device}\n      timestamp_field: at\n      measurements:\n\
             \x20       - {{name: flow, type: DOUBLE}}\n        - {{name: note, type: TEXT}}\n{more}"
        );
        fs::write(folder.path().join("config.yaml"), file).unwrap();
        Self {
            server,
            name,
            url,
            form,
            folder,
        }
    }

    /// Changes the configuration.
    pub(super) fn reconfigure(&self, from: &str, to: &str) {
        let path = self.folder.path().join("config.yaml");
        let file = fs::read_to_string(&path).unwrap();
        assert!(file.contains(from), "{from}: {file}");
        fs::write(&path, file.replace(from, to)).unwrap();
    }

    pub(super) fn sql(&self, sql: &str) {
        let sql = format!("USE {}; {sql}", self.name);
        self.server.sql(&sql).unwrap();
    }

    pub(super) fn words(&self, words: &[&str]) -> Said {
        let mut all = vec![words[0], &self.url, "--config", "config.yaml"];
        all.extend(&words[1..]);
        run_in(self.folder.path(), &all)
    }

    pub(super) fn run(&self, words: &[&str]) -> Said {
        let said = self.words(words);
        assert_eq!(said.code, 0, "{words:?}: {said:?}");
        said
    }

    fn ask(&self, statement: &str) {
        let model = match self.form {
            Form::Tree { aligned } => Model::Tree {
                is_aligned: aligned,
            },
            Form::Table => Model::Table {
                database: self.name.clone(),
            },
        };
        ask_in(model, statement).unwrap();
    }

    /// Writes points past headwater.
    pub(super) fn write(&self, pump: &str, time: i64, values: &[(&str, &str)]) {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        let texts: Vec<&str> = values.iter().map(|(_, text)| *text).collect();
        let (names, texts, name) = (names.join(", "), texts.join(", "), &self.name);
        self.ask(&match self.form {
            Form::Tree { aligned } => format!(
                "INSERT INTO root.{name}.`{pump}`(timestamp, {names}) {} ({time}, {texts})",
                if aligned { "ALIGNED VALUES" } else { "VALUES" }
            ),
            Form::Table => format!(
                "INSERT INTO readings(time, pump, {names}) VALUES ({time}, '{pump}', {texts})"
            ),
        });
    }

    /// Deletes a row's points past headwater.
    pub(super) fn delete(&self, pump: &str, time: i64) {
        self.ask(&match self.form {
            Form::Tree { .. } => format!(
                "DELETE FROM root.{}.`{pump}`.* WHERE time = {time}",
                self.name
            ),
            Form::Table => format!("DELETE FROM readings WHERE time = {time} AND pump = '{pump}'"),
        });
    }

    pub(super) fn device(&self, pump: &str) -> String {
        match self.form {
            Form::Tree { .. } if pump.parse::<u32>().is_ok() => {
                format!("root.{}.`{pump}`", self.name)
            }
            Form::Tree { .. } => format!("root.{}.{pump}", self.name),
            Form::Table => format!("\"pump\"='{pump}'"),
        }
    }

    /// The differences that are told, each as `kind key device time columns`, and the exit code.
    pub(super) fn verify(&self, words: &[&str]) -> (BTreeSet<String>, serde_json::Value, i32) {
        let mut all = vec!["verify", "--output", "json"];
        all.extend(words);
        let said = self.words(&all);
        let (found, summary) = told(&said.out);
        assert!(summary["table"].is_string(), "{words:?}: {said:?}");
        (found, summary, said.code)
    }
}

/// The differences among lines of JSON, and the last line, which has the counts.
pub(super) fn told(out: &str) -> (BTreeSet<String>, serde_json::Value) {
    let mut found = BTreeSet::new();
    let mut summary = serde_json::Value::Null;
    for line in out.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line["difference"].is_null() {
            summary = line;
            continue;
        }
        let columns = line["columns"].as_array().unwrap().iter().map(|column| {
            let name = column["name"].as_str().unwrap();
            format!("{name}: {} {}", column["source"], column["iotdb"])
        });
        let is_new = found.insert(format!(
            "{} {} {} {} {}",
            line["difference"].as_str().unwrap(),
            line["key"],
            line["device"].as_str().unwrap(),
            line["time"],
            columns.collect::<Vec<_>>().join(", ")
        ));
        assert!(is_new, "told twice: {line}");
    }
    (found, summary)
}

/// 2026-01-01 00:00 in UTC, in milliseconds.
pub(super) const BEGIN: i64 = 1_767_225_600_000;

pub(super) const READINGS: &str = "CREATE TABLE readings (id INT PRIMARY KEY, pump VARCHAR(20) NOT NULL, at DATETIME(3) NOT NULL, \
     flow DOUBLE, note VARCHAR(200)); ";

/// Rows of four pumps, one a minute; some without a note, some without anything.
fn filled(world: &World, rows: u32) {
    let mut sql = READINGS.to_owned();
    sql.push_str("INSERT INTO readings VALUES ");
    let rows = (0..rows).map(|id| {
        let flow = if id % 50 == 7 {
            "NULL".to_owned()
        } else {
            format!("{id}.25")
        };
        let note = match id % 10 {
            7 => "NULL".to_owned(),
            1 => format!("'{}'", "long ".repeat(30)),
            _ => format!("'n{id}'"),
        };
        format!(
            "({id}, '{}', '2026-01-01' + INTERVAL {id} MINUTE, {flow}, {note})",
            ["1", "2", "three", "north"][id as usize % 4]
        )
    });
    sql.push_str(&rows.collect::<Vec<_>>().join(", "));
    world.sql(&sql);
}

pub(super) fn time(minute: i64) -> i64 {
    BEGIN + minute * 60_000
}

pub(super) fn set(lines: &[String]) -> BTreeSet<String> {
    lines.iter().cloned().collect()
}

fn each_difference_is_found(flavor: Flavor, form: Form) {
    let world = World::new(flavor, form, "  policy: {delete: delete}\n");
    filled(&world, 1_000);
    world.run(&["backfill"]);
    let (found, summary, code) = world.verify(&[]);
    assert_eq!((found, code), (BTreeSet::new(), 0), "{summary}");
    let counts = ["rows", "points", "without_a_point"].map(|name| summary[name].clone());
    assert_eq!(counts, [1_000, 1_880, 20], "{summary}");

    // A point changed; one added where the row has NULL; one of a row without any; a row's points gone; a place that no row
    // has; a device too many; and a row that came to the source since.
    world.write("1", time(404), &[("flow", "4.5")]);
    world.write("2", time(17), &[("note", "'late'")]);
    world.write("north", time(7), &[("flow", "1.0")]);
    world.delete("three", time(10));
    world.write(
        "north",
        time(5_000_000),
        &[("flow", "0.5"), ("note", "'far'")],
    );
    world.write("other", time(3), &[("flow", "2.0")]);
    world.sql("INSERT INTO readings VALUES (5000, '1', '2026-01-01 00:00:30.5', NULL, 'new')");
    let expected = set(&[
        format!(
            "differs {{\"id\":404}} {} {} flow: 404.25 4.5",
            world.device("1"),
            time(404)
        ),
        format!(
            "differs {{\"id\":17}} {} {} note: null \"late\"",
            world.device("2"),
            time(17)
        ),
        format!(
            "differs {{\"id\":7}} {} {} flow: null 1.0",
            world.device("north"),
            time(7)
        ),
        format!(
            "missing {{\"id\":10}} {} {} flow: 10.25 null, note: \"n10\" null",
            world.device("three"),
            time(10)
        ),
        format!(
            "extra null {} {} flow: null 0.5, note: null \"far\"",
            world.device("north"),
            time(5_000_000)
        ),
        format!(
            "extra null {} {} flow: null 2.0",
            world.device("other"),
            time(3)
        ),
        format!(
            "missing {{\"id\":5000}} {} {} note: \"new\" null",
            world.device("1"),
            BEGIN + 30_500
        ),
    ]);
    let (found, summary, code) = world.verify(&["--settle", "1"]);
    assert_eq!(found, expected, "{summary}");
    assert_eq!(code, 5, "{summary}");

    // A limit: some are told, and that there are more.
    let (found, summary, code) =
        world.verify(&["--settle", "0", "--limit", "2", "--table", "readings"]);
    assert!(found.len() == 2 && found.is_subset(&expected), "{found:?}");
    assert!(
        summary["not_looked_at"].as_u64().unwrap() > 0 && code == 5,
        "{summary}"
    );
}

#[test]
fn each_kind_of_difference_is_found_and_nothing_else() {
    each_difference_is_found(Flavor::MariaDb1011, Form::Tree { aligned: false });
    each_difference_is_found(Flavor::MySql97, Form::Tree { aligned: true });
}

#[test]
fn each_kind_of_difference_is_found_in_the_table_model() {
    each_difference_is_found(Flavor::MariaDb1011, Form::Table);
}

#[test]
fn points_that_a_policy_leaves_are_told_apart() {
    let world = World::new(Flavor::MariaDb1011, Form::Tree { aligned: false }, "");
    filled(&world, 100);
    world.run(&["backfill"]);
    world.sql("DELETE FROM readings WHERE id IN (3, 20)");
    let (found, summary, code) = world.verify(&["--settle", "0"]);
    assert_eq!((found.len(), code), (0, 0), "{summary}");
    assert_eq!(summary["explained"]["deletes_ignored"], 2, "{summary}");
    let (found, summary, code) = world.verify(&["--settle", "0", "--strict"]);
    assert_eq!((found.len(), code), (2, 5), "{found:?}");
    assert_eq!(summary["equal"], false, "{summary}");
    let said = world.words(&["verify", "--settle", "0", "--strict"]);
    assert!(
        said.out.contains("equal but for what follows")
            && said.out.contains(
                "2 with points as policy.delete: ignore leaves them: a failure with --strict\n"
            )
            && !said.out.contains("no failure"),
        "{said:?}"
    );
    // A row that is missing is missing under every policy.
    world.delete("1", time(4));
    let (found, _, code) = world.verify(&["--settle", "0"]);
    assert_eq!((found.len(), code), (1, 5), "{found:?}");
    let said = world.words(&["verify", "--settle", "0"]);
    assert!(
        said.out.contains("missing  ")
            && said.out.contains("{\"id\":4}")
            && said.out.contains(
                "2 with points as policy.delete: ignore leaves them: no failure without --strict"
            ),
        "{said:?}"
    );
}

#[test]
fn every_type_is_equal_after_a_copy() {
    every_type_is_equal(Form::Tree { aligned: true });
}

#[test]
fn every_type_is_equal_after_a_copy_into_the_table_model() {
    every_type_is_equal(Form::Table);
}

fn every_type_is_equal(form: Form) {
    for flavor in [Flavor::MariaDb1011, Flavor::MySql97] {
        let world = World::new(flavor, form, "");
        world.sql(
            "CREATE TABLE readings (id INT PRIMARY KEY, pump VARCHAR(20) NOT NULL, at TIMESTAMP(3) NOT NULL, \
               t1 TINYINT, t2 SMALLINT UNSIGNED, t3 MEDIUMINT, t4 INT UNSIGNED, t5 BIGINT, t6 YEAR, t7 BIT(12), f1 FLOAT, f2 DOUBLE, \
               d1 DECIMAL(20,6), s1 VARCHAR(90) CHARACTER SET utf8mb4, s2 CHAR(9) CHARACTER SET latin1, s3 LONGTEXT, e ENUM('a','b'), \
               st SET('x','y'), j JSON, b1 VARBINARY(300), b2 BLOB, g GEOMETRY, da DATE, ti TIME(3), dt DATETIME(3), `odd name` INT); \
             INSERT INTO readings VALUES \
               (1, 'p', '2026-01-01 00:00:00.001', -128, 65535, -8388608, 4294967295, -9223372036854775808, 1901, b'101010101010', 0.1, -0e0, \
                '-12345678901234.500000', 'é水泵', 'ü', REPEAT('long', 5000), 'b', 'x,y', '{\"a\": [1, 2.5]}', x'00FF', REPEAT(x'80', 200), \
                ST_GeomFromText('POINT(1 2)'), '1000-01-01', '-838:59:59.000', '9999-12-31 23:59:59.999', 7), \
               (2, 'p', '1970-01-02 00:00:00', 127, 0, 8388607, 0, 9223372036854775807, 2155, b'0', -3.4e38, 1.7976931348623157e308, \
                '0.000001', '', '', '', 'a', '', 'null', x'', x'', ST_GeomFromText('POINT(0 0)'), '9999-12-31', '00:00:00.001', '1000-01-01', -1), \
               (3, 'q', '2026-01-01 00:00:00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1e-45, 5e-324, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
                NULL, NULL, NULL, NULL, NULL, NULL, NULL);",
        );
        let path = world.folder.path().join("config.yaml");
        let file = fs::read_to_string(&path).unwrap();
        let (front, _) = file.split_once("      measurements:").unwrap();
        fs::write(&path, front).unwrap();
        world.run(&["backfill"]);
        let (found, summary, code) = world.verify(&["--settle", "0"]);
        assert_eq!((found, code), (BTreeSet::new(), 0), "{flavor:?}: {summary}");
        // id, and all the others of two rows, and two of the third.
        assert_eq!(summary["points"], 2 * 24 + 3, "{summary}");
        world.sql("UPDATE readings SET j = '{\"a\": [1, 2.6]}', da = '1000-01-02', f2 = 1e300, b2 = CONCAT(b2, '!') WHERE id = 1");
        let (found, _, code) = world.verify(&["--settle", "0"]);
        let names: Vec<&str> = ["j: ", "da: ", "f2: ", "b2: "].to_vec();
        let line = found.first().unwrap();
        assert!(
            found.len() == 1 && code == 5 && names.iter().all(|name| line.contains(name)),
            "{found:?}"
        );
        assert_eq!(
            line.matches(": ").count(),
            4 + line.matches("\\\"a\\\": ").count(),
            "{line}"
        );
    }
}

#[test]
fn what_a_running_stream_brings_late_is_no_difference() {
    a_stream_brings_late(Form::Tree { aligned: true });
}

#[test]
fn what_a_running_stream_brings_late_is_no_difference_in_the_table_model() {
    a_stream_brings_late(Form::Table);
}

fn a_stream_brings_late(form: Form) {
    let world = World::new(Flavor::MariaDb1011, form, "  policy: {delete: delete}\n");
    filled(&world, 2_000);
    let mut stream = headwater();
    stream
        .args([
            "run",
            &world.url,
            "--config",
            "config.yaml",
            "--checkpoint",
            "c",
        ])
        .current_dir(world.folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut stream = stream.spawn().unwrap();
    let is_over = AtomicBool::new(false);
    let (found, summary, code) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 10_000;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                // A row comes, one changes, one loses a value, one moves, one goes.
                let (old, gone) = (number % 1_000, number - 5);
                world.sql(&format!(
                    "INSERT INTO readings VALUES ({number}, '{}', '2027-01-01' + INTERVAL {number} SECOND, {number}, 'n'); \
                     UPDATE readings SET flow = {number} WHERE id = {old}; \
                     UPDATE readings SET note = NULL WHERE id = {old} + 3; \
                     UPDATE readings SET at = '2028-01-01' + INTERVAL {number} SECOND WHERE id = {old} + 1000; \
                     DELETE FROM readings WHERE id = {gone} AND id % 2 = 0;",
                    number % 7
                ));
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        // Longer than any stream lags on a slow machine; nobody waits for it unless something stays different.
        let found = world.verify(&["--settle", "180"]);
        is_over.store(true, Ordering::Relaxed);
        found
    });
    send_signal(stream.id(), Signal::Terminate).unwrap();
    let mut said = String::new();
    let mut pipe = stream.stderr.take().unwrap();
    pipe.read_to_string(&mut said).unwrap();
    let ended = stream.wait().unwrap();
    assert!(ended.success(), "{said}");
    assert_eq!((found, code), (BTreeSet::new(), 0), "{summary}");
    assert!(summary["rows"].as_u64().unwrap() >= 2_000, "{summary}");
}

#[test]
fn without_a_mapping_there_is_nothing_to_compare() {
    let server = shared(Flavor::MariaDb1011).unwrap();
    let said = super::command::run(&["verify", &server.admin_url()]);
    assert!(
        said.code == 2 && said.err.contains("iotdb.mappings"),
        "{said:?}"
    );
}
