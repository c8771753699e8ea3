//! A column of many rows at once: what is usual for its type is chosen before the first of them, and all else goes the way of a
//! single value.

use headwater_core::batch::Image;
use headwater_core::value::Cell;

use super::Conversion;
use crate::config::SeriesType;
use crate::tablet::Values;

/// The rows of a block, and where their cells go.
struct Column<'a, 'b> {
    images: &'a [Image<'b>],
    /// The column of the source.
    source: usize,
    series_type: SeriesType,
    /// Rows of the tablet before these.
    rows: usize,
}

impl Conversion {
    /// Appends the cells of a column of the source to a column of the type, behind `rows` that are there already. Says how many
    /// have no value; none where one is refused, with some of them appended.
    pub(crate) fn push_column(
        &self,
        images: &[Image<'_>],
        source: usize,
        series_type: SeriesType,
        rows: usize,
        out: &mut Values,
    ) -> Option<u32> {
        let column = Column {
            images,
            source,
            series_type,
            rows,
        };
        match series_type {
            SeriesType::Boolean => self.fixed::<1>(&column, out, |_| None),
            SeriesType::Int32 => self.fixed(&column, out, |cell| match cell {
                Cell::Int(value) => i32::try_from(value).ok().map(i32::to_be_bytes),
                _ => None,
            }),
            SeriesType::Int64 => self.fixed(&column, out, |cell| match cell {
                Cell::Int(value) => Some(value.to_be_bytes()),
                _ => None,
            }),
            SeriesType::Float => self.fixed(&column, out, |cell| match cell {
                Cell::Float(value) => Some(value.to_be_bytes()),
                _ => None,
            }),
            SeriesType::Double => self.fixed(&column, out, |cell| match cell {
                Cell::Double(value) => Some(value.to_be_bytes()),
                _ => None,
            }),
            SeriesType::Timestamp => self.fixed::<8>(&column, out, |_| None),
            SeriesType::Date => self.fixed::<4>(&column, out, |_| None),
            SeriesType::Text | SeriesType::String | SeriesType::Blob => self.varied(&column, out),
        }
    }

    /// `usual` knows the bytes of what a column mostly holds.
    fn fixed<const N: usize>(
        &self,
        column: &Column<'_, '_>,
        out: &mut Values,
        usual: impl Fn(Cell<'_>) -> Option<[u8; N]>,
    ) -> Option<u32> {
        let mut other = Values::default();
        out.extend_fixed(column.rows, column.images, |image| {
            match image.cell(column.source) {
                Cell::Null => Some(None),
                cell => match usual(cell) {
                    Some(bytes) => Some(Some(bytes)),
                    None => {
                        other.clear();
                        match self.push_any(cell, column.series_type, &mut other) {
                            Ok(true) => other.only().map(Some),
                            Ok(false) => Some(None),
                            Err(_) => None,
                        }
                    }
                },
            }
        })
    }

    fn varied(&self, column: &Column<'_, '_>, out: &mut Values) -> Option<u32> {
        out.extend_varied(column.rows, column.images, |image, out| {
            match image.cell(column.source) {
                Cell::Null => Some(false),
                cell => self.push_any(cell, column.series_type, out).ok(),
            }
        })
    }
}
