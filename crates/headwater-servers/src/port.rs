//! Ports for servers: free, and kept for as long as the server's owner lives.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::cache;
use crate::error::{Error, Result};

/// Below what systems hand out to outgoing connections (from 32768 on), so that no passing
/// connection sits on a port while its server restarts.
const FIRST: u64 = 20_000;
const COUNT: u64 = 12_000;

/// A port that no other process using this crate will take while this is held.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: File,
}

/// Where the locks of ports are: the same place for every checkout of this machine, whatever its cache is.
const LOCKS: &str = "headwater-ports";

/// The lock of a port if it is free. A folder that cannot be written is somebody else's; then there is that of the cache.
fn try_lock(number: u16) -> Result<Option<File>> {
    let folder = std::env::temp_dir().join(LOCKS);
    let name = format!("port-{number}");
    let file = fs::create_dir_all(&folder).and_then(|()| File::create(folder.join(&name)));
    match file {
        Ok(file) => Ok(file.try_lock().is_ok().then_some(file)),
        Err(_) => cache::try_lock(&name),
    }
}

/// The first free one of `wished` and a hundred ports after it, or any, if none is wished for.
pub(crate) fn reserve(wished: Option<u16>) -> Result<Port> {
    let start = RandomState::new().build_hasher().finish();
    for step in 0..100 {
        let number = match wished {
            Some(first) => first.checked_add(step),
            None => {
                u16::try_from(FIRST + (start.wrapping_add(u64::from(step) * 7919)) % COUNT).ok()
            }
        };
        let Some(number) = number else { break };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_err() {
            continue;
        }
        if let Some(lock) = try_lock(number)? {
            return Ok(Port {
                number,
                _lock: lock,
            });
        }
    }
    Err(Error::new("no free TCP port found on 127.0.0.1")
        .hint("see which processes listen: ss -tlnp"))
}
