//! Copying and following.

use std::fs;

use headwater_servers::{Flavor, shared};

use super::command::{CATCH_UP, headwater, run_in, said};
use super::server::{server, shop};

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_run_until_now_writes_the_rows_to_standard_output_and_nothing_else() {
    let url = shop("until_now");
    let folder = tempfile::tempdir().unwrap();
    let said = run_in(folder.path(), &["run", &url, "--until", "now"]);
    assert_eq!(said.code, 0, "{said:?}");
    let events = lines(&said.out);
    assert_eq!(events.len(), 5, "{said:?}");
    assert!(
        events
            .iter()
            .all(|line| line.starts_with("{\"database\":\"until_now\"")
                && line.contains("\"type\":\"bootstrap\"")),
        "{said:?}"
    );
    assert!(said.err.contains("nothing is kept"), "{said:?}");
}

#[test]
fn a_backfill_hands_its_token_to_a_cdc_that_emits_what_came_after() {
    let url = shop("handed_over");
    let folder = tempfile::tempdir().unwrap();
    let backfill = run_in(
        folder.path(),
        &["backfill", &url, "orders", "--sink", "file:rows.jsonl"],
    );
    assert_eq!(backfill.code, 0, "{backfill:?}");
    let token = backfill.out.trim().to_owned();
    assert!(
        token.starts_with("hw1.") && !token.contains(char::is_whitespace),
        "{backfill:?}"
    );
    assert!(backfill.err.contains("handoff token"), "{backfill:?}");
    let rows = fs::read_to_string(folder.path().join("rows.jsonl")).unwrap();
    assert_eq!(lines(&rows).len(), 3);
    server().sql("INSERT INTO handed_over.orders VALUES (13,2,1.00); INSERT INTO handed_over.users VALUES (3,'Emmy')").unwrap();
    let words = ["cdc", &url, "orders", "--from", &token, "--until", "now"];
    let cdc = run_in(folder.path(), &words);
    assert_eq!(cdc.code, 0, "{cdc:?}");
    let events = lines(&cdc.out);
    assert_eq!(events.len(), 1, "{cdc:?}");
    assert!(
        events[0].contains("\"type\":\"insert\"") && events[0].contains("\"id\":13"),
        "{cdc:?}"
    );
}

#[test]
fn copy_hand_over_and_follow_on_every_server() {
    for flavor in Flavor::ALL {
        let server = shared(flavor).unwrap();
        let database = server.fresh_database("cli_streams").unwrap();
        let sql = |sql: &str| server.sql(&format!("USE {database}; {sql}")).unwrap();
        sql(
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES (1,'a'),(2,'b')",
        );
        let url = server.database_url(&database);
        let folder = tempfile::tempdir().unwrap();
        let check = run_in(folder.path(), &["check", &url, "t"]);
        assert_eq!(check.code, 0, "{}: {check:?}", flavor.name());
        let words = [&["run", &url, "t"][..], &CATCH_UP].concat();
        let copied = run_in(folder.path(), &words);
        assert_eq!(copied.code, 0, "{}: {copied:?}", flavor.name());
        sql("UPDATE t SET v='c' WHERE id=2; DELETE FROM t WHERE id=1");
        let followed = run_in(folder.path(), &words);
        assert_eq!(followed.code, 0, "{}: {followed:?}", flavor.name());
        let events = fs::read_to_string(folder.path().join("e")).unwrap();
        let types: Vec<&str> = events
            .lines()
            .map(|line| {
                line.split("\"type\":\"")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
            })
            .collect();
        assert_eq!(
            types,
            ["bootstrap", "bootstrap", "update", "delete"],
            "{}",
            flavor.name()
        );
        server.sql(&format!("DROP DATABASE {database}")).unwrap();
    }
}

#[test]
fn a_checkpoint_goes_on_and_its_status_is_told() {
    let url = shop("kept");
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "run",
        &url,
        "--until",
        "now",
        "--sink",
        "file:events.jsonl",
        "--checkpoint",
        "kept.checkpoint",
    ];
    let first = run_in(folder.path(), &words);
    assert_eq!(first.code, 0, "{first:?}");
    server()
        .sql("UPDATE kept.users SET name='Ada L.' WHERE id=1")
        .unwrap();
    let second = run_in(folder.path(), &words);
    assert_eq!(second.code, 0, "{second:?}");
    let events = fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    assert_eq!(lines(&events).len(), 6, "{events}");
    let status = run_in(
        folder.path(),
        &["status", "--checkpoint", "kept.checkpoint"],
    );
    assert_eq!(status.code, 0, "{status:?}");
    for words in [
        "copy is complete",
        "mariadb",
        "file:events.jsonl",
        "kept.orders",
        "3 rows",
    ] {
        assert!(status.out.contains(words), "{status:?}");
    }
    let status = run_in(
        folder.path(),
        &["status", "--checkpoint", "kept.checkpoint", "--json"],
    );
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["phase"], "copied");
    // Events of another form are another configuration; tables may come and go.
    let with = |word: &[&str]| {
        let words: Vec<&str> = words.iter().chain(word).copied().collect();
        run_in(folder.path(), &words)
    };
    let other = with(&["--bootstrap-events", "maxwell"]);
    assert_eq!(other.code, 1, "{other:?}");
    assert!(
        other.err.contains("another configuration") && other.err.contains("bootstrap_events"),
        "{other:?}"
    );
    let fewer = with(&["users"]);
    assert_eq!(fewer.code, 0, "{fewer:?}");
    assert!(
        fewer.err.contains("kept.orders is no longer streamed"),
        "{fewer:?}"
    );
}

#[test]
fn a_condition_bounds_the_snapshot() {
    let url = shop("bounded");
    let folder = tempfile::tempdir().unwrap();
    let said = run_in(
        folder.path(),
        &[
            "backfill",
            &url,
            "--where",
            "bounded.orders:price > 5",
            "--bootstrap-events",
            "maxwell",
            "--log-format",
            "json",
        ],
    );
    assert_eq!(said.code, 0, "{said:?}");
    let inserts = said.out.matches("\"type\":\"bootstrap-insert\"").count();
    assert_eq!(inserts, 4, "{said:?}");
    assert_eq!(
        said.out.matches("bootstrap-complete").count(),
        2,
        "{said:?}"
    );
    assert!(said.err.contains("handoff token"), "{said:?}");
}

#[test]
fn a_file_configures_a_run_with_the_password_from_the_environment() {
    shop("from_file");
    let server = server();
    server
        .sql("CREATE USER 'filed'@'%' IDENTIFIED BY 'pa: #ss'; GRANT ALL ON *.* TO 'filed'@'%'")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = "mode: backfill\n\
        connections:\n  mysql: {host: 127.0.0.1, port: '${PORT}', user: filed, password: '${PW}', database: from_file}\n\
        mysql:\n  tables:\n    - name: orders\n      where: price < 5\n\
        sink: file:out.jsonl\nevents:\n  output_commit_info: false\nlog: {format: json}\n";
    fs::write(folder.path().join("shop.yaml"), yaml).unwrap();
    let mut command = headwater();
    command
        .args(["run", "--config", "shop.yaml"])
        .current_dir(folder.path());
    command
        .env("PORT", server.port().to_string())
        .env("PW", "pa: #ss");
    let run = said(&mut command);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(!run.err.contains("pa: #ss"), "{run:?}");
    let events = fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    assert_eq!(lines(&events).len(), 1, "{events}");
    for line in run.err.lines().filter(|line| !line.starts_with("handoff")) {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "{line}"
        );
    }
}

/// The events of a file as `whole.TABLE id` for those of the database `whole`, else `other.TABLE id`, sorted.
fn by_database(events: &str, whole: &str) -> Vec<String> {
    let short = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = if event["database"] == *whole {
            "whole"
        } else {
            "other"
        };
        format!(
            "{name}.{} {}",
            event["table"].as_str().unwrap(),
            event["data"]["id"]
        )
    };
    let mut found: Vec<String> = events.lines().map(short).collect();
    found.sort();
    found
}

#[test]
fn a_whole_database_and_single_tables_of_another_go_together() {
    for flavor in Flavor::ALL {
        let server = shared(flavor).unwrap();
        let whole = server.fresh_database("cli_whole").unwrap();
        let other = server.fresh_database("cli_other").unwrap();
        let everywhere = |sql: &str| {
            for database in [&whole, &other] {
                server.sql(&format!("USE {database}; {sql}")).unwrap();
            }
        };
        everywhere(
            "CREATE TABLE users (id INT PRIMARY KEY); CREATE TABLE orders LIKE users; CREATE TABLE _orders_new LIKE users;
             INSERT INTO users VALUES (1); INSERT INTO orders VALUES (1); INSERT INTO _orders_new VALUES (1);",
        );
        let folder = tempfile::tempdir().unwrap();
        let url = server.database_url("");
        let (first, second) = (format!("{whole}.*"), format!("{other}.users"));
        let base = ["run", &url, &first, &second, "--until", "now"];
        let words = [&base[..], &["--sink", "file:e", "--checkpoint", "c"]].concat();
        let copied = run_in(folder.path(), &words);
        assert_eq!(copied.code, 0, "{flavor:?}: {copied:?}");
        everywhere(
            "INSERT INTO users VALUES (2); INSERT INTO orders VALUES (2); INSERT INTO _orders_new VALUES (2);
             CREATE TABLE later (id INT PRIMARY KEY); INSERT INTO later VALUES (3)",
        );
        let followed = run_in(folder.path(), &words);
        assert_eq!(followed.code, 0, "{flavor:?}: {followed:?}");
        let events = fs::read_to_string(folder.path().join("e")).unwrap();
        let of_other = ["other.users 1", "other.users 2"];
        let of_whole = ["later 3", "orders 1", "orders 2", "users 1", "users 2"];
        let of_whole = of_whole.map(|event| format!("whole.{event}"));
        let expected = [of_other.map(str::to_owned).as_slice(), &of_whole].concat();
        assert_eq!(by_database(&events, &whole), expected, "{flavor:?}");
        let gone = run_in(folder.path(), &[&base[..], &["nowhere.t"]].concat());
        assert!(gone.code != 0 && gone.err.contains("nowhere.t"), "{gone:?}");
        for database in [&whole, &other] {
            server.sql(&format!("DROP DATABASE {database}")).unwrap();
        }
    }
}
