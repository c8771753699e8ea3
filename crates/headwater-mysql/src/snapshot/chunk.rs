//! A view for a chunk of a bootstrap, beside the running stream: no lock that others would wait for. MariaDB's views know
//! their own position; on MySQL the position lies between two marks.

use std::sync::Arc;

use headwater_core::position::Position;
use headwater_core::source::{ChunkRequest, Cuts};
use headwater_core::{Error, ErrorKind, Result};

use super::control::Control;
use super::cut::{self, CUT_RETRY, CUT_TRIES};
use super::reader::Reader;
use crate::position::BinlogPosition;
use crate::schema::{Catalog, Selection, read_definitions};
use crate::source::{Definitions, MysqlSource};

/// Opens a view of one table.
pub(crate) async fn open(
    source: &MysqlSource,
    request: ChunkRequest<'_, BinlogPosition>,
) -> Result<Cuts<Reader>> {
    let mut control = Control::connect(&source.settings.connect).await?;
    if !control.is_mariadb() && !control.gtid_mode {
        return Err(Error::new(ErrorKind::Prerequisite, "a bootstrap beside the running stream needs GTIDs on this server")
            .hint("turn on gtid_mode and enforce_gtid_consistency, or copy anew with `headwater backfill`"));
    }
    if !control.is_mariadb() && request.at_least.gtid_set.is_none() {
        return Err(Error::new(ErrorKind::Prerequisite, "a bootstrap needs to know by GTIDs what is out, and the stream began by file and offset")
            .hint("begin the stream from now or from a handoff token, or copy anew with `headwater backfill`"));
    }
    let mut connections = vec![cut::session(source).await?];
    let mut before = definition(&mut control, &request).await?;
    for _ in 0..CUT_TRIES {
        let cuts = if control.is_mariadb() {
            cut::own_cuts(&mut control, &mut connections).await?
        } else {
            cut::by_marks(&mut control, &mut connections, Some(request.at_least)).await?
        };
        let after = definition(&mut control, &request).await?;
        let steady = before.tables[0].0 == after.tables[0].0;
        let late_enough = (cuts.iter().flatten()).all(|cut| cut.includes(request.at_least));
        before = after;
        if steady && late_enough {
            let condition = |_: &_| request.condition.map(str::to_owned);
            return cut::finish(condition, control, connections, cuts, &before);
        }
        for connection in &mut connections {
            connection.execute("ROLLBACK").await?;
        }
        tokio::time::sleep(CUT_RETRY).await;
    }
    Err(cut::none_could_be_taken())
}

/// The table as it is now.
async fn definition(
    control: &mut Control,
    request: &ChunkRequest<'_, BinlogPosition>,
) -> Result<Definitions> {
    let selection = Selection::Tables(vec![request.table.clone()]);
    let tables = read_definitions(&mut control.connection, &selection).await?;
    if tables.is_empty() {
        return Err(
            Error::new(ErrorKind::NotFound, "the table has gone").with("table", request.table)
        );
    }
    let tables = tables.into_iter();
    Ok(Definitions {
        catalog: Catalog::default(),
        tables: tables
            .map(|(definition, facts)| (Arc::new(definition), facts))
            .collect(),
    })
}
