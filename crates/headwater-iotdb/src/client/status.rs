//! What the server says of a call. 200 is success, and so is 400, a recommendation of another node; 302 holds one answer for
//! each tablet of the call. (apache/iotdb, `TSStatusCode`.)

use headwater_core::Result;

use super::thrift::{Reader, Type};

/// The codes that are told apart here.
mod code {
    pub(crate) const SUCCESS: i32 = 200;
    pub(crate) const MULTIPLE_ERROR: i32 = 302;
    pub(crate) const REDIRECTION_RECOMMEND: i32 = 400;
}

/// `TSStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Status {
    pub(crate) code: i32,
    pub(crate) message: Option<String>,
    /// One for each part of the call, in its order; empty where all have the same.
    pub(crate) parts: Vec<Status>,
    /// The node that would have been the better one to ask.
    pub(crate) redirect: Option<Node>,
    /// The server's own opinion, of servers that have one.
    pub(crate) need_retry: Option<bool>,
}

/// A node's address for clients, as servers name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Status {
    /// Of a call whose answer has none.
    pub(crate) fn success() -> Self {
        Self {
            code: code::SUCCESS,
            ..Self::default()
        }
    }

    /// Whether the call, or this part of it, did what was asked.
    pub(crate) fn is_success(&self) -> bool {
        match self.code {
            code::SUCCESS | code::REDIRECTION_RECOMMEND => true,
            code::MULTIPLE_ERROR => {
                !self.parts.is_empty() && self.parts.iter().all(Self::is_success)
            }
            _ => false,
        }
    }

    /// What it says, for people.
    pub(crate) fn text(&self) -> String {
        let worst = self.parts.iter().find(|part| !part.is_success());
        let said = worst.unwrap_or(self);
        match &said.message {
            Some(message) => format!("{}: {message}", said.code),
            None => said.code.to_string(),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut status = Self::default();
        while let Some((id, kind)) = reader.field()? {
            match (id, kind) {
                (1, Type::I32) => status.code = reader.i32()?,
                (2, Type::String) => status.message = Some(reader.string()?.to_owned()),
                (3, Type::List) => {
                    let (_, length) = reader.list()?;
                    for _ in 0..length {
                        status.parts.push(Self::read(reader)?);
                    }
                }
                (4, Type::Struct) => status.redirect = Some(Node::read(reader)?),
                (5, Type::Bool) => status.need_retry = Some(reader.bool()?),
                _ => reader.skip(kind)?,
            }
        }
        Ok(status)
    }
}

impl Node {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut node = Self::default();
        while let Some((id, kind)) = reader.field()? {
            match (id, kind) {
                (1, Type::String) => reader.string()?.clone_into(&mut node.host),
                (2, Type::I32) => node.port = u16::try_from(reader.i32()?).unwrap_or(0),
                _ => reader.skip(kind)?,
            }
        }
        Ok(node)
    }
}
