//! What the checkpoint file keeps, refuses, and leaves alone.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use headwater_core::ErrorKind;
use headwater_core::failpoint::Failpoints;
use headwater_core::sink::CheckpointStore;
use headwater_file::CheckpointFile;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{second_process, told};

fn document() -> Value {
    json!({
        "source": {"kind": "mysql", "uuid": "3e11fa47-71ca-11e1-9e33-c80aa9429562"},
        "position": "mysql-bin.000003:1547",
        "done": 18_446_744_073_709_551_615_u64,
        "below": -9_223_372_036_854_775_808_i64,
        "ratio": 0.1,
        "text": " \"quoted\"  \\ two  blanks\t\n\u{1}é€😀 ",
        "empty": {"list": [], "object": {}, "text": "", "none": null},
        "tables": [{"name": "shop.orders", "cursor": [1, "a b", true]}],
    })
}

fn saved(document: &Value) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.checkpoint");
    let store = CheckpointFile::open(&path).unwrap();
    store.save(document).unwrap();
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.checkpoint");
    let store = CheckpointFile::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), None);
    for document in [
        json!({"done": 1}),
        document(),
        Value::Null,
        json!({"done": 2}),
    ] {
        store.save(&document).unwrap();
        assert_eq!(store.load().unwrap(), Some(document.clone()));
        assert_eq!(CheckpointFile::read(&path).unwrap(), Some(document));
    }
    drop(store);
    let store = CheckpointFile::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), Some(json!({"done": 2})));
    assert_eq!(
        names(folder.path()),
        ["shop.checkpoint", "shop.checkpoint.lock"]
    );
}

#[test]
fn a_person_can_read_it() {
    let (_folder, path) = saved(&json!({"done": 7, "tables": ["shop.orders"]}));
    let text = fs::read_to_string(&path).unwrap();
    let expected = r#"{
  "format": "headwater checkpoint",
  "version": 1,
  "crc32": "CRC",
  "checkpoint": {
    "done": 7,
    "tables": [
      "shop.orders"
    ]
  }
}
"#;
    let crc = format!(
        "{:08x}",
        crc32fast::hash(br#"{"done":7,"tables":["shop.orders"]}"#)
    );
    assert_eq!(text, expected.replace("CRC", &crc));
}

#[test]
fn it_may_be_indented_anew() {
    let (_folder, path) = saved(&document());
    let text = fs::read_to_string(&path).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    fs::write(&path, serde_json::to_vec(&value).unwrap()).unwrap();
    assert_eq!(CheckpointFile::read(&path).unwrap(), Some(document()));
}

#[test]
fn none_is_read_where_none_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.checkpoint");
    assert_eq!(CheckpointFile::read(&path).unwrap(), None);
    assert_eq!(names(folder.path()), [""; 0]);
}

/// Loading and saving are refused with `kind`, and the file stays byte for byte as it is.
fn assert_refused(bytes: &[u8], kind: ErrorKind, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.checkpoint");
    fs::write(&path, bytes).unwrap();
    let store = CheckpointFile::open(&path).unwrap();
    let attempts = [
        store.save(&json!({"done": 1})).unwrap_err(),
        store.load().unwrap_err(),
        store.save(&json!({"done": 1})).unwrap_err(),
        CheckpointFile::read(&path).unwrap_err(),
    ];
    for error in attempts {
        let text = told(&error);
        assert_eq!(error.kind(), kind, "{text}");
        for word in words.iter().chain(&["shop.checkpoint", "to start over"]) {
            assert!(text.contains(word), "`{word}` is not in: {text}");
        }
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn damaged_ones_are_refused_and_left_alone() {
    let (_folder, path) = saved(&document());
    let whole = fs::read_to_string(&path).unwrap();
    let restore = ["damaged", "restore it"];
    for bytes in [
        String::new(),
        "\n".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        "shop.checkpoint".to_owned(),
        "\0".repeat(whole.len()),
        whole.repeat(2),
        whole.get(..whole.len() / 2).unwrap().to_owned(),
        whole.replace("headwater checkpoint", "headwater  checkpoint"),
        whole.replace("\"version\": 1", "\"version\": 0"),
        whole.replace("two  blanks", "two blanks"),
        whole.replace("000003:1547", "000003:1548"),
        whole.replace("\"version\": 1", "\"version\": 1, \"more\": 2"),
    ] {
        assert_refused(bytes.as_bytes(), ErrorKind::CheckpointDamaged, &restore);
    }
}

#[test]
fn newer_ones_are_refused_and_left_alone() {
    let (_folder, path) = saved(&document());
    let whole = fs::read_to_string(&path).unwrap();
    let newer = whole.replace("\"version\": 1", "\"version\": 2, \"more\": 3");
    let words = ["newer", "version 2"];
    assert_refused(newer.as_bytes(), ErrorKind::CheckpointForeign, &words);
}

/// The same document, or an error; never another document. Says whether it was an error.
fn assert_noticed(path: &Path, original: &Value) -> Result<bool, TestCaseError> {
    let changed = fs::read(path).unwrap();
    let found = CheckpointFile::read(path);
    match &found {
        Ok(found) => prop_assert_eq!(found.as_ref(), Some(original)),
        Err(error) => prop_assert!(
            matches!(
                error.kind(),
                ErrorKind::CheckpointDamaged | ErrorKind::CheckpointForeign
            ),
            "{error:?}"
        ),
    }
    prop_assert_eq!(fs::read(path).unwrap(), changed);
    Ok(found.is_err())
}

#[test]
fn every_flipped_bit_and_every_truncation_of_one_file_is_noticed() {
    let (_folder, path) = saved(&document());
    let whole = fs::read(&path).unwrap();
    // In place: replacing a file's contents thousands of times waits for the disk each time.
    let file = File::options().write(true).open(&path).unwrap();
    for (at, byte) in whole.iter().enumerate() {
        for bit in 0..8 {
            file.write_all_at(&[byte ^ (1 << bit)], at as u64).unwrap();
            let is_noticed = assert_noticed(&path, &document()).unwrap();
            assert!(
                is_noticed || byte.is_ascii_whitespace(),
                "byte {at} bit {bit}"
            );
        }
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    for length in (0..whole.len()).rev() {
        file.set_len(length as u64).unwrap();
        let is_noticed = assert_noticed(&path, &document()).unwrap();
        assert!(is_noticed || length + 1 == whole.len(), "cut at {length}");
    }
}

fn any_document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_document_comes_back_and_any_changed_byte_is_noticed(
        document in any_document(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let (_folder, path) = saved(&document);
        prop_assert_eq!(CheckpointFile::read(&path).unwrap(), Some(document.clone()));
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        let file = File::options().write(true).open(&path).unwrap();
        bytes[at] ^= flip;
        file.write_all_at(&[bytes[at]], at as u64).unwrap();
        assert_noticed(&path, &document)?;
        bytes[at] ^= flip;
        file.write_all_at(&[bytes[at]], at as u64).unwrap();
        file.set_len(at as u64).unwrap();
        assert_noticed(&path, &document)?;
    }

    /// A number may parse to its neighbour: what was saved must not be called damaged for it.
    #[test]
    fn any_number_is_loaded_again(number in prop::num::f64::NORMAL) {
        let (_folder, path) = saved(&json!({"number": number}));
        prop_assert!(CheckpointFile::read(&path).is_ok());
    }
}

#[test]
fn a_second_store_on_one_checkpoint_is_refused() {
    let (_folder, path) = saved(&json!({"done": 1}));
    let first = CheckpointFile::open(&path).unwrap();
    let error = CheckpointFile::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    let process = format!("process {}", std::process::id());
    assert!(told(&error).contains(&process), "{}", told(&error));
    // Looking at it is not.
    assert!(CheckpointFile::read(&path).unwrap().is_some());
    drop(first);
    CheckpointFile::open(&path).unwrap();
}

#[test]
fn a_second_process_on_one_checkpoint_is_refused() {
    let (_folder, path) = saved(&json!({"done": 1}));
    let _first = CheckpointFile::open(&path).unwrap();
    let output = second_process(
        "checkpoint::second_process_opens_the_checkpoint",
        &[("SECOND_CHECKPOINT", path.to_str().unwrap())],
    )
    .output()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("told: [locked] another process"), "{text}");
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
}

#[test]
#[ignore = "run by `a_second_process_on_one_checkpoint_is_refused`, as the other process"]
fn second_process_opens_the_checkpoint() {
    let Ok(path) = std::env::var("SECOND_CHECKPOINT") else {
        return;
    };
    println!("told: {}", told(&CheckpointFile::open(path).unwrap_err()));
}

#[test]
fn saving_without_the_lock_is_refused() {
    let (_folder, path) = saved(&json!({"done": 1}));
    let store = CheckpointFile::open(&path).unwrap();
    let lock = path.with_extension("checkpoint.lock");
    fs::remove_file(&lock).unwrap();
    assert_eq!(
        store.save(&json!({"done": 2})).unwrap_err().kind(),
        ErrorKind::Locked
    );
    let _second = CheckpointFile::open(&path).unwrap();
    assert_eq!(
        store.save(&json!({"done": 2})).unwrap_err().kind(),
        ErrorKind::Locked
    );
    assert_eq!(store.load().unwrap(), Some(json!({"done": 1})));
}

#[test]
fn what_a_crash_left_is_cleared_away_and_nothing_else() {
    let (folder, path) = saved(&json!({"done": 1}));
    fs::write(path.with_extension("checkpoint.tmp"), "half a check").unwrap();
    fs::write(folder.path().join("other.tmp"), "somebody's").unwrap();
    let store = CheckpointFile::open(&path).unwrap();
    assert_eq!(
        names(folder.path()),
        ["other.tmp", "shop.checkpoint", "shop.checkpoint.lock"]
    );
    assert_eq!(store.load().unwrap(), Some(json!({"done": 1})));
}

#[test]
fn a_save_that_fails_leaves_the_old_one() {
    let (folder, path) = saved(&json!({"done": 1}));
    let armed = Failpoints::parse("checkpoint.temporary=error@1", || std::process::abort());
    let store = CheckpointFile::open(&path)
        .unwrap()
        .with_failpoints(armed.unwrap());
    assert_eq!(
        store.save(&json!({"done": 2})).unwrap_err().kind(),
        ErrorKind::Storage
    );
    assert_eq!(store.load().unwrap(), Some(json!({"done": 1})));
    assert_eq!(
        names(folder.path()),
        ["shop.checkpoint", "shop.checkpoint.lock"]
    );
    store.save(&json!({"done": 3})).unwrap();
    assert_eq!(store.load().unwrap(), Some(json!({"done": 3})));
}

#[test]
fn a_link_to_a_checkpoint_stays_a_link() {
    let (folder, path) = saved(&json!({"done": 1}));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let store = CheckpointFile::open(&link).unwrap();
    assert_eq!(
        CheckpointFile::open(&path).unwrap_err().kind(),
        ErrorKind::Locked
    );
    store.save(&json!({"done": 2})).unwrap();
    assert!(link.is_symlink());
    assert_eq!(
        CheckpointFile::read(&path).unwrap(),
        Some(json!({"done": 2}))
    );
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dangling = folder.path().join("dangling");
    std::os::unix::fs::symlink(folder.path().join("nothing"), &dangling).unwrap();
    let nowhere = folder.path().join("nowhere").join("shop.checkpoint");
    for path in [
        folder.path(),
        &dangling,
        &nowhere,
        Path::new("/dev/null"),
        Path::new(""),
        Path::new("/"),
    ] {
        let error = CheckpointFile::open(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{}", told(&error));
        assert!(error.hint_text().is_some(), "{}", told(&error));
    }
    assert_eq!(names(folder.path()), ["dangling"]);
}
