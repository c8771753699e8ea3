//! Reads definitions from a server.

use std::collections::BTreeMap;

use headwater_core::schema::TableName;
use headwater_core::{Error, ErrorKind, Result};

use super::catalog::Catalog;
use super::charset::charset_name;
use super::definition::TableDefinition;
use super::information::{
    Answers, Cells, TableFacts, cell, definitions, literal, ordered_by, statements,
};
use super::labels;
use super::selection::Selection;
use crate::client::{Connection, Flavor, TextRow};

async fn rows(connection: &mut Connection, sql: &str) -> Result<Vec<Cells>> {
    let cells = |row: TextRow| {
        let cells = row.into_cells().into_iter();
        cells
            .map(|cell| cell.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
            .collect()
    };
    let result = connection.query(sql).await?;
    Ok(result.rows.into_iter().map(cells).collect())
}

/// The definitions of all selected tables, in the order of their names, as they are now: see the module about what
/// that is worth beside a read view. Views and sequences are left out.
///
/// # Errors
/// [`ErrorKind::NotFound`] for a named table or database that is not there, with the nearest name as a hint; else what
/// [`Connection::query`] answers.
pub async fn read_definitions(
    connection: &mut Connection,
    selection: &Selection,
) -> Result<Vec<(TableDefinition, TableFacts)>> {
    let found = read(connection, selection).await;
    found.map_err(|error| error.during("reading table definitions"))
}

async fn read(
    connection: &mut Connection,
    selection: &Selection,
) -> Result<Vec<(TableDefinition, TableFacts)>> {
    let mariadb = connection.server().flavor == Flavor::MariaDb;
    if !mariadb {
        show_generated_keys(connection).await?;
    }
    let mut all = Vec::new();
    for statement in statements(selection, mariadb) {
        all.push(match statement {
            Some(sql) => rows(connection, &sql).await?,
            None => Vec::new(),
        });
    }
    let mut all = all.into_iter();
    let mut next = || all.next().unwrap_or_default();
    let answers = Answers {
        tables: next(),
        columns: next(),
        indexes: next(),
        checks: next(),
        cascades: next(),
        engines: next(),
    };
    let mut definitions = definitions(&answers, selection, mariadb);
    if !mariadb {
        order_keys(connection, &mut definitions).await?;
    }
    for (table, _) in &mut definitions {
        labels::complete(connection, table).await?;
    }
    match missing(selection, &definitions) {
        Some(wanted) => Err(not_found(connection, wanted).await?),
        None => Ok(definitions),
    }
}

/// Which of several unique indexes comes first decides a table's key where it has no primary one. MySQL's STATISTICS has
/// no order; SHOW INDEX has. Such tables are rare.
async fn order_keys(
    connection: &mut Connection,
    definitions: &mut [(TableDefinition, TableFacts)],
) -> Result<()> {
    for (table, _) in definitions {
        if !table.primary_key.is_empty() || table.unique_keys.len() < 2 {
            continue;
        }
        let quote = |name: &str| format!("`{}`", name.replace('`', "``"));
        let (database, name) = (quote(&table.name.database), quote(&table.name.table));
        let indexes = rows(connection, &format!("SHOW INDEX FROM {database}.{name}")).await?;
        ordered_by(table, indexes.iter().map(|row| cell(row, 2)));
    }
    Ok(())
}

/// MySQL can hide the primary key that it makes up; it is in the log all the same.
async fn show_generated_keys(connection: &mut Connection) -> Result<()> {
    const NAME: &str = "show_gipk_in_create_table_and_information_schema";
    let shown = connection
        .query_one(&format!("SHOW SESSION VARIABLES LIKE '{NAME}'"))
        .await?;
    if shown.is_some_and(|row| row.as_str(1) == Some("OFF")) {
        connection
            .execute(&format!("SET SESSION {NAME} = ON"))
            .await?;
    }
    Ok(())
}

/// The first named table that was not found.
fn missing<'s>(
    selection: &'s Selection,
    found: &[(TableDefinition, TableFacts)],
) -> Option<&'s TableName> {
    let there = |wanted: &TableName| found.iter().any(|(table, _)| table.name == *wanted);
    selection.tables().iter().find(|wanted| !there(wanted))
}

/// The error for a table that is not there, with the nearest name that is.
async fn not_found(connection: &mut Connection, wanted: &TableName) -> Result<Error> {
    let sql = format!(
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}",
        literal(&wanted.database)
    );
    let there = rows(connection, &sql).await?;
    let error = Error::new(ErrorKind::NotFound, "there is no such table").with("table", wanted);
    if let Some(row) = there.iter().find(|row| cell(row, 0) == &*wanted.table) {
        let kind = cell(row, 1).to_ascii_lowercase();
        return Ok(
            Error::new(ErrorKind::NotFound, "only tables can be captured")
                .with("name", wanted)
                .with("which is a", kind)
                .hint("name the tables that its rows come from"),
        );
    }
    if there.is_empty() {
        let databases = rows(
            connection,
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA",
        )
        .await?;
        let nearest = nearest(&wanted.database, databases.iter().map(|row| cell(row, 0)));
        return Ok(match nearest {
            Some(name) if name == &*wanted.database => {
                error.hint("its database has no table that this user can see: GRANT SELECT on it")
            }
            Some(name) => error.hint(format!("is the database {name} meant?")),
            None => error
                .hint("check the name, and that this user can see the table: GRANT SELECT on it"),
        });
    }
    Ok(
        match nearest(&wanted.table, there.iter().map(|row| cell(row, 0))) {
            Some(name) => error.hint(format!("is {}.{name} meant?", wanted.database)),
            None => error
                .hint("check the name, and that this user can see the table: GRANT SELECT on it"),
        },
    )
}

/// The name that takes the fewest edits, if that is at most a third of its letters.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let distances = names.map(|name| (edits(&wanted, &name.to_lowercase()), name));
    let (distance, name) = distances.min()?;
    (distance * 3 <= wanted.chars().count().max(3)).then_some(name)
}

/// The Levenshtein distance.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for letter in one.chars() {
        let mut corner = row.first().copied().unwrap_or(0);
        let mut left = corner + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&other) {
            let replaced = corner + usize::from(letter != *other);
            corner = *cell;
            *cell = replaced.min(corner + 1).min(left + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first += 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The catalog of now: the definitions of all selected tables, and their databases' character sets.
///
/// # Errors
/// As [`read_definitions`].
pub async fn read_catalog(
    connection: &mut Connection,
    selection: &Selection,
) -> Result<(Catalog, BTreeMap<TableName, TableFacts>)> {
    let definitions = read_definitions(connection, selection).await?;
    let sql = "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA";
    let mut catalog = Catalog::default();
    for row in rows(connection, sql).await? {
        if selection.has_database(cell(&row, 0)) {
            catalog.set_database_charset(cell(&row, 0), charset_name(cell(&row, 1)));
        }
    }
    let mut facts = BTreeMap::new();
    for (definition, found) in definitions {
        facts.insert(definition.name.clone(), found);
        catalog.learn(definition);
    }
    Ok((catalog, facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        assert_eq!(
            nearest("order", ["orders", "users"].into_iter()),
            Some("orders")
        );
        assert_eq!(
            nearest("Orders", ["orders", "users"].into_iter()),
            Some("orders")
        );
        assert_eq!(nearest("orders", ["customers"].into_iter()), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
