//! Tests of the API's contract by direct HTTP requests.

use crate::support::fixtures::{call, control_plane};
use serde_json::{Value, json};

#[test]
fn responses_have_the_fields_of_the_contract() {
    let (status, response) = call("GET", &format!("{}/status", control_plane().api_url), "no key needed", None);
    assert_eq!((status, &response["status"]), (200, &json!("operational")));
    let (_, me) = control_plane().call("GET", "/v1/me", None);
    assert_eq!(me["organization"]["slug"], "dev");
    assert!(me["principal"]["scopes"].is_array() && me["principal"]["is_admin"] == false, "{me}");
    let project = control_plane().project("shapes");
    let (_, response) = control_plane().call("GET", &format!("/v1/projects/{}", project.id), None);
    for field in [
        "id",
        "name",
        "slug",
        "organization_id",
        "environment",
        "plan",
        "region",
        "state",
        "database_name",
        "role_name",
        "direct_port",
        "pooled_port",
        "max_connections",
        "storage_limit_bytes",
        "statement_timeout",
        "idle_transaction_timeout",
        "always_on",
        "created_at",
        "updated_at",
    ] {
        assert!(!response["project"][field].is_null(), "{field} in {response}");
    }
    let (_, response) = control_plane().call("GET", &format!("/v1/projects/{}/jobs?limit=1", project.id), None);
    let job = &response["jobs"][0];
    for field in ["id", "type", "state", "attempts", "max_attempts", "organization_id", "created_at", "updated_at"] {
        assert!(!job[field].is_null(), "{field} in {job}");
    }
}

#[test]
fn invalid_requests_get_an_error_message() {
    let id = control_plane().project("wrong calls").id;
    let imports = format!("/v1/projects/{id}/imports");
    let preflight = format!("{imports}/preflight");
    let cases: Vec<(&str, &str, Option<Value>, u16, &str)> = vec![
        ("GET", "/v1/projects/nope", None, 404, "project not found"),
        ("GET", "/v1/jobs/nope", None, 404, "job not found"),
        ("GET", "/v1/nothing", None, 404, "the API has no such path"),
        ("DELETE", "/v1/me", None, 405, "method not allowed"),
        ("POST", "/v1/projects", Some(json!({})), 400, "missing field `name`"),
        ("POST", "/v1/projects", Some(json!({ "name": "" })), 400, "name must have"),
        ("POST", "/v1/projects", Some(json!({ "name": "x", "slug": "../x" })), 400, "slug must have"),
        ("POST", "/v1/projects", Some(json!({ "name": "dev" })), 409, "project with the slug dev already exists"),
        ("POST", &imports, Some(json!({ "source_url": "postgres://u@h/d" })), 400, "confirm: true"),
        ("POST", &imports, Some(json!({ "confirm": true })), 400, "exactly one of"),
        (
            "POST",
            &imports,
            Some(json!({ "confirm": true, "source_url": "postgres://u@h/d", "upload_key": "k" })),
            400,
            "exactly one of",
        ),
        (
            "POST",
            &imports,
            Some(json!({ "confirm": true, "upload_key": "imports/none.dump" })),
            400,
            "unknown upload_key",
        ),
        (
            "POST",
            &imports,
            Some(json!({ "confirm": true, "source_url": "mysql://u:canary@h/d" })),
            400,
            "expected a URL that starts with postgres://",
        ),
        ("POST", &imports, Some(json!({ "confirm": "canary", "source_url": "x" })), 400, "expected a boolean"),
        ("POST", &preflight, Some(json!({ "source_url": ["canary"] })), 400, "expected a string"),
        ("POST", &preflight, Some(json!({ "source_url": "postgres://u:canary@/d" })), 400, "has no host"),
        (
            "POST",
            &preflight,
            Some(json!({ "source_url": "x".repeat(1_100_000) })),
            413,
            "the request body is too large",
        ),
        ("GET", "/v1/projects/nope/jobs?limit=x", None, 404, "project not found"),
    ];
    for (method, path, body, expected_status, expected) in cases {
        let (status, response) = control_plane().call(method, path, body.as_ref());
        let error = response["error"].as_str().unwrap_or_default();
        assert!(
            status == expected_status && error.contains(expected) && !error.contains("canary"),
            "{method} {path}: {status} {response}"
        );
    }
    let (status, response) = control_plane().call("GET", &format!("/v1/projects/{id}/jobs?limit=0"), None);
    assert_eq!((status, response["error"].as_str()), (400, Some("limit must be a positive integer")));
}

#[test]
fn invalid_keys_are_refused() {
    let url = format!("{}/v1/me", control_plane().api_url);
    for key in ["", "capy_live_wrong", "x"] {
        let (status, response) = call("GET", &url, key, None);
        assert_eq!(status, 401, "{response}");
        assert!(response["error"].as_str().is_some_and(|error| error.contains("key")), "{response}");
    }
    let mut command = control_plane().capydb(&["projects", "list"]);
    command.env("CAPYDB_API_KEY", "capy_live_wrong");
    crate::support::run(command).fails(3, "invalid API key");
}

#[test]
fn a_project_runs_one_import_at_once() {
    let project = control_plane().project("one at a time");
    // A source that never responds keeps the first import running for ten seconds.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let url = format!("postgres://u:p@127.0.0.1:{}/d", silent.local_addr().expect("local address").port());
    let body = json!({ "confirm": true, "recreate": true, "source_url": url });
    let path = format!("/v1/projects/{}/imports", project.id);
    let (status, first) = control_plane().call("POST", &path, Some(&body));
    assert_eq!(status, 202);
    let (status, response) = control_plane().call("POST", &path, Some(&body));
    assert_eq!(status, 409, "{response}");
    let id = first["job"]["id"].as_str().expect("an id");
    project.import(&["--source-url", &url]).fails(5, &format!("capydb jobs wait {id}"));
    let output = control_plane()
        .run(&["jobs", "wait", id, "--wait-timeout", "1s"])
        .fails(6, "the wait timed out; the job is still running");
    assert!(output.stderr.contains(&format!("capydb jobs wait {id}")), "{output:#?}");
    control_plane().run(&["jobs", "wait", id]).fails(1, "did not respond as a Postgres server");
    let output = control_plane().run(&["jobs", "get", id, "-o", "json"]).succeeds();
    assert_eq!(output.json()["job"]["retry_classification"], "transient");
}

#[test]
fn an_upload_url_is_valid_for_one_object_and_method() {
    let project = control_plane().project("slots");
    let (_, slot) = control_plane().call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
    let url = slot["upload"]["upload_url"].as_str().expect("a URL").to_owned();
    let key = slot["upload"]["object_key"].as_str().expect("a key");
    let body = json!("x");
    for wrong in [
        url.replace(key, "imports/other.dump"),
        url.replace("expires=", "expires=9"),
        url.split('?').next().expect("a URL").into(),
    ] {
        let (status, response) = call("PUT", &wrong, "", Some(&body));
        assert_eq!(status, 403, "{response}");
    }
    assert_eq!(call("GET", &url, "", None).0, 405);
    assert_eq!(call("PUT", &url, "", Some(&body)).0, 200);
    // An uploaded object belongs to one project.
    let other = control_plane().project("other slots");
    let start = json!({ "confirm": true, "upload_key": key });
    assert_eq!(control_plane().call("POST", &format!("/v1/projects/{}/imports", other.id), Some(&start)).0, 400);
}
