//! MySQL's race between log and views, held open on purpose: a replica acknowledges nothing, so that a transaction is in the
//! log and out to every reader of it, while its rows are not to be seen yet (semi-synchronous replication that waits after
//! the log's sync). A position of the log and then a view lose its rows. No way of ours may.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::batch::Batch;
use headwater_core::bootstrap::{BootstrapRequest, BootstrapState};
use headwater_core::engine::Mode;
use headwater_core::position::HandoffToken;
use headwater_core::schema::TableName;
use headwater_core::source::{
    ChunkRequest, ChunkRows, LiveSource, LiveStep, LogPoint, SnapshotReader, Source,
};
use headwater_mysql::MysqlSource;
use headwater_mysql::position::BinlogPosition;
use headwater_servers::{Flavor, Instance};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::harness::{Host, Run, Running, database, execute, start};
use crate::snapshot::{LOG, user};

/// Rows of the table, and of a chunk: the transaction changes rows of each.
const ROWS: i64 = 30;
const CHUNK_ROWS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(120);

/// Rows by key.
type Contents = BTreeMap<i64, i64>;

/// A server whose commits wait, once asked to, for a replica that there is not.
fn semi_synchronous() -> Instance {
    let server = start(Flavor::MySql97, &["--max-connections=100"]);
    server.admin(
        "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'; \
         SET GLOBAL rpl_semi_sync_source_wait_point = AFTER_SYNC; \
         SET GLOBAL rpl_semi_sync_source_timeout = 3600000",
    );
    let rows: Vec<String> = (1..=ROWS).map(|id| format!("({id}, {id})")).collect();
    server.admin(&format!(
        "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, a INT); INSERT INTO d.t VALUES {}; \
         SET GLOBAL log_output = 'TABLE'",
        rows.join(",")
    ));
    server
}

/// A transaction that is logged, and not committed until it is released.
struct Withheld<'a> {
    server: &'a Instance,
    commit: JoinHandle<()>,
}

impl<'a> Withheld<'a> {
    async fn begin(server: &'a Instance) -> Self {
        let mut writer = server.connect("d").await;
        let statements = [
            "BEGIN",
            "UPDATE t SET a = a + 1000 WHERE id IN (5, 15, 25)",
            "DELETE FROM t WHERE id = 20",
            "INSERT INTO t VALUES (31, 31)",
        ];
        execute(&mut writer, &statements).await;
        server.admin("SET GLOBAL rpl_semi_sync_source_enabled = ON");
        let commit = tokio::spawn(async move { execute(&mut writer, &["COMMIT"]).await });
        wait_for(server, "Waiting for semi-sync ACK%").await;
        Self { server, commit }
    }

    async fn release(self) {
        assert!(!self.commit.is_finished(), "it was not withheld");
        (self.server).admin("SET GLOBAL rpl_semi_sync_source_enabled = OFF");
        let committed = tokio::time::timeout(PATIENCE, self.commit).await;
        committed.expect("the commit goes on").unwrap();
    }
}

/// Whether a connection of the server is in a state.
fn is_there(server: &Instance, state: &str) -> bool {
    let list = "SELECT COUNT(*) FROM information_schema.processlist";
    server
        .admin(&format!("{list} WHERE state LIKE '{state}'"))
        .trim()
        != "0"
}

async fn wait_for(server: &Instance, state: &str) {
    let began = tokio::time::Instant::now();
    while !is_there(server, state) {
        let list = "SELECT id, command, state, info FROM information_schema.processlist";
        assert!(began.elapsed() < PATIENCE, "{}", server.admin(list));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How often the engine has asked whether the server has committed all that is out.
fn asked(server: &Instance) -> u32 {
    let sql = "SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE 'SELECT GTID_SUBSET(%'";
    server.admin(sql).trim().parse().unwrap()
}

fn contents(server: &Instance) -> Contents {
    parse(&server.admin("SELECT id, a FROM d.t"))
}

fn parse(text: &str) -> Contents {
    let number = |cell: &str| cell.parse().unwrap_or_else(|_| panic!("{text}"));
    let mut rows = text.lines().map(|line| line.split_once('\t').unwrap());
    rows.by_ref()
        .map(|(id, a)| (number(id), number(a)))
        .collect()
}

/// What the events make of `rows`: each must fit what came before it.
fn replay(mut rows: Contents, lines: &[String]) -> Contents {
    for line in lines {
        let event: Value = serde_json::from_str(line).unwrap();
        let data = &event["data"];
        let (id, a) = (data["id"].as_i64().unwrap(), data["a"].as_i64().unwrap());
        let last = rows.get(&id).copied();
        match event["type"].as_str().unwrap() {
            "bootstrap" => {
                assert!(
                    last.is_none_or(|last| last == a),
                    "stale after {last:?}: {line}"
                );
                rows.insert(id, a);
            }
            "insert" => assert_eq!(rows.insert(id, a), None, "{line}"),
            "delete" => assert_eq!(rows.remove(&id), Some(a), "{line}"),
            _ => {
                let old = event["old"]["a"].as_i64();
                assert!(last.is_none() || last == old, "after {last:?}: {line}");
                rows.insert(id, a);
            }
        }
    }
    rows
}

/// Every bootstrap row once, and the table in the end.
fn assert_is_copy(server: &Instance, lines: &[String]) {
    let copied = lines
        .iter()
        .filter(|line| line.contains(r#""type":"bootstrap""#));
    let mut ids: Vec<i64> = copied
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["data"]["id"]
                .as_i64()
                .unwrap()
        })
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "twice:\n{}", lines.join("\n"));
    let found = replay(Contents::new(), lines);
    assert_eq!(found, contents(server), "{}", lines.join("\n"));
}

/// Releases what is withheld once the engine waits for it, or has gone on without; then one more change.
async fn waits_for_the_commit(running: &Running, withheld: Withheld<'_>) {
    let server = withheld.server;
    running
        .until("it waits, or has copied the last row", |lines| {
            let last = |line: &String| {
                line.contains(r#""type":"bootstrap""#) && line.contains(r#""id":30,"#)
            };
            asked(server) >= 3 || lines.iter().any(last)
        })
        .await;
    withheld.release().await;
    server.admin("INSERT INTO d.t VALUES (100, 100)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_of_the_log_and_then_a_view_lose_the_rows_of_a_transaction() {
    let server = semi_synchronous();
    let streaming = server.run(database("d")).mode(Mode::Cdc).follow();
    streaming.streams().await;
    let mut control = server.connect("d").await;
    let mut token = server.run(database("d")).token_now().await;
    let withheld = Withheld::begin(&server).await;
    // A reader of the log has it already.
    streaming.line_with(r#""id":31,"#).await;
    // The naive cut: where the log stands, then a view.
    let status = control.query_one("SHOW BINARY LOG STATUS").await.unwrap();
    let status = status.unwrap();
    let logged = BinlogPosition {
        file: status.get("File").unwrap().to_owned(),
        offset: status.get("Position").unwrap().parse().unwrap(),
        gtid_set: None,
        gtid: None,
    };
    let mut reader = server.connect("d").await;
    execute(&mut reader, &["START TRANSACTION WITH CONSISTENT SNAPSHOT"]).await;
    let executed = status.get("Executed_Gtid_Set").unwrap().to_owned();
    withheld.release().await;
    server.admin("INSERT INTO d.t VALUES (100, 100)");
    let rows = reader.query("SELECT id, a FROM t").await.unwrap();
    let view: Contents = (rows.rows.iter())
        .map(|row| (row.i64(0).unwrap(), row.i64(1).unwrap()))
        .collect();
    assert_eq!(view, (1..=ROWS).map(|id| (id, id)).collect());

    let from = |token: &HandoffToken| server.run(database("d")).from(token);
    token.position = serde_json::to_value(&logged).unwrap();
    let naive = replay(view.clone(), &from(&token).go().await.ok());
    let truth = contents(&server);
    assert_ne!(
        naive, truth,
        "the race is not there, so the other tests prove nothing"
    );
    for (id, lost) in [(5, Some(1005)), (20, None), (31, Some(31))] {
        assert_ne!(naive.get(&id), truth.get(&id));
        assert_eq!(truth.get(&id).copied(), lost);
    }
    // What the server had executed is the mark that such a view has seen.
    token.position = serde_json::to_value(BinlogPosition {
        gtid_set: Some(executed.parse().unwrap()),
        ..logged
    })
    .unwrap();
    assert_eq!(replay(view, &from(&token).go().await.ok()), truth);
    streaming.stop().await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_copy_by_marks_waits_for_what_is_logged_and_not_committed() {
    let server = semi_synchronous();
    let mut run = user(&server, "marks", LOG);
    run.options.chunk_rows = CHUNK_ROWS;
    server.admin("SET GLOBAL general_log = ON");
    let withheld = Withheld::begin(&server).await;
    let running = run.follow();
    // The first chunk is mended by the log, so that the transaction is half out: of the rest its view must have it.
    running.line_with(r#""id":5,"a":1005"#).await;
    waits_for_the_commit(&running, withheld).await;
    running.line_with(r#""id":100,"#).await;
    let l = running.stop().await.ok();
    eprintln!("{}\n{}", l.join("\n"), server.admin("select event_time, left(argument,120) from mysql.general_log where argument not like '%information_schema%'"));
    assert_is_copy(&server, &l);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_waits_for_what_is_out_and_not_committed() {
    let server = semi_synchronous();
    let mut run = user(&server, "streamer", LOG).mode(Mode::Cdc);
    run.options.chunk_rows = CHUNK_ROWS;
    let running = run.follow();
    running.streams().await;
    let withheld = Withheld::begin(&server).await;
    running.line_with(r#""id":31,"#).await;
    server.admin("SET GLOBAL general_log = ON");
    let request = BootstrapRequest {
        tables: vec!["d.t".into()],
        ..BootstrapRequest::default()
    };
    let asked = running.control.ask(request).await.unwrap();
    waits_for_the_commit(&running, withheld).await;
    running
        .until("the bootstrap is done", |_| {
            let list = running.progress.bootstraps();
            let mut found = list.iter().filter(|found| found.id == asked.id);
            found.any(|found| found.state == BootstrapState::Done)
        })
        .await;
    running.line_with(r#""id":100,"#).await;
    let lines = running.stop().await.ok();
    // The row that was deleted before it was ever copied is the one event that has nothing to fit.
    let lines: Vec<String> = (lines.into_iter())
        .filter(|line| !line.contains(r#""type":"delete""#))
        .collect();
    assert_eq!(
        replay(Contents::new(), &lines),
        contents(&server),
        "{}",
        lines.join("\n")
    );
}

/// A copy whose lock waits for the commit: the view that is opened under it has seen everything logged.
async fn a_lock_waits_for_the_commit(run: impl Fn(&Instance) -> Run, state: &str) {
    let server = semi_synchronous();
    let run = run(&server);
    let withheld = Withheld::begin(&server).await;
    let running = run.follow();
    running
        .until("the lock waits", |lines| {
            is_there(&server, state) || !lines.is_empty()
        })
        .await;
    withheld.release().await;
    // Not before the lock is: what waits for it would be part of the cut.
    running.line_with(r#""id":31,"#).await;
    server.admin("UPDATE d.t SET a = 7 WHERE id = 31; INSERT INTO d.t VALUES (100, 100)");
    running.line_with(r#""id":100,"#).await;
    let lines = running.stop().await.ok();
    assert_is_copy(&server, &lines);
    // The transaction is in the cut, and so not in the log after it.
    let of_the_log = lines
        .iter()
        .filter(|line| !line.contains(r#""type":"bootstrap""#));
    assert_eq!(of_the_log.count(), 2, "{}", lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_global_read_lock_waits_for_the_commit() {
    let grants = format!("{LOG} GRANT RELOAD ON *.* TO USER;");
    let run = |server: &Instance| user(server, "reloader", &grants);
    a_lock_waits_for_the_commit(run, "Waiting for commit lock").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_on_tables_wait_for_the_commit() {
    let grants = format!("{LOG} GRANT LOCK TABLES ON d.* TO USER;");
    let run = |server: &Instance| user(server, "locker", &grants);
    a_lock_waits_for_the_commit(run, "Waiting for table metadata lock").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_from_now_has_what_nobody_could_see_when_it_began() {
    let server = semi_synchronous();
    let withheld = Withheld::begin(&server).await;
    let seen = contents(&server);
    assert_eq!(seen.get(&5), Some(&5), "it is to be seen already");
    let token = server.run(database("d")).token_now().await;
    withheld.release().await;
    let lines = server.run(database("d")).from(&token).go().await.ok();
    assert_eq!(replay(seen, &lines), contents(&server));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_from_a_transaction_that_is_out_and_not_committed() {
    let server = semi_synchronous();
    let before = contents(&server);
    let run = server.run(database("d")).mode(Mode::Cdc);
    let running = run.follow();
    running.streams().await;
    let withheld = Withheld::begin(&server).await;
    running.line_with(r#""id":31,"#).await;
    // Its checkpoint is past the transaction. The server has not executed that, and yet it is no other server.
    running.stop().await.ok();
    let again = run.follow();
    again.streams().await;
    withheld.release().await;
    server.admin("INSERT INTO d.t VALUES (100, 100)");
    again.line_with(r#""id":100,"#).await;
    let lines = again.stop().await.ok();
    assert_eq!(replay(before, &lines), contents(&server));
}

/// The rows that the log holds from where a stream begins now to the high mark of a chunk that is opened after `meanwhile`.
async fn rows_up_to_the_first_high_mark(server: &Instance, meanwhile: impl AsyncFnOnce()) -> usize {
    let source = MysqlSource::new(server.run(database("d")).settings);
    let (position, definitions) = source.current().await.unwrap();
    meanwhile().await;
    let table = TableName::new("d", "t");
    let request = ChunkRequest {
        table: &table,
        rows: ChunkRows::All,
        at_least: &position,
    };
    let mut reader = source.open_chunk(request).await.unwrap().readers.remove(0);
    let high = reader.finish().await.unwrap();
    reader.close().await;
    let point = LogPoint {
        position,
        rows_done: 0,
        out: None,
    };
    let mut live = source.open_live(&point, &definitions).await.unwrap();
    live.set_target(Some(high));
    let mut rows = 0;
    let reached = async {
        loop {
            let mut batch = Batch::new();
            let step = live.next(&mut batch).await.unwrap();
            rows += batch.len();
            if matches!(step, LiveStep::Reached(_)) {
                return;
            }
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    reached.expect("the high mark is never reached");
    live.close().await;
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_high_mark_lies_behind_what_was_being_committed_when_the_stream_began() {
    let server = semi_synchronous();
    let withheld = Withheld::begin(&server).await;
    // The chunk's view sees the transaction. So its five rows belong before the chunk, though nothing was logged since.
    let rows = rows_up_to_the_first_high_mark(&server, async || withheld.release().await).await;
    assert_eq!(rows, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_high_mark_is_reached_though_nothing_is_written_and_somebody_holds_a_gtid() {
    let server = semi_synchronous();
    let mut holder = server.connect("d").await;
    let next = "SET GTID_NEXT = '00000000-0000-0000-0000-000000000001:1'";
    execute(&mut holder, &[next]).await;
    let rows = rows_up_to_the_first_high_mark(&server, async || ()).await;
    assert_eq!(rows, 0);
    holder.close().await;
}
