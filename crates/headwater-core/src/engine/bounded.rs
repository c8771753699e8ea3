//! The window of a cut by marks where a condition bounds the table. What the log says of a key cannot be applied to the rows
//! read, for only the server can say whether the outcome meets the condition. So here each key has a cut of its own.
//!
//! A view shows what a key was at some position between the two marks, and whether that meets the condition. The log shows
//! all that the key was between them. So:
//!
//! - A key without a change there was at the high mark what the view shows: its cut is the high mark.
//! - A key that changed has its cut just before the change whose before-image is what the view shows; or at the high mark,
//!   if it was that again at last. What it was there is known, and whether that meets the condition is too, for a condition
//!   is about the row's contents alone.
//! - A key that changed and of which the view shows nothing is *pending*. The rows of a chunk are read with the condition,
//!   so that a row which does not meet it looks as one that is not there. Pending keys are read again by themselves, in a
//!   window of their own, with the condition as an answer instead of a filter ([`SnapshotReader::read_keys`]): then one of
//!   the two points above holds, however often the key changes.
//!
//! Until its cut a key counts as not read; from there on each change of it goes out.
//!
//! [`SnapshotReader::read_keys`]: crate::source::SnapshotReader::read_keys

use std::collections::HashMap;

use super::window::{Closed, Seen};
use crate::batch::{Batch, Image, Row, Verdict};
use crate::checkpoint::TableCopy;
use crate::key::Key;
use crate::schema::{TableName, TableSchema};

/// Rows of a bounded table that one view showed, and what the log says of their keys since.
#[derive(Debug)]
pub(super) struct Bounded {
    table: TableName,
    /// The segment of the table's coverage that was read; none where keys of a chunk that is out were read again.
    segment: Option<usize>,
    met: Batch,
    unmet: Batch,
    keys: HashMap<Key, Watched>,
    /// The table was emptied: that is the cut of every key.
    is_emptied: bool,
    /// The table's record, where every change goes out, as in a stream that has all of it: a cut only adds a row to that.
    covered: Option<TableCopy>,
    rows_placed: u64,
}

/// What a view showed of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Nothing: there is no row of it that meets the condition, or it was not asked about.
    Nothing,
    /// That there is no such row.
    Absent,
    /// The row at this index, which meets the condition.
    Met(usize),
    /// The row at this index, which does not.
    Unmet(usize),
}

/// A key whose cut is looked for.
#[derive(Debug)]
struct Watched {
    shown: Shown,
    /// Its cut is behind the log.
    is_settled: bool,
    /// What it is where the log stands is what the view showed, as far as the log says.
    is_as_shown: bool,
}

impl Watched {
    fn new(shown: Shown) -> Self {
        Self {
            shown,
            is_settled: false,
            is_as_shown: shown != Shown::Nothing,
        }
    }
}

impl Bounded {
    /// A chunk: `rows` are all rows of `segment` that meet the condition.
    pub(super) fn chunk(table: TableName, segment: usize, rows: Batch) -> Self {
        let mut window = Self::new(table, Some(segment), rows, Batch::new());
        for (key, index) in keys_of(&window.met) {
            window.keys.insert(key, Watched::new(Shown::Met(index)));
        }
        window
    }

    /// Keys that a window before left pending. The first `asked` of them were read again: `met` and `unmet`.
    pub(super) fn again(
        table: TableName,
        pending: Vec<Key>,
        asked: usize,
        met: Batch,
        unmet: Batch,
    ) -> Self {
        let mut window = Self::new(table, None, met, unmet);
        for (index, key) in pending.into_iter().enumerate() {
            let shown = if index < asked {
                Shown::Absent
            } else {
                Shown::Nothing
            };
            window.keys.insert(key, Watched::new(shown));
        }
        let met = keys_of(&window.met).map(|(key, index)| (key, Shown::Met(index)));
        let unmet = keys_of(&window.unmet).map(|(key, index)| (key, Shown::Unmet(index)));
        let shown: Vec<_> = met.chain(unmet).collect();
        for (key, shown) in shown {
            // Not those that the server took for others.
            let watched = window.keys.get_mut(&key);
            if let Some(watched) = watched.filter(|watched| watched.shown == Shown::Absent) {
                watched.shown = shown;
            }
        }
        window
    }

    fn new(table: TableName, segment: Option<usize>, met: Batch, unmet: Batch) -> Self {
        Self {
            table,
            segment,
            met,
            unmet,
            keys: HashMap::new(),
            is_emptied: false,
            covered: None,
            rows_placed: 0,
        }
    }

    /// The same beside a stream in which every change of the table goes out.
    pub(super) fn of_bootstrap(self, schema: &TableSchema) -> Self {
        Self {
            covered: Some(TableCopy::covered(schema)),
            ..self
        }
    }

    pub(super) fn covered_table(&self) -> Option<&TableCopy> {
        self.covered.as_ref()
    }

    pub(super) fn table(&self) -> &TableName {
        &self.table
    }

    /// Takes note of a change, and says what it means.
    pub(super) fn change(
        &mut self,
        row: &Row<'_>,
        before: Option<(&Key, usize)>,
        after: Option<(&Key, usize)>,
    ) -> Seen {
        let seen = self.see(row, before, after);
        match self.covered {
            Some(_) => Seen {
                is_settled: [None; 2],
                ..seen
            },
            None => seen,
        }
    }

    fn see(
        &mut self,
        row: &Row<'_>,
        before: Option<(&Key, usize)>,
        after: Option<(&Key, usize)>,
    ) -> Seen {
        let (was, is) = (row.before(), row.after());
        if let (Some((key, segment)), Some((same, _))) = (before, after)
            && key == same
        {
            let had_cut = self.is_settled(key, segment);
            let is_settled = self.observe(key, segment, was.as_ref(), is.as_ref());
            let is_met =
                matches!(self.keys.get(key), Some(key) if matches!(key.shown, Shown::Met(_)));
            let snapshot_first = is_met && is_settled == Some(true) && had_cut == Some(false);
            self.rows_placed += u64::from(snapshot_first);
            return Seen {
                is_settled: [is_settled; 2],
                snapshot_first,
            };
        }
        let mut seen = Seen::default();
        if let Some((key, segment)) = before {
            // A key that goes has its cut after that, if not before: there is nothing of it to go out first.
            seen.is_settled[0] = self.is_settled(key, segment);
            self.observe(key, segment, was.as_ref(), None);
        }
        if let Some((key, segment)) = after {
            seen.is_settled[1] = self.observe(key, segment, None, is.as_ref());
        }
        seen
    }

    /// Whether the cut of a key is behind the log; none where it is not this window's.
    fn is_settled(&self, key: &Key, segment: usize) -> Option<bool> {
        match self.keys.get(key) {
            Some(watched) => Some(watched.is_settled),
            None if self.segment == Some(segment) => Some(self.is_emptied),
            None => None,
        }
    }

    /// A key that was `was` becomes `is`. Says whether its cut lies before that.
    fn observe(
        &mut self,
        key: &Key,
        segment: usize,
        was: Option<&Image<'_>>,
        is: Option<&Image<'_>>,
    ) -> Option<bool> {
        let is_settled = self.is_settled(key, segment)?;
        if is_settled {
            return Some(true);
        }
        if !self.keys.contains_key(key) {
            self.keys.insert(key.clone(), Watched::new(Shown::Nothing));
        }
        let shown = self.keys.get(key)?.shown;
        let (settles, is_as_shown) = (self.shows(shown, was), self.shows(shown, is));
        let watched = self.keys.get_mut(key)?;
        watched.is_settled = settles;
        watched.is_as_shown = is_as_shown;
        Some(settles)
    }

    /// Whether the view showed just this.
    fn shows(&self, shown: Shown, image: Option<&Image<'_>>) -> bool {
        let row = match shown {
            Shown::Nothing => return false,
            Shown::Absent => return image.is_none(),
            Shown::Met(index) => self.met.row(index),
            Shown::Unmet(index) => self.unmet.row(index),
        };
        let row = row.and_then(|row| row.after());
        image.is_some_and(|image| row.is_some_and(|row| row.same_cells(image)))
    }

    /// Takes note that all rows of the table were removed at once.
    pub(super) fn empty(&mut self) {
        self.is_emptied = true;
        self.keys.clear();
        self.met.clear();
        self.unmet.clear();
    }

    pub(super) fn close(mut self) -> Closed {
        let has_its_cut_here = |key: &Key| {
            let watched = self.keys.get(key);
            watched.is_some_and(|watched| !watched.is_settled && watched.is_as_shown)
        };
        let mut verdicts = vec![Verdict::Drop; self.met.len()];
        for (key, index) in keys_of(&self.met) {
            if has_its_cut_here(&key) {
                verdicts[index] = Verdict::Keep;
            }
        }
        self.met.retain(&verdicts);
        let is_pending = |watched: &Watched| !watched.is_settled && !watched.is_as_shown;
        let pending = self.keys.into_iter();
        let mut pending: Vec<Key> = pending
            .filter_map(|(key, watched)| is_pending(&watched).then_some(key))
            .collect();
        pending.sort();
        Closed {
            rows: [self.met, Batch::new()],
            rows_placed: self.rows_placed,
            pending,
        }
    }
}

fn keys_of(rows: &Batch) -> impl Iterator<Item = (Key, usize)> {
    let keys = rows.rows().enumerate();
    keys.filter_map(|(index, row)| Some((Key::of(&row.after()?)?, index)))
}
