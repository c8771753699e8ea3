//! What of an event is the same for every row of a table, rendered once for each definition and kept.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use headwater_core::schema::{Column, SchemaId, TableSchema};

use super::columns::Columns;
use super::options::Naming;
use crate::append::Piece;
use crate::escape;

/// Definitions kept; beyond that, the one least recently used is dropped.
const PLANS_MAX: usize = 1_024;

/// The types of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventType {
    Insert,
    Update,
    Delete,
    Bootstrap,
    BootstrapInsert,
    BootstrapStart,
    BootstrapComplete,
}

impl EventType {
    /// As events have it.
    pub(super) fn name(self) -> &'static str {
        TYPES[self as usize].1
    }
}

const TYPES: [(EventType, &str); 7] = [
    (EventType::Insert, "insert"),
    (EventType::Update, "update"),
    (EventType::Delete, "delete"),
    (EventType::Bootstrap, "bootstrap"),
    (EventType::BootstrapInsert, "bootstrap-insert"),
    (EventType::BootstrapStart, "bootstrap-start"),
    (EventType::BootstrapComplete, "bootstrap-complete"),
];

/// What of the options a plan renders.
#[derive(Debug, Default)]
pub(super) struct Style {
    pub(super) naming: Naming,
    pub(super) exclude: Columns,
}

/// The rendered parts of one definition.
#[derive(Debug)]
pub(super) struct Plan {
    id: SchemaId,
    used: u64,
    /// `{"database":"…","table":"…"`.
    names: Box<[u8]>,
    /// Of each type, the same and `,"type":"…","ts":`.
    heads: [Piece<64>; 7],
    /// Of each column, `,"name":`.
    pub(super) columns: Vec<Piece<32>>,
    /// `["id","part"]`.
    pub(super) key_columns: Box<[u8]>,
    /// Of each column, whether it is left out; empty if none is.
    pub(super) hidden: Box<[bool]>,
}

impl Plan {
    fn new(schema: &TableSchema, style: &Style) -> Self {
        let mut names = b"{\"database\":".to_vec();
        escape::push_string(&mut names, &schema.name.database);
        names.extend_from_slice(b",\"table\":");
        escape::push_string(&mut names, &schema.name.table);
        let heads = TYPES.map(|(_, name)| {
            let mut head = names.clone();
            push_type(&mut head, name);
            Piece::new(&head)
        });
        let column = |name: &str| {
            let mut text = vec![b','];
            escape::push_string(&mut text, &style.naming.of(name));
            text.push(b':');
            Piece::new(&text)
        };
        let mut key_columns = vec![b'['];
        let key = schema
            .primary_key
            .iter()
            .filter_map(|index| schema.columns.get(*index));
        for (place, column) in key.enumerate() {
            if place > 0 {
                key_columns.push(b',');
            }
            escape::push_string(&mut key_columns, &column.name);
        }
        key_columns.push(b']');
        let is_hidden = |column: &Column| style.exclude.has(&column.name);
        let mut hidden: Vec<bool> = schema.columns.iter().map(is_hidden).collect();
        if !hidden.contains(&true) {
            hidden.clear();
        }
        Self {
            hidden: hidden.into_boxed_slice(),
            id: schema.id,
            used: 0,
            heads,
            names: names.into_boxed_slice(),
            columns: schema
                .columns
                .iter()
                .map(|known| column(&known.name))
                .collect(),
            key_columns: key_columns.into_boxed_slice(),
        }
    }

    /// Appends everything from the opening brace to `"ts":`.
    #[inline]
    pub(super) fn push_head(&self, out: &mut Vec<u8>, event: EventType) {
        self.heads[event as usize].push(out);
    }

    /// The same, with the query between the names and the type.
    pub(super) fn push_head_with_query(&self, out: &mut Vec<u8>, event: EventType, query: &str) {
        out.extend_from_slice(&self.names);
        out.extend_from_slice(b",\"query\":");
        escape::push_string(out, query);
        push_type(out, TYPES[event as usize].1);
    }
}

fn push_type(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"ts\":");
}

/// The plans of the definitions last seen.
#[derive(Debug, Default)]
pub(super) struct Plans {
    style: Style,
    plans: Vec<Plan>,
    places: HashMap<SchemaId, usize, BuildHasherDefault<IdHasher>>,
    last: usize,
    clock: u64,
}

impl Plans {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            ..Self::default()
        }
    }

    /// The plan of `schema`. Rows of one table often follow each other, so the last one is looked at first.
    #[inline]
    pub(super) fn of(&mut self, schema: &TableSchema) -> &Plan {
        if self
            .plans
            .get(self.last)
            .is_none_or(|plan| plan.id != schema.id)
        {
            self.find(schema);
        }
        &self.plans[self.last]
    }

    #[inline(never)]
    fn find(&mut self, schema: &TableSchema) {
        self.clock += 1;
        self.last = match self.places.get(&schema.id) {
            Some(place) => *place,
            None => self.add(schema),
        };
        self.plans[self.last].used = self.clock;
    }

    #[cold]
    fn add(&mut self, schema: &TableSchema) -> usize {
        let plan = Plan::new(schema, &self.style);
        let place = if self.plans.len() < PLANS_MAX {
            self.plans.push(plan);
            self.plans.len() - 1
        } else {
            let oldest = self
                .plans
                .iter()
                .enumerate()
                .min_by_key(|(_, plan)| plan.used);
            let place = oldest.map_or(0, |(place, _)| place);
            self.places.remove(&self.plans[place].id);
            self.plans[place] = plan;
            place
        };
        self.places.insert(schema.id, place);
        place
    }
}

/// Definitions are numbered one after the other: a multiplication spreads them well enough.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_core::schema::{DataType, KeyOrder, TableName};

    fn schema(name: &str) -> TableSchema {
        TableSchema {
            id: SchemaId::fresh(),
            name: TableName::new("d\"b", name),
            columns: vec![Column {
                name: "Naïve\\".into(),
                data_type: DataType::Text,
                nullable: true,
            }],
            primary_key: vec![0],
            key: vec![0],
            key_order: KeyOrder::Server,
        }
    }

    #[test]
    fn types_stand_at_their_own_place() {
        for (place, (event, _)) in TYPES.iter().enumerate() {
            assert_eq!(*event as usize, place);
        }
    }

    #[test]
    fn names_are_escaped() {
        let plan = Plan::new(&schema("t\n"), &Style::default());
        let mut out = Vec::new();
        plan.push_head(&mut out, EventType::Delete);
        assert_eq!(
            out,
            br#"{"database":"d\"b","table":"t\n","type":"delete","ts":"#
        );
        out.clear();
        plan.push_head_with_query(&mut out, EventType::Insert, "\"");
        assert_eq!(
            out,
            br#"{"database":"d\"b","table":"t\n","query":"\"","type":"insert","ts":"#
        );
        out.clear();
        plan.columns[0].push(&mut out);
        assert_eq!(out, r#","Naïve\\":"#.as_bytes());
        assert_eq!(&*plan.key_columns, r#"["Naïve\\"]"#.as_bytes());
    }

    #[test]
    fn the_plan_least_recently_used_is_dropped() {
        let mut plans = Plans::default();
        let schemas: Vec<_> = (0..PLANS_MAX)
            .map(|number| schema(&number.to_string()))
            .collect();
        for known in &schemas {
            plans.of(known);
        }
        plans.of(&schemas[0]);
        let newcomer = schema("new");
        assert_eq!(plans.of(&newcomer).id, newcomer.id);
        assert_eq!(plans.plans.len(), PLANS_MAX);
        assert_eq!(plans.places.len(), PLANS_MAX);
        assert!(plans.places.contains_key(&schemas[0].id));
        assert!(!plans.places.contains_key(&schemas[1].id));
        for known in &schemas {
            assert_eq!(plans.of(known).id, known.id);
        }
        assert_eq!(plans.plans.len(), PLANS_MAX);
    }
}
