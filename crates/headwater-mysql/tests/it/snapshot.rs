//! Copies on real servers: every kind of key in small splits by several readers, stopped and resumed, bounded by conditions;
//! and the ways to a cut, by what the user may do.

use std::collections::BTreeMap;

use headwater_core::ErrorKind;
use headwater_core::engine::Mode;
use headwater_core::schema::TableName;
use headwater_mysql::check::{self, Level};
use headwater_mysql::{MysqlSource, Settings};
use headwater_servers::{Flavor, Instance};

use crate::harness::{Host, Run, data, database, on_every_server, start, table};

/// A table: its name, columns and key, and how it is filled from `seq` (n from 1 to 500).
const KEYS: [(&str, &str, &str); 27] = [
    (
        "tiny_signed",
        "id TINYINT PRIMARY KEY",
        "SELECT n - 129 FROM seq WHERE n <= 256",
    ),
    (
        "tiny_unsigned",
        "id TINYINT UNSIGNED PRIMARY KEY",
        "SELECT n - 1 FROM seq WHERE n <= 256",
    ),
    (
        "small_signed",
        "id SMALLINT PRIMARY KEY",
        "SELECT -32768 + n * 130 FROM seq",
    ),
    (
        "medium",
        "id MEDIUMINT PRIMARY KEY",
        "SELECT -8388608 + n * 33000 FROM seq UNION SELECT 8388607",
    ),
    (
        "int_signed",
        "id INT PRIMARY KEY",
        "SELECT -2147483648 + n FROM seq UNION SELECT 2147483647",
    ),
    (
        "int_unsigned",
        "id INT UNSIGNED PRIMARY KEY",
        "SELECT 4294967295 - n FROM seq UNION SELECT 0",
    ),
    (
        "big_signed",
        "id BIGINT PRIMARY KEY",
        "SELECT -9223372036854775807 - 1 + n * 1000000007 FROM seq UNION SELECT 9223372036854775807 UNION SELECT -9223372036854775808 UNION SELECT 0",
    ),
    (
        "big_unsigned",
        "id BIGINT UNSIGNED PRIMARY KEY",
        "SELECT 18446744073709551615 - n FROM seq UNION SELECT 0 UNION SELECT 9223372036854775808",
    ),
    (
        "dense",
        "id INT AUTO_INCREMENT PRIMARY KEY",
        "SELECT n FROM seq",
    ),
    (
        "holes",
        "id BIGINT PRIMARY KEY",
        "SELECT IF(n < 100, n, n * n * n) FROM seq",
    ),
    (
        "text_ci",
        "k VARCHAR(50) COLLATE utf8mb4_general_ci PRIMARY KEY",
        "SELECT CONCAT(ELT(n % 6 + 1, 'a', 'B', 'é', 'ß', 'z ', ''), n) FROM seq",
    ),
    (
        "text_unicode_ci",
        "k VARCHAR(50) COLLATE utf8mb4_unicode_ci PRIMARY KEY",
        "SELECT CONCAT(ELT(n % 6 + 1, 'æ', 'Œ', 'ü', 'ß', '😀', ''), n) FROM seq",
    ),
    (
        "text_bin",
        "k VARCHAR(50) COLLATE utf8mb4_bin PRIMARY KEY",
        "SELECT CONCAT(ELT(n % 6 + 1, 'a', 'A', 'é', 'E', ' ', ''), n) FROM seq",
    ),
    (
        "text_latin1",
        "k VARCHAR(50) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY",
        "SELECT CONCAT(ELT(n % 6 + 1, 'a', 'B', 'é', 'ÿ', '''', '\\\\'), n) FROM seq",
    ),
    (
        "text_char",
        "k CHAR(20) PRIMARY KEY",
        "SELECT CONCAT('key ', n) FROM seq",
    ),
    (
        "text_sjis",
        "k VARCHAR(20) CHARACTER SET sjis PRIMARY KEY",
        "SELECT CONCAT('表ソ', n) FROM seq",
    ),
    (
        "binary16",
        "k BINARY(16) PRIMARY KEY",
        "SELECT UNHEX(LEFT(SHA2(n, 256), 32)) FROM seq",
    ),
    (
        "varbinary_key",
        "k VARBINARY(20) PRIMARY KEY",
        "SELECT IF(n = 1, '', UNHEX(HEX(n * 97))) FROM seq",
    ),
    (
        "decimal_key",
        "k DECIMAL(30, 10) PRIMARY KEY",
        "SELECT (n - 250) * 1.0000000001 FROM seq",
    ),
    (
        "date_key",
        "k DATE PRIMARY KEY",
        "SELECT DATE_ADD('1999-12-01', INTERVAL n DAY) FROM seq UNION SELECT '0000-00-00' UNION SELECT '9999-12-31'",
    ),
    (
        "datetime_key",
        "k DATETIME(6) PRIMARY KEY",
        "SELECT DATE_ADD('2024-01-01 00:00:00.000001', INTERVAL n * 250001 MICROSECOND) FROM seq UNION SELECT '0000-00-00' UNION SELECT '0001-01-01'",
    ),
    (
        "timestamp_key",
        "k TIMESTAMP(3) PRIMARY KEY",
        "SELECT DATE_ADD('2024-03-31 00:50:00', INTERVAL n * 7 SECOND) FROM seq",
    ),
    (
        "time_key",
        "k TIME(2) PRIMARY KEY",
        "SELECT SEC_TO_TIME((n - 250) * 60.25) FROM seq",
    ),
    (
        "composite",
        "a INT, b VARCHAR(20), PRIMARY KEY (b, a)",
        "SELECT n, ELT(n % 3 + 1, 'x', 'Y', 'zé') FROM seq",
    ),
    (
        "unique_only",
        "a INT NULL, b INT NOT NULL, UNIQUE (a), UNIQUE (b)",
        "SELECT IF(n % 2, n, NULL), n * 3 FROM seq",
    ),
    (
        "enum_key",
        "k ENUM('z', 'a', 'm'), n INT, PRIMARY KEY (k, n)",
        "SELECT n % 3 + 1, n FROM seq",
    ),
    ("float_key", "k DOUBLE PRIMARY KEY", "SELECT n / 7 FROM seq"),
];

const MORE: &str = "
    CREATE TABLE no_key (a INT, b VARCHAR(5)); INSERT INTO no_key SELECT n % 100, 'x' FROM seq;
    CREATE TABLE null_unique (a INT NULL, UNIQUE (a)); INSERT INTO null_unique SELECT IF(n < 10, NULL, n) FROM seq;
    CREATE TABLE year_key (y YEAR PRIMARY KEY); INSERT INTO year_key SELECT 1900 + n FROM seq WHERE n <= 255 UNION SELECT 0;
    CREATE TABLE bit_key (b BIT(40) PRIMARY KEY); INSERT INTO bit_key SELECT n * 1000003 FROM seq;
    CREATE TABLE prefix_key (a TEXT, PRIMARY KEY (a(3))); INSERT INTO prefix_key SELECT CONCAT(n, ' tail') FROM seq WHERE n BETWEEN 100 AND 400;
    CREATE TABLE nothing_in_it (id INT PRIMARY KEY);
";

fn fill(server: &Instance) {
    server.admin("CREATE DATABASE d CHARACTER SET utf8mb4");
    let numbers: Vec<String> = (1..=500).map(|n| format!("({n})")).collect();
    let mut sql = format!(
        "SET NAMES utf8mb4, sql_mode = ''; CREATE DATABASE x CHARACTER SET utf8mb4; USE x; CREATE TABLE seq (n INT PRIMARY KEY); INSERT INTO seq VALUES {};",
        numbers.join(",")
    );
    for (name, columns, select) in KEYS {
        sql.push_str(&format!(
            "CREATE TABLE d.{name} ({columns}); INSERT INTO d.{name} {};",
            select.replace("seq", "x.seq")
        ));
    }
    sql.push_str("USE d;");
    sql.push_str(&MORE.replace("FROM seq", "FROM x.seq"));
    server.admin(&sql);
}

fn counts(lines: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        *counts
            .entry(event["table"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    counts
}

fn sorted(lines: &[String]) -> Vec<String> {
    let text = |line: &String| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{} {}", event["table"], data(line))
    };
    let mut texts: Vec<String> = lines.iter().map(text).collect();
    texts.sort();
    texts
}

fn server_counts(server: &Instance, lines: &[String]) {
    let found = counts(lines);
    for name in server.admin("SHOW TABLES FROM d").lines() {
        let rows: usize = server
            .admin(&format!("SELECT COUNT(*) FROM d.{name}"))
            .trim()
            .parse()
            .unwrap();
        assert_eq!(found.get(name).copied().unwrap_or(0), rows, "{name}");
    }
}

async fn every_row_comes_once_whatever_the_key(flavor: Flavor) {
    let server = start(flavor, &[]);
    fill(&server);
    let run = server.run(database("d")).mode(Mode::Backfill);
    let whole = run.go().await.ok();
    server_counts(&server, &whole);
    for (readers, split_rows) in [(1, 7), (4, 50), (3, 1)] {
        let mut run = run.afresh();
        run.options.readers = readers;
        run.options.split_rows = Some(split_rows);
        if split_rows == 1 {
            // One row a split is slow: a few kinds of key will do.
            let names = [
                "text_ci",
                "composite",
                "big_unsigned",
                "datetime_key",
                "binary16",
            ];
            run.settings.selection = headwater_mysql::schema::Selection::Tables(
                names
                    .iter()
                    .map(|name| TableName::new("d", *name))
                    .collect(),
            );
        }
        let lines = run.go().await.ok();
        let texts = sorted(&lines);
        let doubled: Vec<_> = texts
            .windows(2)
            .filter(|pair| {
                pair[0] == pair[1]
                    && !pair[0].contains("no_key")
                    && !pair[0].contains("null_unique")
            })
            .collect();
        assert!(doubled.is_empty(), "{readers} readers: {doubled:?}");
        if split_rows == 1 {
            assert!(lines.len() >= 2500, "{}", lines.len());
        } else {
            assert_eq!(
                texts,
                sorted(&whole),
                "{readers} readers, {split_rows} rows a split"
            );
        }
    }
}

async fn a_copy_that_is_stopped_reads_nothing_again(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin("CREATE DATABASE d CHARACTER SET utf8mb4; USE d; CREATE TABLE t (k VARCHAR(40) COLLATE utf8mb4_general_ci PRIMARY KEY, v TEXT)");
    for part in 0..10 {
        let rows: Vec<String> = (0..2000)
            .map(|n| format!("('{} {n}', REPEAT('v', 300))", ["a", "B", "é"][n % 3]))
            .collect();
        server.admin(&format!(
            "INSERT INTO d.t VALUES {}",
            rows.join(",").replace("('", &format!("('{part}"))
        ));
    }
    let mut run = server.run(database("d")).mode(Mode::Both);
    run.options.split_rows = Some(500);
    run.options.checkpoint_interval = std::time::Duration::ZERO;
    for round in 1..4_usize {
        if round < 3 {
            // The sink fails for good after a few of the forty splits.
            run.takes = Some(8);
            assert_eq!(run.go().await.error().kind(), ErrorKind::SinkRejected);
            run.takes = None;
        } else {
            let going = run.start();
            going.lines(9000).await;
            // Stopped, or done by now.
            going.stop().await.ok();
        }
        // What changes meanwhile is live once the copy is past it, and a row of the copy before.
        server.admin(&format!("UPDATE d.t SET v = 'changed {round}' WHERE k = '{round}a 0'; DELETE FROM d.t WHERE k = '{round}a 3'; INSERT INTO d.t VALUES ('{round} new', 'n')"));
    }
    let summary = run.go().await;
    let lines = summary.ok();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for line in &lines {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let key = event["data"]["k"].as_str().unwrap().to_owned();
        let value = event["data"]["v"].as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "bootstrap" | "insert" => assert!(seen.insert(key, value).is_none(), "twice: {line}"),
            "update" => assert!(seen.insert(key, value).is_some(), "from nothing: {line}"),
            _ => assert!(seen.remove(&key).is_some(), "from nothing: {line}"),
        }
    }
    assert_eq!(seen.len(), 20_000);
    for round in 1..4 {
        assert_eq!(seen[&format!("{round}a 0")], format!("changed {round}"));
        assert_eq!(seen[&format!("{round} new")], "n");
    }
}

async fn conditions_bound_the_copy_of_a_table(flavor: Flavor) {
    let server = start(flavor, &[]);
    let name = "conditions";
    server.admin("CREATE DATABASE conditions");
    server.admin(&format!("USE {name}; CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20)); INSERT INTO t VALUES (1, 'x'), (2, 'it''s'), (3, 'x'), (4, NULL); CREATE TABLE u (id INT PRIMARY KEY); INSERT INTO u VALUES (1), (2)"));
    let mut run = server.run(database(name)).mode(Mode::Both);
    let t = TableName::new(name, "t");
    run.settings.conditions.insert(
        t.clone(),
        "a = 'it''s' OR a IS NULL OR id = (SELECT 1)".into(),
    );
    run.options.split_rows = Some(1);
    let lines = run.go().await.ok();
    assert_eq!(
        counts(&lines),
        BTreeMap::from([("t".into(), 3), ("u".into(), 2)])
    );
    // Live changes are not bounded by it.
    server.admin(&format!("INSERT INTO {name}.t VALUES (9, 'live')"));
    assert!(run.go().await.ok().last().unwrap().contains("live"));
    run.settings
        .conditions
        .insert(t, "no such column = 1".into());
    let error = run.afresh().go().await.error();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
}

/// A user with these privileges.
pub(crate) fn user(server: &Instance, name: &str, grants: &str) -> Run {
    server.admin(&format!(
        "CREATE USER '{name}'@'%' IDENTIFIED BY 'secret'; {}",
        grants.replace("USER", &format!("'{name}'@'%'"))
    ));
    let mut run = Run::new(Settings::new(server.options(name, "secret"), database("d")));
    run.options.readers = 3;
    run.options.split_rows = Some(100);
    run.options.chunk_rows = 70;
    run
}

pub(crate) const LOG: &str = "GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO USER;";

/// A copy while rows are written, by whatever way to a cut there is; then everything is there.
async fn copies_exactly(server: &Instance, run: Run, what: &str) {
    let streaming = run.follow();
    let mut connection = server.connect("d").await;
    for n in 0..300_u32 {
        let id = 1 + (n * 37) % 1000;
        let sql = match n % 3 {
            0 => format!("UPDATE t SET a = a + 1 WHERE id = {id}"),
            1 => format!("INSERT IGNORE INTO t VALUES ({}, 0)", 2000 + n),
            _ => format!("DELETE FROM t WHERE id = {id}"),
        };
        connection.execute(&sql).await.unwrap();
    }
    connection
        .execute("REPLACE INTO t VALUES (999999, 1)")
        .await
        .unwrap();
    streaming.line_with("999999").await;
    streaming.stop().await.ok();
    let lines = run.go().await.ok();
    let mut rows: BTreeMap<u64, u64> = BTreeMap::new();
    for line in &lines {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = event["data"]["id"].as_u64().unwrap();
        let value = event["data"]["a"].as_u64().unwrap();
        match event["type"].as_str().unwrap() {
            "delete" => assert!(rows.remove(&id).is_some(), "{what}: from nothing: {line}"),
            "update" => assert!(
                rows.insert(id, value).is_some(),
                "{what}: from nothing: {line}"
            ),
            _ => assert!(rows.insert(id, value).is_none(), "{what}: twice: {line}"),
        }
    }
    let table = server.admin("SELECT id, a FROM d.t ORDER BY id");
    let found: Vec<String> = rows.iter().map(|(id, a)| format!("{id}\t{a}")).collect();
    assert_eq!(found, table.lines().collect::<Vec<_>>(), "{what}");
}

fn shop(server: &Instance) {
    let rows: Vec<String> = (1..=1000).map(|n| format!("({n}, 0)")).collect();
    server.admin(&format!("DROP DATABASE IF EXISTS d; CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, a INT); INSERT INTO d.t VALUES {}", rows.join(",")));
}

async fn a_copy_is_exact_with_whatever_privileges(flavor: Flavor) {
    let server = start(flavor, &[]);
    shop(&server);
    let reload = format!("{LOG} GRANT RELOAD ON *.* TO USER;");
    copies_exactly(&server, user(&server, "reload", &reload), "RELOAD").await;
    shop(&server);
    let locks = format!("{LOG} GRANT LOCK TABLES ON d.* TO USER;");
    copies_exactly(&server, user(&server, "locks", &locks), "LOCK TABLES only").await;
    shop(&server);
    copies_exactly(&server, user(&server, "bare", LOG), "no lock").await;
}

async fn without_lock_and_gtid_a_copy_is_refused_with_the_grant(flavor: Flavor) {
    if flavor.is_mariadb() {
        return;
    }
    let server = start(
        flavor,
        &["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"],
    );
    shop(&server);
    let error = user(&server, "bare", LOG).go().await.error();
    assert_eq!(error.kind(), ErrorKind::Privilege, "{error:?}");
    assert!(
        error.hint_text().unwrap().contains("GRANT RELOAD"),
        "{error:?}"
    );
    let error = user(&server, "blind", "GRANT SELECT ON d.* TO USER;")
        .go()
        .await
        .error();
    assert_eq!(error.kind(), ErrorKind::Privilege, "{error:?}");
    let mut wrong = user(&server, "wrong", LOG);
    wrong.settings.connect = server.options("wrong", "not it");
    let error = wrong.go().await.error();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error:?}");
    assert!(!format!("{error:?}").contains("not it"), "{error:?}");
}

async fn what_cannot_be_copied_is_refused_and_said_by_the_check(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin("CREATE DATABASE d; USE d; CREATE TABLE m (id INT PRIMARY KEY) ENGINE = MyISAM; INSERT INTO m VALUES (1); CREATE TABLE good (id INT PRIMARY KEY)");
    let run = server.run(table("d", "m"));
    let error = run.go().await.error();
    assert_eq!(error.kind(), ErrorKind::Prerequisite, "{error:?}");
    assert!(
        error.hint_text().unwrap().contains("ENGINE = InnoDB"),
        "{error:?}"
    );
    let missing = server.run(table("d", "nothing_here")).go().await.error();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing:?}");
    let good = MysqlSource::new(server.run(table("d", "good")).settings);
    check::require(&good).await.unwrap();
    let findings = check::check(&good).await.unwrap();
    let failed: Vec<_> = findings
        .iter()
        .filter(|finding| finding.level == Level::Failed)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    server.admin("SET GLOBAL binlog_format = STATEMENT");
    let error = check::require(&good).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Prerequisite, "{error:?}");
    assert!(
        error
            .hint_text()
            .unwrap()
            .contains("SET GLOBAL binlog_format = 'ROW'"),
        "{error:?}"
    );
    server.admin("SET GLOBAL binlog_format = ROW; SET GLOBAL binlog_row_image = MINIMAL");
    let findings = check::check(&good).await.unwrap();
    let image = findings
        .iter()
        .find(|finding| finding.name == "binlog_row_image")
        .unwrap();
    assert_eq!(image.level, Level::Failed);
    assert!(
        image
            .mend
            .as_ref()
            .unwrap()
            .starts_with("SET GLOBAL binlog_row_image = 'FULL'")
    );
}

on_every_server!(
    every_row_comes_once_whatever_the_key,
    a_copy_that_is_stopped_reads_nothing_again,
    conditions_bound_the_copy_of_a_table,
    a_copy_is_exact_with_whatever_privileges,
    without_lock_and_gtid_a_copy_is_refused_with_the_grant,
    what_cannot_be_copied_is_refused_and_said_by_the_check,
);
