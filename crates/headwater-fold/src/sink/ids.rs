//! The part of a sink of folds that knows which events were counted.

use headwater_core::batch::{Batch, Row};
use headwater_core::{Error, Result, clock};

use super::FoldSink;
use super::extract::{Extract, Unread};
use super::running::Ids;
use crate::monoid::Refused;
use crate::store::StateStore;

impl<S: StateStore, E: Extract> FoldSink<S, E> {
    /// The numbers of the folds whose events count once, each with that of its marks in the store.
    fn marked(&self) -> Vec<(usize, usize)> {
        let folds = self.folds.iter().enumerate();
        let marked = folds.filter(|(_, running)| running.marks.is_some());
        let marked = marked.map(|(number, _)| number);
        marked.zip(self.folds.len()..).collect()
    }

    /// Reads the ids of a batch, and asks the store which of them it has: once for all.
    pub(super) async fn look_up_ids(&mut self, batch: &Batch) -> Result<()> {
        for (number, marks_number) in self.marked() {
            let mut ids = Vec::with_capacity(batch.len());
            for row in batch.rows() {
                ids.push(self.read_ids(number, &row).await?);
            }
            let Some(marks) = &mut self.folds[number].marks else {
                continue;
            };
            let wanted = ids.iter().flatten().flatten().flatten();
            let probe = marks.probe(wanted.map(AsRef::as_ref))?;
            self.store.merge(marks_number, &probe).await?;
            marks.learn(probe);
            self.folds[number].ids = ids;
        }
        Ok(())
    }

    async fn read_ids(&mut self, number: usize, row: &Row<'_>) -> Result<Ids> {
        let plans = self.plans(row.schema())?;
        let Some((_, plan)) = plans.iter().find(|(fold, _)| *fold == number) else {
            return Ok(Ok([None, None]));
        };
        let mut attempt = 0;
        loop {
            match self.folds[number].ids(plan, row) {
                Ok(ids) => return Ok(Ok(ids)),
                Err(Unread::Refused(refused)) => return Ok(Err(refused)),
                Err(Unread::ForNow(error)) if self.options.retry.is_exhausted(attempt) => {
                    return Ok(Err(Refused::unsuitable(Error::to_string(&error))));
                }
                Err(Unread::ForNow(error)) => {
                    self.wait(attempt, number, &error).await;
                    attempt += 1;
                }
            }
        }
    }

    /// The batch is over.
    pub(super) fn forget_ids(&mut self) {
        for running in &mut self.folds {
            running.ids.clear();
            if let Some(marks) = &mut running.marks {
                marks.end_batch();
            }
        }
    }

    /// Merges what was marked into the store's step.
    pub(super) async fn merge_marks(&mut self) -> Result<()> {
        for (number, marks_number) in self.marked() {
            if let Some(marks) = &mut self.folds[number].marks
                && marks.size_bytes() > 0
            {
                let marks = marks.take();
                self.store.merge(marks_number, &marks).await?;
            }
        }
        Ok(())
    }

    /// Up to where marks are forgotten.
    pub(super) fn keep_marks_from(&self, keep_from_s: &mut Vec<Option<i64>>) -> Result<()> {
        let now_s = i64::try_from(clock::now_s()).unwrap_or(i64::MAX);
        for running in &self.folds {
            if let Some(marks) = &running.marks {
                keep_from_s.push(marks.keep_from_s(now_s)?);
            }
        }
        Ok(())
    }
}
