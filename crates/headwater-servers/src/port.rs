//! Ports for servers: free, and kept for as long as the server's owner lives.

use std::fs::File;
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
        if let Some(lock) = cache::try_lock(&format!("port-{number}"))? {
            return Ok(Port {
                number,
                _lock: lock,
            });
        }
    }
    Err(Error::new("no free TCP port found on 127.0.0.1")
        .hint("see which processes listen: ss -tlnp"))
}
