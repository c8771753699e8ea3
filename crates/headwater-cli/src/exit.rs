//! The process's exit codes: the one table from how things ended to the number. `docs/exit-codes.md` and `--help` say the same,
//! and tests hold them to it.

use headwater_core::ErrorKind;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for is done, or it was told to stop, or the reader of its output has gone.
    Finished,
    /// It failed, and would again.
    Failed,
    /// What was asked for is impossible; nothing was touched.
    Refused,
    /// It failed, and may succeed if tried again.
    Retry,
    /// The server's log no longer reaches back to the position.
    Expired,
    /// `verify` found rows that differ.
    Differs,
    /// A second signal: it ended where it stood.
    Aborted(u8),
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Finished => 0,
            Self::Failed => 1,
            Self::Refused => 2,
            Self::Retry => 3,
            Self::Expired => 4,
            Self::Differs => 5,
            Self::Aborted(signal) => 128 + signal,
        }
    }

    /// What an error of this kind ends with.
    pub(crate) const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Configuration => Self::Refused,
            ErrorKind::ExpiredPosition => Self::Expired,
            ErrorKind::Connection
            | ErrorKind::Timeout
            | ErrorKind::LockTimeout
            | ErrorKind::SchemaChanged
            | ErrorKind::SinkUnavailable => Self::Retry,
            ErrorKind::SinkClosed | ErrorKind::Cancelled => Self::Finished,
            ErrorKind::Authentication
            | ErrorKind::Privilege
            | ErrorKind::Prerequisite
            | ErrorKind::NotFound
            | ErrorKind::ForeignPosition
            | ErrorKind::SchemaMismatch
            | ErrorKind::Malformed
            | ErrorKind::Unsupported
            | ErrorKind::SinkRejected
            | ErrorKind::Storage
            | ErrorKind::CheckpointDamaged
            | ErrorKind::CheckpointForeign
            | ErrorKind::Locked
            | ErrorKind::Internal => Self::Failed,
        }
    }
}

/// The codes for `--help`.
pub(crate) const HELP: &str = "Exit codes:
  0    finished, or stopped when told to (SIGINT, SIGTERM, the reader of its output gone)
  1    failed, and would again: the message says what to do
  2    refused: a wrong command line or configuration; nothing was touched
  3    failed for now (server or network away): worth trying again
  4    the server's log no longer reaches back to the position: a new snapshot is needed
  5    headwater verify found rows that differ
  101  a fault of headwater itself
  130, 143  ended at once by a second SIGINT or SIGTERM";

#[cfg(test)]
mod tests {
    use headwater_core::error::RetryPolicy;

    use super::*;

    #[test]
    fn worth_retrying_is_what_the_engine_would_retry() {
        for kind in ErrorKind::ALL {
            let is_temporary = kind.policy() == RetryPolicy::Backoff;
            assert_eq!(Exit::of(kind) == Exit::Retry, is_temporary, "{kind:?}");
        }
    }

    #[test]
    fn the_page_of_exit_codes_has_a_row_for_every_kind_with_its_code() {
        let page = include_str!("../../../docs/exit-codes.md");
        for kind in ErrorKind::ALL {
            let row = format!("| `{}` | {} |", kind.name(), Exit::of(kind).code());
            assert!(page.contains(&row), "docs/exit-codes.md lacks {row}");
        }
    }

    #[test]
    fn help_and_page_name_every_code() {
        let page = include_str!("../../../docs/exit-codes.md");
        for code in [0, 1, 2, 3, 4, 5, 101, 130, 143] {
            assert!(
                HELP.contains(&code.to_string()) && page.contains(&format!("`{code}`")),
                "{code}"
            );
        }
    }
}
