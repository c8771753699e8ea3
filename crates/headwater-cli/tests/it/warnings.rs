//! What the log holds and a stream cannot carry is said, by name and place, in lines that a program can read.

use headwater_servers::{Flavor, Instance, Options};
use serde_json::Value;

use super::command::{Said, run_in};
use super::server::{server, shop};

/// The warnings among the lines of standard error.
fn warnings(said: &Said) -> Vec<Value> {
    assert_eq!(said.code, 0, "{said:?}");
    let line =
        |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}"));
    let warns = |line: &Value| line["level"] == "WARN";
    said.err.lines().map(line).filter(warns).collect()
}

/// The warnings that have these words, as text.
fn with(warnings: &[Value], words: &str) -> Vec<String> {
    let texts = warnings.iter().map(Value::to_string);
    texts.filter(|text| text.contains(words)).collect()
}

#[test]
fn what_cannot_be_streamed_is_said_in_lines_that_name_it() {
    for flavor in Flavor::ALL {
        let options = Options::with(&["--binlog-row-metadata=MINIMAL"]);
        let server = Instance::start(flavor, &options).unwrap();
        let sql = |sql: &str| server.sql(&format!("USE d; {sql}")).unwrap();
        server.sql("CREATE DATABASE d").unwrap();
        sql("CREATE TABLE emptied (id INT PRIMARY KEY); INSERT INTO emptied VALUES (1);
             CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (9), PARTITION b VALUES LESS THAN MAXVALUE);
             INSERT INTO parted VALUES (1);
             CREATE TABLE stated (id INT PRIMARY KEY); CREATE TABLE changed (id INT PRIMARY KEY);
             CREATE TABLE prepared (id INT PRIMARY KEY);
             XA START 'before'; INSERT INTO prepared VALUES (1); XA END 'before'; XA PREPARE 'before'");
        let folder = tempfile::tempdir().unwrap();
        let url = server.url("root", "", "d");
        let words = [
            "cdc",
            &url,
            "--until",
            "now",
            "--sink",
            "file:events",
            "--checkpoint",
            "c",
            "--log-format",
            "json",
        ];
        let quiet = warnings(&run_in(folder.path(), &words));
        assert_eq!(quiet, [] as [Value; 0], "{flavor:?}");
        sql("ALTER TABLE parted DROP PARTITION a");
        sql("TRUNCATE emptied; INSERT INTO emptied VALUES (2); XA COMMIT 'before'");
        sql(
            "SET binlog_format = STATEMENT; INSERT INTO stated VALUES (1); INSERT INTO stated VALUES (2)",
        );
        sql(
            "SET sql_log_bin = 0; ALTER TABLE changed ADD COLUMN a INT; SET sql_log_bin = 1; INSERT INTO changed VALUES (1, 2)",
        );
        let said = warnings(&run_in(folder.path(), &words));
        for (words, names) in [
            ("the table was truncated", "d.emptied"),
            ("rows went or came with whole partitions", "d.parted"),
            ("changes that are logged as statements", "\"d\""),
            ("prepared before the stream began", "6265666f7265"),
            ("the definition was read from the server", "d.changed"),
        ] {
            let lines = with(&said, words);
            assert_eq!(lines.len(), 1, "{flavor:?}, {words}: {said:#?}");
            assert!(lines[0].contains(names), "{flavor:?}: {lines:?}");
        }
        assert_eq!(said.len(), 5, "{flavor:?}: {said:#?}");
        let events = std::fs::read_to_string(folder.path().join("events")).unwrap();
        assert_eq!(events.lines().count(), 2, "{flavor:?}: {events}");
        assert!(events.contains(r#"{"id":1,"a":2}"#), "{events}");
    }
}

#[test]
fn a_partitioning_column_that_pieces_are_not_cut_by_is_said_at_the_start() {
    shop("parted");
    let folder = tempfile::tempdir().unwrap();
    let started = |partitioning: &str| {
        let yaml = format!(
            "mode: backfill\nconnections:\n  mysql: {{host: 127.0.0.1, port: {}, user: root, password: '', database: parted}}\n\
             mysql:\n  partitioning: {{{partitioning}}}\nsink: 'null'\nlog: {{format: json}}\n",
            server().port()
        );
        std::fs::write(folder.path().join("shop.yaml"), yaml).unwrap();
        let mut said = run_in(folder.path(), &["run", "--config", "shop.yaml"]);
        said.err = said
            .err
            .lines()
            .filter(|line| line.starts_with('{'))
            .collect::<Vec<_>>()
            .join("\n");
        warnings(&said)
    };
    let with_bounds = |column: &str| {
        started(&format!(
            "column: {column}, lower_bound: 1, upper_bound: 9, num: 2"
        ))
    };
    let other = with(
        &with_bounds("Price"),
        "mysql.partitioning.column has no effect",
    );
    assert_eq!(other.len(), 1, "{other:?}");
    assert!(
        other[0].contains("parted.orders parted.users") && other[0].contains("Price"),
        "{other:?}"
    );
    assert_eq!(with(&with_bounds("ID"), "partitioning"), [""; 0]);
    assert_eq!(
        with(&started("column: id"), "no effect without all of").len(),
        1
    );
}
