//! The shop: customers, products, orders and their items.

use std::fmt::Write;

use headwater_servers::{Error, Result, Shared};

/// The database's name.
pub(super) const DATABASE: &str = "shop";

/// How many there are at the beginning.
pub(super) const CUSTOMERS: u64 = 5_000;
pub(super) const PRODUCTS: u64 = 500;
pub(super) const ORDERS: u64 = 60_000;

/// Stands in the comment of a table, so that a shop is known to be the demo's own.
const MARK: &str = "made by cargo xtask demo";

const TABLES: &str = "
CREATE TABLE customers (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(80) NOT NULL,
  email VARCHAR(120) NOT NULL UNIQUE,
  city VARCHAR(40),
  since DATE NOT NULL
) COMMENT 'made by cargo xtask demo';
CREATE TABLE products (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(80) NOT NULL,
  price DECIMAL(8,2) NOT NULL,
  stock INT NOT NULL
);
CREATE TABLE orders (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id BIGINT UNSIGNED NOT NULL,
  status ENUM('new','paid','shipped','returned') NOT NULL DEFAULT 'new',
  total DECIMAL(10,2) NOT NULL DEFAULT 0,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
);
CREATE TABLE order_items (
  order_id BIGINT UNSIGNED NOT NULL,
  line TINYINT UNSIGNED NOT NULL,
  product_id INT UNSIGNED NOT NULL,
  quantity SMALLINT UNSIGNED NOT NULL,
  PRIMARY KEY (order_id, line)
);
";

const NAMES: [&str; 12] = [
    "Ada", "Björn", "Chloé", "Dmitri", "Esra", "Farid", "Grace", "Hana", "Inês", "Jun", "Kofi",
    "Łucja",
];
const CITIES: [&str; 8] = [
    "Amsterdam",
    "Bogotá",
    "Dakar",
    "Hanoi",
    "Kraków",
    "Lyon",
    "Osaka",
    "Zürich",
];
const THINGS: [&str; 8] = [
    "teapot", "lamp", "rucksack", "notebook", "kettle", "blanket", "compass", "umbrella",
];
const KINDS: [&str; 6] = ["red", "small", "walnut", "travel", "folding", "quiet"];

/// Makes the database and fills it.
pub(super) fn fill(server: &Shared) -> Result<()> {
    remove(server)?;
    server.sql(&format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4"))?;
    let mut sql = format!("USE {DATABASE};\n{TABLES}");
    sql.push_str("START TRANSACTION;\n");
    insert(
        &mut sql,
        "customers (name, email, city, since)",
        CUSTOMERS,
        |row, i| {
            let (name, city) = (pick(&NAMES, i), pick(&CITIES, i / 3));
            let (month, day) = (i % 12 + 1, i % 28 + 1);
            write!(
                row,
                "('{name} {i}','customer{i}@shop.example','{city}','2024-{month:02}-{day:02}')"
            )
        },
    );
    insert(
        &mut sql,
        "products (name, price, stock)",
        PRODUCTS,
        |row, i| {
            let (kind, thing) = (pick(&KINDS, i), pick(&THINGS, i / 6));
            write!(
                row,
                "('{kind} {thing} {i}',{}.{:02},{})",
                i % 90 + 5,
                i * 7 % 100,
                i % 50 + 10
            )
        },
    );
    insert(
        &mut sql,
        "orders (customer_id, status, total, created_at)",
        ORDERS,
        |row, i| {
            let status = pick(&["paid", "shipped", "shipped", "returned"], i);
            let (customer, total) = (i * 17 % CUSTOMERS + 1, i % 400 + 9);
            let (day, hour, minute) = (i / 2200 % 28 + 1, i / 90 % 24, i % 60);
            let at = format!("2025-06-{day:02} {hour:02}:{minute:02}:00.{:03}", i % 1000);
            write!(row, "({customer},'{status}',{total}.90,'{at}')")
        },
    );
    insert(&mut sql, "order_items", ORDERS * 2, |row, i| {
        let (order, line) = (i / 2 + 1, i % 2 + 1);
        write!(
            row,
            "({order},{line},{},{})",
            i * 13 % PRODUCTS + 1,
            i % 4 + 1
        )
    });
    sql.push_str("COMMIT;\n");
    server.sql(&sql).map(drop)
}

/// Removes the database, if the demo made it.
pub(super) fn remove(server: &Shared) -> Result<()> {
    let found = server.sql(&format!(
        "SELECT COUNT(*), COALESCE(SUM(table_comment = '{MARK}'), 0) FROM information_schema.tables
         WHERE table_schema = '{DATABASE}'"
    ))?;
    let is_ours = !found.trim_end().ends_with("\t0");
    let is_empty = found.starts_with("0\t");
    if !is_ours && !is_empty {
        let what =
            format!("the server already has a database `{DATABASE}`, which is not the demo's");
        return Err(Error::new(what).hint("name another server in HEADWATER_DEMO_URL, or none"));
    }
    server
        .sql(&format!("DROP DATABASE IF EXISTS {DATABASE}"))
        .map(drop)
}

/// Appends `INSERT` statements of a thousand rows each.
fn insert(
    sql: &mut String,
    into: &str,
    rows: u64,
    mut values: impl FnMut(&mut String, u64) -> std::fmt::Result,
) {
    for i in 0..rows {
        match i % 1000 {
            0 => sql.push_str(&format!("INSERT INTO {into} VALUES\n")),
            _ => sql.push_str(",\n"),
        }
        // Writing to a string cannot fail.
        let _ = values(sql, i);
        if i % 1000 == 999 || i + 1 == rows {
            sql.push_str(";\n");
        }
    }
}

pub(super) fn pick<'a>(from: &[&'a str], i: u64) -> &'a str {
    let index = usize::try_from(i).unwrap_or(0) % from.len().max(1);
    from.get(index).copied().unwrap_or_default()
}
