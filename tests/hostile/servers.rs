//! Sources that lie, flood, stall, and give themselves dangerous names: each costs bounded
//! time, memory and disk.

use crate::ran_cases;
use crate::support::fake_postgres::{done, fake_postgres, message, one_column, row, welcome};
use crate::support::fixtures::{ControlPlane, Source, call, control_plane, open_folder, source};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What an honest server says of itself.
fn facts() -> Value {
    json!({
        "server_version": "15.1", "database_size_bytes": 1000, "extensions": [], "schemas": ["public"], "roles": [],
        "setting_prefixes": [], "event_triggers": [], "auth_fks": [], "auth_policy_tables": [], "wal_level": "replica",
        "max_replication_slots": 10, "used_replication_slots": 0, "max_wal_senders": 10, "role_can_replicate": true
    })
}

fn says(text: String) -> u16 {
    fake_postgres(welcome, move |stream| stream.write_all(&[one_column(), row(text.as_bytes()), done()].concat()))
}

fn with(name: &str, value: Value) -> u16 {
    let mut facts = facts();
    facts[name] = value;
    says(facts.to_string())
}

fn for_ever(stream: &mut TcpStream, what: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(what)?;
    }
}

/// Peak memory of the process of a control plane, in bytes.
fn peak(control_plane: &ControlPlane) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", control_plane.pid())).expect("reads");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") << 10
}

/// Asks for so many rounds of hashing that it would take an hour to answer, in two parts.
fn hashing(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(&message(b'R', &[10_u32.to_be_bytes().as_slice(), b"SCRAM-SHA-256\0\0"].concat()))?;
    // The client's nonce is needed.
    let mut block = vec![0; 512];
    let length = std::io::Read::read(stream, &mut block)?;
    let text = String::from_utf8_lossy(&block[..length]).into_owned();
    let nonce = text.split("r=").nth(1).unwrap_or_default().to_owned();
    let asks = format!("r={nonce}x,s=c2FsdA==,i=");
    let whole = message(b'R', &[11_u32.to_be_bytes().as_slice(), asks.as_bytes(), b"4294967295"].concat());
    let (first, second) = whole.split_at(whole.len() - 4);
    stream.write_all(first)?;
    std::thread::sleep(Duration::from_millis(200));
    stream.write_all(second)
}

/// Servers that misbehave, each on a port of its own.
fn misbehaving() -> Vec<(&'static str, u16)> {
    vec![
        (
            "endless rows",
            fake_postgres(welcome, |stream| {
                stream.write_all(&one_column())?;
                for_ever(stream, &row(&[b'x'; 8000]))
            }),
        ),
        (
            "a row without end",
            fake_postgres(welcome, |stream| {
                stream.write_all(&one_column())?;
                stream.write_all(b"D\x7f\xff\xff\xff\0\x01\x7f\xff\xff\xf0")?;
                for_ever(stream, &[b'x'; 8000])
            }),
        ),
        (
            "a flood of notices",
            fake_postgres(welcome, |stream| for_ever(stream, &message(b'N', b"SNOTICE\0Mhello\0\0"))),
        ),
        (
            "a flood before the login",
            fake_postgres(|stream| for_ever(stream, &message(b'N', b"SNOTICE\0Mhello\0\0")), welcome),
        ),
        (
            "settings without end",
            fake_postgres(
                |stream| {
                    stream.write_all(&message(b'R', &0_u32.to_be_bytes()))?;
                    (0_u64..).try_for_each(|number| {
                        stream.write_all(&message(b'S', format!("name{number}\0value\0").as_bytes()))
                    })
                },
                welcome,
            ),
        ),
        ("an hour of hashing", fake_postgres(hashing, welcome)),
        ("garbage", fake_postgres(|stream| for_ever(stream, b"HTTP/1.1 200 OK\r\n\r\n"), welcome)),
        ("silence after the login", fake_postgres(welcome, |_| Ok(()))),
        (
            "a byte every second",
            fake_postgres(welcome, |stream| {
                for byte in one_column().into_iter().chain(row(&[b'x'; 8000])) {
                    stream.write_all(&[byte])?;
                    std::thread::sleep(Duration::from_secs(1));
                }
                Ok(())
            }),
        ),
        ("a hang-up", fake_postgres(welcome, |stream| stream.shutdown(std::net::Shutdown::Both))),
        ("no facts", says("{}".into())),
        ("no JSON", says("\u{1b}[2Jfacts".into())),
        ("deep JSON", says("[".repeat(1_000_000))),
        ("a long list", with("schemas", json!(vec!["s".repeat(60); 100_000]))),
        ("a size below nothing", with("database_size_bytes", json!(-1))),
        ("a size beyond numbers", with("database_size_bytes", json!(1e300))),
        (
            "an error with escapes",
            fake_postgres(welcome, |stream| {
                let said = "SERROR\0C42501\0M\u{1b}]0;owned\u{7}\u{202e}evil\r\nerror: forged\0\0";
                stream.write_all(&[message(b'E', said.as_bytes()), message(b'Z', b"I")].concat())
            }),
        ),
    ]
}

#[test]
fn a_server_that_misbehaves_is_given_up() {
    let control_plane = ControlPlane::start(&[]);
    let project = control_plane.project("strangers");
    let servers = misbehaving();
    let path = format!("/v1/projects/{}/imports/preflight", project.id);
    control_plane.admin(
        "capydb",
        "insert into api_keys (id, organization_id, key_sha256, scopes)
         select 'key_' || n, (select id from organizations where slug = 'dev'), sha256(('key_' || n)::bytea), '{projects:write}'
         from generate_series(0, 5) n",
    );
    std::thread::scope(|scope| {
        for (what, port) in &servers {
            let (control_plane, path) = (&control_plane, &path);
            scope.spawn(move || {
                let url = format!("postgres://u:canary@127.0.0.1:{port}/d?sslmode=prefer");
                // Nobody may look at many sources at a time, so there are several callers.
                let key = format!("key_{}", port % 6);
                let path = format!("{}{path}", control_plane.api_url);
                let (mut started, mut status, mut answer) = (Instant::now(), 429, Value::Null);
                crate::support::until("there is a place", || {
                    started = Instant::now();
                    (status, answer) = call("POST", &path, &key, Some(&json!({ "source_url": url })));
                    status != 429
                });
                assert_eq!(status, 400, "{what}: {answer}");
                assert!(started.elapsed() < Duration::from_secs(80), "{what} took {:?}", started.elapsed());
                let error = answer["error"].as_str().expect("an error");
                assert!(
                    error.len() < 1000 && !error.chars().any(|c| c.is_control() || c == '\u{202e}'),
                    "{what}: {error:?}"
                );
                assert!(!error.contains("canary"), "{what}: {error}");
            });
        }
    });
    assert_eq!(control_plane.call("GET", "/v1/me", None).0, 200, "it still answers");
    let peak = peak(&control_plane);
    assert!(peak < 400 << 20, "{peak} bytes of memory");
    ran_cases("misbehaving servers", servers.len());
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
    let mut said = facts();
    for field in ["schemas", "event_triggers"] {
        said[field] = names.clone();
    }
    said["server_version"] = json!("15.0\u{1b}[31m red");
    said["extensions"] = json!(
        names
            .as_array()
            .expect("names")
            .iter()
            .map(|name| json!({ "name": name, "version": name }))
            .collect::<Vec<_>>()
    );
    let port = says(said.to_string());
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
fn dangerous_names_arrive_as_they_are() {
    let marker = open_folder().join("was-here");
    let shown = marker.to_str().expect("a path");
    let names = [
        "\"; drop table victim; --".to_owned(),
        format!("x\n\\! touch {shown}\n"),
        format!("x\r\n\\! touch {shown}"),
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
        let (comment, row) = (literal(name), literal(&format!("{name}\n\\.\n\\! touch {shown}\n")));
        for part in [
            format!("create schema {name}; create table {name}.{name} ({name} text primary key);"),
            format!("comment on table {name}.{name} is {comment}; insert into {name}.{name} values ({row});"),
            format!("create index on {name}.{name} (lower({name}));"),
        ] {
            sql.push_str(&part);
        }
    }
    let folder = open_folder();
    let url = source().create("names", "select 1");
    crate::support::fixtures::run_sql(&url, &sql);
    let before = without_extensions(&url);
    for format in ["url", "custom", "plain"] {
        for recreate in [true, false] {
            let project = control_plane().project(&format!("names {format} {recreate}"));
            if format == "url" {
                let job = project.import_by_api(&json!({ "confirm": true, "recreate": recreate, "source_url": url }));
                assert_eq!(job["state"], "completed", "{job}");
            } else {
                let path = folder.join(format);
                source().dump("names", format, &path);
                let job = project.import_unseen(&path, recreate);
                // A line end in a name ends a comment of pg_dump's, so a script of it is not whole.
                assert!(job["state"] == "completed" || format == "plain", "{job}");
                if job["state"] != "completed" {
                    continue;
                }
            }
            assert!(without_extensions(&project.url) == before, "{format} {recreate}");
        }
    }
    assert!(!marker.exists(), "a name was taken for a command");
    ran_cases("dangerous names", names.len() * 6);
}

/// A project has some of its own.
fn without_extensions(url: &str) -> String {
    let all = crate::support::fixtures::fingerprint(url);
    all.lines().filter(|line| !line.starts_with("extension ")).collect::<Vec<_>>().join("\n")
}

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[test]
fn a_source_that_lies_about_its_size_is_stopped() {
    let liar = Source::start(17, &[]);
    let lie = "create or replace function pg_catalog.pg_database_size(name) returns bigint language sql as 'select 1000::bigint'";
    let url = liar.create(
        "liar",
        &format!("{lie}; create table huge as select repeat('x', 1000) as t from generate_series(1, 500000)"),
    );
    let control_plane = ControlPlane::start(&["--plan-limit", "20MB"]);
    let project = control_plane.project("lied to");
    project.sql("create table old (x int)");
    let before = crate::support::fixtures::fingerprint(&project.url);
    for recreate in [true, false] {
        let job = project.import_by_api(&json!({ "confirm": true, "recreate": recreate, "source_url": url }));
        let text = job.to_string();
        assert!(job["state"] == "failed", "{text}");
        assert!(text.contains("implausibly much for the plan limit") || text.contains("plan limit of"), "{text}");
        assert_eq!(crate::support::fixtures::fingerprint(&project.url), before);
    }
    control_plane.has_no_leftovers();
}
