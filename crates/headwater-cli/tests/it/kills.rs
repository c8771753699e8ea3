//! Kills: writers change tables while the program copies and follows them, and it is killed (SIGKILL) at random moments and
//! at named failpoints, again and again. Afterwards the target (a file, or Kafka as a read-committed consumer sees it)
//! must hold, for each key, its value at its cut and then every later change, once; and replaying it must give the tables.
//!
//! A run has a seed, which a failure names: always the same one in CI, any in a soak; `HEADWATER_SEED` runs one again.

mod door;
mod operator;
pub(crate) mod play;
mod target;
mod writers;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_servers::{Flavor, Instance, Options, Signal, send_signal};
use headwater_testkit::oracle::{Delivery, History, Image, Keys, Kind, Oracle, from_json_lines};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::door::Door;
use self::operator::Operator;
use self::play::{Writing, end_within, privileges, scenes, seed};
use self::target::Target;
use self::writers::{DEFINITIONS, TABLES, Writer, key_columns};
use super::bootstrap::TOKEN;

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
    /// Whether an operator asks for bootstraps of the running stream, pauses, throttles, resumes and aborts them.
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

/// What a scene is played on.
struct Stage {
    server: Instance,
    target: Target,
    folder: tempfile::TempDir,
    scene: Scene,
}

impl Stage {
    /// The program, started on the scene's server.
    fn headwater(&self, extra: &[&str]) -> Command {
        let (scene, folder) = (&self.scene, self.folder.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        command
            .arg("run")
            .arg(self.server.url("cdc", "", DATABASE))
            .args(self.target.arguments(folder))
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
        if scene.bootstraps && scene.to_kafka {
            command.args(["--http", "127.0.0.1:0"]);
            command.env("HEADWATER_HTTP_TOKEN", TOKEN);
        }
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// All the processes that are killed, and one more in which the operator does what it did not come to.
    fn kill_all(&self, mut operator: Option<&mut Operator>, random: &mut StdRng) {
        for kills in 0..self.scene.kills {
            let tables = self.scene.tables(kills);
            self.kill_once(tables, operator.as_deref_mut(), random);
        }
        if let Some(operator) = operator {
            self.kill_after(|door| operator.work_through(door));
        }
    }

    /// Starts the program and kills it, at a moment or a failpoint of the random numbers' choice.
    fn kill_once(&self, tables: &[&str], operator: Option<&mut Operator>, random: &mut StdRng) {
        let mut command = self.headwater(tables);
        if random.random_bool(0.4) {
            let points = self.target.failpoints();
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
        let life = Duration::from_millis(random.random_range(60..self.target.life_ms_max()));
        let door = Door::of(&self.target, self.folder.path());
        let mut child = command.spawn().unwrap();
        let over = AtomicBool::new(false);
        let status = std::thread::scope(|scope| {
            let working = operator.map(|operator| scope.spawn(|| operator.work(&door, &over)));
            let status = end_within(&mut child, life);
            over.store(true, Ordering::Relaxed);
            if let Some(Err(panic)) = working.map(std::thread::ScopedJoinHandle::join) {
                std::panic::resume_unwind(panic);
            }
            status
        });
        // It may find a server that is slow (3), and nothing else.
        assert!(
            status.signal().is_some() || status.code() == Some(3),
            "it ended by itself: {status}\n{}",
            self.log()
        );
    }

    /// Starts the program, has something done to it, and kills it.
    fn kill_after<T>(&self, work: impl FnOnce(&Door) -> T) -> T {
        self.while_it_runs(work, Signal::Kill)
    }

    /// Starts the program, has something done to it, and ends it.
    fn while_it_runs<T>(&self, work: impl FnOnce(&Door) -> T, signal: Signal) -> T {
        let door = Door::of(&self.target, self.folder.path());
        let mut child = Ended(self.headwater(&[]).spawn().unwrap());
        let done = work(&door);
        send_signal(child.0.id(), signal).unwrap();
        let status = child.0.wait().unwrap();
        let is_right = status.success() || status.signal() == Some(9);
        assert!(is_right, "{status}\n{}", self.log());
        done
    }

    /// Nobody writes any more: what is open is ended, and one whole bootstrap is asked for, which is paused, outlives a kill, and
    /// goes on to its end. Gives the comment of its events.
    fn bootstrap_whole(&self, operator: &mut Operator) -> String {
        let (id, comment) = self.kill_after(|door| {
            operator.end_all(door);
            operator.begin_whole(door)
        });
        self.while_it_runs(|door| operator.end_whole(door, id), Signal::Terminate);
        comment
    }
}

impl Drop for Stage {
    #[allow(clippy::print_stderr, reason = "a failed test says what it can")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the processes said last:\n{}", tail(&self.log()));
        }
    }
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
    let may_lock = matches!(scene.grants, Grants::All);
    server.sql(&privileges(scene.flavor, may_lock)).unwrap();
    server
}

fn keys() -> Keys {
    let key = |table: &&str| (format!("{DATABASE}.{table}"), key_columns(table));
    TABLES.iter().map(key).collect()
}

async fn play(scene: Scene) {
    let seed = seed();
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
    let writing = Writing::begin(writers, |writer, stop| {
        writer.run(options.clone(), DATABASE.into(), stop)
    });

    let mut random = StdRng::seed_from_u64(seed);
    let mut operator = scene.bootstraps.then(|| Operator::new(seed));
    let stage = Stage {
        server,
        target: Target::of(scene.to_kafka),
        folder: tempfile::tempdir().unwrap(),
        scene,
    };
    let (stage, mut operator) = tokio::task::spawn_blocking(move || {
        stage.kill_all(operator.as_mut(), &mut random);
        (stage, operator)
    })
    .await
    .unwrap();
    let mut expected = Vec::new();
    let mut position = 0;
    for writer in writing.end().await {
        expected.extend(writer.images());
        for event in writer.done {
            position += 1;
            history.push(position, event);
        }
    }
    let (stage, whole) = tokio::task::spawn_blocking(move || {
        let status = stage.headwater(&["--until", "now"]).status().unwrap();
        let log = stage.log();
        assert!(status.success(), "seed {seed}: the last run failed\n{log}");
        let operator = operator.as_mut();
        let whole = operator.map(|operator| stage.bootstrap_whole(operator));
        (stage, whole)
    })
    .await
    .unwrap();
    let (text, log) = (stage.target.events(stage.folder.path()), stage.log());
    assert!(!log.contains("panicked at"), "seed {seed}:\n{log}");
    if let Some(comment) = whole {
        every_row_came_once(seed, &text, &comment, &keys, &expected);
    }
    let told = Told {
        text: &text,
        log: &log,
        delivery: stage.scene.delivery(),
    };
    judge(seed, &told, &oracle(&stage.scene, history), &keys, expected);
}

/// What a scene left behind, and what its events promise.
struct Told<'a> {
    text: &'a str,
    log: &'a str,
    delivery: Delivery,
}

/// The events of one bootstrap are the rows as they are, each once.
fn every_row_came_once(
    seed: u64,
    text: &str,
    comment: &str,
    keys: &Keys,
    expected: &[(String, Image)],
) {
    let mark = format!("\"comment\":\"{comment}\"");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(&mark)).collect();
    let mut came = Vec::new();
    for event in from_json_lines(&lines.join("\n"), keys).unwrap() {
        assert_eq!(event.kind, Kind::Bootstrap, "seed {seed}: {event:?}");
        came.push((event.table, event.after.unwrap()));
    }
    let named = |(table, image): &(String, Image)| (format!("{DATABASE}.{table}"), image.clone());
    let mut expected: Vec<_> = expected.iter().map(named).collect();
    came.sort();
    expected.sort();
    for row in &expected {
        let missing = came.binary_search(row).is_err();
        assert!(!missing, "seed {seed}: not bootstrapped: {row:?}");
    }
    for two in came.windows(2) {
        assert_ne!(two[0], two[1], "seed {seed}: bootstrapped twice");
    }
    assert_eq!(came.len(), expected.len(), "seed {seed}: rows too much");
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

fn judge(seed: u64, told: &Told<'_>, oracle: &Oracle, keys: &Keys, expected: Vec<(String, Image)>) {
    let tail = || tail(told.log);
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

scenes! {
    tables_added_to_a_stream_that_is_killed_are_copied_on_mariadb_10_11, soak_added_tables_mariadb_10_11: Scene::new(Flavor::MariaDb1011, Grants::NoLock).grows();
    tables_added_to_a_stream_that_is_killed_are_copied_on_mysql_9_7, soak_added_tables_mysql_9_7: Scene::new(Flavor::MySql97, Grants::NoLock).grows();
    tables_added_to_a_stream_that_is_killed_are_copied_to_kafka, soak_added_tables_kafka: Scene::new(Flavor::MariaDb118, Grants::All).grows().into_kafka(8);
    bootstraps_of_a_stream_that_is_killed_are_right_on_mariadb_10_11, soak_bootstraps_mariadb_10_11: Scene::new(Flavor::MariaDb1011, Grants::NoLock).with_bootstraps();
    bootstraps_of_a_stream_that_is_killed_are_right_on_mariadb_11_8, soak_bootstraps_mariadb_11_8: Scene::new(Flavor::MariaDb118, Grants::NoLock).with_bootstraps();
    bootstraps_into_kafka_are_right_on_mariadb_10_11, soak_bootstraps_kafka_mariadb_10_11: Scene::new(Flavor::MariaDb1011, Grants::NoLock).with_bootstraps().into_kafka(4);
    bootstraps_into_kafka_are_right_on_mariadb_11_8, soak_bootstraps_kafka_mariadb_11_8: Scene::new(Flavor::MariaDb118, Grants::All).with_bootstraps().into_kafka(4);
    bootstraps_into_kafka_are_right_on_mysql_9_7, soak_bootstraps_kafka_mysql_9_7: Scene::new(Flavor::MySql97, Grants::NoLock).with_bootstraps().into_kafka(4);
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
