//! Filters: which tables and rows are streamed, by Maxwell's rules.
//!
//! ```text
//! exclude: *.*, include: shop./^orders/, exclude: shop.orders.state=draft
//! ```
//!
//! Rules are looked at in order and the last one that matches wins; without one, a row is included. A rule about a table
//! decides over all its rows; a rule with a column only over rows whose column has that value. So one decision a definition
//! ([`Filter::of_table`]) is enough for most tables, and a row is looked at only where a rule with a column is left.
//!
//! A source is given the filter for whole tables ([`Filter::may_pass`]), so that what is excluded is never asked for. The
//! engine applies the rest where rows go out (`engine::sieve`).

mod parse;
mod pattern;
mod row;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use pattern::Pattern;
pub use row::{RowRule, TableRule, TextOf, Updates};

use crate::error::Error;
use crate::schema::{TableName, TableSchema};

/// What a rule does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It goes out.
    Include,
    /// It does not.
    Exclude,
    /// The same as [`Action::Exclude`]. Maxwell also stops to follow the table's definition; here that has no price.
    Blacklist,
}

impl Action {
    /// Maxwell's keyword.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Include => "include",
            Self::Exclude => "exclude",
            Self::Blacklist => "blacklist",
        }
    }

    const fn includes(self) -> bool {
        matches!(self, Self::Include)
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// The databases it is about.
    pub database: Pattern,
    /// The tables it is about.
    pub table: Pattern,
    /// The column and the values it is about; none: the table as a whole.
    pub column: Option<(String, Pattern)>,
}

impl Rule {
    fn is_about(&self, table: &TableName) -> bool {
        self.database.matches(&table.database) && self.table.matches(&table.table)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, database, table) = (self.action.word(), &self.database, &self.table);
        write!(f, "{action}: {database}.{table}")?;
        match &self.column {
            Some((column, value)) => {
                write!(f, ".{}={value}", Pattern::Name(column.clone()))
            }
            None => Ok(()),
        }
    }
}

/// Rules in order. It is read from, and printed as, Maxwell's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    rules: Vec<Rule>,
}

impl Filter {
    /// A filter of these rules.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// The rules in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The same for a source that has the names of databases and tables in lower case, and takes no heed of the letter case in
    /// which they are asked for.
    #[must_use]
    pub fn folded(&self) -> Self {
        let folded = |rule: &Rule| Rule {
            database: rule.database.folded(),
            table: rule.table.folded(),
            ..rule.clone()
        };
        Self::new(self.rules.iter().map(folded).collect())
    }

    /// Whether there is no rule, so that everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether some rule looks at rows.
    #[must_use]
    pub fn looks_at_rows(&self) -> bool {
        self.rules.iter().any(|rule| rule.column.is_some())
    }

    /// Whether some row of the table may pass, as far as its name tells.
    #[must_use]
    pub fn may_pass(&self, table: &TableName) -> bool {
        let (is_included, rest) = self.of_name(table);
        let mut rest = rest.iter().filter(|rule| rule.is_about(table));
        is_included || rest.any(|rule| rule.action.includes())
    }

    /// What the rules mean for the rows of a table.
    #[must_use]
    pub fn of_table(&self, schema: &TableSchema) -> TableRule {
        let (is_included, rest) = self.of_name(&schema.name);
        let of_column = |rule: &Rule| {
            let (column, values) = rule.column.as_ref()?;
            // The server takes no heed of the letter case of a column's name.
            let wanted = column.to_lowercase();
            let mut columns = schema.columns.iter();
            let index = columns.position(|known| known.name.to_lowercase() == wanted)?;
            Some(RowRule::new(index, values.clone(), rule.action.includes()))
        };
        let rules: Vec<RowRule> = rest
            .iter()
            .filter(|rule| rule.is_about(&schema.name))
            .filter_map(of_column)
            .collect();
        if rules.iter().all(|rule| rule.includes() == is_included) {
            return if is_included {
                TableRule::All
            } else {
                TableRule::None
            };
        }
        TableRule::ByRow { is_included, rules }
    }

    /// What the last rule about the whole table says, and the rules behind it: no earlier one counts.
    fn of_name(&self, table: &TableName) -> (bool, &[Rule]) {
        let is_whole = |rule: &Rule| rule.column.is_none() && rule.is_about(table);
        match self.rules.iter().rposition(is_whole) {
            Some(at) => (
                self.rules[at].action.includes(),
                self.rules.get(at + 1..).unwrap_or_default(),
            ),
            None => (true, &self.rules),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{rule}")?;
        }
        Ok(())
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse::parse(text).map(Self::new)
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
