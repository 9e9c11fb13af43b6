//! Tests of `--via-dump` for sources that only this machine can reach, and of `preflight --local`.

use crate::support::fixtures::{ControlPlane, control_plane, fingerprint, postgres, psql, source, test_dir};
use crate::support::{Ran, capydb, run};
use capydb::source::pg_programs::pg_dumps;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A command whose control plane looks remote, because it is reached through an HTTP proxy.
fn remote_command(arguments: &[&str]) -> std::process::Command {
    let control_plane = control_plane();
    let address = control_plane.api_url.trim_start_matches("http://").split('/').next().expect("host and port");
    let mut command = control_plane.capydb(arguments);
    command
        .env("CAPYDB_API_URL", "http://control.capydb.example/api/capydb")
        .env("http_proxy", format!("http://{}", start_proxy(address)))
        .env("no_proxy", "127.0.0.1,localhost");
    command
}

/// Starts an HTTP proxy that forwards every request to one address.
fn start_proxy(to: &str) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let address = listener.local_addr().expect("local address").to_string();
    let to = to.to_owned();
    std::thread::spawn(move || {
        for client_stream in listener.incoming().flatten() {
            let to = to.clone();
            std::thread::spawn(move || {
                let mut client_stream = client_stream;
                let mut server_stream = std::net::TcpStream::connect(&to).expect("connect");
                let mut request_bytes = vec![0; 64 << 10];
                let length = client_stream.read(&mut request_bytes).unwrap_or(0);
                // Rewrites the absolute-form request target to origin form, for one request per connection.
                let request = String::from_utf8_lossy(&request_bytes[..length]).into_owned();
                let request = request.replacen("http://control.capydb.example/", "/", 1);
                let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                let request = request.replacen("control.capydb.example", &to, 1);
                server_stream.write_all(request.as_bytes()).expect("forward request");
                let mut from_server = server_stream.try_clone().expect("clone stream");
                let mut to_client = client_stream.try_clone().expect("clone stream");
                std::thread::spawn(move || std::io::copy(&mut client_stream, &mut server_stream));
                let _ = std::io::copy(&mut from_server, &mut to_client);
                let _ = to_client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    address
}

#[test]
fn a_private_source_is_refused_before_any_request() {
    let url = source().url("sample");
    for command in [&["import", "--recreate", "--source-url", &url][..], &["import", "preflight", "--source-url", &url]]
    {
        let output = run(remote_command(command))
            .fails(5, "the control plane cannot reach the source: 127.0.0.1 is a loopback address");
        assert!(output.stderr.contains("--via-dump"), "{output:#?}");
    }
    for (host, expected) in [
        ("10.1.2.3", "a private address"),
        ("db.internal", "an internal host name"),
        ("100.64.0.1", "a carrier-grade NAT address"),
        ("%2Fvar%2Frun%2Fpostgresql", "a Unix socket"),
        ("localhost", "an internal host name"),
    ] {
        let url = format!("postgres://u:p@{host}/d");
        run(remote_command(&["import", "--source-url", &url])).fails(5, expected);
    }
    run(remote_command(&["import", "--source-url", "postgres://u:p@dpg-abc-a/d"])).fails(5, "External Database URL");
    let railway = "postgres://u:p@postgres.railway.internal/railway";
    run(remote_command(&["import", "--source-url", railway])).fails(5, "DATABASE_PUBLIC_URL");
}

/// Runs a command under `script`, which provides a terminal and forwards the input to it.
fn on_a_terminal(capydb_command: &std::process::Command, input: &str) -> Ran {
    use std::io::Write;
    let arguments =
        capydb_command.get_args().map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let mut command = std::process::Command::new("script");
    for (name, value) in capydb_command.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_capydb"));
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", "1").current_dir(test_dir());
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("spawn script");
    child.stdin.take().expect("piped stdin").write_all(input.as_bytes()).expect("write to stdin");
    Ran::of(&child.wait_with_output().expect("wait for capydb"))
}

#[test]
fn the_prompt_offers_a_dump_from_this_machine() {
    let project = control_plane().project("offered dump");
    let url = source().url("sample");
    let mut command =
        remote_command(&["import", "--recreate", "--yes", "--wait", "--project", &project.slug, "--source-url", &url]);
    command.env("PATH", format!("{}:/usr/bin:/bin", postgres(17).display()));
    let output = on_a_terminal(&command, "n\n");
    assert!(output.code == 5 && output.stdout.contains("upload the dump? [Y/n]"), "{output:#?}");
    assert!(output.stdout.contains("add --via-dump"), "{output:#?}");
    let output = on_a_terminal(&command, "y\n");
    assert!(output.code == 0 && output.stdout.contains("Dumping with pg_dump 17"), "{output:#?}");
    assert_eq!(project.sql("select count(*) from shop.customer"), "500");
}

#[test]
fn via_dump_imports_a_source_that_only_this_machine_can_reach() {
    let project = control_plane().project("via dump");
    let url = source().url("sample");
    let path = format!("{}:{}", postgres(17).display(), std::env::var("PATH").unwrap_or_default());
    let import = |extra: &[&str]| {
        let mut command =
            control_plane().capydb(&[&["import", "--via-dump", "--wait", "--project", &project.slug], extra].concat());
        command.env("PATH", &path).env("CAPYDB_SOURCE_URL", &url);
        run(command)
    };
    let output = import(&["--recreate"]).succeeds();
    assert!(output.stderr.contains("Dumping with pg_dump 17"), "{output:#?}");
    assert!(output.stderr.contains("Uploaded") && !output.stderr.contains("source-secret"), "{output:#?}");
    assert_eq!(project.sql("select count(*) from shop.customer"), "500");
    assert_eq!(project.sql("select count(*) from shop.customer"), psql(&url, "select count(*) from shop.customer"));
    // If the role cannot read every row, the command fails and the target is unchanged.
    let before = fingerprint(&project.url);
    let broken = source().create("broken", "create table t (x int)");
    psql(&broken, "create role blind login password 'source-secret'; alter table t enable row level security");
    let blind = broken.replace("owner:", "blind:");
    let mut command = control_plane().capydb(&[
        "import",
        "--via-dump",
        "--recreate",
        "--project",
        &project.slug,
        "--source-url",
        &blind,
    ]);
    command.env("PATH", &path);
    let failed = run(command).fails(5, "source_readable");
    assert!(failed.stderr.contains("GRANT SELECT ON"), "{failed:#?}");
    assert_eq!(fingerprint(&project.url), before);
}

#[test]
fn a_compatible_pg_dump_is_chosen_or_the_error_lists_those_found() {
    // The only pg_dump on PATH is version 18, which is newer than the target.
    let dir = test_dir();
    let url = source().url("sample");
    let mut command =
        control_plane().capydb(&["import", "--via-dump", "--recreate", "--project", "dev", "--source-url", &url]);
    let bin_dir = dir.join("only-18");
    fs::create_dir(&bin_dir).expect("create directory");
    std::os::unix::fs::symlink(postgres(18).join("pg_dump"), bin_dir.join("pg_dump")).expect("create symlink");
    command.env("PATH", &bin_dir);
    let output = run(command);
    // A pg_dump that a package installed, or that was fetched, is also found outside PATH.
    let path: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let packaged_tool = pg_dumps(None).into_iter().rev().find(|tool| {
        (15..=17).contains(&tool.major) && !path.iter().any(|dir| Some(dir.as_path()) == tool.path.parent())
    });
    match packaged_tool {
        None => {
            let output = output.fails(5, "no pg_dump of version 15 to 17");
            assert!(output.stderr.contains("18 ("), "{output:#?}");
        }
        Some(tool) => {
            let output = output.succeeds();
            assert!(output.stderr.contains(&format!("Dumping with pg_dump {}", tool.major)), "{output:#?}");
        }
    }
}

#[test]
fn via_dump_reads_a_unix_socket() {
    let dir = test_dir();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("set permissions");
    let socket = format!("unix_socket_directories={}", dir.display());
    let server = crate::support::fixtures::Source::start(15, &[&socket]);
    server.create("local", "create table t as select 1 as x");
    let url = format!("postgres://owner:source-secret@:{}/local?host={}", server.port, dir.display());
    let project = control_plane().project("socket");
    let mut command = control_plane().capydb(&[
        "import",
        "--via-dump",
        "--recreate",
        "--wait",
        "--project",
        &project.slug,
        "--source-url",
        &url,
    ]);
    command.env("PATH", format!("{}:/usr/bin:/bin", postgres(17).display()));
    run(command).succeeds();
    assert_eq!(project.sql("select x from t"), "1");
    let output = control_plane()
        .run(&["import", "--project", "dev", "--source-url", &url])
        .fails(5, "a Unix socket on this machine");
    assert!(output.stderr.contains("--via-dump"), "{output:#?}");
}

#[test]
fn the_password_is_not_an_argument_and_is_redacted() {
    let dir = test_dir();
    let arguments_file = dir.join("arguments");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'pg_dump (PostgreSQL) 17.99' && exit\necho \"$*\" >{}\necho \"received $PGPASSWORD\" >&2\nexit 1\n",
        arguments_file.display()
    );
    let tool = dir.join("pg_dump");
    fs::write(&tool, script).expect("write file");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("set permissions");
    let url = source().url("sample");
    let project = control_plane().project("redacted");
    let arguments = ["import", "-vv", "--via-dump", "--recreate", "--project", &project.slug, "--source-url", &url];
    let mut command = control_plane().capydb(&arguments);
    command.env("PATH", format!("{}:/usr/bin:/bin", dir.display()));
    let output = run(command).fails(1, "pg_dump failed");
    assert!(output.stderr.contains("pg_dump 17.99") && output.stderr.contains("received ***"), "{output:#?}");
    assert!(!output.stderr.contains("source-secret"), "{output:#?}");
    let arguments = fs::read_to_string(arguments_file).expect("pg_dump was run");
    assert!(arguments.contains("--format=custom") && !arguments.contains("source-secret"), "{arguments}");
}

fn local_preflight(url: &str) -> Ran {
    let flags = [
        "import",
        "preflight",
        "--local",
        "--target-version",
        "17",
        "--plan-limit",
        "1GB",
        "-o",
        "json",
        "--source-url",
        url,
    ];
    run(capydb(&flags))
}

#[track_caller]
fn assert_check(report: &Value, name: &str, expected: &[&str]) {
    let checks = report["preflight"]["checks"].as_array().expect("a list of checks");
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"));
    let text = check.to_string();
    for part in expected {
        assert!(text.contains(part), "{name} does not contain {part:?}: {text}");
    }
    assert!(check["status"] == "pass" || check["fix"].is_string(), "{name} has no fix: {text}");
}

#[test]
fn a_local_preflight_reports_problems_that_a_dump_would_hit() {
    let url = source().create(
        "local_preflight",
        "create extension hstore; create table h (a hstore, v text);
         create unlogged table quick (x int);
         create table parent (id int primary key); create table child (id int);
         insert into child values (1);
         alter table child add constraint fk foreign key (id) references parent not valid;
         select lo_from_bytea(0, 'large');
         create table twice (x int); insert into twice values (1), (1);
         create table hidden (x int); alter table hidden enable row level security; alter table hidden force row level security;
         create role reader login password 'source-secret';
         grant usage on schema public to reader; grant select on all tables in schema public to reader;
         create schema closed; create table closed.t (x int); create table unseen (x int)",
    );
    // A failed CREATE INDEX CONCURRENTLY leaves an invalid index.
    crate::support::fixtures::try_psql(&url, "create unique index concurrently twice_x on twice (x)");
    let report = local_preflight(&url).succeeds().json();
    assert_check(&report, "extensions_available_on_target", &["pass", "hstore is used by", "column a of table"]);
    assert_check(&report, "source_readable", &["pass"]);
    assert_check(&report, "all_rows_visible", &["pass"]);
    assert_check(&report, "no_unlogged_tables", &["warn", "public.quick"]);
    assert_check(&report, "constraints_validated", &["warn", "fk on public.child"]);
    assert_check(&report, "large_objects", &["warn", "1 large object"]);
    assert_check(&report, "indexes_valid", &["warn", "twice_x", "REINDEX"]);
    assert_check(&report, "collations_current", &["pass"]);
    assert_check(&report, "replication_ready", &["warn", "wal_level is replica"]);
    assert_check(&report, "pg_dump_available", &["pg_dump"]);
    // The same state as after an upgrade of the system's collation library.
    psql(&url, "update pg_database set datcollversion = '0.1' where datname = current_database()");
    let report = local_preflight(&url).succeeds().json();
    assert_check(
        &report,
        "collations_current",
        &["warn", "the collation of the database", "REFRESH COLLATION VERSION"],
    );
    let reader = url.replace("owner:", "reader:");
    let report = local_preflight(&reader).fails(5, "source_readable").json();
    assert_check(&report, "source_readable", &["fail", "closed", "GRANT USAGE ON SCHEMA closed TO"]);
    assert_check(&report, "all_rows_visible", &["fail", "public.hidden", "BYPASSRLS"]);
    psql(&url, "grant usage on schema closed to reader");
    let report = local_preflight(&reader).fails(5, "source_readable").json();
    assert_check(&report, "source_readable", &["closed.t", "public.unseen", "GRANT SELECT ON"]);
}

#[test]
fn the_control_plane_refuses_a_source_it_cannot_reach() {
    let control_plane = ControlPlane::start(&["--allow-private-sources", "false"]);
    let output = control_plane.run(&["import", "preflight", "--source-url", &source().url("sample")]);
    output.fails(1, "must be publicly reachable");
}

#[test]
fn credentials_of_this_machine_are_used_for_what_it_dials() {
    let (home, port) = (test_dir(), source().port);
    let url = format!("postgres://owner@127.0.0.1:{port}/sample?sslmode=require");
    let preflight = |url: &str, variables: &[(&str, &str)]| {
        let mut command = capydb(&["import", "preflight", "--local", "--target-version", "17", "--source-url", url]);
        command.env("HOME", &home).env_remove("PGPASSWORD").envs(variables.iter().copied());
        run(command)
    };
    preflight(&url, &[]).fails(1, "the URL has none");
    let output = preflight(&url, &[("PGPASSWORD", "source-secret")]).succeeds();
    assert!(output.stderr.contains("using the password in PGPASSWORD"), "{output:#?}");
    let passfile = home.join(".pgpass");
    fs::write(&passfile, format!("127.0.0.1:{port}:*:owner:source-secret\n")).expect("write file");
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o644)).expect("set permissions");
    preflight(&url, &[]).fails(1, "which others may read: chmod 600");
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).expect("set permissions");
    let output = preflight(&url, &[]).succeeds();
    assert!(output.stderr.contains(".pgpass") && !format!("{output:?}").contains("source-secret"), "{output:#?}");
    let services = format!("[shop]\nhost=127.0.0.1\nport={port}\nuser=owner\ndbname=sample\nsslmode=require\n");
    fs::write(home.join(".pg_service.conf"), services).expect("write file");
    preflight("service=shop", &[]).succeeds();
    preflight("postgres:///?service=shop", &[]).succeeds();
    preflight("service=other", &[]).fails(2, "no service `other`");
}
