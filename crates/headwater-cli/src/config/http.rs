//! Where HTTP listens, and with which token and certificate.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use headwater_core::{Error, Result};
use secrecy::{ExposeSecret, SecretString};

use super::connection::read_password_file;
use super::file::Http;
use super::{Lookup, misused};
use crate::arguments::HttpFlags;

/// The environment variable that holds the token.
pub(crate) const TOKEN_VARIABLE: &str = "HEADWATER_HTTP_TOKEN";
/// Where it listens if nothing is said of it.
const DEFAULT_PORT: u16 = 8642;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listen {
    host: String,
    port: u16,
}

impl Listen {
    /// Reads `HOST:PORT`, or a port of the loopback address.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            misused(
                format!("`{text}` is no address to listen at"),
                "write HOST:PORT (127.0.0.1:8642, [::1]:8642), or a port alone for the loopback address",
            )
        };
        let (host, port) = match text.rsplit_once(':') {
            None | Some(("", _)) => ("127.0.0.1", text.trim_start_matches(':')),
            Some((host, port)) => (host, port),
        };
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        // Only an address in brackets has colons.
        if host.is_empty() || (inner.is_none() && host.contains(':')) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.parse().map_err(|_| wrong())?,
        })
    }

    /// Whether only this machine can reach it.
    fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpTls {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// HTTP as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    pub(crate) listen: Listen,
    pub(crate) token: SecretString,
    pub(crate) tls: Option<HttpTls>,
}

/// The flags over the file; none if neither asks for HTTP.
pub(crate) fn resolve(
    flags: &HttpFlags,
    file: Option<&Http>,
    lookup: Lookup<'_>,
) -> Result<Option<HttpSettings>> {
    let listen = match (&flags.http, file) {
        (Some(flag), _) => Listen::parse(flag)?,
        (
            None,
            Some(Http {
                listen: Some(written),
                ..
            }),
        ) => Listen::parse(written)?,
        (None, Some(_)) => Listen {
            host: "127.0.0.1".to_owned(),
            port: DEFAULT_PORT,
        },
        (None, None) => return no_flag_alone(flags).map(|()| None),
    };
    let tls = tls(flags, file)?;
    if tls.is_none() && !listen.is_loopback() {
        return Err(not_without_tls(&listen));
    }
    let token = token(flags.http_token_file.as_deref(), file, lookup)?;
    Ok(Some(HttpSettings { listen, token, tls }))
}

/// What is said of an address that others can reach.
pub(crate) fn not_without_tls(listen: &Listen) -> Error {
    misused(
        format!("HTTP at {listen} could be listened to by others, its token included"),
        "give it a certificate (--http-cert and --http-key, or http.tls), or let it listen at 127.0.0.1",
    )
}

fn no_flag_alone(flags: &HttpFlags) -> Result<()> {
    let given = [
        (flags.http_token_file.is_some(), "--http-token-file"),
        (flags.http_cert.is_some(), "--http-cert"),
        (flags.http_key.is_some(), "--http-key"),
    ];
    match given.iter().find(|(is_given, _)| *is_given) {
        Some((_, flag)) => Err(misused(
            format!("{flag} has no effect without --http"),
            "add --http ADDRESS (8642 for that port on this machine alone)",
        )),
        None => Ok(()),
    }
}

fn tls(flags: &HttpFlags, file: Option<&Http>) -> Result<Option<HttpTls>> {
    match (&flags.http_cert, &flags.http_key) {
        (Some(cert), Some(key)) => {
            return Ok(Some(HttpTls {
                cert: cert.clone(),
                key: key.clone(),
            }));
        }
        (None, None) => {}
        _ => {
            return Err(misused(
                "a certificate and its private key belong together",
                "give both --http-cert and --http-key",
            ));
        }
    }
    let written = file.and_then(|http| http.tls.as_ref());
    Ok(written.map(|tls| HttpTls {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
    }))
}

fn token(flag: Option<&Path>, file: Option<&Http>, lookup: Lookup<'_>) -> Result<SecretString> {
    let token = match (flag, lookup(TOKEN_VARIABLE)) {
        (Some(path), _) => Some(read_password_file(path)?),
        (None, Some(token)) => Some(SecretString::from(token)),
        (None, None) => match file {
            Some(Http {
                token_file: Some(path),
                ..
            }) => Some(read_password_file(path)?),
            Some(Http {
                token: Some(token), ..
            }) => Some(token.0.clone()),
            _ => None,
        },
    };
    let Some(token) = token else {
        return Err(misused(
            "HTTP has no token",
            "set HEADWATER_HTTP_TOKEN, or give a file that holds it with --http-token-file (http.token_file)",
        ));
    };
    let text = token.expose_secret();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(misused(
            "the token of HTTP is empty, or has white space or other characters that no header can hold",
            "use letters and digits, for example what `openssl rand -hex 32` prints",
        ));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(http: &str) -> HttpFlags {
        HttpFlags {
            http: Some(http.to_owned()),
            ..HttpFlags::default()
        }
    }

    fn with_token(name: &str) -> Option<String> {
        (name == TOKEN_VARIABLE).then(|| "s3cret".to_owned())
    }

    #[test]
    fn addresses_are_read_as_written() {
        let shown = |text: &str| Listen::parse(text).map(|listen| listen.to_string());
        assert_eq!(shown("8642").unwrap(), "127.0.0.1:8642");
        assert_eq!(shown(":8642").unwrap(), "127.0.0.1:8642");
        assert_eq!(shown("0.0.0.0:0").unwrap(), "0.0.0.0:0");
        assert_eq!(shown("[::1]:1").unwrap(), "[::1]:1");
        assert_eq!(shown("localhost:80").unwrap(), "localhost:80");
        for bad in ["", "localhost", "::1", "::1:80", "a:b", "1:99999", "[]:1"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn others_are_let_near_only_with_a_certificate() {
        for open in ["0.0.0.0:1", "[::]:1", "10.0.0.7:1", "db.internal:1"] {
            let error = resolve(&flags(open), None, &with_token).unwrap_err();
            assert!(error.hint_text().unwrap().contains("--http-cert"), "{open}");
            let flags = HttpFlags {
                http_cert: Some("c".into()),
                http_key: Some("k".into()),
                ..flags(open)
            };
            assert!(resolve(&flags, None, &with_token).unwrap().is_some());
        }
        for near in ["127.0.0.1:1", "[::1]:1", "localhost:1", "1"] {
            assert!(resolve(&flags(near), None, &with_token).unwrap().is_some());
        }
    }

    #[test]
    fn there_is_no_http_without_a_token_and_none_at_all_unless_asked_for() {
        let error = resolve(&flags("1"), None, &|_| None).unwrap_err();
        assert!(error.hint_text().unwrap().contains(TOKEN_VARIABLE));
        let empty = |_: &str| Some(String::new());
        assert!(resolve(&flags("1"), None, &empty).is_err());
        let none = HttpFlags::default();
        assert!(resolve(&none, None, &with_token).unwrap().is_none());
        let alone = HttpFlags {
            http_key: Some("k".into()),
            ..none
        };
        assert!(resolve(&alone, None, &with_token).is_err());
    }
}
