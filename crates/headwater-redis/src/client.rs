//! The way to the server, and what the store there says of itself.

use std::collections::BTreeSet;

use headwater_core::{Error, ErrorKind, Result};
use headwater_fold::store::Catalog;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use serde_json::Value;

use crate::config::RedisOptions;
use crate::error::meaning;
use crate::keys::Keys;

/// The version of the layout.
pub(crate) const FORMAT: u32 = 1;

/// A server, by its client.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    client: Client,
    options: RedisOptions,
}

impl Server {
    pub(crate) fn new(options: RedisOptions) -> Result<Self> {
        Ok(Self {
            client: options.client()?,
            options,
        })
    }

    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.timeout))
            .set_response_timeout(Some(self.options.timeout));
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|cause| self.failed("connecting to the store", cause))
    }

    /// The error of a store that holds folds of none of these names; none if there is no such fault.
    pub(crate) fn of_others(&self, catalog: &Catalog, names: &[&str]) -> Option<Error> {
        let folds = catalog.generations.values().flat_map(|one| &one.folds);
        let held: BTreeSet<&str> = folds.map(|fold| fold.name.as_str()).collect();
        if held.is_empty() || names.iter().any(|name| held.contains(name)) {
            return None;
        }
        let held: Vec<&str> = held.into_iter().collect();
        let error = Error::new(
            ErrorKind::CheckpointForeign,
            "the store holds the folds of another pipeline",
        );
        Some(
            error
                .with("store", self.options.shown())
                .with("folds", held.join(", "))
                .hint("give this one another `name` in its URL; or, to put these folds in the place of those, headwater run --rebuild-folds"),
        )
    }

    /// What an error of the server's means.
    pub(crate) fn failed(&self, what: &'static str, cause: RedisError) -> Error {
        let (kind, hint) = meaning(&cause);
        Error::new(kind, "the store of folds cannot be used")
            .during(what)
            .with("store", self.options.shown())
            .hint(hint)
            .caused_by(cause)
    }

    /// What the store that a connection leads to says of itself.
    pub(crate) async fn read_catalog(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &Keys,
    ) -> Result<Catalog> {
        let mut asked = redis::cmd("HGET");
        asked.arg(keys.meta()).arg("catalog");
        let text: redis::RedisResult<Option<Vec<u8>>> = asked.query_async(connection).await;
        let text = text.map_err(|cause| self.failed("reading the store", cause))?;
        self.catalog(&text.unwrap_or_default())
    }

    /// What the store says of itself; nothing for one that is new.
    pub(crate) fn catalog(&self, text: &[u8]) -> Result<Catalog> {
        let foreign = |what: &'static str| {
            Error::new(ErrorKind::CheckpointForeign, what)
                .with("store", self.options.shown())
                .hint("use the version that wrote it, or another `name`, and the folds are built anew")
        };
        if text.is_empty() {
            return Ok(Catalog {
                format: FORMAT,
                ..Catalog::default()
            });
        }
        let value: Value = serde_json::from_slice(text)
            .map_err(|cause| foreign("the store does not say what it holds").caused_by(cause))?;
        if value["format"] != FORMAT {
            let error = foreign("the store was written by another version");
            return Err(error.with("format", &value["format"]));
        }
        serde_json::from_value(value)
            .map_err(|cause| foreign("the store does not say what it holds").caused_by(cause))
    }
}
