//! Topic names with placeholders, as Maxwell has them: `%{database}_%{table}`.

use std::fmt;

/// The longest name a topic may have.
pub const NAME_BYTES_MAX: usize = 249;

/// A topic's name with placeholders in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Database,
    Table,
    Type,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTemplate(String);

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadTemplate {}

impl Template {
    /// Reads a text with `%{database}`, `%{table}` and `%{type}` in it.
    ///
    /// # Errors
    /// Another placeholder, one that does not end, a character that no topic's name may have, or nothing at all.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        if text.is_empty() {
            return Err(BadTemplate("a topic needs a name".to_owned()));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("%{") {
            push_text(&mut parts, before)?;
            let Some((name, after)) = after.split_once('}') else {
                return Err(BadTemplate("a `%{` has no `}`".to_owned()));
            };
            parts.push(match name.trim() {
                "database" => Part::Database,
                "table" => Part::Table,
                "type" => Part::Type,
                other => {
                    return Err(BadTemplate(format!(
                        "`%{{{other}}}` is none of %{{database}}, %{{table}}, %{{type}}"
                    )));
                }
            });
            rest = after;
        }
        push_text(&mut parts, rest)?;
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name, if it has no placeholder.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The name of the topic for events of this type of this table. What a topic's name may not have becomes `_`.
    #[must_use]
    pub fn name(&self, database: &str, table: &str, event_type: &str) -> String {
        let mut name = String::new();
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => text,
                Part::Database => database,
                Part::Table => table,
                Part::Type => event_type,
            };
            name.extend(text.chars().map(|c| if is_legal(c) { c } else { '_' }));
        }
        // All of it is ASCII by now.
        name.truncate(NAME_BYTES_MAX);
        name
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) -> Result<(), BadTemplate> {
    if let Some(bad) = text.chars().find(|c| !is_legal(*c)) {
        return Err(BadTemplate(format!(
            "a topic's name may have letters, digits, `.`, `_` and `-`, but not `{bad}`"
        )));
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

fn is_legal(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_what_is_illegal_becomes_an_underscore() {
        let template = Template::parse("cdc.%{database}_%{table}-%{ type }").unwrap();
        assert_eq!(
            template.name("shop", "orders", "insert"),
            "cdc.shop_orders-insert"
        );
        assert_eq!(
            template.name("my shop", "größe$", "insert"),
            "cdc.my_shop_gr__e_-insert"
        );
        assert_eq!(template.fixed(), None);
        let long = Template::parse("%{table}").unwrap();
        assert_eq!(long.name("", &"x".repeat(300), "").len(), NAME_BYTES_MAX);
    }

    #[test]
    fn a_name_without_placeholders_is_itself() {
        let template = Template::parse("maxwell").unwrap();
        assert_eq!(template.fixed(), Some("maxwell"));
        assert_eq!(template.name("shop", "orders", "insert"), "maxwell");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in ["", "%{db}", "%{database", "a b", "a/b", "%{table} x"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
