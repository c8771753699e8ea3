//! The true history: the rows that were there at first, then every change in log order.

use std::collections::BTreeMap;

use super::event::{Event, Image, Keys, Kind, key_text};

/// A change, with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The number of its transaction: changes of one transaction share it.
    pub position: u64,
    /// The change.
    pub event: Event,
}

/// What truly happened. Only the order of changes to one key matters, but for [`super::Oracle::check_global_cut`] and tables
/// without a key, which need the log's own order and positions.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The tables, with the columns of their keys.
    pub keys: Keys,
    /// Rows that were there before the first change, by table.
    pub initial: BTreeMap<String, Vec<Image>>,
    /// The changes, in order.
    pub changes: Vec<Placed>,
}

/// The contents of tables: for each table and key the row, and how often it is there (more than once only without a key).
pub type Contents = BTreeMap<(String, String), (Image, usize)>;

impl History {
    /// A history without changes, of these tables.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            ..Self::default()
        }
    }

    /// A row that was there before the first change.
    pub fn add_initial(&mut self, table: &str, image: Image) {
        self.initial
            .entry(table.to_owned())
            .or_default()
            .push(image);
    }

    /// The next change.
    pub fn push(&mut self, position: u64, event: Event) {
        self.changes.push(Placed { position, event });
    }

    /// The same up to and including the transaction at `position`.
    #[must_use]
    pub fn until(&self, position: u64) -> Self {
        let mut part = self.clone();
        part.changes.retain(|change| change.position <= position);
        part
    }

    /// The history of the rows that `passes` lets through: what leaves them is removed, what enters them is new.
    #[must_use]
    pub fn filtered(&self, passes: fn(&Image) -> bool) -> Self {
        let mut part = self.clone();
        for rows in part.initial.values_mut() {
            rows.retain(passes);
        }
        part.changes.retain_mut(|change| {
            let event = &mut change.event;
            if event.kind == Kind::Truncate {
                return true;
            }
            event.before = event.before.take().filter(passes);
            event.after = event.after.take().filter(passes);
            match (&event.before, &event.after) {
                (None, None) => return false,
                (Some(_), Some(_)) => {}
                (Some(_), None) => event.kind = Kind::Delete,
                (None, Some(_)) => event.kind = Kind::Insert,
            }
            true
        });
        part
    }

    /// The columns of a table's key; empty without one.
    #[must_use]
    pub fn key_columns(&self, table: &str) -> &[String] {
        self.keys.get(table).map_or(&[], Vec::as_slice)
    }

    /// The rows before the first change.
    #[must_use]
    pub fn initial_contents(&self) -> Contents {
        let mut contents = Contents::new();
        for (table, rows) in &self.initial {
            for row in rows {
                add(&mut contents, self, table, row);
            }
        }
        contents
    }

    /// The rows after the last change.
    #[must_use]
    pub fn final_contents(&self) -> Contents {
        let mut contents = self.initial_contents();
        for change in &self.changes {
            apply(&mut contents, self, &change.event);
        }
        contents
    }
}

fn place(history: &History, table: &str, row: &Image) -> (String, String) {
    (table.to_owned(), key_text(history.key_columns(table), row))
}

fn add(contents: &mut Contents, history: &History, table: &str, row: &Image) {
    let is_keyed = !history.key_columns(table).is_empty();
    let held = contents
        .entry(place(history, table, row))
        .or_insert_with(|| (row.clone(), 0));
    held.0.clone_from(row);
    held.1 = if is_keyed { 1 } else { held.1 + 1 };
}

fn remove(contents: &mut Contents, history: &History, table: &str, row: &Image) {
    let place = place(history, table, row);
    if let Some(held) = contents.get_mut(&place) {
        held.1 -= 1;
        if held.1 == 0 {
            contents.remove(&place);
        }
    }
}

/// What a consumer does with an event: a row with a key is replaced by it.
pub(super) fn apply(contents: &mut Contents, history: &History, event: &Event) {
    if event.kind == Kind::Truncate {
        contents.retain(|(table, _), _| *table != event.table);
        return;
    }
    if let Some(before) = &event.before {
        remove(contents, history, &event.table, before);
    }
    if let Some(after) = &event.after {
        add(contents, history, &event.table, after);
    }
}
