//! A tiny database: tables, a log of transactions, and what readers can see of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, Mark};
use headwater_core::key::{Key, KeyValue};
use headwater_core::schema::{Column, DataType, KeyOrder, SchemaId, TableName, TableSchema};
use serde_json::{Value as Json, json};

use crate::oracle::Image;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
}

pub(super) type Row = Vec<Value>;

/// A row's place in its table: its key as the server orders it, or a hidden number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(Vec<Value>);

/// A table as of some moment.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) schema: Arc<TableSchema>,
    pub(super) rows: BTreeMap<Place, Row>,
    /// Grows with each TRUNCATE and re-creation: a view from before cannot be read any more.
    pub(super) generation: u64,
    next_hidden: i64,
}

pub(super) type Tables = BTreeMap<TableName, Arc<Table>>;

/// One change of a transaction.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) schema: Arc<TableSchema>,
    pub(super) action: Action,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    Insert {
        place: Place,
        after: Row,
    },
    Update {
        from: Place,
        before: Row,
        to: Place,
        after: Row,
    },
    Delete {
        place: Place,
        before: Row,
    },
    Truncate,
    /// The schema of the change is the new one.
    AddColumn,
    Create,
    Drop,
}

impl Action {
    pub(super) fn kind(&self) -> ChangeKind {
        match self {
            Self::Insert { .. } => ChangeKind::Insert,
            Self::Update { .. } => ChangeKind::Update,
            Self::Delete { .. } => ChangeKind::Delete,
            Self::Truncate | Self::Drop => ChangeKind::Truncate,
            Self::AddColumn | Self::Create => ChangeKind::Ddl,
        }
    }

    pub(super) fn images(&self) -> (Option<&Row>, Option<&Row>) {
        match self {
            Self::Insert { after, .. } => (None, Some(after)),
            Self::Update { before, after, .. } => (Some(before), Some(after)),
            Self::Delete { before, .. } => (Some(before), None),
            Self::Truncate | Self::AddColumn | Self::Create | Self::Drop => (None, None),
        }
    }
}

/// A committed transaction.
pub(super) type Transaction = Arc<Vec<Change>>;

/// The tables, and all that happened to them.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) first: Arc<Tables>,
    /// With everything in the log.
    pub(super) latest: Arc<Tables>,
    /// What a new view shows: it may lag behind the log.
    pub(super) visible: Arc<Tables>,
    /// Transactions in `visible`.
    pub(super) visible_at: u64,
    /// Transactions known to be visible, as the server says it: lags behind `visible_at`.
    pub(super) executed_at: u64,
    pub(super) log: Vec<Transaction>,
    /// Transactions up to this one are no longer in the log.
    pub(super) purged: u64,
}

impl Database {
    pub(super) fn new(tables: Tables) -> Self {
        let tables = Arc::new(tables);
        Self {
            first: Arc::clone(&tables),
            latest: Arc::clone(&tables),
            visible: tables,
            visible_at: 0,
            executed_at: 0,
            log: Vec::new(),
            purged: 0,
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.log.len() as u64
    }

    /// Commits `changes`, which are applied to `latest` already.
    pub(super) fn commit(&mut self, latest: Arc<Tables>, changes: Vec<Change>) {
        self.latest = latest;
        self.log.push(Arc::new(changes));
    }

    /// Lets views see up to `at`.
    pub(super) fn show(&mut self, at: u64) {
        if at == self.end() {
            self.visible = Arc::clone(&self.latest);
            self.visible_at = at;
        }
        while self.visible_at < at {
            let Some(transaction) = self.transaction(self.visible_at + 1).cloned() else {
                return;
            };
            let tables = Arc::make_mut(&mut self.visible);
            for change in transaction.iter() {
                apply(tables, change);
            }
            self.visible_at += 1;
        }
    }

    /// The transaction number `number`, from 1.
    pub(super) fn transaction(&self, number: u64) -> Option<&Transaction> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.log.get(index)
    }

    /// The definitions as of transaction `at`.
    pub(super) fn definitions_at(&self, at: u64) -> Json {
        let mut tables = (*self.first).clone();
        for number in 1..=at {
            for change in self
                .transaction(number)
                .into_iter()
                .flat_map(|changes| changes.iter())
            {
                if matches!(
                    change.action,
                    Action::AddColumn | Action::Create | Action::Drop
                ) {
                    apply(&mut tables, change);
                }
            }
        }
        definitions(&tables)
    }
}

/// Table definitions as a checkpoint holds them.
pub(super) fn definitions(tables: &Tables) -> Json {
    let columns = |table: &Table| {
        table
            .schema
            .columns
            .iter()
            .map(|column| column.name.to_string())
            .collect::<Vec<_>>()
    };
    tables
        .iter()
        .map(|(name, table)| (name.to_string(), json!(columns(table))))
        .collect()
}

/// Makes a change in `tables`.
pub(super) fn apply(tables: &mut Tables, change: &Change) {
    let name = &change.schema.name;
    match &change.action {
        Action::Create => {
            let table = Table::new(Arc::clone(&change.schema));
            tables.insert(name.clone(), Arc::new(table));
            return;
        }
        Action::Drop => {
            tables.remove(name);
            return;
        }
        _ => {}
    }
    let Some(table) = tables.get_mut(name).map(Arc::make_mut) else {
        return;
    };
    match &change.action {
        Action::Insert { place, after } => {
            table.rows.insert(place.clone(), after.clone());
        }
        Action::Update {
            from, to, after, ..
        } => {
            table.rows.remove(from);
            table.rows.insert(to.clone(), after.clone());
        }
        Action::Delete { place, .. } => {
            table.rows.remove(place);
        }
        Action::Truncate => {
            table.rows.clear();
            table.generation += 1;
        }
        Action::AddColumn => {
            table.schema = Arc::clone(&change.schema);
            for row in table.rows.values_mut() {
                row.push(Value::Null);
            }
        }
        Action::Create | Action::Drop => {}
    }
}

impl Table {
    pub(super) fn new(schema: Arc<TableSchema>) -> Self {
        Self {
            schema,
            rows: BTreeMap::new(),
            generation: 0,
            next_hidden: 0,
        }
    }

    /// Where `row` belongs: a table without a key gives each new row a number of its own.
    pub(super) fn place_of(&mut self, row: &Row) -> Place {
        if self.schema.key.is_empty() {
            self.next_hidden += 1;
            return Place(vec![Value::Int(self.next_hidden)]);
        }
        let values = self.schema.key.iter().map(|&column| row[column].clone());
        Place(values.map(|value| folded(&self.schema, value)).collect())
    }
}

/// A value as the server orders it: text of a collated column without its letter case.
fn folded(schema: &TableSchema, value: Value) -> Value {
    match value {
        Value::Text(text) if schema.key_order == KeyOrder::Server => {
            Value::Text(text.to_lowercase())
        }
        other => other,
    }
}

/// The place of a key in its table.
pub(super) fn place_of_key(schema: &TableSchema, key: &Key) -> Place {
    let values = key.0.iter().map(|value| match value {
        KeyValue::Int(value) => Value::Int(*value),
        KeyValue::Text(text) => Value::Text(text.clone()),
        other => Value::Text(format!("{other:?}")),
    });
    Place(values.map(|value| folded(schema, value)).collect())
}

/// The key of a row.
pub(super) fn key_of(schema: &TableSchema, row: &Row) -> Option<Key> {
    let values = schema.key.iter().map(|&column| match &row[column] {
        Value::Null => KeyValue::Null,
        Value::Int(value) => KeyValue::Int(*value),
        Value::Text(text) => KeyValue::Text(text.clone()),
    });
    (!schema.key.is_empty()).then(|| Key(values.collect()))
}

/// Appends the cells of a row.
pub(super) fn push(batch: &mut Batch, row: &Row) -> Mark {
    let mark = batch.mark();
    for value in row {
        match value {
            Value::Null => batch.push_null(),
            Value::Int(value) => batch.push_int(*value),
            Value::Text(text) => batch.push_text(text),
        }
    }
    mark
}

/// A row as the oracle sees it. NULL columns are left out, as [`crate::render`] does.
pub(super) fn image(schema: &TableSchema, row: &Row) -> Image {
    let columns = schema.columns.iter().zip(row);
    let cell = |(column, value): (&Column, &Value)| {
        let text = match value {
            Value::Null => return None,
            Value::Int(value) => value.to_string(),
            Value::Text(text) => text.clone(),
        };
        Some((column.name.to_string(), Some(text)))
    };
    columns.filter_map(cell).collect()
}

/// A definition: key columns (with whether they are text), then `note` and `version`.
pub(super) fn schema(table: &str, key: &[(&str, bool)], order: KeyOrder) -> Arc<TableSchema> {
    let column = |name: &str, is_text: bool, nullable| Column {
        name: name.into(),
        data_type: if is_text {
            DataType::Text
        } else {
            DataType::Integer {
                bits: 64,
                unsigned: false,
            }
        },
        nullable,
    };
    let mut columns: Vec<_> = key
        .iter()
        .map(|(name, is_text)| column(name, *is_text, false))
        .collect();
    columns.push(column("note", true, true));
    columns.push(column("version", false, false));
    let key: Vec<usize> = (0..key.len()).collect();
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("shop", table),
        columns,
        primary_key: key.clone(),
        key,
        key_order: order,
    })
}

/// The definition with one more column.
pub(super) fn with_column(schema: &TableSchema) -> Arc<TableSchema> {
    let mut columns = schema.columns.clone();
    columns.push(Column {
        name: format!("added_{}", columns.len()).into(),
        data_type: DataType::Text,
        nullable: true,
    });
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        columns,
        ..schema.clone()
    })
}
