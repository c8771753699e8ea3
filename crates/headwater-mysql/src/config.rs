//! How to reach a server: [`ConnectOptions`], and their URL form `mysql://user:password@host:port/database?option=value`.
//!
//! The options' names are those of MySQL's own clients (`ssl-mode`, `ssl-ca`, `socket`, …). No error, no `Debug` and
//! no [`ConnectOptions::redacted_url`] ever shows the password: errors of [`ConnectOptions::from_url`] repeat nothing
//! of the URL's text, because an unescaped password can spill into any part of it.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use secrecy::SecretString;

/// The port of MySQL and MariaDB where none is given.
pub const DEFAULT_PORT: u16 = 3306;

/// The largest packet accepted unless told otherwise: the largest value of a column (1 GiB) and some room for the
/// rest of its row.
pub const MAX_PACKET_BYTES_DEFAULT: usize = (1 << 30) + (64 << 20);

const URL_SHAPE: &str = "write it as mysql://USER:PASSWORD@HOST:PORT/DATABASE; characters such as @ : / ? # % in the \
                         user or the password are written as % and two hexadecimal digits (@ is %40)";
const URL_OPTIONS: &str = "known are ssl-mode, ssl-ca, ssl-cert, ssl-key, socket, connect-timeout, read-timeout, \
                           allow-public-key-retrieval, max-packet-bytes";

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP address. `host` is a name or an address; an IPv6 address stands without brackets.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket on this machine.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How much TLS is wanted, in MySQL's own terms (`ssl-mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Never (`disabled`).
    Off,
    /// Where the server has it, else in clear (`preferred`). The certificate is not checked.
    #[default]
    Preferred,
    /// Always; the certificate is not checked (`required`), so that the server's self-made one passes.
    Required,
    /// Always, and the certificate comes from a trusted authority (`verify-ca`).
    VerifyCa,
    /// As `VerifyCa`, and the certificate names the host (`verify-identity`).
    VerifyIdentity,
}

impl TlsMode {
    /// The mode's name in URLs and configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "disabled",
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::VerifyCa => "verify-ca",
            Self::VerifyIdentity => "verify-identity",
        }
    }

    /// Whether the server's certificate is checked.
    #[must_use]
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyIdentity)
    }
}

impl FromStr for TlsMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().replace('_', "-").as_str() {
            "off" | "disabled" => Ok(Self::Off),
            "preferred" => Ok(Self::Preferred),
            "required" => Ok(Self::Required),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-identity" => Ok(Self::VerifyIdentity),
            _ => Err(Error::new(ErrorKind::Configuration, "unknown ssl-mode")
                .hint("one of disabled, preferred, required, verify-ca, verify-identity")),
        }
    }
}

/// TLS to the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsOptions {
    /// How much of it.
    pub mode: TlsMode,
    /// A PEM file of authorities to trust in place of the system's. Only with a verifying mode.
    pub ca: Option<PathBuf>,
    /// A PEM file with the client's certificate chain, for accounts that require one. Only together with `key`.
    pub cert: Option<PathBuf>,
    /// A PEM file with the client's private key. Only together with `cert`.
    pub key: Option<PathBuf>,
}

impl TlsOptions {
    /// Refuses options that contradict each other.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a CA file that nothing would be checked against, or half a client identity.
    pub fn validate(&self) -> Result<()> {
        if self.ca.is_some() && !self.mode.verifies() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "a CA file is given, but the ssl-mode checks no certificate",
            )
            .with("ssl-mode", self.mode.name())
            .hint("use ssl-mode verify-ca or verify-identity, or leave the CA file out"));
        }
        if self.cert.is_some() != self.key.is_some() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the client's certificate and its key belong together, and one is missing",
            )
            .hint("give both ssl-cert and ssl-key, or neither"));
        }
        if self.cert.is_some() && self.mode == TlsMode::Off {
            return Err(Error::new(
                ErrorKind::Configuration,
                "a client certificate is given, but TLS is off",
            )
            .hint("use another ssl-mode, or leave ssl-cert and ssl-key out"));
        }
        Ok(())
    }
}

/// Everything a connection needs to know.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Where the server listens.
    pub address: Address,
    /// The account's name.
    pub user: String,
    /// The account's password. `None` and an empty one are the same to the server.
    pub password: Option<SecretString>,
    /// The database to start in.
    pub database: Option<String>,
    /// TLS.
    pub tls: TlsOptions,
    /// The bound on connecting: name look-up, TCP, TLS and authentication together.
    pub connect_timeout: Duration,
    /// The longest silence of the server while an answer is awaited, after which it counts as gone. TCP keep-alive
    /// finds dead peers earlier; this is for a server that hangs. `None`: wait for ever.
    pub read_timeout: Option<Duration>,
    /// Whether the server may be asked for its RSA key where a password must be sent and the connection is in clear
    /// (`caching_sha2_password` over TCP without TLS). Who sits between the two could hand out a key of his own.
    pub allow_public_key_retrieval: bool,
    /// The largest packet accepted, in bytes.
    pub max_packet_bytes: usize,
}

impl ConnectOptions {
    /// Options with the defaults: no password, no database, TLS preferred, 10 s to connect, 15 min of silence.
    #[must_use]
    pub fn new(address: Address, user: impl Into<String>) -> Self {
        Self {
            address,
            user: user.into(),
            password: None,
            database: None,
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Some(Duration::from_secs(900)),
            allow_public_key_retrieval: true,
            max_packet_bytes: MAX_PACKET_BYTES_DEFAULT,
        }
    }

    /// Sets the password.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(SecretString::from(password.into()));
        self
    }

    /// Reads `mysql://user:password@host:port/database?option=value` (or `mariadb://…`). Every part is
    /// percent-decoded; an IPv6 address stands in brackets. `ssl-ca` without `ssl-mode` means `verify-ca`.
    /// Times are whole seconds; a `read-timeout` of 0 means none.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], with a hint, and without any text of the URL.
    pub fn from_url(url: &str) -> Result<Self> {
        let rest = url
            .strip_prefix("mysql://")
            .or_else(|| url.strip_prefix("mariadb://"))
            .ok_or_else(|| invalid("the URL does not begin with mysql:// or mariadb://"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if tail.contains('@') || tail.contains('#') {
            return Err(invalid("the URL has an unescaped @ or # behind its host"));
        }
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let Some((userinfo, host_port)) = authority.rsplit_once('@') else {
            return Err(invalid("the URL names no user"));
        };
        if userinfo.contains('@') {
            return Err(invalid("the URL's user or password has an unescaped @"));
        }
        let (user, password) = match userinfo.split_once(':') {
            Some((user, password)) => (user, Some(decode(password, "password")?)),
            None => (userinfo, None),
        };
        let user = decode(user, "user")?;
        if user.is_empty() {
            return Err(invalid("the URL names no user"));
        }
        let (host, port) = split_host_port(host_port)?;
        let parameters = Parameters::parse(query)?;
        let address = match parameters.socket {
            Some(_) if port.is_some() || !matches!(host.as_str(), "" | "localhost") => {
                return Err(invalid("the URL names both a host and a socket")
                    .hint("leave the host empty or write localhost, without a port"));
            }
            Some(socket) => Address::Unix(socket),
            None if host.is_empty() => return Err(invalid("the URL names no host")),
            None => Address::Tcp {
                host,
                port: port.unwrap_or(DEFAULT_PORT),
            },
        };
        let mut options = Self::new(address, user);
        options.password = password.map(SecretString::from);
        options.database = Some(decode(path.strip_prefix('/').unwrap_or(""), "database")?)
            .filter(|name| !name.is_empty());
        options.tls = parameters.tls;
        if let Some(mode) = parameters.tls_mode {
            options.tls.mode = mode;
        } else if options.tls.ca.is_some() {
            options.tls.mode = TlsMode::VerifyCa;
        }
        options.tls.validate()?;
        if let Some(timeout) = parameters.connect_timeout {
            options.connect_timeout = timeout;
        }
        if let Some(timeout) = parameters.read_timeout {
            options.read_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        }
        if let Some(allow) = parameters.allow_public_key_retrieval {
            options.allow_public_key_retrieval = allow;
        }
        if let Some(bytes) = parameters.max_packet_bytes {
            options.max_packet_bytes = bytes;
        }
        Ok(options)
    }

    /// The URL of these options with `***` for the password: for logs and messages. Only what differs from the
    /// defaults stands behind the question mark, timeouts and bounds left out.
    #[must_use]
    pub fn redacted_url(&self) -> String {
        let mut url = String::from("mysql://");
        encode(&self.user, &mut url);
        if self.password.is_some() {
            url.push_str(":***");
        }
        url.push('@');
        match &self.address {
            Address::Tcp { host, port } if !host.contains(':') => {
                encode(host, &mut url);
                _ = write!(url, ":{port}");
            }
            Address::Tcp { .. } => _ = write!(url, "{}", self.address),
            Address::Unix(_) => {}
        }
        if let Some(database) = &self.database {
            url.push('/');
            encode(database, &mut url);
        }
        let mut lead = '?';
        let mut parameter = |key: &str, value: &str| {
            url.push(lead);
            lead = '&';
            url.push_str(key);
            url.push('=');
            encode(value, &mut url);
        };
        if let Address::Unix(path) = &self.address {
            parameter("socket", &path.to_string_lossy());
        }
        if self.tls.mode != TlsMode::default() {
            parameter("ssl-mode", self.tls.mode.name());
        }
        let files = [
            ("ssl-ca", &self.tls.ca),
            ("ssl-cert", &self.tls.cert),
            ("ssl-key", &self.tls.key),
        ];
        for (key, file) in files {
            if let Some(file) = file {
                parameter(key, &file.to_string_lossy());
            }
        }
        url
    }
}

/// What stands behind the URL's question mark.
#[derive(Default)]
struct Parameters {
    tls_mode: Option<TlsMode>,
    tls: TlsOptions,
    socket: Option<PathBuf>,
    connect_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
    allow_public_key_retrieval: Option<bool>,
    max_packet_bytes: Option<usize>,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self> {
        let mut this = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value, "option")?;
            match key.to_ascii_lowercase().replace('_', "-").as_str() {
                "ssl-mode" => set(&mut this.tls_mode, value.parse()?)?,
                "ssl-ca" => set(&mut this.tls.ca, path(value)?)?,
                "ssl-cert" => set(&mut this.tls.cert, path(value)?)?,
                "ssl-key" => set(&mut this.tls.key, path(value)?)?,
                "socket" => set(&mut this.socket, path(value)?)?,
                "connect-timeout" => set(&mut this.connect_timeout, seconds(&value)?)?,
                "read-timeout" => set(&mut this.read_timeout, seconds(&value)?)?,
                "allow-public-key-retrieval" => {
                    let allow = match value.to_ascii_lowercase().as_str() {
                        "" | "1" | "true" | "yes" | "on" => true,
                        "0" | "false" | "no" | "off" => false,
                        _ => {
                            return Err(invalid_option(
                                "allow-public-key-retrieval is true or false",
                            ));
                        }
                    };
                    set(&mut this.allow_public_key_retrieval, allow)?;
                }
                "max-packet-bytes" => {
                    let bytes = value.parse().ok().filter(|bytes| *bytes >= 1024);
                    let bytes = bytes.ok_or_else(|| {
                        invalid_option("max-packet-bytes is a number of bytes from 1024 on")
                    })?;
                    set(&mut this.max_packet_bytes, bytes)?;
                }
                _ => {
                    return Err(invalid("the URL has an unknown option").hint(URL_OPTIONS));
                }
            }
        }
        Ok(this)
    }
}

fn set<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    if slot.replace(value).is_some() {
        return Err(invalid("the URL gives one option twice").hint(URL_OPTIONS));
    }
    Ok(())
}

fn path(text: String) -> Result<PathBuf> {
    if text.is_empty() {
        return Err(invalid_option("a file option of the URL is empty"));
    }
    Ok(PathBuf::from(text))
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse();
    seconds
        .map(Duration::from_secs)
        .map_err(|_| invalid_option("a timeout of the URL is not a whole number of seconds"))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, message).hint(URL_SHAPE)
}

fn invalid_option(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, message).hint(URL_OPTIONS)
}

fn split_host_port(text: &str) -> Result<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| invalid("the URL's [ has no ] behind it"))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(invalid("the URL has no IPv6 address between [ and ]"));
        }
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(invalid("the URL has text between ] and the port")),
        };
        (host.to_owned(), port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        if port.is_some_and(|port| port.contains(':')) {
            return Err(invalid("the URL's host has too many colons")
                .hint("an IPv6 address stands in brackets: mysql://user@[::1]:3306/"));
        }
        (decode(host, "host")?, port)
    };
    let port = match port {
        None | Some("") => None,
        Some(port) => match port.parse::<u16>() {
            Ok(0) | Err(_) => {
                return Err(invalid("the URL's port is not a number from 1 to 65535"));
            }
            Ok(port) => Some(port),
        },
    };
    Ok((host, port))
}

/// Percent-decoding (RFC 3986, section 2.1) to UTF-8; a plus sign stays what it is.
fn decode(text: &str, part: &'static str) -> Result<String> {
    let broken = || {
        Error::new(
            ErrorKind::Configuration,
            "a part of the URL is not well percent-encoded",
        )
        .with("part", part)
        .hint(URL_SHAPE)
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(broken());
        };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| broken())?);
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(broken)
}

fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            into.push(char::from(byte));
        } else {
            _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_full_url_sets_every_option() {
        let options = ConnectOptions::from_url(
            "mysql://c%40dc:p%3A%2F%40ss@db.example:3307/my%20shop?ssl-mode=VERIFY_IDENTITY&ssl-ca=/etc/ca.pem\
             &connect-timeout=3&read-timeout=0&allow-public-key-retrieval=false&max-packet-bytes=4096",
        )
        .unwrap();
        assert_eq!(
            options.address,
            Address::Tcp {
                host: "db.example".into(),
                port: 3307
            }
        );
        assert_eq!(options.user, "c@dc");
        assert_eq!(options.password.as_ref().unwrap().expose_secret(), "p:/@ss");
        assert_eq!(options.database.as_deref(), Some("my shop"));
        assert_eq!(options.tls.mode, TlsMode::VerifyIdentity);
        assert_eq!(options.tls.ca, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(options.connect_timeout, Duration::from_secs(3));
        assert_eq!(options.read_timeout, None);
        assert!(!options.allow_public_key_retrieval);
        assert_eq!(options.max_packet_bytes, 4096);
        assert_eq!(
            options.redacted_url(),
            "mysql://c%40dc:***@db.example:3307/my%20shop?ssl-mode=verify-identity&ssl-ca=/etc/ca.pem"
        );
        assert!(!format!("{options:?}").contains("ss\""), "{options:?}");
    }

    #[test]
    fn a_short_url_takes_the_defaults() {
        let options = ConnectOptions::from_url("mariadb://root@localhost").unwrap();
        assert_eq!(
            options.address,
            Address::Tcp {
                host: "localhost".into(),
                port: 3306
            }
        );
        assert!(options.password.is_none() && options.database.is_none());
        assert_eq!(options.tls.mode, TlsMode::Preferred);
        assert_eq!(options.redacted_url(), "mysql://root@localhost:3306");
    }

    #[test]
    fn an_ipv6_host_stands_in_brackets() {
        let options = ConnectOptions::from_url("mysql://u:@[::1]:3310/d").unwrap();
        assert_eq!(
            options.address,
            Address::Tcp {
                host: "::1".into(),
                port: 3310
            }
        );
        assert_eq!(options.redacted_url(), "mysql://u:***@[::1]:3310/d");
        assert!(ConnectOptions::from_url("mysql://u@::1/d").is_err());
    }

    #[test]
    fn a_socket_takes_the_place_of_the_host() {
        for url in [
            "mysql://u@/d?socket=/run/my.sock",
            "mysql://u@localhost/d?socket=%2Frun%2Fmy.sock",
        ] {
            let options = ConnectOptions::from_url(url).unwrap();
            assert_eq!(options.address, Address::Unix("/run/my.sock".into()));
            assert_eq!(options.redacted_url(), "mysql://u@/d?socket=/run/my.sock");
        }
        assert!(ConnectOptions::from_url("mysql://u@db/d?socket=/run/my.sock").is_err());
    }

    #[test]
    fn a_ca_alone_means_verify_ca_and_contradicts_a_mode_that_checks_nothing() {
        let options = ConnectOptions::from_url("mysql://u@h/?ssl-ca=ca.pem").unwrap();
        assert_eq!(options.tls.mode, TlsMode::VerifyCa);
        for bad in [
            "ssl-ca=ca.pem&ssl-mode=required",
            "ssl-cert=c.pem",
            "ssl-mode=maybe",
            "ssl-mode=off&ssl-mode=off",
        ] {
            let error = ConnectOptions::from_url(&format!("mysql://u@h/?{bad}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.hint_text().is_some());
        }
    }

    #[test]
    fn no_error_repeats_an_unescaped_password() {
        let secrets = [
            "p@geheim",
            "p/geheim",
            "p?geheim",
            "p#geheim",
            "geheim%zz",
            "p:geheim@x",
            "1?geheim",
            "1/geheim?x",
        ];
        for secret in secrets {
            for url in [
                format!("mysql://user:{secret}@host:3306/db"),
                format!("mysql://user:{secret}@host:x/db?a=b"),
                format!("mysql://user:{secret}@host/db?nonsense=1"),
                format!("user:{secret}@host"),
            ] {
                match ConnectOptions::from_url(&url) {
                    Ok(options) => assert_eq!(options.password.unwrap().expose_secret(), secret),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Configuration);
                        assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
                    }
                }
            }
        }
    }
}
