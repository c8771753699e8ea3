//! Filters by Maxwell's rules, on real servers.

use std::fs;
use std::path::Path;

use headwater_servers::{Flavor, Shared, shared};
use serde_json::{Value, json};

use super::command::{CATCH_UP, Said, run_in};
use super::server::{server, shop};

/// What is told of a row: type, table, id, state, number within its transaction, whether it is the last.
fn told(events: &str) -> Vec<Value> {
    let told = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let row = &event["data"];
        json!([
            event["type"],
            event["table"],
            row["id"],
            row["STATE"],
            event["xoffset"],
            event["commit"]
        ])
    };
    events.lines().map(told).collect()
}

struct World {
    server: Shared,
    database: String,
    folder: tempfile::TempDir,
}

impl World {
    fn new(flavor: Flavor) -> Self {
        let server = shared(flavor).unwrap();
        let database = server.fresh_database("cli_filters").unwrap();
        let world = World {
            server,
            database,
            folder: tempfile::tempdir().unwrap(),
        };
        world.sql(
            "CREATE TABLE orders (id INT PRIMARY KEY, STATE VARCHAR(20)); \
             CREATE TABLE secret (id INT PRIMARY KEY, STATE VARCHAR(20)); \
             INSERT INTO orders VALUES (1,'open'),(2,'draft'),(3,NULL); INSERT INTO secret VALUES (1,'x')",
        );
        world
    }

    fn sql(&self, sql: &str) {
        let database = &self.database;
        self.server.sql(&format!("USE {database}; {sql}")).unwrap();
    }

    /// A reader that may see that `secret` is there, and may not read it.
    fn reader(&self) -> String {
        let (database, user) = (&self.database, format!("r_{}", self.database));
        let user = user.get(..user.len().min(30)).unwrap().to_owned();
        self.server
            .sql(&format!(
                "CREATE USER {user}@'%' IDENTIFIED BY 'r'; GRANT RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user}@'%'; \
                 GRANT SELECT ON {database}.orders TO {user}@'%'; GRANT INSERT ON {database}.secret TO {user}@'%';"
            ))
            .unwrap();
        self.server.url(&user, "r", database)
    }

    fn run(&self, url: &str, words: &[&str]) -> Said {
        let all = [&["run", url][..], &CATCH_UP, words].concat();
        run_in(self.folder.path(), &all)
    }

    fn events(&self) -> Vec<Value> {
        told(&fs::read_to_string(self.folder.path().join("e")).unwrap())
    }
}

#[test]
fn what_a_filter_excludes_is_never_read_and_rows_that_leave_or_enter_are_told_on_every_server() {
    for flavor in Flavor::ALL {
        let world = World::new(flavor);
        let url = world.reader();
        let name = flavor.name();
        // Without a filter the reader may not even begin.
        let refused = run_in(world.folder.path(), &["run", &url, "--until", "now"]);
        assert_ne!(refused.code, 0, "{name}: {refused:?}");
        let filter = format!(
            "exclude: *.*, include: {0}./^o/, exclude: {0}.orders.state=draft",
            world.database
        );
        let check = run_in(world.folder.path(), &["check", &url, "--filter", &filter]);
        assert!(!check.out.contains("secret"), "{name}: {check:?}");
        assert_eq!(check.code, 0, "{name}: {check:?}");
        let copied = world.run(&url, &["--filter", &filter]);
        assert_eq!(copied.code, 0, "{name}: {copied:?}");
        world.sql(
            "INSERT INTO secret VALUES (2,'y'); \
             BEGIN; INSERT INTO orders VALUES (4,'draft'); INSERT INTO secret VALUES (3,'z'); UPDATE orders SET STATE='open' WHERE id=2; \
             INSERT INTO orders VALUES (5,'draft'); UPDATE orders SET STATE='draft' WHERE id=1; UPDATE secret SET STATE='a'; \
             INSERT INTO orders VALUES (6,'draft'); COMMIT; \
             UPDATE orders SET STATE='done' WHERE id=3; DELETE FROM orders WHERE id IN (3,4,5)",
        );
        let followed = world.run(&url, &["--filter", &filter]);
        assert_eq!(followed.code, 0, "{name}: {followed:?}");
        let expected = [
            json!(["bootstrap", "orders", 1, "open", null, null]),
            json!(["bootstrap", "orders", 3, null, null, null]),
            json!(["insert", "orders", 2, "open", 0, null]),
            json!(["delete", "orders", 1, "open", null, true]),
            json!(["update", "orders", 3, "done", null, true]),
            json!(["delete", "orders", 3, "done", null, true]),
        ];
        assert_eq!(world.events(), expected, "{name}");
        // With other rules the file would hold rows of neither.
        let other = world.run(&url, &["--filter", "exclude: *.secret"]);
        assert_ne!(other.code, 0, "{name}: {other:?}");
        assert!(other.err.contains("filter"), "{name}: {other:?}");
        let database = &world.database;
        world
            .server
            .sql(&format!("DROP DATABASE {database}"))
            .unwrap();
    }
}

#[test]
fn maxwells_own_way_with_updates_looks_at_the_new_row_only() {
    let world = World::new(Flavor::MariaDb1011);
    let url = world.server.database_url(&world.database);
    let filter = [
        "--filter",
        "exclude: *.*.state=draft",
        "--filter-updates",
        "new_row",
    ];
    let words = [&["orders"][..], &filter].concat();
    assert_eq!(world.run(&url, &words).code, 0);
    world.sql("UPDATE orders SET STATE='open' WHERE id=2; UPDATE orders SET STATE='draft' WHERE id=1; UPDATE orders SET STATE='paid' WHERE id=2");
    let followed = world.run(&url, &words);
    assert_eq!(followed.code, 0, "{followed:?}");
    let events = world.events();
    assert_eq!(
        events.get(2..).unwrap(),
        [
            json!(["update", "orders", 2, "open", null, true]),
            json!(["update", "orders", 2, "paid", null, true]),
        ]
    );
}

/// More rows than a batch holds, of which the last that goes out is many batches before the end.
#[test]
fn a_transaction_of_many_batches_ends_with_the_last_row_that_goes_out() {
    let url = shop("long_transaction");
    let folder = tempfile::tempdir().unwrap();
    let filter = "exclude: *.users.name=/^hidden/";
    let words = [
        &["run", &url, "users"][..],
        &CATCH_UP,
        &["--filter", filter],
    ]
    .concat();
    assert_eq!(run_in(folder.path(), &words).code, 0);
    server()
        .sql(
            "USE long_transaction; BEGIN; \
             INSERT INTO users SELECT seq, IF(seq > 20000, 'hidden', IF(seq % 2, 'hidden too', 'seen')) FROM seq_11_to_60000; COMMIT",
        )
        .unwrap();
    let followed = run_in(folder.path(), &words);
    assert_eq!(followed.code, 0, "{followed:?}");
    let events = told(&fs::read_to_string(folder.path().join("e")).unwrap());
    let live = events.get(2..).unwrap();
    assert_eq!(live.len(), 9_995);
    for (offset, event) in live.iter().enumerate() {
        let is_last = offset + 1 == live.len();
        let commit = if is_last { json!(true) } else { json!(null) };
        let number = if is_last { json!(null) } else { json!(offset) };
        assert_eq!((&event[4], &event[5]), (&number, &commit), "{offset}");
    }
}

#[test]
fn a_filter_that_cannot_be_read_or_leaves_nothing_is_refused_with_what_to_do() {
    let here = Path::new(".");
    let refused = |words: &[&str], parts: &[&str]| {
        let said = run_in(here, words);
        assert_eq!(said.code, 2, "{said:?}");
        for part in parts {
            assert!(said.err.contains(part), "{part}: {said:?}");
        }
    };
    let url = "mysql://cdc@127.0.0.1:1/shop";
    refused(
        &["run", url, "--filter", "include: shop"],
        &["column 14", "`.` and a table", "/expression/"],
    );
    refused(
        &["run", url, "orders", "--filter", "exclude: shop.*"],
        &["excludes every table that is named: shop.orders"],
    );
    refused(
        &[
            "run",
            url,
            "--filter",
            "exclude: shop.orders",
            "--where",
            "orders:id > 1",
        ],
        &["shop.orders, which the filter excludes"],
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yaml"), "filter: 'include: a'\n").unwrap();
    let said = run_in(folder.path(), &["run", url, "--config", "bad.yaml"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("bad.yaml:1:9"), "{said:?}");
}
