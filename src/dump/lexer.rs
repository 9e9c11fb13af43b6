//! psql's lexer within one statement: where it ends.

use super::tokens::{dollar_tag, is_space, is_word};

/// What the lexer must remember inside a statement.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Inside {
    /// Bytes of the buffer that are understood.
    pub(super) at: usize,
    /// There was more than space and comments.
    begun: bool,
    literal: Literal,
    parentheses: u32,
    /// Whether it makes a function, which may have a body of statements.
    makes_function: MakesFunction,
    /// `BEGIN` and `CASE` that wait for their `END`.
    begins: u32,
    /// Just behind a `$` that belongs to a word.
    word_until: usize,
    /// Since an `E'…'` literal there was only space and comments up to here: a literal that
    /// follows on another line continues it, with its escapes (Postgres, "String Constants").
    escape_until: Option<usize>,
    /// The comment that is being passed stands behind such a literal.
    escape_goes_on: bool,
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
enum MakesFunction {
    #[default]
    Undecided,
    AfterCreate,
    Yes,
    No,
}

/// What ends a statement, with its length.
#[derive(Clone, Copy)]
pub(super) enum End {
    Semicolon(usize),
    /// A backslash outside of literals: a psql command in the middle of a statement.
    Command(usize),
}

impl End {
    pub(super) fn length(self) -> usize {
        match self {
            Self::Semicolon(length) | Self::Command(length) => length,
        }
    }
}

/// Words up to this length are kept whole, in bytes.
const LONGEST_WORD: usize = 4096;

/// Bytes that mean something between words.
const SIGNS: [bool; 256] = table(b";\\'\"-/$()");

/// The same for a plain `INSERT`. Parentheses do not count there: a semicolon inside of them
/// is no SQL, and what follows it is judged by itself.
const PLAIN_SIGNS: [bool; 256] = table(b";\\\"-/$");

const fn table(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
}

/// Whether a quote behind these bytes begins an `E'…'` literal.
fn escapes(before: &[u8]) -> bool {
    match before {
        [.., other, b'e' | b'E'] => !is_word(*other) && *other != b'$',
        [b'e' | b'E'] => true,
        _ => false,
    }
}

impl Inside {
    /// Whether a script that ends here ends in the middle of something.
    pub(super) fn is_unfinished(&self) -> bool {
        self.begun || !matches!(self.literal, Literal::None | Literal::LineComment)
    }

    /// Goes on from where it was; the end of the statement if it lies in these bytes.
    pub(super) fn advance(&mut self, bytes: &[u8], backslashes: bool, last: bool) -> Option<End> {
        while self.at < bytes.len() {
            if self.literal != Literal::None {
                if !self.leave_literal(bytes) {
                    return None;
                }
                continue;
            }
            if self.makes_function == MakesFunction::No {
                self.skip_words(bytes);
            }
            let rest = &bytes[self.at..];
            if rest.is_empty() {
                return None;
            }
            // These need a look at what follows.
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
                        || self.makes_function == MakesFunction::No && escapes(&bytes[..self.at]);
                    self.enter(Literal::Quote { quote: b'\'', backslash }, 1);
                }
                b'"' => self.enter(Literal::Quote { quote: b'"', backslash: false }, 1),
                b'-' if rest.starts_with(b"--") => {
                    self.escape_goes_on = self.continues_escape(bytes);
                    self.enter(Literal::LineComment, 2);
                }
                b'/' if rest.starts_with(b"/*") => {
                    self.escape_goes_on = self.continues_escape(bytes);
                    self.enter(Literal::BlockComment(1), 2);
                }
                b'$' if self.continues_word(bytes) => (self.at, self.word_until) = (self.at + 1, self.at + 1),
                b'$' => match dollar_tag(rest) {
                    Some(tag) => self.enter(Literal::Dollar(tag.to_vec()), tag.len()),
                    None => self.at += 1,
                },
                b'(' => (self.parentheses, self.at) = (self.parentheses + 1, self.at + 1),
                b')' => (self.parentheses, self.at) = (self.parentheses.saturating_sub(1), self.at + 1),
                byte if is_word(byte) => {
                    let length = rest.iter().position(|byte| !is_word(*byte) && *byte != b'$').unwrap_or(rest.len());
                    if length == rest.len() && !last && length < LONGEST_WORD {
                        return None; // the word may go on
                    }
                    // psql takes `:name` for one of its variables (psql, "SQL Interpolation").
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

    /// Whether only space and comments stand between an `E'…'` literal and here.
    fn continues_escape(&self, bytes: &[u8]) -> bool {
        let between = self.escape_until.and_then(|until| bytes.get(until..self.at));
        between.is_some_and(|between| between.iter().all(|byte| is_space(*byte)))
    }

    fn after_comment(&mut self) {
        self.escape_until = self.escape_goes_on.then_some(self.at);
    }

    /// Words matter only until it is clear that the statement makes no function; then all but
    /// a few signs is passed over at once.
    fn skip_words(&mut self, bytes: &[u8]) {
        let signs = bytes[self.at..].iter().position(|byte| SIGNS[usize::from(*byte)]);
        self.at = signs.map_or(bytes.len(), |length| self.at + length);
    }

    /// Whether a `$` here is part of a word, and so begins no literal.
    fn continues_word(&self, bytes: &[u8]) -> bool {
        let before = self.at.checked_sub(1).map(|at| bytes[at]);
        self.makes_function == MakesFunction::No
            && (before.is_some_and(is_word) || (before.is_some() && self.word_until == self.at))
    }

    /// How much of these bytes may be handed out before the statement's end is seen. What
    /// comes next begins at zero again, with the word that it may continue.
    pub(super) fn hand_out(&mut self, bytes: &[u8], last: bool) -> usize {
        let understood = std::mem::take(&mut self.at);
        self.word_until = 0;
        // What follows begins at zero again; the worst is assumed where a literal ended just here.
        self.escape_until = self.escape_until.filter(|until| *until == understood).map(|_| 0);
        if last {
            return bytes.len();
        }
        if self.makes_function != MakesFunction::No || self.literal != Literal::None {
            return understood;
        }
        let word = bytes[..understood].iter().rev().take_while(|byte| is_word(**byte) || **byte == b'$').count();
        if word > LONGEST_WORD { understood } else { understood - word }
    }

    fn enter(&mut self, literal: Literal, length: usize) {
        self.literal = literal;
        self.at += length;
    }

    /// Passes the end of the literal, if it lies in these bytes.
    fn leave_literal(&mut self, bytes: &[u8]) -> bool {
        let rest = &bytes[self.at..];
        match &mut self.literal {
            Literal::None => return true,
            Literal::Quote { quote, backslash: false } => {
                // A doubled quote ends one literal and begins the next: the same in effect.
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
                    return rest.len() > end + 1; // what follows decides
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
                    [_] => return false, // what follows decides
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
        true
    }

    /// Follows the words as psql does: the body of a SQL-standard function holds semicolons.
    fn word(&mut self, word: &[u8]) {
        let is = |wanted: &[u8]| word.eq_ignore_ascii_case(wanted);
        self.makes_function = match self.makes_function {
            MakesFunction::Undecided if is(b"create") => MakesFunction::AfterCreate,
            MakesFunction::AfterCreate if is(b"or") || is(b"replace") => MakesFunction::AfterCreate,
            MakesFunction::AfterCreate if is(b"function") || is(b"procedure") => MakesFunction::Yes,
            MakesFunction::Yes => MakesFunction::Yes,
            _ => MakesFunction::No,
        };
        if self.makes_function != MakesFunction::Yes || self.parentheses > 0 {
            return;
        }
        if is(b"begin") || (is(b"case") && self.begins > 0) {
            self.begins += 1;
        } else if is(b"end") {
            self.begins = self.begins.saturating_sub(1);
        }
    }
}

/// Length and number of the `INSERT`s that these bytes begin with, as far as they are as plain
/// as `pg_dump --inserts` writes them: there may be millions, so they are passed over fast.
/// What is not plain is left to [`Inside`].
pub(super) fn inserts(bytes: &[u8]) -> (usize, u64) {
    let mut plain = Plain { bytes, quotes: memchr::memchr_iter(b'\'', bytes), quote: None };
    plain.quote = plain.quotes.next();
    let (mut length, mut count) = (0, 0);
    while bytes[length..].starts_with(b"INSERT INTO ") {
        let Some(end) = plain.statement_end(length) else { break };
        length = end + usize::from(bytes.get(end) == Some(&b'\n'));
        count += 1;
    }
    (length, count)
}

/// Bytes of which all single quotes are found in one go: looking for each anew takes longer.
struct Plain<'a> {
    bytes: &'a [u8],
    quotes: memchr::Memchr<'a>,
    /// The next one.
    quote: Option<usize>,
}

impl Plain<'_> {
    /// Where a statement ends that begins here; `None` when it has a comment, an escape or a
    /// dollar quote, or does not end in these bytes.
    fn statement_end(&mut self, from: usize) -> Option<usize> {
        let (bytes, mut at) = (self.bytes, from);
        loop {
            let until = self.quote.unwrap_or(bytes.len());
            if bytes[at..until] == *b", " {
                at = until; // what stands between two literals, mostly
            }
            while let Some(sign) = bytes[at..until].iter().position(|byte| PLAIN_SIGNS[usize::from(*byte)]) {
                at += sign;
                let next = || bytes.get(at + 1).copied();
                match bytes[at] {
                    b';' => return Some(at + 1),
                    b'-' if next()? != b'-' => {}
                    b'/' if next()? != b'*' => {}
                    // A quoted name, without single quotes in it.
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
