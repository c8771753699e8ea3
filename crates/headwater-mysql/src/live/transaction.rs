//! A transaction's rows events while they wait for its end: in memory up to a bound, then in a spool file. The xid comes
//! last, and a rollback or a torn log voids everything before it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use headwater_core::{Error, ErrorKind, Result};

use crate::decode::event::{Event, EventHeader};
use crate::source::Settings;

/// Type, time, server, length, place in the log file.
const FRAME_BYTES: usize = 21;

/// Events kept back.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Vec<u8>,
    settings: Arc<Settings>,
    spool: Option<BufWriter<File>>,
    /// Rows events in it.
    pub(super) rows_events: u64,
    /// The log file that they are in: a transaction is in one.
    pub(super) file: Arc<str>,
}

impl Buffer {
    pub(super) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            memory: Vec::new(),
            settings: Arc::clone(settings),
            spool: None,
            rows_events: 0,
            file: Arc::default(),
        }
    }

    /// Forgets the events and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.memory.clear();
        self.spool = None;
        self.rows_events = 0;
    }

    /// Keeps an event that begins at `place` in its log file.
    pub(super) fn push(&mut self, event: &Event<'_>, place: u64) -> Result<()> {
        let header = &event.header;
        let length = u32::try_from(event.body.len()).unwrap_or(u32::MAX);
        let mut frame = [header.event_type; FRAME_BYTES];
        frame[1..5].copy_from_slice(&header.timestamp_s.to_le_bytes());
        frame[5..9].copy_from_slice(&header.server_id.to_le_bytes());
        frame[9..13].copy_from_slice(&length.to_le_bytes());
        frame[13..].copy_from_slice(&place.to_le_bytes());
        self.memory.reserve(FRAME_BYTES + event.body.len());
        self.memory.extend_from_slice(&frame);
        self.memory.extend_from_slice(event.body);
        if self.memory.len() > self.settings.transaction_memory_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// Moves what is in memory to the spool file.
    fn spill(&mut self) -> Result<()> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => {
                let file = match &self.settings.spool_folder {
                    Some(folder) => tempfile::tempfile_in(folder),
                    None => tempfile::tempfile(),
                };
                tracing::info!(
                    bytes = self.memory.len(),
                    "a transaction is larger than its memory and goes on in a spool file"
                );
                self.spool
                    .insert(BufWriter::new(file.map_err(spool_failed)?))
            }
        };
        spool.write_all(&self.memory).map_err(spool_failed)?;
        self.memory.clear();
        // The bound holds for the buffer's capacity too: one large event must not stay for good.
        self.memory
            .shrink_to(self.settings.transaction_memory_bytes);
        Ok(())
    }

    /// Gets ready to read from the beginning.
    pub(super) fn rewind(&mut self) -> Result<Cursor> {
        if self.spool.is_none() {
            return Ok(Cursor {
                at: 0,
                spool: None,
                scratch: Vec::new(),
            });
        }
        self.spill()?;
        let file = match self.spool.take() {
            Some(spool) => spool
                .into_inner()
                .map_err(|error| spool_failed(error.into_error()))?,
            None => return Err(Error::new(ErrorKind::Internal, "the spool file is gone")),
        };
        let mut file = file;
        file.rewind().map_err(spool_failed)?;
        Ok(Cursor {
            at: 0,
            spool: Some(BufReader::with_capacity(256 << 10, file)),
            scratch: Vec::new(),
        })
    }
}

fn spool_failed(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Storage,
        "the spool file of a large transaction cannot be written or read",
    )
    .hint("free some space in the folder for temporary files, or name another one (spool_folder)")
    .caused_by(error)
}

/// A place in the events of a transaction that has ended.
#[derive(Debug)]
pub(super) struct Cursor {
    at: usize,
    spool: Option<BufReader<File>>,
    scratch: Vec<u8>,
}

impl Cursor {
    /// Goes back to the first event.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.at = 0;
        match &mut self.spool {
            Some(spool) => spool.rewind().map_err(spool_failed),
            None => Ok(()),
        }
    }

    /// The next event, and where it begins in its log file; none at the end.
    pub(super) fn next<'a>(&'a mut self, buffer: &'a Buffer) -> Result<Option<(Event<'a>, u64)>> {
        let Some(spool) = &mut self.spool else {
            let rest = buffer.memory.get(self.at..).unwrap_or_default();
            let Some((header, length, place)) = frame(rest) else {
                return Ok(None);
            };
            let body = rest
                .get(FRAME_BYTES..FRAME_BYTES + length)
                .unwrap_or_default();
            self.at += FRAME_BYTES + length;
            return Ok(Some((Event { header, body }, place)));
        };
        let mut head = [0; FRAME_BYTES];
        match spool.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(spool_failed(error)),
        }
        let Some((header, length, place)) = frame(&head) else {
            return Ok(None);
        };
        self.scratch.resize(length, 0);
        spool.read_exact(&mut self.scratch).map_err(spool_failed)?;
        let body = self.scratch.as_slice();
        Ok(Some((Event { header, body }, place)))
    }
}

fn frame(bytes: &[u8]) -> Option<(EventHeader, usize, u64)> {
    let number = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let header = EventHeader {
        timestamp_s: number(1)?,
        event_type: *bytes.first()?,
        server_id: number(5)?,
        size_bytes: 0,
        log_pos: 0,
        flags: 0,
    };
    let place = u64::from_le_bytes(bytes.get(13..21)?.try_into().ok()?);
    Some((header, number(9)? as usize, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConnectOptions;
    use crate::schema::Selection;

    fn event(number: u32, body: &[u8]) -> Event<'_> {
        let header = EventHeader {
            timestamp_s: number,
            event_type: 30,
            server_id: 7,
            size_bytes: 0,
            log_pos: 0,
            flags: 0,
        };
        Event { header, body }
    }

    #[test]
    fn events_come_back_in_order_from_memory_and_from_the_spool_file() {
        for memory in [1 << 20, 64, 0] {
            let connect = ConnectOptions::from_url("mysql://reader@localhost").unwrap();
            let mut settings = Settings::new(connect, Selection::Tables(Vec::new()));
            settings.transaction_memory_bytes = memory;
            let mut buffer = Buffer::new(&Arc::new(settings));
            for round in 0..2 {
                for number in 0..100 {
                    buffer
                        .push(
                            &event(
                                number,
                                &vec![u8::try_from(number).unwrap(); number as usize],
                            ),
                            u64::from(number) << 33,
                        )
                        .unwrap();
                }
                let mut cursor = buffer.rewind().unwrap();
                for number in 0..100 {
                    let (read, place) = cursor.next(&buffer).unwrap().unwrap();
                    assert_eq!(place, u64::from(number) << 33);
                    assert_eq!(
                        read.header.timestamp_s, number,
                        "memory {memory} round {round}"
                    );
                    assert_eq!(
                        read.body,
                        vec![u8::try_from(number).unwrap(); number as usize]
                    );
                }
                assert!(cursor.next(&buffer).unwrap().is_none());
                drop(cursor);
                buffer.clear();
            }
        }
    }
}
