//! Finds the end of a statement by the rules of psql's lexer.

use super::tokens::{dollar_tag, is_space, is_word};

/// State of the lexer inside a statement.
#[derive(Clone, Default, PartialEq)]
pub(super) struct StatementLexer {
    /// Number of bytes of the buffer that are parsed.
    pub(super) at: usize,
    /// Something other than white space and comments was read.
    begun: bool,
    literal: Literal,
    parentheses: u32,
    /// Whether the statement creates a function, which may have a body of statements.
    creates_function: CreatesFunction,
    /// Number of `BEGIN` and `CASE` without their `END`.
    begins: u32,
    /// Position after the last `$` that belongs to a word.
    word_until: usize,
    /// Earliest start of the current word: a literal or a lone `$` ended here.
    word_from: usize,
    /// Only white space and comments followed an `E'…'` literal up to here: a literal on a later
    /// line continues it, with its escapes (Postgres, "String Constants").
    escape_until: Option<usize>,
    /// The current comment follows such a literal.
    escape_continues: bool,
}

#[derive(Clone, Default, PartialEq)]
enum Literal {
    #[default]
    None,
    Quote {
        quote: u8,
        backslash: bool,
    },
    Dollar(Vec<u8>),
    LineComment,
    BlockComment(u32),
}

#[derive(Clone, Copy, Default, PartialEq)]
enum CreatesFunction {
    #[default]
    Undecided,
    AfterCreate,
    Yes,
    No,
}

/// What ends a statement, with the statement's length in bytes.
#[derive(Clone, Copy)]
pub(super) enum End {
    Semicolon(usize),
    /// A backslash outside literals: a psql command in the middle of a statement.
    Command(usize),
}

impl End {
    pub(super) fn length(self) -> usize {
        match self {
            Self::Semicolon(length) | Self::Command(length) => length,
        }
    }
}

/// Length in bytes up to which words are kept whole.
const MAX_WORD: usize = 4096;

/// Significant bytes between words.
const SIGNIFICANT: [bool; 256] = table(b";\\'\"-/$()");

/// The same for a plain `INSERT`. Parentheses are ignored: a semicolon inside them is not valid
/// SQL, and the text after it is checked as a statement of its own.
const SIGNIFICANT_IN_INSERT: [bool; 256] = table(b";\\\"-/$");

const fn table(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
}

/// Whether a quote after these bytes begins an `E'…'` literal.
fn escapes(before: &[u8]) -> bool {
    match before {
        [.., other, b'e' | b'E'] => !is_word(*other) && *other != b'$',
        [b'e' | b'E'] => true,
        _ => false,
    }
}

impl StatementLexer {
    /// Whether a statement or comment is open here.
    pub(super) fn is_unfinished(&self) -> bool {
        self.begun || !matches!(self.literal, Literal::None | Literal::LineComment)
    }

    /// Continues lexing; returns the end of the statement if it lies in these bytes.
    pub(super) fn advance(&mut self, bytes: &[u8], backslashes: bool, last: bool) -> Option<End> {
        while self.at < bytes.len() {
            if self.literal != Literal::None {
                if !self.leave_literal(bytes) {
                    return None;
                }
                continue;
            }
            if self.creates_function == CreatesFunction::No {
                self.skip_words(bytes);
            }
            let rest = &bytes[self.at..];
            if rest.is_empty() {
                return None;
            }
            // These depend on the following bytes.
            let needs_more = !last && rest.len() < 66 && matches!(rest[0], b'-' | b'/' | b'$');
            if needs_more {
                return None;
            }
            let comment = rest.starts_with(b"--") || rest.starts_with(b"/*");
            self.begun |= !comment && !is_space(rest[0]);
            match rest[0] {
                b';' if self.parentheses == 0 && self.begins == 0 => {
                    self.at += 1;
                    return Some(End::Semicolon(self.at));
                }
                b'\\' => return Some(End::Command(self.at)),
                b'\'' => {
                    let backslash = backslashes
                        || self.continues_escape(bytes)
                        || self.creates_function == CreatesFunction::No && escapes(&bytes[self.word_from..self.at]);
                    self.enter(Literal::Quote { quote: b'\'', backslash }, 1);
                }
                b'"' => self.enter(Literal::Quote { quote: b'"', backslash: false }, 1),
                b'-' if rest.starts_with(b"--") => {
                    self.escape_continues = self.continues_escape(bytes);
                    self.enter(Literal::LineComment, 2);
                }
                b'/' if rest.starts_with(b"/*") => {
                    self.escape_continues = self.continues_escape(bytes);
                    self.enter(Literal::BlockComment(1), 2);
                }
                b'$' if self.continues_word(bytes) => (self.at, self.word_until) = (self.at + 1, self.at + 1),
                b'$' => {
                    if let Some(tag) = dollar_tag(rest) {
                        self.enter(Literal::Dollar(tag.to_vec()), tag.len());
                    } else {
                        (self.at, self.word_from) = (self.at + 1, self.at + 1);
                    }
                }
                b'(' => (self.parentheses, self.at) = (self.parentheses + 1, self.at + 1),
                b')' => (self.parentheses, self.at) = (self.parentheses.saturating_sub(1), self.at + 1),
                byte if is_word(byte) => {
                    let length = rest.iter().position(|byte| !is_word(*byte) && *byte != b'$').unwrap_or(rest.len());
                    if length == rest.len() && !last && length < MAX_WORD {
                        return None; // the word may continue
                    }
                    // `:name` is a psql variable (psql, "SQL Interpolation").
                    let colons = bytes[..self.at].iter().rev().take_while(|byte| **byte == b':').count();
                    if colons % 2 == 0 {
                        self.word(&rest[..length]);
                    }
                    self.at += length;
                    let escapes = rest[..length].eq_ignore_ascii_case(b"e") && rest.get(length) == Some(&b'\'');
                    if escapes {
                        self.enter(Literal::Quote { quote: b'\'', backslash: true }, 1);
                    }
                }
                _ => self.at += 1,
            }
        }
        None
    }

    /// Whether only white space and comments separate an `E'…'` literal from here.
    fn continues_escape(&self, bytes: &[u8]) -> bool {
        let between = self.escape_until.and_then(|until| bytes.get(until..self.at));
        between.is_some_and(|between| between.iter().all(|byte| is_space(*byte)))
    }

    fn after_comment(&mut self) {
        self.escape_until = self.escape_continues.then_some(self.at);
    }

    /// Skips to the next significant byte. Words matter only while the statement may create a
    /// function.
    fn skip_words(&mut self, bytes: &[u8]) {
        let signs = bytes[self.at..].iter().position(|byte| SIGNIFICANT[usize::from(*byte)]);
        self.at = signs.map_or(bytes.len(), |length| self.at + length);
    }

    /// Whether a `$` here is part of a word, and so does not begin a literal.
    fn continues_word(&self, bytes: &[u8]) -> bool {
        let before = self.at.checked_sub(1).map(|at| bytes[at]);
        self.creates_function == CreatesFunction::No
            && (before.is_some_and(is_word) || (before.is_some() && self.word_until == self.at))
    }

    /// Number of bytes that can be returned before the statement's end is found. A word that may
    /// continue is kept; the next bytes start at position zero.
    pub(super) fn release(&mut self, bytes: &[u8], last: bool) -> usize {
        let length = self.releasable(bytes, last);
        self.word_from = self.word_from.saturating_sub(length);
        length
    }

    fn releasable(&mut self, bytes: &[u8], last: bool) -> usize {
        let understood = std::mem::take(&mut self.at);
        self.word_until = 0;
        // The next bytes start at zero. If a literal ended here, assume that it may continue.
        self.escape_until = self.escape_until.filter(|until| *until == understood).map(|_| 0);
        if last {
            return bytes.len();
        }
        if self.creates_function != CreatesFunction::No || self.literal != Literal::None {
            return understood;
        }
        let word = bytes[..understood].iter().rev().take_while(|byte| is_word(**byte) || **byte == b'$').count();
        if word > MAX_WORD { understood } else { understood - word }
    }

    fn enter(&mut self, literal: Literal, length: usize) {
        self.literal = literal;
        self.at += length;
    }

    /// Moves past the end of the literal, if it lies in these bytes.
    fn leave_literal(&mut self, bytes: &[u8]) -> bool {
        let rest = &bytes[self.at..];
        match &mut self.literal {
            Literal::None => return true,
            Literal::Quote { quote, backslash: false } => {
                // A doubled quote counts as the end of one literal and the start of the next.
                let Some(end) = memchr::memchr(*quote, rest) else {
                    self.at = bytes.len();
                    return false;
                };
                self.at += end + 1;
            }
            Literal::Quote { quote, backslash: true } => {
                let Some(end) = memchr::memchr2(*quote, b'\\', rest) else {
                    self.at = bytes.len();
                    return false;
                };
                let escape = rest[end] == b'\\' || rest.get(end + 1) == Some(quote);
                if escape && rest.len() < end + 2 || rest.len() == end + 1 {
                    self.at += end;
                    return rest.len() > end + 1; // depends on the next byte
                }
                self.at += end + 1 + usize::from(escape);
                if escape {
                    return true;
                }
                self.escape_until = Some(self.at);
            }
            Literal::Dollar(tag) => {
                let Some(end) = memchr::memmem::find(rest, tag) else {
                    self.at = self.at.max((bytes.len() + 1).saturating_sub(tag.len()));
                    return false;
                };
                self.at += end + tag.len();
            }
            Literal::LineComment => {
                let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
                    self.at = bytes.len();
                    return false;
                };
                self.at += end + 1;
                self.literal = Literal::None;
                self.after_comment();
                return true;
            }
            Literal::BlockComment(depth) => {
                let Some(end) = memchr::memchr2(b'*', b'/', rest) else {
                    self.at = bytes.len();
                    return false;
                };
                self.at += end;
                match &rest[end..] {
                    [_] => return false, // depends on the next byte
                    [b'*', b'/', ..] if *depth == 1 => {
                        self.at += 2;
                        self.literal = Literal::None;
                        self.after_comment();
                    }
                    [b'*', b'/', ..] => (*depth, self.at) = (*depth - 1, self.at + 2),
                    [b'/', b'*', ..] => (*depth, self.at) = (*depth + 1, self.at + 2),
                    _ => self.at += 1,
                }
                return true;
            }
        }
        self.literal = Literal::None;
        self.word_from = self.at;
        true
    }

    /// Tracks words as psql does: the body of a SQL-standard function contains semicolons.
    fn word(&mut self, word: &[u8]) {
        let is = |wanted: &[u8]| word.eq_ignore_ascii_case(wanted);
        self.creates_function = match self.creates_function {
            CreatesFunction::Undecided if is(b"create") => CreatesFunction::AfterCreate,
            CreatesFunction::AfterCreate if is(b"or") || is(b"replace") => CreatesFunction::AfterCreate,
            CreatesFunction::AfterCreate if is(b"function") || is(b"procedure") => CreatesFunction::Yes,
            CreatesFunction::Yes => CreatesFunction::Yes,
            _ => CreatesFunction::No,
        };
        if self.creates_function != CreatesFunction::Yes || self.parentheses > 0 {
            return;
        }
        if is(b"begin") || (is(b"case") && self.begins > 0) {
            self.begins += 1;
        } else if is(b"end") {
            self.begins = self.begins.saturating_sub(1);
        }
    }
}

/// Length in bytes and number of the `INSERT`s at the start, as far as they have the plain form of
/// `pg_dump --inserts`. A fast path, because there may be millions; [`StatementLexer`] handles the rest.
pub(super) fn inserts(bytes: &[u8]) -> (usize, u64) {
    let mut inserts_only = PlainInserts { bytes, quotes: memchr::memchr_iter(b'\'', bytes), quote: None };
    inserts_only.quote = inserts_only.quotes.next();
    let (mut length, mut count) = (0, 0);
    while bytes[length..].starts_with(b"INSERT INTO ") {
        let Some(end) = inserts_only.statement_end(length) else { break };
        length = end + usize::from(bytes.get(end) == Some(&b'\n'));
        count += 1;
    }
    (length, count)
}

/// The statements of a run that [`inserts`] has found, or one statement.
pub(super) fn split_inserts(bytes: &[u8]) -> Vec<&[u8]> {
    let mut inserts_only = PlainInserts { bytes, quotes: memchr::memchr_iter(b'\'', bytes), quote: None };
    inserts_only.quote = inserts_only.quotes.next();
    let (mut statements, mut from) = (Vec::new(), 0);
    while let Some(end) = inserts_only.statement_end(from).filter(|end| *end < bytes.len()) {
        statements.push(&bytes[from..end]);
        from = end;
    }
    statements.push(&bytes[from..]);
    statements
}

/// Bytes with one iterator over all single quotes, which is faster than a search for each.
struct PlainInserts<'a> {
    bytes: &'a [u8],
    quotes: memchr::Memchr<'a>,
    /// Position of the next quote.
    quote: Option<usize>,
}

impl PlainInserts<'_> {
    /// End of the statement that begins at `from`; `None` if it contains a comment, an escape or a
    /// dollar quote, or does not end in these bytes.
    fn statement_end(&mut self, from: usize) -> Option<usize> {
        let (bytes, mut at) = (self.bytes, from);
        loop {
            let until = self.quote.unwrap_or(bytes.len());
            if bytes[at..until] == *b", " {
                at = until; // the usual separator of two literals
            }
            while let Some(sign) = bytes[at..until].iter().position(|byte| SIGNIFICANT_IN_INSERT[usize::from(*byte)]) {
                at += sign;
                let next = || bytes.get(at + 1).copied();
                match bytes[at] {
                    b';' => return Some(at + 1),
                    b'-' if next()? != b'-' => {}
                    b'/' if next()? != b'*' => {}
                    // A quoted name without single quotes.
                    b'"' => at += 1 + memchr::memchr(b'"', &bytes[at + 1..until])?,
                    _ => return None,
                }
                at += 1;
            }
            let quote = self.quote?;
            if matches!(bytes[..quote].last(), Some(b'e' | b'E')) {
                return None;
            }
            at = self.quotes.next()? + 1;
            self.quote = self.quotes.next();
        }
    }
}
