//! The result as markdown: a table for each part and server, then the goals.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::measure::Cost;
use crate::subject::{Role, Sink};
use crate::turns::PartResult;
use crate::{Bench, Part};

/// The goals, as issue 3 states them.
mod goal {
    /// Wall time of a snapshot to a file, in that of the dump to a file.
    pub(super) const SNAPSHOT_WALL_IN_DUMP: f64 = 0.6;
    pub(super) const SNAPSHOT_CPU_US: f64 = 0.7;
    /// Wall time of the log to a file, in that of the wire.
    pub(super) const LOG_WALL_IN_WIRE: f64 = 3.0;
    pub(super) const LOG_CPU_US: f64 = 1.1;
    /// CPU of a change in a small transaction, in that of one in the other log.
    pub(super) const SMALL_CPU_IN_LOG: f64 = 1.3;
    pub(super) const RSS_MB: f64 = 100.0;
}

/// What it ran on.
#[derive(Debug)]
pub(crate) struct Machine {
    date: String,
    processors: usize,
    model: String,
    memory_gb: u64,
    load: String,
}

impl Machine {
    /// Looks at the machine, before anything runs.
    pub(crate) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line
                .and_then(|line| line.split_once(':'))
                .map_or("", |(_, value)| value);
            value.trim().to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let memory_kb: u64 = memory
            .split(' ')
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(0);
        let date = Command::new("date")
            .args(["-u", "+%Y-%m-%d %H:%M UTC"])
            .output();
        let date = date.map(|output| output.stdout).unwrap_or_default();
        Self {
            date: String::from_utf8_lossy(&date).trim().to_owned(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            model: field(&read("/proc/cpuinfo"), "model name"),
            memory_gb: memory_kb >> 20,
            load: read("/proc/loadavg")
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            date,
            processors,
            model,
            memory_gb,
            load,
        } = self;
        write!(
            f,
            "{date}; {processors} processors ({model}), {memory_gb} GiB; load before the start {load}"
        )
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for people; 2^53 rows do not occur"
)]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// The result for people.
pub(crate) fn markdown(machine: &Machine, wanted: &Bench, results: &[PartResult]) -> String {
    let mut out = String::new();
    _ = writeln!(
        out,
        "{machine}; medians of {} runs, in turns. Client and server share the processors.",
        wanted.runs
    );
    for result in results {
        table(&mut out, result);
    }
    goals(&mut out, results);
    out
}

fn wall_of(result: &PartResult, role: Role) -> Option<f64> {
    let mut all = result
        .subjects
        .iter()
        .filter(|subject| subject.role == role);
    let cost = all.find_map(|subject| subject.cost.as_ref().ok())?;
    Some(cost.wall.as_secs_f64())
}

fn ratio(wall: f64, base: Option<f64>) -> String {
    base.map_or_else(|| "–".to_owned(), |base| format!("{:.2}", wall / base))
}

fn table(out: &mut String, result: &PartResult) {
    let has_dump = result.part == Part::Snapshot;
    let unit = if has_dump { "row" } else { "change" };
    _ = writeln!(
        out,
        "\n**{}, {}** ({}), {} {unit}s\n",
        result.flavor.name(),
        result.part.title(),
        result.version,
        result.rows
    );
    let dump_head = if has_dump { " × dump |" } else { "" };
    _ = writeln!(
        out,
        "| | {unit}s/s | wall s | × wire |{dump_head} CPU µs/{unit} | server's CPU µs/{unit} | RSS MB |"
    );
    _ = writeln!(
        out,
        "|---|--:|--:|--:|{}--:|--:|--:|",
        if has_dump { "--:|" } else { "" }
    );
    let (wire, dump) = (wall_of(result, Role::Wire), wall_of(result, Role::Dump));
    for subject in &result.subjects {
        let Ok(cost) = &subject.cost else {
            let columns = if has_dump {
                " | | | | | |"
            } else {
                " | | | | |"
            };
            _ = writeln!(out, "| {} | failed{columns}", subject.name);
            continue;
        };
        let wall = cost.wall.as_secs_f64();
        let dump = if has_dump {
            format!(" {} |", ratio(wall, dump))
        } else {
            String::new()
        };
        _ = writeln!(
            out,
            "| {} | {:.0} | {wall:.2} | {} |{dump} {:.2} | {:.2} | {:.0} |",
            subject.name,
            float(result.rows) / wall,
            ratio(wall, wire),
            cpu_us(cost, result.rows),
            cost.server_cpu.as_secs_f64() * 1e6 / float(result.rows),
            rss_mb(cost),
        );
    }
    for (name, why) in result.failures() {
        _ = writeln!(out, "\n{name} failed: {}", why.replace('\n', "; "));
    }
}

fn cpu_us(cost: &Cost, rows: u64) -> f64 {
    cost.cpu.as_secs_f64() * 1e6 / float(rows)
}

fn rss_mb(cost: &Cost) -> f64 {
    float(cost.rss_bytes) / 1e6
}

/// One goal: its name, what was measured, its bound.
struct Goal {
    name: String,
    measured: Option<f64>,
    bound: f64,
    unit: &'static str,
}

fn goals(out: &mut String, results: &[PartResult]) {
    _ = writeln!(out, "\n| goal | bound | measured | |\n|---|--:|--:|---|");
    for result in results {
        let log = results
            .iter()
            .find(|other| other.flavor == result.flavor && other.part == Part::Log);
        for goal in goals_of(result, log) {
            let (measured, verdict) = match goal.measured {
                Some(measured) if measured <= goal.bound => (format!("{measured:.2}"), "met"),
                Some(measured) => (format!("{measured:.2}"), "**missed**"),
                None => ("–".to_owned(), "not measured"),
            };
            _ = writeln!(
                out,
                "| {}: {} | {} {} | {measured} | {verdict} |",
                result.flavor.name(),
                goal.name,
                goal.bound,
                goal.unit
            );
        }
    }
}

/// The best of a figure among Headwater's runs to a file.
fn best(result: &PartResult, of: impl Fn(&Cost) -> f64) -> Option<f64> {
    let files = result
        .subjects
        .iter()
        .filter(|subject| subject.role == Role::Headwater(Sink::File));
    let costs = files.filter_map(|subject| subject.cost.as_ref().ok());
    costs.map(of).reduce(f64::min)
}

fn goals_of(result: &PartResult, log: Option<&PartResult>) -> Vec<Goal> {
    let wall = best(result, |cost| cost.wall.as_secs_f64());
    let cpu = best(result, |cost| cpu_us(cost, result.rows));
    let title = result.part.title();
    let goal = |name: &str, measured, bound, unit| Goal {
        name: format!("{title}, {name}"),
        measured,
        bound,
        unit,
    };
    let over = |base: Option<f64>| Some(wall? / base?);
    let mut goals = match result.part {
        Part::Snapshot => vec![
            goal(
                "wall to a file",
                over(wall_of(result, Role::Dump)),
                goal::SNAPSHOT_WALL_IN_DUMP,
                "× dump",
            ),
            goal("CPU", cpu, goal::SNAPSHOT_CPU_US, "µs/row"),
        ],
        Part::Log => vec![
            goal(
                "wall to a file",
                over(wall_of(result, Role::Wire)),
                goal::LOG_WALL_IN_WIRE,
                "× wire",
            ),
            goal("CPU", cpu, goal::LOG_CPU_US, "µs/change"),
        ],
        Part::LogSmall => {
            let base = log.and_then(|log| best(log, |cost| cpu_us(cost, log.rows)));
            let measured = cpu.zip(base).map(|(cpu, base)| cpu / base);
            vec![goal("CPU", measured, goal::SMALL_CPU_IN_LOG, "× log")]
        }
    };
    let ours = result
        .subjects
        .iter()
        .filter(|subject| matches!(subject.role, Role::Headwater(_)));
    let most = ours
        .filter_map(|subject| subject.cost.as_ref().ok())
        .map(rss_mb)
        .reduce(f64::max);
    goals.push(goal("memory", most, goal::RSS_MB, "MB"));
    goals
}
