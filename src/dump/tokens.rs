//! Splits SQL into tokens.

/// A token of a statement. Comments and the contents of literals are skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word, in upper case.
    Word(String),
    /// A quoted identifier, unquoted.
    Quoted(String),
    /// A string literal of any kind.
    Literal,
    /// Any other single character.
    Sign(char),
}

impl Token {
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }

    /// The identifier that this token denotes; bare words are folded to lower case. Numbers are not names:
    /// `0.5` is not an object `5` of a schema `0`.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Word(word) if word.starts_with(|c: char| c.is_ascii_digit()) => None,
            Self::Word(word) => Some(word.to_lowercase()),
            Self::Quoted(name) => Some(name.clone()),
            Self::Literal | Self::Sign(_) => None,
        }
    }
}

/// Iterates over the tokens of SQL. An unterminated literal or comment extends to the end.
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
    /// Backslashes are escapes in all literals (`standard_conforming_strings = off`).
    backslashes: bool,
    /// The previous token was a literal with escapes: a literal that follows continues it, with its
    /// escapes (Postgres, "String Constants").
    after_escapes: bool,
}

impl<'a> Tokens<'a> {
    /// Tokens of a text with standard strings.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self::with_backslashes(text, false)
    }

    /// The same; `backslashes` makes them escapes in all literals.
    pub(super) fn with_backslashes(text: &'a [u8], backslashes: bool) -> Self {
        Self { rest: text, backslashes, after_escapes: false }
    }

    /// The next token, its source text, and whether white space or a comment precedes it.
    pub(super) fn next_with_text(&mut self) -> Option<(Token, &'a [u8], bool)> {
        let before = self.rest.len();
        self.skip_space_and_comments();
        let start = self.rest;
        let token = self.next()?;
        Some((token, &start[..start.len() - self.rest.len()], start.len() < before))
    }

    fn advance(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            self.rest = trim_space(self.rest);
            if self.rest.starts_with(b"--") {
                self.advance(memchr::memchr2(b'\n', b'\r', self.rest).unwrap_or(usize::MAX));
            } else if self.rest.starts_with(b"/*") {
                self.advance(block_comment(self.rest));
            } else {
                return;
            }
        }
    }
}

/// Length in bytes of a block comment, which may be nested.
fn block_comment(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

/// Length in bytes of a quoted text, including its quotes; a doubled quote is part of it.
fn quoted(text: &[u8], quote: u8, backslash: bool) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' if backslash => at += 2,
            byte if byte == quote && text.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The `$tag$` at the start of a text, if any.
pub(super) fn dollar_tag(text: &[u8]) -> Option<&[u8]> {
    let name = text.get(1..)?;
    let length = name.iter().position(|byte| !is_word(*byte)).unwrap_or(name.len());
    let valid = name.get(length) == Some(&b'$') && !name.first().is_some_and(u8::is_ascii_digit);
    (valid && text[0] == b'$').then(|| &text[..length + 2])
}

/// White space of Postgres and psql: that of Rust, and the vertical tab.
pub(super) fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

pub(super) fn trim_space(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
    &text[start..]
}

/// Whether a byte can be part of a bare word, except `$`. Bytes above ASCII can.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_space_and_comments();
        let first = *self.rest.first()?;
        let after_escapes = std::mem::take(&mut self.after_escapes);
        if first == b'\'' {
            self.after_escapes = self.backslashes || after_escapes;
            self.advance(quoted(self.rest, b'\'', self.after_escapes));
            return Some(Token::Literal);
        }
        if first == b'"' {
            let raw = self.advance(quoted(self.rest, b'"', false));
            let inside = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
            return Some(Token::Quoted(String::from_utf8_lossy(inside).replace("\"\"", "\"")));
        }
        if let Some(tag) = dollar_tag(self.rest) {
            let body = &self.rest[tag.len()..];
            let length = memchr::memmem::find(body, tag).map_or(self.rest.len(), |end| end + 2 * tag.len());
            self.advance(length);
            return Some(Token::Literal);
        }
        if !is_word(first) {
            self.advance(1);
            return Some(Token::Sign(char::from(first)));
        }
        let length = self.rest.iter().position(|byte| !is_word(*byte) && *byte != b'$').unwrap_or(self.rest.len());
        let word = self.advance(length);
        if word.eq_ignore_ascii_case(b"e") && self.rest.first() == Some(&b'\'') {
            self.advance(quoted(self.rest, b'\'', true));
            self.after_escapes = true;
            return Some(Token::Literal);
        }
        let folded = match std::str::from_utf8(word) {
            Ok(word) if word.is_ascii() => word.to_ascii_uppercase(),
            _ => String::from_utf8_lossy(word).to_uppercase(),
        };
        Some(Token::Word(folded))
    }
}

/// Converts a statement whose literals all have backslash escapes to one with the same tokens under
/// standard strings, by replacing escaped characters.
pub(super) fn with_standard_strings(text: &[u8]) -> Vec<u8> {
    let (mut standard, mut tokens) = (text.to_vec(), Tokens::with_backslashes(text, true));
    loop {
        tokens.skip_space_and_comments();
        let start = text.len() - tokens.rest.len();
        if tokens.next().is_none() {
            return standard;
        }
        let end = text.len() - tokens.rest.len();
        if text[start] != b'\'' {
            continue; // `E'…'` and dollar quotes are the same in both
        }
        let mut at = start;
        while let Some(found) = memchr::memchr(b'\\', &text[at..end]) {
            let escape = at + found;
            at = (escape + 2).min(end); // the last escape of an unterminated literal may be incomplete
            standard[escape..at].fill(b'x');
        }
    }
}

/// The first bare word of a statement; empty if it begins with another token.
pub fn first_word(text: &[u8]) -> &[u8] {
    let mut tokens = Tokens::new(text);
    tokens.skip_space_and_comments();
    let length = tokens.rest.iter().position(|byte| !is_word(*byte)).unwrap_or(tokens.rest.len());
    &tokens.rest[..length]
}

/// Whether a very long comment separates the first tokens, so that the start of a long statement does
/// not suffice to classify it.
pub(super) fn has_oversized_comment(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    for _ in 0..8 {
        let before = tokens.rest.len();
        tokens.skip_space_and_comments();
        if before - tokens.rest.len() > MAX_COMMENT {
            return true;
        }
        if tokens.next().is_none() {
            return false;
        }
    }
    false
}

/// Longest accepted comment among the first tokens of a statement, in bytes.
pub(super) const MAX_COMMENT: usize = 64 << 10;
