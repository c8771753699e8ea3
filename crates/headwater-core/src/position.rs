//! Positions in a source's log, the identity of a source, and handoff tokens. The core never looks inside a position:
//! it asks whether one includes another.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// A place in a source's log, always between two transactions.
pub trait Position:
    Clone + fmt::Debug + fmt::Display + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Whether every transaction at or before `other` is also at or before `self`. Only partly an order: of two GTID
    /// sets neither may include the other.
    fn includes(&self, other: &Self) -> bool;
}

/// Which source a position belongs to, so that a foreign server or a log that was reset is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// The kind of source: `mysql`, `mariadb`, …
    pub kind: String,
    /// What tells this server (or its replication group) from others.
    pub id: String,
}

/// A position from which a live source can start, printable, versioned, typed, and bound to its source. It carries the
/// table definitions valid there where the log does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandoffToken {
    /// The source it belongs to.
    pub source: SourceIdentity,
    /// The position, as its source writes it.
    pub position: serde_json::Value,
    /// Table definitions valid there, as the source writes them.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub definitions: serde_json::Value,
}

const TOKEN_PREFIX: &str = "hw1.";
const UNPACKED_BYTES_MAX: u64 = 256 << 20;

impl HandoffToken {
    /// The token of `position`.
    ///
    /// # Errors
    /// `Internal` if the position cannot be written as JSON.
    pub fn new<P: Position>(
        source: SourceIdentity,
        position: &P,
        definitions: serde_json::Value,
    ) -> Result<Self> {
        let position = serde_json::to_value(position).map_err(|cause| {
            Error::new(ErrorKind::Internal, "a position cannot be written").caused_by(cause)
        })?;
        Ok(Self {
            source,
            position,
            definitions,
        })
    }

    /// The position, if the token belongs to `source`.
    ///
    /// # Errors
    /// `ForeignPosition` for another source's token.
    pub fn position_for<P: Position>(&self, source: &SourceIdentity) -> Result<P> {
        if self.source != *source {
            return Err(Error::new(
                ErrorKind::ForeignPosition,
                "the token belongs to another source",
            )
            .with(
                "token of",
                format!("{} {}", self.source.kind, self.source.id),
            )
            .with("source is", format!("{} {}", source.kind, source.id))
            .hint(
                "start from a token that this server gave, or leave --from out to start from now",
            ));
        }
        serde_json::from_value(self.position.clone()).map_err(|cause| {
            Error::new(ErrorKind::ForeignPosition, "the token's position cannot be read")
                .hint("it may have been made by a newer version of headwater; take a new one with `headwater backfill`")
                .caused_by(cause)
        })
    }
}

impl fmt::Display for HandoffToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Definitions of hundreds of tables would not fit a command line as they are.
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
        serde_json::to_writer(&mut packed, self).map_err(|_| fmt::Error)?;
        let body = packed.finish().map_err(|_| fmt::Error)?;
        let sum = crc32fast::hash(&body);
        write!(
            f,
            "{TOKEN_PREFIX}{sum:08x}.{}",
            URL_SAFE_NO_PAD.encode(body)
        )
    }
}

impl FromStr for HandoffToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |what: &'static str| {
            Error::new(ErrorKind::ForeignPosition, what)
                .hint("copy the whole token as `headwater backfill` printed it: one word that begins with hw1.")
        };
        let rest = text
            .trim()
            .strip_prefix(TOKEN_PREFIX)
            .ok_or_else(|| bad("this is not a handoff token of a version that can be read"))?;
        let (sum, body) = rest
            .split_once('.')
            .ok_or_else(|| bad("the handoff token is incomplete"))?;
        let body = URL_SAFE_NO_PAD
            .decode(body)
            .map_err(|cause| bad("the handoff token is damaged").caused_by(cause))?;
        if u32::from_str_radix(sum, 16).ok() != Some(crc32fast::hash(&body)) {
            return Err(bad(
                "the handoff token is damaged: its checksum does not match",
            ));
        }
        // The bound is far above any real token: a small text must not unpack to fill the memory.
        let unpacked = DeflateDecoder::new(body.as_slice()).take(UNPACKED_BYTES_MAX);
        serde_json::from_reader(unpacked)
            .map_err(|cause| bad("the handoff token cannot be read").caused_by(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> HandoffToken {
        HandoffToken {
            source: SourceIdentity {
                kind: "test".into(),
                id: "one".into(),
            },
            position: serde_json::json!({"at": 7}),
            definitions: serde_json::Value::Null,
        }
    }

    #[test]
    fn a_token_survives_print_and_parse() {
        let text = token().to_string();
        assert!(text.starts_with("hw1."));
        assert_eq!(text.parse::<HandoffToken>().unwrap(), token());
    }

    #[test]
    fn a_token_of_hundreds_of_tables_fits_a_command_line() {
        let table = |number: u32| {
            let column = |name: u32| serde_json::json!({"name": format!("column_{name}"), "type": {"text": {"charset": "utf8mb4"}}});
            serde_json::json!({"name": {"database": "shop", "table": format!("orders_{number}")},
                "columns": (0..20).map(column).collect::<Vec<_>>()})
        };
        let mut token = token();
        token.definitions = (0..500).map(table).collect();
        let text = token.to_string();
        assert!(text.len() < 100_000, "{}", text.len());
        assert_eq!(text.parse::<HandoffToken>().unwrap(), token);
    }

    #[test]
    fn a_token_with_any_character_changed_is_refused() {
        let text = token().to_string();
        for index in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(bytes).unwrap();
            if damaged
                .parse::<HandoffToken>()
                .is_ok_and(|read| read == token())
            {
                // Upper-case hexadecimal digits of the checksum are the same number.
                assert!(damaged.eq_ignore_ascii_case(&text), "{damaged}");
            }
        }
    }
}
