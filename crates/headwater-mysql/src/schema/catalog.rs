//! The definitions that are valid at one place in the log. Kept in checkpoints and handoff tokens where the log does
//! not carry them, and moved on by the statements in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_core::schema::TableName;
use serde::{Deserialize, Serialize};

use super::ddl::{self, Change, Charset, Effect, Reading, TableDraft};
use super::definition::TableDefinition;
use super::selection::Selection;
use super::shadow::is_shadow;

/// The definitions of captured tables, and of the shadow tables that may take their place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Catalog {
    databases: BTreeMap<Arc<str>, Arc<str>>,
    tables: BTreeMap<TableName, Entry>,
}

/// What is known of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    Known(Arc<TableDefinition>),
    Unknown { name: TableName },
    Sequence { name: TableName },
}

/// A catalog as it is stored: lists, since a table's name is no key of a JSON object.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    /// Default character sets of databases.
    databases: BTreeMap<Arc<str>, Arc<str>>,
    tables: Vec<Entry>,
}

impl From<Catalog> for Stored {
    fn from(catalog: Catalog) -> Self {
        Self {
            databases: catalog.databases,
            tables: catalog.tables.into_values().collect(),
        }
    }
}

impl From<Stored> for Catalog {
    fn from(stored: Stored) -> Self {
        let named = |entry: Entry| {
            let name = match &entry {
                Entry::Known(definition) => definition.name.clone(),
                Entry::Unknown { name } | Entry::Sequence { name } => name.clone(),
            };
            (name, entry)
        };
        Self {
            databases: stored.databases,
            tables: stored.tables.into_iter().map(named).collect(),
        }
    }
}

impl Entry {
    fn definition(&self) -> Option<Arc<TableDefinition>> {
        match self {
            Self::Known(definition) => Some(Arc::clone(definition)),
            Self::Unknown { .. } | Self::Sequence { .. } => None,
        }
    }

    fn renamed(&self, name: &TableName) -> Self {
        let name = name.clone();
        match self {
            Self::Known(definition) => Self::Known(Arc::new(TableDefinition {
                name,
                ..TableDefinition::clone(definition)
            })),
            Self::Unknown { .. } => Self::Unknown { name },
            Self::Sequence { .. } => Self::Sequence { name },
        }
    }
}

/// Which table of before has each name after these renamings; `None` for one that was not tracked.
fn origins(
    pairs: &[(TableName, TableName)],
    tracked: impl Fn(&TableName) -> bool,
) -> BTreeMap<&TableName, Option<&TableName>> {
    let names = pairs.iter().flat_map(|(from, to)| [from, to]);
    let mut origins: BTreeMap<_, _> = names
        .filter(|name| tracked(name))
        .map(|name| (name, Some(name)))
        .collect();
    for (from, to) in pairs {
        let origin = origins.remove(from).flatten();
        origins.insert(to, origin);
    }
    origins
}

/// What the catalog says of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// Its definition here.
    Known(&'a Arc<TableDefinition>),
    /// It is there, and its definition is not known: take it from the table map's FULL metadata, or read it anew and
    /// accept it if it is [`super::plausible()`]; then [`Catalog::learn`] it.
    Unknown,
    /// It is no table: MariaDB logs the rows of its sequences.
    Sequence,
    /// The catalog has never heard of it. If the selection has it, it came by a statement that was not understood, or
    /// by none: treat it as [`Lookup::Unknown`].
    Absent,
}

/// What happened to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// It was created; its rows follow in the log. With `or_replace`, rows of an older table of this name went.
    Created,
    /// Its definition changed.
    Altered,
    /// Its definition was stated anew, and is the same to whoever decodes its rows.
    Restated,
    /// Another table took its name, by a renaming, and brought its own rows, which the log does not name.
    Renamed {
        /// The name it had.
        from: TableName,
    },
    /// It got another name. Its rows are not under the old one any more, and the log names none.
    MovedAway {
        /// The name it has now.
        to: TableName,
    },
    /// It was dropped. The log names no row.
    Dropped,
    /// All its rows went. The log names none.
    Truncated,
    /// Rows came or went with a partition. The log names none.
    PartitionMoved,
    /// Its definition is not known from here on.
    BecameUnknown {
        /// Why, in a few words.
        why: &'static str,
    },
}

/// Something that happened to one table of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogEvent {
    /// The table, by the name that rows have from here on (of [`Happened::MovedAway`] and [`Happened::Dropped`]: had).
    pub table: TableName,
    /// Its definition until here; `None` for none, and for one that was not known.
    pub before: Option<Arc<TableDefinition>>,
    /// Its definition from here on; `None` for none, and for one that is not known.
    pub after: Option<Arc<TableDefinition>>,
    /// What happened.
    pub what: Happened,
    /// Whether it is a shadow table, whose rows are no events.
    pub shadow: bool,
}

impl Catalog {
    /// What is known of a table here.
    #[must_use]
    pub fn get(&self, table: &TableName) -> Lookup<'_> {
        match self.tables.get(table) {
            Some(Entry::Known(definition)) => Lookup::Known(definition),
            Some(Entry::Unknown { .. }) => Lookup::Unknown,
            Some(Entry::Sequence { .. }) => Lookup::Sequence,
            None => Lookup::Absent,
        }
    }

    /// The known definitions, in the order of their names.
    pub fn definitions(&self) -> impl Iterator<Item = &Arc<TableDefinition>> {
        self.tables.values().filter_map(|entry| match entry {
            Entry::Known(definition) => Some(definition),
            Entry::Unknown { .. } | Entry::Sequence { .. } => None,
        })
    }

    /// The tables whose definition is not known, in the order of their names.
    pub fn unknown(&self) -> impl Iterator<Item = &TableName> {
        self.tables.values().filter_map(|entry| match entry {
            Entry::Unknown { name } => Some(name),
            Entry::Known(_) | Entry::Sequence { .. } => None,
        })
    }

    /// Notes a definition that came from elsewhere: information_schema, or a table map.
    pub fn learn(&mut self, definition: impl Into<Arc<TableDefinition>>) {
        let definition = definition.into();
        self.tables
            .insert(definition.name.clone(), Entry::Known(definition));
    }

    /// Notes that a table's definition is not known.
    pub fn forget(&mut self, table: &TableName) {
        self.tables.insert(
            table.clone(),
            Entry::Unknown {
                name: table.clone(),
            },
        );
    }

    /// Notes a database's default character set.
    pub fn set_database_charset(
        &mut self,
        database: impl Into<Arc<str>>,
        charset: impl Into<Arc<str>>,
    ) {
        self.databases.insert(database.into(), charset.into());
    }

    /// Whether rows of this table are those of an online schema change's shadow table: tracked, and no events.
    /// A table that is named itself is none.
    #[must_use]
    pub fn is_shadow(&self, table: &TableName, selection: &Selection) -> bool {
        !selection.tables().contains(table)
            && is_shadow(table, |original| {
                selection.has(original) && self.tables.contains_key(original)
            })
    }

    /// Whether the rows of a table are events.
    #[must_use]
    pub fn is_captured(&self, table: &TableName, selection: &Selection) -> bool {
        selection.has(table) && !self.is_shadow(table, selection)
    }

    /// Moves on by what one statement does. Tables that are neither captured nor shadows of captured ones are not
    /// kept.
    pub fn apply(&mut self, selection: &Selection, effects: &[Effect]) -> Vec<CatalogEvent> {
        let mut step = Step {
            catalog: self,
            selection,
            events: Vec::new(),
        };
        for effect in effects {
            step.effect(effect);
        }
        step.events
    }
}

/// One statement on its way through the catalog.
struct Step<'c> {
    catalog: &'c mut Catalog,
    selection: &'c Selection,
    events: Vec<CatalogEvent>,
}

impl Step<'_> {
    fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::CreateTable {
                name,
                if_not_exists,
                definition,
                ..
            } => {
                let made = self.made_of(name, definition);
                self.create(name, *if_not_exists, made);
            }
            Effect::CreateLike {
                name,
                if_not_exists,
                source,
                ..
            } => {
                let made = self.made_like(name, source);
                self.create(name, *if_not_exists, made);
            }
            Effect::CreateSequence { name } => {
                if self.keeps(name) {
                    let entry = Entry::Sequence { name: name.clone() };
                    self.catalog.tables.insert(name.clone(), entry);
                }
            }
            Effect::AlterTable {
                name,
                changes,
                rename_to,
            } => {
                self.alter(name, changes);
                if let Some(to) = rename_to {
                    self.rename(name, to);
                }
            }
            Effect::RenameTables {
                pairs,
                if_exists: false,
            } => self.rename_all(pairs),
            Effect::RenameTables { pairs, .. } => {
                let mut pairs = pairs.clone();
                pairs.retain(|(from, _)| !self.is_missing(from));
                self.rename_all(&pairs);
            }
            Effect::DropTables(names) => names.iter().for_each(|name| self.drop(name)),
            Effect::Truncate(name) => self.rows_went(name, Happened::Truncated),
            Effect::AlterPartition { name, moves_rows } => {
                if *moves_rows {
                    self.rows_went(name, Happened::PartitionMoved);
                }
            }
            Effect::CreateDatabase { name, charset } | Effect::AlterDatabase { name, charset } => {
                self.database(
                    name,
                    charset,
                    matches!(effect, Effect::CreateDatabase { .. }),
                );
            }
            Effect::DropDatabase(database) => {
                for name in self.tables_of(database) {
                    self.drop(&name);
                }
                self.catalog.databases.remove(database);
            }
            Effect::Unparsable { tables, database } => self.suspect(tables, database),
            Effect::Irrelevant | Effect::TransactionControl | Effect::StatementRows => {}
        }
    }

    /// Forgets what a statement that was not understood may have touched.
    fn suspect(&mut self, tables: &[TableName], database: &str) {
        let mut suspects = tables.to_vec();
        suspects.retain(|name| self.keeps(name));
        if tables.is_empty() {
            suspects = self.tables_of(database);
        }
        for name in &suspects {
            self.lose(name, "a statement was not understood");
        }
    }

    fn made_of(
        &self,
        name: &TableName,
        definition: &Reading<TableDraft>,
    ) -> Result<TableDefinition, &'static str> {
        let Reading::Known(draft) = definition else {
            return Err("a CREATE TABLE was not understood");
        };
        let charset = self.database_charset(&name.database);
        ddl::resolve(draft, name, &charset).map_err(|unclear| unclear.0)
    }

    fn made_like(
        &self,
        name: &TableName,
        source: &TableName,
    ) -> Result<TableDefinition, &'static str> {
        match self.catalog.get(source) {
            Lookup::Known(definition) => Ok(TableDefinition {
                name: name.clone(),
                ..TableDefinition::clone(definition)
            }),
            Lookup::Unknown | Lookup::Sequence | Lookup::Absent => {
                Err("a table was created like one that is not known")
            }
        }
    }

    /// Whether there is no such table: the selection has it, and the catalog lacks it.
    fn is_missing(&self, name: &TableName) -> bool {
        self.selection.has(name) && !self.catalog.tables.contains_key(name)
    }

    /// Whether a table of this name is kept: it is captured, or may take a captured table's place.
    fn keeps(&self, name: &TableName) -> bool {
        self.selection.has(name)
            || self.catalog.tables.contains_key(name)
            || self.catalog.is_shadow(name, self.selection)
    }

    fn tables_of(&self, database: &str) -> Vec<TableName> {
        let names = self.catalog.tables.keys();
        names
            .filter(|name| &*name.database == database)
            .cloned()
            .collect()
    }

    fn database_charset(&self, database: &str) -> Charset {
        Charset {
            charset: self.catalog.databases.get(database).cloned(),
            collation: None,
        }
    }

    fn definition(&self, name: &TableName) -> Option<Arc<TableDefinition>> {
        self.catalog.tables.get(name).and_then(Entry::definition)
    }

    fn note(&mut self, table: &TableName, before: Option<Arc<TableDefinition>>, what: Happened) {
        self.events.push(CatalogEvent {
            table: table.clone(),
            before,
            after: self.definition(table),
            what,
            shadow: self.catalog.is_shadow(table, self.selection),
        });
    }

    fn lose(&mut self, name: &TableName, why: &'static str) {
        let before = self.definition(name);
        if matches!(self.catalog.get(name), Lookup::Sequence) {
            return;
        }
        self.catalog.forget(name);
        self.note(name, before, Happened::BecameUnknown { why });
    }

    fn create(
        &mut self,
        name: &TableName,
        if_not_exists: bool,
        made: Result<TableDefinition, &'static str>,
    ) {
        if !self.keeps(name) || (if_not_exists && self.catalog.tables.contains_key(name)) {
            return;
        }
        let before = self.definition(name);
        match made {
            Ok(definition) => {
                self.catalog.learn(definition);
                self.note(name, before, Happened::Created);
            }
            Err(why) => {
                self.catalog.forget(name);
                self.note(name, before, Happened::BecameUnknown { why });
            }
        }
    }

    fn alter(&mut self, name: &TableName, changes: &Reading<Vec<Change>>) {
        if !self.keeps(name) {
            return;
        }
        let changes = match changes {
            Reading::Known(changes) if changes.is_empty() => return,
            Reading::Known(changes) => changes,
            Reading::Unknown => return self.lose(name, "an ALTER TABLE was not understood"),
        };
        let Some(before) = self.definition(name) else {
            return; // unknown before, and after
        };
        let mut after = TableDefinition::clone(&before);
        match ddl::apply(&mut after, changes) {
            Ok(()) if after == *before => {
                self.catalog.learn(after);
                self.note(name, Some(before), Happened::Restated);
            }
            Ok(()) => {
                self.catalog.learn(after);
                self.note(name, Some(before), Happened::Altered);
            }
            Err(unclear) => self.lose(name, unclear.0),
        }
    }

    fn rename(&mut self, from: &TableName, to: &TableName) {
        self.rename_all(&[(from.clone(), to.clone())]);
    }

    /// Renames in order, as the server does: a swap passes through a third name. What happened is told once, by the
    /// names of before and after.
    fn rename_all(&mut self, pairs: &[(TableName, TableName)]) {
        let touched: BTreeSet<&TableName> =
            pairs.iter().flat_map(|(from, to)| [from, to]).collect();
        let kept: BTreeSet<&TableName> = touched
            .iter()
            .copied()
            .filter(|name| self.keeps(name))
            .collect();
        let shadows: BTreeSet<&TableName> = touched
            .iter()
            .copied()
            .filter(|name| self.catalog.is_shadow(name, self.selection))
            .collect();
        let tables = &mut self.catalog.tables;
        let before: BTreeMap<&TableName, Entry> = touched
            .iter()
            .filter_map(|&name| Some((name, tables.remove(name)?)))
            .collect();
        let origins = origins(pairs, |name| before.contains_key(name));
        for (&name, origin) in &origins {
            let entry = origin.and_then(|origin| before.get(origin));
            if kept.contains(name) || (entry.is_some() && self.selection.has(name)) {
                let entry = entry.map_or_else(
                    || Entry::Unknown { name: name.clone() },
                    |entry| entry.renamed(name),
                );
                self.catalog.tables.insert(name.clone(), entry);
            }
        }
        for name in touched {
            let was = before.get(name).and_then(Entry::definition);
            let origin = origins.get(name).copied();
            let moved = origins.iter().find(|(_, origin)| **origin == Some(name));
            if let Some((&to, _)) = moved.filter(|(to, _)| **to != name) {
                self.events.push(CatalogEvent {
                    table: name.clone(),
                    before: was.clone(),
                    after: None,
                    what: Happened::MovedAway { to: to.clone() },
                    shadow: shadows.contains(name),
                });
            }
            match origin {
                Some(Some(origin)) if origin != name && self.catalog.tables.contains_key(name) => {
                    self.note(
                        name,
                        was,
                        Happened::Renamed {
                            from: origin.clone(),
                        },
                    );
                }
                Some(None) if kept.contains(name) => {
                    let why = "a table that was not followed took its name";
                    self.note(name, was, Happened::BecameUnknown { why });
                }
                _ => {}
            }
        }
    }

    fn drop(&mut self, name: &TableName) {
        let before = self.definition(name);
        let shadow = self.catalog.is_shadow(name, self.selection);
        match self.catalog.tables.remove(name) {
            None | Some(Entry::Sequence { .. }) => {}
            Some(Entry::Known(_) | Entry::Unknown { .. }) => self.events.push(CatalogEvent {
                table: name.clone(),
                before,
                after: None,
                what: Happened::Dropped,
                shadow,
            }),
        }
    }

    fn rows_went(&mut self, name: &TableName, what: Happened) {
        if self.keeps(name) {
            let before = self.definition(name);
            self.note(name, before, what);
        }
    }

    fn database(&mut self, name: &Arc<str>, charset: &Charset, created: bool) {
        if !self.selection.has_database(name) {
            return;
        }
        match charset.resolve(&Charset::default()) {
            Some((charset, _)) => self.catalog.set_database_charset(Arc::clone(name), charset),
            // The server's default, which the statement does not name.
            None if created => {
                self.catalog.databases.remove(name);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ddl::{Rules, parse};
    use crate::schema::sql_mode::SqlMode;

    fn name(table: &str) -> TableName {
        TableName::new("shop", table)
    }

    struct World {
        catalog: Catalog,
        selection: Selection,
    }

    impl World {
        fn new(selection: Selection) -> Self {
            let mut catalog = Catalog::default();
            catalog.set_database_charset("shop", "utf8mb4");
            Self { catalog, selection }
        }

        fn run(&mut self, sql: &str) -> Vec<CatalogEvent> {
            let rules = Rules::new("shop", SqlMode::default(), true);
            self.catalog.apply(&self.selection, &parse(sql, &rules))
        }

        fn columns(&self, table: &str) -> Vec<Arc<str>> {
            match self.catalog.get(&name(table)) {
                Lookup::Known(definition) => definition
                    .columns
                    .iter()
                    .map(|column| Arc::clone(&column.name))
                    .collect(),
                lookup => panic!("{table} is {lookup:?}"),
            }
        }
    }

    fn shop() -> World {
        World::new(Selection::Databases(vec!["shop".into()]))
    }

    fn orders() -> World {
        World::new(Selection::Tables(vec![name("orders")]))
    }

    fn told(events: &[CatalogEvent]) -> Vec<(&str, &Happened, bool)> {
        events
            .iter()
            .map(|event| (&*event.table.table, &event.what, event.shadow))
            .collect()
    }

    #[test]
    fn gh_ost_swaps_definitions_in_a_captured_database_and_for_a_named_table() {
        for mut world in [shop(), orders()] {
            world.run("CREATE TABLE orders (id INT PRIMARY KEY, old INT)");
            let created = world.run("CREATE TABLE _orders_gho LIKE orders");
            assert_eq!(told(&created), [("_orders_gho", &Happened::Created, true)]);
            assert!(
                !world
                    .catalog
                    .is_captured(&name("_orders_gho"), &world.selection)
            );
            world.run("ALTER TABLE _orders_gho DROP old, ADD new INT");
            let events = world.run("RENAME TABLE orders TO _orders_del, _orders_gho TO orders");
            let to = |table: &str| Happened::MovedAway { to: name(table) };
            let from = |table: &str| Happened::Renamed { from: name(table) };
            let expected = [
                ("_orders_del", &from("orders"), true),
                ("_orders_gho", &to("orders"), true),
                ("orders", &to("_orders_del"), false),
                ("orders", &from("_orders_gho"), false),
            ];
            assert_eq!(told(&events), expected);
            assert_eq!(world.columns("orders"), ["id".into(), "new".into()]);
            assert_eq!(world.columns("_orders_del"), ["id".into(), "old".into()]);
            assert!(
                world
                    .catalog
                    .is_shadow(&name("_orders_del"), &world.selection)
            );
            world.run("DROP TABLE _orders_del");
            assert_eq!(world.catalog.get(&name("_orders_del")), Lookup::Absent);
        }
    }

    #[test]
    fn a_swap_through_a_third_name_is_followed() {
        let mut world = shop();
        world.run("CREATE TABLE a (x INT)");
        world.run("CREATE TABLE b (y INT)");
        let events = world.run("RENAME TABLE a TO tmp, b TO a, tmp TO b");
        assert_eq!(events.len(), 4);
        assert_eq!(world.columns("a"), ["y".into()]);
        assert_eq!(world.columns("b"), ["x".into()]);
        assert_eq!(world.catalog.get(&name("tmp")), Lookup::Absent);
    }

    #[test]
    fn a_table_that_was_not_followed_makes_its_new_name_unknown() {
        let mut world = orders();
        world.run("CREATE TABLE orders (id INT)");
        world.run("CREATE TABLE elsewhere (id INT)");
        assert_eq!(world.catalog.get(&name("elsewhere")), Lookup::Absent);
        let events = world.run("RENAME TABLE orders TO gone, elsewhere TO orders");
        assert_eq!(world.catalog.get(&name("orders")), Lookup::Unknown);
        assert_eq!(world.catalog.get(&name("gone")), Lookup::Absent);
        let unknown = |event: &CatalogEvent| matches!(event.what, Happened::BecameUnknown { .. });
        assert!(events.iter().any(unknown));
    }

    #[test]
    fn a_database_is_suspect_after_a_statement_that_names_nothing() {
        let mut world = shop();
        world.run("CREATE TABLE a (x INT)");
        world.run("FROBNICATE");
        assert_eq!(world.catalog.get(&name("a")), Lookup::Unknown);
        world.run("FROBNICATE TABLE b");
        assert_eq!(world.catalog.get(&name("b")), Lookup::Unknown);
    }

    #[test]
    fn rows_that_go_without_an_event_are_told() {
        let mut world = shop();
        world.run("CREATE TABLE a (x INT)");
        assert_eq!(
            told(&world.run("TRUNCATE a")),
            [("a", &Happened::Truncated, false)]
        );
        let dropped = world.run("ALTER TABLE a DROP PARTITION p");
        assert_eq!(told(&dropped), [("a", &Happened::PartitionMoved, false)]);
        assert!(world.run("TRUNCATE other.a").is_empty());
        assert_eq!(
            told(&world.run("DROP DATABASE shop")),
            [("a", &Happened::Dropped, false)]
        );
    }

    #[test]
    fn a_catalog_is_stored_and_read_back() {
        let mut world = shop();
        world.run("CREATE TABLE b (x INT PRIMARY KEY, y ENUM('a'), z TEXT)");
        world.run("CREATE TABLE a SELECT 1");
        world.run("CREATE SEQUENCE s");
        let text = serde_json::to_string(&world.catalog).unwrap();
        let read: Catalog = serde_json::from_str(&text).unwrap();
        assert_eq!(read, world.catalog);
        assert_eq!(read.get(&name("s")), Lookup::Sequence);
        assert_eq!(read.unknown().collect::<Vec<_>>(), [&name("a")]);
    }

    #[test]
    fn a_table_is_captured_when_it_gets_a_selected_name() {
        let mut world = orders();
        world.run("CREATE TABLE orders (id INT)");
        world.run("DROP TABLE orders");
        let events = world.run("CREATE TABLE orders (id INT, x TEXT)");
        assert_eq!(told(&events), [("orders", &Happened::Created, false)]);
        assert_eq!(world.columns("orders").len(), 2);
    }
}
