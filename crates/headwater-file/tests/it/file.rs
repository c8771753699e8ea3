//! What a file sink writes, when it can be seen, and what it takes back.

use std::fs;
use std::time::{Duration, Instant};

use headwater_core::ErrorKind;
use headwater_core::failpoint::Failpoints;
use headwater_core::sink::{Durability, Sink};
use headwater_file::{FileOptions, FileSink, NullSink};
use serde_json::{Value, json};

use crate::support::{Lines, accept, batch, eventually, lines, sink, told, write};

#[tokio::test]
async fn rows_stand_in_the_file_in_order_and_the_mark_says_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut sink = sink(&path);
    sink.open(None).await.unwrap();
    for first in (0..1000).step_by(10) {
        accept(&mut sink, first..first + 10).await;
    }
    let mark = write(&mut sink, 1000..1010).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, lines(0..1010));
    assert_eq!(mark["offset"], json!(text.len()));
}

#[tokio::test]
async fn what_was_accepted_can_be_seen_without_anything_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut sink = sink(&path);
    sink.open(None).await.unwrap();
    for number in 0..5 {
        accept(&mut sink, [number]).await;
        eventually("the row stands in the file", || {
            fs::read_to_string(&path).unwrap() == lines(0..=number)
        });
    }
}

#[tokio::test]
async fn a_barrier_does_not_wait_for_more_rows() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions {
        linger: Duration::from_secs(60),
        ..FileOptions::default()
    };
    let mut sink = FileSink::new(
        folder.path().join("events.jsonl"),
        Lines::default(),
        options,
    );
    sink.open(None).await.unwrap();
    let start = Instant::now();
    accept(&mut sink, 0..3).await;
    write(&mut sink, 3..5).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn batches_far_larger_than_the_buffers_come_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let options = FileOptions {
        buffer_bytes_max: 64,
        run_bytes_min: 16,
        ..FileOptions::default()
    };
    let mut sink = FileSink::new(&path, Lines::default(), options);
    sink.open(None).await.unwrap();
    let mut next = 0;
    for size in [1, 500, 2, 0, 3, 5000, 1, 1, 1] {
        accept(&mut sink, next..next + size).await;
        next += size;
    }
    write(&mut sink, []).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..next));
}

#[tokio::test]
async fn what_comes_after_the_mark_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut first = sink(&path);
    first.open(None).await.unwrap();
    let mark = write(&mut first, 0..10).await.unwrap();
    accept(&mut first, 10..20).await;
    drop(first);
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..20));
    // A row that a crash tore.
    fs::write(&path, lines(0..20) + "ro").unwrap();

    let mut second = sink(&path);
    second.open(Some(&mark)).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..10));
    write(&mut second, 10..12).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..12));
}

#[tokio::test]
async fn a_file_that_ends_at_its_mark_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut mark = None;
    for round in 0..5 {
        let mut sink = sink(&path);
        sink.open(mark.as_ref()).await.unwrap();
        mark = Some(write(&mut sink, round..=round).await.unwrap());
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..5));
}

#[tokio::test]
async fn the_first_mark_of_an_empty_file_takes_everything_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut first = sink(&path);
    first.open(None).await.unwrap();
    let mark = write(&mut first, []).await.unwrap();
    accept(&mut first, 0..10).await;
    drop(first);
    sink(&path).open(Some(&mark)).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

#[tokio::test]
async fn an_open_sink_rewinds_to_a_mark_and_to_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut sink = sink(&path);
    sink.open(None).await.unwrap();
    let mark = write(&mut sink, 0..10).await.unwrap();
    accept(&mut sink, 50..60).await;
    sink.open(Some(&mark)).await.unwrap();
    let next = write(&mut sink, 10..12).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..12));
    assert_eq!(next["offset"], json!(lines(0..12).len()));

    sink.open(None).await.unwrap();
    write(&mut sink, 0..1).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..1));
}

#[tokio::test]
async fn an_open_sink_that_began_after_a_mark_does_not_rewind_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut first = sink(&path);
    first.open(None).await.unwrap();
    let mark = write(&mut first, 0..10).await.unwrap();
    drop(first);
    let mut second = sink(&path);
    second.open(Some(&mark)).await.unwrap();
    let error = second.open(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected, "{}", told(&error));
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..10));
}

#[tokio::test]
async fn a_failure_is_told_until_the_sink_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let armed = Failpoints::parse("sink.written=error@2", || std::process::abort()).unwrap();
    let mut sink = sink(&path).with_failpoints(armed);
    sink.open(None).await.unwrap();
    let mark = write(&mut sink, 0..10).await.unwrap();
    let nothing = batch([]);
    for _ in 0..3 {
        let error = write(&mut sink, 10..20).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{}", told(&error));
        let barrier = sink.write(&nothing, Durability::Durable).await;
        assert_eq!(barrier.unwrap_err().kind(), ErrorKind::Storage);
    }
    sink.open(Some(&mark)).await.unwrap();
    write(&mut sink, 10..12).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..12));
}

#[tokio::test]
async fn a_sink_that_is_not_open_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&folder.path().join("events.jsonl"));
    let error = write(&mut sink, 0..1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn the_null_sink_counts_and_keeps_nothing() {
    let mut sink = NullSink::new(Some(Lines::default()));
    sink.open(None).await.unwrap();
    assert_eq!(write(&mut sink, 0..10).await.unwrap(), Value::Null);
    assert_eq!(sink.bytes(), lines(0..10).len() as u64);
    let mut sink = NullSink::<Lines>::new(None);
    assert_eq!(write(&mut sink, 0..10).await.unwrap(), Value::Null);
    assert_eq!(sink.bytes(), 0);
}

/// Encoding and writing run side by side within three buffers: 16 MB through a sink.
#[tokio::test]
async fn much_goes_through_bounded_buffers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let encoder = Lines {
        filling_bytes: 1000,
    };
    let options = FileOptions {
        sync: false,
        ..FileOptions::default()
    };
    let mut sink = FileSink::new(&path, encoder, options);
    sink.open(None).await.unwrap();
    for first in (0..16_000).step_by(100) {
        accept(&mut sink, first..first + 100).await;
    }
    let mark = write(&mut sink, []).await.unwrap();
    assert_eq!(mark["offset"], json!(fs::metadata(&path).unwrap().len()));
    let text = fs::read_to_string(&path).unwrap();
    for (number, line) in text.lines().enumerate() {
        assert_eq!(line.trim_end_matches('.'), format!("row {number}"));
    }
    assert_eq!(text.lines().count(), 16_000);
}
