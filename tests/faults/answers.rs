//! Unusual and invalid responses of the API.

use crate::support::mock_http::{Answer, Peer};
use crate::support::{capydb, run};
use crate::{KEY, PROJECT, against, dump, folder, works};
use serde_json::json;
use std::time::{Duration, Instant};

const URL: &str = "postgres://u:canary_password@db.example.com/d";

#[test]
fn every_bad_answer_reads_well_and_has_its_code() {
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
    let threads = cases.map(|(status, head, body, code, words)| {
        std::thread::spawn(move || {
            let mock_http = Peer::start(move |_, _, _| Answer::Raw(status, head, body.to_owned()));
            let ran = against(&mock_http, &["projects", "list", "-o", "json"]).fails(code, words);
            let document = ran.json();
            assert!(document["error"]["message"].is_string() && document["error"]["code"].is_string(), "{ran:#?}");
            assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
        })
    });
    for thread in threads {
        thread.join().expect("the case holds");
    }
}

#[test]
fn no_answer_at_all_is_told() {
    let mock_http = Peer::start(|_, _, _| Answer::Drop);
    against(&mock_http, &["projects", "list"]).fails(1, "cannot reach 127.0.0.1");
    assert_eq!(mock_http.lines().len(), 4, "a call that changes nothing is repeated");
    let mut command = capydb(&["projects", "list", "--api-url", "http://127.0.0.1:1/api/capydb"]);
    command.env("CAPYDB_API_KEY", KEY);
    run(command).fails(1, "check the address");
}

#[test]
fn a_call_that_changes_nothing_survives_trouble() {
    let mock_http = Peer::start(|mock_http, request, before| match before {
        0 => Answer::Raw(503, "Retry-After: 0", String::new()),
        1 => Answer::Drop,
        _ => works(mock_http, request),
    });
    let ran = against(&mock_http, &["projects", "list"]).succeeds();
    assert!(ran.stdout.contains("shop"), "{ran:#?}");
}

#[test]
fn an_import_makes_few_calls_and_the_key_stays_with_the_api() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    let folder = folder();
    let ran = against(&mock_http, &["import", "--file", &dump(&folder), "--recreate", "--wait"]).succeeds();
    assert!(ran.stdout.contains("Imported into shop_db of project shop"), "{ran:#?}");
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
    for request in mock_http.seen() {
        let expected = (request.method != "PUT").then(|| format!("Bearer {KEY}"));
        assert_eq!(request.header("authorization"), expected.as_deref(), "{request:?}");
        assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("capydb-cli/")));
        assert_eq!(request.header("content-type").is_some(), !request.body.is_empty(), "{request:?}");
    }
    let put = &mock_http.seen()[3];
    assert_eq!(
        (put.header("content-length"), put.header("content-type")),
        (Some("24"), Some("application/octet-stream"))
    );
    assert_eq!(put.body, b"CREATE TABLE t (x int);\n");
    let start: serde_json::Value = serde_json::from_slice(&mock_http.seen()[5].body).expect("JSON");
    assert_eq!(start, json!({ "confirm": true, "recreate": true, "upload_key": "k" }));
}

#[test]
fn without_wait_the_job_and_the_next_command_are_printed() {
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    let ran = against(&mock_http, &["import", "--source-url", URL]).succeeds();
    assert!(ran.stdout.contains("capydb jobs wait j1"), "{ran:#?}");
    assert!(!mock_http.lines().contains(&"GET /v1/jobs/j1".to_owned()));
    assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
}

#[test]
fn a_lost_answer_to_the_start_does_not_start_twice() {
    let mock_http = Peer::start(|mock_http, request, before| {
        match (request.line().as_str(), before) {
        ("POST /v1/projects/p1/imports", _) => Answer::Drop,
        ("GET /v1/projects/p1/jobs", 2) => Answer::Json(
            200,
            r#"{"jobs":[{"id":"j1","type":"project.import","state":"running"},{"id":"j0","type":"project.import","state":"failed"}]}"#.into(),
        ),
        ("GET /v1/projects/p1/jobs", _) => Answer::Json(200, r#"{"jobs":[{"id":"j0","type":"project.import","state":"failed"}]}"#.into()),
        _ => works(mock_http, request),
    }
    });
    against(&mock_http, &["import", "--source-url", URL, "--wait"]).succeeds();
    assert_eq!(mock_http.lines().iter().filter(|line| *line == "POST /v1/projects/p1/imports").count(), 1);
    let mock_http = Peer::start(|mock_http, request, _| match request.line().as_str() {
        "POST /v1/projects/p1/imports" => Answer::Drop,
        _ => works(mock_http, request),
    });
    against(&mock_http, &["import", "--source-url", URL, "--wait"])
        .fails(1, "could not confirm that the import started");
    assert_eq!(mock_http.lines().iter().filter(|line| *line == "POST /v1/projects/p1/imports").count(), 1);
}

#[test]
fn waiting_rides_out_trouble_and_is_quick() {
    let mock_http = Peer::start(|mock_http, request, before| match (request.line().as_str(), before) {
        ("GET /v1/jobs/j1", 0) => Answer::Json(200, r#"{"job":{"id":"j1","state":"running"}}"#.into()),
        ("GET /v1/jobs/j1", 1) => Answer::Drop,
        ("GET /v1/jobs/j1", 2) => Answer::Raw(502, "X: y", "<html>".into()),
        ("GET /v1/jobs/j1", 3) => Answer::Raw(200, "X: y", "<html>".into()),
        _ => works(mock_http, request),
    });
    let ran = against(&mock_http, &["jobs", "wait", "j1"]).succeeds();
    assert!(ran.stderr.contains("; retrying"), "{ran:#?}");
    let began = Instant::now();
    let short = Peer::start(move |mock_http, request, _| {
        if began.elapsed() < Duration::from_millis(500) {
            Answer::Json(200, r#"{"job":{"id":"j1","type":"project.import","state":"running"}}"#.into())
        } else {
            works(mock_http, request)
        }
    });
    against(&short, &["jobs", "wait", "j1"]).succeeds();
    let looks = short.lines().len();
    assert!((2..=8).contains(&looks), "a job of half a second was looked at {looks} times");
}

#[test]
fn a_failed_job_shows_its_words_and_no_escape_sequences() {
    let mock_http = Peer::start(|_, _, _| {
        let job = json!({ "job": { "id": "j1", "type": "project.import", "state": "failed", "error": "it \u{1b}[31mbroke",
            "last_stderr": "one\ntwo \u{1b}]0;x\u{7}\nthree", "retry_classification": "transient" } });
        Answer::Json(200, job.to_string())
    });
    let ran = against(&mock_http, &["jobs", "wait", "j1", "-o", "json"]).fails(1, "the job failed: it");
    assert!(ran.stderr.contains("  | three") && ran.stderr.contains("run the import again"), "{ran:#?}");
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:#?}");
    assert_eq!(ran.json()["job"]["state"], "failed");
}

#[test]
fn an_import_that_runs_already_is_met_before_anything_is_sent() {
    let mock_http = Peer::start(|mock_http, request, _| match request.line().as_str() {
        "GET /v1/projects/p1/jobs" => {
            Answer::Json(200, r#"{"jobs":[{"id":"j9","type":"project.import","state":"running"}]}"#.into())
        }
        _ => works(mock_http, request),
    });
    let folder = folder();
    against(&mock_http, &["import", "--file", &dump(&folder)]).fails(5, "capydb jobs wait j9");
    assert_eq!(mock_http.lines().len(), 2);
}

#[test]
fn projects_are_chosen_or_listed() {
    let two = || {
        Answer::Json(
            200,
            format!(r#"{{"projects":[{PROJECT},{}]}}"#, PROJECT.replace("p1", "p2").replace("hop", "hip")),
        )
    };
    let mock_http = Peer::start(move |mock_http, request, _| match request.line().as_str() {
        "GET /v1/projects" => two(),
        _ => works(mock_http, request),
    });
    against(&mock_http, &["jobs", "list"]).fails(2, "choose a project with --project: shop, ship");
    against(&mock_http, &["jobs", "list", "--project", "SHOP"]).succeeds();
    against(&mock_http, &["jobs", "list", "--project", "nope"]).fails(4, "projects: shop, ship");
    let none = Peer::start(|_, _, _| Answer::Json(200, r#"{"projects":null}"#.into()));
    against(&none, &["jobs", "list"]).fails(4, "create a project first");
}

#[test]
fn a_deadline_holds_when_nothing_answers() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/api/capydb", silent.local_addr().expect("an address"));
    let mut command = capydb(&["jobs", "wait", "j1", "--wait-timeout", "1s", "--api-url", &url]);
    command.env("CAPYDB_API_KEY", KEY);
    let began = Instant::now();
    run(command).fails(6, "capydb jobs wait j1");
    assert!(began.elapsed() < Duration::from_secs(15), "the call itself would take 30 seconds");
    let mock_http = Peer::start(|mock_http, request, _| works(mock_http, request));
    against(&mock_http, &["jobs", "wait", "j1", "--wait-timeout", "500000000000years"]).succeeds();
}

#[test]
fn an_interrupt_is_heard_at_every_moment() {
    // The start of an import never gets its answer.
    let (asked, heard) = std::sync::mpsc::channel();
    let asked = std::sync::Mutex::new(asked);
    let mock_http = Peer::start(move |mock_http, request, _| {
        if request.line() == "POST /v1/projects/p1/imports" {
            let _ = asked.lock().expect("not poisoned").send(());
            std::thread::sleep(Duration::from_secs(20));
        }
        works(mock_http, request)
    });
    let folder = folder();
    let mut command = capydb(&["import", "--file", &dump(&folder), "-o", "json"]);
    let child = command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY).spawn().expect("runs");
    heard.recv().expect("the start was asked for");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().expect("runs").success());
    let ran = crate::support::Ran::of(&child.wait_with_output().expect("ends"));
    let ran = ran.fails(130, "could not confirm that the import started");
    assert_eq!(ran.json()["error"]["code"], "interrupted");
}
