//! `cargo xtask bench fold`: rows and changes folded into the embedded store, beside the same rows and changes decoded and dropped,
//! and beside puts of the same size into the same kind of file, in batches: the limit of the store.

mod plot;
pub(crate) mod puts;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use headwater_servers::{Error, Instance, Result};

use crate::measure::{self, Cost};
use crate::report::float;
use crate::subject::{Scene, said};
use crate::{Common, stage};

/// Values of the columns that are folded by.
const KEYS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Keys of which each is hot.
const HOT: u64 = 1_000;
/// As many as one put costs is measured with.
const MANY: u64 = 1_000_000;

/// The bound that the issue sets: wall time of folding, in that of decoding alone.
const FOLD_IN_DECODING: f64 = 1.2;

/// Measures folds.
#[derive(Debug, clap::Args)]
pub(crate) struct Fold {
    /// Rows of the table.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1_000..10_000_000))]
    rows: u64,
    /// Changes in the log.
    #[arg(long, default_value_t = 1_500_000, value_parser = clap::value_parser!(u64).range(300..))]
    changes: u64,
    /// Turns; the medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// A file for the plot of cost and memory against keys.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// What reads the rows, or the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Decoded and dropped.
    Decode,
    /// Folded by a column of so many values.
    Fold(u64),
    /// So many puts.
    Puts(u64),
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Decode => "decoded and dropped".to_owned(),
            Self::Fold(keys) => format!("folded, {keys} keys"),
            Self::Puts(keys) => format!("{keys} puts of the same size, in batches"),
        }
    }
}

/// Medians of a part, in the order of its ways.
type Medians = Vec<(Way, Cost)>;

/// Measures.
pub(crate) fn run(wanted: &Fold) -> Result<bool> {
    let head = stage::medians(wanted.runs);
    let mut plotted = Vec::new();
    let done = stage::on_each(&wanted.common, &head, |scene, text| {
        let flavor = scene.server.flavor().name();
        eprintln!("{flavor}: loading {} rows", wanted.rows);
        load(scene.server, wanted.rows)?;
        let bootstrap = bootstraps(scene, wanted)?;
        table(
            text,
            &format!("{flavor}, {} rows there", wanted.rows),
            wanted.rows,
            &bootstrap,
        );
        let live = changes(scene, wanted)?;
        table(
            text,
            &format!("{flavor}, {} changes", wanted.changes / 300 * 300),
            wanted.changes,
            &live,
        );
        goals(text, &bootstrap, &live);
        plotted.push((flavor.to_owned(), bootstrap));
        Ok(true)
    })?;
    if let Some(path) = &wanted.plot {
        let points = plotted
            .iter()
            .map(|(name, medians)| plot::Line::new(name, medians));
        fs::write(path, plot::draw(&points.collect::<Vec<_>>()))
            .map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(done)
}

fn load(server: &Instance, rows: u64) -> Result<()> {
    let sql = include_str!("../../sql/folded.sql").replace("{rows}", &rows.to_string());
    server.sql(&sql)?;
    let there = server.sql("select count(*) from bench.folded")?;
    if there.trim() == rows.to_string() {
        return Ok(());
    }
    Err(Error::new(format!(
        "bench.folded has {} rows, not {rows}",
        there.trim()
    )))
}

/// The configuration of a fold, and its store.
fn configured(scene: &Scene<'_>, keys: u64) -> Result<(PathBuf, PathBuf)> {
    let folder = scene.outputs.folder();
    let (file, store) = (
        folder.join(format!("fold-{keys}.yaml")),
        folder.join(format!("fold-{keys}.redb")),
    );
    let text = format!(
        "connections:\n  mysql: {{host: 127.0.0.1, port: {}, user: root, password: '', database: bench, tls: {{mode: disabled}}}}\n\
         mysql:\n  tables: [{{name: folded}}]\n\
         folds:\n  store: {}\n  pipelines:\n    - {{name: sums, table: folded, key: k{keys}, value: amount, monoid: sum}}\n",
        scene.server.port(),
        store.display()
    );
    fs::write(&file, text)
        .map_err(|error| Error::new(format!("cannot write {}: {error}", file.display())))?;
    Ok((file, store))
}

fn remove(path: &Path) {
    // It may not be there yet.
    let _ = fs::remove_file(path);
}

fn bootstraps(scene: &Scene<'_>, wanted: &Fold) -> Result<Medians> {
    let mut ways = vec![Way::Decode];
    ways.extend(KEYS.map(Way::Fold));
    ways.push(Way::Puts(MANY));
    in_turns(scene, wanted.runs, &ways, |way| {
        let mut command = Command::new(scene.headwater);
        match way {
            Way::Decode => {
                command.args([
                    "backfill",
                    &scene.url("bench"),
                    "bench.folded",
                    "--sink",
                    "null",
                ]);
            }
            Way::Fold(keys) => {
                let (file, store) = configured(scene, keys)?;
                remove(&store);
                command.arg("backfill").arg("--config").arg(file);
            }
            Way::Puts(keys) => return puts(scene, keys),
        }
        command.args(["--log-format", "json"]);
        let cost = measure::run(command, scene.outputs, pid(scene)?)?;
        same(scene, "rows", wanted.rows)?;
        Ok(cost)
    })
}

fn changes(scene: &Scene<'_>, wanted: &Fold) -> Result<Medians> {
    let ways = [Way::Decode, Way::Fold(HOT), Way::Fold(MANY)];
    let token = scene.token(&["bench.folded"])?;
    // Stores as a bootstrap leaves them, before anything changes.
    for way in ways {
        let Way::Fold(keys) = way else { continue };
        let (file, store) = configured(scene, keys)?;
        remove(&store);
        let mut command = Command::new(scene.headwater);
        command.arg("backfill").arg("--config").arg(file);
        measure::run(command, scene.outputs, pid(scene)?)?;
        copy(&store, &begun(&store))?;
    }
    let rounds = wanted.changes / 300;
    eprintln!(
        "{}: writing {} changes",
        scene.server.flavor().name(),
        rounds * 300
    );
    scene
        .server
        .sql(&format!("call bench.change_folded({rounds})"))?;
    in_turns(scene, wanted.runs, &ways, |way| {
        let mut command = Command::new(scene.headwater);
        match way {
            Way::Fold(keys) => {
                let (file, store) = configured(scene, keys)?;
                copy(&begun(&store), &store)?;
                command.arg("cdc").arg("--config").arg(file);
            }
            _ => {
                command.args([
                    "cdc",
                    &scene.url(""),
                    "bench.folded",
                    "--from",
                    &token,
                    "--sink",
                    "null",
                ]);
            }
        }
        command.args(["--until", "now", "--log-format", "json"]);
        let cost = measure::run(command, scene.outputs, pid(scene)?)?;
        same(scene, "changes", rounds * 300)?;
        Ok(cost)
    })
}

/// A store as it was before the changes.
fn begun(store: &Path) -> PathBuf {
    store.with_extension("begun")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| Error::new(format!("cannot copy {}: {error}", from.display())))
}

fn puts(scene: &Scene<'_>, keys: u64) -> Result<Cost> {
    let program = std::env::current_exe()
        .map_err(|error| Error::new(format!("cannot find this very program: {error}")))?;
    let file = scene.outputs.folder().join("puts.redb");
    remove(&file);
    let mut command = Command::new(program);
    command
        .args(["puts", "--keys", &keys.to_string(), "--file"])
        .arg(&file);
    measure::run(command, scene.outputs, pid(scene)?)
}

fn pid(scene: &Scene<'_>) -> Result<u32> {
    (scene.server.pid()).ok_or_else(|| Error::new("the server does not run"))
}

fn same(scene: &Scene<'_>, what: &str, expected: u64) -> Result<()> {
    let found = said(scene.outputs, what)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::new(format!(
        "{found} {what} were read, not {expected}"
    )))
}

fn in_turns(
    scene: &Scene<'_>,
    runs: u16,
    ways: &[Way],
    mut measured: impl FnMut(Way) -> Result<Cost>,
) -> Result<Medians> {
    let mut costs = vec![Vec::new(); ways.len()];
    for run in 1..=runs {
        for (way, costs) in ways.iter().zip(&mut costs) {
            let cost = measured(*way)?;
            eprintln!(
                "{}, run {run}: {}: {:.2} s, {:.2} s CPU, {} MB",
                scene.server.flavor().name(),
                way.name(),
                cost.wall.as_secs_f64(),
                cost.cpu.as_secs_f64(),
                cost.rss_bytes / 1_000_000
            );
            costs.push(cost);
        }
    }
    let medians = ways.iter().zip(costs);
    let medians = medians.map(|(way, costs)| Some((*way, Cost::median(&costs)?)));
    medians
        .collect::<Option<_>>()
        .ok_or_else(|| Error::new("no run"))
}

fn cost_of(medians: &Medians, way: Way) -> Option<&Cost> {
    medians
        .iter()
        .find(|(other, _)| *other == way)
        .map(|(_, cost)| cost)
}

fn table(text: &mut String, title: &str, count: u64, medians: &Medians) {
    let decoding = cost_of(medians, Way::Decode).map_or(0.0, |cost| cost.wall.as_secs_f64());
    _ = write!(
        text,
        "\n**{title}**\n\n| | wall s | × decoded | CPU s | CPU µs each | server's CPU s | RSS MB |\n|---|--:|--:|--:|--:|--:|--:|\n"
    );
    for (way, cost) in medians {
        let (wall, cpu) = (cost.wall.as_secs_f64(), cost.cpu.as_secs_f64());
        let each = match way {
            Way::Puts(keys) => *keys,
            _ => count,
        };
        _ = writeln!(
            text,
            "| {} | {wall:.2} | {:.2} | {cpu:.2} | {:.2} | {:.2} | {} |",
            way.name(),
            wall / decoding.max(1e-9),
            cpu * 1e6 / float(each),
            cost.server_cpu.as_secs_f64(),
            cost.rss_bytes / 1_000_000
        );
    }
}

fn goals(text: &mut String, bootstrap: &Medians, live: &Medians) {
    text.push_str("\n| goal | bound | measured | |\n|---|--:|--:|---|\n");
    let mut goal = |what: &str, medians: &Medians, way: Way| {
        let (Some(fold), Some(decode)) = (cost_of(medians, way), cost_of(medians, Way::Decode))
        else {
            return;
        };
        let ratio = fold.wall.as_secs_f64() / decode.wall.as_secs_f64().max(1e-9);
        let verdict = if ratio <= FOLD_IN_DECODING {
            "met"
        } else {
            "**missed**"
        };
        _ = writeln!(
            text,
            "| {what} | {FOLD_IN_DECODING} | {ratio:.2} | {verdict} |"
        );
    };
    goal(
        "rows there, 1,000 keys, × decoded",
        bootstrap,
        Way::Fold(HOT),
    );
    goal(
        "rows there, 1 million keys, × decoded",
        bootstrap,
        Way::Fold(MANY),
    );
    goal("changes, 1,000 keys, × decoded", live, Way::Fold(HOT));
}
