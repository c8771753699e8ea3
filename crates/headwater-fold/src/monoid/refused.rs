//! Why an operation was refused.

use std::borrow::Cow;
use std::fmt;

use headwater_core::{Error, ErrorKind};

/// The kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The result is beyond what the value can hold; nothing wraps around.
    Overflow,
    /// The input is nothing that this monoid can add.
    Unsuitable,
    /// Bytes that were not written by this version, or not whole.
    Damaged,
    /// The monoid cannot take back, or not from this value.
    NotInvertible,
    /// Values or bytes of other parameters (another precision, another size).
    Differs,
}

/// An operation that was refused: nothing was changed. One pointer wide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(Box<(Refusal, Cow<'static, str>)>);

impl Refused {
    /// A refusal of `kind`, with what was refused in a few words.
    pub fn new(kind: Refusal, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new((kind, message.into())))
    }

    /// The result of `what` would be beyond its bounds.
    pub fn overflow(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Refusal::Overflow, what)
    }

    /// An input that cannot be added.
    pub fn unsuitable(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Refusal::Unsuitable, what)
    }

    /// Bytes that are no value.
    pub fn damaged(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Refusal::Damaged, what)
    }

    /// `monoid` cannot take back.
    #[must_use]
    pub fn not_invertible(monoid: Cow<'static, str>) -> Self {
        let message = format!("{monoid} cannot take back what was added");
        Self::new(Refusal::NotInvertible, message)
    }

    /// Values of other parameters.
    pub fn differs(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Refusal::Differs, what)
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Refusal {
        self.0.0
    }

    /// What was refused.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.1
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let (kind, hint) = match refused.kind() {
            Refusal::Overflow => (
                ErrorKind::SinkRejected,
                "fold by a finer key or a smaller window, or with larger bounds",
            ),
            Refusal::Unsuitable => (
                ErrorKind::SinkRejected,
                "filter such rows out, or fold another column",
            ),
            Refusal::Damaged => (
                ErrorKind::Malformed,
                "fold again into a fresh generation of the store",
            ),
            Refusal::NotInvertible => (
                ErrorKind::Unsupported,
                "choose what updates and deletes shall do to this fold, or a monoid that can take back",
            ),
            Refusal::Differs => (
                ErrorKind::Configuration,
                "use the parameters that the state was made with, or a fresh generation of the store",
            ),
        };
        Self::new(kind, refused.to_string()).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_becomes_an_error_that_says_what_to_do_and_is_not_tried_again() {
        let kinds = [
            (Refusal::Overflow, ErrorKind::SinkRejected),
            (Refusal::Unsuitable, ErrorKind::SinkRejected),
            (Refusal::Damaged, ErrorKind::Malformed),
            (Refusal::NotInvertible, ErrorKind::Unsupported),
            (Refusal::Differs, ErrorKind::Configuration),
        ];
        for (refusal, kind) in kinds {
            let error = Error::from(Refused::new(refusal, "a sum beyond 128 bits"));
            assert_eq!(error.kind(), kind);
            assert!(!error.is_temporary() && error.hint_text().is_some());
            assert_eq!(error.message(), "a sum beyond 128 bits");
        }
    }
}
