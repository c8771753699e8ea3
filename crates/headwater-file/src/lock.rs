//! Exclusive locks on files, which end with the process however it ends.

use std::fs::{File, TryLockError};
use std::thread;
use std::time::Duration;

/// A lock outlives its holder for a moment where that one is just being torn down, or has just forked: that long it is asked for
/// again.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Locks `file`, within half a second.
pub(crate) fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    file.try_lock()
}
