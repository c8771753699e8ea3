//! The sink of folds, with the embedded store behind it.

use headwater_core::batch::Batch;
use headwater_core::sink::{Durability, Sink as _};
use headwater_fold::fold::{Fold, Typed};
use headwater_fold::query::{Question, answer};
use headwater_fold::sink::{FoldOptions, FoldSink};
use headwater_fold::store::{Embedded, StateStore as _};
use serde_json::{Value, json};

use crate::rows::{insert, table};

fn fold(monoid: Value, schema: &headwater_core::schema::TableSchema) -> Typed {
    let fold = json!({
        "name": "it", "table": { "database": "shop", "table": "orders" }, "value": ["value"], "monoid": monoid,
        "take_back": "ignore",
    });
    let fold: Fold = serde_json::from_value(fold).unwrap();
    fold.over(schema).unwrap()
}

/// What is answered after these batches.
async fn folded(typed: Typed, options: FoldOptions, batches: &[Batch]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::new(&folder.path().join("folds.redb"));
    let reader = store.reader().unwrap();
    let mut sink = FoldSink::new(vec![typed], store, options).unwrap();
    sink.recover().await.unwrap();
    sink.open(None).await.unwrap();
    for batch in batches {
        sink.write(batch, Durability::Accepted).await.unwrap();
    }
    sink.commit(&json!({ "log": { "position": 1 }, "written_at_s": 1 }))
        .await
        .unwrap();
    let question = Question {
        fold: "it".to_owned(),
        ..Question::default()
    };
    let answer = answer(&reader, &question, 0).await.unwrap();
    answer.answers[0].value.clone()
}

#[tokio::test]
async fn a_transaction_comes_after_one_whose_last_row_is_of_a_table_that_is_not_folded() {
    let (orders, users) = (table("orders"), table("users"));
    let mut batch = Batch::new();
    insert(&mut batch, &[(&orders, 1, "b"), (&users, 1, "")]);
    insert(&mut batch, &[(&orders, 2, "a")]);
    let of = |monoid: &str| fold(json!(monoid), &orders);
    let batches = [batch];
    let last = folded(of("last"), FoldOptions::default(), &batches).await;
    assert_eq!(last, json!("a"));
    let first = folded(of("first"), FoldOptions::default(), &batches).await;
    assert_eq!(first, json!("b"));
}
