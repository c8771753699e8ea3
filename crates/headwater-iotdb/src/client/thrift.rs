//! Thrift's binary protocol in frames, as far as IoTDB's calls need it: a frame is four bytes of length and one message.
//! (Thrift's specifications, `thrift-binary-protocol.md` and `thrift-rpc.md`; all numbers are big-endian.)

use headwater_core::{Error, ErrorKind, Result};

/// Version 1 of the strict protocol, in the upper half of a message's first word.
const VERSION: u32 = 0x8001_0000;
const CALL: u32 = 1;
const REPLY: u8 = 2;
const EXCEPTION: u8 = 3;
/// Deeper nesting is no answer of IoTDB's.
const DEPTH_MAX: u32 = 32;

/// The type of a field or an element on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Bool = 2,
    Byte = 3,
    Double = 4,
    I16 = 6,
    I32 = 8,
    I64 = 10,
    String = 11,
    Struct = 12,
    Map = 13,
    Set = 14,
    List = 15,
}

/// The end of a structure.
const STOP: u8 = 0;

impl Type {
    fn of(code: u8) -> Result<Self> {
        Ok(match code {
            2 => Self::Bool,
            3 => Self::Byte,
            4 => Self::Double,
            6 => Self::I16,
            8 => Self::I32,
            10 => Self::I64,
            11 => Self::String,
            12 => Self::Struct,
            13 => Self::Map,
            14 => Self::Set,
            15 => Self::List,
            _ => return Err(malformed("a type of Thrift that is not known")),
        })
    }
}

/// A frame on its way to the server.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins a call in memory that another may have left; its arguments come next.
    pub(super) fn call(mut memory: Vec<u8>, name: &str, sequence: i32) -> Self {
        memory.clear();
        memory.resize(4, 0);
        let mut writer = Self { bytes: memory };
        writer.bytes.extend((VERSION | CALL).to_be_bytes());
        writer.string(name);
        writer.i32(sequence);
        writer
    }

    /// Makes room for so many bytes at once.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// The one argument of a call of a session: a structure that begins with the session's number.
    pub(super) fn request(&mut self, session: i64, fields: impl FnOnce(&mut Self)) {
        self.field(1, Type::Struct);
        self.i64_field(1, session);
        fields(self);
        self.stop();
    }

    /// The whole frame: all structures are closed, and its length stands in front.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.stop();
        let length = i32::try_from(self.bytes.len() - 4)
            .map_err(|_| Error::new(ErrorKind::Internal, "a request of more than two gigabytes"))?;
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        Ok(self.bytes)
    }

    pub(super) fn field(&mut self, id: i16, kind: Type) {
        self.bytes.push(kind as u8);
        self.bytes.extend(id.to_be_bytes());
    }

    pub(super) fn bool_field(&mut self, id: i16, value: bool) {
        self.field(id, Type::Bool);
        self.bytes.push(u8::from(value));
    }

    pub(super) fn i32_field(&mut self, id: i16, value: i32) {
        self.field(id, Type::I32);
        self.i32(value);
    }

    pub(super) fn i64_field(&mut self, id: i16, value: i64) {
        self.field(id, Type::I64);
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn string_field(&mut self, id: i16, value: &str) {
        self.field(id, Type::String);
        self.string(value);
    }

    /// A list: its length, then whatever `write` appends for each element.
    pub(super) fn list_field<T>(
        &mut self,
        id: i16,
        kind: Type,
        elements: &[T],
        write: impl FnMut(&mut Self, &T),
    ) {
        self.field(id, Type::List);
        self.list(kind, elements, write);
    }

    pub(super) fn stop(&mut self) {
        self.bytes.push(STOP);
    }

    pub(super) fn list<T>(
        &mut self,
        kind: Type,
        elements: &[T],
        mut write: impl FnMut(&mut Self, &T),
    ) {
        self.bytes.push(kind as u8);
        self.length(elements.len());
        for element in elements {
            write(self, element);
        }
    }

    pub(super) fn map(&mut self, key: Type, value: Type, length: usize) {
        self.bytes.push(key as u8);
        self.bytes.push(value as u8);
        self.length(length);
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn string(&mut self, value: &str) {
        self.binary(value.as_bytes());
    }

    pub(super) fn binary(&mut self, value: &[u8]) {
        self.length(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// Bytes whose number is known beforehand and that `write` appends.
    pub(super) fn binary_with(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.length(length);
        let before = self.bytes.len();
        write(&mut self.bytes);
        debug_assert_eq!(self.bytes.len() - before, length, "the announced length");
    }

    /// What is too long is found by [`Writer::finish`]: the frame is longer still.
    fn length(&mut self, length: usize) {
        self.i32(i32::try_from(length).unwrap_or(i32::MAX));
    }
}

/// Bytes of the server's, read from their beginning: an answer, or a part of one. All numbers are big-endian.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The answer to the call `name` with this number; its fields are read next.
    pub(super) fn reply(frame: &'a [u8], name: &str, sequence: i32) -> Result<Self> {
        let mut reader = Self::new(frame);
        let word = reader.u32()?;
        if word & 0xffff_0000 != VERSION {
            return Err(malformed("no message of Thrift's binary protocol").hint(
                "is the port the one for clients (dn_rpc_port), and is compression of the protocol off (dn_rpc_thrift_compression_enable)?",
            ));
        }
        let answered = reader.string()?;
        let number = reader.i32()?;
        match word.to_be_bytes()[3] {
            REPLY if answered == name && number == sequence => Ok(reader),
            REPLY => Err(malformed("the answer to another call")),
            EXCEPTION => Err(reader.exception()?.with("call", name)),
            _ => Err(malformed("a message of an unknown kind")),
        }
    }

    /// `TApplicationException`: the server has no such call, or failed on it.
    fn exception(&mut self) -> Result<Error> {
        let mut said = String::new();
        while let Some((id, kind)) = self.field()? {
            match (id, kind) {
                (1, Type::String) => self.string()?.clone_into(&mut said),
                _ => self.skip(kind)?,
            }
        }
        Ok(Error::new(ErrorKind::SinkUnavailable, "IoTDB failed on a call").with("said", said))
    }

    /// The next field's number and type; none at the structure's end.
    pub(super) fn field(&mut self) -> Result<Option<(i16, Type)>> {
        let code = self.u8()?;
        if code == STOP {
            return Ok(None);
        }
        let kind = Type::of(code)?;
        let id = i16::from_be_bytes(self.array()?);
        Ok(Some((id, kind)))
    }

    pub(super) fn list(&mut self) -> Result<(Type, usize)> {
        let kind = Type::of(self.u8()?)?;
        Ok((kind, self.length()?))
    }

    /// The types and the length of a map that is not empty (an empty one has no types).
    pub(super) fn map(&mut self) -> Result<Option<(Type, Type, usize)>> {
        let (key, value) = (self.u8()?, self.u8()?);
        match self.length()? {
            0 => Ok(None),
            length => Ok(Some((Type::of(key)?, Type::of(value)?, length))),
        }
    }

    pub(super) fn bool(&mut self) -> Result<bool> {
        Ok(self.u8()? != 0)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(super) fn string(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.binary()?).map_err(|_| malformed("text that is not UTF-8"))
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    pub(super) fn strings(&mut self) -> Result<Vec<String>> {
        let (_, length) = self.list()?;
        let mut all = Vec::new();
        for _ in 0..length {
            all.push(self.string()?.to_owned());
        }
        Ok(all)
    }

    pub(super) fn skip(&mut self, kind: Type) -> Result<()> {
        self.skip_at(kind, 0)
    }

    fn skip_at(&mut self, kind: Type, depth: u32) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(malformed("structures within structures without end"));
        }
        match kind {
            Type::Bool | Type::Byte => self.take(1).map(drop),
            Type::I16 => self.take(2).map(drop),
            Type::I32 => self.take(4).map(drop),
            Type::Double | Type::I64 => self.take(8).map(drop),
            Type::String => self.binary().map(drop),
            Type::Struct => {
                while let Some((_, kind)) = self.field()? {
                    self.skip_at(kind, depth + 1)?;
                }
                Ok(())
            }
            Type::Map => {
                if let Some((key, value, length)) = self.map()? {
                    for _ in 0..length {
                        self.skip_at(key, depth + 1)?;
                        self.skip_at(value, depth + 1)?;
                    }
                }
                Ok(())
            }
            Type::Set | Type::List => {
                let (kind, length) = self.list()?;
                for _ in 0..length {
                    self.skip_at(kind, depth + 1)?;
                }
                Ok(())
            }
        }
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A length that can be true: no element is shorter than a byte.
    pub(super) fn length(&mut self) -> Result<usize> {
        let length = usize::try_from(self.i32()?).map_err(|_| malformed("a negative length"))?;
        if length > self.rest.len() {
            return Err(malformed("a length beyond the end of the message"));
        }
        Ok(length)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk() {
            Some((first, rest)) => {
                self.rest = rest;
                Ok(*first)
            }
            None => Err(malformed("a message that ends too early")),
        }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(length) {
            Some((first, rest)) => {
                self.rest = rest;
                Ok(first)
            }
            None => Err(malformed("a message that ends too early")),
        }
    }
}

pub(super) fn malformed(what: &'static str) -> Error {
    Error::new(
        ErrorKind::Malformed,
        "IoTDB sent something that cannot be understood",
    )
    .with("found", what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_has_its_length_its_call_and_its_fields() {
        let mut writer = Writer::call(Vec::new(), "closeSession", 7);
        writer.request(42, |_| {});
        let frame = writer.finish().unwrap();
        let expected: Vec<u8> = [
            &[0, 0, 0, 40, 0x80, 1, 0, 1, 0, 0, 0, 12][..],
            b"closeSession",
            &[0, 0, 0, 7, 12, 0, 1, 10, 0, 1],
            &42i64.to_be_bytes(),
            &[0, 0],
        ]
        .concat();
        assert_eq!(frame, expected);
    }

    #[test]
    fn the_answer_to_another_call_is_refused() {
        let reply = |name: &str, number: i32| {
            let mut writer = Writer::call(Vec::new(), name, number);
            writer.bytes[7] = REPLY;
            writer.finish().unwrap()[4..].to_vec()
        };
        assert!(Reader::reply(&reply("a", 1), "a", 1).is_ok());
        assert!(Reader::reply(&reply("a", 1), "b", 1).is_err());
        assert!(Reader::reply(&reply("a", 1), "a", 2).is_err());
    }

    proptest! {
        /// Whatever a server sends, reading it ends, and with an error where it is no message.
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while let Ok(Some((_, kind))) = reader.field() {
                if reader.skip(kind).is_err() {
                    break;
                }
            }
        }
    }
}
