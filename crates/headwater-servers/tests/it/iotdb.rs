//! A private IoTDB through its whole life.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use headwater_servers::Signal;
use headwater_servers::iotdb::{Iotdb, IotdbOptions};

use crate::private::assert_gone;

/// Whether a node answers there: the call `getProperties`, in a frame.
fn answers(address: &str) -> bool {
    let name = b"getProperties";
    let mut call = vec![0x80, 1, 0, 1, 0, 0, 0, 13];
    call.extend(name);
    call.extend([0, 0, 0, 7, 0]);
    let mut frame = vec![0, 0, 0, u8::try_from(call.len()).unwrap()];
    frame.extend(call);
    let answer = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(&frame)?;
        let mut head = [0; 8];
        stream.read_exact(&mut head)?;
        std::io::Result::Ok(head[4..] == [0x80, 1, 0, 2])
    };
    answer().unwrap_or(false)
}

#[test]
fn a_private_iotdb_lives_and_leaves_nothing_behind() {
    let mut server = Iotdb::start(&IotdbOptions::default()).unwrap();
    let folder = server.folder().to_path_buf();
    let address = server.address();
    assert!(answers(&address), "{}", server.log_tail());

    let pid = server.pid();
    server.kill().unwrap();
    assert!(!answers(&address), "a killed server answers");
    server.restart().unwrap();
    assert_ne!(server.pid(), pid);
    assert_eq!(server.address(), address);
    assert!(answers(&address));

    // Paused, it is ended all the same.
    server.signal(Signal::Stop).unwrap();
    drop(server);
    assert_gone(&folder);
}

#[test]
fn an_iotdb_that_refuses_its_properties_is_an_error_with_its_log() {
    let options = IotdbOptions {
        properties: vec!["timestamp_precision=fortnight".to_owned()],
        ..IotdbOptions::default()
    };
    let error = Iotdb::start(&options).unwrap_err().to_string();
    assert!(error.contains("timestamp precision"), "{error}");
}
