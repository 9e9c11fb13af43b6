//! Reads the contents of a plain dump in one pass, before any statement is executed.

use super::contents::{Contents, DumpLocation, Finding};
use super::copy_target::CopyTarget;
use super::encoding::{SourceEncoding, TextCheck};
use super::findings::record_statement;
use super::join::{FILE_MARK, Part};
use super::psql_commands::{INSIDE_STATEMENT, PsqlCommands, command_name};
use super::sql::{Piece, PieceKind, Script};
use super::statement::beginning;
use super::statement::client_encoding;
use super::statement::{defers_constraints, is_not_sql};
use super::tokens::first_word;
use super::treatment::{Treatment, treat};
use std::io::{self, Read};

/// Reason to refuse a dump with zero bytes: psql would skip the rest of each such line.
pub const ZERO_BYTES: &str = "the file is damaged: it contains zero bytes";
/// Reason to refuse a script that drops a database which it does not create.
const DROPPED_DATABASE: &str = "the statement drops a database";
/// Subject of the finding for `INSERT`s.
const INSERTS: &str = "rows";

/// Reads a script to its end. `encoding` is that of its text, whatever it declares; `parts` are its files.
pub fn scan(
    reader: impl Read + Send + 'static,
    encoding: Option<&SourceEncoding>,
    parts: &[Part],
) -> io::Result<Contents> {
    let mut script = Script::new(reader).with_encoding(encoding);
    let mut scan = Scan { source_encoding: encoding, parts, ..Scan::default() };
    scan.found.encoding = encoding.map(ToString::to_string).unwrap_or_default();
    while let Some(piece) = script.next_piece()? {
        scan.take(&piece);
    }
    scan.end_rows(script.line());
    let truncated = scan.truncated();
    let mut found = scan.found;
    if let Some((place, words)) = found.dropped_database.clone().filter(|_| found.databases == 0) {
        found.record(Finding::ServerObject, DROPPED_DATABASE, || (place, words));
        found.refusal.get_or_insert((place, DROPPED_DATABASE.to_owned()));
    }
    found.settle_references();
    found.rows = Some(scan.rows).filter(|_| !scan.several_rows);
    found.unfinished = script.unfinished();
    found.truncated = truncated;
    Ok(found)
}

#[derive(Default)]
struct Scan<'a> {
    found: Contents,
    rows: u64,
    /// `INSERT`s have several rows each, so rows cannot be counted.
    several_rows: bool,
    /// The line of the first row of a `COPY`.
    rows_from: Option<u64>,
    /// Number of statements; versions are read from the comments before the first.
    statements: u64,
    markers: Markers,
    /// A constraint that can be deferred was created.
    deferrable: bool,
    /// The line of the script's open transaction.
    uncommitted: Option<u64>,
    copy: CopyRows,
    text: TextCheck,
    /// The encoding, if it is known, whatever the dump declares.
    source_encoding: Option<&'a SourceEncoding>,
    /// The files that begin after the current piece.
    parts: &'a [Part],
    /// The name of the current file.
    current_part: String,
    /// The psql commands so far.
    commands: PsqlCommands,
    /// Inside a statement that arrives in parts.
    long: bool,
}

/// The headers and end markers of pg_dump.
#[derive(Default)]
struct Markers {
    /// The line of a header whose end marker has not been found.
    open: Option<u64>,
    /// The end marker of the last dump was found.
    complete: bool,
    /// The line of a `\restrict` without its `\unrestrict`, which ends the dump.
    restricted: Option<u64>,
    /// The line of the first statement after the end marker of the last dump.
    after_end: Option<u64>,
}

/// The rows of the last `COPY`.
#[derive(Default)]
struct CopyRows {
    /// Its table; `None` if the form of the statement is unusual.
    target: Option<CopyTarget>,
    /// The last piece of rows ended in the middle of a row.
    inside_row: bool,
}

impl Scan<'_> {
    fn take(&mut self, piece: &Piece<'_>) {
        let in_long = std::mem::replace(&mut self.long, false);
        self.enter_parts(piece);
        self.found.size += piece.bytes.len() as u64;
        if piece.has_zero() {
            self.found.record(Finding::ZeroByte, "", || (DumpLocation::Line(piece.line()), ZERO_BYTES.into()));
            self.refuse(piece, ZERO_BYTES);
        }
        if piece.kind != PieceKind::Rows && self.rows_from.is_some() {
            self.end_rows(piece.line());
        }
        self.check_encoding(piece);
        // The Supabase CLI resets settings after the end marker.
        let resets =
            || ["set", "reset"].iter().any(|word| first_word(piece.bytes).eq_ignore_ascii_case(word.as_bytes()));
        if self.markers.complete && self.markers.after_end.is_none() && piece.kind.starts_statement() && !resets() {
            self.markers.after_end = Some(piece.line());
        }
        match piece.kind {
            PieceKind::Rows => {
                self.rows_from.get_or_insert_with(|| piece.line());
                self.found.one_transaction |= self.deferrable;
                self.check_rows(piece);
            }
            PieceKind::Between => self.comments(piece),
            PieceKind::Ignored if piece.bytes.ends_with(b"\n") => {
                self.found.skip_object("MESSAGE", "messages of pg_dump are not part of the dump");
            }
            PieceKind::Ignored => {}
            PieceKind::StatementPart if in_long => self.long = true,
            PieceKind::StatementPart => self.refuse_piece(piece, "text follows COPY … FROM stdin on the same line"),
            PieceKind::CommandInside => {
                self.command(piece);
                self.refuse(piece, INSIDE_STATEMENT);
            }
            PieceKind::Command => {
                match command_name(piece.bytes).as_str() {
                    "\\restrict" => self.markers.restricted = Some(piece.line()),
                    "\\unrestrict" => self.markers.restricted = None,
                    _ => {}
                }
                // A dump may switch to the database that it creates, before it creates anything in it.
                let may_connect = self.found.databases == 1 && self.found.objects.is_empty();
                if let Some(why) = self.commands.refusal(piece.bytes, may_connect) {
                    self.command(piece);
                    self.refuse(piece, &why);
                }
            }
            PieceKind::Inserts(count) => self.inserts(piece, count),
            PieceKind::Statement | PieceKind::StatementStart => {
                self.long = piece.kind == PieceKind::StatementStart;
                self.statements += 1;
                self.statement(piece);
            }
        }
    }

    /// Counts the rows before `line`; the line directly before it is the end marker.
    fn end_rows(&mut self, line: u64) {
        if let Some(from) = self.rows_from.take() {
            self.rows += line.saturating_sub(from + 1);
        }
    }

    fn statement(&mut self, piece: &Piece<'_>) {
        let at = || DumpLocation::Line(piece.line());
        if first_word(piece.bytes).eq_ignore_ascii_case(b"insert") {
            return self.inserts(piece, 1);
        }
        let text = piece.statement();
        if self.uses_variable(piece, &text) {
            return;
        }
        if is_not_sql(&text) {
            return self.refuse_piece(piece, "text that is not SQL");
        }
        let treatment = treat(&text);
        match treatment {
            Treatment::Begin => self.uncommitted = Some(piece.line()),
            Treatment::Commit => self.uncommitted = None,
            _ => {}
        }
        self.copy.target = (treatment == Treatment::CopyRows).then(|| CopyTarget::parse(&text)).flatten();
        if let Some(name) = client_encoding(&text).filter(|_| self.source_encoding.is_none()) {
            self.found.encoding = name;
        }
        self.deferrable |= defers_constraints(&text);
        self.found.one_transaction |= first_word(&text).eq_ignore_ascii_case(b"set") && self.deferrable;
        record_statement(&mut self.found, &text, &treatment, &at);
    }

    /// Refuses a statement in which psql would replace a variable.
    fn uses_variable(&mut self, piece: &Piece<'_>, text: &[u8]) -> bool {
        let Some(variable) = self.commands.used_variable(text) else { return false };
        let why = format!("a statement uses the psql variable {variable}, which is not replaced");
        self.refuse_piece(piece, &why);
        true
    }

    fn inserts(&mut self, piece: &Piece<'_>, count: u64) {
        self.uses_variable(piece, piece.bytes);
        self.statements += count;
        self.rows += count;
        self.found.one_transaction |= self.deferrable;
        // The form of `pg_dump --rows-per-insert`.
        self.several_rows |= memchr::memmem::find(&piece.bytes[..piece.bytes.len().min(4096)], b" VALUES\n").is_some();
        // The form of other programs and people.
        self.several_rows |= !self.found.by_pg_dump && has_several_rows(piece.bytes);
        self.found.record_many(Finding::Inserts, INSERTS, count, || {
            (DumpLocation::Line(piece.line()), beginning(&piece.statement()))
        });
    }

    fn command(&mut self, piece: &Piece<'_>) {
        let name = command_name(piece.bytes);
        // The arguments may contain a password.
        self.found.record(Finding::PsqlCommand, &name, || (DumpLocation::Line(piece.line()), name.clone()));
    }

    /// Refuses a piece that no other finding covers.
    fn refuse_piece(&mut self, piece: &Piece<'_>, why: &str) {
        self.found.record(Finding::Refused, why, || (DumpLocation::Line(piece.line()), beginning(&piece.statement())));
        self.refuse(piece, why);
    }

    fn refuse(&mut self, piece: &Piece<'_>, why: &str) {
        if self.found.refusal.is_none() {
            self.found.refusal = Some((DumpLocation::Line(piece.line()), why.to_owned()));
        }
    }

    /// Reads the comments of pg_dump: versions before the first statement, headers and end markers.
    fn comments(&mut self, piece: &Piece<'_>) {
        let found = &mut self.found;
        // Of several files, the first may be without.
        if self.statements < 2 || !self.current_part.is_empty() {
            if found.server_version.is_empty() {
                found.server_version = text_after(piece.bytes, b"-- Dumped from database version ").unwrap_or_default();
            }
            if found.dump_version.is_empty() {
                found.dump_version = text_after(piece.bytes, b"-- Dumped by pg_dump version ").unwrap_or_default();
            }
        }
        let marks = [b"-- PostgreSQL database ".as_slice(), FILE_MARK];
        if marks.iter().all(|mark| memchr::memmem::find(piece.bytes, mark).is_none()) {
            return;
        }
        let first = piece.line();
        for (number, line) in piece.bytes.split(|byte| *byte == b'\n').enumerate() {
            match line.trim_ascii_end() {
                b"-- PostgreSQL database dump" => {
                    found.by_pg_dump = true;
                    found.truncated = found.truncated.take().or(self.markers.open.map(missing_end));
                    (self.markers.open, self.markers.complete, self.markers.after_end) =
                        (Some(first + number as u64), false, None);
                }
                b"-- PostgreSQL database dump complete" => (self.markers.open, self.markers.complete) = (None, true),
                // Another file begins. Only with the parts is it certain that the dump did not end there.
                line if line.starts_with(FILE_MARK) && (self.markers.complete || !self.current_part.is_empty()) => {
                    found.truncated = found.truncated.take().or(self.markers.open.map(missing_end));
                    self.markers = Markers::default();
                }
                b"-- PostgreSQL database cluster dump" => found.whole_server = true,
                b"-- PostgreSQL database cluster dump complete" => self.markers.complete = true,
                _ => {}
            }
        }
    }

    /// Why the dump is incomplete: every header of pg_dump needs its own end marker, and nothing may
    /// follow the last one.
    fn truncated(&self) -> Option<String> {
        if self.statements == 0 && self.found.times(Finding::PsqlCommand) == 0 {
            return Some("no statements found".into());
        }
        let uncommitted = self.uncommitted.map(|line| format!("the transaction of line {line} is not committed"));
        let unmarked = self.markers.open.map(missing_end);
        let follows = self.markers.after_end.map(|line| format!("statements follow the end marker (line {line})"));
        let restricted = self.markers.restricted.map(|line| format!("the \\unrestrict of line {line} is missing"));
        self.found.truncated.clone().or(unmarked).or(restricted).or(follows).or(uncommitted)
    }

    /// Checks that a file ends between two statements, when the next one begins.
    fn enter_parts(&mut self, piece: &Piece<'_>) {
        let end = self.found.size + piece.bytes.len() as u64;
        while let Some((next, later)) = self.parts.split_first().filter(|(next, _)| next.offset < end) {
            let inside =
                next.offset > self.found.size && !matches!(piece.kind, PieceKind::Between | PieceKind::Ignored);
            let what = if piece.kind == PieceKind::Rows { "COPY data" } else { "a statement" };
            if inside && self.found.truncated.is_none() {
                self.found.truncated = Some(format!("{} ends in the middle of {what}", self.current_part));
            }
            self.current_part.clone_from(&next.shown);
            self.parts = later;
        }
    }

    /// Checks that text is in the encoding that the dump declares.
    fn check_encoding(&mut self, piece: &Piece<'_>) {
        if self.found.invalid_text.is_some() || piece.kind == PieceKind::Ignored {
            return;
        }
        if piece.is_valid_text() && piece.bytes.last().is_none_or(u8::is_ascii) {
            self.text = TextCheck::default();
            return;
        }
        let is_part = matches!(piece.kind, PieceKind::StatementStart | PieceKind::StatementPart | PieceKind::Rows);
        let is_whole = !is_part || piece.bytes.last().is_none_or(u8::is_ascii);
        // psql does not send comments between statements to the server.
        let is_comment = piece.kind == PieceKind::Between;
        let Some((offset, bytes)) = self.text.first_invalid(piece.encoding, piece.bytes, is_whole) else { return };
        if is_comment {
            return;
        }
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let lines = memchr::memchr_iter(b'\n', &piece.bytes[..offset]).count() as u64;
        let place = match (&self.copy.target, piece.kind) {
            (Some(copy), PieceKind::Rows) => format!(" in the rows of {}", copy.table),
            _ => String::new(),
        };
        let what = format!("{}{place}", bytes.join(" "));
        self.found.invalid_text = Some((DumpLocation::Line(piece.line() + lines), what));
    }

    /// Checks the number of fields of each row.
    fn check_rows(&mut self, piece: &Piece<'_>) {
        let begins_inside = std::mem::replace(&mut self.copy.inside_row, !piece.bytes.ends_with(b"\n"));
        let Some(copy) = self.copy.target.as_mut().filter(|_| self.found.invalid_row.is_none()) else { return };
        let after = |at: Option<usize>| at.map_or(0, |at| at + 1);
        let start = if begins_inside { after(memchr::memchr(b'\n', piece.bytes)) } else { 0 };
        let end = after(memchr::memrchr(b'\n', piece.bytes));
        let line_ends = piece.line_ends().saturating_sub(u64::from(begins_inside));
        let rows = piece.bytes.get(start..end);
        let Some((line, fields)) = rows.and_then(|rows| copy.invalid_row(rows, line_ends)) else { return };
        let columns = copy.columns.unwrap_or_default();
        let what = format!("{fields} fields, but {} has {columns} columns", copy.table);
        self.found.invalid_row = Some((DumpLocation::Line(piece.line() + line + u64::from(begins_inside)), what));
    }
}

/// Whether an `INSERT` may have several rows: `VALUES (…), (…)`.
fn has_several_rows(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, b"),").any(|at| bytes[at + 2..].trim_ascii_start().starts_with(b"("))
}

fn missing_end(line: u64) -> String {
    format!("the end marker of the dump that begins at line {line} is missing")
}

/// The rest of the line after these words.
fn text_after(comments: &[u8], words: &[u8]) -> Option<String> {
    let from = memchr::memmem::find(comments, words)? + words.len();
    let line = comments[from..].split(|byte| *byte == b'\n').next()?;
    Some(crate::util::format::printable(&String::from_utf8_lossy(line), 100))
}

#[cfg(test)]
mod tests;
