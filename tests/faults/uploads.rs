//! Upload errors, changes of the dump during an upload, and progress output.

use crate::support::mock_http::{MockServer, Response};
use crate::{run_against, success_response, temp_dir, write_dump};
use std::io::Write;

const PUT: &str = "PUT /put";

#[test]
fn a_transient_error_is_reported_and_retried() {
    let mock_http = MockServer::start(|mock_http, request, before| match (request.line().as_str(), before) {
        (PUT, 0) => Response::Raw(503, "X: y", "<Error><Message>Slow down</Message></Error>".into()),
        _ => success_response(mock_http, request),
    });
    let dir = temp_dir();
    let ran = run_against(&mock_http, &["import", "--file", &write_dump(&dir), "-vv"]).succeeds();
    let warning =
        "warning: attempt 2 of 6, waiting 1 s: storage at 127.0.0.1 rejected the upload with status 503: Slow down";
    assert!(ran.stderr.contains(warning), "{ran:#?}");
    let slots = mock_http.lines().iter().filter(|line| line.ends_with("imports/uploads")).count();
    assert_eq!(slots, 1, "the upload URL is reused");
    assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
}

#[test]
fn a_rejected_upload_fails_with_the_message_of_storage() {
    let mock_http = MockServer::start(|mock_http, request, _| match request.line().as_str() {
        PUT => {
            let xml = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message><Signature>canary</Signature></Error>";
            Response::Raw(403, "Content-Type: application/xml", xml.into())
        }
        _ => success_response(mock_http, request),
    });
    let dir = temp_dir();
    let ran = run_against(&mock_http, &["import", "--file", &write_dump(&dir), "-vv", "-o", "json"])
        .fails(1, "status 403: Request has expired");
    assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
    assert_eq!(mock_http.lines().iter().filter(|line| *line == PUT).count(), 2, "one retry with a new URL");
    assert!(!mock_http.lines().contains(&"POST /v1/projects/p1/imports".to_owned()), "no import is started");
}

#[test]
fn a_dump_that_grows_during_the_upload_is_rejected() {
    let dir = temp_dir();
    let path = write_dump(&dir);
    let growing = path.clone();
    let mock_http = MockServer::start(move |mock_http, request, _| {
        if request.line() == PUT {
            let mut file = std::fs::OpenOptions::new().append(true).open(&growing).expect("open the dump");
            file.write_all(b"CREATE TABLE late (x int);\n").expect("append to the dump");
        }
        success_response(mock_http, request)
    });
    run_against(&mock_http, &["import", "--file", &path]).fails(5, "the dump changed during the upload");
    assert!(!mock_http.lines().contains(&"POST /v1/projects/p1/imports".to_owned()), "no import is started");
}

#[test]
fn a_dump_that_shrinks_during_the_upload_is_rejected() {
    let dir = temp_dir();
    let path = write_dump(&dir);
    let shrinking = path.clone();
    let mock_http = MockServer::start(move |mock_http, request, _| {
        if request.line().ends_with("imports/uploads") {
            std::fs::write(&shrinking, "S").expect("truncate the dump");
        }
        success_response(mock_http, request)
    });
    run_against(&mock_http, &["import", "--file", &path]).fails(5, "the dump changed during the upload");
    assert!(!mock_http.lines().contains(&"POST /v1/projects/p1/imports".to_owned()), "no import is started");
}

#[test]
fn progress_in_a_log_uses_plain_lines() {
    let mock_http = MockServer::start(|mock_http, request, _| success_response(mock_http, request));
    let dir = temp_dir();
    let ran = run_against(&mock_http, &["import", "--file", &write_dump(&dir)]).succeeds();
    assert!(ran.stderr.contains("Uploading 24 B\n") && ran.stderr.contains("Uploaded 24 B in "), "{ran:#?}");
    assert!(!ran.stderr.contains('\r') && !ran.stderr.contains('\u{1b}'), "{ran:#?}");
    let ran = run_against(&mock_http, &["import", "--file", &write_dump(&dir), "--quiet"]).succeeds();
    assert_eq!(ran.stderr, "");
}
