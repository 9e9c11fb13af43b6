//! Tests of integrations: connection strings are pushed to a mock server that stores variables and
//! refuses requests as Vercel and Netlify do.

use crate::support::fixtures::{ControlPlane, test_dir};
use crate::support::mock_http::{MockServer, Request, Response};
use crate::support::{run, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

/// A mock of both providers: their stored variables, and a status to return instead (0 = none).
struct MockProviders {
    server: MockServer,
    stored_variables: Arc<Mutex<BTreeMap<String, String>>>,
    forced_status: Arc<AtomicU16>,
}

impl MockProviders {
    fn start() -> Self {
        let (stored_variables, forced_status) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicU16::new(0)));
        let (stored, status_override) = (stored_variables.clone(), forced_status.clone());
        let server = MockServer::start(move |_, request, _| match status_override.load(Ordering::SeqCst) {
            0 => respond(request, &mut stored.lock().expect("not poisoned")),
            status => Response::Json(status, "{\"message\":\"unavailable\"}".into()),
        });
        Self { server, stored_variables, forced_status }
    }

    fn control_plane(&self) -> ControlPlane {
        let url = format!("http://{}", self.server.address);
        let environment = [("CAPYDB_VERCEL_API_URL", url.as_str()), ("CAPYDB_NETLIFY_API_URL", url.as_str())];
        ControlPlane::start_with(&[], &environment, &test_dir().join("data"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.stored_variables.lock().expect("not poisoned").get(name).cloned()
    }

    fn clear(&self) {
        self.stored_variables.lock().expect("not poisoned").clear();
    }
}

/// Responds as the API references of Vercel and Netlify specify.
fn respond(request: &Request, stored: &mut BTreeMap<String, String>) -> Response {
    let json = |status, body: Value| Response::Json(status, body.to_string());
    if request.header("authorization") != Some("Bearer right-token-canary") {
        return json(403, json!({ "error": { "code": "forbidden", "message": "Not authorized" } }));
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["v9", "projects", "echo"]) => json(200, json!({ "id": "prj_2" })),
        ("POST", ["v10", "projects", "echo", "env"]) => {
            let value = body[0]["value"].as_str().expect("a value");
            let long = format!("{} {value} right-token-canary", "x".repeat(150));
            json(400, json!({ "error": { "message": long } }))
        }
        ("GET", ["v9", "projects", "captive"]) => Response::Raw(200, "Content-Type: text/html", "<html>".into()),
        ("GET", ["v9", "projects", "shop"]) if query == "teamId=team_1" => {
            json(200, json!({ "id": "prj_1", "name": "shop" }))
        }
        ("POST", ["v10", "projects", "shop", "env"]) if query.starts_with("upsert=true&teamId=team_1") => {
            for variable in body.as_array().expect("a list") {
                assert!(variable["target"].is_array() && variable["type"] == "encrypted", "{variable}");
                store(stored, "vercel", variable, &variable["value"]);
            }
            json(201, json!({ "created": body, "failed": [] }))
        }
        ("GET", ["api", "v1", "sites", "shop.netlify.app"]) => {
            json(200, json!({ "id": "site_1", "account_id": "acc_1", "account_slug": "me" }))
        }
        ("PUT", ["api", "v1", "accounts", "acc_1", "env", key]) if stored.contains_key(&format!("netlify {key}")) => {
            store(stored, "netlify", &body, &body["values"][0]["value"]);
            json(200, body)
        }
        ("POST", ["api", "v1", "accounts", "acc_1", "env"]) if query == "site_id=site_1" => {
            for variable in body.as_array().expect("a list") {
                store(stored, "netlify", variable, &variable["values"][0]["value"]);
            }
            json(201, body)
        }
        _ => json(404, json!({ "code": 404, "message": "Not Found" })),
    }
}

fn store(stored: &mut BTreeMap<String, String>, provider: &str, variable: &Value, value: &Value) {
    let (key, value) = (variable["key"].as_str().expect("a key"), value.as_str().expect("a value"));
    stored.insert(format!("{provider} {key}"), value.to_owned());
}

fn small_dump() -> PathBuf {
    let file = test_dir().join("small.sql");
    std::fs::write(&file, "CREATE TABLE s (x int);\n").expect("write file");
    file
}

#[test]
fn connection_strings_are_pushed_to_every_provider() {
    let providers = MockProviders::start();
    let control_plane = providers.control_plane();
    let project = control_plane.project("pushed");
    let slug = project.slug.as_str();
    let connect = |arguments: &[&str], variable: &str, token: &str| {
        let mut command =
            control_plane.capydb(&[&["integrations", "connect"], arguments, &["--project", slug]].concat());
        command.env(variable, token);
        run(command)
    };
    let refused = connect(&["vercel", "shop", "--team", "team_1"], "VERCEL_TOKEN", "wrong-token-canary");
    let refused = refused.fails(1, "Vercel rejected the token (HTTP status 403): Not authorized");
    assert!(refused.stderr.contains("fix the cause") && !refused.stderr.contains("canary"), "{refused:#?}");
    let vercel = ["vercel", "shop", "--team", "team_1", "--target", "production"];
    let output = connect(&vercel, "VERCEL_TOKEN", "right-token-canary").succeeds();
    assert!(
        output.stdout.contains("pushed is connected to vercel. DATABASE_URL and DATABASE_URL_UNPOOLED are set"),
        "{output:#?}"
    );
    connect(&["netlify", "other.netlify.app"], "NETLIFY_AUTH_TOKEN", "right-token-canary")
        .fails(1, "Netlify has no site of this name that the token can access");
    connect(&["netlify", "shop.netlify.app"], "NETLIFY_AUTH_TOKEN", "right-token-canary").succeeds();
    let dir = test_dir();
    let file = dir.join(".env");
    std::fs::write(&file, "KEY=1\nDATABASE_URL=old\n").expect("write file");
    connect(&["dotenv", file.to_str().expect("UTF-8 path")], "X", "").succeeds();
    let variables = [
        "vercel DATABASE_URL",
        "vercel DATABASE_URL_UNPOOLED",
        "netlify DATABASE_URL",
        "netlify DATABASE_URL_UNPOOLED",
    ];
    for name in variables {
        assert_eq!(providers.variable(name).as_deref(), Some(project.url.as_str()), "{name}");
    }
    let text = std::fs::read_to_string(&file).expect("read file");
    assert_eq!(text, format!("KEY=1\nDATABASE_URL=\"{0}\"\nDATABASE_URL_UNPOOLED=\"{0}\"\n", project.url));
    assert_eq!(std::fs::metadata(&file).expect("file metadata").permissions().mode() & 0o777, 0o600);
    // The connection strings are pushed again after an import.
    providers.clear();
    std::fs::remove_file(&file).expect("remove file");
    project.upload_and_import(&small_dump(), true);
    until("every variable and the file are restored", || {
        variables.iter().all(|name| providers.variable(name).is_some()) && file.is_file()
    });
    let listed = control_plane.run(&["integrations", "list", "--project", slug]).succeeds().stdout;
    for expected in ["vercel    connected  shop", "netlify   connected  shop.netlify.app", "dotenv    connected  /"] {
        assert!(listed.contains(expected), "{listed}");
    }
    let (_, response) = control_plane.call("GET", &format!("/v1/projects/{}/integrations", project.id), None);
    assert!(!response.to_string().contains("canary") && !response.to_string().contains("postgres://"), "{response}");
    assert_eq!(response["integrations"][2]["external_id"], "prj_1", "{response}");
    let stored = control_plane
        .admin("capydb", "select credentials::text from integrations where credentials is not null limit 1");
    assert!(!stored.contains("63616e617279"), "the token is encrypted at rest");
    control_plane.run(&["integrations", "disconnect", "vercel", "--project", slug]).succeeds();
    control_plane.run(&["integrations", "disconnect", "vercel", "--project", slug]).fails(4, "not connected to vercel");
}

#[test]
fn a_failed_push_is_retried_and_survives_a_kill() {
    let providers = MockProviders::start();
    let control_plane = providers.control_plane();
    let project = control_plane.project("retried push");
    let path = format!("/v1/projects/{}/integrations", project.id);
    let body = json!({ "config": { "project_id": "shop", "team_id": "team_1" }, "credentials": { "token": "right-token-canary" } });
    let state = |control_plane: &ControlPlane| control_plane.call("GET", &path, None).1["integrations"][0].clone();
    assert_eq!(control_plane.call("PUT", &format!("{path}/vercel"), Some(&body)).0, 200);
    until("the first push succeeds", || state(&control_plane)["state"] == "connected");
    // The provider is unavailable while the import ends and the control plane is killed.
    providers.clear();
    providers.forced_status.store(503, Ordering::SeqCst);
    project.upload_and_import(&small_dump(), true);
    until("the push has failed", || {
        state(&control_plane)["last_error"] == "Vercel returned HTTP status 503: unavailable"
    });
    assert_eq!(state(&control_plane)["state"], "pending");
    let data_dir = control_plane.kill();
    providers.forced_status.store(0, Ordering::SeqCst);
    let url = format!("http://{}", providers.server.address);
    let control_plane = ControlPlane::start_with(&[], &[("CAPYDB_VERCEL_API_URL", &url)], &data_dir);
    control_plane.admin("capydb", "update integrations set next_attempt_at = now()");
    until("the push succeeds after the restart", || state(&control_plane)["state"] == "connected");
    assert!(providers.variable("vercel DATABASE_URL").is_some());
    // Secrets that a provider echoes are redacted, and a response that is not JSON is an error.
    for (project, expected) in
        [("echo", "Vercel returned HTTP status 400: xxx"), ("captive", "the response of Vercel is not JSON")]
    {
        let other = json!({ "config": { "project_id": project } });
        assert_eq!(control_plane.call("PUT", &format!("{path}/vercel"), Some(&other)).0, 200);
        until("the push is attempted", || state(&control_plane)["last_error"].is_string());
        let last_error = state(&control_plane)["last_error"].to_string();
        assert!(
            last_error.contains(expected) && !last_error.contains("postgres:") && !last_error.contains("canary"),
            "{last_error}"
        );
        assert!(state(&control_plane)["last_pushed_at"].is_null(), "nothing was pushed to the new project");
    }
    // Without credentials in the request the stored ones are kept; the new settings are checked.
    let missing_project = json!({ "config": { "project_id": "gone", "team_id": "team_1" } });
    assert_eq!(control_plane.call("PUT", &format!("{path}/vercel"), Some(&missing_project)).0, 200);
    until("the missing project is reported", || state(&control_plane)["state"] == "error");
    let error = "Vercel has no project of this name that the token can access";
    assert_eq!(state(&control_plane)["last_error"], error);
}

#[test]
fn invalid_connections_are_refused() {
    let control_plane = crate::support::fixtures::control_plane();
    let project = control_plane.project("unconnected");
    let path = format!("/v1/projects/{}/integrations", project.id);
    let cases = [
        ("heroku", json!({ "config": {} }), 404, "supported providers: vercel, netlify, dotenv"),
        ("vercel", json!({ "config": { "project_id": "shop" } }), 400, "credentials.token is missing"),
        (
            "vercel",
            json!({ "config": { "project_id": "shop" }, "credentials": { "key": "canary" } }),
            400,
            "must contain only a token",
        ),
        (
            "vercel",
            json!({ "config": { "project_id": "shop" }, "credentials": { "token": "a b" } }),
            400,
            "must contain only a token",
        ),
        ("netlify", json!({ "config": {}, "credentials": { "token": "t" } }), 400, "config.site_id is missing"),
        ("dotenv", json!({ "config": { "path": "/etc/passwd" } }), 400, "config.path must be"),
        (
            "dotenv",
            json!({ "config": { "path": "/tmp/.env" }, "credentials": { "token": "canary" } }),
            400,
            "takes no credentials",
        ),
    ];
    for (provider, body, expected_status, expected) in cases {
        let (status, response) = control_plane.call("PUT", &format!("{path}/{provider}"), Some(&body));
        let error = response["error"].as_str().expect("error message");
        assert!(
            status == expected_status && error.contains(expected) && !error.contains("canary"),
            "{provider} {body}: {status} {response}"
        );
    }
    assert_eq!(control_plane.call("GET", &path, None), (200, json!({ "integrations": [] })));
    let without_token = control_plane.run(&["integrations", "connect", "vercel", "shop", "--project", &project.slug]);
    without_token.fails(2, "no token for vercel");
}
