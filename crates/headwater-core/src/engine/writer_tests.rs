//! A store that takes its time: rows go out meanwhile, and nothing counts as durable before it is stored.

use std::fmt;
use std::sync::mpsc as blocking;

use serde::{Deserialize, Serialize};

use super::*;
use crate::position::SourceIdentity;
use crate::sink::Capabilities;

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct At(u64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Position for At {
    fn includes(&self, other: &Self) -> bool {
        self.0 >= other.0
    }
}

/// Says when it was asked for durability, and fails at the barrier of that number.
struct Barriers {
    seen: mpsc::UnboundedSender<u32>,
    count: u32,
    fails_at: u32,
}

impl Sink for Barriers {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: false,
            rewinds: false,
            replaces_by_key: true,
            keeps_checkpoint: false,
            counts_rows: false,
            batch_bytes_max: usize::MAX,
        }
    }

    fn name(&self) -> String {
        "barriers".to_owned()
    }

    async fn open(&mut self, _: Option<&Value>) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, _: &Batch, durability: Durability) -> Result<Receipt> {
        if durability == Durability::Accepted {
            return Ok(Receipt::Accepted);
        }
        self.count += 1;
        let _ = self.seen.send(self.count);
        if self.count == self.fails_at {
            return Err(Error::new(ErrorKind::SinkUnavailable, "as asked for"));
        }
        Ok(Receipt::Durable(self.count.into()))
    }
}

/// Stores a document when it is let.
struct Slow {
    let_go: Mutex<blocking::Receiver<()>>,
    stored: mpsc::UnboundedSender<Value>,
}

impl CheckpointStore for Slow {
    fn load(&self) -> Result<Option<Value>> {
        Ok(None)
    }

    fn save(&self, document: &Value) -> Result<()> {
        let let_go = self.let_go.lock().unwrap();
        let_go.recv_timeout(LONG).unwrap();
        self.stored.send(document.clone()).unwrap();
        Ok(())
    }
}

struct Scene {
    handle: WriterHandle<At>,
    writing: JoinHandle<Result<()>>,
    let_go: blocking::Sender<()>,
    stored: mpsc::UnboundedReceiver<Value>,
    barriers: mpsc::UnboundedReceiver<u32>,
}

/// A writer whose sink fails at the barrier of that number.
fn scene(checkpoint_interval: Duration, fails_at: u32) -> Scene {
    let (let_go, wait) = blocking::channel();
    let (stored, stored_out) = mpsc::unbounded_channel();
    let (seen, barriers) = mpsc::unbounded_channel();
    let store = Arc::new(Slow {
        let_go: Mutex::new(wait),
        stored,
    });
    let sink = Barriers {
        seen,
        count: 0,
        fails_at,
    };
    let source = SourceIdentity {
        kind: "test".to_owned(),
        id: "1".to_owned(),
    };
    let checkpoint = Checkpoint::new("run".to_owned(), source, Value::Null);
    let options = Options {
        checkpoint_interval,
        ..Options::default()
    };
    let progress = Arc::default();
    let stop = CancellationToken::new();
    let (writer, handle) = writer(sink, store, checkpoint, &options, progress, stop);
    Scene {
        handle,
        writing: tokio::spawn(async { writer.run().await.1 }),
        let_go,
        stored: stored_out,
        barriers,
    }
}

fn out_to(at: u64) -> Note<At> {
    Note::Log {
        point: LogPoint::at(At(at)),
        definitions: None,
        tables: Vec::new(),
    }
}

impl Scene {
    async fn write(&self, at: u64) {
        let sent = self.handle.send(Batch::new(), out_to(at));
        tokio::time::timeout(LONG, sent)
            .await
            .expect("the writer stands still")
            .unwrap();
    }

    fn durable(&self) -> Option<u64> {
        let point = self.handle.durable.borrow();
        point.as_ref().map(|point| point.position.0)
    }
}

/// Time moves only where nothing else does, and not while a thread stores a checkpoint: a second one is never due.
#[tokio::test(start_paused = true)]
async fn rows_go_out_while_a_checkpoint_is_being_stored() {
    const MANY: u64 = 3 * QUEUE_BATCHES as u64;
    let mut scene = scene(Duration::from_secs(1), u32::MAX);
    scene.write(1).await;
    assert_eq!(scene.barriers.recv().await, Some(1));
    for at in 2..=MANY {
        scene.write(at).await;
    }
    assert_eq!(scene.durable(), None, "nothing is stored yet");
    scene.let_go.send(()).unwrap();
    let first = scene.stored.recv().await.unwrap();
    assert_eq!(first["log"]["position"], 1, "what was durable then");
    scene.let_go.send(()).unwrap();
    let durable = scene.handle.durable.clone();
    drop(scene.handle);
    scene.writing.await.unwrap().unwrap();
    let last = scene.stored.recv().await.unwrap();
    assert_eq!(last["log"]["position"], MANY);
    assert_eq!(durable.borrow().as_ref().unwrap().position.0, MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_note_is_answered_when_it_is_stored() {
    let mut scene = scene(Duration::ZERO, u32::MAX);
    let handle = scene.handle.clone();
    let saving = tokio::spawn(async move { handle.save(out_to(1)).await });
    assert_eq!(scene.barriers.recv().await, Some(1));
    assert!(!saving.is_finished());
    assert_eq!(scene.durable(), None);
    scene.let_go.send(()).unwrap();
    saving.await.unwrap().unwrap();
    assert_eq!(scene.durable(), Some(1));
    assert!(scene.stored.try_recv().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_fails_ends_only_when_its_last_checkpoint_is_stored() {
    let mut scene = scene(Duration::ZERO, 2);
    scene.write(1).await;
    assert_eq!(scene.barriers.recv().await, Some(1));
    scene.write(2).await;
    assert!(!scene.writing.is_finished());
    scene.let_go.send(()).unwrap();
    let failed = scene.writing.await.unwrap().unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::SinkUnavailable);
    assert_eq!(scene.barriers.try_recv(), Ok(2));
    assert_eq!(scene.stored.recv().await.unwrap()["log"]["position"], 1);
    assert!(
        scene.stored.try_recv().is_err(),
        "what failed is not stored"
    );
}

#[tokio::test]
async fn a_writer_is_idle_once_nothing_waits_for_it() {
    let scene = scene(LONG, u32::MAX);
    // One thread: the writer runs only where this waits.
    scene.write(1).await;
    {
        let mut idle = std::pin::pin!(scene.handle.idle());
        let mut once = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(idle.as_mut().poll(&mut once).is_pending());
        let waited = tokio::time::timeout(LONG, idle).await;
        waited.expect("the writer stands still").unwrap();
    }
    scene.let_go.send(()).unwrap();
    drop(scene.handle);
    scene.writing.await.unwrap().unwrap();
}
