//! Names of character sets and collations.

use std::sync::Arc;

/// A character set's name as servers of today give it.
pub(crate) fn charset_name(name: &str) -> Arc<str> {
    let name = name.to_ascii_lowercase();
    if name == "utf8" {
        "utf8mb3".into()
    } else {
        name.into()
    }
}

/// A collation's name as servers of today give it.
pub(crate) fn collation_name(name: &str) -> Arc<str> {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("utf8_") {
        Some(rest) => format!("utf8mb3_{rest}").into(),
        None => name.into(),
    }
}

/// The character set that a collation belongs to; `None` for one of MariaDB's that fits several (`uca1400_ai_ci`).
pub(crate) fn charset_of_collation(collation: &str) -> Option<Arc<str>> {
    let collation = collation_name(collation);
    let charset = collation.split('_').next().unwrap_or(&collation);
    (charset != "uca1400").then(|| charset_name(charset))
}

/// What a statement says of a character set: both, one or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Charset {
    /// The character set.
    pub charset: Option<Arc<str>>,
    /// The collation.
    pub collation: Option<Arc<str>>,
}

impl Charset {
    pub(crate) fn set_charset(&mut self, name: &str) {
        self.charset = Some(charset_name(name));
    }

    pub(crate) fn set_collation(&mut self, name: &str) {
        self.collation = Some(collation_name(name));
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.charset.is_none() && self.collation.is_none()
    }

    /// The character set and collation that are meant, where `default` holds for what was not said. The collation is
    /// empty where only the server knows it (a character set's own default).
    #[must_use]
    pub fn resolve(&self, default: &Self) -> Option<(Arc<str>, Arc<str>)> {
        let named = self.collation.as_deref().and_then(charset_of_collation);
        let charset = self.charset.clone().or(named);
        let charset = match charset {
            Some(charset) => charset,
            None => {
                let named = default.collation.as_deref().and_then(charset_of_collation);
                default.charset.clone().or(named)?
            }
        };
        let collation = match &self.collation {
            Some(collation) => Some(collation),
            None if self.charset.is_none() => default.collation.as_ref(),
            None => None,
        };
        let collation = match collation {
            Some(collation) if collation.starts_with("uca1400_") => {
                format!("{charset}_{collation}").into()
            }
            Some(collation) => Arc::clone(collation),
            None => Arc::from(""),
        };
        Some((charset, collation))
    }
}
