//! `${NAME}` in a configuration's values: replaced after parsing, so that what a variable holds can never become a key,
//! a list or a comment. `$${` stands for a plain `${`.

use super::mask;
use super::problem::Problem;
use super::yaml::{Node, Scalar, Tree};

/// Looks a variable up; none if it is not set.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The key whose `${NAME}` is a column of a table.
const COLUMNS: &str = "device_template";

/// Replaces every `${NAME}` below `node`, but for those that name columns.
pub(crate) fn substitute(node: &mut Node, lookup: Lookup<'_>, problems: &mut Vec<Problem>) {
    below(node, lookup, false, problems);
}

/// The same, for what may stand under the key of a secret.
fn below(node: &mut Node, lookup: Lookup<'_>, is_secret: bool, problems: &mut Vec<Problem>) {
    let at = node.at.clone();
    match &mut node.tree {
        Tree::List(items) => {
            for item in items {
                below(item, lookup, is_secret, problems);
            }
        }
        Tree::Map(entries) => {
            for (key, value) in entries {
                if key.name == COLUMNS {
                    continue;
                }
                let is_secret = is_secret || mask::is_secret(&key.name);
                below(value, lookup, is_secret, problems);
            }
        }
        Tree::Scalar(scalar) if scalar.text.contains("${") => match expand(&scalar.text, lookup) {
            Ok(text) => {
                let template = std::mem::replace(&mut scalar.text, text);
                *scalar = Scalar {
                    template: Some(template),
                    ..std::mem::replace(scalar, empty())
                };
            }
            Err(_) if is_secret && !is_one_variable(&scalar.text) => {
                let message = "this secret has a `${` in it, and no environment variable's name behind it that is set";
                let help = "write $${ for the characters themselves, or give the secret by a file or a variable of its own";
                problems.push(Problem::at(at, message).help(help));
            }
            Err((message, help)) => problems.push(Problem::at(at, message).help(help)),
        },
        Tree::Scalar(_) => {}
    }
}

/// Whether it is `${NAME}` and nothing else: what is named then is no part of a secret.
fn is_one_variable(text: &str) -> bool {
    let name = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

fn empty() -> Scalar {
    Scalar {
        text: String::new(),
        is_plain: false,
        template: None,
    }
}

fn expand(text: &str, lookup: Lookup<'_>) -> Result<String, (String, String)> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            return Err((
                "`${` has no `}` behind it".into(),
                "write ${NAME} for an environment variable, $${ for the characters themselves"
                    .into(),
            ));
        };
        let is_name = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err((
                "what stands in `${…}` is not the name of an environment variable".into(),
                "a name has letters, digits and underscores; write $${ for the characters themselves".into(),
            ));
        }
        let value = lookup(name).ok_or_else(|| {
            (
                format!("the environment variable {name} is not set"),
                format!("set it before starting: export {name}=…"),
            )
        })?;
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "HOST").then(|| "db".to_owned())
    }

    #[test]
    fn variables_are_replaced_and_escapes_kept() {
        assert_eq!(expand("a ${HOST}:${HOST} b", &lookup).unwrap(), "a db:db b");
        assert_eq!(expand("$${HOST} $5 $", &lookup).unwrap(), "${HOST} $5 $");
        assert!(expand("${NONE}", &lookup).unwrap_err().0.contains("NONE"));
        assert!(expand("${HOST", &lookup).is_err());
        assert!(expand("${a b}", &lookup).is_err());
    }
}
