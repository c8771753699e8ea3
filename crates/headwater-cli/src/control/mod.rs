//! The control plane of a running process: one HTTP interface, served over a Unix socket beside the checkpoint (for
//! `headwater bootstrap` and `status`; the file's permissions are the key) and, if asked for, over TCP (for the rest of the
//! world; a token is the key, and TLS is required wherever others could listen).
//!
//! | file | what |
//! |---|---|
//! | `routes.rs` | the table of what can be asked; `openapi.rs` makes `docs/openapi.json` from it |
//! | `view.rs` | the JSON that goes in and out |
//! | `watched.rs` | the run that is looked at |
//! | `answer.rs` | a request's answer, without any network |
//! | `serve.rs` | connections: bounds, deadlines, the token |
//! | `socket.rs`, `tcp.rs` | where they come from |
//! | `folds.rs` | what folds hold |
//! | `client.rs`, `find.rs` | the other end: a process that asks |

mod answer;
pub(crate) mod client;
pub(crate) mod find;
mod folds;
pub(crate) mod openapi;
mod routes;
mod serve;
mod socket;
mod tcp;
pub(crate) mod view;
mod watched;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::Result;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use watched::{About, Watched};

use crate::config::HttpSettings;
use socket::SocketFile;

/// How often rates are measured.
const SAMPLE: Duration = Duration::from_secs(1);
/// How long connections may take to end when the run does.
const GOODBYE: Duration = Duration::from_secs(2);

/// What is being served. Ends with [`Plane::stop`]; dropped, it ends too, without goodbyes.
#[derive(Debug)]
pub(crate) struct Plane {
    stop: CancellationToken,
    tasks: TaskTracker,
    socket: Option<SocketFile>,
}

impl Plane {
    /// Begins to listen: beside `checkpoint`, whose lock this process holds, and where `http` says.
    ///
    /// # Errors
    /// `Configuration` if `http` cannot be had as it was asked for, `Locked` if another process answers at the socket. That
    /// there can be no socket for another reason is said, and is no error: the stream does not need it.
    pub(crate) async fn start(
        watched: Watched,
        checkpoint: Option<&Path>,
        http: Option<&HttpSettings>,
    ) -> Result<Self> {
        let watched = Arc::new(watched);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let mut this = Self {
            stop,
            tasks,
            socket: None,
        };
        if let Some(http) = http {
            let door = tcp::open(http).await?;
            this.spawn(tcp::serve(door, Arc::clone(&watched), this.stop.clone()));
        }
        if let Some(checkpoint) = checkpoint
            && let Some((listener, file)) = socket::open(&find::socket_of(checkpoint))?
        {
            this.socket = Some(file);
            this.spawn(socket::serve(
                listener,
                Arc::clone(&watched),
                this.stop.clone(),
            ));
        }
        let stop = this.stop.clone();
        this.spawn(async move {
            let mut tick = tokio::time::interval(SAMPLE);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = tick.tick() => watched.sample(),
                }
            }
        });
        Ok(this)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Takes no more requests, lets those being answered end, and takes the socket away.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.tasks.close();
        // Whoever is slower than that loses the answer, and nothing else.
        let _ = tokio::time::timeout(GOODBYE, self.tasks.wait()).await;
        self.socket.take();
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
