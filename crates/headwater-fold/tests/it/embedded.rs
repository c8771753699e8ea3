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
