//! What can be set on a sink of this crate.

use std::time::Duration;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileOptions {
    /// Whether durable means synced to the disk. Without a checkpoint nobody asks again, so the command line turns it off.
    pub sync: bool,
    /// Bytes that wait for the writing thread at most (more only if one batch is larger). As much again is being written, and as
    /// much is being encoded.
    pub buffer_bytes_max: usize,
    /// The run of bytes that is written at once; less is written only if no more comes within `linger`.
    pub run_bytes_min: usize,
    /// How long less than a run waits for more before it is written. A barrier does not wait.
    pub linger: Duration,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            sync: true,
            buffer_bytes_max: 1024 * 1024,
            run_bytes_min: 256 * 1024,
            linger: Duration::from_millis(1),
        }
    }
}
