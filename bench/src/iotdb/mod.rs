//! `cargo xtask bench iotdb`: a table into Apache IoTDB, by the whole engine and by the sink alone, beside the stock dump of it, a
//! writer that sends the very same calls, prepared beforehand, over as many connections, and the Java client's own tablets.

pub(crate) mod memory;
mod table;
pub(crate) mod wire;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use headwater_iotdb::config::{Address, IotdbOptions};
use headwater_servers::iotdb::{self, Iotdb as Server, IotdbOptions as ServerOptions};
use headwater_servers::{Error, Instance, Result};

use crate::measure::{self, Cost, cpu_of};
use crate::processors::{self, Apart};
use crate::subject::{Scene, said};
use crate::{Common, stage};
use table::Results;

/// Measures rows of MySQL on their way into Apache IoTDB.
#[derive(Debug, clap::Args)]
pub(crate) struct Iotdb {
    /// Rows in the table.
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u64).range(1_000..10_000_000))]
    rows: u64,
    /// Turns; the medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Connections that write.
    #[arg(long, default_value_t = 4)]
    writers: u16,
    /// One setting only.
    #[arg(long)]
    only: Option<Setting>,
    /// Before anything is measured, show the commands and keep the servers until a line is read from standard input: to profile
    /// on them.
    #[arg(long)]
    hold: bool,
    #[command(flatten)]
    common: Common,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Copy,
    Start,
    Sink,
    Prepared,
    Java,
    Dump,
}

/// Who has which processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    /// All processes have all processors.
    Shared,
    /// IoTDB has one processor, and who writes to it another: as if it had a machine of its own.
    Apart,
}

impl Setting {
    const ALL: [Self; 2] = [Self::Shared, Self::Apart];

    /// Who takes turns.
    const fn ways(self) -> &'static [Way] {
        match self {
            Self::Shared => &WAYS,
            // The source would have no processor of its own.
            Self::Apart => &[Way::Sink, Way::Prepared, Way::Java],
        }
    }
}

const WAYS: [Way; 6] = [
    Way::Copy,
    Way::Start,
    Way::Sink,
    Way::Prepared,
    Way::Java,
    Way::Dump,
];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Copy => "Headwater, from MySQL to IoTDB",
            Self::Start => "the same of a table of one row: its start and end",
            Self::Sink => "Headwater's sink, rows in memory",
            Self::Prepared => "the same calls, prepared beforehand",
            Self::Java => "the Java client's tablets, rows in memory",
            Self::Dump => "the stock dump to a file",
        }
    }
}

/// What a run has cost, with the CPU of the source beside that of IoTDB.
#[derive(Debug, Clone, Copy)]
struct Spent {
    cost: Cost,
    source_cpu: Duration,
}

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
    let head = stage::medians(wanted.runs);
    stage::on_each(&wanted.common, &head, |&scene, text| {
        let (server, work) = (scene.server, scene.outputs.folder().to_owned());
        let rows = wanted.rows.to_string();
        server.sql(&include_str!("../../sql/reading.sql").replace("{rows}", &rows))?;
        export(server, wanted.rows, &work.join("readings"))?;
        let bench = Bench {
            scene,
            wanted,
            iotdb: Server::start(&ServerOptions {
                heap_mb: Some(4_096),
                ..ServerOptions::default()
            })?,
            java: java(&work)?,
            work,
            runtime: tokio::runtime::Runtime::new().map_err(failed)?,
        };
        bench.measure(text)
    })
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
    command.args(["-Xmx3g", "-cp", &format!("{}:{jars}", classes.display())]);
    command.arg("IotdbBench");
    Ok(command)
}

impl Bench<'_> {
    fn measure(&self, text: &mut String) -> Result<bool> {
        self.record()?;
        if self.wanted.hold {
            self.hold()?;
        }
        let flavor = self.scene.server.flavor();
        let mut all_ran = true;
        for setting in Setting::ALL {
            if self.wanted.only.is_some_and(|only| only != setting) {
                continue;
            }
            if setting == Setting::Apart
                && let Some(why) = processors::why_not()
            {
                _ = writeln!(text, "\nWith processors of their own: left out, for {why}.");
                continue;
            }
            let results = self.turns(setting)?;
            table::write(text, flavor, self.wanted, setting, &results);
            all_ran &= results.all_ran();
        }
        Ok(all_ran)
    }

    fn turns(&self, setting: Setting) -> Result<Results> {
        let server = self.iotdb.pid().unwrap_or(0);
        let _apart = match setting {
            Setting::Shared => None,
            Setting::Apart => Some(Apart::set(server)?),
        };
        let name = self.scene.server.flavor().name();
        let mut results = Results::new(setting.ways());
        for run in 1..=self.wanted.runs {
            for (way, spents) in results.each() {
                let Ok(so_far) = spents else { continue };
                match self.once(way) {
                    Ok(spent) => {
                        let (wall, cpu) = (spent.cost.wall, spent.cost.cpu);
                        let (iotdb, way) = (spent.cost.server_cpu, way.name());
                        eprintln!(
                            "{name}, {setting:?}, run {run}: {way}: {wall:.2?}, {cpu:.2?} CPU, {iotdb:.2?} of IoTDB"
                        );
                        so_far.push(spent);
                    }
                    Err(error) => {
                        eprintln!("FAILED: {error}");
                        *spents = Err(error.to_string());
                    }
                }
            }
        }
        Ok(results)
    }

    /// The sink's calls, written down as they pass.
    fn record(&self) -> Result<()> {
        let recordings = self.recordings();
        fs::create_dir_all(&recordings).map_err(failed)?;
        let address = wire::record(&self.iotdb.address(), &recordings)?;
        self.empty()?;
        measure::run(self.sink(&address)?, self.scene.outputs, 0)?;
        self.check(self.wanted.rows)
    }

    fn recordings(&self) -> PathBuf {
        self.work.join("recordings")
    }

    /// Shows the commands, and waits.
    fn hold(&self) -> Result<()> {
        self.empty()?;
        for way in WAYS {
            if let Some(command) = self.command(way)? {
                eprintln!("{}:\n  {command:?}", way.name());
            }
        }
        eprintln!("the servers stay until a line comes in");
        // An end of the input is a line, too.
        let _ = std::io::stdin().lock().lines().next();
        Ok(())
    }

    /// `headwater backfill` of a table.
    fn copy(&self, table: &str) -> Result<Command> {
        let address = self.iotdb.address();
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| failed("no address"))?;
        let file = self.work.join(format!("{table}.yaml"));
        let text = format!(
            "connections:\n  mysql: {{host: 127.0.0.1, port: {}, user: root, database: bench, tls: {{mode: disabled}}}}\n  \
             iotdb: {{host: {host}, port: {port}}}\n\
             iotdb:\n  writers: {}\n  mappings:\n    - {{table: {table}, device_template: 'root.bench.pump_${{device}}', timestamp_field: taken_at}}\n",
            self.scene.server.port(),
            self.wanted.writers,
        );
        fs::write(&file, text).map_err(failed)?;
        let mut command = Command::new(self.scene.headwater);
        command.args(["backfill", "--log-format", "json", "--config"]);
        command.arg(file);
        Ok(command)
    }

    /// The sink alone, into the IoTDB at an address.
    fn sink(&self, address: &str) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        let url = self.scene.server.url("root", "", "bench");
        command.args(["rows", "--source", &format!("{url}?ssl-mode=disabled")]);
        command.args(["--address", address, "--writers"]);
        command.arg(self.wanted.writers.to_string());
        let server = self.iotdb.pid().unwrap_or(0);
        command.args(["--server", &server.to_string()]);
        Ok(command)
    }

    /// What runs; the dump is a subject of its own.
    fn command(&self, way: Way) -> Result<Option<Command>> {
        let address = self.iotdb.address();
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| failed("no address"))?;
        Ok(Some(match way {
            Way::Copy => self.copy("reading")?,
            Way::Start => self.copy("one_reading")?,
            Way::Sink => self.sink(&address)?,
            Way::Prepared => {
                let mut command = Command::new(std::env::current_exe().map_err(failed)?);
                command.args(["tablets", "--address", &address, "--recordings"]);
                command.arg(self.recordings());
                command.args(["--server", &self.iotdb.pid().unwrap_or(0).to_string()]);
                command
            }
            Way::Java => {
                let mut command = Command::new(self.java.get_program());
                command.args(self.java.get_args()).args([host, port]);
                command.arg(self.work.join("readings"));
                command.arg(self.wanted.writers.to_string());
                command
            }
            Way::Dump => return Ok(None),
        }))
    }

    fn once(&self, way: Way) -> Result<Spent> {
        let source = self.scene.server.pid().unwrap_or(0);
        let Some(command) = self.command(way)? else {
            let dump = self.scene.dump("reading", self.wanted.rows);
            let dump = dump.ok_or_else(|| failed("there is no dump program"))?;
            let before = cpu_of(source);
            let cost = measure::run(dump.command(), self.scene.outputs, 0)?;
            dump.check(self.scene.outputs)?;
            return Ok(Spent {
                cost,
                source_cpu: cpu_of(source).saturating_sub(before),
            });
        };
        self.empty()?;
        let before = cpu_of(source);
        let server = self.iotdb.pid().unwrap_or(0);
        let mut cost = measure::run(command, self.scene.outputs, server)?;
        let mut source_cpu = cpu_of(source).saturating_sub(before);
        let expected = match way {
            Way::Start => 1,
            _ => self.wanted.rows,
        };
        match way {
            Way::Copy | Way::Start => {
                let rows = said(self.scene.outputs, "rows")?;
                if rows != expected {
                    return Err(failed(format!("it says that it has read {rows} rows")));
                }
            }
            // Starting, and reading rows or calls into memory, are not what is compared.
            Way::Sink | Way::Prepared => {
                cost.wall = self.printed("wrote_ms")?;
                cost.cpu = self.printed("cpu_ms")?;
                cost.server_cpu = self.printed("iotdb_cpu_ms")?;
                source_cpu = Duration::ZERO;
            }
            Way::Java => cost.wall = self.printed("wrote_ms")?,
            Way::Dump => {}
        }
        self.check(expected)?;
        Ok(Spent { cost, source_cpu })
    }

    /// A time that a subject has printed.
    fn printed(&self, name: &str) -> Result<Duration> {
        let printed = fs::read_to_string(self.scene.outputs.stdout()).map_err(failed)?;
        let mut lines = printed.lines().filter_map(|line| line.split_once('='));
        let (_, ms) = (lines.find(|(known, _)| *known == name))
            .ok_or_else(|| failed(format!("it does not say {name}")))?;
        Ok(Duration::from_millis(ms.parse().map_err(failed)?))
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
    fn check(&self, expected: u64) -> Result<()> {
        let rows = self.ask("SELECT count(total) FROM root.bench.** ALIGN BY DEVICE")?;
        let count = |values: &Vec<headwater_iotdb::Value>| match values.last() {
            Some(headwater_iotdb::Value::Int64(count)) => u64::try_from(*count).unwrap_or(0),
            _ => 0,
        };
        let there: u64 = rows.values.iter().map(count).sum();
        if there == expected {
            return Ok(());
        }
        Err(failed(format!("{there} rows are in IoTDB, not {expected}")))
    }
}
