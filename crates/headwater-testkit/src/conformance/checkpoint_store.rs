//! What every checkpoint store must keep.

use headwater_core::error::ErrorKind;
use headwater_core::sink::CheckpointStore;
use serde_json::{Value, json};

/// A place for a checkpoint, empty at first.
pub trait CheckpointStoreHarness {
    /// The store.
    type Store: CheckpointStore;

    /// The store of a new process, at the same place. The one before is dropped by then.
    ///
    /// # Errors
    /// What the store says of a place it refuses.
    fn open(&self) -> headwater_core::Result<Self::Store>;

    /// Changes a byte of what is kept. Says whether that can be done at all.
    fn damage(&self) -> bool;

    /// The bytes kept, to see that a refused checkpoint was left alone.
    fn bytes(&self) -> Vec<u8>;
}

fn document(number: u64) -> Value {
    json!({ "run": "test", "number": number, "text": "ä\n\"'", "nested": [null, { "deep": number }] })
}

/// An empty place holds nothing.
pub fn an_empty_store_holds_nothing(harness: &impl CheckpointStoreHarness) {
    let store = harness.open().expect("an empty place can be opened");
    assert_eq!(store.load().expect("an empty place can be read"), None);
}

/// What was saved is found: by the same process and by the next.
pub fn what_was_saved_is_found(harness: &impl CheckpointStoreHarness) {
    let store = harness.open().expect("open");
    store.save(&document(1)).expect("save");
    assert_eq!(store.load().expect("load"), Some(document(1)));
    drop(store);
    let store = harness.open().expect("open again");
    assert_eq!(store.load().expect("load again"), Some(document(1)));
}

/// A document replaces the one before as a whole, whichever is longer.
pub fn the_last_document_replaces_the_others(harness: &impl CheckpointStoreHarness) {
    let store = harness.open().expect("open");
    let long = json!({ "long": "x".repeat(100_000) });
    for document in [document(1), long, document(2), json!({}), document(3)] {
        store.save(&document).expect("save");
        assert_eq!(store.load().expect("load"), Some(document));
    }
    drop(store);
    let store = harness.open().expect("open again");
    assert_eq!(store.load().expect("load again"), Some(document(3)));
}

/// A damaged document is refused, not taken for an empty place, and left as it is.
pub fn a_damaged_document_is_refused_and_left_alone(harness: &impl CheckpointStoreHarness) {
    let store = harness.open().expect("open");
    store.save(&document(1)).expect("save");
    drop(store);
    if !harness.damage() {
        return;
    }
    let damaged = harness.bytes();
    let read = harness.open().and_then(|store| store.load());
    let error = read.expect_err("a damaged checkpoint is refused");
    let kind = error.kind();
    assert!(
        matches!(
            kind,
            ErrorKind::CheckpointDamaged | ErrorKind::CheckpointForeign
        ),
        "{error:?}"
    );
    assert!(error.hint_text().is_some(), "says what to do: {error:?}");
    assert_eq!(harness.bytes(), damaged, "a damaged checkpoint was touched");
}
