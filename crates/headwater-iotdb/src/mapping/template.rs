//! The path of a device, with columns in it: `root.plant.pump_{pumpId}`, or `root.plant.${pumpId}`.

use std::fmt::Write as _;

use headwater_core::{Error, ErrorKind, Result};

/// A device's path with places for columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Template {
    nodes: Vec<Vec<Part>>,
    /// The columns in it, each once.
    columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A column, by its place among the template's.
    Column(usize),
}

impl Template {
    /// Reads a template. Dots part its nodes, but not within `{…}` or back-quotes.
    ///
    /// # Errors
    /// `Configuration`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refuse = |what: &'static str| {
            Err(Error::new(ErrorKind::Configuration, what)
                .with("template", text)
                .hint("write a path with columns in braces, such as root.plant.pump_{pumpId}"))
        };
        let mut nodes = vec![Vec::new()];
        let mut columns: Vec<String> = Vec::new();
        let mut literal = String::new();
        let mut quoted = false;
        let mut chars = text.chars().peekable();
        let end = |nodes: &mut Vec<Vec<Part>>, literal: &mut String| {
            if let Some(node) = nodes.last_mut()
                && !literal.is_empty()
            {
                node.push(Part::Text(std::mem::take(literal)));
            }
        };
        while let Some(c) = chars.next() {
            match c {
                '`' if quoted && chars.peek() == Some(&'`') => {
                    chars.next();
                    literal.push('`');
                }
                '`' => quoted = !quoted,
                '$' if chars.peek() == Some(&'{') => {}
                '{' => {
                    end(&mut nodes, &mut literal);
                    let mut column = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some('{') | None => {
                                return refuse("a device template has a brace that is not closed");
                            }
                            Some(c) => column.push(c),
                        }
                    }
                    let column = column.trim().to_owned();
                    if column.is_empty() {
                        return refuse("a device template has braces without a column");
                    }
                    let known = columns.iter().position(|known| *known == column);
                    let place = known.unwrap_or(columns.len());
                    if known.is_none() {
                        columns.push(column);
                    }
                    if let Some(node) = nodes.last_mut() {
                        node.push(Part::Column(place));
                    }
                }
                '}' => return refuse("a device template has a brace that was not opened"),
                '.' if !quoted => {
                    end(&mut nodes, &mut literal);
                    nodes.push(Vec::new());
                }
                c => literal.push(c),
            }
        }
        end(&mut nodes, &mut literal);
        if quoted {
            return refuse("a device template has a back-quote that is not closed");
        }
        if nodes.iter().any(Vec::is_empty) {
            return refuse("a device template has an empty node");
        }
        Ok(Self { nodes, columns })
    }

    /// Whether it begins as every path of the tree model does, and has more than that.
    pub(crate) fn is_path(&self) -> bool {
        self.nodes.len() > 1 && self.nodes[0] == [Part::Text("root".to_owned())]
    }

    /// The pattern of all its devices, for `SHOW` statements.
    pub(crate) fn pattern(&self) -> String {
        let nodes = self.nodes.iter().map(|parts| {
            let is_open = parts.iter().any(|part| matches!(part, Part::Column(_)));
            let text = parts.iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Column(_) => "*",
            });
            let text: String = text.collect();
            // A node is a name, or a name with a star at its end; more would be no pattern.
            match (is_open, text.strip_suffix('*')) {
                (false, _) => node(&text),
                (true, Some(front)) if is_plain(front) => text,
                (true, _) => "*".to_owned(),
            }
        });
        nodes.collect::<Vec<_>>().join(".")
    }

    /// Whether both make the same paths of equal values, whatever their columns are called.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let is_alike = |(mine, theirs): (&Part, &Part)| match (mine, theirs) {
            (Part::Column(_), Part::Column(_)) => true,
            (mine, theirs) => mine == theirs,
        };
        let mut pairs = self.nodes.iter().zip(&other.nodes);
        self.nodes.len() == other.nodes.len()
            && pairs.all(|(mine, theirs)| {
                mine.len() == theirs.len() && mine.iter().zip(theirs).all(is_alike)
            })
    }

    /// Whether a path may be one of its devices.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let Some(nodes) = nodes(path) else {
            return false;
        };
        let mut pairs = self.nodes.iter().zip(&nodes);
        self.nodes.len() == nodes.len() && pairs.all(|(parts, node)| fits(parts, node))
    }

    /// The columns in it, each once.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Appends the path; `value` appends the text of a column, by its place among [`Template::columns`], or says why there is none.
    pub(crate) fn render(
        &self,
        out: &mut String,
        mut value: impl FnMut(usize, &mut String) -> Result<(), String>,
    ) -> Result<(), String> {
        for (at, parts) in self.nodes.iter().enumerate() {
            if at > 0 {
                out.push('.');
            }
            let begin = out.len();
            for part in parts {
                match part {
                    Part::Text(text) => out.push_str(text),
                    Part::Column(column) => value(*column, out)?,
                }
            }
            let node = out.get(begin..).unwrap_or_default();
            if node.is_empty() {
                return Err("the device's path has an empty node".to_owned());
            }
            if !is_plain(node) {
                let node = out.split_off(begin);
                push_node(out, &node);
            }
        }
        Ok(())
    }
}

/// Whether a node can be these parts, each column being any text.
fn fits(parts: &[Part], node: &str) -> bool {
    match parts.split_first() {
        None => node.is_empty(),
        Some((Part::Text(text), rest)) => {
            (node.strip_prefix(text.as_str())).is_some_and(|left| fits(rest, left))
        }
        Some((Part::Column(_), [])) => true,
        Some((Part::Column(_), rest)) => {
            let starts = node.char_indices().map(|(at, _)| at).chain([node.len()]);
            let mut lefts = starts.filter_map(|at| node.get(at..));
            lefts.any(|left| fits(rest, left))
        }
    }
}

/// The nodes of a path, without their back-quotes; none of what is no path.
pub(crate) fn nodes(path: &str) -> Option<Vec<String>> {
    let mut nodes = vec![String::new()];
    let mut quoted = false;
    let mut chars = path.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '`' if quoted && chars.peek() == Some(&'`') => {
                chars.next();
                nodes.last_mut()?.push('`');
            }
            '`' => quoted = !quoted,
            '.' if !quoted => nodes.push(String::new()),
            c => nodes.last_mut()?.push(c),
        }
    }
    (!quoted).then_some(nodes)
}

/// Whether IoTDB takes a node as it stands: letters, digits, underscores and the range of CJK and beyond, not beginning with a
/// digit. (apache/iotdb-docs, "Identifiers".)
fn is_plain(node: &str) -> bool {
    let bytes = node.as_bytes();
    let begins = bytes.first().is_some_and(|byte| !byte.is_ascii_digit());
    if bytes.is_ascii() {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        return begins && bytes.iter().all(allowed);
    }
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || c == '_' || ('\u{2E80}'..='\u{9FFF}').contains(&c);
    begins && node.chars().all(allowed)
}

/// Appends a node of a path, in back-quotes where it needs them.
pub(crate) fn push_node(out: &mut String, node: &str) {
    if is_plain(node) {
        out.push_str(node);
        return;
    }
    out.push('`');
    for c in node.chars() {
        if c == '`' {
            out.push('`');
        }
        out.push(c);
    }
    out.push('`');
}

/// A node of a path, in back-quotes where it needs them.
pub(crate) fn node(text: &str) -> String {
    let mut out = String::new();
    push_node(&mut out, text);
    out
}

/// A name of the table model, in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    let mut out = String::from("\"");
    for c in name.chars() {
        if c == '"' {
            out.push('"');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// A text in SQL.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let _ = write!(out, "'{}'", text.replace('\'', "''"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, values: &[(&str, &str)]) -> Result<String, String> {
        let template = Template::parse(template).map_err(|error| error.to_string())?;
        let mut out = String::new();
        template.render(&mut out, |column, node| {
            let found = values
                .iter()
                .find(|(name, _)| *name == template.columns()[column]);
            node.push_str(found.ok_or("none")?.1);
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn columns_take_their_places() {
        let values = [("pumpId", "7"), ("site", "north"), ("odd", "a.b`c d")];
        for (template, expected) in [
            ("root.plant.pump_{pumpId}", "root.plant.pump_7"),
            ("root.plant.${pumpId}", "root.plant.`7`"),
            ("root.{site}.${site}_{pumpId}", "root.north.north_7"),
            ("root.sg.{odd}", "root.sg.`a.b``c d`"),
            ("root.`a.b`.{ pumpId }", "root.`a.b`.`7`"),
            ("root.水泵.d", "root.水泵.d"),
            ("root.sg.1a", "root.sg.`1a`"),
        ] {
            assert_eq!(
                rendered(template, &values).as_deref(),
                Ok(expected),
                "{template}"
            );
        }
        assert!(rendered("root.{site}", &[("site", "")]).is_err());
    }

    #[test]
    fn a_devices_path_is_told_from_others() {
        let template = Template::parse("root.`a b`.{site}_x{pump}").unwrap();
        for (path, expected) in [
            ("root.`a b`.north_x7", true),
            ("root.`a b`.`n.o``r_x7`", true),
            ("root.`a b`._x", true),
            ("root.`a b`.north_7", false),
            ("root.ab.north_x7", false),
            ("root.`a b`.north_x7.more", false),
            ("root.`a b`.`north_x7", false),
        ] {
            assert_eq!(template.matches(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in [
            "",
            "root..d",
            "root.{a",
            "root.a}",
            "root.{}",
            "root.`a",
            "root.{a{b}}",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        for (template, pattern) in [
            ("root.plant.pump_{id}", "root.plant.pump_*"),
            ("root.plant.${id}", "root.plant.*"),
            ("root.`a b`.{id}_x", "root.`a b`.*"),
        ] {
            assert_eq!(Template::parse(template).unwrap().pattern(), pattern);
        }
        assert!(Template::parse("root.{a}").unwrap().is_path());
        assert!(!Template::parse("plant.{a}").unwrap().is_path());
        assert!(!Template::parse("root").unwrap().is_path());
    }
}
