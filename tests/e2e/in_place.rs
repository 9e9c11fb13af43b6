//! Tests of imports without `--recreate`: the data is added to the target, or the target is unchanged.

use crate::support::fixtures::{control_plane, fingerprint, source, test_dir};
use std::fs;

#[test]
fn imported_data_joins_existing_data() {
    let dir = test_dir();
    let url = source().create(
        "joins",
        "create extension hstore; create table arrives (h hstore); insert into arrives values ('a=>1')",
    );
    for format in ["custom", "plain", "url"] {
        let project = control_plane().project(&format!("joins {format}"));
        project.sql("create table stays (x int); insert into stays values (7)");
        let path = dir.join(format);
        if format == "url" {
            project.import(&["--source-url", &url, "--wait"]).succeeds();
        } else {
            source().dump("joins", format, &path);
            let output =
                project.import(&["--file", path.to_str().expect("UTF-8 path"), "--wait", "-o", "json"]).succeeds();
            assert_eq!(output.json()["job"]["result"]["rows"], 1, "{format}");
        }
        assert_eq!(project.sql("select h -> 'a', x from arrives, stays"), "1|7", "{format}");
    }
}

#[test]
fn a_name_conflict_leaves_the_target_unchanged() {
    let dir = test_dir();
    let url = source().create(
        "clash",
        "create extension citext; create role clash_role; create table aaa (x citext);
         alter table aaa enable row level security; create policy p on aaa to clash_role using (true);
         create table taken (x int)",
    );
    for format in ["custom", "plain", "url"] {
        let project = control_plane().project(&format!("clash {format}"));
        project.sql("create table taken (mine int)");
        let before = fingerprint(&project.url);
        let path = dir.join(format);
        let output = if format == "url" {
            project.import(&["--source-url", &url, "--wait"])
        } else {
            source().dump("clash", format, &path);
            project.import(&["--file", path.to_str().expect("UTF-8 path"), "--wait"])
        };
        if format == "url" {
            output.fails(5, "names_free_on_target").fails(5, "relation public.taken");
        } else {
            let output = output.fails(5, "names_free_on_target").fails(5, "public.taken");
            assert!(!output.stderr.contains("Uploading"), "{output:#?}");
            // The worker does not rely on the checks of the command line.
            let job = project.upload_and_import(&path, false);
            assert!(job.to_string().contains("relation \\\"taken\\\" already exists"), "{job}");
        }
        assert_eq!(fingerprint(&project.url), before, "{format}");
        assert_eq!(project.sql("select count(*) from pg_roles where rolname = 'clash_role'"), "0", "{format}");
    }
}

#[test]
fn a_script_that_fails_on_its_last_line_leaves_the_target_unchanged() {
    let dir = test_dir();
    let path = dir.join("late.sql");
    let rows: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let rows = rows.join("\n");
    fs::write(
        &path,
        format!("CREATE TABLE late (x int);\nCOPY late FROM stdin;\n{rows}\n\\.\nSELECT * FROM nowhere;\n"),
    )
    .expect("write file");
    for arguments in [&["--recreate"][..], &[]] {
        let project = control_plane().project(&format!("late {}", arguments.len()));
        project.sql("create table old (x int)");
        let before = fingerprint(&project.url);
        let output = project.import(&[&["--file", path.to_str().expect("UTF-8 path"), "--wait"], arguments].concat());
        output.fails(1, "relation \"nowhere\" does not exist (line 20004 of the dump)");
        assert_eq!(fingerprint(&project.url), before);
        control_plane().call("DELETE", "/nothing", None); // the control plane still responds
        crate::support::until("the new database is removed", || {
            control_plane().admin("postgres", "select count(*) from pg_database where datname like 'capydb\\_new%'")
                == "0"
        });
    }
}

#[test]
fn a_script_cannot_escape_its_import() {
    let dir = test_dir();
    let project = control_plane().project("hostile");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let marker = dir.join("was-here");
    let marker_path = marker.to_str().expect("UTF-8 path");
    let hostile_scripts = [
        (format!("SELECT 1;\n\\! touch {marker_path}\n"), "the psql command \\\\!"),
        (format!("SELECT 'touch {marker_path}' \\gexec\n"), "in the middle of a statement"),
        (format!("SELECT 1 \\g |touch {marker_path}\n"), "in the middle of a statement"),
        ("\\connect postgres\nSELECT 1;\n".into(), "the psql command \\\\connect"),
        (format!("CREATE TABLE a (x text);\nCOPY a FROM PROGRAM 'touch {marker_path}';\n"), "COPY … PROGRAM"),
        ("CREATE TABLE a (x text);\nCOPY a FROM '/etc/passwd';\n".into(), "with a file name"),
        ("CREATE ROLE evil SUPERUSER;\n".into(), "only roles"),
        ("CREATE TABLE a (x int);\nROLLBACK;\nCREATE TABLE b (x int);\n".into(), "roll back the import"),
        ("SELECT 1;\nCREATE TABLE a (x int); COPY a FROM stdin;\n1\n".into(), "the dump is truncated"),
        ("SELECT 1;\nCREATE TABLE a (x int); INSERT INTO a VALUES ('1'".into(), "the dump is truncated"),
        ("CREATE TABLE a (x int);\nDO $$ BEGIN EXECUTE 'COMMIT'; END $$;\n".into(), "EXECUTE of transaction commands"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'getpid';\n".into(), "untrusted language"),
    ];
    for (script, expected) in hostile_scripts {
        let path = dir.join("hostile.sql");
        fs::write(&path, &script).expect("write file");
        // The worker does not rely on the checks of the command line.
        let job = project.upload_and_import(&path, false);
        assert_eq!(job["state"], "failed", "{script}: {job}");
        assert!(job.to_string().contains(expected), "{script}: {job}");
        let output = project.import(&["--file", path.to_str().expect("UTF-8 path"), "--wait"]);
        assert!(output.code == 5 || output.code == 1, "{script}: {output:#?}");
        assert_eq!(fingerprint(&project.url), before, "{script}");
    }
    assert!(!marker.exists());
}

#[test]
fn large_objects_are_restored_in_the_import_transaction() {
    let sql = "select lo_from_bytea(0, 'large') from generate_series(1, 1200); create table taken (x int); create index i on taken (x)";
    let url = source().create("large_objects", sql);
    let dir = test_dir();
    for format in ["custom", "plain", "url"] {
        let project = control_plane().project(&format!("large objects {format}"));
        project.sql("create table i (mine int)"); // conflicts with the name of the index, after the data
        let before = fingerprint(&project.url);
        let path = dir.join(format);
        let arguments = if format == "url" {
            vec!["--source-url", &url, "--wait"]
        } else {
            source().dump("large_objects", format, &path);
            vec!["--file", path.to_str().expect("UTF-8 path"), "--wait"]
        };
        let failed = project.import(&arguments);
        match format {
            "url" => failed.fails(5, "names_free_on_target").fails(5, "relation public.i"),
            _ => failed.fails(1, "relation \"i\" already exists"),
        };
        assert_eq!(fingerprint(&project.url), before, "{format}");
        project.import(&[&arguments[..], &["--recreate"]].concat()).succeeds();
        let count = "select count(*), min(convert_from(lo_get(oid), 'UTF8')) from pg_largeobject_metadata";
        assert_eq!(project.sql(count), "1200|large", "{format}");
    }
}

#[test]
fn a_dump_cannot_run_code_as_the_administrator() {
    let dir = test_dir();
    let project = control_plane().project("administrator code");
    let script = "CREATE TABLE public.stolen (who text, super text);
        CREATE FUNCTION public.steal(name, text) RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO public.stolen VALUES (current_user, current_setting('is_superuser')); RETURN true; END $$;
        CREATE OPERATOR public.!~ (LEFTARG = name, RIGHTARG = text, FUNCTION = public.steal);
        CREATE FUNCTION public.steal2(name, name) RETURNS boolean LANGUAGE sql AS $$ select public.steal($1, $2::text) $$;
        CREATE OPERATOR public.!~ (LEFTARG = name, RIGHTARG = name, FUNCTION = public.steal2);\n";
    let path = dir.join("steal.sql");
    fs::write(&path, script).expect("write file");
    let file = path.to_str().expect("UTF-8 path");
    project.import(&["--file", file, "--recreate", "--wait"]).succeeds();
    project.sql(&format!(
        "alter database {} set search_path = public, pg_catalog",
        project.sql("select current_database()")
    ));
    fs::write(&path, "CREATE TABLE more (x int);\n").expect("write file");
    project.import(&["--file", file, "--wait"]).succeeds();
    assert_eq!(project.sql("select count(*) from public.stolen"), "0");
}

#[test]
fn a_stored_setting_cannot_run_code_as_the_administrator() {
    let dir = test_dir();
    let project = control_plane().project("stored setting");
    let role = project.sql("select current_user");
    project.sql(&format!(
        "select set_config('search_path', 'public;alter/**/role/**/{role}/**/superuser', false);
         alter database {role} set search_path from current"
    ));
    let path = dir.join("any.sql");
    fs::write(&path, "CREATE TABLE public.more (x int);\n").expect("write file");
    project.import(&["--file", path.to_str().expect("UTF-8 path"), "--recreate", "--wait"]).succeeds();
    assert_eq!(project.sql("select rolsuper from pg_catalog.pg_roles where rolname = current_user"), "f");
    assert_eq!(project.sql("select count(*) from public.more"), "0");
}
