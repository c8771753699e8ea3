//! Blots secrets out of text that is to be shown: of a file's lines, and of URLs wherever they stand.

use std::ops::Range;

/// Whether what stands under this key is nobody's business. A key may be misspelt.
pub(crate) fn is_secret(key: &str) -> bool {
    const WORDS: [&str; 8] = [
        "pass",
        "pwd",
        "psw",
        "pasw",
        "secret",
        "token",
        "credential",
        "private",
    ];
    let key = key.to_ascii_lowercase();
    if key.ends_with("_file") {
        return false;
    }
    WORDS.iter().any(|word| key.contains(word))
        || strsim::damerau_levenshtein(&key, "password") <= 3
}

/// The text of a YAML file, byte for byte as long, with `*` for what may be a secret. It does not need to be well-formed:
/// rather too much is blotted out than too little.
pub(crate) fn secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The indentation of the secret key that is being blotted out, or "to the end".
    let mut below: Option<Extent> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let is_blank = line.trim().is_empty();
        if below.is_some_and(|extent| !is_blank && extent.ends_at(line, indent)) {
            below = None;
        }
        if below.is_some() {
            blot(&mut out, line);
            continue;
        }
        let Some(value) = secret_value(line) else {
            out.push_str(&urls(line));
            continue;
        };
        let (before, secret) = line.split_at(value);
        out.push_str(before);
        blot(&mut out, secret);
        // In braces or quotes the rest may be indented as it likes.
        let is_open = before.contains('{') || before.contains('[') || opens_quote(secret);
        below = Some(if is_open {
            Extent::ToTheEnd
        } else {
            Extent::Deeper(indent)
        });
    }
    out
}

#[derive(Clone, Copy)]
enum Extent {
    Deeper(usize),
    ToTheEnd,
}

impl Extent {
    fn ends_at(self, line: &str, indent: usize) -> bool {
        match self {
            Self::ToTheEnd => false,
            Self::Deeper(key) => indent <= key && line.contains(':'),
        }
    }
}

/// Whether a quoted value goes on in the next line.
fn opens_quote(value: &str) -> bool {
    let value = value.trim();
    ['"', '\'']
        .into_iter()
        .any(|quote| value.starts_with(quote) && (value.len() == 1 || !value.ends_with(quote)))
}

/// Where the value begins in a line whose key names a secret.
fn secret_value(line: &str) -> Option<usize> {
    let mut from = 0;
    for (at, _) in line.match_indices(':') {
        let key = line.get(from..at).unwrap_or_default();
        let word = key
            .rsplit([' ', '{', '[', ',', '\t'])
            .next()
            .unwrap_or_default();
        if is_secret(word.trim_matches(['"', '\''])) {
            return Some(at + 1);
        }
        from = at + 1;
    }
    None
}

fn blot(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            ' ' | '\n' | '\r' | '\t' => out.push(character),
            // As many bytes as there were, so that places stay right.
            _ => out.extend(std::iter::repeat_n('*', character.len_utf8())),
        }
    }
}

/// The same text, byte for byte as long, with `*` for the passwords of the URLs in it.
pub(crate) fn urls(text: &str) -> String {
    let mut out = text.to_owned();
    let mut from = 0;
    while let Some(found) = out.get(from..).and_then(|rest| rest.find("://")) {
        let start = from + found + 3;
        let end = word_end(&out, start);
        if let Some(secret) = password(&out, start..end) {
            let mut blotted = String::new();
            blot(&mut blotted, out.get(secret.clone()).unwrap_or_default());
            out.replace_range(secret, &blotted);
        }
        from = end.max(start);
    }
    out
}

fn word_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.find([' ', '\n', '\r', '\t']);
    end.map_or(text.len(), |end| start + end)
}

/// Where the password stands in what follows `://`: from the first colon to the last `@`, so that an unescaped one in the
/// password is covered too.
fn password(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let rest = text.get(range.clone())?;
    let at = rest.rfind('@')?;
    let colon = rest.get(..at)?.find(':')?;
    Some(range.start + colon + 1..range.start + at)
}

/// One word of a command line, with `*` for the password of the URL in it, which may hold anything.
pub(crate) fn whole_word(word: &str) -> String {
    let Some(secret) = word
        .find("://")
        .and_then(|start| password(word, start + 3..word.len()))
    else {
        return word.to_owned();
    };
    let mut out = word.to_owned();
    out.replace_range(secret, "***");
    out
}

/// A URL without its password (and the colon before it), and whether it had one.
pub(crate) fn without_password(url: &str) -> Option<String> {
    let start = url.find("://")? + 3;
    let secret = password(url, start..url.len())?;
    let mut out = url.to_owned();
    out.replace_range(secret.start - 1..secret.end, "");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_blotted_out_and_nothing_moves() {
        let text = "mysql:\n  user: cdc\n  password: hünter2 # really\n  host: db\n";
        let shown = secrets(text);
        assert_eq!(
            shown,
            "mysql:\n  user: cdc\n  password: ******** * ******\n  host: db\n"
        );
        assert_eq!(shown.len(), text.len());
    }

    #[test]
    fn what_goes_on_in_further_lines_is_blotted_out_too() {
        assert_eq!(
            secrets("password: |\n  one\n  two\nhost: x\n"),
            "password: *\n  ***\n  ***\nhost: x\n"
        );
        assert_eq!(
            secrets("password: \"ab\n  c\"\nhost: x\n"),
            "password: ***\n  **\n***** *\n"
        );
        assert_eq!(
            secrets("m: {password: a,\nhost: x}\n"),
            "m: {password: **\n***** **\n"
        );
        assert_eq!(secrets("passwd: a\n"), "passwd: *\n");
        assert_eq!(secrets("password_file: a\n"), "password_file: a\n");
    }

    #[test]
    fn a_url_loses_its_password_wherever_it_stands() {
        assert_eq!(
            urls("bad mysql://u:p@ss@h/x, mysql://v@h"),
            "bad mysql://u:****@h/x, mysql://v@h"
        );
        assert_eq!(
            without_password("mysql://u:p%40@h:1/d").as_deref(),
            Some("mysql://u@h:1/d")
        );
        assert_eq!(without_password("mysql://u@h:1/d"), None);
    }
}
