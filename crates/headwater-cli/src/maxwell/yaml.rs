//! A small tree as YAML: keys in the order in which they came, every text in quotes.

use serde_json::{Map, Value};

/// A tree that is filled by paths: `events.encrypt`.
#[derive(Debug, Default)]
pub(super) struct Tree(Map<String, Value>);

impl Tree {
    /// Puts a value at a path. What stood there goes.
    pub(super) fn set(&mut self, path: &str, value: impl Into<Value>) {
        let mut names: Vec<&str> = path.split('.').collect();
        let last = names.pop().unwrap_or_default();
        self.set_below(&names, last, value.into());
    }

    /// The same where the last name has dots of its own.
    pub(super) fn set_below(&mut self, sections: &[&str], name: &str, value: Value) {
        let mut map = &mut self.0;
        for section in sections {
            let below = map.entry(*section).or_insert_with(|| Map::new().into());
            let Value::Object(found) = below else { return };
            map = found;
        }
        map.insert(name.to_owned(), value);
    }

    pub(super) fn has(&self, path: &str) -> bool {
        let mut names = path.split('.');
        let first = names.next().and_then(|name| self.0.get(name));
        names
            .try_fold(first, |found, name| Some(found?.get(name)))
            .flatten()
            .is_some()
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        push(&mut out, &self.0, 0);
        out
    }
}

/// A text of which nothing is taken for a variable.
pub(super) fn plain(text: &str) -> Value {
    text.replace("${", "$${").into()
}

fn push(out: &mut String, map: &Map<String, Value>, depth: usize) {
    for (name, value) in map {
        out.push_str(&"  ".repeat(depth));
        let is_word = name
            .chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_');
        if is_word {
            out.push_str(name);
        } else {
            out.push_str(&Value::from(name.as_str()).to_string());
        }
        match value {
            Value::Object(below) => {
                out.push_str(":\n");
                push(out, below, depth + 1);
            }
            // A text of JSON, a number, a list of texts: all of it is YAML, too.
            other => {
                out.push_str(": ");
                out.push_str(&other.to_string());
                out.push('\n');
            }
        }
    }
}
