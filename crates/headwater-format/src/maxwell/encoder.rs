//! From a row to its event.

use headwater_core::batch::{Batch, ChangeKind, Image, Row};
use headwater_core::clock;
use headwater_core::schema::TableSchema;
use headwater_core::value::Cell;

use super::ddl;
use super::encrypt::{Encrypted, Encryption};
use super::options::{BootstrapEvents, Naming, Options};
use super::plan::{EventType, Plan, Plans, Style};
use super::value;
use crate::append::{self, Piece};
use crate::escape;

/// Encodes rows as Maxwell's JSON. It keeps what it rendered of each table's definition, so keep the encoder.
#[derive(Debug, Default)]
pub struct Encoder {
    options: Options,
    /// Whether an event says where its row comes from: place, GTID, server, thread.
    says_origin: bool,
    /// Whether an event has something that no plain one has, behind its transaction.
    has_extras: bool,
    /// The custom members, each with a comma before it.
    custom: Vec<u8>,
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
        let mut custom = Vec::new();
        for (name, value) in &options.custom {
            custom.push(b',');
            escape::push_string(&mut custom, name);
            custom.push(b':');
            escape::push_string(&mut custom, value);
        }
        let style = Style {
            naming: options.output_naming_strategy,
            exclude: options.exclude_columns.clone(),
        };
        Self {
            says_origin: options.output_binlog_position
                || options.output_gtid_position
                || options.output_server_id
                || options.output_thread_id,
            has_extras: options.output_push_timestamp
                || options.output_primary_keys
                || options.output_primary_key_columns
                || !custom.is_empty(),
            options,
            custom,
            plans: Plans::new(style),
            changed: Vec::new(),
        }
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The type of a row's event (`insert`, `bootstrap`, …); none if it has no event.
    #[must_use]
    pub fn type_of(&self, row: Row<'_>) -> Option<&'static str> {
        if let Some(change) = row.definition_change().filter(|_| self.options.output_ddl) {
            return Some(ddl::event_type(change.what));
        }
        event_type(row.kind(), self.options.bootstrap_events).map(EventType::name)
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

    /// Appends the event of `row` to `out`, without a line break. TRUNCATE has none, nor has DDL unless it is asked for, nor have
    /// the marks of a bootstrap's beginning and end unless Maxwell's own bootstrap events are asked for.
    pub fn encode_row(&mut self, row: Row<'_>, out: &mut Vec<u8>) -> Encoded {
        if row.kind() == ChangeKind::Ddl {
            return match row.definition_change().filter(|_| self.options.output_ddl) {
                Some(change) => {
                    ddl::push(out, change, row.timestamp_s(), &self.options);
                    Encoded::Event
                }
                None => Encoded::Nothing,
            };
        }
        let Some(event) = event_type(row.kind(), self.options.bootstrap_events) else {
            return Encoded::Nothing;
        };
        let start = out.len();
        let plan = self.plans.of(row.schema());
        let writer = Writer {
            options: &self.options,
            plan,
            shows_all: !self.options.output_null_zerodates && plan.hidden.is_empty(),
        };
        let is_live = matches!(
            event,
            EventType::Insert | EventType::Update | EventType::Delete
        );
        let transaction = row.transaction().filter(|_| is_live);
        let query = transaction.and_then(|transaction| transaction.query.as_deref());
        match query.filter(|_| self.options.output_row_query) {
            None => plan.push_head(out, event),
            Some(query) => {
                let query = beginning(query, self.options.row_query_max_length);
                plan.push_head_with_query(out, event, query);
            }
        }
        append::push_uint(out, u64::from(row.timestamp_s()));
        if is_live {
            writer.push_transaction(out, row);
            if self.says_origin {
                writer.push_origin(out, row);
            }
        }
        let (after, before) = match event {
            EventType::Delete => (row.before(), None),
            EventType::Update => (row.after(), row.before()),
            _ => (row.after(), None),
        };
        if self.has_extras || !is_live && row.transaction().is_some() {
            writer.push_extras(out, event, row, after.as_ref(), &self.custom);
        }
        let contents = out.len();
        out.extend_from_slice(b",\"data\":");
        match (after, before) {
            (Some(after), Some(before)) => {
                writer.push_update(out, &before, &after, &mut self.changed);
            }
            (Some(image), None) => writer.push_image(out, &image),
            (None, _) => out.extend_from_slice(b"{}"),
        }
        if let Some(encryption) = &self.options.encrypt {
            encrypt(encryption, out, start, contents);
        } else {
            out.push(b'}');
        }
        Encoded::Event
    }
}

/// Encrypts what was appended since `contents` (a comma, then `data` and `old`), or the whole event since `start`, and
/// closes it.
#[cold]
fn encrypt(encryption: &Encryption, out: &mut Vec<u8>, start: usize, contents: usize) {
    out.push(b'}');
    match encryption.what() {
        Encrypted::Data => {
            let mut text = out.split_off(contents);
            if let Some(comma) = text.first_mut() {
                *comma = b'{';
            }
            out.push(b',');
            encryption.push(out, &text);
        }
        Encrypted::All => {
            let text = out.split_off(start);
            out.push(b'{');
            encryption.push(out, &text);
        }
    }
    out.push(b'}');
}

/// The first characters of a text: so many, or all if that is zero.
fn beginning(text: &str, characters_max: usize) -> &str {
    if characters_max == 0 {
        return text;
    }
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

/// The members whose names have an underscore, each with a comma before and a colon behind it.
struct Names {
    server_id: &'static [u8],
    thread_id: &'static [u8],
    push_ts: &'static [u8],
    primary_key: &'static [u8],
    primary_key_columns: &'static [u8],
}

impl Names {
    const fn of(naming: Naming) -> &'static Self {
        match naming {
            Naming::None => &Self {
                server_id: b",\"server_id\":",
                thread_id: b",\"thread_id\":",
                push_ts: b",\"push_ts\":",
                primary_key: b",\"primary_key\":",
                primary_key_columns: b",\"primary_key_columns\":",
            },
            Naming::UnderscoreToCamelcase => &Self {
                server_id: b",\"serverId\":",
                thread_id: b",\"threadId\":",
                push_ts: b",\"pushTs\":",
                primary_key: b",\"primaryKey\":",
                primary_key_columns: b",\"primaryKeyColumns\":",
            },
        }
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
    /// Whether every cell is shown as it is.
    shows_all: bool,
}

impl Writer<'_> {
    /// `xid`, `xoffset`, `commit`.
    #[inline]
    fn push_transaction(&self, out: &mut Vec<u8>, row: Row<'_>) {
        if self.options.output_commit_info {
            if let Some(xid) = row.transaction().and_then(|transaction| transaction.xid) {
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
    }

    /// `position`, `gtid`, `server_id`, `thread_id`.
    #[inline(never)]
    fn push_origin(&self, out: &mut Vec<u8>, row: Row<'_>) {
        let transaction = row.transaction();
        let push_or_null = |out: &mut Vec<u8>, text: Option<&str>| match text {
            Some(text) => escape::push_string(out, text),
            None => out.extend_from_slice(b"null"),
        };
        if self.options.output_binlog_position {
            out.extend_from_slice(b",\"position\":");
            push_or_null(out, transaction.and_then(|known| known.position.as_deref()));
        }
        if self.options.output_gtid_position {
            out.extend_from_slice(b",\"gtid\":");
            push_or_null(out, transaction.and_then(|known| known.gtid.as_deref()));
        }
        let Some(transaction) = transaction else {
            return;
        };
        if self.options.output_server_id {
            out.extend_from_slice(self.names().server_id);
            append::push_uint(out, u64::from(transaction.server_id));
        }
        if let Some(thread) = transaction
            .thread_id
            .filter(|_| self.options.output_thread_id)
        {
            out.extend_from_slice(self.names().thread_id);
            append::push_uint(out, u64::from(thread));
        }
    }

    fn names(&self) -> &'static Names {
        Names::of(self.options.output_naming_strategy)
    }

    /// `push_ts`, `comment`, the custom members, `primary_key`, `primary_key_columns`.
    #[inline(never)]
    fn push_extras(
        &self,
        out: &mut Vec<u8>,
        event: EventType,
        row: Row<'_>,
        image: Option<&Image<'_>>,
        custom: &[u8],
    ) {
        if self.options.output_push_timestamp {
            let now_us = clock::now_us();
            out.extend_from_slice(self.names().push_ts);
            out.extend_from_slice(
                format!("{}.{:06}", now_us / 1_000_000, now_us % 1_000_000).as_bytes(),
            );
        }
        if let Some(comment) = row.transaction().and_then(|asked| asked.comment.as_deref()) {
            out.extend_from_slice(b",\"comment\":");
            escape::push_string(out, comment);
        }
        out.extend_from_slice(custom);
        self.push_keys(out, event, row.schema(), image);
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
            out.extend_from_slice(self.names().primary_key);
            out.push(b'[');
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
                value::push(out, self.dated(&cell));
            }
            out.push(b']');
        }
        if self.options.output_primary_key_columns {
            out.extend_from_slice(self.names().primary_key_columns);
            out.extend_from_slice(if is_complete {
                b"[]"
            } else {
                &self.plan.key_columns
            });
        }
    }

    /// The cell, or null in place of a date that is none, or nothing of a column that is left out. By reference: a cell is
    /// built in parts, and the processor waits when it has to be moved whole right after.
    #[inline]
    fn shown<'c, 'd>(&self, index: usize, cell: &'c Cell<'d>) -> &'c Cell<'d> {
        if self.shows_all {
            cell
        } else if self.plan.hidden.get(index) == Some(&true) {
            &Cell::Absent
        } else {
            self.dated(cell)
        }
    }

    fn dated<'c, 'd>(&self, cell: &'c Cell<'d>) -> &'c Cell<'d> {
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
            self.push_member(out, name, self.shown(index, &image.cell(index)));
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
            let new = self.shown(index, &new);
            if after.same_cell(before, index) {
                self.push_member(out, name, new);
                continue;
            }
            let old = before.cell(index);
            let old = self.shown(index, &old);
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
            self.push_member(out, &self.plan.columns[index], self.shown(index, &old));
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
