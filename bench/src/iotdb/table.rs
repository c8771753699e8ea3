//! What came out, as Markdown.

use std::fmt::Write as _;

use headwater_servers::Flavor;

use super::{Iotdb, Setting, Spent, Way};
use crate::measure::Cost;
use crate::report::float;

/// The share of the prepared calls' rate that the sink is to reach.
const RATE: f64 = 0.9;
/// How many times as long as the slower of dump and prepared calls a copy may take.
const TIMES: f64 = 1.2;

/// What the runs of a way have cost, or why they failed.
type Spents = Result<Vec<Spent>, String>;

/// What each way's runs have cost.
pub(super) struct Results(Vec<(Way, Spents)>);

impl Results {
    pub(super) fn new(ways: &[Way]) -> Self {
        Self(ways.iter().map(|way| (*way, Ok(Vec::new()))).collect())
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = (Way, &mut Spents)> {
        self.0.iter_mut().map(|(way, spents)| (*way, spents))
    }

    pub(super) fn all_ran(&self) -> bool {
        self.0.iter().all(|(_, spents)| spents.is_ok())
    }

    /// The median of each figure by itself.
    fn middle(&self, way: Way) -> Option<Spent> {
        let (_, all) = self.0.iter().find(|(known, _)| *known == way)?;
        let all = all.as_ref().ok()?;
        let costs: Vec<Cost> = all.iter().map(|spent| spent.cost).collect();
        let mut sources: Vec<_> = all.iter().map(|spent| spent.source_cpu).collect();
        sources.sort_unstable();
        Some(Spent {
            cost: Cost::median(&costs)?,
            source_cpu: *sources.get(sources.len() / 2)?,
        })
    }

    fn wall(&self, way: Way) -> Option<f64> {
        self.middle(way).map(|spent| spent.cost.wall.as_secs_f64())
    }
}

/// Appends the table of a server and a setting, and what became of the goals.
pub(super) fn write(
    out: &mut String,
    flavor: Flavor,
    wanted: &Iotdb,
    setting: Setting,
    results: &Results,
) {
    let rows = wanted.rows;
    // id, flow, kind and total are never null; one pressure in fifty is, and nine notes in ten.
    let points = rows * 4 + rows - rows / 50 + rows / 10;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (how, bound) = match setting {
        Setting::Shared => ("all on all processors", format!("all CPU / {processors}")),
        Setting::Apart => (
            "IoTDB and its writer on a processor each",
            "the busier one's CPU".to_owned(),
        ),
    };
    _ = writeln!(
        out,
        "\n**{}, {rows} rows of 100 devices, {points} points, {} connections; {how}**\n\n\
         | | points/s | wall s | × prepared | CPU s | IoTDB's CPU s | source's CPU s | {bound} | RSS MB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|",
        flavor.name(),
        wanted.writers,
    );
    for &way in setting.ways() {
        let Some(Spent { cost, source_cpu }) = results.middle(way) else {
            _ = writeln!(out, "| {} | **failed** | | | | | | | |", way.name());
            continue;
        };
        let seconds = cost.wall.as_secs_f64();
        let (rate, times) = match (way, results.wall(Way::Prepared)) {
            (Way::Start, _) | (_, None) => (String::new(), String::new()),
            (_, Some(prepared)) => (
                format!("{:.0}", float(points) / seconds),
                format!("{:.2}", seconds / prepared),
            ),
        };
        let cpus = [cost.cpu, cost.server_cpu, source_cpu].map(|cpu| cpu.as_secs_f64());
        let [own, iotdb, source] = cpus;
        let bound = match (way, setting) {
            // The Java client's CPU is that of its start and of reading its file, too.
            (Way::Java, _) => String::new(),
            (_, Setting::Shared) => {
                format!("{:.2}", cpus.iter().sum::<f64>() / float(processors as u64))
            }
            (_, Setting::Apart) => format!("{:.2}", own.max(iotdb)),
        };
        _ = writeln!(
            out,
            "| {} | {rate} | {seconds:.2} | {times} | {own:.2} | {iotdb:.2} | {source:.2} | {bound} | {} |",
            way.name(),
            cost.rss_bytes / 1_000_000,
        );
    }
    goals(out, results);
}

fn goals(out: &mut String, results: &Results) {
    let met = |is_met: bool| if is_met { "met" } else { "**missed**" };
    let [copy, sink, prepared, java, dump] =
        [Way::Copy, Way::Sink, Way::Prepared, Way::Java, Way::Dump].map(|way| results.wall(way));
    _ = writeln!(out, "\n| goal | bound | measured | |\n|---|--:|--:|---|");
    for (other, what) in [
        (prepared, "the prepared calls"),
        (java, "the Java client's tablets"),
    ] {
        if let (Some(sink), Some(other)) = (sink, other) {
            let rate = other / sink;
            _ = writeln!(
                out,
                "| the sink's rate, of that of {what} | at least {RATE} | {rate:.2} | {} |",
                met(rate >= RATE),
            );
        }
    }
    if let (Some(copy), Some(prepared), Some(dump)) = (copy, prepared, dump) {
        let times = copy / prepared.max(dump);
        _ = writeln!(
            out,
            "| the copy's wall, × the slower of dump and prepared calls | {TIMES} | {times:.2} | {} |",
            met(times <= TIMES),
        );
    }
}
