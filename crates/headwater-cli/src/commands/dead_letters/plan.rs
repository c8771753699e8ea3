//! What is read again for the letters that are open: for each table, conditions that find their rows.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use headwater_core::Error;
use headwater_core::dead_letters::{Kept, Letter, Place};
use headwater_core::schema::TableName;
use headwater_mysql::keys;
use headwater_mysql::schema::TableDefinition;
use serde_json::Value;

/// Bytes of a condition: it stands in the checkpoint while its rows are read.
const CONDITION_BYTES_MAX: usize = 16 * 1024;

/// One thing to ask for.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) table: TableName,
    /// None: the whole table.
    pub(super) condition: Option<String>,
    /// The letters that are settled by it.
    pub(super) places: Vec<Place>,
}

/// Letters that cannot be replayed.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) table: TableName,
    pub(super) letters: usize,
    pub(super) reason: String,
}

/// Everything to ask for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) parts: Vec<Part>,
    pub(super) left: Vec<Left>,
    /// The rows that letters are about.
    rows: HashSet<(TableName, String)>,
}

/// What a letter is about.
fn row_of(letter: &Letter) -> (TableName, String) {
    let key = Value::Object(letter.key.clone()).to_string();
    (letter.table.clone(), key)
}

/// Letters with one condition.
type Conditions = BTreeMap<String, Vec<Place>>;

/// Plans for `letters`, of which `tables` are those that are read now.
pub(super) fn plan(letters: &[Kept], tables: &[Arc<TableDefinition>], whole_tables: bool) -> Plan {
    let mut plan = Plan::default();
    let mut by_table: BTreeMap<&TableName, Vec<&Kept>> = BTreeMap::new();
    for kept in letters {
        by_table.entry(&kept.letter.table).or_default().push(kept);
        plan.rows.insert(row_of(&kept.letter));
    }
    for (name, letters) in by_table {
        let Some(table) = tables.iter().find(|table| table.name == *name) else {
            plan.leave(name, letters.len(), "the table is not among those that are read (any more): see iotdb.mappings and mysql.tables");
            continue;
        };
        let (deletes, rows): (Vec<&Kept>, Vec<&Kept>) = letters
            .into_iter()
            .partition(|kept| kept.letter.kind == "delete");
        if !deletes.is_empty() {
            plan.leave(
                name,
                deletes.len(),
                "a refused delete leaves no row to be read again: delete its points in IoTDB",
            );
        }
        let mut conditions = Conditions::new();
        let mut unfound: Option<(Error, Vec<Place>)> = None;
        for kept in rows {
            match keys::condition(table, &kept.letter.key) {
                Ok(condition) => conditions.entry(condition).or_default().push(kept.place),
                Err(error) => unfound
                    .get_or_insert_with(|| (error, Vec::new()))
                    .1
                    .push(kept.place),
            }
        }
        match unfound {
            Some((_, places)) if whole_tables => {
                let all = conditions.into_values().flatten();
                plan.parts.push(Part {
                    table: name.clone(),
                    condition: None,
                    places: all.chain(places).collect(),
                });
                continue;
            }
            Some((error, places)) => {
                let hint = error.hint_text().unwrap_or_default();
                let reason = format!("{error}: {hint}; with --whole-tables it is read whole");
                plan.leave(name, places.len(), &reason);
            }
            None => {}
        }
        plan.parts.extend(gathered(name, conditions));
    }
    plan
}

impl Plan {
    /// Whether a letter is about a row that is asked for. Of a table that is read whole each is: its rows have other keys by now.
    pub(super) fn is_about(&self, letter: &Letter) -> bool {
        let mut parts = self.parts.iter();
        let is_whole = |part: &Part| part.condition.is_none() && part.table == letter.table;
        parts.any(is_whole) || self.rows.contains(&row_of(letter))
    }

    fn leave(&mut self, table: &TableName, letters: usize, reason: &str) {
        self.left.push(Left {
            table: table.clone(),
            letters,
            reason: reason.to_owned(),
        });
    }
}

/// As many rows at once as a condition has room for.
fn gathered(table: &TableName, conditions: Conditions) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (one, places) in conditions {
        let one = format!("({one})");
        match parts.last_mut() {
            Some(Part {
                condition: Some(condition),
                places: gathered,
                ..
            }) if condition.len() + one.len() < CONDITION_BYTES_MAX => {
                condition.push_str(" OR ");
                condition.push_str(&one);
                gathered.extend(places);
            }
            _ => parts.push(Part {
                table: table.clone(),
                condition: Some(one),
                places,
            }),
        }
    }
    parts
}
