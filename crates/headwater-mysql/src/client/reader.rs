//! The framing of packets, on one growable buffer: whole packets are handed out as ranges of the buffer, without a
//! copy; packets of 16 MiB and more are joined in place.
//!
//! Buffer layout: `handed out … | start: unread, whole packets and perhaps the beginning of one | end: free`. A packet
//! of several fragments is joined while it arrives: `joined` bytes of payload stand behind the first header, and
//! `next_header` is where the next fragment's header is, four bytes further on for each fragment joined so far.

use std::ops::Range;

use headwater_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::packet::{HEADER_BYTES, MAX_FRAGMENT_BYTES, malformed};

/// The buffer's size to begin with.
const BASE_BYTES: usize = 256 << 10;
/// The least it grows to for a larger packet, and what it shrinks back to after a huge one.
const RETAINED_BYTES: usize = 1 << 20;
/// From this size on the buffer shrinks once its packet was handed out.
const HUGE_BYTES: usize = 4 << 20;

/// Splits what a stream delivers into packets.
#[derive(Debug)]
pub(crate) struct PacketReader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    join: Option<Join>,
    sequence: u8,
    packet_bytes_max: usize,
    /// Packets shorter than this are of one fragment and within the bound.
    whole_bytes_max: usize,
    /// Bytes the whole packet at `start` needs at least, as far as its headers tell.
    wanted: usize,
}

/// The joining of fragments, as offsets from `start`.
#[derive(Debug, Clone, Copy, Default)]
struct Join {
    joined: usize,
    next_header: usize,
    done: bool,
}

impl PacketReader {
    pub(crate) fn new(packet_bytes_max: usize) -> Self {
        let mut this = Self {
            buffer: vec![0; BASE_BYTES],
            start: 0,
            end: 0,
            join: None,
            sequence: 0,
            packet_bytes_max: 0,
            whole_bytes_max: 0,
            wanted: HEADER_BYTES,
        };
        this.set_packet_bytes_max(packet_bytes_max);
        this
    }

    /// Changes the bound on packets.
    pub(crate) fn set_packet_bytes_max(&mut self, packet_bytes_max: usize) {
        self.packet_bytes_max = packet_bytes_max;
        self.whole_bytes_max = MAX_FRAGMENT_BYTES.min(packet_bytes_max.saturating_add(1));
    }

    /// The bytes of a range that [`PacketReader::next_range`] gave, before anything else is read.
    #[inline]
    pub(crate) fn slice(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// The sequence number that the next packet must bear.
    pub(crate) fn sequence(&self) -> u8 {
        self.sequence
    }

    pub(crate) fn set_sequence(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    /// How many bytes are read and not yet handed out.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.end - self.start
    }

    /// The next whole packet's payload, if it is buffered. A `None` means that more has to be read.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for a packet out of sequence, [`ErrorKind::Unsupported`] for one beyond the bound.
    #[inline]
    pub(crate) fn next_range(&mut self) -> Result<Option<Range<usize>>> {
        if let Some((length, sequence)) = self.header(self.start) {
            let from = self.start + HEADER_BYTES;
            let to = from + length;
            if length < self.whole_bytes_max && to <= self.end && sequence == self.sequence {
                self.sequence = sequence.wrapping_add(1);
                self.start = to;
                return Ok(Some(from..to));
            }
        }
        self.next_slowly()
    }

    #[inline]
    fn header(&self, at: usize) -> Option<(usize, u8)> {
        let unread = self.buffer.get(at..self.end)?;
        let [a, b, c, sequence] = *unread.first_chunk()?;
        Some((u32::from_le_bytes([a, b, c, 0]) as usize, sequence))
    }

    /// Whatever is not a whole small packet in sequence.
    #[cold]
    fn next_slowly(&mut self) -> Result<Option<Range<usize>>> {
        if !self.ready()? {
            return Ok(None);
        }
        let join = self.join.take().unwrap_or_default();
        let payload = self.start + HEADER_BYTES;
        self.start += join.next_header;
        Ok(Some(payload..payload + join.joined))
    }

    /// Whether a whole packet is buffered. Joins the fragments that are there; nothing is handed out yet.
    ///
    /// # Errors
    /// As [`PacketReader::next_range`].
    pub(crate) fn ready(&mut self) -> Result<bool> {
        let mut join = self.join.unwrap_or_default();
        while !join.done {
            let header = self.start + join.next_header;
            let Some((length, sequence)) = self.header(header) else {
                self.wanted = join.next_header + HEADER_BYTES;
                return Ok(false);
            };
            if join.joined + length > self.packet_bytes_max {
                return Err(self.too_large(join.joined + length));
            }
            let from = header + HEADER_BYTES;
            if from + length > self.end {
                self.wanted = join.next_header + HEADER_BYTES + length;
                return Ok(false);
            }
            if sequence != self.sequence {
                self.check_sequence(sequence, from..from + length)?;
            }
            if join.next_header == 0 && length < MAX_FRAGMENT_BYTES && sequence == self.sequence {
                return Ok(true); // the common case is left untouched for the fast path
            }
            self.sequence = sequence.wrapping_add(1);
            let payload = self.start + HEADER_BYTES;
            self.buffer
                .copy_within(from..from + length, payload + join.joined);
            join.joined += length;
            join.next_header += HEADER_BYTES + length;
            join.done = length < MAX_FRAGMENT_BYTES;
            self.join = Some(join);
        }
        Ok(true)
    }

    /// A server that gives up a connection sends its last error with a sequence of its own; that error is news,
    /// anything else out of sequence is not.
    #[cold]
    fn check_sequence(&self, sequence: u8, payload: Range<usize>) -> Result<()> {
        if self.slice(payload).first() == Some(&0xFF) {
            return Ok(());
        }
        Err(malformed("a packet came out of sequence")
            .with("sequence", sequence)
            .with("expected", self.sequence))
    }

    #[cold]
    fn too_large(&self, bytes: usize) -> Error {
        Error::new(
            ErrorKind::Unsupported,
            "a packet is larger than the bound on packets",
        )
        .during("reading the server's answer")
        .with("bytes, at least", bytes)
        .with("bound", self.packet_bytes_max)
        .hint("raise max-packet-bytes")
    }

    /// Reads once from `stream`, after making room. Gives the number of bytes read; 0 is the stream's end.
    ///
    /// Cancel-safe: a read that is dropped has read nothing.
    pub(crate) async fn read_from<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> std::io::Result<usize> {
        self.make_room();
        let Some(free) = self.buffer.get_mut(self.end..) else {
            return Ok(0);
        };
        let count = stream.read(free).await?;
        self.end += count;
        Ok(count)
    }

    /// Moves the unread bytes to the front, and grows the buffer to what the packet needs.
    fn make_room(&mut self) {
        let unread = self.buffered_bytes();
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.start = 0;
            self.end = unread;
        }
        if self.wanted > self.buffer.len() {
            // Doubling, so that joining a packet of many fragments costs a constant factor.
            let size = self
                .wanted
                .max(self.buffer.len().saturating_mul(2))
                .max(RETAINED_BYTES);
            self.buffer.resize(size, 0);
        } else if self.buffer.len() > HUGE_BYTES
            && self.join.is_none()
            && self.wanted.max(unread) < BASE_BYTES
        {
            // After a huge packet: give the memory back.
            self.buffer.truncate(RETAINED_BYTES);
            self.buffer.shrink_to_fit();
        } else if unread == self.buffer.len() {
            self.buffer.resize(self.buffer.len().saturating_mul(2), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames payloads as a server does, with fragments of 16 MiB.
    fn frame(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut sequence = 0u8;
        for payload in payloads {
            let mut rest = &payload[..];
            loop {
                let (fragment, next) = rest.split_at(rest.len().min(MAX_FRAGMENT_BYTES));
                bytes.extend_from_slice(&u32::try_from(fragment.len()).unwrap().to_le_bytes()[..3]);
                bytes.push(sequence);
                bytes.extend_from_slice(fragment);
                sequence = sequence.wrapping_add(1);
                rest = next;
                if fragment.len() < MAX_FRAGMENT_BYTES {
                    break;
                }
            }
        }
        bytes
    }

    /// A stream that delivers in portions of the given sizes.
    struct Portions<'a>(&'a [u8], Vec<usize>, usize);

    impl AsyncRead for Portions<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let portion = self.1[self.2 % self.1.len()];
            self.2 += 1;
            let count = portion.min(into.remaining()).min(self.0.len());
            let (now, later) = self.0.split_at(count);
            into.put_slice(now);
            self.0 = later;
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn read_all(bytes: &[u8], portions: Vec<usize>, max: usize) -> Result<Vec<Vec<u8>>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut stream = Portions(bytes, portions, 0);
            let mut reader = PacketReader::new(max);
            let mut packets = Vec::new();
            loop {
                while let Some(range) = reader.next_range()? {
                    packets.push(reader.slice(range).to_vec());
                }
                if reader.read_from(&mut stream).await.unwrap() == 0 {
                    assert_eq!(reader.buffered_bytes(), 0, "bytes left over");
                    return Ok(packets);
                }
            }
        })
    }

    proptest! {
        #[test]
        fn packets_read_back_however_the_stream_is_cut(
            shapes in prop::collection::vec((0..3000usize, any::<u8>()), 0..200),
            portions in prop::collection::vec(1..100_000usize, 1..10),
        ) {
            let payloads: Vec<_> = shapes.iter().map(|(size, byte)| vec![*byte; *size]).collect();
            let bytes = frame(&payloads);
            prop_assert_eq!(read_all(&bytes, portions, 1 << 20).unwrap(), payloads);
        }
    }

    #[test]
    fn packets_of_many_fragments_are_joined_and_the_next_ones_still_found() {
        for size in [
            MAX_FRAGMENT_BYTES - 1,
            MAX_FRAGMENT_BYTES,
            MAX_FRAGMENT_BYTES + 1,
            MAX_FRAGMENT_BYTES * 3,
        ] {
            let mut large = vec![0; size];
            for (mark, byte) in (1..=u8::MAX).zip(large.iter_mut().rev().step_by(99_991)) {
                *byte = mark;
            }
            let payloads = vec![
                b"before".to_vec(),
                large,
                b"after".to_vec(),
                vec![],
                b"last".to_vec(),
            ];
            let bytes = frame(&payloads);
            for portions in [vec![1 << 16, 7, 3], vec![1 << 30]] {
                assert!(
                    read_all(&bytes, portions, 1 << 30).unwrap() == payloads,
                    "size {size}"
                );
            }
        }
    }

    #[test]
    fn a_packet_beyond_the_bound_is_refused_before_it_is_held() {
        for size in [5000, MAX_FRAGMENT_BYTES + 10] {
            let bytes = frame(&[vec![7; size]]);
            let error = read_all(&bytes, vec![1 << 20], 4096).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.hint_text().unwrap().contains("max-packet-bytes"));
        }
    }

    #[test]
    fn a_packet_out_of_sequence_is_refused_unless_it_is_an_error() {
        let error = read_all(&[1, 0, 0, 5, 0], vec![100], 4096).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert_eq!(
            read_all(&[1, 0, 0, 5, 0xFF], vec![100], 4096).unwrap(),
            vec![vec![0xFF]]
        );
    }
}
