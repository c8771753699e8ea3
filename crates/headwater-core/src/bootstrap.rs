//! Bootstraps of a running stream: rows that are there already, asked for while the log flows. What one is, how it is
//! asked for, and the way to the engine that takes them ([`crate::engine`]).

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::checkpoint::TableCopy;
use crate::error::{Error, ErrorKind, Result};
use crate::load::LoadLimits;
use crate::schema::TableName;

/// Commands that wait for the engine.
const COMMANDS_MAX: usize = 64;

/// The number of a bootstrap within its checkpoint, from 1.
pub type BootstrapId = u64;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapRequest {
    /// Tables by name: `shop.orders`, `shop.*`, `*.*`. A star stands for any run of characters.
    pub tables: Vec<String>,
    /// A condition in the source's own language that bounds each table's rows.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Whether each table is read in one piece, and not range by range: for a condition that few rows meet and an index finds,
    /// such as a list of keys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
    /// A remark that goes into every event of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// How fast.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// What asked, where that must not ask twice (a row of a table in the source, say): a second request of one origin is
    /// answered with the first one's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Seconds since 1970 before which it is not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_s: Option<u64>,
}

/// How fast rows may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Rows a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_s: Option<u64>,
    /// Bytes a second, as rows are held in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_s: Option<u64>,
    /// The load of the source above which nothing is read. None: that of the run
    /// ([`Options::bootstrap_load`](crate::engine::Options::bootstrap_load)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadLimits>,
}

impl Limits {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a bootstrap, or one table of it, stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum BootstrapState {
    /// It has not begun.
    Waiting,
    /// It is being read.
    Running,
    /// It stands still until it is resumed.
    Paused,
    /// All its rows are out.
    Done,
    /// It was told to end before it was done.
    Aborted,
    /// It could not go on; the stream does.
    Failed {
        /// Why, and what to do.
        reason: String,
    },
}

impl BootstrapState {
    /// Its name in metrics and status pages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Aborted | Self::Failed { .. })
    }
}

impl fmt::Display for BootstrapState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Failed { reason } => write!(f, ": {reason}"),
            Self::Waiting | Self::Running | Self::Paused | Self::Done | Self::Aborted => Ok(()),
        }
    }
}

/// A bootstrap: part of the checkpoint, so that it goes on after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Its number.
    pub id: BootstrapId,
    /// What was asked for.
    pub request: BootstrapRequest,
    /// Where it stands.
    #[serde(flatten)]
    pub state: BootstrapState,
    /// Seconds since 1970 when it was asked for.
    pub asked_at_s: u64,
    /// When its first row was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at_s: Option<u64>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_s: Option<u64>,
    /// Its tables, in the order in which they are read.
    pub tables: Vec<TableBootstrap>,
}

/// One table of a bootstrap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableBootstrap {
    /// What of it is read, and how many rows that was.
    #[serde(flatten)]
    pub copy: TableCopy,
    /// Why it could not be read to its end, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl TableBootstrap {
    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.failed.is_some() || self.copy.completed
    }
}

impl Bootstrap {
    /// Rows that are out.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.copy.rows).sum()
    }

    /// Roughly how many rows there are.
    #[must_use]
    pub fn estimated_rows(&self) -> u64 {
        self.tables
            .iter()
            .map(|table| table.copy.estimated_rows.max(table.copy.rows))
            .sum()
    }
}

/// What can be done to a bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Let it stand still after the chunk being read.
    Pause,
    /// Let it go on.
    Resume,
    /// End it.
    Abort,
    /// Change how fast it goes.
    Limit(Limits),
}

/// A command on its way to the engine. One whose answer nobody waits for any more was given up.
#[derive(Debug)]
pub enum Command {
    /// A bootstrap is asked for.
    Ask(BootstrapRequest, oneshot::Sender<Result<Bootstrap>>),
    /// Something is to be done to a bootstrap.
    Act(BootstrapId, Action, oneshot::Sender<Result<Bootstrap>>),
}

/// The way to a running engine. Cheap to clone; a command is answered once it is in the checkpoint.
#[derive(Debug, Clone)]
pub struct Control(mpsc::Sender<Command>);

/// The engine's end of it.
#[derive(Debug)]
pub struct Commands(pub(crate) mpsc::Receiver<Command>);

/// A way to an engine, and its end for [`crate::engine::run`].
#[must_use]
pub fn control() -> (Control, Commands) {
    let (send, receive) = mpsc::channel(COMMANDS_MAX);
    (Control(send), Commands(receive))
}

impl Commands {
    /// The next command; none once every [`Control`] is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Command> {
        self.0.recv().await
    }
}

impl Control {
    /// Asks for a bootstrap. It is taken up when the stream is live.
    ///
    /// # Errors
    /// `NotFound` if no table that is streamed has such a name, `Configuration` if the request makes no sense, `Cancelled`
    /// if the engine has ended.
    pub async fn ask(&self, request: BootstrapRequest) -> Result<Bootstrap> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Ask(request, answer), answered).await
    }

    /// Does something to a bootstrap, and gives it as it then is.
    ///
    /// # Errors
    /// `NotFound` if there is none of this number, `Configuration` if it is over, `Cancelled` if the engine has ended.
    pub async fn act(&self, id: BootstrapId, action: Action) -> Result<Bootstrap> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Act(id, action, answer), answered).await
    }

    async fn send(
        &self,
        command: Command,
        answered: oneshot::Receiver<Result<Bootstrap>>,
    ) -> Result<Bootstrap> {
        let has_ended = || {
            Error::new(
                ErrorKind::Cancelled,
                "the run ended before it took the command",
            )
            .hint("start it again, and say it again")
        };
        self.0.send(command).await.map_err(|_| has_ended())?;
        answered.await.map_err(|_| has_ended())?
    }
}

/// Whether `name` is one that `pattern` (`database.table`, with stars) means.
#[must_use]
pub fn matches(pattern: &str, name: &TableName) -> bool {
    fn part(pattern: &str, text: &str) -> bool {
        match pattern.split_once('*') {
            None => pattern == text,
            Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
                (0..=rest.len())
                    .filter_map(|at| rest.get(at..))
                    .any(|rest| part(tail, rest))
            }),
        }
    }
    pattern
        .split_once('.')
        .is_some_and(|(database, table)| part(database, &name.database) && part(table, &name.table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_run_of_characters() {
        let name = TableName::new("shop", "orders_2026.old");
        for pattern in [
            "shop.orders_2026.old",
            "shop.*",
            "*.*",
            "s*p.*2026*",
            "*.orders*old",
        ] {
            assert!(matches(pattern, &name), "{pattern}");
        }
        for pattern in ["shop", "shop.orders", "crm.*", "*.orders*new", "*", ""] {
            assert!(!matches(pattern, &name), "{pattern}");
        }
    }

    #[test]
    fn a_request_reads_as_it_is_written() {
        let text = r#"{"tables":["shop.*"],"where":"id > 7","limits":{"rows_per_s":20000}}"#;
        let request: BootstrapRequest = serde_json::from_str(text).unwrap();
        assert_eq!(request.condition.as_deref(), Some("id > 7"));
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        let unknown = text.replace("where", "wher");
        assert!(serde_json::from_str::<BootstrapRequest>(&unknown).is_err());
    }
}
