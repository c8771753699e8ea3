//! Definitions as information_schema has them now, in a handful of statements whatever the number of tables.
//!
//! information_schema stands outside every read view: what it says may be newer than the rows of a view, or than a
//! place in the log. The caller compares: before and after a read, or with the table map ([`super::plausible()`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_core::schema::TableName;

use super::charset::charset_of_collation;
use super::column_type::from_information_schema;
use super::ddl::{extend_keys, same_name, version_column, with_json_check};
use super::definition::{ColumnDefinition, TableDefinition, UniqueKey};
use super::native::Native;
use super::selection::{SYSTEM_DATABASES, Selection};

/// What matters of a table beside its columns and keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableFacts {
    /// Its storage engine.
    pub engine: Arc<str>,
    /// The server's estimate of its rows: for progress, never for planning alone.
    pub estimated_rows: u64,
    /// Whether its engine has transactions. If not, no read view protects it.
    pub transactional: bool,
    /// Whether its rows can be changed by a foreign key's CASCADE, SET NULL or SET DEFAULT, which older servers keep
    /// out of the log.
    pub has_cascading_foreign_keys: bool,
    /// MariaDB: whether it keeps the rows of the past, which are in the log too.
    pub system_versioned: bool,
}

/// The answers that definitions are made of, as the server's texts. The statements are [`statements`].
#[derive(Debug, Default)]
pub struct Answers {
    /// `TABLES`: database, table, kind, engine, rows, collation.
    pub tables: Vec<Cells>,
    /// `COLUMNS`: database, table, column, position, nullable, type, character set, collation, key, extra; of MariaDB also
    /// the expression of a generated column.
    pub columns: Vec<Cells>,
    /// `STATISTICS` of unique indexes: database, table, index, position, column, prefix.
    pub indexes: Vec<Cells>,
    /// `CHECK_CONSTRAINTS` of MariaDB: database, table, clause.
    pub checks: Vec<Cells>,
    /// `REFERENTIAL_CONSTRAINTS` that change rows: database, table.
    pub cascades: Vec<Cells>,
    /// `ENGINES`: engine, whether it has transactions.
    pub engines: Vec<Cells>,
}

/// A row of an answer; `None` for NULL.
pub type Cells = Vec<Option<String>>;

/// The statements that fill [`Answers`], in the order of its fields; `None` where a server has no such thing.
#[must_use]
pub fn statements(selection: &Selection, mariadb: bool) -> [Option<String>; 6] {
    let of = |prefix: &str| condition(selection, &format!("{prefix}_SCHEMA"), "TABLE_NAME");
    let tables = of("TABLE");
    let expression = if mariadb {
        ", GENERATION_EXPRESSION"
    } else {
        ""
    };
    [
        Some(format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, TABLE_COLLATION \
             FROM information_schema.TABLES \
             WHERE {tables} AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        )),
        Some(format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, COLUMN_TYPE, \
             CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_KEY, EXTRA{expression} \
             FROM information_schema.COLUMNS WHERE {tables}"
        )),
        Some(format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART \
             FROM information_schema.STATISTICS WHERE {tables} AND NON_UNIQUE = 0"
        )),
        mariadb.then(|| {
            format!(
                "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS \
                 WHERE {} AND CHECK_CLAUSE LIKE 'json\\_valid(%'",
                of("CONSTRAINT")
            )
        }),
        Some(format!(
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE {} AND (UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT') \
             OR DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))",
            of("CONSTRAINT")
        )),
        Some("SELECT ENGINE, TRANSACTIONS FROM information_schema.ENGINES".to_owned()),
    ]
}

/// The condition that selects tables. Names are compared by bytes: the server's own comparison there would fold case.
fn condition(selection: &Selection, database: &str, table: &str) -> String {
    let list = |names: &mut dyn Iterator<Item = &Arc<str>>| {
        let names: BTreeSet<String> = names.map(|name| literal(name)).collect();
        let names: Vec<String> = names.into_iter().collect();
        match names.as_slice() {
            [] => "(NULL)".to_owned(),
            names => format!("({})", names.join(", ")),
        }
    };
    if selection.is_all() {
        let system = SYSTEM_DATABASES.map(literal).join(", ");
        return format!("{database} NOT IN ({system})");
    }
    let whole = || {
        let names = list(&mut selection.databases().iter());
        format!("{database} IN {names}")
    };
    let single = || {
        let databases = list(&mut selection.tables().iter().map(|name| &name.database));
        let tables = list(&mut selection.tables().iter().map(|name| &name.table));
        format!("{database} IN {databases} AND {table} IN {tables}")
    };
    match (selection.databases(), selection.tables()) {
        (_, []) => whole(),
        ([], _) => single(),
        _ => format!("({} OR {})", whole(), single()),
    }
}

/// A text literal that means the same in every sql_mode.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
        return format!("CONVERT(0x{hex} USING utf8mb4)");
    }
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn cell(row: &Cells, index: usize) -> &str {
    row.get(index)
        .and_then(Option::as_deref)
        .unwrap_or_default()
}

fn optional(row: &Cells, index: usize) -> Option<&str> {
    row.get(index).and_then(Option::as_deref)
}

fn name(row: &Cells) -> TableName {
    TableName::new(cell(row, 0), cell(row, 1))
}

/// A table on its way.
struct Found<'a> {
    columns: Vec<(u32, &'a Cells)>,
    /// Index name to its columns by place: the name, and whether only a prefix is covered.
    indexes: Vec<(&'a str, Vec<(u32, &'a Cells)>)>,
}

/// Definitions and facts from the server's answers, in the order of their names.
#[must_use]
pub fn definitions(
    answers: &Answers,
    selection: &Selection,
    mariadb: bool,
) -> Vec<(TableDefinition, TableFacts)> {
    let mut found: BTreeMap<TableName, (&Cells, Found<'_>)> = BTreeMap::new();
    for row in &answers.tables {
        let name = name(row);
        if selection.has(&name) {
            let empty = Found {
                columns: Vec::new(),
                indexes: Vec::new(),
            };
            found.insert(name, (row, empty));
        }
    }
    for row in &answers.columns {
        if let Some((_, table)) = found.get_mut(&name(row)) {
            table
                .columns
                .push((cell(row, 3).parse().unwrap_or(u32::MAX), row));
        }
    }
    for row in &answers.indexes {
        let Some((_, table)) = found.get_mut(&name(row)) else {
            continue;
        };
        let place = (cell(row, 3).parse().unwrap_or(u32::MAX), row);
        match table
            .indexes
            .iter_mut()
            .find(|(index, _)| *index == cell(row, 2))
        {
            Some((_, places)) => places.push(place),
            None => table.indexes.push((cell(row, 2), vec![place])),
        }
    }
    let mut checks: BTreeMap<TableName, Vec<&str>> = BTreeMap::new();
    for row in &answers.checks {
        checks.entry(name(row)).or_default().push(cell(row, 2));
    }
    let cascades: BTreeSet<TableName> = answers.cascades.iter().map(name).collect();
    let transactional = |engine: &str| {
        let row = answers
            .engines
            .iter()
            .find(|row| cell(row, 0).eq_ignore_ascii_case(engine));
        row.is_some_and(|row| cell(row, 1) == "YES")
    };
    let tables = found.into_iter().map(|(name, (row, mut table))| {
        let engine = cell(row, 3);
        let facts = TableFacts {
            engine: engine.into(),
            estimated_rows: cell(row, 4).parse().unwrap_or(0),
            transactional: transactional(engine),
            has_cascading_foreign_keys: cascades.contains(&name),
            system_versioned: cell(row, 2) == "SYSTEM VERSIONED",
        };
        let checks = checks.get(&name).map(Vec::as_slice).unwrap_or_default();
        table.columns.sort_by_key(|(place, _)| *place);
        let charset = charset_of_collation(cell(row, 5)).unwrap_or_else(|| "".into());
        let definition = definition(name, charset, &mut table, checks, &facts, mariadb);
        (definition, facts)
    });
    tables.collect()
}

fn definition(
    name: TableName,
    charset: Arc<str>,
    found: &mut Found<'_>,
    checks: &[&str],
    facts: &TableFacts,
    mariadb: bool,
) -> TableDefinition {
    let mut columns: Vec<ColumnDefinition> = found
        .columns
        .iter()
        .map(|(_, row)| column(row, checks, mariadb))
        .collect();
    let shown = columns.len();
    let is_end = |(_, row): &(u32, &Cells)| cell(row, 10).eq_ignore_ascii_case("ROW END");
    let mut row_end = found.columns.iter().position(is_end);
    let implicit = row_end.is_none();
    if facts.system_versioned && implicit {
        columns.extend(["row_start", "row_end"].map(version_column));
        row_end = Some(shown + 1);
    }
    let mut primary_key = Vec::new();
    let mut unique_keys = Vec::new();
    for (index, places) in &mut found.indexes {
        places.sort_by_key(|(place, _)| *place);
        let position = |row: &Cells| {
            columns
                .iter()
                .position(|column| same_name(&column.name, cell(row, 4)))
        };
        let positions = places.iter().filter_map(|(_, row)| position(row)).collect();
        if *index == "PRIMARY" {
            primary_key = positions;
            continue;
        }
        let part =
            |(_, row): &(u32, &Cells)| optional(row, 4).is_none() || optional(row, 5).is_some();
        unique_keys.push(UniqueKey {
            name: (*index).into(),
            columns: positions,
            partial: places.iter().any(part),
        });
    }
    if facts.system_versioned && implicit {
        extend_keys(&mut primary_key, &mut unique_keys, shown + 1);
    }
    TableDefinition {
        name,
        charset,
        columns,
        primary_key,
        unique_keys,
        row_end,
    }
}

fn column(row: &Cells, checks: &[&str], mariadb: bool) -> ColumnDefinition {
    let name = cell(row, 2);
    let extra = cell(row, 9).to_ascii_uppercase();
    let mut column_type =
        from_information_schema(cell(row, 5), optional(row, 6), optional(row, 7), mariadb);
    if checks.iter().any(|clause| is_json_check(clause, name)) {
        column_type = with_json_check(column_type);
    }
    ColumnDefinition {
        name: name.into(),
        column_type,
        nullable: cell(row, 4) == "YES",
        // MySQL calls a column with a default expression DEFAULT_GENERATED.
        generated: extra.contains("VIRTUAL GENERATED") || extra.contains("STORED GENERATED"),
        invisible: extra.contains("INVISIBLE"),
        native: Native::read(cell(row, 5), mariadb),
    }
}

/// Puts a table's unique indexes into the order of these names.
pub(super) fn ordered_by<'n>(table: &mut TableDefinition, names: impl Iterator<Item = &'n str>) {
    let names: Vec<&str> = names.collect();
    table
        .unique_keys
        .sort_by_key(|key| names.iter().position(|name| *name == &*key.name));
}

/// Whether a check is the one that makes a column JSON. The session's settings decide how the clause quotes its name.
fn is_json_check(clause: &str, column: &str) -> bool {
    let argument = clause
        .strip_prefix("json_valid(")
        .and_then(|rest| rest.strip_suffix(')'));
    let Some(argument) = argument else {
        return false;
    };
    let unquoted = ['`', '"'].iter().find_map(|&quote| {
        let inner = argument.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(inner.replace(&String::from_iter([quote, quote]), &quote.to_string()))
    });
    same_name(unquoted.as_deref().unwrap_or(argument), column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ColumnType;

    fn row(cells: &str) -> Cells {
        let cell = |cell: &str| (cell != "-").then(|| cell.to_owned());
        cells.split('|').map(cell).collect()
    }

    #[test]
    fn definitions_come_from_a_handful_of_answers() {
        let answers = Answers {
            tables: vec![
                row("shop|orders|BASE TABLE|InnoDB|12|utf8mb4_uca1400_ai_ci"),
                row("shop|log|BASE TABLE|MyISAM|-|latin1_swedish_ci"),
            ],
            columns: vec![
                row("shop|orders|note|2|YES|longtext|utf8mb4|utf8mb4_bin||"),
                row("shop|orders|id|1|NO|bigint(20) unsigned|-|-|PRI|auto_increment"),
                row("shop|orders|twice|3|YES|int(11)|-|-||VIRTUAL GENERATED INVISIBLE"),
                row(
                    "shop|log|at|1|NO|timestamp|-|-||DEFAULT_GENERATED on update CURRENT_TIMESTAMP",
                ),
                row("shop|a_view|id|1|NO|int|-|-||"),
            ],
            indexes: vec![
                row("shop|orders|twice|1|twice|-"),
                row("shop|orders|PRIMARY|1|id|-"),
                row("shop|orders|note|1|note|10"),
            ],
            checks: vec![row("shop|orders|json_valid(`note`)")],
            cascades: vec![row("shop|orders")],
            engines: vec![row("InnoDB|YES"), row("MyISAM|NO")],
        };
        let all = definitions(&answers, &Selection::All, true);
        let [(log, log_facts), (orders, facts)] = all.as_slice() else {
            panic!("{all:?}");
        };
        assert_eq!(log.name, TableName::new("shop", "log"));
        assert_eq!(&*log.charset, "latin1");
        assert!(!log_facts.transactional && !log.columns[0].generated);
        assert!(facts.transactional && facts.has_cascading_foreign_keys);
        assert_eq!(facts.estimated_rows, 12);
        assert_eq!(orders.primary_key, [0]);
        assert_eq!(orders.columns[1].column_type, ColumnType::JsonText);
        assert!(orders.columns[2].generated && orders.columns[2].invisible);
        let names: Vec<_> = orders
            .unique_keys
            .iter()
            .map(|key| (&*key.name, key.partial))
            .collect();
        assert_eq!(names, [("twice", false), ("note", true)]);
        let tables = vec![TableName::new("shop", "log")];
        let databases = vec!["crm".into()];
        for one in [
            Selection::Tables(tables.clone()),
            Selection::Both { databases, tables },
        ] {
            assert_eq!(definitions(&answers, &one, true).len(), 1);
        }
    }

    #[test]
    fn literals_hold_in_every_mode() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b"), "CONVERT(0x615C62 USING utf8mb4)");
    }
}
