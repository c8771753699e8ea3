//! Records on their way from the encoder to the thread that hands them to the client: one buffer for all their bytes.

use std::ops::Range;
use std::sync::Arc;

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The topic's place in [`Records::topics`].
    pub(crate) topic: usize,
    pub(crate) partition: i32,
    pub(crate) key: Range<usize>,
    /// None: a tombstone.
    pub(crate) value: Option<Range<usize>>,
    /// Where its headers are in [`Records::headers`].
    pub(crate) headers: Range<usize>,
}

/// A run of records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) bytes: Vec<u8>,
    pub(crate) list: Vec<Record>,
    /// Names and where their values are.
    pub(crate) headers: Vec<(&'static str, Range<usize>)>,
    /// The names of the topics. Shared with the encoder, which adds to its own.
    pub(crate) topics: Arc<Vec<Arc<str>>>,
    /// Rows of a bootstrap beside a stream: they leave room for the stream's changes.
    pub(crate) beside_stream: bool,
}

impl Records {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
        self.headers.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// What `write` appends, as a range.
    pub(crate) fn appended(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.bytes.len();
        write(&mut self.bytes);
        start..self.bytes.len()
    }
}
