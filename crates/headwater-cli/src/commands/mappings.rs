//! Mappings held against the real tables before anything is read: what is impossible is refused with its place in the file.

use std::collections::HashMap;
use std::sync::Arc;

use headwater_core::schema::{TableName, TableSchema};
use headwater_core::source::Source;
use headwater_core::{ErrorKind, Result};
use headwater_iotdb::IotdbOptions;
use headwater_mysql::MysqlSource;

use super::source;
use crate::config::{Failure, Origin, Selection, SourceSettings};

/// What is known of the tables that are mapped.
pub(super) struct Known {
    pub(super) source: MysqlSource,
    pub(super) tables: Vec<Arc<TableSchema>>,
    types: HashMap<(TableName, String), String>,
}

impl Known {
    /// Reads the definitions.
    pub(super) async fn read(options: &IotdbOptions, settings: &SourceSettings) -> Result<Self> {
        let source = source::open(settings);
        let found = match Source::tables(&source).await {
            // A mapped table is not there: what is there is told instead.
            Err(error) if error.kind() == ErrorKind::NotFound => around(options, settings).await?,
            found => found?,
        };
        let tables: Vec<_> = found.into_iter().map(|table| table.schema).collect();
        let mapped = options.mappings.iter().map(|mapping| mapping.table.clone());
        let mapped: Vec<TableName> = mapped.collect();
        let types = headwater_mysql::check::column_types(&source, &mapped).await?;
        Ok(Self {
            source,
            tables,
            types,
        })
    }

    /// A column's type as the server declares it.
    pub(super) fn declared(&self) -> impl Fn(&TableName, &str) -> Option<String> + Send + Sync {
        |table, column| {
            let key = (table.clone(), column.to_lowercase());
            self.types.get(&key).cloned()
        }
    }
}

/// All tables of the databases of mapped tables.
async fn around(
    options: &IotdbOptions,
    settings: &SourceSettings,
) -> Result<Vec<headwater_core::source::TableInfo>> {
    let databases = options.mappings.iter();
    let mut databases: Vec<String> = databases
        .map(|mapping| mapping.table.database.to_string())
        .collect();
    databases.sort();
    databases.dedup();
    let around = SourceSettings {
        selection: Selection {
            databases,
            tables: Vec::new(),
        },
        ..settings.clone()
    };
    Source::tables(&source::open(&around)).await
}

/// Fails with all that is impossible. A server that is away is left to the run, which waits for it.
pub(super) async fn require(
    options: &IotdbOptions,
    settings: &SourceSettings,
    origin: Option<&Origin>,
) -> Result<(), Failure> {
    let known = match Known::read(options, settings).await {
        Err(error) if error.is_temporary() => return Ok(()),
        known => known?,
    };
    let precision = headwater_iotdb::time_precision(options).await.ok();
    let problems = headwater_iotdb::problems(options, &known.tables, &known.declared(), precision);
    let Some(first) = problems.first() else {
        return Ok(());
    };
    match origin {
        Some(origin) => {
            let told = problems.iter();
            let told = told.map(|problem| (problem.path.clone(), problem.to_string()));
            Err(origin.refused(told.collect()).into())
        }
        None => Err(first.clone().into_error().into()),
    }
}
