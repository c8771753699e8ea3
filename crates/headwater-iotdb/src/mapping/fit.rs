//! Fitting a mapping to a table's definition. It goes on after what does not fit, so that all of that is told at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use headwater_core::schema::{DataType, TableSchema};

use super::problem::not_a_path;
use super::{Declared, Plan, Problem, Template, described, every_other, node};
use crate::config::{ExtraDigits, Mapping, Measurement, SeriesType, TimeUnit};
use crate::convert::{Conversion, fits};
use crate::tablet::{Category, Layout, LayoutColumn};

/// A mapping and a definition, and what of them does not fit.
pub(super) struct Fitting<'a> {
    pub(super) at: usize,
    pub(super) mapping: &'a Mapping,
    pub(super) schema: &'a TableSchema,
    pub(super) conversion: &'a Conversion,
    pub(super) declared: Declared<'a>,
    pub(super) is_tree: bool,
    pub(super) problems: Vec<Problem>,
}

/// The columns of a table's key.
fn key(schema: &TableSchema) -> Vec<(String, usize)> {
    let named = |&column: &usize| (schema.columns[column].name.to_string(), column);
    schema.key.iter().map(named).collect()
}

impl Fitting<'_> {
    /// The plan, as far as there is one.
    pub(super) fn plan(&mut self) -> Option<Plan> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mapping = self.mapping;
        let template = self.template();
        let names: Vec<(String, String)> = match (self.is_tree, &template) {
            (true, Some(template)) => {
                let columns = template.columns().iter();
                columns
                    .map(|name| ("device_template".to_owned(), name.clone()))
                    .collect()
            }
            (true, None) => Vec::new(),
            (false, _) => {
                let tags = mapping.device_fields.iter().enumerate();
                tags.map(|(at, name)| (format!("tags[{at}]"), name.clone()))
                    .collect()
            }
        };
        let mut device = Vec::new();
        for (path, name) in names {
            let place = self.column(&path, &name);
            device.extend(place.map(|place| (name, place)));
        }
        let time = self.column("timestamp_field", &mapping.timestamp_field);
        let unit = time.and_then(|time| self.unit(time));
        let mut plan = Plan {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            mapping: self.at,
            source: self.schema.name.clone(),
            table: (!self.is_tree).then(|| mapping.target.as_str().into()),
            template: template.unwrap_or_default(),
            layout: Arc::default(),
            sources: Vec::new(),
            names: Vec::new(),
            device,
            time: time.unwrap_or(usize::MAX),
            unit,
            key: key(self.schema),
        };
        plan.layout = Arc::new(self.layout(&mut plan));
        time.map(|_| plan)
    }

    fn say(
        &mut self,
        path: &str,
        what: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let dot = if path.is_empty() { "" } else { "." };
        self.problems.push(Problem {
            path: format!("iotdb.mappings[{}]{dot}{path}", self.at),
            table: self.schema.name.clone(),
            what: what.into(),
            found: found.into(),
            expected: expected.into(),
        });
    }

    fn template(&mut self) -> Option<Template> {
        // A table's name of the table model is no template, whatever is in it.
        if !self.is_tree {
            return None;
        }
        let text = &self.mapping.target;
        let parsed = Template::parse(text).and_then(|template| match template.is_path() {
            true => Ok(template),
            false => Err(not_a_path(text)),
        });
        parsed
            .map_err(|error| {
                let expected = "a path such as root.plant.pump_{pumpId}";
                self.say(
                    "device_template",
                    error.message().to_owned(),
                    format!("`{text}`"),
                    expected,
                );
            })
            .ok()
    }

    fn column(&mut self, path: &str, name: &str) -> Option<usize> {
        let mut columns = self.schema.columns.iter();
        let found = columns.position(|column| column.name.eq_ignore_ascii_case(name));
        if found.is_none() {
            let columns = self.schema.columns.iter();
            let names: Vec<&str> = columns.map(|column| &*column.name).collect();
            let what = format!("the table {} has no such column", self.schema.name);
            self.say(
                path,
                what,
                format!("`{name}`"),
                format!("one of {}", names.join(", ")),
            );
        }
        found
    }

    /// A column's type as its database declares it.
    fn declared(&self, column: usize) -> String {
        let column = &self.schema.columns[column];
        let declared = (self.declared)(&self.schema.name, &column.name);
        declared.map_or_else(
            || described(&column.data_type),
            |declared| declared.to_uppercase(),
        )
    }

    fn layout(&mut self, plan: &mut Plan) -> Layout {
        let mapping = self.mapping;
        let mut layout = Layout::default();
        if !self.is_tree {
            for (at, (name, source)) in plan.device.clone().into_iter().enumerate() {
                let path = format!("tags[{at}]");
                self.not_bytes(&path, source, "tag");
                self.add(plan, &mut layout, &path, (&name, source), Category::Tag);
            }
            for (at, name) in mapping.attribute_fields.iter().enumerate() {
                let path = format!("attributes[{at}]");
                if let Some(source) = self.column(&path, name) {
                    self.not_bytes(&path, source, "attribute");
                    self.add(
                        plan,
                        &mut layout,
                        &path,
                        (name, source),
                        Category::Attribute,
                    );
                }
            }
        } else {
            for (_, source) in plan.device.clone() {
                self.not_bytes("device_template", source, "part of a path");
            }
        }
        let is_listed = !mapping.measurements.is_empty();
        let all = match is_listed {
            true => mapping.measurements.clone(),
            false if plan.time == usize::MAX => return layout,
            false => every_other(self.schema, mapping, &plan.device, plan.time),
        };
        if all.is_empty() {
            let found = "no column but those of the device and the time";
            self.say(
                "",
                "there is nothing to measure",
                found,
                "a column to measure",
            );
        }
        for (at, measurement) in all.iter().enumerate() {
            let path = |key: &str| match is_listed {
                true => format!("measurements[{at}].{key}"),
                false => String::new(),
            };
            let Some(source) = self.column(&path("field"), &measurement.field) else {
                continue;
            };
            self.fits(&path("type"), source, measurement);
            let named = (measurement.name.as_str(), source);
            self.add(plan, &mut layout, &path("name"), named, Category::Field);
            if let Some(last) = layout.columns.last_mut() {
                last.series_type = measurement.series_type;
            }
        }
        layout
    }

    fn add(
        &mut self,
        plan: &mut Plan,
        layout: &mut Layout,
        path: &str,
        (name, source): (&str, usize),
        category: Category,
    ) {
        if plan.names.iter().any(|known| known == name) {
            let expected = "a name of its own for each measurement, tag and attribute";
            self.say(
                path,
                "a name is given to two columns",
                format!("`{name}` again"),
                expected,
            );
        }
        let on_the_wire = if self.is_tree {
            node(name)
        } else {
            name.to_owned()
        };
        layout.columns.push(LayoutColumn {
            name: on_the_wire,
            series_type: SeriesType::String,
            category,
        });
        plan.sources.push(source);
        plan.names.push(name.to_owned());
    }

    fn not_bytes(&mut self, path: &str, source: usize, what: &str) {
        let column = &self.schema.columns[source];
        let is_bytes = matches!(
            column.data_type,
            DataType::Bytes | DataType::Geometry | DataType::Vector
        );
        if is_bytes {
            let what = format!("the column `{}` cannot be a {what}", column.name);
            let found = self.declared(source);
            self.say(path, what, found, "a column that can be written as text");
        }
    }

    fn fits(&mut self, path: &str, source: usize, measurement: &Measurement) {
        let found = &self.schema.columns[source].data_type;
        if let Err(expected) = fits(found, measurement.series_type) {
            let what = format!(
                "the column `{}` cannot be {}",
                measurement.field,
                measurement.series_type.name()
            );
            let found = self.declared(source);
            self.say(path, what, found, format!("{expected} for it"));
        }
    }

    /// The unit of the time's column, where it is an integer; and that its digits are not lost unasked.
    fn unit(&mut self, time: usize) -> Option<TimeUnit> {
        let (mapping, clock) = (self.mapping, &self.conversion.clock);
        let precision = clock.precision();
        let may_lose = clock.extra_digits() == ExtraDigits::Refuse;
        let what = format!(
            "the times of `{}` have more digits than IoTDB keeps",
            mapping.timestamp_field
        );
        let expected = format!(
            "at most {}; or say what becomes of the others: iotdb.time.extra_digits: truncate or round (rows of one device may then \
             fall on one time)",
            precision.name()
        );
        match &self.schema.columns[time].data_type {
            DataType::DateTime(digits) | DataType::Timestamp(digits) => {
                if may_lose && u32::from(*digits) > precision.per_second().ilog10() {
                    let found = self.declared(time);
                    self.say("timestamp_field", what, found, expected);
                }
                None
            }
            DataType::Date => None,
            DataType::Integer { .. } => {
                let unit = mapping.timestamp_unit.unwrap_or(TimeUnit::Millisecond);
                if may_lose && unit.per_second() > precision.per_second() {
                    self.say("timestamp_unit", what, unit.name(), expected);
                }
                Some(unit)
            }
            _ => {
                let what = format!("the column `{}` holds no time", mapping.timestamp_field);
                let found = self.declared(time);
                let expected = "a DATE, DATETIME, TIMESTAMP or integer column";
                self.say("timestamp_field", what, found, expected);
                None
            }
        }
    }
}
