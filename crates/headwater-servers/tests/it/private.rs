//! A private server through its whole life, for each flavor.

use std::time::{Duration, Instant};

use headwater_servers::{Flavor, Instance, Options, Signal};

/// Nothing names the server's folder any more, neither a process nor the file system.
pub(crate) fn assert_gone(folder: &std::path::Path) {
    assert!(
        !folder.exists() && processes_naming(&folder.to_string_lossy()).is_empty(),
        "something is left of {}",
        folder.display()
    );
}

/// The ids of processes with `text` on their command line.
pub(crate) fn processes_naming(text: &str) -> Vec<String> {
    let ours = std::process::id().to_string();
    (std::fs::read_dir("/proc").unwrap())
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()) && *name != ours)
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(text)
        })
        .collect()
}

fn lives_and_leaves_nothing_behind(flavor: Flavor) {
    // The first start may download and initialise; the second shows what a start takes.
    drop(Instance::start(flavor, &Options::default()).unwrap());
    let begin = Instant::now();
    let mut server = Instance::start(flavor, &Options::default()).unwrap();
    // Generous: other tests want the processor too. Alone it takes 0.2 to 0.9 s.
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "started in {:?}",
        begin.elapsed()
    );
    let folder = server.data_folder().parent().unwrap().to_path_buf();

    let version = server.sql("SELECT VERSION()").unwrap();
    let version = if flavor.is_mariadb() {
        version
    } else {
        format!("Ver {version}")
    };
    assert!(flavor.matches(&version), "{version}");
    let defaults = "SELECT @@log_bin, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata,
        @@character_set_server, @@time_zone, @@max_connections";
    assert_eq!(
        server.sql(defaults).unwrap(),
        "1\tROW\tFULL\tFULL\tutf8mb4\t+00:00\t300\n"
    );

    server
        .sql("CREATE DATABASE d; CREATE TABLE d.t (a INT); INSERT INTO d.t VALUES (1), (2)")
        .unwrap();
    let (port, pid) = (server.port(), server.pid().unwrap());
    server.kill().unwrap();
    assert!(server.sql("SELECT 1").is_err(), "a killed server answers");
    server.restart().unwrap();
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), Some(pid));
    assert_eq!(server.sql("SELECT SUM(a) FROM d.t").unwrap(), "3\n");

    server.stop().unwrap();
    server
        .restart_with(&["--binlog-row-metadata=MINIMAL"])
        .unwrap();
    assert_eq!(
        server.sql("SELECT @@binlog_row_metadata").unwrap(),
        "MINIMAL\n"
    );
    assert!(!server.log_tail().is_empty());

    drop(server);
    assert_gone(&folder);
}

#[test]
fn mariadb_10_11_lives_and_leaves_nothing_behind() {
    lives_and_leaves_nothing_behind(Flavor::MariaDb1011);
}

#[test]
fn mariadb_11_8_lives_and_leaves_nothing_behind() {
    lives_and_leaves_nothing_behind(Flavor::MariaDb118);
}

#[test]
fn mysql_9_7_lives_and_leaves_nothing_behind() {
    lives_and_leaves_nothing_behind(Flavor::MySql97);
}

#[test]
fn the_administrator_comes_in_over_tcp_and_two_servers_differ_in_identity() {
    let options = Options::with(&["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]);
    let one = Instance::start(Flavor::MySql97, &options).unwrap();
    let two = Instance::start(Flavor::MySql97, &Options::default()).unwrap();
    let client = one
        .install()
        .client
        .command()
        .args([
            "--no-defaults",
            "-N",
            "-B",
            "--protocol=tcp",
            "-h127.0.0.1",
            "-uroot",
        ])
        .arg(format!("-P{}", one.port()))
        .args(["-e", "SELECT CURRENT_USER(), @@gtid_mode"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&client.stdout),
        "root@127.0.0.1\tOFF\n"
    );
    let identity = "SELECT @@server_uuid";
    assert_ne!(one.sql(identity).unwrap(), two.sql(identity).unwrap());
}

#[test]
fn a_server_that_refuses_its_options_is_an_error_with_its_log() {
    let options = Options::with(&["--no-such-option=1"]);
    let error = Instance::start(Flavor::MariaDb1011, &options)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-option"), "{error}");
}

#[test]
fn a_server_that_did_not_come_back_can_be_started_again() {
    let mut server = Instance::start(Flavor::MariaDb1011, &Options::default()).unwrap();
    let refused = server.restart_with(&["--no-such-option=1"]).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("MariaDB 10.11 ended at once"), "{refused}");
    assert_eq!(server.pid(), None);
    let unheard = server.signal(Signal::Stop).unwrap_err().to_string();
    assert!(unheard.contains("does not run"), "{unheard}");
    server.restart_with(&[]).unwrap();
    assert_eq!(server.sql("SELECT 1").unwrap(), "1\n");
}

#[test]
fn wrong_sql_is_an_error_with_what_the_server_said() {
    let server = Instance::start(Flavor::MariaDb1011, &Options::default()).unwrap();
    let error = server
        .sql("SELECT * FROM no_such.thing")
        .unwrap_err()
        .to_string();
    assert!(error.contains("no_such"), "{error}");
}
