//! Tests of imports from several files, of files that turn foreign keys off, and of files whose text is
//! not in the encoding that they declare.

use crate::support::Ran;
use crate::support::fixtures::{Project, Source, control_plane, fingerprint, postgres, test_dir};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Roles as `pg_dumpall --roles-only` writes them.
const ROLES: &str = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE app_reader;\n\
    ALTER ROLE app_reader WITH NOSUPERUSER NOLOGIN PASSWORD 'canary';\nALTER ROLE app_reader SET statement_timeout TO '3s';\n\
    RESET ALL;\n--\n-- PostgreSQL database cluster dump complete\n--\n";

const SCHEMA: &str = "--\n-- PostgreSQL database dump\n--\n\nSELECT pg_catalog.set_config('search_path', '', false);\n\
    CREATE TABLE public.parent (a int, b text, PRIMARY KEY (a, b));\n\
    CREATE TABLE public.child (id int PRIMARY KEY, a int, b text, CONSTRAINT child_parent FOREIGN KEY (a, b) REFERENCES public.parent);\n\
    CREATE TABLE public.strict (a int, b text, CONSTRAINT strict_parent FOREIGN KEY (a, b) REFERENCES public.parent MATCH FULL);\n\
    CREATE TABLE public.parts (a int, b text, CONSTRAINT parts_parent FOREIGN KEY (a, b) REFERENCES public.parent) PARTITION BY LIST (a);\n\
    CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES IN (1);\n\
    CREATE TABLE public.log (id int);\n\
    CREATE FUNCTION public.write_log() RETURNS trigger LANGUAGE plpgsql AS $$ begin insert into public.log values (new.id); return new; end $$;\n\
    CREATE TRIGGER t AFTER INSERT ON public.child FOR EACH ROW EXECUTE FUNCTION public.write_log();\n\
    ALTER TABLE public.child ENABLE ROW LEVEL SECURITY;\nALTER TABLE public.child FORCE ROW LEVEL SECURITY;\n\
    CREATE POLICY p ON public.child USING (id < 100);\n\
    --\n-- PostgreSQL database dump complete\n--\n\nRESET ALL;\n";

/// Rows as the Supabase CLI writes them: children may come before their parents.
fn data(children: &str) -> String {
    format!(
        "SET session_replication_role = replica;\n--\n-- PostgreSQL database dump\n--\n\n\
         COPY public.child (id, a, b) FROM stdin;\n{children}\\.\n\
         COPY public.strict (a, b) FROM stdin;\n1\tx\n\\N\t\\N\n\\.\nCOPY public.parts (a, b) FROM stdin;\n1\tx\n\\.\n\
         COPY public.parent (a, b) FROM stdin;\n1\tx\n2\ty\n\\.\n--\n-- PostgreSQL database dump complete\n--\n\nRESET ALL;\n"
    )
}

/// Rows that reference existing parents, or nothing.
const WHOLE: &str = "1\t1\tx\n2\t2\ty\n3\t\\N\tz\n";

fn write(name: &str, text: &[u8]) -> String {
    let path = test_dir().join(name);
    fs::write(&path, text).expect("write the dump");
    path.to_str().expect("UTF-8 path").to_owned()
}

fn import(project: &Project<'_>, data: &str, extra: &[&str]) -> Ran {
    let (roles, schema) = (write("roles.sql", ROLES.as_bytes()), write("schema.sql", SCHEMA.as_bytes()));
    let data = write(&format!("data-{}.sql", data.len()), data.as_bytes());
    project.import(&[&["--file", &roles, "--file", &schema, "--file", &data, "--wait"], extra].concat())
}

/// Whether the project's role may turn foreign keys off.
fn may_set_replication_role(project: &Project<'_>) -> bool {
    project.sql("select has_parameter_privilege(current_user, 'session_replication_role', 'set')") == "t"
}

#[test]
fn several_files_are_one_import_in_their_order() {
    for extra in [&["--recreate"][..], &[]] {
        let project = control_plane().project(&format!("several files {}", extra.len()));
        let ran = import(&project, &data(WHOLE), &[&["-o", "json"], extra].concat()).succeeds();
        for line in ["roles.sql from line 2", "schema.sql from line 15", "data-"] {
            assert!(ran.stderr.contains(line), "{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
        let rows = project
            .sql("select (select count(*) from parent), (select count(*) from child), (select count(*) from parts)");
        assert_eq!(rows, "2|3|1");
        assert_eq!(project.sql("select count(*) from log"), "0", "triggers are off while rows load");
        assert_eq!(project.sql("select relforcerowsecurity from pg_class where relname = 'child'"), "t");
        let left_out = ran.json()["job"]["result"]["left_out"].clone();
        assert_eq!((&left_out[0]["kind"], &left_out[0]["count"]), (&"ROLE".into(), &3.into()), "{left_out:#}");
        assert!(!may_set_replication_role(&project));
        assert!(project.sql("select 1 from pg_roles where rolname = 'app_reader'").is_empty());
    }
}

#[test]
fn rows_that_violate_foreign_keys_fail_an_import_that_turns_them_off() {
    for extra in [&["--recreate"][..], &[]] {
        let project = control_plane().project(&format!("violated keys {}", extra.len()));
        project.sql("create table kept as select 1 as x");
        let before = fingerprint(&project.url);
        // 500 is hidden by a policy that is forced on the owner.
        let orphans = format!("{WHOLE}4\t3\tx\n500\t1\ty\n");
        let failed = import(&project, &data(&orphans), extra);
        let ran = failed.fails(1, "2 of them violate a foreign key: 2 rows of public.child violate child_parent");
        assert!(ran.stderr.contains("delete these rows in the source"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("of the dump)"), "the check has no line in the dump: {}", ran.stderr);
        assert_eq!(fingerprint(&project.url), before);
        assert!(!may_set_replication_role(&project));
        let partly_null = data(WHOLE).replace("\\N\t\\N\n", "\\N\tx\n");
        import(&project, &partly_null, extra).fails(1, "1 rows of public.strict violate strict_parent");
        assert_eq!(fingerprint(&project.url), before);
    }
}

#[test]
fn several_files_must_be_whole_scripts() {
    let project = control_plane().project("broken files");
    let schema = write("cut.sql", SCHEMA.split_once("ALTER TABLE").expect("a statement").0.as_bytes());
    let open = write("open.sql", b"CREATE TABLE t (x int");
    let whole = write("whole.sql", b"CREATE TABLE u (x int);");
    let files = |first: &str, second: &str| project.import(&["--file", first, "--file", second, "--wait"]);
    files(&schema, &whole).fails(5, "the end marker of the dump that begins at line 2 of ");
    files(&open, &whole).fails(5, "open.sql ends in the middle of a statement");
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/17-custom.dump");
    files(&whole, archive).fails(5, "several files must all be plain SQL");
    files(&whole, &whole).fails(2, "whole.sql is given twice");
    let uncommitted = write("uncommitted.sql", b"BEGIN;\nCREATE TABLE v (x int);\n");
    files(&whole, &uncommitted).fails(5, "the transaction of line");
    let roles = write("only-roles.sql", ROLES.as_bytes());
    project.import(&["--file", &roles, "--recreate", "--wait"]).fails(5, "only roles, which are not imported");
}

/// A database whose encoding the server does not check, with text in LATIN1.
fn unchecked_dump(format: &str) -> PathBuf {
    let source = Source::start(17, &["fsync=off"]);
    let url = source.create("postgres_ascii", "select 1");
    crate::support::fixtures::psql(&url, "create database ascii template template0 encoding 'SQL_ASCII' locale 'C'");
    let url = source.url("ascii");
    let sql = "create table caf\u{e9} (n text); insert into caf\u{e9} values (E'na\\357ve')";
    crate::support::fixtures::psql(&url, &sql.replace('\u{e9}', "_"));
    let path = test_dir().join(format!("ascii-{format}"));
    let output = Command::new(postgres(17).join("pg_dump"))
        .args(["-F", format, "-f"])
        .arg(&path)
        .arg(&url)
        .output()
        .expect("run pg_dump");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

#[test]
fn a_source_encoding_overrides_what_a_dump_declares() {
    for format in ["c", "p"] {
        let path = unchecked_dump(format);
        let file = path.to_str().expect("UTF-8 path");
        for extra in [&["--recreate"][..], &[]] {
            let project = control_plane().project(&format!("encoding {format} {}", extra.len()));
            let import = |options: &[&str]| project.import(&[&["--file", file, "--wait"], options, extra].concat());
            import(&[]).fails(5, "0xef");
            import(&["--source-encoding", "LATIN1"]).succeeds();
            assert_eq!(project.sql("select n from caf_"), "na\u{ef}ve");
        }
        let project = control_plane().project(&format!("wrong encoding {format}"));
        project
            .import(&["--file", file, "--source-encoding", "SJIS"])
            .fails(2, "not an encoding of text that an import supports");
        let request = serde_json::json!({"confirm": true, "source_url": "postgres://u@example.com/d", "source_encoding": "LATIN1"});
        let path = format!("/v1/projects/{}/imports", project.id);
        let (status, answer) = control_plane().call("POST", &path, Some(&request));
        assert_eq!(status, 400, "{answer}");
    }
}
