//! What a file sink refuses, and that it leaves it as it was.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use headwater_core::ErrorKind;
use headwater_core::sink::Sink;
use serde_json::{Value, json};

use crate::support::{accept, eventually, lines, second_process, sink, told, write};

struct Written {
    _folder: tempfile::TempDir,
    path: PathBuf,
    mark: Value,
}

async fn written() -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut sink = sink(&path);
    sink.open(None).await.unwrap();
    let mark = write(&mut sink, 0..10).await.unwrap();
    Written {
        _folder: folder,
        path,
        mark,
    }
}

/// Opening is refused with `kind`, the words are said, and the file (if any) stays as it is.
async fn assert_refused(path: &Path, mark: Option<&Value>, kind: ErrorKind, words: &[&str]) {
    let before = fs::read(path).ok();
    let mut sink = sink(path);
    let error = sink.open(mark).await.unwrap_err();
    let text = told(&error);
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    assert!(error.hint_text().is_some(), "no hint: {text}");
    assert_eq!(fs::read(path).ok(), before, "the file was touched");
    assert!(write(&mut sink, 0..1).await.is_err());
    assert_eq!(fs::read(path).ok(), before, "the file was written to");
}

#[tokio::test]
async fn a_file_with_contents_and_no_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    fs::write(&path, "something of somebody\n").unwrap();
    let words = ["22 bytes", "--checkpoint", "remove", "events.jsonl"];
    assert_refused(&path, None, ErrorKind::SinkRejected, &words).await;
    assert_refused(&path, Some(&Value::Null), ErrorKind::SinkRejected, &words).await;
}

#[tokio::test]
async fn a_file_that_is_missing() {
    let written = written().await;
    fs::remove_file(&written.path).unwrap();
    let words = ["not there", "start over"];
    let (path, mark) = (&written.path, Some(&written.mark));
    assert_refused(path, mark, ErrorKind::SinkRejected, &words).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_shorter_than_its_mark() {
    let written = written().await;
    let file = OpenOptions::new().write(true).open(&written.path).unwrap();
    file.set_len(50).unwrap();
    let words = ["50 bytes", "60 were written", "start over"];
    let (path, mark) = (&written.path, Some(&written.mark));
    assert_refused(path, mark, ErrorKind::SinkRejected, &words).await;
}

#[tokio::test]
async fn a_file_that_was_replaced_by_one_with_the_same_bytes() {
    let written = written().await;
    let copy = written.path.with_extension("copy");
    fs::copy(&written.path, &copy).unwrap();
    fs::rename(&copy, &written.path).unwrap();
    let words = ["replaced", "start over"];
    let (path, mark) = (&written.path, Some(&written.mark));
    assert_refused(path, mark, ErrorKind::SinkRejected, &words).await;
}

#[tokio::test]
async fn another_file_in_the_place_of_one_that_was_empty_yet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut first = sink(&path);
    first.open(None).await.unwrap();
    let mark = write(&mut first, []).await.unwrap();
    drop(first);
    let other = path.with_extension("other");
    fs::write(&other, "something of somebody\n").unwrap();
    fs::rename(&other, &path).unwrap();
    assert_refused(&path, Some(&mark), ErrorKind::SinkRejected, &["replaced"]).await;
}

#[tokio::test]
async fn a_file_that_was_emptied_and_filled_by_somebody_else() {
    let written = written().await;
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&written.path)
        .unwrap();
    file.write_all(&[b'x'; 100]).unwrap();
    let words = ["changed before", "offset 60"];
    let (path, mark) = (&written.path, Some(&written.mark));
    assert_refused(path, mark, ErrorKind::SinkRejected, &words).await;
}

#[tokio::test]
async fn a_mark_of_something_else() {
    let written = written().await;
    let words = ["not what a file sink wrote", "another checkpoint"];
    for mark in [json!({"topic": "events"}), json!(7), json!({"offset": -1})] {
        assert_refused(&written.path, Some(&mark), ErrorKind::SinkRejected, &words).await;
    }
}

#[tokio::test]
async fn a_folder_and_a_folder_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["name a file"];
    assert_refused(folder.path(), None, ErrorKind::SinkRejected, &words).await;
    let nowhere = folder.path().join("nowhere").join("events.jsonl");
    assert_refused(&nowhere, None, ErrorKind::Storage, &["create the folder"]).await;
}

#[tokio::test]
async fn a_file_that_another_sink_of_this_process_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut first = sink(&path);
    first.open(None).await.unwrap();
    assert_refused(&path, None, ErrorKind::Locked, &["events.jsonl"]).await;
    let mark = write(&mut first, 0..10).await.unwrap();
    accept(&mut first, 10..20).await;
    eventually("the rows are written", || {
        fs::read_to_string(&path).unwrap() == lines(0..20)
    });
    assert_refused(&path, Some(&mark), ErrorKind::Locked, &["events.jsonl"]).await;
    drop(first);
    // Dropped, it has let go of its lock.
    sink(&path).open(Some(&mark)).await.unwrap();
}

#[tokio::test]
async fn a_file_that_another_process_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut first = sink(&path);
    first.open(None).await.unwrap();
    write(&mut first, 0..10).await.unwrap();
    let child = second_process(
        "refusals::second_process_opens_the_file",
        &[("SECOND_FILE", path.to_str().unwrap())],
    );
    let output = { child }.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("told: [locked] another process"), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(0..10));
}

#[tokio::test]
#[ignore = "run by `a_file_that_another_process_has`, as the other process"]
async fn second_process_opens_the_file() {
    let Ok(path) = std::env::var("SECOND_FILE") else {
        return;
    };
    let error = sink(Path::new(&path)).open(None).await.unwrap_err();
    println!("told: {}", told(&error));
}

#[tokio::test]
async fn a_file_that_somebody_else_writes_to_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut sink = sink(&path);
    sink.open(None).await.unwrap();
    write(&mut sink, 0..10).await.unwrap();
    let mut other = OpenOptions::new().append(true).open(&path).unwrap();
    other.write_all(b"x").unwrap();
    let error = write(&mut sink, 10..20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected);
    assert!(told(&error).contains("somebody else"), "{}", told(&error));
}

#[tokio::test]
async fn a_file_that_is_moved_away_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut sink = sink(&path);
    sink.open(None).await.unwrap();
    write(&mut sink, 0..10).await.unwrap();
    fs::rename(&path, folder.path().join("events.jsonl.1")).unwrap();
    let error = write(&mut sink, 10..20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected);
    assert!(told(&error).contains("moved"), "{}", told(&error));
}
