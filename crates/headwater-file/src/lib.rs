//! Files and standard output as sinks, and the checkpoint file.
//!
//! - [`FileSink`] appends events to a file. What it reports durable is synced, and the mark it gives says how long the file was
//!   then; opened with that mark, it cuts the file back to it, so that a crash leaves neither gap nor duplicate. A file that is
//!   not the one the mark tells of is refused and left as it is.
//! - [`StdoutSink`] writes to a pipe or a terminal. Durable is what the other side took.
//! - [`NullSink`] encodes and drops, to measure everything else.
//! - [`CheckpointFile`] keeps the checkpoint in one file that is replaced as a whole.
//!
//! Events are encoded on the caller's task and written on a thread of the sink's own, one beside the other; nothing here ever
//! blocks a thread of the runtime but the saving of a checkpoint, which the engine calls from a thread for that.
//!
//! Locks are the operating system's (`flock`): they end with the process, whatever way it ends.

mod checkpoint;
mod config;
mod encode;
mod error;
mod lock;
mod sink;
mod writer;

pub use checkpoint::CheckpointFile;
pub use config::FileOptions;
pub use encode::Encode;
pub use sink::{FileSink, NullSink, StdoutSink};
