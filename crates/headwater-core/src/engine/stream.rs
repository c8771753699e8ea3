//! The log into the sink, up to a cut or for good.

use super::filter::Reading;
use super::note::Note;
use super::options::Ended;
use super::window::Window;
use super::{Attempt, filter};
use crate::batch::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::source::{LiveSource, LiveStep, LogPoint, Source};

impl<S: Source> Attempt<'_, S> {
    /// Emits the log up to `target` (for ever without one), with coverage deciding, and a window's changes kept for it.
    pub(super) async fn advance(
        &mut self,
        target: Option<S::Position>,
        mut window: Option<&mut Window>,
    ) -> Result<Ended> {
        self.open_live().await?;
        self.set_target(target);
        loop {
            match self.step(window.as_deref_mut()).await? {
                None => return Ok(Ended::Stopped),
                Some(true) => return Ok(Ended::Complete),
                Some(false) => {}
            }
        }
    }

    /// Emits the log up to where reading can begin: no transaction is prepared and open there.
    pub(super) async fn advance_until_free(&mut self) -> Result<Ended> {
        self.open_live().await?;
        self.set_target(None);
        while !self.state.log.as_ref().is_none_or(LogPoint::is_free) {
            if self.step(None).await?.is_none() {
                return Ok(Ended::Stopped);
            }
        }
        Ok(Ended::Complete)
    }

    /// What the log says next. Says whether its target is reached; none when the run is to stop.
    async fn step(&mut self, window: Option<&mut Window>) -> Result<Option<bool>> {
        let live = opened(&mut self.live)?;
        let mut batch = self.writer.pool.take();
        let step = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => return Ok(None),
            () = self.writer.gone() => return Err(super::writer::writer_gone()),
            step = live.next(&mut batch) => step?,
        };
        self.take_step(step, batch, window).await.map(Some)
    }

    pub(super) fn set_target(&mut self, target: Option<S::Position>) {
        if let Some(live) = &mut self.live {
            live.set_target(target);
        }
    }

    /// Hands on what the log said. Says whether its target is reached.
    pub(super) async fn take_step(
        &mut self,
        step: LiveStep<S::Position>,
        mut batch: Batch,
        window: Option<&mut Window>,
    ) -> Result<bool> {
        let live = opened(&mut self.live)?;
        let definitions = live.definitions();
        let counters = self.shared.progress.counters();
        counters.read_up_to(live.read_up_to());
        counters.set_lag_bytes(live.bytes_left());
        for error in live.waited_out() {
            counters.retried(&error);
        }
        let durable = self.writer.durable.has_changed().unwrap_or(false);
        if durable && let Some(point) = &*self.writer.durable.borrow_and_update() {
            live.acknowledge(point);
        }
        let (point, reached) = match step {
            LiveStep::Rows(point) | LiveStep::Idle(point) => (point, false),
            LiveStep::Reached(point) => (point, true),
        };
        self.take_requests(&mut batch).await?;
        let (source, unread, reading) = (self.shared.source, self.unread, self.reading);
        let mut tables = Vec::new();
        if batch.is_empty() {
            // Nothing to decide.
        } else if let Some(copy) = &self.state.copy
            && !self.state.everything_is_covered()
        {
            tables = filter::filter(source, copy, &mut batch, window, unread, reading).await?;
        } else if let Some(window) = window
            && let Some(known) = window.covered_table().cloned()
        {
            // All of it is out: what the window says is only what goes out besides.
            let (known, window) = ([known], Some(window));
            filter::filter(
                source,
                &known,
                &mut batch,
                window,
                unread,
                Reading::Unfiltered,
            )
            .await?;
        }
        if let Some(comment) = &self.comment {
            batch.set_comment(comment);
        }
        if let Some(last) = batch.len().checked_sub(1).and_then(|last| batch.row(last)) {
            self.shared
                .progress
                .add_live(batch.len() as u64, last.timestamp_s());
        }
        self.shared
            .progress
            .set_position(point.position.to_string());
        let is_new = !batch.is_empty()
            || reached
            || definitions.is_some()
            || !tables.is_empty()
            || self.state.log.as_ref() != Some(&point);
        if is_new {
            let note = Note::Log {
                point,
                definitions,
                tables,
            };
            note.clone().apply(&mut self.state)?;
            self.writer.send(batch, note).await?;
        }
        Ok(reached)
    }

    pub(super) async fn open_live(&mut self) -> Result<()> {
        if self.live.is_some() {
            return Ok(());
        }
        let Some(point) = &self.state.log else {
            return Err(Error::new(
                ErrorKind::Internal,
                "there is no position to follow the log from",
            ));
        };
        let (source, definitions) = (self.shared.source, &self.state.definitions);
        let live = if self.state.selection == source.selection() {
            source.open_live(point, definitions).await?
        } else {
            let source = source.with_selection(&self.state.selection)?;
            source.open_live(point, definitions).await?
        };
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

    /// The boundary up to which the log is out; none amid a transaction.
    pub(super) fn boundary(&self) -> Option<S::Position> {
        self.log_point().and_then(LogPoint::boundary).cloned()
    }
}

/// The log, which is open while it is followed.
pub(super) fn opened<L>(live: &mut Option<L>) -> Result<&mut L> {
    live.as_mut().ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "the log was closed while it was followed",
        )
    })
}
