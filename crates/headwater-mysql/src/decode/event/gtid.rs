//! Global transaction identities, of MySQL (with and without a tag) and of MariaDB.

use std::borrow::Cow;
use std::fmt::Write as _;

use headwater_core::{Error, ErrorKind, Result};

use super::event_type as et;
use crate::decode::malformed;
use crate::decode::reader::Reader;

/// A transaction's identity on MySQL (`Gtid_event` in `control_events.h`). Of an anonymous one, `number` is 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gtid<'a> {
    /// The source's UUID, as bytes.
    pub source: [u8; 16],
    /// The tag; empty without one.
    pub tag: Cow<'a, str>,
    /// The transaction's number, from 1; 0 of an anonymous one.
    pub number: u64,
    /// The transaction may hold statements.
    pub may_have_statements: bool,
    /// The logical clock's last commit that this one may depend on.
    pub last_committed: u64,
    /// The logical clock's number of this one.
    pub sequence: u64,
    /// Microseconds since 1970 of the commit on the server that we read from.
    pub immediate_commit_us: Option<u64>,
    /// Microseconds since 1970 of the commit on the server that it came from.
    pub original_commit_us: Option<u64>,
    /// Bytes of the whole transaction in the log, this event included.
    pub transaction_bytes: Option<u64>,
}

impl<'a> Gtid<'a> {
    pub(super) fn parse(event_type: u8, body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let flags = reader.u8()?;
        let source = reader.array()?;
        let number = reader.u64()?;
        let mut gtid = Self {
            source,
            number: if event_type == et::ANONYMOUS_GTID {
                0
            } else {
                number
            },
            may_have_statements: flags & 1 != 0,
            ..Self::default()
        };
        // The rest came with later versions.
        if reader.is_empty() || reader.u8()? != 2 {
            return Ok(gtid);
        }
        gtid.last_committed = reader.u64()?;
        gtid.sequence = reader.u64()?;
        if reader.len() < 7 {
            return Ok(gtid);
        }
        let immediate = reader.uint(7)?;
        let differs = immediate >> 55 & 1 == 1;
        gtid.immediate_commit_us = Some(immediate & !(1 << 55));
        gtid.original_commit_us = if differs {
            Some(reader.uint(7)?)
        } else {
            gtid.immediate_commit_us
        };
        if !reader.is_empty() {
            gtid.transaction_bytes = Some(reader.lenenc()?);
        }
        Ok(gtid)
    }

    /// The form with a tag: fields with numbers, in the server's serialization format (its manual,
    /// "MySQL Serialization Library").
    pub(super) fn parse_tagged(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let version = varint(&mut reader)?;
        if version != 1 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a tagged GTID is of an unknown version",
            )
            .with("version", version));
        }
        let size = usize::try_from(varint(&mut reader)?).unwrap_or(usize::MAX);
        varint(&mut reader)?; // the last field that a reader has to know
        let used = body.len() - reader.len();
        let mut reader = Reader::new(reader.take(size.saturating_sub(used))?);
        let mut gtid = Self::default();
        while !reader.is_empty() {
            match varint(&mut reader)? {
                0 => gtid.may_have_statements = varint(&mut reader)? & 1 != 0,
                1 => {
                    for byte in &mut gtid.source {
                        *byte = u8::try_from(varint(&mut reader)?)
                            .map_err(|_| malformed("a UUID's byte is no byte"))?;
                    }
                }
                2 => gtid.number = signed(&mut reader)?,
                3 => {
                    let length = usize::try_from(varint(&mut reader)?).unwrap_or(usize::MAX);
                    gtid.tag = String::from_utf8_lossy(reader.take(length)?);
                }
                4 => gtid.last_committed = signed(&mut reader)?,
                5 => gtid.sequence = signed(&mut reader)?,
                6 => gtid.immediate_commit_us = Some(varint(&mut reader)?),
                7 => gtid.original_commit_us = Some(varint(&mut reader)?),
                8 => gtid.transaction_bytes = Some(varint(&mut reader)?),
                9..=11 => _ = varint(&mut reader)?,
                // Fields have no length of their own: what follows an unknown one cannot be found.
                _ => break,
            }
        }
        gtid.original_commit_us = gtid.original_commit_us.or(gtid.immediate_commit_us);
        Ok(gtid)
    }

    /// Whether the transaction has no identity (`gtid_mode` is OFF or permissive).
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.number == 0
    }

    /// `uuid:number`, or `uuid:tag:number`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(64);
        push_uuid(self.source, &mut text);
        if !self.tag.is_empty() {
            text.push(':');
            text.push_str(&self.tag);
        }
        _ = write!(text, ":{}", self.number);
        text
    }
}

/// An integer of one to nine bytes: as many bytes follow the first as that has ones at its low end.
fn varint(reader: &mut Reader<'_>) -> Result<u64> {
    let first = reader.u8()?;
    let more = first.trailing_ones();
    if more == 8 {
        return reader.u64();
    }
    let high = reader.uint(more as usize)?;
    // A shift of eight bits of a first byte that has no bits left.
    let low = u64::from(first) >> (more + 1);
    Ok(high.checked_shl(7 - more).unwrap_or(0) | low)
}

/// A signed integer that is not negative: the lowest bit is its sign.
fn signed(reader: &mut Reader<'_>) -> Result<u64> {
    let value = varint(reader)?;
    if value & 1 == 1 {
        return Err(malformed("a GTID's number is negative"));
    }
    Ok(value >> 1)
}

fn push_uuid(bytes: [u8; 16], out: &mut String) {
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        _ = write!(out, "{byte:02x}");
    }
}

/// What a MariaDB GTID event says of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GtidFlags(pub u8);

impl GtidFlags {
    /// One event follows and no end: DDL, or a statement of a non-transactional engine.
    #[must_use]
    pub fn standalone(self) -> bool {
        self.0 & 1 != 0
    }

    /// All its engines can roll back.
    #[must_use]
    pub fn transactional(self) -> bool {
        self.0 & 4 != 0
    }

    /// It is DDL.
    #[must_use]
    pub fn ddl(self) -> bool {
        self.0 & 32 != 0
    }

    /// The rows of an XA transaction, which is only prepared.
    #[must_use]
    pub fn prepared_xa(self) -> bool {
        self.0 & 64 != 0
    }

    /// The outcome of an XA transaction.
    #[must_use]
    pub fn completed_xa(self) -> bool {
        self.0 & 128 != 0
    }
}

/// A transaction's identity on MariaDB (`Gtid_log_event` in `log_event.h`). It stands for BEGIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MariaGtid {
    /// The domain.
    pub domain: u32,
    /// The server, from the event's header.
    pub server_id: u32,
    /// The number within the domain.
    pub sequence: u64,
    /// What follows.
    pub flags: GtidFlags,
    /// The group commit it was part of.
    pub commit_id: Option<u64>,
    /// The connection that executed it, where the server is new enough to say.
    pub thread_id: Option<u32>,
}

impl MariaGtid {
    const GROUP_COMMIT_ID: u8 = 2;
    /// Of the extra flags.
    const MULTI_ENGINE: u8 = 1;
    const ALTER_SEQUENCE: u8 = 4 | 8;
    const THREAD_ID: u8 = 16;

    pub(super) fn parse(body: &[u8], server_id: u32) -> Result<Self> {
        let mut reader = Reader::new(body);
        let sequence = reader.u64()?;
        let domain = reader.u32()?;
        let flags = GtidFlags(reader.u8()?);
        let mut gtid = Self {
            domain,
            server_id,
            sequence,
            flags,
            commit_id: None,
            thread_id: None,
        };
        if flags.0 & Self::GROUP_COMMIT_ID != 0 {
            gtid.commit_id = Some(reader.u64()?);
        }
        gtid.thread_id = Self::extra(reader, flags).unwrap_or_default();
        Ok(gtid)
    }

    /// What newer servers append; zero bytes fill a short event up. A lack of it, or something newer still, is no
    /// error.
    fn extra(mut reader: Reader<'_>, flags: GtidFlags) -> Result<Option<u32>> {
        if flags.prepared_xa() || flags.completed_xa() {
            reader.u32()?;
            let [global, branch] = reader.array()?;
            reader.take(usize::from(global) + usize::from(branch))?;
        }
        let extra = reader.u8()?;
        if extra & Self::MULTI_ENGINE != 0 {
            reader.u8()?;
        }
        if extra & Self::ALTER_SEQUENCE != 0 {
            reader.u64()?;
        }
        if extra & Self::THREAD_ID != 0 {
            return Ok(Some(reader.u32()?));
        }
        Ok(None)
    }

    /// `domain-server-sequence`.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}-{}-{}", self.domain, self.server_id, self.sequence)
    }
}

/// MariaDB's GTID_LIST: the last transaction of each domain and server before this file.
#[derive(Debug, Clone, Copy)]
pub struct GtidList<'a> {
    entries: &'a [u8],
}

impl<'a> GtidList<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let count = reader.u32()? & 0x0FFF_FFFF;
        Ok(Self {
            entries: reader.take((count as usize).saturating_mul(16))?,
        })
    }

    /// Domain, server and sequence of each.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u64)> + use<'a> {
        let mut reader = Reader::new(self.entries);
        std::iter::from_fn(move || {
            Some((reader.u32().ok()?, reader.u32().ok()?, reader.u64().ok()?))
        })
    }
}

/// MySQL's PREVIOUS_GTIDS: the set of all transactions before this file (`Gtid_set::encode`).
#[derive(Debug, Clone, Copy)]
pub struct PreviousGtids<'a> {
    body: &'a [u8],
}

impl<'a> PreviousGtids<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body }
    }

    /// The set in its text form, sources and tags separated by commas.
    ///
    /// # Errors
    /// `Malformed` if it is torn.
    pub fn to_text(&self) -> Result<String> {
        let mut reader = Reader::new(self.body);
        let head = reader.u64()?;
        let tagged = head >> 56 == 1;
        let count = if tagged {
            head >> 8 & 0xFFFF_FFFF_FFFF
        } else {
            head & 0x00FF_FFFF_FFFF_FFFF
        };
        let mut text = String::new();
        let mut last = None;
        for _ in 0..count {
            let source = reader.array()?;
            let mut tag: &[u8] = &[];
            if tagged {
                let length = usize::try_from(varint(&mut reader)?).unwrap_or(usize::MAX);
                tag = reader.take(length)?;
            }
            if last != Some(source) {
                if last.is_some() {
                    text.push(',');
                }
                push_uuid(source, &mut text);
                last = Some(source);
            }
            if !tag.is_empty() {
                text.push(':');
                text.push_str(&String::from_utf8_lossy(tag));
            }
            for _ in 0..reader.u64()? {
                let (first, end) = (reader.u64()?, reader.u64()?);
                _ = write!(text, ":{first}");
                if end > first.saturating_add(1) {
                    _ = write!(text, "-{}", end - 1);
                }
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put_varint(out: &mut Vec<u8>, value: u64) {
        let bits = 64 - value.leading_zeros();
        let more = (bits.max(1) - 1) / 7;
        if more >= 8 {
            out.push(0xFF);
            out.extend_from_slice(&value.to_le_bytes());
            return;
        }
        let coded = value << (more + 1) | ((1 << more) - 1);
        out.extend_from_slice(&coded.to_le_bytes()[..more as usize + 1]);
    }

    proptest! {
        #[test]
        fn varints_come_back(value: u64, shift in 0..64_u32) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value >> shift);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(varint(&mut reader).unwrap(), value >> shift);
            prop_assert!(reader.is_empty());
        }
    }
}
