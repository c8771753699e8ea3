//! Events of changed definitions (`output_ddl`), in Maxwell's form: `type, database, [table], [old], [def] or [charset], ts, sql,
//! [position], [gtid]`, with `ts` in milliseconds. (Maxwell: `ResolvedDatabaseCreate` and its kin, `Table`, `ColumnDef`.)

use headwater_core::ddl::{ColumnLayout, Defined, DefinitionChange, Detail, Layout};

use super::Options;
use crate::append;
use crate::escape;

/// The type of such an event.
pub(super) const fn event_type(what: Defined) -> &'static str {
    match what {
        Defined::DatabaseCreated => "database-create",
        Defined::DatabaseAltered => "database-alter",
        Defined::DatabaseDropped => "database-drop",
        Defined::TableCreated => "table-create",
        Defined::TableAltered => "table-alter",
        Defined::TableDropped => "table-drop",
    }
}

/// Appends the event.
pub(super) fn push(
    out: &mut Vec<u8>,
    change: &DefinitionChange,
    timestamp_s: u32,
    options: &Options,
) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(event_type(change.what).as_bytes());
    out.push(b'"');
    push_text(out, ",\"database\":", &change.database);
    if let Some(table) = &change.table {
        push_text(out, ",\"table\":", table);
    }
    if let Some(old) = &change.old {
        push_layout(out, ",\"old\":", old);
    }
    if let Some(new) = &change.new {
        push_layout(out, ",\"def\":", new);
    }
    if let Some(charset) = &change.charset {
        push_text(out, ",\"charset\":", charset);
    }
    out.extend_from_slice(b",\"ts\":");
    append::push_uint(out, u64::from(timestamp_s) * 1000);
    push_text(out, ",\"sql\":", &change.sql);
    if options.output_binlog_position {
        match &change.position {
            Some(position) => push_text(out, ",\"position\":", position),
            None => out.extend_from_slice(b",\"position\":null"),
        }
    }
    if options.output_gtid_position {
        match &change.gtid {
            Some(gtid) => push_text(out, ",\"gtid\":", gtid),
            None => out.extend_from_slice(b",\"gtid\":null"),
        }
    }
    out.push(b'}');
}

fn push_text(out: &mut Vec<u8>, name: &str, text: &str) {
    out.extend_from_slice(name.as_bytes());
    escape::push_string(out, text);
}

fn push_layout(out: &mut Vec<u8>, name: &str, layout: &Layout) {
    out.extend_from_slice(name.as_bytes());
    push_text(out, "{\"database\":", &layout.database);
    push_text(out, ",\"charset\":", &layout.charset);
    push_text(out, ",\"table\":", &layout.table);
    out.extend_from_slice(b",\"columns\":");
    push_list(out, &layout.columns, push_column);
    out.extend_from_slice(b",\"primary-key\":");
    push_list(out, &layout.primary_key, |out, &place| {
        let name = layout.columns.get(place).map_or("", |column| &column.name);
        escape::push_string(out, name);
    });
    out.push(b'}');
}

fn push_list<T>(out: &mut Vec<u8>, list: &[T], mut push: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (place, one) in list.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push(out, one);
    }
    out.push(b']');
}

fn push_column(out: &mut Vec<u8>, column: &ColumnLayout) {
    push_text(out, "{\"type\":", &column.native);
    push_text(out, ",\"name\":", &column.name);
    match &column.detail {
        Detail::Nothing => {}
        Detail::Charset(charset) => push_text(out, ",\"charset\":", charset),
        Detail::Signed(true) => out.extend_from_slice(b",\"signed\":true"),
        Detail::Signed(false) => out.extend_from_slice(b",\"signed\":false"),
        Detail::Labels(labels) => {
            out.extend_from_slice(b",\"enum-values\":");
            push_list(out, labels, |out, label| escape::push_string(out, label));
        }
        Detail::Digits(digits) => {
            out.extend_from_slice(b",\"column-length\":");
            append::push_uint(out, u64::from(*digits));
        }
    }
    out.push(b'}');
}
