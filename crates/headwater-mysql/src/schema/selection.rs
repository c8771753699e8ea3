//! Which tables are captured.

use std::sync::Arc;

use headwater_core::schema::TableName;
use serde::{Deserialize, Serialize};

/// The servers' own databases, which are never captured.
pub(crate) const SYSTEM_DATABASES: [&str; 5] = [
    "information_schema",
    "mysql",
    "performance_schema",
    "sys",
    "ndbinfo",
];

/// A name in lower case as a server with `lower_case_table_names` folds it: letter by letter, whatever stands around one.
pub(crate) fn folded(name: &str) -> Arc<str> {
    let lower = |letter: char| letter.to_lowercase().next().unwrap_or(letter);
    name.chars().map(lower).collect::<String>().into()
}

/// A table's name in lower case.
pub(crate) fn folded_table(name: &TableName) -> TableName {
    TableName::new(folded(&name.database), folded(&name.table))
}

/// Which tables are captured. Names are compared as they are: on a server that keeps them in lower case
/// (`lower_case_table_names` is 1), fold them first ([`Selection::folded`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// All tables of all databases but the system's.
    All,
    /// All tables of these databases.
    Databases(Vec<Arc<str>>),
    /// These tables.
    Tables(Vec<TableName>),
    /// All tables of some databases, and single tables of others.
    Both {
        /// The databases.
        databases: Vec<Arc<str>>,
        /// The tables.
        tables: Vec<TableName>,
    },
}

impl Selection {
    /// The databases of which every table is captured by their names.
    #[must_use]
    pub fn databases(&self) -> &[Arc<str>] {
        match self {
            Self::Databases(databases) | Self::Both { databases, .. } => databases,
            Self::All | Self::Tables(_) => &[],
        }
    }

    /// The tables that are captured by their names.
    #[must_use]
    pub fn tables(&self) -> &[TableName] {
        match self {
            Self::Tables(tables) | Self::Both { tables, .. } => tables,
            Self::All | Self::Databases(_) => &[],
        }
    }

    /// The same selection with names in lower case, if `lower_case_table_names` is 1.
    #[must_use]
    pub fn folded(self, lower_case_table_names: u8) -> Self {
        if lower_case_table_names != 1 {
            return self;
        }
        let databases = || self.databases().iter().map(|name| folded(name)).collect();
        let tables = || self.tables().iter().map(folded_table).collect();
        match self {
            Self::All => Self::All,
            Self::Databases(_) => Self::Databases(databases()),
            Self::Tables(_) => Self::Tables(tables()),
            Self::Both { .. } => Self::Both {
                databases: databases(),
                tables: tables(),
            },
        }
    }

    /// Whether a table of this name is captured.
    #[must_use]
    pub fn has(&self, table: &TableName) -> bool {
        match self {
            Self::All => !SYSTEM_DATABASES.contains(&&*table.database),
            _ => self.databases().contains(&table.database) || self.tables().contains(table),
        }
    }

    /// Whether a table of this database may be captured.
    #[must_use]
    pub fn has_database(&self, database: &str) -> bool {
        match self {
            Self::All => !SYSTEM_DATABASES.contains(&database),
            _ => {
                let mut tables = self.tables().iter();
                self.databases().iter().any(|name| **name == *database)
                    || tables.any(|name| *name.database == *database)
            }
        }
    }
}
