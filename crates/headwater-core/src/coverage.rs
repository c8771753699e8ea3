//! Coverage: which key ranges of a table were read, and at which cut. In a first copy a change goes out only where its
//! row is covered by a cut that lies before it; everything else is dropped, for its own cut will contain it.

use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyRange};

/// The number of a cut within its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CutId(pub u32);

impl CutId {
    /// Every cut that the log has passed: what was read there is simply covered.
    pub const PASSED: Self = Self(0);
}

/// What one table has been read of: consecutive segments, from the lowest key to the highest. Segment `i` holds the keys
/// after bound `i - 1` (none: from the beginning) up to and including bound `i` (none: to the end).
///
/// Bounds are in the source's own order, which the client need not know: segments are cut and marked by equality of
/// bounds only, and finding a key's segment is left to the caller's comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCoverage {
    bounds: Vec<Key>,
    segments: Vec<Option<CutId>>,
}

impl TableCoverage {
    /// Nothing read yet.
    #[must_use]
    pub fn unread() -> Self {
        Self {
            bounds: Vec::new(),
            segments: vec![None],
        }
    }

    /// All read at `cut`.
    #[must_use]
    pub fn read_at(cut: CutId) -> Self {
        Self {
            bounds: Vec::new(),
            segments: vec![Some(cut)],
        }
    }

    /// The bounds between segments, ascending in the source's order.
    #[must_use]
    pub fn bounds(&self) -> &[Key] {
        &self.bounds
    }

    /// The cut at which the segment at `index` was read.
    #[must_use]
    pub fn segment(&self, index: usize) -> Option<CutId> {
        self.segments.get(index).copied().flatten()
    }

    /// The cut of every key, if the whole table was read at one and the same.
    #[must_use]
    pub fn whole(&self) -> Option<CutId> {
        match self.segments.as_slice() {
            [one] => *one,
            _ => None,
        }
    }

    /// Whether every key was read at some cut.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.segments.iter().all(Option::is_some)
    }

    /// Whether no key was read yet.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.segments.iter().all(Option::is_none)
    }

    /// The ranges not read yet, ascending.
    #[must_use]
    pub fn unread_ranges(&self) -> Vec<KeyRange> {
        let unread = |index: &usize| self.segments[*index].is_none();
        (0..self.segments.len())
            .filter(unread)
            .map(|index| self.range(index))
            .collect()
    }

    /// The first of the ranges not read yet.
    #[must_use]
    pub fn first_unread(&self) -> Option<KeyRange> {
        let first = self.segments.iter().position(Option::is_none);
        first.map(|index| self.range(index))
    }

    fn range(&self, index: usize) -> KeyRange {
        let after = index
            .checked_sub(1)
            .and_then(|before| self.bounds.get(before))
            .cloned();
        KeyRange {
            after,
            up_to: self.bounds.get(index).cloned(),
        }
    }

    /// Cuts a segment in two where a split ends: `range` begins at a known bound (or none), and its upper bound lies within
    /// the segment that begins there. Says whether the lower bound was found.
    pub fn plan(&mut self, range: &KeyRange) -> bool {
        let Some(start) = self.start_of(range) else {
            return false;
        };
        if let Some(up_to) = &range.up_to
            && range.up_to != range.after
            && !self.bounds[start..].contains(up_to)
        {
            self.bounds.insert(start, up_to.clone());
            self.segments.insert(start, self.segments[start]);
        }
        true
    }

    fn start_of(&self, range: &KeyRange) -> Option<usize> {
        match &range.after {
            None => Some(0),
            Some(after) => self
                .bounds
                .iter()
                .position(|bound| bound == after)
                .map(|at| at + 1),
        }
    }

    /// The log has passed `cut`: what was read there no longer needs to be told apart.
    pub fn settle(&mut self, cut: CutId) {
        for segment in &mut self.segments {
            if *segment == Some(cut) {
                *segment = Some(CutId::PASSED);
            }
        }
        self.merge();
    }

    /// Whether anything was read at a cut that the log has passed: whether the target may hold rows that the log speaks of.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.segments.contains(&Some(CutId::PASSED))
    }

    /// Marks `range` as read at `cut`. Its lower bound is a bound that is known already (or none); its upper bound is
    /// one too, or lies within the segment that begins there. Says whether the range was found.
    pub fn mark(&mut self, range: &KeyRange, cut: CutId) -> bool {
        if range.up_to.is_some() && range.up_to == range.after {
            // No key lies in it, and its bound may have gone already: its neighbours were joined.
            return true;
        }
        if !self.plan(range) {
            return false;
        }
        let Some(start) = self.start_of(range) else {
            return false;
        };
        let end = match &range.up_to {
            None => self.segments.len() - 1,
            Some(up_to) => {
                let offset = self.bounds[start..].iter().position(|bound| bound == up_to);
                start + offset.unwrap_or(0)
            }
        };
        self.segments[start..=end].fill(Some(cut));
        self.merge();
        true
    }

    /// Joins neighbours that were read at the same cut, so that the list stays as short as what it says.
    fn merge(&mut self) {
        let mut index = 0;
        while index + 1 < self.segments.len() {
            if self.segments[index].is_some() && self.segments[index] == self.segments[index + 1] {
                self.segments.remove(index + 1);
                self.bounds.remove(index);
            } else {
                index += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyValue;

    fn key(value: i64) -> Key {
        Key(vec![KeyValue::Int(value)])
    }

    fn range(after: Option<i64>, up_to: Option<i64>) -> KeyRange {
        KeyRange {
            after: after.map(key),
            up_to: up_to.map(key),
        }
    }

    #[test]
    fn progress_within_splits_leaves_exactly_the_rest() {
        let mut table = TableCoverage::unread();
        let cut = CutId(0);
        assert!(table.mark(&range(None, Some(10)), cut));
        assert!(table.mark(&range(Some(10), Some(25)), cut));
        assert_eq!(table.unread_ranges(), [range(Some(25), None)]);
        assert!(
            !table.mark(&range(Some(99), None), cut),
            "a bound that is not known is refused"
        );
        assert!(table.mark(&range(Some(25), None), CutId(1)));
        assert!(table.is_complete());
        assert_eq!(table.whole(), None);
        assert_eq!(
            (table.bounds(), table.segment(0), table.segment(1)),
            (&[key(25)][..], Some(cut), Some(CutId(1)))
        );
    }

    #[test]
    fn a_split_that_ends_without_another_row_is_read_though_its_bound_has_gone() {
        let mut table = TableCoverage::unread();
        assert!(table.plan(&range(None, Some(10))));
        assert!(table.mark(&range(Some(10), None), CutId(0)));
        assert!(table.mark(&range(None, Some(10)), CutId(0)));
        assert!(table.mark(&range(Some(10), Some(10)), CutId(0)));
        assert_eq!(table.whole(), Some(CutId(0)));
    }

    #[test]
    fn parallel_splits_join_when_their_gap_closes() {
        let mut table = TableCoverage::unread();
        assert!(table.plan(&range(None, Some(10))));
        assert!(table.plan(&range(Some(10), Some(20))));
        assert!(table.mark(&range(Some(10), Some(15)), CutId(0)));
        assert!(table.mark(&range(Some(20), None), CutId(0)));
        assert_eq!(
            table.unread_ranges(),
            [range(None, Some(10)), range(Some(15), Some(20))]
        );
        assert!(table.mark(&range(None, Some(10)), CutId(0)));
        assert!(table.mark(&range(Some(15), Some(20)), CutId(0)));
        assert_eq!(table.whole(), Some(CutId(0)));
    }
}
