//! The window of a cut by marks: a chunk was read between a low and a high mark; the log's changes between the two, by
//! key, are applied to the rows read, which makes them the exact contents at the high mark.
//!
//! Changes at or before the low mark are applied too where they come by: the view holds them already, so that applying
//! them in order, up to the high mark, ends at the same contents.
//!
//! Where a condition bounds the table, that cannot be: see [`super::bounded`].

use super::bounded::Bounded;
use super::touched::Touched;
use crate::batch::{Batch, Row};
use crate::checkpoint::TableCopy;
use crate::key::Key;
use crate::schema::TableName;

/// What was read, and what the log says of its keys since.
#[derive(Debug)]
pub(super) enum Window {
    /// A chunk of a table that is copied whole.
    Chunk(Chunk),
    /// A chunk, or keys of one, of a table that a condition bounds.
    Bounded(Bounded),
}

/// What a window knows of a change: of the key before, and of the key after.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    /// Whether the key's own cut lies before the change; none where that is the coverage's to say.
    pub(super) is_settled: [Option<bool>; 2],
    /// The cut lies just before the change, and the row as it was there is to go out first.
    pub(super) snapshot_first: bool,
}

/// A window that was closed, at its high mark.
#[derive(Debug)]
pub(super) struct Closed {
    /// The rows that go out now.
    pub(super) rows: [Batch; 2],
    /// Rows that went out already, within the log.
    pub(super) rows_placed: u64,
    /// Keys whose contents at no position are known; ascending.
    pub(super) pending: Vec<Key>,
}

impl Window {
    /// The table that was read.
    pub(super) fn table(&self) -> &TableName {
        match self {
            Self::Chunk(chunk) => &chunk.table,
            Self::Bounded(bounded) => bounded.table(),
        }
    }

    /// The record of its table, where every change of that goes out anyway.
    pub(super) fn covered_table(&self) -> Option<&TableCopy> {
        match self {
            Self::Chunk(_) => None,
            Self::Bounded(bounded) => bounded.covered_table(),
        }
    }

    /// Takes note of a change. Each side is a key with its segment.
    pub(super) fn change(
        &mut self,
        row: &Row<'_>,
        before: Option<(&Key, usize)>,
        after: Option<(&Key, usize)>,
    ) -> Seen {
        match self {
            Self::Chunk(chunk) => {
                chunk.change(row, before, after);
                Seen::default()
            }
            Self::Bounded(bounded) => bounded.change(row, before, after),
        }
    }

    /// Takes note that all rows of the table were removed at once.
    pub(super) fn empty(&mut self) {
        match self {
            Self::Chunk(chunk) => chunk.empty(),
            Self::Bounded(bounded) => bounded.empty(),
        }
    }

    /// Ends it at its high mark, which the log has reached.
    pub(super) fn close(self) -> Closed {
        match self {
            Self::Chunk(chunk) => chunk.close(),
            Self::Bounded(bounded) => bounded.close(),
        }
    }
}

/// A chunk of a table that is copied whole.
#[derive(Debug)]
pub(super) struct Chunk {
    table: TableName,
    /// The segment of the table's coverage that it is.
    segment: usize,
    rows: Batch,
    touched: Touched,
}

impl Chunk {
    pub(super) fn new(table: TableName, segment: usize, rows: Batch) -> Self {
        Self {
            table,
            segment,
            rows,
            touched: Touched::default(),
        }
    }

    fn change(
        &mut self,
        row: &Row<'_>,
        before: Option<(&Key, usize)>,
        after: Option<(&Key, usize)>,
    ) {
        if let Some((key, segment)) = before
            && segment == self.segment
        {
            self.touched.remove(key.clone());
        }
        if let (Some((key, segment)), Some(image)) = (after, row.after())
            && segment == self.segment
        {
            self.touched.set(key.clone(), row, &image);
        }
    }

    fn empty(&mut self) {
        self.rows.clear();
        self.touched.clear();
    }

    /// The contents at the high mark: the rows that were not touched, then the last image of each that was.
    fn close(self) -> Closed {
        let last: Vec<usize> = self.touched.present().map(|(_, image)| image).collect();
        Closed {
            rows: self.touched.mend(self.rows, &last),
            rows_placed: 0,
            pending: Vec::new(),
        }
    }
}
