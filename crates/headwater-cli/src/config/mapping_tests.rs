//! Mappings that cannot be, as far as the file alone can tell: each is refused with its place, which `¦` marks here.

use super::read;

/// A file that is right, but for `{}`; what it is about stands for `{model}` and at the end.
const FILE: &str = "\
connections:
  mysql: {host: h, user: u, database: plant}
  iotdb: {host: h}
mysql:
  tables:
    - name: readings
      columns: [{name: pump, type: VARCHAR(20)}, {name: at, type: DATETIME(3)}, {name: flow, type: 'DECIMAL(10,2)'}, {name: raw, type: BLOB}, {name: odd, type: NOTHING}]
    - name: others
      columns: [{name: at, type: BIGINT}, {name: n, type: INT}]
iotdb:
  {model}
  mappings:
";

const COLUMNS: &str = "pump, at, flow, raw, odd";

fn said(text: &str) -> Vec<String> {
    match read("config.yaml", text, &|_| None) {
        Ok(_) => Vec::new(),
        Err(refused) => {
            let problems = refused.problems.iter();
            problems.map(|problem| refused.line(problem)).collect()
        }
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn each_impossible_mapping_is_refused_with_its_place() {
    let tree = "aligned: true";
    let table = "{model: table, database: d}"
        .trim_matches(['{', '}'])
        .replace(", ", "\n  ");
    let good = "{table: readings, timestamp_field: at, device_template: 'root.p.{pump}'";
    for (model, mapping, expected) in [
        (tree, format!("    - {good}}}"), None),
        (
            tree,
            format!("    - {good}, measurements: [{{name: odd, type: DOUBLE}}]}}"),
            None,
        ),
        (
            tree,
            format!("    - {good}, measurements: [{{name: pump, type: ¦DOUBLE}}]}}"),
            Some(
                "the column `pump` cannot be DOUBLE: found VARCHAR(20), expected TEXT, STRING or BLOB for it",
            ),
        ),
        (
            tree,
            format!("    - {good}, measurements: [{{name: f, type: ¦INT32, field: flow}}]}}"),
            Some(
                "the column `flow` cannot be INT32: found DECIMAL(10,2), expected FLOAT, DOUBLE, TEXT or STRING for it",
            ),
        ),
        (
            tree,
            format!("    - {good}, measurements: [{{name: ¦gone, type: INT32}}]}}"),
            Some(
                "the table `readings` lists no such column: found `gone`, expected one of {columns}",
            ),
        ),
        (
            tree,
            format!(
                "    - {good}, measurements: [{{name: a, type: TEXT, field: pump}}, {{name: ¦a, type: DOUBLE, field: flow}}]}}"
            ),
            Some(
                "a name is given to two columns: found `a` again, expected a name of its own for each measurement",
            ),
        ),
        (
            tree,
            "    - {table: readings, timestamp_field: ¦flow, device_template: 'root.p.{pump}'}"
                .to_owned(),
            Some(
                "the column `flow` holds no time: found DECIMAL(10,2), expected a DATE, DATETIME, TIMESTAMP or integer column",
            ),
        ),
        (
            tree,
            "    - {table: readings, timestamp_field: ¦when, device_template: 'root.p.{pump}'}"
                .to_owned(),
            Some(
                "the table `readings` lists no such column: found `when`, expected one of {columns}",
            ),
        ),
        (
            tree,
            "    - {table: ¦gone, timestamp_field: at, device_template: 'root.p.{pump}'}"
                .to_owned(),
            Some("no such table is listed: found `gone`, expected one of readings, others"),
        ),
        (
            tree,
            "    - {table: readings, timestamp_field: at, device_template: ¦'root.p.{pmup}'}"
                .to_owned(),
            Some(
                "the table `readings` lists no such column: found `pmup`, expected one of {columns}",
            ),
        ),
        (
            tree,
            "    - {table: readings, timestamp_field: at, device_template: ¦'plant.{pump}'}"
                .to_owned(),
            Some(
                "the device template is no path of the tree model: found `plant.{pump}`, expected a path such as root.plant.pump_{pumpId}",
            ),
        ),
        (
            tree,
            "    - {table: readings, timestamp_field: at, device_template: ¦'root.p..{pump}'}"
                .to_owned(),
            Some(
                "a device template has an empty node: found `root.p..{pump}`, expected a path such as root.plant.pump_{pumpId}",
            ),
        ),
        (
            tree,
            "    - ¦{table: readings, timestamp_field: at}".to_owned(),
            Some("the mapping of `readings` has no `device_template`"),
        ),
        (
            tree,
            format!("    - {good}, tags: ¦[pump]}}"),
            Some(
                "this means nothing in the tree model: found `tags`, expected `device_template`, or `model: table`",
            ),
        ),
        (
            tree,
            format!(
                "    - {good}}}\n    - {}}}",
                good.replace("table: ", "table: ¦")
            ),
            Some(
                "a table is mapped twice: found `readings` again, expected one mapping of each table",
            ),
        ),
        (
            &table,
            format!("    - {}}}", good.replace("template: ", "template: ¦")),
            Some(
                "this means nothing in the table model: found `device_template`, expected `target`, `tags` and `attributes`",
            ),
        ),
        (
            &table,
            "    - {table: readings, timestamp_field: at, tags: [pump, ¦site]}".to_owned(),
            Some(
                "the table `readings` lists no such column: found `site`, expected one of {columns}",
            ),
        ),
        (
            "model: ¦table",
            "    - {table: readings, timestamp_field: at, tags: [pump]}".to_owned(),
            Some("the table model does not say which database"),
        ),
        (
            "time: {zone: ¦Mars/Olympus}",
            format!("    - {good}}}"),
            Some("no time zone has this name (name Mars/Olympus)"),
        ),
    ] {
        let marked = FILE.replace("{model}", model) + &mapping;
        let place = marked.split('¦').next().unwrap();
        let line = place.matches('\n').count() + 1;
        let column = place.rsplit('\n').next().unwrap().chars().count() + 1;
        let found = said(&marked.replace('¦', ""));
        let expected: Vec<String> = expected
            .iter()
            .map(|said| {
                format!(
                    "config.yaml:{line}:{column}: {}",
                    said.replace("{columns}", COLUMNS)
                )
            })
            .collect();
        let is_same = found.len() == expected.len()
            && found
                .iter()
                .zip(&expected)
                .all(|(found, line)| found.starts_with(line));
        assert!(
            is_same,
            "{mapping}\n   found {found:#?}\nexpected {expected:#?}"
        );
    }
}
