//! Where a store is, and its bounds.

use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use redis::{Client, ConnectionInfo, IntoConnectionInfo};

/// What can be set.
#[derive(Clone)]
pub struct RedisOptions {
    pub(crate) server: ConnectionInfo,
    /// The store's name: its keys begin with it.
    pub name: String,
    /// Bytes of a step in memory at most; beyond, they are staged in the server.
    pub step_bytes_max: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Refuse a store whose folds have none of the names of those that are to be written, unless they are built anew on purpose:
    /// it is another pipeline's, by an oversight.
    pub refuses_others: bool,
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RedisOptions").field(&self.shown()).finish()
    }
}

impl RedisOptions {
    /// Reads `redis://user:password@host:port/database?name=NAME`; `rediss://` is with TLS.
    ///
    /// # Errors
    /// `Configuration`, which does not show the password.
    pub fn from_url(url: &str) -> Result<Self> {
        let wrong = |what: &'static str| {
            Error::new(ErrorKind::Configuration, what).hint(
                "write it as redis://host:6379/0?name=shop, where the name is this pipeline's own",
            )
        };
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let mut name = "";
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("name", value)) => name = value,
                _ => {
                    return Err(wrong(
                        "the URL of the Redis has a parameter that is not `name`",
                    ));
                }
            }
        }
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err(wrong(
                "the URL of the Redis has no `name` of letters, digits, `_`, `-` and `.`",
            ));
        }
        let server = address
            .into_connection_info()
            .map_err(|_| wrong("this is no URL of a Redis"))?;
        Ok(Self {
            server,
            name: name.to_owned(),
            step_bytes_max: 32 * 1024 * 1024,
            timeout: Duration::from_secs(60),
            refuses_others: false,
        })
    }

    /// Whether the URL had a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.server.redis_settings().password().is_some()
    }

    /// The same with this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        let settings = self.server.redis_settings().clone();
        self.server = self
            .server
            .set_redis_settings(settings.set_password(password));
        self
    }

    /// For messages: server, database and name, never a secret.
    #[must_use]
    pub fn shown(&self) -> String {
        let database = self.server.redis_settings().db();
        format!("{}/{database}?name={}", self.server.addr(), self.name)
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Client::open(self.server.clone()).map_err(|cause| {
            Error::new(ErrorKind::Configuration, "this Redis cannot be used")
                .with("store", self.shown())
                .hint("look at its URL")
                .caused_by(cause)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::RedisOptions;

    #[test]
    fn a_store_is_told_by_its_server_database_and_name() {
        let options =
            RedisOptions::from_url("redis://u:secret@db.example:7000/3?name=shop-1").unwrap();
        assert_eq!(options.shown(), "db.example:7000/3?name=shop-1");
        let tls = RedisOptions::from_url("rediss://:secret@db.example?name=a").unwrap();
        assert!(tls.client().is_ok());
        assert!(options.has_password());
        let given = RedisOptions::from_url("redis://db?name=a").unwrap();
        assert!(!given.has_password());
        let given = given.with_password("secret");
        assert!(given.has_password());
        assert!(!format!("{options:?} {tls:?} {given:?}").contains("secret"));
    }

    #[test]
    fn a_wrong_url_is_refused_without_its_password() {
        for url in [
            "redis://:secret@h/0",
            "redis://:secret@h/0?name=",
            "redis://:secret@h/0?name=a%20b",
            "redis://:secret@h/0?name=a&other=1",
            "redis://:secret@h/x?name=a",
            "mysql://:secret@h/0?name=a",
        ] {
            let error = RedisOptions::from_url(url).unwrap_err();
            assert!(error.hint_text().is_some());
            assert!(!format!("{error:?} {error}").contains("secret"), "{url}");
        }
    }
}
