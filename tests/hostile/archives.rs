//! Crafted archives in the custom format, with content that pg_dump does not write.

use crate::report_cases;
use crate::support::archive::{Entry, archive};
use crate::support::fixtures::{ControlPlane, fingerprint, test_dir};

fn table() -> Entry<'static> {
    Entry {
        kind: "TABLE",
        tag: "evil",
        definition: "CREATE TABLE public.evil (x text);\n",
        schema: "public",
        owner: "me",
        ..Entry::default()
    }
}

fn table_data<'a>(copy: &'a str, rows: &'a str) -> Entry<'a> {
    Entry { kind: "TABLE DATA", tag: "evil", copy, schema: "public", owner: "me", rows: Some(rows), ..Entry::default() }
}

const COPY: &str = "COPY public.evil (x) FROM stdin;\n";

/// Definitions that must not take effect. `MARK` is a file that must not be created.
const DEFINITIONS: [&str; 26] = [
    "SELECT 1;\n\\! touch MARK\n",
    "CREATE TABLE a (x int);\n\\o |touch MARK\nSELECT 1;\n",
    "COPY (SELECT 1) TO PROGRAM 'touch MARK';\n",
    "COPY (SELECT 1) TO 'MARK';\n",
    "SELECT pg_read_file('/etc/passwd');\n",
    "SELECT lo_import('/etc/passwd');\n",
    "CREATE FUNCTION public.f(cstring) RETURNS int LANGUAGE c AS 'libc', 'system';\n",
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE plperlu AS 'x';\n",
    "CREATE ROLE evil SUPERUSER;\n",
    "ALTER ROLE capydb PASSWORD 'x';\n",
    "GRANT capydb TO CURRENT_USER;\nSELECT 1/0;\n",
    "SET ROLE capydb;\nSELECT 1/0;\n",
    "SET SESSION AUTHORIZATION capydb;\nSELECT 1/0;\n",
    "SELECT set_config('role', 'capydb', false);\n",
    "ALTER SYSTEM SET archive_command = 'touch MARK';\n",
    "CREATE DATABASE evil;\n",
    "DROP DATABASE capydb;\n",
    "CREATE TABLESPACE evil LOCATION '/tmp';\n",
    "CREATE TABLE public.kept (x int);\nCOMMIT;\nSELECT 1/0;\n",
    "CREATE TABLE public.kept (x int);\nROLLBACK;\nCREATE TABLE public.kept (x int);\n",
    "BEGIN;\nCREATE TABLE public.kept (x int);\nEND;\nSELECT 1/0;\n",
    "CREATE EXTENSION dblink;\n",
    "CREATE FOREIGN DATA WRAPPER evil;\nSELECT 1/0;\n",
    "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION pg_catalog.now();\nSELECT 1/0;\n",
    "DO $$ BEGIN EXECUTE 'CREATE SUBSCRIPTION s CONNECTION ''host=127.0.0.1'' PUBLICATION p'; END $$;\n",
    "CREATE TABLE public.open (x text DEFAULT '\n\\! touch MARK\n",
];

#[test]
fn no_archive_escapes_its_database() {
    let dir = test_dir();
    let marker = dir.join("was-here");
    let with_marker = |text: &str| text.replace("MARK", marker.to_str().expect("UTF-8 path"));
    let control_plane = ControlPlane::ephemeral();
    let project = control_plane.project("hostile archives");
    // The archive writer is correct: a benign archive loads.
    let path = dir.join("good.dump");
    std::fs::write(&path, archive(&[table(), table_data(COPY, "1\n2\n")])).expect("write the archive");
    let job = project.upload_and_import(&path, true);
    assert_eq!(job["state"], "completed", "{job}");
    assert_eq!(project.sql("select count(*) from evil"), "2");
    // Otherwise the archives would fail at this table, before their hostile entry.
    project.sql("drop table evil");
    project.sql("create table old as select 7 as x");
    let before = fingerprint(&project.url);
    let mut archives: Vec<(String, Vec<u8>)> = Vec::new();
    for definition in DEFINITIONS {
        let definition = with_marker(definition);
        for kind in ["TABLE", "FUNCTION"] {
            let entry = Entry { kind, definition: &definition, ..table() };
            archives.push((format!("{kind}: {definition}"), archive(&[table(), entry])));
        }
    }
    let command = with_marker("evil\n\\! touch MARK\n");
    for copy in [
        "COPY public.evil FROM PROGRAM 'touch MARK';\n",
        "COPY public.evil FROM '/etc/passwd';\n",
        "COPY public.evil TO PROGRAM 'touch MARK';\n",
        "COMMIT; COPY public.evil (x) FROM stdin;\nSELECT 1/0;\n",
        "\\! touch MARK\nCOPY public.evil (x) FROM stdin;\n",
        "SELECT 1/0;\n",
    ] {
        archives.push((copy.to_owned(), archive(&[table(), table_data(&with_marker(copy), "1\n\\.\n")])));
    }
    archives.push((
        "rows that end early".into(),
        archive(&[table(), table_data(COPY, &with_marker("1\n\\.\n\\! touch MARK\nSELECT 1/0;\n"))]),
    ));
    archives.push((
        "an extension".into(),
        archive(&[Entry {
            kind: "EXTENSION",
            tag: "dblink",
            definition: "CREATE EXTENSION dblink;\n",
            ..Entry::default()
        }]),
    ));
    // An unclosed token in one entry hides the next entry; pg_restore executes some kinds differently.
    let rollback = Entry { kind: "FOO", definition: "ROLLBACK;\n", ..table() };
    let stays = Entry { tag: "stays", definition: "CREATE TABLE public.stays (x int);\n", ..table() };
    for (kind, tag, definition) in [
        ("SUBSCRIPTION TABLE", "x", "SELECT $x$"),
        ("COMMENT", "EXTENSION x", "/*"),
        ("BLOB METADATA", "1", "1'); ROLLBACK; SELECT lo_create('2\n"),
        ("FUNCTION", "f", "CREATE FUNCTION public.f(begin int) RETURNS int LANGUAGE sql RETURN begin;\n"),
        ("SEARCHPATH", "x", "SELECT 1; ROLLBACK;\n"),
        ("STDSTRINGS", "x", "SET standard_conforming_strings = E'off';\n"),
        ("ENCODING", "x", "SET client_encoding = 'SJIS';\n"),
    ] {
        let unclosed = Entry { kind, tag, definition, ..table() };
        archives.push((definition.into(), archive(&[table(), unclosed, rollback.clone(), stays.clone()])));
    }
    let statements = Entry { kind: "FOO DATA", rows: Some("ROLLBACK;\n"), ..table() };
    archives.push(("statements as data".into(), archive(&[table(), statements, stays])));
    // pg_restore writes names with line breaks into comments; the entry `fails` makes the import fail.
    let fails =
        Entry { kind: "VIEW", tag: "v", definition: "CREATE VIEW public.v AS SELECT 1/0;\nSELECT 1/0;\n", ..table() };
    for entry in [
        Entry { tag: &command, ..table() },
        Entry { owner: &command, ..table() },
        Entry { schema: &command, ..table() },
        Entry { kind: &command, ..table() },
    ] {
        archives.push((
            format!("{}{}{}{}", entry.tag, entry.owner, entry.schema, entry.kind),
            archive(&[entry, fails.clone()]),
        ));
    }
    let benign = archive(&[table(), table_data(COPY, "1\n2\n")]);
    for length in [6, 11, 40, 100, benign.len() - 30, benign.len() - 8] {
        archives.push((format!("truncated at {length}"), benign[..length].to_vec()));
    }
    for (offset, byte) in
        [(0, b'X'), (5, 9), (6, 99), (8, 200), (10, 7), (54, 0x7f), (82, 0x7f), (83, 0xff), (92, 0x7f)]
    {
        let mut corrupted = benign.clone();
        corrupted[offset] = byte;
        archives.push((format!("byte {offset} corrupted"), corrupted));
    }
    for (number, (name, bytes)) in archives.iter().enumerate() {
        let path = dir.join("hostile.dump");
        std::fs::write(&path, bytes).expect("write the archive");
        for recreate in [false, true].into_iter().take(if number % 8 == 0 { 2 } else { 1 }) {
            let job = project.upload_and_import(&path, recreate);
            assert_eq!(job["state"], "failed", "{name}: {job}");
            assert!(!marker.exists(), "{name}");
        }
    }
    assert!(fingerprint(&project.url) == before, "the target has changed");
    report_cases("hostile archives", archives.len());
}
