//! The SQL of snapshot readers: names, literals and key ranges.

use std::fmt::Write;

use headwater_core::key::{Key, KeyRange, KeyValue};
use headwater_core::schema::TableName;

use crate::schema::{ColumnDefinition, ColumnType, TableDefinition};

/// A name in back-quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A table's full name in back-quotes.
pub(crate) fn quoted_table(name: &TableName) -> String {
    format!("{}.{}", quoted(&name.database), quoted(&name.table))
}

/// A string literal.
pub(crate) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A constant that compares with `column` exactly as the column's own values do.
pub(crate) fn literal(value: &KeyValue, column: &ColumnDefinition) -> String {
    match value {
        KeyValue::Int(value) => value.to_string(),
        KeyValue::UInt(value) => value.to_string(),
        KeyValue::Decimal(digits) => digits.clone(),
        KeyValue::Float(bits) => format!("{:e}", f64::from_bits(*bits)),
        KeyValue::Date(value) => format!("'{value}'"),
        KeyValue::Time(value) => format!("'{value}'"),
        KeyValue::DateTime(value) => format!("'{value}'"),
        KeyValue::Bytes(bytes) => format!("x'{}'", hex(bytes)),
        KeyValue::Null => "NULL".into(),
        KeyValue::Text(text) => {
            let utf8 = format!("_utf8mb4 x'{}'", hex(text.as_bytes()));
            match &column.column_type {
                ColumnType::Text { charset, collation } => {
                    let converted = format!("CONVERT({utf8} USING {charset})");
                    if collation.is_empty() {
                        converted
                    } else {
                        format!("{converted} COLLATE {collation}")
                    }
                }
                _ => text_literal(text),
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// A condition that holds for rows with one of `keys` in these columns, NULL being a value as any other, and for those that the server
/// takes for one of them. Written as lists and alternatives, which every version plans by an index.
pub(crate) fn among(columns: &[&ColumnDefinition], keys: &[Key]) -> String {
    let one = |(column, value): (&&ColumnDefinition, &KeyValue)| match value {
        KeyValue::Null => format!("{} IS NULL", quoted(&column.name)),
        value => format!("{} = {}", quoted(&column.name), literal(value, column)),
    };
    let mut alternatives = Vec::new();
    let mut listed = Vec::new();
    for key in keys {
        match (columns, key.0.as_slice()) {
            ([column], [value]) if *value != KeyValue::Null => listed.push(literal(value, column)),
            (columns, values) => {
                let all: Vec<String> = columns.iter().zip(values).map(one).collect();
                alternatives.push(format!("({})", all.join(" AND ")));
            }
        }
    }
    if let ([column], false) = (columns, listed.is_empty()) {
        alternatives.push(format!(
            "{} IN ({})",
            quoted(&column.name),
            listed.join(", ")
        ));
    }
    if alternatives.is_empty() {
        return "FALSE".to_owned();
    }
    alternatives.join(" OR ")
}

/// The key columns of a table, ready for SQL.
#[derive(Debug, Clone)]
pub(crate) struct KeySql {
    columns: Vec<(String, ColumnDefinition)>,
}

impl KeySql {
    pub(crate) fn new(definition: &TableDefinition) -> Self {
        let column = |&index: &usize| {
            let column = &definition.columns[index];
            (quoted(&column.name), column.clone())
        };
        Self {
            columns: definition.key().iter().map(column).collect(),
        }
    }

    /// The columns, separated by commas.
    pub(crate) fn list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    /// A condition that holds for the keys of `range`; none for all keys. Written as nested comparisons, which every
    /// version plans by the index.
    pub(crate) fn condition(&self, range: &KeyRange) -> Option<String> {
        let after = range
            .after
            .as_ref()
            .map(|key| self.compare(key, ">", ">", 0));
        let up_to = range
            .up_to
            .as_ref()
            .map(|key| self.compare(key, "<", "<=", 0));
        match (after, up_to) {
            (Some(after), Some(up_to)) => Some(format!("{after} AND {up_to}")),
            (after, up_to) => after.or(up_to),
        }
    }

    /// A condition that holds for these keys, and for those that the server takes for one of them.
    pub(crate) fn among(&self, keys: &[Key]) -> String {
        let constants = |key: &Key| {
            let values = self.columns.iter().zip(&key.0);
            let values: Vec<String> = values
                .map(|((_, column), value)| literal(value, column))
                .collect();
            match values.as_slice() {
                [one] => one.clone(),
                several => format!("({})", several.join(", ")),
            }
        };
        let list: Vec<String> = keys.iter().map(constants).collect();
        let columns = match self.columns.as_slice() {
            [_] => self.list(),
            _ => format!("({})", self.list()),
        };
        format!("{columns} IN ({})", list.join(", "))
    }

    /// Whether a key given as constants is greater than another: for asking the server without a table.
    pub(crate) fn is_greater(&self, key: &Key, bound: &Key) -> String {
        self.greater_from(key, bound, 0)
    }

    fn greater_from(&self, key: &Key, bound: &Key, at: usize) -> String {
        let (Some((_, column)), Some(value), Some(limit)) =
            (self.columns.get(at), key.0.get(at), bound.0.get(at))
        else {
            return "FALSE".into();
        };
        let (value, limit) = (literal(value, column), literal(limit, column));
        if at + 1 == self.columns.len() {
            return format!("({value} > {limit})");
        }
        let rest = self.greater_from(key, bound, at + 1);
        format!("({value} > {limit} OR ({value} = {limit} AND {rest}))")
    }

    /// `strict` compares every column but the last, `last` the last one.
    fn compare(&self, key: &Key, strict: &str, last: &str, at: usize) -> String {
        let (Some((name, column)), Some(value)) = (self.columns.get(at), key.0.get(at)) else {
            return "TRUE".into();
        };
        let value = literal(value, column);
        if at + 1 == self.columns.len() {
            return format!("{name} {last} {value}");
        }
        let rest = self.compare(key, strict, last, at + 1);
        format!("({name} {strict}= {value} AND ({name} {strict} {value} OR {rest}))")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, column_type: ColumnType) -> ColumnDefinition {
        ColumnDefinition {
            name: name.into(),
            column_type,
            nullable: false,
            generated: false,
            invisible: false,
            native: crate::schema::Native::default(),
        }
    }

    #[test]
    fn keys_in_any_columns_are_found_with_null_as_a_value() {
        let region = column(
            "re`gion",
            ColumnType::Text {
                charset: "latin1".into(),
                collation: "latin1_swedish_ci".into(),
            },
        );
        let number = column(
            "n",
            ColumnType::Integer {
                bits: 32,
                unsigned: false,
            },
        );
        let text = |text: &str| KeyValue::Text(text.into());
        let one = |value| Key(vec![value]);
        assert_eq!(
            among(
                &[&number],
                &[
                    one(KeyValue::Int(-1)),
                    one(KeyValue::Null),
                    one(KeyValue::Int(7))
                ]
            ),
            "(`n` IS NULL) OR `n` IN (-1, 7)"
        );
        let two = [
            Key(vec![text("a'"), KeyValue::Int(1)]),
            Key(vec![KeyValue::Null, KeyValue::Int(2)]),
        ];
        assert_eq!(
            among(&[&region, &number], &two),
            "(`re``gion` = CONVERT(_utf8mb4 x'6127' USING latin1) COLLATE latin1_swedish_ci AND `n` = 1) OR (`re``gion` IS NULL AND `n` = 2)"
        );
        assert_eq!(among(&[&number], &[]), "FALSE");
    }

    #[test]
    fn a_composite_range_is_written_as_nested_comparisons() {
        let key = KeySql {
            columns: vec![
                (
                    "`a`".into(),
                    column(
                        "a",
                        ColumnType::Integer {
                            bits: 32,
                            unsigned: false,
                        },
                    ),
                ),
                (
                    "`b`".into(),
                    column(
                        "b",
                        ColumnType::Text {
                            charset: "latin1".into(),
                            collation: "latin1_bin".into(),
                        },
                    ),
                ),
            ],
        };
        let range = KeyRange {
            after: Some(Key(vec![KeyValue::Int(1), KeyValue::Text("x".into())])),
            up_to: Some(Key(vec![KeyValue::Int(2), KeyValue::Text("é".into())])),
        };
        assert_eq!(
            key.condition(&range).unwrap(),
            "(`a` >= 1 AND (`a` > 1 OR `b` > CONVERT(_utf8mb4 x'78' USING latin1) COLLATE latin1_bin)) AND \
             (`a` <= 2 AND (`a` < 2 OR `b` <= CONVERT(_utf8mb4 x'c3a9' USING latin1) COLLATE latin1_bin))"
        );
    }

    #[test]
    fn keys_are_written_as_a_list() {
        let id = ColumnType::Integer {
            bits: 32,
            unsigned: false,
        };
        let one = KeySql {
            columns: vec![("`a`".into(), column("a", id.clone()))],
        };
        let key = |values: &[i64]| Key(values.iter().map(|value| KeyValue::Int(*value)).collect());
        assert_eq!(one.among(&[key(&[1]), key(&[-2])]), "`a` IN (1, -2)");
        let two = KeySql {
            columns: vec![
                ("`a`".into(), column("a", id.clone())),
                ("`b`".into(), column("b", id)),
            ],
        };
        let keys = [key(&[1, 2]), key(&[3, 4])];
        assert_eq!(two.among(&keys), "(`a`, `b`) IN ((1, 2), (3, 4))");
    }

    #[test]
    fn names_and_text_are_quoted() {
        assert_eq!(quoted("we`ird"), "`we``ird`");
        assert_eq!(text_literal("it's \\ so"), "'it''s \\\\ so'");
    }
}
