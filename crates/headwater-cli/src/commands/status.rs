//! `headwater status`: where a checkpoint stands, and what the process that uses it is doing. Takes no lock and fences nobody
//! off: the file is read, or the topic, and a process beside a file, if there is one, is asked through its socket.

use std::fmt;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_core::checkpoint::{Checkpoint, TableCopy};
use headwater_core::position::Position;
use headwater_core::{Error, ErrorKind, clock};
use headwater_file::CheckpointFile;
use headwater_kafka::KafkaOptions;
use indicatif::{HumanBytes, HumanCount};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arguments::Status;
use crate::config::{
    Failure, Lookup, StoreChoice, checkpoint_in, file_of, fold_store_in, is_folding, kafka_options,
    misused, sink_of,
};
use crate::control::client::Client;
use crate::control::find;
use crate::control::view::{BootstrapView, StatusView};
use crate::exit::Exit;
use crate::folds::Reader;
use crate::terminal::console::to_stderr as say;
use crate::terminal::{duration, percent};

/// How long a process may take to say what it is doing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where a checkpoint is kept.
enum Place {
    File(PathBuf),
    Kafka(Box<KafkaOptions>),
    Folds(Box<StoreChoice>),
}

/// What was found there.
struct Found {
    /// The place, for people.
    name: String,
    document: Option<Value>,
    /// Why there is no document.
    missing: &'static str,
    live: Option<StatusView>,
}

const NOT_WRITTEN: &str = "not written yet";

/// Prints it.
pub(crate) async fn run(status: &Status, lookup: Lookup<'_>) -> Result<Exit, Failure> {
    let found = match place(status, lookup)? {
        Place::File(path) => in_file(&path).await?,
        Place::Kafka(options) => in_kafka(&options).await?,
        Place::Folds(store) => in_folds(&store).await?,
    };
    let Found {
        name,
        document,
        missing,
        live,
    } = found;
    let Some(document) = document else {
        return Ok(super::schema::print(&if status.json {
            let phase = live.as_ref().map(|live| live.readiness.phase.as_str());
            let phase = phase.filter(|_| missing != NOT_WRITTEN);
            format!(
                "{:#}\n",
                json!({ "phase": phase.unwrap_or("starting"), "process": live })
            )
        } else {
            let live = live.as_ref().map(live_text).unwrap_or_default();
            format!("{name}: {missing}\n{live}")
        }));
    };
    let checkpoint = read(document)?;
    let bootstraps = match &live {
        Some(live) => live.bootstraps.clone(),
        None => (checkpoint.bootstraps.iter())
            .map(|one| BootstrapView::of(one, 0.0))
            .collect(),
    };
    let text = if status.json {
        let mut object = as_json(&checkpoint);
        object["bootstraps"] = json!(bootstraps);
        object["process"] = json!(live);
        format!("{object:#}\n")
    } else {
        let mut text = as_text(&name, &checkpoint, clock::now_s());
        text.push_str(&live.as_ref().map(live_text).unwrap_or_default());
        text.push_str(&bootstraps_text(&bootstraps));
        text
    };
    Ok(super::schema::print(&text))
}

/// Where the run of these flags keeps its checkpoint. Of a configuration that names a file nothing else is looked at: its secrets
/// need not be there.
fn place(status: &Status, lookup: Lookup<'_>) -> Result<Place, Failure> {
    let (source, target) = (&status.source, &status.target);
    if let Some(path) = &target.checkpoint {
        return Ok(Place::File(path.clone()));
    }
    if let Some(config) = &source.config
        && let Ok(path) = checkpoint_in(config, lookup)
    {
        return Ok(Place::File(path));
    }
    if let (None, Some(config)) = (&target.sink, &source.config)
        && is_folding(config, lookup)?
    {
        return Ok(Place::Folds(Box::new(fold_store_in(config, lookup)?)));
    }
    let file = file_of(source, lookup)?;
    let sink = sink_of(target, &file, &mut Vec::new())?;
    let kafka = kafka_options(&sink, target, &file)?;
    let kafka = kafka.filter(|kafka| kafka.exactly_once.is_some());
    kafka
        .map(|kafka| Place::Kafka(Box::new(kafka)))
        .ok_or_else(|| {
            misused(
                "no checkpoint is named",
                "give --checkpoint FILE, or --config FILE or the flags that the run was started with",
            )
            .into()
        })
}

async fn in_file(path: &Path) -> Result<Found, Error> {
    let live = ask(path).await;
    let document = CheckpointFile::read(path)?;
    if document.is_none() && live.is_none() {
        return Err(Error::new(ErrorKind::NotFound, "there is no checkpoint")
            .with("file", path.display())
            .hint("check the path; a run makes the file when it begins to copy"));
    }
    Ok(Found {
        name: path.display().to_string(),
        document,
        missing: NOT_WRITTEN,
        live,
    })
}

/// Progress is kept in the store. A file is locked by the process that folds into it: then that one says where it stands.
async fn in_folds(store: &StoreChoice) -> Result<Found, Error> {
    let name = store.name();
    let live = match store.path() {
        Some(path) => ask(path).await,
        // Nobody knows where the process runs.
        None => None,
    };
    if live.is_some() {
        return Ok(Found {
            name,
            document: None,
            missing: "in use by this process",
            live,
        });
    }
    let document = Reader::open(store)?.checkpoint().await?;
    if document.is_none() {
        return Err(
            Error::new(ErrorKind::NotFound, "nothing is in the store of folds yet")
                .with("store", name)
                .hint("look at folds.store of the configuration; a run fills it"),
        );
    }
    Ok(Found {
        name,
        document,
        missing: NOT_WRITTEN,
        live,
    })
}

async fn in_kafka(options: &KafkaOptions) -> Result<Found, Error> {
    let document = headwater_kafka::read_checkpoint(options).await?;
    let exactly_once = options.exactly_once.as_ref();
    let name = exactly_once.map(|it| format!("{} (topic {})", it.transactional_id, it.topic()));
    Ok(Found {
        name: name.unwrap_or_default(),
        document,
        missing: NOT_WRITTEN,
        // It has no socket: nobody knows where it runs.
        live: None,
    })
}

/// The process that uses the checkpoint, if there is one that answers.
async fn ask(checkpoint: &Path) -> Option<StatusView> {
    let client = Client::new(find::socket_of(checkpoint));
    let asked = tokio::time::timeout(PATIENCE, client.get("/status")).await;
    match asked {
        Ok(Ok(status)) => Some(status),
        Ok(Err(error)) if error.kind() == ErrorKind::Connection => None,
        Ok(Err(error)) => {
            say(&format!("warning: {error}\n"));
            None
        }
        Err(_) => {
            let socket = client.socket().display();
            say(&format!(
                "warning: the process at {socket} does not answer\n"
            ));
            None
        }
    }
}

/// What the process is doing now.
fn live_text(live: &StatusView) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<10}{value}");
    };
    let readiness = &live.readiness;
    let mut doing = format!("{}, {}", live.pid, readiness.phase.replace('_', " "));
    if let Some(reason) = &readiness.reason {
        let _ = write!(doing, " ({reason})");
    }
    row("process", &doing);
    let mut flow = format!(
        "{} rows, {} changes",
        HumanCount(live.rows_copied),
        HumanCount(live.changes)
    );
    if let Some(lag) = live.lag_seconds {
        let _ = write!(flow, ", {} behind", duration(lag));
    }
    if let Some(bytes) = live.lag_bytes.filter(|bytes| *bytes > 0) {
        let _ = write!(flow, " ({} of log)", HumanBytes(bytes));
    }
    row("sent", &flow);
    let counts = live.sink_counts.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counts
        .map(|(what, count)| format!("{} {}", what.replace('_', " "), HumanCount(*count)))
        .collect();
    if !counts.is_empty() {
        row("counted", &counts.join(", "));
    }
    if let Some(failure) = &live.failure {
        let retries: u64 = live.retries.values().sum();
        row(
            "retries",
            &format!("{retries}, the last: {}", failure.message),
        );
    }
    out
}

fn bootstraps_text(bootstraps: &[BootstrapView]) -> String {
    if bootstraps.is_empty() {
        return String::new();
    }
    let table = super::bootstrap::table(bootstraps);
    let lines = table.lines().map(|line| format!("    {line}\n"));
    format!("  bootstraps\n{}", lines.collect::<String>())
}

fn read(document: Value) -> Result<Checkpoint<AnyPosition>, Error> {
    serde_json::from_value(document).map_err(|cause| {
        Error::new(
            ErrorKind::CheckpointForeign,
            "the checkpoint cannot be read",
        )
        .hint("it may be of another version of headwater")
        .caused_by(cause)
    })
}

/// A position of any source: shown, never compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct AnyPosition(Value);

impl Position for AnyPosition {
    fn includes(&self, _other: &Self) -> bool {
        false
    }
}

impl fmt::Display for AnyPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(file), Some(offset)) = (self.0["file"].as_str(), self.0["offset"].as_u64())
        else {
            return write!(f, "{}", self.0);
        };
        write!(f, "{file}:{offset}")?;
        for key in ["gtid_set", "gtid"] {
            match &self.0[key] {
                Value::Null => {}
                Value::String(gtid) => write!(f, " gtid {gtid}")?,
                other => write!(f, " gtid {other}")?,
            }
        }
        Ok(())
    }
}

/// What the checkpoint's run was doing.
fn phase(checkpoint: &Checkpoint<AnyPosition>) -> &'static str {
    match &checkpoint.log {
        None => "starting",
        Some(_) if checkpoint.copy.is_none() => "following",
        Some(_) if checkpoint.copy_is_complete() => "copied",
        Some(_) => "copying",
    }
}

fn phase_words(checkpoint: &Checkpoint<AnyPosition>) -> &'static str {
    match phase(checkpoint) {
        "starting" => "nothing is copied yet",
        "following" => "follows the log (without a copy)",
        "copied" => "the copy is complete; the log is followed from the position",
        _ => "copying the rows that are there",
    }
}

fn share(table: &TableCopy) -> u64 {
    percent(
        table.rows,
        table.estimated_rows,
        table.coverage.is_complete(),
    )
}

fn as_json(checkpoint: &Checkpoint<AnyPosition>) -> Value {
    let tables: Vec<Value> = (checkpoint.copy.iter().flatten())
        .map(|table| {
            json!({
                "table": table.name.to_string(),
                "done": table.coverage.is_complete(),
                "gone": table.gone,
                "rows": table.rows,
                "rows_estimated": table.estimated_rows,
                "percent": share(table),
            })
        })
        .collect();
    json!({
        "phase": phase(checkpoint),
        "run": checkpoint.run,
        "source": checkpoint.source,
        "configuration": checkpoint.configuration,
        "written_at_s": checkpoint.written_at_s,
        "position": checkpoint.log.as_ref().map(|log| &log.position),
        "rows_done_after_position": checkpoint.log.as_ref().map(|log| log.rows_done),
        "tables": tables,
    })
}

fn as_text(name: &str, checkpoint: &Checkpoint<AnyPosition>, now_s: u64) -> String {
    let mut out = format!("{name}: {}\n", phase_words(checkpoint));
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<10}{value}");
    };
    row(
        "source",
        &format!("{} {}", checkpoint.source.kind, checkpoint.source.id),
    );
    let age = duration(now_s.saturating_sub(checkpoint.written_at_s));
    row("written", &format!("{age} ago"));
    if let Some(sink) = checkpoint.configuration["sink"].as_str() {
        row("sink", sink);
    }
    if let Some(log) = &checkpoint.log {
        let more = match log.rows_done {
            0 => String::new(),
            rows => format!(" and {rows} rows of the transaction after it"),
        };
        row("position", &format!("{}{more}", log.position));
    }
    if let Some(tables) = &checkpoint.copy {
        let done = tables
            .iter()
            .filter(|table| table.coverage.is_complete())
            .count();
        row("tables", &format!("{done} of {} copied", tables.len()));
        let width = tables
            .iter()
            .map(|table| table.name.to_string().len())
            .max()
            .unwrap_or(0);
        for table in tables {
            let name = table.name.to_string();
            let rows = HumanCount(table.rows);
            let _ = if table.gone {
                writeln!(
                    out,
                    "    {name:<width$}  gone  the table was dropped or renamed"
                )
            } else if table.coverage.is_complete() {
                writeln!(out, "    {name:<width$}  done  {rows} rows")
            } else {
                writeln!(
                    out,
                    "    {name:<width$}  {:>3}%  {rows} rows of about {}",
                    share(table),
                    HumanCount(table.estimated_rows)
                )
            };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use headwater_core::coverage::{CutId, TableCoverage};
    use headwater_core::position::SourceIdentity;
    use headwater_core::schema::TableName;
    use headwater_core::source::LogPoint;

    use super::*;

    fn table(name: &str, rows: u64, coverage: &TableCoverage) -> TableCopy {
        serde_json::from_value(json!({
            "name": TableName::new("shop", name),
            "key_columns": ["id"],
            "rows": rows,
            "estimated_rows": 10_000,
            "coverage": coverage,
        }))
        .unwrap()
    }

    #[test]
    fn a_copy_that_is_under_way_is_told_by_table() {
        let source = SourceIdentity {
            kind: "mariadb".into(),
            id: "abc".into(),
        };
        let mut checkpoint =
            Checkpoint::new("run-1".into(), source, json!({"sink": "file:events.jsonl"}));
        checkpoint.written_at_s = 1_000;
        checkpoint.log = Some(LogPoint::at(AnyPosition(
            json!({"file": "binlog.000007", "offset": 4711}),
        )));
        checkpoint.copy = Some(vec![
            table("orders", 9_876, &TableCoverage::read_at(CutId(1))),
            table("users", 4_500, &TableCoverage::unread()),
        ]);
        insta::assert_snapshot!(as_text("shop.checkpoint", &checkpoint, 1_075), @r"
        shop.checkpoint: copying the rows that are there
          source    mariadb abc
          written   1 min 15 s ago
          sink      file:events.jsonl
          position  binlog.000007:4711
          tables    1 of 2 copied
            shop.orders  done  9,876 rows
            shop.users    45%  4,500 rows of about 10,000
        ");
        assert_eq!(as_json(&checkpoint)["phase"], "copying");
    }
}
