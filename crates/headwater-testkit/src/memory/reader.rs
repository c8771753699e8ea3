//! Snapshot readers in memory.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use headwater_core::batch::{Batch, ChangeKind, RowHead};
use headwater_core::error::{Error, ErrorKind, Result};
use headwater_core::key::{Key, KeyRange};
use headwater_core::schema::TableName;
use headwater_core::source::{ScanStep, SnapshotReader, Split};
use rand::Rng;
use serde_json::Value;

use super::database::{Place, Row, Table, Tables, definitions, image, key_of, place_of_key, push};
use super::source::At;
use super::world::{Broken, World, meets};

/// A reader with a view.
#[derive(Debug)]
pub struct Reader {
    world: World,
    view: Arc<Tables>,
    cut: Option<At>,
    early_mark: u64,
    is_lost: bool,
    is_bounded: bool,
    split: Option<(TableName, Bound<Place>, Bound<Place>)>,
}

impl Reader {
    pub(super) fn new(world: &World, view: Arc<Tables>, cut: Option<At>) -> Self {
        let (early_mark, is_bounded) = {
            let inner = world.lock();
            (inner.database.visible_at, inner.options.bounded)
        };
        Self {
            world: world.clone(),
            view,
            cut,
            early_mark,
            is_lost: false,
            is_bounded,
            split: None,
        }
    }

    pub(super) fn bounded(self, is_bounded: bool) -> Self {
        Self { is_bounded, ..self }
    }

    /// Another reader of the same view.
    pub(super) fn beside(&self) -> Self {
        Self::new(&self.world, Arc::clone(&self.view), self.cut)
    }

    pub(super) fn definitions(&self) -> Value {
        definitions(&self.view)
    }

    /// The table as the view has it, if it is still what it was.
    fn table(&self, name: &TableName) -> Result<&Table> {
        let gone = |what: &'static str, kind| Error::new(kind, what).with("table", name);
        let inner = self.world.lock();
        let Some(now) = inner.database.latest.get(name) else {
            return Err(gone("no such table", ErrorKind::NotFound));
        };
        match self.view.get(name) {
            Some(table)
                if table.schema.id == now.schema.id && table.generation == now.generation =>
            {
                Ok(table)
            }
            _ => Err(gone(
                "the definition changed under the view",
                ErrorKind::SchemaChanged,
            )),
        }
    }

    async fn step(&mut self) -> Result<()> {
        self.world.step().await;
        if self.is_lost {
            return Err(Error::new(ErrorKind::Connection, "the connection is gone"));
        }
        let kept = self.world.lose_connection();
        self.is_lost = kept.is_err();
        kept
    }
}

fn bounds(table: &Table, range: &KeyRange) -> (Bound<Place>, Bound<Place>) {
    let place = |key: &Key| place_of_key(&table.schema, key);
    let after = range
        .after
        .as_ref()
        .map_or(Bound::Unbounded, |key| Bound::Excluded(place(key)));
    let up_to = range
        .up_to
        .as_ref()
        .map_or(Bound::Unbounded, |key| Bound::Included(place(key)));
    (after, up_to)
}

/// The rows of a range; none where it is empty or upside down.
fn rows_in(
    table: &Table,
    range: (Bound<Place>, Bound<Place>),
) -> impl Iterator<Item = (&Place, &Row)> {
    let is_empty = match (&range.0, &range.1) {
        (Bound::Excluded(after), Bound::Included(up_to)) => after >= up_to,
        _ => false,
    };
    (!is_empty)
        .then(|| table.rows.range(range))
        .into_iter()
        .flatten()
}

fn meets_condition(table: &Table, row: &Row) -> bool {
    meets(&image(&table.schema, row))
}

fn push_snapshot_row(batch: &mut Batch, table: &Table, row: &Row) {
    let schema = batch.add_schema(&table.schema);
    let mark = push(batch, row);
    batch.push_row(RowHead {
        kind: ChangeKind::Bootstrap,
        schema,
        transaction: None,
        before: None,
        after: Some(mark),
        timestamp_s: 1,
        offset: 0,
        last: false,
    });
}

impl SnapshotReader for Reader {
    type Position = At;

    fn cut(&self) -> Option<&At> {
        self.cut.as_ref()
    }

    async fn plan(
        &mut self,
        table: &TableName,
        range: &KeyRange,
        rows: u64,
    ) -> Result<Option<Key>> {
        self.step().await?;
        let table = self.table(table)?;
        let count = usize::try_from(rows.max(1)).unwrap_or(usize::MAX);
        let mut rest = rows_in(table, bounds(table, range)).skip(count - 1);
        let bound = rest.next().and_then(|(_, row)| key_of(&table.schema, row));
        Ok(bound.filter(|_| rest.next().is_some()))
    }

    async fn begin(&mut self, split: &Split) -> Result<()> {
        self.step().await?;
        let table = self.table(&split.table)?;
        let (after, up_to) = bounds(table, &split.range);
        self.split = Some((split.table.clone(), after, up_to));
        Ok(())
    }

    async fn read(&mut self, batch: &mut Batch) -> Result<ScanStep> {
        self.step().await?;
        let Some((name, after, up_to)) = self.split.clone() else {
            return Err(Error::new(ErrorKind::Internal, "no split was begun"));
        };
        let table = self.table(&name)?;
        let is_bounded = self.is_bounded;
        let (limit, says_done, breaks) = {
            let inner = &mut *self.world.lock();
            let limit = inner.random.random_range(1..=inner.options.batch_rows);
            let chance = inner.options.lost_connections;
            (
                limit,
                inner.random.random_bool(0.5),
                chance > 0.0 && inner.random.random_bool(chance),
            )
        };
        let is_wanted = |(_, row): &(&Place, &Row)| !is_bounded || meets_condition(table, row);
        let mut rest = rows_in(table, (after, up_to.clone()))
            .filter(is_wanted)
            .peekable();
        let mut last = None;
        for (place, row) in rest.by_ref().take(limit) {
            push_snapshot_row(batch, table, row);
            last = Some((place.clone(), key_of(&table.schema, row)));
        }
        let is_done = rest.peek().is_none();
        drop(rest);
        if breaks {
            self.is_lost = true;
            return Err(Error::new(
                ErrorKind::Connection,
                "lost in the middle of rows",
            ));
        }
        match last {
            Some((place, key)) if !is_done || !says_done => {
                self.split = Some((name, Bound::Excluded(place), up_to));
                Ok(ScanStep::Rows(key))
            }
            _ => Ok(ScanStep::Done),
        }
    }

    async fn read_keys(
        &mut self,
        name: &TableName,
        keys: &[Key],
        met: &mut Batch,
        unmet: &mut Batch,
    ) -> Result<()> {
        self.step().await?;
        let (broken, is_bounded) = (self.world.lock().options.broken, self.is_bounded);
        let table = self.table(name)?;
        let places: BTreeSet<Place> = keys
            .iter()
            .map(|key| place_of_key(&table.schema, key))
            .collect();
        for row in places.iter().filter_map(|place| table.rows.get(place)) {
            let is_met = !is_bounded
                || broken == Broken::KeysReadWithoutCondition
                || meets_condition(table, row);
            push_snapshot_row(if is_met { &mut *met } else { &mut *unmet }, table, row);
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<At> {
        self.step().await?;
        let inner = self.world.lock();
        if inner.options.broken == Broken::HighMarkTooEarly {
            return Ok(At(self.early_mark.saturating_sub(1)));
        }
        Ok(self.cut.unwrap_or(At(inner.database.end())))
    }

    async fn close(self) {
        self.world.step().await;
    }
}
