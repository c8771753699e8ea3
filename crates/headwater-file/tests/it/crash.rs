//! Death at the named places, in a second process, and what the next one finds.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use headwater_core::failpoint::Failpoints;
use headwater_core::sink::{CheckpointStore, Sink};
use headwater_file::CheckpointFile;
use serde_json::json;

use crate::support::{accept, lines, second_process, sink, write};

/// What an engine does: each round a checkpoint with the mark that makes it true. Goes on where the checkpoint says.
async fn rounds(folder: &Path, count: u64, failpoints: &Failpoints) {
    let store = CheckpointFile::open(folder.join("checkpoint"))
        .unwrap()
        .with_failpoints(failpoints.clone());
    let mut sink = sink(&folder.join("events.jsonl")).with_failpoints(failpoints.clone());
    let last = store.load().unwrap();
    sink.open(last.as_ref().map(|last| &last["mark"]))
        .await
        .unwrap();
    let mut done = last.map_or(0, |last| last["done"].as_u64().unwrap());
    if done == 0 {
        let mark = write(&mut sink, []).await.unwrap();
        store.save(&json!({"done": 0, "mark": mark})).unwrap();
    }
    while done < count {
        accept(&mut sink, [done]).await;
        let mark = write(&mut sink, [done + 1]).await.unwrap();
        done += 2;
        store.save(&json!({"done": done, "mark": mark})).unwrap();
    }
}

#[tokio::test]
#[ignore = "run as the process that dies"]
async fn second_process_dies() {
    let Ok(folder) = std::env::var("CRASH_FOLDER") else {
        return;
    };
    let armed = std::env::var("CRASH_FAILPOINTS").unwrap();
    let armed = Failpoints::parse(&armed, || std::process::abort()).unwrap();
    rounds(Path::new(&folder), 20, &armed).await;
}

struct Died {
    folder: tempfile::TempDir,
}

fn die(failpoints: &str) -> Died {
    const SIGABRT: i32 = 6;
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        ("CRASH_FOLDER", folder.path().to_str().unwrap()),
        ("CRASH_FAILPOINTS", failpoints),
    ];
    let output = second_process("crash::second_process_dies", &arguments)
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT), "{output:?}");
    Died { folder }
}

impl Died {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn done(&self) -> Option<u64> {
        let document = CheckpointFile::read(self.path("checkpoint")).unwrap();
        document.map(|document| document["done"].as_u64().unwrap())
    }

    fn events(&self) -> String {
        fs::read_to_string(self.path("events.jsonl")).unwrap()
    }

    /// The next process ends what this one began, without a gap and without a duplicate.
    async fn assert_goes_on(&self) {
        rounds(self.folder.path(), 20, &Failpoints::none()).await;
        assert_eq!(self.events(), lines(0..20));
        let store = CheckpointFile::open(self.path("checkpoint")).unwrap();
        assert_eq!(store.load().unwrap().unwrap()["done"], json!(20));
        assert!(!self.path("checkpoint.tmp").exists());
    }
}

#[tokio::test]
async fn after_a_write_and_before_its_sync() {
    let died = die("sink.written=abort@4");
    // Written, and not in the checkpoint: the fourth barrier is the third round's.
    assert_eq!(died.events(), lines(0..6));
    assert_eq!(died.done(), Some(4));
    died.assert_goes_on().await;
}

#[tokio::test]
async fn before_the_first_checkpoint() {
    let died = die("sink.written=abort@1");
    assert_eq!(died.events(), "");
    assert_eq!(died.done(), None);
    died.assert_goes_on().await;
    let died = die("checkpoint.temporary=abort@1");
    assert_eq!(died.done(), None);
    assert!(died.path("checkpoint.tmp").exists());
    died.assert_goes_on().await;
}

#[tokio::test]
async fn between_temporary_file_and_rename() {
    let died = die("checkpoint.temporary=abort@4");
    assert_eq!(died.events(), lines(0..6));
    assert_eq!(died.done(), Some(4), "the old checkpoint is there, whole");
    // The new one is whole in the temporary file.
    let new = CheckpointFile::read(died.path("checkpoint.tmp")).unwrap();
    assert_eq!(new.unwrap()["done"], json!(6));
    died.assert_goes_on().await;
}

#[tokio::test]
async fn after_the_rename() {
    let died = die("checkpoint.renamed=abort@4");
    assert_eq!(died.done(), Some(6), "the new checkpoint is there, whole");
    assert!(!died.path("checkpoint.tmp").exists());
    died.assert_goes_on().await;
}
