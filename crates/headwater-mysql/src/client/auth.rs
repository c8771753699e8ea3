//! Logging in: the plugins' exchanges, and switching between them. The scrambles are `mysql_common`'s.

use headwater_core::{Error, ErrorKind, Result};
use mysql_common::auth::plugins::{ChallengeResponsePlugin as _, Context, Response};
use mysql_common::packets::AuthPlugin;
use secrecy::ExposeSecret as _;

use super::handshake::{Flavor, Greeting, response};
use super::packet::{Cursor, malformed, parse_err};
use super::wire::Wire;
use crate::config::ConnectOptions;

/// How often a server may change its mind about the plugin. MariaDB's accounts can have several.
const SWITCHES_MAX: usize = 8;

const KNOWN: &str = "Headwater logs in by caching_sha2_password, sha256_password, mysql_native_password, client_ed25519 \
                     and mysql_clear_password: use an account with one of them";

/// What the plugins need to know.
struct Login<'a> {
    password: &'a [u8],
    unix: bool,
    tls: bool,
    challenge: Vec<u8>,
}

impl Context for &Login<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        self.unix
    }

    fn is_tls_transport(&self) -> bool {
        self.tls
    }

    fn scramble(&self) -> &[u8] {
        &self.challenge
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

/// Answers the greeting and goes on until the server accepts or refuses.
pub(crate) async fn log_in(
    wire: &mut Wire,
    options: &ConnectOptions,
    greeting: &Greeting,
    capabilities: mysql_common::constants::CapabilityFlags,
) -> Result<()> {
    let password = options
        .password
        .as_ref()
        .map_or("", |password| password.expose_secret());
    let mut login = Login {
        password: password.as_bytes(),
        unix: wire.stream.is_unix(),
        tls: wire.stream.is_tls(),
        challenge: greeting.challenge.clone(),
    };
    let mut plugin = first_plugin(greeting);
    let mut exchange = plugin.init().map_err(|_| unknown(plugin.as_bytes()))?;
    let first = exchange
        .run(&login, &login.challenge)
        .map_err(|error| failed(&plugin, error))?;
    let auth = first.data().unwrap_or_default();
    let database = options.database.as_deref();
    let packet = response(
        capabilities,
        &options.user,
        auth,
        database,
        plugin.as_bytes(),
    );
    wire.send(&packet, &[]).await?;

    let mut switches = 0;
    loop {
        let packet = wire.packet().await?;
        let answer = match packet.first() {
            Some(0x00) => return Ok(()),
            Some(0xFF) => return Err(parse_err(packet)?.into_error()),
            Some(0xFE) => {
                switches += 1;
                if switches > SWITCHES_MAX {
                    return Err(malformed(
                        "the server changes the authentication plugin for ever",
                    ));
                }
                let mut cursor = Cursor::new(packet);
                cursor.u8()?;
                let name = cursor.until_zero();
                plugin = AuthPlugin::from_bytes(name).into_owned();
                login.challenge = trim_challenge(cursor.rest()).to_vec();
                refuse_in_clear(&plugin, wire, options)?;
                exchange = plugin.init().map_err(|_| unknown(plugin.as_bytes()))?;
                exchange.run(&login, &login.challenge)
            }
            Some(0x01) => exchange.run(&login, packet.get(1..).unwrap_or_default()),
            _ => return Err(malformed("an unexpected packet while logging in")),
        };
        let answer = answer.map_err(|error| failed(&plugin, error))?;
        refuse_unsafe_key(&plugin, &answer, &login, options)?;
        if let Some(data) = answer.data() {
            wire.send(data, &[]).await?;
        }
    }
}

/// The plugin to begin with: the server's, if it sends no secret in clear; else what this kind of server always
/// knows. Where the account has another one, the server asks to switch.
fn first_plugin(greeting: &Greeting) -> AuthPlugin<'static> {
    match AuthPlugin::from_bytes(&greeting.plugin) {
        AuthPlugin::CachingSha2Password => AuthPlugin::CachingSha2Password,
        AuthPlugin::MysqlNativePassword => AuthPlugin::MysqlNativePassword,
        _ if greeting.server.flavor == Flavor::MariaDb => AuthPlugin::MysqlNativePassword,
        _ => AuthPlugin::CachingSha2Password,
    }
}

/// A challenge is 20 or 32 bytes, mostly with a closing zero.
fn trim_challenge(data: &[u8]) -> &[u8] {
    match (data.len(), data.split_last()) {
        (21 | 33, Some((0, challenge))) => challenge,
        _ => data,
    }
}

fn refuse_in_clear(plugin: &AuthPlugin<'_>, wire: &Wire, options: &ConnectOptions) -> Result<()> {
    match plugin {
        AuthPlugin::MysqlClearPassword if !wire.stream.is_private() => Err(Error::new(
            ErrorKind::Authentication,
            "the server wants the password in clear over a connection that is not encrypted",
        )
        .with("user", &options.user)
        .hint("use ssl-mode=required, or the server's socket")),
        AuthPlugin::MysqlOldPassword => Err(unknown(plugin.as_bytes())),
        _ => Ok(()),
    }
}

fn refuse_unsafe_key(
    plugin: &AuthPlugin<'_>,
    answer: &Response,
    login: &Login<'_>,
    options: &ConnectOptions,
) -> Result<()> {
    let sha2 = matches!(
        plugin,
        AuthPlugin::CachingSha2Password | AuthPlugin::Sha256Password
    );
    let asks_for_key =
        matches!(answer, Response::Next { packet: Some(packet) } if packet.len() == 1);
    if sha2 && asks_for_key && !login.tls && !options.allow_public_key_retrieval {
        return Err(Error::new(
            ErrorKind::Authentication,
            "the password cannot be sent: the connection is not encrypted, and asking for the server's key is forbidden",
        )
        .with("user", &options.user)
        .hint("use ssl-mode=required, or allow-public-key-retrieval=true"));
    }
    Ok(())
}

fn unknown(plugin: &[u8]) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the account logs in by a plugin that is not supported",
    )
    .with("plugin", String::from_utf8_lossy(plugin))
    .hint(KNOWN)
}

fn failed(plugin: &AuthPlugin<'_>, error: mysql_common::auth::plugins::Error) -> Error {
    Error::new(
        ErrorKind::Malformed,
        "the exchange with the authentication plugin failed",
    )
    .with("plugin", String::from_utf8_lossy(plugin.as_bytes()))
    .caused_by(error)
}
