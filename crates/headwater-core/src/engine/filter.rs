//! The first copy's rule for the log: a change goes out only where its row is covered. Both images are looked at by
//! themselves, so that a row which moves from a covered range to one that is not goes out as a delete, and the other way
//! round as an insert.
//!
//! A table that is not known yet came after the cuts so far: nothing of it is covered, and it is read at the next cut. Where the
//! log is followed for good, it has everything of a table whose definition it brings, and all of that goes out.
//!
//! After a crash a sink that cannot take rows back may hold rows of ranges that the checkpoint calls unread. What was deleted
//! since then is in no later cut, so deletes of unread keys go out to it too; and where a row does not simply take the place of the
//! one with its key, so do updates, for a later cut says nothing of where the row was and what it held.

use super::note::TableEvent;
use super::window::{Seen, Window};
use crate::batch::{Batch, ChangeKind, Row, Verdict};
use crate::checkpoint::TableCopy;
use crate::coverage::{CutId, TableCoverage};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::schema::KeyOrder;
use crate::source::Source;

/// What the sink may hold of ranges that are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// Nothing.
    IsAbsent,
    /// Rows of a process that died, which are replaced when their keys are read.
    MayBeThere,
    /// The same, but nothing is replaced by a key alone.
    MayBeElsewhere,
}

/// How the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Up to the next cut, at which everything else is read.
    ToNextCut,
    /// For good; what is to be read besides is read in chunks.
    ForGood,
    /// For good, and everything goes out: there is a window to look at, and nothing to hold back.
    Unfiltered,
}

/// A key of a row that has to be found among a table's bounds.
struct Wanted {
    row: usize,
    before: bool,
    key: Key,
}

/// What a batch holds of one table.
#[derive(Default)]
struct Found {
    wanted: Vec<Wanted>,
    /// Rows at which the table was emptied.
    emptied: Vec<usize>,
    /// The row after which everything is covered: the table was emptied there.
    covered_after: Option<usize>,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.wanted.is_empty() && self.emptied.is_empty()
    }
}

/// Where a definition of the batch belongs.
#[derive(Clone, Copy)]
enum Place {
    /// A table that is not copied yet.
    Unknown,
    /// The table is all covered, or its ranges mean nothing for this key: everything goes out.
    Open,
    /// The table at this index.
    Table(usize),
}

/// Filters `batch` by what `copy` covers, and hands changes within an open `window` to it. Gives what the batch says of whole
/// tables.
pub(super) async fn filter<S: Source>(
    source: &S,
    copy: &[TableCopy],
    batch: &mut Batch,
    mut window: Option<&mut Window>,
    unread: Unread,
    reading: Reading,
) -> Result<Vec<TableEvent>> {
    let mut verdicts = vec![Verdict::Keep; batch.len()];
    let mut found: Vec<Found> = copy.iter().map(|_| Found::default()).collect();
    let mut events = Vec::new();
    let mut places: Vec<Option<Place>> = Vec::new();
    for (index, row) in batch.rows().enumerate() {
        let schema = row.schema_index();
        if places.len() <= schema {
            places.resize(schema + 1, None);
        }
        let place = match places[schema] {
            Some(place) => place,
            None => *places[schema].insert(place(copy, &row, window.as_deref())?),
        };
        let is_ddl = row.kind() == ChangeKind::Ddl;
        match place {
            Place::Unknown => {
                if !unknown(&mut events, &row, reading) {
                    verdicts[index] = Verdict::Drop;
                }
            }
            _ if is_ddl => {}
            Place::Open => {}
            Place::Table(table) => {
                let is_in_window = window
                    .as_ref()
                    .is_some_and(|window| *window.table() == copy[table].name);
                let (found, table) = (&mut found[table], &copy[table]);
                if row.kind() == ChangeKind::Truncate {
                    let window = window.as_deref().filter(|_| is_in_window);
                    let (goes_out, is_cut) = emptying(table, window, unread, reading);
                    found.emptied.push(index);
                    if is_cut {
                        found.covered_after.get_or_insert(index);
                        events.push(TableEvent::Emptied(table.name.clone()));
                    }
                    if goes_out {
                        continue;
                    }
                } else if row.schema().has_key() {
                    want_keys(&row, index, &mut found.wanted);
                }
                // Unless its keys say otherwise.
                let is_covered = found.covered_after.is_some_and(|at| at < index);
                if !is_covered {
                    verdicts[index] = Verdict::Drop;
                }
            }
        }
    }
    let found = copy.iter().zip(found);
    for (table, found) in found.filter(|(_, found)| !found.is_nothing()) {
        let segments = segments(source, table, &found.wanted, batch).await?;
        let window = window.as_deref_mut();
        let window = window.filter(|window| *window.table() == table.name);
        let coverage = &table.coverage;
        judge(
            coverage,
            &found,
            &segments,
            batch,
            window,
            unread,
            &mut verdicts,
        );
    }
    batch.retain(&verdicts);
    Ok(events)
}

/// Whether it is said that all rows of a table are gone, and whether that is a cut of all its keys.
fn emptying(
    table: &TableCopy,
    window: Option<&Window>,
    unread: Unread,
    reading: Reading,
) -> (bool, bool) {
    // Within a window of a bounded table keys have cuts of their own, and some may be passed.
    let has_own_cuts = matches!(window, Some(Window::Bounded(_)));
    let goes_out = table.coverage.has_passed() || unread != Unread::IsAbsent || has_own_cuts;
    // Of a table of which nothing is out: it is not said, but that is a cut all the same.
    let is_cut = goes_out || reading == Reading::ForGood;
    (goes_out, is_cut && window.is_none())
}

fn place(copy: &[TableCopy], row: &Row<'_>, window: Option<&Window>) -> Result<Place> {
    let schema = row.schema();
    let Some(index) = copy.iter().position(|table| table.name == schema.name) else {
        return Ok(Place::Unknown);
    };
    if schema.columns.is_empty() {
        // The mark of a table whose definition is not known: it says nothing of a key.
        return Ok(Place::Open);
    }
    let table = &copy[index];
    let is_in_window = window.is_some_and(|window| *window.table() == table.name);
    if table.coverage.whole() == Some(CutId::PASSED) && !is_in_window {
        return Ok(Place::Open);
    }
    if table.has_key_of(schema) {
        return Ok(Place::Table(index));
    }
    if is_in_window {
        return Err(Error::new(
            ErrorKind::SchemaChanged,
            "the key changed while a chunk was read",
        )
        .with("table", &table.name));
    }
    // Its ranges mean nothing any more: it is read again from the beginning at the next cut.
    Ok(Place::Open)
}

/// Takes note of a table that is not known. Says whether what the log has of it goes out.
fn unknown(events: &mut Vec<TableEvent>, row: &Row<'_>, reading: Reading) -> bool {
    let schema = row.schema();
    let is_ddl = row.kind() == ChangeKind::Ddl;
    match (reading, is_ddl) {
        (Reading::Unfiltered, _) | (Reading::ToNextCut, true) => return true,
        (Reading::ToNextCut, false) => note_found(events, TableCopy::unread(schema, 0)),
        (Reading::ForGood, true) => note_found(events, TableCopy::covered(schema)),
        // It was there before, and has gone since: had the tables not been listed in between, it would be known.
        (Reading::ForGood, false) => {
            let beside = schema.can_split();
            let unread = TableCopy::unread(schema, 0);
            note_found(events, TableCopy { beside, ..unread });
        }
    }
    let mut found = events.iter();
    found.any(|event| matches!(event, TableEvent::Found(copy) if copy.name == schema.name && copy.completed))
}

fn note_found(events: &mut Vec<TableEvent>, found: TableCopy) {
    let is_known =
        |event: &TableEvent| matches!(event, TableEvent::Found(copy) if copy.name == found.name);
    if !events.iter().any(is_known) {
        events.push(TableEvent::Found(found));
    }
}

fn want_keys(row: &Row<'_>, index: usize, wanted: &mut Vec<Wanted>) {
    let before = row
        .before()
        .and_then(|image| Key::of(&image))
        .map(|key| (true, key));
    let after = row
        .after()
        .and_then(|image| Key::of(&image))
        .map(|key| (false, key));
    let keys = before.into_iter().chain(after);
    wanted.extend(keys.map(|(before, key)| Wanted {
        row: index,
        before,
        key,
    }));
}

/// The segment of each key.
async fn segments<S: Source>(
    source: &S,
    table: &TableCopy,
    wanted: &[Wanted],
    batch: &Batch,
) -> Result<Vec<usize>> {
    let bounds = table.coverage.bounds();
    let order = wanted.first().and_then(|first| batch.row(first.row));
    let order = order.map_or(KeyOrder::Client, |row| row.schema().key_order);
    if bounds.is_empty() {
        return Ok(vec![0; wanted.len()]);
    }
    match order {
        KeyOrder::Client => {
            let below = |key: &Key| bounds.partition_point(|bound| bound < key);
            Ok(wanted.iter().map(|wanted| below(&wanted.key)).collect())
        }
        KeyOrder::Server | KeyOrder::None => {
            let keys: Vec<Key> = wanted.iter().map(|wanted| wanted.key.clone()).collect();
            match source.locate(&table.name, bounds, &keys).await {
                // It was dropped since, so that nobody knows its order any more. None of it counts as covered: the log is about
                // to tell that all of it went.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Ok(vec![usize::MAX; keys.len()])
                }
                located => located,
            }
        }
    }
}

/// How a key's range stands to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The row has no such image.
    None,
    /// Read at a cut that the log has passed.
    Covered,
    /// Not read, or not yet: what it was is in no cut, or in one that the log has yet to reach.
    Uncovered,
    /// Not read, but the sink may hold a row of it.
    Doubtful,
}

/// Decides over each row whose keys were found. Keys of one row stand side by side, before-image first.
fn judge(
    coverage: &TableCoverage,
    found: &Found,
    segments: &[usize],
    batch: &Batch,
    mut window: Option<&mut Window>,
    unread: Unread,
    verdicts: &mut [Verdict],
) {
    let wanted = &found.wanted;
    let mut emptied = found.emptied.iter().peekable();
    let not_covered = match unread {
        Unread::MayBeThere | Unread::MayBeElsewhere => Side::Doubtful,
        Unread::IsAbsent => Side::Uncovered,
    };
    let side = |found: Option<(&Key, usize)>| match found.map(|(_, at)| coverage.segment(at)) {
        None => Side::None,
        Some(Some(CutId::PASSED)) => Side::Covered,
        Some(None) => not_covered,
        Some(Some(_)) => Side::Uncovered,
    };
    let mut index = 0;
    while index < wanted.len() {
        let row = wanted[index].row;
        while emptied.next_if(|at| **at < row).is_some() {
            if let Some(window) = window.as_deref_mut() {
                window.empty();
            }
        }
        let pair = usize::from(wanted.get(index + 1).is_some_and(|next| next.row == row)) + 1;
        let (mut before, mut after) = (None, None);
        for (one, segment) in wanted[index..index + pair].iter().zip(&segments[index..]) {
            let side = if one.before { &mut before } else { &mut after };
            *side = Some((&one.key, *segment));
        }
        let is_same_key = match (before, after) {
            (Some((before, _)), Some((after, _))) => before == after,
            _ => false,
        };
        let mut sides = [side(before), side(after)];
        let mut seen = Seen::default();
        if let (Some(window), Some(row)) = (window.as_deref_mut(), batch.row(row)) {
            seen = window.change(&row, before, after);
        }
        for (side, is_settled) in sides.iter_mut().zip(seen.is_settled) {
            match is_settled {
                Some(true) => *side = Side::Covered,
                Some(false) => *side = not_covered,
                None => {}
            }
        }
        if found.covered_after.is_none_or(|at| row < at) {
            verdicts[row] = match verdict(sides[0], sides[1], is_same_key, unread) {
                Verdict::Keep if seen.snapshot_first => Verdict::AfterItsSnapshot,
                verdict => verdict,
            };
        }
        index += pair;
    }
    if let (Some(window), Some(_)) = (window, emptied.next()) {
        window.empty();
    }
}

fn verdict(before: Side, after: Side, is_same_key: bool, unread: Unread) -> Verdict {
    match (before, after) {
        (Side::Covered, Side::Covered | Side::None)
        | (Side::None, Side::Covered)
        | (Side::Doubtful, Side::Covered | Side::None) => Verdict::Keep,
        (Side::Doubtful, Side::Doubtful) if is_same_key && unread == Unread::MayBeElsewhere => {
            Verdict::Keep
        }
        (Side::Uncovered, Side::Covered) => Verdict::AsInsert,
        (Side::Covered, Side::Uncovered | Side::Doubtful) => Verdict::AsDelete,
        (Side::Doubtful, Side::Uncovered | Side::Doubtful) if !is_same_key => Verdict::AsDelete,
        _ => Verdict::Drop,
    }
}
