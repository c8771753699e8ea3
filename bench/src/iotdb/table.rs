//! What came out, as Markdown.

use std::fmt::Write as _;

use headwater_servers::Flavor;

use super::{Iotdb, Spent, Spents, WAYS, Way};
use crate::measure::Cost;
use crate::report::float;

/// The share of the prepared calls' rate that the sink is to reach.
const RATE: f64 = 0.9;
/// How many times as long as the slower of dump and prepared calls a copy may take.
const TIMES: f64 = 1.2;

/// The median of each figure by itself.
fn middle(spents: &Spents, way: Way) -> Option<Spent> {
    let at = WAYS.iter().position(|known| *known == way)?;
    let all = spents.get(at)?.as_ref().ok()?;
    let costs: Vec<Cost> = all.iter().map(|spent| spent.cost).collect();
    let mut sources: Vec<_> = all.iter().map(|spent| spent.source_cpu).collect();
    sources.sort_unstable();
    Some(Spent {
        cost: Cost::median(&costs)?,
        source_cpu: *sources.get(sources.len() / 2)?,
    })
}

/// Appends the table of a server, and what became of the goals.
pub(super) fn write(out: &mut String, flavor: Flavor, wanted: &Iotdb, spents: &Spents) {
    let rows = wanted.rows;
    // id, flow, kind and total are never null; one pressure in fifty is, and nine notes in ten.
    let points = rows * 4 + rows - rows / 50 + rows / 10;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    _ = writeln!(
        out,
        "\n**{}, {rows} rows of 100 devices, {points} points, {} connections**\n\n\
         | | points/s | wall s | × prepared | CPU s | IoTDB's CPU s | source's CPU s | all CPU / {processors} | RSS MB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|",
        flavor.name(),
        wanted.writers,
    );
    let wall = |way: Way| middle(spents, way).map(|spent| spent.cost.wall.as_secs_f64());
    for way in WAYS {
        let Some(Spent { cost, source_cpu }) = middle(spents, way) else {
            _ = writeln!(out, "| {} | **failed** | | | | | | | |", way.name());
            continue;
        };
        let seconds = cost.wall.as_secs_f64();
        let (rate, times) = match (way, wall(Way::Prepared)) {
            (Way::Start, _) | (_, None) => (String::new(), String::new()),
            (_, Some(prepared)) => (
                format!("{:.0}", float(points) / seconds),
                format!("{:.2}", seconds / prepared),
            ),
        };
        let cpus = [cost.cpu, cost.server_cpu, source_cpu].map(|cpu| cpu.as_secs_f64());
        let [own, iotdb, source] = cpus;
        // The Java client's CPU is that of its start and of reading its file, too.
        let bound = match way {
            Way::Java => String::new(),
            _ => format!("{:.2}", cpus.iter().sum::<f64>() / float(processors as u64)),
        };
        _ = writeln!(
            out,
            "| {} | {rate} | {seconds:.2} | {times} | {own:.2} | {iotdb:.2} | {source:.2} | {bound} | {} |",
            way.name(),
            cost.rss_bytes / 1_000_000,
        );
    }
    let met = |is_met: bool| if is_met { "met" } else { "**missed**" };
    let [copy, sink, prepared, java, dump] =
        [Way::Copy, Way::Sink, Way::Prepared, Way::Java, Way::Dump].map(wall);
    _ = writeln!(out, "\n| goal | bound | measured | |\n|---|--:|--:|---|");
    if let (Some(sink), Some(prepared)) = (sink, prepared) {
        let rate = prepared / sink;
        _ = writeln!(
            out,
            "| the sink's rate, of that of the prepared calls | at least {RATE} | {rate:.2} | {} |",
            met(rate >= RATE),
        );
    }
    if let (Some(sink), Some(java)) = (sink, java) {
        let rate = java / sink;
        _ = writeln!(
            out,
            "| the sink's rate, of that of the Java client's tablets | at least {RATE} | {rate:.2} | {} |",
            met(rate >= RATE),
        );
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
