//! A private Kafka through its whole life, and what is said where it cannot be had.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use headwater_servers::Signal;
use headwater_servers::kafka::{self, Kafka, KafkaOptions};

use crate::private::assert_gone;

/// Whether a broker answers there: an `ApiVersions` request, version 0, without a client id.
fn answers(bootstrap: &str) -> bool {
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    let answer = || {
        let mut stream = TcpStream::connect(bootstrap)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(&request)?;
        let mut head = [0; 8];
        stream.read_exact(&mut head)?;
        std::io::Result::Ok(head[4..] == [0, 0, 0, 7])
    };
    answer().unwrap_or(false)
}

#[test]
fn a_private_kafka_lives_and_leaves_nothing_behind() {
    let mut server = Kafka::start(&KafkaOptions::default()).unwrap();
    let folder = server.folder().to_path_buf();
    let bootstrap = server.bootstrap();
    assert!(answers(&bootstrap), "{}", server.log_tail());

    server.signal(Signal::Stop).unwrap();
    assert!(!answers(&bootstrap), "a paused server answers");
    server.signal(Signal::Continue).unwrap();
    assert!(answers(&bootstrap));

    let pid = server.pid();
    server.kill().unwrap();
    assert!(!answers(&bootstrap), "a killed server answers");
    server.restart().unwrap();
    assert_ne!(server.pid(), pid);
    assert_eq!(server.bootstrap(), bootstrap);
    assert!(answers(&bootstrap));

    // Paused, it is ended all the same.
    server.signal(Signal::Stop).unwrap();
    drop(server);
    assert_gone(&folder);
}

#[test]
fn a_kafka_that_refuses_its_properties_is_an_error_with_its_log() {
    let options = KafkaOptions::with(&["num.io.threads=none"]);
    let error = Kafka::start(&options).unwrap_err().to_string();
    assert!(error.contains("num.io.threads"), "{error}");
}

/// Makes this test binary play a process on a machine without Java.
const ROLE: &str = "HEADWATER_SERVERS_TEST_NO_JAVA";

#[test]
fn without_java_it_is_said_what_to_install() {
    if std::env::var_os(ROLE).is_some() {
        let error = kafka::install().unwrap_err().to_string();
        assert!(
            error.contains("Java") && error.contains("apt-get install"),
            "{error}"
        );
        assert!(kafka::installed().is_none());
        return;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kafka::without_java_it_is_said_what_to_install"])
        .env(ROLE, "1")
        .env("PATH", "/nowhere")
        .env_remove("JAVA_HOME")
        .status()
        .unwrap();
    assert!(status.success());
}
