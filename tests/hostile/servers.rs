//! Source servers that lie, flood, stall or use dangerous names: each costs bounded time, memory and disk.

use crate::report_cases;
use crate::support::fake_postgres::{accept_login, command_complete, fake_postgres, message, row, row_description};
use crate::support::fixtures::{ControlPlane, Source, call, control_plane, source, test_dir};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The result of the inspection query on an honest server.
fn inspection() -> Value {
    json!({
        "server_version": "15.1", "database_size_bytes": 1000, "extensions": [], "schemas": ["public"], "roles": [],
        "setting_prefixes": [], "event_triggers": [], "auth_fks": [], "auth_policy_tables": [], "wal_level": "replica",
        "max_replication_slots": 10, "used_replication_slots": 0, "max_wal_senders": 10, "role_can_replicate": true
    })
}

/// A server that returns this text as the result of the inspection query.
fn server_returning(text: String) -> u16 {
    fake_postgres(accept_login, move |stream| {
        stream.write_all(&[row_description(), row(text.as_bytes()), command_complete()].concat())
    })
}

/// A server whose inspection result has this value in one field.
fn server_with_field(name: &str, value: Value) -> u16 {
    let mut inspection = inspection();
    inspection[name] = value;
    server_returning(inspection.to_string())
}

fn write_forever(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(bytes)?;
    }
}

/// Peak memory of a control plane's process in bytes.
fn peak_memory(control_plane: &ControlPlane) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", control_plane.pid())).expect("read /proc");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM line");
    line.split_whitespace().nth(1).expect("number").parse::<u64>().expect("number") << 10
}

/// Requests a SCRAM iteration count that would take an hour to compute, in a message sent in two parts.
fn excessive_iterations(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(&message(b'R', &[10_u32.to_be_bytes().as_slice(), b"SCRAM-SHA-256\0\0"].concat()))?;
    // The challenge must start with the client's nonce.
    let mut buffer = vec![0; 512];
    let length = std::io::Read::read(stream, &mut buffer)?;
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let nonce = text.split("r=").nth(1).unwrap_or_default().to_owned();
    let challenge = format!("r={nonce}x,s=c2FsdA==,i=");
    let packet = message(b'R', &[11_u32.to_be_bytes().as_slice(), challenge.as_bytes(), b"4294967295"].concat());
    let (first, second) = packet.split_at(packet.len() - 4);
    stream.write_all(first)?;
    std::thread::sleep(Duration::from_millis(200));
    stream.write_all(second)
}

/// Misbehaving servers, each on its own port.
fn misbehaving_servers() -> Vec<(&'static str, u16)> {
    vec![
        (
            "endless rows",
            fake_postgres(accept_login, |stream| {
                stream.write_all(&row_description())?;
                write_forever(stream, &row(&[b'x'; 8000]))
            }),
        ),
        (
            "an endless row",
            fake_postgres(accept_login, |stream| {
                stream.write_all(&row_description())?;
                stream.write_all(b"D\x7f\xff\xff\xff\0\x01\x7f\xff\xff\xf0")?;
                write_forever(stream, &[b'x'; 8000])
            }),
        ),
        (
            "a flood of notices",
            fake_postgres(accept_login, |stream| write_forever(stream, &message(b'N', b"SNOTICE\0Mhello\0\0"))),
        ),
        (
            "a flood of notices before the login",
            fake_postgres(|stream| write_forever(stream, &message(b'N', b"SNOTICE\0Mhello\0\0")), accept_login),
        ),
        (
            "endless settings",
            fake_postgres(
                |stream| {
                    stream.write_all(&message(b'R', &0_u32.to_be_bytes()))?;
                    (0_u64..).try_for_each(|number| {
                        stream.write_all(&message(b'S', format!("name{number}\0value\0").as_bytes()))
                    })
                },
                accept_login,
            ),
        ),
        ("an hour of SCRAM iterations", fake_postgres(excessive_iterations, accept_login)),
        ("garbage", fake_postgres(|stream| write_forever(stream, b"HTTP/1.1 200 OK\r\n\r\n"), accept_login)),
        ("silence after the login", fake_postgres(accept_login, |_| Ok(()))),
        (
            "a byte every second",
            fake_postgres(accept_login, |stream| {
                for byte in row_description().into_iter().chain(row(&[b'x'; 8000])) {
                    stream.write_all(&[byte])?;
                    std::thread::sleep(Duration::from_secs(1));
                }
                Ok(())
            }),
        ),
        ("a closed connection", fake_postgres(accept_login, |stream| stream.shutdown(std::net::Shutdown::Both))),
        ("an empty inspection result", server_returning("{}".into())),
        ("invalid JSON", server_returning("\u{1b}[2Jfacts".into())),
        ("deeply nested JSON", server_returning("[".repeat(1_000_000))),
        ("a long list", server_with_field("schemas", json!(vec!["s".repeat(60); 100_000]))),
        ("a negative size", server_with_field("database_size_bytes", json!(-1))),
        ("a size out of range", server_with_field("database_size_bytes", json!(1e300))),
        (
            "an error with escapes",
            fake_postgres(accept_login, |stream| {
                let error = "SERROR\0C42501\0M\u{1b}]0;owned\u{7}\u{202e}evil\r\nerror: forged\0\0";
                stream.write_all(&[message(b'E', error.as_bytes()), message(b'Z', b"I")].concat())
            }),
        ),
    ]
}

#[test]
fn inspecting_a_misbehaving_server_fails_within_limits() {
    let control_plane = ControlPlane::start(&[]);
    let project = control_plane.project("misbehaving servers");
    let servers = misbehaving_servers();
    let path = format!("/v1/projects/{}/imports/preflight", project.id);
    control_plane.admin(
        "capydb",
        "insert into api_keys (id, organization_id, key_sha256, scopes)
         select 'key_' || n, (select id from organizations where slug = 'dev'), sha256(('key_' || n)::bytea), '{projects:write}'
         from generate_series(0, 5) n",
    );
    std::thread::scope(|scope| {
        for (name, port) in &servers {
            let (control_plane, path) = (&control_plane, &path);
            scope.spawn(move || {
                let url = format!("postgres://u:canary@127.0.0.1:{port}/d?sslmode=prefer");
                // Concurrent inspections are limited per API key, so the test uses several keys.
                let key = format!("key_{}", port % 6);
                let path = format!("{}{path}", control_plane.api_url);
                let (mut started, mut status, mut response) = (Instant::now(), 429, Value::Null);
                crate::support::until("an inspection slot is free", || {
                    started = Instant::now();
                    (status, response) = call("POST", &path, &key, Some(&json!({ "source_url": url })));
                    status != 429
                });
                assert_eq!(status, 400, "{name}: {response}");
                assert!(started.elapsed() < Duration::from_secs(80), "{name} took {:?}", started.elapsed());
                let error = response["error"].as_str().expect("error message");
                assert!(
                    error.len() < 1000 && !error.chars().any(|c| c.is_control() || c == '\u{202e}'),
                    "{name}: {error:?}"
                );
                assert!(!error.contains("canary"), "{name}: {error}");
            });
        }
    });
    assert_eq!(control_plane.call("GET", "/v1/me", None).0, 200, "the control plane still responds");
    let peak_memory = peak_memory(&control_plane);
    assert!(peak_memory < 400 << 20, "peak memory: {peak_memory} bytes");
    report_cases("misbehaving servers", servers.len());
}

#[test]
fn dangerous_names_are_shown_escaped() {
    let names = json!([
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "a\r\nerror: forged",
        "\"; drop table t; --",
        "'\\",
        "\u{202e}desrever"
    ]);
    let mut inspection = inspection();
    for field in ["schemas", "event_triggers"] {
        inspection[field] = names.clone();
    }
    inspection["server_version"] = json!("15.0\u{1b}[31m red");
    inspection["extensions"] = json!(
        names
            .as_array()
            .expect("array of names")
            .iter()
            .map(|name| json!({ "name": name, "version": name }))
            .collect::<Vec<_>>()
    );
    let port = server_returning(inspection.to_string());
    let project = control_plane().project("dangerous names");
    let url = format!("postgres://u:p@127.0.0.1:{port}/d?sslmode=disable");
    let ran = control_plane().run(&["import", "preflight", "--project", &project.slug, "--source-url", &url]);
    for text in [&ran.stdout, &ran.stderr] {
        assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{text}");
    }
    assert!(ran.code == 5 && ran.stdout.contains("not available on the target"), "{ran:#?}");
}

#[test]
fn dangerous_names_are_imported_unchanged() {
    let marker = test_dir().join("was-here");
    let marker_path = marker.to_str().expect("UTF-8 path");
    let names = [
        "\"; drop table victim; --".to_owned(),
        format!("x\n\\! touch {marker_path}\n"),
        format!("x\r\n\\! touch {marker_path}"),
        "\u{1b}[2J".into(),
        "$$ $tag$ '' \\".into(),
        "; Type: TABLE; Schema: -".into(),
        "-- Name: x; Type: COMMENT".into(),
        "%s%n%1$s".into(),
        ":variable :'variable'".into(),
        "\\.".into(),
        "用户 \u{202e}abc".into(),
    ];
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    let mut sql = "create table victim as select 1 as x;".to_owned();
    for name in &quoted {
        let (comment, row) = (literal(name), literal(&format!("{name}\n\\.\n\\! touch {marker_path}\n")));
        for part in [
            format!("create schema {name}; create table {name}.{name} ({name} text primary key);"),
            format!("comment on table {name}.{name} is {comment}; insert into {name}.{name} values ({row});"),
            format!("create index on {name}.{name} (lower({name}));"),
        ] {
            sql.push_str(&part);
        }
    }
    let dir = test_dir();
    let url = source().create("names", "select 1");
    crate::support::fixtures::run_sql(&url, &sql);
    let expected = without_extensions(&url);
    for format in ["url", "custom", "plain"] {
        for recreate in [true, false] {
            let project = control_plane().project(&format!("names {format} {recreate}"));
            if format == "url" {
                let job = project.import_by_api(&json!({ "confirm": true, "recreate": recreate, "source_url": url }));
                assert_eq!(job["state"], "completed", "{job}");
            } else {
                let path = dir.join(format);
                source().dump("names", format, &path);
                let job = project.upload_and_import(&path, recreate);
                assert_eq!(job["state"], "completed", "{job}");
            }
            assert!(without_extensions(&project.url) == expected, "{format} {recreate}");
        }
    }
    assert!(!marker.exists(), "a name was executed as a command");
    report_cases("dangerous names", names.len() * 6);
}

/// The fingerprint without extensions, because a project has its own.
fn without_extensions(url: &str) -> String {
    let all = crate::support::fixtures::fingerprint(url);
    all.lines().filter(|line| !line.starts_with("extension ")).collect::<Vec<_>>().join("\n")
}

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[test]
fn an_import_from_a_source_that_lies_about_its_size_is_stopped() {
    let lying_source = Source::start(17, &[]);
    let false_size = "create or replace function pg_catalog.pg_database_size(name) returns bigint language sql as 'select 1000::bigint'";
    let url = lying_source.create(
        "liar",
        &format!("{false_size}; create table huge as select repeat('x', 1000) as t from generate_series(1, 500000)"),
    );
    let control_plane = ControlPlane::start(&["--plan-limit", "20MB"]);
    let project = control_plane.project("understated size");
    project.sql("create table old (x int)");
    let before = crate::support::fixtures::fingerprint(&project.url);
    for recreate in [true, false] {
        let job = project.import_by_api(&json!({ "confirm": true, "recreate": recreate, "source_url": url }));
        let text = job.to_string();
        assert!(job["state"] == "failed", "{text}");
        assert!(text.contains("far more than the plan limit allows") || text.contains("plan limit of"), "{text}");
        assert_eq!(crate::support::fixtures::fingerprint(&project.url), before);
    }
    control_plane.assert_no_leftovers();
}
