//! What is told of a statement that changes definitions, for events: which tables and databases, what they were, what they
//! are. As with Maxwell, both names of a table that is renamed must be selected, and index statements are not told of.

use std::sync::Arc;

use headwater_core::ddl::{Defined, DefinitionChange};
use headwater_core::schema::{KeyOrder, SchemaId, TableName, TableSchema};

use super::tables::Tables;
use crate::schema::ddl::{Effect, charset_of};
use crate::schema::native::layout;
use crate::schema::{CatalogEvent, Happened, TableDefinition};

/// The statement at hand.
pub(super) struct Statement {
    pub(super) sql: Arc<str>,
    pub(super) position: Option<Arc<str>>,
    pub(super) gtid: Option<Arc<str>>,
}

impl Statement {
    fn change(&self, what: Defined, name: &TableName) -> DefinitionChange {
        DefinitionChange {
            what,
            database: Arc::clone(&name.database),
            table: Some(Arc::clone(&name.table)).filter(|table| !table.is_empty()),
            old: None,
            new: None,
            charset: None,
            sql: Arc::clone(&self.sql),
            position: self.position.clone(),
            gtid: self.gtid.clone(),
        }
    }

    /// What is told of a database.
    pub(super) fn of_database(
        &self,
        effect: &Effect,
        tables: &Tables,
    ) -> Option<(Arc<TableSchema>, DefinitionChange)> {
        let (what, name, charset) = match effect {
            Effect::CreateDatabase { name, charset } => {
                (Defined::DatabaseCreated, name, charset_of(charset))
            }
            Effect::AlterDatabase { name, charset } => {
                (Defined::DatabaseAltered, name, charset_of(charset))
            }
            Effect::DropDatabase(name) => (Defined::DatabaseDropped, name, None),
            _ => return None,
        };
        if !tables.captures_database(name) {
            return None;
        }
        let name = TableName::new(Arc::clone(name), "");
        let change = DefinitionChange {
            charset,
            ..self.change(what, &name)
        };
        Some((nameless(name), change))
    }

    /// What is told of a table.
    pub(super) fn of_table(&self, event: &CatalogEvent) -> Option<DefinitionChange> {
        let old = || event.before.as_deref().map(layout);
        let new = || event.after.as_deref().map(layout);
        let table = &event.table;
        let first = self.sql.split_whitespace().next().unwrap_or_default();
        let is_of_an_index = ["CREATE", "DROP"]
            .iter()
            .any(|word| first.eq_ignore_ascii_case(word));
        Some(match &event.what {
            Happened::Created => DefinitionChange {
                new: new(),
                ..self.change(Defined::TableCreated, table)
            },
            Happened::Altered | Happened::Restated if is_of_an_index => return None,
            Happened::Altered | Happened::Restated => DefinitionChange {
                old: old(),
                new: new(),
                ..self.change(Defined::TableAltered, table)
            },
            Happened::Renamed { from } => {
                let before = event.after.as_deref().map(|after| TableDefinition {
                    name: from.clone(),
                    ..TableDefinition::clone(after)
                });
                DefinitionChange {
                    old: before.as_ref().map(layout),
                    new: new(),
                    ..self.change(Defined::TableAltered, from)
                }
            }
            Happened::BecameUnknown { .. } if event.before.is_none() => {
                if !first.eq_ignore_ascii_case("CREATE") {
                    return None;
                }
                self.change(Defined::TableCreated, table)
            }
            Happened::BecameUnknown { .. } => DefinitionChange {
                old: old(),
                ..self.change(Defined::TableAltered, table)
            },
            Happened::Dropped => self.change(Defined::TableDropped, table),
            Happened::MovedAway { .. } | Happened::Truncated | Happened::PartitionMoved => {
                return None;
            }
        })
    }
}

/// A schema for a mark whose table, or database, has no definition here.
pub(super) fn nameless(name: TableName) -> Arc<TableSchema> {
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name,
        columns: Vec::new(),
        primary_key: Vec::new(),
        key: Vec::new(),
        key_order: KeyOrder::None,
    })
}
