//! What a check before a run has found: of a source, of a sink.

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// A run works, with a limit that is said.
    Warning,
    /// A run would not work.
    Failed,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// How it went.
    pub level: Level,
    /// What is there.
    pub found: String,
    /// What is needed, or what follows; empty where all is well.
    pub expected: String,
    /// What mends it, word for word: SQL, a command.
    pub mend: Option<String>,
}

impl Finding {
    /// A finding.
    #[must_use]
    pub fn new(level: Level, name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            level,
            found: found.into(),
            expected: String::new(),
            mend: None,
        }
    }

    /// It is as it should be.
    #[must_use]
    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Ok, name, found)
    }

    /// A run works, with a limit.
    #[must_use]
    pub fn warning(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Warning, name, found)
    }

    /// A run would not work.
    #[must_use]
    pub fn failed(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Failed, name, found)
    }

    /// Says what is needed, or what follows.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// Says what mends it.
    #[must_use]
    pub fn mend(mut self, words: impl Into<String>) -> Self {
        self.mend = Some(words.into());
        self
    }
}
