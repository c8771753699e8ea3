//! Emitting: the rows of a transaction that has ended, into batches.

use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead, Transaction};
use headwater_core::{Error, ErrorKind, Result};

use super::receive::{Group, State};
use super::tables::{Bindings, Bound};
use super::transaction::{Buffer, Cursor};
use crate::decode::event::{Body, RowKind, RowsEvent};

/// Bounds of a batch.
const BATCH_BYTES: usize = 512 << 10;
const BATCH_ROWS: usize = 8_192;

pub(super) fn is_full(batch: &Batch) -> bool {
    batch.len() >= BATCH_ROWS || batch.size_bytes() >= BATCH_BYTES
}

/// A transaction on its way out.
#[derive(Debug)]
pub(super) struct Ready {
    buffer: Buffer,
    cursor: Cursor,
    group: Group,
    transaction: Transaction,
    /// The tables that its rows name, if they came long before its end.
    bindings: Option<Bindings>,
    /// Its number in the batch being filled.
    number: Option<u32>,
    events_left: u64,
    rows: u64,
    scratch: Vec<u8>,
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
            buffer,
            cursor,
            group,
            transaction: Transaction {
                xid,
                gtid,
                server_id: 0,
                thread_id,
                query: None,
            },
            bindings: None,
            number: None,
            rows: 0,
            scratch: Vec::new(),
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
    while ready.events_left > 0 {
        if is_full(batch) {
            return Ok(Emitted::Full);
        }
        let Some(event) = ready.cursor.next(&ready.buffer)? else {
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
        let kept = ready
            .bindings
            .as_ref()
            .and_then(|kept| kept.get(&rows.table_id));
        let bound = match kept {
            Some(bound) => Arc::clone(bound),
            None => Arc::clone(state.tables.bound(rows.table_id)?),
        };
        ready.transaction.server_id = event.header.server_id;
        let transaction = match ready.number {
            Some(number) => number,
            None => *ready
                .number
                .insert(batch.add_transaction(ready.transaction.clone())),
        };
        let schema = batch.add_schema(&bound.schema);
        let first = batch.len();
        let head = RowHead {
            kind: change_kind(rows.kind),
            schema,
            transaction: Some(transaction),
            before: None,
            after: None,
            timestamp_s: event.header.timestamp_s,
            offset: ready.rows,
            last: false,
        };
        ready.rows = append(&rows, &bound, head, &mut ready.scratch, batch)?;
        let read = batch.len() - first;
        if ready.events_left == 0 && read > 0 {
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

fn change_kind(kind: RowKind) -> ChangeKind {
    match kind {
        RowKind::Insert => ChangeKind::Insert,
        RowKind::Update => ChangeKind::Update,
        RowKind::Delete => ChangeKind::Delete,
    }
}

/// Appends the rows of one event, each with `head` and its own images and number. Gives the number after the last.
#[inline]
fn append(
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
        head.offset += 1;
    }
    Ok(head.offset)
}
