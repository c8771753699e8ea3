//! Columns that are left out (`exclude_columns`): `password, /^tmp_/`.

use std::fmt;

use headwater_core::filter::Pattern;

/// Names and expressions of columns, of whatever table. A name is meant in any letter case, as the server takes it; an
/// expression has to match the whole name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    text: String,
    patterns: Vec<Pattern>,
}

/// Why a text names no columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadColumns(String);

impl fmt::Display for BadColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadColumns {}

impl Columns {
    /// Reads names and `/expressions/` with commas between them.
    ///
    /// # Errors
    /// An empty name, or an expression that is none or does not end.
    pub fn parse(text: &str) -> Result<Self, BadColumns> {
        let mut patterns = Vec::new();
        for part in parts(text) {
            let part = part.trim();
            let expression = part
                .strip_prefix('/')
                .map(|rest| rest.strip_suffix('/').filter(|_| part.len() > 1));
            patterns.push(match expression {
                Some(Some(inner)) => Pattern::expression(&format!("^(?:{inner})$"))
                    .map_err(|error| BadColumns(error.message().to_owned()))?,
                Some(None) => {
                    return Err(BadColumns(format!("the expression `{part}` does not end")));
                }
                None if part.is_empty() => {
                    return Err(BadColumns("a column's name is empty".into()));
                }
                None => Pattern::Name(part.to_lowercase()),
            });
        }
        Ok(Self {
            text: text.to_owned(),
            patterns,
        })
    }

    /// Whether none is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a column of this name is left out.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.patterns.iter().any(|pattern| match pattern {
            Pattern::Name(name) => *name == column.to_lowercase(),
            pattern => pattern.matches(column),
        })
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What stands between the commas that are in no expression.
fn parts(text: &str) -> Vec<&str> {
    let (mut in_expression, mut is_escaped, mut is_start) = (false, false, true);
    text.split(move |letter: char| {
        let is_end = letter == ',' && !in_expression;
        if letter == '/' && !is_escaped && (is_start || in_expression) {
            in_expression = !in_expression;
        }
        is_escaped = letter == '\\' && !is_escaped;
        is_start = is_end || is_start && letter.is_whitespace();
        is_end
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_meant_in_any_letter_case_and_expressions_as_a_whole() {
        let columns = Columns::parse(r"Password, /tmp_[a-z]{1,2}/,/a\/b,c/").unwrap();
        for column in ["password", "PASSWORD", "tmp_ab", "a/b,c"] {
            assert!(columns.has(column), "{column}");
        }
        for column in ["password2", "my_tmp_ab", "tmp_abc", "a"] {
            assert!(!columns.has(column), "{column}");
        }
    }

    #[test]
    fn what_names_no_column_is_refused() {
        for bad in ["", "a,,b", "a, /b", "/", "/(/"] {
            assert!(Columns::parse(bad).is_err(), "{bad}");
        }
    }
}
