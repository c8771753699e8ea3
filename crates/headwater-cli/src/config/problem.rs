//! What is wrong with a configuration, where, and how it is shown: by miette, with the line in question. Secrets are
//! blotted out before anything is shown.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
    ThemeCharacters, ThemeStyles,
};

use super::mask;

/// So many problems are shown at once.
const PROBLEMS_MAX: usize = 12;

/// A place in a file: line and column from 1, and the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) bytes: Range<usize>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) at: Option<Place>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn at(place: Place, message: impl Into<String>) -> Self {
        Self {
            at: Some(place),
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A file that is refused, with all that is wrong with it.
#[derive(Clone)]
pub(crate) struct Refused {
    file: String,
    /// The file's text with its secrets blotted out.
    shown: Arc<str>,
    pub(crate) problems: Vec<Problem>,
}

impl Refused {
    pub(crate) fn new(file: impl Into<String>, text: &str, problems: Vec<Problem>) -> Self {
        Self {
            file: file.into(),
            shown: mask::secrets(text).into(),
            problems,
        }
    }

    /// The same file with other problems.
    pub(crate) fn with(&self, problems: Vec<Problem>) -> Self {
        Self {
            problems,
            ..self.clone()
        }
    }

    /// One problem in a line, without the snippet: `shop.yaml:3:5: unknown key …`.
    pub(crate) fn line(&self, problem: &Problem) -> String {
        match &problem.at {
            Some(at) => format!(
                "{}:{}:{}: {}",
                self.file, at.line, at.column, problem.message
            ),
            None => format!("{}: {}", self.file, problem.message),
        }
    }

    /// All problems, each with its line of the file.
    pub(crate) fn render(&self, with_color: bool) -> String {
        let theme = GraphicalTheme {
            characters: ThemeCharacters {
                error: "error:".into(),
                ..ThemeCharacters::unicode()
            },
            styles: if with_color {
                ThemeStyles::ansi()
            } else {
                ThemeStyles::none()
            },
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_context_lines(1)
            .with_links(false)
            .with_width(110);
        let mut all = String::new();
        for problem in self.problems.iter().take(PROBLEMS_MAX) {
            let mut out = String::new();
            let shown = Shown {
                problem,
                source: NamedSource::new(&self.file, Arc::clone(&self.shown)),
            };
            if handler.render_report(&mut out, &shown).is_err() {
                out.push_str(&self.line(problem));
                out.push('\n');
            }
            // Without miette's margin, it begins as every other error does.
            all.push_str(out.trim_start());
        }
        let hidden = self.problems.len().saturating_sub(PROBLEMS_MAX);
        if hidden > 0 {
            all.push_str(&format!("… and {hidden} more\n"));
        }
        all
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.problems.iter().map(|problem| self.line(problem)))
            .finish()
    }
}

struct Shown<'a> {
    problem: &'a Problem,
    source: NamedSource<Arc<str>>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.problem.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.problem.at.as_ref()?;
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let at = self.problem.at.as_ref()?;
        // One line of it is enough.
        let text = self.source.inner();
        let inside = text.get(at.bytes.clone()).unwrap_or_default();
        let length = inside.lines().next().map_or(0, str::len);
        let label = LabeledSpan::new(None, at.bytes.start, length);
        Some(Box::new(std::iter::once(label)))
    }
}
