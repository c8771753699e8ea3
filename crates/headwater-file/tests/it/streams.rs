//! Standard output, pipes, devices, and disks that are full.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use headwater_core::ErrorKind;
use headwater_core::sink::{Durability, Sink};
use headwater_file::{FileOptions, StdoutSink};
use serde_json::Value;

use crate::support::{Lines, accept, batch, lines, sink, told, write};

fn stdout<W: Write + Send + 'static>(stream: W) -> StdoutSink<W, Lines> {
    StdoutSink::new(stream, Lines::default(), FileOptions::default())
}

#[tokio::test]
async fn a_stream_takes_the_rows_in_order_and_has_no_mark() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut sink = stdout(writer);
    sink.open(None).await.unwrap();
    accept(&mut sink, 0..10).await;
    assert_eq!(write(&mut sink, 10..20).await.unwrap(), Value::Null);
    drop(sink);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, lines(0..20));
}

#[tokio::test]
async fn durable_is_what_the_pipe_took_and_no_more() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut sink = stdout(writer);
    sink.open(None).await.unwrap();
    // More than a pipe holds, and nobody reads.
    let rows = 100_000;
    let receipt = tokio::time::timeout(Duration::from_millis(300), write(&mut sink, 0..rows)).await;
    assert!(receipt.is_err(), "{receipt:?}");
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    write(&mut sink, []).await.unwrap();
    drop(sink);
    assert_eq!(reading.join().unwrap(), lines(0..rows));
}

#[tokio::test]
async fn a_closed_pipe_ends_the_run() {
    let (reader, writer) = io::pipe().unwrap();
    let mut sink = stdout(writer);
    sink.open(None).await.unwrap();
    write(&mut sink, 0..10).await.unwrap();
    drop(reader);
    let error = write(&mut sink, 10..20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkClosed, "{}", told(&error));
    // It does not come back.
    assert_eq!(
        sink.open(None).await.unwrap_err().kind(),
        ErrorKind::SinkClosed
    );
}

#[tokio::test]
async fn a_stream_that_is_opened_again_goes_on() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut sink = stdout(writer);
    sink.open(None).await.unwrap();
    write(&mut sink, 0..2).await.unwrap();
    sink.open(Some(&Value::Null)).await.unwrap();
    write(&mut sink, 2..4).await.unwrap();
    drop(sink);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, lines(0..4));
}

#[tokio::test]
async fn a_files_mark_is_refused_by_a_stream() {
    let mark = serde_json::json!({"offset": 10});
    let error = stdout(io::sink()).open(Some(&mark)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected);
}

/// A stream that takes a few bytes at a time and is often not ready.
struct Reluctant(mpsc::Sender<Vec<u8>>, u32);

impl Write for Reluctant {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 += 1;
        match self.1 % 3 {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            1 => Err(io::ErrorKind::Interrupted.into()),
            _ => {
                let taken = bytes.get(..7).unwrap_or(bytes);
                self.0.send(taken.to_vec()).unwrap();
                Ok(taken.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_stream_that_takes_little_gets_everything() {
    let (send, receive) = mpsc::channel();
    let mut sink = stdout(Reluctant(send, 0));
    sink.open(None).await.unwrap();
    write(&mut sink, 0..50).await.unwrap();
    let bytes: Vec<u8> = receive.try_iter().flatten().collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), lines(0..50));
}

#[tokio::test]
async fn a_stream_that_panics_is_told_and_does_not_hang() {
    struct Panics;
    impl Write for Panics {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            panic!("a stream that panics (a test's doing)")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut sink = stdout(Panics);
    sink.open(None).await.unwrap();
    let error = write(&mut sink, 0..1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(
        sink.open(None).await.unwrap_err().kind(),
        ErrorKind::Internal
    );
}

#[tokio::test]
async fn a_full_disk_behind_standard_output_is_told() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut sink = stdout(full);
    sink.open(None).await.unwrap();
    let error = write(&mut sink, 0..10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(told(&error).contains("free some space"), "{}", told(&error));
}

#[tokio::test]
async fn a_full_device_is_told_by_the_next_write_and_nothing_is_durable_after_it() {
    let mut sink = sink(Path::new("/dev/full"));
    sink.open(None).await.unwrap();
    accept(&mut sink, 0..10).await;
    let nothing = batch([]);
    for _ in 0..3 {
        let error = sink.write(&nothing, Durability::Durable).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(told(&error).contains("free some space"), "{}", told(&error));
        let error = sink
            .write(&batch([1]), Durability::Accepted)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
    }
}

#[tokio::test]
async fn dev_null_takes_everything_any_number_of_times() {
    for _ in 0..2 {
        let mut first = sink(Path::new("/dev/null"));
        let mut second = sink(Path::new("/dev/null"));
        first.open(None).await.unwrap();
        second.open(Some(&Value::Null)).await.unwrap();
        assert_eq!(write(&mut first, 0..10).await.unwrap(), Value::Null);
        assert_eq!(write(&mut second, 0..10).await.unwrap(), Value::Null);
    }
}

fn named_pipe(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("pipe");
    let status = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(status.success());
    path
}

#[tokio::test]
async fn a_named_pipe_is_written_to_once_somebody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = named_pipe(folder.path());
    let reading = {
        let path = path.clone();
        std::thread::spawn(move || fs::read_to_string(path).unwrap())
    };
    let mut sink = sink(&path);
    sink.open(None).await.unwrap();
    assert_eq!(write(&mut sink, 0..10).await.unwrap(), Value::Null);
    drop(sink);
    assert_eq!(reading.join().unwrap(), lines(0..10));
}

#[tokio::test]
async fn a_named_pipe_that_nobody_reads_does_not_hold_the_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let path = named_pipe(folder.path());
    let mut sink = sink(&path);
    let opened = tokio::time::timeout(Duration::from_millis(200), sink.open(None)).await;
    assert!(opened.is_err());
    // Not even when it is dropped: only for a while.
    drop(sink);
    // Lets the thread end.
    drop(fs::read_to_string(&path));
}

#[tokio::test]
async fn a_named_pipe_in_the_place_of_a_file_is_refused_its_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut file = sink(&path);
    file.open(None).await.unwrap();
    let mark = write(&mut file, 0..10).await.unwrap();
    drop(file);
    fs::remove_file(&path).unwrap();
    fs::rename(named_pipe(folder.path()), &path).unwrap();
    let error = sink(&path).open(Some(&mark)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkRejected);
}
