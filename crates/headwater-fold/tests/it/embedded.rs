//! The embedded store, held to the contract.

use headwater_fold::store::Embedded;
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
