//! Which server to reach, and with which password: from the URL, the flags, the environment and the file, in this order.

use std::path::Path;

use headwater_core::{Error, ErrorKind, Result};
use headwater_mysql::config::{Address, ConnectOptions, DEFAULT_PORT, TlsMode, TlsOptions};
use secrecy::SecretString;

use super::file::{File, MysqlConnection, TlsMode as FileTlsMode};
use super::{Lookup, misused};

/// The environment variable that holds the password.
pub(crate) const PASSWORD_VARIABLE: &str = "HEADWATER_MYSQL_PASSWORD";

/// Puts the connection together.
pub(crate) fn resolve(
    url: Option<&str>,
    password_file: Option<&Path>,
    file: &File,
    lookup: Lookup<'_>,
) -> Result<ConnectOptions> {
    let written = file
        .connections
        .as_ref()
        .and_then(|connections| connections.mysql.as_ref());
    let mut options = match (url, written) {
        (Some(url), _) => ConnectOptions::from_url(url)?,
        (None, Some(written)) => from_file(written)?,
        (None, None) => {
            return Err(misused(
                "no server is named",
                "give its URL, mysql://USER@HOST:PORT/DATABASE, or a file with `connections: mysql:` after --config",
            ));
        }
    };
    if let Some(tls) = written.and_then(|written| written.tls.as_ref())
        && options.tls == TlsOptions::default()
    {
        // A URL that says nothing of TLS does not turn off what the file asks for.
        options.tls = tls_options(tls);
        options.tls.validate()?;
    }
    if options.password.is_some() {
        if password_file.is_some() {
            return Err(misused(
                "the password is given twice, in the URL and by --password-file",
                "leave it out of the URL",
            ));
        }
        return Ok(options);
    }
    options.password = match (password_file, lookup(PASSWORD_VARIABLE)) {
        (Some(path), _) => Some(read_password_file(path)?),
        (None, Some(password)) => Some(SecretString::from(password)),
        (None, None) => match written {
            Some(written) => from_written(written)?,
            None => None,
        },
    };
    Ok(options)
}

fn from_written(written: &MysqlConnection) -> Result<Option<SecretString>> {
    if let Some(path) = &written.password_file {
        return read_password_file(path).map(Some);
    }
    Ok(written.password.as_ref().map(|secret| secret.0.clone()))
}

/// Reads a password: the file's text without the line end that editors put there.
pub(crate) fn read_password_file(path: &Path) -> Result<SecretString> {
    let text = std::fs::read_to_string(path).map_err(|cause| {
        Error::new(ErrorKind::Configuration, "cannot read the password file")
            .with("file", path.display())
            .hint("check its path, that it may be read, and that it is UTF-8")
            .caused_by(cause)
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let password = line.strip_suffix('\r').unwrap_or(line);
    Ok(SecretString::from(password.to_owned()))
}

fn from_file(written: &MysqlConnection) -> Result<ConnectOptions> {
    let address = match (&written.socket, &written.host) {
        (Some(socket), _) => Address::Unix(socket.clone()),
        (None, Some(host)) => Address::Tcp {
            host: host.clone(),
            port: written.port.unwrap_or(DEFAULT_PORT),
        },
        (None, None) => {
            return Err(misused(
                "no host is named",
                "add `host` to `connections.mysql`",
            ));
        }
    };
    let mut options = ConnectOptions::new(address, &written.user);
    options.database.clone_from(&written.database);
    if let Some(tls) = &written.tls {
        options.tls = tls_options(tls);
        options.tls.validate()?;
    }
    Ok(options)
}

fn tls_options(tls: &super::file::Tls) -> TlsOptions {
    let mode = match tls.mode {
        Some(FileTlsMode::Disabled) => TlsMode::Off,
        Some(FileTlsMode::Preferred) => TlsMode::Preferred,
        Some(FileTlsMode::Required) => TlsMode::Required,
        Some(FileTlsMode::VerifyCa) => TlsMode::VerifyCa,
        Some(FileTlsMode::VerifyIdentity) => TlsMode::VerifyIdentity,
        None if tls.ca.is_some() => TlsMode::VerifyCa,
        None => TlsMode::default(),
    };
    TlsOptions {
        mode,
        ca: tls.ca.clone(),
        cert: tls.cert.clone(),
        key: tls.key.clone(),
    }
}
