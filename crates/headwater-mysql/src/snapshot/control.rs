//! A connection for everything but rows: positions, privileges, locks, definitions, retention.

use headwater_core::{Error, ErrorKind, Result};

use crate::client::{Connection, TextRow};
use crate::config::ConnectOptions;
use crate::position::BinlogPosition;
use crate::schema::ServerRules;

/// Where the first event of a log file lies.
const LOG_BEGINS: u64 = 4;

/// The control connection.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) connection: Connection,
    /// Whether MySQL's GTIDs are on.
    pub(crate) gtid_mode: bool,
    /// What its names and its DDL mean.
    pub(crate) rules: ServerRules,
}

impl Control {
    pub(crate) async fn connect(options: &ConnectOptions) -> Result<Self> {
        let mut connection = Connection::connect(options).await?;
        let gtid_mode = !connection.server().is_mariadb()
            && connection
                .query_scalar("SELECT @@global.gtid_mode")
                .await?
                .as_deref()
                == Some("ON");
        let rules = ServerRules::read(&mut connection).await?;
        Ok(Self {
            connection,
            gtid_mode,
            rules,
        })
    }

    pub(crate) fn is_mariadb(&self) -> bool {
        self.connection.server().is_mariadb()
    }

    /// The end of the log: everything logged by now lies at or before file and offset. MySQL's executed set beside them can
    /// lag (it grows only after the engine has committed).
    pub(crate) async fn current_position(&mut self) -> Result<BinlogPosition> {
        let row = self.status().await?;
        let file = row.get("File").unwrap_or_default().to_owned();
        let offset = row
            .get("Position")
            .and_then(|text| text.parse().ok())
            .unwrap_or(LOG_BEGINS);
        let mut position = BinlogPosition {
            file,
            offset,
            gtid_set: None,
            gtid: None,
        };
        if self.gtid_mode {
            let set = row
                .get("Executed_Gtid_Set")
                .unwrap_or_default()
                .replace(['\n', ' '], "");
            position.gtid_set = Some(set.parse()?);
        } else if self.is_mariadb() {
            self.add_domains(&mut position).await?;
        }
        Ok(position)
    }

    /// The end of the log as a place to begin: what its set does not hold lies behind its file and offset. That is not so of
    /// [`Self::current_position`] while a transaction is logged and its commit goes on.
    pub(crate) async fn beginning(&mut self) -> Result<BinlogPosition> {
        let mut position = self.current_position().await?;
        if position.gtid_set.is_none() {
            return Ok(position);
        }
        // In this order: what is logged up to there is in the one or in the other.
        let committing = self.committing().await?;
        let executed = self.executed().await?;
        position.gtid_set = Some(executed.parse()?);
        if !committing.is_empty() {
            // Where those lie is not known, so it is the oldest place that there is.
            let logs = self.connection.query("SHOW BINARY LOGS").await?;
            if let Some(oldest) = logs.rows.first().and_then(|row| row.get("Log_name")) {
                oldest.clone_into(&mut position.file);
                position.offset = LOG_BEGINS;
            }
        }
        Ok(position)
    }

    /// The databases that the server's log is limited to, and those it leaves out.
    pub(crate) async fn current_status(&mut self) -> Result<[(&'static str, String); 2]> {
        let row = self.status().await?;
        let cell = |name: &str| row.get(name).unwrap_or_default().to_owned();
        Ok([
            ("binlog_do_db", cell("Binlog_Do_DB")),
            ("binlog_ignore_db", cell("Binlog_Ignore_DB")),
        ])
    }

    async fn status(&mut self) -> Result<TextRow> {
        let server = self.connection.server();
        let statement = if server.is_mariadb() || server.version < (8, 2, 0) {
            "SHOW MASTER STATUS"
        } else {
            "SHOW BINARY LOG STATUS"
        };
        self.connection.query_one(statement).await?.ok_or_else(|| {
            Error::new(ErrorKind::Prerequisite, "the server writes no binary log")
                .hint("start the server with --log-bin and --binlog-format=ROW")
        })
    }

    /// The high mark of a cut by marks: file and offset only, for the executed set can lack what a view has seen.
    pub(crate) async fn logged_position(&mut self) -> Result<BinlogPosition> {
        let position = self.current_position().await?;
        Ok(BinlogPosition {
            gtid_set: None,
            ..position
        })
    }

    /// MariaDB: the GTID position that belongs to file and offset.
    pub(crate) async fn add_domains(&mut self, position: &mut BinlogPosition) -> Result<()> {
        let sql = format!(
            "SELECT BINLOG_GTID_POS({}, {})",
            super::sql::text_literal(&position.file),
            position.offset
        );
        let text = self
            .connection
            .query_scalar(&sql)
            .await?
            .unwrap_or_default();
        let domains: crate::gtid::DomainPositions = text.parse()?;
        position.gtid = (!domains.is_empty()).then_some(domains);
        Ok(())
    }

    /// Fails if the server's logs no longer reach back to `position`, or never held it.
    pub(crate) async fn check_available(&mut self, position: &BinlogPosition) -> Result<()> {
        let logs = self.connection.query("SHOW BINARY LOGS").await?;
        let names: Vec<(String, u64)> = logs
            .rows
            .iter()
            .map(|row| {
                let size = row
                    .get("File_size")
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0);
                (row.get("Log_name").unwrap_or_default().to_owned(), size)
            })
            .collect();
        let oldest = names
            .first()
            .map(|(name, _)| name.clone())
            .unwrap_or_default();
        if let Some(set) = &position.gtid_set {
            let purged = self
                .connection
                .query_scalar("SELECT @@global.gtid_purged")
                .await?;
            let purged = purged
                .unwrap_or_default()
                .replace(['\n', ' '], "")
                .parse()?;
            if !set.is_superset(&purged) {
                return Err(expired(position, &oldest));
            }
            // First what is on its way: it may arrive between the two.
            let committing = self.committing().await?;
            let executed = self.executed().await?;
            let written: crate::gtid::GtidSet = format!("{executed},{committing}").parse()?;
            if !written.is_superset(set) {
                return Err(foreign(position));
            }
            return Ok(());
        }
        if position.gtid.is_some() {
            let current = self.current_position().await?;
            if let (Some(now), Some(then)) = (&current.gtid, &position.gtid)
                && !now.includes(then)
            {
                return Err(foreign(position));
            }
        }
        match names.iter().find(|(name, _)| *name == position.file) {
            Some((_, size)) if position.offset <= *size => Ok(()),
            Some(_) => Err(foreign(position)),
            // After a failover MariaDB's domains may still be served from another file.
            None if position.gtid.is_some()
                && crate::position::compare_names(&position.file, &oldest).is_ge() =>
            {
                Ok(())
            }
            None => Err(expired(position, &oldest)),
        }
    }

    async fn executed(&mut self) -> Result<String> {
        let sql = "SELECT @@global.gtid_executed";
        Ok(self.connection.query_scalar(sql).await?.unwrap_or_default())
    }

    /// MySQL: transactions that are in the log, and so may be out, while their commit goes on. With semi-synchronous
    /// replication that takes as long as a replica does. Their ids are owned by sessions: `uuid:number#session`.
    async fn committing(&mut self) -> Result<String> {
        let owned = self
            .connection
            .query_scalar("SELECT @@global.gtid_owned")
            .await?
            .unwrap_or_default();
        let mut sessions = owned.split('#');
        let mut ids = sessions.next().unwrap_or_default().to_owned();
        for part in sessions {
            ids.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        Ok(ids)
    }

    pub(crate) async fn close(self) {
        self.connection.close().await;
    }
}

pub(crate) fn expired(position: &BinlogPosition, oldest: &str) -> Error {
    Error::new(ErrorKind::ExpiredPosition, "the server has purged the binlog that this position needs")
        .with("position", position)
        .with("oldest log still there", oldest)
        .hint("copy again from the beginning: remove the checkpoint (or give another --checkpoint file) and run; and keep logs longer: SET GLOBAL binlog_expire_logs_seconds = 604800")
}

fn foreign(position: &BinlogPosition) -> Error {
    Error::new(ErrorKind::ForeignPosition, "the server never wrote the position that is asked for")
        .with("position", position)
        .hint("is this the server it was taken from, and was its log reset (RESET MASTER, RESET BINARY LOGS)? Remove the checkpoint and copy again")
}
