//! Mappings held against a real table: what is impossible is refused before anything is read, with its place in the file,
//! which `¦` marks here.

use std::fs;

use super::command::run_in;
use super::server::server;

const COLUMNS: &str = "id, pump, at, fine, flow, note, raw";

fn file(name: &str, mappings: &str) -> String {
    let url = server().url("root", "", name);
    let (address, _) = url.rsplit_once('/').unwrap();
    let mysql_port = address.rsplit_once(':').unwrap().1.to_owned();
    let address = headwater_servers::iotdb::shared().unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    format!(
        "connections:\n  mysql: {{host: 127.0.0.1, port: {mysql_port}, user: root, database: {name}}}\n  \
         iotdb: {{host: {host}, port: {port}}}\niotdb: {mappings}\n"
    )
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn each_impossible_mapping_is_refused_against_the_real_columns() {
    let name = "mappings";
    server()
        .sql(&format!(
            "CREATE DATABASE {name}; USE {name}; \
             CREATE TABLE readings (id INT PRIMARY KEY, pump VARCHAR(20) NOT NULL, at DATETIME(3) NOT NULL, fine DATETIME(6), \
               flow DECIMAL(10,2), note VARCHAR(20), raw VARBINARY(9)); \
             CREATE TABLE others (id INT PRIMARY KEY, pump VARCHAR(20) NOT NULL, at DATETIME(3), flow DOUBLE); \
             INSERT INTO readings VALUES (1, 'p', '2026-01-01', '2026-01-01', 1, '', '');"
        ))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let readings =
        format!("table: readings, timestamp_field: at, device_template: 'root.{name}.{{pump}}'");
    let of_table = |tags: &str| {
        format!(
            "{{model: table, database: {name}, mappings: [\n{{table: readings, timestamp_field: at, tags: [{tags}]}}]}}"
        )
    };
    let in_tree = |mapping: &str| format!("{{mappings: [\n{mapping}]}}");
    for (mappings, expected) in [
        (
            in_tree(&format!(
                "{{{readings}, measurements: [{{name: note, type: ¦DOUBLE}}]}}"
            )),
            "the column `note` cannot be DOUBLE: found VARCHAR(20), expected TEXT, STRING or BLOB for it",
        ),
        (
            in_tree(&format!(
                "{{{readings}, measurements: [{{name: ¦temp, type: DOUBLE}}]}}"
            )),
            "the table mappings.readings has no such column: found `temp`, expected one of {columns}",
        ),
        (
            in_tree("{table: ¦gone, timestamp_field: at, device_template: 'root.x.{pump}'}"),
            "no such table is read: found `mappings.gone`, expected one of mappings.others, mappings.readings",
        ),
        (
            in_tree("{table: readings, timestamp_field: ¦note, device_template: 'root.x.{pump}'}"),
            "the column `note` holds no time: found VARCHAR(20), expected a DATE, DATETIME, TIMESTAMP or integer column",
        ),
        (
            in_tree("{table: readings, timestamp_field: ¦fine, device_template: 'root.x.{pump}'}"),
            "the times of `fine` have more digits than IoTDB keeps: found DATETIME(6), expected at most ms",
        ),
        (
            in_tree("{table: readings, timestamp_field: at, device_template: ¦'root.x.{pmup}'}"),
            "the table mappings.readings has no such column: found `pmup`, expected one of {columns}",
        ),
        (
            in_tree("{table: readings, timestamp_field: at, device_template: ¦'root.x.{raw}'}"),
            "the column `raw` cannot be a part of a path: found VARBINARY(9), expected a column that can be written as text",
        ),
        (
            in_tree(&format!(
                "{{{readings}}},\n{{table: others, timestamp_field: at, device_template: ¦'root.{name}.${{pump}}'}}"
            )),
            "two mappings write the same points: found `root.mappings.${pump}` with the measurement `id`, which iotdb.mappings[0] writes to the same devices",
        ),
        (
            of_table("pump, ¦site"),
            "the table mappings.readings has no such column: found `site`, expected one of {columns}",
        ),
        (
            of_table("¦raw"),
            "the column `raw` cannot be a tag: found VARBINARY(9), expected a column that can be written as text",
        ),
    ] {
        let marked = file(name, &mappings);
        fs::write(folder.path().join("config.yaml"), marked.replace('¦', "")).unwrap();
        let before = marked.split('¦').next().unwrap();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
        let place = format!("config.yaml:{line}:{column}:");
        let expected = format!("{place} {}", expected.replace("{columns}", COLUMNS));
        let said = run_in(
            folder.path(),
            &[
                "backfill",
                "--config",
                "config.yaml",
                "--log-format",
                "json",
            ],
        );
        let told = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            line["message"]
                .as_str()
                .is_some_and(|message| message.starts_with(&expected))
        };
        assert!(
            said.code == 2 && said.out.is_empty() && said.err.lines().any(told),
            "expected {expected}\n{said:?}"
        );
        // Looked at beforehand, it says the same.
        let said = run_in(folder.path(), &["check", "--config", "config.yaml"]);
        assert!(
            said.code == 1 && said.out.contains(&place),
            "expected {place}\n{said:?}"
        );
    }
    fs::write(
        folder.path().join("config.yaml"),
        file(name, &in_tree(&format!("{{{readings}}}"))),
    )
    .unwrap();
    let said = run_in(folder.path(), &["check", "--config", "config.yaml"]);
    assert_eq!(said.code, 0, "{said:?}");
}
