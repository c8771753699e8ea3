//! TLS: what each mode accepts, and accounts that insist on it.

use std::path::PathBuf;

use headwater_core::ErrorKind;
use headwater_mysql::client::Connection;
use headwater_servers::{Flavor, Instance, Options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{Server, on_every_server, who};

/// An authority, a server's certificate for `localhost`, a client's, and an authority that signed nothing.
pub(crate) struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        let authority = authority("Headwater's tests");
        write("ca.pem", authority.pem());
        write("other-ca.pem", self::authority("Somebody else").pem());
        for (name, host) in [("server", "localhost"), ("client", "client.example")] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, host);
            write(
                &format!("{name}.pem"),
                params.signed_by(&key, &authority).unwrap().pem(),
            );
            write(&format!("{name}-key.pem"), key.serialize_pem());
        }
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn server_options(&self) -> Vec<String> {
        let files = [
            ("ca", "ca.pem"),
            ("cert", "server.pem"),
            ("key", "server-key.pem"),
        ];
        let option = |(name, file)| format!("--ssl-{name}={}", self.path(file).display());
        files.into_iter().map(option).collect()
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

on_every_server!(
    each_mode_encrypts_and_checks_what_it_says,
    an_account_that_wants_a_client_certificate_gets_one,
    a_socket_is_encrypted_only_where_that_is_asked_for,
);

async fn uses_tls(options: &headwater_mysql::config::ConnectOptions) -> bool {
    let mut connection = Connection::connect(options).await.unwrap();
    let row = connection
        .query_one("SHOW STATUS LIKE 'Ssl_cipher'")
        .await
        .unwrap()
        .unwrap();
    let encrypted = row.as_str(1) != Some("");
    assert_eq!(connection.server().tls, encrypted);
    encrypted
}

async fn each_mode_encrypts_and_checks_what_it_says(server: &Server) {
    let ca = server.certificates.path("ca.pem");
    let other = server.certificates.path("other-ca.pem");
    for (parameters, encrypted) in [
        ("ssl-mode=disabled".to_owned(), false),
        ("ssl-mode=preferred".to_owned(), true),
        ("ssl-mode=required".to_owned(), true),
        (format!("ssl-ca={}", ca.display()), true),
        (format!("ssl-mode=verify-ca&ssl-ca={}", ca.display()), true),
        (
            format!("ssl-mode=verify-identity&ssl-ca={}", ca.display()),
            true,
        ),
    ] {
        assert_eq!(
            uses_tls(&server.tcp("root", "", &parameters)).await,
            encrypted,
            "{parameters}"
        );
    }
    for mode in ["verify-ca", "verify-identity"] {
        // The system trusts neither our authority nor, here, anybody.
        for parameters in [
            format!("ssl-mode={mode}&ssl-ca={}", other.display()),
            format!("ssl-mode={mode}"),
        ] {
            let error = Connection::connect(&server.tcp("root", "", &parameters))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
            assert!(error.hint_text().unwrap().contains("ssl-ca"), "{error:?}");
        }
    }
    let mut by_address = server.tcp("root", "", &format!("ssl-ca={}", ca.display()));
    let port = server.instance.port();
    by_address.address = headwater_mysql::config::Address::Tcp {
        host: "127.0.0.1".into(),
        port,
    };
    assert!(uses_tls(&by_address).await);
    by_address.tls.mode = headwater_mysql::config::TlsMode::VerifyIdentity;
    let error = Connection::connect(&by_address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(
        error.hint_text().unwrap().contains("another host"),
        "{error:?}"
    );
}

async fn an_account_that_wants_a_client_certificate_gets_one(server: &Server) {
    let sql = "CREATE USER secure@'%' IDENTIFIED BY 's3cret' REQUIRE SSL;
               CREATE USER certified@'%' IDENTIFIED BY 's3cret' REQUIRE X509";
    server.instance.sql(sql).unwrap();
    let refused = |options| async move {
        let error = Connection::connect(&options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error:?}");
        assert!(error.hint_text().unwrap().contains("TLS"), "{error:?}");
    };
    refused(server.tcp("secure", "s3cret", "ssl-mode=disabled")).await;
    who(&server.tcp("secure", "s3cret", "")).await.unwrap();
    refused(server.tcp("certified", "s3cret", "")).await;
    let path = |name| server.certificates.path(name).display().to_string();
    let identity = format!(
        "ssl-cert={}&ssl-key={}",
        path("client.pem"),
        path("client-key.pem")
    );
    who(&server.tcp("certified", "s3cret", &identity))
        .await
        .unwrap();
    let torn = format!(
        "ssl-cert={}&ssl-key={}",
        path("client.pem"),
        path("server-key.pem")
    );
    let error = Connection::connect(&server.tcp("certified", "s3cret", &torn))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
}

async fn a_socket_is_encrypted_only_where_that_is_asked_for(server: &Server) {
    assert!(!uses_tls(&server.unix("root", "", "")).await);
    assert!(uses_tls(&server.unix("root", "", "ssl-mode=required")).await);
    let ca = server.certificates.path("ca.pem");
    let verified = server.unix("root", "", &format!("ssl-ca={}", ca.display()));
    assert!(uses_tls(&verified).await);
    let identity = format!("ssl-mode=verify-identity&ssl-ca={}", ca.display());
    let error = Connection::connect(&server.unix("root", "", &identity))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_self_made_certificate_is_good_enough_where_nothing_is_checked() {
    for (flavor, has_tls) in [
        (Flavor::MySql97, true),
        (Flavor::MariaDb118, true),
        (Flavor::MariaDb1011, false),
    ] {
        let plain = Instance::start(flavor, &Options::default()).unwrap();
        let with = |parameters: &str| {
            let url = format!("mysql://root@localhost:{}/?{parameters}", plain.port());
            headwater_mysql::config::ConnectOptions::from_url(&url).unwrap()
        };
        assert_eq!(
            uses_tls(&with("ssl-mode=preferred")).await,
            has_tls,
            "{}",
            flavor.name()
        );
        if has_tls {
            assert!(uses_tls(&with("ssl-mode=required")).await);
        } else {
            let error = Connection::connect(&with("ssl-mode=required"))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
            assert!(error.hint_text().unwrap().contains("ssl_cert"), "{error:?}");
        }
        if flavor == Flavor::MySql97 {
            // MySQL leaves the authority of its self-made certificate in the data folder.
            let ca = plain.data_folder().join("ca.pem");
            assert!(uses_tls(&with(&format!("ssl-ca={}", ca.display()))).await);
        }
    }
}
