//! Rows that IoTDB refuses: shown, mended, and brought in again without overwriting what is newer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::command::{Said, headwater, run_in, said};
use super::iotdb::{ask_if_there, config, points, port_of};
use super::server::server;

/// A folder with a configuration whose rows of pump 2 cannot be written: a series of theirs is of another type.
struct Plant {
    name: &'static str,
    folder: tempfile::TempDir,
    run: Option<Child>,
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Plant {
    fn new(name: &'static str) -> Self {
        let plant = Self {
            name,
            folder: tempfile::tempdir().unwrap(),
            run: None,
        };
        ask_if_there(&format!("DELETE DATABASE root.{name}"));
        plant.refuse();
        plant.sql(
            "CREATE TABLE pump_reading (id BIGINT PRIMARY KEY AUTO_INCREMENT, takenAt DATETIME(3) NOT NULL, pumpId INT NOT NULL, \
               kind INT, pressure FLOAT, operator VARCHAR(60) CHARACTER SET utf8mb4, flow DECIMAL(10,2)); \
             INSERT INTO pump_reading VALUES (1, '2026-01-01', 1, 1, 1, 'a', 1), (2, '2026-01-01', 2, 1, 2, 'old', 2), \
               (3, '2026-01-02', 2, 1, 3, 'old', 3), (4, '2026-01-03', 2, 1, 4, 'old', 4)",
        );
        let more = "  dead_letters: letters.jsonl\ncheckpoint: c\n";
        fs::write(plant.path("config.yaml"), config(name, more)).unwrap();
        plant
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sql(&self, sql: &str) {
        let name = self.name;
        server()
            .sql(&format!(
                "CREATE DATABASE IF NOT EXISTS {name}; USE {name}; {sql}"
            ))
            .unwrap();
    }

    fn refuse(&self) {
        let name = self.name;
        ask_if_there(&format!("CREATE DATABASE root.{name}"));
        ask_if_there(&format!(
            "CREATE TIMESERIES root.{name}.pump_2.pressure WITH DATATYPE=BOOLEAN"
        ));
    }

    fn mend(&self) {
        ask_if_there(&format!("DELETE TIMESERIES root.{}.pump_2.**", self.name));
    }

    fn said(&self, words: &[&str]) -> Said {
        run_in(
            self.folder.path(),
            &[words, &["--config", "config.yaml"]].concat(),
        )
    }

    fn replay(&self) -> Said {
        self.said(&["dead-letters", "replay"])
    }

    /// The keys of the letters that are open.
    fn open(&self) -> Vec<i64> {
        let said = self.said(&["dead-letters", "list", "--json"]);
        assert_eq!(said.code, 0, "{said:?}");
        let keys = said.out.lines().map(|line| {
            let letter: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(!letter["reason"].as_str().unwrap().is_empty(), "{line}");
            letter["key"]["id"].as_i64().unwrap()
        });
        let mut keys: Vec<i64> = keys.collect();
        keys.sort_unstable();
        keys
    }

    /// Starts a run that stays.
    fn start(&mut self, failpoints: &str) {
        let log = fs::File::create(self.path("log")).unwrap();
        let child = headwater()
            .args(["run", "--config", "config.yaml"])
            .current_dir(self.folder.path())
            .env("HEADWATER_FAILPOINTS", failpoints)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.run = Some(child.unwrap());
        self.wait("it streams", || {
            let status = self.said(&["status", "--json"]);
            let status: serde_json::Value = serde_json::from_str(&status.out).unwrap_or_default();
            status["process"]["phase"] == "streaming"
        });
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.run.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let limit = Instant::now() + Duration::from_secs(120);
        while !is_so() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(Instant::now() < limit, "{what}: never; {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn points(&self) -> Vec<String> {
        points(self.name)
    }
}

#[test]
fn a_running_stream_reads_refused_rows_again_and_nothing_newer_is_overwritten() {
    let mut plant = Plant::new("letters_beside");
    // The view of the last replay is kept open for a while, in which its row changes.
    plant.start("chunk.open=sleep_ms@2:3000");
    plant.wait("rows are refused", || plant.open() == [2, 3, 4]);
    let listed = plant.said(&["dead-letters", "list"]);
    assert!(
        listed.out.contains("letters_beside.pump_reading") && listed.err.contains("open=3"),
        "{listed:?}"
    );

    // Not mended: they are refused again, and stand there with the reason of now.
    let said = plant.replay();
    assert_eq!(said.code, 1, "{said:?}");
    for count in ["letters=3", "rows_read=3", "settled=3", "refused_again=3"] {
        assert!(said.err.contains(count), "{count}: {said:?}");
    }
    assert_eq!(plant.open(), [2, 3, 4]);

    // Mended; one row is newer than its letter, one has gone, and one changes while it is replayed.
    plant.mend();
    plant.sql("UPDATE pump_reading SET pressure = 20, operator = 'newer' WHERE id = 2; DELETE FROM pump_reading WHERE id = 3");
    plant.wait("the update is written", || {
        plant.points().iter().any(|point| point.contains("newer"))
    });
    let replaying = headwater()
        .args(["dead-letters", "replay", "--config", "config.yaml"])
        .current_dir(plant.folder.path())
        .stdout(Stdio::null())
        .stderr(fs::File::create(plant.path("replayed")).unwrap())
        .spawn();
    let mut replaying = replaying.unwrap();
    std::thread::sleep(Duration::from_millis(1_000));
    plant.sql("UPDATE pump_reading SET pressure = 40, operator = 'meanwhile' WHERE id = 4");
    let code = replaying.wait().unwrap().code();
    let replayed = fs::read_to_string(plant.path("replayed")).unwrap();
    assert_eq!(code, Some(0), "{replayed}");
    assert!(
        replayed.contains("settled=3") && replayed.contains("refused_again=0"),
        "{replayed}"
    );
    assert_eq!(plant.open(), [0; 0]);
    let expected = [
        "1767225600000 pump_1: 1 1 a 1",
        "1767225600000 pump_2: 20 1 newer 2",
        "1767398400000 pump_2: 40 1 meanwhile 4",
    ];
    plant.wait("the last update is written", || plant.points() == expected);
    let said = plant.replay();
    assert!(
        said.code == 0 && said.err.contains("no dead letter is open"),
        "{said:?}"
    );
}

#[test]
fn without_a_run_the_command_goes_on_from_the_checkpoint_and_a_kill_loses_no_letter() {
    let plant = Plant::new("letters_alone");
    let said = plant.said(&["run", "--until", "now"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(plant.open(), [2, 3, 4]);
    plant.mend();
    plant.sql("UPDATE pump_reading SET operator = 'newer' WHERE id = 2; DELETE FROM pump_reading WHERE id = 3");
    // Before a letter is settled, and amid the stream.
    for failpoints in ["dead_letters.read=abort@1", "checkpoint.temporary=abort@2"] {
        let killed = said_of(&plant, failpoints);
        assert_ne!(killed.code, 0, "{failpoints}: {killed:?}");
        assert_eq!(plant.open(), [2, 3, 4], "{failpoints}");
    }
    let said = plant.replay();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("settled=3"), "{said:?}");
    assert_eq!(plant.open(), [0; 0]);
    assert_eq!(
        plant.points(),
        [
            "1767225600000 pump_1: 1 1 a 1",
            "1767225600000 pump_2: 2 1 newer 2",
            "1767398400000 pump_2: 4 1 old 4",
        ]
    );
}

fn said_of(plant: &Plant, failpoints: &str) -> Said {
    said(
        headwater()
            .args(["dead-letters", "replay", "--config", "config.yaml"])
            .current_dir(plant.folder.path())
            .env("HEADWATER_FAILPOINTS", failpoints),
    )
}

#[test]
fn letters_whose_rows_no_key_finds_are_replayed_by_reading_the_table_whole() {
    let plant = Plant::new("letters_whole");
    let said = plant.said(&["run", "--until", "now"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(plant.open(), [2, 3, 4]);
    // Another column is the key, and the letters' one has other numbers: it would find no row, or another.
    plant.sql(
        "DELETE FROM pump_reading WHERE id = 3; \
         ALTER TABLE pump_reading DROP PRIMARY KEY, CHANGE id number BIGINT NOT NULL, ADD PRIMARY KEY (number), \
           ADD id BIGINT NOT NULL AUTO_INCREMENT, ADD KEY (id)",
    );
    let said = plant.replay();
    assert_eq!(said.code, 1, "{said:?}");
    for words in [
        "key is another by now",
        "--whole-tables",
        "settled=0",
        "left=3",
    ] {
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
    assert_eq!(plant.open(), [2, 3, 4]);

    // Not mended: the rows are refused again, by the key of now, and those letters stand in place of the old ones.
    let whole = || plant.said(&["dead-letters", "replay", "--whole-tables"]);
    let said = whole();
    assert_eq!(said.code, 1, "{said:?}");
    for words in ["rows_read=3", "settled=3", "refused_again=2"] {
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
    let listed = plant.said(&["dead-letters", "list"]);
    assert!(
        listed.err.contains("open=2") && listed.out.contains("number"),
        "{listed:?}"
    );

    plant.mend();
    plant.sql("UPDATE pump_reading SET operator = 'newer' WHERE number = 2");
    let said = whole();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("settled=2"), "{said:?}");
    let listed = plant.said(&["dead-letters", "list"]);
    assert!(!listed.out.contains("letters_whole"), "{listed:?}");
    // The last of the measurements is the new `id`.
    let points = plant.points();
    let points = points.iter().map(|point| point.rsplit_once(' ').unwrap().0);
    assert_eq!(
        points.collect::<Vec<_>>(),
        [
            "1767225600000 pump_1: 1 1 a",
            "1767225600000 pump_2: 2 1 newer",
            "1767398400000 pump_2: 4 1 old",
        ]
    );
}

/// A configuration for a table without a key and one with, which nothing is written to.
fn unreachable(folder: &Path, name: &str, more: &str) {
    let text = format!(
        "connections:\n  mysql: {{host: 127.0.0.1, port: {}, user: root, database: {name}}}\n  iotdb: {{host: 127.0.0.1, port: 1}}\n\
         iotdb:\n  dead_letters: letters.jsonl\n  mappings:\n    \
         - {{table: keyed, timestamp_field: at, device_template: 'root.{name}.d'}}\n    \
         - {{table: keyless, timestamp_field: at, device_template: 'root.{name}.e'}}\n{more}",
        port_of(name)
    );
    fs::write(folder.join("config.yaml"), text).unwrap();
}

#[test]
fn letters_that_cannot_be_replayed_stay_and_say_why() {
    let name = "letters_left";
    server()
        .sql(&format!(
            "CREATE DATABASE {name}; USE {name}; CREATE TABLE keyed (number INT PRIMARY KEY, at DATETIME); \
             CREATE TABLE keyless (number INT, at DATETIME)"
        ))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let letters = folder.path().join("letters.jsonl");
    let replay = || {
        run_in(
            folder.path(),
            &["dead-letters", "replay", "--config", "config.yaml"],
        )
    };
    let refused = |said: &Said, words: &[&str]| {
        assert_ne!(said.code, 0, "{said:?}");
        for word in words {
            assert!(said.err.contains(word), "{word}: {said:?}");
        }
    };
    let letter = |table: &str, kind: &str, key: &str| {
        format!(
            r#"{{"at_s":1,"sink":"iotdb","table":{{"database":"{name}","table":"{table}"}},"kind":"{kind}","key":{key},"reason":"no","data":{{}}}}"#
        )
    };

    unreachable(folder.path(), name, "checkpoint: c\n");
    fs::write(
        &letters,
        [
            letter("keyed", "insert", r#"{"id":1}"#),
            letter("keyed", "delete", r#"{"number":1}"#),
            letter("keyless", "insert", "{}"),
            letter("dropped", "insert", r#"{"id":1}"#),
        ]
        .join("\n")
            + "\n",
    )
    .unwrap();
    let said = replay();
    refused(
        &said,
        &[
            "no such key column",
            "a refused delete",
            "no key by which",
            "not among those that are read",
            "left=4",
            "--whole-tables",
        ],
    );

    fs::write(
        &letters,
        letter("keyed", "insert", r#"{"number":1}"#) + "\n",
    )
    .unwrap();
    refused(&replay(), &["there is no such checkpoint"]);
    fs::write(folder.path().join("c"), "{}").unwrap();
    unreachable(folder.path(), name, "checkpoint: c\nmode: backfill\n");
    refused(&replay(), &["`mode: backfill`"]);
    unreachable(folder.path(), name, "");
    refused(&replay(), &["names no checkpoint"]);
    fs::write(&letters, "{\"at_s\":\n").unwrap();
    refused(&replay(), &["a line is no dead letter", "line 1"]);
}

#[test]
fn a_configuration_without_a_file_of_dead_letters_is_told_what_to_do() {
    let name = "letters_none";
    let folder = tempfile::tempdir().unwrap();
    let refused = |word: &str| {
        let said = run_in(
            folder.path(),
            &["dead-letters", "replay", "--config", "config.yaml"],
        );
        assert!(
            said.code == 2 && said.err.contains(word),
            "{word}: {said:?}"
        );
    };
    unreachable(folder.path(), name, "sink: kafka:localhost:1/t\n");
    refused("dead_letter_topic");
    unreachable(folder.path(), name, "sink: 'null'\n");
    refused("refuses none");
    unreachable(folder.path(), name, "");
    let text = fs::read_to_string(folder.path().join("config.yaml")).unwrap();
    let without = text.replace("  dead_letters: letters.jsonl\n", "");
    fs::write(folder.path().join("config.yaml"), without).unwrap();
    refused("name a file: iotdb.dead_letters");
}
