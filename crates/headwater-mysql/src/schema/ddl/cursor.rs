//! A place in a statement's tokens, with the small steps that every grammar rule is made of.

use crate::schema::lexer::Token;

/// A place in a run of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'t> {
    tokens: &'t [Token],
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(tokens: &'t [Token]) -> Self {
        Self { tokens }
    }

    pub(crate) fn peek(&self) -> Option<&'t Token> {
        self.tokens.first()
    }

    pub(crate) fn peek_at(&self, ahead: usize) -> Option<&'t Token> {
        self.tokens.get(ahead)
    }

    pub(crate) fn next(&mut self) -> Option<&'t Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Whether nothing is left but a semicolon.
    pub(crate) fn at_end(&self) -> bool {
        self.tokens.iter().all(|token| *token == Token::Symbol(';'))
    }

    /// Whether a list's item ends here.
    pub(crate) fn at_item_end(&self) -> bool {
        self.at_end() || self.peek() == Some(&Token::Symbol(','))
    }

    pub(crate) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), Some(Token::Word(text)) if text.eq_ignore_ascii_case(word))
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub(crate) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    /// Takes a keyword, if it is next.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    /// Takes these keywords, if they are next, all or none.
    pub(crate) fn words(&mut self, words: &[&str]) -> bool {
        let found = words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.is_word_at(ahead, word));
        if found {
            for _ in words {
                self.next();
            }
        }
        found
    }

    /// Takes one of these keywords, if one is next.
    pub(crate) fn any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.word(word))
    }

    pub(crate) fn symbol(&mut self, symbol: char) -> bool {
        let found = self.peek() == Some(&Token::Symbol(symbol));
        if found {
            self.next();
        }
        found
    }

    /// The next keyword in capitals, not taken.
    pub(crate) fn keyword(&self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word.to_ascii_uppercase()),
            _ => None,
        }
    }

    /// Takes a name, in quotes or not.
    pub(crate) fn identifier(&mut self) -> Option<&'t str> {
        match self.peek() {
            Some(Token::Word(name) | Token::Quoted(name)) => {
                self.next();
                Some(name)
            }
            _ => None,
        }
    }

    /// Takes a name or a text: the name of a character set, a comment's text.
    pub(crate) fn identifier_or_text(&mut self) -> Option<&'t str> {
        if let Some(Token::Text(text)) = self.peek() {
            self.next();
            return Some(text);
        }
        self.identifier()
    }

    pub(crate) fn text(&mut self) -> Option<&'t str> {
        match self.peek() {
            Some(Token::Text(text)) => {
                self.next();
                Some(text)
            }
            _ => None,
        }
    }

    pub(crate) fn number(&mut self) -> Option<u32> {
        match self.peek() {
            Some(Token::Number(number)) => {
                let number = number.parse().ok();
                self.next();
                number
            }
            _ => None,
        }
    }

    /// Takes what stands in parentheses, if one opens next; `None` too if it is never closed.
    pub(crate) fn parentheses(&mut self) -> Option<Cursor<'t>> {
        if self.peek() != Some(&Token::Symbol('(')) {
            return None;
        }
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => {
                    depth -= 1;
                    if depth == 0 {
                        let inner = self.tokens.get(1..index)?;
                        self.tokens = self.tokens.get(index + 1..)?;
                        return Some(Cursor::new(inner));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Moves on to the comma that ends this item, or to the end. Commas in parentheses end nothing.
    pub(crate) fn skip_item(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            match token {
                Token::Symbol(',') if depth == 0 => return,
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.next();
        }
    }

    /// Whether this keyword is still to come, outside parentheses.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        let mut depth = 0_usize;
        self.tokens.iter().any(|token| {
            match token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth = depth.saturating_sub(1),
                Token::Word(text) => return depth == 0 && text.eq_ignore_ascii_case(word),
                _ => {}
            }
            false
        })
    }

    /// What lies between here and a later place of the same statement.
    pub(crate) fn until(&self, later: &Self) -> Self {
        let length = self.tokens.len().saturating_sub(later.tokens.len());
        Self::new(self.tokens.get(..length).unwrap_or(&[]))
    }

    /// The items of a list, cut at its commas.
    pub(crate) fn items(&mut self) -> Vec<Cursor<'t>> {
        let mut items = Vec::new();
        while !self.at_end() {
            let begin = self.clone();
            self.skip_item();
            items.push(begin.until(self));
            self.next();
        }
        items
    }
}
