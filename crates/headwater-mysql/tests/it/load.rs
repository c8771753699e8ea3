//! Bootstraps that wait for the load of real servers, while the stream flows on: statements that run, a history that grows, and
//! replicas that stand still, are late, or are away.

use headwater_core::ErrorKind;
use headwater_core::bootstrap::{Action, BootstrapRequest, BootstrapState, Limits};
use headwater_core::engine::Mode;
use headwater_core::load::LoadLimits;
use headwater_mysql::client::Connection;
use headwater_servers::{Flavor, Instance};

use crate::harness::{Host, Run, Running, database, execute, on_every_server, start};

fn filled(flavor: Flavor, extra: &[&str]) -> Instance {
    let server = start(flavor, extra);
    server.admin(
        "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, n INT); INSERT INTO d.t VALUES (1, 0), (2, 0), (3, 0)",
    );
    server
}

fn under(load: LoadLimits) -> BootstrapRequest {
    BootstrapRequest {
        tables: vec!["d.t".to_owned()],
        limits: Limits {
            load: Some(load),
            ..Limits::default()
        },
        ..BootstrapRequest::default()
    }
}

/// Asks for a bootstrap that waits, and gives its number once it says why.
async fn held(streaming: &Running, load: LoadLimits, words: &str) -> u64 {
    let asked = streaming.control.ask(under(load)).await.unwrap();
    waits(streaming, words).await;
    asked.id
}

async fn waits(streaming: &Running, words: &str) {
    let progress = &streaming.progress;
    let waits = || progress.load_waits();
    streaming
        .until(&format!("{words}, not {:?}", waits()), |_| {
            waits().iter().any(|wait| wait.why.contains(words))
        })
        .await;
}

async fn is_done(streaming: &Running, id: u64) {
    let list = || streaming.progress.bootstraps();
    let state = || {
        let found = list().iter().find(|found| found.id == id).cloned();
        found.unwrap().state
    };
    streaming
        .until("the bootstrap goes on", |_| state().is_over())
        .await;
    assert_eq!(state(), BootstrapState::Done);
}

/// Changes flow, and no row of a bootstrap does.
async fn flows(server: &Instance, streaming: &Running, mark: u32) {
    server.admin(&format!("UPDATE d.t SET n = {mark} WHERE id = 1"));
    streaming.line_with(&format!("\"n\":{mark}")).await;
    let lines = streaming.output.lines();
    let rows = lines.iter().filter(|line| line.contains("\"bootstrap\""));
    assert_eq!(rows.count(), 0, "{lines:#?}");
}

async fn statements_that_run_hold_a_bootstrap_and_not_the_stream(flavor: Flavor) {
    let server = filled(flavor, &[]);
    let streaming = server.run(database("d")).mode(Mode::Cdc).follow();
    streaming.streams().await;
    let mut sleeping = Vec::new();
    for _ in 0..20 {
        let mut connection = server.connect("d").await;
        let id = connection.server().connection_id;
        let sleep = tokio::spawn(async move {
            let _ = connection.execute("SELECT SLEEP(3600)").await;
        });
        sleeping.push((id, sleep));
    }
    let asleep = "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'";
    streaming
        .until("they all sleep", |_| server.admin(asleep).trim() == "20")
        .await;
    let limit = LoadLimits {
        threads_running: Some(15),
        ..LoadLimits::default()
    };
    let id = held(&streaming, limit, "threads running 2").await;
    flows(&server, &streaming, 7).await;
    // What has no limit is not held, and what lifts its own goes on.
    let free = LoadLimits::default();
    let other = streaming.control.ask(under(free)).await.unwrap();
    is_done(&streaming, other.id).await;
    waits(&streaming, "limit 15").await;
    for (id, sleep) in sleeping {
        server.admin(&format!("KILL {id}"));
        sleep.await.unwrap();
    }
    is_done(&streaming, id).await;
    streaming.stop().await.ok();
}

async fn a_history_that_grows_holds_a_bootstrap_until_its_limit_is_lifted(flavor: Flavor) {
    let server = filled(flavor, &[]);
    let mut view = server.connect("d").await;
    execute(
        &mut view,
        &[
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
            "SELECT COUNT(*) FROM t",
        ],
    )
    .await;
    let mut writer: Connection = server.connect("d").await;
    for _ in 0..200 {
        execute(&mut writer, &["UPDATE t SET n = n + 1 WHERE id = 2"]).await;
    }
    let streaming = server.run(database("d")).mode(Mode::Cdc).follow();
    streaming.streams().await;
    let limit = LoadLimits {
        history_length: Some(100),
        ..LoadLimits::default()
    };
    let id = held(&streaming, limit, "history list length").await;
    waits(&streaming, "limit 100").await;
    flows(&server, &streaming, 900).await;
    let lifted = Limits {
        load: Some(LoadLimits::default()),
        ..Limits::default()
    };
    let lifted = Action::Limit(lifted);
    streaming.control.act(id, lifted).await.unwrap();
    is_done(&streaming, id).await;
    assert_eq!(*streaming.progress.load_waits(), []);
    view.close().await;
    streaming.stop().await.ok();
}

/// Lets `replica` follow `source` from its beginning.
fn replicate(source: &Instance, replica: &Instance) {
    let port = source.port();
    source.admin("CREATE USER IF NOT EXISTS r@'%' IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO r@'%'");
    replica.admin(&if source.flavor() == Flavor::MySql97 {
        format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'r', SOURCE_PASSWORD = 'r', \
             SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1; START REPLICA"
        )
    } else {
        // What the server writes while it is set up is not to be replayed: it is there already.
        format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'r', MASTER_PASSWORD = 'r', \
             MASTER_USE_GTID = slave_pos; START SLAVE"
        )
    });
}

fn lagging(server: &Instance, replicas: &[&Instance]) -> Run {
    let mut run = server.run(database("d")).mode(Mode::Cdc);
    run.options.load_interval = std::time::Duration::from_millis(10);
    run.settings.replicas = replicas
        .iter()
        .map(|replica| replica.options("root", ""))
        .collect();
    run
}

async fn replicas_that_stand_still_are_late_or_away_hold_a_bootstrap(flavor: Flavor) {
    let server = filled(flavor, &[]);
    let mut replica = start(flavor, &["--server-id=4711", "--skip-log-bin"]);
    let id_of_others = LoadLimits {
        replica_lag_s: Some(0),
        ..LoadLimits::default()
    };
    let error = {
        let alone = server.run(database("d")).mode(Mode::Cdc).follow();
        alone.streams().await;
        let error = alone.control.ask(under(id_of_others)).await.unwrap_err();
        alone.stop().await.ok();
        error
    };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.hint_text().unwrap().contains("replicas"), "{error:?}");

    let limit = LoadLimits {
        replica_lag_s: Some(30),
        ..LoadLimits::default()
    };
    let streaming = lagging(&server, &[&replica]).follow();
    streaming.streams().await;
    let id = held(&streaming, limit, "it replicates from nobody").await;
    flows(&server, &streaming, 11).await;
    replicate(&server, &replica);
    is_done(&streaming, id).await;
    let before = streaming.output.lines().len();
    let (stop, start) = if flavor == Flavor::MySql97 {
        ("STOP REPLICA SQL_THREAD", "START REPLICA SQL_THREAD")
    } else {
        ("STOP SLAVE SQL_THREAD", "START SLAVE SQL_THREAD")
    };
    replica.admin(stop);
    let second = held(&streaming, limit, "it does not replicate").await;
    waits(&streaming, "SQL thread No").await;
    replica.admin(start);
    is_done(&streaming, second).await;
    assert!(streaming.output.lines().len() > before);
    replica.stop().unwrap();
    let third = held(&streaming, limit, "not known").await;
    // It is said once, however often it is asked.
    let notices = streaming.progress.counters().notices();
    for mark in 1_000..1_010 {
        server.admin(&format!("UPDATE d.t SET n = {mark} WHERE id = 1"));
        streaming.line_with(&format!("\"n\":{mark}")).await;
    }
    assert_eq!(streaming.progress.counters().notices(), notices);
    replica.restart().unwrap();
    is_done(&streaming, third).await;
    streaming.stop().await.ok();
}

async fn a_replica_that_is_late_holds_a_bootstrap_until_it_is_not(flavor: Flavor) {
    let server = filled(flavor, &[]);
    let replica = start(flavor, &["--server-id=4711", "--skip-log-bin"]);
    replicate(&server, &replica);
    let streaming = lagging(&server, &[&replica]).follow();
    streaming.streams().await;
    let limit = LoadLimits {
        replica_lag_s: Some(2),
        ..LoadLimits::default()
    };
    let first = streaming.control.ask(under(limit)).await.unwrap();
    is_done(&streaming, first.id).await;
    let mut locking = replica.connect("d").await;
    execute(
        &mut locking,
        &["BEGIN", "SELECT n FROM t WHERE id = 3 FOR UPDATE"],
    )
    .await;
    server.admin("UPDATE d.t SET n = 5 WHERE id = 3");
    // It is behind as soon as it waits, and more so every second.
    let second = {
        let progress = &streaming.progress;
        let wait = async {
            loop {
                let asked = streaming.control.ask(under(limit)).await.unwrap();
                streaming
                    .until("it waits or is done", |_| {
                        let list = progress.bootstraps();
                        let found = list.iter().find(|found| found.id == asked.id);
                        !progress.load_waits().is_empty()
                            || found.is_some_and(|found| found.state.is_over())
                    })
                    .await;
                if !progress.load_waits().is_empty() {
                    return asked.id;
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(120), wait)
            .await
            .expect("the replica is not found late")
    };
    waits(&streaming, "limit 2 s").await;
    execute(&mut locking, &["ROLLBACK"]).await;
    is_done(&streaming, second).await;
    streaming.stop().await.ok();
}

async fn check_says_which_privilege_a_limit_needs(flavor: Flavor) {
    let server = filled(flavor, &[]);
    server.admin(
        "CREATE USER poor@'%'; GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO poor@'%'",
    );
    let mut settings = headwater_mysql::Settings::new(server.options("poor", ""), database("d"));
    settings.replicas = vec![server.options("poor", "")];
    settings.load = LoadLimits {
        threads_running: Some(10),
        history_length: Some(10),
        replica_lag_s: Some(10),
    };
    let source = headwater_mysql::MysqlSource::new(settings);
    let findings = headwater_mysql::check::check(&source).await.unwrap();
    let found = |name: &str| {
        let mut all = findings.iter();
        let found = all.find(|finding| finding.name.starts_with(name));
        found
            .unwrap_or_else(|| panic!("{name} in {findings:#?}"))
            .clone()
    };
    assert_eq!(
        found("threads running").level,
        headwater_core::finding::Level::Ok
    );
    let (history, lag) = (found("history list length"), found("lag of the replica"));
    if flavor == Flavor::MySql97 {
        assert!(history.found.contains("GRANT PROCESS"), "{history:?}");
        assert!(lag.found.contains("from nobody"), "{lag:?}");
    } else {
        assert_eq!(
            history.level,
            headwater_core::finding::Level::Ok,
            "{history:?}"
        );
        assert!(lag.found.contains("GRANT REPLICA MONITOR"), "{lag:?}");
    }
    server.admin("GRANT PROCESS ON *.* TO poor@'%'");
    let findings = headwater_mysql::check::check(&source).await.unwrap();
    let mut all = findings.iter();
    let history = all
        .find(|finding| finding.name == "history list length")
        .unwrap();
    assert_eq!(
        history.level,
        headwater_core::finding::Level::Ok,
        "{history:?}"
    );
}

on_every_server!(
    statements_that_run_hold_a_bootstrap_and_not_the_stream,
    a_history_that_grows_holds_a_bootstrap_until_its_limit_is_lifted,
    replicas_that_stand_still_are_late_or_away_hold_a_bootstrap,
    a_replica_that_is_late_holds_a_bootstrap_until_it_is_not,
    check_says_which_privilege_a_limit_needs,
);
