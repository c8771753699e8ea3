//! Every type with its edge values, through the engine: a row has the same text from a snapshot and from the log.

use std::collections::BTreeMap;

use headwater_core::engine::Mode;
use headwater_mysql::client::Connection;
use headwater_servers::Flavor;

use crate::decode::types::{self, Case};
use crate::harness::{Host, data, database, execute, on_every_server, start};

/// Settings of the server under which rows are written.
fn variants(flavor: Flavor) -> Vec<(&'static str, &'static str)> {
    let compressed = if flavor.is_mariadb() {
        "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10"
    } else {
        "SET GLOBAL binlog_transaction_compression = ON"
    };
    vec![
        ("FULL metadata", "SET GLOBAL binlog_row_metadata = FULL"),
        (
            "MINIMAL metadata",
            "SET GLOBAL binlog_row_metadata = MINIMAL",
        ),
        ("compressed", compressed),
        ("without checksums", "SET GLOBAL binlog_checksum = NONE"),
    ]
}

/// The text of each row by table and id.
fn by_row(lines: &[String]) -> BTreeMap<(String, u64), String> {
    let row = |line: &String| {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let table = event["table"].as_str().unwrap().to_owned();
        (
            (table, event["data"]["id"].as_u64().unwrap()),
            data(line).to_owned(),
        )
    };
    let rows: BTreeMap<_, _> = lines.iter().map(row).collect();
    assert_eq!(rows.len(), lines.len(), "rows that came twice");
    rows
}

async fn insert(connection: &mut Connection, cases: &[Case], first_id: usize) -> usize {
    let mut rows = 0;
    for (number, case) in cases.iter().enumerate() {
        execute(connection, &["BEGIN"]).await;
        let values = case.values.iter().map(String::as_str).chain(["NULL"]);
        for (index, value) in values.enumerate() {
            let id = first_id + index;
            let sql = format!("INSERT INTO t{number} VALUES ({id}, {value}, {id})");
            execute(connection, &[&sql]).await;
            rows += 1;
        }
        execute(connection, &["COMMIT"]).await;
    }
    rows
}

/// What differs between two sets of rows, with the type and value it differs for.
fn compare(
    cases: &[Case],
    one: &BTreeMap<(String, u64), String>,
    other: &BTreeMap<(String, u64), String>,
) -> Vec<String> {
    let mut failed = Vec::new();
    for ((table, id), text) in one {
        let case = &cases[table.trim_start_matches('t').parse::<usize>().unwrap()];
        let value = case
            .values
            .get(usize::try_from(*id).unwrap() % 1000)
            .map_or("NULL", String::as_str);
        match other.get(&(table.clone(), *id)) {
            Some(same) if same == text => {}
            found => failed.push(format!(
                "{} {value:.80} id {id}:\n  {text:.300}\n  {found:?}",
                case.sql
            )),
        }
    }
    failed
}

async fn a_row_has_the_same_text_from_the_log_and_from_a_snapshot(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin("CREATE DATABASE d CHARACTER SET utf8mb4");
    let cases: Vec<_> = types::all()
        .into_iter()
        .filter(|case| case.on.has(flavor))
        .collect();
    let run = server.run(database("d"));
    let token = run.token_now().await;
    let mut connection = server.connect("d").await;
    for (number, case) in cases.iter().enumerate() {
        let sql = format!(
            "CREATE TABLE t{number} (id INT PRIMARY KEY, v {}, w INT)",
            case.sql
        );
        execute(&mut connection, &[&sql]).await;
    }
    let mut rows = 0;
    for (number, (_, setting)) in variants(flavor).iter().enumerate() {
        server.admin(setting);
        let mut connection = server.connect("d").await;
        rows += insert(&mut connection, &cases, number * 1000).await;
    }
    let live = by_row(&run.afresh().from(&token).go().await.ok());
    let snapshot = by_row(&run.afresh().mode(Mode::Backfill).go().await.ok());
    assert_eq!(snapshot.len(), rows);
    let mut failed = compare(&cases, &snapshot, &live);
    // The definitions that the log itself carries tell all but MariaDB's own types.
    if !flavor.is_mariadb() {
        let mut bare = token.clone();
        bare.definitions = serde_json::json!({"databases": {}, "tables": []});
        server.admin("SET GLOBAL binlog_row_metadata = FULL");
        let bare_run = run.afresh().from(&bare).go().await.ok();
        failed.extend(compare(&cases, &snapshot, &by_row(&bare_run)));
    }
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

const SHAPES: &str = "
    CREATE TABLE plain (id INT PRIMARY KEY, `we``ird \"name\"` INT, `Größe` INT, a INT INVISIBLE DEFAULT 7,
        v INT GENERATED ALWAYS AS (id + 1) VIRTUAL, s VARCHAR(20) GENERATED ALWAYS AS (CONCAT('n', id)) STORED, z INT NOT NULL);
    INSERT INTO plain (id, `we``ird \"name\"`, `Größe`, z) VALUES (1, 2, 3, 4), (5, NULL, NULL, 6);
    CREATE TABLE hidden (a INT, b VARCHAR(10));
    INSERT INTO hidden VALUES (1, 'one'), (1, 'one'), (NULL, NULL);
    CREATE TABLE one_column (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY);
    INSERT INTO one_column VALUES (NULL), (NULL), (4294967295);
    CREATE TABLE long_row (id INT PRIMARY KEY, a LONGTEXT, b LONGBLOB);
    INSERT INTO long_row VALUES (1, REPEAT('é', 3000000), REPEAT(x'00ff', 3000000)), (2, '', ''), (3, NULL, NULL);
";

async fn shapes_of_tables_come_out_the_same_both_ways(flavor: Flavor) {
    let server = start(flavor, &["--max-allowed-packet=64M"]);
    server.admin("CREATE DATABASE d CHARACTER SET utf8mb4");
    let run = server.run(database("d"));
    for metadata in ["FULL", "MINIMAL"] {
        server.admin(&format!(
            "SET GLOBAL binlog_row_metadata = {metadata}; DROP DATABASE d; CREATE DATABASE d CHARACTER SET utf8mb4"
        ));
        let token = run.token_now().await;
        server.admin(&format!("SET NAMES utf8mb4; USE d; {SHAPES}"));
        let columns: String = (0..1000).map(|n| format!(", c{n} TINYINT NULL")).collect();
        let values = ", NULL, 1".repeat(500);
        server.admin(&format!(
            "USE d; CREATE TABLE wide (id INT PRIMARY KEY{columns}); INSERT INTO wide VALUES (1{values}), (2{values})"
        ));
        let texts = |lines: Vec<String>| {
            let mut texts: Vec<_> = lines.iter().map(|line| data(line).to_owned()).collect();
            texts.sort();
            texts
        };
        let live = texts(run.afresh().from(&token).go().await.ok());
        let snapshot = texts(run.afresh().mode(Mode::Backfill).go().await.ok());
        assert_eq!(live.len(), 13);
        for (live, snapshot) in live.iter().zip(&snapshot) {
            assert!(live == snapshot, "{metadata}\n{live:.500}\n{snapshot:.500}");
        }
        let row = r#"{"id":1,"we`ird \"name\"":2,"Größe":3,"a":7,"v":2,"s":"n1","z":4}"#;
        assert!(
            live.iter().any(|text| text == row),
            "{metadata}: {:.2000}",
            live.join("\n")
        );
    }
}

on_every_server!(
    a_row_has_the_same_text_from_the_log_and_from_a_snapshot,
    shapes_of_tables_come_out_the_same_both_ways,
);
