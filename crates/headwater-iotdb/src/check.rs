//! What a run needs of IoTDB, looked at before it starts; nothing is written. The mappings are held against the source's tables,
//! and against the series that are there already.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::finding::Finding;
use headwater_core::schema::TableSchema;

use crate::client::{Rows, Session, Value};
use crate::config::{IotdbOptions, Model, SeriesType, TimeUnit};
use crate::convert::Conversion;
use crate::mapping::{Declared, Plan, Problem, Template, quoted};
use crate::sink::{any_session, precision, without_database};
use crate::time::Clock;

/// Series that are looked at for each measurement.
const SERIES_MAX: usize = 1_000;

/// Looks at nodes, version, precision, mappings and what is there. What is wrong with a mapping is named by its place in the
/// configuration, `iotdb.mappings[0].table`.
///
/// # Errors
/// Only when no node can be talked to at all; everything else is a finding.
pub async fn check(
    options: &IotdbOptions,
    tables: &[Arc<TableSchema>],
    declared: Declared<'_>,
) -> Result<Vec<Finding>> {
    options.validate()?;
    let mut session = any_session(options).await?;
    let properties = session.properties().await?;
    let found = format!("{} at {}", properties.version, session.address());
    let mut findings = vec![Finding::ok("iotdb", found)];
    for address in &options.nodes {
        if let Err(error) = Session::open(address, &without_database(options)).await {
            findings.push(
                Finding::warning("iotdb node", address.to_string())
                    .expected(format!("it does not answer: {error}")),
            );
        }
    }
    let precision = precision(&properties.precision)?;
    let conversion = Conversion {
        clock: Clock::new(&options.time, precision)?,
        zero_is_null: options.time.zero_is_null,
    };
    findings.push(Finding::ok(
        "iotdb time",
        format!("{}, zone {}", properties.precision, options.time.zone),
    ));
    let problems = crate::mapping::problems(options, tables, declared, Some(precision));
    for (at, mapping) in options.mappings.iter().enumerate() {
        let place = format!("iotdb.mappings[{at}]");
        let is_here = |path: &str| {
            let rest = path.strip_prefix(&place);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut own = problems.iter().filter(|problem| is_here(&problem.path));
        if let Some(first) = own.next() {
            findings.extend(std::iter::once(first).chain(own).map(impossible));
            continue;
        }
        let Some(schema) = tables.iter().find(|schema| schema.name == mapping.table) else {
            continue;
        };
        let plan = Plan::new((at, mapping), schema, &options.model, &conversion)?;
        let name = format!("mapping {}", mapping.table);
        findings.push(Finding::ok(&name, describe(&plan, &mapping.target)));
        findings.extend(nullable(&plan, schema, &place));
        findings.extend(existing(&mut session, &plan, &mapping.target, &options.model).await?);
    }
    session.close().await;
    Ok(findings)
}

/// Its name is the place in the configuration.
fn impossible(problem: &Problem) -> Finding {
    Finding::failed(
        &problem.path,
        format!("{}: found {}", problem.what, problem.found),
    )
    .expected(format!("expected {}", problem.expected))
}

/// Columns of the place that may be NULL: such a row has none.
fn nullable(plan: &Plan, schema: &TableSchema, place: &str) -> Vec<Finding> {
    let warn = |path: String, column: usize| {
        let column = &schema.columns[column];
        column.nullable.then(|| {
            Finding::warning(path, format!("the column `{}` may be NULL", column.name))
                .expected("a row with NULL there has no place in IoTDB, and is refused")
        })
    };
    let mut findings = Vec::from_iter(warn(format!("{place}.timestamp_field"), plan.time_column()));
    // A tag may be NULL, a node of a path cannot.
    if plan.table().is_none() {
        let columns = plan.device.iter();
        findings.extend(
            columns.filter_map(|(_, column)| warn(format!("{place}.device_template"), *column)),
        );
    }
    findings
}

fn describe(plan: &Plan, target: &str) -> String {
    let columns = plan.names.iter().zip(&plan.layout.columns);
    let columns: Vec<String> = columns
        .map(|(name, column)| format!("{name} {}", column.series_type.name()))
        .collect();
    format!("{target}: {}", columns.join(", "))
}

/// IoTDB's precision of time.
///
/// # Errors
/// No node can be talked to.
pub async fn time_precision(options: &IotdbOptions) -> Result<TimeUnit> {
    let mut session = any_session(options).await?;
    let properties = session.properties().await?;
    session.close().await;
    precision(&properties.precision)
}

/// What is there already and does not fit.
async fn existing(
    session: &mut Session,
    plan: &Plan,
    target: &str,
    model: &Model,
) -> Result<Vec<Finding>> {
    match model {
        Model::Tree { is_aligned } => {
            let pattern = Template::parse(target)?.pattern();
            let mut findings = series(session, plan, &pattern).await?;
            findings.extend(alignment(session, &pattern, *is_aligned).await?);
            Ok(findings)
        }
        Model::Table { database } => columns(session, plan, database, target).await,
    }
}

async fn series(session: &mut Session, plan: &Plan, pattern: &str) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for column in &plan.layout.columns {
        let statement = format!(
            "SHOW TIMESERIES {pattern}.{} LIMIT {SERIES_MAX}",
            column.name
        );
        let rows = session.query(&statement).await?;
        let (Some(path), Some(kind)) = (rows.column("Timeseries"), rows.column("DataType")) else {
            continue;
        };
        let other = rows.values.iter().find_map(|row| {
            let found = row.get(kind)?.text()?;
            let fits = takes(&found, column.series_type);
            (!fits).then(|| (row.get(path).and_then(Value::text), found))
        });
        if let Some((path, found)) = other {
            let path = path.unwrap_or_else(|| column.name.clone());
            findings.push(
                Finding::failed(format!("series {path}"), found)
                    .expected(format!(
                        "the mapping writes {}, which a series of that type does not take",
                        column.series_type.name()
                    ))
                    .mend("give the measurement the type that is there, or another name"),
            );
        }
    }
    Ok(findings)
}

async fn alignment(
    session: &mut Session,
    pattern: &str,
    is_aligned: bool,
) -> Result<Option<Finding>> {
    let statement = format!("SHOW DEVICES {pattern} LIMIT {SERIES_MAX}");
    let rows = session.query(&statement).await?;
    let (Some(device), Some(aligned)) = (rows.column("Device"), rows.column("IsAligned")) else {
        return Ok(None);
    };
    let other = rows.values.iter().find_map(|row| {
        let found = row.get(aligned)?.text()?;
        let differs = found.eq_ignore_ascii_case("true") != is_aligned;
        (differs).then(|| row.get(device).and_then(Value::text))?
    });
    Ok(other.map(|device| {
        let (there, wanted) = match is_aligned {
            true => ("not aligned", "false"),
            false => ("aligned", "true"),
        };
        Finding::failed(format!("device {device}"), there)
            .expected("a device stays as it was made")
            .mend(format!("iotdb.aligned: {wanted}"))
    }))
}

async fn columns(
    session: &mut Session,
    plan: &Plan,
    database: &str,
    table: &str,
) -> Result<Vec<Finding>> {
    let status = session
        .execute(&format!("USE {}", quoted(database)))
        .await?;
    if !status.is_success() {
        // It is made at the start.
        return Ok(Vec::new());
    }
    let statement = format!("DESCRIBE {}", quoted(table));
    let rows = match session.query(&statement).await {
        Ok(rows) => rows,
        // It is made with the first row.
        Err(error) if error.kind() == headwater_core::ErrorKind::SinkRejected => Rows::default(),
        Err(error) => return Err(error),
    };
    let places = ["ColumnName", "DataType", "Category"].map(|name| rows.column(name));
    let [Some(name), Some(kind), Some(category)] = places else {
        return Ok(Vec::new());
    };
    let mut findings = Vec::new();
    let text = |row: &[Value], at: usize| row.get(at).and_then(Value::text);
    for (wanted, column) in plan.names.iter().zip(&plan.layout.columns) {
        let mut all = rows.values.iter();
        let row =
            all.find(|row| text(row, name).is_some_and(|found| found.eq_ignore_ascii_case(wanted)));
        let Some(row) = row else { continue };
        let found = text(row, kind).unwrap_or_default();
        let place = text(row, category).unwrap_or_default();
        let is_place = place.eq_ignore_ascii_case(column.category.name());
        if !takes(&found, column.series_type) || !is_place {
            findings.push(
                Finding::failed(
                    format!("column {table}.{wanted}"),
                    format!("{found} {place}"),
                )
                .expected(format!(
                    "the mapping writes {} {}",
                    column.series_type.name(),
                    column.category.name()
                ))
                .mend("change the mapping, or write to another table"),
            );
        }
    }
    Ok(findings)
}

/// Whether a series of the type `there` takes values of `written`. (Apache IoTDB's manual, "Data Type Conversion".)
fn takes(there: &str, written: SeriesType) -> bool {
    use SeriesType as Series;
    let same = there.eq_ignore_ascii_case(written.name());
    let others: &[&str] = match written {
        Series::Int32 => &["INT64", "FLOAT", "DOUBLE", "TIMESTAMP"],
        Series::Int64 => &["DOUBLE", "TIMESTAMP"],
        Series::Float => &["DOUBLE"],
        Series::Timestamp => &["INT64", "DOUBLE"],
        Series::Text => &["STRING", "BLOB"],
        Series::String => &["TEXT", "BLOB"],
        Series::Boolean | Series::Double | Series::Date | Series::Blob => &[],
    };
    same || others.iter().any(|other| there.eq_ignore_ascii_case(other))
}
