//! Rows that cannot be written: found, kept, and no others with them.

use std::path::Path;

use headwater_core::batch::Batch;
use headwater_core::dead_letters;
use headwater_core::sink::{Durability, Receipt, Sink};

use super::{Reading, clean, options, push, query, schema, time};
use crate::client::Value;
use crate::config::{Model, OnError};
use crate::sink::{IotdbSink, any_session};

fn reading(id: i64, pump: Option<&str>, minute: u32) -> Reading {
    Reading {
        id,
        pump: pump.map(str::to_owned),
        minute,
        flow: Some(1.5),
        note: Some("x".to_owned()),
    }
}

async fn write(sink: &mut IotdbSink, rows: &[Reading]) -> headwater_core::Result<Receipt> {
    let schema = schema("readings");
    let mut batch = Batch::new();
    for row in rows {
        push(&mut batch, &schema, None, Some(row));
    }
    sink.write(&batch, Durability::Durable).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_rows_go_to_the_dead_letters_and_no_others() {
    let name = "sink_letters";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let mut options = options(&Model::Tree { is_aligned: false }, name);
    options.on_error = OnError::DeadLetters(path.clone());
    clean(&options, name).await;
    // One device has a series of another type.
    let statement = format!("CREATE TIMESERIES root.{name}.odd.flow WITH DATATYPE=BOOLEAN");
    let mut session = any_session(&options).await.unwrap();
    assert!(session.execute(&statement).await.unwrap().is_success());
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    sink.open(None).await.unwrap();
    let mut rows = vec![
        reading(1, None, 0),
        reading(2, Some(""), 0),
        reading(3, Some("good"), 0),
        reading(4, Some("odd"), 0),
        reading(5, Some("odd"), 1),
        reading(6, Some("other"), 0),
    ];
    rows.extend((10..40).map(|id| reading(id, Some("good"), u32::try_from(id).unwrap())));
    write(&mut sink, &rows).await.unwrap();
    let refused: Vec<i64> = letters(&path);
    assert_eq!(refused, [1, 2, 4, 5]);
    let counted = sink.counts().counted();
    assert_eq!((counted.rows, counted.refused), (32, 4));
    for (pump, expected) in [("good", 31), ("other", 1), ("odd", 0)] {
        let statement = format!("SELECT count(flow) FROM root.{name}.{pump}");
        let found = query(&options, &statement).await;
        assert_eq!(found.values, [[Value::Int64(expected)]], "{pump}");
    }
}

fn letters(path: &Path) -> Vec<i64> {
    let letters = dead_letters::read(path).unwrap();
    let mut keys: Vec<i64> = letters
        .iter()
        .map(|letter| {
            assert!(
                !letter.reason.is_empty() && !letter.data.is_empty(),
                "{letter:?}"
            );
            letter.key["id"].as_i64().unwrap()
        })
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_older_than_their_time_to_live_are_found_among_the_others() {
    let name = "sink_ttl";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let mut options = options(&Model::Tree { is_aligned: true }, name);
    options.on_error = OnError::DeadLetters(path.clone());
    clean(&options, name).await;
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    sink.open(None).await.unwrap();
    write(&mut sink, &[reading(0, Some("d"), 0)]).await.unwrap();
    // Everything before minute 20 is too old: the limit lies between two rows, whenever this runs.
    let now = i64::try_from(headwater_core::clock::now_s()).unwrap() * 1_000;
    let age = now - time(20) + 30_000;
    let mut session = any_session(&options).await.unwrap();
    let status = session
        .execute(&format!("SET TTL TO root.{name}.** {age}"))
        .await
        .unwrap();
    assert!(status.is_success(), "{status:?}");
    let rows: Vec<Reading> = (10..40)
        .map(|id| reading(id, Some("d"), u32::try_from(id).unwrap()))
        .collect();
    write(&mut sink, &rows).await.unwrap();
    let refused = letters(&path);
    assert!(
        refused.contains(&10) && refused.contains(&18),
        "{refused:?}"
    );
    assert!(
        !refused.contains(&39) && !refused.contains(&30),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_whose_new_place_is_refused_is_no_longer_at_its_old_one() {
    let name = "sink_moved";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let mut options = options(&Model::Tree { is_aligned: true }, name);
    options.on_error = OnError::DeadLetters(path.clone());
    clean(&options, name).await;
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    sink.open(None).await.unwrap();
    let [old, other] = [reading(1, Some("a"), 0), reading(2, Some("a"), 1)];
    write(&mut sink, &[old.clone(), other]).await.unwrap();
    let schema = schema("readings");
    let mut batch = Batch::new();
    push(&mut batch, &schema, Some(&old), Some(&reading(1, None, 0)));
    sink.write(&batch, Durability::Durable).await.unwrap();
    assert_eq!(letters(&path), [1]);
    let statement = format!("SELECT flow FROM root.{name}.a");
    let left = query(&options, &statement).await;
    assert_eq!(left.times, [time(1)], "the other row's alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_dead_letters_a_refused_row_ends_the_run() {
    let name = "sink_stop";
    let options = options(&Model::Tree { is_aligned: true }, name);
    clean(&options, name).await;
    let mut sink = IotdbSink::new(options).unwrap();
    sink.open(None).await.unwrap();
    let error = write(&mut sink, &[reading(7, None, 0)]).await.unwrap_err();
    assert!(
        !error.is_temporary() && error.to_string().contains("{\"id\":7}"),
        "{error}"
    );
}
