//! What `check` finds before anything is written.

use headwater_core::finding::{Finding, Level};

use super::{clean, options, schema};
use crate::check;
use crate::config::{IotdbOptions, Model, SeriesType};
use crate::sink::any_session;

async fn failures(options: &IotdbOptions) -> Vec<String> {
    let findings = check(options, &[schema("readings")]).await.unwrap();
    let failed = findings
        .iter()
        .filter(|finding| finding.level == Level::Failed);
    failed
        .map(
            |Finding {
                 name,
                 found,
                 expected,
                 ..
             }| format!("{name}: {found}: {expected}"),
        )
        .collect()
}

async fn execute(options: &IotdbOptions, statements: &[String]) {
    let mut session = any_session(options).await.unwrap();
    for statement in statements {
        let status = session.execute(statement).await.unwrap();
        assert!(status.is_success(), "{statement}: {status:?}");
    }
    session.close().await;
}

#[tokio::test]
async fn series_of_another_type_or_form_are_found_before_anything_is_written() {
    let name = "check_tree";
    let options = options(&Model::Tree { is_aligned: true }, name);
    clean(&options, name).await;
    assert_eq!(failures(&options).await, Vec::<String>::new());
    let series = |device: &str, kind: &str| {
        format!("CREATE TIMESERIES root.{name}.{device}.flow WITH DATATYPE={kind}")
    };
    execute(&options, &[series("a", "DOUBLE"), series("b", "BOOLEAN")]).await;
    let found = failures(&options).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with(&format!("series root.{name}.b.flow: BOOLEAN")),
        "{found:?}"
    );
    assert!(found[1].contains("not aligned"), "{found:?}");
}

#[tokio::test]
async fn columns_of_another_type_or_category_are_found() {
    let name = "check_table";
    let database = String::new();
    let options = options(&Model::Table { database }, name);
    clean(&options, name).await;
    assert_eq!(failures(&options).await, Vec::<String>::new());
    let statements = [
        format!("USE {name}"),
        "DROP TABLE readings".to_owned(),
        "CREATE TABLE readings (pump STRING ATTRIBUTE, flow BOOLEAN FIELD, note TEXT FIELD)"
            .to_owned(),
    ];
    execute(&options, &statements).await;
    let found = failures(&options).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("STRING ATTRIBUTE") && found[1].contains("BOOLEAN FIELD"),
        "{found:?}"
    );
}

#[tokio::test]
async fn impossible_mappings_say_what_was_found_and_expected() {
    let name = "check_mapping";
    let plain = options(&Model::Tree { is_aligned: true }, name);
    let changed = |change: &dyn Fn(&mut crate::config::Mapping)| {
        let mut options = plain.clone();
        change(&mut options.mappings[0]);
        options
    };
    for (options, expected) in [
        (
            changed(&|mapping| mapping.timestamp_field = "note".into()),
            "holds none",
        ),
        (
            changed(&|mapping| mapping.timestamp_field = "when".into()),
            "no such column",
        ),
        (
            changed(&|mapping| mapping.target = "root.x.{where}".into()),
            "no such column",
        ),
        (
            changed(&|mapping| mapping.target = "plant.{pump}".into()),
            "no path",
        ),
        (
            changed(&|mapping| mapping.measurements[0].series_type = SeriesType::Int32),
            "FLOAT, DOUBLE, TEXT or STRING",
        ),
        (
            changed(&|mapping| mapping.measurements[1].name = "flow".into()),
            "two columns",
        ),
        (
            changed(&|mapping| {
                mapping.table = headwater_core::schema::TableName::new("plant", "other")
            }),
            "no such table",
        ),
    ] {
        let found = failures(&options).await;
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{expected}: {found:?}"
        );
    }
}
