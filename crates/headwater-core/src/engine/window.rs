//! The window of a cut by marks: a chunk was read between a low and a high mark; the log's changes between the two, by
//! key, are applied to the rows read, which makes them the exact contents at the high mark.
//!
//! Changes at or before the low mark are applied too where they come by: the view holds them already, so that applying
//! them in order, up to the high mark, ends at the same contents.

use std::collections::HashMap;
use std::sync::Arc;

use crate::batch::{Batch, Row, Verdict};
use crate::clock;
use crate::key::{Key, KeyRange};
use crate::schema::{TableName, TableSchema};

/// A chunk that was read, and what the log says of its keys since.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) table: TableName,
    pub(super) range: KeyRange,
    /// The segment of the table's coverage that the range is.
    pub(super) segment: usize,
    rows: Batch,
    /// Rows whose last image came from the log.
    changed: Batch,
    /// For each key touched: where its last image is in `changed`, or that it was deleted.
    touched: HashMap<Key, Option<usize>>,
}

impl Window {
    pub(super) fn new(table: TableName, range: KeyRange, segment: usize, rows: Batch) -> Self {
        Self {
            table,
            range,
            segment,
            rows,
            changed: Batch::new(),
            touched: HashMap::new(),
        }
    }

    /// Takes note of a change. Each side is a key with its segment.
    pub(super) fn change(
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

    /// Takes note that all rows of the table were removed at once.
    pub(super) fn empty(&mut self) {
        self.rows.clear();
        self.changed.clear();
        self.touched.clear();
    }

    /// The contents at the high mark: the rows that were not touched, then the last image of each that was. Gives the
    /// range with them.
    pub(super) fn close(mut self) -> (KeyRange, [Batch; 2]) {
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
        (self.range, [self.rows, self.changed])
    }
}
