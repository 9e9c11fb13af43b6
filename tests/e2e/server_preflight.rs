//! What an import refuses before it writes, on this side and on the other.

use crate::support::fixtures::{ControlPlane, Source, control_plane, fingerprint, open_folder, source};
use serde_json::json;
use std::fs;

#[test]
fn a_preflight_shows_checks_and_facts() {
    let ran = control_plane()
        .run(&["import", "preflight", "--project", "dev", "--source-url", &source().url("sample")])
        .succeeds();
    for words in ["source_size_within_plan", "Postgres 15 into 17", "server", "shop", "Reports & more"] {
        assert!(ran.stdout.contains(words), "no «{words}» in {ran:#?}");
    }
    let ran = control_plane()
        .run(&["import", "preflight", "--project", "dev", "--source-url", &source().url("sample"), "-o", "json"])
        .succeeds();
    let report = &ran.json()["preflight"];
    assert_eq!((&report["ok"], &report["target_version"]), (&json!(true), &json!("17")));
    assert_eq!(report["checks"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_source_on_standard_input_works_too() {
    use std::io::Write;
    let mut command =
        control_plane().capydb(&["import", "preflight", "--project", "dev", "--source-url", "-", "-o", "json"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("runs");
    child.stdin.take().expect("a pipe").write_all(format!("{}\n", source().url("sample")).as_bytes()).expect("written");
    let ran = crate::support::Ran::of(&child.wait_with_output().expect("ends")).succeeds();
    assert_eq!(ran.json()["preflight"]["ok"], true);
}

#[test]
fn a_source_that_is_too_new_is_refused_twice() {
    let newer = Source::start(18, &[]);
    let url = newer.create("newer", "create table t (x int)");
    let project = control_plane().project("newer");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let ran = control_plane().run(&["import", "preflight", "--project", &project.slug, "--source-url", &url]);
    let ran = ran.fails(5, "the source is Postgres 18, the target is Postgres 17");
    let fix = "use a target of the source's major version or newer";
    assert!(ran.stdout.contains("fail") && ran.stdout.contains(fix), "{ran:#?}");
    let ran = project.import(&["--source-url", &url, "--recreate", "--wait", "-o", "json"]).fails(5, "Postgres 18");
    assert_eq!((&ran.json()["error"]["code"], &ran.json()["preflight"]["ok"]), (&json!("conflict"), &json!(false)));
    let job = project.import_by_api(&json!({ "confirm": true, "recreate": true, "source_url": url }));
    assert_eq!((&job["state"], &job["retry_classification"]), (&json!("failed"), &json!("permanent")));
    assert!(job["error"].as_str().is_some_and(|error| error.contains("source_version_compatible")), "{job}");
    let path = open_folder().join("newer.dump");
    newer.dump("newer", "custom", &path);
    project
        .import(&["--file", path.to_str().expect("a path"), "--recreate", "--wait"])
        .fails(5, "the source is Postgres 18");
    let job = project.import_unseen(&path, true);
    assert!(job["error"].as_str().is_some_and(|error| error.contains("the source is Postgres 18")), "{job}");
    assert_eq!(fingerprint(&project.url), before);
}

#[test]
fn extensions_outside_the_list_are_named() {
    let url = source().create("outside", "create extension isn; create extension tablefunc; create extension hstore");
    let project = control_plane().project("outside");
    let before = fingerprint(&project.url);
    project.import(&["--source-url", &url, "--recreate", "--wait"]).fails(5, "isn, tablefunc");
    let job = project.import_by_api(&json!({ "confirm": true, "recreate": true, "source_url": url }));
    assert!(job["error"].as_str().is_some_and(|error| error.contains("isn, tablefunc")), "{job}");
    let folder = open_folder();
    for format in ["custom", "plain"] {
        let path = folder.join(format);
        source().dump("outside", format, &path);
        let ran = project.import(&["--file", path.to_str().expect("a path"), "--recreate", "--wait"]);
        ran.fails(5, "isn, tablefunc");
        let job = project.import_unseen(&path, true);
        assert!(job["error"].as_str().is_some_and(|error| error.contains("isn, tablefunc")), "{job}");
    }
    assert_eq!(fingerprint(&project.url), before);
}

#[test]
fn the_plan_limit_holds_everywhere() {
    let control_plane = ControlPlane::start(&["--plan-limit", "14MB"]);
    let project = control_plane.project("small");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let bulky = "create table bulky as select repeat('x', 500) as t from generate_series(1, 30000)";
    let url = source().create("bulky", bulky);
    project.import(&["--source-url", &url, "--recreate", "--wait"]).fails(5, "source_size_within_plan");
    let job = project.import_by_api(&json!({ "confirm": true, "recreate": true, "source_url": url }));
    assert!(job["error"].as_str().is_some_and(|error| error.contains("source_size_within_plan")), "{job}");
    // A compressed dump fits, and the database that comes of it does not.
    let folder = open_folder();
    let path = folder.join("bulky.dump");
    source().dump("bulky", "custom", &path);
    assert!(fs::metadata(&path).expect("is there").len() < 1_000_000);
    let file = path.to_str().expect("a path");
    project.import(&["--file", file, "--recreate", "--wait"]).fails(1, "more than the plan limit of 14.0 MB");
    project.import(&["--file", file, "--wait"]).fails(1, "exceed the plan limit of 14.0 MB");
    // A file that is larger than the plan is refused here, and there.
    let path = folder.join("large.sql");
    fs::write(&path, format!("SELECT 1;\n{}", "-- and so on\n".repeat(1_200_000))).expect("written");
    project.import(&["--file", path.to_str().expect("a path"), "--wait"]).fails(5, "15.6 MB of 14.0 MB");
    let (_, slot) = control_plane.call("POST", &format!("/v1/projects/{}/imports/uploads", project.id), None);
    let url = slot["upload"]["upload_url"].as_str().expect("a URL");
    let (status, answer) = crate::support::fixtures::call("PUT", url, "", Some(&json!("x".repeat(15_000_000))));
    assert_eq!(status, 413, "{answer}");
    assert!(answer.to_string().contains("EntityTooLarge"), "{answer}");
    assert_eq!(fingerprint(&project.url), before);
    control_plane.has_no_leftovers();
}

#[test]
fn a_name_that_became_reserved_is_explained() {
    let url = source().create("reserved", "create function f(json json) returns json language sql as 'select $1'");
    let project = control_plane().project("reserved");
    project.import(&["--source-url", &url, "--recreate", "--wait"]).succeeds();
    let path = open_folder().join("reserved.dump");
    source().dump("reserved", "custom", &path);
    project
        .import(&["--file", path.to_str().expect("a path"), "--recreate", "--wait"])
        .fails(1, "--quote-all-identifiers");
}

#[test]
fn an_object_that_cannot_be_restored_is_named_and_the_target_stays() {
    let sql = "create view v as select 1 as x; create or replace view v as select x from v; create table t (x int)";
    let url = source().create("circular", sql);
    let project = control_plane().project("circular");
    project.sql("create table old (x int)");
    let before = fingerprint(&project.url);
    let ran = project
        .import(&["--source-url", &url, "--recreate", "--wait"])
        .fails(1, "relation \"public.v\" does not exist");
    assert!(ran.stderr.contains("(in: CREATE VIEW \"public\".\"v\" AS)"), "{ran:#?}");
    assert_eq!(fingerprint(&project.url), before);
}
