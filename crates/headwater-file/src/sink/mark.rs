//! What a checkpoint says of a file: how long it was, which file it was, and how it ended.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// Bytes before the offset that are summed up: a file that was emptied and filled again by somebody else shows.
const TAIL_BYTES: u64 = 1024;

/// The mark of a file sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The length in bytes.
    pub(super) offset: u64,
    /// CRC-32 of the last bytes before the offset, 1,024 or what there is.
    tail_crc32: String,
    /// Which file.
    file: Identity,
}

/// Which file. Not its device: that has another number after a restart of the machine, on some file systems.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Identity {
    inode: u64,
    /// When it was created, in nanoseconds since 1970, where the file system knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_ns: Option<u64>,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let created = metadata.created().ok();
        Self {
            inode: metadata.ino(),
            created_ns: created
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                .and_then(|time| u64::try_from(time.as_nanos()).ok()),
        }
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        let created = self.created_ns.zip(other.created_ns);
        self.inode == other.inode && created.is_none_or(|(mine, its)| mine == its)
    }
}

impl Eq for Identity {}

impl Mark {
    /// The mark of `file` at `offset`, which is not beyond its end.
    pub(super) fn of(file: &File, identity: Identity, offset: u64) -> io::Result<Self> {
        let length = offset.min(TAIL_BYTES);
        let mut tail = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut tail, offset - length)?;
        Ok(Self {
            offset,
            tail_crc32: format!("{:08x}", crc32fast::hash(&tail)),
            file: identity,
        })
    }

    pub(super) fn identity(&self) -> Identity {
        self.file
    }
}
