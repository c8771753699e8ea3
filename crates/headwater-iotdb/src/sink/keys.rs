//! The key of a row, kept beside it in its tablet: few rows are ever asked for it, so it is kept as it costs least.

use headwater_core::batch::Image;
use headwater_core::dead_letters;
use headwater_core::value::Cell;
use serde_json::{Map, Value};

use crate::mapping::Plan;

/// Eight bytes of an integer follow.
const INT: u8 = 0;
/// A length in four bytes follows, and as many bytes of text.
const TEXT: u8 = 1;
/// The same of JSON.
const JSON: u8 = 2;

/// Appends the values of a row's key, nothing if it has none. The bytes of two keys differ if the keys do.
pub(super) fn write(plan: &Plan, image: &Image<'_>, out: &mut Vec<u8>) {
    for (_, column) in &plan.key {
        match image.cell(*column) {
            Cell::Int(value) => {
                out.push(INT);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Cell::Text(text) => push(TEXT, text, out),
            cell => push(JSON, &dead_letters::json(cell).to_string(), out),
        }
    }
}

fn push(kind: u8, text: &str, out: &mut Vec<u8>) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.push(kind);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// What [`write`] wrote, by column: as [`dead_letters::key`] has it.
pub(super) fn read(plan: &Plan, mut bytes: &[u8]) -> Map<String, Value> {
    let mut key = Map::new();
    for (name, _) in &plan.key {
        let Some((value, rest)) = value(bytes) else {
            break;
        };
        key.insert(name.clone(), value);
        bytes = rest;
    }
    key
}

/// The first value, and what follows it.
fn value(bytes: &[u8]) -> Option<(Value, &[u8])> {
    match bytes.split_first()? {
        (&INT, rest) => {
            let (value, rest) = rest.split_first_chunk()?;
            Some((i64::from_le_bytes(*value).into(), rest))
        }
        (kind, rest) => {
            let (length, rest) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (text, rest) = rest.split_at_checked(length)?;
            let value = match *kind {
                TEXT => std::str::from_utf8(text).ok()?.into(),
                _ => serde_json::from_slice(text).ok()?,
            };
            Some((value, rest))
        }
    }
}
