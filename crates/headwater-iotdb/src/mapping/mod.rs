//! What a table's rows become: a mapping, fitted to the table's definition.

mod fit;
mod problem;
mod template;

use std::sync::Arc;

use headwater_core::batch::Image;
use headwater_core::key::KeyValue;
use headwater_core::schema::{DataType, TableName, TableSchema};
use headwater_core::value::Cell;
use headwater_core::views::Within;
use headwater_core::{Error, ErrorKind, Result};

use fit::Fitting;
pub use problem::{Declared, Problem, check_template, problems};
pub(crate) use template::{Template, literal, node, nodes, quoted};

use crate::config::{Mapping, Measurement, Model, TimeUnit};
use crate::convert::{Conversion, natural, write_text};
use crate::tablet::{Category, Layout, Pushed, Refused, Tablet, Values};

/// Seconds by which a local time may stand from its point in time: every zone's offset, and what clocks are set by.
const LOCAL_SLACK_S: i64 = 26 * 3600;

/// A mapping, fitted to a definition.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Unique within the process.
    pub(crate) number: u64,
    /// The mapping's place in the configuration.
    pub(crate) mapping: usize,
    pub(crate) source: TableName,
    template: Template,
    /// The table of the table model.
    table: Option<Arc<str>>,
    pub(crate) layout: Arc<Layout>,
    /// For each column of the layout that of the source.
    pub(crate) sources: Vec<usize>,
    /// The names of the layout's columns as the configuration has them.
    pub(crate) names: Vec<String>,
    /// The source's columns that make the device, and their names: those of the template, in its order, or the tags.
    pub(crate) device: Vec<(String, usize)>,
    time: usize,
    unit: Option<TimeUnit>,
    /// The columns of the source's key, and their names.
    pub(crate) key: Vec<(String, usize)>,
}

impl Plan {
    /// Fits `mapping` to `schema`.
    ///
    /// # Errors
    /// `Configuration` with the first thing that does not fit: what was found and what was expected.
    pub(crate) fn new(
        mapping: (usize, &Mapping),
        schema: &TableSchema,
        model: &Model,
        conversion: &Conversion,
    ) -> Result<Self> {
        Self::fit(mapping, schema, model, conversion, &|_, _| None).map_err(|problems| {
            let first = problems.into_iter().next().map(Problem::into_error);
            first.unwrap_or_else(|| Error::new(ErrorKind::Internal, "a mapping fits, and does not"))
        })
    }

    /// The same with everything that does not fit; `declared` knows columns' types by the names that their database has for them.
    pub(crate) fn fit(
        (at, mapping): (usize, &Mapping),
        schema: &TableSchema,
        model: &Model,
        conversion: &Conversion,
        declared: Declared<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let mut fitting = Fitting {
            at,
            mapping,
            schema,
            conversion,
            declared,
            is_tree: matches!(model, Model::Tree { .. }),
            problems: Vec::new(),
        };
        match fitting.plan() {
            Some(plan) if fitting.problems.is_empty() => Ok(plan),
            _ => Err(fitting.problems),
        }
    }

    /// The names of its fields.
    pub(crate) fn field_names(&self) -> impl Iterator<Item = &str> + Clone {
        let pairs = self.names.iter().zip(&self.layout.columns);
        let fields = pairs.filter(|(_, column)| column.category == Category::Field);
        fields.map(|(name, _)| name.as_str())
    }

    /// The paths of a device's series in the tree model: all of them, or those at these places of the layout.
    pub(crate) fn paths(&self, device: &str, columns: Option<&[usize]>) -> Vec<String> {
        let path = |at: &usize| format!("{device}.{}", self.layout.columns[*at].name);
        match columns {
            Some(columns) => columns.iter().map(path).collect(),
            None => (0..self.layout.columns.len()).map(|at| path(&at)).collect(),
        }
    }

    /// The source's column that tells the time.
    pub(crate) fn time_column(&self) -> usize {
        self.time
    }

    /// The table of the table model.
    pub(crate) fn table(&self) -> Option<&Arc<str>> {
        self.table.as_ref()
    }

    /// The statement that makes the table of the table model, as its first row would.
    pub(crate) fn create_table(&self) -> String {
        let columns = self.layout.columns.iter().map(|column| {
            let (kind, category) = (column.series_type.name(), column.category.name());
            format!("{} {kind} {category}", quoted(&column.name))
        });
        let columns: Vec<String> = columns.collect();
        let table = quoted(self.table.as_deref().unwrap_or_default());
        format!(
            "CREATE TABLE IF NOT EXISTS {table} ({})",
            columns.join(", ")
        )
    }

    /// The device of a row: its path, or in the table model what tells it from others.
    pub(crate) fn device(&self, image: &Image<'_>, out: &mut String) -> Result<(), String> {
        if self.table.is_some() {
            return self.tags(image, out);
        }
        self.template.render(out, |column, node| {
            let (name, source) = &self.device[column];
            let cell = image.cell(*source);
            if cell.is_null() {
                return Err(format!("its device field {name} is NULL"));
            }
            push_text(cell, node)
        })
    }

    /// The condition on the tags that is true for this row's device alone.
    fn tags(&self, image: &Image<'_>, out: &mut String) -> Result<(), String> {
        for (at, (name, source)) in self.device.iter().enumerate() {
            if at > 0 {
                out.push_str(" AND ");
            }
            out.push_str(&quoted(name));
            match image.cell(*source) {
                Cell::Null => out.push_str(" IS NULL"),
                cell => {
                    let mut text = String::new();
                    push_text(cell, &mut text)?;
                    out.push('=');
                    out.push_str(&literal(&text));
                }
            }
        }
        Ok(())
    }

    /// The time of a row.
    pub(crate) fn time(&self, image: &Image<'_>, conversion: &Conversion) -> Result<i64, String> {
        let cell = image.cell(self.time);
        match (cell, self.unit) {
            (Cell::Null, _) => Err("its time is NULL".to_owned()),
            (Cell::Int(value), Some(unit)) => conversion.clock.counted(value, unit),
            (Cell::UInt(value), Some(unit)) => {
                let value = i64::try_from(value).map_err(|_| format!("{value} is beyond times"))?;
                conversion.clock.counted(value, unit)
            }
            (cell, _) => conversion.time(cell),
        }
    }

    /// The rows of the source whose time may lie in one of these ranges of IoTDB's times. They hold more than that: zones, clocks
    /// that are set and rounding move a time, and the exact one is the row's own.
    pub(crate) fn within(
        &self,
        schema: &TableSchema,
        ranges: &[(i64, i64)],
        conversion: &Conversion,
    ) -> Within {
        let column = &schema.columns[self.time];
        let clock = &conversion.clock;
        let range = |&(first, last): &(i64, i64)| match (&column.data_type, self.unit) {
            (_, Some(unit)) => {
                let (first, last) = clock.counts_between(first, last, unit);
                (KeyValue::Int(first), KeyValue::Int(last))
            }
            (DataType::Date, _) => {
                let (first, last) = clock.civil_between(first, last, LOCAL_SLACK_S);
                (KeyValue::Date(first.date), KeyValue::Date(last.date))
            }
            (DataType::Timestamp(_), _) => {
                let (first, last) = clock.civil_between(first, last, 2);
                (KeyValue::DateTime(first), KeyValue::DateTime(last))
            }
            _ => {
                let (first, last) = clock.civil_between(first, last, LOCAL_SLACK_S);
                (KeyValue::DateTime(first), KeyValue::DateTime(last))
            }
        };
        Within {
            column: column.name.clone(),
            ranges: ranges.iter().map(range).collect(),
        }
    }

    /// Appends a row to its tablet.
    pub(crate) fn push(
        &self,
        tablet: &mut Tablet,
        time: i64,
        key: &[u8],
        image: &Image<'_>,
        conversion: &Conversion,
    ) -> Result<Pushed, Refused> {
        tablet.push(time, key, |at, out| {
            let cell = image.cell(self.sources[at]);
            conversion.push(cell, self.layout.columns[at].series_type, out)
        })
    }

    /// Appends rows at once, column by column: the tablet is then as if each had been pushed. None where one of them is refused,
    /// or has no point: the tablet is as it was, and the rows have to be pushed one by one.
    pub(crate) fn push_block(
        &self,
        tablet: &mut Tablet,
        times: &[i64],
        images: &[Image<'_>],
        conversion: &Conversion,
        keys: impl FnOnce(&mut Values),
    ) -> Option<Pushed> {
        tablet.push_block(times, keys, |at, rows, out| {
            let series_type = self.layout.columns[at].series_type;
            conversion.push_column(images, self.sources[at], series_type, rows, out)
        })
    }
}

fn push_text(cell: Cell<'_>, out: &mut String) -> Result<(), String> {
    // The most usual ones without a detour.
    match cell {
        Cell::Int(value) => out.push_str(itoa::Buffer::new().format(value)),
        Cell::Text(text) => out.push_str(text),
        cell => {
            let mut text = Vec::new();
            write_text(cell, &mut text)?;
            out.push_str(&String::from_utf8_lossy(&text));
        }
    }
    Ok(())
}

/// Every column that is not the device, nor the time, nor the key alone.
fn every_other(
    schema: &TableSchema,
    mapping: &Mapping,
    device: &[(String, usize)],
    time: usize,
) -> Vec<Measurement> {
    let is_device = |at: usize| device.iter().any(|(_, source)| *source == at);
    let is_attribute = |name: &str| mapping.attribute_fields.iter().any(|field| field == name);
    let columns = schema.columns.iter().enumerate();
    columns
        .filter(|(at, column)| !is_device(*at) && *at != time && !is_attribute(&column.name))
        .map(|(_, column)| Measurement {
            name: column.name.to_string(),
            series_type: natural(&column.data_type),
            field: column.name.to_string(),
        })
        .collect()
}

/// A column's type, for people.
pub(crate) fn described(data_type: &DataType) -> String {
    match data_type {
        DataType::Integer { bits, unsigned } => {
            format!(
                "{}integer of {bits} bits",
                if *unsigned { "unsigned " } else { "" }
            )
        }
        DataType::Bit => "BIT".to_owned(),
        DataType::Year => "YEAR".to_owned(),
        DataType::Float => "FLOAT".to_owned(),
        DataType::Double => "DOUBLE".to_owned(),
        DataType::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        DataType::Text => "text".to_owned(),
        DataType::Bytes => "bytes".to_owned(),
        DataType::Date => "DATE".to_owned(),
        DataType::Time(_) => "TIME".to_owned(),
        DataType::DateTime(digits) => format!("DATETIME({digits})"),
        DataType::Timestamp(digits) => format!("TIMESTAMP({digits})"),
        DataType::Enum(_) => "ENUM".to_owned(),
        DataType::Set(_) => "SET".to_owned(),
        DataType::Json => "JSON".to_owned(),
        DataType::Geometry => "geometry".to_owned(),
        DataType::Vector => "VECTOR".to_owned(),
    }
}

/// The statement that deletes a row of the table model: `tags` is the condition on its tags.
pub(crate) fn delete_row(table: &str, tags: &str, time: i64) -> String {
    let row = row_condition(tags, time);
    format!("DELETE FROM {} WHERE {row}", quoted(table))
}

/// The condition that is true for a row of the table model alone.
pub(crate) fn row_condition(tags: &str, time: i64) -> String {
    match tags {
        "" => format!("time = {time}"),
        tags => format!("time = {time} AND {tags}"),
    }
}
