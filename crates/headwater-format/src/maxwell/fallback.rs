//! What Maxwell sends to its dead-letter topic in place of an event that cannot be delivered: the table and the key.

use headwater_core::batch::Row;

use super::key::{Of, for_each_key_cell};
use super::value;
use crate::escape;

/// Maxwell's name for a record that is larger than the server takes.
pub const TOO_LARGE: &str = "RecordTooLargeException";

/// Appends `{"database":…,"table":…,"type":"insert","reason":…,"data":{…}}` with the columns of the primary key only. The type
/// is always `insert`, as Maxwell has it.
pub fn push(out: &mut Vec<u8>, row: Row<'_>, reason: &str) {
    let name = &row.schema().name;
    out.extend_from_slice(b"{\"database\":");
    escape::push_string(out, &name.database);
    out.extend_from_slice(b",\"table\":");
    escape::push_string(out, &name.table);
    out.extend_from_slice(b",\"type\":\"insert\",\"reason\":");
    escape::push_string(out, reason);
    out.extend_from_slice(b",\"data\":{");
    let mut is_first = true;
    for_each_key_cell(row, Of::Row, |name, cell| {
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        escape::push_string(out, name);
        out.push(b':');
        value::push(out, &cell);
    });
    out.extend_from_slice(b"}}");
}
