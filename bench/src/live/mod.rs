//! Changes at a steady rate, followed from before they are committed to where they arrive.
//!
//! Every row carries the time at which its statement was sent, which is before its commit; it has arrived when a consumer of
//! the topic, or a reader of the file, has it. So what is measured holds the server's commit, Headwater, and Kafka's
//! acknowledgement with the consumer's fetch on top: more than any of them.

pub(crate) mod receiver;
pub(crate) mod writer;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_servers::Result;
use headwater_servers::kafka::{Kafka, KafkaOptions};

use crate::side::Side;
use crate::subject::Scene;
use receiver::Receiver;
use writer::Writer;

/// How long the first change may take to arrive, and the last.
const PATIENCE: Duration = Duration::from_secs(120);

/// Microseconds since 1970: all of it is on one machine.
pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

/// One change: when it was sent, and how long it took to arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) sent_us: u64,
    pub(crate) took_us: u64,
}

/// Latencies in order.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    /// Of the samples that were sent between two times.
    pub(crate) fn between(samples: &[Sample], from_us: u64, to_us: u64) -> Self {
        let within = samples
            .iter()
            .filter(|sample| (from_us..to_us).contains(&sample.sent_us));
        Self::new(within.map(|sample| sample.took_us).collect())
    }

    pub(crate) fn new(mut all: Vec<u64>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The latency that so many of a thousand do not exceed, in milliseconds.
    pub(crate) fn per_mille_ms(&self, per_mille: usize) -> f64 {
        let at = (self.0.len() * per_mille).div_ceil(1_000).saturating_sub(1);
        crate::report::float(self.0.get(at).copied().unwrap_or(0)) / 1_000.0
    }

    /// Cells of a table: the median, 99 %, 99.9 % and the greatest.
    pub(crate) fn cells(&self) -> String {
        let cells = [500, 990, 999, 1_000].map(|per_mille| {
            let latency = self.per_mille_ms(per_mille);
            format!("{latency:.2}")
        });
        cells.join(" | ")
    }
}

/// Where Headwater writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    File,
    Kafka,
}

/// A stream that runs, with changes flowing through it and someone at its end.
pub(crate) struct Stream {
    pub(crate) side: Side,
    pub(crate) receiver: Receiver,
    pub(crate) writer: Writer,
    pub(crate) checkpoint: PathBuf,
    /// Kept while it runs.
    kafka: Option<Kafka>,
}

impl Stream {
    /// Starts all of it. The first change has arrived when it returns.
    pub(crate) fn start(scene: &Scene<'_>, target: Target, pace: writer::Pace) -> Result<Self> {
        let Scene {
            server,
            headwater,
            outputs,
        } = *scene;
        server.sql(writer::TABLE)?;
        let kafka = match target {
            Target::Kafka => Some(Kafka::start(&KafkaOptions::default())?),
            Target::File => None,
        };
        outputs.clear();
        let checkpoint = outputs.events().with_extension("checkpoint");
        let _ = std::fs::remove_file(&checkpoint);
        let sink = match &kafka {
            Some(kafka) => format!("kafka:{}/{}", kafka.bootstrap(), receiver::TOPIC),
            None => format!("file:{}", outputs.events().display()),
        };
        let url = format!("{}?ssl-mode=disabled", server.url("root", "", "bench"));
        let mut command = Command::new(headwater);
        command.args(["cdc", &url, "bench.*", "--sink", &sink, "--quiet"]);
        command.arg("--checkpoint").arg(&checkpoint);
        let side = Side::start(command, &outputs.stdout(), &outputs.stderr())?;
        let receiver = match &kafka {
            Some(kafka) => Receiver::of_topic(&kafka.bootstrap())?,
            None => Receiver::of_file(outputs.events()),
        };
        // It may begin after the first of these.
        side.until("the first change came", PATIENCE, || {
            server.sql("insert into bench.latency (at_us) values (0)")?;
            Ok(receiver.others() > 0)
        })?;
        let writer = Writer::start(server, pace)?;
        Ok(Self {
            side,
            receiver,
            writer,
            checkpoint,
            kafka,
        })
    }

    /// Ends the writing and waits until everything has arrived. Gives the samples, and how long each statement took.
    pub(crate) fn finish(self) -> Result<(Vec<Sample>, Latencies)> {
        let (written, took_us) = self.writer.stop()?;
        self.side.until("every change came", PATIENCE, || {
            Ok(self.receiver.count() >= written)
        })?;
        let samples = self.receiver.stop()?;
        if samples.len() as u64 != written {
            let found = samples.len();
            return Err(headwater_servers::Error::new(format!(
                "{found} changes came of {written}"
            )));
        }
        self.side.stop()?;
        drop(self.kafka);
        Ok((samples, Latencies::new(took_us)))
    }
}

#[cfg(test)]
mod tests {
    use super::Latencies;

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let latencies = Latencies::new((1..=1_000).rev().map(|ms| ms * 1_000).collect());
        assert_eq!(latencies.cells(), "500.00 | 990.00 | 999.00 | 1000.00");
        assert_eq!(Latencies::default().cells(), "0.00 | 0.00 | 0.00 | 0.00");
    }
}
