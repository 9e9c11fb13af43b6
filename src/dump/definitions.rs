//! The statements inside an archive: `pg_restore` hands them to the server as they are, so what
//! a script may not say an archive may not hold either.

use super::archive::Entry;
use super::scan::{INSIDE_STATEMENT, refused_command};
use super::sql::{PieceKind, Script};
use super::statement::{Treatment, hides_backslashes, treat};
use super::tokens::{Token, Tokens};
use std::io::Cursor;

/// Definitions are read in runs of about this length, in bytes.
const RUN: usize = 1 << 20;

/// Why transaction commands have no place in an archive.
const TRANSACTION: &str = "it ends or begins a transaction inside the import's own";
/// Why rows must not follow a definition.
const ROWS: &str = "it asks for rows where none follow";
/// Why a statement that copies rows must be one.
const NOT_A_COPY: &str = "its rows are not copied by one COPY … FROM stdin";

/// Why an entry must end what it begins.
const OPEN: &str = "its statement does not end";
/// Why settings of an archive must be those that pg_dump writes.
const SETTING: &str = "it is not the setting that pg_dump writes there";

/// Kinds that an import never restores; their statements are for the whole server.
const NOT_RESTORED: [&str; 8] = [
    "ACL",
    "DATABASE",
    "DATABASE PROPERTIES",
    "DEFAULT ACL",
    "EVENT TRIGGER",
    "EXTENSION",
    "SECURITY LABEL",
    "SUBSCRIPTION",
];

/// Reads the statements of an archive's entries and keeps the first that cannot be part of an
/// import.
#[derive(Default)]
pub struct Definitions {
    /// Definitions one after another, and where each begins.
    run: Vec<u8>,
    starts: Vec<(usize, i32)>,
    /// How the archive reads strings; it stands before each run.
    strings: Vec<u8>,
    refusal: Option<(i32, String)>,
}

impl Definitions {
    /// Takes the next entry.
    pub fn take(&mut self, entry: &Entry) {
        if self.refusal.is_some() || NOT_RESTORED.contains(&entry.kind.as_str()) {
            return;
        }
        if !entry.copy.is_empty() && !is_one_copy(&entry.copy) {
            self.refusal = Some((entry.id, NOT_A_COPY.to_owned()));
            return;
        }
        if let Some(why) = refused_setting(entry) {
            self.refusal = Some((entry.id, why.to_owned()));
            return;
        }
        if entry.kind == "STDSTRINGS" {
            self.strings = [entry.definition.as_bytes(), b"\n"].concat();
            return;
        }
        if entry.definition.is_empty() || is_plain(entry.definition.as_bytes()) {
            return;
        }
        self.starts.push((self.run.len(), entry.id));
        self.run.extend_from_slice(entry.definition.as_bytes());
        // The server reads each definition by itself.
        self.run.extend_from_slice(b"\n;\n");
        if self.run.len() > RUN {
            self.read();
        }
    }

    /// The entry that cannot be part of an import, and why.
    pub fn finish(mut self) -> Option<(i32, String)> {
        self.read();
        self.refusal
    }

    fn read(&mut self) {
        let (run, starts) = (std::mem::take(&mut self.run), std::mem::take(&mut self.starts));
        let before = self.strings.len();
        let mut script = Script::new(Cursor::new([self.strings.clone(), run].concat()));
        let mut at = 0;
        while let Ok(Some(piece)) = script.next_piece() {
            let end = at + piece.bytes.len();
            let crosses = |start: usize| at < start + before && start + before < end;
            let why = match piece.kind {
                PieceKind::Between => None,
                // What one entry leaves open would hide the next from us, but not from the server.
                _ if starts
                    .iter()
                    .skip(starts.partition_point(|(start, _)| start + before <= at))
                    .take(1)
                    .any(|(start, _)| crosses(*start)) =>
                {
                    Some(OPEN.to_owned())
                }
                PieceKind::Statement | PieceKind::StatementStart => refused(piece.bytes),
                PieceKind::Command => refused_command(piece.bytes),
                PieceKind::CommandInside => Some(INSIDE_STATEMENT.to_owned()),
                _ => None,
            };
            if let Some(why) = why.filter(|_| self.refusal.is_none()) {
                let place = starts.partition_point(|(start, _)| start + before <= at);
                let entry = starts.get(place.saturating_sub(1)).map_or(0, |(_, id)| *id);
                self.refusal = Some((entry, why));
                return;
            }
            at = end;
        }
    }
}

/// Beginnings of the statements of which there are most.
const PLAIN: [&[u8]; 7] = [
    b"CREATE TABLE ",
    b"ALTER TABLE ",
    b"CREATE INDEX ",
    b"CREATE UNIQUE INDEX ",
    b"CREATE SEQUENCE ",
    b"ALTER SEQUENCE ",
    b"COMMENT ON ",
];

/// Whether a text is one harmless statement, however its strings are read: its only semicolon is
/// its end. So it need not be read.
fn is_plain(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    PLAIN.iter().any(|start| text.starts_with(start))
        && memchr::memchr2(b';', b'\\', text).is_some_and(|at| at + 1 == text.len() && text[at] == b';')
}

/// Entries that `pg_restore` runs in a way of its own.
fn refused_setting(entry: &Entry) -> Option<&'static str> {
    let text = entry.definition.trim();
    let honest = match entry.kind.as_str() {
        "STDSTRINGS" => {
            ["'on'", "'off'"].iter().any(|value| text == format!("SET standard_conforming_strings = {value};"))
        }
        "SEARCHPATH" => text == "SELECT pg_catalog.set_config('search_path', '', false);",
        "ENCODING" => text
            .strip_prefix("SET client_encoding = '")
            .and_then(|rest| rest.strip_suffix("';"))
            .is_some_and(|name| !name.contains('\'') && !hides_backslashes(name.as_bytes())),
        // Its lines become parts of a statement.
        "BLOB METADATA" => text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace()),
        _ => true,
    };
    (!honest).then_some(SETTING)
}

fn refused(statement: &[u8]) -> Option<String> {
    match treat(statement) {
        Treatment::Begin | Treatment::Commit => Some(TRANSACTION.to_owned()),
        Treatment::CopyRows => Some(ROWS.to_owned()),
        Treatment::Refuse(refusal) => Some(refusal.reason.to_owned()),
        _ => None,
    }
}

/// Whether a text is one `COPY … FROM stdin;` as pg_dump writes it: names and signs, and
/// nothing else.
fn is_one_copy(text: &str) -> bool {
    let text = text.as_bytes();
    let odd = |byte: &u8| matches!(byte, b'\'' | b'"' | b'\\' | b'$' | b'-' | b'/');
    let one = memchr::memchr(b';', text).is_some_and(|at| text[at..] == *b";\n");
    if one && text.starts_with(b"COPY ") && text.ends_with(b" FROM stdin;\n") && !text.iter().any(odd) {
        return true; // there are many, and nearly all look so
    }
    let mut ends = 0;
    for token in Tokens::new(text) {
        if ends > 0 || matches!(token, Token::Literal | Token::Sign('\\' | '$')) {
            return false;
        }
        ends += u32::from(token == Token::Sign(';'));
    }
    ends == 1 && treat(text) == Treatment::CopyRows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::archive::Data;

    fn entry(id: i32, kind: &str, definition: &str, copy: &str) -> Entry {
        Entry {
            id,
            kind: kind.into(),
            schema: "public".into(),
            tag: "t".into(),
            definition: definition.into(),
            owner: String::new(),
            copy: copy.into(),
            data: Data::None,
        }
    }

    fn refusal(entries: &[Entry]) -> Option<(i32, String)> {
        let mut definitions = Definitions::default();
        for entry in entries {
            definitions.take(entry);
        }
        definitions.finish()
    }

    #[test]
    fn what_cannot_be_part_of_an_import_is_found_with_its_entry() {
        let good = entry(1, "TABLE", "CREATE TABLE t (x int);\n", "");
        for text in [
            "COMMIT;",
            "SELECT 1; rollback;",
            "CREATE ROLE x;",
            "\\! id\n",
            "COPY t FROM stdin;",
            "COPY t FROM PROGRAM 'id';",
            "SELECT 1 \\g |sh\n",
        ] {
            let found = refusal(&[good.clone(), entry(7, "TABLE", text, ""), good.clone()]);
            assert_eq!(found.map(|(id, _)| id), Some(7), "{text}");
        }
        for copy in
            ["COPY t FROM PROGRAM 'id';\n", "COMMIT; COPY t FROM stdin;\n", "SELECT 1;\n", "COPY t FROM stdin; x\n"]
        {
            assert_eq!(refusal(&[entry(3, "TABLE DATA", "", copy)]).map(|(id, _)| id), Some(3), "{copy}");
        }
    }

    #[test]
    fn what_pg_dump_writes_passes() {
        let entries = [
            entry(1, "STDSTRINGS", "SET standard_conforming_strings = 'on';\n", ""),
            entry(2, "FUNCTION", "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ begin commit; end $$;\n", ""),
            entry(3, "TABLE DATA", "", "COPY public.t (x) FROM stdin;\n"),
            entry(4, "ACL", "GRANT ALL ON t TO bob;\n", ""),
            entry(7, "ENCODING", "SET client_encoding = 'UTF8';\n", ""),
            entry(8, "SEARCHPATH", "SELECT pg_catalog.set_config('search_path', '', false);\n", ""),
            entry(9, "BLOB METADATA", "16390\n16391\n", ""),
            entry(5, "DATABASE", "CREATE DATABASE d;\n", ""),
            entry(6, "COMMENT", "COMMENT ON TABLE t IS 'a; COMMIT; b';\n", ""),
        ];
        assert_eq!(refusal(&entries), None);
    }

    #[test]
    fn an_entry_cannot_hide_the_next() {
        let next = entry(9, "TABLE", "ROLLBACK;", "");
        for (kind, text) in [
            ("SUBSCRIPTION TABLE", "SELECT $x$"),
            ("COMMENT", "/*"),
            ("VIEW", "SELECT '"),
            ("FUNCTION", "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1;"),
            ("SEARCHPATH", "SELECT 1; COMMIT;"),
            ("ENCODING", "SET client_encoding = 'SJIS';"),
            ("STDSTRINGS", "SET standard_conforming_strings = E'off';"),
            ("BLOB METADATA", "1'); ROLLBACK; SELECT lo_create('2"),
        ] {
            assert!(refusal(&[entry(3, kind, text, ""), next.clone()]).is_some_and(|(id, _)| id == 3), "{kind} {text}");
        }
    }

    #[test]
    fn strings_are_read_as_the_archive_says() {
        let off = entry(1, "STDSTRINGS", "SET standard_conforming_strings = 'off';\n", "");
        let hides = entry(2, "TABLE", "SELECT '\\'; COMMIT; --';\n", "");
        assert_eq!(refusal(std::slice::from_ref(&hides)).map(|(id, _)| id), Some(2));
        assert_eq!(refusal(&[off.clone(), hides]), None);
        let shows = entry(2, "TABLE", "SELECT 'x\\''; COMMIT; --';\n", "");
        assert_eq!(refusal(&[off, shows]).map(|(id, _)| id), Some(2));
    }
}
