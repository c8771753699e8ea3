//! Definitions followed through statements equal the ones that the server shows.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::large_futures,
    reason = "a test ends by panicking, and its helpers with it"
)]

mod corpus;
mod random;

use std::sync::Arc;

use headwater_core::ErrorKind;
use headwater_core::schema::TableName;
use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_mysql::schema::ddl::{Rules, parse};
use headwater_mysql::schema::{
    Catalog, ColumnType, Lookup, Selection, SqlMode, TableDefinition, read_catalog,
    read_definitions,
};
use headwater_servers::{Flavor, Shared, shared};

/// A server, a database of its own on it, and the catalog that follows it.
struct Follower {
    connection: Connection,
    rules: Rules,
    selection: Selection,
    catalog: Catalog,
    followed: usize,
    unknown: Vec<String>,
    faults: Vec<String>,
}

impl Follower {
    async fn start(flavor: Flavor, server: &Shared) -> Self {
        let database = server.fresh_database("hw_schema").unwrap();
        let other = server.fresh_database("hw_schema_other").unwrap();
        let options = ConnectOptions::from_url(&server.database_url(&database)).unwrap();
        let mut connection = Connection::connect(&options).await.unwrap();
        let databases = [database.as_str(), &other].map(Arc::from);
        let selection = Selection::Databases(databases.to_vec());
        let (catalog, _) = read_catalog(&mut connection, &selection).await.unwrap();
        Self {
            connection,
            rules: Rules::new(database, SqlMode::default(), flavor.is_mariadb()),
            selection,
            catalog,
            followed: 0,
            unknown: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn other(&self) -> Arc<str> {
        let Selection::Databases(databases) = &self.selection else {
            unreachable!("the selection is two databases")
        };
        Arc::clone(&databases[1])
    }

    /// Runs a statement, follows it, and compares. Gives what the server refused.
    async fn step(&mut self, sql: &str) -> Result<(), String> {
        let sql = sql.replace("OTHER", &self.other());
        if let Err(error) = self.connection.execute(&sql).await {
            return Err(error.to_string());
        }
        let lower = sql.to_lowercase();
        if let Some(mode) = lower.strip_prefix("set sql_mode = ") {
            let mode = (mode.contains("ansi_quotes"), mode.contains("no_backslash"));
            let bits = u64::from(mode.0) * 4 + u64::from(mode.1) * 0x10_0000;
            self.rules.mode = SqlMode::from_bits(bits);
        }
        let effects = parse(&sql, &self.rules);
        self.catalog.apply(&self.selection, &effects);
        self.followed += 1;
        self.compare(&sql).await;
        Ok(())
    }

    async fn compare(&mut self, sql: &str) {
        let shown = read_definitions(&mut self.connection, &self.selection)
            .await
            .unwrap();
        let mut unknown = false;
        for (shown, _) in &shown {
            match self.catalog.get(&shown.name) {
                Lookup::Known(followed) => {
                    let key = (followed.key(), shown.key());
                    if let Some(fault) = difference(followed, shown) {
                        self.faults.push(format!("{sql}: {fault}"));
                        self.catalog.learn(shown.clone());
                    } else if key.0 != key.1 {
                        self.faults
                            .push(format!("{sql}: keys {key:?} of {shown:?}"));
                        self.catalog.learn(shown.clone());
                    }
                }
                Lookup::Unknown => {
                    unknown = true;
                    self.catalog.learn(shown.clone());
                }
                lookup @ (Lookup::Sequence | Lookup::Absent) => {
                    self.faults
                        .push(format!("{sql}: {} is {lookup:?}", shown.name));
                    self.catalog.learn(shown.clone());
                }
            }
        }
        let known = self
            .catalog
            .definitions()
            .map(|definition| &definition.name);
        for name in known.chain(self.catalog.unknown()) {
            if !shown.iter().any(|(shown, _)| shown.name == *name) {
                self.faults.push(format!("{sql}: {name} is gone"));
            }
        }
        if unknown {
            self.unknown.push(sql.to_owned());
        }
    }

    async fn end(mut self) {
        assert!(self.faults.is_empty(), "{:#?}", self.faults);
        let Selection::Databases(databases) = &self.selection else {
            unreachable!("the selection is two databases")
        };
        for database in databases.clone() {
            self.connection
                .execute(&format!("DROP DATABASE IF EXISTS `{database}`"))
                .await
                .unwrap();
        }
    }
}

/// What differs between a definition that was followed and the one that the server shows.
fn difference(followed: &TableDefinition, shown: &TableDefinition) -> Option<String> {
    let (followed, shown) = (comparable(followed, shown), comparable(shown, shown));
    if followed == shown {
        return None;
    }
    for (followed, shown) in followed.columns.iter().zip(&shown.columns) {
        if followed != shown {
            return Some(format!("{followed:?} for {shown:?}"));
        }
    }
    let rest = |table: TableDefinition| {
        (
            table.charset,
            table.columns.len(),
            table.primary_key,
            table.unique_keys,
        )
    };
    Some(format!("{:?} for {:?}", rest(followed), rest(shown)))
}

/// A definition in a form that is equal where it has to be: unique indexes in any order (their order shows in the key),
/// collations only where both name one.
fn comparable(table: &TableDefinition, shown: &TableDefinition) -> TableDefinition {
    let mut table = table.clone();
    // Under a primary key no other one matters, and an index that ALTER adds without a name is not followed for certain.
    if !shown.primary_key.is_empty() {
        table.unique_keys.clear();
    }
    table
        .unique_keys
        .sort_by(|one, other| one.name.cmp(&other.name));
    for (column, shown) in table.columns.iter_mut().zip(&shown.columns) {
        if let ColumnType::Text { collation, .. } = &mut column.column_type
            && collation.is_empty()
            && let ColumnType::Text {
                collation: shown, ..
            } = &shown.column_type
        {
            *collation = Arc::clone(shown);
        }
    }
    table
}

async fn follow_corpus(flavor: Flavor) {
    let server = shared(flavor).unwrap();
    let mut follower = Follower::start(flavor, &server).await;
    for sql in corpus::statements(flavor) {
        if let Err(error) = follower.step(sql).await {
            follower.faults.push(format!("{sql}: {error}"));
        }
    }
    let unknown = follower.unknown.len();
    println!(
        "{}: {} statements, {unknown} unknown",
        flavor.name(),
        follower.followed
    );
    println!("unknown: {:#?}", follower.unknown);
    assert!(follower.followed >= 80);
    assert!(
        unknown * 10 <= follower.followed,
        "too much is unknown: {:#?}",
        follower.unknown
    );
    follower.end().await;
}

#[tokio::test]
async fn the_corpus_is_followed_on_mariadb_10_11() {
    follow_corpus(Flavor::MariaDb1011).await;
}

#[tokio::test]
async fn the_corpus_is_followed_on_mariadb_11_8() {
    follow_corpus(Flavor::MariaDb118).await;
}

#[tokio::test]
async fn the_corpus_is_followed_on_mysql_9_7() {
    follow_corpus(Flavor::MySql97).await;
}

/// How many random statements a server is given.
const RANDOM_STATEMENTS: usize = 300;

async fn follow_random(flavor: Flavor) {
    let seed = random::seed();
    println!("seed {seed} (HEADWATER_SEED)");
    let mut random = random::Random::new(seed);
    let server = shared(flavor).unwrap();
    let mut follower = Follower::start(flavor, &server).await;
    let mut accepted = 0;
    while follower.followed < RANDOM_STATEMENTS {
        let table = TableName::new(Arc::clone(&follower.rules.database), "t");
        let now = match follower.catalog.get(&table) {
            Lookup::Known(definition) => Some(Arc::clone(definition)),
            Lookup::Unknown | Lookup::Sequence | Lookup::Absent => None,
        };
        let sql = random.statement(now.as_deref(), flavor.is_mariadb());
        // What the server refuses is not in its log either.
        accepted += usize::from(follower.step(&sql).await.is_ok());
    }
    let unknown = follower.unknown.len();
    println!("{}: {accepted} accepted, {unknown} unknown", flavor.name());
    assert!(
        unknown * 5 <= accepted,
        "too much is unknown: {:#?}",
        follower.unknown
    );
    follower.end().await;
}

#[tokio::test]
async fn random_alterations_are_followed_on_mariadb_10_11() {
    follow_random(Flavor::MariaDb1011).await;
}

#[tokio::test]
async fn random_alterations_are_followed_on_mariadb_11_8() {
    follow_random(Flavor::MariaDb118).await;
}

#[tokio::test]
async fn random_alterations_are_followed_on_mysql_9_7() {
    follow_random(Flavor::MySql97).await;
}

#[tokio::test]
async fn a_table_that_is_not_there_is_named_with_the_nearest_one() {
    for flavor in Flavor::ALL {
        let server = shared(flavor).unwrap();
        let database = server.fresh_database("hw_schema").unwrap();
        let options = ConnectOptions::from_url(&server.database_url(&database)).unwrap();
        let mut connection = Connection::connect(&options).await.unwrap();
        connection
            .execute("CREATE TABLE orders (id INT PRIMARY KEY)")
            .await
            .unwrap();
        connection
            .execute("CREATE VIEW some_orders AS SELECT * FROM orders")
            .await
            .unwrap();
        for (name, hint) in [
            ("order", format!("is {database}.orders meant?")),
            ("zzz", "GRANT".into()),
        ] {
            let selection = Selection::Tables(vec![TableName::new(database.as_str(), name)]);
            let error = read_definitions(&mut connection, &selection)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.hint_text().unwrap().contains(&hint), "{error:?}");
        }
        let view = Selection::Tables(vec![TableName::new(database.as_str(), "some_orders")]);
        let error = read_definitions(&mut connection, &view).await.unwrap_err();
        assert!(error.to_string().contains("view"), "{error:?}");
        connection
            .execute(&format!("DROP DATABASE `{database}`"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn facts_name_engine_and_cascades() {
    for flavor in Flavor::ALL {
        let server = shared(flavor).unwrap();
        let database = server.fresh_database("hw_schema").unwrap();
        let options = ConnectOptions::from_url(&server.database_url(&database)).unwrap();
        let mut connection = Connection::connect(&options).await.unwrap();
        for sql in [
            "CREATE TABLE parent (id INT PRIMARY KEY)",
            "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
            "CREATE TABLE plain (id INT PRIMARY KEY) ENGINE=MyISAM",
        ] {
            connection.execute(sql).await.unwrap();
        }
        let selection = Selection::Databases(vec![database.as_str().into()]);
        let found = read_definitions(&mut connection, &selection).await.unwrap();
        let facts: Vec<_> = found
            .iter()
            .map(|(table, facts)| {
                (
                    &*table.name.table,
                    &*facts.engine,
                    facts.transactional,
                    facts.has_cascading_foreign_keys,
                )
            })
            .collect();
        let expected = [
            ("child", "InnoDB", true, true),
            ("parent", "InnoDB", true, false),
            ("plain", "MyISAM", false, false),
        ];
        assert_eq!(facts, expected);
        connection
            .execute(&format!("DROP DATABASE `{database}`"))
            .await
            .unwrap();
    }
}
