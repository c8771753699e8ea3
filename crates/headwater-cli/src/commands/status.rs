//! `headwater status`: where a checkpoint stands. Looks at the file only, and takes no lock: a run may be using it.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use headwater_core::checkpoint::{Checkpoint, TableCopy};
use headwater_core::position::Position;
use headwater_core::{Error, ErrorKind, clock};
use headwater_file::CheckpointFile;
use indicatif::HumanCount;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arguments::Status;
use crate::config::Failure;
use crate::exit::Exit;
use crate::terminal::{duration, percent};

/// Prints it.
pub(crate) fn run(status: &Status) -> Result<Exit, Failure> {
    let path = &status.checkpoint;
    let document = CheckpointFile::read(path)?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "there is no checkpoint")
            .with("file", path.display())
            .hint("check the path; a run makes the file when it begins to copy")
    })?;
    let checkpoint = read(document)?;
    let text = if status.json {
        format!("{:#}\n", as_json(&checkpoint))
    } else {
        as_text(path, &checkpoint, clock::now_s())
    };
    Ok(super::schema::print(&text))
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

fn as_text(path: &Path, checkpoint: &Checkpoint<AnyPosition>, now_s: u64) -> String {
    let mut out = format!("{}: {}\n", path.display(), phase_words(checkpoint));
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
        checkpoint.log = Some(LogPoint {
            position: AnyPosition(json!({"file": "binlog.000007", "offset": 4711})),
            rows_done: 0,
        });
        checkpoint.copy = Some(vec![
            table("orders", 9_876, &TableCoverage::read_at(CutId(1))),
            table("users", 4_500, &TableCoverage::unread()),
        ]);
        insta::assert_snapshot!(as_text(Path::new("shop.checkpoint"), &checkpoint, 1_075), @r"
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
