//! Receiving: events of the log become transactions. Rows events are kept as they came until their transaction's end is
//! known; DDL moves the definitions on; everything else moves the position.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::batch::{Batch, ChangeKind};
use headwater_core::ddl::DefinitionChange;
use headwater_core::schema::TableName;
use headwater_core::source::LogPoint;

use super::definitions::{Statement, nameless};
use super::emit::Ready;
use super::tables::{Bindings, Mapping, Tables, table_id};
use super::transaction::Buffer;
use crate::charset::collation;
use crate::decode::event::{Body, Event, EventHeader, Query, XaPrepare, event_type as et};
use crate::gtid::Tsid;
use crate::position::{BinlogPosition, compare_names};
use crate::schema::ddl::{self, Effect};
use crate::schema::{CatalogEvent, Happened, ServerRules};
use crate::source::Settings;

/// The GTID of the group of events being read.
#[derive(Debug, Clone, Default)]
pub(super) enum Group {
    /// None: GTIDs are off.
    #[default]
    Anonymous,
    MySql(Tsid, u64),
    MariaDb {
        domain: u32,
        server: u32,
        sequence: u64,
    },
}

impl Group {
    fn text(&self) -> Option<Arc<str>> {
        match self {
            Self::Anonymous => None,
            Self::MySql(tsid, number) => Some(format!("{tsid}:{number}").into()),
            Self::MariaDb {
                domain,
                server,
                sequence,
            } => Some(format!("{domain}-{server}-{sequence}").into()),
        }
    }
}

/// A transaction that is prepared (XA) and waits for its outcome.
#[derive(Debug)]
struct Prepared {
    id: String,
    buffer: Buffer,
    /// The tables that its rows name by number.
    bindings: Bindings,
    thread_id: Option<u32>,
}

/// Where the reading of the log stands.
#[derive(Debug)]
pub(super) struct State {
    settings: Arc<Settings>,
    /// What names and DDL mean on the server that the log comes from.
    pub(super) rules: ServerRules,
    pub(super) tables: Tables,
    /// Tables whose definitions have to be read before anything else, with the numbers of their table maps.
    pub(super) needs: Vec<(u64, TableName)>,
    /// The last boundary.
    pub(super) position: BinlogPosition,
    /// Whether it has moved since it was last compared with the target.
    pub(super) moved: bool,
    /// The boundary before the first transaction that is prepared and open: from there the log must be read again.
    held: Option<BinlogPosition>,
    /// Rows seen since the restart position.
    seen: u64,
    /// Rows still to be passed over, because they are out already.
    pub(super) skip: u64,
    /// Where the next event lies.
    file: String,
    offset: u64,
    /// Where the event at hand begins, and the next one: some servers do not tell it of events within a transaction.
    event_at: u64,
    next_at: u64,
    group: Group,
    /// Rows of the transaction being received.
    buffer: Buffer,
    thread_id: Option<u32>,
    /// Between a transaction's beginning and its end.
    in_transaction: bool,
    prepared: Vec<Prepared>,
    warned_of_statements: bool,
    /// When the last event happened; none after a heartbeat, which comes at the end of the log.
    pub(super) read_up_to_s: Option<u64>,
}

impl State {
    pub(super) fn new(
        settings: Arc<Settings>,
        tables: Tables,
        rules: ServerRules,
        point: &LogPoint<BinlogPosition>,
    ) -> Self {
        let buffer = Buffer::new(&settings);
        Self {
            tables,
            needs: Vec::new(),
            position: point.position.clone(),
            moved: true,
            held: None,
            seen: 0,
            skip: point.rows_done,
            file: point.position.file.clone(),
            offset: point.position.offset,
            event_at: 0,
            next_at: point.position.offset,
            group: Group::Anonymous,
            buffer,
            thread_id: None,
            in_transaction: false,
            prepared: Vec::new(),
            warned_of_statements: false,
            read_up_to_s: None,
            rules,
            settings,
        }
    }

    /// From where the log has to be read again, and how many rows after that are out. `is_amid` a transaction that goes out.
    pub(super) fn point(&self, is_amid: bool) -> LogPoint<BinlogPosition> {
        let position = self.held.as_ref().unwrap_or(&self.position).clone();
        // What is skipped was out before: how far that went is not known until it is read.
        let is_between = self.held.is_some() && self.skip == 0 && !is_amid;
        LogPoint {
            position,
            rows_done: self.seen + self.skip,
            out: is_between.then(|| self.position.clone()),
        }
    }

    /// Counts rows; says how many of them, from the first, are out already.
    pub(super) fn pass_over(&mut self, rows: u64) -> u64 {
        self.seen += rows;
        let known = self.skip.min(rows);
        self.skip -= known;
        known
    }

    /// The connection broke: what of the open transaction has arrived is void.
    pub(super) fn void(&mut self) {
        self.buffer.clear();
        self.in_transaction = false;
        self.group = Group::Anonymous;
        self.file.clone_from(&self.position.file);
        self.offset = self.position.offset;
        self.next_at = self.offset;
        self.tables.forget_maps();
        self.needs.clear();
        if let Some(held) = self.held.take() {
            // Prepared transactions are read again from where they began.
            self.position = held;
            self.moved = true;
            self.skip += self.seen;
            self.seen = 0;
            self.prepared.clear();
        }
    }

    /// Takes an event. Gives a transaction with rows when one has ended. Marks of tables go to `batch`.
    pub(super) fn receive(
        &mut self,
        event: &Event<'_>,
        batch: &mut Batch,
    ) -> Result<Option<Ready>> {
        let header = &event.header;
        if !header.is_artificial() && header.log_pos != 0 {
            self.move_offset(header);
            self.next_at = self.offset.saturating_sub(u64::from(header.size_bytes));
        }
        self.event_at = self.next_at;
        if !header.is_artificial() {
            self.next_at += u64::from(header.size_bytes);
        }
        self.take(event, batch)
    }

    /// The header's place has 32 bits and wraps in a file beyond 4 GiB.
    fn move_offset(&mut self, header: &EventHeader) {
        let low = u64::from(header.log_pos);
        let same_lap = self.offset & !u64::from(u32::MAX) | low;
        self.offset = if same_lap < self.offset && self.offset - same_lap > 1 << 31 {
            same_lap + (1 << 32)
        } else {
            same_lap
        };
    }

    fn take(&mut self, event: &Event<'_>, batch: &mut Batch) -> Result<Option<Ready>> {
        // Events that the server makes up have no time.
        if event.header.timestamp_s > 0 {
            self.read_up_to_s = Some(u64::from(event.header.timestamp_s));
        }
        match event.header.event_type {
            et::TABLE_MAP => {
                if let Mapping::Unknown(id, table) = self.tables.map(event.body)? {
                    self.needs.push((id, table));
                }
                return Ok(None);
            }
            et::WRITE_ROWS_V1..=et::DELETE_ROWS_V1
            | et::WRITE_ROWS..=et::DELETE_ROWS
            | et::PARTIAL_UPDATE_ROWS
            | et::WRITE_ROWS_COMPRESSED_V1..=et::DELETE_ROWS_COMPRESSED => {
                self.keep(event)?;
                return Ok(None);
            }
            _ => {}
        }
        match event.parse()? {
            Body::Xid(xid) => return self.end(Some(xid)),
            Body::Gtid(gtid) => {
                self.begin();
                if gtid.number > 0 {
                    let tsid = Tsid {
                        uuid: gtid.source,
                        tag: gtid.tag.into_owned(),
                    };
                    self.group = Group::MySql(tsid, gtid.number);
                }
            }
            Body::MariaGtid(gtid) => {
                self.begin();
                self.group = Group::MariaDb {
                    domain: gtid.domain,
                    server: gtid.server_id,
                    sequence: gtid.sequence,
                };
                self.in_transaction = !gtid.flags.standalone();
            }
            Body::Query(query) => return self.query(&query, event, batch),
            Body::XaPrepare(prepare) if prepare.one_phase => return self.end(None),
            Body::XaPrepare(prepare) => self.prepare(&prepare),
            Body::TransactionPayload(payload) => {
                let mut events = payload.events()?;
                let mut ready = None;
                while let Some(inner) = events.next_event()? {
                    ready = ready.or(self.take(&inner, batch)?);
                }
                return Ok(ready);
            }
            Body::Rotate(rotate) => self.rotate(&rotate.file, rotate.position, &event.header),
            Body::Statement(_) if self.settings.with_query => {
                self.buffer.push(event, self.event_at)?
            }
            Body::Incident { .. } | Body::StatementPart | Body::Unknown => self.warn_of(event),
            Body::Heartbeat => self.heartbeat(&event.header),
            Body::FormatDescription(_)
            | Body::Stop
            | Body::GtidList(_)
            | Body::PreviousGtids(_)
            | Body::TableMap(_)
            | Body::Rows(_)
            | Body::Statement(_)
            | Body::BinlogCheckpoint
            | Body::Ignorable => {}
        }
        Ok(None)
    }

    /// Keeps a rows event until its transaction ends, if its table is captured.
    fn keep(&mut self, event: &Event<'_>) -> Result<()> {
        if !self.tables.captures(table_id(event.body)) {
            return Ok(());
        }
        if self.settings.with_position && *self.buffer.file != *self.file {
            self.buffer.file = self.file.as_str().into();
        }
        self.buffer.push(event, self.event_at)?;
        self.buffer.rows_events += 1;
        Ok(())
    }

    /// Says what the log holds that cannot be streamed.
    fn warn_of(&self, event: &Event<'_>) {
        let position = &self.position;
        match event.parse() {
            Ok(Body::Incident { number, message }) => {
                tracing::error!(number, %message, %position, "the server says that its log has a gap here: compare the tables, and copy again what differs");
            }
            Ok(Body::StatementPart) => {
                tracing::warn!(%position, "a statement-based change cannot be streamed: set binlog_format=ROW for every session");
            }
            _ => {
                let event_type = event.header.event_type;
                tracing::warn!(event_type, %position, "an event of an unknown type was passed over");
            }
        }
    }

    fn begin(&mut self) {
        // A log that a crash tore has a beginning where an end should be: what was open never happened.
        self.buffer.clear();
        self.group = Group::Anonymous;
        self.thread_id = None;
        self.in_transaction = false;
    }

    /// The transaction is committed.
    fn end(&mut self, xid: Option<u64>) -> Result<Option<Ready>> {
        let group = std::mem::take(&mut self.group);
        self.in_transaction = false;
        if self.buffer.rows_events == 0 {
            self.buffer.clear();
            self.move_boundary(&group);
            return Ok(None);
        }
        let buffer = self.take_buffer();
        let gtid = if self.settings.with_gtid {
            group.text()
        } else {
            None
        };
        let mut ready = Ready::new(buffer, group, xid, gtid, self.thread_id)?;
        ready.with_position = self.settings.with_position;
        Ok(Some(ready))
    }

    fn take_buffer(&mut self) -> Buffer {
        let spare = Buffer::new(&self.settings);
        std::mem::replace(&mut self.buffer, spare)
    }

    /// The transaction is out.
    pub(super) fn finish(&mut self, ready: Ready) {
        let (group, mut buffer) = ready.into_parts();
        self.move_boundary(&group);
        buffer.clear();
        self.buffer = buffer;
    }

    fn move_boundary(&mut self, group: &Group) {
        if self.prepared.is_empty() {
            self.held = None;
            self.seen = 0;
        }
        // A stream that began by file and offset goes on so: the GTIDs that it has seen are not all that went before, and by
        // them alone the server would send everything else again.
        match group {
            Group::Anonymous => {}
            Group::MySql(tsid, number) => {
                if let Some(set) = &mut self.position.gtid_set {
                    set.add(tsid, *number);
                }
            }
            Group::MariaDb {
                domain,
                server,
                sequence,
            } => {
                if let Some(domains) = &mut self.position.gtid {
                    domains.set(*domain, *server, *sequence);
                }
            }
        }
        self.move_file();
    }

    /// File and offset only ever move forward: by GTID, a server may begin with older files.
    fn move_file(&mut self) {
        self.moved = true;
        let forward = compare_names(&self.file, &self.position.file)
            .then(self.offset.cmp(&self.position.offset))
            .is_gt();
        if forward || self.position.file.is_empty() {
            self.position.file.clone_from(&self.file);
            self.position.offset = self.offset;
        }
    }

    /// The server has nothing more, up to here. What it passed over, because the set has it, ends in no other boundary, and a
    /// stream that waits for a file and offset might wait for ever.
    fn heartbeat(&mut self, header: &EventHeader) {
        self.read_up_to_s = None;
        let is_between = !self.in_transaction && matches!(self.group, Group::Anonymous);
        if is_between && header.log_pos != 0 && self.position.gtid_set.is_some() {
            self.move_offset(header);
            self.move_file();
        }
    }

    fn rotate(&mut self, file: &str, offset: u64, header: &EventHeader) {
        file.clone_into(&mut self.file);
        self.offset = offset;
        self.next_at = offset;
        if !header.is_artificial() && !self.in_transaction {
            self.move_file();
            if self.prepared.is_empty() {
                // A server that creates tables all day numbers them all day.
                self.tables.forget_maps();
            }
        }
    }

    fn prepare(&mut self, prepare: &XaPrepare<'_>) {
        let group = std::mem::take(&mut self.group);
        if self.buffer.rows_events > 0 {
            if self.held.is_none() {
                self.held = Some(self.position.clone());
            }
            let buffer = self.take_buffer();
            self.prepared.push(Prepared {
                id: xa_id(prepare),
                buffer,
                bindings: self.tables.bindings(),
                thread_id: self.thread_id,
            });
        }
        self.in_transaction = false;
        self.move_boundary(&group);
    }

    /// An XA transaction's outcome.
    fn decide(&mut self, sql: &str, commit: bool) -> Result<Option<Ready>> {
        let id = sql
            .split_whitespace()
            .nth(2)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let at = self.prepared.iter().position(|prepared| prepared.id == id);
        match at.map(|at| self.prepared.remove(at)) {
            Some(prepared) if commit => {
                self.buffer = prepared.buffer;
                self.thread_id = prepared.thread_id;
                let mut ready = self.end(None)?;
                if let Some(ready) = &mut ready {
                    ready.decode_by(prepared.bindings);
                }
                return Ok(ready);
            }
            None if commit => {
                tracing::warn!(%id, position = %self.position, "an XA transaction was committed that was prepared before the stream began: its rows are not in the stream; compare its tables, and copy again what differs");
            }
            _ => {}
        }
        self.buffer.clear();
        self.end(None)
    }

    fn query(
        &mut self,
        query: &Query<'_>,
        event: &Event<'_>,
        batch: &mut Batch,
    ) -> Result<Option<Ready>> {
        let sql = query.sql_bytes();
        if sql == b"BEGIN" {
            self.thread_id = Some(query.thread_id);
            self.in_transaction = true;
            return Ok(None);
        }
        if sql == b"COMMIT" {
            return self.end(None);
        }
        let starts = |word: &[u8]| {
            sql.get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        if starts(b"ROLLBACK TO")
            || starts(b"SAVEPOINT")
            || starts(b"XA START")
            || starts(b"XA END")
        {
            self.in_transaction = true;
            return Ok(None);
        }
        if starts(b"ROLLBACK") {
            self.buffer.clear();
            return self.end(None);
        }
        if starts(b"XA COMMIT") || starts(b"XA ROLLBACK") {
            let commit = starts(b"XA COMMIT");
            return self.decide(&query.sql(), commit);
        }
        self.ddl(query, &event.header, batch);
        // Amid a transaction (CREATE TABLE … SELECT) its end is still to come.
        if self.in_transaction {
            Ok(None)
        } else {
            self.end(None)
        }
    }

    /// Said once: where one session logs statements, thousands follow.
    fn warn_of_statement(&mut self, database: &str) {
        if !std::mem::replace(&mut self.warned_of_statements, true) {
            tracing::warn!(database, position = %self.position, "changes that are logged as statements cannot be streamed: set binlog_format=ROW for every session, compare the tables that were written to meanwhile, and copy again what differs");
        }
    }

    /// A place in the stream at which a table's definition, or what it holds, is another without a change of rows.
    fn mark_change(&mut self, event: &CatalogEvent, header: &EventHeader, batch: &mut Batch) {
        if matches!(
            event.what,
            Happened::Truncated | Happened::Dropped | Happened::Restated
        ) {
            return;
        }
        if let Some(schema) = self.tables.schema(&event.table) {
            batch.push_table_mark(ChangeKind::Ddl, &schema, header.timestamp_s);
        }
    }

    fn statement(&self, query: &Query<'_>) -> Statement {
        Statement {
            sql: query.sql().as_ref().into(),
            position: (self.settings.with_position)
                .then(|| format!("{}:{}", self.file, self.event_at).into()),
            gtid: self.group.text().filter(|_| self.settings.with_gtid),
        }
    }

    fn tell_of_databases(
        &self,
        told: Option<&Statement>,
        effects: &[Effect],
        header: &EventHeader,
        batch: &mut Batch,
    ) {
        let Some(told) = told else { return };
        let changes = effects
            .iter()
            .filter_map(|effect| told.of_database(effect, &self.tables));
        for (schema, change) in changes {
            batch.push_definition_change(&schema, header.timestamp_s, change);
        }
    }

    /// The mark of a changed definition, with what is told of it.
    fn tell(
        &mut self,
        event: &CatalogEvent,
        change: DefinitionChange,
        header: &EventHeader,
        batch: &mut Batch,
    ) {
        let told_of = TableName {
            database: Arc::clone(&change.database),
            table: change.table.clone().unwrap_or_default(),
        };
        let schema = if told_of == event.table {
            self.tables.schema(&event.table)
        } else {
            // What the table is called from here on needs its mark, too.
            self.mark_change(event, header, batch);
            None
        };
        let schema = schema.unwrap_or_else(|| nameless(told_of));
        batch.push_definition_change(&schema, header.timestamp_s, change);
    }

    fn ddl(&mut self, query: &Query<'_>, header: &EventHeader, batch: &mut Batch) {
        let mut effects = ddl::parse(&query.sql(), &self.rules.of(query));
        for effect in &mut effects {
            if let Effect::CreateDatabase { charset, .. } = effect
                && charset.is_empty()
                && let Some(of_server) = query.status().server_collation.and_then(collation)
            {
                charset.set_charset(of_server.charset);
            }
        }
        if effects.contains(&Effect::StatementRows) {
            self.warn_of_statement(query.database.as_ref());
        }
        let told = self.settings.with_ddl.then(|| self.statement(query));
        // A database comes before its tables, and goes after them.
        let is_drop = matches!(effects.first(), Some(Effect::DropDatabase(_)));
        if !is_drop {
            self.tell_of_databases(told.as_ref(), &effects, header, batch);
        }
        for event in self.tables.apply(&effects) {
            if event.shadow {
                continue;
            }
            let change = told
                .as_ref()
                .filter(|_| !self.tables.is_silent(&event.table));
            // The tables of a database that is dropped are not told of one by one.
            match change
                .and_then(|told| told.of_table(&event))
                .filter(|_| !is_drop)
            {
                Some(change) => self.tell(&event, change, header, batch),
                None => self.mark_change(&event, header, batch),
            }
            match event.what {
                Happened::Truncated => {
                    let table = &event.table;
                    tracing::warn!(%table, "the table was truncated: the log has no events for the rows that went");
                    if let Some(schema) = self.tables.schema(table) {
                        batch.push_table_mark(ChangeKind::Truncate, &schema, header.timestamp_s);
                    }
                }
                // To whoever keeps rows, a table that is dropped is one that is emptied.
                Happened::Dropped => {
                    tracing::info!(table = %event.table, "the table was dropped");
                    if let Some(before) = event.before {
                        let schema = Arc::new(before.to_schema());
                        batch.push_table_mark(ChangeKind::Truncate, &schema, header.timestamp_s);
                    }
                }
                Happened::PartitionMoved => {
                    let table = &event.table;
                    tracing::warn!(%table, "rows went or came with whole partitions: the log has no events for them; compare the table, and copy it again if it differs");
                }
                Happened::Restated => {}
                what => tracing::info!(table = %event.table, ?what, "the definition changed"),
            }
        }
        if is_drop {
            self.tell_of_databases(told.as_ref(), &effects, header, batch);
        }
    }
}

/// An XA id as the log's statements write it.
fn xa_id(prepare: &XaPrepare<'_>) -> String {
    use std::fmt::Write;
    let mut id = String::from("x'");
    let hex = |bytes: &[u8], id: &mut String| {
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
    };
    hex(prepare.global, &mut id);
    id.push_str("',x'");
    hex(prepare.branch, &mut id);
    let _ = write!(id, "',{}", prepare.format);
    id
}
