//! The shared servers: started once, found by others, ended.

use std::process::Command;

use headwater_servers::redis::{self, RedisFlavor};
use headwater_servers::{
    Flavor, Instance, Options, Shared, cache_folder, install, services, shared,
};

const FLAVOR: Flavor = Flavor::MariaDb1011;

const STORE: RedisFlavor = RedisFlavor::Valkey;

/// Makes this test binary play a process with a cache folder of its own.
const ROLE: &str = "HEADWATER_SERVERS_TEST_STRANGER";

#[test]
fn a_shared_server_is_started_once_found_and_ended() {
    if std::env::var_os(ROLE).is_some() {
        return start_find_and_end();
    }
    install(FLAVOR).unwrap();
    redis::install(STORE).unwrap();
    let cache = std::env::temp_dir().join(format!("headwater-cache-{}", std::process::id()));
    std::fs::create_dir_all(&cache).unwrap();
    // What was downloaded is downloaded; only the state is this test's own.
    let downloads = cache_folder().join("servers");
    if downloads.is_dir() {
        std::os::unix::fs::symlink(downloads, cache.join("servers")).unwrap();
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "shared::a_shared_server_is_started_once_found_and_ended",
        ])
        .env(ROLE, "1")
        .env("HEADWATER_CACHE", &cache)
        .env_remove(FLAVOR.variable())
        .env_remove(STORE.variable())
        .status()
        .unwrap();
    std::fs::remove_dir_all(&cache).unwrap();
    assert!(status.success());
}

fn start_find_and_end() {
    let error = shared(FLAVOR).unwrap_err().to_string();
    assert!(error.contains("cargo xtask services up"), "{error}");

    assert!(services::up(FLAVOR).unwrap().started);
    assert!(
        !services::up(FLAVOR).unwrap().started,
        "the second start is none"
    );
    assert_eq!(shared(FLAVOR).unwrap().sql("SELECT 1").unwrap(), "1\n");

    assert!(services::down(FLAVOR).unwrap());
    assert!(!services::down(FLAVOR).unwrap());
    assert!(services::find(FLAVOR).unwrap().is_none());

    let error = redis::shared(STORE).unwrap_err().to_string();
    assert!(error.contains("cargo xtask services up"), "{error}");
    let started = redis::up(STORE).unwrap();
    let again = redis::up(STORE).unwrap();
    assert!(started.started && !again.started);
    assert_eq!(
        (started.pid, &started.address),
        (again.pid, &again.address),
        "one that runs already is another"
    );
    assert!(redis::down(STORE).unwrap());
    assert!(!redis::down(STORE).unwrap());
    assert!(redis::find(STORE).unwrap().is_none());
}

#[test]
fn fresh_databases_differ_and_can_be_reached_by_their_url() {
    let server = Instance::start(FLAVOR, &Options::default()).unwrap();
    let shared = Shared::at(FLAVOR, server.address());
    let (one, two) = (
        shared.fresh_database("x").unwrap(),
        shared.fresh_database("x").unwrap(),
    );
    assert_ne!(one, two);
    assert!(shared.database_url(&one).ends_with(&format!("/{one}")));
    let found = shared
        .sql("SELECT schema_name FROM information_schema.schemata")
        .unwrap();
    assert!(found.contains(&one) && found.contains(&two), "{found}");
}
