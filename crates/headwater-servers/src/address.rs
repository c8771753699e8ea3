//! The `mysql://` address of a server: taken apart, and put together.

use crate::error::{Error, Result};

/// Where a server is and who asks: `mysql://user:password@host:port`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name.
    pub user: String,
    /// Password; empty means none.
    pub password: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "mysql://{}@{}:{}", self.user, self.host, self.port)
    }
}

impl Address {
    /// `root` without a password on this machine.
    pub(crate) fn local(port: u16) -> Self {
        let text = |text: &str| text.to_owned();
        Self {
            host: text("127.0.0.1"),
            port,
            user: text("root"),
            password: String::new(),
        }
    }

    /// Takes a `mysql://` (or `mariadb://`) URL apart; its database and settings are not looked at.
    ///
    /// # Errors
    /// A text that is no such URL.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(format!("not an address of a server: {why}"))
                .hint("write it as mysql://user:password@host:port")
        };
        let rest = (url
            .strip_prefix("mysql://")
            .or_else(|| url.strip_prefix("mariadb://")))
        .ok_or_else(|| wrong("it does not begin with mysql://"))?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (credentials, host_port) = authority.rsplit_once('@').unwrap_or(("root", authority));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (host, port) = match host_port.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (
                host,
                port.parse()
                    .map_err(|_| wrong("its port is not a number"))?,
            ),
            _ => (host_port, 3306),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let decode =
            |part: &str| percent_decode(part).ok_or_else(|| wrong("a % in it is no escape"));
        Ok(Self {
            host: decode(host)?,
            port,
            user: decode(user)?,
            password: decode(password)?,
        })
    }

    /// The URL of the same server for `user`, in `database` unless that is empty.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            percent_encode(&self.host)
        };
        let secret = match password {
            "" => String::new(),
            _ => format!(":{}", percent_encode(password)),
        };
        let (user, database) = (percent_encode(user), percent_encode(database));
        format!("mysql://{user}{secret}@{host}:{}/{database}", self.port)
    }

    /// The URL for the address's own user.
    pub fn own_url(&self) -> String {
        self.url(&self.user, &self.password, "")
    }
}

fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let value = digit()? * 16 + digit()?;
        out.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_survives_being_written_and_read() {
        for host in ["127.0.0.1", "::1", "db.example"] {
            let text = |text: &str| text.to_owned();
            let address = Address {
                host: text(host),
                port: 33311,
                user: text("u@x"),
                password: text("p:/% é"),
            };
            assert_eq!(Address::parse(&address.own_url()).unwrap(), address);
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let address = Address::parse("mysql://localhost").unwrap();
        assert_eq!((address.user.as_str(), address.port), ("root", 3306));
        assert_eq!(
            address.url("root", "", "shop"),
            "mysql://root@localhost:3306/shop"
        );
    }

    #[test]
    fn a_wrong_address_is_refused_without_showing_its_password() {
        for url in [
            "postgres://u:secret@h",
            "mysql://u:secret@h:x",
            "mysql://u:secret%zz@h",
            "mysql://",
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let shown = format!("{:?}", Address::parse("mysql://u:secret@h").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
