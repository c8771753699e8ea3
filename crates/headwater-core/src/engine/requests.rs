//! What rows of the source's trigger table ask for: taken from what the log says before anything else is done with it.

use super::Attempt;
use crate::batch::{Batch, Verdict};
use crate::clock;
use crate::error::Result;
use crate::source::{LiveSource, Source};
use crate::trigger::Said;

impl<S: Source> Attempt<'_, S> {
    /// Takes the requests in `batch`, and its rows of that table out where they are no events. Each request is on its way to
    /// the checkpoint before the log's place behind its row is: read again after a crash between the two, it is known by its
    /// origin.
    pub(super) async fn take_requests(&mut self, batch: &mut Batch) -> Result<()> {
        let Some(watched) = self.live.as_ref().and_then(LiveSource::watched) else {
            return Ok(());
        };
        let is_there = |batch: &Batch| {
            let mut schemas = batch.schemas().iter();
            schemas.any(|schema| schema.name == watched.table)
        };
        if !is_there(batch) {
            return Ok(());
        }
        let mut said = Vec::new();
        let mut verdicts = Vec::with_capacity(batch.len());
        for row in batch.rows() {
            let is_watched = row.schema().name == watched.table;
            if is_watched && let Some(trigger) = &self.shared.options.trigger {
                said.extend(trigger.read(&row));
            }
            verdicts.push(if is_watched && !watched.is_streamed {
                Verdict::Drop
            } else {
                Verdict::Keep
            });
        }
        if !watched.is_streamed {
            batch.retain(&verdicts);
        }
        for said in said {
            self.take_said(said).await?;
        }
        Ok(())
    }

    async fn take_said(&mut self, said: Said) -> Result<()> {
        match said {
            Said::Ask(mut request, not_before) => {
                if let Some(time) = not_before {
                    let at_s = self.shared.source.seconds_of(&time).await?;
                    request.not_before_s = Some(at_s).filter(|at_s| *at_s > clock::now_s());
                }
                let filter = self.shared.options.rows.as_ref().map(|rows| &rows.filter);
                self.bootstraps
                    .take(self.shared.source, filter, *request, &self.writer)
                    .await?;
                crate::failpoint::hit("bootstrap.requested")
            }
            Said::Withdraw(origin) => self.bootstraps.withdraw(&origin, &self.writer).await,
            Said::Nonsense(why) => {
                let notice =
                    format!("a row of the trigger table asks for nothing that can be done: {why}");
                self.shared.progress.notice(notice);
                Ok(())
            }
        }
    }
}
