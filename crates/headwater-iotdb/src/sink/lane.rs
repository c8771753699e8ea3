//! A lane: one connection, and the rows of the devices that go over it. Rows of a device are always on the same lane, and a
//! lane sends one call after the other; so what is written later is what stays. While a call is on its way, what comes next is
//! gathered, and once it is much, closed: a load that goes out behind those before it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_core::{Error, Result};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pending::{Load, Pending};
use super::send::{Confirm, Sender};

/// How long rows of a snapshot wait for company: nobody waits for each of them, and what a call costs the server is a matter of
/// its tablets rather than of its rows.
const SNAPSHOT_LINGER: Duration = Duration::from_secs(1);

/// A lane, as the sink sees it.
#[derive(Debug)]
pub(crate) struct Lane {
    shared: Arc<Shared>,
    is_unflushed: Arc<AtomicBool>,
    /// From here on what waits is closed.
    load_bytes: usize,
    task: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something waits, or is to be sent at once.
    filled: Notify,
    /// Something was sent, or failed.
    sent: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Closed loads, in their order; with their bytes in `ready_bytes`.
    ready: VecDeque<Load>,
    ready_bytes: usize,
    /// What is gathered: later than all of `ready`. It is empty while the sink has it in its hands.
    pending: Pending,
    /// When what waits longest in `pending` came.
    since: Option<Instant>,
    /// Bytes that are being sent.
    sending_bytes: usize,
    is_sending: bool,
    /// Do not wait for company.
    at_once: bool,
    /// Something of the log waits, not of a snapshot alone.
    is_live: bool,
    /// What is to be done once nothing waits.
    confirm: Option<Confirm>,
    failure: Option<Error>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was answered: there is room for as much.
    fn wrote(&self, bytes: usize) {
        {
            let mut state = self.state();
            state.sending_bytes = state.sending_bytes.saturating_sub(bytes);
        }
        self.sent.notify_one();
    }
}

impl State {
    /// Takes back what is gathered, and closes it if it is large. Says whether there is anything.
    fn give(&mut self, pending: Pending, is_live: bool, load_bytes: usize) -> bool {
        let is_empty = pending.is_empty();
        self.pending = pending;
        if is_empty {
            return false;
        }
        self.since.get_or_insert_with(Instant::now);
        self.is_live |= is_live;
        if self.pending.size_bytes() >= load_bytes {
            let load = self.close();
            self.ready_bytes += load.size_bytes;
            self.ready.push_back(load);
        }
        true
    }

    /// Bytes that wait, and that are on their way.
    fn size_bytes(&self) -> usize {
        self.pending.size_bytes() + self.ready_bytes + self.sending_bytes
    }

    /// What is to be sent next, which is then on its way.
    fn next(&mut self) -> Load {
        let load = match self.ready.pop_front() {
            Some(load) => {
                self.ready_bytes -= load.size_bytes;
                load
            }
            None => self.close(),
        };
        self.sending_bytes = load.size_bytes;
        self.is_sending = true;
        load
    }

    /// Closes what is gathered; what comes next is gathered anew.
    fn close(&mut self) -> Load {
        self.since = None;
        self.at_once = false;
        self.is_live = false;
        self.pending.take()
    }
}

impl Lane {
    /// Starts to send.
    pub(crate) fn start(sender: Sender) -> Self {
        let shared = Arc::<Shared>::default();
        let stop = CancellationToken::new();
        let is_unflushed = sender.is_unflushed.clone();
        let options = &sender.options;
        // Half of its share: as much is gathered while as much is sent.
        let share = options.pending_bytes_max / (2 * options.connections);
        let load_bytes = share.max(options.tablet_bytes_max);
        let work = work(shared.clone(), sender, stop.clone());
        Self {
            shared,
            is_unflushed,
            load_bytes,
            task: Some(tokio::spawn(work)),
            stop,
        }
    }

    /// What is gathered, to add to it without a lock for each row. None of it is sent until it is given back.
    pub(crate) fn gathered(&self) -> Pending {
        std::mem::take(&mut self.shared.state().pending)
    }

    /// Gives back what [`Lane::gathered`] gave, with more in it, and says whether something of the log is among that.
    pub(crate) fn give(&self, pending: Pending, is_live: bool) {
        let given = (self.shared.state()).give(pending, is_live, self.load_bytes);
        if given {
            self.shared.filled.notify_one();
        }
    }

    /// Has sent what waits, whatever it is.
    pub(crate) fn hurry(&self) {
        {
            let mut state = self.shared.state();
            state.at_once |= !state.pending.is_empty();
        }
        self.shared.filled.notify_one();
    }

    /// Bytes that wait, and that are on their way.
    pub(crate) fn size_bytes(&self) -> usize {
        self.shared.state().size_bytes()
    }

    /// Why it stands still, once.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.shared.state().failure.take()
    }

    /// Waits until something was sent.
    pub(crate) async fn sent(&self) {
        self.shared.sent.notified().await;
    }

    /// Whether it wrote what was not flushed since.
    pub(crate) fn is_unflushed(&self) -> bool {
        self.is_unflushed.load(Ordering::Relaxed)
    }

    /// Has it do its part of a flush. Everything was drained.
    pub(crate) async fn confirm(&self, what: Confirm) -> Result<()> {
        self.shared.state().confirm = Some(what);
        self.drain().await
    }

    /// Waits until everything that was added is with IoTDB.
    pub(crate) async fn drain(&self) -> Result<()> {
        loop {
            let sent = self.shared.sent.notified();
            {
                let mut state = self.shared.state();
                if let Some(error) = state.failure.take() {
                    return Err(error);
                }
                let is_empty = state.pending.is_empty() && state.ready.is_empty();
                if is_empty && !state.is_sending && state.confirm.is_none() {
                    return Ok(());
                }
                state.at_once |= !state.pending.is_empty();
            }
            self.shared.filled.notify_one();
            sent.await;
        }
    }

    /// Ends the task, and what it has on its way.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // A panic in it was said already.
            let _ = task.await;
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn work(shared: Arc<Shared>, mut sender: Sender, stop: CancellationToken) {
    let stopped = async {
        loop {
            wait(
                &shared,
                sender.options.linger,
                sender.options.tablet_bytes_max,
            )
            .await;
            let (load, confirm) = {
                let mut state = shared.state();
                (state.next(), state.confirm.take())
            };
            let answered = |bytes| shared.wrote(bytes);
            let mut result = sender.send(load, &answered).await;
            if let (Ok(()), Some(confirm)) = (&result, confirm) {
                result = sender.confirm(confirm).await;
            }
            let mut state = shared.state();
            state.is_sending = false;
            state.sending_bytes = 0;
            let is_failed = result.is_err();
            if let Err(error) = result {
                state.failure = Some(error);
            }
            drop(state);
            // Whoever waits next finds it, too.
            shared.sent.notify_one();
            if is_failed {
                return;
            }
        }
    };
    let is_stopped = stop.run_until_cancelled(stopped).await.is_none();
    if is_stopped {
        sender.ways.close().await;
    }
}

/// Until there is something, and it has waited for company, or is enough for a call, or is wanted at once.
async fn wait(shared: &Shared, linger: Duration, enough_bytes: usize) {
    loop {
        let due = {
            let state = shared.state();
            if !state.ready.is_empty() || state.confirm.is_some() {
                return;
            }
            match state.since {
                Some(since) if !state.pending.is_empty() => {
                    let is_enough = state.pending.size_bytes() >= enough_bytes;
                    let linger = if state.is_live {
                        linger
                    } else {
                        linger.max(SNAPSHOT_LINGER)
                    };
                    if state.at_once || is_enough || since.elapsed() >= linger {
                        return;
                    }
                    Some(since + linger)
                }
                _ => None,
            }
        };
        match due {
            Some(due) => {
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = shared.filled.notified() => {}
                }
            }
            None => shared.filled.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::pending::Device;
    use crate::sink::tests::plan;

    /// A row at `time`, as if it had so many bytes.
    fn row(mut pending: Pending, time: i64, bytes: usize) -> Pending {
        let device = Device::default();
        let tablet = pending.tablet(&plan(), &device);
        tablet.push(time, b"{}", |_, _| Ok(true)).unwrap();
        pending.grew(bytes);
        pending
    }

    #[test]
    fn loads_go_out_in_their_order_and_each_call_makes_room() {
        let shared = Shared::default();
        assert!(!shared.state().give(Pending::default(), false, 100));
        for (time, bytes) in [(1, 100), (2, 150), (3, 60)] {
            let pending = std::mem::take(&mut shared.state().pending);
            let given = shared.state().give(row(pending, time, bytes), false, 100);
            assert!(given);
        }
        let first_time = |load: &Load| load.slots[0].tablet.time(0);
        assert_eq!(shared.state().size_bytes(), 310);
        let load = shared.state().next();
        assert_eq!((first_time(&load), load.size_bytes), (1, 100));
        assert_eq!(shared.state().size_bytes(), 310, "it is on its way");
        shared.wrote(70);
        assert_eq!(shared.state().size_bytes(), 240);
        // More than there was: rows of one time are merged, or tablets cut.
        shared.wrote(70);
        assert_eq!(shared.state().size_bytes(), 210);
        assert_eq!(first_time(&shared.state().next()), 2);
        shared.wrote(150);
        // What is not closed yet goes last.
        assert_eq!(shared.state().ready.len(), 0);
        assert_eq!(first_time(&shared.state().next()), 3);
        assert_eq!(shared.state().size_bytes(), 60);
    }
}
