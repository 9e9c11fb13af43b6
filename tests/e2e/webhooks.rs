//! Who is told of imports, and that nobody is forgotten.

use crate::support::fixtures::{ControlPlane, Project, control_plane, open_folder};
use crate::support::mock_http::{Answer, Peer, Request};
use crate::support::until;
use ring::hmac;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn receiver(status: u16) -> Peer {
    Peer::start(move |_, _, _| Answer::Raw(status, "X: y", String::new()))
}

fn endpoints(control_plane: &ControlPlane) -> String {
    let (_, me) = control_plane.call("GET", "/v1/me", None);
    format!("/v1/organizations/{}/webhook-endpoints", me["organization"]["id"].as_str().expect("an id"))
}

/// Makes an endpoint; gives its path and its secret.
fn endpoint(control_plane: &ControlPlane, url: &str, event_types: &[&str]) -> (String, String) {
    let list = endpoints(control_plane);
    let (status, answer) = control_plane.call("POST", &list, Some(&json!({ "url": url, "event_types": event_types })));
    assert_eq!(status, 201, "{answer}");
    let id = answer["webhook_endpoint"]["id"].as_str().expect("an id");
    (format!("{list}/{id}"), answer["plaintext_secret"].as_str().expect("a secret").to_owned())
}

fn small_dump() -> PathBuf {
    let file = open_folder().join("small.sql");
    std::fs::write(&file, "CREATE TABLE s (x int);\nINSERT INTO s VALUES (7);\n").expect("written");
    file
}

fn deliveries(control_plane: &ControlPlane, endpoint: &str) -> Vec<Value> {
    let (status, answer) = control_plane.call("GET", &format!("{endpoint}/deliveries"), None);
    assert_eq!(status, 200, "{answer}");
    answer["deliveries"].as_array().expect("a list").clone()
}

fn event(request: &Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

/// Events that a receiver got for a job.
fn events_of(mock_http: &Peer, job: &str) -> Vec<Value> {
    mock_http.seen().iter().map(event).filter(|event| event["data"]["job_id"] == job).collect()
}

/// Whether a request is signed with this secret, reckoned as the contract says it.
fn is_signed(request: &Request, secret: &str) -> bool {
    let header = request.header("X-CapyDB-Signature").expect("a signature");
    let (time, tag) = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("its form");
    let text = [time.as_bytes(), b".", &request.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = capydb::server::crypto::unhex(tag).expect("hexadecimal digits");
    let age = jiff::Timestamp::now().as_second() - time.parse::<i64>().expect("seconds");
    hmac::verify(&key, &text, &tag).is_ok() && (0..60).contains(&age)
}

#[test]
fn an_import_is_told_to_those_who_want_to_know() {
    let control_plane = control_plane();
    let (all, failures) = (receiver(200), receiver(204));
    let (endpoint_of_all, secret) = endpoint(control_plane, &format!("http://{}/hook?a=b", all.address), &[]);
    let (endpoint_of_failures, _) = endpoint(control_plane, &format!("http://{}/", failures.address), &["job.failed"]);
    let project = control_plane.project("told");
    let job = project.import_unseen(&small_dump(), true);
    let id = job["id"].as_str().expect("an id");
    until("both events have arrived", || events_of(&all, id).len() == 2);
    let mut kinds: Vec<String> =
        events_of(&all, id).iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["import.completed", "job.completed"]);
    for request in all.seen() {
        let event = event(&request);
        assert!(is_signed(&request, &secret), "{request:?}");
        assert!(!is_signed(&request, "whsec_other"));
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook?a=b"));
        assert_eq!(request.header("user-agent"), Some("capydb-webhooks/1.0"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("X-CapyDB-Event"), event["type"].as_str());
        assert!(event["id"].as_str().expect("an id").starts_with("evt_"), "{event}");
        assert!(event["created_at"].is_string() && event["data"]["organization_id"].is_string(), "{event}");
    }
    let completed = &events_of(&all, id)[0];
    assert_eq!(
        (&completed["data"]["project_id"], &completed["data"]["state"]),
        (&json!(project.id), &json!("completed"))
    );
    // One that fails, and one that is cancelled before anybody has begun it.
    let failed = project.import_by_api(&json!({ "confirm": true, "source_url": "postgres://u:p@127.0.0.1:1/d" }));
    let failed = failed["id"].as_str().expect("an id");
    until("the failure has arrived", || !events_of(&failures, failed).is_empty());
    let event = &events_of(&failures, failed)[0];
    assert_eq!((event["type"].as_str(), event["data"]["state"].as_str()), (Some("job.failed"), Some("failed")));
    assert!(event["data"]["error"].as_str().expect("why").contains("refused the connection"), "{event}");
    assert!(events_of(&failures, id).is_empty(), "it did not ask for successes");
    let history = deliveries(control_plane, &endpoint_of_failures);
    let told = history.iter().find(|delivery| delivery["event_id"] == event["id"]).expect("is remembered");
    until("it is known as delivered", || deliveries(control_plane, &endpoint_of_failures)[0]["state"] == "delivered");
    assert_eq!((&told["event_type"], &told["max_attempts"]), (&json!("job.failed"), &json!(8)), "{told}");
    for path in [endpoint_of_all, endpoint_of_failures] {
        assert_eq!(control_plane.call("DELETE", &path, None), (200, json!({})));
    }
}

#[test]
fn a_job_that_is_cancelled_before_it_begins_is_told_too() {
    let control_plane = ControlPlane::throw_away();
    let mock_http = receiver(200);
    endpoint(&control_plane, &format!("http://{}/", mock_http.address), &["job.failed"]);
    let (busy, waiting) = (control_plane.project("busy"), control_plane.project("waiting"));
    // The only worker waits for a source that accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgres://u:p@{}/d?sslmode=disable", silent.local_addr().expect("an address"));
    let start = |project: &Project<'_>| {
        let body = json!({ "confirm": true, "source_url": url });
        let (_, answer) = control_plane.call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
        answer["job"]["id"].as_str().expect("an id").to_owned()
    };
    let first = start(&busy);
    until("the worker is busy", || {
        control_plane.call("GET", &format!("/v1/jobs/{first}"), None).1["job"]["state"] == "running"
    });
    let second = start(&waiting);
    assert_eq!(control_plane.call("POST", &format!("/v1/jobs/{second}/cancel"), None).0, 202);
    until("it is told", || events_of(&mock_http, &second).len() == 1);
    assert_eq!(events_of(&mock_http, &second)[0]["data"]["error"], "cancelled by request");
}

#[test]
fn what_a_receiver_does_not_take_is_sent_again_eight_times_at_most() {
    let control_plane = ControlPlane::throw_away();
    let due = || {
        control_plane.admin("capydb", "update webhook_deliveries set next_attempt_at = now() where state = 'pending'")
    };
    let broken = Arc::new(AtomicBool::new(true));
    let switch = broken.clone();
    let mock_http = Peer::start(move |_, _, _| {
        if switch.load(Ordering::SeqCst) {
            Answer::Raw(302, "Location: http://127.0.0.1:1/", String::new())
        } else {
            Answer::Raw(200, "X: y", String::new())
        }
    });
    let (path, _) = endpoint(&control_plane, &format!("http://{}/", mock_http.address), &["import.completed"]);
    let project = control_plane.project("patience");
    project.import_unseen(&small_dump(), true);
    until("it was tried", || mock_http.seen().len() == 1);
    until("that is remembered", || deliveries(&control_plane, &path)[0]["last_status"] == 302);
    let delivery = &deliveries(&control_plane, &path)[0];
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!(1)));
    assert_eq!(delivery["last_error"], "the receiver returned HTTP status 302");
    assert!(delivery["next_attempt_at"].is_string(), "{delivery}");
    broken.store(false, Ordering::SeqCst);
    due();
    until("it is delivered", || deliveries(&control_plane, &path)[0]["state"] == "delivered");
    assert_eq!(deliveries(&control_plane, &path)[0]["attempts"], 2);
    let ids = || {
        mock_http
            .seen()
            .iter()
            .map(|request| request.header("X-CapyDB-Delivery").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert!(ids()[0].is_some() && ids()[0] == ids()[1], "by this a receiver knows it again");
    broken.store(true, Ordering::SeqCst);
    project.import_unseen(&small_dump(), true);
    until("the last attempt is over", || {
        due();
        deliveries(&control_plane, &path)[0]["state"] == "failed"
    });
    assert_eq!(deliveries(&control_plane, &path)[0]["attempts"], 8);
    let sent = mock_http.seen().len();
    due();
    // What is due is sent in order, so a ninth attempt would come before the test event.
    broken.store(false, Ordering::SeqCst);
    assert_eq!(control_plane.call("POST", &format!("{path}/test"), None).0, 202);
    until("the test event is delivered", || deliveries(&control_plane, &path)[0]["state"] == "delivered");
    assert_eq!(mock_http.seen().len(), sent + 1, "no attempt is left");
}

#[test]
fn a_kill_between_the_end_of_a_job_and_its_delivery_loses_nothing() {
    // The receiver does not answer, so the delivery is on its way when the control plane dies.
    let hold = Arc::new(AtomicBool::new(true));
    let held = hold.clone();
    let mock_http = Peer::start(move |_, _, _| {
        while held.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Answer::Raw(200, "X: y", String::new())
    });
    let control_plane = ControlPlane::start(&[]);
    let (path, _) = endpoint(&control_plane, &format!("http://{}/", mock_http.address), &[]);
    let file = small_dump();
    let job = control_plane.project("killed").import_unseen(&file, true);
    let id = job["id"].as_str().expect("an id").to_owned();
    until("both are on their way", || events_of(&mock_http, &id).len() == 2);
    let data_dir = control_plane.kill();
    hold.store(false, Ordering::SeqCst);
    let control_plane = ControlPlane::start_again(&data_dir);
    let states =
        || deliveries(&control_plane, &path).iter().map(|delivery| delivery["state"].clone()).collect::<Vec<_>>();
    assert!(states().contains(&json!("pending")), "nobody has stored what became of them: {:?}", states());
    control_plane.admin("capydb", "update webhook_deliveries set next_attempt_at = now() where state = 'pending'");
    until("all is delivered", || states().iter().all(|state| state == "delivered"));
    assert_eq!(events_of(&mock_http, &id).len(), 4, "each is sent again, under the same id");
    // And with the job's end but a moment old.
    let job = control_plane.project("killed-at-once").import_unseen(&file, true);
    let id = job["id"].as_str().expect("an id").to_owned();
    let control_plane = ControlPlane::start_again(&control_plane.kill());
    control_plane.admin("capydb", "update webhook_deliveries set next_attempt_at = now() where state = 'pending'");
    until("the end of the job is told", || {
        let kinds: Vec<Value> = events_of(&mock_http, &id).iter().map(|event| event["type"].clone()).collect();
        kinds.contains(&json!("import.completed")) && kinds.contains(&json!("job.completed"))
    });
}

#[test]
fn endpoints_are_kept_by_the_command_line() {
    let control_plane = control_plane();
    let mock_http = receiver(200);
    let url = format!("http://{}/hook", mock_http.address);
    let made =
        control_plane.run(&["webhooks", "create", &url, "--event", "job.failed", "--description", "ops"]).succeeds();
    assert!(made.stdout.contains("Secret, shown only once: whsec_"), "{made:#?}");
    let id = made.stdout.split_whitespace().nth(1).expect("an id").to_owned();
    let listed = control_plane.run(&["webhooks", "list"]).succeeds().stdout;
    let line = listed.lines().find(|line| line.starts_with(&id)).expect("is listed");
    assert!(line.contains("enabled") && line.contains("job.failed") && line.contains(&url) && line.ends_with("ops"));
    assert!(!listed.contains("whsec_"), "{listed}");
    let tried = control_plane.run(&["webhooks", "test", &id]).succeeds();
    assert_eq!(tried.stdout, "Delivered: the receiver returned 200.\n");
    let rotated = control_plane.run(&["webhooks", "rotate-secret", &id, "-o", "json"]).succeeds().json();
    let secret = rotated["plaintext_secret"].as_str().expect("a secret");
    control_plane.run(&["webhooks", "test", &id]).succeeds();
    let last = mock_http.seen().pop().expect("was sent");
    assert!(is_signed(&last, secret), "the new secret signs");
    assert_eq!(event(&last)["type"], "webhook.test");
    let sent = control_plane.run(&["webhooks", "deliveries", &id]).succeeds().stdout;
    assert_eq!(
        sent.lines().filter(|line| line.contains("webhook.test") && line.contains("1 of 8")).count(),
        2,
        "{sent}"
    );
    let changed =
        control_plane.run(&["webhooks", "update", &id, "--disable", "--event", "all", "--description", ""]).succeeds();
    assert!(changed.stdout.contains("disabled") && !changed.stdout.contains("ops"), "{changed:#?}");
    control_plane.run(&["webhooks", "test", &id]).fails(5, "the endpoint is disabled");
    control_plane.run(&["webhooks", "update", &id]).fails(2, "no changes given");
    let broken = receiver(500);
    let there = format!("http://{}/", broken.address);
    control_plane.run(&["webhooks", "update", &id, "--enable", "--url", &there]).succeeds();
    let failed = control_plane.run(&["webhooks", "test", &id]).fails(1, "the receiver returned HTTP status 500");
    assert!(failed.stderr.contains("it will be retried"), "{failed:#?}");
    control_plane.run(&["webhooks", "delete", &id]).succeeds();
    control_plane.run(&["webhooks", "deliveries", &id]).fails(4, "webhook endpoint not found");
}

#[test]
fn endpoints_that_cannot_be_are_refused() {
    let control_plane = control_plane();
    let list = endpoints(control_plane);
    let cases = [
        (json!({}), "missing field `url`"),
        (json!({ "url": "http://hooks.example.com/" }), "must begin with https://"),
        (json!({ "url": "https://10.0.0.1/" }), "must have a public address"),
        (json!({ "url": "https://169.254.169.254/latest" }), "must have a public address"),
        (json!({ "url": "https://u:p@hooks.example.com/" }), "must not contain a user"),
        (json!({ "url": "https://hooks.example.com/", "event_types": ["job.paused"] }), "event_types must be distinct"),
        (
            json!({ "url": "https://hooks.example.com/", "event_types": ["job.failed", "job.failed"] }),
            "event_types must be distinct",
        ),
        (json!({ "url": "https://hooks.example.com/", "description": "x".repeat(201) }), "description must have"),
    ];
    for (body, words) in cases {
        let (status, answer) = control_plane.call("POST", &list, Some(&body));
        assert!(status == 400 && answer["error"].as_str().expect("why").contains(words), "{body}: {status} {answer}");
    }
    assert_eq!(control_plane.call("GET", "/v1/organizations/another/webhook-endpoints", None).0, 404);
    assert_eq!(control_plane.call("PATCH", &format!("{list}/none"), Some(&json!({}))).0, 404);
    control_plane.run(&["webhooks", "create", "https://10.0.0.1/"]).fails(1, "must have a public address");
    control_plane.run(&["webhooks", "create", "https://x", "--event", "job.paused"]).fails(2, "job.paused");
    // The endpoints are the organization's, and a key of one project has no part in them.
    let project = control_plane.project("restricted");
    let own = ControlPlane::throw_away();
    let id = own.project("only").id;
    own.admin("capydb", &format!("update api_keys set project_id = '{id}'"));
    let (status, answer) = own.call("GET", &endpoints(&own), None);
    assert!(status == 403 && answer["error"].as_str().expect("why").contains("restricted to one project"), "{answer}");
    drop(project);
}

#[test]
fn a_receiver_may_ask_for_time() {
    let control_plane = ControlPlane::throw_away();
    let mock_http = Peer::start(|_, _, _| Answer::Raw(429, "Retry-After: 900", String::new()));
    let (path, _) = endpoint(&control_plane, &format!("http://{}/", mock_http.address), &["import.completed"]);
    control_plane.project("busy receiver").import_unseen(&small_dump(), true);
    until("that is remembered", || deliveries(&control_plane, &path)[0]["last_status"] == 429);
    let later = control_plane
        .admin("capydb", "select next_attempt_at > now() + interval '700 seconds' from webhook_deliveries");
    assert_eq!(later, "t", "its own first pause is five seconds");
}

#[test]
fn an_organization_has_fifty_endpoints_at_most() {
    let control_plane = ControlPlane::throw_away();
    let list = endpoints(&control_plane);
    let body = json!({ "url": "https://hooks.example.com/" });
    assert_eq!(control_plane.call("POST", &list, Some(&body)).0, 201);
    control_plane.admin(
        "capydb",
        "insert into webhook_endpoints (id, organization_id, url, event_types, secret)
         select 'copy ' || n, organization_id, url, event_types, secret from webhook_endpoints, generate_series(1, 46) n",
    );
    // All at once: there is room for three.
    let made = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| control_plane.call("POST", &list, Some(&body)).0)).collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).filter(|status| *status == 201).count()
    });
    assert_eq!(made, 3);
    assert_eq!(control_plane.admin("capydb", "select count(*) from webhook_endpoints"), "50");
}
