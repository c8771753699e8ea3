//! What the log holds and a stream cannot carry is said, by name and place, in lines that a program can read.

use headwater_servers::{Flavor, Instance, Options};
use serde_json::Value;

use super::command::{Said, run_in};

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
            ("changes that are logged as statements", "\"d\""),
            ("prepared before the stream began", "6265666f7265"),
            ("the definition was read from the server", "d.changed"),
        ] {
            let lines = with(&said, words);
            assert_eq!(lines.len(), 1, "{flavor:?}, {words}: {said:#?}");
            assert!(lines[0].contains(names), "{flavor:?}: {lines:?}");
        }
        assert_eq!(said.len(), 4, "{flavor:?}: {said:#?}");
        let events = std::fs::read_to_string(folder.path().join("events")).unwrap();
        assert_eq!(events.lines().count(), 2, "{flavor:?}: {events}");
        assert!(events.contains(r#"{"id":1,"a":2}"#), "{events}");
    }
}
