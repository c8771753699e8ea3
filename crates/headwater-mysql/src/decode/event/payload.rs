//! TRANSACTION_PAYLOAD: a whole transaction's events in one zstd frame (`binlog_transaction_compression`).
//! Source: the class comment of `Transaction_payload_event` in `control_events.h`.

use std::io::{self, Read};

use headwater_core::{Error, ErrorKind, Result};

use super::{Event, EventHeader, HEADER_BYTES};
use crate::decode::malformed;
use crate::decode::reader::Reader;

/// A compressed transaction.
#[derive(Debug, Clone, Copy)]
pub struct TransactionPayload<'a> {
    /// Bytes of its events without compression.
    pub uncompressed_bytes: u64,
    algorithm: u64,
    payload: &'a [u8],
}

const ZSTD: u64 = 0;
const NONE: u64 = 255;
/// 128 MiB: the most that zstd decoders accept unasked. The server's level 3 uses far less.
const WINDOW_LOG_MAX: u32 = 27;

impl<'a> TransactionPayload<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let (mut size, mut algorithm, mut uncompressed) = (None, NONE, 0);
        loop {
            let field = reader.lenenc()?;
            if field == 0 {
                break;
            }
            let mut value = Reader::new(reader.lenenc_bytes()?);
            match field {
                1 => size = Some(value.lenenc()?),
                2 => algorithm = value.lenenc()?,
                3 => uncompressed = value.lenenc()?,
                _ => {}
            }
        }
        let payload = match size {
            Some(size) => reader.take(usize::try_from(size).unwrap_or(usize::MAX))?,
            None => reader.rest(),
        };
        Ok(Self {
            uncompressed_bytes: uncompressed,
            algorithm,
            payload,
        })
    }

    /// Its events, decompressed one at a time: memory holds the decoder's window and the largest event.
    ///
    /// # Errors
    /// `Unsupported` for another algorithm than zstd.
    pub fn events(&self) -> Result<InnerEvents<'a>> {
        let source = match self.algorithm {
            ZSTD => {
                let decoder = zstd::stream::read::Decoder::with_buffer(self.payload).and_then(
                    |mut decoder| {
                        decoder.window_log_max(WINDOW_LOG_MAX)?;
                        Ok(decoder)
                    },
                );
                Source::Zstd(Box::new(decoder.map_err(damaged)?))
            }
            NONE => Source::Plain(self.payload),
            algorithm => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "a compressed transaction uses an unknown algorithm",
                )
                .with("algorithm", algorithm));
            }
        };
        Ok(InnerEvents {
            source,
            buffer: Vec::new(),
        })
    }
}

enum Source<'a> {
    Zstd(Box<zstd::stream::read::Decoder<'a, &'a [u8]>>),
    Plain(&'a [u8]),
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Plain(bytes) => bytes.read(buffer),
        }
    }
}

/// The events of a compressed transaction. They carry no checksum; their positions are not the log's: the outer event's
/// header has those.
pub struct InnerEvents<'a> {
    source: Source<'a>,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for InnerEvents<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InnerEvents").finish_non_exhaustive()
    }
}

impl InnerEvents<'_> {
    /// The next event, borrowed until the one after it; `None` after the last.
    ///
    /// # Errors
    /// `Malformed` if the frame is damaged or ends within an event.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>> {
        self.buffer.clear();
        let header = HEADER_BYTES as u64;
        let found = (&mut self.source)
            .take(header)
            .read_to_end(&mut self.buffer)
            .map_err(damaged)?;
        if found == 0 {
            return Ok(None);
        }
        let header = EventHeader::parse(&mut Reader::new(&self.buffer))?;
        let length = (header.size_bytes as usize).checked_sub(HEADER_BYTES);
        let length = length.ok_or_else(|| malformed("an event is shorter than its header"))?;
        // Grows with what is there, not with what the header claims.
        let found = (&mut self.source)
            .take(length as u64)
            .read_to_end(&mut self.buffer)
            .map_err(damaged)?;
        if found != length {
            return Err(malformed("a compressed transaction ends within an event"));
        }
        let body = self.buffer.get(HEADER_BYTES..).unwrap_or_default();
        Ok(Some(Event { header, body }))
    }
}

fn damaged(error: io::Error) -> Error {
    malformed("a compressed transaction does not decompress").caused_by(error)
}
