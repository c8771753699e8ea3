//! The window of a cut by marks: a chunk was read between a low and a high mark; the log's changes between the two, by
//! key, are applied to the rows read, which makes them the exact contents at the high mark.
//!
//! Changes at or before the low mark are applied too where they come by: the view holds them already, so that applying
//! them in order, up to the high mark, ends at the same contents.
//!
//! Where a condition bounds the table, that cannot be: see [`super::bounded`].

use std::collections::HashMap;
use std::sync::Arc;

use super::bounded::Bounded;
use crate::batch::{Batch, Row, Verdict};
use crate::clock;
use crate::key::Key;
use crate::schema::{TableName, TableSchema};

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
    /// Rows whose last image came from the log.
    changed: Batch,
    /// For each key touched: where its last image is in `changed`, or that it was deleted.
    touched: HashMap<Key, Option<usize>>,
}

impl Chunk {
    pub(super) fn new(table: TableName, segment: usize, rows: Batch) -> Self {
        Self {
            table,
            segment,
            rows,
            changed: Batch::new(),
            touched: HashMap::new(),
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
            self.touched.insert(key.clone(), None);
        }
        if let (Some((key, segment)), Some(image)) = (after, row.after())
            && segment == self.segment
        {
            let schema: &Arc<TableSchema> = row.schema();
            self.changed
                .push_bootstrap_copy(&image, schema, clock::now_event_s());
            self.touched
                .insert(key.clone(), Some(self.changed.len() - 1));
        }
    }

    fn empty(&mut self) {
        self.rows.clear();
        self.changed.clear();
        self.touched.clear();
    }

    /// The contents at the high mark: the rows that were not touched, then the last image of each that was.
    fn close(mut self) -> Closed {
        let untouched: Vec<Verdict> = self
            .rows
            .rows()
            .map(|row| {
                let key = row.after().and_then(|image| Key::of(&image));
                let touched = key.is_some_and(|key| self.touched.contains_key(&key));
                if touched {
                    Verdict::Drop
                } else {
                    Verdict::Keep
                }
            })
            .collect();
        self.rows.retain(&untouched);
        let mut last = vec![Verdict::Drop; self.changed.len()];
        for index in self.touched.values().flatten() {
            last[*index] = Verdict::Keep;
        }
        self.changed.retain(&last);
        Closed {
            rows: [self.rows, self.changed],
            rows_placed: 0,
            pending: Vec::new(),
        }
    }
}
