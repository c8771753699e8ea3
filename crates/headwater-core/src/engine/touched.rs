//! What the log says of keys since their rows were read: the last image of each, or that it is gone. It mends the rows of a
//! chunk, in a window of a first copy and in a bootstrap of the running stream alike.

use std::collections::HashMap;

use crate::batch::{Batch, Image, Row, Verdict};
use crate::clock;
use crate::key::Key;

/// What a noted key costs beside its image.
const KEY_BYTES: usize = 96;

/// Keys that the log has spoken of.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Images from the log.
    changed: Batch,
    /// For each key: where its last image is in `changed`, or that it was deleted.
    keys: HashMap<Key, Option<usize>>,
}

impl Touched {
    pub(super) fn size_bytes(&self) -> usize {
        self.changed.size_bytes() + self.keys.len() * KEY_BYTES
    }

    /// There is no row of this key any more.
    pub(super) fn remove(&mut self, key: Key) {
        self.keys.insert(key, None);
    }

    /// The row of this key is now `image`, the one after `row`.
    pub(super) fn set(&mut self, key: Key, row: &Row<'_>, image: &Image<'_>) {
        self.changed
            .push_bootstrap_copy(image, row.schema(), clock::now_event_s());
        self.keys.insert(key, Some(self.changed.len() - 1));
    }

    pub(super) fn clear(&mut self) {
        self.changed.clear();
        self.keys.clear();
    }

    /// The keys of which there is a row, each with the place of its image.
    pub(super) fn present(&self) -> impl Iterator<Item = (&Key, usize)> {
        self.keys
            .iter()
            .filter_map(|(key, image)| Some((key, (*image)?)))
    }

    /// Gives those of `rows` that were not touched, and the images at `wanted`.
    pub(super) fn mend(mut self, mut rows: Batch, wanted: &[usize]) -> [Batch; 2] {
        let untouched: Vec<Verdict> = rows
            .rows()
            .map(|row| {
                let key = row.after().and_then(|image| Key::of(&image));
                if key.is_some_and(|key| self.keys.contains_key(&key)) {
                    Verdict::Drop
                } else {
                    Verdict::Keep
                }
            })
            .collect();
        rows.retain(&untouched);
        let mut last = vec![Verdict::Drop; self.changed.len()];
        for index in wanted {
            last[*index] = Verdict::Keep;
        }
        self.changed.retain(&last);
        [rows, self.changed]
    }
}
