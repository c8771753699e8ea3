//! The log into the sink: followed for good, or up to a cut.

use super::note::Note;
use super::options::Ended;
use super::window::Window;
use super::{Attempt, filter};
use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use crate::progress::Phase;
use crate::source::{LiveSource, LiveStep, LogPoint, Source};

impl<S: Source> Attempt<'_, S> {
    /// Follows the log to the end of the run.
    pub(super) async fn follow(&mut self) -> Result<Ended> {
        self.shared.progress.set_phase(Phase::Streaming);
        let until = self.shared.until.cloned();
        if let (Some(until), Some(log)) = (&until, &self.state.log)
            && log.position.includes(until)
        {
            return Ok(Ended::Complete);
        }
        self.advance(until, None).await
    }

    /// Emits the log up to `target` (for ever without one), with coverage deciding, and a window's changes kept for it.
    pub(super) async fn advance(
        &mut self,
        target: Option<S::Position>,
        mut window: Option<&mut Window>,
    ) -> Result<Ended> {
        self.open_live().await?;
        if let Some(live) = &mut self.live {
            live.set_target(target);
        }
        loop {
            let Some(live) = &mut self.live else {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "the log was closed while it was followed",
                ));
            };
            let mut batch = self.writer.pool.take();
            let step = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return Ok(Ended::Stopped),
                () = self.writer.gone() => return Err(super::writer::writer_gone()),
                step = live.next(&mut batch) => step?,
            };
            let definitions = live.definitions();
            let durable = self.writer.durable.has_changed().unwrap_or(false);
            if durable && let Some(point) = &*self.writer.durable.borrow_and_update() {
                live.acknowledge(point);
            }
            let (point, reached) = match step {
                LiveStep::Rows(point) | LiveStep::Idle(point) => (point, false),
                LiveStep::Reached(point) => (point, true),
            };
            let mut tables = Vec::new();
            if let Some(copy) = &self.state.copy
                && !batch.is_empty()
                && !self.state.everything_is_covered()
            {
                let (source, window) = (self.shared.source, window.as_deref_mut());
                tables = filter::filter(source, copy, &mut batch, window, self.unread).await?;
            }
            if let Some(last) = batch.len().checked_sub(1).and_then(|last| batch.row(last)) {
                self.shared
                    .progress
                    .add_live(batch.len() as u64, last.timestamp_s());
            }
            self.shared
                .progress
                .set_position(point.position.to_string());
            if batch.is_empty()
                && !reached
                && definitions.is_none()
                && tables.is_empty()
                && self.state.log.as_ref() == Some(&point)
            {
                continue;
            }
            let note = Note::Log {
                point,
                definitions,
                tables,
            };
            note.clone().apply(&mut self.state)?;
            self.writer.send(batch, note).await?;
            if reached {
                return Ok(Ended::Complete);
            }
        }
    }

    async fn open_live(&mut self) -> Result<()> {
        if self.live.is_some() {
            return Ok(());
        }
        let Some(point) = &self.state.log else {
            return Err(Error::new(
                ErrorKind::Internal,
                "there is no position to follow the log from",
            ));
        };
        let live = self
            .shared
            .source
            .open_live(point, &self.state.definitions)
            .await?;
        self.shared
            .progress
            .set_position(point.position.to_string());
        self.live = Some(live);
        Ok(())
    }

    /// Closes the log: nothing of it is needed while cuts are read.
    pub(super) async fn close_live(&mut self) {
        if let Some(live) = self.live.take() {
            live.close().await;
        }
    }

    /// Where the log is out.
    pub(super) fn log_point(&self) -> Option<&LogPoint<S::Position>> {
        self.state.log.as_ref()
    }
}
