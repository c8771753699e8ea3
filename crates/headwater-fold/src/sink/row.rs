//! One row into one fold.

use headwater_core::batch::{ChangeKind, Image, Row};
use headwater_core::{Error, ErrorKind, Result};

use super::counts::{Counts, Of};
use super::{Running, Scratch};
use crate::fold::{Plan, TakeBack};
use crate::key;
use crate::monoid::{Item, Moment, Monoid, Refused, Scalar};
use crate::place::{self, ALL_TIME};

pub(super) struct Folding<'a> {
    pub(super) running: &'a mut Running,
    pub(super) plan: &'a Plan,
    pub(super) counts: &'a Counts,
    pub(super) scratch: &'a mut Scratch,
    pub(super) order: (u64, u64),
}

const SECOND_US: i64 = 1_000_000;

impl Folding<'_> {
    /// Folds a row. The inner error is about the row: its new image, or its old one, cannot be folded.
    pub(super) fn row(&mut self, row: &Row<'_>) -> Result<Result<(), Refused>> {
        let counts = |image: &Image<'_>| {
            let filter = self.plan.filter.as_ref();
            filter.is_none_or(|filter| filter.holds(image))
        };
        let before = row.before().filter(counts);
        let after = row.after().filter(counts);
        if let (Some(before), Some(after)) = (&before, &after)
            && self.is_the_same(before, after)
        {
            self.counts.add(Of::Unchanged, 1);
            return Ok(Ok(()));
        }
        let event_us = i64::from(row.timestamp_s()) * SECOND_US;
        let is_change = matches!(row.kind(), ChangeKind::Update | ChangeKind::Delete);
        if let (Some(before), true) = (&before, is_change) {
            if self.running.typed.monoid.laws().invertible {
                if let Err(refused) = self.fold(before, event_us, true)? {
                    return Ok(Err(refused));
                }
            } else {
                self.cannot_take_back(row)?;
            }
        }
        match after {
            Some(after) => self.fold(&after, event_us, false),
            None => Ok(Ok(())),
        }
    }

    /// Whether both images count for the same at the same place.
    fn is_the_same(&self, before: &Image<'_>, after: &Image<'_>) -> bool {
        let plan = self.plan;
        let mut columns = plan.key.iter().chain(&plan.value).chain(&plan.time);
        columns.all(|&at| before.same_cell(after, at))
    }

    fn cannot_take_back(&self, row: &Row<'_>) -> Result<()> {
        let fold = &self.running.typed.fold;
        if fold.take_back == TakeBack::Ignore {
            self.counts.add(Of::Ignored, 1);
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::SinkRejected,
            "a row was changed or deleted that is in a fold which cannot take it back",
        )
        .with("fold", &fold.name)
        .with("monoid", self.running.typed.monoid.name())
        .with("table", &row.schema().name)
        .hint("say `take_back: ignore` for this fold if old rows may stay in it, or choose a monoid that can take back (sum, count, average, set of counts, quantiles)"))
    }

    /// Adds an image, or takes it back.
    fn fold(
        &mut self,
        image: &Image<'_>,
        event_us: i64,
        takes_back: bool,
    ) -> Result<Result<(), Refused>> {
        let plan = self.plan;
        let (mut bucket_s, mut time_us) = (ALL_TIME, event_us);
        if let (Some(window), Some(at)) = (&mut self.running.window, plan.time) {
            let cell = image.cell(at);
            let Some(found_us) = window.time_us(cell) else {
                return Ok(Err(Refused::unsuitable(format!(
                    "column {} tells no time: {cell:?}",
                    image.schema().columns[at].name
                ))));
            };
            time_us = found_us;
            bucket_s = window.bucket_s(found_us)?;
            if self
                .running
                .keep_from_s
                .is_some_and(|from_s| bucket_s < from_s)
            {
                self.counts.add(Of::TooOld, 1);
                return Ok(Ok(()));
            }
        }
        let Scratch { place, values } = &mut *self.scratch;
        place::begin(place, bucket_s);
        for (number, &at) in plan.key.iter().enumerate() {
            key::push_part(place, number == 0, image.cell(at));
        }
        values.resize_with(plan.value.len(), Scalar::default);
        for (value, &at) in values.iter_mut().zip(&plan.value) {
            if let Err(refused) = value.set(image.cell(at)) {
                return Ok(Err(refused));
            }
        }
        let moment = Moment {
            order: self.order,
            time_us,
        };
        let input_bytes = values.iter().map(Item::heap_bytes).sum();
        let gathered = &mut self.running.gathered;
        let changed = gathered.change(place, input_bytes, |monoid, into| {
            if takes_back {
                monoid.take_back(into, values, moment)
            } else {
                monoid.add(into, values, moment)
            }
        });
        if changed.is_ok() {
            self.counts
                .add(if takes_back { Of::TakenBack } else { Of::Added }, 1);
        }
        Ok(changed)
    }
}
