//! Pipelines: bootstrapped, then live, in worlds made from seeds and where records are refused.

mod dedup;
mod options;
mod records;
mod worlds;

use headwater_core::batch::Image;
use headwater_core::value::Cell;
use headwater_fold::Refused;
use headwater_fold::monoid::{Count, SumInteger};
use headwater_fold::pipeline::Pipeline;
use headwater_fold::store::Embedded;

/// A row of the world.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) table: String,
    pub(crate) note: Option<String>,
    pub(crate) version: i128,
}

pub(crate) fn record(image: &Image<'_>) -> Result<Record, Refused> {
    let schema = image.schema();
    let cell = |name: &str| {
        let at = schema
            .columns
            .iter()
            .position(|column| &*column.name == name);
        at.map_or(Cell::Absent, |at| image.cell(at))
    };
    let (Cell::Int(version), note) = (cell("version"), cell("note")) else {
        return Err(Refused::unsuitable("no version"));
    };
    Ok(Record {
        table: schema.name.table.to_string(),
        note: match note {
            Cell::Text(note) => Some(note.to_owned()),
            _ => None,
        },
        version: version.into(),
    })
}

/// How many rows there are, and the sum of their versions, by table and note.
pub(crate) type Versions = Pipeline<Record, ((), i128), (Count, SumInteger), Embedded>;

pub(crate) fn versions(store: Embedded) -> Versions {
    Pipeline::named("versions")
        .records(record)
        .key(|record: &Record| (record.table.clone(), record.note.clone()))
        .value(|record: &Record| ((), record.version))
        .monoid((Count, SumInteger))
        .store(store)
}
