//! Rows of one device and one time, where the mapping lets the last one win.

use headwater_core::batch::Batch;
use headwater_core::sink::{Durability, Sink};

use super::{Points, Reading, clean, options, points, push, schema, time};
use crate::client::Value;
use crate::config::{DeletePolicy, Duplicates, Model};
use crate::sink::IotdbSink;

fn reading(id: i64, minute: u32, flow: Option<f64>, note: Option<&str>) -> Reading {
    Reading {
        id,
        pump: Some("p".to_owned()),
        minute,
        flow,
        note: note.map(str::to_owned),
    }
}

fn expected(values: &[(u32, Option<f64>, Option<&str>)]) -> Points {
    let mut points = Points::new();
    for (minute, flow, note) in values {
        let place = |name| ("p".to_owned(), time(*minute), name);
        if let Some(flow) = flow {
            points.insert(place("flow"), Value::Double(*flow));
        }
        if let Some(note) = note {
            points.insert(place("note"), Value::Bytes(note.as_bytes().into()));
        }
    }
    points
}

async fn the_last_wins(model: Model, name: &str) {
    let mut options = options(&model, name);
    options.policy.delete = DeletePolicy::Delete;
    options.mappings[0].duplicates = Duplicates::Last;
    clean(&options, name).await;
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    sink.open(None).await.unwrap();
    let schema = schema("readings");
    let [a, b] = [
        reading(1, 0, Some(1.0), Some("a")),
        reading(2, 0, Some(2.0), None),
    ];
    let moved = reading(2, 1, Some(3.0), None);
    let emptied = reading(1, 0, None, Some("a"));
    // Each step with what is there afterwards, and how many duplicates and ignored deletes there were so far.
    let both = [(0, Some(2.0), Some("a"))];
    let apart = [(0, Some(2.0), Some("a")), (1, Some(3.0), None)];
    let steps = [
        (None, Some(&a), &[(0, Some(1.0), Some("a"))][..], (0, 0)),
        // Value by value: its NULL is none, so the first row's note stays.
        (None, Some(&b), &both[..], (1, 0)),
        // The first one's flow is the second one's by now.
        (Some(&a), Some(&emptied), &both[..], (2, 1)),
        (Some(&emptied), None, &both[..], (2, 2)),
        (Some(&b), Some(&moved), &apart[..], (2, 3)),
        (Some(&moved), None, &apart[..], (2, 4)),
    ];
    for (at, (before, after, left, counts)) in steps.into_iter().enumerate() {
        let mut batch = Batch::new();
        push(&mut batch, &schema, before, after);
        sink.write(&batch, Durability::Durable).await.unwrap();
        assert_eq!(points(&options, name).await, expected(left), "step {at}");
        let counted = sink.counts().counted();
        assert_eq!(
            (counted.duplicates, counted.ignored_deletes),
            counts,
            "step {at}"
        );
    }
    assert_eq!(sink.counts().counted().delete_calls, 0);
    // Two rows of one place in one batch.
    let mut batch = Batch::new();
    for row in [
        reading(7, 9, Some(1.0), None),
        reading(8, 9, Some(2.0), None),
    ] {
        push(&mut batch, &schema, None, Some(&row));
    }
    sink.write(&batch, Durability::Durable).await.unwrap();
    assert_eq!(sink.counts().counted().duplicates, 3);
    let found = points(&options, name).await;
    let last = found.get(&("p".to_owned(), time(9), "flow"));
    assert_eq!(last, Some(&Value::Double(2.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_two_rows_wins_and_neither_takes_the_others_point_away() {
    the_last_wins(Model::Tree { is_aligned: false }, "twice_tree").await;
    let database = String::new();
    the_last_wins(Model::Table { database }, "twice_table").await;
}
