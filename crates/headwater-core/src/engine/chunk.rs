//! A chunk of a bootstrap: a small cut, read beside the stream. Every change that the stream emits from before its view was
//! opened until its rows go out is noted by key; where the log has passed all that the view could see, the rows, mended by
//! those changes, are the exact contents of the range there. Nothing is held up meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::marks::fill;
use super::touched::Touched;
use crate::batch::{Batch, ChangeKind};
use crate::bootstrap::BootstrapId;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::key::{Key, KeyRange};
use crate::schema::{KeyOrder, TableName, TableSchema};
use crate::source::{ChunkRequest, Cuts, ScanStep, SnapshotReader, Source, Split, TableInfo};

/// What is noted of the stream while a chunk is read, in bytes. A chunk that meets more is given up and read shorter.
const NOTED_BYTES_MAX: usize = 16 << 20;

/// What a table without ranges may take in memory.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// What is to be read.
#[derive(Debug, Clone)]
pub(super) struct Wanted<P> {
    pub(super) id: BootstrapId,
    pub(super) table: TableName,
    pub(super) key_columns: Vec<String>,
    pub(super) condition: Option<String>,
    /// It begins where the range does.
    pub(super) range: KeyRange,
    pub(super) rows: u64,
    /// The stream has emitted everything up to here.
    pub(super) at_least: P,
}

/// What was read.
pub(super) enum Read<P> {
    /// Rows.
    Rows(Box<Filled<P>>),
    /// The table has another key than before.
    OtherKey(TableInfo),
}

/// Rows as of a view.
pub(super) struct Filled<P> {
    pub(super) rows: Batch,
    /// The keys that were read: the whole of what was wanted, or its beginning.
    pub(super) range: KeyRange,
    /// All that the view could see lies at or before this.
    pub(super) high: P,
    pub(super) schema: Arc<TableSchema>,
    pub(super) took: Duration,
}

type Reading<'a, P> = Pin<Box<dyn Future<Output = Result<Read<P>>> + Send + 'a>>;

/// A chunk on its way.
pub(super) struct Chunk<'a, P> {
    pub(super) wanted: Wanted<P>,
    reading: Option<Reading<'a, P>>,
    /// Its rows, once they are read.
    pub(super) filled: Option<Box<Filled<P>>>,
    noted: Noted,
}

impl<'a, P: Clone + Send + Sync + 'a> Chunk<'a, P> {
    /// Begins to read. From now on every change has to be shown to [`Chunk::note`].
    pub(super) fn begin<S: Source<Position = P>>(source: &'a S, wanted: Wanted<P>) -> Self {
        Self {
            reading: Some(Box::pin(read(source, wanted.clone()))),
            wanted,
            filled: None,
            noted: Noted::default(),
        }
    }

    /// What was read. Cancel-safe; pending once it has said so.
    pub(super) async fn read(&mut self) -> Result<Read<P>> {
        match &mut self.reading {
            Some(reading) => {
                let read = reading.as_mut().await;
                self.reading = None;
                read
            }
            None => std::future::pending().await,
        }
    }

    /// Takes note of what the stream is about to emit. Says whether the chunk can still be used.
    pub(super) fn note(&mut self, batch: &Batch) -> bool {
        let mut is_good = true;
        for row in batch.rows() {
            let schema = row.schema();
            if schema.name != self.wanted.table {
                continue;
            }
            match row.kind() {
                ChangeKind::Truncate => self.noted.empty(),
                // Its rows may have another shape than what the log says from here on.
                ChangeKind::Ddl => is_good = false,
                // Without a key nothing tells which of the rows read it is about.
                _ if !schema.has_key() => is_good = false,
                _ => self.noted.change(&row),
            }
        }
        is_good && self.noted.touched.size_bytes() <= NOTED_BYTES_MAX
    }

    /// The contents of the range where the stream stands now: rows that were not touched, then the last image of each that
    /// was.
    pub(super) async fn close<S: Source<Position = P>>(self, source: &S) -> Result<Closed> {
        let Some(filled) = self.filled else {
            return Err(Error::new(
                ErrorKind::Internal,
                "a chunk was closed before it was read",
            ));
        };
        let conditional = self.wanted.condition.is_some();
        let noted = self.noted;
        let inside = noted
            .keys_inside(source, &filled.schema, &filled.range)
            .await?;
        let [untouched, changed] = noted.close(filled.rows, &inside, conditional);
        Ok(Closed {
            untouched,
            changed,
            range: filled.range,
            schema: filled.schema,
            took: filled.took,
        })
    }
}

/// A chunk that is ready to go out.
pub(super) struct Closed {
    pub(super) untouched: Batch,
    pub(super) changed: Batch,
    pub(super) range: KeyRange,
    pub(super) schema: Arc<TableSchema>,
    pub(super) took: Duration,
}

async fn read<S: Source>(source: &S, wanted: Wanted<S::Position>) -> Result<Read<S::Position>> {
    let began = Instant::now();
    let request = ChunkRequest {
        table: &wanted.table,
        condition: wanted.condition.as_deref(),
        at_least: &wanted.at_least,
    };
    let Cuts {
        mut readers,
        mut tables,
        ..
    } = source.open_chunk(request).await?;
    let (Some(mut reader), Some(info)) = (readers.pop(), tables.pop()) else {
        return Err(Error::new(
            ErrorKind::Internal,
            "the source opened no reader",
        ));
    };
    failpoint::hit("chunk.open")?;
    let names = info.schema.key.iter();
    let names = names.map(|&column| &*info.schema.columns[column].name);
    if !wanted.key_columns.iter().map(String::as_str).eq(names) {
        reader.close().await;
        return Ok(Read::OtherKey(info));
    }
    let mut range = wanted.range;
    let rows = if info.schema.can_split() {
        fill(&mut reader, &wanted.table, &mut range, wanted.rows).await
    } else {
        fill_whole(&mut reader, &wanted.table).await
    };
    reader.close().await;
    let (rows, high) = rows?;
    Ok(Read::Rows(Box::new(Filled {
        rows,
        range,
        high,
        schema: info.schema,
        took: began.elapsed(),
    })))
}

/// Reads a table that has no ranges, whole: it is one chunk.
async fn fill_whole<R: SnapshotReader>(
    reader: &mut R,
    table: &TableName,
) -> Result<(Batch, R::Position)> {
    let split = Split {
        table: table.clone(),
        range: KeyRange::default(),
    };
    reader.begin(&split).await?;
    let mut rows = Batch::new();
    while reader.read(&mut rows).await? != ScanStep::Done {
        if rows.size_bytes() > WHOLE_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a table without a usable key is read in one piece while the stream runs, and this one is too large for that",
            )
            .with("table", table)
            .with("bytes_max", WHOLE_BYTES_MAX)
            .hint("give the table a primary key, or copy it anew with `headwater backfill`"));
        }
    }
    Ok((rows, reader.finish().await?))
}

/// What the stream says of a table since its chunk was begun.
#[derive(Debug, Default)]
struct Noted {
    /// All rows before were removed at once.
    emptied: bool,
    touched: Touched,
}

impl Noted {
    fn change(&mut self, row: &crate::batch::Row<'_>) {
        if let Some(key) = row.before().and_then(|image| Key::of(&image)) {
            self.touched.remove(key);
        }
        if let Some(image) = row.after()
            && let Some(key) = Key::of(&image)
        {
            self.touched.set(key, row, &image);
        }
    }

    fn empty(&mut self) {
        self.emptied = true;
        self.touched.clear();
    }

    /// The touched keys that lie in `range`, those with an image only: of the others there is nothing to emit.
    async fn keys_inside<S: Source>(
        &self,
        source: &S,
        schema: &TableSchema,
        range: &KeyRange,
    ) -> Result<Vec<usize>> {
        let (keys, images): (Vec<Key>, Vec<usize>) = self
            .touched
            .present()
            .map(|(key, image)| (key.clone(), image))
            .unzip();
        let bounds: Vec<Key> = range.after.iter().chain(&range.up_to).cloned().collect();
        if bounds.is_empty() || keys.is_empty() {
            return Ok(images);
        }
        let below: Vec<usize> = if schema.key_order == KeyOrder::Client {
            let below = |key: &Key| bounds.iter().filter(|bound| *bound < key).count();
            keys.iter().map(below).collect()
        } else {
            source.locate(&schema.name, &bounds, &keys).await?
        };
        let inside = usize::from(range.after.is_some());
        let pairs = images.into_iter().zip(below);
        Ok(pairs
            .filter(|(_, below)| *below == inside)
            .map(|(image, _)| image)
            .collect())
    }

    /// Gives the rows that were not touched, and the last images of those in the range that were. Under a condition only the
    /// source could say which of these meet it; each of them has gone out as a change, whole, after the bootstrap began.
    fn close(self, mut rows: Batch, inside: &[usize], conditional: bool) -> [Batch; 2] {
        if self.emptied {
            rows.clear();
        }
        let wanted = if conditional { &[] } else { inside };
        self.touched.mend(rows, wanted)
    }
}
