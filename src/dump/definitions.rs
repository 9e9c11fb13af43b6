//! Checks the SQL definitions in an archive. `pg_restore` sends them to the server unchanged, so the
//! rules for plain SQL apply to them too.

use super::archive::Entry;
use super::encoding::is_supported;
use super::psql_commands::INSIDE_STATEMENT;
use super::sql::{PieceKind, Script};
use super::statement::client_encoding;
use super::tokens::{Token, Tokens};
use super::treatment::{Treatment, UNSUPPORTED_ENCODING, treat};
use std::io::Cursor;

/// Approximate number of bytes of definitions parsed at once.
const MAX_RUN: usize = 1 << 20;

/// Reason to refuse transaction commands in an archive.
const TRANSACTION: &str = "the entry begins or ends a transaction";
/// Reason to refuse psql commands, which a server does not know.
const COMMAND: &str = "the definition contains a psql command";
/// Reason to refuse `COPY … FROM stdin` in a definition.
const ROWS: &str = "the definition contains COPY … FROM stdin";
/// Reason to refuse extensions that preflight has not checked: only `EXTENSION` entries are.
const EXTENSION: &str = "the definition creates an extension";
/// Reason to refuse definitions of databases: only `DATABASE` entries are skipped.
const DATABASE: &str = "the definition creates or changes a database";
/// Reason to refuse roles, which no entry of an archive creates.
const ROLE: &str = "the definition creates or changes a role";
/// Reason to refuse `SET session_replication_role`, which no entry of an archive contains.
const REPLICATION_ROLE: &str = "the definition sets session_replication_role";
/// Reason to refuse any other copy statement than a single `COPY`.
const NOT_A_COPY: &str = "the data is not loaded by a single COPY … FROM stdin";
/// Reason to refuse an entry that does not end its statement.
const UNTERMINATED: &str = "the definition contains an unterminated statement";
/// Reason to refuse special entries that pg_dump would not write.
const SETTING: &str = "the entry differs from what pg_dump writes";

/// Kinds that an import never restores with `pg_restore`.
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

/// Parses the definitions of an archive's entries and keeps the first refusal.
#[derive(Default)]
pub struct Definitions {
    /// Concatenated definitions, and the offset at which each begins.
    run: Vec<u8>,
    starts: Vec<(usize, i32)>,
    /// The `standard_conforming_strings` setting of the archive, prepended to each run.
    strings: Vec<u8>,
    refusal: Option<(i32, String)>,
}

impl Definitions {
    /// Adds the next entry.
    pub fn take(&mut self, entry: &Entry) {
        if self.refusal.is_some() || NOT_RESTORED.contains(&entry.kind.as_str()) {
            return;
        }
        if !entry.copy.is_empty() && !is_single_copy(&entry.copy) {
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
        // The server parses each definition separately.
        self.run.extend_from_slice(b"\n;\n");
        if self.run.len() > MAX_RUN {
            self.read();
        }
    }

    /// The number of the first entry that cannot be imported, and why.
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
                // An unterminated entry would hide the next one from this check, but not from the server.
                _ if starts
                    .iter()
                    .skip(starts.partition_point(|(start, _)| start + before <= at))
                    .take(1)
                    .any(|(start, _)| crosses(*start)) =>
                {
                    Some(UNTERMINATED.to_owned())
                }
                PieceKind::Statement | PieceKind::StatementStart => refused(&piece.statement()),
                PieceKind::Command => Some(COMMAND.to_owned()),
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

/// Beginnings of the most frequent statements.
const PLAIN: [&[u8]; 7] = [
    b"CREATE TABLE ",
    b"ALTER TABLE ",
    b"CREATE INDEX ",
    b"CREATE UNIQUE INDEX ",
    b"CREATE SEQUENCE ",
    b"ALTER SEQUENCE ",
    b"COMMENT ON ",
];

/// Whether a text is a single harmless statement under any string setting, because its only
/// semicolon is at its end. Such a text is not parsed.
fn is_plain(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    PLAIN.iter().any(|start| text.starts_with(start))
        && memchr::memchr2(b';', b'\\', text).is_some_and(|at| at + 1 == text.len() && text[at] == b';')
}

/// Checks the entries that `pg_restore` treats specially.
fn refused_setting(entry: &Entry) -> Option<&'static str> {
    let text = entry.definition.trim();
    if entry.kind == "ENCODING" && client_encoding(text.as_bytes()).is_some_and(|name| !is_supported(&name)) {
        return Some(UNSUPPORTED_ENCODING);
    }
    let honest = match entry.kind.as_str() {
        "STDSTRINGS" => {
            ["'on'", "'off'"].iter().any(|value| text == format!("SET standard_conforming_strings = {value};"))
        }
        "SEARCHPATH" => text == "SELECT pg_catalog.set_config('search_path', '', false);",
        "ENCODING" => text
            .strip_prefix("SET client_encoding = '")
            .and_then(|rest| rest.strip_suffix("';"))
            .is_some_and(|name| !name.contains('\'')),
        // pg_restore inserts its lines into a statement.
        "BLOB METADATA" => text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace()),
        _ => true,
    };
    (!honest).then_some(SETTING)
}

fn refused(statement: &[u8]) -> Option<String> {
    match treat(statement) {
        Treatment::Begin | Treatment::Commit => Some(TRANSACTION.to_owned()),
        Treatment::CopyRows => Some(ROWS.to_owned()),
        Treatment::CreateExtension(_) => Some(EXTENSION.to_owned()),
        Treatment::Database => Some(DATABASE.to_owned()),
        Treatment::Role => Some(ROLE.to_owned()),
        Treatment::ReplicationRole => Some(REPLICATION_ROLE.to_owned()),
        Treatment::Refuse(refusal) => Some(refusal.reason.to_owned()),
        _ => None,
    }
}

/// Whether a text is a single `COPY … FROM stdin;` in the form that pg_dump writes.
fn is_single_copy(text: &str) -> bool {
    let text = text.as_bytes();
    let odd = |byte: &u8| matches!(byte, b'\'' | b'"' | b'\\' | b'$' | b'-' | b'/');
    let one = memchr::memchr(b';', text).is_some_and(|at| text[at..] == *b";\n");
    if one && text.starts_with(b"COPY ") && text.ends_with(b" FROM stdin;\n") && !text.iter().any(odd) {
        return true; // fast path for nearly all entries
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
    use crate::dump::archive::DataLocation;

    fn entry(id: i32, kind: &str, definition: &str, copy: &str) -> Entry {
        Entry {
            id,
            kind: kind.into(),
            schema: "public".into(),
            tag: "t".into(),
            definition: definition.into(),
            owner: String::new(),
            copy: copy.into(),
            data: DataLocation::None,
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
    fn disallowed_statements_are_refused_with_their_entry() {
        let valid = entry(1, "TABLE", "CREATE TABLE t (x int);\n", "");
        for text in [
            "COMMIT;",
            "SELECT 1; rollback;",
            "CREATE ROLE x;",
            "\\! id\n",
            "COPY t FROM stdin;",
            "COPY t FROM PROGRAM 'id';",
            "SELECT 1 \\g |sh\n",
            "CREATE EXTENSION dblink;\n",
        ] {
            let found = refusal(&[valid.clone(), entry(7, "TABLE", text, ""), valid.clone()]);
            assert_eq!(found.map(|(id, _)| id), Some(7), "{text}");
        }
        for copy in
            ["COPY t FROM PROGRAM 'id';\n", "COMMIT; COPY t FROM stdin;\n", "SELECT 1;\n", "COPY t FROM stdin; x\n"]
        {
            assert_eq!(refusal(&[entry(3, "TABLE DATA", "", copy)]).map(|(id, _)| id), Some(3), "{copy}");
        }
    }

    #[test]
    fn entries_written_by_pg_dump_are_accepted() {
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
    fn strings_follow_the_setting_in_the_archive() {
        let off = entry(1, "STDSTRINGS", "SET standard_conforming_strings = 'off';\n", "");
        let hidden = entry(2, "TABLE", "SELECT '\\'; COMMIT; --';\n", "");
        assert_eq!(refusal(std::slice::from_ref(&hidden)).map(|(id, _)| id), Some(2));
        assert_eq!(refusal(&[off.clone(), hidden]), None);
        let visible = entry(2, "TABLE", "SELECT 'x\\''; COMMIT; --';\n", "");
        assert_eq!(refusal(&[off, visible]).map(|(id, _)| id), Some(2));
    }
}
