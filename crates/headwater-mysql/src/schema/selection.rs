//! Which tables are captured.

use std::sync::Arc;

use headwater_core::filter::{Action, Filter, Pattern, Rule};
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
    /// Of another selection what a filter lets pass, by the names of its tables.
    Filtered {
        /// The other selection, without tables that were named and cannot pass.
        all: Box<Selection>,
        /// The filter.
        filter: Filter,
    },
}

impl Selection {
    /// Of this selection what `filter` lets pass. A table that was named and cannot pass is not missed where it is not there.
    #[must_use]
    pub fn filtered(self, filter: Filter) -> Self {
        if filter.is_empty() {
            return self;
        }
        let passing = |mut tables: Vec<TableName>| {
            tables.retain(|table| filter.may_pass(table));
            tables
        };
        let all = match self {
            Self::Tables(tables) => Self::Tables(passing(tables)),
            Self::Both { databases, tables } => Self::Both {
                databases,
                tables: passing(tables),
            },
            other => other,
        };
        Self::Filtered {
            all: Box::new(all),
            filter,
        }
    }

    /// Whether it is every database but the system's, filtered or not.
    pub(super) fn is_all(&self) -> bool {
        match self {
            Self::All => true,
            Self::Filtered { all, .. } => all.is_all(),
            Self::Databases(_) | Self::Tables(_) | Self::Both { .. } => false,
        }
    }

    /// The databases of which every table is captured by their names.
    #[must_use]
    pub fn databases(&self) -> &[Arc<str>] {
        match self {
            Self::Databases(databases) | Self::Both { databases, .. } => databases,
            Self::Filtered { all, .. } => all.databases(),
            Self::All | Self::Tables(_) => &[],
        }
    }

    /// The tables that are captured by their names.
    #[must_use]
    pub fn tables(&self) -> &[TableName] {
        match self {
            Self::Tables(tables) | Self::Both { tables, .. } => tables,
            Self::Filtered { all, .. } => all.tables(),
            Self::All | Self::Databases(_) => &[],
        }
    }

    /// The same selection with names in lower case, if `lower_case_table_names` is 1.
    #[must_use]
    pub fn folded(self, lower_case_table_names: u8) -> Self {
        if lower_case_table_names != 1 {
            return self;
        }
        let (wanted, named) = (self.databases().to_vec(), self.tables().to_vec());
        let databases = || wanted.iter().map(|name| folded(name)).collect();
        let tables = || named.iter().map(folded_table).collect();
        match self {
            Self::All => Self::All,
            Self::Databases(_) => Self::Databases(databases()),
            Self::Tables(_) => Self::Tables(tables()),
            Self::Both { .. } => Self::Both {
                databases: databases(),
                tables: tables(),
            },
            Self::Filtered { all, filter } => Self::Filtered {
                all: Box::new(all.folded(lower_case_table_names)),
                filter: filter.folded(),
            },
        }
    }

    /// The same selection with one more table.
    #[must_use]
    pub fn with(self, table: &TableName) -> Self {
        if self.has(table) {
            return self;
        }
        if let Self::Filtered { all, filter } = self {
            let mut rules = filter.rules().to_vec();
            rules.push(Rule {
                action: Action::Include,
                database: Pattern::Name(table.database.to_string()),
                table: Pattern::Name(table.table.to_string()),
                column: None,
            });
            return Self::Filtered {
                all: Box::new(all.with(table)),
                filter: Filter::new(rules),
            };
        }
        let databases = self.databases().to_vec();
        let mut tables = self.tables().to_vec();
        tables.push(table.clone());
        if databases.is_empty() {
            Self::Tables(tables)
        } else {
            Self::Both { databases, tables }
        }
    }

    /// Whether a table of this name is captured.
    #[must_use]
    pub fn has(&self, table: &TableName) -> bool {
        match self {
            Self::All => !SYSTEM_DATABASES.contains(&&*table.database),
            Self::Filtered { all, filter } => all.has(table) && filter.may_pass(table),
            _ => self.databases().contains(&table.database) || self.tables().contains(table),
        }
    }

    /// Whether a table of this database may be captured.
    #[must_use]
    pub fn has_database(&self, database: &str) -> bool {
        match self {
            Self::All => !SYSTEM_DATABASES.contains(&database),
            Self::Filtered { all, .. } => all.has_database(database),
            _ => {
                let mut tables = self.tables().iter();
                self.databases().iter().any(|name| **name == *database)
                    || tables.any(|name| *name.database == *database)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_leaves_of_a_selection_what_may_pass() {
        let name = |table: &str| TableName::new("shop", table);
        let filter: Filter = "exclude: *.*, include: shop./^o/, include: shop.users.state=open"
            .parse()
            .unwrap();
        let all = Selection::All.filtered(filter.clone());
        assert!(all.has(&name("orders")) && all.has(&name("users")) && !all.has(&name("log")));
        assert!(!all.has(&TableName::new("mysql", "o")));
        let named = Selection::Tables(vec![name("orders"), name("log")]).filtered(filter);
        assert_eq!(named.tables(), [name("orders")]);
        assert!(!named.has(&name("users")), "it was not chosen");
        assert!(named.folded(1).has(&name("orders")));
        assert_eq!(Selection::All.filtered(Filter::default()), Selection::All);
    }
}
