//! A server dies with the process that started it, even if that one is killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use headwater_servers::{Flavor, Instance, Options};

use crate::private::processes_naming;

/// Makes this test binary play the process that is going to be killed.
const ROLE: &str = "HEADWATER_SERVERS_TEST_VICTIM";

#[test]
fn a_killed_process_takes_its_server_along() {
    if std::env::var_os(ROLE).is_some() {
        let server = Instance::start(Flavor::MariaDb1011, &Options::default()).unwrap();
        println!(
            "\nfolder={}",
            server.data_folder().parent().unwrap().display()
        );
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "watched::a_killed_process_takes_its_server_along",
            "--nocapture",
        ])
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let folder = BufReader::new(victim.stdout.take().unwrap())
        .lines()
        .find_map(|line| line.unwrap().strip_prefix("folder=").map(str::to_owned))
        .expect("the victim did not start its server");
    assert!(!processes_naming(&folder).is_empty());

    victim.kill().unwrap();
    victim.wait().unwrap();

    let end = Instant::now() + Duration::from_secs(10);
    while !processes_naming(&folder).is_empty() || std::path::Path::new(&folder).exists() {
        assert!(
            Instant::now() < end,
            "{folder} and its server are still there"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let start = || Instance::start(Flavor::MariaDb1011, &Options::default()).unwrap();
    let server = std::thread::spawn(start).join().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.sql("SELECT 1").unwrap(), "1\n");
}
