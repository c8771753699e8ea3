//! The writers: random transactions over all tables.

use std::sync::Arc;

use headwater_core::schema::{KeyOrder, TableName, TableSchema};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};

use super::database::{
    Action, Change, Database, Place, Row, Table, Tables, Value, apply, schema, with_column,
};
use super::world::{Ddl, Options};

/// The table that no run copies.
pub(super) const IGNORED: &str = "ignored";
/// Tries to find a key that is free.
const TRIES: u32 = 8;

/// The tables of a new world, filled.
pub(super) fn first_tables(options: &Options, random: &mut StdRng) -> Tables {
    let mut schemas = vec![
        schema("numbers", &[("id", false)], KeyOrder::Client),
        schema("names", &[("name", true)], KeyOrder::Server),
        schema(
            "pairs",
            &[("tenant", false), ("id", false)],
            KeyOrder::Client,
        ),
        schema(IGNORED, &[("id", false)], KeyOrder::Client),
    ];
    if options.unsplittable {
        schemas.push(schema("labels", &[("label", true)], KeyOrder::None));
        schemas.push(schema("events", &[], KeyOrder::None));
    }
    let mut tables = Tables::new();
    for schema in schemas {
        let mut table = Table::new(Arc::clone(&schema));
        for _ in 0..random.random_range(0..=options.rows) {
            if let Some((place, row)) = new_row(&mut table, random) {
                table.rows.insert(place, row);
            }
        }
        tables.insert(schema.name.clone(), Arc::new(table));
    }
    tables
}

fn random_key(schema: &TableSchema, random: &mut StdRng) -> Row {
    let name = &*schema.name.table;
    match name {
        "pairs" => vec![
            Value::Int(random.random_range(-1..=2)),
            Value::Int(random.random_range(0..40)),
        ],
        "names" | "labels" => {
            let letters = ["a", "B", "c", "D", "e", "F", "A", "b", "C"];
            let letter = letters.choose(random).copied().unwrap_or("z");
            vec![Value::Text(format!(
                "{letter}{}",
                random.random_range(0..30)
            ))]
        }
        _ if schema.key.is_empty() => Vec::new(),
        _ => vec![Value::Int(random.random_range(-60..120))],
    }
}

/// The rest of a row. No two changes give one content, but in the table without a key.
fn fill(schema: &TableSchema, row: &mut Row, random: &mut StdRng) {
    let note = match random.random_range(0..3) {
        0 => Value::Null,
        _ => Value::Text(format!("n{}", random.random_range(0..4))),
    };
    let version = if schema.key.is_empty() {
        random.random_range(0..5)
    } else {
        random.random_range(0..i64::MAX)
    };
    row.truncate(schema.key.len());
    row.push(note);
    row.push(Value::Int(version));
    while row.len() < schema.columns.len() {
        let number = random.random_range(0..9);
        row.push(if number == 0 {
            Value::Null
        } else {
            Value::Text(format!("x{number}"))
        });
    }
}

fn new_row(table: &mut Table, random: &mut StdRng) -> Option<(Place, Row)> {
    for _ in 0..TRIES {
        let mut row = random_key(&table.schema, random);
        fill(&table.schema, &mut row, random);
        let place = table.place_of(&row);
        if !table.rows.contains_key(&place) {
            return Some((place, row));
        }
    }
    None
}

/// One transaction, committed or rolled back.
pub(super) fn write(database: &mut Database, options: &Options, random: &mut StdRng) {
    if options.ddl != Ddl::None && random.random_bool(0.05) && define(database, options, random) {
        return;
    }
    let mut tables = Arc::clone(&database.latest);
    let contents = Arc::make_mut(&mut tables);
    let count = if random.random_bool(0.1) {
        random.random_range(1..=options.big_transaction_rows)
    } else {
        random.random_range(1..=4)
    };
    let only_ignored = random.random_bool(0.1);
    let mut changes = Vec::new();
    if options.hot
        && let Some(change) = hot_change(contents, random)
    {
        apply(contents, &change);
        changes.push(change);
    }
    for _ in 0..count {
        let wanted = |name: &&TableName| !only_ignored || &*name.table == IGNORED;
        let Some(name) = contents.keys().filter(wanted).choose(random).cloned() else {
            break;
        };
        let Some(table) = contents.get_mut(&name).map(Arc::make_mut) else {
            break;
        };
        if let Some(action) = row_change(table, random) {
            let change = Change {
                schema: Arc::clone(&table.schema),
                action,
            };
            apply(contents, &change);
            changes.push(change);
        }
    }
    let is_rolled_back = random.random_bool(0.1);
    if !changes.is_empty() && !is_rolled_back {
        database.commit(tables, changes);
    }
}

/// A change of the row 0 of `numbers`.
fn hot_change(tables: &mut Tables, random: &mut StdRng) -> Option<Change> {
    let table = tables.get_mut(&TableName::new("shop", "numbers"))?;
    let table = Arc::make_mut(table);
    let schema = Arc::clone(&table.schema);
    let mut after = vec![Value::Int(0)];
    fill(&schema, &mut after, random);
    let place = table.place_of(&after);
    let action = match table.rows.get(&place).cloned() {
        None => Action::Insert { place, after },
        Some(before) => Action::Update {
            from: place.clone(),
            before,
            to: place,
            after,
        },
    };
    Some(Change { schema, action })
}

fn row_change(table: &mut Table, random: &mut StdRng) -> Option<Action> {
    let existing = table
        .rows
        .iter()
        .choose(random)
        .map(|(place, row)| (place.clone(), row.clone()));
    let Some((from, before)) = existing.filter(|_| random.random_bool(0.75)) else {
        let (place, after) = new_row(table, random)?;
        return Some(Action::Insert { place, after });
    };
    match random.random_range(0..10) {
        0..4 => {
            let mut after = before.clone();
            fill(&table.schema, &mut after, random);
            (after != before).then(|| Action::Update {
                from: from.clone(),
                before,
                to: from,
                after,
            })
        }
        4..7 if !table.schema.key.is_empty() => change_key(table, from, before, random),
        _ => Some(Action::Delete {
            place: from,
            before,
        }),
    }
}

/// A row gets another key: a free one, or the same in another letter case.
fn change_key(table: &mut Table, from: Place, before: Row, random: &mut StdRng) -> Option<Action> {
    let (to, after) = match (&before[0], random.random_bool(0.4)) {
        (Value::Text(name), true) => {
            let swap = |letter: char| {
                if letter.is_lowercase() {
                    letter.to_ascii_uppercase()
                } else {
                    letter.to_ascii_lowercase()
                }
            };
            let mut after = before.clone();
            after[0] = Value::Text(name.chars().map(swap).collect());
            fill(&table.schema, &mut after, random);
            let to = table.place_of(&after);
            if to != from && table.rows.contains_key(&to) {
                return None;
            }
            (to, after)
        }
        _ => new_row(table, random)?,
    };
    Some(Action::Update {
        from,
        before,
        to,
        after,
    })
}

/// A change of definitions, or a TRUNCATE: a transaction of its own.
fn define(database: &mut Database, options: &Options, random: &mut StdRng) -> bool {
    let tables = Arc::clone(&database.latest);
    let Some(table) = tables
        .values()
        .filter(|table| &*table.schema.name.table != IGNORED)
        .choose(random)
    else {
        return false;
    };
    let old = &table.schema;
    let created = database.end();
    let name = format!("new_{created}");
    let (schema, action) = match random.random_range(0..4) {
        0 if options.ddl == Ddl::All => (Arc::clone(old), Action::Truncate),
        1 => (
            schema(&name, &[("id", false)], KeyOrder::Client),
            Action::Create,
        ),
        2 if old.name.table.starts_with("new_") && options.ddl == Ddl::All => {
            (Arc::clone(old), Action::Drop)
        }
        _ if old.columns.len() < 7 => (with_column(old), Action::AddColumn),
        _ => return false,
    };
    let change = Change { schema, action };
    let mut latest = tables;
    apply(Arc::make_mut(&mut latest), &change);
    database.commit(latest, vec![change]);
    true
}
