//! A fold that is running: one row into it.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::batch::{ChangeKind, Image, Row};
use headwater_core::key::Key;
use headwater_core::schema::TableName;
use headwater_core::{Error, ErrorKind, Result};

use super::counts::{Counts, Of};
use super::extract::{Extract, Unread};
use super::marks::Marks;
use crate::fold::TakeBack;
use crate::gathered::Gathered;
use crate::monoid::{Laws, Moment, Monoid, Refused};
use crate::place::{self, ALL_TIME, Place};
use crate::window::Window;

const SECOND_US: i64 = 1_000_000;

/// A fold, and what it has gathered since the last merge.
#[derive(Debug)]
pub(super) struct Running<E: Extract> {
    pub(super) name: String,
    pub(super) extract: E,
    pub(super) gathered: Gathered<E::Monoid>,
    /// A table that is folded, once one is known.
    pub(super) table: Option<TableName>,
    laws: Laws,
    window: Option<Window>,
    /// The same window: what says which bucket, and remembers what it said last.
    buckets: Option<Window>,
    /// The bucket before which nothing is kept.
    pub(super) keep_from_s: Option<i64>,
    /// What cannot be taken back is read again.
    pub(super) refolds: bool,
    /// Places that something was taken out of, each with the key by which its rows are found: they are to be refolded.
    pub(super) waiting: BTreeMap<Place, Key>,
    place: Vec<u8>,
    /// The events that were counted, where each is to count once.
    pub(super) marks: Option<Marks>,
    /// The ids of the batch under way, a pair a row: before and after.
    pub(super) ids: Vec<Ids>,
}

/// The ids of a row's images, where they have one; or why they could not be read.
pub(super) type Ids = Result<[Option<Box<[u8]>>; 2], Refused>;

/// What became of a row.
#[derive(Debug)]
pub(super) enum Folded {
    /// It is in the fold, as far as it counts.
    Whole,
    /// It is not, or in part.
    Refused(Refused),
    /// Nothing of it is: something that may pass was in the way.
    ForNow(Error),
}

impl From<Unread> for Folded {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Refused(refused) => Self::Refused(refused),
            Unread::ForNow(error) => Self::ForNow(error),
        }
    }
}

/// Where a row stands.
#[derive(Debug, Clone, Copy)]
struct At {
    order: (u64, u64),
    event_us: i64,
    does: Does,
}

/// What an image does to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Add,
    TakeBack,
    /// The place is to be refolded.
    TakeOut,
}

impl<E: Extract> Running<E> {
    pub(super) fn new(name: String, extract: E, dedup: Option<Duration>) -> Result<Self> {
        let monoid = extract.monoid();
        let window = extract.window()?;
        let refolds = extract.take_back() == TakeBack::Refold && !monoid.laws().invertible;
        if refolds {
            let can = extract.can_refold();
            can.map_err(|error| error.with("fold", &name))?;
        }
        Ok(Self {
            name,
            refolds,
            waiting: BTreeMap::new(),
            buckets: window.clone(),
            window,
            laws: monoid.laws(),
            gathered: Gathered::new(monoid),
            extract,
            table: None,
            keep_from_s: None,
            place: Vec::new(),
            marks: dedup.map(Marks::new),
            ids: Vec::new(),
        })
    }

    /// Looks at the clock: buckets that are over for long enough are not kept any more.
    pub(super) fn forget_old(&mut self, now_s: i64) -> Result<()> {
        let window = self.window.as_ref();
        let keep_from_s = window.map(|window| window.keep_from_s(now_s)).transpose()?;
        self.keep_from_s = keep_from_s.flatten();
        Ok(())
    }

    /// Reads the ids of a row.
    pub(super) fn ids(
        &mut self,
        plan: &E::Plan,
        row: &Row<'_>,
    ) -> Result<[Option<Box<[u8]>>; 2], Unread> {
        let mut of = |image: Option<Image<'_>>| -> Result<Option<Box<[u8]>>, Unread> {
            let Some(image) = image else { return Ok(None) };
            let mut id = Vec::new();
            let has_one = self.extract.event_id(plan, image, &mut id)?;
            Ok(has_one.then(|| id.into_boxed_slice()))
        };
        Ok([of(row.before())?, of(row.after())?])
    }

    /// Folds the row at this place of its batch, of the transaction with this number. An error ends the run.
    pub(super) fn fold(
        &mut self,
        plan: &E::Plan,
        row: &Row<'_>,
        (index, transaction): (usize, u64),
        counts: &Counts,
    ) -> Result<Folded> {
        let [old_id, new_id] = match self.ids.get(index) {
            Some(Ok(ids)) => ids.clone(),
            Some(Err(refused)) => return Ok(Folded::Refused(refused.clone())),
            None => [None, None],
        };
        let before = row.before().map(|image| self.extract.see(plan, image));
        let before = match before.transpose() {
            Ok(before) => before.flatten(),
            Err(unread) => return Ok(unread.into()),
        };
        let after = row.after().map(|image| self.extract.see(plan, image));
        let after = match after.transpose() {
            Ok(after) => after.flatten(),
            Err(unread) => return Ok(unread.into()),
        };
        if let (Some(before), Some(after)) = (&before, &after)
            && old_id == new_id
            && self.extract.is_same(plan, before, after)
        {
            counts.add(Of::Unchanged, 1);
            return Ok(Folded::Whole);
        }
        let at = At {
            order: (transaction, row.offset()),
            event_us: i64::from(row.timestamp_s()) * SECOND_US,
            does: Does::Add,
        };
        let is_change = matches!(row.kind(), ChangeKind::Update | ChangeKind::Delete);
        if let (Some(before), true) = (&before, is_change) {
            let does = match (self.laws.invertible, self.refolds) {
                (true, _) => Some(Does::TakeBack),
                (false, true) => Some(Does::TakeOut),
                (false, false) => None,
            };
            if let Some(does) = does {
                let at = At { does, ..at };
                if let Err(refused) = self.contribute(plan, before, at, counts) {
                    return Ok(Folded::Refused(refused));
                }
                if let (Some(marks), Some(id)) = (&mut self.marks, &old_id) {
                    marks.unmark(id);
                }
            } else {
                self.cannot_take_back(row, counts)?;
            }
        }
        let Some(after) = &after else {
            return Ok(Folded::Whole);
        };
        if let (Some(marks), Some(id)) = (&self.marks, &new_id)
            && marks.is_marked(id)
        {
            counts.add(Of::Duplicate, 1);
            return Ok(Folded::Whole);
        }
        if let Err(refused) = self.contribute(plan, after, at, counts) {
            return Ok(Folded::Refused(refused));
        }
        if let (Some(marks), Some(id)) = (&mut self.marks, &new_id) {
            marks.mark(id)?;
        }
        Ok(Folded::Whole)
    }

    fn cannot_take_back(&self, row: &Row<'_>, counts: &Counts) -> Result<()> {
        if self.extract.take_back() == TakeBack::Ignore {
            counts.add(Of::Ignored, 1);
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::SinkRejected,
            "a row was changed or deleted that is in a fold which cannot take it back",
        )
        .with("fold", &self.name)
        .with("monoid", self.extract.monoid().name())
        .with("table", &row.schema().name)
        .hint("say `take_back: refold` for this fold to have its keys read again (min, max, set, distinct, bloom), `take_back: ignore` if old rows may stay in it, or choose a monoid that can take back (sum, count, average, set of counts, quantiles)"))
    }

    /// Adds a row that was read again where it counts, among `values`.
    pub(super) fn refold_row(
        &mut self,
        plan: &E::Plan,
        image: Image<'_>,
        monoid: &E::Monoid,
        values: &mut BTreeMap<Place, <E::Monoid as Monoid>::Value>,
    ) -> Result<(), Unread> {
        let Some(seen) = self.extract.see(plan, image)? else {
            return Ok(());
        };
        let Self {
            extract,
            window,
            buckets,
            place,
            ..
        } = self;
        let mut refused = Ok(());
        let read = extract.contribute(plan, &seen, window.as_ref(), &mut |found| {
            let moment = Moment {
                order: (0, 0),
                time_us: found.time_us.unwrap_or_default(),
            };
            let added = bucket_s(buckets, moment.time_us).and_then(|bucket_s| {
                place::begin(place, bucket_s);
                place.extend_from_slice(found.key);
                match values.get_mut(place.as_slice()) {
                    Some(value) => monoid.add(value, found.input, moment),
                    None => Ok(()),
                }
            });
            if added.is_err() {
                refused = added;
            }
        });
        Ok(read.and(refused)?)
    }

    /// Adds what an image contributes, or takes it back.
    fn contribute(
        &mut self,
        plan: &E::Plan,
        seen: &E::Seen<'_>,
        at: At,
        counts: &Counts,
    ) -> Result<(), Refused> {
        let Self {
            extract,
            gathered,
            window,
            buckets,
            keep_from_s,
            place,
            waiting,
            ..
        } = self;
        let key = match at.does {
            Does::TakeOut => extract.key_of(plan, seen),
            Does::Add | Does::TakeBack => None,
        };
        let mut refused = Ok(());
        let read = extract.contribute(plan, seen, window.as_ref(), &mut |found| {
            let moment = Moment {
                order: at.order,
                time_us: found.time_us.unwrap_or(at.event_us),
            };
            let bucket_s = match bucket_s(buckets, moment.time_us) {
                Ok(bucket_s) => bucket_s,
                Err(cause) => {
                    refused = Err(cause);
                    return;
                }
            };
            if keep_from_s.is_some_and(|from_s| bucket_s < from_s) {
                counts.add(Of::TooOld, 1);
                return;
            }
            place::begin(place, bucket_s);
            place.extend_from_slice(found.key);
            if let (Some(key), Some(place)) = (&key, Place::from_bytes(place)) {
                waiting.entry(place).or_insert_with(|| key.clone());
                return;
            }
            let takes_back = at.does == Does::TakeBack;
            let changed = gathered.change(place, found.input_bytes, |monoid, into| {
                if takes_back {
                    monoid.take_back(into, found.input, moment)
                } else {
                    monoid.add(into, found.input, moment)
                }
            });
            match changed {
                Ok(()) => {
                    let of = if takes_back { Of::TakenBack } else { Of::Added };
                    counts.add(of, 1);
                }
                Err(cause) => refused = Err(cause),
            }
        });
        read.and(refused)
    }
}

fn bucket_s(buckets: &mut Option<Window>, time_us: i64) -> Result<i64, Refused> {
    let Some(window) = buckets else {
        return Ok(ALL_TIME);
    };
    let bucket_s = window.bucket_s(time_us);
    bucket_s.map_err(|error| Refused::unsuitable(error.message().to_owned()))
}
