//! Java's properties files, as `java.util.Properties.load` reads them.

use headwater_core::Result;

use crate::config::misused;

/// The names and values of a file, in order. Of a name that stands there twice, the last value counts.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while ends_in_odd_backslashes(&line) {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push_str(next.trim_start());
        }
        let (name, value) = split(&line, number + 1)?;
        // Java keeps white space at the end; nobody means it.
        let value = value.trim_end().to_owned();
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => all.push((name, value)),
        }
    }
    Ok(all)
}

fn ends_in_odd_backslashes(line: &str) -> bool {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

/// Takes a line apart at the first `=`, `:` or white space that is not escaped.
fn split(line: &str, number: usize) -> Result<(String, String)> {
    let mut is_escaped = false;
    let end = line.char_indices().find(|(_, letter)| {
        let ends = !is_escaped && (matches!(letter, '=' | ':') || letter.is_whitespace());
        is_escaped = *letter == '\\' && !is_escaped;
        ends
    });
    let end = end.map_or(line.len(), |(end, _)| end);
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    Ok((unescape(name, number)?, unescape(value, number)?))
}

/// Resolves escapes. Two `\u` may be one character, so it is put together of UTF-16 units.
fn unescape(text: &str, number: usize) -> Result<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            '\\' => {
                match letters.next() {
                    None => break,
                    Some('t') => '\t',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('f') => '\u{c}',
                    Some('u') => {
                        let digits: String = letters.by_ref().take(4).collect();
                        let is_whole = digits.len() == 4 && !digits.starts_with('+');
                        let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| is_whole);
                        let unit = unit.ok_or_else(|| {
                        misused(
                            format!("line {number} has `\\u` without four hexadecimal digits behind it"),
                            "write \\\\u for a backslash and a u",
                        )
                    })?;
                        units.push(unit);
                        continue;
                    }
                    Some(other) => other,
                }
            }
            other => other,
        };
        units.extend_from_slice(letter.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_java_reads_it() {
        let text = "# comment\n! another\n\n  host = db:1 \nuser:ada\npassword   s p\nfilter=exclude: *.*, \\\n    include: a.b\nkey\\ with\\:odd=x\\ty\nlate\\u00e9=\\uD83D\\uDE00\\\\\nempty=\nbare\nuser=grace";
        let read = parse(text).unwrap();
        let pairs: Vec<(&str, &str)> = read.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("host", "db:1"),
                ("user", "grace"),
                ("password", "s p"),
                ("filter", "exclude: *.*, include: a.b"),
                ("key with:odd", "x\ty"),
                ("lateé", "😀\\"),
                ("empty", ""),
                ("bare", ""),
            ]
        );
        assert!(parse("a=\\u12").is_err());
    }
}
