//! What a program does with Headwater as a library, on real servers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends by panicking, and its helpers with it"
)]

mod examples;
mod pipelines;

use headwater_servers::{Flavor, Shared, shared};

/// A database of its own with the table `orders`, on a server that is there.
pub(crate) struct Shop {
    pub(crate) server: Shared,
    pub(crate) database: String,
}

impl Shop {
    pub(crate) fn open(flavor: Flavor) -> Self {
        let server = shared(flavor).unwrap();
        let database = server.fresh_database("pipelines").unwrap();
        let shop = Self { server, database };
        shop.sql(
            "CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, customer_id BIGINT UNSIGNED NOT NULL, \
             amount DECIMAL(12,2) NOT NULL, status ENUM('new', 'paid', 'refunded') NOT NULL, \
             created_at DATETIME(3) NOT NULL, note VARCHAR(40) NULL)",
        );
        shop
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        let sql = format!("USE `{}`; {sql}", self.database);
        self.server.sql(&sql).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "{}?ssl-mode=disabled",
            self.server.database_url(&self.database)
        )
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self
            .server
            .sql(&format!("DROP DATABASE `{}`", self.database));
    }
}
