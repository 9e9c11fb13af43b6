//! Reads the contents of a plain dump in one pass, before any statement is executed.

use super::contents::{Contents, DumpLocation, Finding};
use super::copy_target::CopyTarget;
use super::findings::{beginning, record_statement};
use super::psql_commands::{INSIDE_STATEMENT, PsqlCommands, command_name};
use super::sql::{Piece, PieceKind, Script, client_encoding};
use super::tokens::first_word;
use super::treatment::{Treatment, defers_constraints, treat};
use std::io::{self, Read};

/// Reason to refuse a dump with zero bytes: psql would skip the rest of each such line.
pub const ZERO_BYTES: &str = "the file is damaged: it contains zero bytes";
/// Reason to refuse a script that drops a database which it does not create.
const DROPPED_DATABASE: &str = "the statement drops a database";
/// Subject of the finding for `INSERT`s.
const INSERTS: &str = "rows";

/// Reads a script to its end.
pub fn scan(reader: impl Read + Send + 'static) -> io::Result<Contents> {
    let mut script = Script::new(reader);
    let mut scan = Scan::default();
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
    found.rows = Some(scan.rows).filter(|_| !scan.several_rows);
    found.unfinished = script.unfinished();
    found.truncated = truncated;
    Ok(found)
}

#[derive(Default)]
struct Scan {
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
    copy: CopyRows,
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

impl Scan {
    fn take(&mut self, piece: &Piece<'_>) {
        let in_long = std::mem::replace(&mut self.long, false);
        self.found.size += piece.bytes.len() as u64;
        if piece.has_zero() {
            self.found.record(Finding::ZeroByte, "", || (DumpLocation::Line(piece.line()), ZERO_BYTES.into()));
            self.refuse(piece, ZERO_BYTES);
        }
        if piece.kind != PieceKind::Rows && self.rows_from.is_some() {
            self.end_rows(piece.line());
        }
        self.check_encoding(piece);
        if self.markers.complete && self.markers.after_end.is_none() && piece.kind.starts_statement() {
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
        let treatment = treat(&text);
        self.copy.target = (treatment == Treatment::CopyRows).then(|| CopyTarget::parse(&text)).flatten();
        if let Some(name) = client_encoding(&text) {
            self.found.encoding = name;
        }
        self.deferrable |= defers_constraints(&text);
        self.found.one_transaction |= first_word(&text).eq_ignore_ascii_case(b"set") && self.deferrable;
        record_statement(&mut self.found, &text, &treatment, &at);
    }

    /// Refuses a statement in which psql would replace a variable.
    fn uses_variable(&mut self, piece: &Piece<'_>, text: &[u8]) -> bool {
        let Some(variable) = self.commands.used_variable(text) else { return false };
        let why = format!("a statement uses the psql variable {variable}");
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
        if self.statements < 2 {
            if found.server_version.is_empty() {
                found.server_version = text_after(piece.bytes, b"-- Dumped from database version ").unwrap_or_default();
            }
            if found.dump_version.is_empty() {
                found.dump_version = text_after(piece.bytes, b"-- Dumped by pg_dump version ").unwrap_or_default();
            }
        }
        if memchr::memmem::find(piece.bytes, b"-- PostgreSQL database ").is_none() {
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
                b"-- PostgreSQL database cluster dump" => found.whole_server = true,
                b"-- PostgreSQL database cluster dump complete" => self.markers.complete = true,
                _ => {}
            }
        }
    }

    /// Why the dump is incomplete: every header of pg_dump needs its own end marker, and nothing may
    /// follow the last one.
    fn truncated(&self) -> Option<String> {
        if self.statements == 0 {
            return Some("no statements found".into());
        }
        let unmarked = self.markers.open.map(missing_end);
        let follows = self.markers.after_end.map(|line| format!("statements follow the end marker (line {line})"));
        self.found.truncated.clone().or(unmarked).or(follows)
    }

    /// Checks that text is in the encoding that the dump declares.
    fn check_encoding(&mut self, piece: &Piece<'_>) {
        if self.found.invalid_text.is_some() {
            return;
        }
        let Some((offset, length)) = piece.invalid_text() else { return };
        let bytes = piece.bytes[offset..].iter().take(length.max(1)).map(|byte| format!("0x{byte:02x}"));
        let lines = memchr::memchr_iter(b'\n', &piece.bytes[..offset]).count() as u64;
        let place = match (&self.copy.target, piece.kind) {
            (Some(copy), PieceKind::Rows) => format!(" in the rows of {}", copy.table),
            _ => String::new(),
        };
        let what = format!("{}{place}", bytes.collect::<Vec<_>>().join(" "));
        self.found.invalid_text = Some((DumpLocation::Line(piece.line() + lines), what));
    }

    /// Checks the number of fields of each row.
    fn check_rows(&mut self, piece: &Piece<'_>) {
        let begins_inside = std::mem::replace(&mut self.copy.inside_row, !piece.bytes.ends_with(b"\n"));
        if self.found.invalid_row.is_some() || begins_inside || self.copy.inside_row {
            return;
        }
        let Some(copy) = self.copy.target.as_ref() else { return };
        let Some((line, fields)) = copy.invalid_row(piece.bytes) else { return };
        let what = format!("{} fields, but {} has {} columns", fields, copy.table, copy.columns);
        self.found.invalid_row = Some((DumpLocation::Line(piece.line() + line), what));
    }
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
mod tests {
    use super::super::treatment::RequestedExtension;
    use super::*;
    use std::io::Cursor;

    fn contents_of(text: &str) -> Contents {
        scan(Cursor::new(text.as_bytes().to_vec())).expect("a readable script")
    }

    #[test]
    fn the_contents_of_a_script_are_collected() {
        let contents = contents_of(
            "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\n-- Dumped from database version 15.18 (Debian)\n\
             -- Dumped by pg_dump version 17.11\n\nSET lock_timeout = 1;\nCREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA ext;\n\
             CREATE POLICY p ON t TO anon USING (auth.uid() = id);\nCREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();\n\
             COPY t FROM stdin;\n\\! rm\n\\N\n\\.\nINSERT INTO t VALUES (';');\n\\unrestrict x\n",
        );
        assert_eq!((contents.server_version.as_str(), contents.dump_version.as_str()), ("15.18 (Debian)", "17.11"));
        let hstore = RequestedExtension { name: "hstore".into(), schema: Some("ext".into()) };
        assert_eq!(contents.extensions, [(hstore, DumpLocation::Line(11))]);
        assert_eq!(contents.policy_roles, ["anon"]);
        assert_eq!(contents.left_out["EVENT TRIGGER"].0, 1);
        assert_eq!((contents.rows, contents.refusal.clone(), contents.unfinished), (Some(3), None, None));
        assert_eq!(contents.seen(Finding::PlatformPolicy).map(|(schema, _)| schema).collect::<Vec<_>>(), ["auth"]);
        assert_eq!(contents.seen(Finding::Setting).map(|(name, _)| name).collect::<Vec<_>>(), ["lock_timeout"]);
    }

    #[test]
    fn roles_are_reported_with_their_lines() {
        let contents = contents_of(
            "ALTER TABLE t OWNER TO \"Bob\";\nGRANT SELECT ON TABLE t TO anna, PUBLIC WITH GRANT OPTION;\n\
             ALTER DEFAULT PRIVILEGES FOR ROLE bob IN SCHEMA s GRANT ALL ON TABLES TO carl;\nSET ROLE dora;\n\
             SET SESSION AUTHORIZATION 'emil';\nSET default_tablespace = fast;\nREVOKE ALL ON SCHEMA public FROM PUBLIC;",
        );
        let roles: Vec<&str> = contents.roles().into_iter().collect();
        assert_eq!(roles, ["Bob", "anna", "bob", "carl", "dora", "emil"]);
        let (_, owner) = contents.seen(Finding::Owner).next().expect("an owner");
        assert_eq!(owner.first, ["line 1: ALTER TABLE t OWNER TO \"Bob\";"]);
    }

    #[test]
    fn foreign_keys_to_missing_tables_are_found() {
        let contents = contents_of(
            "CREATE TABLE public.a (id int);\nCREATE TABLE auth.users (id int);\n\
             ALTER TABLE ONLY public.a ADD CONSTRAINT x FOREIGN KEY (id) REFERENCES auth.users(id);\n\
             ALTER TABLE ONLY public.a ADD CONSTRAINT y FOREIGN KEY (id) REFERENCES gone.b(id);\n\
             ALTER TABLE public.a ADD CONSTRAINT z CHECK (id > 0);",
        );
        assert_eq!(contents.seen(Finding::PlatformKey).map(|(schema, _)| schema).collect::<Vec<_>>(), ["auth"]);
        assert_eq!(contents.seen(Finding::MissingReference).map(|(table, _)| table).collect::<Vec<_>>(), ["gone.b"]);
        assert_eq!(
            (contents.number("foreign keys"), contents.number("constraints"), contents.number("tables")),
            (2, 1, 2)
        );
    }

    #[test]
    fn the_password_of_a_user_mapping_is_not_kept() {
        let contents = contents_of(
            "CREATE USER MAPPING FOR bob SERVER far OPTIONS (password 'canary');\n\
             CREATE SUBSCRIPTION s CONNECTION 'password=canary' PUBLICATION p;",
        );
        assert_eq!(contents.times(Finding::UserMapping) + contents.times(Finding::Subscription), 2);
        assert!(!format!("{contents:?}").contains("canary"), "{contents:?}");
    }

    #[test]
    fn evidence_contains_no_secrets_and_no_rows() {
        let contents = contents_of(
            "CREATE ROLE bob LOGIN PASSWORD 'canary';\nALTER DATABASE app SET app.secret = 'canary';\n\\connect postgres://u:canary@h/db\n\
             COPY t FROM PROGRAM 'curl -u u:canary http://x';\nCREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (password 'canary');\n\
             INSERT INTO users VALUES (1, 'canary');\nSET unknown_thing = canary;\nALTER TABLE t OWNER TO bob;\n",
        );
        assert!(contents.findings.len() >= 6, "{contents:#?}");
        assert!(!format!("{contents:?}").contains("canary"), "{contents:#?}");
        let (_, inserts) = contents.seen(Finding::Inserts).next().expect("an INSERT finding");
        assert_eq!(inserts.first, ["line 6: INSERT INTO users VALUES …"]);
    }

    #[test]
    fn hidden_statements_are_found() {
        let refusal = |text: &str| contents_of(text).refusal.map(|(_, reason)| reason).unwrap_or_default();
        let rows = contents_of("COPY t FROM stdin; COMMIT; \\! id\n1\n\\.\n");
        assert_eq!(rows.times(Finding::Refused), 1, "{rows:#?}");
        assert!(contents_of("SELECT 1 /* a /* b */ ' */;\nCOMMIT;\n--';").times(Finding::Transaction) == 1);
        // The server continues the literal of the previous line and its escape rules.
        assert_eq!(contents_of("SELECT E'a'\n'\\' , ';\nCOMMIT;\n--';").times(Finding::Transaction), 1);
        assert_eq!(contents_of("SELECT E'a' -- c\n '\\' , ';\nCOMMIT;\n--';").times(Finding::Transaction), 1);
        assert_eq!(contents_of("/* /* x */ it's fine */\nINSERT INTO t VALUES (1);").truncated, None);
        let comment = "x".repeat(1_400_000);
        assert_eq!(refusal(&format!("/*{comment}*/ COMMIT;")), crate::dump::treatment::OVERSIZED_COMMENT);
        assert_eq!(refusal(&format!("CREATE /*{comment}*/ ROLE bob;")), crate::dump::treatment::OVERSIZED_COMMENT);
        assert_eq!(
            refusal(&format!("COPY t /*{comment}*/ FROM stdin;\n1\n\\.\n")),
            crate::dump::treatment::OVERSIZED_COMMENT
        );
        let long_line = format!("COPY t FROM stdin;{}", "x".repeat(3 << 20));
        assert!(refusal(&long_line).contains("text follows"), "{}", refusal(&long_line));
    }

    #[test]
    fn zero_bytes_and_disguised_commands_are_refused() {
        let refusal = |text: &str| contents_of(text).refusal.map(|(_, reason)| reason);
        assert_eq!(refusal("COPY t FROM stdin;\n1\0\n\\.\n").as_deref(), Some(ZERO_BYTES));
        assert_eq!(refusal("PREPARE \\restrict x\nTRANSACTION 'a';").as_deref(), Some(INSIDE_STATEMENT));
        assert_eq!(refusal("SELECT 1 \\gexec\n").as_deref(), Some(INSIDE_STATEMENT));
    }

    #[test]
    fn a_refusal_has_the_line_of_the_statement() {
        let refusal = |text: &str| contents_of(text).refusal;
        assert_eq!(
            refusal("SELECT 1;\n\n\\! id\n"),
            Some((DumpLocation::Line(3), "the psql command \\! is not allowed".into()))
        );
        assert_eq!(refusal("SELECT 1 \\gexec\n").map(|(location, _)| location), Some(DumpLocation::Line(1)));
        assert_eq!(refusal("SELECT 1;\nCREATE ROLE x;\n").map(|(location, _)| location), Some(DumpLocation::Line(2)));
        assert_eq!(
            refusal("COPY t FROM stdin; SELECT 1;\n\\.\n").map(|(location, _)| location),
            Some(DumpLocation::Line(1))
        );
        assert_eq!(refusal("COPY t FROM PROGRAM 'id';").map(|(location, _)| location), Some(DumpLocation::Line(1)));
    }

    const HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\n";
    const END: &str = "--\n-- PostgreSQL database dump complete\n--\n\n";

    fn truncated(text: &str) -> Option<String> {
        contents_of(text).truncated
    }

    #[test]
    fn every_dump_of_a_file_needs_its_end() {
        let (first, second) = ("CREATE TABLE t (x int);\n", "COPY t (x) FROM stdin;\n1\n\\.\n");
        assert_eq!(truncated(&format!("{HEAD}{first}{END}{HEAD}{second}{END}")), None);
        let unmarked = truncated(&format!("{HEAD}{first}{END}{HEAD}{second}"));
        assert_eq!(unmarked.as_deref(), Some("the end marker of the dump that begins at line 11 is missing"));
        let unmarked = truncated(&format!("{HEAD}{first}{HEAD}{second}{END}"));
        assert_eq!(unmarked.as_deref(), Some("the end marker of the dump that begins at line 2 is missing"));
        let follows = truncated(&format!("{HEAD}{first}{END}{second}"));
        assert_eq!(follows.as_deref(), Some("statements follow the end marker (line 10)"));
        assert_eq!(truncated(&format!("{HEAD}{first}{END}\\unrestrict x\n-- a comment\n")), None);
    }

    #[test]
    fn text_outside_the_declared_encoding_is_located() {
        let invalid = |text: &[u8]| scan(Cursor::new(text.to_vec())).expect("a readable script").invalid_text;
        let rows = b"SET client_encoding = 'UTF8';\nCOPY public.t (x) FROM stdin;\na\ncaf\xe9\n\\.\n";
        assert_eq!(invalid(rows), Some((DumpLocation::Line(4), "0xe9 in the rows of public.t".into())));
        assert_eq!(invalid(b"INSERT INTO t VALUES ('caf\xe9');\n"), Some((DumpLocation::Line(1), "0xe9".into())));
        let ascii = b"SET client_encoding = 'SQL_ASCII';\nINSERT INTO t VALUES ('caf\xe9');\n";
        assert_eq!(invalid(ascii), Some((DumpLocation::Line(2), "0xe9".into())));
        let latin = b"SET client_encoding = 'LATIN1';\nINSERT INTO t VALUES ('caf\xe9');\n";
        assert_eq!(invalid(latin), None);
        assert_eq!(invalid("\u{feff}INSERT INTO t VALUES ('caf\u{e9}');\n".as_bytes()), None);
        let mut long = b"COPY t (x) FROM stdin;\n".to_vec();
        long.extend("\u{e9}".repeat(400_000).into_bytes());
        long.extend_from_slice(b"\n\\.\n");
        assert_eq!(invalid(&long), None, "characters cross the blocks");
        long.splice(500_001..500_001, *b"\xff");
        assert!(invalid(&long).is_some());
    }

    #[test]
    fn names_are_decoded_from_the_declared_encoding() {
        let text = b"SET client_encoding = 'LATIN1';\nCREATE SCHEMA na\xefve;\nCREATE POLICY p ON t TO r\xf4le USING (true);\n";
        let found = scan(Cursor::new(text.to_vec())).expect("a readable script");
        assert_eq!(found.schemas.iter().collect::<Vec<_>>(), ["na\u{ef}ve"]);
        assert_eq!(found.policy_roles, ["r\u{f4}le"]);
    }

    #[test]
    fn messages_in_front_of_a_dump_are_skipped() {
        let found = contents_of(&format!("pg_dump: warning: x\nPassword: \n{HEAD}CREATE TABLE t (x int);\n{END}"));
        assert_eq!((found.truncated.clone(), found.refusal.clone(), found.number("tables")), (None, None, 1));
        assert_eq!(found.left_out["MESSAGE"].0, 2);
        let inside = contents_of("CREATE TABLE t (x int);\npg_dump: warning: x\n");
        assert!(inside.unfinished.is_some());
    }

    #[test]
    fn rows_with_other_fields_are_located() {
        let text = "COPY public.t (a, b) FROM stdin;\n1\tx\npg_dump: warning\n2\ty\n\\.\n";
        let (place, what) = contents_of(text).invalid_row.expect("an invalid row");
        assert_eq!((place, what.as_str()), (DumpLocation::Line(3), "1 fields, but public.t has 2 columns"));
    }

    #[test]
    fn rows_after_a_constraint_that_can_be_deferred_need_one_transaction() {
        let table = "CREATE TABLE t (x int REFERENCES t DEFERRABLE INITIALLY DEFERRED);\n";
        assert!(contents_of(&format!("{table}INSERT INTO t VALUES (1);\n")).one_transaction);
        assert!(!contents_of(table).one_transaction);
        assert!(!contents_of(&format!("INSERT INTO t VALUES (1);\n{table}")).one_transaction);
    }

    #[test]
    fn extensions_that_are_used_but_not_created_are_found() {
        let missing =
            |text: &str| contents_of(text).missing_extensions().map(|(wanted, _)| wanted.name).collect::<Vec<_>>();
        let table = "CREATE TABLE public.t (e public.citext, id uuid DEFAULT public.uuid_generate_v4());\n";
        assert_eq!(missing(table), ["citext", "uuid-ossp"]);
        assert_eq!(missing(&format!("CREATE EXTENSION citext;\n{table}")), ["uuid-ossp"]);
        assert_eq!(missing(&format!("CREATE DOMAIN public.citext AS text;\n{table}")), ["uuid-ossp"]);
    }
}
