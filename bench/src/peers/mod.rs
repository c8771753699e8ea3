//! `cargo xtask bench peers`: Maxwell, Debezium's embedded engine and Headwater on the same rows and the same log, each a
//! process of its own that writes JSON to a file. What each has written is counted: who skips work fails.

mod java;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use headwater_servers::{Error, Instance, Result};
use java::Peer;

use crate::count::{self, Events};
use crate::measure::{self, Cost};
use crate::side::Side;
use crate::subject::{Scene, said};
use crate::workload::{self, Place};
use crate::{Common, stage};

/// How many times less CPU Headwater is to take.
const GOAL: f64 = 10.0;
/// How long a peer may take: a million changes take half a minute.
const LIMIT: Duration = Duration::from_secs(3_600);
/// The server's account for the peers: Debezium's harness has the name in it.
const USER: &str = "maxwell";

/// Compares Headwater with Maxwell and Debezium.
#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// Rows in the table, and changes in the log.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(300..))]
    rows: u64,
    /// Turns; the medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Snapshot,
    Log,
}

/// Who is measured.
#[derive(Debug)]
enum Who {
    Headwater,
    Maxwell(Peer),
    Debezium(Peer),
}

impl Who {
    fn name(&self) -> &'static str {
        match self {
            Self::Headwater => "Headwater",
            Self::Maxwell(peer) | Self::Debezium(peer) => peer.name,
        }
    }
}

/// Where a log begins, in the words of each.
struct Beginning {
    place: Place,
    gtids: String,
    token: String,
}

struct Bench<'a> {
    scene: Scene<'a>,
    work: PathBuf,
    rows: u64,
    changes: u64,
}

/// Measures, and says whether nothing failed.
pub(crate) fn run(wanted: &Peers) -> Result<bool> {
    let head = stage::medians(wanted.runs);
    stage::on_each(&wanted.common, &head, |&scene, text| {
        workload::load(scene.server, wanted.rows)?;
        scene.server.sql(&format!(
            "create user {USER}@'%' identified by '{USER}'; grant all on *.* to {USER}@'%'"
        ))?;
        let mut bench = Bench {
            scene,
            work: scene.outputs.folder().to_owned(),
            rows: wanted.rows,
            changes: 0,
        };
        bench.measure(wanted.runs, text)
    })
}

impl Bench<'_> {
    fn measure(&mut self, runs: u16, text: &mut String) -> Result<bool> {
        let flavor = self.scene.server.flavor();
        let mut all = vec![Who::Headwater];
        if flavor.is_mariadb() {
            all.push(Who::Maxwell(Peer::maxwell(&self.work)?));
        } else {
            eprintln!(
                "MySQL 9.7: the Maxwell that is to be had cannot read from it (no SHOW MASTER STATUS)"
            );
        }
        all.push(Who::Debezium(Peer::debezium(flavor, &self.work)?));
        let mut all_ran = self.part(Part::Snapshot, None, &all, runs, text)?;
        workload::prepare_log(self.scene.server, self.rows)?;
        let beginning = Beginning {
            token: self.scene.token(&["bench.orders"])?,
            place: workload::end_of_log(self.scene.server)?,
            gtids: gtids(self.scene.server)?,
        };
        eprintln!("{}: writing the log", flavor.name());
        self.changes = workload::write_log(self.scene.server, self.rows)?.changes;
        all_ran &= self.part(Part::Log, Some(&beginning), &all, runs, text)?;
        Ok(all_ran)
    }

    fn part(
        &self,
        part: Part,
        beginning: Option<&Beginning>,
        all: &[Who],
        runs: u16,
        text: &mut String,
    ) -> Result<bool> {
        let mut costs: Vec<std::result::Result<Vec<Cost>, String>> =
            vec![Ok(Vec::new()); all.len()];
        for run in 1..=runs {
            for (who, costs) in all.iter().zip(&mut costs) {
                let Ok(so_far) = costs else { continue };
                eprintln!(
                    "{}, {part:?}, run {run}: {}",
                    self.scene.server.flavor().name(),
                    who.name()
                );
                let done = self.once(who, beginning);
                self.scene.outputs.clear();
                match done {
                    Ok(cost) => so_far.push(cost),
                    Err(error) => {
                        eprintln!("FAILED: {error}");
                        *costs = Err(error.to_string());
                    }
                }
            }
        }
        self.table(part, all, &costs, text);
        Ok(costs.iter().all(std::result::Result::is_ok))
    }

    /// One turn of one of them, with what it wrote counted.
    fn once(&self, who: &Who, beginning: Option<&Beginning>) -> Result<Cost> {
        let outputs = self.scene.outputs;
        let (cost, found) = match who {
            Who::Headwater => {
                let server = self.scene.server.pid();
                let cost = measure::run(self.headwater(beginning), outputs, server.unwrap_or(0))?;
                let what = if beginning.is_none() {
                    "rows"
                } else {
                    "changes"
                };
                said(outputs, what)?;
                (cost, count::events(&outputs.events())?)
            }
            Who::Maxwell(peer) => (
                self.maxwell(peer, beginning)?,
                count::events(&outputs.stdout())?,
            ),
            Who::Debezium(peer) => {
                let side = Side::start(
                    self.debezium(peer, beginning),
                    &outputs.stdout(),
                    &outputs.stderr(),
                )?;
                let said = || Ok(fs::read_to_string(outputs.stderr()).unwrap_or_default());
                side.until("everything came", LIMIT, || {
                    Ok(said()?.contains("BENCH events="))
                })?;
                (side.stop()?, count::envelopes(&outputs.events())?)
            }
        };
        let third = self.changes / 3;
        let wanted = match beginning {
            None => Events {
                bootstraps: self.rows,
                ..Events::default()
            },
            Some(_) => Events {
                inserts: third,
                updates: third,
                deletes: third,
                ..Events::default()
            },
        };
        // Maxwell marks a bootstrap's beginning and end, and its logging has a last word on standard output.
        let besides = match (who, beginning) {
            (Who::Maxwell(_), None) => 3,
            (Who::Maxwell(_), Some(_)) => 1,
            _ => 0,
        };
        let others = found.others.saturating_sub(besides);
        let found = Events { others, ..found };
        if found == wanted {
            return Ok(cost);
        }
        Err(Error::new(format!(
            "it wrote {found:?}, and not {wanted:?}"
        )))
    }

    fn headwater(&self, beginning: Option<&Beginning>) -> Command {
        let mut command = Command::new(self.scene.headwater);
        let url = self.scene.url("bench");
        match beginning {
            None => command.args(["backfill", &url, "bench.orders"]),
            Some(beginning) => {
                let from = ["--from", &beginning.token, "--until", "now"];
                command.args(["cdc", &url, "bench.orders"]).args(from)
            }
        };
        let file = format!("file:{}", self.scene.outputs.events().display());
        command.args(["--sink", &file, "--log-format", "json"]);
        command
    }

    fn debezium(&self, peer: &Peer, beginning: Option<&Beginning>) -> Command {
        let offsets = self.work.join("offsets");
        // Of a run before.
        for path in [offsets.clone(), offsets.with_extension("history")] {
            let _ = fs::remove_file(path);
        }
        let mut command = peer.command("EmbeddedBench");
        let kind = if self.scene.server.flavor().is_mariadb() {
            "mariadb"
        } else {
            "mysql"
        };
        let port = self.scene.server.port().to_string();
        let (mode, count) = match beginning {
            None => ("snapshot", self.rows),
            Some(_) => ("live", self.changes),
        };
        command.args([kind, &port, mode, &count.to_string()]);
        command.args([self.scene.outputs.events(), offsets]);
        if let Some(Beginning { place, gtids, .. }) = beginning {
            command.args([&place.file, &place.offset.to_string(), gtids]);
        }
        command
    }

    /// Maxwell never ends by itself: it is ended when everything is out.
    fn maxwell(&self, peer: &Peer, beginning: Option<&Beginning>) -> Result<Cost> {
        let server = self.scene.server;
        // What it keeps on the server of a run before.
        server.sql("set sql_log_bin=0; drop database if exists maxwell")?;
        let mut command = peer.command("com.zendesk.maxwell.Maxwell");
        let port = server.port().to_string();
        command.args([
            "--host=127.0.0.1",
            "--producer=stdout",
            "--ssl=DISABLED",
            "--log_level=error",
        ]);
        command.args(["--port", &port, "--user", USER, "--password", USER]);
        command.arg("--filter=exclude: *.*, include: bench.orders");
        if let Some(Beginning { place, .. }) = beginning {
            command.arg(format!("--init_position={}:{}:0", place.file, place.offset));
        }
        let outputs = self.scene.outputs;
        let side = Side::start(command, &outputs.stdout(), &outputs.stderr())?;
        let mut tail = Tail::default();
        if beginning.is_none() {
            let ready = "select count(*) from maxwell.positions";
            let limit = Duration::from_secs(120);
            side.until("it streams", limit, || {
                Ok(server.sql(ready).is_ok_and(|count| count.trim() != "0"))
            })?;
            let ask = "insert into maxwell.bootstrap (database_name, table_name) values ('bench', 'orders')";
            server.sql(ask)?;
        }
        // With the marks of its beginning and its end.
        let lines = if beginning.is_none() {
            self.rows + 2
        } else {
            self.changes
        };
        side.until("everything came", LIMIT, || {
            Ok(tail.lines(&outputs.stdout())? >= lines)
        })?;
        side.stop()
    }

    fn table(
        &self,
        part: Part,
        all: &[Who],
        costs: &[std::result::Result<Vec<Cost>, String>],
        out: &mut String,
    ) {
        let (flavor, count) = (
            self.scene.server.flavor(),
            match part {
                Part::Snapshot => self.rows,
                Part::Log => self.changes,
            },
        );
        let title = if part == Part::Snapshot {
            "rows of a table"
        } else {
            "changes of the log"
        };
        _ = writeln!(
            out,
            "\n**{}, {count} {title}**\n\n| | events | wall s | CPU s | CPU µs/event | × Headwater's CPU | RSS MB | |\n\
             |---|--:|--:|--:|--:|--:|--:|---|",
            flavor.name()
        );
        let middle = |costs: &std::result::Result<Vec<Cost>, String>| {
            costs.as_ref().map_or(None, |costs| Cost::median(costs))
        };
        let base = costs.first().and_then(middle);
        for (who, costs) in all.iter().zip(costs) {
            let Some(cost) = middle(costs) else {
                _ = writeln!(out, "| {} | **failed** | | | | | | |", who.name());
                continue;
            };
            let cpu = cost.cpu.as_secs_f64();
            let times = base.map_or(0.0, |base| cpu / base.cpu.as_secs_f64().max(1e-9));
            let verdict = match who {
                Who::Headwater => "",
                _ if times >= GOAL => "goal of 10 met",
                _ => "goal of 10 **missed**",
            };
            _ = writeln!(
                out,
                "| {} | {count} | {:.2} | {cpu:.2} | {:.2} | {times:.1} | {} | {verdict} |",
                who.name(),
                cost.wall.as_secs_f64(),
                cost.cpu.as_secs_f64() * 1e6 / crate::report::float(count),
                cost.rss_bytes / 1_000_000,
            );
        }
    }
}

/// The GTIDs of everything that is in the log, as Debezium's offsets want them.
fn gtids(server: &Instance) -> Result<String> {
    let sql = match server.flavor().is_mariadb() {
        true => "select @@global.gtid_binlog_pos",
        false => "select replace(@@global.gtid_executed, '\\n', '')",
    };
    Ok(server.sql(sql)?.trim().to_owned())
}

/// A file that grows, and how many lines of it have been seen.
#[derive(Debug, Default)]
struct Tail {
    offset: u64,
    lines: u64,
}

impl Tail {
    fn lines(&mut self, path: &std::path::Path) -> Result<u64> {
        let failed = |error| Error::new(format!("cannot read {}: {error}", path.display()));
        let mut file = fs::File::open(path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        let mut block = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut block).map_err(failed)?;
            if count == 0 {
                return Ok(self.lines);
            }
            self.offset += count as u64;
            let new = block.get(..count).unwrap_or_default();
            self.lines += new.iter().filter(|&&byte| byte == b'\n').count() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file_that_grows_are_counted_once() {
        let path = std::env::temp_dir().join(format!("headwater-tail-{}", std::process::id()));
        let mut tail = Tail::default();
        fs::write(&path, "a\nb").unwrap();
        assert_eq!(tail.lines(&path).unwrap(), 1);
        fs::write(&path, "a\nb\nc\n").unwrap();
        assert_eq!(tail.lines(&path).unwrap(), 3);
        fs::remove_file(&path).unwrap();
    }
}
