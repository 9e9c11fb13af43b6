//! Uploads over failing networks and storage.

use crate::support::mock_http::{Answer, Peer};
use crate::{against, dump, folder, works};
use std::io::Write;

const PUT: &str = "PUT /put";

#[test]
fn a_transient_fault_is_told_and_tried_again() {
    let mock_http = Peer::start(|mock_http, request, before| match (request.line().as_str(), before) {
        (PUT, 0) => Answer::Raw(503, "X: y", "<Error><Message>Slow down</Message></Error>".into()),
        _ => works(mock_http, request),
    });
    let folder = folder();
    let ran = against(&mock_http, &["import", "--file", &dump(&folder), "-vv"]).succeeds();
    let told =
        "warning: attempt 2 of 6, waiting 1 s: storage at 127.0.0.1 rejected the upload with status 503: Slow down";
    assert!(ran.stderr.contains(told), "{ran:#?}");
    let slots = mock_http.lines().iter().filter(|line| line.ends_with("imports/uploads")).count();
    assert_eq!(slots, 1, "the URL is as good as before");
    assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
}

#[test]
fn a_refusal_is_final_and_shows_the_words_of_storage() {
    let mock_http = Peer::start(|mock_http, request, _| match request.line().as_str() {
        PUT => {
            let xml = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message><Signature>canary</Signature></Error>";
            Answer::Raw(403, "Content-Type: application/xml", xml.into())
        }
        _ => works(mock_http, request),
    });
    let folder = folder();
    let ran = against(&mock_http, &["import", "--file", &dump(&folder), "-vv", "-o", "json"])
        .fails(1, "status 403: Request has expired");
    assert!(!format!("{ran:?}").contains("canary"), "{ran:#?}");
    assert_eq!(mock_http.lines().iter().filter(|line| *line == PUT).count(), 2, "once more with another URL");
    assert!(!mock_http.lines().contains(&"POST /v1/projects/p1/imports".to_owned()), "nothing is started");
}

#[test]
fn a_dump_that_grows_while_it_is_sent_is_refused() {
    let folder = folder();
    let path = dump(&folder);
    let growing = path.clone();
    let mock_http = Peer::start(move |mock_http, request, _| {
        if request.line() == PUT {
            let mut file = std::fs::OpenOptions::new().append(true).open(&growing).expect("opens");
            file.write_all(b"CREATE TABLE late (x int);\n").expect("grows");
        }
        works(mock_http, request)
    });
    against(&mock_http, &["import", "--file", &path]).fails(5, "the dump changed during the upload");
    assert!(!mock_http.lines().contains(&"POST /v1/projects/p1/imports".to_owned()), "nothing is started");
}

#[test]
fn a_dump_that_shrinks_while_it_is_sent_is_refused() {
    let folder = folder();
    let path = dump(&folder);
    let shrinking = path.clone();
    let mock_http = Peer::start(move |mock_http, request, _| {
        if request.line().ends_with("imports/uploads") {
            std::fs::write(&shrinking, "S").expect("shrinks");
        }
        works(mock_http, request)
    });
    against(&mock_http, &["import", "--file", &path]).fails(5, "the dump changed during the upload");
    assert!(!mock_http.lines().contains(&"POST /v1/projects/p1/imports".to_owned()), "nothing is started");
}

#[test]
fn progress_on_a_log_is_plain_lines() {
    let mock_http = Peer::start(works_always);
    let folder = folder();
    let ran = against(&mock_http, &["import", "--file", &dump(&folder)]).succeeds();
    assert!(ran.stderr.contains("Uploading 24 B\n") && ran.stderr.contains("Uploaded 24 B in "), "{ran:#?}");
    assert!(!ran.stderr.contains('\r') && !ran.stderr.contains('\u{1b}'), "{ran:#?}");
    let ran = against(&mock_http, &["import", "--file", &dump(&folder), "--quiet"]).succeeds();
    assert_eq!(ran.stderr, "");
}

fn works_always(mock_http: &Peer, request: &crate::support::mock_http::Request, _: usize) -> Answer {
    works(mock_http, request)
}
