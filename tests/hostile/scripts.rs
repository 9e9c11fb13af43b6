//! Plain SQL that tries to escape from psql, its transaction, its role or its database.

use crate::report_cases;
use crate::support::fixtures::{ControlPlane, control_plane, fingerprint, test_dir};
use std::path::Path;

/// psql commands as complete scripts. `MARK` is a file that must not be created.
const COMMANDS: [&str; 45] = [
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

/// SQL that must not take effect: the import fails, and the target is unchanged.
const STATEMENTS: [&str; 81] = [
    // Server files and programs.
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
    // The transaction: earlier statements must be rolled back.
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
    // Roles and privileges.
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
    // Server settings and databases.
    "ALTER SYSTEM SET archive_command = 'touch MARK';",
    "DO $$ BEGIN EXECUTE 'ALTER SYSTEM SET archive_mode = on'; END $$;",
    "SELECT pg_reload_conf();",
    "SELECT pg_switch_wal();",
    "SELECT pg_create_physical_replication_slot('evil');",
    "DROP DATABASE capydb;",
    "ALTER DATABASE capydb RENAME TO evil;",
    "CREATE TABLESPACE evil LOCATION '/tmp';",
    "SET session_preload_libraries = 'evil';",
    "SET LOCAL session_replication_role = replica;",
    "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f(); SELECT 1/0;",
    // Other servers.
    "CREATE EXTENSION dblink;",
    "CREATE EXTENSION postgres_fdw;",
    "CREATE EXTENSION file_fdw;",
    "DO $$ BEGIN EXECUTE 'CREATE EXTENSION dblink'; END $$;",
    "CREATE FOREIGN DATA WRAPPER evil;",
    "DO $$ BEGIN EXECUTE 'CREATE SUBSCRIPTION s CONNECTION ''host=127.0.0.1'' PUBLICATION p'; END $$;",
];

fn write_script(dir: &Path, marker: &Path, text: &str) -> std::path::PathBuf {
    let path = dir.join("hostile.sql");
    let marker_path = marker.to_str().expect("UTF-8 path");
    // A file is detected as a script only if it starts like SQL.
    std::fs::write(&path, format!("SELECT 1;\n{}\n", text.replace("MARK", marker_path))).expect("write the script");
    path
}

/// The server-wide objects that a script could change.
fn server_state(control_plane: &ControlPlane) -> String {
    control_plane.admin(
        "postgres",
        "select string_agg(rolname || rolsuper || rolcreaterole || rolcreatedb || rolreplication, ',' order by rolname) from pg_roles where rolname !~ '^capy_';
         select string_agg(datname, ',' order by datname) from pg_database where datname !~ '^proj|^capy_';
         select count(*) from pg_prepared_xacts; select count(*) from pg_replication_slots; select count(*) from pg_auth_members",
    )
}

fn assert_no_script_escapes(name: &str, scripts: &[&str]) {
    let dir = test_dir();
    let marker = dir.join("was-here");
    let control_plane = ControlPlane::ephemeral();
    let project = control_plane.project(name);
    project.sql("create table old as select 7 as x");
    let before = (fingerprint(&project.url), server_state(&control_plane));
    for (number, text) in scripts.iter().enumerate() {
        let path = write_script(&dir, &marker, text);
        // Every script runs in place, a sample also in a staging database (unused until the swap).
        for recreate in [false, true].into_iter().take(if number % 8 == 0 { 2 } else { 1 }) {
            let job = project.upload_and_import(&path, recreate);
            assert_eq!(job["state"], "failed", "{text}: {job}");
            assert!(!marker.exists(), "{text}");
        }
    }
    assert!(fingerprint(&project.url) == before.0, "the target has changed");
    assert!(server_state(&control_plane) == before.1, "the server has changed: {}", server_state(&control_plane));
    report_cases(name, scripts.len());
}

#[test]
fn no_script_executes_a_psql_command() {
    assert_no_script_escapes("hostile psql commands", &COMMANDS);
}

#[test]
fn no_script_escapes_its_transaction_role_or_database() {
    assert_no_script_escapes("hostile SQL", &STATEMENTS);
}

/// Transaction ends that psql and the server recognize but other parsers easily miss. The job must not
/// report a complete import, not even into a staging database.
const HIDDEN_ENDS: [&[u8]; 14] = [
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
fn no_rolled_back_script_is_reported_as_complete() {
    let control_plane = ControlPlane::ephemeral();
    let project = control_plane.project("hidden transaction ends");
    let path = test_dir().join("hidden.sql");
    for transaction_end in HIDDEN_ENDS {
        let script = [
            b"CREATE TABLE gone (x int);\nINSERT INTO gone VALUES (1);\n".as_slice(),
            transaction_end,
            b"\nCREATE TABLE stays (x int);\n",
        ]
        .concat();
        for head in ["", "--\n-- PostgreSQL database dump\n--\n\n"] {
            for recreate in [true, false] {
                std::fs::write(&path, [head.as_bytes(), &script].concat()).expect("write the script");
                let job = project.upload_and_import(&path, recreate);
                let shown = String::from_utf8_lossy(transaction_end);
                assert_eq!(job["state"], "failed", "{shown}, recreate {recreate}: {job}");
                assert_eq!(
                    project.sql("select to_regclass('gone') is null and to_regclass('stays') is null"),
                    "t",
                    "{shown}"
                );
            }
        }
    }
    report_cases("hidden transaction ends", HIDDEN_ENDS.len() * 4);
}

#[test]
fn the_owner_of_a_database_cannot_block_other_projects() {
    let control_plane = ControlPlane::ephemeral();
    let (hostile, other) = (control_plane.project("blocking"), control_plane.project("not blocked"));
    let path = test_dir().join("template.sql");
    let head = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE a (x int);\n";
    let template = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I IS_TEMPLATE true', current_database()); END $$;\n";
    let mut job_id = String::new();
    for end in ["SELECT 1/0;\n", ""] {
        let script =
            format!("{head}{template}{}{end}-- PostgreSQL database dump complete\n", "SELECT 1;\n".repeat(1100));
        std::fs::write(&path, script).expect("write the script");
        job_id = hostile.upload_and_import(&path, true)["id"].as_str().expect("job id").replace('-', "");
    }
    // The state after an interrupted DROP DATABASE, for example on a full disk.
    let half_dropped = format!("capydb_new_{job_id}_1");
    control_plane.admin("postgres", &format!("create database {half_dropped}"));
    control_plane
        .admin("postgres", &format!("update pg_database set datconnlimit = -2 where datname = '{half_dropped}'"));
    let database = hostile.sql("select current_database()");
    for setting in
        ["local_preload_libraries = nosuch", "transaction_timeout = 1", "role = nobody_here", "search_path = evil"]
    {
        control_plane.admin("postgres", &format!("alter database {database} set {setting}"));
    }
    std::fs::write(&path, "SELECT 1;\nCREATE TABLE b (x int);\n").expect("write the script");
    for project in [&other, &hostile] {
        let job = project.upload_and_import(&path, true);
        assert_eq!(job["state"], "completed", "{job}");
    }
    std::fs::write(&path, "CREATE TABLE c (x int);\n").expect("write the script");
    let job = other.upload_and_import(&path, false);
    assert_eq!(job["state"], "completed", "{job}");
    control_plane.assert_no_leftovers();
}

#[test]
fn benign_scripts_are_accepted() {
    let dir = test_dir();
    let project = control_plane().project("benign");
    let scripts = [
        "\\restrict abc\nSET statement_timeout = 0;\nCREATE TABLE a (x text);\nCOPY a (x) FROM stdin;\n\\\\! not a command\n\\.\n\\unrestrict abc\n",
        "BEGIN;\nCREATE TABLE b (x int);\nCOMMIT;\n",
        "SET SESSION AUTHORIZATION 'somebody';\nCREATE TABLE c (x int);\nALTER TABLE c OWNER TO somebody;\nRESET SESSION AUTHORIZATION;\n",
        "CREATE TABLE d (x int UNIQUE DEFERRABLE INITIALLY DEFERRED);\nSET CONSTRAINTS ALL IMMEDIATE;\nINSERT INTO d VALUES (1);\n",
        "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN '\\! x; COMMIT;'; END $$;\n",
        "CREATE TABLE public.rename (x int);\nALTER TABLE public.rename OWNER TO nobody_here;\n",
        "CREATE FUNCTION public.slice(arr int[], begin int) RETURNS int[]\n    LANGUAGE sql\n    RETURN arr[1:begin];\nCREATE TABLE e (x int);\n",
        "CREATE TABLE d2 (x int UNIQUE DEFERRABLE);\nSET CONSTRAINTS ALL DEFERRED;\nINSERT INTO d2 VALUES (1), (2);\nUPDATE d2 SET x = x + 1;\n",
        "\\set ON_ERROR_STOP off\n\\unset ON_ERROR_STOP\n\\timing on\nCREATE TABLE s (x int);\nVACUUM;\nCREATE INDEX CONCURRENTLY i ON s (x);\n",
        "CREATE DATABASE app;\n\\connect app\nCREATE TABLE own_database (x int);\n",
        "CREATE TABLE h (x int);\nSAVEPOINT a;\nINSERT INTO h VALUES (1);\nROLLBACK WORK TO a;\n",
    ];
    for text in scripts {
        let path = dir.join("benign.sql");
        std::fs::write(&path, text).expect("write the script");
        let job = project.upload_and_import(&path, false);
        assert_eq!(job["state"], "completed", "{text}: {job}");
    }
    assert_eq!(project.sql("select x from a"), "\\! not a command");
    assert_eq!(control_plane().admin("postgres", "select count(*) from pg_database where datname = 'app'"), "0");
    report_cases("benign scripts", scripts.len());
}
