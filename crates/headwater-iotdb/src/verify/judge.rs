//! Whether a place is as it should be, and why it may rightly be otherwise.

use super::content::{Held, Place};
use super::{Kind, Reason};
use crate::config::{DeletePolicy, Policy, UpdatePolicy};

/// A field whose value differs: its number, the source's value and IoTDB's.
pub(super) type Differs = (usize, Option<Held>, Option<Held>);

/// What was found at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) kind: Kind,
    pub(super) fields: Vec<Differs>,
    /// Why it is no failure.
    pub(super) reason: Option<Reason>,
}

/// What bears on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) policy: Policy,
    /// A condition or a filter bounds the source's rows.
    pub(super) is_bounded: bool,
    /// Several rows may have one place, of which nothing is ever deleted.
    pub(super) has_duplicates: bool,
}

impl Rules {
    /// Why points may stand where no row has them, or others.
    pub(super) fn of_left(self, kind: Kind) -> Option<Reason> {
        let updates_ignored = self.policy.update == UpdatePolicy::Ignore;
        match kind {
            Kind::Missing => None,
            Kind::Extra if self.policy.delete == DeletePolicy::Ignore => {
                Some(Reason::DeletesIgnored)
            }
            _ if updates_ignored => Some(Reason::UpdatesIgnored),
            _ if self.has_duplicates => Some(Reason::DuplicatesLeft),
            Kind::Extra if self.is_bounded => Some(Reason::RowsBounded),
            Kind::Extra | Kind::Differs => None,
        }
    }
}

/// Judges a place; none: both sides are the same. Where several rows of the source have one place, IoTDB may hold each field of
/// any of them.
pub(super) fn judge(place: &Place, rules: Rules) -> Option<Verdict> {
    let width = place
        .points
        .len()
        .max(place.rows.first().map_or(0, |row| row.values.len()));
    let mut fields: Vec<Differs> = Vec::new();
    let (mut has_value, mut has_wrong) = (false, false);
    for at in 0..width {
        let point = place.points.get(at).and_then(Option::as_ref);
        let values = place.rows.iter();
        let values: Vec<&Held> = values
            .filter_map(|row| row.values.get(at)?.as_ref())
            .collect();
        has_value |= !values.is_empty();
        let is_right = match point {
            Some(point) => values.contains(&point),
            None => values.is_empty(),
        };
        // Of rows that were not kept nothing is known.
        if is_right || place.more_rows > 0 {
            continue;
        }
        has_wrong |= !values.is_empty();
        fields.push((
            at,
            values.first().map(|value| (*value).clone()),
            point.cloned(),
        ));
    }
    if fields.is_empty() {
        return None;
    }
    let has_points = place.points.iter().any(Option::is_some);
    let kind = match (place.rows.is_empty(), has_value && !has_points) {
        (true, _) => Kind::Extra,
        (false, true) => Kind::Missing,
        (false, false) => Kind::Differs,
    };
    // No policy takes a value away that a row has; an update that is ignored may have brought it.
    let is_lost = fields
        .iter()
        .any(|(_, source, point)| source.is_some() && point.is_none());
    let reason = match rules.of_left(kind) {
        _ if place.refused.is_some() && !has_wrong => Some(Reason::RowRefused),
        Some(Reason::DuplicatesLeft) if is_lost => None,
        reason => reason,
    };
    Some(Verdict {
        kind,
        fields,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::content::SourceRow;
    use super::*;

    fn held(text: &str) -> Option<Held> {
        (text != "-").then(|| Held::new(text.as_bytes()))
    }

    fn place(rows: &[[&str; 2]], points: &[&str]) -> Place {
        let mut place = Place {
            points: points.iter().map(|text| held(text)).collect(),
            ..Place::default()
        };
        for row in rows {
            place.add_row(SourceRow {
                key: Map::new(),
                values: row.iter().map(|text| held(text)).collect(),
            });
        }
        place
    }

    const STRICTLY: Rules = Rules {
        policy: Policy {
            update: UpdatePolicy::Overwrite,
            delete: DeletePolicy::Delete,
        },
        is_bounded: false,
        has_duplicates: false,
    };

    fn kind(place: &Place) -> Option<(Kind, Vec<usize>)> {
        let verdict = judge(place, STRICTLY)?;
        assert_eq!(verdict.reason, None);
        Some((
            verdict.kind,
            verdict.fields.iter().map(|field| field.0).collect(),
        ))
    }

    #[test]
    fn each_kind_of_difference_is_told_with_its_fields() {
        assert_eq!(kind(&place(&[["a", "b"]], &["a", "b"])), None);
        assert_eq!(kind(&place(&[["a", "-"]], &["a", "-"])), None);
        assert_eq!(
            kind(&place(&[["-", "-"]], &[])),
            None,
            "a row without a point"
        );
        assert_eq!(
            kind(&place(&[["a", "b"]], &["a", "c"])),
            Some((Kind::Differs, vec![1]))
        );
        assert_eq!(
            kind(&place(&[["a", "b"]], &["-", "b"])),
            Some((Kind::Differs, vec![0]))
        );
        assert_eq!(
            kind(&place(&[["a", "-"]], &["a", "c"])),
            Some((Kind::Differs, vec![1]))
        );
        assert_eq!(
            kind(&place(&[["-", "-"]], &["a", "-"])),
            Some((Kind::Differs, vec![0]))
        );
        assert_eq!(
            kind(&place(&[["a", "-"]], &[])),
            Some((Kind::Missing, vec![0]))
        );
        assert_eq!(kind(&place(&[], &["-", "b"])), Some((Kind::Extra, vec![1])));
    }

    #[test]
    fn of_rows_with_one_place_any_may_be_the_last() {
        let rows = [["a", "-"], ["b", "x"]];
        for points in [["a", "x"], ["b", "x"]] {
            assert_eq!(kind(&place(&rows, &points)), None);
        }
        assert_eq!(
            kind(&place(&rows, &["c", "x"])),
            Some((Kind::Differs, vec![0]))
        );
        assert_eq!(
            kind(&place(&rows, &["a", "-"])),
            Some((Kind::Differs, vec![1]))
        );
    }

    #[test]
    fn what_a_policy_leaves_behind_is_no_failure() {
        let rules = |update, delete, is_bounded| Rules {
            policy: Policy { update, delete },
            is_bounded,
            has_duplicates: false,
        };
        let extra = place(&[], &["a", "-"]);
        let differs = place(&[["a", "b"]], &["c", "b"]);
        let missing = place(&[["a", "b"]], &[]);
        use {DeletePolicy as Delete, UpdatePolicy as Update};
        let reason = |place: &Place, rules| judge(place, rules).unwrap().reason;
        let default = rules(Update::Overwrite, Delete::Ignore, false);
        assert_eq!(reason(&extra, default), Some(Reason::DeletesIgnored));
        assert_eq!(reason(&differs, default), None);
        let no_updates = rules(Update::Ignore, Delete::Delete, false);
        assert_eq!(reason(&extra, no_updates), Some(Reason::UpdatesIgnored));
        assert_eq!(reason(&differs, no_updates), Some(Reason::UpdatesIgnored));
        let bounded = rules(Update::Overwrite, Delete::Delete, true);
        assert_eq!(reason(&extra, bounded), Some(Reason::RowsBounded));
        let duplicates = Rules {
            has_duplicates: true,
            ..STRICTLY
        };
        assert_eq!(reason(&extra, duplicates), Some(Reason::DuplicatesLeft));
        assert_eq!(reason(&differs, duplicates), Some(Reason::DuplicatesLeft));
        let lost = place(&[["a", "b"]], &["a", "-"]);
        assert_eq!(reason(&lost, duplicates), None, "a row has it");
        for rules in [default, no_updates, bounded, duplicates] {
            assert_eq!(reason(&missing, rules), None);
        }
        let refused = Place {
            refused: Some(Map::new()),
            ..extra
        };
        assert_eq!(reason(&refused, STRICTLY), Some(Reason::RowRefused));
    }
}
