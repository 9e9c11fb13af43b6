//! Reads the contents of a plain dump in one pass, before any statement is executed.

use super::contents::{Contents, DumpLocation, Finding};
use super::findings::{beginning, record_statement};
use super::psql_commands::{INSIDE_STATEMENT, command_name, refused_command};
use super::sql::{Piece, PieceKind, Script};
use super::tokens::first_word;
use super::treatment::treat;
use std::io::{self, Read};

/// Reason to refuse a dump with zero bytes: psql would skip the rest of each such line.
pub const ZERO_BYTES: &str = "the file is damaged: it contains zero bytes";
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
    let mut found = scan.found;
    found.rows = Some(scan.rows).filter(|_| !scan.several_rows);
    found.unfinished = script.unfinished();
    if scan.statements == 0 {
        found.truncated = Some("no statements found".into());
    } else if found.by_pg_dump && !scan.complete {
        found.truncated = Some("the end marker \"PostgreSQL database dump complete\" is missing".into());
    }
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
    /// The final comment of pg_dump was found.
    complete: bool,
    /// Inside a statement that arrives in parts.
    long: bool,
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
        match piece.kind {
            PieceKind::Rows => {
                self.rows_from.get_or_insert_with(|| piece.line());
            }
            PieceKind::Between if self.statements < 2 => self.head(piece.bytes),
            PieceKind::Between => self.end(piece.bytes),
            PieceKind::StatementPart if in_long => self.long = true,
            PieceKind::StatementPart => self.refuse_piece(piece, "text follows COPY … FROM stdin on the same line"),
            PieceKind::CommandInside => {
                self.command(piece);
                self.refuse(piece, INSIDE_STATEMENT);
            }
            PieceKind::Command => {
                if let Some(why) = refused_command(piece.bytes) {
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
        let treatment = treat(&text);
        record_statement(&mut self.found, &text, &treatment, &at);
    }

    fn inserts(&mut self, piece: &Piece<'_>, count: u64) {
        self.statements += count;
        self.rows += count;
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

    /// Reads the comments that pg_dump writes before the first statement.
    fn head(&mut self, comments: &[u8]) {
        let found = &mut self.found;
        if found.server_version.is_empty() {
            found.server_version = text_after(comments, b"-- Dumped from database version ").unwrap_or_default();
        }
        if found.dump_version.is_empty() {
            found.dump_version = text_after(comments, b"-- Dumped by pg_dump version ").unwrap_or_default();
        }
        let has = |words: &[u8]| memchr::memmem::find(comments, words).is_some();
        found.whole_server |= has(b"-- PostgreSQL database cluster dump");
        self.found.by_pg_dump |= has(b"-- PostgreSQL database dump\n") || has(b"-- PostgreSQL database dump\r\n");
        self.end(comments);
    }

    /// Checks for the comment that pg_dump writes after the last statement.
    fn end(&mut self, comments: &[u8]) {
        const WORDS: [&[u8]; 2] =
            [b"-- PostgreSQL database dump complete", b"-- PostgreSQL database cluster dump complete"];
        self.complete |=
            comments.len() > 30 && WORDS.iter().any(|words| memchr::memmem::find(comments, words).is_some());
    }
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
}
