//! The log on real servers: large transactions, resuming, restarts, rotation, XA, and positions that are gone.

use std::time::Duration;

use headwater_core::ErrorKind;
use headwater_core::engine::Mode;
use headwater_servers::Flavor;

use crate::harness::{Host, database, execute, on_every_server, short, shorts, start};

const TABLE: &str = "CREATE DATABASE d CHARACTER SET utf8mb4; CREATE TABLE d.t (id INT PRIMARY KEY, a VARCHAR(200));";

/// Numbers from `from` to `to` as rows for an INSERT.
fn rows(from: u32, to: u32) -> String {
    let rows: Vec<String> = (from..=to)
        .map(|n| format!("({n}, REPEAT('{n} ', 10))"))
        .collect();
    rows.join(",")
}

fn id(line: &str) -> u64 {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["data"]["id"].as_u64().unwrap()
}

fn ids(lines: &[String]) -> Vec<u64> {
    lines.iter().map(|line| id(line)).collect()
}

/// A transaction of 40,000 rows in several statements.
fn large(server: &impl Host) {
    let parts: Vec<String> = (0..8)
        .map(|n| {
            format!(
                "INSERT INTO d.t VALUES {};",
                rows(n * 5000 + 1, n * 5000 + 5000)
            )
        })
        .collect();
    server.admin(&format!("BEGIN; {} COMMIT;", parts.concat()));
}

async fn a_large_transaction_goes_through_a_spool_file(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    let folder = tempfile::tempdir().unwrap();
    let mut run = server.run(database("d"));
    let token = run.token_now().await;
    server.admin("INSERT INTO d.t VALUES (0, 'before')");
    large(&server);
    server.admin("INSERT INTO d.t VALUES (50000, 'after')");
    let in_memory = run.afresh().from(&token).go().await.ok();
    run.settings.transaction_memory_bytes = 1000;
    run.settings.spool_folder = Some(folder.path().to_owned());
    let spooled = run.afresh().from(&token).go().await.ok();
    assert!(
        in_memory == spooled,
        "the spool file changes what comes out"
    );
    assert_eq!(spooled.len(), 40_002);
    let transaction = &spooled[1..40_001];
    assert_eq!(ids(transaction), (1..=40_000).collect::<Vec<u64>>());
    for (number, line) in transaction.iter().enumerate() {
        let xoffset = format!("\"xoffset\":{number},\"data\"");
        let is_last = number == 39_999;
        assert_eq!(line.contains(&xoffset), !is_last, "{line}");
        assert_eq!(line.contains("\"commit\":true,\"data\""), is_last, "{line}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "spool files are left"
    );
    run.settings.spool_folder = Some(folder.path().join("missing"));
    let error = run.afresh().from(&token).go().await.error();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error:?}");
}

async fn a_run_goes_on_in_the_middle_of_a_transaction(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    let mut run = server.run(database("d"));
    run.options.checkpoint_interval = Duration::ZERO;
    let token = run.token_now().await;
    large(&server);
    server.admin("UPDATE d.t SET a = 'x' WHERE id <= 3; INSERT INTO d.t VALUES (50000, 'after')");
    let whole = run.afresh().from(&token).go().await.ok();
    let mut run = run.afresh().from(&token);
    run.takes = Some(2);
    let mut stops = 0;
    let mut amid = 0;
    loop {
        let done = run.go().await;
        let Err(error) = done.result else { break };
        assert_eq!(error.kind(), ErrorKind::SinkRejected, "{error:?}");
        let document = headwater_core::sink::CheckpointStore::load(&run.store)
            .unwrap()
            .unwrap();
        if document["log"]["rows_done"].as_u64().unwrap_or(0) > 0 {
            amid += 1;
        }
        stops += 1;
        assert!(stops < 30, "{document}");
    }
    assert!(
        amid >= 2,
        "{stops} stops, of which {amid} amid a transaction"
    );
    let lines = run.output.lines();
    assert_eq!(ids(&lines), ids(&whole));
    assert!(lines == whole, "events differ");
}

async fn the_stream_goes_on_over_rotation_and_flushes(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    let run = server.run(database("d"));
    let streaming = run.clone().mode(Mode::Cdc).follow();
    streaming.streams().await;
    for round in 0..5 {
        server.admin(&format!("INSERT INTO d.t VALUES ({round}, 'r'); FLUSH BINARY LOGS; FLUSH TABLES; FLUSH BINARY LOGS;"));
    }
    streaming.lines(5).await;
    let token = streaming.stop().await.token();
    server.admin("FLUSH BINARY LOGS; INSERT INTO d.t VALUES (5, 'r'); FLUSH BINARY LOGS");
    let lines = run.afresh().from(&token).go().await.ok();
    assert_eq!(ids(&run.output.lines()), [0, 1, 2, 3, 4]);
    assert_eq!(ids(&lines), [5]);
}

async fn the_stream_outlives_its_server(flavor: Flavor) {
    let mut server = start(flavor, &[]);
    server.admin(TABLE);
    let mut run = server.run(database("d")).mode(Mode::Both);
    run.options.retry.attempts_max = Some(1000);
    let streaming = run.follow();
    server.admin("INSERT INTO d.t VALUES (1, 'one'), (2, 'two')");
    streaming.lines(2).await;
    for round in 0..2_u32 {
        let n = 10 * (round + 1);
        server.admin(&format!("INSERT INTO d.t VALUES {}", rows(n, n + 4)));
        if round == 0 {
            server.kill().unwrap()
        } else {
            server.stop().unwrap()
        }
        server.restart().unwrap();
        server.admin(&format!("INSERT INTO d.t VALUES {}", rows(n + 5, n + 9)));
        streaming.line_with(&format!("\"id\":{}", n + 9)).await;
    }
    let lines = streaming.stop().await.ok();
    let expected: Vec<u64> = [1, 2].into_iter().chain(10..30).collect();
    assert_eq!(ids(&lines), expected);
}

/// Kills the connections of those who read the log. One may have gone by itself meanwhile.
fn kill_dumps(server: &impl Host) {
    let sql = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
    for dump in server.admin(sql).lines() {
        let sql = format!("KILL {dump}");
        if let Err(error) = server.try_admin(&sql) {
            assert!(error.contains("Unknown thread id"), "{error}");
        }
    }
}

async fn a_killed_connection_is_opened_again(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    let streaming = server.run(database("d")).mode(Mode::Cdc).follow();
    streaming.streams().await;
    for round in 0..3 {
        server.admin(&format!("INSERT INTO d.t VALUES ({round}, 'r')"));
        streaming.lines(round + 1).await;
        kill_dumps(&server);
    }
    server.admin("INSERT INTO d.t VALUES (9, 'last')");
    streaming.line_with("last").await;
    // What it waits out by itself is counted, and where the log ends is asked for beside the stream.
    let counters = streaming.progress.counters();
    streaming
        .until("the reconnects are counted, and all is read", |_| {
            let retries: u64 = counters.retries().values().sum();
            retries >= 3 && counters.lag_bytes() == Some(0)
        })
        .await;
    assert_eq!(ids(&streaming.stop().await.ok()), [0, 1, 2, 9]);
}

/// What was committed before must not come, though the server would send it by the GTIDs seen since.
async fn a_stream_that_began_by_file_and_offset_goes_on_there(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    server.admin("INSERT INTO d.t VALUES (1, 'before'), (2, 'before')");
    let run = server.run(database("d"));
    let mut token = run.token_now().await;
    let position = token.position.as_object_mut().unwrap();
    assert!(
        position
            .remove("gtid_set")
            .or(position.remove("gtid"))
            .is_some()
    );
    let streaming = run.from(&token).follow();
    streaming.streams().await;
    for round in 10..13 {
        server.admin(&format!("INSERT INTO d.t VALUES ({round}, 'r{round}')"));
        streaming.line_with(&format!("r{round}")).await;
        kill_dumps(&server);
    }
    server.admin("INSERT INTO d.t VALUES (19, 'last')");
    streaming.line_with("last").await;
    assert_eq!(ids(&streaming.stop().await.ok()), [10, 11, 12, 19]);
}

async fn without_gtids_the_log_is_read_by_file_and_offset(flavor: Flavor) {
    if flavor.is_mariadb() {
        return;
    }
    let mut server = start(
        flavor,
        &["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"],
    );
    server.admin(TABLE);
    let mut run = server.run(database("d")).mode(Mode::Both);
    run.options.retry.attempts_max = Some(1000);
    server.admin(&format!("INSERT INTO d.t VALUES {}", rows(1, 100)));
    let streaming = run.follow();
    streaming.lines(100).await;
    server.admin("INSERT INTO d.t VALUES (101, 'live'); FLUSH BINARY LOGS; INSERT INTO d.t VALUES (102, 'live')");
    streaming.lines(102).await;
    server.kill().unwrap();
    server.restart().unwrap();
    server.admin("INSERT INTO d.t VALUES (103, 'live')");
    streaming.lines(103).await;
    streaming.stop().await.ok();
    run.options.retry.attempts_max = Some(3);
    server.admin("INSERT INTO d.t VALUES (104, 'live')");
    let lines = run.go().await.ok();
    let mut found = ids(&lines);
    assert_eq!(found[100..], [101, 102, 103, 104]);
    found.sort_unstable();
    assert_eq!(found, (1..=104).collect::<Vec<u64>>());
}

async fn a_prepared_transaction_comes_out_when_it_is_committed(flavor: Flavor) {
    let mut server = start(flavor, &[]);
    server.admin(TABLE);
    let mut run = server.run(database("d")).mode(Mode::Cdc);
    run.options.retry.attempts_max = Some(1000);
    run.go().await.ok();
    let streaming = run.follow();
    let prepare = |name: &str, id: u32| {
        format!(
            "XA START '{name}'; INSERT INTO d.t VALUES ({id}, '{name}'); XA END '{name}'; XA PREPARE '{name}';"
        )
    };
    server.admin(&prepare("kept", 1));
    server.admin(&prepare("dropped", 2));
    // While they wait: rows, DDL that has the definitions bound anew, another table under their feet.
    server.admin("INSERT INTO d.t VALUES (3, 'between'); CREATE TABLE d.u (id INT PRIMARY KEY); FLUSH BINARY LOGS;");
    streaming.line_with("between").await;
    // Stopped and started again, the run must find the prepared rows once more.
    streaming.stop().await.ok();
    let streaming = run.follow();
    streaming.streams().await;
    server.kill().unwrap();
    server.restart().unwrap();
    server.admin("INSERT INTO d.u VALUES (4)");
    streaming.line_with("\"id\":4").await;
    server.admin("XA COMMIT 'kept'; XA ROLLBACK 'dropped'; INSERT INTO d.t VALUES (5, 'last');");
    server.admin("XA START 'one,phase', 'b', 7; INSERT INTO d.t VALUES (6, 'one phase'); XA END 'one,phase', 'b', 7; XA COMMIT 'one,phase', 'b', 7 ONE PHASE;");
    server.admin("XA START 'empty'; XA END 'empty'; XA PREPARE 'empty'; XA COMMIT 'empty'; INSERT INTO d.t VALUES (7, 'end');");
    streaming.line_with("end").await;
    let lines = streaming.stop().await.ok();
    assert_eq!(ids(&lines), [3, 4, 1, 5, 6, 7], "{}", lines.join("\n"));
    assert_eq!(
        ids(&run.go().await.ok()),
        [3, 4, 1, 5, 6, 7],
        "nothing is left behind it"
    );
}

async fn rollbacks_and_savepoints_leave_only_what_was_committed(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    server.admin("CREATE TABLE d.m (id INT PRIMARY KEY) ENGINE = MyISAM");
    let run = server.run(database("d"));
    let token = run.token_now().await;
    server.admin(
        "BEGIN; INSERT INTO d.t VALUES (1, 'a'); ROLLBACK;
         BEGIN; INSERT INTO d.t VALUES (2, 'b'); SAVEPOINT s; INSERT INTO d.t VALUES (3, 'c'); ROLLBACK TO s; INSERT INTO d.t VALUES (4, 'd'); COMMIT;
         INSERT INTO d.m VALUES (5);
         BEGIN; INSERT INTO d.t VALUES (6, 'e'); ROLLBACK; INSERT INTO d.m VALUES (7);
         UPDATE d.t SET id = 8 WHERE id = 2; DELETE FROM d.t WHERE id = 4; REPLACE INTO d.t VALUES (8, 'f');
         INSERT INTO d.t VALUES (8, 'g') ON DUPLICATE KEY UPDATE a = 'h'; UPDATE d.t SET a = a;",
    );
    let lines = run.afresh().from(&token).go().await.ok();
    let expected = [
        r#"insert t {"id":2,"a":"b"}"#,
        r#"insert t {"id":4,"a":"d"}"#,
        r#"insert m {"id":5}"#,
        r#"insert m {"id":7}"#,
        r#"update t {"id":8,"a":"b"},"old":{"id":2}"#,
        r#"delete t {"id":4,"a":"d"}"#,
        r#"update t {"id":8,"a":"f"},"old":{"a":"b"}"#,
        r#"update t {"id":8,"a":"h"},"old":{"a":"f"}"#,
    ];
    assert_eq!(shorts(&lines), expected);
    let myisam = lines.iter().find(|line| line.contains("\"id\":5")).unwrap();
    assert!(
        !myisam.contains("\"xid\"") && myisam.contains("\"commit\":true"),
        "{myisam}"
    );
}

/// MariaDB keeps a log while somebody seems to read it, and notices late that they have gone.
async fn purge(server: &impl Host, to: &str) {
    for _ in 0..1000 {
        server.admin(&format!("PURGE BINARY LOGS TO '{to}'"));
        if server.admin("SHOW BINARY LOGS").starts_with(to) {
            return;
        }
        kill_dumps(server);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the logs before {to} stay");
}

async fn a_purged_log_is_told_with_what_to_do(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    let run = server.run(database("d"));
    let token = run.token_now().await;
    server.admin(
        "INSERT INTO d.t VALUES (1, 'lost'); FLUSH BINARY LOGS; INSERT INTO d.t VALUES (2, 'kept')",
    );
    let last = server
        .admin("SHOW BINARY LOGS")
        .lines()
        .last()
        .unwrap()
        .split('\t')
        .next()
        .unwrap()
        .to_owned();
    server.admin("FLUSH BINARY LOGS");
    purge(&server, &last).await;
    let error = run.afresh().from(&token).go().await.error();
    assert_eq!(error.kind(), ErrorKind::ExpiredPosition, "{error:?}");
    assert!(
        error.to_string().contains(&last),
        "the oldest log still there: {error}"
    );
    assert!(
        error.hint_text().unwrap().contains("checkpoint"),
        "{error:?}"
    );
}

async fn a_reset_log_and_another_server_are_refused(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    server.admin(&format!("INSERT INTO d.t VALUES {}", rows(1, 100)));
    let run = server.run(database("d"));
    let token = run.token_now().await;
    let other = start(flavor, &["--server-id=4242"]);
    other.admin(TABLE);
    let error = other.run(database("d")).from(&token).go().await.error();
    assert_eq!(error.kind(), ErrorKind::ForeignPosition, "{error:?}");
    let reset = if flavor.is_mariadb() {
        "RESET MASTER"
    } else {
        "RESET BINARY LOGS AND GTIDS"
    };
    server.admin(reset);
    let error = run.afresh().from(&token).go().await.error();
    assert_eq!(error.kind(), ErrorKind::ForeignPosition, "{error:?}");
    assert!(error.hint_text().unwrap().contains("RESET"), "{error:?}");
}

async fn a_log_that_is_reset_under_the_stream_ends_it_plainly(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    let mut run = server.run(database("d")).mode(Mode::Cdc);
    run.go().await.ok();
    server.admin("INSERT INTO d.t VALUES (1, 'a')");
    let streaming = run.follow();
    streaming.lines(1).await;
    streaming.stop().await.ok();
    let reset = if flavor.is_mariadb() {
        "RESET MASTER"
    } else {
        "RESET BINARY LOGS AND GTIDS"
    };
    server.admin(reset);
    run.options.retry.attempts_max = Some(3);
    let error = run.go().await.error();
    assert_eq!(error.kind(), ErrorKind::ForeignPosition, "{error:?}");
}

/// Other databases, a quiet log: the position moves all the same, and a run ends at its target.
async fn a_quiet_stream_moves_on_and_ends_at_now(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    server.admin("CREATE DATABASE other; CREATE TABLE other.t (id INT)");
    let run = server.run(database("d")).mode(Mode::Cdc);
    run.go().await.ok();
    let before = run.go().await.token();
    for n in 0..20 {
        server.admin(&format!("INSERT INTO other.t VALUES ({n})"));
    }
    let after = run.go().await.token();
    assert_ne!(before.position, after.position);
    let mut connection = server.connect("d").await;
    execute(
        &mut connection,
        &["BEGIN", "INSERT INTO d.t VALUES (1, 'open')"],
    )
    .await;
    // An open transaction is in nobody's log.
    assert!(run.go().await.ok().is_empty());
    execute(&mut connection, &["COMMIT"]).await;
    assert_eq!(
        short(&run.go().await.ok()[0]),
        r#"insert t {"id":1,"a":"open"}"#
    );
}

/// A stream of tables that nobody writes to must not stand still in a log that others fill: it would start again from where
/// the server has long purged.
async fn a_stream_moves_on_while_others_write(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLE);
    server.admin("CREATE DATABASE other; CREATE TABLE other.t (id INT)");
    let streaming = server.run(database("d")).mode(Mode::Cdc).follow();
    streaming.streams().await;
    let began = streaming.progress.position();
    let mut writer = server.connect("other").await;
    let writing = async {
        // Never silent for as long as the stream waits before it says that nothing comes.
        loop {
            execute(&mut writer, &["INSERT INTO other.t VALUES (1)"]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let moved = streaming.until("the position moves", |_| {
        streaming.progress.position() != began
    });
    tokio::select! {
        () = moved => {}
        () = writing => {}
    }
    streaming.stop().await.ok();
}

on_every_server!(
    a_large_transaction_goes_through_a_spool_file,
    a_run_goes_on_in_the_middle_of_a_transaction,
    the_stream_goes_on_over_rotation_and_flushes,
    the_stream_outlives_its_server,
    a_killed_connection_is_opened_again,
    a_stream_that_began_by_file_and_offset_goes_on_there,
    without_gtids_the_log_is_read_by_file_and_offset,
    a_prepared_transaction_comes_out_when_it_is_committed,
    rollbacks_and_savepoints_leave_only_what_was_committed,
    a_purged_log_is_told_with_what_to_do,
    a_reset_log_and_another_server_are_refused,
    a_log_that_is_reset_under_the_stream_ends_it_plainly,
    a_quiet_stream_moves_on_and_ends_at_now,
    a_stream_moves_on_while_others_write,
);
