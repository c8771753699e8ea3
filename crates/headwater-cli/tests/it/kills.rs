//! Kills: writers change tables while the program copies and follows them, and it is killed (SIGKILL) at random moments and
//! at named failpoints, again and again. Afterwards the target (a file, or Kafka as a read-committed consumer sees it)
//! must hold, for each key, its value at its cut and then every later change, once; and replaying it must give the tables.
//!
//! A run has a seed, which a failure names: always the same one in CI, any in a soak; `HEADWATER_SEED` runs one again.

mod target;
mod writers;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_servers::{Flavor, Instance, Options};
use headwater_testkit::oracle::{Delivery, History, Image, Keys, Oracle, from_json_lines};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::target::Target;
use self::writers::{DEFINITIONS, TABLES, Writer, key_columns};

const DATABASE: &str = "kills";
const WRITERS: u64 = 3;

/// What the user may do.
#[derive(Debug, Clone, Copy)]
enum Grants {
    All,
    NoLock,
}

struct Scene {
    flavor: Flavor,
    grants: Grants,
    /// Rows of each table and writer at the start.
    rows: usize,
    kills: u32,
    readers: u32,
    /// Whether only rows that meet [`CONDITION`] are copied.
    bounded: bool,
    /// Whether bootstraps of the running stream are asked for.
    bootstraps: bool,
    /// Whether the first processes stream one table only, and the next two.
    grows: bool,
    to_kafka: bool,
}

/// Every change of a row makes it meet this, or cease to.
const CONDITION: &str = "n % 2 = 0";

fn meets(row: &Image) -> bool {
    let n = row.get("n").and_then(Option::as_ref);
    n.is_some_and(|n| n.ends_with(['0', '2', '4', '6', '8']))
}

impl Scene {
    fn new(flavor: Flavor, grants: Grants) -> Self {
        Self {
            flavor,
            grants,
            rows: 1_500,
            kills: 6,
            readers: 3,
            bounded: false,
            bootstraps: false,
            grows: false,
            to_kafka: false,
        }
    }

    fn into_kafka(self, kills: u32) -> Self {
        Self {
            kills,
            to_kafka: true,
            ..self
        }
    }

    fn target(&self) -> Target {
        if self.to_kafka {
            Target::kafka()
        } else {
            Target::File
        }
    }

    fn bounded(self) -> Self {
        Self {
            bounded: true,
            ..self
        }
    }

    fn with_bootstraps(self) -> Self {
        Self {
            bootstraps: true,
            rows: 400,
            ..self
        }
    }

    fn grows(self) -> Self {
        Self {
            grows: true,
            kills: self.kills + 4,
            ..self
        }
    }

    /// The tables that the process after so many kills is told to stream; none for all.
    fn tables(&self, kills: u32) -> &'static [&'static str] {
        match kills {
            0 | 1 if self.grows => &TABLES[..1],
            2 | 3 if self.grows => &TABLES[..2],
            _ => &[],
        }
    }

    fn delivery(&self) -> Delivery {
        if self.bootstraps {
            Delivery::Rebootstrapped
        } else {
            Delivery::Exact
        }
    }

    fn soak(self) -> Self {
        Self {
            rows: 8_000,
            kills: self.kills * 10,
            ..self
        }
    }
}

/// The number that a scene is played by.
pub(super) fn seed() -> u64 {
    let given = std::env::var("HEADWATER_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let any = || {
        let soak = std::env::var_os("HEADWATER_SOAK").is_some();
        if soak {
            rand::rng().random()
        } else {
            20_261_121
        }
    };
    given.unwrap_or_else(any)
}

fn privileges(flavor: Flavor, grants: Grants) -> String {
    let monitor = if flavor == Flavor::MySql97 {
        "REPLICATION CLIENT"
    } else {
        "BINLOG MONITOR"
    };
    let lock = match grants {
        Grants::All => "RELOAD, LOCK TABLES, ",
        Grants::NoLock => "",
    };
    format!(
        "CREATE USER cdc@'%' IDENTIFIED BY 'secret'; GRANT SELECT, {lock}REPLICATION SLAVE, {monitor} ON *.* TO cdc@'%';"
    )
}

/// The program, started on the scene's server.
fn headwater(
    server: &Instance,
    target: &Target,
    folder: &Path,
    scene: &Scene,
    extra: &[&str],
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command
        .arg("run")
        .arg(server.url("cdc", "", DATABASE))
        .args(target.arguments(folder))
        .args(["--readers", &scene.readers.to_string()])
        .args(extra)
        .env("HEADWATER_MYSQL_PASSWORD", "secret")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(
            fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(folder.join("log"))
                .unwrap(),
        );
    if scene.bounded {
        for table in TABLES {
            command.args(["--where", &format!("{table}:{CONDITION}")]);
        }
    }
    command
}

/// Starts the program and kills it, at a moment or a failpoint of the random numbers' choice.
fn kill_once(
    server: &Instance,
    target: &Target,
    folder: &Path,
    scene: &Scene,
    tables: &[&str],
    random: &mut StdRng,
) {
    let mut command = headwater(server, target, folder, scene, tables);
    if random.random_bool(0.4) {
        let points = target.failpoints();
        let point = points[random.random_range(0..points.len())];
        let hit = if point == "cut.open" {
            1
        } else if point == "chunk.open" {
            random.random_range(1..5)
        } else {
            random.random_range(1..12)
        };
        command.env("HEADWATER_FAILPOINTS", format!("{point}=abort@{hit}"));
    }
    let mut child = command.spawn().unwrap();
    let life_ms = random.random_range(60..target.life_ms_max());
    let until = std::time::Instant::now() + Duration::from_millis(life_ms);
    if scene.bootstraps && random.random_bool(0.7) {
        // It may well come too early, or too late.
        bootstrap(folder, &["--detach"]);
    }
    while std::time::Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Asks for all tables. Says whether that went well.
fn bootstrap(folder: &Path, extra: &[&str]) -> bool {
    let asked = Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(["bootstrap", "*.*", "--checkpoint"])
        .arg(folder.join("kills.checkpoint"))
        .args(extra)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.unwrap().success()
}

/// Nobody writes any more: one whole bootstrap, asked for and waited for, gives every row as it is.
fn bootstrap_whole(server: &Instance, folder: &Path, scene: &Scene) -> Vec<String> {
    let events = folder.join("events.jsonl");
    let before = fs::read_to_string(&events).unwrap().len();
    let mut streaming = headwater(server, &Target::File, folder, scene, &[])
        .spawn()
        .unwrap();
    let mut tries = 0;
    while !bootstrap(folder, &[]) {
        tries += 1;
        assert!(
            tries < 200 && streaming.try_wait().unwrap().is_none(),
            "no bootstrap in {tries} tries"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let ended = Command::new("kill")
        .args(["-TERM", &streaming.id().to_string()])
        .status();
    assert!(ended.unwrap().success() && streaming.wait().unwrap().success());
    let text = fs::read_to_string(&events).unwrap();
    text.get(before..)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn oracle(scene: &Scene, history: History) -> Oracle {
    let oracle = Oracle::new(history);
    if scene.bounded {
        oracle.bounded(meets)
    } else {
        oracle
    }
}

/// A server with the tables, and the user.
fn prepare(scene: &Scene) -> Instance {
    let server = Instance::start(scene.flavor, &Options::default()).unwrap();
    server
        .sql(&format!(
            "CREATE DATABASE {DATABASE}; USE {DATABASE}; {DEFINITIONS}"
        ))
        .unwrap();
    server.sql(&privileges(scene.flavor, scene.grants)).unwrap();
    server
}

fn keys() -> Keys {
    let key = |table: &&str| (format!("{DATABASE}.{table}"), key_columns(table));
    TABLES.iter().map(key).collect()
}

async fn play(scene: Scene) {
    let seed = seed();
    let folder = tempfile::tempdir().unwrap();
    let server = prepare(&scene);
    let options = ConnectOptions::from_url(&server.url("root", "", DATABASE)).unwrap();

    let keys = keys();
    let mut history = History::new(keys.clone());
    let mut connection = Connection::connect(&options).await.unwrap();
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|number| Writer::new(number, seed))
        .collect();
    for writer in &mut writers {
        for (table, image) in writer.fill(&mut connection, scene.rows).await {
            history.add_initial(&format!("{DATABASE}.{table}"), image);
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let running: Vec<_> = writers
        .into_iter()
        .map(|writer| tokio::spawn(writer.run(options.clone(), DATABASE.into(), Arc::clone(&stop))))
        .collect();

    let mut random = StdRng::seed_from_u64(seed);
    let (server, target, folder, scene) = tokio::task::spawn_blocking(move || {
        let target = scene.target();
        for kills in 0..scene.kills {
            let tables = scene.tables(kills);
            kill_once(&server, &target, folder.path(), &scene, tables, &mut random);
        }
        (server, target, folder, scene)
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    let mut expected = Vec::new();
    let mut position = 0;
    for writer in running {
        let writer = writer.await.unwrap();
        expected.extend(writer.images());
        for event in writer.done {
            position += 1;
            history.push(position, event);
        }
    }
    let (status, text, folder, scene, last) = tokio::task::spawn_blocking(move || {
        let until = &["--until", "now"];
        let status = headwater(&server, &target, folder.path(), &scene, until)
            .status()
            .unwrap();
        let text = target.events(folder.path());
        let last = (scene.bootstraps && status.success())
            .then(|| bootstrap_whole(&server, folder.path(), &scene));
        (status, text, folder, scene, last)
    })
    .await
    .unwrap();
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(status.success(), "seed {seed}: the last run failed\n{log}");
    let oracle = oracle(&scene, history);
    if let Some(last) = last {
        every_row_came(seed, &last, &keys, &expected);
    }
    let told = Told {
        text: &text,
        log: &log,
        delivery: scene.delivery(),
    };
    judge(seed, &told, &oracle, &keys, expected);
}

/// What a scene left behind, and what its events promise.
struct Told<'a> {
    text: &'a str,
    log: &'a str,
    delivery: Delivery,
}

fn every_row_came(seed: u64, lines: &[String], keys: &Keys, expected: &[(String, Image)]) {
    let events = from_json_lines(&lines.join("\n"), keys).unwrap();
    for (table, image) in expected {
        let name = format!("{DATABASE}.{table}");
        let mut events = events.iter();
        let came = events.any(|event| event.table == name && event.after.as_ref() == Some(image));
        assert!(came, "seed {seed}: not bootstrapped: {table} {image:?}");
    }
}

fn judge(seed: u64, told: &Told<'_>, oracle: &Oracle, keys: &Keys, expected: Vec<(String, Image)>) {
    let tail = || {
        told.log
            .lines()
            .rev()
            .take(60)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("\n")
    };
    let events = from_json_lines(told.text, keys)
        .unwrap_or_else(|violation| panic!("seed {seed}: {violation}\n{}", tail()));
    let mut tables: std::collections::BTreeMap<String, Vec<_>> =
        keys.keys().map(|name| (name.clone(), Vec::new())).collect();
    for (table, image) in expected {
        tables
            .entry(format!("{DATABASE}.{table}"))
            .or_default()
            .push(image);
    }
    oracle.check_tables(&tables).unwrap_or_else(|violation| {
        panic!("seed {seed}: the writers' record is wrong: {violation}")
    });
    if let Err(violation) = oracle.check(&events, told.delivery) {
        let kept = std::env::temp_dir().join(format!("headwater-kills-{seed}.jsonl"));
        fs::write(&kept, told.text).unwrap();
        panic!(
            "seed {seed}: {violation}\nevents kept in {}\n{}",
            kept.display(),
            tail()
        );
    }
}

fn run(scene: Scene) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(play(scene));
}

/// Tests that play scenes, each with its soak.
macro_rules! scenes {
    ($($name:ident, $soak:ident: $scene:expr;)*) => {$(
        #[test]
        fn $name() {
            run($scene);
        }

        #[test]
        #[ignore = "the full number of kills: cargo xtask soak"]
        fn $soak() {
            run($scene.soak());
        }
    )*};
}
pub(super) use scenes;

scenes! {
    tables_added_to_a_stream_that_is_killed_are_copied_on_mariadb_10_11, soak_added_tables_mariadb_10_11: Scene::new(Flavor::MariaDb1011, Grants::NoLock).grows();
    tables_added_to_a_stream_that_is_killed_are_copied_on_mysql_9_7, soak_added_tables_mysql_9_7: Scene::new(Flavor::MySql97, Grants::NoLock).grows();
    tables_added_to_a_stream_that_is_killed_are_copied_to_kafka, soak_added_tables_kafka: Scene::new(Flavor::MariaDb118, Grants::All).grows().into_kafka(8);
    bootstraps_of_a_stream_that_is_killed_are_right_on_mariadb_10_11, soak_bootstraps_mariadb_10_11: Scene::new(Flavor::MariaDb1011, Grants::NoLock).with_bootstraps();
    bootstraps_of_a_stream_that_is_killed_are_right_on_mariadb_11_8, soak_bootstraps_mariadb_11_8: Scene::new(Flavor::MariaDb118, Grants::NoLock).with_bootstraps();
    bootstraps_of_a_stream_that_is_killed_are_right_on_mysql_9_7, soak_bootstraps_mysql_9_7: Scene::new(Flavor::MySql97, Grants::NoLock).with_bootstraps();
    kills_lose_and_repeat_nothing_on_mariadb_10_11, soak_kills_mariadb_10_11: Scene::new(Flavor::MariaDb1011, Grants::All);
    kills_lose_and_repeat_nothing_on_mariadb_11_8, soak_kills_mariadb_11_8: Scene::new(Flavor::MariaDb118, Grants::All);
    kills_lose_and_repeat_nothing_on_mysql_9_7, soak_kills_mysql_9_7: Scene::new(Flavor::MySql97, Grants::All);
    kills_lose_and_repeat_nothing_on_mysql_without_a_lock, soak_kills_mysql_without_a_lock: Scene::new(Flavor::MySql97, Grants::NoLock);
    kills_lose_and_repeat_nothing_on_mariadb_without_a_lock, soak_kills_mariadb_without_a_lock: Scene::new(Flavor::MariaDb1011, Grants::NoLock);
    kills_lose_and_repeat_nothing_in_kafka, soak_kills_kafka: Scene::new(Flavor::MariaDb1011, Grants::All).into_kafka(20);
    kills_lose_and_repeat_nothing_in_kafka_without_a_lock, soak_kills_kafka_without_a_lock: Scene::new(Flavor::MySql97, Grants::NoLock).into_kafka(5);
    kills_lose_and_repeat_nothing_of_a_bounded_copy_on_mysql_without_a_lock, soak_kills_bounded_mysql_without_a_lock: Scene::new(Flavor::MySql97, Grants::NoLock).bounded();
    kills_lose_and_repeat_nothing_of_a_bounded_copy_on_mysql_9_7, soak_kills_bounded_mysql_9_7: Scene::new(Flavor::MySql97, Grants::All).bounded();
}
