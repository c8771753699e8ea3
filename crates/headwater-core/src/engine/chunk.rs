//! A chunk of a bootstrap: a small cut, read beside the stream. Every change that the stream emits from before its view was
//! opened until its rows go out is noted by key; where the log has passed all that the view could see, the rows, mended by
//! those changes, are the exact contents of the range there. Nothing is held up meanwhile.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::marks::{Again, fill};
use super::touched::Touched;
use crate::batch::{Batch, ChangeKind};
use crate::bootstrap::BootstrapId;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::key::{Key, KeyRange};
use crate::schema::{KeyOrder, TableName, TableSchema};
use crate::source::{
    ChunkRequest, ChunkRows, Cuts, ScanStep, SnapshotReader, Source, Split, TableInfo,
};

/// What is noted of the stream while a chunk is read, in bytes. A chunk that meets more is given up and read shorter.
const NOTED_BYTES_MAX: usize = 16 << 20;

/// What a table without ranges may take in memory.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// What a chunk belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The first copy of a table that came into a running stream: until a range is read, its changes do not go out.
    FirstCopy,
    /// A bootstrap: every change goes out as always.
    Bootstrap(BootstrapId),
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstCopy => f.write_str("first copy"),
            Self::Bootstrap(id) => write!(f, "bootstrap {id}"),
        }
    }
}

/// What is to be read.
#[derive(Debug, Clone)]
pub(super) struct Wanted<P> {
    pub(super) of: Of,
    pub(super) table: TableName,
    pub(super) key_columns: Vec<String>,
    pub(super) condition: Option<String>,
    /// It begins where the range does.
    pub(super) range: KeyRange,
    /// About how many of its rows are read; none: all of them.
    pub(super) rows: Option<u64>,
    /// The stream has emitted everything up to here.
    pub(super) at_least: P,
}

impl<P> Wanted<P> {
    /// How keys of it are read again.
    pub(super) fn again<'w>(&'w self, schema: &'w TableSchema) -> Again<'w> {
        match self.of {
            Of::FirstCopy => Again::FirstCopy,
            Of::Bootstrap(_) => Again::Bootstrap {
                rows: self.rows_read(),
                schema,
            },
        }
    }

    /// Which rows of the table it means.
    pub(super) fn rows_read(&self) -> ChunkRows<'_> {
        match (self.of, self.condition.as_deref()) {
            (Of::FirstCopy, _) => ChunkRows::OfFirstCopy,
            (Of::Bootstrap(_), None) => ChunkRows::All,
            (Of::Bootstrap(_), Some(condition)) => ChunkRows::Where(condition),
        }
    }
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
    /// A condition bounds them.
    pub(super) is_bounded: bool,
    pub(super) took: Duration,
}

type Reading<'a, P> = Pin<Box<dyn Future<Output = Result<Read<P>>> + Send + 'a>>;

/// A chunk on its way.
pub(super) struct Chunk<'a, P> {
    pub(super) wanted: Wanted<P>,
    reading: Option<Reading<'a, P>>,
    /// Its rows, once they are read.
    pub(super) filled: Option<Box<Filled<P>>>,
    /// The stream has passed all that its view could see, so that it may go out at any boundary; and since then so many
    /// batches.
    pub(super) due: Option<u32>,
    noted: Noted,
}

impl<'a, P: Clone + Send + Sync + 'a> Chunk<'a, P> {
    /// Begins to read. From now on every change has to be shown to [`Chunk::note`].
    pub(super) fn begin<S: Source<Position = P>>(source: &'a S, wanted: Wanted<P>) -> Self {
        Self {
            reading: Some(Box::pin(read(source, wanted.clone()))),
            wanted,
            filled: None,
            due: None,
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
    /// was. Under a condition only the source could say which of these meet it: they are to be read again.
    pub(super) async fn close<S: Source<Position = P>>(self, source: &S) -> Result<Closed> {
        let Some(filled) = self.filled else {
            return Err(Error::new(
                ErrorKind::Internal,
                "a chunk was closed before it was read",
            ));
        };
        let noted = self.noted;
        let mut inside = noted
            .keys_inside(source, &filled.schema, &filled.range)
            .await?;
        let mut pending = Vec::new();
        if filled.is_bounded {
            let wanted: HashSet<usize> = inside.drain(..).collect();
            let keys = noted.touched.present();
            let is_inside =
                |(key, image): (&Key, usize)| wanted.contains(&image).then(|| key.clone());
            pending = keys.filter_map(is_inside).collect();
            pending.sort();
        }
        let [untouched, changed] = noted.close(filled.rows, &inside);
        Ok(Closed {
            untouched,
            changed,
            pending,
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
    /// Keys that changed and have a row, of which only the source knows whether it meets the condition; ascending.
    pub(super) pending: Vec<Key>,
    pub(super) range: KeyRange,
    pub(super) schema: Arc<TableSchema>,
    pub(super) took: Duration,
}

async fn read<S: Source>(source: &S, wanted: Wanted<S::Position>) -> Result<Read<S::Position>> {
    let began = Instant::now();
    let request = ChunkRequest {
        table: &wanted.table,
        rows: wanted.rows_read(),
        at_least: &wanted.at_least,
    };
    let (mut reader, info) = open(source, request).await?;
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
        is_bounded: info.is_bounded,
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

/// A view of one table.
pub(super) async fn open<S: Source>(
    source: &S,
    request: ChunkRequest<'_, S::Position>,
) -> Result<(S::Reader, TableInfo)> {
    let Cuts {
        mut readers,
        mut tables,
        ..
    } = source.open_chunk(request).await?;
    let (Some(reader), Some(info)) = (readers.pop(), tables.pop()) else {
        return Err(Error::new(
            ErrorKind::Internal,
            "the source opened no reader",
        ));
    };
    failpoint::hit("chunk.open")?;
    Ok((reader, info))
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

    /// Gives the rows that were not touched, and the last images of those that are `wanted`.
    fn close(self, mut rows: Batch, wanted: &[usize]) -> [Batch; 2] {
        if self.emptied {
            rows.clear();
        }
        self.touched.mend(rows, wanted)
    }
}
