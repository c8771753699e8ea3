//! Logging in: each plugin, over each transport, with the right, a wrong, an empty and no password.

use headwater_core::ErrorKind;
use headwater_mysql::client::{Connection, Flavor as ServerFlavor};
use headwater_mysql::config::ConnectOptions;
use headwater_servers::Flavor;

use super::{Server, on_every_server, server, who};

/// Who forgets a server's cached passwords, or counts on them, alone: `FLUSH PRIVILEGES` is for all of the server.
static CACHED_PASSWORDS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

on_every_server!(
    an_account_logs_in_over_every_transport_with_its_password_only,
    a_server_says_who_it_is,
    an_unknown_database_is_not_found,
    a_session_speaks_utf8mb4,
);

/// The statements that make an account by the plugin, with and without a password.
fn accounts(server: &Server, plugin: &str) -> Vec<(String, &'static str)> {
    let via = if server.instance.flavor().is_mariadb() {
        "VIA"
    } else {
        "WITH"
    };
    // Long, and with bytes beyond ASCII: the RSA exchange pads and wraps.
    let long = "pässwörd-that-is-longer-than-the-challenge-of-20-bytes";
    let mut made = Vec::new();
    for (name, password) in [("short", "s3cret"), ("long", long), ("empty", "")] {
        let user = format!("{plugin}_{name}");
        let by = match (via, password) {
            (_, "") => String::new(),
            ("VIA", _) => format!("USING PASSWORD('{password}')"),
            _ => format!("BY '{password}'"),
        };
        let sql = format!("CREATE USER {user}@'%' IDENTIFIED {via} {plugin} {by}");
        server.instance.sql(&sql).unwrap();
        made.push((user, password));
    }
    made
}

async fn an_account_logs_in_over_every_transport_with_its_password_only(server: &Server) {
    let _alone = CACHED_PASSWORDS.lock().await;
    let mariadb = server.instance.flavor().is_mariadb();
    let mut plugins = match mariadb {
        true => vec!["mysql_native_password"],
        false => vec!["caching_sha2_password", "sha256_password"],
    };
    if mariadb && server.instance.sql("INSTALL SONAME 'auth_ed25519'").is_ok() {
        plugins.push("ed25519");
    }
    for plugin in plugins {
        for (user, password) in accounts(server, plugin) {
            if plugin == "ed25519" && password.is_empty() {
                continue; // MariaDB lets nobody in by it without a password
            }
            let escaped = password.replace('ä', "%C3%A4").replace('ö', "%C3%B6");
            for transport in ["plain", "tls", "unix"] {
                // The server forgets what it cached: the first login is a full one, the second a fast one.
                server.instance.sql("FLUSH PRIVILEGES").unwrap();
                for _ in 0..2 {
                    let options = over(server, transport, &user, &escaped);
                    let who = who(&options).await;
                    assert_eq!(who.unwrap(), format!("{user}@%"), "{plugin} {transport}");
                    let mut none = options;
                    none.password = None;
                    for wrong in [over(server, transport, &user, "wrong"), none] {
                        let connected = Connection::connect(&wrong).await;
                        if wrong.password.is_none() && password.is_empty() {
                            connected.unwrap().close().await;
                            continue;
                        }
                        let error = connected.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::Authentication, "{error:?}");
                        assert!(error.hint_text().is_some());
                        assert!(error.to_string().contains(&user), "{error}");
                        assert!(error.to_string().contains("1045"), "{error}");
                    }
                }
            }
        }
    }
}

fn over(server: &Server, transport: &str, user: &str, password: &str) -> ConnectOptions {
    match transport {
        "plain" => server.tcp(user, password, "ssl-mode=disabled"),
        "tls" => server.tcp(user, password, "ssl-mode=required"),
        _ => server.unix(user, password, ""),
    }
}

#[tokio::test]
async fn the_servers_key_is_asked_for_only_where_that_is_allowed_and_needed() {
    let _alone = CACHED_PASSWORDS.lock().await;
    let server = server(Flavor::MySql97);
    server
        .instance
        .sql("CREATE USER keyless@'%' IDENTIFIED BY 's3cret'")
        .unwrap();
    let forbid = "allow-public-key-retrieval=false";
    let clear = server.tcp("keyless", "s3cret", &format!("ssl-mode=disabled&{forbid}"));
    let error = Connection::connect(&clear).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(
        error.hint_text().unwrap().contains("ssl-mode=required"),
        "{error:?}"
    );
    who(&server.unix("keyless", "s3cret", forbid))
        .await
        .unwrap();
    server.instance.sql("FLUSH PRIVILEGES").unwrap();
    who(&server.tcp("keyless", "s3cret", &format!("ssl-mode=required&{forbid}")))
        .await
        .unwrap();
    // From the server's cache now: no password is sent.
    who(&clear).await.unwrap();
}

async fn a_server_says_who_it_is(server: &Server) {
    let mut connection = server.root().await;
    let id = connection
        .query_scalar("SELECT CONNECTION_ID()")
        .await
        .unwrap()
        .unwrap();
    let version = connection
        .query_scalar("SELECT VERSION()")
        .await
        .unwrap()
        .unwrap();
    let info = connection.server();
    assert_eq!(info.connection_id.to_string(), id);
    assert_eq!(info.version_text, version);
    let (flavor, major_minor) = match server.instance.flavor() {
        Flavor::MariaDb1011 => (ServerFlavor::MariaDb, (10, 11)),
        Flavor::MariaDb118 => (ServerFlavor::MariaDb, (11, 8)),
        Flavor::MySql97 => (ServerFlavor::MySql, (9, 7)),
    };
    assert_eq!(
        (info.flavor, (info.version.0, info.version.1)),
        (flavor, major_minor)
    );
}

async fn an_unknown_database_is_not_found(server: &Server) {
    let mut options = server.tcp("root", "", "");
    options.database = Some("nowhere".to_owned());
    let error = Connection::connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    options.database = Some("shop".to_owned());
    let mut connection = Connection::connect(&options).await.unwrap();
    assert_eq!(
        connection
            .query_scalar("SELECT DATABASE()")
            .await
            .unwrap()
            .as_deref(),
        Some("shop")
    );
}

async fn a_session_speaks_utf8mb4(server: &Server) {
    let mut connection = server.root().await;
    let charset = "SELECT CONCAT(@@character_set_client, @@character_set_connection, @@character_set_results)";
    let charset = connection.query_scalar(charset).await.unwrap().unwrap();
    assert_eq!(charset, "utf8mb4utf8mb4utf8mb4");
}
