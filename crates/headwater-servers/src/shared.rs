//! The shared server as a test sees it.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::address::Address;
use crate::client::{self, Route};
use crate::error::Result;
use crate::flavor::Flavor;
use crate::install::{Install, install};
use crate::services;

/// A shared server: many tests use it at once, so each works in a database of its own.
#[derive(Debug, Clone)]
pub struct Shared {
    flavor: Flavor,
    address: Address,
}

/// The shared server of a flavor, which runs already.
///
/// # Errors
/// None runs; the error says how to start it.
pub fn shared(flavor: Flavor) -> Result<Shared> {
    match services::find(flavor)? {
        Some(service) => Ok(Shared {
            flavor,
            address: service.address,
        }),
        None => Err(services::home(flavor).none_runs()),
    }
}

impl Shared {
    /// A server at an address, whoever started it; `flavor` says whose client to reach it with.
    pub fn at(flavor: Flavor, address: Address) -> Self {
        Self { flavor, address }
    }

    /// Which server this is.
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The `mysql://` URL for a user; `database` may be empty.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        self.address.url(user, password, database)
    }

    /// The `mysql://` URL of the administrator.
    pub fn admin_url(&self) -> String {
        self.address.own_url()
    }

    /// The `mysql://` URL of the administrator in a database.
    pub fn database_url(&self, database: &str) -> String {
        self.address
            .url(&self.address.user, &self.address.password, database)
    }

    /// Runs SQL as administrator through the stock client. The answer is what the client prints: one
    /// line a row, columns separated by tabs, no headers.
    ///
    /// # Errors
    /// What the server said, with the beginning of the SQL.
    pub fn sql(&self, sql: &str) -> Result<String> {
        client::run(&self.programs()?, Route::Tcp(&self.address), sql)
    }

    /// The client's command, connected as administrator: SQL goes to its standard input.
    ///
    /// # Errors
    /// The client cannot be had here.
    pub fn client(&self) -> Result<Command> {
        Ok(client::command(
            &self.programs()?,
            Route::Tcp(&self.address),
        ))
    }

    /// Makes a database with a name of its own, which begins with `prefix`, and answers the name.
    ///
    /// # Errors
    /// What the server said.
    pub fn fresh_database(&self, prefix: &str) -> Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        // A process id comes again, within a day on some machines; the second does not.
        let name = format!(
            "{prefix}_{}_{}_{count}",
            std::process::id(),
            since.as_secs()
        );
        self.sql(&format!("CREATE DATABASE `{name}`"))?;
        Ok(name)
    }

    fn programs(&self) -> Result<Install> {
        install(self.flavor)
    }
}
