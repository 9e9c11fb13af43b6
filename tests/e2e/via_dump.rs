//! Sources that only this machine can reach, and a closer look at live sources.

use crate::support::Ran;
use crate::support::fixtures::{ControlPlane, control_plane, fingerprint, open_folder, postgres, psql, source};
use capydb::source::pg_programs::pg_dumps;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

/// A command that believes its control plane is elsewhere: it is reached by a proxy.
fn far(arguments: &[&str]) -> std::process::Command {
    let control_plane = control_plane();
    let address = control_plane.api_url.trim_start_matches("http://").split('/').next().expect("an address");
    let mut command = control_plane.capydb(arguments);
    command
        .env("CAPYDB_API_URL", "http://control.capydb.example/api/capydb")
        .env("http_proxy", format!("http://{}", forwarder(address)))
        .env("no_proxy", "127.0.0.1,localhost");
    command
}

/// An HTTP proxy that sends everything to one place.
fn forwarder(to: &str) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let to = to.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let to = to.clone();
            std::thread::spawn(move || {
                let mut client = client;
                let mut server = std::net::TcpStream::connect(&to).expect("connects");
                let mut start = vec![0; 64 << 10];
                let length = client.read(&mut start).unwrap_or(0);
                // The proxy form of the request line becomes the ordinary one, for one call.
                let text = String::from_utf8_lossy(&start[..length]).into_owned();
                let text = text.replacen("http://control.capydb.example/", "/", 1);
                let text = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                let text = text.replacen("control.capydb.example", &to, 1);
                server.write_all(text.as_bytes()).expect("sent");
                let mut back = server.try_clone().expect("cloned");
                let mut out = client.try_clone().expect("cloned");
                std::thread::spawn(move || std::io::copy(&mut client, &mut server));
                let _ = std::io::copy(&mut back, &mut out);
                let _ = out.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    address
}

fn ran(mut command: std::process::Command) -> Ran {
    Ran::of(&command.output().expect("runs"))
}

#[test]
fn a_private_source_is_caught_before_any_call() {
    let url = source().url("sample");
    for command in [&["import", "--recreate", "--source-url", &url][..], &["import", "preflight", "--source-url", &url]]
    {
        let ran =
            ran(far(command)).fails(5, "the control plane cannot reach the source: 127.0.0.1 is a loopback address");
        assert!(ran.stderr.contains("--via-dump"), "{ran:#?}");
    }
    for (host, words) in [
        ("10.1.2.3", "a private address"),
        ("db.internal", "an internal host name"),
        ("100.64.0.1", "a carrier-grade NAT address"),
        ("%2Fvar%2Frun%2Fpostgresql", "a Unix socket"),
        ("localhost", "an internal host name"),
    ] {
        let url = format!("postgres://u:p@{host}/d");
        ran(far(&["import", "--source-url", &url])).fails(5, words);
    }
    ran(far(&["import", "--source-url", "postgres://u:p@dpg-abc-a/d"])).fails(5, "External Database URL");
    let railway = "postgres://u:p@postgres.railway.internal/railway";
    ran(far(&["import", "--source-url", railway])).fails(5, "DATABASE_PUBLIC_URL");
}

/// Standard input is taken by `script`, so what is typed goes through it.
fn on_a_terminal(from: &std::process::Command, typed: &str) -> Ran {
    use std::io::Write;
    let words = from.get_args().map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let mut command = std::process::Command::new("script");
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let line = format!("{} {words}", env!("CARGO_BIN_EXE_capydb"));
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", "1").current_dir(open_folder());
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("script runs");
    child.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("typed");
    Ran::of(&child.wait_with_output().expect("ends"))
}

#[test]
fn a_person_is_offered_the_way_through_this_machine() {
    let project = control_plane().project("offered way");
    let url = source().url("sample");
    let mut command =
        far(&["import", "--recreate", "--yes", "--wait", "--project", &project.slug, "--source-url", &url]);
    command.env("PATH", format!("{}:/usr/bin:/bin", postgres(17).display()));
    let told = on_a_terminal(&command, "n\n");
    assert!(told.code == 5 && told.stdout.contains("upload the dump? [Y/n]"), "{told:#?}");
    assert!(told.stdout.contains("add --via-dump"), "{told:#?}");
    let done = on_a_terminal(&command, "y\n");
    assert!(done.code == 0 && done.stdout.contains("Dumping with pg_dump 17"), "{done:#?}");
    assert_eq!(project.sql("select count(*) from shop.customer"), "500");
}

#[test]
fn via_dump_moves_what_only_this_machine_reaches() {
    let project = control_plane().project("near");
    let url = source().url("sample");
    let path = format!("{}:{}", postgres(17).display(), std::env::var("PATH").unwrap_or_default());
    let import = |more: &[&str]| {
        let mut command =
            control_plane().capydb(&[&["import", "--via-dump", "--wait", "--project", &project.slug], more].concat());
        command.env("PATH", &path).env("CAPYDB_SOURCE_URL", &url);
        ran(command)
    };
    let done = import(&["--recreate"]).succeeds();
    assert!(done.stderr.contains("Dumping with pg_dump 17"), "{done:#?}");
    assert!(done.stderr.contains("Uploaded") && !done.stderr.contains("source-secret"), "{done:#?}");
    assert_eq!(project.sql("select count(*) from shop.customer"), "500");
    assert_eq!(project.sql("select count(*) from shop.customer"), psql(&url, "select count(*) from shop.customer"));
    // A dump that fails is told, and nothing is uploaded.
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
    let failed = ran(command).fails(5, "source_readable");
    assert!(failed.stderr.contains("GRANT SELECT ON"), "{failed:#?}");
    assert_eq!(fingerprint(&project.url), before);
}

#[test]
fn the_right_pg_dump_is_chosen_or_named() {
    // Only an 18, which is newer than the target.
    let folder = open_folder();
    let url = source().url("sample");
    let mut command =
        control_plane().capydb(&["import", "--via-dump", "--recreate", "--project", "dev", "--source-url", &url]);
    let only = folder.join("only-18");
    std::fs::create_dir(&only).expect("made");
    std::os::unix::fs::symlink(postgres(18).join("pg_dump"), only.join("pg_dump")).expect("linked");
    command.env("PATH", &only);
    let told = ran(command);
    // A client that a package has installed is found outside of PATH, too.
    let path: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let packaged = pg_dumps(&[]).into_iter().find(|tool| {
        (15..=17).contains(&tool.major) && !path.iter().any(|folder| Some(folder.as_path()) == tool.path.parent())
    });
    match packaged {
        None => {
            let told = told.fails(5, "no pg_dump of version 15 to 17");
            assert!(told.stderr.contains("18 ("), "{told:#?}");
        }
        Some(tool) => {
            let told = told.succeeds();
            assert!(told.stderr.contains(&format!("Dumping with pg_dump {}", tool.major)), "{told:#?}");
        }
    }
}

#[test]
fn a_socket_is_dumped_from_here() {
    let folder = open_folder();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("opened");
    let socket = format!("unix_socket_directories={}", folder.display());
    let near = crate::support::fixtures::Source::start(15, &[&socket]);
    near.create("local", "create table t as select 1 as x");
    let url = format!("postgres://owner:source-secret@:{}/local?host={}", near.port, folder.display());
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
    ran(command).succeeds();
    assert_eq!(project.sql("select x from t"), "1");
    let told = control_plane()
        .run(&["import", "--project", "dev", "--source-url", &url])
        .fails(5, "a Unix socket on this machine");
    assert!(told.stderr.contains("--via-dump"), "{told:#?}");
}

#[test]
fn a_password_is_no_argument_and_is_not_repeated() {
    let folder = open_folder();
    let seen = folder.join("seen");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'pg_dump (PostgreSQL) 17.99' && exit\necho \"$*\" >{}\necho \"it said $PGPASSWORD\" >&2\nexit 1\n",
        seen.display()
    );
    let tool = folder.join("pg_dump");
    std::fs::write(&tool, script).expect("written");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let url = source().url("sample");
    let arguments = ["import", "-vv", "--via-dump", "--recreate", "--project", "dev", "--source-url", &url];
    let mut command = control_plane().capydb(&arguments);
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    let ran = ran(command).fails(1, "pg_dump failed");
    assert!(ran.stderr.contains("pg_dump 17.99") && ran.stderr.contains("it said ***"), "{ran:#?}");
    assert!(!ran.stderr.contains("source-secret"), "{ran:#?}");
    let arguments = std::fs::read_to_string(seen).expect("it ran");
    assert!(arguments.contains("--format=custom") && !arguments.contains("source-secret"), "{arguments}");
}

fn local(url: &str, more: &[&str]) -> Ran {
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
    crate::support::run(crate::support::capydb(&[&flags, more].concat()))
}

#[track_caller]
fn says(report: &Value, name: &str, words: &[&str]) {
    let checks = report["preflight"]["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"));
    let said = check.to_string();
    for word in words {
        assert!(said.contains(word), "{name} without «{word}»: {said}");
    }
    assert!(check["status"] == "pass" || check["fix"].is_string(), "{name} has no fix");
}

#[test]
fn a_closer_look_tells_what_a_dump_would_meet() {
    let url = source().create(
        "closer",
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
    // What an interrupted CREATE INDEX CONCURRENTLY leaves behind.
    crate::support::fixtures::try_psql(&url, "create unique index concurrently twice_x on twice (x)");
    let found = local(&url, &[]).succeeds().json();
    says(&found, "extensions_available_on_target", &["pass", "hstore is used by", "column a of table"]);
    says(&found, "source_readable", &["pass"]);
    says(&found, "all_rows_visible", &["pass"]);
    says(&found, "no_unlogged_tables", &["warn", "public.quick"]);
    says(&found, "constraints_validated", &["warn", "fk on public.child"]);
    says(&found, "large_objects", &["warn", "1 large object"]);
    says(&found, "indexes_valid", &["warn", "twice_x", "REINDEX"]);
    says(&found, "collations_current", &["pass"]);
    says(&found, "replication_ready", &["warn", "wal_level is replica"]);
    says(&found, "pg_dump_available", &["pg_dump"]);
    // As after an upgrade of the system's libraries.
    psql(&url, "update pg_database set datcollversion = '0.1' where datname = current_database()");
    let found = local(&url, &[]).succeeds().json();
    says(&found, "collations_current", &["warn", "the collation of the database", "REFRESH COLLATION VERSION"]);
    let reader = url.replace("owner:", "reader:");
    let found = local(&reader, &[]).fails(5, "source_readable").json();
    says(&found, "source_readable", &["fail", "closed", "GRANT USAGE ON SCHEMA closed TO"]);
    says(&found, "all_rows_visible", &["fail", "public.hidden", "BYPASSRLS"]);
    psql(&url, "grant usage on schema closed to reader");
    let found = local(&reader, &[]).fails(5, "source_readable").json();
    says(&found, "source_readable", &["closed.t", "public.unseen", "GRANT SELECT ON"]);
}

#[test]
fn the_service_still_refuses_what_it_cannot_reach() {
    let control_plane = ControlPlane::start(&["--allow-private-sources", "false"]);
    let ran = control_plane.run(&["import", "preflight", "--source-url", &source().url("sample")]);
    ran.fails(1, "must be publicly reachable");
}
