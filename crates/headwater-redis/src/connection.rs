//! The way to the server, and what its errors mean.

use headwater_core::{Error, ErrorKind, Result};
use headwater_fold::store::Catalog;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, ServerErrorKind};
use serde_json::Value;

use crate::options::RedisOptions;

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

    /// What an error of the server's means.
    pub(crate) fn failed(&self, what: &'static str, cause: RedisError) -> Error {
        let (kind, hint) = meaning(&cause);
        Error::new(kind, "the store of folds cannot be used")
            .during(what)
            .with("store", self.options.shown())
            .hint(hint)
            .caused_by(cause)
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

fn meaning(cause: &RedisError) -> (ErrorKind, &'static str) {
    use redis::ErrorKind as Redis;
    const AWAY: (ErrorKind, &str) = (
        ErrorKind::SinkUnavailable,
        "see that the Redis runs and can be reached; it is tried again",
    );
    const PASSWORD: (ErrorKind, &str) = (
        ErrorKind::Authentication,
        "look at the user and the password of the Redis",
    );
    const REFUSED: (ErrorKind, &str) = (
        ErrorKind::SinkRejected,
        "the Redis refuses what is needed: look at the cause, and at its version (7.0 or newer)",
    );
    match (cause.kind(), cause.code()) {
        (Redis::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => PASSWORD,
        (Redis::Server(ServerErrorKind::NoPerm), _) => (
            ErrorKind::Privilege,
            "the user needs all commands on the keys that begin with {headwater:",
        ),
        (_, Some("WRONGTYPE")) => (
            ErrorKind::CheckpointForeign,
            "the store's keys hold something else: use another `name`, and the folds are built anew",
        ),
        (_, Some("OOM")) => (
            ErrorKind::SinkUnavailable,
            "the Redis is full: raise its maxmemory; it is tried again",
        ),
        (_, Some("BUSY" | "MISCONF" | "NOREPLICAS")) => AWAY,
        (Redis::InvalidClientConfig, _) => (ErrorKind::Configuration, "look at the store's URL"),
        (
            Redis::Server(ServerErrorKind::ResponseError | ServerErrorKind::CrossSlot)
            | Redis::Extension
            | Redis::UnexpectedReturnType,
            _,
        ) => REFUSED,
        _ => AWAY,
    }
}
