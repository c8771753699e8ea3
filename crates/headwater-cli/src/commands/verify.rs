//! `headwater verify`: source and IoTDB compared, and the rows that differ.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_core::source::Source;
use headwater_iotdb::{
    ColumnDifference, Difference, IotdbOptions, Kind, TableReport, VerifyOptions, VerifyProgress,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{run, source};
use crate::arguments::{Output, Verify};
use crate::config::{Failure, Lookup, Origin, SinkChoice, SourceSettings, misused, table_name};
use crate::exit::Exit;
use crate::terminal::{Bar, Console, Form, percent};

/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often a line is written in a pipe.
const EVERY: Duration = Duration::from_secs(5);

/// What is compared, and how.
pub(super) struct Prepared {
    origin: Option<Origin>,
    source: SourceSettings,
    iotdb: IotdbOptions,
    how: VerifyOptions,
}

/// Reads the configuration.
pub(super) fn prepare(
    verify: &Verify,
    file: &crate::config::File,
    lookup: Lookup<'_>,
) -> Result<Prepared, Failure> {
    let source = SourceSettings::of(&verify.source, file, &[], lookup)?;
    let iotdb = crate::config::iotdb_options(&SinkChoice::Iotdb, file, &source, lookup)?;
    let iotdb = iotdb
        .filter(|iotdb| !iotdb.mappings.is_empty())
        .ok_or_else(|| {
            misused(
                "there is nothing to compare: no table is mapped to IoTDB",
                "name the file with `iotdb.mappings`: headwater verify --config FILE",
            )
        })?;
    let database = source.connect.database.as_deref();
    let mut wanted = Vec::new();
    for text in &verify.tables {
        let name = table_name(text, database)?;
        if !iotdb.mappings.iter().any(|mapping| mapping.table == name) {
            return Err(misused(
                format!("{name} is mapped to nothing"),
                "name a table of `iotdb.mappings`",
            )
            .into());
        }
        wanted.push(name);
    }
    let readers = verify.readers.or(file.readers);
    let how = VerifyOptions {
        limit: verify.limit.into(),
        settle: Duration::from_secs(verify.settle.into()),
        tables: wanted,
        rows: run::row_filter(&source),
        ..VerifyOptions::default()
    };
    let how = VerifyOptions {
        readers: readers.map_or(how.readers, usize::from),
        ..how
    };
    Ok(Prepared {
        origin: file.origin.clone(),
        source,
        iotdb,
        how,
    })
}

/// Compares, and prints what differs.
pub(super) async fn run(
    prepared: &Prepared,
    verify: &Verify,
    console: &Arc<Console>,
) -> Result<Exit, Failure> {
    super::mappings::require(&prepared.iotdb, &prepared.source, prepared.origin.as_ref()).await?;
    let source = source::open(&prepared.source);
    let tables = Source::tables(&source).await?;
    let tables: Vec<_> = tables.into_iter().map(|table| table.schema).collect();
    let progress = Arc::new(VerifyProgress::default());
    let ended = CancellationToken::new();
    let shown = tokio::spawn(show(console.clone(), progress.clone(), ended.clone()));
    let mut explained = 0;
    let mut closed = Exit::Finished;
    let tell = |difference: Difference| {
        if difference.reason.is_some() {
            explained += 1;
            if !verify.strict || explained > verify.limit {
                return;
            }
        }
        let line = match verify.output {
            Output::Text => as_text(&difference),
            Output::Json => as_json(&difference).to_string(),
        };
        closed = console.suspend(|| super::schema::print(&format!("{line}\n")));
    };
    let (iotdb, how) = (&prepared.iotdb, &prepared.how);
    let compared = Box::pin(headwater_iotdb::verify(
        iotdb, &source, &tables, how, &progress, tell,
    ))
    .await;
    ended.cancel();
    let _ = shown.await;
    let reports = compared?;
    if closed != Exit::Finished {
        return Ok(closed);
    }
    let text: String = match verify.output {
        Output::Text => reports
            .iter()
            .map(|report| summary(report, verify.strict))
            .collect(),
        Output::Json => {
            let lines = reports.iter();
            lines
                .map(|report| format!("{}\n", summary_json(report, verify.strict)))
                .collect()
        }
    };
    let printed = super::schema::print(&text);
    let are_equal = reports.iter().all(|report| is_equal(report, verify.strict));
    Ok(if are_equal { printed } else { Exit::Differs })
}

fn is_equal(report: &TableReport, is_strict: bool) -> bool {
    report.is_equal() && (!is_strict || report.explained() == 0)
}

async fn show(console: Arc<Console>, progress: Arc<VerifyProgress>, ended: CancellationToken) {
    let bar = (console.form() == Form::Bars).then(|| Bar::new(&console));
    let mut said = Instant::now();
    loop {
        tokio::select! {
            () = ended.cancelled() => break,
            () = tokio::time::sleep(TICK) => {}
        }
        let (rows, expected) = (progress.rows(), progress.expected());
        if let Some(bar) = &bar {
            bar.show(
                "comparing".to_owned(),
                rows,
                expected,
                format!("{rows} rows"),
            );
        } else if console.form() != Form::Quiet && said.elapsed() >= EVERY {
            said = Instant::now();
            let share = percent(rows, expected, false);
            tracing::info!(rows, percent = share, "comparing");
        }
    }
    if let Some(bar) = bar {
        bar.clear();
    }
}

fn as_text(difference: &Difference) -> String {
    let key = difference.key.as_ref();
    let key = key.map_or_else(String::new, |key| format!(" {}", json!(key)));
    let columns: Vec<String> = difference
        .columns
        .iter()
        .map(|column| column_text(column, difference.kind))
        .collect();
    let mut text = format!(
        "{:<7}  {}{key} at {}{}: {}",
        difference.kind.name(),
        difference.table,
        difference.device,
        difference
            .time
            .map_or_else(String::new, |time| format!(" {time}")),
        columns.join("; ")
    );
    if let Some(reason) = difference.reason {
        text.push_str(&format!(" ({})", reason.text()));
    }
    text
}

fn column_text(column: &ColumnDifference, kind: Kind) -> String {
    let shown = |value: &Option<Value>, none: &str| {
        value
            .as_ref()
            .map_or_else(|| none.to_owned(), Value::to_string)
    };
    let name = &column.name;
    match kind {
        Kind::Differs => format!(
            "{name} is {}, IoTDB has {}",
            shown(&column.source, "NULL"),
            shown(&column.iotdb, "nothing")
        ),
        Kind::Missing => format!("{name} is {}", shown(&column.source, "NULL")),
        Kind::Extra => format!("IoTDB has {name} {}", shown(&column.iotdb, "nothing")),
    }
}

fn as_json(difference: &Difference) -> Value {
    let columns = difference.columns.iter().map(
        |column| json!({ "name": column.name, "source": column.source, "iotdb": column.iotdb }),
    );
    json!({
        "difference": difference.kind.name(),
        "table": difference.table.to_string(),
        "key": difference.key,
        "device": difference.device,
        "time": difference.time,
        "columns": columns.collect::<Vec<_>>(),
        "reason": difference.reason.map(headwater_iotdb::Reason::name),
    })
}

fn summary(report: &TableReport, is_strict: bool) -> String {
    let mut text = format!(
        "{}: {} rows, {} points: ",
        report.table, report.rows, report.points
    );
    let counts = [
        (report.differs, "differ"),
        (report.missing, "missing in IoTDB"),
        (report.extra, "in IoTDB only"),
        (
            report.not_looked_at,
            "in ranges that differ, not looked at closely (see --limit)",
        ),
    ];
    let found = counts.iter().filter(|(count, _)| *count > 0);
    let found: Vec<String> = found
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    text.push_str(&match (found.is_empty(), is_equal(report, is_strict)) {
        (true, true) => "equal".to_owned(),
        (true, false) => "equal but for what follows".to_owned(),
        (false, _) => found.join(", "),
    });
    text.push('\n');
    let mut say = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!("  {count} {what}\n"));
        }
    };
    say(report.empty, "rows without a point");
    say(
        report.refused,
        "rows that cannot be points, which are not expected in IoTDB",
    );
    let judged = match is_strict {
        true => "a failure with --strict",
        false => "no failure without --strict",
    };
    for (reason, count) in headwater_iotdb::Reason::ALL.iter().zip(report.explained) {
        say(count, &format!("with points {}: {judged}", reason.text()));
    }
    say(report.unsettled, "went on changing, and are not judged");
    text
}

fn summary_json(report: &TableReport, is_strict: bool) -> Value {
    let reasons = headwater_iotdb::Reason::ALL.iter().zip(report.explained);
    let explained: serde_json::Map<String, Value> = reasons
        .map(|(reason, count)| (reason.name().to_owned(), count.into()))
        .collect();
    json!({
        "table": report.table.to_string(),
        "equal": is_equal(report, is_strict),
        "rows": report.rows,
        "points": report.points,
        "differs": report.differs,
        "missing": report.missing,
        "extra": report.extra,
        "not_looked_at": report.not_looked_at,
        "without_a_point": report.empty,
        "refused": report.refused,
        "explained": explained,
        "unsettled": report.unsettled,
    })
}
