//! `headwater verify` where a place or a device has several rows, and where a range has more rows than are held at once.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use headwater_servers::Flavor;

use super::command::headwater;
use super::verify::{BEGIN, Form, READINGS, World, set, time};

#[test]
fn rows_that_share_a_place_may_leave_any_of_their_values() {
    let world = World::new(
        Flavor::MariaDb1011,
        Form::Tree { aligned: true },
        "  policy: {delete: delete}\n",
    );
    world.reconfigure(
        "timestamp_field: at",
        "timestamp_field: at\n      duplicates: last",
    );
    world.sql(&format!(
        "{READINGS} INSERT INTO readings VALUES (1, 'p', '2026-01-01', 1, 'one'), (2, 'p', '2026-01-01', 2, NULL), \
         (3, 'q', '2026-01-01', 3, 'three'), (4, 'q', '2026-01-01 00:01', 4, 'four')"
    ));
    world.run(&["backfill"]);
    let (found, summary, code) = world.verify(&["--settle", "0", "--strict"]);
    assert_eq!((found, code), (BTreeSet::new(), 0), "{summary}");

    // What a row leaves that has gone, or that had a value once, is the mapping's doing.
    world.sql(
        "DELETE FROM readings WHERE id IN (2, 4); UPDATE readings SET note = NULL WHERE id = 3",
    );
    let (found, summary, code) = world.verify(&["--settle", "0"]);
    assert_eq!((found, code), (BTreeSet::new(), 0), "{summary}");
    assert_eq!(summary["explained"]["duplicates_left"], 3, "{summary}");
    let (found, summary, code) = world.verify(&["--settle", "0", "--strict"]);
    let expected = set(&[
        format!(
            "differs {{\"id\":1}} {} {BEGIN} flow: 1.0 2.0",
            world.device("p")
        ),
        format!(
            "differs {{\"id\":3}} {} {BEGIN} note: null \"three\"",
            world.device("q")
        ),
        format!(
            "extra null {} {} flow: null 4.0, note: null \"four\"",
            world.device("q"),
            time(1)
        ),
    ]);
    assert_eq!((found, code), (expected, 5), "{summary}");

    // What a row has, and IoTDB lacks, never is.
    world.delete("p", BEGIN);
    let (found, summary, code) = world.verify(&["--settle", "0"]);
    let expected = format!(
        "missing {{\"id\":1}} {} {BEGIN} flow: 1.0 null, note: \"one\" null",
        world.device("p")
    );
    assert_eq!((found, code), (set(&[expected]), 5), "{summary}");
}

#[test]
fn attributes_of_devices_are_compared() {
    let world = World::new(Flavor::MySql97, Form::Table, "  policy: {delete: delete}\n");
    world.reconfigure(
        "tags: [pump]",
        "tags: [pump]\n      attributes: [model, site]",
    );
    world.sql(
        "CREATE TABLE readings (id INT PRIMARY KEY, pump VARCHAR(20), at DATETIME(3) NOT NULL, flow DOUBLE, note VARCHAR(200), \
           model VARCHAR(200), site VARCHAR(20)); \
         INSERT INTO readings VALUES (1, 'a', '2026-01-01', 1, 'x', 'm1', 'north'), (2, 'a', '2026-01-02', 1, 'x', 'm1', 'north'), \
           (3, 'b', '2026-01-01', 1, 'x', 'm2', NULL), (4, NULL, '2026-01-01', 1, 'x', 'm3', 'it''s'), (5, 'c', '2026-01-01', NULL, NULL, 'm5', 'x')",
    );
    let verify = |words: &[&str]| world.verify(&[&["--settle", "0"], words].concat());
    world.run(&["backfill"]);
    let (found, summary, code) = verify(&["--strict"]);
    assert_eq!((found, code), (BTreeSet::new(), 0), "{summary}");

    // Any of its rows may have been the last; what none has is a difference.
    world.sql("UPDATE readings SET model = 'm9' WHERE id = 1");
    let (found, summary, code) = verify(&[]);
    assert_eq!((found, code), (BTreeSet::new(), 0), "{summary}");
    world.sql(&format!(
        "UPDATE readings SET model = 'm9' WHERE id = 2; UPDATE readings SET site = 'south' WHERE id = 3; \
         UPDATE readings SET model = '{}' WHERE id = 4",
        "long".repeat(40)
    ));
    let (found, summary, code) = verify(&[]);
    let long = format!("{}… (160 bytes)", "long".repeat(16));
    let expected = set(&[
        format!(
            "differs {{\"id\":1}} {} null model: \"m9\" \"m1\"",
            world.device("a")
        ),
        format!(
            "differs {{\"id\":3}} {} null site: \"south\" null",
            world.device("b")
        ),
        format!("differs {{\"id\":4}} \"pump\" IS NULL null model: \"{long}\" \"m3\""),
    ]);
    assert_eq!((found, code), (expected, 5), "{summary}");
    assert_eq!(summary["differs"], 3, "{summary}");
    let said = world.words(&["verify", "--settle", "0"]);
    let line =
        r#"differs  NAME.readings {"id":3} at "pump"='b': site is "south", IoTDB has nothing"#;
    assert!(
        said.out.contains(&line.replace("NAME", &world.name)),
        "{said:?}"
    );
    // It is what the policy leaves where updates are ignored; but for what a row has, and the device has not.
    world.reconfigure("delete: delete", "delete: delete, update: ignore");
    let (found, summary, code) = verify(&[]);
    assert_eq!((found.len(), code), (1, 5), "{found:?}");
    assert_eq!(summary["explained"]["updates_ignored"], 2, "{summary}");
    world.reconfigure("delete: delete, update: ignore", "delete: delete");

    // Copied again it is as it should be.
    world.run(&["backfill"]);
    let (found, summary, code) = verify(&["--strict"]);
    assert_eq!((found, code), (BTreeSet::new(), 0), "{summary}");
}

/// Rows of one device within seventeen minutes: a range of its own, of many times what is held at once.
const LARGE: i64 = 300_000;

/// What verify may take: twice what it does (46 MiB here). With all rows of the range held at once it takes 440 MiB.
const PEAK_KIB_MAX: u64 = 96 * 1024;

/// The end of a process, and the most memory that it had, in KiB.
fn peak(mut child: Child) -> (ExitStatus, u64) {
    let mut peak_kib = 0;
    let ended = loop {
        // The process's own high-water mark: it only rises, so it does not matter when it is read.
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let words = line.unwrap_or_default().split_whitespace().next();
        peak_kib = peak_kib.max(words.map_or(0, |word| word.parse().unwrap()));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    (ended, peak_kib)
}

#[test]
fn a_range_of_more_rows_than_are_held_is_compared_in_bounded_memory() {
    let world = World::new(
        Flavor::MariaDb1011,
        Form::Tree { aligned: true },
        "  policy: {delete: delete}\n",
    );
    world.sql(&format!(
        "{READINGS} ALTER TABLE readings ADD INDEX (at); \
         INSERT INTO readings SELECT seq, 'p', '2026-01-01' + INTERVAL seq * 3000 MICROSECOND, seq, REPEAT('x', 150) FROM seq_1_to_{LARGE}"
    ));
    world.run(&["backfill"]);
    let at = |number: i64| BEGIN + number * 3;
    // One value in a hundred thousand is another, one row is missing, and one is too much.
    world.write("p", at(100_000), &[("flow", "0.5")]);
    world.write("p", at(200_000), &[("flow", "0.5")]);
    world.write("p", at(200_000) + 1, &[("flow", "0.5")]);
    world.delete("p", at(7));
    let device = world.device("p");
    let note = format!("{}… (150 bytes)", "x".repeat(64));
    let expected = set(&[
        format!(
            "differs {{\"id\":100000}} {device} {} flow: 100000.0 0.5",
            at(100_000)
        ),
        format!(
            "differs {{\"id\":200000}} {device} {} flow: 200000.0 0.5",
            at(200_000)
        ),
        format!("extra null {device} {} flow: null 0.5", at(200_000) + 1),
        format!(
            "missing {{\"id\":7}} {device} {} flow: 7.0 null, note: \"{note}\" null",
            at(7)
        ),
    ]);
    let mut command = headwater();
    command
        .args([
            "verify",
            &world.url,
            "--config",
            "config.yaml",
            "--settle",
            "0",
            "--output",
            "json",
        ])
        .current_dir(world.folder.path())
        .stdout(fs::File::create(world.folder.path().join("out")).unwrap())
        .stderr(fs::File::create(world.folder.path().join("err")).unwrap());
    let (ended, peak_kib) = peak(command.spawn().unwrap());
    let [out, err] =
        ["out", "err"].map(|name| fs::read_to_string(world.folder.path().join(name)).unwrap());
    let (found, summary) = super::verify::told(&out);
    assert_eq!(
        (found, ended.code()),
        (expected, Some(5)),
        "{summary} {err}"
    );
    assert_eq!(summary["rows"], LARGE, "{summary}");
    assert!(
        (1..PEAK_KIB_MAX).contains(&peak_kib),
        "verify took {peak_kib} KiB"
    );
}
