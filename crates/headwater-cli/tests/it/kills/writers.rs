//! Writers that change tables while the program runs, and record what truly happened: each owns its keys, so that the order
//! of its own commits is the true order of every key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_testkit::oracle::{Event, Image, Kind};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// The tables, by the kind of their key.
pub(crate) const TABLES: [&str; 5] = ["t_int", "t_unsigned", "t_ci", "t_binary", "t_pair"];

/// Their definitions.
pub(crate) const DEFINITIONS: &str = "\
    CREATE TABLE t_int (k INT PRIMARY KEY, n INT, s VARCHAR(60));\
    CREATE TABLE t_unsigned (k BIGINT UNSIGNED PRIMARY KEY, n INT, s VARCHAR(60));\
    CREATE TABLE t_ci (k VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, n INT, s VARCHAR(60));\
    CREATE TABLE t_binary (k BINARY(8) PRIMARY KEY, n INT, s VARCHAR(60));\
    CREATE TABLE t_pair (k INT, k2 VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci, n INT, s VARCHAR(60), PRIMARY KEY (k, k2));";

/// The columns of a table's key.
pub(crate) fn key_columns(table: &str) -> Vec<String> {
    if table == "t_pair" {
        vec!["k".into(), "k2".into()]
    } else {
        vec!["k".into()]
    }
}

/// A row that a writer owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// The writer's number for it; with `upper` it makes the key.
    id: u64,
    /// Whether letters of a text key are upper case: another key by identity, the same by the collation.
    upper: bool,
    n: i64,
    s: String,
}

impl Row {
    fn letter(&self) -> &'static str {
        if self.upper { "K" } else { "k" }
    }

    fn spread(&self) -> u64 {
        // Neighbours are far apart in key order, so that every split sees every writer.
        self.id.wrapping_mul(2_654_435_761) % 1_000_000_007
    }

    /// The columns as SQL constants.
    fn sql(&self, table: &str) -> Vec<(&'static str, String)> {
        let mut columns = match table {
            "t_int" => vec![("k", (self.spread().cast_signed() - 500_000_000).to_string())],
            "t_unsigned" => vec![("k", (u64::MAX - self.spread()).to_string())],
            "t_ci" => vec![("k", format!("'{}-{}'", self.letter(), self.spread()))],
            "t_binary" => vec![("k", format!("x'{:016x}'", self.spread() << 20))],
            _ => vec![
                ("k", (self.spread() % 97).to_string()),
                ("k2", format!("'{}{}'", self.letter(), self.id)),
            ],
        };
        columns.push(("n", self.n.to_string()));
        columns.push(("s", format!("'{}'", self.s)));
        columns
    }

    /// The row as events show it.
    pub(crate) fn image(&self, table: &str) -> Image {
        let text = |(name, sql): (&str, String)| {
            let value = match sql.strip_prefix("x'") {
                Some(_) => STANDARD.encode((self.spread() << 20).to_be_bytes()),
                None => sql.trim_matches('\'').to_owned(),
            };
            (name.to_owned(), Some(value))
        };
        self.sql(table).into_iter().map(text).collect()
    }

    fn insert(&self, table: &str) -> String {
        let values: Vec<String> = self.sql(table).into_iter().map(|(_, sql)| sql).collect();
        format!("({})", values.join(", "))
    }

    fn condition(&self, table: &str) -> String {
        let mut columns = self.sql(table);
        columns.truncate(key_columns(table).len());
        let parts: Vec<String> = columns
            .into_iter()
            .map(|(name, sql)| format!("{name} = {sql}"))
            .collect();
        parts.join(" AND ")
    }
}

/// One writer's rows and what it did to them.
#[derive(Debug)]
pub(crate) struct Writer {
    number: u64,
    next_id: u64,
    random: StdRng,
    rows: BTreeMap<&'static str, Vec<Row>>,
    /// Committed changes, in order.
    pub(crate) done: Vec<Event>,
}

impl Writer {
    pub(crate) fn new(number: u64, seed: u64) -> Self {
        Self {
            number,
            next_id: 0,
            random: StdRng::seed_from_u64(seed ^ (number << 32)),
            rows: TABLES.iter().map(|table| (*table, Vec::new())).collect(),
            done: Vec::new(),
        }
    }

    fn new_row(&mut self) -> Row {
        self.next_id += 1;
        let id = self.number * 10_000_000 + self.next_id;
        Row {
            id,
            upper: false,
            n: 0,
            s: format!("new {id} {}", "x".repeat(self.random.random_range(0..30))),
        }
    }

    /// Fills the tables before anything is watched.
    pub(crate) async fn fill(
        &mut self,
        connection: &mut Connection,
        rows: usize,
    ) -> Vec<(String, Image)> {
        let mut images = Vec::new();
        for table in TABLES {
            let new: Vec<Row> = (0..rows).map(|_| self.new_row()).collect();
            for chunk in new.chunks(1_000) {
                let values: Vec<String> = chunk.iter().map(|row| row.insert(table)).collect();
                connection
                    .execute(&format!("INSERT INTO {table} VALUES {}", values.join(", ")))
                    .await
                    .unwrap();
            }
            images.extend(new.iter().map(|row| (table.to_owned(), row.image(table))));
            self.rows.insert(table, new);
        }
        images
    }

    /// Changes tables in transactions until `stop`.
    pub(crate) async fn run(
        mut self,
        options: ConnectOptions,
        database: String,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let mut connection = Connection::connect(&options).await.unwrap();
        while !stop.load(Ordering::Relaxed) {
            let before = self.rows.clone();
            let mut changes = Vec::new();
            connection.execute("BEGIN").await.unwrap();
            for _ in 0..self.random.random_range(1..=6) {
                let (sql, event) = self.change(&database);
                connection.execute(&sql).await.unwrap();
                changes.push(event);
            }
            if self.random.random_bool(0.1) {
                connection.execute("ROLLBACK").await.unwrap();
                self.rows = before;
            } else {
                connection.execute("COMMIT").await.unwrap();
                self.done.extend(changes);
            }
            tokio::time::sleep(std::time::Duration::from_millis(
                self.random.random_range(0..4),
            ))
            .await;
        }
        connection.close().await;
        self
    }

    fn change(&mut self, database: &str) -> (String, Event) {
        let table = *TABLES.choose(&mut self.random).unwrap();
        let full = format!("{database}.{table}");
        let count = self.rows[table].len();
        let what = if count < 10 {
            0
        } else {
            self.random.random_range(0..10)
        };
        if what < 3 {
            let row = self.new_row();
            let sql = format!("INSERT INTO {table} VALUES {}", row.insert(table));
            let event = Event::new(&full, Kind::Insert, None, Some(row.image(table)));
            self.rows.get_mut(table).unwrap().push(row);
            return (sql, event);
        }
        let at = self.random.random_range(0..count);
        let old = self.rows[table][at].clone();
        if what < 5 {
            self.rows.get_mut(table).unwrap().swap_remove(at);
            let sql = format!("DELETE FROM {table} WHERE {}", old.condition(table));
            return (
                sql,
                Event::new(&full, Kind::Delete, Some(old.image(table)), None),
            );
        }
        let mut new = old.clone();
        new.n += 1;
        match self.random.random_range(0..6) {
            0 => {
                self.next_id += 1;
                new.id = self.number * 10_000_000 + self.next_id;
            }
            // Only where it makes another key.
            1 if matches!(table, "t_ci" | "t_pair") => new.upper = !new.upper,
            _ => new.s = format!("changed {}", new.n),
        }
        let assignments: Vec<String> = new
            .sql(table)
            .into_iter()
            .map(|(name, sql)| format!("{name} = {sql}"))
            .collect();
        let sql = format!(
            "UPDATE {table} SET {} WHERE {}",
            assignments.join(", "),
            old.condition(table)
        );
        let event = Event::new(
            &full,
            Kind::Update,
            Some(old.image(table)),
            Some(new.image(table)),
        );
        self.rows.get_mut(table).unwrap()[at] = new;
        (sql, event)
    }

    /// The rows as they must be at the end.
    pub(crate) fn images(&self) -> Vec<(String, Image)> {
        let of = |(table, rows): (&&'static str, &Vec<Row>)| {
            rows.iter()
                .map(|row| ((*table).to_owned(), row.image(table)))
                .collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(of).collect()
    }
}
