//! QUERY events: statements, with the session's settings that change how they read.
//! Source: the class comment of `Query_event` in `statement_events.h`; MariaDB's codes from `log_event.h`.

use std::borrow::Cow;

use headwater_core::Result;

use super::rows::uncompress_event;
use crate::decode::reader::Reader;

/// A statement.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// The connection that executed it.
    pub thread_id: u32,
    /// The error it ended with.
    pub error_code: u16,
    /// The current database; empty for none.
    pub database: Cow<'a, str>,
    status: &'a [u8],
    sql: Cow<'a, [u8]>,
}

/// The session's settings, as far as the event has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusVars<'a> {
    /// `sql_mode`.
    pub sql_mode: Option<u64>,
    /// The collation of `character_set_client`: that of the statement's text.
    pub client_collation: Option<u16>,
    /// The collation of the connection.
    pub connection_collation: Option<u16>,
    /// The default collation of the server.
    pub server_collation: Option<u16>,
    /// The session's time zone.
    pub time_zone: Option<&'a [u8]>,
    /// The default collation of the database, where the statement depends on it.
    pub database_collation: Option<u16>,
    /// The number of the transaction, for atomic DDL.
    pub xid: Option<u64>,
    /// The session's flags; which of them are there depends on the server.
    pub flags: Option<u32>,
    /// MySQL, for statements that make or change tables: `explicit_defaults_for_timestamp`.
    pub explicit_timestamps: Option<bool>,
}

impl<'a> Query<'a> {
    pub(super) fn parse(body: &'a [u8], compressed: bool) -> Result<Self> {
        let mut reader = Reader::new(body);
        let thread_id = reader.u32()?;
        reader.u32()?; // seconds that it took
        let database = usize::from(reader.u8()?);
        let error_code = reader.u16()?;
        let status = usize::from(reader.u16()?);
        let status = reader.take(status)?;
        let database = String::from_utf8_lossy(reader.take(database)?);
        reader.u8()?;
        let sql = if compressed {
            Cow::Owned(uncompress_event(reader.rest())?)
        } else {
            Cow::Borrowed(reader.rest())
        };
        Ok(Self {
            thread_id,
            error_code,
            database,
            status,
            sql,
        })
    }

    /// The statement's text, as bytes in the client's character set.
    #[must_use]
    pub fn sql_bytes(&self) -> &[u8] {
        &self.sql
    }

    /// The statement's text. Servers log most of it in UTF-8; where that fails, the client's character set is taken.
    #[must_use]
    pub fn sql(&self) -> Cow<'_, str> {
        if let Ok(text) = std::str::from_utf8(&self.sql) {
            return Cow::Borrowed(text);
        }
        let charset = self
            .status()
            .client_collation
            .and_then(crate::charset::Charset::by_collation_id);
        let mut text = String::new();
        charset
            .unwrap_or(crate::charset::Charset::UTF8MB4)
            .decode(&self.sql, &mut text);
        Cow::Owned(text)
    }

    /// The session's settings. What follows one that is not known is left out.
    #[must_use]
    pub fn status(&self) -> StatusVars<'a> {
        let mut vars = StatusVars::default();
        let mut reader = Reader::new(self.status);
        while !reader.is_empty() {
            if !matches!(vars.read_one(&mut reader), Ok(true)) {
                break;
            }
        }
        vars
    }
}

impl<'a> StatusVars<'a> {
    /// Whether the next one was known.
    fn read_one(&mut self, reader: &mut Reader<'a>) -> Result<bool> {
        let code = reader.u8()?;
        match code {
            1 => self.sql_mode = Some(reader.u64()?),
            4 => {
                self.client_collation = Some(reader.u16()?);
                self.connection_collation = Some(reader.u16()?);
                self.server_collation = Some(reader.u16()?);
            }
            5 => {
                let length = usize::from(reader.u8()?);
                self.time_zone = Some(reader.take(length)?);
            }
            8 => self.database_collation = Some(reader.u16()?),
            17 | 129 => self.xid = Some(reader.u64()?),
            0 => self.flags = Some(reader.u32()?),
            // Auto-increment, bytes written by the source.
            3 | 10 => _ = reader.take(4)?,
            // The catalog, with and without a zero byte behind it.
            2 => {
                let length = usize::from(reader.u8()?);
                reader.take(length + 1)?;
            }
            6 => {
                let length = usize::from(reader.u8()?);
                reader.take(length)?;
            }
            // Names of months; the default collation of utf8mb4.
            7 | 18 | 130 => _ = reader.take(2)?,
            9 => _ = reader.take(8)?,
            // The definer's user and host.
            11 => {
                for _ in 0..2 {
                    let length = usize::from(reader.u8()?);
                    reader.take(length)?;
                }
            }
            // The databases it changed, each with a zero byte behind it; 254: too many to say.
            12 => {
                let count = reader.u8()?;
                for _ in 0..if count == 254 { 0 } else { count } {
                    while reader.u8()? != 0 {}
                }
            }
            13 | 128 => _ = reader.take(3)?,
            16 => self.explicit_timestamps = Some(reader.u8()? != 0),
            19 | 20 => _ = reader.u8()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}
