//! `cargo xtask bench bootstrap`: a bootstrap of a large table beside a stream, under writers: what it does to the latency of the
//! stream, how fast it is, and what memory it takes.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use headwater_servers::{Error, Result};

use crate::live::{Latencies, Sample, Stream, Target, now_us, writer::Pace};
use crate::report::float;
use crate::subject::Scene;
use crate::{Common, stage, workload};

/// How long the last row may take to arrive once the bootstrap is over.
const LIMIT: Duration = Duration::from_secs(300);

/// Measures a bootstrap beside a stream.
#[derive(Debug, clap::Args)]
pub(crate) struct Bootstrap {
    /// Rows of the table.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    rows: u64,
    /// Changes a second meanwhile: rows inserted into another table, and one row of this one updated after each five.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..))]
    rate: u64,
    /// Seconds before the bootstrap, and after it.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How fast the throttled bootstrap may go, in rows a second.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    throttle: u64,
    /// One target only.
    #[arg(long)]
    target: Option<Target>,
    #[command(flatten)]
    common: Common,
}

impl clap::ValueEnum for Target {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::File, Self::Kafka]
    }
    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::File => "file",
            Self::Kafka => "kafka",
        }))
    }
}

/// What came of one bootstrap.
struct Outcome {
    took: Duration,
    rss_before: u64,
    rss_peak: u64,
    /// When it began and ended.
    between_us: (u64, u64),
    samples: Vec<Sample>,
}

/// Measures.
pub(crate) fn run(wanted: &Bootstrap) -> Result<()> {
    let head = format!(
        ". {} rows; {} changes a second before, during and after, each with its way timed until a reader has it.\n\n\
         | | rows/s | RSS MB before, peak | | changes | p50 ms | p99 ms | p99.9 ms | max ms |\n\
         |---|--:|--:|---|--:|--:|--:|--:|--:|\n",
        wanted.rows, wanted.rate
    );
    let targets = match wanted.target {
        Some(target) => vec![target],
        None => vec![Target::File, Target::Kafka],
    };
    let done = stage::on_each(&wanted.common, &head, |scene, text| {
        let (server, flavor) = (scene.server, scene.server.flavor());
        eprintln!("{}: loading {} rows", flavor.name(), wanted.rows);
        workload::load(server, wanted.rows)?;
        for &target in &targets {
            for throttle in [None, Some(wanted.throttle)] {
                let outcome = once(scene, wanted, target, throttle)?;
                let place = if target == Target::File {
                    "a file"
                } else {
                    "Kafka"
                };
                let limit =
                    throttle.map_or(String::new(), |rows| format!(", at most {rows} rows/s"));
                let what = format!("{}, to {place}{limit}", flavor.name());
                row(text, &what, wanted.rows, &outcome);
                scene.outputs.clear();
            }
        }
        Ok(true)
    });
    done.map(drop)
}

fn once(
    scene: &Scene<'_>,
    wanted: &Bootstrap,
    target: Target,
    throttle: Option<u64>,
) -> Result<Outcome> {
    eprintln!(
        "{}: {target:?}, throttle {throttle:?}",
        scene.server.flavor().name()
    );
    let pace = Pace {
        rows_per_s: wanted.rate,
        rows_per_transaction: 5,
        orders: Some(wanted.rows),
    };
    let stream = Stream::start(scene, target, pace)?;
    std::thread::sleep(Duration::from_secs(wanted.seconds));
    let rss_before = stream.side.rss_peak_bytes();
    let mut command = Command::new(scene.headwater);
    command.args(["bootstrap", "bench.orders", "--checkpoint"]);
    command.arg(&stream.checkpoint).stdin(Stdio::null());
    if let Some(rows) = throttle {
        command.args(["--rate", &format!("{rows}rows/s")]);
    }
    let (began, began_us) = (Instant::now(), now_us());
    let output = command
        .output()
        .map_err(|error| Error::new(format!("cannot run headwater bootstrap: {error}")))?;
    let (took, ended_us) = (began.elapsed(), now_us());
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("headwater bootstrap: {}", said.trim())));
    }
    let rss_peak = stream.side.rss_peak_bytes();
    std::thread::sleep(Duration::from_secs(wanted.seconds));
    stream.side.until("every row came", LIMIT, || {
        Ok(stream.receiver.bootstraps() >= wanted.rows)
    })?;
    let rows = stream.receiver.bootstraps();
    if rows != wanted.rows {
        return Err(Error::new(format!(
            "{rows} rows came, and there are {}",
            wanted.rows
        )));
    }
    let (samples, _) = stream.finish()?;
    Ok(Outcome {
        took,
        rss_before,
        rss_peak,
        between_us: (began_us, ended_us),
        samples,
    })
}

fn row(text: &mut String, what: &str, rows: u64, outcome: &Outcome) {
    let (began_us, ended_us) = outcome.between_us;
    let phases = [
        ("before", 0, began_us),
        ("during", began_us, ended_us),
        ("after", ended_us, u64::MAX),
    ];
    for (phase, from_us, to_us) in phases {
        let latencies = Latencies::between(&outcome.samples, from_us, to_us);
        let head = match phase {
            "before" => format!(
                "{what} | {:.0} | {}, {}",
                float(rows) / outcome.took.as_secs_f64().max(1e-9),
                outcome.rss_before / 1_000_000,
                outcome.rss_peak / 1_000_000
            ),
            _ => " | | ".to_owned(),
        };
        _ = writeln!(
            text,
            "| {head} | {phase} | {} | {} |",
            latencies.len(),
            latencies.cells()
        );
    }
}
