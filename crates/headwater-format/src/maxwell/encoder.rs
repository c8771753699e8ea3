//! From a row to its event.

use headwater_core::batch::{Batch, ChangeKind, Image, Row};
use headwater_core::schema::TableSchema;
use headwater_core::value::Cell;

use super::plan::{EventType, Plan, Plans};
use super::value;
use super::{BootstrapEvents, Options};
use crate::append::{self, Piece};
use crate::escape;

/// Encodes rows as Maxwell's JSON. It keeps what it rendered of each table's definition, so keep the encoder.
#[derive(Debug, Default)]
pub struct Encoder {
    options: Options,
    plans: Plans,
    /// The columns that the update at hand changed; kept for its memory.
    changed: Vec<usize>,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoded {
    /// One event was appended.
    Event,
    /// The row has no event in this format, and nothing was appended.
    Nothing,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Rows that gave an event, a line each.
    pub events: u64,
    /// Rows that have no event in this format.
    pub skipped: u64,
}

impl Encoder {
    /// An encoder with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            plans: Plans::default(),
            changed: Vec::new(),
        }
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The type of the event that a change of this kind has (`insert`, `bootstrap`, …); none if it has no event.
    #[must_use]
    pub fn type_of(&self, kind: ChangeKind) -> Option<&'static str> {
        event_type(kind, self.options.bootstrap_events).map(EventType::name)
    }

    /// Appends the events of all rows to `out`, a line each.
    pub fn encode_batch(&mut self, batch: &Batch, out: &mut Vec<u8>) -> Counts {
        let mut counts = Counts::default();
        for row in batch.rows() {
            match self.encode_row(row, out) {
                Encoded::Event => {
                    out.push(b'\n');
                    counts.events += 1;
                }
                Encoded::Nothing => counts.skipped += 1,
            }
        }
        counts
    }

    /// Appends the event of `row` to `out`, without a line break. TRUNCATE and DDL have none, nor have the marks of a
    /// bootstrap's beginning and end unless Maxwell's own bootstrap events are asked for.
    pub fn encode_row(&mut self, row: Row<'_>, out: &mut Vec<u8>) -> Encoded {
        let Some(event) = event_type(row.kind(), self.options.bootstrap_events) else {
            return Encoded::Nothing;
        };
        let plan = self.plans.of(row.schema());
        let writer = Writer {
            options: &self.options,
            plan,
        };
        let is_live = matches!(
            event,
            EventType::Insert | EventType::Update | EventType::Delete
        );
        let transaction = row.transaction().filter(|_| is_live);
        let query = transaction.and_then(|transaction| transaction.query.as_deref());
        match query.filter(|_| self.options.output_row_query) {
            None => plan.push_head(out, event),
            Some(query) => plan.push_head_with_query(out, event, query),
        }
        append::push_uint(out, u64::from(row.timestamp_s()));
        if is_live {
            writer.push_transaction(out, row);
        } else if let Some(comment) = row.transaction().and_then(|asked| asked.comment.as_deref()) {
            out.extend_from_slice(b",\"comment\":");
            escape::push_string(out, comment);
        }
        let (after, before) = match event {
            EventType::Delete => (row.before(), None),
            EventType::Update => (row.after(), row.before()),
            _ => (row.after(), None),
        };
        if self.options.output_primary_keys || self.options.output_primary_key_columns {
            writer.push_keys(out, event, row.schema(), after.as_ref());
        }
        out.extend_from_slice(b",\"data\":");
        match (after, before) {
            (Some(after), Some(before)) => {
                writer.push_update(out, &before, &after, &mut self.changed);
            }
            (Some(image), None) => writer.push_image(out, &image),
            (None, _) => out.extend_from_slice(b"{}"),
        }
        out.push(b'}');
        Encoded::Event
    }
}

/// The type of a change's event, if it has one.
fn event_type(kind: ChangeKind, bootstrap_events: BootstrapEvents) -> Option<EventType> {
    let is_maxwell = bootstrap_events == BootstrapEvents::Maxwell;
    match kind {
        ChangeKind::Insert => Some(EventType::Insert),
        ChangeKind::Update => Some(EventType::Update),
        ChangeKind::Delete => Some(EventType::Delete),
        ChangeKind::Bootstrap if is_maxwell => Some(EventType::BootstrapInsert),
        ChangeKind::Bootstrap => Some(EventType::Bootstrap),
        ChangeKind::BootstrapStart => is_maxwell.then_some(EventType::BootstrapStart),
        ChangeKind::BootstrapComplete => is_maxwell.then_some(EventType::BootstrapComplete),
        ChangeKind::Truncate | ChangeKind::Ddl => None,
    }
}

/// The parts of an event, for one row.
struct Writer<'a> {
    options: &'a Options,
    plan: &'a Plan,
}

impl Writer<'_> {
    /// `xid`, `xoffset`, `commit`, `gtid`, `server_id`, `thread_id`.
    #[inline]
    fn push_transaction(&self, out: &mut Vec<u8>, row: Row<'_>) {
        let transaction = row.transaction();
        if self.options.output_commit_info {
            if let Some(xid) = transaction.and_then(|transaction| transaction.xid) {
                out.extend_from_slice(b",\"xid\":");
                append::push_uint(out, xid);
            }
            if row.is_last() {
                out.extend_from_slice(b",\"commit\":true");
            } else if self.options.output_xoffset {
                out.extend_from_slice(b",\"xoffset\":");
                append::push_uint(out, row.offset());
            }
        }
        if self.options.output_gtid_position {
            out.extend_from_slice(b",\"gtid\":");
            match transaction.and_then(|transaction| transaction.gtid.as_deref()) {
                Some(gtid) => escape::push_string(out, gtid),
                None => out.extend_from_slice(b"null"),
            }
        }
        let Some(transaction) = transaction else {
            return;
        };
        if self.options.output_server_id {
            out.extend_from_slice(b",\"server_id\":");
            append::push_uint(out, u64::from(transaction.server_id));
        }
        if let Some(thread) = transaction
            .thread_id
            .filter(|_| self.options.output_thread_id)
        {
            out.extend_from_slice(b",\"thread_id\":");
            append::push_uint(out, u64::from(thread));
        }
    }

    /// `primary_key` and `primary_key_columns`. The start of a bootstrap has a null for each key column, its end has
    /// empty arrays.
    fn push_keys(
        &self,
        out: &mut Vec<u8>,
        event: EventType,
        schema: &TableSchema,
        image: Option<&Image<'_>>,
    ) {
        let is_complete = event == EventType::BootstrapComplete;
        if self.options.output_primary_keys {
            out.extend_from_slice(b",\"primary_key\":[");
            let key = if is_complete {
                &[]
            } else {
                schema.primary_key.as_slice()
            };
            for (place, column) in key.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                let cell = image.map_or(Cell::Null, |image| image.cell(*column));
                value::push(out, self.shown(&cell));
            }
            out.push(b']');
        }
        if self.options.output_primary_key_columns {
            out.extend_from_slice(b",\"primary_key_columns\":");
            out.extend_from_slice(if is_complete {
                b"[]"
            } else {
                &self.plan.key_columns
            });
        }
    }

    /// The cell, or null in place of a date that is none. By reference: a cell is built in parts, and the processor
    /// waits when it has to be moved whole right after.
    #[inline]
    fn shown<'c, 'd>(&self, cell: &'c Cell<'d>) -> &'c Cell<'d> {
        if self.options.output_null_zerodates && value::is_zero_date(cell) {
            &Cell::Null
        } else {
            cell
        }
    }

    /// `{"id":1,"note":null}`. Each member brings the comma before it, and the first one's becomes the brace.
    #[inline]
    fn push_image(&self, out: &mut Vec<u8>, image: &Image<'_>) {
        let start = out.len();
        for (index, name) in self.plan.columns.iter().enumerate() {
            self.push_member(out, name, self.shown(&image.cell(index)));
        }
        close_object(out, start);
    }

    #[inline]
    fn push_member(&self, out: &mut Vec<u8>, name: &Piece<32>, cell: &Cell<'_>) {
        match cell {
            Cell::Absent => return,
            Cell::Null if !self.options.output_nulls => return,
            _ => {}
        }
        name.push(out);
        value::push(out, cell);
    }

    /// The row as it is now and, in `old`, what its changed columns were. A column that a partial after-image lacks is
    /// unchanged, so its value is taken from before.
    #[inline]
    fn push_update(
        &self,
        out: &mut Vec<u8>,
        before: &Image<'_>,
        after: &Image<'_>,
        changed: &mut Vec<usize>,
    ) {
        changed.clear();
        let start = out.len();
        for (index, name) in self.plan.columns.iter().enumerate() {
            let new = after.cell(index);
            let new = self.shown(&new);
            if after.same_cell(before, index) {
                self.push_member(out, name, new);
                continue;
            }
            let old = before.cell(index);
            let old = self.shown(&old);
            if is_absent(new) {
                self.push_member(out, name, old);
                continue;
            }
            self.push_member(out, name, new);
            if !value::same(old, new) && !is_absent(old) {
                changed.push(index);
            }
        }
        close_object(out, start);
        if changed.is_empty() {
            return;
        }
        out.extend_from_slice(b",\"old\":");
        let start = out.len();
        for &index in changed.iter() {
            let old = before.cell(index);
            self.push_member(out, &self.plan.columns[index], self.shown(&old));
        }
        close_object(out, start);
    }
}

fn is_absent(cell: &Cell<'_>) -> bool {
    matches!(cell, Cell::Absent)
}

/// Turns the members since `start`, each with a comma before it, into an object.
#[inline]
fn close_object(out: &mut Vec<u8>, start: usize) {
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}
