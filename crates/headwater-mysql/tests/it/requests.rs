//! Bootstraps that rows of Maxwell's table ask for, on real servers: read from the log, once, by whom they address.

use headwater_core::bootstrap::{Bootstrap, BootstrapState};
use headwater_core::engine::Mode;
use headwater_core::schema::TableName;
use headwater_core::sink::CheckpointStore;
use headwater_mysql::client::Connection;
use headwater_servers::{Flavor, Instance};
use serde_json::Value;

use crate::harness::{Host, database, execute, on_every_server, short, start};

/// Maxwell's own table, with a column more and some fewer: they are found by name.
const TABLE: &str = "CREATE TABLE maxwell.bootstrap (
    note VARCHAR(20) DEFAULT 'ours', id BIGINT AUTO_INCREMENT PRIMARY KEY, table_name VARCHAR(255) NOT NULL,
    database_name VARCHAR(255) NOT NULL, where_clause TEXT, is_complete TINYINT(1) UNSIGNED NOT NULL DEFAULT 0,
    inserted_rows BIGINT UNSIGNED NOT NULL DEFAULT 0, started_at DATETIME DEFAULT NULL,
    client_id VARCHAR(255) CHARACTER SET latin1 NOT NULL DEFAULT 'maxwell', comment VARCHAR(255) DEFAULT NULL)";

fn filled(flavor: Flavor, extra: &[&str]) -> Instance {
    let server = start(flavor, extra);
    server.admin(
        "CREATE DATABASE d CHARACTER SET utf8mb4; CREATE DATABASE maxwell CHARACTER SET utf8mb4;
         CREATE TABLE d.t (id INT PRIMARY KEY, a VARCHAR(20)); INSERT INTO d.t VALUES (1, 'one'), (2, 'two'), (3, 'three');
         CREATE TABLE d.keyless (a INT); INSERT INTO d.keyless VALUES (7), (7), (NULL)",
    );
    server.admin(TABLE);
    server
}

fn ask(values: &str) -> String {
    format!("INSERT INTO maxwell.bootstrap SET database_name = 'd', {values}")
}

fn states(bootstraps: &[Bootstrap]) -> Vec<&'static str> {
    let states = bootstraps.iter();
    states.map(|found| found.state.name()).collect()
}

fn bootstrapped(lines: &[String]) -> Vec<String> {
    let is_row = |line: &&String| line.contains(r#""type":"bootstrap""#);
    lines
        .iter()
        .filter(is_row)
        .map(|line| short(line))
        .collect()
}

async fn a_row_asks_and_nothing_else_does(flavor: Flavor) {
    let server = filled(flavor, &[]);
    let run = server
        .run(database("d"))
        .mode(Mode::Cdc)
        .asked_by("maxwell");
    let streaming = run.follow();
    streaming.streams().await;
    for sql in [
        ask("table_name = 't', client_id = 'another'"),
        ask("table_name = 't', is_complete = 1"),
        ask("table_name = 't', where_clause = 'id > 1', comment = 'a remark'"),
        // Maxwell, if it runs beside us, writes down how far it is.
        "UPDATE maxwell.bootstrap SET is_complete = 1, inserted_rows = 2".to_owned(),
        ask("table_name = 'nothing'"),
        ask("table_name = 't', where_clause = 'nonsense = 1'"),
        ask("table_name = 'keyless'"),
        "INSERT INTO d.t VALUES (4, 'last')".to_owned(),
    ] {
        server.admin(&sql);
    }
    streaming.line_with("\"last\"").await;
    let found = streaming.bootstraps_over(4).await;
    assert_eq!(
        states(&found),
        ["done", "failed", "failed", "done"],
        "{found:#?}"
    );
    let why = |at: usize| found[at].state.to_string();
    assert!(why(1).contains("d.nothing"), "{}", why(1));
    assert!(why(2).contains("nonsense"), "{}", why(2));
    let lines = streaming.stop().await.ok();
    // The row of id 4 came while the bootstrap may have been reading: as a part of it, or as a change only.
    let lines: Vec<String> = lines
        .into_iter()
        .filter(|line| !line.contains(r#""id":4"#))
        .collect();
    let rows = bootstrapped(&lines);
    assert_eq!(
        rows,
        [
            r#"bootstrap t {"id":2,"a":"two"}"#,
            r#"bootstrap t {"id":3,"a":"three"}"#,
            r#"bootstrap keyless {"a":7}"#,
            r#"bootstrap keyless {"a":7}"#,
            r#"bootstrap keyless {"a":null}"#,
        ]
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains(r#""comment":"a remark""#))
            .count(),
        rows.len() - 3
    );
    // The database of the requests is not selected.
    assert!(
        !lines.iter().any(|line| line.contains("\"maxwell\"")),
        "{lines:#?}"
    );
}

/// The rows of a transaction keep their numbers and its end, wherever a request stands among them.
async fn a_request_amid_a_transaction_leaves_no_trace(flavor: Flavor) {
    let server = filled(flavor, &[]);
    let run = server.run(database("d")).asked_by("maxwell");
    let token = run.token_now().await;
    let mut connection = server.connect("d").await;
    let request = ask("table_name = 't', client_id = 'another'");
    execute(
        &mut connection,
        &[
            "BEGIN",
            &request,
            "INSERT INTO t VALUES (10, 'a')",
            &request,
            "INSERT INTO t VALUES (11, 'b')",
            &request,
            "COMMIT",
            "BEGIN",
            &request,
            "COMMIT",
            "INSERT INTO t VALUES (12, 'c')",
        ],
    )
    .await;
    let lines = run.afresh().from(&token).go().await.ok();
    let events: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of =
        |field: &str| -> Vec<Value> { events.iter().map(|event| event[field].clone()).collect() };
    assert_eq!(
        of("xoffset"),
        [Value::from(0), Value::Null, Value::Null],
        "{lines:#?}"
    );
    assert_eq!(
        of("commit"),
        [Value::Null, true.into(), true.into()],
        "{lines:#?}"
    );
}

async fn a_row_that_is_deleted_ends_what_it_asked_for(flavor: Flavor) {
    let server = filled(flavor, &[]);
    let many: Vec<String> = (10..3_000).map(|n| format!("({n}, 'a')")).collect();
    server.admin(&format!("INSERT INTO d.t VALUES {}", many.join(",")));
    let run = server
        .run(database("d"))
        .mode(Mode::Cdc)
        .asked_by("maxwell");
    let streaming = run.follow();
    streaming.streams().await;
    // One that waits for the end of the century, by the server's clock.
    server.admin(&ask("table_name = 't', started_at = '2099-12-31 23:59:59'"));
    streaming
        .until("it is asked for", |_| {
            streaming.progress.bootstraps().len() == 1
        })
        .await;
    let waiting = streaming.progress.bootstraps()[0].clone();
    assert_eq!(waiting.state, BootstrapState::Waiting);
    assert!(
        waiting
            .request
            .not_before_s
            .is_some_and(|at| at > 4_000_000_000),
        "{waiting:?}"
    );
    // Another is not held up by it, nor ended with it.
    server.admin(&ask(
        "table_name = 'keyless', started_at = '2001-01-01 00:00:00'",
    ));
    streaming
        .line_with(r#""table":"keyless","type":"bootstrap""#)
        .await;
    server.admin("DELETE FROM maxwell.bootstrap WHERE id = 1");
    let found = streaming.bootstraps_over(2).await;
    assert_eq!(states(&found), ["aborted", "done"]);
    assert!(
        !bootstrapped(&streaming.output.lines())
            .iter()
            .any(|row| row.contains(" t "))
    );
    // A table that is emptied withdraws them all; the same number again is another request.
    server.admin(&ask("table_name = 't', started_at = '2099-12-31 23:59:59'"));
    streaming
        .until("it is asked for", |_| {
            streaming.progress.bootstraps().len() == 3
        })
        .await;
    server.admin("TRUNCATE TABLE maxwell.bootstrap");
    server.admin(&ask("table_name = 'keyless'"));
    let found = streaming.bootstraps_over(4).await;
    assert_eq!(states(&found), ["aborted", "done", "aborted", "done"]);
    streaming.stop().await.ok();
}

/// `started_at` is a local time of the server.
async fn a_row_may_ask_for_later(flavor: Flavor) {
    let server = filled(flavor, &["--default-time-zone=+05:00"]);
    let run = server
        .run(database("d"))
        .mode(Mode::Cdc)
        .asked_by("maxwell");
    let streaming = run.follow();
    streaming.streams().await;
    let mut connection = Connection::connect(&server.options("root", ""))
        .await
        .unwrap();
    let soon = ask("table_name = 'keyless', started_at = NOW() + INTERVAL 3 SECOND");
    let later = ask("table_name = 't', started_at = NOW() + INTERVAL 1 HOUR");
    execute(&mut connection, &[&later, &soon]).await;
    let asked = connection
        .query_scalar("SELECT UNIX_TIMESTAMP(MAX(started_at)) - 3600 FROM maxwell.bootstrap")
        .await
        .unwrap();
    let asked: u64 = asked.unwrap().parse().unwrap();
    streaming
        .line_with(r#""table":"keyless","type":"bootstrap""#)
        .await;
    let list = streaming.progress.bootstraps();
    assert_eq!(states(&list)[0], "waiting");
    let [later, soon] = &list[..] else {
        panic!("{list:#?}")
    };
    assert_eq!(later.request.not_before_s, Some(asked + 3600));
    assert!(soon.began_at_s.unwrap() >= asked + 3, "{soon:?}");
    streaming.stop().await.ok();
}

/// The log is read again from before the request, with a checkpoint that knows it: it asks once.
async fn a_request_that_is_read_again_asks_once(flavor: Flavor) {
    let server = filled(flavor, &[]);
    let mut run = server.run(database("d")).asked_by("maxwell");
    let token = run.token_now().await;
    server.admin(&ask("table_name = 't'"));
    server.admin("INSERT INTO d.t VALUES (4, 'four')");
    run = run.afresh().from(&token);
    let streaming = run.follow();
    let found = streaming.bootstraps_over(1).await;
    assert_eq!(states(&found), ["done"]);
    streaming.stop().await.ok();
    // As a process leaves it that dies when the request is in the checkpoint and the place behind its row is not.
    let place = run.store.load().unwrap().unwrap();
    let mut torn = place;
    torn["log"] = serde_json::json!({ "position": token.position, "rows_done": 0 });
    run.store.save(&torn).unwrap();
    let streaming = run.follow();
    server.admin("INSERT INTO d.t VALUES (5, 'five')");
    streaming.line_with("\"five\"").await;
    let found = streaming.bootstraps_over(1).await;
    assert_eq!(
        found[0].request.tables,
        [TableName::new("d", "t").to_string()]
    );
    let lines = streaming.stop().await.ok();
    assert_eq!(bootstrapped(&lines).len(), 4, "{lines:#?}");
}

on_every_server!(
    a_row_asks_and_nothing_else_does,
    a_request_amid_a_transaction_leaves_no_trace,
    a_row_that_is_deleted_ends_what_it_asked_for,
    a_row_may_ask_for_later,
    a_request_that_is_read_again_asks_once,
);
