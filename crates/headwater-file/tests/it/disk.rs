//! Disks that are full or read-only, really: small memory disks in a mount namespace of a second process, gone with it. Where
//! the kernel does not let a test have one, `/dev/full` (in `streams`) is what is left.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use headwater_core::ErrorKind;
use headwater_core::sink::{CheckpointStore, Durability, Sink};
use headwater_file::{CheckpointFile, FileOptions, FileSink};
use serde_json::{Value, json};

use crate::support::{Lines, accept, batch, told, write};

/// Runs the ignored test `name` with a disk of 256 KiB in `$DISKS/small` and a read-only one in `$DISKS/fixed`.
fn with_disks(name: &str) {
    const MOUNT: &str = "mkdir \"$DISKS/small\" \"$DISKS/fixed\" \
        && mount -t tmpfs -o size=256k small \"$DISKS/small\" \
        && mount -t tmpfs fixed \"$DISKS/fixed\" && echo old > \"$DISKS/fixed/events.jsonl\" \
        && mount -o remount,ro \"$DISKS/fixed\" || exit 99; exec \"$@\"";
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env("DISKS", folder.path())
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) if output.status.code() != Some(99) => output,
        refused => {
            println!("not run, no disk is to be had here: {refused:?}");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.contains("running 1 test") {
        println!("not run, no namespace is to be had here: {output:?}");
        return;
    }
    assert!(output.status.success(), "{text}");
}

fn disk(name: &str) -> Option<PathBuf> {
    std::env::var_os("DISKS").map(|disks| PathBuf::from(disks).join(name))
}

#[test]
fn a_sink_on_a_full_disk_fails_and_goes_on_after_its_mark_when_there_is_room() {
    with_disks("disk::sink_on_a_full_disk");
}

#[tokio::test]
#[ignore = "run in a namespace of its own"]
async fn sink_on_a_full_disk() {
    let Some(disk) = disk("small") else { return };
    let path = disk.join("events.jsonl");
    let encoder = Lines {
        filling_bytes: 1000,
    };
    let mut sink = FileSink::new(&path, encoder, FileOptions::default());
    sink.open(None).await.unwrap();
    let mark = write(&mut sink, 0..10).await.unwrap();
    let error = write(&mut sink, 10..1000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(told(&error).contains("free some space"), "{}", told(&error));
    assert!(sink.write(&batch([]), Durability::Durable).await.is_err());
    sink.open(Some(&mark)).await.unwrap();
    write(&mut sink, 10..20).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 20);
}

#[test]
fn a_checkpoint_on_a_full_disk_keeps_the_old_one_and_leaves_room() {
    with_disks("disk::checkpoint_on_a_full_disk");
}

#[tokio::test]
#[ignore = "run in a namespace of its own"]
async fn checkpoint_on_a_full_disk() {
    let Some(disk) = disk("small") else { return };
    let path = disk.join("shop.checkpoint");
    let store = CheckpointFile::open(&path).unwrap();
    store.save(&json!({"number": 1})).unwrap();
    let large = Value::String("x".repeat(1024 * 1024));
    for _ in 0..2 {
        let error = store.save(&large).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(told(&error).contains("free some space"), "{}", told(&error));
        assert_eq!(store.load().unwrap(), Some(json!({"number": 1})));
    }
    store.save(&json!({"number": 2})).unwrap();
    assert_eq!(store.load().unwrap(), Some(json!({"number": 2})));
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 2);
}

#[test]
fn a_read_only_disk_is_told() {
    with_disks("disk::read_only_disk");
}

#[tokio::test]
#[ignore = "run in a namespace of its own"]
async fn read_only_disk() {
    let Some(disk) = disk("fixed") else { return };
    let error = CheckpointFile::open(disk.join("shop.checkpoint")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(told(&error).contains("read-only"), "{}", told(&error));
    for name in ["new.jsonl", "events.jsonl"] {
        let options = FileOptions::default();
        let mut sink = FileSink::new(disk.join(name), Lines::default(), options);
        let error = sink.open(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(told(&error).contains("read-only"), "{}", told(&error));
    }
}

#[tokio::test]
async fn without_sync_the_rows_are_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let options = FileOptions {
        sync: false,
        ..FileOptions::default()
    };
    let mut sink = FileSink::new(&path, Lines::default(), options);
    sink.open(None).await.unwrap();
    accept(&mut sink, 0..10).await;
    write(&mut sink, []).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 10);
}
