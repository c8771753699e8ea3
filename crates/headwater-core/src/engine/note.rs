//! Notes: what becomes true once a batch is out. The engine sends them beside the batches; the writer applies them to the
//! checkpoint, so that progress can never be ahead of the rows.

use serde_json::Value;

use super::bootstraps::Change;
use crate::checkpoint::{Checkpoint, CutAhead, TableCopy};
use crate::coverage::{CutId, TableCoverage};
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeyRange;
use crate::position::Position;
use crate::schema::TableName;
use crate::source::LogPoint;

/// What is true once its batch is out.
#[derive(Debug, Clone)]
pub(super) enum Note<P> {
    /// Nothing more than the rows.
    Nothing,
    /// Cuts were opened: this is now copied, from here.
    Cut(Box<CutOpened<P>>),
    /// The log goes on from here, with these definitions: a run without a first copy.
    Start {
        point: LogPoint<P>,
        definitions: Value,
    },
    /// The copy of a table was announced.
    Announced(TableName),
    /// The end of a table's copy was announced.
    Completed(TableName),
    /// A split was planned: its range may be read out of turn.
    Planned { table: TableName, range: KeyRange },
    /// What cannot be taken up in the middle begins (a table in one piece, a window): nothing may be saved until it is whole.
    Hold,
    /// A range was read at a cut.
    Scanned {
        table: TableName,
        range: KeyRange,
        cut: CutId,
        rows: u64,
        whole: bool,
    },
    /// Keys of a chunk that had changed while it was read were read again: so many rows more. `whole` once none is left.
    ReadAgain {
        table: TableName,
        rows: u64,
        whole: bool,
    },
    /// The log is out up to here.
    Log {
        point: LogPoint<P>,
        definitions: Option<Value>,
        tables: Vec<TableEvent>,
    },
    /// The log has passed a cut.
    Passed(CutId),
    /// Other tables are streamed from here on.
    Selected(Box<Selected>),
    /// A table that was to be read beside the log is read at cuts of its own after all.
    NotBeside(TableName),
    /// A table's key is another: it is read from the beginning.
    Restarted(TableCopy),
    /// Something became of a bootstrap of the running stream.
    Bootstrap(Change),
}

/// What the log says of a whole table while the first copy goes on.
#[derive(Debug, Clone)]
pub(super) enum TableEvent {
    /// It is not known yet: it was not there at the cuts so far and is read at the next; or the log has all of it.
    Found(TableCopy),
    /// All its rows were removed at once, and that went out: an empty table is a cut of all its keys, here.
    Emptied(TableName),
}

/// What holds from where other tables are streamed.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    pub(super) selection: Value,
    pub(super) configuration: Value,
    pub(super) definitions: Value,
    pub(super) copy: Option<Vec<TableCopy>>,
}

/// What holds from a cut on.
#[derive(Debug, Clone)]
pub(super) struct CutOpened<P> {
    pub(super) log: LogPoint<P>,
    pub(super) definitions: Value,
    pub(super) cuts_ahead: Vec<CutAhead<P>>,
    pub(super) next_cut: u32,
    pub(super) copy: Vec<TableCopy>,
}

impl<P: Position> Note<P> {
    /// Whether a held table is whole with this.
    pub(super) fn ends_hold(&self) -> bool {
        matches!(
            self,
            Self::Scanned { whole: true, .. }
                | Self::ReadAgain { whole: true, .. }
                | Self::Bootstrap(Change::Read { .. })
        )
    }

    /// Makes it true in `checkpoint`.
    pub(super) fn apply(self, checkpoint: &mut Checkpoint<P>) -> Result<()> {
        match self {
            Self::Nothing | Self::Hold => {}
            Self::Cut(opened) => {
                checkpoint.log = Some(opened.log);
                checkpoint.definitions = opened.definitions;
                checkpoint.cuts_ahead = opened.cuts_ahead;
                checkpoint.next_cut = opened.next_cut;
                checkpoint.copy = Some(opened.copy);
            }
            Self::Start { point, definitions } => {
                checkpoint.log = Some(point);
                checkpoint.definitions = definitions;
            }
            Self::Announced(_)
            | Self::Completed(_)
            | Self::Planned { .. }
            | Self::Scanned { .. }
            | Self::NotBeside(_)
            | Self::Restarted(_)
            | Self::ReadAgain { .. } => {
                self.apply_to(checkpoint.copy.as_deref_mut().unwrap_or_default())?;
            }
            Self::Log {
                point,
                definitions,
                tables,
            } => {
                checkpoint.log = Some(point);
                if let Some(definitions) = definitions {
                    checkpoint.definitions = definitions;
                }
                for event in tables {
                    event.apply(checkpoint.copy.get_or_insert_default())?;
                }
            }
            Self::Bootstrap(change) => change.apply(&mut checkpoint.bootstraps),
            Self::Selected(selected) => {
                checkpoint.selection = selected.selection;
                checkpoint.configuration = selected.configuration;
                checkpoint.definitions = selected.definitions;
                checkpoint.copy = selected.copy;
            }
            Self::Passed(cut) => {
                checkpoint.cuts_ahead.retain(|ahead| ahead.id != cut);
                for copy in checkpoint.copy.iter_mut().flatten() {
                    copy.coverage.settle(cut);
                }
            }
        }
        Ok(())
    }

    /// Makes what it says of tables being copied true in `copy`.
    pub(super) fn apply_to(self, copy: &mut [TableCopy]) -> Result<()> {
        match self {
            Self::Announced(name) => table(copy, &name)?.announced = true,
            Self::Completed(name) => table(copy, &name)?.completed = true,
            Self::Planned { table: name, range } => {
                if !table(copy, &name)?.coverage.plan(&range) {
                    return Err(unknown_range(&name));
                }
            }
            Self::Scanned {
                table: name,
                range,
                cut,
                rows,
                whole: _,
            } => {
                let copy = table(copy, &name)?;
                copy.rows += rows;
                if !copy.coverage.mark(&range, cut) {
                    return Err(unknown_range(&name));
                }
            }
            Self::ReadAgain {
                table: name, rows, ..
            } => table(copy, &name)?.rows += rows,
            Self::NotBeside(name) => table(copy, &name)?.beside = false,
            Self::Restarted(unread) => {
                let name = unread.name.clone();
                *table(copy, &name)? = unread;
            }
            Self::Nothing
            | Self::Hold
            | Self::Cut(_)
            | Self::Start { .. }
            | Self::Log { .. }
            | Self::Bootstrap(_)
            | Self::Selected(_)
            | Self::Passed(_) => {}
        }
        Ok(())
    }
}

impl TableEvent {
    fn apply(self, copy: &mut Vec<TableCopy>) -> Result<()> {
        match self {
            Self::Found(found) => copy.push(found),
            Self::Emptied(name) => {
                table(copy, &name)?.coverage = TableCoverage::read_at(CutId::PASSED);
            }
        }
        Ok(())
    }
}

fn table<'a>(copy: &'a mut [TableCopy], name: &TableName) -> Result<&'a mut TableCopy> {
    let found = copy.iter_mut().find(|copy| copy.name == *name);
    found.ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "progress for a table that is not copied",
        )
        .with("table", name)
    })
}

fn unknown_range(name: &TableName) -> Error {
    Error::new(
        ErrorKind::Internal,
        "progress for a range whose beginning is not known",
    )
    .with("table", name)
}
