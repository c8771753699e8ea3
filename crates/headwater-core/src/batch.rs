//! Batches: a run of the log or of a split, in order. Rows live in shared buffers with an index into them; a cell is
//! sixteen bytes, and text, bytes and numbers are read back as borrowed [`Cell`]s. Nothing is allocated per value.
//!
//! A source fills a batch: it pushes the cells of an image (`push_*`, one for each column, in table order) between
//! [`Batch::mark`] and [`Batch::push_row`]. The engine may drop or turn rows ([`Batch::retain`]). A sink walks
//! [`Batch::rows`].

#![allow(
    clippy::cast_possible_truncation,
    reason = "values are masked or bounded before they are narrowed; a batch stays far below 4 GiB"
)]

use std::ops::Range;
use std::sync::Arc;

use crate::ddl::DefinitionChange;
use crate::schema::{SchemaId, TableSchema};
use crate::value::{Cell, Date, DateTime, Time};

/// What happened to a row, or to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A snapshot row, as of its cut.
    Bootstrap,
    /// A new row.
    Insert,
    /// A changed row.
    Update,
    /// A removed row.
    Delete,
    /// All rows of the table were removed at once (TRUNCATE, or partitions dropped or exchanged): no images.
    Truncate,
    /// The table's definition changed: no images; the statement is in the row's transaction.
    Ddl,
    /// A bootstrap of the table begins: no images.
    BootstrapStart,
    /// A bootstrap of the table is complete: no images.
    BootstrapComplete,
}

impl ChangeKind {
    /// Whether it belongs to a snapshot, and to no transaction of the log.
    #[must_use]
    pub const fn is_bootstrap(self) -> bool {
        matches!(
            self,
            Self::Bootstrap | Self::BootstrapStart | Self::BootstrapComplete
        )
    }
}

/// What is known of the transaction that a row belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The number of the XID event that ends it; none for DDL and non-transactional engines.
    pub xid: Option<u64>,
    /// The global transaction id, as text.
    pub gtid: Option<Arc<str>>,
    /// The server on which it was first executed.
    pub server_id: u32,
    /// The thread (connection) that executed it, where the log says it.
    pub thread_id: Option<u32>,
    /// The statement's text, where the log says it (row-query events; DDL).
    pub query: Option<Arc<str>>,
    /// Where the event that holds the row begins in the log, `FILE:OFFSET`, where that was asked for. Rows of one transaction
    /// have several, and an entry for each.
    pub position: Option<Arc<str>>,
    /// A remark of whoever asked for these rows: of bootstraps only, which are in no transaction.
    pub comment: Option<Arc<str>>,
}

/// Where an image's cells begin within the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u32);

const NO_IMAGE: u32 = u32::MAX;

/// What a source says of a row when it is complete.
#[derive(Debug, Clone, Copy)]
pub struct RowHead {
    /// What happened.
    pub kind: ChangeKind,
    /// The definition, as [`Batch::add_schema`] numbered it.
    pub schema: u32,
    /// The transaction, as [`Batch::add_transaction`] numbered it; none for snapshot rows.
    pub transaction: Option<u32>,
    /// The image before, for updates and deletes.
    pub before: Option<Mark>,
    /// The image after, for inserts, updates and snapshot rows.
    pub after: Option<Mark>,
    /// Seconds since 1970 of the event's header.
    pub timestamp_s: u32,
    /// The row's number within its transaction, from 0.
    pub offset: u64,
    /// Whether it is the last row of its transaction.
    pub last: bool,
}

#[derive(Debug, Clone, Copy)]
struct RowEntry {
    kind: ChangeKind,
    last: bool,
    schema: u32,
    transaction: u32,
    before: u32,
    after: u32,
    timestamp_s: u32,
    offset: u64,
}

impl RowEntry {
    /// What the row was before, as a snapshot row.
    fn snapshot_of_before(self) -> Self {
        Self {
            kind: ChangeKind::Bootstrap,
            last: false,
            transaction: u32::MAX,
            before: NO_IMAGE,
            after: self.before,
            offset: 0,
            ..self
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Absent,
    Null,
    Int,
    UInt,
    Float,
    Double,
    Decimal,
    Text,
    Bytes,
    Date,
    Time,
    DateTime,
    Timestamp,
    Json,
    Set,
    Geometry,
    Vector,
    /// The label of an ENUM, by its number in the definition.
    Label,
}

/// Sixteen bytes: what it is, how long (for text and bytes) or which column (for labels), and the value or its offset.
#[derive(Debug, Clone, Copy)]
struct RawCell {
    tag: Tag,
    length: u32,
    bits: u64,
}

/// A run of rows.
#[derive(Debug, Default)]
pub struct Batch {
    text: String,
    bytes: Vec<u8>,
    cells: Vec<RawCell>,
    rows: Vec<RowEntry>,
    schemas: Vec<Arc<TableSchema>>,
    /// Those of `schemas`, side by side: one is looked for at each event of the log.
    schema_ids: Vec<SchemaId>,
    transactions: Vec<Transaction>,
    /// Of the transaction that began in an earlier batch, the end was here, and no row is left here that could say so.
    ended_before: bool,
    /// What the marks of changed definitions say; a mark's offset is the place in here, from 1.
    definition_changes: Vec<DefinitionChange>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.bytes.clear();
        self.cells.clear();
        self.rows.clear();
        self.schemas.clear();
        self.schema_ids.clear();
        self.transactions.clear();
        self.ended_before = false;
        self.definition_changes.clear();
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes held by the rows: what queues and budgets count.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.text.len()
            + self.bytes.len()
            + self.cells.len() * size_of::<RawCell>()
            + self.rows.len() * size_of::<RowEntry>()
    }

    /// The number of `schema` in this batch, adding it if it is new.
    pub fn add_schema(&mut self, schema: &Arc<TableSchema>) -> u32 {
        let found = self.schema_ids.iter().rposition(|id| *id == schema.id);
        found.unwrap_or_else(|| {
            self.schemas.push(Arc::clone(schema));
            self.schema_ids.push(schema.id);
            self.schemas.len() - 1
        }) as u32
    }

    /// Adds a transaction and says its number.
    pub fn add_transaction(&mut self, transaction: Transaction) -> u32 {
        self.transactions.push(transaction);
        (self.transactions.len() - 1) as u32
    }

    /// Makes room for this many more cells.
    #[inline]
    pub fn reserve_cells(&mut self, cells: usize) {
        self.cells.reserve(cells);
    }

    /// The place where the next image begins.
    #[must_use]
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark(self.cells.len() as u32)
    }

    /// Takes back the cells pushed since `mark` (of a row that is not wanted after all).
    pub fn rewind(&mut self, mark: Mark) {
        self.cells.truncate(mark.0 as usize);
    }

    /// Adds a row whose images have been pushed.
    pub fn push_row(&mut self, head: RowHead) {
        self.rows.push(RowEntry {
            kind: head.kind,
            last: head.last,
            schema: head.schema,
            transaction: head.transaction.unwrap_or(u32::MAX),
            before: head.before.map_or(NO_IMAGE, |mark| mark.0),
            after: head.after.map_or(NO_IMAGE, |mark| mark.0),
            timestamp_s: head.timestamp_s,
            offset: head.offset,
        });
    }

    /// Takes back `count` rows from the one at `first` on: they are out already.
    pub fn drop_rows(&mut self, first: usize, count: usize) {
        let end = first.saturating_add(count).min(self.rows.len());
        self.rows.drain(first.min(end)..end);
    }

    /// Gives all rows and marks of bootstraps a remark.
    pub fn set_comment(&mut self, comment: &Arc<str>) {
        let remark = Transaction {
            comment: Some(Arc::clone(comment)),
            ..Transaction::default()
        };
        let number = self.add_transaction(remark);
        for row in self
            .rows
            .iter_mut()
            .filter(|row| row.transaction == u32::MAX && row.kind.is_bootstrap())
        {
            row.transaction = number;
        }
    }

    /// The definitions of its rows, as [`Row::schema_index`] numbers them.
    #[must_use]
    pub fn schemas(&self) -> &[Arc<TableSchema>] {
        &self.schemas
    }

    /// Whether a transaction that began in an earlier batch ended in this one, without a row that says so: all it had here
    /// were dropped ([`Batch::retain`]). Its last row is then the last one of that earlier batch.
    #[must_use]
    pub fn ended_before(&self) -> bool {
        self.ended_before
    }

    /// Gives the row at `index` another number within its transaction.
    pub fn set_offset(&mut self, index: usize, offset: u64) {
        if let Some(row) = self.rows.get_mut(index) {
            row.offset = offset;
        }
    }

    /// Marks the last row as the last of its transaction.
    pub fn end_transaction(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            row.last = true;
        }
    }

    /// Adds a row without images: a mark that belongs to a table.
    pub fn push_table_mark(
        &mut self,
        kind: ChangeKind,
        schema: &Arc<TableSchema>,
        timestamp_s: u32,
    ) {
        let schema = self.add_schema(schema);
        self.push_row(RowHead {
            kind,
            schema,
            transaction: None,
            before: None,
            after: None,
            timestamp_s,
            offset: 0,
            last: false,
        });
    }

    /// Adds the mark of a changed definition, with what is to be told of it. `schema` names the table; of a database it has no
    /// more than the name.
    pub fn push_definition_change(
        &mut self,
        schema: &Arc<TableSchema>,
        timestamp_s: u32,
        change: DefinitionChange,
    ) {
        self.push_table_mark(ChangeKind::Ddl, schema, timestamp_s);
        self.definition_changes.push(change);
        if let Some(row) = self.rows.last_mut() {
            row.offset = self.definition_changes.len() as u64;
        }
    }

    /// Adds a snapshot row with the cells of `image`, which may belong to another batch.
    pub fn push_bootstrap_copy(
        &mut self,
        image: &Image<'_>,
        schema: &Arc<TableSchema>,
        timestamp_s: u32,
    ) {
        let schema = self.add_schema(schema);
        let after = self.mark();
        for raw in &image.batch.cells[image.range.clone()] {
            self.copy_cell(image.batch, *raw);
        }
        self.push_row(RowHead {
            kind: ChangeKind::Bootstrap,
            schema,
            transaction: None,
            before: None,
            after: Some(after),
            timestamp_s,
            offset: 0,
            last: false,
        });
    }

    fn copy_cell(&mut self, from: &Self, raw: RawCell) {
        match raw.tag {
            Tag::Decimal | Tag::Text | Tag::Json | Tag::Set => {
                self.push_str(raw.tag, from.str_at(raw))
            }
            Tag::Bytes | Tag::Geometry | Tag::Vector => self.push_raw(raw.tag, from.bytes_at(raw)),
            Tag::Absent
            | Tag::Null
            | Tag::Int
            | Tag::UInt
            | Tag::Float
            | Tag::Double
            | Tag::Date
            | Tag::Time
            | Tag::DateTime
            | Tag::Timestamp
            | Tag::Label => self.cells.push(raw),
        }
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.rows.iter().map(|entry| Row { batch: self, entry })
    }

    /// The row at `index`.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<Row<'_>> {
        self.rows.get(index).map(|entry| Row { batch: self, entry })
    }

    /// Keeps of each row what `verdicts` says, one for each row in order; then mends the mark of the last row of each
    /// transaction, or says that it is in an earlier batch ([`Batch::ended_before`]).
    pub fn retain(&mut self, verdicts: &[Verdict]) {
        debug_assert_eq!(verdicts.len(), self.rows.len());
        let mut kept: usize = 0;
        let mut snapshots = Vec::new();
        // Rows kept before the transaction at hand, and whether it began in this batch.
        let mut begin = 0;
        let in_transaction = |row: &&RowEntry| row.transaction != u32::MAX;
        let first = self.rows.iter().find(in_transaction);
        let mut began_here = first.is_none_or(|row| row.offset == 0);
        for (index, verdict) in verdicts.iter().enumerate() {
            let mut row = self.rows[index];
            let ends = row.last;
            let keep = match verdict {
                Verdict::Keep => true,
                Verdict::AfterItsSnapshot => {
                    snapshots.push((kept, row.snapshot_of_before()));
                    true
                }
                Verdict::AsInsert => {
                    row.kind = ChangeKind::Insert;
                    row.before = NO_IMAGE;
                    true
                }
                Verdict::AsDelete => {
                    row.kind = ChangeKind::Delete;
                    row.after = NO_IMAGE;
                    true
                }
                Verdict::Drop => false,
            };
            if keep {
                self.rows[kept] = row;
                kept += 1;
            } else if ends && kept > begin && self.rows[kept - 1].transaction != u32::MAX {
                self.rows[kept - 1].last = true;
            } else if ends && !began_here {
                self.ended_before = true;
            }
            if ends {
                (begin, began_here) = (kept, true);
            }
        }
        self.rows.truncate(kept);
        // From the last one back, so that the places of the others stay what they are. They are few.
        for (at, snapshot) in snapshots.into_iter().rev() {
            self.rows.insert(at, snapshot);
        }
    }

    #[inline]
    fn push(&mut self, tag: Tag, length: u32, bits: u64) {
        self.cells.push(RawCell { tag, length, bits });
    }

    /// A column that the image does not hold.
    pub fn push_absent(&mut self) {
        self.push(Tag::Absent, 0, 0);
    }

    /// NULL.
    #[inline]
    pub fn push_null(&mut self) {
        self.push(Tag::Null, 0, 0);
    }

    /// A signed integer.
    #[inline]
    pub fn push_int(&mut self, value: i64) {
        self.push(Tag::Int, 0, value.cast_unsigned());
    }

    /// An unsigned integer, bit field or year.
    #[inline]
    pub fn push_uint(&mut self, value: u64) {
        self.push(Tag::UInt, 0, value);
    }

    /// Four-byte floating point.
    #[inline]
    pub fn push_float(&mut self, value: f32) {
        self.push(Tag::Float, 0, u64::from(value.to_bits()));
    }

    /// Eight-byte floating point.
    #[inline]
    pub fn push_double(&mut self, value: f64) {
        self.push(Tag::Double, 0, value.to_bits());
    }

    /// A date.
    #[inline]
    pub fn push_date(&mut self, value: Date) {
        self.push(Tag::Date, 0, value.pack());
    }

    /// A duration.
    #[inline]
    pub fn push_time(&mut self, value: Time) {
        self.push(Tag::Time, 0, value.pack());
    }

    /// A date and time without a zone.
    #[inline]
    pub fn push_datetime(&mut self, value: DateTime) {
        self.push(Tag::DateTime, 0, value.pack());
    }

    /// A point in time, in UTC.
    #[inline]
    pub fn push_timestamp(&mut self, value: DateTime) {
        self.push(Tag::Timestamp, 0, value.pack());
    }

    /// The `number`th label (from 1; 0 is MySQL's invalid value, shown as empty text) of the ENUM in `column`.
    #[inline]
    pub fn push_label(&mut self, column: u32, number: u32) {
        self.push(Tag::Label, column, u64::from(number));
    }

    #[inline]
    fn push_str(&mut self, tag: Tag, text: &str) {
        let offset = self.text.len() as u64;
        self.text.push_str(text);
        self.push(tag, text.len() as u32, offset);
    }

    /// Text.
    #[inline]
    pub fn push_text(&mut self, text: &str) {
        self.push_str(Tag::Text, text);
    }

    /// A decimal in plain digits.
    #[inline]
    pub fn push_decimal(&mut self, digits: &str) {
        self.push_str(Tag::Decimal, digits);
    }

    /// A JSON document as compact text.
    pub fn push_json(&mut self, json: &str) {
        self.push_str(Tag::Json, json);
    }

    /// The labels of a SET, joined by commas.
    pub fn push_set(&mut self, labels: &str) {
        self.push_str(Tag::Set, labels);
    }

    /// Text, decimal, JSON or a SET that `write` appends to the batch's own text buffer, so that no buffer in between
    /// is needed. `write` must only append.
    ///
    /// # Errors
    /// What `write` returns; the batch is then as it was.
    #[inline]
    pub fn push_written<E>(
        &mut self,
        kind: Written,
        write: impl FnOnce(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        let offset = self.text.len();
        if let Err(error) = write(&mut self.text) {
            self.text.truncate(offset);
            return Err(error);
        }
        let tag = match kind {
            Written::Text => Tag::Text,
            Written::Decimal => Tag::Decimal,
            Written::Json => Tag::Json,
            Written::Set => Tag::Set,
        };
        let length = self.text.len() - offset;
        self.push(tag, length as u32, offset as u64);
        Ok(())
    }

    #[inline]
    fn push_raw(&mut self, tag: Tag, value: &[u8]) {
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(value);
        self.push(tag, value.len() as u32, offset);
    }

    /// Bytes.
    #[inline]
    pub fn push_bytes(&mut self, value: &[u8]) {
        self.push_raw(Tag::Bytes, value);
    }

    /// Bytes, followed by zero bytes up to `length` (the log drops a BINARY(n)'s trailing zeros).
    #[inline]
    pub fn push_bytes_padded(&mut self, value: &[u8], length: usize) {
        self.push_bytes(value);
        if value.len() < length {
            self.bytes
                .resize(self.bytes.len() + length - value.len(), 0);
            if let Some(cell) = self.cells.last_mut() {
                cell.length = length as u32;
            }
        }
    }

    /// A geometry: SRID and WKB.
    pub fn push_geometry(&mut self, value: &[u8]) {
        self.push_raw(Tag::Geometry, value);
    }

    /// A vector of four-byte floats.
    pub fn push_vector(&mut self, value: &[u8]) {
        self.push_raw(Tag::Vector, value);
    }

    fn str_at(&self, raw: RawCell) -> &str {
        let start = raw.bits as usize;
        self.text
            .get(start..start + raw.length as usize)
            .unwrap_or_default()
    }

    fn bytes_at(&self, raw: RawCell) -> &[u8] {
        let start = raw.bits as usize;
        self.bytes
            .get(start..start + raw.length as usize)
            .unwrap_or_default()
    }
}

/// What kind of text [`Batch::push_written`] appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Text of a column.
    Text,
    /// A decimal's plain digits.
    Decimal,
    /// Compact JSON.
    Json,
    /// Labels of a SET, joined by commas.
    Set,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out as it is.
    Keep,
    /// Only its after-image is wanted: an update that entered what is covered.
    AsInsert,
    /// Only its before-image is wanted: an update that left what is covered.
    AsDelete,
    /// It goes out, and before it its before-image as a snapshot row: the row's own cut lies just before the change.
    AfterItsSnapshot,
    /// It does not go out.
    Drop,
}

/// One row of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    batch: &'a Batch,
    entry: &'a RowEntry,
}

impl<'a> Row<'a> {
    /// What happened.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        self.entry.kind
    }

    /// The definition that the images follow.
    #[must_use]
    pub fn schema(&self) -> &'a Arc<TableSchema> {
        &self.batch.schemas[self.entry.schema as usize]
    }

    /// The definition's process-wide number.
    #[must_use]
    pub fn schema_id(&self) -> SchemaId {
        self.schema().id
    }

    /// The definition's number within the batch.
    #[must_use]
    pub fn schema_index(&self) -> usize {
        self.entry.schema as usize
    }

    /// The transaction; none for snapshot rows.
    #[must_use]
    pub fn transaction(&self) -> Option<&'a Transaction> {
        self.batch.transactions.get(self.entry.transaction as usize)
    }

    /// Seconds since 1970, from the event's header; of snapshot rows, when they were read.
    #[must_use]
    pub fn timestamp_s(&self) -> u32 {
        self.entry.timestamp_s
    }

    /// The row's number within its transaction, from 0.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.entry.offset
    }

    /// What the mark of a changed definition tells, if that was asked for.
    #[must_use]
    pub fn definition_change(&self) -> Option<&'a DefinitionChange> {
        if self.entry.kind != ChangeKind::Ddl {
            return None;
        }
        let place = usize::try_from(self.entry.offset).ok()?.checked_sub(1)?;
        self.batch.definition_changes.get(place)
    }

    /// Whether it is the last row of its transaction.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.entry.last
    }

    /// The image before: updates and deletes.
    #[must_use]
    pub fn before(&self) -> Option<Image<'a>> {
        self.image(self.entry.before)
    }

    /// The image after: inserts, updates and snapshot rows.
    #[must_use]
    pub fn after(&self) -> Option<Image<'a>> {
        self.image(self.entry.after)
    }

    fn image(&self, start: u32) -> Option<Image<'a>> {
        if start == NO_IMAGE {
            return None;
        }
        let start = start as usize;
        Some(Image {
            batch: self.batch,
            schema: self.schema(),
            range: start..start + self.schema().columns.len(),
        })
    }
}

/// The cells of a row before or after a change, one for each column of the definition.
#[derive(Debug, Clone)]
pub struct Image<'a> {
    batch: &'a Batch,
    schema: &'a TableSchema,
    range: Range<usize>,
}

impl<'a> Image<'a> {
    /// The cells in table order.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = Cell<'a>> + use<'a> {
        let (batch, schema) = (self.batch, self.schema);
        batch.cells[self.range.clone()]
            .iter()
            .map(move |raw| view(batch, schema, *raw))
    }

    /// The cell of the column at `index`.
    #[must_use]
    #[inline]
    pub fn cell(&self, index: usize) -> Cell<'a> {
        match self.batch.cells[self.range.clone()].get(index) {
            Some(raw) => view(self.batch, self.schema, *raw),
            None => Cell::Absent,
        }
    }

    /// Whether both images hold the very same cell in the column at `index`: the same kind with the same bits or bytes.
    /// Cheaper than comparing two [`Cell`]s.
    #[must_use]
    #[inline]
    pub fn same_cell(&self, other: &Image<'_>, index: usize) -> bool {
        let mine = self.batch.cells[self.range.clone()].get(index);
        let theirs = other.batch.cells[other.range.clone()].get(index);
        let (Some(mine), Some(theirs)) = (mine, theirs) else {
            return false;
        };
        if mine.tag != theirs.tag || mine.length != theirs.length {
            return false;
        }
        match mine.tag {
            Tag::Decimal | Tag::Text | Tag::Json | Tag::Set => {
                self.batch.str_at(*mine) == other.batch.str_at(*theirs)
            }
            Tag::Bytes | Tag::Geometry | Tag::Vector => {
                self.batch.bytes_at(*mine) == other.batch.bytes_at(*theirs)
            }
            Tag::Absent | Tag::Null => true,
            Tag::Int
            | Tag::UInt
            | Tag::Float
            | Tag::Double
            | Tag::Date
            | Tag::Time
            | Tag::DateTime
            | Tag::Timestamp
            | Tag::Label => mine.bits == theirs.bits,
        }
    }

    /// Whether both images hold the same in every column.
    #[must_use]
    pub fn same_cells(&self, other: &Image<'_>) -> bool {
        let columns = self.range.len();
        columns == other.range.len() && (0..columns).all(|index| self.same_cell(other, index))
    }

    /// The definition that the image follows.
    #[must_use]
    pub fn schema(&self) -> &'a TableSchema {
        self.schema
    }
}

/// What most cells are, in place; the others by a call.
#[inline]
fn view<'a>(batch: &'a Batch, schema: &'a TableSchema, raw: RawCell) -> Cell<'a> {
    match raw.tag {
        Tag::Null => Cell::Null,
        Tag::Int => Cell::Int(raw.bits.cast_signed()),
        Tag::Float => Cell::Float(f32::from_bits(raw.bits as u32)),
        Tag::Double => Cell::Double(f64::from_bits(raw.bits)),
        _ => view_other(batch, schema, raw),
    }
}

fn view_other<'a>(batch: &'a Batch, schema: &'a TableSchema, raw: RawCell) -> Cell<'a> {
    match raw.tag {
        Tag::Absent => Cell::Absent,
        Tag::Null => Cell::Null,
        Tag::Int => Cell::Int(raw.bits.cast_signed()),
        Tag::UInt => Cell::UInt(raw.bits),
        Tag::Float => Cell::Float(f32::from_bits(raw.bits as u32)),
        Tag::Double => Cell::Double(f64::from_bits(raw.bits)),
        Tag::Decimal => Cell::Decimal(batch.str_at(raw)),
        Tag::Text => Cell::Text(batch.str_at(raw)),
        Tag::Bytes => Cell::Bytes(batch.bytes_at(raw)),
        Tag::Date => Cell::Date(Date::unpack(raw.bits)),
        Tag::Time => Cell::Time(Time::unpack(raw.bits)),
        Tag::DateTime => Cell::DateTime(DateTime::unpack(raw.bits)),
        Tag::Timestamp => Cell::Timestamp(DateTime::unpack(raw.bits)),
        Tag::Json => Cell::Json(batch.str_at(raw)),
        Tag::Set => Cell::Set(batch.str_at(raw)),
        Tag::Geometry => Cell::Geometry(batch.bytes_at(raw)),
        Tag::Vector => Cell::Vector(batch.bytes_at(raw)),
        Tag::Label => Cell::Text(label(schema, raw)),
    }
}

fn label(schema: &TableSchema, raw: RawCell) -> &str {
    let column = schema.columns.get(raw.length as usize);
    match column.map(|column| &column.data_type) {
        Some(crate::schema::DataType::Enum(labels)) => {
            let index = (raw.bits as usize).wrapping_sub(1);
            labels.get(index).map_or("", |label| label)
        }
        _ => "",
    }
}
