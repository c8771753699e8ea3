//! Column definitions: a name, a type, and attributes in any order.

use std::sync::Arc;

use super::change::{Change, ColumnDraft, TypeDraft, UniqueDraft};
use super::cursor::Cursor;
use super::{Rules, is_json_check};
use crate::schema::column_type;
use crate::schema::definition::ColumnType;
use crate::schema::lexer::Token;
use crate::schema::native::Native;

/// A column with the keys that its attributes declare.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) column: ColumnDraft,
    pub(super) keys: Vec<Change>,
    /// Whether it holds a row's end, in a table with system versioning.
    pub(super) row_end: bool,
}

/// What the attributes said so far.
#[derive(Debug, Default)]
struct Attributes {
    nullable: Option<bool>,
    generated: bool,
    invisible: bool,
    json_check: bool,
    row_end: bool,
    primary: bool,
    unique: bool,
}

/// Takes a column definition, up to what cannot belong to it.
pub(super) fn declaration(cursor: &mut Cursor<'_>, rules: &Rules) -> Option<Declared> {
    let name: Arc<str> = cursor.identifier()?.into();
    let serial = cursor.is_word("SERIAL");
    let json = cursor.is_word("JSON");
    let large = is_large(cursor);
    let native = Native::take(&mut cursor.clone());
    let mut column_type = column_type::parse(cursor, rules.types())?;
    let mut attributes = Attributes {
        nullable: serial.then_some(false),
        unique: serial,
        json_check: json && rules.mariadb,
        ..Attributes::default()
    };
    while attribute(cursor, rules, &name, &mut column_type, &mut attributes)? {}
    let timestamp = matches!(column_type, TypeDraft::Fixed(ColumnType::Timestamp { .. }));
    let by_default = !(timestamp && rules.timestamps_not_null);
    let mut keys = Vec::new();
    if attributes.primary {
        keys.push(Change::AddPrimaryKey {
            columns: vec![Arc::clone(&name)],
            if_not_exists: false,
        });
    }
    if attributes.unique {
        keys.push(Change::AddUnique(UniqueDraft {
            name: None,
            parts: vec![(Some(Arc::clone(&name)), false)],
            if_not_exists: false,
            or_replace: false,
        }));
    }
    Some(Declared {
        column: ColumnDraft {
            name,
            column_type,
            nullable: attributes.nullable.unwrap_or(by_default) && !attributes.primary,
            generated: attributes.generated,
            invisible: attributes.invisible,
            json_check: attributes.json_check,
            large,
            native,
        },
        keys,
        row_end: attributes.row_end,
    })
}

/// Whether an index on a column of this type may be one on a prefix only, without saying so.
fn is_large(cursor: &Cursor<'_>) -> bool {
    let types = [
        "TEXT", "BLOB", "LONG", "JSON", "GEOMETRY", "POINT", "STRING", "POLYGON",
    ];
    let word = cursor.keyword().unwrap_or_default();
    types.iter().any(|name| word.contains(name))
}

/// Takes one attribute. `Some(false)`: none is left that is known.
fn attribute(
    cursor: &mut Cursor<'_>,
    rules: &Rules,
    name: &str,
    column_type: &mut TypeDraft,
    found: &mut Attributes,
) -> Option<bool> {
    if cursor.words(&["NOT", "NULL"]) {
        found.nullable = Some(false);
    } else if cursor.word("NULL") {
        found.nullable = Some(true);
    } else if cursor.word("AUTO_INCREMENT") {
        found.nullable = Some(false);
    } else if cursor.words(&["SERIAL", "DEFAULT", "VALUE"]) {
        found.nullable = Some(false);
        found.unique = true;
    } else if cursor.word("DEFAULT") {
        expression(cursor)?;
    } else if cursor.words(&["ON", "UPDATE"]) {
        operand(cursor)?;
    } else if cursor.word("UNIQUE") {
        cursor.word("KEY");
        found.unique = true;
    } else if cursor.words(&["PRIMARY", "KEY"]) || cursor.word("KEY") {
        found.primary = true;
    } else if cursor.word("COMMENT") {
        cursor.text()?;
    } else if cursor.word("COLLATE") {
        let collation = cursor.identifier_or_text()?;
        if let Some(charset) = column_type.charset_mut() {
            charset.set_collation(collation);
        }
    } else if cursor.words(&["GENERATED", "ALWAYS", "AS"]) || cursor.word("AS") {
        found.generated = true;
        if cursor.words(&["ROW", "START"]) {
            found.nullable = Some(false);
        } else if cursor.words(&["ROW", "END"]) {
            found.nullable = Some(false);
            found.row_end = true;
        } else {
            cursor.parentheses()?;
        }
    } else if cursor.word("INVISIBLE") {
        found.invisible = true;
    } else if cursor.is_any(&["CONSTRAINT", "CHECK"]) {
        if cursor.word("CONSTRAINT") && !cursor.is_word("CHECK") {
            cursor.identifier()?;
        }
        if cursor.word("CHECK") {
            let inner = cursor.parentheses()?;
            found.json_check |= rules.mariadb && is_json_check(&inner, name);
        }
    } else if cursor.word("REFERENCES") {
        references(cursor)?;
    } else {
        return Some(no_effect(cursor));
    }
    Some(true)
}

/// Takes an attribute that changes nothing here.
fn no_effect(cursor: &mut Cursor<'_>) -> bool {
    if cursor.any(&["VISIBLE", "VIRTUAL", "STORED", "PERSISTENT", "ENFORCED"])
        || cursor.words(&["NOT", "ENFORCED"])
        || cursor.words(&["NOT", "SECONDARY"])
        || cursor.words(&["WITH", "SYSTEM", "VERSIONING"])
        || cursor.words(&["WITHOUT", "SYSTEM", "VERSIONING"])
    {
        return true;
    }
    if cursor.any(&["COLUMN_FORMAT", "STORAGE", "SRID"]) {
        return cursor.next().is_some();
    }
    if cursor.any(&["ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"]) {
        cursor.symbol('=');
        return cursor.text().is_some();
    }
    if cursor.is_word("COMPRESSED") && cursor.peek_at(1) != Some(&Token::Symbol('=')) {
        return cursor.next().is_some();
    }
    assignment(cursor)
}

/// Takes `name = value`: MariaDB's engines bring attributes and options of their own.
pub(super) fn assignment(cursor: &mut Cursor<'_>) -> bool {
    let name = matches!(cursor.peek(), Some(Token::Word(_) | Token::Quoted(_)));
    if !name || cursor.peek_at(1) != Some(&Token::Symbol('=')) {
        return false;
    }
    cursor.next();
    cursor.next();
    cursor.symbol('-');
    !matches!(cursor.next(), None | Some(Token::Symbol(_) | Token::Broken))
}

fn references(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.identifier()?;
    if cursor.symbol('.') {
        cursor.identifier()?;
    }
    cursor.parentheses();
    loop {
        if cursor.word("MATCH") {
            cursor.identifier()?;
        } else if cursor.is_word("ON")
            && (cursor.is_word_at(1, "DELETE") || cursor.is_word_at(1, "UPDATE"))
        {
            cursor.next();
            cursor.next();
            let known = cursor.any(&["RESTRICT", "CASCADE"])
                || cursor.words(&["SET", "NULL"])
                || cursor.words(&["SET", "DEFAULT"])
                || cursor.words(&["NO", "ACTION"]);
            known.then_some(())?;
        } else {
            return Some(());
        }
    }
}

/// Takes a default: MariaDB allows expressions without parentheses.
fn expression(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.words(&["NEXT", "VALUE", "FOR"]) || cursor.words(&["PREVIOUS", "VALUE", "FOR"]) {
        cursor.identifier()?;
        if cursor.symbol('.') {
            cursor.identifier()?;
        }
        return Some(());
    }
    operand(cursor)?;
    while let Some(Token::Symbol(symbol)) = cursor.peek() {
        if !"+-*/%|&^.<>=!".contains(*symbol) {
            break;
        }
        while let Some(Token::Symbol(symbol)) = cursor.peek() {
            if !"+-*/%|&^.<>=!".contains(*symbol) {
                break;
            }
            cursor.next();
        }
        operand(cursor)?;
    }
    Some(())
}

/// Takes a literal, a name, a function's call, or what stands in parentheses.
fn operand(cursor: &mut Cursor<'_>) -> Option<()> {
    while cursor.symbol('-') || cursor.symbol('+') {}
    match cursor.peek()? {
        Token::Symbol('(') => cursor.parentheses().map(|_| ()),
        Token::Text(_) => {
            while cursor.text().is_some() {}
            Some(())
        }
        Token::Number(_) | Token::Bits | Token::Quoted(_) => cursor.next().map(|_| ()),
        Token::Word(word) => {
            let literal = word.starts_with('_')
                || ["DATE", "TIME", "TIMESTAMP"]
                    .iter()
                    .any(|kind| word.eq_ignore_ascii_case(kind));
            cursor.next();
            if literal && matches!(cursor.peek(), Some(Token::Text(_) | Token::Bits)) {
                cursor.next();
            } else if cursor.peek() == Some(&Token::Symbol('(')) {
                cursor.parentheses()?;
            }
            Some(())
        }
        Token::Symbol(_) | Token::Variable | Token::Broken => None,
    }
}
