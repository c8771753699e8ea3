//! Tables as people name them: `orders`, `shop.orders`, `shop.*`, with backticks around names that have a dot or a star of
//! their own; and conditions, `shop.orders:created_at > "2026-01-01"`.

use headwater_core::Result;
use headwater_core::schema::TableName;

use super::misused;

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// One table, in the connection's database unless it says otherwise.
    Table(Option<String>, String),
    /// All of a database.
    Database(String),
}

/// What is to be copied and followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Databases of which every table is wanted.
    pub(crate) databases: Vec<String>,
    /// Tables that were named.
    pub(crate) tables: Vec<TableName>,
}

impl Selection {
    /// Nothing was named at all: every database but the system's.
    pub(crate) fn is_everything(&self) -> bool {
        self.databases.is_empty() && self.tables.is_empty()
    }

    /// Whether `table` is among what was named.
    pub(crate) fn includes(&self, table: &TableName) -> bool {
        self.is_everything()
            || self.databases.iter().any(|name| **name == *table.database)
            || self.tables.contains(table)
    }

    /// As a person would list it.
    pub(crate) fn words(&self) -> Vec<String> {
        let databases = self.databases.iter().map(|name| format!("{name}.*"));
        let tables = self.tables.iter().map(ToString::to_string);
        databases.chain(tables).collect()
    }
}

/// Puts names together; `database` is the connection's.
pub(crate) fn select<'a>(
    names: impl Iterator<Item = &'a str>,
    database: Option<&str>,
) -> Result<Selection> {
    let mut selection = Selection {
        databases: Vec::new(),
        tables: Vec::new(),
    };
    for name in names {
        match parse(name)? {
            Wanted::Database(name) => {
                if !selection.databases.contains(&name) {
                    selection.databases.push(name);
                }
            }
            Wanted::Table(own, table) => {
                let name = qualified(own, &table, database)?;
                if !selection.tables.contains(&name) {
                    selection.tables.push(name);
                }
            }
        }
    }
    if selection.is_everything() {
        selection.databases.extend(database.map(str::to_owned));
    }
    // What is in a database that is wanted as a whole need not be named again.
    let databases = &selection.databases;
    selection
        .tables
        .retain(|table| !databases.iter().any(|name| **name == *table.database));
    Ok(selection)
}

/// One table's full name; `database` is the connection's.
pub(crate) fn table(name: &str, database: Option<&str>) -> Result<TableName> {
    match parse(name)? {
        Wanted::Table(own, table) => qualified(own, &table, database),
        Wanted::Database(_) => Err(misused(
            format!("`{name}` is a whole database, and one table is wanted here"),
            "name a table",
        )),
    }
}

fn qualified(own: Option<String>, table: &str, database: Option<&str>) -> Result<TableName> {
    let name = own.as_deref().or(database).ok_or_else(|| {
        misused(
            format!("the table `{table}` has no database"),
            format!("write DATABASE.{table}, or name the database in the URL: mysql://USER@HOST/DATABASE"),
        )
    })?;
    Ok(TableName::new(name, table))
}

/// Takes a name apart.
pub(crate) fn parse(name: &str) -> Result<Wanted> {
    let (first, rest) = part(name)?;
    let Some(rest) = rest else {
        return match first {
            Part::Star => Err(misused(
                "`*` is no table",
                "leave the tables out to take them all, or write DATABASE.*",
            )),
            Part::Name(table) => Ok(Wanted::Table(None, table)),
        };
    };
    let (second, rest) = part(rest)?;
    match (first, second, rest) {
        (Part::Name(database), Part::Star, None) => Ok(Wanted::Database(database)),
        (Part::Name(database), Part::Name(table), None) => Ok(Wanted::Table(Some(database), table)),
        _ => Err(bad(name)),
    }
}

enum Part {
    Star,
    Name(String),
}

/// The first part of a name and what follows the dot behind it.
fn part(text: &str) -> Result<(Part, Option<&str>)> {
    if let Some(quoted) = text.strip_prefix('`') {
        let (name, rest) = unquote(quoted).ok_or_else(|| bad(text))?;
        let rest = match rest.strip_prefix('.') {
            Some(rest) => Some(rest),
            None if rest.is_empty() => None,
            None => return Err(bad(text)),
        };
        return Ok((Part::Name(name), rest));
    }
    let (name, rest) = match text.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (text, None),
    };
    match name {
        "*" => Ok((Part::Star, rest)),
        _ if name.is_empty() || name.contains(['*', '`', '%', '?']) => Err(bad(text)),
        _ => Ok((Part::Name(name.to_owned()), rest)),
    }
}

/// What stands up to the closing backtick (two are one of the name's own), and the rest.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('`')?;
        name.push_str(before);
        match after.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                rest = after;
            }
            None => return (!name.is_empty()).then_some((name, after)),
        }
    }
}

fn bad(text: &str) -> headwater_core::Error {
    let shown = super::mask::urls(text);
    misused(
        format!("`{shown}` does not name a table"),
        "write TABLE, DATABASE.TABLE or DATABASE.*; a name with a dot or star of its own stands in backticks: shop.`a.b`",
    )
}

/// A condition that bounds a table's snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// The table.
    pub(crate) table: TableName,
    /// The SQL behind WHERE.
    pub(crate) sql: String,
}

/// Reads `TABLE:SQL`.
pub(crate) fn condition(text: &str, database: Option<&str>) -> Result<Condition> {
    let shape = "write --where 'DATABASE.TABLE:CONDITION', for example --where 'shop.orders:created_at > \"2026-01-01\"'";
    let mut quoted = false;
    let colon = text.char_indices().find(|(_, character)| {
        quoted ^= *character == '`';
        *character == ':' && !quoted
    });
    let Some((name, sql)) = colon.and_then(|(at, _)| Some((text.get(..at)?, text.get(at + 1..)?)))
    else {
        return Err(misused("a --where names no table", shape));
    };
    let Wanted::Table(own, table) = parse(name.trim())? else {
        return Err(misused(
            "a --where belongs to one table, not to a whole database",
            shape,
        ));
    };
    of_table(qualified(own, &table, database)?, sql)
}

/// A condition of a table.
pub(crate) fn of_table(table: TableName, sql: &str) -> Result<Condition> {
    let sql = sql.trim();
    if sql.is_empty() {
        return Err(misused(
            format!("the condition of {table} is empty"),
            "write an SQL condition, as it stands behind WHERE",
        ));
    }
    if sql
        .get(..6)
        .is_some_and(|word| word.eq_ignore_ascii_case("where "))
    {
        return Err(misused(
            format!("the condition of {table} begins with the word WHERE"),
            "leave the word out: the condition alone is wanted",
        ));
    }
    Ok(Condition {
        table,
        sql: sql.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(database: Option<&str>, table: &str) -> Wanted {
        Wanted::Table(database.map(str::to_owned), table.to_owned())
    }

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(parse("orders").unwrap(), table(None, "orders"));
        assert_eq!(parse("shop.orders").unwrap(), table(Some("shop"), "orders"));
        assert_eq!(parse("shop.*").unwrap(), Wanted::Database("shop".into()));
        assert_eq!(parse("`a.b`.`c``d`").unwrap(), table(Some("a.b"), "c`d"));
        assert_eq!(parse("shop.`*`").unwrap(), table(Some("shop"), "*"));
        for bad in [
            "", "*", ".", "a.", ".a", "a.b.c", "a.b*", "`a", "``", "*.a", "`a`b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_without_a_database_takes_the_connections() {
        let names = ["orders", "shop.users", "log.*", "log.a", "orders"];
        let found = select(names.into_iter(), Some("shop")).unwrap();
        assert_eq!(found.words(), ["log.*", "shop.orders", "shop.users"]);
        assert!(select(["orders"].into_iter(), None).is_err());
        assert_eq!(
            select([].into_iter(), Some("shop")).unwrap().words(),
            ["shop.*"]
        );
        assert!(select([].into_iter(), None).unwrap().is_everything());
    }

    #[test]
    fn a_condition_has_a_table_and_sql() {
        let found = condition("shop.orders:at > \"10:00\"", None).unwrap();
        assert_eq!(found.table, TableName::new("shop", "orders"));
        assert_eq!(found.sql, "at > \"10:00\"");
        let found = condition("`a:b`: id > 1", Some("shop")).unwrap();
        assert_eq!(found.table, TableName::new("shop", "a:b"));
        for bad in [
            "shop.orders",
            "shop.orders:",
            "shop.*:id>1",
            "orders:id>1",
            "a.b:WHERE id>1",
        ] {
            assert!(condition(bad, None).is_err(), "{bad}");
        }
    }
}
