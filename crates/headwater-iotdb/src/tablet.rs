//! Tablets: rows of one device (or of one table), column by column, in the bytes that go over the wire.
//!
//! The form is that of apache/tsfile's `Tablet` and of the server's `QueryDataSetUtils`: times as eight bytes each; values
//! column by column, big-endian, a null holding the place of a value; then, if there is any null, for each column a flag and a
//! bit map of `rows / 8 + 1` bytes, lowest bit first. Rows have to be in the order of time.

mod block;

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// The type of a series (apache/tsfile, `TSDataType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "IoTDB's own names")]
pub enum SeriesType {
    Boolean = 0,
    Int32 = 1,
    Int64 = 2,
    Float = 3,
    Double = 4,
    Text = 5,
    Timestamp = 8,
    Date = 9,
    Blob = 10,
    String = 11,
}

impl SeriesType {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Boolean,
        Self::Int32,
        Self::Int64,
        Self::Float,
        Self::Double,
        Self::Text,
        Self::Timestamp,
        Self::Date,
        Self::Blob,
        Self::String,
    ];

    /// The name that IoTDB gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Text => "TEXT",
            Self::Timestamp => "TIMESTAMP",
            Self::Date => "DATE",
            Self::Blob => "BLOB",
            Self::String => "STRING",
        }
    }

    /// Bytes of a value; none where it varies.
    const fn width(self) -> Option<usize> {
        match self {
            Self::Boolean => Some(1),
            Self::Int32 | Self::Float | Self::Date => Some(4),
            Self::Int64 | Self::Double | Self::Timestamp => Some(8),
            Self::Text | Self::Blob | Self::String => None,
        }
    }
}

/// What a column of the table model is for. (apache/tsfile, `ColumnCategory`.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Category {
    /// Part of the device's identity.
    Tag = 0,
    /// A measured value.
    Field = 1,
    /// Says something about the device.
    Attribute = 2,
}

impl Category {
    /// The name that IoTDB gives it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tag => "TAG",
            Self::Field => "FIELD",
            Self::Attribute => "ATTRIBUTE",
        }
    }
}

/// A column of tablets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LayoutColumn {
    /// Its name as it goes over the wire: in back-quotes where the tree model needs them.
    pub(crate) name: String,
    /// Its type.
    pub(crate) series_type: SeriesType,
    /// What it is for; a field in the tree model.
    pub(crate) category: Category,
}

/// The columns that a mapping's tablets have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Layout {
    /// The columns, in the order of their values.
    pub(crate) columns: Vec<LayoutColumn>,
}

/// Rows of one target.
#[derive(Debug, Clone)]
pub(crate) struct Tablet {
    /// The device's path, or the table's name.
    pub(crate) target: Arc<str>,
    pub(crate) layout: Arc<Layout>,
    times: Vec<i64>,
    columns: Vec<Values>,
    /// The key of each row in its source, for whoever has to name it.
    keys: Values,
    /// Where each time stands; kept only once somebody asked.
    places: Option<FxHashMap<i64, u32>>,
    /// Rows that were taken out again.
    removed: Vec<u32>,
    size_bytes: usize,
}

/// The values of one column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    bytes: Vec<u8>,
    /// Where each value ends, of types whose width varies.
    ends: Vec<u32>,
    /// Bits of the rows that are null, up to the last one.
    nulls: Vec<u8>,
}

impl Values {
    pub(crate) fn push_fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes.extend_from_slice(&bytes);
    }

    /// A value of a type whose width varies; bounded by the batch it comes from, far below four gigabytes.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a batch stays far below 2 GiB"
        )]
        {
            self.bytes
                .extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            self.bytes.extend_from_slice(bytes);
            self.ends.push(self.bytes.len() as u32);
        }
    }

    fn push_null(&mut self, row: usize, kind: SeriesType) {
        self.set_null(row);
        match kind.width() {
            Some(width) => self.bytes.resize(self.bytes.len() + width, 0),
            None => self.push_bytes(&[]),
        }
    }

    fn set_null(&mut self, row: usize) {
        set_null(&mut self.nulls, row);
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls
            .get(row / 8)
            .is_some_and(|byte| byte >> (row % 8) & 1 == 1)
    }

    fn cut(&mut self, rows: usize, kind: SeriesType) {
        match kind.width() {
            Some(width) => self.bytes.truncate(rows * width),
            None => {
                self.ends.truncate(rows);
                let end = self.ends.last().map_or(0, |&end| end as usize);
                self.bytes.truncate(end);
            }
        }
        if self.nulls.len() > rows / 8 {
            self.nulls.truncate(rows / 8 + 1);
            self.nulls[rows / 8] &= (1u8 << (rows % 8)).wrapping_sub(1);
        }
        // As if those rows had never been: whether there is any null is told by whether there is any byte.
        while self.nulls.last() == Some(&0) {
            self.nulls.pop();
        }
    }

    /// The bytes of one value, as they go over the wire.
    fn value(&self, row: usize, kind: SeriesType) -> &[u8] {
        &self.bytes[self.begin(row, kind)..self.begin(row + 1, kind)]
    }

    fn append(&mut self, other: &Self, rows: usize, others: usize, kind: SeriesType) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        if kind.width().is_none() {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "a call is bounded far below 2 GiB"
            )]
            self.ends
                .extend(other.ends.iter().map(|end| end + before as u32));
        }
        for row in (0..others).filter(|&row| other.is_null(row)) {
            self.set_null(rows + row);
        }
    }

    /// These rows, in this order: runs of them that follow each other are copied at once.
    fn gather(&self, rows: &[u32], kind: SeriesType) -> Self {
        let mut gathered = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            ..Self::default()
        };
        for run in rows.chunk_by(|a, b| a + 1 == *b) {
            let (Some(&first), Some(&last)) = (run.first(), run.last()) else {
                continue;
            };
            let (first, last) = (first as usize, last as usize);
            let begin = self.begin(first, kind);
            let end = self.begin(last + 1, kind);
            let before = gathered.bytes.len();
            gathered.bytes.extend_from_slice(&self.bytes[begin..end]);
            if kind.width().is_none() {
                #[allow(clippy::cast_possible_truncation, reason = "no more than were there")]
                let moved = |end: &u32| (*end as usize - begin + before) as u32;
                gathered
                    .ends
                    .extend(self.ends[first..=last].iter().map(moved));
            }
        }
        if !self.nulls.is_empty() {
            for (place, &row) in rows.iter().enumerate() {
                if self.is_null(row as usize) {
                    gathered.set_null(place);
                }
            }
        }
        gathered
    }

    /// Where the bytes of a row's value begin; of the one after the last: where they end.
    fn begin(&self, row: usize, kind: SeriesType) -> usize {
        match kind.width() {
            Some(width) => row * width,
            None if row == 0 => 0,
            None => self.ends[row - 1] as usize,
        }
    }
}

fn set_null(nulls: &mut Vec<u8>, row: usize) {
    if nulls.len() <= row / 8 {
        nulls.resize(row / 8 + 1, 0);
    }
    nulls[row / 8] |= 1 << (row % 8);
}

/// A value that a column cannot hold, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The column's place in the layout; none: the row as a whole.
    pub(crate) column: Option<usize>,
    pub(crate) reason: String,
}

/// What a row came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pushed {
    /// Values that are not null.
    pub(crate) points: u32,
    /// Nulls, which are not written.
    pub(crate) nulls: u32,
}

impl Tablet {
    pub(crate) fn new(target: Arc<str>, layout: Arc<Layout>) -> Self {
        let columns = vec![Values::default(); layout.columns.len()];
        Self {
            target,
            layout,
            times: Vec::new(),
            columns,
            keys: Values::default(),
            places: None,
            removed: Vec::new(),
            size_bytes: 0,
        }
    }

    /// The same, with room for about so many rows.
    pub(crate) fn with_room(target: Arc<str>, layout: Arc<Layout>, rows: usize) -> Self {
        /// About what a key takes.
        const KEY_BYTES: usize = 20;
        let mut tablet = Self::new(target, layout);
        tablet.times.reserve(rows);
        let columns = tablet.columns.iter_mut().zip(&tablet.layout.columns);
        for (values, column) in columns {
            match column.series_type.width() {
                Some(width) => values.bytes.reserve(rows * width),
                None => values.ends.reserve(rows),
            }
        }
        tablet.keys.bytes.reserve(rows * KEY_BYTES);
        tablet.keys.ends.reserve(rows);
        tablet
    }

    /// Appends a row. `value` gives each column's value to its [`Values`], and says whether there is one; what it refuses
    /// leaves the tablet as it was. A row without any field's value is not kept.
    pub(crate) fn push(
        &mut self,
        time: i64,
        key: &[u8],
        mut value: impl FnMut(usize, &mut Values) -> Result<bool, String>,
    ) -> Result<Pushed, Refused> {
        let row = self.times.len();
        let mut pushed = Pushed::default();
        let mut size = 8;
        for (at, column) in self.layout.columns.iter().enumerate() {
            let values = &mut self.columns[at];
            let before = values.bytes.len();
            let is_field = column.category == Category::Field;
            match value(at, values) {
                Ok(true) => pushed.points += u32::from(is_field),
                Ok(false) => {
                    pushed.nulls += u32::from(is_field);
                    values.push_null(row, column.series_type);
                }
                Err(reason) => {
                    self.take_back(row);
                    return Err(Refused {
                        column: Some(at),
                        reason,
                    });
                }
            }
            size += self.columns[at].bytes.len() - before;
        }
        if pushed.points == 0 {
            self.take_back(row);
            return Ok(pushed);
        }
        self.times.push(time);
        self.keys.push_bytes(key);
        self.size_bytes += size;
        if let Some(places) = &mut self.places {
            #[allow(clippy::cast_possible_truncation, reason = "a tablet has few rows")]
            places.insert(time, row as u32);
        }
        Ok(pushed)
    }

    fn take_back(&mut self, rows: usize) {
        for (values, column) in self.columns.iter_mut().zip(&self.layout.columns) {
            values.cut(rows, column.series_type);
        }
    }

    /// Takes the rows of a time out, if there are any: they must not be written, or not any more.
    pub(crate) fn remove(&mut self, time: i64) {
        #[allow(clippy::cast_possible_truncation, reason = "a tablet has few rows")]
        let places = self.places.get_or_insert_with(|| {
            let times = self.times.iter().enumerate();
            times.map(|(row, &time)| (time, row as u32)).collect()
        });
        if places.remove(&time).is_none() {
            return;
        }
        let rows = self.times.iter().enumerate();
        #[allow(clippy::cast_possible_truncation, reason = "a tablet has few rows")]
        self.removed.extend(
            rows.filter(|(_, found)| **found == time)
                .map(|(row, _)| row as u32),
        );
    }

    /// Puts the rows into the order of time. Rows with the same time become one, each column with its last value: as IoTDB
    /// would have it, had they been written one after the other.
    pub(crate) fn finish(&mut self) {
        let is_ordered = self.times.windows(2).all(|pair| pair[0] < pair[1]);
        if is_ordered && self.removed.is_empty() {
            return;
        }
        self.removed.sort_unstable();
        self.removed.dedup();
        let removed = &self.removed;
        #[allow(clippy::cast_possible_truncation, reason = "a tablet has few rows")]
        let mut rows: Vec<u32> = (0..self.times.len() as u32)
            .filter(|row| removed.binary_search(row).is_err())
            .collect();
        rows.sort_by_key(|&row| self.times[row as usize]);
        let same_time = |a: &u32, b: &u32| self.times[*a as usize] == self.times[*b as usize];
        let groups: Vec<&[u32]> = rows.chunk_by(same_time).collect();
        let last = |group: &[u32]| group[group.len() - 1];
        let kept: Vec<u32> = groups.iter().map(|group| last(group)).collect();
        let mut finished = self.only(&kept);
        if kept.len() < rows.len() {
            let columns = self.columns.iter().zip(&self.layout.columns);
            finished.columns = columns
                .map(|(values, column)| {
                    let with_value = |group: &&[u32]| {
                        let mut rows = group.iter().rev();
                        let found = rows.find(|&&row| !values.is_null(row as usize));
                        found.copied().unwrap_or(last(group))
                    };
                    let rows: Vec<u32> = groups.iter().map(with_value).collect();
                    values.gather(&rows, column.series_type)
                })
                .collect();
        }
        *self = finished;
    }

    /// These rows, in this order.
    fn only(&self, rows: &[u32]) -> Self {
        let columns = self.columns.iter().zip(&self.layout.columns);
        let columns: Vec<Values> = columns
            .map(|(values, column)| values.gather(rows, column.series_type))
            .collect();
        let bytes: usize = columns.iter().map(|values| values.bytes.len()).sum();
        Self {
            target: self.target.clone(),
            layout: self.layout.clone(),
            times: rows.iter().map(|&row| self.times[row as usize]).collect(),
            columns,
            keys: self.keys.gather(rows, SeriesType::Blob),
            places: None,
            removed: Vec::new(),
            size_bytes: bytes + rows.len() * 8,
        }
    }

    /// The rows `from..to`.
    pub(crate) fn part(&self, from: usize, to: usize) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "a tablet has few rows")]
        let rows: Vec<u32> = (from as u32..to as u32).collect();
        self.only(&rows)
    }

    /// Pieces of at most `bytes_max` each, but of one row at least.
    pub(crate) fn into_pieces(self, bytes_max: usize) -> Vec<Self> {
        if self.size_bytes <= bytes_max || self.len() <= 1 {
            return vec![self];
        }
        let half = self.len() / 2;
        let mut pieces = self.part(0, half).into_pieces(bytes_max);
        pieces.extend(self.part(half, self.len()).into_pieces(bytes_max));
        pieces
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// About the bytes on the wire.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(crate) fn time(&self, row: usize) -> i64 {
        self.times[row]
    }

    /// The key of a row in its source, as it was given with the row.
    pub(crate) fn key(&self, row: usize) -> &[u8] {
        self.keys
            .value(row, SeriesType::Blob)
            .get(4..)
            .unwrap_or_default()
    }

    /// A value as it goes over the wire, without the length of those whose width varies; none: null.
    pub(crate) fn value(&self, row: usize, column: usize) -> Option<&[u8]> {
        let kind = self.layout.columns[column].series_type;
        let values = &self.columns[column];
        let bytes = values.value(row, kind);
        let bytes = if kind.width().is_none() {
            bytes.get(4..)?
        } else {
            bytes
        };
        (!values.is_null(row)).then_some(bytes)
    }

    /// Appends the rows of another tablet with the same layout.
    pub(crate) fn append(&mut self, other: &Self) {
        let rows = self.times.len();
        self.times.extend_from_slice(&other.times);
        self.size_bytes += other.size_bytes;
        let columns = self.columns.iter_mut().zip(&other.columns);
        for (column, (mine, theirs)) in self.layout.columns.iter().zip(columns) {
            mine.append(theirs, rows, other.times.len(), column.series_type);
        }
        self.keys
            .append(&other.keys, rows, other.times.len(), SeriesType::Blob);
        self.places = None;
    }

    /// Values that are not null, fields only.
    pub(crate) fn points(&self) -> u64 {
        let columns = self.columns.iter().zip(&self.layout.columns);
        let fields = columns.filter(|(_, column)| column.category == Category::Field);
        let nulls = |values: &Values| -> u64 {
            values
                .nulls
                .iter()
                .map(|byte| u64::from(byte.count_ones()))
                .sum()
        };
        fields
            .map(|(values, _)| self.times.len() as u64 - nulls(values))
            .sum()
    }

    /// The number of rows as the protocol has it.
    pub(crate) fn rows(&self) -> i32 {
        i32::try_from(self.times.len()).unwrap_or(i32::MAX)
    }

    fn has_nulls(&self) -> bool {
        self.columns.iter().any(|values| !values.nulls.is_empty())
    }

    fn map_length(&self) -> usize {
        self.times.len() / 8 + 1
    }

    /// How many bytes [`Tablet::write_values`] writes.
    pub(crate) fn values_length(&self) -> usize {
        let values: usize = self.columns.iter().map(|values| values.bytes.len()).sum();
        if !self.has_nulls() {
            return values;
        }
        let with_map = self
            .columns
            .iter()
            .filter(|values| !values.nulls.is_empty());
        values + self.columns.len() + with_map.count() * self.map_length()
    }

    /// Appends the values, and the bit maps of nulls if there are any.
    pub(crate) fn write_values(&self, out: &mut Vec<u8>) {
        for values in &self.columns {
            out.extend_from_slice(&values.bytes);
        }
        if !self.has_nulls() {
            return;
        }
        for values in &self.columns {
            out.push(u8::from(!values.nulls.is_empty()));
            if !values.nulls.is_empty() {
                let end = out.len() + self.map_length();
                out.extend_from_slice(&values.nulls);
                out.resize(end, 0);
            }
        }
    }

    /// Appends the times.
    pub(crate) fn write_times(&self, out: &mut Vec<u8>) {
        for time in &self.times {
            out.extend_from_slice(&time.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn layout() -> Arc<Layout> {
        let column = |name: &str, series_type| LayoutColumn {
            name: name.to_owned(),
            series_type,
            category: Category::Field,
        };
        Arc::new(Layout {
            columns: vec![
                column("i", SeriesType::Int32),
                column("t", SeriesType::Text),
                column("b", SeriesType::Boolean),
            ],
        })
    }

    type Row = (Option<i32>, Option<String>, Option<bool>);

    fn push(tablet: &mut Tablet, time: i64, row: &Row) -> Pushed {
        let pushed = tablet.push(time, b"k", |at, out| {
            Ok(match at {
                0 => row
                    .0
                    .map(|value| out.push_fixed(value.to_be_bytes()))
                    .is_some(),
                1 => row
                    .1
                    .as_ref()
                    .map(|value| out.push_bytes(value.as_bytes()))
                    .is_some(),
                _ => row
                    .2
                    .map(|value| out.push_fixed([u8::from(value)]))
                    .is_some(),
            })
        });
        pushed.unwrap()
    }

    /// Reads a tablet's bytes as the server does (`QueryDataSetUtils.readTabletValuesFromBuffer` and
    /// `readTabletBitMapsFromBuffer`).
    fn read(tablet: &Tablet) -> Vec<(i64, Row)> {
        let rows = tablet.len();
        let mut times = Vec::new();
        tablet.write_times(&mut times);
        let mut bytes = Vec::new();
        tablet.write_values(&mut bytes);
        assert_eq!(bytes.len(), tablet.values_length());
        let mut at = 0;
        let mut take = |count: usize| {
            at += count;
            bytes[at - count..at].to_vec()
        };
        let ints: Vec<i32> = (0..rows)
            .map(|_| i32::from_be_bytes(take(4).try_into().unwrap()))
            .collect();
        let texts: Vec<String> = (0..rows)
            .map(|_| {
                let length = u32::from_be_bytes(take(4).try_into().unwrap());
                String::from_utf8(take(length as usize)).unwrap()
            })
            .collect();
        let flags: Vec<bool> = (0..rows).map(|_| take(1)[0] == 1).collect();
        let mut maps = vec![vec![0; rows / 8 + 1]; 3];
        if at < bytes.len() {
            for map in &mut maps {
                at += 1;
                if bytes[at - 1] == 1 {
                    *map = bytes[at..at + rows / 8 + 1].to_vec();
                    at += rows / 8 + 1;
                }
            }
        }
        assert_eq!(at, bytes.len());
        let there = |column: usize, row: usize| maps[column][row / 8] >> (row % 8) & 1 == 0;
        (0..rows)
            .map(|row| {
                let time = i64::from_be_bytes(times[row * 8..row * 8 + 8].try_into().unwrap());
                let values = (
                    there(0, row).then_some(ints[row]),
                    there(1, row).then(|| texts[row].clone()),
                    there(2, row).then_some(flags[row]),
                );
                (time, values)
            })
            .collect()
    }

    fn row() -> impl Strategy<Value = Row> {
        (
            any::<Option<i32>>(),
            prop::option::of("[a,é東 ]{0,5}"),
            any::<Option<bool>>(),
        )
    }

    proptest! {
        /// The last value of each time and column that was not taken out is there, in the order of time.
        #[test]
        fn rows_come_out_as_the_server_reads_them(
            steps in prop::collection::vec((0i64..12, row(), prop::bool::weighted(0.2)), 0..60),
            cut in 0usize..100,
        ) {
            let mut tablet = Tablet::new("root.d".into(), layout());
            let mut expected = BTreeMap::new();
            for (time, row, is_removal) in steps {
                if is_removal {
                    tablet.remove(time);
                    expected.remove(&time);
                    continue;
                }
                let pushed = push(&mut tablet, time, &row);
                if pushed.points > 0 {
                    let merged: &mut Row = expected.entry(time).or_default();
                    merged.0 = row.0.or(merged.0);
                    merged.1 = row.1.or_else(|| merged.1.take());
                    merged.2 = row.2.or(merged.2);
                }
            }
            tablet.finish();
            let expected: Vec<_> = expected.into_iter().collect();
            prop_assert_eq!(&read(&tablet), &expected);
            let points = |row: &Row| u64::from(row.0.is_some()) + u64::from(row.1.is_some()) + u64::from(row.2.is_some());
            let all: u64 = expected.iter().map(|(_, row)| points(row)).sum();
            prop_assert_eq!(tablet.points(), all);
            let pieces = tablet.into_pieces(cut);
            let together: Vec<_> = pieces.iter().flat_map(read).collect();
            prop_assert_eq!(together, expected);
            prop_assert!(pieces.iter().all(|piece| piece.len() <= 1 || piece.size_bytes() <= cut));
        }

        /// A refused value leaves no trace of its row.
        #[test]
        fn a_refused_row_leaves_the_others_as_they_were(
            rows in prop::collection::vec((row(), 0usize..4), 1..30),
        ) {
            let mut tablet = Tablet::new("root.d".into(), layout());
            let mut expected = Vec::new();
            for (time, (row, refused)) in rows.into_iter().enumerate() {
                let time = i64::try_from(time).unwrap();
                let result = tablet.push(time, b"k", |at, out| {
                    if at == refused {
                        return Err("no".to_owned());
                    }
                    Ok(match at {
                        0 => row.0.map(|value| out.push_fixed(value.to_be_bytes())).is_some(),
                        1 => row.1.as_ref().map(|value| out.push_bytes(value.as_bytes())).is_some(),
                        _ => row.2.map(|value| out.push_fixed([u8::from(value)])).is_some(),
                    })
                });
                match result {
                    Ok(pushed) if pushed.points > 0 => expected.push((time, row)),
                    Ok(_) => {}
                    Err(found) => prop_assert_eq!(found.column, Some(refused)),
                }
            }
            prop_assert_eq!(read(&tablet), expected);
        }
    }
}
