//! A connection: the session with one node of a cluster, and after it with the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_core::Result;

use crate::client::{Session, SessionOptions};
use crate::config::Address;

/// Waits between tries of a node.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Sessions with a call that was given up and may be carried out yet: a server that stood still reads it when it goes on. What
/// is written next must not be overtaken by it, so they are waited for.
#[derive(Debug, Default)]
pub(crate) struct Abandoned(Mutex<Vec<Session>>);

impl Abandoned {
    fn push(&self, sessions: impl IntoIterator<Item = Session>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(sessions);
    }

    /// Waits for their calls' ends. To be asked once a server answers, and before anything is written.
    pub(crate) async fn settle(&self, limit: Duration) {
        let sessions = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *all)
        };
        for mut session in sessions {
            settle(&mut session, limit).await;
        }
    }
}

async fn settle(session: &mut Session, limit: Duration) {
    if !session.settle(limit).await {
        tracing::warn!(
            address = %session.address(),
            "a call to IoTDB that was given up has not ended after {limit:.0?} more: it may still be carried out, behind newer ones"
        );
    }
}

/// A lane's way to IoTDB: it stays with a node for as long as that answers.
#[derive(Debug)]
pub(crate) struct Connection {
    nodes: Vec<Address>,
    next: usize,
    options: Arc<SessionOptions>,
    session: Option<Session>,
    /// Calls that this lane has given up since it last had a session.
    abandoned: Vec<Session>,
    /// Where they go if the lane ends before it has settled them.
    left: Arc<Abandoned>,
    failures: u32,
}

impl Connection {
    pub(crate) fn new(
        nodes: &[Address],
        first: usize,
        options: Arc<SessionOptions>,
        left: Arc<Abandoned>,
    ) -> Self {
        Self {
            nodes: nodes.to_vec(),
            next: first,
            options,
            session: None,
            abandoned: Vec::new(),
            left,
            failures: 0,
        }
    }

    /// The open session; a new one if there is none, with the next node in turn.
    pub(crate) async fn session(&mut self) -> Result<&mut Session> {
        if let Some(session) = self.session.take_if(|session| session.is_broken())
            && session.has_call_out()
        {
            self.abandoned.push(session);
        }
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let address = &self.nodes[self.next % self.nodes.len()];
                self.next += 1;
                let session = Session::open(address, &self.options).await?;
                // In place: whoever stops waiting for this leaves the rest to those who come after.
                while let Some(abandoned) = self.abandoned.last_mut() {
                    settle(abandoned, self.options.call_timeout).await;
                    self.abandoned.pop();
                }
                session
            }
        };
        Ok(self.session.insert(session))
    }

    /// Logs in anew before the next call.
    pub(crate) fn forget(&mut self) {
        self.session = None;
    }

    /// Whether the session is gone, and with it the knowledge that the server is the one which took the last writes.
    pub(crate) fn is_lost(&self) -> bool {
        self.session.as_ref().is_none_or(Session::is_broken)
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

    /// Whether the session is with this node of the list.
    pub(crate) fn is_at(&self, node: usize) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| *session.address() == self.nodes[node])
    }

    /// Goes to this node of the list, if it is not there.
    pub(crate) fn go_to(&mut self, node: usize) {
        if !self.is_at(node) {
            self.next = node;
            self.session.take_if(|session| !session.is_broken());
        }
    }

    pub(crate) async fn close(mut self) {
        if let Some(session) = self.session.take_if(|session| !session.is_broken()) {
            session.close().await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let last = self.session.take_if(|session| session.has_call_out());
        self.left.push(self.abandoned.drain(..).chain(last));
    }
}
