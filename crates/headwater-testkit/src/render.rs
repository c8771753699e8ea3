//! Rows of batches as the oracle's events.

use headwater_core::batch::{Batch, ChangeKind, Image, Row};
use headwater_core::value::Cell;

use crate::oracle::{Event, Image as Rendered, Kind};

/// A row's image. A NULL column is left out, so that a column which was added later is the same as one that is NULL.
#[must_use]
pub fn image(image: &Image<'_>) -> Rendered {
    let columns = image.schema().columns.iter().zip(image.cells());
    columns
        .filter_map(|(column, cell)| Some((column.name.to_string(), Some(text(cell)?))))
        .collect()
}

/// A cell as text; none for NULL.
#[must_use]
pub fn text(cell: Cell<'_>) -> Option<String> {
    let text = match cell {
        Cell::Absent | Cell::Null => return None,
        Cell::Int(value) => value.to_string(),
        Cell::UInt(value) => value.to_string(),
        Cell::Float(value) => value.to_string(),
        Cell::Double(value) => value.to_string(),
        Cell::Decimal(value) | Cell::Text(value) | Cell::Json(value) | Cell::Set(value) => {
            value.to_owned()
        }
        Cell::Bytes(value) | Cell::Geometry(value) | Cell::Vector(value) => format!("{value:02x?}"),
        Cell::Date(value) => value.to_string(),
        Cell::Time(value) => value.to_string(),
        Cell::DateTime(value) | Cell::Timestamp(value) => value.to_string(),
    };
    Some(text)
}

/// A row as an event; none for table marks and DDL.
#[must_use]
pub fn event(row: &Row<'_>) -> Option<Event> {
    let kind = match row.kind() {
        ChangeKind::Bootstrap => Kind::Bootstrap,
        ChangeKind::Insert => Kind::Insert,
        ChangeKind::Update => Kind::Update,
        ChangeKind::Delete => Kind::Delete,
        ChangeKind::Truncate => Kind::Truncate,
        ChangeKind::Ddl | ChangeKind::BootstrapStart | ChangeKind::BootstrapComplete => {
            return None;
        }
    };
    Some(Event {
        table: row.schema().name.to_string(),
        kind,
        before: row.before().map(|before| image(&before)),
        after: row.after().map(|after| image(&after)),
    })
}

/// All events of a batch.
#[must_use]
pub fn events(batch: &Batch) -> Vec<Event> {
    batch.rows().filter_map(|row| event(&row)).collect()
}
