//! A server of this test binary's own, for tests that only read its settings; and one shop a test.

use std::sync::OnceLock;

use headwater_servers::{Flavor, Instance, Options};

/// The server: started once, gone with the process.
pub(crate) fn server() -> &'static Instance {
    static SERVER: OnceLock<Instance> = OnceLock::new();
    SERVER.get_or_init(|| Instance::start(Flavor::MariaDb1011, &Options::default()).unwrap())
}

/// A database of that name with two small tables; answers the administrator's URL in it.
pub(crate) fn shop(name: &str) -> String {
    let server = server();
    server
        .sql(&format!(
            "CREATE DATABASE {name}; USE {name}; \
             CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(40)); \
             CREATE TABLE orders (id INT PRIMARY KEY, user INT, price DECIMAL(8,2)); \
             INSERT INTO users VALUES (1,'Ada'),(2,'Grace'); \
             INSERT INTO orders VALUES (10,1,9.50),(11,2,12.00),(12,1,3.25);"
        ))
        .unwrap();
    server.url("root", "", name)
}
