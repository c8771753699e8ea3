//! What a rule compares a name or a value with.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, ErrorKind, Result};

/// A name, an expression, or anything.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// `*`.
    Any,
    /// A word, or what stood in quotes: this and nothing else.
    Name(String),
    /// `/expression/`: a text in which it is found. With its text as it was written.
    Expression(String, Regex),
}

/// Letters that mean something in an expression. A dot is too common in names, and a dash and a dollar sign mean
/// nothing amid one.
const MEANINGFUL: &str = "*+?()[]{}|\\^";

impl Pattern {
    /// The name that stood in quotes. Maxwell takes it for an expression: what would be another thing there is refused.
    pub(super) fn quoted(text: &str) -> Result<Self> {
        if text.contains(|letter| MEANINGFUL.contains(letter)) {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("`{text}` in quotes could be a name or an expression"),
            )
            .hint("write an expression as /…/; a name with such characters as /^…$/ with a \\ before each of them"));
        }
        Ok(Self::Name(text.to_owned()))
    }

    /// An expression, as it stands between its slashes.
    ///
    /// # Errors
    /// `Configuration` if it is none.
    pub fn expression(text: &str) -> Result<Self> {
        match Regex::new(text) {
            Ok(regex) => Ok(Self::Expression(text.to_owned(), regex)),
            Err(cause) => {
                let said = cause.to_string();
                let reason = said.lines().last().unwrap_or_default();
                let reason = reason.trim().trim_start_matches("error: ").to_owned();
                Err(Error::new(
                    ErrorKind::Configuration,
                    format!("`/{text}/` is no expression that can be used: {reason}"),
                )
                .hint("look-around and back-references are not known here; a rule behind it that excludes does what a negative one would"))
            }
        }
    }

    /// The same for names that a server has in lower case, whatever the letter case they were given in.
    pub(super) fn folded(&self) -> Self {
        match self {
            Self::Any => Self::Any,
            Self::Name(name) => {
                let lower = |letter: char| letter.to_lowercase().next().unwrap_or(letter);
                Self::Name(name.chars().map(lower).collect())
            }
            Self::Expression(text, regex) => {
                let anyhow = RegexBuilder::new(text).case_insensitive(true).build();
                // What could be read once can be read so, too.
                Self::Expression(text.clone(), anyhow.unwrap_or_else(|_| regex.clone()))
            }
        }
    }

    /// Whether `text` is what is meant.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Name(name) => name == text,
            Self::Expression(_, regex) => regex.is_match(text),
        }
    }

    /// Whether it is the word for NULL.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Name(name) if name.eq_ignore_ascii_case("null"))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Name(a), Self::Name(b)) | (Self::Expression(a, _), Self::Expression(b, _)) => {
                a == b
            }
            _ => false,
        }
    }
}

impl Eq for Pattern {}

/// Whether a letter may stand in a word without quotes.
pub(super) fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) if !name.is_empty() && name.chars().all(is_word) => f.write_str(name),
            Self::Name(name) => {
                let free = ['`', '\'', '"'].into_iter().find(|q| !name.contains(*q));
                let quote = free.unwrap_or('"');
                write!(f, "{quote}{name}{quote}")
            }
            Self::Expression(text, _) => write!(f, "/{text}/"),
        }
    }
}
