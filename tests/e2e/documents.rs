//! Tests that every JSON document and event matches the schema in `docs/`.

use crate::support::fixtures::{control_plane, source, test_dir};
use crate::support::{Ran, run};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

struct Schema {
    schemas: Schemas,
    compiler: Compiler,
}

impl Schema {
    fn read() -> Self {
        let text = include_str!("../../docs/output.schema.json");
        let document: Value = serde_json::from_str(text).expect("JSON");
        let mut compiler = Compiler::new();
        compiler.add_resource("http://local/output.json", document).expect("a schema");
        Self { schemas: Schemas::new(), compiler }
    }

    fn definition(&mut self, name: &str) -> SchemaIndex {
        let url = format!("http://local/output.json#/$defs/{name}");
        self.compiler.compile(&url, &mut self.schemas).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[track_caller]
    fn assert_valid(&mut self, name: &str, document: &Value) {
        let definition = self.definition(name);
        if let Err(error) = self.schemas.validate(document, definition) {
            panic!("{name}: {error:#}\n{document:#}");
        }
    }
}

fn run_json(arguments: &[&str]) -> Ran {
    control_plane().run(&[arguments, &["-o", "json"]].concat())
}

#[test]
fn every_document_matches_its_schema() {
    let mut schema = Schema::read();
    let project = control_plane().project("documents");
    let dir = test_dir();
    let file = dir.join("app.dump");
    source().dump("sample", "custom", &file);
    let file = file.to_str().expect("UTF-8 path");
    let url = source().url("sample");
    let slug = project.slug.as_str();
    let home = tempfile::tempdir().expect("temporary directory");
    let run_at_home = |arguments: &[&str]| {
        let mut command = control_plane().capydb(&[arguments, &["-o", "json"]].concat());
        command.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path()).current_dir(home.path());
        run(command)
    };
    let imported = run_json(&["import", "--project", slug, "--file", file, "--recreate", "--wait"]).succeeds().json();
    schema.assert_valid("result_import", &imported);
    let job = imported["job"]["id"].as_str().expect("an id");
    schema.assert_valid("result_import", &run_json(&["jobs", "get", job]).succeeds().json());
    schema.assert_valid("result_import", &run_json(&["jobs", "wait", job]).succeeds().json());
    schema.assert_valid("result_jobs_list", &run_json(&["jobs", "list", "--project", slug]).succeeds().json());
    for arguments in [&["--source-url", &url][..], &["--source-url", &url, "--local"], &["--file", file]] {
        let output =
            run_json(&[&["import", "preflight", "--recreate", "--project", slug], arguments].concat()).succeeds();
        schema.assert_valid("result_import_preflight", &output.json());
    }
    schema.assert_valid("result_import_guide", &run_json(&["import", "guide"]).succeeds().json());
    schema.assert_valid("result_import_guide", &run_json(&["import", "guide", "neon"]).succeeds().json());
    schema.assert_valid("result_projects_list", &run_json(&["projects", "list"]).succeeds().json());
    schema.assert_valid("result_projects_show", &run_json(&["projects", "create", "Created"]).succeeds().json());
    schema.assert_valid("result_projects_show", &run_json(&["projects", "show", "created"]).succeeds().json());
    schema.assert_valid("result_projects_url", &run_json(&["projects", "url", "--project", slug]).succeeds().json());
    let hook = crate::support::mock_http::MockServer::start(|_, _, _| {
        crate::support::mock_http::Response::Raw(200, "X: y", String::new())
    });
    let created = run_json(&["webhooks", "create", &format!("http://{}/", hook.address)]).succeeds().json();
    schema.assert_valid("result_webhooks_endpoint", &created);
    let id = created["webhook_endpoint"]["id"].as_str().expect("an id");
    schema.assert_valid("result_webhooks_list", &run_json(&["webhooks", "list"]).succeeds().json());
    schema.assert_valid("result_webhooks_test", &run_json(&["webhooks", "test", id]).succeeds().json());
    schema.assert_valid("result_webhooks_deliveries", &run_json(&["webhooks", "deliveries", id]).succeeds().json());
    schema.assert_valid("result_webhooks_endpoint", &run_json(&["webhooks", "rotate-secret", id]).succeeds().json());
    schema.assert_valid(
        "result_webhooks_endpoint",
        &run_json(&["webhooks", "update", id, "--url", "http://127.0.0.1:1/"]).succeeds().json(),
    );
    schema.assert_valid("error", &run_json(&["webhooks", "test", id]).fails(1, "refused").json());
    schema.assert_valid("result_webhooks_delete", &run_json(&["webhooks", "delete", id]).succeeds().json());
    let dotenv = dir.join(".env");
    let connect = ["integrations", "connect", "dotenv", dotenv.to_str().expect("UTF-8 path"), "--project", slug];
    schema.assert_valid("result_integrations_connect", &run_json(&connect).succeeds().json());
    schema.assert_valid(
        "result_integrations_list",
        &run_json(&["integrations", "list", "--project", slug]).succeeds().json(),
    );
    let disconnect = ["integrations", "disconnect", "dotenv", "--project", slug];
    schema.assert_valid("result_integrations_disconnect", &run_json(&disconnect).succeeds().json());
    let key = control_plane().api_key.clone();
    schema.assert_valid("result_login", &run_at_home(&["login", "--api-key", &key]).succeeds().json());
    schema.assert_valid("result_whoami", &run_at_home(&["whoami"]).succeeds().json());
    schema.assert_valid("result_link", &run_at_home(&["link", slug]).succeeds().json());
    schema.assert_valid("result_config_show", &run_at_home(&["config", "show"]).succeeds().json());
    schema.assert_valid("result_doctor", &run_at_home(&["doctor"]).succeeds().json());
    schema.assert_valid("result_unlink", &run_at_home(&["unlink"]).succeeds().json());
    schema.assert_valid("result_logout", &run_at_home(&["logout"]).succeeds().json());
    let man_dir = dir.join("man");
    schema.assert_valid("result_man", &run_json(&["man", man_dir.to_str().expect("UTF-8 path")]).succeeds().json());
    assert!(man_dir.join("capydb-import-preflight.1").is_file());
    schema.assert_valid("result_completion", &run_json(&["completion", "zsh"]).succeeds().json());
    // Errors are JSON documents, too.
    schema.assert_valid("error", &run_json(&["jobs", "get", "nope"]).fails(4, "").json());
    schema.assert_valid("error", &run_json(&["import", "--nope"]).fails(2, "").json());
    let small = ["import", "preflight", "--file", file, "--plan-limit", "1kB"];
    schema.assert_valid("error", &run_json(&small).fails(5, "").json());
    let broken =
        source().create("documents", "create view v as select 1 as x; create or replace view v as select x from v");
    let output = run_json(&["import", "--project", slug, "--source-url", &broken, "--recreate", "--wait"]).fails(1, "");
    schema.assert_valid("error", &output.json());
    let output = control_plane().run(&["doctor", "-o", "json", "--api-key", "capy_live_wrong"]).fails(3, "");
    schema.assert_valid("error", &output.json());
}

#[test]
fn every_event_matches_the_schema() {
    let mut schema = Schema::read();
    let project = control_plane().project("events");
    let file = test_dir().join("app.sql");
    source().dump("sample", "plain", &file);
    let import =
        ["import", "--file", file.to_str().expect("UTF-8 path"), "--recreate", "--wait", "--project", &project.slug];
    let output = control_plane().run(&[&import[..], &["--progress", "json"]].concat()).succeeds();
    let events: Vec<Value> = output.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for event in &events {
        schema.assert_valid("event", event);
    }
    let has_event = |name: &str, field: &str, value: &str| {
        events.iter().any(|event| event["event"] == name && event[field] == value)
    };
    assert!(has_event("progress", "phase", "upload") && has_event("job", "state", "completed"), "{events:#?}");
    let output = control_plane().run(&["jobs", "get", "nope", "--progress", "json"]);
    let event: Value = serde_json::from_str(output.stderr.trim()).expect("one JSON line");
    schema.assert_valid("event", &event);
    assert_eq!(event["event"], "error");
}
