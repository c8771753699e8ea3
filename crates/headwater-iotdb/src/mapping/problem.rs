//! What is wrong with a mapping: where in the configuration, what was found there, and what would fit. All of it at once.

use std::fmt;
use std::sync::Arc;

use headwater_core::schema::{TableName, TableSchema};
use headwater_core::{Error, ErrorKind};

use super::{Plan, Template};
use crate::config::{IotdbOptions, Mapping, Model, TimeUnit};
use crate::convert::Conversion;
use crate::time::Clock;

/// The type of a table's column as its database declares it, if that is known.
pub type Declared<'a> = &'a (dyn Fn(&TableName, &str) -> Option<String> + Send + Sync);

/// Something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its place in the configuration: `iotdb.mappings[2].measurements[0].type`.
    pub path: String,
    /// The source's table.
    pub table: TableName,
    /// What is impossible.
    pub what: String,
    /// What is there.
    pub found: String,
    /// What would fit.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            found,
            expected,
            ..
        } = self;
        write!(f, "{what}: found {found}, expected {expected}")
    }
}

impl Problem {
    /// As an error, for where the configuration's text is not at hand.
    #[must_use]
    pub fn into_error(self) -> Error {
        Error::new(ErrorKind::Configuration, self.to_string())
            .with("table", self.table)
            .with("at", self.path)
    }
}

/// Everything that is impossible about the mappings, held against the tables that are read. `precision` is IoTDB's, if it is
/// known: without it, lost digits are not looked for.
#[must_use]
pub fn problems(
    options: &IotdbOptions,
    tables: &[Arc<TableSchema>],
    declared: Declared<'_>,
    precision: Option<TimeUnit>,
) -> Vec<Problem> {
    let Ok(clock) = Clock::new(&options.time, precision.unwrap_or(TimeUnit::Nanosecond)) else {
        // It is refused by itself.
        return Vec::new();
    };
    let conversion = Conversion {
        clock,
        zero_is_null: options.time.zero_is_null,
    };
    let mut problems = Vec::new();
    let mut plans: Vec<Plan> = Vec::new();
    for (at, mapping) in options.mappings.iter().enumerate() {
        if let Some(problem) = twice(&options.mappings, at) {
            problems.push(problem);
            continue;
        }
        let Some(schema) = tables.iter().find(|schema| schema.name == mapping.table) else {
            problems.push(unknown(mapping, at, tables));
            continue;
        };
        match Plan::fit((at, mapping), schema, &options.model, &conversion, declared) {
            Ok(plan) => {
                problems.extend(into_one_device(&plans, &plan, options));
                plans.push(plan);
            }
            Err(found) => problems.extend(found),
        }
    }
    problems
}

fn unknown(mapping: &Mapping, at: usize, tables: &[Arc<TableSchema>]) -> Problem {
    const SHOWN: usize = 20;
    let names: Vec<String> = tables
        .iter()
        .take(SHOWN)
        .map(|schema| schema.name.to_string())
        .collect();
    let more = if tables.len() > SHOWN { ", …" } else { "" };
    Problem {
        path: format!("iotdb.mappings[{at}].table"),
        table: mapping.table.clone(),
        what: "no such table is read".to_owned(),
        found: format!("`{}`", mapping.table),
        expected: match names.is_empty() {
            true => {
                "a table that is there, and that mysql.tables and the filter take in".to_owned()
            }
            false => format!("one of {}{more}", names.join(", ")),
        },
    }
}

/// A table that an earlier mapping has: only the first would be written.
fn twice(mappings: &[Mapping], at: usize) -> Option<Problem> {
    let mapping = &mappings[at];
    let earlier = mappings[..at]
        .iter()
        .position(|earlier| earlier.table == mapping.table)?;
    Some(Problem {
        path: format!("iotdb.mappings[{at}].table"),
        table: mapping.table.clone(),
        what: "a table is mapped twice".to_owned(),
        found: format!("`{}`, which iotdb.mappings[{earlier}] has", mapping.table),
        expected: "one mapping of each table, with all its measurements".to_owned(),
    })
}

/// A measurement that an earlier mapping writes to the same devices: where times meet, one would overwrite the other.
fn into_one_device(plans: &[Plan], plan: &Plan, options: &IotdbOptions) -> Option<Problem> {
    let is_tree = matches!(options.model, Model::Tree { .. });
    plans.iter().find_map(|earlier| {
        let is_one = match is_tree {
            true => earlier.template.is_like(&plan.template),
            false => earlier.table == plan.table,
        };
        let names = plan.field_names();
        let shared = earlier.field_names().find(|name| names.clone().any(|own| own == *name));
        let shared = shared.filter(|_| is_one)?;
        let (at, mapping) = (plan.mapping, &options.mappings[plan.mapping]);
        Some(Problem {
            path: format!(
                "iotdb.mappings[{at}].{}",
                if is_tree { "device_template" } else { "target" }
            ),
            table: mapping.table.clone(),
            what: "two mappings write the same points".to_owned(),
            found: format!(
                "`{}` with the measurement `{shared}`, which iotdb.mappings[{}] writes to the same devices",
                mapping.target, earlier.mapping
            ),
            expected: "devices of its own, or other names of measurements".to_owned(),
        })
    })
}

/// Whether a device's template can be one: what was found, and what was expected. For before any table is known.
///
/// # Errors
/// `Configuration`.
pub fn check_template(text: &str) -> headwater_core::Result<()> {
    let template = Template::parse(text)?;
    if template.is_path() {
        return Ok(());
    }
    Err(not_a_path(text))
}

pub(super) fn not_a_path(text: &str) -> Error {
    Error::new(
        ErrorKind::Configuration,
        "the device template is no path of the tree model",
    )
    .with("template", text)
    .hint("write a path that begins with root. and one more node, such as root.plant.pump_{pumpId}")
}

#[cfg(test)]
#[path = "problem_tests.rs"]
mod tests;
