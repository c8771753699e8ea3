//! That what must reach the disk is synced, in the order that a loss of power asks for. A test cannot cut the power, so it
//! looks at the system calls of a second process, where there is `strace` to look with.

use std::process::{Command, Stdio};

/// The calls that matter, of a process that runs one round: `sync events.jsonl`, `rename checkpoint.tmp`, …
fn calls(failpoints: &str) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let folder_name = folder.path().file_name()?.to_str()?.to_owned();
    let trace = folder.path().join("trace");
    let traced = Command::new("strace")
        .args(["-f", "-y", "-qq", "-o"])
        .arg(&trace)
        .args([
            "-e",
            "trace=write,fsync,fdatasync,rename,renameat,renameat2",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "crash::second_process_dies", "--ignored"])
        .env("CRASH_FOLDER", folder.path())
        .env("CRASH_FAILPOINTS", failpoints)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if traced.is_err() {
        println!("not run, there is no strace here");
        return None;
    }
    let trace = std::fs::read_to_string(trace).unwrap_or_default();
    if !trace.contains(&folder_name) {
        println!("not run, strace may not trace here");
        return None;
    }
    let mut calls = Vec::new();
    for line in trace.lines().filter(|line| line.contains(&folder_name)) {
        let Some((call, rest)) = line.split_once('(') else {
            continue;
        };
        let call = match call.rsplit(' ').next() {
            Some("write") => "write",
            Some("fsync" | "fdatasync") => "sync",
            Some("rename" | "renameat" | "renameat2") => "rename",
            _ => continue,
        };
        let file = rest.split(['>', '"', '(']).find_map(|part| {
            let name = part.split_once(&folder_name)?.1;
            Some(name.trim_start_matches('/').to_owned())
        });
        calls.push(format!("{call} {}", file.unwrap_or_default()));
    }
    calls.dedup();
    Some(calls)
}

#[test]
fn events_before_their_checkpoint_and_a_checkpoint_before_its_name() {
    // Dies as the third checkpoint has its name: one start and two rounds.
    let Some(calls) = calls("checkpoint.renamed=abort@3") else {
        return;
    };
    let checkpoint = [
        "write checkpoint.tmp",
        "sync checkpoint.tmp",
        "rename checkpoint.tmp",
        "sync ",
    ];
    let mut expected = vec![
        "write checkpoint.lock",
        "sync events.jsonl",
        "sync ",
        // The first barrier, of no rows.
        "sync events.jsonl",
    ];
    expected.extend(checkpoint);
    for _ in 0..2 {
        expected.extend(["write events.jsonl", "sync events.jsonl"]);
        expected.extend(checkpoint);
    }
    // The last folder was not synced: the process had died.
    expected.pop();
    assert_eq!(calls, expected);
}
