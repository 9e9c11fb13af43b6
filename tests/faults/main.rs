//! Tests of the binary against a scripted control plane: responses that a real control plane does
//! not return on demand.

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

use support::mock_http::{MockServer, Request, Response};
use support::{Ran, capydb, run};

const KEY: &str = "capy_live_canary_key";
const PROJECT: &str =
    r#"{"id":"p1","name":"Shop","slug":"shop","database_name":"shop_db","storage_limit_bytes":1000000000}"#;

/// The responses of a healthy control plane: one project, no jobs, uploads to itself.
fn success_response(mock_http: &MockServer, request: &Request) -> Response {
    let job = |state: &str| format!(r#"{{"job":{{"id":"j1","type":"project.import","state":"{state}"}}}}"#);
    match request.line().as_str() {
        "GET /v1/projects" => Response::Json(200, format!(r#"{{"projects":[{PROJECT}]}}"#)),
        "GET /v1/projects/p1" => Response::Json(200, format!(r#"{{"project":{PROJECT}}}"#)),
        "GET /v1/projects/p1/jobs" => Response::Json(200, r#"{"jobs":null}"#.into()),
        "POST /v1/projects/p1/imports/preflight" => {
            Response::Json(200, r#"{"preflight":{"ok":true,"checks":null,"source":{}}}"#.into())
        }
        "POST /v1/projects/p1/imports/uploads" => Response::Json(
            201,
            format!(
                r#"{{"upload":{{"object_key":"k","upload_url":"http://{}/put?signature=canary_signature","expires_at":""}}}}"#,
                mock_http.address
            ),
        ),
        "PUT /put" => Response::Raw(200, "ETag: x", String::new()),
        "POST /v1/projects/p1/imports" => Response::Json(202, job("pending")),
        "GET /v1/jobs/j1" => Response::Json(200, job("completed")),
        other => Response::Json(404, format!(r#"{{"error":"no {other}"}}"#)),
    }
}

/// Runs a command against a mock server, with an API key.
fn run_against(mock_http: &MockServer, arguments: &[&str]) -> Ran {
    let mut command = capydb(arguments);
    command.env("CAPYDB_API_URL", mock_http.api_url()).env("CAPYDB_API_KEY", KEY);
    run(command)
}

/// Writes a small plain dump and returns its path.
fn write_dump(dir: &tempfile::TempDir) -> String {
    let path = dir.path().join("app.sql");
    std::fs::write(&path, "CREATE TABLE t (x int);\n").expect("write the dump");
    path.to_str().expect("UTF-8 path").to_owned()
}

fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("create a temporary directory")
}
