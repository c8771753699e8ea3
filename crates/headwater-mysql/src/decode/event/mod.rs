//! Events of the log: their frame (header, checksum) and their bodies, borrowed from the packet.
//!
//! [`Framing::event`] cuts a packet into header and body; [`Event::parse`] reads the body. What costs something and is
//! not always wanted (rows, optional metadata, compressed text) is left to methods of the parsed body.
//!
//! Sources: the class comments in the server's `libs/mysql/binlog/event/*.h`, MariaDB's `sql/log_event.h`, and the
//! replication protocol's pages in both manuals.

pub mod gtid;
pub mod payload;
pub mod query;
pub mod rows;
pub mod table_map;
pub mod wire_type;

use std::borrow::Cow;

use headwater_core::{Error, ErrorKind, Result};

pub use self::gtid::{Gtid, GtidFlags, GtidList, MariaGtid, PreviousGtids};
pub use self::payload::{InnerEvents, TransactionPayload};
pub use self::query::{Query, StatusVars};
pub use self::rows::{RowKind, RowsEvent, RowsReader};
pub use self::table_map::{OptionalMetadata, TableMap, WireColumn};

use super::malformed;
use super::reader::Reader;

/// The types of events, as their headers number them.
#[allow(missing_docs, reason = "the names are the servers' own")]
pub mod event_type {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
    pub const ANNOTATE_ROWS: u8 = 160;
    pub const BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const GTID_LIST: u8 = 163;
    pub const START_ENCRYPTION: u8 = 164;
    pub const QUERY_COMPRESSED: u8 = 165;
    pub const WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub const UPDATE_ROWS_COMPRESSED_V1: u8 = 167;
    pub const DELETE_ROWS_COMPRESSED_V1: u8 = 168;
    pub const WRITE_ROWS_COMPRESSED: u8 = 169;
    pub const UPDATE_ROWS_COMPRESSED: u8 = 170;
    pub const DELETE_ROWS_COMPRESSED: u8 = 171;
}

use self::event_type as et;

/// Bytes of an event's header.
pub const HEADER_BYTES: usize = 19;
const CHECKSUM_BYTES: usize = 4;

/// What stands before every event's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// Seconds since 1970 at which the statement began; 0 for artificial events.
    pub timestamp_s: u32,
    /// The type (see [`event_type`]).
    pub event_type: u8,
    /// The server that first logged it.
    pub server_id: u32,
    /// Bytes of the whole event: header, body and checksum.
    pub size_bytes: u32,
    /// Where the event ends in its log file, modulo 2^32. 0 for artificial events, and on MariaDB 11.8 for every event
    /// inside a transaction.
    pub log_pos: u32,
    /// Flags.
    pub flags: u16,
}

impl EventHeader {
    /// The event is made up for this connection and stands in no log file.
    pub const ARTIFICIAL: u16 = 0x20;
    /// A reader that does not know the type may pass over the event.
    pub const IGNORABLE: u16 = 0x80;

    /// Reads a header.
    ///
    /// # Errors
    /// `Malformed` if bytes are missing.
    #[inline]
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            timestamp_s: reader.u32()?,
            event_type: reader.u8()?,
            server_id: reader.u32()?,
            size_bytes: reader.u32()?,
            log_pos: reader.u32()?,
            flags: reader.u16()?,
        })
    }

    /// Whether the event stands in no log file, and so moves no position.
    #[must_use]
    pub fn is_artificial(&self) -> bool {
        self.flags & Self::ARTIFICIAL != 0
            || matches!(self.event_type, et::HEARTBEAT | et::HEARTBEAT_V2)
            || (self.log_pos == 0 && self.event_type == et::ROTATE)
    }
}

/// What trails every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing.
    None,
    /// Four bytes of CRC-32 over all that comes before.
    Crc32,
}

/// Cuts packets into events; knows whether they carry a checksum.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    checksum: Checksum,
}

impl Framing {
    /// `checksum` is what the session asked for by `@master_binlog_checksum`; each FORMAT_DESCRIPTION event then says
    /// anew.
    #[must_use]
    pub fn new(checksum: Checksum) -> Self {
        Self { checksum }
    }

    /// What trails the events now.
    #[must_use]
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// The event in `bytes`: a packet of the dump without its leading 0x00. The checksum is verified and taken off.
    ///
    /// # Errors
    /// `Malformed` for a wrong length or checksum: the bytes were damaged on their way or in the log.
    #[inline]
    pub fn event<'a>(&mut self, bytes: &'a [u8]) -> Result<Event<'a>> {
        let mut reader = Reader::new(bytes);
        let header = EventHeader::parse(&mut reader)?;
        if header.size_bytes as usize != bytes.len() {
            return Err(
                malformed("an event has another length than its header tells")
                    .with("expected", header.size_bytes)
                    .with("found", bytes.len()),
            );
        }
        if header.event_type == et::FORMAT_DESCRIPTION {
            // This event ends with the algorithm and four bytes in any case; only CRC32 fills them.
            self.checksum = FormatDescription::parse(reader.rest())?.checksum;
        }
        let mut length = reader.len();
        if self.checksum == Checksum::Crc32 {
            verify(bytes, &header)?;
            if header.event_type != et::FORMAT_DESCRIPTION {
                length = length.saturating_sub(CHECKSUM_BYTES);
            }
        }
        Ok(Event {
            header,
            body: reader.take(length)?,
        })
    }
}

#[inline]
fn verify(bytes: &[u8], header: &EventHeader) -> Result<()> {
    match bytes.split_last_chunk::<CHECKSUM_BYTES>() {
        Some((covered, sum)) if crc32fast::hash(covered) == u32::from_le_bytes(*sum) => Ok(()),
        _ => Err(malformed("an event's checksum does not match its bytes")
            .with("type", header.event_type)
            .with("log-pos", header.log_pos)
            .hint("the log or its transfer is damaged: check the server's disk with mysqlbinlog --verify-binlog-checksum")),
    }
}

/// An event, unparsed.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its header.
    pub header: EventHeader,
    /// Its body, without the checksum (but for a FORMAT_DESCRIPTION, of which it is a part).
    pub body: &'a [u8],
}

/// An event's body.
#[derive(Debug, Clone)]
pub enum Body<'a> {
    /// What follows was written by this version of the server.
    FormatDescription(FormatDescription<'a>),
    /// The log goes on in another file.
    Rotate(Rotate<'a>),
    /// The server shut down.
    Stop,
    /// MySQL: the next transaction's identity; an anonymous one has none.
    Gtid(Gtid<'a>),
    /// MariaDB: the next transaction's identity; stands for BEGIN.
    MariaGtid(MariaGtid),
    /// MariaDB: all that came before this file.
    GtidList(GtidList<'a>),
    /// MySQL: all that came before this file.
    PreviousGtids(PreviousGtids<'a>),
    /// A statement: BEGIN, COMMIT, DDL, …
    Query(Query<'a>),
    /// The end of a transaction, and its number.
    Xid(u64),
    /// The end of a transaction that is only prepared.
    XaPrepare(XaPrepare<'a>),
    /// Which table a number stands for.
    TableMap(TableMap<'a>),
    /// Rows.
    Rows(RowsEvent<'a>),
    /// MySQL: a whole transaction, compressed.
    TransactionPayload(TransactionPayload<'a>),
    /// The text of the statement whose rows follow (ROWS_QUERY, ANNOTATE_ROWS).
    Statement(Cow<'a, str>),
    /// A sign of life.
    Heartbeat,
    /// The server says itself that the log is incomplete.
    Incident {
        /// The server's number for what happened.
        number: u16,
        /// Its words.
        message: Cow<'a, str>,
    },
    /// Part of a statement logged as such (INTVAR, RAND, USER_VAR, LOAD): its rows are in no event.
    StatementPart,
    /// MariaDB: up to which file a crashed server would have to read. Nothing to a replica.
    BinlogCheckpoint,
    /// Marked as such by the server.
    Ignorable,
    /// A type that this version does not know.
    Unknown,
}

impl<'a> Event<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// `Malformed` if the body breaks its format.
    #[inline]
    pub fn parse(&self) -> Result<Body<'a>> {
        self.parse_body().map_err(|error| {
            error
                .during("reading an event of the log")
                .with("type", self.header.event_type)
                .with("log-pos", self.header.log_pos)
        })
    }

    fn parse_body(&self) -> Result<Body<'a>> {
        let body = self.body;
        let mut reader = Reader::new(body);
        Ok(match self.header.event_type {
            et::WRITE_ROWS
            | et::UPDATE_ROWS
            | et::DELETE_ROWS
            | et::WRITE_ROWS_V1
            | et::UPDATE_ROWS_V1
            | et::DELETE_ROWS_V1
            | et::PARTIAL_UPDATE_ROWS
            | et::WRITE_ROWS_COMPRESSED_V1
            | et::UPDATE_ROWS_COMPRESSED_V1
            | et::DELETE_ROWS_COMPRESSED_V1
            | et::WRITE_ROWS_COMPRESSED
            | et::UPDATE_ROWS_COMPRESSED
            | et::DELETE_ROWS_COMPRESSED => {
                Body::Rows(RowsEvent::parse(self.header.event_type, body)?)
            }
            et::TABLE_MAP => Body::TableMap(TableMap::parse(body)?),
            et::XID => Body::Xid(reader.u64()?),
            et::GTID | et::ANONYMOUS_GTID => Body::Gtid(Gtid::parse(self.header.event_type, body)?),
            et::GTID_TAGGED => Body::Gtid(Gtid::parse_tagged(body)?),
            et::MARIADB_GTID => Body::MariaGtid(MariaGtid::parse(body, self.header.server_id)?),
            et::QUERY => Body::Query(Query::parse(body, false)?),
            et::QUERY_COMPRESSED => Body::Query(Query::parse(body, true)?),
            et::ROTATE => Body::Rotate(Rotate {
                position: reader.u64()?,
                file: String::from_utf8_lossy(reader.rest()),
            }),
            et::FORMAT_DESCRIPTION => Body::FormatDescription(FormatDescription::parse(body)?),
            et::GTID_LIST => Body::GtidList(GtidList::parse(body)?),
            et::PREVIOUS_GTIDS => Body::PreviousGtids(PreviousGtids::new(body)),
            et::XA_PREPARE => Body::XaPrepare(XaPrepare::parse(body)?),
            et::TRANSACTION_PAYLOAD => Body::TransactionPayload(TransactionPayload::parse(body)?),
            et::ROWS_QUERY => {
                reader.u8()?; // a length that cannot hold most statements'
                Body::Statement(String::from_utf8_lossy(reader.rest()))
            }
            et::ANNOTATE_ROWS => Body::Statement(String::from_utf8_lossy(body)),
            et::HEARTBEAT | et::HEARTBEAT_V2 => Body::Heartbeat,
            et::STOP => Body::Stop,
            et::INCIDENT => {
                let number = reader.u16()?;
                let length = usize::from(reader.u8()?);
                Body::Incident {
                    number,
                    message: String::from_utf8_lossy(reader.take(length)?),
                }
            }
            et::INTVAR
            | et::RAND
            | et::USER_VAR
            | et::BEGIN_LOAD_QUERY
            | et::EXECUTE_LOAD_QUERY => Body::StatementPart,
            et::BINLOG_CHECKPOINT => Body::BinlogCheckpoint,
            et::START_ENCRYPTION | et::IGNORABLE => Body::Ignorable,
            _ if self.header.flags & EventHeader::IGNORABLE != 0 => Body::Ignorable,
            _ => Body::Unknown,
        })
    }
}

/// FORMAT_DESCRIPTION: the server's version, and what trails the events.
#[derive(Debug, Clone)]
pub struct FormatDescription<'a> {
    /// The version of the format, 4.
    pub version: u16,
    /// The server's version.
    pub server_version: Cow<'a, str>,
    /// When the log file was begun by a server that had just started; 0 if it was begun by a rotation. Not 0 means
    /// that temporary tables and open transactions are gone.
    pub created_s: u32,
    /// What trails the events that follow.
    pub checksum: Checksum,
}

impl<'a> FormatDescription<'a> {
    /// Whether a MariaDB wrote the log.
    #[must_use]
    pub fn is_mariadb(&self) -> bool {
        self.server_version.contains("MariaDB")
    }

    fn parse(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16()?;
        let server_version = reader.take(50)?;
        let created_s = reader.u32()?;
        let header_length = reader.u8()?;
        if version != 4 || usize::from(header_length) != HEADER_BYTES {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the log's format is older than MySQL 5.0's",
            )
            .with("version", version));
        }
        let text = server_version
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        // Lengths of the types' headers, and at the end the algorithm and four bytes, with and without a checksum.
        let lengths = reader.rest();
        let algorithm = match lengths.len().checked_sub(1 + CHECKSUM_BYTES) {
            Some(at) => lengths.get(at).copied(),
            None => return Err(malformed("a format description ends too early")),
        };
        let checksum = match algorithm {
            Some(1) => Checksum::Crc32,
            _ => Checksum::None,
        };
        Ok(Self {
            version,
            server_version: String::from_utf8_lossy(text),
            created_s,
            checksum,
        })
    }
}

/// ROTATE: the log goes on elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotate<'a> {
    /// Where in the next file.
    pub position: u64,
    /// The next file.
    pub file: Cow<'a, str>,
}

/// XA_PREPARE: a transaction's first phase ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XaPrepare<'a> {
    /// Prepared and committed at once (`XA COMMIT … ONE PHASE`).
    pub one_phase: bool,
    /// The format number of its name.
    pub format: u32,
    /// The global part of its name.
    pub global: &'a [u8],
    /// The branch's part of its name.
    pub branch: &'a [u8],
}

impl<'a> XaPrepare<'a> {
    fn parse(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let one_phase = reader.u8()? != 0;
        let format = reader.u32()?;
        let global = reader.u32()? as usize;
        let branch = reader.u32()? as usize;
        Ok(Self {
            one_phase,
            format,
            global: reader.take(global)?,
            branch: reader.take(branch)?,
        })
    }
}

#[cfg(test)]
mod tests;
