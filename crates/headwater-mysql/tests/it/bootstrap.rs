//! Bootstraps of the running stream, on real servers: what is asked for comes, what cannot be is told, and the stream flows on.

use headwater_core::ErrorKind;
use headwater_core::bootstrap::{Action, Bootstrap, BootstrapRequest, BootstrapState, Limits};
use headwater_core::engine::Mode;
use headwater_servers::Flavor;

use crate::harness::{Host, Running, database, on_every_server, short, start};

const ROWS: usize = 3_000;

fn filled(flavor: Flavor) -> headwater_servers::Instance {
    let server = start(flavor, &[]);
    server.admin("CREATE DATABASE d CHARACTER SET utf8mb4; CREATE TABLE d.t (id INT PRIMARY KEY, a VARCHAR(20));");
    let rows: Vec<String> = (1..=ROWS).map(|n| format!("({n}, 'a{n}')")).collect();
    server.admin(&format!("INSERT INTO d.t VALUES {}", rows.join(",")));
    server
}

fn request(table: &str) -> BootstrapRequest {
    BootstrapRequest {
        tables: vec![table.to_owned()],
        ..BootstrapRequest::default()
    }
}

async fn over(running: &Running, id: u64) -> Bootstrap {
    let found = || {
        let list = running.progress.bootstraps();
        list.iter().find(|found| found.id == id).cloned()
    };
    running
        .until("the bootstrap is over", |_| {
            found().is_some_and(|found| found.state.is_over())
        })
        .await;
    found().unwrap()
}

fn bootstrapped(lines: &[String]) -> Vec<String> {
    let rows = lines
        .iter()
        .filter(|line| line.contains(r#""type":"bootstrap""#));
    rows.map(|line| short(line)).collect()
}

async fn what_is_asked_for_comes_and_the_stream_flows_on(flavor: Flavor) {
    let server = filled(flavor);
    let streaming = server.run(database("d")).mode(Mode::Cdc).follow();
    streaming.streams().await;
    let all = streaming.control.ask(request("d.*")).await.unwrap();
    assert_eq!(over(&streaming, all.id).await.state, BootstrapState::Done);
    assert_eq!(bootstrapped(&streaming.output.lines()).len(), ROWS);
    let even = BootstrapRequest {
        condition: Some("id % 2 = 0".into()),
        comment: Some("the \"even\" ones".into()),
        origin: Some("a test".into()),
        ..request("d.t")
    };
    let asked = streaming.control.ask(even.clone()).await.unwrap();
    // Of one origin only the first counts.
    assert_eq!(streaming.control.ask(even).await.unwrap().id, asked.id);
    assert_eq!(over(&streaming, asked.id).await.rows(), ROWS as u64 / 2);
    let lines = streaming.output.lines();
    let rows = bootstrapped(&lines);
    assert_eq!(rows.len(), ROWS + ROWS / 2);
    assert!(
        rows[ROWS..].iter().all(|row| row.ends_with("\"}")),
        "{}",
        rows[ROWS]
    );
    let remarks = lines
        .iter()
        .filter(|line| line.contains(r#","comment":"the \"even\" ones","data""#));
    assert_eq!(remarks.count(), ROWS / 2);
    server.admin("UPDATE d.t SET a = 'new' WHERE id = 7");
    streaming.line_with("\"new\"").await;
    streaming.stop().await.ok();
}

async fn what_cannot_be_bootstrapped_is_told_and_ends_alone(flavor: Flavor) {
    let server = filled(flavor);
    server.admin("CREATE TABLE d.going (id INT PRIMARY KEY); INSERT INTO d.going VALUES (1)");
    let streaming = server.run(database("d")).mode(Mode::Cdc).follow();
    streaming.streams().await;
    let control = &streaming.control;
    for (table, kind) in [
        ("d.nothing", ErrorKind::NotFound),
        ("t", ErrorKind::NotFound),
    ] {
        let error = control.ask(request(table)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.hint_text().is_some(), "{error:?}");
    }
    let wrong = BootstrapRequest {
        condition: Some("nonsense = 1".into()),
        ..request("d.t")
    };
    let wrong = control.ask(wrong).await.unwrap();
    let ended = over(&streaming, wrong.id).await;
    assert!(
        matches!(&ended.state, BootstrapState::Failed { reason } if reason.contains("d.t")),
        "{ended:?}"
    );
    let going = BootstrapRequest {
        tables: vec!["d.going".into(), "d.t".into()],
        limits: Limits {
            rows_per_s: Some(1),
            ..Limits::default()
        },
        ..BootstrapRequest::default()
    };
    let going = control.ask(going).await.unwrap();
    control.act(going.id, Action::Pause).await.unwrap();
    server.admin("DROP TABLE d.going");
    control
        .act(going.id, Action::Limit(Limits::default()))
        .await
        .unwrap();
    control.act(going.id, Action::Resume).await.unwrap();
    let ended = over(&streaming, going.id).await;
    let last = ended.tables.last().unwrap();
    assert!(last.copy.completed && last.failed.is_none(), "{ended:?}");
    let error = control.act(going.id, Action::Pause).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
    server.admin("INSERT INTO d.t VALUES (1000000, 'last')");
    streaming.line_with("\"last\"").await;
    streaming.stop().await.ok();
}

async fn a_definition_that_changes_meanwhile_is_followed(flavor: Flavor) {
    let server = filled(flavor);
    let streaming = server.run(database("d")).mode(Mode::Cdc).follow();
    streaming.streams().await;
    let slow = BootstrapRequest {
        limits: Limits {
            rows_per_s: Some(1_000),
            ..Limits::default()
        },
        ..request("d.t")
    };
    let asked = streaming.control.ask(slow).await.unwrap();
    streaming
        .until("some rows", |lines| !bootstrapped(lines).is_empty())
        .await;
    server.admin("ALTER TABLE d.t ADD COLUMN b INT DEFAULT 5 FIRST");
    let unlimited = Action::Limit(Limits::default());
    // Unless it is over already, which only a very slow ALTER makes it.
    let _ = streaming.control.act(asked.id, unlimited).await;
    assert_eq!(over(&streaming, asked.id).await.state, BootstrapState::Done);
    let rows = bootstrapped(&streaming.output.lines());
    assert_eq!(rows.len(), ROWS);
    let is_right = |row: &String| {
        row.starts_with(r#"bootstrap t {"id":"#) || row.starts_with(r#"bootstrap t {"b":5,"id":"#)
    };
    assert!(rows.iter().all(is_right), "{rows:#?}");
    streaming.stop().await.ok();
}

async fn a_transaction_that_is_prepared_holds_up_nothing(flavor: Flavor) {
    let server = filled(flavor);
    let run = server.run(database("d")).mode(Mode::Cdc);
    let streaming = run.follow();
    streaming.streams().await;
    server.admin("XA START 'kept'; UPDATE d.t SET a = 'kept' WHERE id = 5; INSERT INTO d.t VALUES (900000, 'kept'); XA END 'kept'; XA PREPARE 'kept'");
    server.admin(
        "XA START 'gone'; UPDATE d.t SET a = 'gone' WHERE id = 6; XA END 'gone'; XA PREPARE 'gone'",
    );
    server.admin("INSERT INTO d.t VALUES (900001, 'after')");
    streaming.line_with("after").await;
    let first = streaming.control.ask(request("d.t")).await.unwrap();
    let first = over(&streaming, first.id).await;
    assert_eq!(
        (first.state, first.tables[0].copy.rows),
        (BootstrapState::Done, ROWS as u64 + 1)
    );
    // Started again, it reads from before them once more, and waits only until it has come to where it was.
    streaming.stop().await.ok();
    let streaming = run.follow();
    streaming.streams().await;
    let second = streaming.control.ask(request("d.t")).await.unwrap();
    assert_eq!(
        over(&streaming, second.id).await.state,
        BootstrapState::Done
    );
    server.admin("XA COMMIT 'kept'; XA ROLLBACK 'gone'; INSERT INTO d.t VALUES (900002, 'last')");
    streaming.line_with("last").await;
    let third = streaming.control.ask(request("d.t")).await.unwrap();
    assert_eq!(over(&streaming, third.id).await.state, BootstrapState::Done);
    let lines = streaming.stop().await.ok();
    let with = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    // Twice as they are changed, twice in the last bootstrap.
    assert_eq!((with("\"kept\""), with("\"gone\"")), (4, 0));
    assert_eq!(
        (with("\"a5\""), with("\"a6\"")),
        (3, 3),
        "two bootstraps and `old`; three"
    );
    let inserted = |line: &&String| line.contains(r#""type":"insert""#);
    assert_eq!(lines.iter().filter(inserted).count(), 3);
}

async fn every_row_that_meets_the_condition_comes_however_often_it_changes(flavor: Flavor) {
    let server = filled(flavor);
    server.admin("CREATE TABLE d.hot (id INT PRIMARY KEY, n INT); INSERT INTO d.hot SELECT id, 0 FROM d.t WHERE id <= 400");
    let streaming = server.run(database("d")).mode(Mode::Cdc).follow();
    streaming.streams().await;
    let mut writer = server.connect("d").await;
    let writing = tokio::spawn(async move {
        loop {
            for third in 0..3 {
                let sql = format!("UPDATE hot SET n = n + 1 WHERE id % 3 = {third}");
                if writer.execute(&sql).await.is_err() {
                    return;
                }
            }
        }
    });
    streaming.line_with(r#""n":9"#).await;
    let even = BootstrapRequest {
        condition: Some("id % 2 = 0".into()),
        comment: Some("even".into()),
        ..request("d.hot")
    };
    let asked = streaming.control.ask(even).await.unwrap();
    let ended = over(&streaming, asked.id).await;
    writing.abort();
    assert_eq!(ended.state, BootstrapState::Done);
    let lines = streaming.stop().await.ok();
    let mut place: std::collections::HashMap<i64, i64> = std::collections::HashMap::new();
    let mut came = std::collections::BTreeSet::new();
    for line in &lines {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| event["data"][name].as_i64().unwrap();
        let (id, n) = (number("id"), number("n"));
        if event["type"] == "bootstrap" {
            assert_eq!(event["comment"], "even", "{line}");
            assert!(came.insert(id), "twice: {line}");
            let before = place.get(&id).copied();
            assert_eq!(
                before.unwrap_or(n),
                n,
                "another row than the stream said: {line}"
            );
        }
        place.insert(id, n);
    }
    let even: Vec<i64> = (1..=200).map(|half| half * 2).collect();
    assert_eq!(came.into_iter().collect::<Vec<_>>(), even);
}

async fn connections_that_died_between_chunks_are_opened_anew(flavor: Flavor) {
    let server = filled(flavor);
    server.admin("CREATE USER hw@'%'; GRANT ALL ON *.* TO hw@'%'");
    let mut run = server.run(database("d")).mode(Mode::Cdc);
    run.settings.connect = server.options("hw", "");
    let streaming = run.follow();
    streaming.streams().await;
    // The one that reads the log does not sleep; those of others that belong to it are there already.
    let asleep = || {
        let list =
            "SELECT id FROM information_schema.processlist WHERE user = 'hw' AND command = 'Sleep'";
        let ids = server.admin(list);
        ids.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    server.admin("UPDATE d.t SET a = 'first' WHERE id = 1");
    streaming.line_with("first").await;
    let before = asleep();
    let first = streaming.control.ask(request("d.t")).await.unwrap();
    over(&streaming, first.id).await;
    let kept = || {
        let mut ids = asleep();
        ids.retain(|id| !before.contains(id));
        ids
    };
    let killed = kept();
    assert_eq!(killed.len(), 2, "a session that reads and one that asks");
    for id in &killed {
        server.admin(&format!("KILL {id}"));
    }
    streaming
        .until("they are gone", |_| kept().is_empty())
        .await;
    let second = streaming.control.ask(request("d.t")).await.unwrap();
    let second = over(&streaming, second.id).await;
    assert_eq!(
        (second.rows(), second.state),
        (ROWS as u64, BootstrapState::Done)
    );
    let retries = streaming.progress.counters().retries();
    assert_eq!(retries, [].into(), "nothing had to be read again");
    let mut rows = bootstrapped(&streaming.stop().await.ok());
    assert_eq!(rows.len(), 2 * ROWS);
    rows.sort();
    rows.dedup();
    assert_eq!(rows.len(), ROWS);
}

async fn tables_are_read_one_after_the_other_or_in_turn(flavor: Flavor) {
    let server = filled(flavor);
    server.admin("CREATE TABLE d.u LIKE d.t; INSERT INTO d.u SELECT * FROM d.t");
    for (at_once, in_turn) in [(1, false), (2, true)] {
        let mut run = server.run(database("d")).mode(Mode::Cdc);
        run.options.bootstrap_tables = at_once;
        let streaming = run.follow();
        streaming.streams().await;
        let asked = streaming.control.ask(request("d.*")).await.unwrap();
        over(&streaming, asked.id).await;
        let rows = bootstrapped(&streaming.stop().await.ok());
        assert_eq!(rows.len(), 2 * ROWS);
        // The first chunk is a third of a table.
        let of_second = |row: &String| row.starts_with("bootstrap u");
        let begins = rows.iter().position(of_second).unwrap();
        assert_eq!(begins < ROWS, in_turn, "{at_once} at once: {begins}");
    }
}

on_every_server!(
    connections_that_died_between_chunks_are_opened_anew,
    tables_are_read_one_after_the_other_or_in_turn,
    a_transaction_that_is_prepared_holds_up_nothing,
    every_row_that_meets_the_condition_comes_however_often_it_changes,
    what_is_asked_for_comes_and_the_stream_flows_on,
    what_cannot_be_bootstrapped_is_told_and_ends_alone,
    a_definition_that_changes_meanwhile_is_followed,
);
