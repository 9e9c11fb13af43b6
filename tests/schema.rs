//! Tests the API against its OpenAPI description: Schemathesis, a Python program, generates
//! requests from the description and checks every response. Skipped without Python.
#![cfg(feature = "server")]
#![expect(clippy::print_stderr, reason = "the test prints what it ran")]

#[path = "support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::fixtures::{ControlPlane, test_dir};

/// Path of the installed fuzzer; skips the suite if it cannot be installed.
fn install_fuzzer() -> Option<PathBuf> {
    let python = Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
    if !python.is_ok_and(|status| status.success()) {
        support::skip("api-fuzz", "python3 with venv is not installed");
        return None;
    }
    let dir = support::fixtures::cache_dir().join("schemathesis");
    let output = Command::new("bash")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/schemathesis.sh"))
        .arg(dir)
        .stderr(Stdio::inherit())
        .output()
        .expect("run bash");
    assert!(output.status.success(), "cannot install the fuzzer");
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn fetch_description(control_plane: &ControlPlane) -> Value {
    let (status, description) = control_plane.call("GET", "/v1/openapi.json", None);
    assert_eq!(status, 200);
    description
}

/// Runs the fuzzer with this configuration.
fn fuzz(program: &PathBuf, control_plane: &ControlPlane, settings: &str, arguments: &[&str]) {
    let dir = test_dir();
    let config = dir.join("schemathesis.toml");
    std::fs::write(&config, settings).expect("write configuration");
    let output = Command::new(program)
        .arg("--config-file")
        .arg(config)
        .arg("run")
        .arg(format!("{}/v1/openapi.json", control_plane.api_url))
        .args(["--header", &format!("Authorization: Bearer {}", control_plane.api_key)])
        // The API checks more than a schema expresses (such as URLs), so it may reject valid data.
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--continue-on-failure", "--suppress-health-check", "all", "--request-timeout", "70"])
        // Below the rate limit of an API key.
        .args(["--rate-limit", "45/s", "--workers", "2", "--seed", "20260101"])
        .args(arguments)
        .current_dir(&dir)
        .env("HOME", &dir)
        .output()
        .expect("run fuzzer");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    let summary = stdout.lines().filter(|line| line.contains("generated") || line.contains("Tested:"));
    eprintln!("{}", summary.map(str::trim).collect::<Vec<_>>().join(", "));
    let (status, response) = control_plane.call("GET", "/status", None);
    assert_eq!((status, &response["status"]), (200, &json!("operational")), "the control plane still works");
}

/// The statuses with which the API may reject invalid data, including 413 for too large a body.
const REJECTION_STATUSES: &str =
    "[checks]\nnegative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 429]\n";

#[test]
fn responses_match_the_description() {
    let Some(program) = install_fuzzer() else { return };
    // The announced size of an upload must fit on the disk.
    let control_plane = ControlPlane::ephemeral_with(&["--plan-limit", "100MB"]);
    // Once with arbitrary IDs, and once with IDs that exist.
    fuzz(&program, &control_plane, REJECTION_STATUSES, &["--max-examples", "10"]);
    let project = control_plane.project("fuzzed");
    let (_, me) = control_plane.call("GET", "/v1/me", None);
    let org = me["organization"]["id"].as_str().expect("organization id");
    let endpoints = format!("/v1/organizations/{org}/webhook-endpoints");
    let (_, created) = control_plane.call("POST", &endpoints, Some(&json!({ "url": "http://127.0.0.1:1/" })));
    let endpoint = created["webhook_endpoint"]["id"].as_str().expect("endpoint id");
    let (_, jobs) = control_plane.call("GET", &format!("/v1/projects/{}/jobs", project.id), None);
    let job = jobs["jobs"][0]["id"].as_str().expect("job id");
    let slot = json!({ "size_bytes": 20 << 20, "parts": true });
    let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), Some(&slot));
    let upload = slot["upload"]["id"].as_str().expect("upload id");
    let with_parameters = |paths: &str, parameters: &str| {
        format!("[[operations]]\ninclude-path-regex = \"{paths}\"\nparameters = {{ {parameters} }}\n")
    };
    let settings = [
        REJECTION_STATUSES.to_owned(),
        with_parameters(
            "^/v1/projects/\\\\{id\\\\}",
            &format!("\"path.id\" = \"{}\", \"path.upload\" = \"{upload}\"", project.id),
        ),
        with_parameters("^/v1/jobs/", &format!("\"path.id\" = \"{job}\"")),
        with_parameters("^/v1/organizations/", &format!("\"path.org\" = \"{org}\", \"path.id\" = \"{endpoint}\"")),
    ];
    fuzz(&program, &control_plane, &settings.concat(), &["--max-examples", "20", "--phases", "coverage,fuzzing"]);
}

/// The description has every operation of the API contract.
#[test]
fn every_operation_of_the_contract_is_described() {
    let description = fetch_description(support::fixtures::control_plane());
    let operations = [
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
    for (method, path) in operations {
        let operation = &description["paths"][path][method];
        assert!(
            operation["summary"].is_string() && operation["responses"]["4XX"].is_object(),
            "{method} {path}: {operation}"
        );
    }
    assert_eq!(description["servers"][0]["url"], "/api/capydb");
    assert!(description["components"]["schemas"]["Job"]["properties"]["state"].is_object());
}

/// `docs/openapi.json` is the description that the API serves. Update it with `make openapi`.
#[test]
fn the_committed_description_is_current() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let served = format!("{:#}\n", fetch_description(support::fixtures::control_plane()));
    if std::env::var_os("CAPYDB_UPDATE_OPENAPI").is_some() {
        std::fs::write(file, &served).expect("write description");
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(committed == served, "docs/openapi.json is out of date: run make openapi");
}
