//! Unit tests for the classification of statements.

use super::*;
use proptest::prelude::*;

fn treatment(text: &str) -> Treatment {
    treat(text.as_bytes())
}

#[test]
fn ownership_and_privileges_are_skipped() {
    for text in [
        "ALTER TABLE public.t OWNER TO bob;",
        "ALTER FUNCTION f(a integer, b text) OWNER TO \"Bob\";",
        "ALTER TABLE ONLY t\n    owner to bob ;",
        "ALTER TABLE public.rename OWNER TO bob;",
        "ALTER AGGREGATE public.a(integer, text) OWNER TO bob;",
        "GRANT SELECT ON TABLE t TO bob;",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
        "ALTER DEFAULT PRIVILEGES FOR ROLE bob IN SCHEMA public GRANT SELECT ON TABLES TO anna;",
        "SET SESSION AUTHORIZATION 'bob';",
        "set role bob;",
        "COMMENT ON EXTENSION hstore IS 'x';",
        "COMMENT ON DATABASE d IS 'x';",
        "/* c */ -- d\nSET default_tablespace = fast;",
    ] {
        assert_eq!(treatment(text), Treatment::Skip, "{text}");
    }
}

#[test]
fn transaction_statements_are_recognized_in_every_spelling() {
    for text in ["BEGIN;", "start transaction isolation level serializable;", "/* x */ -- y\rBEGIN;"] {
        assert_eq!(treatment(text), Treatment::Begin, "{text}");
    }
    for text in ["COMMIT;", "end;", "\x0bCOMMIT;", "-- x\rCOMMIT\x0bWORK;", "\x0c\tEND TRANSACTION;"] {
        assert_eq!(treatment(text), Treatment::Commit, "{text:?}");
    }
}

#[test]
fn ordinary_statements_run() {
    for text in [
        "SET default_tablespace = '';",
        "CREATE TABLE owner (\"to\" text);",
        "ALTER TABLE t RENAME COLUMN owner TO boss;",
        "INSERT INTO t VALUES ('GRANT ALL; OWNER TO bob');",
        "CREATE SCHEMA IF NOT EXISTS a;",
        "CREATE PUBLICATION p WITH (publish = 'insert');",
        "ALTER PUBLICATION p ADD TABLE ONLY public.t;",
        "CREATE USER MAPPING FOR bob SERVER s;",
        "ROLLBACK TO SAVEPOINT a;",
        "ROLLBACK WORK TO a;",
        "SET standard_conforming_strings = on;",
        "SET client_encoding = 'UTF8';",
        "ALTER TABLE t ADD COLUMN y int, OWNER TO bob;",
        "ALTER TABLE t RENAME owner TO boss;",
        "ALTER POLICY p ON owner TO current_user;",
        "CREATE SCHEMA public CREATE TABLE t (x int);",
    ] {
        assert_eq!(treatment(text), Treatment::Run, "{text}");
    }
}

#[test]
fn index_builds_are_recognized() {
    for text in [
        "CREATE INDEX i ON t (x);",
        "create unique index i on t (x);",
        "ALTER TABLE ONLY t\n ADD CONSTRAINT p PRIMARY KEY (x);",
    ] {
        assert!(builds_index(text.as_bytes()), "{text}");
    }
    for text in [
        "CREATE TABLE index (x int);",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES u;",
        "INSERT INTO t VALUES (1);",
    ] {
        assert!(!builds_index(text.as_bytes()), "{text}");
    }
}

#[test]
fn unsupported_objects_are_skipped_and_reported() {
    assert!(matches!(
        treatment("CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();"),
        Treatment::SkipAndReport("EVENT TRIGGER", _)
    ));
    assert!(matches!(treatment("CREATE PUBLICATION p FOR ALL TABLES;"), Treatment::SkipAndReport("PUBLICATION", _)));
    assert!(matches!(
        treatment("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p;"),
        Treatment::SkipAndReport("SUBSCRIPTION", _)
    ));
}

#[test]
fn statements_not_allowed_in_an_import_are_refused() {
    for text in [
        "CREATE ROLE bob;",
        "CREATE DATABASE d;",
        "ALTER SYSTEM SET x = 1;",
        "ROLLBACK;",
        "COPY t FROM PROGRAM 'id';",
        "COPY t (a, b) FROM '/etc/passwd';",
        "COPY (SELECT 1) TO '/tmp/x';",
        "copy t to stdout;",
        "SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);",
        "SET standard_conforming_strings = off/**/;",
        "SET standard_conforming_strings = E'off';",
        "SET LOCAL standard_conforming_strings = off;",
        "RESET standard_conforming_strings;",
        "SET client_encoding = 'SJIS';",
        "SET NAMES 'gbk';",
        "COMMIT PREPARED 'x';",
        "COPY t FROM stdin (FORMAT binary);",
        "COPY BINARY t FROM stdin;",
    ] {
        assert!(matches!(treatment(text), Treatment::Refuse(_)), "{text}");
    }
}

#[test]
fn copy_from_stdin_expects_rows() {
    for text in ["COPY public.t (a, \"from\") FROM stdin;", "copy t from STDIN with (format csv);"] {
        assert_eq!(treatment(text), Treatment::CopyRows, "{text}");
    }
}

#[test]
fn extensions_and_policy_roles_are_parsed() {
    let requested = |text: &str| extension(text.as_bytes()).expect("an extension");
    assert_eq!(
        requested("CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA extensions;").schema.as_deref(),
        Some("extensions")
    );
    assert_eq!(requested("CREATE EXTENSION hstore;"), RequestedExtension { name: "hstore".into(), schema: None });
    let roles = |text: &str| policy_roles(text.as_bytes());
    assert_eq!(
        roles("CREATE POLICY \"to\" ON public.t AS PERMISSIVE FOR SELECT TO Anon, \"Web User\" USING (a TO b);"),
        ["anon", "Web User"]
    );
    assert!(roles("CREATE POLICY p ON t USING ((a)::text = 'TO x');").is_empty());
    assert!(roles("CREATE POLICY p ON t TO PUBLIC WITH CHECK (true);").is_empty());
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_split_into_tokens(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Tokens::new(&bytes).count() <= bytes.len());
        treat(&bytes);
        starts_like_sql(&bytes);
    }
}
