//! What a new user does wrong, and what is said about it.

use std::fs;

use headwater_servers::{Flavor, Instance, Options};

use super::command::{CATCH_UP, Said, run, run_in};
use super::server::{server, shop};

/// An error in two lines, with what to do about it, and nothing of the program's inside.
fn assert_told(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{said:?}");
    assert!(said.out.is_empty(), "{said:?}");
    for word in words {
        assert!(said.err.contains(word), "no {word:?} in {said:?}");
    }
    let errors: Vec<&str> = said
        .err
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{said:?}");
    assert!(said.err.contains("\n  help: "), "{said:?}");
    for inside in [
        "Error {",
        "ErrorKind",
        "RUST_BACKTRACE",
        "panicked",
        "unwrap",
    ] {
        assert!(!said.err.contains(inside), "{said:?}");
    }
}

#[test]
fn a_wrong_password_is_told_and_not_repeated() {
    server()
        .sql("CREATE USER 'locked_out'@'%' IDENTIFIED BY 'right'")
        .unwrap();
    let url = server().url("locked_out", "hunter2-and-wrong", "shop");
    let said = run(&["run", &url]);
    assert_told(&said, 1, &["login", "locked_out"]);
    assert!(!said.err.contains("hunter2"), "{said:?}");
    let said = run(&["check", &url]);
    assert_told(&said, 1, &["login"]);
}

#[test]
fn a_server_that_is_not_there_is_worth_another_try() {
    let said = run(&["run", "mysql://cdc@127.0.0.1:1/shop"]);
    assert_told(&said, 3, &["127.0.0.1:1"]);
}

#[test]
fn a_missing_table_or_database_is_told_by_name() {
    let url = shop("missing_table");
    let said = run(&["run", &url, "orders", "ordres", "--until", "now"]);
    assert_told(&said, 1, &["missing_table.ordres"]);
    let url = server().url("root", "", "no_such_database");
    let said = run(&["run", &url, "--until", "now"]);
    assert_told(&said, 1, &["no_such_database"]);
}

#[test]
fn a_server_without_a_row_log_is_told_with_the_sql_that_mends_it() {
    let server = Instance::start(Flavor::MariaDb1011, &Options::with(&["--skip-log-bin"])).unwrap();
    server
        .sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY)")
        .unwrap();
    let url = server.url("root", "", "shop");
    assert_told(&run(&["run", &url]), 1, &["log_bin"]);
    let check = run(&["check", &url]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(
        check.out.contains("FAILED")
            && check.out.contains("log_bin")
            && check.out.contains("Not ready"),
        "{check:?}"
    );
}

#[test]
fn a_missing_privilege_is_told_with_its_grant() {
    let url = shop("unprivileged");
    server().sql("CREATE USER 'reader'@'%' IDENTIFIED BY 'r'; GRANT SELECT ON unprivileged.* TO 'reader'@'%'").unwrap();
    let url = url.replace("root@", "reader:r@");
    let check = run(&["check", &url]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(check.out.contains("GRANT"), "{check:?}");
    let said = run(&["run", &url, "--until", "now"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("GRANT") || said.err.contains("grant"),
        "{said:?}"
    );
}

#[test]
fn all_is_well_where_all_is_well() {
    let url = shop("well");
    let check = run(&["check", &url, "orders"]);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(check.out.contains("Ready"), "{check:?}");
}

#[test]
fn a_sink_or_checkpoint_that_cannot_be_written_is_told() {
    let url = shop("unwritable");
    let folder = tempfile::tempdir().unwrap();
    let said = run_in(
        folder.path(),
        &["run", &url, "--checkpoint", "no/such/folder/c"],
    );
    assert_told(&said, 1, &["no/such/folder"]);
    let said = run_in(
        folder.path(),
        &[
            "run",
            &url,
            "--sink",
            "file:no/such/folder/e",
            "--until",
            "now",
        ],
    );
    assert_told(&said, 1, &["no/such/folder"]);
    fs::write(folder.path().join("mine.txt"), "precious\n").unwrap();
    let said = run_in(
        folder.path(),
        &["run", &url, "--sink", "file:mine.txt", "--until", "now"],
    );
    assert_told(&said, 1, &["mine.txt"]);
    assert_eq!(
        fs::read_to_string(folder.path().join("mine.txt")).unwrap(),
        "precious\n"
    );
    let said = run_in(
        folder.path(),
        &["run", &url, "--checkpoint", "mine.txt", "--until", "now"],
    );
    assert_told(&said, 1, &["mine.txt"]);
    assert_eq!(
        fs::read_to_string(folder.path().join("mine.txt")).unwrap(),
        "precious\n"
    );
}

#[test]
fn a_full_disk_is_told() {
    let url = shop("full_disk");
    let said = run(&["run", &url, "--sink", "file:/dev/full", "--until", "now"]);
    assert_told(&said, 1, &["/dev/full"]);
}

#[test]
fn a_position_that_the_server_no_longer_has_is_expired() {
    let mut server = Instance::start(Flavor::MariaDb1011, &Options::default()).unwrap();
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)").unwrap();
    let url = server.url("root", "", "shop");
    let folder = tempfile::tempdir().unwrap();
    let words = [&["run", &url][..], &CATCH_UP].concat();
    assert_eq!(run_in(folder.path(), &words).code, 0);
    // The server keeps logs that it believes are still being read.
    server.restart().unwrap();
    server.sql("INSERT INTO shop.t VALUES (2); FLUSH BINARY LOGS; INSERT INTO shop.t VALUES (3); FLUSH BINARY LOGS").unwrap();
    let newest = server.sql("SHOW BINARY LOGS").unwrap();
    let newest = newest
        .lines()
        .last()
        .unwrap()
        .split('\t')
        .next()
        .unwrap()
        .to_owned();
    server
        .sql(&format!("PURGE BINARY LOGS TO '{newest}'"))
        .unwrap();
    assert_told(&run_in(folder.path(), &words), 4, &["purged", "copy again"]);
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |words: &[&str]| {
        let said = run_in(folder.path(), words);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.out.is_empty(), "{said:?}");
        said.err
    };
    assert!(refused(&["run"]).contains("no server is named"));
    assert!(refused(&["run", "shop.orders"]).contains("is no URL"));
    assert!(refused(&["run", "mysql://cdc@h/d", "--sink", "kafka"]).contains("no broker is named"));
    let kafka = ["run", "mysql://cdc@h/d", "--sink", "kafka:h:1"];
    let with = |words: &[&str]| refused(&[&kafka[..], words].concat());
    assert!(with(&["--exactly-once"]).contains("transactional_id"));
    assert!(with(&["--kafka-topic", "%{x}"]).contains("%{database}"));
    assert!(
        with(&[
            "--exactly-once",
            "--transactional-id",
            "x",
            "--checkpoint",
            "c"
        ])
        .contains("kept in Kafka")
    );
    assert!(refused(&["run", "mysql://cdc@h/", "orders"]).contains("has no database"));
    assert!(refused(&["run", "mysql://cdc@h/d", "--where", "orders"]).contains("names no table"));
    assert!(
        refused(&["run", "mysql://cdc@h/d", "a", "--where", "b:x>1"])
            .contains("not among the tables")
    );
    assert!(refused(&["cdc", "mysql://cdc@h/d", "--from", "hw1.x"]).contains("token"));
    assert!(refused(&["run", "mysql://cdc:p@@h/d"]).contains("@"));
    assert!(refused(&["run", "mysql://a@h/d", "mysql://b@h/d"]).contains("more than one URL"));
    assert!(refused(&["rum"]).contains("run"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_migrations_file_is_refused_without_its_target_and_run_with_another() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "connections:\n  mysql: {host: 127.0.0.1, port: 1, user: cdc}\nmysql:\n  tables: [{name: plant.r}]\n\
                iotdb:\n  mappings:\n    - {table: plant.r, device_field: d, timestamp_field: t, device_template: 'root.{d}', measurements: [{name: m, type: double}]}\n";
    fs::write(folder.path().join("m.yaml"), yaml).unwrap();
    let said = run_in(folder.path(), &["run", "--config", "m.yaml"]);
    assert_told(&said, 2, &["where IoTDB is", "connections.iotdb.host"]);
    let said = run_in(
        folder.path(),
        &["run", "--config", "m.yaml", "--sink", "null"],
    );
    assert_told(&said, 3, &["127.0.0.1:1"]);
}
