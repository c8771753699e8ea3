//! Rows that are appended to a tablet at once, column by column: what a column is made of is chosen once for all of its values,
//! rather than for each.

use super::{Category, Pushed, SeriesType, Tablet, Values, set_null};

impl Values {
    /// Appends a value of the same width for each item, of which the first is in row `row`. `value` gives its bytes, or none for
    /// a null. Says how many are null; none where `value` gives up, with some of them appended.
    pub(crate) fn extend_fixed<T, const N: usize>(
        &mut self,
        row: usize,
        items: &[T],
        mut value: impl FnMut(&T) -> Option<Option<[u8; N]>>,
    ) -> Option<u32> {
        let begin = self.bytes.len();
        // A null holds the place of a value.
        self.bytes.resize(begin + items.len() * N, 0);
        let (places, _) = self.bytes[begin..].as_chunks_mut::<N>();
        let mut nulls = 0;
        for (at, (item, place)) in items.iter().zip(places).enumerate() {
            match value(item)? {
                Some(bytes) => *place = bytes,
                None => {
                    nulls += 1;
                    set_null(&mut self.nulls, row + at);
                }
            }
        }
        Some(nulls)
    }

    /// The same of a type whose width varies: `value` appends it, and says whether there was one.
    pub(crate) fn extend_varied<T>(
        &mut self,
        row: usize,
        items: &[T],
        mut value: impl FnMut(&T, &mut Self) -> Option<bool>,
    ) -> Option<u32> {
        self.bytes.reserve(items.len() * 4);
        self.ends.reserve(items.len());
        let mut nulls = 0;
        for (at, item) in items.iter().enumerate() {
            if !value(item, self)? {
                nulls += 1;
                self.push_null(row + at, SeriesType::Blob);
            }
        }
        Some(nulls)
    }

    /// The bytes of the only value, if it has this width.
    pub(crate) fn only<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes.as_slice().try_into().ok()
    }

    /// Forgets the values, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.nulls.clear();
    }
}

impl Tablet {
    /// Appends rows. `column` appends the values of a column, given its place and the number of rows before these, and says how
    /// many of them are null; `keys` appends the key of each row. The tablet is then as if each row had been pushed by itself.
    /// None where a column gives up, or a row has no field's value: the tablet is as it was.
    pub(crate) fn push_block(
        &mut self,
        times: &[i64],
        keys: impl FnOnce(&mut Values),
        mut column: impl FnMut(usize, usize, &mut Values) -> Option<u32>,
    ) -> Option<Pushed> {
        let rows = self.times.len();
        let bytes = |tablet: &Self| -> usize {
            let columns = tablet.columns.iter();
            columns.map(|values| values.bytes.len()).sum()
        };
        let before = bytes(self);
        let mut pushed = Pushed::default();
        let mut may_lack_points = true;
        for at in 0..self.columns.len() {
            let Some(nulls) = column(at, rows, &mut self.columns[at]) else {
                self.take_back(rows);
                return None;
            };
            if self.layout.columns[at].category == Category::Field {
                #[allow(clippy::cast_possible_truncation, reason = "a batch has few rows")]
                let points = times.len() as u32 - nulls;
                pushed.points += points;
                pushed.nulls += nulls;
                may_lack_points &= nulls > 0;
            }
        }
        if may_lack_points && (rows..rows + times.len()).any(|row| !self.has_point(row)) {
            self.take_back(rows);
            return None;
        }
        self.times.extend_from_slice(times);
        keys(&mut self.keys);
        debug_assert_eq!(self.keys.ends.len(), self.times.len(), "a key for each row");
        self.size_bytes += times.len() * 8 + bytes(self) - before;
        if let Some(places) = &mut self.places {
            #[allow(clippy::cast_possible_truncation, reason = "a tablet has few rows")]
            places.extend((rows as u32..).zip(times).map(|(row, time)| (*time, row)));
        }
        Some(pushed)
    }

    fn has_point(&self, row: usize) -> bool {
        let mut columns = self.columns.iter().zip(&self.layout.columns);
        columns.any(|(values, column)| column.category == Category::Field && !values.is_null(row))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tablet::{Layout, LayoutColumn};

    fn tablet() -> Tablet {
        let column = |name: &str, series_type| LayoutColumn {
            name: name.to_owned(),
            series_type,
            category: Category::Field,
        };
        let columns = vec![
            column("i", SeriesType::Int32),
            column("t", SeriesType::Text),
        ];
        Tablet::new("root.d".into(), Arc::new(Layout { columns }))
    }

    /// A column of four bytes and one of text. The text `no` gives up.
    fn push(tablet: &mut Tablet, rows: &[(Option<i32>, Option<&str>)]) -> Option<Pushed> {
        let times: Vec<i64> = (0..).take(rows.len()).collect();
        let keys = |keys: &mut Values| rows.iter().for_each(|_| keys.push_bytes(b"k"));
        tablet.push_block(&times, keys, |at, before, out| match at {
            0 => out.extend_fixed(before, rows, |row| Some(row.0.map(i32::to_be_bytes))),
            _ => out.extend_varied(before, rows, |row, out| match row.1 {
                Some("no") => None,
                Some(text) => {
                    out.push_bytes(text.as_bytes());
                    Some(true)
                }
                None => Some(false),
            }),
        })
    }

    fn bytes(tablet: &Tablet) -> (Vec<u8>, Vec<u8>, usize, usize) {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        tablet.write_times(&mut times);
        tablet.write_values(&mut values);
        (times, values, tablet.values_length(), tablet.size_bytes())
    }

    #[test]
    fn a_block_that_cannot_be_whole_leaves_no_trace() {
        let mut tablet = tablet();
        let first = [(Some(1), Some("a")), (Some(2), Some("b"))];
        let pushed = push(&mut tablet, &first).unwrap();
        assert_eq!((pushed.points, pushed.nulls), (4, 0));
        let before = bytes(&tablet);
        // The first column has a null by then.
        assert_eq!(
            push(&mut tablet, &[(None, Some("a")), (Some(3), Some("no"))]),
            None
        );
        assert_eq!(bytes(&tablet), before);
        // A row without any value.
        assert_eq!(
            push(&mut tablet, &[(Some(3), Some("a")), (None, None)]),
            None
        );
        assert_eq!(bytes(&tablet), before);
        let pushed = push(&mut tablet, &[(None, Some("c")), (Some(4), None)]).unwrap();
        assert_eq!((pushed.points, pushed.nulls), (2, 2));
        assert_eq!(
            (tablet.value(2, 0), tablet.value(2, 1)),
            (None, Some(&b"c"[..]))
        );
        assert_eq!(tablet.value(3, 0), Some(&4i32.to_be_bytes()[..]));
        assert_eq!(tablet.points(), 6);
    }
}
