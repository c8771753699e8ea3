//! A private Redis and a private Valkey through their whole lives.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use headwater_servers::Signal;
use headwater_servers::redis::{Redis, RedisFlavor, RedisOptions};

use crate::private::assert_gone;

/// What a server answers to a command; nothing if it does not.
fn said(server: &Redis, commands: &str, bytes: usize) -> Option<String> {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(commands.as_bytes())?;
        let mut answer = vec![0; bytes];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().ok()
}

fn lives_and_leaves_nothing_behind(flavor: RedisFlavor) {
    let mut server = Redis::start(flavor, &RedisOptions::default()).unwrap();
    let folder = server.folder().to_path_buf();
    assert_eq!(
        said(&server, "SET word 7\r\n", 5).as_deref(),
        Some("+OK\r\n")
    );

    server.signal(Signal::Stop).unwrap();
    assert_eq!(
        said(&server, "PING\r\n", 5),
        None,
        "a paused server answers"
    );
    server.signal(Signal::Continue).unwrap();

    let pid = server.pid();
    server.kill().unwrap();
    assert_eq!(
        said(&server, "PING\r\n", 5),
        None,
        "a killed server answers"
    );
    server.restart().unwrap();
    assert_ne!(server.pid(), pid);
    let kept = said(&server, "GET word\r\n", 7);
    assert_eq!(
        kept.as_deref(),
        Some("$1\r\n7\r\n"),
        "{}",
        server.log_tail()
    );
    server.restart().unwrap();
    assert_eq!(said(&server, "GET word\r\n", 7), kept);

    // Paused, it is ended all the same.
    server.signal(Signal::Stop).unwrap();
    drop(server);
    assert_gone(&folder);
}

#[test]
fn a_private_redis_lives_and_leaves_nothing_behind() {
    lives_and_leaves_nothing_behind(RedisFlavor::Redis);
}

#[test]
fn a_private_valkey_lives_and_leaves_nothing_behind() {
    lives_and_leaves_nothing_behind(RedisFlavor::Valkey);
}

#[test]
fn a_password_and_settings_are_the_servers() {
    let options = RedisOptions {
        password: "secret".to_owned(),
        ..RedisOptions::with(&[["maxmemory", "12345678"]])
    };
    let server = Redis::start(RedisFlavor::Redis, &options).unwrap();
    assert!(server.url().contains(":secret@"), "{}", server.url());
    assert_eq!(said(&server, "PING\r\n", 7).as_deref(), Some("-NOAUTH"));
    let asked = "AUTH secret\r\nCONFIG GET maxmemory\r\n";
    let answer = said(&server, asked, 5 + 4 + 15 + 14).unwrap();
    assert!(answer.contains("12345678"), "{answer}");
}

#[test]
fn a_redis_that_refuses_its_settings_is_an_error_with_its_log() {
    let options = RedisOptions::with(&[["no-such-setting", "1"]]);
    let error = Redis::start(RedisFlavor::Redis, &options)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-setting"), "{error}");
}
