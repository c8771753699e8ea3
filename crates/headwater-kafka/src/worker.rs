//! The thread that speaks with Kafka. It owns the producer, hands records over, serves delivery reports, and runs
//! transactions. Every wait has a bound: the client's own, or "nothing was acknowledged for so long".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use headwater_core::failpoint::Failpoints;
use headwater_core::{Error, ErrorKind, Result};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::checkpoint::Keeper;
use crate::client::{self, Admin, CALL_TIMEOUT, Producer, TopicInfo};
use crate::config::KafkaOptions;
use crate::error;
use crate::records::{Record, Records};

type Reply<T> = oneshot::Sender<Result<T>>;

/// What the thread is asked to do. Each has one answer.
pub(crate) enum Job {
    /// Get ready, without a transaction; says the cluster's id.
    Open { reply: Reply<Option<String>> },
    /// Get ready with transactions: fence off others, read the checkpoint.
    Recover { reply: Reply<Option<Value>> },
    /// Look at a topic, and make it if it is not there and may be.
    Topic {
        topic: String,
        reply: Reply<TopicInfo>,
    },
    /// Hand these over to the client; gives their memory back.
    Records {
        records: Records,
        reply: Reply<Records>,
    },
    /// Wait until everything is acknowledged; says the cluster's id.
    Durable { reply: Reply<Option<String>> },
    /// Commit everything together with this checkpoint.
    Commit { document: Value, reply: Reply<()> },
}

/// Starts the thread. It ends when the sender is dropped; with `is_given_up`, in the middle of a wait for acknowledgements.
pub(crate) fn start(
    options: KafkaOptions,
    failpoints: Failpoints,
    is_given_up: Arc<AtomicBool>,
) -> Result<mpsc::Sender<Job>> {
    let (jobs, receive) = mpsc::channel();
    let worker = Worker {
        keeper: options.exactly_once.clone().map(Keeper::new),
        options,
        failpoints,
        producer: None,
        admin: None,
        cluster: None,
        batch_bytes_max: None,
        in_transaction: false,
        is_given_up,
    };
    std::thread::Builder::new()
        .name("kafka".to_owned())
        .spawn(move || worker.run(&receive))
        .map_err(|cause| {
            Error::new(ErrorKind::Internal, "no thread could be started").caused_by(cause)
        })?;
    Ok(jobs)
}

/// How often the client's reports are looked at while records are on their way and nobody waits for them.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How long one wait for reports lasts where somebody waits. The client's own waits are not used: each lasts to its end
/// whatever is reported meanwhile, and spends its last millisecond spinning.
const WAIT_TURN: Duration = Duration::from_micros(500);

/// How long once nothing was acknowledged for some time: the brokers are away, or busy.
const LONG_WAIT_TURN: Duration = Duration::from_millis(10);

/// Reports looked at in one turn. One holds many records.
const REPORTS_PER_TURN: usize = 64;

/// What may be on its way to the brokers when rows of a bootstrap beside a stream are handed over. Changes of the stream wait
/// behind it, and behind no more; the client's whole queue (`buffer_bytes_max`) would be a third of a second of it.
const BESIDE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Such records that are handed over before it is looked again.
const BESIDE_TURN: usize = 64;

struct Worker {
    options: KafkaOptions,
    failpoints: Failpoints,
    producer: Option<Producer>,
    admin: Option<Admin>,
    cluster: Option<String>,
    /// Smaller than the client's own, where a topic takes less.
    batch_bytes_max: Option<usize>,
    keeper: Option<Keeper>,
    in_transaction: bool,
    /// Nobody waits for an answer any more.
    is_given_up: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        loop {
            let in_flight = self.producer.as_ref().map_or(0, Producer::in_flight_count);
            let wait = if in_flight > 0 {
                LOOK_INTERVAL
            } else {
                Duration::from_secs(1)
            };
            match jobs.recv_timeout(wait) {
                Ok(job) => {
                    self.take(job);
                    if let Some(producer) = &self.producer {
                        serve(producer);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(producer) = &self.producer {
                        hear(producer);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    /// Aborts what is open, so that readers of committed records need not wait until its time is over. If it does not work,
    /// they do, or the next process aborts it.
    fn end(self) {
        let Some(producer) = self.producer.filter(|_| self.in_transaction) else {
            return;
        };
        producer.purge(PurgeConfig::default().queue().inflight());
        let aborted = producer
            .flush(Duration::from_secs(1))
            .and_then(|()| producer.abort_transaction(Duration::from_secs(5)));
        if let Err(cause) = aborted {
            tracing::debug!("an open transaction was left to time out: {cause}");
        }
    }

    fn take(&mut self, job: Job) {
        // Whoever asked may have gone.
        match job {
            Job::Open { reply } => drop(reply.send(self.open())),
            Job::Recover { reply } => drop(reply.send(self.recover())),
            Job::Topic { topic, reply } => drop(reply.send(self.topic(&topic))),
            Job::Records { records, reply } => {
                let done = self.hand_over(&records).map(|()| records);
                drop(reply.send(done));
            }
            Job::Durable { reply } => {
                let done = self.drain().map(|()| self.cluster.clone());
                drop(reply.send(done));
            }
            Job::Commit { document, reply } => drop(reply.send(self.commit(document))),
        }
    }

    /// Ready to write after a failure, or for the first time. What is still on its way is waited for, not given up: a record
    /// that came late, behind newer ones, would turn time back for its key.
    fn open(&mut self) -> Result<Option<String>> {
        let is_broken = (self.producer.as_ref())
            .is_some_and(|producer| producer.client().fatal_error().is_some());
        if is_broken {
            self.producer = None;
        }
        match &self.producer {
            None => self.producer = Some(client::producer(&self.options, self.batch_bytes_max)?),
            Some(_) => self.settle()?,
        }
        let producer = producer(&self.producer)?;
        client::topics(producer)?;
        if self.cluster.is_none() {
            self.cluster = producer.client().fetch_cluster_id(CALL_TIMEOUT);
        }
        Ok(self.cluster.clone())
    }

    /// Waits until nothing is on its way any more, whatever became of it.
    fn settle(&self) -> Result<()> {
        let producer = producer(&self.producer)?;
        loop {
            match self.drain() {
                Ok(()) => return Ok(()),
                Err(error) if error.is_temporary() && producer.context().failure().is_none() => {
                    return Err(error);
                }
                // What failed is written again; what is still on its way comes first.
                Err(_) => producer.context().forget_failure(),
            }
        }
    }

    fn recover(&mut self) -> Result<Option<Value>> {
        let Some(keeper) = &mut self.keeper else {
            return Err(Error::new(
                ErrorKind::Internal,
                "this sink keeps no checkpoint",
            ));
        };
        self.in_transaction = false;
        // Dropped, it gives up what is on its way; the broker refuses whatever comes late, for the next one has a new epoch.
        self.producer = None;
        keeper.check_owner(&self.options)?;
        let producer = client::producer(&self.options, self.batch_bytes_max)?;
        client::topics(&producer)?;
        let admin = admin(&mut self.admin, &self.options)?;
        keeper.prepare_topic(&producer, admin, self.options.missing_topics)?;
        keeper.claim(&self.options, &self.is_given_up)?;
        init_transactions(&producer)?;
        let document = keeper.take_over(&producer, &self.options)?;
        self.producer = Some(producer);
        Ok(document)
    }

    fn topic(&mut self, topic: &str) -> Result<TopicInfo> {
        let admin = admin(&mut self.admin, &self.options)?;
        let info = admin.ensure(
            producer(&self.producer)?,
            topic,
            self.options.missing_topics,
        )?;
        let batch_bytes = self.batch_bytes_max.unwrap_or(BATCH_BYTES_DEFAULT);
        if info.message_bytes_max < batch_bytes {
            self.shrink_batches(topic, info.message_bytes_max)?;
        }
        Ok(info)
    }

    /// The broker refuses a whole batch that is larger than its topic takes, though no record of it is: so batches become
    /// smaller, which only a new producer can do.
    fn shrink_batches(&mut self, topic: &str, bytes: usize) -> Result<()> {
        tracing::debug!(
            topic,
            bytes,
            "smaller batches, for the topic takes no larger"
        );
        self.batch_bytes_max = Some(bytes);
        if self.keeper.is_some() {
            return Err(Error::new(
                ErrorKind::SinkUnavailable,
                "a topic takes small batches only: beginning again with those",
            )
            .with("topic", topic)
            .hint("nothing to do"));
        }
        self.drain()?;
        self.producer = Some(client::producer(&self.options, self.batch_bytes_max)?);
        Ok(())
    }

    fn hand_over(&mut self, records: &Records) -> Result<()> {
        let producer = producer(&self.producer)?;
        check(producer)?;
        if self.keeper.is_some() && !self.in_transaction {
            producer
                .begin_transaction()
                .map_err(|cause| error::call("beginning a transaction", &cause))?;
            self.in_transaction = true;
        }
        let beside_max = records_beside_max(records);
        for (number, record) in records.list.iter().enumerate() {
            if records.beside_stream && number % BESIDE_TURN == 0 {
                self.await_room(producer, beside_max)?;
            }
            self.hand_over_one(producer, records, record)?;
            if number % 1_024 == 1_023 {
                serve(producer);
            }
        }
        serve(producer);
        check(producer)
    }

    /// Waits until at most so many records are on their way.
    fn await_room(&self, producer: &Producer, records_max: usize) -> Result<()> {
        let mut patience = self.patience(producer);
        while usize::try_from(producer.in_flight_count()).unwrap_or(0) > records_max {
            patience.wait();
            serve(producer);
            check(producer)?;
            patience.check(producer)?;
        }
        Ok(())
    }

    /// Hands one record over; waits while the client's queue is full: this is the sink's bound of memory.
    fn hand_over_one(&self, producer: &Producer, records: &Records, record: &Record) -> Result<()> {
        let topic = records.topics.get(record.topic).map_or("", |name| name);
        let value = record.value.as_ref().map(|range| records.slice(range));
        let mut patience = self.patience(producer);
        loop {
            let mut next = BaseRecord::to(topic)
                .partition(record.partition)
                .key(records.slice(&record.key));
            next.payload = value;
            next.headers = headers(records, record);
            match producer.send(next) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), _)) => {
                    if producer.in_flight_count() == 0 {
                        return Err(error::of_code(Code::MessageSizeTooLarge)
                            .with("topic", topic)
                            .hint("raise `buffer_bytes_max`: the event does not fit into it"));
                    }
                    patience.wait();
                    serve(producer);
                    check(producer)?;
                    patience.check(producer)?;
                }
                Err((cause, _)) => {
                    return Err(error::call("handing an event to the Kafka client", &cause)
                        .with("topic", topic));
                }
            }
        }
    }

    fn patience(&self, producer: &Producer) -> Patience<'_> {
        Patience::new(producer, self.options.acknowledge_within, &self.is_given_up)
    }

    /// Waits until all in-sync replicas have everything.
    fn drain(&self) -> Result<()> {
        let producer = producer(&self.producer)?;
        drain(producer, self.patience(producer))
    }

    fn commit(&mut self, document: Value) -> Result<()> {
        let producer = producer(&self.producer)?;
        let Some(keeper) = &self.keeper else {
            return Err(Error::new(
                ErrorKind::Internal,
                "this sink keeps no checkpoint",
            ));
        };
        if !self.in_transaction {
            producer
                .begin_transaction()
                .map_err(|cause| error::call("beginning a transaction", &cause))?;
            self.in_transaction = true;
        }
        keeper.put(producer, document)?;
        self.drain()?;
        self.failpoints.hit("kafka.acknowledged")?;
        commit_transaction(producer, self.options.acknowledge_within)?;
        self.in_transaction = false;
        self.failpoints.hit("kafka.committed")
    }
}

/// About how many records like these are as large as what may be on its way of a bootstrap beside a stream.
fn records_beside_max(records: &Records) -> usize {
    let bytes = records.bytes.len() / records.list.len().max(1);
    BESIDE_BYTES_MAX / bytes.max(1)
}

/// The client's own bound of a batch.
const BATCH_BYTES_DEFAULT: usize = 1_000_000;

fn producer(producer: &Option<Producer>) -> Result<&Producer> {
    producer.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Internal, "the sink is not open").with("sink", "kafka")
    })
}

fn admin<'a>(admin: &'a mut Option<Admin>, options: &KafkaOptions) -> Result<&'a Admin> {
    match admin {
        Some(admin) => Ok(admin),
        None => Ok(admin.insert(Admin::new(options)?)),
    }
}

/// Takes all that there is to hear of, errors and log lines too: nobody else does, and they would pile up.
fn hear(producer: &Producer) {
    for _ in 0..REPORTS_PER_TURN {
        producer.poll(Duration::ZERO);
    }
}

/// Looks at the reports that there are, without waiting.
fn serve(producer: &Producer) {
    for _ in 0..REPORTS_PER_TURN {
        let before = producer.context().acknowledged.load(Ordering::Relaxed);
        producer.poll(Duration::ZERO);
        if producer.context().acknowledged.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// The first failure since the last opening.
fn check(producer: &Producer) -> Result<()> {
    if let Some((code, said)) = producer.client().fatal_error() {
        return Err(error::of_code(code).with("client", said));
    }
    match producer.context().failure() {
        Some(failure) => Err(failure.error()),
        None => Ok(()),
    }
}

fn headers(records: &Records, record: &Record) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let list = records.headers.get(record.headers.clone())?;
    let mut headers = OwnedHeaders::new_with_capacity(list.len());
    for (name, value) in list {
        headers = headers.insert(Header {
            key: name,
            value: Some(records.slice(value)),
        });
    }
    Some(headers)
}

/// Gets the producer's epoch from the broker: whoever had the id before is fenced off, and what it left open is aborted.
fn init_transactions(producer: &Producer) -> Result<()> {
    let end = Instant::now() + CALL_TIMEOUT;
    loop {
        match producer.init_transactions(CALL_TIMEOUT / 4) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(cause)) if cause.is_retriable() && Instant::now() < end => {
                serve(producer);
            }
            Err(cause) => return Err(error::call("taking over the transactional id", &cause)),
        }
    }
}

/// Commits. An answer that does not come is asked for again; what became of it in the end, the next recovery reads.
pub(crate) fn commit_transaction(producer: &Producer, limit: Duration) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        match producer.commit_transaction(CALL_TIMEOUT / 4) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(cause)) if cause.is_retriable() && Instant::now() < end => {
                serve(producer);
            }
            Err(KafkaError::Flush(_)) if Instant::now() < end => check(producer)?,
            Err(cause) => return Err(error::call("committing a transaction", &cause)),
        }
    }
}

/// How long nothing may be acknowledged.
pub(crate) struct Patience<'a> {
    limit: Duration,
    since: Instant,
    acknowledged: u64,
    is_given_up: &'a AtomicBool,
}

/// Waits until all in-sync replicas have everything that was handed over.
pub(crate) fn drain(producer: &Producer, mut patience: Patience<'_>) -> Result<()> {
    loop {
        check(producer)?;
        // It asks the client to send what lingers, and does not wait.
        let flushed = producer.flush(Duration::ZERO);
        serve(producer);
        match flushed {
            Ok(()) => return check(producer),
            Err(_) => patience.check(producer)?,
        }
        patience.wait();
    }
}

impl<'a> Patience<'a> {
    pub(crate) fn new(producer: &Producer, limit: Duration, is_given_up: &'a AtomicBool) -> Self {
        Self {
            limit,
            since: Instant::now(),
            acknowledged: producer.context().acknowledged.load(Ordering::Relaxed),
            is_given_up,
        }
    }

    fn wait(&self) {
        let is_long = self.since.elapsed() > LONG_WAIT_TURN * 10;
        std::thread::sleep(if is_long { LONG_WAIT_TURN } else { WAIT_TURN });
    }

    fn check(&mut self, producer: &Producer) -> Result<()> {
        if self.is_given_up.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Cancelled, "the sink was dropped"));
        }
        let acknowledged = producer.context().acknowledged.load(Ordering::Relaxed);
        if acknowledged != self.acknowledged {
            self.acknowledged = acknowledged;
            self.since = Instant::now();
        }
        if self.since.elapsed() < self.limit {
            return Ok(());
        }
        Err(error::no_answer(
            self.limit.as_secs(),
            producer.in_flight_count(),
        ))
    }
}
