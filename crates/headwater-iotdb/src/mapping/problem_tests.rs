//! Each impossible mapping, with what is said of it.

use std::sync::Arc;

use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};

use super::*;
use crate::config::{Address, ExtraDigits, Measurement, SeriesType};

fn schema(table: &str) -> Arc<TableSchema> {
    let column = |name: &str, data_type| Column {
        name: name.into(),
        data_type,
        nullable: true,
    };
    let big = DataType::Integer {
        bits: 64,
        unsigned: false,
    };
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("plant", table),
        columns: vec![
            column("pump", DataType::Text),
            column("at", DataType::DateTime(3)),
            column("fine", DataType::Timestamp(6)),
            column("count", big),
            column("flow", DataType::Double),
            column("note", DataType::Text),
            column("raw", DataType::Bytes),
        ],
        primary_key: vec![0],
        key: vec![0],
        key_order: KeyOrder::Client,
    })
}

fn mapping(table: &str) -> Mapping {
    Mapping {
        duplicates: crate::config::Duplicates::Refuse,
        table: TableName::new("plant", table),
        target: "root.plant.{pump}".to_owned(),
        device_fields: Vec::new(),
        attribute_fields: Vec::new(),
        timestamp_field: "at".to_owned(),
        timestamp_unit: None,
        measurements: vec![measurement("flow", SeriesType::Double)],
    }
}

fn measurement(name: &str, series_type: SeriesType) -> Measurement {
    Measurement {
        name: name.to_owned(),
        series_type,
        field: name.to_owned(),
    }
}

fn said(change: impl FnOnce(&mut IotdbOptions)) -> Vec<String> {
    let nowhere = Address {
        host: "nowhere".to_owned(),
        port: 1,
    };
    let mut options = IotdbOptions::new(vec![nowhere], vec![mapping("readings")]);
    change(&mut options);
    let tables = [schema("readings"), schema("others")];
    let declared = |_: &TableName, name: &str| (name == "note").then(|| "varchar(20)".to_owned());
    let found = problems(&options, &tables, &declared, Some(TimeUnit::Millisecond));
    found
        .into_iter()
        .map(|problem| format!("{}: {problem}", problem.path))
        .collect()
}

#[test]
fn what_can_be_is_not_refused() {
    assert_eq!(said(|_| {}), Vec::<String>::new());
    let apart = said(|options| {
        options.mappings.push(mapping("others"));
        options.mappings[1].target = "root.others.{pump}".to_owned();
    });
    assert_eq!(apart, Vec::<String>::new());
    let other_names = said(|options| {
        options.mappings.push(mapping("others"));
        options.mappings[1].measurements = vec![measurement("note", SeriesType::Text)];
    });
    assert_eq!(other_names, Vec::<String>::new());
}

/// Changes a mapping into one that cannot be.
type Breaks = fn(&mut IotdbOptions);

const COLUMNS: &str = "pump, at, fine, count, flow, note, raw";

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn each_impossible_mapping_says_where_what_was_found_and_what_was_expected() {
    let cases: &[(Breaks, &str)] = &[
        (
            |options| options.mappings[0].table = TableName::new("plant", "gone"),
            "table: no such table is read: found `plant.gone`, expected one of plant.readings, plant.others",
        ),
        (
            |options| options.mappings[0].timestamp_field = "note".into(),
            "timestamp_field: the column `note` holds no time: found VARCHAR(20), expected a DATE, DATETIME, TIMESTAMP or integer column",
        ),
        (
            |options| options.mappings[0].timestamp_field = "when".into(),
            "timestamp_field: the table plant.readings has no such column: found `when`, expected one of {columns}",
        ),
        (
            |options| options.mappings[0].timestamp_field = "fine".into(),
            "timestamp_field: the times of `fine` have more digits than IoTDB keeps: found TIMESTAMP(6), expected at most ms",
        ),
        (
            |options| {
                options.mappings[0].timestamp_field = "count".into();
                options.mappings[0].timestamp_unit = Some(TimeUnit::Microsecond);
            },
            "timestamp_unit: the times of `count` have more digits than IoTDB keeps: found us, expected at most ms",
        ),
        (
            |options| options.mappings[0].target = "root.plant.{where}".into(),
            "device_template: the table plant.readings has no such column: found `where`, expected one of {columns}",
        ),
        (
            |options| options.mappings[0].target = "plant.{pump}".into(),
            "device_template: the device template is no path of the tree model: found `plant.{pump}`, expected a path such as root.plant.pump_{pumpId}",
        ),
        (
            |options| options.mappings[0].target = "root.plant.{pump".into(),
            "device_template: a device template has a brace that is not closed: found `root.plant.{pump`, expected a path",
        ),
        (
            |options| options.mappings[0].target = "root.plant.{raw}".into(),
            "device_template: the column `raw` cannot be a part of a path: found bytes, expected a column that can be written as text",
        ),
        (
            |options| options.mappings[0].measurements[0].series_type = SeriesType::Int32,
            "measurements[0].type: the column `flow` cannot be INT32: found DOUBLE, expected FLOAT, DOUBLE, TEXT or STRING for it",
        ),
        (
            |options| {
                options.mappings[0]
                    .measurements
                    .push(measurement("note", SeriesType::Double))
            },
            "measurements[1].type: the column `note` cannot be DOUBLE: found VARCHAR(20), expected TEXT, STRING or BLOB for it",
        ),
        (
            |options| {
                options.mappings[0]
                    .measurements
                    .push(measurement("temp", SeriesType::Double))
            },
            "measurements[1].field: the table plant.readings has no such column: found `temp`, expected one of {columns}",
        ),
        (
            |options| {
                options.mappings[0]
                    .measurements
                    .push(measurement("flow", SeriesType::Double))
            },
            "measurements[1].name: a name is given to two columns: found `flow` again, expected a name of its own",
        ),
        (
            |options| {
                let mapping = mapping("readings");
                options.mappings.insert(0, mapping);
                options.mappings[0].timestamp_field = "fine".into();
                options.time.extra_digits = ExtraDigits::Round;
            },
            "table: a table is mapped twice: found `plant.readings`, which iotdb.mappings[0] has, expected one mapping of each table",
        ),
        (
            |options| {
                let mut first = mapping("others");
                first.target = "root.plant.${count}".into();
                options.mappings.insert(0, first);
            },
            "device_template: two mappings write the same points: found `root.plant.{pump}` with the measurement `flow`, which iotdb.mappings[0] writes",
        ),
        (
            |options| {
                options.model = Model::Table {
                    database: "d".into(),
                };
                options.mappings[0].device_fields = vec!["pump".into(), "site".into()];
            },
            "tags[1]: the table plant.readings has no such column: found `site`, expected one of {columns}",
        ),
        (
            |options| {
                options.model = Model::Table {
                    database: "d".into(),
                };
                options.mappings[0].device_fields = vec!["raw".into()];
            },
            "tags[0]: the column `raw` cannot be a tag: found bytes",
        ),
        (
            |options| {
                options.model = Model::Table {
                    database: "d".into(),
                };
                options.mappings[0].attribute_fields = vec!["owner".into()];
            },
            "attributes[0]: the table plant.readings has no such column: found `owner`",
        ),
        (
            |options| {
                options.model = Model::Table {
                    database: "d".into(),
                };
                options.mappings[0].target = "t".into();
                options.mappings.insert(0, options.mappings[0].clone());
                options.mappings[0].table = TableName::new("plant", "others");
            },
            "target: two mappings write the same points: found `t` with the measurement `flow`",
        ),
    ];
    for (breaks, expected) in cases {
        let found = said(breaks);
        let expected = expected.replace("{columns}", COLUMNS);
        let at = found
            .first()
            .map(|line| line.starts_with("iotdb.mappings[1]"));
        let place = format!("iotdb.mappings[{}].", u8::from(at == Some(true)));
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("{place}{expected}")),
            "expected {place}{expected}\n   found {found:#?}"
        );
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let found = said(|options| {
        let mapping = &mut options.mappings[0];
        mapping.timestamp_field = "note".into();
        mapping.target = "root.{a}.{b}".into();
        mapping.measurements = vec![
            measurement("flow", SeriesType::Boolean),
            measurement("gone", SeriesType::Boolean),
        ];
    });
    assert_eq!(found.len(), 5, "{found:#?}");
}
