//! A run that is told to stop while its broker does not answer.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use headwater_servers::kafka::{Kafka, KafkaOptions};
use headwater_servers::{Signal, send_signal};

use super::command::{headwater, run_in};
use super::kafka::read;
use super::server::{server, shop};

/// Far more than any step takes.
const LIMIT: Duration = Duration::from_secs(120);

fn wait(what: &str, folder: &std::path::Path, is_so: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(Instant::now() < end, "not in time: {what}\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ended(child: &mut Child) -> Option<i32> {
    let end = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait().unwrap().code()
}

/// Follows changes while the broker stands still, is told to stop, and goes on once the broker does.
fn stop_in_an_outage(name: &str, more: &[&str]) {
    let url = shop(name);
    let mut broker = Kafka::start(&KafkaOptions::default()).unwrap();
    let bootstrap = broker.bootstrap();
    let sink = format!("kafka:{bootstrap}/{name}");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Longer than this test waits: it is the stop that ends the wait.
    fs::write(
        folder.join("f.yaml"),
        "kafka: {acknowledge_within_s: 600, topic_partitions: 1}\n",
    )
    .unwrap();
    let mut words = ["run", &url, "--config", "f.yaml", "--sink", &sink].to_vec();
    words.extend(more);
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut child = headwater()
        .args(&words)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let log = || fs::read_to_string(folder.join("log")).unwrap();
    // Each table's rows, and what was changed while the stream flowed.
    let said = |id: u32| format!("INSERT INTO {name}.users VALUES ({id}, 'x')");
    server().sql(&said(1_000)).unwrap();
    wait("the stream flows", folder, || {
        read(&bootstrap, name, 1)
            .iter()
            .any(|(_, event)| event.contains("1000"))
    });
    broker.signal(Signal::Stop).unwrap();
    for id in 1_001..1_040 {
        server().sql(&said(id)).unwrap();
    }
    // It has read them once it is asked for the next: nothing that it says tells of it, and nothing depends on it.
    std::thread::sleep(Duration::from_secs(3));
    assert!(child.try_wait().unwrap().is_none(), "{}", log());
    let begin = Instant::now();
    send_signal(child.id(), Signal::Terminate).unwrap();
    let code = ended(&mut child);
    let took = begin.elapsed();
    broker.signal(Signal::Continue).unwrap();
    assert_eq!(code, Some(0), "{}", log());
    assert!(took < Duration::from_secs(60), "{took:?}: {}", log());
    assert!(log().contains("comes again with the next run"), "{}", log());
    let mut again = words.clone();
    again.extend(["--until", "now"]);
    let said = run_in(folder, &again);
    assert_eq!(said.code, 0, "{said:?}");
    let found = read(&bootstrap, name, 1);
    for id in 1_000..1_040 {
        let is_it = |(key, _): &&(String, String)| key.contains(&format!("\"pk.id\":{id}"));
        let times = found.iter().filter(is_it).count();
        assert!(times > 0, "{id} is lost: {found:?}");
        let is_once = more.contains(&"--exactly-once");
        assert!(times == 1 || !is_once, "{id} came {times} times");
    }
    broker.stop().unwrap();
}

#[test]
fn a_stop_does_not_wait_for_a_broker_that_stands_still_and_nothing_is_lost() {
    stop_in_an_outage("still", &["--checkpoint", "c"]);
}

#[test]
fn a_stop_in_the_middle_of_a_transaction_loses_and_repeats_nothing() {
    let id = ["--exactly-once", "--transactional-id", "still_once"];
    stop_in_an_outage("still_once", &id);
}
