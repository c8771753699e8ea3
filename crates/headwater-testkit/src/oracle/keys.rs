//! Each key's events against its true history.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Event, Image, Kind, key_text};
use super::history::{Contents, History, apply};
use super::{Began, Condition, Delivery, Violation};

/// What an event means to one key: a change of the key is a delete of the old and an insert of the new.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    kind: Kind,
    before: Option<Image>,
    after: Option<Image>,
}

/// A key's true history: what it was at first, and every change of it with its position.
#[derive(Debug, Default)]
struct Truth {
    initial: Option<Image>,
    steps: Vec<(u64, Step)>,
}

impl Truth {
    /// The row after the first `count` changes.
    fn state(&self, count: usize) -> Option<&Image> {
        match count.checked_sub(1) {
            None => self.initial.as_ref(),
            Some(index) => self
                .steps
                .get(index)
                .and_then(|(_, step)| step.after.as_ref()),
        }
    }
}

type Place = (String, String);

/// The steps of `event`, key by key. `live` are the keys that there are (a TRUNCATE touches each).
fn steps(history: &History, event: &Event, live: &mut BTreeSet<Place>) -> Vec<(Place, Step)> {
    let columns = history.key_columns(&event.table);
    let place = |image: &Image| (event.table.clone(), key_text(columns, image));
    let step = |kind, before: Option<&Image>, after: Option<&Image>| Step {
        kind,
        before: before.cloned(),
        after: after.cloned(),
    };
    let found = match (event.kind, &event.before, &event.after) {
        (Kind::Truncate, _, _) => live
            .iter()
            .filter(|(table, _)| *table == event.table)
            .map(|gone| (gone.clone(), step(Kind::Truncate, None, None)))
            .collect(),
        (Kind::Update, Some(before), Some(after)) if place(before) != place(after) => vec![
            (place(before), step(Kind::Delete, Some(before), None)),
            (place(after), step(Kind::Insert, None, Some(after))),
        ],
        (kind, before, after) => {
            let image = after.as_ref().or(before.as_ref());
            let one = |image| (place(image), step(kind, before.as_ref(), after.as_ref()));
            image.map(one).into_iter().collect()
        }
    };
    for (place, step) in &found {
        if step.after.is_some() {
            live.insert(place.clone());
        } else {
            live.remove(place);
        }
    }
    found
}

pub(super) fn check_keyed(
    history: &History,
    events: &[Event],
    delivery: Delivery,
    began: Began,
    condition: Option<Condition>,
) -> Result<(), Violation> {
    let is_keyed = |table: &str| !history.key_columns(table).is_empty();
    let mut truth: BTreeMap<Place, Truth> = BTreeMap::new();
    let mut live = BTreeSet::new();
    for ((table, key), (row, _)) in history.initial_contents() {
        if is_keyed(&table) {
            live.insert((table.clone(), key.clone()));
            truth.entry((table, key)).or_default().initial = Some(row);
        }
    }
    for change in history
        .changes
        .iter()
        .filter(|change| is_keyed(&change.event.table))
    {
        for (place, step) in steps(history, &change.event, &mut live) {
            truth
                .entry(place)
                .or_default()
                .steps
                .push((change.position, step));
        }
    }
    let mut found: BTreeMap<Place, Vec<Step>> = BTreeMap::new();
    let mut live = match began {
        Began::WithCopy => BTreeSet::new(),
        Began::After(position) => history
            .until(position)
            .final_contents()
            .into_keys()
            .collect(),
    };
    for event in events.iter().filter(|event| is_keyed(&event.table)) {
        for (place, step) in steps(history, event, &mut live) {
            found.entry(place).or_default().push(step);
        }
    }
    let nothing = Truth::default();
    let places: BTreeSet<_> = truth.keys().chain(found.keys()).collect();
    for place in places {
        let truth = truth.get(place).unwrap_or(&nothing);
        let found = found.get(place).map_or(&[][..], Vec::as_slice);
        let result = match (delivery, began) {
            (Delivery::Exact, Began::WithCopy) => exact(truth, found, condition),
            (Delivery::Exact, Began::After(position)) => exact_after(truth, found, position),
            (Delivery::Rebootstrapped, _) => rebootstrapped(truth, found, began),
            (Delivery::AtLeastOnce, _) => at_least_once(truth, found, began),
        };
        result.map_err(|what| {
            let what = format!("{what}\n  events {found:#?}\n  truth {truth:#?}");
            Violation::new(&place.0, &place.1, what)
        })?;
    }
    Ok(())
}

/// The value at a cut, then each change after it, once.
fn exact(truth: &Truth, found: &[Step], condition: Option<Condition>) -> Result<(), String> {
    let is_copied = |row: &Image| condition.is_none_or(|meets| meets(row));
    let (bootstrap, changes) = match found.split_first() {
        Some((first, rest)) if first.kind == Kind::Bootstrap => (Some(first), rest),
        _ => (None, found),
    };
    // The stream goes to the end of the history, so the number of changes says where the cut was.
    let Some(cut) = truth.steps.len().checked_sub(changes.len()) else {
        return Err("more changes came than happened".into());
    };
    match (bootstrap, truth.state(cut)) {
        (Some(row), Some(state)) if row.after.as_ref() == Some(state) && is_copied(state) => {}
        (None, None) => {}
        (None, Some(state)) if !is_copied(state) => {}
        (Some(_), _) => {
            return Err(format!(
                "the bootstrap row is not what the row was {cut} changes after its beginning, or it does not meet the condition"
            ));
        }
        (None, Some(_)) => {
            return Err("a row that was there at its cut was never bootstrapped".into());
        }
    }
    let expected = truth.steps.iter().skip(cut).map(|(_, step)| step);
    same_steps(changes, expected)
}

/// Each change once, in order; a bootstrap row is the row as it is at its place among them.
fn rebootstrapped(truth: &Truth, found: &[Step], began: Began) -> Result<(), String> {
    let changes = found.iter().filter(|step| step.kind != Kind::Bootstrap);
    let Some(mut place) = truth.steps.len().checked_sub(changes.count()) else {
        return Err("more changes came than happened".into());
    };
    let is_there = began == Began::WithCopy && truth.state(place).is_some();
    if is_there
        && found
            .first()
            .is_none_or(|step| step.kind != Kind::Bootstrap)
    {
        return Err("a row that was there at its cut was never bootstrapped".into());
    }
    for (number, step) in found.iter().enumerate() {
        if step.kind != Kind::Bootstrap {
            let expected = truth.steps.get(place).map(|(_, step)| step);
            if expected != Some(step) {
                return Err(format!(
                    "event {number} is {step:?}, but the change was {expected:?}"
                ));
            }
            place += 1;
        } else if truth.state(place) != step.after.as_ref() {
            let state = truth.state(place);
            return Err(format!(
                "event {number} is {step:?}, but the row is {state:?} after {place} changes"
            ));
        }
    }
    Ok(())
}

fn exact_after(truth: &Truth, found: &[Step], position: u64) -> Result<(), String> {
    let expected: Vec<&Step> = truth
        .steps
        .iter()
        .filter(|(at, _)| *at > position)
        .map(|(_, step)| step)
        .collect();
    if expected.len() != found.len() {
        return Err(format!(
            "{} changes came, but {} happened",
            found.len(),
            expected.len()
        ));
    }
    same_steps(found, expected.into_iter())
}

fn same_steps<'a>(found: &[Step], expected: impl Iterator<Item = &'a Step>) -> Result<(), String> {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        if found != expected {
            return Err(format!(
                "change {number} came as {found:?}, but it was {expected:?}"
            ));
        }
    }
    Ok(())
}

/// Follows all places in the true history at which the stream could be. A step goes on to the next place, or back to one that
/// was there already; a bootstrap row is at a place not before the cuts that were there.
fn at_least_once(truth: &Truth, found: &[Step], began: Began) -> Result<(), String> {
    let total = truth.steps.len();
    let start = match began {
        Began::WithCopy => 0,
        Began::After(position) => truth
            .steps
            .iter()
            .take_while(|(at, _)| *at <= position)
            .count(),
    };
    // A place, and whether the target has something of the key.
    let mut at: BTreeSet<usize> = match began {
        Began::WithCopy => (0..=total)
            .filter(|count| truth.state(*count).is_none())
            .collect(),
        Began::After(_) => BTreeSet::from([start]),
    };
    let mut earliest = start;
    for (number, step) in found.iter().enumerate() {
        let furthest = at.last().copied().unwrap_or(start);
        let lowest = at.first().copied().unwrap_or(start);
        at = if step.kind == Kind::Bootstrap {
            (earliest..=total)
                .filter(|count| truth.state(*count) == step.after.as_ref())
                .collect()
        } else {
            let allowed = |count: &usize| {
                let came_before = *count <= furthest && *count > start;
                let is_next = at.contains(&(*count - 1));
                let is_spare_delete = step.after.is_none() && *count > lowest;
                let same = truth
                    .steps
                    .get(*count - 1)
                    .is_some_and(|(_, true_step)| true_step == step);
                same && (came_before || is_next || is_spare_delete)
            };
            (1..=total).filter(allowed).collect()
        };
        if step.kind == Kind::Bootstrap {
            earliest = at.first().copied().unwrap_or(earliest).max(earliest);
        }
        if at.is_empty() {
            return Err(format!(
                "event {number} fits no place in the row's history: {step:?}"
            ));
        }
    }
    let ends_well = |count: &usize| {
        *count == total || (truth.state(*count).is_none() && truth.state(total).is_none())
    };
    if at.iter().any(ends_well) {
        Ok(())
    } else {
        Err("the last changes of the row never came".into())
    }
}

/// A table without a key: its rows as of one position, then every later change. Where rows may be bootstrapped again, all of
/// them come at once, as they are there.
pub(super) fn check_keyless(
    history: &History,
    table: &str,
    events: &[Event],
    delivery: Delivery,
    began: Began,
) -> Result<(), Violation> {
    let wrong = |what: &str| Violation::new(table, "", what);
    let mine: Vec<&Event> = events.iter().filter(|event| event.table == table).collect();
    let is_row = |event: &&Event| event.kind == Kind::Bootstrap;
    let came = mine.iter().filter(|event| !is_row(event)).count();
    let all: Vec<_> = history
        .changes
        .iter()
        .filter(|change| change.event.table == table)
        .collect();
    let Some(cut) = all.len().checked_sub(came) else {
        return Err(wrong("more changes came than happened"));
    };
    let (before, after) = all.split_at(cut);
    let mut held = history.initial_contents();
    held.retain(|(name, _), _| name == table);
    for change in before {
        apply(&mut held, history, &change.event);
    }
    let mut truths = after.iter();
    let mut rest = &mine[..];
    let mut is_first = began == Began::WithCopy;
    loop {
        let rows = rest.iter().take_while(|event| is_row(event)).count();
        let (rows, changes) = rest.split_at(rows);
        let may_repeat = delivery == Delivery::Rebootstrapped;
        let times = times(history, rows, &held);
        let is_right = match times {
            Some(times) => may_repeat || times == usize::from(is_first && !held.is_empty()),
            None => false,
        };
        if !is_right || (is_first && times == Some(0) && !held.is_empty()) {
            return Err(wrong("the rows are not the table as it was there"));
        }
        is_first = false;
        let Some((found, others)) = changes.split_first() else {
            break;
        };
        match truths.next() {
            Some(truth) if **found == truth.event => {}
            truth => {
                let truth = truth.map(|truth| &truth.event);
                return Err(wrong(&format!(
                    "a change came as {found:?}, but it was {truth:?}"
                )));
            }
        }
        apply(&mut held, history, found);
        rest = others;
    }
    if let Began::After(position) = began {
        let whole = before.iter().all(|change| change.position <= position)
            && after.iter().all(|change| change.position > position);
        return if whole {
            Ok(())
        } else {
            Err(wrong("changes are missing"))
        };
    }
    if let (Some(last), Some(first)) = (before.last(), after.first())
        && last.position == first.position
    {
        return Err(wrong("the cut lies within a transaction"));
    }
    Ok(())
}

/// How often `rows` are all of `held`; none if they are not.
fn times(history: &History, rows: &[&Event], held: &Contents) -> Option<usize> {
    let mut found = Contents::new();
    for row in rows {
        apply(&mut found, history, row);
    }
    let count = |contents: &Contents| contents.values().map(|(_, count)| *count).sum::<usize>();
    let Some(times) = rows.len().checked_div(count(held)) else {
        return rows.is_empty().then_some(0);
    };
    let mut expected = held.clone();
    expected.values_mut().for_each(|(_, count)| *count *= times);
    expected.retain(|_, (_, count)| *count > 0);
    (found == expected).then_some(times)
}
