//! The thread that writes, and the way to it.
//!
//! One buffer is being filled by the caller, one waits, one is being written: that is the bound. The thread takes whatever waits
//! as one run. Opening, syncing and rewinding happen on the thread too, so nothing of it ever holds the async runtime, not even a
//! named pipe that nobody reads.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::sync::Notify;

use crate::config::FileOptions;

/// Buffers that grew beyond this for one large batch are given back.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long dropping a sink waits for what was accepted to be written. A pipe that nobody reads would hold it for ever.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// What the thread writes to. All of it may block.
pub(crate) trait Output: Send + 'static {
    /// Gets ready to write after `mark`, as [`headwater_core::sink::Sink::open`] has it.
    fn open(&mut self, mark: Option<&Value>) -> Result<()>;

    /// Writes all of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes all that was written durable and says the mark for it.
    fn make_durable(&mut self) -> Result<Value>;
}

/// The caller's end.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Empty between writes.
    filling: Vec<u8>,
    buffer_bytes_max: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes a drop that waits for the thread's end.
    end: Condvar,
    /// Wakes the caller: there is room, or an answer, or the thread has ended. There is one caller, so a permit is never lost.
    caller: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    request: Option<(u64, Request)>,
    answer: Option<(u64, Result<Value>)>,
    /// Numbers requests, so that the answer to one that was given up is not taken for the next one's.
    ticket: u64,
    failure: Option<Failure>,
    closing: bool,
    ended: bool,
}

#[derive(Debug)]
enum Request {
    Open(Option<Value>),
    MakeDurable,
}

/// The error that stopped the writing. It is told again until the output is opened again.
#[derive(Debug, Clone)]
struct Failure {
    kind: ErrorKind,
    text: String,
    hint: Option<String>,
}

impl Failure {
    fn of(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            text: error.to_string(),
            hint: error.hint_text().map(str::to_owned),
        }
    }

    fn error(&self) -> Error {
        let error = Error::new(self.kind, self.text.clone());
        match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.error());
        }
        if self.ended {
            return Err(Error::new(
                ErrorKind::Internal,
                "the writing thread has ended",
            ));
        }
        Ok(())
    }
}

impl Writer {
    /// Starts the thread that writes to `output`, which is not yet open.
    pub(crate) fn start(output: impl Output, options: FileOptions) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            end: Condvar::new(),
            caller: Notify::new(),
        });
        let ending = Ending(Arc::clone(&shared));
        thread::Builder::new()
            .name("headwater-write".to_owned())
            .spawn(move || run(&ending.0, output, options))
            .map_err(|error| {
                Error::new(ErrorKind::Storage, "the writing thread cannot be started")
                    .hint("raise the limit of threads (`ulimit -u`)")
                    .caused_by(error)
            })?;
        Ok(Self {
            shared,
            filling: Vec::new(),
            buffer_bytes_max: options.buffer_bytes_max,
        })
    }

    /// Opens the output after `mark`. What was accepted and not yet written is dropped: it lies after the mark.
    pub(crate) async fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        self.ask(Request::Open(mark.cloned())).await.map(drop)
    }

    /// Makes everything accepted so far durable and says the mark for it.
    pub(crate) async fn make_durable(&mut self) -> Result<Value> {
        self.shared.lock().check()?;
        self.ask(Request::MakeDurable).await
    }

    async fn ask(&mut self, request: Request) -> Result<Value> {
        let ticket = {
            let mut state = self.shared.lock();
            state.ticket += 1;
            state.answer = None;
            state.request = Some((state.ticket, request));
            state.ticket
        };
        self.shared.work.notify_one();
        loop {
            {
                let mut state = self.shared.lock();
                match state.answer.take() {
                    Some((answered, result)) if answered == ticket => return result,
                    _ if state.ended => state.check()?,
                    _ => {}
                }
            }
            self.shared.caller.notified().await;
        }
    }

    /// Takes what `encode` appends, and waits until there is room for it.
    pub(crate) async fn write(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.shared.lock().check()?;
        // Left over only if a write was given up, or the encoder panicked.
        self.filling.clear();
        encode(&mut self.filling);
        loop {
            {
                let mut state = self.shared.lock();
                state.check()?;
                if state.pending.is_empty() {
                    mem::swap(&mut state.pending, &mut self.filling);
                    break;
                }
                if state.pending.len() + self.filling.len() <= self.buffer_bytes_max {
                    state.pending.extend_from_slice(&self.filling);
                    self.filling.clear();
                    break;
                }
            }
            self.shared.caller.notified().await;
        }
        self.shared.work.notify_one();
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.work.notify_one();
        // The result is not looked at: whether it ended in time or not, nothing more can be done.
        drop(
            (self.shared.end)
                .wait_timeout_while(state, CLOSE_WAIT, |state| !state.ended)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

/// Says that the thread has ended, also when it panicked. It is dropped after the output, so its locks are free by then.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.end.notify_all();
        self.0.caller.notify_one();
    }
}

fn run(shared: &Shared, mut output: impl Output, options: FileOptions) {
    let mut writing = Vec::new();
    let mut state = shared.lock();
    loop {
        state = (shared.work)
            .wait_while(state, |state| {
                state.pending.is_empty() && state.request.is_none() && !state.closing
            })
            .unwrap_or_else(PoisonError::into_inner);
        match state.request.take() {
            Some((ticket, Request::Open(mark))) => {
                state.pending.clear();
                drop(state);
                let opened = output.open(mark.as_ref());
                state = shared.lock();
                state.failure = opened.as_ref().err().map(Failure::of);
                state.answer = Some((ticket, opened.map(|()| Value::Null)));
            }
            request if !state.pending.is_empty() => {
                state.request = request;
                state = linger(shared, state, options);
                if matches!(state.request, Some((_, Request::Open(_)))) {
                    continue;
                }
                mem::swap(&mut state.pending, &mut writing);
                let has_failed = state.failure.is_some();
                drop(state);
                shared.caller.notify_one();
                let written = if has_failed {
                    Ok(())
                } else {
                    output.write(&writing)
                };
                writing.clear();
                if writing.capacity() > KEPT_BYTES_MAX.max(options.buffer_bytes_max) {
                    writing = Vec::new();
                }
                state = shared.lock();
                if let Err(error) = written {
                    state.failure = Some(Failure::of(&error));
                }
            }
            Some((ticket, Request::MakeDurable)) => {
                let failure = state.failure.clone();
                drop(state);
                let durable = match failure {
                    Some(failure) => Err(failure.error()),
                    None => output.make_durable(),
                };
                state = shared.lock();
                if let Err(error) = &durable {
                    state.failure = Some(Failure::of(error));
                }
                state.answer = Some((ticket, durable));
            }
            None => break,
        }
        shared.caller.notify_one();
    }
}

/// Waits a moment for more than a few bytes, unless somebody waits for them.
fn linger<'a>(
    shared: &Shared,
    state: MutexGuard<'a, State>,
    options: FileOptions,
) -> MutexGuard<'a, State> {
    shared
        .work
        .wait_timeout_while(state, options.linger, |state| {
            state.pending.len() < options.run_bytes_min && state.request.is_none() && !state.closing
        })
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

/// Writes all of `bytes`, also to a pipe that somebody else has made non-blocking.
pub(crate) fn write_all(
    out: &mut impl std::io::Write,
    mut bytes: &[u8],
) -> std::result::Result<(), std::io::Error> {
    use std::io::ErrorKind as Io;
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(Io::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == Io::Interrupted => {}
            Err(error) if error.kind() == Io::WouldBlock => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
