//! A connection that receives the log: set up as a replica's, then nothing but events.

use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use rand::Rng;

use crate::client::Connection;
use crate::decode::event::{Checksum, Framing};
use crate::position::BinlogPosition;
use crate::schema::ServerRules;
use crate::source::Settings;

const COM_BINLOG_DUMP: u8 = 0x12;
const COM_BINLOG_DUMP_GTID: u8 = 0x1E;
/// MariaDB: send the statements' texts too (BINLOG_SEND_ANNOTATE_ROWS_EVENT).
const SEND_ANNOTATE_ROWS: u16 = 0x02;
/// MySQL: the set in the command counts (BINLOG_THROUGH_GTID).
const THROUGH_GTID: u16 = 0x04;
/// The server says that it lives after this much silence.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// A server that says nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(20);

/// The log, arriving.
#[derive(Debug)]
pub(super) struct Dump {
    pub(super) connection: Connection,
    pub(super) framing: Framing,
    /// What the server's names and its DDL mean.
    pub(super) rules: ServerRules,
}

impl Dump {
    /// Asks for the log from `position` on.
    pub(super) async fn open(settings: &Settings, position: &BinlogPosition) -> Result<Self> {
        let mut connection = Connection::connect(&settings.connect).await?;
        let mariadb = connection.server().is_mariadb();
        let rules = ServerRules::read(&mut connection).await?;
        // Asked for as the server has it: already the first event, a made-up ROTATE, then has one or not.
        let checksum = match connection
            .query_scalar("SELECT @@global.binlog_checksum")
            .await?
            .as_deref()
        {
            Some("CRC32") => Checksum::Crc32,
            _ => Checksum::None,
        };
        let heartbeat_ns = HEARTBEAT.as_nanos();
        connection
            .execute(&format!(
                "SET @master_binlog_checksum = @@global.binlog_checksum, \
                 @source_binlog_checksum = @@global.binlog_checksum, \
                 @master_heartbeat_period = {heartbeat_ns}, \
                 @source_heartbeat_period = {heartbeat_ns}"
            ))
            .await?;
        connection
            .execute("SET SESSION net_write_timeout = 3600")
            .await?;
        let server_id = settings.server_id.unwrap_or_else(random_server_id);
        if mariadb {
            // Without it the server hides its GTIDs.
            connection
                .execute("SET @mariadb_slave_capability = 4")
                .await?;
            if let Some(gtid) = &position.gtid {
                connection
                    .execute(&format!(
                        "SET @slave_connect_state = '{gtid}', @slave_gtid_strict_mode = 0, \
                         @slave_gtid_ignore_duplicates = 0"
                    ))
                    .await?;
            }
        }
        request(&mut connection, settings, position, server_id).await?;
        connection.set_read_timeout(Some(SILENCE));
        Ok(Self {
            connection,
            framing: Framing::new(checksum),
            rules,
        })
    }
}

/// Sends the command after which the server sends events only.
async fn request(
    connection: &mut Connection,
    settings: &Settings,
    position: &BinlogPosition,
    server_id: u32,
) -> Result<()> {
    let mariadb = connection.server().is_mariadb();
    match (&position.gtid_set, &position.gtid) {
        (Some(set), _) => {
            let data = set.encode();
            let mut command = Vec::with_capacity(22 + data.len());
            command.extend_from_slice(&THROUGH_GTID.to_le_bytes());
            command.extend_from_slice(&server_id.to_le_bytes());
            command.extend_from_slice(&0u32.to_le_bytes());
            command.extend_from_slice(&4u64.to_le_bytes());
            command.extend_from_slice(&u32::try_from(data.len()).unwrap_or(0).to_le_bytes());
            command.extend_from_slice(&data);
            connection
                .send_command(COM_BINLOG_DUMP_GTID, &command)
                .await?;
        }
        (None, gtid) => {
            let (file, offset) = match gtid {
                Some(_) => ("", 4),
                None => (position.file.as_str(), position.offset),
            };
            let offset = u32::try_from(offset).map_err(|_| {
                Error::new(
                    ErrorKind::Unsupported,
                    "a position beyond 4 GiB of a log file cannot be asked for by file and offset",
                )
                .with("position", position)
                .hint("turn on GTIDs, or start from the next log file with a new copy")
            })?;
            let annotate = if settings.with_query && mariadb {
                SEND_ANNOTATE_ROWS
            } else {
                0
            };
            let mut command = Vec::with_capacity(10 + file.len());
            command.extend_from_slice(&offset.to_le_bytes());
            command.extend_from_slice(&annotate.to_le_bytes());
            command.extend_from_slice(&server_id.to_le_bytes());
            command.extend_from_slice(file.as_bytes());
            connection.send_command(COM_BINLOG_DUMP, &command).await?;
        }
    }
    Ok(())
}

/// A replica id that is hardly anybody's: two readers with one id throw each other off.
fn random_server_id() -> u32 {
    rand::rng().random_range(0x4000_0000..0x7FFF_FFFF)
}
