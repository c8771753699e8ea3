//! Kills on the way to IoTDB: writers change a table while the program copies and follows it, and is killed (SIGKILL) at random
//! moments and at named failpoints, and IoTDB stands still or is killed, too. Afterwards IoTDB must hold what the policy says.
//!
//! A scene has a seed, which a failure names: always the same one in CI, any in a soak; `HEADWATER_SEED` runs one again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_iotdb::config::{Address, IotdbOptions, Model};
use headwater_iotdb::{Value, query};
use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_servers::iotdb::{Iotdb, IotdbOptions as ServerOptions};
use headwater_servers::{Flavor, Instance, Options, Signal};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::kills::play::{Death, Writing, privileges, program, scenes, seed};

const DATABASE: &str = "kills";
const WRITERS: i64 = 3;
/// Devices of each writer.
const DEVICES: i64 = 4;
/// 2026-01-01; a row's place in time is so many seconds after it.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// Keys are below this prime: neighbours in the order of their making are far apart.
const KEYS: i64 = 1_000_000_007;

/// Where a row's points are: its device and its second. No two rows ever share a second.
type Place = (i64, i64);

/// What is measured there.
type Measured = (i64, Option<String>);

#[derive(Debug, Clone)]
struct Row {
    key: i64,
    place: Place,
    measured: Measured,
    /// Whether it was elsewhere before.
    has_moved: bool,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Plain,
    Aligned,
    Table,
}

#[derive(Debug, Clone, Copy)]
struct Scene {
    flavor: Flavor,
    may_lock: bool,
    form: Form,
    overwrites: bool,
    deletes: bool,
    kills: u32,
}

/// One writer, with its rows as they are, and everything that was ever at a place.
struct Writer {
    number: i64,
    next: i64,
    random: StdRng,
    rows: Vec<Row>,
    versions: BTreeMap<Place, BTreeSet<Measured>>,
}

impl Writer {
    fn new(number: i64, seed: u64) -> Self {
        Self {
            number,
            next: 0,
            random: StdRng::seed_from_u64(seed ^ (number.cast_unsigned() << 32)),
            rows: Vec::new(),
            versions: BTreeMap::new(),
        }
    }

    /// A number that nobody else has, before or after.
    fn fresh(&mut self) -> i64 {
        self.next += 1;
        self.number * 1_000_000 + self.next
    }

    fn fresh_place(&mut self) -> Place {
        let device = self.number * DEVICES + self.random.random_range(0..DEVICES);
        (device, self.fresh())
    }

    fn fresh_key(&mut self) -> i64 {
        self.fresh() * 7_919 % KEYS
    }

    fn new_row(&mut self) -> Row {
        Row {
            key: self.fresh_key(),
            has_moved: false,
            place: self.fresh_place(),
            measured: (0, Some("new".to_owned())),
        }
    }

    fn insert(row: &Row) -> String {
        format!("INSERT INTO reading VALUES {}", values(row))
    }

    fn note(&mut self, row: &Row) {
        let seen = self.versions.entry(row.place).or_default();
        seen.insert(row.measured.clone());
    }

    async fn fill(&mut self, connection: &mut Connection, rows: usize) {
        for _ in 0..rows {
            let row = self.new_row();
            self.note(&row);
            self.rows.push(row);
        }
        for some in self.rows.chunks(500) {
            let all: Vec<String> = some.iter().map(values).collect();
            let sql = format!("INSERT INTO reading VALUES {}", all.join(", "));
            connection.execute(&sql).await.unwrap();
        }
    }

    async fn run(mut self, options: ConnectOptions, stop: Arc<AtomicBool>) -> Self {
        let mut connection = Connection::connect(&options).await.unwrap();
        while !stop.load(Ordering::Relaxed) {
            let before = self.rows.clone();
            let mut seen = Vec::new();
            connection.execute("BEGIN").await.unwrap();
            for _ in 0..self.random.random_range(1..=5) {
                let (sql, row) = self.change();
                connection.execute(&sql).await.unwrap();
                seen.extend(row);
            }
            if self.random.random_bool(0.1) {
                connection.execute("ROLLBACK").await.unwrap();
                self.rows = before;
            } else {
                connection.execute("COMMIT").await.unwrap();
                for row in &seen {
                    self.note(row);
                }
            }
            let pause_ms = self.random.random_range(0..5);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        connection.close().await;
        self
    }

    /// A statement, and the row as it is then.
    fn change(&mut self) -> (String, Option<Row>) {
        let what = self.random.random_range(0..10);
        if what < 3 || self.rows.len() < 10 {
            let row = self.new_row();
            self.rows.push(row.clone());
            return (Self::insert(&row), Some(row));
        }
        let at = self.random.random_range(0..self.rows.len());
        let old = self.rows[at].clone();
        if what < 5 {
            self.rows.swap_remove(at);
            let sql = format!("DELETE FROM reading WHERE k = {}", old.key);
            return (sql, None);
        }
        let mut new = old.clone();
        new.measured.0 += 1;
        match self.random.random_range(0..6) {
            // Another key, the same place.
            0 => new.key = self.fresh_key(),
            // Another time, and perhaps another device.
            1 => (new.place, new.has_moved) = (self.fresh_place(), true),
            2 => new.measured.1 = None,
            _ => new.measured.1 = Some(format!("changed, {} times", new.measured.0)),
        }
        self.rows[at] = new.clone();
        let (device, second) = new.place;
        let sql = format!(
            "UPDATE reading SET k = {}, device = {device}, at = '2026-01-01' + INTERVAL {second} SECOND, n = {}, s = {} WHERE k = {}",
            new.key,
            new.measured.0,
            text(&new),
            old.key
        );
        (sql, Some(new))
    }
}

fn values(row: &Row) -> String {
    let (device, second) = row.place;
    format!(
        "({}, {device}, '2026-01-01' + INTERVAL {second} SECOND, {}, {})",
        row.key,
        row.measured.0,
        text(row)
    )
}

fn text(row: &Row) -> String {
    let text = row.measured.1.as_ref();
    text.map_or("NULL".to_owned(), |text| format!("'{text}'"))
}

impl Scene {
    fn soak(self) -> Self {
        Self {
            kills: self.kills * 10,
            ..self
        }
    }

    fn configuration(&self, server: &Instance, iotdb: &Iotdb) -> String {
        let address = iotdb.address();
        let (host, port) = address.rsplit_once(':').unwrap();
        let (model, place) = match self.form {
            Form::Plain => (
                "aligned: false".to_owned(),
                "device_template: 'root.kills.d${device}'",
            ),
            Form::Aligned => (
                "aligned: true".to_owned(),
                "device_template: 'root.kills.d${device}'",
            ),
            Form::Table => (
                format!("model: table\n  database: {DATABASE}"),
                "tags: [device]",
            ),
        };
        let [update, delete] = [
            if self.overwrites {
                "overwrite"
            } else {
                "ignore"
            },
            if self.deletes { "delete" } else { "ignore" },
        ];
        format!(
            "connections:\n  mysql: {{host: 127.0.0.1, port: {}, user: cdc, password: secret, database: {DATABASE}}}\n  \
             iotdb: {{host: {host}, port: {port}}}\n\
             mysql:\n  partitioning: {{column: k, lower_bound: 1, upper_bound: {KEYS}, num: 25}}\n  tables: [{{name: reading}}]\n\
             iotdb:\n  {model}\n  call_timeout_s: 5\n  flush_at_checkpoint: true\n  policy: {{update: {update}, delete: {delete}}}\n  mappings:\n    - table: reading\n      \
             {place}\n      timestamp_field: at\n      measurements: [{{name: n, type: INT64}}, {{name: s, type: TEXT}}]\n\
             checkpoint: kills.checkpoint\nreaders: 3\n",
            server.port(),
        )
    }
}

/// How the process dies.
const DEATH: Death = Death {
    failpoints: &[
        "checkpoint.temporary",
        "checkpoint.renamed",
        "cut.open",
        "chunk.open",
    ],
    hits_max: 3,
    life_ms: 100..2_500,
};

/// Kills of the program, with IoTDB standing still or dying in between, and while it runs.
fn kills(scene: Scene, folder: &Path, iotdb: &mut Iotdb, random: &mut StdRng) {
    for kill in 0..scene.kills {
        match kill % 4 {
            1 => {
                iotdb.signal(Signal::Stop).unwrap();
                DEATH.of(folder, random, &[]);
                iotdb.signal(Signal::Continue).unwrap();
            }
            3 => {
                let mut running = program(folder, &[]).spawn().unwrap();
                std::thread::sleep(Duration::from_millis(random.random_range(100..1_500)));
                iotdb.kill().unwrap();
                iotdb.restart().unwrap();
                std::thread::sleep(Duration::from_millis(random.random_range(100..3_000)));
                running.kill().unwrap();
                running.wait().unwrap();
            }
            _ => DEATH.of(folder, random, &[]),
        }
    }
}

/// What IoTDB holds.
async fn points(scene: Scene, iotdb: &Iotdb) -> BTreeMap<Place, Measured> {
    let address = iotdb.address();
    let (host, port) = address.rsplit_once(':').unwrap();
    let address = Address {
        host: host.to_owned(),
        port: port.parse().unwrap(),
    };
    let mut options = IotdbOptions::new(vec![address], Vec::new());
    let is_table = matches!(scene.form, Form::Table);
    let statement = if is_table {
        options.model = Model::Table {
            database: DATABASE.to_owned(),
        };
        "SELECT time, device, n, s FROM reading"
    } else {
        "SELECT n, s FROM root.kills.** ALIGN BY DEVICE"
    };
    let rows = query(&options, statement).await.unwrap();
    let mut found = BTreeMap::new();
    for (number, values) in rows.values.iter().enumerate() {
        let (time, values) = match (is_table, values.as_slice()) {
            (true, [Value::Int64(time), rest @ ..]) => (*time, rest),
            (false, rest) => (rows.times[number], rest),
            other => panic!("{other:?}"),
        };
        let [device, n, s] = values else {
            panic!("{values:?}")
        };
        let device = device.text().unwrap();
        let device = device.trim_start_matches("root.kills.d").parse().unwrap();
        let n = match n {
            Value::Int64(n) => *n,
            other => panic!("{other:?}"),
        };
        let place = (device, (time - EPOCH_MS) / 1_000);
        let text = (*s != Value::Null).then(|| s.text().unwrap());
        assert!(found.insert(place, (n, text)).is_none(), "{place:?} twice");
    }
    found
}

fn judge(scene: Scene, writers: &[Writer], found: &BTreeMap<Place, Measured>, what: &str) {
    // A row whose move is ignored stays where it was.
    let rows = (writers.iter().flat_map(|writer| &writer.rows))
        .filter(|row| scene.overwrites || !row.has_moved);
    let expected: BTreeMap<Place, &Measured> = rows.map(|row| (row.place, &row.measured)).collect();
    for (place, measured) in &expected {
        let there = found.get(place);
        assert!(there.is_some(), "{what}: the row at {place:?} is lost");
        assert!(
            !scene.overwrites || there == Some(measured),
            "{what}: at {place:?} is {there:?}, not {measured:?}"
        );
    }
    let versions: BTreeMap<&Place, &BTreeSet<Measured>> =
        writers.iter().flat_map(|writer| &writer.versions).collect();
    for (place, there) in found {
        assert!(
            !scene.deletes || !scene.overwrites || expected.contains_key(place),
            "{what}: no row is at {place:?}, and {there:?} is"
        );
        // What may stay is at least something that was there once: made of two only where updates are ignored, and a crash amid
        // the first copy had the row read twice.
        let is_known = versions.get(place).is_some_and(|seen| {
            seen.contains(there)
                || !scene.overwrites
                    && seen.iter().any(|(n, _)| *n == there.0)
                    && seen.iter().any(|(_, text)| *text == there.1)
        });
        assert!(is_known, "{what}: {there:?} was never at {place:?}");
    }
}

async fn play(scene: Scene) {
    let seed = seed();
    let folder = tempfile::tempdir().unwrap();
    let server = Instance::start(scene.flavor, &Options::default()).unwrap();
    server
        .sql(&format!(
            "CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4; USE {DATABASE}; {} \
             CREATE TABLE reading (k INT PRIMARY KEY, device INT NOT NULL, at DATETIME(3) NOT NULL, n BIGINT, s VARCHAR(60));",
            privileges(scene.flavor, scene.may_lock)
        ))
        .unwrap();
    let mut iotdb = Iotdb::start(&ServerOptions::default()).unwrap();
    let configuration = scene.configuration(&server, &iotdb);
    fs::write(folder.path().join("config.yaml"), configuration).unwrap();

    let options = ConnectOptions::from_url(&server.url("root", "", DATABASE)).unwrap();
    let mut connection = Connection::connect(&options).await.unwrap();
    let mut writers = Vec::new();
    for number in 1..=WRITERS {
        let mut writer = Writer::new(number, seed);
        writer.fill(&mut connection, 2_000).await;
        writers.push(writer);
    }
    let writing = Writing::begin(writers, |writer, stop| writer.run(options.clone(), stop));
    let mut random = StdRng::seed_from_u64(seed);
    let (iotdb, folder) = tokio::task::spawn_blocking(move || {
        kills(scene, folder.path(), &mut iotdb, &mut random);
        (iotdb, folder)
    })
    .await
    .unwrap();
    let writers = writing.end().await;
    let status = program(folder.path(), &["--until", "now"])
        .status()
        .unwrap();
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(status.success(), "seed {seed}: the last run failed\n{log}");
    let what = format!("seed {seed}, {scene:?}");
    judge(scene, &writers, &points(scene, &iotdb).await, &what);
}

const DELETED_AND_MOVED: Scene = Scene {
    flavor: Flavor::MariaDb1011,
    may_lock: true,
    form: Form::Plain,
    overwrites: true,
    deletes: true,
    kills: 8,
};
const DELETES_LEFT: Scene = Scene {
    flavor: Flavor::MySql97,
    may_lock: false,
    form: Form::Aligned,
    deletes: false,
    ..DELETED_AND_MOVED
};
const IN_TABLES: Scene = Scene {
    flavor: Flavor::MariaDb118,
    form: Form::Table,
    ..DELETED_AND_MOVED
};
const UPDATES_LEFT: Scene = Scene {
    flavor: Flavor::MySql97,
    form: Form::Plain,
    overwrites: false,
    deletes: false,
    ..DELETED_AND_MOVED
};

scenes! {
    devices_hold_the_rows_and_nothing_else_whatever_is_killed, soak_kills_iotdb_devices: DELETED_AND_MOVED;
    devices_keep_what_is_deleted_where_that_is_wanted, soak_kills_iotdb_deletes_left: DELETES_LEFT;
    tables_hold_the_rows_and_nothing_else_whatever_is_killed, soak_kills_iotdb_tables: IN_TABLES;
    devices_keep_the_first_where_updates_are_ignored, soak_kills_iotdb_updates_left: UPDATES_LEFT;
}
