//! Copies that a condition bounds, while rows come to meet it and cease to: by whatever way to a cut there is, each key's
//! events are its row at its cut, if that met the condition, then every later change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headwater_core::schema::TableName;
use headwater_servers::{Flavor, Instance};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{Host, on_every_server, start};
use crate::snapshot::{LOG, user};

/// Only rows with an even `a` are copied. Writers add one to it, so that a row meets that every other time.
const BOUNDED: [&str; 2] = ["t", "u"];

fn bounded_shop(server: &Instance) {
    let t: Vec<String> = (1..=600).map(|n| format!("({n}, {})", n % 2)).collect();
    let u: Vec<String> = (1..=600)
        .map(|n| format!("('{}{n}', {}, {})", ["a", "B", "é"][n % 3], n % 7, n % 2))
        .collect();
    server.admin(&format!(
        "DROP DATABASE IF EXISTS d; CREATE DATABASE d CHARACTER SET utf8mb4; USE d; \
         CREATE TABLE t (id INT PRIMARY KEY, a INT); \
         CREATE TABLE u (k VARCHAR(20) COLLATE utf8mb4_general_ci, n INT, a INT, PRIMARY KEY (k, n)); \
         INSERT INTO t VALUES {}; SET NAMES utf8mb4; INSERT INTO u VALUES {}",
        t.join(","),
        u.join(",")
    ));
}

/// Changes rows until it is stopped; some of them with every transaction.
async fn change_bounded(server: &Instance, number: u64, stop: &AtomicBool) {
    let mut connection = server.connect("d").await;
    let mut random = StdRng::seed_from_u64(number);
    let mut life = number * 1_000_000;
    while !stop.load(Ordering::Relaxed) {
        let id = random.random_range(1..=600_u32);
        let letter = ["a", "B", "é"][id as usize % 3];
        life += 1_000;
        let sql = match random.random_range(0..10) {
            0 => format!("DELETE FROM t WHERE id = {id}"),
            1 => format!("INSERT IGNORE INTO t VALUES ({id}, {life})"),
            2 => format!(
                "UPDATE u SET k = IF(BINARY k = BINARY UPPER(k), LOWER(k), UPPER(k)), a = a + 1 WHERE k = '{letter}{id}'"
            ),
            3..6 => format!("UPDATE u SET a = a + 1 WHERE k = '{letter}{id}'"),
            _ => format!("UPDATE t SET a = a + 1 WHERE id = {id}"),
        };
        let hot = format!("UPDATE t SET a = a + 1 WHERE id = {}", 200 * (number + 1));
        for sql in ["BEGIN", &sql, &hot, "COMMIT"] {
            match connection.execute(sql).await {
                Ok(_) => {}
                // A deadlock, or a wait for it: the transaction is gone, or its statement.
                Err(_) => {
                    connection.execute("ROLLBACK").await.unwrap();
                    break;
                }
            }
        }
    }
    connection.close().await;
}

/// Each key's events: its row if that met the condition at its cut, then every later change, once. Then all of it is the table.
fn judge_bounded(server: &Instance, lines: &[String], what: &str) {
    let mut rows: BTreeMap<(String, String), Option<i64>> = BTreeMap::new();
    for line in lines {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let table = event["table"].as_str().unwrap();
        let key = |name: &str| match event["old"].get(name) {
            Some(old) => old.clone(),
            None => event["data"][name].clone(),
        };
        let place = |id, k, n| (table.to_owned(), format!("{id} {k} {n}"));
        let data = &event["data"];
        let now = place(&data["id"], &data["k"], &data["n"]);
        let before = place(&key("id"), &key("k"), &key("n"));
        let a = data["a"].as_i64().unwrap();
        let kind = event["type"].as_str().unwrap();
        // What it was must be what came last; if nothing came, the row did not meet the condition at its cut.
        let was = |rows: &BTreeMap<_, Option<i64>>, place, a: i64| match rows.get(place) {
            None => assert!(a % 2 != 0, "{what}: never copied: {line}"),
            Some(last) => assert_eq!(*last, Some(a), "{what}: something is missing: {line}"),
        };
        let was_not = |rows: &BTreeMap<_, Option<i64>>, place| {
            assert!(
                rows.get(place).is_none_or(Option::is_none),
                "{what}: {line}"
            );
        };
        match kind {
            "bootstrap" => {
                assert!(a % 2 == 0, "{what}: it does not meet the condition: {line}");
                assert_eq!(rows.insert(now, Some(a)), None, "{what}: {line}");
            }
            "insert" => {
                was_not(&rows, &now);
                rows.insert(now, Some(a));
            }
            "delete" => {
                was(&rows, &now, a);
                rows.insert(now, None);
            }
            _ => {
                was(&rows, &before, event["old"]["a"].as_i64().unwrap());
                if before != now {
                    was_not(&rows, &now);
                    rows.insert(before, None);
                }
                rows.insert(now, Some(a));
            }
        }
    }
    let mut left: BTreeMap<_, _> = rows
        .into_iter()
        .filter_map(|(at, a)| Some((at, a?)))
        .collect();
    let t = server.admin("SELECT 't', CONCAT(id, ' null null'), a FROM d.t");
    let u =
        server.admin("SET NAMES utf8mb4; SELECT 'u', CONCAT('null \"', k, '\" ', n), a FROM d.u");
    for row in t.lines().chain(u.lines()) {
        let cells: Vec<&str> = row.split('\t').collect();
        let a: i64 = cells[2].parse().unwrap();
        match left.remove(&(cells[0].to_owned(), cells[1].to_owned())) {
            Some(found) => assert_eq!(found, a, "{what}: {row}"),
            None => assert!(a % 2 != 0, "{what}: lost: {row}"),
        }
    }
    assert_eq!(left, BTreeMap::new(), "{what}: not in the tables any more");
}

async fn a_bounded_copy_is_exact_with_whatever_privileges(flavor: Flavor) {
    let server = Arc::new(start(flavor, &[]));
    let reload = format!("{LOG} GRANT RELOAD ON *.* TO USER;");
    let locks = format!("{LOG} GRANT LOCK TABLES ON d.* TO USER;");
    for (name, grants) in [("reload", &*reload), ("locks", &*locks), ("bare", LOG)] {
        bounded_shop(&server);
        let mut run = user(&server, name, grants);
        for table in BOUNDED {
            let table = TableName::new("d", table);
            run.settings.conditions.insert(table, "a % 2 = 0".into());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|number| {
                let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
                tokio::spawn(async move { change_bounded(&server, number, &stop).await })
            })
            .collect();
        let copying = run.follow();
        // The writers go on while it copies: a key that never rests holds nothing up.
        copying.streams().await;
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.unwrap();
        }
        copying.stop().await.ok();
        let lines = run.go().await.ok();
        judge_bounded(&server, &lines, name);
    }
}

on_every_server!(a_bounded_copy_is_exact_with_whatever_privileges);
