//! A client for MySQL's protocol, for MySQL 8.0 and newer and MariaDB 10.6 and newer, that hands out rows and events as
//! the bytes they arrived in.
//!
//! - [`Connection::connect`]: TCP or Unix socket, TLS, authentication.
//! - [`Connection::execute`], [`Connection::query`]: the text protocol, for statements with small results.
//! - [`Connection::prepare`], [`Connection::start_rows`]: the binary protocol, streamed.
//! - [`Connection::send_command`], [`Connection::fill`], [`Connection::next_packet`]: raw packets, for the binlog.
//!
//! A connection does one thing at a time. A future that is dropped, or a [`RowStream`] that is not read to its end,
//! leaves it in the middle of an answer; it then refuses to be used ([`Connection::is_usable`]) and is to be dropped.
//! An error that the server sends as the answer leaves it usable.

mod auth;
mod handshake;
pub(crate) mod packet;
mod query;
mod reader;
mod statement;
mod stream;
mod tls;
mod wire;

use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use mysql_common::constants::CapabilityFlags;

pub use self::handshake::{Flavor, ServerInfo};
pub use self::packet::{ColumnDefinition, OkInfo};
pub use self::query::{TextResult, TextRow};
pub use self::statement::{RowCursor, RowStream, Statement};
pub use crate::error::ServerError;

use self::handshake::{Greeting, agree, another_protocol, parse_greeting, response_head};
use self::packet::{malformed, parse_err, parse_ok};
use self::stream::Stream;
use self::wire::Wire;
use crate::config::{ConnectOptions, TlsMode};

const COM_QUIT: u8 = 0x01;
const COM_PING: u8 = 0x0E;
/// No packet is larger before the login; what claims to be is another protocol.
const LOGIN_PACKET_BYTES_MAX: usize = 64 << 10;

/// A session on a server.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    server: ServerInfo,
    /// Whether results end by an OK packet, and definitions by nothing.
    deprecate_eof: bool,
    phase: Phase,
    last_server_error: Option<ServerError>,
}

/// What the connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A command.
    Ready,
    /// The rest of an answer.
    Busy,
}

impl Connection {
    /// Connects and logs in. The session speaks utf8mb4 (`SET NAMES utf8mb4`); nothing else is set.
    ///
    /// # Errors
    /// - [`ErrorKind::Connection`]: the server cannot be reached, or not within `connect_timeout`.
    /// - [`ErrorKind::Authentication`]: user or password are refused.
    /// - [`ErrorKind::NotFound`]: the database does not exist.
    /// - [`ErrorKind::Privilege`]: the account may not use the database, or not connect from here.
    /// - [`ErrorKind::Configuration`]: the options contradict each other or the server, or its certificate does not
    ///   pass.
    ///
    /// Dropping the future closes the socket.
    pub async fn connect(options: &ConnectOptions) -> Result<Self> {
        let connecting = Box::pin(Self::connect_unbounded(options));
        let result = match tokio::time::timeout(options.connect_timeout, connecting).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorKind::Connection, "the server did not answer in time")
                .with("bound", format_args!("{} s", options.connect_timeout.as_secs_f64()))
                .hint("check host and port, firewalls between, and the server's load; or raise connect-timeout")),
        };
        result.map_err(|error| {
            error.during(format!(
                "connecting to {} as {}",
                options.address, options.user
            ))
        })
    }

    async fn connect_unbounded(options: &ConnectOptions) -> Result<Self> {
        options.tls.validate()?;
        let stream = Stream::open(&options.address).await?;
        let mut wire = Wire::new(stream, options.address.clone(), LOGIN_PACKET_BYTES_MAX);
        let mut greeting = parse_greeting(wire.packet().await.map_err(not_a_greeting)?)?;
        let tls = wants_tls(options, &wire, &greeting)?;
        let capabilities = agree(greeting.capabilities, options.database.is_some(), tls);
        if tls {
            upgrade(&mut wire, options, capabilities).await?;
            greeting.server.tls = true;
        }
        auth::log_in(&mut wire, options, &greeting, capabilities).await?;
        wire.read_timeout = options.read_timeout;
        wire.reader.set_packet_bytes_max(options.max_packet_bytes);
        let mut connection = Self {
            wire,
            server: greeting.server,
            deprecate_eof: capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF),
            phase: Phase::Ready,
            last_server_error: None,
        };
        // Servers can be told to ignore the character set of the handshake.
        connection.execute("SET NAMES utf8mb4").await?;
        Ok(connection)
    }

    /// What the server said about itself.
    #[must_use]
    pub fn server(&self) -> &ServerInfo {
        &self.server
    }

    /// Whether another command can be given: the last answer was read to its end.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// The last error that the server sent on this connection, with its code: for callers that tell apart what
    /// [`ErrorKind`] does not. It stays after later commands have gone well.
    #[must_use]
    pub fn last_server_error(&self) -> Option<&ServerError> {
        self.last_server_error.as_ref()
    }

    /// Changes the bound on the server's silence, from the next read on. `None`: wait for ever.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.wire.read_timeout = timeout;
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// [`ErrorKind::Connection`] or [`ErrorKind::Timeout`]. Not cancel-safe: the connection is unusable after.
    pub async fn ping(&mut self) -> Result<()> {
        self.command(COM_PING, &[]).await.map(|_| ())
    }

    /// Ends another session (`KILL`), by its [`ServerInfo::connection_id`].
    ///
    /// # Errors
    /// [`ErrorKind::Privilege`] for another user's session; a session that is gone is error 1094 (its kind is
    /// [`ErrorKind::NotFound`]). Not cancel-safe: the connection is unusable after.
    pub async fn kill(&mut self, connection_id: u32) -> Result<()> {
        self.execute(&format!("KILL {connection_id}"))
            .await
            .map(|_| ())
    }

    /// Says goodbye and closes. What cannot be said any more is not an error.
    pub async fn close(mut self) {
        if self.phase == Phase::Ready {
            self.wire.reader.set_sequence(0);
            _ = self.wire.send(&[COM_QUIT], &[]).await;
        }
        _ = tokio::io::AsyncWriteExt::shutdown(&mut self.wire.stream).await;
    }

    /// Gives a command whose answer is an OK packet (`COM_REGISTER_SLAVE`, `COM_PING`, …).
    ///
    /// # Errors
    /// What the server answers, or a broken connection. Not cancel-safe: the connection is unusable after.
    pub async fn command(&mut self, command: u8, payload: &[u8]) -> Result<OkInfo> {
        self.send_command(command, payload).await?;
        let packet = self.wire.packet().await?;
        match packet.first() {
            Some(0x00) => {
                let ok = parse_ok(packet)?;
                self.phase = Phase::Ready;
                Ok(ok)
            }
            Some(0xFF) => {
                let error = parse_err(packet)?;
                Err(self.server_failed(error))
            }
            _ => Err(malformed("an answer is neither OK nor an error")),
        }
    }

    /// Sends a command, and leaves its answer to [`Connection::fill`] and [`Connection::next_packet`]. The connection
    /// is good for nothing else from here on.
    ///
    /// # Errors
    /// [`ErrorKind::Connection`] if the connection is broken, or in the middle of an earlier answer. Not cancel-safe:
    /// the connection is unusable after.
    pub async fn send_command(&mut self, command: u8, payload: &[u8]) -> Result<()> {
        if self.phase != Phase::Ready {
            return Err(Error::new(
                ErrorKind::Connection,
                "the connection was left in the middle of an answer",
            )
            .with("server", &self.wire.address)
            .hint("connect anew"));
        }
        self.phase = Phase::Busy;
        self.wire.reader.set_sequence(0);
        self.wire.send(&[command], payload).await
    }

    /// Returns once at least one whole packet is buffered: at once, if one is.
    ///
    /// Cancel-safe: what was read stays buffered.
    ///
    /// # Errors
    /// [`ErrorKind::Connection`] if the server closed the connection, [`ErrorKind::Timeout`] if it was silent for
    /// the read timeout, [`ErrorKind::Unsupported`] for a packet beyond `max_packet_bytes`.
    pub async fn fill(&mut self) -> Result<()> {
        self.wire.fill().await
    }

    /// The next buffered packet's payload, without its header; `None` if a whole one has yet to be read by
    /// [`Connection::fill`]. Fragments of 16 MiB are joined. Nothing is interpreted: in a binlog stream a first byte
    /// 0x00 is an event (the rest of the payload), 0xFE with fewer than 9 bytes the end, and 0xFF an error, for
    /// [`Connection::server_error`].
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for a packet out of sequence, [`ErrorKind::Unsupported`] for one beyond
    /// `max_packet_bytes`.
    #[inline]
    pub fn next_packet(&mut self) -> Result<Option<&[u8]>> {
        match self.wire.reader.next_range()? {
            Some(range) => Ok(Some(self.wire.reader.slice(range))),
            None => Ok(None),
        }
    }

    /// The error in a packet that begins with 0xFF.
    #[must_use]
    pub fn server_error(payload: &[u8]) -> Error {
        match parse_err(payload) {
            Ok(error) => error.into_error(),
            Err(error) => error,
        }
    }

    /// Ends an answer by the server's error: the connection waits for a command again.
    fn server_failed(&mut self, error: ServerError) -> Error {
        self.phase = Phase::Ready;
        self.last_server_error = Some(error.clone());
        error.into_error()
    }
}

/// What is not even a packet is another protocol's.
fn not_a_greeting(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unsupported | ErrorKind::Malformed => another_protocol(),
        _ => error,
    }
}

/// Whether to ask for TLS, from what is wanted and what the server has.
fn wants_tls(options: &ConnectOptions, wire: &Wire, greeting: &Greeting) -> Result<bool> {
    let has = greeting.capabilities.contains(CapabilityFlags::CLIENT_SSL);
    match options.tls.mode {
        TlsMode::Off => Ok(false),
        TlsMode::Preferred => Ok(has && !wire.stream.is_unix()),
        TlsMode::Required | TlsMode::VerifyCa | TlsMode::VerifyIdentity if has => Ok(true),
        mode @ (TlsMode::Required | TlsMode::VerifyCa | TlsMode::VerifyIdentity) => {
            Err(Error::new(
                ErrorKind::Configuration,
                "the server has no TLS, and it is required",
            )
            .with("ssl-mode", mode.name())
            .hint("give the server a certificate (ssl_cert, ssl_key), or use ssl-mode=preferred"))
        }
    }
}

async fn upgrade(
    wire: &mut Wire,
    options: &ConnectOptions,
    capabilities: CapabilityFlags,
) -> Result<()> {
    wire.send(&response_head(capabilities), &[]).await?;
    if wire.reader.buffered_bytes() > 0 {
        // Bytes before the handshake of TLS could come from anybody.
        return Err(malformed(
            "the server sent more than its greeting before TLS",
        ));
    }
    let Stream::Plain(plain) = std::mem::replace(&mut wire.stream, Stream::Closed) else {
        return Err(Error::new(ErrorKind::Internal, "TLS is there already"));
    };
    let tls = tls::upgrade(plain, &options.tls, &options.address).await?;
    wire.stream = Stream::Tls(Box::new(tls));
    Ok(())
}
