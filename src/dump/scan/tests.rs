//! Unit tests for the reading of plain dumps.

use super::super::treatment::RequestedExtension;
use super::*;
use std::io::Cursor;

fn contents_of(text: &str) -> Contents {
    scan(Cursor::new(text.as_bytes().to_vec()), None, &[]).expect("a readable script")
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
    assert_eq!((contents.number("foreign keys"), contents.number("constraints"), contents.number("tables")), (2, 1, 2));
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
    assert_eq!(
        refusal("SELECT 1;\nALTER SYSTEM SET x = 1;\n").map(|(location, _)| location),
        Some(DumpLocation::Line(2))
    );
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
    let invalid = |text: &[u8]| scan(Cursor::new(text.to_vec()), None, &[]).expect("a readable script").invalid_text;
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
fn resets_end_what_a_script_has_set() {
    let invalid = |text: &[u8]| scan(Cursor::new(text.to_vec()), None, &[]).expect("a readable script").invalid_text;
    let latin = b"SET client_encoding = 'LATIN1';\nRESET ALL;\nSELECT 'caf\xe9';\n";
    assert_eq!(invalid(latin), Some((DumpLocation::Line(3), "0xe9".into())));
    let escapes = "SET standard_conforming_strings = off;\nDISCARD ALL;\nSELECT '\\';\nCOMMIT;\n--';\n";
    assert_eq!(contents_of(escapes).times(Finding::Transaction), 1);
}

#[test]
fn text_that_is_not_sql_is_refused() {
    let refusal = |text: &str| contents_of(text).refusal;
    let why = refusal("CREATE TABLE t (x int);\npg_dump: warning: x\nSELECT 1;\n");
    assert_eq!(why, Some((DumpLocation::Line(2), "text that is not SQL".into())));
    for text in ["ANALYSE t;", "(SELECT 1);", "TABLE t;", "import foreign schema a from server b into c;"] {
        assert_eq!(refusal(text), None, "{text}");
    }
}

#[test]
fn a_dump_without_its_unrestrict_is_truncated() {
    let script = "\\restrict x\nCREATE TABLE t (x int);\n";
    assert_eq!(truncated(script).as_deref(), Some("the \\unrestrict of line 1 is missing"));
    assert_eq!(truncated(&format!("{script}\\unrestrict x\n")), None);
}

#[test]
fn names_are_decoded_from_the_declared_encoding() {
    let text =
        b"SET client_encoding = 'LATIN1';\nCREATE SCHEMA na\xefve;\nCREATE POLICY p ON t TO r\xf4le USING (true);\n";
    let found = scan(Cursor::new(text.to_vec()), None, &[]).expect("a readable script");
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
