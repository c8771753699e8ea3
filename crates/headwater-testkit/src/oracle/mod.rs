//! The oracle: whether a sink's events tell exactly what truly happened.
//!
//! - Replaying the events gives the final tables ([`Oracle::check_final`]).
//! - Each key's events are a sub-sequence of its true history beginning at its cut: first its value there, then every later
//!   change, once and in order ([`Oracle::check_history`]).
//! - Rows of a global cut are the tables as of one position ([`Oracle::check_global_cut`]).
//!
//! Give every change of a row another content (a version column), or two places in its history look alike to the oracle.

mod event;
mod history;
mod keys;

use std::collections::BTreeMap;
use std::fmt;

pub use event::{Event, Image, Keys, Kind, from_json_lines, key_text};
pub use history::{Contents, History, Placed};

/// What was found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The table, if it is about one.
    pub table: String,
    /// The key, if it is about one.
    pub key: String,
    /// What is wrong, with what was found and what was expected.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(table: &str, key: &str, what: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            key: key.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.table, self.key, self.what)
    }
}

impl std::error::Error for Violation {}

/// What the sink promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Every event once.
    Exact,
    /// Every change once. Besides, rows may be bootstrapped again, each as it is at that place of its own history.
    Rebootstrapped,
    /// After a crash or a fault a stretch may come again, and rows may be bootstrapped again at a later cut. A delete of a row
    /// that never came is allowed: the sink may have had it. Tables without a key are not looked at.
    AtLeastOnce,
}

/// Where the stream began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Began {
    /// With a first copy.
    WithCopy,
    /// With the log after this position, and no copy.
    After(u64),
}

/// Judges events by the true history.
#[derive(Debug, Clone)]
pub struct Oracle {
    history: History,
    condition: Option<Condition>,
}

/// Whether a row meets the condition that bounds a first copy.
pub type Condition = fn(&Image) -> bool;

impl Oracle {
    /// An oracle that knows `history`.
    #[must_use]
    pub fn new(history: History) -> Self {
        Self {
            history,
            condition: None,
        }
    }

    /// The same for a first copy that `condition` bounds: a row that did not meet it at its cut was not copied. The log is
    /// not bounded, so that every change after the cut comes all the same. Tables without a key are not bounded.
    #[must_use]
    pub fn bounded(self, condition: Condition) -> Self {
        Self {
            condition: Some(condition),
            ..self
        }
    }

    /// Takes away from the rows that are expected those that a condition may have left out.
    fn leave_out(&self, expected: &mut Contents, found: &Contents) {
        let Some(meets) = self.condition else { return };
        let is_keyed = |table: &str| !self.history.key_columns(table).is_empty();
        expected.retain(|place, (row, _)| {
            meets(row) || found.contains_key(place) || !is_keyed(&place.0)
        });
    }

    /// What truly happened.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Everything about a stream that began with a first copy and was followed to the end of the history.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, events: &[Event], delivery: Delivery) -> Result<(), Violation> {
        self.check_history(events, delivery, Began::WithCopy)?;
        match delivery {
            // Rows without a key that come again replace nothing.
            Delivery::AtLeastOnce | Delivery::Rebootstrapped => self.check_keyed_final(events),
            Delivery::Exact => self.check_final(events, Began::WithCopy),
        }
    }

    /// Whether replaying the events gives the final tables.
    ///
    /// # Errors
    /// A row that is missing, too much, or another.
    pub fn check_final(&self, events: &[Event], began: Began) -> Result<(), Violation> {
        let found = self.replay(events, began);
        let mut expected = self.history.final_contents();
        if began == Began::WithCopy {
            self.leave_out(&mut expected, &found);
        }
        same_contents(&found, &expected)
    }

    /// The same, of tables with a key only.
    fn check_keyed_final(&self, events: &[Event]) -> Result<(), Violation> {
        let is_keyed = |table: &str| !self.history.key_columns(table).is_empty();
        let mut found = self.replay(events, Began::WithCopy);
        let mut expected = self.history.final_contents();
        found.retain(|(table, _), _| is_keyed(table));
        expected.retain(|(table, _), _| is_keyed(table));
        self.leave_out(&mut expected, &found);
        same_contents(&found, &expected)
    }

    /// Whether what the history says of the final tables is what they hold: `actual` was read from the source itself.
    ///
    /// # Errors
    /// A row that is missing, too much, or another.
    pub fn check_tables(&self, actual: &BTreeMap<String, Vec<Image>>) -> Result<(), Violation> {
        let read = History {
            keys: self.history.keys.clone(),
            initial: actual.clone(),
            changes: Vec::new(),
        };
        same_contents(&self.history.final_contents(), &read.initial_contents())
    }

    fn replay(&self, events: &[Event], began: Began) -> Contents {
        let mut contents = match began {
            Began::WithCopy => Contents::new(),
            Began::After(position) => self.history.until(position).final_contents(),
        };
        for event in events {
            history::apply(&mut contents, &self.history, event);
        }
        contents
    }

    /// Whether each key's events are what happened to it since its cut.
    ///
    /// # Errors
    /// The first key of which they are not.
    pub fn check_history(
        &self,
        events: &[Event],
        delivery: Delivery,
        began: Began,
    ) -> Result<(), Violation> {
        if let Some(foreign) = events
            .iter()
            .find(|event| !self.history.keys.contains_key(&event.table))
        {
            return Err(Violation::new(
                &foreign.table,
                "",
                "a table that the history does not know",
            ));
        }
        let condition = self.condition;
        keys::check_keyed(&self.history, events, delivery, began, condition)?;
        if delivery != Delivery::AtLeastOnce {
            for (table, _) in self.history.keys.iter().filter(|(_, key)| key.is_empty()) {
                keys::check_keyless(&self.history, table, events, delivery, began)?;
            }
        }
        Ok(())
    }

    /// Whether the bootstrap rows of all tables are the tables as of one position, and which (the first that fits).
    ///
    /// # Errors
    /// None fits.
    pub fn check_global_cut(&self, events: &[Event]) -> Result<u64, Violation> {
        let mut copied = Contents::new();
        for event in events.iter().filter(|event| event.kind == Kind::Bootstrap) {
            history::apply(&mut copied, &self.history, event);
        }
        let mut contents = self.history.initial_contents();
        let mut position = 0;
        let mut changes = self.history.changes.iter().peekable();
        loop {
            if contents == copied {
                return Ok(position);
            }
            let Some(next) = changes.peek().map(|change| change.position) else {
                let what = "the bootstrap rows are the tables as of no position at all";
                return Err(Violation::new("", "", what));
            };
            while let Some(change) = changes.next_if(|change| change.position == next) {
                history::apply(&mut contents, &self.history, &change.event);
            }
            position = next;
        }
    }
}

fn same_contents(found: &Contents, expected: &Contents) -> Result<(), Violation> {
    for ((table, key), row) in expected {
        match found.get(&(table.clone(), key.clone())) {
            Some(held) if held == row => {}
            Some(held) => {
                let what = format!("the row is {held:?}, but the table has {row:?}");
                return Err(Violation::new(table, key, what));
            }
            None => {
                return Err(Violation::new(
                    table,
                    key,
                    format!("lost: the table has {row:?}"),
                ));
            }
        }
    }
    for ((table, key), row) in found {
        if !expected.contains_key(&(table.clone(), key.clone())) {
            let what = format!("{row:?} is still there, but not in the table");
            return Err(Violation::new(table, key, what));
        }
    }
    Ok(())
}
