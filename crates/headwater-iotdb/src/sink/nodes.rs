//! The nodes of a cluster, and the one session that a lane has with one of them.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::Result;

use crate::client::{Node, Session, SessionOptions};
use crate::config::Address;

/// Waits between tries of a node.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A lane's way to IoTDB: it stays with a node for as long as that answers.
#[derive(Debug)]
pub(crate) struct Connection {
    nodes: Vec<Address>,
    next: usize,
    options: Arc<SessionOptions>,
    session: Option<Session>,
    failures: u32,
}

impl Connection {
    pub(crate) fn new(nodes: &[Address], first: usize, options: Arc<SessionOptions>) -> Self {
        Self {
            nodes: nodes.to_vec(),
            next: first,
            options,
            session: None,
            failures: 0,
        }
    }

    /// The open session; a new one if there is none, with the next node in turn.
    pub(crate) async fn session(&mut self) -> Result<&mut Session> {
        if self.session.as_ref().is_some_and(Session::is_broken) {
            self.session = None;
        }
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let address = &self.nodes[self.next % self.nodes.len()];
                self.next += 1;
                Session::open(address, &self.options).await?
            }
        };
        Ok(self.session.insert(session))
    }

    /// Logs in anew before the next call.
    pub(crate) fn forget(&mut self) {
        self.session = None;
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait before the next try.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = RETRY_FIRST * 2u32.saturating_pow(self.failures.min(10));
        self.failures += 1;
        wait.min(RETRY_MAX)
    }

    /// Goes to the node that the server recommends, if it is one of those that were named.
    pub(crate) fn redirect(&mut self, node: &Node) {
        let is_here = self.session.as_ref().is_some_and(|session| {
            let here = session.address();
            here.host == node.host && here.port == node.port
        });
        // A server that listens on every address names one that leads nowhere.
        if is_here || node.port == 0 || node.host == "0.0.0.0" {
            return;
        }
        let wanted = Address {
            host: node.host.clone(),
            port: node.port,
        };
        if let Some(place) = self.nodes.iter().position(|known| *known == wanted) {
            self.next = place;
            self.session = None;
        }
    }

    pub(crate) async fn close(self) {
        if let Some(session) = self.session
            && !session.is_broken()
        {
            session.close().await;
        }
    }
}
