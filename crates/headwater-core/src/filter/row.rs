//! What a filter means for the rows of one definition.

use super::Pattern;
use crate::batch::{ChangeKind, Image, Row, Verdict};
use crate::value::Cell;

/// What becomes of the rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableRule {
    /// All go out.
    All,
    /// None does.
    None,
    /// Each row says by its columns. The last rule that matches wins.
    ByRow {
        /// Whether a row goes out that no rule matches.
        is_included: bool,
        /// The rules in order.
        rules: Vec<RowRule>,
    },
}

/// A rule about the value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRule {
    column: usize,
    values: Values,
    includes: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Values {
    Any,
    /// NULL, and the texts `null` and `NULL`.
    Null,
    Like(Pattern),
}

/// What an update is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Updates {
    /// Both images: a row that leaves what passes goes out as a delete, and one that enters it as an insert.
    #[default]
    Split,
    /// The new image only, as Maxwell does: whoever keeps the rows keeps those that left.
    NewRow,
}

/// Appends the text of a value, as an event shows it but without quotes. NULL has none.
pub type TextOf = fn(&mut Vec<u8>, &Cell<'_>);

impl RowRule {
    pub(super) fn new(column: usize, pattern: Pattern, includes: bool) -> Self {
        let values = match pattern {
            Pattern::Any => Values::Any,
            pattern if pattern.is_null() => Values::Null,
            pattern => Values::Like(pattern),
        };
        Self {
            column,
            values,
            includes,
        }
    }

    /// Whether what it matches goes out.
    #[must_use]
    pub fn includes(&self) -> bool {
        self.includes
    }

    /// Whether it matches. A column that neither image holds is not there.
    fn matches(
        &self,
        image: &Image<'_>,
        other: Option<&Image<'_>>,
        text_of: TextOf,
        text: &mut Vec<u8>,
    ) -> bool {
        let mut cell = image.cell(self.column);
        if matches!(cell, Cell::Absent)
            && let Some(other) = other
        {
            cell = other.cell(self.column);
        }
        match (&self.values, &cell) {
            (_, Cell::Absent) => false,
            (Values::Any, _) | (Values::Null, Cell::Null | Cell::Text("null" | "NULL")) => true,
            (Values::Null, _) | (Values::Like(_), Cell::Null) => false,
            (Values::Like(pattern), cell) => {
                text.clear();
                text_of(text, cell);
                pattern.matches(&String::from_utf8_lossy(text))
            }
        }
    }
}

impl TableRule {
    /// What becomes of `row`. `text` is memory for the texts of values.
    #[must_use]
    pub fn verdict(
        &self,
        row: &Row<'_>,
        updates: Updates,
        text_of: TextOf,
        text: &mut Vec<u8>,
    ) -> Verdict {
        let (is_included, rules) = match self {
            Self::All => return Verdict::Keep,
            Self::None => return Verdict::Drop,
            Self::ByRow { is_included, rules } => (*is_included, rules),
        };
        let mut passes = |image: &Image<'_>, other: Option<&Image<'_>>| {
            let matching = rules
                .iter()
                .rfind(|rule| rule.matches(image, other, text_of, text));
            matching.map_or(is_included, RowRule::includes)
        };
        let keep_if = |passes| {
            if passes { Verdict::Keep } else { Verdict::Drop }
        };
        match (row.kind(), row.before(), row.after()) {
            (ChangeKind::Update, Some(before), Some(after)) => {
                let is_in = passes(&after, Some(&before));
                if updates == Updates::NewRow {
                    return keep_if(is_in);
                }
                match (passes(&before, None), is_in) {
                    (true, false) => Verdict::AsDelete,
                    (false, true) => Verdict::AsInsert,
                    (_, is_in) => keep_if(is_in),
                }
            }
            (_, before, Some(after)) => keep_if(passes(&after, before.as_ref())),
            (_, Some(before), None) => keep_if(passes(&before, None)),
            // What has no image is about the whole table, of which some rows may be out.
            (_, None, None) => Verdict::Keep,
        }
    }
}
