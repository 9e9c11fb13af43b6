//! Splits plain SQL into statements, psql commands and `COPY` rows by the rules of psql's lexer, in
//! one pass over a stream with a bounded buffer.

use super::encoding::{Encoding, SourceEncoding, TextEncoding};
use super::lexer::{End, StatementLexer};
use super::statement::{client_encoding, resets_all};
use super::tokens::{Tokens, first_word, trim_space, with_standard_strings};
use super::treatment::{Treatment, treat};
use super::window::{BLOCK, Position, Window};
use std::borrow::Cow;
use std::io::{self, Read};

/// Length in bytes up to which a statement is returned in one piece.
pub const MAX_WHOLE_STATEMENT: usize = 1 << 20;

/// A run of bytes of the script. The pieces together are the script, byte for byte.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The kind of piece.
    pub kind: PieceKind,
    /// The bytes.
    pub bytes: &'a [u8],
    /// The bytes may contain a zero byte.
    pub may_have_zero: bool,
    /// The encoding that the script has declared so far.
    pub encoding: Encoding,
    /// The bytes are known to be valid UTF-8.
    is_utf8: bool,
    /// Backslashes are escapes in all literals.
    backslashes: bool,
    place: Position<'a>,
}

impl Piece<'_> {
    /// The line on which the piece begins, from 1. Counted on demand, because it takes time.
    pub fn line(&self) -> u64 {
        1 + self.place.lines_before()
    }

    /// Number of lines that end in the piece.
    pub(super) fn line_ends(&self) -> u64 {
        self.place.lines_inside()
    }

    /// The statement in UTF-8 with standard strings, as [`treat`] and the like expect it.
    pub fn statement(&self) -> Cow<'_, [u8]> {
        let text = if self.backslashes && memchr::memchr(b'\\', self.bytes).is_some() {
            Cow::Owned(with_standard_strings(self.bytes))
        } else {
            Cow::Borrowed(self.bytes)
        };
        if self.encoding.must_be_utf8() || text.is_ascii() {
            return text;
        }
        // All encodings of a server leave the bytes of ASCII to ASCII, so the statement ends where it did.
        Cow::Owned(self.encoding.decode(&text).into_owned().into_bytes())
    }

    /// Whether the text is known to be in the declared encoding, except for a character that continues
    /// in the next piece.
    pub fn is_valid_text(&self) -> bool {
        self.is_utf8 && self.encoding.must_be_utf8()
    }

    /// Whether the piece contains a zero byte, which Postgres text cannot contain.
    pub fn has_zero(&self) -> bool {
        self.may_have_zero && memchr::memchr(0, self.bytes).is_some()
    }
}

/// The kind of a piece of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// White space and comments between statements.
    Between,
    /// A byte order mark, or a message that pg_dump wrote in front of the dump. Not part of the SQL.
    Ignored,
    /// A statement, including its semicolon.
    Statement,
    /// This number of complete `INSERT`s in a row, with the white space after each.
    Inserts(u64),
    /// The start of a statement that is too long for one piece.
    StatementStart,
    /// A further part of such a statement.
    StatementPart,
    /// A psql backslash command, including its line end.
    Command,
    /// The same in the middle of a statement, which may continue after it.
    CommandInside,
    /// Rows of a `COPY … FROM stdin`, or some of them, including the end marker `\.`.
    Rows,
}

impl PieceKind {
    /// Whether a statement begins with this piece.
    pub(super) fn starts_statement(self) -> bool {
        matches!(self, Self::Statement | Self::StatementStart | Self::Inserts(_))
    }
}

/// The construct that is open at the end of a truncated script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// A statement without its semicolon.
    Statement,
    /// The rows of a `COPY`.
    Rows,
}

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Statement => "in the middle of a statement",
            Self::Rows => "in the middle of COPY data",
        })
    }
}

#[derive(Clone, PartialEq)]
enum ScanState {
    Between,
    /// In a statement that began at the start of the buffer.
    Statement(StatementLexer),
    /// In a statement whose start was returned.
    LongStatement(StatementLexer),
    /// After `COPY … FROM stdin;`, before its line end.
    RowsAhead,
    Rows {
        line_start: bool,
    },
}

/// Splits a script. Call [`Script::next_piece`] until it returns `None`.
pub struct Script {
    window: Window,
    state: ScanState,
    /// `standard_conforming_strings = off` was set: backslashes are escapes in all strings.
    backslashes: bool,
    /// A psql command follows in the middle of a statement.
    interrupted: bool,
    encoding: TextEncoding,
    /// Nothing but white space and ignored lines was read.
    at_start: bool,
}

impl Script {
    /// Creates a reader of a script.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self {
            window: Window::new(reader),
            state: ScanState::Between,
            backslashes: false,
            interrupted: false,
            encoding: TextEncoding::default(),
            at_start: true,
        }
    }

    /// Sets the encoding of the script, whatever it declares.
    #[must_use]
    pub fn with_encoding(self, encoding: Option<&SourceEncoding>) -> Self {
        Self { encoding: TextEncoding::new(encoding), ..self }
    }

    /// After the end: the construct that is still open.
    pub fn unfinished(&self) -> Option<Unfinished> {
        match self.state {
            ScanState::Between => None,
            ScanState::Statement(ref inside) | ScanState::LongStatement(ref inside) => {
                inside.is_unfinished().then_some(Unfinished::Statement)
            }
            ScanState::RowsAhead | ScanState::Rows { .. } => Some(Unfinished::Rows),
        }
    }

    /// The line of the next piece, from 1.
    pub fn line(&self) -> u64 {
        1 + self.window.lines()
    }

    /// Reads the next piece; `None` at the end of the stream.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        loop {
            if let Some((length, kind)) = self.cut() {
                let (may_have_zero, is_utf8) = (self.window.has_zero(), self.window.is_utf8());
                let (backslashes, encoding) = (self.backslashes, self.encoding.current);
                let (bytes, place) = self.window.take(length);
                self.at_start &= kind == PieceKind::Ignored || bytes.trim_ascii().is_empty();
                return Ok(Some(Piece { kind, bytes, may_have_zero, encoding, is_utf8, backslashes, place }));
            }
            if self.window.ended() {
                return Ok(None);
            }
            self.window.more()?;
        }
    }

    /// Finds the length and kind of the next piece; `None` if more bytes are needed.
    fn cut(&mut self) -> Option<(usize, PieceKind)> {
        let (bytes, ended) = (self.window.bytes(), self.window.ended());
        if bytes.is_empty() {
            return None;
        }
        match &mut self.state {
            ScanState::Between => {
                if bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes) && !ended {
                    return None;
                }
                if let Some(length) = ignored(bytes, self.at_start) {
                    return Some((length, PieceKind::Ignored));
                }
                let length = between(bytes, ended);
                if length > 0 {
                    return Some((length, PieceKind::Between));
                }
                let may_be_comment = bytes.len() < 2 || bytes.starts_with(b"--");
                if may_be_comment && !ended && bytes.len() < MAX_WHOLE_STATEMENT {
                    return None;
                }
                if bytes[0] == b'\\' {
                    let length = whole_line(bytes, ended || bytes.len() > MAX_WHOLE_STATEMENT)?;
                    let inside = std::mem::take(&mut self.interrupted);
                    return Some((length, if inside { PieceKind::CommandInside } else { PieceKind::Command }));
                }
                let (length, count) = if self.backslashes { (0, 0) } else { self.window.inserts() };
                if count > 0 {
                    return Some((length, PieceKind::Inserts(count)));
                }
                self.state = ScanState::Statement(StatementLexer::default());
                self.cut()
            }
            ScanState::Statement(inside) => {
                if let Some(end) = inside.advance(bytes, self.backslashes, ended) {
                    return Some(self.statement(end));
                }
                if bytes.len() < MAX_WHOLE_STATEMENT && !ended {
                    return None;
                }
                let length = inside.release(bytes, ended);
                self.state = ScanState::LongStatement(std::mem::take(inside));
                (length > 0).then_some((length, PieceKind::StatementStart))
            }
            ScanState::LongStatement(inside) => {
                if let Some(end) = inside.advance(bytes, self.backslashes, ended) {
                    self.state = ScanState::Between;
                    self.interrupted = matches!(end, End::Command(_));
                    if end.length() == 0 {
                        return self.cut(); // the command is next
                    }
                    return Some((end.length(), PieceKind::StatementPart));
                }
                let length = inside.release(bytes, ended);
                (length > 0).then_some((length, PieceKind::StatementPart))
            }
            ScanState::RowsAhead => {
                let length = whole_line(bytes, ended || bytes.len() > MAX_WHOLE_STATEMENT)?;
                self.state = ScanState::Rows { line_start: true };
                // psql would read other text here as SQL after the rows. pg_dump never writes any.
                let blank = bytes[..length].trim_ascii().is_empty();
                Some((length, if blank { PieceKind::Between } else { PieceKind::StatementPart }))
            }
            ScanState::Rows { line_start } => {
                let (length, over) = rows(bytes, *line_start, ended)?;
                if over {
                    self.state = ScanState::Between;
                } else {
                    *line_start = bytes[length - 1] == b'\n';
                }
                Some((length, PieceKind::Rows))
            }
        }
    }

    fn statement(&mut self, end: End) -> (usize, PieceKind) {
        let text = &self.window.bytes()[..end.length()];
        self.state = ScanState::Between;
        match end {
            // psql sends the text before a command only if the command does so.
            End::Command(length) => {
                self.interrupted = true;
                (length, PieceKind::StatementStart)
            }
            End::Semicolon(length) => {
                let word = first_word(text);
                let standard =
                    if self.backslashes { Cow::Owned(with_standard_strings(text)) } else { Cow::Borrowed(text) };
                if word.eq_ignore_ascii_case(b"copy") && treat(&standard) == Treatment::CopyRows {
                    self.state = ScanState::RowsAhead;
                } else if word.eq_ignore_ascii_case(b"set")
                    && let Some(on) = conforming_strings(text)
                {
                    self.backslashes = !on;
                } else if resets_all(text) {
                    self.backslashes = false;
                    self.encoding.declare("UTF8");
                } else if (word.eq_ignore_ascii_case(b"set") || word.eq_ignore_ascii_case(b"reset"))
                    && let Some(name) = client_encoding(text)
                {
                    self.encoding.declare(&name);
                }
                (length, PieceKind::Statement)
            }
        }
    }
}

/// A mark that Windows programs write before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The first words of messages and prompts that reach a dump through `pg_dump … > file 2>&1`.
const MESSAGES: [&[u8]; 8] = [
    b"pg_dump: ",
    b"pg_dump[",
    b"pg_restore: ",
    b"Password",
    b"NOTICE: ",
    b"WARNING: ",
    b"Defaulted container ",
    b"could not change directory ",
];

/// Length in bytes of a byte order mark, or of a line of messages at the start of a script.
fn ignored(bytes: &[u8], at_start: bool) -> Option<usize> {
    if bytes.starts_with(BYTE_ORDER_MARK) {
        return Some(BYTE_ORDER_MARK.len());
    }
    let is_message = at_start && MESSAGES.iter().any(|message| bytes.starts_with(message));
    is_message.then(|| whole_line(bytes, true)).flatten()
}

/// A script from its first line of SQL.
pub(super) fn without_messages(mut start: &[u8]) -> &[u8] {
    loop {
        let rest = trim_space(start);
        match ignored(rest, true) {
            Some(length) => start = &rest[length..],
            None => return rest,
        }
    }
}

/// Length in bytes of the white space and complete comments at the start.
fn between(bytes: &[u8], last: bool) -> usize {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        at += rest.len() - trim_space(rest).len();
        let rest = &bytes[at..];
        if rest.starts_with(b"--") {
            match memchr::memchr2(b'\n', b'\r', rest) {
                Some(end) => at += end + 1,
                None if last => return bytes.len(),
                None => return at,
            }
        } else {
            return at;
        }
    }
}

/// Length in bytes of the first line, including its end.
fn whole_line(bytes: &[u8], last: bool) -> Option<usize> {
    memchr::memchr(b'\n', bytes).map(|end| end + 1).or(last.then_some(bytes.len()))
}

/// Length of the rows in these bytes, and whether it includes the end marker.
fn rows(bytes: &[u8], line_start: bool, last: bool) -> Option<(usize, bool)> {
    let mut from = 0;
    loop {
        let mark = if from == 0 && line_start && bytes.starts_with(b"\\.") {
            0
        } else {
            match memchr::memmem::find(&bytes[from..], b"\n\\.") {
                Some(found) => from + found + 1,
                None => break,
            }
        };
        match &bytes[mark + 2..] {
            [b'\n', ..] => return Some((mark + 3, true)),
            [b'\r', b'\n', ..] => return Some((mark + 4, true)),
            [] | [b'\r'] if last => return Some((bytes.len(), true)),
            [] | [b'\r'] => return (mark > 0).then_some((mark, false)),
            _ => from = mark + 1,
        }
    }
    if last {
        return Some((bytes.len(), false));
    }
    // Whole lines only, so that the marker is searched at line starts. A line longer than the
    // buffer is returned in parts.
    match memchr::memrchr(b'\n', bytes) {
        Some(end) => Some((end + 1, false)),
        None if bytes.len() >= 3 && bytes.len() >= BLOCK => Some((bytes.len(), false)),
        None => None,
    }
}

/// The value of `SET [SESSION|LOCAL] standard_conforming_strings = on|off`; `None` for other
/// statements.
fn conforming_strings(text: &[u8]) -> Option<bool> {
    let mut tokens = Tokens::new(text).skip(1).skip_while(|token| token.is("SESSION") || token.is("LOCAL"));
    if !tokens.next()?.name()?.eq_ignore_ascii_case("standard_conforming_strings") {
        return None;
    }
    let value = String::from_utf8_lossy(text).to_lowercase();
    let value = value.rsplit(['=', ' ', '\n', '\t']).find(|word| !word.trim_matches([';', '\'']).is_empty())?;
    Some(!matches!(value.trim_matches([';', '\'', '"']), "off" | "false" | "no" | "0" | "of" | "f" | "fa" | "n"))
}

#[cfg(test)]
mod tests;
