//! Which statement this is.

use std::sync::Arc;

use headwater_core::schema::TableName;

use super::change::{Change, Charset, Effect, Reading, UniqueDraft};
use super::{Cursor, Rules, alter, create};
use crate::schema::lexer::Token;

/// Statements that change no definition, by their first word.
const IRRELEVANT: &[&str] = &[
    "ANALYZE",
    "OPTIMIZE",
    "REPAIR",
    "CHECK",
    "CHECKSUM",
    "FLUSH",
    "GRANT",
    "REVOKE",
    "USE",
    "SHOW",
    "DO",
    "CALL",
    "SELECT",
    "LOCK",
    "UNLOCK",
    "KILL",
    "INSTALL",
    "UNINSTALL",
    "RESET",
    "CHANGE",
    "START",
    "STOP",
    "PURGE",
    "BINLOG",
    "CACHE",
    "EXPLAIN",
    "DESCRIBE",
    "DESC",
    "HELP",
    "HANDLER",
    "SIGNAL",
    "RESIGNAL",
    "DEALLOCATE",
    "RESTART",
    "SHUTDOWN",
    "CLONE",
    "GET",
];

/// What its first word alone says of a statement.
pub(super) fn by_first_word(first: &Token) -> Option<Effect> {
    let Token::Word(word) = first else {
        return None;
    };
    Some(match word.to_ascii_uppercase().as_str() {
        "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "XA" => {
            Effect::TransactionControl
        }
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" => Effect::StatementRows,
        word if IRRELEVANT.contains(&word) => {
            if word == "START" {
                Effect::TransactionControl
            } else {
                Effect::Irrelevant
            }
        }
        _ => return None,
    })
}

pub(super) fn parse(tokens: &[Token], rules: &Rules) -> Vec<Effect> {
    let mut cursor = Cursor::new(tokens);
    if cursor.words(&["SET", "STATEMENT"]) {
        while cursor.peek().is_some() && !cursor.word("FOR") {
            cursor.next();
        }
        if let Some(effect) = cursor.peek().and_then(by_first_word) {
            return vec![effect];
        }
    }
    let effects = match cursor.keyword().as_deref() {
        Some("CREATE") => create_something(&mut cursor, rules),
        Some("ALTER") => alter_something(&mut cursor, rules),
        Some("DROP") => drop_something(&mut cursor, rules),
        Some("RENAME") => rename_something(&mut cursor, rules),
        Some("TRUNCATE") => truncate(&mut cursor, rules),
        Some("SET") => Some(vec![Effect::Irrelevant]),
        None if cursor.at_end() => Some(vec![Effect::Irrelevant]),
        _ => None,
    };
    effects.unwrap_or_else(|| vec![unparsable(tokens, rules)])
}

/// Says which tables a statement seems to touch: the name behind each `TABLE`, `ON` or `TO`.
fn unparsable(tokens: &[Token], rules: &Rules) -> Effect {
    let mut tables = Vec::new();
    let mut cursor = Cursor::new(tokens);
    let mut sure = true;
    while cursor.peek().is_some() {
        if cursor.word("TABLE") || cursor.word("TABLES") {
            cursor.words(&["IF", "NOT", "EXISTS"]);
            cursor.words(&["IF", "EXISTS"]);
            loop {
                match rules.table(&mut cursor) {
                    Some(table) => tables.push(table),
                    None => sure = false,
                }
                if !cursor.symbol(',') {
                    break;
                }
            }
        } else if cursor.next() == Some(&Token::Broken) {
            sure = false;
        }
    }
    if !sure {
        tables.clear();
    }
    Effect::Unparsable {
        tables,
        database: rules.fold(&rules.database),
    }
}

/// Things that are no tables: nothing that is said of them matters here.
fn is_irrelevant(cursor: &Cursor<'_>) -> bool {
    cursor.is_any(&[
        "VIEW",
        "TRIGGER",
        "PROCEDURE",
        "FUNCTION",
        "EVENT",
        "USER",
        "ROLE",
        "SERVER",
        "TABLESPACE",
        "LOGFILE",
        "UNDO",
        "RESOURCE",
        "SPATIAL",
        "TEMPORARY",
        "AGGREGATE",
        "DEFINER",
        "SQL",
        "ALGORITHM",
        "PACKAGE",
        "LIBRARY",
        "INSTANCE",
        "PREPARE",
        "LOADABLE",
        "MASKING",
        "PUBLIC",
        "MATERIALIZED",
        "JSON",
        "CATALOG",
    ])
}

fn create_something(cursor: &mut Cursor<'_>, rules: &Rules) -> Option<Vec<Effect>> {
    cursor.next();
    let or_replace = cursor.words(&["OR", "REPLACE"]);
    cursor.any(&["ONLINE", "OFFLINE", "EXTERNAL"]);
    if cursor.word("TABLE") {
        return create::table(cursor, rules, or_replace).map(|effect| vec![effect]);
    }
    if cursor.any(&["DATABASE", "SCHEMA"]) {
        let replaced = or_replace.then_some(());
        cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = rules.fold(cursor.identifier()?);
        let charset = database_charset(cursor);
        let dropped = replaced.map(|()| Effect::DropDatabase(Arc::clone(&name)));
        return Some(
            dropped
                .into_iter()
                .chain([Effect::CreateDatabase { name, charset }])
                .collect(),
        );
    }
    let index = cursor.is_any(&["INDEX", "UNIQUE", "FULLTEXT", "VECTOR"])
        || (cursor.is_word("SPATIAL") && cursor.is_word_at(1, "INDEX"));
    if index {
        return create_index(cursor, rules, or_replace).map(|effect| vec![effect]);
    }
    if cursor.word("SEQUENCE") {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = rules.table(cursor)?;
        return Some(vec![Effect::CreateSequence { name }]);
    }
    is_irrelevant(cursor).then(|| vec![Effect::Irrelevant])
}

fn create_index(cursor: &mut Cursor<'_>, rules: &Rules, or_replace: bool) -> Option<Effect> {
    let unique = cursor.word("UNIQUE");
    cursor.any(&["FULLTEXT", "SPATIAL", "VECTOR"]);
    cursor.word("INDEX").then_some(())?;
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name: Arc<str> = cursor.identifier()?.into();
    if !cursor.is_word("ON") {
        cursor.next();
        cursor.next();
    }
    cursor.word("ON").then_some(())?;
    let table = rules.table(cursor)?;
    if cursor.word("WAIT") {
        cursor.next();
    } else {
        cursor.word("NOWAIT");
    }
    let parts = create::parts(cursor);
    let changes = match (unique, parts) {
        (false, _) if or_replace => Reading::Known(vec![Change::DropIndex(name)]),
        (false, _) => return Some(Effect::Irrelevant),
        (true, Some(parts)) => Reading::Known(vec![Change::AddUnique(UniqueDraft {
            name: Some(name),
            parts,
            if_not_exists,
            or_replace,
        })]),
        (true, None) => Reading::Unknown,
    };
    Some(Effect::AlterTable {
        name: table,
        changes,
        rename_to: None,
    })
}

fn database_charset(cursor: &mut Cursor<'_>) -> Charset {
    let mut charset = Charset::default();
    while cursor.peek().is_some() {
        cursor.word("DEFAULT");
        match create::charset_option(cursor, &mut charset) {
            Some(true) => {}
            _ => {
                cursor.next();
            }
        }
    }
    charset
}

fn alter_something(cursor: &mut Cursor<'_>, rules: &Rules) -> Option<Vec<Effect>> {
    cursor.next();
    while cursor.any(&["ONLINE", "OFFLINE", "IGNORE"]) {}
    if cursor.word("TABLE") {
        return alter::table(cursor, rules);
    }
    if cursor.any(&["DATABASE", "SCHEMA"]) {
        let option = [
            "CHARACTER",
            "CHARSET",
            "COLLATE",
            "DEFAULT",
            "ENCRYPTION",
            "READ",
            "COMMENT",
        ];
        let name = if cursor.is_any(&option) {
            rules.fold(&rules.database)
        } else {
            rules.fold(cursor.identifier()?)
        };
        let charset = database_charset(cursor);
        return Some(vec![Effect::AlterDatabase { name, charset }]);
    }
    (cursor.is_word("SEQUENCE") || is_irrelevant(cursor)).then(|| vec![Effect::Irrelevant])
}

fn drop_something(cursor: &mut Cursor<'_>, rules: &Rules) -> Option<Vec<Effect>> {
    cursor.next();
    cursor.any(&["ONLINE", "OFFLINE"]);
    if cursor.is_word("TEMPORARY") {
        return Some(vec![Effect::Irrelevant]);
    }
    if cursor.any(&["TABLE", "TABLES", "SEQUENCE"]) {
        cursor.words(&["IF", "EXISTS"]);
        let mut tables = vec![rules.table(cursor)?];
        while cursor.symbol(',') {
            tables.push(rules.table(cursor)?);
        }
        return Some(vec![Effect::DropTables(tables)]);
    }
    if cursor.any(&["DATABASE", "SCHEMA"]) {
        cursor.words(&["IF", "EXISTS"]);
        return Some(vec![Effect::DropDatabase(rules.fold(cursor.identifier()?))]);
    }
    if cursor.word("INDEX") {
        cursor.words(&["IF", "EXISTS"]);
        let name = cursor.identifier()?;
        cursor.word("ON").then_some(())?;
        let table = rules.table(cursor)?;
        let change = if name.eq_ignore_ascii_case("PRIMARY") {
            Change::DropPrimaryKey { if_exists: true }
        } else {
            Change::DropIndex(name.into())
        };
        return Some(vec![Effect::AlterTable {
            name: table,
            changes: Reading::Known(vec![change]),
            rename_to: None,
        }]);
    }
    is_irrelevant(cursor).then(|| vec![Effect::Irrelevant])
}

fn rename_something(cursor: &mut Cursor<'_>, rules: &Rules) -> Option<Vec<Effect>> {
    cursor.next();
    if !cursor.any(&["TABLE", "TABLES"]) {
        return cursor.is_word("USER").then(|| vec![Effect::Irrelevant]);
    }
    let if_exists = cursor.words(&["IF", "EXISTS"]);
    let mut pairs: Vec<(TableName, TableName)> = Vec::new();
    loop {
        let from = rules.table(cursor)?;
        if cursor.word("WAIT") {
            cursor.next();
        } else {
            cursor.word("NOWAIT");
        }
        cursor.word("TO").then_some(())?;
        pairs.push((from, rules.table(cursor)?));
        if !cursor.symbol(',') {
            break;
        }
    }
    cursor
        .at_end()
        .then(|| vec![Effect::RenameTables { pairs, if_exists }])
}

fn truncate(cursor: &mut Cursor<'_>, rules: &Rules) -> Option<Vec<Effect>> {
    cursor.next();
    cursor.word("TABLE");
    Some(vec![Effect::Truncate(rules.table(cursor)?)])
}
