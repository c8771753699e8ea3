//! What tests in worlds made from seeds have in common.

use std::path::Path;

use headwater_testkit::memory::{self, Cuts};

/// How many seeds are tried: all in a soak, a tenth of them otherwise.
pub(crate) fn seeds(in_soak: u64) -> u64 {
    match std::env::var_os("HEADWATER_SOAK") {
        Some(_) => in_soak,
        None => in_soak / 10,
    }
}

/// A folder in memory, if there is such a place: these processes die in this one, and what is written needs no disk to survive that.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        return tempfile::tempdir_in(memory).unwrap();
    }
    tempfile::tempdir().unwrap()
}

/// A world with writers that go on while processes die.
pub(crate) fn world(cuts: Cuts) -> memory::Options {
    memory::Options {
        cuts,
        unsplittable: cuts != Cuts::Marks,
        transactions: 300,
        transactions_per_step: 1,
        ..memory::Options::default()
    }
}

/// Says which seed it was when a test panics.
pub(crate) struct Running(pub(crate) u64);

#[allow(clippy::print_stderr, reason = "the seed that failed")]
impl Drop for Running {
    fn drop(&mut self) {
        eprintln!("seed {} failed", self.0);
    }
}
