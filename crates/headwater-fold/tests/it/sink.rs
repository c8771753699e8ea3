//! The sink of folds, with the embedded store behind it.

use headwater_core::batch::Batch;
use headwater_core::sink::{Durability, Sink as _};
use headwater_fold::fold::{Fold, Typed};
use headwater_fold::query::{Answer, Question, answer};
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
    let question = Question {
        fold: "it".to_owned(),
        ..Question::default()
    };
    let answer = asked(typed, options, batches, &question).await;
    answer.answers[0].value.clone()
}

async fn asked(
    typed: Typed,
    options: FoldOptions,
    batches: &[Batch],
    question: &Question,
) -> Answer {
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
    answer(&reader, question, 0).await.unwrap()
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

#[tokio::test]
async fn the_top_keys_are_found_among_more_than_are_held_at_a_time() {
    const KEYS: i64 = 5000;
    let orders = table("orders");
    let mut batch = Batch::new();
    for number in 0..KEYS {
        let amount = number * 7919 % KEYS;
        insert(
            &mut batch,
            &[(&orders, amount, &format!("customer {number}"))],
        );
    }
    let fold = json!({
        "name": "it", "table": { "database": "shop", "table": "orders" }, "key": ["value"], "value": ["id"], "monoid": "sum",
    });
    let fold: Fold = serde_json::from_value(fold).unwrap();
    let question = Question {
        fold: "it".to_owned(),
        top: Some(3),
        ..Question::default()
    };
    let typed = fold.over(&orders).unwrap();
    let answer = asked(typed, FoldOptions::default(), &[batch], &question).await;
    let values: Vec<&Value> = answer.answers.iter().map(|answer| &answer.value).collect();
    assert_eq!(values, [KEYS - 1, KEYS - 2, KEYS - 3]);
    for answer in &answer.answers {
        let number: i64 = answer
            .key
            .strip_prefix("customer ")
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(answer.value, number * 7919 % KEYS);
    }
}
