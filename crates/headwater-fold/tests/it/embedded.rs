//! The embedded store, held to the contract.

use headwater_fold::store::{Cached, Embedded};
use headwater_testkit::conformance::store::StoreHarness;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl StoreHarness for Folder {
    type Store = Embedded;

    fn store(&self) -> Embedded {
        Embedded::new(&self.0.path().join("folds.redb"))
    }

    fn fences(&self) -> bool {
        false
    }
}

headwater_testkit::state_store_suite!(Folder::new());

/// The same with a cache in front: what it says must be what the store would have said.
struct InFront(Folder, usize);

impl StoreHarness for InFront {
    type Store = Cached<Embedded>;

    fn store(&self) -> Cached<Embedded> {
        Cached::new(self.0.store(), self.1)
    }

    fn fences(&self) -> bool {
        false
    }
}

mod with_a_cache {
    headwater_testkit::state_store_suite!(super::InFront(super::Folder::new(), 1 << 24));
}

mod with_a_cache_that_is_small {
    headwater_testkit::state_store_suite!(super::InFront(super::Folder::new(), 1_000));
}

#[tokio::test]
async fn a_run_waits_for_a_query_that_looks_at_its_file() {
    use headwater_fold::store::{EmbeddedReader, StateStore as _};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folds.redb");
    Embedded::new(&path).take_over(&[], false).await.unwrap();
    let query = EmbeddedReader::open(&path).unwrap();
    let ends = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(query);
    });
    let mut store = Embedded::new(&path);
    store.take_over(&[], false).await.unwrap();
    ends.join().unwrap();
    // And a query does not wait for a run.
    let error = EmbeddedReader::open(&path).unwrap_err();
    assert_eq!(error.kind(), headwater_core::ErrorKind::Locked);
}
