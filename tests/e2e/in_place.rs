//! Without `--recreate` the data joins what is there, or nothing happens.

use crate::support::world::{fingerprint, open_folder, plane, source};
use std::fs;

#[test]
fn the_data_joins_what_is_there() {
    let folder = open_folder();
    let url = source().create(
        "joins",
        "create extension hstore; create table arrives (h hstore); insert into arrives values ('a=>1')",
    );
    for format in ["custom", "plain", "url"] {
        let project = plane().project(&format!("joins {format}"));
        project.sql("create table stays (x int); insert into stays values (7)");
        let path = folder.join(format);
        if format == "url" {
            project.import(&["--source-url", &url, "--wait"]).succeeds();
        } else {
            source().dump("joins", format, &path);
            let ran = project.import(&["--file", path.to_str().expect("a path"), "--wait", "-o", "json"]).succeeds();
            assert_eq!(ran.json()["job"]["result"]["rows"], 1, "{format}");
        }
        assert_eq!(project.sql("select h -> 'a', x from arrives, stays"), "1|7", "{format}");
    }
}

#[test]
fn a_clash_leaves_everything_as_it_was() {
    let folder = open_folder();
    let url = source().create(
        "clash",
        "create extension citext; create role clash_role; create table aaa (x citext);
         alter table aaa enable row level security; create policy p on aaa to clash_role using (true);
         create table taken (x int)",
    );
    for format in ["custom", "plain", "url"] {
        let project = plane().project(&format!("clash {format}"));
        project.sql("create table taken (mine int)");
        let before = fingerprint(&project.url);
        let path = folder.join(format);
        let ran = if format == "url" {
            project.import(&["--source-url", &url, "--wait"])
        } else {
            source().dump("clash", format, &path);
            project.import(&["--file", path.to_str().expect("a path"), "--wait"])
        };
        let ran = ran.fails(1, "relation \"taken\" already exists");
        assert!(ran.stderr.contains("the target is as it was before"), "{ran:#?}");
        assert_eq!(fingerprint(&project.url), before, "{format}");
        assert_eq!(project.sql("select count(*) from pg_roles where rolname = 'clash_role'"), "0", "{format}");
    }
}

#[test]
fn a_script_that_fails_on_its_last_line_leaves_nothing() {
    let folder = open_folder();
    let path = folder.join("late.sql");
    let rows: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    fs::write(&path, format!("CREATE TABLE late (x int);\nCOPY late FROM stdin;\n{rows}\\.\nSELECT * FROM nowhere;\n"))
        .expect("written");
    for arguments in [&["--recreate"][..], &[]] {
        let project = plane().project(&format!("late {}", arguments.len()));
        project.sql("create table old (x int)");
        let before = fingerprint(&project.url);
        let ran = project.import(&[&["--file", path.to_str().expect("a path"), "--wait"], arguments].concat());
        ran.fails(1, "relation \"nowhere\" does not exist (line 20004 of the dump)");
        assert_eq!(fingerprint(&project.url), before);
        plane().call("DELETE", "/nothing", None); // the control plane still answers
        crate::support::until("nothing is left", || {
            plane().admin("postgres", "select count(*) from pg_database where datname like 'capydb\\_new%'") == "0"
        });
    }
}

#[test]
fn a_script_cannot_reach_beyond_its_import() {
    let folder = open_folder();
    let project = plane().project("hostile");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let marker = folder.join("was-here");
    let shown = marker.to_str().expect("a path");
    let hostile = [
        (format!("SELECT 1;\n\\! touch {shown}\n"), "the psql command \\!"),
        (format!("SELECT 'touch {shown}' \\gexec\n"), "the psql command \\gexec"),
        (format!("SELECT 1 \\g |touch {shown}\n"), "the psql command \\g"),
        ("\\connect postgres\nSELECT 1;\n".into(), "the psql command \\connect"),
        (format!("CREATE TABLE a (x text);\nCOPY a FROM PROGRAM 'touch {shown}';\n"), "COPY … PROGRAM"),
        ("CREATE TABLE a (x text);\nCOPY a FROM '/etc/passwd';\n".into(), "with a file name"),
        ("CREATE ROLE evil SUPERUSER;\n".into(), "manages roles"),
        ("CREATE TABLE a (x int);\nROLLBACK;\nCREATE TABLE b (x int);\n".into(), "roll the import back"),
        ("SELECT 1;\nCREATE TABLE a (x int); COPY a FROM stdin;\n1\n".into(), "cut off"),
        ("SELECT 1;\nCREATE TABLE a (x int); INSERT INTO a VALUES ('1'".into(), "cut off"),
        ("CREATE TABLE a (x int);\nDO $$ BEGIN EXECUTE 'COMMIT'; END $$;\n".into(), "EXECUTE of transaction commands"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'getpid';\n".into(),
            "permission denied for language c",
        ),
    ];
    for (script, words) in hostile {
        let path = folder.join("hostile.sql");
        fs::write(&path, &script).expect("written");
        let ran = project.import(&["--file", path.to_str().expect("a path"), "--wait"]);
        assert_eq!(ran.code, 1, "{script}: {ran:#?}");
        assert!(ran.stderr.contains(words), "{script}: {ran:#?}");
        assert_eq!(fingerprint(&project.url), before, "{script}");
    }
    assert!(!marker.exists());
}
