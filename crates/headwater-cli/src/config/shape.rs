//! Checks a file's tree against the JSON schema that is generated from the Rust types: keys, types, choices and bounds are
//! written once, there. Everything that is wrong is collected, with its place, what was found and what was expected.
//!
//! A value means what its place wants it to mean: `password: 0123` is a text there, with its zero.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value};

use super::mask;
use super::problem::{Place, Problem};
use super::yaml::{Key, Node, Scalar, Tree};

/// A tree that has the right shape.
#[derive(Debug)]
pub(crate) struct Shaped {
    /// The values, for serde.
    pub(crate) value: Value,
    /// Where each value stands, by its path: `mysql.tables[0].name`.
    pub(crate) places: HashMap<String, Place>,
}

/// Checks `node` against `schema`; adds to `problems` and answers what is right.
pub(crate) fn check(node: &Node, schema: &Value, problems: &mut Vec<Problem>) -> Shaped {
    let mut checker = Checker {
        root: schema,
        places: HashMap::new(),
        problems,
    };
    let value = checker.value(node, schema, "", None);
    Shaped {
        value: value.unwrap_or(Value::Null),
        places: checker.places,
    }
}

struct Checker<'a> {
    root: &'a Value,
    places: HashMap<String, Place>,
    problems: &'a mut Vec<Problem>,
}

/// Keys of earlier versions of the migration, refused with what took their place.
const REMOVED: [(&str, &str); 3] = [
    (
        "normalized",
        "remove it: every measurement is a column of its own now",
    ),
    (
        "type_field",
        "list the columns under `measurements` instead, each with name and type",
    ),
    (
        "value_field",
        "list the columns under `measurements` instead, each with name and type",
    ),
];

impl<'a> Checker<'a> {
    fn value(
        &mut self,
        node: &Node,
        schema: &'a Value,
        path: &str,
        key: Option<&str>,
    ) -> Option<Value> {
        self.places.insert(path.to_owned(), node.at.clone());
        let (schema, may_be_null) = self.resolve_for(schema, &node.tree);
        if schema["x-free"] == true {
            return Some(free(node));
        }
        // `sink: null` is the sink of that name, not the absence of one.
        let is_word = schema["x-null-is-a-word"] == true
            && matches!(&node.tree, Tree::Scalar(scalar) if scalar.text == "null");
        if is_word {
            return Some("null".into());
        }
        if node.tree.is_null() && (may_be_null || types(schema).any(|one| one == "null")) {
            return Some(Value::Null);
        }
        if node.tree.is_null() {
            self.mismatch(node, schema, path, key);
            return None;
        }
        match &node.tree {
            Tree::Map(entries) if is(schema, "object") => {
                Some(self.section(entries, node, schema, path))
            }
            Tree::List(items) if is(schema, "array") => Some(self.list(items, schema, path, key)),
            Tree::Scalar(scalar) => {
                let read = scalar_value(scalar, schema);
                if read.is_none() {
                    self.mismatch(node, schema, path, key);
                }
                read.and_then(|value| self.bounded(value, node, schema, path))
            }
            Tree::Map(_) | Tree::List(_) => {
                self.mismatch(node, schema, path, key);
                None
            }
        }
    }

    /// The same as [`Checker::resolve`]; of several forms that a value may have, the one for a tree of this kind.
    fn resolve_for(&self, schema: &'a Value, tree: &Tree) -> (&'a Value, bool) {
        let (resolved, may_be_null) = self.resolve(schema);
        let kind = match tree {
            Tree::Map(_) => "object",
            Tree::List(_) => "array",
            Tree::Scalar(_) => return (resolved, may_be_null),
        };
        let mut forms = vec![schema];
        let mut seen = 0;
        while let Some(form) = forms.pop() {
            seen += 1;
            if is(form, kind) || seen > 32 {
                return (form, may_be_null);
            }
            if let Some(name) = form["$ref"].as_str() {
                let name = name.rsplit('/').next().unwrap_or_default();
                forms.push(&self.root["$defs"][name]);
            }
            forms.extend(form["anyOf"].as_array().into_iter().flatten());
        }
        (resolved, may_be_null)
    }

    /// Follows references, and takes the real schema out of "this or null".
    fn resolve(&self, mut schema: &'a Value) -> (&'a Value, bool) {
        let mut may_be_null = false;
        loop {
            if let Some(name) = schema["$ref"].as_str() {
                let name = name.rsplit('/').next().unwrap_or_default();
                schema = &self.root["$defs"][name];
            } else if let Some(choices) = schema["anyOf"].as_array() {
                let real = choices.iter().find(|choice| choice["type"] != "null");
                may_be_null |= choices.iter().any(|choice| choice["type"] == "null");
                let Some(real) = real else {
                    return (schema, may_be_null);
                };
                schema = real;
            } else {
                return (schema, may_be_null);
            }
        }
    }

    fn section(
        &mut self,
        entries: &[(Key, Node)],
        node: &Node,
        schema: &'a Value,
        path: &str,
    ) -> Value {
        let mut out = Map::new();
        let properties = schema["properties"].as_object();
        let mut secret_line = None;
        for (key, value) in entries {
            let known = properties.and_then(|known| known.get(&key.name));
            // A section whose keys are somebody else's, such as a client's properties.
            let any = Some(&schema["additionalProperties"]).filter(|any| any.is_object());
            let Some(property) = known.or(any) else {
                if secret_line == Some(key.at.line) {
                    self.hidden_key(key);
                } else {
                    self.unknown_key(key, schema, path);
                }
                if mask::is_secret(&key.name) {
                    secret_line = Some(key.at.line);
                }
                continue;
            };
            if mask::is_secret(&key.name) {
                secret_line = Some(key.at.line);
            }
            if out.contains_key(&key.name) {
                self.problems.push(Problem::at(
                    key.at.clone(),
                    format!("`{}` stands here twice", key.name),
                ));
                continue;
            }
            let path = join(path, &key.name);
            let read = self.value(value, property, &path, Some(&key.name));
            out.insert(key.name.clone(), read.unwrap_or(Value::Null));
        }
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if out.get(name).is_none() {
                self.problems.push(
                    Problem::at(
                        node.at.clone(),
                        format!("`{name}` is missing{}", in_section(path)),
                    )
                    .help(format!("add `{name}: …`{}", self.meaning(schema, name))),
                );
            }
        }
        // Only what is known goes on to serde.
        Value::Object(out)
    }

    fn meaning(&self, schema: &'a Value, name: &str) -> String {
        let property = &schema["properties"][name];
        let text = property["description"].as_str().unwrap_or_default();
        match text.lines().next() {
            Some(line) if !line.is_empty() => format!(" ({})", line.trim_end_matches('.')),
            _ => String::new(),
        }
    }

    fn list(&mut self, items: &[Node], schema: &'a Value, path: &str, key: Option<&str>) -> Value {
        let item_schema = &schema["items"];
        let mut out = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            out.push(
                self.value(item, item_schema, &path, key)
                    .unwrap_or(Value::Null),
            );
        }
        Value::Array(out)
    }

    /// In `{password: a,b}` the key `b` is a part of the password.
    fn hidden_key(&mut self, key: &Key) {
        let message = "an unknown key stands behind a secret in the same line, and is not shown";
        let help = "put a secret with a comma, a brace or a bracket in quotes; check the keys of this line";
        self.problems
            .push(Problem::at(key.at.clone(), message).help(help));
    }

    fn unknown_key(&mut self, key: &Key, schema: &Value, path: &str) {
        let known: Vec<&str> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        let shown: String = key.name.chars().take(60).collect();
        let message = format!("unknown key `{shown}`{}", in_section(path));
        let expected = format!("expected: {}", known.join(", "));
        let help = if let Some((_, help)) = REMOVED.iter().find(|(name, _)| *name == key.name) {
            (*help).to_owned()
        } else if let Some(near) = nearest(&key.name, known.iter().copied()) {
            format!("did you mean `{near}`? {expected}")
        } else if let Some(section) = self.section_with(&key.name) {
            format!("it belongs {section}; {expected}")
        } else {
            expected
        };
        self.problems
            .push(Problem::at(key.at.clone(), message).help(help));
    }

    /// Where in the file a key of this name is known: "under `connections.mysql`".
    fn section_with(&self, name: &str) -> Option<String> {
        let mut open = VecDeque::from([(String::new(), self.root, 0)]);
        while let Some((path, schema, depth)) = open.pop_front() {
            let (schema, _) = self.resolve(schema);
            if schema["items"].is_object() {
                open.push_back((path, &schema["items"], depth + 1));
                continue;
            }
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                if key == name {
                    let place = if path.is_empty() {
                        "at the top of the file".to_owned()
                    } else {
                        format!("under `{path}`")
                    };
                    return Some(place);
                }
                if depth < 8 {
                    open.push_back((join(&path, key), property, depth + 1));
                }
            }
        }
        None
    }

    fn mismatch(&mut self, node: &Node, schema: &Value, path: &str, key: Option<&str>) {
        let is_secret = key.is_some_and(mask::is_secret);
        let name = if path.is_empty() { "the file" } else { path };
        let message = format!(
            "{name} is {}, and should be {}",
            found(node, is_secret),
            expected(schema)
        );
        let mut problem = Problem::at(node.at.clone(), message);
        if let Tree::Scalar(scalar) = &node.tree {
            let choices: Vec<String> = choices(schema).collect();
            let near = nearest(scalar.text.trim(), choices.iter().map(String::as_str));
            if let Some(near) = near.filter(|_| scalar.template.is_none()) {
                problem = problem.help(format!("did you mean `{near}`?"));
            } else if !scalar.is_plain
                && scalar.template.is_none()
                && unquoted_would_do(scalar, schema)
            {
                problem = problem.help("leave the quotes out");
            }
        } else if is(schema, "array") && matches!(node.tree, Tree::Map(_)) {
            problem = problem.help("begin each item of a list with `- `");
        }
        self.problems.push(problem);
    }

    fn bounded(&mut self, value: Value, node: &Node, schema: &Value, path: &str) -> Option<Value> {
        let Some(number) = value.as_i64() else {
            let is_empty = value.as_str().is_some_and(str::is_empty);
            if is_empty && schema["minLength"].as_u64().unwrap_or(0) > 0 {
                self.problems
                    .push(Problem::at(node.at.clone(), format!("{path} is empty")));
                return None;
            }
            return Some(value);
        };
        let (low, high) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
        if low.is_none_or(|low| number >= low) && high.is_none_or(|high| number <= high) {
            return Some(value);
        }
        let expected = match (low, high) {
            (Some(low), Some(high)) => format!("from {low} to {high}"),
            (Some(low), None) => format!("{low} or more"),
            (None, Some(high)) => format!("{high} or less"),
            (None, None) => String::new(),
        };
        let message = format!("{path} is {}, and should be {expected}", found(node, false));
        self.problems.push(Problem::at(node.at.clone(), message));
        None
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn in_section(path: &str) -> String {
    if path.is_empty() {
        " at the top of the file".to_owned()
    } else {
        format!(" in `{path}`")
    }
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let (one, many) = match &schema["type"] {
        Value::Array(many) => (None, many.as_slice()),
        one => (one.as_str(), [].as_slice()),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}

fn is(schema: &Value, kind: &str) -> bool {
    types(schema).any(|one| one == kind)
}

/// The words that are allowed, where only some are.
fn choices(schema: &Value) -> impl Iterator<Item = String> {
    let listed = schema["enum"].as_array().into_iter().flatten().cloned();
    let described = schema["oneOf"].as_array().into_iter().flatten();
    let described = described.flat_map(|one| {
        let many = one["enum"].as_array().cloned().unwrap_or_default();
        many.into_iter().chain(one.get("const").cloned())
    });
    let all: Vec<Value> = listed.chain(described).collect();
    all.into_iter()
        .filter_map(|choice| choice.as_str().map(str::to_owned))
}

fn scalar_value(scalar: &Scalar, schema: &Value) -> Option<Value> {
    let text = scalar.text.as_str();
    let mut choices = choices(schema).peekable();
    if choices.peek().is_some() {
        // Any letter case, and no white space: as the migration reads its own choices.
        let wanted = text.trim().to_lowercase();
        return choices
            .find(|choice| choice.to_lowercase() == wanted)
            .map(Value::String);
    }
    let is_text = is(schema, "string");
    // What a variable holds has no quotes to tell by.
    let may_be_number = scalar.is_plain || scalar.template.is_some() || is_text;
    if is(schema, "integer")
        && may_be_number
        && let Ok(number) = text.trim().parse::<i64>()
    {
        return Some(number.into());
    }
    if is(schema, "boolean") && (scalar.is_plain || scalar.template.is_some()) {
        match text.trim() {
            "true" | "True" | "TRUE" => return Some(true.into()),
            "false" | "False" | "FALSE" => return Some(false.into()),
            _ => {}
        }
    }
    // Text or number means a number that may be quoted.
    (is_text && !is(schema, "integer")).then(|| text.into())
}

/// A value whose form somebody else knows.
fn free(node: &Node) -> Value {
    match &node.tree {
        Tree::Map(entries) => {
            let members = entries.iter();
            Value::Object(
                members
                    .map(|(key, value)| (key.name.clone(), free(value)))
                    .collect(),
            )
        }
        Tree::List(items) => Value::Array(items.iter().map(free).collect()),
        Tree::Scalar(scalar) if node.tree.is_null() && scalar.is_plain => Value::Null,
        Tree::Scalar(scalar) => {
            let read = scalar
                .is_plain
                .then(|| serde_json::from_str(scalar.text.trim()).ok());
            let is_plain_value = |value: &Value| value.is_number() || value.is_boolean();
            let read = read.flatten().filter(is_plain_value);
            read.unwrap_or_else(|| scalar.text.as_str().into())
        }
    }
}

fn unquoted_would_do(scalar: &Scalar, schema: &Value) -> bool {
    let plain = Scalar {
        is_plain: true,
        ..scalar.clone()
    };
    scalar_value(&plain, schema).is_some()
}

fn found(node: &Node, is_secret: bool) -> String {
    match &node.tree {
        Tree::Map(_) => "a section of keys".to_owned(),
        Tree::List(_) => "a list".to_owned(),
        Tree::Scalar(_) if is_secret => "a single value".to_owned(),
        Tree::Scalar(_) if node.tree.is_null() => "empty".to_owned(),
        Tree::Scalar(scalar) => match &scalar.template {
            Some(template) => format!("what `{template}` holds"),
            None => {
                let mut shown: String = mask::urls(&scalar.text).chars().take(60).collect();
                if shown.len() < scalar.text.len() {
                    shown.push('…');
                }
                let kind = if scalar.is_plain { "" } else { "the text " };
                format!("{kind}`{shown}`")
            }
        },
    }
}

fn expected(schema: &Value) -> String {
    let choices: Vec<String> = choices(schema).collect();
    if !choices.is_empty() {
        return format!("one of {}", choices.join(", "));
    }
    let kinds: Vec<String> = types(schema)
        .filter_map(|kind| match kind {
            "object" => {
                let keys = schema["properties"].as_object().into_iter().flatten();
                let keys: Vec<&str> = keys.map(|(name, _)| name.as_str()).collect();
                Some(format!("a section of keys ({})", keys.join(", ")))
            }
            "array" => Some("a list".to_owned()),
            "integer" => Some("a whole number".to_owned()),
            "boolean" => Some("true or false".to_owned()),
            "string" if !is(schema, "integer") => Some("a text".to_owned()),
            _ => None,
        })
        .collect();
    kinds.join(" or ")
}

/// The known word that was probably meant.
fn nearest<'b>(word: &str, known: impl Iterator<Item = &'b str>) -> Option<&'b str> {
    let word = word.to_lowercase().replace('-', "_");
    let near = known
        .map(|known| (strsim::damerau_levenshtein(&word, known), known))
        .min_by_key(|(distance, _)| *distance)?;
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    (near.0 <= allowed).then_some(near.1)
}
