//! Tests of the preflight of dump files by the real pg_dump 15, 17, and 18.

use crate::support::fixtures::{Source, control_plane, postgres, source, test_dir};
use crate::support::{Ran, capydb, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

fn source_17() -> &'static Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    SOURCE.get_or_init(|| Source::start(17, &[]))
}

/// Dumps with any pg_dump and any options, unlike `Source::dump`.
fn dump(major: u32, url: &str, into: &Path, options: &[&str]) {
    let mut command = Command::new(postgres(major).join("pg_dump"));
    let output = command.args(options).arg("-f").arg(into).arg(url).output().expect("run pg_dump");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the preflight of a file without an API key or network.
fn preflight_offline(file: &Path, extra: &[&str]) -> Ran {
    let file = file.to_str().expect("UTF-8 path");
    run(capydb(&[&["import", "preflight", "--file", file, "--plan-limit", "1GB", "-o", "json"], extra].concat()))
}

fn preflight_report(file: &Path) -> Value {
    let output = preflight_offline(file, &["--target-version", "17"]);
    assert!(output.code == 0 || output.code == 5, "{output:#?}");
    output.json()["preflight"].clone()
}

/// The status, detail, evidence, and fix of a check in one text.
#[track_caller]
fn check_summary(report: &Value, name: &str) -> String {
    let checks = report["checks"].as_array().expect("a list of checks");
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
fn assert_check(report: &Value, name: &str, expected: &[&str]) {
    let check_text = check_summary(report, name);
    for part in expected {
        assert!(check_text.contains(part), "{name} does not contain {part:?}: {check_text}");
    }
}

/// One database with every risk that a report can contain.
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

fn risky_database() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let sql = RISKY_SCHEMA.replace(
            "create function pid() returns int language c as 'pgcrypto', 'pg_random_uuid';",
            "create function pid() returns int language internal as 'pg_backend_pid';",
        );
        source().create("risky", &sql)
    })
}

#[test]
fn every_risk_in_an_archive_is_reported_with_its_entry() {
    let path = test_dir().join("risky.dump");
    dump(15, risky_database(), &path, &["-Fc"]);
    let report = preflight_report(&path);
    assert_check(&report, "dump_complete", &["pass"]);
    assert_check(&report, "dump_tool_compatible", &["pass", "pg_dump 15", "archive version 1.14"]);
    assert_check(&report, "extensions_available_on_target", &["fail", "isn", "postgres_fdw", "entry "]);
    assert_check(&report, "no_role_dependencies", &["pass", "skipped", "anna", "owner"]);
    assert_check(&report, "policy_roles_present", &["warn", "anna"]);
    assert_check(&report, "settings_known_to_target", &["pass"]);
    assert_check(
        &report,
        "no_superuser_objects",
        &["fail", "1 event trigger", "1 publication of all tables or a schema", "untrusted language"],
    );
    assert_check(&report, "no_foreign_servers", &["fail", "entry "]);
    assert_check(&report, "large_objects", &["warn", "entry "]);
    assert_check(&report, "no_platform_schemas", &["warn", "Supabase", "auth, ", "storage", "-N auth"]);
    assert_check(&report, "no_platform_references", &["warn", "1 foreign key and 1 policy", "auth.users"]);
    assert_check(&report, "foreign_keys_self_contained", &["pass"]);
    assert_check(&report, "schema_and_data", &["pass", "2 tables"]);
    let source = &report["source"];
    assert_eq!(source["provider"], "supabase");
    assert_eq!(source["provider_auth_fks"][0]["target_table"], "auth.users");
    assert_eq!(source["dump"]["objects"]["tables"], 2);
    assert_eq!(source["dump"]["compression"], "gzip");
    assert!(!report.to_string().contains("canary-mapping"), "{report}");
}

#[test]
fn every_risk_in_a_plain_dump_is_reported_with_its_line() {
    let path = test_dir().join("risky.sql");
    dump(15, risky_database(), &path, &[]);
    let report = preflight_report(&path);
    assert_check(&report, "dump_complete", &["pass"]);
    assert_check(&report, "no_role_dependencies", &["fail", "anna", "owner", "line ", "--no-owner --no-privileges"]);
    assert_check(&report, "policy_roles_present", &["warn", "anna"]);
    assert_check(&report, "no_psql_commands", &["pass"]);
    assert_check(&report, "no_superuser_objects", &["fail", "line ", "event trigger"]);
    assert_check(&report, "large_objects", &["warn", "line "]);
    assert_check(&report, "no_transactions", &["fail", "line ", "BEGIN"]);
    assert_check(&report, "extensions_available_on_target", &["fail", "isn", "line "]);
    assert_check(&report, "no_platform_references", &["warn", "1 foreign key and 1 policy"]);
    assert_check(&report, "schema_and_data", &["2 tables, 4 rows"]);
    // The reported line contains the statement.
    let check_text = check_summary(&report, "no_role_dependencies");
    let line: usize = check_text
        .split("line ")
        .nth(1)
        .and_then(|rest| rest.split(':').next())
        .and_then(|n| n.parse().ok())
        .expect("a line");
    let text = fs::read_to_string(&path).expect("read file");
    assert!(
        text.lines().nth(line - 1).is_some_and(|line| line.contains("OWNER TO")
            || line.contains("GRANT")
            || line.contains("DEFAULT PRIVILEGES")),
        "line {line}"
    );
    assert!(!report.to_string().contains("canary-mapping"), "{report}");
}

#[test]
fn archives_of_every_version_and_compression_are_supported() {
    let dir = test_dir();
    let url_15 = source().create("versions", "create table t (x int); insert into t values (1); create index on t (x)");
    let url_17 =
        source_17().create("versions", "create table t (x int); insert into t values (1); create index on t (x)");
    for (major, url, options, version, compression) in [
        (15, &url_15, vec!["-Fc"], "1.14", "gzip"),
        (15, &url_15, vec!["-Fc", "-Z0"], "1.14", "none"),
        (17, &url_15, vec!["-Fc", "-Zlz4"], "1.16", "lz4"),
        (17, &url_17, vec!["-Fc", "-Zzstd"], "1.16", "zstd"),
        (18, &url_17, vec!["-Fc"], "1.16", "gzip"),
        (18, &url_17, vec!["-Ft"], "1.16", "none"),
    ] {
        let path = dir.join(format!("{major}-{compression}"));
        dump(major, url, &path, &options);
        let report = preflight_report(&path);
        let dump_facts = &report["source"]["dump"];
        assert_eq!(
            (dump_facts["archive_version"].as_str(), dump_facts["compression"].as_str()),
            (Some(version), Some(compression))
        );
        assert_eq!(
            (&dump_facts["objects"]["tables"], &dump_facts["objects"]["indexes"]),
            (&1.into(), &1.into()),
            "{dump_facts}"
        );
        assert_check(&report, "dump_tool_compatible", &["pass", &format!("pg_dump {major}")]);
        let format = if options[0] == "-Ft" { "fail" } else { "pass" };
        assert_check(&report, "dump_format_supported", &[format]);
        assert_eq!(report["ok"], options[0] != "-Ft", "{report:#}");
    }
    let directory = dir.join("directory");
    dump(17, &url_17, &directory, &["-Fd"]);
    let report = preflight_report(&directory);
    assert_check(&report, "dump_format_supported", &["fail", "directory", "pg_restore"]);
    assert_check(&report, "dump_complete", &["pass"]);
    let data_file = fs::read_dir(&directory)
        .expect("list directory")
        .flatten()
        .find(|file| file.path().extension() == Some("gz".as_ref()));
    fs::remove_file(data_file.expect("a data file").path()).expect("remove file");
    assert_check(&preflight_report(&directory), "dump_complete", &["fail", "entry "]);
}

#[test]
fn a_truncation_anywhere_is_detected() {
    let dir = test_dir();
    let url = source().create("cut", "create table t as select repeat('x', 100) t from generate_series(1, 2000)");
    for (name, options) in [("custom", "-Fc"), ("tar", "-Ft"), ("plain", "-Fp")] {
        let path = dir.join(name);
        dump(15, &url, &path, &[options]);
        let full_dump = fs::read(&path).expect("read file");
        assert_check(&preflight_report(&path), "dump_complete", &["pass"]);
        // After the data, a tar archive has empty blocks, and a plain dump may end with \unrestrict.
        let end = if name == "custom" { 60 } else { 600 };
        for cut in [10, full_dump.len() / 3, full_dump.len() / 2, full_dump.len() - 600, full_dump.len() - end] {
            let truncated = dir.join(format!("{name}-{cut}"));
            fs::write(&truncated, &full_dump[..cut]).expect("write file");
            let report = preflight_report(&truncated);
            assert_eq!(report["ok"], false, "{name} of {} cut at {cut}", full_dump.len());
            // A file too short to recognize fails `dump_readable` instead.
            let has_failure = ["dump_complete", "dump_readable"].iter().any(|name| {
                report["checks"]
                    .as_array()
                    .expect("a list of checks")
                    .iter()
                    .any(|check| check["name"] == **name && check["status"] == "fail")
            });
            assert!(has_failure, "{name} cut at {cut}: {report:#}");
        }
    }
}

#[test]
fn kinds_of_dumps_are_distinguished() {
    let dir = test_dir();
    let url = source().create("kinds", "create table t (x int primary key); insert into t values (1), (2)");
    let preflight_of = |name: &str, options: &[&str]| {
        let path = dir.join(name);
        dump(15, &url, &path, options);
        preflight_report(&path)
    };
    assert_check(&preflight_of("data", &["-Fc", "--data-only"]), "schema_and_data", &["warn", "data only"]);
    assert_check(&preflight_of("schema", &["-Fc", "--schema-only"]), "schema_and_data", &["warn", "schema only"]);
    assert_check(&preflight_of("schema.sql", &["--schema-only"]), "schema_and_data", &["warn", "schema only"]);
    assert_check(&preflight_of("inserts", &["-Fc", "--inserts"]), "uses_copy", &["warn", "1 table uses"]);
    let inserts = preflight_of("inserts.sql", &["--inserts"]);
    assert_check(&inserts, "uses_copy", &["warn", "2 INSERT statements", "line "]);
    assert_eq!(inserts["source"]["dump"]["rows"], 2);
    assert_check(
        &preflight_of("triggers.sql", &["--data-only", "--disable-triggers"]),
        "no_disabled_triggers",
        &["warn", "disabled while rows are loaded"],
    );
    let create = preflight_of("create.sql", &["--create"]);
    assert_check(&create, "single_database", &["fail", "CREATE DATABASE"]);
    assert_check(&create, "no_psql_commands", &["pass"]);
    // A newer pg_dump sets parameters that an older target does not support.
    let path = dir.join("newer.sql");
    dump(17, &url, &path, &["--no-owner"]);
    assert_check(&preflight_report(&path), "settings_known_to_target", &["pass"]);
    let output = preflight_offline(&path, &["--target-version", "15"]).fails(5, "transaction_timeout");
    assert_check(&output.json()["preflight"], "settings_known_to_target", &["fail", "line "]);
    // pg_dumpall writes a script of the whole server.
    let all_databases = dir.join("all.sql");
    let mut command = Command::new(postgres(15).join("pg_dumpall"));
    let output = command
        .env("PGPASSWORD", "source-secret")
        .arg("-f")
        .arg(&all_databases)
        .arg("-d")
        .arg(&url)
        .output()
        .expect("run pg_dumpall");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_check(&preflight_report(&all_databases), "single_database", &["fail", "pg_dumpall"]);
}

#[test]
fn a_partial_dump_is_detected_by_missing_dependencies() {
    let dir = test_dir();
    let url = source().create(
        "part",
        "create schema other; create table other.a (x int primary key); create schema ext; create extension hstore schema ext;
         create table b (x int references other.a, h ext.hstore)",
    );
    let path = dir.join("part.dump");
    dump(15, &url, &path, &["-Fc", "-n", "public", "-e", "hstore"]);
    let report = preflight_report(&path);
    assert_check(&report, "foreign_keys_self_contained", &["warn", "other.a", "entry "]);
    assert_check(&report, "extension_schemas_present", &["warn", "hstore in schema ext", "CREATE SCHEMA"]);
    let output = control_plane().run(&[
        "import",
        "--project",
        "dev",
        "--recreate",
        "--yes",
        "--wait",
        "--file",
        path.to_str().expect("UTF-8 path"),
    ]);
    output.fails(5, "foreign_keys_self_contained");
}

#[test]
fn an_offline_preflight_detects_a_newer_server_and_a_small_plan() {
    let newer = Source::start(18, &[]);
    let path = test_dir().join("newer.dump");
    dump(18, &newer.create("newer", "create table t (x int)"), &path, &["-Fc"]);
    let output = preflight_offline(&path, &["--target-version", "17"])
        .fails(5, "the source is Postgres 18, the target is Postgres 17");
    assert_eq!(output.json()["preflight"]["ok"], false);
    assert_eq!(preflight_offline(&path, &["--target-version", "18"]).succeeds().json()["preflight"]["ok"], true);
    let file = path.to_str().expect("UTF-8 path");
    run(capydb(&["import", "preflight", "--file", file, "--plan-limit", "1kB", "--target-version", "18"]))
        .fails(5, "source_size_within_plan");
    run(capydb(&["import", "preflight", "--file", file])).fails(3, "--target-version 17 --plan-limit 10GB");
}

#[test]
fn a_file_that_is_not_a_dump_gets_a_report() {
    let path = test_dir().join("app.zip");
    fs::write(&path, b"PK\x03\x04rest").expect("write file");
    let report = preflight_report(&path);
    assert_check(&report, "dump_readable", &["fail", "a zip archive", "pg_dump -Fc"]);
    preflight_offline(&path.with_file_name("missing"), &[]).fails(4, "no such file");
}

fn compress(path: &Path, program: &str) -> PathBuf {
    let output = Command::new(program).arg("-c").arg(path).output().expect("run compression program");
    assert!(output.status.success());
    let compressed = path.with_extension(if program == "gzip" { "sql.gz" } else { "sql.zst" });
    fs::write(&compressed, output.stdout).expect("write file");
    compressed
}

#[test]
fn compressed_dumps_and_pipes_are_imported() {
    let dir = test_dir();
    let project = control_plane().project("compressed");
    let plain = dir.join("app.sql");
    source().dump("sample", "plain", &plain);
    let gz = compress(&plain, "gzip");
    let report = preflight_report(&gz);
    assert_eq!(report["source"]["dump"]["packed"], "gzip");
    assert_eq!(report["source"]["database_size_bytes"], fs::metadata(&plain).expect("file metadata").len());
    let output = project.import(&["--file", gz.to_str().expect("UTF-8 path"), "--recreate", "--wait"]).succeeds();
    assert!(output.stderr.contains("Spooled"), "{output:#?}");
    let rows = project.sql("select count(*) from shop.customer");
    assert_eq!(rows, "500");
    // A truncated compressed file is refused.
    let bytes = fs::read(&gz).expect("read file");
    let cut = dir.join("cut.sql.gz");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("write file");
    project
        .import(&["--file", cut.to_str().expect("UTF-8 path"), "--recreate", "--wait"])
        .fails(5, "cannot decompress");
    if Command::new("zstd").arg("--version").output().is_ok() {
        let zst = compress(&plain, "zstd");
        assert_eq!(preflight_report(&zst)["source"]["dump"]["packed"], "zstd");
    }
    // A pipe has no known length.
    let mut pg_dump = Command::new(postgres(15).join("pg_dump"));
    let mut child =
        pg_dump.arg("-Fc").arg(source().url("sample")).stdout(Stdio::piped()).spawn().expect("spawn pg_dump");
    let mut import =
        control_plane().capydb(&["import", "--file", "-", "--recreate", "--wait", "--project", &project.slug]);
    import.stdin(child.stdout.take().expect("piped stdout"));
    run(import).succeeds();
    assert!(child.wait().expect("wait for pg_dump").success());
    assert_eq!(project.sql("select count(*) from shop.customer"), "500");
    let mut import = control_plane().capydb(&["import", "--file", "-", "--project", &project.slug]);
    import.stdin(Stdio::null());
    run(import).fails(5, "standard input is empty");
}
