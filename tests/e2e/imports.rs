//! Tests of complete imports: the target is compared with its source object by object.

use crate::support::fixtures::{Project, control_plane, fingerprint, psql, source, test_dir};
use serde_json::json;

#[track_caller]
fn assert_same_as_source(project: &Project<'_>, database: &str) {
    let (source_objects, target_objects) = (fingerprint(&source().url(database)), fingerprint(&project.url));
    let only_in = |left: &str, right: &str| -> Vec<String> {
        // A project has extensions of its own, and an import keeps them.
        let own = ["extension vector", "extension pgcrypto", "extension uuid-ossp", "extension pg_trgm"];
        let missing = left.lines().filter(|line| !own.contains(line) && !right.lines().any(|other| other == *line));
        missing.map(str::to_owned).collect()
    };
    assert_eq!(only_in(&source_objects, &target_objects), Vec::<String>::new(), "missing from the target");
    assert_eq!(only_in(&target_objects, &source_objects), Vec::<String>::new(), "missing from the source");
    assert!(source_objects.lines().count() > 150, "the sample has many objects");
}

#[test]
fn a_live_source_is_imported_completely() {
    let project = control_plane().project("by url");
    let mut command =
        control_plane().capydb(&["import", "--project", &project.slug, "--recreate", "--wait", "-o", "json"]);
    command.env("CAPYDB_SOURCE_URL", source().url("sample")); // no sslmode: TLS is added
    let output = crate::support::run(command).succeeds();
    assert!(output.stderr.contains("sslmode=prefer"), "a server of this machine may be without TLS: {output:#?}");
    assert!(!output.stderr.contains("source-secret"), "{output:#?}");
    let result = &output.json()["job"]["result"];
    assert!(result["rows"].as_u64() > Some(8000) && result["tables"].as_u64() > Some(12), "{result}");
    assert_same_as_source(&project, "sample");
    assert_eq!(project.sql("select email from shop.customer where id = 500"), "customer500@example.com");
}

#[test]
fn a_replaced_database_keeps_the_projects_extensions() {
    let project = control_plane().project("kept extensions");
    let extensions = || project.sql("select string_agg(extname, ' ' order by extname) from pg_extension");
    let before = extensions();
    assert!(before.contains("pg_trgm") && before.contains("vector"), "{before}");
    let path = test_dir().join("small.sql");
    let import = |text: &str| {
        std::fs::write(&path, text).expect("write the dump");
        let file = path.to_str().expect("UTF-8 path");
        project.import(&["--file", file, "--recreate", "--wait", "-o", "json"]).succeeds().json()
    };
    import("CREATE TABLE t (x int);\nINSERT INTO t VALUES (1);\n");
    assert_eq!(extensions(), before);
    // The dump's own objects take precedence over those of an extension.
    let function = "CREATE FUNCTION public.show_trgm(text) RETURNS text[] LANGUAGE sql AS 'select null::text[]';";
    let document = import(&format!("CREATE TABLE t (x int);\nINSERT INTO t VALUES (1);\n{function}\n"));
    assert_eq!(extensions(), before.replace("pg_trgm ", ""));
    assert_eq!(document["job"]["result"]["left_out"][0]["kind"], "EXTENSION pg_trgm", "{document:#}");
}

#[test]
fn dumps_are_imported_completely() {
    let dir = test_dir();
    for format in ["custom", "plain"] {
        let project = control_plane().project(&format!("by {format} dump"));
        let path = dir.join(format);
        source().dump("sample", format, &path);
        let output = project.import(&["--file", path.to_str().expect("UTF-8 path"), "--recreate", "--wait"]).succeeds();
        assert!(output.stderr.contains(&format!("{format} format")), "{output:#?}");
        assert!(output.stdout.contains("tables") && output.stdout.contains("capydb projects url"), "{output:#?}");
        assert_same_as_source(&project, "sample");
        let size = std::fs::metadata(&path).expect("file metadata").len();
        crate::support::until("the uploaded dump is deleted", || {
            let objects =
                std::fs::read_dir(control_plane().data_dir.join("objects")).expect("list directory").flatten();
            !objects.filter_map(|object| object.metadata().ok()).any(|metadata| metadata.len() == size)
        });
    }
}

#[test]
fn a_second_recreate_replaces_the_first() {
    let project = control_plane().project("twice");
    let first = source().create("first", "create table a (x int); insert into a values (1)");
    let second = source().create("second", "create table b (x int); insert into b values (2)");
    control_plane().admin(
        "postgres",
        &format!(
            "alter database {db} set work_mem = '7MB'; alter database {db} set search_path = public, \"$user\";
         alter role {db} in database {db} set lock_timeout = '3s'; grant connect on database {db} to pg_monitor;
         comment on database {db} is 'it''s mine'; alter database {db} connection limit 33",
            db = database_of(&project)
        ),
    );
    project.import(&["--source-url", &first, "--recreate", "--wait"]).succeeds();
    // An open session does not block the import.
    let mut open_session = std::process::Command::new(crate::support::fixtures::postgres(17).join("psql"))
        .args([&project.url, "-c", "select pg_sleep(600)"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("spawn psql");
    crate::support::until("the session is sleeping", || {
        project
            .sql("select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()")
            == "1"
    });
    project.import(&["--source-url", &second, "--recreate", "--wait"]).succeeds();
    open_session.wait().expect("wait for psql");
    assert_eq!(project.sql("select x from b"), "2");
    assert_eq!(project.sql("select to_regclass('a') is null"), "t");
    assert_eq!(project.sql("show work_mem; show search_path; show lock_timeout"), "7MB\npublic, \"$user\"\n3s");
    let settings = project.sql(
        "select datconnlimit, shobj_description(oid, 'pg_database'), datdba::regrole = current_user::regrole,
                has_database_privilege('pg_monitor', oid, 'connect'), has_database_privilege('public', oid, 'connect')
         from pg_database where datname = current_database()",
    );
    assert_eq!(settings, "33|it's mine|t|t|f");
}

fn database_of(project: &Project<'_>) -> String {
    psql(&project.url, "select current_database()")
}

#[test]
fn objects_of_the_old_server_are_skipped_and_reported() {
    let url = source().create(
        "platform",
        "create role boss; create role web_anon; create schema extensions;
         create extension pgcrypto schema extensions; comment on extension pgcrypto is 'x';
         create table t (id int primary key); alter table t owner to boss; grant select on t to web_anon;
         alter default privileges for role boss grant select on tables to web_anon;
         alter table t enable row level security; create policy p on t to web_anon using (true);
         create function f() returns event_trigger language plpgsql as 'begin end';
         create event trigger e on ddl_command_end execute function f();
         create publication everything for all tables; create publication one for table t;",
    );
    let dir = test_dir();
    for format in ["custom", "plain", "url"] {
        let project = control_plane().project(&format!("platform {format}"));
        let path = dir.join(format);
        let mut arguments = vec!["--recreate", "--wait", "-o", "json"];
        if format == "url" {
            arguments.extend(["--source-url", &url]);
        } else {
            source().dump("platform", format, &path);
            arguments.extend(["--file", path.to_str().expect("UTF-8 path")]);
        }
        let output = project.import(&arguments).succeeds();
        let result = &output.json()["job"]["result"];
        let skipped: Vec<_> =
            result["left_out"].as_array().expect("a list").iter().map(|item| (&item["kind"], &item["count"])).collect();
        assert_eq!(skipped, [(&json!("EVENT TRIGGER"), &json!(1)), (&json!("PUBLICATION"), &json!(1))], "{format}");
        assert_eq!(project.sql("select polroles::regrole[]::text from pg_policy"), "{web_anon}");
        assert_eq!(
            project.sql("select relowner::regrole = current_user::regrole from pg_class where relname = 't'"),
            "t"
        );
        assert_eq!(
            project.sql("select extnamespace::regnamespace from pg_extension where extname = 'pgcrypto'"),
            "extensions"
        );
        assert_eq!(project.sql("select string_agg(pubname, ',') from pg_publication"), "one");
    }
}

#[test]
fn many_tables_do_not_exceed_the_lock_limit() {
    let sql = "select format('create table t%s (id int primary key, x text); insert into t%s values (1)', n, n) from generate_series(1, 1500) n \\gexec\n";
    let url = source().create("many", sql);
    let project = control_plane().project("many");
    for arguments in [&["--recreate"][..], &[]] {
        if arguments.is_empty() {
            project.sql("drop schema public cascade; create schema public");
        }
        project.import(&[&["--source-url", &url, "--wait"], arguments].concat()).succeeds();
        assert_eq!(project.sql("select count(*) from pg_tables where schemaname = 'public'"), "1500");
    }
}

#[test]
fn a_larger_database_is_imported_over_several_connections() {
    let url = source().create(
        "larger",
        "create table a as select n, md5(n::text) || repeat('x', 300) as t from generate_series(1, 150000) n;
         create table b as select * from a; create index on a (t); alter table b add primary key (n);",
    );
    let project = control_plane().project("larger");
    project.import(&["--source-url", &url, "--recreate", "--wait"]).succeeds();
    assert_eq!(project.sql("select (select count(*) from a), (select sum(n) from b)"), "150000|11250075000");
}

/// Numbers are no names, column lists no owners, and statements keep their order.
#[test]
fn odd_definitions_keep_their_meaning() {
    let dir = test_dir();
    let url = source().create(
        "odd_definitions",
        "create table t (a int, n numeric(4, 2) default 0.50, check (n > 0.1)); insert into t (a) values (1);
         create index on t ((n * 1.5)); create view v as select x.a from t x join t y using (a) where x.n is distinct from y.n",
    );
    assert!(!url.is_empty());
    for format in ["custom", "plain"] {
        let path = dir.join(format!("odd.{format}"));
        source().dump("odd_definitions", format, &path);
        let project = control_plane().project(&format!("odd {format}"));
        project.import(&[path.to_str().expect("UTF-8 path"), "--recreate", "--wait"]).succeeds();
        assert_eq!(project.sql("insert into t (a) values (2) returning n"), "0.50", "{format}");
    }
    let path = dir.join("odd.sql");
    let script = "create table domain (id int, owner text); alter table domain rename owner to boss;
                  alter table domain enable row level security; alter table domain force row level security;
                  alter table domain no force row level security;";
    std::fs::write(&path, script).expect("write the script");
    let project = control_plane().project("odd script");
    project.import(&[path.to_str().expect("UTF-8 path"), "--recreate", "--wait"]).succeeds();
    let state = "select relforcerowsecurity, (select string_agg(attname, ',' order by attnum) from pg_attribute
                 where attrelid = c.oid and attnum > 0) from pg_class c where relname = 'domain'";
    assert_eq!(project.sql(state), "f|id,boss");
}

/// A function that finds its table by the search path must not find another one.
#[test]
fn a_name_of_several_schemas_is_not_guessed() {
    let url = source().create(
        "ambiguous",
        "create schema t1; create schema t2; create table t1.look (id int, k int); create table t2.look (id int, k int);
         insert into t1.look values (1, 100); insert into t2.look values (1, 200); set search_path = t2;
         create function public.f(x int) returns int language sql immutable as 'select k from look where id = x';
         create table t2.t (x int, g int generated always as (public.f(x)) stored); insert into t2.t values (1)",
    );
    let project = control_plane().project("ambiguous");
    project.sql("create table mine (id int)");
    let before = fingerprint(&project.url);
    let refused = project.import(&["--source-url", &url, "--recreate", "--wait"]);
    assert_eq!(refused.code, 1, "{refused:#?}");
    assert!(refused.stderr.contains("several schemas have that name"), "{refused:#?}");
    assert_eq!(fingerprint(&project.url), before);
}
