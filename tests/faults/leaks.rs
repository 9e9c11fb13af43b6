//! Secrets stay secret: every command at its most talkative, with canaries wherever a secret
//! can be.

use crate::support::mock_http::{Answer, Peer};
use crate::support::{capydb, run};
use crate::{KEY, dump, folder, works};

const URL: &str = "postgres://user:canary_password@127.0.0.1:1/db?sslmode=disable&token=canary_token";

/// All commands that do not print a secret on purpose (`projects url` does).
fn commands(file: &str, missing: &str, man: &str) -> Vec<Vec<String>> {
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
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
    .map(texts)
    .collect();
    all.push(texts(&["import", "--file", file, "--api-key", "capy_live_canary other"]));
    all
}

fn answers(mock_http: &Peer, request: &crate::support::mock_http::Request) -> Answer {
    match request.line().as_str() {
        "GET /status" => Answer::Json(200, r#"{"status":"operational"}"#.into()),
        "GET /v1/me" => {
            Answer::Json(200, r#"{"principal":{},"organization":{"id":"o","name":"Shop","slug":"shop"}}"#.into())
        }
        "POST /v1/cli/login/sessions" => {
            Answer::Json(201, r#"{"session_id":"s1","poll_token":"canary_poll","state":"pending"}"#.into())
        }
        "GET /v1/cli/login/sessions/s1" => {
            Answer::Json(200, r#"{"state":"approved","plaintext_api_key":"capy_live_canary_new"}"#.into())
        }
        _ => works(mock_http, request),
    }
}

#[test]
fn no_command_repeats_a_secret() {
    let mock_http = Peer::start(|mock_http, request, _| answers(mock_http, request));
    let folder = folder();
    let file = dump(&folder);
    let man = folder.path().join("man").to_str().expect("a path").to_owned();
    let missing = folder.path().join("missing").to_str().expect("a path").to_owned();
    for command in commands(&file, &missing, &man) {
        for form in [&[][..], &["-o", "json"], &["--progress", "json"]] {
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            arguments.extend(["-vv"]);
            arguments.extend(form);
            let mut program = capydb(&arguments);
            let home = folder.path().join("home");
            std::fs::create_dir_all(&home).expect("a home");
            program
                .env("CAPYDB_API_URL", mock_http.api_url())
                .env("CAPYDB_API_KEY", KEY)
                .env("CAPYDB_SOURCE_URL", URL)
                .env("PGPASSWORD", "canary_pgpassword")
                .env("HOME", &home)
                .env("XDG_CONFIG_HOME", &home)
                .current_dir(&home);
            let ran = run(program);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!said.contains("canary"), "{arguments:?} leaks: {ran:#?}");
            assert!(!said.contains("panicked"), "{arguments:?}: {ran:#?}");
        }
    }
}

/// What a saved login leaves behind: a file for its owner alone.
#[cfg(unix)]
#[test]
fn a_saved_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mock_http = Peer::start(|mock_http, request, _| answers(mock_http, request));
    let folder = folder();
    let mut program = capydb(&["login"]);
    program.env("CAPYDB_API_URL", mock_http.api_url()).env("HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
    run(program).succeeds();
    let file = folder.path().join("capydb/config.json");
    let text = std::fs::read_to_string(&file).expect("is there");
    assert!(text.contains("capy_live_canary_new") && text.contains("\"active_org\": \"o\""), "{text}");
    assert_eq!(std::fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
}
