//! MySQL and MariaDB as a source.

use std::collections::HashMap;
use std::sync::Arc;

use headwater_core::key::Key;
use headwater_core::load::{LoadLimits, Measured};
use headwater_core::position::SourceIdentity;
use headwater_core::schema::TableName;
use headwater_core::source::{ChunkRequest, CutRequest, Cuts, LogPoint, Source, TableInfo};
use headwater_core::value::DateTime;
use headwater_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::config::ConnectOptions;
use crate::live::Live;
use crate::load::{self, Probes};
use crate::position::BinlogPosition;
use crate::schema::Catalog;
use crate::schema::{
    Selection, ServerRules, TableDefinition, TableFacts, read_catalog, read_definitions,
};
use crate::snapshot::control::Control;
use crate::snapshot::kept::Kept;
use crate::snapshot::sql::KeySql;
use crate::snapshot::{Reader, chunk, cut};

/// Keys asked about in one statement, where the server compares.
const KEYS_PER_STATEMENT: usize = 500;

/// What to read, and how to get there.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server.
    pub connect: ConnectOptions,
    /// The tables.
    pub selection: Selection,
    /// Conditions that bound the snapshot of a table, in SQL.
    pub conditions: HashMap<TableName, String>,
    /// The replica id under which the log is read; none: a random one.
    pub server_id: Option<u32>,
    /// Bytes of a transaction kept in memory; more go to a spool file.
    pub transaction_memory_bytes: usize,
    /// Where spool files go; none: the system's folder for temporary files.
    pub spool_folder: Option<std::path::PathBuf>,
    /// Whether events are to carry their GTID.
    pub with_gtid: bool,
    /// Whether events are to carry the text of their statement, where the log has it.
    pub with_query: bool,
    /// Whether events are to carry the place of their row's event in the log.
    pub with_position: bool,
    /// Whether what statements make of tables and databases is to be told.
    pub with_ddl: bool,
    /// A table whose rows ask for bootstraps: the log is watched for it, whether it is selected or not.
    pub trigger: Option<TableName>,
    /// Replicas of the server whose lag bootstraps may wait for.
    pub replicas: Vec<ConnectOptions>,
    /// What of the load the run has limits for: `check` looks at whether it can be measured.
    pub load: LoadLimits,
}

impl Settings {
    /// Settings for a server and tables, with defaults for the rest.
    #[must_use]
    pub fn new(connect: ConnectOptions, selection: Selection) -> Self {
        Self {
            connect,
            selection,
            conditions: HashMap::new(),
            server_id: None,
            transaction_memory_bytes: 16 << 20,
            spool_folder: None,
            with_gtid: false,
            with_query: false,
            with_position: false,
            with_ddl: false,
            trigger: None,
            replicas: Vec::new(),
            load: LoadLimits::default(),
        }
    }

    /// The condition that bounds a table's snapshot.
    pub(crate) fn condition(&self, table: &TableName, rules: &ServerRules) -> Option<String> {
        let mut conditions = self.conditions.iter();
        let of_table = |(wanted, _): &(&TableName, &String)| rules.is_same_table(wanted, table);
        conditions.find(of_table).map(|(_, sql)| sql.clone())
    }
}

/// A MySQL or MariaDB server as a source.
#[derive(Debug)]
pub struct MysqlSource {
    pub(crate) settings: Arc<Settings>,
    /// Connections for chunks.
    pub(crate) kept: Kept,
    /// Connections that the load is asked on.
    pub(crate) probes: Probes,
}

impl MysqlSource {
    /// A source with these settings. Nothing is connected yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            kept: Kept::default(),
            probes: Probes::default(),
        }
    }

    /// These tables of the database that `url` names: `mysql://user:password@host:port/database`. Nothing is connected yet.
    ///
    /// # Errors
    /// `Configuration` for a URL that is none, or names no database.
    pub fn of_tables(url: &str, tables: &[&str]) -> Result<Self> {
        let connect = ConnectOptions::from_url(url)?;
        let database = connect.database.clone().ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "the URL names no database")
                .hint("write it behind the port: mysql://user@host:3306/shop")
        })?;
        let tables = tables.iter();
        let tables = tables.map(|table| TableName::new(database.as_str(), *table));
        let selection = Selection::Tables(tables.collect());
        Ok(Self::new(Settings::new(connect, selection)))
    }

    /// The definitions of the tables that a copy would read, as they are now.
    ///
    /// # Errors
    /// The server cannot be reached, or a named table is not there.
    pub async fn tables(&self) -> Result<Vec<Arc<TableDefinition>>> {
        let mut control = Control::connect(&self.settings.connect).await?;
        let definitions = self.definitions(&mut control).await;
        control.close().await;
        let tables = definitions?.tables.into_iter();
        Ok(tables.map(|(definition, _)| definition).collect())
    }

    /// Whether the server has all names in lower case (`lower_case_table_names` is 1): rules by which rows are filtered are
    /// to be folded then ([`Filter::folded`](headwater_core::filter::Filter::folded)).
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn folds_names(&self) -> Result<bool> {
        let control = Control::connect(&self.settings.connect).await?;
        let folds = control.rules.folds_names();
        control.close().await;
        Ok(folds)
    }

    /// The definitions of the tables chosen, as they are now.
    pub(crate) async fn definitions(&self, control: &mut Control) -> Result<Definitions> {
        let selection = control.rules.selection(&self.settings.selection);
        let (catalog, mut facts) = read_catalog(&mut control.connection, &selection).await?;
        let tables = catalog
            .definitions()
            .filter(|definition| catalog.is_captured(&definition.name, &selection))
            .filter_map(|definition| {
                Some((Arc::clone(definition), facts.remove(&definition.name)?))
            })
            .collect();
        Ok(Definitions { catalog, tables })
    }
}

/// What the tables look like at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Definitions {
    /// Everything that the log needs, shadow tables included.
    pub(crate) catalog: Catalog,
    /// The tables to copy.
    pub(crate) tables: Vec<(Arc<TableDefinition>, TableFacts)>,
}

impl Definitions {
    /// Whether nothing has another definition.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.tables.iter(), other.tables.iter());
        let (mine, theirs) = (mine.map(|table| &table.0), theirs.map(|table| &table.0));
        self.catalog == other.catalog && mine.eq(theirs)
    }
}

/// A catalog as it stands in checkpoints and tokens.
pub(crate) fn catalog_to_value(catalog: &Catalog) -> Result<Value> {
    serde_json::to_value(catalog).map_err(|cause| {
        Error::new(
            ErrorKind::Internal,
            "table definitions cannot be written as JSON",
        )
        .caused_by(cause)
    })
}

impl Source for MysqlSource {
    type Position = BinlogPosition;
    type Reader = Reader;
    type Live = Live;

    fn selection(&self) -> Value {
        json!(self.settings.selection)
    }

    fn with_selection(&self, selection: &Value) -> Result<Self> {
        let selection = serde_json::from_value(selection.clone()).map_err(|cause| {
            Error::new(
                ErrorKind::CheckpointForeign,
                "the checkpoint's choice of tables cannot be read",
            )
            .hint("it was made by another version of headwater: give another --checkpoint file")
            .caused_by(cause)
        })?;
        Ok(Self::new(Settings {
            selection,
            ..(*self.settings).clone()
        }))
    }

    async fn selects(&self, tables: &[TableName]) -> Result<Vec<bool>> {
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let control = Control::connect(&self.settings.connect).await?;
        let selection = control.rules.selection(&self.settings.selection);
        control.close().await;
        Ok(tables.iter().map(|table| selection.has(table)).collect())
    }

    async fn identity(&self) -> Result<SourceIdentity> {
        let mut control = Control::connect(&self.settings.connect).await?;
        let mariadb = control.is_mariadb();
        let (kind, variable) = if mariadb {
            ("mariadb", "server_uid")
        } else {
            ("mysql", "server_uuid")
        };
        let sql = format!("SHOW GLOBAL VARIABLES LIKE '{variable}'");
        let row = control.connection.query_one(&sql).await?;
        let id = match row.as_ref().and_then(|row| row.as_str(1)) {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => {
                let id = control
                    .connection
                    .query_scalar("SELECT @@global.server_id")
                    .await?;
                format!("server_id {}", id.unwrap_or_default())
            }
        };
        control.close().await;
        Ok(SourceIdentity {
            kind: kind.into(),
            id,
        })
    }

    async fn current(&self) -> Result<(BinlogPosition, Value)> {
        let mut control = Control::connect(&self.settings.connect).await?;
        let position = control.beginning().await?;
        let definitions = self.definitions(&mut control).await?;
        control.close().await;
        let value = catalog_to_value(&definitions.catalog)?;
        Ok((position, value))
    }

    async fn check_available(&self, position: &BinlogPosition) -> Result<()> {
        let mut control = Control::connect(&self.settings.connect).await?;
        let result = control.check_available(position).await;
        control.close().await;
        result
    }

    async fn open_cuts(&self, request: CutRequest<'_, BinlogPosition>) -> Result<Cuts<Reader>> {
        cut::open(self, request).await
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        let mut control = Control::connect(&self.settings.connect).await?;
        let definitions = self.definitions(&mut control).await?;
        control.close().await;
        let info = |(definition, facts): &(Arc<TableDefinition>, TableFacts)| TableInfo {
            schema: Arc::new(definition.to_schema()),
            estimated_rows: facts.estimated_rows,
            is_bounded: false,
        };
        Ok(definitions.tables.iter().map(info).collect())
    }

    async fn open_chunk(&self, request: ChunkRequest<'_, BinlogPosition>) -> Result<Cuts<Reader>> {
        chunk::open(self, request).await
    }

    async fn locate(&self, table: &TableName, bounds: &[Key], keys: &[Key]) -> Result<Vec<usize>> {
        let mut pair = self.kept.take(self).await?;
        let control = &mut pair.control;
        let selection = Selection::Tables(vec![table.clone()]);
        // Read each time: the order of keys is the collation's, which an ALTER may have made another since.
        let found = read_definitions(&mut control.connection, &selection).await?;
        let Some((definition, _)) = found.first() else {
            return Err(Error::new(ErrorKind::NotFound, "the table has gone").with("table", table));
        };
        let key_sql = KeySql::new(definition);
        let mut located = Vec::with_capacity(keys.len());
        for chunk in keys.chunks((KEYS_PER_STATEMENT / bounds.len().max(1)).max(1)) {
            let sums: Vec<String> = chunk
                .iter()
                .map(|key| {
                    let greater: Vec<String> = bounds
                        .iter()
                        .map(|bound| key_sql.is_greater(key, bound))
                        .collect();
                    greater.join(" + ")
                })
                .collect();
            let sql = format!("SELECT {}", sums.join(", "));
            let row = control.connection.query_one(&sql).await?;
            for index in 0..chunk.len() {
                let below = row.as_ref().and_then(|row| row.u64(index)).unwrap_or(0);
                located.push(usize::try_from(below).unwrap_or(usize::MAX));
            }
        }
        self.kept.give(pair).await;
        Ok(located)
    }

    /// The time zone is the one that sessions of the server begin with, as `NOW()` has it there.
    async fn seconds_of(&self, time: &DateTime) -> Result<u64> {
        let mut control = Control::connect(&self.settings.connect).await?;
        let sessions = &mut control.connection;
        sessions
            .execute("SET time_zone = @@global.time_zone")
            .await?;
        let found = sessions
            .query_scalar(&format!("SELECT UNIX_TIMESTAMP('{time}')"))
            .await?;
        control.close().await;
        // Beyond what the server's timestamps hold, hours make no difference.
        let seconds = found
            .as_deref()
            .and_then(|text| text.split('.').next()?.parse().ok());
        Ok(seconds
            .filter(|seconds| *seconds > 0)
            .unwrap_or(time.to_unix()))
    }

    async fn load(&self, asked: &LoadLimits) -> Result<Vec<Measured>> {
        load::measure(self, asked).await
    }

    fn can_measure(&self, asked: &LoadLimits) -> Result<()> {
        if asked.replica_lag_s.is_some() && self.settings.replicas.is_empty() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the lag of replicas is limited, and the run knows of none",
            )
            .hint(
                "name them in the file, under bootstrap.load.replicas, and start the run again",
            ));
        }
        Ok(())
    }

    async fn open_live(
        &self,
        point: &LogPoint<BinlogPosition>,
        definitions: &Value,
    ) -> Result<Live> {
        Live::open(Arc::clone(&self.settings), point, definitions).await
    }
}
