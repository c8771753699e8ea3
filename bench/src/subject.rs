//! What is measured: a command, and how to tell that it did the work.

use std::path::{Path, PathBuf};
use std::process::Command;

use headwater_servers::{Error, Instance, Result};

use crate::count;
use crate::measure::Outputs;
use crate::workload::{Place, Written};

/// What a subject must have done.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// It printed this number.
    Printed(u64),
    /// Its standard output is a dump of so many rows.
    Dump(u64),
    /// It said that it has read so many rows, and wrote as many bootstrap events if it writes.
    Rows { rows: u64, to_file: bool },
    /// It said that it has read so many changes, and wrote a third of them of each type if it writes.
    Changes { changes: u64, to_file: bool },
}

/// Where Headwater's events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    File,
    Null,
}

/// What a subject is compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The limit of the protocol that Headwater uses.
    Wire,
    /// The limit of another protocol.
    OtherWire,
    /// The stock dump.
    Dump,
    /// Headwater.
    Headwater(Sink),
}

/// Something that is measured.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) role: Role,
    program: PathBuf,
    arguments: Vec<std::ffi::OsString>,
    expected: Expected,
}

impl Subject {
    /// The command that does it once.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }

    /// Whether the outputs are what they must be.
    pub(crate) fn check(&self, outputs: &Outputs) -> Result<()> {
        match self.expected {
            Expected::Printed(count) => same("counted", count, printed(&outputs.stdout())?),
            Expected::Dump(rows) => same(
                "rows in the dump",
                rows,
                count::dumped_rows(&outputs.stdout())?,
            ),
            Expected::Rows { rows, to_file } => {
                same("rows by its own count", rows, said(outputs, "rows")?)?;
                if !to_file {
                    return Ok(());
                }
                let events = count::events(&outputs.events())?;
                let only = count::Events {
                    bootstraps: rows,
                    ..count::Events::default()
                };
                same_events(only, events)
            }
            Expected::Changes { changes, to_file } => {
                same(
                    "changes by its own count",
                    changes,
                    said(outputs, "changes")?,
                )?;
                if !to_file {
                    return Ok(());
                }
                let third = changes / 3;
                let thirds = count::Events {
                    inserts: third,
                    updates: third,
                    deletes: third,
                    ..count::Events::default()
                };
                same_events(thirds, count::events(&outputs.events())?)
            }
        }
    }
}

fn same(what: &str, expected: u64, found: u64) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::new(format!(
        "wrong output: {what}: {found}, not {expected}"
    )))
}

fn same_events(expected: count::Events, found: count::Events) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::new(format!(
        "wrong output: {found:?}, not {expected:?}"
    )))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::new(format!("cannot read {}: {error}", path.display())))
}

fn printed(path: &Path) -> Result<u64> {
    let text = read(path)?;
    text.trim()
        .parse()
        .map_err(|_| Error::new(format!("printed `{}`", text.trim())))
}

/// A number in the last of Headwater's messages that has it.
pub(crate) fn said(outputs: &Outputs, what: &str) -> Result<u64> {
    let text = read(&outputs.stderr())?;
    let mark = format!("\"{what}\":");
    let finished = text
        .lines()
        .rev()
        .find(|line| line.contains("\"finished\""));
    let rest = finished
        .and_then(|line| line.split_once(&mark))
        .map_or("", |(_, rest)| rest);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits
        .parse()
        .map_err(|_| Error::new(format!("it does not say how many {what} it has read")))
}

/// What subjects run on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) server: &'a Instance,
    pub(crate) headwater: &'a Path,
    pub(crate) outputs: &'a Outputs,
}

impl Scene<'_> {
    fn wire(&self, what: &str, from: &str, offset: u32, expected: u64) -> Result<Subject> {
        let program = std::env::current_exe()
            .map_err(|error| Error::new(format!("cannot find this very program: {error}")))?;
        let role = if what == "text" {
            Role::OtherWire
        } else {
            Role::Wire
        };
        let (port, offset) = (self.server.port().to_string(), offset.to_string());
        let arguments = [
            "wire", what, "--port", &port, "--from", from, "--offset", &offset,
        ];
        Ok(Subject {
            name: if what == "log" {
                "wire".into()
            } else {
                format!("wire, {what} protocol")
            },
            role,
            program,
            arguments: arguments.map(Into::into).to_vec(),
            expected: Expected::Printed(expected),
        })
    }

    /// The stock dump of a table of `bench`.
    pub(crate) fn dump(&self, table: &str, rows: u64) -> Option<Subject> {
        let install = self.server.install();
        let mut command = install.dump.as_ref()?.command();
        command.args([
            "--no-defaults",
            "--single-transaction",
            "--skip-lock-tables",
            "--quick",
        ]);
        command.args(["--protocol=tcp", "--host=127.0.0.1", "--user=root"]);
        command.arg(format!("--port={}", self.server.port()));
        let own: &[&str] = match install.flavor.is_mariadb() {
            true => &["--skip-ssl"],
            false => &[
                "--ssl-mode=disabled",
                "--set-gtid-purged=OFF",
                "--no-tablespaces",
            ],
        };
        command.args(own).args(["bench", table]);
        let name = if install.flavor.is_mariadb() {
            "mariadb-dump"
        } else {
            "mysqldump"
        };
        Some(Subject {
            name: format!("{name} to a file"),
            role: Role::Dump,
            program: command.get_program().into(),
            arguments: command.get_args().map(Into::into).collect(),
            expected: Expected::Dump(rows),
        })
    }

    /// The URL, in clear: the dump and the wire have no TLS either.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "{}?ssl-mode=disabled",
            self.server.url("root", "", database)
        )
    }

    fn headwater(&self, name: &str, words: &[&str], sink: Sink, expected: Expected) -> Subject {
        let (target, place) = match sink {
            Sink::File => (
                format!("file:{}", self.outputs.events().display()),
                "to a file",
            ),
            Sink::Null => ("null".to_owned(), "to nothing"),
        };
        let mut arguments: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
        arguments.extend(["--sink", &target, "--log-format", "json"].map(Into::into));
        Subject {
            name: format!("headwater {name} {place}"),
            role: Role::Headwater(sink),
            program: self.headwater.to_owned(),
            arguments,
            expected,
        }
    }

    /// Everyone who reads the rows of `bench.orders`.
    pub(crate) fn snapshot(&self, rows: u64) -> Result<Vec<Subject>> {
        let sql = "select * from bench.orders";
        let mut all = vec![
            self.wire("binary", sql, 0, rows)?,
            self.wire("text", sql, 0, rows)?,
        ];
        all.extend(self.dump("orders", rows));
        let url = self.url("bench");
        for sink in [Sink::File, Sink::Null] {
            for readers in ["1", "2"] {
                let plural = if readers == "1" { "reader" } else { "readers" };
                let words = ["backfill", &url, "bench.orders", "--readers", readers];
                let expected = Expected::Rows {
                    rows,
                    to_file: sink == Sink::File,
                };
                all.push(self.headwater(
                    &format!("backfill, {readers} {plural},"),
                    &words,
                    sink,
                    expected,
                ));
            }
        }
        Ok(all)
    }

    /// Everyone who reads a log, whose tables are `words` of the command line.
    pub(crate) fn log(
        &self,
        place: &Place,
        token: &str,
        tables: &[&str],
        written: Written,
    ) -> Result<Vec<Subject>> {
        let mut all = vec![self.wire("log", &place.file, place.offset, written.transactions)?];
        let url = self.url("");
        let mut words = vec!["cdc", url.as_str()];
        words.extend(tables);
        words.extend(["--from", token, "--until", "now"]);
        for sink in [Sink::File, Sink::Null] {
            let expected = Expected::Changes {
                changes: written.changes,
                to_file: sink == Sink::File,
            };
            all.push(self.headwater("cdc", &words, sink, expected));
        }
        Ok(all)
    }

    /// The token of a copy of these tables, taken now.
    pub(crate) fn token(&self, tables: &[&str]) -> Result<String> {
        let url = self.url("");
        let output = Command::new(self.headwater)
            .args(["backfill", &url])
            .args(tables)
            .args(["--sink", "null", "--quiet"])
            .output()
            .map_err(|error| {
                Error::new(format!("cannot run {}: {error}", self.headwater.display()))
            })?;
        let token = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() && !token.is_empty() {
            return Ok(token);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(format!(
            "headwater backfill: {}\n{}",
            output.status,
            said.trim()
        )))
    }
}
