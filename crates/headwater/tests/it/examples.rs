//! The examples, as somebody runs them.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headwater_servers::Flavor;
use headwater_servers::redis::{self, RedisFlavor};

use super::Shop;

const PATIENCE: Duration = Duration::from_secs(120);

/// An example, which `cargo test` builds beside the tests.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let built: PathBuf = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        built.is_file(),
        "{} is not built: run cargo test -p headwater",
        built.display()
    );
    Command::new(built)
}

fn interrupt(child: &Child) {
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
}

/// Runs an example until `told` says so, then interrupts it; gives the lines that it printed.
fn run(mut command: Command, mut told: impl FnMut(&[String]) -> bool) -> Vec<String> {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let (send, lines) = std::sync::mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        for line in output.lines() {
            let _ = send.send(line.unwrap());
        }
    });
    let began = Instant::now();
    let mut said = Vec::new();
    while !told(&said) {
        said.extend(lines.recv_timeout(Duration::from_millis(100)));
        assert!(began.elapsed() < PATIENCE, "{said:?}");
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended by itself: {said:?}"
        );
    }
    interrupt(&child);
    let status = child.wait().unwrap();
    reading.join().unwrap();
    said.extend(lines.try_iter());
    assert!(status.success(), "{status}: {said:?}");
    said
}

#[test]
fn revenue_goes_into_a_file_and_goes_on_where_it_stood() {
    let shop = Shop::open(Flavor::MariaDb118);
    shop.sql(
        "INSERT INTO orders (customer_id, amount, status, created_at) VALUES \
         (42, 10.50, 'paid', NOW()), (42, 1, 'new', NOW()), (7, 3, 'paid', NOW())",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("revenue.redb");
    let again = || {
        let mut command = example("fold_into_file");
        command
            .arg(shop.url())
            .arg(&file)
            .current_dir(folder.path());
        command
    };
    let said = run(again(), |said| !said.is_empty());
    assert_eq!(said[0], "customer 42 has paid 10.5");
    shop.sql("UPDATE orders SET status = 'paid' WHERE customer_id = 42; DELETE FROM orders WHERE amount = 10.50");
    // It catches up while it runs; how far it came is what the next run says first.
    let began = Instant::now();
    loop {
        let started = Instant::now();
        let said = run(again(), |said| {
            !said.is_empty() && started.elapsed() > Duration::from_secs(1)
        });
        if said[0] == "customer 42 has paid 1" {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{said:?}");
    }
}

#[test]
fn customers_of_each_day_go_into_valkey() {
    let shop = Shop::open(Flavor::MySql97);
    shop.sql(
        "INSERT INTO orders (customer_id, amount, status, created_at) VALUES \
         (1, 1, 'new', '2026-11-03 10:00:00'), (2, 1, 'new', '2026-11-04 10:00:00'), \
         (1, 1, 'new', '2026-11-05 10:00:00'), (9, 1, 'new', '2026-10-05 10:00:00')",
    );
    let url = redis::shared(RedisFlavor::Valkey).unwrap();
    let store = format!(
        "{url}?name=example-{}-{:x}",
        std::process::id(),
        rand::random::<u64>()
    );
    let mut command = example("fold_into_redis");
    command.arg(shop.url()).arg(store);
    let said = run(command, |said| !said.is_empty());
    assert_eq!(said[1], "about 2 customers in November");
}
