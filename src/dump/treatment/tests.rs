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
        "CREATE USER MAPPING FOR bob SERVER s;",
        "ROLLBACK TO SAVEPOINT a;",
        "ROLLBACK WORK TO a;",
        "SET standard_conforming_strings = on;",
        "SET client_encoding = 'UTF8';",
        "ALTER TABLE t ADD COLUMN y int, OWNER TO bob;",
        "ALTER TABLE t RENAME owner TO boss;",
        "CREATE SCHEMA public CREATE TABLE t (x int);",
    ] {
        assert_eq!(treatment(text), Treatment::Run, "{text}");
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
        crate::dump::statement::starts_like_sql(&bytes);
    }
}

#[test]
fn statements_that_depend_on_the_rest_of_the_script_are_recognized() {
    assert_eq!(treatment("ALTER PUBLICATION p ADD TABLE ONLY public.t;"), Treatment::AlterPublication("p".into()));
    for text in ["CREATE DATABASE d;", "DROP DATABASE IF EXISTS d;", "ALTER DATABASE d SET search_path TO a;"] {
        assert_eq!(treatment(text), Treatment::Database, "{text}");
    }
    for text in ["DROP TABLE public.t;", "ALTER TABLE ONLY public.t DROP CONSTRAINT k;", "DROP INDEX i;"] {
        assert_eq!(treatment(text), Treatment::Drop, "{text}");
    }
    assert_eq!(treatment("ALTER TABLE t DROP COLUMN a, ADD COLUMN b int;"), Treatment::Run);
    for text in ["CREATE INDEX CONCURRENTLY i ON t (x);", "CREATE UNIQUE INDEX CONCURRENTLY i ON t (x);"] {
        assert_eq!(treatment(text), Treatment::RunWithoutConcurrently, "{text}");
    }
}

#[test]
fn unnecessary_statements_are_skipped() {
    for text in [
        "VACUUM ANALYZE t;",
        "REINDEX DATABASE d;",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;",
        "SELECT * FROM pg_catalog.pg_restore_relation_stats('version', '180000'::integer);",
        "ALTER EXTENSION hstore UPDATE;",
    ] {
        assert!(matches!(treatment(text), Treatment::SkipAndReport(..)), "{text}");
    }
    for text in [
        "CREATE PROCEDURAL LANGUAGE plpgsql;",
        "CREATE OR REPLACE PROCEDURAL LANGUAGE plpgsql;",
        "COMMENT ON LANGUAGE plpgsql IS 'x';",
        "SET client_encoding = 'SQL_ASCII';",
    ] {
        assert_eq!(treatment(text), Treatment::Skip, "{text}");
    }
    for text in [
        "CREATE FUNCTION plpgsql() RETURNS int LANGUAGE plpgsql AS $$ $$;",
        "SET client_encoding = 'LATIN1';",
        "SET CONSTRAINTS ALL DEFERRED;",
    ] {
        assert_eq!(treatment(text), Treatment::Run, "{text}");
    }
}
