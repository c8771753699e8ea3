//! The filter where rows go out: snapshot rows and changes alike pass here, after coverage has decided over them, so that
//! everything else in the engine sees every row.
//!
//! What a row is within its transaction is told anew: its number counts only what goes out, and the last one that goes out
//! is its last. Where a transaction takes several batches, the last row of one batch may turn out to be that, so the batch
//! waits, with its note, until more of the transaction is known. The checkpoint stays before it meanwhile.

use std::collections::HashMap;

use super::RowFilter;
use super::note::Note;
use crate::batch::{Batch, ChangeKind, Row, Verdict};
use crate::filter::TableRule;
use crate::schema::SchemaId;

/// Definitions remembered; beyond that, all are looked at anew.
const TABLES_MAX: usize = 4_096;

/// A batch on its way on.
pub(super) struct Sifted<P> {
    pub(super) batch: Batch,
    pub(super) note: Note<P>,
    /// What the checkpoint has to know, once the note is true.
    pub(super) rows_filtered: u64,
}

/// The rules, and where they stand in the log.
pub(super) struct Sieve<P> {
    rows: RowFilter,
    tables: HashMap<SchemaId, TableRule>,
    /// Whether a row of a transaction may be left out here.
    looks_at_rows: bool,
    /// Rows of the open transaction that did not go out.
    dropped: u64,
    /// A batch that ends within a transaction, and what came behind it without rows.
    waiting: Vec<Sifted<P>>,
    verdicts: Vec<Verdict>,
    text: Vec<u8>,
}

impl<P> Sieve<P> {
    pub(super) fn new(rows: RowFilter, rows_filtered: u64) -> Self {
        Self {
            looks_at_rows: rows.filter.looks_at_rows(),
            rows,
            tables: HashMap::new(),
            dropped: rows_filtered,
            waiting: Vec::new(),
            verdicts: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Leaves out of `batch` what does not pass. Gives what can go on, in order.
    pub(super) fn sift(&mut self, mut batch: Batch, note: Note<P>) -> Vec<Sifted<P>> {
        if !self.looks_at_rows && !self.leaves_out(&batch) {
            return vec![self.sifted(batch, note)];
        }
        if batch.ended_before() {
            self.dropped = 0;
        }
        self.apply(&mut batch);
        let is_log = matches!(note, Note::Log { .. });
        let is_boundary = matches!(&note, Note::Log { point, .. } if point.rows_done == 0);
        let mut on = Vec::new();
        if (batch.ended_before() || batch.is_empty() && is_boundary)
            && let Some(held) = self.waiting.first_mut()
        {
            held.batch.end_transaction();
            on.append(&mut self.waiting);
        } else if !batch.is_empty() {
            on.append(&mut self.waiting);
        }
        let last = batch.len().checked_sub(1).and_then(|last| batch.row(last));
        let is_open = last.is_some_and(|row| is_open(&row));
        let sifted = self.sifted(batch, note);
        // What is said without rows of anything but the log need not wait: it is about something else.
        if is_log && self.looks_at_rows && (is_open || !self.waiting.is_empty()) {
            self.waiting.push(sifted);
        } else {
            on.push(sifted);
        }
        on
    }

    fn sifted(&self, batch: Batch, note: Note<P>) -> Sifted<P> {
        Sifted {
            batch,
            note,
            rows_filtered: self.dropped,
        }
    }

    /// Whether some table of the batch is more than let through: one look a definition.
    fn leaves_out(&mut self, batch: &Batch) -> bool {
        let mut found = false;
        for schema in batch.schemas() {
            found |= *self.rule(schema) != TableRule::All;
        }
        found
    }

    fn rule(&mut self, schema: &crate::schema::TableSchema) -> &TableRule {
        if self.tables.len() >= TABLES_MAX && !self.tables.contains_key(&schema.id) {
            self.tables.clear();
        }
        let filter = &self.rows.filter;
        let rule = self.tables.entry(schema.id);
        rule.or_insert_with(|| filter.of_table(schema))
    }

    fn apply(&mut self, batch: &mut Batch) {
        let leaves_out = self.leaves_out(batch);
        if !leaves_out && self.dropped == 0 {
            return;
        }
        self.verdicts.clear();
        let (updates, text_of) = (self.rows.updates, self.rows.text_of);
        for index in 0..batch.len() {
            let Some(row) = batch.row(index) else { break };
            let verdict = match self.tables.get(&row.schema_id()) {
                Some(rule) => rule.verdict(&row, updates, text_of, &mut self.text),
                None => Verdict::Keep,
            };
            self.verdicts.push(verdict);
            if !is_live(&row) {
                continue;
            }
            let (offset, is_last) = (row.offset(), row.is_last());
            if offset == 0 {
                self.dropped = 0;
            }
            if verdict == Verdict::Drop {
                self.dropped += 1;
            } else if self.dropped > 0 {
                batch.set_offset(index, offset.saturating_sub(self.dropped));
            }
            if is_last {
                self.dropped = 0;
            }
        }
        if leaves_out {
            batch.retain(&self.verdicts);
        }
    }
}

fn is_live(row: &Row<'_>) -> bool {
    matches!(
        row.kind(),
        ChangeKind::Insert | ChangeKind::Update | ChangeKind::Delete
    )
}

/// Whether the row's transaction goes on behind it.
fn is_open(row: &Row<'_>) -> bool {
    is_live(row) && !row.is_last()
}

#[cfg(test)]
#[path = "sieve_tests.rs"]
mod tests;
