//! Splits a statement into tokens, by the rules of the session that ran it. It never fails: what is not closed ends in
//! [`Token::Broken`], which no grammar accepts.
//!
//! Source: MySQL reference manual, sections "Literal Values", "Schema Object Names" and "Comments"; MariaDB, "Comment
//! Syntax". A server that does not run a version comment writes it to the log as a plain comment, so every version
//! comment found there is opened up.

use std::str::Chars;

use super::sql_mode::SqlMode;

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A keyword, or a name without quotes.
    Word(String),
    /// A name in quotes.
    Quoted(String),
    /// A text literal.
    Text(String),
    /// A number without sign.
    Number(String),
    /// A hexadecimal or bit literal.
    Bits,
    /// A variable, or anything else that begins with `@`.
    Variable,
    /// Any other character.
    Symbol(char),
    /// A quote or comment that is not closed.
    Broken,
}

/// The tokens of a statement, one by one.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    rest: Chars<'a>,
    mode: SqlMode,
    mariadb: bool,
    open_comments: u32,
    after_dot: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(sql: &'a str, mode: SqlMode, mariadb: bool) -> Self {
        Self {
            rest: sql.chars(),
            mode,
            mariadb,
            open_comments: 0,
            after_dot: false,
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.as_str().strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest.chars();
                true
            }
            None => false,
        }
    }

    /// Skips white space and comments; `false` for a comment that is not closed.
    fn skip(&mut self) -> bool {
        loop {
            let rest = self.rest.as_str();
            let trimmed = rest.trim_start_matches(|letter: char| {
                letter.is_ascii_whitespace() || matches!(letter, '\u{b}' | '\0')
            });
            self.rest = trimmed.chars();
            if trimmed.starts_with('#') || is_dash_comment(trimmed) {
                let end = trimmed.find('\n').unwrap_or(trimmed.len());
                self.rest = trimmed.get(end..).unwrap_or("").chars();
            } else if self.eat("/*!") || (self.mariadb && self.eat("/*M!")) {
                while self.peek().is_some_and(|letter| letter.is_ascii_digit()) {
                    self.rest.next();
                }
                self.open_comments += 1;
            } else if self.open_comments > 0 && self.eat("*/") {
                self.open_comments -= 1;
            } else if trimmed.starts_with("/*") {
                let body = trimmed.get(2..).unwrap_or("");
                let Some(end) = body.find("*/") else {
                    self.rest = "".chars();
                    return false;
                };
                self.rest = body.get(end + 2..).unwrap_or("").chars();
            } else {
                return true;
            }
        }
    }

    /// The rest of a quoted piece, without its quotes.
    fn quoted(&mut self, quote: char, escapes: bool) -> Option<String> {
        let mut text = String::new();
        loop {
            let letter = self.rest.next()?;
            if letter == quote {
                if self.peek() != Some(quote) {
                    return Some(text);
                }
                self.rest.next();
                text.push(quote);
            } else if letter == '\\' && escapes {
                match self.rest.next()? {
                    '0' => text.push('\0'),
                    'b' => text.push('\u{8}'),
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    'Z' => text.push('\u{1a}'),
                    // Both keep their backslash: they are escapes of LIKE.
                    other @ ('%' | '_') => text.extend(['\\', other]),
                    other => text.push(other),
                }
            } else {
                text.push(letter);
            }
        }
    }

    fn text(&mut self, quote: char) -> Token {
        let escapes = !self.mode.no_backslash_escapes();
        self.quoted(quote, escapes)
            .map_or(Token::Broken, Token::Text)
    }

    fn name(&mut self, quote: char) -> Token {
        self.quoted(quote, false)
            .map_or(Token::Broken, Token::Quoted)
    }

    /// A run of letters that can stand in a name without quotes, after its first.
    fn run(&mut self, first: char) -> String {
        let mut run = String::from(first);
        while let Some(letter) = self.peek().filter(|&letter| is_name_letter(letter)) {
            run.push(letter);
            self.rest.next();
        }
        run
    }

    fn word(&mut self, first: char) -> Token {
        let word = self.run(first);
        if self.after_dot {
            return Token::Word(word);
        }
        let quote = self.peek();
        if let Some(quote @ ('\'' | '"')) = quote
            && (quote == '\'' || !self.mode.ansi_quotes())
        {
            if word.eq_ignore_ascii_case("n") {
                self.rest.next();
                return self.text(quote);
            }
            if word.eq_ignore_ascii_case("x") || word.eq_ignore_ascii_case("b") {
                self.rest.next();
                return self
                    .quoted(quote, false)
                    .map_or(Token::Broken, |_| Token::Bits);
            }
        }
        Token::Word(word)
    }

    fn number(&mut self, first: char) -> Token {
        let run = self.run(first);
        let digits = run.bytes().all(|byte| byte.is_ascii_digit());
        if self.after_dot {
            return Token::Word(run);
        }
        if digits {
            let mut number = run;
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('.') && ahead.next().is_some_and(|next| next.is_ascii_digit()) {
                self.rest.next();
                number.push_str(&self.run('.'));
            }
            return Token::Number(number);
        }
        let rest = run.strip_prefix("0x").or_else(|| run.strip_prefix("0b"));
        if rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Token::Bits;
        }
        let exponent = run
            .trim_start_matches(|letter: char| letter.is_ascii_digit())
            .strip_prefix(['e', 'E'])
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        if exponent {
            Token::Number(run)
        } else {
            Token::Word(run)
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if !self.skip() {
            return Some(Token::Broken);
        }
        let Some(letter) = self.rest.next() else {
            let broken = self.open_comments > 0;
            self.open_comments = 0;
            return broken.then_some(Token::Broken);
        };
        let token = match letter {
            '`' => self.name('`'),
            '"' if self.mode.ansi_quotes() => self.name('"'),
            '\'' | '"' => self.text(letter),
            '0'..='9' => self.number(letter),
            '@' => {
                while self
                    .peek()
                    .is_some_and(|next| is_name_letter(next) || next == '@')
                {
                    self.rest.next();
                }
                Token::Variable
            }
            _ if is_name_letter(letter) => self.word(letter),
            _ => Token::Symbol(letter),
        };
        self.after_dot = token == Token::Symbol('.');
        Some(token)
    }
}

fn is_name_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$' | '\u{80}'..)
}

/// Two dashes begin a comment only before white space or the end.
fn is_dash_comment(text: &str) -> bool {
    text.strip_prefix("--").is_some_and(|rest| {
        rest.chars()
            .next()
            .is_none_or(|next| next.is_ascii_whitespace() || next.is_ascii_control())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(sql: &str, mode: SqlMode) -> Vec<Token> {
        Lexer::new(sql, mode, true).collect()
    }

    fn word(text: &str) -> Token {
        Token::Word(text.to_owned())
    }

    #[test]
    fn version_comments_are_opened_and_others_dropped() {
        let sql = "/* a */ CREATE /*!50100 TABLE */ -- x\n t # y\n /*M!100100 IF */ --";
        let expected = [word("CREATE"), word("TABLE"), word("t"), word("IF")];
        assert_eq!(tokens(sql, SqlMode::default()), expected);
        let mysql: Vec<_> = Lexer::new("a /*M!1 b */ c", SqlMode::default(), false).collect();
        assert_eq!(mysql, [word("a"), word("c")]);
    }

    #[test]
    fn quotes_follow_the_sql_mode() {
        let plain = tokens(r#"`a``b` 'it''s' "x\n""#, SqlMode::default());
        let expected = [
            Token::Quoted("a`b".into()),
            Token::Text("it's".into()),
            Token::Text("x\n".into()),
        ];
        assert_eq!(plain, expected);
        let ansi = tokens(r#""a""b" 'c\'"#, SqlMode::from_bits(4 | 0x10_0000));
        let expected = [Token::Quoted("a\"b".into()), Token::Text("c\\".into())];
        assert_eq!(ansi, expected);
    }

    #[test]
    fn names_may_begin_with_digits() {
        let expected = [
            word("2fa"),
            Token::Symbol('.'),
            word("3e5"),
            Token::Number("3e5".into()),
            Token::Number("1.5".into()),
            Token::Bits,
            Token::Bits,
            Token::Text("é".into()),
        ];
        assert_eq!(
            tokens("2fa.3e5 3e5 1.5 0xAB x'00' N'é'", SqlMode::default()),
            expected
        );
    }

    #[test]
    fn what_is_not_closed_is_broken() {
        for sql in ["'a", "`a", "/* a", "/*! a", "x'1"] {
            assert_eq!(
                tokens(sql, SqlMode::default()).last(),
                Some(&Token::Broken),
                "{sql}"
            );
        }
    }
}
