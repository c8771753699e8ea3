//! Folds kept in a Redis or a Valkey, as a person uses them: real servers, real passwords, and what goes wrong.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use headwater_servers::redis::{Redis, RedisFlavor, RedisOptions};
use serde_json::Value;

use super::bootstrap::{TOKEN, ask, free_port};
use super::command::{Said, headwater, run_in, said};
use super::folds::{REVENUE, Running, config_of, run_to_now, shop, value, wait};
use super::server::server;

const PASSWORD: &str = "hunter2-of-the-store";

fn locked(flavor: RedisFlavor) -> Redis {
    let options = RedisOptions {
        password: PASSWORD.to_owned(),
        ..RedisOptions::default()
    };
    Redis::start(flavor, &options).unwrap()
}

fn address(redis: &Redis) -> String {
    format!("redis://127.0.0.1:{}/2?name=shop", redis.port())
}

fn write(folder: &Path, name: &str, store: &str, more: &str) {
    let text = config_of(name, store, REVENUE, more);
    fs::write(folder.join("c.yaml"), text).unwrap();
}

/// Sends commands to a server without a password, and gives back what it says.
fn tell(redis: &Redis, commands: &[&str]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    for command in commands {
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .unwrap();
    }
    stream.write_all(b"QUIT\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

fn log_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Nothing that it says has the password.
fn silent(said: Said) -> Said {
    let all = format!("{}{}", said.out, said.err);
    assert!(!all.contains("hunter2"), "{all}");
    said
}

fn checked(folder: &Path) -> Said {
    silent(run_in(folder, &["check", "--config", "c.yaml"]))
}

fn from_a_file_to_a_query(flavor: RedisFlavor, name: &str, secret: &str) {
    shop(name);
    let redis = locked(flavor);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("password"), format!("{PASSWORD}\n")).unwrap();
    write(folder, name, &address(&redis), secret);
    let said = checked(folder);
    assert!(
        said.code == 0 && said.out.contains(flavor.name()),
        "{said:?}"
    );
    assert!(said.out.contains("appendfsync always"), "{said:?}");
    // Nothing is there yet, and that is said.
    for words in [
        &["status", "--config", "c.yaml"][..],
        &["query", "orders", "--config", "c.yaml"],
    ] {
        let said = silent(run_in(folder, words));
        assert!(said.code == 1 && said.err.contains("help:"), "{said:?}");
    }
    let said = silent(run_to_now(folder, &[]));
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(value(folder, &["orders"]), 4);
    assert!(!folder.join("folds.redb").exists());

    let port = free_port();
    let running = Running::start(folder, &["--http", &port.to_string()]);
    server()
        .sql(&format!(
            "USE {name}; UPDATE orders SET status = 'refunded' WHERE id = 1; DELETE FROM orders WHERE id = 3;"
        ))
        .unwrap();
    wait(folder, "the changes are folded", || {
        value(folder, &["orders"]) == 3
    });
    let path = "GET /folds/revenue/42?from=2026-11-01&to=2026-11-20";
    let (code, body) = ask(port, path, TOKEN, "");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(code, 200, "{body}");
    assert_eq!(answer["answers"][0]["value"], "4.50", "{body}");
    let (_, status) = ask(port, "GET /status", TOKEN, "");
    assert!(
        status.contains("?name=shop") && !status.contains("hunter2"),
        "{status}"
    );
    // From elsewhere: the store says where the run stands, while it runs.
    let said = silent(run_in(folder, &["status", "--config", "c.yaml", "--json"]));
    let status: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(status["phase"], "copied", "{said:?}");
    running.stop();
    assert!(!log_of(folder).contains("hunter2"));

    // A table that is emptied at once takes its rows with it.
    server()
        .sql(&format!("USE {name}; TRUNCATE orders; INSERT INTO orders VALUES (9, 1, 5, 'paid', '2026-11-20 12:00:00');"))
        .unwrap();
    let said = silent(run_to_now(folder, &[]));
    assert!(
        said.code != 0 && said.err.contains("--rebuild-folds"),
        "{said:?}"
    );
    assert_eq!(value(folder, &["orders"]), 3, "what was before answers");
    let said = silent(run_to_now(folder, &["--rebuild-folds"]));
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(value(folder, &["orders"]), 1);
}

#[test]
fn from_a_file_to_a_query_in_redis() {
    let secret = "  password_file: password\n";
    from_a_file_to_a_query(RedisFlavor::Redis, "folds_in_redis", secret);
}

#[test]
fn from_a_file_to_a_query_in_valkey() {
    let secret = format!("  password: {PASSWORD}\n  cache_bytes_max: 1000000\n");
    from_a_file_to_a_query(RedisFlavor::Valkey, "folds_in_valkey", &secret);
}

/// A locked server, and a folder with a file of the right password and one of a wrong one.
struct Locked {
    name: &'static str,
    redis: Redis,
    folder: tempfile::TempDir,
}

impl Locked {
    fn new(name: &'static str) -> Self {
        shop(name);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        fs::write(folder.path().join("wrong"), "hunter2-and-wrong").unwrap();
        Self {
            name,
            redis: locked(RedisFlavor::Redis),
            folder,
        }
    }

    /// The server's address, with what stands before its host.
    fn at(&self, secret: &str) -> String {
        address(&self.redis).replace("redis://", &format!("redis://{secret}"))
    }

    fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Said {
        let mut program = headwater();
        program.args(words).current_dir(self.folder.path());
        silent(said(program.envs(variables.iter().copied())))
    }

    fn run_with(&self, store: &str, more: &str, variables: &[(&str, &str)]) -> [Said; 2] {
        write(self.folder.path(), self.name, store, more);
        let words = ["check", "--config", "c.yaml"];
        let checked = self.run(&words, variables);
        let words = ["run", "--config", "c.yaml", "--until", "now"];
        [checked, self.run(&words, variables)]
    }
}

const VARIABLE: [(&str, &str); 1] = [("HEADWATER_REDIS_PASSWORD", PASSWORD)];

#[test]
fn a_password_comes_by_url_variable_or_file_and_is_never_shown() {
    let locked = Locked::new("folds_password");
    let (plain, with) = (locked.at(""), locked.at(&format!(":{PASSWORD}@")));
    let own = [("STORE_SECRET", PASSWORD)];
    for (store, more, variables) in [
        (with.clone(), "", &[][..]),
        (locked.at(":${STORE_SECRET}@"), "", &own),
        (plain.clone(), "  password: ${STORE_SECRET}\n", &own),
        (plain.clone(), "", &VARIABLE),
        // The variable goes before the file.
        (plain.clone(), "  password_file: wrong\n", &VARIABLE),
    ] {
        for said in locked.run_with(&store, more, variables) {
            assert_eq!(said.code, 0, "{store} {more}: {said:?}");
        }
    }
    let query = ["query", "orders", "--store", &plain];
    let answer = locked.run(&query, &VARIABLE);
    assert!(answer.out.contains("\t4\n"), "{answer:?}");
    // On the command line everybody could read it.
    let said = locked.run(&["query", "orders", "--store", &with], &[]);
    assert!(
        said.code == 2 && said.err.contains("HEADWATER_REDIS_PASSWORD"),
        "{said:?}"
    );
}

#[test]
fn a_wrong_password_or_address_is_told_with_what_to_do() {
    let locked = Locked::new("folds_locked");
    let (plain, with) = (locked.at(""), locked.at(&format!(":{PASSWORD}@")));
    for more in ["  password_file: wrong\n", ""] {
        let what = "look at the user and the password of the Redis";
        let [checked, run] = locked.run_with(&plain, more, &[]);
        assert!(
            checked.code == 1 && checked.out.contains(what),
            "{checked:?}"
        );
        assert!(run.code == 1 && run.err.contains(what), "{run:?}");
    }
    let file = "folds.redb".to_owned();
    for (store, more, what) in [
        (with.clone(), "  password_file: password\n", "twice"),
        (
            plain.clone(),
            "  password: hunter2\n  password_file: password\n",
            "both",
        ),
        (plain, "  password_file: nowhere\n", "nowhere"),
        (file.clone(), "  cache_bytes_max: 1000000\n", "of its own"),
        (file, "  password: hunter2\n", "is a file"),
        (with.replace("?name=shop", ""), "", "no `name`"),
        (
            with.replace("redis:", "memcached:"),
            "",
            "no store of folds",
        ),
    ] {
        for said in locked.run_with(&store, more, &[]) {
            assert!(
                said.code == 2 && said.err.contains(what),
                "{what}: {said:?}"
            );
        }
    }
}

#[test]
fn a_server_that_would_lose_folds_is_told_before_the_run() {
    let name = "folds_habits";
    shop(name);
    let mut redis = Redis::start(RedisFlavor::Valkey, &RedisOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, name, &address(&redis), "");

    tell(&redis, &["CONFIG SET maxmemory-policy allkeys-lru"]);
    let said = checked(folder);
    assert!(
        said.code == 0 && said.out.contains("noeviction"),
        "{said:?}"
    );
    tell(&redis, &["CONFIG SET maxmemory 200mb"]);
    let said = checked(folder);
    assert!(
        said.code == 1
            && said
                .out
                .contains("mend: redis-cli CONFIG SET maxmemory-policy noeviction"),
        "{said:?}"
    );
    let said = run_to_now(folder, &[]);
    assert!(
        said.code == 1 && said.err.contains("noeviction"),
        "{said:?}"
    );
    tell(&redis, &["CONFIG SET maxmemory-policy noeviction"]);

    tell(&redis, &["CONFIG SET appendonly no"]);
    let said = checked(folder);
    assert!(
        said.code == 0 && said.out.contains("all folds are gone"),
        "{said:?}"
    );
    let said = run_to_now(folder, &[]);
    assert!(
        said.code == 0 && said.err.contains("keeps nothing"),
        "{said:?}"
    );

    tell(&redis, &["REPLICAOF 127.0.0.1 1"]);
    let said = checked(folder);
    assert!(said.code == 1 && said.out.contains("replica"), "{said:?}");
    tell(&redis, &["REPLICAOF NO ONE"]);

    write(folder, name, &address(&redis).replace("/2?", "/99?"), "");
    let said = checked(folder);
    assert!(
        said.code == 1 && said.out.contains("the number of the database"),
        "{said:?}"
    );
    write(folder, name, &address(&redis), "");
    redis.kill().unwrap();
    let said = checked(folder);
    assert!(
        said.code == 1 && said.out.contains("see that the Redis runs"),
        "{said:?}"
    );
    let said = run_in(folder, &["query", "orders", "--config", "c.yaml"]);
    assert!(said.code == 3 && said.err.contains("help:"), "{said:?}");
}

#[test]
fn the_store_of_another_pipeline_is_left_alone() {
    let name = "folds_others";
    shop(name);
    let redis = Redis::start(RedisFlavor::Redis, &RedisOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, name, &address(&redis), "");
    assert_eq!(run_to_now(folder, &[]).code, 0);
    let other = "    - {name: visits, table: orders, monoid: count}\n";
    let text = config_of(name, &address(&redis), other, "");
    fs::write(folder.join("other.yaml"), text).unwrap();
    let run_other = |words: &[&str]| {
        let all = ["run", "--config", "other.yaml", "--until", "now"];
        run_in(folder, &[&all[..], words].concat())
    };
    // The one whose it is writes, and is not fenced off.
    let running = Running::start(folder, &[]);
    wait(folder, "it runs", || {
        log_of(folder).contains("each row counts once")
    });
    let said = run_in(folder, &["check", "--config", "other.yaml"]);
    assert!(
        said.code == 1
            && said.out.contains("orders, revenue")
            && said.out.contains("another `name`"),
        "{said:?}"
    );
    let said = run_other(&[]);
    assert!(
        said.code == 1 && said.err.contains("another pipeline"),
        "{said:?}"
    );
    server()
        .sql(&format!("USE {name}; DELETE FROM orders WHERE id = 3;"))
        .unwrap();
    wait(folder, "it writes", || value(folder, &["orders"]) == 3);
    running.stop();
    // On purpose.
    assert_eq!(run_other(&["--rebuild-folds"]).code, 0);
    let said = run_in(folder, &["query", "visits", "--config", "other.yaml"]);
    assert!(said.code == 0 && said.out.contains('3'), "{said:?}");
}

#[test]
fn a_store_that_is_away_is_waited_for_and_nothing_is_lost() {
    let name = "folds_away";
    shop(name);
    let mut redis = Redis::start(RedisFlavor::Valkey, &RedisOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, name, &address(&redis), "");
    redis.stop().unwrap();
    let port = free_port();
    let running = Running::start(folder, &["--http", &port.to_string()]);
    let tries = || log_of(folder).matches("trying again").count();
    wait(folder, "it waits at the start", || tries() > 1);
    assert_eq!(ask(port, "GET /ready", "", "").0, 503);
    assert!(log_of(folder).contains("see that the Redis runs"));
    redis.restart().unwrap();
    let orders = || {
        let said = run_in(folder, &["query", "orders", "--config", "c.yaml", "--json"]);
        let answer: Value = serde_json::from_str(&said.out).unwrap_or_default();
        answer["answers"][0]["value"].clone()
    };
    wait(folder, "the rows are folded", || orders() == 4);
    // While it runs: what happens meanwhile is folded once the store is back, and once.
    for gone in [3, 4] {
        let before = tries();
        redis.kill().unwrap();
        server()
            .sql(&format!("USE {name}; DELETE FROM orders WHERE id = {gone}"))
            .unwrap();
        wait(folder, "it waits", || tries() > before);
        redis.restart().unwrap();
        wait(folder, "the change is folded", || orders() == 6 - gone);
    }
    // One that is told to stop meanwhile does not wait for it.
    redis.kill().unwrap();
    server()
        .sql(&format!("USE {name}; DELETE FROM orders WHERE id = 1"))
        .unwrap();
    let before = tries();
    wait(folder, "it waits", || tries() > before);
    running.stop();
    redis.restart().unwrap();
    assert_eq!(orders(), 2, "nothing of it was stored");
    assert_eq!(run_to_now(folder, &[]).code, 0);
    assert_eq!(orders(), 1);
}
