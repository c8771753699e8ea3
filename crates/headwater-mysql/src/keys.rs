//! Keys as the file of dead letters has them, as SQL that finds their rows again.

use headwater_core::key::KeyValue;
use headwater_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use crate::schema::{ColumnDefinition, ColumnType, TableDefinition};
use crate::snapshot::sql::{literal, quoted, text_literal};

/// A condition that holds for the row of `key` in a table as it is now, and for rows that the server takes for it by a collation.
/// The key is that of [`headwater_core::dead_letters`]: column by column, in JSON. To be asked in a session whose time zone is UTC.
///
/// # Errors
/// `NotFound` if the table has no such column or no such key any more, `SchemaMismatch` if a value is none of its column's.
pub fn condition(table: &TableDefinition, key: &Map<String, Value>) -> Result<String> {
    if key.is_empty() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the row has no key by which it could be found again",
        )
        .with("table", &table.name)
        .hint("give the table a primary key"));
    }
    let mut parts = Vec::new();
    for (name, value) in key {
        let column = table.columns.iter().find(|column| *column.name == **name);
        let column = column.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "the table has no such key column any more",
            )
            .with("table", &table.name)
            .with("column", name)
            .hint("its rows cannot be found by the old key: read the whole table again")
        })?;
        let constant = constant(value, column).ok_or_else(|| {
            Error::new(
                ErrorKind::SchemaMismatch,
                "a key's value is none of its column's type",
            )
            .with("table", &table.name)
            .with("column", name)
            .with("value", value)
            .hint("the column has another type by now: read the whole table again")
        })?;
        parts.push(format!("{} = {constant}", quoted(name)));
    }
    if !is_key(table, key) {
        return Err(Error::new(
            ErrorKind::NotFound,
            "the table's key is another by now, so the old one may find other rows, or none",
        )
        .with("table", &table.name)
        .with(
            "columns",
            key.keys().cloned().collect::<Vec<_>>().join(", "),
        )
        .hint("its rows cannot be found by the old key: read the whole table again"));
    }
    Ok(parts.join(" AND "))
}

/// Whether these are the columns of the primary key or of a unique index.
fn is_key(table: &TableDefinition, key: &Map<String, Value>) -> bool {
    let is_it = |columns: &[usize]| {
        let mut names = columns.iter().map(|at| &*table.columns[*at].name);
        columns.len() == key.len() && names.all(|name| key.contains_key(name))
    };
    let unique = table.unique_keys.iter().filter(|index| !index.partial);
    is_it(&table.primary_key) || unique.map(|index| &*index.columns).any(is_it)
}

/// A value of a letter as a constant that compares as the column's values do.
fn constant(value: &Value, column: &ColumnDefinition) -> Option<String> {
    let kind = &column.column_type;
    let is_number = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
    };
    match (kind, value) {
        (
            ColumnType::Integer { .. } | ColumnType::Bit { .. } | ColumnType::Year,
            Value::Number(number),
        ) if !number.is_f64() => Some(number.to_string()),
        (ColumnType::Float | ColumnType::Double, Value::Number(number)) => {
            Some(format!("{:e}", number.as_f64()?))
        }
        (ColumnType::Decimal { .. }, Value::String(digits)) if is_number(digits) => {
            Some(digits.clone())
        }
        (ColumnType::Decimal { .. }, Value::Number(number)) => Some(number.to_string()),
        (
            ColumnType::Date
            | ColumnType::Time { .. }
            | ColumnType::DateTime { .. }
            | ColumnType::Timestamp { .. }
            | ColumnType::Enum { .. }
            | ColumnType::Set { .. }
            | ColumnType::Uuid
            | ColumnType::Inet4
            | ColumnType::Inet6,
            Value::String(text),
        ) => Some(text_literal(text)),
        (ColumnType::Text { .. }, Value::String(text)) => {
            Some(literal(&KeyValue::Text(text.clone()), column))
        }
        (ColumnType::Binary { .. } | ColumnType::VarBinary, Value::String(text)) => {
            let digits = text.strip_prefix("0x")?;
            let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            (is_hex && digits.len() % 2 == 0).then(|| format!("x'{digits}'"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::schema::TableName;
    use serde_json::json;

    use super::*;
    use crate::schema::{Native, UniqueKey};

    fn table() -> TableDefinition {
        let column = |name: &str, column_type| ColumnDefinition {
            name: name.into(),
            column_type,
            nullable: false,
            generated: false,
            invisible: false,
            native: Native::default(),
        };
        let id = ColumnType::Integer {
            bits: 64,
            unsigned: true,
        };
        let text = ColumnType::Text {
            charset: "utf8mb4".into(),
            collation: "utf8mb4_bin".into(),
        };
        TableDefinition {
            name: TableName::new("shop", "orders"),
            charset: "utf8mb4".into(),
            columns: vec![
                column("id", id),
                column("co`de", text),
                column("hash", ColumnType::VarBinary),
                column("at", ColumnType::DateTime { digits: 3 }),
            ],
            primary_key: vec![0],
            unique_keys: vec![UniqueKey {
                name: "code".into(),
                columns: vec![1, 2, 3],
                partial: false,
            }],
            row_end: None,
        }
    }

    fn of(key: Value) -> Result<String> {
        let Value::Object(key) = key else { panic!() };
        condition(&table(), &key)
    }

    #[test]
    fn a_key_becomes_a_condition_by_the_types_of_its_columns() {
        assert_eq!(
            of(json!({"id": u64::MAX})).unwrap(),
            "`id` = 18446744073709551615"
        );
        assert_eq!(
            of(json!({"co`de": "x' OR 1 -- é", "hash": "0x00FF", "at": "2026-01-01 00:00:00.000"}))
                .unwrap(),
            "`co``de` = CONVERT(_utf8mb4 x'7827204f522031202d2d20c3a9' USING utf8mb4) COLLATE utf8mb4_bin \
             AND `hash` = x'00FF' AND `at` = '2026-01-01 00:00:00.000'"
        );
    }

    #[test]
    fn a_key_that_does_not_fit_the_table_any_more_is_told() {
        for (key, expected) in [
            (json!({}), "no key"),
            (json!({"number": 1}), "column number"),
            (json!({"id": "1 OR 1"}), "value \"1 OR 1\""),
            (json!({"id": 1.5}), "value 1.5"),
            (json!({"hash": "0x0'"}), "none of its column's type"),
            (json!({"id": null}), "none of its column's type"),
            (json!({"hash": "0x00"}), "columns hash"),
            (json!({"id": 1, "hash": "0x00"}), "another by now"),
        ] {
            let error = of(key.clone()).unwrap_err();
            assert!(error.to_string().contains(expected), "{key}: {error}");
            assert!(error.hint_text().is_some());
        }
    }
}
