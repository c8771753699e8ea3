//! Servers that are none, or do what the real ones here do not: they are scripts of packets.

use std::time::{Duration, Instant};

use headwater_core::{ErrorKind, Result};
use headwater_mysql::client::Connection;
use headwater_mysql::config::ConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Connects to a listener that is served by `serve`, once.
async fn connect<F, S>(parameters: &str, serve: S) -> Result<Connection>
where
    S: FnOnce(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("mysql://u:geheim@127.0.0.1:{port}/?{parameters}");
    let options = ConnectOptions::from_url(&url).unwrap();
    let (connecting, accepted) = (Connection::connect(&options), listener.accept());
    let (connected, served) = {
        let mut connecting = std::pin::pin!(connecting);
        // The connection may be given up before it is accepted.
        let (stream, _) = tokio::select! {
            biased;
            accepted = accepted => accepted.unwrap(),
            connected = &mut connecting => return connected,
        };
        let served = tokio::spawn(serve(stream));
        (connecting.await, served)
    };
    served.abort();
    connected
}

async fn send(stream: &mut TcpStream, sequence: u8, payload: &[u8]) {
    let [a, b, c, _] = u32::try_from(payload.len()).unwrap().to_le_bytes();
    stream.write_all(&[a, b, c, sequence]).await.unwrap();
    stream.write_all(payload).await.unwrap();
}

async fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await.unwrap();
    let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
    stream.read_exact(&mut payload).await.unwrap();
    payload
}

/// A greeting of a MariaDB without TLS.
fn greeting() -> Vec<u8> {
    let capabilities: u32 = 0x0138_A200;
    let [c0, c1, c2, c3] = capabilities.to_le_bytes();
    let mut greeting = b"\x0A5.5.5-10.6.99-MariaDB\0\x01\0\0\0abcdefgh\0".to_vec();
    greeting.extend_from_slice(&[c0, c1, 45, 2, 0, c2, c3, 21]);
    greeting.extend_from_slice(&[0; 10]);
    greeting.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
    greeting
}

const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];

#[tokio::test]
async fn ed25519_signs_a_challenge_of_32_bytes_even_if_it_ends_in_zero() {
    let connection = connect("", |mut stream| async move {
        send(&mut stream, 0, &greeting()).await;
        let response = receive(&mut stream).await;
        assert!(
            response
                .windows(22)
                .any(|window| window == b"mysql_native_password\0")
        );
        assert!(
            response.windows(9).any(|window| window == b"headwater"),
            "the program's name"
        );
        let mut switch = b"\xFEclient_ed25519\0".to_vec();
        switch.extend_from_slice(&[9; 31]);
        switch.push(0);
        send(&mut stream, 2, &switch).await;
        assert_eq!(receive(&mut stream).await.len(), 64);
        send(&mut stream, 4, OK).await;
        assert_eq!(receive(&mut stream).await, b"\x03SET NAMES utf8mb4");
        send(&mut stream, 1, OK).await;
    })
    .await
    .unwrap();
    assert_eq!(connection.server().version, (10, 6, 99));
}

#[tokio::test]
async fn the_password_is_not_sent_in_clear_over_a_plain_connection() {
    let error = connect("", |mut stream| async move {
        send(&mut stream, 0, &greeting()).await;
        receive(&mut stream).await;
        send(&mut stream, 2, b"\xFEmysql_clear_password\0").await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(
        error.hint_text().unwrap().contains("ssl-mode=required"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_unknown_plugin_is_named() {
    let error = connect("", |mut stream| async move {
        send(&mut stream, 0, &greeting()).await;
        receive(&mut stream).await;
        send(&mut stream, 2, b"\xFEauth_gssapi_client\0x").await;
        receive(&mut stream).await;
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("auth_gssapi_client"), "{error}");
}

#[tokio::test]
async fn what_is_no_server_is_told_apart() {
    for (said, kind) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            ErrorKind::Unsupported,
        ),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", ErrorKind::Unsupported),
        (b"\x05\0\0\0\x09abcd", ErrorKind::Unsupported),
        (
            b"\x17\0\0\0\xFF\x10\x04Too many connections",
            ErrorKind::Connection,
        ),
        (b"\x03\0\0\0\x0A\0\0", ErrorKind::Malformed),
        (b"", ErrorKind::Connection),
    ] {
        let error = connect("connect-timeout=1", |mut stream| async move {
            stream.write_all(said).await.unwrap();
        })
        .await
        .unwrap_err();
        let said = String::from_utf8_lossy(said);
        assert_eq!(error.kind(), kind, "{said}: {error:?}");
        assert!(error.hint_text().is_some(), "{said}: {error:?}");
        assert!(!format!("{error:?}").contains("geheim"));
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let begin = Instant::now();
    let error = connect("connect-timeout=1", |stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(
        error.hint_text().unwrap().contains("connect-timeout"),
        "{error:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(10));
}
