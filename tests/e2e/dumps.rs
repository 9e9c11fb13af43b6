//! The dump doctor on real archives by the real pg_dump of 15, 17 and 18.

use crate::support::fixtures::{Source, control_plane, open_folder, postgres, source};
use crate::support::{Ran, capydb, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

fn seventeen() -> &'static Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    SOURCE.get_or_init(|| Source::start(17, &[]))
}

/// Dumps with more options than the world's own helper.
fn dump(major: u32, url: &str, into: &Path, options: &[&str]) {
    let mut command = Command::new(postgres(major).join("pg_dump"));
    let output = command.args(options).arg("-f").arg(into).arg(url).output().expect("pg_dump runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Looks at a file without key or network.
fn offline(file: &Path, more: &[&str]) -> Ran {
    let file = file.to_str().expect("a path");
    run(capydb(&[&["import", "preflight", "--file", file, "--plan-limit", "1GB", "-o", "json"], more].concat()))
}

fn report(file: &Path) -> Value {
    let ran = offline(file, &["--target-version", "17"]);
    assert!(ran.code == 0 || ran.code == 5, "{ran:#?}");
    ran.json()["preflight"].clone()
}

/// A check's verdict, detail, evidence and fix in one text.
#[track_caller]
fn check(report: &Value, name: &str) -> String {
    let checks = report["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"));
    format!(
        "{} {} {} {}",
        check["status"].as_str().expect("a status"),
        check["detail"],
        check["evidence"],
        check["fix"]
    )
}

#[track_caller]
fn says(report: &Value, name: &str, words: &[&str]) {
    let said = check(report, name);
    for word in words {
        assert!(said.contains(word), "{name} without «{word}»: {said}");
    }
}

/// Everything that a report may speak of, in one database.
const RISKY_SCHEMA: &str = r"
    create role anna nologin; create role supabase_admin nologin;
    create schema auth; create schema storage; create schema realtime; create schema ext;
    create extension hstore schema ext; create extension isn; create extension postgres_fdw;
    create table auth.users (id int primary key);
    create table profile (id int primary key references auth.users, note text);
    insert into auth.users values (1), (2); insert into profile values (1, 'a'), (2, 'b');
    alter table profile enable row level security;
    create function auth.uid() returns int language sql as 'select 1';
    create policy own on profile to anna using (auth.uid() = id);
    alter table profile owner to anna; grant select on auth.users to anna;
    alter default privileges for role anna grant select on tables to public;
    create function nothing() returns event_trigger language plpgsql as 'begin end';
    create event trigger watch on ddl_command_end execute function nothing();
    create function pid() returns int language c as 'pgcrypto', 'pg_random_uuid';
    create publication everything for all tables;
    create server far foreign data wrapper postgres_fdw options (host 'far.example');
    create user mapping for anna server far options (user 'u', password 'canary-mapping');
    create foreign table far_table (x int) server far;
    select lo_from_bytea(0, 'large');
";

fn troubled() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let sql = RISKY_SCHEMA.replace(
            "create function pid() returns int language c as 'pgcrypto', 'pg_random_uuid';",
            "create function pid() returns int language internal as 'pg_backend_pid';",
        );
        source().create("troubled", &sql)
    })
}

#[test]
fn every_trouble_of_an_archive_is_told_with_entry_and_fix() {
    let path = open_folder().join("troubled.dump");
    dump(15, troubled(), &path, &["-Fc"]);
    let found = report(&path);
    says(&found, "dump_complete", &["pass"]);
    says(&found, "dump_tool_compatible", &["pass", "pg_dump 15", "archive version 1.14"]);
    says(&found, "extensions_available_on_target", &["fail", "isn", "postgres_fdw", "entry "]);
    says(&found, "no_role_dependencies", &["pass", "skipped", "anna", "owner"]);
    says(&found, "policy_roles_present", &["warn", "anna"]);
    says(&found, "settings_known_to_target", &["pass"]);
    says(
        &found,
        "no_superuser_objects",
        &["fail", "1 event trigger", "1 publication of all tables or a schema", "untrusted language"],
    );
    says(&found, "no_foreign_servers", &["warn", "entry "]);
    says(&found, "large_objects", &["warn", "entry "]);
    says(&found, "no_platform_schemas", &["warn", "Supabase", "auth, ", "storage", "-N auth"]);
    says(&found, "no_platform_references", &["warn", "1 foreign key and 1 policy", "auth.users"]);
    says(&found, "foreign_keys_self_contained", &["pass"]);
    says(&found, "schema_and_data", &["pass", "2 tables"]);
    let source = &found["source"];
    assert_eq!(source["provider"], "supabase");
    assert_eq!(source["provider_auth_fks"][0]["target_table"], "auth.users");
    assert_eq!(source["dump"]["objects"]["tables"], 2);
    assert_eq!(source["dump"]["compression"], "gzip");
    assert!(!found.to_string().contains("canary-mapping"), "{found}");
}

#[test]
fn every_trouble_of_a_plain_dump_is_told_with_line_and_fix() {
    let path = open_folder().join("troubled.sql");
    dump(15, troubled(), &path, &[]);
    let found = report(&path);
    says(&found, "dump_complete", &["pass"]);
    says(&found, "no_role_dependencies", &["fail", "anna", "owner", "line ", "--no-owner --no-privileges"]);
    says(&found, "policy_roles_present", &["warn", "anna"]);
    says(&found, "no_psql_commands", &["pass"]);
    says(&found, "no_superuser_objects", &["fail", "line ", "event trigger"]);
    says(&found, "large_objects", &["warn", "line "]);
    says(&found, "no_transactions", &["fail", "line ", "BEGIN"]);
    says(&found, "extensions_available_on_target", &["fail", "isn", "line "]);
    says(&found, "no_platform_references", &["warn", "1 foreign key and 1 policy"]);
    says(&found, "schema_and_data", &["2 tables, 4 rows"]);
    // The line is the right one.
    let said = check(&found, "no_role_dependencies");
    let line: usize = said
        .split("line ")
        .nth(1)
        .and_then(|rest| rest.split(':').next())
        .and_then(|n| n.parse().ok())
        .expect("a line");
    let text = fs::read_to_string(&path).expect("reads");
    assert!(
        text.lines().nth(line - 1).is_some_and(|line| line.contains("OWNER TO")
            || line.contains("GRANT")
            || line.contains("DEFAULT PRIVILEGES")),
        "line {line}"
    );
    assert!(!found.to_string().contains("canary-mapping"), "{found}");
}

#[test]
fn archives_of_every_version_and_compression_are_read() {
    let folder = open_folder();
    let old = source().create("versions", "create table t (x int); insert into t values (1); create index on t (x)");
    let new = seventeen().create("versions", "create table t (x int); insert into t values (1); create index on t (x)");
    for (major, url, options, version, compression) in [
        (15, &old, vec!["-Fc"], "1.14", "gzip"),
        (15, &old, vec!["-Fc", "-Z0"], "1.14", "none"),
        (17, &old, vec!["-Fc", "-Zlz4"], "1.16", "lz4"),
        (17, &new, vec!["-Fc", "-Zzstd"], "1.16", "zstd"),
        (18, &new, vec!["-Fc"], "1.16", "gzip"),
        (18, &new, vec!["-Ft"], "1.16", "none"),
    ] {
        let path = folder.join(format!("{major}-{compression}"));
        dump(major, url, &path, &options);
        let found = report(&path);
        let facts = &found["source"]["dump"];
        assert_eq!(
            (facts["archive_version"].as_str(), facts["compression"].as_str()),
            (Some(version), Some(compression))
        );
        assert_eq!((&facts["objects"]["tables"], &facts["objects"]["indexes"]), (&1.into(), &1.into()), "{facts}");
        says(&found, "dump_tool_compatible", &["pass", &format!("pg_dump {major}")]);
        let format = if options[0] == "-Ft" { "fail" } else { "pass" };
        says(&found, "dump_format_supported", &[format]);
        assert_eq!(found["ok"], options[0] != "-Ft", "{found:#}");
    }
    let directory = folder.join("directory");
    dump(17, &new, &directory, &["-Fd"]);
    let found = report(&directory);
    says(&found, "dump_format_supported", &["fail", "directory", "pg_restore"]);
    says(&found, "dump_complete", &["pass"]);
    let data =
        fs::read_dir(&directory).expect("lists").flatten().find(|file| file.path().extension() == Some("gz".as_ref()));
    fs::remove_file(data.expect("data").path()).expect("removed");
    says(&report(&directory), "dump_complete", &["fail", "entry "]);
}

#[test]
fn what_is_cut_off_is_seen_at_any_place() {
    let folder = open_folder();
    let url = source().create("cut", "create table t as select repeat('x', 100) t from generate_series(1, 2000)");
    for (name, options) in [("custom", "-Fc"), ("tar", "-Ft"), ("plain", "-Fp")] {
        let path = folder.join(name);
        dump(15, &url, &path, &[options]);
        let whole = fs::read(&path).expect("reads");
        says(&report(&path), "dump_complete", &["pass"]);
        // Behind its data a tar archive has empty blocks, and a plain dump the word that unlocks psql.
        let end = if name == "custom" { 60 } else { 600 };
        for cut in [10, whole.len() / 3, whole.len() / 2, whole.len() - 600, whole.len() - end] {
            let short = folder.join(format!("{name}-{cut}"));
            fs::write(&short, &whole[..cut]).expect("written");
            let found = report(&short);
            assert_eq!(found["ok"], false, "{name} of {} cut at {cut}", whole.len());
            // Too short to tell what it was, it is no dump at all.
            let failing = ["dump_complete", "dump_readable"].iter().any(|check| {
                found["checks"]
                    .as_array()
                    .expect("checks")
                    .iter()
                    .any(|one| one["name"] == **check && one["status"] == "fail")
            });
            assert!(failing, "{name} cut at {cut}: {found:#}");
        }
    }
}

#[test]
fn other_kinds_of_dumps_are_told_apart() {
    let folder = open_folder();
    let url = source().create("kinds", "create table t (x int primary key); insert into t values (1), (2)");
    let looked = |name: &str, options: &[&str]| {
        let path = folder.join(name);
        dump(15, &url, &path, options);
        report(&path)
    };
    says(&looked("data", &["-Fc", "--data-only"]), "schema_and_data", &["warn", "data only"]);
    says(&looked("schema", &["-Fc", "--schema-only"]), "schema_and_data", &["warn", "schema only"]);
    says(&looked("schema.sql", &["--schema-only"]), "schema_and_data", &["warn", "schema only"]);
    says(&looked("inserts", &["-Fc", "--inserts"]), "uses_copy", &["warn", "1 table uses"]);
    let inserts = looked("inserts.sql", &["--inserts"]);
    says(&inserts, "uses_copy", &["warn", "2 INSERT statements", "line "]);
    assert_eq!(inserts["source"]["dump"]["rows"], 2);
    says(
        &looked("triggers.sql", &["--data-only", "--disable-triggers"]),
        "no_disabled_triggers",
        &["warn", "disabled while rows are loaded"],
    );
    let create = looked("create.sql", &["--create"]);
    says(&create, "single_database", &["fail", "CREATE DATABASE"]);
    says(&create, "no_psql_commands", &["fail", "\\\\connect", "line "]);
    // A newer pg_dump sets what an older target does not know.
    let path = folder.join("newer.sql");
    dump(17, &url, &path, &["--no-owner"]);
    says(&report(&path), "settings_known_to_target", &["pass"]);
    let ran = offline(&path, &["--target-version", "15"]).fails(5, "transaction_timeout");
    says(&ran.json()["preflight"], "settings_known_to_target", &["fail", "line "]);
    // The script of a whole server.
    let all = folder.join("all.sql");
    let mut command = Command::new(postgres(15).join("pg_dumpall"));
    let output = command
        .env("PGPASSWORD", "source-secret")
        .arg("-f")
        .arg(&all)
        .arg("-d")
        .arg(&url)
        .output()
        .expect("pg_dumpall runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    says(&report(&all), "single_database", &["fail", "pg_dumpall"]);
}

#[test]
fn a_part_of_a_database_is_known_by_what_it_lacks() {
    let folder = open_folder();
    let url = source().create(
        "part",
        "create schema other; create table other.a (x int primary key); create schema ext; create extension hstore schema ext;
         create table b (x int references other.a, h ext.hstore)",
    );
    let path = folder.join("part.dump");
    dump(15, &url, &path, &["-Fc", "-n", "public", "-e", "hstore"]);
    let found = report(&path);
    says(&found, "foreign_keys_self_contained", &["warn", "other.a", "entry "]);
    says(&found, "extension_schemas_present", &["warn", "hstore in schema ext", "CREATE SCHEMA"]);
    let ran = control_plane().run(&[
        "import",
        "--project",
        "dev",
        "--recreate",
        "--yes",
        "--wait",
        "--file",
        path.to_str().expect("a path"),
    ]);
    ran.fails(5, "foreign_keys_self_contained");
}

#[test]
fn a_newer_server_and_a_small_plan_are_seen_offline() {
    let newer = Source::start(18, &[]);
    let path = open_folder().join("newer.dump");
    dump(18, &newer.create("newer", "create table t (x int)"), &path, &["-Fc"]);
    let ran =
        offline(&path, &["--target-version", "17"]).fails(5, "the source is Postgres 18, the target is Postgres 17");
    assert_eq!(ran.json()["preflight"]["ok"], false);
    assert_eq!(offline(&path, &["--target-version", "18"]).succeeds().json()["preflight"]["ok"], true);
    let file = path.to_str().expect("a path");
    run(capydb(&["import", "preflight", "--file", file, "--plan-limit", "1kB", "--target-version", "18"]))
        .fails(5, "source_size_within_plan");
    run(capydb(&["import", "preflight", "--file", file])).fails(3, "--target-version 17 --plan-limit 10GB");
}

#[test]
fn what_is_no_dump_gets_a_report_too() {
    let path = open_folder().join("app.zip");
    fs::write(&path, b"PK\x03\x04rest").expect("written");
    let found = report(&path);
    says(&found, "dump_readable", &["fail", "a zip archive", "pg_dump -Fc"]);
    offline(&path.with_file_name("missing"), &[]).fails(1, "No such file");
}

fn packed(path: &Path, program: &str) -> PathBuf {
    let output = Command::new(program).arg("-c").arg(path).output().expect("it runs");
    assert!(output.status.success());
    let packed = path.with_extension(if program == "gzip" { "sql.gz" } else { "sql.zst" });
    fs::write(&packed, output.stdout).expect("written");
    packed
}

#[test]
fn packed_dumps_and_pipes_are_imported() {
    let folder = open_folder();
    let project = control_plane().project("packed");
    let plain = folder.join("app.sql");
    source().dump("sample", "plain", &plain);
    let gz = packed(&plain, "gzip");
    let found = report(&gz);
    assert_eq!(found["source"]["dump"]["packed"], "gzip");
    assert_eq!(found["source"]["database_size_bytes"], fs::metadata(&plain).expect("is there").len());
    let ran = project.import(&["--file", gz.to_str().expect("a path"), "--recreate", "--wait"]).succeeds();
    assert!(ran.stderr.contains("Spooled"), "{ran:#?}");
    let rows = project.sql("select count(*) from shop.customer");
    assert_eq!(rows, "500");
    // Cut off in the middle, it is not imported at all.
    let bytes = fs::read(&gz).expect("reads");
    let cut = folder.join("cut.sql.gz");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("written");
    project.import(&["--file", cut.to_str().expect("a path"), "--recreate", "--wait"]).fails(5, "cannot decompress");
    if Command::new("zstd").arg("--version").output().is_ok() {
        let zst = packed(&plain, "zstd");
        assert_eq!(report(&zst)["source"]["dump"]["packed"], "zstd");
    }
    // From a pipe, which has no length.
    let mut pg_dump = Command::new(postgres(15).join("pg_dump"));
    let mut child =
        pg_dump.arg("-Fc").arg(source().url("sample")).stdout(Stdio::piped()).spawn().expect("pg_dump runs");
    let mut import =
        control_plane().capydb(&["import", "--file", "-", "--recreate", "--wait", "--project", &project.slug]);
    import.stdin(child.stdout.take().expect("a pipe"));
    run(import).succeeds();
    assert!(child.wait().expect("ends").success());
    assert_eq!(project.sql("select count(*) from shop.customer"), "500");
    let mut import = control_plane().capydb(&["import", "--file", "-", "--project", &project.slug]);
    import.stdin(Stdio::null());
    run(import).fails(5, "standard input is empty");
}
