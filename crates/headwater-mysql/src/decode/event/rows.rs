//! Rows events: WRITE, UPDATE and DELETE of both versions, MariaDB's compressed ones, and MySQL's partial update.
//! Sources: the class comment of `Rows_event` in `rows_event.h`; `row_log_event_uncompress` and
//! `binlog_buf_uncompress` in MariaDB's `sql/log_event.cc`.

use headwater_core::batch::{Batch, Mark};
use headwater_core::{Error, ErrorKind, Result};

use super::event_type as et;
use crate::decode::malformed;
use crate::decode::mariadb::inflate;
use crate::decode::reader::Reader;
use crate::decode::row_image::{ImagePlan, Present};

/// What a rows event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// Adds rows.
    Insert,
    /// Changes rows.
    Update,
    /// Removes rows.
    Delete,
}

/// A rows event.
#[derive(Debug, Clone, Copy)]
pub struct RowsEvent<'a> {
    /// What it does.
    pub kind: RowKind,
    /// The table, as a table map before it numbered it.
    pub table_id: u64,
    /// Flags.
    pub flags: u16,
    /// Columns of the table.
    pub columns: usize,
    /// The images before hold a list of changes to JSON values (PARTIAL_UPDATE_ROWS).
    pub partial_json: bool,
    before: Option<Present<'a>>,
    after: Option<Present<'a>>,
    compressed: bool,
    body: &'a [u8],
}

/// The numbers of dummy events that only end a statement.
const NO_TABLE: u64 = 0xFF_FFFF;

impl<'a> RowsEvent<'a> {
    const STATEMENT_END: u16 = 1;

    pub(super) fn parse(event_type: u8, body: &'a [u8]) -> Result<Self> {
        let kind = match event_type {
            et::WRITE_ROWS
            | et::WRITE_ROWS_V1
            | et::WRITE_ROWS_COMPRESSED
            | et::WRITE_ROWS_COMPRESSED_V1 => RowKind::Insert,
            et::DELETE_ROWS
            | et::DELETE_ROWS_V1
            | et::DELETE_ROWS_COMPRESSED
            | et::DELETE_ROWS_COMPRESSED_V1 => RowKind::Delete,
            _ => RowKind::Update,
        };
        let has_extra = matches!(
            event_type,
            et::WRITE_ROWS
                | et::UPDATE_ROWS
                | et::DELETE_ROWS
                | et::PARTIAL_UPDATE_ROWS
                | et::WRITE_ROWS_COMPRESSED
                | et::UPDATE_ROWS_COMPRESSED
                | et::DELETE_ROWS_COMPRESSED
        );
        let mut reader = Reader::new(body);
        let table_id = reader.uint(6)?;
        let flags = reader.u16()?;
        if has_extra {
            let length = usize::from(reader.u16()?);
            reader.take(length.saturating_sub(2))?;
        }
        let columns = usize::try_from(reader.lenenc()?).unwrap_or(usize::MAX);
        let width = columns.div_ceil(8);
        let first = Present::new(reader.take(width)?, columns);
        let (before, after) = match kind {
            RowKind::Insert => (None, Some(first)),
            RowKind::Delete => (Some(first), None),
            RowKind::Update => (
                Some(first),
                Some(Present::new(reader.take(width)?, columns)),
            ),
        };
        Ok(Self {
            kind,
            table_id,
            flags,
            columns,
            partial_json: event_type == et::PARTIAL_UPDATE_ROWS,
            before,
            after,
            compressed: matches!(
                event_type,
                et::WRITE_ROWS_COMPRESSED_V1..=et::DELETE_ROWS_COMPRESSED
            ),
            body: reader.rest(),
        })
    }

    /// Whether the statement ends here: table numbers are void after it.
    #[must_use]
    pub fn ends_statement(&self) -> bool {
        self.flags & Self::STATEMENT_END != 0
    }

    /// Whether the event belongs to no table and only ends a statement.
    #[must_use]
    pub fn is_dummy(&self) -> bool {
        self.table_id == NO_TABLE
    }

    /// Whether all images hold all columns (`binlog_row_image=FULL`).
    #[must_use]
    pub fn is_full(&self) -> bool {
        [&self.before, &self.after]
            .into_iter()
            .flatten()
            .all(Present::is_full)
    }

    /// The rows. A compressed event is decompressed into `scratch`, which keeps its memory for the next.
    ///
    /// # Errors
    /// `Malformed` if it does not decompress; `Unsupported` for a partial update.
    #[inline]
    pub fn reader<'b>(&'b self, scratch: &'b mut Vec<u8>) -> Result<RowsReader<'b>> {
        if self.partial_json {
            return Err(Error::new(ErrorKind::Unsupported, "the log holds partial updates of JSON values")
                .hint("SET GLOBAL binlog_row_value_options = ''; sessions opened before keep their setting"));
        }
        let bytes = if self.compressed {
            *scratch = uncompress_event(self.body)?;
            scratch.as_slice()
        } else {
            self.body
        };
        let holds_nothing =
            |present: &Option<Present<'_>>| present.is_some_and(|present| present.count() == 0);
        if !bytes.is_empty()
            && [&self.before, &self.after]
                .into_iter()
                .all(|one| one.is_none() || holds_nothing(one))
        {
            return Err(malformed("a rows event has bytes but no columns"));
        }
        Ok(RowsReader {
            before: self.before,
            after: self.after,
            reader: Reader::new(bytes),
        })
    }
}

/// Walks the rows of an event.
#[derive(Debug, Clone, Copy)]
pub struct RowsReader<'a> {
    before: Option<Present<'a>>,
    after: Option<Present<'a>>,
    reader: Reader<'a>,
}

/// The images of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Images {
    /// Before the change: updates and deletes.
    pub before: Option<Mark>,
    /// After the change: inserts and updates.
    pub after: Option<Mark>,
}

impl RowsReader<'_> {
    /// Pushes the images of the next row; `None` after the last.
    ///
    /// # Errors
    /// `Malformed` or `SchemaMismatch` if the bytes do not fit the plan; the batch then is as it was.
    #[inline]
    pub fn next_row(&mut self, plan: &ImagePlan, batch: &mut Batch) -> Result<Option<Images>> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let start = batch.mark();
        let before = match &self.before {
            Some(present) => Some(plan.decode(present, &mut self.reader, batch)?),
            None => None,
        };
        let after = match &self.after {
            Some(present) => match plan.decode(present, &mut self.reader, batch) {
                Ok(mark) => Some(mark),
                Err(error) => {
                    batch.rewind(start);
                    return Err(error);
                }
            },
            None => None,
        };
        Ok(Some(Images { before, after }))
    }
}

/// MariaDB's compressed events: a byte (high bit set, three bits of algorithm, zlib 0, three bits of how long the
/// length is), the length big-endian, and a zlib frame.
pub(super) fn uncompress_event(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut reader = Reader::new(bytes);
    let head = reader.u8()?;
    let width = usize::from(head & 7);
    if head & 0x80 == 0 || !matches!(width, 1..=4) {
        return Err(malformed("a compressed event has no header"));
    }
    if head >> 4 & 7 != 0 {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a compressed event uses an unknown algorithm",
        ));
    }
    let length = reader.uint_be(width)?;
    inflate(reader.rest(), length, false)
}
