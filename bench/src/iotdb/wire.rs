//! What Headwater says to IoTDB, written down as it passes; and said again by a program that does nothing else: the limit
//! that the sink is measured against.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use headwater_servers::{Error, Result};

use crate::measure::cpu_of;

/// Says the calls of recordings again, each over a connection of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct Tablets {
    /// `HOST:PORT` of the IoTDB.
    #[arg(long)]
    address: String,
    /// The folder of the recordings.
    #[arg(long)]
    recordings: PathBuf,
    /// The process of the IoTDB, for its CPU.
    #[arg(long)]
    server: u32,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(format!("IoTDB, or a recording of its calls: {error}"))
}

/// Stands between a client and an IoTDB, and writes down what each connection's client sends. It lives as long as this
/// program. Answers where it listens.
pub(super) fn record(server: &str, folder: &Path) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?.to_string();
    let (server, folder) = (server.to_owned(), folder.to_owned());
    std::thread::spawn(move || {
        let count = AtomicUsize::new(0);
        for client in listener.incoming().flatten() {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let file = folder.join(format!("connection-{number}"));
            let server = server.clone();
            std::thread::spawn(move || pass(client, &server, &file));
        }
    });
    Ok(address)
}

fn pass(client: TcpStream, server: &str, file: &Path) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    let answering = std::thread::spawn(move || {
        let done = io::copy(&mut answers, &mut back);
        // The client may be gone already.
        let _ = back.shutdown(Shutdown::Write);
        done
    });
    let (mut client, mut server) = (client, server);
    let mut file = File::create(file)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = client.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        file.write_all(bytes)?;
        server.write_all(bytes)?;
    }
    server.shutdown(Shutdown::Write)?;
    let _ = answering.join();
    file.flush()
}

/// Reads the recordings, and then says them all at once. Prints how long that took, and the CPU of both sides meanwhile.
pub(crate) fn replay(wanted: &Tablets) -> Result<()> {
    let mut recordings = Vec::new();
    for entry in fs::read_dir(&wanted.recordings).map_err(failed)? {
        let bytes = fs::read(entry.map_err(failed)?.path()).map_err(failed)?;
        let calls = calls(bytes)?;
        if calls.iter().any(|call| call.name != OPEN) {
            recordings.push(calls);
        }
    }
    let connections = recordings.len();
    let timed = Timed::begin(wanted.server);
    let barrier = Arc::new(Barrier::new(connections));
    let saying: Vec<_> = recordings
        .into_iter()
        .map(|calls| {
            let (barrier, address) = (Arc::clone(&barrier), wanted.address.clone());
            std::thread::spawn(move || {
                barrier.wait();
                say(&address, calls)
            })
        })
        .collect();
    let mut count = 0;
    for thread in saying {
        count += thread
            .join()
            .map_err(|_| Error::new("a connection's thread panicked"))??;
    }
    println!("{count} calls over {connections} connections");
    timed.print();
    Ok(())
}

/// The time and the CPU of the writing, without what went before it.
pub(super) struct Timed {
    server: u32,
    begin: Instant,
    cpus: [Duration; 2],
}

impl Timed {
    pub(super) fn begin(server: u32) -> Self {
        Self {
            server,
            begin: Instant::now(),
            cpus: Self::cpus(server),
        }
    }

    /// This process's, and the server's.
    fn cpus(server: u32) -> [Duration; 2] {
        [std::process::id(), server].map(cpu_of)
    }

    /// Prints them for the benchmark.
    pub(super) fn print(&self) {
        let (wall, cpus) = (self.begin.elapsed(), Self::cpus(self.server));
        let [own, iotdb] = [cpus[0] - self.cpus[0], cpus[1] - self.cpus[1]];
        println!("wrote_ms={}", wall.as_millis());
        println!("cpu_ms={}", own.as_millis());
        println!("iotdb_cpu_ms={}", iotdb.as_millis());
    }
}

const OPEN: &str = "openSession";

/// A call as it goes over the wire, without the length before it.
struct Call {
    name: String,
    /// Where its arguments begin.
    arguments: usize,
    bytes: Vec<u8>,
}

/// The calls that open a session and that write.
fn calls(recording: Vec<u8>) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    let mut rest = recording.as_slice();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(failed)?;
        let (frame, after) = after
            .split_at_checked(length)
            .ok_or_else(|| failed("a recording ends amid a call"))?;
        rest = after;
        let (name, arguments) = header(frame)?;
        if name == OPEN || name.starts_with("insertTablet") {
            calls.push(Call {
                name,
                arguments,
                bytes: frame.to_vec(),
            });
        }
    }
    Ok(calls)
}

/// The name of a call or an answer, and where what follows it begins: version, name, number.
fn header(frame: &[u8]) -> Result<(String, usize)> {
    let short = || failed("a frame is too short");
    let length = frame.get(4..8).ok_or_else(short)?;
    let length = u32::from_be_bytes(length.try_into().map_err(failed)?);
    let end = 8 + usize::try_from(length).map_err(failed)?;
    let name = frame.get(8..end).ok_or_else(short)?;
    Ok((String::from_utf8_lossy(name).into_owned(), end + 4))
}

fn say(address: &str, calls: Vec<Call>) -> Result<usize> {
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let (mut session, mut count) = ([0; 8], 0);
    let mut answer = Vec::new();
    for mut call in calls {
        if call.name != OPEN {
            // The argument is a structure, whose first field is the session's number: two types with numbers before it.
            let at = call.arguments + 6;
            let place = call.bytes.get_mut(at..at + 8);
            place
                .ok_or_else(|| failed("a call has no session"))?
                .copy_from_slice(&session);
            count += 1;
        }
        let length = u32::try_from(call.bytes.len()).map_err(failed)?;
        stream.write_all(&length.to_be_bytes()).map_err(failed)?;
        stream.write_all(&call.bytes).map_err(failed)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).map_err(failed)?;
        answer.resize(
            usize::try_from(u32::from_be_bytes(length)).map_err(failed)?,
            0,
        );
        stream.read_exact(&mut answer).map_err(failed)?;
        if call.name == OPEN {
            session = opened(&answer)?;
        } else {
            succeeded(&answer)?;
        }
    }
    Ok(count)
}

/// The session's number: the field of that type (10) and number (3) behind the protocol's version (type 8, number 2).
fn opened(answer: &[u8]) -> Result<[u8; 8]> {
    let pattern = |window: &[u8]| {
        window.starts_with(&[8, 0, 2]) && window.get(7..10).is_some_and(|next| next == [10, 0, 3])
    };
    let at = answer.windows(10).position(pattern);
    let found = at.and_then(|at| answer.get(at + 10..at + 18));
    let found = found.ok_or_else(|| failed("no session was opened"))?;
    found.try_into().map_err(failed)
}

/// The status begins the answer: the result's field (type 12, number 0), its code (type 8, number 1).
fn succeeded(answer: &[u8]) -> Result<()> {
    let (_, at) = header(answer)?;
    let code = answer.get(at..at + 10);
    match code {
        Some([12, 0, 0, 8, 0, 1, code @ ..])
            if code == [0, 0, 0, 200] || code == [0, 0, 1, 144] =>
        {
            Ok(())
        }
        other => Err(failed(format!("a call was refused: {other:?}"))),
    }
}
