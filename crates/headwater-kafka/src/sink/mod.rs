//! The sink: rows become records here, on the engine's task; a thread of its own hands them to the client.

mod encode;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use headwater_core::batch::Batch;
use headwater_core::failpoint::{self, Failpoints};
use headwater_core::sink::{Capabilities, Durability, Receipt, Sink};
use headwater_core::{Error, ErrorKind, Result};
use headwater_format::maxwell::Encoder;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::config::KafkaOptions;
use crate::error;
use crate::records::Records;
use crate::worker::{self, Job};
use encode::{Found, Routes};

/// Writes Maxwell's JSON to Kafka.
///
/// - Without `exactly_once`: at least once. Durable is what all in-sync replicas have acknowledged. While brokers are away it
///   waits, with bounded memory; what is on its way is never given up, so that the order of each key stays whatever is retried.
/// - With it: events and checkpoint are written in one transaction, and the checkpoint is read back from Kafka, so that a
///   read-committed consumer sees each event once. A newcomer with the same transactional id fences this one off (`Locked`).
/// - An event that is larger than its topic takes ends the run (`SinkRejected`) or becomes a dead letter, by choice.
pub struct KafkaSink {
    options: KafkaOptions,
    routes: Routes,
    failpoints: Failpoints,
    jobs: Option<mpsc::Sender<Job>>,
    /// Tells the thread that it need not wait for acknowledgements any more.
    is_given_up: Arc<AtomicBool>,
    /// The answer to the run of records that is being handed over.
    sent: Option<oneshot::Receiver<Result<Records>>>,
    /// An empty run with its memory.
    spare: Records,
    /// Changes of the log have come since the sink was opened: whatever is copied is copied beside them.
    streams: bool,
}

impl KafkaSink {
    /// A sink with these options. Nothing is connected before it is opened.
    ///
    /// # Errors
    /// `Configuration`, for options that cannot be.
    pub fn new(options: KafkaOptions, encoder: Encoder) -> Result<Self> {
        options.validate()?;
        Ok(Self {
            options,
            routes: Routes::new(encoder),
            failpoints: failpoint::installed(),
            jobs: None,
            is_given_up: Arc::default(),
            sent: None,
            spare: Records::default(),
            streams: false,
        })
    }

    /// With failpoints of its own instead of the process's.
    #[must_use]
    pub fn with_failpoints(mut self, failpoints: Failpoints) -> Self {
        self.failpoints = failpoints;
        self
    }

    /// Has something done on the thread, which is started if it does not run.
    async fn ask<T>(&mut self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let jobs = match &self.jobs {
            Some(jobs) => jobs,
            None => {
                let is_given_up = Arc::clone(&self.is_given_up);
                let jobs =
                    worker::start(self.options.clone(), self.failpoints.clone(), is_given_up)?;
                self.jobs.insert(jobs)
            }
        };
        let (reply, answer) = oneshot::channel();
        jobs.send(job(reply)).map_err(|_| error::thread_gone())?;
        answer.await.map_err(|_| error::thread_gone())?
    }

    /// Waits until the run of records before has been handed over, and takes its memory back.
    async fn settle(&mut self) -> Result<()> {
        if let Some(sent) = self.sent.take() {
            self.spare = sent.await.map_err(|_| error::thread_gone())??;
            self.spare.clear();
        }
        Ok(())
    }

    /// Forgets what was going on before a failure.
    async fn reset(&mut self) {
        if let Some(sent) = self.sent.take() {
            // Its failure has been told, or is of no interest any more.
            let _ = sent.await;
        }
        self.routes.forget();
    }

    async fn encode(&mut self, batch: &Batch) -> Result<()> {
        let mut records = std::mem::take(&mut self.spare);
        records.clear();
        for row in batch.rows() {
            let route = loop {
                match self.routes.find(row, &self.options) {
                    Found::Route(route) => break Some(route),
                    Found::NoEvent => break None,
                    Found::Ask(topics) => self.resolve(topics).await?,
                }
            };
            if let Some(route) = route {
                self.routes
                    .encode(row, route, &self.options, &mut records)?;
            }
        }
        let is_copied = batch.rows().all(|row| row.kind().is_bootstrap());
        self.streams |= !is_copied;
        records.beside_stream = self.streams && is_copied;
        self.settle().await?;
        if records.is_empty() {
            return Ok(());
        }
        records.topics.clone_from(self.routes.names());
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(not_open)?;
        jobs.send(Job::Records { records, reply })
            .map_err(|_| error::thread_gone())?;
        self.sent = Some(answer);
        Ok(())
    }

    async fn resolve(&mut self, topics: Vec<String>) -> Result<()> {
        for topic in topics {
            let name = topic.clone();
            let info = self.ask(|reply| Job::Topic { topic: name, reply }).await?;
            self.routes.add(&topic, info);
        }
        Ok(())
    }
}

/// What was not acknowledged is given up: the thread must not outlive the sink by a broker's outage.
impl Drop for KafkaSink {
    fn drop(&mut self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSink")
            .field("topic", &self.options.topic.as_str())
            .finish_non_exhaustive()
    }
}

impl Sink for KafkaSink {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotent: false,
            rewinds: self.options.exactly_once.is_some(),
            replaces_by_key: true,
            keeps_checkpoint: self.options.exactly_once.is_some(),
            counts_rows: false,
            batch_bytes_max: usize::MAX,
        }
    }

    fn name(&self) -> String {
        format!("kafka:{}", self.options.topic.as_str())
    }

    async fn recover(&mut self) -> Result<Option<Value>> {
        self.reset().await;
        self.ask(|reply| Job::Recover { reply }).await
    }

    async fn open(&mut self, mark: Option<&Value>) -> Result<()> {
        if self.options.exactly_once.is_some() {
            // All was done by `recover`.
            return Ok(());
        }
        self.reset().await;
        let cluster = self.ask(|reply| Job::Open { reply }).await?;
        let expected = mark.and_then(|mark| mark["cluster"].as_str());
        match (expected, cluster.as_deref()) {
            (Some(expected), Some(found)) if expected != found => Err(Error::new(
                ErrorKind::SinkRejected,
                "the checkpoint was made with another Kafka cluster",
            )
            .with("checkpoint of", expected)
            .with("cluster is", found)
            .hint("name brokers of the cluster it was made with, or another checkpoint")),
            _ => Ok(()),
        }
    }

    async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<Receipt> {
        if !batch.is_empty() {
            self.encode(batch).await?;
        }
        if durability == Durability::Accepted {
            return Ok(Receipt::Accepted);
        }
        self.settle().await?;
        let cluster = self.ask(|reply| Job::Durable { reply }).await?;
        Ok(Receipt::Durable(json!({ "cluster": cluster })))
    }

    async fn commit(&mut self, document: &Value) -> Result<()> {
        self.settle().await?;
        let document = document.clone();
        self.ask(|reply| Job::Commit { document, reply }).await
    }
}

fn not_open() -> Error {
    Error::new(ErrorKind::Internal, "the sink is not open").with("sink", "kafka")
}
