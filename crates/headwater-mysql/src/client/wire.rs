//! Packets over a stream: sending whole ones, and filling the reader, with the bound on silence.

use std::ops::Range;
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use tokio::io::AsyncWriteExt as _;

use super::packet::MAX_FRAGMENT_BYTES;
use super::reader::PacketReader;
use super::stream::Stream;
use crate::config::Address;

/// What is put together for sending is kept up to this size.
const RETAINED_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: Stream,
    pub(crate) reader: PacketReader,
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) address: Address,
    outgoing: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: Stream, address: Address, packet_bytes_max: usize) -> Self {
        let reader = PacketReader::new(packet_bytes_max);
        Self {
            stream,
            reader,
            read_timeout: None,
            address,
            outgoing: Vec::new(),
        }
    }

    /// Sends one packet, made of `head` and `tail`, as the next one in sequence.
    ///
    /// Not cancel-safe: a dropped send may have sent a part.
    pub(crate) async fn send(&mut self, head: &[u8], tail: &[u8]) -> Result<()> {
        let mut sequence = self.reader.sequence();
        let (mut head, mut tail) = (head, tail);
        self.outgoing.clear();
        loop {
            let fragment = (head.len() + tail.len()).min(MAX_FRAGMENT_BYTES);
            let [a, b, c, ..] = fragment.to_le_bytes();
            self.outgoing.extend_from_slice(&[a, b, c, sequence]);
            let (now, later) = head.split_at(head.len().min(fragment));
            self.outgoing.extend_from_slice(now);
            head = later;
            let (now, later) = tail.split_at(fragment - now.len());
            self.outgoing.extend_from_slice(now);
            tail = later;
            sequence = sequence.wrapping_add(1);
            if fragment < MAX_FRAGMENT_BYTES {
                break;
            }
        }
        self.reader.set_sequence(sequence);
        let sent = async {
            self.stream.write_all(&self.outgoing).await?;
            self.stream.flush().await
        };
        let result = sent.await;
        self.outgoing.clear();
        self.outgoing.shrink_to(RETAINED_BYTES);
        result.map_err(|error| self.broken().caused_by(error))
    }

    /// Returns once a whole packet is buffered.
    ///
    /// Cancel-safe: bytes that were read stay in the buffer.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        while !self.reader.ready()? {
            let read = self.reader.read_from(&mut self.stream);
            let result = match self.read_timeout {
                Some(limit) => match tokio::time::timeout(limit, read).await {
                    Ok(result) => result,
                    Err(_) => return Err(self.silent(limit)),
                },
                None => read.await,
            };
            match result {
                Ok(0) => return Err(self.broken()),
                Ok(_) => {}
                Err(error) => return Err(self.broken().caused_by(error)),
            }
        }
        Ok(())
    }

    /// The next packet's payload. Cancel-safe, as [`Wire::fill`].
    pub(crate) async fn packet(&mut self) -> Result<&[u8]> {
        let range = self.range().await?;
        Ok(self.reader.slice(range))
    }

    async fn range(&mut self) -> Result<Range<usize>> {
        loop {
            if let Some(range) = self.reader.next_range()? {
                return Ok(range);
            }
            self.fill().await?;
        }
    }

    #[cold]
    fn broken(&self) -> Error {
        Error::new(ErrorKind::Connection, "the connection to the server broke")
            .with("server", &self.address)
            .hint("was the server stopped, or the session killed or timed out (wait_timeout, net_write_timeout)?")
    }

    #[cold]
    fn silent(&self, limit: Duration) -> Error {
        Error::new(ErrorKind::Timeout, "the server was silent for too long")
            .with("server", &self.address)
            .with("bound", format_args!("{} s", limit.as_secs_f64()))
            .hint("is the server overloaded or out of disk? Otherwise raise read-timeout")
    }
}
