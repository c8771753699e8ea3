//! Connections that are kept between the chunks of bootstraps, and of tables that are copied beside the stream: a chunk takes a
//! tenth of a second, and two log-ins with their settings are a good part of that.

use std::sync::{Arc, Mutex, PoisonError};

use headwater_core::Result;
use headwater_core::schema::TableName;

use super::control::Control;
use super::cut::session;
use crate::client::Connection;
use crate::source::{Definitions, MysqlSource};

/// Pairs that are kept at most: one for the chunk being read, and one for what is asked beside it.
const PAIRS_MAX: usize = 2;

/// What a chunk is read with.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) control: Control,
    /// A session that is set up to read rows, without a view.
    pub(crate) session: Connection,
    /// The definition of the table that was read last, as of then.
    pub(crate) known: Option<Definitions>,
}

impl Pair {
    /// The definition that `table` had when it was read last, if it was the one.
    pub(crate) fn known(&mut self, table: &TableName) -> Option<Definitions> {
        let is_it = |known: &mut Definitions| {
            let mut tables = known.tables.iter();
            tables.any(|(definition, _)| definition.name == *table)
        };
        self.known.take_if(is_it)
    }

    /// Whether both connections still answer: the server may have been restarted, or have closed them for their silence.
    async fn lives(&mut self) -> bool {
        self.control.connection.ping().await.is_ok() && self.session.ping().await.is_ok()
    }
}

/// The pairs that nobody uses just now. Shared by a source and its readers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<Pair>>>);

impl Kept {
    /// A pair that was kept and lives, or a new one.
    pub(crate) async fn take(&self, source: &MysqlSource) -> Result<Pair> {
        while let Some(mut pair) = self.pop() {
            if pair.lives().await {
                return Ok(pair);
            }
        }
        Ok(Pair {
            control: Control::connect(&source.settings.connect).await?,
            session: session(source).await?,
            known: None,
        })
    }

    fn pop(&self) -> Option<Pair> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Ends a pair's view and keeps it, unless a statement was left unread on it.
    pub(crate) async fn give(&self, mut pair: Pair) {
        let is_usable = pair.session.is_usable() && pair.control.connection.is_usable();
        if !is_usable || pair.session.execute("ROLLBACK").await.is_err() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < PAIRS_MAX {
            kept.push(pair);
        }
    }
}
