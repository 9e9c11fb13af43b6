//! Connection strings that are pushed to where the application runs. The providers are played by
//! a peer that keeps what it gets, and refuses as they do.

use crate::support::fixtures::{ControlPlane, open_folder};
use crate::support::mock_http::{Answer, Peer, Request};
use crate::support::{run, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

/// Both providers: the variables that they have, and a status that they answer for a while.
struct Cloud {
    mock_http: Peer,
    variables: Arc<Mutex<BTreeMap<String, String>>>,
    trouble: Arc<AtomicU16>,
}

impl Cloud {
    fn start() -> Self {
        let (variables, trouble) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicU16::new(0)));
        let (kept, out) = (variables.clone(), trouble.clone());
        let mock_http = Peer::start(move |_, request, _| match out.load(Ordering::SeqCst) {
            0 => answer(request, &mut kept.lock().expect("not poisoned")),
            status => Answer::Json(status, "{\"message\":\"out of order\"}".into()),
        });
        Self { mock_http, variables, trouble }
    }

    fn control_plane(&self) -> ControlPlane {
        let url = format!("http://{}", self.mock_http.address);
        let variables = [("CAPYDB_VERCEL_API_URL", url.as_str()), ("CAPYDB_NETLIFY_API_URL", url.as_str())];
        ControlPlane::start_with(&[], &variables, &open_folder().join("data"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.lock().expect("not poisoned").get(name).cloned()
    }

    fn forget(&self) {
        self.variables.lock().expect("not poisoned").clear();
    }
}

/// What Vercel and Netlify answer, as their API references tell it.
fn answer(request: &Request, kept: &mut BTreeMap<String, String>) -> Answer {
    let json = |status, body: Value| Answer::Json(status, body.to_string());
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
        ("GET", ["v9", "projects", "captive"]) => Answer::Raw(200, "Content-Type: text/html", "<html>".into()),
        ("GET", ["v9", "projects", "shop"]) if query == "teamId=team_1" => {
            json(200, json!({ "id": "prj_1", "name": "shop" }))
        }
        ("POST", ["v10", "projects", "shop", "env"]) if query.starts_with("upsert=true&teamId=team_1") => {
            for variable in body.as_array().expect("a list") {
                assert!(variable["target"].is_array() && variable["type"] == "encrypted", "{variable}");
                keep(kept, "vercel", variable, &variable["value"]);
            }
            json(201, json!({ "created": body, "failed": [] }))
        }
        ("GET", ["api", "v1", "sites", "shop.netlify.app"]) => {
            json(200, json!({ "id": "site_1", "account_id": "acc_1", "account_slug": "me" }))
        }
        ("PUT", ["api", "v1", "accounts", "acc_1", "env", key]) if kept.contains_key(&format!("netlify {key}")) => {
            keep(kept, "netlify", &body, &body["values"][0]["value"]);
            json(200, body)
        }
        ("POST", ["api", "v1", "accounts", "acc_1", "env"]) if query == "site_id=site_1" => {
            for variable in body.as_array().expect("a list") {
                keep(kept, "netlify", variable, &variable["values"][0]["value"]);
            }
            json(201, body)
        }
        _ => json(404, json!({ "code": 404, "message": "Not Found" })),
    }
}

fn keep(kept: &mut BTreeMap<String, String>, provider: &str, variable: &Value, value: &Value) {
    let (key, value) = (variable["key"].as_str().expect("a key"), value.as_str().expect("a value"));
    kept.insert(format!("{provider} {key}"), value.to_owned());
}

fn small_dump() -> PathBuf {
    let file = open_folder().join("small.sql");
    std::fs::write(&file, "CREATE TABLE s (x int);\n").expect("written");
    file
}

#[test]
fn connection_strings_go_where_the_application_runs() {
    let cloud = Cloud::start();
    let control_plane = cloud.control_plane();
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
    let ran = connect(&vercel, "VERCEL_TOKEN", "right-token-canary").succeeds();
    assert!(
        ran.stdout.contains("pushed is connected to vercel. DATABASE_URL and DATABASE_URL_UNPOOLED are set"),
        "{ran:#?}"
    );
    connect(&["netlify", "other.netlify.app"], "NETLIFY_AUTH_TOKEN", "right-token-canary")
        .fails(1, "Netlify has no site of this name that the token can access");
    connect(&["netlify", "shop.netlify.app"], "NETLIFY_AUTH_TOKEN", "right-token-canary").succeeds();
    let folder = open_folder();
    let file = folder.join(".env");
    std::fs::write(&file, "KEY=1\nDATABASE_URL=old\n").expect("written");
    connect(&["dotenv", file.to_str().expect("a path")], "X", "").succeeds();
    let all = [
        "vercel DATABASE_URL",
        "vercel DATABASE_URL_UNPOOLED",
        "netlify DATABASE_URL",
        "netlify DATABASE_URL_UNPOOLED",
    ];
    for name in all {
        assert_eq!(cloud.variable(name).as_deref(), Some(project.url.as_str()), "{name}");
    }
    let text = std::fs::read_to_string(&file).expect("reads");
    assert_eq!(text, format!("KEY=1\nDATABASE_URL=\"{0}\"\nDATABASE_URL_UNPOOLED=\"{0}\"\n", project.url));
    assert_eq!(std::fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    // After an import they are pushed again.
    cloud.forget();
    std::fs::remove_file(&file).expect("removed");
    project.import_unseen(&small_dump(), true);
    until("all is there again", || all.iter().all(|name| cloud.variable(name).is_some()) && file.is_file());
    let listed = control_plane.run(&["integrations", "list", "--project", slug]).succeeds().stdout;
    for words in ["vercel    connected  shop", "netlify   connected  shop.netlify.app", "dotenv    connected  /"] {
        assert!(listed.contains(words), "{listed}");
    }
    let (_, answer) = control_plane.call("GET", &format!("/v1/projects/{}/integrations", project.id), None);
    assert!(!answer.to_string().contains("canary") && !answer.to_string().contains("postgres://"), "{answer}");
    assert_eq!(answer["integrations"][2]["external_id"], "prj_1", "{answer}");
    let kept = control_plane
        .admin("capydb", "select credentials::text from integrations where credentials is not null limit 1");
    assert!(!kept.contains("63616e617279"), "the token is sealed");
    control_plane.run(&["integrations", "disconnect", "vercel", "--project", slug]).succeeds();
    control_plane.run(&["integrations", "disconnect", "vercel", "--project", slug]).fails(4, "not connected to vercel");
}

#[test]
fn a_push_that_fails_is_tried_again_and_survives_a_kill() {
    let cloud = Cloud::start();
    let control_plane = cloud.control_plane();
    let project = control_plane.project("patient");
    let path = format!("/v1/projects/{}/integrations", project.id);
    let body = json!({ "config": { "project_id": "shop", "team_id": "team_1" }, "credentials": { "token": "right-token-canary" } });
    let state = |control_plane: &ControlPlane| control_plane.call("GET", &path, None).1["integrations"][0].clone();
    assert_eq!(control_plane.call("PUT", &format!("{path}/vercel"), Some(&body)).0, 200);
    until("it is pushed", || state(&control_plane)["state"] == "connected");
    // Out of order while the import ends, and while the control plane dies.
    cloud.forget();
    cloud.trouble.store(503, Ordering::SeqCst);
    project.import_unseen(&small_dump(), true);
    until("it was tried in vain", || {
        state(&control_plane)["last_error"] == "Vercel returned HTTP status 503: out of order"
    });
    assert_eq!(state(&control_plane)["state"], "pending");
    let data_dir = control_plane.kill();
    cloud.trouble.store(0, Ordering::SeqCst);
    let url = format!("http://{}", cloud.mock_http.address);
    let control_plane = ControlPlane::start_with(&[], &[("CAPYDB_VERCEL_API_URL", &url)], &data_dir);
    control_plane.admin("capydb", "update integrations set next_attempt_at = now()");
    until("it is pushed after all", || state(&control_plane)["state"] == "connected");
    assert!(cloud.variable("vercel DATABASE_URL").is_some());
    // What a provider sends back of us is not shown, and a page of somebody else is no answer.
    for (project, why) in
        [("echo", "Vercel returned HTTP status 400: xxx"), ("captive", "the response of Vercel is not JSON")]
    {
        let other = json!({ "config": { "project_id": project } });
        assert_eq!(control_plane.call("PUT", &format!("{path}/vercel"), Some(&other)).0, 200);
        until("it was tried", || state(&control_plane)["last_error"].is_string());
        let said = state(&control_plane)["last_error"].to_string();
        assert!(said.contains(why) && !said.contains("postgres:") && !said.contains("canary"), "{said}");
        assert!(state(&control_plane)["last_pushed_at"].is_null(), "another place has had nothing yet");
    }
    // Without credentials those that are there stay; other settings are checked.
    let again = json!({ "config": { "project_id": "gone", "team_id": "team_1" } });
    assert_eq!(control_plane.call("PUT", &format!("{path}/vercel"), Some(&again)).0, 200);
    until("that is no project", || state(&control_plane)["state"] == "error");
    let why = "Vercel has no project of this name that the token can access";
    assert_eq!(state(&control_plane)["last_error"], why);
}

#[test]
fn connections_that_cannot_be_are_refused() {
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
    for (provider, body, status, words) in cases {
        let (got, answer) = control_plane.call("PUT", &format!("{path}/{provider}"), Some(&body));
        let why = answer["error"].as_str().expect("why");
        assert!(got == status && why.contains(words) && !why.contains("canary"), "{provider} {body}: {got} {answer}");
    }
    assert_eq!(control_plane.call("GET", &path, None), (200, json!({ "integrations": [] })));
    let none = control_plane.run(&["integrations", "connect", "vercel", "shop", "--project", &project.slug]);
    none.fails(1, "credentials.token is missing");
}
