//! What `check` finds before anything is written.

use headwater_core::finding::{Finding, Level};

use super::{clean, options, schema};
use crate::check;
use crate::config::{IotdbOptions, Model};
use crate::sink::any_session;

async fn failures(options: &IotdbOptions) -> Vec<String> {
    let findings = check(options, &[schema("readings")], &|_, name| {
        (name == "note").then(|| "varchar(20)".to_owned())
    })
    .await
    .unwrap();
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
