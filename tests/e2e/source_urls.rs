//! Tests of source URLs as people have them: whatever the password contains, no part of it is shown,
//! and no server but the one that is meant is dialled.

use crate::support::capydb;
use crate::support::fixtures::{ControlPlane, call, control_plane, source, test_dir};
use crate::support::{run, until};
use capydb::source::{SourceUrl, SourceUrlError};
use serde_json::json;
use std::io::ErrorKind;
use std::net::TcpListener;

/// Passwords with special characters between these parts, of which none may be shown.
const PARTS: [&str; 4] = ["Zq7vK", "Wx9mR", "Kp3tB", "Jd8sN"];

/// The password of a number, and the same percent-encoded.
fn password(number: usize, trap: u16) -> (String, String) {
    let trapped = format!("@127.0.0.1:{trap}/");
    let separators =
        ["@", "/", "?", "#", ":", "&", "=", "%", "+", " ", "'", "\\", "$", ";", ",", "@h/", "?@", &trapped];
    let mut state = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut password = PARTS[0].to_owned();
    for part in &PARTS[1..] {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        password.push_str(separators[(state >> 33) as usize % separators.len()]);
        password.push_str(part);
    }
    let encoded: Vec<String> = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
    (password, encoded.concat())
}

/// Forms that have one reading whatever the password contains.
const UNMISTAKABLE: [usize; 2] = [1, 4];

/// The forms of a URL with a password.
fn forms(password: &str, encoded: &str, port: u16) -> [String; 8] {
    let quoted = password.replace('\\', "\\\\").replace('\'', "\\'");
    [
        format!("postgres://app:{password}@127.0.0.1:{port}/app"),
        format!("postgres://app:{encoded}@127.0.0.1:{port}/app"),
        format!("postgresql+asyncpg://app:{password}@127.0.0.1:{port}/app?sslmode=disable"),
        format!("jdbc:postgresql://127.0.0.1:{port}/app?user=app&password={password}"),
        format!("host=127.0.0.1 port={port} user=app dbname=app password='{quoted}'"),
        format!("Host=127.0.0.1;Port={port};Username=app;Database=app;Password={password}"),
        format!("export DATABASE_URL='postgres://app:{password}@127.0.0.1:{port}/app'"),
        format!("PGPASSWORD=\"{password}\" psql -h 127.0.0.1 -p {port} -U app app"),
    ]
}

#[test]
fn no_part_of_a_password_is_shown_and_no_wrong_server_is_dialled() {
    let trap = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let trap_port = trap.local_addr().expect("local address").port();
    // Its own, because these requests use up the rate limit of a key.
    let control_plane = ControlPlane::ephemeral();
    // A server that refuses the login, and one that does not exist.
    let closed = TcpListener::bind("127.0.0.1:0").expect("bind a port").local_addr().expect("local address").port();
    let ports = [closed, source().port];
    let safe = |what: &str, url: &str, text: &str| {
        for part in PARTS {
            assert!(!text.contains(part), "{what} shows a part of the password of {url}:\n{text}");
        }
    };
    let mut ambiguous = 0;
    for number in 0..200 {
        let (password, encoded) = password(number, trap_port);
        let port = ports[number % 2];
        let forms = forms(&password, &encoded, port);
        for (form, url) in forms.iter().enumerate() {
            match SourceUrl::parse(url) {
                Ok(parsed) => {
                    safe("Display", url, &format!("{parsed} {parsed:?} {:?}", parsed.clone().normalize().1));
                    assert_eq!((parsed.host(), parsed.port(), parsed.database()), ("127.0.0.1", port, "app"), "{url}");
                    assert!(!UNMISTAKABLE.contains(&form) || parsed.password().as_ref() == Some(&password), "{url}");
                }
                Err(error) => {
                    assert!(!UNMISTAKABLE.contains(&form), "{url}: {error}");
                    ambiguous += usize::from(error == SourceUrlError::Ambiguous);
                    safe("the error", url, &format!("{error} {error:?}"));
                }
            }
        }
        let url = &forms[number % forms.len()];
        safe("the output", url, &shown(&control_plane, number / forms.len(), url));
    }
    assert!(ambiguous > 200, "{ambiguous}");
    trap.set_nonblocking(true).expect("set nonblocking");
    assert_eq!(trap.accept().expect_err("no connection").kind(), ErrorKind::WouldBlock, "a wrong server was dialled");
}

/// What one of the outputs shows of a URL.
fn shown(control_plane: &ControlPlane, output: usize, url: &str) -> String {
    let preflight = ["import", "preflight", "--project", "dev", "--source-url", url];
    let command = |more: &[&str]| {
        let output = control_plane.run(&[preflight.as_slice(), more].concat());
        assert_ne!(output.code, 0, "{url}: {output:#?}");
        format!("{}{}", output.stdout, output.stderr)
    };
    match output % 6 {
        0 => command(&[]),
        1 => command(&["--output", "json"]),
        2 => command(&["--local"]),
        3 => {
            let mut command = capydb(&["config", "show"]);
            command.env("CAPYDB_SOURCE_URL", url).env("HOME", test_dir());
            let output = run(command);
            format!("{}{}", output.stdout, output.stderr)
        }
        4 => {
            let id = control_plane.run(&["projects", "list", "-o", "json"]).json()["projects"][0]["id"].clone();
            let path = format!("/v1/projects/{}/imports/preflight", id.as_str().expect("an id"));
            let (mut status, mut answer) = (429, json!(null));
            until("the rate limit allows the request", || {
                (status, answer) = control_plane.call("POST", &path, Some(&json!({ "source_url": url })));
                status != 429
            });
            assert_eq!(status, 400, "{url}: {answer}");
            answer.to_string()
        }
        _ => {
            let address = control_plane.api_url.replace("/api/capydb", "/panel/source");
            let (mut status, mut answer) = (429, json!(null));
            until("the rate limit allows the request", || {
                (status, answer) = call("POST", &address, "", Some(&json!({ "url": url })));
                status != 429
            });
            answer.to_string()
        }
    }
}

#[test]
fn a_pasted_connection_string_is_used() {
    let port = source().port;
    for (text, change) in [
        (format!("psql 'postgres://owner:source-secret@127.0.0.1:{port}/sample'"), "read the psql command as a URL"),
        (format!("host=127.0.0.1 port={port} user=owner password=source-secret dbname=sample"), "as a URL"),
        (
            format!("jdbc:postgresql://127.0.0.1:{port}/sample?user=owner&password=source-secret&ssl=true"),
            "the parameters",
        ),
        (
            format!("postgresql+psycopg2://owner:source-secret@127.0.0.1:{port}/sample?sslmode=no-verify"),
            "replaced the scheme",
        ),
    ] {
        let output =
            control_plane().run(&["import", "preflight", "--project", "dev", "--source-url", &text]).succeeds();
        assert!(output.stderr.contains(change) && !output.stderr.contains("source-secret"), "{output:#?}");
    }
}
