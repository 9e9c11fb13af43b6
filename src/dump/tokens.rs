//! SQL in tokens.

/// A word or sign of a statement. Comments and the insides of literals are passed over.
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

    /// The name that this token stands for: bare words are folded to lower case.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.to_lowercase()),
            Self::Quoted(name) => Some(name.clone()),
            Self::Literal | Self::Sign(_) => None,
        }
    }
}

/// Cuts SQL into tokens. A literal or comment that does not end takes all the rest.
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    /// Begins at the start of a text.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// The next token with its text as it stands there, and whether there is space before it.
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

/// Length of a block comment; they nest.
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

/// Length of a quoted run, quotes included; a doubled quote stands for itself.
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

/// The `$tag$` that a text begins with, if it begins with one.
pub(super) fn dollar_tag(text: &[u8]) -> Option<&[u8]> {
    let name = text.get(1..)?;
    let length = name.iter().position(|byte| !is_word(*byte)).unwrap_or(name.len());
    let valid = name.get(length) == Some(&b'$') && !name.first().is_some_and(u8::is_ascii_digit);
    (valid && text[0] == b'$').then(|| &text[..length + 2])
}

/// White space as Postgres and psql see it, which is one byte more than Rust's.
pub(super) fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

pub(super) fn trim_space(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
    &text[start..]
}

/// Whether a byte can stand inside a bare word (`$` aside). Bytes above ASCII can.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_space_and_comments();
        let first = *self.rest.first()?;
        if first == b'\'' {
            self.advance(quoted(self.rest, b'\'', false));
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
            return Some(Token::Literal);
        }
        Some(Token::Word(String::from_utf8_lossy(word).to_uppercase()))
    }
}

/// The first bare word of a statement; empty when it begins with something else.
pub(super) fn first_word(text: &[u8]) -> &[u8] {
    let mut tokens = Tokens::new(text);
    tokens.skip_space_and_comments();
    let length = tokens.rest.iter().position(|byte| !is_word(*byte)).unwrap_or(tokens.rest.len());
    &tokens.rest[..length]
}

/// Whether the beginning of a statement hides behind a comment of impossible length, so that a
/// long statement cannot be told by what was read of it.
pub(super) fn hides_head(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    for _ in 0..8 {
        let before = tokens.rest.len();
        tokens.skip_space_and_comments();
        if before - tokens.rest.len() > LONGEST_COMMENT {
            return true;
        }
        if tokens.next().is_none() {
            return false;
        }
    }
    false
}

/// No honest comment inside a statement is longer, in bytes.
pub(super) const LONGEST_COMMENT: usize = 64 << 10;
