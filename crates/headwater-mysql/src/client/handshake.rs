//! The server's greeting (`Protocol::HandshakeV10`) and the answer to it (`Protocol::HandshakeResponse41`).

use headwater_core::{Error, ErrorKind, Result};
use mysql_common::constants::CapabilityFlags;

use super::packet::{Cursor, parse_err, put_lenenc, put_lenenc_bytes};

/// `utf8mb4_general_ci`: the one utf8mb4 collation that every server knows by its number.
const UTF8MB4: u8 = 45;
/// The largest packet that we say to accept; servers do not look at it.
const CLIENT_MAX_PACKET: u32 = 1 << 30;

/// Whose protocol the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL, and what is built from it (Percona Server, Aurora, …).
    MySql,
    /// MariaDB.
    MariaDb,
}

/// What the server said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// MySQL or MariaDB.
    pub flavor: Flavor,
    /// The version's three numbers; what is missing is 0.
    pub version: (u16, u16, u16),
    /// The version as the server writes it, without MariaDB's `5.5.5-` in front.
    pub version_text: String,
    /// The connection's number, for `KILL`. Its lower 32 bits, if the server counts further.
    pub connection_id: u32,
    /// Whether TLS is on this connection.
    pub tls: bool,
}

impl ServerInfo {
    /// Whether this is MariaDB.
    #[must_use]
    pub fn is_mariadb(&self) -> bool {
        self.flavor == Flavor::MariaDb
    }
}

/// The greeting.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) server: ServerInfo,
    pub(crate) capabilities: CapabilityFlags,
    /// The challenge for the first try to log in, without its closing zero.
    pub(crate) challenge: Vec<u8>,
    pub(crate) plugin: Vec<u8>,
}

/// Reads the greeting, or the error that stands in its place.
pub(crate) fn parse_greeting(payload: &[u8]) -> Result<Greeting> {
    let mut cursor = Cursor::new(payload);
    match cursor.u8()? {
        10 => {}
        0xFF => return Err(parse_err(payload)?.into_error()),
        other => return Err(another_protocol().with("protocol version", other)),
    }
    let text = String::from_utf8_lossy(cursor.until_zero()).into_owned();
    let connection_id = cursor.u32()?;
    let mut challenge = cursor.bytes(8)?.to_vec();
    cursor.u8()?;
    let low = u32::from(cursor.u16()?);
    cursor.bytes(3)?; // collation, status
    let high = u32::from(cursor.u16()?);
    let capabilities = CapabilityFlags::from_bits_truncate(low | high << 16);
    let challenge_length = usize::from(cursor.u8()?);
    cursor.bytes(10)?; // zeros, or MariaDB's own capabilities, of which we want none
    let rest = cursor.bytes(challenge_length.saturating_sub(8).max(13))?;
    challenge.extend_from_slice(rest.strip_suffix(&[0]).unwrap_or(rest));
    let plugin = cursor.until_zero().to_vec();
    let needed = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_PLUGIN_AUTH;
    if !capabilities.contains(needed) {
        return Err(Error::new(ErrorKind::Unsupported, "the server is too old")
            .with("version", text)
            .hint("Headwater reads MySQL 8.0 or MariaDB 10.6, or newer"));
    }
    // MariaDB leaves out the flag that every MySQL sets first.
    let mysql = capabilities.contains(CapabilityFlags::CLIENT_LONG_PASSWORD);
    let (flavor, version, version_text) = parse_version(&text, mysql);
    let server = ServerInfo {
        flavor,
        version,
        version_text,
        connection_id,
        tls: false,
    };
    Ok(Greeting {
        server,
        capabilities,
        challenge,
        plugin,
    })
}

pub(crate) fn another_protocol() -> Error {
    Error::new(ErrorKind::Unsupported, "the server speaks another protocol")
        .hint("is this port a MySQL or MariaDB server's (3306, not 33060 or an HTTP port)?")
}

/// Flavor, numbers and cleaned text of a version such as `5.5.5-10.11.19-MariaDB-log` or `9.7.4`.
fn parse_version(text: &str, says_mysql: bool) -> (Flavor, (u16, u16, u16), String) {
    let stripped = text.strip_prefix("5.5.5-");
    let named = text.to_ascii_lowercase().contains("mariadb");
    let flavor = if named || stripped.is_some() || !says_mysql {
        Flavor::MariaDb
    } else {
        Flavor::MySql
    };
    let text = stripped.unwrap_or(text);
    let mut numbers = text
        .split(|letter: char| !letter.is_ascii_digit())
        .map(str::parse::<u16>);
    let mut next = || match numbers.next() {
        Some(Ok(number)) => number,
        _ => 0,
    };
    (flavor, (next(), next(), next()), text.to_owned())
}

/// What both sides can do.
pub(crate) fn agree(server: CapabilityFlags, database: bool, tls: bool) -> CapabilityFlags {
    let mut wanted = CapabilityFlags::CLIENT_LONG_PASSWORD
        | CapabilityFlags::CLIENT_LONG_FLAG
        | CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_TRANSACTIONS
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_MULTI_RESULTS
        | CapabilityFlags::CLIENT_PS_MULTI_RESULTS
        | CapabilityFlags::CLIENT_PLUGIN_AUTH
        | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | CapabilityFlags::CLIENT_CONNECT_ATTRS
        | CapabilityFlags::CLIENT_DEPRECATE_EOF;
    wanted.set(CapabilityFlags::CLIENT_CONNECT_WITH_DB, database);
    wanted.set(CapabilityFlags::CLIENT_SSL, tls);
    wanted & server
}

/// What the answer to the greeting and the request for TLS have in common.
pub(crate) fn response_head(capabilities: CapabilityFlags) -> Vec<u8> {
    let mut packet = Vec::with_capacity(256);
    packet.extend_from_slice(&capabilities.bits().to_le_bytes());
    packet.extend_from_slice(&CLIENT_MAX_PACKET.to_le_bytes());
    packet.push(UTF8MB4);
    packet.extend_from_slice(&[0; 23]);
    packet
}

/// The answer to the greeting.
pub(crate) fn response(
    capabilities: CapabilityFlags,
    user: &str,
    auth: &[u8],
    database: Option<&str>,
    plugin: &[u8],
) -> Vec<u8> {
    let mut packet = response_head(capabilities);
    packet.extend_from_slice(user.as_bytes());
    packet.push(0);
    if capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        put_lenenc_bytes(&mut packet, auth);
    } else {
        // Old form: one byte of length. What we send first (scrambles) is 32 bytes at most.
        packet.push(u8::try_from(auth.len()).unwrap_or(u8::MAX));
        packet.extend_from_slice(auth);
    }
    if capabilities.contains(CapabilityFlags::CLIENT_CONNECT_WITH_DB) {
        packet.extend_from_slice(database.unwrap_or_default().as_bytes());
        packet.push(0);
    }
    packet.extend_from_slice(plugin);
    packet.push(0);
    if capabilities.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS) {
        let mut attributes = Vec::new();
        let process = std::process::id().to_string();
        for (key, value) in [
            ("program_name", "headwater"),
            ("_client_name", "headwater"),
            ("_client_version", env!("CARGO_PKG_VERSION")),
            ("_pid", &process),
        ] {
            put_lenenc_bytes(&mut attributes, key.as_bytes());
            put_lenenc_bytes(&mut attributes, value.as_bytes());
        }
        put_lenenc(&mut packet, attributes.len() as u64);
        packet.extend_from_slice(&attributes);
    }
    packet
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_of_both_families_are_understood() {
        for (text, mysql, flavor, version, clean) in [
            ("9.7.4", true, Flavor::MySql, (9, 7, 4), "9.7.4"),
            (
                "8.0.36-28.1",
                true,
                Flavor::MySql,
                (8, 0, 36),
                "8.0.36-28.1",
            ),
            (
                "8.0.mysql_aurora.3.04.0",
                true,
                Flavor::MySql,
                (8, 0, 0),
                "8.0.mysql_aurora.3.04.0",
            ),
            (
                "5.5.5-10.11.19-MariaDB-log",
                false,
                Flavor::MariaDb,
                (10, 11, 19),
                "10.11.19-MariaDB-log",
            ),
            (
                "11.8.6-MariaDB-0+deb13u1",
                false,
                Flavor::MariaDb,
                (11, 8, 6),
                "11.8.6-MariaDB-0+deb13u1",
            ),
        ] {
            assert_eq!(
                parse_version(text, mysql),
                (flavor, version, clean.to_owned())
            );
        }
    }

    proptest! {
        #[test]
        fn no_greeting_makes_the_parser_panic(bytes: Vec<u8>, ten: bool) {
            let mut bytes = bytes;
            if ten && !bytes.is_empty() {
                bytes[0] = 10;
            }
            _ = parse_greeting(&bytes);
        }
    }
}
