//! MariaDB's system-versioned tables. The log has what happens to the rows of the past too: an UPDATE is followed by an
//! insert of the row as it was, a DELETE is an update of the row's end, and DELETE HISTORY is a delete. What goes out is
//! what happens to the current rows, whose end is the last moment that a TIMESTAMP can hold.

use headwater_core::Result;
use headwater_core::batch::{Batch, Row, Verdict};
use headwater_core::value::{Cell, Date, DateTime};

use super::emit::{Ready, append, bound, head};
use super::tables::Tables;
use crate::decode::event::Body;

/// What becomes of a row of the log, `end` being the position of its end's column.
pub(super) fn verdict(row: &Row<'_>, end: usize) -> Verdict {
    let before = row.before().map(|image| is_current(&image.cell(end)));
    let after = row.after().map(|image| match image.cell(end) {
        Cell::Absent => before.unwrap_or(true),
        cell => is_current(&cell),
    });
    match (before, after) {
        (Some(true), Some(false)) => Verdict::AsDelete,
        (Some(false), Some(true)) => Verdict::AsInsert,
        (Some(false), _) | (None, Some(false)) => Verdict::Drop,
        _ => Verdict::Keep,
    }
}

/// Whether a row with this end is a current one: what a TIMESTAMP can hold ends in 2038, since MariaDB 11.5 in 2106.
fn is_current(end: &Cell<'_>) -> bool {
    let last = |year, month, day, hour, minute, second| DateTime {
        date: Date { year, month, day },
        hour,
        minute,
        second,
        micros: 999_999,
        digits: 6,
    };
    match end {
        Cell::Timestamp(end) => {
            *end == last(2038, 1, 19, 3, 14, 7) || *end == last(2106, 2, 7, 6, 28, 15)
        }
        _ => true,
    }
}

/// How many of a transaction's rows events there are up to the last one of which a row goes out, so that this row is known
/// to be the transaction's last: rows of the past come last.
pub(super) fn events_that_count(ready: &mut Ready, tables: &Tables) -> Result<u64> {
    let (mut events, mut count) = (0, 0);
    let mut batch = Batch::new();
    let mut scratch = Vec::new();
    while let Some((event, _)) = ready.cursor.next(&ready.buffer)? {
        let Body::Rows(rows) = event.parse()? else {
            continue;
        };
        events += 1;
        if tables.leaves_out(rows.table_id) {
            continue;
        }
        let bound = bound(ready.bindings.as_ref(), tables, rows.table_id)?;
        if bound.is_silent {
            continue;
        }
        if bound.row_end.is_some() {
            let head = head(&rows, &event.header, batch.add_schema(&bound.schema));
            append(&rows, &bound, head, &mut scratch, &mut batch)?;
            let goes_out = !batch.is_empty();
            batch.clear();
            if !goes_out {
                continue;
            }
        }
        count = events;
    }
    ready.cursor.restart()?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_current_as_long_as_a_timestamp_lasts() {
        let mut end = DateTime {
            date: Date {
                year: 2038,
                month: 1,
                day: 19,
            },
            hour: 3,
            minute: 14,
            second: 7,
            micros: 999_999,
            digits: 6,
        };
        assert!(is_current(&Cell::Timestamp(end)));
        end.micros -= 1;
        assert!(!is_current(&Cell::Timestamp(end)));
        assert!(is_current(&Cell::UInt(u64::MAX)));
    }
}
