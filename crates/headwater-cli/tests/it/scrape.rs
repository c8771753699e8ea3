//! `/metrics` of a real run through a copy, a stall, a lost connection and bootstraps: each metric that is listed says what
//! happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use headwater_core::metrics::ALL;

use super::bootstrap::{TOKEN, ask, free_port};
use super::command::headwater;
use super::server::{server, shop};

/// Those that stay what they are once they are there, and why.
const STILL: [(&str, &str); 3] = [
    ("headwater_build_info", "its label is what it says"),
    ("headwater_start_time_seconds", "a process begins once"),
    (
        "headwater_copy_rows_estimated",
        "it is asked of the server once, before the copy",
    ),
];

/// A run whose output goes no further than it is let.
struct Run {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    /// Bytes of output that may still be read.
    gate: Arc<AtomicU64>,
    /// Every value that each sample has had.
    seen: BTreeMap<String, BTreeSet<u64>>,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Run {
    fn start(url: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut child = headwater()
            .args(["run", url, "--checkpoint", "c", "--http"])
            .arg(port.to_string())
            .args(more)
            .current_dir(folder.path())
            .env("HEADWATER_HTTP_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let gate = Arc::new(AtomicU64::new(0));
        let (output, open) = (child.stdout.take().unwrap(), Arc::clone(&gate));
        std::thread::spawn(move || pour(output, &open));
        Self {
            child,
            port,
            folder,
            gate,
            seen: BTreeMap::new(),
        }
    }

    /// Scrapes once, and keeps what is new.
    fn scrape(&mut self) -> BTreeMap<String, u64> {
        let (code, text) = ask(self.port, "GET /metrics", TOKEN, "");
        assert_eq!(code, 200, "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples: BTreeMap<String, u64> = samples
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect();
        let is_first = self.seen.is_empty();
        for (name, value) in &samples {
            let values = self.seen.entry(name.clone()).or_insert_with(|| {
                // What appears later was nothing before.
                (!is_first).then_some(0).into_iter().collect()
            });
            values.insert(*value);
        }
        samples
    }

    /// Scrapes until a sample is as it should be. Each time, so many bytes more are let out.
    fn until(&mut self, name: &str, more_bytes: u64, is_so: impl Fn(u64) -> bool) {
        let limit = Instant::now() + Duration::from_secs(180);
        while !self.scrape().get(name).is_some_and(|value| is_so(*value)) {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(Instant::now() < limit, "{name} is not as it should\n{log}");
            self.gate.fetch_add(more_bytes, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Reads what may be read.
fn pour(mut output: ChildStdout, gate: &AtomicU64) {
    let mut buffer = [0; 64 * 1024];
    loop {
        let open = gate.load(Ordering::Relaxed).min(buffer.len() as u64);
        if open == 0 {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        match output.read(&mut buffer[..usize::try_from(open).unwrap()]) {
            Ok(0) | Err(_) => return,
            // It may have been shut meanwhile.
            Ok(count) => drop(
                gate.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                    Some(open.saturating_sub(count as u64))
                }),
            ),
        }
    }
}

/// More than the pipe, the sink's buffer and the queue hold.
const MANY_ROWS: u32 = 200_000;
const FREELY: u64 = 16 * 1024 * 1024;

/// A shop with a large table and one for requests, read by a user whose connections can be told from others'.
fn large_shop() -> String {
    shop("scraped");
    let server = server();
    server
        .sql(&format!(
            "CREATE DATABASE scraped_requests; CREATE TABLE scraped_requests.bootstrap (id BIGINT AUTO_INCREMENT PRIMARY KEY, \
             database_name VARCHAR(255), table_name VARCHAR(255)); \
             CREATE TABLE scraped.big (id INT PRIMARY KEY, name VARCHAR(40)); \
             USE scraped; INSERT INTO big SELECT seq, 'somebody' FROM seq_1_to_{MANY_ROWS}; \
             CREATE USER scraped@'%'; GRANT ALL ON *.* TO scraped@'%'"
        ))
        .unwrap();
    server.url("scraped", "", "scraped")
}

#[test]
fn each_metric_of_a_real_run_moves_or_is_known_to_stand() {
    let server = server();
    let url = large_shop();
    let mut run = Run::start(&url, &["--schema-database", "scraped_requests"]);
    // Nobody reads: the copy fills the queue. Then somebody does.
    let end = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(("127.0.0.1", run.port)).is_err() {
        assert!(Instant::now() < end, "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    run.until("headwater_queue_batches", 0, |batches| batches > 0);
    run.until("headwater_phase{phase=\"streaming\"}", FREELY, |is| is == 1);
    let inserted = "headwater_rows_total{database=\"scraped\",table=\"users\",kind=\"insert\"}";
    server
        .sql("INSERT INTO scraped.users VALUES (50, 'x')")
        .unwrap();
    run.until(inserted, FREELY, |rows| rows >= 1);
    // Nobody reads for a while, and the stream falls behind.
    run.gate.store(0, Ordering::Relaxed);
    let step = MANY_ROWS / 400;
    let many: String = (0..400)
        .map(|n| {
            let (from, to) = (n * step + 1, (n + 1) * step);
            format!("UPDATE scraped.big SET name = 'else' WHERE id BETWEEN {from} AND {to};")
        })
        .collect();
    server.sql(&many).unwrap();
    run.until("headwater_lag_seconds", 0, |seconds| seconds > 5);
    run.until("headwater_checkpoint_age_seconds", 0, |seconds| seconds > 5);
    run.until("headwater_lag_bytes", 64 * 1024, |bytes| bytes > 0);
    run.until("headwater_lag_seconds", FREELY, |seconds| seconds == 0);
    run.until("headwater_lag_bytes", FREELY, |bytes| bytes == 0);
    // Its connections are lost.
    server.sql("KILL CONNECTION USER scraped").unwrap();
    server
        .sql("INSERT INTO scraped.users VALUES (51, 'x')")
        .unwrap();
    run.until(inserted, FREELY, |rows| rows >= 2);
    // One bootstrap that can be done, and one that cannot.
    server
        .sql(
            "INSERT INTO scraped_requests.bootstrap (database_name, table_name) \
             VALUES ('scraped', 'users'), ('scraped', 'nothing')",
        )
        .unwrap();
    for state in ["done", "failed"] {
        let name = format!("headwater_bootstraps{{state=\"{state}\"}}");
        run.until(&name, FREELY, |count| count == 1);
    }
    run.until("headwater_notices_total", FREELY, |count| count > 0);
    // And one that waits for less than what asks: the server runs at least that statement.
    let body = r#"{"tables":["scraped.users"],"limits":{"load":{"threads_running":0}}}"#;
    let (code, text) = ask(run.port, "POST /bootstraps", TOKEN, body);
    assert_eq!(code, 201, "{text}");
    run.until("headwater_bootstrap_waits{id=\"3\"}", FREELY, |waits| {
        waits == 1
    });
    let list = headwater()
        .args(["bootstrap", "list"])
        .current_dir(run.folder.path())
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("waits: threads running "), "{list}");
    let (code, text) = ask(run.port, "DELETE /bootstraps/3", TOKEN, "");
    assert_eq!(code, 200, "{text}");
    assert_eq!(run.scrape()["headwater_queue_batches"], 0);
    judge(&run.seen);
}

/// Of a sink that counts by itself; `iotdb` looks at it.
const OF_SINKS: &str = "headwater_sink_total";

fn judge(seen: &BTreeMap<String, BTreeSet<u64>>) {
    for metric in ALL.iter().filter(|metric| metric.name != OF_SINKS) {
        let of_it = seen.iter().filter(|(name, _)| {
            let name = name.split('{').next().unwrap();
            let rest = name.strip_prefix(metric.name);
            rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        });
        let (mut moves, mut is_there) = (false, false);
        for (_, values) in of_it {
            moves |= values.len() > 1;
            is_there |= values.iter().any(|value| *value > 0);
        }
        let still = STILL.iter().find(|(name, _)| *name == metric.name);
        assert!(
            moves || is_there && still.is_some(),
            "{} does not move: {:#?}",
            metric.name,
            seen
        );
    }
}
