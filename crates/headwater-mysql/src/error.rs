//! The server's own errors: [`ServerError`], and the table from its codes to kinds and hints.

use std::fmt;

use headwater_core::{Error, ErrorKind, Result};

use crate::client::packet::parse_err;

/// An ERR packet: what the server says went wrong. It is the cause of the [`Error`] made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The error's number, such as 1045.
    pub code: u16,
    /// The SQLSTATE, five characters.
    pub sql_state: String,
    /// The server's text.
    pub message: String,
}

impl ServerError {
    /// Reads an ERR packet: a payload that begins with 0xFF.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for a packet that is too short.
    pub fn from_packet(payload: &[u8]) -> Result<Self> {
        parse_err(payload)
    }

    pub(crate) fn new(code: u16, sql_state: [u8; 5], message: &str) -> Self {
        let sql_state = String::from_utf8_lossy(&sql_state).into_owned();
        Self {
            code,
            sql_state,
            message: message.trim_end_matches('\0').to_owned(),
        }
    }

    /// The kind of error that this code is to Headwater.
    ///
    /// Codes: MySQL's "Server Error Message Reference", MariaDB's "Error Codes".
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.code {
            // Access denied for a user; with a plugin's words; without a password; account locked, password expired,
            // certificate needed.
            1045 | 1251 | 1698 | 1820 | 1862 | 3118 | 3955 | 4151 => ErrorKind::Authentication,
            // The server takes connections over TLS only.
            3159 => ErrorKind::Configuration,
            // Access to a database, a command, a column, a statement; procedures; no SUPER or the like.
            1044 | 1142 | 1143 | 1227 | 1370 | 1130 | 1131 | 1132 | 3530 => ErrorKind::Privilege,
            // Unknown database, column, table, index, variable, session.
            1049 | 1051 | 1054 | 1094 | 1109 | 1146 | 1176 | 1193 => ErrorKind::NotFound,
            // A lock was not granted, or a victim was chosen.
            1205 | 1213 | 3572 => ErrorKind::LockTimeout,
            // The table's definition changed under a read view.
            1412 => ErrorKind::SchemaChanged,
            // The log cannot be read from there; one number for several causes that only the text tells apart.
            1236 if self.says("server_id") || self.says("server_uuid") => ErrorKind::Configuration,
            1236 if self.says("max_allowed_packet") => ErrorKind::Prerequisite,
            1236 if self.says("diverged") || self.says("more GTIDs than") => {
                ErrorKind::ForeignPosition
            }
            1220 | 1236 | 1373 | 1789 => ErrorKind::ExpiredPosition,
            // Too many connections; the host is blocked; killed, gone or interrupted connections; the server stops.
            // 1317 and 3024 and 1969 are a statement's end, not a connection's: interrupted, out of time.
            1040
            | 1129
            | 1152
            | 1158..=1161
            | 1184
            | 1203
            | 1226
            | 1053
            | 1077..=1080
            | 1927
            | 2006
            | 2013
            | 3169
            | 4031 => ErrorKind::Connection,
            1317 | 1969 | 3024 => ErrorKind::Timeout,
            // A GTID set that the server cannot read.
            1772 => ErrorKind::ForeignPosition,
            // No log is written.
            1381 => ErrorKind::Prerequisite,
            // A statement that this server does not know.
            1064 | 1235 | 1295 | 1524 => ErrorKind::Unsupported,
            // Disk full or a temporary file that cannot be written, on the server; out of memory; a read-only server.
            1021 | 1037 | 1038 | 1041 | 1114 | 1290 | 3 => ErrorKind::Prerequisite,
            // A value larger than the server's max_allowed_packet.
            1153 | 1301 => ErrorKind::Prerequisite,
            _ => ErrorKind::Internal,
        }
    }

    fn says(&self, words: &str) -> bool {
        self.message.contains(words)
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self.code {
            1045 | 1698 => {
                "check user, password, the host part of the account, and whether it requires TLS (SHOW CREATE USER …)"
            }
            1862 | 1820 => "the account's password has expired: ALTER USER … IDENTIFIED BY …",
            3118 | 4151 => "the account is locked: ALTER USER … ACCOUNT UNLOCK",
            3159 => {
                "the server takes no connections in clear: use ssl-mode=required, or its socket"
            }
            1130 => "no account may connect from this host: CREATE USER 'name'@'this-host' …",
            1044 | 1142 | 1143 | 1227 | 1370 => "grant the account the privilege that is named",
            1049 => "check the database's name; SHOW DATABASES lists what the account may see",
            1146 => "check the table's name",
            1205 | 3572 => "another session holds the lock: see SHOW PROCESSLIST",
            1236 if self.kind() == ErrorKind::Configuration => {
                "another replica connected with the same server id: give this reader one of its own"
            }
            1236 if self.kind() == ErrorKind::Prerequisite => {
                "an event of the log is larger than max_allowed_packet: raise it on the server"
            }
            1236 if self.kind() == ErrorKind::ForeignPosition => {
                "the server never had the transactions that the position names: is this the server it was taken from, \
                 and was its log reset?"
            }
            1220 | 1236 | 1373 | 1789 => {
                "the server's logs do not reach back to the position: take a new snapshot, and keep logs longer \
                 (binlog_expire_logs_seconds)"
            }
            1040 | 1203 | 1226 => {
                "raise max_connections, or the account's limit, or use fewer readers"
            }
            1129 => "unblock this host: FLUSH HOSTS, or TRUNCATE performance_schema.host_cache",
            1153 | 1301 => "raise max_allowed_packet on the server",
            1524 => "the account's authentication plugin is not loaded on the server",
            _ => return None,
        })
    }

    /// The error of the workspace with this one as its cause.
    pub(crate) fn into_error(self) -> Error {
        let kind = self.kind();
        let message = match kind {
            ErrorKind::Authentication => "the server refused the login",
            ErrorKind::Privilege => "the account lacks a privilege",
            ErrorKind::Connection => "the server ended or refused the connection",
            _ => "the server refused",
        };
        let hint = self.hint();
        let error = Error::new(kind, message).caused_by(self);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (server error {}, SQLSTATE {})",
            self.message, self.code, self.sql_state
        )
    }
}

impl std::error::Error for ServerError {}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        error.into_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_code_with_several_causes_is_told_apart_by_its_text() {
        for (message, kind) in [
            (
                "Could not find first log file name in binary log index file",
                ErrorKind::ExpiredPosition,
            ),
            (
                "Cannot replicate because the source purged required binary logs",
                ErrorKind::ExpiredPosition,
            ),
            (
                "A replica with the same server_uuid/server_id as this replica has connected to the source",
                ErrorKind::Configuration,
            ),
            (
                "log event entry exceeded max_allowed_packet",
                ErrorKind::Prerequisite,
            ),
            (
                "it probably means that the slave has diverged due to executing extra erroneous transactions",
                ErrorKind::ForeignPosition,
            ),
            (
                "Replica has more GTIDs than the source has",
                ErrorKind::ForeignPosition,
            ),
        ] {
            let error = ServerError::new(1236, *b"HY000", message);
            assert_eq!(error.kind(), kind, "{message}");
            assert!(Error::from(error).hint_text().is_some(), "{message}");
        }
    }
}
