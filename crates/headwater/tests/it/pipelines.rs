//! Pipelines over a table with writers, into each store, against what the server says of the same rows.

use std::sync::atomic::{AtomicBool, Ordering};

use headwater::engine::{Ended, Until};
use headwater::fold::jiff::{Timestamp, civil, tz::TimeZone};
use headwater::fold::live::{self, LiveFrom as _};
use headwater::fold::monoid::{Count, Decimal, SumDecimal};
use headwater::fold::store::{Embedded, StateStore};
use headwater::fold::window::{Every, Window};
use headwater::fold::{Options, Pipeline, bootstrap};
use headwater::mysql::MysqlSource;
use headwater::redis::{RedisOptions, RedisStore};
use headwater_servers::Flavor;
use headwater_servers::redis::{self, RedisFlavor};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;

use super::Shop;

const CUSTOMERS: u64 = 20;
const DAYS: i8 = 4;

#[derive(Deserialize)]
struct Order {
    customer_id: u64,
    amount: Decimal,
    status: String,
    created_at: civil::DateTime,
}

type Revenue<S> = Pipeline<Order, ((), Decimal), (Count, SumDecimal), S>;

/// Paid orders and their sum, by customer and day.
fn revenue<S: StateStore + Clone>(store: S) -> Revenue<S> {
    let days = Window::new(Every::Day, TimeZone::get("America/New_York").unwrap(), None);
    Pipeline::named("revenue")
        .rows::<Order>()
        .key(|order: &Order| order.customer_id)
        .value(|order: &Order| ((), order.amount.clone()))
        .monoid((Count, SumDecimal))
        .store(store)
        .window(days, |order: &Order| order.created_at)
        .filter(|order: &Order| order.status == "paid")
}

fn order(random: &mut StdRng) -> String {
    format!(
        "{}, {}, '{}', '2026-11-{:02} {:02}:{:02}:00.250'",
        random.random_range(0..CUSTOMERS),
        f64::from(random.random_range(-10_000..1_000_000)) / 100.0,
        ["new", "paid", "paid", "refunded"][random.random_range(0..4)],
        random.random_range(1..=DAYS),
        random.random_range(0..24),
        random.random_range(0..60),
    )
}

/// Inserts, updates of each column, changes of keys, deletes; as one transaction.
fn transaction(random: &mut StdRng) -> String {
    let mut sql = "BEGIN;".to_owned();
    for _ in 0..random.random_range(1..6) {
        let id: u64 = random.random_range(1..400);
        let of = random.random_range(0..10);
        sql += &match of {
            0..4 => format!(
                "INSERT INTO orders (customer_id, amount, status, created_at) VALUES ({});",
                order(random)
            ),
            4 => format!("UPDATE orders SET status = 'refunded' WHERE id = {id};"),
            5 => format!(
                "UPDATE orders SET amount = amount + 1.01 WHERE id BETWEEN {id} AND {id} + 5;"
            ),
            6 => format!(
                "UPDATE orders SET customer_id = {} WHERE id = {id};",
                id % CUSTOMERS
            ),
            7 => format!(
                "UPDATE orders SET created_at = created_at + INTERVAL 1 DAY WHERE id = {id} AND created_at < '2026-11-{DAYS:02}';"
            ),
            8 => format!(
                "UPDATE IGNORE orders SET id = id + 100000, note = 'moved' WHERE id = {id};"
            ),
            _ => format!("DELETE FROM orders WHERE id BETWEEN {id} AND {id} + 2;"),
        };
    }
    sql + if random.random_range(0..8) == 0 {
        "ROLLBACK;"
    } else {
        "COMMIT;"
    }
}

fn write(shop: &Shop, seed: u64, is_over: &AtomicBool) {
    let mut random = StdRng::seed_from_u64(seed);
    while !is_over.load(Ordering::Relaxed) {
        let sql: String = (0..20).map(|_| transaction(&mut random)).collect();
        // Two writers may wait for each other's rows: then one of them is rolled back, by the server.
        let _ = shop.server.sql(&format!("USE `{}`; {sql}", shop.database));
    }
}

fn options(until: Until) -> Options {
    Options {
        until,
        fail_on_error: true,
        ..Options::default()
    }
}

/// What is folded of each customer on each day, and what the server says.
async fn compare<S: StateStore + Clone>(shop: &Shop, revenue: &Revenue<S>) {
    let answers = revenue.answers().unwrap();
    let mut found = Vec::new();
    let customers: Vec<u64> = (0..CUSTOMERS).collect();
    let zone = TimeZone::get("America/New_York").unwrap();
    let midnight = |day: i8| -> Timestamp {
        let day = civil::date(2026, 11, day).at(0, 0, 0, 0);
        zone.to_timestamp(day).unwrap()
    };
    for day in 1..=DAYS {
        let held = answers
            .between(&customers, midnight(day), midnight(day + 1))
            .await
            .unwrap();
        for (customer, held) in customers.iter().zip(held) {
            let (count, sum) = held.value;
            if count != 0 {
                found.push(format!("{customer}\t{day}\t{count}\t{sum}"));
            }
        }
    }
    let said = shop.sql(
        "SELECT customer_id, DAY(created_at), COUNT(*), \
         TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM SUM(amount))) FROM orders WHERE status = 'paid' \
         GROUP BY 1, 2 ORDER BY 2, 1",
    );
    let said: Vec<&str> = said.lines().collect();
    assert!(said.len() > 20, "{said:?}");
    assert_eq!(found, said);
}

async fn hold<S: StateStore + Clone>(flavor: Flavor, store: S) {
    let shop = Shop::open(flavor);
    let mut random = StdRng::seed_from_u64(11);
    let rows: Vec<String> = (0..30_000)
        .map(|_| format!("({})", order(&mut random)))
        .collect();
    let rows = rows.join(", ");
    shop.sql(&format!(
        "INSERT INTO orders (customer_id, amount, status, created_at) VALUES {rows}"
    ));
    let source = MysqlSource::of_tables(&shop.url(), &["orders"]).unwrap();
    let revenue = revenue(store);
    let is_over = AtomicBool::new(false);
    let token = std::thread::scope(|scope| {
        for seed in [1, 2] {
            let (shop, is_over) = (&shop, &is_over);
            scope.spawn(move || write(shop, seed, is_over));
        }
        let work = async {
            let token = bootstrap::run(&revenue, &source, options(Until::Forever))
                .await
                .unwrap();
            for _ in 0..6 {
                let live = source.live_from(token.clone()).unwrap();
                let summary = live::run(&revenue, live, options(Until::Now))
                    .await
                    .unwrap();
                assert_eq!(summary.ended, Ended::Complete);
            }
            token
        };
        let token =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work));
        is_over.store(true, Ordering::Relaxed);
        token
    });
    let live = source.live_from(token).unwrap();
    live::run(&revenue, live, options(Until::Now))
        .await
        .unwrap();
    compare(&shop, &revenue).await;
}

async fn into_a_file(flavor: Flavor) {
    let folder = tempfile::tempdir().unwrap();
    hold(flavor, Embedded::new(&folder.path().join("revenue.redb"))).await;
}

async fn into_redis(flavor: Flavor, store: RedisFlavor) {
    let url = redis::shared(store).unwrap();
    let name = format!(
        "pipelines-{}-{:x}",
        std::process::id(),
        rand::random::<u64>()
    );
    let options = RedisOptions::from_url(&format!("{url}?name={name}")).unwrap();
    hold(flavor, RedisStore::new(options).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_into_a_file_holds_what_grouping_gives_on_mariadb() {
    into_a_file(Flavor::MariaDb118).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_into_a_file_holds_what_grouping_gives_on_mysql() {
    into_a_file(Flavor::MySql97).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_into_redis_holds_what_grouping_gives_on_mariadb() {
    into_redis(Flavor::MariaDb1011, RedisFlavor::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_into_valkey_holds_what_grouping_gives_on_mysql() {
    into_redis(Flavor::MySql97, RedisFlavor::Valkey).await;
}
