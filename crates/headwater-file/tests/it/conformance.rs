//! The suites that every sink and every checkpoint store must pass, on real files.

use std::fs;

use headwater_file::{CheckpointFile, FileOptions, FileSink};
use headwater_format::maxwell::{Encoder, Options};
use headwater_testkit::conformance::checkpoint_store::{self, CheckpointStoreHarness};
use headwater_testkit::conformance::sink::{self, SinkHarness};
use headwater_testkit::oracle::{Event, Keys, from_json_lines};
use tempfile::TempDir;

struct Target(TempDir);

impl Target {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }
}

impl SinkHarness for Target {
    type Sink = FileSink<Encoder>;

    fn sink(&self) -> Self::Sink {
        let path = self.0.path().join("events.jsonl");
        FileSink::new(
            path,
            Encoder::new(Options::default()),
            FileOptions::default(),
        )
    }

    fn events(&self) -> Vec<Event> {
        let text = fs::read_to_string(self.0.path().join("events.jsonl")).unwrap_or_default();
        let keys = Keys::from([("shop.numbers".to_owned(), vec!["id".to_owned()])]);
        from_json_lines(&text, &keys).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_sink_keeps_the_contract_of_sinks() {
    sink::rows_before_a_barrier_are_durable_and_in_order(&Target::new()).await;
    sink::a_durable_write_is_durable(&Target::new()).await;
    sink::barriers_add_nothing(&Target::new()).await;
    sink::what_came_after_the_mark_is_taken_back(&Target::new()).await;
    sink::a_target_that_is_not_empty_is_refused_without_a_mark(&Target::new()).await;
    sink::a_target_that_lost_rows_is_refused(&Target::new(), &Target::new()).await;
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("shop.checkpoint")
    }
}

impl CheckpointStoreHarness for Place {
    type Store = CheckpointFile;

    fn open(&self) -> headwater_core::Result<CheckpointFile> {
        CheckpointFile::open(self.path())
    }

    fn damage(&self) -> bool {
        let mut bytes = fs::read(self.path()).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        fs::write(self.path(), bytes).unwrap();
        true
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap_or_default()
    }
}

#[test]
fn the_checkpoint_file_keeps_the_contract_of_stores() {
    checkpoint_store::an_empty_store_holds_nothing(&Place::new());
    checkpoint_store::what_was_saved_is_found(&Place::new());
    checkpoint_store::the_last_document_replaces_the_others(&Place::new());
    checkpoint_store::a_damaged_document_is_refused_and_left_alone(&Place::new());
}
