//! A bootstrap that a row of the source asks for, and processes that die over it: it is done once.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::command::headwater;
use super::server::{server, shop};

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

fn start(folder: &Path, url: &str, more: &[&str], failpoints: Option<&str>) -> Child {
    let words = [
        "cdc",
        url,
        "--sink",
        "file:events.jsonl",
        "--checkpoint",
        "c",
    ];
    let mut command = headwater();
    command
        .args(words)
        .args(more)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(failpoints) = failpoints {
        command.env("HEADWATER_FAILPOINTS", failpoints);
    }
    command.spawn().unwrap()
}

fn wait(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < PATIENCE, "in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn ended(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}

/// With `failpoint` at the place where the request is on its way to the checkpoint and the log's place behind its row is not.
fn is_done_once(name: &str, failpoint: &str, is_saved: bool) {
    let url = shop(name);
    let requests = format!("{name}_requests");
    server()
        .sql(&format!(
            "CREATE DATABASE {requests}; USE {requests}; CREATE TABLE bootstrap (id BIGINT AUTO_INCREMENT PRIMARY KEY, \
             database_name VARCHAR(255), table_name VARCHAR(255), client_id VARCHAR(255) DEFAULT 'maxwell')"
        ))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (events, checkpoint) = (folder.path().join("events.jsonl"), folder.path().join("c"));
    let more = ["--schema-database", &requests, "--client-id", "me"];
    let mut first = start(folder.path(), &url, &more, Some(failpoint));
    let insert = |id: u32| {
        server()
            .sql(&format!("INSERT INTO {name}.users VALUES ({id}, 'x')"))
            .unwrap();
    };
    // Whatever is committed before the stream began is not in it.
    let mut id = 100;
    wait("the first change", || {
        insert(id);
        id += 1;
        text(&events).contains("\"insert\"")
    });
    let ask = format!(
        "INSERT INTO {requests}.bootstrap (database_name, table_name, client_id) \
         VALUES ('{name}', 'orders', 'another'), ('{name}', 'orders', 'me')"
    );
    server().sql(&ask).unwrap();
    if is_saved {
        let asked = format!("{requests}.bootstrap row 2 of");
        wait("the request in the checkpoint", || {
            text(&checkpoint).contains(&asked)
        });
        ended(first);
    } else {
        wait("its death", || first.try_wait().unwrap().is_some());
    }
    assert!(!text(&events).contains("\"bootstrap\""));
    let second = start(folder.path(), &url, &more, None);
    wait("the bootstrap", || text(&checkpoint).contains("\"done\""));
    insert(99);
    wait("the last change", || text(&events).contains("\"id\":99"));
    ended(second);
    // Once more, over what both have left behind.
    let third = start(folder.path(), &url, &more, None);
    insert(98);
    wait("the very last change", || {
        text(&events).contains("\"id\":98")
    });
    ended(third);
    let events = text(&events);
    let rows = events
        .lines()
        .filter(|line| line.contains("\"type\":\"bootstrap\""));
    assert_eq!(rows.count(), 3, "{events}");
    assert!(!events.contains("database_name"), "{events}");
}

#[test]
fn a_request_whose_process_dies_over_it_is_done_once() {
    is_done_once("asked_in_vain", "bootstrap.requested=abort@1", false);
}

#[test]
fn a_request_that_is_saved_before_its_place_is_done_once() {
    is_done_once("asked_twice", "bootstrap.requested=sleep_ms@1:600000", true);
}
