//! Tests of what the command line and the control plane refuse before an import writes.

use crate::support::fixtures::{ControlPlane, Source, control_plane, fingerprint, source, test_dir};
use serde_json::json;
use std::fs;

#[test]
fn a_preflight_shows_its_checks_and_the_source() {
    let output = control_plane()
        .run(&["import", "preflight", "--project", "dev", "--source-url", &source().url("sample"), "-v"])
        .succeeds();
    for expected in ["source_size_within_plan", "Postgres 15 into 17", "server", "shop", "Reports & more"] {
        assert!(output.stdout.contains(expected), "no {expected:?} in {output:#?}");
    }
    let output = control_plane()
        .run(&["import", "preflight", "--project", "dev", "--source-url", &source().url("sample"), "-o", "json"])
        .succeeds();
    let report = &output.json()["preflight"];
    assert_eq!((&report["ok"], &report["target_version"]), (&json!(true), &json!("17")));
    // The contract's checks come first.
    for (check, name) in
        ["source_size_within_plan", "source_version_compatible", "extensions_available_on_target"].iter().enumerate()
    {
        assert_eq!(report["checks"][check]["name"], *name, "{report}");
    }
}

#[test]
fn the_source_url_is_read_from_standard_input() {
    use std::io::Write;
    let mut command =
        control_plane().capydb(&["import", "preflight", "--project", "dev", "--source-url", "-", "-o", "json"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("spawn capydb");
    child
        .stdin
        .take()
        .expect("piped stdin")
        .write_all(format!("{}\n", source().url("sample")).as_bytes())
        .expect("write to stdin");
    let output = crate::support::Ran::of(&child.wait_with_output().expect("wait for capydb")).succeeds();
    assert_eq!(output.json()["preflight"]["ok"], true);
}

#[test]
fn a_newer_source_is_refused_by_the_cli_and_the_worker() {
    let newer = Source::start(18, &[]);
    let url = newer.create("newer", "create table t (x int)");
    let project = control_plane().project("newer");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let output = control_plane().run(&["import", "preflight", "--project", &project.slug, "--source-url", &url]);
    let output = output.fails(5, "the source is Postgres 18, the target is Postgres 17");
    let fix = "use a target of the source's major version or newer";
    assert!(output.stdout.contains("fail") && output.stdout.contains(fix), "{output:#?}");
    let output = project.import(&["--source-url", &url, "--recreate", "--wait", "-o", "json"]).fails(5, "Postgres 18");
    assert_eq!(
        (&output.json()["error"]["code"], &output.json()["preflight"]["ok"]),
        (&json!("conflict"), &json!(false))
    );
    let job = project.import_by_api(&json!({ "confirm": true, "recreate": true, "source_url": url }));
    assert_eq!((&job["state"], &job["retry_classification"]), (&json!("failed"), &json!("permanent")));
    assert!(job["error"].as_str().is_some_and(|error| error.contains("source_version_compatible")), "{job}");
    let path = test_dir().join("newer.dump");
    newer.dump("newer", "custom", &path);
    project
        .import(&["--file", path.to_str().expect("UTF-8 path"), "--recreate", "--wait"])
        .fails(5, "the source is Postgres 18");
    let job = project.upload_and_import(&path, true);
    assert!(job["error"].as_str().is_some_and(|error| error.contains("the source is Postgres 18")), "{job}");
    assert_eq!(fingerprint(&project.url), before);
}

#[test]
fn unsupported_extensions_are_listed() {
    let url = source().create("outside", "create extension isn; create extension tablefunc; create extension hstore");
    let project = control_plane().project("outside");
    let before = fingerprint(&project.url);
    project.import(&["--source-url", &url, "--recreate", "--wait"]).fails(5, "isn, tablefunc");
    let job = project.import_by_api(&json!({ "confirm": true, "recreate": true, "source_url": url }));
    assert!(job["error"].as_str().is_some_and(|error| error.contains("isn, tablefunc")), "{job}");
    let dir = test_dir();
    for format in ["custom", "plain"] {
        let path = dir.join(format);
        source().dump("outside", format, &path);
        let output = project.import(&["--file", path.to_str().expect("UTF-8 path"), "--recreate", "--wait"]);
        output.fails(5, "isn, tablefunc");
        let job = project.upload_and_import(&path, true);
        assert!(job["error"].as_str().is_some_and(|error| error.contains("isn, tablefunc")), "{job}");
    }
    assert_eq!(fingerprint(&project.url), before);
}

#[test]
fn the_plan_limit_is_enforced_at_every_step() {
    let control_plane = ControlPlane::start(&["--plan-limit", "14MB"]);
    let project = control_plane.project("small");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let bulky = "create table bulky as select repeat('x', 500) as t from generate_series(1, 30000)";
    let url = source().create("bulky", bulky);
    project.import(&["--source-url", &url, "--recreate", "--wait"]).fails(5, "source_size_within_plan");
    let job = project.import_by_api(&json!({ "confirm": true, "recreate": true, "source_url": url }));
    assert!(job["error"].as_str().is_some_and(|error| error.contains("source_size_within_plan")), "{job}");
    // The compressed dump is below the plan limit, the restored database above it.
    let dir = test_dir();
    let path = dir.join("bulky.dump");
    source().dump("bulky", "custom", &path);
    assert!(fs::metadata(&path).expect("file metadata").len() < 1_000_000);
    let file = path.to_str().expect("UTF-8 path");
    project.import(&["--file", file, "--recreate", "--wait"]).fails(1, "more than the plan limit of 14.0 MB");
    project.import(&["--file", file, "--wait"]).fails(1, "exceed the plan limit of 14.0 MB");
    // Both the command line and the upload endpoint refuse a file above the plan limit.
    let path = dir.join("large.sql");
    fs::write(&path, format!("SELECT 1;\n{}", "-- and so on\n".repeat(1_200_000))).expect("write file");
    project.import(&["--file", path.to_str().expect("UTF-8 path"), "--wait"]).fails(5, "15.6 MB of 14.0 MB");
    let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
    let url = slot["upload"]["upload_url"].as_str().expect("a URL");
    let (status, response) = crate::support::fixtures::call("PUT", url, "", Some(&json!("x".repeat(15_000_000))));
    assert_eq!(status, 413, "{response}");
    assert!(response.to_string().contains("EntityTooLarge"), "{response}");
    assert_eq!(fingerprint(&project.url), before);
    control_plane.assert_no_leftovers();
}

#[test]
fn a_name_that_became_reserved_has_a_hint() {
    let url = source().create("reserved", "create function f(json json) returns json language sql as 'select $1'");
    let project = control_plane().project("reserved");
    project.import(&["--source-url", &url, "--recreate", "--wait"]).succeeds();
    let path = test_dir().join("reserved.dump");
    source().dump("reserved", "custom", &path);
    project
        .import(&["--file", path.to_str().expect("UTF-8 path"), "--recreate", "--wait"])
        .fails(1, "--quote-all-identifiers");
}

#[test]
fn an_object_that_cannot_be_restored_is_named_and_the_target_is_unchanged() {
    let sql = "create view v as select 1 as x; create or replace view v as select x from v; create table t (x int)";
    let url = source().create("circular", sql);
    let project = control_plane().project("circular");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let output = project
        .import(&["--source-url", &url, "--recreate", "--wait"])
        .fails(1, "relation \"public.v\" does not exist");
    assert!(output.stderr.contains("(in: CREATE VIEW \"public\".\"v\" AS)"), "{output:#?}");
    assert_eq!(fingerprint(&project.url), before);
}
