//! No secret in the output: every command at the highest verbosity, with canaries wherever a secret
//! can occur.

use crate::support::mock_http::{MockServer, Response};
use crate::support::{capydb, run};
use crate::{KEY, success_response, temp_dir, write_dump};

const URL: &str = "postgres://user:canary_password@127.0.0.1:1/db?sslmode=disable&token=canary_token";

/// All commands except `projects url`, which prints a secret by design.
fn commands(file: &str, missing: &str, man: &str) -> Vec<Vec<String>> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut all: Vec<Vec<String>> = [
        &["import", "--source-url", URL, "--wait"][..],
        &["import", "--source-url", URL, "--via-dump", "--wait"],
        &["import", "--source-url", "postgres://user:canary_password@", "--wait"],
        &["import", "--source-url", "postgres://user:canary#password@host/db"],
        &["import", "--source-url", "postgres://user:canary_password@ep-x-pooler.eu.neon.tech/db", "--wait"],
        &["import", "--source-url", "postgres://user:canary_password@dpg-x-a/db", "--wait"],
        &["import", "--source-url", "prisma+postgres://user:canary_password@host/db"],
        &["import", "--wait"],
        &["import", "--file", file, "--recreate", "--wait"],
        &["import", "--file", missing],
        &["import", "preflight", "--source-url", URL],
        &["import", "preflight", "--local", "--source-url", URL],
        &[
            "import",
            "preflight",
            "--local",
            "--target-version",
            "17",
            "--source-url",
            "postgres://user:canary_password@:1/db?host=/tmp",
        ],
        &["import", "preflight", "--file", file],
        &["import", "preflight", "--file", file, "--plan-limit", "1GB"],
        &["import", "guide", "neon"],
        &["import", "--no-such-flag", URL],
        &["import", URL],
        &["import", "preflight", URL],
        &["import", "--file", URL],
        &["link", URL],
        &["login", "capy_live_canary_positional"],
        &["jobs", "list", "--project", URL],
        &["jobs", "list"],
        &["jobs", "get", "j1"],
        &["jobs", "get", "nope"],
        &["jobs", "wait", "j1"],
        &["projects", "list"],
        &["login"],
        &["login", "--api-key", KEY],
        &["whoami"],
        &["config", "show"],
        &["doctor"],
        &["link"],
        &["unlink"],
        &["logout"],
        &["man", man],
        &["completion", "bash"],
    ]
    .into_iter()
    .map(owned)
    .collect();
    all.push(owned(&["import", "--file", file, "--api-key", "capy_live_canary other"]));
    all
}

fn respond(mock_http: &MockServer, request: &crate::support::mock_http::Request) -> Response {
    match request.line().as_str() {
        "GET /status" => Response::Json(200, r#"{"status":"operational"}"#.into()),
        "GET /v1/me" => {
            Response::Json(200, r#"{"principal":{},"organization":{"id":"o","name":"Shop","slug":"shop"}}"#.into())
        }
        "POST /v1/cli/login/sessions" => {
            Response::Json(201, r#"{"session_id":"s1","poll_token":"canary_poll","state":"pending"}"#.into())
        }
        "GET /v1/cli/login/sessions/s1" => {
            Response::Json(200, r#"{"state":"approved","plaintext_api_key":"capy_live_canary_new"}"#.into())
        }
        _ => success_response(mock_http, request),
    }
}

#[test]
fn no_command_prints_a_secret() {
    let mock_http = MockServer::start(|mock_http, request, _| respond(mock_http, request));
    let dir = temp_dir();
    let file = write_dump(&dir);
    let man = dir.path().join("man").to_str().expect("UTF-8 path").to_owned();
    let missing = dir.path().join("missing").to_str().expect("UTF-8 path").to_owned();
    for command in commands(&file, &missing, &man) {
        for form in [&[][..], &["-o", "json"], &["--progress", "json"]] {
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            arguments.extend(["-vv"]);
            arguments.extend(form);
            let mut process = capydb(&arguments);
            let home = dir.path().join("home");
            std::fs::create_dir_all(&home).expect("create the home directory");
            process
                .env("CAPYDB_API_URL", mock_http.api_url())
                .env("CAPYDB_API_KEY", KEY)
                .env("CAPYDB_SOURCE_URL", URL)
                .env("PGPASSWORD", "canary_pgpassword")
                .env("HOME", &home)
                .env("XDG_CONFIG_HOME", &home)
                .current_dir(&home);
            let ran = run(process);
            let output = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!output.contains("canary"), "{arguments:?} leaks: {ran:#?}");
            assert!(!output.contains("panicked"), "{arguments:?}: {ran:#?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_saved_key_is_readable_only_by_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let mock_http = MockServer::start(|mock_http, request, _| respond(mock_http, request));
    let dir = temp_dir();
    let mut process = capydb(&["login"]);
    process.env("CAPYDB_API_URL", mock_http.api_url()).env("HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path());
    run(process).succeeds();
    let file = dir.path().join("capydb/config.json");
    let text = std::fs::read_to_string(&file).expect("read the login file");
    assert!(text.contains("capy_live_canary_new") && text.contains("\"active_org\": \"o\""), "{text}");
    assert_eq!(std::fs::metadata(&file).expect("inspect the login file").permissions().mode() & 0o777, 0o600);
}
