//! Conditions on a row, as SQL writes them: `status = 'paid' AND amount >= 10`.
//!
//! ```text
//! condition   not { AND not } { OR … }            comparison  column (= | <> | != | < | <= | > | >=) literal
//! not         [NOT] ( (condition) | comparison )               column [NOT] IN (literal, …)
//! literal     'text' | 12 | -1.5 | TRUE | FALSE                column IS [NOT] NULL
//! ```
//!
//! A condition is looked at on one image of a row by itself, here and not by the server: text is compared by its bytes, letter case
//! and accents included, whatever the column's collation. NULL is SQL's: a comparison with it is neither true nor false, and only what
//! is true holds.

mod parse;

use std::cmp::Ordering;

use headwater_core::batch::Image;
use headwater_core::schema::{DataType, TableSchema};
use headwater_core::value::{Cell, Date, DateTime, Time};
use headwater_core::{Error, ErrorKind, Result};

/// A condition as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of them.
    All(Vec<Condition>),
    /// One of them.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
    /// A column against one of these literals; `IN` is an equality with several.
    Compare(String, Comparison, Vec<Literal>),
    /// A column that is NULL.
    IsNull(String),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A value that stands in a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// A number in plain digits.
    Number(String),
    /// Text, or a date or time.
    Text(String),
}

impl std::str::FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse::condition(text)
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A condition bound to the columns of a definition.
#[derive(Debug, Clone)]
pub enum Bound {
    /// All of them.
    All(Vec<Bound>),
    /// One of them.
    Any(Vec<Bound>),
    /// Not this.
    Not(Box<Bound>),
    /// A column against one of these values.
    Compare(usize, Comparison, Vec<Value>),
    /// A column that is NULL.
    IsNull(usize),
}

/// A literal as the column's type has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An integer.
    Integer(i128),
    /// Any other number: its digits, and as near as a float comes.
    Number(String, f64),
    /// Text.
    Text(String),
    /// A date.
    Date(Date),
    /// A date and time.
    DateTime(DateTime),
    /// A duration.
    Time(Time),
}

impl Condition {
    /// Binds it to a definition.
    ///
    /// # Errors
    /// `Configuration` for a column that is not there, and a literal that its type cannot be compared with.
    pub fn bind(&self, schema: &TableSchema) -> Result<Bound> {
        let all = |conditions: &[Self]| -> Result<Vec<Bound>> {
            conditions.iter().map(|one| one.bind(schema)).collect()
        };
        Ok(match self {
            Self::All(conditions) => Bound::All(all(conditions)?),
            Self::Any(conditions) => Bound::Any(all(conditions)?),
            Self::Not(condition) => Bound::Not(Box::new(condition.bind(schema)?)),
            Self::IsNull(column) => Bound::IsNull(column_of(schema, column)?),
            Self::Compare(column, comparison, literals) => {
                let at = column_of(schema, column)?;
                let data_type = &schema.columns[at].data_type;
                let value = |literal: &Literal| {
                    literal.value(data_type).ok_or_else(|| {
                        Error::new(
                            ErrorKind::Configuration,
                            format!("`{column}` cannot be compared with {}", literal.text()),
                        )
                        .with("table", &schema.name)
                        .with("type", format!("{data_type:?}"))
                        .hint("compare numbers with numbers, text with 'text', dates with '2026-11-21' or '2026-11-21 12:00:00'")
                    })
                };
                let values: Result<Vec<Value>> = literals.iter().map(value).collect();
                Bound::Compare(at, *comparison, values?)
            }
        })
    }

    /// The columns that it looks at.
    pub fn columns(&self, found: &mut Vec<String>) {
        match self {
            Self::All(conditions) | Self::Any(conditions) => {
                for condition in conditions {
                    condition.columns(found);
                }
            }
            Self::Not(condition) => condition.columns(found),
            Self::Compare(column, ..) | Self::IsNull(column) => found.push(column.clone()),
        }
    }
}

/// The place of a column, by its name in any letter case.
///
/// # Errors
/// `NotFound`, with those that are there.
pub(crate) fn column_of(schema: &TableSchema, name: &str) -> Result<usize> {
    let wanted = name.to_lowercase();
    let mut columns = schema.columns.iter();
    columns
        .position(|column| column.name.to_lowercase() == wanted)
        .ok_or_else(|| {
            let names: Vec<&str> = schema.columns.iter().map(|column| &*column.name).collect();
            Error::new(
                ErrorKind::NotFound,
                format!("the table has no column `{name}`"),
            )
            .with("table", &schema.name)
            .with("columns", names.join(", "))
            .hint("name one that is there in the fold's definition")
        })
}

impl Literal {
    fn text(&self) -> String {
        match self {
            Self::Number(digits) => digits.clone(),
            Self::Text(text) => format!("'{text}'"),
        }
    }

    fn value(&self, data_type: &DataType) -> Option<Value> {
        match (self, data_type) {
            (
                Self::Number(digits),
                DataType::Integer { .. }
                | DataType::Bit
                | DataType::Year
                | DataType::Float
                | DataType::Double
                | DataType::Decimal { .. },
            ) => Some(match digits.parse() {
                Ok(integer) => Value::Integer(integer),
                Err(_) => Value::Number(digits.clone(), digits.parse().ok()?),
            }),
            (Self::Text(text), DataType::Text | DataType::Enum(_) | DataType::Set(_)) => {
                Some(Value::Text(text.clone()))
            }
            (Self::Text(text), DataType::Date) => Date::parse(text).map(Value::Date),
            (Self::Text(text), DataType::DateTime(_) | DataType::Timestamp(_)) => {
                let day = Date::parse(text).map(|date| DateTime {
                    date,
                    ..DateTime::default()
                });
                DateTime::parse(text).or(day).map(Value::DateTime)
            }
            (Self::Text(text), DataType::Time(_)) => Time::parse(text).map(Value::Time),
            _ => None,
        }
    }
}

impl Bound {
    /// Whether it holds of an image.
    #[must_use]
    pub fn holds(&self, image: &Image<'_>) -> bool {
        self.truth(image) == Some(true)
    }

    /// True, false, or neither.
    fn truth(&self, image: &Image<'_>) -> Option<bool> {
        match self {
            Self::All(bounds) => {
                let mut all = Some(true);
                for bound in bounds {
                    match bound.truth(image) {
                        Some(false) => return Some(false),
                        None => all = None,
                        Some(true) => {}
                    }
                }
                all
            }
            Self::Any(bounds) => {
                let mut any = Some(false);
                for bound in bounds {
                    match bound.truth(image) {
                        Some(true) => return Some(true),
                        None => any = None,
                        Some(false) => {}
                    }
                }
                any
            }
            Self::Not(bound) => bound.truth(image).map(|truth| !truth),
            Self::IsNull(at) => Some(matches!(image.cell(*at), Cell::Null | Cell::Absent)),
            Self::Compare(at, comparison, values) => {
                let cell = image.cell(*at);
                if matches!(cell, Cell::Null | Cell::Absent) {
                    return None;
                }
                let holds = |value: &Value| {
                    value
                        .against(cell)
                        .is_some_and(|order| comparison.holds(order))
                };
                Some(values.iter().any(holds))
            }
        }
    }
}

impl Value {
    /// How a cell stands to it.
    fn against(&self, cell: Cell<'_>) -> Option<Ordering> {
        match (cell, self) {
            (Cell::Int(cell), Self::Integer(value)) => Some(i128::from(cell).cmp(value)),
            (Cell::UInt(cell), Self::Integer(value)) => Some(i128::from(cell).cmp(value)),
            (Cell::Float(cell), value) => f64::from(cell).partial_cmp(&value.float()?),
            (Cell::Double(cell), value) => cell.partial_cmp(&value.float()?),
            (Cell::Int(cell), Self::Number(digits, _)) => {
                Some(digits_order(&cell.to_string(), digits))
            }
            (Cell::UInt(cell), Self::Number(digits, _)) => {
                Some(digits_order(&cell.to_string(), digits))
            }
            (Cell::Decimal(cell), Self::Integer(value)) => {
                Some(digits_order(cell, &value.to_string()))
            }
            (Cell::Decimal(cell), Self::Number(digits, _)) => Some(digits_order(cell, digits)),
            (Cell::Text(cell) | Cell::Set(cell), Self::Text(value)) => Some(cell.cmp(value)),
            (Cell::Date(cell), Self::Date(value)) => Some(cell.cmp(value)),
            (Cell::DateTime(cell) | Cell::Timestamp(cell), Self::DateTime(value)) => {
                let moment = |time: DateTime| DateTime { digits: 0, ..time };
                Some(moment(cell).cmp(&moment(*value)))
            }
            (Cell::Time(cell), Self::Time(value)) => Some(cell.as_micros().cmp(&value.as_micros())),
            _ => None,
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "compared with a float, it is one"
    )]
    fn float(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Number(_, value) => Some(*value),
            _ => None,
        }
    }
}

/// The order of two numbers in plain digits, of any length.
fn digits_order(a: &str, b: &str) -> Ordering {
    fn parts(text: &str) -> (bool, &str, &str) {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (
            whole.trim_start_matches('0'),
            fraction.trim_end_matches('0'),
        );
        let is_zero = whole.is_empty() && fraction.is_empty();
        (negative && !is_zero, whole, fraction)
    }
    let ((minus_a, whole_a, fraction_a), (minus_b, whole_b, fraction_b)) = (parts(a), parts(b));
    let size = || {
        let whole = whole_a
            .len()
            .cmp(&whole_b.len())
            .then_with(|| whole_a.cmp(whole_b));
        whole.then_with(|| fraction_a.cmp(fraction_b))
    };
    match (minus_a, minus_b) {
        (false, false) => size(),
        (true, true) => size().reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests;
