//! Cuts plain SQL into statements, psql commands and `COPY` rows, in one pass over a stream
//! and with a bounded buffer, by the rules of psql's own lexer.

use super::lexer::{End, Inside};
use super::statement::{Tokens, Treatment, first_word, treat, trim_space};
use super::window::{BLOCK, Position, Window};
use std::io::{self, Read};

/// Statements up to this length come in one piece, in bytes.
pub const WHOLE_STATEMENT: usize = 1 << 20;

/// A run of bytes of the script. All pieces together are the script, byte for byte.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// What they are.
    pub kind: Kind,
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
pub enum Kind {
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
enum State {
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
    state: State,
    /// `standard_conforming_strings = off` was set: a backslash escapes in every string.
    backslashes: bool,
    /// A psql command stands in the middle of a statement.
    interrupted: bool,
}

impl Script {
    /// Begins a script.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self { window: Window::new(reader), state: State::Between, backslashes: false, interrupted: false }
    }

    /// After the end: what the script was in the middle of.
    pub fn unfinished(&self) -> Option<Unfinished> {
        match self.state {
            State::Between => None,
            State::Statement(ref inside) | State::LongStatement(ref inside) => {
                inside.is_unfinished().then_some(Unfinished::Statement)
            }
            State::RowsAhead | State::Rows { .. } => Some(Unfinished::Rows),
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
    fn cut(&mut self) -> Option<(usize, Kind)> {
        let (bytes, ended) = (self.window.bytes(), self.window.ended());
        if bytes.is_empty() {
            return None;
        }
        match &mut self.state {
            State::Between => {
                let length = between(bytes, ended);
                if length > 0 {
                    return Some((length, Kind::Between));
                }
                let may_be_comment = bytes.len() < 2 || bytes.starts_with(b"--");
                if may_be_comment && !ended && bytes.len() < WHOLE_STATEMENT {
                    return None;
                }
                if bytes[0] == b'\\' {
                    let length = whole_line(bytes, ended || bytes.len() > WHOLE_STATEMENT)?;
                    let inside = std::mem::take(&mut self.interrupted);
                    return Some((length, if inside { Kind::CommandInside } else { Kind::Command }));
                }
                let (length, count) = if self.backslashes { (0, 0) } else { self.window.inserts() };
                if count > 0 {
                    return Some((length, Kind::Inserts(count)));
                }
                self.state = State::Statement(Inside::default());
                self.cut()
            }
            State::Statement(inside) => {
                if let Some(end) = inside.advance(bytes, self.backslashes, ended) {
                    return Some(self.statement(end));
                }
                if bytes.len() < WHOLE_STATEMENT && !ended {
                    return None;
                }
                let length = inside.hand_out(bytes, ended);
                self.state = State::LongStatement(std::mem::take(inside));
                (length > 0).then_some((length, Kind::StatementStart))
            }
            State::LongStatement(inside) => {
                if let Some(end) = inside.advance(bytes, self.backslashes, ended) {
                    self.state = State::Between;
                    self.interrupted = matches!(end, End::Command(_));
                    if end.length() == 0 {
                        return self.cut(); // the command is at hand
                    }
                    return Some((end.length(), Kind::StatementPart));
                }
                let length = inside.hand_out(bytes, ended);
                (length > 0).then_some((length, Kind::StatementPart))
            }
            State::RowsAhead => {
                let length = whole_line(bytes, ended || bytes.len() > WHOLE_STATEMENT)?;
                self.state = State::Rows { line_start: true };
                // Anything but space here would be read as SQL after the rows; nobody writes that.
                let blank = bytes[..length].trim_ascii().is_empty();
                Some((length, if blank { Kind::Between } else { Kind::StatementPart }))
            }
            State::Rows { line_start } => {
                let (length, over) = rows(bytes, *line_start, ended)?;
                if over {
                    self.state = State::Between;
                } else {
                    *line_start = bytes[length - 1] == b'\n';
                }
                Some((length, Kind::Rows))
            }
        }
    }

    fn statement(&mut self, end: End) -> (usize, Kind) {
        let text = &self.window.bytes()[..end.length()];
        self.state = State::Between;
        match end {
            // psql would send what stands before a command only when the command says so.
            End::Command(length) => {
                self.interrupted = true;
                (length, Kind::StatementStart)
            }
            End::Semicolon(length) => {
                let word = first_word(text);
                if word.eq_ignore_ascii_case(b"copy") && treat(text) == Treatment::CopyRows {
                    self.state = State::RowsAhead;
                } else if word.eq_ignore_ascii_case(b"set")
                    && let Some(on) = conforming_strings(text)
                {
                    self.backslashes = !on;
                }
                (length, Kind::Statement)
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hands out a few bytes at a time, so that every boundary is met.
    struct Trickle(io::Cursor<Vec<u8>>, usize);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let step = self.1.min(buffer.len());
            self.0.read(&mut buffer[..step])
        }
    }

    fn script(text: &[u8], step: usize) -> Script {
        Script::new(Trickle(io::Cursor::new(text.to_vec()), step))
    }

    fn letter(kind: Kind) -> char {
        match kind {
            Kind::Between => 'b',
            Kind::Statement | Kind::Inserts(_) => 's',
            Kind::StatementStart => 'l',
            Kind::StatementPart => 'p',
            Kind::Command => 'c',
            Kind::CommandInside => 'i',
            Kind::Rows => 'r',
        }
    }

    fn pieces(text: &[u8], step: usize) -> (Vec<(char, String, u64)>, Option<Unfinished>) {
        let mut script = script(text, step);
        let mut found: Vec<(char, String, u64)> = Vec::new();
        while let Some(piece) = script.next_piece().expect("reads") {
            let (kind, line) = (letter(piece.kind), piece.line());
            let text = String::from_utf8_lossy(piece.bytes).into_owned();
            match found.last_mut() {
                Some((last, before, _)) if *last == kind && "br".contains(kind) => before.push_str(&text),
                _ => found.push((kind, text, line)),
            }
        }
        (found, script.unfinished())
    }

    /// The statements, commands and rows, which must not depend on how the bytes arrive.
    fn cut(text: &str) -> Vec<String> {
        let mut first = None;
        for step in [1, 2, 3, 7, 64, 4096] {
            let (found, unfinished) = pieces(text.as_bytes(), step);
            assert_eq!(unfinished, None, "{text}");
            let whole: String = found.iter().map(|(_, text, _)| text.as_str()).collect();
            assert_eq!(whole, text);
            let told: Vec<String> = found
                .into_iter()
                .filter(|(kind, ..)| *kind != 'b')
                .map(|(kind, text, line)| format!("{kind}{line} {text}"))
                .collect();
            assert_eq!(first.get_or_insert_with(|| told.clone()), &told, "in steps of {step}");
        }
        first.expect("was cut")
    }

    #[test]
    fn cuts_statements_at_their_semicolons() {
        assert_eq!(
            cut("-- head; not\nSELECT 1;\n\nSELECT ';' || E'\\';' || \";\" /* ; /* ; */ */ -- ;\n;"),
            ["s2 SELECT 1;", "s4 SELECT ';' || E'\\';' || \";\" /* ; /* ; */ */ -- ;\n;"]
        );
    }

    #[test]
    fn inserts_come_in_runs_that_hold_only_inserts() {
        let run = "INSERT INTO t VALUES (1, 'a;''b', -2);\nINSERT INTO \"a;b\" VALUES ('--', 1 / 2);\n";
        let odd = "INSERT INTO t VALUES (E'\\';');\nINSERT INTO t VALUES ($a$;$a$);\nINSERT INTO t SELECT 1 -- ;\n;\nSELECT 1;";
        let text = format!("{run}{odd}");
        let mut script = script(text.as_bytes(), 1 << 20);
        let mut kinds = Vec::new();
        while let Some(piece) = script.next_piece().expect("reads") {
            if piece.kind != Kind::Between {
                kinds.push((piece.kind, piece.bytes.len()));
            }
        }
        let kinds_of_odd = kinds.iter().skip(1).map(|(kind, _)| *kind).collect::<Vec<_>>();
        assert_eq!(kinds[0], (Kind::Inserts(2), run.len()));
        assert_eq!(kinds_of_odd, [Kind::Statement; 4]);
    }

    #[test]
    fn long_runs_are_whole_whoever_finds_them() {
        let tricky = "INSERT INTO t VALUES (1, 'one);\nINSERT INTO two', 'it''s');\n";
        let plain = "INSERT INTO public.t VALUES (-1.5, NULL, 'some text; more', '2024-01-01');\n";
        for period in [1, 2, 7, 5000] {
            let lines = (0..40_000).map(|number| if number % period == 0 { tricky } else { plain });
            let text: String = lines.collect();
            let mut script = script(text.as_bytes(), 1 << 20);
            let (mut whole, mut count) = (Vec::new(), 0);
            while let Some(piece) = script.next_piece().expect("reads") {
                whole.extend_from_slice(piece.bytes);
                count += match piece.kind {
                    Kind::Inserts(several) => several,
                    Kind::Statement => 1,
                    Kind::Between => 0,
                    other => panic!("{other:?}"),
                };
            }
            assert_eq!(count, 40_000, "every {period}th is tricky");
            assert!(whole == text.as_bytes());
        }
    }

    #[test]
    fn a_dollar_quote_hides_everything() {
        assert_eq!(
            cut("CREATE FUNCTION f() AS $body$ a; $x$ b; $body$ LANGUAGE sql; SELECT $1;"),
            ["s1 CREATE FUNCTION f() AS $body$ a; $x$ b; $body$ LANGUAGE sql;", "s1 SELECT $1;"]
        );
    }

    #[test]
    fn a_function_body_of_statements_is_one_statement() {
        let function =
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;";
        assert_eq!(cut(&format!("{function}\nBEGIN;")), [format!("s1 {function}"), "s2 BEGIN;".into()]);
        let rule = "CREATE RULE r AS ON UPDATE TO t DO (SELECT 1; SELECT 2);";
        assert_eq!(cut(rule), [format!("s1 {rule}")]);
    }

    #[test]
    fn rows_are_not_sql() {
        assert_eq!(
            cut(
                "COPY t (a) FROM stdin;\nit's; -- a row\n\\.x\n\\N\n\\.\nSELECT 1;\nCOPY e FROM stdin;\n\\.\nSELECT 2;"
            ),
            [
                "s1 COPY t (a) FROM stdin;",
                "r2 it's; -- a row\n\\.x\n\\N\n\\.\n",
                "s6 SELECT 1;",
                "s7 COPY e FROM stdin;",
                "r8 \\.\n",
                "s9 SELECT 2;"
            ]
        );
    }

    #[test]
    fn psql_commands_are_seen_wherever_they_stand() {
        assert_eq!(
            cut("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n"),
            ["c1 \\restrict abc\n", "s2 SELECT 1;", "c3 \\unrestrict abc\n"]
        );
        assert_eq!(cut("SELECT 1 \\gexec\nSELECT 2;"), ["l1 SELECT 1 ", "i1 \\gexec\n", "s2 SELECT 2;"]);
    }

    #[test]
    fn a_comment_ends_where_psql_ends_it() {
        assert_eq!(cut("-- x\rCOMMIT;\n\x0bCOMMIT;"), ["s1 COMMIT;", "s2 COMMIT;"]);
        assert_eq!(pieces(b"SELECT 1; /* c */ -- bye", 3).1, None);
    }

    #[test]
    fn a_command_behind_a_long_statement_is_still_one() {
        let text = format!("SELECT '{}'\\! id\n", "x".repeat(WHOLE_STATEMENT - 9));
        let mut script = script(text.as_bytes(), 1 << 20);
        let mut kinds = Vec::new();
        while let Some(piece) = script.next_piece().expect("reads") {
            kinds.push(piece.kind);
        }
        assert_eq!(kinds.last(), Some(&Kind::CommandInside));
    }

    #[test]
    fn backslashes_escape_when_the_script_says_so() {
        let text =
            "SET standard_conforming_strings = off;SELECT 'a\\';b';SET standard_conforming_strings = on;SELECT 'a\\';";
        assert_eq!(cut(text).len(), 4);
        for set in [
            "/* x */ set session standard_conforming_strings to 'OFF';",
            "SET LOCAL \"standard_conforming_strings\"=false ;",
        ] {
            assert_eq!(cut(&format!("{set}SELECT 'a\\';b';")).len(), 2, "{set}");
        }
    }

    #[test]
    fn a_script_that_ends_too_early_is_seen() {
        for (text, what) in [
            ("SELECT 1", Unfinished::Statement),
            ("SELECT 'a;", Unfinished::Statement),
            ("COPY t FROM stdin;\n1\n", Unfinished::Rows),
            ("COPY t FROM stdin;", Unfinished::Rows),
            ("CREATE FUNCTION f() AS $$ a;", Unfinished::Statement),
        ] {
            assert_eq!(pieces(text.as_bytes(), 5).1, Some(what), "{text}");
        }
        assert_eq!(pieces(b"SELECT 1; -- end", 5).1, None);
    }

    #[test]
    fn a_long_statement_comes_in_parts() {
        let text = format!("INSERT INTO t VALUES ('{}');SELECT 1;", "x;".repeat(WHOLE_STATEMENT));
        let mut script = script(text.as_bytes(), 1 << 20);
        let (mut whole, mut kinds) = (Vec::new(), String::new());
        while let Some(piece) = script.next_piece().expect("reads") {
            assert!(piece.bytes.len() <= WHOLE_STATEMENT + 2 * BLOCK);
            whole.extend_from_slice(piece.bytes);
            kinds.push(letter(piece.kind));
        }
        assert_eq!(whole, text.as_bytes());
        assert!(kinds.starts_with('l') && kinds.ends_with("ps"), "{kinds}");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_steps_do_not_matter(
            text in "(SELECT|COPY t FROM stdin;\n|'|\"|\\$a\\$|\\$|;|--|/\\*|\\*/|\\(|\\)|\\\\|E'|\\\\\\.\n|\n|[a-z ]){0,40}", step in 1_usize..9
        ) {
            let (by_step, end_by_step) = pieces(text.as_bytes(), step);
            let (at_once, end_at_once) = pieces(text.as_bytes(), 1 << 20);
            let whole: String = by_step.iter().map(|(_, text, _)| text.as_str()).collect();
            prop_assert_eq!(&whole, &text);
            prop_assert_eq!(end_by_step, end_at_once);
            let statements = |pieces: &[(char, String, u64)]| pieces.iter().filter(|(kind, ..)| *kind == 's').cloned().collect::<Vec<_>>();
            prop_assert_eq!(statements(&by_step), statements(&at_once));
        }
    }
}
