//! The built program against a scripted control plane: answers that a real one does not give
//! on demand.

mod answers;
mod dumps;
mod leaks;
mod network;
mod settings;
mod storage;
#[path = "../support/mod.rs"]
mod support;
mod terminal_output;
mod uploads;

use support::mock_http::{Answer, Peer, Request};
use support::{Ran, capydb, run};

const KEY: &str = "capy_live_canary_key";
const PROJECT: &str =
    r#"{"id":"p1","name":"Shop","slug":"shop","database_name":"shop_db","storage_limit_bytes":1000000000}"#;

/// A control plane on which everything works: one project, no jobs, uploads to itself.
fn works(mock_http: &Peer, request: &Request) -> Answer {
    let job = |state: &str| format!(r#"{{"job":{{"id":"j1","type":"project.import","state":"{state}"}}}}"#);
    match request.line().as_str() {
        "GET /v1/projects" => Answer::Json(200, format!(r#"{{"projects":[{PROJECT}]}}"#)),
        "GET /v1/projects/p1" => Answer::Json(200, format!(r#"{{"project":{PROJECT}}}"#)),
        "GET /v1/projects/p1/jobs" => Answer::Json(200, r#"{"jobs":null}"#.into()),
        "POST /v1/projects/p1/imports/preflight" => {
            Answer::Json(200, r#"{"preflight":{"ok":true,"checks":null,"source":{}}}"#.into())
        }
        "POST /v1/projects/p1/imports/uploads" => Answer::Json(
            201,
            format!(
                r#"{{"upload":{{"object_key":"k","upload_url":"http://{}/put?signature=canary_signature","expires_at":""}}}}"#,
                mock_http.address
            ),
        ),
        "PUT /put" => Answer::Raw(200, "ETag: x", String::new()),
        "POST /v1/projects/p1/imports" => Answer::Json(202, job("pending")),
        "GET /v1/jobs/j1" => Answer::Json(200, job("completed")),
        other => Answer::Json(404, format!(r#"{{"error":"no {other}"}}"#)),
    }
}

/// Runs a command against a peer, with its key.
fn against(mock_http: &Peer, arguments: &[&str]) -> Ran {
    let mut command = capydb(arguments);
    command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    run(command)
}

/// A plain dump.
fn dump(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("app.sql");
    std::fs::write(&path, "CREATE TABLE t (x int);\n").expect("written");
    path.to_str().expect("a path").to_owned()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}
