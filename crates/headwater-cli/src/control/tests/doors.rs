//! The socket, TCP and TLS: who is let in.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::bootstrap::control;
use headwater_core::progress::Progress;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stand_in::{Said, Served, ask_socket, exchange};
use crate::config::{HttpSettings, HttpTls, Listen};
use crate::control::client::Client;
use crate::control::view::{BootstrapList, BootstrapView, NewBootstrap};
use crate::control::{About, Plane, Watched};

const TOKEN: &str = "a-token-of-tests";

/// A port that is free now.
fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn http(address: SocketAddr, tls: Option<HttpTls>) -> HttpSettings {
    HttpSettings {
        listen: Listen::parse(&address.to_string()).unwrap(),
        token: SecretString::from(TOKEN.to_owned()),
        tls,
    }
}

async fn ask_tcp(address: SocketAddr, method: &str, path: &str, headers: &str) -> Said {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, method, path, headers, "").await
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_run() {
    let served = Served::start(None).await;
    let socket = served.socket();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(served.ask("GET", "/status", "").await.status, 200);
    served.plane.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_socket_of_the_dead_is_replaced_and_one_of_the_living_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("c");
    let start = || {
        let (control, _) = control();
        let progress = Arc::new(Progress::default());
        Plane::start(
            Watched::new(control, progress, About::default()),
            Some(&checkpoint),
            None,
        )
    };
    let socket = folder.path().join("c.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let plane = start().await.unwrap();
    assert_eq!(ask_socket(&socket, "GET", "/health", "").await.status, 200);
    let error = start().await.unwrap_err();
    assert!(
        error.to_string().contains("another process answers"),
        "{error}"
    );
    assert!(socket.exists());
    // Nobody takes commands there: the engine has ended.
    let said = ask_socket(&socket, "POST", "/bootstraps", r#"{"tables":["shop.*"]}"#).await;
    assert_eq!(said.status, 503, "{said:?}");
    plane.stop().await;
    std::fs::write(&socket, "somebody's file").unwrap();
    start().await.unwrap().stop().await;
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "somebody's file");
}

#[tokio::test]
async fn over_tcp_only_probes_need_no_token() {
    let address = free();
    let served = Served::start(Some(&http(address, None))).await;
    for path in ["/health", "/ready"] {
        assert_eq!(
            ask_tcp(address, "GET", path, "").await.status,
            200,
            "{path}"
        );
    }
    let right = format!("authorization: Bearer {TOKEN}\r\n");
    for (method, path, status) in [
        ("GET", "/status", 200),
        ("GET", "/metrics", 200),
        ("GET", "/bootstraps", 200),
        ("GET", "/bootstraps/1", 404),
        ("DELETE", "/bootstraps/1", 404),
        ("POST", "/bootstraps", 400),
        ("PATCH", "/bootstraps/1", 400),
    ] {
        for wrong in [
            "",
            "authorization: Bearer a-token-of-test\r\n",
            "authorization: Basic x\r\n",
        ] {
            let said = ask_tcp(address, method, path, wrong).await;
            assert_eq!(said.status, 401, "{method} {path}: {said:?}");
            assert!(said.head.contains("www-authenticate: bearer"), "{said:?}");
            assert_eq!(said.json()["error"]["kind"], "authentication");
        }
        let said = ask_tcp(address, method, path, &right).await;
        assert_eq!(said.status, status, "{method} {path}: {said:?}");
        assert!(!said.body.contains(TOKEN), "{said:?}");
    }
    served.plane.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["headwater.test".to_owned()]).unwrap();
    let tls = HttpTls {
        cert: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&tls.cert, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    let address = free();
    let served = Served::start(Some(&http(address, Some(tls.clone())))).await;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(made.cert.der().to_vec()))
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("headwater.test").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    let right = format!("authorization: Bearer {TOKEN}\r\n");
    assert_eq!(
        exchange(stream, "GET", "/status", &right, "").await.status,
        200
    );
    let mut plain = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET /health HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    served.plane.stop().await;
    let (control, _) = control();
    let watched = Watched::new(control, Arc::default(), About::default());
    std::fs::write(&tls.cert, "no certificate").unwrap();
    let error = Plane::start(watched, None, Some(&http(address, Some(tls))))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_keep_the_run() {
    let address = free();
    let served = Served::start(Some(&http(address, None))).await;
    let _idle = TcpStream::connect(address).await.unwrap();
    let _other = tokio::net::UnixStream::connect(served.socket())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopped = tokio::time::timeout(Duration::from_secs(5), served.plane.stop());
    assert!(stopped.await.is_ok());
}

#[tokio::test]
async fn the_client_asks_through_the_socket_and_hands_errors_on() {
    let served = Served::start(None).await;
    let client = Client::new(crate::control::find::socket_of(&served.checkpoint()));
    let new = NewBootstrap {
        tables: vec!["shop.orders".into()],
        ..NewBootstrap::default()
    };
    let asked: BootstrapView = client
        .send(hyper::Method::POST, "/bootstraps", &new)
        .await
        .unwrap();
    let list: BootstrapList = client.get("/bootstraps").await.unwrap();
    assert_eq!(list.bootstraps, [asked]);
    let error = client
        .get::<BootstrapView>("/bootstraps/9")
        .await
        .unwrap_err();
    assert_eq!(error.kind().name(), "not-found");
    assert!(
        error.to_string().contains('9') && error.hint_text().is_some(),
        "{error:?}"
    );
    served.plane.stop().await;
    let error = client
        .get::<BootstrapList>("/bootstraps")
        .await
        .unwrap_err();
    assert_eq!(error.kind().name(), "connection");
}
