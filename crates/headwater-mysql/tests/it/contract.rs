//! The suite that every source must pass, on real servers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use headwater_mysql::config::ConnectOptions;
use headwater_mysql::schema::Selection;
use headwater_mysql::{MysqlSource, Settings};
use headwater_servers::{Flavor, Instance, Options};
use headwater_testkit::conformance::source::{self, SourceHarness};
use headwater_testkit::oracle::{Image, Keys};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SEED: u64 = 20_261_121;
const TABLES: [&str; 2] = ["numbers", "words"];

struct Server {
    instance: Instance,
    source: MysqlSource,
    random: Mutex<StdRng>,
}

impl Server {
    fn start(flavor: Flavor) -> Self {
        let instance = Instance::start(flavor, &Options::default()).unwrap();
        let mut sql = String::from(
            "CREATE DATABASE d; USE d; \
             CREATE TABLE numbers (id BIGINT PRIMARY KEY, note VARCHAR(40) NOT NULL); \
             CREATE TABLE words (id VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, note VARCHAR(40) NOT NULL);",
        );
        for table in TABLES {
            for id in (0..600).step_by(2) {
                write!(sql, "INSERT INTO {table} VALUES ('{id}', 'first {id}');").unwrap();
            }
        }
        instance.sql(&sql).unwrap();
        let options = ConnectOptions::from_url(&instance.url("root", "", "d")).unwrap();
        let source = MysqlSource::new(Settings::new(
            options,
            Selection::Databases(vec!["d".into()]),
        ));
        Self {
            instance,
            source,
            random: Mutex::new(StdRng::seed_from_u64(SEED)),
        }
    }
}

impl SourceHarness for Server {
    type Source = MysqlSource;

    fn source(&self) -> &MysqlSource {
        &self.source
    }

    async fn change(&self, count: u64) {
        let mut sql = String::from("USE d;");
        {
            let mut random = self.random.lock().unwrap();
            for number in 0..count {
                sql.push_str("BEGIN;");
                for _ in 0..if number % 10 == 3 {
                    130
                } else {
                    random.random_range(1..4)
                } {
                    let table = TABLES[random.random_range(0..TABLES.len())];
                    let id = random.random_range(0..600);
                    match random.random_range(0..3) {
                        0 => write!(sql, "DELETE FROM {table} WHERE id = '{id}';").unwrap(),
                        _ => {
                            let note = random.random::<u32>();
                            write!(sql, "INSERT INTO {table} VALUES ('{id}', '{note}') ON DUPLICATE KEY UPDATE note = VALUES(note);").unwrap();
                        }
                    }
                }
                sql.push_str(if random.random_bool(0.1) {
                    "ROLLBACK;"
                } else {
                    "COMMIT;"
                });
            }
        }
        self.instance.sql(&sql).unwrap();
    }

    async fn contents(&self) -> BTreeMap<String, Vec<Image>> {
        let rows = |table: &str| {
            let text = self
                .instance
                .sql(&format!("SELECT id, note FROM d.{table}"))
                .unwrap();
            let image = |line: &str| {
                let (id, note) = line.split_once('\t').unwrap();
                let pair = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
                Image::from([pair("id", id), pair("note", note)])
            };
            text.lines().map(image).collect()
        };
        TABLES
            .iter()
            .map(|table| (format!("d.{table}"), rows(table)))
            .collect()
    }

    fn keys(&self) -> Keys {
        TABLES
            .iter()
            .map(|table| (format!("d.{table}"), vec!["id".to_owned()]))
            .collect()
    }
}

async fn keeps_its_contract(flavor: Flavor) {
    let server = Server::start(flavor);
    source::a_cut_is_exact(&server).await;
    source::planned_splits_hold_every_row_once(&server).await;
    source::a_split_goes_on_from_its_cursor(&server).await;
    source::keys_are_read_as_splits_are(&server).await;
    source::the_log_stops_at_its_target(&server).await;
    source::the_log_goes_on_from_every_point(&server).await;
    source::a_call_given_up_loses_nothing(&server, SEED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_10_11_keeps_the_contract_of_sources() {
    keeps_its_contract(Flavor::MariaDb1011).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_11_8_keeps_the_contract_of_sources() {
    keeps_its_contract(Flavor::MariaDb118).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_9_7_keeps_the_contract_of_sources() {
    keeps_its_contract(Flavor::MySql97).await;
}
