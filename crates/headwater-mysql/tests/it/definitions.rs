//! Events of changed definitions (`output_ddl`), on real servers: as Maxwell's own serialisation tests have them
//! (`src/test/resources/sql/serialization` of Maxwell), and what those leave out.

use headwater_core::engine::Mode;
use headwater_mysql::schema::Selection;
use headwater_servers::{Flavor, Instance};
use serde_json::Value;

use crate::harness::{Host, Run, database, execute, on_every_server, start};

/// Full metadata or not: definitions are told by the statements.
const EXTRA: [&str; 2] = [
    "--character-set-server=utf8mb3",
    "--collation-server=utf8mb3_general_ci",
];

fn told(run: Run) -> Run {
    let mut run = run;
    run.settings.with_ddl = true;
    run.format.output_ddl = true;
    run
}

async fn events_of(server: &Instance, run: &Run, statements: &[&str]) -> Vec<String> {
    let token = run.token_now().await;
    let mut connection = server.connect("mysql").await;
    execute(&mut connection, statements).await;
    run.afresh().from(&token).go().await.ok()
}

/// An event without its time, after that was looked at.
fn timeless(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let ts = event["ts"].as_u64().unwrap();
    assert!(ts > 1_600_000_000_000 && ts.is_multiple_of(1000), "{line}");
    line.replace(&format!(",\"ts\":{ts}"), "")
}

#[allow(
    clippy::too_many_lines,
    reason = "a script, and the events of it one below the other"
)]
async fn every_kind_is_told_as_maxwell_tells_it(flavor: Flavor) {
    let server = start(flavor, &EXTRA);
    let run = told(server.run(Selection::All));
    let statements = [
        "CREATE DATABASE `ser1`",
        "CREATE TABLE `ser1`.`tbl1` (id MEDIUMINT, `a` VARCHAR(255) CHARACTER SET latin1, `b` MEDIUMTEXT, `c` ENUM('a','b'), PRIMARY KEY(id))",
        "CREATE DATABASE `ser1like` CHARACTER SET latin1",
        "CREATE TABLE `ser1like`.`tbl2` LIKE `ser1`.`tbl1`",
        "ALTER TABLE `ser1`.`tbl1` ADD COLUMN `d` BLOB NOT NULL AFTER `b`",
        "ALTER TABLE `ser1`.`tbl1` MODIFY `a` TEXT CHARACTER SET latin1, ADD COLUMN e DATETIME(3), ADD COLUMN f INT UNSIGNED, DROP COLUMN c, DROP COLUMN b",
        "CREATE INDEX f ON ser1.tbl1 (f)",
        "CREATE UNIQUE INDEX g ON ser1.tbl1 (f)",
        "RENAME TABLE ser1.tbl1 TO ser1like.moved",
        "ALTER DATABASE ser1 CHARACTER SET utf8mb4",
        "TRUNCATE TABLE ser1like.moved",
        "CREATE VIEW ser1.v AS SELECT 1",
        "CREATE TEMPORARY TABLE ser1.temporary (id INT)",
        "ANALYZE TABLE ser1like.moved",
        "DROP TABLE `ser1like`.`moved`",
        "DROP DATABASE ser1like",
    ];
    let lines = events_of(&server, &run, &statements).await;
    let lines: Vec<String> = lines.iter().map(|line| timeless(line)).collect();
    let id = r#"{"type":"mediumint","name":"id","signed":true}"#;
    let a = r#"{"type":"varchar","name":"a","charset":"latin1"}"#;
    let b = r#"{"type":"mediumtext","name":"b","charset":"utf8mb3"}"#;
    let c = r#"{"type":"enum","name":"c","enum-values":["a","b"]}"#;
    let d = r#"{"type":"blob","name":"d","charset":"binary"}"#;
    let table = |database: &str, name: &str, columns: &[&str]| {
        let columns = columns.join(",");
        format!(
            r#"{{"database":"{database}","charset":"utf8mb3","table":"{name}","columns":[{columns}],"primary-key":["id"]}}"#
        )
    };
    let tbl1 = table("ser1", "tbl1", &[id, a, b, c]);
    let with_d = table("ser1", "tbl1", &[id, a, b, d, c]);
    let changed = [
        id,
        r#"{"type":"text","name":"a","charset":"latin1"}"#,
        d,
        r#"{"type":"datetime","name":"e","column-length":3}"#,
        r#"{"type":"int","name":"f","signed":false}"#,
    ];
    let sql = |at: usize| {
        let text = serde_json::to_string(statements[at]).unwrap();
        format!(r#","sql":{text}}}"#)
    };
    let expected = [
        format!(
            r#"{{"type":"database-create","database":"ser1","charset":"utf8mb3"{}"#,
            sql(0)
        ),
        format!(
            r#"{{"type":"table-create","database":"ser1","table":"tbl1","def":{tbl1}{}"#,
            sql(1)
        ),
        format!(
            r#"{{"type":"database-create","database":"ser1like","charset":"latin1"{}"#,
            sql(2)
        ),
        format!(
            r#"{{"type":"table-create","database":"ser1like","table":"tbl2","def":{}{}"#,
            table("ser1like", "tbl2", &[id, a, b, c]),
            sql(3)
        ),
        format!(
            r#"{{"type":"table-alter","database":"ser1","table":"tbl1","old":{tbl1},"def":{with_d}{}"#,
            sql(4)
        ),
        format!(
            r#"{{"type":"table-alter","database":"ser1","table":"tbl1","old":{with_d},"def":{}{}"#,
            table("ser1", "tbl1", &changed),
            sql(5)
        ),
        format!(
            r#"{{"type":"table-alter","database":"ser1","table":"tbl1","old":{},"def":{}{}"#,
            table("ser1", "tbl1", &changed),
            table("ser1like", "moved", &changed),
            sql(8)
        ),
        format!(
            r#"{{"type":"database-alter","database":"ser1","charset":"utf8mb4"{}"#,
            sql(9)
        ),
        r#"{"type":"table-drop","database":"ser1like","table":"moved""#.to_owned(),
        format!(
            r#"{{"type":"database-drop","database":"ser1like"{}"#,
            sql(15)
        ),
    ];
    for (found, wanted) in lines.iter().zip(&expected) {
        assert!(found.starts_with(wanted.as_str()), "\n{found}\n{wanted}");
    }
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
}

async fn only_what_is_selected_is_told_and_in_its_place(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin(
        "CREATE DATABASE d CHARACTER SET utf8mb4; CREATE DATABASE other; CREATE TABLE d.t (id INT PRIMARY KEY, a CHAR(3))",
    );
    let run = told(server.run(database("d")));
    let statements = [
        "INSERT INTO d.t VALUES (1, 'a')",
        "CREATE TABLE other.t (id INT)",
        "ALTER TABLE d.t ADD COLUMN b POINT, ADD COLUMN c VARBINARY(7)",
        "DROP TABLE other.t",
        "INSERT INTO d.t VALUES (2, 'b', NULL, NULL)",
        "DROP DATABASE other",
    ];
    let lines = events_of(&server, &run, &statements).await;
    assert_eq!(lines.len(), 3, "{lines:#?}");
    let types: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
        .collect();
    assert_eq!(types, ["insert", "table-alter", "insert"]);
    let told: Value = serde_json::from_str(&lines[1]).unwrap();
    // What the server itself told at the start, and what the statement adds.
    let columns = |what: &str| -> Vec<String> {
        let columns = told[what]["columns"].as_array().unwrap().iter();
        columns
            .map(|column| column["type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(columns("old"), ["int", "char"]);
    assert_eq!(columns("def"), ["int", "char", "point", "varbinary"]);
    // Without the option nothing is told.
    let mut silent = run.clone();
    silent.format.output_ddl = false;
    assert_eq!(
        events_of(&server, &silent, &["ALTER TABLE d.t DROP COLUMN b"])
            .await
            .len(),
        0
    );
}

/// The place of the statement's own event, where that is asked for; and a table that a query fills is told with what it is.
async fn places_and_tables_made_by_a_query_are_told(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin("CREATE DATABASE d CHARACTER SET utf8mb4; CREATE TABLE d.t (id INT PRIMARY KEY); INSERT INTO d.t VALUES (1)");
    let mut run = told(server.run(database("d")));
    run.settings.with_position = true;
    run.format.output_binlog_position = true;
    let statements = [
        "ALTER TABLE d.t ADD COLUMN a INT",
        "CREATE TABLE d.made SELECT id, a, 'x' AS text FROM d.t",
    ];
    let lines = events_of(&server, &run, &statements).await;
    let events: Vec<Value> = (lines.iter())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (event, statement) in events
        .iter()
        .filter(|event| event["sql"].is_string())
        .zip(statements)
    {
        let place = event["position"].as_str().unwrap();
        let (file, offset) = place.split_once(':').unwrap();
        let log = server.admin(&format!(
            "SHOW BINLOG EVENTS IN '{file}' FROM {offset} LIMIT 1"
        ));
        let short = statement.split(" SELECT").next().unwrap().replace("d.", "");
        let found = log.replace('`', "").replace("d.", "");
        assert!(found.contains(&short), "{place}: {log}");
    }
    let made = events
        .iter()
        .find(|event| event["table"] == "made")
        .unwrap();
    assert_eq!(made["type"], "table-create", "{made}");
    let columns = made["def"]["columns"].as_array().unwrap();
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["id", "a", "text"], "{made}");
}

/// After a failure, and from a checkpoint, each is told once.
async fn each_is_told_once_however_often_the_sink_fails(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin("CREATE DATABASE d CHARACTER SET utf8mb4; CREATE TABLE d.t (id INT PRIMARY KEY)");
    let mut run = told(server.run(database("d")));
    let token = run.token_now().await;
    let mut connection = server.connect("d").await;
    for number in 0..6 {
        let alter = format!("ALTER TABLE t ADD COLUMN c{number} INT");
        let insert = format!("INSERT INTO t (id) VALUES ({number})");
        execute(&mut connection, &[&alter, &insert]).await;
    }
    run = run.afresh().from(&token);
    // A process that takes one batch more each time, until one comes to the end.
    for takes in 1..40 {
        run.takes = Some(takes);
        if run.go().await.result.is_ok() {
            break;
        }
    }
    let lines = run.output.lines();
    let alters: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains("table-alter"))
        .collect();
    assert_eq!((alters.len(), lines.len()), (6, 12), "{lines:#?}");
}

async fn what_cannot_be_read_is_told_with_what_is_known(flavor: Flavor) {
    let server = start(flavor, &[]);
    server.admin("CREATE DATABASE d CHARACTER SET utf8mb4; CREATE TABLE d.s (id INT PRIMARY KEY, a TEXT); INSERT INTO d.s VALUES (1, 'x')");
    let run = told(server.run(database("d")).mode(Mode::Cdc));
    let statements = [
        "CREATE TABLE d.t AS SELECT * FROM d.s",
        "INSERT INTO d.t VALUES (2, 'y')",
    ];
    let lines = events_of(&server, &run, &statements).await;
    let told: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told[0]["type"], "table-create", "{lines:#?}");
    assert!(told[0]["sql"].as_str().unwrap().contains("d"), "{lines:#?}");
    assert!(lines.last().unwrap().contains("\"y\""), "{lines:#?}");
}

on_every_server!(
    places_and_tables_made_by_a_query_are_told,
    every_kind_is_told_as_maxwell_tells_it,
    only_what_is_selected_is_told_and_in_its_place,
    each_is_told_once_however_often_the_sink_fails,
    what_cannot_be_read_is_told_with_what_is_known,
);
