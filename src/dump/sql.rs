//! Cuts plain SQL into statements, psql commands and `COPY` rows, in one pass over a stream
//! and with a bounded buffer, by the rules of psql's own lexer.

use super::lexer::{End, Inside};
use super::statement::{Treatment, treat};
use super::tokens::{Tokens, first_word, trim_space};
use super::window::{BLOCK, Position, Window};
use std::io::{self, Read};

/// Statements up to this length come in one piece, in bytes.
pub const WHOLE_STATEMENT: usize = 1 << 20;

/// A run of bytes of the script. All pieces together are the script, byte for byte.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// What they are.
    pub kind: PieceKind,
    /// The bytes.
    pub bytes: &'a [u8],
    /// A zero byte may be among them.
    pub may_have_zero: bool,
    place: Position<'a>,
}

impl Piece<'_> {
    /// The line on which it begins, from 1. Counting takes time, so it is done when asked.
    pub fn line(&self) -> u64 {
        1 + self.place.lines()
    }

    /// Whether there is a zero byte, which no text of Postgres can hold.
    pub fn has_zero(&self) -> bool {
        self.may_have_zero && memchr::memchr(0, self.bytes).is_some()
    }
}

/// What a piece of a script is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// White space and comments between statements.
    Between,
    /// A statement, up to and with its semicolon.
    Statement,
    /// So many whole `INSERT`s in a row, with the white space behind each.
    Inserts(u64),
    /// The beginning of a statement that is too long for one piece.
    StatementStart,
    /// More of such a statement.
    StatementPart,
    /// A backslash command of psql, up to and with the end of its line.
    Command,
    /// The same in the middle of a statement, which may go on behind it.
    CommandInside,
    /// Rows of a `COPY … FROM stdin`, or a part of them, with the line `\.` at their end.
    Rows,
}

impl PieceKind {
    /// Whether a statement begins with this piece.
    pub(super) fn starts_statement(self) -> bool {
        matches!(self, Self::Statement | Self::StatementStart | Self::Inserts(_))
    }
}

/// Where a script that ended too early was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// In a statement without its semicolon.
    Statement,
    /// In the rows of a `COPY`.
    Rows,
}

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Statement => "in the middle of a statement",
            Self::Rows => "in the middle of a table's rows",
        })
    }
}

#[derive(Clone, PartialEq)]
enum ScanState {
    Between,
    /// In a statement that began at the buffer's start.
    Statement(Inside),
    /// In a statement whose beginning was handed out.
    LongStatement(Inside),
    /// After `COPY … FROM stdin;`, before the end of its line.
    RowsAhead,
    Rows {
        line_start: bool,
    },
}

/// The reader. Call [`Script::next_piece`] until it gives `None`.
pub struct Script {
    window: Window,
    state: ScanState,
    /// `standard_conforming_strings = off` was set: a backslash escapes in every string.
    backslashes: bool,
    /// A psql command stands in the middle of a statement.
    interrupted: bool,
}

impl Script {
    /// Begins a script.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self { window: Window::new(reader), state: ScanState::Between, backslashes: false, interrupted: false }
    }

    /// After the end: what the script was in the middle of.
    pub fn unfinished(&self) -> Option<Unfinished> {
        match self.state {
            ScanState::Between => None,
            ScanState::Statement(ref inside) | ScanState::LongStatement(ref inside) => {
                inside.is_unfinished().then_some(Unfinished::Statement)
            }
            ScanState::RowsAhead | ScanState::Rows { .. } => Some(Unfinished::Rows),
        }
    }

    /// The line that comes next, from 1.
    pub fn line(&self) -> u64 {
        1 + self.window.lines()
    }

    /// The next piece; `None` at the end of the stream.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        loop {
            if let Some((length, kind)) = self.cut() {
                let may_have_zero = self.window.has_zero();
                let (bytes, place) = self.window.take(length);
                return Ok(Some(Piece { kind, bytes, may_have_zero, place }));
            }
            if self.window.ended() {
                return Ok(None);
            }
            self.window.more()?;
        }
    }

    /// Decides on the next piece, or asks for more bytes with `None`.
    fn cut(&mut self) -> Option<(usize, PieceKind)> {
        let (bytes, ended) = (self.window.bytes(), self.window.ended());
        if bytes.is_empty() {
            return None;
        }
        match &mut self.state {
            ScanState::Between => {
                let length = between(bytes, ended);
                if length > 0 {
                    return Some((length, PieceKind::Between));
                }
                let may_be_comment = bytes.len() < 2 || bytes.starts_with(b"--");
                if may_be_comment && !ended && bytes.len() < WHOLE_STATEMENT {
                    return None;
                }
                if bytes[0] == b'\\' {
                    let length = whole_line(bytes, ended || bytes.len() > WHOLE_STATEMENT)?;
                    let inside = std::mem::take(&mut self.interrupted);
                    return Some((length, if inside { PieceKind::CommandInside } else { PieceKind::Command }));
                }
                let (length, count) = if self.backslashes { (0, 0) } else { self.window.inserts() };
                if count > 0 {
                    return Some((length, PieceKind::Inserts(count)));
                }
                self.state = ScanState::Statement(Inside::default());
                self.cut()
            }
            ScanState::Statement(inside) => {
                if let Some(end) = inside.advance(bytes, self.backslashes, ended) {
                    return Some(self.statement(end));
                }
                if bytes.len() < WHOLE_STATEMENT && !ended {
                    return None;
                }
                let length = inside.hand_out(bytes, ended);
                self.state = ScanState::LongStatement(std::mem::take(inside));
                (length > 0).then_some((length, PieceKind::StatementStart))
            }
            ScanState::LongStatement(inside) => {
                if let Some(end) = inside.advance(bytes, self.backslashes, ended) {
                    self.state = ScanState::Between;
                    self.interrupted = matches!(end, End::Command(_));
                    if end.length() == 0 {
                        return self.cut(); // the command is at hand
                    }
                    return Some((end.length(), PieceKind::StatementPart));
                }
                let length = inside.hand_out(bytes, ended);
                (length > 0).then_some((length, PieceKind::StatementPart))
            }
            ScanState::RowsAhead => {
                let length = whole_line(bytes, ended || bytes.len() > WHOLE_STATEMENT)?;
                self.state = ScanState::Rows { line_start: true };
                // Anything but space here would be read as SQL after the rows; nobody writes that.
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
            // psql would send what stands before a command only when the command says so.
            End::Command(length) => {
                self.interrupted = true;
                (length, PieceKind::StatementStart)
            }
            End::Semicolon(length) => {
                let word = first_word(text);
                if word.eq_ignore_ascii_case(b"copy") && treat(text) == Treatment::CopyRows {
                    self.state = ScanState::RowsAhead;
                } else if word.eq_ignore_ascii_case(b"set")
                    && let Some(on) = conforming_strings(text)
                {
                    self.backslashes = !on;
                }
                (length, PieceKind::Statement)
            }
        }
    }
}

/// Length of the white space and whole comments at the start.
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
        } else if rest.starts_with(b"\xef\xbb\xbf") && at == 0 {
            at += 3; // a byte order mark
        } else {
            return at;
        }
    }
}

/// Length of the first line with its end.
fn whole_line(bytes: &[u8], last: bool) -> Option<usize> {
    memchr::memchr(b'\n', bytes).map(|end| end + 1).or(last.then_some(bytes.len()))
}

/// Length of the rows in these bytes, and whether their end mark is among them.
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
    // Whole lines only, so that the mark is always looked for at the start of a line; a line
    // longer than the buffer is handed out in parts.
    match memchr::memrchr(b'\n', bytes) {
        Some(end) => Some((end + 1, false)),
        None if bytes.len() >= 3 && bytes.len() >= BLOCK => Some((bytes.len(), false)),
        None => None,
    }
}

/// `SET [SESSION|LOCAL] standard_conforming_strings = on|off`: how strings are to be read from
/// here on.
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
