//! `ALTER TABLE`: a list of changes, each read by itself, so that one that is not known hides no renaming behind it.

use std::sync::Arc;

use headwater_core::schema::TableName;

use super::change::{Change, Charset, Effect, Place, Reading};
use super::cursor::Cursor;
use super::{Rules, column, create};

/// What an `ALTER TABLE` says, while it is read.
#[derive(Debug, Default)]
struct Alter {
    changes: Vec<Change>,
    rename_to: Option<TableName>,
    /// Effects beside the table's own change.
    others: Vec<Effect>,
    row_end: Option<Arc<str>>,
    unclear: bool,
}

/// `ALTER TABLE`, from behind those two words.
pub(super) fn table(cursor: &mut Cursor<'_>, rules: &Rules) -> Option<Vec<Effect>> {
    cursor.words(&["IF", "EXISTS"]);
    let name = rules.table(cursor)?;
    if cursor.word("WAIT") {
        cursor.number();
    } else {
        cursor.word("NOWAIT");
    }
    let mut alter = Alter::default();
    while !cursor.at_end() {
        let mut ahead = cursor.clone();
        if change(&mut ahead, rules, &name, &mut alter).is_some() && ends(&mut ahead) {
            *cursor = ahead;
        } else {
            alter.unclear = true;
            cursor.skip_item();
        }
        cursor.symbol(',');
    }
    let mut effects = Vec::new();
    let changes = if alter.unclear {
        Reading::Unknown
    } else {
        Reading::Known(alter.changes)
    };
    if changes != Reading::Known(Vec::new()) || alter.rename_to.is_some() {
        effects.push(Effect::AlterTable {
            name,
            changes,
            rename_to: alter.rename_to,
        });
    }
    effects.append(&mut alter.others);
    if effects.is_empty() {
        effects.push(Effect::Irrelevant);
    }
    Some(effects)
}

/// Whether a change ends here. Partitioning may follow without a comma, and moves no row out of the table.
fn ends(cursor: &mut Cursor<'_>) -> bool {
    if cursor.words(&["PARTITION", "BY"]) || cursor.words(&["REMOVE", "PARTITIONING"]) {
        while cursor.next().is_some() {}
    }
    cursor.at_item_end()
}

fn change(
    cursor: &mut Cursor<'_>,
    rules: &Rules,
    name: &TableName,
    alter: &mut Alter,
) -> Option<()> {
    match cursor.keyword()?.as_str() {
        "ADD" => {
            cursor.next();
            if cursor.word("PARTITION") {
                return partition(cursor, rules, name, alter, false);
            }
            add(cursor, rules, alter)
        }
        "DROP" => {
            cursor.next();
            if cursor.word("PARTITION") {
                return partition(cursor, rules, name, alter, true);
            }
            drop(cursor, alter)
        }
        "MODIFY" | "CHANGE" => modify(cursor, rules, alter),
        "RENAME" => rename(cursor, rules, alter),
        "ALTER" => alter_part(cursor, alter),
        "CONVERT" => convert(cursor, rules, name, alter),
        "ORDER" => order(cursor),
        "FORCE" => cursor.next().map(|_| ()),
        "ENABLE" | "DISABLE" => {
            cursor.next();
            cursor.word("KEYS").then_some(())
        }
        "WITH" | "WITHOUT" => {
            cursor.next();
            cursor.word("VALIDATION").then_some(())
        }
        "SECONDARY_LOAD" | "SECONDARY_UNLOAD" => {
            while cursor.next().is_some() {}
            Some(())
        }
        "TRUNCATE" | "EXCHANGE" | "DISCARD" | "IMPORT" => {
            let exchange = cursor.is_word("EXCHANGE");
            cursor.next();
            if exchange && let Some(other) = with_table(cursor, rules) {
                alter.others.push(Effect::AlterPartition {
                    name: other,
                    moves_rows: true,
                });
            }
            partition(cursor, rules, name, alter, true)
        }
        "COALESCE" | "REORGANIZE" | "REBUILD" | "ANALYZE" | "CHECK" | "OPTIMIZE" | "REPAIR" => {
            cursor.next();
            cursor.word("PARTITION").then_some(())?;
            partition(cursor, rules, name, alter, false)
        }
        "PARTITION" => {
            cursor.words(&["PARTITION", "BY"]).then_some(())?;
            partition(cursor, rules, name, alter, false)
        }
        "REMOVE" => {
            cursor.words(&["REMOVE", "PARTITIONING"]).then_some(())?;
            partition(cursor, rules, name, alter, false)
        }
        _ => options(cursor, alter),
    }
}

/// Takes the rest: statements on partitions have nothing else in them.
fn partition(
    cursor: &mut Cursor<'_>,
    _rules: &Rules,
    name: &TableName,
    alter: &mut Alter,
    moves_rows: bool,
) -> Option<()> {
    while cursor.next().is_some() {}
    alter.others.push(Effect::AlterPartition {
        name: name.clone(),
        moves_rows,
    });
    Some(())
}

/// The table named behind `WITH TABLE`.
fn with_table(cursor: &Cursor<'_>, rules: &Rules) -> Option<TableName> {
    let mut ahead = cursor.clone();
    while ahead.peek().is_some() {
        if ahead.words(&["WITH", "TABLE"]) {
            return rules.table(&mut ahead);
        }
        ahead.next();
    }
    None
}

/// Options, one after another without commas.
fn options(cursor: &mut Cursor<'_>, alter: &mut Alter) -> Option<()> {
    let mut charset = Charset::default();
    let mut any = false;
    while create::option(cursor, &mut charset)? {
        any = true;
    }
    if !charset.is_empty() {
        alter.changes.push(Change::DefaultCharset(charset));
    }
    any.then_some(())
}

fn add(cursor: &mut Cursor<'_>, rules: &Rules, alter: &mut Alter) -> Option<()> {
    if cursor.words(&["SYSTEM", "VERSIONING"]) {
        alter.changes.push(Change::AddVersioning {
            row_end: alter.row_end.clone(),
        });
        return Some(());
    }
    let column = cursor.word("COLUMN");
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    if let Some(mut inner) = cursor.parentheses() {
        for mut item in inner.items() {
            let from = alter.changes.len();
            create::element(&mut item, rules, &mut alter.changes, &mut alter.row_end)?;
            for change in alter.changes.iter_mut().skip(from) {
                if let Change::AddColumn {
                    if_not_exists: here,
                    ..
                } = change
                {
                    *here = if_not_exists;
                }
            }
        }
        return Some(());
    }
    if !column && !if_not_exists {
        let mut ahead = cursor.clone();
        ahead.skip_item();
        let mut item = cursor.until(&ahead);
        if create::key(&mut item, rules, &mut alter.changes)? {
            *cursor = ahead;
            return Some(());
        }
    }
    let declared = column::declaration(cursor, rules)?;
    if declared.row_end {
        alter.row_end = Some(Arc::clone(&declared.column.name));
    }
    alter.changes.push(Change::AddColumn {
        column: declared.column,
        place: place(cursor)?,
        if_not_exists,
    });
    alter.changes.extend(declared.keys);
    Some(())
}

/// `FIRST`, `AFTER column`, or nothing.
fn place(cursor: &mut Cursor<'_>) -> Option<Option<Place>> {
    if cursor.word("FIRST") {
        return Some(Some(Place::First));
    }
    if cursor.word("AFTER") {
        return Some(Some(Place::After(cursor.identifier()?.into())));
    }
    Some(None)
}

fn drop(cursor: &mut Cursor<'_>, alter: &mut Alter) -> Option<()> {
    if cursor.words(&["PRIMARY", "KEY"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        alter.changes.push(Change::DropPrimaryKey { if_exists });
        return Some(());
    }
    if cursor.words(&["FOREIGN", "KEY"]) || cursor.word("CHECK") {
        cursor.words(&["IF", "EXISTS"]);
        return cursor.identifier().map(|_| ());
    }
    if cursor.word("CONSTRAINT") {
        cursor.words(&["IF", "EXISTS"]);
        let name = cursor.identifier()?.into();
        alter.changes.push(Change::DropConstraint(name));
        return Some(());
    }
    if cursor.any(&["INDEX", "KEY"]) {
        cursor.words(&["IF", "EXISTS"]);
        let name: &str = cursor.identifier()?;
        alter.changes.push(if name.eq_ignore_ascii_case("PRIMARY") {
            Change::DropPrimaryKey { if_exists: true }
        } else {
            Change::DropIndex(name.into())
        });
        return Some(());
    }
    if cursor.is_word_at(1, "VERSIONING") || cursor.is_word("PERIOD") && cursor.is_word_at(1, "FOR")
    {
        return None;
    }
    cursor.word("COLUMN");
    let if_exists = cursor.words(&["IF", "EXISTS"]);
    let name = cursor.identifier()?.into();
    cursor.any(&["RESTRICT", "CASCADE"]);
    alter.changes.push(Change::DropColumn { name, if_exists });
    Some(())
}

fn modify(cursor: &mut Cursor<'_>, rules: &Rules, alter: &mut Alter) -> Option<()> {
    let change = cursor.word("CHANGE");
    if !change {
        cursor.word("MODIFY");
    }
    cursor.word("COLUMN");
    let if_exists = cursor.words(&["IF", "EXISTS"]);
    let old = change.then(|| cursor.identifier());
    let old = match old {
        Some(old) => Some(old?),
        None => None,
    };
    let declared = column::declaration(cursor, rules)?;
    if declared.row_end {
        return None;
    }
    alter.changes.push(Change::ModifyColumn {
        name: old.map_or_else(|| Arc::clone(&declared.column.name), Arc::from),
        column: declared.column,
        place: place(cursor)?,
        if_exists,
    });
    alter.changes.extend(declared.keys);
    Some(())
}

fn rename(cursor: &mut Cursor<'_>, rules: &Rules, alter: &mut Alter) -> Option<()> {
    cursor.next();
    if cursor.word("COLUMN") {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        let from = cursor.identifier()?.into();
        cursor.word("TO").then_some(())?;
        let to = cursor.identifier()?.into();
        alter.changes.push(Change::RenameColumn {
            from,
            to,
            if_exists,
        });
    } else if cursor.any(&["INDEX", "KEY"]) {
        cursor.words(&["IF", "EXISTS"]);
        let from = cursor.identifier()?.into();
        cursor.word("TO").then_some(())?;
        let to = cursor.identifier()?.into();
        alter.changes.push(Change::RenameIndex { from, to });
    } else {
        if !cursor.any(&["TO", "AS"]) {
            cursor.symbol('=');
        }
        alter.rename_to = Some(rules.table(cursor)?);
    }
    Some(())
}

/// `ALTER COLUMN`, `ALTER INDEX`, `ALTER CHECK`.
fn alter_part(cursor: &mut Cursor<'_>, alter: &mut Alter) -> Option<()> {
    cursor.next();
    if cursor.any(&["INDEX", "KEY", "CHECK", "CONSTRAINT"]) {
        cursor.words(&["IF", "EXISTS"]);
        cursor.identifier()?;
        cursor.word("NOT");
        return cursor
            .any(&["VISIBLE", "INVISIBLE", "IGNORED", "ENFORCED"])
            .then_some(());
    }
    cursor.word("COLUMN");
    cursor.words(&["IF", "EXISTS"]);
    let name = cursor.identifier()?.into();
    if cursor.words(&["SET", "DEFAULT"]) {
        cursor.skip_item();
    } else if cursor.words(&["SET", "INVISIBLE"]) {
        alter.changes.push(Change::SetInvisible {
            name,
            invisible: true,
        });
    } else if cursor.words(&["SET", "VISIBLE"]) {
        alter.changes.push(Change::SetInvisible {
            name,
            invisible: false,
        });
    } else {
        cursor.words(&["DROP", "DEFAULT"]).then_some(())?;
    }
    Some(())
}

/// `CONVERT TO CHARACTER SET`; on MariaDB also partitions that become tables.
fn convert(
    cursor: &mut Cursor<'_>,
    rules: &Rules,
    name: &TableName,
    alter: &mut Alter,
) -> Option<()> {
    cursor.next();
    if cursor.word("PARTITION") {
        cursor.identifier()?;
        cursor.words(&["TO", "TABLE"]).then_some(())?;
        let created = rules.table(cursor)?;
        alter.others.push(Effect::CreateLike {
            name: created.clone(),
            if_not_exists: false,
            or_replace: false,
            source: name.clone(),
        });
        alter.others.push(Effect::AlterPartition {
            name: created,
            moves_rows: true,
        });
        return partition(cursor, rules, name, alter, true);
    }
    if cursor.word("TABLE") {
        let gone = rules.table(cursor)?;
        alter.others.push(Effect::DropTables(vec![gone]));
        return partition(cursor, rules, name, alter, true);
    }
    cursor.word("TO").then_some(())?;
    let mut charset = Charset::default();
    let default = cursor.is_word_at(1, "DEFAULT") || cursor.is_word_at(2, "DEFAULT");
    if default {
        return None; // the database's, which only the catalog knows
    }
    while create::charset_option(cursor, &mut charset)? {}
    (!charset.is_empty()).then_some(())?;
    alter.changes.push(Change::Convert(charset));
    Some(())
}

/// `ORDER BY`, whose list has commas of its own.
fn order(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.words(&["ORDER", "BY"]).then_some(())?;
    loop {
        cursor.identifier()?;
        while cursor.symbol('.') {
            cursor.identifier()?;
        }
        cursor.any(&["ASC", "DESC"]);
        let mut ahead = cursor.clone();
        let more = ahead.symbol(',')
            && !ahead.is_any(&[
                "ADD", "DROP", "CHANGE", "RENAME", "ALTER", "CONVERT", "ORDER",
            ])
            && ahead.identifier().is_some()
            && {
                ahead.any(&["ASC", "DESC"]);
                ahead.at_item_end()
            };
        if !more {
            return Some(());
        }
        cursor.symbol(',');
    }
}
