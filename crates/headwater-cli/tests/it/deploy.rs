//! What `deploy/` holds: its script in each mode, on real servers, with its own configuration; and its manifests, as YAML.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use granit_parser::Parser;

use super::command::{Said, said};
use super::iotdb::{ask, iotdb};
use super::server::server;

/// The database of the example, on this test's server.
const DATABASE: &str = "plant_deployed";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// The script in a mode, with the configuration and the state of a folder.
fn script(folder: &Path, words: &[&str]) -> Said {
    let binary = Path::new(env!("CARGO_BIN_EXE_headwater"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    said(
        Command::new(deploy().join("headwater.sh"))
            .args(words)
            .current_dir(folder)
            .env("PATH", path)
            .env("NO_COLOR", "1")
            .env("HEADWATER_CONFIG", folder.join("config.yaml"))
            .env("HEADWATER_STATE", folder),
    )
}

fn ends_well(folder: &Path, words: &[&str]) -> Said {
    let said = script(folder, words);
    assert_eq!(said.code, 0, "{words:?}: {said:?}");
    said
}

fn count(column: &str) -> usize {
    let statement = format!("SELECT {column} FROM root.{DATABASE}.** ALIGN BY DEVICE");
    ask(&statement).times.len()
}

/// The configuration as it is deployed, with this test's servers in place of the names of the compose file.
fn configured(folder: &Path) {
    let url = server().url("root", "", DATABASE);
    let mysql = url.rsplit_once('/').unwrap().0.rsplit_once(':').unwrap().1;
    let (host, port) = iotdb();
    let mut text = fs::read_to_string(deploy().join("config.yaml")).unwrap();
    for (from, to) in [
        (
            "host: mysql\n",
            format!("host: 127.0.0.1\n    port: {mysql}\n"),
        ),
        ("user: cdc\n", "user: root\n".to_owned()),
        ("database: plant\n", format!("database: {DATABASE}\n")),
        ("host: iotdb\n", format!("host: {host}\n")),
        ("port: 6667\n", format!("port: {port}\n")),
        ("- root.plant\n", format!("- root.{DATABASE}\n")),
        ("root.plant.pump_", format!("root.{DATABASE}.pump_")),
        ("/var/lib/headwater", folder.display().to_string()),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, &to);
    }
    fs::write(folder.join("config.yaml"), text).unwrap();
}

#[test]
fn the_script_checks_copies_and_goes_on_from_its_own_token() {
    let example = fs::read_to_string(deploy().join("mysql/plant.sql")).unwrap();
    let (tables, _user) = example.split_once("CREATE USER").unwrap();
    server().sql(&tables.replace("plant", DATABASE)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configured(folder);

    let found = ends_well(folder, &["check"]);
    assert!(found.out.contains("Ready"), "{found:?}");
    ends_well(folder, &["backfill"]);
    assert_eq!(count("pressure"), 3);
    assert!(folder.join("token").exists());

    let another = format!(
        "INSERT INTO {DATABASE}.pump_reading (takenAt, pumpId, pressure) VALUES ('2026-01-01 00:00:02', 3, 1)"
    );
    server().sql(&another).unwrap();
    ends_well(folder, &["cdc", "--until", "now"]);
    assert_eq!(count("pressure"), 4, "the change after the token");
    server().sql(&another.replace(":02", ":03")).unwrap();
    fs::write(folder.join("token"), "no token any more").unwrap();
    ends_well(folder, &["cdc", "--until", "now"]);
    assert_eq!(count("pressure"), 5, "the checkpoint goes before the token");
    ends_well(folder, &["run", "--until", "now"]);
    ends_well(folder, &["verify"]);
}

#[test]
fn a_backfill_that_fails_leaves_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(
        folder.join("config.yaml"),
        "connections: {mysql: {host: 127.0.0.1, port: 1, user: nobody, database: nothing}}\n",
    )
    .unwrap();
    let failed = script(folder, &["backfill"]);
    assert_ne!(failed.code, 0, "{failed:?}");
    let left: Vec<_> = fs::read_dir(folder).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn the_script_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    for (words, what) in [
        (&["migrate"][..], "say what to do"),
        (&["run"], "there is no file"),
    ] {
        let refused = script(folder.path(), words);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains(what), "{refused:?}");
    }
}

#[test]
fn the_manifests_are_yaml() {
    let mut found = 0;
    for folder in [deploy(), deploy().join("kubernetes")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "yaml") {
                let text = fs::read_to_string(&path).unwrap();
                for event in Parser::new_from_str(&text) {
                    event.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                }
                found += 1;
            }
        }
    }
    assert_eq!(found, 6);
}
