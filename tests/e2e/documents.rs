//! What programs read: every JSON document fits the schema in `docs/`.

use crate::support::fixtures::{control_plane, open_folder, source};
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

    fn part(&mut self, name: &str) -> SchemaIndex {
        let place = format!("http://local/output.json#/$defs/{name}");
        self.compiler.compile(&place, &mut self.schemas).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[track_caller]
    fn fits(&mut self, name: &str, document: &Value) {
        let part = self.part(name);
        if let Err(error) = self.schemas.validate(document, part) {
            panic!("{name}: {error:#}\n{document:#}");
        }
    }
}

fn json(arguments: &[&str]) -> Ran {
    control_plane().run(&[arguments, &["-o", "json"]].concat())
}

#[test]
fn every_document_fits_its_schema() {
    let mut schema = Schema::read();
    let project = control_plane().project("documents");
    let folder = open_folder();
    let file = folder.join("app.dump");
    source().dump("sample", "custom", &file);
    let file = file.to_str().expect("a path");
    let url = source().url("sample");
    let slug = project.slug.as_str();
    let home = tempfile::tempdir().expect("a home");
    let at_home = |arguments: &[&str]| {
        let mut command = control_plane().capydb(&[arguments, &["-o", "json"]].concat());
        command.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path()).current_dir(home.path());
        run(command)
    };
    let imported = json(&["import", "--project", slug, "--file", file, "--recreate", "--wait"]).succeeds().json();
    schema.fits("result_import", &imported);
    let job = imported["job"]["id"].as_str().expect("an id");
    schema.fits("result_import", &json(&["jobs", "get", job]).succeeds().json());
    schema.fits("result_import", &json(&["jobs", "wait", job]).succeeds().json());
    schema.fits("result_jobs_list", &json(&["jobs", "list", "--project", slug]).succeeds().json());
    for more in [&["--source-url", &url][..], &["--source-url", &url, "--local"], &["--file", file]] {
        let ran = json(&[&["import", "preflight", "--project", slug], more].concat()).succeeds();
        schema.fits("result_import_preflight", &ran.json());
    }
    schema.fits("result_import_guide", &json(&["import", "guide"]).succeeds().json());
    schema.fits("result_import_guide", &json(&["import", "guide", "neon"]).succeeds().json());
    schema.fits("result_projects_list", &json(&["projects", "list"]).succeeds().json());
    schema.fits("result_projects_url", &json(&["projects", "url", "--project", slug]).succeeds().json());
    let hook = crate::support::mock_http::Peer::start(|_, _, _| {
        crate::support::mock_http::Answer::Raw(200, "X: y", String::new())
    });
    let made = json(&["webhooks", "create", &format!("http://{}/", hook.address)]).succeeds().json();
    schema.fits("result_webhooks_endpoint", &made);
    let id = made["webhook_endpoint"]["id"].as_str().expect("an id");
    schema.fits("result_webhooks_list", &json(&["webhooks", "list"]).succeeds().json());
    schema.fits("result_webhooks_test", &json(&["webhooks", "test", id]).succeeds().json());
    schema.fits("result_webhooks_deliveries", &json(&["webhooks", "deliveries", id]).succeeds().json());
    schema.fits("result_webhooks_endpoint", &json(&["webhooks", "rotate-secret", id]).succeeds().json());
    schema.fits(
        "result_webhooks_endpoint",
        &json(&["webhooks", "update", id, "--url", "http://127.0.0.1:1/"]).succeeds().json(),
    );
    schema.fits("error", &json(&["webhooks", "test", id]).fails(1, "refused").json());
    schema.fits("result_webhooks_delete", &json(&["webhooks", "delete", id]).succeeds().json());
    let dotenv = folder.join(".env");
    let connect = ["integrations", "connect", "dotenv", dotenv.to_str().expect("a path"), "--project", slug];
    schema.fits("result_integrations_connect", &json(&connect).succeeds().json());
    schema.fits("result_integrations_list", &json(&["integrations", "list", "--project", slug]).succeeds().json());
    let disconnect = ["integrations", "disconnect", "dotenv", "--project", slug];
    schema.fits("result_integrations_disconnect", &json(&disconnect).succeeds().json());
    let key = control_plane().api_key.clone();
    schema.fits("result_login", &at_home(&["login", "--api-key", &key]).succeeds().json());
    schema.fits("result_whoami", &at_home(&["whoami"]).succeeds().json());
    schema.fits("result_link", &at_home(&["link", slug]).succeeds().json());
    schema.fits("result_config_show", &at_home(&["config", "show"]).succeeds().json());
    schema.fits("result_doctor", &at_home(&["doctor"]).succeeds().json());
    schema.fits("result_unlink", &at_home(&["unlink"]).succeeds().json());
    schema.fits("result_logout", &at_home(&["logout"]).succeeds().json());
    let pages = folder.join("man");
    schema.fits("result_man", &json(&["man", pages.to_str().expect("a path")]).succeeds().json());
    assert!(pages.join("capydb-import-preflight.1").is_file());
    schema.fits("result_completion", &json(&["completion", "zsh"]).succeeds().json());
    // Failures are documents too.
    schema.fits("error", &json(&["jobs", "get", "nope"]).fails(4, "").json());
    schema.fits("error", &json(&["import", "--nope"]).fails(2, "").json());
    let small = ["import", "preflight", "--file", file, "--plan-limit", "1kB"];
    schema.fits("error", &json(&small).fails(5, "").json());
    let broken =
        source().create("documents", "create view v as select 1 as x; create or replace view v as select x from v");
    let ran = json(&["import", "--project", slug, "--source-url", &broken, "--recreate", "--wait"]).fails(1, "");
    schema.fits("error", &ran.json());
    let ran = control_plane().run(&["doctor", "-o", "json", "--api-key", "capy_live_wrong"]).fails(3, "");
    schema.fits("error", &ran.json());
}

#[test]
fn every_event_fits_the_schema() {
    let mut schema = Schema::read();
    let project = control_plane().project("events");
    let file = open_folder().join("app.sql");
    source().dump("sample", "plain", &file);
    let import =
        ["import", "--file", file.to_str().expect("a path"), "--recreate", "--wait", "--project", &project.slug];
    let ran = control_plane().run(&[&import[..], &["--progress", "json"]].concat()).succeeds();
    let events: Vec<Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for event in &events {
        schema.fits("event", event);
    }
    let has = |name: &str, field: &str, value: &str| {
        events.iter().any(|event| event["event"] == name && event[field] == value)
    };
    assert!(has("progress", "phase", "upload") && has("job", "state", "completed"), "{events:#?}");
    let ran = control_plane().run(&["jobs", "get", "nope", "--progress", "json"]);
    let event: Value = serde_json::from_str(ran.stderr.trim()).expect("one line");
    schema.fits("event", &event);
    assert_eq!(event["event"], "error");
}
