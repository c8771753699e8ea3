//! Views of a table for comparing it: at no known place of the log, so without any lock.

use headwater_core::schema::TableName;
use headwater_core::source::Cuts;
use headwater_core::views::{Views, Within};
use headwater_core::{Error, ErrorKind, Result};

use super::control::Control;
use super::reader::Reader;
use super::sql::{literal, quoted};
use super::{chunk, cut};
use crate::schema::TableDefinition;
use crate::source::MysqlSource;

/// Tries for a definition that stands still while the views are opened.
const TRIES: u32 = 20;

impl Views for MysqlSource {
    type Reader = Reader;

    async fn open_views(
        &self,
        table: &TableName,
        within: Option<&Within>,
        readers: usize,
    ) -> Result<Cuts<Reader>> {
        let mut control = Control::connect(&self.settings.connect).await?;
        let mut connections = Vec::new();
        for _ in 0..readers.max(1) {
            connections.push(cut::session(self).await?);
        }
        let mut before = chunk::definition(&mut control, table).await?;
        let mut is_steady = false;
        for _ in 0..TRIES {
            for connection in &mut connections {
                connection.execute("ROLLBACK").await?;
                connection.execute(cut::OPEN_VIEW).await?;
            }
            let after = chunk::definition(&mut control, table).await?;
            is_steady = before.is_same(&after);
            before = after;
            if is_steady {
                break;
            }
        }
        if !is_steady {
            return Err(Error::new(
                ErrorKind::SchemaChanged,
                "a table's definition does not stand still",
            )
            .with("table", table));
        }
        let limit = match (within, before.tables.first()) {
            (Some(within), Some((definition, _))) => Some(condition(within, definition)?),
            _ => None,
        };
        let rules = control.rules;
        let conditions = |table: &TableName| {
            let own = self.settings.condition(table, &rules);
            let parts: Vec<String> = own.into_iter().chain(limit.clone()).collect();
            let joined = parts.iter().map(|part| format!("({part})"));
            (!parts.is_empty()).then(|| joined.collect::<Vec<_>>().join(" AND "))
        };
        let cuts = vec![None; connections.len()];
        let opened = cut::finish(conditions, &mut None, connections, cuts, &before);
        control.close().await;
        opened
    }
}

/// What holds for the rows within.
fn condition(within: &Within, definition: &TableDefinition) -> Result<String> {
    let mut columns = definition.columns.iter();
    let column = columns.find(|column| column.name.eq_ignore_ascii_case(&within.column));
    let column = column.ok_or_else(|| {
        Error::new(ErrorKind::SchemaChanged, "a column has gone")
            .with("table", &definition.name)
            .with("column", &within.column)
    })?;
    let name = quoted(&column.name);
    let ranges = within.ranges.iter().map(|(from, to)| {
        let (from, to) = (literal(from, column), literal(to, column));
        format!("{name} BETWEEN {from} AND {to}")
    });
    let ranges: Vec<String> = ranges.collect();
    Ok(match ranges.is_empty() {
        true => "FALSE".to_owned(),
        false => ranges.join(" OR "),
    })
}
