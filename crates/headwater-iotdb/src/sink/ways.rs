//! A lane's ways to a cluster. It stays with one node for as long as that answers. Where IoTDB takes a device's rows and names
//! another node for it, the device's next rows go there, over a connection of the lane's own: the node that leads a device writes
//! its rows itself, any other one sends them on. The lane still makes one call after the other, so order stays what it is.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxBuildHasher, FxHashMap};
use tokio::time::Instant;

use super::devices::DEVICES_MAX;
use super::nodes::{Abandoned, Connection};
use super::pending::Slot;
use crate::client::{Node, SessionOptions, Status};
use crate::config::Address;

/// For how long a node that did not answer is not gone to, whoever names it: others may reach it where this process cannot.
const AVOIDED: Duration = Duration::from_secs(30);

/// One of a lane's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// To the node that the lane stays with.
    Home,
    /// To the node of this place in the list, which leads some devices.
    Leader(usize),
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Ways {
    nodes: Vec<Address>,
    home: Connection,
    /// By node; each is opened when it is first needed.
    leaders: Vec<Connection>,
    /// The node of a device, by the hash of its name: of two with one hash, one is sent on by the server.
    known: FxHashMap<u64, usize>,
    /// When a node last did not answer.
    failed: Vec<Option<Instant>>,
}

impl Ways {
    pub(crate) fn new(
        nodes: &[Address],
        first: usize,
        options: &Arc<SessionOptions>,
        left: &Arc<Abandoned>,
    ) -> Self {
        let connection = |first| Connection::new(nodes, first, options.clone(), left.clone());
        Self {
            nodes: nodes.to_vec(),
            home: connection(first),
            leaders: (0..nodes.len()).map(connection).collect(),
            known: FxHashMap::default(),
            failed: vec![None; nodes.len()],
        }
    }

    /// A way's connection.
    pub(crate) fn connection(&mut self, way: Way) -> &mut Connection {
        match way {
            Way::Home => &mut self.home,
            Way::Leader(node) => &mut self.leaders[node],
        }
    }

    /// Parts a load by the way that each device's rows go.
    pub(crate) fn parted(&mut self, slots: Vec<Slot>) -> Vec<(Way, Vec<Slot>)> {
        if self.known.is_empty() {
            return vec![(Way::Home, slots)];
        }
        let mut parts: Vec<(Way, Vec<Slot>)> = Vec::new();
        for slot in slots {
            let way = self.way(slot.device());
            match parts.iter_mut().find(|(known, _)| *known == way) {
                Some((_, slots)) => slots.push(slot),
                None => parts.push((way, vec![slot])),
            }
        }
        for (way, _) in &parts {
            if let Way::Leader(node) = *way {
                self.leaders[node].go_to(node);
            }
        }
        parts
    }

    fn way(&self, device: &str) -> Way {
        match self.known.get(&number(device)) {
            Some(&node) if !self.home.is_at(node) => Way::Leader(node),
            _ => Way::Home,
        }
    }

    /// Remembers which node IoTDB named for a device, if it is one of the list.
    pub(crate) fn learn(&mut self, device: &str, node: &Node) {
        let is_it = |known: &Address| known.host == node.host && known.port == node.port;
        let Some(place) = self.nodes.iter().position(is_it) else {
            return;
        };
        let failed = self.failed[place];
        if failed.is_some_and(|failed| failed.elapsed() < AVOIDED) {
            return;
        }
        if self.known.len() >= DEVICES_MAX {
            self.known.clear();
        }
        self.known.insert(number(device), place);
    }

    /// A node did not answer: its devices go the lane's own way until it is named again.
    pub(crate) fn failed(&mut self, way: Way) {
        if let Way::Leader(failed) = way {
            self.known.retain(|_, node| *node != failed);
            self.failed[failed] = Some(Instant::now());
        }
    }

    pub(crate) async fn close(self) {
        self.home.close().await;
        for connection in self.leaders {
            connection.close().await;
        }
    }
}

fn number(device: &str) -> u64 {
    FxBuildHasher.hash_one(device)
}

/// The node that an answer names for the part of the call at `at`.
pub(crate) fn named(status: &Status, at: usize) -> Option<&Node> {
    match status.parts.get(at) {
        Some(part) => part.redirect.as_ref(),
        None => status.redirect.as_ref(),
    }
}
