//! `cargo xtask bench iotdb`: a table into Apache IoTDB, beside the stock dump of it, a writer that sends the very same calls,
//! prepared beforehand, over as many connections, and the Java client's own tablets.

pub(crate) mod wire;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use headwater_iotdb::config::{Address, IotdbOptions};
use headwater_servers::iotdb::{self, Iotdb as Server, IotdbOptions as ServerOptions};
use headwater_servers::{Error, Flavor, Instance, Result};

use crate::measure::{self, Cost, Outputs};
use crate::report::{Machine, float};
use crate::subject::{Scene, said};
use crate::{Common, flavors, headwater, workload};

/// Measures rows of MySQL on their way into Apache IoTDB.
#[derive(Debug, clap::Args)]
pub(crate) struct Iotdb {
    /// Rows in the table.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..10_000_000))]
    rows: u64,
    /// Turns; the medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Connections that write.
    #[arg(long, default_value_t = 4)]
    writers: u16,
    #[command(flatten)]
    common: Common,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Headwater,
    Prepared,
    Java,
    Dump,
}

const WAYS: [Way; 4] = [Way::Headwater, Way::Prepared, Way::Java, Way::Dump];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Headwater => "Headwater, from MySQL to IoTDB",
            Self::Prepared => "the same calls, prepared beforehand",
            Self::Java => "the Java client's tablets, rows in memory",
            Self::Dump => "the stock dump to a file",
        }
    }
}

/// The share of the prepared calls' rate that is to be reached.
const RATE: f64 = 0.9;
/// How many times as long as the slower of dump and prepared calls a copy may take.
const TIMES: f64 = 1.2;

struct Bench<'a> {
    scene: Scene<'a>,
    wanted: &'a Iotdb,
    iotdb: Server,
    work: PathBuf,
    java: Command,
    runtime: tokio::runtime::Runtime,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(format!("{error}"))
}

/// Measures, and says whether nothing failed.
pub(crate) fn run(wanted: &Iotdb) -> Result<bool> {
    let machine = Machine::look();
    let program = headwater(wanted.common.headwater.as_deref())?;
    let mut text = format!("{machine}; medians of {} runs, in turns.\n", wanted.runs);
    let mut all_ran = true;
    for flavor in flavors(wanted.common.server) {
        let server = workload::start(flavor)?;
        let work = server.data_folder().with_file_name("outputs");
        let outputs = Outputs::new(work.clone())?;
        let rows = wanted.rows.to_string();
        server.sql(&include_str!("../../sql/reading.sql").replace("{rows}", &rows))?;
        export(&server, wanted.rows, &work.join("readings"))?;
        let bench = Bench {
            scene: Scene {
                server: &server,
                headwater: &program,
                outputs: &outputs,
            },
            wanted,
            iotdb: Server::start(&ServerOptions {
                heap_mb: Some(4_096),
                ..ServerOptions::default()
            })?,
            java: java(&work)?,
            work,
            runtime: tokio::runtime::Runtime::new().map_err(failed)?,
        };
        all_ran &= bench.measure(flavor, &mut text)?;
    }
    print!("{text}");
    wanted.common.write(&text)?;
    Ok(all_ran)
}

/// The rows as text, for the Java client. Some at a time: a process that is measured begins with this one's memory.
fn export(server: &Instance, rows: u64, path: &Path) -> Result<()> {
    let mut file = File::create(path).map_err(failed)?;
    for from in (0..rows).step_by(50_000) {
        let to = from + 50_000;
        let text = server.sql(&format!(
            "select * from bench.reading where id > {from} and id <= {to} order by id"
        ))?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        if !text.ends_with('\n') {
            file.write_all(b"\n").map_err(failed)?;
        }
    }
    file.flush().map_err(failed)
}

/// The Java client with the small class of our own.
fn java(work: &Path) -> Result<Command> {
    let install = iotdb::install()?;
    let (classes, jars) = (
        work.join("classes"),
        format!("{}/*", install.libraries.display()),
    );
    fs::create_dir_all(&classes).map_err(failed)?;
    let source = classes.join("IotdbBench.java");
    fs::write(&source, include_str!("../../peers/IotdbBench.java")).map_err(failed)?;
    let output = Command::new(install.java.with_file_name("javac"))
        .args(["-cp", &jars, "-d"])
        .args([&classes, &source])
        .output()
        .map_err(|error| {
            failed(format!("cannot run javac: {error}"))
                .hint("apt-get install default-jdk-headless")
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!(
            "IotdbBench.java cannot be compiled:\n{said}"
        )));
    }
    let mut command = Command::new(&install.java);
    command.args(["-Xmx2g", "-cp", &format!("{}:{jars}", classes.display())]);
    command.arg("IotdbBench");
    Ok(command)
}

impl Bench<'_> {
    fn measure(&self, flavor: Flavor, text: &mut String) -> Result<bool> {
        self.record()?;
        let mut costs: [std::result::Result<Vec<Cost>, String>; 4] = [const { Ok(Vec::new()) }; 4];
        for run in 1..=self.wanted.runs {
            for (way, costs) in WAYS.iter().zip(&mut costs) {
                let Ok(so_far) = costs else { continue };
                eprintln!("{}, run {run}: {}", flavor.name(), way.name());
                match self.once(*way) {
                    Ok(cost) => so_far.push(cost),
                    Err(error) => {
                        eprintln!("FAILED: {error}");
                        *costs = Err(error.to_string());
                    }
                }
            }
        }
        self.table(text, flavor, &costs);
        Ok(costs.iter().all(std::result::Result::is_ok))
    }

    /// Headwater's calls, written down as they pass.
    fn record(&self) -> Result<()> {
        let recordings = self.recordings();
        fs::create_dir_all(&recordings).map_err(failed)?;
        let address = wire::record(&self.iotdb.address(), &recordings)?;
        self.empty()?;
        measure::run(self.copy(&address)?, self.scene.outputs, 0)?;
        self.check()
    }

    fn recordings(&self) -> PathBuf {
        self.work.join("recordings")
    }

    /// `headwater backfill` into the IoTDB at an address.
    fn copy(&self, address: &str) -> Result<Command> {
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| failed("no address"))?;
        let file = self.work.join("bench.yaml");
        let text = format!(
            "connections:\n  mysql: {{host: 127.0.0.1, port: {}, user: root, database: bench, tls: {{mode: disabled}}}}\n  \
             iotdb: {{host: {host}, port: {port}}}\n\
             iotdb:\n  writers: {}\n  mappings:\n    - {{table: reading, device_template: 'root.bench.pump_${{device}}', timestamp_field: taken_at}}\n",
            self.scene.server.port(),
            self.wanted.writers,
        );
        fs::write(&file, text).map_err(failed)?;
        let mut command = Command::new(self.scene.headwater);
        command.args(["backfill", "--log-format", "json", "--config"]);
        command.arg(file);
        Ok(command)
    }

    fn once(&self, way: Way) -> Result<Cost> {
        let address = self.iotdb.address();
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| failed("no address"))?;
        let command = match way {
            Way::Dump => {
                let dump = self.scene.dump("reading", self.wanted.rows);
                let dump = dump.ok_or_else(|| failed("there is no dump program"))?;
                let server = self.scene.server.pid().unwrap_or(0);
                let cost = measure::run(dump.command(), self.scene.outputs, server)?;
                dump.check(self.scene.outputs)?;
                return Ok(cost);
            }
            Way::Headwater => self.copy(&address)?,
            Way::Prepared => {
                let mut command = Command::new(std::env::current_exe().map_err(failed)?);
                command.args(["tablets", "--address", &address, "--recordings"]);
                command.arg(self.recordings());
                command
            }
            Way::Java => {
                let mut command = Command::new(self.java.get_program());
                command.args(self.java.get_args()).args([host, port]);
                command.arg(self.work.join("readings"));
                command.arg(self.wanted.writers.to_string());
                command
            }
        };
        self.empty()?;
        let server = self.iotdb.pid().unwrap_or(0);
        let mut cost = measure::run(command, self.scene.outputs, server)?;
        match way {
            Way::Headwater => {
                let rows = said(self.scene.outputs, "rows")?;
                if rows != self.wanted.rows {
                    return Err(failed(format!("it says that it has read {rows} rows")));
                }
            }
            // Starting and reading its rows are not what is compared.
            Way::Java => {
                let printed = fs::read_to_string(self.scene.outputs.stdout()).map_err(failed)?;
                let wrote = (printed.lines()).find_map(|line| line.strip_prefix("wrote_ms="));
                let wrote = wrote.ok_or_else(|| failed("it does not say how long it took"))?;
                cost.wall = Duration::from_millis(wrote.parse().map_err(failed)?);
            }
            Way::Prepared | Way::Dump => {}
        }
        self.check()?;
        Ok(cost)
    }

    fn ask(&self, statement: &str) -> Result<headwater_iotdb::Rows> {
        let address = self.iotdb.address();
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| failed("no address"))?;
        let address = Address {
            host: host.to_owned(),
            port: port.parse().map_err(failed)?,
        };
        let options = IotdbOptions::new(vec![address], Vec::new());
        let rows = headwater_iotdb::query(&options, statement);
        self.runtime.block_on(rows).map_err(failed)
    }

    /// Takes away what the one before has written.
    fn empty(&self) -> Result<()> {
        // There is none before the first.
        let _ = self.ask("DELETE DATABASE root.bench");
        self.ask("CREATE DATABASE root.bench").map(drop)
    }

    /// Whether all rows are there.
    fn check(&self) -> Result<()> {
        let rows = self.ask("SELECT count(total) FROM root.bench.** ALIGN BY DEVICE")?;
        let count = |values: &Vec<headwater_iotdb::Value>| match values.last() {
            Some(headwater_iotdb::Value::Int64(count)) => u64::try_from(*count).unwrap_or(0),
            _ => 0,
        };
        let there: u64 = rows.values.iter().map(count).sum();
        if there == self.wanted.rows {
            return Ok(());
        }
        Err(failed(format!(
            "{there} rows are in IoTDB, not {}",
            self.wanted.rows
        )))
    }

    fn table(
        &self,
        out: &mut String,
        flavor: Flavor,
        costs: &[std::result::Result<Vec<Cost>, String>; 4],
    ) {
        let rows = self.wanted.rows;
        // id, flow, kind and total are never null; one pressure in fifty is, and nine notes in ten.
        let points = rows * 4 + rows - rows / 50 + rows / 10;
        _ = writeln!(
            out,
            "\n**{}, {rows} rows of 100 devices, {points} points, {} connections**\n\n\
             | | points/s | wall s | × prepared | CPU s | server's CPU s | RSS MB |\n|---|--:|--:|--:|--:|--:|--:|",
            flavor.name(),
            self.wanted.writers,
        );
        let middle = |at: usize| {
            costs
                .get(at)?
                .as_ref()
                .ok()
                .and_then(|all| Cost::median(all))
        };
        let walls = [0, 1, 2, 3].map(|at| middle(at).map(|cost| cost.wall.as_secs_f64()));
        let [own, prepared, _, dump] = walls;
        for (at, way) in WAYS.iter().enumerate() {
            let Some(cost) = middle(at) else {
                _ = writeln!(out, "| {} | **failed** | | | | | |", way.name());
                continue;
            };
            let wall = cost.wall.as_secs_f64();
            let times = prepared.map_or(0.0, |prepared| wall / prepared);
            _ = writeln!(
                out,
                "| {} | {:.0} | {wall:.2} | {times:.2} | {:.2} | {:.2} | {} |",
                way.name(),
                float(points) / wall,
                cost.cpu.as_secs_f64(),
                cost.server_cpu.as_secs_f64(),
                cost.rss_bytes / 1_000_000,
            );
        }
        if let (Some(own), Some(prepared), Some(dump)) = (own, prepared, dump) {
            let met = |is_met: bool| if is_met { "met" } else { "**missed**" };
            let (rate, times) = (prepared / own, own / prepared.max(dump));
            _ = writeln!(
                out,
                "\n| goal | bound | measured | |\n|---|--:|--:|---|\n\
                 | rate, of that of the prepared calls | at least {RATE} | {rate:.2} | {} |\n\
                 | wall, × the slower of dump and prepared calls | {TIMES} | {times:.2} | {} |",
                met(rate >= RATE),
                met(times <= TIMES),
            );
        }
    }
}
