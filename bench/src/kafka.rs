//! `cargo xtask bench kafka`: the Kafka sink, at least once and exactly once, beside a bare producer of the same records.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use headwater_servers::kafka::{Kafka, KafkaOptions};
use headwater_servers::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::measure::{self, Cost};
use crate::report::float;
use crate::subject::{Scene, said};
use crate::{Common, stage, workload};

/// How long the topic may take to be read.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures the Kafka sink beside a bare producer.
#[derive(Debug, clap::Args)]
pub(crate) struct Throughput {
    /// Changes in the log.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(300..))]
    rows: u64,
    /// Turns; the medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    #[command(flatten)]
    common: Common,
}

/// Sends the records of a file, as fast as it goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Produce {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    /// Keys and values, each behind its length.
    #[arg(long)]
    records: PathBuf,
}

/// Measures, and says whether nothing failed.
pub(crate) fn run(wanted: &Throughput) -> Result<bool> {
    let head = stage::medians(wanted.runs);
    stage::on_each(&wanted.common, &head, |scene, text| {
        let (server, flavor) = (scene.server, scene.server.flavor());
        workload::load(server, wanted.rows)?;
        workload::prepare_log(server, wanted.rows)?;
        let token = scene.token(&["bench.orders"])?;
        eprintln!("{}: writing the log", flavor.name());
        let changes = workload::write_log(server, wanted.rows)?.changes;
        let kafka = Kafka::start(&KafkaOptions::default())?;
        let records = scene.outputs.events().with_extension("records");
        let mut costs: [std::result::Result<Vec<Cost>, String>; 3] = [const { Ok(Vec::new()) }; 3];
        for run in 1..=wanted.runs {
            for (way, costs) in WAYS.iter().zip(&mut costs) {
                let Ok(so_far) = costs else { continue };
                eprintln!("{}, run {run}: {}", flavor.name(), way.name());
                let topic = format!("{way:?}-{run}").to_lowercase();
                match once(scene, *way, &kafka, &topic, &token, changes, &records) {
                    Ok(cost) => so_far.push(cost),
                    Err(error) => {
                        eprintln!("FAILED: {error}");
                        *costs = Err(error.to_string());
                    }
                }
            }
        }
        table(text, flavor.name(), changes, &costs);
        Ok(costs.iter().all(std::result::Result::is_ok))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AtLeastOnce,
    ExactlyOnce,
    Bare,
}

/// The bare producer sends what the first has written.
const WAYS: [Way; 3] = [Way::AtLeastOnce, Way::ExactlyOnce, Way::Bare];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "Headwater, at least once",
            Self::ExactlyOnce => "Headwater, exactly once",
            Self::Bare => "a bare producer of the same records",
        }
    }
}

fn once(
    scene: &Scene<'_>,
    way: Way,
    kafka: &Kafka,
    topic: &str,
    token: &str,
    changes: u64,
    records: &Path,
) -> Result<Cost> {
    let outputs = scene.outputs;
    let brokers = kafka.bootstrap();
    let command = if way == Way::Bare {
        let own = std::env::current_exe()
            .map_err(|error| Error::new(format!("cannot find this very program: {error}")))?;
        let mut command = Command::new(own);
        command.args([
            "produce",
            "--brokers",
            &brokers,
            "--topic",
            topic,
            "--records",
        ]);
        command.arg(records);
        command
    } else {
        let mut command = Command::new(scene.headwater);
        command.args(["cdc", &scene.url("bench"), "bench.orders", "--from", token]);
        command.args(["--until", "now", "--log-format", "json"]);
        command.args(["--sink", &format!("kafka:{brokers}/{topic}")]);
        if way == Way::ExactlyOnce {
            command.args(["--exactly-once", "--transactional-id", topic]);
        }
        command
    };
    let cost = measure::run(command, outputs, kafka.pid().unwrap_or(0))?;
    if way != Way::Bare {
        let found = said(outputs, "changes")?;
        if found != changes {
            return Err(Error::new(format!(
                "it says that it read {found} changes of {changes}"
            )));
        }
    }
    // What a committed reader sees, counted; the first one is also what the bare producer is given.
    let keep = (way == Way::AtLeastOnce && !records.exists()).then_some(records);
    let there = read(&brokers, topic, keep)?;
    if there == changes {
        return Ok(cost);
    }
    Err(Error::new(format!(
        "{there} records are in the topic, not {changes}"
    )))
}

fn table(
    out: &mut String,
    server: &str,
    changes: u64,
    costs: &[std::result::Result<Vec<Cost>, String>; 3],
) {
    _ = writeln!(
        out,
        "\n**{server}, {changes} changes to Kafka**\n\n| | changes/s | wall s | × bare | CPU s per million | × bare | Kafka's CPU s | RSS MB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|"
    );
    let middle = |costs: &std::result::Result<Vec<Cost>, String>| {
        costs.as_ref().map_or(None, |costs| Cost::median(costs))
    };
    let bare = costs.last().and_then(middle);
    for (way, costs) in WAYS.iter().zip(costs) {
        let Some(cost) = middle(costs) else {
            _ = writeln!(out, "| {} | **failed** | | | | | | |", way.name());
            continue;
        };
        let (wall, cpu) = (cost.wall.as_secs_f64(), cost.cpu.as_secs_f64());
        let times = |own: f64, of: fn(&Cost) -> Duration| {
            bare.as_ref()
                .map_or(0.0, |bare| own / of(bare).as_secs_f64().max(1e-9))
        };
        _ = writeln!(
            out,
            "| {} | {:.0} | {wall:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {} |",
            way.name(),
            float(changes) / wall,
            times(wall, |cost| cost.wall),
            cpu * 1e6 / float(changes),
            times(cpu, |cost| cost.cpu),
            cost.server_cpu.as_secs_f64(),
            cost.rss_bytes / 1_000_000,
        );
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(format!("Kafka or a file of records: {error}"))
}

/// Reads a topic to its end as a committed reader: the number of its records; and writes them to a file, if one is given.
fn read(brokers: &str, topic: &str, keep: Option<&Path>) -> Result<u64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .map_err(failed)?;
    let metadata = consumer
        .fetch_metadata(Some(topic), PATIENCE)
        .map_err(failed)?;
    let partitions = metadata
        .topics()
        .first()
        .map_or(0, |topic| topic.partitions().len());
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)?;
    let mut file = keep
        .map(File::create)
        .transpose()
        .map_err(failed)?
        .map(BufWriter::new);
    let (mut ended, mut count) = (0, 0);
    while ended < partitions {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => {
                count += 1;
                for bytes in [message.key(), message.payload()] {
                    let bytes = bytes.unwrap_or_default();
                    if let Some(file) = &mut file {
                        let length = u32::try_from(bytes.len()).map_err(failed)?;
                        file.write_all(&length.to_le_bytes()).map_err(failed)?;
                        file.write_all(bytes).map_err(failed)?;
                    }
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(_)) => {}
            None => return Err(Error::new("the topic cannot be read to its end")),
        }
    }
    if let Some(mut file) = file {
        file.flush().map_err(failed)?;
    }
    Ok(count)
}

/// The next run of bytes; none at the end.
fn bytes(file: &mut impl Read, buffer: &mut Vec<u8>) -> Result<bool> {
    let mut length = [0; 4];
    if file.read_exact(&mut length).is_err() {
        return Ok(false);
    }
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(failed)?;
    buffer.resize(length, 0);
    file.read_exact(buffer).map_err(failed)?;
    Ok(true)
}

/// The limit that the sink is measured against: the same client with the same settings, and nothing before it.
pub(crate) fn produce(wanted: &Produce) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &wanted.brokers)
        .set("compression.type", "lz4")
        .set("linger.ms", "2")
        .set("batch.num.messages", "100000")
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "32768")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .create()
        .map_err(failed)?;
    let file = File::open(&wanted.records).map_err(failed)?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let (mut key, mut value, mut count) = (Vec::new(), Vec::new(), 0_u64);
    while bytes(&mut file, &mut key)? && bytes(&mut file, &mut value)? {
        let mut record = BaseRecord::to(&wanted.topic).key(&key).payload(&value);
        while let Err((error, back)) = producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            if error != full {
                return Err(failed(error));
            }
            std::thread::sleep(Duration::from_micros(500));
            producer.poll(Duration::ZERO);
            record = back;
        }
        count += 1;
        if count % 1_024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    while producer.flush(Duration::ZERO).is_err() {
        std::thread::sleep(Duration::from_micros(500));
        producer.poll(Duration::ZERO);
    }
    Ok(())
}
