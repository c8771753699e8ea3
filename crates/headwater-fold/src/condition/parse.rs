//! Conditions out of text.

use headwater_core::{Error, ErrorKind, Result};

use super::{Comparison, Condition, Literal};

/// How deep parentheses and NOTs may stand in one another.
const DEPTH_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A word that is not quoted: a keyword or a name.
    Word(String),
    /// A name in backquotes.
    Name(String),
    Literal(Literal),
    Sign(&'static str),
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

pub(super) fn condition(text: &str) -> Result<Condition> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let condition = parser.any()?;
    match parser.peek() {
        None => Ok(condition),
        Some(_) => Err(parser.wrong("more stands here than one condition")),
    }
}

fn wrong(text: &str, what: &str) -> Error {
    Error::new(ErrorKind::Configuration, "a condition cannot be read")
        .with("condition", text)
        .with("reason", what)
        .hint("write it as in SQL: status = 'paid' AND amount >= 10, state IN ('a', 'b'), note IS NOT NULL")
}

const SIGNS: [&str; 10] = ["<>", "!=", "<=", ">=", "=", "<", ">", "(", ")", ","];

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, taken) = match first {
            '\'' | '"' => {
                let (value, taken) =
                    quoted(rest, first).ok_or_else(|| wrong(text, "a text has no end"))?;
                (Token::Literal(Literal::Text(value)), taken)
            }
            '`' => {
                let (name, taken) =
                    quoted(rest, first).ok_or_else(|| wrong(text, "a name has no end"))?;
                (Token::Name(name), taken)
            }
            '0'..='9' | '-' | '+' | '.' => {
                let (digits, taken) =
                    number(rest).ok_or_else(|| wrong(text, "a number is none"))?;
                (Token::Literal(Literal::Number(digits)), taken)
            }
            first if first.is_alphabetic() || first == '_' => {
                let ends =
                    |letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '$'));
                let taken = rest.find(ends).unwrap_or(rest.len());
                let (word, _) = rest.split_at(taken);
                (Token::Word(word.to_owned()), taken)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign =
                    sign.ok_or_else(|| wrong(text, &format!("`{first}` means nothing here")))?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push(token);
        rest = rest.split_at(taken).1.trim_start();
    }
    Ok(tokens)
}

/// What stands in quotes, in which the quote itself is written twice; and how long all of it is.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != quote {
            value.push(letter);
        } else if letters.next_if(|(_, next)| *next == quote).is_some() {
            value.push(quote);
        } else {
            return Some((value, at + 1));
        }
    }
    None
}

fn number(text: &str) -> Option<(String, usize)> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let signs = text.len() - unsigned.len();
    let ends = |letter: char| !(letter.is_ascii_digit() || letter == '.');
    let length = unsigned.find(ends).unwrap_or(unsigned.len());
    let (digits, after) = unsigned.split_at(length);
    let is_number = digits.contains(|letter: char| letter.is_ascii_digit())
        && digits.matches('.').count() <= 1
        && !after.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    let minus = if text.starts_with('-') { "-" } else { "" };
    is_number.then(|| (format!("{minus}{digits}"), signs + length))
}

impl Parser<'_> {
    fn wrong(&self, what: &str) -> Error {
        let error = wrong(self.text, what);
        match self.peek() {
            Some(Token::Word(text) | Token::Name(text)) => error.with("at", text),
            Some(Token::Literal(literal)) => error.with("at", literal.text()),
            Some(Token::Sign(sign)) => error.with("at", sign),
            None => error.with("at", "the end"),
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_it =
            matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        self.at += usize::from(is_it);
        is_it
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(is_it);
        is_it
    }

    fn any(&mut self) -> Result<Condition> {
        let mut found = vec![self.all()?];
        while self.take_word("OR") {
            found.push(self.all()?);
        }
        Ok(one_or(found, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition> {
        let mut found = vec![self.not()?];
        while self.take_word("AND") {
            found.push(self.not()?);
        }
        Ok(one_or(found, Condition::All))
    }

    fn not(&mut self) -> Result<Condition> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong("it is nested too deeply"));
        }
        let found = if self.take_word("NOT") {
            Condition::Not(Box::new(self.not()?))
        } else if self.take_sign("(") {
            let inner = self.any()?;
            if !self.take_sign(")") {
                return Err(self.wrong("a parenthesis is not closed"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn comparison(&mut self) -> Result<Condition> {
        let column = match self.peek() {
            Some(Token::Word(name) | Token::Name(name)) => name.clone(),
            _ => return Err(self.wrong("a column should stand here")),
        };
        self.at += 1;
        if self.take_word("IS") {
            let is_not = self.take_word("NOT");
            if !self.take_word("NULL") {
                return Err(self.wrong("NULL should stand here"));
            }
            return Ok(negated(is_not, Condition::IsNull(column)));
        }
        let is_not = self.take_word("NOT");
        if self.take_word("IN") {
            let literals = self.list()?;
            let found = Condition::Compare(column, Comparison::Equal, literals);
            return Ok(negated(is_not, found));
        }
        let sign = match self.peek() {
            Some(Token::Sign(sign)) if !is_not => *sign,
            _ => return Err(self.wrong("a comparison should stand here")),
        };
        let (comparison, is_not) = match sign {
            "=" => (Comparison::Equal, false),
            "<>" | "!=" => (Comparison::Equal, true),
            "<" => (Comparison::Less, false),
            "<=" => (Comparison::LessOrEqual, false),
            ">" => (Comparison::Greater, false),
            ">=" => (Comparison::GreaterOrEqual, false),
            _ => return Err(self.wrong("a comparison should stand here")),
        };
        self.at += 1;
        let literal = self.literal()?;
        let found = Condition::Compare(column, comparison, vec![literal]);
        Ok(negated(is_not, found))
    }

    fn list(&mut self) -> Result<Vec<Literal>> {
        let mut literals = Vec::new();
        if !self.take_sign("(") {
            return Err(self.wrong("a list should stand here: ('a', 'b')"));
        }
        loop {
            literals.push(self.literal()?);
            if self.take_sign(")") {
                return Ok(literals);
            }
            if !self.take_sign(",") {
                return Err(self.wrong("a list is not closed"));
            }
        }
    }

    fn literal(&mut self) -> Result<Literal> {
        let found = match self.peek() {
            Some(Token::Literal(literal)) => literal.clone(),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("TRUE") => {
                Literal::Number("1".to_owned())
            }
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("FALSE") => {
                Literal::Number("0".to_owned())
            }
            _ => return Err(self.wrong("a number or a 'text' should stand here")),
        };
        self.at += 1;
        Ok(found)
    }
}

fn negated(is_not: bool, condition: Condition) -> Condition {
    if is_not {
        Condition::Not(Box::new(condition))
    } else {
        condition
    }
}

fn one_or(mut found: Vec<Condition>, make: fn(Vec<Condition>) -> Condition) -> Condition {
    match (found.len(), found.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            found.extend(last);
            make(found)
        }
    }
}
