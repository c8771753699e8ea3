//! MariaDB's system-versioned tables: the stream is that of the current rows.

use headwater_core::engine::Mode;
use headwater_mysql::check::{Level, check};
use headwater_mysql::{MysqlSource, Settings};
use headwater_servers::Flavor;
use serde_json::Value;

use crate::harness::{Host, database, start};

/// With columns of its own, with invisible ones, and with the server's.
const TABLES: &str = "CREATE DATABASE d; USE d;
    CREATE TABLE own (id INT PRIMARY KEY, a INT, s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END,
                      PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING;
    CREATE TABLE hidden (e TIMESTAMP(6) GENERATED ALWAYS AS ROW END INVISIBLE, id INT PRIMARY KEY, a INT,
                         s TIMESTAMP(6) GENERATED ALWAYS AS ROW START INVISIBLE, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING;
    CREATE TABLE plain (id INT PRIMARY KEY, a INT, u INT WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING;
    CREATE TABLE usual (id INT PRIMARY KEY, a INT, s TIMESTAMP(6) NOT NULL, e TIMESTAMP(6) NOT NULL);
    INSERT INTO usual VALUES (1, 1, '2024-01-02', '2024-01-02');";

const CHANGES: &str = "INSERT INTO {t} (id, a) VALUES (1, 1), (2, 2); UPDATE {t} SET a = a + 10; DELETE FROM {t} WHERE id = 2;
    BEGIN; REPLACE INTO {t} (id, a) VALUES (1, 12); UPDATE {t} SET id = 3 WHERE id = 1; COMMIT;
    INSERT INTO {t} (id, a) VALUES (3, 0) ON DUPLICATE KEY UPDATE a = 13;
    BEGIN; INSERT INTO {t} (id, a) VALUES (5, 5); DELETE FROM {t} WHERE id = 5; COMMIT;";

fn changes(table: &str) -> String {
    format!("USE d; {}", CHANGES.replace("{t}", table))
}

/// An event as its type and the columns that do not differ from run to run; `commit` where it ends a transaction.
fn event(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    let data = &event["data"];
    let old = |column: &str| match event["old"].get(column) {
        Some(old) => format!("<{old}"),
        None => String::new(),
    };
    let commit = event.get("commit").map_or("", |_| " commit");
    format!(
        "{} {} {}{} {}{}{commit}",
        event["type"].as_str().unwrap(),
        event["table"].as_str().unwrap(),
        data["id"],
        old("id"),
        data["a"],
        old("a"),
    )
}

fn events(lines: &[String], table: &str) -> Vec<String> {
    let events = lines.iter().map(|line| event(line));
    let mine = events.filter(|event| event.split(' ').nth(1) == Some(table));
    mine.map(|event| event.replace(&format!(" {table}"), ""))
        .collect()
}

/// What the changes are to their table's current rows, whether REPLACE is an update or a delete and an insert.
fn expected(replaced: &[&str]) -> Vec<String> {
    let before = [
        "insert 1 1",
        "insert 2 2 commit",
        "update 1 11<1",
        "update 2 12<2 commit",
        "delete 2 12 commit",
    ];
    let after = [
        "update 3<1 12 commit",
        "update 3 13<12 commit",
        "insert 5 5",
        "delete 5 5 commit",
    ];
    let all = before.iter().chain(replaced).chain(&after);
    all.map(|event| (*event).to_owned()).collect()
}

fn assert_current(lines: &[String], table: &str) {
    let found = events(lines, table);
    let two = expected(&["delete 1 11", "insert 1 12"]);
    assert!(
        found == expected(&["update 1 12<11"]) || found == two,
        "{table}: {found:#?}"
    );
}

async fn the_rows_of_the_past_are_no_events(flavor: Flavor) {
    for metadata in ["FULL", "MINIMAL"] {
        let server = start(flavor, &[&format!("--binlog-row-metadata={metadata}")]);
        server.admin(TABLES);
        let run = server.run(database("d"));
        let token = run.token_now().await;
        let tables = ["own", "hidden", "plain"];
        for table in tables {
            server.admin(&changes(table));
        }
        server.admin("USE d; DELETE HISTORY FROM plain; UPDATE plain SET u = 1");
        let mut lines = run.afresh().from(&token).go().await.ok();
        let unversioned = lines.pop().unwrap();
        assert!(unversioned.contains(r#""old":{"u":null}"#), "{unversioned}");
        for table in tables {
            assert_current(&lines, table);
        }
        // Small pieces, so that a transaction's last rows event comes long after its last row.
        let mut spooled = run.afresh().from(&token);
        spooled.settings.transaction_memory_bytes = 0;
        assert_eq!(spooled.go().await.ok()[..lines.len()], lines);
        let copied = run.afresh().mode(Mode::Backfill).go().await.ok();
        for table in tables {
            assert_eq!(events(&copied, table), ["bootstrap 3 13"]);
        }
        assert_eq!(events(&copied, "usual"), ["bootstrap 1 1"]);
    }
}

async fn a_table_that_becomes_versioned_or_is_altered_is_followed(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLES);
    let run = server.run(database("d"));
    let token = run.token_now().await;
    server.admin(
        "USE d; SET system_versioning_alter_history = KEEP; ALTER TABLE own ADD COLUMN first INT FIRST; ALTER TABLE plain ADD COLUMN b INT;
         CREATE TABLE later (id INT PRIMARY KEY, a INT); ALTER TABLE later ADD SYSTEM VERSIONING;
         CREATE TABLE made (id INT PRIMARY KEY, a INT) WITH SYSTEM VERSIONING; CREATE TABLE `like` LIKE made;
         ALTER TABLE usual ADD COLUMN b TIMESTAMP(6) NOT NULL DEFAULT '2024-01-02'; UPDATE usual SET a = 2;",
    );
    let tables = ["own", "plain", "later", "made", "`like`"];
    for table in tables {
        server.admin(&changes(table));
    }
    // What the server has now does not fit what was logged: the column is known by its name.
    server.admin(
        "USE d; SET system_versioning_alter_history = KEEP; ALTER TABLE later ADD COLUMN more INT",
    );
    let lines = run.afresh().from(&token).go().await.ok();
    for table in tables {
        assert_current(&lines, table.trim_matches('`'));
    }
    assert_eq!(events(&lines, "usual"), ["update 1 2<1 commit"]);
}

async fn a_table_versioned_by_transactions_is_named_by_the_check(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(TABLES);
    server.admin(
        "CREATE TABLE d.trx (id INT PRIMARY KEY, s BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, e BIGINT UNSIGNED GENERATED ALWAYS AS ROW END,
                             PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING",
    );
    let settings = Settings::new(server.options("root", ""), database("d"));
    let findings = check(&MysqlSource::new(settings)).await.unwrap();
    let of = |name: &str| {
        findings
            .iter()
            .find(|finding| finding.name == name)
            .unwrap()
    };
    let trx = of("table d.trx");
    assert_eq!(trx.level, Level::Failed);
    assert!(trx.expected.contains("statements"), "{trx:?}");
    assert_eq!(of("table d.plain").level, Level::Ok);
}

mod mariadb_10_11 {
    use super::Flavor::MariaDb1011;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_rows_of_the_past_are_no_events() {
        super::the_rows_of_the_past_are_no_events(MariaDb1011).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_table_that_becomes_versioned_or_is_altered_is_followed() {
        super::a_table_that_becomes_versioned_or_is_altered_is_followed(MariaDb1011).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_table_versioned_by_transactions_is_named_by_the_check() {
        super::a_table_versioned_by_transactions_is_named_by_the_check(MariaDb1011).await;
    }
}

mod mariadb_11_8 {
    use super::Flavor::MariaDb118;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_rows_of_the_past_are_no_events() {
        super::the_rows_of_the_past_are_no_events(MariaDb118).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_table_that_becomes_versioned_or_is_altered_is_followed() {
        super::a_table_that_becomes_versioned_or_is_altered_is_followed(MariaDb118).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_table_versioned_by_transactions_is_named_by_the_check() {
        super::a_table_versioned_by_transactions_is_named_by_the_check(MariaDb118).await;
    }
}
