//! The description of the API against the API itself: a schema fuzzer makes calls of all kinds
//! from it and checks every answer. It is a program of Python's; where there is no Python, `make
//! test` says that this was not tested.
#![cfg(feature = "server")]
#![expect(clippy::print_stderr, reason = "a test says what it has run")]

#[path = "support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::fixtures::{ControlPlane, open_folder};

/// The fuzzer, unless this machine cannot have it.
fn fuzzer() -> Option<PathBuf> {
    let python = Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
    if !python.is_ok_and(|status| status.success()) {
        support::skip("api-fuzz", "python3 with venv is not installed");
        return None;
    }
    let folder = support::fixtures::cache().join("schemathesis");
    let output = Command::new("bash")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/schemathesis.sh"))
        .arg(folder)
        .stderr(Stdio::inherit())
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "the fuzzer could not be installed");
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn document(control_plane: &ControlPlane) -> Value {
    let (status, document) = control_plane.call("GET", "/v1/openapi.json", None);
    assert_eq!(status, 200);
    document
}

/// Runs the fuzzer with settings of its own.
fn fuzz(program: &PathBuf, control_plane: &ControlPlane, settings: &str, arguments: &[&str]) {
    let folder = open_folder();
    let config = folder.join("schemathesis.toml");
    std::fs::write(&config, settings).expect("written");
    let output = Command::new(program)
        .arg("--config-file")
        .arg(config)
        .arg("run")
        .arg(format!("{}/v1/openapi.json", control_plane.api_url))
        .args(["--header", &format!("Authorization: Bearer {}", control_plane.api_key)])
        // Rules go further than a schema can say (URLs, what exists), so valid forms may be refused.
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--continue-on-failure", "--suppress-health-check", "all", "--request-timeout", "70"])
        // As fast as one key may call.
        .args(["--rate-limit", "45/s", "--workers", "2", "--seed", "20260101"])
        .args(arguments)
        .current_dir(&folder)
        .env("HOME", &folder)
        .output()
        .expect("the fuzzer runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let end = said.lines().filter(|line| line.contains("generated") || line.contains("Tested:"));
    eprintln!("{}", end.map(str::trim).collect::<Vec<_>>().join(", "));
    let (status, answer) = control_plane.call("GET", "/status", None);
    assert_eq!((status, &answer["status"]), (200, &json!("operational")), "the control plane has outlived it");
}

/// Refusals of forms that are not valid; a body that is too large has a status of its own.
const REFUSALS: &str =
    "[checks]\nnegative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 429]\n";

#[test]
fn the_api_answers_as_its_description_says() {
    let Some(program) = fuzzer() else { return };
    // What is announced must fit on the disk, whichever this is.
    let control_plane = ControlPlane::throw_away_with(&["--plan-limit", "100MB"]);
    // Once with whatever comes, and once with things that are there.
    fuzz(&program, &control_plane, REFUSALS, &["--max-examples", "10"]);
    let project = control_plane.project("fuzzed");
    let (_, me) = control_plane.call("GET", "/v1/me", None);
    let org = me["organization"]["id"].as_str().expect("an id");
    let endpoints = format!("/v1/organizations/{org}/webhook-endpoints");
    let (_, made) = control_plane.call("POST", &endpoints, Some(&json!({ "url": "http://127.0.0.1:1/" })));
    let endpoint = made["webhook_endpoint"]["id"].as_str().expect("an id");
    let (_, jobs) = control_plane.call("GET", &format!("/v1/projects/{}/jobs", project.id), None);
    let job = jobs["jobs"][0]["id"].as_str().expect("an id");
    let slot = json!({ "size_bytes": 20 << 20, "parts": true });
    let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), Some(&slot));
    let upload = slot["upload"]["id"].as_str().expect("an id");
    let there = |paths: &str, parameters: &str| {
        format!("[[operations]]\ninclude-path-regex = \"{paths}\"\nparameters = {{ {parameters} }}\n")
    };
    let settings = [
        REFUSALS.to_owned(),
        there(
            "^/v1/projects/\\\\{id\\\\}",
            &format!("\"path.id\" = \"{}\", \"path.upload\" = \"{upload}\"", project.id),
        ),
        there("^/v1/jobs/", &format!("\"path.id\" = \"{job}\"")),
        there("^/v1/organizations/", &format!("\"path.org\" = \"{org}\", \"path.id\" = \"{endpoint}\"")),
    ];
    fuzz(&program, &control_plane, &settings.concat(), &["--max-examples", "20", "--phases", "coverage,fuzzing"]);
}

/// What the contract promises is in the description.
#[test]
fn every_call_of_the_contract_is_described() {
    let document = document(support::fixtures::control_plane());
    let calls = [
        ("get", "/status"),
        ("get", "/v1/me"),
        ("get", "/v1/projects"),
        ("post", "/v1/projects"),
        ("get", "/v1/projects/{id}"),
        ("get", "/v1/projects/{id}/connections"),
        ("post", "/v1/projects/{id}/imports/preflight"),
        ("post", "/v1/projects/{id}/imports/uploads"),
        ("post", "/v1/projects/{id}/imports"),
        ("get", "/v1/jobs/{id}"),
        ("get", "/v1/projects/{id}/jobs"),
        ("get", "/v1/projects/{id}/extensions"),
        ("get", "/v1/organizations/{org}/webhook-endpoints"),
        ("post", "/v1/organizations/{org}/webhook-endpoints"),
        ("patch", "/v1/organizations/{org}/webhook-endpoints/{id}"),
        ("delete", "/v1/organizations/{org}/webhook-endpoints/{id}"),
        ("post", "/v1/organizations/{org}/webhook-endpoints/{id}/rotate-secret"),
        ("get", "/v1/organizations/{org}/webhook-endpoints/{id}/deliveries"),
        ("get", "/v1/projects/{id}/integrations"),
        ("put", "/v1/projects/{id}/integrations/{provider}"),
        ("delete", "/v1/projects/{id}/integrations/{provider}"),
        ("post", "/v1/cli/login/sessions"),
        ("get", "/v1/cli/login/sessions/{id}"),
        ("post", "/v1/projects/{id}/sql"),
    ];
    for (method, path) in calls {
        let call = &document["paths"][path][method];
        assert!(call["summary"].is_string() && call["responses"]["4XX"].is_object(), "{method} {path}: {call}");
    }
    assert_eq!(document["servers"][0]["url"], "/api/capydb");
    assert!(document["components"]["schemas"]["Job"]["properties"]["state"].is_object());
}

/// `docs/openapi.json` is the description that the API serves. Update it with `make openapi`.
#[test]
fn the_committed_description_is_current() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let served = format!("{:#}\n", document(support::fixtures::control_plane()));
    if std::env::var_os("CAPYDB_UPDATE_OPENAPI").is_some() {
        std::fs::write(file, &served).expect("writes the description");
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(committed == served, "docs/openapi.json is out of date: run make openapi");
}
