//! Tests of webhooks: events, signatures, retries, and the management of endpoints.

use crate::support::fixtures::{ControlPlane, Project, control_plane, test_dir};
use crate::support::mock_http::{MockServer, Request, Response};
use crate::support::until;
use ring::hmac;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn start_receiver(status: u16) -> MockServer {
    MockServer::start(move |_, _, _| Response::Raw(status, "X: y", String::new()))
}

fn endpoints_path(control_plane: &ControlPlane) -> String {
    let (_, me) = control_plane.call("GET", "/v1/me", None);
    format!("/v1/organizations/{}/webhook-endpoints", me["organization"]["id"].as_str().expect("an id"))
}

/// Creates an endpoint and returns its path and its secret.
fn create_endpoint(control_plane: &ControlPlane, url: &str, event_types: &[&str]) -> (String, String) {
    let path = endpoints_path(control_plane);
    let (status, response) =
        control_plane.call("POST", &path, Some(&json!({ "url": url, "event_types": event_types })));
    assert_eq!(status, 201, "{response}");
    let id = response["webhook_endpoint"]["id"].as_str().expect("an id");
    (format!("{path}/{id}"), response["plaintext_secret"].as_str().expect("a secret").to_owned())
}

fn small_dump() -> PathBuf {
    let file = test_dir().join("small.sql");
    std::fs::write(&file, "CREATE TABLE s (x int);\nINSERT INTO s VALUES (7);\n").expect("write file");
    file
}

fn deliveries(control_plane: &ControlPlane, endpoint_path: &str) -> Vec<Value> {
    let (status, response) = control_plane.call("GET", &format!("{endpoint_path}/deliveries"), None);
    assert_eq!(status, 200, "{response}");
    response["deliveries"].as_array().expect("a list").clone()
}

fn event_of(request: &Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

/// The events that a receiver got for a job.
fn events_of(receiver: &MockServer, job: &str) -> Vec<Value> {
    receiver.requests().iter().map(event_of).filter(|event| event["data"]["job_id"] == job).collect()
}

/// Whether a request has a valid, recent signature by this secret (HMAC-SHA256 of `time.body`).
fn is_signed(request: &Request, secret: &str) -> bool {
    let header = request.header("X-CapyDB-Signature").expect("a signature");
    let (time, tag) = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("t=…,v1=…");
    let text = [time.as_bytes(), b".", &request.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = capydb::server::crypto::unhex(tag).expect("hexadecimal digits");
    let age = jiff::Timestamp::now().as_second() - time.parse::<i64>().expect("seconds");
    hmac::verify(&key, &text, &tag).is_ok() && (0..60).contains(&age)
}

#[test]
fn endpoints_receive_the_events_they_subscribe_to() {
    let control_plane = control_plane();
    let (all, failures) = (start_receiver(200), start_receiver(204));
    let (all_endpoint, secret) = create_endpoint(control_plane, &format!("http://{}/hook?a=b", all.address), &[]);
    let (failures_endpoint, _) =
        create_endpoint(control_plane, &format!("http://{}/", failures.address), &["job.failed"]);
    let project = control_plane.project("webhook events");
    let job = project.upload_and_import(&small_dump(), true);
    let id = job["id"].as_str().expect("an id");
    until("both events have arrived", || events_of(&all, id).len() == 2);
    let mut event_types: Vec<String> =
        events_of(&all, id).iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect();
    event_types.sort();
    assert_eq!(event_types, ["import.completed", "job.completed"]);
    for request in all.requests() {
        let event = event_of(&request);
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
    // An import that fails is reported to the endpoint for failures.
    let failed = project.import_by_api(&json!({ "confirm": true, "source_url": "postgres://u:p@127.0.0.1:1/d" }));
    let failed = failed["id"].as_str().expect("an id");
    until("the failure has arrived", || !events_of(&failures, failed).is_empty());
    let event = &events_of(&failures, failed)[0];
    assert_eq!((event["type"].as_str(), event["data"]["state"].as_str()), (Some("job.failed"), Some("failed")));
    assert!(event["data"]["error"].as_str().expect("error message").contains("refused the connection"), "{event}");
    assert!(events_of(&failures, id).is_empty(), "the endpoint did not subscribe to completed jobs");
    let history = deliveries(control_plane, &failures_endpoint);
    let delivery = history.iter().find(|delivery| delivery["event_id"] == event["id"]).expect("listed");
    until("the event is recorded as delivered", || {
        deliveries(control_plane, &failures_endpoint)[0]["state"] == "delivered"
    });
    assert_eq!((&delivery["event_type"], &delivery["max_attempts"]), (&json!("job.failed"), &json!(8)), "{delivery}");
    for path in [all_endpoint, failures_endpoint] {
        assert_eq!(control_plane.call("DELETE", &path, None), (200, json!({})));
    }
}

#[test]
fn a_job_cancelled_while_pending_is_reported() {
    let control_plane = ControlPlane::ephemeral();
    let receiver = start_receiver(200);
    create_endpoint(&control_plane, &format!("http://{}/", receiver.address), &["job.failed"]);
    let (busy, waiting) = (control_plane.project("busy"), control_plane.project("waiting"));
    // The only worker waits for a source that accepts the connection and sends nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let url = format!("postgres://u:p@{}/d?sslmode=disable", silent.local_addr().expect("local address"));
    let start_import = |project: &Project<'_>| {
        let body = json!({ "confirm": true, "source_url": url });
        let (_, response) = control_plane.call("POST", &format!("/v1/projects/{}/imports", project.id), Some(&body));
        response["job"]["id"].as_str().expect("an id").to_owned()
    };
    let first = start_import(&busy);
    until("the worker is busy", || {
        control_plane.call("GET", &format!("/v1/jobs/{first}"), None).1["job"]["state"] == "running"
    });
    let second = start_import(&waiting);
    assert_eq!(control_plane.call("POST", &format!("/v1/jobs/{second}/cancel"), None).0, 202);
    until("the cancellation is reported", || events_of(&receiver, &second).len() == 1);
    assert_eq!(events_of(&receiver, &second)[0]["data"]["error"], "cancelled by request");
}

#[test]
fn a_failed_delivery_is_attempted_at_most_eight_times() {
    let control_plane = ControlPlane::ephemeral();
    let make_due = || {
        control_plane.admin("capydb", "update webhook_deliveries set next_attempt_at = now() where state = 'pending'")
    };
    let broken = Arc::new(AtomicBool::new(true));
    let receiver_broken = broken.clone();
    let receiver = MockServer::start(move |_, _, _| {
        if receiver_broken.load(Ordering::SeqCst) {
            Response::Raw(302, "Location: http://127.0.0.1:1/", String::new())
        } else {
            Response::Raw(200, "X: y", String::new())
        }
    });
    let (path, _) = create_endpoint(&control_plane, &format!("http://{}/", receiver.address), &["import.completed"]);
    let project = control_plane.project("retries");
    project.upload_and_import(&small_dump(), true);
    until("the first attempt is received", || receiver.requests().len() == 1);
    until("the attempt is recorded", || deliveries(&control_plane, &path)[0]["last_status"] == 302);
    let delivery = &deliveries(&control_plane, &path)[0];
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!(1)));
    assert_eq!(delivery["last_error"], "the receiver returned HTTP status 302");
    assert!(delivery["next_attempt_at"].is_string(), "{delivery}");
    broken.store(false, Ordering::SeqCst);
    make_due();
    until("the event is delivered", || deliveries(&control_plane, &path)[0]["state"] == "delivered");
    assert_eq!(deliveries(&control_plane, &path)[0]["attempts"], 2);
    let ids = || {
        receiver
            .requests()
            .iter()
            .map(|request| request.header("X-CapyDB-Delivery").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert!(ids()[0].is_some() && ids()[0] == ids()[1], "both attempts have the same delivery id");
    broken.store(true, Ordering::SeqCst);
    project.upload_and_import(&small_dump(), true);
    until("the last attempt has failed", || {
        make_due();
        deliveries(&control_plane, &path)[0]["state"] == "failed"
    });
    assert_eq!(deliveries(&control_plane, &path)[0]["attempts"], 8);
    let requests_before = receiver.requests().len();
    make_due();
    // Deliveries are sent in order of their due time, so a ninth attempt would precede the test event.
    broken.store(false, Ordering::SeqCst);
    assert_eq!(control_plane.call("POST", &format!("{path}/test"), None).0, 202);
    until("the test event is delivered", || deliveries(&control_plane, &path)[0]["state"] == "delivered");
    assert_eq!(receiver.requests().len(), requests_before + 1, "there is no ninth attempt");
}

#[test]
fn a_kill_before_a_delivery_loses_no_event() {
    // The receiver does not respond, so the delivery is in flight when the control plane is killed.
    let blocked = Arc::new(AtomicBool::new(true));
    let receiver_blocked = blocked.clone();
    let receiver = MockServer::start(move |_, _, _| {
        while receiver_blocked.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Response::Raw(200, "X: y", String::new())
    });
    let control_plane = ControlPlane::start(&[]);
    let (path, _) = create_endpoint(&control_plane, &format!("http://{}/", receiver.address), &[]);
    let file = small_dump();
    let job = control_plane.project("killed").upload_and_import(&file, true);
    let id = job["id"].as_str().expect("an id").to_owned();
    until("both deliveries are in flight", || events_of(&receiver, &id).len() == 2);
    let data_dir = control_plane.kill();
    blocked.store(false, Ordering::SeqCst);
    let control_plane = ControlPlane::restart(&data_dir);
    let states =
        || deliveries(&control_plane, &path).iter().map(|delivery| delivery["state"].clone()).collect::<Vec<_>>();
    assert!(states().contains(&json!("pending")), "the outcome of the deliveries was not recorded: {:?}", states());
    control_plane.admin("capydb", "update webhook_deliveries set next_attempt_at = now() where state = 'pending'");
    until("every event is delivered", || states().iter().all(|state| state == "delivered"));
    assert_eq!(events_of(&receiver, &id).len(), 4, "each event is sent again");
    // The same when the control plane is killed immediately after the job.
    let job = control_plane.project("killed-at-once").upload_and_import(&file, true);
    let id = job["id"].as_str().expect("an id").to_owned();
    let control_plane = ControlPlane::restart(&control_plane.kill());
    control_plane.admin("capydb", "update webhook_deliveries set next_attempt_at = now() where state = 'pending'");
    until("the end of the job is reported", || {
        let event_types: Vec<Value> = events_of(&receiver, &id).iter().map(|event| event["type"].clone()).collect();
        event_types.contains(&json!("import.completed")) && event_types.contains(&json!("job.completed"))
    });
}

#[test]
fn the_command_line_manages_endpoints() {
    let control_plane = control_plane();
    let receiver = start_receiver(200);
    let url = format!("http://{}/hook", receiver.address);
    let created =
        control_plane.run(&["webhooks", "create", &url, "--event", "job.failed", "--description", "ops"]).succeeds();
    assert!(created.stdout.contains("Secret, shown only once: whsec_"), "{created:#?}");
    let id = created.stdout.split_whitespace().nth(1).expect("an id").to_owned();
    let listed = control_plane.run(&["webhooks", "list"]).succeeds().stdout;
    let line = listed.lines().find(|line| line.starts_with(&id)).expect("listed");
    assert!(line.contains("enabled") && line.contains("job.failed") && line.contains(&url) && line.ends_with("ops"));
    assert!(!listed.contains("whsec_"), "{listed}");
    let test_output = control_plane.run(&["webhooks", "test", &id]).succeeds();
    assert_eq!(test_output.stdout, "Delivered: the receiver returned 200.\n");
    let rotated = control_plane.run(&["webhooks", "rotate-secret", &id, "-o", "json"]).succeeds().json();
    let secret = rotated["plaintext_secret"].as_str().expect("a secret");
    control_plane.run(&["webhooks", "test", &id]).succeeds();
    let last_request = receiver.requests().pop().expect("a request");
    assert!(is_signed(&last_request, secret), "the request is signed with the new secret");
    assert_eq!(event_of(&last_request)["type"], "webhook.test");
    let listed_deliveries = control_plane.run(&["webhooks", "deliveries", &id]).succeeds().stdout;
    assert_eq!(
        listed_deliveries.lines().filter(|line| line.contains("webhook.test") && line.contains("1 of 8")).count(),
        2,
        "{listed_deliveries}"
    );
    let updated =
        control_plane.run(&["webhooks", "update", &id, "--disable", "--event", "all", "--description", ""]).succeeds();
    assert!(updated.stdout.contains("disabled") && !updated.stdout.contains("ops"), "{updated:#?}");
    control_plane.run(&["webhooks", "test", &id]).fails(5, "the endpoint is disabled");
    control_plane.run(&["webhooks", "update", &id]).fails(2, "no changes given");
    let broken = start_receiver(500);
    let broken_url = format!("http://{}/", broken.address);
    control_plane.run(&["webhooks", "update", &id, "--enable", "--url", &broken_url]).succeeds();
    let failed = control_plane.run(&["webhooks", "test", &id]).fails(1, "the receiver returned HTTP status 500");
    assert!(failed.stderr.contains("it will be retried"), "{failed:#?}");
    control_plane.run(&["webhooks", "delete", &id]).succeeds();
    control_plane.run(&["webhooks", "deliveries", &id]).fails(4, "webhook endpoint not found");
}

#[test]
fn invalid_endpoints_are_refused() {
    let control_plane = control_plane();
    let path = endpoints_path(control_plane);
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
    for (body, expected) in cases {
        let (status, response) = control_plane.call("POST", &path, Some(&body));
        assert!(
            status == 400 && response["error"].as_str().expect("error message").contains(expected),
            "{body}: {status} {response}"
        );
    }
    assert_eq!(control_plane.call("GET", "/v1/organizations/another/webhook-endpoints", None).0, 404);
    assert_eq!(control_plane.call("PATCH", &format!("{path}/none"), Some(&json!({}))).0, 404);
    control_plane.run(&["webhooks", "create", "https://10.0.0.1/"]).fails(1, "must have a public address");
    control_plane.run(&["webhooks", "create", "https://x", "--event", "job.paused"]).fails(2, "job.paused");
    // Endpoints belong to the organization, so a key restricted to one project has no access.
    let project = control_plane.project("restricted");
    let restricted_control_plane = ControlPlane::ephemeral();
    let id = restricted_control_plane.project("only").id;
    restricted_control_plane.admin("capydb", &format!("update api_keys set project_id = '{id}'"));
    let (status, response) = restricted_control_plane.call("GET", &endpoints_path(&restricted_control_plane), None);
    assert!(
        status == 403 && response["error"].as_str().expect("error message").contains("restricted to one project"),
        "{response}"
    );
    drop(project);
}

#[test]
fn retry_after_delays_the_next_attempt() {
    let control_plane = ControlPlane::ephemeral();
    let receiver = MockServer::start(|_, _, _| Response::Raw(429, "Retry-After: 900", String::new()));
    let (path, _) = create_endpoint(&control_plane, &format!("http://{}/", receiver.address), &["import.completed"]);
    control_plane.project("busy receiver").upload_and_import(&small_dump(), true);
    until("the attempt is recorded", || deliveries(&control_plane, &path)[0]["last_status"] == 429);
    let is_later = control_plane
        .admin("capydb", "select next_attempt_at > now() + interval '700 seconds' from webhook_deliveries");
    assert_eq!(is_later, "t", "the default first delay is five seconds");
}

#[test]
fn an_organization_has_at_most_fifty_endpoints() {
    let control_plane = ControlPlane::ephemeral();
    let path = endpoints_path(&control_plane);
    let body = json!({ "url": "https://hooks.example.com/" });
    assert_eq!(control_plane.call("POST", &path, Some(&body)).0, 201);
    control_plane.admin(
        "capydb",
        "insert into webhook_endpoints (id, organization_id, url, event_types, secret)
         select 'copy ' || n, organization_id, url, event_types, secret from webhook_endpoints, generate_series(1, 46) n",
    );
    // Of eight concurrent requests, three fit below the limit.
    let created = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| control_plane.call("POST", &path, Some(&body)).0)).collect();
        calls.into_iter().map(|call| call.join().expect("join thread")).filter(|status| *status == 201).count()
    });
    assert_eq!(created, 3);
    assert_eq!(control_plane.admin("capydb", "select count(*) from webhook_endpoints"), "50");
}
