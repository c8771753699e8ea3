//! `CREATE TABLE`: columns, keys, options.

use std::sync::Arc;

use super::change::{Change, Charset, Effect, Reading, TableDraft, UniqueDraft};
use super::column::{self, assignment};
use super::cursor::Cursor;
use super::{Rules, json_check_column};
use crate::schema::lexer::Token;
use headwater_core::schema::TableName;

/// Options of a table that change nothing here, and are written without an equals sign at times.
const OPTIONS: &[&str] = &[
    "ENGINE",
    "TYPE",
    "STORAGE",
    "AUTO_INCREMENT",
    "AUTOEXTEND_SIZE",
    "AVG_ROW_LENGTH",
    "CHECKSUM",
    "TABLE_CHECKSUM",
    "COMMENT",
    "COMPRESSION",
    "CONNECTION",
    "DELAY_KEY_WRITE",
    "ENCRYPTION",
    "ENGINE_ATTRIBUTE",
    "SECONDARY_ENGINE_ATTRIBUTE",
    "SECONDARY_ENGINE",
    "INSERT_METHOD",
    "KEY_BLOCK_SIZE",
    "MAX_ROWS",
    "MIN_ROWS",
    "PACK_KEYS",
    "PAGE_CHECKSUM",
    "PASSWORD",
    "ROW_FORMAT",
    "SEQUENCE",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "TABLESPACE",
    "TRANSACTIONAL",
    "ALGORITHM",
    "LOCK",
];

/// `CREATE TABLE`, from behind those two words.
pub(super) fn table(cursor: &mut Cursor<'_>, rules: &Rules, or_replace: bool) -> Option<Effect> {
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = rules.table(cursor)?;
    if let Some(source) = like(cursor, rules) {
        return Some(Effect::CreateLike {
            name,
            if_not_exists,
            or_replace,
            source,
        });
    }
    let definition = match draft(cursor, rules) {
        Some(draft) => Reading::Known(draft),
        None => Reading::Unknown,
    };
    Some(Effect::CreateTable {
        name,
        if_not_exists,
        or_replace,
        definition,
    })
}

/// `LIKE t` or `(LIKE t)`.
fn like(cursor: &Cursor<'_>, rules: &Rules) -> Option<TableName> {
    let mut ahead = cursor.clone();
    ahead.symbol('(');
    ahead.word("LIKE").then(|| rules.table(&mut ahead))?
}

fn draft(cursor: &mut Cursor<'_>, rules: &Rules) -> Option<TableDraft> {
    let mut inner = cursor.parentheses()?;
    let mut draft = TableDraft::default();
    let mut row_end = None;
    for mut item in inner.items() {
        element(&mut item, rules, &mut draft.changes, &mut row_end)?;
    }
    let mut versioned = row_end.is_some();
    loop {
        cursor.symbol(',');
        if cursor.words(&["WITH", "SYSTEM", "VERSIONING"]) {
            versioned = true;
        } else if !option(cursor, &mut draft.charset)? {
            break;
        }
    }
    if versioned {
        draft.changes.push(Change::AddVersioning { row_end });
    }
    cursor.words(&["START", "TRANSACTION"]);
    let partitions = cursor.words(&["PARTITION", "BY"]);
    let select = ["SELECT", "AS", "WITH", "TABLE", "VALUES"]
        .iter()
        .any(|word| cursor.has_word(word));
    let ends = cursor.at_end() || (partitions && !select);
    ends.then_some(draft)
}

/// One item between the parentheses of `CREATE TABLE`, or behind `ADD`.
pub(super) fn element(
    item: &mut Cursor<'_>,
    rules: &Rules,
    changes: &mut Vec<Change>,
    row_end: &mut Option<Arc<str>>,
) -> Option<()> {
    if key(item, rules, changes)? {
        return Some(());
    }
    let declared = column::declaration(item, rules)?;
    item.at_end().then_some(())?;
    if declared.row_end {
        *row_end = Some(Arc::clone(&declared.column.name));
    }
    changes.push(Change::AddColumn {
        column: declared.column,
        place: None,
        if_not_exists: false,
    });
    changes.extend(declared.keys);
    Some(())
}

/// Takes a key, constraint or period, whole. `Some(false)`: it is none of them.
pub(super) fn key(item: &mut Cursor<'_>, rules: &Rules, changes: &mut Vec<Change>) -> Option<bool> {
    let mut constraint = None;
    let constrained = item.word("CONSTRAINT");
    if constrained && !item.is_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
        constraint = Some(Arc::from(item.identifier()?));
    }
    if item.words(&["PRIMARY", "KEY"]) {
        primary(item, changes)?;
    } else if item.word("UNIQUE") {
        item.any(&["INDEX", "KEY"]);
        let if_not_exists = item.words(&["IF", "NOT", "EXISTS"]);
        let name = index_name(item).or(constraint);
        let parts = parts(item)?;
        changes.push(Change::AddUnique(UniqueDraft {
            name,
            parts,
            if_not_exists,
            or_replace: false,
        }));
    } else if item.words(&["FOREIGN", "KEY"]) {
        // It needs an index; the server adds one where none fits, under a name that no unique index has.
    } else if item.word("CHECK") {
        let inner = item.parentheses()?;
        if rules.mariadb
            && let Some(column) = json_check_column(&inner)
        {
            changes.push(Change::CheckJson(column));
        }
    } else if item.words(&["PERIOD", "FOR"]) {
        item.identifier()?;
        for (column, _) in parts(item)? {
            changes.push(Change::NotNull(column?));
        }
    } else if constrained {
        return None;
    } else if other_index(item) {
        item.any(&["INDEX", "KEY"]);
        item.words(&["IF", "NOT", "EXISTS"]);
        let name = index_name(item);
        let first = parts(item)?
            .into_iter()
            .next()
            .and_then(|(column, _)| column);
        changes.push(Change::AddIndex { name, first });
    } else {
        return Some(false);
    }
    while item.next().is_some() {}
    Some(true)
}

/// Takes the word that begins an index that is not unique, if one is next. A column may have such a name too.
fn other_index(item: &mut Cursor<'_>) -> bool {
    if item.any(&["INDEX", "KEY"]) {
        return true;
    }
    let named = item.is_any(&["FULLTEXT", "SPATIAL", "VECTOR"]);
    let index = item.is_word_at(1, "INDEX") || item.is_word_at(1, "KEY");
    let bare = item.is_any(&["FULLTEXT", "SPATIAL"]);
    if named && (index || bare) {
        item.next();
        return true;
    }
    false
}

fn primary(item: &mut Cursor<'_>, changes: &mut Vec<Change>) -> Option<()> {
    let if_not_exists = item.words(&["IF", "NOT", "EXISTS"]);
    index_name(item);
    let columns = parts(item)?.into_iter().map(|(column, _)| column);
    changes.push(Change::AddPrimaryKey {
        columns: columns.collect::<Option<_>>()?,
        if_not_exists,
    });
    Some(())
}

/// An index's name, if it has one, and the `USING` behind it.
pub(super) fn index_name(item: &mut Cursor<'_>) -> Option<Arc<str>> {
    let using = |item: &Cursor<'_>| {
        item.is_any(&["USING", "TYPE"]) && matches!(item.peek_at(1), Some(Token::Word(_)))
    };
    let name = (!using(item)).then(|| item.identifier()).flatten();
    if using(item) {
        item.next();
        item.next();
    }
    name.map(Arc::from)
}

/// An index's parts: each a column, or `None` for an expression; and whether only a prefix is covered. A period
/// (`WITHOUT OVERLAPS`) is not followed: it stands for two columns.
pub(super) fn parts(item: &mut Cursor<'_>) -> Option<Vec<(Option<Arc<str>>, bool)>> {
    let mut parts = Vec::new();
    for mut part in item.parentheses()?.items() {
        if part.peek() == Some(&Token::Symbol('(')) {
            parts.push((None, true));
            continue;
        }
        let column = part.identifier()?;
        let prefix = part.parentheses().is_some();
        part.any(&["ASC", "DESC"]);
        part.at_end().then_some(())?;
        parts.push((Some(column.into()), prefix));
    }
    (!parts.is_empty()).then_some(parts)
}

/// Takes an option of a table. `Some(false)`: none is next.
pub(super) fn option(cursor: &mut Cursor<'_>, charset: &mut Charset) -> Option<bool> {
    let before = cursor.clone();
    cursor.word("DEFAULT");
    if charset_option(cursor, charset)? {
        return Some(true);
    }
    *cursor = before;
    if (cursor.is_word("DATA") || cursor.is_word("INDEX")) && cursor.is_word_at(1, "DIRECTORY") {
        cursor.next();
        cursor.next();
        cursor.symbol('=');
        cursor.text()?;
    } else if cursor.word("UNION") {
        cursor.symbol('=');
        cursor.parentheses()?;
    } else if cursor.any(OPTIONS) {
        cursor.symbol('=');
        let value = cursor.next()?;
        let fits = matches!(
            value,
            Token::Word(_) | Token::Quoted(_) | Token::Text(_) | Token::Number(_) | Token::Bits
        );
        fits.then_some(())?;
        if matches!(value, Token::Word(word) if word.eq_ignore_ascii_case("TRADITIONAL")) {
            cursor.word("DEFAULT");
        }
        if cursor.words(&["STORAGE", "DISK"]) || cursor.words(&["STORAGE", "MEMORY"]) {}
    } else {
        return Some(assignment(cursor));
    }
    Some(true)
}

/// Takes `CHARACTER SET` or `COLLATE`, if it is next.
pub(super) fn charset_option(cursor: &mut Cursor<'_>, charset: &mut Charset) -> Option<bool> {
    let set = cursor.words(&["CHARACTER", "SET"])
        || cursor.words(&["CHAR", "SET"])
        || cursor.word("CHARSET");
    if set {
        cursor.symbol('=');
        charset.set_charset(cursor.identifier_or_text()?);
    } else if cursor.word("COLLATE") {
        cursor.symbol('=');
        charset.set_collation(cursor.identifier_or_text()?);
    } else {
        return Some(false);
    }
    Some(true)
}
