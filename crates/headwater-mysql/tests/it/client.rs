//! The wire client on the three real servers, and on fake ones for what those do not do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends by panicking, and its helpers with it"
)]

mod auth;
mod broken;
mod fake;
mod query;
mod rows;
mod tls;

use std::sync::OnceLock;

use headwater_core::Result;
use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use headwater_servers::{Flavor, Instance, Options};

use tls::Certificates;

/// A server with certificates of our own, for all tests of this module.
pub(crate) struct Server {
    pub(crate) instance: Instance,
    pub(crate) certificates: Certificates,
}

/// The server of a flavor: started once, and ended with the process.
pub(crate) fn server(flavor: Flavor) -> &'static Server {
    static SERVERS: [OnceLock<Server>; 3] = [const { OnceLock::new() }; 3];
    let index = Flavor::ALL
        .iter()
        .position(|known| *known == flavor)
        .unwrap();
    SERVERS[index].get_or_init(|| {
        let certificates = Certificates::new();
        let options = certificates.server_options();
        let options = Options {
            extra: options,
            ..Options::default()
        };
        let instance = Instance::start(flavor, &options).unwrap();
        instance.sql("CREATE DATABASE shop").unwrap();
        Server {
            instance,
            certificates,
        }
    })
}

impl Server {
    /// Options of a URL with these parameters, over TCP.
    pub(crate) fn tcp(&self, user: &str, password: &str, parameters: &str) -> ConnectOptions {
        let port = self.instance.port();
        let url = format!("mysql://{user}:{password}@localhost:{port}/?{parameters}");
        ConnectOptions::from_url(&url).unwrap()
    }

    /// Options of a URL with these parameters, over the socket.
    pub(crate) fn unix(&self, user: &str, password: &str, parameters: &str) -> ConnectOptions {
        let socket = self.instance.socket();
        let url = format!(
            "mysql://{user}:{password}@localhost/?socket={}&{parameters}",
            socket.display()
        );
        ConnectOptions::from_url(&url).unwrap()
    }

    pub(crate) async fn root(&self) -> Connection {
        Connection::connect(&self.tcp("root", "", "ssl-mode=disabled"))
            .await
            .unwrap()
    }
}

/// Who the session is, as the server sees it.
pub(crate) async fn who(options: &ConnectOptions) -> Result<String> {
    let mut connection = Connection::connect(options).await?;
    let who = connection.query_scalar("SELECT CURRENT_USER()").await?;
    connection.close().await;
    Ok(who.unwrap())
}

/// One test a server of each function.
macro_rules! on_every_server {
    ($($name:ident),* $(,)?) => {
        mod mariadb_10_11 { $(
            #[tokio::test]
            async fn $name() {
                super::$name($crate::client::server(headwater_servers::Flavor::MariaDb1011)).await;
            }
        )* }
        mod mariadb_11_8 { $(
            #[tokio::test]
            async fn $name() {
                super::$name($crate::client::server(headwater_servers::Flavor::MariaDb118)).await;
            }
        )* }
        mod mysql_9_7 { $(
            #[tokio::test]
            async fn $name() {
                super::$name($crate::client::server(headwater_servers::Flavor::MySql97)).await;
            }
        )* }
    };
}
pub(crate) use on_every_server;
