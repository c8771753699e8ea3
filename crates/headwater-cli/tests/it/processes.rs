//! Signals, pipes and the process list.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headwater_servers::{Signal, send_signal};

use super::command::headwater;
use super::server::{server, shop};

fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The end of a process, with what it said on standard error.
fn end(mut child: Child) -> (Option<i32>, String) {
    let limit = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > limit {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    (child.wait().unwrap().code(), said)
}

#[test]
fn a_signal_ends_a_run_cleanly_with_everything_written() {
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let name = format!("signalled_{}", matches!(signal, Signal::Terminate));
        let url = shop(&name);
        let folder = tempfile::tempdir().unwrap();
        let mut child = start(
            headwater()
                .args(["run", &url, "--checkpoint", "c"])
                .current_dir(folder.path()),
        );
        let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..5 {
            events.next().unwrap().unwrap();
        }
        server()
            .sql(&format!("INSERT INTO {name}.users VALUES (9, 'Mary')"))
            .unwrap();
        assert!(events.next().unwrap().unwrap().contains("Mary"));
        send_signal(child.id(), signal).unwrap();
        let (code, said) = end(child);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("stopping") && said.contains("stopped"),
            "{said}"
        );
        assert!(events.next().is_none());
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run_cleanly() {
    let url = shop("half_read");
    let mut child = start(headwater().args(["run", &url]));
    let mut events = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    events.read_line(&mut line).unwrap();
    drop(events);
    let limit = Instant::now() + Duration::from_secs(15);
    let mut id = 100;
    while child.try_wait().unwrap().is_none() && Instant::now() < limit {
        server()
            .sql(&format!("INSERT INTO half_read.users VALUES ({id}, 'x')"))
            .unwrap();
        id += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    let (code, said) = end(child);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("reader of the output has gone"), "{said}");
}

#[test]
fn a_password_in_the_url_leaves_the_process_list() {
    shop("hidden");
    server().sql("CREATE USER 'hidden'@'%' IDENTIFIED BY 'hunter2 @:/é'; GRANT ALL ON *.* TO 'hidden'@'%'").unwrap();
    let url = server().url("hidden", "hunter2 @:/é", "hidden");
    assert!(url.contains("hunter2"));
    let mut child = start(headwater().args(["run", &url]));
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..5 {
        events.next().unwrap().unwrap();
    }
    let listed = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    let listed = String::from_utf8_lossy(&listed).replace('\0', " ");
    assert!(
        listed.contains("hidden@127.0.0.1") && listed.contains("--password-file"),
        "{listed}"
    );
    assert!(!listed.contains("hunter2"), "{listed}");
    let environment = fs::read(format!("/proc/{}/environ", child.id())).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("hunter2"));
    send_signal(child.id(), Signal::Interrupt).unwrap();
    let (code, said) = end(child);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_failpoint_is_said_loudly_and_kills() {
    let url = shop("doomed");
    let folder = tempfile::tempdir().unwrap();
    let mut command = headwater();
    command.args([
        "run",
        &url,
        "--checkpoint",
        "c",
        "--sink",
        "file:e",
        "--until",
        "now",
    ]);
    command
        .current_dir(folder.path())
        .env("HEADWATER_FAILPOINTS", "checkpoint.temporary=abort@2");
    let (code, said) = end(start(&mut command));
    assert_eq!(code, None, "{said}");
    assert!(said.contains("HEADWATER_FAILPOINTS is set"), "{said}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let url = shop("stuck");
    server()
        .sql("USE stuck; INSERT INTO users SELECT seq, 'somebody' FROM seq_10_to_200000")
        .unwrap();
    // Nobody reads: the clean end would wait for ever.
    let child = start(headwater().args(["run", &url, "users"]));
    std::thread::sleep(Duration::from_secs(2));
    send_signal(child.id(), Signal::Interrupt).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    send_signal(child.id(), Signal::Interrupt).unwrap();
    let (code, said) = end(child);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("ended at once by a second SIGINT"), "{said}");
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_server() {
    // It takes the connection and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://cdc@{}/shop", silent.local_addr().unwrap());
    let child = start(headwater().args(["run", &url]));
    std::thread::sleep(Duration::from_millis(700));
    let begin = Instant::now();
    send_signal(child.id(), Signal::Terminate).unwrap();
    let (code, said) = end(child);
    assert_eq!(code, Some(0), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{said}");
}
