//! Deletes that wait together, gathered into few calls. They all go before the rows that wait with them ([`super::pending`]), so
//! their own order is free.
//!
//! A call is one operation of the server: points of one time (`deleteData`), or one statement of the table model. Several statements
//! in a call (`executeBatchStatement`) would be fewer calls and are not to be had: the server goes on with the rest of them after the
//! call was given up, behind what was written since.

use std::collections::BTreeMap;

use super::pending::Delete;
use crate::config::Model;

/// Bytes of a call.
const CALL_BYTES_MAX: usize = 64 * 1024;
/// Rows of a statement: its condition is taken apart by recursion at the server.
const ROWS_MAX: usize = 100;

/// Deletes that go in one call.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) what: What,
    /// Their places among those that were given.
    pub(super) deletes: Vec<usize>,
}

/// What a call deletes.
#[derive(Debug)]
pub(super) enum What {
    /// The points of these series at one time.
    Points(Vec<String>, i64),
    /// The rows that a statement means.
    Rows(String),
}

impl Model {
    /// The calls that `deletes` take.
    pub(super) fn gathered(&self, deletes: &[Delete]) -> Vec<Gathered> {
        match self {
            Self::Tree { .. } => by_time(deletes),
            Self::Table { .. } => by_table(deletes),
        }
    }
}

/// A call for each time, with all the series of which it deletes a point.
fn by_time(deletes: &[Delete]) -> Vec<Gathered> {
    let mut times: BTreeMap<i64, Gathered> = BTreeMap::new();
    let (mut full, mut bytes) = (Vec::new(), BTreeMap::new());
    for (at, delete) in deletes.iter().enumerate() {
        let more = delete.plan.paths(&delete.device, delete.columns.as_deref());
        let size: &mut usize = bytes.entry(delete.time).or_default();
        *size += more.iter().map(String::len).sum::<usize>();
        if *size > CALL_BYTES_MAX {
            *size = 0;
            full.extend(times.remove(&delete.time));
        }
        let call = times.entry(delete.time).or_insert_with(|| Gathered {
            what: What::Points(Vec::new(), delete.time),
            deletes: Vec::new(),
        });
        if let What::Points(paths, _) = &mut call.what {
            paths.extend(more);
        }
        call.deletes.push(at);
    }
    full.extend(times.into_values());
    full
}

/// A statement for each table, with all the rows that it deletes.
fn by_table(deletes: &[Delete]) -> Vec<Gathered> {
    let mut tables: BTreeMap<&str, Vec<(String, Vec<usize>)>> = BTreeMap::new();
    for (at, delete) in deletes.iter().enumerate() {
        let Some(table) = delete.plan.table() else {
            continue;
        };
        let row = crate::mapping::row_condition(&delete.device, delete.time);
        let statements = tables.entry(table).or_default();
        match statements.last_mut() {
            Some((list, places))
                if places.len() < ROWS_MAX && list.len() + row.len() <= CALL_BYTES_MAX =>
            {
                list.push_str(&format!(" OR ({row})"));
                places.push(at);
            }
            _ => statements.push((format!("({row})"), vec![at])),
        }
    }
    let calls = tables.into_iter().flat_map(|(table, statements)| {
        let table = crate::mapping::quoted(table);
        statements.into_iter().map(move |(rows, deletes)| Gathered {
            what: What::Rows(format!("DELETE FROM {table} WHERE {rows}")),
            deletes,
        })
    });
    calls.collect()
}
