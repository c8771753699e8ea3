//! A running stream, and what an operator does with it from another terminal or over HTTP.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use headwater_servers::{Signal, send_signal};
use serde_json::Value;

use super::command::{Said, headwater, run_in, said};
use super::server::{server, shop};

pub(super) const TOKEN: &str = "hunter2-as-a-token";

/// A run, ended with the test.
struct Run {
    child: Option<Child>,
    folder: tempfile::TempDir,
    words: Vec<String>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Run {
    /// Streams `url` into `events.jsonl` with `c` as its checkpoint.
    fn start(url: &str, more: &[&str]) -> Self {
        let mut words = [
            "run",
            url,
            "--sink",
            "file:events.jsonl",
            "--checkpoint",
            "c",
        ]
        .to_vec();
        words.extend(more);
        let mut run = Self {
            child: None,
            folder: tempfile::tempdir().unwrap(),
            words: words.into_iter().map(str::to_owned).collect(),
        };
        run.start_again();
        run
    }

    fn start_again(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = headwater()
            .args(&self.words)
            .current_dir(self.folder.path())
            .env("HEADWATER_HTTP_TOKEN", TOKEN)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        self.wait("it streams", || {
            let status = self.said(&["status", "--checkpoint", "c", "--json"]);
            let status: Value = serde_json::from_str(&status.out).unwrap_or_default();
            status["process"]["phase"] == "streaming"
        });
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Lets it end by itself, with everything saved.
    fn stop(&mut self) {
        send_signal(self.pid(), Signal::Terminate).unwrap();
        assert!(self.child.take().unwrap().wait().unwrap().success());
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Another command in the same folder.
    fn said(&self, words: &[&str]) -> Said {
        run_in(self.folder(), words)
    }

    /// `headwater bootstrap` with these words.
    fn bootstrap(&self, words: &[&str]) -> Said {
        self.said(&[&["bootstrap"], words].concat())
    }

    fn state(&self, id: &str) -> Value {
        let list = self.bootstrap(&["list", "--json"]);
        let list: Value = serde_json::from_str(&list.out).unwrap();
        let mut all = list["bootstraps"].as_array().unwrap().iter();
        let id: u64 = id.parse().unwrap();
        let one = all.find(|one| one["id"] == id);
        one.cloned().unwrap_or_default()
    }

    fn events(&self, words: &[&str]) -> usize {
        let events = fs::read_to_string(self.path("events.jsonl")).unwrap_or_default();
        let is_meant = |line: &&str| words.iter().all(|word| line.contains(word));
        events.lines().filter(is_meant).count()
    }

    fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let limit = Instant::now() + Duration::from_secs(120);
        while !is_so() {
            assert!(
                Instant::now() < limit,
                "not in time: {what}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A shop with a table of 20,000 rows more.
fn large_shop(name: &str) -> String {
    let url = shop(name);
    server()
        .sql(&format!(
            "USE {name}; CREATE TABLE big (id INT PRIMARY KEY, v VARCHAR(20)); \
             INSERT INTO big SELECT seq, 'x' FROM seq_1_to_20000"
        ))
        .unwrap();
    url
}

#[test]
fn a_bootstrap_of_a_running_stream_is_shown_to_its_end() {
    let run = Run::start(&shop("asked"), &[]);
    assert_eq!(run.events(&["bootstrap", "orders"]), 3);
    let said = run.bootstrap(&["asked.orders", "--where", "price > 5"]);
    assert_eq!(said.code, 0, "{said:?} {}", run.log());
    for words in ["asked for: asked.orders", "bootstrap done"] {
        assert!(said.err.contains(words), "{said:?}");
    }
    run.wait("the rows are out", || {
        run.events(&["bootstrap", "orders"]) == 5
    });
    let whole = run.bootstrap(&["asked.*", "--json"]);
    let whole: Value = serde_json::from_str(&whole.out).unwrap();
    assert_eq!(
        (&whole["state"], &whole["rows"]),
        (&"done".into(), &5.into())
    );
    run.wait("the run tells it", || run.log().contains("bootstrap done"));
    let status = run.said(&["status", "--checkpoint", "c"]);
    for words in [
        "process   ",
        "streaming",
        "bootstraps",
        "done",
        "asked.orders asked.users",
    ] {
        assert!(status.out.contains(words), "{words}: {status:?}");
    }
}

#[test]
fn a_table_added_to_a_stream_is_copied_and_one_taken_out_is_forgotten() {
    let mut run = Run::start(&shop("grown"), &["orders"]);
    assert_eq!(run.events(&["bootstrap", "orders"]), 3);
    run.stop();
    let admin = |sql: &str| server().sql(sql).unwrap();
    admin("INSERT INTO grown.users VALUES (70, 'while nothing ran')");
    run.words.push("users".into());
    run.start_again();
    run.wait("the added table is copied", || {
        run.events(&["\"type\":\"bootstrap\"", "users"]) == 3
    });
    assert!(run.log().contains("grown.users is streamed from here on"));
    admin("INSERT INTO grown.users VALUES (71, 'in the stream')");
    run.wait("its changes come", || {
        run.events(&["\"type\":\"insert\"", "in the stream"]) == 1
    });
    assert_eq!(run.events(&["while nothing ran"]), 1);
    run.stop();
    run.words.retain(|word| word != "users");
    run.start_again();
    assert!(run.log().contains("grown.users is no longer streamed"));
    admin("INSERT INTO grown.users VALUES (72, 'unseen'); DELETE FROM grown.orders WHERE id = 10");
    run.wait("the other table's changes come", || {
        run.events(&["\"type\":\"delete\""]) == 1
    });
    assert_eq!(run.events(&["unseen"]), 0);
    assert_eq!(run.events(&["bootstrap", "orders"]), 3);
}

#[test]
fn a_bootstrap_is_paused_throttled_resumed_and_aborted_while_changes_flow() {
    let run = Run::start(&large_shop("steered"), &[]);
    let asked = run.bootstrap(&["steered.big", "--rate", "500rows/s", "--detach"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    let id = asked.out.trim().to_owned();
    run.wait("it runs", || run.state(&id)["state"] == "running");
    server()
        .sql("INSERT INTO steered.users VALUES (77, 'Live')")
        .unwrap();
    run.wait("a change flows", || run.events(&["insert", "Live"]) == 1);
    let listed = run.bootstrap(&["list"]);
    assert!(
        listed.out.contains("running") && listed.out.contains("500 rows/s"),
        "{listed:?}"
    );
    let paused = run.bootstrap(&["pause", &id]);
    assert!(
        paused.code == 0 && paused.out.contains("is paused"),
        "{paused:?}"
    );
    std::thread::sleep(Duration::from_secs(2));
    let before = run.state(&id)["rows"].clone();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(run.state(&id)["rows"], before);
    let throttled = run.bootstrap(&["throttle", &id, "5MB/s,800rows/s"]);
    assert!(throttled.out.contains("800 rows/s"), "{throttled:?}");
    assert_eq!(run.bootstrap(&["resume", &id]).code, 0);
    run.wait("it goes on", || {
        run.state(&id)["rows"].as_u64() > before.as_u64()
    });
    let aborted = run.bootstrap(&["abort", &id]);
    assert!(aborted.out.contains("is aborted"), "{aborted:?}");
    // Who watches one that was aborted is told so.
    let watched = run.bootstrap(&["watch", &id]);
    assert_eq!(watched.code, 1, "{watched:?}");
    let again = run.bootstrap(&["pause", &id]);
    assert_eq!(again.code, 2, "{again:?}");
    let none = run.bootstrap(&["pause", "999"]);
    assert!(none.code == 1 && none.err.contains("help:"), "{none:?}");
    let none = run.bootstrap(&["steered.nothing"]);
    assert_eq!(none.code, 1, "{none:?}");
}

#[test]
fn who_leaves_a_bootstrap_and_who_kills_its_run_are_told_that_it_goes_on() {
    let mut run = Run::start(&large_shop("left_alone"), &[]);
    let watch = |words: &[&str]| {
        let mut command = headwater();
        command
            .args(["bootstrap"])
            .args(words)
            .current_dir(run.folder());
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let said_by = |child: Child| {
        let out = child.wait_with_output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let asking = watch(&["left_alone.big", "--rate", "500rows/s"]);
    run.wait("it runs", || run.state("1")["state"] == "running");
    send_signal(asking.id(), Signal::Interrupt).unwrap();
    let (code, said) = said_by(asking);
    assert_eq!(code, Some(130), "{said}");
    assert!(
        said.contains("goes on") && said.contains("abort 1"),
        "{said}"
    );
    assert_eq!(run.state("1")["state"], "running");
    let watching = watch(&["watch", "1"]);
    std::thread::sleep(Duration::from_millis(500));
    run.kill();
    let (code, said) = said_by(watching);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("goes on when the run is started again"),
        "{said}"
    );
    let status = run.said(&["status", "--checkpoint", "c"]);
    assert!(
        status.out.contains("bootstraps") && !status.out.contains("process"),
        "{status:?}"
    );
    // The dead process's socket is replaced.
    run.start_again();
    assert_eq!(run.bootstrap(&["throttle", "1", "none"]).code, 0);
    let done = run.bootstrap(&["watch", "1"]);
    assert_eq!(done.code, 0, "{done:?} {}", run.log());
    let ids: std::collections::HashSet<String> = fs::read_to_string(run.path("events.jsonl"))
        .unwrap()
        .lines()
        .filter(|line| line.contains("\"table\":\"big\""))
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"]["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 20_000);
}

/// Asks over HTTP with a token.
pub(super) fn ask(port: u16, request: &str, token: &str, body: &str) -> (u16, String) {
    try_ask(port, request, token, body).unwrap()
}

/// The same of a process that may have gone, or go meanwhile.
pub(super) fn try_ask(
    port: u16,
    request: &str,
    token: &str,
    body: &str,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let request = format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = (answer.split_once("\r\n\r\n")).ok_or(io::ErrorKind::UnexpectedEof)?;
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok((code, body.to_owned()))
}

pub(super) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn the_same_is_had_over_http() {
    let port = free_port();
    let run = Run::start(&shop("by_http"), &["--http", &port.to_string()]);
    assert_eq!(ask(port, "GET /ready", "", "").0, 200);
    assert_eq!(ask(port, "GET /status", "wrong", "").0, 401);
    let (code, body) = ask(
        port,
        "POST /bootstraps",
        TOKEN,
        r#"{"tables":["by_http.*"]}"#,
    );
    assert_eq!(code, 201, "{body}");
    run.wait("it is done", || {
        let (_, body) = ask(port, "GET /bootstraps/1", TOKEN, "");
        serde_json::from_str::<Value>(&body).unwrap()["state"] == "done"
    });
    let (code, body) = ask(port, "PATCH /bootstraps/1", TOKEN, r#"{"state":"paused"}"#);
    assert_eq!(code, 409, "{body}");
    assert_eq!(run.events(&["\"type\":\"bootstrap\""]), 10);
}

#[test]
fn a_bootstrap_that_is_to_begin_later_says_when() {
    let url = shop("for_later");
    server()
        .sql(
            "CREATE DATABASE later_requests; CREATE TABLE later_requests.bootstrap (id BIGINT AUTO_INCREMENT PRIMARY KEY, \
             database_name VARCHAR(255), table_name VARCHAR(255), started_at DATETIME)",
        )
        .unwrap();
    let port = free_port().to_string();
    let run = Run::start(
        &url,
        &["--http", &port, "--schema-database", "later_requests"],
    );
    server()
        .sql(
            "INSERT INTO later_requests.bootstrap (database_name, table_name, started_at) \
             VALUES ('for_later', 'users', NOW() + INTERVAL 10 DAY)",
        )
        .unwrap();
    let when = "SELECT UNIX_TIMESTAMP(started_at) FROM later_requests.bootstrap";
    let when: f64 = server().sql(when).unwrap().trim().parse().unwrap();
    run.wait("it is asked for", || run.state("1")["state"] == "waiting");
    let (_, body) = ask(port.parse().unwrap(), "GET /bootstraps/1", TOKEN, "");
    let told: Value = serde_json::from_str(&body).unwrap();
    for one in [told, run.state("1")] {
        assert_eq!(one["not_before_s"].as_f64(), Some(when), "{one}");
    }
    let listed = run.bootstrap(&["list"]);
    assert!(listed.out.contains("begins in "), "{listed:?}");
}

#[test]
fn status_and_metrics_are_true_of_the_stream() {
    let port = free_port();
    let run = Run::start(&shop("measured"), &["--http", &port.to_string()]);
    server()
        .sql("UPDATE measured.users SET name='Ada L.' WHERE id=1")
        .unwrap();
    run.wait("the change is out", || run.events(&["update"]) == 1);
    let value = |name: &str| {
        let (code, body) = ask(port, "GET /metrics", TOKEN, "");
        assert_eq!(code, 200);
        let line = body.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().parse::<u64>().ok())
    };
    let rows = |table: &str, kind: &str| {
        value(&format!(
            "headwater_rows_total{{database=\"measured\",table=\"{table}\",kind=\"{kind}\"}}"
        ))
    };
    run.wait("the rows are counted", || {
        rows("users", "update") == Some(1)
    });
    assert_eq!(rows("orders", "bootstrap"), Some(3));
    assert_eq!(value("headwater_phase{phase=\"streaming\"}"), Some(1));
    run.wait("a checkpoint is counted", || {
        value("headwater_checkpoints_total").unwrap() > 0
    });
    assert!(value("headwater_checkpoint_age_seconds").unwrap() < 20);
    assert_eq!(value("headwater_queue_batches"), Some(0));
    run.wait("it is at the end of the log", || {
        value("headwater_lag_seconds") == Some(0)
    });
    let (_, status) = ask(port, "GET /status", TOKEN, "");
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(
        (&status["changes"], &status["ready"]),
        (&1.into(), &true.into())
    );
    // Neither the token nor a password is anywhere that others can see.
    let listed = fs::read(format!("/proc/{}/cmdline", run.pid())).unwrap();
    for text in [
        run.log(),
        status.to_string(),
        String::from_utf8_lossy(&listed).into_owned(),
    ] {
        assert!(!text.contains(TOKEN), "{text}");
    }
    send_signal(run.pid(), Signal::Terminate).unwrap();
    run.wait("the socket is gone", || !run.path("c.sock").exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn http_that_others_could_listen_to_is_refused_before_anything_is_touched() {
    let url = "mysql://u@127.0.0.1:1/d";
    for (words, token, expected) in [
        (vec!["--http", "0.0.0.0:0"], Some(TOKEN), "certificate"),
        (vec!["--http", "0"], None, "HEADWATER_HTTP_TOKEN"),
        (vec!["--http", "nowhere"], Some(TOKEN), "HOST:PORT"),
        (
            vec!["--http", "0", "--http-cert", "c"],
            Some(TOKEN),
            "--http-key",
        ),
        (
            vec!["--http", "0", "--http-cert", "c", "--http-key", "k"],
            Some(TOKEN),
            "cannot read the certificate",
        ),
        (vec!["--http-token-file", "t"], None, "without --http"),
    ] {
        let mut command = headwater();
        command.args(["run", url]).args(&words);
        if let Some(token) = token {
            command.env("HEADWATER_HTTP_TOKEN", token);
        }
        let said = said(&mut command);
        assert_eq!(said.code, 2, "{words:?}: {said:?}");
        assert!(
            said.err.contains(expected) && !said.err.contains(TOKEN),
            "{words:?}: {said:?}"
        );
    }
}

#[test]
fn without_a_running_process_it_is_said_how_to_name_one() {
    let folder = tempfile::tempdir().unwrap();
    let said = run_in(folder.path(), &["bootstrap", "shop.orders"]);
    assert!(
        said.code == 3 && said.err.contains("--checkpoint"),
        "{said:?}"
    );
    let said = run_in(folder.path(), &["bootstrap", "list", "--checkpoint", "c"]);
    assert!(said.code == 3 && said.err.contains("c.sock"), "{said:?}");
    for (words, expected) in [
        (vec!["bootstrap", "orders"], "DATABASE.TABLE"),
        (
            vec!["bootstrap", "shop.orders", "--rate", "fast"],
            "20000rows/s",
        ),
        (vec!["bootstrap", "throttle", "1", "0rows/s"], "pause"),
        (vec!["bootstrap", "--where", "x", "list"], "--where"),
        (
            vec!["bootstrap", "list", "--config", "none.yaml"],
            "none.yaml",
        ),
    ] {
        let said = run_in(folder.path(), &words);
        assert!(
            said.code == 2 && said.err.contains(expected),
            "{words:?}: {said:?}"
        );
    }
}
