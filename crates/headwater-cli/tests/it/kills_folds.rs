//! Kills of runs that fold: writers change a table (rows come, change, leave the filter, change their key and their day, go) while the
//! program folds what was there and what happens, and is killed (SIGKILL) at random moments and at named failpoints. Afterwards each
//! aggregate must be what `GROUP BY` says, wherever they are kept: in a file, or in a Redis or a Valkey that stands still, or dies, too.
//! Sketches must be within the bounds that they state ([`sketches`]).
//!
//! A scene has a seed, which a failure names: always the same one in CI, any in a soak; `HEADWATER_SEED` runs one again.

mod sketches;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_servers::redis::{Redis, RedisFlavor, RedisOptions};
use headwater_servers::{Flavor, Instance, Options, Signal};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::command::{Said, run_in};
use super::kills::play::{Death, Writing, end_within, privileges, program, scenes, seed};

const DATABASE: &str = "kills";
const WRITERS: i64 = 3;
const CUSTOMERS: i64 = 40;

struct Scene {
    flavor: Flavor,
    may_lock: bool,
    rows: i64,
    kills: u32,
    /// Build anew once amid the kills.
    rebuilds: bool,
    /// Where aggregates are kept; a file if none.
    redis: Option<RedisFlavor>,
}

impl Scene {
    const fn new(flavor: Flavor, may_lock: bool) -> Self {
        Self {
            flavor,
            may_lock,
            rows: 2_000,
            kills: 10,
            rebuilds: false,
            redis: None,
        }
    }

    fn soak(self) -> Self {
        Self {
            kills: self.kills * 10,
            ..self
        }
    }

    fn kept_in(self, redis: RedisFlavor) -> Self {
        Self {
            redis: Some(redis),
            ..self
        }
    }

    fn rebuilt(self) -> Self {
        Self {
            rebuilds: true,
            ..self
        }
    }
}

/// A key, and the bucket or the map's entry in it.
type Place = (String, String);

/// The folds, with what `GROUP BY` says of each: a line an aggregate, key and bucket and value.
const FOLDS: [(&str, &str); 8] = [
    (
        "{name: revenue, table: orders, key: customer, value: amount, monoid: sum, window: {every: day, of: at, zone: Europe/Berlin}, filter: \"status = 'paid'\"}",
        "SELECT customer, DATE(CONVERT_TZ(at, '+00:00', '+00:00')), SUM(amount) FROM orders WHERE status = 'paid' GROUP BY 1, 2 HAVING SUM(amount) <> 0",
    ),
    (
        "{name: orders, table: orders, key: [region, customer], monoid: count}",
        "SELECT CONCAT(region, '/', customer), '', COUNT(*) FROM orders GROUP BY region, customer",
    ),
    (
        "{name: all, table: orders, value: quantity, monoid: sum}",
        "SELECT '', '', SUM(quantity) FROM orders",
    ),
    (
        "{name: mean, table: orders, key: region, value: quantity, monoid: average}",
        "SELECT region, '', ROUND(AVG(quantity), 4) FROM orders WHERE quantity IS NOT NULL GROUP BY region",
    ),
    (
        "{name: by_status, table: orders, key: region, value: [status, quantity], monoid: {map: {of: sum}}}",
        "SELECT region, status, SUM(quantity) FROM orders WHERE quantity IS NOT NULL GROUP BY region, status HAVING SUM(quantity) <> 0",
    ),
    (
        "{name: highest, table: orders, key: [region, customer], value: quantity, monoid: max, take_back: refold}",
        "SELECT CONCAT(region, '/', customer), '', MAX(quantity) FROM orders WHERE quantity IS NOT NULL GROUP BY region, customer",
    ),
    (
        "{name: lowest, table: orders, key: region, value: quantity, monoid: min, window: {every: day, of: at}, filter: \"status = 'paid'\", take_back: refold}",
        "SELECT region, DATE(at), MIN(quantity) FROM orders WHERE status = 'paid' AND quantity IS NOT NULL GROUP BY 1, 2",
    ),
    (
        "{name: customers, table: orders, key: [status, region], value: customer, monoid: set, take_back: refold}",
        "SELECT CONCAT(status, '/', region), '', COUNT(DISTINCT customer) FROM orders GROUP BY status, region",
    ),
];

struct Writer {
    number: i64,
    next: i64,
    random: StdRng,
    rows: Vec<i64>,
}

impl Writer {
    fn new(number: i64, seed: u64) -> Self {
        Self {
            number,
            next: 0,
            random: StdRng::seed_from_u64(seed ^ (number.cast_unsigned() << 32)),
            rows: Vec::new(),
        }
    }

    fn fresh(&mut self) -> i64 {
        self.next += 1;
        (self.next * WRITERS + self.number) * 7_919 % 1_000_000_007
    }

    fn values(&mut self) -> String {
        let random = &mut self.random;
        let quantity = match random.random_range(0..10) {
            0 => "NULL".to_owned(),
            _ => random.random_range(-20..100).to_string(),
        };
        format!(
            "{}, '{}', {}.{:02}, {quantity}, '{}', '2026-03-{:02} 12:00:00'",
            random.random_range(0..CUSTOMERS),
            ["eu", "us", "a/b"][random.random_range(0..3)],
            random.random_range(-50..500),
            random.random_range(0..100),
            ["paid", "open", "refunded"][random.random_range(0..3)],
            random.random_range(1..29),
        )
    }

    fn insert(&mut self) -> String {
        let key = self.fresh();
        self.rows.push(key);
        format!("INSERT INTO orders VALUES ({key}, {})", self.values())
    }

    async fn run(mut self, options: ConnectOptions, stop: Arc<AtomicBool>) {
        let mut connection = Connection::connect(&options).await.unwrap();
        while !stop.load(Ordering::Relaxed) {
            let before = self.rows.clone();
            connection.execute("BEGIN").await.unwrap();
            for _ in 0..self.random.random_range(1..=5) {
                let sql = self.change();
                connection.execute(&sql).await.unwrap();
            }
            let visits = sketches::visits(&mut self.random);
            connection.execute(&visits).await.unwrap();
            if self.random.random_bool(0.1) {
                connection.execute("ROLLBACK").await.unwrap();
                self.rows = before;
            } else {
                connection.execute("COMMIT").await.unwrap();
            }
            let pause_ms = self.random.random_range(0..4);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        connection.close().await;
    }

    fn change(&mut self) -> String {
        let what = self.random.random_range(0..10);
        if what < 3 || self.rows.len() < 10 {
            return self.insert();
        }
        let at = self.random.random_range(0..self.rows.len());
        let key = self.rows[at];
        if what < 5 {
            self.rows.swap_remove(at);
            return format!("DELETE FROM orders WHERE id = {key}");
        }
        if what == 5 {
            let new = self.fresh();
            self.rows[at] = new;
            return format!("UPDATE orders SET id = {new} WHERE id = {key}");
        }
        let new = self.values();
        format!("REPLACE INTO orders VALUES ({key}, {new})")
    }
}

fn configuration(server: &Instance, redis: Option<&Redis>) -> String {
    let mut folds = String::new();
    for fold in FOLDS.map(|(fold, _)| fold).iter().chain(&sketches::FOLDS) {
        let _ = writeln!(folds, "    - {fold}");
    }
    let store = match redis {
        None => "folds.redb".to_owned(),
        // With a cache that some of the aggregates fit in.
        Some(redis) => format!("{}/0?name=kills\n  cache_bytes_max: 100000", redis.url()),
    };
    format!(
        "connections:\n  mysql: {{host: 127.0.0.1, port: {}, user: cdc, password: secret, database: {DATABASE}}}\n\
         mysql:\n  partitioning: {{lower_bound: 1, upper_bound: 1000000007, num: 20}}\n\
         readers: 3\nfolds:\n  store: {store}\n  pending_bytes_max: 1048576\n  pipelines:\n{folds}",
        server.port()
    )
}

/// How the process dies.
const DEATH: Death = Death {
    failpoints: &[
        "cut.open",
        "fold.refolding",
        "fold.merged",
        "fold.committed",
    ],
    hits_max: 5,
    life_ms: 100..2_500,
};

/// What a fold holds, as `GROUP BY` would say it.
fn held(folder: &Path, fold: &str) -> BTreeMap<Place, String> {
    let mut words = vec![
        "query",
        fold,
        "--config",
        "config.yaml",
        "--json",
        "--top",
        "10000",
    ];
    if matches!(fold, "revenue" | "lowest") {
        words.extend(["--from", "2026-01-01", "--to", "2026-12-31", "--windows"]);
    }
    let said = run_in(folder, &words);
    assert_eq!(said.code, 0, "{}", said.err);
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    let mut found = BTreeMap::new();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for one in answer["answers"].as_array().unwrap() {
        let key = one["key"].as_str().unwrap().replace("\\/", "/");
        match fold {
            "revenue" | "lowest" => {
                for window in one["windows"].as_array().unwrap() {
                    let (day, _) = window["from"].as_str().unwrap().split_once('T').unwrap();
                    found.insert((key.clone(), day.to_owned()), text(&window["value"]));
                }
            }
            "customers" => {
                let members = one["value"].as_array().unwrap().len();
                found.insert((key, String::new()), members.to_string());
            }
            "by_status" => {
                for (status, sum) in one["value"].as_object().unwrap() {
                    found.insert((key.clone(), status.clone()), text(sum));
                }
            }
            _ => drop(found.insert((key, String::new()), text(&one["value"]))),
        }
    }
    found
}

fn grouped(server: &Instance, sql: &str) -> BTreeMap<Place, String> {
    let text = server.sql(&format!("USE {DATABASE}; {sql}")).unwrap();
    let row = |line: &str| {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut cell = || cells.next().unwrap();
        ((cell(), cell()), cell())
    };
    text.lines().map(row).collect()
}

/// A server with the table, and the user.
fn prepare(scene: &Scene) -> Instance {
    let server = Instance::start(scene.flavor, &Options::default()).unwrap();
    server
        .sql(&format!(
            "CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4; USE {DATABASE}; {} \
             CREATE TABLE orders (id INT PRIMARY KEY, customer INT NOT NULL, region VARCHAR(10) NOT NULL, amount DECIMAL(10,2) NOT NULL, \
             quantity INT, status VARCHAR(10) NOT NULL, at DATETIME NOT NULL); {}",
            privileges(scene.flavor, scene.may_lock),
            sketches::TABLE
        ))
        .unwrap();
    server
}

async fn filled(options: &ConnectOptions, seed: u64, rows: i64) -> Vec<Writer> {
    let mut connection = Connection::connect(options).await.unwrap();
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let mut writer = Writer::new(number, seed);
        for _ in 0..rows / 100 {
            let rows: Vec<String> = (0..100)
                .map(|_| writer.insert().replace("INSERT INTO orders VALUES ", ""))
                .collect();
            let sql = format!("INSERT INTO orders VALUES {}", rows.join(", "));
            connection.execute(&sql).await.unwrap();
            let visits = sketches::visits(&mut writer.random);
            connection.execute(&visits).await.unwrap();
        }
        writers.push(writer);
    }
    writers
}

fn kills(scene: &Scene, folder: &Path, mut redis: Option<&mut Redis>, random: &mut StdRng) {
    for kill in 0..scene.kills {
        let anew: &[&str] = if scene.rebuilds && kill == scene.kills / 2 {
            // Something is served by then.
            let said = to_now(folder);
            assert_eq!(said.code, 0, "{}", said.err);
            &["--rebuild-folds"]
        } else {
            &[]
        };
        match (&mut redis, kill % 4) {
            (Some(redis), 1) if anew.is_empty() => while_it_stands_still(redis, folder, random),
            (Some(redis), 3) if anew.is_empty() => while_it_dies(redis, folder, random),
            _ => DEATH.of(folder, random, anew),
        }
        if scene.rebuilds && kill == scene.kills * 3 / 4 {
            // What was built anew answers from now on, and the log is followed on it.
            let said = to_now(folder);
            assert_eq!(said.code, 0, "{}", said.err);
        }
    }
}

/// What the process asked for is done after it has died, and perhaps after the next one has taken over.
fn while_it_stands_still(redis: &Redis, folder: &Path, random: &mut StdRng) {
    let mut running = program(folder, &[]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(random.random_range(100..1_500)));
    redis.signal(Signal::Stop).unwrap();
    std::thread::sleep(Duration::from_millis(random.random_range(10..300)));
    running.kill().unwrap();
    running.wait().unwrap();
    redis.signal(Signal::Continue).unwrap();
}

/// The store is killed under a process, best between a step's merges and its commit; the process goes on once it is back, and is
/// killed then.
fn while_it_dies(redis: &mut Redis, folder: &Path, random: &mut StdRng) {
    let mut command = program(folder, &[]);
    let hit = random.random_range(1..3);
    command.env(
        "HEADWATER_FAILPOINTS",
        format!("fold.merged=sleep_ms@{hit}:1000"),
    );
    let mut running = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(random.random_range(500..2_500)));
    redis.kill().unwrap();
    redis.restart().unwrap();
    let life = Duration::from_millis(random.random_range(1_000..3_500));
    let status = end_within(&mut running, life);
    // It may find a database that is slow (3), and nothing else.
    assert!(
        status.signal().is_some() || status.code() == Some(3),
        "it gave up: {status}"
    );
}

fn to_now(folder: &Path) -> Said {
    run_in(
        folder,
        &["run", "--config", "config.yaml", "--until", "now"],
    )
}

/// Each aggregate against what `GROUP BY` says.
fn judge(server: &Instance, folder: &Path, what: &str) {
    for (fold, sql) in FOLDS {
        let name = fold.split(',').next().unwrap();
        let name = name.trim_start_matches("{name: ");
        let (held, grouped) = (held(folder, name), grouped(server, sql));
        assert!(!grouped.is_empty(), "{what}: nothing is compared");
        let wrong: Vec<_> = (grouped.iter())
            .filter(|(place, value)| held.get(*place) != Some(value))
            .map(|(place, value)| (place, value, held.get(place)))
            .take(5)
            .collect();
        assert!(
            wrong.is_empty(),
            "{what}, {name}: (place, what GROUP BY says, what the fold holds) {wrong:?}"
        );
        let is_more = |(place, value): &(&Place, &String)| {
            !grouped.contains_key(*place) && value.parse::<f64>() != Ok(0.0)
        };
        let more: Vec<_> = held.iter().filter(is_more).take(5).collect();
        assert!(
            more.is_empty(),
            "{what}, {name}: GROUP BY knows nothing of {more:?}"
        );
    }
}

async fn play(scene: Scene) {
    let seed = seed();
    let folder = tempfile::tempdir().unwrap();
    let server = prepare(&scene);
    let options = RedisOptions::default();
    let mut redis = (scene.redis).map(|flavor| Redis::start(flavor, &options).unwrap());
    let configuration = configuration(&server, redis.as_ref());
    fs::write(folder.path().join("config.yaml"), configuration).unwrap();
    let options = ConnectOptions::from_url(&server.url("root", "", DATABASE)).unwrap();
    let writers = filled(&options, seed, scene.rows).await;
    let writing = Writing::begin(writers, |writer, stop| writer.run(options.clone(), stop));
    let mut random = StdRng::seed_from_u64(seed);
    let (folder, scene, _redis) = tokio::task::spawn_blocking(move || {
        kills(&scene, folder.path(), redis.as_mut(), &mut random);
        (folder, scene, redis)
    })
    .await
    .unwrap();
    writing.end().await;
    let said = to_now(folder.path());
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let what = format!("seed {seed}, {:?}, {:?}", scene.flavor, scene.redis);
    assert_eq!(
        said.code, 0,
        "{what}: the last run failed\n{log}\n{}",
        said.err
    );
    judge(&server, folder.path(), &what);
    sketches::judge(&server, folder.path(), &what);
}

scenes! {
    folds_are_what_group_by_says_whatever_is_killed_on_mariadb_10_11, soak_kills_folds_mariadb_10_11: Scene::new(Flavor::MariaDb1011, true);
    folds_are_what_group_by_says_whatever_is_killed_on_mysql_9_7, soak_kills_folds_mysql_9_7: Scene::new(Flavor::MySql97, false);
    folds_built_anew_are_what_group_by_says_whatever_is_killed, soak_kills_folds_anew: Scene::new(Flavor::MariaDb118, true).rebuilt();
    folds_in_redis_are_what_group_by_says_whatever_is_killed, soak_kills_folds_redis: Scene::new(Flavor::MariaDb1011, true).kept_in(RedisFlavor::Redis);
    folds_in_valkey_are_what_group_by_says_whatever_is_killed, soak_kills_folds_valkey: Scene::new(Flavor::MySql97, false).kept_in(RedisFlavor::Valkey);
    folds_built_anew_in_valkey_are_what_group_by_says, soak_kills_folds_valkey_anew: Scene::new(Flavor::MariaDb118, true).kept_in(RedisFlavor::Valkey).rebuilt();
}
