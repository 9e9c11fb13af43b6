//! Plain SQL that wants out: of psql, of its transaction, of its role, of its database.

use crate::ran_cases;
use crate::support::fixtures::{ControlPlane, control_plane, fingerprint, open_folder};
use std::path::Path;

/// Commands of psql, as whole scripts. `MARK` is a file that must not come to be.
const COMMANDS: [&str; 46] = [
    "\\! touch MARK",
    "SELECT 1;\n\\! touch MARK",
    "SELECT 1; \\! touch MARK",
    "-- a comment\n  \\! touch MARK",
    "/* a comment */ \\! touch MARK",
    "/* /* nested */ */ \\! touch MARK",
    "\u{feff}\\! touch MARK",
    "SELECT 1;\r\n\\! touch MARK\r\n",
    "CREATE TABLE evil (x text);\nCOPY evil FROM stdin;\n1\n\\.\n\\! touch MARK",
    "CREATE TABLE evil (x text);\nCOPY evil FROM stdin;\n\\.\n\\! touch MARK",
    "CREATE TABLE evil (x text);\nCOPY evil FROM stdin;\n\\.\r\n\\! touch MARK",
    "CREATE TABLE evil (x text); COPY evil FROM stdin; \\! touch MARK\n\\.\n",
    "SELECT 'touch MARK' \\gexec",
    "SELECT 'touch MARK' \\g |sh",
    "SELECT 1 \\g MARK",
    "SELECT 1 \\gx |touch MARK",
    "SELECT 'x' AS y \\gset\n\\! touch MARK",
    "SELECT 1 \\watch 1",
    "SELECT 1 \\gdesc \\! touch MARK",
    "SELECT $1 \\bind 1 \\g |touch MARK",
    "\\o |touch MARK\nSELECT 1;",
    "\\o MARK\nSELECT 1;",
    "\\out MARK",
    "\\w MARK",
    "\\write |touch MARK",
    "\\s MARK",
    "\\copy evil from program 'touch MARK'",
    "\\copy (select 1) to MARK",
    "\\copy (select 1) to program 'touch MARK'",
    "\\i /etc/passwd",
    "\\include /etc/passwd",
    "\\ir ../secrets.json",
    "\\connect postgres",
    "\\c capydb capydb",
    "\\set x `touch MARK`",
    "\\set ON_ERROR_STOP off\nSELECT 1/0;",
    "\\unset ON_ERROR_STOP",
    "\\setenv PGUSER capydb",
    "\\cd /",
    "\\e",
    "\\prompt x",
    "\\lo_import /etc/passwd",
    "\\lo_export 1 MARK",
    "\\if true\n\\! touch MARK\n\\endif",
    "\\restrict a\n\\! touch MARK\n\\unrestrict a",
    "\\echo x\n\\q",
];

/// SQL that must not do what it asks for: the import fails, and the target is as it was.
const STATEMENTS: [&str; 84] = [
    // Files and programs of the server.
    "CREATE TABLE evil (x text); COPY evil FROM PROGRAM 'touch MARK';",
    "COPY (SELECT 1) TO PROGRAM 'touch MARK';",
    "copy/**/(select 1)/**/to/**/program/**/'touch MARK';",
    "CREATE TABLE evil (x text); COPY evil FROM '/etc/passwd';",
    "CREATE TABLE evil (x text); COPY BINARY evil FROM '/etc/passwd';",
    "COPY (SELECT 1) TO 'MARK';",
    "DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch MARK'''; END $$;",
    "SELECT pg_read_file('/etc/passwd');",
    "SELECT pg_read_binary_file('postgresql.conf');",
    "SELECT pg_ls_dir('.');",
    "SELECT pg_stat_file('/etc/passwd');",
    "SELECT lo_import('/etc/passwd');",
    "SELECT lo_export(lo_from_bytea(0, 'x'), 'MARK');",
    "CREATE FUNCTION evil(cstring) RETURNS int LANGUAGE c AS 'libc', 'system';",
    "CREATE FUNCTION evil() RETURNS int LANGUAGE internal AS 'pg_read_file';",
    "CREATE FUNCTION evil() RETURNS int LANGUAGE plperlu AS 'x';",
    "CREATE FUNCTION evil() RETURNS int LANGUAGE plpython3u AS 'x';",
    "CREATE LANGUAGE plpython3u;",
    "CREATE TRUSTED LANGUAGE evil HANDLER plpgsql_call_handler;",
    "LOAD '/tmp/evil.so';",
    "DO LANGUAGE plperlu $$ x $$;",
    // The transaction. What stands before must not stay.
    "CREATE TABLE evil (x int); COMMIT; SELECT 1/0;",
    "CREATE TABLE evil (x int); commit work; SELECT 1/0;",
    "CREATE TABLE evil (x int); COMMIT AND CHAIN; SELECT 1/0;",
    "CREATE TABLE evil (x int); END; SELECT 1/0;",
    "CREATE TABLE evil (x int); end/**/transaction; SELECT 1/0;",
    "BEGIN; CREATE TABLE evil (x int); COMMIT; SELECT 1/0;",
    "START TRANSACTION; CREATE TABLE evil (x int); COMMIT; BEGIN; SELECT 1/0;",
    "CREATE TABLE evil (x int);\u{b}COMMIT; SELECT 1/0;",
    "CREATE TABLE evil (x int); -- x\rCOMMIT; SELECT 1/0;",
    "CREATE TABLE evil (x int); /* /* */ */COMMIT; SELECT 1/0;",
    "CREATE TABLE evil (x int); SELECT E'\\''; COMMIT; SELECT 1/0; --'",
    "CREATE TABLE evil (x int); SELECT U&'\\0041' UESCAPE '!'; COMMIT; SELECT 1/0;",
    "SET standard_conforming_strings = off; CREATE TABLE evil (x int); SELECT '\\'; COMMIT; SELECT 1/0; --';",
    "CREATE TABLE evil (x int); ROLLBACK; CREATE TABLE evil2 (x int);",
    "CREATE TABLE evil (x int); ABORT; CREATE TABLE evil2 (x int);",
    "CREATE TABLE evil (x int); ROLLBACK AND CHAIN; CREATE TABLE evil2 (x int);",
    "CREATE TABLE evil (x int); PREPARE TRANSACTION 'evil';",
    "COMMIT PREPARED 'evil'; SELECT 1/0;",
    "ROLLBACK PREPARED 'evil';",
    "CREATE TABLE evil (x int); DO $$ BEGIN COMMIT; END $$;",
    "CREATE TABLE evil (x int); DO $$ BEGIN ROLLBACK; END $$;",
    "CREATE TABLE evil (x int); CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; CALL p();",
    "CREATE TABLE evil (x int); DO $$ BEGIN EXECUTE 'commit'; END $$;",
    "CREATE TABLE evil (x int); SELECT 1 \\; COMMIT; SELECT 1/0;",
    "CREATE FUNCTION evil() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END; COMMIT; SELECT 1/0;",
    "CREATE TABLE evil (x int); DROP FUNCTION pg_temp.capydb_guard CASCADE; COMMIT; SELECT 1/0;",
    "CREATE TABLE evil (x int); ALTER TABLE pg_temp.capydb_guard DISABLE TRIGGER ALL; COMMIT; SELECT 1/0;",
    "SELECT set_config('capydb.arrived', 'x', false); CREATE TABLE evil (x int); COMMIT; SELECT 1/0;",
    "VACUUM;",
    "CREATE TABLE evil (x int); CREATE INDEX CONCURRENTLY i ON evil (x);",
    // The role.
    "SET ROLE capydb; CREATE TABLE evil (x int); SELECT 1/0;",
    "SELECT set_config('role', 'capydb', false);",
    "SELECT set_config('session_authorization', 'capydb', false);",
    "DO $$ BEGIN EXECUTE 'SET ROLE capydb'; END $$;",
    "DO $$ BEGIN EXECUTE 'SET SESSION AUTHORIZATION capydb'; END $$;",
    "CREATE ROLE evil SUPERUSER;",
    "CREATE USER evil PASSWORD 'x';",
    "DO $$ BEGIN EXECUTE 'CREATE ROLE evil'; END $$;",
    "ALTER ROLE CURRENT_USER SUPERUSER;",
    "ALTER USER capydb PASSWORD 'x';",
    "DO $$ BEGIN EXECUTE 'ALTER ROLE capydb PASSWORD ''x'''; END $$;",
    "DO $$ BEGIN EXECUTE 'GRANT capydb TO CURRENT_USER'; END $$;",
    "DO $$ BEGIN EXECUTE 'GRANT pg_execute_server_program TO CURRENT_USER'; END $$;",
    "SELECT rolpassword FROM pg_authid;",
    "SELECT pg_terminate_backend(pid) / 0 FROM pg_stat_activity;",
    // The server.
    "ALTER SYSTEM SET archive_command = 'touch MARK';",
    "DO $$ BEGIN EXECUTE 'ALTER SYSTEM SET archive_mode = on'; END $$;",
    "SELECT pg_reload_conf();",
    "SELECT pg_switch_wal();",
    "SELECT pg_create_physical_replication_slot('evil');",
    "CREATE DATABASE evil;",
    "DROP DATABASE capydb;",
    "ALTER DATABASE capydb RENAME TO evil;",
    "CREATE TABLESPACE evil LOCATION '/tmp';",
    "SET session_preload_libraries = 'evil';",
    "SET session_replication_role = replica;",
    "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f(); SELECT 1/0;",
    // Other servers.
    "CREATE EXTENSION dblink;",
    "CREATE EXTENSION postgres_fdw;",
    "CREATE EXTENSION file_fdw;",
    "DO $$ BEGIN EXECUTE 'CREATE EXTENSION dblink'; END $$;",
    "CREATE FOREIGN DATA WRAPPER evil;",
    "DO $$ BEGIN EXECUTE 'CREATE SUBSCRIPTION s CONNECTION ''host=127.0.0.1'' PUBLICATION p'; END $$;",
];

fn script(folder: &Path, marker: &Path, text: &str) -> std::path::PathBuf {
    let path = folder.join("hostile.sql");
    let shown = marker.to_str().expect("a path");
    // What begins like SQL is taken for a script at all.
    std::fs::write(&path, format!("SELECT 1;\n{}\n", text.replace("MARK", shown))).expect("written");
    path
}

/// What of the server a script could have changed.
fn server(control_plane: &ControlPlane) -> String {
    control_plane.admin(
        "postgres",
        "select string_agg(rolname || rolsuper || rolcreaterole || rolcreatedb || rolreplication, ',' order by rolname) from pg_roles where rolname !~ '^capy_';
         select string_agg(datname, ',' order by datname) from pg_database where datname !~ '^proj|^capy_';
         select count(*) from pg_prepared_xacts; select count(*) from pg_replication_slots; select count(*) from pg_auth_members",
    )
}

fn none_gets_out(name: &str, scripts: &[&str]) {
    let folder = open_folder();
    let marker = folder.join("was-here");
    let control_plane = ControlPlane::throw_away();
    let project = control_plane.project(name);
    project.sql("create table old as select 7 as x");
    let before = (fingerprint(&project.url), server(&control_plane));
    for (number, text) in scripts.iter().enumerate() {
        let path = script(&folder, &marker, text);
        // In place for all; a staging database is nobody's until the swap, so some will do.
        for recreate in [false, true].into_iter().take(if number % 8 == 0 { 2 } else { 1 }) {
            let job = project.import_unseen(&path, recreate);
            assert_eq!(job["state"], "failed", "{text}: {job}");
            assert!(!marker.exists(), "{text}");
        }
    }
    assert!(fingerprint(&project.url) == before.0, "the target has changed");
    assert!(server(&control_plane) == before.1, "the server has changed: {}", server(&control_plane));
    ran_cases(name, scripts.len());
}

#[test]
fn no_script_reaches_a_command_of_psql() {
    none_gets_out("hostile commands in SQL", &COMMANDS);
}

#[test]
fn no_script_leaves_its_transaction_role_or_database() {
    none_gets_out("hostile SQL", &STATEMENTS);
}

/// Ends of the transaction that psql and the server see, and that are hard to see for others. A
/// staging database is nobody's yet, but a job must not say that all has arrived.
const HIDDEN: [&[u8]; 14] = [
    b"DO $$ BEGIN EXECUTE 'SET standard_conforming'||'_strings = off'; END $$; SELECT '\\''; ROLLBACK; --';",
    b"SET standard_conforming_strings = off/**/; SELECT '\\''; ROLLBACK; --';",
    b"SET standard_conforming_strings = E'off'; SELECT '\\''; ROLLBACK; --';",
    b"SET standard_conforming_strings = off; RESET standard_conforming_strings; SELECT '\\'; ROLLBACK; --';",
    b"SET LOCAL standard_conforming_strings = off; SELECT '\\''; ROLLBACK; --';",
    b"SET client_encoding='SJIS'; SELECT E'\x8f\\'; ROLLBACK; --';",
    b"SET client_encoding TO GBK; SELECT E'\x81\\'; ROLLBACK; --';",
    b"SET NAMES 'BIG5'; SELECT E'\xa4\\'; ROLLBACK; --';",
    b"DO $$ BEGIN EXECUTE 'SET client_enc'||'oding = SJIS'; END $$; SELECT E'\x8f\\'; ROLLBACK; --';",
    b"CREATE FUNCTION f(arr int[], begin int) RETURNS int[] LANGUAGE sql RETURN arr[1:begin]; ROLLBACK; SELECT 1 AS end;",
    b"CREATE FUNCTION f(begin int) RETURNS int LANGUAGE sql RETURN begin; ROLLBACK; SELECT 1 AS end;",
    b"COMMIT PREPARED 'x';",
    b"ALTER TABLE gone ADD COLUMN y int, OWNER TO nobody_here; ROLLBACK;",
    b"CREATE SCHEMA public CREATE TABLE public.unseen (x int);",
];

#[test]
fn no_script_says_it_arrived_when_it_was_rolled_back() {
    let control_plane = ControlPlane::throw_away();
    let project = control_plane.project("hidden ends");
    let path = open_folder().join("hidden.sql");
    for hidden in HIDDEN {
        let script = [
            b"CREATE TABLE gone (x int);\nINSERT INTO gone VALUES (1);\n".as_slice(),
            hidden,
            b"\nCREATE TABLE stays (x int);\n",
        ]
        .concat();
        for head in ["", "--\n-- PostgreSQL database dump\n--\n\n"] {
            for recreate in [true, false] {
                std::fs::write(&path, [head.as_bytes(), &script].concat()).expect("written");
                let job = project.import_unseen(&path, recreate);
                let shown = String::from_utf8_lossy(hidden);
                assert_eq!(job["state"], "failed", "{shown}, recreate {recreate}: {job}");
                assert_eq!(
                    project.sql("select to_regclass('gone') is null and to_regclass('stays') is null"),
                    "t",
                    "{shown}"
                );
            }
        }
    }
    ran_cases("hidden ends of a transaction", HIDDEN.len() * 4);
}

#[test]
fn the_owner_of_a_database_cannot_hold_up_the_others() {
    let control_plane = ControlPlane::throw_away();
    let (hostile, other) = (control_plane.project("holds up"), control_plane.project("held up"));
    let path = open_folder().join("template.sql");
    let head = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE a (x int);\n";
    let template = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I IS_TEMPLATE true', current_database()); END $$;\n";
    let mut finished = String::new();
    for end in ["SELECT 1/0;\n", ""] {
        let script =
            format!("{head}{template}{}{end}-- PostgreSQL database dump complete\n", "SELECT 1;\n".repeat(1100));
        std::fs::write(&path, script).expect("written");
        finished = hostile.import_unseen(&path, true)["id"].as_str().expect("an id").replace('-', "");
    }
    // As a full disk leaves one that was being dropped.
    let half = format!("capydb_new_{finished}_1");
    control_plane.admin("postgres", &format!("create database {half}"));
    control_plane.admin("postgres", &format!("update pg_database set datconnlimit = -2 where datname = '{half}'"));
    let database = hostile.sql("select current_database()");
    for setting in
        ["local_preload_libraries = nosuch", "transaction_timeout = 1", "role = nobody_here", "search_path = evil"]
    {
        control_plane.admin("postgres", &format!("alter database {database} set {setting}"));
    }
    std::fs::write(&path, "SELECT 1;\nCREATE TABLE b (x int);\n").expect("written");
    for project in [&other, &hostile] {
        for recreate in [true, false] {
            let job = project.import_unseen(&path, recreate);
            assert!(job["state"] == "completed" || !recreate, "{job}");
        }
    }
    control_plane.has_no_leftovers();
}

#[test]
fn what_pg_dump_writes_passes() {
    let folder = open_folder();
    let project = control_plane().project("honest");
    let honest = [
        "\\restrict abc\nSET statement_timeout = 0;\nCREATE TABLE a (x text);\nCOPY a (x) FROM stdin;\n\\\\! not a command\n\\.\n\\unrestrict abc\n",
        "BEGIN;\nCREATE TABLE b (x int);\nCOMMIT;\n",
        "SET SESSION AUTHORIZATION 'somebody';\nCREATE TABLE c (x int);\nALTER TABLE c OWNER TO somebody;\nRESET SESSION AUTHORIZATION;\n",
        "CREATE TABLE d (x int UNIQUE DEFERRABLE INITIALLY DEFERRED);\nSET CONSTRAINTS ALL IMMEDIATE;\nINSERT INTO d VALUES (1);\n",
        "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN '\\! x; COMMIT;'; END $$;\n",
        "CREATE TABLE public.rename (x int);\nALTER TABLE public.rename OWNER TO nobody_here;\n",
        "CREATE FUNCTION public.slice(arr int[], begin int) RETURNS int[]\n    LANGUAGE sql\n    RETURN arr[1:begin];\nCREATE TABLE e (x int);\n",
        "CREATE TABLE h (x int);\nSAVEPOINT a;\nINSERT INTO h VALUES (1);\nROLLBACK WORK TO a;\n",
    ];
    for text in honest {
        let path = folder.join("honest.sql");
        std::fs::write(&path, text).expect("written");
        let job = project.import_unseen(&path, false);
        assert_eq!(job["state"], "completed", "{text}: {job}");
    }
    assert_eq!(project.sql("select x from a"), "\\! not a command");
    ran_cases("honest scripts", honest.len());
}
