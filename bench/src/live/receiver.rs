//! What arrives, and when.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use headwater_servers::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::{Sample, now_us};

/// The topic that everything goes to.
pub(crate) const TOPIC: &str = "bench";

#[derive(Debug, Default)]
struct Counters {
    stop: AtomicBool,
    samples: AtomicU64,
    bootstraps: AtomicU64,
    others: AtomicU64,
}

/// A thread that reads what arrives.
pub(crate) struct Receiver {
    counters: Arc<Counters>,
    thread: JoinHandle<Result<Vec<Sample>>>,
}

/// What has arrived so far.
struct Arrived<'a> {
    counters: &'a Counters,
    samples: Vec<Sample>,
}

impl Arrived<'_> {
    fn take(&mut self, event: &[u8]) {
        match number(event, b"\"at_us\":") {
            Some(sent_us) if sent_us > 0 => {
                let took_us = now_us().saturating_sub(sent_us);
                self.samples.push(Sample { sent_us, took_us });
                self.counters.samples.fetch_add(1, Ordering::Relaxed);
            }
            None if find(event, b"\"type\":\"bootstrap\"").is_some() => {
                self.counters.bootstraps.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                self.counters.others.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.counters.stop.load(Ordering::Relaxed)
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let at = text.windows(mark.len()).position(|piece| piece == mark)?;
    Some(at + mark.len())
}

fn number(text: &[u8], mark: &[u8]) -> Option<u64> {
    let digits = text.get(find(text, mark)?..)?;
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

impl Receiver {
    /// Of all partitions of the topic, from their beginning.
    pub(crate) fn of_topic(bootstrap: &str) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "bench")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .create()
            .map_err(|error| Error::new(format!("cannot consume: {error}")))?;
        Ok(Self::start(move |arrived| consume(&consumer, arrived)))
    }

    /// Of a file that grows.
    pub(crate) fn of_file(path: PathBuf) -> Self {
        Self::start(move |arrived| {
            while !path.exists() && !arrived.is_over() {
                std::thread::sleep(Duration::from_millis(20));
            }
            let failed = |error| Error::new(format!("cannot read {}: {error}", path.display()));
            let mut file = File::open(&path).map_err(failed)?;
            let (mut block, mut rest) = (vec![0; 1 << 18], Vec::new());
            while !arrived.is_over() {
                let count = file.read(&mut block).map_err(failed)?;
                if count == 0 {
                    std::thread::sleep(Duration::from_micros(500));
                    continue;
                }
                rest.extend_from_slice(block.get(..count).unwrap_or_default());
                let Some(end) = rest.iter().rposition(|&byte| byte == b'\n') else {
                    continue;
                };
                let whole: Vec<u8> = rest.drain(..=end).collect();
                let lines = whole.split(|&byte| byte == b'\n');
                lines
                    .filter(|line| !line.is_empty())
                    .for_each(|line| arrived.take(line));
            }
            Ok(())
        })
    }

    fn start(read: impl FnOnce(&mut Arrived<'_>) -> Result<()> + Send + 'static) -> Self {
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let thread = std::thread::spawn(move || {
            let mut arrived = Arrived {
                counters: &shared,
                samples: Vec::new(),
            };
            read(&mut arrived)?;
            Ok(arrived.samples)
        });
        Self { counters, thread }
    }

    /// Rows that carry their time.
    pub(crate) fn count(&self) -> u64 {
        self.counters.samples.load(Ordering::Relaxed)
    }

    pub(crate) fn bootstraps(&self) -> u64 {
        self.counters.bootstraps.load(Ordering::Relaxed)
    }

    pub(crate) fn others(&self) -> u64 {
        self.counters.others.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(self) -> Result<Vec<Sample>> {
        self.counters.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.map_err(|_| Error::new("the receiver broke down"))?
    }
}

/// The topic comes into being with the first record.
fn consume(consumer: &BaseConsumer, arrived: &mut Arrived<'_>) -> Result<()> {
    let failed = |error| Error::new(format!("cannot consume: {error}"));
    let partitions = loop {
        if arrived.is_over() {
            return Ok(());
        }
        // Asking for it by name would make it.
        let metadata = consumer
            .fetch_metadata(None, Duration::from_secs(20))
            .map_err(failed)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == TOPIC);
        match topic.map_or(0, |topic| topic.partitions().len()) {
            0 => std::thread::sleep(Duration::from_millis(50)),
            count => break i32::try_from(count).unwrap_or(i32::MAX),
        }
    };
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)?;
    while !arrived.is_over() {
        // What passes by itself is tried again by the client; what does not shows as changes that never come.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            arrived.take(message.payload().unwrap_or_default());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{find, number};

    #[test]
    fn the_time_of_a_row_is_found_in_its_event() {
        let event = br#"{"type":"insert","data":{"id":1,"at_us":1795274706123456,"note":"x"}}"#;
        assert_eq!(number(event, b"\"at_us\":"), Some(1_795_274_706_123_456));
        assert_eq!(number(b"{}", b"\"at_us\":"), None);
        assert!(find(event, b"\"type\":\"bootstrap\"").is_none());
    }
}
