//! *The wire*: asks for rows or for the log, hops from packet to packet, and drops them. What it costs is what any
//! reader of these bytes must pay.
//!
//! It speaks just enough of the protocol for the servers that this benchmark starts itself: TCP on this machine, no TLS,
//! a user without a password.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use clap::ValueEnum;
use headwater_servers::{Error, Result};

const READ_BYTES: usize = 1 << 20;

/// LONG_PASSWORD, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH; no DEPRECATE_EOF.
const CAPABILITIES: u32 = 0x0000_0001 | 0x0000_0200 | 0x0000_2000 | 0x0000_8000 | 0x0008_0000;
const UTF8MB4: u8 = 45;

const COM_QUERY: u8 = 0x03;
const COM_BINLOG_DUMP: u8 = 0x12;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;

/// BINLOG_DUMP_NON_BLOCK: at the log's end the server says so, instead of waiting for more.
const NON_BLOCK: u16 = 0x01;
/// Nobody else's replica id.
const SERVER_ID: u32 = 0x7FFF_0001;
/// The event that ends a transaction.
const XID_EVENT: u8 = 16;

/// What to read.
#[derive(Debug, clap::Args)]
pub(crate) struct Wire {
    what: What,
    #[arg(long)]
    port: u16,
    /// For rows: the statement. For the log: the file to begin in.
    #[arg(long)]
    from: String,
    /// For the log: where in the file.
    #[arg(long, default_value_t = 4)]
    offset: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Rows by the text protocol.
    Text,
    /// Rows by the binary protocol.
    Binary,
    /// The log.
    Log,
}

/// Reads it all and prints how many rows, or transactions, there were.
pub(crate) fn run(wire: &Wire) -> Result<()> {
    let count = drain(wire).map_err(|error| Error::new(format!("reading the wire: {error}")))?;
    println!("{count}");
    Ok(())
}

fn drain(wire: &Wire) -> std::io::Result<u64> {
    let mut session = Session::open(wire.port)?;
    match wire.what {
        What::Text => session.command(COM_QUERY, wire.from.as_bytes())?,
        What::Binary => session.execute(&wire.from)?,
        What::Log => return session.log(&wire.from, wire.offset),
    }
    session.rows()
}

struct Session {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

fn refused(packet: &[u8]) -> std::io::Error {
    std::io::Error::other(String::from_utf8_lossy(packet).into_owned())
}

/// An EOF packet: 0xFE and fewer than nine bytes.
fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xFE) && packet.len() < 9
}

impl Session {
    fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let mut session = Self {
            stream,
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
        };
        let greeting = session.packet()?;
        // The greeting ends with the method's name and a zero byte.
        let method = greeting.strip_suffix(b"\0").unwrap_or(greeting);
        let method = method
            .rsplit(|&byte| byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec();
        let mut login = CAPABILITIES.to_le_bytes().to_vec();
        login.extend((1u32 << 30).to_le_bytes());
        login.push(UTF8MB4);
        login.extend([0; 23]);
        login.extend(b"root\0\0");
        login.extend(method);
        login.push(0);
        session.send(1, &login)?;
        loop {
            let packet = session.packet()?;
            match packet.first() {
                Some(0x00) => return Ok(session),
                // Another method, with its name: no password by it either.
                Some(0xFE) => {
                    let is_sha2 = packet.starts_with(b"\xFEcaching_sha2");
                    session.send(3, if is_sha2 { &[0] } else { &[] })?;
                }
                _ => return Err(refused(packet)),
            }
        }
    }

    fn send(&mut self, sequence: u8, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(std::io::Error::other)?;
        let mut packet = length.to_le_bytes();
        packet[3] = sequence;
        self.stream.write_all(&[&packet[..], payload].concat())
    }

    fn command(&mut self, command: u8, payload: &[u8]) -> std::io::Result<()> {
        self.send(0, &[&[command], payload].concat())
    }

    /// The next packet's payload. Packets of 16 MiB do not occur here.
    fn packet(&mut self) -> std::io::Result<&[u8]> {
        loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some([a, b, c, _]) = unread.first_chunk() {
                let length = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
                if unread.len() >= length + 4 {
                    let from = self.start + 4;
                    self.start = from + length;
                    return Ok(self.buffer.get(from..from + length).unwrap_or_default());
                }
            }
            self.fill()?;
        }
    }

    #[cold]
    fn fill(&mut self) -> std::io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.stream.read(free)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }

    /// Passes over packets up to an end.
    fn until_end(&mut self) -> std::io::Result<u64> {
        let mut count = 0;
        loop {
            let packet = self.packet()?;
            if packet.first() == Some(&0xFF) {
                return Err(refused(packet));
            }
            if is_end(packet) {
                return Ok(count);
            }
            count += 1;
        }
    }

    fn execute(&mut self, sql: &str) -> std::io::Result<()> {
        self.command(COM_STMT_PREPARE, sql.as_bytes())?;
        let packet = self.packet()?;
        let id = match packet {
            [0x00, id @ ..] => id.first_chunk::<4>().copied().unwrap_or_default(),
            _ => return Err(refused(packet)),
        };
        self.until_end()?;
        self.command(COM_STMT_EXECUTE, &[&id[..], &[0, 1, 0, 0, 0]].concat())
    }

    /// Passes over a result, and counts its rows.
    fn rows(&mut self) -> std::io::Result<u64> {
        self.until_end()?;
        self.until_end()
    }

    /// Passes over the log, and counts its transactions.
    fn log(&mut self, file: &str, offset: u32) -> std::io::Result<u64> {
        for setting in [
            "set @master_binlog_checksum = @@global.binlog_checksum",
            "set @source_binlog_checksum = @@global.binlog_checksum",
            "set @mariadb_slave_capability = 4",
        ] {
            self.command(COM_QUERY, setting.as_bytes())?;
            let packet = self.packet()?;
            if packet.first() != Some(&0x00) {
                return Err(refused(packet));
            }
        }
        let mut from = offset.to_le_bytes().to_vec();
        from.extend(NON_BLOCK.to_le_bytes());
        from.extend(SERVER_ID.to_le_bytes());
        from.extend(file.as_bytes());
        self.command(COM_BINLOG_DUMP, &from)?;
        let mut transactions = 0;
        loop {
            let packet = self.packet()?;
            match packet.first() {
                // An event, whose type follows its time.
                Some(0x00) => transactions += u64::from(packet.get(5) == Some(&XID_EVENT)),
                Some(0xFE) => return Ok(transactions),
                _ => return Err(refused(packet)),
            }
        }
    }
}
