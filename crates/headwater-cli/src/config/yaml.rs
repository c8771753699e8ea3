//! YAML as a tree in which every key and value knows its line and column.
//!
//! The parser is the one of `serde-saphyr`, used directly: serde ends at the first error, and knows no position
//! once a value is read, while a person wants all errors of a file at once, each with its place.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::problem::{Place, Problem};

/// The most nodes a file may have, repetitions by alias included.
const NODES_MAX: usize = 100_000;
/// The deepest nesting.
const DEPTH_MAX: usize = 64;

/// A value and its place.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) tree: Tree,
}

/// What a value is, before anybody says what it should be.
#[derive(Clone)]
pub(crate) enum Tree {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A single value as it is written.
#[derive(Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Without quotes: it may be a number, `true`, `false` or nothing.
    pub(crate) is_plain: bool,
    /// What stands in the file, where (part of) it came from the environment: never shown otherwise.
    pub(crate) template: Option<String>,
}

/// A key of a section.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) at: Place,
}

impl Node {
    /// The value under a key of this section, if there is one.
    pub(crate) fn member(&self, name: &str) -> Option<Self> {
        let Tree::Map(entries) = &self.tree else {
            return None;
        };
        let mut entries = entries.iter();
        entries
            .find(|(key, _)| key.name == name)
            .map(|(_, value)| value.clone())
    }
}

impl Tree {
    /// Whether it is the absence of a value: nothing, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(scalar)
            if scalar.is_plain && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Reads a file's one document; none if it is empty.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Problem> {
    let mut reader = Reader {
        text,
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut document = None;
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(..) if document.is_some() => {
                return Err(Problem::at(
                    reader.place(&span),
                    "the file holds a second document; one was expected",
                ));
            }
            Event::DocumentStart(..) => {}
            event => document = Some(reader.node(event, &span, 0)?),
        }
    }
    Ok(document.filter(|node| !node.tree.is_null()))
}

struct Reader<'a> {
    text: &'a str,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    /// The next event that is no comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        loop {
            match self.events.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(pair)) => return Ok(Some(pair)),
                Some(Err(error)) => {
                    let mark = error.marker();
                    let start = mark.byte_offset().unwrap_or(self.text.len());
                    let place = Place {
                        line: mark.line(),
                        column: mark.col() + 1,
                        bytes: start..start,
                    };
                    let message = match self.is_shown(mark.line()) {
                        true => format!("this is not YAML: {}", error.info()),
                        // The parser may repeat what it could not read.
                        false => "this is not YAML".to_owned(),
                    };
                    return Err(Problem::at(place, message)
                        .help("look for a missing space after a colon, a tab, a wrong indentation or an open quote"));
                }
            }
        }
    }

    /// Whether nothing in this line and above may be a secret.
    fn is_shown(&self, line: usize) -> bool {
        let shown = super::mask::secrets(self.text);
        shown.lines().take(line).eq(self.text.lines().take(line))
    }

    fn place(&self, span: &Span) -> Place {
        let end_of_file = self.text.len();
        let start = span.start.byte_offset().unwrap_or(end_of_file);
        let end = span.end.byte_offset().unwrap_or(start);
        Place {
            line: span.start.line(),
            column: span.start.col() + 1,
            bytes: trimmed(self.text, start..end.max(start)),
        }
    }

    fn required(&mut self, at: &Place) -> Result<(Event<'a>, Span), Problem> {
        self.next()?
            .ok_or_else(|| Problem::at(at.clone(), "the file ends in the middle of a value"))
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Problem> {
        let at = self.place(span);
        self.nodes += 1;
        if self.nodes > NODES_MAX || depth > DEPTH_MAX {
            return Err(Problem::at(
                at,
                "the file is too large or too deeply nested",
            ));
        }
        let (tree, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let scalar = Scalar {
                    text: text.into_owned(),
                    is_plain: style == ScalarStyle::Plain,
                    template: None,
                };
                (Tree::Scalar(scalar), anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(&at, depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(&at, depth)?, anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| {
                    Problem::at(at.clone(), "an alias cannot repeat what it is part of")
                })?;
                self.nodes += count(&node);
                return Ok(node);
            }
            _ => return Err(Problem::at(at, "a value was expected here")),
        };
        let node = Node { at, tree };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, at: &Place, depth: usize) -> Result<Tree, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.required(at)?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Tree::List(items));
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, at: &Place, depth: usize) -> Result<Tree, Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.required(at)?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Tree::Map(entries));
            }
            let key = self.node(event, &span, depth + 1)?;
            let Tree::Scalar(scalar) = key.tree else {
                return Err(Problem::at(
                    key.at,
                    "a key is a single word, and this is not",
                ));
            };
            let key = Key {
                name: scalar.text,
                at: key.at,
            };
            let (event, span) = self.required(at)?;
            let value = self.node(event, &span, depth + 1)?;
            entries.push((key, value));
        }
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.tree {
        Tree::Scalar(_) => 0,
        Tree::List(items) => items.iter().map(count).sum(),
        Tree::Map(entries) => entries.iter().map(|(_, value)| count(value)).sum(),
    }
}

/// The range without the white space at its end (a section's span goes on to the next key).
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let inside = text.get(range.clone()).unwrap_or_default();
    range.start..range.start + inside.trim_end().len()
}
