//! A run whose tables are others than those of its checkpoint, on real servers.

use headwater_core::engine::Mode;
use headwater_core::sink::CheckpointStore;
use headwater_servers::Flavor;

use crate::harness::{Host, Run, Running, database, execute, on_every_server, start, table};

const ROWS: usize = 2_000;

fn filled(flavor: Flavor) -> headwater_servers::Instance {
    let server = start(flavor, &[]);
    server.admin("CREATE DATABASE d CHARACTER SET utf8mb4; CREATE TABLE d.t (id INT PRIMARY KEY, a VARCHAR(20)); INSERT INTO d.t VALUES (1, 'first'); CREATE TABLE d.big (name VARCHAR(20) PRIMARY KEY, a INT); CREATE TABLE d.keyless (a INT); INSERT INTO d.keyless VALUES (1), (2)");
    let rows: Vec<String> = (1..=ROWS).map(|n| format!("('row {n}', {n})")).collect();
    server.admin(&format!("INSERT INTO d.big VALUES {}", rows.join(",")));
    server
}

fn count(lines: &[String], kind: &str, table: &str) -> usize {
    let (kind, table) = (
        format!(r#""type":"{kind}""#),
        format!(r#""table":"{table}""#),
    );
    let is_meant = |line: &&String| line.contains(&kind) && line.contains(&table);
    lines.iter().filter(is_meant).count()
}

async fn copied(running: &Running, rows: usize) {
    let all = |lines: &[String]| count(lines, "bootstrap", "big") == rows;
    running.until("the added table is copied", all).await;
}

async fn a_table_that_is_added_is_copied_while_the_stream_goes_on(flavor: Flavor) {
    let server = filled(flavor);
    let mut run = server.run(table("d", "t"));
    let streaming = run.follow();
    streaming.streams().await;
    streaming.stop().await.ok();
    // Nothing of what happens to it before its copy is told.
    server.admin("UPDATE d.big SET a = 0 WHERE a = 1; ALTER TABLE d.big ADD COLUMN b INT DEFAULT 7 FIRST; DELETE FROM d.big WHERE a = 2");
    run.settings.selection = headwater_mysql::schema::Selection::Tables(
        ["t", "big"]
            .map(|name| headwater_core::schema::TableName::new("d", name))
            .to_vec(),
    );
    let mut holder = server.connect("d").await;
    execute(&mut holder, &["LOCK TABLES big WRITE"]).await;
    let streaming = run.follow();
    streaming.streams().await;
    // Its rows cannot be read, and the stream does not wait for them.
    server.admin("INSERT INTO d.t VALUES (2, 'meanwhile')");
    streaming.line_with("meanwhile").await;
    assert_eq!(count(&streaming.output.lines(), "bootstrap", "big"), 0);
    assert!(
        run.store.load().unwrap().unwrap()["copy"]
            .to_string()
            .contains("beside")
    );
    execute(
        &mut holder,
        &["UPDATE big SET a = 33 WHERE a = 3", "UNLOCK TABLES"],
    )
    .await;
    copied(&streaming, ROWS - 1).await;
    server.admin("UPDATE d.big SET a = 44 WHERE a = 4");
    let is_told = |line: &String| line.contains("\"update\"") && line.contains("\"a\":44");
    streaming
        .until("its changes come", |lines| lines.iter().any(is_told))
        .await;
    assert!(
        streaming.progress.counters().notices() > 0,
        "that d.big is streamed from here on"
    );
    let lines = streaming.stop().await.ok();
    assert_eq!(
        (
            count(&lines, "bootstrap", "t"),
            count(&lines, "insert", "t")
        ),
        (1, 1)
    );
    // Whether the change that was held back came before the cut or after it is chance.
    assert!((1..=2).contains(&count(&lines, "update", "big")));
    assert_eq!(count(&lines, "delete", "big"), 0);
    taken_out_and_added_again(&server, run).await;
}

/// Of a table that was copied: it is silent once it is taken out, and copied anew with all others when it is added again.
async fn taken_out_and_added_again(server: &headwater_servers::Instance, mut run: Run) {
    run.settings.selection = table("d", "t");
    let streaming = run.follow();
    streaming.streams().await;
    assert!(
        streaming.progress.counters().notices() > 0,
        "that d.big is no longer streamed"
    );
    server.admin("DELETE FROM d.big WHERE a = 5; INSERT INTO d.t VALUES (3, 'silence')");
    streaming.line_with("silence").await;
    let lines = streaming.stop().await.ok();
    assert_eq!(count(&lines, "delete", "big"), 0);

    // A table without a key cannot be read in chunks: the stream waits for it.
    run.settings.selection = database("d");
    let streaming = run.follow();
    copied(&streaming, ROWS - 1 + ROWS - 2).await;
    let keyless = |lines: &[String]| count(lines, "bootstrap", "keyless") == 2;
    streaming
        .until("the keyless table is copied", keyless)
        .await;
    server.admin("CREATE TABLE d.new (id INT PRIMARY KEY); INSERT INTO d.new VALUES (7); DELETE FROM d.big WHERE a = 6");
    let last = |lines: &[String]| count(lines, "delete", "big") == 1;
    streaming.until("changes come", last).await;
    let lines = streaming.stop().await.ok();
    assert_eq!(
        (
            count(&lines, "bootstrap", "t"),
            count(&lines, "insert", "new")
        ),
        (1, 1)
    );
}

async fn a_stream_without_a_first_copy_only_follows_what_is_added(flavor: Flavor) {
    let server = filled(flavor);
    let mut run = server.run(table("d", "t")).mode(Mode::Cdc);
    let streaming = run.follow();
    streaming.streams().await;
    streaming.stop().await.ok();
    server.admin("DELETE FROM d.big WHERE a = 1");
    run.settings.selection = database("d");
    let streaming = run.follow();
    streaming.streams().await;
    assert!(
        streaming.progress.counters().notices() > 0,
        "that d.big and d.keyless are followed"
    );
    server.admin("DELETE FROM d.big WHERE a = 2");
    streaming
        .until("it comes", |lines| count(lines, "delete", "big") > 0)
        .await;
    let lines = streaming.stop().await.ok();
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

async fn a_transaction_that_is_prepared_is_waited_for_before_the_tables_change(flavor: Flavor) {
    let server = filled(flavor);
    let mut run = server.run(table("d", "t"));
    let streaming = run.follow();
    streaming.streams().await;
    server.admin("XA START 'open'; INSERT INTO d.t VALUES (10, 'prepared'); XA END 'open'; XA PREPARE 'open'");
    server.admin("INSERT INTO d.t VALUES (11, 'after')");
    streaming.line_with("after").await;
    streaming.stop().await.ok();
    run.settings.selection = database("d");
    let streaming = run.follow();
    let is_said = |_: &[String]| streaming.progress.counters().notices() > 0;
    streaming.until("it is said", is_said).await;
    server.admin("INSERT INTO d.t VALUES (12, 'waiting')");
    streaming.line_with("waiting").await;
    server.admin("XA COMMIT 'open'");
    streaming.line_with("prepared").await;
    copied(&streaming, ROWS).await;
    let lines = streaming.stop().await.ok();
    assert_eq!(count(&lines, "insert", "t"), 3, "{lines:#?}");
}

on_every_server!(
    a_table_that_is_added_is_copied_while_the_stream_goes_on,
    a_stream_without_a_first_copy_only_follows_what_is_added,
    a_transaction_that_is_prepared_is_waited_for_before_the_tables_change,
);
