//! Batches of numbered rows, an encoder that writes their numbers, and a second process.

use std::path::Path;
use std::process::{Command, Stdio};

use headwater_core::batch::{Batch, ChangeKind, RowHead};
use headwater_core::sink::{Durability, Receipt, Sink};
use headwater_core::{Error, Result};
use headwater_file::{Encode, FileOptions, FileSink};
use serde_json::Value;

/// Writes `row N` and as much filling as asked for.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) filling_bytes: usize,
}

impl Encode for Lines {
    fn encode(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        for row in batch.rows() {
            out.extend_from_slice(line(row.offset()).as_bytes());
            out.pop();
            out.resize(out.len() + self.filling_bytes, b'.');
            out.push(b'\n');
        }
    }
}

pub(crate) fn line(number: u64) -> String {
    format!("row {number}\n")
}

pub(crate) fn lines(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(line).collect()
}

pub(crate) fn batch(numbers: impl IntoIterator<Item = u64>) -> Batch {
    let mut batch = Batch::new();
    for offset in numbers {
        batch.push_row(RowHead {
            kind: ChangeKind::Insert,
            schema: 0,
            transaction: None,
            before: None,
            after: None,
            timestamp_s: 0,
            offset,
            last: false,
        });
    }
    batch
}

pub(crate) fn sink(path: &Path) -> FileSink<Lines> {
    FileSink::new(path, Lines::default(), FileOptions::default())
}

/// Writes the rows and says the mark that makes them durable.
pub(crate) async fn write(
    sink: &mut impl Sink,
    numbers: impl IntoIterator<Item = u64>,
) -> Result<Value> {
    let batch = batch(numbers);
    match sink.write(&batch, Durability::Durable).await? {
        Receipt::Durable(mark) => Ok(mark),
        Receipt::Accepted => panic!("a barrier was answered with accepted"),
    }
}

pub(crate) async fn accept(sink: &mut impl Sink, numbers: impl IntoIterator<Item = u64>) {
    let receipt = sink
        .write(&batch(numbers), Durability::Accepted)
        .await
        .unwrap();
    assert_eq!(receipt, Receipt::Accepted);
}

/// The whole of an error as an operator reads it.
pub(crate) fn told(error: &Error) -> String {
    format!("{error:?}")
}

/// This test program again, as a second process that runs the one (ignored) test `name` with `arguments`.
pub(crate) fn second_process(name: &str, arguments: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            name,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .envs(arguments.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits until `is_so`, at most ten seconds.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("not within ten seconds: {what}");
}
