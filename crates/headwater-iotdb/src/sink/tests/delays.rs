//! Calls that are given up and carried out later all the same: what came after them is what stays.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::batch::Batch;
use headwater_core::sink::{Durability, Receipt, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Reading, clean, open, options, points, push, schema};
use crate::config::{Address, DeletePolicy, Model};
use crate::sink::IotdbSink;

/// Long against what the test's machine may be busy with.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a way knows of its connections. They are numbered from 1.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    opened: u32,
    ended: u32,
    /// Connections up to this number keep what they are to bring to the server.
    held_to: u32,
    /// Whether one of them keeps something.
    keeps: bool,
}

/// A way to a server that can hold what is on it, as the queue of a server does which stands still.
#[derive(Debug, Clone)]
struct Way(Arc<watch::Sender<Seen>>);

impl Way {
    async fn to(server: String) -> (Self, Address) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Self(Arc::default());
        let ways = way.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(ways.clone().pass(near, far));
            }
        });
        let host = "127.0.0.1".to_owned();
        (way, Address { host, port })
    }

    async fn pass(self, near: TcpStream, far: TcpStream) {
        let mut number = 0;
        self.0.send_modify(|seen| {
            seen.opened += 1;
            number = seen.opened;
        });
        let (mut from_near, mut to_near) = near.into_split();
        let (mut from_far, mut to_far) = far.into_split();
        let forth = async {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = from_near.read(&mut bytes).await {
                let mut seen = self.0.subscribe();
                if seen.borrow().held_to >= number {
                    self.0.send_modify(|seen| seen.keeps = true);
                    seen.wait_for(|seen| seen.held_to < number).await.unwrap();
                }
                if to_far.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
            }
            let _ = to_far.shutdown().await;
        };
        let back = async {
            let _ = tokio::io::copy(&mut from_far, &mut to_near).await;
            let _ = to_near.shutdown().await;
        };
        tokio::join!(forth, back);
        self.0.send_modify(|seen| seen.ended += 1);
    }

    /// Holds what the connections of now are to bring.
    fn hold(&self) {
        self.0.send_modify(|seen| seen.held_to = seen.opened);
    }

    fn release(&self) {
        self.0.send_modify(|seen| seen.held_to = 0);
    }

    async fn until(&self, holds: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.0.subscribe();
        let waiting = seen.wait_for(holds);
        *tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap()
            .unwrap()
    }
}

fn reading(flow: f64) -> Reading {
    Reading {
        id: 1,
        pump: Some("7".to_owned()),
        minute: 3,
        flow: Some(flow),
        note: None,
    }
}

async fn write(
    sink: &mut IotdbSink,
    change: (Option<&Reading>, Option<&Reading>),
    durability: Durability,
) {
    let mut batch = Batch::new();
    push(&mut batch, &schema("readings"), change.0, change.1);
    let receipt = sink.write(&batch, durability).await.unwrap();
    assert_eq!(
        matches!(receipt, Receipt::Durable(_)),
        durability == Durability::Durable
    );
}

/// An insert is held on its way; the sink gives it up, or is opened again; then the row is deleted.
async fn a_late_insert(name: &str, opens_again: bool) {
    let model = Model::Tree { is_aligned: true };
    let mut options = options(&model, name);
    options.policy.delete = DeletePolicy::Delete;
    options.connections = 1;
    clean(&options, name).await;
    let (way, address) = Way::to(options.nodes[0].to_string()).await;
    let direct = std::mem::replace(&mut options.nodes, vec![address]);
    options.call_timeout = if opens_again {
        PATIENCE
    } else {
        Duration::from_secs(4)
    };
    let mut sink = IotdbSink::new(options.clone()).unwrap();
    open(&mut sink).await;
    let (first, second) = (reading(1.0), reading(2.0));
    write(&mut sink, (None, Some(&first)), Durability::Durable).await;

    way.hold();
    let change = (Some(&first), Some(&second));
    write(&mut sink, change, Durability::Accepted).await;
    let held = way.until(|seen| seen.keeps).await;
    let releasing = tokio::spawn({
        let way = way.clone();
        async move {
            // Somebody has come again and could write by now; if nothing were waited for, it would long have.
            way.until(|seen| seen.opened > held.opened).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            way.release();
        }
    });
    if opens_again {
        open(&mut sink).await;
        write(&mut sink, change, Durability::Accepted).await;
    }
    write(&mut sink, (Some(&second), None), Durability::Durable).await;
    releasing.await.unwrap();
    way.until(|seen| seen.ended >= held.opened).await;
    options.nodes = direct;
    let found = points(&options, name).await;
    assert!(found.is_empty(), "{found:?} came after the row was deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_not_answered_in_time_is_not_carried_out_behind_newer_ones() {
    a_late_insert("late_call", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_a_sink_had_out_when_it_was_opened_again_is_not_carried_out_behind_newer_ones()
{
    a_late_insert("late_open", true).await;
}
