//! Moves a definition on by the changes of a statement, in the order in which the servers do it
//! (`mysql_prepare_alter_table`): old columns are dropped, changed and renamed by their old names, then new ones are
//! put in their places, then keys follow.

use std::fmt;
use std::sync::Arc;

use headwater_core::schema::TableName;

use super::change::{Change, Charset, ColumnDraft, Place, TableDraft, TypeDraft, UniqueDraft};
use super::same_name;
use crate::schema::definition::{ColumnDefinition, ColumnType, TableDefinition, UniqueKey};
use crate::schema::native::Native;

/// Why a change could not be followed. The definition is left as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear(pub &'static str);

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The definition of a new table; `database` is its database's default character set.
///
/// # Errors
/// It depends on something that is not known: then the definition has to come from elsewhere.
pub fn resolve(
    draft: &TableDraft,
    name: &TableName,
    database: &Charset,
) -> Result<TableDefinition, Unclear> {
    let Some((charset, collation)) = draft.charset.resolve(database) else {
        return Err(Unclear("the database's default character set is not known"));
    };
    let mut table = TableDefinition {
        name: name.clone(),
        charset: Arc::clone(&charset),
        columns: Vec::new(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        row_end: None,
    };
    let default = charset_of(charset, collation);
    table = Work::new(&table, default, true).run(&draft.changes)?;
    Ok(table)
}

/// Moves a definition on by the changes of an `ALTER TABLE`.
///
/// # Errors
/// They do not fit the definition, or depend on what it does not hold. It is unchanged then, and no longer valid.
pub fn apply(table: &mut TableDefinition, changes: &[Change]) -> Result<(), Unclear> {
    let default = charset_of(Arc::clone(&table.charset), "".into());
    *table = Work::new(table, default, false).run(changes)?;
    Ok(())
}

fn charset_of(charset: Arc<str>, collation: Arc<str>) -> Charset {
    Charset {
        charset: Some(charset),
        collation: Some(collation).filter(|collation| !collation.is_empty()),
    }
}

/// A column on its way: its old position, if it had one.
#[derive(Debug, Clone)]
struct Slot {
    was: Option<usize>,
    column: ColumnDefinition,
}

/// An alteration on its way.
struct Work<'t> {
    old: &'t TableDefinition,
    default: Charset,
    /// The table is new: all its indexes are known by name.
    fresh: bool,
    slots: Vec<Slot>,
    primary: Vec<usize>,
    unique: Vec<UniqueKey>,
    /// The column of a row's end, if the table is new and has one.
    row_end: Option<usize>,
    /// A unique index got a name from the server, which knows of more indexes than the definition does.
    name_uncertain: bool,
    /// The names of indexes that are not unique, as far as this statement makes them.
    other_indexes: Vec<Arc<str>>,
}

impl<'t> Work<'t> {
    fn new(old: &'t TableDefinition, default: Charset, fresh: bool) -> Self {
        Self {
            old,
            default,
            fresh,
            slots: Vec::new(),
            primary: Vec::new(),
            unique: Vec::new(),
            row_end: None,
            name_uncertain: false,
            other_indexes: Vec::new(),
        }
    }

    fn run(mut self, changes: &[Change]) -> Result<TableDefinition, Unclear> {
        if !self.fresh && is_versioned(self.old) && !changes.iter().all(keeps_versions_apart) {
            return Err(Unclear("a table with system versioning was altered"));
        }
        self.defaults(changes)?;
        self.old_columns(changes)?;
        self.placed_columns(changes)?;
        self.carry_keys(changes)?;
        for change in changes {
            self.key(change)?;
        }
        self.finish()
    }

    /// The table's new default character set, which columns of the same statement inherit.
    fn defaults(&mut self, changes: &[Change]) -> Result<(), Unclear> {
        let others = |change: &Change| match change {
            Change::AddColumn { column, .. } | Change::ModifyColumn { column, .. } => {
                matches!(
                    column.column_type,
                    TypeDraft::Text { .. } | TypeDraft::Fixed(ColumnType::JsonText)
                )
            }
            Change::DefaultCharset(_) => true,
            _ => false,
        };
        let converts = changes
            .iter()
            .any(|change| matches!(change, Change::Convert(_)));
        if converts && changes.iter().any(others) {
            return Err(Unclear("columns were changed and converted at once"));
        }
        for change in changes {
            let (Change::DefaultCharset(charset) | Change::Convert(charset)) = change else {
                continue;
            };
            let (charset, collation) = charset
                .resolve(&self.default)
                .ok_or(Unclear("the table's character set is not known"))?;
            self.default = charset_of(charset, collation);
        }
        Ok(())
    }

    /// Goes through the old columns: dropped, changed where they stand, renamed, or kept.
    fn old_columns(&mut self, changes: &[Change]) -> Result<(), Unclear> {
        for change in changes {
            let (name, needed) = match change {
                Change::DropColumn { name, if_exists }
                | Change::ModifyColumn {
                    name, if_exists, ..
                }
                | Change::RenameColumn {
                    from: name,
                    if_exists,
                    ..
                } => (name, !if_exists),
                Change::SetInvisible { name, .. } => (name, true),
                _ => continue,
            };
            if needed
                && !self
                    .old
                    .columns
                    .iter()
                    .any(|column| same_name(&column.name, name))
            {
                return Err(Unclear(
                    "a column that was changed is not in the definition",
                ));
            }
        }
        for (was, old) in self.old.columns.iter().enumerate() {
            let mut slot = Some(Slot {
                was: Some(was),
                column: old.clone(),
            });
            for change in changes {
                self.old_column(change, old, &mut slot)?;
            }
            self.slots.extend(slot);
        }
        Ok(())
    }

    fn old_column(
        &self,
        change: &Change,
        old: &ColumnDefinition,
        slot: &mut Option<Slot>,
    ) -> Result<(), Unclear> {
        let Some(now) = slot.as_mut() else {
            return Ok(());
        };
        match change {
            Change::DropColumn { name, .. } if same_name(name, &old.name) => *slot = None,
            Change::ModifyColumn {
                name,
                column,
                place,
                ..
            } if same_name(name, &old.name) => {
                let modified = self.column(column)?;
                if old.column_type == ColumnType::JsonText
                    && matches!(modified.column_type, ColumnType::Text { .. })
                {
                    return Err(Unclear(
                        "a check of JSON may have gone with a column's change",
                    ));
                }
                now.column = modified;
                if place.is_some() {
                    *slot = None; // it comes back at its place
                }
            }
            Change::RenameColumn { from, to, .. } if same_name(from, &old.name) => {
                now.column.name = Arc::clone(to);
            }
            Change::SetInvisible { name, invisible } if same_name(name, &old.name) => {
                now.column.invisible = *invisible;
            }
            Change::Convert(charset) => {
                now.column.column_type = self.converted(&now.column.column_type, charset)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn converted(&self, old: &ColumnType, charset: &Charset) -> Result<ColumnType, Unclear> {
        let (ColumnType::Text { .. } | ColumnType::JsonText) = old else {
            return Ok(old.clone());
        };
        let (charset, collation) = charset
            .resolve(&self.default)
            .ok_or(Unclear("the character set converted to is not known"))?;
        if &*charset == "binary" {
            return Err(Unclear("texts were converted to bytes"));
        }
        if *old == ColumnType::JsonText && is_utf8(&charset) {
            return Ok(ColumnType::JsonText);
        }
        Ok(ColumnType::Text { charset, collation })
    }

    fn column(&self, draft: &ColumnDraft) -> Result<ColumnDefinition, Unclear> {
        let mut column_type = draft
            .column_type
            .resolve(&self.default)
            .ok_or(Unclear("a column's character set is not known"))?;
        if draft.json_check {
            column_type = with_json_check(column_type);
        }
        Ok(ColumnDefinition {
            name: Arc::clone(&draft.name),
            column_type,
            nullable: draft.nullable,
            generated: draft.generated,
            invisible: draft.invisible,
            native: draft.native.clone(),
        })
    }

    /// Puts new columns, and those that move, into their places.
    fn placed_columns(&mut self, changes: &[Change]) -> Result<(), Unclear> {
        for change in changes {
            let (was, column, place) = match change {
                Change::AddColumn {
                    column,
                    place,
                    if_not_exists,
                } => {
                    if self.position(&column.name).is_some() {
                        if *if_not_exists {
                            continue;
                        }
                        return Err(Unclear("a column that was added is there already"));
                    }
                    (None, column, place.as_ref())
                }
                Change::ModifyColumn {
                    name,
                    column,
                    place: Some(place),
                    ..
                } => {
                    let old = &self.old.columns;
                    let Some(was) = old.iter().position(|old| same_name(&old.name, name)) else {
                        continue;
                    };
                    (Some(was), column, Some(place))
                }
                _ => continue,
            };
            let index = match place {
                None => self.slots.len(),
                Some(Place::First) => 0,
                Some(Place::After(name)) => {
                    let before = self.position(name);
                    before.ok_or(Unclear("a column is placed behind one that is not there"))? + 1
                }
            };
            let column = self.column(column)?;
            self.slots.insert(index, Slot { was, column });
        }
        Ok(())
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| same_name(&slot.column.name, name))
    }

    /// The position of the column that has this old one's part in a key. The servers look for it by its old name, so
    /// that a new column of that name takes the part of one that was dropped.
    fn heir(&self, was: usize) -> Option<usize> {
        let old = self.old.columns.get(was)?;
        self.slots.iter().position(|slot| match slot.was {
            Some(slot) => slot == was,
            None => same_name(&slot.column.name, &old.name),
        })
    }

    /// Whether a key may cover more or less of this column than it did: only the server knows lengths.
    fn is_remade(&self, changes: &[Change], was: usize, partial: bool) -> bool {
        let Some(old) = self.old.columns.get(was) else {
            return false;
        };
        changes.iter().any(|change| match change {
            Change::ModifyColumn { name, column, .. } => {
                same_name(name, &old.name) && (partial || column.large)
            }
            Change::AddColumn { column, .. } => same_name(&column.name, &old.name),
            _ => false,
        })
    }

    /// Takes over the keys that are not dropped. A key loses the columns that are.
    fn carry_keys(&mut self, changes: &[Change]) -> Result<(), Unclear> {
        let dropped = |key: &str| {
            changes.iter().any(|change| match change {
                Change::DropIndex(name) | Change::DropConstraint(name) => same_name(name, key),
                _ => false,
            })
        };
        let primary_dropped = dropped("PRIMARY")
            || changes
                .iter()
                .any(|change| matches!(change, Change::DropPrimaryKey { .. }));
        if !primary_dropped {
            self.primary = self
                .old
                .primary_key
                .iter()
                .filter_map(|&was| self.heir(was))
                .collect();
        }
        for key in self
            .old
            .unique_keys
            .iter()
            .filter(|key| !dropped(&key.name))
        {
            let columns: Vec<usize> = key
                .columns
                .iter()
                .filter_map(|&was| self.heir(was))
                .collect();
            if key
                .columns
                .iter()
                .any(|&was| self.is_remade(changes, was, key.partial))
            {
                return Err(Unclear("a column of a unique index was made anew"));
            }
            if key.partial && columns.len() != key.columns.len() {
                return Err(Unclear("a column of a partial index was dropped"));
            }
            if columns.is_empty() && !key.columns.is_empty() {
                continue;
            }
            self.unique.push(UniqueKey {
                columns,
                ..key.clone()
            });
        }
        for change in changes {
            match change {
                Change::RenameIndex { from, to } => {
                    for key in self
                        .unique
                        .iter_mut()
                        .filter(|key| same_name(&key.name, from))
                    {
                        key.name = Arc::clone(to);
                    }
                }
                Change::DropConstraint(name) => self.drop_constraint(name)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn drop_constraint(&self, name: &str) -> Result<(), Unclear> {
        let key = same_name(name, "PRIMARY")
            || self
                .old
                .unique_keys
                .iter()
                .any(|key| same_name(&key.name, name));
        let json = self
            .old
            .columns
            .iter()
            .any(|column| column.column_type == ColumnType::JsonText);
        if json && !key {
            return Err(Unclear(
                "a constraint that was dropped may be a check of JSON",
            ));
        }
        Ok(())
    }

    /// Adds what this change adds to the keys.
    fn key(&mut self, change: &Change) -> Result<(), Unclear> {
        match change {
            Change::AddPrimaryKey {
                columns,
                if_not_exists,
            } => {
                if !self.primary.is_empty() {
                    return if *if_not_exists {
                        Ok(())
                    } else {
                        Err(Unclear("a second primary key was added"))
                    };
                }
                for name in columns {
                    let column = self.position(name);
                    self.primary
                        .push(column.ok_or(Unclear("a key's column is not there"))?);
                }
            }
            Change::AddUnique(draft) => self.add_unique(draft)?,
            Change::AddIndex { name, first } => {
                let name = match name {
                    Some(name) => Arc::clone(name),
                    None => self.free_name(first.as_deref().unwrap_or("functional_index")),
                };
                self.other_indexes.push(name);
            }
            Change::CheckJson(name) => {
                let column = self.position(name);
                let column = column.ok_or(Unclear("a check's column is not there"))?;
                if let Some(slot) = self.slots.get_mut(column) {
                    slot.column.column_type = with_json_check(slot.column.column_type.clone());
                }
            }
            Change::NotNull(name) => {
                let column = self.position(name);
                let column = column.ok_or(Unclear("a period's column is not there"))?;
                if let Some(slot) = self.slots.get_mut(column) {
                    slot.column.nullable = false;
                }
            }
            Change::AddVersioning { row_end } => self.version(row_end.as_deref())?,
            _ => {}
        }
        Ok(())
    }

    fn add_unique(&mut self, draft: &UniqueDraft) -> Result<(), Unclear> {
        let expression = draft.parts.iter().any(|(column, _)| column.is_none());
        let first = draft
            .parts
            .first()
            .and_then(|(column, _)| column.as_deref());
        let name = match (&draft.name, first) {
            (Some(name), _) => Arc::clone(name),
            (None, Some(first)) if !expression => self.free_name(first),
            (None, _) => self.free_name("functional_index"),
        };
        let there = |key: &UniqueKey| same_name(&key.name, &name);
        if draft.or_replace {
            self.unique.retain(|key| !there(key));
        } else if self.unique.iter().any(there) {
            return if draft.if_not_exists {
                Ok(())
            } else {
                Err(Unclear("a unique index that was added is there already"))
            };
        } else if draft.if_not_exists && !self.fresh && self.primary.is_empty() {
            return Err(Unclear(
                "an index of this name may be there, and not be unique",
            ));
        }
        let mut columns = Vec::new();
        for (name, _) in &draft.parts {
            let Some(name) = name else { continue };
            columns.push(
                self.position(name)
                    .ok_or(Unclear("a key's column is not there"))?,
            );
        }
        // MariaDB covers a geometry by a prefix, without being told to.
        let geometry = |&column: &usize| {
            self.slots
                .get(column)
                .is_some_and(|slot| slot.column.column_type == ColumnType::Geometry)
        };
        let mut parts = draft.parts.iter();
        let partial = parts.any(|(column, prefix)| column.is_none() || *prefix)
            || columns.iter().any(geometry);
        self.unique.push(UniqueKey {
            name,
            columns,
            partial,
        });
        self.name_uncertain |= draft.name.is_none() && !self.fresh;
        Ok(())
    }

    /// The name that the server gives an index without one.
    fn free_name(&self, base: &str) -> Arc<str> {
        let taken = |name: &str| {
            same_name(name, "PRIMARY")
                || self.unique.iter().any(|key| same_name(&key.name, name))
                || self
                    .other_indexes
                    .iter()
                    .any(|other| same_name(other, name))
        };
        let numbered = (2..100).map(|number| format!("{base}_{number}"));
        let mut names = std::iter::once(base.to_owned()).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or_default().into()
    }

    /// Adds MariaDB's two columns of a row's life, if the table does not declare them, and the end to each key.
    fn version(&mut self, row_end: Option<&str>) -> Result<(), Unclear> {
        if !self.fresh {
            return Err(Unclear("system versioning was added"));
        }
        if row_end.is_none() {
            for name in ["row_start", "row_end"] {
                self.slots.push(Slot {
                    was: None,
                    column: version_column(name),
                });
            }
        }
        let end = self.position(row_end.unwrap_or("row_end"));
        let end = end.ok_or(Unclear("the column of a row's end is not there"))?;
        extend_keys(&mut self.primary, &mut self.unique, end);
        self.row_end = Some(end);
        Ok(())
    }

    fn finish(mut self) -> Result<TableDefinition, Unclear> {
        for &column in &self.primary {
            if let Some(slot) = self.slots.get_mut(column) {
                slot.column.nullable = false;
            }
        }
        if self.primary.is_empty() && !self.old.primary_key.is_empty() {
            return Err(Unclear(
                "the primary key went, and other keys were not followed for certain",
            ));
        }
        if self.primary.is_empty() && self.name_uncertain {
            return Err(Unclear(
                "the name that the server gave a unique index is not certain",
            ));
        }
        let slots = self.slots;
        let nullable = |key: &UniqueKey| {
            let column =
                |&column: &usize| slots.get(column).is_some_and(|slot| slot.column.nullable);
            key.columns.iter().any(column)
        };
        self.unique.sort_by_key(|key| (nullable(key), key.partial));
        let charset = self
            .default
            .charset
            .ok_or(Unclear("the character set is not known"))?;
        let table = TableDefinition {
            name: self.old.name.clone(),
            charset,
            columns: slots.into_iter().map(|slot| slot.column).collect(),
            primary_key: self.primary,
            unique_keys: self.unique,
            // A statement that could move it is not followed.
            row_end: self.row_end.or(self.old.row_end),
        };
        if table.primary_key.is_empty() && !first_is_certain(self.old, &table) {
            return Err(Unclear("which unique index comes first is not certain"));
        }
        Ok(table)
    }
}

/// The unique indexes that can serve as the key, with the types that they cover.
fn candidates(table: &TableDefinition) -> Vec<(&str, Vec<&ColumnDefinition>)> {
    let columns = |key: &UniqueKey| {
        key.columns
            .iter()
            .filter_map(|&at| table.columns.get(at))
            .collect()
    };
    let keys = table.unique_keys.iter().filter(|key| !key.partial);
    let all = keys.map(|key| (&*key.name, columns(key)));
    let whole = |(_, columns): &(&str, Vec<&ColumnDefinition>)| {
        !columns.is_empty() && columns.iter().all(|column| !column.nullable)
    };
    all.filter(whole).collect()
}

/// Whether it is certain which unique index the server puts first. Where types do not say, the order is that of the
/// definition before: the first one stays if it was first, and none came.
fn first_is_certain(old: &TableDefinition, new: &TableDefinition) -> bool {
    // MySQL puts keys over virtual columns behind others; MariaDB those over TEXT and BLOB, which are hashes, and
    // over BIT.
    let moves = |column: &&ColumnDefinition| {
        column.generated
            || matches!(
                column.column_type,
                ColumnType::Text { .. }
                    | ColumnType::JsonText
                    | ColumnType::VarBinary
                    | ColumnType::Bit { .. }
            )
    };
    let (before, after) = (candidates(old), candidates(new));
    if after.len() < 2 || !after.iter().any(|(_, columns)| columns.iter().any(moves)) {
        return true;
    }
    let types = |columns: &[&ColumnDefinition]| -> Vec<ColumnType> {
        columns
            .iter()
            .map(|column| column.column_type.clone())
            .collect()
    };
    let was = |(name, columns): &(&str, Vec<&ColumnDefinition>)| {
        before
            .iter()
            .any(|(old, covers)| old == name && types(covers) == types(columns))
    };
    let first =
        |keys: &[(&str, Vec<&ColumnDefinition>)]| keys.first().map(|(name, _)| (*name).to_owned());
    first(&before) == first(&after) && after.iter().all(was)
}

/// One of the two invisible columns that MariaDB's system versioning adds. They are in the log, and nowhere else.
pub(crate) fn version_column(name: &str) -> ColumnDefinition {
    ColumnDefinition {
        name: name.into(),
        column_type: ColumnType::Timestamp { digits: 6 },
        nullable: false,
        generated: true,
        invisible: true,
        native: Native::default(),
    }
}

/// Adds the column of a row's end to each key that lacks it: the server does so, and the rows of the past share all
/// else of a key.
pub(crate) fn extend_keys(primary: &mut Vec<usize>, unique: &mut [UniqueKey], end: usize) {
    let unique = unique.iter_mut().map(|key| &mut key.columns);
    for key in std::iter::once(primary).chain(unique) {
        if !key.is_empty() && !key.contains(&end) {
            key.push(end);
        }
    }
}

/// MariaDB's generated columns are never NOT NULL, but for a row's start and end.
fn is_versioned(table: &TableDefinition) -> bool {
    table
        .columns
        .iter()
        .any(|column| column.generated && !column.nullable)
}

/// Whether a change of a table with system versioning touches neither its columns nor its keys.
fn keeps_versions_apart(change: &Change) -> bool {
    matches!(
        change,
        Change::SetInvisible { .. }
            | Change::AddIndex { .. }
            | Change::DefaultCharset(_)
            | Change::Convert(_)
            | Change::RenameIndex { .. }
            | Change::DropIndex(_)
    )
}

fn is_utf8(charset: &str) -> bool {
    matches!(charset, "utf8mb4" | "utf8mb3" | "ascii")
}

/// A text with the check that makes it JSON. Text in another character set stays text.
pub(crate) fn with_json_check(column_type: ColumnType) -> ColumnType {
    match column_type {
        ColumnType::Text { charset, .. } if is_utf8(&charset) => ColumnType::JsonText,
        other => other,
    }
}
