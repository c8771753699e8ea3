//! `cargo xtask bench latency`: how long a change takes from before its commit to a consumer of the topic.

use std::fmt::Write as _;
use std::time::Duration;

use headwater_servers::Result;

use crate::live::{Latencies, Stream, Target, now_us, writer::Pace};
use crate::report::float;
use crate::{Common, stage};

/// What 99 % must not exceed, in milliseconds.
const GOAL_MS: f64 = 10.0;
/// Left out at the beginning.
const WARM_UP: Duration = Duration::from_secs(3);

/// Measures the way of a change to Kafka.
#[derive(Debug, clap::Args)]
pub(crate) struct Latency {
    /// Changes a second.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// Rows of each transaction.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rows_per_transaction: u64,
    /// How long it is measured.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// To a file instead, read as it grows.
    #[arg(long)]
    file: bool,
    #[command(flatten)]
    common: Common,
}

/// Measures.
pub(crate) fn run(wanted: &Latency) -> Result<()> {
    let (target, place) = match wanted.file {
        true => (Target::File, "a reader of the file"),
        false => (Target::Kafka, "a consumer of the topic"),
    };
    let head = format!(
        ". {} changes a second for {} s, {} in a transaction; from before the statement is sent to {place}.\n\n\
         | | changes | p50 ms | p99 ms | p99.9 ms | max ms | of it the commit: p50, p99 ms | CPU µs/change | RSS MB | |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
        wanted.rate, wanted.seconds, wanted.rows_per_transaction
    );
    let done = stage::on_each(&wanted.common, &head, |scene, text| {
        let flavor = scene.server.flavor();
        eprintln!("{}: {} s", flavor.name(), wanted.seconds);
        let pace = Pace {
            rows_per_s: wanted.rate,
            rows_per_transaction: wanted.rows_per_transaction,
            orders: None,
        };
        let stream = Stream::start(scene, target, pace)?;
        std::thread::sleep(WARM_UP);
        let (from_us, cpu) = (now_us(), stream.side.cpu());
        std::thread::sleep(Duration::from_secs(wanted.seconds));
        let (to_us, cpu) = (now_us(), stream.side.cpu().saturating_sub(cpu));
        let rss = stream.side.rss_peak_bytes();
        let (samples, commits) = stream.finish()?;
        let latencies = Latencies::between(&samples, from_us, to_us);
        let verdict = match latencies.per_mille_ms(990) < GOAL_MS {
            true => "goal (p99 < 10 ms) met",
            false => "goal (p99 < 10 ms) **missed**",
        };
        _ = writeln!(
            text,
            "| {} | {} | {} | {:.2}, {:.2} | {:.2} | {} | {verdict} |",
            flavor.name(),
            latencies.len(),
            latencies.cells(),
            commits.per_mille_ms(500),
            commits.per_mille_ms(990),
            cpu.as_secs_f64() * 1e6 / float(latencies.len().max(1) as u64),
            rss / 1_000_000,
        );
        Ok(true)
    });
    done.map(drop)
}
