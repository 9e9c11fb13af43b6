//! Unusual and invalid API responses.

use crate::support::mock_http::{MockServer, Response};
use crate::support::{capydb, run};
use crate::{KEY, PROJECT, run_against, success_response, temp_dir, write_dump};
use serde_json::json;
use std::time::{Duration, Instant};

const URL: &str = "postgres://u:canary_password@db.example.com/d";

#[test]
fn every_bad_response_has_a_clear_error_and_exit_code() {
    let cases: [(u16, &'static str, &str, i32, &str); 12] = [
        (200, "Content-Type: text/html", "<!doctype html><p>hello", 1, "(a web page)"),
        (200, "Content-Type: application/json", "{]", 1, "(not JSON)"),
        (200, "Content-Type: application/json", r#"{"projects":7}"#, 1, "fields are missing"),
        (401, "X: y", r#"{"error":"key revoked"}"#, 3, "key revoked"),
        (403, "X: y", "<html>", 3, "returned 403 Forbidden"),
        (404, "X: y", "", 4, "returned 404 Not Found"),
        (409, "X: y", r#"{"error":"busy"}"#, 5, "busy"),
        (412, "X: y", r#"{"error":"not ready"}"#, 5, "not ready"),
        (429, "Retry-After: 99", "", 1, "wait 99 seconds, then run the command again"),
        (500, "X: y", "", 1, "the control plane has an internal error"),
        (504, "X: y", "<html>", 6, "returned 504 Gateway Timeout"),
        (302, "Location: http://elsewhere.invalid/", "", 1, "returned 302 Found"),
    ];
    let threads = cases.map(|(status, header, body, code, message)| {
        std::thread::spawn(move || {
            let mock_http = MockServer::start(move |_, _, _| Response::Raw(status, header, body.to_owned()));
            let ran = run_against(&mock_http, &["projects", "list", "-o", "json"]).fails(code, message);
            let document = ran.json();
            assert!(document["error"]["message"].is_string() && document["error"]["code"].is_string(), "{ran:#?}");
            assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
        })
    });
    for thread in threads {
        thread.join().expect("the case passes");
    }
}

#[test]
fn a_missing_response_is_reported() {
    let mock_http = MockServer::start(|_, _, _| Response::Drop);
    run_against(&mock_http, &["projects", "list"]).fails(1, "cannot reach 127.0.0.1");
    assert_eq!(mock_http.lines().len(), 4, "a read-only call is retried");
    let mut command = capydb(&["projects", "list", "--api-url", "http://127.0.0.1:1/api/capydb"]);
    command.env("CAPYDB_API_KEY", KEY);
    run(command).fails(1, "check the address");
}

#[test]
fn a_read_only_call_is_retried() {
    let mock_http = MockServer::start(|mock_http, request, before| match before {
        0 => Response::Raw(503, "Retry-After: 0", String::new()),
        1 => Response::Drop,
        _ => success_response(mock_http, request),
    });
    let ran = run_against(&mock_http, &["projects", "list"]).succeeds();
    assert!(ran.stdout.contains("shop"), "{ran:#?}");
}

#[test]
fn an_import_makes_few_requests_and_sends_the_key_only_to_the_api() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let dir = temp_dir();
    let ran = run_against(&mock_http, &["import", "--file", &write_dump(&dir), "--recreate", "--wait"]).succeeds();
    assert!(ran.stdout.contains("Imported into project shop"), "{ran:#?}");
    assert_eq!(
        mock_http.lines(),
        [
            "GET /v1/projects",
            "GET /v1/projects/p1/jobs",
            "POST /v1/projects/p1/imports/uploads",
            "PUT /put",
            "GET /v1/projects/p1/jobs",
            "POST /v1/projects/p1/imports",
            "GET /v1/jobs/j1"
        ]
    );
    for request in mock_http.requests() {
        let expected = (request.method != "PUT").then(|| format!("Bearer {KEY}"));
        assert_eq!(request.header("authorization"), expected.as_deref(), "{request:?}");
        assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("capydb-cli/")));
        assert_eq!(request.header("content-type").is_some(), !request.body.is_empty(), "{request:?}");
    }
    let put = &mock_http.requests()[3];
    assert_eq!(
        (put.header("content-length"), put.header("content-type")),
        (Some("24"), Some("application/octet-stream"))
    );
    assert_eq!(put.body, b"CREATE TABLE t (x int);\n");
    let start: serde_json::Value = serde_json::from_slice(&mock_http.requests()[5].body).expect("valid JSON");
    assert_eq!(start, json!({ "confirm": true, "recreate": true, "upload_key": "k" }));
}

#[test]
fn without_wait_the_job_and_the_next_command_are_printed() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let ran = run_against(&mock_http, &["import", "--source-url", URL]).succeeds();
    assert!(ran.stdout.contains("capydb jobs wait j1"), "{ran:#?}");
    assert!(!mock_http.lines().contains(&"GET /v1/jobs/j1".to_owned()));
    assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
}

#[test]
fn a_lost_start_response_does_not_start_a_second_import() {
    let mock_http = MockServer::start(|mock_http, request, before| {
        match (request.line().as_str(), before) {
        ("POST /v1/projects/p1/imports", _) => Response::Drop,
        ("GET /v1/projects/p1/jobs", 2) => Response::Json(
            200,
            r#"{"jobs":[{"id":"j1","type":"project.import","state":"running"},{"id":"j0","type":"project.import","state":"failed"}]}"#.into(),
        ),
        ("GET /v1/projects/p1/jobs", _) => Response::Json(200, r#"{"jobs":[{"id":"j0","type":"project.import","state":"failed"}]}"#.into()),
        _ => success_response(mock_http, request),
    }
    });
    run_against(&mock_http, &["import", "--source-url", URL, "--wait"]).succeeds();
    assert_eq!(mock_http.lines().iter().filter(|line| *line == "POST /v1/projects/p1/imports").count(), 1);
    let mock_http = MockServer::start(|mock_http, request, _| match request.line().as_str() {
        "POST /v1/projects/p1/imports" => Response::Drop,
        _ => success_response(mock_http, request),
    });
    run_against(&mock_http, &["import", "--source-url", URL, "--wait"])
        .fails(1, "could not confirm that the import started");
    assert_eq!(mock_http.lines().iter().filter(|line| *line == "POST /v1/projects/p1/imports").count(), 1);
}

#[test]
fn waiting_retries_errors_and_notices_completion_quickly() {
    let mock_http = MockServer::start(|mock_http, request, before| match (request.line().as_str(), before) {
        ("GET /v1/jobs/j1", 0) => Response::Json(200, r#"{"job":{"id":"j1","state":"running"}}"#.into()),
        ("GET /v1/jobs/j1", 1) => Response::Drop,
        ("GET /v1/jobs/j1", 2) => Response::Raw(502, "X: y", "<html>".into()),
        ("GET /v1/jobs/j1", 3) => Response::Raw(200, "X: y", "<html>".into()),
        _ => success_response(mock_http, request),
    });
    let ran = run_against(&mock_http, &["jobs", "wait", "j1"]).succeeds();
    assert!(ran.stderr.contains("; retrying"), "{ran:#?}");
    let started = Instant::now();
    let short_job = MockServer::start(move |mock_http, request, _| {
        if started.elapsed() < Duration::from_millis(500) {
            Response::Json(200, r#"{"job":{"id":"j1","type":"project.import","state":"running"}}"#.into())
        } else {
            success_response(mock_http, request)
        }
    });
    run_against(&short_job, &["jobs", "wait", "j1"]).succeeds();
    let polls = short_job.lines().len();
    assert!((2..=8).contains(&polls), "a job of 500 ms was polled {polls} times");
}

#[test]
fn a_failed_job_shows_its_error_without_escape_sequences() {
    let mock_http = MockServer::start(|_, _, _| {
        let job = json!({ "job": { "id": "j1", "type": "project.import", "state": "failed", "error": "it \u{1b}[31mbroke",
            "last_stderr": "one\ntwo \u{1b}]0;x\u{7}\nthree", "retry_classification": "transient" } });
        Response::Json(200, job.to_string())
    });
    let ran = run_against(&mock_http, &["jobs", "wait", "j1", "-o", "json"]).fails(1, "the job failed: it");
    assert!(ran.stderr.contains("  | three") && ran.stderr.contains("run the import again"), "{ran:#?}");
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:#?}");
    assert_eq!(ran.json()["job"]["state"], "failed");
}

#[test]
fn a_running_import_is_detected_before_the_upload() {
    let mock_http = MockServer::start(|mock_http, request, _| match request.line().as_str() {
        "GET /v1/projects/p1/jobs" => {
            Response::Json(200, r#"{"jobs":[{"id":"j9","type":"project.import","state":"running"}]}"#.into())
        }
        _ => success_response(mock_http, request),
    });
    let dir = temp_dir();
    run_against(&mock_http, &["import", "--file", &write_dump(&dir)]).fails(5, "capydb jobs wait j9");
    assert_eq!(mock_http.lines().len(), 2);
}

#[test]
fn a_project_is_selected_or_the_candidates_are_listed() {
    let two_projects = || {
        Response::Json(
            200,
            format!(r#"{{"projects":[{PROJECT},{}]}}"#, PROJECT.replace("p1", "p2").replace("hop", "hip")),
        )
    };
    let mock_http = MockServer::start(move |mock_http, request, _| match request.line().as_str() {
        "GET /v1/projects" => two_projects(),
        _ => success_response(mock_http, request),
    });
    run_against(&mock_http, &["jobs", "list"]).fails(2, "choose a project with --project: shop, ship");
    run_against(&mock_http, &["jobs", "list", "--project", "SHOP"]).succeeds();
    run_against(&mock_http, &["jobs", "list", "--project", "nope"]).fails(4, "projects: shop, ship");
    let no_projects = MockServer::start(|_, _, _| Response::Json(200, r#"{"projects":null}"#.into()));
    run_against(&no_projects, &["jobs", "list"]).fails(4, "create a project first");
}

#[test]
fn the_wait_timeout_holds_when_the_server_does_not_respond() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let url = format!("http://{}/api/capydb", listener.local_addr().expect("local address"));
    let mut command = capydb(&["jobs", "wait", "j1", "--wait-timeout", "1s", "--api-url", &url]);
    command.env("CAPYDB_API_KEY", KEY);
    let started = Instant::now();
    run(command).fails(6, "capydb jobs wait j1");
    assert!(started.elapsed() < Duration::from_secs(15), "the request itself times out after 30 seconds");
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    run_against(&mock_http, &["jobs", "wait", "j1", "--wait-timeout", "500000000000years"]).succeeds();
}

#[test]
fn an_interrupt_while_the_import_starts_is_reported() {
    // The response to the start request does not arrive in time.
    let (started, received) = std::sync::mpsc::channel();
    let started = std::sync::Mutex::new(started);
    let mock_http = MockServer::start(move |mock_http, request, _| {
        if request.line() == "POST /v1/projects/p1/imports" {
            let _ = started.lock().expect("not poisoned").send(());
            std::thread::sleep(Duration::from_secs(20));
        }
        success_response(mock_http, request)
    });
    let dir = temp_dir();
    let mut command = capydb(&["import", "--file", &write_dump(&dir), "-o", "json"]);
    let child =
        command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY).spawn().expect("run capydb");
    received.recv().expect("the start request arrives");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().expect("run kill").success());
    let ran = crate::support::Ran::of(&child.wait_with_output().expect("wait for capydb"));
    let ran = ran.fails(130, "could not confirm that the import started");
    assert_eq!(ran.json()["error"]["code"], "interrupted");
}
