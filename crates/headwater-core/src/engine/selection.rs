//! A run whose tables are others than those of its checkpoint. The log is read as before, of the tables as they were, up to a
//! boundary at which reading can begin; from there on it is read of those that are wanted now. A table that was added has
//! nothing in the target: its changes go out where a first copy has covered them, and not before. One that was taken out is
//! forgotten.

use super::Attempt;
use super::bootstraps::Change;
use super::note::{Note, Selected};
use super::options::{Ended, Mode};
use crate::checkpoint::{TableCopy, same_condition};
use crate::clock;
use crate::error::Result;
use crate::position::Position;
use crate::progress::Phase;
use crate::schema::TableName;
use crate::source::{LogPoint, Source, TableInfo};

/// What is left of a bootstrap's table that is no longer streamed.
const NOT_STREAMED: &str = "the table is no longer streamed; add it again, and it is copied anew";

impl<S: Source> Attempt<'_, S> {
    /// Takes the tables that are wanted now, if they are others than those of the checkpoint.
    pub(super) async fn take_selection(&mut self) -> Result<Ended> {
        let source = self.shared.source;
        let selection = source.selection();
        if self.state.selection == selection || self.state.log.is_none() {
            return Ok(Ended::Complete);
        }
        let before = source.with_selection(&self.state.selection)?;
        self.shared.progress.set_phase(Phase::CatchingUp);
        let Some(definitions) = self.reach_now().await? else {
            return Ok(Ended::Stopped);
        };
        let tables = source.tables().await?;
        let was_streamed = before.selects(&names(&tables)).await?;
        let (copy, forgotten) = self.copy_then(&before, &tables, &was_streamed).await?;
        let added: Vec<&TableName> = tables
            .iter()
            .zip(&was_streamed)
            .filter_map(|(table, was)| (!was).then_some(&table.schema.name))
            .collect();
        self.say(&added, &forgotten);
        self.end_bootstraps().await?;
        let selected = Selected {
            selection,
            configuration: self.shared.options.configuration.clone(),
            definitions,
            copy,
        };
        self.note_saved(Note::Selected(Box::new(selected))).await?;
        self.close_live().await;
        Ok(Ended::Complete)
    }

    /// Emits the log up to its end now, or on to where reading can begin. Gives the definitions valid there; none if stopped.
    async fn reach_now(&mut self) -> Result<Option<serde_json::Value>> {
        if self.pass_cuts_ahead().await? == Ended::Stopped {
            return Ok(None);
        }
        let mut is_said = false;
        loop {
            let (now, definitions) = self.shared.source.current().await?;
            let is_there = self
                .boundary()
                .is_some_and(|boundary| boundary.includes(&now));
            if !is_there && self.advance(Some(now), None).await? == Ended::Stopped {
                return Ok(None);
            }
            if self.log_point().is_some_and(LogPoint::is_free) {
                return Ok(Some(definitions));
            }
            if !std::mem::replace(&mut is_said, true) {
                self.shared.progress.notice("other tables are to be streamed; that waits for an XA transaction which is prepared and open: commit it or roll it back (XA RECOVER lists them)");
            }
            if self.advance_until_free().await? == Ended::Stopped {
                return Ok(None);
            }
        }
    }

    /// What is copied of each table from here on, and the tables that are not streamed any more.
    async fn copy_then(
        &self,
        before: &S,
        tables: &[TableInfo],
        was_streamed: &[bool],
    ) -> Result<(Option<Vec<TableCopy>>, Vec<TableName>)> {
        let (source, mode) = (self.shared.source, self.shared.options.mode);
        let Some(known) = &self.state.copy else {
            // A stream without a first copy: what it was of can be asked for only while that is there.
            let were = before.tables().await.unwrap_or_default();
            let were = names(&were);
            let stays = source.selects(&were).await?;
            let forgotten = were.into_iter().zip(stays);
            let forgotten = forgotten.filter_map(|(name, stays)| (!stays).then_some(name));
            let copy = (mode != Mode::Cdc).then(|| self.with_added(&[], tables, was_streamed));
            return Ok((copy, forgotten.collect()));
        };
        let known_names: Vec<TableName> = known.iter().map(|copy| copy.name.clone()).collect();
        let stays = source.selects(&known_names).await?;
        let (mut kept, mut forgotten) = (Vec::new(), Vec::new());
        for (copy, stays) in known.iter().zip(stays) {
            if stays {
                let (was, is) = (
                    &self.state.configuration,
                    &self.shared.options.configuration,
                );
                same_condition(was, is, &copy.name)?;
                kept.push(copy.clone());
            } else {
                forgotten.push(copy.name.clone());
            }
        }
        Ok((
            Some(self.with_added(&kept, tables, was_streamed)),
            forgotten,
        ))
    }

    /// What is `kept`, and all other `tables`: of those that were streamed the log had everything.
    fn with_added(
        &self,
        kept: &[TableCopy],
        tables: &[TableInfo],
        was_streamed: &[bool],
    ) -> Vec<TableCopy> {
        let is_kept = |table: &TableInfo| kept.iter().any(|copy| copy.name == table.schema.name);
        let others = tables.iter().zip(was_streamed);
        let others = others.filter(|(table, _)| !is_kept(table));
        let copies = others.map(|(table, was_streamed)| {
            if *was_streamed || self.shared.options.mode == Mode::Cdc {
                return TableCopy::covered(&table.schema);
            }
            TableCopy {
                beside: table.schema.can_split() && self.may_read_beside(),
                ..TableCopy::unread(&table.schema, table.estimated_rows)
            }
        });
        kept.iter().cloned().chain(copies).collect()
    }

    /// Whether tables may be read beside the log: a run that ends by itself ends with everything read.
    pub(super) fn may_read_beside(&self) -> bool {
        self.shared.options.mode == Mode::Both && self.shared.until.is_none()
    }

    fn say(&self, added: &[&TableName], forgotten: &[TableName]) {
        let progress = self.shared.progress;
        if !added.is_empty() && self.shared.options.mode == Mode::Cdc {
            progress.notice(format!("{} followed from here on; rows that are there already are not copied in mode cdc: `headwater bootstrap` brings them in", are(added)));
        } else if !added.is_empty() {
            progress.notice(format!(
                "{} streamed from here on, beginning with a first copy",
                are(added)
            ));
        }
        if !forgotten.is_empty() {
            let forgotten: Vec<&TableName> = forgotten.iter().collect();
            progress.notice(format!(
                "{} no longer streamed: what is out stays out, and whatever becomes of it is not told; added again, all is copied anew",
                are(&forgotten)
            ));
        }
    }

    /// Ends the parts of bootstraps that are of tables which are no longer streamed.
    async fn end_bootstraps(&mut self) -> Result<()> {
        let open: Vec<_> = self.bootstraps.look(|list| {
            let open = list.iter().filter(|found| !found.state.is_over());
            let parts = open.flat_map(|found| {
                let parts = found.tables.iter().filter(|part| !part.is_over());
                parts.map(|part| (found.id, part.copy.name.clone()))
            });
            parts.collect()
        });
        let tables: Vec<TableName> = open.iter().map(|(_, table)| table.clone()).collect();
        let stays = self.shared.source.selects(&tables).await?;
        for ((id, table), stays) in open.into_iter().zip(stays) {
            if !stays {
                let (reason, at_s) = (NOT_STREAMED.to_owned(), clock::now_s());
                let change = Change::Failed {
                    id,
                    table,
                    reason,
                    at_s,
                };
                self.change(change).await?;
            }
        }
        Ok(())
    }
}

fn names(tables: &[TableInfo]) -> Vec<TableName> {
    let names = tables.iter().map(|table| table.schema.name.clone());
    names.collect()
}

/// `shop.users is`, `shop.users, shop.orders are`.
fn are(tables: &[&TableName]) -> String {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}
