//! `headwater check`: everything a run needs, looked at; and the SQL that mends what is missing.

use std::fmt::Write as _;
use std::io::IsTerminal;

use headwater_core::finding::{Finding, Level};
use headwater_core::schema::TableSchema;
use headwater_fold::Monoid;
use headwater_fold::fold::{Fold, TakeBack, Typed};
use headwater_iotdb::IotdbOptions;
use headwater_iotdb::config::{Duplicates, Mapping};
use headwater_kafka::KafkaOptions;
use headwater_mysql::MysqlSource;
use headwater_mysql::check::{check, duplicates};
use serde_json::{Value, json};

use super::mappings::Known;
use super::source;
use crate::config::{Failure, FoldSettings, LogFormat, Origin, SourceSettings, StoreChoice};
use crate::exit::Exit;
use crate::folds;
use crate::terminal::console::use_color;

/// Where rows go, where that can be looked at.
pub(crate) struct Targets<'a> {
    pub(crate) kafka: Option<&'a KafkaOptions>,
    pub(crate) iotdb: Option<&'a IotdbOptions>,
    pub(crate) folds: Option<&'a FoldSettings>,
    /// Where the configuration's values stand.
    pub(crate) origin: Option<&'a Origin>,
}

/// Checks, and prints what was found. Fails if a run would.
pub(crate) async fn run(
    settings: &SourceSettings,
    targets: Targets<'_>,
    format: LogFormat,
) -> Result<Exit, Failure> {
    let source = source::open(settings);
    let mut findings = Box::pin(check(&source)).await?;
    if let Some(kafka) = targets.kafka {
        findings.extend(target(kafka).await);
    }
    if let Some(iotdb) = targets.iotdb {
        findings.extend(self::iotdb(iotdb, settings, targets.origin).await?);
    }
    if let Some(folds) = targets.folds {
        findings.extend(self::folds(folds, &source, settings).await);
        findings.extend(store(&folds.store, &folds.folds).await);
    }
    let text = match format {
        LogFormat::Text => as_text(&findings, use_color(std::io::stdout().is_terminal())),
        LogFormat::Json => findings
            .iter()
            .map(|finding| format!("{}\n", as_json(finding)))
            .collect(),
    };
    let printed = super::schema::print(&text);
    let has_failed = findings
        .iter()
        .any(|finding| finding.level == Level::Failed);
    Ok(if has_failed { Exit::Failed } else { printed })
}

/// What is found of Kafka; one that cannot be talked to is a finding beside the source's.
async fn target(kafka: &KafkaOptions) -> Vec<Finding> {
    headwater_kafka::check(kafka).await.unwrap_or_else(|error| {
        let failed = Finding::failed("kafka", error.to_string());
        vec![failed.expected(error.hint_text().unwrap_or_default())]
    })
}

/// What is found of the store of folds, where it is not a file.
async fn store(store: &StoreChoice, folds: &[Fold]) -> Vec<Finding> {
    let StoreChoice::Redis(options) = store else {
        return Vec::new();
    };
    let names: Vec<&str> = folds.iter().map(|fold| fold.name.as_str()).collect();
    let found = headwater_redis::check(options, &names).await;
    found.unwrap_or_else(|error| {
        let failed = Finding::failed("store", error.to_string());
        vec![failed.expected(error.hint_text().unwrap_or_default())]
    })
}

/// What is found of the folds, each held against its table as it is now.
async fn folds(
    settings: &FoldSettings,
    source: &MysqlSource,
    read: &SourceSettings,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for fold in &settings.folds {
        let one = FoldSettings {
            folds: vec![fold.clone()],
            ..settings.clone()
        };
        let name = format!("fold {}", fold.name);
        findings.push(match folds::typed(&one, source, read).await {
            Ok(typed) => as_folded(name, &typed),
            Err(error) => {
                let failed = Finding::failed(name, error.to_string());
                failed.expected(error.hint_text().unwrap_or_default())
            }
        });
    }
    findings
}

fn as_folded(name: String, typed: &[Typed]) -> Finding {
    let Some(typed) = typed.first() else {
        return Finding::ok(name, "");
    };
    let monoid = typed.monoid.name();
    if typed.monoid.laws().invertible {
        return Finding::ok(name, format!("{monoid}; takes updates and deletes back"));
    }
    let becomes = match typed.fold.take_back {
        TakeBack::Ignore => "rows that are changed or deleted stay in it",
        TakeBack::Refold => {
            let found = format!(
                "{monoid}, which cannot take back: keys are read again (take_back: refold)"
            );
            return Finding::ok(name, found);
        }
        TakeBack::Refuse => "the run ends at the first row that is changed or deleted",
    };
    let found = format!("{monoid}, which cannot take back: {becomes}");
    Finding::warning(name, found).expected("`take_back` says what becomes of them")
}

/// What is found of IoTDB, held against the tables that are read. What is wrong with a mapping is told with its place in the file.
async fn iotdb(
    options: &IotdbOptions,
    source: &SourceSettings,
    origin: Option<&Origin>,
) -> Result<Vec<Finding>, Failure> {
    let known = Known::read(options, source).await?;
    let (source, tables) = (&known.source, &known.tables);
    let mut findings = headwater_iotdb::check(options, tables, &known.declared())
        .await
        .unwrap_or_else(|error| {
            let failed = Finding::failed("iotdb", error.to_string());
            vec![failed.expected(error.hint_text().unwrap_or_default())]
        });
    for finding in &mut findings {
        if let Some(place) = origin.and_then(|origin| origin.place(&finding.name)) {
            finding.name = place;
        }
    }
    for mapping in &options.mappings {
        if let Some(schema) = tables.iter().find(|schema| schema.name == mapping.table) {
            findings.extend(unique(source, schema, mapping).await?);
        }
    }
    Ok(findings)
}

/// Whether no two rows of a table have one device and one time, where they would be one row of IoTDB.
async fn unique(
    source: &MysqlSource,
    schema: &TableSchema,
    mapping: &Mapping,
) -> Result<Option<Finding>, Failure> {
    let fields = &mapping.place_fields();
    let place = |name: &String| {
        let mut columns = schema.columns.iter();
        columns.position(|column| column.name.eq_ignore_ascii_case(name))
    };
    let Some(places) = fields.iter().map(place).collect::<Option<Vec<usize>>>() else {
        // The mapping is refused already.
        return Ok(None);
    };
    let name = format!("unique {}", schema.name);
    let is_key = !schema.key.is_empty() && schema.key.iter().all(|column| places.contains(column));
    if is_key {
        return Ok(Some(Finding::ok(
            name,
            format!("by its key: {}", fields.join(", ")),
        )));
    }
    let twice = duplicates(source, &schema.name, fields).await?;
    Ok(Some(match twice {
        None => Finding::ok(name, format!("no two rows have the same {}", fields.join(", "))),
        Some(found) if mapping.duplicates == Duplicates::Last => Finding::warning(name, found)
            .expected("the last by the source's order stays, and nothing of the table is deleted in IoTDB (`duplicates: last`)"),
        Some(found) => Finding::failed(name, found)
            .expected("rows with one device and one time are one row in IoTDB: the last one that is written stays")
            .mend("map more columns to the device, or let the last one win, in the order of the key and then of the log: `duplicates: last` in the mapping"),
    }))
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Failed => "failed",
    }
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "check": finding.name,
        "level": word(finding.level),
        "found": finding.found,
        "expected": (!finding.expected.is_empty()).then_some(&finding.expected),
        "mend": finding.mend,
    })
}

fn as_text(findings: &[Finding], color: bool) -> String {
    let mut out = String::new();
    let width = findings
        .iter()
        .map(|finding| finding.name.chars().count())
        .max();
    let width = width.unwrap_or(0).min(32);
    for finding in findings {
        let (mark, start) = match finding.level {
            Level::Ok => ("ok     ", "\u{1b}[32m"),
            Level::Warning => ("warning", "\u{1b}[33m"),
            Level::Failed => ("FAILED ", "\u{1b}[1;31m"),
        };
        let (start, end) = if color {
            (start, "\u{1b}[0m")
        } else {
            ("", "")
        };
        let _ = writeln!(
            out,
            "{start}{mark}{end}  {:<width$}  {}",
            finding.name, finding.found
        );
        let indent = " ".repeat(width + 11);
        if !finding.expected.is_empty() {
            let _ = writeln!(out, "{indent}{}", finding.expected);
        }
        for line in finding.mend.iter().flat_map(|sql| sql.lines()) {
            let _ = writeln!(out, "{indent}{start}mend:{end} {line}");
        }
    }
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let _ = match (count(Level::Failed), count(Level::Warning)) {
        (0, 0) => writeln!(out, "\nReady: everything a run needs is there."),
        (0, warnings) => writeln!(out, "\nReady, with {warnings} to know about."),
        (failed, _) => writeln!(out, "\nNot ready: {failed} to mend."),
    };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_says_the_sql_that_mends_it() {
        let finding =
            |name: &str, level, found: &str, expected: &str, mend: Option<&str>| Finding {
                name: name.into(),
                level,
                found: found.into(),
                expected: expected.into(),
                mend: mend.map(str::to_owned),
            };
        let findings = [
            finding("connection", Level::Ok, "db:3306 as cdc", "", None),
            finding(
                "binlog_format",
                Level::Failed,
                "STATEMENT",
                "ROW is needed",
                Some("SET GLOBAL binlog_format = 'ROW';"),
            ),
        ];
        insta::assert_snapshot!(as_text(&findings, false), @r"
        ok       connection     db:3306 as cdc
        FAILED   binlog_format  STATEMENT
                                ROW is needed
                                mend: SET GLOBAL binlog_format = 'ROW';

        Not ready: 1 to mend.
        ");
    }
}
