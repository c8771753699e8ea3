//! A view for a chunk of a bootstrap, beside the running stream: no lock that others would wait for. MariaDB's views know
//! their own position; on MySQL the position lies between two marks.

use std::sync::Arc;

use headwater_core::key::Key;
use headwater_core::schema::TableName;
use headwater_core::source::{ChunkRequest, ChunkRows, Cuts};
use headwater_core::{Error, ErrorKind, Result};

use super::control::Control;
use super::cut::{self, Scope};
use super::kept::Pair;
use super::reader::Reader;
use super::sql;
use crate::position::BinlogPosition;
use crate::schema::{Catalog, Selection, read_definitions};
use crate::source::{Definitions, MysqlSource};

/// Opens a view of one table.
pub(crate) async fn open(
    source: &MysqlSource,
    request: ChunkRequest<'_, BinlogPosition>,
) -> Result<Cuts<Reader>> {
    let mut pair = source.kept.take(source).await?;
    let known = pair.known(request.table);
    let Pair {
        mut control,
        session,
        ..
    } = pair;
    if !control.is_mariadb() && !control.gtid_mode {
        return Err(Error::new(ErrorKind::Prerequisite, "a bootstrap beside the running stream needs GTIDs on this server")
            .hint("turn on gtid_mode and enforce_gtid_consistency, or copy anew with `headwater backfill`"));
    }
    if !control.is_mariadb() && request.at_least.gtid_set.is_none() {
        return Err(Error::new(ErrorKind::Prerequisite, "a bootstrap needs to know by GTIDs what is out, and the stream began by file and offset")
            .hint("begin the stream from now or from a handoff token, or copy anew with `headwater backfill`"));
    }
    let mut connections = vec![session];
    let before = match known {
        Some(known) => known,
        None => definition(&mut control, request.table).await?,
    };
    let (at_least, scope) = (Some(request.at_least), Scope::Chunk(request.table));
    let (cuts, definitions) =
        cut::steady(scope, &mut control, &mut connections, before, at_least).await?;
    let rules = control.rules;
    let among = match request.rows {
        ChunkRows::Among { columns, keys } if !columns.is_empty() => {
            Some(among(&definitions, request.table, columns, keys)?)
        }
        _ => None,
    };
    let condition = |table: &TableName| match request.rows {
        ChunkRows::All => None,
        ChunkRows::Where(condition) => Some(condition.to_owned()),
        ChunkRows::OfFirstCopy => source.settings.condition(table, &rules),
        ChunkRows::Among { .. } => among.clone(),
    };
    let mut control = Some(control);
    let mut cuts = cut::finish(condition, &mut control, connections, cuts, &definitions)?;
    for reader in &mut cuts.readers {
        reader.keep(&source.kept, control.take(), definitions.clone());
    }
    Ok(cuts)
}

/// A condition on columns of the table, as it is at the cut.
fn among(
    definitions: &Definitions,
    table: &TableName,
    names: &[String],
    keys: &[Key],
) -> Result<String> {
    let gone = || {
        Error::new(
            ErrorKind::NotFound,
            "the table has gone, or a column of a key",
        )
        .with("table", table)
        .with("columns", names.join(", "))
        .hint("look at the table's definition: rows are to be found by these columns")
    };
    let mut tables = definitions.tables.iter();
    let found = tables.find(|(definition, _)| definition.name == *table);
    let (definition, _) = found.ok_or_else(gone)?;
    let column = |name: &String| {
        let mut columns = definition.columns.iter();
        columns.find(|column| column.name.to_lowercase() == name.to_lowercase())
    };
    let columns: Option<Vec<_>> = names.iter().map(column).collect();
    Ok(sql::among(&columns.ok_or_else(gone)?, keys))
}

/// The table as it is now.
pub(super) async fn definition(control: &mut Control, table: &TableName) -> Result<Definitions> {
    let selection = Selection::Tables(vec![table.clone()]);
    let tables = read_definitions(&mut control.connection, &selection).await?;
    if tables.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "the table has gone").with("table", table));
    }
    let tables = tables.into_iter();
    Ok(Definitions {
        catalog: Catalog::default(),
        tables: tables
            .map(|(definition, facts)| (Arc::new(definition), facts))
            .collect(),
    })
}
