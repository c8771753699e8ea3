//! Reads Maxwell's text of a filter: `include: db.table`, `exclude: db./regex/.column=value`, with commas that may be left out.

use super::pattern::{Pattern, is_word};
use super::{Action, Rule};
use crate::error::{Error, ErrorKind, Result};

const SHAPE: &str = "a rule is `include:` or `exclude:`, then DATABASE.TABLE or DATABASE.TABLE.COLUMN=VALUE; each part a word, \
                     *, /expression/, or a name in quotes; for example: exclude: *.*, include: shop./^orders/, exclude: shop.orders.state=draft";

pub(super) fn parse(text: &str) -> Result<Vec<Rule>> {
    let mut reader = Reader { text, at: 0 };
    let mut rules = Vec::new();
    loop {
        reader.skip_space();
        if reader.rest().is_empty() {
            return Ok(rules);
        }
        rules.push(reader.rule()?);
        reader.skip_space();
        reader.take(',');
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.rest().starts_with(wanted);
        if is_there {
            self.at += wanted.len_utf8();
        }
        is_there
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn rule(&mut self) -> Result<Rule> {
        let start = self.at;
        let action = match self.word().to_ascii_lowercase().as_str() {
            "include" => Action::Include,
            "exclude" => Action::Exclude,
            "blacklist" => Action::Blacklist,
            _ => return Err(self.unexpected_at(start, "`include`, `exclude` or `blacklist`")),
        };
        self.wanted(':', "`:` behind the keyword")?;
        let database = self.pattern("a database")?;
        self.wanted('.', "`.` and a table")?;
        let table = self.pattern("a table")?;
        self.skip_space();
        let column = if self.take('.') {
            let place = self.at;
            let Pattern::Name(column) = self.pattern("a column")? else {
                self.at = place;
                return Err(self.unexpected("the name of one column"));
            };
            self.wanted('=', "`=` and a value")?;
            Some((column, self.pattern("a value, `null` or `*`")?))
        } else {
            None
        };
        Ok(Rule {
            action,
            database,
            table,
            column,
        })
    }

    fn wanted(&mut self, wanted: char, what: &str) -> Result<()> {
        self.skip_space();
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.unexpected(what))
        }
    }

    fn pattern(&mut self, what: &str) -> Result<Pattern> {
        self.skip_space();
        let start = self.at;
        let in_place = |reader: &Self, error: Error| error.with("column", reader.column(start));
        if self.take('*') {
            return Ok(Pattern::Any);
        }
        if self.take('/') {
            let text = self.expression(start)?;
            return Pattern::expression(text).map_err(|error| in_place(self, error));
        }
        for quote in ['`', '\'', '"'] {
            if self.take(quote) {
                let Some(end) = self.rest().find([quote, '\n']) else {
                    return Err(self.unexpected_at(start, "a quote that closes this one"));
                };
                let text = self.rest().get(..end).unwrap_or_default();
                self.at += end;
                if !self.take(quote) || text.is_empty() {
                    return Err(self.unexpected_at(start, "a name in quotes, on one line"));
                }
                return Pattern::quoted(text).map_err(|error| in_place(self, error));
            }
        }
        match self.word() {
            "" => Err(self.unexpected(what)),
            word => Ok(Pattern::Name(word.to_owned())),
        }
    }

    /// What stands up to the slash that has no backslash before it.
    fn expression(&mut self, start: usize) -> Result<&'a str> {
        let rest = self.rest();
        let mut is_escaped = false;
        for (at, letter) in rest.char_indices() {
            if letter == '/' && !is_escaped {
                self.at += at + 1;
                return Ok(rest.get(..at).unwrap_or_default());
            }
            is_escaped = letter == '\\' && !is_escaped;
        }
        Err(self.unexpected_at(
            start,
            "a `/` that ends this expression (`\\/` stands for one within it)",
        ))
    }

    /// People count letters, from one.
    fn column(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or_default().chars().count() + 1
    }

    fn unexpected(&self, wanted: &str) -> Error {
        self.unexpected_at(self.at, wanted)
    }

    fn unexpected_at(&self, at: usize, wanted: &str) -> Error {
        let rest = self.text.get(at..).unwrap_or_default();
        let mut found: String = rest.chars().take(20).collect();
        if found.is_empty() {
            found = "the end".to_owned();
        } else {
            found = format!("`{found}`");
        }
        let hint = if found.starts_with("`-") || found.starts_with("`$") {
            "a name or value with other characters than letters, digits and _ stands in quotes: `log-1`"
        } else {
            SHAPE
        };
        Error::new(
            ErrorKind::Configuration,
            format!("the filter has {found} where {wanted} should be"),
        )
        .with("column", self.column(at))
        .hint(hint)
    }
}
