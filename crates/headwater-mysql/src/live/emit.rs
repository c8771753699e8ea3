//! Emitting: the rows of a transaction that has ended, into batches.

use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead, Transaction, Verdict};
use headwater_core::{Error, ErrorKind, Result};

use super::history;
use super::receive::{Group, State};
use super::tables::{Bindings, Bound, Tables};
use super::transaction::{Buffer, Cursor};
use crate::decode::event::{Body, EventHeader, RowKind, RowsEvent};

/// Bounds of a batch.
const BATCH_BYTES: usize = 512 << 10;
const BATCH_ROWS: usize = 8_192;

pub(super) fn is_full(batch: &Batch) -> bool {
    batch.len() >= BATCH_ROWS || batch.size_bytes() >= BATCH_BYTES
}

/// A transaction on its way out.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) buffer: Buffer,
    pub(super) cursor: Cursor,
    group: Group,
    transaction: Transaction,
    /// The tables that its rows name, if they came long before its end.
    pub(super) bindings: Option<Bindings>,
    /// Its number in the batch being filled.
    number: Option<u32>,
    /// Whether `until_last` leaves out the events at the end of which no row goes out.
    counted: bool,
    events_left: u64,
    /// Events up to the one with the transaction's last row.
    until_last: u64,
    rows: u64,
    scratch: Vec<u8>,
    /// Whether each row says where its event lies.
    pub(super) with_position: bool,
}

/// How far it got.
pub(super) enum Emitted {
    /// All rows are out.
    Done,
    /// The batch is full.
    Full,
}

impl Ready {
    pub(super) fn new(
        mut buffer: Buffer,
        group: Group,
        xid: Option<u64>,
        gtid: Option<Arc<str>>,
        thread_id: Option<u32>,
    ) -> Result<Self> {
        let cursor = buffer.rewind()?;
        Ok(Self {
            events_left: buffer.rows_events,
            until_last: buffer.rows_events,
            buffer,
            cursor,
            group,
            transaction: Transaction {
                xid,
                gtid,
                server_id: 0,
                thread_id,
                query: None,
                position: None,
                comment: None,
            },
            bindings: None,
            number: None,
            counted: false,
            rows: 0,
            scratch: Vec::new(),
            with_position: false,
        })
    }

    /// Its rows were kept since their tables had these bindings.
    pub(super) fn decode_by(&mut self, bindings: Bindings) {
        self.bindings = Some(bindings);
    }

    pub(super) fn into_parts(self) -> (Group, Buffer) {
        (self.group, self.buffer)
    }
}

/// Appends rows until the batch is full or the transaction is out.
pub(super) fn emit(ready: &mut Ready, state: &mut State, batch: &mut Batch) -> Result<Emitted> {
    // A batch that has come back empty knows nothing of this transaction.
    if batch.is_empty() {
        ready.number = None;
    }
    if state.tables.has_uncounted && !std::mem::replace(&mut ready.counted, true) {
        ready.until_last = history::events_that_count(ready, &state.tables)?;
    }
    while ready.events_left > 0 {
        if is_full(batch) {
            return Ok(Emitted::Full);
        }
        let Some((event, place)) = ready.cursor.next(&ready.buffer)? else {
            break;
        };
        let rows = match event.parse()? {
            Body::Rows(rows) => rows,
            Body::Statement(text) => {
                ready.transaction.query = Some(text.as_ref().into());
                ready.number = None;
                continue;
            }
            _ => continue,
        };
        ready.events_left -= 1;
        let is_last = ready.until_last == 1;
        ready.until_last = ready.until_last.saturating_sub(1);
        if state.tables.leaves_out(rows.table_id) {
            continue;
        }
        let header = event.header;
        let bound = bound(ready.bindings.as_ref(), &state.tables, rows.table_id)?;
        ready.transaction.server_id = header.server_id;
        if ready.with_position {
            let file = &ready.buffer.file;
            ready.transaction.position = Some(format!("{file}:{place}").into());
            ready.number = None;
        }
        let transaction = match ready.number {
            Some(number) => number,
            None => *ready
                .number
                .insert(batch.add_transaction(ready.transaction.clone())),
        };
        let schema = batch.add_schema(&bound.schema);
        let first = batch.len();
        let head = RowHead {
            transaction: Some(transaction),
            offset: ready.rows,
            ..head(&rows, &header, schema)
        };
        let rows_after = append(&rows, &bound, head, &mut ready.scratch, batch)?;
        if bound.is_silent {
            continue;
        }
        ready.rows = rows_after;
        let read = batch.len() - first;
        if is_last && read > 0 {
            batch.end_transaction();
        }
        let known = state.pass_over(read as u64);
        if known > 0 {
            batch.drop_rows(first, usize::try_from(known).unwrap_or(usize::MAX));
        }
    }
    if ready.events_left > 0 {
        return Err(Error::new(
            ErrorKind::Internal,
            "a transaction's events were lost while they were kept",
        ));
    }
    Ok(Emitted::Done)
}

/// How to decode the rows of the table with this number, which may have been kept since the table had other bindings.
pub(super) fn bound(kept: Option<&Bindings>, tables: &Tables, id: u64) -> Result<Arc<Bound>> {
    match kept.and_then(|kept| kept.get(&id)) {
        Some(bound) => Ok(Arc::clone(bound)),
        None => tables.bound(id).map(Arc::clone),
    }
}

/// What the rows of an event have in common.
pub(super) fn head(rows: &RowsEvent<'_>, header: &EventHeader, schema: u32) -> RowHead {
    RowHead {
        kind: change_kind(rows.kind),
        schema,
        transaction: None,
        before: None,
        after: None,
        timestamp_s: header.timestamp_s,
        offset: 0,
        last: false,
    }
}

fn change_kind(kind: RowKind) -> ChangeKind {
    match kind {
        RowKind::Insert => ChangeKind::Insert,
        RowKind::Update => ChangeKind::Update,
        RowKind::Delete => ChangeKind::Delete,
    }
}

/// Appends the rows of one event, each with `head` and its own images and number. Gives the number after the last.
#[inline]
pub(super) fn append(
    rows: &RowsEvent<'_>,
    bound: &Bound,
    mut head: RowHead,
    scratch: &mut Vec<u8>,
    batch: &mut Batch,
) -> Result<u64> {
    let mut reader = rows.reader(scratch)?;
    while let Some(images) = reader.next_row(&bound.plan, batch)? {
        head.before = images.before;
        head.after = images.after;
        batch.push_row(head);
        if let Some(end) = bound.row_end
            && !keep_current(batch, head, end)
        {
            continue;
        }
        head.offset += 1;
    }
    Ok(head.offset)
}

/// Makes the row just appended, `head`, one of the current rows, or takes it back. Says whether it is there.
fn keep_current(batch: &mut Batch, head: RowHead, end: usize) -> bool {
    let at = batch.len() - 1;
    let verdict = batch
        .row(at)
        .map_or(Verdict::Keep, |row| history::verdict(&row, end));
    let (kind, before, after) = match verdict {
        Verdict::Keep | Verdict::AfterItsSnapshot => return true,
        Verdict::AsInsert => (ChangeKind::Insert, None, head.after),
        Verdict::AsDelete => (ChangeKind::Delete, head.before, None),
        Verdict::Drop => (head.kind, None, None),
    };
    batch.drop_rows(at, 1);
    if verdict == Verdict::Drop {
        if let Some(first) = head.before.or(head.after) {
            batch.rewind(first);
        }
        return false;
    }
    batch.push_row(RowHead {
        kind,
        before,
        after,
        ..head
    });
    true
}
