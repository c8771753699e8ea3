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

/// Which tables are captured. Names are compared as they are: on a server with `lower_case_table_names` other than 0,
/// fold them first ([`Selection::folded`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// All tables of all databases but the system's.
    All,
    /// All tables of these databases.
    Databases(Vec<Arc<str>>),
    /// These tables.
    Tables(Vec<TableName>),
}

impl Selection {
    /// The same selection with names in lower case, if `lower_case_table_names` is not 0.
    #[must_use]
    pub fn folded(self, lower_case_table_names: u8) -> Self {
        if lower_case_table_names == 0 {
            return self;
        }
        let fold = |name: &str| Arc::<str>::from(name.to_lowercase());
        match self {
            Self::All => Self::All,
            Self::Databases(names) => {
                Self::Databases(names.iter().map(|name| fold(name)).collect())
            }
            Self::Tables(names) => {
                let fold =
                    |name: &TableName| TableName::new(fold(&name.database), fold(&name.table));
                Self::Tables(names.iter().map(fold).collect())
            }
        }
    }

    /// Whether a table of this name is captured.
    #[must_use]
    pub fn has(&self, table: &TableName) -> bool {
        match self {
            Self::All => !SYSTEM_DATABASES.contains(&&*table.database),
            Self::Databases(names) => names.contains(&table.database),
            Self::Tables(names) => names.contains(table),
        }
    }

    /// Whether a table of this database may be captured.
    #[must_use]
    pub fn has_database(&self, database: &str) -> bool {
        match self {
            Self::All => !SYSTEM_DATABASES.contains(&database),
            Self::Databases(names) => names.iter().any(|name| &**name == database),
            Self::Tables(names) => names.iter().any(|name| &*name.database == database),
        }
    }
}
