//! What a table's rows become: a mapping, fitted to the table's definition.

mod template;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use headwater_core::batch::Image;
use headwater_core::schema::{DataType, TableName, TableSchema};
use headwater_core::value::Cell;
use headwater_core::{Error, ErrorKind, Result};

pub(crate) use template::{Template, literal, node, quoted};

use crate::config::{ExtraDigits, Mapping, Measurement, Model, TimeUnit};
use crate::convert::{Conversion, fits, natural, write_text};
use crate::tablet::{Category, Layout, LayoutColumn, Pushed, Refused, Tablet};

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
}

impl Plan {
    /// Fits `mapping` to `schema`.
    ///
    /// # Errors
    /// `Configuration` with what was found and what would fit.
    pub(crate) fn new(
        (at, mapping): (usize, &Mapping),
        schema: &TableSchema,
        model: &Model,
        conversion: &Conversion,
    ) -> Result<Self> {
        let template = Template::parse(&mapping.target)?;
        let is_tree = matches!(model, Model::Tree { .. });
        if is_tree && !template.is_path() {
            return Err(
                refused(schema, "the device template is no path of the tree model")
                    .with("template", &mapping.target)
                    .hint(
                        "begin it with root. and one more node, such as root.plant.pump_{pumpId}",
                    ),
            );
        }
        let place = |name: &str| column(schema, name);
        let device_names = match is_tree {
            true => template.columns(),
            false => &mapping.device_fields,
        };
        let mut device = Vec::new();
        for name in device_names {
            device.push((name.clone(), place(name)?));
        }
        let time = place(&mapping.timestamp_field)?;
        let unit = time_column(mapping, schema, time, conversion)?;
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut plan = Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            mapping: at,
            source: schema.name.clone(),
            table: (!is_tree).then(|| mapping.target.as_str().into()),
            template,
            layout: Arc::default(),
            sources: Vec::new(),
            names: Vec::new(),
            device,
            time,
            unit,
        };
        plan.layout = Arc::new(plan.columns(mapping, schema, is_tree)?);
        Ok(plan)
    }

    fn columns(
        &mut self,
        mapping: &Mapping,
        schema: &TableSchema,
        is_tree: bool,
    ) -> Result<Layout> {
        let mut layout = Layout::default();
        let mut add = |name: &str, source: usize, series_type, category| {
            let on_the_wire = if is_tree { node(name) } else { name.to_owned() };
            layout.columns.push(LayoutColumn {
                name: on_the_wire,
                series_type,
                category,
            });
            self.sources.push(source);
            self.names.push(name.to_owned());
        };
        if !is_tree {
            use crate::tablet::SeriesType::String as Text;
            for (name, source) in &self.device {
                add(name, *source, Text, Category::Tag);
            }
            for name in &mapping.attribute_fields {
                add(name, column(schema, name)?, Text, Category::Attribute);
            }
        }
        let all = match mapping.measurements.is_empty() {
            true => every_other(schema, mapping, &self.device, self.time),
            false => mapping.measurements.clone(),
        };
        for measurement in &all {
            let source = column(schema, &measurement.field)?;
            let found = &schema.columns[source].data_type;
            fits(found, measurement.series_type).map_err(|expected| {
                refused(
                    schema,
                    "a column's values are not of the measurement's type",
                )
                .with("column", &measurement.field)
                .with("found", described(found))
                .with("type", measurement.series_type.name())
                .hint(format!("make it {expected}"))
            })?;
            add(
                &measurement.name,
                source,
                measurement.series_type,
                Category::Field,
            );
        }
        let mut names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(refused(schema, "a name is given to two columns")
                .with("name", twice[0])
                .hint("give each measurement, tag and attribute a name of its own"));
        }
        if all.is_empty() {
            return Err(refused(schema, "there is nothing to measure")
                .hint("list measurements: every column is the device or the time"));
        }
        Ok(layout)
    }

    /// The paths of a device's series in the tree model: all of them, or those at these places of the layout.
    pub(crate) fn paths(&self, device: &str, columns: Option<&[usize]>) -> Vec<String> {
        let path = |at: &usize| format!("{device}.{}", self.layout.columns[*at].name);
        match columns {
            Some(columns) => columns.iter().map(path).collect(),
            None => (0..self.layout.columns.len()).map(|at| path(&at)).collect(),
        }
    }

    /// The table of the table model.
    pub(crate) fn table(&self) -> Option<&Arc<str>> {
        self.table.as_ref()
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
}

fn push_text(cell: Cell<'_>, out: &mut String) -> Result<(), String> {
    let mut text = Vec::new();
    write_text(cell, &mut text)?;
    out.push_str(&String::from_utf8_lossy(&text));
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

/// The unit of the time's column, where it is an integer; and that its digits are not lost unasked.
fn time_column(
    mapping: &Mapping,
    schema: &TableSchema,
    time: usize,
    conversion: &Conversion,
) -> Result<Option<TimeUnit>> {
    let precision = conversion.clock.precision();
    let found = &schema.columns[time].data_type;
    let too_fine = |has: &str| {
        refused(schema, "the times have more digits than IoTDB keeps")
            .with("column", &mapping.timestamp_field)
            .with("found", has)
            .with("IoTDB keeps", precision.name())
            .hint("choose what becomes of them: iotdb.time.extra_digits: truncate or round (rows of one device may then fall on one time), or set IoTDB's timestamp_precision before its first start")
    };
    let may_lose = conversion.clock.extra_digits() == ExtraDigits::Refuse;
    match found {
        DataType::DateTime(digits) | DataType::Timestamp(digits) => {
            let kept = precision.per_second().ilog10();
            if may_lose && u32::from(*digits) > kept {
                return Err(too_fine(&format!("{digits} digits of a second")));
            }
            Ok(None)
        }
        DataType::Date => Ok(None),
        DataType::Integer { .. } => {
            let unit = mapping.timestamp_unit.unwrap_or(TimeUnit::Millisecond);
            if may_lose && unit.per_second() > precision.per_second() {
                return Err(too_fine(unit.name()));
            }
            Ok(Some(unit))
        }
        other => Err(refused(schema, "the column of the time holds none")
            .with("column", &mapping.timestamp_field)
            .with("found", described(other))
            .hint("name a DATE, DATETIME, TIMESTAMP or integer column as timestamp_field")),
    }
}

fn column(schema: &TableSchema, name: &str) -> Result<usize> {
    let mut columns = schema.columns.iter();
    let found = columns.position(|column| column.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let names: Vec<&str> = schema.columns.iter().map(|column| &*column.name).collect();
        refused(schema, "the table has no such column")
            .with("column", name)
            .hint(format!("its columns are {}", names.join(", ")))
    })
}

fn refused(schema: &TableSchema, what: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, what).with("table", &schema.name)
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
    let table = quoted(table);
    match tags {
        "" => format!("DELETE FROM {table} WHERE time = {time}"),
        tags => format!("DELETE FROM {table} WHERE time = {time} AND {tags}"),
    }
}
