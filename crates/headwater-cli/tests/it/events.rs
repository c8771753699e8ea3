//! What events hold, by Maxwell's options, on real servers.

use std::fs;

use headwater_servers::{Flavor, shared};
use serde_json::{Value, json};

use super::command::{CATCH_UP, headwater, run_in, said};
use super::server::{server, shop};

const OPTIONS: [&str; 9] = [
    "--output_binlog_position",
    "--output-row-query",
    "--row_query_max_length",
    "20",
    "--custom=source=shop",
    "--exclude_columns",
    "/hid+en/",
    "--output_naming_strategy",
    "underscore_to_camelcase",
];

#[test]
fn an_event_says_its_statement_and_the_place_of_its_row_in_the_log_on_every_server() {
    for flavor in Flavor::ALL {
        let server = shared(flavor).unwrap();
        let name = flavor.name();
        let database = server.fresh_database("cli_events").unwrap();
        server
            .sql(&format!(
                "CREATE TABLE {database}.t (id INT PRIMARY KEY, my_note VARCHAR(20), hidden INT)"
            ))
            .unwrap();
        let url = server.database_url(&database);
        let folder = tempfile::tempdir().unwrap();
        let words = [&["run", &url, "t"][..], &CATCH_UP, &OPTIONS].concat();
        let copied = run_in(folder.path(), &words);
        assert_eq!(copied.code, 0, "{name}: {copied:?}");
        let annotate = match flavor {
            Flavor::MySql97 => "SET binlog_rows_query_log_events=ON",
            _ => "SET binlog_annotate_row_events=ON",
        };
        server
            .sql(&format!(
                "{annotate}; USE {database}; BEGIN; INSERT INTO t VALUES (1,'a',9),(2,'b',9); \
                 UPDATE t SET my_note='c', hidden=8 WHERE id=1; DELETE FROM t WHERE id=2; COMMIT"
            ))
            .unwrap();
        let followed = run_in(folder.path(), &words);
        assert_eq!(followed.code, 0, "{name}: {followed:?}");
        let text = fs::read_to_string(folder.path().join("e")).unwrap();
        let events: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let seen: Vec<Value> = events
            .iter()
            .map(|event| json!([event["query"], event["source"], event["data"], event["old"]]))
            .collect();
        let expected = [
            json!(["INSERT INTO t VALUES", "shop", {"id": 1, "myNote": "a"}, null]),
            json!(["INSERT INTO t VALUES", "shop", {"id": 2, "myNote": "b"}, null]),
            json!(["UPDATE t SET my_note", "shop", {"id": 1, "myNote": "c"}, {"myNote": "a"}]),
            json!(["DELETE FROM t WHERE ", "shop", {"id": 2, "myNote": "b"}, null]),
        ];
        assert_eq!(seen, expected, "{name}: {text}");
        assert_eq!(events[0]["position"], events[1]["position"], "one event");
        for (event, kind) in events.iter().zip(["Write", "Write", "Update", "Delete"]) {
            let position = event["position"].as_str().unwrap();
            let (file, offset) = position.rsplit_once(':').unwrap();
            let found = server
                .sql(&format!(
                    "SHOW BINLOG EVENTS IN '{file}' FROM {offset} LIMIT 1"
                ))
                .unwrap();
            assert!(
                found.contains(&format!("{kind}_rows")),
                "{name}: {position} is {found}"
            );
        }
        assert_eq!(events[3]["commit"], true, "{name}: {text}");
        assert!(events[..3].iter().all(|event| event["commit"].is_null()));
        server.sql(&format!("DROP DATABASE {database}")).unwrap();
    }
}

#[test]
fn events_are_encrypted_by_a_key_of_the_environment_a_file_or_the_configuration() {
    let url = shop("encrypted");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "0123456789abcdef\n").unwrap();
    fs::write(
        folder.path().join("all.yaml"),
        "events:\n  encrypt: all\n  secret_key: ${KEY}\n",
    )
    .unwrap();
    let run = |words: &[&str], variable: (&str, &str)| {
        let mut all = vec!["run", &url, "users", "--until", "now"];
        all.extend(words);
        said(
            headwater()
                .args(all)
                .current_dir(folder.path())
                .env(variable.0, variable.1),
        )
    };
    let key = ("HEADWATER_SECRET_KEY", "0123456789abcdef01234567");
    for (said, begin) in [
        (
            run(&["--encrypt", "data"], key),
            "{\"database\":\"encrypted\"",
        ),
        (
            run(&["--encrypt=data", "--secret-key-file=key"], ("NONE", "")),
            "{\"database\":\"encrypted\"",
        ),
        (
            run(&["--config", "all.yaml"], ("KEY", "0123456789abcdef")),
            "{\"encrypted\":{\"iv\":\"",
        ),
    ] {
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(said.out.lines().count(), 2, "{said:?}");
        for line in said.out.lines() {
            assert!(line.starts_with(begin), "{said:?}");
            assert!(
                line.contains("\"encrypted\":{\"iv\":") && !line.contains("Ada"),
                "{said:?}"
            );
        }
    }
    let none = run(&["--encrypt", "data"], ("NONE", ""));
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.err.contains("HEADWATER_SECRET_KEY"), "{none:?}");
    let short = run(&["--encrypt", "data"], ("HEADWATER_SECRET_KEY", "hunter2"));
    assert_eq!(short.code, 2, "{short:?}");
    assert!(
        short.err.contains("16, 24 or 32") && !short.err.contains("hunter2"),
        "{short:?}"
    );
    server().sql("DROP DATABASE encrypted").unwrap();
}

#[test]
fn options_that_cannot_be_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let url = "mysql://cdc@127.0.0.1:1/shop";
    for (words, part) in [
        (&["--output_schema_id"][..], "Headwater keeps none"),
        (
            &["--custom", "serverId=1"],
            "events have a member of that name",
        ),
        (&["--custom", "a"], "--custom NAME=TEXT"),
        (&["--custom", "a=1", "--custom", "a=2"], "given twice"),
        (&["--exclude_columns", "a,/b"], "does not end"),
    ] {
        let all = [&["run", url][..], words].concat();
        let said = run_in(folder.path(), &all);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    let yaml = "events:\n  custom: {commit: x}\n  output_schema_id: true\n  secret_key: k\n  secret_key_file: f\n";
    fs::write(folder.path().join("bad.yaml"), yaml).unwrap();
    let said = run_in(folder.path(), &["run", url, "--config", "bad.yaml"]);
    assert_eq!(said.code, 2, "{said:?}");
    for place in ["bad.yaml:2:", "bad.yaml:3:", "bad.yaml:5:"] {
        assert!(said.err.contains(place), "{place}: {said:?}");
    }
    let no = run_in(
        folder.path(),
        &["run", url, "--output_schema_id=false", "--until", "now"],
    );
    assert_ne!(no.code, 2, "false is what it is anyway: {no:?}");
}
