//! The one error of the workspace: what was being done, on what, what went wrong, whether trying again can help, and
//! one line that tells the operator what to do.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// A result of this workspace.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong. [`ErrorKind::policy`] is the one table from kind to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The configuration asks for something impossible, or cannot be read.
    Configuration,
    /// The server refused the user or the password.
    Authentication,
    /// The user lacks a privilege.
    Privilege,
    /// The server is set up in a way that cannot be streamed from (no row log, partial images, …).
    Prerequisite,
    /// A database, table, column or file that was named does not exist.
    NotFound,
    /// A position or token of another server, another kind of source, or a newer version.
    ForeignPosition,
    /// A position that the source no longer has (a purged log).
    ExpiredPosition,
    /// A connection could not be made, or broke.
    Connection,
    /// An operation took longer than its bound.
    Timeout,
    /// A lock was not granted within its bound; it was given up.
    LockTimeout,
    /// A table's definition changed under a read view; its rest has to be read at a new cut.
    SchemaChanged,
    /// Bytes that do not fit the table's definition. Never guessed around.
    SchemaMismatch,
    /// Bytes that break the protocol or the format they claim to be.
    Malformed,
    /// Something the source sent, or the user asked for, that is not supported.
    Unsupported,
    /// The sink refused what it was given, and would again.
    SinkRejected,
    /// The sink cannot be reached or is overloaded.
    SinkUnavailable,
    /// The reader of our output has gone (a closed pipe): an end, not a failure.
    SinkClosed,
    /// A local file cannot be read or written.
    Storage,
    /// A checkpoint file whose bytes are not what was written.
    CheckpointDamaged,
    /// A checkpoint of another source, another configuration, or a newer version.
    CheckpointForeign,
    /// Another process holds the checkpoint or the output file.
    Locked,
    /// The run was told to stop.
    Cancelled,
    /// A fault of Headwater itself.
    Internal,
}

/// What to do about an error of some kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// The same thing would happen again: stop and say so.
    Never,
    /// It may pass: rewind to the last durable point, wait, and go on.
    Backoff,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 23] = [
        Self::Configuration,
        Self::Authentication,
        Self::Privilege,
        Self::Prerequisite,
        Self::NotFound,
        Self::ForeignPosition,
        Self::ExpiredPosition,
        Self::Connection,
        Self::Timeout,
        Self::LockTimeout,
        Self::SchemaChanged,
        Self::SchemaMismatch,
        Self::Malformed,
        Self::Unsupported,
        Self::SinkRejected,
        Self::SinkUnavailable,
        Self::SinkClosed,
        Self::Storage,
        Self::CheckpointDamaged,
        Self::CheckpointForeign,
        Self::Locked,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The table from kind to retry policy.
    #[must_use]
    pub const fn policy(self) -> RetryPolicy {
        match self {
            Self::Connection
            | Self::Timeout
            | Self::LockTimeout
            | Self::SchemaChanged
            | Self::SinkUnavailable => RetryPolicy::Backoff,
            Self::Configuration
            | Self::Authentication
            | Self::Privilege
            | Self::Prerequisite
            | Self::NotFound
            | Self::ForeignPosition
            | Self::ExpiredPosition
            | Self::SchemaMismatch
            | Self::Malformed
            | Self::Unsupported
            | Self::SinkRejected
            | Self::SinkClosed
            | Self::Storage
            | Self::CheckpointDamaged
            | Self::CheckpointForeign
            | Self::Locked
            | Self::Cancelled
            | Self::Internal => RetryPolicy::Never,
        }
    }

    /// The kind's name as logs and documentation write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Authentication => "authentication",
            Self::Privilege => "privilege",
            Self::Prerequisite => "prerequisite",
            Self::NotFound => "not-found",
            Self::ForeignPosition => "foreign-position",
            Self::ExpiredPosition => "expired-position",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::LockTimeout => "lock-timeout",
            Self::SchemaChanged => "schema-changed",
            Self::SchemaMismatch => "schema-mismatch",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::SinkRejected => "sink-rejected",
            Self::SinkUnavailable => "sink-unavailable",
            Self::SinkClosed => "sink-closed",
            Self::Storage => "storage",
            Self::CheckpointDamaged => "checkpoint-damaged",
            Self::CheckpointForeign => "checkpoint-foreign",
            Self::Locked => "locked",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

/// An error with its operation, context and hint. One pointer wide, so that results stay small.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    operation: Option<Cow<'static, str>>,
    context: Vec<(&'static str, String)>,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`, with what went wrong in a few words.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            operation: None,
            context: Vec::new(),
            hint: None,
            source: None,
        }))
    }

    /// What was being done, as it reads after "while": "reading the binlog". The outermost operation wins.
    #[must_use]
    pub fn during(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.0.operation = Some(operation.into());
        self
    }

    /// On what: a table, a file, a position. Never a secret.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// What the operator can do about it, in one line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The error underneath.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.0.kind.policy() == RetryPolicy::Backoff
    }

    /// The hint, if there is one.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What happened and what to do about it, for where there is one line.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        match self.hint_text() {
            Some(hint) => format!("{self}; {hint}"),
            None => self.to_string(),
        }
    }

    /// The error underneath, if it is a `T`.
    #[must_use]
    pub fn cause<T: StdError + 'static>(&self) -> Option<&T> {
        self.0
            .source
            .as_deref()
            .and_then(|source| source.downcast_ref::<T>())
    }

    /// The message alone, without operation, context and cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if let Some(operation) = &inner.operation {
            write!(f, "while {operation}: ")?;
        }
        f.write_str(&inner.message)?;
        for (index, (key, value)) in inner.context.iter().enumerate() {
            let lead = if index == 0 { " (" } else { ", " };
            write!(f, "{lead}{key} {value}")?;
        }
        if !inner.context.is_empty() {
            f.write_str(")")?;
        }
        let mut cause = inner.source.as_deref().map(|e| e as &dyn StdError);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {self}", self.0.kind.name())?;
        if let Some(hint) = &self.0.hint {
            write!(f, " — {hint}")?;
        }
        Ok(())
    }
}

impl StdError for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_operation_message_context_and_cause_in_this_order() {
        let cause = std::io::Error::other("no space left on device");
        let error = Error::new(ErrorKind::Storage, "cannot write")
            .during("writing the checkpoint")
            .with("file", "shop.checkpoint")
            .hint("free some space")
            .caused_by(cause);
        assert_eq!(
            error.to_string(),
            "while writing the checkpoint: cannot write (file shop.checkpoint): no space left on device"
        );
        assert_eq!(error.hint_text(), Some("free some space"));
        assert!(!error.is_temporary());
    }

    #[test]
    fn what_may_pass_is_temporary() {
        assert!(Error::new(ErrorKind::Connection, "gone").is_temporary());
    }
}
